//! The key pair that signs calls, and the places it is read from.
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
}

/// The names that the vendor's SDKs and its Terraform provider read, in that order.
const ACCESS_KEY: [&str; 2] = ["HUAWEICLOUD_SDK_AK", "HW_ACCESS_KEY"];
const SECRET_KEY: [&str; 2] = ["HUAWEICLOUD_SDK_SK", "HW_SECRET_KEY"];
const SECURITY_TOKEN: [&str; 2] = ["HUAWEICLOUD_SDK_SECURITY_TOKEN", "HW_SECURITY_TOKEN"];

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
        })
    }

    /// Reads the variables of the vendor's SDKs or of its Terraform provider through `variable`.
    /// `None` where no key is configured.
    ///
    /// # Errors
    /// Where only half of a key pair is configured: that is a mistake and not an absence.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Option<Self>> {
        let first = |names: [&str; 2]| {
            names
                .into_iter()
                .filter_map(&variable)
                .map(|value| value.trim().to_owned())
                .find(|value| !value.is_empty())
        };
        match (first(ACCESS_KEY), first(SECRET_KEY)) {
            (None, None) => Ok(None),
            (Some(access_key), Some(secret_key)) => Ok(Some(Self {
                access_key,
                secret_key: secret_key.into(),
                security_token: first(SECURITY_TOKEN).map(SecretString::from),
            })),
            (Some(_), None) => anyhow::bail!("{} is set without {}", ACCESS_KEY[0], SECRET_KEY[0]),
            (None, Some(_)) => anyhow::bail!("{} is set without {}", SECRET_KEY[0], ACCESS_KEY[0]),
        }
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

    fn variables(set: &[(&str, &str)]) -> anyhow::Result<Option<Credentials>> {
        Credentials::from_environment(|name| {
            let found = set.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
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
            security_token: Some("canary".to_owned().into()),
        };
        assert!(!format!("{read:?} {read:#?}").contains("canary"));
    }

    #[test]
    fn an_environment_without_keys_configures_none() {
        for set in [
            &[][..],
            &[("HUAWEICLOUD_SDK_AK", ""), ("HUAWEICLOUD_SDK_SK", " ")],
            &[("HUAWEICLOUD_SDK_SECURITY_TOKEN", "T")],
        ] {
            assert!(variables(set).unwrap().is_none(), "{set:?}");
        }
    }

    #[test]
    fn the_vendors_variables_come_before_terraforms() {
        let read = variables(&[
            ("HW_ACCESS_KEY", "AK2"),
            ("HW_SECRET_KEY", "SK2"),
            ("HUAWEICLOUD_SDK_AK", " AK1\n"),
            ("HUAWEICLOUD_SDK_SK", "SK1"),
        ]);
        let read = read.unwrap().unwrap();
        assert_eq!(read.access_key, "AK1");
        assert_eq!(read.secret_key.expose_secret(), "SK1");
    }

    #[test]
    fn terraforms_variables_do_alone() {
        let read = variables(&[
            ("HW_ACCESS_KEY", "AK"),
            ("HW_SECRET_KEY", "SK"),
            ("HW_SECURITY_TOKEN", "T"),
        ]);
        let read = read.unwrap().unwrap();
        assert_eq!(read.access_key, "AK");
        assert!(read.security_token.is_some());
    }

    #[test]
    fn half_a_key_pair_is_a_mistake_and_not_an_absence() {
        for set in [
            &[("HUAWEICLOUD_SDK_AK", "AK")][..],
            &[("HW_SECRET_KEY", "SK")],
            &[("HUAWEICLOUD_SDK_AK", "AK"), ("HUAWEICLOUD_SDK_SK", "")],
        ] {
            assert!(variables(set).is_err(), "{set:?}");
        }
    }
}
