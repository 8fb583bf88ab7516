//! Everything rendered is what each supported version of Kubernetes accepts, unknown fields refused.
//! The schemas are those of `tests/schemas` and, for our own kinds, of `crds/`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::support::helm::{documents, template, variants};
use super::support::tools::{repository, tool};

const VERSIONS: [&str; 5] = ["1.33", "1.34", "1.35", "1.36", "1.37"];

/// Writes the schema of a kind where kubeconform looks for it.
fn write(dir: &Path, version: &str, group: &str, kind: &str, schema: &Value) {
    // kubeconform takes the version for the group where there is none.
    let group = if group.is_empty() { "v1" } else { group };
    let dir = dir.join(format!("v{version}.0/{group}"));
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join(format!("{}.json", kind.to_lowercase()));
    fs::write(file, schema.to_string()).unwrap();
}

/// The kinds of Kubernetes itself.
fn write_kubernetes(dir: &Path, version: &str) {
    let path = repository(&format!("tests/schemas/kubernetes-{version}.json"));
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for (kind, definition) in file["kinds"].as_object().unwrap() {
        let (group, kind) = kind.split_once('/').unwrap();
        let reference = format!("#/definitions/{}", definition.as_str().unwrap());
        let all = [json!({ "$ref": reference })];
        let schema = json!({"allOf": all, "definitions": file["definitions"]});
        write(dir, version, group, kind, &schema);
    }
}

/// A kind that a CustomResourceDefinition describes.
fn write_custom(dir: &Path, version: &str, definition: &Value) {
    let spec = &definition["spec"];
    let mut schema = spec["versions"][0]["schema"]["openAPIV3Schema"].clone();
    for implied in ["apiVersion", "kind", "metadata"] {
        schema["properties"][implied] = json!({});
    }
    refuse_unknown(&mut schema);
    let group = spec["group"].as_str().unwrap();
    let kind = spec["names"]["kind"].as_str().unwrap();
    write(dir, version, group, kind, &schema);
}

/// As the API server does, which drops fields that a definition does not name.
fn refuse_unknown(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(refuse_unknown);
            if fields.get("properties").is_some_and(Value::is_object) && fields["type"] == "object"
            {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(refuse_unknown),
        _ => {}
    }
}

fn custom_kinds() -> Vec<Value> {
    let read = |path: &str| fs::read_to_string(repository(path)).unwrap();
    let own = ["modelartspools", "modelartspoolsources"];
    let mut kinds: Vec<Value> = own
        .iter()
        .flat_map(|it| documents(&read(&format!("crds/{it}.yaml"))))
        .collect();
    let list: Value = serde_json::from_str(&read("tests/schemas/monitoring.json")).unwrap();
    kinds.extend(list["items"].as_array().unwrap().clone());
    kinds
}

/// A directory of all schemas; it is removed with the value.
struct Schemas(PathBuf);

impl Schemas {
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("schemas-{name}"));
        let custom = custom_kinds();
        for version in VERSIONS {
            write_kubernetes(&dir, version);
            for definition in &custom {
                write_custom(&dir, version, definition);
            }
        }
        Self(dir)
    }

    fn check(&self, version: &str, yaml: &str) -> Result<String, String> {
        let file = self.0.join("rendered.yaml");
        fs::write(&file, yaml).unwrap();
        let location = "{{.NormalizedKubernetesVersion}}/{{.Group}}/{{.ResourceKind}}.json";
        let location = self.0.join(location);
        tool(
            "kubeconform",
            &[
                "-strict",
                "-kubernetes-version",
                &format!("{version}.0"),
                "-schema-location",
                location.to_str().unwrap(),
                file.to_str().unwrap(),
            ],
        )
    }
}

impl Drop for Schemas {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_defaults_and_every_example_are_valid_for_every_version() {
    let schemas = Schemas::new("valid");
    for (name, flags) in variants() {
        for version in VERSIONS {
            let kube = format!("--kube-version={version}.0");
            let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            flags.push(&kube);
            let yaml = template("modelarts-pool-controller", &flags).unwrap();
            let checked = schemas.check(version, &yaml);
            checked.unwrap_or_else(|said| panic!("{name} on {version}: {said}"));
        }
    }
}

#[test]
fn an_older_kubernetes_is_refused() {
    let flags = ["--kube-version=1.32.9"];
    let said = template("modelarts-pool-controller", &flags).unwrap_err();
    assert!(said.contains(">=1.33.0-0"), "{said}");
}

/// A check that accepted everything would not be noticed otherwise.
#[test]
fn unknown_fields_and_wrong_types_are_found() {
    let schemas = Schemas::new("invalid");
    let wrong = [
        ("replicas: 1", "replicas: one"),
        ("enableServiceLinks: false", "enableServiceLink: false"),
        (
            "publishNotReadyAddresses: true",
            "publishNotReadyAddresses: sure",
        ),
        ("scope: Namespaced", "scop: Namespaced"),
        ("interval: 30s", "every: 30s"),
        ("region: cn-north-4", "regoin: cn-north-4"),
    ];
    let yaml = template(
        "modelarts-pool-controller",
        &[
            "--set=monitoring.monitor.kind=ServiceMonitor",
            "--set=sources[0].region=cn-north-4",
        ],
    );
    let yaml = yaml.unwrap();
    schemas.check("1.37", &yaml).unwrap();
    for (right, wrong) in wrong {
        assert!(yaml.contains(right), "{right}");
        let changed = yaml.replace(right, wrong);
        assert!(schemas.check("1.37", &changed).is_err(), "{wrong}");
    }
}
