//! Controllers with complementary selectors share the sources of a namespace, and keep their hands
//! off those of the other.

use kube::api::DeleteParams;
use serde_json::json;

use super::world::{Controller, World, pool};

async fn until_knows(controller: &Controller, source: &str) -> String {
    let label = format!("source=\"{source}\"");
    controller
        .until("/metrics", |_, body| body.contains(&label))
        .await
}

#[tokio::test]
async fn each_controller_works_on_the_sources_that_its_selector_matches_and_on_no_others() {
    let mut world = World::new("shared-sources").await;
    let mut of_w = pool("b", 1);
    of_w["metadata"]["labels"]["os.modelarts/workspace.id"] = json!("w");
    world.put_fleet(json!([pool("a", 1), of_w])).await;
    let blue = world.replica("blue", &["--source-selector", "shard=blue"]);
    let rest = world.replica("rest", &["--source-selector", "shard!=blue"]);
    let labelled = json!({"metadata": {"labels": {"shard": "blue"}}});
    world.create_source("of-blue", labelled).await;
    let query = json!({"spec": {"query": {"workspaceIds": ["w"]}}});
    world.create_source("of-rest", query).await;
    world.until_ready("of-blue").await;
    world.until_ready("of-rest").await;

    assert!(!until_knows(&blue, "of-blue").await.contains("of-rest"));
    assert!(!until_knows(&rest, "of-rest").await.contains("of-blue"));
    let touched = |world: &World, replica: &str| {
        let writes = world.audit.writes_of(replica).into_iter();
        let mut names: Vec<String> = writes.map(|it| it.name).collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(touched(&world, "blue"), ["a", "of-blue"]);
    assert_eq!(touched(&world, "rest"), ["b", "of-rest"]);

    // A repair is its own source's business too.
    world.audit.restart();
    let params = DeleteParams::default();
    world.pools.delete("a", &params).await.unwrap();
    world.until_pool("a", |it| it.status.is_some()).await;
    // Once this is acknowledged, so is the repair.
    world.poll("of-blue").await;
    assert_eq!(touched(&world, "rest"), [""; 0]);

    // A source changes hands with its label.
    let relabelled = json!({"metadata": {"labels": {"shard": null}}});
    world.patch_source("of-blue", relabelled).await;
    blue.until("/metrics", |_, body| !body.contains("of-blue"))
        .await;
    world.audit.restart();
    world
        .patch_pool("a", json!({"status": {"phase": "Scaling"}}))
        .await;
    world.poll("of-blue").await;
    assert_eq!(touched(&world, "blue"), [""; 0]);
    assert_eq!(touched(&world, "rest"), ["a", "of-blue"]);
}
