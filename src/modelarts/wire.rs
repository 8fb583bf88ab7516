//! The list call's JSON as the cloud really sends it, decoded with tolerance.
//!
//! The vendor's tables, samples and generated clients disagree about types: an array where the
//! table says object, a number where the sample says string. Every such variant is accepted here,
//! and every string is cleaned here, so that nothing behind this file meets either. It never
//! judges a pool; an unknown word is kept.

// The fields are the API's own, by name and meaning.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::{RawValue, Value};
use serde_with::{DefaultOnNull, DeserializeAs, serde_as};

/// The list envelope. Items stay raw so that one bad item cannot lose the others.
#[derive(Deserialize)]
pub(super) struct PoolList {
    #[serde(default)]
    pub kind: Option<String>,
    #[serde(default)]
    pub items: Option<Vec<Box<RawValue>>>,
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

/// Removes what could deceive a reader or break a terminal: control characters other than newline
/// and tab, and the bidirectional overrides and isolates.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| {
            let bidi = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}');
            !bidi && (!c.is_control() || matches!(c, '\n' | '\t'))
        })
        .collect()
}

/// A scalar of any JSON type, read as cleaned text.
struct Text;

/// A list, or its only element in its place. `null`, `[]` and `{}` are all ways to say "none":
/// an element of which nothing is set would be counted and shown.
struct Many<T>(PhantomData<T>);

/// A whole number that may be written as a float or as text. Anything out of range is refused,
/// never wrapped.
struct Whole;

/// An open map whose values are scalars of any type; nested values are kept as JSON text.
struct TextMap;

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Whole(i64),
    Float(f64),
    Bool(bool),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => clean(&text),
            Scalar::Whole(number) => number.to_string(),
            Scalar::Float(number) => number.to_string(),
            Scalar::Bool(truth) => truth.to_string(),
        }
    }
}

impl<'de> DeserializeAs<'de, String> for Text {
    fn deserialize_as<D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        Scalar::deserialize(deserializer).map(String::from)
    }
}

impl<'de, T, U: DeserializeAs<'de, T>> DeserializeAs<'de, Vec<T>> for Many<U> {
    fn deserialize_as<D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        let elements = match Value::deserialize(deserializer)? {
            Value::Array(elements) => elements,
            one => vec![one],
        };
        let says_something = |element: &Value| match element {
            Value::Null => false,
            Value::Object(fields) => !fields.is_empty(),
            _ => true,
        };
        elements
            .into_iter()
            .filter(says_something)
            .map(|element| U::deserialize_as(element).map_err(D::Error::custom))
            .collect()
    }
}

impl<'de> DeserializeAs<'de, i64> for Whole {
    fn deserialize_as<D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        // 2^53: beyond it a float no longer names one whole number.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match Scalar::deserialize(deserializer)? {
            Scalar::Whole(number) => Ok(number),
            #[allow(clippy::cast_possible_truncation)]
            Scalar::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => {
                Ok(number as i64)
            }
            Scalar::Text(text) => text
                .trim()
                .parse()
                .map_err(|_| D::Error::custom("a whole number was expected")),
            _ => Err(D::Error::custom("a whole number was expected")),
        }
    }
}

impl<'de> DeserializeAs<'de, BTreeMap<String, String>> for TextMap {
    fn deserialize_as<D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, String>, D::Error> {
        let map = BTreeMap::<String, Value>::deserialize(deserializer)?;
        Ok(map
            .into_iter()
            .filter_map(|(key, value)| {
                let value = match value {
                    Value::Null => return None,
                    Value::String(text) => clean(&text),
                    other => clean(&other.to_string()),
                };
                Some((clean(&key), value))
            })
            .collect())
    }
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A pool's ID: text of one to 253 characters that are neither control characters nor spaces.
/// Names are identity, so a strange one is refused and not repaired.
fn identifier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name: String = Scalar::deserialize(deserializer)?.into_raw();
    let usable = !name.is_empty()
        && name.chars().count() <= 253
        && clean(&name) == name
        && !name.chars().any(char::is_whitespace);
    if usable {
        Ok(name)
    } else {
        Err(D::Error::custom("metadata.name is not a usable pool ID"))
    }
}

impl Scalar {
    fn into_raw(self) -> String {
        match self {
            Self::Text(text) => text,
            other => other.into(),
        }
    }
}

#[cfg(test)]
mod tests;
