//! The vendor's profile file: INI, section `[basic]`. Read anew for each use, so a changed key is
//! used by the next poll. Never writes it, and reads no other section.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::oidc::IdToken;
use super::{Credentials, Variable, failed, files};
use crate::modelarts::{Class, Endpoint, PollError};

pub(super) const NAME: &str = "profile file";

const FILE: &str = "HUAWEICLOUD_SDK_CREDENTIALS_FILE";

/// Where the file is.
#[derive(Debug)]
pub(super) struct Profile {
    path: PathBuf,
    /// A file that was named must be there; the usual one may be.
    named: bool,
    /// IAM, where it is neither that of the file nor that of the flags.
    iam: Option<String>,
}

/// What the file holds.
pub(super) enum Content {
    Keys(Credentials),
    IdToken(IdToken),
}

impl Profile {
    /// The file that a variable names, else the usual one of this user.
    pub fn configured(variable: Variable<'_>, iam: Option<String>) -> Option<Self> {
        let named = variable(FILE).map(PathBuf::from);
        let usual = || Some(Path::new(&variable("HOME")?).join(".huaweicloud/credentials"));
        Some(Self {
            named: named.is_some(),
            path: named.or_else(usual)?,
            iam,
        })
    }

    /// Reads the file; `None` where the usual file is not there or holds no such section.
    ///
    /// # Errors
    /// `CredentialsMissing`, naming the file and what is wrong with it.
    pub fn read(&self) -> Result<Option<Content>, PollError> {
        let missing = |what: &str| {
            let detail = format!("{} {what}", self.path.display());
            failed(NAME, Class::CredentialsMissing, detail)
        };
        let text = match files::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.named => {
                return Ok(None);
            }
            Err(error) => return Err(missing("cannot be read").caused_by(error)),
        };
        let Some(mut section) = basic(&text) else {
            return match self.named {
                true => Err(missing("has no section [basic]")),
                false => Ok(None),
            };
        };
        let mut pair = |one: &str, two: &str| match (section.remove(one), section.remove(two)) {
            (Some(first), Some(second)) => Ok(Some((first, second))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(missing(&format!("has {one} without {two}"))),
            (None, Some(_)) => Err(missing(&format!("has {two} without {one}"))),
        };
        let (provider, keys) = (pair("idp_id", "id_token_file")?, pair("ak", "sk")?);
        if let Some((idp_id, token_file)) = provider {
            let own = section.remove("iam_endpoint");
            if own
                .as_ref()
                .is_some_and(|own| Endpoint::parse(own).is_err())
            {
                return Err(missing("has an unusable iam_endpoint"));
            }
            let iam = own.or(self.iam.clone());
            let flow = IdToken::new(NAME, idp_id, token_file.into(), iam);
            return Ok(Some(Content::IdToken(flow)));
        }
        let Some((access_key, secret_key)) = keys else {
            return Err(missing(
                "has neither ak and sk nor idp_id and id_token_file",
            ));
        };
        if !access_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(missing(
                "has an unusable ak: write no comment behind a value",
            ));
        }
        Ok(Some(Content::Keys(Credentials {
            access_key,
            secret_key: secret_key.into(),
            security_token: section.remove("security_token").map(SecretString::from),
            issuer: None,
        })))
    }
}

/// The values of section `[basic]`. As in the vendor's own reader, names are in any case, and what
/// stands behind a value belongs to it.
fn basic(text: &str) -> Option<HashMap<String, String>> {
    let mut section = None;
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            inside = name.trim_end_matches(']').trim() == "basic";
            if inside {
                section.get_or_insert_with(HashMap::new);
            }
        } else if let (true, Some(values)) = (inside, &mut section)
            && let Some((name, value)) = line.split_once(['=', ':'])
            && !value.trim().is_empty()
        {
            values.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    section
}
