//! kube-state-metrics' series and k9s' columns and keys, on objects that the controller wrote.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use super::cluster::{repository, shared};
use super::verdict::verdict;
use super::walk::{POOL, SOURCE, settled, walked};
use super::world::{World, condition, pool};

const SERIES: [&str; 2] = [
    "series",
    "deploy/gitops/kube-state-metrics/custom-resource-state.yaml",
];

/// The series of one object without the labels that all have.
async fn series(kind: &str, state: &str) -> Vec<String> {
    let lines = verdict(&SERIES, std::slice::from_ref(settled(kind, state).await));
    let common = format!(
        "customresource_group=\"modelarts.huaweicloud.com\",customresource_kind=\"{kind}\",customresource_version=\"v1alpha1\","
    );
    let short = |line: String| {
        assert!(line.contains(&common), "{line}");
        line.replace(&common, "")
    };
    lines.into_iter().map(short).collect()
}

#[tokio::test]
async fn kube_state_metrics_shows_a_pool() {
    let shown = series(POOL, "short").await;
    let of = "name=\"llm-pretrain\",namespace=\"demo\"";
    for expected in [
        format!(
            "kube_modelartspool_info{{display_name=\"llm-pretrain\",drivers=\"npu 23.0.6\",flavors=\"modelarts.bm.npu.arm.8snt9b3.d\",{of},pool=\"llm-pretrain\",source=\"cn-north-4\",workspace=\"0\"}} 1"
        ),
        format!("kube_modelartspool_phase{{{of},phase=\"Running\"}} 1"),
        format!("kube_modelartspool_phase{{{of},phase=\"Scaling\"}} 0"),
        format!(
            "kube_modelartspool_condition_info{{{of},reason=\"Running\",status=\"True\",type=\"Ready\"}} 1"
        ),
        format!(
            "kube_modelartspool_condition_info{{{of},reason=\"AbnormalNodes\",status=\"False\",type=\"CapacityHealthy\"}} 1"
        ),
        format!(
            "kube_modelartspool_condition_info{{{of},reason=\"Enabled\",status=\"True\",type=\"TrainReady\"}} 1"
        ),
        format!("kube_modelartspool_nodes_desired{{{of}}} 2"),
        format!("kube_modelartspool_nodes_available{{{of}}} 1"),
        format!("kube_modelartspool_nodes_abnormal{{{of}}} 1"),
        format!("kube_modelartspool_nodes_creating{{{of}}} 0"),
        format!("kube_modelartspool_nodes_deleting{{{of}}} 0"),
    ] {
        assert!(
            shown.contains(&expected),
            "{expected} is not among {shown:#?}"
        );
    }
    assert_eq!(shown.len(), 1 + 9 + 3 + 5, "{shown:#?}");
}

