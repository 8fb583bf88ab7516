//! Asks the cloud: signed, bounded in time and size, every page of every list, or an error.
//!
//! Never retries and never decides when to ask again; that is the source's business.

use std::collections::{BTreeSet, HashMap};
use std::error::Error as _;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use percent_encoding::utf8_percent_encode;
use reqwest::Certificate;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::endpoint::{Endpoint, Endpoints};
use super::error::{Answer, classify, http_date};
use super::guard::Guard;
use super::reach::{PrivateAddress, PublicOnly, Reach};
use super::snapshot::{ListAnswer, QueryKey, Snapshot, read_page};
use super::{Class, Credentials, PollError, sign};
use crate::api::{ListStatus, Query};

/// The decoded size of one answer; a thousand pools take about 2 MB.
const MAX_BODY: usize = 64 << 20;

/// The pages of one list.
const MAX_PAGES: usize = 100;

/// One poll, all its calls together.
const MAX_POLL: Duration = Duration::from_secs(10 * 60);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The HTTP side of the cloud.
pub struct Client {
    /// For endpoints that the administrator named.
    anywhere: reqwest::Client,
    /// For endpoints whose names a region is part of.
    public: reqwest::Client,
    endpoints: Endpoints,
    guard: Guard,
    /// Project IDs by identity, region and project name: they never change, so one look-up in
    /// the life of the process is enough.
    projects: Mutex<HashMap<[String; 3], String>>,
}

/// What to list.
#[derive(Clone, Debug)]
pub struct Target {
    /// The region's ID.
    pub region: String,
    /// The project's ID.
    pub project_id: String,
    /// The list call's parameters.
    pub query: Query,
    /// The time one request may take.
    pub timeout: Duration,
}

/// One list call: a workspace and, unless it is the default list, a status.
struct ListCall<'a> {
    workspace_id: &'a str,
    status: Option<ListStatus>,
}

/// One signed GET.
struct Get<'a> {
    operation: &'static str,
    region: &'a str,
    endpoint: &'a Endpoint,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    project_id: Option<&'a str>,
    timeout: Duration,
}

