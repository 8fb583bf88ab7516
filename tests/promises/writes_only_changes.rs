//! No write without a change, counted by the API server and by the cloud.

use serde_json::{Value, json};

use super::world::{World, pool};

fn fleet(size: i64) -> Value {
    (0..size)
        .map(|n| pool(&format!("pool-{n}"), 1 + n % 7))
        .collect()
}

#[tokio::test]
async fn five_unchanged_polls_write_no_mirror_and_the_source_once_each() {
    let mut world = World::new("unchanged").await;
    world.put_fleet(fleet(200)).await;
    let _controller = world.controller();
    let query = json!({"spec": {"query": {"workspaceIds": ["0", "w1", "w2"]}}});
    world.create_source("pools", query).await;
    world.until_ready("pools").await;
    assert_eq!(world.mirrors().await.len(), 200);

    world.audit.restart();
    world.clear_cloud_requests().await;
    for _ in 0..5 {
        world.poll("pools").await;
    }
    assert_eq!(world.audit.mirror_writes(), []);
    assert_eq!(world.audit.source_writes().len(), 5);
    // Three workspaces, each with the default list and the list of failures.
    assert_eq!(world.cloud_requests().await.len(), 5 * 3 * 2);
}

#[tokio::test]
async fn a_restart_with_everything_unchanged_writes_no_mirror() {
    let mut world = World::new("restart").await;
    world.put_fleet(fleet(50)).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    assert!(controller.stop().success());

    world.audit.restart();
    let _controller = world.controller();
    world.poll("pools").await;
    assert_eq!(world.audit.mirror_writes(), []);
}

#[tokio::test]
async fn a_new_mirror_takes_two_writes_and_a_change_one() {
    let mut world = World::new("counted").await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let _controller = world.controller();
    world.audit.restart();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let verbs = |world: &World| {
        let writes = world.audit.mirror_writes().into_iter();
        writes
            .map(|it| format!("{} {} {}", it.verb, it.resource, it.code))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        verbs(&world),
        [
            "create modelartspools 201",
            "update modelartspools/status 200"
        ]
    );

    world.audit.restart();
    world
        .patch_pool("a", json!({"status": {"phase": "Abnormal"}}))
        .await;
    world.poll("pools").await;
    assert_eq!(verbs(&world), ["update modelartspools/status 200"]);
}

#[tokio::test]
async fn the_order_in_which_the_cloud_lists_things_is_no_change() {
    let mut world = World::new("order").await;
    let mut shuffled = pool("a", 1);
    shuffled["spec"]["scope"] = json!(["Train", "Infer", "Notebook"]);
    world.put_fleet(json!([shuffled, pool("b", 1)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;

    world.audit.restart();
    shuffled["spec"]["scope"] = json!(["Notebook", "Train", "Infer"]);
    world.put_fleet(json!([pool("b", 1), shuffled])).await;
    world.poll("pools").await;
    assert_eq!(world.audit.mirror_writes(), []);
}
