//! The one reader of temporary credentials, tolerant of the spellings that the cloud's services
//! use. Never quotes what it could not read: it may hold a key.

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use super::{Credentials, failed};
use crate::modelarts::{Class, PollError};

/// Credentials and the end of their life.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub credentials: Credentials,
    pub expires: Timestamp,
}

#[derive(Deserialize)]
struct Document {
    #[serde(alias = "credentials")]
    credential: Keys,
}

#[derive(Deserialize)]
struct Keys {
    #[serde(alias = "accessKeyId", alias = "access_key_id")]
    access: String,
    #[serde(alias = "secretAccessKey", alias = "secret_access_key")]
    secret: String,
    #[serde(alias = "securityToken", alias = "security_token")]
    securitytoken: String,
    #[serde(alias = "expiration")]
    expires_at: String,
}

/// Reads what `place` answered.
///
/// # Errors
/// `Decode`, where keys, security token or expiry are missing or unusable.
pub(super) fn issued(place: &'static str, body: &[u8]) -> Result<Issued, PollError> {
    let unusable = |what: &str| {
        let detail = format!("the answer holds no temporary credentials ({what})");
        failed(place, Class::Decode, detail)
    };
    // What serde says about a body quotes it.
    let Document { credential: keys } =
        serde_json::from_slice(body).map_err(|_| unusable("not the documented JSON"))?;
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    // All three go into headers or next to them.
    if ![&keys.access, &keys.secret, &keys.securitytoken]
        .into_iter()
        .all(|text| visible(text))
    {
        return Err(unusable("an empty or unprintable key"));
    }
    let expires = keys.expires_at.parse::<Timestamp>();
    Ok(Issued {
        expires: expires.map_err(|_| unusable("no time of expiry"))?,
        credentials: Credentials {
            access_key: keys.access,
            secret_key: keys.secret.into(),
            security_token: Some(keys.securitytoken.into()),
            issuer: Some(place),
        },
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn every_spelling_of_the_services_is_read() {
        let bodies = [
            r#"{"credential": {"access": "AK", "secret": "SK", "securitytoken": "T", "expires_at": "2026-01-15T09:30:00.231000Z"}}"#,
            r#"{"credentials": {"accessKeyId": "AK", "secretAccessKey": "SK", "securityToken": "T", "expiration": "2026-01-15T09:30:00.231Z"}, "subject": {}}"#,
            r#"{"credentials": {"access_key_id": "AK", "secret_access_key": "SK", "security_token": "T", "expiration": "2026-01-15T09:30:00Z"}}"#,
        ];
        for body in bodies {
            let issued = issued("test", body.as_bytes()).unwrap();
            assert_eq!(issued.credentials.access_key, "AK");
            assert_eq!(issued.credentials.secret_key.expose_secret(), "SK");
            assert_eq!(issued.credentials.issuer, Some("test"));
            let second = issued.expires.as_second();
            assert_eq!(
                second,
                "2026-01-15T09:30:00Z"
                    .parse::<Timestamp>()
                    .unwrap()
                    .as_second()
            );
        }
    }

    #[test]
    fn an_answer_without_usable_keys_is_refused_and_not_quoted() {
        let keys = |token: &str, expires: &str| {
            format!(
                r#"{{"credential": {{"access": "canary", "secret": "canary", "securitytoken": {token}, "expires_at": "{expires}"}}}}"#
            )
        };
        let bodies = [
            keys(r#""can\nary""#, "2026-01-15T09:30:00Z"),
            keys(r#""""#, "2026-01-15T09:30:00Z"),
            keys(r#"{"canary": 1}"#, "2026-01-15T09:30:00Z"),
            keys(r#""canary""#, "canary"),
            "<html>canary</html>".to_owned(),
            "{}".to_owned(),
            String::new(),
        ];
        for body in bodies {
            let error = issued("test", body.as_bytes()).unwrap_err();
            assert_eq!(error.class, Class::Decode, "{body}");
            assert!(!format!("{error:?}{error}").contains("canary"), "{error:?}");
        }
    }
}
