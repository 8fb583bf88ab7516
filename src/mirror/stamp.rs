//! What of a mirror's metadata is ours: labels, annotations and the owner reference. Whatever
//! else people put there is theirs and stays.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource as _, ResourceExt as _};

use crate::api::{FIELD_MANAGER, ModelArtsPool, ModelArtsPoolSource, ModelArtsPoolSpec, SourceRef};

/// The source that a mirror belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The source's namespace, which is also its mirrors'.
    pub namespace: String,
    /// The source's name.
    pub name: String,
    /// The source's uid: a source re-created under the same name is another one.
    pub uid: String,
}

/// Argo CD refreshes an application at every change of an untracked child, unless told so.
const IGNORE_UPDATES: (&str, &str) = ("argocd.argoproj.io/ignore-resource-updates", "true");
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", FIELD_MANAGER);

/// A mirror as it is created: identity and stamps, no status.
pub fn stamped(owner: &Owner, name: &str, pool_name: &str) -> ModelArtsPool {
    let mut mirror = ModelArtsPool::new(
        name,
        ModelArtsPoolSpec {
            source: SourceRef {
                name: owner.name.clone(),
            },
            pool_name: pool_name.to_owned(),
        },
    );
    mirror.metadata.namespace = Some(owner.namespace.clone());
    stamp(&mut mirror.metadata, owner);
    mirror
}

impl Owner {
    /// The owner that a source is.
    pub fn of(source: &ModelArtsPoolSource) -> Self {
        Self {
            namespace: source.namespace().unwrap_or_default(),
            name: source.name_any(),
            uid: source.uid().unwrap_or_default(),
        }
    }
}

/// Puts our stamps onto metadata, keeping what is not ours.
pub(super) fn stamp(metadata: &mut ObjectMeta, owner: &Owner) {
    let put = |map: &mut Option<BTreeMap<String, String>>, (key, value): (&str, &str)| {
        map.get_or_insert_default()
            .insert(key.to_owned(), value.to_owned());
    };
    put(&mut metadata.labels, MANAGED_BY);
    put(&mut metadata.annotations, IGNORE_UPDATES);
    let references = metadata.owner_references.get_or_insert_default();
    references.retain(|reference| !is_source(reference));
    references.push(OwnerReference {
        api_version: ModelArtsPoolSource::api_version(&()).into_owned(),
        kind: ModelArtsPoolSource::kind(&()).into_owned(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    });
}

/// Only our part of a mirror's identity, in a form that compares.
pub(super) fn ours(mirror: &ModelArtsPool) -> impl serde::Serialize {
    let value = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref().and_then(|map| map.get(key)).cloned()
    };
    (
        mirror.spec.clone(),
        value(&mirror.metadata.labels, MANAGED_BY.0),
        value(&mirror.metadata.annotations, IGNORE_UPDATES.0),
        source_references(&mirror.metadata),
    )
}

/// The uid of the source that owns a mirror, if any does.
pub(super) fn owner_uid(metadata: &ObjectMeta) -> Option<String> {
    source_references(metadata)
        .first()
        .map(|reference| reference.uid.clone())
}

fn source_references(metadata: &ObjectMeta) -> Vec<OwnerReference> {
    let references = metadata.owner_references.iter().flatten();
    references.filter(|it| is_source(it)).cloned().collect()
}

fn is_source(reference: &OwnerReference) -> bool {
    reference.kind == ModelArtsPoolSource::kind(&())
        && reference.api_version == ModelArtsPoolSource::api_version(&())
}
