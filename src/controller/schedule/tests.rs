use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::api::ModelArtsPoolSourceStatus;

const CREATED: i64 = 1_780_000_000;

/// A time, in seconds after the source's creation.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(CREATED + second).unwrap()
}

/// A source at generation 1, polled each minute and stale after five.
fn source() -> ModelArtsPoolSource {
    serde_json::from_value(json!({
        "apiVersion": "modelarts.huaweicloud.com/v1alpha1", "kind": "ModelArtsPoolSource",
        "metadata": {"name": "s", "namespace": "ns", "uid": "u", "generation": 1, "creationTimestamp": at(0).to_string()},
        "spec": {"region": "cn-north-4", "interval": "1m", "staleAfter": "5m"},
    }))
    .unwrap()
}

/// The source as an earlier process left it, synced then.
fn synced(second: i64) -> ModelArtsPoolSource {
    ModelArtsPoolSource {
        status: Some(ModelArtsPoolSourceStatus {
            observed_generation: Some(1),
            last_sync_time: Some(Time(at(second))),
            ..ModelArtsPoolSourceStatus::default()
        }),
        ..source()
    }
}

/// What this process remembers after a poll at second 0 that succeeded.
fn polled() -> Memory {
    Memory {
        generation: Some(1),
        next_poll: Some(at(60)),
        repair_after: Some(at(1)),
        status: synced(0).status,
        ..Memory::of("u")
    }
}

/// What it remembers after `failures` polls that failed, the last one just now.
fn failed(failures: u32, now: i64, next: i64) -> Memory {
    Memory {
        failures,
        next_poll: Some(at(now + next)),
        ..polled()
    }
}

fn annotated(key: &str, value: &str) -> ModelArtsPoolSource {
    let mut source = synced(0);
    source.metadata.annotations = Some([(key.to_owned(), value.to_owned())].into());
    source
}

fn suspended() -> ModelArtsPoolSource {
    let mut source = synced(0);
    source.spec.suspend = true;
    source.metadata.generation = Some(2);
    source
}

fn next(source: &ModelArtsPoolSource, memory: &Memory, drifted: bool, second: i64) -> Step {
    let timing = Timing::of(source).ok();
    step(source, timing, memory, drifted, at(second))
}

fn wait(seconds: u64) -> Step {
    Step::Wait(Duration::from_secs(seconds))
}

fn step_of(source: &ModelArtsPoolSource, memory: &Memory, second: i64) -> Step {
    next(source, memory, false, second)
}

#[test]
fn a_new_source_is_polled_at_once() {
    let mut new = source();
    for observed_generation in [None, Some(-1)] {
        new.status = Some(ModelArtsPoolSourceStatus {
            observed_generation,
            ..ModelArtsPoolSourceStatus::default()
        });
        assert_eq!(step_of(&new, &Memory::of("u"), 0), Step::Poll);
    }
    assert_eq!(step_of(&source(), &Memory::of("u"), 0), Step::Poll);
}

#[test]
fn the_next_poll_comes_when_it_is_due() {
    for (second, expected) in [
        (0, wait(60)),
        (59, wait(1)),
        (60, Step::Poll),
        (999, Step::Poll),
    ] {
        assert_eq!(step_of(&synced(0), &polled(), second), expected, "{second}");
    }
}

#[test]
fn a_restarted_process_goes_on_where_the_last_one_stopped() {
    for (second, expected) in [(20, wait(40)), (59, wait(1)), (60, Step::Poll)] {
        assert_eq!(step_of(&synced(0), &Memory::of("u"), second), expected);
    }
}

#[test]
fn a_last_sync_in_the_future_counts_as_now() {
    assert_eq!(step_of(&synced(9_999), &Memory::of("u"), 0), wait(60));
}

#[test]
fn a_restarted_process_polls_a_failing_source_at_once() {
    let mut source = synced(0);
    source.status.as_mut().unwrap().conditions = vec![Condition {
        type_: "FetchFailed".to_owned(),
        status: "True".to_owned(),
        reason: "Throttled".to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(at(0)),
    }];
    assert_eq!(step_of(&source, &Memory::of("u"), 20), Step::Poll);
}

#[test]
fn a_changed_spec_is_polled_at_once() {
    let mut source = synced(0);
    source.metadata.generation = Some(2);
    assert_eq!(step_of(&source, &polled(), 20), Step::Poll);
    assert_eq!(step_of(&source, &Memory::of("u"), 20), Step::Poll);
}

