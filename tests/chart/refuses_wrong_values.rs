//! `values.schema.json` refuses what is unknown or of the wrong type, and says where and why.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::helm::template;
use super::support::tools::repository;

/// A value, and what the refusal must say: where, and what was expected.
const WRONG: [(&str, &str, &str); 28] = [
    ("replicaCount=2", "", "'replicaCount' not allowed"),
    ("replicas=two", "/replicas", "want integer"),
    ("replicas=0", "/replicas", "minimum"),
    ("image.name=x", "/image", "'name' not allowed"),
    (
        "image.digest=latest",
        "/image/digest",
        "does not match pattern",
    ),
    (
        "image.pullPolicy=Sometimes",
        "/image/pullPolicy",
        "'IfNotPresent'",
    ),
    (
        "imagePullSecrets[0]=default-secret",
        "/imagePullSecrets/0",
        "want object",
    ),
    ("crds.keep=sure", "/crds/keep", "want boolean"),
    (
        "rbac.scope=all",
        "/rbac/scope",
        "'cluster', 'namespaces', 'release'",
    ),
    ("rbac.scope=namespaces", "/rbac/namespaces", "minItems"),
    ("rbac.namespaces={a}", "/rbac/namespaces", "maxItems"),
    (
        "rbac.scope=namespaces,rbac.namespaces={Team_A}",
        "/rbac/namespaces/0",
        "does not match pattern",
    ),
    (
        "serviceAccount.create=false",
        "/serviceAccount/name",
        "minLength",
    ),
    (
        "serviceAccount.create=false,serviceAccount.name=a,serviceAccount.annotations.b=c",
        "/serviceAccount/annotations",
        "maxProperties",
    ),
    (
        "sources[0].name=x",
        "/sources/0",
        "missing property 'region'",
    ),
    (
        "sources[0].region=https://example.com",
        "/sources/0/region",
        "does not match pattern",
    ),
    (
        "sources[0].region=cn-north-4,sources[0].url=x",
        "/sources/0",
        "'url' not allowed",
    ),
    (
        "sources[0].region=cn-north-4,sources[0].interval=often",
        "/sources/0/interval",
        "does not match pattern",
    ),
    (
        "sources[0].region=cn-north-4,sources[0].projectId=mine",
        "/sources/0/projectId",
        "does not match pattern",
    ),
    (
        "sources[0].region=cn-north-4,sources[0].credentials.accessKey=x",
        "/sources/0/credentials",
        "'accessKey' not allowed",
    ),
    (
        "sources[0].region=cn-north-4,sources[0].prune.maxPercent=101",
        "/sources/0/prune/maxPercent",
        "maximum",
    ),
    (
        "cloud.endpointTemplate=modelarts.example.com",
        "/cloud/endpointTemplate",
        "does not match pattern",
    ),
    (
        "cloud.endpoints.eu-de=ftp://example.com",
        "/cloud/endpoints/eu-de",
        "does not match pattern",
    ),
    (
        "cloud.caBundle.configMap=a,cloud.caBundle.secret=b",
        "/cloud/caBundle",
        "must be ''",
    ),
    ("log.format=xml", "/log/format", "'json', 'text'"),
    (
        "monitoring.monitor.kind=Both",
        "/monitoring/monitor/kind",
        "'ServiceMonitor', 'PodMonitor'",
    ),
    (
        "networkPolicy.apiServer.ports={https}",
        "/networkPolicy/apiServer/ports/0",
        "want integer",
    ),
    ("extraArgs=--verbose", "/extraArgs", "want array"),
];

#[test]
fn wrong_values_are_refused_in_words_that_say_where_and_why() {
    for (value, place, reason) in WRONG {
        let flag = format!("--set={value}");
        let said = template("modelarts-pool-controller", &[&flag]).unwrap_err();
        assert!(said.contains(&format!("at '{place}'")), "{value}: {said}");
        assert!(said.contains(reason), "{value}: {said}");
        assert!(said.lines().count() <= 8, "{value}: {said}");
    }
}

fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(repository(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// The places of all properties of a schema, except of those that only Kubernetes checks.
fn places(schema: &Value, at: &str, into: &mut BTreeSet<String>) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        places(schema, &at, into);
        into.insert(at);
    }
}

#[test]
fn the_schema_knows_the_values_of_the_defaults_and_no_others() {
    let mut known = BTreeSet::new();
    let mut schema = read("deploy/chart/values.schema.json");
    let sources = schema["properties"]["sources"].take();
    assert_eq!(sources["items"]["additionalProperties"], false);
    places(&schema, "", &mut known);
    let values = read("deploy/chart/values.yaml");
    let missing = |place: &&String| {
        let pointer = place.replace('.', "/");
        values.pointer(&pointer).is_none()
    };
    assert_eq!(known.iter().find(missing), None, "is in no default");
    for key in values
        .as_object()
        .unwrap()
        .keys()
        .filter(|it| *it != "sources")
    {
        assert!(known.contains(&format!(".{key}")), "{key}");
    }
}

#[test]
fn a_source_may_say_in_values_what_its_spec_may_say_and_nothing_else() {
    let schema = read("deploy/chart/values.schema.json");
    let mut accepted = BTreeSet::new();
    places(&schema["properties"]["sources"]["items"], "", &mut accepted);
    for of_the_object in [".name", ".namespace", ".labels"] {
        assert!(accepted.remove(of_the_object));
    }
    let crd = read("crds/modelartspoolsources.yaml");
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let mut expected = BTreeSet::new();
    places(crd.pointer(spec).unwrap(), "", &mut expected);
    assert_eq!(accepted, expected);
}
