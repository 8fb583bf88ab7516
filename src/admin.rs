//! The admin server: the probes and the metrics, for whoever reaches its address. It shows names of
//! sources and numbers, never a credential or a word of the cloud, and changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tracing::info;

use crate::progress::Progress;

/// What the answers are made from.
#[derive(Clone)]
pub struct Admin {
    /// For the probes.
    pub progress: Arc<Progress>,
    /// For the metrics.
    pub registry: Arc<Registry>,
}

/// Takes the address.
///
/// # Errors
/// Where something else has it.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("--admin-address (ADMIN_ADDRESS): listen on {address}"))?;
    let address = listener.local_addr().context("--admin-address")?;
    info!(%address, "probes and metrics are served");
    Ok(listener)
}

/// Answers until the future is dropped.
///
/// # Errors
/// Where the socket breaks.
pub async fn serve(listener: TcpListener, admin: Admin) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin);
    axum::serve(listener, router)
        .await
        .context("serve probes and metrics")
}

async fn livez(State(admin): State<Admin>) -> Response {
    match admin.progress.live(Instant::now()) {
        Ok(()) => "ok\n".into_response(),
        Err(why) => unavailable(&why),
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match admin.progress.ready(Instant::now()) {
        Ok(()) => "ok\n".into_response(),
        Err(pending) => unavailable(&format!("waiting for {}", pending.join("\nwaiting for "))),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = String::new();
    match prometheus_text::encode(&mut text, &admin.registry) {
        Ok(()) => {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}
