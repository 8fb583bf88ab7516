//! TLS fails closed, and a private authority is believed only where the administrator names it.
//! The API server of the control plane, which signs its own certificate, stands for a private cloud.

use std::process::Command;

use super::cluster;
use super::support::simulator::{ACCESS_KEY, PROJECT, SECRET_KEY};

/// Runs `list` against the API server's address and returns its exit status and what it says.
fn list(args: &[&str]) -> (i32, String) {
    let cluster = cluster::shared();
    let server = cluster.kubectl(&[
        "config",
        "view",
        "-o",
        "jsonpath={.clusters[0].cluster.server}",
    ]);
    let output = Command::new(env!("CARGO_BIN_EXE_modelarts-pool-controller"))
        .args(["list", "--region", "cn-north-4", "--project-id", PROJECT])
        .args(["--endpoint", &format!("cn-north-4={server}")])
        .args(args)
        .env("HUAWEICLOUD_SDK_AK", ACCESS_KEY)
        .env("HUAWEICLOUD_SDK_SK", SECRET_KEY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said)
}

#[test]
fn an_unknown_authority_is_not_believed() {
    let (code, said) = list(&[]);
    assert_eq!(code, 5, "{said}");
    assert!(
        said.contains("UpstreamUnreachable") && said.contains("certificate"),
        "{said}"
    );
}

#[test]
fn an_authority_in_the_ca_bundle_is_believed() {
    let authority = cluster::shared().dir().join("certs/apiserver.crt");
    let (code, said) = list(&["--ca-bundle", authority.to_str().unwrap()]);
    // It is no ModelArts, but it answers.
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("PermissionDenied"), "{said}");
}

#[test]
fn a_ca_bundle_without_certificates_ends_the_start_with_the_flags_name() {
    let (code, said) = list(&["--ca-bundle", "/dev/null"]);
    assert_eq!(code, 1);
    assert!(said.contains("--ca-bundle"), "{said}");
}
