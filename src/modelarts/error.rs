//! What can go wrong with a poll, and the policy that each kind of failure carries: the reason
//! people see, whether a person must act, and when to try again.
//!
//! Never holds an upstream body: only the class, the status, the code and the request id, which
//! are for the log. What reaches a condition is [`PollError::message`], which is stable.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A poll that failed as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {detail}")]
pub struct PollError {
    /// What was being done, such as `list pools`.
    pub operation: &'static str,
    /// The class that decides everything else.
    pub class: Class,
    /// For the log: HTTP status, code and a short explanation, never a secret or a body.
    pub detail: String,
    /// The cloud's id of the failed request.
    pub request_id: Option<Box<str>>,
    /// The time on the server's clock, where its answer said so.
    pub server_time: Option<Timestamp>,
    /// Whether `detail` is stable and worth showing in conditions.
    shown: bool,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of failure that differ in what has to happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The key pair or token is refused.
    Authentication,
    /// The signature's date is more than 15 minutes from the server's clock.
    ClockSkew,
    /// The identity is known but may not list pools.
    Permission,
    /// There is no such API at this endpoint: wrong region or host.
    Endpoint,
    /// The cloud calls the request itself wrong.
    InvalidRequest,
    /// Too many calls; the delay is the cloud's own wish where it gave one.
    Throttled(Option<Duration>),
    /// No answer: DNS, connection, TLS or time-out.
    Unreachable,
    /// A 5xx or an answer that fits no other class.
    Upstream,
    /// A 2xx that is not a complete list of pools.
    Decode,
    /// The credentials a source names do not exist.
    CredentialsMissing,
    /// The source's spec cannot be used.
    InvalidSpec,
}

/// Retry-After beyond this is not believed.
const LONGEST_THROTTLE: Duration = Duration::from_secs(15 * 60);

/// While a key pair is refused, its source looks this often whether the pair has changed. The
/// cloud is not asked with the same pair again before six minutes are over; see the guard.
const LOOK_FOR_NEW_KEY: Duration = Duration::from_secs(30);

/// The signature's window is 15 minutes; well below it the date is not what was refused.
const SUSPICIOUS_SKEW: SignedDuration = SignedDuration::from_mins(10);

impl Class {
    /// The reason on the source's conditions.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Authentication => "AuthenticationFailed",
            Self::ClockSkew => "ClockSkew",
            Self::Permission => "PermissionDenied",
            Self::Endpoint => "EndpointNotFound",
            Self::InvalidRequest | Self::InvalidSpec => "InvalidSpec",
            Self::Throttled(_) => "Throttled",
            Self::Unreachable => "UpstreamUnreachable",
            Self::Upstream => "UpstreamError",
            Self::Decode => "DecodeFailed",
            Self::CredentialsMissing => "SecretNotFound",
        }
    }

    /// Whether waiting cannot help: a person has to change something.
    pub fn needs_a_person(self) -> bool {
        match self {
            Self::Authentication
            | Self::ClockSkew
            | Self::Permission
            | Self::Endpoint
            | Self::InvalidRequest
            | Self::CredentialsMissing
            | Self::InvalidSpec => true,
            Self::Throttled(_) | Self::Unreachable | Self::Upstream | Self::Decode => false,
        }
    }

    /// How long to wait after the `failures`th failure in a row (counted from one) of a source
    /// polled every `interval`. `spread` in `0.0..1.0` is the jitter.
    ///
    /// Fast retries end where `interval` is reached: no class polls faster than that for long.
    pub fn delay(self, failures: u32, interval: Duration, spread: f64) -> Duration {
        let doubled = |first: u64, last: u64| {
            let doublings = failures.saturating_sub(1).min(16);
            Duration::from_secs(first.saturating_mul(1 << doublings).min(last))
        };
        let jittered = |base: Duration| base.mul_f64(1.0 + 0.25 * spread);
        let at_last = |base: Duration| {
            if failures > 6 {
                base.max(interval)
            } else {
                base
            }
        };
        match self {
            Self::Authentication | Self::ClockSkew | Self::CredentialsMissing => {
                jittered(LOOK_FOR_NEW_KEY.min(interval))
            }
            Self::Permission => jittered(Duration::from_secs(5 * 60).max(interval)),
            Self::Endpoint | Self::InvalidRequest | Self::InvalidSpec => {
                jittered(Duration::from_secs(5 * 60).max(interval))
            }
            Self::Throttled(Some(wish)) => {
                at_last(wish.min(LONGEST_THROTTLE).max(Duration::from_secs(1)))
            }
            Self::Throttled(None) => jittered(at_last(doubled(60, 15 * 60))),
            Self::Unreachable | Self::Upstream | Self::Decode => jittered(at_last(doubled(1, 60))),
        }
    }

    /// One stable sentence that says what happened and what to do.
    fn message(self) -> &'static str {
        match self {
            Self::Authentication => {
                "the cloud refused the access key: check accessKey, secretKey and, for temporary keys, securityToken"
            }
            Self::ClockSkew => {
                "the cloud refused the date of the signature: this node's clock differs from the cloud's by more than 15 minutes; correct it"
            }
            Self::Permission => {
                "the cloud does not let this identity list pools: grant it modelarts:pool:list on the project and workspaces"
            }
            Self::Endpoint => {
                "the endpoint does not know the list-pools API: check the region, and the --endpoint or --endpoint-template that the administrator set for it"
            }
            Self::InvalidRequest => {
                "the cloud calls the request invalid: check projectId and query (workspaceIds, labelSelector, statuses)"
            }
            Self::Throttled(_) => {
                "the cloud is throttling these calls: polling slows down by itself"
            }
            Self::Unreachable => {
                "no answer from the endpoint: check DNS, network policy, proxy and TLS settings if this lasts"
            }
            Self::Upstream => {
                "the cloud answered with an error of its own: it is tried again by itself"
            }
            Self::Decode => {
                "the answer was not a complete list of pools: nothing was changed, it is tried again by itself"
            }
            Self::CredentialsMissing => "the credentials of this source were not found",
            Self::InvalidSpec => "the spec of this source cannot be used",
        }
    }
}

