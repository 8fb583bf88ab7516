//! Reconciles a source: step → poll → plan → apply → report → requeue.
//!
//! It owns the order of things and nothing else: what to do is decided by the pure functions of
//! [`schedule`], [`crate::mirror`] and [`report`].

mod memory;
mod report;
mod schedule;
mod secret;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::controller::{Action, Config, Error as ControllerError};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::memory::{Failure, Memory};
use self::report::Before;
use self::schedule::{Step, Timing};
use crate::api::{
    CONFIRM_PRUNE, FIELD_MANAGER, ModelArtsPool, ModelArtsPoolSource, ModelArtsPoolSourceStatus,
    REQUESTED_AT,
};
use crate::mirror::{self, Inventory, Owner, Policy, apply, plan, plan_stale};
use crate::modelarts::{self, Class, Credentials, PollError, Snapshot, Target};

/// Sources polled at the same time.
const CONCURRENT_SOURCES: u16 = 16;

/// One request to the API server about a source or a Secret.
const DEADLINE: Duration = Duration::from_secs(10);

/// What every reconcile needs.
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// The cloud.
    pub cloud: Arc<modelarts::Client>,
    /// The mirrors that are there.
    pub inventory: Arc<Inventory>,
    /// The controller's own credentials, for sources in its own namespace that name none.
    pub ambient: Option<Credentials>,
    /// The controller's own namespace.
    pub namespace: String,
    /// Fires when the process is to end.
    pub cancel: CancellationToken,
    memories: Mutex<HashMap<Key, Memory>>,
}

/// Namespace and name of a source.
type Key = (String, String);

/// The API server failed, not the cloud: the reconcile is tried again, and no status says so
/// because none could be written.
#[derive(Debug, thiserror::Error)]
#[error("{operation}")]
pub struct ReconcileError {
    operation: &'static str,
    source: KubeFailure,
}

#[derive(Debug, thiserror::Error)]
enum KubeFailure {
    #[error("no answer from the API server within {} s", DEADLINE.as_secs())]
    Late,
    #[error(transparent)]
    Refused(#[from] kube::Error),
}

/// Why a source has no snapshot.
enum NoSnapshot {
    Cloud(PollError),
    Cluster(ReconcileError),
}

impl Context {
    /// A context with nothing remembered.
    pub fn new(
        client: Client,
        cloud: Arc<modelarts::Client>,
        inventory: Arc<Inventory>,
        ambient: Option<Credentials>,
        namespace: String,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            client,
            cloud,
            inventory,
            ambient,
            namespace,
            cancel,
            memories: Mutex::default(),
        }
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<Key, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reconciles sources until `context.cancel` fires; running reconciles are finished. `wake` names
/// sources whose mirrors somebody else changed.
pub async fn run(
    sources: Api<ModelArtsPoolSource>,
    context: Arc<Context>,
    wake: mpsc::UnboundedReceiver<ObjectRef<ModelArtsPoolSource>>,
) {
    let cancelled = context.cancel.clone().cancelled_owned();
    Controller::new(sources, watcher::Config::default())
        .with_config(Config::default().concurrency(CONCURRENT_SOURCES))
        .reconcile_on(wake)
        .graceful_shutdown_on(cancelled)
        .run(reconcile, after_error, Arc::clone(&context))
        .for_each(|result| {
            match result {
                Ok(_) | Err(ControllerError::ReconcilerFailed(..)) => {}
                Err(ControllerError::ObjectNotFound(source)) => {
                    let source = *source;
                    let key = (source.namespace.unwrap_or_default(), source.name);
                    context.inventory.intend(&key.0, &key.1, BTreeMap::new());
                    context.memories().remove(&key);
                }
                Err(error) => {
                    warn!(%error, "the watch on ModelArtsPoolSources failed; it is opened again")
                }
            }
            std::future::ready(())
        })
        .await;
}

async fn reconcile(
    source: Arc<ModelArtsPoolSource>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    tokio::select! {
        () = context.inventory.synced() => {}
        () = context.cancel.cancelled() => return Ok(Action::await_change()),
    }
    let owner = Owner {
        namespace: source.namespace().unwrap_or_default(),
        name: source.name_any(),
        uid: source.uid().unwrap_or_default(),
    };
    let key: Key = (owner.namespace.clone(), owner.name.clone());
    let known = context.memories().get(&key).cloned();
    let mut memory = known
        .filter(|memory| memory.uid == owner.uid)
        .unwrap_or_else(|| Memory::of(&owner.uid));
    let timing = Timing::of(&source);
    let next = |memory: &Memory| {
        let drifted = context.inventory.has_drifted(&key.0, &key.1);
        let timing = timing.as_ref().ok().copied();
        let step = schedule::step(&source, timing, memory, drifted, Timestamp::now());
        debug!(
            namespace = key.0,
            source = key.1,
            ?step,
            drifted,
            "next step"
        );
        (step, drifted)
    };
    let (step, drifted) = next(&memory);
    let mut run = Run {
        source: &source,
        context: &context,
        owner: &owner,
        memory: &mut memory,
    };
    let done = match step {
        Step::Leave => {
            run.intend(BTreeMap::new());
            context.memories().remove(&key);
            return Ok(Action::await_change());
        }
        Step::Wait(delay) => return Ok(Action::requeue(delay)),
        Step::WaitForChange => return Ok(Action::await_change()),
        Step::GoStale => run.go_stale().await,
        Step::Suspend => run.suspend().await,
        Step::Poll => run.poll(timing.clone(), drifted).await,
    };
    // Remembered whether or not the API server took what was to be written: a poll that happened
    // must not happen again before its time.
    context.memories().insert(key.clone(), memory.clone());
    done?;
    Ok(match next(&memory).0 {
        Step::Wait(delay) => Action::requeue(delay),
        Step::WaitForChange | Step::Leave => Action::await_change(),
        // It has to be done again because the API server refused a part of it.
        again if again == step => Action::requeue(soon()),
        Step::Poll | Step::Suspend | Step::GoStale => Action::requeue(Duration::ZERO),
    })
}

fn after_error(
    source: Arc<ModelArtsPoolSource>,
    error: &ReconcileError,
    _: Arc<Context>,
) -> Action {
    warn!(source = %source.name_any(), error = chain(error), "reconcile");
    Action::requeue(soon())
}

/// When to try the API server again.
fn soon() -> Duration {
    Duration::from_secs(5).mul_f64(1.0 + fastrand::f64())
}

/// One reconcile of one source.
struct Run<'a> {
    source: &'a ModelArtsPoolSource,
    context: &'a Context,
    owner: &'a Owner,
    memory: &'a mut Memory,
}

impl Run<'_> {
    async fn suspend(&mut self) -> Result<(), ReconcileError> {
        let before = self.status();
        let status = report::suspended(&self.before(&before));
        self.write(status).await?;
        self.memory.suspended_at = self.source.metadata.generation;
        Ok(())
    }

