//! What is rendered from which values.

use serde_json::{Value, json};

use super::support::helm::{chart, documents, objects, only, template, variants};
use super::support::tools::{repository, tool};

const RELEASE: &str = "modelarts-pool-controller";

fn kinds(objects: &[Value]) -> Vec<&str> {
    let kinds = objects.iter().map(|it| it["kind"].as_str().unwrap());
    kinds.collect()
}

fn container(objects: &[Value]) -> Value {
    only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn two_renders_are_equal_byte_for_byte() {
    for (name, flags) in variants() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let once = template(RELEASE, &flags).unwrap();
        assert_eq!(once, template(RELEASE, &flags).unwrap(), "{name}");
    }
}

#[test]
fn names_and_labels_fit_for_the_longest_name_of_a_release() {
    let release = "r".repeat(53);
    let everything = [
        "--set=replicas=2,networkPolicy.enabled=true,monitoring.monitor.kind=PodMonitor",
        "--set=monitoring.alerts.enabled=true,monitoring.dashboard.enabled=true",
        "--set=sources[0].region=cn-north-4,sources[0].credentials.secretRef.name=huawei",
    ];
    let objects = documents(&template(&release, &everything).unwrap());
    let named = |it: &&Value| it["kind"] != "CustomResourceDefinition";
    for object in objects.iter().filter(named) {
        let name = object["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 63, "{name}");
        for (key, value) in object["metadata"]["labels"].as_object().unwrap() {
            assert!(value.as_str().unwrap().len() <= 63, "{name}: {key}");
        }
    }
    let mut names: Vec<_> = objects
        .iter()
        .map(|it| (it["kind"].to_string(), it["metadata"]["name"].to_string()))
        .collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "two objects share a name");
}

#[test]
fn a_budget_is_there_only_above_one_replica() {
    assert!(!kinds(&objects(&[])).contains(&"PodDisruptionBudget"));
    let two = objects(&["--set=replicas=2"]);
    let budget = only(&two, "PodDisruptionBudget");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
}

#[test]
fn there_is_one_monitor_or_none() {
    let monitors = |kind: &str| {
        let objects = objects(&[&format!("--set=monitoring.monitor.kind={kind}")]);
        let monitors = objects.into_iter().filter(|it| {
            let kind = it["kind"].as_str().unwrap();
            kind.ends_with("Monitor")
        });
        monitors.collect::<Vec<_>>()
    };
    assert_eq!(monitors(""), Vec::<Value>::new());
    for kind in ["ServiceMonitor", "PodMonitor"] {
        assert_eq!(kinds(&monitors(kind)), [kind]);
    }
}

