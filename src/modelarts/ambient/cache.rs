//! Keeps temporary credentials until shortly before their end: one refresh at a time, and nobody
//! waits for it who has credentials that are still good. Never reads a clock or asks anybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::parse::Issued;
use super::{Credentials, failed};
use crate::modelarts::{Class, PollError};

/// Credentials are not used in the last moments of their life: a poll takes time.
const EARLY: SignedDuration = SignedDuration::from_secs(60);

/// Between two attempts to refresh.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// New credentials are asked for when a quarter of the life is left, within these bounds. The
/// metadata service has new ones ten minutes before the end, and most credentials live an hour.
const LATEST: SignedDuration = SignedDuration::from_mins(2);
const SOONEST: SignedDuration = SignedDuration::from_mins(10);

/// What the credentials are for: who issues them and in which region, where that matters.
pub(super) type Key = (&'static str, String);

#[derive(Debug, Default)]
pub(super) struct Cache {
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    refreshing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    issued: Option<Issued>,
    /// When a quarter of the life of `issued` is left.
    renew_at: Timestamp,
    /// The end of the last attempt, and its failure.
    attempted: Option<Timestamp>,
    failure: Option<Failure>,
    /// The cloud refused `issued` before its time.
    refused: bool,
    /// The last refresh for that reason.
    replaced: Option<Timestamp>,
}

/// An error that several callers get.
#[derive(Clone, Debug)]
struct Failure {
    place: &'static str,
    class: Class,
    detail: String,
}

impl Cache {
    /// The credentials for `key`, from `refresh` where that is due.
    ///
    /// # Errors
    /// Where a refresh failed and nothing else is left, for a minute without trying again.
    pub async fn get(
        &self,
        key: Key,
        now: Timestamp,
        refresh: impl Future<Output = Result<Issued, PollError>>,
    ) -> Result<Credentials, PollError> {
        let slot = Arc::clone(lock(&self.slots).entry(key).or_default());
        let usable = lock(&slot.state).usable(now);
        let turn = match usable {
            None => slot.refreshing.lock().await,
            Some(credentials) => match slot.refreshing.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(credentials),
            },
        };
        // Whoever held the turn before may have done what was due.
        if let Some(settled) = lock(&slot.state).settled(now) {
            return settled;
        }
        let answer = refresh.await;
        let result = lock(&slot.state).record(answer, now);
        drop(turn);
        result
    }

    /// Takes note that the cloud refused credentials before their time; true where asking again
    /// gives others.
    pub fn refused(&self, credentials: &Credentials, now: Timestamp) -> bool {
        if credentials.issuer.is_none() {
            return false;
        }
        let slots: Vec<_> = lock(&self.slots).values().cloned().collect();
        for slot in slots {
            let mut state = lock(&slot.state);
            let held = state.issued.as_ref().map(|it| &it.credentials.access_key);
            if held == Some(&credentials.access_key) {
                state.refused = true;
                return !within_pause(state.replaced, now);
            }
        }
        // They were replaced meanwhile.
        true
    }
}

impl State {
    /// Credentials that are good for a poll.
    fn usable(&self, now: Timestamp) -> Option<Credentials> {
        let issued = self.issued.as_ref().filter(|_| !self.refused)?;
        (now < before(issued.expires, EARLY)).then(|| issued.credentials.clone())
    }

    /// What can be said without asking.
    fn settled(&self, now: Timestamp) -> Option<Result<Credentials, PollError>> {
        let paused = within_pause(self.attempted, now);
        match self.usable(now) {
            Some(credentials) => (paused || now < self.renew_at).then_some(Ok(credentials)),
            None => match (&self.failure, &self.issued) {
                (Some(failure), _) if paused => Some(Err(failure.to_error())),
                // Replacing them did not help a moment ago; the cloud may say why.
                (None, Some(issued))
                    if within_pause(self.replaced, now) && now < before(issued.expires, EARLY) =>
                {
                    Some(Ok(issued.credentials.clone()))
                }
                _ => None,
            },
        }
    }

    fn record(
        &mut self,
        answer: Result<Issued, PollError>,
        now: Timestamp,
    ) -> Result<Credentials, PollError> {
        self.attempted = Some(now);
        if self.refused {
            self.replaced = Some(now);
        }
        let answer = answer.and_then(|issued| {
            if now < before(issued.expires, EARLY) {
                return Ok(issued);
            }
            let place = issued.credentials.issuer.unwrap_or_default();
            let detail = "the credentials handed out have expired already: check this node's clock";
            Err(failed(place, Class::Upstream, detail))
        });
        match answer {
            Ok(issued) => {
                let share = issued.expires.duration_since(now) / 4;
                self.renew_at = before(issued.expires, share.clamp(LATEST, SOONEST));
                self.failure = None;
                self.refused = false;
                let credentials = issued.credentials.clone();
                self.issued = Some(issued);
                Ok(credentials)
            }
            Err(error) => {
                self.failure = Some(Failure::of(&error));
                let usable = self.usable(now).ok_or(error);
                if let (Ok(_), Some(failure)) = (&usable, &self.failure) {
                    warn!(
                        place = failure.place,
                        error = failure.detail,
                        "credentials were not renewed; the old ones are used until they expire"
                    );
                }
                usable
            }
        }
    }
}

impl Failure {
    fn of(error: &PollError) -> Self {
        Self {
            place: error.operation,
            class: error.class,
            detail: error.detail.clone(),
        }
    }

    fn to_error(&self) -> PollError {
        failed(self.place, self.class, self.detail.clone())
    }
}

fn before(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_sub(span).unwrap_or(at)
}

fn within_pause(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| now.duration_since(at) < PAUSE)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
