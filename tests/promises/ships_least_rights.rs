//! With the chart's rights the controller does its whole job, wherever it is told to work, and the
//! API server refuses it anything else.

use std::sync::OnceLock;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::{Value, json};

use super::cluster::{self, Cluster};
use super::release::{Release, run};
use super::support::simulator::{PROJECT, Simulator};
use super::world::{World, pool};

/// A control plane for the releases of this file: one that watches every namespace would take part
/// in the other tests.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::without_kinds("rights", &[]))
}

/// A release and where it works.
struct Mode {
    /// The release's name; its objects are called that.
    release: &'static str,
    /// The release's namespace.
    home: &'static str,
    /// The namespace that it works in.
    work: &'static str,
    rbac: Value,
    /// Whether it works in every other namespace as well.
    everywhere: bool,
}

async fn install(mode: &Mode) -> (World, Release) {
    let cluster = cluster();
    let simulator = Simulator::start(&["--pools", "0"]);
    let world = World::without_rights(cluster, mode.work, simulator).await;
    let source = json!({
        "name": "pools", "namespace": mode.work, "region": "cn-north-4", "projectId": PROJECT,
        "credentials": {"secretRef": {"name": "huawei"}}, "interval": "30m", "staleAfter": "1h",
    });
    let values = json!({
        "fullnameOverride": mode.release,
        // The kinds belong to the first release.
        "crds": {"install": mode.everywhere},
        "rbac": mode.rbac,
        "sources": [source],
        "cloud": {
            "endpointTemplate": world.simulator.api,
            "iamEndpointTemplate": world.simulator.api,
        },
        "log": {"format": "text", "level": "info,modelarts_pool_controller=debug"},
        "extraEnv": [{"name": "ADMIN_ADDRESS", "value": "127.0.0.1:0"}],
    });
    let release = Release::install(cluster, mode.release, mode.home, &values);
    (world, release)
}

/// Create, status, repair, prune, events and the lease.
async fn does_its_whole_job(mode: &Mode, world: &World, release: &Release) {
    world
        .put_fleet(json!([pool("a", 1), pool("b", 1), pool("c", 1)]))
        .await;
    let controller = run(&release.deployment().await, world).await;
    world.until_ready("pools").await;
    let running = |it: &modelarts_pool_controller::api::ModelArtsPool| {
        let phase = it.status.as_ref().and_then(|it| it.phase.as_deref());
        phase == Some("Running")
    };
    let mirror = world.until_pool("a", running).await;

    world.pools.delete("a", &Default::default()).await.unwrap();
    let anew = world
        .until_pool("a", |it| {
            it.metadata.uid != mirror.metadata.uid && running(it)
        })
        .await;
    assert!(anew.metadata.owner_references.is_some());

    let abnormal = json!({"status": {"phase": "Abnormal"}});
    world.patch_pool("b", abnormal).await;
    world.remove_pool("c").await;
    world.poll("pools").await;
    world.poll("pools").await;
    world.until_gone("c").await;
    world.until_event("b", "Abnormal").await;

    let leases: Api<Lease> = Api::namespaced(world.client.clone(), mode.home);
    let lease = leases.get(mode.release).await.unwrap().spec.unwrap();
    assert!(lease.holder_identity.is_some_and(|it| !it.is_empty()));
    let log = controller.log();
    assert!(!log.contains("forbidden"), "{log}");
}

/// Asks the API server whether the controller may.
fn may(mode: &Mode, verb: &str, what: &str, namespace: &str) -> bool {
    let account = format!("--as=system:serviceaccount:{}:{}", mode.home, mode.release);
    let mut ask = vec!["auth", "can-i", verb];
    ask.extend(what.split(' '));
    ask.extend([&account, "-n", namespace]);
    let said = cluster().try_kubectl(&ask);
    // It ends with 1 where the answer is no, and says no error then.
    match &said {
        Ok(yes) if yes.trim() == "yes" => true,
        Err(said) if !said.contains("error") => false,
        other => panic!("{ask:?}: {other:?}"),
    }
}

