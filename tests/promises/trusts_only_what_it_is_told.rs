//! TLS fails closed, and a private authority is believed only where the administrator names it.
//! The API server of the control plane, which signs its own certificate, stands for a private cloud.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::cluster::{self, repository};
use super::support::simulator::{ACCESS_KEY, PROJECT, SECRET_KEY, Simulator};
use super::world::{World, condition, message};

/// The URL of the API server.
fn server() -> String {
    let server = "jsonpath={.clusters[0].cluster.server}";
    cluster::shared().kubectl(&["config", "view", "-o", server])
}

/// Runs `list` against the API server's address and returns its exit status and what it says.
fn list(args: &[&str]) -> (i32, String) {
    let endpoint = format!("cn-north-4={}", server());
    let args = [&["--region", "cn-north-4", "--endpoint", &endpoint], args];
    list_with(&args.concat(), &[])
}

fn list_with(args: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_modelarts-pool-controller"))
        .args(["list", "--project-id", PROJECT])
        .args(args)
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .envs(environment.iter().copied())
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

/// An endpoint with a certificate of the fixtures, which would serve a list to whoever believes it.
/// Counts the requests that reach it, by TLS or without.
async fn endpoint(certificate: &str) -> (String, Arc<AtomicUsize>) {
    let file = |name: &str| repository(&format!("tests/fixtures/tls/{name}.pem"));
    let certificate = CertificateDer::from_pem_file(file(certificate)).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let mut first = [0];
            const HANDSHAKE: u8 = 22;
            if connection.peek(&mut first).await.is_ok_and(|it| it == 1) && first[0] != HANDSHAKE {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let Ok(mut connection) = acceptor.accept(connection).await else {
                continue;
            };
            let mut request = [0; 4096];
            if connection.read(&mut request).await.is_ok_and(|it| it > 0) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let list = r#"{"kind":"PoolList","items":[]}"#;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{list}", list.len());
            let _ = connection.write_all(answer.as_bytes()).await;
            let _ = connection.shutdown().await;
        }
    });
    (address, requests)
}

#[tokio::test]
async fn a_certificate_that_is_expired_or_strange_or_of_another_host_is_named_in_the_condition() {
    let world = World::new("certificates").await;
    let (good, served) = endpoint("good").await;
    let (expired, told) = endpoint("expired").await;
    let (elsewhere, told_too) = endpoint("elsewhere").await;
    let authority = repository("tests/fixtures/tls/authority.pem");
    let stranger = server();
    let endpoints = [
        ("good", &good),
        ("expired", &expired),
        ("elsewhere", &elsewhere),
        ("stranger", &stranger),
    ]
    .map(|(name, url)| format!("--endpoint=xx-{name}-1={url}"));
    let mut flags: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    flags.extend(["--ca-bundle", authority.to_str().unwrap()]);
    let controller = world.controller_with(&flags);
    let region = |name: &str| json!({"spec": {"region": format!("xx-{name}-1")}});
    for name in ["good", "expired", "elsewhere", "stranger"] {
        world.create_source(name, region(name)).await;
    }
    world.until_ready("good").await;
    assert_eq!(served.load(Ordering::SeqCst), 2);
    for (name, sign) in [
        ("expired", "certificate has expired"),
        ("elsewhere", "certificate is for another host"),
        ("stranger", "an authority that is not known here"),
    ] {
        let failed = |it: &_| condition(it, "FetchFailed").0 == "True";
        let source = world.until_source(name, failed).await;
        assert_eq!(condition(&source, "FetchFailed").1, "UpstreamUnreachable");
        let said = message(&source, "FetchFailed");
        assert!(said.contains(sign), "{name}: {said}");
    }
    // Nothing was asked of them, neither behind the certificate nor without any.
    assert_eq!(told.load(Ordering::SeqCst), 0, "{}", controller.log());
    assert_eq!(told_too.load(Ordering::SeqCst), 0);
}

/// A name made from a template that leads to this machine. The API server takes no such region, so
/// `list` stands for a source here.
#[tokio::test]
async fn a_templated_name_that_leads_to_this_machine_is_refused_and_asked_nothing() {
    let simulator = Simulator::start(&["--pools", "1"]);
    let template = simulator.api.replace("127.0.0.1", "{region}");
    let args = ["--region", "localhost", "--endpoint-template", &template];
    let (code, said) = list_with(&args, &[]);
    assert_eq!(code, 4, "{said}");
    assert!(said.starts_with("EndpointNotFound: "), "{said}");
    assert!(said.contains("leads to a private address"), "{said}");
    assert!(said.contains("--allow-private-endpoints"), "{said}");
    assert_eq!(simulator.requests().await.len(), 0);

    let allowed = [&args[..], &["--allow-private-endpoints"]].concat();
    let (code, said) = list_with(&allowed, &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(simulator.requests().await.len(), 2);
}

#[tokio::test]
async fn a_proxy_of_the_administrator_may_be_in_the_private_network() {
    let simulator = Simulator::start(&["--pools", "1"]);
    let proxy = simulator.api.replace("127.0.0.1", "localhost");
    let template = "http://modelarts.{region}.example";
    let args = ["--region", "cn-north-4", "--endpoint-template", template];
    list_with(&args, &[("HTTP_PROXY", &proxy)]);
    assert!(!simulator.requests().await.is_empty());
}
