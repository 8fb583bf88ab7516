//! One `helm install` gives a working mirror; upgrades change it, and uninstalling loses nothing.

use kube::{Api, ResourceExt as _};
use modelarts_pool_controller::api::ModelArtsPoolSource;
use serde_json::{Value, json};

use super::cluster::{Cluster, SERVICE_ACCOUNT, repository};
use super::release::{Release, run};
use super::support::helm::{documents, template};
use super::support::simulator::{PROJECT, Simulator};
use super::world::{World, names, pool};

/// A control plane that lives as long as this process and knows nothing of us.
fn bare(name: &str) -> &'static Cluster {
    Box::leak(Box::new(Cluster::without_kinds(name, &[])))
}

/// Values with one source in the world's namespace, and what the machine of a test needs.
fn values(world: &World) -> Value {
    json!({
        "sources": [{
            "name": "pools", "namespace": world.namespace,
            "region": "cn-north-4", "projectId": PROJECT,
            "credentials": {"secretRef": {"name": "huawei"}},
            "interval": "30m", "staleAfter": "1h",
        }],
        "cloud": {
            "endpointTemplate": world.simulator.api,
            "iamEndpointTemplate": world.simulator.api,
        },
        "log": {"format": "text"},
        "extraEnv": [{"name": "ADMIN_ADDRESS", "value": "127.0.0.1:0"}],
    })
}

async fn source(world: &World) -> ModelArtsPoolSource {
    world.sources.get("pools").await.unwrap()
}

#[tokio::test]
async fn one_install_mirrors_an_upgrade_keeps_the_mirrors_and_uninstalling_leaves_them() {
    let cluster = bare("helm");
    let (namespace, name) = SERVICE_ACCOUNT;
    let world =
        World::without_rights(cluster, "shipped", Simulator::start(&["--pools", "0"])).await;
    world.put_fleet(json!([pool("a", 1), pool("b", 2)])).await;

    let mut values = values(&world);
    let release = Release::install(cluster, name, namespace, &values);
    let installed = source(&world).await;
    let controller = run(&release.deployment().await, &world).await;
    world.until_ready("pools").await;
    let mirrors = world.pools.list(&Default::default()).await.unwrap().items;
    assert_eq!(names(&mirrors), ["a", "b"]);
    let (status, said) = controller.ask("/readyz").await;
    assert_eq!(status, 200, "{said}");

    // The source was made by a hook, because the kind came with the release; the upgrade adopts it.
    values["sources"][0]["interval"] = json!("20m");
    release.upgrade(&values);
    let upgraded = source(&world).await;
    assert_eq!(upgraded.uid(), installed.uid());
    assert_eq!(upgraded.spec.interval, "20m");
    let annotations = upgraded.annotations();
    assert!(!annotations.contains_key("helm.sh/hook"), "{annotations:?}");

    // Neither an entry that is gone nor a release that is gone takes mirrors with it.
    values["sources"] = json!([]);
    release.upgrade(&values);
    assert_eq!(source(&world).await.uid(), installed.uid());
    drop(controller);
    let said = release.uninstall();
    assert!(
        said.contains("modelartspools.modelarts.huaweicloud.com"),
        "{said}"
    );
    assert_eq!(source(&world).await.uid(), installed.uid());
    let left = world.pools.list(&Default::default()).await.unwrap().items;
    let identity = |pools: &[modelarts_pool_controller::api::ModelArtsPool]| {
        let identity = pools.iter().map(|it| (it.name_any(), it.uid()));
        identity.collect::<Vec<_>>()
    };
    assert_eq!(identity(&left), identity(&mirrors));
    let gone = cluster.try_kubectl(&["get", "deployment", name, "-n", namespace]);
    assert!(gone.unwrap_err().contains("not found"));

    // Installed anew, it goes on with what is there.
    world
        .patch_pool("a", json!({"status": {"message": "back"}}))
        .await;
    let values = self::values(&world);
    let release = Release::install(cluster, name, namespace, &values);
    let _controller = run(&release.deployment().await, &world).await;
    let message = |it: &modelarts_pool_controller::api::ModelArtsPool| {
        let status = it.status.as_ref();
        status.is_some_and(|it| it.message.as_deref() == Some("back"))
    };
    let mirror = world.until_pool("a", message).await;
    assert_eq!(mirror.uid(), mirrors[0].uid());
}

#[tokio::test]
async fn an_install_creates_every_object_that_is_rendered() {
    let cluster = bare("helm-all");
    let operator = repository("tests/schemas/monitoring.json");
    cluster.kubectl(&["create", "-f", operator.to_str().unwrap()]);
    let established = ["wait", "--for=condition=Established", "crd", "--all"];
    cluster.kubectl(&established);
    let (namespace, name) = SERVICE_ACCOUNT;
    let everything = json!({
        "replicas": 2,
        "sources": [{"region": "cn-north-4", "credentials": {"secretRef": {"name": "huawei"}}}],
        "networkPolicy": {"enabled": true},
        "monitoring": {
            "monitor": {"kind": "ServiceMonitor"},
            "alerts": {"enabled": true}, "dashboard": {"enabled": true},
        },
    });
    let _release = Release::install(cluster, name, namespace, &everything);

    let values = cluster.dir().join("everything.json");
    std::fs::write(&values, everything.to_string()).unwrap();
    let rendered = template(name, &["--values", values.to_str().unwrap()]).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for object in documents(&rendered) {
        let text = |pointer: &str| object.pointer(pointer).unwrap().as_str().unwrap();
        let (group, _) = text("/apiVersion").split_once('/').unwrap_or_default();
        let kind = format!("{}.{group}", text("/kind"));
        let kind = kind.trim_end_matches('.');
        cluster.kubectl(&["get", kind, text("/metadata/name"), "-n", namespace]);
        kinds.insert(text("/kind").to_owned());
    }
    for kind in ["NetworkPolicy", "PodDisruptionBudget", "PrometheusRule"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
}

#[tokio::test]
async fn the_plain_manifests_apply_to_a_bare_cluster_and_again() {
    let cluster = bare("kustomize");
    let manifests = repository("deploy/manifests");
    let apply = ["apply", "-k", manifests.to_str().unwrap()];
    cluster.kubectl(&apply);
    let again = cluster.kubectl(&apply);
    let unchanged = |line: &str| line.ends_with(" unchanged");
    assert!(again.lines().all(unchanged), "{again}");

    let world = World::on(cluster, "plain", Simulator::start(&["--pools", "0"])).await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let (namespace, name) = SERVICE_ACCOUNT;
    let deployments = Api::namespaced(world.client.clone(), namespace);
    let mut deployment: k8s_openapi::api::apps::v1::Deployment =
        deployments.get(name).await.unwrap();
    // A kustomization would add these; nothing else tells it where the simulated cloud is.
    let pod = deployment.spec.as_mut().unwrap().template.spec.as_mut();
    let args = pod.unwrap().containers[0].args.as_mut().unwrap();
    args.push(format!("--endpoint-template={}", world.simulator.api));
    args.push("--admin-address=127.0.0.1:0".to_owned());
    let _controller = run(&deployment, &world).await;
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    world.until_pool("a", |_| true).await;
}
