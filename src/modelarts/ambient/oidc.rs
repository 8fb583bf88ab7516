//! The two exchanges of an OIDC token for credentials: the newer one in a single call to STS v5,
//! the older one through an IAM token. Never keeps a token: they rotate, and files are read anew.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::exchange::{Http, send};
use super::parse::{Issued, issued};
use super::{Variable, both, failed, files, template};
use crate::modelarts::{Class, Endpoint, PollError};

pub(super) const STS: &str = "OIDC (STS v5)";
pub(super) const ID_TOKEN: &str = "OIDC (ID token)";

const PROVIDER_URN: &str = "HUAWEICLOUD_OIDC_PROVIDER_URN";
const AGENCY_URN: &str = "HUAWEICLOUD_OIDC_AGENCY_URN";
const TOKEN: &str = "HUAWEICLOUD_OIDC_ID_TOKEN";
const TOKEN_FILE: &str = "HUAWEICLOUD_OIDC_TOKEN_FILE";
const SESSION_NAME: &str = "HUAWEICLOUD_OIDC_SESSION_NAME";
const DURATION: &str = "HUAWEICLOUD_OIDC_DURATION_SECONDS";
const POLICY: &str = "HUAWEICLOUD_OIDC_POLICY";
const POLICY_IDS: &str = "HUAWEICLOUD_OIDC_POLICY_IDS";
const STS_ENDPOINT: &str = "HUAWEICLOUD_SDK_STS_ENDPOINT";

const IDP_ID: &str = "HUAWEICLOUD_SDK_IDP_ID";
const ID_TOKEN_FILE: &str = "HUAWEICLOUD_SDK_ID_TOKEN_FILE";

/// How long credentials by ID token live.
const LIFE: u32 = 3600;

/// AssumeAgencyWithOIDC.
#[derive(Debug)]
pub(super) struct Sts {
    provider_urn: String,
    agency_urn: String,
    token: Token,
    session_name: String,
    seconds: u32,
    policy: Option<String>,
    policy_ids: Vec<String>,
    /// With `{region}` where the region belongs.
    endpoint: String,
}

#[derive(Debug)]
enum Token {
    File(PathBuf),
    Value(SecretString),
}

impl Sts {
    /// # Errors
    /// Where some of the variables are set and another one that they need is not, or has a value
    /// that STS would refuse.
    pub fn configured(variable: Variable<'_>) -> anyhow::Result<Option<Self>> {
        let needed = [PROVIDER_URN, AGENCY_URN, TOKEN, TOKEN_FILE];
        let Some(set) = needed.into_iter().find(|name| variable(name).is_some()) else {
            return Ok(None);
        };
        let required = |name: &str, what: &str| {
            variable(name).with_context(|| {
                format!("{set} is set without {name}: set {name} to {what}, or unset {set}")
            })
        };
        let session_name = variable(SESSION_NAME).unwrap_or_else(|| "oidc-sts-session".to_owned());
        ensure!(
            (2..=128).contains(&session_name.len()),
            "{SESSION_NAME} must have 2 to 128 characters"
        );
        let seconds = match variable(DURATION) {
            None => 3600,
            Some(text) => match text.parse() {
                Ok(seconds @ 900..=43_200) => seconds,
                _ => bail!("{DURATION} must be a number of seconds from 900 to 43200"),
            },
        };
        let endpoint = template(variable, STS_ENDPOINT)?
            .unwrap_or_else(|| "https://sts.{region}.myhuaweicloud.com".to_owned());
        Ok(Some(Self {
            provider_urn: required(PROVIDER_URN, "iam::ACCOUNT:oidcProvider:NAME")?,
            agency_urn: required(AGENCY_URN, "iam::ACCOUNT:agency:NAME")?,
            token: match variable(TOKEN) {
                Some(token) => Token::Value(token.into()),
                None => Token::File(required(TOKEN_FILE, "the path of the pod's token")?.into()),
            },
            session_name,
            seconds,
            policy: variable(POLICY),
            policy_ids: variable(POLICY_IDS)
                .iter()
                .flat_map(|ids| ids.split(','))
                .map(|id| id.trim().to_owned())
                .filter(|id| !id.is_empty())
                .collect(),
            endpoint,
        }))
    }

