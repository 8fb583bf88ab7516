//! Sources in two namespaces, with two regions and two credentials, do not meet, and one namespace
//! does not live at the cost of another.

use std::time::{Duration, Instant};

use futures::StreamExt as _;

use reqwest::Method;
use serde_json::json;

use super::support::simulator::{ACCESS_KEY, PROJECT, SECRET_KEY, Simulator};
use super::world::{World, condition, peak_memory, pool};

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
    let log = json!(elsewhere.requests().await);
    assert!(!log.to_string().contains(PROJECT), "{log}");
    assert!(!log.to_string().contains(SECRET_KEY));
}

/// A namespace full of sources, and one of another account that wants its turn.
#[tokio::test]
async fn a_thousand_sources_of_one_namespace_take_no_other_ones_time() {
    const GREEDY: usize = 1000;
    let world = World::new("modest").await;
    world.create_namespace("greedy").await;
    let account = format!("{OTHER_KEY}:otherSecretKey:{OTHER_PROJECT}:eu-west-101");
    let elsewhere = Simulator::start(&["--pools", "1", "--account", &account]);
    world
        .put_secret("greedy", OTHER_KEY, "otherSecretKey")
        .await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let greedy: kube::Api<modelarts_pool_controller::api::ModelArtsPoolSource> =
        kube::Api::namespaced(world.client.clone(), "greedy");
    let create = |n: usize| {
        let source = json!({
            "apiVersion": "modelarts.huaweicloud.com/v1alpha1", "kind": "ModelArtsPoolSource",
            "metadata": {"name": format!("greedy-{n}")},
            "spec": {
                "region": "eu-west-101", "projectId": OTHER_PROJECT, "interval": "10s",
                "credentials": {"secretRef": {"name": "huawei"}},
            },
        });
        let (source, greedy) = (serde_json::from_value(source).unwrap(), &greedy);
        async move { greedy.create(&Default::default(), &source).await.unwrap() }
    };
    let created = futures::stream::iter(0..GREEDY).map(create);
    created.buffer_unordered(16).collect::<Vec<_>>().await;

    let endpoint = format!("eu-west-101={}", elsewhere.api);
    let flags = ["--watch-namespace", "greedy", "--endpoint", &endpoint];
    let controller = world.controller_logging("warn", &flags);
    let requests = async || elsewhere.requests().await.len();
    let deadline = Instant::now() + Duration::from_secs(60);
    while requests().await == 0 {
        assert!(Instant::now() < deadline, "{}", controller.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (begun, asked) = (Instant::now(), requests().await);
    world
        .create_source("pools", json!({"spec": {"interval": "10s"}}))
        .await;
    let source = world.until_ready("pools").await;
    // Behind the others it would wait for more than a minute: they want two calls each, of twenty
    // a second.
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    let first = source.status.unwrap().last_sync_time;
    world
        .until_source("pools", |it| {
            it.status.as_ref().unwrap().last_sync_time > first
        })
        .await;
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(40), "{waited:?}");
    // The budget of an account is twenty calls a second, however many sources it has.
    let calls = requests().await - asked;
    let budget = 20 * (begun.elapsed().as_secs() as usize + 1);
    assert!((1..=budget).contains(&calls), "{calls} of {budget}");
    let other = greedy.get("greedy-0").await.unwrap();
    assert_eq!(condition(&other, "FetchFailed").0, "");
    let peak = peak_memory(controller.pid());
    assert!(peak < 128 << 20, "{} MiB", peak >> 20);
}
