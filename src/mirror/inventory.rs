//! What the API server holds, as it said last: a fingerprint per mirror, never the mirror.
//!
//! Fed by the watch and by the answers to our own writes. It decides nothing; it only notices
//! that a mirror is no longer what the last plan left there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::stamp;
use crate::api::{Mark, ModelArtsPool, ModelArtsPoolSource, marks};

/// 128 bits of SHA-256 over a value's JSON. The text behind it comes from outside, so the hash
/// must not be one that somebody can make collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 16]);

/// One mirror as the API server holds it.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// The object's uid.
    pub uid: String,
    /// The version that a conditional write has to name.
    pub resource_version: String,
    /// The source named in its spec.
    pub source: String,
    /// The uid of the source that owns it, if one does.
    pub owner_uid: Option<String>,
    /// The pool it mirrors.
    pub pool_name: String,
    /// Fingerprint of our part of spec and metadata.
    pub identity: Fingerprint,
    /// Fingerprint of the status.
    pub status: Fingerprint,
    /// Fingerprint of the status that was sent when this one came back: they differ where the
    /// installed CRD is older than this program and drops fields.
    pub sent: Option<Fingerprint>,
    /// The stored conditions.
    pub marks: Vec<Mark>,
    /// The phase last mirrored.
    pub phase: Option<String>,
    /// The drivers last mirrored, as their column shows them.
    pub drivers: Option<String>,
    /// The pool's own creation time, as mirrored.
    pub pool_created: Option<String>,
    /// The pool's resource ID, as mirrored.
    pub resource_id: Option<String>,
    /// Whether the object is being deleted.
    pub terminating: bool,
}

/// The mirrors of one namespace by name, as they were at one moment.
pub type Mirrors = BTreeMap<String, Arc<Mirror>>;

/// What the last plan wanted a mirror to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intended {
    /// The source that planned it.
    pub source: String,
    /// Fingerprint of our part of spec and metadata.
    pub identity: Fingerprint,
    /// Fingerprint of the status.
    pub status: Fingerprint,
}

/// All mirrors that the controller can see.
#[derive(Default)]
pub struct Inventory {
    state: Mutex<State>,
    synced: tokio::sync::watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    namespaces: HashMap<String, BTreeMap<String, Entry>>,
    /// The names seen since a new listing began, while one is under way.
    listing: Option<BTreeSet<(String, String)>>,
}

#[derive(Default)]
struct Entry {
    stored: Option<Arc<Mirror>>,
    intended: Option<Intended>,
    /// The uid of the object deleted last: an answer to a write of ours may come after the news of
    /// the deletion, and must not bring the object back.
    deleted: Option<String>,
}

impl Fingerprint {
    /// The fingerprint of a value. Equal values have equal JSON here: field order is fixed by the
    /// types and maps are sorted.
    pub fn of(value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value).unwrap_or_default();
        let mut short = [0; 16];
        short.copy_from_slice(&Sha256::digest(json)[..16]);
        Self(short)
    }
}

impl Mirror {
    /// What the inventory keeps of an object.
    pub fn of(object: &ModelArtsPool) -> Self {
        let status = object.status.as_ref();
        let metadata = status.and_then(|status| status.metadata.as_ref());
        Self {
            uid: object.uid().unwrap_or_default(),
            resource_version: object.resource_version().unwrap_or_default(),
            source: object.spec.source.name.clone(),
            owner_uid: stamp::owner_uid(&object.metadata),
            pool_name: object.spec.pool_name.clone(),
            identity: Fingerprint::of(&stamp::ours(object)),
            status: Fingerprint::of(&object.status),
            sent: None,
            marks: status.map_or_else(Vec::new, |status| marks(&status.conditions)),
            phase: status.and_then(|status| status.phase.clone()),
            drivers: status.and_then(|it| Some(it.summary.as_ref()?.drivers.clone())),
            pool_created: metadata.and_then(|it| it.creation_timestamp.clone()),
            resource_id: metadata.and_then(|it| it.resource_id.clone()),
            terminating: object.metadata.deletion_timestamp.is_some(),
        }
    }

    /// Whether the stored status is, or was made from, the one with this fingerprint.
    pub fn shows(&self, status: Fingerprint) -> bool {
        self.status == status || self.sent == Some(status)
    }

    /// The stored condition of this type.
    pub fn mark(&self, kind: &str) -> Option<&Mark> {
        self.marks.iter().find(|mark| mark.kind == kind)
    }

    /// Versions of one object compare as numbers; an answer to our own write may be newer than
    /// what the watch brings next.
    fn is_older_than(&self, other: &Self) -> bool {
        let number = |mirror: &Self| mirror.resource_version.parse::<u64>().ok();
        self.uid == other.uid
            && matches!((number(self), number(other)), (Some(mine), Some(theirs)) if mine < theirs)
    }
}

impl Entry {
    /// Whether nothing is there and nothing is wanted.
    fn is_empty(&self) -> bool {
        self.stored.is_none() && self.intended.is_none()
    }

    /// Whether the mirror is not what the last plan left, and if so of which source.
    fn drifted(&self) -> Option<&str> {
        let intended = self.intended.as_ref()?;
        let same = self.stored.as_ref().is_some_and(|stored| {
            stored.identity == intended.identity && stored.shows(intended.status)
        });
        (!same).then_some(intended.source.as_str())
    }
}

impl Inventory {
    /// Takes in a version of a mirror. Returns the source to wake where it is not what the last
    /// plan left there.
    pub fn observe(&self, object: &ModelArtsPool) -> Option<ObjectRef<ModelArtsPoolSource>> {
        self.take_in(object, None)
    }

