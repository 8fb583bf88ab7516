//! One bounded exchange with a service that hands out credentials: no redirect, a time-out, a
//! limit on the answer. Never repeats a request, and never shows what was sent or answered.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::failed;
use crate::modelarts::error::{Answer, classify};
use crate::modelarts::reach::{PublicOnly, Reach, Trust};
use crate::modelarts::request::{builder, unreachable};
use crate::modelarts::{Class, Endpoint, Endpoints, PollError};

const MAX_BODY: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(5);

/// The HTTP side of all places.
#[derive(Clone, Debug)]
pub(super) struct Http {
    /// For what is beside this program: a proxy would see a token that is meant for the node, or
    /// answer with its own node's credentials.
    direct: reqwest::Client,
    /// For endpoints of the cloud that the administrator named.
    anywhere: reqwest::Client,
    /// For endpoints whose names a region is part of.
    public: reqwest::Client,
    pub endpoints: Endpoints,
}

/// An answer of any status.
pub(super) struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Http {
    pub fn new(endpoints: Endpoints, trust: &Trust) -> anyhow::Result<Self> {
        let http = || {
            builder(trust)
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(TIMEOUT)
        };
        let build = |http: reqwest::ClientBuilder| {
            http.build()
                .context("set up the HTTP client for credentials")
        };
        Ok(Self {
            direct: build(http().no_proxy())?,
            anywhere: build(http())?,
            public: build(http().dns_resolver(PublicOnly::but(trust)))?,
            endpoints,
        })
    }

    /// A request to this node or cluster.
    pub fn direct(&self, method: Method, url: Url) -> RequestBuilder {
        self.direct.request(method, url)
    }

    /// A POST of JSON to the cloud.
    pub fn post(&self, endpoint: &Endpoint, path: &str, body: &Value) -> RequestBuilder {
        let http = match endpoint.reach() {
            Reach::Anywhere => &self.anywhere,
            Reach::Public => &self.public,
        };
        json(http.post(endpoint.url(path, "")), body)
    }
}

/// Adds a JSON body.
pub(super) fn json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request
        .header("content-type", "application/json;charset=utf8")
        .body(body.to_string())
}

/// A header that no log prints. The caller has checked that the secret is visible ASCII.
pub(super) fn secret_header(
    request: RequestBuilder,
    name: &str,
    secret: &SecretString,
) -> RequestBuilder {
    match HeaderValue::from_str(secret.expose_secret()) {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header(name, value)
        }
        Err(_) => request,
    }
}

/// Sends a request and reads the answer to its end.
///
/// # Errors
/// `Unreachable` without an answer, `Decode` where it is too large or breaks off.
pub(super) async fn send(place: &'static str, request: RequestBuilder) -> Result<Reply, PollError> {
    let unreachable = |error| {
        let mut error = unreachable(place, error).shown();
        if error.class == Class::Endpoint {
            error.detail = "the endpoint's name leads to a private address; name the endpoint \
                            without a region, or allow it with --allow-private-endpoints"
                .to_owned();
        }
        error
    };
    let mut response = request.send().await.map_err(unreachable)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(failed(place, Class::Decode, "the answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply {
        status,
        headers,
        body,
    })
}

impl Reply {
    /// This answer, if it is a success.
    ///
    /// # Errors
    /// `Authentication` where the service refuses, with `advice` on what to check; a class that is
    /// worth waiting for otherwise.
    pub fn success(self, place: &'static str, advice: &str) -> Result<Self, PollError> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let header = |name: &str| self.headers.get(name)?.to_str().ok();
        // It reads the code and leaves the rest of the body behind.
        let classified = classify(
            &Answer {
                operation: place,
                status: self.status,
                body: &self.body,
                retry_after: header("retry-after"),
                request_id: header("x-request-id").map(|id| id.chars().take(64).collect()),
                server_time: None,
            },
            Timestamp::UNIX_EPOCH,
        );
        let (class, detail) = match (self.status, classified.class) {
            (_, class @ Class::Throttled(_)) => (class, "throttled".to_owned()),
            (400..=499, _) => {
                let detail = format!("refused with {}: {advice}", classified.detail);
                (Class::Authentication, detail)
            }
            // Which error it is changes from answer to answer, so only the log says it.
            _ => (
                Class::Upstream,
                "the service answers with an error".to_owned(),
            ),
        };
        let mut error = failed(place, class, detail).caused_by(classified.detail);
        error.request_id = classified.request_id;
        Err(error)
    }
}
