//! A poll that fails leaves every mirror byte for byte as it was, and the source says why.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use modelarts_pool_controller::api::REQUESTED_AT;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::simulator::{ACCESS_KEY, SECRET_KEY};
use super::world::{World, condition, message, pool};

/// Fails one poll in the way of `fail` and returns the source's FetchFailed reason and Ready.
async fn fail(world: &World, faults: Value) -> (String, String) {
    let before = world.mirrors().await;
    assert_eq!(before.len(), 2);
    world.put_faults(faults).await;
    let source = world.poll("pools").await;
    assert_eq!(world.mirrors().await, before);
    (
        condition(&source, "FetchFailed").1,
        condition(&source, "Ready").0,
    )
}

async fn mirrored(name: &str, spec: Value) -> (World, super::world::Controller) {
    let world = World::new(name).await;
    world.put_fleet(json!([pool("a", 1), pool("b", 1)])).await;
    let controller = world.controller();
    world.create_source("pools", spec).await;
    world.until_ready("pools").await;
    (world, controller)
}

#[tokio::test]
async fn an_answer_that_is_no_complete_list_changes_nothing_and_pages_nobody_at_once() {
    let (world, _controller) = mirrored("bad-answers", json!({})).await;
    let html = "<html><title>Sign in</title></html>";
    let empty_error = r#"{"error_code":"APIGW.0301","error_msg":"no"}"#;
    for (fault, reason) in [
        (json!({"status": 500, "body": "{}"}), "UpstreamError"),
        (json!({"status": 502, "body": html}), "UpstreamError"),
        (json!({"truncateAt": 200}), "DecodeFailed"),
        (json!({"status": 200, "body": html}), "DecodeFailed"),
        (json!({"status": 200, "body": empty_error}), "DecodeFailed"),
        (json!({"reset": true}), "UpstreamUnreachable"),
        // Half of the poll works: the default list arrives, the list of failures does not.
        (
            json!({"status": 500, "match": {"query": {"status": "failed"}}}),
            "UpstreamError",
        ),
        // From here on the key rests, so this one is the last.
        (json!({"status": 429, "body": "{}"}), "Throttled"),
    ] {
        let name = fault.to_string();
        let (failed, ready) = fail(&world, json!([fault])).await;
        assert_eq!(
            (failed.as_str(), ready.as_str()),
            (reason, "True"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_a_person_must_settle_makes_the_source_unready_at_once() {
    let (world, _controller) = mirrored("refusals", json!({})).await;
    for (fault, reason) in [
        (
            json!({"status": 403, "body": r#"{"error_code":"ModelArts.0108","error_msg":"x"}"#}),
            "PermissionDenied",
        ),
        (
            json!({"status": 404, "body": r#"{"error_code":"APIG.0101","error_msg":"x"}"#}),
            "EndpointNotFound",
        ),
        (
            json!({"status": 400, "body": r#"{"error_code":"ModelArts.7005","error_msg":"x"}"#}),
            "InvalidSpec",
        ),
    ] {
        let (failed, ready) = fail(&world, json!([fault])).await;
        assert_eq!((failed.as_str(), ready.as_str()), (reason, "False"));
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_said_to_be_unreachable() {
    let (world, _controller) = mirrored("hanging", json!({"spec": {"timeout": "1s"}})).await;
    let (failed, ready) = fail(&world, json!([{"hang": true}])).await;
    assert_eq!(
        (failed.as_str(), ready.as_str()),
        ("UpstreamUnreachable", "True")
    );
}

#[tokio::test]
async fn polls_of_one_source_never_overlap_however_often_they_are_asked_for() {
    let (world, _controller) = mirrored("single", json!({"spec": {"timeout": "3s"}})).await;
    world.put_faults(json!([{"hang": true}])).await;
    world.clear_cloud_requests().await;
    let ask = async |token: &str| {
        let annotation = json!({"metadata": {"annotations": {REQUESTED_AT: token}}});
        world.patch_source("pools", annotation).await;
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let requests = loop {
        let requests = world.cloud_requests().await;
        if requests.len() >= 2 {
            break requests;
        }
        assert!(Instant::now() < deadline);
        ask(&format!("{:?}", Instant::now())).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let times = requests
        .iter()
        .map(|it| it["time"].as_str().unwrap().parse());
    let times: Vec<Timestamp> = times.map(Result::unwrap).collect();
    let apart = times[1].duration_since(times[0]);
    assert!(apart.as_secs_f64() > 2.5, "{apart}");
}

#[tokio::test]
async fn a_clock_that_differs_by_an_hour_is_named_and_no_fault_of_the_key() {
    let (world, _controller) = mirrored("skewed", json!({})).await;
    let before = world.mirrors().await;
    let settings = json!({"clockOffsetSeconds": 3600});
    let simulator = &world.simulator;
    simulator.control(Method::PUT, "/settings", settings).await;
    let source = world.poll("pools").await;
    assert_eq!(
        condition(&source, "Ready"),
        ("False".into(), "ClockSkew".into())
    );
    let said = message(&source, "Ready");
    assert!(said.contains("this node's clock differs"), "{said}");
    assert_eq!(world.mirrors().await, before);
}

#[tokio::test]
async fn a_wrong_secret_key_is_an_authentication_failure_until_the_secret_is_right() {
    let (world, controller) = mirrored("wrong-key", json!({})).await;
    let before = world.mirrors().await;
    world
        .put_secret(&world.namespace, ACCESS_KEY, "wrong")
        .await;
    let source = world.poll("pools").await;
    assert_eq!(
        condition(&source, "Ready"),
        ("False".into(), "AuthenticationFailed".into())
    );
    assert_eq!(condition(&source, "Stalled").0, "True");
    assert_eq!(world.mirrors().await, before);

    world
        .put_secret(&world.namespace, ACCESS_KEY, SECRET_KEY)
        .await;
    let source = world.poll("pools").await;
    assert_eq!(
        condition(&source, "Ready"),
        ("True".into(), "Succeeded".into())
    );
    assert_eq!(condition(&source, "Stalled").0, "");
    // The failure was logged once, with its reason and without the key.
    let log = controller.log();
    assert_eq!(log.matches("poll failed namespace").count(), 1, "{log}");
    assert!(!log.contains(SECRET_KEY), "{log}");
}

#[tokio::test]
async fn a_secret_that_does_not_exist_is_named() {
    let world = World::new("no-secret").await;
    let _controller = world.controller();
    let spec = json!({"spec": {"credentials": {"secretRef": {"name": "nowhere"}}}});
    world.create_source("pools", spec).await;
    let source = world
        .until_source("pools", |it| condition(it, "Ready").0 == "False")
        .await;
    assert_eq!(condition(&source, "Ready").1, "SecretNotFound");
    let status = serde_json::to_string(&source.status).unwrap();
    assert!(status.contains("nowhere"), "{status}");
}
