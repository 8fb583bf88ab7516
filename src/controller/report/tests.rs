use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::api::Prune;
use crate::mirror::{Mirrors, Owner, Pace, Policy, plan};
use crate::modelarts::{PollError, QueryKey, Snapshot};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

fn before(status: &Status, second: i64) -> Before<'_> {
    Before {
        status,
        generation: Some(1),
        handled: None,
        now: at(second),
    }
}

/// What a first plan makes of these items.
fn planned(items: &serde_json::Value) -> Plan {
    let snapshot = Snapshot::of_json(QueryKey::example(), items, &json!([]));
    let owner = Owner {
        namespace: "ns".to_owned(),
        name: "s".to_owned(),
        uid: "u".to_owned(),
    };
    let prune = Prune::default();
    let policy = Policy {
        prune: &prune,
        confirmed: None,
        pace: Pace::Regular,
    };
    plan(&Mirrors::new(), &snapshot, &owner, policy, None, at(0))
}

fn empty() -> Plan {
    planned(&json!([]))
}

fn blocked(names: &[&str]) -> Plan {
    Plan {
        blocked: Some(Blocked {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }),
        ..empty()
    }
}

/// The status after this plan, written at this second over that status.
fn after(status: &Status, plan: &Plan, second: i64) -> Status {
    let all = Synced {
        plan,
        refused: &BTreeMap::new(),
        project_id: "p",
        endpoint: "https://modelarts.example".to_owned(),
        taken_at: at(second),
    };
    synced(&before(status, second), &all)
}

fn succeeded() -> Status {
    after(&Status::default(), &empty(), 0)
}

fn failure(class: Class) -> Failure {
    Failure {
        class,
        message: PollError::new("list pools", class, "d").message(),
    }
}

fn after_failure(status: &Status, class: Class, stale: bool) -> Status {
    failed(&before(status, 60), &failure(class), stale)
}

fn says(status: &Status) -> Vec<String> {
    let conditions = status.conditions.iter();
    conditions
        .map(|it| format!("{}={}/{}", it.type_, it.status, it.reason))
        .collect()
}

fn message<'a>(status: &'a Status, kind: &str) -> &'a str {
    let mut conditions = status.conditions.iter();
    &conditions.find(|it| it.type_ == kind).unwrap().message
}

const PERSON: [Class; 7] = [
    Class::Authentication,
    Class::ClockSkew,
    Class::Permission,
    Class::Endpoint,
    Class::InvalidRequest,
    Class::CredentialsMissing,
    Class::InvalidSpec,
];

const WAITING: [Class; 4] = [
    Class::Throttled(None),
    Class::Unreachable,
    Class::Upstream,
    Class::Decode,
];

#[test]
fn a_complete_snapshot_makes_the_source_ready() {
    assert_eq!(says(&succeeded()), ["Ready=True/Succeeded"]);
}

#[test]
fn a_complete_snapshot_is_reported_with_its_sums() {
    let items = json!([
        {"metadata": {"name": "a"}, "status": {"phase": "Running"}},
        {"metadata": {"name": "b"}, "status": {"phase": "Error"}},
    ]);
    let status = after(&Status::default(), &planned(&items), 7);
    assert_eq!(
        (status.pools, status.ready, status.not_ready),
        (Some(2), Some(1), Some(1))
    );
    assert_eq!(status.last_sync_time, Some(Time(at(7))));
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(status.project_id.as_deref(), Some("p"));
    assert_eq!(
        status.endpoint.as_deref(),
        Some("https://modelarts.example")
    );
}

#[test]
fn a_poll_acknowledges_the_token_that_asked_for_it() {
    let status = Status::default();
    let asked = Before {
        handled: Some("now"),
        ..before(&status, 0)
    };
    let failed = failed(&asked, &failure(Class::Upstream), false);
    assert_eq!(failed.last_handled_reconcile_at.as_deref(), Some("now"));
}