    /// Takes in the answer to a status that we wrote. Returns whether it came back as it was
    /// sent; it does not where the installed CRD drops fields that it does not know.
    pub fn observe_answer(&self, object: &ModelArtsPool, sent: Fingerprint) -> bool {
        self.take_in(object, Some(sent));
        Fingerprint::of(&object.status) == sent
    }

    fn take_in(
        &self,
        object: &ModelArtsPool,
        sent: Option<Fingerprint>,
    ) -> Option<ObjectRef<ModelArtsPoolSource>> {
        let (namespace, name) = key(object);
        let mut mirror = Mirror::of(object);
        mirror.sent = sent;
        let mut state = self.state();
        if let Some(listing) = &mut state.listing {
            listing.insert((namespace.clone(), name.clone()));
        }
        let entry = state.entry(&namespace, &name);
        if entry.deleted.as_ref() == Some(&mirror.uid)
            || entry
                .stored
                .as_ref()
                .is_some_and(|known| mirror.is_older_than(known))
        {
            return None;
        }
        // The watch brings our own write again, without what was sent.
        if let Some(known) = &entry.stored
            && mirror.sent.is_none()
            && known.uid == mirror.uid
            && known.status == mirror.status
        {
            mirror.sent = known.sent;
        }
        entry.stored = Some(Arc::new(mirror));
        entry
            .drifted()
            .map(|source| ObjectRef::new(source).within(&namespace))
    }

    /// Takes in that a mirror is gone. Returns the source to wake where the last plan wanted it.
    pub fn forget(&self, object: &ModelArtsPool) -> Option<ObjectRef<ModelArtsPoolSource>> {
        let (namespace, name) = key(object);
        let mut state = self.state();
        let entry = state.entry(&namespace, &name);
        entry.deleted = object.uid();
        // A mirror of that name created since is another object.
        if entry
            .stored
            .as_ref()
            .is_some_and(|known| object.uid().as_deref() == Some(&known.uid))
        {
            entry.stored = None;
        }
        let woken = entry
            .drifted()
            .map(|source| ObjectRef::new(source).within(&namespace));
        state.drop_empty(&namespace, &name);
        woken
    }

    /// The mirrors of a namespace as they are now.
    pub fn mirrors(&self, namespace: &str) -> Mirrors {
        let state = self.state();
        let Some(entries) = state.namespaces.get(namespace) else {
            return Mirrors::new();
        };
        let stored = |(name, entry): (&String, &Entry)| Some((name.clone(), entry.stored.clone()?));
        entries.iter().filter_map(stored).collect()
    }

    /// Remembers what a plan wants these mirrors to be, before it is carried out: the watch may
    /// bring a write of ours earlier than its answer does. What the source wanted of any other
    /// mirror before is forgotten.
    pub fn intend(&self, namespace: &str, source: &str, mut intended: BTreeMap<String, Intended>) {
        let mut state = self.state();
        let entries = state.namespaces.entry(namespace.to_owned()).or_default();
        for (name, entry) in entries.iter_mut() {
            match intended.remove(name) {
                Some(wanted) => entry.intended = Some(wanted),
                None if entry
                    .intended
                    .as_ref()
                    .is_some_and(|it| it.source == source) =>
                {
                    entry.intended = None;
                }
                None => {}
            }
        }
        for (name, wanted) in intended {
            entries.entry(name).or_default().intended = Some(wanted);
        }
        entries.retain(|_, entry| !entry.is_empty());
        if entries.is_empty() {
            state.namespaces.remove(namespace);
        }
    }

    /// Forgets what the last plan wanted these mirrors to be, because they cannot be so: what is not
    /// there is no drift.
    pub fn give_up<'n>(&self, namespace: &str, names: impl Iterator<Item = &'n String>) {
        let mut state = self.state();
        for name in names {
            state.entry(namespace, name).intended = None;
            state.drop_empty(namespace, name);
        }
    }

    /// Whether any mirror of this source is not what the last plan left.
    pub fn has_drifted(&self, namespace: &str, source: &str) -> bool {
        let state = self.state();
        let entries = state.namespaces.get(namespace);
        entries.is_some_and(|entries| entries.values().any(|it| it.drifted() == Some(source)))
    }

    /// Waits until the API server has shown all mirrors once.
    pub async fn synced(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Begins to take in all mirrors anew.
    pub(super) fn begin_listing(&self) {
        self.state().listing = Some(BTreeSet::new());
    }

    /// Ends a listing: mirrors that it did not show are gone.
    pub(super) fn end_listing(&self) -> Vec<ObjectRef<ModelArtsPoolSource>> {
        let mut state = self.state();
        let Some(seen) = state.listing.take() else {
            return Vec::new();
        };
        let mut woken = Vec::new();
        for (namespace, entries) in &mut state.namespaces {
            for (name, entry) in entries.iter_mut() {
                if !seen.contains(&(namespace.clone(), name.clone())) {
                    entry.stored = None;
                }
                if let Some(source) = entry.drifted() {
                    woken.push(ObjectRef::new(source).within(namespace));
                }
            }
            entries.retain(|_, entry| !entry.is_empty());
        }
        state.namespaces.retain(|_, entries| !entries.is_empty());
        drop(state);
        self.synced.send_replace(true);
        woken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn entry(&mut self, namespace: &str, name: &str) -> &mut Entry {
        let entries = self.namespaces.entry(namespace.to_owned()).or_default();
        entries.entry(name.to_owned()).or_default()
    }

    fn drop_empty(&mut self, namespace: &str, name: &str) {
        let Some(entries) = self.namespaces.get_mut(namespace) else {
            return;
        };
        if entries.get(name).is_some_and(Entry::is_empty) {
            entries.remove(name);
        }
        if entries.is_empty() {
            self.namespaces.remove(namespace);
        }
    }
}

fn key(object: &ModelArtsPool) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests;
