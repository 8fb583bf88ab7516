//! Whatever the endpoint answers, a poll ends in bounded time and memory with a reason, and one bad
//! item costs no other.

use std::process::{Command, Output};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use k8s_openapi::jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::simulator::{ACCESS_KEY, PROJECT, SECRET_KEY, Simulator};
use super::world::{World, condition, message, peak_memory, pool};

/// Runs `list` against an endpoint with more arguments.
fn list(endpoint: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelarts-pool-controller"))
        .args(["list", "--region", "cn-north-4", "--project-id", PROJECT])
        .args(["--endpoint-template", endpoint])
        .args(args)
        .env("HUAWEICLOUD_SDK_AK", ACCESS_KEY)
        .env("HUAWEICLOUD_SDK_SK", SECRET_KEY)
        .env("KUBECONFIG", "/nonexistent")
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .output()
        .unwrap()
}

/// The exit status and the reason that `list` gives against a cloud with this fault.
async fn reason(simulator: &Simulator, fault: Value, args: &[&str]) -> (Option<i32>, String) {
    simulator
        .control(Method::PUT, "/faults", json!([fault]))
        .await;
    said(&list(&simulator.api, args))
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stderr);
    let reason = text.split(':').next().unwrap_or_default();
    (output.status.code(), reason.to_owned())
}

