//! Keeps all sources together from locking an access key or from being throttled.
//!
//! More than five failures in a row lock a key for five minutes, for everybody who uses it. So a
//! refused key pair rests for six minutes, and whatever else happens, such as other Secrets with
//! the same key or a tool that rewrites a wrong one every minute, no key ever has more than three
//! failed attempts in six minutes. It never sends anything itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{Class, Credentials, PollError};

/// How long a refused pair rests, and how long a failed attempt counts.
const REST: SignedDuration = SignedDuration::from_mins(6);

/// Failed attempts, and attempts that may yet fail, of one access key at any time.
const ATTEMPTS: usize = 3;

/// Between two calls with one key to one region: 20 calls a second are a tenth of what the
/// gateway grants by default.
const PACE: Duration = Duration::from_millis(50);

/// What is known of all keys.
#[derive(Default)]
pub(super) struct Guard {
    keys: Mutex<HashMap<String, Arc<Key>>>,
}

/// One access key.
#[derive(Default)]
struct Key {
    /// Who waits for a turn waits in this line, so that no source is passed over for ever.
    line: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Rung whenever an attempt ends.
    ended: Notify,
}

#[derive(Default)]
struct State {
    in_flight: usize,
    /// When attempts failed, within the last `REST`.
    failed: Vec<Timestamp>,
    /// Pairs of this key that were refused, by a digest of the pair, with when and how.
    refused: HashMap<[u8; 32], (Timestamp, Class)>,
    /// The pair that the cloud took last.
    proven: Option<[u8; 32]>,
    /// Other pairs whose first answer is awaited. Each is tried once and not by every source at
    /// the same time: a wrong one must not use up the attempts that the right one will need.
    on_trial: HashSet<[u8; 32]>,
    lanes: HashMap<String, Lane>,
    /// When a call was last let through.
    used: Option<Timestamp>,
}

/// One key in one region.
#[derive(Default)]
struct Lane {
    throttled_until: Option<Timestamp>,
    next_call: Option<tokio::time::Instant>,
}

/// The right to make one call. Its end, however it comes, lets the next one in.
pub(super) struct Turn {
    key: Arc<Key>,
    pair: [u8; 32],
    region: String,
}

impl Guard {
    /// Waits, in the order of asking, until a call with these credentials may be made.
    ///
    /// # Errors
    /// Where it may not be made yet: the pair was refused, or the key throttled, a short while
    /// ago. The error is of the class that the cloud's own answer had.
    pub async fn turn(
        &self,
        operation: &'static str,
        credentials: &Credentials,
        region: &str,
    ) -> Result<Turn, PollError> {
        let key = self.key(&credentials.access_key);
        let pair = digest(credentials);
        let place = key.line.lock().await;
        let start = loop {
            let ended = key.ended.notified();
            let admitted = lock(&key.state).admit(operation, &pair, region, Timestamp::now())?;
            match admitted {
                Some(start) => break start,
                None => ended.await,
            }
        };
        drop(place);
        let turn = Turn {
            key,
            pair,
            region: region.to_owned(),
        };
        tokio::time::sleep_until(start).await;
        Ok(turn)
    }
}

impl Guard {
    /// The record of a key. Temporary keys are many, so records that say nothing any more go.
    fn key(&self, access_key: &str) -> Arc<Key> {
        let mut keys = lock(&self.keys);
        let now = Timestamp::now();
        keys.retain(|_, key| Arc::strong_count(key) > 1 || lock(&key.state).still_matters(now));
        Arc::clone(keys.entry(access_key.to_owned()).or_default())
    }
}

impl State {
    fn still_matters(&self, now: Timestamp) -> bool {
        let recent = |at: &Timestamp| now.duration_since(*at) < REST;
        let throttled = |lane: &Lane| lane.throttled_until.is_some_and(|until| until > now);
        self.failed.iter().any(recent)
            || self.used.as_ref().is_some_and(recent)
            || self.lanes.values().any(throttled)
    }

    /// The moment at which the call may start, or `None` while too many others are under way.
    fn admit(
        &mut self,
        operation: &'static str,
        pair: &[u8; 32],
        region: &str,
        now: Timestamp,
    ) -> Result<Option<tokio::time::Instant>, PollError> {
        let recent = |at: &Timestamp| now.duration_since(*at) < REST;
        self.failed.retain(recent);
        self.refused.retain(|_, (at, _)| recent(at));
        if let Some((_, class)) = self.refused.get(pair) {
            return Err(not_yet(operation, *class, "this key pair was just refused"));
        }
        if self.failed.len() >= ATTEMPTS {
            let detail = "this access key was refused three times within six minutes";
            return Err(not_yet(operation, Class::Authentication, detail));
        }
        let lane = self.lanes.entry(region.to_owned()).or_default();
        if let Some(until) = lane.throttled_until.filter(|until| *until > now) {
            let wish = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            let class = Class::Throttled(Some(wish));
            return Err(not_yet(
                operation,
                class,
                "this access key is being throttled",
            ));
        }
        if self.in_flight + self.failed.len() >= ATTEMPTS || self.on_trial.contains(pair) {
            return Ok(None);
        }
        if self.proven != Some(*pair) {
            self.on_trial.insert(*pair);
        }
        self.in_flight += 1;
        self.used = Some(now);
        let asked = tokio::time::Instant::now();
        let start = lane.next_call.map_or(asked, |next| next.max(asked));
        lane.next_call = Some(start + PACE);
        Ok(Some(start))
    }
}

