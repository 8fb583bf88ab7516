//! Two sources in two namespaces, with two regions and two credentials, do not meet.

use reqwest::Method;
use serde_json::json;

use super::support::simulator::{ACCESS_KEY, PROJECT, SECRET_KEY, Simulator};
use super::world::{World, pool};

const OTHER_KEY: &str = "OTHERACCESSKEY";
const OTHER_PROJECT: &str = "fedcba9876543210fedcba9876543210";

#[tokio::test]
async fn two_sources_in_two_namespaces_regions_and_accounts_do_not_meet() {
    let world = World::new("apart-one").await;
    world.create_namespace("apart-two").await;
    world
        .put_secret("apart-two", OTHER_KEY, "otherSecretKey")
        .await;
    let account = format!("{OTHER_KEY}:otherSecretKey:{OTHER_PROJECT}:eu-west-101");
    let elsewhere = Simulator::start(&["--pools", "0", "--account", &account]);
    world
        .put_fleet(json!([pool("same-name", 1), pool("only-one", 1)]))
        .await;
    elsewhere
        .control(
            Method::PUT,
            &format!("/fleet?project={OTHER_PROJECT}"),
            json!([pool("same-name", 7)]),
        )
        .await;

    let endpoint = format!("eu-west-101={}", elsewhere.api);
    let flags = ["--watch-namespace", "apart-two", "--endpoint", &endpoint];
    let _controller = world.controller_with(&flags);
    world.create_source("pools", json!({})).await;
    let two: kube::Api<modelarts_pool_controller::api::ModelArtsPoolSource> =
        kube::Api::namespaced(world.client.clone(), "apart-two");
    let mut other = world.sources.get("pools").await.unwrap();
    other.metadata = kube::api::ObjectMeta {
        name: Some("pools".to_owned()),
        ..Default::default()
    };
    other.spec.region = "eu-west-101".to_owned();
    other.spec.project_id = Some(OTHER_PROJECT.to_owned());
    other.status = None;
    two.create(&Default::default(), &other).await.unwrap();

    world.until_ready("pools").await;
    let pools: kube::Api<modelarts_pool_controller::api::ModelArtsPool> =
        kube::Api::namespaced(world.client.clone(), "apart-two");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let theirs = loop {
        let listed = pools.list(&Default::default()).await.unwrap().items;
        if listed
            .iter()
            .any(|it| it.status.as_ref().is_some_and(|it| it.summary.is_some()))
        {
            break listed;
        }
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(super::world::names(&theirs), ["same-name"]);
    let nodes = |pool: &modelarts_pool_controller::api::ModelArtsPool| {
        pool.status
            .as_ref()
            .unwrap()
            .summary
            .as_ref()
            .unwrap()
            .nodes
            .clone()
    };
    assert_eq!(nodes(&theirs[0]), "7/7");
    assert_eq!(nodes(&world.pools.get("same-name").await.unwrap()), "1/1");
    let mine = world.cloud_requests().await;
    assert!(
        mine.iter().all(|it| it["accessKey"] == ACCESS_KEY),
        "{mine:?}"
    );
    let log = elsewhere
        .control(Method::GET, "/requests", json!(null))
        .await;
    assert!(!log.to_string().contains(PROJECT), "{log}");
    assert!(!log.to_string().contains(SECRET_KEY));
}