#[tokio::test]
async fn kube_state_metrics_shows_a_source() {
    let mut shown = series(SOURCE, "ready").await;
    shown.sort();
    let of = "name=\"cn-north-4\",namespace=\"demo\"";
    let nodes = |state: &str, count| {
        format!("kube_modelartspoolsource_nodes{{{of},state=\"{state}\"}} {count}")
    };
    let mut expected = [
        format!(
            "kube_modelartspoolsource_condition_info{{{of},reason=\"Succeeded\",status=\"True\",type=\"Ready\"}} 1"
        ),
        format!(
            "kube_modelartspoolsource_info{{{of},project=\"0123456789abcdef0123456789abcdef\",region=\"cn-north-4\"}} 1"
        ),
        format!("kube_modelartspoolsource_last_sync_time_seconds{{{of}}} 1.7672256e+09"),
        nodes("abnormal", 0),
        nodes("available", 2),
        nodes("creating", 0),
        nodes("deleting", 0),
        nodes("desired", 2),
        format!("kube_modelartspoolsource_pools{{{of}}} 1"),
        format!("kube_modelartspoolsource_pools_ready{{{of}}} 1"),
        format!("kube_modelartspoolsource_suspended{{{of}}} 0"),
    ];
    expected.sort();
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn kube_state_metrics_has_no_trouble_with_any_state() {
    let objects: Vec<_> = walked().await.iter().map(|it| it.object.clone()).collect();
    let shown = verdict(&SERIES, &objects);
    let stale =
        |line: &&String| line.contains("reason=\"Stale\",status=\"Unknown\",type=\"Ready\"");
    // The mirror of the broken cloud and that of the suspended source.
    assert_eq!(shown.iter().filter(stale).count(), 2);
}

#[test]
fn kube_state_metrics_may_read_both_kinds_and_nothing_else_that_is_new() {
    let kubectl = |args: &str| shared().try_kubectl(&args.split(' ').collect::<Vec<_>>());
    let rbac = repository("deploy/gitops/kube-state-metrics/rbac.yaml");
    kubectl(&format!("apply -f {}", rbac.display())).unwrap();
    let account = "--as=system:serviceaccount:kube-system:kube-state-metrics -A";
    let may = |act: &str| kubectl(&format!("auth can-i {act} {account}")).is_ok();
    for kind in [
        "modelartspools.modelarts.huaweicloud.com",
        "modelartspoolsources.modelarts.huaweicloud.com",
        "customresourcedefinitions.apiextensions.k8s.io",
    ] {
        assert!(may(&format!("list {kind}")) && may(&format!("watch {kind}")));
        assert!(!may(&format!("update {kind}")), "{kind}");
    }
    assert!(!may("list secrets"));
}

fn k9s(file: &str) -> Value {
    let text = std::fs::read_to_string(repository("deploy/gitops/k9s").join(file)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// A world with one pool that has everything a column shows.
async fn shown(name: &str) -> (World, super::world::Controller) {
    let world = World::new(name).await;
    let mut pool = pool("a", 1);
    pool["status"]["driver"] = json!({"gpu": {"version": "535.129.03", "state": "Running"}});
    world.put_fleet(json!([pool])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    (world, controller)
}

#[tokio::test]
async fn every_column_of_the_k9s_views_has_a_value() {
    let (world, _controller) = shown("k9s-columns").await;
    for (view, settings) in k9s("views.yaml")["views"].as_object().unwrap() {
        let plural = view
            .strip_prefix("modelarts.huaweicloud.com/v1alpha1/")
            .unwrap();
        let columns = settings["columns"].as_array().unwrap().iter();
        // k9s takes a name alone from the resource itself; the others are kubectl's expressions.
        let own = columns.filter_map(|it| it.as_str().unwrap().split_once(':'));
        let spec: Vec<_> = own
            .map(|(name, rest)| format!("{name}:{}", rest.split('|').next().unwrap()))
            .collect();
        let output = format!("custom-columns={}", spec.join(","));
        let table = world
            .cluster
            .kubectl(&["get", plural, "-n", &world.namespace, "-o", &output]);
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(!table.contains("<none>"), "{table}");
        let sorted = settings["sortColumn"].as_str().unwrap().split(':').next();
        assert!(spec.iter().any(|it| it.split(':').next() == sorted));
    }
}

#[tokio::test]
async fn the_keys_of_k9s_poll_suspend_and_resume() {
    let (world, _controller) = shown("k9s-keys").await;
    let before = world.sources.get("pools").await.unwrap();
    let handled = |it: &modelarts_pool_controller::api::ModelArtsPoolSource| {
        it.status
            .as_ref()
            .unwrap()
            .last_handled_reconcile_at
            .clone()
    };
    press(&world, "modelarts-refresh");
    world
        .until_source("pools", |it| handled(it) != handled(&before))
        .await;
    press(&world, "modelarts-suspend");
    world
        .until_source("pools", |it| condition(it, "Ready").1 == "Suspended")
        .await;
    press(&world, "modelarts-suspend");
    world.until_ready("pools").await;
}

/// Runs the command behind a key on the source, as k9s does.
fn press(world: &World, plugin: &str) {
    let plugin = k9s("plugins.yaml")["plugins"][plugin].take();
    assert_eq!(plugin["scopes"], json!(["modelartspoolsources"]));
    let context = world.cluster.kubectl(&["config", "current-context"]);
    let expand = |argument: &Value| {
        let argument = argument.as_str().unwrap();
        argument
            .replace("$NAMESPACE", &world.namespace)
            .replace("$NAME", "pools")
            .replace("$CONTEXT", context.trim())
    };
    let bin = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(&world.namespace);
    std::fs::create_dir_all(&bin).unwrap();
    let kubectl = bin.join("kubectl");
    let program = repository("target/controlplane/controlplane");
    let script = format!(
        "#!/bin/sh\nexec '{}' kubectl --kubeconfig '{}' \"$@\"\n",
        program.display(),
        world.cluster.dir().join("kubeconfig").display()
    );
    std::fs::write(&kubectl, script).unwrap();
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = plugin["args"].as_array().unwrap().iter().map(expand);
    let pressed = Command::new("sh")
        .args(["-c", r#"PATH=$1:$PATH; shift; exec "$@""#, "k9s"])
        .arg(&bin)
        .arg(plugin["command"].as_str().unwrap())
        .args(arguments)
        .env("HOME", &bin)
        .output()
        .unwrap();
    assert!(pressed.status.success(), "{pressed:?}");
    std::fs::remove_dir_all(&bin).unwrap();
}