#[test]
fn what_a_snapshot_could_not_settle_is_said_while_it_lasts() {
    let aside = planned(&json!([{"metadata": {"name": "b", "labels": 7}}, {}]));
    let contested = Plan {
        contested: vec!["a".to_owned()],
        ..empty()
    };
    for (plan, expected) in [
        (
            &aside,
            &[
                "Ready=True/PartialSuccess",
                "PartiallyDecoded=True/DecodeFailed",
            ][..],
        ),
        (
            &blocked(&["a"]),
            &[
                "Ready=True/PartialSuccess",
                "PruneBlocked=True/MassDeletionBlocked",
            ],
        ),
        (&contested, &["Ready=True/PartialSuccess"]),
    ] {
        let status = after(&succeeded(), plan, 60);
        assert_eq!(says(&status), expected);
        assert_eq!(
            says(&after(&status, &empty(), 120)),
            ["Ready=True/Succeeded"]
        );
    }
}

#[test]
fn messages_name_the_pools_concerned() {
    let status = after(
        &succeeded(),
        &planned(&json!([{"metadata": {"name": "b", "labels": 7}}])),
        60,
    );
    assert!(message(&status, "PartiallyDecoded").ends_with(": b"));
    let contested = Plan {
        contested: vec!["a".to_owned()],
        ..empty()
    };
    assert!(message(&after(&succeeded(), &contested, 60), "Ready").ends_with(": a"));
}

#[test]
fn a_blocked_deletion_names_the_very_annotation_that_agrees() {
    let plan = blocked(&["a", "b"]);
    let agreement = plan.blocked.as_ref().unwrap().confirmation();
    let status = after(&succeeded(), &plan, 60);
    let annotation = format!("modelarts.huaweicloud.com/confirm-prune={agreement}");
    assert!(message(&status, "PruneBlocked").contains(&annotation));
}

