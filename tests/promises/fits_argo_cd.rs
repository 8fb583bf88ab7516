//! Argo CD's health checks, actions and their test cases, as Argo CD itself would run them, and the
//! actions and the ConfigMap on the real API server.

use std::collections::BTreeSet;
use std::path::Path;

use modelarts_pool_controller::api::REQUESTED_AT;
use serde_json::{Value, json};

use super::argo::{self, directory};
use super::cluster::{repository, shared};
use super::walk::{POOL, SOURCE, walked};
use super::world::{World, condition, pool};

#[test]
fn every_health_test_passes_and_every_file_of_test_data_is_tested() {
    for kind in [SOURCE, POOL] {
        let directory = directory(kind);
        let mut untested: BTreeSet<_> = std::fs::read_dir(directory.join("testdata"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        let tests = read(&directory.join("health_test.yaml"));
        for test in tests["tests"].as_array().unwrap() {
            let path = directory.join(test["inputPath"].as_str().unwrap());
            let health = argo::health(&read(&path));
            assert_eq!(health, test["healthStatus"], "{}", path.display());
            untested.remove(&path);
        }
        assert_eq!(untested, BTreeSet::new());
    }
}

#[test]
fn the_example_application_names_the_chart_and_its_version() {
    let application = read(&repository("deploy/gitops/argocd/application.yaml"));
    let source = &application["spec"]["source"];
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(source["targetRevision"], version.as_str());
    let chart = repository(source["path"].as_str().unwrap());
    assert_eq!(
        read(&chart.join("Chart.yaml"))["name"],
        source["helm"]["releaseName"]
    );
    // Sources in its values would be hooks to Argo CD.
    assert_eq!(source["helm"]["values"], Value::Null);
}

#[test]
fn every_action_test_passes() {
    let directory = directory(SOURCE).join("actions");
    let tests = read(&directory.join("action_test.yaml"));
    let file = |path: &Value| read(&directory.join(path.as_str().unwrap()));
    for test in tests["discoveryTests"].as_array().unwrap() {
        let mut offered = argo::actions(&file(&test["inputPath"]));
        for expected in test["result"].as_array().unwrap() {
            let mut expected = expected.clone();
            let name = expected["name"].take();
            expected.as_object_mut().unwrap().remove("name");
            let name = name.as_str().unwrap();
            assert_eq!(offered[name].take(), expected, "{name}");
            offered.as_object_mut().unwrap().remove(name);
        }
        assert_eq!(offered, json!({}), "offered and not expected");
    }
    for test in tests["actionTests"].as_array().unwrap() {
        let before = file(&test["inputPath"]);
        let action = test["action"].as_str().unwrap();
        let mut after = argo::act(&before, action);
        // The time of the request differs, as in Argo CD's own tests of its `restartedAt`.
        if action == "refresh" {
            after["metadata"]["annotations"][REQUESTED_AT] = json!("2026-01-01T00:00:00Z");
        }
        assert_eq!(after, file(&test["expectedOutputPath"]), "{action}");
    }
}

#[tokio::test]
async fn each_action_does_on_a_live_source_what_its_name_says() {
    let world = World::new("argo-actions").await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    world.clear_cloud_requests().await;

    let token = act(&world, "refresh").await["metadata"]["annotations"][REQUESTED_AT].take();
    world
        .until_source("pools", |it| {
            let status = it.status.as_ref().unwrap();
            status.last_handled_reconcile_at.as_deref() == token.as_str()
        })
        .await;
    assert!(!world.cloud_requests().await.is_empty());

    act(&world, "suspend").await;
    world
        .until_source("pools", |it| condition(it, "Ready").1 == "Suspended")
        .await;
    act(&world, "resume").await;
    world.until_ready("pools").await;
}

/// Has Argo CD do something to the source, as a patch of what the action changes.
async fn act(world: &World, action: &str) -> Value {
    let live = world.sources.get("pools").await.unwrap();
    let live = serde_json::to_value(live).unwrap();
    assert_eq!(argo::actions(&live)[action]["disabled"], false, "{action}");
    let changed = argo::act(&live, action);
    let annotations = &changed["metadata"]["annotations"];
    let patch = json!({"metadata": {"annotations": annotations}, "spec": changed["spec"]});
    world.patch_source("pools", patch).await;
    changed
}

#[tokio::test]
async fn a_suspended_source_can_be_resumed_and_any_other_refreshed_and_suspended() {
    for seen in walked().await.iter().filter(|it| it.kind == SOURCE) {
        let offered = argo::actions(&seen.object);
        let suspended = seen.state == "suspended";
        assert_eq!(offered["resume"]["disabled"], !suspended, "{}", seen.state);
        assert_eq!(offered["refresh"]["disabled"], suspended, "{}", seen.state);
        assert_eq!(offered["suspend"]["disabled"], suspended, "{}", seen.state);
    }
}

#[test]
fn the_config_map_is_a_patch_that_keeps_other_settings() {
    let kubectl = |args: &str| {
        let args: Vec<&str> = args.split(' ').collect();
        shared().kubectl(&[&["-n", "argocd"], &args[..]].concat())
    };
    kubectl("create namespace argocd");
    kubectl("create configmap argocd-cm --from-literal=url=https://argocd");
    let file = repository("deploy/gitops/argocd/argocd-cm.yaml");
    let patch = "patch configmap argocd-cm --type=merge --patch-file";
    kubectl(&format!("{patch} {}", file.display()));
    let patched = kubectl("get configmap argocd-cm -o json");
    let mut expected = read(&file)["data"].take();
    expected["url"] = json!("https://argocd");
    let patched: Value = serde_json::from_str(&patched).unwrap();
    assert_eq!(patched["data"], expected);
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap()
}
