use super::*;

const NOW: Timestamp = Timestamp::constant(1_780_000_000, 0);
const MINUTE: Duration = Duration::from_secs(60);

fn answer(status: u16, body: &str) -> Answer<'_> {
    Answer {
        operation: "list pools",
        status,
        body: body.as_bytes(),
        retry_after: None,
        request_id: None,
        server_time: None,
    }
}

fn class(status: u16, body: &str) -> Class {
    classify(&answer(status, body), NOW).class
}

fn coded(code: &str) -> String {
    format!(r#"{{"error_code":"{code}","error_msg":"m"}}"#)
}

/// How a 429 with this header is classified.
fn throttled(retry_after: Option<&str>, server_time: Option<Timestamp>) -> Class {
    let answer = Answer {
        retry_after,
        server_time,
        ..answer(429, "")
    };
    classify(&answer, NOW).class
}

/// One of each class.
fn classes() -> [Class; 13] {
    [
        Class::Authentication,
        Class::ClockSkew,
        Class::Permission,
        Class::Endpoint,
        Class::InvalidRequest,
        Class::Throttled(None),
        Class::Throttled(Some(Duration::ZERO)),
        Class::Throttled(Some(MINUTE)),
        Class::Unreachable,
        Class::Upstream,
        Class::Decode,
        Class::CredentialsMissing,
        Class::InvalidSpec,
    ]
}

#[test]
fn status_and_code_decide_the_class() {
    for (status, code, expected) in [
        (400, "ModelArts.50004000", Class::InvalidRequest),
        (400, "ModelArts.0102", Class::InvalidRequest),
        (400, "ModelArts.7002", Class::InvalidRequest),
        (400, "ModelArts.7005", Class::InvalidRequest),
        (400, "APIGW.0201", Class::InvalidRequest),
        (413, "APIGW.0201", Class::InvalidRequest),
        (414, "APIGW.0201", Class::InvalidRequest),
        (494, "APIGW.0201", Class::InvalidRequest),
        (401, "APIGW.0301", Class::Authentication),
        (401, "APIGW.0303", Class::Authentication),
        (401, "APIGW.0307", Class::Authentication),
        (401, "ModelArts.0203", Class::Authentication),
        (401, "ModelArts.0112", Class::Authentication),
        (401, "IAM.0006", Class::Authentication),
        (403, "ModelArts.0203", Class::Authentication),
        (403, "ModelArts.0206", Class::Authentication),
        (403, "ModelArts.0108", Class::Permission),
        (403, "ModelArts.0112", Class::Permission),
        (403, "ModelArts.0210", Class::Permission),
        (403, "APIGW.0302", Class::Permission),
        (403, "APIGW.0802", Class::Permission),
        (405, "APIGW.0501", Class::Permission),
        (405, "APIGW.0502", Class::Permission),
        (404, "APIGW.0101", Class::Endpoint),
        (404, "APIGW.0103", Class::Upstream),
        (404, "ModelArts.50015001", Class::Upstream),
        (429, "APIGW.0308", Class::Throttled(None)),
        (429, "ModelArts.2799", Class::Throttled(None)),
        (500, "ModelArts.50005000", Class::Upstream),
        (500, "APIGW.0601", Class::Upstream),
        (502, "APIGW.0201", Class::Upstream),
        (503, "ModelArts.4302", Class::Upstream),
        (504, "APIGW.0201", Class::Upstream),
        (301, "", Class::Endpoint),
        (302, "", Class::Endpoint),
        (418, "", Class::Upstream),
    ] {
        assert_eq!(class(status, &coded(code)), expected, "{status} {code}");
    }
}

#[test]
fn the_prefix_of_a_code_does_not_matter() {
    for prefix in ["APIGW.", "APIG.", "APIC.", "ModelArts.", ""] {
        assert_eq!(
            class(404, &coded(&format!("{prefix}0101"))),
            Class::Endpoint
        );
    }
}

#[test]
fn a_code_is_found_in_every_shape_of_error_body() {
    for body in [
        r#"{"error_code":"APIGW.0101","error_msg":"m"}"#,
        r#"{"error_msg":"m","error_code":"APIGW.0101","request_id":"r"}"#,
        r#"{"errorCode":"APIGW.0101","errorMsg":"m"}"#,
        r#"{"errorCode":"APIGW.0101","errorMessage":"m"}"#,
        r#"{"code":"APIGW.0101","message":"m"}"#,
        r#"{"error":{"code":"APIGW.0101","message":"m"}}"#,
        r#"{"request_id":"r","error":{"error_code":"APIGW.0101"}}"#,
    ] {
        assert_eq!(class(404, body), Class::Endpoint, "{body}");
    }
}

#[test]
fn a_body_without_a_code_is_classified_by_its_status() {
    let deep = "[".repeat(1_000_000);
    for body in [
        "",
        "<html>502</html>",
        "not found",
        "null",
        "[]",
        "7",
        r#"{"error":"text"}"#,
        r#"{"error":{"code":401,"message":"m","title":"Unauthorized"}}"#,
        r#"{"error_code":{}}"#,
        deep.as_str(),
    ] {
        assert_eq!(class(401, body), Class::Authentication, "{body:.40}");
        assert_eq!(class(500, body), Class::Upstream, "{body:.40}");
    }
}

#[test]
fn the_cause_behind_the_gateways_refusal_is_said_in_our_words() {
    for (text, cause) in [
        (
            "Incorrect IAM authentication information: verify aksk signature fail",
            "the signature does not match",
        ),
        (
            "AK access failed to reach the limit,forbidden",
            "the access key is locked for some minutes",
        ),
        (
            "Get secretKey failed,ak:AKFAKE,err:ak not exist",
            "the access key does not exist",
        ),
        ("decrypt token fail", "the security token is invalid"),
        ("token expires", "the security token has expired"),
    ] {
        for body in [
            serde_json::json!({"error_code": "APIGW.0301", "error_msg": text}),
            serde_json::json!({"errorCode": "APIGW.0301", "errorMsg": text}),
            serde_json::json!({"errorCode": "APIGW.0301", "errorMessage": text}),
            serde_json::json!({"error": {"code": "APIGW.0301", "message": text}}),
        ] {
            let detail = classify(&answer(401, &body.to_string()), NOW).detail;
            assert_eq!(detail, format!("HTTP 401 APIGW.0301 ({cause})"), "{body}");
        }
    }
}

#[test]
fn nothing_of_a_body_but_its_code_reaches_the_detail() {
    let canary = "AKCANARY0000001";
    for body in [
        format!(
            r#"{{"error_code":"APIGW.0301","error_msg":"Get secretKey failed,ak:{canary},err:ak not exist"}}"#
        ),
        format!(r#"{{"error_code":"APIGW.0301","error_msg":"{canary}","request_id":"{canary}"}}"#),
        format!(r#"{{"error":{{"code":401,"message":"{canary}","title":"{canary}"}}}}"#),
        format!("<html>{canary}</html>"),
        canary.to_owned(),
    ] {
        let error = classify(&answer(401, &body), NOW);
        let everything = format!("{error} {error:?} {}", error.message());
        assert!(!everything.contains(canary), "{everything}");
    }
}

#[test]
fn a_code_is_cut_and_cleaned() {
    let body = format!(
        r#"{{"error_code":"A\n\u001b[31m<b> {}"}}"#,
        "x".repeat(10_000)
    );
    let detail = classify(&answer(500, &body), NOW).detail;
    assert!(
        detail.len() < 100 && detail.starts_with("HTTP 500 A31mbxxx"),
        "{detail}"
    );
}

#[test]
fn a_refused_signature_is_a_matter_of_the_clock_where_the_clocks_differ() {
    for (minutes, status, expected) in [
        (0, 401, Class::Authentication),
        (9, 401, Class::Authentication),
        (-9, 403, Class::Permission),
        (16, 401, Class::ClockSkew),
        (-16, 401, Class::ClockSkew),
        (16, 403, Class::ClockSkew),
        (16, 500, Class::Upstream),
        (16, 429, Class::Throttled(None)),
    ] {
        let answer = Answer {
            server_time: Some(NOW + SignedDuration::from_mins(minutes)),
            ..answer(status, "")
        };
        assert_eq!(classify(&answer, NOW).class, expected, "{minutes} {status}");
    }
}

#[test]
fn the_log_says_how_far_the_clocks_differ() {
    let answer = Answer {
        server_time: Some(NOW + SignedDuration::from_mins(20)),
        ..answer(401, "")
    };
    let detail = classify(&answer, NOW).detail;
    assert_eq!(detail, "HTTP 401 (clocks differ by 1200 s)");
}

#[test]
fn the_clouds_wish_to_wait_is_read_in_seconds_or_as_a_date() {
    let cap = Some(15 * MINUTE);
    for (wish, expected) in [
        (Some("30"), Some(Duration::from_secs(30))),
        (Some(" 30 "), Some(Duration::from_secs(30))),
        (Some("0"), Some(Duration::ZERO)),
        (Some("86400"), cap),
        (Some("18446744073709551615"), cap),
        // 30 s after NOW.
        (
            Some("Thu, 28 May 2026 20:27:10 GMT"),
            Some(Duration::from_secs(30)),
        ),
        (Some("Thu, 28 May 2026 20:00:00 GMT"), Some(Duration::ZERO)),
        (Some("Fri, 28 May 2027 20:27:10 GMT"), cap),
        (Some("-1"), None),
        (Some("soon"), None),
        (Some(""), None),
        (None, None),
    ] {
        assert_eq!(
            throttled(wish, None),
            Class::Throttled(expected),
            "{wish:?}"
        );
    }
}

#[test]
fn a_date_to_wait_for_is_read_against_the_servers_clock() {
    let server = NOW - SignedDuration::from_mins(5);
    let wish = Some("Thu, 28 May 2026 20:27:10 GMT");
    let expected = Class::Throttled(Some(Duration::from_secs(330)));
    assert_eq!(throttled(wish, Some(server)), expected);
}

#[test]
fn what_is_no_http_date_is_none() {
    for text in [
        "",
        "yesterday",
        "2026-05-28T20:27:10Z",
        "Thu, 99 May 2026 20:27:10 GMT",
    ] {
        assert_eq!(http_date(text), None, "{text}");
    }
}

#[test]
fn first_failures_of_a_passing_kind_are_tried_again_soon_and_then_less_often() {
    let delays = |class: Class| {
        [1, 2, 3, 6].map(|failures| class.delay(failures, 10 * MINUTE, 0.0).as_secs())
    };
    for class in [Class::Unreachable, Class::Upstream, Class::Decode] {
        assert_eq!(delays(class), [1, 2, 4, 32], "{class:?}");
    }
}

#[test]
fn throttling_without_a_wish_waits_a_minute_and_doubles_up_to_a_quarter_of_an_hour() {
    let delay = |failures| {
        Class::Throttled(None)
            .delay(failures, MINUTE, 0.0)
            .as_secs()
    };
    assert_eq!(
        [1, 2, 3, 4, 5, 99].map(delay),
        [60, 120, 240, 480, 900, 900]
    );
}

#[test]
fn a_wish_to_wait_is_obeyed_up_to_a_quarter_of_an_hour() {
    for (wish, expected) in [(0, 1), (30, 30), (900, 900), (86_400, 900)] {
        let class = Class::Throttled(Some(Duration::from_secs(wish)));
        assert_eq!(class.delay(1, MINUTE, 0.5).as_secs(), expected, "{wish}");
    }
}

#[test]
fn a_refused_permission_endpoint_or_request_waits_five_minutes_or_the_interval() {
    for class in [
        Class::Permission,
        Class::Endpoint,
        Class::InvalidRequest,
        Class::InvalidSpec,
    ] {
        let delay = |interval| class.delay(1, interval, 0.0);
        assert_eq!(
            (delay(MINUTE), delay(60 * MINUTE)),
            (5 * MINUTE, 60 * MINUTE),
            "{class:?}"
        );
    }
}

#[test]
fn no_kind_of_cloud_failure_is_asked_again_faster_than_the_interval_for_ever() {
    for class in classes() {
        // Whether these are asked again is a matter of their key or Secret, not of time.
        if matches!(
            class,
            Class::Authentication | Class::ClockSkew | Class::CredentialsMissing
        ) {
            continue;
        }
        for minutes in [1, 10, 60, 24 * 60] {
            let interval = minutes * MINUTE;
            for failures in [11, 100, u32::MAX] {
                let delay = class.delay(failures, interval, 0.0);
                assert!(delay >= interval, "{class:?} {interval:?}: {delay:?}");
            }
        }
    }
}

#[test]
fn jitter_only_ever_lengthens_a_delay_and_by_no_more_than_a_quarter() {
    for class in classes() {
        for failures in [0, 1, 7, u32::MAX] {
            let least = class.delay(failures, MINUTE, 0.0);
            let most = class.delay(failures, MINUTE, 1.0);
            assert!(
                least <= most && most <= least.mul_f64(1.25),
                "{class:?} {failures}"
            );
            assert!(least >= Duration::from_secs(1), "{class:?} {failures}");
        }
    }
}

#[test]
fn a_message_is_the_same_for_every_error_of_a_class() {
    let body = r#"{"error_code":"APIGW.0301","error_msg":"ak:AKFAKE","request_id":"r-1"}"#;
    for status in [301, 400, 401, 403, 404, 429, 500] {
        let mut one = classify(&answer(status, body), NOW);
        one.request_id = Some("r-1".into());
        let other = PollError::new("look up project", one.class, "something else 7");
        assert_eq!(one.message(), other.message(), "{status}");
    }
}

#[test]
fn a_message_about_a_persons_own_objects_names_them() {
    let error = PollError::new(
        "read credentials",
        Class::CredentialsMissing,
        "Secret s has no key k",
    );
    assert!(error.message().ends_with("Secret s has no key k"));
}

#[test]
fn reasons_are_words_that_conditions_may_hold() {
    for class in classes() {
        let reason = class.reason();
        assert!(reason.chars().all(|c| c.is_ascii_alphabetic()), "{reason}");
    }
}
