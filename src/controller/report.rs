//! How a reconcile went → the source's own status. Pure, and the one place that decides Ready.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::memory::Failure;
use crate::api::{
    CONFIRM_PRUNE, Fact, ModelArtsPoolSourceStatus as Status, News, conditions, marks,
};
use crate::mirror::{Blocked, Plan, Refusal};
use crate::modelarts::Class;

/// What every report starts from.
pub(super) struct Before<'a> {
    /// The status as it was last written.
    pub status: &'a Status,
    /// The source's generation.
    pub generation: Option<i64>,
    /// The refresh token acted on.
    pub handled: Option<&'a str>,
    pub now: Timestamp,
}

/// A complete snapshot.
pub(super) struct Synced<'a> {
    pub plan: &'a Plan,
    /// The mirrors that the API server does not want.
    pub refused: &'a BTreeMap<Refusal, Vec<String>>,
    pub project_id: &'a str,
    pub endpoint: String,
    pub taken_at: Timestamp,
}

/// The status after the mirrors were brought to agree with a complete snapshot.
pub(super) fn synced(before: &Before<'_>, synced: &Synced<'_>) -> Status {
    let plan = synced.plan;
    let tally = &plan.tally;
    let mut facts = match synced.refused.keys().next() {
        None => vec![ready(plan)],
        Some(first) => refused(first.reason(), synced.refused),
    };
    if let Some(blocked) = &plan.blocked {
        facts.push(prune_blocked(blocked));
    }
    if !plan.set_aside.is_empty() {
        facts.push(Fact::yes(
            "PartiallyDecoded",
            "DecodeFailed",
            format!(
                "these items of the list could not be read, and their mirrors are kept as they were: {}",
                some_of(&plan.set_aside)
            ),
        ));
    }
    Status {
        last_sync_time: Some(Time(synced.taken_at)),
        project_id: Some(synced.project_id.to_owned()),
        endpoint: Some(synced.endpoint.clone()),
        pools: Some(tally.pools),
        ready: Some(tally.ready),
        not_ready: Some(tally.pools - tally.ready),
        nodes: Some(tally.nodes),
        ..before.with(facts)
    }
}

/// The status after a snapshot that could not be mirrored whole: the API server refused writes.
pub(super) fn unwritten(before: &Before<'_>) -> Status {
    let message = "some mirrors could not be written; the controller's log names them and why";
    let mut facts = before.kept(&["WriteFailed", "PruneBlocked", "PartiallyDecoded"]);
    facts.push(Fact::no("Ready", "ProgressingWithRetry", message));
    facts.push(Fact::yes("Reconciling", "ProgressingWithRetry", message));
    before.with(facts)
}

/// The status after a failed poll. Ready falls at once where a person must act, and where waiting
/// may help only once the mirrors are `stale`, so that one lost answer pages nobody.
pub(super) fn failed(before: &Before<'_>, failure: &Failure, stale: bool) -> Status {
    let (reason, message) = (failure.class.reason(), failure.message.clone());
    let mut facts = before.kept(&["WriteFailed", "PruneBlocked", "PartiallyDecoded"]);
    facts.push(Fact::yes("FetchFailed", reason, message.clone()));
    if matches!(failure.class, Class::Throttled(_)) {
        facts.push(Fact::yes("Throttled", reason, message.clone()));
    }
    if failure.class.needs_a_person() {
        facts.push(Fact::yes("Stalled", reason, message.clone()));
        facts.push(Fact::no("Ready", reason, message));
    } else if stale {
        facts.push(Fact::no("Ready", reason, message));
    } else if before.holds("Ready") {
        facts.extend(before.kept(&["Ready"]));
    } else {
        facts.push(Fact::yes(
            "Reconciling",
            "ProgressingWithRetry",
            message.clone(),
        ));
        facts.push(Fact::no("Ready", reason, message));
    }
    before.with(facts)
}

/// The status of a suspended source.
pub(super) fn suspended(before: &Before<'_>) -> Status {
    let message = "polling is suspended; set spec.suspend to false to go on";
    before.with(vec![Fact::no("Ready", "Suspended", message)])
}

