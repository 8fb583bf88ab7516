//! What a pool's state means to a person: its conditions. Pure.
//!
//! `phase: Running` alone is not health: nodes may be missing, a scope may be off, the pool may be
//! frozen. So each of these is a condition of its own.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::plan::Why;
use super::project::MIRROR_GENERATION;
use super::stamp::Owner;
use crate::api::{Fact, ModelArtsPoolStatus, Summary, conditions, marks, truth};

pub(super) const CREATION_FAILED: &str = "CreationFailed";

const FROZEN: i64 = 8;
const FROZEN_BY_POLICE: i64 = 16;

/// The bits of `controlMode` in words (vendor's page, table 8); sums are legal.
const CONTROLS: [(i64, &str); 5] = [
    (1, "BillingChangeRestricted"),
    (2, "SpecChangeRestricted"),
    (4, "ServiceLimited"),
    (FROZEN, "Frozen"),
    (FROZEN_BY_POLICE, "FrozenByPolice"),
];

/// Phases in which the cloud is at work and waiting helps.
const IN_PROGRESS: [&str; 4] = ["Creating", "Waiting", "Scaling", "Deleting"];

/// Every phase that any of the vendor's documents or clients names. The list stays open.
const KNOWN_PHASES: [&str; 9] = [
    "Creating",
    "Running",
    "Abnormal",
    "Deleting",
    "Error",
    CREATION_FAILED,
    "ScalingFailed",
    "Scaling",
    "Waiting",
];

/// The conditions of a pool that was just listed.
pub(super) fn facts(
    status: &ModelArtsPoolStatus,
    summary: &Summary,
    creation_failed: bool,
) -> Vec<Fact> {
    let phase = status.phase.as_deref();
    let frozen = frozen(status);
    let failed = creation_failed || phase == Some(CREATION_FAILED);
    let ready = ready(phase, frozen, failed);
    let mut facts = vec![ready.clone()];
    if frozen || failed {
        facts.push(Fact::yes("Stalled", &ready.reason, ready.message));
    } else if let Some(reason) = progress(status, summary) {
        facts.push(Fact::yes(
            "Reconciling",
            reason,
            "the cloud is working on the pool",
        ));
    }
    facts.push(capacity(status, summary));
    facts.extend(scopes(status, frozen));
    facts
}

/// The stored status with its data kept and its claims taken back.
pub(super) fn unknown(
    mut status: ModelArtsPoolStatus,
    why: &Why,
    owner: &Owner,
    now: Timestamp,
) -> ModelArtsPoolStatus {
    let source = &owner.name;
    let message = match why {
        Why::NotListed(since) => format!(
            "the cloud no longer lists this pool, first missed for good at {since:.0}; see ModelArtsPoolSource {source}"
        ),
        Why::Stale(Some(since)) => format!(
            "this is what the cloud said at {since:.0}, the last time its list was complete; see ModelArtsPoolSource {source}"
        ),
        Why::Stale(None) => {
            format!("the cloud's list has not been complete yet; see ModelArtsPoolSource {source}")
        }
    };
    let facts = unknown_facts(&status, why.reason(), &message);
    status.conditions = conditions(
        facts,
        &marks(&status.conditions),
        Some(MIRROR_GENERATION),
        now,
    );
    status
}

/// The set bits of `controlMode` in words, unknown ones by number.
pub(super) fn controls(mode: i64) -> Vec<String> {
    let bit_word = |bit: i64| {
        let known = CONTROLS.iter().find(|(value, _)| *value == bit);
        known.map_or_else(|| format!("Bit{bit}"), |(_, word)| (*word).to_owned())
    };
    (0..63)
        .map(|shift| 1_i64 << shift)
        .filter(|bit| mode > 0 && mode & bit != 0)
        .map(bit_word)
        .collect()
}

/// This phase, if any of the vendor's documents names it.
pub(super) fn known_phase(phase: &str) -> Option<&'static str> {
    KNOWN_PHASES.into_iter().find(|known| *known == phase)
}

/// The conditions of a listed pool once nothing certain can be said any more.
fn unknown_facts(stored: &ModelArtsPoolStatus, reason: &str, message: &str) -> Vec<Fact> {
    let unknown = |kind| Fact::unknown(kind, reason, message);
    let mut facts = vec![unknown("Ready"), unknown("CapacityHealthy")];
    facts.extend(SCOPES.iter().filter_map(|(_, kind)| {
        let offered = stored.conditions.iter().any(|it| it.type_ == *kind);
        offered.then(|| unknown(kind))
    }));
    if let Some(cut) = stored.conditions.iter().find(|it| it.type_ == "Truncated") {
        facts.push(Fact::yes("Truncated", &cut.reason, cut.message.clone()));
    }
    facts
}

