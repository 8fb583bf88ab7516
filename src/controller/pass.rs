//! One pass over one source: poll → plan → apply → report. It only puts the pure functions and
//! the writers in order, and remembers what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Resource as _};
use tracing::{debug, info, warn};

use super::ask::{NoSnapshot, ask};
use super::call::{ReconcileError, chain};
use super::context::Context;
use super::events;
use super::memory::{Failure, Memory};
use super::report::{self, Before};
use super::schedule::{self, Timing};
use crate::api::{
    CONFIRM_PRUNE, ModelArtsPool, ModelArtsPoolSource, ModelArtsPoolSourceStatus, News,
    REQUESTED_AT,
};
use crate::mirror::apply::Writer;
use crate::mirror::{self, Mirrors, Owner, Pace, Policy, apply, plan, plan_stale};
use crate::modelarts::{Class, PollError, Snapshot};

/// Repairs in a row after which another writer is behind it, and not a person.
const CONTESTED: u32 = 4;

/// One pass over one source.
pub(super) struct Pass<'a> {
    pub source: &'a ModelArtsPoolSource,
    pub context: &'a Context,
    pub owner: &'a Owner,
    pub memory: &'a mut Memory,
}

impl Pass<'_> {
    /// Says that polling is suspended.
    pub async fn suspend(&mut self) -> Result<(), ReconcileError> {
        let before = self.status();
        let status = report::suspended(&self.before(&before));
        self.write(status).await?;
        self.memory.suspended_at = self.source.metadata.generation;
        Ok(())
    }

    /// Makes every mirror say that it is no longer known to be true, and the source that it fails.
    pub async fn go_stale(&mut self) -> Result<(), ReconcileError> {
        let since = schedule::last_sync(self.source, self.memory);
        let mirrors = self.context.inventory.mirrors(&self.owner.namespace);
        let changes = plan_stale(&mirrors, self.owner, since);
        // What the last snapshot wanted is no longer what should be there.
        self.forget_intended();
        warn!(namespace = %self.owner.namespace, source = %self.owner.name, mirrors = changes.len(), "mirrors go stale");
        self.memory.stale = self.apply(changes, &mirrors).await.is_settled();
        if self.memory.stale {
            let since = since.map_or_else(|| "it was created".to_owned(), |at| format!("{at:.0}"));
            let note = format!(
                "there was no complete list since {since}; the mirrors no longer claim to be current"
            );
            self.tell(vec![News::warning("Stale", note)]).await;
        }
        if self.source.spec.suspend {
            return Ok(());
        }
        self.report_failure().await
    }

    /// Writes the status that the API server did not take the last time, if there is one.
    pub async fn settle(&mut self) -> Result<(), ReconcileError> {
        match self.memory.owed.clone() {
            Some(status) => self.write(status).await,
            None => Ok(()),
        }
    }

    /// Asks the cloud, and brings the mirrors to agree with what it says.
    pub async fn poll(
        &mut self,
        timing: Result<Timing, String>,
        drifted: bool,
    ) -> Result<(), ReconcileError> {
        let before = self.memory.clone();
        self.memory.suspended_at = None;
        self.memory.generation = self.source.metadata.generation;
        self.memory.requested_at =
            schedule::annotation(self.source, REQUESTED_AT).map(str::to_owned);
        self.memory.confirmed = schedule::annotation(self.source, CONFIRM_PRUNE).map(str::to_owned);
        let timing = match timing {
            Ok(timing) => timing,
            Err(detail) => {
                let error = PollError::new("read spec", Class::InvalidSpec, detail);
                return self.failed(&error, Duration::from_secs(60)).await;
            }
        };
        match self.snapshot(timing).await {
            Ok((snapshot, endpoint)) => self.mirror(&snapshot, endpoint, timing, drifted).await,
            Err(NoSnapshot::Cloud(error)) => self.failed(&error, timing.interval).await,
            Err(NoSnapshot::Cluster(error)) => {
                self.take_back(before);
                Err(error)
            }
            Err(NoSnapshot::Ended) => {
                self.take_back(before);
                Ok(())
            }
        }
    }

    /// The cloud said nothing, so whatever a person wanted is still to be done.
    fn take_back(&mut self, before: Memory) {
        *self.memory = Memory {
            stale: self.memory.stale,
            ..before
        };
    }

    /// Asks the cloud. Should the answer take so long that the mirrors become stale meanwhile,
    /// they say so before it arrives.
    async fn snapshot(&mut self, timing: Timing) -> Result<(Snapshot, String), NoSnapshot> {
        let (source, context) = (self.source, self.context);
        let owner = self.owner;
        let asking = async {
            tokio::select! {
                answer = ask(source, context, owner, timing) => answer,
                () = context.ended() => Err(NoSnapshot::Ended),
            }
        };
        futures::pin_mut!(asking);
        let stale_at =
            schedule::stale_at(source, self.memory, timing).filter(|_| !self.memory.stale);
        if let Some(at) = stale_at {
            let left = at.duration_since(Timestamp::now());
            let left = Duration::try_from(left)
                .unwrap_or_default()
                .max(schedule::GRACE);
            tokio::select! {
                answer = &mut asking => return answer,
                () = tokio::time::sleep(left) => {}
            }
            self.go_stale().await.map_err(NoSnapshot::Cluster)?;
        }
        asking.await
    }

    async fn mirror(
        &mut self,
        snapshot: &Snapshot,
        endpoint: String,
        timing: Timing,
        drifted: bool,
    ) -> Result<(), ReconcileError> {
        let now = Timestamp::now();
        let mirrors = self.context.inventory.mirrors(&self.owner.namespace);
        let policy = Policy {
            prune: &self.source.spec.prune,
            confirmed: self.memory.confirmed.as_deref(),
            pace: self.pace(drifted, timing, now),
        };
        let mut plan = plan(
            &mirrors,
            snapshot,
            self.owner,
            policy,
            self.memory.absences.as_ref(),
            now,
        );
        self.intend(std::mem::take(&mut plan.intended));
        let changes = std::mem::take(&mut plan.changes);
        let planned = changes.len();
        let outcome = self.apply(changes, &mirrors).await;
        // What the API server does not want is tried again at the next poll, and not as a drift.
        let refused = outcome.refused.values().flatten();
        let inventory = &self.context.inventory;
        inventory.give_up(&self.owner.namespace, refused.clone());
        self.memory.record.refused = refused.count();
        info!(
            namespace = %self.owner.namespace, source = %self.owner.name,
            pools = plan.tally.pools, planned, done = outcome.done, conflicts = outcome.conflicts,
            failed = outcome.failed, "polled"
        );
        for item in snapshot.set_aside() {
            warn!(source = %self.owner.name, pool = item.name.as_deref().unwrap_or("?"), why = %item.why, "set aside");
        }
        self.memory.repairs = if drifted {
            self.memory.repairs.saturating_add(1)
        } else {
            0
        };
        if self.memory.repairs == CONTESTED {
            let note = "something else keeps changing or deleting the mirrors; they are restored ever more rarely, at last once per interval";
            self.tell(vec![News::warning("RepairContested", note)])
                .await;
        }
        let after = Duration::from_secs(1 << self.memory.repairs.min(12)).min(timing.interval);
        self.memory.repair_after = later(now, after);

        let whole = snapshot.set_aside().is_empty() && plan.contested.is_empty();
        self.count(if whole { "Succeeded" } else { "PartialSuccess" });
        let record = &mut self.memory.record;
        record.set_aside = snapshot.set_aside().len();
        record.rejects += record.set_aside as u64;
        record.tally = plan.tally.clone();
        self.memory.snapshot_at = Some(snapshot.taken_at());
        self.memory.stale = false;
        self.memory.failure = None;
        self.memory.absences = Some(plan.absences.clone());
        let stored = self.status();
        if outcome.is_settled() {
            self.memory.failures = 0;
            let spread = 1.0 + schedule::JITTER * fastrand::f64();
            self.memory.next_poll = later(now, timing.interval.mul_f64(spread));
            let synced = report::Synced {
                plan: &plan,
                refused: &outcome.refused,
                project_id: &snapshot.key().project_id,
                endpoint,
                taken_at: snapshot.taken_at(),
            };
            let status = report::synced(&self.before(&stored), &synced);
            return self.write(status).await;
        }
        // The plan is made anew soon: a conflict brings the other's version through the watch.
        self.memory.failures = self.memory.failures.saturating_add(1);
        let retry = Class::Upstream.delay(self.memory.failures, timing.interval, fastrand::f64());
        self.memory.next_poll = later(now, retry);
        // A conflict or two are somebody else's writes; many in a row are a fault to be seen.
        if outcome.failed == 0 && (outcome.cancelled > 0 || self.memory.failures < CONTESTED) {
            return Ok(());
        }
        let status = report::unwritten(&self.before(&stored));
        self.write(status).await
    }

    /// Polls that repair or try again come as little as a second after the last one.
    fn pace(&self, drifted: bool, timing: Timing, now: Timestamp) -> Pace {
        let soon = |at: Timestamp| {
            let since = Duration::try_from(now.duration_since(at)).unwrap_or_default();
            since < timing.interval / 2
        };
        let hurried = drifted || self.memory.failures > 0;
        if hurried && self.memory.snapshot_at.is_some_and(soon) {
            Pace::Hurried
        } else {
            Pace::Regular
        }
    }

    async fn failed(
        &mut self,
        error: &PollError,
        interval: Duration,
    ) -> Result<(), ReconcileError> {
        // Failures of another kind say nothing about how long this one will last.
        let reason = error.class.reason();
        self.count(reason);
        let before = self.memory.failure.as_ref().map(|it| it.class.reason());
        self.memory.failures = match before {
            Some(before) if before != reason => 1,
            _ => self.memory.failures.saturating_add(1),
        };
        let delay = error
            .class
            .delay(self.memory.failures, interval, fastrand::f64());
        let now = Timestamp::now();
        self.memory.next_poll = later(now, delay);
        let failure = Failure {
            class: error.class,
            message: error.message(),
        };
        let request_id = error.request_id.as_deref();
        let (namespace, source) = (&self.owner.namespace, &self.owner.name);
        let error = chain(error);
        // A failure is said once, and again when it becomes another one.
        if before == Some(reason) {
            debug!(%namespace, %source, reason, request_id, error, ?delay, "poll failed again");
        } else {
            warn!(%namespace, %source, reason, request_id, error, ?delay, "poll failed");
        }
        self.memory.failure = Some(failure);
        self.report_failure().await
    }

    async fn report_failure(&mut self) -> Result<(), ReconcileError> {
        // Without a failure of its own, what went stale is a poll that has no answer yet.
        let failure = self.memory.failure.clone().unwrap_or_else(|| Failure {
            class: Class::Unreachable,
            message: PollError::new("list pools", Class::Unreachable, "").message(),
        });
        let stored = self.status();
        let status = report::failed(&self.before(&stored), &failure, self.memory.stale);
        self.write(status).await
    }

    fn count(&mut self, outcome: &'static str) {
        *self.memory.record.polls.entry(outcome).or_default() += 1;
    }

    pub(super) fn status(&self) -> ModelArtsPoolSourceStatus {
        let known = self.memory.status_of(self.source);
        known.cloned().unwrap_or_default()
    }

    fn before<'s>(&'s self, status: &'s ModelArtsPoolSourceStatus) -> Before<'s> {
        Before {
            status,
            generation: self.source.metadata.generation,
            handled: schedule::annotation(self.source, REQUESTED_AT)
                .or(status.last_handled_reconcile_at.as_deref()),
            now: Timestamp::now(),
        }
    }

    /// Forgets what the last plan wanted: nothing is repaired until the next one.
    pub fn forget_intended(&self) {
        self.intend(BTreeMap::new());
    }

    fn intend(&self, intended: BTreeMap<String, mirror::Intended>) {
        let inventory = &self.context.inventory;
        inventory.intend(&self.owner.namespace, &self.owner.name, intended);
    }

    /// Makes the changes and tells people what they mean.
    async fn apply(&self, changes: Vec<mirror::Change>, mirrors: &Mirrors) -> apply::Outcome {
        let pools: Api<ModelArtsPool> =
            Api::namespaced(self.context.client.clone(), &self.owner.namespace);
        let context = self.context;
        let now = Timestamp::now();
        let writer = Writer {
            pools: &pools,
            inventory: &context.inventory,
            owner: self.owner,
            writes: &context.writes,
            progress: &context.progress,
            gate: &context.gate,
            cancel: &context.cancel,
        };
        let mut outcome = apply::apply(&writer, changes, now).await;
        let news = std::mem::take(&mut outcome.news).into_iter();
        let about = |name: &str| ObjectReference {
            api_version: Some(ModelArtsPool::api_version(&()).into_owned()),
            kind: Some(ModelArtsPool::kind(&()).into_owned()),
            namespace: Some(self.owner.namespace.clone()),
            name: Some(name.to_owned()),
            uid: mirrors.get(name).map(|it| it.uid.clone()),
            ..ObjectReference::default()
        };
        let news = news.map(|(name, news)| (about(&name), news)).collect();
        events::publish(&context.recorder, news).await;
        outcome
    }

    /// Tells people what happened to the source.
    pub(super) async fn tell(&self, news: Vec<News>) {
        let about = self.source.object_ref(&());
        let news = news.into_iter().map(|news| (about.clone(), news)).collect();
        events::publish(&self.context.recorder, news).await;
    }
}

fn later(now: Timestamp, delay: Duration) -> Option<Timestamp> {
    now.checked_add(delay).ok()
}
