//! The only writer of mirrors. Every write is conditional on the version it was planned for, has
//! a deadline, and is fed back into the inventory; a conflict is left to the next plan.

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::health;
use super::inventory::{Fingerprint, Inventory};
use super::plan::{Action, Change, Version, Why};
use super::project::MIRROR_GENERATION;
use super::stamp::{Owner, stamp, stamped};
use crate::api::{FIELD_MANAGER, ModelArtsPool, ModelArtsPoolStatus, News, conditions, marks};

/// Enough to keep the API server busy; it, and not we, bounds a fill.
const CONCURRENCY: usize = 16;

/// One write, the client's own retries included.
const DEADLINE: Duration = Duration::from_secs(10);

/// How the changes of one plan went.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Changes made.
    pub done: usize,
    /// Changes that somebody else's write made void; the next plan sees it.
    pub conflicts: usize,
    /// Changes that failed.
    pub failed: usize,
    /// Changes not begun because the process is ending.
    pub cancelled: usize,
    /// What people should be told, by the mirror's name.
    pub news: Vec<(String, News)>,
}

impl Outcome {
    /// Whether the mirrors now are what the plan wanted.
    pub fn is_complete(&self) -> bool {
        self.conflicts + self.failed + self.cancelled == 0
    }
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("no answer from the API server within {} s", DEADLINE.as_secs())]
    Late,
    #[error(transparent)]
    Refused(#[from] kube::Error),
}

enum Written {
    Done(Vec<(String, News)>),
    Conflict,
    Failed,
    Cancelled,
}

/// Makes the changes, several at a time, and logs each that fails. When `cancel` fires, begun
/// writes are finished and no further one is begun.
pub async fn apply(
    pools: &Api<ModelArtsPool>,
    inventory: &Inventory,
    owner: &Owner,
    changes: Vec<Change>,
    now: Timestamp,
    cancel: &CancellationToken,
) -> Outcome {
    let write = |change: Change| async move {
        if cancel.is_cancelled() {
            return Written::Cancelled;
        }
        let name = change.name.clone();
        let news = change.news.iter().map(|news| (name.clone(), news.clone()));
        let news = news.collect();
        match make(pools, inventory, owner, change, now).await {
            Ok(()) => Written::Done(news),
            Err(WriteError::Refused(kube::Error::Api(status)))
                if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
            {
                debug!(pool = %name, reason = %status.reason, "somebody else wrote first");
                Written::Conflict
            }
            Err(error) => {
                warn!(namespace = %owner.namespace, source = %owner.name, pool = %name, %error, "write mirror");
                Written::Failed
            }
        }
    };
    let mut written = futures::stream::iter(changes)
        .map(write)
        .buffer_unordered(CONCURRENCY);
    let mut outcome = Outcome::default();
    while let Some(written) = written.next().await {
        match written {
            Written::Done(news) => {
                outcome.done += 1;
                outcome.news.extend(news);
            }
            Written::Conflict => outcome.conflicts += 1,
            Written::Failed => outcome.failed += 1,
            Written::Cancelled => outcome.cancelled += 1,
        }
    }
    outcome
}

async fn make(
    pools: &Api<ModelArtsPool>,
    inventory: &Inventory,
    owner: &Owner,
    change: Change,
    now: Timestamp,
) -> Result<(), WriteError> {
    let Change { name, action, .. } = change;
    match action {
        Action::Create(pool_name, status) => {
            let mirror = stamped(owner, &name, &pool_name);
            let mirror = in_time(pools.create(&params(), &mirror)).await?;
            inventory.observe(&mirror);
            put_status(pools, inventory, mirror, *status).await
        }
        Action::Status(version, status) => {
            // The API server takes nothing but the status from this call.
            let mut mirror = stamped(owner, &name, "");
            version.require_on(&mut mirror);
            put_status(pools, inventory, mirror, *status).await
        }
        Action::Restamp(version, status) => {
            // Other people's labels and owners are kept, so they have to be read first.
            let mut mirror = in_time(pools.get(&name)).await?;
            version.require_on(&mut mirror);
            stamp(&mut mirror.metadata, owner);
            let mirror = in_time(pools.replace(&name, &params(), &mirror)).await?;
            inventory.observe(&mirror);
            match status {
                Some(status) => put_status(pools, inventory, mirror, *status).await,
                None => Ok(()),
            }
        }
        Action::Unknown(version, why) => {
            let mut mirror = in_time(pools.get(&name)).await?;
            version.require_on(&mut mirror);
            let status = unknown(mirror.status.take().unwrap_or_default(), &why, owner, now);
            put_status(pools, inventory, mirror, status).await
        }
        Action::Delete(version) => {
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: Some(version.uid),
                    resource_version: Some(version.resource_version),
                }),
                ..DeleteParams::background()
            };
            in_time(pools.delete(&name, &params)).await.map(|_| ())
        }
    }
}

impl Version {
    /// Makes a write of this object conditional.
    fn require_on(self, mirror: &mut ModelArtsPool) {
        mirror.metadata.uid = Some(self.uid);
        mirror.metadata.resource_version = Some(self.resource_version);
    }
}

async fn put_status(
    pools: &Api<ModelArtsPool>,
    inventory: &Inventory,
    mut mirror: ModelArtsPool,
    status: ModelArtsPoolStatus,
) -> Result<(), WriteError> {
    let name = mirror.metadata.name.clone().unwrap_or_default();
    let sent = Fingerprint::of(&status);
    mirror.status = Some(status);
    mirror.metadata.managed_fields = None;
    let stored = in_time(pools.replace_status(&name, &params(), &mirror)).await?;
    if !inventory.observe_answer(&stored, sent) {
        warn!(pool = %name, "the API server dropped fields of this status: the installed CRD of ModelArtsPools is older than this program; apply the one of this version");
    }
    Ok(())
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
    let facts = health::unknown_facts(&status, why.reason(), &message);
    status.conditions = conditions(
        facts,
        &marks(&status.conditions),
        Some(MIRROR_GENERATION),
        now,
    );
    status
}

async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, WriteError> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(WriteError::Late),
    }
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}
