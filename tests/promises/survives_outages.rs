//! An API server or a cloud that is gone for a while costs time and nothing else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::simulator::Simulator;
use super::world::{World, condition, pool};

fn fleet(size: i64) -> Value {
    (0..size)
        .map(|n| pool(&format!("pool-{n:03}"), 1 + n % 7))
        .collect()
}

fn assert_no_delete(world: &World) {
    let writes = world.audit.mirror_writes();
    assert!(writes.iter().all(|it| !it.verb.starts_with("delete")));
}

#[tokio::test]
async fn a_fill_during_which_the_api_server_is_killed_is_finished() {
    const POOLS: usize = 300;
    // It ends with this process, like the shared one.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start("outage", &["--restart"])));
    let simulator = Simulator::start(&["--pools", "0"]);
    let mut world = World::on(cluster, "outage", simulator).await;
    world.put_fleet(fleet(300)).await;
    let mut controller = world.controller();
    world.audit.restart();
    world.create_source("pools", json!({})).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.audit.mirror_writes().len() < POOLS / 3 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.kill("kube-apiserver");
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let source = world.sources.get_opt("pools").await.ok().flatten();
        if source.is_some_and(|it| condition(&it, "Ready").0 == "True") {
            break;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mirrors = world.mirrors().await;
    assert_eq!(mirrors.len(), POOLS);
    let shown = |it: &Value| it["status"]["phase"] == "Running";
    assert!(mirrors.iter().all(shown));
    assert_no_delete(&world);
    assert!(controller.is_running());
}

#[tokio::test]
async fn a_cloud_that_is_gone_for_a_while_loses_no_mirror() {
    let mut world = World::new("cloud-gone").await;
    world.put_fleet(fleet(20)).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let before = world.mirrors().await;
    world.audit.restart();

    let api = world.simulator.api.clone();
    world.simulator.kill();
    for _ in 0..3 {
        let source = world.poll("pools").await;
        assert_eq!(condition(&source, "FetchFailed").1, "UpstreamUnreachable");
    }
    assert_eq!(world.mirrors().await, before);

    world.simulator = Simulator::start_at(api.trim_start_matches("http://"), &["--pools", "0"]);
    world.put_fleet(fleet(20)).await;
    let source = world.poll("pools").await;
    assert_eq!(condition(&source, "FetchFailed").0, "");
    assert_eq!(condition(&source, "Ready").0, "True");
    assert_eq!(world.mirrors().await, before);
    assert_no_delete(&world);
}
