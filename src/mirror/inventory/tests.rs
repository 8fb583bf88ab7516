use super::*;
use crate::api::ModelArtsPoolSpec;
use crate::api::{ModelArtsPoolStatus, SourceRef};

/// A version of the mirror `ns/name` that belongs to `source`.
fn mirror(name: &str, uid: &str, version: u64, phase: &str) -> ModelArtsPool {
    let spec = ModelArtsPoolSpec {
        source: SourceRef {
            name: "source".to_owned(),
        },
        pool_name: name.to_owned(),
    };
    let mut object = ModelArtsPool::new(name, spec);
    object.metadata.namespace = Some("ns".to_owned());
    object.metadata.uid = Some(uid.to_owned());
    object.metadata.resource_version = Some(version.to_string());
    object.status = Some(ModelArtsPoolStatus {
        phase: Some(phase.to_owned()),
        ..ModelArtsPoolStatus::default()
    });
    object
}

/// What a plan of `source` wants, such that this object is just that.
fn wanting(source: &str, objects: &[&ModelArtsPool]) -> BTreeMap<String, Intended> {
    let wanted = objects.iter().map(|object| {
        let mirror = Mirror::of(object);
        let intended = Intended {
            source: source.to_owned(),
            identity: mirror.identity,
            status: mirror.status,
        };
        (object.name_any(), intended)
    });
    wanted.collect()
}

fn phase(inventory: &Inventory, name: &str) -> Option<String> {
    inventory.mirrors("ns").get(name)?.phase.clone()
}

fn woken(source: Option<ObjectRef<ModelArtsPoolSource>>) -> Option<String> {
    source.map(|it| format!("{}/{}", it.namespace.unwrap_or_default(), it.name))
}

#[test]
fn a_mirror_is_known_by_its_last_version() {
    let inventory = Inventory::default();
    inventory.observe(&mirror("a", "u", 9, "Old"));
    inventory.observe(&mirror("a", "u", 10, "New"));
    assert_eq!(phase(&inventory, "a").as_deref(), Some("New"));
}

#[test]
fn an_older_version_that_comes_late_is_ignored() {
    let inventory = Inventory::default();
    inventory.observe(&mirror("a", "u", 10, "New"));
    assert_eq!(inventory.observe(&mirror("a", "u", 9, "Old")), None);
    assert_eq!(phase(&inventory, "a").as_deref(), Some("New"));
}

#[test]
fn a_mirror_created_anew_replaces_the_one_that_was_deleted() {
    let inventory = Inventory::default();
    inventory.observe(&mirror("a", "first", 10, "First"));
    inventory.observe(&mirror("a", "second", 11, "Second"));
    inventory.forget(&mirror("a", "first", 10, "First"));
    assert_eq!(phase(&inventory, "a").as_deref(), Some("Second"));
}

#[test]
fn a_late_answer_does_not_bring_a_deleted_mirror_back() {
    let inventory = Inventory::default();
    let wanted = mirror("a", "u", 10, "Running");
    inventory.intend("ns", "source", wanting("source", &[&wanted]));
    inventory.observe(&wanted);
    inventory.forget(&mirror("a", "u", 11, "Running"));
    // The answer to a write of ours that was done before somebody deleted the mirror.
    inventory.observe(&wanted);
    assert_eq!(phase(&inventory, "a"), None);
    assert!(inventory.has_drifted("ns", "source"));
}

#[test]
fn namespaces_are_apart() {
    let inventory = Inventory::default();
    inventory.observe(&mirror("a", "u", 1, "Running"));
    assert_eq!(inventory.mirrors("other").len(), 0);
}

#[test]
fn a_mirror_as_the_plan_wanted_it_wakes_nobody() {
    let inventory = Inventory::default();
    let wanted = mirror("a", "u", 10, "Running");
    inventory.intend("ns", "source", wanting("source", &[&wanted]));
    assert_eq!(inventory.observe(&wanted), None);
    assert!(!inventory.has_drifted("ns", "source"));
}

#[test]
fn a_mirror_nobody_planned_wakes_nobody() {
    let inventory = Inventory::default();
    assert_eq!(inventory.observe(&mirror("a", "u", 1, "Running")), None);
    assert_eq!(inventory.forget(&mirror("a", "u", 1, "Running")), None);
}

#[test]
fn an_edited_mirror_wakes_its_source() {
    type Edit = fn(&mut ModelArtsPool);
    let edits: [(&str, Edit); 3] = [
        ("status", |it| it.status = None),
        ("labels", |it| {
            let key = "app.kubernetes.io/managed-by".to_owned();
            it.metadata.labels = Some([(key, "me".to_owned())].into());
        }),
        ("spec", |it| it.spec.pool_name = "b".to_owned()),
    ];
    for (what, edit) in edits {
        let inventory = Inventory::default();
        let wanted = mirror("a", "u", 10, "Running");
        inventory.intend("ns", "source", wanting("source", &[&wanted]));
        inventory.observe(&wanted);
        let mut edited = mirror("a", "u", 11, "Running");
        edit(&mut edited);
        let source = woken(inventory.observe(&edited));
        assert_eq!(source.as_deref(), Some("ns/source"), "{what}");
        assert!(inventory.has_drifted("ns", "source"), "{what}");
    }
}

