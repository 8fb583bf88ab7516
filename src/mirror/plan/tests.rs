use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api::{ModelArtsPool, NodeCounts, PrunePolicy};
use crate::mirror::Accelerator;
use crate::mirror::health::unknown;
use crate::mirror::stamp::stamp;
use crate::modelarts::QueryKey;

mod model;

/// What the API server would hold.
#[derive(Clone, Default)]
struct Store {
    objects: BTreeMap<String, ModelArtsPool>,
    writes: u64,
}

impl Store {
    fn mirrors(&self) -> Mirrors {
        let objects = self.objects.iter();
        objects
            .map(|(name, object)| (name.clone(), Arc::new(Mirror::of(object))))
            .collect()
    }

    /// Makes the changes as the writer does: conditionally, and with what JSON keeps.
    fn apply(&mut self, owner: &Owner, changes: &[Change], now: Timestamp) {
        for change in changes {
            let name = &change.name;
            match change.action.clone() {
                Action::Create(pool_name, status) => {
                    assert!(!self.objects.contains_key(name), "{name} exists");
                    let mut object = stamped(owner, name, &pool_name);
                    object.metadata.uid = Some(format!("uid-{}", self.writes));
                    object.status = Some(*status);
                    self.put(object);
                }
                Action::Status(version, status) => {
                    let mut object = self.at(name, &version);
                    object.status = Some(*status);
                    self.put(object);
                }
                Action::Restamp(version, status) => {
                    let mut object = self.at(name, &version);
                    stamp(&mut object.metadata, owner);
                    object.status = status.map(|it| *it).or(object.status);
                    self.put(object);
                }
                Action::Unknown(version, why) => {
                    let mut object = self.at(name, &version);
                    let status = object.status.take().unwrap_or_default();
                    object.status = Some(unknown(status, &why, owner, now));
                    self.put(object);
                }
                Action::Delete(version) => {
                    self.at(name, &version);
                    self.objects.remove(name);
                }
            }
        }
    }

    fn at(&self, name: &str, version: &Version) -> ModelArtsPool {
        let object = &self.objects[name];
        assert_eq!(Mirror::of(object).version(), *version, "{name}");
        object.clone()
    }

    fn put(&mut self, mut object: ModelArtsPool) {
        self.writes += 1;
        object.metadata.resource_version = Some(self.writes.to_string());
        let json = serde_json::to_value(&object).unwrap();
        let name = object.metadata.name.unwrap();
        self.objects
            .insert(name, serde_json::from_value(json).unwrap());
    }

    /// Changes an object as somebody else would.
    fn edit(&mut self, name: &str, edit: impl FnOnce(&mut ModelArtsPool)) {
        let mut object = self.objects[name].clone();
        edit(&mut object);
        self.put(object);
    }

    fn status(&self, name: &str) -> &ModelArtsPoolStatus {
        self.objects[name].status.as_ref().unwrap()
    }

    fn ready(&self, name: &str) -> (String, String, Timestamp) {
        let mut conditions = self.status(name).conditions.iter();
        let ready = conditions.find(|it| it.type_ == "Ready").unwrap();
        let (status, reason) = (ready.status.clone(), ready.reason.clone());
        (status, reason, ready.last_transition_time.0)
    }
}

/// A source that is polled again and again, in one process after the other.
struct Source {
    owner: Owner,
    store: Store,
    key: QueryKey,
    prune: Prune,
    confirmed: Option<String>,
    absences: Option<Absences>,
    pace: Pace,
    polls: i64,
}

impl Source {
    fn new(prune: Prune) -> Self {
        Self {
            owner: owner("source", "source-uid"),
            store: Store::default(),
            key: QueryKey::example(),
            prune,
            confirmed: None,
            absences: None,
            pace: Pace::Regular,
            polls: 0,
        }
    }

    /// A source that mirrors these pools since its first poll.
    fn of(prune: Prune, names: &[&str]) -> Self {
        let mut source = Self::new(prune);
        source.poll(&running(names));
        source
    }

