//! What pools look like: the starting fleet of a project, drawn from a seed, and a brand-new pool.
//! Pure: no clock and no randomness but the generator it is given.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::{
    accounts::Project,
    changes::{
        Driver, GPU, NPU, broken, coming, creation_failed, driver, next_driver, order, running,
    },
    fleet::{Pool, merge},
};

/// Node flavours, and the driver their accelerator needs; none for CPU nodes.
const FLAVORS: [(&str, Option<Driver>); 6] = [
    ("modelarts.bm.npu.arm.8snt9b3.d", Some(NPU)),
    ("modelarts.vm.gpu.2v100nv16g.16u128g.d", Some(GPU)),
    ("modelarts.vm.cpu.8ud", None),
    ("modelarts.kat1.8xlarge", Some(NPU)),
    ("modelarts.vm.gpu.tnt004", Some(GPU)),
    ("modelarts.vm.cpu.4ud", None),
];

const PURPOSES: [&str; 8] = [
    "llm-pretrain",
    "infer-prod",
    "notebook-lab",
    "vision",
    "speech",
    "recsys",
    "etl",
    "drug-sim",
];

/// A fleet of `count` pools. The first nine after the vendor's sample show one of everything a pool
/// can be; beyond them nine in ten simply run.
pub fn seed(sample: Option<&Value>, project: &Project, count: usize, rng: &mut Rng) -> Vec<Pool> {
    let mut pools: Vec<Pool> = sample
        .into_iter()
        .take(count)
        .cloned()
        .map(Pool::from)
        .collect();
    for index in pools.len()..count {
        let created = format!(
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            rng.u8(1..=9),
            rng.u8(1..=28),
            rng.u8(..24),
            rng.u8(..60),
            rng.u8(..60)
        );
        let mut pool = draw(project, index, &created, rng);
        let plain = running(&pool);
        merge(&mut pool, plain);
        let situation = if index < 10 { index } else { rng.usize(..90) };
        let special = turn(&pool, situation, project, rng);
        merge(&mut pool, special);
        pools.push(Pool::from(pool));
    }
    pools
}

/// A pool whose order has just been placed, with every node still to come.
pub fn draw(project: &Project, index: usize, created: &str, rng: &mut Rng) -> Value {
    let (flavor, accelerator) = FLAVORS[index % FLAVORS.len()];
    let display = format!("{}-{index:02}", PURPOSES[rng.usize(..PURPOSES.len())]);
    let name = format!("{display}-{}", project.id);
    let scopes: &[&str] = [
        &["Train"][..],
        &["Train", "Infer"],
        &["Train", "Infer", "Notebook"],
    ][rng.usize(..3)];
    let nodes = rng.u64(1..=16);
    let az = format!("{}{}", project.name, ["a", "b", "c"][rng.usize(..3)]);
    let prepaid = rng.bool();

    let mut pool = json!({
        "kind": "Pool",
        "apiVersion": "v2",
        "metadata": {
            "name": name,
            "creationTimestamp": created,
            "labels": {
                "os.modelarts/name": display,
                "os.modelarts/workspace.id": "0",
                "os.modelarts/resource.id": format!("maos-{display}-{:05x}", rng.u32(..0x10_0000)),
                "os.modelarts/tenant.domain.id": "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0",
                "os.modelarts/tenant.project.id": project.id,
                "os.modelarts/enterprise.project.id": "0",
                "os.modelarts/node.prefix": "",
                "os.modelarts/create-from": "admin-console",
                "os.modelarts/region": project.name,
                "os.modelarts.pool/biz": "private",
                "os.modelarts/order.name": order(&display, rng),
            },
            "annotations": {
                "os.modelarts/description": format!("simulated pool for {display}"),
                "os.modelarts/billing.mode": if prepaid { "1" } else { "0" },
                "os.modelarts.pool/subpools.count": "0",
                "os.modelarts/flavor.resource.ids": json!({flavor: "maos.flavor.1976103046"}).to_string(),
            },
        },
        "spec": {
            "type": "Dedicate",
            "scope": scopes,
            "resources": [{
                "flavor": flavor,
                "count": nodes,
                "maxCount": nodes,
                "nodePool": format!("{}-default", flavor),
                "azs": [{"az": az, "count": nodes}],
                "extendParams": {"dockerBaseSize": "50", "runtime": "containerd"},
            }],
            "network": {"name": format!("network-maos-{}", project.id)},
            "controlMode": 0,
        },
        "status": {
            "phase": "Creating",
            "root": name,
            "scope": scopes.iter().map(|scope| json!({"scopeType": scope, "state": "Enabling"})).collect::<Vec<_>>(),
        },
    });
    if prepaid {
        let period = json!({
            "os.modelarts/period.num": rng.u8(1..=9).to_string(),
            "os.modelarts/period.type": "2",
            "os.modelarts/auto.renew": rng.u8(..2).to_string(),
            "os.modelarts/order.id": format!("CS26{:010}", rng.u32(..)),
        });
        merge(&mut pool, json!({"metadata": {"annotations": period}}));
    }
    if let Some((kind, versions)) = accelerator {
        merge(
            &mut pool,
            driver(kind, versions[rng.usize(..2)], "Creating"),
        );
    }
    let nodes = coming(&pool);
    merge(&mut pool, nodes);
    pool
}

