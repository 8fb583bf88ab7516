//! Reconciles a source: step → poll → plan → apply → report → requeue.
//!
//! It owns the order of things and nothing else: what to do is decided by the pure functions of
//! [`schedule`], [`crate::mirror`] and [`report`].

mod events;
mod memory;
mod pass;
mod report;
mod schedule;
mod secret;
mod series;
mod slots;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::channel::mpsc;
use k8s_openapi::jiff::Timestamp;
use kube::core::Selector;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config, Error as ControllerError};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store, reflector};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::memory::Memory;
use self::pass::Pass;
use self::schedule::{Step, Timing};
pub use self::series::SourceSeries;
use self::slots::Slots;
use crate::api::{FIELD_MANAGER, ModelArtsPoolSource};
use crate::lease::Gate;
use crate::mirror::{Inventory, Owner, Writes, attend, watch_config};
use crate::modelarts::{self, Ambient, Class, Credentials, PollError, Snapshot, Target};
use crate::progress::{Progress, Watched};

/// One request to the API server about a source or a Secret.
const DEADLINE: Duration = Duration::from_secs(10);

/// What every reconcile needs.
#[derive(Clone)]
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// The cloud.
    pub cloud: Arc<modelarts::Client>,
    /// The controller's own identity, for sources that name no Secret.
    pub ambient: Arc<Ambient>,
    /// The namespaces whose sources may use it.
    pub ambient_namespaces: BTreeSet<String>,
    /// Told how far the work has got.
    pub progress: Arc<Progress>,
    /// Open while this replica does the work; `client` is behind it.
    pub gate: Gate,
    /// Fires when the process is to end.
    pub cancel: CancellationToken,
    /// The mirrors that are there.
    pub inventory: Arc<Inventory>,
    /// Counts the writes.
    pub writes: Writes,
    recorder: Recorder,
    memories: Arc<Memories>,
    slots: Arc<Slots>,
}

/// What is remembered of every source.
#[derive(Default)]
struct Memories(Mutex<HashMap<Key, Memory>>);

/// Namespace and name of a source.
type Key = crate::progress::SourceKey;

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
    /// The process ends, or no longer leads.
    Ended,
}

impl Context {
    /// A context with nothing remembered.
    pub fn new(
        client: Client,
        cloud: Arc<modelarts::Client>,
        ambient: Arc<Ambient>,
        ambient_namespaces: BTreeSet<String>,
        progress: Arc<Progress>,
        gate: Gate,
        cancel: CancellationToken,
    ) -> Self {
        let reporter = Reporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: None,
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            cloud,
            ambient,
            ambient_namespaces,
            progress,
            gate,
            cancel,
            inventory: Arc::default(),
            writes: Writes::default(),
            memories: Arc::default(),
            slots: Arc::default(),
        }
    }

    /// The same with an inventory of its own, for another watch on mirrors.
    pub fn of_another_scope(&self) -> Self {
        Self {
            inventory: Arc::default(),
            ..self.clone()
        }
    }

    /// The series of all sources, for a registry.
    pub fn series(&self) -> SourceSeries {
        SourceSeries(Arc::clone(&self.memories))
    }

    /// Waits until there is no use in asking the cloud any more.
    async fn ended(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = self.gate.shut() => {}
        }
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<Key, Memory>> {
        self.memories.lock()
    }

    /// Forgets a source that is gone.
    fn forget(&self, source: &Key) {
        self.inventory.intend(&source.0, &source.1, BTreeMap::new());
        self.memories().remove(source);
        self.progress.forget(source);
    }
}

