//! A pool as the cloud sent it → the status of its mirror. Pure: the same pool, the same stored
//! conditions and the same time give the same status.

use k8s_openapi::jiff::Timestamp;

use super::bound::Cuts;
use super::health;
use crate::api::{
    AzCount, Billing, Desired, DesiredDriver, DesiredResource, DriverState, DriverStatus, Fact,
    Mark, ModelArtsPoolStatus, Network, Os, PoolMetadata, ResourceCount, ResourceStates,
    ScopeState, Summary, conditions,
};
use crate::modelarts::{Az, Counter, Driver, Drivers, Listed, Pool, Resource};

/// The spec of a mirror never changes, so its generation is always the first one.
pub const MIRROR_GENERATION: i64 = 1;

/// The status that shows this pool. `stored` are the conditions the API server holds, which say
/// since when each one has its status; they belong to the same pool and not to a predecessor.
pub fn project(listed: &Listed, stored: &[Mark], now: Timestamp) -> ModelArtsPoolStatus {
    let pool = &listed.pool;
    let mut cuts = Cuts::default();
    let mut status = ModelArtsPoolStatus {
        observed_generation: Some(MIRROR_GENERATION),
        phase: cuts.word("phase", &pool.status.phase),
        message: cuts.free_text("message", &pool.status.message),
        scope: cuts.list(
            "scope",
            &pool.status.scope,
            |cuts, scope| ScopeState {
                scope_type: cuts.word("scope", &scope.scope_type),
                state: cuts.word("scope", &scope.state),
            },
            |scope| scope_order(scope.scope_type.as_deref()),
        ),
        driver: pool.status.driver.as_ref().map(|it| drivers(&mut cuts, it)),
        parent: cuts.name("parent", &pool.status.parent),
        root: cuts.name("root", &pool.status.root),
        resources: Some(resource_states(&mut cuts, pool)).filter(|it| *it != Default::default()),
        desired: Some(desired(&mut cuts, pool)),
        metadata: Some(metadata(&mut cuts, pool)),
        ..Default::default()
    };
    if status.phase.is_none() && listed.creation_failed {
        // The list of failed creations says it; its items need not.
        status.phase = Some(health::CREATION_FAILED.to_owned());
    }
    if cuts.is_crowded() {
        shed(&mut status, &mut cuts);
    }
    let summary = summarize(pool, &status);
    let mut facts = health::facts(&status, &summary, listed.creation_failed);
    if let Some(fields) = cuts.named() {
        facts.push(Fact::yes(
            "Truncated",
            "TooLarge",
            format!("cut to fit into an object: {fields}"),
        ));
    }
    status.conditions = conditions(facts, stored, Some(MIRROR_GENERATION), now);
    status.summary = Some(summary);
    status
}

/// Leaves out what is most and least needed. What stays is bounded by the number of its parts.
fn shed(status: &mut ModelArtsPoolStatus, cuts: &mut Cuts) {
    for resource in status.desired.iter_mut().flat_map(|it| &mut it.resources) {
        resource.azs.clear();
        resource.extend_params.clear();
        cuts.note("desired.resources");
    }
    let states = status.resources.iter_mut().flat_map(|it| {
        [
            ("resources.creating", &mut it.creating),
            ("resources.available", &mut it.available),
            ("resources.abnormal", &mut it.abnormal),
            ("resources.deleting", &mut it.deleting),
            ("resources.creationFailed", &mut it.creation_failed),
        ]
    });
    for (field, counts) in states {
        for count in counts {
            count.azs.clear();
            cuts.note(field);
        }
    }
}

fn resource_states(cuts: &mut Cuts, pool: &Pool) -> ResourceStates {
    let states = &pool.status.resources;
    ResourceStates {
        creating: counters(cuts, "resources.creating", &states.creating),
        available: counters(cuts, "resources.available", &states.available),
        abnormal: counters(cuts, "resources.abnormal", &states.abnormal),
        deleting: counters(cuts, "resources.deleting", &states.deleting),
        creation_failed: counters(cuts, "resources.creationFailed", &states.creation_failed),
    }
}

fn counters(cuts: &mut Cuts, field: &'static str, counters: &[Counter]) -> Vec<ResourceCount> {
    cuts.list(
        field,
        counters,
        |cuts, counter| ResourceCount {
            flavor: cuts.word(field, &counter.flavor),
            count: not_negative(counter.count),
            max_count: not_negative(counter.max_count),
            azs: zones(cuts, field, &counter.azs),
            node_pool: cuts.word(field, &counter.node_pool),
        },
        |count| (count.flavor.clone(), count.node_pool.clone(), count.count),
    )
}

