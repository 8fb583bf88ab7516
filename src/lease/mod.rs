//! Leader election: of several replicas the one that holds a Lease works, the others watch and wait.
//!
//! A leader whose renewals are late stops writing before anybody else may begin ([`Gate`]), and goes
//! on where it was if the Lease still is its own afterwards. Once another has had it, what this
//! process remembers of its sources is worthless, and it ends so as to start afresh.

mod decide;
mod gate;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use self::decide::{Action, Candidate, DURATION, HOLD, Record};
pub use self::gate::{Closed, Gate, Gated};
use crate::api::write_params;
use crate::args;
use crate::progress::{LEASE, Progress, Watched};

/// The pause between two looks at the Lease.
const RETRY: Duration = Duration::from_secs(2);

/// One look with the write that follows it. Two that fail leave time for a third before the gate
/// closes: with a longer one, a single lost answer would cost the leadership.
const ATTEMPT: Duration = Duration::from_millis(2500);

/// What the way out may take.
const RELEASE: Duration = Duration::from_secs(2);

/// A candidate for the Lease, and where the Lease is.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    candidate: Candidate,
    watched: Watched,
}

/// Another replica may have had the Lease since this one had it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the Lease {lease} was taken by another replica, or deleted; this one ends, to start afresh as a standby"
)]
pub struct Lost {
    lease: String,
}

#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error("no answer from the API server within {} ms", ATTEMPT.as_millis())]
    Late,
    #[error(transparent)]
    Refused(#[from] kube::Error),
}

impl Election {
    /// A candidate that has not looked yet. `client` must not be behind the gate.
    pub fn new(client: Client, namespace: &str, election: args::Election) -> Self {
        // A restarted container has its Pod's name again, but is another candidate.
        let me = format!("{}_{:08x}", election.pod_name, fastrand::u32(..));
        Self {
            leases: Api::namespaced(client, namespace),
            name: election.lease_name,
            candidate: Candidate::new(me),
            watched: Watched {
                kind: LEASE,
                namespace: Some(namespace.to_owned()),
            },
        }
    }

    /// Looks at the Lease again and again, and keeps the gate open while it is held. Ends only once
    /// the leadership is lost to another.
    pub async fn run(&mut self, gate: &Gate, progress: &Progress) -> Lost {
        let (mut led, mut failing) = (false, false);
        progress.open(&self.watched);
        loop {
            let begun = Instant::now();
            let attempt = timeout(ATTEMPT, self.attempt(begun, led)).await;
            let attempt = attempt.unwrap_or(Err(AttemptError::Late));
            match &attempt {
                Ok(_) => {
                    progress.listed(&self.watched);
                    progress.heard(&self.watched);
                }
                Err(_) => progress.failed(&self.watched, begun.into_std()),
            }
            match attempt {
                Ok(Action::Renew) => {
                    gate.hold_until(begun + HOLD);
                    if !progress.leads() {
                        info!(lease = self.name, replica = self.candidate.me(), "leads");
                        progress.lead(std::time::Instant::now());
                    }
                    (led, failing) = (true, false);
                }
                Ok(_) if led => {
                    return Lost {
                        lease: self.name.clone(),
                    };
                }
                Ok(_) => {
                    let holder = self.candidate.holder();
                    debug!(lease = self.name, holder, "stands by");
                    failing = false;
                }
                Err(error) if failing => debug!(lease = self.name, %error, "hold the Lease"),
                Err(error) => {
                    warn!(lease = self.name, %error, "hold the Lease; may the ServiceAccount get, create and update it?");
                    failing = true;
                }
            }
            if !gate.is_open() && progress.leads() {
                warn!(
                    lease = self.name,
                    "stops writing until it holds the Lease again"
                );
                progress.stand_by();
            }
            sleep(RETRY).await;
        }
    }

