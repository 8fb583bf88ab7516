//! Conditions: facts without time, and the one rule by which they get their transition times.
//!
//! Never decides what is true; it only says since when.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// What a condition says now, before it is known since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The condition's type, unique in one object.
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// One CamelCase word for programs.
    pub reason: String,
    /// One stable sentence for people: no ids, counters, durations or secrets.
    pub message: String,
}

/// What has to be remembered of a stored condition to know since when its status holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The condition's type.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The reason stored with it.
    pub reason: String,
    /// Its `lastTransitionTime`.
    pub since: Timestamp,
}

impl Fact {
    /// A condition that holds.
    pub fn yes(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(kind, "True", reason, message)
    }

    /// A condition that does not hold.
    pub fn no(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(kind, "False", reason, message)
    }

    /// A condition of which nothing certain can be said.
    pub fn unknown(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self::new(kind, "Unknown", reason, message)
    }

    fn new(
        kind: &'static str,
        status: &'static str,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            status,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// The word for a condition status that is known.
pub fn truth(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

/// Gives each fact its transition time: the stored one while the status stays the same, else
/// `now`, in whole seconds because that is all the API server keeps.
pub fn conditions(
    facts: impl IntoIterator<Item = Fact>,
    stored: &[Mark],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    facts
        .into_iter()
        .map(|fact| {
            let since = stored
                .iter()
                .find(|mark| mark.kind == fact.kind && mark.status == fact.status)
                .map_or(now, |mark| mark.since);
            Condition {
                type_: fact.kind.to_owned(),
                status: fact.status.to_owned(),
                reason: fact.reason,
                message: fact.message,
                observed_generation: generation,
                last_transition_time: Time(whole_seconds(since)),
            }
        })
        .collect()
}

/// The marks of stored conditions.
pub fn marks(stored: &[Condition]) -> Vec<Mark> {
    stored
        .iter()
        .map(|condition| Mark {
            kind: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            since: condition.last_transition_time.0,
        })
        .collect()
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_transition_time_moves_only_when_the_status_changes() {
        let first = conditions([Fact::yes("Ready", "Running", "a")], &[], Some(1), at(10));
        let same = conditions(
            [Fact::yes("Ready", "Other", "b")],
            &marks(&first),
            Some(1),
            at(20),
        );
        assert_eq!(same[0].last_transition_time.0, at(10));
        let changed = conditions(
            [Fact::no("Ready", "Abnormal", "c")],
            &marks(&same),
            Some(1),
            at(30),
        );
        assert_eq!(changed[0].last_transition_time.0, at(30));
    }
}