impl Turn {
    /// Takes in how the call went; `None` is a success.
    pub fn end(self, failure: Option<&PollError>, now: Timestamp) {
        let mut state = lock(&self.key.state);
        match failure.map(|failure| failure.class) {
            Some(class @ (Class::Authentication | Class::ClockSkew)) => {
                state.failed.push(now);
                state.refused.insert(self.pair, (now, class));
            }
            Some(class @ Class::Throttled(_)) => {
                // What the cloud asks of one source it asks of the key.
                let delay = class.delay(1, Duration::ZERO, 0.0);
                let lane = state.lanes.entry(self.region.clone()).or_default();
                lane.throttled_until = now.checked_add(delay).ok();
            }
            None | Some(Class::Permission) => state.proven = Some(self.pair),
            Some(_) => {}
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = lock(&self.key.state);
        state.in_flight -= 1;
        state.on_trial.remove(&self.pair);
        drop(state);
        self.key.ended.notify_waiters();
    }
}

fn not_yet(operation: &'static str, class: Class, why: &str) -> PollError {
    PollError::new(operation, class, format!("{why}; the cloud was not asked"))
}

/// Tells key pairs apart without keeping them.
fn digest(credentials: &Credentials) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(&credentials.access_key);
    digest.update([0]);
    digest.update(credentials.secret_key.expose_secret());
    if let Some(token) = &credentials.security_token {
        digest.update([0]);
        digest.update(token.expose_secret());
    }
    digest.finalize().into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(secret: &str) -> Credentials {
        Credentials {
            access_key: "AK".to_owned(),
            secret_key: secret.to_owned().into(),
            security_token: None,
            issuer: None,
        }
    }

    fn failure(class: Class) -> PollError {
        PollError::new("test", class, "")
    }

    async fn fail(guard: &Guard, secret: &str, class: Class) -> bool {
        match guard.turn("test", &pair(secret), "r").await {
            Ok(turn) => {
                turn.end(Some(&failure(class)), Timestamp::now());
                true
            }
            Err(_) => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_pair_rests_and_a_changed_one_is_tried_at_once() {
        let guard = Guard::default();
        assert!(fail(&guard, "wrong", Class::Authentication).await);
        assert!(!fail(&guard, "wrong", Class::Authentication).await);
        assert!(guard.turn("test", &pair("right"), "r").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_never_has_more_than_three_failed_attempts_in_six_minutes() {
        let guard = Guard::default();
        let mut attempts = 0;
        for n in 0..10 {
            attempts += usize::from(fail(&guard, &format!("wrong-{n}"), Class::ClockSkew).await);
        }
        assert_eq!(attempts, ATTEMPTS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pair_that_never_worked_is_tried_by_one_call_at_a_time() {
        let guard = Guard::default();
        let credentials = pair("new");
        let trial = guard.turn("test", &credentials, "r").await.unwrap();
        let waiting = guard.turn("test", &credentials, "r");
        futures::pin_mut!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        trial.end(None, Timestamp::now());
        let _one = waiting.await.unwrap();
        assert!(guard.turn("test", &credentials, "r").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_under_way_count_like_failed_ones() {
        let guard = Guard::default();
        assert!(fail(&guard, "wrong", Class::Authentication).await);
        let one = guard.turn("test", &pair("a"), "r").await.unwrap();
        let _two = guard.turn("test", &pair("b"), "r").await.unwrap();
        let credentials = pair("c");
        let waiting = guard.turn("test", &credentials, "r");
        futures::pin_mut!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        one.end(None, Timestamp::now());
        assert!(waiting.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_key_rests_in_its_region_alone() {
        let guard = Guard::default();
        let wish = Class::Throttled(Some(Duration::from_secs(30)));
        assert!(fail(&guard, "k", wish).await);
        let error = guard.turn("test", &pair("k"), "r").await.err().unwrap();
        assert!(matches!(error.class, Class::Throttled(Some(_))));
        assert!(guard.turn("test", &pair("k"), "elsewhere").await.is_ok());
    }
}
