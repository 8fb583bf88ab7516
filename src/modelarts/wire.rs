//! The list call's JSON as the cloud really sends it, decoded with tolerance.
//!
//! The vendor's tables, samples and generated clients disagree about types: an array where the
//! table says object, a number where the sample says string. Every such variant is accepted, and
//! every string is cleaned, so that nothing behind this file meets either. It never
//! judges a pool; an unknown word is kept.

// The fields are the API's own, by name and meaning.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_with::{DefaultOnNull, serde_as};

use super::items::Items;
use super::loose::{Many, Text, TextMap, Whole, identifier, null_as_default};

/// The list envelope. Items stay raw so that one bad item cannot lose the others.
#[derive(Deserialize)]
pub(super) struct PoolList {
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub items: Option<Items>,
    #[serde(default)]
    pub metadata: Option<ListMetadata>,
}

/// Only the older documents describe it; a server that pages must not be taken for a short one.
#[derive(Deserialize)]
pub(super) struct ListMetadata {
    #[serde(default, rename = "continue")]
    pub continue_token: Option<String>,
}

/// A pool as the cloud reported it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Pool {
    /// Identity and open maps.
    pub metadata: Metadata,
    /// What was ordered.
    #[serde(default, deserialize_with = "null_as_default")]
    pub spec: Spec,
    /// What is there.
    #[serde(default, deserialize_with = "null_as_default")]
    pub status: Status,
}

/// `metadata` of a pool.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The pool's ID, never empty.
    #[serde(deserialize_with = "identifier")]
    pub name: String,
    /// RFC 3339 in every sample, kept as text.
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub creation_timestamp: Option<String>,
    /// Open map.
    #[serde(default)]
    #[serde_as(as = "DefaultOnNull<TextMap>")]
    pub labels: BTreeMap<String, String>,
    /// Open map; some values are JSON text.
    #[serde(default)]
    #[serde_as(as = "DefaultOnNull<TextMap>")]
    pub annotations: BTreeMap<String, String>,
}

/// `spec` of a pool.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Dedicate or Logical.
    #[serde(default, rename = "type")]
    #[serde_as(as = "Option<Text>")]
    pub kind: Option<String>,
    /// Job types.
    #[serde(default)]
    #[serde_as(as = "Many<Text>")]
    pub scope: Vec<String>,
    /// Nodes ordered.
    #[serde(default)]
    #[serde_as(as = "Many<_>")]
    pub resources: Vec<Resource>,
    /// Network.
    #[serde(default)]
    pub network: Option<Network>,
    /// Job flavors.
    #[serde(default)]
    #[serde_as(as = "Many<Text>")]
    pub job_flavors: Vec<String>,
    /// Drivers ordered.
    #[serde(default)]
    pub driver: Option<SpecDriver>,
    /// Bit mask of restrictions.
    #[serde(default)]
    #[serde_as(as = "Option<Whole>")]
    pub control_mode: Option<i64>,
}

/// Nodes ordered of one flavor.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub flavor: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Whole>")]
    pub count: Option<i64>,
    #[serde(default)]
    #[serde_as(as = "Option<Whole>")]
    pub max_count: Option<i64>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub node_pool: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Many<_>")]
    pub azs: Vec<Az>,
    #[serde(default)]
    #[serde_as(as = "DefaultOnNull<TextMap>")]
    pub extend_params: BTreeMap<String, String>,
    #[serde(default)]
    pub os: Option<Os>,
}

/// Nodes of one availability zone.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Az {
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub az: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Whole>")]
    pub count: Option<i64>,
}

/// Operating system image.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Os {
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub name: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub image_id: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub image_type: Option<String>,
}

/// Network of a pool.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub name: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub vpc_id: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub subnet_id: Option<String>,
}

/// Drivers ordered.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpecDriver {
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub gpu_version: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub npu_version: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub update_strategy: Option<String>,
}

/// `status` of a pool.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Status {
    /// Absent right after a create.
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub phase: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub message: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub resources: Resources,
    #[serde(default)]
    #[serde_as(as = "Many<_>")]
    pub scope: Vec<Scope>,
    #[serde(default)]
    pub driver: Option<Drivers>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub parent: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub root: Option<String>,
}

/// Node counters by state. `creationFailed` is undocumented but real.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    #[serde(default)]
    #[serde_as(as = "Many<_>")]
    pub creating: Vec<Counter>,
    #[serde(default)]
    #[serde_as(as = "Many<_>")]
    pub available: Vec<Counter>,
    #[serde(default)]
    #[serde_as(as = "Many<_>")]
    pub abnormal: Vec<Counter>,
    #[serde(default)]
    #[serde_as(as = "Many<_>")]
    pub deleting: Vec<Counter>,
    #[serde(default)]
    #[serde_as(as = "Many<_>")]
    pub creation_failed: Vec<Counter>,
}

/// One counter of nodes.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counter {
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub flavor: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Whole>")]
    pub count: Option<i64>,
    #[serde(default)]
    #[serde_as(as = "Option<Whole>")]
    pub max_count: Option<i64>,
    #[serde(default)]
    #[serde_as(as = "Many<_>")]
    pub azs: Vec<Az>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub node_pool: Option<String>,
}

/// One job type's service state.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub scope_type: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub state: Option<String>,
}

/// Drivers on the nodes; only the kinds present.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Drivers {
    #[serde(default)]
    pub gpu: Option<Driver>,
    #[serde(default)]
    pub npu: Option<Driver>,
}

/// One driver.
#[serde_as]
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Driver {
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub version: Option<String>,
    #[serde(default)]
    #[serde_as(as = "Option<Text>")]
    pub state: Option<String>,
}

/// The name of an item that did not decode, where even that much can be read.
pub(super) fn name_of(item: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        metadata: Name,
    }
    #[derive(Deserialize)]
    struct Name {
        #[serde(deserialize_with = "identifier")]
        name: String,
    }
    serde_json::from_str::<Named>(item.get())
        .ok()
        .map(|item| item.metadata.name)
}

#[cfg(test)]
mod tests;
