//! The API server itself refuses a spec that cannot work, and tells a person what to write.

use serde_json::{Value, json};

use super::cluster;

/// What the API server says to a source with this spec, `Ok` where it takes it.
fn dry_run(namespace: &str, spec: Value) -> Result<String, String> {
    let source = json!({
        "apiVersion": "modelarts.huaweicloud.com/v1alpha1", "kind": "ModelArtsPoolSource",
        "metadata": {"name": "pools", "namespace": namespace}, "spec": spec,
    });
    let args = ["create", "--dry-run=server", "-f", "-"];
    cluster::shared().try_kubectl_with(&args, &source.to_string())
}

#[test]
fn each_bad_spec_is_refused_with_what_to_write() {
    for (spec, advice) in [
        (json!({}), "spec.region: Required value"),
        (
            json!({"region": "https://evil.example"}),
            "it is never a URL",
        ),
        (
            json!({"region": "modelarts.evil.example/"}),
            "it is never a URL",
        ),
        (json!({"region": "CN-NORTH-4"}), "such as cn-north-4"),
        (
            json!({"region": "cn-north-4", "projectId": "my-project"}),
            "32 lower-case hexadecimal digits",
        ),
        (
            json!({"region": "cn-north-4", "projectId": "0".repeat(32), "projectName": "x"}),
            "projectId or projectName, not both",
        ),
        (
            json!({"region": "cn-north-4", "interval": "5s"}),
            "interval must be at least 10s",
        ),
        (
            json!({"region": "cn-north-4", "interval": "often"}),
            "interval is a duration such as 30s",
        ),
        (
            json!({"region": "cn-north-4", "interval": "10m"}),
            "staleAfter must be at least as long as interval",
        ),
        (
            json!({"region": "cn-north-4", "timeout": "10m"}),
            "timeout must be between 1s and 5m",
        ),
        (
            json!({"region": "cn-north-4", "staleAfter": "5 minutes"}),
            "staleAfter is a duration such as 5m",
        ),
        (
            json!({"region": "cn-north-4", "query": {"statuses": ["running"]}}),
            "supported values: \"created\", \"creating\", \"failed\"",
        ),
        (
            json!({"region": "cn-north-4", "query": {"workspaceIds": []}}),
            "at least 1 items",
        ),
        (
            json!({"region": "cn-north-4", "prune": {"policy": "Never"}}),
            "supported values: \"Delete\", \"Retain\"",
        ),
        (
            json!({"region": "cn-north-4", "prune": {"confirmations": 0}}),
            "greater than or equal to 1",
        ),
        (
            json!({"region": "cn-north-4", "credentials": {"secretRef": {"name": "x", "namespace": "kube-system"}}}),
            "unknown field",
        ),
    ] {
        let refusal = dry_run("default", spec.clone()).expect_err(&spec.to_string());
        assert!(refusal.contains(advice), "{spec}: {refusal}");
    }
}

#[test]
fn a_region_alone_is_enough_and_everything_else_has_a_default() {
    dry_run("default", json!({"region": "cn-north-4"})).unwrap();
}

#[test]
fn every_region_of_the_vendors_table_is_a_region() {
    for region in [
        "cn-north-11",
        "eu-west-101",
        "ap-southeast-1",
        "sa-brazil-1",
        "eu-de",
        "my-kualalumpur-1",
        "ae-ad-1",
    ] {
        dry_run("default", json!({"region": region})).unwrap();
    }
}

#[test]
fn the_spec_of_a_mirror_cannot_be_changed() {
    let cluster = cluster::shared();
    let mirror = json!({
        "apiVersion": "modelarts.huaweicloud.com/v1alpha1", "kind": "ModelArtsPool",
        "metadata": {"name": "frozen-spec", "namespace": "default"},
        "spec": {"source": {"name": "s"}, "poolName": "p"},
    });
    let create = ["create", "-f", "-"];
    cluster
        .try_kubectl_with(&create, &mirror.to_string())
        .unwrap();
    let refusal = cluster
        .try_kubectl(&[
            "patch",
            "mapool",
            "frozen-spec",
            "--type=merge",
            "-p",
            r#"{"spec":{"poolName":"q"}}"#,
        ])
        .unwrap_err();
    assert!(
        refusal.contains("edit the ModelArtsPoolSource instead"),
        "{refusal}"
    );
    // A new object is "in progress" to every tool that follows kstatus until somebody writes it.
    let generation = cluster.kubectl(&[
        "get",
        "mapool",
        "frozen-spec",
        "-o",
        "jsonpath={.status.observedGeneration}",
    ]);
    assert_eq!(generation, "-1");
    cluster.kubectl(&["delete", "mapool", "frozen-spec"]);
}

#[test]
fn the_crds_in_the_repository_are_those_of_the_code() {
    for (file, crd) in modelarts_pool_controller::api::crds() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("crds")
            .join(file);
        let committed = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            committed,
            serde_saphyr::to_string(&crd).unwrap(),
            "run `make crds`"
        );
    }
}
