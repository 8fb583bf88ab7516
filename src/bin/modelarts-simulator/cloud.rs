//! The simulated cloud as one value: who may ask, what there is, what is scripted to go wrong and
//! what was asked. It turns a request into an answer under one lock, and never touches the network.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::Method;
use fastrand::Rng;
use k8s_openapi::jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimePrinter};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    accounts::{Accounts, Project},
    catalogue,
    exchange::{Answer, Incoming},
    faults::{self, Fault},
    fleet::Pool,
    gateway, iam,
    life::Life,
    pools_api,
};

/// The cloud as handlers and the passing of time share it.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Cloud>>);

impl Shared {
    pub fn new(cloud: Cloud) -> Self {
        Self(Arc::new(Mutex::new(cloud)))
    }

    /// A handler that died under the lock leaves nothing worse than one odd pool, so the cloud goes
    /// on.
    pub fn lock(&self) -> MutexGuard<'_, Cloud> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Cloud {
    pub accounts: Accounts,
    pub faults: Vec<Fault>,
    pub settings: Settings,
    pub requests: RequestLog,
    /// In the order the projects were named, so that the first is the default one.
    fleets: Vec<Fleet>,
    sample: Value,
}

/// One project's pools and their story.
struct Fleet {
    project: Project,
    pools: Vec<Pool>,
    life: Life,
}

/// What can be changed while the cloud runs.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Lists are cut into pages of this many pools; absent means one answer holds all.
    pub page_size: Option<usize>,
    /// How far the cloud's clock is from ours.
    pub clock_offset_seconds: i64,
    pub life_paused: bool,
}

/// The latest requests, oldest first.
#[derive(Default)]
pub struct RequestLog {
    pub entries: VecDeque<LoggedRequest>,
    next_seq: u64,
}

/// One request as tests look at it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggedRequest {
    seq: u64,
    time: Timestamp,
    method: String,
    path: String,
    query: Vec<(String, String)>,
    /// The key that the request proved to hold.
    access_key: Option<String>,
    /// The key that the request named.
    claimed_access_key: Option<String>,
    /// Absent where a fault left no answer at all.
    status: Option<u16>,
    request_id: String,
}

/// A test that runs for hours should not fill the memory.
const REMEMBERED_REQUESTS: usize = 100_000;

impl Cloud {
    /// A cloud with empty fleets for every project of the accounts.
    pub fn new(accounts: Accounts, sample: Value) -> Self {
        let mut cloud = Self {
            accounts,
            faults: Vec::new(),
            settings: Settings::default(),
            requests: RequestLog::default(),
            fleets: Vec::new(),
            sample,
        };
        cloud.seed(0, 0);
        cloud
    }

    /// Starts every project's fleet and story again. Only the first project holds the vendor's
    /// sample.
    pub fn seed(&mut self, size: usize, seed: u64) {
        self.fleets.clear();
        for (index, project) in self.accounts.projects().into_iter().enumerate() {
            let mut rng = Rng::with_seed(seed.wrapping_add(index as u64));
            let sample = Some(&self.sample).filter(|_| index == 0);
            let pools = catalogue::seed(sample, &project, size, &mut rng);
            let untouched = sample
                .and(pools.first())
                .and_then(Pool::name)
                .map(str::to_owned);
            let life = Life::new(rng, project.clone(), &pools, untouched);
            self.fleets.push(Fleet {
                project,
                pools,
                life,
            });
        }
    }

    /// Gives a project that an account has just brought along an empty fleet.
    pub fn found_missing_projects(&mut self) {
        for project in self.accounts.projects() {
            if !self
                .fleets
                .iter()
                .any(|fleet| fleet.project.id == project.id)
            {
                let life = Life::new(Rng::with_seed(0), project.clone(), &[], None);
                self.fleets.push(Fleet {
                    project,
                    pools: Vec::new(),
                    life,
                });
            }
        }
    }

