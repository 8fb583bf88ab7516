//! What the process remembers of a source between two reconciles. None of it is needed to be
//! right after a restart; it only spares polls and keeps deletion shy.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::schedule::{self, Timing};
use crate::api::{ModelArtsPoolSource, ModelArtsPoolSourceStatus};
use crate::mirror::{Absences, Tally};
use crate::modelarts::Class;

/// What the process remembers of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// The source's uid: one re-created under the same name is a stranger.
    pub uid: String,
    /// The generation last acted on; `None` before this process's first poll.
    pub generation: Option<i64>,
    /// The refresh token last acted on.
    pub requested_at: Option<String>,
    /// The confirm-prune annotation at the last poll.
    pub confirmed: Option<String>,
    /// When to poll next, whatever happens.
    pub next_poll: Option<Timestamp>,
    /// Polls that failed in a row.
    pub failures: u32,
    /// The last of them.
    pub failure: Option<Failure>,
    /// Polls in a row that had to repair a mirror, and the earliest time of the next such poll:
    /// against another writer that never gives up, repairs get rarer.
    pub repairs: u32,
    /// See `repairs`.
    pub repair_after: Option<Timestamp>,
    /// The last complete snapshot, whether or not every mirror could be written.
    pub snapshot_at: Option<Timestamp>,
    /// Whether the mirrors were made to say that they are stale.
    pub stale: bool,
    /// The generation for which the status says that the source is suspended.
    pub suspended_at: Option<i64>,
    /// How often complete snapshots have missed each mirror; `None` before the first one.
    pub absences: Option<Absences>,
    /// The status last written, which the cache may not show yet.
    pub status: Option<ModelArtsPoolSourceStatus>,
    /// A status that the API server did not take, to be written at the next look.
    pub owed: Option<ModelArtsPoolSourceStatus>,
    /// What `/metrics` shows of the source besides.
    pub record: Record,
}

/// What `/metrics` shows of a source, and nothing else needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// The interval in its spec, where that is one.
    pub interval: Option<Duration>,
    /// The last complete snapshot, across restarts.
    pub last_sync: Option<Timestamp>,
    pub suspended: bool,
    pub prune_blocked: bool,
    /// Sums over the last complete snapshot.
    pub tally: Tally,
    /// Mirrors that the API server does not want.
    pub refused: usize,
    /// Items of the last complete snapshot that did not decode.
    pub set_aside: usize,
    /// Polls of this process by outcome.
    pub polls: BTreeMap<&'static str, u64>,
    /// Items that did not decode, over all polls of this process.
    pub rejects: u64,
}

/// A failed poll, as far as the source's status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub class: Class,
    pub message: String,
}

impl Memory {
    /// Nothing remembered of the source with this uid.
    pub fn of(uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            ..Self::default()
        }
    }

    /// The source's status as it was written last.
    pub fn status_of<'a>(
        &'a self,
        source: &'a ModelArtsPoolSource,
    ) -> Option<&'a ModelArtsPoolSourceStatus> {
        self.status.as_ref().or(source.status.as_ref())
    }

    /// Brings up to date what `/metrics` shows of the source.
    pub fn record(&mut self, source: &ModelArtsPoolSource, timing: Option<&Timing>) {
        let status = self.status_of(source);
        let mut conditions = status.iter().flat_map(|it| &it.conditions);
        self.record.prune_blocked = conditions.any(|it| it.type_ == "PruneBlocked");
        self.record.last_sync = schedule::last_sync(source, self);
        self.record.interval = timing.map(|timing| timing.interval);
        self.record.suspended = source.spec.suspend;
    }
}
