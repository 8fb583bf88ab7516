//! Neither a secret key nor a security token nor a signature leaves the process other than to the
//! cloud: not to the log at its noisiest, not to an object, not to a terminal.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::simulator::{ACCESS_KEY, PROJECT};
use super::world::{World, condition, pool};

const SECRET: &str = "canarySecretKeyThatNobodyMayEverSee0001";
const TOKEN: &str = "canarySecurityTokenThatNobodyMayEverSee02";
/// How the API server's answer would show the two.
const ENCODED: [&str; 2] = [
    "Y2FuYXJ5U2VjcmV0S2V5VGhhdE5vYm9keU1heUV2ZXJTZWUwMDAx",
    "Y2FuYXJ5U2VjdXJpdHlUb2tlblRoYXROb2JvZHlNYXlFdmVyU2VlMDI",
];

/// What a gateway that quotes the request would say.
fn quoting() -> String {
    let said =
        format!("{SECRET} {TOKEN} SDK-HMAC-SHA256 Access={ACCESS_KEY}, Signature=0123456789abcdef");
    json!({"error_code": "APIGW.0301", "error_msg": said, "request_id": "x"}).to_string()
}

fn assert_clean(what: &str, text: &str) {
    for canary in [SECRET, TOKEN, ENCODED[0], ENCODED[1], "Signature="] {
        let line = text.lines().find(|line| line.contains(canary));
        assert!(line.is_none(), "{what} shows {canary}: {line:?}");
    }
}

async fn canary_account(world: &World) {
    let accounts = json!([{
        "accessKey": ACCESS_KEY, "secretKey": SECRET, "securityToken": TOKEN,
        "projects": [{"id": PROJECT, "name": "cn-north-4"}],
    }]);
    let simulator = &world.simulator;
    simulator.control(Method::PUT, "/accounts", accounts).await;
    let data = json!({"accessKey": ACCESS_KEY, "secretKey": SECRET, "securityToken": TOKEN});
    world.put_named_secret("huawei", data).await;
}

/// Faults that quote the secrets back, each with the reason that the source then gives. The last
/// one makes the key rest.
fn faults() -> [(Value, &'static str); 7] {
    let quoting = quoting();
    [
        (json!({"status": 403, "body": "{}"}), "PermissionDenied"),
        (json!({"status": 400, "body": quoting}), "InvalidSpec"),
        (json!({"status": 500, "body": quoting}), "UpstreamError"),
        (
            json!({"status": 502, "body": format!("<html>{quoting}")}),
            "UpstreamError",
        ),
        (json!({"status": 200, "body": quoting}), "DecodeFailed"),
        (
            json!({"status": 200, "body": format!("{SECRET}{TOKEN}")}),
            "DecodeFailed",
        ),
        (
            json!({"status": 401, "body": quoting, "headers": {"x-request-id": "id"}}),
            "AuthenticationFailed",
        ),
    ]
}

#[tokio::test]
async fn the_noisiest_log_and_every_object_are_free_of_secrets_whatever_the_cloud_answers() {
    let world = World::new("canary").await;
    canary_account(&world).await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let controller = world.controller_logging("trace", &[]);
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    for (fault, reason) in faults() {
        world.put_faults(json!([fault])).await;
        let source = world.poll("pools").await;
        assert_eq!(condition(&source, "FetchFailed").1, reason);
        world.until_event("pools", reason).await;
    }
    let log = controller.log();
    assert!(log.contains("TRACE"), "the log is not at its noisiest");
    assert_clean("the log", &log);
    let objects = world.cluster.kubectl(&[
        "get",
        "modelartspools,modelartspoolsources,events",
        "-o",
        "yaml",
        "--show-managed-fields",
        "-n",
        &world.namespace,
    ]);
    assert!(objects.contains("kind: ModelArtsPoolSource"));
    assert_clean("an object", &objects);
}

#[tokio::test]
async fn list_prints_no_secret_however_it_fails() {
    let world = World::new("canary-list").await;
    canary_account(&world).await;
    for (fault, reason) in faults() {
        world.put_faults(json!([fault])).await;
        let output = Command::new(env!("CARGO_BIN_EXE_modelarts-pool-controller"))
            .args(["list", "--region", "cn-north-4", "--project-id", PROJECT])
            .args(["--log-level", "trace"])
            .args(["--endpoint-template", &world.simulator.api])
            .args(["--iam-endpoint-template", &world.simulator.api])
            .env("HUAWEICLOUD_SDK_AK", ACCESS_KEY)
            .env("HUAWEICLOUD_SDK_SK", SECRET)
            .env("HUAWEICLOUD_SDK_SECURITY_TOKEN", TOKEN)
            .output()
            .unwrap();
        assert!(!output.status.success());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(reason), "{stderr}");
        assert_clean("standard error", &stderr);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_clean("standard output", &stdout);
    }
}
