//! A source that names no Secret uses the controller's own identity, where the administrator
//! allows that and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::simulator::{ACCESS_KEY, PROJECT, SECRET_KEY};
use super::world::{World, condition, names, pool};

/// The metadata service of an ECS whose first key pair the cloud no longer knows.
async fn metadata() -> String {
    let issued = Arc::new(AtomicUsize::new(0));
    let key = move || {
        let n = issued.fetch_add(1, Ordering::Relaxed) + 1;
        let credential = json!({"credential": {
            "access": format!("TEMPORARY{n}"), "secret": "temporarySecret",
            "securitytoken": "temporaryToken", "expires_at": "2999-01-01T00:00:00.231000Z",
        }});
        std::future::ready(credential.to_string())
    };
    let router = Router::new()
        .route("/openstack/latest/securitykey", get(key))
        .fallback(|| std::future::ready(StatusCode::NOT_FOUND));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// The world's cloud also knows the second key pair of the metadata service.
async fn world(name: &str) -> World {
    let world = World::new(name).await;
    let projects = json!([{"id": PROJECT, "name": "cn-north-4"}]);
    let accounts = json!([
        {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY, "projects": projects},
        {"accessKey": "TEMPORARY2", "secretKey": "temporarySecret",
         "securityToken": "temporaryToken", "projects": projects},
    ]);
    let control = &world.simulator;
    control.control(Method::PUT, "/accounts", accounts).await;
    world.put_fleet(json!([pool("a", 1)])).await;
    world
}

const NO_SECRET: fn() -> Value = || json!({"spec": {"credentials": null}});

#[tokio::test]
async fn a_listed_namespace_uses_it_and_a_withdrawn_key_pair_is_replaced_once() {
    let world = world("own-identity").await;
    let metadata = metadata().await;
    let controller = world.controller_with(&[
        "--metadata-endpoint",
        &metadata,
        "--ambient-namespace",
        &world.namespace,
    ]);
    world.create_source("pools", NO_SECRET()).await;
    world.until_ready("pools").await;
    world.poll("pools").await;
    let mirrors = world.pools.list(&Default::default()).await.unwrap().items;
    assert_eq!(names(&mirrors), ["a"]);
    let requests = world.cloud_requests().await;
    let refused = requests
        .iter()
        .filter(|it| it["claimedAccessKey"] == "TEMPORARY1")
        .count();
    assert_eq!(refused, 1, "{requests:?}");
    assert!(
        requests
            .iter()
            .all(|it| it["claimedAccessKey"] != ACCESS_KEY)
    );
    let log = controller.log();
    assert!(!log.contains("temporarySecret") && !log.contains("temporaryToken"));
}

#[tokio::test]
async fn any_other_namespace_is_told_to_name_a_secret() {
    let world = world("own-identity-denied").await;
    let metadata = metadata().await;
    let _controller = world.controller_with(&["--metadata-endpoint", &metadata]);
    world.create_source("pools", NO_SECRET()).await;
    let source = world
        .until_source("pools", |it| condition(it, "Ready").0 == "False")
        .await;
    assert_eq!(condition(&source, "Ready").1, "SecretNotFound");
    let conditions = serde_json::to_value(&source.status.unwrap().conditions).unwrap();
    assert!(conditions.to_string().contains("--ambient-namespace"));
    assert!(world.cloud_requests().await.is_empty());
}
