//! Reconciles a source: step → poll → plan → apply → report → requeue.
//!
//! It owns the order of things and nothing else: what to do is decided by the pure functions of
//! [`schedule`], [`crate::mirror`] and [`report`].

mod ask;
mod call;
mod context;
mod events;
mod memory;
mod pass;
mod report;
mod schedule;
mod secret;
mod series;
mod slots;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::channel::mpsc;
use k8s_openapi::jiff::Timestamp;
use kube::core::Selector;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config, Error as ControllerError};
use kube::runtime::reflector::{self, ObjectRef, Store, reflector};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use tracing::{debug, warn};

use self::call::{ReconcileError, chain};
pub use self::context::Context;
use self::memory::Memory;
use self::pass::Pass;
use self::schedule::{Step, Timing};
pub use self::series::SourceSeries;
use self::slots::Slot;
use crate::api::ModelArtsPoolSource;
use crate::mirror::{Owner, attend, watch_config};
use crate::progress::{SourceKey, Watched};

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
    let (reader, writer) = reflector::store();
    let watching = Arc::clone(&context);
    let mut listed = BTreeSet::new();
    let watch = watcher(sources, watch_config().labels_from(selector))
        .default_backoff()
        .inspect(move |event| {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(source)) => {
                    watching.progress.found(key(source));
                    listed.insert(key(source));
                }
                Ok(watcher::Event::InitDone) => {
                    watching.forget_unlisted(watched.namespace.as_deref(), &listed);
                }
                Ok(watcher::Event::Delete(source)) => watching.forget(&key(source)),
                Ok(watcher::Event::Apply(_)) | Err(_) => {}
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
    let shown = || sources.get(&ObjectRef::from_obj(&*source));
    let _slot = tokio::select! {
        slot = turn(shown, &context, &key) => slot?,
        () = context.cancel.cancelled() => return Ok(Action::await_change()),
    };
    if !context.gate.is_open() {
        return Ok(Action::requeue(Duration::ZERO));
    }
    // What was known of the source is as old as the wait was long.
    let Some(source) = shown() else {
        context.forget(&key);
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

/// Waits for the source's turn. A long line is no excuse: mirrors say that they are stale meanwhile.
async fn turn(
    shown: impl Fn() -> Option<Arc<ModelArtsPoolSource>>,
    context: &Context,
    key: &SourceKey,
) -> Result<Option<Slot>, ReconcileError> {
    context.gate.opened().await;
    context.inventory.synced().await;
    let turn = context.slots.take(&key.0);
    tokio::pin!(turn);
    loop {
        let stale_at = || shown().and_then(|it| Some((context.stale_at(&it, key)?, it)));
        let Some((at, _)) = stale_at() else {
            return Ok(turn.await);
        };
        let left = Duration::try_from(at.duration_since(Timestamp::now()));
        tokio::select! {
            slot = &mut turn => return Ok(slot),
            () = tokio::time::sleep(left.unwrap_or_default().max(schedule::GRACE)) => {}
        }
        // A change of the source may have put it off.
        let Some((_, source)) = stale_at().filter(|it| it.0 <= Timestamp::now()) else {
            continue;
        };
        let owner = Owner::of(&source);
        let mut memory = context.recall(key, &owner);
        let mut pass = Pass {
            source: &source,
            context,
            owner: &owner,
            memory: &mut memory,
        };
        let done = pass.go_stale().await;
        context.memories().insert(key.clone(), memory);
        done?;
    }
}

/// Does what is to be done about a source now. Returns after how long to look at it again, or
/// `None` for when somebody changes it.
async fn look_at(
    source: &ModelArtsPoolSource,
    context: &Context,
    key: &SourceKey,
) -> Result<Option<Duration>, ReconcileError> {
    let owner = Owner::of(source);
    let mut memory = context.recall(key, &owner);
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
        Step::Wait(_) | Step::WaitForChange => pass.settle().await,
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

fn key(source: &ModelArtsPoolSource) -> SourceKey {
    (source.namespace().unwrap_or_default(), source.name_any())
}

/// When to try the API server again.
fn soon() -> Duration {
    Duration::from_secs(5).mul_f64(1.0 + fastrand::f64())
}
