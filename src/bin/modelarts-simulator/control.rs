//! The other door: how tests and people look at the simulated cloud, change it and break it.
//! It is not part of the API being simulated and asks for no key.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    accounts::Account,
    cloud::{Settings, Shared},
    faults::Fault,
    fleet::{self, Pool, merge},
};

/// Printed by `--help` and by `GET /`.
pub const MANUAL: &str = r#"CONTROL API (JSON, on the control address; ?project=ID picks a project, the first is the default)
  GET    /fleet               every pool of the project, as PUT takes it
  PUT    /fleet               replace all: [pool, …] or {"pools":[…]}; a pool may be any JSON at all
  GET    /fleet/{name}        one pool
  PUT    /fleet/{name}        add or replace one pool
  PATCH  /fleet/{name}        JSON merge patch of one pool
  DELETE /fleet/{name}        remove one pool at once
  POST   /seed                {"pools":N,"seed":S}: start every fleet and its life again
  GET PUT DELETE /faults      [{"match":{"path":"/v2","query":{"status":"failed"},"accessKey":"AK"},"times":2, …}, …]
         the first that matches strikes; "times" absent: until cleared; a null query value: parameter absent.
         "status", "headers", "body" (raw text) replace the answer; "delayMs", "truncateAt" (bytes; the length is
         declared in full), "reset", "hang", "dripBytesPerSecond" harm it on its way.
  GET DELETE /requests        [{"seq","time","method","path","query":[[k,v]],"accessKey" (proven or null),
                              "claimedAccessKey","status" (null: none was sent),"requestId"}, …]
  GET PUT /settings           {"pageSize":null|n,"clockOffsetSeconds":0,"lifePaused":false}; PUT merges
  PUT    /accounts            replace the key pairs and open all locks, as --accounts-file

A pool's list follows status.phase (Creating and Waiting: creating; CreationFailed: failed; else created) unless the
pool has "simulator.class": "created" | "creating" | "failed", which the API itself never shows.
"#;

pub fn router(cloud: Shared) -> Router {
    Router::new()
        .route("/", get(MANUAL))
        .route("/fleet", get(show_fleet).put(replace_fleet))
        .route(
            "/fleet/{name}",
            get(show_pool)
                .put(put_pool)
                .patch(patch_pool)
                .delete(remove_pool),
        )
        .route("/seed", post(seed))
        .route(
            "/faults",
            get(show_faults).put(script_faults).delete(clear_faults),
        )
        .route("/requests", get(show_requests).delete(forget_requests))
        .route("/settings", get(show_settings).put(change_settings))
        .route("/accounts", put(replace_accounts))
        .with_state(cloud)
}

type Answer = Result<Json<Value>, (StatusCode, String)>;

#[derive(Deserialize)]
struct Scope {
    project: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    pools: usize,
    seed: u64,
}

async fn show_fleet(State(cloud): State<Shared>, Query(scope): Query<Scope>) -> Answer {
    with_pools(&cloud, &scope, |pools| {
        Ok(pools.iter().map(Pool::to_control).collect())
    })
}

async fn replace_fleet(
    State(cloud): State<Shared>,
    Query(scope): Query<Scope>,
    Json(body): Json<Value>,
) -> Answer {
    let items = match body {
        Value::Array(items) => items,
        Value::Object(mut object) => match object.remove("pools") {
            Some(Value::Array(items)) => items,
            _ => return Err(bad_request("expected {\"pools\":[…]}")),
        },
        _ => return Err(bad_request("expected an array of pools")),
    };
    let replacement = items
        .into_iter()
        .map(Pool::from_control)
        .collect::<Result<Vec<_>, _>>()
        .map_err(bad_request)?;
    with_pools(&cloud, &scope, |pools| {
        *pools = replacement;
        Ok(json!({"pools": pools.len()}))
    })
}

async fn show_pool(
    State(cloud): State<Shared>,
    Path(name): Path<String>,
    Query(scope): Query<Scope>,
) -> Answer {
    with_pools(
        &cloud,
        &scope,
        |pools| Ok(named(pools, &name)?.to_control()),
    )
}