fn zones(cuts: &mut Cuts, field: &'static str, azs: &[Az]) -> Vec<AzCount> {
    let zones = cuts.list(
        field,
        azs,
        |cuts, zone| AzCount {
            az: cuts.word(field, &zone.az),
            count: not_negative(zone.count),
        },
        |zone| (zone.az.clone(), zone.count),
    );
    cuts.zones(field, zones)
}

fn drivers(cuts: &mut Cuts, drivers: &Drivers) -> DriverStatus {
    let mut one = |driver: &Option<Driver>| {
        driver.as_ref().map(|driver| DriverState {
            version: cuts.word("driver", &driver.version),
            state: cuts.word("driver", &driver.state),
        })
    };
    DriverStatus {
        gpu: one(&drivers.gpu),
        npu: one(&drivers.npu),
    }
}

fn desired(cuts: &mut Cuts, pool: &Pool) -> Desired {
    let spec = &pool.spec;
    let words = |cuts: &mut Cuts, field, words: &[String]| {
        let word = |cuts: &mut Cuts, word: &String| cuts.word(field, &Some(word.clone()));
        let listed = cuts.list(field, words, word, |word| scope_order(word.as_deref()));
        listed.into_iter().flatten().collect()
    };
    Desired {
        kind: cuts.word("desired.type", &spec.kind),
        scope: words(cuts, "desired.scope", &spec.scope),
        resources: cuts.list(
            "desired.resources",
            &spec.resources,
            desired_resource,
            |resource| {
                let (flavor, node_pool) = (resource.flavor.clone(), resource.node_pool.clone());
                (flavor, node_pool, resource.count)
            },
        ),
        network: spec.network.as_ref().map(|network| Network {
            name: cuts.word("desired.network", &network.name),
            vpc_id: cuts.word("desired.network", &network.vpc_id),
            subnet_id: cuts.word("desired.network", &network.subnet_id),
        }),
        job_flavors: words(cuts, "desired.jobFlavors", &spec.job_flavors),
        driver: spec.driver.as_ref().map(|driver| DesiredDriver {
            gpu_version: cuts.word("desired.driver", &driver.gpu_version),
            npu_version: cuts.word("desired.driver", &driver.npu_version),
            update_strategy: cuts.word("desired.driver", &driver.update_strategy),
        }),
        control_mode: spec.control_mode,
        controls: health::controls(spec.control_mode.unwrap_or_default()),
    }
}

fn desired_resource(cuts: &mut Cuts, resource: &Resource) -> DesiredResource {
    const FIELD: &str = "desired.resources";
    DesiredResource {
        flavor: cuts.word(FIELD, &resource.flavor),
        count: not_negative(resource.count),
        max_count: not_negative(resource.max_count),
        node_pool: cuts.word(FIELD, &resource.node_pool),
        azs: zones(cuts, FIELD, &resource.azs),
        extend_params: cuts.map(FIELD, &resource.extend_params),
        os: resource.os.as_ref().map(|os| Os {
            name: cuts.word(FIELD, &os.name),
            image_id: cuts.word(FIELD, &os.image_id),
            image_type: cuts.word(FIELD, &os.image_type),
        }),
    }
}

fn metadata(cuts: &mut Cuts, pool: &Pool) -> PoolMetadata {
    let metadata = &pool.metadata;
    let label = |key: &str| metadata.labels.get(key).cloned();
    let annotation = |key: &str| metadata.annotations.get(key).cloned();
    PoolMetadata {
        name: Some(metadata.name.clone()),
        creation_timestamp: cuts.word("metadata.creationTimestamp", &metadata.creation_timestamp),
        labels: cuts.map("metadata.labels", &metadata.labels),
        annotations: cuts.map("metadata.annotations", &metadata.annotations),
        display_name: cuts.name("metadata.displayName", &label("os.modelarts/name")),
        description: cuts.free_text(
            "metadata.description",
            &annotation("os.modelarts/description"),
        ),
        workspace_id: cuts.word("metadata.workspaceId", &label("os.modelarts/workspace.id")),
        resource_id: cuts.word("metadata.resourceId", &resource_id(pool)),
        tenant_domain_id: cuts.word(
            "metadata.tenantDomainId",
            &label("os.modelarts/tenant.domain.id"),
        ),
        billing: billing(cuts, pool),
    }
}

/// The billed resource, which a re-created pool of the same name does not share.
fn resource_id(pool: &Pool) -> Option<String> {
    pool.metadata
        .labels
        .get("os.modelarts/resource.id")
        .cloned()
}

