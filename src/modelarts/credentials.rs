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
