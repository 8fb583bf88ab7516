//! A wrong configuration ends the program at its start, with the flag's name and what to write.

use std::process::{Command, Stdio};

/// Runs the program, which must refuse, and returns what it says.
fn refusal(flags: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_modelarts-pool-controller"))
        .args(flags)
        .env("KUBECONFIG", "/nonexistent")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{flags:?} {variables:?}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_wrong_flag_is_named_with_what_to_write_instead() {
    for (flag, wrong, advice) in [
        ("--endpoint-template", "modelarts", "write a URL such as"),
        (
            "--endpoint-template",
            "ftp://m.example.com",
            "must start with https://",
        ),
        (
            "--endpoint-template",
            "https://{regoin}.example.com",
            "no placeholder but {region}",
        ),
        (
            "--endpoint-template",
            "https://m.example.com/v2",
            "must end after the host",
        ),
        ("--iam-endpoint-template", "https://", "write a URL such as"),
        ("--endpoint", "https://m.example.com", "write REGION=URL"),
        ("--endpoint", "eu-de=m.example.com", "is not a URL"),
        (
            "--ca-bundle",
            "/nonexistent/ca.pem",
            "read /nonexistent/ca.pem",
        ),
        ("--ca-bundle", "/dev/null", "holds no certificate"),
        ("--source-selector", "shard in blue", "write key=value"),
        ("--watch-namespace", "Team_A", "write a namespace's name"),
        ("--watch-namespace", "", "write a namespace's name"),
        ("--ambient-namespace", "team/a", "write a namespace's name"),
        ("--namespace", "-", "write a namespace's name"),
        ("--admin-address", "8080", "write ADDRESS:PORT"),
        ("--admin-address", "localhost:8080", "write ADDRESS:PORT"),
        ("--lease-name", "My Lease", "write an object's name"),
        ("--pod-name", "pod/1", "write an object's name"),
        ("--log-level", "loud", "write error, warn, info"),
        ("--log-level", "info,kube=loud", "write error, warn, info"),
        ("--log-format", "xml", "possible values: text, json"),
        ("--leader-elekt", "true", "--leader-elect"),
    ] {
        let said = refusal(&[&format!("{flag}={wrong}")], &[]);
        assert!(said.contains(flag), "{flag}={wrong}: {said}");
        assert!(said.contains(advice), "{flag}={wrong}: {said}");
    }
}

#[test]
fn a_wrong_variable_is_named_by_its_flag() {
    for (variable, wrong, flag) in [
        (
            "MODELARTS_ENDPOINT_TEMPLATE",
            "modelarts",
            "--endpoint-template",
        ),
        ("WATCH_NAMESPACES", "team-a,", "--watch-namespace"),
        ("SOURCE_SELECTOR", "=", "--source-selector"),
        ("LEADER_ELECT", "maybe", "--leader-elect"),
        ("LEADER_ELECT", "true", "--pod-name (POD_NAME)"),
        ("LOG_FORMAT", "xml", "--log-format"),
        ("ADMIN_ADDRESS", ":8080", "--admin-address"),
    ] {
        let said = refusal(&[], &[(variable, wrong)]);
        assert!(said.contains(flag), "{variable}={wrong}: {said}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kubeconfig = dir.join(format!("taken-{}.kubeconfig", std::process::id()));
    std::fs::write(&kubeconfig, super::logs_for_its_reader::NOBODY).unwrap();
    let flags = ["--admin-address", &address];
    let said = refusal(&flags, &[("KUBECONFIG", kubeconfig.to_str().unwrap())]);
    std::fs::remove_file(kubeconfig).unwrap();
    assert!(said.contains("--admin-address (ADMIN_ADDRESS)"), "{said}");
}

#[test]
fn a_cluster_that_is_not_configured_is_asked_for() {
    let said = refusal(&[], &[]);
    assert!(said.contains("point KUBECONFIG at a kubeconfig"), "{said}");
}
