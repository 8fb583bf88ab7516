//! Feeds the inventory from the API server's watch. It keeps no object and writes none.

use std::sync::Arc;
use std::time::Instant;

use futures::channel::mpsc::UnboundedSender;
use futures::{StreamExt as _, pin_mut};
use kube::Api;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt as _, watcher};
use tracing::{debug, info, warn};

use super::inventory::Inventory;
use crate::api::{ModelArtsPool, ModelArtsPoolSource};
use crate::progress::{Progress, Watched};

/// How the API server is watched. A watch that the server has not ended after this many seconds,
/// nor a little later, has silently stalled and is opened again.
pub(crate) fn config() -> watcher::Config {
    watcher::Config::default().timeout(60)
}

/// Tells the probes what a watch brought, and the log what went wrong with it.
pub(crate) fn attend<K>(
    event: &Result<watcher::Event<K>, watcher::Error>,
    watched: &Watched,
    progress: &Progress,
) {
    match event {
        Ok(watcher::Event::InitDone) => {
            info!(kind = watched.kind, namespace = watched.namespace, "listed");
            progress.listed(watched);
            progress.heard(watched);
        }
        // Every attempt at a listing begins with this one, also those that fail.
        Ok(watcher::Event::Init) => {}
        Ok(_) => progress.heard(watched),
        Err(error) => {
            warn!(%error, namespace = watched.namespace, "the watch on {}s failed; it is opened again", watched.kind);
            progress.failed(watched, Instant::now());
        }
    }
}

/// Feeds the inventory from the watch for as long as it is polled, and wakes the sources whose
/// mirrors somebody else changed.
pub async fn watch(
    pools: Api<ModelArtsPool>,
    inventory: Arc<Inventory>,
    wake: UnboundedSender<ObjectRef<ModelArtsPoolSource>>,
    watched: Watched,
    progress: Arc<Progress>,
) {
    let events = watcher(pools, config()).default_backoff();
    pin_mut!(events);
    while let Some(event) = events.next().await {
        attend(&event, &watched, &progress);
        let woken = match event {
            Ok(watcher::Event::Init) => {
                inventory.begin_listing();
                Vec::new()
            }
            Ok(watcher::Event::InitDone) => inventory.end_listing(),
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                inventory.observe(&object).into_iter().collect()
            }
            Ok(watcher::Event::Delete(object)) => inventory.forget(&object).into_iter().collect(),
            Err(_) => Vec::new(),
        };
        for source in woken {
            debug!(%source, "a mirror is not what the last plan left");
            // The receiver ends only with the controller, and then nobody needs waking.
            let _ = wake.unbounded_send(source);
        }
    }
}
