//! A watch that says that its place is gone, or tells things twice and late, costs one more list
//! and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::api::DeleteParams;
use serde_json::json;

use super::front::{Treatment, behind, failure};
use super::world::{World, pool};

fn is_watch_on_mirrors(path: &str) -> bool {
    path.contains("/modelartspools?") && path.contains("watch=true")
}

#[tokio::test]
async fn a_mirror_deleted_before_the_watch_is_told_gone_is_restored_from_the_new_list() {
    const AWAY: usize = usize::MAX / 2;
    let mut world = World::new("gone").await;
    // How many more watches are refused: first by a status, then by an event, as both happen.
    let refusals = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refusals);
    let front = behind(&world, move |_, path| {
        if !is_watch_on_mirrors(path) {
            return Treatment::Forward;
        }
        match counted.load(Ordering::SeqCst) {
            0 => Treatment::Forward,
            AWAY.. => Treatment::Answer(503, failure(503, "ServiceUnavailable")),
            n => {
                counted.store(n - 1, Ordering::SeqCst);
                let gone = failure(410, "Expired");
                match n {
                    1 => Treatment::Answer(200, json!({"type": "ERROR", "object": gone})),
                    _ => Treatment::Answer(410, gone),
                }
            }
        }
    })
    .await;
    world.put_fleet(json!([pool("a", 1), pool("b", 1)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let before = world.pools.get("b").await.unwrap();

    world.audit.restart();
    refusals.store(AWAY, Ordering::SeqCst);
    front.cut();
    let params = DeleteParams::default();
    world.pools.delete("a", &params).await.unwrap();
    refusals.store(2, Ordering::SeqCst);
    world
        .until_pool("a", |it| {
            it.status.as_ref().is_some_and(|it| it.phase.is_some())
        })
        .await;
    assert_eq!(refusals.load(Ordering::SeqCst), 0);
    let writes = world.audit.mirror_writes();
    let verbs: Vec<&str> = writes.iter().map(|it| it.verb.as_str()).collect();
    assert_eq!(verbs, ["create", "update"], "{writes:?}");
    assert_eq!(world.pools.get("b").await.unwrap(), before);
}

#[tokio::test]
async fn events_that_come_twice_and_late_make_no_write() {
    let mut world = World::new("repeated").await;
    let _front = behind(&world, |_, path| {
        if is_watch_on_mirrors(path) {
            Treatment::RepeatEvents
        } else {
            Treatment::Forward
        }
    })
    .await;
    world
        .put_fleet(json!([pool("a", 1), pool("b", 1), pool("c", 1)]))
        .await;
    world.audit.restart();
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    for phase in ["Abnormal", "Running", "Abnormal"] {
        let change = json!({"status": {"phase": phase}});
        world.patch_pool("b", change).await;
        world.poll("pools").await;
    }
    for _ in 0..3 {
        world.poll("pools").await;
    }
    // Two for each new mirror, and one for each change.
    let writes = world.audit.mirror_writes();
    assert_eq!(writes.len(), 3 * 2 + 3, "{writes:?}");
    assert!(writes.iter().all(|it| it.code < 300), "{writes:?}");
    let mirror = world.pools.get("b").await.unwrap();
    assert_eq!(mirror.status.unwrap().phase.as_deref(), Some("Abnormal"));
}
