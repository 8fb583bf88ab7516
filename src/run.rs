//! Wiring of the controller: clients, tasks, shutdown. Decides nothing about pools.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::channel::mpsc;
use kube::{Api, Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::controller::{self, Context};
use crate::mirror::{self, Inventory};
use crate::{args, modelarts};

/// After a signal, running reconciles have this long to finish.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Runs the controller until SIGTERM or SIGINT.
///
/// # Errors
/// Where it cannot start, or where one of its tasks ends by itself: it never limps on.
pub async fn run(config: args::Run) -> anyhow::Result<()> {
    let kubernetes = Config::infer()
        .await
        .context("find the cluster: run in a pod, or point KUBECONFIG at a kubeconfig")?;
    let namespace = config
        .namespace
        .unwrap_or_else(|| kubernetes.default_namespace.clone());
    let client = Client::try_from(kubernetes).context("set up the Kubernetes client")?;
    let cloud = modelarts::Client::new(config.endpoints)?;
    let cancel = CancellationToken::new();
    let inventory = Arc::new(Inventory::default());
    let (wake, woken) = mpsc::unbounded();
    let context = Context::new(
        client.clone(),
        cloud,
        Arc::clone(&inventory),
        config.ambient,
        namespace.clone(),
        cancel.clone(),
    );

    info!(version = env!("CARGO_PKG_VERSION"), namespace, "starting");
    let watching = mirror::watch(Api::all(client.clone()), inventory, wake);
    let reconciling = controller::run(Api::all(client), Arc::new(context), woken);
    tokio::pin!(watching, reconciling);
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let ended = tokio::select! {
        () = &mut watching => "the watch on mirrors",
        () = &mut reconciling => "the controller",
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    if !ended.starts_with("SIG") {
        bail!("{ended} ended by itself");
    }
    info!(signal = ended, "stopping");
    cancel.cancel();
    if tokio::time::timeout(SHUTDOWN, reconciling).await.is_err() {
        bail!("reconciles did not finish within {} s", SHUTDOWN.as_secs());
    }
    info!("stopped");
    Ok(())
}
