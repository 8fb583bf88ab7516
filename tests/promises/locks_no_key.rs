//! A wrong secret key never locks its access key, however many sources use it and whatever keeps
//! rewriting the Secret; the right one is let in at once.

use serde_json::{Value, json};

use super::support::simulator::{ACCESS_KEY, SECRET_KEY, Simulator};
use super::world::{World, condition};

const SOURCES: usize = 10;

/// The calls with this access key that the cloud refused.
async fn refused(world: &World) -> Vec<Value> {
    let mut requests = world.cloud_requests().await;
    requests.retain(|it| it["claimedAccessKey"] == ACCESS_KEY && it["status"] != 200);
    requests
}

async fn assert_not_locked(simulator: &Simulator) {
    let answer = simulator.list(&[("workspaceId", "0")]).await.unwrap();
    assert_eq!(answer.status(), 200);
}

async fn until_all(world: &World, reason: &str) {
    for n in 0..SOURCES {
        world
            .until_source(&format!("pools-{n}"), |it| {
                condition(it, "Ready").1 == reason
            })
            .await;
    }
}

#[tokio::test]
async fn ten_sources_with_one_wrong_pair_do_not_lock_the_key_and_recover_with_the_secret() {
    let world = World::new("one-wrong-pair").await;
    // As slow as a real cloud, so that the sources ask before the first of them is refused.
    world.put_faults(json!([{"delayMs": 300}])).await;
    world
        .put_secret(&world.namespace, ACCESS_KEY, "wrong")
        .await;
    let _controller = world.controller();
    for n in 0..SOURCES {
        world.create_source(&format!("pools-{n}"), json!({})).await;
    }
    until_all(&world, "AuthenticationFailed").await;
    let attempts = refused(&world).await;
    assert_eq!(attempts.len(), 1, "{attempts:?}");

    world
        .put_secret(&world.namespace, ACCESS_KEY, SECRET_KEY)
        .await;
    for n in 0..SOURCES {
        world.poll(&format!("pools-{n}")).await;
    }
    until_all(&world, "Succeeded").await;
    assert_eq!(refused(&world).await.len(), 1);
}

#[tokio::test]
async fn a_corrected_secret_is_noticed_without_being_asked_to_look() {
    let world = World::new("corrected").await;
    world
        .put_secret(&world.namespace, ACCESS_KEY, "wrong")
        .await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world
        .until_source("pools", |it| {
            condition(it, "Ready").1 == "AuthenticationFailed"
        })
        .await;
    world
        .put_secret(&world.namespace, ACCESS_KEY, SECRET_KEY)
        .await;
    world.until_ready("pools").await;
    assert_eq!(refused(&world).await.len(), 1);
}

#[tokio::test]
async fn ten_sources_with_ten_wrong_pairs_of_one_key_do_not_lock_it() {
    let world = World::new("ten-wrong-pairs").await;
    world.put_faults(json!([{"delayMs": 300}])).await;
    let _controller = world.controller();
    for n in 0..SOURCES {
        let secret = format!("huawei-{n}");
        let wrong = format!("wrong-{n}");
        world
            .put_named_secret(
                &secret,
                json!({"accessKey": ACCESS_KEY, "secretKey": wrong}),
            )
            .await;
        let credentials = json!({"spec": {"credentials": {"secretRef": {"name": secret}}}});
        world
            .create_source(&format!("pools-{n}"), credentials)
            .await;
    }
    until_all(&world, "AuthenticationFailed").await;
    for n in 0..SOURCES {
        world.poll(&format!("pools-{n}")).await;
    }
    let attempts = refused(&world).await;
    assert!(attempts.len() <= 3, "{attempts:?}");
    assert_not_locked(&world.simulator).await;
}

#[tokio::test]
async fn a_tool_that_keeps_writing_other_wrong_keys_does_not_lock_the_key() {
    let world = World::new("rewritten").await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    for n in 0..8 {
        world
            .put_secret(&world.namespace, ACCESS_KEY, &format!("wrong-{n}"))
            .await;
        let source = world.poll("pools").await;
        assert_eq!(condition(&source, "Ready").1, "AuthenticationFailed");
    }
    let attempts = refused(&world).await;
    assert_eq!(attempts.len(), 3, "{attempts:?}");
    assert_not_locked(&world.simulator).await;
}
