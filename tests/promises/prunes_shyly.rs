//! A mirror goes only after confirmations, never on a process's first poll, and never in masses
//! without a person's agreement.

use modelarts_pool_controller::api::CONFIRM_PRUNE;
use serde_json::{Value, json};

use super::world::{Controller, World, condition, pool};

async fn mirrored(name: &str, pools: i64, prune: Value) -> (World, Controller) {
    let world = World::new(name).await;
    let fleet = (0..pools).map(|n| pool(&format!("p{n}"), 1)).collect();
    world.put_fleet(fleet).await;
    let controller = world.controller();
    world
        .create_source("pools", json!({"spec": {"prune": prune}}))
        .await;
    world.until_ready("pools").await;
    (world, controller)
}

#[tokio::test]
async fn a_vanished_pool_goes_after_as_many_confirmations_as_asked_for() {
    let (world, _controller) = mirrored("confirmed", 5, json!({"confirmations": 3})).await;
    world.remove_pool("p1").await;
    world.poll("pools").await;
    world.poll("pools").await;
    assert_eq!(world.mirrors().await.len(), 5);
    world.poll("pools").await;
    world.until_gone("p1").await;
    assert_eq!(world.mirrors().await.len(), 4);
}

#[tokio::test]
async fn a_pool_that_comes_back_in_time_starts_the_count_again() {
    let (world, _controller) = mirrored("comes-back", 5, json!({})).await;
    for _ in 0..3 {
        world.remove_pool("p1").await;
        world.poll("pools").await;
        let fleet = (0..5).map(|n| pool(&format!("p{n}"), 1)).collect();
        world.put_fleet(fleet).await;
        world.poll("pools").await;
    }
    assert_eq!(world.mirrors().await.len(), 5);
}

#[tokio::test]
async fn the_first_poll_of_a_process_deletes_nothing() {
    let (world, controller) = mirrored("first-poll", 5, json!({"confirmations": 1})).await;
    controller.stop();
    world.remove_pool("p1").await;
    let _controller = world.controller();
    world.poll("pools").await;
    assert_eq!(world.mirrors().await.len(), 5);
    world.poll("pools").await;
    world.until_gone("p1").await;
}

#[tokio::test]
async fn a_failed_poll_confirms_nothing() {
    let (world, _controller) = mirrored("unconfirmed", 5, json!({})).await;
    world.remove_pool("p1").await;
    world.poll("pools").await;
    world
        .put_faults(json!([{"status": 500, "match": {"query": {"status": "failed"}}}]))
        .await;
    for _ in 0..3 {
        world.poll("pools").await;
    }
    assert_eq!(world.mirrors().await.len(), 5);
}

#[tokio::test]
async fn a_changed_query_starts_the_count_again() {
    let (world, _controller) = mirrored("requeried", 5, json!({})).await;
    world.remove_pool("p1").await;
    world.poll("pools").await;
    // The poll that the change itself triggers is the first one under the new query.
    let query = json!({"spec": {"query": {"workspaceIds": ["0", "w"]}}});
    world.patch_source("pools", query).await;
    world
        .until_source("pools", |it| {
            it.status.as_ref().and_then(|it| it.observed_generation) == it.metadata.generation
        })
        .await;
    assert_eq!(world.mirrors().await.len(), 5);
    world.poll("pools").await;
    world.until_gone("p1").await;
}

#[tokio::test]
async fn a_list_that_is_suddenly_empty_waits_for_a_person_who_names_the_very_set() {
    let (world, _controller) = mirrored("all-gone", 4, json!({})).await;
    world.put_fleet(json!([])).await;
    for _ in 0..3 {
        world.poll("pools").await;
    }
    let source = world.poll("pools").await;
    assert_eq!(world.mirrors().await.len(), 4);
    assert_eq!(condition(&source, "PruneBlocked").1, "MassDeletionBlocked");
    // What is no longer listed must not go on claiming to be ready.
    let mirror = world.pools.get("p0").await.unwrap();
    assert_eq!(
        condition(&mirror, "Ready"),
        ("Unknown".into(), "NotListed".into())
    );

    let status = source.status.unwrap();
    let blocked = status
        .conditions
        .iter()
        .find(|it| it.type_ == "PruneBlocked")
        .unwrap();
    let agreement = blocked
        .message
        .rsplit(&format!("{CONFIRM_PRUNE}="))
        .next()
        .unwrap();
    assert!(
        agreement.starts_with("4-") && agreement.len() == 10,
        "{agreement}"
    );
    let wrong = json!({"metadata": {"annotations": {CONFIRM_PRUNE: "4-00000000"}}});
    world.patch_source("pools", wrong).await;
    world.poll("pools").await;
    assert_eq!(world.mirrors().await.len(), 4);

    let right = json!({"metadata": {"annotations": {CONFIRM_PRUNE: agreement}}});
    world.patch_source("pools", right).await;
    world.until_gone("p0").await;
    world.until_gone("p3").await;
}

#[tokio::test]
async fn retained_mirrors_stay_and_say_that_the_cloud_no_longer_lists_them() {
    let (world, _controller) = mirrored("retained", 5, json!({"policy": "Retain"})).await;
    world.remove_pool("p1").await;
    for _ in 0..3 {
        world.poll("pools").await;
    }
    let mirror = world.pools.get("p1").await.unwrap();
    assert_eq!(
        condition(&mirror, "Ready"),
        ("Unknown".into(), "NotListed".into())
    );
    let status = mirror.status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"));
}

#[tokio::test]
async fn a_pool_last_seen_deleting_may_be_the_last_one_to_go() {
    let (world, _controller) = mirrored("expected", 1, json!({})).await;
    world
        .patch_pool("p0", json!({"status": {"phase": "Deleting"}}))
        .await;
    world.poll("pools").await;
    world.put_fleet(json!([])).await;
    world.poll("pools").await;
    world.poll("pools").await;
    world.until_gone("p0").await;
}
