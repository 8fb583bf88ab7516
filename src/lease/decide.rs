//! Who may lead, decided from what was seen of the Lease and when. Pure: it believes no clock but
//! its own, and of that only how much time has passed.
//!
//! A record that somebody holds is void once it has not changed for its whole duration *as seen
//! here*. Its holder stopped writing earlier, because it counts from before its last renewal.

use std::time::Duration;

use tokio::time::Instant;

/// For how long a renewal keeps the others waiting.
pub const DURATION: Duration = Duration::from_secs(15);

/// For how long after the beginning of a renewal its holder writes. What is left of [`DURATION`] is
/// for writes on their way, and for clocks that do not run equally fast.
pub const HOLD: Duration = Duration::from_secs(10);

/// The Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it, if anybody does.
    pub holder: Option<String>,
    /// For how long a renewal of this holder counts.
    pub duration: Duration,
    /// The object's resourceVersion. It changes with every renewal.
    pub version: String,
}

/// What a candidate knows.
#[derive(Debug)]
pub struct Candidate {
    me: String,
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    record: Record,
    /// When this version was seen first.
    since: Instant,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// There is no Lease: create it.
    Create,
    /// It is void, or given up: take it.
    Acquire,
    /// It is ours: renew it.
    Renew,
    /// It is somebody else's: look again later.
    Wait,
}

impl Candidate {
    /// A candidate that has seen nothing yet. No other process may ever have its name.
    pub fn new(me: String) -> Self {
        Self { me, seen: None }
    }

    /// Takes in what the API server holds. Returns what to do; a write has to name the version that
    /// was read, so that of two who decide alike only one succeeds.
    pub fn decide(&mut self, read: Option<Record>, now: Instant) -> Action {
        match read {
            Some(record) => {
                let known = self.seen.as_ref().is_some_and(|it| it.record == record);
                if !known {
                    self.seen = Some(Seen { record, since: now });
                }
            }
            // Somebody deleted it. Whoever held it goes on until it cannot be renewed.
            None if self.is_held_by_another(now) => return Action::Wait,
            None => return Action::Create,
        }
        match &self.seen {
            Some(seen) if seen.record.holder.as_ref() == Some(&self.me) => Action::Renew,
            _ if self.is_held_by_another(now) => Action::Wait,
            _ => Action::Acquire,
        }
    }

    /// The holder seen last.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.record.holder.as_deref()
    }

    /// The name in the Lease.
    pub fn me(&self) -> &str {
        &self.me
    }

    fn is_held_by_another(&self, now: Instant) -> bool {
        self.seen.as_ref().is_some_and(|seen| {
            let another = seen.record.holder.as_ref().is_some_and(|it| *it != self.me);
            another && now.saturating_duration_since(seen.since) < seen.record.duration
        })
    }
}

#[cfg(test)]
mod tests;