#[test]
fn a_message_stays_small_however_many_pools_it_concerns() {
    let names: Vec<String> = (0..10_000).map(|i| format!("{i:0>253}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let status = after(&succeeded(), &blocked(&names), 60);
    assert!(message(&status, "PruneBlocked").len() < 4_096);
    assert!(message(&status, "PruneBlocked").contains(" and others"));
}

#[test]
fn ready_falls_at_once_where_a_person_must_act() {
    for class in PERSON {
        let reason = class.reason();
        let expected = ["Ready=False", "Stalled=True", "FetchFailed=True"];
        for status in [Status::default(), succeeded()] {
            let status = after_failure(&status, class, false);
            assert_eq!(says(&status), expected.map(|it| format!("{it}/{reason}")));
        }
    }
}

#[test]
fn ready_stays_where_waiting_may_help_until_the_mirrors_are_stale() {
    for class in WAITING {
        let reason = class.reason();
        let mut failed = vec![format!("FetchFailed=True/{reason}")];
        if class == Class::Throttled(None) {
            failed.push("Throttled=True/Throttled".to_owned());
        }
        let early = after_failure(&succeeded(), class, false);
        assert_eq!(says(&early)[0], "Ready=True/Succeeded");
        assert_eq!(says(&early)[1..], failed);
        let late = after_failure(&early, class, true);
        assert_eq!(says(&late)[0], format!("Ready=False/{reason}"));
        assert_eq!(says(&late)[1..], failed);
    }
}

#[test]
fn a_source_that_was_never_ready_is_still_on_its_way_until_it_is_stale() {
    let early = after_failure(&Status::default(), Class::Unreachable, false);
    assert_eq!(
        says(&early),
        [
            "Ready=False/UpstreamUnreachable",
            "Reconciling=True/ProgressingWithRetry",
            "FetchFailed=True/UpstreamUnreachable"
        ]
    );
    let late = after_failure(&early, Class::Unreachable, true);
    assert_eq!(
        says(&late),
        [
            "Ready=False/UpstreamUnreachable",
            "FetchFailed=True/UpstreamUnreachable"
        ]
    );
}

#[test]
fn a_failure_keeps_the_data_of_the_last_snapshot() {
    let items = json!([{"metadata": {"name": "a"}, "status": {"phase": "Running"}}]);
    let good = after(&Status::default(), &planned(&items), 7);
    let bad = after_failure(&good, Class::Upstream, true);
    let conditions = good.conditions.clone();
    assert_eq!(Status { conditions, ..bad }, good);
}

#[test]
fn a_failure_does_not_take_back_that_deletions_wait() {
    let waits = after(&succeeded(), &blocked(&["a"]), 7);
    let failed = after_failure(&waits, Class::Upstream, false);
    assert_eq!(
        message(&failed, "PruneBlocked"),
        message(&waits, "PruneBlocked")
    );
}

#[test]
fn a_success_clears_every_failure() {
    for class in PERSON.into_iter().chain(WAITING) {
        let failed = after_failure(&succeeded(), class, true);
        assert_eq!(
            says(&after(&failed, &empty(), 120)),
            ["Ready=True/Succeeded"]
        );
    }
}

#[test]
fn mirrors_that_could_not_be_written_make_the_source_unready_but_on_its_way() {
    let status = after(&succeeded(), &blocked(&["a"]), 7);
    assert_eq!(
        says(&unwritten(&before(&status, 60))),
        [
            "Ready=False/ProgressingWithRetry",
            "Reconciling=True/ProgressingWithRetry",
            "PruneBlocked=True/MassDeletionBlocked"
        ]
    );
}

#[test]
fn a_suspended_source_is_not_ready_and_nothing_else() {
    let failing = after_failure(&succeeded(), Class::Throttled(None), true);
    assert_eq!(
        says(&suspended(&before(&failing, 60))),
        ["Ready=False/Suspended"]
    );
}

/// Every report that can follow this status, always in the same order.
fn all_reports(status: &Status, second: i64) -> Vec<Status> {
    let before = before(status, second);
    let classes = PERSON.into_iter().chain(WAITING);
    let failures = classes.flat_map(|class| {
        let failure = failure(class);
        [false, true].map(|stale| failed(&before, &failure, stale))
    });
    let plans = [empty(), blocked(&["a"]), planned(&json!([{}]))];
    let snapshots = plans.iter().map(|plan| after(status, plan, second));
    let others = [unwritten(&before), suspended(&before)];
    failures.chain(snapshots).chain(others).collect()
}

#[test]
fn no_report_contradicts_itself_whatever_came_before() {
    for first in all_reports(&Status::default(), 0) {
        for second in all_reports(&first, 60) {
            let held: Vec<(&str, &str)> = second
                .conditions
                .iter()
                .map(|it| (it.type_.as_str(), it.status.as_str()))
                .collect();
            let says = says(&second);
            let kinds: BTreeSet<&str> = held.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(kinds.len(), held.len(), "{says:?}");
            assert_eq!(held[0].0, "Ready", "{says:?}");
            assert!(
                !(kinds.contains("Stalled") && kinds.contains("Reconciling")),
                "{says:?}"
            );
            let ready = held[0].1 == "True";
            assert!(!(ready && kinds.contains("Stalled")), "{says:?}");
            // All but Ready are there only while they hold.
            assert!(
                held[1..].iter().all(|(_, status)| *status == "True"),
                "{says:?}"
            );
        }
    }
}

#[test]
fn the_same_report_again_changes_nothing_but_the_time_of_the_last_sync() {
    for first in all_reports(&Status::default(), 0) {
        for (which, second) in all_reports(&first, 60).into_iter().enumerate() {
            let again = all_reports(&second, 120).swap_remove(which);
            let last_sync_time = second.last_sync_time.clone();
            let again = Status {
                last_sync_time,
                ..again
            };
            assert_eq!(again, second);
        }
    }
}

#[test]
fn a_transition_time_moves_only_with_the_status_of_its_condition() {
    let since = |status: &Status| status.conditions[0].last_transition_time.0;
    let good = succeeded();
    assert_eq!(since(&after(&good, &blocked(&["a"]), 60)), at(0));
    assert_eq!(
        since(&after_failure(&good, Class::Permission, false)),
        at(60)
    );
}
