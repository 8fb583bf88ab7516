//! One request and one answer as plain data, so that everything between the two sockets is ordinary
//! functions. It decides nothing.

use axum::{
    body::Bytes,
    http::{HeaderMap, Method},
};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// A request that has arrived in full.
#[derive(Debug)]
pub struct Incoming {
    pub method: Method,
    /// As on the wire.
    pub path: String,
    /// Decoded, in the order of the wire.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Drawn on arrival; the answer's header and a gateway's error body both quote it.
    pub request_id: String,
}

impl Incoming {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Splits and decodes a query. A `+` stays a plus sign: the signing rules write a space as `%20`,
/// and a client that forgets it should see its signature refused here before it meets the real
/// gateway.
pub fn decode_query(raw: &str) -> Vec<(String, String)> {
    let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// An answer before it meets the network and its faults.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, body.to_string())
    }

    /// An answer whose JSON is already text.
    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        let headers = vec![(
            "Content-Type".to_owned(),
            "application/json;charset=UTF-8".to_owned(),
        )];
        Self {
            status,
            headers,
            body: body.into(),
        }
    }

    /// An error as ModelArts itself words it, without a request id in the body.
    pub fn service_error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error_code": code, "error_msg": message}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_without_turning_plus_into_space() {
        let pairs = decode_query("a%2Fb=x%20y&c=1+1&d&e=");
        let expected = [("a/b", "x y"), ("c", "1+1"), ("d", ""), ("e", "")];
        assert_eq!(
            pairs,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }
}
