//! The only writer of mirrors. Every write is conditional on the version it was planned for, has
//! a deadline, and is fed back into the inventory; a conflict is left to the next plan.
//!
//! It does not hammer an API server that fails or refuses, and deletes nothing while it fails.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Instant;

use futures::StreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::health::unknown;
use super::inventory::{Fingerprint, Inventory};
use super::plan::{Action, Change, Version};
use super::refusal::Refusal;
use super::stamp::{Owner, stamp, stamped};
use super::writes::{DEADLINE, Verb, Writes};
use crate::api::{ModelArtsPool, ModelArtsPoolStatus, News, POOL_KIND, write_params};
use crate::lease::Gate;
use crate::progress::Progress;

/// Enough to keep the API server busy; it, and not we, bounds a fill.
const CONCURRENCY: usize = 16;

/// What every write needs.
pub struct Writer<'a> {
    /// The mirrors' namespace.
    pub pools: &'a Api<ModelArtsPool>,
    /// Told of every answer.
    pub inventory: &'a Inventory,
    /// The source whose mirrors are written.
    pub owner: &'a Owner,
    /// Counts the writes.
    pub writes: &'a Writes,
    /// Told of each change: a long fill is no standstill.
    pub progress: &'a Progress,
    /// Once it is closed, no further write is begun.
    pub gate: &'a Gate,
    /// When it fires, begun writes are finished and no further one is begun.
    pub cancel: &'a CancellationToken,
}

/// How the changes of one plan went.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Changes made.
    pub done: usize,
    /// Changes that somebody else's write made void; the next plan sees it.
    pub conflicts: usize,
    /// Changes that failed because the API server did.
    pub failed: usize,
    /// Changes not begun, because the process is ending or no longer leads, or because others of the
    /// plan failed.
    pub cancelled: usize,
    /// The mirrors that the API server does not want, by why.
    pub refused: BTreeMap<Refusal, Vec<String>>,
    /// What people should be told, by the mirror's name.
    pub news: Vec<(String, News)>,
}

impl Outcome {
    /// Whether the mirrors now are what the plan wanted, but for those that the API server does not
    /// want: trying again soon gains nothing.
    pub fn is_settled(&self) -> bool {
        self.conflicts + self.failed + self.cancelled == 0
    }
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("no answer from the API server within {} s", DEADLINE.as_secs())]
    Late,
    #[error("the API server knows no status of this mirror")]
    NoStatus,
    #[error("the API server does not know the kind or the namespace of this mirror")]
    NoPlace,
    #[error(transparent)]
    Answered(#[from] kube::Error),
}

enum Written {
    Done(Vec<(String, News)>),
    Conflict,
    Failed,
    /// The mirror, and the API server's words where it was asked.
    Refused(Refusal, String, Option<WriteError>),
    Cancelled,
}

/// Makes the changes, several at a time, and logs each that fails. Deletions come last.
pub async fn apply(writer: &Writer<'_>, changes: Vec<Change>, now: Timestamp) -> Outcome {
    let (deletions, others): (Vec<_>, Vec<_>) = changes
        .into_iter()
        .partition(|change| matches!(change.action, Action::Delete(_)));
    let stop = writer.cancel.child_token();
    let mut outcome = Outcome::default();
    make_all(writer, others, now, &stop, &mut outcome).await;
    if outcome.failed > 0 {
        stop.cancel();
    }
    make_all(writer, deletions, now, &stop, &mut outcome).await;
    outcome
}

/// Makes these changes until `stop` fires, and fires it once so many of them have failed that the
/// cause is the API server and no mirror.
async fn make_all(
    writer: &Writer<'_>,
    changes: Vec<Change>,
    now: Timestamp,
    stop: &CancellationToken,
    outcome: &mut Outcome,
) {
    let owner = writer.owner;
    let no_room = OnceLock::new();
    let write = |change: Change| {
        let no_room = &no_room;
        async move {
            if stop.is_cancelled() || !writer.gate.is_open() {
                return Written::Cancelled;
            }
            let name = change.name.clone();
            if let (Action::Create(..), Some(refusal)) = (&change.action, no_room.get()) {
                return Written::Refused(*refusal, name, None);
            }
            let news = change.news.iter().map(|news| (name.clone(), news.clone()));
            let news = news.collect();
            let error = match writer.make(change, now).await {
                Ok(()) => return Written::Done(news),
                Err(error) if error.is_conflict() => {
                    debug!(pool = %name, %error, "somebody else wrote first");
                    return Written::Conflict;
                }
                Err(error) => error,
            };
            match error.refusal() {
                Some(refusal) => {
                    if refusal.concerns_every_create() {
                        let _ = no_room.set(refusal);
                    }
                    Written::Refused(refusal, name, Some(error))
                }
                None => {
                    warn!(namespace = %owner.namespace, source = %owner.name, pool = %name, %error, "write mirror");
                    Written::Failed
                }
            }
        }
    };
    let mut written = futures::stream::iter(changes)
        .map(write)
        .buffer_unordered(CONCURRENCY);
    while let Some(written) = written.next().await {
        match written {
            Written::Done(news) => {
                writer.progress.worked(Instant::now());
                outcome.done += 1;
                outcome.news.extend(news);
            }
            Written::Conflict => outcome.conflicts += 1,
            Written::Failed => outcome.failed += 1,
            Written::Refused(refusal, name, error) => {
                let names = outcome.refused.entry(refusal).or_default();
                let (namespace, source) = (&owner.namespace, &owner.name);
                // The source's condition names them all; of each refusal one line has the cause.
                match error {
                    Some(error) if names.is_empty() => {
                        warn!(%namespace, %source, pool = %name, %error, "write mirror");
                    }
                    Some(error) => {
                        debug!(%namespace, %source, pool = %name, %error, "write mirror")
                    }
                    None => {}
                }
                names.push(name);
            }
            Written::Cancelled => outcome.cancelled += 1,
        }
        if outcome.failed == CONCURRENCY {
            stop.cancel();
        }
    }
    // The order of the answers is chance.
    outcome.refused.values_mut().for_each(|names| names.sort());
}

