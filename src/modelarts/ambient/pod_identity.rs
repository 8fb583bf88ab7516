//! CCE Pod Identity, the cluster add-on that exchanges a pod's own token for an agency's
//! credentials. The add-on sets both variables. Never goes through a proxy.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use reqwest::{Method, Url};
use serde_json::json;

use super::exchange::{self, Http, secret_header, send};
use super::parse::{Issued, issued};
use super::{Variable, both, files};
use crate::modelarts::PollError;

pub(super) const NAME: &str = "CCE Pod Identity";

const URI: &str = "HC_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN_FILE: &str = "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// The agent's address and the pod's token.
#[derive(Debug)]
pub(super) struct PodIdentity {
    uri: Url,
    token_file: PathBuf,
}

impl PodIdentity {
    /// # Errors
    /// Where one variable is set without the other, or the address is no URL.
    pub fn configured(variable: Variable<'_>) -> anyhow::Result<Option<Self>> {
        let pair = both(
            variable,
            (URI, "the URL of the Pod Identity agent"),
            (TOKEN_FILE, "the path of the pod's token"),
        )?;
        let Some((uri, token_file)) = pair else {
            return Ok(None);
        };
        let uri = Url::parse(&uri)
            .with_context(|| format!("{URI} is not a URL: write http://ADDRESS/PATH"))?;
        ensure!(
            matches!(uri.scheme(), "http" | "https") && uri.host().is_some(),
            "{URI} must start with http:// or https://"
        );
        Ok(Some(Self {
            uri,
            token_file: token_file.into(),
        }))
    }

    pub async fn issue(&self, http: &Http) -> Result<Issued, PollError> {
        let token = files::token(NAME, &self.token_file)?;
        let request = exchange::json(http.direct(Method::POST, self.uri.clone()), &json!({}));
        // The bare token: the agent does not know "Bearer".
        let request = secret_header(request, "authorization", &token);
        let reply = send(NAME, request).await?.success(
            NAME,
            "check the Pod Identity association of this ServiceAccount and its agency",
        )?;
        issued(NAME, &reply.body)
    }
}
