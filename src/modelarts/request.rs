//! One signed GET, from its parts to the bytes of its answer, bounded in time and size. It knows
//! nothing of pools, and gives no answer but a success.

use std::error::Error;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderValue};
use rustls::CertificateError;
use secrecy::ExposeSecret as _;

use super::endpoint::Endpoint;
use super::error::{Answer, classify, http_date};
use super::reach::{PrivateAddress, PublicOnly, Reach, Trust};
use super::{Class, Credentials, PollError, sign};

/// The decoded size of all answers of a poll; a thousand pools take about 2 MB. What is read is held
/// twice while it is decoded, and fits into the memory that a small pod has.
pub(super) const MAX_BODY: usize = 32 << 20;

/// As much of an answer that is no success as is looked at.
const MAX_ERROR: usize = 64 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Two clients that differ in where names may lead.
pub(super) struct Http {
    /// For endpoints that the administrator named.
    anywhere: reqwest::Client,
    /// For endpoints whose names a region is part of.
    public: reqwest::Client,
}

/// One signed GET.
pub(super) struct Get<'a> {
    pub operation: &'static str,
    pub region: &'a str,
    pub endpoint: &'a Endpoint,
    pub path: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub project_id: Option<&'a str>,
    pub timeout: Duration,
}

impl Http {
    /// Clients that trust like this.
    pub fn new(trust: &Trust) -> anyhow::Result<Self> {
        let build = |http: reqwest::ClientBuilder| http.build().context("set up the HTTP client");
        Ok(Self {
            anywhere: build(builder(trust))?,
            public: build(builder(trust).dns_resolver(PublicOnly::but(trust)))?,
        })
    }

    /// Signs, sends and reads one request within its time-out.
    pub async fn get(
        &self,
        request: &Get<'_>,
        credentials: &Credentials,
    ) -> Result<Vec<u8>, PollError> {
        let operation = request.operation;
        let (url, headers) = signed(request, credentials, Timestamp::now());
        let http = match request.endpoint.reach() {
            Reach::Anywhere => &self.anywhere,
            Reach::Public => &self.public,
        };
        let sent = http
            .get(url)
            .headers(headers)
            .timeout(request.timeout)
            .send();
        let mut response = sent.await.map_err(|error| unreachable(operation, error))?;

        let status = response.status();
        let text = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let request_id = text("x-request-id").map(|id| id.chars().take(64).collect::<String>());
        let server_time = text("date").as_deref().and_then(http_date);
        let wish = text("retry-after");
        let trace = |mut error: PollError| {
            error.request_id = request_id.clone().map(Into::into);
            error.server_time = server_time;
            error
        };

        let most = if status.is_success() {
            MAX_BODY
        } else {
            MAX_ERROR
        };
        let larger = || {
            let detail = format!("the answer is larger than {MAX_BODY} bytes");
            trace(too_large(operation, &detail))
        };
        if status.is_success() && response.content_length() > Some(MAX_BODY as u64) {
            return Err(larger());
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= most => {
                    body.extend_from_slice(&chunk);
                }
                Ok(None) => break,
                // An error answer is classified by its status, whatever becomes of its body.
                _ if !status.is_success() => break,
                Ok(Some(_)) => return Err(larger()),
                Err(error) => return Err(trace(broken_off(operation, error))),
            }
        }
        if status.is_success() {
            return Ok(body);
        }
        let answer = Answer {
            operation,
            status: status.as_u16(),
            body: &body,
            retry_after: wish.as_deref(),
            request_id: request_id.clone(),
            server_time,
        };
        Err(classify(&answer, Timestamp::now()))
    }
}

/// What every client of the cloud has in common. It follows no redirect: a redirect would carry
/// the signature or a token elsewhere. Proxies are taken from the standard environment variables.
pub(super) fn builder(trust: &Trust) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!(
            env!("CARGO_PKG_NAME"),
            "/",
            env!("CARGO_PKG_VERSION")
        ))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tls_certs_merge(trust.certificates.iter().cloned())
}

/// The URL and headers of a request, signed last over exactly what goes on the wire.
pub(super) fn signed(
    request: &Get<'_>,
    credentials: &Credentials,
    now: Timestamp,
) -> (reqwest::Url, HeaderMap) {
    let mut extra: Vec<(&str, &str)> = Vec::new();
    if let Some(id) = request.project_id {
        extra.push(("x-project-id", id));
    }
    if let Some(token) = &credentials.security_token {
        extra.push(("x-security-token", token.expose_secret()));
    }
    let parts = sign::Request {
        method: "GET",
        host: request.endpoint.host(),
        path: request.path,
        query: request.query,
        headers: &extra,
        body: b"",
    };
    let signed = sign::sign(
        &parts,
        &credentials.access_key,
        &credentials.secret_key,
        now,
    );
    let own = [
        ("host", request.endpoint.host()),
        (sign::DATE_HEADER, &signed.date),
        ("authorization", signed.authorization.expose_secret()),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in extra.into_iter().chain(own) {
        let name = reqwest::header::HeaderName::from_bytes(name.as_bytes());
        // A value that cannot stand in a header cannot be signed either: the cloud refuses the
        // request without it, which is the honest outcome.
        if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(value)) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    (request.endpoint.url(request.path, &signed.query), headers)
}

pub(super) fn unreachable(operation: &'static str, error: reqwest::Error) -> PollError {
    let failure = |class, what: &str| PollError::new(operation, class, what);
    let failure = if causes(&error).any(|cause| cause.is::<PrivateAddress>()) {
        failure(Class::Endpoint, PrivateAddress.to_string().as_str()).shown()
    } else if let Some(distrust) = distrust(&error) {
        failure(Class::Unreachable, distrust).shown()
    } else if error.is_timeout() {
        failure(Class::Unreachable, "no answer in time")
    } else if error.is_connect() {
        failure(Class::Unreachable, "no connection")
    } else {
        failure(Class::Unreachable, "the exchange failed")
    };
    failure.caused_by(error.without_url())
}

/// An error's causes. What an I/O error wraps is not among its own.
fn causes<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| {
        let cause: &'a (dyn Error + 'static) = *cause;
        let io = cause.downcast_ref::<std::io::Error>();
        match io.and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        }
    })
}

/// Why the certificate of the other side is not believed, where that is what went wrong.
fn distrust(error: &reqwest::Error) -> Option<&'static str> {
    let fault = causes(error).find_map(|cause| match cause.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(fault) => Some(fault),
        _ => None,
    })?;
    Some(match fault {
        CertificateError::UnknownIssuer => {
            "the endpoint's certificate is of an authority that is not known here; name the authority with --ca-bundle if it is yours"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the endpoint's certificate has expired; have it renewed, or correct this node's clock"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the endpoint's certificate is for another host; check the endpoint, and what stands between it and here"
        }
        _ => "the endpoint's certificate is not valid; the controller's log says why",
    })
}

/// A list that nobody could mean to be mirrored as one.
pub(super) fn too_large(operation: &'static str, what: &str) -> PollError {
    let advice = "narrow the list with query.workspaceIds or query.labelSelector";
    PollError::new(operation, Class::Decode, format!("{what}; {advice}")).shown()
}

/// A body that ends before its time is no complete list; one that only stalls may come next time.
fn broken_off(operation: &'static str, error: reqwest::Error) -> PollError {
    let class = if error.is_timeout() {
        Class::Unreachable
    } else {
        Class::Decode
    };
    PollError::new(operation, class, "the answer broke off").caused_by(error.without_url())
}
