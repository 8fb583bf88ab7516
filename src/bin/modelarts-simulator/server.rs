//! Two listeners and a clock around the simulated cloud, until something says stop.
//! It takes its sockets and its stop signal as arguments and decides nothing about answers.

use std::time::Duration;

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use k8s_openapi::jiff::Timestamp;
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval},
};
use tracing::debug;

use crate::{
    cloud::Shared,
    control,
    exchange::{Incoming, decode_query},
    gateway,
    wire::{self, Cut, CuttableListener},
};

/// Serves until `stop`. Open connections end with it: a request that a fault left hanging would
/// wait for ever.
pub async fn serve(
    cloud: Shared,
    api: TcpListener,
    control: TcpListener,
    step: Option<Duration>,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let api_router = Router::new().fallback(handle).with_state(cloud.clone());
    let api_service = api_router.into_make_service_with_connect_info::<Cut>();
    tokio::select! {
        ended = axum::serve(CuttableListener(api), api_service) => ended,
        ended = axum::serve(control, control::router(cloud.clone())) => ended,
        () = live(cloud, step) => Ok(()),
        () = stop => Ok(()),
    }
}

async fn live(cloud: Shared, step: Option<Duration>) {
    let Some(step) = step else {
        return std::future::pending().await;
    };
    let mut ticks = interval(step);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, and a fleet should be seen before it changes.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        cloud.lock().live(Timestamp::now());
    }
}

/// The most that a signed request may carry.
const BODY_LIMIT: usize = 12 << 20;

async fn handle(
    State(cloud): State<Shared>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_LIMIT).await;
    let is_too_large = body.is_err();
    let incoming = Incoming {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: decode_query(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        body: body.unwrap_or_default(),
        request_id: format!("{:032x}", fastrand::u128(..)),
    };
    if is_too_large {
        return wire::deliver(gateway::too_large(&incoming), None, &cut).await;
    }
    let (answer, fault) = cloud.lock().answer(&incoming, Timestamp::now());
    let is_struck = fault.is_some();
    debug!(method = %incoming.method, path = incoming.path, status = answer.status, is_struck, "request");
    wire::deliver(answer, fault, &cut).await
}
