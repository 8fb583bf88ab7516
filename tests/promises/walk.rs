//! Both kinds in every state in which people and tools meet them, as the real controller wrote them
//! to the real API server. One walk serves all tests that look at them.

use futures::TryStreamExt as _;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, WatchEvent, WatchParams};
use modelarts_pool_controller::api::ModelArtsPool;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::support::simulator::ACCESS_KEY;
use super::world::{World, condition, pool};

pub const POOL: &str = "ModelArtsPool";
pub const SOURCE: &str = "ModelArtsPoolSource";

/// An object in one state.
#[derive(Debug)]
pub struct Seen {
    pub kind: &'static str,
    pub state: &'static str,
    /// As the API server answered.
    pub object: Value,
    /// The same without what differs from one run to the next.
    pub settled: Value,
}

/// Every state of both kinds, each once.
pub async fn walked() -> &'static [Seen] {
    static WALKED: OnceCell<Vec<Seen>> = OnceCell::const_new();
    WALKED
        .get_or_init(|| async {
            let (life, outage, suspension, refusal) =
                tokio::join!(life(), outage(), suspension(), refusal());
            life.into_iter()
                .chain(outage)
                .chain(suspension)
                .chain(refusal)
                .collect()
        })
        .await
}

/// The object of a state, settled.
pub async fn settled(kind: &str, state: &str) -> &'static Value {
    let seen = walked().await.iter();
    let mut found = seen.filter(|it| (it.kind, it.state) == (kind, state));
    &found.next().unwrap().settled
}

const SOURCE_NAME: &str = "cn-north-4";
const POOL_NAME: &str = "llm-pretrain";

/// From creation to deletion, with a cloud that answers.
async fn life() -> Vec<Seen> {
    let world = World::new("walk-life").await;
    world.put_fleet(json!([fleet_pool()])).await;
    world.patch_pool(POOL_NAME, creating()).await;
    world.create_source(SOURCE_NAME, json!({})).await;
    let mut seen = vec![see(&world, SOURCE, "new")];
    // A mirror is without a status for less than a second.
    let kind = ApiResource::erase::<ModelArtsPool>(&());
    let pools: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &world.namespace, &kind);
    let mut changes = Box::pin(pools.watch(&WatchParams::default(), "0").await.unwrap());
    let controller = world.controller();
    let first = loop {
        if let WatchEvent::Added(object) = changes.try_next().await.unwrap().unwrap() {
            break serde_json::to_value(object).unwrap();
        }
    };
    seen.push(seen_as(&world, POOL, "new", first));
    world.until_ready(SOURCE_NAME).await;
    seen.push(see(&world, POOL, "working"));

    for (state, change) in [
        ("ready", running(2, "Running")),
        ("upgrading", running(2, "Upgrading")),
        ("short", running(1, "Running")),
        ("abnormal", json!({"status": {"phase": "Abnormal"}})),
        ("failed", json!({"status": {"phase": "CreationFailed"}})),
        ("unheard-of", json!({"status": {"phase": "Hibernating"}})),
    ] {
        world.patch_pool(POOL_NAME, change).await;
        world.poll(SOURCE_NAME).await;
        seen.push(see(&world, POOL, state));
    }
    world.patch_pool(POOL_NAME, running(2, "Running")).await;
    world.poll(SOURCE_NAME).await;
    seen.push(see(&world, SOURCE, "ready"));

    world.put_faults(server_error()).await;
    world.poll(SOURCE_NAME).await;
    seen.push(see(&world, SOURCE, "hiccup"));
    world.put_faults(json!([])).await;
    world.put_fleet(json!([])).await;
    world
        .until_source(SOURCE_NAME, |it| condition(it, "FetchFailed").0.is_empty())
        .await;
    for _ in 0..2 {
        world.poll(SOURCE_NAME).await;
    }
    seen.push(see(&world, SOURCE, "blocked"));
    seen.push(see(&world, POOL, "not-listed"));

    drop(controller);
    let change = json!({"spec": {"interval": "20m"}});
    world.patch_source(SOURCE_NAME, change).await;
    seen.push(see(&world, SOURCE, "changed"));
    for (kind, name) in [(POOL, POOL_NAME), (SOURCE, SOURCE_NAME)] {
        let kubectl = |args: &[&str]| {
            let object = [kind, name, "-n", &world.namespace];
            world.cluster.kubectl(&[args, &object].concat());
        };
        let finalizers = |names: Value| json!({"metadata": {"finalizers": names}}).to_string();
        let hold = finalizers(json!(["example.com/finalizer"]));
        kubectl(&["patch", "--type=merge", "-p", &hold]);
        kubectl(&["delete", "--wait=false"]);
        seen.push(see(&world, kind, "deleted"));
        kubectl(&["patch", "--type=merge", "-p", &finalizers(json!(null))]);
    }
    seen
}