impl PollError {
    /// A failure without an answer from the cloud.
    pub fn new(operation: &'static str, class: Class, detail: impl Into<String>) -> Self {
        Self {
            operation,
            class,
            detail: detail.into(),
            request_id: None,
            server_time: None,
            shown: false,
            source: None,
        }
    }

    /// Adds the error that caused this one.
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Has conditions say what this error says, because its class alone would mislead: the detail
    /// must be stable and in our own words.
    pub(super) fn shown(mut self) -> Self {
        self.shown = true;
        self
    }

    /// The sentence for the source's conditions.
    pub fn message(&self) -> String {
        match self.class {
            _ if self.shown => self.to_string(),
            // These name what is in the person's own objects, which is stable and theirs.
            Class::CredentialsMissing | Class::InvalidSpec => {
                format!("{}: {}", self.class.message(), self.detail)
            }
            class => class.message().to_owned(),
        }
    }
}

/// What an answer that is no success says about itself.
pub(super) struct Answer<'a> {
    pub operation: &'static str,
    pub status: u16,
    pub body: &'a [u8],
    pub retry_after: Option<&'a str>,
    pub request_id: Option<String>,
    pub server_time: Option<Timestamp>,
}

/// Classifies an answer: by status first and by code second, because the same code comes with
/// several statuses and its prefix (`APIGW.`, `APIG.`, `ModelArts.`) varies by cloud.
pub(super) fn classify(answer: &Answer<'_>, now: Timestamp) -> PollError {
    let (code, text) = read_error(answer.body);
    let number = code.as_deref().and_then(|code| code.rsplit('.').next());
    let skew = answer
        .server_time
        .map(|server| server.duration_since(now).abs());
    let class = match (answer.status, number) {
        (401 | 403, _) if skew.is_some_and(|skew| skew > SUSPICIOUS_SKEW) => Class::ClockSkew,
        // 0203 and 0206 are a bad token and a bad key pair, whatever status they come with.
        (401, _) | (403, Some("0203" | "0206")) => Class::Authentication,
        (403 | 405, _) => Class::Permission,
        (404, Some("0101")) => Class::Endpoint,
        (404, _) => Class::Upstream,
        (429, _) => Class::Throttled(
            answer
                .retry_after
                .and_then(|value| retry_after(value, answer.server_time.unwrap_or(now))),
        ),
        (400 | 413 | 414 | 494, _) => Class::InvalidRequest,
        (300..=399, _) => Class::Endpoint,
        _ => Class::Upstream,
    };
    let mut detail = format!("HTTP {}", answer.status);
    if let Some(code) = &code {
        detail.push_str(&format!(" {code}"));
    }
    if let Some(cause) = text.as_deref().and_then(known_cause) {
        detail.push_str(&format!(" ({cause})"));
    }
    if let (Class::ClockSkew, Some(skew)) = (class, skew) {
        detail.push_str(&format!(" (clocks differ by {} s)", skew.as_secs()));
    }
    PollError {
        operation: answer.operation,
        class,
        detail,
        request_id: answer.request_id.clone().map(Into::into),
        server_time: answer.server_time,
        shown: false,
        source: None,
    }
}

/// The texts behind gateway code 0301 that tell its causes apart. Only our own words leave this
/// function: the gateway quotes the request, keys included.
fn known_cause(text: &str) -> Option<&'static str> {
    const CAUSES: [(&str, &str); 5] = [
        ("verify aksk signature fail", "the signature does not match"),
        (
            "reach the limit",
            "the access key is locked for some minutes",
        ),
        ("ak not exist", "the access key does not exist"),
        ("decrypt token fail", "the security token is invalid"),
        ("token expires", "the security token has expired"),
    ];
    CAUSES
        .iter()
        .find(|(sign, _)| text.contains(sign))
        .map(|(_, cause)| *cause)
}

/// Code and text from the body shapes that the cloud's services use, in the official client's
/// order: `error_code`, `errorCode`, `code`, then the same one level down. HTML, plain text and an
/// empty body have neither.
fn read_error(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(Value::Object(top)) = serde_json::from_slice::<Value>(body) else {
        return (None, None);
    };
    let levels = std::iter::once(&top).chain(top.values().filter_map(Value::as_object));
    for level in levels {
        for code in ["error_code", "errorCode", "code"] {
            let code = match level.get(code) {
                Some(Value::String(code)) => code.clone(),
                Some(Value::Number(code)) => code.to_string(),
                _ => continue,
            };
            // An open string from outside: only what a code can consist of is kept.
            let code = code
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
                .take(64)
                .collect();
            let texts = ["error_msg", "errorMsg", "errorMessage", "message"];
            let text = texts.iter().find_map(|text| level.get(*text)?.as_str());
            return (Some(code), text.map(str::to_owned));
        }
    }
    (None, None)
}

/// `Retry-After` in seconds or as an HTTP date, which is read against the server's own clock.
fn retry_after(value: &str, server_now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST_THROTTLE));
    }
    let until = http_date(value)?;
    let wait = Duration::try_from(until.duration_since(server_now)).unwrap_or_default();
    Some(wait.min(LONGEST_THROTTLE))
}

/// An HTTP date, as in `Date` and `Retry-After`.
pub(super) fn http_date(value: &str) -> Option<Timestamp> {
    k8s_openapi::jiff::fmt::rfc2822::parse(value)
        .ok()
        .map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests;
