//! A mirror stands for one pool for as long as that pool lives, whatever the pool is called and
//! whoever else lists it.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::world::{World, condition, names, pool};

#[tokio::test]
async fn pools_with_names_that_kubernetes_refuses_get_names_of_their_own_and_keep_them() {
    let mut world = World::new("odd-names").await;
    let fleet = json!([pool("Pool_A", 1), pool("资源池", 1), pool("pool-a", 1)]);
    world.put_fleet(fleet).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let mirrors = world.pools.list(&Default::default()).await.unwrap().items;
    let mut pools: Vec<(&str, String)> = mirrors
        .iter()
        .map(|it| it.spec.pool_name.as_str())
        .zip(names(&mirrors))
        .collect();
    pools.sort();
    let [(_, upper), (_, plain), (_, chinese)] = &pools[..] else {
        panic!("{pools:?}");
    };
    assert!(upper.starts_with("pool-a-"), "{upper}");
    assert_eq!(plain, "pool-a");
    assert!(chinese.starts_with("pool-"), "{chinese}");

    // Neither another poll, nor another process, nor the other pools' going changes a name.
    world.poll("pools").await;
    drop(controller);
    world.audit.restart();
    world.put_fleet(json!([pool("资源池", 1)])).await;
    let _controller = world.controller();
    world.poll("pools").await;
    let kept = world.pools.get(chinese).await.unwrap();
    assert_eq!(kept.spec.pool_name, "资源池");
    assert_eq!(world.audit.mirror_writes(), []);
}

#[tokio::test]
async fn a_pool_created_anew_under_the_same_name_gets_a_status_of_its_own() {
    let world = World::new("recreated").await;
    let mut old = pool("a", 1);
    old["status"]["driver"] = json!({"gpu": {"version": "1", "state": "Running"}});
    world.put_fleet(json!([old])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let since = |mirror: &modelarts_pool_controller::api::ModelArtsPool| {
        let conditions = &mirror.status.as_ref().unwrap().conditions;
        let ready = conditions.iter().find(|it| it.type_ == "Ready");
        ready.unwrap().last_transition_time.0
    };
    let first = since(&world.pools.get("a").await.unwrap());
    // The API server keeps whole seconds.
    while Timestamp::now().as_second() == first.as_second() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut new = pool("a", 1);
    new["metadata"]["creationTimestamp"] = json!("2026-06-01T08:00:00Z");
    world.put_fleet(json!([new])).await;
    world.poll("pools").await;
    let mirror = world.pools.get("a").await.unwrap();
    assert!(since(&mirror) > first);
    let status = mirror.status.unwrap();
    assert!(status.driver.is_none(), "{:?}", status.driver);
    let created = status.metadata.unwrap().creation_timestamp;
    assert_eq!(created.as_deref(), Some("2026-06-01T08:00:00Z"));
}

#[tokio::test]
async fn the_first_of_two_sources_keeps_a_pool_and_the_second_names_it_and_touches_nothing() {
    let mut world = World::new("two-sources").await;
    world.put_fleet(json!([pool("a", 1), pool("b", 1)])).await;
    let _controller = world.controller();
    world.create_source("first", json!({})).await;
    world.until_ready("first").await;
    let before = world.mirrors().await;
    world.audit.restart();
    world.create_source("second", json!({})).await;
    let second = world.until_ready("second").await;
    assert_eq!(condition(&second, "Ready").1, "PartialSuccess");
    let conditions = second.status.unwrap().conditions;
    let ready = conditions.iter().find(|it| it.type_ == "Ready").unwrap();
    assert!(ready.message.ends_with(": a, b"), "{}", ready.message);
    world.poll("second").await;
    world.poll("first").await;
    assert_eq!(world.mirrors().await, before);
    assert_eq!(world.audit.mirror_writes(), []);
}

#[tokio::test]
async fn a_namespace_that_is_deleted_takes_its_mirrors_along_and_leaves_the_controller_calm() {
    let mut world = World::new("doomed").await;
    let fleet = (0..20).map(|n| pool(&format!("p{n}"), 1)).collect();
    world.put_fleet(fleet).await;
    let mut controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;

    world.audit.restart();
    let namespace = world.namespace.clone();
    world
        .cluster
        .kubectl(&["delete", "namespace", &namespace, "--timeout=60s"]);
    assert!(world.mirrors().await.is_empty());
    // While the namespace goes, some attempts to restore what the API server refuses are fine.
    assert!(
        world.audit.requests().len() < 200,
        "{:?}",
        world.audit.requests()
    );
    world.audit.restart();
    let quiet = Instant::now() + Duration::from_secs(3);
    while Instant::now() < quiet {
        assert!(controller.is_running());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let requests = world.audit.requests();
    assert!(requests.len() < 10, "{requests:?}");
}