impl Client {
    /// A client that follows no redirect: a redirect would carry the signature elsewhere. It
    /// believes `certificates` besides the system's. Proxies are taken from the standard
    /// environment variables.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(endpoints: Endpoints, certificates: &[Certificate]) -> anyhow::Result<Self> {
        let http = || {
            reqwest::Client::builder()
                .user_agent(concat!(
                    env!("CARGO_PKG_NAME"),
                    "/",
                    env!("CARGO_PKG_VERSION")
                ))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .tls_certs_merge(certificates.iter().cloned())
        };
        let build = |http: reqwest::ClientBuilder| http.build().context("set up the HTTP client");
        Ok(Self {
            anywhere: build(http())?,
            public: build(http().dns_resolver(PublicOnly))?,
            endpoints,
            guard: Guard::default(),
            projects: Mutex::default(),
        })
    }

    /// The ModelArts endpoint of a region, for people to read.
    ///
    /// # Errors
    /// Where the region gives no URL.
    pub fn endpoint(&self, region: &str) -> Result<Endpoint, PollError> {
        self.endpoints
            .modelarts(region)
            .map_err(|error| invalid_region(region, error))
    }

    /// Lists all that `target` names: workspaces × lists × pages.
    ///
    /// # Errors
    /// Where any one of the calls fails or is not read to its end.
    pub async fn poll(
        &self,
        target: &Target,
        credentials: &Credentials,
    ) -> Result<Snapshot, PollError> {
        tokio::time::timeout(MAX_POLL, self.list_all(target, credentials))
            .await
            .unwrap_or_else(|_| {
                Err(PollError::new(
                    "list pools",
                    Class::Unreachable,
                    "the lists were not complete after ten minutes",
                ))
            })
    }

    async fn list_all(
        &self,
        target: &Target,
        credentials: &Credentials,
    ) -> Result<Snapshot, PollError> {
        let endpoint = self.endpoint(&target.region)?;
        let mut answers = Vec::new();
        for call in list_calls(&target.query) {
            answers.push(ListAnswer {
                items: self.list(target, &endpoint, &call, credentials).await?,
                of_failed: call.status == Some(ListStatus::Failed),
            });
        }
        Snapshot::complete(query_key(target, credentials), answers, Timestamp::now())
    }

    /// One list, following continue tokens. A page that fails fails the list; a token that comes
    /// back means that the pages would never end.
    async fn list(
        &self,
        target: &Target,
        endpoint: &Endpoint,
        call: &ListCall<'_>,
        credentials: &Credentials,
    ) -> Result<Vec<Box<serde_json::value::RawValue>>, PollError> {
        const OPERATION: &str = "list pools";
        let path = format!("/v2/{}/pools", target.project_id);
        let mut items = Vec::new();
        let mut tokens = BTreeSet::new();
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut query = vec![("workspaceId", call.workspace_id)];
            if !target.query.label_selector.is_empty() {
                query.push(("labelSelector", &target.query.label_selector));
            }
            if let Some(status) = call.status {
                query.push(("status", status.as_str()));
            }
            if let Some(token) = &next {
                query.push(("continue", token));
            }
            let request = Get {
                operation: OPERATION,
                region: &target.region,
                endpoint,
                path: &path,
                query: &query,
                project_id: Some(&target.project_id),
                timeout: target.timeout,
            };
            let body = self.get(&request, credentials).await?;
            let (page, token) = read_page(OPERATION, &body)?;
            items.extend(page);
            match token {
                None => return Ok(items),
                Some(token) if !tokens.insert(token.clone()) => {
                    return Err(PollError::new(
                        OPERATION,
                        Class::Decode,
                        "the list repeats a continue token",
                    ));
                }
                token => next = token,
            }
        }
        Err(PollError::new(
            OPERATION,
            Class::Decode,
            format!("the list has more than {MAX_PAGES} pages"),
        ))
    }

    /// The ID of the project of this name, asked of IAM once and then remembered.
    ///
    /// # Errors
    /// Where IAM fails, knows no such project or more than one.
    pub async fn project_id(
        &self,
        region: &str,
        name: &str,
        timeout: Duration,
        credentials: &Credentials,
    ) -> Result<String, PollError> {
        const OPERATION: &str = "look up project";
        let key = [credentials.identity(), region, name].map(str::to_owned);
        if let Some(known) = self.remembered_projects().get(&key) {
            return Ok(known.clone());
        }
        let endpoint = self
            .endpoints
            .iam(region)
            .map_err(|error| invalid_region(region, error))?;
        let query = [("name", name)];
        let mut request = Get {
            operation: OPERATION,
            region,
            endpoint: &endpoint,
            path: "/v3/projects",
            query: &query,
            project_id: None,
            timeout,
        };
        let body = match self.get(&request, credentials).await {
            // Listing projects needs a right of its own; the projects that the caller may enter
            // can be listed without any.
            Err(error) if error.class == Class::Permission => {
                request.path = "/v3/auth/projects";
                request.query = &[];
                self.get(&request, credentials).await?
            }
            answer => answer?,
        };
        let id = only_project(&body, name)
            .map_err(|detail| PollError::new(OPERATION, Class::InvalidSpec, detail))?;
        self.remembered_projects().insert(key, id.clone());
        Ok(id)
    }

    fn remembered_projects(&self) -> std::sync::MutexGuard<'_, HashMap<[String; 3], String>> {
        self.projects
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes one call when it is its turn.
    async fn get(
        &self,
        request: &Get<'_>,
        credentials: &Credentials,
    ) -> Result<Vec<u8>, PollError> {
        let turn = self
            .guard
            .turn(request.operation, credentials, request.region);
        let turn = turn.await?;
        let answer = self.exchange(request, credentials).await;
        turn.end(answer.as_ref().err(), Timestamp::now());
        answer
    }

    /// Signs, sends and reads one request within its time-out.
    async fn exchange(
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

        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_BODY => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    return Err(trace(PollError::new(
                        operation,
                        Class::Decode,
                        format!("the answer is larger than {MAX_BODY} bytes"),
                    )));
                }
                Ok(None) => break,
                // An error answer is classified by its status even if its body breaks off.
                Err(_) if !status.is_success() => break,
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