#[test]
fn a_new_token_is_polled_at_once_and_an_acknowledged_one_is_not() {
    let asked = annotated(REQUESTED_AT, "now");
    let with = |token: &str| Memory {
        requested_at: Some(token.to_owned()),
        ..polled()
    };
    assert_eq!(step_of(&asked, &polled(), 20), Step::Poll);
    assert_eq!(step_of(&asked, &with("before"), 20), Step::Poll);
    assert_eq!(step_of(&asked, &with("now"), 20), wait(40));
    // The same across a restart, by what the status acknowledges.
    let mut acknowledged = asked.clone();
    acknowledged
        .status
        .as_mut()
        .unwrap()
        .last_handled_reconcile_at = Some("now".to_owned());
    assert_eq!(step_of(&asked, &Memory::of("u"), 20), Step::Poll);
    assert_eq!(step_of(&acknowledged, &Memory::of("u"), 20), wait(40));
}

#[test]
fn a_token_that_was_taken_away_asks_for_nothing() {
    let memory = Memory {
        requested_at: Some("before".to_owned()),
        ..polled()
    };
    assert_eq!(step_of(&synced(0), &memory, 20), wait(40));
}

#[test]
fn a_changed_agreement_is_polled_at_once() {
    let agreed = annotated(CONFIRM_PRUNE, "2-abcdef01");
    assert_eq!(step_of(&agreed, &polled(), 20), Step::Poll);
    let known = Memory {
        confirmed: Some("2-abcdef01".to_owned()),
        ..polled()
    };
    assert_eq!(step_of(&agreed, &known, 20), wait(40));
}

#[test]
fn an_agreement_found_after_a_restart_is_not_taken_for_a_new_one() {
    let agreed = annotated(CONFIRM_PRUNE, "2-abcdef01");
    assert_eq!(step_of(&agreed, &Memory::of("u"), 20), wait(40));
}

#[test]
fn a_source_that_is_being_deleted_is_left_alone() {
    let mut source = source();
    source.metadata.deletion_timestamp = Some(Time(at(0)));
    assert_eq!(next(&source, &polled(), true, 999), Step::Leave);
}

#[test]
fn a_suspended_source_says_so_once_and_is_not_polled() {
    let said = Memory {
        suspended_at: Some(2),
        ..polled()
    };
    assert_eq!(next(&suspended(), &polled(), true, 999), Step::Suspend);
    assert_eq!(next(&suspended(), &said, true, 100), wait(200));
}

#[test]
fn the_mirrors_of_a_suspended_source_go_stale_once() {
    let said = Memory {
        suspended_at: Some(2),
        ..polled()
    };
    assert_eq!(step_of(&suspended(), &said, 300), Step::GoStale);
    let stale = Memory {
        stale: true,
        ..said
    };
    assert_eq!(step_of(&suspended(), &stale, 999), Step::WaitForChange);
}

#[test]
fn a_source_no_longer_suspended_is_polled_at_once() {
    let mut source = suspended();
    source.spec.suspend = false;
    source.metadata.generation = Some(3);
    assert_eq!(step_of(&source, &polled(), 20), Step::Poll);
}

#[test]
fn a_drift_is_repaired_at_once_but_no_earlier_than_the_last_repair_allows() {
    for (repair_after, second, expected) in [
        (None, 20, Step::Poll),
        (Some(at(20)), 20, Step::Poll),
        (Some(at(30)), 20, wait(10)),
        (Some(at(99)), 20, wait(40)),
    ] {
        let memory = Memory {
            repair_after,
            ..polled()
        };
        let step = next(&synced(0), &memory, true, second);
        assert_eq!(step, expected, "{repair_after:?}");
    }
}

#[test]
fn a_drift_does_not_shorten_the_delay_of_a_failing_source() {
    assert_eq!(next(&synced(0), &failed(1, 60, 100), true, 70), wait(90));
}

#[test]
fn mirrors_go_stale_at_the_moment_and_once() {
    let failing = |second| failed(3, second, 400);
    assert_eq!(step_of(&synced(0), &failing(100), 100), wait(200));
    assert_eq!(step_of(&synced(0), &failing(299), 299), wait(1));
    assert_eq!(step_of(&synced(0), &failing(300), 300), Step::GoStale);
    let stale = Memory {
        stale: true,
        ..failing(300)
    };
    assert_eq!(step_of(&synced(0), &stale, 300), wait(400));
}

#[test]
fn a_poll_that_is_due_comes_before_going_stale() {
    assert_eq!(step_of(&synced(0), &failed(3, 200, 100), 300), Step::Poll);
}

#[test]
fn a_source_that_never_synced_is_stale_after_its_creation() {
    let memory = Memory {
        status: None,
        ..failed(3, 100, 400)
    };
    assert_eq!(step_of(&source(), &memory, 100), wait(200));
    assert_eq!(step_of(&source(), &memory, 300), Step::GoStale);
}

