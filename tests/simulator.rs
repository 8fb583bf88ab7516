//! The simulated cloud as a client meets it: over HTTP, signed, with the faults a test scripts.

// Outside `#[test]` functions clippy does not see that this is test code.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::simulator::{ACCESS_KEY, PROJECT, SECRET_KEY, Simulator, json};

const NOW: SignedDuration = SignedDuration::ZERO;

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

/// A simulator with three pools: one running, one failed, one in another workspace.
async fn three_pools() -> Simulator {
    let simulator = Simulator::start(&["--pools", "0"]);
    let fleet = json!([
        {"metadata": {"name": "a", "labels": {"os.modelarts/name": "pool a"}}, "status": {"phase": "Running"}},
        {"metadata": {"name": "b"}, "status": {"phase": "CreationFailed"}},
        {"metadata": {"name": "c", "labels": {"os.modelarts/workspace.id": "w"}}},
    ]);
    simulator.control(Method::PUT, "/fleet", fleet).await;
    simulator
}

#[tokio::test]
async fn the_default_list_and_the_failed_list_are_two_lists() {
    let simulator = three_pools().await;
    let default = json(simulator.list(&[]).await.unwrap()).await;
    assert_eq!(
        (&default["kind"], &default["apiVersion"]),
        (&json!("PoolList"), &json!("v2"))
    );
    assert_eq!(names(&default), ["a"]);
    assert_eq!(
        names(&json(simulator.list(&[("status", "failed")]).await.unwrap()).await),
        ["b"]
    );
}

#[tokio::test]
async fn a_workspace_has_a_list_of_its_own() {
    let simulator = three_pools().await;
    assert_eq!(
        names(&json(simulator.list(&[("workspaceId", "w")]).await.unwrap()).await),
        ["c"]
    );
}

#[tokio::test]
async fn a_seeded_fleet_starts_with_the_vendors_sample_untouched() {
    let simulator = Simulator::start(&["--pools", "3", "--life", "5ms"]);
    let list = json(simulator.list(&[]).await.unwrap()).await;
    let sample: Value = serde_json::from_str(include_str!(
        "../src/bin/modelarts-simulator/vendor-sample.json"
    ))
    .unwrap();
    assert_eq!(list["items"][0], sample);
}

#[tokio::test]
async fn every_answer_names_its_request_and_the_time() {
    let response = three_pools().await.list(&[]).await.unwrap();
    assert_eq!(response.headers()["x-request-id"].len(), 32);
    assert!(response.headers().contains_key("date"));
}

#[tokio::test]
async fn a_key_that_fails_more_than_five_times_in_a_row_is_locked_even_with_the_right_secret() {
    let simulator = three_pools().await;
    let path = format!("/v2/{PROJECT}/pools");
    for _ in 0..6 {
        let refused = simulator
            .ask_as((ACCESS_KEY, "wrong"), &path, &[], NOW)
            .await
            .unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        let body = json(refused).await;
        assert_eq!(body["error_code"], "APIGW.0301");
        assert!(
            body["error_msg"]
                .as_str()
                .unwrap()
                .contains("verify aksk signature fail"),
            "{body}"
        );
    }
    let body = json(simulator.list(&[]).await.unwrap()).await;
    assert!(
        body["error_msg"]
            .as_str()
            .unwrap()
            .ends_with("AK access failed to reach the limit,forbidden"),
        "{body}"
    );
}

