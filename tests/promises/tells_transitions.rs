//! People are told what happened, once, by events on the object it happened to.

use serde_json::{Value, json};

use super::world::{Controller, World, pool};

async fn mirrored(name: &str) -> (World, Controller) {
    let world = World::new(name).await;
    world.put_fleet(json!([driven("1", "Running")])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    (world, controller)
}

fn driven(version: &str, state: &str) -> Value {
    let mut pool = pool("a", 2);
    pool["status"]["driver"] = json!({"npu": {"version": version, "state": state}});
    pool
}

fn reasons(world: &World, name: &str) -> Vec<String> {
    let events = world.events(name).into_iter();
    events.map(|(reason, _)| reason).collect()
}

#[tokio::test]
async fn a_changed_phase_is_told_with_both_phases() {
    let (world, _controller) = mirrored("told-phase").await;
    let abnormal = json!({"status": {"phase": "Abnormal"}});
    world.patch_pool("a", abnormal).await;
    world.poll("pools").await;
    let note = world.until_event("a", "Abnormal").await;
    assert_eq!(note, "phase Running → Abnormal");
}

#[tokio::test]
async fn lost_and_recovered_capacity_is_told_once_each() {
    let (world, _controller) = mirrored("told-capacity").await;
    let mut broken = driven("1", "Running");
    broken["status"]["resources"] = json!({
        "available": [{"flavor": "modelarts.vm.cpu.8ud", "count": 1}],
        "abnormal": [{"flavor": "modelarts.vm.cpu.8ud", "count": 1}],
    });
    world.put_fleet(json!([broken])).await;
    world.poll("pools").await;
    let note = world.until_event("a", "CapacityLost").await;
    assert!(note.contains("1/2 nodes"), "{note}");
    world.poll("pools").await;
    world.put_fleet(json!([driven("1", "Running")])).await;
    world.poll("pools").await;
    let note = world.until_event("a", "CapacityRecovered").await;
    assert!(note.contains("2/2 nodes"), "{note}");
    assert_eq!(reasons(&world, "a"), ["CapacityLost", "CapacityRecovered"]);
}

#[tokio::test]
async fn a_driver_that_is_upgraded_is_told_from_its_beginning_to_its_end() {
    let (world, _controller) = mirrored("told-driver").await;
    world.put_fleet(json!([driven("1", "Upgrading")])).await;
    world.poll("pools").await;
    world.put_fleet(json!([driven("2", "Running")])).await;
    world.poll("pools").await;
    world.until_event("a", "DriverChanged").await;
    assert_eq!(reasons(&world, "a"), ["DriverUpgrading", "DriverChanged"]);
}

#[tokio::test]
async fn a_source_that_fails_again_and_again_tells_it_once_and_its_recovery_once() {
    let (world, _controller) = mirrored("told-failure").await;
    world
        .put_faults(json!([{"status": 500, "body": "{}"}]))
        .await;
    for _ in 0..4 {
        world.poll("pools").await;
    }
    world.put_faults(json!([])).await;
    world.poll("pools").await;
    world.until_event("pools", "Recovered").await;
    assert_eq!(reasons(&world, "pools"), ["UpstreamError", "Recovered"]);
    assert_eq!(reasons(&world, "a"), Vec::<String>::new());
}

#[tokio::test]
async fn a_blocked_prune_is_told_once() {
    let (world, _controller) = mirrored("told-prune").await;
    world.put_fleet(json!([])).await;
    for _ in 0..5 {
        world.poll("pools").await;
    }
    let note = world.until_event("pools", "MassDeletionBlocked").await;
    assert!(note.contains(": a."), "{note}");
    assert_eq!(reasons(&world, "pools"), ["MassDeletionBlocked"]);
}

#[tokio::test]
async fn polls_without_news_tell_nothing() {
    let (world, controller) = mirrored("told-nothing").await;
    for _ in 0..3 {
        world.poll("pools").await;
    }
    drop(controller);
    let _controller = world.controller();
    world.poll("pools").await;
    // Something to tell at last, after which anything told before it would be there.
    world
        .patch_pool("a", json!({"status": {"phase": "Scaling"}}))
        .await;
    world.poll("pools").await;
    world.until_event("a", "Scaling").await;
    assert_eq!(reasons(&world, "a"), ["Scaling"]);
    assert_eq!(reasons(&world, "pools"), Vec::<String>::new());
}