/// Answers everything with this body, for as long as the test's runtime lives.
async fn endpoint(body: Bytes, encoding: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(move || {
        let headers = [
            (CONTENT_TYPE, "application/json"),
            (CONTENT_ENCODING, encoding),
        ];
        std::future::ready((headers, body.clone()))
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_redirect_to_the_metadata_service_is_a_wrong_endpoint() {
    let simulator = Simulator::start(&["--pools", "1"]);
    let location = json!({"location": "http://169.254.169.254/latest/meta-data/"});
    let redirect = json!({"status": 301, "headers": location});
    assert_eq!(
        reason(&simulator, redirect, &[]).await,
        (Some(4), "EndpointNotFound".to_owned())
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_even_to_the_endpoint_itself() {
    let simulator = Simulator::start(&["--pools", "1"]);
    let location = format!("{}/v2/{PROJECT}/pools", simulator.api);
    let redirect = json!({"status": 301, "headers": {"location": location}, "times": 1});
    assert_eq!(
        reason(&simulator, redirect, &[]).await,
        (Some(4), "EndpointNotFound".to_owned())
    );
    assert_eq!(simulator.requests().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gzip_bomb_is_no_list_and_takes_no_more_memory_than_the_largest_list() {
    const EXPANDED: usize = 600 << 20;
    let bomb = Command::new("sh")
        .args(["-c", &format!("head -c {EXPANDED} /dev/zero | gzip -1")])
        .output()
        .unwrap()
        .stdout;
    assert!((1..EXPANDED / 100).contains(&bomb.len()), "{}", bomb.len());
    let mut world = World::new("gzip-bomb").await;
    world.simulator.api = endpoint(bomb.into(), "gzip").await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    let source = world
        .until_source("pools", |it| condition(it, "FetchFailed").0 == "True")
        .await;
    assert_eq!(condition(&source, "FetchFailed").1, "DecodeFailed");
    let log = controller.log();
    assert!(log.contains("larger than"), "{log}");
    // The largest answer that is read is 32 MiB, which a growing buffer may hold twice.
    let peak = peak_memory(controller.pid());
    assert!(peak < 128 << 20, "{} MiB", peak >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_larger_than_the_largest_list_is_no_list() {
    let body = format!(
        "{}{}",
        " ".repeat(80 << 20),
        json!({"kind": "PoolList", "items": []})
    );
    let endpoint = endpoint(body.into(), "identity").await;
    let output = list(&endpoint, &[]);
    assert_eq!(said(&output), (Some(5), "DecodeFailed".to_owned()));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("larger than"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_pools_are_refused_with_the_limit_and_in_little_memory() {
    let list = |items: Vec<Value>| json!({"kind": "PoolList", "items": items}).to_string();
    let many = (0..100_000).map(|n| json!({"metadata": {"name": format!("p{n}")}}));
    let large = (0..100_000).map(|n| pool(&format!("p{n}"), 1));
    let many = endpoint(list(many.collect()).into(), "identity").await;
    let large = endpoint(list(large.collect()).into(), "identity").await;
    let world = World::new("too-many").await;
    let endpoints = [("many", many), ("large", large)]
        .map(|(name, url)| format!("--endpoint=xx-{name}-1={url}"));
    let controller = world.controller_with(&[&endpoints[0], &endpoints[1]]);
    for (name, limit) in [
        ("many", "more than the 10000 pools that one source may have"),
        ("large", "larger than 33554432 bytes"),
    ] {
        let region = json!({"spec": {"region": format!("xx-{name}-1")}});
        world.create_source(name, region).await;
        let failed = |it: &_| condition(it, "FetchFailed").0 == "True";
        let source = world.until_source(name, failed).await;
        assert_eq!(condition(&source, "FetchFailed").1, "DecodeFailed");
        let said = message(&source, "FetchFailed");
        assert!(said.contains(limit) && said.contains("narrow"), "{said}");
    }
    assert_eq!(world.mirrors().await, Vec::<Value>::new());
    let peak = peak_memory(controller.pid());
    assert!(peak < 64 << 20, "{} MiB", peak >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_encoded_as_it_says_is_no_list() {
    let body = json!({"kind": "PoolList", "items": []}).to_string();
    let endpoint = endpoint(body.into(), "gzip").await;
    let said = said(&list(&endpoint, &[]));
    assert_eq!(said, (Some(5), "DecodeFailed".to_owned()));
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up_after_the_timeout() {
    let simulator = Simulator::start(&["--pools", "1"]);
    let drip = json!({"dripBytesPerSecond": 1});
    assert_eq!(
        reason(&simulator, drip, &["--timeout", "1"]).await,
        (Some(5), "UpstreamUnreachable".to_owned())
    );
}

#[tokio::test]
async fn a_list_that_repeats_its_continue_token_ends_at_the_second_page() {
    let simulator = Simulator::start(&["--pools", "0"]);
    let page = json!({"kind": "PoolList", "metadata": {"continue": "again"}, "items": []});
    assert_eq!(
        reason(&simulator, json!({"body": page.to_string()}), &[]).await,
        (Some(5), "DecodeFailed".to_owned())
    );
    assert_eq!(simulator.requests().await.len(), 2);
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_named_and_its_mirror_kept_while_the_others_go_on() {
    let world = World::new("bad-item").await;
    world.put_fleet(json!([pool("a", 1), pool("b", 1)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let kept = world.pools.get("b").await.unwrap();

    let nonsense = json!({"spec": {"resources": [{"flavor": "x", "count": "many"}]}});
    world.patch_pool("b", nonsense).await;
    world
        .patch_pool("a", json!({"status": {"phase": "Abnormal"}}))
        .await;
    // Twice is as often as a pool must be missing before its mirror goes.
    world.poll("pools").await;
    world.poll("pools").await;
    let source = world.poll("pools").await;

    assert_eq!(
        condition(&source, "Ready"),
        ("True".into(), "PartialSuccess".into())
    );
    let conditions = source.status.unwrap().conditions;
    let partial = conditions.iter().find(|it| it.type_ == "PartiallyDecoded");
    let message = &partial.unwrap().message;
    assert!(message.ends_with(": b"), "{message}");
    assert_eq!(world.pools.get("b").await.unwrap(), kept);
    let other = world.pools.get("a").await.unwrap().status.unwrap();
    assert_eq!(other.phase.as_deref(), Some("Abnormal"));
}

#[tokio::test]
async fn text_that_could_deceive_a_reader_reaches_neither_an_object_nor_the_log() {
    let world = World::new("deceptive").await;
    let evil = "two\nlines \u{1b}[2J\u{1b}[31mred\u{9b}0m \u{202e}desrever\u{202c}\0";
    let mut deceptive = pool("a", 1);
    deceptive["metadata"]["labels"]["os.modelarts/name"] = json!(evil);
    world.put_fleet(json!([deceptive])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    // What changes is told and logged, and what cannot be read is named and logged.
    let change = json!({"status": {"phase": evil, "message": evil}});
    world.patch_pool("a", change).await;
    let unreadable = json!({"metadata": {"name": format!("b{evil}")}, "spec": 1});
    let readable = world
        .simulator
        .control(Method::GET, "/fleet/a", Value::Null);
    let readable = readable.await;
    world.put_fleet(json!([readable, unreadable])).await;
    let source = world.poll("pools").await;
    assert_eq!(condition(&source, "PartiallyDecoded").0, "True");

    let mirror = world.pools.get("a").await.unwrap();
    let objects = serde_json::to_value((mirror, source)).unwrap();
    let name = &objects[0]["status"]["metadata"]["displayName"];
    assert!(name.as_str().unwrap().ends_with("desrever"), "{name}");
    let deceives = |c: char| {
        let kept = c == '\n' || c == '\t';
        (c.is_control() && !kept) || matches!(c, '\u{202a}'..='\u{202e}')
    };
    assert_eq!(first_text_with(&objects, &deceives), None);
    let log = controller.log();
    assert!(log.contains("set aside"), "{log}");
    assert_eq!(log.lines().find(|line| line.contains(deceives)), None);
    // A line that begins inside somebody's text could look like one of our own.
    assert_eq!(log.lines().find(|line| line.starts_with("lines ")), None);
}

#[tokio::test]
async fn pool_names_that_could_deceive_end_neither_a_line_of_the_log_nor_in_a_metric() {
    let world = World::new("deceptive-names").await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let controller = world.controller_with(&["--log-format", "json"]);
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let evil = |n: usize, text: &str| pool(&format!("evil{n}{text}"), 1);
    let forged = "evil\n{\"level\":\"ERROR\",\"message\":\"forged\"}\u{1b}[2J\u{202e}";
    let mut changed = pool("a", 1);
    changed["status"]["phase"] = json!(forged);
    world
        .put_fleet(json!([
            changed,
            evil(0, "\n{\"level\":\"ERROR\",\"message\":\"forged\"}"),
            evil(1, "\u{1b}[2J\u{1b}[31m"),
            evil(2, "\u{202e}desrever\u{202c}"),
            evil(3, "\"} modelarts_leader 7\n"),
        ]))
        .await;
    let source = world.poll("pools").await;
    assert_eq!(condition(&source, "PartiallyDecoded").0, "True");
    let log = controller.log();
    let lines = log.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.map(Result::unwrap).collect();
    assert!(lines.iter().all(|it| it["message"] != "forged"), "{log}");
    for told in ["set aside", "transition"] {
        assert!(lines.iter().any(|it| it["message"] == told), "{log}");
    }
    assert!(log.contains("evil"), "{log}");
    let deceives = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}');
    assert_eq!(log.lines().find(|line| line.contains(deceives)), None);
    let metrics = controller.ask("/metrics").await.1;
    assert!(!metrics.contains("evil"), "{metrics}");
    let leaders = metrics
        .lines()
        .filter(|it| it.contains("modelarts_leader 7"));
    assert_eq!(leaders.count(), 0, "{metrics}");
}

/// The first text anywhere in a value that has such a character.
fn first_text_with(value: &Value, wanted: &impl Fn(char) -> bool) -> Option<String> {
    match value {
        Value::String(text) => text.contains(wanted).then(|| text.clone()),
        Value::Array(values) => values.iter().find_map(|it| first_text_with(it, wanted)),
        Value::Object(fields) => fields.values().find_map(|it| first_text_with(it, wanted)),
        _ => None,
    }
}

#[tokio::test]
async fn a_retry_after_that_is_a_date_is_waited_for_and_no_longer() {
    let world = World::new("retry-date").await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let date = Timestamp::now() + Duration::from_secs(12);
    let header = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let throttled = json!({"status": 429, "headers": {"retry-after": header}, "times": 1});
    world.put_faults(json!([throttled])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    let source = world
        .until_source("pools", |it| condition(it, "FetchFailed").0 == "True")
        .await;
    assert_eq!(
        condition(&source, "Throttled"),
        ("True".into(), "Throttled".into())
    );
    // Without the date it would be tried again only after a minute or more.
    world.until_ready("pools").await;
    let second = world.cloud_requests().await[1]["time"].clone();
    let second: Timestamp = second.as_str().unwrap().parse().unwrap();
    assert!(second.as_second() >= date.as_second(), "{second} {date}");
}
