//! The pools of one project, kept as the raw JSON the API will answer with, so that a test can put
//! any shape there. It never generates a pool and never checks one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A key that tests may set on a pool to say which list it is in; it never leaves through the API.
pub const CLASS: &str = "simulator.class";

/// The lists that the API's `status` parameter tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Created,
    Creating,
    Failed,
}

/// One item of the list: an object as a rule, anything at all in a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub body: Value,
    set_class: Option<Class>,
}

impl Pool {
    /// Takes a pool as a person writes it, with or without [`CLASS`].
    pub fn from_control(mut body: Value) -> Result<Self, serde_json::Error> {
        let set_class = body.as_object_mut().and_then(|object| object.remove(CLASS));
        let set_class = set_class.map(serde_json::from_value).transpose()?.flatten();
        Ok(Self { body, set_class })
    }

    /// The pool as a person reads it, which [`Pool::from_control`] takes back unchanged.
    pub fn to_control(&self) -> Value {
        let mut body = self.body.clone();
        if let (Some(object), Some(class)) = (body.as_object_mut(), self.set_class) {
            object.insert(CLASS.into(), serde_json::json!(class));
        }
        body
    }

    pub fn name(&self) -> Option<&str> {
        self.body.pointer("/metadata/name")?.as_str()
    }

    pub fn phase(&self) -> Option<&str> {
        self.body.pointer("/status/phase")?.as_str()
    }

    pub fn labels(&self) -> Option<&serde_json::Map<String, Value>> {
        self.body.pointer("/metadata/labels")?.as_object()
    }

    /// A pool without the label is in the default workspace.
    pub fn is_in_workspace(&self, id: &str) -> bool {
        match self
            .labels()
            .and_then(|labels| labels.get("os.modelarts/workspace.id"))
        {
            Some(Value::String(workspace)) => workspace == id,
            // The vendor writes this label as a number in places.
            Some(Value::Number(workspace)) => workspace.to_string() == id,
            Some(_) => false,
            None => id == "0",
        }
    }

    pub fn class(&self) -> Class {
        self.set_class.unwrap_or(match self.phase() {
            Some("CreationFailed") => Class::Failed,
            Some("Creating" | "Waiting") => Class::Creating,
            _ => Class::Created,
        })
    }
}

impl From<Value> for Pool {
    fn from(body: Value) -> Self {
        Self {
            body,
            set_class: None,
        }
    }
}

/// Finds the first pool of a name.
pub fn find<'a>(pools: &'a mut [Pool], name: &str) -> Option<&'a mut Pool> {
    pools.iter_mut().find(|pool| pool.name() == Some(name))
}

/// JSON Merge Patch (RFC 7396): objects merge, `null` removes, everything else replaces.
pub fn merge(target: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_class_follows_the_phase_unless_it_is_set() {
        let class = |body| Pool::from_control(body).unwrap().class();
        assert_eq!(
            class(json!({"status": {"phase": "Running"}})),
            Class::Created
        );
        assert_eq!(
            class(json!({"status": {"phase": "Creating"}})),
            Class::Creating
        );
        assert_eq!(
            class(json!({"status": {"phase": "CreationFailed"}})),
            Class::Failed
        );
        assert_eq!(
            class(json!({"status": {"phase": "Error"}, CLASS: "failed"})),
            Class::Failed
        );
        assert_eq!(class(json!("not even an object")), Class::Created);
    }

    #[test]
    fn a_set_class_is_shown_to_people_and_kept_from_the_api() {
        let written = json!({"metadata": {"name": "a"}, CLASS: "failed"});
        let pool = Pool::from_control(written.clone()).unwrap();
        assert_eq!(pool.to_control(), written);
        assert_eq!(pool.body, json!({"metadata": {"name": "a"}}));
    }

    #[test]
    fn an_unknown_class_is_an_error() {
        assert!(Pool::from_control(json!({CLASS: "lost"})).is_err());
    }

    #[test]
    fn a_merge_patch_merges_objects_removes_nulls_and_replaces_the_rest() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1, 2]});
        merge(
            &mut target,
            json!({"a": {"b": null, "e": {"f": null, "g": 3}}, "d": [3]}),
        );
        assert_eq!(target, json!({"a": {"c": 2, "e": {"g": 3}}, "d": [3]}));
    }
}