/// The patch for one of the less plain situations a pool can be in; most numbers leave it running.
fn turn(pool: &Value, situation: usize, project: &Project, rng: &mut Rng) -> Value {
    match situation {
        2 => json!({"spec": {"controlMode": 8}}),
        3 => broken(pool),
        4 => lite(pool, rng),
        5 => coming(pool),
        6 => match next_driver(pool) {
            Some((kind, version)) => driver(kind, version, "Upgrading"),
            None => json!({"spec": {"controlMode": 9}}),
        },
        7 => creation_failed(pool),
        8 => logical(project),
        _ => json!({}),
    }
}

/// A Lite pool hands its nodes to a CCE cluster: it has a VPC of its own and no job types.
fn lite(pool: &Value, rng: &mut Rng) -> Value {
    let cluster = format!("{:032x}", rng.u128(..));
    let name = pool
        .pointer("/metadata/labels/os.modelarts~1name")
        .cloned()
        .unwrap_or_default();
    json!({
        "metadata": {"labels": {"os.modelarts/privileged": "true"}},
        "spec": {
            "scope": null,
            "network": {"name": null, "vpcId": format!("{:032x}", rng.u128(..)), "subnetId": format!("{:032x}", rng.u128(..))},
            "clusters": [{"providerId": cluster, "name": "cce-lite"}],
        },
        "status": {
            "scope": null,
            "clusters": [{"name": name, "version": "v1.28", "type": "CCE", "plugins": [{"name": "npu-device-plugin"}]}],
        },
    })
}

/// A logical pool is a quota inside a physical one and has no nodes of its own.
fn logical(project: &Project) -> Value {
    let parent = format!("shared-{}", project.id);
    json!({
        "spec": {"type": "Logical", "scope": null, "network": null, "driver": null},
        "status": {"parent": parent, "root": parent, "resources": null, "scope": null, "driver": null},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Class;

    fn project() -> Project {
        Project {
            id: "0123456789abcdef0123456789abcdef".into(),
            name: "cn-north-4".into(),
        }
    }

    fn fleet(count: usize, seed_value: u64) -> Vec<Pool> {
        seed(
            Some(&json!({"metadata": {"name": "sample"}})),
            &project(),
            count,
            &mut Rng::with_seed(seed_value),
        )
    }

    #[test]
    fn the_same_seed_gives_the_same_fleet() {
        assert_eq!(fleet(40, 7), fleet(40, 7));
        assert_ne!(fleet(40, 7), fleet(40, 8));
    }

    #[test]
    fn the_sample_comes_first_and_counts() {
        let fleet = fleet(3, 1);
        assert_eq!(fleet.len(), 3);
        assert_eq!(fleet[0].name(), Some("sample"));
    }

    #[test]
    fn every_name_is_its_display_name_and_the_project_and_none_repeats() {
        let names: std::collections::BTreeSet<_> = fleet(300, 1)
            .iter()
            .filter_map(|pool| pool.name().map(str::to_owned))
            .collect();
        assert_eq!(names.len(), 300);
        assert!(
            names
                .iter()
                .filter(|name| *name != "sample")
                .all(|name| name.ends_with(&project().id))
        );
    }

    #[test]
    fn a_fleet_of_ten_shows_a_pool_of_every_class() {
        let fleet = fleet(10, 1);
        for class in [Class::Created, Class::Creating, Class::Failed] {
            assert!(fleet.iter().any(|pool| pool.class() == class), "{class:?}");
        }
    }
}
