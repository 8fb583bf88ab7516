//! A mirror that somebody edits or deletes is restored within seconds, once.

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::world::{World, pool};

/// A world with one mirrored pool that has been quiet since.
async fn mirrored(name: &str) -> (World, super::world::Controller) {
    let mut world = World::new(name).await;
    world.put_fleet(json!([pool("a", 3)])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    world.clear_cloud_requests().await;
    world.audit.restart();
    (world, controller)
}

#[tokio::test]
async fn an_edited_status_is_restored_with_one_write_and_one_more_poll() {
    let (world, _controller) = mirrored("edited").await;
    let lie = json!({"status": {"phase": "Perfect", "conditions": []}});
    let params = PatchParams::default();
    world
        .pools
        .patch_status("a", &params, &Patch::Merge(&lie))
        .await
        .unwrap();
    world
        .until_pool("a", |it| {
            it.status.as_ref().unwrap().phase.as_deref() == Some("Running")
        })
        .await;
    assert_eq!(world.audit.mirror_writes().len(), 1);
    // The default list and the list of failures, once.
    assert_eq!(world.cloud_requests().await.len(), 2);
}

#[tokio::test]
async fn a_deleted_mirror_is_restored_with_two_writes() {
    let (world, _controller) = mirrored("deleted").await;
    let uid = world.pools.get("a").await.unwrap().metadata.uid;
    world
        .pools
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    world
        .until_pool("a", |it| {
            it.metadata.uid != uid && it.status.as_ref().is_some_and(|it| it.phase.is_some())
        })
        .await;
    assert_eq!(world.audit.mirror_writes().len(), 2);
}

#[tokio::test]
async fn our_labels_and_owner_come_back_and_other_peoples_stay() {
    let (world, _controller) = mirrored("relabelled").await;
    let edit = json!({"metadata": {
        "labels": {"app.kubernetes.io/managed-by": null, "team": "vision"},
        "annotations": {"argocd.argoproj.io/ignore-resource-updates": "false"},
        "ownerReferences": null,
    }});
    let params = PatchParams::default();
    world
        .pools
        .patch("a", &params, &Patch::Merge(&edit))
        .await
        .unwrap();
    let mirror = world
        .until_pool("a", |it| it.metadata.owner_references.is_some())
        .await;
    let labels = mirror.metadata.labels.unwrap();
    assert_eq!(
        labels["app.kubernetes.io/managed-by"],
        "modelarts-pool-controller"
    );
    assert_eq!(labels["team"], "vision");
    let annotations = mirror.metadata.annotations.unwrap();
    assert_eq!(
        annotations["argocd.argoproj.io/ignore-resource-updates"],
        "true"
    );
    assert_eq!(world.audit.mirror_writes().len(), 1);
}
