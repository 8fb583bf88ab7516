//! The API gateway that stands before every service: it knows which paths exist, checks signatures,
//! locks keys that fail too often, and words its refusals as the real one does. It never looks at a
//! pool.

use std::time::Instant;

use k8s_openapi::jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset};
use modelarts_pool_controller::modelarts::sign;
use serde_json::json;

use crate::{
    accounts::{Account, Accounts},
    exchange::{Answer, Incoming},
};

/// A signature further than this from the server's clock is refused.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// Checks who is asking. A failure of a key that exists counts towards its lock.
pub fn authenticate(
    accounts: &mut Accounts,
    incoming: &Incoming,
    now: Timestamp,
) -> Result<Account, Answer> {
    let Some(claim) = Claim::of(incoming) else {
        return Err(unauthorized(incoming, "x-auth-token not found"));
    };
    let Some(account) = accounts.find(claim.access_key).cloned() else {
        return Err(unauthorized(incoming, &unknown_key(claim.access_key)));
    };
    if accounts.is_locked(claim.access_key, Instant::now()) {
        return Err(unauthorized(
            incoming,
            "AK access failed to reach the limit,forbidden",
        ));
    }
    match check(&claim, &account, incoming, now) {
        Ok(()) => {
            accounts.record_success(claim.access_key);
            Ok(account)
        }
        Err(reason) => {
            accounts.record_failure(claim.access_key, Instant::now());
            Err(unauthorized(incoming, &reason))
        }
    }
}

/// The access key a request says it comes from, whether or not it proves it.
pub fn claimed_access_key(incoming: &Incoming) -> Option<&str> {
    Claim::of(incoming).map(|claim| claim.access_key)
}

/// The answer to a path or method that no service has published: a wrong host, region or path looks
/// like this.
pub fn not_published(incoming: &Incoming) -> Answer {
    let message = "The API does not exist or has not been published in the environment";
    error(incoming, 404, "APIGW.0101", message)
}

/// The answer to a body beyond what a signed request may carry.
pub fn too_large(incoming: &Incoming) -> Answer {
    error(incoming, 413, "APIGW.0201", "Request entity too large")
}

/// What an `Authorization` header asserts.
struct Claim<'a> {
    access_key: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn of(incoming: &'a Incoming) -> Option<Self> {
        let parameters = incoming
            .header("authorization")?
            .strip_prefix(sign::ALGORITHM)?
            .strip_prefix(' ')?;
        let mut parts = parameters.split(", ");
        Some(Self {
            access_key: parts.next()?.strip_prefix("Access=")?,
            signed_headers: parts
                .next()?
                .strip_prefix("SignedHeaders=")?
                .split(';')
                .collect(),
            signature: parts.next()?.strip_prefix("Signature=")?,
        })
    }

    fn signs(&self, header: &str) -> bool {
        self.signed_headers.contains(&header)
    }
}

fn check(
    claim: &Claim<'_>,
    account: &Account,
    incoming: &Incoming,
    now: Timestamp,
) -> Result<(), String> {
    let date = incoming
        .header(sign::DATE_HEADER)
        .filter(|_| claim.signs(sign::DATE_HEADER));
    let (Some(date), Some(signed_at)) = (date, date.and_then(parse_date)) else {
        return Err(
            "verify aksk signature fail, x-sdk-date is missing, unsigned or malformed".into(),
        );
    };
    if now.duration_since(signed_at).abs() > TOLERANCE {
        return Err(format!(
            "signature expired, signature time:{date},server time:{}",
            sign::date(now)
        ));
    }
    if let Some(expected) = &account.security_token {
        match incoming.header("x-security-token") {
            // A temporary key is not known by its name alone.
            None => return Err(unknown_key(&account.access_key)),
            Some(token) if token != expected => return Err("decrypt token fail".into()),
            Some(_) if !claim.signs("x-security-token") => {
                return Err("verify aksk signature fail, x-security-token is not signed".into());
            }
            Some(_) => {}
        }
    }
    let canonical = canonical(claim, incoming);
    if sign::signature(date, &canonical, &account.secret_key) != claim.signature {
        let shown = canonical.replace('\n', "|");
        return Err(format!(
            "verify aksk signature fail, canonicalRequest:{shown}"
        ));
    }
    Ok(())
}

/// The canonical form over exactly the headers the client says it signed.
fn canonical(claim: &Claim<'_>, incoming: &Incoming) -> String {
    let query: Vec<_> = incoming
        .query
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let headers: Vec<_> = claim
        .signed_headers
        .iter()
        .map(|name| (*name, incoming.header(name).unwrap_or_default()))
        .collect();
    sign::canonical(
        incoming.method.as_str(),
        &incoming.path,
        &query,
        &headers,
        &incoming.body,
    )
    .text
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Offset::UTC.to_timestamp(civil).ok()
}

fn unknown_key(access_key: &str) -> String {
    format!("Get secretKey failed,ak:{access_key},err:ak not exist")
}

