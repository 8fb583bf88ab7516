//! What the process remembers of a source between two reconciles. None of it is needed to be
//! right after a restart; it only spares polls and keeps deletion shy.

use k8s_openapi::jiff::Timestamp;

use crate::api::ModelArtsPoolSourceStatus;
use crate::mirror::Absences;
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
}
