//! What the pages tell people to write is taken by the real API server and by the chart, what they
//! tell people to type works, and what they say of metrics is what a controller shows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::{Cluster, repository};
use super::support::markdown::{Page, assert_generated, page, pages};
use super::world::{World, pool};

/// What the commands of the pages are about.
const NAMESPACE: &str = "team-a";
const EXAMPLE: &str = "
apiVersion: modelarts.huaweicloud.com/v1alpha1
kind: ModelArtsPoolSource
metadata: {name: cn-north-4, namespace: team-a}
spec: {region: cn-north-4, credentials: {secretRef: {name: huawei}}}
---
apiVersion: modelarts.huaweicloud.com/v1alpha1
kind: ModelArtsPool
metadata: {name: llm-pretrain, namespace: team-a}
spec: {source: {name: cn-north-4}, poolName: llm-pretrain}
";

fn apply(cluster: &Cluster, text: &str) -> Result<String, String> {
    let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    cluster.try_kubectl_with(&args, text)
}

fn create_namespace(cluster: &Cluster, name: &str) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    apply(cluster, &namespace.to_string()).unwrap();
}

/// The blocks of YAML whose fence says so and no more, or says this besides.
fn yaml<'a>(page: &'a Page, kind: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    let wanted = format!("yaml {kind}");
    let blocks = page.blocks().into_iter();
    let blocks = blocks.filter(move |it| it.info == wanted.trim_end());
    blocks.map(|it| (format!("{}:{}", page.path, it.line), it.text))
}

#[test]
fn every_yaml_on_a_page_is_taken_by_the_api_server() {
    let cluster = Cluster::start("documented", &[]);
    let mut applied = 0;
    for page in pages() {
        for (place, text) in yaml(&page, "") {
            let names = text
                .lines()
                .filter_map(|it| it.trim().strip_prefix("namespace: "));
            for name in names.collect::<BTreeSet<_>>() {
                create_namespace(&cluster, name);
            }
            apply(&cluster, &text).unwrap_or_else(|error| panic!("{place}: {error}"));
            applied += 1;
        }
    }
    assert!(applied > 3, "only {applied} blocks were found");
}

#[test]
fn every_values_file_on_a_page_renders_with_the_chart() {
    for page in pages() {
        for (place, text) in yaml(&page, "values") {
            let mut helm = Command::new(repository("target/tools/helm"))
                .args(["template", "modelarts-pool-controller", "deploy/chart"])
                .args(["--namespace", "modelarts-system", "--values", "-"])
                .current_dir(repository(""))
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = helm.stdin.take().unwrap();
            stdin.write_all(text.as_bytes()).unwrap();
            drop(stdin);
            let output = helm.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{place}: {said}");
        }
    }
}

#[test]
fn every_other_yaml_on_a_page_is_yaml_of_a_kind_that_is_named() {
    const KINDS: [&str; 4] = ["argo", "flux", "kustomize", "monitor"];
    for page in pages() {
        let infos = page.blocks().into_iter().map(|it| it.info);
        let others = infos.filter_map(|it| it.strip_prefix("yaml ").map(str::to_owned));
        for kind in others.filter(|it| it != "values") {
            assert!(KINDS.contains(&kind.as_str()), "{}: yaml {kind}", page.path);
        }
        for (place, text) in KINDS.iter().flat_map(|kind| yaml(&page, kind)) {
            let read: Result<Vec<Value>, _> = serde_saphyr::from_multiple(&text);
            assert!(read.is_ok(), "{place}: {read:?}");
        }
    }
}