#[tokio::test]
async fn the_clock_of_the_cloud_can_be_set_apart() {
    let simulator = three_pools().await;
    simulator
        .control(
            Method::PUT,
            "/settings",
            json!({"clockOffsetSeconds": 3600}),
        )
        .await;
    assert_eq!(
        simulator.list(&[]).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let path = format!("/v2/{PROJECT}/pools");
    let hour = SignedDuration::from_hours(1);
    assert!(
        simulator
            .ask_as((ACCESS_KEY, SECRET_KEY), &path, &[], hour)
            .await
            .unwrap()
            .status()
            .is_success()
    );
}

#[tokio::test]
async fn a_project_of_somebody_else_is_forbidden() {
    let simulator = three_pools().await;
    let response = simulator
        .ask_as((ACCESS_KEY, SECRET_KEY), "/v2/other/pools", &[], NOW)
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(json(response).await["error_code"], "ModelArts.0210");
}

#[tokio::test]
async fn an_unknown_path_is_not_published() {
    let simulator = three_pools().await;
    let response = simulator
        .ask_as((ACCESS_KEY, SECRET_KEY), "/v1/pools", &[], NOW)
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(json(response).await["error_code"], "APIGW.0101");
}

#[tokio::test]
async fn a_project_is_found_by_its_name() {
    let simulator = three_pools().await;
    let query = [("name", "cn-north-4")];
    let response = simulator
        .ask_as((ACCESS_KEY, SECRET_KEY), "/v3/projects", &query, NOW)
        .await
        .unwrap();
    assert_eq!(json(response).await["projects"][0]["id"], PROJECT);
}

#[tokio::test]
async fn replaced_key_pairs_stop_working_at_once() {
    let simulator = three_pools().await;
    let rotated = json!([{"accessKey": "NEW", "secretKey": "new", "projects": [{"id": PROJECT, "name": "cn-north-4"}]}]);
    simulator.control(Method::PUT, "/accounts", rotated).await;
    assert_eq!(
        simulator.list(&[]).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let response = simulator
        .ask_as(("NEW", "new"), &format!("/v2/{PROJECT}/pools"), &[], NOW)
        .await
        .unwrap();
    assert_eq!(names(&json(response).await), ["a"]);
}

#[tokio::test]
async fn a_truncated_answer_breaks_off_after_the_bytes_it_was_given() {
    let simulator = three_pools().await;
    simulator
        .control(
            Method::PUT,
            "/faults",
            json!([{"times": 1, "truncateAt": 20}]),
        )
        .await;
    let mut response = simulator.list(&[]).await.unwrap();
    assert!(response.content_length().unwrap() > 20);
    assert_eq!(response.chunk().await.unwrap().unwrap().len(), 20);
    assert!(response.chunk().await.is_err());
    assert!(simulator.list(&[]).await.unwrap().bytes().await.is_ok());
}

#[tokio::test]
async fn a_reset_connection_gives_no_answer() {
    let simulator = three_pools().await;
    simulator
        .control(Method::PUT, "/faults", json!([{"reset": true}]))
        .await;
    let error = format!("{:?}", simulator.list(&[]).await.unwrap_err());
    assert!(error.contains("ConnectionReset"), "{error}");
}

#[tokio::test]
async fn a_hanging_request_is_never_answered_and_logged_without_a_status() {
    let simulator = three_pools().await;
    simulator
        .control(Method::PUT, "/faults", json!([{"hang": true}]))
        .await;
    let wait = Duration::from_millis(50);
    assert!(
        tokio::time::timeout(wait, simulator.list(&[]))
            .await
            .is_err()
    );
    let log = simulator
        .control(Method::GET, "/requests", Value::Null)
        .await;
    assert_eq!(
        (&log[0]["accessKey"], &log[0]["status"]),
        (&json!(ACCESS_KEY), &Value::Null)
    );
}

#[tokio::test]
async fn a_page_size_cuts_the_list_into_pages() {
    let simulator = Simulator::start(&["--pools", "5"]);
    simulator
        .control(Method::PUT, "/settings", json!({"pageSize": 3}))
        .await;
    let first = json(simulator.list(&[]).await.unwrap()).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let last = json(simulator.list(&[("continue", token)]).await.unwrap()).await;
    assert_eq!((names(&first).len(), names(&last).len()), (3, 2));
    assert_eq!(last["metadata"], json!({}));
}

#[tokio::test]
async fn a_scripted_answer_replaces_the_real_one() {
    let simulator = three_pools().await;
    let throttled =
        json!([{"status": 429, "headers": {"Retry-After": "7"}, "body": "<html>slow down</html>"}]);
    simulator.control(Method::PUT, "/faults", throttled).await;
    let response = simulator.list(&[]).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.text().await.unwrap(), "<html>slow down</html>");
}

#[tokio::test]
async fn a_dripping_answer_arrives_whole() {
    let simulator = three_pools().await;
    simulator
        .control(
            Method::PUT,
            "/faults",
            json!([{"dripBytesPerSecond": 5000}]),
        )
        .await;
    assert_eq!(
        names(&json(simulator.list(&[]).await.unwrap()).await),
        ["a"]
    );
}

#[tokio::test]
async fn the_request_log_tells_who_proved_to_be_whom() {
    let simulator = three_pools().await;
    simulator.list(&[("status", "failed")]).await.unwrap();
    simulator
        .ask_as(
            (ACCESS_KEY, "wrong"),
            &format!("/v2/{PROJECT}/pools"),
            &[],
            NOW,
        )
        .await
        .unwrap();
    let log = simulator
        .control(Method::GET, "/requests", Value::Null)
        .await;
    assert_eq!(log[0]["query"], json!([["status", "failed"]]));
    assert_eq!(
        (&log[0]["accessKey"], &log[0]["status"]),
        (&json!(ACCESS_KEY), &json!(200))
    );
    assert_eq!(
        (&log[1]["accessKey"], &log[1]["status"]),
        (&Value::Null, &json!(401))
    );
    assert_eq!(log[1]["claimedAccessKey"], ACCESS_KEY);
}

#[tokio::test]
async fn one_pool_can_be_put_patched_and_removed() {
    let simulator = three_pools().await;
    simulator
        .control(
            Method::PUT,
            "/fleet/d",
            json!({"simulator.class": "failed"}),
        )
        .await;
    assert_eq!(
        names(&json(simulator.list(&[("status", "failed")]).await.unwrap()).await),
        ["b", "d"]
    );
    simulator
        .control(
            Method::PATCH,
            "/fleet/d",
            json!({"simulator.class": null, "status": {"phase": "Odd"}}),
        )
        .await;
    assert_eq!(
        json(simulator.list(&[]).await.unwrap()).await["items"][1]["status"]["phase"],
        "Odd"
    );
    simulator
        .control(Method::DELETE, "/fleet/d", Value::Null)
        .await;
    assert_eq!(
        names(&json(simulator.list(&[]).await.unwrap()).await),
        ["a"]
    );
}

#[tokio::test]
async fn it_ends_when_its_standard_input_closes() {
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_modelarts-simulator"))
        .args(["--listen", "127.0.0.1:0", "--until-stdin-closes"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert!(process.wait().unwrap().success());
}
