//! The files of `deploy/gitops/argocd` that are made of others: the ConfigMap of the Lua scripts, and
//! the test data of what the controller writes. `make gitops` writes them anew.

use modelarts_pool_controller::api::REQUESTED_AT;
use serde_json::{Value, json};

use super::argo::directory;
use super::cluster::repository;
use super::support::generated::assert_generated;
use super::walk::{POOL, SOURCE, walked};

#[tokio::test]
async fn the_test_data_is_what_the_controller_writes() {
    for seen in walked().await {
        let path = directory(seen.kind).join(format!("testdata/{}.yaml", seen.state));
        assert_generated(&path, &yaml(&seen.settled), "make gitops");
    }
    let mut seen = walked().await.iter();
    let ready = seen.find(|it| (it.kind, it.state) == (SOURCE, "ready"));
    let initial = &ready.unwrap().settled;
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
        assert_generated(&path, &yaml(object), "make gitops");
    }
}

#[test]
fn the_config_map_installs_these_very_scripts() {
    let text = config_map();
    assert_generated(
        &repository("deploy/gitops/argocd/argocd-cm.yaml"),
        &text,
        "make gitops",
    );
    let installed: Value = serde_saphyr::from_str(&text).unwrap();
    let installed = &installed["data"];
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

fn yaml(object: &Value) -> String {
    serde_saphyr::to_string(object).unwrap()
}

fn script(kind: &str, path: &str) -> String {
    std::fs::read_to_string(directory(kind).join(path)).unwrap()
}

fn name(kind: &str) -> String {
    format!("modelarts.huaweicloud.com_{kind}")
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
