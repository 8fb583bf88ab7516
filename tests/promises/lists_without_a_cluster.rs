//! `list` polls once and prints what would be mirrored, without a cluster.

use std::process::{Command, Output};

use reqwest::Method;
use serde_json::{Value, json};

use super::support::simulator::{ACCESS_KEY, PROJECT, SECRET_KEY, Simulator};
use super::world::pool;

async fn cloud() -> Simulator {
    let simulator = Simulator::start(&["--pools", "0"]);
    let fleet = json!([pool("a", 3), pool("b", 1)]);
    simulator.control(Method::PUT, "/fleet", fleet).await;
    simulator
}

/// Runs `list` with a key and more arguments.
fn list(simulator: &Simulator, secret_key: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelarts-pool-controller"))
        .args(["list", "--region", "cn-north-4"])
        .args([
            "--endpoint-template",
            &simulator.api,
            "--iam-endpoint-template",
            &simulator.api,
        ])
        .args(args)
        .env("HUAWEICLOUD_SDK_AK", ACCESS_KEY)
        .env("HUAWEICLOUD_SDK_SK", secret_key)
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn the_table_has_the_columns_of_kubectl_get() {
    let simulator = cloud().await;
    let table = stdout(&list(&simulator, SECRET_KEY, &["--project-id", PROJECT]));
    let words = |line: usize| {
        table
            .lines()
            .nth(line)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(0),
        [
            "NAME", "POOL", "PHASE", "READY", "NODES", "FLAVOR", "DRIVER", "SCOPES", "AGE"
        ]
    );
    assert_eq!(
        words(1),
        [
            "a",
            "a",
            "Running",
            "True",
            "3/3",
            "modelarts.vm.cpu.8ud",
            "Train",
            "<unknown>"
        ]
    );
    assert_eq!(table.lines().count(), 3);
}

#[tokio::test]
async fn wide_has_the_columns_of_kubectl_get_wide() {
    let simulator = cloud().await;
    let table = stdout(&list(&simulator, SECRET_KEY, &["-o", "wide"]));
    let header = table.lines().next().unwrap();
    let last: Vec<&str> = header.split_whitespace().skip(8).collect();
    assert_eq!(last, ["AGE", "REASON", "ABNORMAL", "WORKSPACE", "SOURCE"]);
}

#[tokio::test]
async fn json_and_yaml_are_the_same_objects() {
    let simulator = cloud().await;
    let json: Value =
        serde_json::from_str(&stdout(&list(&simulator, SECRET_KEY, &["-o", "json"]))).unwrap();
    let yaml: Value =
        serde_saphyr::from_str(&stdout(&list(&simulator, SECRET_KEY, &["-o", "yaml"]))).unwrap();
    let phases = |list: &Value| {
        let items = list["items"].as_array().unwrap();
        items
            .iter()
            .map(|it| it["status"]["phase"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(phases(&json), ["Running", "Running"]);
    assert_eq!(phases(&yaml), phases(&json));
}

#[tokio::test]
async fn the_exit_status_tells_what_kind_of_failure_it_was() {
    let simulator = cloud().await;
    let code = |output: Output| output.status.code().unwrap();
    let refused = list(&simulator, "wrong", &[]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("AuthenticationFailed"));
    assert_eq!(code(refused), 4);
    let odd = json!([pool("a", 1), {"metadata": {"name": "odd"}, "spec": {"resources": 7}}]);
    simulator.control(Method::PUT, "/fleet", odd).await;
    let partial = list(&simulator, SECRET_KEY, &[]);
    assert!(String::from_utf8_lossy(&partial.stderr).contains("odd"));
    assert_eq!(code(partial), 3);
    simulator
        .control(Method::PUT, "/faults", json!([{"status": 503}]))
        .await;
    assert_eq!(code(list(&simulator, SECRET_KEY, &[])), 5);
    assert_eq!(
        code(list(&simulator, SECRET_KEY, &["--project-id", "x"])),
        2
    );
}

#[tokio::test]
async fn without_credentials_it_says_what_can_be_configured() {
    let list = |variables: &[(&str, &str)]| {
        Command::new(env!("CARGO_BIN_EXE_modelarts-pool-controller"))
            .args(["list", "--region", "cn-north-4"])
            .args(["--metadata-endpoint", "http://127.0.0.1:9"])
            .env("HOME", "/nonexistent")
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    };
    let none = list(&[]);
    let message = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(message.contains("HUAWEICLOUD_SDK_AK"), "{message}");
    assert_eq!(none.status.code(), Some(4));
    let half = list(&[("HUAWEICLOUD_SDK_AK", "canary")]);
    let message = String::from_utf8_lossy(&half.stderr).into_owned();
    assert!(message.contains("set HUAWEICLOUD_SDK_SK to"), "{message}");
    assert!(!message.contains("canary"), "{message}");
    assert_eq!(half.status.code(), Some(1));
}