    /// Lets another replica take over at once, if this one holds the Lease.
    pub async fn release(mut self) {
        let released = timeout(RELEASE, self.give_up()).await;
        match released.unwrap_or(Err(AttemptError::Late)) {
            Ok(()) => {}
            Err(error) => {
                warn!(lease = self.name, %error, "give up the Lease; it expires by itself")
            }
        }
    }

    /// One look and what follows from it. `Renew` means that the Lease is ours; whoever `led`
    /// already takes it from nobody.
    async fn attempt(&mut self, now: Instant, led: bool) -> Result<Action, AttemptError> {
        let read = self.leases.get_opt(&self.name).await?;
        let action = self.candidate.decide(read.as_ref().map(record), now);
        let lease = match (action, read) {
            (Action::Renew, Some(lease)) => lease,
            (Action::Acquire, Some(lease)) if !led => lease,
            (Action::Create, _) if !led => Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: None,
            },
            _ => return Ok(action),
        };
        self.write(held(lease, self.candidate.me(), Timestamp::now()))
            .await?;
        Ok(Action::Renew)
    }

    async fn give_up(&mut self) -> Result<(), AttemptError> {
        loop {
            let read = self.leases.get_opt(&self.name).await?;
            let action = self
                .candidate
                .decide(read.as_ref().map(record), Instant::now());
            let (Action::Renew, Some(lease)) = (action, read) else {
                return Ok(());
            };
            match self.write(given_up(lease, Timestamp::now())).await {
                // A renewal that was cut off may land in between.
                Err(AttemptError::Refused(kube::Error::Api(status))) if status.is_conflict() => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    info!(lease = self.name, "gave up the Lease");
                    return Ok(());
                }
            }
        }
    }

    /// Writes the version that was read, or a new object; anything newer refuses it.
    async fn write(&self, lease: Lease) -> Result<(), AttemptError> {
        let params = write_params();
        if lease.metadata.resource_version.is_some() {
            self.leases.replace(&self.name, &params, &lease).await?;
        } else {
            self.leases.create(&params, &lease).await?;
        }
        Ok(())
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let duration = spec.and_then(|it| u64::try_from(it.lease_duration_seconds?).ok());
    Record {
        holder: spec.and_then(|it| it.holder_identity.clone()),
        duration: duration.map_or(DURATION, Duration::from_secs),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// The Lease renewed by its holder, or taken by another.
fn held(mut lease: Lease, me: &str, now: Timestamp) -> Lease {
    let now = Some(MicroTime(now));
    let (acquire_time, transitions) = match lease.spec.take() {
        None => (now.clone(), 0),
        Some(before) => {
            let transitions = before.lease_transitions.unwrap_or_default();
            if before.holder_identity.as_deref() == Some(me) {
                (before.acquire_time, transitions)
            } else {
                (now.clone(), transitions.saturating_add(1))
            }
        }
    };
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time,
        renew_time: now,
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    });
    lease
}

fn given_up(mut lease: Lease, now: Timestamp) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = None;
    spec.renew_time = Some(MicroTime(now));
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_shows_since_when_it_is_held_and_how_often_it_changed_hands() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let shown = |lease: &Lease| {
            let spec = lease.spec.clone().unwrap();
            let holder = spec.holder_identity.unwrap_or_default();
            let seconds = |it: Option<MicroTime>| it.unwrap().0.as_second();
            let times = (seconds(spec.acquire_time), seconds(spec.renew_time));
            (holder, times, spec.lease_transitions.unwrap())
        };
        let lease = held(Lease::default(), "a", at(1));
        assert_eq!(shown(&lease), ("a".to_owned(), (1, 1), 0));
        let lease = held(lease, "a", at(2));
        assert_eq!(shown(&lease), ("a".to_owned(), (1, 2), 0));
        let lease = given_up(lease, at(3));
        assert_eq!(record(&lease).holder, None);
        let lease = held(lease, "b", at(4));
        assert_eq!(shown(&lease), ("b".to_owned(), (4, 4), 1));
        assert_eq!(record(&lease).duration, DURATION);
    }
}