/// What a new status has to tell that the old one had not.
pub(super) fn news(before: &Status, after: &Status) -> Vec<News> {
    let held = |status: &Status, kind: &str| {
        let conditions = status.conditions.iter();
        let held = conditions
            .filter(|it| it.status == "True")
            .find(|it| it.type_ == kind)?;
        Some((held.reason.clone(), held.message.clone()))
    };
    let appeared = |kind: &str| {
        let (reason, message) = held(after, kind)?;
        let known = held(before, kind).is_some_and(|it| it.0 == reason);
        (!known).then(|| News::warning(reason, message))
    };
    let mut news: Vec<News> = [
        "FetchFailed",
        "WriteFailed",
        "PruneBlocked",
        "PartiallyDecoded",
    ]
    .iter()
    .filter_map(|kind| appeared(kind))
    .collect();
    // A suspended source has not recovered from anything.
    let suspended = after.conditions.iter().any(|it| it.reason == "Suspended");
    for (kind, note) in [
        ("FetchFailed", "polling works again"),
        ("WriteFailed", "every mirror is stored again"),
    ] {
        if !suspended && held(before, kind).is_some() && held(after, kind).is_none() {
            news.push(News::normal("Recovered", note));
        }
    }
    news
}

impl Before<'_> {
    /// The status with these conditions and everything else as it was.
    fn with(&self, mut facts: Vec<Fact>) -> Status {
        // A fixed order, because the status is compared as a whole.
        facts.sort_by_key(|fact| KINDS.iter().position(|kind| *kind == fact.kind));
        let stored = marks(&self.status.conditions);
        Status {
            observed_generation: self.generation,
            conditions: conditions(facts, &stored, self.generation, self.now),
            last_handled_reconcile_at: self.handled.map(str::to_owned),
            ..self.status.clone()
        }
    }

    fn holds(&self, kind: &str) -> bool {
        let conditions = &self.status.conditions;
        conditions
            .iter()
            .any(|it| it.type_ == kind && it.status == "True")
    }

    /// Conditions of these types as they were, where they held.
    fn kept(&self, kinds: &[&'static str]) -> Vec<Fact> {
        let kept = |kind: &&'static str| {
            let conditions = self.status.conditions.iter();
            let held = conditions
                .filter(|it| it.status == "True")
                .find(|it| it.type_ == *kind)?;
            Some(Fact::yes(kind, &held.reason, held.message.clone()))
        };
        kinds.iter().filter_map(kept).collect()
    }
}

const KINDS: [&str; 8] = [
    "Ready",
    "Reconciling",
    "Stalled",
    "FetchFailed",
    "Throttled",
    "WriteFailed",
    "PruneBlocked",
    "PartiallyDecoded",
];

fn ready(plan: &Plan) -> Fact {
    let mut gaps = Vec::new();
    if !plan.contested.is_empty() {
        gaps.push(format!(
            "these pools are mirrored by another source of this namespace, which keeps them: {}",
            some_of(&plan.contested)
        ));
    }
    if !plan.set_aside.is_empty() {
        gaps.push("some items of the list could not be read (PartiallyDecoded)".to_owned());
    }
    if plan.blocked.is_some() {
        gaps.push("deletions wait for a person (PruneBlocked)".to_owned());
    }
    if gaps.is_empty() {
        Fact::yes(
            "Ready",
            "Succeeded",
            "every mirror agrees with the last complete list",
        )
    } else {
        Fact::yes("Ready", "PartialSuccess", gaps.join("; "))
    }
}

/// A source some of whose mirrors the API server does not want: a person must act.
fn refused(reason: &str, refused: &BTreeMap<Refusal, Vec<String>>) -> Vec<Fact> {
    let each = refused.iter();
    let each = each.map(|(why, names)| format!("{}: {}", why.message(), some_of(names)));
    let message = each.collect::<Vec<_>>().join("; ");
    vec![
        Fact::no("Ready", reason, message.clone()),
        Fact::yes("Stalled", reason, message.clone()),
        Fact::yes("WriteFailed", reason, message),
    ]
}

fn prune_blocked(blocked: &Blocked) -> Fact {
    Fact::yes(
        "PruneBlocked",
        "MassDeletionBlocked",
        format!(
            "the cloud no longer lists more pools than may go at once: {}. If they are really gone, agree with: kubectl annotate --overwrite modelartspoolsource NAME {CONFIRM_PRUNE}={}",
            some_of(&blocked.names),
            blocked.confirmation()
        ),
    )
}

/// The first names of a sorted list; a condition's message stays small.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        format!("{shown} and others")
    } else {
        shown
    }
}

#[cfg(test)]
mod tests;