impl WriteError {
    fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Answered(kube::Error::Api(status)) => Some(status),
            _ => None,
        }
    }

    /// Nothing is there yet that somebody else could have deleted.
    fn of_create(self) -> Self {
        match self.status() {
            Some(status) if status.is_not_found() => Self::NoPlace,
            _ => self,
        }
    }

    fn is_conflict(&self) -> bool {
        self.status()
            .is_some_and(|it| it.is_conflict() || it.is_already_exists() || it.is_not_found())
    }

    fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::NoStatus => Some(Refusal::NoStatus),
            _ => self.status().and_then(Refusal::of),
        }
    }
}

impl Writer<'_> {
    async fn make(&self, change: Change, now: Timestamp) -> Result<(), WriteError> {
        let Change { name, action, .. } = change;
        let (pools, inventory, owner) = (self.pools, self.inventory, self.owner);
        match action {
            Action::Create(pool_name, status) => {
                let mirror = stamped(owner, &name, &pool_name);
                let params = write_params();
                let created = pools.create(&params, &mirror);
                let created = self.write(Verb::Create, created).await;
                let mirror = created.map_err(WriteError::of_create)?;
                inventory.observe(&mirror);
                self.put_status(mirror, *status).await
            }
            Action::Status(version, status) => {
                // The API server takes nothing but the status from this call.
                let mut mirror = stamped(owner, &name, "");
                version.require_on(&mut mirror);
                self.put_status(mirror, *status).await
            }
            Action::Restamp(version, status) => {
                // Other people's labels and owners are kept, so they have to be read first.
                let mut mirror = self.read(&name).await?;
                version.require_on(&mut mirror);
                stamp(&mut mirror.metadata, owner);
                let params = write_params();
                let replaced = pools.replace(&name, &params, &mirror);
                let mirror = self.write(Verb::Update, replaced).await?;
                inventory.observe(&mirror);
                match status {
                    Some(status) => self.put_status(mirror, *status).await,
                    None => Ok(()),
                }
            }
            Action::Unknown(version, why) => {
                let mut mirror = self.read(&name).await?;
                version.require_on(&mut mirror);
                let status = unknown(mirror.status.take().unwrap_or_default(), &why, owner, now);
                self.put_status(mirror, status).await
            }
            Action::Delete(version) => {
                let params = DeleteParams {
                    preconditions: Some(Preconditions {
                        uid: Some(version.uid),
                        resource_version: Some(version.resource_version),
                    }),
                    ..DeleteParams::background()
                };
                let deleted = pools.delete(&name, &params);
                self.write(Verb::Delete, deleted).await.map(|_| ())
            }
        }
    }

    async fn put_status(
        &self,
        mut mirror: ModelArtsPool,
        status: ModelArtsPoolStatus,
    ) -> Result<(), WriteError> {
        let name = mirror.metadata.name.clone().unwrap_or_default();
        let sent = Fingerprint::of(&status);
        mirror.status = Some(status);
        mirror.metadata.managed_fields = None;
        let params = write_params();
        let replaced = self.pools.replace_status(&name, &params, &mirror);
        let stored = match self.write(Verb::UpdateStatus, replaced).await {
            // A mirror that is still there has no status to be found.
            Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => {
                let there = self.read(&name).await?;
                let same = there.metadata.uid == mirror.metadata.uid;
                return Err(if same { WriteError::NoStatus } else { error });
            }
            answer => answer?,
        };
        if !self.inventory.observe_answer(&stored, sent) {
            warn!(pool = %name, "the API server dropped fields of this status: the installed CRD of ModelArtsPools is older than this program; apply the one of this version");
        }
        Ok(())
    }

    async fn read(&self, name: &str) -> Result<ModelArtsPool, WriteError> {
        let answer = tokio::time::timeout(DEADLINE, self.pools.get(name)).await;
        Ok(answer.map_err(|_| WriteError::Late)??)
    }

    async fn write<T>(
        &self,
        verb: Verb,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        let answer = self.writes.make(POOL_KIND, verb, call).await;
        Ok(answer.ok_or(WriteError::Late)??)
    }
}

impl Version {
    /// Makes a write of this object conditional.
    fn require_on(self, mirror: &mut ModelArtsPool) {
        mirror.metadata.uid = Some(self.uid);
        mirror.metadata.resource_version = Some(self.resource_version);
    }
}
