use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::marks;
use crate::mirror::Fingerprint;
use crate::modelarts::{QueryKey, Snapshot};

const VENDOR: &str = include_str!("../../../tests/fixtures/vendor-list.json");
const STRESS: &str = include_str!("../../../tests/fixtures/stress-list.json");

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The only pool of a list, found in the default list or in the list of failed creations.
fn listed(item: &Value, creation_failed: bool) -> Listed {
    let (some, none) = (json!([item]), json!([]));
    let key = QueryKey::example();
    let snapshot = if creation_failed {
        Snapshot::of_json(key, &none, &some)
    } else {
        Snapshot::of_json(key, &some, &none)
    };
    assert_eq!(snapshot.set_aside(), [], "{item:#}");
    snapshot.pools().values().next().unwrap().clone()
}

fn shown(item: &Value) -> ModelArtsPoolStatus {
    project(&listed(item, false), &[], at("2026-06-01T12:00:00.9Z"))
}

fn first_item(list: &str) -> Value {
    serde_json::from_str::<Value>(list).unwrap()["items"][0].take()
}

fn pool(spec: &Value, status: &Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": spec, "status": status})
}

fn json_of(status: &ModelArtsPoolStatus) -> Value {
    serde_json::to_value(status).unwrap()
}

fn size(status: &ModelArtsPoolStatus) -> usize {
    json_of(status).to_string().len()
}

/// The conditions as `Type=Status/Reason`.
fn says(status: &ModelArtsPoolStatus) -> Vec<String> {
    let conditions = status.conditions.iter();
    conditions
        .map(|it| format!("{}={}/{}", it.type_, it.status, it.reason))
        .collect()
}

fn holds(status: &ModelArtsPoolStatus, kind: &str) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|it| it.type_ == kind && it.status == "True")
}

#[test]
fn the_vendors_sample_is_mirrored_field_for_field() {
    let name = "auto-pool-os-86c13962597848eeb29c5861153a391f";
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "observedGeneration": 1, "lastTransitionTime": "2026-06-01T12:00:00Z",
        })
    };
    let enabled = "the cloud reports this job type as Enabled";
    assert_eq!(
        json_of(&shown(&first_item(VENDOR))),
        json!({
            "observedGeneration": 1,
            "phase": "Running",
            "scope": [
                {"scopeType": "Train", "state": "Enabled"},
                {"scopeType": "Infer", "state": "Enabled"},
            ],
            "root": name,
            "resources": {
                "available": [{
                    "flavor": "modelarts.vm.cpu.4ud",
                    "count": 2,
                    "azs": [{"az": "cn-north-7c", "count": 2}],
                }],
            },
            "desired": {
                "type": "Dedicate",
                "scope": ["Train", "Infer"],
                "resources": [{"flavor": "modelarts.vm.cpu.4ud", "count": 2}],
                "network": {"name": "network-maos-86c13962597848eeb29c5861153a391f"},
            },
            "metadata": {
                "name": name,
                "creationTimestamp": "2022-09-16T03:10:40Z",
                "labels": {
                    "os.modelarts/name": "auto-pool-os",
                    "os.modelarts/workspace.id": "0",
                    "os.modelarts/resource.id": "maos-auto-pool-os-72w8d",
                },
                "annotations": {
                    "os.modelarts/description": "",
                    "os.modelarts/billing.mode": "0",
                },
                "displayName": "auto-pool-os",
                "workspaceId": "0",
                "resourceId": "maos-auto-pool-os-72w8d",
                "billing": {"mode": "PayPerUse"},
            },
            "summary": {
                "nodes": "2/2", "available": 2, "abnormal": 0, "creating": 0, "deleting": 0,
                "desired": 2, "flavors": "modelarts.vm.cpu.4ud", "scopes": "Train,Infer",
            },
            "conditions": [
                condition("Ready", "Running", "the cloud reports the pool as running"),
                condition("CapacityHealthy", "AllAvailable", "every ordered node is available"),
                condition("TrainReady", "Enabled", enabled),
                condition("InferReady", "Enabled", enabled),
            ],
        })
    );
}

