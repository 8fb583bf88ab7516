//! A watch that silently stalls, as behind a load balancer that forgot it, is noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::world::{World, pool};

/// Forwards connections to a server. Those that are open when the switch is thrown stay open and
/// carry nothing any more; later ones work.
async fn proxy(server: String, frozen: Arc<AtomicBool>) -> String {
    let server = server.trim_start_matches("https://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let may_freeze = !frozen.load(Ordering::SeqCst);
            let frozen = may_freeze.then(|| Arc::clone(&frozen));
            let server = TcpStream::connect(&server).await.unwrap();
            let (client, server) = (client.into_split(), server.into_split());
            tokio::spawn(pump(client.0, server.1, frozen.clone()));
            tokio::spawn(pump(server.0, client.1, frozen));
        }
    });
    address
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    frozen: Option<Arc<AtomicBool>>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if frozen.as_ref().is_some_and(|it| it.load(Ordering::SeqCst)) {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn a_mirror_deleted_behind_a_stalled_watch_is_restored_once_the_stall_is_noticed() {
    let world = World::new("stalled").await;
    let frozen = Arc::new(AtomicBool::new(false));
    world
        .reroute(|server| proxy(server, Arc::clone(&frozen)))
        .await;
    world.put_fleet(json!([pool("a", 1), pool("b", 1)])).await;
    let _controller = world.controller();
    world.create_source("pools", json!({})).await;
    world.until_ready("pools").await;

    frozen.store(true, Ordering::SeqCst);
    world
        .pools
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(150), async {
        while world.pools.get_opt("a").await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .expect("the mirror is restored although the watch never said that it was gone");
    let deletes = world.audit.mirror_writes().into_iter();
    assert_eq!(deletes.filter(|it| it.verb == "delete").count(), 0);
}