    pub async fn issue(&self, http: &Http, region: &str) -> Result<Issued, PollError> {
        let token = match &self.token {
            Token::File(path) => files::token(STS, path)?,
            Token::Value(token) => token.clone(),
        };
        let mut body = json!({
            "provider_urn": self.provider_urn,
            "agency_urn": self.agency_urn,
            "agency_session_name": self.session_name,
            "duration_seconds": self.seconds,
            "id_token": token.expose_secret(),
        });
        if let Some(policy) = &self.policy {
            body["policy"] = policy.as_str().into();
        }
        if !self.policy_ids.is_empty() {
            body["policy_ids"] = self.policy_ids.clone().into();
        }
        let endpoint = usable(STS, http.endpoints.filled(&self.endpoint, region))?;
        let request = http.post(&endpoint, "/v5/agencies/assume-with-oidc", &body);
        let reply = send(STS, request).await?.success(
            STS,
            "check the provider's and the agency's URN, the agency's trust policy and the token's audience",
        )?;
        issued(STS, &reply.body)
    }
}

/// ID token → IAM token → credentials.
#[derive(Debug)]
pub(super) struct IdToken {
    place: &'static str,
    idp_id: String,
    token_file: PathBuf,
    /// IAM, where it is not that of the flags.
    endpoint: Option<String>,
}

impl IdToken {
    /// # Errors
    /// Where one of the two variables is set without the other.
    pub fn configured(variable: Variable<'_>, iam: Option<String>) -> anyhow::Result<Option<Self>> {
        let pair = both(
            variable,
            (IDP_ID, "the ID of the identity provider in IAM"),
            (ID_TOKEN_FILE, "the path of the pod's token"),
        )?;
        Ok(pair.map(|(idp_id, file)| Self::new(ID_TOKEN, idp_id, file.into(), iam)))
    }

    /// The same exchange, configured elsewhere.
    pub fn new(
        place: &'static str,
        idp_id: String,
        token_file: PathBuf,
        iam: Option<String>,
    ) -> Self {
        Self {
            place,
            idp_id,
            token_file,
            endpoint: iam,
        }
    }

    /// The IAM token is unscoped: credentials carry the user's rights everywhere, and each request
    /// names its project.
    pub async fn issue(&self, http: &Http, region: &str) -> Result<Issued, PollError> {
        let place = self.place;
        let id_token = files::token(place, &self.token_file)?;
        let endpoint = match &self.endpoint {
            Some(template) => http.endpoints.filled(template, region),
            None => http.endpoints.iam(region),
        };
        let endpoint = usable(place, endpoint)?;

        let body = json!({"auth": {"id_token": {"id": id_token.expose_secret()}}});
        let path = "/v3.0/OS-AUTH/id-token/tokens";
        let request = http
            .post(&endpoint, path, &body)
            .header("x-idp-id", &self.idp_id);
        let reply = send(place, request).await?.success(
            place,
            "check the identity provider's ID, its keys and conversion rules, and the token's audience",
        )?;
        let token = reply.headers.get("x-subject-token");
        let token = token
            .and_then(|token| token.to_str().ok())
            .map(SecretString::from);
        let token =
            token.ok_or_else(|| failed(place, Class::Decode, "IAM's answer holds no token"))?;

        let token = json!({"id": token.expose_secret(), "duration_seconds": LIFE});
        let identity = json!({"methods": ["token"], "token": token});
        let path = "/v3.0/OS-CREDENTIAL/securitytokens";
        let request = http.post(&endpoint, path, &json!({"auth": {"identity": identity}}));
        let reply = send(place, request).await?.success(
            place,
            "check that the provider's users may have programmatic access",
        )?;
        issued(place, &reply.body)
    }
}

fn usable(place: &'static str, endpoint: anyhow::Result<Endpoint>) -> Result<Endpoint, PollError> {
    endpoint.map_err(|error| {
        let detail = "the region gives no endpoint";
        failed(place, Class::InvalidSpec, detail).caused_by(error)
    })
}