async fn put_pool(
    State(cloud): State<Shared>,
    Path(name): Path<String>,
    Query(scope): Query<Scope>,
    Json(mut body): Json<Value>,
) -> Answer {
    if !body.is_object() {
        return Err(bad_request(
            "a pool with a name is an object; PUT /fleet takes anything",
        ));
    }
    merge(&mut body, json!({"metadata": {"name": name}}));
    let pool = Pool::from_control(body).map_err(bad_request)?;
    with_pools(&cloud, &scope, |pools| {
        let shown = pool.to_control();
        match fleet::find(pools, &name) {
            Some(known) => *known = pool,
            None => pools.push(pool),
        }
        Ok(shown)
    })
}

async fn patch_pool(
    State(cloud): State<Shared>,
    Path(name): Path<String>,
    Query(scope): Query<Scope>,
    Json(patch): Json<Value>,
) -> Answer {
    with_pools(&cloud, &scope, |pools| {
        let pool = named(pools, &name)?;
        let mut body = pool.to_control();
        merge(&mut body, patch);
        *pool = Pool::from_control(body).map_err(bad_request)?;
        Ok(pool.to_control())
    })
}

async fn remove_pool(
    State(cloud): State<Shared>,
    Path(name): Path<String>,
    Query(scope): Query<Scope>,
) -> Answer {
    with_pools(&cloud, &scope, |pools| {
        let shown = named(pools, &name)?.to_control();
        pools.retain(|pool| pool.name() != Some(name.as_str()));
        Ok(shown)
    })
}

async fn seed(State(cloud): State<Shared>, Json(wanted): Json<Seed>) -> Json<Value> {
    cloud.lock().seed(wanted.pools, wanted.seed);
    Json(json!({"pools": wanted.pools}))
}

async fn show_faults(State(cloud): State<Shared>) -> Json<Vec<Fault>> {
    Json(cloud.lock().faults.clone())
}

async fn script_faults(
    State(cloud): State<Shared>,
    Json(faults): Json<Vec<Fault>>,
) -> Json<Vec<Fault>> {
    cloud.lock().faults.clone_from(&faults);
    Json(faults)
}

async fn clear_faults(State(cloud): State<Shared>) -> StatusCode {
    cloud.lock().faults.clear();
    StatusCode::NO_CONTENT
}

async fn show_requests(State(cloud): State<Shared>) -> Json<Value> {
    Json(json!(cloud.lock().requests.entries))
}

async fn forget_requests(State(cloud): State<Shared>) -> StatusCode {
    cloud.lock().requests.entries.clear();
    StatusCode::NO_CONTENT
}

async fn show_settings(State(cloud): State<Shared>) -> Json<Settings> {
    Json(cloud.lock().settings.clone())
}

async fn change_settings(State(cloud): State<Shared>, Json(change): Json<Value>) -> Answer {
    let mut cloud = cloud.lock();
    let mut settings = json!(cloud.settings);
    merge(&mut settings, change);
    cloud.settings = serde_json::from_value(settings.clone()).map_err(bad_request)?;
    Ok(Json(settings))
}

async fn replace_accounts(
    State(cloud): State<Shared>,
    Json(accounts): Json<Vec<Account>>,
) -> StatusCode {
    let mut cloud = cloud.lock();
    cloud.accounts.replace(accounts);
    cloud.found_missing_projects();
    StatusCode::NO_CONTENT
}

fn with_pools(
    cloud: &Shared,
    scope: &Scope,
    act: impl FnOnce(&mut Vec<Pool>) -> Result<Value, (StatusCode, String)>,
) -> Answer {
    let mut cloud = cloud.lock();
    let pools = cloud.pools(scope.project.as_deref());
    pools
        .ok_or_else(|| not_found("no such project"))
        .and_then(act)
        .map(Json)
}

fn named<'a>(pools: &'a mut [Pool], name: &str) -> Result<&'a mut Pool, (StatusCode, String)> {
    fleet::find(pools, name).ok_or_else(|| not_found("no such pool"))
}

fn not_found(what: &str) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, what.to_owned())
}

fn bad_request(reason: impl ToString) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, reason.to_string())
}
