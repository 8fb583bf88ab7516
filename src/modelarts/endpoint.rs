//! Which host serves a region. The administrator's choice alone: nothing in a tenant's object
//! reaches this file but a region's name, which has been checked.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use reqwest::Url;

/// A base URL that requests are built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: Url,
    /// What the `Host` header says: with the port, unless it is the scheme's own.
    host: String,
}

/// The endpoints of all regions.
#[derive(Clone, Debug)]
pub struct Endpoints {
    template: String,
    iam_template: String,
    overrides: BTreeMap<String, Endpoint>,
}

impl Endpoint {
    /// Reads an `https://` or `http://` URL without path, query or user.
    ///
    /// # Errors
    /// Where the text is anything else, saying what was expected.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let base = Url::parse(text).with_context(|| format!("{text:?} is not a URL"))?;
        ensure!(
            matches!(base.scheme(), "https" | "http"),
            "{text:?} must start with https:// (or http:// for a test)"
        );
        ensure!(
            base.path() == "/" && base.query().is_none() && base.fragment().is_none(),
            "{text:?} must end after the host and port"
        );
        ensure!(
            base.username().is_empty() && base.password().is_none(),
            "{text:?} must not hold a user or password"
        );
        let Some(name) = base.host_str() else {
            bail!("{text:?} names no host");
        };
        let host = match base.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self { base, host })
    }

    /// What the `Host` header says.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The URL of a path and a query that are encoded already, kept byte for byte.
    pub fn url(&self, path: &str, query: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_query((!query.is_empty()).then_some(query));
        url
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}://{}", self.base.scheme(), self.host)
    }
}

impl Endpoints {
    /// Checks the templates with a region of the right shape, so that a mistake in them ends the
    /// program at its start and not a poll at night.
    ///
    /// # Errors
    /// Where a template does not give a URL.
    pub fn new(
        template: &str,
        iam_template: &str,
        overrides: BTreeMap<String, Endpoint>,
    ) -> anyhow::Result<Self> {
        for checked in [template, iam_template] {
            Endpoint::parse(&checked.replace("{region}", "cn-north-4"))?;
        }
        Ok(Self {
            template: template.to_owned(),
            iam_template: iam_template.to_owned(),
            overrides,
        })
    }

    /// The ModelArts endpoint of a region.
    ///
    /// # Errors
    /// Where the region's name does not fit into a host name.
    pub fn modelarts(&self, region: &str) -> anyhow::Result<Endpoint> {
        match self.overrides.get(region) {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Endpoint::parse(&self.template.replace("{region}", region)),
        }
    }

    /// The IAM endpoint of a region.
    ///
    /// # Errors
    /// Where the region's name does not fit into a host name.
    pub fn iam(&self, region: &str) -> anyhow::Result<Endpoint> {
        Endpoint::parse(&self.iam_template.replace("{region}", region))
    }
}
