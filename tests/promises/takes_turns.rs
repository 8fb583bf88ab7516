//! Of several replicas one works. Another takes its place when it ends, dies or is not heard of, and
//! never do two write at the same time.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::support::simulator::Simulator;
use super::world::{Controller, World, pool};

/// After this time a Lease that nobody renews is void.
const LEASE: Duration = Duration::from_secs(15);

const ELECT: &[&str] = &["--leader-elect"];

fn fleet(size: i64) -> Value {
    (1..=size).map(|n| pool(&format!("p{n}"), n)).collect()
}

async fn prepared(world: World) -> World {
    world.allow_election().await;
    world.put_fleet(fleet(5)).await;
    world
}

/// A world with a leader that has mirrored five pools, and a standby.
async fn two(name: &str) -> (World, Controller, Controller) {
    let world = prepared(World::new(name).await).await;
    let leader = world.replica("first", ELECT);
    until_leads(&leader).await;
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let standby = world.replica("second", ELECT);
    standby.until("/readyz", |status, _| status == 200).await;
    (world, leader, standby)
}

async fn until_leads(controller: &Controller) {
    controller.until("/metrics", |_, body| leads(body)).await;
}

fn leads(metrics: &str) -> bool {
    metrics.lines().any(|line| line == "modelarts_leader 1")
}

async fn has_polled(controller: &Controller) -> bool {
    let metrics = controller.ask("/metrics").await.1;
    metrics.contains("modelarts_polls_total{")
}

async fn lease(world: &World) -> LeaseSpec {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.namespace);
    let lease = leases.get("modelarts-pool-controller").await.unwrap();
    lease.spec.unwrap()
}

#[tokio::test]
async fn a_standby_is_ready_and_neither_polls_nor_writes() {
    let (mut world, leader, standby) = two("standing-by").await;
    world.audit.restart();
    world
        .patch_pool("p1", json!({"status": {"phase": "Scaling"}}))
        .await;
    world.poll("pools").await;
    assert!(!world.audit.writes_of("first").is_empty());
    assert_eq!(world.audit.writes_of("second"), []);
    assert!(has_polled(&leader).await && !has_polled(&standby).await);
    assert!(!leads(&standby.ask("/metrics").await.1));
    assert_eq!(standby.ask("/livez").await.0, 200);
    let holder = lease(&world).await.holder_identity.unwrap();
    assert!(holder.starts_with("first_"), "{holder}");
}

#[tokio::test]
async fn a_replica_that_may_not_use_the_lease_is_not_ready_and_says_why() {
    let world = World::new("no-lease").await;
    let controller = world.replica("first", ELECT);
    let body = controller
        .until("/readyz", |_, body| body.contains("Lease"))
        .await;
    assert!(
        body.contains("the Lease of namespace no-lease: may the ServiceAccount get, create"),
        "{body}"
    );
    world.allow_election().await;
    until_leads(&controller).await;
    controller.until("/readyz", |status, _| status == 200).await;
}

#[tokio::test]
async fn a_killed_leader_is_replaced_when_its_lease_is_void_and_nothing_is_written_twice() {
    let (mut world, leader, standby) = two("killed-leader").await;
    world.audit.restart();
    world
        .patch_pool("p1", json!({"status": {"phase": "Scaling"}}))
        .await;
    drop(leader);
    let killed = Instant::now();
    until_leads(&standby).await;
    assert!(killed.elapsed() < LEASE + Duration::from_secs(10));
    world.poll("pools").await;
    let writes = world.audit.mirror_writes();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(writes[0].name, "p1");
    assert_eq!(world.audit.writes_of("first"), []);
}

#[tokio::test]
async fn a_leader_that_is_asked_to_end_gives_up_its_lease_so_that_another_begins_at_once() {
    let (world, leader, standby) = two("ended-leader").await;
    assert_eq!(leader.stop().code(), Some(0));
    let ended = Instant::now();
    let holder = lease(&world).await.holder_identity.unwrap_or_default();
    assert!(!holder.starts_with("first_"), "{holder}");
    until_leads(&standby).await;
    assert!(ended.elapsed() < LEASE);
    assert_eq!(lease(&world).await.lease_transitions, Some(1));
    world.poll("pools").await;
    assert!(has_polled(&standby).await);
}