/// The calls of one poll. `created` with `creating` is what the cloud lists without a parameter.
fn list_calls(query: &Query) -> Vec<ListCall<'_>> {
    let asked: BTreeSet<ListStatus> = query.statuses.iter().copied().collect();
    let mut lists: Vec<Option<ListStatus>> = asked.iter().copied().map(Some).collect();
    if asked.contains(&ListStatus::Created) && asked.contains(&ListStatus::Creating) {
        lists.retain(|status| *status == Some(ListStatus::Failed));
        lists.insert(0, None);
    }
    let workspaces: BTreeSet<&str> = query.workspace_ids.iter().map(String::as_str).collect();
    workspaces
        .into_iter()
        .flat_map(|workspace_id| {
            lists.iter().map(move |status| ListCall {
                workspace_id,
                status: *status,
            })
        })
        .collect()
}

fn query_key(target: &Target, credentials: &Credentials) -> QueryKey {
    let sorted = |values: BTreeSet<String>| values.into_iter().collect();
    QueryKey {
        region: target.region.clone(),
        project_id: target.project_id.clone(),
        workspace_ids: sorted(target.query.workspace_ids.iter().cloned().collect()),
        label_selector: target.query.label_selector.clone(),
        statuses: target
            .query
            .statuses
            .iter()
            .map(|status| status.as_str())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        identity: credentials.identity().to_owned(),
    }
}

/// The URL and headers of a request, signed last over exactly what goes on the wire.
fn signed(
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
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let (class, what) = if causes.any(|cause| cause.is::<PrivateAddress>()) {
        (Class::Endpoint, "the endpoint is refused")
    } else if error.is_timeout() {
        (Class::Unreachable, "no answer in time")
    } else if error.is_connect() {
        (Class::Unreachable, "no connection")
    } else {
        (Class::Unreachable, "the exchange failed")
    };
    PollError::new(operation, class, what).caused_by(error.without_url())
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

fn invalid_region(region: &str, error: anyhow::Error) -> PollError {
    PollError::new(
        "choose endpoint",
        Class::InvalidSpec,
        format!("region {region:?} gives no endpoint"),
    )
    .caused_by(error)
}

/// The one project of this name; the vendor's own SDK refuses none and several alike.
fn only_project(body: &[u8], name: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Projects {
        projects: Vec<Project>,
    }
    #[derive(Deserialize)]
    struct Project {
        id: String,
        name: String,
    }
    let projects: Projects = serde_json::from_slice(body)
        .map_err(|_| "IAM's answer is no list of projects; set projectId".to_owned())?;
    let mut named = projects.projects.into_iter().filter(|p| p.name == name);
    let quoted = utf8_percent_encode(name, percent_encoding::CONTROLS);
    match (named.next(), named.next()) {
        (Some(project), None) if is_project_id(&project.id) => Ok(project.id),
        (Some(_), None) => Err(format!(
            "IAM gives project {quoted} an unusable ID; set projectId"
        )),
        (None, _) => Err(format!(
            "IAM knows no project {quoted} for these credentials; set projectId or projectName"
        )),
        (Some(_), Some(_)) => Err(format!(
            "IAM knows several projects {quoted}; set projectId"
        )),
    }
}

/// A project's ID goes into the request's path, so nothing else may.
fn is_project_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