    /// The time of the last poll: one a minute.
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + 60 * self.polls).unwrap()
    }

    fn plan(&self, items: &Value) -> Plan {
        let snapshot = Snapshot::of_json(self.key.clone(), items, &json!([]));
        let policy = Policy {
            prune: &self.prune,
            confirmed: self.confirmed.as_deref(),
            pace: self.pace,
        };
        let (mirrors, previous) = (self.store.mirrors(), self.absences.as_ref());
        plan(
            &mirrors,
            &snapshot,
            &self.owner,
            policy,
            previous,
            self.now(),
        )
    }

    fn poll(&mut self, items: &Value) -> Plan {
        self.polls += 1;
        let plan = self.plan(items);
        let now = self.now();
        self.store.apply(&self.owner, &plan.changes, now);
        self.absences = Some(plan.absences.clone());
        plan
    }

    fn go_stale(&mut self) -> usize {
        let changes = plan_stale(&self.store.mirrors(), &self.owner, Some(self.now()));
        let now = self.now();
        self.store.apply(&self.owner, &changes, now);
        changes.len()
    }

    fn restart(&mut self) {
        self.absences = None;
    }

    fn names(&self) -> Vec<&str> {
        self.store.objects.keys().map(String::as_str).collect()
    }
}

fn owner(name: &str, uid: &str) -> Owner {
    Owner {
        namespace: "ns".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
    }
}

fn prune(confirmations: i32, max_percent: i32) -> Prune {
    Prune {
        policy: PrunePolicy::Delete,
        confirmations,
        max_percent,
    }
}

fn retain() -> Prune {
    Prune {
        policy: PrunePolicy::Retain,
        ..prune(1, 100)
    }
}

fn item(name: &str, phase: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"phase": phase}})
}

fn running(names: &[&str]) -> Value {
    names.iter().map(|name| item(name, "Running")).collect()
}

fn actions(plan: &Plan) -> Vec<(&str, &'static str)> {
    let changes = plan.changes.iter();
    changes
        .map(|it| (it.name.as_str(), word(&it.action)))
        .collect()
}

fn word(action: &Action) -> &'static str {
    match action {
        Action::Create(..) => "create",
        Action::Status(..) => "status",
        Action::Restamp(_, None) => "restamp",
        Action::Restamp(_, Some(_)) => "restamp with status",
        Action::Unknown(_, why) => why.reason(),
        Action::Delete(_) => "delete",
    }
}

const NOTHING: [(&str, &str); 0] = [];

#[test]
fn a_pool_without_a_mirror_is_created_and_one_with_it_is_left_alone() {
    let mut source = Source::new(Prune::default());
    assert_eq!(actions(&source.poll(&running(&["a"]))), [("a", "create")]);
    assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
    assert_eq!(
        actions(&source.poll(&running(&["a", "b"]))),
        [("b", "create")]
    );
}

#[test]
fn a_pool_that_changed_has_its_status_written() {
    let mut source = Source::of(Prune::default(), &["a", "b"]);
    let items = json!([item("a", "Running"), item("b", "Abnormal")]);
    assert_eq!(actions(&source.poll(&items)), [("b", "status")]);
    assert_eq!(source.store.ready("b").1, "Abnormal");
}

#[test]
fn a_person_s_edit_is_repaired() {
    type Edit = fn(&mut ModelArtsPool);
    let edits: [(&str, Edit); 5] = [
        ("status", |it| it.status = None),
        ("restamp", |it| it.metadata.labels = None),
        ("restamp", |it| it.metadata.annotations = None),
        ("restamp", |it| it.metadata.owner_references = None),
        ("restamp with status", |it| {
            it.metadata.labels = None;
            it.status.as_mut().unwrap().phase = Some("Fine".to_owned());
        }),
    ];
    for (repair, edit) in edits {
        let mut source = Source::of(Prune::default(), &["a"]);
        let before = source.store.objects["a"].clone();
        source.store.edit("a", edit);
        assert_eq!(actions(&source.poll(&running(&["a"]))), [("a", repair)]);
        let mut after = source.store.objects["a"].clone();
        after.metadata.resource_version = before.metadata.resource_version.clone();
        // A status that was gone has lost since when it held.
        for condition in after.status.iter_mut().flat_map(|it| &mut it.conditions) {
            condition.last_transition_time = Time(Timestamp::from_second(1_780_000_060).unwrap());
        }
        assert_eq!(after, before);
    }
}

#[test]
fn other_peoples_labels_are_kept_and_are_no_reason_to_write() {
    let mut source = Source::of(Prune::default(), &["a"]);
    source.store.edit("a", |it| {
        let labels = it.metadata.labels.get_or_insert_default();
        labels.insert("team".to_owned(), "vision".to_owned());
    });
    assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
}

