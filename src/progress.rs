//! How far the process has got: what it has listed, which sources it has looked at, and when it
//! last finished one. It decides `/livez` and `/readyz`, and does nothing about either.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Namespace and name of a source.
pub type SourceKey = (String, String);

/// A watch that keeps failing fails at least once in this time, because it is opened again sooner.
const FAILING: Duration = Duration::from_secs(60);

/// Failures in a row that a restart of the API server may cause.
const TOLERATED: u32 = 2;

/// Work that nobody has finished any part of for so long never will be. A poll may take ten minutes.
const STUCK: Duration = Duration::from_secs(15 * 60);

/// The kind that is read and written again and again, because a watch says nothing of one's rights.
pub const LEASE: &str = "Lease";

/// The names that an answer lists; it is for a person.
const SHOWN: usize = 10;

/// What the probes are answered from.
#[derive(Debug, Default)]
pub struct Progress {
    state: Mutex<State>,
}

/// What of the API server is looked at all the time: the kind, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    /// The kind, as people write it.
    pub kind: &'static str,
    /// The namespace, or `None` for all.
    pub namespace: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    watches: BTreeMap<Watched, Watch>,
    /// The sources of the first listing that nobody has looked at yet.
    unseen: BTreeSet<SourceKey>,
    sources: HashMap<SourceKey, Work>,
    last_end: Option<Instant>,
    standby: bool,
}

#[derive(Debug, Default)]
struct Watch {
    listed: bool,
    failures: u32,
    failed_at: Option<Instant>,
    failures_ever: u64,
}

/// What is owed to a source.
#[derive(Clone, Copy, Debug)]
enum Work {
    Running(Instant),
    Due(Instant),
    Nothing,
}

impl Progress {
    /// A watch that has shown nothing yet.
    pub fn open(&self, watched: &Watched) {
        self.state().watches.entry(watched.clone()).or_default();
    }

    /// The watch has shown everything once.
    pub fn listed(&self, watched: &Watched) {
        self.state().watch(watched).listed = true;
    }

    /// The watch has brought something.
    pub fn heard(&self, watched: &Watched) {
        self.state().watch(watched).failures = 0;
    }

    /// The watch failed and is opened again.
    pub fn failed(&self, watched: &Watched, now: Instant) {
        let mut state = self.state();
        let watch = state.watch(watched);
        watch.failures_ever += 1;
        watch.failures = match watch.failed_at {
            Some(before) if now.duration_since(before) < FAILING => watch.failures + 1,
            _ => 1,
        };
        watch.failed_at = Some(now);
    }

    /// The first listing shows a source.
    pub fn found(&self, source: SourceKey) {
        let mut state = self.state();
        if !state.sources.contains_key(&source) {
            state.unseen.insert(source);
        }
    }

    /// A reconcile of the source begins.
    pub fn begin(&self, source: &SourceKey, now: Instant) {
        self.state().set(source, Work::Running(now));
    }

    /// A reconcile of the source has ended, and the next one is due after `next`, if at all.
    pub fn end(&self, source: &SourceKey, now: Instant, next: Option<Duration>) {
        let mut state = self.state();
        state.unseen.remove(source);
        state.last_end = Some(now);
        let due = next.and_then(|next| now.checked_add(next));
        state.set(source, due.map_or(Work::Nothing, Work::Due));
    }

    /// The source is gone.
    pub fn forget(&self, source: &SourceKey) {
        let mut state = self.state();
        state.unseen.remove(source);
        state.sources.remove(source);
    }

    /// Another replica does the work; this one only watches.
    pub fn stand_by(&self) {
        self.state().standby = true;
    }

    /// This replica does the work from now on.
    pub fn lead(&self, now: Instant) {
        let mut state = self.state();
        state.standby = false;
        // Whatever fell due before was nobody's fault.
        state.last_end = Some(now);
    }

    /// A part of some work is done.
    pub fn worked(&self, now: Instant) {
        self.state().last_end = Some(now);
    }

    /// Whether this replica does the work.
    pub fn leads(&self) -> bool {
        !self.state().standby
    }

    /// Whether the process still gets on with its work.
    ///
    /// # Errors
    /// Says what has been waiting for too long while nothing was finished.
    pub fn live(&self, now: Instant) -> Result<(), String> {
        let state = self.state();
        let long_ago = |at: Instant| now.saturating_duration_since(at) > STUCK;
        if state.standby || !state.last_end.is_none_or(long_ago) {
            return Ok(());
        }
        let owed = |work: &Work| matches!(work, Work::Running(at) | Work::Due(at) if long_ago(*at));
        let stuck = state.sources.iter().find(|(_, work)| owed(work));
        match stuck {
            None => Ok(()),
            Some(((namespace, name), _)) => Err(format!(
                "no source was finished for {} min, and {namespace}/{name} has been waiting for longer",
                STUCK.as_secs() / 60
            )),
        }
    }

    /// Whether the process knows all it needs and has looked at every source once.
    ///
    /// # Errors
    /// Says what is being waited for, and what a person may have to do about it.
    pub fn ready(&self, now: Instant) -> Result<(), Vec<String>> {
        let state = self.state();
        let mut pending: Vec<String> = state
            .watches
            .iter()
            .filter(|(_, watch)| !watch.is_healthy(now))
            .map(|(watched, _)| watched.pending())
            .collect();
        if !state.standby {
            let unseen = state.unseen.iter().take(SHOWN);
            pending.extend(
                unseen.map(|(namespace, name)| {
                    format!("the first look at source {namespace}/{name}")
                }),
            );
        }
        if pending.is_empty() {
            Ok(())
        } else {
            Err(pending)
        }
    }

