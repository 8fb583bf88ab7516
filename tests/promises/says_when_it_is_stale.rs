//! A mirror that can no longer be known to be true says so, keeps its data, and is written once.

use serde_json::{Value, json};

use super::world::{Controller, World, condition, pool};

const NAMES: [&str; 2] = ["a", "b"];

/// Two mirrors of a source with the shortest times that a spec may have, more of it in `spec`.
async fn mirrored(name: &str, spec: Value) -> (World, Controller) {
    let world = World::new(name).await;
    world.put_fleet(json!([pool("a", 1), pool("b", 3)])).await;
    let controller = world.controller();
    let shortest = json!({"spec": {"interval": "10s", "staleAfter": "10s"}});
    world.create_source("pools", shortest).await;
    world.patch_source("pools", json!({"spec": spec})).await;
    world
        .until_source("pools", |it| {
            let observed = it.status.as_ref().and_then(|it| it.observed_generation);
            observed == it.metadata.generation && condition(it, "Ready").0 == "True"
        })
        .await;
    (world, controller)
}

async fn until_ready_is(world: &World, status: &str, reason: &str) {
    for name in NAMES {
        world
            .until_pool(name, |it| {
                condition(it, "Ready") == (status.into(), reason.into())
            })
            .await;
    }
}

/// The mirrors without what going stale may change.
async fn data(world: &World) -> Vec<Value> {
    let mut mirrors = world.mirrors().await;
    for mirror in &mut mirrors {
        let metadata = mirror["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
        mirror["status"]
            .as_object_mut()
            .unwrap()
            .remove("conditions");
    }
    mirrors
}

fn server_error() -> Value {
    json!([{"status": 500, "body": "{}"}])
}

#[tokio::test]
async fn stale_mirrors_claim_nothing_and_keep_all_data() {
    let (world, _controller) = mirrored("stale-data", json!({})).await;
    let before = data(&world).await;
    world.put_faults(server_error()).await;
    until_ready_is(&world, "Unknown", "Stale").await;
    assert_eq!(data(&world).await, before);
    for name in NAMES {
        let mirror = world.pools.get(name).await.unwrap();
        for kind in ["TrainReady", "CapacityHealthy"] {
            let found = condition(&mirror, kind);
            assert_eq!(found, ("Unknown".into(), "Stale".into()), "{kind}");
        }
    }
}

#[tokio::test]
async fn a_stale_mirror_names_the_time_of_the_last_complete_list_and_its_source() {
    let (world, _controller) = mirrored("stale-message", json!({})).await;
    world.put_faults(server_error()).await;
    until_ready_is(&world, "Unknown", "Stale").await;
    let source = world.sources.get("pools").await.unwrap();
    let since = serde_json::to_value(&source.status).unwrap()["lastSyncTime"].clone();
    let status = world.pools.get("a").await.unwrap().status.unwrap();
    let ready = status.conditions.iter().find(|it| it.type_ == "Ready");
    let message = &ready.unwrap().message;
    assert!(message.contains(since.as_str().unwrap()), "{message}");
    assert!(message.contains("ModelArtsPoolSource pools"), "{message}");
}

#[tokio::test]
async fn the_source_of_stale_mirrors_is_not_ready_for_the_clouds_reason_and_not_in_progress() {
    let (world, _controller) = mirrored("stale-source", json!({})).await;
    world.put_faults(server_error()).await;
    let source = world
        .until_source("pools", |it| condition(it, "Ready").0 == "False")
        .await;
    assert_eq!(condition(&source, "Ready").1, "UpstreamError");
    assert_eq!(condition(&source, "Reconciling").0, "");
    until_ready_is(&world, "Unknown", "Stale").await;
}

#[tokio::test]
async fn going_stale_and_recovering_write_each_mirror_once() {
    let (mut world, _controller) = mirrored("stale-once", json!({})).await;
    world.audit.restart();
    world.put_faults(server_error()).await;
    until_ready_is(&world, "Unknown", "Stale").await;
    // More polls that fail have nothing to add.
    world.poll("pools").await;
    world.poll("pools").await;
    let written = |world: &World| {
        let writes = world.audit.mirror_writes().into_iter();
        let mut written: Vec<_> = writes.map(|it| (it.name, it.resource, it.code)).collect();
        written.sort();
        written
    };
    let once = NAMES.map(|it| (it.to_owned(), "modelartspools/status".to_owned(), 200));
    assert_eq!(written(&world), once);

    world.audit.restart();
    world.put_faults(json!([])).await;
    world.poll("pools").await;
    until_ready_is(&world, "True", "Running").await;
    world.until_ready("pools").await;
    assert_eq!(written(&world), once);
}

#[tokio::test]
async fn a_healthy_source_with_the_shortest_times_never_goes_stale() {
    let (mut world, _controller) = mirrored("never-stale", json!({})).await;
    world.audit.restart();
    world.clear_cloud_requests().await;
    let first = world.sources.get("pools").await.unwrap();
    let synced = |it: &modelarts_pool_controller::api::ModelArtsPoolSource| {
        it.status.as_ref().and_then(|it| it.last_sync_time.clone())
    };
    let second = world
        .until_source("pools", |it| synced(it) != synced(&first))
        .await;
    world
        .until_source("pools", |it| synced(it) != synced(&second))
        .await;
    assert_eq!(world.audit.mirror_writes(), []);
}

/// Stops the controller and waits until the mirrors are too old to be believed.
async fn outlast(world: &World, controller: Controller) {
    drop(controller);
    let source = world.sources.get("pools").await.unwrap();
    let since = source.status.unwrap().last_sync_time.unwrap().0;
    while since
        .duration_since(k8s_openapi::jiff::Timestamp::now())
        .as_secs()
        > -11
    {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_controller_that_comes_back_too_late_to_a_broken_cloud_says_so_at_once() {
    let (world, controller) = mirrored("stale-restart", json!({})).await;
    outlast(&world, controller).await;
    world.put_faults(server_error()).await;
    world.clear_cloud_requests().await;
    let _controller = world.controller();
    until_ready_is(&world, "Unknown", "Stale").await;
    let source = world
        .until_source("pools", |it| condition(it, "Ready").0 == "False")
        .await;
    assert_eq!(condition(&source, "Ready").1, "UpstreamError");
    // One failed poll, perhaps a second; it did not wait for as long as it takes to believe one.
    assert!(world.cloud_requests().await.len() <= 3);
}

#[tokio::test]
async fn a_controller_that_comes_back_too_late_to_a_healthy_cloud_writes_no_mirror() {
    let (mut world, controller) = mirrored("late-restart", json!({})).await;
    outlast(&world, controller).await;
    world.audit.restart();
    let _controller = world.controller();
    world.poll("pools").await;
    assert_eq!(world.audit.mirror_writes(), []);
}

#[tokio::test]
async fn mirrors_go_stale_while_a_poll_still_waits_for_its_answer() {
    let (world, _controller) = mirrored("stale-hanging", json!({"timeout": "5m"})).await;
    world.put_faults(json!([{"hang": true}])).await;
    until_ready_is(&world, "Unknown", "Stale").await;
    let source = world
        .until_source("pools", |it| condition(it, "Ready").0 == "False")
        .await;
    assert_eq!(condition(&source, "Ready").1, "UpstreamUnreachable");
}

#[tokio::test]
async fn the_mirrors_of_a_suspended_source_go_stale() {
    let (world, _controller) = mirrored("stale-suspended", json!({})).await;
    world
        .patch_source("pools", json!({"spec": {"suspend": true}}))
        .await;
    until_ready_is(&world, "Unknown", "Stale").await;
    let source = world.sources.get("pools").await.unwrap();
    assert_eq!(
        condition(&source, "Ready"),
        ("False".into(), "Suspended".into())
    );
}