#[test]
fn a_transition_keeps_its_time_until_the_next_one() {
    let mut source = Source::of(Prune::default(), &["a"]);
    let since = source.store.ready("a").2;
    source.poll(
        &json!([{"metadata": {"name": "a"}, "status": {"phase": "Running", "message": "new"}}]),
    );
    assert_eq!(source.store.ready("a").2, since);
    source.poll(&json!([item("a", "Abnormal")]));
    assert_eq!(source.store.ready("a").2, source.now());
}

#[test]
fn a_recreated_pool_starts_anew() {
    let pool = |created: &str, id: &str| {
        json!([{
            "metadata": {"name": "a", "creationTimestamp": created, "labels": {"os.modelarts/resource.id": id}},
            "status": {"phase": "Running"},
        }])
    };
    for (created, id) in [
        ("2026-01-02T00:00:00Z", "one"),
        ("2026-01-01T00:00:00Z", "two"),
    ] {
        let mut source = Source::new(Prune::default());
        source.poll(&pool("2026-01-01T00:00:00Z", "one"));
        source.poll(&pool(created, id));
        assert_eq!(source.store.ready("a").2, source.now(), "{created} {id}");
    }
}

#[test]
fn a_mirror_goes_at_the_poll_that_confirms_its_absence_and_not_before() {
    for confirmations in 1..=4 {
        let mut source = Source::of(prune(confirmations, 100), &["a", "b"]);
        for _ in 1..confirmations {
            assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
        }
        assert_eq!(actions(&source.poll(&running(&["a"]))), [("b", "delete")]);
    }
}

#[test]
fn a_poll_in_a_hurry_confirms_no_absence_and_keeps_the_count() {
    let mut source = Source::of(prune(2, 100), &["a", "b"]);
    source.pace = Pace::Hurried;
    for _ in 0..3 {
        assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
    }
    source.pace = Pace::Regular;
    assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
    source.pace = Pace::Hurried;
    assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
    source.pace = Pace::Regular;
    assert_eq!(actions(&source.poll(&running(&["a"]))), [("b", "delete")]);
}

#[test]
fn a_pool_that_shows_up_again_starts_the_count_again() {
    let mut source = Source::of(prune(2, 100), &["a", "b"]);
    source.poll(&running(&["a"]));
    source.poll(&running(&["a", "b"]));
    assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
    assert_eq!(actions(&source.poll(&running(&["a"]))), [("b", "delete")]);
}

#[test]
fn the_first_poll_of_a_process_deletes_nothing() {
    let mut source = Source::of(prune(1, 100), &["a", "b"]);
    source.restart();
    assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
    assert_eq!(actions(&source.poll(&running(&["a"]))), [("b", "delete")]);
}

#[test]
fn another_query_project_or_identity_starts_the_count_again() {
    type Change = fn(&mut QueryKey);
    let changes: [Change; 6] = [
        |key| key.region = "cn-south-1".to_owned(),
        |key| key.project_id = "f".repeat(32),
        |key| key.workspace_ids = vec!["1".to_owned()],
        |key| key.label_selector = "a=b".to_owned(),
        |key| key.statuses = vec!["created"],
        |key| key.identity = "AKOTHER".to_owned(),
    ];
    for change in changes {
        let mut source = Source::of(prune(2, 100), &["a", "b"]);
        source.poll(&running(&["a"]));
        change(&mut source.key);
        assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
        assert_eq!(actions(&source.poll(&running(&["a"]))), [("b", "delete")]);
    }
}

#[test]
fn an_item_set_aside_keeps_its_mirror_as_it_was() {
    let mut source = Source::of(prune(1, 100), &["a", "b"]);
    let items = json!([item("a", "Running"), {"metadata": {"name": "b", "labels": 7}}]);
    for _ in 0..3 {
        let plan = source.poll(&items);
        assert_eq!(actions(&plan), NOTHING);
        assert_eq!(plan.set_aside, ["b".to_owned()]);
    }
}

#[test]
fn an_item_set_aside_keeps_a_mirror_whose_name_is_a_slug() {
    let mut source = Source::of(prune(1, 100), &["a", "Pool_B"]);
    let items = json!([item("a", "Running"), {"metadata": {"name": "Pool_B", "labels": 7}}]);
    source.poll(&items);
    assert_eq!(actions(&source.poll(&items)), NOTHING);
}

