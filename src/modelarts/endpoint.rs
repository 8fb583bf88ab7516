//! Which host serves a region. The administrator's choice alone: nothing in a tenant's object
//! reaches this file but a region's name, which has been checked.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use reqwest::Url;

use super::Reach;

/// A base URL that requests are built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: Url,
    /// What the `Host` header says: with the port, unless it is the scheme's own.
    host: String,
    reach: Reach,
}

/// The endpoints of all regions.
#[derive(Clone, Debug)]
pub struct Endpoints {
    template: String,
    iam_template: String,
    overrides: BTreeMap<String, Endpoint>,
    templated: Reach,
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
        // A forgotten or misspelt placeholder would be part of a host's name.
        ensure!(
            !name.contains(['{', '}']),
            "{text:?} may have no placeholder but {{region}}"
        );
        let host = match base.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self {
            base,
            host,
            reach: Reach::Anywhere,
        })
    }

    /// Where the host's name may lead. The administrator's own names may lead anywhere.
    pub fn reach(&self) -> Reach {
        self.reach
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
            templated: Reach::Public,
        })
    }

    /// The same endpoints, whose names may lead to private addresses even where a region's name is
    /// part of them.
    pub fn allowing_private(self) -> Self {
        Self {
            templated: Reach::Anywhere,
            ..self
        }
    }

    /// The ModelArts endpoint of a region.
    ///
    /// # Errors
    /// Where the region's name does not fit into a host name.
    pub fn modelarts(&self, region: &str) -> anyhow::Result<Endpoint> {
        match self.overrides.get(region) {
            Some(endpoint) => Ok(endpoint.clone()),
            None => self.filled(&self.template, region),
        }
    }

    /// The IAM endpoint of a region.
    ///
    /// # Errors
    /// Where the region's name does not fit into a host name.
    pub fn iam(&self, region: &str) -> anyhow::Result<Endpoint> {
        self.filled(&self.iam_template, region)
    }

    /// The endpoint that another template gives.
    ///
    /// # Errors
    /// Where the region's name does not fit into a host name.
    pub(super) fn filled(&self, template: &str, region: &str) -> anyhow::Result<Endpoint> {
        let endpoint = Endpoint::parse(&template.replace("{region}", region))?;
        let reach = if template.contains("{region}") {
            self.templated
        } else {
            Reach::Anywhere
        };
        Ok(Endpoint { reach, ..endpoint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "https://modelarts.{region}.myhuaweicloud.com";

    #[test]
    fn the_host_header_has_the_port_unless_it_is_the_schemes_own() {
        for (url, host) in [
            ("https://a.example", "a.example"),
            ("https://a.example/", "a.example"),
            ("https://a.example:443", "a.example"),
            ("https://a.example:8443", "a.example:8443"),
            ("http://a.example:80", "a.example"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("https://[::1]:8443", "[::1]:8443"),
            ("https://A.Example", "a.example"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().host(), host, "{url}");
        }
    }

    #[test]
    fn what_is_no_bare_base_url_is_refused() {
        for url in [
            "",
            "a.example",
            "ftp://a.example",
            "file:///etc/passwd",
            "https://",
            "https://a.example/v2",
            "https://a.example?x=1",
            "https://a.example#x",
            "https://user@a.example",
            "https://user:pw@a.example",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn path_and_query_are_kept_byte_for_byte() {
        let endpoint = Endpoint::parse("https://a.example:8443").unwrap();
        let query = "a=%2F%20%27%21~&b=";
        let url = endpoint.url("/v2/p/pools", query);
        assert_eq!(
            url.as_str(),
            format!("https://a.example:8443/v2/p/pools?{query}")
        );
        assert_eq!(
            endpoint.url("/v2", "").as_str(),
            "https://a.example:8443/v2"
        );
    }

    #[test]
    fn an_override_serves_its_region_alone() {
        let other = Endpoint::parse("https://modelarts.eu-de.otc.t-systems.com").unwrap();
        let overrides = [("eu-de".to_owned(), other.clone())].into();
        let endpoints = Endpoints::new(TEMPLATE, "https://iam.{region}.example", overrides);
        let endpoints = endpoints.unwrap();
        assert_eq!(endpoints.modelarts("eu-de").unwrap(), other);
        assert_eq!(
            endpoints.modelarts("cn-north-4").unwrap().to_string(),
            "https://modelarts.cn-north-4.myhuaweicloud.com"
        );
        assert_eq!(
            endpoints.iam("eu-de").unwrap().to_string(),
            "https://iam.eu-de.example"
        );
    }

    #[test]
    fn a_region_cannot_lead_to_another_host() {
        let endpoints = Endpoints::new(TEMPLATE, TEMPLATE, BTreeMap::new()).unwrap();
        for region in [
            "evil.example/",
            "evil.example\\",
            "evil.example?",
            "evil.example#",
            "evil.example:80/",
            "x@evil.example",
            "x@evil.example:80/",
            "/../evil",
            "cn north",
            "%",
        ] {
            let host = endpoints.modelarts(region).map(|it| it.host().to_owned());
            assert!(host.is_err(), "{region}: {host:?}");
        }
    }

    #[test]
    fn a_template_that_gives_no_url_ends_the_program_at_its_start() {
        for (template, iam) in [
            ("modelarts.{region}.example", TEMPLATE),
            (TEMPLATE, "iam.{region}.example"),
            ("https://{zone}.example", TEMPLATE),
        ] {
            assert!(
                Endpoints::new(template, iam, BTreeMap::new()).is_err(),
                "{template}"
            );
        }
    }
}
