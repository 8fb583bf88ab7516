//! The agency of the ECS that this program runs on, asked of the metadata service. Never goes
//! through a proxy. That nothing answers, or nobody knows the path, means that this is no ECS.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use secrecy::SecretString;

use super::exchange::{Http, Reply, secret_header, send};
use super::parse::{Issued, issued};
use super::{failed, none_configured};
use crate::modelarts::{Class, Endpoint, PollError};

pub(super) const NAME: &str = "ECS metadata agency";

const TIMEOUT: Duration = Duration::from_secs(3);

/// The longest life of a metadata token, in seconds.
const TOKEN_LIFE: i64 = 21_600;

/// A service that knew no tokens is asked for one again after this time.
const ASK_AGAIN: SignedDuration = SignedDuration::from_hours(24);

/// What the service says of an ECS without an agency.
const NO_AGENCY: &str = "Please configure Cloud Service Agency first";

const ADVICE: &str = "check the agency of this node";

/// The metadata service.
#[derive(Debug)]
pub(super) struct Metadata {
    endpoint: Endpoint,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The token to send, and when to ask for another; no token where the service knows none.
    token: Option<(Option<SecretString>, Timestamp)>,
    /// Whether it ever gave credentials: its silence then is a failure and no absence.
    gave: bool,
}

impl Metadata {
    pub fn at(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            memory: Mutex::default(),
        }
    }

    pub async fn issue(&self, http: &Http, now: Timestamp) -> Result<Issued, PollError> {
        let reply = match self.ask(http, now).await {
            Err(error) if error.class == Class::Unreachable && !self.memory().gave => {
                return Err(none_configured().caused_by(error));
            }
            reply => reply?,
        };
        if reply.status == 404 && !self.memory().gave {
            return Err(none_configured());
        }
        if reply.status == 401 && lacks_agency(&reply) {
            let detail =
                "this node has no agency: choose one for it in the ECS console, or use a Secret";
            return Err(failed(NAME, Class::CredentialsMissing, detail));
        }
        let issued = issued(NAME, &reply.success(NAME, ADVICE)?.body)?;
        self.memory().gave = true;
        Ok(issued)
    }

    /// Asks with the token at hand, and once more with a new one where that is refused.
    async fn ask(&self, http: &Http, now: Timestamp) -> Result<Reply, PollError> {
        let known = self
            .memory()
            .token
            .clone()
            .filter(|(_, until)| now < *until);
        let (token, is_new) = match known {
            Some((token, _)) => (token, false),
            None => (self.new_token(http, now).await?, true),
        };
        let reply = self.security_key(http, token.as_ref()).await?;
        if reply.status != 401 || lacks_agency(&reply) || is_new {
            return Ok(reply);
        }
        let token = self.new_token(http, now).await?;
        self.security_key(http, token.as_ref()).await
    }

    async fn security_key(
        &self,
        http: &Http,
        token: Option<&SecretString>,
    ) -> Result<Reply, PollError> {
        let url = self.endpoint.url("/openstack/latest/securitykey", "");
        let mut request = http.direct(Method::GET, url).timeout(TIMEOUT);
        if let Some(token) = token {
            request = secret_header(request, "x-metadata-token", token);
        }
        send(NAME, request).await
    }

    async fn new_token(
        &self,
        http: &Http,
        now: Timestamp,
    ) -> Result<Option<SecretString>, PollError> {
        let url = self.endpoint.url("/meta-data/latest/api/token", "");
        let request = http.direct(Method::PUT, url).timeout(TIMEOUT);
        let request = request.header("x-metadata-token-ttl-seconds", TOKEN_LIFE);
        let reply = send(NAME, request).await?;
        let (token, life) = if matches!(reply.status, 404 | 405 | 503) {
            (None, ASK_AGAIN)
        } else {
            let reply = reply.success(NAME, ADVICE)?;
            let token = String::from_utf8(reply.body).unwrap_or_default();
            let token = token.trim();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(failed(NAME, Class::Decode, "the answer holds no token"));
            }
            (Some(token.into()), SignedDuration::from_secs(TOKEN_LIFE))
        };
        let until = now.saturating_add(life).unwrap_or(now);
        self.memory().token = Some((token.clone(), until));
        Ok(token)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lacks_agency(reply: &Reply) -> bool {
    String::from_utf8_lossy(&reply.body).contains(NO_AGENCY)
}