fn frozen(status: &ModelArtsPoolStatus) -> bool {
    let mode = status.desired.as_ref().and_then(|it| it.control_mode);
    mode.is_some_and(|mode| mode > 0 && mode & (FROZEN | FROZEN_BY_POLICE) != 0)
}

fn ready(phase: Option<&str>, frozen: bool, failed: bool) -> Fact {
    match phase {
        _ if frozen => Fact::no(
            "Ready",
            "Frozen",
            "the cloud has frozen the pool (desired.controls); its owner has to settle that with Huawei Cloud",
        ),
        _ if failed => Fact::no(
            "Ready",
            CREATION_FAILED,
            "the pool could not be created; status.message has the cloud's explanation, if it gave one",
        ),
        Some("Running") => Fact::yes("Ready", "Running", "the cloud reports the pool as running"),
        Some(phase) if known_phase(phase).is_some() => Fact::no(
            "Ready",
            phase,
            format!("the cloud reports the pool in phase {phase}"),
        ),
        Some(_) => Fact::unknown(
            "Ready",
            "UnknownPhase",
            "the cloud reports a phase that this version does not know; see status.phase",
        ),
        None => Fact::unknown("Ready", "UnknownPhase", "the cloud reports no phase yet"),
    }
}

/// What the cloud is doing to the pool, if anything.
fn progress(status: &ModelArtsPoolStatus, summary: &Summary) -> Option<&'static str> {
    let phase = status.phase.as_deref().unwrap_or_default();
    if let Some(known) = IN_PROGRESS.iter().find(|known| **known == phase) {
        return Some(known);
    }
    let drivers = status.driver.iter().flat_map(|it| [&it.gpu, &it.npu]);
    let states: Vec<&str> = drivers
        .flatten()
        .filter_map(|driver| driver.state.as_deref())
        .collect();
    if states.contains(&"Upgrading") {
        Some("DriverUpgrading")
    } else if states.contains(&"Creating") {
        Some("DriverCreating")
    } else {
        (summary.creating > 0 || summary.deleting > 0).then_some("Scaling")
    }
}

fn capacity(status: &ModelArtsPoolStatus, summary: &Summary) -> Fact {
    // A logical pool borrows nodes of its parent, and the cloud leaves its counters blank.
    let kind = status.desired.as_ref().and_then(|it| it.kind.as_deref());
    if kind == Some("Logical") && status.resources.is_none() {
        Fact::unknown(
            "CapacityHealthy",
            "NotReported",
            "the cloud does not report the nodes of this logical pool; see its parent",
        )
    } else if summary.abnormal > 0 {
        Fact::no(
            "CapacityHealthy",
            "AbnormalNodes",
            "some nodes are abnormal; see status.resources.abnormal",
        )
    } else if summary.available < summary.desired {
        Fact::no(
            "CapacityHealthy",
            "NodesMissing",
            "fewer nodes are available than ordered",
        )
    } else {
        Fact::yes(
            "CapacityHealthy",
            "AllAvailable",
            "every ordered node is available",
        )
    }
}

const SCOPES: [(&str, &str); 3] = [
    ("Train", "TrainReady"),
    ("Infer", "InferReady"),
    ("Notebook", "NotebookReady"),
];

/// One condition for each known job type that was ordered or is reported.
fn scopes(status: &ModelArtsPoolStatus, frozen: bool) -> Vec<Fact> {
    let ordered = status.desired.iter().flat_map(|it| &it.scope);
    let reported = status.scope.iter().filter_map(|it| it.scope_type.as_ref());
    let offered: BTreeSet<&str> = ordered.chain(reported).map(String::as_str).collect();
    SCOPES
        .iter()
        .filter(|(scope, _)| offered.contains(scope))
        .map(|(scope, kind)| {
            let state = status
                .scope
                .iter()
                .find(|it| it.scope_type.as_deref() == Some(scope))
                .and_then(|it| it.state.as_deref());
            scope_fact(kind, state, frozen)
        })
        .collect()
}

fn scope_fact(kind: &'static str, state: Option<&str>, frozen: bool) -> Fact {
    const KNOWN: [&str; 5] = [
        "Enabling",
        "Enabled",
        "Disabling",
        "Disabled",
        "EnableFailed",
    ];
    match state {
        _ if frozen => Fact::no(kind, "Frozen", "the cloud has frozen the pool"),
        Some(state) if KNOWN.contains(&state) => Fact {
            kind,
            status: truth(state == "Enabled"),
            reason: state.to_owned(),
            message: format!("the cloud reports this job type as {state}"),
        },
        Some(_) => Fact::unknown(
            kind,
            "UnknownState",
            "the cloud reports a state that this version does not know; see status.scope",
        ),
        None => Fact::unknown(
            kind,
            "NotReported",
            "the cloud does not report this job type's state",
        ),
    }
}