#[test]
fn somebody_elses_label_wakes_nobody() {
    let inventory = Inventory::default();
    let wanted = mirror("a", "u", 10, "Running");
    inventory.intend("ns", "source", wanting("source", &[&wanted]));
    let mut labelled = mirror("a", "u", 11, "Running");
    labelled.metadata.labels = Some([("team".to_owned(), "vision".to_owned())].into());
    assert_eq!(inventory.observe(&labelled), None);
}

#[test]
fn a_deleted_mirror_that_was_wanted_wakes_its_source() {
    let inventory = Inventory::default();
    let wanted = mirror("a", "u", 10, "Running");
    inventory.intend("ns", "source", wanting("source", &[&wanted]));
    inventory.observe(&wanted);
    let source = woken(inventory.forget(&wanted));
    assert_eq!(source.as_deref(), Some("ns/source"));
    assert!(inventory.has_drifted("ns", "source"));
}

#[test]
fn what_a_source_no_longer_wants_cannot_drift() {
    let inventory = Inventory::default();
    let wanted = mirror("a", "u", 10, "Running");
    inventory.intend("ns", "source", wanting("source", &[&wanted]));
    inventory.observe(&wanted);
    inventory.intend("ns", "source", BTreeMap::new());
    assert_eq!(inventory.forget(&wanted), None);
    assert!(!inventory.has_drifted("ns", "source"));
}

#[test]
fn what_was_given_up_cannot_drift_while_others_can() {
    let inventory = Inventory::default();
    let (a, b) = (
        mirror("a", "u", 1, "Running"),
        mirror("b", "v", 2, "Running"),
    );
    inventory.intend("ns", "source", wanting("source", &[&a, &b]));
    inventory.observe(&b);
    assert!(inventory.has_drifted("ns", "source"));
    inventory.give_up("ns", ["a".to_owned()].iter());
    assert!(!inventory.has_drifted("ns", "source"));
    inventory.forget(&b);
    assert!(inventory.has_drifted("ns", "source"));
}

#[test]
fn what_one_source_wants_does_not_disturb_what_another_does() {
    let inventory = Inventory::default();
    let (a, b) = (
        mirror("a", "u", 1, "Running"),
        mirror("b", "v", 2, "Running"),
    );
    inventory.intend("ns", "one", wanting("one", &[&a]));
    inventory.intend("ns", "other", wanting("other", &[&b]));
    inventory.intend("ns", "other", BTreeMap::new());
    inventory.observe(&a);
    assert_eq!(woken(inventory.forget(&a)).as_deref(), Some("ns/one"));
    assert!(!inventory.has_drifted("ns", "other"));
}

#[test]
fn a_listing_drops_what_it_did_not_show_and_wakes_who_wanted_it() {
    let inventory = Inventory::default();
    let (a, b) = (
        mirror("a", "u", 1, "Running"),
        mirror("b", "v", 2, "Running"),
    );
    inventory.intend("ns", "source", wanting("source", &[&a]));
    inventory.observe(&a);
    inventory.begin_listing();
    inventory.observe(&b);
    let woken: Vec<String> = inventory
        .end_listing()
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(woken, ["source"]);
    assert_eq!(inventory.mirrors("ns").keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_mirror_created_during_a_listing_is_not_dropped_by_it() {
    let inventory = Inventory::default();
    inventory.begin_listing();
    inventory.observe(&mirror("a", "u", 1, "Running"));
    assert_eq!(inventory.end_listing(), []);
    assert_eq!(inventory.mirrors("ns").len(), 1);
}

#[tokio::test]
async fn the_inventory_is_synced_after_its_first_listing_and_stays_so() {
    let inventory = Inventory::default();
    let synced = || tokio::time::timeout(std::time::Duration::ZERO, inventory.synced());
    inventory.begin_listing();
    assert!(synced().await.is_err());
    inventory.end_listing();
    inventory.begin_listing();
    assert!(synced().await.is_ok());
}

#[test]
fn nothing_is_kept_of_a_namespace_that_is_empty() {
    let inventory = Inventory::default();
    let kept = || inventory.state().namespaces.len();
    let pool = mirror("a", "u", 1, "Running");
    inventory.observe(&pool);
    assert_eq!(kept(), 1);
    inventory.forget(&pool);
    assert_eq!(kept(), 0, "the last mirror was deleted");
    inventory.observe(&pool);
    inventory.begin_listing();
    inventory.end_listing();
    assert_eq!(kept(), 0, "a listing no longer shows it");
    inventory.intend("ns", "source", BTreeMap::new());
    assert_eq!(kept(), 0, "nothing is wanted");
}

#[test]
fn equal_values_have_equal_fingerprints_and_others_do_not() {
    let of = |phase: &str| Fingerprint::of(&mirror("a", "u", 1, phase).status);
    assert_eq!(of("Running"), of("Running"));
    assert_ne!(of("Running"), of("Abnormal"));
}
