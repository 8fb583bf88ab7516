//! What to do with a source now: poll it, let its mirrors go stale, or wait. Pure; the clock and
//! the dice are arguments.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::memory::Memory;
use crate::api::{CONFIRM_PRUNE, ModelArtsPoolSource, REQUESTED_AT};

/// What to do with a source now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The source is being deleted: no create, no repair, so that `--cascade=orphan` orphans.
    Leave,
    /// Ask the cloud.
    Poll,
    /// Say that polling is suspended.
    Suspend,
    /// The last complete snapshot is too old to be believed.
    GoStale,
    /// Nothing, until then.
    Wait(Duration),
    /// Nothing, until somebody changes the source.
    WaitForChange,
}

/// The durations of a source's spec, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub interval: Duration,
    pub timeout: Duration,
    pub stale_after: Duration,
}

impl Timing {
    /// Reads the spec. The API server has checked it already, unless its schema is an older one.
    ///
    /// # Errors
    /// Names the field that is no duration in its range.
    pub fn of(source: &ModelArtsPoolSource) -> Result<Self, String> {
        let spec = &source.spec;
        let read = |field: &str, text: &str| {
            let duration = text.parse::<kube::core::Duration>();
            // A negative one would become positive here.
            let duration = duration.ok().filter(|it| !it.is_negative());
            let duration = duration.map(Duration::from);
            duration.ok_or_else(|| format!("{field} is no duration such as 30s or 5m"))
        };
        let timing = Self {
            interval: read("interval", &spec.interval)?,
            timeout: read("timeout", &spec.timeout)?,
            stale_after: read("staleAfter", &spec.stale_after)?,
        };
        if timing.interval < Duration::from_secs(10) {
            return Err("interval must be at least 10s".to_owned());
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&timing.timeout) {
            return Err("timeout must be between 1s and 5m".to_owned());
        }
        if timing.stale_after < timing.interval {
            return Err("staleAfter must be at least as long as interval".to_owned());
        }
        Ok(timing)
    }
}

/// What to do with `source` at `now`. `drifted` says that one of its mirrors is not what the last
/// plan left there.
pub(super) fn step(
    source: &ModelArtsPoolSource,
    timing: Option<Timing>,
    memory: &Memory,
    drifted: bool,
    now: Timestamp,
) -> Step {
    if source.metadata.deletion_timestamp.is_some() {
        return Step::Leave;
    }
    let stale_at = timing.and_then(|timing| stale_at(source, memory, timing));
    let stale = !memory.stale && stale_at.is_some_and(|at| at <= now);
    if source.spec.suspend {
        return match stale_at {
            _ if memory.suspended_at != source.metadata.generation => Step::Suspend,
            _ if stale => Step::GoStale,
            Some(at) if !memory.stale => Step::Wait(until(at, now)),
            _ => Step::WaitForChange,
        };
    }
    if asked(source, memory) {
        return Step::Poll;
    }
    let due = memory
        .next_poll
        .or_else(|| next_after_restart(source, timing?, now));
    let Some(due) = due.filter(|due| *due > now && !is_absurd(*due, timing, now)) else {
        return Step::Poll;
    };
    if stale {
        return Step::GoStale;
    }
    let mut next = due;
    // A failing source has its own delay, which a drifting mirror must not shorten.
    if drifted && memory.failures == 0 {
        match memory.repair_after.filter(|at| *at > now) {
            None => return Step::Poll,
            Some(at) => next = next.min(at),
        }
    }
    if let Some(at) = stale_at.filter(|_| !memory.stale && memory.failures > 0) {
        next = next.min(at);
    }
    Step::Wait(until(next, now))
}

/// When the mirrors stop being believed: `staleAfter` after the last complete snapshot, or after
/// the source's creation where there was none. A `staleAfter` close to `interval` leaves room for
/// the jitter and for one answer, so that a healthy source is never stale between two polls.
pub(super) fn stale_at(
    source: &ModelArtsPoolSource,
    memory: &Memory,
    timing: Timing,
) -> Option<Timestamp> {
    let since = last_sync(source, memory)
        .or_else(|| Some(source.metadata.creation_timestamp.as_ref()?.0))?;
    let between_polls = timing.interval.mul_f64(1.0 + JITTER) + GRACE;
    since
        .checked_add(timing.stale_after.max(between_polls))
        .ok()
}

/// What every poll may take before mirrors go stale. Without it those of a source whose
/// `staleAfter` is its `interval`, or of a controller that was away for longer, would flap.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// The part of an interval by which a poll may come later, so that sources spread.
pub(super) const JITTER: f64 = 0.05;

/// The last complete snapshot, across restarts.
pub(super) fn last_sync(source: &ModelArtsPoolSource, memory: &Memory) -> Option<Timestamp> {
    let said = memory
        .status_of(source)
        .and_then(|it| Some(it.last_sync_time.as_ref()?.0));
    said.max(memory.snapshot_at)
}

/// The value of an annotation of the source.
pub(super) fn annotation<'a>(source: &'a ModelArtsPoolSource, key: &str) -> Option<&'a str> {
    let annotations = source.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

/// Whether a person asked for a poll: by a changed spec, by a new token, or by an agreement.
fn asked(source: &ModelArtsPoolSource, memory: &Memory) -> bool {
    let status = source.status.as_ref();
    let handled_generation = memory
        .generation
        .or_else(|| status.and_then(|it| it.observed_generation));
    let handled_token = memory
        .requested_at
        .as_deref()
        .or_else(|| status.and_then(|it| it.last_handled_reconcile_at.as_deref()));
    let token = annotation(source, REQUESTED_AT);
    // A process that has not polled yet cannot tell an old agreement from a new one; an old one
    // covers nothing that is not named in it.
    let agreed = memory.generation.is_some()
        && annotation(source, CONFIRM_PRUNE) != memory.confirmed.as_deref();
    handled_generation != source.metadata.generation
        || (token.is_some() && token != handled_token)
        || agreed
}

/// A restarted process goes on where the last one stopped, so that a restart of many sources is
/// no stampede. A last sync in the future means that a clock was moved, and counts as now.
fn next_after_restart(
    source: &ModelArtsPoolSource,
    timing: Timing,
    now: Timestamp,
) -> Option<Timestamp> {
    let status = source.status.as_ref()?;
    let failing = status.conditions.iter().any(|it| it.type_ == "FetchFailed");
    let last = status.last_sync_time.as_ref()?.0.min(now);
    let next = last.checked_add(timing.interval).ok()?;
    (!failing).then_some(next)
}

/// Later than any delay leads to: the clock was set back.
fn is_absurd(due: Timestamp, timing: Option<Timing>, now: Timestamp) -> bool {
    let interval = timing.map_or(Duration::ZERO, |timing| timing.interval);
    until(due, now) > interval.max(Duration::from_secs(15 * 60)).mul_f64(1.5)
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