#[tokio::test]
async fn a_leader_that_was_paused_for_longer_than_its_lease_writes_nothing_and_ends() {
    let (mut world, leader, standby) = two("paused-leader").await;
    // So that it is about to poll when it wakes up.
    let often = json!({"spec": {"interval": "10s"}});
    world.patch_source("pools", often).await;
    world.poll("pools").await;
    leader.signal("-STOP");
    until_leads(&standby).await;
    world.audit.restart();
    world
        .patch_pool("p1", json!({"status": {"phase": "Scaling"}}))
        .await;
    world.poll("pools").await;
    leader.signal("-CONT");
    let log = leader.log_file();
    assert_eq!(leader.end().code(), Some(1));
    assert_eq!(world.audit.writes_of("first"), []);
    assert_eq!(world.audit.mirror_writes().len(), 1);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("error: the Lease modelarts-pool-controller was taken by another replica"),
        "{log}"
    );
}

#[tokio::test]
async fn a_leader_that_nobody_replaced_while_the_api_server_hung_goes_on_where_it_was() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start("hung-leader", &[])));
    let simulator = Simulator::start(&["--pools", "0"]);
    let world = World::on(cluster, "hung-leader", simulator).await;
    let mut world = prepared(world).await;
    let mut leader = world.replica("first", ELECT);
    until_leads(&leader).await;
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    world.audit.restart();

    cluster.signal("kube-apiserver", "-STOP");
    leader.until("/metrics", |_, body| !leads(body)).await;
    assert_eq!(leader.ask("/livez").await.0, 200);
    cluster.signal("kube-apiserver", "-CONT");
    until_leads(&leader).await;
    world.poll("pools").await;
    assert_eq!(world.audit.mirror_writes(), []);
    assert_eq!(lease(&world).await.lease_transitions, Some(0));
    assert!(leader.is_running());
}

#[tokio::test]
async fn two_controllers_that_both_work_by_mistake_agree_without_ping_pong() {
    const POOLS: usize = 20;
    let mut world = World::new("two-leaders").await;
    let size = i64::try_from(POOLS).unwrap();
    world.put_fleet(fleet(size)).await;
    let both = [world.replica("first", &[]), world.replica("second", &[])];
    let often = json!({"spec": {"interval": "10s"}});
    world.create_source("pools", often).await;
    until_each_polled_again(&both).await;
    let mut changed = fleet(size);
    for pool in changed.as_array_mut().unwrap() {
        pool["status"]["phase"] = json!("Scaling");
    }
    world.put_fleet(changed).await;
    until_each_polled_again(&both).await;
    until_each_polled_again(&both).await;

    let writes = world.audit.mirror_writes();
    let done = |verb: &str| {
        let done = writes.iter().filter(|it| it.verb == verb && it.code < 300);
        done.count()
    };
    assert_eq!(done("create"), POOLS, "{writes:?}");
    assert_eq!(done("update"), 2 * POOLS, "{writes:?}");
    assert_eq!(done("delete"), 0);
    world.audit.restart();
    until_each_polled_again(&both).await;
    assert_eq!(world.audit.mirror_writes(), []);
}

/// Waits until each controller has made a complete poll that begins now.
async fn until_each_polled_again(controllers: &[Controller]) {
    let polls = |metrics: &str| -> f64 {
        let lines = metrics
            .lines()
            .filter(|it| it.starts_with("modelarts_polls_total{"));
        let counts = lines.filter_map(|it| it.rsplit_once(' ')?.1.parse::<f64>().ok());
        counts.sum()
    };
    for controller in controllers {
        let before = polls(&controller.ask("/metrics").await.1);
        // The next one may have begun before.
        let enough = before + 2.0;
        controller
            .until("/metrics", |_, body| polls(body) >= enough)
            .await;
    }
}
