//! What the cloud says arrives field for field, and changes arrive with the next poll.

use serde_json::{Value, json};

use super::world::{World, condition, pool};

/// The items of a recorded list.
fn items(list: &str) -> Value {
    let list: Value = serde_json::from_str(list).unwrap();
    list["items"].clone()
}

/// A mirror's status without its conditions, whose times differ from run to run.
async fn status_of(world: &World, name: &str) -> Value {
    let mirror = world.until_pool(name, |it| it.status.is_some()).await;
    let mut status = serde_json::to_value(mirror.status).unwrap();
    status.as_object_mut().unwrap().remove("conditions");
    status
}

#[tokio::test]
async fn the_vendors_sample_pool_arrives_field_for_field() {
    let world = World::new("vendor-sample").await;
    world
        .put_fleet(items(include_str!("../fixtures/vendor-list.json")))
        .await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    assert_eq!(
        status_of(&world, "auto-pool-os-86c13962597848eeb29c5861153a391f").await,
        json!({
            "observedGeneration": 1,
            "phase": "Running",
            "root": "auto-pool-os-86c13962597848eeb29c5861153a391f",
            "scope": [{"scopeType": "Train", "state": "Enabled"},
                      {"scopeType": "Infer", "state": "Enabled"}],
            "resources": {"available": [{"flavor": "modelarts.vm.cpu.4ud", "count": 2,
                                         "azs": [{"az": "cn-north-7c", "count": 2}]}]},
            "desired": {
                "type": "Dedicate",
                "scope": ["Train", "Infer"],
                "resources": [{"flavor": "modelarts.vm.cpu.4ud", "count": 2}],
                "network": {"name": "network-maos-86c13962597848eeb29c5861153a391f"},
            },
            "metadata": {
                "name": "auto-pool-os-86c13962597848eeb29c5861153a391f",
                "creationTimestamp": "2022-09-16T03:10:40Z",
                "labels": {"os.modelarts/name": "auto-pool-os",
                           "os.modelarts/workspace.id": "0",
                           "os.modelarts/resource.id": "maos-auto-pool-os-72w8d"},
                "annotations": {"os.modelarts/description": "",
                                "os.modelarts/billing.mode": "0"},
                "displayName": "auto-pool-os",
                "workspaceId": "0",
                "resourceId": "maos-auto-pool-os-72w8d",
                "billing": {"mode": "PayPerUse"},
            },
            "summary": {"nodes": "2/2", "available": 2, "abnormal": 0, "creating": 0,
                        "deleting": 0, "desired": 2, "flavors": "modelarts.vm.cpu.4ud",
                        "scopes": "Train,Infer"},
        })
    );
}

#[tokio::test]
async fn a_pool_with_every_known_oddity_arrives_field_for_field() {
    let world = World::new("stress-sample").await;
    world
        .put_fleet(items(include_str!("../fixtures/stress-list.json")))
        .await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let name = "lite-a3-0123456789abcdef0123456789abcdef";
    assert_eq!(
        status_of(&world, name).await,
        json!({
            "observedGeneration": 1,
            "phase": "ScalingFailed",
            "message": "x",
            "driver": {"npu": {"version": "24.1", "state": "Upgrading"}},
            "root": name,
            "resources": {
                "available": [{"flavor": "modelarts.bm.npu.x", "count": 31, "nodePool": "np-1",
                               "azs": [{"az": "cn-x-1a", "count": 31}]}],
                "abnormal": [{"flavor": "modelarts.bm.npu.x", "count": 1}],
                "creationFailed": [{"flavor": "modelarts.bm.npu.x", "count": 1}],
            },
            "desired": {
                "type": "Dedicate",
                "resources": [
                    {"flavor": "modelarts.bm.npu.x", "count": 1},
                    {"flavor": "modelarts.bm.npu.x", "count": 32, "maxCount": 32,
                     "nodePool": "np-1"},
                ],
                "network": {"vpcId": "v", "subnetId": "s"},
                "controlMode": 9,
                "controls": ["BillingChangeRestricted", "Frozen"],
            },
            "metadata": {
                "name": name,
                "creationTimestamp": "2026-05-01T08:00:00Z",
                "labels": {"os.modelarts/name": "lite-a3", "os.modelarts/privileged": "true",
                           "os.modelarts/order.name": "order.lite-a3-x1"},
                "displayName": "lite-a3",
            },
            "summary": {"nodes": "31/33", "available": 31, "abnormal": 1, "creating": 0,
                        "deleting": 0, "desired": 33, "flavors": "modelarts.bm.npu.x",
                        "drivers": "npu 24.1 (Upgrading)"},
        })
    );
    let mirror = world.pools.get(name).await.unwrap();
    let expect = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    assert_eq!(condition(&mirror, "Ready"), expect("False", "Frozen"));
    assert_eq!(condition(&mirror, "Stalled"), expect("True", "Frozen"));
    assert_eq!(
        condition(&mirror, "CapacityHealthy"),
        expect("False", "AbnormalNodes")
    );
}

#[tokio::test]
async fn a_changed_phase_scope_driver_or_count_is_visible_after_the_next_poll() {
    let world = World::new("changes").await;
    world.put_fleet(json!([pool("a", 3)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;

    let changed = json!({"status": {
        "phase": "Abnormal",
        "scope": [{"scopeType": "Train", "state": "Disabling"}],
        "driver": {"npu": {"version": "24.1", "state": "Upgrading"}},
        "resources": {"available": [{"flavor": "modelarts.vm.cpu.8ud", "count": 1}],
                      "abnormal": {"flavor": "modelarts.vm.cpu.8ud", "count": "2"}},
    }});
    world.patch_pool("a", changed).await;
    world.poll("pools").await;

    let mirror = world.pools.get("a").await.unwrap();
    let status = serde_json::to_value(&mirror.status).unwrap();
    assert_eq!(status["phase"], "Abnormal");
    assert_eq!(status["scope"][0]["state"], "Disabling");
    assert_eq!(
        status["driver"]["npu"],
        json!({"version": "24.1", "state": "Upgrading"})
    );
    assert_eq!(status["summary"]["nodes"], "1/3");
    assert_eq!(status["resources"]["abnormal"][0]["count"], 2);
    assert_eq!(condition(&mirror, "TrainReady").0, "False");
}

#[tokio::test]
async fn a_pool_that_appears_appears() {
    let world = World::new("appears").await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    world.put_fleet(json!([pool("a", 1), pool("b", 2)])).await;
    let source = world.poll("pools").await;
    assert_eq!(source.status.unwrap().pools, Some(2));
    let mirror = world.pools.get("b").await.unwrap();
    assert_eq!(condition(&mirror, "Ready").0, "True");
}

#[tokio::test]
async fn a_pool_whose_creation_failed_stays_visible_as_failed() {
    let world = World::new("creation-failed").await;
    let mut failing = pool("a", 1);
    failing["status"] = json!({"phase": "Creating"});
    world.put_fleet(json!([failing, pool("b", 1)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;

    // The cloud moves it from the default list to the list of failures, whose items need not say
    // so in their own phase.
    let failed =
        json!({"simulator.class": "failed", "status": {"phase": null, "message": "no stock"}});
    world.patch_pool("a", failed).await;
    for _ in 0..3 {
        world.poll("pools").await;
    }
    let mirror = world.pools.get("a").await.unwrap();
    assert_eq!(
        mirror.status.as_ref().unwrap().phase.as_deref(),
        Some("CreationFailed")
    );
    assert_eq!(condition(&mirror, "Stalled").1, "CreationFailed");
}
