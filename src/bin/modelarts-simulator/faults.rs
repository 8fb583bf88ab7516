//! Scripted faults: which requests they strike, and what they make of the answer.
//! Only the description lives here; `wire.rs` carries out what concerns bytes and time.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    exchange::{Answer, Incoming},
    gateway,
};

/// One fault. With a status or a body it replaces the answer; without, the real answer suffers the
/// rest.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fault {
    #[serde(rename = "match")]
    pub target: Target,
    /// How many more requests it strikes; absent means until it is cleared.
    pub times: Option<u32>,
    pub status: Option<u16>,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
    delay_ms: u64,
    /// Declare the full length, send this many bytes of the body, and close.
    pub truncate_at: Option<usize>,
    /// Answer with a TCP reset.
    pub reset: bool,
    /// Never answer.
    pub hang: bool,
    pub drip_bytes_per_second: Option<usize>,
}

/// Which requests a fault strikes; what is not given matches everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Target {
    /// The start of the path.
    path: String,
    /// Decoded query values; `null` asks for the parameter to be absent.
    query: BTreeMap<String, Option<String>>,
    /// The key that the request claims, proven or not.
    access_key: Option<String>,
}

impl Target {
    fn matches(&self, incoming: &Incoming) -> bool {
        let key = self.access_key.as_deref();
        incoming.path.starts_with(&self.path)
            && self
                .query
                .iter()
                .all(|(name, value)| incoming.parameter(name) == value.as_deref())
            && (key.is_none() || key == gateway::claimed_access_key(incoming))
    }
}

impl Fault {
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    /// The answer under this fault, given the real one.
    pub fn distort(&self, real: Answer) -> Answer {
        let mut answer = match (self.status, &self.body) {
            (None, None) => real,
            (status, body) => Answer::text(status.unwrap_or(200), body.clone().unwrap_or_default()),
        };
        for (name, value) in &self.headers {
            answer
                .headers
                .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            answer.headers.push((name.clone(), value.clone()));
        }
        answer
    }
}

/// The first fault that strikes a request, used up by one.
pub fn strike(faults: &mut [Fault], incoming: &Incoming) -> Option<Fault> {
    let index = faults
        .iter()
        .position(|fault| fault.times != Some(0) && fault.target.matches(incoming))?;
    let fault = &mut faults[index];
    let struck = fault.clone();
    if let Some(times) = &mut fault.times {
        *times -= 1;
    }
    Some(struck)
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Bytes,
        http::{HeaderMap, Method},
    };
    use serde_json::json;

    use super::*;
    use crate::exchange::decode_query;

    fn incoming(path: &str, query: &str) -> Incoming {
        Incoming {
            method: Method::GET,
            path: path.into(),
            query: decode_query(query),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            request_id: String::new(),
        }
    }

    fn faults(json: serde_json::Value) -> Vec<Fault> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_says() {
        let mut faults = faults(json!([{"times": 2, "status": 503}]));
        let request = incoming("/v2/p/pools", "");
        assert!(strike(&mut faults, &request).is_some());
        assert!(strike(&mut faults, &request).is_some());
        assert!(strike(&mut faults, &request).is_none());
    }

    #[test]
    fn a_fault_strikes_only_what_it_matches() {
        let mut faults = faults(
            json!([{"match": {"path": "/v2", "query": {"status": "failed"}}, "status": 500}]),
        );
        assert!(strike(&mut faults, &incoming("/v2/p/pools", "status=failed")).is_some());
        assert!(strike(&mut faults, &incoming("/v2/p/pools", "")).is_none());
        assert!(strike(&mut faults, &incoming("/v3/projects", "status=failed")).is_none());
    }

    #[test]
    fn a_null_in_the_query_asks_for_absence() {
        let mut faults = faults(json!([{"match": {"query": {"status": null}}, "hang": true}]));
        assert!(strike(&mut faults, &incoming("/v2/p/pools", "workspaceId=0")).is_some());
        assert!(strike(&mut faults, &incoming("/v2/p/pools", "status=failed")).is_none());
    }

    #[test]
    fn headers_alone_are_added_to_the_real_answer() {
        let fault = &faults(json!([{"headers": {"content-type": "text/html"}}]))[0];
        let answer = fault.distort(Answer::text(200, "real"));
        assert_eq!((answer.status, &answer.body[..]), (200, &b"real"[..]));
        assert_eq!(
            answer.headers,
            [("content-type".to_owned(), "text/html".to_owned())]
        );
    }
}
