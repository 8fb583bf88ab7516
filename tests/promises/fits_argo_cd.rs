//! Argo CD's health checks, actions and their test cases, as Argo CD itself would run them, on
//! objects that the controller produced; and the same scripts as its ConfigMap installs them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use modelarts_pool_controller::api::REQUESTED_AT;
use serde_json::{Value, json};

use super::argo::{self, CUSTOMIZATIONS};
use super::cluster::{repository, shared};
use super::walk::{POOL, SOURCE, settled, walked};
use super::world::{World, condition, pool};

const CONFIG_MAP: &str = "deploy/gitops/argocd/argocd-cm.yaml";

/// The states that the committed health checks are tested with: each health, and each reason for it
/// that a script tells apart.
const SOURCES: [&str; 8] = [
    "new",
    "working",
    "ready",
    "stale",
    "failed",
    "suspended",
    "changed",
    "deleted",
];
const POOLS: [&str; 9] = [
    "new",
    "working",
    "ready",
    "upgrading",
    "short",
    "abnormal",
    "failed",
    "stale",
    "deleted",
];

#[test]
fn every_health_test_passes_and_every_file_of_test_data_is_tested() {
    for (kind, count) in [(SOURCE, SOURCES.len()), (POOL, POOLS.len())] {
        let directory = directory(kind);
        let tests = read(&directory.join("health_test.yaml"));
        let mut tested = BTreeSet::new();
        for test in tests["tests"].as_array().unwrap() {
            let path = test["inputPath"].as_str().unwrap();
            let (status, message) = argo::health(&read(&directory.join(path)));
            let said = json!({"status": status, "message": message});
            assert_eq!(said, test["healthStatus"], "{kind} {path}");
            tested.insert(path.to_owned());
        }
        assert_eq!(tested.len(), count);
        assert_eq!(
            std::fs::read_dir(directory.join("testdata"))
                .unwrap()
                .count(),
            count
        );
    }
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
async fn the_test_data_is_what_the_controller_writes() {
    for (kind, states) in [(SOURCE, &SOURCES[..]), (POOL, &POOLS[..])] {
        for state in states {
            let path = directory(kind).join(format!("testdata/{state}.yaml"));
            is_committed(&path, &yaml(settled(kind, state).await));
        }
    }
    let initial = settled(SOURCE, "ready").await;
    let mut refreshed = initial.clone();
    refreshed["metadata"]["annotations"] = json!({REQUESTED_AT: "2026-01-01T00:00:00Z"});
    let mut suspended = initial.clone();
    suspended["spec"]["suspend"] = json!(true);
    for (name, object) in [
        ("initial", initial),
        ("refreshed", &refreshed),
        ("suspended", &suspended),
    ] {
        let path = directory(SOURCE).join(format!("actions/testdata/{name}.yaml"));
        is_committed(&path, &yaml(object));
    }
}

#[test]
fn the_config_map_installs_these_very_scripts() {
    is_committed(&repository(CONFIG_MAP), &config_map());
    let installed = read(&repository(CONFIG_MAP))["data"].take();
    let script = |kind: &str, path: &str| {
        Value::from(std::fs::read_to_string(directory(kind).join(path)).unwrap())
    };
    for kind in [SOURCE, POOL] {
        let key = format!("resource.customizations.health.{}", name(kind));
        assert_eq!(installed[key], script(kind, "health.lua"));
    }
    let key = format!("resource.customizations.actions.{}", name(SOURCE));
    let actions: Value = serde_saphyr::from_str(installed[key].as_str().unwrap()).unwrap();
    assert_eq!(
        actions["discovery.lua"],
        script(SOURCE, "actions/discovery.lua")
    );
    for action in actions["definitions"].as_array().unwrap() {
        let path = format!("actions/{}/action.lua", action["name"].as_str().unwrap());
        assert_eq!(action["action.lua"], script(SOURCE, &path));
    }
}

#[test]
fn the_config_map_is_a_patch_that_keeps_other_settings() {
    let kubectl = |args: &[&str]| shared().kubectl(&[&["-n", "argocd"], args].concat());
    kubectl(&["create", "namespace", "argocd"]);
    kubectl(&[
        "create",
        "configmap",
        "argocd-cm",
        "--from-literal=url=https://argocd",
    ]);
    let patch = repository(CONFIG_MAP);
    let file = ["--patch-file", patch.to_str().unwrap()];
    kubectl(
        &[
            &["patch", "configmap", "argocd-cm", "--type=merge"],
            &file[..],
        ]
        .concat(),
    );
    let patched = kubectl(&["get", "configmap", "argocd-cm", "-o", "json"]);
    let mut data = serde_json::from_str::<Value>(&patched).unwrap()["data"].take();
    assert_eq!(data["url"].take(), "https://argocd");
    data.as_object_mut().unwrap().remove("url");
    assert_eq!(data, read(&patch)["data"]);
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
async fn every_object_of_the_walk_has_actions_or_none_but_no_error() {
    for seen in walked().await.iter().filter(|it| it.kind == SOURCE) {
        let offered = argo::actions(&seen.object);
        let suspended = seen.state == "suspended";
        assert_eq!(offered["resume"]["disabled"], !suspended, "{}", seen.state);
        assert_eq!(offered["refresh"]["disabled"], suspended, "{}", seen.state);
    }
}

fn directory(kind: &str) -> PathBuf {
    repository(CUSTOMIZATIONS)
        .join("modelarts.huaweicloud.com")
        .join(kind)
}

fn name(kind: &str) -> String {
    format!("modelarts.huaweicloud.com_{kind}")
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap()
}

fn yaml(object: &Value) -> String {
    serde_saphyr::to_string(object).unwrap()
}

/// Compares a generated file with the committed one; `make gitops` writes it instead.
fn is_committed(path: &Path, generated: &str) {
    if std::env::var_os("WRITE_GITOPS").is_some() {
        std::fs::write(path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let path = path.display();
    assert_eq!(
        committed, generated,
        "{path} is not up to date: run make gitops"
    );
}

/// The ConfigMap, which carries the scripts as text.
fn config_map() -> String {
    let mut text = "\
# Written by `make gitops` from the Lua files next to it. A patch of Argo CD's own ConfigMap:
#   kubectl patch configmap argocd-cm -n argocd --type=merge --patch-file argocd-cm.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
data:
"
    .to_owned();
    let script =
        |kind: &str, path: &str| std::fs::read_to_string(directory(kind).join(path)).unwrap();
    let mut put = |setting: &str, kind: &str, value: &str| {
        let key = format!("resource.customizations.{setting}.{}", name(kind));
        text += &block(2, &key, value);
    };
    let mut actions = block(0, "discovery.lua", &script(SOURCE, "actions/discovery.lua"));
    actions += "definitions:\n";
    for action in ["refresh", "suspend", "resume"] {
        let lua = script(SOURCE, &format!("actions/{action}/action.lua"));
        actions += &format!("  - name: {action}\n{}", block(4, "action.lua", &lua));
    }
    put("health", SOURCE, &script(SOURCE, "health.lua"));
    put("actions", SOURCE, &actions);
    put("health", POOL, &script(POOL, "health.lua"));
    // Mirrors carry the annotation that makes this setting apply to them.
    put(
        "ignoreResourceUpdates",
        POOL,
        "jsonPointers:\n  - /status\n",
    );
    text
}

/// `key: |` and the text below it.
fn block(indent: usize, key: &str, text: &str) -> String {
    let margin = " ".repeat(indent);
    let line = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("{margin}  {line}\n"),
    };
    format!(
        "{margin}{key}: |\n{}",
        text.lines().map(line).collect::<String>()
    )
}
