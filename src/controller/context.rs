//! What every reconcile needs, and what the process remembers between two of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio_util::sync::CancellationToken;

use super::memory::Memory;
use super::schedule::{self, Timing};
use super::series::SourceSeries;
use super::slots::Slots;
use crate::api::{FIELD_MANAGER, ModelArtsPoolSource};
use crate::lease::Gate;
use crate::mirror::{Inventory, Owner, Writes};
use crate::modelarts::{self, Ambient};
use crate::progress::{Progress, SourceKey};

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
    pub(super) recorder: Recorder,
    memories: Arc<Memories>,
    pub(super) slots: Arc<Slots>,
}

/// What is remembered of every source.
#[derive(Default)]
pub(super) struct Memories(Mutex<HashMap<SourceKey, Memory>>);

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
    pub(super) async fn ended(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = self.gate.shut() => {}
        }
    }

    pub(super) fn memories(&self) -> MutexGuard<'_, HashMap<SourceKey, Memory>> {
        self.memories.lock()
    }

    /// What is remembered of this source, and of no other of its name.
    pub(super) fn recall(&self, key: &SourceKey, owner: &Owner) -> Memory {
        let known = self.memories().get(key).cloned();
        known
            .filter(|memory| memory.uid == owner.uid)
            .unwrap_or_else(|| Memory::of(&owner.uid))
    }

    /// When the source's mirrors have to say that they are stale, unless they did or nobody may
    /// write them any more.
    pub(super) fn stale_at(
        &self,
        source: &ModelArtsPoolSource,
        key: &SourceKey,
    ) -> Option<Timestamp> {
        let (memories, unknown) = (self.memories(), Memory::default());
        let known = memories.get(key);
        let memory = known
            .filter(|it| Some(&it.uid) == source.metadata.uid.as_ref())
            .unwrap_or(&unknown);
        if memory.stale || source.metadata.deletion_timestamp.is_some() {
            return None;
        }
        schedule::stale_at(source, memory, Timing::of(source).ok()?)
    }

    /// Forgets the sources of a scope that a whole listing did not show: no event tells of one that
    /// went while nobody watched.
    pub(super) fn forget_unlisted(&self, namespace: Option<&str>, listed: &BTreeSet<SourceKey>) {
        let unlisted =
            |key: &&SourceKey| namespace.is_none_or(|it| it == key.0) && !listed.contains(*key);
        let gone: Vec<SourceKey> = self.memories().keys().filter(unlisted).cloned().collect();
        for key in &gone {
            self.forget(key);
        }
    }

    /// Forgets a source that is gone.
    pub(super) fn forget(&self, source: &SourceKey) {
        self.inventory.intend(&source.0, &source.1, BTreeMap::new());
        self.memories().remove(source);
        self.progress.forget(source);
    }
}

impl Memories {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<SourceKey, Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
