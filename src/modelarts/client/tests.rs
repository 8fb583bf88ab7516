use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::modelarts::Listed;
use crate::modelarts::request::{MAX_BODY, signed};
use crate::modelarts::sign;

const PROJECT: &str = "0123456789abcdef0123456789abcdef";

fn client_of(url: &str) -> Client {
    Client::new(
        Endpoints::new(url, url, [].into()).unwrap(),
        &Trust::default(),
    )
    .unwrap()
}

fn credentials() -> Credentials {
    Credentials {
        access_key: "AKFAKE".to_owned(),
        secret_key: "sk-fake".to_owned().into(),
        security_token: None,
        issuer: None,
    }
}

/// The default list of one workspace.
fn target() -> Target {
    Target {
        region: "cn-north-4".to_owned(),
        project_id: PROJECT.to_owned(),
        query: Query {
            statuses: vec![ListStatus::Created, ListStatus::Creating],
            ..Query::default()
        },
        timeout: Duration::from_secs(10),
    }
}

fn list_of(names: &[&str], token: &str) -> ResponseTemplate {
    let items: Vec<_> = names
        .iter()
        .map(|name| json!({"metadata": {"name": name}}))
        .collect();
    let body = json!({"kind": "PoolList", "items": items, "metadata": {"continue": token}});
    ResponseTemplate::new(200).set_body_json(body)
}

/// A cloud that gives this answer to everything.
async fn cloud(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

async fn poll(server: &MockServer) -> Result<Snapshot, PollError> {
    let client = client_of(&server.uri());
    client.poll(&target(), &credentials()).await
}

async fn class_of(server: &MockServer) -> Class {
    poll(server).await.unwrap_err().class
}

async fn queries(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .map(|it| it.url.query().unwrap_or_default().to_owned())
        .collect()
}

async fn look_up(server: &MockServer, client: &Client) -> Result<String, PollError> {
    let timeout = Duration::from_secs(10);
    let answer = client
        .project_id("cn-north-4", "cn-north-4", timeout, &credentials())
        .await;
    assert!(!server.received_requests().await.unwrap().is_empty());
    answer
}

fn projects(named: &[(&str, &str)]) -> ResponseTemplate {
    let projects: Vec<_> = named
        .iter()
        .map(|(id, name)| json!({"id": id, "name": name, "enabled": true}))
        .collect();
    ResponseTemplate::new(200).set_body_json(json!({"projects": projects, "links": {}}))
}

#[test]
fn a_poll_is_one_list_per_workspace_and_status() {
    use ListStatus::{Created, Creating, Failed};
    for (workspaces, statuses, calls) in [
        (
            &["0"][..],
            &[Created, Creating, Failed][..],
            &["0", "0 failed"][..],
        ),
        (&["0"], &[Creating, Created], &["0"]),
        (&["0"], &[Created], &["0 created"]),
        (&["0"], &[Creating], &["0 creating"]),
        (&["0"], &[Failed], &["0 failed"]),
        (&["0"], &[Failed, Created], &["0 created", "0 failed"]),
        (&["0"], &[Creating, Failed], &["0 creating", "0 failed"]),
        (&["0"], &[Failed, Failed], &["0 failed"]),
        (
            &["b", "a", "b"],
            &[Failed, Creating, Created],
            &["a", "a failed", "b", "b failed"],
        ),
    ] {
        let query = Query {
            workspace_ids: workspaces.iter().map(|it| (*it).to_owned()).collect(),
            label_selector: String::new(),
            statuses: statuses.to_vec(),
        };
        let made: Vec<String> = list_calls(&query)
            .iter()
            .map(|call| match call.status {
                Some(status) => format!("{} {}", call.workspace_id, status.as_str()),
                None => call.workspace_id.to_owned(),
            })
            .collect();
        assert_eq!(made, calls, "{workspaces:?} {statuses:?}");
    }
}

#[test]
fn the_same_query_in_another_order_has_the_same_key() {
    let key = |workspaces: [&str; 2], statuses: [ListStatus; 2]| {
        let mut target = target();
        target.query.workspace_ids = workspaces.map(str::to_owned).to_vec();
        target.query.statuses = statuses.to_vec();
        query_key(&target, &credentials())
    };
    let (created, failed) = (ListStatus::Created, ListStatus::Failed);
    assert_eq!(
        key(["0", "1"], [created, failed]),
        key(["1", "0"], [failed, created])
    );
}

#[tokio::test]
async fn the_query_on_the_wire_is_the_signed_one_byte_for_byte() {
    let server = cloud(list_of(&[], "")).await;
    let client = client_of(&server.uri());
    let mut target = target();
    target.query.label_selector = "os.modelarts/name in (a b,'c'),d!=é+*~".to_owned();
    target.query.workspace_ids = vec!["0&status=x".to_owned()];
    client.poll(&target, &credentials()).await.unwrap();

    let request = server.received_requests().await.unwrap().remove(0);
    let query = "labelSelector=os.modelarts%2Fname%20in%20%28a%20b%2C%27c%27%29%2Cd%21%3D%C3%A9%2B%2A~&workspaceId=0%26status%3Dx";
    assert_eq!(request.url.query(), Some(query));
    assert_eq!(request.url.path(), format!("/v2/{PROJECT}/pools"));

    let header = |name: &str| request.headers[name].to_str().unwrap();
    assert_eq!(header("x-project-id"), PROJECT);
    let host = server.address().to_string();
    assert_eq!(header("host"), host);
    let parts = sign::Request {
        method: "GET",
        host: &host,
        path: request.url.path(),
        query: &[
            ("workspaceId", &target.query.workspace_ids[0]),
            ("labelSelector", &target.query.label_selector),
        ],
        headers: &[("x-project-id", PROJECT)],
        body: b"",
    };
    let date = header("x-sdk-date");
    let now = k8s_openapi::jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date)
        .and_then(|it| it.to_zoned(k8s_openapi::jiff::tz::TimeZone::UTC))
        .unwrap()
        .timestamp();
    let signed = sign::sign(&parts, "AKFAKE", &credentials().secret_key, now);
    assert_eq!(
        header("authorization"),
        signed.authorization.expose_secret()
    );
    assert!(header("authorization").contains("SignedHeaders=host;x-project-id;x-sdk-date,"));
}

