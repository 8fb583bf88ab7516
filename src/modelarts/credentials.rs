//! The key pair that signs calls, and how a Secret holds it.
//!
//! The secret parts print nothing and are never compared, logged or kept in any other type.

use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;

use super::{Class, PollError};

/// An access key with what proves its possession.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The key's public half: an identifier.
    pub access_key: String,
    /// The key's secret half.
    pub secret_key: SecretString,
    /// Comes with temporary keys, which are worth nothing without it.
    pub security_token: Option<SecretString>,
    /// Who issues these keys to the controller and will issue others when they expire.
    pub issuer: Option<&'static str>,
}

impl Credentials {
    /// Reads `accessKey`, `secretKey` and the optional `securityToken` of a Secret.
    ///
    /// # Errors
    /// `CredentialsMissing`, naming the Secret and the key that is absent, empty or not text.
    pub fn from_secret(name: &str, secret: &Secret) -> Result<Self, PollError> {
        let value = |key: &str| -> Result<Option<String>, PollError> {
            let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(key)) else {
                return Ok(None);
            };
            // Secrets are written by hand with `echo`, whose newline would break the signature.
            let text = std::str::from_utf8(&bytes.0)
                .map_err(|_| missing(format!("key {key} of Secret {name} is not text")))?
                .trim();
            Ok((!text.is_empty()).then(|| text.to_owned()))
        };
        let required = |key: &str| {
            value(key)?.ok_or_else(|| missing(format!("Secret {name} has no key {key}")))
        };
        let access_key = required("accessKey")?;
        if !access_key.chars().all(|c| c.is_ascii_graphic()) {
            return Err(missing(format!(
                "key accessKey of Secret {name} is not an access key"
            )));
        }
        Ok(Self {
            access_key,
            secret_key: required("secretKey")?.into(),
            security_token: value("securityToken")?.map(SecretString::from),
            issuer: None,
        })
    }

    /// What stays the same while keys that are issued anew change: whose list this is.
    pub fn identity(&self) -> &str {
        self.issuer.unwrap_or(&self.access_key)
    }
}

fn missing(detail: String) -> PollError {
    PollError::new("read credentials", Class::CredentialsMissing, detail)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn secret(data: &[(&str, &[u8])]) -> Secret {
        let data = data.iter();
        let data = data.map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec())));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn the_newline_that_echo_leaves_in_a_secret_is_trimmed() {
        let read = Credentials::from_secret(
            "s",
            &secret(&[
                ("accessKey", b"AK\n"),
                ("secretKey", b" SK\r\n"),
                ("securityToken", b"T\n"),
            ]),
        )
        .unwrap();
        assert_eq!(read.access_key, "AK");
        assert_eq!(read.secret_key.expose_secret(), "SK");
        assert_eq!(read.security_token.unwrap().expose_secret(), "T");
    }

    #[test]
    fn a_secret_without_a_token_holds_a_permanent_key() {
        let token: [&[(&str, &[u8])]; 2] = [
            &[("accessKey", b"AK"), ("secretKey", b"SK")],
            &[
                ("accessKey", b"AK"),
                ("secretKey", b"SK"),
                ("securityToken", b"\n"),
            ],
        ];
        for data in token {
            let read = Credentials::from_secret("s", &secret(data)).unwrap();
            assert!(read.security_token.is_none());
        }
    }

    #[test]
    fn what_a_secret_lacks_is_named_and_its_content_is_not() {
        for (data, names) in [
            (secret(&[]), "accessKey"),
            (Secret::default(), "accessKey"),
            (secret(&[("accessKey", b"AK")]), "secretKey"),
            (secret(&[("secretKey", b"canary")]), "accessKey"),
            (
                secret(&[("accessKey", b"AK"), ("secretKey", b"\n")]),
                "secretKey",
            ),
            (
                secret(&[("accessKey", b"AK"), ("secretKey", b"canary\xff")]),
                "secretKey",
            ),
            (
                secret(&[("accessKey", b"canary key"), ("secretKey", b"SK")]),
                "accessKey",
            ),
            (
                secret(&[("accessKey", "ключcanary".as_bytes()), ("secretKey", b"SK")]),
                "accessKey",
            ),
        ] {
            let error = Credentials::from_secret("my-secret", &data).unwrap_err();
            assert_eq!(error.class, Class::CredentialsMissing);
            let message = error.message();
            assert!(
                message.contains(names) && message.contains("my-secret"),
                "{message}"
            );
            assert!(!message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn printing_credentials_prints_no_secret() {
        let read = Credentials {
            access_key: "AK".to_owned(),
            secret_key: "canary".to_owned().into(),
            issuer: None,
            security_token: Some("canary".to_owned().into()),
        };
        assert!(!format!("{read:?} {read:#?}").contains("canary"));
    }
}