    /// Every kind with whether all watches on it are well, and how often one of them failed.
    pub fn kinds(&self, now: Instant) -> BTreeMap<&'static str, (bool, u64)> {
        let mut kinds = BTreeMap::new();
        for (watched, watch) in &self.state().watches {
            let (healthy, failures) = kinds.entry(watched.kind).or_insert((true, 0));
            *healthy &= watch.is_healthy(now);
            *failures += watch.failures_ever;
        }
        kinds
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn pending(&self) -> String {
        let scope = self.namespace.as_ref();
        let place = scope.map_or_else(String::new, |name| format!(" of namespace {name}"));
        match self.kind {
            LEASE => format!("the Lease{place}: may the ServiceAccount get, create and update it?"),
            kind => format!(
                "the watch on {kind}s{place}: is the CRD installed, and may the ServiceAccount list and watch them?"
            ),
        }
    }
}

impl State {
    fn watch(&mut self, watched: &Watched) -> &mut Watch {
        self.watches.entry(watched.clone()).or_default()
    }

    fn set(&mut self, source: &SourceKey, work: Work) {
        self.sources.insert(source.clone(), work);
    }
}

impl Watch {
    fn is_healthy(&self, now: Instant) -> bool {
        let recent = |at: Instant| now.saturating_duration_since(at) < FAILING;
        self.listed && !(self.failures > TOLERATED && self.failed_at.is_some_and(recent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: Watched = Watched {
        kind: crate::api::SOURCE_KIND,
        namespace: None,
    };

    fn key(name: &str) -> SourceKey {
        ("team".to_owned(), name.to_owned())
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[test]
    fn it_is_ready_once_everything_is_listed_and_every_listed_source_was_looked_at() {
        let (progress, now) = (Progress::default(), Instant::now());
        progress.open(&SOURCES);
        assert!(progress.ready(now).unwrap_err()[0].contains("is the CRD installed"));
        progress.found(key("a"));
        progress.listed(&SOURCES);
        let pending = progress.ready(now).unwrap_err();
        assert_eq!(pending, ["the first look at source team/a"]);
        progress.begin(&key("a"), now);
        assert!(progress.ready(now).is_err());
        progress.end(&key("a"), now, Some(minutes(1)));
        assert_eq!(progress.ready(now), Ok(()));
    }

    #[test]
    fn a_source_that_is_deleted_before_its_first_look_is_not_waited_for() {
        let (progress, now) = (Progress::default(), Instant::now());
        progress.found(key("a"));
        progress.forget(&key("a"));
        assert_eq!(progress.ready(now), Ok(()));
    }

    #[test]
    fn a_standby_is_ready_without_having_looked_at_any_source() {
        let (progress, now) = (Progress::default(), Instant::now());
        progress.listed(&SOURCES);
        progress.found(key("a"));
        progress.stand_by();
        assert_eq!(progress.ready(now), Ok(()));
        progress.lead(now);
        assert!(progress.ready(now).is_err());
    }

    #[test]
    fn a_standby_is_alive_whatever_is_due_and_so_is_one_that_has_just_begun_to_lead() {
        let (progress, now) = (Progress::default(), Instant::now());
        progress.begin(&key("a"), now);
        assert!(progress.live(now + minutes(60)).is_err());
        progress.stand_by();
        assert_eq!(progress.live(now + minutes(60)), Ok(()));
        progress.lead(now + minutes(60));
        assert_eq!(progress.live(now + minutes(61)), Ok(()));
        assert!(progress.live(now + minutes(76)).is_err());
    }

    #[test]
    fn a_watch_that_keeps_failing_makes_it_unready_until_it_brings_something() {
        let (progress, now) = (Progress::default(), Instant::now());
        progress.listed(&SOURCES);
        progress.failed(&SOURCES, now);
        progress.failed(&SOURCES, now);
        assert_eq!(progress.ready(now), Ok(()), "a restarting API server");
        progress.failed(&SOURCES, now);
        assert!(progress.ready(now).is_err());
        assert_eq!(progress.kinds(now)[SOURCES.kind], (false, 3));
        progress.heard(&SOURCES);
        assert_eq!(progress.ready(now), Ok(()));
    }

    #[test]
    fn a_watch_that_stays_open_in_silence_is_well_again_after_a_minute() {
        let (progress, now) = (Progress::default(), Instant::now());
        progress.listed(&SOURCES);
        for _ in 0..3 {
            progress.failed(&SOURCES, now);
        }
        assert!(progress.ready(now + minutes(1)).is_ok());
        progress.failed(&SOURCES, now + minutes(2));
        assert!(progress.ready(now + minutes(2)).is_ok());
    }

    #[test]
    fn it_is_alive_while_anything_is_finished_and_dead_when_work_waits_in_vain() {
        let (progress, now) = (Progress::default(), Instant::now());
        assert_eq!(progress.live(now + minutes(60)), Ok(()), "nothing to do");
        progress.begin(&key("slow"), now);
        assert_eq!(progress.live(now + minutes(14)), Ok(()));
        assert!(
            progress
                .live(now + minutes(16))
                .unwrap_err()
                .contains("team/slow")
        );
        // Another source was finished meanwhile, so the queue is only long.
        progress.end(&key("quick"), now + minutes(10), None);
        assert_eq!(progress.live(now + minutes(16)), Ok(()));
        progress.end(&key("slow"), now + minutes(17), Some(minutes(1)));
        assert_eq!(progress.live(now + minutes(32)), Ok(()));
        assert!(
            progress.live(now + minutes(34)).is_err(),
            "it was due long ago"
        );
    }
}
