//! The alert rules, tried by promtool on made-up series and compared with the reasons of the code.
//! That the metrics exist is tested on the running controller, among the promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

use modelarts_pool_controller::modelarts::Class;

use support::tools::{repository, tool};

fn alerts() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repository("deploy/chart/files/alerts.yaml")).unwrap();
    let file: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let rules = file["groups"][0]["rules"].as_array().unwrap();
    let word = |rule: &serde_json::Value, key: &str| rule[key].as_str().unwrap().to_owned();
    let alerts = rules.iter().map(|it| (word(it, "alert"), word(it, "expr")));
    alerts.collect()
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    tool(
        "promtool",
        &["test", "rules", "tests/alerts/alerts_test.yaml"],
    )
    .unwrap();
}

#[test]
fn the_rules_keep_to_the_format_of_prometheus() {
    let check = [
        "check",
        "rules",
        "--lint=all",
        "--lint-fatal",
        "deploy/chart/files/alerts.yaml",
    ];
    tool("promtool", &check).unwrap();
}

#[test]
fn each_alert_has_a_test() {
    let tests = std::fs::read_to_string(repository("tests/alerts/alerts_test.yaml")).unwrap();
    for (alert, _) in alerts() {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert}");
    }
}

#[test]
fn each_alert_has_an_entry_in_the_runbook() {
    let runbook = std::fs::read_to_string(repository("docs/runbook.md")).unwrap();
    for (alert, _) in alerts() {
        assert!(runbook.contains(&format!("\n## {alert}\n")), "{alert}");
    }
}

#[test]
fn a_failure_alerts_early_where_a_person_must_act_and_late_where_waiting_may_help() {
    let expression = |name: &str| {
        let alerts = alerts();
        let alert = alerts.iter().find(|(alert, _)| alert == name);
        alert.unwrap().1.clone()
    };
    let (act, wait) = (
        expression("ModelArtsSourceActionNeeded"),
        expression("ModelArtsSourceFailing"),
    );
    for class in [
        Class::Authentication,
        Class::ClockSkew,
        Class::Permission,
        Class::Endpoint,
        Class::InvalidRequest,
        Class::InvalidSpec,
        Class::Throttled(None),
        Class::Unreachable,
        Class::Upstream,
        Class::Decode,
        Class::CredentialsMissing,
    ] {
        let alternatives = |text: &str| text.split(['"', '|']).any(|it| it == class.reason());
        assert_eq!(
            (alternatives(&act), alternatives(&wait)),
            (class.needs_a_person(), !class.needs_a_person()),
            "{}",
            class.reason()
        );
    }
}