fn is_refused_everything_else(mode: &Mode) {
    let group = "modelarts.huaweicloud.com";
    let allowed = [
        ("list", format!("modelartspoolsources.{group}")),
        (
            "update",
            format!("modelartspoolsources.{group} --subresource=status"),
        ),
        ("delete", format!("modelartspools.{group}")),
        (
            "update",
            format!("modelartspools.{group} --subresource=status"),
        ),
        ("create", "events.events.k8s.io".to_owned()),
        ("get", "secret/huawei".to_owned()),
    ];
    for (verb, what) in &allowed {
        assert!(may(mode, verb, what, mode.work), "{verb} {what}");
    }
    let forbidden = [
        ("get", "secret/other"),
        ("get", "secrets"),
        ("list", "secrets"),
        ("watch", "secrets"),
        ("create", "secrets"),
        ("update", "secret/huawei"),
        ("patch", "secret/huawei"),
        ("delete", "secret/huawei"),
        ("get", "customresourcedefinitions.apiextensions.k8s.io"),
        ("update", "customresourcedefinitions.apiextensions.k8s.io"),
        ("create", "modelartspoolsources.modelarts.huaweicloud.com"),
        ("update", "modelartspoolsources.modelarts.huaweicloud.com"),
        ("delete", "modelartspoolsources.modelarts.huaweicloud.com"),
        (
            "deletecollection",
            "modelartspools.modelarts.huaweicloud.com",
        ),
        ("get", "pods"),
        ("get", "configmaps"),
        ("create", "deployments.apps"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("create", "serviceaccounts --subresource=token"),
        ("impersonate", "users"),
        ("delete", "leases.coordination.k8s.io"),
        ("update", "leases.coordination.k8s.io/other"),
    ];
    for (verb, what) in forbidden {
        for namespace in [mode.work, mode.home] {
            assert!(
                !may(mode, verb, what, namespace),
                "{verb} {what} in {namespace}"
            );
        }
    }
    // Another namespace.
    let mirrors = "modelartspools.modelarts.huaweicloud.com";
    assert_eq!(may(mode, "create", mirrors, "default"), mode.everywhere);
    assert!(!may(mode, "get", "secret/huawei", "default"));
    let lease = format!("leases.coordination.k8s.io/{}", mode.release);
    assert!(may(mode, "update", &lease, mode.home));
    assert!(!may(mode, "update", &lease, "default"));
}

/// The kinds come with the first of the releases, so they follow one another.
#[tokio::test]
async fn in_each_scope_it_does_its_whole_job_and_is_refused_everything_else() {
    let modes = [
        Mode {
            release: "rights-cluster",
            home: "rights-cluster-home",
            work: "rights-cluster-work",
            rbac: json!({"scope": "cluster"}),
            everywhere: true,
        },
        Mode {
            release: "rights-listed",
            home: "rights-listed-home",
            work: "rights-listed-work",
            rbac: json!({"scope": "namespaces", "namespaces": ["rights-listed-work"], "aggregate": false}),
            everywhere: false,
        },
        Mode {
            release: "rights-own",
            home: "rights-own",
            work: "rights-own",
            rbac: json!({"scope": "release", "aggregate": false}),
            everywhere: false,
        },
    ];
    for mode in modes {
        let (world, release) = install(&mode).await;
        does_its_whole_job(&mode, &world, &release).await;
        is_refused_everything_else(&mode);
        release.uninstall();
    }
}

/// What the cluster's own roles take from the chart's by aggregation.
#[test]
fn people_may_read_both_kinds_and_write_sources_alone() {
    let cluster = cluster::shared();
    cluster.kubectl(&["create", "namespace", "people"]);
    let mirrors = "modelartspools.modelarts.huaweicloud.com";
    let sources = "modelartspoolsources.modelarts.huaweicloud.com";
    let table = [
        ("view", "list", mirrors, "yes"),
        ("view", "list", sources, "yes"),
        ("view", "create", sources, "no"),
        ("edit", "create", sources, "yes"),
        ("edit", "delete", sources, "yes"),
        ("edit", "update", mirrors, "no"),
        ("edit", "delete", mirrors, "no"),
    ];
    for role in ["view", "edit"] {
        let name = format!("--clusterrole=modelarts-pool-controller-{role}");
        let user = format!("--user={role}er");
        cluster.kubectl(&["create", "rolebinding", role, &name, &user, "-n", "people"]);
    }
    for (role, verb, kind, expected) in table {
        let user = format!("--as={role}er");
        let said = cluster.try_kubectl(&["auth", "can-i", verb, kind, &user, "-n", "people"]);
        let said = if said.is_ok() { "yes" } else { "no" };
        assert_eq!(said, expected, "{role}: {verb} {kind}");
    }
}
