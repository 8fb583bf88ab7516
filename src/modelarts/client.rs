//! Asks the cloud: signed, bounded in time and size, every page of every list, or an error.
//!
//! Never retries and never decides when to ask again; that is the source's business.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use super::endpoint::{Endpoint, Endpoints};
use super::guard::Guard;
use super::items::MAX_POOLS;
use super::request::{Get, Http, MAX_BODY, too_large};
use super::requests::Requests;
use super::snapshot::{ListAnswer, QueryKey, Snapshot, read_page};
use super::{Class, Credentials, PollError, Trust};
use crate::api::{ListStatus, Query};

/// The pages of one list.
const MAX_PAGES: usize = 100;

/// One poll, all its calls together.
const MAX_POLL: Duration = Duration::from_secs(10 * 60);

/// The HTTP side of the cloud.
pub struct Client {
    http: Http,
    endpoints: Endpoints,
    guard: Guard,
    requests: Requests,
    /// Project IDs by identity, region and project name: they never change, so one look-up in
    /// the life of the process is enough.
    projects: Mutex<HashMap<[String; 3], String>>,
}

/// What one poll has read so far, all its pages together: they are held until the last one came.
#[derive(Default)]
struct Read {
    pools: usize,
    bytes: usize,
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

impl Client {
    /// A client of these endpoints that trusts like this.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(endpoints: Endpoints, trust: &Trust) -> anyhow::Result<Self> {
        Ok(Self {
            http: Http::new(trust)?,
            endpoints,
            guard: Guard::default(),
            requests: Requests::default(),
            projects: Mutex::default(),
        })
    }

    /// How long its requests took.
    pub fn requests(&self) -> &Requests {
        &self.requests
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
        let mut read = Read::default();
        for call in list_calls(&target.query) {
            let items = self.list(target, &endpoint, &call, credentials, &mut read);
            answers.push(ListAnswer {
                items: items.await?,
                of_failed: call.status == Some(ListStatus::Failed),
            });
        }
        let key = query_key(target, credentials);
        Ok(Snapshot::complete(key, answers, Timestamp::now()))
    }

    /// One list, following continue tokens. A page that fails fails the list; a token that comes
    /// back means that the pages would never end.
    async fn list(
        &self,
        target: &Target,
        endpoint: &Endpoint,
        call: &ListCall<'_>,
        credentials: &Credentials,
        read: &mut Read,
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
            read.add(OPERATION, page.len(), body.len())?;
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
        let begun = std::time::Instant::now();
        let answer = self.http.get(request, credentials).await;
        let failure = answer.as_ref().err();
        self.requests
            .observe(request.operation, begun.elapsed(), failure);
        turn.end(failure, Timestamp::now());
        answer
    }
}

impl Read {
    fn add(
        &mut self,
        operation: &'static str,
        pools: usize,
        bytes: usize,
    ) -> Result<(), PollError> {
        self.pools += pools;
        self.bytes += bytes;
        let detail = if self.pools > MAX_POOLS {
            format!("more than the {MAX_POOLS} pools that one source may have")
        } else if self.bytes > MAX_BODY {
            format!("all pages together are larger than {MAX_BODY} bytes")
        } else {
            return Ok(());
        };
        Err(too_large(operation, &detail))
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
