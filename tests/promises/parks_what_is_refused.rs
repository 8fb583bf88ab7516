//! What the API server does not want is named to a person and tried again at the next poll, not
//! sooner, and the other mirrors go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::front::{Front, Treatment, failure};
use super::world::{World, condition, message, pool};

const COUNT: &str = "count/modelartspools.modelarts.huaweicloud.com";

/// Waits until the API server refuses a new mirror of this name, saying this.
async fn until_refused(world: &World, name: &str, sign: &str) {
    let mirror = json!({
        "apiVersion": "modelarts.huaweicloud.com/v1alpha1", "kind": "ModelArtsPool",
        "metadata": {"name": name, "namespace": world.namespace},
        "spec": {"source": {"name": "pools"}, "poolName": name},
    })
    .to_string();
    let args = ["create", "--dry-run=server", "-f", "-"];
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match world.cluster.try_kubectl_with(&args, &mirror) {
            Err(refusal) if refusal.contains(sign) => return,
            answer => assert!(Instant::now() < deadline, "{answer:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Lets so many mirrors into the namespace. No quota controller runs here, so its part is played.
fn set_quota(world: &World, mirrors: &str) {
    let status = json!({"status": {"hard": {COUNT: mirrors}, "used": {COUNT: "0"}}});
    world.cluster.kubectl(&[
        "patch",
        "resourcequota",
        "mirrors",
        "-n",
        &world.namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status.to_string(),
    ]);
}

fn events_of(world: &World, reason: &str) -> usize {
    let events = world.events("pools").into_iter();
    events.filter(|it| it.0 == reason).count()
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_once_and_a_higher_one_is_used_without_being_asked() {
    const POOLS: usize = 60;
    let mut world = World::new("quota").await;
    let hard = format!("--hard={COUNT}=0");
    let namespace = world.namespace.clone();
    let create = ["create", "quota", "mirrors", &hard, "-n", &namespace];
    world.cluster.kubectl(&create);
    set_quota(&world, "0");
    until_refused(&world, "p00", "exceeded quota").await;
    let fleet = (0..POOLS).map(|n| pool(&format!("p{n:02}"), 1)).collect();
    world.put_fleet(fleet).await;
    world.audit.restart();
    let _controller = world.controller();
    world
        .create_source("pools", json!({"spec": {"interval": "10s"}}))
        .await;
    let note = world.until_event("pools", "QuotaExceeded").await;
    assert!(
        note.contains("ResourceQuota") && note.contains("p00, p01"),
        "{note}"
    );
    let source = world.sources.get("pools").await.unwrap();
    for (kind, status) in [
        ("Ready", "False"),
        ("Stalled", "True"),
        ("WriteFailed", "True"),
    ] {
        let expected = (status.to_owned(), "QuotaExceeded".to_owned());
        assert_eq!(condition(&source, kind), expected);
    }
    // The poll itself went well, and is told again at the next one.
    let first = source.status.unwrap().last_sync_time;
    assert!(first.is_some());
    world
        .until_source("pools", |it| {
            it.status.as_ref().unwrap().last_sync_time > first
        })
        .await;
    let polls = world.cloud_requests().await.len() / 2;
    let refused = world.audit.mirror_writes();
    assert!(refused.iter().all(|it| it.code == 403), "{refused:?}");
    // As many as are written at the same time, and no other after the first refusal.
    assert!(refused.len() <= polls * 16, "{} in {polls}", refused.len());
    assert_eq!(events_of(&world, "QuotaExceeded"), 1);

    set_quota(&world, "100");
    world.until_ready("pools").await;
    assert_eq!(world.mirrors().await.len(), POOLS);
    world.until_event("pools", "Recovered").await;
}

#[tokio::test]
async fn mirrors_that_are_invalid_or_too_large_wait_for_a_person_and_the_others_go_on() {
    let mut world = World::new("unwanted").await;
    let rule = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": "unwanted"}, "spec": spec,
        })
    };
    let policy = rule(
        "ValidatingAdmissionPolicy",
        json!({
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "unwanted"}},
                "resourceRules": [{
                    "apiGroups": ["modelarts.huaweicloud.com"], "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["modelartspools", "modelartspools/status"],
                }],
            },
            "validations": [
                {"expression": "object.metadata.name != 'b'", "reason": "Invalid"},
                {
                    "expression": "object.metadata.name != 'c' || !has(object.status)",
                    "reason": "RequestEntityTooLarge",
                },
            ],
        }),
    );
    let binding = rule(
        "ValidatingAdmissionPolicyBinding",
        json!({"policyName": "unwanted", "validationActions": ["Deny"]}),
    );
    for object in [policy, binding] {
        let args = ["create", "-f", "-"];
        let created = world.cluster.try_kubectl_with(&args, &object.to_string());
        created.unwrap();
    }
    until_refused(&world, "b", "denied request").await;
    world
        .put_fleet(json!([
            pool("a", 1),
            pool("b", 1),
            pool("c", 1),
            pool("d", 1)
        ]))
        .await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    let note = world.until_event("pools", "WriteInvalid").await;
    let source = world.poll("pools").await;
    let said = message(&source, "WriteFailed");
    assert_eq!(said, note);
    assert!(
        said.contains("invalid") && said.contains("this version: b;"),
        "{said}"
    );
    assert!(said.contains("larger") && said.ends_with(": c"), "{said}");
    assert_eq!(condition(&source, "Ready").0, "False");
    for name in ["a", "d"] {
        let mirror = world.pools.get(name).await.unwrap();
        assert_eq!(condition(&mirror, "Ready").0, "True");
    }

    world.audit.restart();
    for _ in 0..3 {
        world.poll("pools").await;
    }
    // Nothing is tried between two polls.
    let quiet = Instant::now() + Duration::from_secs(3);
    tokio::time::sleep_until(quiet.into()).await;
    let codes: Vec<(String, i64)> = world
        .audit
        .mirror_writes()
        .into_iter()
        .map(|it| (it.name, it.code))
        .collect();
    let of = |name: &str, code| {
        codes
            .iter()
            .filter(|it| **it == (name.to_owned(), code))
            .count()
    };
    assert_eq!(
        (of("b", 422), of("c", 413), codes.len()),
        (3, 3, 6),
        "{codes:?}"
    );
    assert_eq!(events_of(&world, "WriteInvalid"), 1);

    world.cluster.kubectl(&[
        "delete",
        "validatingadmissionpolicy,validatingadmissionpolicybinding",
        "unwanted",
    ]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while condition(&world.poll("pools").await, "Ready").0 != "True" {
        assert!(Instant::now() < deadline);
    }
    world.until_event("pools", "Recovered").await;
}