#[test]
fn the_sample_of_every_known_oddity_is_mirrored_field_for_field() {
    let name = "lite-a3-0123456789abcdef0123456789abcdef";
    let mut status = json_of(&shown(&first_item(STRESS)));
    let conditions = status["conditions"].take();
    assert_eq!(
        status,
        json!({
            "observedGeneration": 1,
            "phase": "ScalingFailed",
            "message": "x",
            "driver": {"npu": {"version": "24.1", "state": "Upgrading"}},
            "root": name,
            "resources": {
                "available": [{
                    "flavor": "modelarts.bm.npu.x",
                    "count": 31,
                    "azs": [{"az": "cn-x-1a", "count": 31}],
                    "nodePool": "np-1",
                }],
                "abnormal": [{"flavor": "modelarts.bm.npu.x", "count": 1}],
                "creationFailed": [{"flavor": "modelarts.bm.npu.x", "count": 1}],
            },
            "desired": {
                "type": "Dedicate",
                "resources": [
                    {"flavor": "modelarts.bm.npu.x", "count": 1},
                    {"flavor": "modelarts.bm.npu.x", "count": 32, "maxCount": 32, "nodePool": "np-1"},
                ],
                "network": {"vpcId": "v", "subnetId": "s"},
                "controlMode": 9,
                "controls": ["BillingChangeRestricted", "Frozen"],
            },
            "metadata": {
                "name": name,
                "creationTimestamp": "2026-05-01T08:00:00Z",
                "labels": {
                    "os.modelarts/name": "lite-a3",
                    "os.modelarts/privileged": "true",
                    "os.modelarts/order.name": "order.lite-a3-x1",
                },
                "displayName": "lite-a3",
            },
            "summary": {
                "nodes": "31/33", "available": 31, "abnormal": 1, "creating": 0, "deleting": 0,
                "desired": 33, "flavors": "modelarts.bm.npu.x", "drivers": "npu 24.1 (Upgrading)",
            },
            "conditions": null,
        })
    );
    let said: Vec<&Value> = conditions.as_array().unwrap().iter().collect();
    assert_eq!(
        said.iter()
            .map(|it| (it["type"].as_str().unwrap(), it["reason"].as_str().unwrap()))
            .collect::<Vec<_>>(),
        [
            ("Ready", "Frozen"),
            ("Stalled", "Frozen"),
            ("CapacityHealthy", "AbnormalNodes")
        ]
    );
}