fn billing(cuts: &mut Cuts, pool: &Pool) -> Option<Billing> {
    const FIELD: &str = "metadata.billing";
    let annotation = |key: &str| pool.metadata.annotations.get(key).map(String::as_str);
    let mut word = |value: Option<&str>, known: &[(&str, &str)]| {
        let value = value?;
        let word = known.iter().find(|(code, _)| *code == value);
        cuts.word(
            FIELD,
            &Some(word.map_or(value, |(_, word)| word).to_owned()),
        )
    };
    let billing = Billing {
        mode: word(
            annotation("os.modelarts/billing.mode"),
            &[("0", "PayPerUse"), ("1", "Subscription")],
        ),
        period_num: annotation("os.modelarts/period.num").and_then(|number| number.parse().ok()),
        period_type: word(
            annotation("os.modelarts/period.type"),
            &[("2", "Month"), ("3", "Year"), ("4", "Hour")],
        ),
        auto_renew: match annotation("os.modelarts/auto.renew") {
            Some("0" | "false") => Some(false),
            Some("1" | "true") => Some(true),
            _ => None,
        },
    };
    Some(billing).filter(|billing| *billing != Billing::default())
}

/// Sums are taken of what the cloud sent, before anything was cut.
fn summarize(pool: &Pool, status: &ModelArtsPoolStatus) -> Summary {
    let states = &pool.status.resources;
    let sum = |counts: &[Counter]| total(counts.iter().map(|it| it.count));
    let (available, ordered) = (sum(&states.available), &pool.spec.resources);
    let desired = total(ordered.iter().map(|it| it.count));
    let ordered = status.desired.iter().flat_map(|it| &it.resources);
    let mut flavors: Vec<&str> = ordered.filter_map(|it| it.flavor.as_deref()).collect();
    if flavors.is_empty() {
        let usable = status.resources.iter().flat_map(|it| &it.available);
        flavors = usable.filter_map(|it| it.flavor.as_deref()).collect();
    }
    flavors.dedup();
    Summary {
        nodes: format!("{available}/{desired}"),
        available,
        abnormal: sum(&states.abnormal),
        creating: sum(&states.creating),
        deleting: sum(&states.deleting),
        desired,
        flavors: short_list(&flavors),
        drivers: driver_words(status),
        scopes: short_list(&scope_words(status)),
    }
}

fn total(counts: impl Iterator<Item = Option<i64>>) -> i64 {
    let counts = counts.filter_map(not_negative);
    counts.fold(0, i64::saturating_add)
}

fn driver_words(status: &ModelArtsPoolStatus) -> String {
    let Some(driver) = &status.driver else {
        return String::new();
    };
    let one = |kind: &str, driver: &Option<DriverState>| {
        let driver = driver.as_ref()?;
        let version = driver.version.as_deref().unwrap_or("?");
        Some(match driver.state.as_deref() {
            None | Some("Running") => format!("{kind} {version}"),
            Some(state) => format!("{kind} {version} ({state})"),
        })
    };
    let words = [one("gpu", &driver.gpu), one("npu", &driver.npu)];
    short_list(&words.into_iter().flatten().collect::<Vec<_>>())
}

fn scope_words(status: &ModelArtsPoolStatus) -> Vec<String> {
    let word = |scope: &ScopeState| {
        let kind = scope.scope_type.as_deref().unwrap_or("?");
        match scope.state.as_deref() {
            Some("Enabled") => kind.to_owned(),
            state => format!("{kind}:{}", state.unwrap_or("?")),
        }
    };
    status.scope.iter().map(word).collect()
}

/// A cell of a table: the first few words and how many more there are.
fn short_list(words: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<&str> = words.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = words.len().saturating_sub(SHOWN);
    match more {
        0 => shown.join(","),
        more => format!("{},+{more}", shown.join(",")),
    }
}

/// The order in which the console and its documentation name the job types, then the alphabet's.
fn scope_order(scope: Option<&str>) -> (usize, String) {
    const KNOWN: [&str; 3] = ["Train", "Infer", "Notebook"];
    let scope = scope.unwrap_or_default();
    let rank = KNOWN.iter().position(|known| *known == scope);
    (rank.unwrap_or(KNOWN.len()), scope.to_owned())
}

/// The API uses -1 for "unknown"; a sum must not shrink by it.
fn not_negative(count: Option<i64>) -> Option<i64> {
    count.filter(|count| *count >= 0)
}

/// What tells a pool from a later one of the same name, as the mirror keeps it.
pub(super) fn incarnation(listed: &Listed) -> (Option<String>, Option<String>) {
    let mut cuts = Cuts::default();
    (
        cuts.word("", &listed.pool.metadata.creation_timestamp),
        cuts.word("", &resource_id(&listed.pool)),
    )
}

#[cfg(test)]
mod tests;