#[test]
fn an_item_without_a_name_freezes_every_count() {
    let mut source = Source::of(prune(3, 100), &["a", "b"]);
    let nameless = json!([item("a", "Running"), {}]);
    source.poll(&running(&["a"]));
    for _ in 0..3 {
        let plan = source.poll(&nameless);
        assert_eq!(actions(&plan), NOTHING);
        assert_eq!(plan.set_aside, ["?"]);
    }
    assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
    assert_eq!(actions(&source.poll(&running(&["a"]))), [("b", "delete")]);
}

#[test]
fn an_item_without_a_name_holds_back_even_what_a_person_agreed_to() {
    let mut source = Source::of(prune(1, 30), &["a", "b"]);
    let lost = source.poll(&json!([])).blocked.unwrap();
    source.confirmed = Some(lost.confirmation());
    assert_eq!(actions(&source.poll(&json!([{}]))), NOTHING);
}

#[test]
fn more_than_the_allowed_part_waits_for_a_person() {
    // Of ten mirrors: how many are lost, at how many percent, and whether that waits.
    for (lost, percent, waits) in [
        (1, 0, false),
        (2, 0, true),
        (1, 10, false),
        (2, 10, true),
        (2, 19, true),
        (2, 20, false),
        (3, 30, false),
        (4, 30, true),
        (9, 100, false),
        (10, 100, true),
    ] {
        let names: Vec<String> = (0..10).map(|i| format!("p{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut source = Source::of(prune(1, percent), &names);
        let plan = source.poll(&running(&names[lost..]));
        let blocked = plan.blocked.map_or(0, |it| it.names.len());
        let left = source.names().len();
        let expected = if waits { (lost, 10) } else { (0, 10 - lost) };
        assert_eq!((blocked, left), expected, "{lost} of 10 at {percent} %");
    }
}

#[test]
fn the_only_pool_of_a_source_does_not_go_by_itself() {
    let mut source = Source::of(prune(1, 100), &["a"]);
    let plan = source.poll(&json!([]));
    assert_eq!(actions(&plan), [("a", "NotListed")]);
    assert_eq!(plan.blocked.unwrap().names, ["a"]);
}

#[test]
fn what_waits_for_a_person_says_once_that_it_is_not_listed() {
    let mut source = Source::of(prune(1, 100), &["a"]);
    source.poll(&json!([]));
    let again = source.poll(&json!([]));
    assert_eq!(actions(&again), NOTHING);
    assert!(again.blocked.is_some());
}

#[test]
fn an_agreement_covers_exactly_the_set_it_names() {
    let mut source = Source::of(prune(1, 30), &["a", "b", "c", "d"]);
    let agreed = source.poll(&running(&["c", "d"])).blocked.unwrap();
    source.confirmed = Some(agreed.confirmation());
    // Meanwhile another pool is lost as well.
    let plan = source.poll(&running(&["d"]));
    assert_eq!(plan.blocked.unwrap().names, ["a", "b", "c"]);
    // And back again.
    source.poll(&running(&["c", "d"]));
    assert_eq!(source.names(), ["c", "d"]);
}

#[test]
fn an_agreement_of_yesterday_does_not_cover_todays_loss() {
    let mut source = Source::of(prune(1, 30), &["a", "b", "c", "d"]);
    source.confirmed = Some(
        source
            .poll(&running(&["c", "d"]))
            .blocked
            .unwrap()
            .confirmation(),
    );
    source.poll(&running(&["c", "d"]));
    assert_eq!(source.names(), ["c", "d"]);
    let plan = source.poll(&json!([]));
    assert_eq!(plan.blocked.unwrap().names, ["c", "d"]);
}

#[test]
fn an_agreement_gives_no_leave_to_skip_the_confirmations() {
    let mut source = Source::of(prune(2, 30), &["a", "b"]);
    let lost = Blocked {
        names: vec!["a".to_owned(), "b".to_owned()],
    };
    source.confirmed = Some(lost.confirmation());
    assert_eq!(actions(&source.poll(&json!([]))), NOTHING);
    source.poll(&json!([]));
    assert_eq!(source.names(), [] as [&str; 0]);
}

#[test]
fn a_confirmation_names_the_number_and_a_hash_of_the_names() {
    let of = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Blocked { names }.confirmation()
    };
    let digits = of(&["a", "b"]).strip_prefix("2-").unwrap().to_owned();
    assert!(
        digits.len() == 8 && digits.bytes().all(|it| it.is_ascii_hexdigit()),
        "{digits}"
    );
    assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
}

#[test]
fn a_pool_last_seen_deleting_is_expected_to_go() {
    let mut source = Source::new(prune(1, 30));
    source.poll(&json!([item("a", "Deleting")]));
    assert_eq!(actions(&source.poll(&json!([]))), [("a", "delete")]);
}

#[test]
fn a_pool_last_seen_deleting_counts_neither_as_lost_nor_as_part_of_the_whole() {
    let mut source = Source::new(prune(1, 100));
    source.poll(&json!([item("a", "Deleting"), item("b", "Running")]));
    let plan = source.poll(&json!([]));
    assert_eq!(actions(&plan), [("a", "delete"), ("b", "NotListed")]);
    assert_eq!(plan.blocked.unwrap().names, ["b"]);
}

#[test]
fn retain_deletes_nothing_and_says_once_that_a_pool_is_not_listed() {
    let mut source = Source::new(retain());
    source.poll(&json!([item("a", "Running"), item("b", "Deleting")]));
    let gone = source.poll(&json!([]));
    assert_eq!(actions(&gone), [("a", "NotListed"), ("b", "NotListed")]);
    assert_eq!(gone.blocked, None);
    assert_eq!(actions(&source.poll(&json!([]))), NOTHING);
    assert_eq!(source.store.status("a").phase.as_deref(), Some("Running"));
}

#[test]
fn a_retained_mirror_comes_back_with_its_pool() {
    let mut source = Source::of(retain(), &["a"]);
    source.poll(&json!([]));
    source.poll(&running(&["a"]));
    assert_eq!(source.store.ready("a").0, "True");
}

#[test]
fn the_mirror_of_another_source_is_contested_and_untouched() {
    let mut source = Source::of(prune(1, 100), &["a"]);
    source.owner = owner("other", "other-uid");
    source.restart();
    let plan = source.poll(&running(&["a", "b"]));
    assert_eq!(actions(&plan), [("b", "create")]);
    assert_eq!(plan.contested, ["a"]);
    assert_eq!(plan.tally.pools, 1);
    source.poll(&running(&["b"]));
    assert_eq!(actions(&source.poll(&running(&["b"]))), NOTHING);
}

#[test]
fn an_object_that_mirrors_another_pool_is_contested() {
    let mut source = Source::of(Prune::default(), &["a"]);
    source
        .store
        .edit("a", |it| it.spec.pool_name = "z".to_owned());
    let plan = source.poll(&running(&["a"]));
    assert_eq!(actions(&plan), NOTHING);
    assert_eq!(plan.contested, ["a".to_owned()]);
}

#[test]
fn the_mirror_of_an_earlier_source_of_the_same_name_is_left_to_the_garbage_collector() {
    let mut source = Source::of(prune(1, 100), &["a", "b"]);
    source.owner = owner("source", "new-uid");
    for _ in 0..3 {
        assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
    }
    assert_eq!(source.go_stale(), 0);
}

#[test]
fn an_orphan_is_adopted() {
    let mut source = Source::of(Prune::default(), &["a"]);
    source
        .store
        .edit("a", |it| it.metadata.owner_references = None);
    source.owner = owner("source", "new-uid");
    assert_eq!(actions(&source.poll(&running(&["a"]))), [("a", "restamp")]);
    assert_eq!(actions(&source.poll(&running(&["a"]))), NOTHING);
}

#[test]
fn a_mirror_that_is_being_deleted_is_left_alone() {
    let mut source = Source::of(prune(1, 100), &["a", "b", "c"]);
    for name in ["a", "b"] {
        let now = source.now();
        source
            .store
            .edit(name, |it| it.metadata.deletion_timestamp = Some(Time(now)));
    }
    let items = json!([item("a", "Abnormal"), item("c", "Running")]);
    source.poll(&items);
    assert_eq!(actions(&source.poll(&items)), NOTHING);
    assert_eq!(source.go_stale(), 1);
}

#[test]
fn going_stale_takes_back_every_claim_once_and_keeps_the_data() {
    let mut source = Source::of(Prune::default(), &["a", "b"]);
    let before = source.store.status("a").clone();
    assert_eq!(source.go_stale(), 2);
    assert_eq!(source.go_stale(), 0);
    let (status, reason, _) = source.store.ready("a");
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "Stale"));
    let after = source.store.status("a");
    let conditions = before.conditions.clone();
    assert_eq!(
        ModelArtsPoolStatus {
            conditions,
            ..after.clone()
        },
        before
    );
}

