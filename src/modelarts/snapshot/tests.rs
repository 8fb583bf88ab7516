use serde_json::{Value, json};

use super::*;

fn page(body: &str) -> Result<(usize, Option<String>), PollError> {
    read_page("list pools", body.as_bytes()).map(|(items, next)| (items.len(), next))
}

fn snapshot(default: &Value, failed: &Value) -> Snapshot {
    Snapshot::of_json(QueryKey::example(), default, failed)
}

/// A pool that says by its phase which item it was read from.
fn item(name: &str, created: Option<&str>, phase: &str) -> Value {
    json!({"metadata": {"name": name, "creationTimestamp": created}, "status": {"phase": phase}})
}

fn phase<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a str> {
    snapshot.pools().get(name)?.pool.status.phase.as_deref()
}

fn aside(snapshot: &Snapshot) -> Vec<Option<&str>> {
    let names = snapshot.set_aside().iter();
    names.map(|item| item.name.as_deref()).collect()
}

#[test]
fn a_list_is_known_by_its_kind_or_by_its_items() {
    for (body, items) in [
        (
            r#"{"kind":"PoolList","apiVersion":"v2","items":[{},{}]}"#,
            2,
        ),
        (r#"{"kind":"PoolList","items":[]}"#, 0),
        (r#"{"kind":"PoolList","items":null}"#, 0),
        (r#"{"kind":"PoolList"}"#, 0),
        (r#"{"items":[7]}"#, 1),
        (r#"{"kind":null,"items":[]}"#, 0),
    ] {
        assert_eq!(page(body).unwrap(), (items, None), "{body}");
    }
}

#[test]
fn what_is_no_list_is_refused() {
    let deep = "[".repeat(1_000_000);
    for body in [
        "",
        "null",
        "7",
        "[]",
        "{}",
        r#"{"items":null}"#,
        r#"{"kind":"PoolList","items":{}}"#,
        r#"{"kind":"PoolList","items":[{}]"#,
        r#"{"kind":"PoolList","items":[{]}"#,
        r#"{"kind":"PoolList","items":[],"items":[]}"#,
        r#"{"kind":"NodeList","items":[]}"#,
        r#"{"kind":7,"items":[]}"#,
        r#"{"kind":"PoolList","items":[],"metadata":{"continue":{}}}"#,
        r#"{"error_code":"ModelArts.0108","error_msg":"not authorised"}"#,
        "<html><body>Please log in</body></html>",
        deep.as_str(),
    ] {
        let error = page(body).unwrap_err();
        assert_eq!(error.class, Class::Decode, "{body:.60}");
    }
}

#[test]
fn a_body_that_is_not_utf8_is_refused() {
    let mut body = br#"{"kind":"PoolList","items":[{"metadata":{"name":"p"},"x":"?"}]}"#.to_vec();
    let at = body.iter().position(|byte| *byte == b'?').unwrap();
    body[at] = 0xff;
    assert_eq!(
        read_page("list pools", &body).unwrap_err().class,
        Class::Decode
    );
}

#[test]
fn the_continue_token_is_read_unless_it_is_empty() {
    for (metadata, token) in [
        (r#"{"continue":"abc","remainingItemCount":7}"#, Some("abc")),
        (r#"{"continue":"","remainingItemCount":0}"#, None),
        (r#"{"continue":null}"#, None),
        ("{}", None),
        ("null", None),
    ] {
        let body = format!(r#"{{"kind":"PoolList","items":[],"metadata":{metadata}}}"#);
        assert_eq!(page(&body).unwrap().1.as_deref(), token, "{metadata}");
    }
}

#[test]
fn a_bad_item_is_set_aside_by_name_and_loses_no_other() {
    let snapshot = snapshot(
        &json!([
            item("first", None, "Running"),
            {"metadata": {"name": "bad", "labels": 7}},
            item("last", None, "Running"),
        ]),
        &json!([]),
    );
    assert_eq!(
        snapshot.pools().keys().collect::<Vec<_>>(),
        ["first", "last"]
    );
    assert_eq!(aside(&snapshot), [Some("bad")]);
}

#[test]
fn an_item_without_a_name_is_set_aside_nameless() {
    for bad in [json!({}), json!(null), json!("p"), json!({"metadata": {}})] {
        assert_eq!(aside(&snapshot(&json!([bad]), &json!([]))), [None]);
    }
}

#[test]
fn why_an_item_was_set_aside_is_short_and_clean() {
    let bad = json!({"metadata": {"name": "p", "labels": format!("\u{202E}\u{1b}{}", "x".repeat(100_000))}});
    let snapshot = snapshot(&json!([bad]), &json!([]));
    let why = &snapshot.set_aside()[0].why;
    assert!(!why.is_empty() && why.chars().count() <= 200, "{why}");
    assert_eq!(crate::modelarts::loose::clean(why), *why);
}

#[test]
fn of_two_items_with_one_name_the_younger_pool_counts() {
    let (old, young) = (Some("2026-01-01T00:00:00Z"), Some("2026-02-01T00:00:00Z"));
    for items in [
        json!([item("p", old, "Old"), item("p", young, "Young")]),
        json!([item("p", young, "Young"), item("p", old, "Old")]),
        json!([item("p", None, "Old"), item("p", young, "Young")]),
        json!([item("p", young, "Young"), item("p", None, "Old")]),
    ] {
        let snapshot = snapshot(&items, &json!([]));
        assert_eq!(phase(&snapshot, "p"), Some("Young"), "{items}");
    }
}

#[test]
fn a_failed_record_yields_to_a_pool_of_the_same_age_or_younger() {
    let (old, young) = (Some("2026-01-01T00:00:00Z"), Some("2026-02-01T00:00:00Z"));
    for (live, failed, expected) in [
        (old, old, ("Live", false)),
        (young, old, ("Live", false)),
        (old, young, ("Failed", true)),
        (None, None, ("Live", false)),
    ] {
        let snapshot = snapshot(
            &json!([item("p", live, "Live")]),
            &json!([item("p", failed, "Failed")]),
        );
        let listed = &snapshot.pools()["p"];
        let phase = listed.pool.status.phase.as_deref().unwrap();
        assert_eq!((phase, listed.creation_failed), expected);
    }
}

#[test]
fn a_pool_that_only_the_list_of_failures_has_is_marked_as_such() {
    let snapshot = snapshot(&json!([]), &json!([item("p", None, "Creating")]));
    assert!(snapshot.pools()["p"].creation_failed);
}

#[test]
fn a_pool_that_one_answer_shows_well_is_not_set_aside() {
    let bad = json!({"metadata": {"name": "p", "labels": 7}});
    for (default, failed) in [
        (json!([bad.clone(), item("p", None, "Running")]), json!([])),
        (json!([item("p", None, "Running")]), json!([bad.clone()])),
    ] {
        let snapshot = snapshot(&default, &failed);
        assert_eq!(phase(&snapshot, "p"), Some("Running"));
        assert_eq!(aside(&snapshot), [] as [Option<&str>; 0]);
    }
}

#[test]
fn an_old_failure_does_not_stand_in_for_a_pool_that_cannot_be_read() {
    let bad = json!({"metadata": {"name": "p", "labels": 7}});
    let snapshot = snapshot(
        &json!([bad]),
        &json!([item("p", Some("2026-01-01T00:00:00Z"), "CreationFailed")]),
    );
    assert_eq!(phase(&snapshot, "p"), None);
    assert_eq!(aside(&snapshot), [Some("p")]);
}

#[test]
fn a_string_of_ten_megabytes_loses_no_item() {
    let long = json!({"metadata": {"name": "long"}, "status": {"message": "x".repeat(10 << 20)}});
    let snapshot = snapshot(&json!([long, item("p", None, "Running")]), &json!([]));
    assert_eq!(snapshot.pools().len(), 2);
}