    /// Makes every mirror say that it is no longer known to be true, and the source that it fails.
    async fn go_stale(&mut self) -> Result<(), ReconcileError> {
        let since = schedule::last_sync(self.source, self.memory);
        let mirrors = self.context.inventory.mirrors(&self.owner.namespace);
        let changes = plan_stale(&mirrors, self.owner, since);
        // What the last snapshot wanted is no longer what should be there.
        self.intend(BTreeMap::new());
        warn!(namespace = %self.owner.namespace, source = %self.owner.name, mirrors = changes.len(), "mirrors go stale");
        self.memory.stale = self.apply(changes).await.is_complete();
        if self.source.spec.suspend {
            return Ok(());
        }
        self.report_failure().await
    }

    async fn poll(
        &mut self,
        timing: Result<Timing, String>,
        drifted: bool,
    ) -> Result<(), ReconcileError> {
        self.memory.suspended_at = None;
        self.memory.generation = self.source.metadata.generation;
        self.memory.requested_at =
            schedule::annotation(self.source, REQUESTED_AT).map(str::to_owned);
        self.memory.confirmed = schedule::annotation(self.source, CONFIRM_PRUNE).map(str::to_owned);
        let timing = match timing {
            Ok(timing) => timing,
            Err(detail) => {
                let error = PollError::new("read spec", Class::InvalidSpec, detail);
                return self.failed(&error, Duration::from_secs(60)).await;
            }
        };
        match self.snapshot(timing).await {
            Ok((snapshot, endpoint)) => self.mirror(&snapshot, endpoint, timing, drifted).await,
            Err(NoSnapshot::Cloud(error)) => self.failed(&error, timing.interval).await,
            Err(NoSnapshot::Cluster(error)) => Err(error),
        }
    }