#[test]
fn a_poll_after_going_stale_claims_again() {
    let mut source = Source::of(Prune::default(), &["a"]);
    source.go_stale();
    assert_eq!(actions(&source.poll(&running(&["a"]))), [("a", "status")]);
    assert_eq!(source.store.ready("a").0, "True");
}

#[test]
fn sums_are_of_the_pools_mirrored() {
    let items = json!([
        {
            "metadata": {"name": "a"},
            "spec": {"resources": [{"flavor": "modelarts.vm.gpu.8u", "count": 3}]},
            "status": {"phase": "Running", "resources": {"available": [{"flavor": "modelarts.vm.gpu.8u", "count": 2}], "abnormal": [{"flavor": "modelarts.vm.gpu.8u", "count": 1}]}},
        },
        {
            "metadata": {"name": "b"},
            "spec": {"resources": [{"flavor": "modelarts.vm.gpu.8u", "count": 4}]},
            "status": {"phase": "Creating", "resources": {"creating": [{"flavor": "modelarts.vm.gpu.8u", "count": 4}], "deleting": [{"flavor": "modelarts.vm.gpu.8u", "count": 5}]}},
        },
    ]);
    let nodes = NodeCounts {
        desired: 7,
        available: 2,
        abnormal: 1,
        creating: 4,
        deleting: 5,
    };
    assert_eq!(
        Source::new(Prune::default()).poll(&items).tally,
        Tally {
            pools: 2,
            ready: 1,
            nodes,
            phases: BTreeMap::from([("Running", 1), ("Creating", 1)]),
            by_accelerator: BTreeMap::from([(Accelerator::Gpu, nodes)]),
        }
    );
}

