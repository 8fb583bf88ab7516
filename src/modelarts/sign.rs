//! Signs requests with SDK-HMAC-SHA256, the scheme every Huawei Cloud gateway checks access keys
//! with. A pure function of the request, the key pair and the time: it never reads a clock, sends
//! anything or remembers a key.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The word that opens both the string to sign and the `Authorization` header.
pub const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// The header that carries the time of signing; it must be signed and sent.
pub const DATE_HEADER: &str = "x-sdk-date";

/// Sent and signed with the value [`UNSIGNED_PAYLOAD`], this header takes the body out of the
/// signature.
pub const PAYLOAD_HEADER: &str = "x-sdk-content-sha256";

/// What stands in the place of the body's hash when the body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The parts of a request that a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// In upper case.
    pub method: &'a str,
    /// Exactly what the `Host` header will say, so with the port unless it is the scheme's own.
    pub host: &'a str,
    /// As on the wire: percent-encoded where needed, and without the slash that only the canonical
    /// form ends in.
    pub path: &'a str,
    /// Decoded pairs in any order.
    pub query: &'a [(&'a str, &'a str)],
    /// The headers to sign besides `Host` and `X-Sdk-Date`. A header that a proxy may rewrite does
    /// not belong here.
    pub headers: &'a [(&'a str, &'a str)],
    /// The exact bytes sent; none for a GET.
    pub body: &'a [u8],
}

/// What signing adds to a request.
#[derive(Debug)]
pub struct Signed {
    /// The value of `X-Sdk-Date`.
    pub date: String,
    /// The value of `Authorization`.
    pub authorization: SecretString,
    /// The query to put on the wire byte for byte: a URL library would encode it its own way and
    /// break the signature.
    pub query: String,
}

/// The form of a request that both sides must arrive at on their own.
#[derive(Debug)]
pub struct Canonical {
    /// The whole canonical request.
    pub text: String,
    /// The names of the signed headers, as `Authorization` lists them.
    pub signed_headers: String,
}

/// Signs a request. Every attempt needs a new signature, because the gateway refuses one that is 15
/// minutes old.
pub fn sign(
    request: &Request<'_>,
    access_key: &str,
    secret_key: &SecretString,
    now: Timestamp,
) -> Signed {
    let date = date(now);
    let mut headers = vec![("host", request.host), (DATE_HEADER, date.as_str())];
    headers.extend(request.headers);
    let canonical = canonical(
        request.method,
        request.path,
        request.query,
        &headers,
        request.body,
    );
    let signature = signature(&date, &canonical.text, secret_key);
    let authorization = format!(
        "{ALGORITHM} Access={access_key}, SignedHeaders={}, Signature={signature}",
        canonical.signed_headers
    );
    Signed {
        authorization: authorization.into(),
        query: canonical_query(request.query),
        date,
    }
}