#[test]
fn a_source_whose_durations_cannot_be_read_is_polled_to_say_so_and_then_waits() {
    let mut source = source();
    source.spec.interval = "soon".to_owned();
    assert_eq!(step_of(&source, &Memory::of("u"), 0), Step::Poll);
    assert_eq!(step_of(&source, &failed(1, 0, 300), 0), wait(300));
}

#[test]
fn durations_out_of_their_range_are_refused_by_name() {
    let refused = |interval: &str, timeout: &str, stale_after: &str| {
        let mut source = source();
        source.spec.interval = interval.to_owned();
        source.spec.timeout = timeout.to_owned();
        source.spec.stale_after = stale_after.to_owned();
        Timing::of(&source).err()
    };
    for (interval, timeout, stale_after, field) in [
        ("10s", "1s", "10s", None),
        ("1h30m", "5m", "2h", None),
        ("9s", "30s", "5m", Some("interval")),
        ("9.9s", "30s", "5m", Some("interval")),
        ("-1m", "30s", "5m", Some("interval")),
        ("", "30s", "5m", Some("interval")),
        ("1 minute", "30s", "5m", Some("interval")),
        ("1m", "500ms", "5m", Some("timeout")),
        ("1m", "301s", "5m", Some("timeout")),
        ("1m", "300.5s", "5m", Some("timeout")),
        ("1m", "x", "5m", Some("timeout")),
        ("1m", "30s", "59s", Some("staleAfter")),
        ("1m", "30s", "5", Some("staleAfter")),
    ] {
        let error = refused(interval, timeout, stale_after);
        let named = error.as_ref().and_then(|it| it.split(' ').next());
        assert_eq!(named, field, "{interval} {timeout} {stale_after}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Complete,
    Failed(i64),
}

/// Remembers what a step leads to, as the reconciler does.
fn remember(
    memory: &mut Memory,
    source: &ModelArtsPoolSource,
    step: Step,
    answer: Answer,
    now: i64,
) {
    match (step, answer) {
        (Step::Poll, answer) => {
            memory.generation = source.metadata.generation;
            memory.requested_at = annotation(source, REQUESTED_AT).map(str::to_owned);
            memory.confirmed = annotation(source, CONFIRM_PRUNE).map(str::to_owned);
            memory.suspended_at = None;
            match answer {
                Answer::Complete => {
                    memory.failures = 0;
                    memory.stale = false;
                    memory.next_poll = Some(at(now + 60));
                    memory.repairs += 1;
                    memory.repair_after = Some(at(now + (1 << memory.repairs.min(5))));
                    memory.status = synced(now).status;
                }
                Answer::Failed(delay) => {
                    memory.failures += 1;
                    memory.next_poll = Some(at(now + delay));
                }
            }
        }
        (Step::GoStale, _) => memory.stale = true,
        (Step::Suspend, _) => memory.suspended_at = source.metadata.generation,
        (Step::Leave | Step::Wait(_) | Step::WaitForChange, _) => {}
    }
}

proptest! {
    /// Whatever the cloud answers and whoever fights over a mirror, time passes.
    #[test]
    fn no_step_is_taken_twice_in_a_row_at_one_moment(
        answers in prop::collection::vec(prop_oneof![Just(Answer::Complete), (1..600_i64).prop_map(Answer::Failed)], 1..20),
        suspend: bool,
        drifted: bool,
        restarted: bool,
        token in prop::option::of("[ab]"),
        agreed in prop::option::of("[ab]"),
    ) {
        let mut source = if restarted { synced(0) } else { source() };
        source.spec.suspend = suspend;
        let annotations = [(REQUESTED_AT, token), (CONFIRM_PRUNE, agreed)].into_iter();
        source.metadata.annotations = Some(annotations.filter_map(|(key, value)| Some((key.to_owned(), value?))).collect());
        let mut memory = Memory::of("u");
        let mut now = 0;
        for answer in answers {
            let mut taken = Vec::new();
            let delay = loop {
                match next(&source, &memory, drifted, now) {
                    Step::Wait(delay) => break Some(delay),
                    Step::WaitForChange | Step::Leave => break None,
                    step => {
                        prop_assert!(!taken.contains(&step), "{:?} again at {} after {:?}", step, now, taken);
                        remember(&mut memory, &source, step, answer, now);
                        taken.push(step);
                    }
                }
            };
            let Some(delay) = delay else { return Ok(()) };
            prop_assert!(!delay.is_zero());
            now += i64::try_from(delay.as_secs()).unwrap();
        }
    }
}