#[test]
fn every_kubectl_command_on_a_page_about_our_kinds_works() {
    const VERBS: [&str; 6] = ["annotate", "auth", "describe", "explain", "get", "patch"];
    let cluster = Cluster::start("documented-commands", &[]);
    create_namespace(&cluster, NAMESPACE);
    apply(&cluster, EXAMPLE).unwrap();
    let kubectl = format!(
        "kubectl() {{ {} kubectl --kubeconfig {} \"$@\"; }}; export HOME={}; set -o pipefail",
        repository("target/controlplane/controlplane").display(),
        cluster.dir().join("kubeconfig").display(),
        cluster.dir().display(),
    );
    let mut ran = 0;
    for page in pages() {
        for command in page.commands() {
            let verb = command
                .strip_prefix("kubectl ")
                .and_then(|it| it.split(' ').next());
            let ours = ["modelartspool", "mapool", "mapsource"]
                .iter()
                .any(|it| command.contains(it));
            if !verb.is_some_and(|it| VERBS.contains(&it)) || !ours || command.ends_with("-w") {
                continue;
            }
            let script = format!("{kubectl}\n{command}");
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {command}: {said}", page.path);
            ran += 1;
        }
    }
    assert!(ran > 5, "only {ran} commands were found");
}

const METRICS: &str = "\
<!-- Generated by `make docs` from what a running controller shows; edit the texts in src. -->

# Metrics

`GET /metrics` at `--admin-address` (port 8080 by default) shows these in Prometheus' text format.

Labels hold the namespace and the name of a source, and words of this program: never a pool's name, a URL or the text of an
error. A phase that the program does not know counts as `Other`. The series of a source are gone once the source is. Counters
count what this process did; they start at zero with it.

| metric | type | labels | meaning |
|---|---|---|---|
";

/// A family of series as `/metrics` shows it.
#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: Vec<String>,
    has_series: bool,
}

fn families(metrics: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let described = |line: &str, sign: &str| {
        let (name, rest) = line.strip_prefix(sign)?.split_once(' ')?;
        Some((name.to_owned(), rest.to_owned()))
    };
    for line in metrics.lines() {
        if let Some((name, help)) = described(line, "# HELP ") {
            families.entry(name).or_default().help = help;
        } else if let Some((name, kind)) = described(line, "# TYPE ") {
            families.entry(name).or_default().kind = kind;
        } else if !line.starts_with('#') {
            let end = line.find(['{', ' ']).unwrap();
            let (series, rest) = line.split_at(end);
            let ends = ["", "_total", "_bucket", "_sum", "_count"];
            let mut names = ends.iter().filter_map(|end| series.strip_suffix(end));
            let family = names
                .find(|it| families.contains_key(*it))
                .unwrap()
                .to_owned();
            let family = families.get_mut(&family).unwrap();
            family.has_series = true;
            let labels = rest.strip_prefix('{').and_then(|it| it.split_once('}'));
            let names = labels.map_or("", |it| it.0).split(',');
            for name in names.filter_map(|it| Some(it.split_once('=')?.0)) {
                if name != "le" && !family.labels.iter().any(|it| it == name) {
                    family.labels.push(name.to_owned());
                }
            }
        }
    }
    families
}

#[tokio::test]
async fn the_reference_of_metrics_is_what_a_controller_shows() {
    let world = World::new("documented-metrics").await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let controller = world.controller();
    world.create_source("good", json!({})).await;
    world.until_ready("good").await;
    let bad = json!({"spec": {"credentials": {"secretRef": {"name": "missing"}}}});
    world.create_source("bad", bad).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let metrics = loop {
        let (_, metrics) = controller.ask("/metrics").await;
        if metrics.contains("reason=\"SecretNotFound\"") {
            break metrics;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let mut text = METRICS.to_owned();
    for (name, family) in families(&metrics) {
        assert!(
            family.has_series,
            "{name} has no series here, so its labels are unknown"
        );
        let total = if family.kind == "counter" && !name.ends_with("_total") {
            "_total"
        } else {
            ""
        };
        let labels: Vec<String> = family.labels.iter().map(|it| format!("`{it}`")).collect();
        let help = family.help.trim_end_matches('.');
        text.push_str(&format!(
            "| `{name}{total}` | {} | {} | {help} |\n",
            family.kind,
            labels.join(", ")
        ));
    }
    assert_generated("docs/metrics.md", &text);
    assert!(
        page("docs/metrics.md")
            .text
            .contains("modelarts_polls_total")
    );
}
