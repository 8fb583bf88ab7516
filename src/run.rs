//! Wiring of the controller: clients, tasks, shutdown. Decides nothing about pools.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::channel::mpsc;
use futures::future::join_all;
use http::HeaderValue;
use http::header::USER_AGENT;
use kube::client::ClientBuilder;
use kube::core::{NamespaceResourceScope, Selector};
use kube::{Api, Client, Config, Resource};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::api::{POOL_KIND, SOURCE_KIND};
use crate::args;
use crate::controller::{self, Context};
use crate::lease::{Election, Gate, Lost};
use crate::metrics;
use crate::mirror;
use crate::progress::{Progress, Watched};

/// After a signal, running reconciles have this long to finish; then they are cut off. With the time
/// to give up the Lease that is well below ten seconds.
const FINISH: Duration = Duration::from_secs(6);

/// The API server ends every watch after a minute, so a connection that is silent for longer has
/// stalled, as behind a load balancer that forgot it.
const SILENCE: Duration = Duration::from_secs(75);

/// Where sources are looked for.
#[derive(Clone)]
enum Scope {
    Everywhere,
    Namespace(String),
}

/// Runs the controller until SIGTERM or SIGINT.
///
/// # Errors
/// Where it cannot start, or where one of its tasks ends by itself: it never limps on.
pub async fn run(config: args::Run) -> anyhow::Result<()> {
    let mut kubernetes = Config::infer()
        .await
        .context("find the cluster: run in a pod, or point KUBECONFIG at a kubeconfig")?;
    kubernetes.read_timeout = Some(SILENCE);
    let agent = user_agent(config.pod_name.as_deref())?;
    kubernetes.headers.push((USER_AGENT, agent));
    // The time that a connection lay idle before a request does not count.
    kubernetes.reset_reader_on_write = true;
    let namespace = config
        .namespace
        .unwrap_or_else(|| kubernetes.default_namespace.clone());
    let gate = match config.election {
        Some(_) => Gate::closed(),
        None => Gate::open(),
    };
    let client = ClientBuilder::try_from(kubernetes.clone())
        .map(|builder| builder.with_layer(&gate).build())
        .context("set up the Kubernetes client")?;
    let mut election = config
        .election
        .map(|election| {
            let ungated = Client::try_from(kubernetes).context("set up the Kubernetes client")?;
            anyhow::Ok(Election::new(ungated, &namespace, election))
        })
        .transpose()?;
    let mut ambient_namespaces = config.ambient_namespaces;
    ambient_namespaces.insert(namespace.clone());
    let cancel = CancellationToken::new();
    info!(version = env!("CARGO_PKG_VERSION"), namespace, "starting");

    let scopes = match config.watch_namespaces {
        names if names.is_empty() => vec![Scope::Everywhere],
        names => names.into_iter().map(Scope::Namespace).collect(),
    };
    let context = Context::new(
        client,
        Arc::new(config.cloud),
        Arc::new(config.ambient),
        ambient_namespaces,
        Arc::new(Progress::default()),
        gate.clone(),
        cancel.clone(),
    );
    if election.is_some() {
        context.progress.stand_by();
    }
    // Before the first probe, which would else find nothing to wait for.
    for scope in &scopes {
        for kind in [POOL_KIND, SOURCE_KIND] {
            context.progress.open(&scope.watched(kind));
        }
    }
    let admin = Admin {
        progress: Arc::clone(&context.progress),
        registry: Arc::new(metrics::registry(&context)),
    };
    let listener = admin::listen(config.admin_address).await?;
    let mut admin = tokio::spawn(admin::serve(listener, admin));
    let controllers = scopes
        .into_iter()
        .map(|scope| control(scope, &config.source_selector, context.of_another_scope()));
    let controlling = join_all(controllers);
    tokio::pin!(controlling);
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let signal = tokio::select! {
        _ = &mut controlling => bail!("every controller ended by itself"),
        ended = &mut admin => {
            ended.context("the admin server")??;
            bail!("the admin server ended by itself");
        }
        lost = lead(&mut election, &gate, &context.progress) => return Err(lost.into()),
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    info!(signal, "stopping");
    cancel.cancel();
    let finished = tokio::time::timeout(FINISH, controlling).await;
    if finished.is_err() {
        warn!("some writes are cut off; the next start makes them again");
    }
    // Reconciles that are not finished still run, and from here on the Lease may be another's. What
    // is already on its way names the version that it replaces.
    gate.close();
    if let Some(election) = election {
        election.release().await;
    }
    admin.abort();
    let _ = admin.await;
    info!("stopped");
    Ok(())
}

/// What the API server's audit log says of this process.
fn user_agent(pod_name: Option<&str>) -> anyhow::Result<HeaderValue> {
    let program = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    let pod = pod_name.map_or_else(String::new, |name| format!(" ({name})"));
    HeaderValue::from_str(&format!("{program}{pod}")).context("--pod-name")
}

/// Takes part in the election for as long as it is polled, or until the leadership is lost.
async fn lead(election: &mut Option<Election>, gate: &Gate, progress: &Progress) -> Lost {
    match election {
        Some(election) => election.run(gate, progress).await,
        None => std::future::pending().await,
    }
}

/// Runs one scope's watch on mirrors and its controller. If either ends before its time it takes
/// the whole process with it.
async fn control(scope: Scope, selector: &Selector, context: Context) {
    let cancel = context.cancel.clone();
    let (wake, woken) = mpsc::unbounded();
    let pools = scope.api(&context.client);
    let sources = scope.api(&context.client);
    let watching = mirror::watch(
        pools,
        Arc::clone(&context.inventory),
        wake,
        scope.watched(POOL_KIND),
        Arc::clone(&context.progress),
    );
    let watched = scope.watched(SOURCE_KIND);
    let reconciling = controller::run(sources, selector, Arc::new(context), woken, watched);
    tokio::select! {
        () = reconciling => {}
        () = watching => {}
    }
    if !cancel.is_cancelled() {
        tracing::error!("a watch ended by itself");
        cancel.cancel();
    }
}

impl Scope {
    fn watched(&self, kind: &'static str) -> Watched {
        let namespace = match self {
            Self::Everywhere => None,
            Self::Namespace(name) => Some(name.clone()),
        };
        Watched { kind, namespace }
    }

    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::Everywhere => Api::all(client.clone()),
            Self::Namespace(name) => Api::namespaced(client.clone(), name),
        }
    }
}