#[tokio::test]
async fn a_security_token_is_sent_and_signed() {
    let server = cloud(list_of(&[], "")).await;
    let credentials = Credentials {
        security_token: Some("token".to_owned().into()),
        ..credentials()
    };
    let client = client_of(&server.uri());
    client.poll(&target(), &credentials).await.unwrap();
    let request = server.received_requests().await.unwrap().remove(0);
    assert_eq!(request.headers["x-security-token"], "token");
    let authorization = request.headers["authorization"].to_str().unwrap();
    assert!(
        authorization.contains("SignedHeaders=host;x-project-id;x-sdk-date;x-security-token,"),
        "{authorization}"
    );
}

#[test]
fn no_header_that_proves_an_identity_can_be_printed() {
    let endpoint = Endpoint::parse("https://modelarts.example").unwrap();
    let credentials = Credentials {
        security_token: Some("token-canary".to_owned().into()),
        ..credentials()
    };
    let request = Get {
        operation: "list pools",
        region: "cn-north-4",
        endpoint: &endpoint,
        path: "/v2/p/pools",
        query: &[],
        project_id: Some(PROJECT),
        timeout: Duration::from_secs(1),
    };
    let (_, headers) = signed(&request, &credentials, Timestamp::UNIX_EPOCH);
    let printed = format!("{headers:?}");
    assert!(headers.contains_key("authorization"));
    assert!(
        !printed.contains("canary") && !printed.contains("Signature"),
        "{printed}"
    );
}

#[tokio::test]
async fn pools_of_the_failed_list_are_marked_as_such() {
    let server = MockServer::start().await;
    let default = query_param_is_missing("status");
    Mock::given(default)
        .respond_with(list_of(&["a"], ""))
        .mount(&server)
        .await;
    let failed = query_param("status", "failed");
    Mock::given(failed)
        .respond_with(list_of(&["b"], ""))
        .mount(&server)
        .await;
    let mut target = target();
    target.query = Query::default();
    let client = client_of(&server.uri());
    let snapshot = client.poll(&target, &credentials()).await.unwrap();
    let failed = |listed: &Listed| listed.creation_failed;
    let pools: Vec<(&str, bool)> = snapshot
        .pools()
        .iter()
        .map(|(name, listed)| (name.as_str(), failed(listed)))
        .collect();
    assert_eq!(pools, [("a", false), ("b", true)]);
}

#[tokio::test]
async fn one_list_that_fails_fails_the_poll() {
    let server = MockServer::start().await;
    let default = query_param_is_missing("status");
    Mock::given(default)
        .respond_with(list_of(&["a"], ""))
        .mount(&server)
        .await;
    let failed = query_param("status", "failed");
    let error = ResponseTemplate::new(500);
    Mock::given(failed).respond_with(error).mount(&server).await;
    let mut target = target();
    target.query = Query::default();
    let client = client_of(&server.uri());
    let error = client.poll(&target, &credentials()).await.unwrap_err();
    assert_eq!(error.class, Class::Upstream);
}

