//! Mirrors follow the life of their source: its spec, its Secret, its suspension, its end.

use kube::api::{DeleteParams, ObjectMeta, PropagationPolicy};
use serde_json::json;

use super::support::simulator::{ACCESS_KEY, SECRET_KEY};
use super::world::{Controller, World, condition, pool};

async fn mirrored(name: &str) -> (World, Controller) {
    let world = World::new(name).await;
    world.put_fleet(json!([pool("a", 1), pool("b", 1)])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    (world, controller)
}

#[tokio::test]
async fn a_changed_spec_is_polled_at_once() {
    let (world, _controller) = mirrored("respecified").await;
    let mut elsewhere = pool("c", 1);
    elsewhere["metadata"]["labels"]["os.modelarts/workspace.id"] = json!("w");
    world
        .put_fleet(json!([pool("a", 1), pool("b", 1), elsewhere]))
        .await;
    let query = json!({"spec": {"query": {"workspaceIds": ["0", "w"]}}});
    world.patch_source("pools", query).await;
    world
        .until_pool("c", |it| {
            it.status.as_ref().is_some_and(|it| it.summary.is_some())
        })
        .await;
}

#[tokio::test]
async fn a_rotated_secret_is_used_by_the_next_poll() {
    let (world, _controller) = mirrored("rotated").await;
    world
        .put_secret(&world.namespace, ACCESS_KEY, "mistyped")
        .await;
    let source = world.poll("pools").await;
    assert_eq!(condition(&source, "Ready").1, "AuthenticationFailed");
    world
        .put_secret(&world.namespace, ACCESS_KEY, SECRET_KEY)
        .await;
    let source = world.poll("pools").await;
    assert_eq!(condition(&source, "Ready").1, "Succeeded");
}

#[tokio::test]
async fn kubectl_can_wait_for_a_pool_that_accepts_training_jobs() {
    let (world, _controller) = mirrored("waited-for").await;
    let wait = [
        "wait",
        "--for=condition=TrainReady",
        "mapool/a",
        "--timeout=30s",
    ];
    let said = world
        .cluster
        .kubectl(&[&wait[..], &["-n", &world.namespace]].concat());
    assert!(said.contains("condition met"), "{said}");
}

#[tokio::test]
async fn a_suspended_source_is_not_polled_until_it_is_resumed() {
    let (world, _controller) = mirrored("suspended").await;
    world
        .patch_source("pools", json!({"spec": {"suspend": true}}))
        .await;
    world
        .until_source("pools", |it| condition(it, "Ready").1 == "Suspended")
        .await;
    world.clear_cloud_requests().await;
    world
        .put_fleet(json!([pool("a", 1), pool("b", 1), pool("c", 1)]))
        .await;
    let token =
        json!({"metadata": {"annotations": {"modelarts.huaweicloud.com/requestedAt": "x"}}});
    world.patch_source("pools", token).await;
    world
        .patch_source(
            "pools",
            json!({"metadata": {"labels": {"touched": "true"}}}),
        )
        .await;
    assert_eq!(world.cloud_requests().await.len(), 0);
    world
        .patch_source("pools", json!({"spec": {"suspend": false}}))
        .await;
    world.until_pool("c", |_| true).await;
    world.until_ready("pools").await;
}

#[tokio::test]
async fn the_project_is_looked_up_once_by_its_name() {
    let world = World::new("named-project").await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let _controller = world.controller();
    world
        .create_source("pools", json!({"spec": {"projectId": null}}))
        .await;
    world.until_ready("pools").await;
    world.poll("pools").await;
    let requests = world.cloud_requests().await;
    let lookups = requests
        .iter()
        .filter(|it| it["path"] == "/v3/projects")
        .count();
    assert_eq!(lookups, 1, "{requests:?}");
}

#[tokio::test]
async fn the_mirrors_of_a_deleted_source_are_collected() {
    let (world, _controller) = mirrored("source-deleted").await;
    world
        .sources
        .delete("pools", &DeleteParams::background())
        .await
        .unwrap();
    world.until_gone("a").await;
    world.until_gone("b").await;
}

#[tokio::test]
async fn orphaned_mirrors_stay_and_a_source_of_the_same_name_adopts_them() {
    let (world, _controller) = mirrored("orphaned").await;
    let uid = world.pools.get("a").await.unwrap().metadata.uid;
    let source = world.sources.get("pools").await.unwrap();
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    world.sources.delete("pools", &orphan).await.unwrap();
    let mirror = world
        .until_pool("a", |it| it.metadata.owner_references.is_none())
        .await;
    assert_eq!(mirror.metadata.uid, uid);

    let again = modelarts_pool_controller::api::ModelArtsPoolSource {
        metadata: ObjectMeta {
            name: Some("pools".to_owned()),
            ..ObjectMeta::default()
        },
        status: None,
        ..source
    };
    let created = world.sources.create(&Default::default(), &again).await;
    // The garbage collector finishes the old source in its own time.
    let created = match created {
        Ok(created) => created,
        Err(_) => {
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
            loop {
                if let Ok(created) = world.sources.create(&Default::default(), &again).await {
                    break created;
                }
                assert!(std::time::Instant::now() < deadline);
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    };
    let mirror = world
        .until_pool("a", |it| {
            let owners = it.metadata.owner_references.iter().flatten();
            owners
                .map(|it| &it.uid)
                .eq([created.metadata.uid.as_ref().unwrap()])
        })
        .await;
    assert_eq!(mirror.metadata.uid, uid);
}