/// A cloud that fails for a while, and then for too long.
async fn outage() -> Vec<Seen> {
    let world = World::new("walk-outage").await;
    world.put_fleet(json!([fleet_pool()])).await;
    world.put_faults(server_error()).await;
    world.create_source(SOURCE_NAME, shortest()).await;
    let _controller = world.controller();
    world
        .until_source(SOURCE_NAME, |it| condition(it, "Reconciling").0 == "True")
        .await;
    let mut seen = vec![see(&world, SOURCE, "working")];
    world.put_faults(json!([])).await;
    world.poll(SOURCE_NAME).await;
    world.until_ready(SOURCE_NAME).await;
    world.put_faults(server_error()).await;
    until_stale(&world).await;
    world
        .until_source(SOURCE_NAME, |it| condition(it, "Ready").0 == "False")
        .await;
    seen.push(see(&world, SOURCE, "stale"));
    seen.push(see(&world, POOL, "stale"));
    seen
}

/// A source that a person has suspended, and its mirror, which grows old.
async fn suspension() -> Vec<Seen> {
    let world = World::new("walk-suspension").await;
    world.put_fleet(json!([fleet_pool()])).await;
    world.create_source(SOURCE_NAME, shortest()).await;
    let _controller = world.controller();
    world.until_ready(SOURCE_NAME).await;
    let suspend = json!({"spec": {"suspend": true}});
    world.patch_source(SOURCE_NAME, suspend).await;
    until_stale(&world).await;
    [SOURCE, POOL]
        .map(|kind| see(&world, kind, "suspended"))
        .into()
}

/// A key that the cloud refuses.
async fn refusal() -> Vec<Seen> {
    let world = World::new("walk-refusal").await;
    world
        .put_secret(&world.namespace, ACCESS_KEY, "not the secret key")
        .await;
    world.create_source(SOURCE_NAME, json!({})).await;
    let _controller = world.controller();
    world
        .until_source(SOURCE_NAME, |it| condition(it, "Stalled").0 == "True")
        .await;
    vec![see(&world, SOURCE, "failed")]
}

async fn until_stale(world: &World) {
    let stale = ("Unknown".to_owned(), "Stale".to_owned());
    world
        .until_pool(POOL_NAME, |it| condition(it, "Ready") == stale)
        .await;
}

fn see(world: &World, kind: &'static str, state: &'static str) -> Seen {
    let name = if kind == POOL { POOL_NAME } else { SOURCE_NAME };
    let get = ["get", kind, name, "-n", &world.namespace, "-o", "json"];
    let object = serde_json::from_str(&world.cluster.kubectl(&get)).unwrap();
    seen_as(world, kind, state, object)
}

fn seen_as(world: &World, kind: &'static str, state: &'static str, object: Value) -> Seen {
    let mut settled = object.clone();
    settle(&mut settled, &world.simulator.api);
    let metadata = settled["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| !["uid", "resourceVersion", "managedFields"].contains(&key.as_str()));
    metadata["namespace"] = json!("demo");
    for owner in metadata.get_mut("ownerReferences").into_iter() {
        owner[0]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    }
    // The walk's own requests to poll are no part of the state.
    if kind == SOURCE {
        metadata.remove("annotations");
        let status = settled["status"].as_object_mut().unwrap();
        status.remove("lastHandledReconcileAt");
    }
    Seen {
        kind,
        state,
        object,
        settled,
    }
}

const USUAL_ENDPOINT: &str = "https://modelarts.cn-north-4.myhuaweicloud.com";

/// Gives every time the same value, and the endpoint its usual one.
fn settle(value: &mut Value, endpoint: &str) {
    match value {
        Value::String(text) => {
            let settled = |word: &str| {
                let time = word.trim_end_matches([',', ';']);
                match time.parse::<Timestamp>() {
                    Ok(_) => word.replace(time, "2026-01-01T00:00:00Z"),
                    Err(_) => word.replace(endpoint, USUAL_ENDPOINT),
                }
            };
            *text = text.split(' ').map(settled).collect::<Vec<_>>().join(" ");
        }
        Value::Array(values) => values.iter_mut().for_each(|it| settle(it, endpoint)),
        Value::Object(fields) => fields.values_mut().for_each(|it| settle(it, endpoint)),
        _ => {}
    }
}

fn fleet_pool() -> Value {
    let mut fleet_pool = pool(POOL_NAME, 2);
    fleet_pool["spec"]["resources"][0]["flavor"] = json!(FLAVOR);
    fleet_pool["status"] = running(2, "Running")["status"].take();
    fleet_pool
}

fn creating() -> Value {
    json!({"status": {
        "phase": "Creating",
        "scope": [{"scopeType": "Train", "state": "Enabling"}],
        "driver": {"npu": {"state": "Creating"}},
        "resources": {"creating": [{"flavor": FLAVOR, "count": 2}], "available": []},
    }})
}

/// The pool of two nodes at work, of which so many can be used.
fn running(available: i64, driver: &str) -> Value {
    json!({"status": {
        "phase": "Running", "root": POOL_NAME,
        "scope": [{"scopeType": "Train", "state": "Enabled"}],
        "driver": {"npu": {"version": "23.0.6", "state": driver}},
        "resources": {
            "creating": [],
            "available": [{"flavor": FLAVOR, "count": available}],
            "abnormal": [{"flavor": FLAVOR, "count": 2 - available}],
        },
    }})
}

const FLAVOR: &str = "modelarts.bm.npu.arm.8snt9b3.d";

/// The shortest times that a spec may have.
fn shortest() -> Value {
    json!({"spec": {"interval": "10s", "staleAfter": "10s"}})
}

fn server_error() -> Value {
    json!([{"status": 500, "body": "{}"}])
}