    /// Asks the cloud. Should the answer take so long that the mirrors become stale meanwhile,
    /// they say so before it arrives.
    async fn snapshot(&mut self, timing: Timing) -> Result<(Snapshot, String), NoSnapshot> {
        let (source, context) = (self.source, self.context);
        let asking = ask(source, context, self.owner, timing);
        futures::pin_mut!(asking);
        let stale_at =
            schedule::stale_at(source, self.memory, timing).filter(|_| !self.memory.stale);
        if let Some(at) = stale_at {
            let left = at.duration_since(Timestamp::now());
            let left = Duration::try_from(left).unwrap_or_default();
            tokio::select! {
                answer = &mut asking => return answer,
                () = tokio::time::sleep(left) => {}
            }
            self.go_stale().await.map_err(NoSnapshot::Cluster)?;
        }
        asking.await
    }

    async fn mirror(
        &mut self,
        snapshot: &Snapshot,
        endpoint: String,
        timing: Timing,
        drifted: bool,
    ) -> Result<(), ReconcileError> {
        let now = Timestamp::now();
        let mirrors = self.context.inventory.mirrors(&self.owner.namespace);
        let policy = Policy {
            prune: &self.source.spec.prune,
            confirmed: self.memory.confirmed.as_deref(),
        };
        let mut plan = plan(
            &mirrors,
            snapshot,
            self.owner,
            policy,
            self.memory.absences.as_ref(),
            now,
        );
        self.intend(std::mem::take(&mut plan.intended));
        let changes = std::mem::take(&mut plan.changes);
        let planned = changes.len();
        let outcome = self.apply(changes).await;
        info!(
            namespace = %self.owner.namespace, source = %self.owner.name,
            pools = plan.tally.pools, planned, done = outcome.done, conflicts = outcome.conflicts,
            failed = outcome.failed, "polled"
        );
        for item in snapshot.set_aside() {
            warn!(source = %self.owner.name, pool = item.name.as_deref().unwrap_or("?"), why = %item.why, "set aside");
        }
        self.memory.repairs = if drifted {
            self.memory.repairs.saturating_add(1)
        } else {
            0
        };
        let after = Duration::from_secs(1 << self.memory.repairs.min(12)).min(timing.interval);
        self.memory.repair_after = later(now, after);

        let stored = self.status();
        if outcome.is_complete() {
            self.memory.failures = 0;
            self.memory.failure = None;
            self.memory.stale = false;
            self.memory.next_poll =
                later(now, timing.interval.mul_f64(1.0 + 0.05 * fastrand::f64()));
            let synced = report::Synced {
                plan: &plan,
                project_id: &snapshot.key().project_id,
                endpoint,
                taken_at: snapshot.taken_at(),
            };
            let status = report::synced(&self.before(&stored), &synced);
            self.memory.absences = Some(plan.absences);
            return self.write(status).await;
        }
        // The plan is made anew soon: a conflict brings the other's version through the watch.
        self.memory.failures = self.memory.failures.saturating_add(1);
        let retry = Class::Upstream.delay(self.memory.failures, timing.interval, fastrand::f64());
        self.memory.next_poll = later(now, retry);
        if outcome.failed == 0 {
            return Ok(());
        }
        let status = report::unwritten(&self.before(&stored));
        self.write(status).await
    }

    async fn failed(
        &mut self,
        error: &PollError,
        interval: Duration,
    ) -> Result<(), ReconcileError> {
        self.memory.failures = self.memory.failures.saturating_add(1);
        let delay = error
            .class
            .delay(self.memory.failures, interval, fastrand::f64());
        let now = Timestamp::now();
        self.memory.next_poll = later(now, delay);
        warn!(
            namespace = %self.owner.namespace, source = %self.owner.name, reason = error.class.reason(),
            request_id = error.request_id.as_deref().unwrap_or("-"), error = chain(error),
            again_in = delay.as_secs(), "poll failed"
        );
        self.memory.failure = Some(Failure {
            class: error.class,
            message: error.message(),
        });
        self.report_failure().await
    }

    async fn report_failure(&mut self) -> Result<(), ReconcileError> {
        // Without a failure of its own, what went stale is a poll that has no answer yet.
        let failure = self.memory.failure.clone().unwrap_or_else(|| Failure {
            class: Class::Unreachable,
            message: PollError::new("list pools", Class::Unreachable, "").message(),
        });
        let stored = self.status();
        let status = report::failed(&self.before(&stored), &failure, self.memory.stale);
        self.write(status).await
    }

    fn status(&self) -> ModelArtsPoolSourceStatus {
        let known = self.memory.status.as_ref().or(self.source.status.as_ref());
        known.cloned().unwrap_or_default()
    }

