//! The key pair in the environment, under the names of the vendor's SDKs or of its Terraform
//! provider. Reads variables through a closure and never the environment itself.

use super::{Credentials, Variable, both};

/// Access key, secret key, security token. A pair and its token are taken from one row, because a
/// token of one tool would spoil the key of another.
const NAMES: [[&str; 3]; 2] = [
    [
        "HUAWEICLOUD_SDK_AK",
        "HUAWEICLOUD_SDK_SK",
        "HUAWEICLOUD_SDK_SECURITY_TOKEN",
    ],
    ["HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"],
];

/// The pair, where one is configured.
///
/// # Errors
/// Where half of it is: that is a mistake and not an absence.
pub(super) fn configured(variable: Variable<'_>) -> anyhow::Result<Option<Credentials>> {
    for [access_key, secret_key, security_token] in NAMES {
        let pair = both(
            variable,
            (access_key, "the access key"),
            (secret_key, "the access key's secret"),
        )?;
        if let Some((access, secret)) = pair {
            anyhow::ensure!(
                access.bytes().all(|byte| byte.is_ascii_graphic()),
                "{access_key} is not an access key: write it without spaces and quotes"
            );
            return Ok(Some(Credentials {
                access_key: access,
                secret_key: secret.into(),
                security_token: variable(security_token).map(Into::into),
                issuer: None,
            }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(set: &[(&str, &str)]) -> anyhow::Result<Option<Credentials>> {
        configured(&|name| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn both_families_of_names_are_read_and_the_sdks_go_first() {
        let terraform = [("HW_ACCESS_KEY", "B"), ("HW_SECRET_KEY", "b")];
        assert_eq!(read(&terraform).unwrap().unwrap().access_key, "B");
        let both = [("HUAWEICLOUD_SDK_AK", "A"), ("HUAWEICLOUD_SDK_SK", "a")];
        let both = [both.as_slice(), terraform.as_slice()].concat();
        assert_eq!(read(&both).unwrap().unwrap().access_key, "A");
    }

    #[test]
    fn a_security_token_of_the_other_family_is_not_mixed_in() {
        let mixed = [
            ("HUAWEICLOUD_SDK_AK", "A"),
            ("HUAWEICLOUD_SDK_SK", "a"),
            ("HW_SECURITY_TOKEN", "other"),
        ];
        assert!(read(&mixed).unwrap().unwrap().security_token.is_none());
        let own = [
            ("HW_ACCESS_KEY", "B"),
            ("HW_SECRET_KEY", "b"),
            ("HW_SECURITY_TOKEN", "own"),
        ];
        let token = read(&own).unwrap().unwrap().security_token.unwrap();
        assert_eq!(token.expose_secret(), "own");
    }

    #[test]
    fn half_a_pair_names_the_other_half_and_not_the_value() {
        let error = read(&[("HUAWEICLOUD_SDK_AK", "canary")]).unwrap_err();
        assert!(error.to_string().contains("HUAWEICLOUD_SDK_SK"), "{error}");
        let error = read(&[("HW_SECRET_KEY", "canary")]).unwrap_err();
        assert!(error.to_string().contains("HW_ACCESS_KEY"), "{error}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}
