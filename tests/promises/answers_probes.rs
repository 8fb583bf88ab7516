//! `/livez`, `/readyz` and `/metrics` say what is so, and nothing that they must not say.

use std::collections::BTreeSet;

use serde_json::json;

use super::cluster::{Cluster, repository};
use super::support::exposition;
use super::support::simulator::Simulator;
use super::world::{World, pool};

async fn start(name: &str, pools: &[&str]) -> World {
    let world = World::new(name).await;
    let fleet = pools.iter().map(|name| pool(name, 1)).collect();
    world.put_fleet(fleet).await;
    world
}

/// The value of a series.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let mut lines = metrics.lines();
    lines.find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[tokio::test]
async fn readiness_waits_for_the_kinds_and_for_the_first_look_at_each_source() {
    let cluster: &'static Cluster =
        Box::leak(Box::new(Cluster::without_kinds("probed-kinds", &[])));
    cluster.apply_manifests();
    let world = World::on(cluster, "probed", Simulator::start(&["--pools", "0"])).await;
    let controller = world.controller();
    let body = controller.until("/readyz", |status, body| {
        status == 503 && body.contains("ModelArtsPoolSources")
    });
    let body = body.await;
    assert!(
        body.contains("waiting for the watch on ModelArtsPools"),
        "{body}"
    );
    assert!(body.contains("is the CRD installed"), "{body}");
    assert_eq!(controller.ask("/livez").await, (200, "ok\n".to_owned()));

    cluster.kubectl(&["apply", "-f", repository("crds").to_str().unwrap()]);
    controller.until("/readyz", |status, _| status == 200).await;

    // The kinds go, and come back: it says so, stays, and recovers.
    cluster.kubectl(&["delete", "-f", repository("crds").to_str().unwrap()]);
    controller.until("/readyz", |status, _| status == 503).await;
    let metrics = controller.ask("/metrics").await.1;
    let healthy = "modelarts_watch_healthy{kind=\"ModelArtsPool\"}";
    assert_eq!(value(&metrics, healthy), Some(0.0), "{metrics}");
    cluster.kubectl(&["apply", "-f", repository("crds").to_str().unwrap()]);
    controller.until("/readyz", |status, _| status == 200).await;
}

#[tokio::test]
async fn a_source_whose_cloud_does_not_answer_is_waited_for_until_that_has_a_name() {
    let world = start("unpolled", &["a"]).await;
    world.put_faults(json!([{"hang": true}])).await;
    world
        .create_source("pools", json!({"spec": {"timeout": "3s"}}))
        .await;
    let controller = world.controller();
    let pending = "waiting for the first look at source unpolled/pools\n";
    let body = controller.until("/readyz", |status, body| {
        status == 503 && !body.contains("the watch on")
    });
    assert_eq!(body.await, pending);
    controller.until("/readyz", |status, _| status == 200).await;
    world
        .until_source("pools", |it| {
            super::world::condition(it, "FetchFailed").1 == "UpstreamUnreachable"
        })
        .await;
}

#[tokio::test]
async fn metrics_tell_what_was_polled_and_written_and_forget_a_deleted_source() {
    let world = start("measured", &["a", "b"]).await;
    world
        .patch_pool("b", json!({"status": {"phase": "Hibernating"}}))
        .await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let metrics = controller
        .until("/metrics", |_, body| body.contains("outcome"))
        .await;
    let of_source = "{namespace=\"measured\",source=\"pools\"";
    let series = |name: &str, more: &str| value(&metrics, &format!("{name}{of_source}{more}}}"));
    assert_eq!(
        series("modelarts_source_pools", ",phase=\"Running\""),
        Some(1.0)
    );
    assert_eq!(
        series("modelarts_source_pools", ",phase=\"Other\""),
        Some(1.0)
    );
    let available = ",state=\"available\",accelerator=\"cpu\"";
    assert_eq!(series("modelarts_source_nodes", available), Some(2.0));
    assert_eq!(
        series("modelarts_polls_total", ",outcome=\"Succeeded\""),
        Some(1.0)
    );
    assert_eq!(series("modelarts_source_stale", ""), Some(0.0));
    assert_eq!(
        series("modelarts_source_interval_seconds", ""),
        Some(1800.0)
    );
    let synced = series("modelarts_source_last_sync_timestamp_seconds", "").unwrap();
    let now = k8s_openapi::jiff::Timestamp::now().as_second() as f64;
    assert!((now - synced).abs() < 60.0, "{synced} at {now}");
    let created = "modelarts_writes_total{kind=\"ModelArtsPool\",verb=\"create\",result=\"ok\"}";
    assert_eq!(value(&metrics, created), Some(2.0));

    world.put_faults(json!([{"status": 403}])).await;
    world.poll("pools").await;
    let failing = "modelarts_source_failing{namespace=\"measured\",source=\"pools\",reason=\"PermissionDenied\"}";
    controller
        .until("/metrics", |_, body| value(body, failing) == Some(1.0))
        .await;

    world
        .cluster
        .kubectl(&["delete", "modelartspoolsource", "pools", "-n", "measured"]);
    controller
        .until("/metrics", |_, body| !body.contains("source=\"pools\""))
        .await;
}

#[tokio::test]
async fn labels_are_names_of_sources_and_words_of_this_program() {
    let world = start("labelled", &["secret-pool-name"]).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let metrics = controller
        .until("/metrics", |_, body| body.contains("outcome"))
        .await;
    for line in metrics.lines() {
        assert!(
            !line.contains("secret-pool-name") && !line.contains("http"),
            "{line}"
        );
    }
    let series = exposition::labels(&metrics);
    let labels: BTreeSet<&str> = series.into_values().flatten().collect();
    let known = [
        "accelerator",
        "kind",
        "le",
        "namespace",
        "operation",
        "outcome",
        "phase",
        "result",
        "source",
        "state",
        "verb",
        "version",
    ];
    assert_eq!(labels, BTreeSet::from(known));
}