    /// The pools of a project, or of the first one.
    pub fn pools(&mut self, project: Option<&str>) -> Option<&mut Vec<Pool>> {
        let wanted = |fleet: &&mut Fleet| project.is_none_or(|id| id == fleet.project.id);
        self.fleets
            .iter_mut()
            .find(wanted)
            .map(|fleet| &mut fleet.pools)
    }

    /// Lets one step of time pass.
    pub fn live(&mut self, real_now: Timestamp) {
        if self.settings.life_paused {
            return;
        }
        let now = self
            .now(real_now)
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        for fleet in &mut self.fleets {
            fleet.life.step(&mut fleet.pools, &now);
        }
    }

    /// Answers a request, and says which fault is to strike it on its way back.
    pub fn answer(&mut self, incoming: &Incoming, real_now: Timestamp) -> (Answer, Option<Fault>) {
        let now = self.now(real_now);
        let (real, proven) = self.route(incoming, now);
        let fault = faults::strike(&mut self.faults, incoming);
        let mut answer = match &fault {
            Some(fault) => fault.distort(real),
            None => real,
        };
        let is_answered = !fault
            .as_ref()
            .is_some_and(|fault| fault.hang || fault.reset);
        self.requests.record(
            incoming,
            proven,
            Some(answer.status).filter(|_| is_answered),
            real_now,
        );
        // A fault may have set these itself.
        let date = DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&now)
            .unwrap_or_default();
        for (name, value) in [
            ("Date", date),
            ("X-Request-Id", incoming.request_id.clone()),
        ] {
            if !answer
                .headers
                .iter()
                .any(|(set, _)| set.eq_ignore_ascii_case(name))
            {
                answer.headers.push((name.to_owned(), value));
            }
        }
        (answer, fault)
    }

    /// The real answer, and the access key that was proven on the way. The path comes before the
    /// key: the gateway has nobody to ask about a path that no service has published.
    fn route(&mut self, incoming: &Incoming, now: Timestamp) -> (Answer, Option<String>) {
        let path = incoming.path.clone();
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let project = match (&incoming.method, segments.as_slice()) {
            (&Method::GET, ["v2", project, "pools"]) => Some(*project),
            (&Method::GET, ["v3", "projects"]) => None,
            _ => return (gateway::not_published(incoming), None),
        };
        let account = match gateway::authenticate(&mut self.accounts, incoming, now) {
            Ok(account) => account,
            Err(refusal) => return (refusal, None),
        };
        let answer = match project {
            None => iam::list_projects(&account, incoming),
            Some(id)
                if !account.opens(id)
                    || incoming
                        .header("x-project-id")
                        .is_some_and(|named| named != id) =>
            {
                let message =
                    "The project ID in the URL does not match the project ID of the credentials.";
                Answer::service_error(403, "ModelArts.0210", message)
            }
            Some(id) => {
                let page_size = self.settings.page_size;
                pools_api::list(
                    self.pools(Some(id)).map_or(&[], |pools| pools),
                    incoming,
                    page_size,
                )
            }
        };
        (answer, Some(account.access_key))
    }

    fn now(&self, real_now: Timestamp) -> Timestamp {
        let offset = SignedDuration::from_secs(self.settings.clock_offset_seconds);
        real_now.checked_add(offset).unwrap_or(real_now)
    }
}

impl RequestLog {
    fn record(
        &mut self,
        incoming: &Incoming,
        proven: Option<String>,
        status: Option<u16>,
        time: Timestamp,
    ) {
        if self.entries.len() == REMEMBERED_REQUESTS {
            self.entries.pop_front();
        }
        self.entries.push_back(LoggedRequest {
            seq: self.next_seq,
            time,
            method: incoming.method.to_string(),
            path: incoming.path.clone(),
            query: incoming.query.clone(),
            access_key: proven,
            claimed_access_key: gateway::claimed_access_key(incoming).map(str::to_owned),
            status,
            request_id: incoming.request_id.clone(),
        });
        self.next_seq += 1;
    }
}