#[test]
fn the_pools_state_becomes_conditions() {
    let full = json!({"resources": [{"count": 2}]});
    let two = json!({"available": [{"count": 2}]});
    let healthy = "CapacityHealthy=True/AllAvailable";
    let missing = "CapacityHealthy=False/NodesMissing";
    let phase = |phase: &str| json!({"phase": phase, "resources": two});
    let frozen = |mode: i64| json!({"resources": [{"count": 2}], "controlMode": mode});
    let driver = |state: &str| json!({"phase": "Running", "resources": two, "driver": {"npu": {"state": state}}});
    let running = "Ready=True/Running";
    for (spec, status, expected) in [
        (&full, phase("Running"), &[running, healthy][..]),
        (
            &full,
            phase("Creating"),
            &["Ready=False/Creating", "Reconciling=True/Creating", healthy],
        ),
        (
            &full,
            phase("Waiting"),
            &["Ready=False/Waiting", "Reconciling=True/Waiting", healthy],
        ),
        (
            &full,
            phase("Scaling"),
            &["Ready=False/Scaling", "Reconciling=True/Scaling", healthy],
        ),
        (
            &full,
            phase("Deleting"),
            &["Ready=False/Deleting", "Reconciling=True/Deleting", healthy],
        ),
        (&full, phase("Abnormal"), &["Ready=False/Abnormal", healthy]),
        (&full, phase("Error"), &["Ready=False/Error", healthy]),
        (
            &full,
            phase("ScalingFailed"),
            &["Ready=False/ScalingFailed", healthy],
        ),
        (
            &full,
            phase("CreationFailed"),
            &[
                "Ready=False/CreationFailed",
                "Stalled=True/CreationFailed",
                healthy,
            ],
        ),
        (
            &full,
            phase("Hibernating"),
            &["Ready=Unknown/UnknownPhase", healthy],
        ),
        // The API's words are exact: another case is another word.
        (
            &full,
            phase("running"),
            &["Ready=Unknown/UnknownPhase", healthy],
        ),
        (
            &full,
            json!({"resources": {}}),
            &["Ready=Unknown/UnknownPhase", missing],
        ),
        (&full, json!(null), &["Ready=Unknown/UnknownPhase", missing]),
        // Restrictions that do not stop the pool do not touch its conditions.
        (&frozen(7), phase("Running"), &[running, healthy]),
        (&frozen(-1), phase("Running"), &[running, healthy]),
        (
            &frozen(8),
            phase("Running"),
            &["Ready=False/Frozen", "Stalled=True/Frozen", healthy],
        ),
        (
            &frozen(17),
            phase("Running"),
            &["Ready=False/Frozen", "Stalled=True/Frozen", healthy],
        ),
        (
            &frozen(8),
            phase("Creating"),
            &["Ready=False/Frozen", "Stalled=True/Frozen", healthy],
        ),
        (&full, driver("Running"), &[running, healthy]),
        (&full, driver("Abnormal"), &[running, healthy]),
        (
            &full,
            driver("Upgrading"),
            &[running, "Reconciling=True/DriverUpgrading", healthy],
        ),
        (
            &full,
            driver("Creating"),
            &[running, "Reconciling=True/DriverCreating", healthy],
        ),
        (
            &full,
            json!({"phase": "Running", "resources": {"available": [{"count": 1}]}}),
            &[running, missing],
        ),
        (
            &full,
            json!({"phase": "Running", "resources": {"available": [{"count": 2}], "creating": [{"count": 1}]}}),
            &[running, "Reconciling=True/Scaling", healthy],
        ),
        (
            &full,
            json!({"phase": "Running", "resources": {"available": [{"count": 2}], "deleting": [{"count": 1}]}}),
            &[running, "Reconciling=True/Scaling", healthy],
        ),
        (
            &full,
            json!({"phase": "Running", "resources": {"available": [{"count": 2}], "abnormal": [{"count": 1}]}}),
            &[running, "CapacityHealthy=False/AbnormalNodes"],
        ),
        (
            &full,
            json!({"phase": "Running", "resources": {"available": [{"count": 3}, {"count": -1}]}}),
            &[running, healthy],
        ),
    ] {
        let item = pool(spec, &status);
        assert_eq!(says(&shown(&item)), expected, "{item}");
    }
}

#[test]
fn a_record_of_the_failed_list_has_failed_whatever_its_phase_says() {
    for phase in [
        None,
        Some("Creating"),
        Some("Running"),
        Some("CreationFailed"),
    ] {
        let item = pool(&json!({}), &json!({"phase": phase}));
        let status = project(&listed(&item, true), &[], at("2026-06-01T12:00:00Z"));
        let expected = ["Ready=False/CreationFailed", "Stalled=True/CreationFailed"];
        assert_eq!(says(&status)[..2], expected, "{phase:?}");
    }
}

#[test]
fn a_failed_record_without_a_phase_is_given_one() {
    let item = pool(&json!({}), &json!({}));
    let status = project(&listed(&item, true), &[], at("2026-06-01T12:00:00Z"));
    assert_eq!(status.phase.as_deref(), Some("CreationFailed"));
}

