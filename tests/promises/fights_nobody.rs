//! Against a writer that never gives up the controller gets ever calmer, and says that there is one.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::world::{World, pool};

#[tokio::test]
async fn a_writer_that_rewrites_a_status_all_the_time_is_answered_ever_more_rarely_and_named() {
    let mut world = World::new("contested").await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    world.audit.restart();
    world.clear_cloud_requests().await;

    let pools = world.pools.clone();
    let writer = tokio::spawn(async move {
        for n in 0.. {
            let lie = json!({"status": {"message": format!("lie {n}")}});
            let params = PatchParams::default();
            pools
                .patch_status("a", &params, &Patch::Merge(&lie))
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let note = world.until_event("pools", "RepairContested").await;
    writer.abort();
    assert!(note.contains("something else"), "{note}");
    // Four repairs, of which each may have been refused because the other was faster, at 0, 2, 6
    // and 14 seconds, against some 150 writes of the other.
    let writes = world.audit.mirror_writes();
    assert!(writes.len() <= 10, "{writes:?}");
    let requests = world.cloud_requests().await;
    assert!(requests.len() <= 20, "{}", requests.len());

    // Once the other has gone, the truth comes back.
    world
        .until_pool("a", |it| it.status.as_ref().unwrap().message.is_none())
        .await;
}
