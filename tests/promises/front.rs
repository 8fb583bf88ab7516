//! A door in front of the API server, where a test changes what the controller is told. What it
//! does not touch goes through as it is, with the caller's own credentials.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Response, StatusCode};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::world::World;

/// What becomes of a request.
pub enum Treatment {
    Forward,
    /// The API server does not see it.
    Answer(u16, Value),
    /// After each event of the watch all earlier ones come again, oldest first.
    RepeatEvents,
}

/// The door; it is open for as long as the test's runtime lives.
pub struct Front {
    pub address: String,
    cut: watch::Sender<()>,
}

impl Front {
    /// Opens a door to a server. The rule sees the method and the path with the query.
    pub async fn open(
        server: String,
        rule: impl Fn(&str, &str) -> Treatment + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (cut, _) = watch::channel(());
        let http = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .no_proxy()
            .build()
            .unwrap();
        let (rule, cuts) = (Arc::new(rule), cut.clone());
        let app = Router::new().fallback(move |request: Request| {
            let (rule, http, server) = (Arc::clone(&rule), http.clone(), server.clone());
            let cut = cuts.subscribe();
            async move {
                let path = request.uri().to_string();
                match rule(request.method().as_str(), &path) {
                    Treatment::Answer(status, body) => answer(status, body.to_string()),
                    Treatment::Forward => forward(&http, &server, request, cut, None).await,
                    Treatment::RepeatEvents => {
                        forward(&http, &server, request, cut, Some(Vec::new())).await
                    }
                }
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, cut }
    }

    /// Ends all answers that are under way, as a server that restarts would.
    pub fn cut(&self) {
        self.cut.send_replace(());
    }
}

/// Has the controllers of a world go through a door with this rule.
pub async fn behind(
    world: &World,
    rule: impl Fn(&str, &str) -> Treatment + Send + Sync + 'static,
) -> Front {
    let opened = Mutex::new(None);
    world
        .reroute(async |server| {
            let front = Front::open(server, rule).await;
            let address = front.address.clone();
            *opened.lock().unwrap() = Some(front);
            address
        })
        .await;
    opened.into_inner().unwrap().unwrap()
}

/// What Kubernetes says of a failure.
pub fn failure(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": reason, "metadata": {},
    })
}

fn answer(status: u16, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header(CONTENT_TYPE, "application/json")
        .body(body.into())
        .unwrap()
}

async fn forward(
    http: &reqwest::Client,
    server: &str,
    request: Request,
    cut: watch::Receiver<()>,
    history: Option<Vec<u8>>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let mut headers = parts.headers;
    for own in ["host", "content-length", "accept-encoding"] {
        headers.remove(own);
    }
    let sent = http
        .request(parts.method, format!("{server}{}", parts.uri))
        .headers(headers)
        .body(body);
    let Ok(response) = sent.send().await else {
        return answer(502, "{}");
    };
    let status = response.status().as_u16();
    let chunks = stream::unfold(
        (response, cut, history),
        |(mut response, mut cut, mut history)| async move {
            let chunk = tokio::select! {
                chunk = response.chunk() => chunk.ok()??,
                _ = cut.changed() => return None,
            };
            let chunk = match &mut history {
                None => chunk,
                Some(history) => repeated(history, &chunk),
            };
            Some((Ok::<_, std::io::Error>(chunk), (response, cut, history)))
        },
    );
    answer(status, Body::from_stream(chunks))
}

/// What came, and once a line of it is whole everything that came before as well.
fn repeated(history: &mut Vec<u8>, chunk: &Bytes) -> Bytes {
    history.extend_from_slice(chunk);
    if chunk.ends_with(b"\n") {
        Bytes::from([&chunk[..], history].concat())
    } else {
        chunk.clone()
    }
}