#[test]
fn each_job_type_offered_has_a_condition_of_its_own() {
    let scope =
        |spec: Value, states: Value| pool(&json!({"scope": spec}), &json!({"scope": states}));
    let train = |state: &str| json!([{"scopeType": "Train", "state": state}]);
    for (item, expected) in [
        (scope(json!([]), json!([])), &[][..]),
        (
            scope(json!([]), train("Enabled")),
            &["TrainReady=True/Enabled"],
        ),
        (
            scope(json!([]), train("Enabling")),
            &["TrainReady=False/Enabling"],
        ),
        (
            scope(json!([]), train("Disabling")),
            &["TrainReady=False/Disabling"],
        ),
        (
            scope(json!([]), train("Disabled")),
            &["TrainReady=False/Disabled"],
        ),
        (
            scope(json!([]), train("EnableFailed")),
            &["TrainReady=False/EnableFailed"],
        ),
        (
            scope(json!([]), train("Napping")),
            &["TrainReady=Unknown/UnknownState"],
        ),
        (
            scope(json!(["Train"]), json!([])),
            &["TrainReady=Unknown/NotReported"],
        ),
        (scope(json!(["X-Infer"]), json!([])), &[]),
        (
            scope(
                json!(["Notebook", "Infer"]),
                json!([{"scopeType": "Notebook", "state": "Enabled"}, {"scopeType": "Infer", "state": "Disabled"}]),
            ),
            &["InferReady=False/Disabled", "NotebookReady=True/Enabled"],
        ),
    ] {
        assert_eq!(says(&shown(&item))[2..], *expected, "{item}");
    }
}

#[test]
fn no_job_type_of_a_frozen_pool_is_ready() {
    let item = pool(
        &json!({"controlMode": 16}),
        &json!({"phase": "Running", "scope": [{"scopeType": "Train", "state": "Enabled"}]}),
    );
    assert!(says(&shown(&item)).contains(&"TrainReady=False/Frozen".to_owned()));
}

#[test]
fn every_bit_of_the_control_mode_has_a_word() {
    for (mode, words) in [
        (0, &[][..]),
        (-1, &[]),
        (1, &["BillingChangeRestricted"]),
        (
            31,
            &[
                "BillingChangeRestricted",
                "SpecChangeRestricted",
                "ServiceLimited",
                "Frozen",
                "FrozenByPolice",
            ],
        ),
        (96, &["Bit32", "Bit64"]),
        (i64::MAX ^ ((1 << 62) - 1), &["Bit4611686018427387904"]),
    ] {
        let item = pool(&json!({"controlMode": mode}), &json!({}));
        assert_eq!(shown(&item).desired.unwrap().controls, words, "{mode}");
    }
}

#[test]
fn billing_is_said_in_words_and_unknown_codes_are_kept() {
    let billing = |annotations: Value| {
        let item = json!({"metadata": {"name": "p", "annotations": annotations}});
        json_of(&shown(&item))["metadata"]["billing"].take()
    };
    for (annotations, expected) in [
        (json!({}), json!(null)),
        (
            json!({"os.modelarts/billing.mode": "1", "os.modelarts/period.num": "2", "os.modelarts/period.type": "3", "os.modelarts/auto.renew": "1"}),
            json!({"mode": "Subscription", "periodNum": 2, "periodType": "Year", "autoRenew": true}),
        ),
        (
            json!({"os.modelarts/billing.mode": 0, "os.modelarts/period.num": "many", "os.modelarts/period.type": 4, "os.modelarts/auto.renew": 0}),
            json!({"mode": "PayPerUse", "periodType": "Hour", "autoRenew": false}),
        ),
        (
            json!({"os.modelarts/billing.mode": "7", "os.modelarts/auto.renew": "perhaps"}),
            json!({"mode": "7"}),
        ),
    ] {
        assert_eq!(billing(annotations.clone()), expected, "{annotations}");
    }
}

#[test]
fn long_cells_of_the_table_are_shortened() {
    let flavors: Vec<Value> = ('a'..='f')
        .map(|c| json!({"flavor": c, "count": 1}))
        .collect();
    let summary = shown(&pool(&json!({"resources": flavors}), &json!({}))).summary;
    assert_eq!(summary.unwrap().flavors, "a,b,c,d,+2");
}

#[test]
fn a_job_type_that_is_not_enabled_carries_its_state_in_the_table() {
    let scope = json!([{"scopeType": "Train", "state": "Enabled"}, {"scopeType": "Infer", "state": "Disabled"}]);
    let summary = shown(&pool(&json!({}), &json!({"scope": scope}))).summary;
    assert_eq!(summary.unwrap().scopes, "Train,Infer:Disabled");
}