#[test]
fn every_alert_is_rendered_but_those_left_out() {
    let file = std::fs::read_to_string(repository("deploy/chart/files/alerts.yaml")).unwrap();
    let file: Value = serde_saphyr::from_str(&file).unwrap();
    let rules = |flags: &[&str]| {
        let flags = [&["--set=monitoring.alerts.enabled=true"], flags].concat();
        only(&objects(&flags), "PrometheusRule")["spec"].clone()
    };
    assert_eq!(rules(&[])["groups"], file["groups"]);

    let left_out = file["groups"][0]["rules"][0]["alert"].as_str().unwrap();
    let fewer = rules(&[&format!("--set=monitoring.alerts.disabled={{{left_out}}}")]);
    let names = |rules: &Value| {
        let groups = rules["groups"].as_array().unwrap().iter();
        let rules = groups.flat_map(|it| it["rules"].as_array().unwrap());
        let names = rules.map(|it| it["alert"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let mut expected = names(&file);
    expected.retain(|it| it != left_out);
    assert_eq!(names(&fewer), expected);
}

#[test]
fn the_dashboard_is_the_file() {
    let file = std::fs::read_to_string(repository("deploy/chart/files/dashboard.json")).unwrap();
    let map = only(
        &objects(&["--set=monitoring.dashboard.enabled=true"]),
        "ConfigMap",
    );
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let shown = map["data"][format!("{RELEASE}.json")].as_str().unwrap();
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parse(shown), parse(&file));
}

#[test]
fn crate_chart_and_image_have_one_version() {
    let text = std::fs::read_to_string(repository("deploy/chart/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(chart["appVersion"], version);
    assert_eq!(chart["version"], version);
    let image = container(&objects(&[]))["image"].clone();
    assert_eq!(image, format!("modelarts-pool-controller:{version}"));
}

#[test]
fn a_registry_stands_before_the_image_and_a_digest_wins_over_the_tag() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let objects = objects(&[
        "--set=global.imageRegistry=swr.example.com/team,image.tag=1.2.3",
        &format!("--set=image.digest={digest}"),
    ]);
    let image = format!("swr.example.com/team/modelarts-pool-controller@{digest}");
    assert_eq!(container(&objects)["image"], image);
}

#[test]
fn the_kinds_are_those_of_crds_and_are_kept() {
    let objects = objects(&[]);
    for kind in ["modelartspools", "modelartspoolsources"] {
        let text = std::fs::read_to_string(repository(&format!("crds/{kind}.yaml"))).unwrap();
        let mut expected: Value = serde_saphyr::from_str(&text).unwrap();
        let name = expected["metadata"]["name"].clone();
        let of_name = |it: &&Value| it["metadata"]["name"] == name;
        let mut rendered = objects.iter().find(of_name).unwrap().clone();
        let annotations = &rendered["metadata"]["annotations"];
        assert_eq!(
            *annotations,
            json!({
                "helm.sh/resource-policy": "keep",
                "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
            })
        );
        rendered["metadata"].take();
        expected["metadata"].take();
        assert_eq!(rendered, expected);
    }
    let bare = super::support::helm::objects(&["--set=crds.install=false"]);
    assert!(!kinds(&bare).contains(&"CustomResourceDefinition"));
}

#[test]
fn a_package_renders_what_the_directory_does() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
    std::fs::create_dir_all(&dir).unwrap();
    let to = dir.to_str().unwrap();
    tool("helm", &["package", &chart(), "--destination", to]).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let package = dir.join(format!("{RELEASE}-{version}.tgz"));
    let args = ["template", RELEASE, package.to_str().unwrap()];
    let namespace = ["-n", "modelarts-system"];
    let rendered = tool("helm", &[&args[..], &namespace[..]].concat()).unwrap();
    assert_eq!(rendered, template(RELEASE, &[]).unwrap());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn helm_finds_nothing_to_say_about_the_chart() {
    for (name, flags) in variants() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let chart = chart();
        let lint = [&["lint", "--strict", "--quiet", &chart], &flags[..]].concat();
        tool("helm", &lint).unwrap_or_else(|said| panic!("{name}: {said}"));
    }
}

#[test]
fn no_role_may_do_more_with_secrets_than_get_one() {
    for (name, flags) in variants() {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        for object in objects(&flags) {
            for rule in object["rules"].as_array().into_iter().flatten() {
                if rule["resources"][0] == "secrets" {
                    assert_eq!(rule["verbs"], json!(["get"]), "{name}");
                }
            }
        }
    }
}

#[test]
fn a_secret_is_read_by_name_where_the_values_know_it() {
    let objects = objects(&[
        "--set=sources[0].region=cn-north-4,sources[0].credentials.secretRef.name=b",
        "--set=sources[1].region=cn-east-3,sources[1].credentials.secretRef.name=a",
        "--set=sources[2].region=cn-east-2,sources[2].credentials.secretRef.name=c",
        "--set=sources[2].namespace=elsewhere",
    ]);
    let names = |namespace: &str| {
        let role = objects.iter().find(|it| {
            it["kind"] == "Role"
                && it["metadata"]["namespace"] == namespace
                && it["rules"][0]["resources"][0] == "secrets"
        });
        role.unwrap()["rules"][0]["resourceNames"].clone()
    };
    assert_eq!(names("modelarts-system"), json!(["a", "b"]));
    assert_eq!(names("elsewhere"), json!(["c"]));
}

#[test]
fn the_nodes_identity_is_out_of_reach_unless_it_is_chosen() {
    let egress = |flags: &[&str]| {
        let flags = [&["--set=networkPolicy.enabled=true"], flags].concat();
        let egress = only(&objects(&flags), "NetworkPolicy")["spec"]["egress"].take();
        egress.as_array().unwrap().clone()
    };
    let metadata = "169.254.169.254/32";
    for rule in egress(&[]) {
        for peer in rule["to"].as_array().into_iter().flatten() {
            let block = &peer["ipBlock"];
            let everything = block["cidr"] == "0.0.0.0/0";
            assert_eq!(everything, block["except"] == json!([metadata]), "{peer}");
        }
    }
    let chosen = egress(&["--set=networkPolicy.metadataService=true"]);
    let rule = json!({"ports": [{"port": 80}], "to": [{"ipBlock": {"cidr": metadata}}]});
    assert!(chosen.contains(&rule), "{chosen:?}");
}

#[test]
fn a_service_account_that_somebody_else_makes_is_used_and_not_rendered() {
    let objects =
        objects(&["--set=serviceAccount.create=false,serviceAccount.name=made-elsewhere"]);
    assert!(!kinds(&objects).contains(&"ServiceAccount"));
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "made-elsewhere");
    let bindings = objects.iter().filter(|it| it["subjects"].is_array());
    let subjects: Vec<&Value> = bindings.map(|it| &it["subjects"][0]["name"]).collect();
    assert!(!subjects.is_empty());
    assert!(subjects.iter().all(|name| *name == "made-elsewhere"));
}

#[test]
fn two_sources_of_one_name_are_refused() {
    let twice = ["--set=sources[0].region=cn-north-4,sources[1].region=cn-north-4"];
    let said = template(RELEASE, &twice).unwrap_err();
    assert!(said.contains("two are called \"cn-north-4\""), "{said}");
    let apart =
        ["--set=sources[0].region=cn-north-4,sources[1].region=cn-north-4,sources[1].namespace=b"];
    template(RELEASE, &apart).unwrap();
}

#[test]
fn the_roles_of_people_are_aggregated_unless_switched_off() {
    let labels = |suffix: &str| {
        let name = format!("{RELEASE}-{suffix}");
        let objects = objects(&[]);
        let role = objects.iter().find(|it| it["metadata"]["name"] == name);
        role.unwrap()["metadata"]["labels"].clone()
    };
    for (role, into) in [
        ("view", "view"),
        ("view", "cluster-reader"),
        ("edit", "edit"),
    ] {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{into}");
        assert_eq!(labels(role)[label], "true");
    }
    let off = objects(&["--set=rbac.aggregate=false"]);
    assert!(
        !serde_json::to_string(&off)
            .unwrap()
            .contains("aggregate-to")
    );
}

#[test]
fn a_source_outside_of_the_scope_is_refused() {
    let outside =
        ["--set=rbac.scope=release,sources[0].region=cn-north-4,sources[0].namespace=elsewhere"];
    let said = template(RELEASE, &outside).unwrap_err();
    assert!(
        said.contains("\"elsewhere\"") && said.contains("modelarts-system"),
        "{said}"
    );
}
