//! Reads the loose types of the cloud's JSON: text that may be a number, a list that may be its
//! only element. It knows nothing of pools.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;
use serde_with::DeserializeAs;

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
pub(super) struct Text;

/// A list, or its only element in its place. `null`, `[]` and `{}` are all ways to say "none":
/// an element of which nothing is set would be counted and shown.
pub(super) struct Many<T>(PhantomData<T>);

/// A whole number that may be written as a float or as text. Anything out of range is refused,
/// never wrapped.
pub(super) struct Whole;

/// An open map whose values are scalars of any type; nested values are kept as JSON text.
pub(super) struct TextMap;

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

/// `null` as the absent value that it stands for.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A pool's ID: text of one to 253 characters that are neither control characters nor spaces.
/// Names are identity, so a strange one is refused and not repaired.
pub(super) fn identifier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
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
