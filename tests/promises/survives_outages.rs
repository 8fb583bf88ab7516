//! An API server or a cloud that is gone for a while costs time and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::cluster::Cluster;
use super::support::simulator::Simulator;
use super::world::{World, condition, eventually, pool};

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
    eventually("a third is written", async || {
        world.audit.mirror_writes().len() >= POOLS / 3
    })
    .await;
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

#[tokio::test]
async fn a_cloud_that_is_gone_for_ten_intervals_costs_each_mirror_two_writes() {
    const INTERVALS: usize = 10;
    let mut world = World::new("long-gone").await;
    world.put_fleet(fleet(20)).await;
    let _controller = world.controller();
    let spec = json!({"spec": {"interval": "10s", "staleAfter": "30s"}});
    world.create_source("pools", spec).await;
    world.until_ready("pools").await;
    let before = world.mirrors().await;
    world.audit.restart();

    let address = world.simulator.api.trim_start_matches("http://").to_owned();
    world.simulator.kill();
    // What is left of the cloud is a balancer with nothing behind it, which tells how often it is
    // asked.
    let attempts = Arc::new(AtomicUsize::new(0));
    let (counted, listener) = (Arc::clone(&attempts), TcpListener::bind(&address).await);
    let listener = listener.unwrap();
    let balancer = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    let over = tokio::time::Instant::now() + Duration::from_secs(10) * INTERVALS as u32;
    tokio::time::sleep_until(over).await;
    balancer.abort();
    let _ = balancer.await;
    let attempts = attempts.load(Ordering::SeqCst);
    // A first few soon after each other, and then no more often than a healthy source is polled.
    assert!((2..=INTERVALS + 1).contains(&attempts), "{attempts}");
    let mirrors = world.mirrors().await;
    assert_eq!(mirrors.len(), before.len());
    for mirror in &mirrors {
        assert_eq!(condition(mirror, "Ready").1, "Stale");
        assert_eq!(mirror["status"]["phase"], "Running");
    }

    world.simulator = Simulator::start_at(&address, &["--pools", "0"]);
    world.put_fleet(fleet(20)).await;
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let source = world.sources.get("pools").await.unwrap();
        if condition(&source, "Ready").0 == "True" {
            break;
        }
        assert!(Instant::now() < deadline, "it does not come back by itself");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for (mirror, before) in world.mirrors().await.iter().zip(&before) {
        assert_eq!(condition(mirror, "Ready").0, "True");
        assert_eq!(mirror["status"]["resources"], before["status"]["resources"]);
    }
    assert_no_delete(&world);
    assert_eq!(world.audit.mirror_writes().len(), 2 * before.len());
}

/// Has etcd say that its space is used up, or no longer; meanwhile it takes nothing but deletions.
async fn set_space_alarm(cluster: &Cluster, action: &str) {
    let etcd = cluster.etcd();
    let ask = async |path: &str, body: Value| -> Value {
        let request = reqwest::Client::new().post(format!("{etcd}{path}"));
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let status = ask("/v3/maintenance/status", json!({})).await;
    let member = &status["header"]["member_id"];
    let alarm = json!({"action": action, "memberID": member, "alarm": "NOSPACE"});
    ask("/v3/maintenance/alarm", alarm).await;
}

#[tokio::test]
async fn an_etcd_without_space_is_not_hammered_and_nothing_is_deleted_before_it_has_some() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start("full", &[])));
    let simulator = Simulator::start(&["--pools", "0"]);
    let mut world = World::on(cluster, "full", simulator).await;
    world.put_fleet(fleet(100)).await;
    let controller = world.controller();
    let spec = json!({"spec": {"interval": "10s", "prune": {"confirmations": 1}}});
    world.create_source("pools", spec).await;
    world.until_ready("pools").await;

    set_space_alarm(cluster, "ACTIVATE").await;
    world.audit.restart();
    // One pool is gone, the others have changed, and a hundred are new.
    let changed = (1..200).map(|n| pool(&format!("pool-{n:03}"), 50));
    world.put_fleet(changed.collect()).await;
    world.clear_cloud_requests().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let polls = loop {
        let polls = world.cloud_requests().await.len() / 2;
        if polls >= 3 {
            break polls;
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let writes = world.audit.mirror_writes();
    assert!(writes.iter().all(|it| it.code == 500), "{writes:?}");
    assert_no_delete(&world);
    // It gives up once as many failed as are written at the same time; those under way still fail.
    assert!(
        writes.len() < (polls + 1) * 32,
        "{} in {polls}",
        writes.len()
    );
    let metrics = controller.ask("/metrics").await.1;
    let failed =
        |line: &&str| line.starts_with("modelarts_writes_total{") && line.contains("error");
    let failed = metrics.lines().find(failed);
    assert!(failed.is_some_and(|it| !it.ends_with(" 0")), "{metrics}");
    let kept = world.pools.get("pool-000").await.unwrap();
    assert_eq!(condition(&kept, "Ready").0, "True");

    set_space_alarm(cluster, "DEACTIVATE").await;
    let deadline = Instant::now() + Duration::from_secs(120);
    while world.pools.get_opt("pool-000").await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "it does not come back by itself");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.until_ready("pools").await;
    let shows = |it: &Value| it["status"]["summary"]["nodes"] == "50/50";
    let mirrors = world.mirrors().await;
    assert_eq!(mirrors.iter().filter(|it| shows(it)).count(), 199);
}
