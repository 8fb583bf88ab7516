use serde_json::value::RawValue;

use super::*;

fn decode(text: &str) -> Result<Pool, serde_json::Error> {
    serde_json::from_str(text)
}

/// The pool `p` with this JSON text as its `spec`.
fn spec(text: &str) -> Spec {
    let item = format!(r#"{{"metadata":{{"name":"p"}},"spec":{text}}}"#);
    decode(&item).unwrap().spec
}

/// The pool `p` with this JSON text as its `status`.
fn status(text: &str) -> Status {
    let item = format!(r#"{{"metadata":{{"name":"p"}},"status":{text}}}"#);
    decode(&item).unwrap().status
}

/// The pool `p` with this JSON text as the count of its only resource.
fn count(text: &str) -> Result<Option<i64>, serde_json::Error> {
    let item = format!(
        r#"{{"metadata":{{"name":"p"}},"spec":{{"resources":[{{"flavor":"f","count":{text}}}]}}}}"#
    );
    decode(&item).map(|pool| pool.spec.resources[0].count)
}

#[test]
fn an_object_reads_like_a_list_of_one() {
    for (one, list) in [
        (
            r#"{"resources":{"available":{"flavor":"f","count":1}}}"#,
            r#"{"resources":{"available":[{"flavor":"f","count":1}]}}"#,
        ),
        (
            r#"{"resources":{"abnormal":[{"azs":{"az":"a","count":1}}]}}"#,
            r#"{"resources":{"abnormal":[{"azs":[{"az":"a","count":1}]}]}}"#,
        ),
        (
            r#"{"scope":{"scopeType":"Train","state":"Enabled"}}"#,
            r#"{"scope":[{"scopeType":"Train","state":"Enabled"}]}"#,
        ),
    ] {
        assert_eq!(status(one), status(list), "{one}");
        assert_ne!(status(one), Status::default(), "{one}");
    }
}

#[test]
fn a_word_reads_like_a_list_of_one() {
    assert_eq!(
        spec(r#"{"scope":"Train","jobFlavors":7}"#),
        spec(r#"{"scope":["Train"],"jobFlavors":["7"]}"#)
    );
}

#[test]
fn absent_null_empty_list_and_empty_object_all_mean_none() {
    for none in [
        r#"{}"#,
        r#"null"#,
        r#"{"resources":null,"scope":null,"driver":null}"#,
        r#"{"resources":{},"scope":[]}"#,
        r#"{"resources":{"available":null,"abnormal":[],"deleting":{},"creating":[{}],"creationFailed":[null]},"scope":{}}"#,
    ] {
        assert_eq!(status(none), Status::default(), "{none}");
    }
    for none in [
        r#"{}"#,
        r#"null"#,
        r#"{"scope":null,"resources":null,"network":null,"jobFlavors":null,"driver":null,"controlMode":null}"#,
        r#"{"scope":[],"resources":[],"jobFlavors":[]}"#,
        r#"{"resources":{}}"#,
    ] {
        assert_eq!(spec(none), Spec::default(), "{none}");
    }
    assert_eq!(
        spec(r#"{"resources":[{"flavor":"f","azs":[]}]}"#).resources[0].azs,
        []
    );
}

#[test]
fn a_whole_number_may_be_written_as_a_float_or_as_text() {
    for (text, number) in [
        ("3", Some(3)),
        ("3.0", Some(3)),
        (r#""3""#, Some(3)),
        (r#"" 3 ""#, Some(3)),
        ("1e3", Some(1000)),
        ("0", Some(0)),
        ("-1", Some(-1)),
        ("-1.0", Some(-1)),
        ("9223372036854775807", Some(i64::MAX)),
        ("null", None),
    ] {
        assert_eq!(count(text).unwrap(), number, "{text}");
    }
}

#[test]
fn what_is_no_whole_number_is_refused_and_never_wrapped() {
    for text in [
        "3.5",
        "1e400",
        "-1e400",
        "1e300",
        "9223372036854775808",
        "18446744073709551616",
        "9007199254740994.0",
        r#""9223372036854775808""#,
        r#""three""#,
        r#""""#,
        "true",
        "{}",
        "[]",
    ] {
        assert!(count(text).is_err(), "{text}");
    }
}

#[test]
fn text_may_be_any_scalar() {
    for (text, word) in [
        (r#""a""#, "a"),
        ("7", "7"),
        ("7.0", "7"),
        ("1.5", "1.5"),
        ("true", "true"),
        ("18446744073709551615", "18446744073709552000"),
    ] {
        let read = status(&format!(r#"{{"parent":{text}}}"#)).parent;
        assert_eq!(read.as_deref(), Some(word), "{text}");
    }
}

#[test]
fn a_map_takes_scalars_of_any_type_and_keeps_nested_values_as_json() {
    let pool = decode(
        r#"{"metadata":{"name":"p","labels":{"text":"t","number":0,"truth":true,"none":null,"nested":{"a":[1]}}}}"#,
    )
    .unwrap();
    let labels: Vec<(&str, &str)> = pool
        .metadata
        .labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("nested", r#"{"a":[1]}"#),
            ("number", "0"),
            ("text", "t"),
            ("truth", "true")
        ]
    );
}

#[test]
fn null_maps_are_empty() {
    let pool = decode(r#"{"metadata":{"name":"p","labels":null,"annotations":null}}"#).unwrap();
    assert_eq!(
        (pool.metadata.labels.len(), pool.metadata.annotations.len()),
        (0, 0)
    );
}

#[test]
fn unknown_words_are_kept() {
    let status = status(
        r#"{"phase":"Hibernating","scope":[{"scopeType":"Dream","state":"Lucid"}],"driver":{"npu":{"state":"Melting"}}}"#,
    );
    assert_eq!(status.phase.as_deref(), Some("Hibernating"));
    assert_eq!(status.scope[0].scope_type.as_deref(), Some("Dream"));
    assert_eq!(status.scope[0].state.as_deref(), Some("Lucid"));
    let npu = status.driver.unwrap().npu.unwrap();
    assert_eq!(npu.state.as_deref(), Some("Melting"));
}

#[test]
fn unknown_fields_of_any_shape_are_passed_over() {
    let plain = decode(r#"{"metadata":{"name":"p"},"spec":{"type":"Logical"}}"#).unwrap();
    for item in [
        r#"{"kind":"Pool","apiVersion":"v9","metadata":{"name":"p","uid":1,"generation":{}},"spec":{"type":"Logical"}}"#,
        r#"{"metadata":{"name":"p"},"spec":{"type":"Logical","containernetwork":{"mode":"eni"},"containerNetwork":[]}}"#,
        r#"{"metadata":{"name":"p"},"spec":{"type":"Logical","userLogin":{"password":"x"},"clusters":{}},"status":{"clusters":[1]}}"#,
    ] {
        assert_eq!(decode(item).unwrap(), plain, "{item}");
    }
}

#[test]
fn the_constructed_sample_of_every_known_oddity_decodes() {
    let list: PoolList =
        serde_json::from_str(include_str!("../../../tests/fixtures/stress-list.json")).unwrap();
    let pool = decode(list.items.unwrap().0[0].get()).unwrap();
    assert_eq!(pool.status.resources.abnormal[0].count, Some(1));
    assert_eq!(pool.status.resources.creation_failed[0].count, Some(1));
    assert_eq!(pool.spec.control_mode, Some(9));
}

#[test]
fn control_characters_and_bidi_overrides_are_removed_but_newline_and_tab_stay() {
    let status = status(r#"{"message":"a\u0000b\u001b[31mc\u202Ed\u2066e\u200Ff\u0085\n\tg\r"}"#);
    assert_eq!(status.message.as_deref(), Some("ab[31mcdef\n\tg"));
}

#[test]
fn keys_and_values_of_maps_are_cleaned() {
    let pool = decode(r#"{"metadata":{"name":"p","labels":{"k\u202E":"v\u0007"}}}"#).unwrap();
    assert_eq!(
        pool.metadata.labels.get("k").map(String::as_str),
        Some("v"),
        "{:?}",
        pool.metadata.labels
    );
}

#[test]
fn a_pools_id_is_one_word_of_at_most_253_characters() {
    let named = |name: &str| decode(&format!(r#"{{"metadata":{{"name":{name}}}}}"#));
    let longest = format!(r#""{}""#, "a".repeat(253));
    for (name, id) in [
        (r#""a""#, "a"),
        ("7", "7"),
        (r#""资源池""#, "资源池"),
        (longest.as_str(), &longest[1..254]),
    ] {
        assert_eq!(named(name).unwrap().metadata.name, id);
    }
    let too_long = format!(r#""{}""#, "a".repeat(254));
    for name in [
        r#""""#,
        r#"" ""#,
        r#""a b""#,
        r#""a\nb""#,
        r#""a\u0000""#,
        r#""\u202Ea""#,
        "null",
        "{}",
        "[]",
        too_long.as_str(),
    ] {
        assert!(named(name).is_err(), "{name}");
    }
}

#[test]
fn an_item_without_metadata_or_name_is_refused() {
    for item in ["{}", r#"{"metadata":{}}"#, r#"{"metadata":null}"#, "7"] {
        assert!(decode(item).is_err(), "{item}");
    }
}

#[test]
fn the_name_of_a_broken_item_is_read_where_it_can_be() {
    for (item, name) in [
        (r#"{"metadata":{"name":"p","labels":7}}"#, Some("p")),
        (r#"{"metadata":{"name":"p"},"spec":[[]]}"#, Some("p")),
        (
            r#"{"metadata":{"name":"p"},"status":{"message":"\ud800"}}"#,
            Some("p"),
        ),
        (
            r#"{"metadata":{"name":"p"},"spec":{"controlMode":1e400}}"#,
            Some("p"),
        ),
        (r#"{"metadata":{"name":"a b"}}"#, None),
        (r#"{"metadata":{"name":"\ud800"}}"#, None),
        (r#"{"metadata":{"name":"a","name":"b"}}"#, None),
        ("{}", None),
        ("[]", None),
    ] {
        let raw: &RawValue = serde_json::from_str(item).unwrap();
        assert_eq!(name_of(raw).as_deref(), name, "{item}");
    }
}

#[test]
fn a_lone_surrogate_and_a_key_given_twice_are_refused() {
    for item in [
        r#"{"metadata":{"name":"p"},"status":{"message":"\ud800"}}"#,
        r#"{"metadata":{"name":"p","name":"q"}}"#,
        r#"{"metadata":{"name":"p"},"status":{"phase":"Running","phase":"Error"}}"#,
    ] {
        assert!(decode(item).is_err(), "{item}");
    }
}

#[test]
fn a_million_nested_arrays_are_refused_where_they_would_be_read() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for item in [
        format!(r#"{{"metadata":{{"name":"p"}},"status":{{"phase":{deep}}}}}"#),
        format!(r#"{{"metadata":{{"name":"p"}},"status":{{"scope":{deep}}}}}"#),
        format!(r#"{{"metadata":{{"name":"p","labels":{{"k":{deep}}}}}}}"#),
    ] {
        assert!(decode(&item).is_err());
    }
}

#[test]
fn a_million_nested_arrays_are_passed_over_in_an_unknown_field() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let item = format!(r#"{{"metadata":{{"name":"p"}},"newer":{deep}}}"#);
    assert_eq!(decode(&item).unwrap().metadata.name, "p");
}