#[test]
fn a_plan_intends_what_the_store_holds_afterwards() {
    let mut source = Source::of(Prune::default(), &["a"]);
    let plan = source.poll(&running(&["a", "Pool_B"]));
    let stored = source.store.mirrors();
    assert_eq!(
        plan.intended.keys().collect::<Vec<_>>(),
        stored.keys().collect::<Vec<_>>()
    );
    for (name, intended) in &plan.intended {
        assert_eq!(intended.identity, stored[name].identity, "{name}");
        assert_eq!(intended.status, stored[name].status, "{name}");
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "Pool_E"];

/// What the cloud's list says about each of [`NAMES`], and whether it has a nameless item.
type Listing = (Vec<Seen>, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Absent,
    Unreadable,
    Pool { phase: &'static str, age: u8 },
}

#[derive(Clone, Debug)]
enum Event {
    /// A complete list.
    Poll(Listing),
    /// A poll without a snapshot, or none at all for too long.
    Stale,
    Restart,
    /// A person edits or deletes a mirror, orphans it or begins to delete it.
    Edit(usize),
    Delete(usize),
    Orphan(usize),
    Terminate(usize),
    /// A person agrees to the deletion that waits.
    Agree,
    /// The source asks for something else.
    Requery(u8),
}

fn items((seen, nameless): &Listing) -> Value {
    let pools = NAMES.iter().zip(seen).filter_map(|(name, seen)| match seen {
        Seen::Absent => None,
        Seen::Unreadable => Some(json!({"metadata": {"name": name, "labels": 7}})),
        Seen::Pool { phase, age } => Some(json!({
            "metadata": {"name": name, "creationTimestamp": format!("2026-01-0{age}T00:00:00Z")},
            "spec": {"resources": [{"flavor": "f", "count": 2}]},
            "status": {"phase": phase},
        })),
    });
    pools.chain(nameless.then(|| json!({}))).collect()
}

fn listing() -> impl Strategy<Value = Listing> {
    let phase = prop::sample::select(&["Running", "Deleting", "Creating", "Odd"][..]);
    let pool = (phase, 1..3_u8).prop_map(|(phase, age)| Seen::Pool { phase, age });
    let seen = prop_oneof![3 => Just(Seen::Absent), 1 => Just(Seen::Unreadable), 6 => pool];
    let nameless = prop::bool::weighted(0.1);
    (prop::collection::vec(seen, NAMES.len()), nameless)
}

fn event() -> impl Strategy<Value = Event> {
    let which = 0..NAMES.len();
    prop_oneof![
        10 => listing().prop_map(Event::Poll),
        1 => Just(Event::Stale),
        1 => Just(Event::Restart),
        1 => which.clone().prop_map(Event::Edit),
        1 => which.clone().prop_map(Event::Delete),
        1 => which.clone().prop_map(Event::Orphan),
        1 => which.prop_map(Event::Terminate),
        2 => Just(Event::Agree),
        1 => (0..2_u8).prop_map(Event::Requery),
    ]
}

fn any_prune() -> impl Strategy<Value = Prune> {
    let policy = prop_oneof![4 => Just(PrunePolicy::Delete), 1 => Just(PrunePolicy::Retain)];
    (policy, 1..4_i32, 0..=100_i32).prop_map(|(policy, confirmations, max_percent)| Prune {
        policy,
        confirmations,
        max_percent,
    })
}

/// A source in a namespace with a mirror of another source, one of an earlier source of the same
/// name, and one that hangs in its deletion.
fn crowded(prune: Prune) -> Source {
    let mut source = Source::new(prune);
    let foreigners = [
        (owner("other", "other-uid"), "a"),
        (owner("source", "earlier-uid"), "b"),
        (owner("source", "earlier-uid"), "gone"),
        (owner("other", "other-uid"), "elsewhere"),
    ];
    for (owner, name) in foreigners {
        let mut object = stamped(&owner, name, name);
        object.metadata.uid = Some(format!("foreign-{name}"));
        source.store.put(object);
    }
    source
}

/// The mirror at this place among those that are the source's own.
fn own(source: &Source, which: usize) -> Option<String> {
    let objects = source.store.objects.iter();
    let own = objects.filter(|(_, it)| stamped_by(it, &source.owner));
    own.map(|(name, _)| name.clone()).nth(which)
}

fn stamped_by(object: &ModelArtsPool, owner: &Owner) -> bool {
    Mirror::of(object).owner_uid.as_deref() == Some(owner.uid.as_str())
}

fn is_orphan(object: &ModelArtsPool) -> bool {
    Mirror::of(object).owner_uid.is_none()
}

/// Plays everything but polls.
fn play(source: &mut Source, event: &Event, blocked: &mut Option<Blocked>) {
    match event {
        Event::Poll(_) => {}
        Event::Stale => {
            source.go_stale();
        }
        Event::Restart => source.restart(),
        Event::Agree => source.confirmed = blocked.take().map(|it| it.confirmation()),
        Event::Requery(which) => source.key.label_selector = format!("k={which}"),
        Event::Edit(which) => {
            if let Some(name) = own(source, *which) {
                source.store.edit(&name, |it| it.status = None);
            }
        }
        Event::Delete(which) => {
            if let Some(name) = own(source, *which) {
                source.store.objects.remove(&name);
            }
        }
        Event::Orphan(which) => {
            if let Some(name) = own(source, *which) {
                source
                    .store
                    .edit(&name, |it| it.metadata.owner_references = None);
            }
        }
        Event::Terminate(which) => {
            if let Some(name) = own(source, *which) {
                let at = Time(source.now());
                source
                    .store
                    .edit(&name, |it| it.metadata.deletion_timestamp = Some(at));
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happened_before_a_plan_that_was_applied_leaves_nothing_to_do(
        prune in any_prune(),
        events in prop::collection::vec(event(), 0..8),
        last in listing(),
    ) {
        let mut source = crowded(prune);
        let mut blocked = None;
        for event in &events {
            play(&mut source, event, &mut blocked);
            if let Event::Poll(listing) = event {
                blocked = source.poll(&items(listing)).blocked;
            }
        }
        let before = source.absences.clone();
        let blocked = source.poll(&items(&last)).blocked;
        // The same snapshot again, in another process and, where no deletion waits, in this one.
        // A loss that waits becomes a smaller part of the whole once new pools are mirrored.
        let again = if blocked.is_none() { vec![before, None] } else { vec![None] };
        for previous in again {
            source.polls += 1;
            source.absences = previous;
            let again = source.plan(&items(&last));
            prop_assert_eq!(actions(&again), NOTHING);
        }
    }

    #[test]
    fn no_plan_deletes_what_the_list_shows_or_what_is_not_the_sources_own(
        prune in any_prune(),
        events in prop::collection::vec(event(), 0..12),
    ) {
        let mut source = crowded(prune);
        let mut blocked = None;
        for event in &events {
            play(&mut source, event, &mut blocked);
            let Event::Poll(listing) = event else { continue };
            let (before, remembered) = (source.store.clone(), source.absences.clone());
            let plan = source.poll(&items(listing));
            for change in &plan.changes {
                if let Some(object) = before.objects.get(&change.name) {
                    let mine = stamped_by(object, &source.owner) || is_orphan(object);
                    prop_assert!(mine, "{} is another's", change.name);
                    prop_assert!(object.metadata.deletion_timestamp.is_none());
                }
                if let Action::Delete(_) | Action::Unknown(..) = change.action {
                    let pool = &before.objects[&change.name].spec.pool_name;
                    let seen = NAMES.iter().position(|name| name == pool).map(|at| listing.0[at]);
                    prop_assert_eq!(seen, Some(Seen::Absent), "{}", pool);
                    prop_assert!(!listing.1, "a nameless item may be {}", pool);
                    prop_assert!(remembered.as_ref().is_some_and(|it| it.key == source.key));
                }
                if let Action::Delete(_) = change.action {
                    prop_assert_eq!(source.prune.policy, PrunePolicy::Delete);
                }
            }
            blocked = plan.blocked;
        }
    }

    #[test]
    fn no_plan_deletes_more_than_its_part_without_an_agreement(
        prune in any_prune(),
        events in prop::collection::vec(event(), 0..12),
    ) {
        let mut source = crowded(prune);
        let mut blocked = None;
        for event in &events {
            play(&mut source, event, &mut blocked);
            let Event::Poll(listing) = event else { continue };
            let before = source.store.mirrors();
            let plan = source.poll(&items(listing));
            let counts = |it: &Mirror| {
                let own = it.owner_uid.as_ref().is_none_or(|uid| *uid == source.owner.uid);
                own && it.source == source.owner.name && !it.terminating
                    && it.phase.as_deref() != Some("Deleting")
            };
            let whole = before.values().filter(|it| counts(it)).count();
            let lost: Vec<String> = plan
                .changes
                .iter()
                .filter(|it| matches!(it.action, Action::Delete(_)) && counts(&before[&it.name]))
                .map(|it| it.name.clone())
                .collect();
            let part = whole * usize::try_from(source.prune.max_percent).unwrap() / 100;
            let agreed = source.confirmed == Some(Blocked { names: lost.clone() }.confirmation());
            let few = lost.len() <= part.max(1) && lost.len() < whole;
            prop_assert!(lost.is_empty() || few || agreed, "{} of {}", lost.len(), whole);
            blocked = plan.blocked;
        }
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(
        prune in any_prune(),
        events in prop::collection::vec(event(), 0..6),
        last in listing(),
        seed: u64,
    ) {
        let mut source = crowded(prune);
        for event in &events {
            play(&mut source, event, &mut None);
            if let Event::Poll(listing) = event {
                source.poll(&items(listing));
            }
        }
        let items = items(&last);
        let mut other = items.as_array().unwrap().clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut other);
        let (one, other) = (source.plan(&items), source.plan(&Value::Array(other)));
        prop_assert_eq!(one.changes, other.changes);
        prop_assert_eq!(one.absences, other.absences);
        prop_assert_eq!(one.blocked, other.blocked);
        prop_assert_eq!(one.set_aside, other.set_aside);
    }

    /// A poll that fails has no snapshot and so no plan; one that is partial has items set aside,
    /// with or without their names, in the place of pools.
    #[test]
    fn no_sequence_of_failed_and_partial_polls_deletes_a_mirror_or_blanks_a_status(
        prune in any_prune(),
        partial in prop::collection::vec(prop::option::of((prop::collection::vec(0..3_u8, NAMES.len()), any::<bool>())), 0..12),
    ) {
        let mut source = Source::of(prune, &NAMES);
        let before = source.store.clone();
        for poll in partial {
            let Some((shown, restart)) = poll else {
                source.go_stale();
                continue;
            };
            if restart {
                source.restart();
            }
            let items = NAMES.iter().zip(shown).map(|(name, shown)| match shown {
                0 => item(name, "Running"),
                1 => json!({"metadata": {"name": name}, "spec": 7}),
                _ => json!({"metadata": {}}),
            });
            source.poll(&items.collect());
        }
        prop_assert_eq!(source.names(), before.objects.keys().collect::<Vec<_>>());
        for (name, object) in &source.store.objects {
            let conditions = before.status(name).conditions.clone();
            let kept = ModelArtsPoolStatus { conditions, ..object.status.clone().unwrap() };
            prop_assert_eq!(&kept, before.status(name));
        }
    }
}
