//! A service for tests that answers as a test says and remembers what it was asked.

// Outside `#[test]` functions clippy does not see that this is test code.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// A running service.
pub(super) struct Stub {
    pub url: String,
    server: MockServer,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Method and path.
    pub call: String,
    request: Request,
}

/// Status, headers and body of an answer.
pub(super) type Reply = (u16, Vec<(&'static str, &'static str)>, String);

impl Stub {
    /// Serves until the value is dropped.
    pub async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let server = MockServer::start().await;
        let respond = move |request: &Request| {
            let (status, headers, body) = answer(&Seen::of(request));
            let response = ResponseTemplate::new(status).set_body_string(body);
            headers
                .into_iter()
                .fold(response, |it, (name, value)| it.insert_header(name, value))
        };
        Mock::given(any())
            .respond_with(respond)
            .mount(&server)
            .await;
        Self {
            url: server.uri(),
            server,
        }
    }

    /// Every request so far.
    pub async fn seen(&self) -> Vec<Seen> {
        let requests = self.server.received_requests().await.unwrap();
        requests.iter().map(Seen::of).collect()
    }

    /// Method and path of every request so far.
    pub async fn calls(&self) -> Vec<String> {
        self.seen().await.into_iter().map(|it| it.call).collect()
    }
}

impl Seen {
    fn of(request: &Request) -> Self {
        Self {
            call: format!("{} {}", request.method, request.url.path()),
            request: request.clone(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name)?.to_str().ok()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.request.body).unwrap()
    }
}

/// An answer without headers.
pub(super) fn reply(status: u16, body: impl ToString) -> Reply {
    (status, Vec::new(), body.to_string())
}

/// Credentials as the metadata service and the older IAM spell them.
pub(super) fn credential(access_key: &str, expires: &str) -> Value {
    json!({"credential": {
        "access": access_key, "secret": "canary-secret",
        "securitytoken": "canary-token", "expires_at": expires,
    }})
}

/// Credentials as Pod Identity spells them.
pub(super) fn pod_credentials(access_key: &str, expires: &str) -> Value {
    json!({"credentials": {
        "accessKeyId": access_key, "secretAccessKey": "canary-secret",
        "securityToken": "canary-token", "expiration": expires,
    }, "subject": {"namespace": "ns", "serviceAccount": "sa"}})
}

/// Credentials as STS v5 spells them.
pub(super) fn sts_credentials(access_key: &str, expires: &str) -> Value {
    json!({"credentials": {
        "access_key_id": access_key, "secret_access_key": "canary-secret",
        "security_token": "canary-token", "expiration": expires,
    }, "assumed_agency": {}})
}