impl Memories {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reconciles the selected sources until `context.cancel` fires; running reconciles are finished.
/// `wake` names sources whose mirrors somebody else changed.
pub async fn run(
    sources: Api<ModelArtsPoolSource>,
    selector: &Selector,
    context: Arc<Context>,
    wake: mpsc::UnboundedReceiver<ObjectRef<ModelArtsPoolSource>>,
    watched: Watched,
) {
    let cancelled = context.cancel.clone().cancelled_owned();
    context.progress.open(&watched);
    let (reader, writer) = reflector::store();
    let watching = Arc::clone(&context);
    let watch = watcher(sources, watch_config().labels_from(selector))
        .default_backoff()
        .inspect(move |event| {
            match event {
                Ok(watcher::Event::InitApply(source)) => watching.progress.found(key(source)),
                Ok(watcher::Event::Delete(source)) => watching.forget(&key(source)),
                _ => {}
            }
            attend(event, &watched, &watching.progress);
        });
    let stored = reader.clone();
    let reconcile = move |source, context| reconcile(source, stored.clone(), context);
    Controller::for_stream(reflector(writer, watch).applied_objects(), reader)
        // As many as want to: each waits for its turn in its namespace's line, and not in one line
        // behind the thousand sources of another.
        .with_config(Config::default().concurrency(0))
        .reconcile_on(wake)
        .graceful_shutdown_on(cancelled)
        .run(reconcile, after_error, Arc::clone(&context))
        .for_each(|result| {
            match result {
                // Each was logged where it was handled.
                Ok(_)
                | Err(ControllerError::ReconcilerFailed(..) | ControllerError::QueueError(_)) => {}
                Err(ControllerError::ObjectNotFound(source)) => {
                    let source = *source;
                    context.forget(&(source.namespace.unwrap_or_default(), source.name));
                }
                Err(error) => warn!(%error, "control sources"),
            }
            std::future::ready(())
        })
        .await;
}

async fn reconcile(
    source: Arc<ModelArtsPoolSource>,
    sources: Store<ModelArtsPoolSource>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let (key, progress) = (key(&source), &context.progress);
    let turn = async {
        context.gate.opened().await;
        context.inventory.synced().await;
        context.slots.take(&key.0).await
    };
    let _slot = tokio::select! {
        slot = turn => slot,
        () = context.cancel.cancelled() => return Ok(Action::await_change()),
    };
    if !context.gate.is_open() {
        return Ok(Action::requeue(Duration::ZERO));
    }
    // What was known of the source is as old as the wait was long.
    let Some(source) = sources.get(&ObjectRef::from_obj(&*source)) else {
        return Ok(Action::await_change());
    };
    progress.begin(&key, Instant::now());
    let next = look_at(&source, &context, &key).await;
    let delay = match &next {
        Ok(next) => *next,
        Err(_) => Some(soon()),
    };
    progress.end(&key, Instant::now(), delay);
    Ok(next?.map_or_else(Action::await_change, Action::requeue))
}

/// Does what is to be done about a source now. Returns after how long to look at it again, or
/// `None` for when somebody changes it.
async fn look_at(
    source: &ModelArtsPoolSource,
    context: &Context,
    key: &Key,
) -> Result<Option<Duration>, ReconcileError> {
    let owner = Owner {
        namespace: source.namespace().unwrap_or_default(),
        name: source.name_any(),
        uid: source.uid().unwrap_or_default(),
    };
    let known = context.memories().get(key).cloned();
    let mut memory = known
        .filter(|memory| memory.uid == owner.uid)
        .unwrap_or_else(|| Memory::of(&owner.uid));
    let timing = Timing::of(source);
    let next = |memory: &Memory| {
        let drifted = context.inventory.has_drifted(&key.0, &key.1);
        let timing = timing.as_ref().ok().copied();
        let step = schedule::step(source, timing, memory, drifted, Timestamp::now());
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
    let mut pass = Pass {
        source,
        context,
        owner: &owner,
        memory: &mut memory,
    };
    let done = match step {
        Step::Leave => {
            context.forget(key);
            return Ok(None);
        }
        Step::Wait(_) | Step::WaitForChange => Ok(()),
        Step::GoStale => pass.go_stale().await,
        Step::Suspend => pass.suspend().await,
        Step::Poll => pass.poll(timing.clone(), drifted).await,
    };
    // Remembered whether or not the API server took what was to be written: a poll that happened
    // must not happen again before its time.
    memory.record(source, timing.as_ref().ok());
    context.memories().insert(key.clone(), memory.clone());
    done?;
    Ok(match next(&memory).0 {
        Step::Wait(delay) => Some(delay),
        Step::WaitForChange | Step::Leave => None,
        // It has to be done again because the API server refused a part of it.
        again if again == step => Some(soon()),
        Step::Poll | Step::Suspend | Step::GoStale => Some(Duration::ZERO),
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

fn key(source: &ModelArtsPoolSource) -> Key {
    (source.namespace().unwrap_or_default(), source.name_any())
}

/// When to try the API server again.
fn soon() -> Duration {
    Duration::from_secs(5).mul_f64(1.0 + fastrand::f64())
}

impl ReconcileError {
    fn is(&self, kind: impl Fn(&kube::core::Status) -> bool) -> bool {
        matches!(&self.source, KubeFailure::Refused(kube::Error::Api(status)) if kind(status))
    }
}

/// One poll of the cloud with the source's credentials. Keys that were issued may be withdrawn
/// before their time: others are asked for once.
async fn ask(
    source: &ModelArtsPoolSource,
    context: &Context,
    owner: &Owner,
    timing: Timing,
) -> Result<(Snapshot, String), NoSnapshot> {
    let credentials = secret::credentials(source, context, owner).await?;
    let mut answer = ask_as(source, context, timing, &credentials).await;
    if let Err(error) = &answer
        && error.class == Class::Authentication
        && context.ambient.refused(&credentials, Timestamp::now())
    {
        let credentials = secret::credentials(source, context, owner).await?;
        answer = ask_as(source, context, timing, &credentials).await;
    }
    answer.map_err(NoSnapshot::Cloud)
}

async fn ask_as(
    source: &ModelArtsPoolSource,
    context: &Context,
    timing: Timing,
    credentials: &Credentials,
) -> Result<(Snapshot, String), PollError> {
    let (spec, cloud) = (&source.spec, &context.cloud);
    let project_id = match &spec.project_id {
        Some(id) => id.clone(),
        None => {
            let name = spec.project_name.as_deref().unwrap_or(&spec.region);
            let found = cloud.project_id(&spec.region, name, timing.timeout, credentials);
            found.await?
        }
    };
    let endpoint = cloud.endpoint(&spec.region)?.to_string();
    let target = Target {
        region: spec.region.clone(),
        project_id,
        query: spec.query.clone(),
        timeout: timing.timeout,
    };
    let snapshot = cloud.poll(&target, credentials).await?;
    Ok((snapshot, endpoint))
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

/// An error with its causes, for one line of the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
