//! SIGTERM ends the controller within ten seconds and with status 0, whatever it is doing, and
//! leaves nothing behind that the next one does not finish.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::simulator::Simulator;
use super::world::{Controller, World, eventually, pool};

const POOLS: usize = 600;

fn fleet() -> Value {
    (0..POOLS).map(|n| pool(&format!("p{n}"), 1)).collect()
}

fn assert_stops(controller: Controller) {
    let asked = Instant::now();
    assert_eq!(controller.stop().code(), Some(0));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

async fn until_it_has_written(world: &World, writes: usize) {
    eventually("so many writes", async || {
        world.audit.mirror_writes().len() >= writes
    })
    .await;
}

fn has_status(mirror: &Value) -> bool {
    mirror["status"]["phase"] == "Running"
}

#[tokio::test]
async fn a_fill_is_interrupted_between_two_pools_and_continued_without_a_write_more() {
    let world = World::new("stopped-fill").await;
    world.put_fleet(fleet()).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    until_it_has_written(&world, 100).await;
    assert_stops(controller);
    let mirrors = world.mirrors().await;
    assert!(mirrors.len() < POOLS, "it had finished before");
    assert!(mirrors.iter().all(has_status), "one is half written");

    let _controller = world.controller();
    world.until_ready("pools").await;
    let mirrors = world.mirrors().await;
    assert!(mirrors.len() == POOLS && mirrors.iter().all(has_status));
    assert_eq!(world.audit.mirror_writes().len(), 2 * POOLS);
}

#[tokio::test]
async fn a_cloud_that_does_not_answer_is_not_waited_for() {
    let world = World::new("stopped-poll").await;
    world.put_faults(json!([{"hang": true}])).await;
    let controller = world.controller();
    world
        .create_source("pools", json!({"spec": {"timeout": "5m"}}))
        .await;
    eventually("the cloud is asked", async || {
        !world.cloud_requests().await.is_empty()
    })
    .await;
    assert_stops(controller);
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_not_waited_for() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start("hung-stop", &[])));
    let simulator = Simulator::start(&["--pools", "0"]);
    let world = World::on(cluster, "hung-stop", simulator).await;
    world.allow_election().await;
    world.put_fleet(fleet()).await;
    let controller = world.replica("first", &["--leader-elect"]);
    world.create_source("pools", json!({})).await;
    until_it_has_written(&world, 50).await;
    cluster.signal("kube-apiserver", "-STOP");
    assert_stops(controller);
    cluster.signal("kube-apiserver", "-CONT");

    let _controller = world.replica("second", &["--leader-elect"]);
    world.until_ready("pools").await;
    let mirrors = world.mirrors().await;
    assert!(mirrors.len() == POOLS && mirrors.iter().all(has_status));
}
