//! Kinds that are missing, older than the program, or not allowed end nothing: the process stays,
//! says it in a line every so often, and goes on by itself once they are right.

use serde_json::{Value, json};

use super::cluster::{Cluster, repository};
use super::support::simulator::Simulator;
use super::world::{World, pool};

/// A control plane that lives as long as this process.
fn own(cluster: Cluster) -> &'static Cluster {
    Box::leak(Box::new(cluster))
}

fn simulator() -> Simulator {
    Simulator::start(&["--pools", "0"])
}

async fn wait_for_log(controller: &super::world::Controller, sign: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !controller.log().contains(sign) {
        assert!(std::time::Instant::now() < deadline, "{}", controller.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn missing_kinds_and_rights_are_waited_for() {
    let cluster = own(Cluster::without_kinds("late-kinds", &[]));
    // The ServiceAccount is there, its rights are not yet.
    cluster.kubectl(&["create", "namespace", "modelarts-system"]);
    let account = [
        "create",
        "serviceaccount",
        "modelarts-pool-controller",
        "-n",
        "modelarts-system",
    ];
    cluster.kubectl(&account);
    let world = World::on(cluster, "late", simulator()).await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let controller = world.controller();
    wait_for_log(&controller, "ModelArtsPools failed").await;
    wait_for_log(&controller, "ModelArtsPoolSources failed").await;

    cluster.kubectl(&["apply", "-f", repository("crds").to_str().unwrap()]);
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=30s",
    ]);
    cluster.apply_manifests();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    // Nobody needs more than a line or two about each attempt, and attempts get rare.
    let lines = controller
        .log()
        .matches("failed; it is opened again")
        .count();
    assert!(lines < 40, "{lines} lines");
}

#[tokio::test]
async fn a_crd_that_drops_a_field_is_said_and_is_no_reason_to_write_for_ever() {
    let cluster = own(Cluster::start("old-kinds", &[]));
    let name = "modelartspools.modelarts.huaweicloud.com";
    let mut crd: Value =
        serde_json::from_str(&cluster.kubectl(&["get", "crd", name, "-o", "json"])).unwrap();
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let status = &mut schema["properties"]["status"]["properties"];
    status.as_object_mut().unwrap().remove("root").unwrap();
    cluster
        .try_kubectl_with(&["replace", "-f", "-"], &crd.to_string())
        .unwrap();

    let mut world = World::on(cluster, "old", simulator()).await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    // The API server takes a moment to serve the older schema.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !controller.log().contains("dropped fields") {
        assert!(std::time::Instant::now() < deadline, "{}", controller.log());
        world
            .patch_pool(
                "a",
                json!({"status": {"message": controller.log().len().to_string()}}),
            )
            .await;
        world.poll("pools").await;
    }
    world.until_ready("pools").await;
    world.audit.restart();
    for _ in 0..3 {
        world.poll("pools").await;
    }
    assert_eq!(world.audit.mirror_writes(), []);
}