#[test]
fn sums_count_every_node_even_of_counters_that_are_cut() {
    let one_each: Vec<Value> = (0..100)
        .map(|i| json!({"flavor": format!("f{i:03}"), "count": 1}))
        .collect();
    let status = shown(&pool(
        &json!({"resources": one_each}),
        &json!({"phase": "Running", "resources": {"available": one_each}}),
    ));
    assert_eq!(status.summary.unwrap().nodes, "100/100");
}

#[test]
fn a_sum_beyond_all_numbers_stops_at_the_largest() {
    let counters = json!([{"flavor": "a", "count": i64::MAX}, {"flavor": "b", "count": i64::MAX}]);
    let status = shown(&pool(
        &json!({}),
        &json!({"resources": {"available": counters}}),
    ));
    assert_eq!(status.summary.unwrap().available, i64::MAX);
}

#[test]
fn a_count_of_minus_one_means_unknown_and_is_left_out() {
    let status = shown(&pool(
        &json!({"resources": [{"flavor": "f", "count": -1}]}),
        &json!({"resources": {"available": [{"count": -1}]}}),
    ));
    assert_eq!(status.resources, None);
    assert_eq!(status.desired.unwrap().resources[0].count, None);
}

#[test]
fn scripts_personal_data_and_credentials_never_reach_the_status() {
    const CANARY: &str = "canary-7f3a";
    let private = json!({
        "postInstall": CANARY, "userLogin": CANARY, "adminPassword": CANARY, "access_key": CANARY,
        "x/SK": CANARY, "securityToken": CANARY,
        "os.modelarts/tenant.domain.name": CANARY,
        "note": format!("-----BEGIN RSA PRIVATE KEY-----\n{CANARY}"),
        "nested": {"runtime": "docker", "postInstall": CANARY},
        "deep": {"list": [{"login": {"password": CANARY}}]},
        "text": format!(r#"{{"secretKey":"{CANARY}"}}"#),
        "kept": "yes",
    });
    let item = json!({
        "metadata": {"name": "p", "labels": private, "annotations": private},
        "spec": {
            "userLogin": {"keyPairName": CANARY, "password": CANARY},
            "resources": [{"flavor": "f", "extendParams": private}],
            "postInstall": CANARY,
        },
        "status": {"postInstall": CANARY, "resources": {"available": [{"flavor": "f", "extendParams": private}]}},
    });
    let text = json_of(&shown(&item)).to_string();
    assert!(!text.contains(CANARY), "{text}");
    assert_eq!(text.matches(r#""kept":"yes""#).count(), 3, "{text}");
}

#[test]
fn tags_in_json_are_no_credentials() {
    let tags = r#"[{"key":"env","value":"test"}]"#;
    let item = json!({"metadata": {"name": "p", "annotations": {"os.modelarts/tms.tags": tags}}});
    let metadata = shown(&item).metadata.unwrap();
    assert_eq!(metadata.annotations["os.modelarts/tms.tags"], tags);
}

#[test]
fn an_ordinary_pool_takes_a_few_kilobytes() {
    let sample = size(&shown(&first_item(VENDOR)));
    assert!(sample < 2_500, "{sample}");
    let zones = json!([{"az": "cn-north-4a", "count": 8}, {"az": "cn-north-4b", "count": 8}]);
    let counter = |pool: usize| json!({"flavor": "modelarts.bm.npu.arm.8snt9b3.d", "count": 16, "maxCount": 16, "azs": zones, "nodePool": format!("nodePool-{pool}")});
    let counters: Vec<Value> = (0..4).map(counter).collect();
    let ordered: Vec<Value> = counters
        .iter()
        .map(|counter| {
            let mut ordered = counter.clone();
            ordered["extendParams"] = json!({"dockerBaseSize": "500", "runtime": "containerd", "volumeGroup": "vgpaas"});
            ordered["os"] = json!({"name": "EulerOS 2.10", "imageId": "0123456789abcdef0123456789abcdef", "imageType": "private"});
            ordered
        })
        .collect();
    let rich = json!({
        "metadata": {
            "name": "pool-ae01-0123456789abcdef0123456789abcdef",
            "labels": (0..14).map(|i| (format!("os.modelarts/label.{i}"), json!("x".repeat(40)))).collect::<serde_json::Map<_, _>>(),
            "annotations": (0..12).map(|i| (format!("os.modelarts/annotation.{i}"), json!("x".repeat(60)))).collect::<serde_json::Map<_, _>>(),
        },
        "spec": {"type": "Dedicate", "scope": ["Train", "Infer", "Notebook"], "resources": ordered},
        "status": {
            "phase": "Running",
            "scope": [{"scopeType": "Train", "state": "Enabled"}, {"scopeType": "Infer", "state": "Enabled"}],
            "resources": {"available": counters, "abnormal": [counters[0]], "creating": [counters[1]]},
            "driver": {"npu": {"version": "24.1.0", "state": "Running"}},
        },
    });
    let rich = size(&shown(&rich));
    assert!(rich < 10_000, "{rich}");
}

/// A pool in which everything is larger and more than is mirrored.
fn monster(text: &str) -> Value {
    let long = text.repeat(1_050 / text.len());
    let key = text.repeat(240 / text.len());
    let map: serde_json::Map<String, Value> = (0..66)
        .map(|i| (format!("{i:03}{key}"), json!(long)))
        .collect();
    let zones: Vec<Value> = (0..10)
        .map(|i| json!({"az": format!("{i}{key}"), "count": i64::MAX}))
        .collect();
    let counter = |i: i32| json!({"flavor": format!("{i}{key}"), "nodePool": key, "count": i64::MAX, "maxCount": i64::MAX, "azs": zones});
    let ordered = |i: i32| {
        let mut ordered = counter(i);
        ordered["extendParams"] = json!(map);
        ordered["os"] = json!({"name": key, "imageId": key, "imageType": key});
        ordered
    };
    let counters: Vec<Value> = (0..66).map(counter).collect();
    let resources: Vec<Value> = (0..66).map(ordered).collect();
    let words: Vec<String> = (0..66).map(|i| format!("{i}{key}")).collect();
    let scopes: Vec<Value> = words
        .iter()
        .map(|word| json!({"scopeType": word, "state": word}))
        .collect();
    json!({
        "metadata": {"name": "p", "creationTimestamp": long, "labels": map, "annotations": map},
        "spec": {
            "type": long, "scope": words, "resources": resources, "jobFlavors": words,
            "network": {"name": long, "vpcId": long, "subnetId": long},
            "driver": {"gpuVersion": long, "npuVersion": long, "updateStrategy": long},
            "controlMode": i64::MAX,
        },
        "status": {
            "phase": long, "message": long, "parent": long, "root": long, "scope": scopes,
            "driver": {"gpu": {"version": long, "state": long}, "npu": {"version": long, "state": long}},
            "resources": {
                "creating": counters, "available": counters, "abnormal": counters,
                "deleting": counters, "creationFailed": counters,
            },
        },
    })
}

#[test]
fn a_monstrous_pool_stays_below_a_mebibyte_and_says_what_was_cut() {
    for text in ["x", "\"", "池"] {
        let status = shown(&monster(text));
        let size = size(&status);
        assert!(size < 1 << 20, "{text}: {size}");
        assert!(holds(&status, "Truncated"), "{text}");
    }
}

#[test]
fn an_ordinary_pool_is_not_truncated() {
    assert!(!holds(&shown(&first_item(STRESS)), "Truncated"));
}

/// The same JSON with every array in another order.
fn shuffled(value: &Value, dice: &mut fastrand::Rng) -> Value {
    match value {
        Value::Array(elements) => {
            let mut elements: Vec<Value> = elements.iter().map(|it| shuffled(it, dice)).collect();
            dice.shuffle(&mut elements);
            elements.into()
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), shuffled(value, dice)))
            .collect(),
        scalar => scalar.clone(),
    }
}

#[test]
fn the_order_in_a_monstrous_pool_does_not_matter_either() {
    let monster = monster("x");
    let other = shuffled(&monster, &mut fastrand::Rng::with_seed(7));
    assert_eq!(shown(&monster), shown(&other));
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let word = prop::sample::select(words).prop_map(|word| json!(word));
    prop_oneof![1 => Just(Value::Null), 6 => word]
}

fn counters() -> impl Strategy<Value = Value> {
    let number = || prop_oneof![Just(json!(null)), (-1..4_i64).prop_map(|it| json!(it))];
    let zone =
        (one_of(&["a", "b"]), number()).prop_map(|(az, count)| json!({"az": az, "count": count}));
    let zones = prop::collection::vec(zone, 0..3);
    let counter = (one_of(&["f", "g"]), one_of(&["n", "m"]), number(), number(), zones).prop_map(
        |(flavor, node_pool, count, most, azs)| {
            json!({"flavor": flavor, "nodePool": node_pool, "count": count, "maxCount": most, "azs": azs})
        },
    );
    prop::collection::vec(counter, 0..5).prop_map(Value::Array)
}

fn any_pool() -> impl Strategy<Value = Value> {
    const PHASES: &[&str] = &[
        "Creating",
        "Running",
        "Abnormal",
        "Deleting",
        "Error",
        "CreationFailed",
        "ScalingFailed",
        "Scaling",
        "Waiting",
        "Hibernating",
    ];
    const STATES: &[&str] = &["Enabled", "Disabled", "Enabling", "EnableFailed", "Napping"];
    const SCOPES: &[&str] = &["Train", "Infer", "Notebook", "Dream"];
    let scope = (one_of(SCOPES), one_of(STATES))
        .prop_map(|(kind, state)| json!({"scopeType": kind, "state": state}));
    let spec = (
        prop::collection::vec(prop::sample::select(SCOPES), 0..4),
        counters(),
        0..40_i64,
    )
        .prop_map(|(scope, resources, mode)| json!({"scope": scope, "resources": resources, "controlMode": mode}));
    let status = (
        one_of(PHASES),
        prop::collection::vec(scope, 0..4),
        one_of(&["Running", "Creating", "Upgrading", "Abnormal", "Melting"]),
        (counters(), counters(), counters(), counters()),
    )
        .prop_map(
            |(phase, scope, driver, (available, abnormal, creating, deleting))| {
                json!({
                    "phase": phase, "scope": scope, "driver": {"npu": {"state": driver}},
                    "resources": {
                        "available": available, "abnormal": abnormal, "creating": creating,
                        "deleting": deleting,
                    },
                })
            },
        );
    (spec, status).prop_map(|(spec, status)| pool(&spec, &status))
}

proptest! {
    #[test]
    fn conditions_never_contradict_each_other(item in any_pool(), failed: bool) {
        let status = project(&listed(&item, failed), &[], at("2026-06-01T12:00:00Z"));
        let kinds: BTreeSet<&str> = status.conditions.iter().map(|it| it.type_.as_str()).collect();
        prop_assert_eq!(kinds.len(), status.conditions.len());
        prop_assert!(kinds.contains("Ready") && kinds.contains("CapacityHealthy"));
        prop_assert!(!(holds(&status, "Stalled") && holds(&status, "Ready")));
        prop_assert!(!(holds(&status, "Stalled") && holds(&status, "Reconciling")));
    }

    #[test]
    fn the_order_of_lists_does_not_matter(item in any_pool(), seed: u64) {
        let other = shuffled(&item, &mut fastrand::Rng::with_seed(seed));
        prop_assert_eq!(shown(&item), shown(&other));
    }

    #[test]
    fn the_same_pool_has_the_same_status_at_any_time(item in any_pool(), failed: bool, later in 1..100_000_i64) {
        let listed = listed(&item, failed);
        let now = at("2026-06-01T12:00:00Z");
        let first = project(&listed, &[], now);
        // The API server hands back what JSON keeps.
        let stored: ModelArtsPoolStatus = serde_json::from_value(json_of(&first)).unwrap();
        let later = Timestamp::from_second(now.as_second() + later).unwrap();
        let again = project(&listed, &marks(&stored.conditions), later);
        prop_assert_eq!(Fingerprint::of(&again), Fingerprint::of(&stored));
    }
}
