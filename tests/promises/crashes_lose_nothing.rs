//! A controller that is killed after any of its writes is continued by the next one: the same end,
//! and hardly a write more.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{World, pool};

const POOLS: usize = 4;

/// How one life of the mirrors ended.
struct End {
    mirrors: Vec<Value>,
    mirror_writes: usize,
    writes: usize,
}

fn fleet() -> Value {
    (1..=POOLS)
        .map(|n| pool(&format!("p{n}"), i64::try_from(n).unwrap()))
        .collect()
}

/// Every mirror as it is in the end, without uids, versions and times.
async fn end(world: &World) -> End {
    let mut mirrors = world.mirrors().await;
    for mirror in &mut mirrors {
        let metadata = mirror["metadata"].as_object_mut().unwrap();
        metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
        let conditions = mirror["status"]["conditions"].as_array_mut().unwrap();
        for condition in conditions {
            let times = condition.as_object_mut().unwrap();
            assert!(times.remove("lastTransitionTime").is_some());
        }
    }
    End {
        mirrors,
        mirror_writes: world.audit.mirror_writes().len(),
        writes: writes(world),
    }
}

fn writes(world: &World) -> usize {
    world.audit.mirror_writes().len() + world.audit.source_writes().len()
}

/// Waits until the controller has made this many writes; the kill that follows may come a little
/// later, which is just another place to be killed at.
fn wait_for_writes(world: &World, wanted: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while writes(world) < wanted {
        assert!(Instant::now() < deadline, "write {wanted} never came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_fill_that_is_killed_after_any_of_its_writes_is_finished_by_the_next_controller() {
    let world = World::new("crash-none").await;
    world.put_fleet(fleet()).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    let undisturbed = end(&world).await;
    assert_eq!(undisturbed.mirrors.len(), POOLS);

    for killed_after in 1..=undisturbed.writes {
        let world = World::new(&format!("crash-{killed_after}")).await;
        world.put_fleet(fleet()).await;
        let controller = world.controller();
        world.create_source("pools", json!({})).await;
        wait_for_writes(&world, killed_after);
        drop(controller);

        let _controller = world.controller();
        world.until_ready("pools").await;
        world.poll("pools").await;
        let crashed = end(&world).await;
        assert_eq!(crashed.mirrors, undisturbed.mirrors, "{killed_after}");
        // All pairs of create and status were interrupted at most: one more write for each.
        let most = undisturbed.mirror_writes + POOLS;
        assert!(
            crashed.mirror_writes <= most,
            "killed after {killed_after}: {:?}",
            world.audit.mirror_writes()
        );
    }
}

#[tokio::test]
async fn an_update_of_every_mirror_that_is_killed_midway_is_finished_without_a_second_write() {
    let mut world = World::new("crash-update").await;
    world.put_fleet(fleet()).await;
    let mut controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;
    for (round, phase) in ["Scaling", "Abnormal", "Running"].into_iter().enumerate() {
        let mut changed = fleet();
        for pool in changed.as_array_mut().unwrap() {
            pool["status"]["phase"] = json!(phase);
        }
        world.put_fleet(changed).await;
        world.audit.restart();
        let token = json!({"metadata": {"annotations":
            {"modelarts.huaweicloud.com/requestedAt": format!("round {round}")}}});
        world.patch_source("pools", token).await;
        wait_for_writes(&world, 1 + round);
        drop(controller);
        controller = world.controller();
        for n in 1..=POOLS {
            world
                .until_pool(&format!("p{n}"), |it| {
                    it.status.as_ref().unwrap().phase.as_deref() == Some(phase)
                })
                .await;
        }
        world.poll("pools").await;
        // A write that was under way when the controller died may meet its successor's, and the
        // API server may have stored it although it could no longer say so.
        let writes = world.audit.mirror_writes();
        let done = writes.iter().filter(|it| it.code == 200).count();
        let abandoned = writes.iter().filter(|it| it.code >= 499).count();
        assert!(done <= POOLS && done + abandoned >= POOLS, "{writes:?}");
    }
    drop(controller);
}