#[tokio::test]
async fn continue_tokens_are_followed_to_the_end_with_the_same_query() {
    let server = MockServer::start().await;
    for (token, answer) in [
        ("t/1 +", list_of(&["b"], "t2")),
        ("t2", list_of(&["c"], "")),
    ] {
        let page = Mock::given(query_param("continue", token));
        page.respond_with(answer).mount(&server).await;
    }
    let first = Mock::given(query_param_is_missing("continue"));
    first
        .respond_with(list_of(&["a"], "t/1 +"))
        .mount(&server)
        .await;
    let snapshot = poll(&server).await.unwrap();
    assert_eq!(snapshot.pools().keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(
        queries(&server).await,
        [
            "workspaceId=0",
            "continue=t%2F1%20%2B&workspaceId=0",
            "continue=t2&workspaceId=0"
        ]
    );
}

#[tokio::test]
async fn a_page_that_fails_fails_the_poll() {
    let server = MockServer::start().await;
    let first = Mock::given(query_param_is_missing("continue"));
    first
        .respond_with(list_of(&["a"], "t"))
        .mount(&server)
        .await;
    let second = Mock::given(query_param("continue", "t"));
    second
        .respond_with(ResponseTemplate::new(503))
        .mount(&server)
        .await;
    assert_eq!(class_of(&server).await, Class::Upstream);
}

#[tokio::test]
async fn a_token_that_comes_back_ends_the_poll() {
    let server = cloud(list_of(&["a"], "t")).await;
    assert_eq!(class_of(&server).await, Class::Decode);
    assert_eq!(queries(&server).await.len(), 2);
}

#[tokio::test]
async fn pages_without_end_end_the_poll() {
    let server = MockServer::start().await;
    let pages = AtomicUsize::new(0);
    let page = move |_: &wiremock::Request| {
        list_of(&[], &pages.fetch_add(1, Ordering::Relaxed).to_string())
    };
    Mock::given(method("GET"))
        .respond_with(page)
        .mount(&server)
        .await;
    assert_eq!(class_of(&server).await, Class::Decode);
    assert_eq!(queries(&server).await.len(), MAX_PAGES);
}

#[tokio::test]
async fn more_pools_than_a_source_may_have_are_refused_at_the_page_that_has_them() {
    let server = MockServer::start().await;
    let pages = AtomicUsize::new(0);
    let page = move |_: &wiremock::Request| {
        let next = pages.fetch_add(1, Ordering::Relaxed);
        let items = vec![7; MAX_POOLS / 4];
        let body =
            json!({"kind": "PoolList", "items": items, "metadata": {"continue": next.to_string()}});
        ResponseTemplate::new(200).set_body_json(body)
    };
    Mock::given(method("GET"))
        .respond_with(page)
        .mount(&server)
        .await;
    let error = poll(&server).await.unwrap_err();
    assert_eq!(error.class, Class::Decode);
    assert_eq!(
        error.message(),
        "list pools: more than the 10000 pools that one source may have; narrow the list with query.workspaceIds or query.labelSelector"
    );
    assert_eq!(queries(&server).await.len(), 5);
}

#[test]
fn pages_are_bounded_together_and_not_each_alone() {
    let mut read = Read::default();
    assert!(read.add("test", 1, MAX_BODY).is_ok());
    assert!(read.add("test", 0, 1).is_err());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = MockServer::start().await;
    let elsewhere = format!("{}/elsewhere", server.uri());
    let redirect = ResponseTemplate::new(302).insert_header("location", elsewhere.as_str());
    Mock::given(method("GET"))
        .respond_with(redirect)
        .mount(&server)
        .await;
    assert_eq!(class_of(&server).await, Class::Endpoint);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_larger_than_the_limit_is_refused_even_where_it_is_a_list() {
    let mut body = br#"{"kind":"PoolList"}"#.to_vec();
    body.resize(MAX_BODY + 1, b' ');
    let server = cloud(ResponseTemplate::new(200).set_body_bytes(body)).await;
    assert_eq!(class_of(&server).await, Class::Decode);
}

#[tokio::test]
async fn a_login_page_with_200_is_no_list() {
    let server = cloud(ResponseTemplate::new(200).set_body_string("<html>log in</html>")).await;
    assert_eq!(class_of(&server).await, Class::Decode);
}

#[tokio::test]
async fn an_error_carries_the_clouds_request_id_and_time() {
    let answer = ResponseTemplate::new(403)
        .insert_header("x-request-id", "r-1")
        .insert_header("date", "Thu, 28 May 2026 20:26:40 GMT");
    let error = poll(&cloud(answer).await).await.unwrap_err();
    assert_eq!(error.request_id.as_deref(), Some("r-1"));
    assert_eq!(
        error.server_time,
        Timestamp::from_second(1_780_000_000).ok()
    );
}

#[tokio::test]
async fn the_clouds_wish_to_wait_is_taken_from_its_header() {
    let server = cloud(ResponseTemplate::new(429).insert_header("retry-after", "7")).await;
    let wish = Class::Throttled(Some(Duration::from_secs(7)));
    assert_eq!(class_of(&server).await, wish);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_unreachable() {
    let late = list_of(&[], "").set_delay(Duration::from_secs(60));
    let server = cloud(late).await;
    let client = client_of(&server.uri());
    let target = Target {
        timeout: Duration::from_millis(50),
        ..target()
    };
    let error = client.poll(&target, &credentials()).await.unwrap_err();
    assert_eq!(error.class, Class::Unreachable);
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client_of(&url)
        .poll(&target(), &credentials())
        .await
        .unwrap_err();
    assert_eq!(error.class, Class::Unreachable);
}

/// An answer whose connection closes before the promised end of its body.
async fn broken_answer(status: &'static str) -> Class {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let _ = connection.read(&mut [0; 4096]).await.unwrap();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: 100\r\n\r\n{{\"kind\":\"PoolList\"}}");
        connection.write_all(head.as_bytes()).await.unwrap();
    };
    let (client, target, credentials) = (client_of(&url), target(), credentials());
    let (answer, ()) = tokio::join!(client.poll(&target, &credentials), answer);
    answer.unwrap_err().class
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_list_even_where_what_came_would_be_one() {
    assert_eq!(broken_answer("200 OK").await, Class::Decode);
}

#[tokio::test]
async fn an_error_that_breaks_off_is_classified_by_its_status() {
    assert_eq!(
        broken_answer("401 Unauthorized").await,
        Class::Authentication
    );
}

#[tokio::test]
async fn a_project_is_looked_up_once_by_its_name() {
    let server = MockServer::start().await;
    let asked = Mock::given(path("/v3/projects")).and(query_param("name", "cn-north-4"));
    let answer = projects(&[
        ("f".repeat(32).as_str(), "cn-north-4_sub"),
        (PROJECT, "cn-north-4"),
    ]);
    asked.respond_with(answer).mount(&server).await;
    let client = client_of(&server.uri());
    for _ in 0..2 {
        assert_eq!(look_up(&server, &client).await.unwrap(), PROJECT);
    }
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    // The project is what is asked for, so it cannot be named in a header.
    assert!(!requests[0].headers.contains_key("x-project-id"));
}

#[tokio::test]
async fn where_projects_may_not_be_listed_those_that_may_be_entered_are() {
    let server = MockServer::start().await;
    let all = Mock::given(path("/v3/projects"));
    all.respond_with(ResponseTemplate::new(403))
        .mount(&server)
        .await;
    let own = Mock::given(path("/v3/auth/projects"));
    own.respond_with(projects(&[(PROJECT, "cn-north-4")]))
        .mount(&server)
        .await;
    let client = client_of(&server.uri());
    assert_eq!(look_up(&server, &client).await.unwrap(), PROJECT);
}

#[tokio::test]
async fn a_refused_key_is_not_tried_a_second_time_on_another_path() {
    let server = cloud(ResponseTemplate::new(401)).await;
    let client = client_of(&server.uri());
    let error = look_up(&server, &client).await.unwrap_err();
    assert_eq!(error.class, Class::Authentication);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_project_that_is_not_the_only_one_of_its_name_is_a_persons_to_choose() {
    let other = "f".repeat(32);
    let two = projects(&[(PROJECT, "cn-north-4"), (&other, "cn-north-4")]);
    for answer in [
        two,
        projects(&[]),
        projects(&[(PROJECT, "cn-north-4_sub")]),
        projects(&[("../../v3", "cn-north-4")]),
        ResponseTemplate::new(200).set_body_string("<html>"),
    ] {
        let server = cloud(answer).await;
        let client = client_of(&server.uri());
        let error = look_up(&server, &client).await.unwrap_err();
        assert_eq!(error.class, Class::InvalidSpec);
        assert!(
            error.message().contains("set projectId"),
            "{}",
            error.message()
        );
    }
}

#[tokio::test]
async fn a_look_up_that_failed_is_not_remembered() {
    let server = MockServer::start().await;
    let down = Mock::given(method("GET")).respond_with(ResponseTemplate::new(500));
    down.up_to_n_times(1).mount(&server).await;
    let up = Mock::given(method("GET")).respond_with(projects(&[(PROJECT, "cn-north-4")]));
    up.mount(&server).await;
    let client = client_of(&server.uri());
    assert_eq!(
        look_up(&server, &client).await.unwrap_err().class,
        Class::Upstream
    );
    assert_eq!(look_up(&server, &client).await.unwrap(), PROJECT);
}

#[tokio::test]
async fn a_region_that_gives_no_endpoint_is_an_invalid_spec() {
    let template = "https://modelarts.{region}.example";
    let client = client_of(template);
    let target = Target {
        region: "cn north".to_owned(),
        ..target()
    };
    let error = client.poll(&target, &credentials()).await.unwrap_err();
    assert_eq!(error.class, Class::InvalidSpec);
}