fn unauthorized(incoming: &Incoming, reason: &str) -> Answer {
    error(
        incoming,
        401,
        "APIGW.0301",
        &format!("Incorrect IAM authentication information: {reason}"),
    )
}

fn error(incoming: &Incoming, status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"error_msg": message, "error_code": code, "request_id": incoming.request_id});
    Answer::json(status, &body)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{
        body::Bytes,
        http::{HeaderMap, HeaderValue, Method},
    };
    use secrecy::{ExposeSecret, SecretString};
    use serde_json::Value;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_768_465_800, 0);

    fn accounts() -> Accounts {
        let permanent = json!({"accessKey": "ak", "secretKey": "sk", "projects": []});
        let temporary = json!({"accessKey": "tmp", "secretKey": "sk", "securityToken": "token", "projects": []});
        Accounts::new(
            serde_json::from_value(json!([permanent, temporary])).unwrap(),
            Duration::from_secs(300),
        )
    }

    /// A request signed at a time by a key, with further signed headers.
    fn signed(
        access_key: &str,
        secret_key: &str,
        at: Timestamp,
        headers: &[(&'static str, &'static str)],
    ) -> Incoming {
        let query = [("labelSelector", "os.modelarts/name=pool a")];
        let request = sign::Request {
            method: "GET",
            host: "cloud:8080",
            path: "/v2/p/pools",
            query: &query,
            headers,
            body: b"",
        };
        let signed = sign::sign(&request, access_key, &SecretString::from(secret_key), at);
        let mut sent = HeaderMap::new();
        sent.insert("host", HeaderValue::from_static("cloud:8080"));
        sent.insert("x-sdk-date", signed.date.parse().unwrap());
        sent.insert(
            "authorization",
            signed.authorization.expose_secret().parse().unwrap(),
        );
        for (name, value) in headers {
            sent.insert(*name, HeaderValue::from_static(value));
        }
        Incoming {
            method: Method::GET,
            path: request.path.into(),
            query: query.map(|(key, value)| (key.into(), value.into())).into(),
            headers: sent,
            body: Bytes::new(),
            request_id: "id".into(),
        }
    }

    fn refusal(incoming: &Incoming) -> String {
        let answer = authenticate(&mut accounts(), incoming, NOW).unwrap_err();
        assert_eq!(answer.status, 401);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error_code"], "APIGW.0301");
        assert_eq!(body["request_id"], "id");
        body["error_msg"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_signed_request_is_let_in_as_its_account() {
        let incoming = signed("ak", "sk", NOW, &[("x-project-id", "p")]);
        assert_eq!(
            authenticate(&mut accounts(), &incoming, NOW)
                .unwrap()
                .access_key,
            "ak"
        );
    }

    #[test]
    fn a_wrong_secret_key_is_refused_with_the_canonical_request_the_gateway_saw() {
        let refusal = refusal(&signed("ak", "guess", NOW, &[]));
        let expected = "verify aksk signature fail, canonicalRequest:GET|/v2/p/pools/|labelSelector=os.modelarts%2Fname";
        assert!(refusal.contains(expected), "{refusal}");
    }

    #[test]
    fn an_unknown_access_key_is_refused_by_name() {
        assert!(
            refusal(&signed("nobody", "sk", NOW, &[]))
                .contains("Get secretKey failed,ak:nobody,err:ak not exist")
        );
    }

    #[test]
    fn a_clock_more_than_fifteen_minutes_off_is_refused_with_both_times() {
        let late = NOW - SignedDuration::from_secs(15 * 60 + 1);
        let expected = "signature time:20260115T081459Z,server time:20260115T083000Z";
        let refusal = refusal(&signed("ak", "sk", late, &[]));
        assert!(refusal.contains(expected), "{refusal}");
    }

    #[test]
    fn a_clock_fifteen_minutes_off_is_let_in() {
        let incoming = signed("ak", "sk", NOW - TOLERANCE, &[]);
        assert!(authenticate(&mut accounts(), &incoming, NOW).is_ok());
    }

    #[test]
    fn a_temporary_key_needs_its_security_token() {
        assert!(refusal(&signed("tmp", "sk", NOW, &[])).contains("ak not exist"));
        assert!(
            refusal(&signed("tmp", "sk", NOW, &[("x-security-token", "old")]))
                .contains("decrypt token fail")
        );
        let incoming = signed("tmp", "sk", NOW, &[("x-security-token", "token")]);
        assert!(authenticate(&mut accounts(), &incoming, NOW).is_ok());
    }

    #[test]
    fn a_request_without_a_signature_is_told_that_no_token_was_found() {
        let mut incoming = signed("ak", "sk", NOW, &[]);
        incoming.headers.remove("authorization");
        assert!(refusal(&incoming).ends_with("x-auth-token not found"));
    }

    #[test]
    fn a_changed_query_breaks_the_signature() {
        let mut incoming = signed("ak", "sk", NOW, &[]);
        incoming.query.push(("status".into(), "failed".into()));
        assert!(refusal(&incoming).contains("verify aksk signature fail"));
    }
}