    fn before<'s>(&'s self, status: &'s ModelArtsPoolSourceStatus) -> Before<'s> {
        Before {
            status,
            generation: self.source.metadata.generation,
            handled: schedule::annotation(self.source, REQUESTED_AT)
                .or(status.last_handled_reconcile_at.as_deref()),
            now: Timestamp::now(),
        }
    }

    fn intend(&self, intended: BTreeMap<String, mirror::Intended>) {
        let inventory = &self.context.inventory;
        inventory.intend(&self.owner.namespace, &self.owner.name, intended);
    }

    async fn apply(&self, changes: Vec<mirror::Change>) -> apply::Outcome {
        let pools: Api<ModelArtsPool> =
            Api::namespaced(self.context.client.clone(), &self.owner.namespace);
        let context = self.context;
        let now = Timestamp::now();
        apply::apply(
            &pools,
            &context.inventory,
            self.owner,
            changes,
            now,
            &context.cancel,
        )
        .await
    }

    /// Writes the source's status unless it is already so. A conflict means that somebody changed
    /// the source meanwhile: the status is put onto their version, once.
    async fn write(&mut self, status: ModelArtsPoolSourceStatus) -> Result<(), ReconcileError> {
        const OPERATION: &str = "write source status";
        let status = whole_seconds(status);
        if self.status() == status {
            return Ok(());
        }
        let sources: Api<ModelArtsPoolSource> =
            Api::namespaced(self.context.client.clone(), &self.owner.namespace);
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let mut source = self.source.clone();
        source.metadata.managed_fields = None;
        source.status = Some(status.clone());
        let name = &self.owner.name;
        let mut written = in_time(OPERATION, sources.replace_status(name, &params, &source)).await;
        if written
            .as_ref()
            .is_err_and(|error| error.is(kube::core::Status::is_conflict))
        {
            let current = in_time(OPERATION, sources.get(name)).await?;
            source.metadata.resource_version = current.metadata.resource_version;
            written = in_time(OPERATION, sources.replace_status(name, &params, &source)).await;
        }
        match written {
            Ok(_) => self.memory.status = Some(status),
            // The source was deleted, or deleted and created anew, while it was polled.
            Err(error)
                if error.is(kube::core::Status::is_not_found)
                    || error.is(kube::core::Status::is_conflict) =>
            {
                debug!(source = %name, "the source is gone");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl ReconcileError {
    fn is(&self, kind: impl Fn(&kube::core::Status) -> bool) -> bool {
        matches!(&self.source, KubeFailure::Refused(kube::Error::Api(status)) if kind(status))
    }
}

/// One poll of the cloud with the source's credentials.
async fn ask(
    source: &ModelArtsPoolSource,
    context: &Context,
    owner: &Owner,
    timing: Timing,
) -> Result<(Snapshot, String), NoSnapshot> {
    let spec = &source.spec;
    let credentials = secret::credentials(source, context, owner).await?;
    let project_id = match &spec.project_id {
        Some(id) => id.clone(),
        None => {
            let name = spec.project_name.as_deref().unwrap_or(&spec.region);
            context
                .cloud
                .project_id(&spec.region, name, timing.timeout, &credentials)
                .await
                .map_err(NoSnapshot::Cloud)?
        }
    };
    let endpoint = context
        .cloud
        .endpoint(&spec.region)
        .map_err(NoSnapshot::Cloud)?
        .to_string();
    let target = Target {
        region: spec.region.clone(),
        project_id,
        query: spec.query.clone(),
        timeout: timing.timeout,
    };
    let snapshot = context.cloud.poll(&target, &credentials).await;
    snapshot
        .map(|snapshot| (snapshot, endpoint))
        .map_err(NoSnapshot::Cloud)
}

async fn in_time<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ReconcileError> {
    let answer = match tokio::time::timeout(DEADLINE, call).await {
        Ok(answer) => answer.map_err(KubeFailure::from),
        Err(_) => Err(KubeFailure::Late),
    };
    answer.map_err(|source| ReconcileError { operation, source })
}

/// The API server keeps whole seconds; anything finer would never compare equal.
fn whole_seconds(mut status: ModelArtsPoolSourceStatus) -> ModelArtsPoolSourceStatus {
    if let Some(time) = &mut status.last_sync_time {
        time.0 = Timestamp::from_second(time.0.as_second()).unwrap_or(time.0);
    }
    status
}

fn later(now: Timestamp, delay: Duration) -> Option<Timestamp> {
    now.checked_add(delay).ok()
}

/// An error with its causes, for one line of the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
