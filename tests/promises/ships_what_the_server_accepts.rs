//! The real API server accepts everything that the chart renders, field by field, and the pod in a
//! namespace that enforces the restricted profile of Pod Security.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::cluster::{Cluster, repository};
use super::support::helm::{objects, only, template, variants};

/// A control plane with our kinds and the Prometheus operator's.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::start("accepts", &[]);
        let operator = repository("tests/schemas/monitoring.json");
        cluster.kubectl(&["create", "-f", operator.to_str().unwrap()]);
        cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]);
        // Those of the examples.
        for namespace in ["ml-platform", "team-a", "team-b"] {
            cluster.kubectl(&["create", "namespace", namespace]);
        }
        cluster
    })
}

/// Has the API server check objects and forget them.
fn submit(objects: &str, flags: &[&str]) -> Result<String, String> {
    let apply = [
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "--server-side",
        "-f",
        "-",
    ];
    cluster().try_kubectl_with(&[&apply, flags].concat(), objects)
}

#[test]
fn the_defaults_and_every_example_are_accepted_field_by_field() {
    for (name, flags) in variants() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let yaml = template("another-release", &flags).unwrap();
        let said = submit(&yaml, &["--force-conflicts"]);
        said.unwrap_or_else(|said| panic!("{name}: {said}"));
    }
}

/// The pod of a Deployment, as the ServiceAccount that every namespace has.
fn pod(deployment: &Value) -> Value {
    let mut spec = deployment["spec"]["template"]["spec"].clone();
    spec["serviceAccountName"] = json!("default");
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec})
}

/// Waits for the ServiceAccount, which the controller manager makes.
fn restricted(namespace: &str) {
    let cluster = cluster();
    cluster.kubectl(&["create", "namespace", namespace]);
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", namespace, enforce]);
    let account = ["wait", "--for=create", "serviceaccount/default"];
    cluster.kubectl(&[&account[..], &["-n", namespace, "--timeout=30s"]].concat());
}

#[test]
fn the_pod_runs_under_the_restricted_profile() {
    restricted("restricted");
    for (name, flags) in variants() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let pod = pod(&only(&objects(&flags), "Deployment")).to_string();
        let said = submit(&pod, &["-n", "restricted"]);
        said.unwrap_or_else(|said| panic!("{name}: {said}"));
    }
}

/// A profile that is not enforced would not be noticed otherwise.
#[test]
fn a_pod_with_less_security_is_refused() {
    restricted("restricted-too");
    for (flag, reason) in [
        (
            "securityContext.allowPrivilegeEscalation=true",
            "allowPrivilegeEscalation",
        ),
        ("podSecurityContext.runAsNonRoot=false", "runAsNonRoot"),
        ("podSecurityContext.runAsUser=0", "runAsUser=0"),
        ("podSecurityContext.seccompProfile=null", "seccompProfile"),
        ("securityContext.capabilities.drop=null", "capabilities"),
    ] {
        let objects = objects(&[&format!("--set={flag}")]);
        let pod = pod(&only(&objects, "Deployment")).to_string();
        let said = submit(&pod, &["-n", "restricted-too"]).unwrap_err();
        assert!(
            said.contains("violates PodSecurity \"restricted:latest\""),
            "{said}"
        );
        assert!(said.contains(reason), "{flag}: {said}");
    }
}