/// Has the API server answer writes of statuses like one whose CRD has no such subresource, and
/// counts them.
async fn without_status(world: &World, resource: &str) -> Arc<AtomicUsize> {
    let tried = Arc::new(AtomicUsize::new(0));
    let (counted, part) = (Arc::clone(&tried), format!("/{resource}/"));
    let rule = move |method: &str, path: &str| {
        let path = path.split('?').next().unwrap_or_default();
        if method == "PUT" && path.contains(&part) && path.ends_with("/status") {
            counted.fetch_add(1, Ordering::SeqCst);
            return Treatment::Answer(404, failure(404, "NotFound"));
        }
        Treatment::Forward
    };
    world
        .reroute(async |server| Front::open(server, rule).await.address)
        .await;
    tried
}

#[tokio::test]
async fn a_crd_of_mirrors_without_a_status_is_named_and_not_written_to_between_polls() {
    let mut world = World::new("no-status").await;
    let tried = without_status(&world, "modelartspools").await;
    world.put_fleet(json!([pool("a", 1), pool("b", 1)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    let note = world.until_event("pools", "NoStatusSubresource").await;
    assert!(note.contains("CRD") && note.ends_with(": a, b"), "{note}");
    assert_eq!(tried.load(Ordering::SeqCst), 2);
    world.audit.restart();
    for _ in 0..3 {
        let source = world.poll("pools").await;
        assert_eq!(condition(&source, "Ready").1, "NoStatusSubresource");
    }
    assert_eq!(tried.load(Ordering::SeqCst), 2 + 3 * 2);
    assert_eq!(world.audit.mirror_writes(), []);
}

#[tokio::test]
async fn a_crd_of_sources_without_a_status_is_named_in_the_log_and_no_reason_to_poll_again() {
    let world = World::new("no-source-status").await;
    let tried = without_status(&world, "modelartspoolsources").await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    let sign = "CRD of ModelArtsPoolSources has no status subresource";
    let deadline = Instant::now() + Duration::from_secs(60);
    // Twice is after it has been looked at again.
    while controller.log().matches("step=Wait").count() < 2 {
        assert!(Instant::now() < deadline, "{}", controller.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(controller.log().matches(sign).count(), 1);
    assert_eq!(tried.load(Ordering::SeqCst), 1);
    assert_eq!(world.cloud_requests().await.len(), 2);
    assert_eq!(
        condition(&world.pools.get("a").await.unwrap(), "Ready").0,
        "True"
    );
}
