//! The chain as a whole, each place against a stub that behaves as the service does.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::stub::{Seen, Stub, credential, pod_credentials, reply, sts_credentials};
use super::*;

const REGION: &str = "cn-north-4";
/// An hour after [`now`], with the metadata service's fraction.
const IN_AN_HOUR: &str = "2026-01-15T09:30:00.231000Z";
const NO_AGENCY: &str = r#"{"message": "Please configure Cloud Service Agency first"}"#;

fn now() -> Timestamp {
    "2026-01-15T08:30:00Z".parse().unwrap()
}

fn minutes(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

/// Where nothing listens.
fn nowhere() -> Endpoint {
    Endpoint::parse("http://127.0.0.1:9").unwrap()
}

fn try_ambient(set: &[(&str, &str)], metadata: Endpoint) -> anyhow::Result<Ambient> {
    let set: HashMap<String, String> = set
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let lookup = move |name: &str| set.get(name).cloned();
    let url = "http://127.0.0.1:9";
    Ambient::configured(
        lookup,
        Endpoints::new(url, url, [].into())?,
        &Trust::default(),
        metadata,
    )
}

fn ambient(set: &[(&str, &str)]) -> Ambient {
    try_ambient(set, nowhere()).unwrap()
}

/// A directory of this test's own; gone with the value.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ambient-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Everything that a person or a log may come to see of an error.
fn text(error: &PollError) -> String {
    let chain = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    chain.fold(
        format!("{error} {error:?} {}", error.message()),
        |text, cause| format!("{text} {cause} {cause:?}"),
    )
}

/// The error of an answer, after a look for secrets in it.
async fn error(ambient: &Ambient, at: Timestamp) -> PollError {
    let error = ambient.credentials(REGION, at).await.unwrap_err();
    let shown = format!("{} {ambient:?}", text(&error));
    assert!(!shown.contains("canary"), "{shown}");
    error
}

async fn access_key(ambient: &Ambient, at: Timestamp) -> String {
    let credentials = ambient.credentials(REGION, at).await.unwrap();
    let shown = format!("{credentials:?} {ambient:?}");
    assert!(!shown.contains("canary"), "{shown}");
    credentials.access_key
}

/// A pod with Pod Identity whose agent answers as the closure says.
async fn pod(
    answer: impl Fn(&Seen) -> super::stub::Reply + Clone + Send + Sync + 'static,
) -> (Dir, Stub, Ambient) {
    let (dir, stub) = (Dir::new(), Stub::start(answer).await);
    let token = dir.write("token", "canary-first\n");
    let ambient = ambient(&[
        (
            "HC_CONTAINER_CREDENTIALS_FULL_URI",
            &format!("{}/v1/credentials", stub.url),
        ),
        ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
    ]);
    (dir, stub, ambient)
}

// The chain

#[tokio::test]
async fn the_places_are_tried_in_their_order() {
    let dir = Dir::new();
    let token = dir.write("token", "canary-jwt");
    let profile = dir.write("profile", "[basic]\nak = PROFILE\nsk = canary\n");
    let agent = Stub::start(|_| reply(200, pod_credentials("POD", IN_AN_HOUR))).await;
    let sts = Stub::start(|_| reply(200, sts_credentials("STS", IN_AN_HOUR))).await;
    let iam = Stub::start(|seen| match seen.call.as_str() {
        "POST /v3.0/OS-AUTH/id-token/tokens" => (
            201,
            vec![("x-subject-token", "canary-iam")],
            "{}".to_owned(),
        ),
        _ => reply(201, credential("IDTOKEN", IN_AN_HOUR)),
    })
    .await;
    let ecs = Stub::start(|_| reply(200, credential("ECS", IN_AN_HOUR))).await;
    let variables = [
        vec![
            ("HUAWEICLOUD_SDK_AK", "ENV"),
            ("HUAWEICLOUD_SDK_SK", "canary"),
        ],
        vec![
            ("HC_CONTAINER_CREDENTIALS_FULL_URI", agent.url.as_str()),
            ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
        ],
        vec![
            ("HUAWEICLOUD_OIDC_PROVIDER_URN", "iam::a:oidcProvider:p"),
            ("HUAWEICLOUD_OIDC_AGENCY_URN", "iam::a:agency:b"),
            ("HUAWEICLOUD_OIDC_TOKEN_FILE", &token),
            ("HUAWEICLOUD_SDK_STS_ENDPOINT", &sts.url),
        ],
        vec![
            ("HUAWEICLOUD_SDK_IDP_ID", "idp"),
            ("HUAWEICLOUD_SDK_ID_TOKEN_FILE", &token),
            ("HUAWEICLOUD_SDK_IAM_ENDPOINT", &iam.url),
        ],
        vec![("HUAWEICLOUD_SDK_CREDENTIALS_FILE", profile.as_str())],
        vec![],
    ];
    let expected = ["ENV", "POD", "STS", "IDTOKEN", "PROFILE", "ECS"];
    for (first, wanted) in expected.into_iter().enumerate() {
        let set = variables[first..].concat();
        let ambient = try_ambient(&set, Endpoint::parse(&ecs.url).unwrap()).unwrap();
        assert_eq!(access_key(&ambient, now()).await, wanted);
    }
}

#[tokio::test]
async fn a_configured_place_that_fails_is_named_and_not_passed_over() {
    let dir = Dir::new();
    let token = dir.write("token", "canary-jwt");
    let profile = dir.write("profile", "[basic]\nak = PROFILE\nsk = canary\n");
    let refuse = |_: &Seen| {
        reply(
            403,
            r#"{"error_code": "PAP5.0001", "error_msg": "canary", "t": "canary"}"#,
        )
    };
    let service = Stub::start(refuse).await;
    let configured = [
        (
            "CCE Pod Identity",
            vec![
                ("HC_CONTAINER_CREDENTIALS_FULL_URI", service.url.as_str()),
                ("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
            ],
        ),
        (
            "OIDC (STS v5)",
            vec![
                ("HUAWEICLOUD_OIDC_PROVIDER_URN", "p"),
                ("HUAWEICLOUD_OIDC_AGENCY_URN", "a"),
                ("HUAWEICLOUD_OIDC_ID_TOKEN", "canary-jwt"),
                ("HUAWEICLOUD_SDK_STS_ENDPOINT", &service.url),
            ],
        ),
        (
            "OIDC (ID token)",
            vec![
                ("HUAWEICLOUD_SDK_IDP_ID", "idp"),
                ("HUAWEICLOUD_SDK_ID_TOKEN_FILE", &token),
                ("HUAWEICLOUD_SDK_IAM_ENDPOINT", &service.url),
            ],
        ),
    ];
    for (name, mut set) in configured {
        set.push(("HUAWEICLOUD_SDK_CREDENTIALS_FILE", &profile));
        let error = error(&ambient(&set), now()).await;
        assert_eq!(error.class, Class::Authentication);
        let message = error.message();
        assert!(message.starts_with(name), "{message}");
        assert!(message.contains("HTTP 403 PAP5.0001"), "{message}");
    }
}

#[tokio::test]
async fn an_agent_that_is_away_or_broken_is_worth_waiting_for() {
    let (_dir, _stub, broken) = pod(|_| reply(503, "canary")).await;
    assert_eq!(error(&broken, now()).await.class, Class::Upstream);
    let dir = Dir::new();
    let away = ambient(&[
        ("HC_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/"),
        (
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            &dir.write("token", "canary"),
        ),
    ]);
    let error = error(&away, now()).await;
    assert_eq!(error.class, Class::Unreachable);
    assert_eq!(error.message(), "CCE Pod Identity: no connection");
}

#[tokio::test]
async fn nothing_configured_says_what_can_be() {
    let error = error(&ambient(&[]), now()).await;
    assert_eq!(error.class, Class::CredentialsMissing);
    let message = error.message();
    for name in [
        "secretRef",
        "HUAWEICLOUD_SDK_AK",
        "CCE Pod Identity",
        "agency",
    ] {
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn half_a_configuration_is_refused_at_the_start_and_names_what_to_write() {
    let halves = [
        ("HW_ACCESS_KEY", "HW_SECRET_KEY"),
        (
            "HC_CONTAINER_CREDENTIALS_FULL_URI",
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        ),
        (
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "HC_CONTAINER_CREDENTIALS_FULL_URI",
        ),
        (
            "HUAWEICLOUD_OIDC_TOKEN_FILE",
            "HUAWEICLOUD_OIDC_PROVIDER_URN",
        ),
        (
            "HUAWEICLOUD_OIDC_PROVIDER_URN",
            "HUAWEICLOUD_OIDC_AGENCY_URN",
        ),
        ("HUAWEICLOUD_SDK_IDP_ID", "HUAWEICLOUD_SDK_ID_TOKEN_FILE"),
        ("HUAWEICLOUD_SDK_ID_TOKEN_FILE", "HUAWEICLOUD_SDK_IDP_ID"),
    ];
    for (set, missing) in halves {
        let error = try_ambient(&[(set, "canary")], nowhere()).unwrap_err();
        let shown = format!("{error:#} {error:?}");
        assert!(shown.contains(set), "{shown}");
        assert!(shown.contains(&format!("set {missing} to")), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn values_that_no_service_takes_are_refused_at_the_start() {
    let wrong = [
        ("HUAWEICLOUD_OIDC_DURATION_SECONDS", "1h"),
        ("HUAWEICLOUD_OIDC_DURATION_SECONDS", "899"),
        ("HUAWEICLOUD_OIDC_SESSION_NAME", "x"),
        ("HUAWEICLOUD_SDK_STS_ENDPOINT", "sts.example.com"),
        ("HUAWEICLOUD_SDK_IAM_ENDPOINT", "iam.example.com"),
    ];
    for (name, value) in wrong {
        let set = [
            ("HUAWEICLOUD_OIDC_PROVIDER_URN", "p"),
            ("HUAWEICLOUD_OIDC_AGENCY_URN", "a"),
            ("HUAWEICLOUD_OIDC_ID_TOKEN", "t"),
            (name, value),
        ];
        let error = try_ambient(&set, nowhere()).unwrap_err();
        assert!(format!("{error:#}").contains(name), "{error:#}");
    }
}

// What goes over the wire

#[tokio::test]
async fn pod_identity_sends_the_bare_token_of_the_moment() {
    let (dir, stub, ambient) = pod(|seen| {
        let key = seen.header("authorization").unwrap().replace("canary-", "");
        reply(200, pod_credentials(&key, IN_AN_HOUR))
    })
    .await;
    assert_eq!(access_key(&ambient, now()).await, "first");
    dir.write("token", "canary-second");
    assert_eq!(access_key(&ambient, minutes(51)).await, "second");
    let seen = &stub.seen().await[0];
    assert_eq!(seen.call, "POST /v1/credentials");
    assert_eq!(seen.json(), json!({}));
}

#[tokio::test]
async fn sts_gets_what_the_variables_say_once_per_region() {
    let (dir, stub) = (
        Dir::new(),
        Stub::start(|_| reply(200, sts_credentials("STS", IN_AN_HOUR))).await,
    );
    let ambient = ambient(&[
        ("HUAWEICLOUD_OIDC_PROVIDER_URN", "iam::a:oidcProvider:p"),
        ("HUAWEICLOUD_OIDC_AGENCY_URN", "iam::a:agency:b"),
        (
            "HUAWEICLOUD_OIDC_TOKEN_FILE",
            &dir.write("token", "canary-jwt\n"),
        ),
        ("HUAWEICLOUD_OIDC_SESSION_NAME", "pools"),
        ("HUAWEICLOUD_OIDC_DURATION_SECONDS", "900"),
        ("HUAWEICLOUD_OIDC_POLICY_IDS", "one, two"),
        ("HUAWEICLOUD_SDK_STS_ENDPOINT", &stub.url),
    ]);
    for region in [REGION, "eu-west-101", REGION] {
        ambient.credentials(region, now()).await.unwrap();
    }
    assert_eq!(
        stub.calls().await,
        ["POST /v5/agencies/assume-with-oidc"; 2]
    );
    assert_eq!(
        stub.seen().await[0].json(),
        json!({
            "provider_urn": "iam::a:oidcProvider:p", "agency_urn": "iam::a:agency:b",
            "agency_session_name": "pools", "duration_seconds": 900, "id_token": "canary-jwt",
            "policy_ids": ["one", "two"],
        })
    );
}

#[tokio::test]
async fn an_id_token_becomes_an_iam_token_and_that_becomes_credentials() {
    let dir = Dir::new();
    let iam = Stub::start(|seen| match seen.call.as_str() {
        "POST /v3.0/OS-AUTH/id-token/tokens" => (
            201,
            vec![("x-subject-token", "canary-iam")],
            "{}".to_owned(),
        ),
        _ => reply(201, credential("IDTOKEN", IN_AN_HOUR)),
    })
    .await;
    let token = dir.write("token", "canary-jwt");
    let profile = format!(
        "[global]\nak = no\n[basic]\n# a comment\nidp_id = idp\nid_token_file: {token}\nak = no\nsk = no\niam_endpoint = {}\n",
        iam.url
    );
    // From the variables and from a profile, where the pair goes before keys.
    let profile = dir.write("profile", &profile);
    let places = [
        vec![
            ("HUAWEICLOUD_SDK_IDP_ID", "idp"),
            ("HUAWEICLOUD_SDK_ID_TOKEN_FILE", token.as_str()),
            ("HUAWEICLOUD_SDK_IAM_ENDPOINT", &iam.url),
        ],
        vec![("HUAWEICLOUD_SDK_CREDENTIALS_FILE", profile.as_str())],
    ];
    for set in places {
        assert_eq!(access_key(&ambient(&set), now()).await, "IDTOKEN");
        let seen = iam.seen().await;
        let [.., first, second] = seen.as_slice() else {
            panic!("{seen:?}")
        };
        assert_eq!(first.header("x-idp-id"), Some("idp"));
        assert_eq!(first.json()["auth"]["id_token"]["id"], "canary-jwt");
        assert_eq!(second.call, "POST /v3.0/OS-CREDENTIAL/securitytokens");
        let identity = &second.json()["auth"]["identity"];
        assert_eq!(identity["methods"], json!(["token"]));
        assert_eq!(identity["token"]["id"], "canary-iam");
    }
}

#[tokio::test]
async fn an_answer_without_keys_is_an_error_that_shows_nothing_of_it() {
    for body in ["canary", r#"{"credentials": {"accessKeyId": "canary"}}"#] {
        let (_dir, _stub, ambient) = pod(move |_| reply(200, body)).await;
        assert_eq!(error(&ambient, now()).await.class, Class::Decode);
    }
}

// Files

#[tokio::test]
async fn a_missing_or_empty_token_file_is_named() {
    let (dir, _stub, ambient) = pod(|_| reply(200, "")).await;
    dir.write("token", " \n");
    let empty = error(&ambient, now()).await;
    std::fs::remove_file(dir.0.join("token")).unwrap();
    let gone = error(&ambient, minutes(1)).await;
    for (error, what) in [
        (empty, "/token holds no token"),
        (gone, "/token cannot be read"),
    ] {
        assert_eq!(error.class, Class::CredentialsMissing);
        assert!(error.message().ends_with(what), "{}", error.message());
    }
}

#[tokio::test]
async fn a_profile_is_read_anew_each_time() {
    let dir = Dir::new();
    let home = dir.0.display().to_string();
    let ambient = ambient(&[("HOME", &home)]);
    let missing = error(&ambient, now()).await;
    assert!(missing.message().starts_with("no credentials"));
    let file = ".huaweicloud/credentials";
    dir.write(file, "[basic]\nAK = one\nsk = canary\n");
    assert_eq!(access_key(&ambient, now()).await, "one");
    dir.write(
        file,
        "[basic]\nak = two\nsk = canary\nsecurity_token = canary\n",
    );
    assert_eq!(access_key(&ambient, now()).await, "two");
}

#[tokio::test]
async fn a_profile_that_cannot_be_used_is_named_and_not_quoted() {
    let dir = Dir::new();
    for profile in [
        "[basic]\nak = canary\n",
        "[global]\nak = canary\nsk = canary\n",
        "[basic]\nregion = canary",
        "[basic]\nak = canary canary\nsk = canary\n",
    ] {
        let path = dir.write("profile", profile);
        let ambient = ambient(&[("HUAWEICLOUD_SDK_CREDENTIALS_FILE", &path)]);
        let error = error(&ambient, now()).await;
        assert_eq!(error.class, Class::CredentialsMissing, "{profile}");
        assert!(error.message().contains(&path), "{}", error.message());
    }
    let gone = ambient(&[("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "/nonexistent/file")]);
    assert!(
        error(&gone, now())
            .await
            .message()
            .contains("/nonexistent/file")
    );
}

// The metadata service

/// One ECS, as its metadata service knows it.
struct Ecs {
    /// How the service answers who asks for a token.
    token_status: u16,
    tokens: usize,
    /// The token that is demanded; none, where credentials are given without.
    demanded: Option<String>,
    /// What is answered instead of credentials.
    failure: Option<(u16, &'static str)>,
    key: &'static str,
    expires: String,
}

async fn ecs() -> (Arc<Mutex<Ecs>>, Stub, Ambient) {
    let state = Arc::new(Mutex::new(Ecs {
        token_status: 200,
        tokens: 0,
        demanded: None,
        failure: None,
        key: "FIRST",
        expires: IN_AN_HOUR.to_owned(),
    }));
    let shared = Arc::clone(&state);
    let stub = Stub::start(move |seen| {
        let mut ecs = shared.lock().unwrap();
        if seen.call.starts_with("PUT") {
            assert_eq!(seen.header("x-metadata-token-ttl-seconds"), Some("21600"));
            if ecs.token_status == 200 {
                ecs.tokens += 1;
                ecs.demanded = Some(format!("canary-{}", ecs.tokens));
            }
            return reply(ecs.token_status, ecs.demanded.clone().unwrap_or_default());
        }
        match ecs.failure {
            Some((status, body)) => reply(status, body),
            None if ecs.demanded.as_deref() == seen.header("x-metadata-token") => {
                reply(200, credential(ecs.key, &ecs.expires))
            }
            None => reply(401, "canary"),
        }
    })
    .await;
    let ambient = try_ambient(&[], Endpoint::parse(&stub.url).unwrap()).unwrap();
    (state, stub, ambient)
}

const PUT_TOKEN: &str = "PUT /meta-data/latest/api/token";
const GET_KEY: &str = "GET /openstack/latest/securitykey";

#[tokio::test]
async fn a_refused_metadata_token_is_renewed_once() {
    let (state, stub, ambient) = ecs().await;
    assert_eq!(access_key(&ambient, now()).await, "FIRST");
    {
        let mut ecs = state.lock().unwrap();
        ecs.demanded = Some("another".to_owned());
        ecs.key = "SECOND";
        ecs.expires = "2026-01-15T10:30:00Z".to_owned();
    }
    assert_eq!(access_key(&ambient, minutes(51)).await, "SECOND");
    assert_eq!(
        stub.calls().await,
        [PUT_TOKEN, GET_KEY, GET_KEY, PUT_TOKEN, GET_KEY]
    );
    state.lock().unwrap().failure = Some((401, "canary"));
    let error = error(&ambient, minutes(121)).await;
    assert_eq!(error.class, Class::Authentication);
    assert!(
        error
            .message()
            .starts_with("ECS metadata agency: refused with HTTP 401")
    );
    assert_eq!(stub.calls().await[5..], [GET_KEY, PUT_TOKEN, GET_KEY]);
}

#[tokio::test]
async fn metadata_without_tokens_is_used_without_and_asked_for_one_a_day_later() {
    for status in [404, 405, 503] {
        let (state, stub, ambient) = ecs().await;
        {
            let mut ecs = state.lock().unwrap();
            ecs.token_status = status;
            ecs.expires = "2026-01-17T08:30:00.231000Z".to_owned();
        }
        assert_eq!(access_key(&ambient, now()).await, "FIRST");
        let credentials = ambient.credentials(REGION, now()).await.unwrap();
        assert!(ambient.refused(&credentials, minutes(23 * 60)));
        access_key(&ambient, minutes(23 * 60)).await;
        assert_eq!(stub.calls().await, [PUT_TOKEN, GET_KEY, GET_KEY]);
        assert!(ambient.refused(&credentials, minutes(25 * 60)));
        access_key(&ambient, minutes(25 * 60)).await;
        assert_eq!(stub.calls().await[3..], [PUT_TOKEN, GET_KEY]);
    }
}

#[tokio::test]
async fn an_ecs_without_an_agency_is_told_from_a_refusal() {
    let (state, stub, ambient) = ecs().await;
    state.lock().unwrap().failure = Some((401, NO_AGENCY));
    let error = error(&ambient, now()).await;
    assert_eq!(error.class, Class::CredentialsMissing);
    let message = error.message();
    assert!(
        message.starts_with("ECS metadata agency: this node has no agency"),
        "{message}"
    );
    assert_eq!(stub.calls().await, [PUT_TOKEN, GET_KEY]);
}

#[tokio::test]
async fn metadata_that_knows_no_keys_is_no_ecs_until_it_gave_some() {
    let (state, _stub, ambient) = ecs().await;
    state.lock().unwrap().failure = Some((404, "canary"));
    let missing = error(&ambient, now()).await;
    assert!(missing.message().starts_with("no credentials"));
    state.lock().unwrap().failure = None;
    assert_eq!(access_key(&ambient, minutes(1)).await, "FIRST");
    state.lock().unwrap().failure = Some((404, "canary"));
    assert_eq!(access_key(&ambient, minutes(58)).await, "FIRST");
    let failed = error(&ambient, minutes(61)).await;
    assert!(failed.message().starts_with("ECS metadata agency"));
}

// Refreshing

#[tokio::test]
async fn many_callers_at_once_make_one_refresh() {
    let (_dir, stub, ambient) = pod(|_| reply(200, pod_credentials("POD", IN_AN_HOUR))).await;
    for at in [now(), minutes(51)] {
        let callers = (0..20).map(|_| access_key(&ambient, at));
        let keys = futures::future::join_all(callers).await;
        assert!(keys.iter().all(|key| key == "POD"));
    }
    assert_eq!(stub.calls().await.len(), 2);
    let (_dir, stub, ambient) = pod(|_| reply(500, "canary")).await;
    let callers = (0..20).map(|_| error(&ambient, now()));
    futures::future::join_all(callers).await;
    assert_eq!(stub.calls().await.len(), 1);
}

#[tokio::test]
async fn nobody_with_good_keys_waits_for_a_refresh() {
    let cache = Cache::default();
    let key = || ("test", String::new());
    let body = pod_credentials("OLD", IN_AN_HOUR).to_string();
    let old = async { parse::issued("test", body.as_bytes()) };
    cache.get(key(), now(), old).await.unwrap();
    let stuck = cache.get(key(), minutes(51), std::future::pending());
    futures::pin_mut!(stuck);
    assert!(futures::poll!(&mut stuck).is_pending());
    let other = cache.get(key(), minutes(51), std::future::pending());
    assert_eq!(other.await.unwrap().access_key, "OLD");
}

#[tokio::test]
async fn a_failed_refresh_is_an_error_once_the_old_keys_have_expired() {
    let healthy = Arc::new(Mutex::new(true));
    let shared = Arc::clone(&healthy);
    let (_dir, stub, ambient) = pod(move |_| match *shared.lock().unwrap() {
        true => reply(200, pod_credentials("POD", "2026-01-15T09:30:00Z")),
        false => reply(500, "canary"),
    })
    .await;
    access_key(&ambient, now()).await;
    // Not before a quarter of the life, and no more than ten minutes, is left.
    access_key(&ambient, minutes(49)).await;
    assert_eq!(stub.calls().await.len(), 1);
    *healthy.lock().unwrap() = false;
    // At most once a minute.
    for seconds in [0, 10, 59, 60] {
        let at = minutes(50) + SignedDuration::from_secs(seconds);
        assert_eq!(access_key(&ambient, at).await, "POD");
    }
    assert_eq!(stub.calls().await.len(), 3);
    // A minute early, because a poll takes time.
    let last = minutes(59) - SignedDuration::from_secs(1);
    assert_eq!(access_key(&ambient, last).await, "POD");
    let expired = error(&ambient, minutes(59)).await;
    assert_eq!(expired.class, Class::Upstream);
    assert!(expired.message().starts_with("CCE Pod Identity"));
    assert_eq!(stub.calls().await.len(), 4);
    assert_eq!(error(&ambient, minutes(60)).await.class, Class::Upstream);
    assert_eq!(stub.calls().await.len(), 5);
}

#[tokio::test]
async fn keys_that_come_expired_are_not_used() {
    let (_dir, _stub, ambient) = pod(|_| reply(200, pod_credentials("POD", IN_AN_HOUR))).await;
    let error = error(&ambient, minutes(61)).await;
    assert!(error.message().contains("clock"), "{}", error.message());
}

#[tokio::test]
async fn refused_keys_are_replaced_once_and_not_again_within_a_minute() {
    let count = Arc::new(AtomicUsize::new(0));
    let (_dir, stub, ambient) = pod(move |_| {
        let key = format!("KEY{}", count.fetch_add(1, Ordering::Relaxed));
        reply(200, pod_credentials(&key, IN_AN_HOUR))
    })
    .await;
    let first = ambient.credentials(REGION, now()).await.unwrap();
    assert!(ambient.refused(&first, now()));
    let second = ambient.credentials(REGION, now()).await.unwrap();
    assert_eq!(second.access_key, "KEY1");
    // Another source that still had the first pair goes on with the second.
    assert!(ambient.refused(&first, now()));
    assert_eq!(access_key(&ambient, now()).await, "KEY1");
    assert!(!ambient.refused(&second, now()));
    assert_eq!(access_key(&ambient, now()).await, "KEY1");
    assert_eq!(stub.calls().await.len(), 2);
    assert_eq!(access_key(&ambient, minutes(1)).await, "KEY2");
}

#[tokio::test]
async fn refused_keys_that_cannot_be_replaced_are_not_used_again() {
    let healthy = Arc::new(Mutex::new(true));
    let shared = Arc::clone(&healthy);
    let (_dir, _stub, ambient) = pod(move |_| match *shared.lock().unwrap() {
        true => reply(200, pod_credentials("POD", IN_AN_HOUR)),
        false => reply(403, "canary"),
    })
    .await;
    let credentials = ambient.credentials(REGION, now()).await.unwrap();
    *healthy.lock().unwrap() = false;
    assert!(ambient.refused(&credentials, now()));
    let error = error(&ambient, now()).await;
    assert_eq!(error.class, Class::Authentication);
}

#[tokio::test]
async fn keys_that_nobody_issues_anew_are_not_asked_for_again() {
    let ambient = ambient(&[("HW_ACCESS_KEY", "AK"), ("HW_SECRET_KEY", "canary")]);
    let credentials = ambient.credentials(REGION, now()).await.unwrap();
    assert!(!ambient.refused(&credentials, now()));
    assert_eq!(access_key(&ambient, now()).await, "AK");
}

#[tokio::test]
async fn who_issues_keys_stands_for_them_while_they_change() {
    let (_dir, _stub, ambient) = pod(|_| reply(200, pod_credentials("POD", IN_AN_HOUR))).await;
    let credentials = ambient.credentials(REGION, now()).await.unwrap();
    assert_eq!(credentials.identity(), "CCE Pod Identity");
}
