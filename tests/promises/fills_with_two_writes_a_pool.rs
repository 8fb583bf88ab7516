//! The first fill of many pools makes two writes a pool and no more. How long it takes is printed
//! beside the time of a bare loop that makes the same writes on the same control plane.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::Api;
use kube::api::PostParams;
use modelarts_pool_controller::api::ModelArtsPool;
use serde_json::{Value, json};

use super::world::{World, pool};

const POOLS: i64 = 2_000;

/// How many writes run at the same time on both sides.
const CONCURRENCY: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_pools_are_mirrored_with_two_writes_each() {
    let mut world = World::new("fill").await;
    let controller = world.controller();
    // The API server takes some seconds for the first write of a kind, whoever makes it.
    let mut first = pool("warm-up", 1);
    first["metadata"]["labels"]["os.modelarts/workspace.id"] = json!("warm");
    world.put_fleet(json!([first])).await;
    let query = json!({"spec": {"query": {"workspaceIds": ["warm"]}}});
    world.create_source("warm-up", query).await;
    world.until_ready("warm-up").await;

    let fleet: Value = (0..POOLS)
        .map(|n| pool(&format!("pool-{n:05}"), 1 + n % 9))
        .collect();
    world.put_fleet(fleet).await;
    world.audit.restart();
    let started = Instant::now();
    world.create_source("pools", json!({})).await;
    let source = loop {
        let source = world.sources.get("pools").await.unwrap();
        if source
            .status
            .as_ref()
            .is_some_and(|it| it.last_sync_time.is_some())
        {
            break source;
        }
        assert!(started.elapsed() < Duration::from_secs(300));
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let filled = started.elapsed();
    assert_eq!(source.status.unwrap().pools, Some(POOLS));
    // The time depends on what else the machine does, and is only printed; the writes do not.
    assert_eq!(world.audit.mirror_writes().len() as i64, 2 * POOLS);
    let memory = resident(controller.pid());
    drop(controller);

    let bare = bare_loop(&world).await;
    let rate = |elapsed: Duration| POOLS as f64 / elapsed.as_secs_f64();
    println!(
        "{POOLS} pools mirrored in {filled:.1?} ({:.0} pools/s); a bare loop of the same writes: {bare:.1?} ({:.0} pools/s); the controller's resident memory: {memory}",
        rate(filled),
        rate(bare)
    );
}

/// Creates the same objects and writes the same statuses in another namespace, and nothing else.
async fn bare_loop(world: &World) -> Duration {
    world.create_namespace("fill-bare").await;
    let pools: Api<ModelArtsPool> = Api::namespaced(world.client.clone(), "fill-bare");
    let mirrors = world.pools.list(&Default::default()).await.unwrap().items;
    let started = Instant::now();
    let writes = mirrors.into_iter().map(|mut mirror| {
        let pools = pools.clone();
        async move {
            let params = PostParams::default();
            let status = mirror.status.take();
            mirror.metadata.namespace = None;
            mirror.metadata.uid = None;
            mirror.metadata.resource_version = None;
            mirror.metadata.managed_fields = None;
            // The garbage collector would take an object whose owner is in another namespace.
            mirror.metadata.owner_references = None;
            let mut created = pools.create(&params, &mirror).await.unwrap();
            created.status = status;
            let name = created.metadata.name.clone().unwrap();
            pools
                .replace_status(&name, &params, &created)
                .await
                .unwrap();
        }
    });
    futures::stream::iter(writes)
        .buffer_unordered(CONCURRENCY)
        .collect::<Vec<()>>()
        .await;
    started.elapsed()
}

/// The resident memory of a process, as the kernel says it.
fn resident(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace()
        .skip(1)
        .collect::<Vec<_>>()
        .join(" ")
}