/// A time as `X-Sdk-Date` writes it.
pub fn date(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The canonical form of a request over exactly these headers, with names in any case and order.
pub fn canonical(
    method: &str,
    path: &str,
    query: &[(&str, &str)],
    headers: &[(&str, &str)],
    body: &[u8],
) -> Canonical {
    let mut headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    headers.sort();
    let signed_headers = headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(";");
    let header_lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();

    // An empty body is hashed even under UNSIGNED-PAYLOAD, because that is what the vendor's own
    // SDK does.
    let unsigned = headers
        .iter()
        .any(|(name, value)| name == PAYLOAD_HEADER && *value == UNSIGNED_PAYLOAD);
    let payload = if unsigned && !body.is_empty() {
        UNSIGNED_PAYLOAD.to_owned()
    } else {
        hex(&Sha256::digest(body))
    };

    let (path, query) = (canonical_path(path), canonical_query(query));
    let text = format!("{method}\n{path}\n{query}\n{header_lines}\n{signed_headers}\n{payload}");
    Canonical {
        text,
        signed_headers,
    }
}

/// Encodes and orders a query. Pairs are sorted before they are encoded: the vendor's SDKs for
/// Python, Go and Node do so, the one for Java sorts encoded keys, and the two differ only for keys
/// that hold characters such as `/`.
pub fn canonical_query(query: &[(&str, &str)]) -> String {
    let mut pairs = query.to_vec();
    pairs.sort_unstable();
    let encoded: Vec<_> = pairs
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    encoded.join("&")
}

/// The signature of a canonical request, which is what the gateway compares.
pub fn signature(date: &str, canonical: &str, secret_key: &SecretString) -> String {
    // HMAC takes a key of any length, so this always succeeds; the empty signature it cannot give
    // would be refused.
    Hmac::<Sha256>::new_from_slice(secret_key.expose_secret().as_bytes())
        .map(|hmac| {
            hex(&hmac
                .chain_update(string_to_sign(date, canonical))
                .finalize()
                .into_bytes())
        })
        .unwrap_or_default()
}

fn string_to_sign(date: &str, canonical: &str) -> String {
    format!("{ALGORITHM}\n{date}\n{}", hex(&Sha256::digest(canonical)))
}

/// Decodes and encodes each segment, so that a path signs the same however much of it was escaped,
/// and ends it in a slash: the gateway does so for every path, and forgetting it is the classic
/// first mistake.
fn canonical_path(path: &str) -> String {
    let encode_again = |segment| {
        let decoded: Vec<u8> = percent_decode_str(segment).collect();
        percent_encoding::percent_encode(&decoded, RESERVED).to_string()
    };
    let mut canonical = path
        .split('/')
        .map(encode_again)
        .collect::<Vec<_>>()
        .join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// Everything but the characters that RFC 3986 calls unreserved is escaped.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::{civil::DateTime, tz::Offset};
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Fixture {
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        flags: Vec<String>,
        input: Input,
        expected: Expected,
    }

    #[derive(Deserialize)]
    struct Input {
        ak: String,
        sk: String,
        x_sdk_date: String,
        method: String,
        scheme: String,
        host: String,
        path: String,
        query: Vec<(String, String)>,
        headers: std::collections::BTreeMap<String, String>,
        body: String,
    }

    #[derive(Deserialize)]
    struct Expected {
        url: String,
        canonical_uri: String,
        canonical_query: String,
        signed_headers: String,
        canonical_request: String,
        canonical_request_sha256: String,
        string_to_sign: String,
        signature: String,
        authorization: String,
        #[serde(default)]
        extra_headers_added: std::collections::BTreeMap<String, String>,
    }

    fn vectors() -> Vec<Vector> {
        let fixture: Fixture =
            serde_json::from_str(include_str!("../../tests/fixtures/signing-vectors.json"))
                .unwrap();
        fixture.vectors
    }

    fn is_derived(vector: &Vector) -> bool {
        vector.flags.iter().any(|flag| flag == "derived")
    }

    #[test]
    fn every_vector_of_the_vendors_sdk_signs_to_the_same_bytes() {
        for Vector {
            name,
            input,
            expected,
            ..
        } in vectors().into_iter().filter(|vector| !is_derived(vector))
        {
            let query: Vec<_> = input
                .query
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect();
            let headers: Vec<_> = input
                .headers
                .iter()
                .chain(&expected.extra_headers_added)
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let request = Request {
                method: &input.method,
                host: &input.host,
                path: &input.path,
                query: &query,
                headers: &headers,
                body: input.body.as_bytes(),
            };
            let secret_key = SecretString::from(input.sk);
            let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", &input.x_sdk_date).unwrap();
            let now = Offset::UTC.to_timestamp(civil).unwrap();

            let mut all_headers = headers.clone();
            all_headers.extend([
                ("Host", request.host),
                ("X-Sdk-Date", input.x_sdk_date.as_str()),
            ]);
            let canonical = canonical(
                request.method,
                request.path,
                &query,
                &all_headers,
                request.body,
            );
            assert_eq!(
                canonical_path(&input.path),
                expected.canonical_uri,
                "{name}"
            );
            assert_eq!(canonical_query(&query), expected.canonical_query, "{name}");
            assert_eq!(canonical.signed_headers, expected.signed_headers, "{name}");
            assert_eq!(canonical.text, expected.canonical_request, "{name}");
            assert_eq!(
                hex(&Sha256::digest(&canonical.text)),
                expected.canonical_request_sha256,
                "{name}"
            );
            assert_eq!(
                string_to_sign(&input.x_sdk_date, &canonical.text),
                expected.string_to_sign,
                "{name}"
            );
            assert_eq!(
                signature(&input.x_sdk_date, &canonical.text, &secret_key),
                expected.signature,
                "{name}"
            );

            let signed = sign(&request, &input.ak, &secret_key, now);
            assert_eq!(
                signed.authorization.expose_secret(),
                expected.authorization,
                "{name}"
            );
            assert_eq!(signed.date, input.x_sdk_date, "{name}");
            let separator = if signed.query.is_empty() { "" } else { "?" };
            let url = format!(
                "{}://{}{}{separator}{}",
                input.scheme, input.host, input.path, signed.query
            );
            assert_eq!(url, expected.url, "{name}");
        }
    }

    /// V11-HMAC-SHA256 derives a key per day, region and service. No ModelArts client of the vendor
    /// can switch it on, because none names its service, so it is the one scheme that is not built
    /// here.
    #[test]
    fn derived_signing_is_the_only_vector_left_out() {
        let left_out: Vec<_> = vectors()
            .into_iter()
            .filter(is_derived)
            .map(|vector| vector.name)
            .collect();
        assert_eq!(left_out, ["derived_v11"]);
    }

    /// The one rule on which the vendor's own SDKs disagree.
    #[test]
    fn query_keys_are_sorted_before_they_are_encoded() {
        assert_eq!(
            canonical_query(&[("a/b", "1"), ("a-b", "2"), ("a", "3")]),
            "a=3&a-b=2&a%2Fb=1"
        );
    }

    #[test]
    fn repeated_keys_are_ordered_by_value() {
        assert_eq!(
            canonical_query(&[("k", "b"), ("k", ""), ("k", "a")]),
            "k=&k=a&k=b"
        );
    }

    #[test]
    fn header_values_are_trimmed_at_both_ends_only() {
        let canonical = canonical("GET", "/", &[], &[("X-Note", "  two  words ")], b"");
        assert!(
            canonical.text.contains("x-note:two  words\n"),
            "{}",
            canonical.text
        );
    }

    #[test]
    fn an_empty_body_is_hashed_even_when_the_payload_is_unsigned() {
        let canonical = canonical("GET", "/", &[], &[(PAYLOAD_HEADER, UNSIGNED_PAYLOAD)], b"");
        assert!(
            canonical.text.ends_with(&hex(&Sha256::digest(b""))),
            "{}",
            canonical.text
        );
    }

    #[test]
    fn a_signed_request_prints_no_secret() {
        let request = Request {
            method: "GET",
            host: "h",
            path: "/",
            query: &[],
            headers: &[],
            body: b"",
        };
        let signed = sign(
            &request,
            "AK",
            &SecretString::from("SK"),
            Timestamp::UNIX_EPOCH,
        );
        assert!(!format!("{signed:?}").contains("Signature="));
    }
}
