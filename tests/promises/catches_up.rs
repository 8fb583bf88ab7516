//! What could not be said in time is said later, and what nobody told is noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kube::api::DeleteParams;
use serde_json::json;

use super::front::{Treatment, behind, failure};
use super::world::{World, condition, eventually, pool};

#[tokio::test]
async fn a_source_status_that_the_api_server_did_not_take_is_written_before_the_next_poll() {
    let mut world = World::new("owed").await;
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let _front = behind(&world, move |method, path| {
        let of_source = path.contains("/modelartspoolsources/") && path.contains("/status");
        if method == "PUT" && of_source && counted.fetch_add(1, Ordering::SeqCst) == 0 {
            return Treatment::Answer(500, failure(500, "InternalError"));
        }
        Treatment::Forward
    })
    .await;
    world.put_fleet(json!([pool("a", 1)])).await;
    world.audit.restart();
    let _controller = world.controller();
    // The next poll is half an hour away.
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    assert!(refused.load(Ordering::SeqCst) >= 2);
    assert_eq!(world.audit.mirror_writes().len(), 2);
    assert_eq!(world.cloud_requests().await.len(), 2);
}

#[tokio::test]
async fn mirrors_that_have_no_place_make_the_source_unready() {
    let world = World::new("placeless").await;
    let _front = behind(&world, |method, path| {
        if method == "POST" && path.contains("/modelartspools") {
            return Treatment::Answer(404, failure(404, "NotFound"));
        }
        Treatment::Forward
    })
    .await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world
        .until_source("pools", |it| {
            condition(it, "Reconciling").1 == "ProgressingWithRetry"
        })
        .await;
    assert!(controller.log().contains("does not know the kind"));
}

#[tokio::test]
async fn a_source_deleted_while_nobody_watched_is_forgotten() {
    let world = World::new("vanished").await;
    let (away, refused) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let (closed, counted) = (Arc::clone(&away), Arc::clone(&refused));
    let front = behind(&world, move |_, path| {
        if path.contains("/modelartspoolsources?") && closed.load(Ordering::SeqCst) {
            counted.fetch_add(1, Ordering::SeqCst);
            return Treatment::Answer(410, failure(410, "Expired"));
        }
        Treatment::Forward
    })
    .await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    let is_shown = |metrics: &str| metrics.contains("source=\"pools\"");
    controller
        .until("/metrics", |_, metrics| is_shown(metrics))
        .await;
    away.store(true, Ordering::SeqCst);
    front.cut();
    let params = DeleteParams::default();
    world.sources.delete("pools", &params).await.unwrap();
    // Whoever is told that its place is gone lists anew, and sees no deletion.
    eventually("the watch is refused", async || {
        refused.load(Ordering::SeqCst) > 1
    })
    .await;
    away.store(false, Ordering::SeqCst);
    controller
        .until("/metrics", |_, metrics| !is_shown(metrics))
        .await;
}

#[tokio::test]
async fn a_source_that_waits_for_its_turn_behind_others_goes_stale_all_the_same() {
    // More than may be polled at a time in one namespace.
    const SOURCES: usize = 12;
    let world = World::new("queued").await;
    world.put_fleet(json!([])).await;
    world
        .put_faults(json!([{"hang": true, "times": 1000}]))
        .await;
    let _controller = world.controller();
    let spec = json!({"spec": {"interval": "10s", "staleAfter": "10s", "timeout": "5m"}});
    for n in 0..SOURCES {
        world
            .create_source(&format!("pools-{n}"), spec.clone())
            .await;
    }
    for n in 0..SOURCES {
        world
            .until_source(&format!("pools-{n}"), |it| {
                condition(it, "Ready").0 == "False"
            })
            .await;
    }
}
