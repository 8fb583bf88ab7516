//! What can happen to a pool, as JSON merge patches: nodes come, break and go, drivers are
//! upgraded, orders are placed. Pure: it decides how a change looks, never when one happens.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::fleet::merge;

/// A driver's key in the API and its versions, newest last.
pub type Driver = (&'static str, [&'static str; 3]);

pub const NPU: Driver = ("npu", ["23.0.6", "24.1.0", "24.1.1"]);
pub const GPU: Driver = ("gpu", ["470.182.03", "535.129.03", "550.90.07"]);

/// A patch that sets a driver's version and state.
pub fn driver(kind: &str, version: &str, state: &str) -> Value {
    json!({
        "spec": {"driver": {format!("{kind}Version"): version, "updateStrategy": "idle"}},
        "status": {"driver": {kind: {"version": version, "state": state}}},
    })
}

/// The kind of a pool's driver, and the next version for it.
pub fn next_driver(pool: &Value) -> Option<(&'static str, &'static str)> {
    [NPU, GPU].into_iter().find_map(|(kind, versions)| {
        let current = pool.pointer(&format!("/status/driver/{kind}/version"))?;
        let at = versions
            .iter()
            .position(|version| current == version)
            .unwrap_or_default();
        Some((kind, versions[(at + 1) % versions.len()]))
    })
}

/// The name of an order; every change of scale is a new one.
pub fn order(display: &str, rng: &mut Rng) -> String {
    format!("order.{display}-{:05x}", rng.u32(..0x10_0000))
}

/// A patch that makes everything the pool wants true: phase, scopes, driver and nodes.
pub fn running(pool: &Value) -> Value {
    let wanted = |pointer: &str| {
        pool.pointer(pointer)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let scopes: Vec<_> = wanted("/spec/scope")
        .iter()
        .map(|scope| json!({"scopeType": scope, "state": "Enabled"}))
        .collect();
    let mut patch = nodes(pool, None);
    merge(&mut patch, json!({"status": {"phase": "Running"}}));
    // Set by hand because merging a patch into a patch would drop the nulls that remove something.
    patch["status"]["message"] = Value::Null;
    patch["status"]["scope"] = if scopes.is_empty() {
        Value::Null
    } else {
        Value::Array(scopes)
    };
    for kind in ["gpu", "npu"] {
        if pool.pointer(&format!("/status/driver/{kind}")).is_some() {
            patch["status"]["driver"][kind] = json!({"state": "Running"});
        }
    }
    patch
}

/// A patch that counts the wanted nodes as available, but for some of the first node pool in
/// another state. A state that counts nodes already given up adds to the wanted ones instead.
pub fn nodes(pool: &Value, other: Option<(&str, u64)>) -> Value {
    let wanted = pool
        .pointer("/spec/resources")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut counters = json!({
        "available": null, "creating": null, "abnormal": null, "deleting": null, "creationFailed": null
    });
    let mut available: Vec<_> = wanted
        .iter()
        .map(|resource| counter(resource, resource["count"].as_u64().unwrap_or_default()))
        .collect();
    if let (Some((state, count)), Some(first)) = (other, wanted.first()) {
        counters[state] = json!([counter(first, count)]);
        if state != "deleting" {
            let left = first["count"]
                .as_u64()
                .unwrap_or_default()
                .saturating_sub(count);
            available[0] = counter(first, left);
        }
    }
    available.retain(|counter| counter["count"] != 0);
    if !available.is_empty() {
        counters["available"] = Value::Array(available);
    }
    json!({"status": {"resources": counters}})
}

/// A patch for a pool whose nodes are still to come.
pub fn coming(pool: &Value) -> Value {
    let mut patch = nodes(pool, Some(("creating", first_count(pool))));
    patch["status"]["phase"] = json!("Creating");
    patch
}

/// A patch for a pool one of whose nodes has just broken.
pub fn broken(pool: &Value) -> Value {
    let mut patch = nodes(pool, Some(("abnormal", 1)));
    let is_whole = first_count(pool) <= 1;
    patch["status"]["phase"] = json!(if is_whole { "Abnormal" } else { "Running" });
    patch["status"]["message"] = json!("1 node is abnormal");
    patch
}

/// A patch for a pool that is giving up its nodes.
pub fn deleting(pool: &Value) -> Value {
    let mut patch = nodes(pool, None);
    let resources = &mut patch["status"]["resources"];
    resources["deleting"] = resources["available"].take();
    patch["status"]["phase"] = json!("Deleting");
    patch
}

/// A patch for a pool that has been ordered another size and is on its way there.
pub fn scaled(pool: &Value, wanted: u64, rng: &mut Rng) -> Value {
    let before = first_count(pool);
    let mut after = pool.clone();
    let display = pool
        .pointer("/metadata/labels/os.modelarts~1name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let order = order(display, rng);
    merge(
        &mut after,
        json!({"metadata": {"labels": {"os.modelarts/order.name": order}}}),
    );
    if let Some(resource) = after.pointer_mut("/spec/resources/0") {
        let az = resource.pointer("/azs/0/az").cloned().unwrap_or_default();
        merge(
            resource,
            json!({"count": wanted, "maxCount": wanted, "azs": [{"az": az, "count": wanted}]}),
        );
    }
    let state = if wanted < before {
        "deleting"
    } else {
        "creating"
    };
    let nodes = nodes(&after, Some((state, wanted.abs_diff(before))));
    merge(&mut after, nodes);
    after
}

/// How many nodes the first node pool wants.
pub fn first_count(pool: &Value) -> u64 {
    pool.pointer("/spec/resources/0/count")
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

fn counter(resource: &Value, count: u64) -> Value {
    let az = resource.pointer("/azs/0/az").cloned().unwrap_or_default();
    json!({
        "flavor": resource["flavor"],
        "count": count,
        "maxCount": count,
        "nodePool": resource["nodePool"],
        "azs": [{"az": az, "count": count}],
    })
}

/// A patch for a creation that will never succeed.
pub fn creation_failed(pool: &Value) -> Value {
    let mut patch = nodes(pool, Some(("creationFailed", first_count(pool))));
    patch["status"]["phase"] = json!("CreationFailed");
    patch["status"]["message"] =
        json!("insufficient resources of the flavor in the availability zone");
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_in_another_state_are_taken_from_the_available_ones() {
        let pool = json!({"spec": {"resources": [{"flavor": "f", "count": 3}]}});
        let patch = nodes(&pool, Some(("abnormal", 1)));
        assert_eq!(
            patch.pointer("/status/resources/available/0/count"),
            Some(&json!(2))
        );
        assert_eq!(
            patch.pointer("/status/resources/abnormal/0/count"),
            Some(&json!(1))
        );
    }

    #[test]
    fn scaling_down_leaves_the_wanted_nodes_available() {
        let pool = json!({"spec": {"resources": [{"flavor": "f", "count": 5}]}});
        let patch = scaled(&pool, 3, &mut Rng::with_seed(1));
        assert_eq!(
            patch.pointer("/status/resources/available/0/count"),
            Some(&json!(3))
        );
        assert_eq!(
            patch.pointer("/status/resources/deleting/0/count"),
            Some(&json!(2))
        );
    }
}
