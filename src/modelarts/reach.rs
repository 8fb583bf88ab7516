//! How far a request may go: which certificates are believed, and which addresses a name may
//! lead to.
//!
//! A region is a tenant's choice and becomes part of a host name where the administrator wrote a
//! template, so such a name must not lead into the cluster or to the node's metadata service.
//! The check is made for every connection, so a name that changes its mind gains nothing. Behind a
//! proxy of the administrator it is the proxy who looks names up, and who has to make the check.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Url};

/// Where names made from a template may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To public addresses alone.
    Public,
    /// Anywhere, because the administrator said so.
    Anywhere,
}

/// Whom the administrator trusts besides the system's authorities and public addresses.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Authorities of a private cloud.
    pub(super) certificates: Vec<Certificate>,
    /// The hosts of the proxies, which may be in the private network.
    proxies: BTreeSet<String>,
}

/// Resolves names like the system does, and refuses private addresses but of the proxies.
pub(super) struct PublicOnly {
    proxies: BTreeSet<String>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the endpoint's name leads to a private address; name the endpoint with --endpoint, or allow it with --allow-private-endpoints"
)]
pub(super) struct PrivateAddress;

/// The variables from which the HTTP client takes its proxies.
const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

impl Trust {
    /// Trust in the certificates of a file and in the proxies of the standard variables.
    ///
    /// # Errors
    /// Where the file cannot be read or holds no certificate.
    pub fn read(
        ca_bundle: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let proxies = PROXIES.iter().filter_map(|name| variable(name));
        Ok(Self {
            certificates: ca_bundle.map(certificates).transpose()?.unwrap_or_default(),
            proxies: proxies.filter_map(|url| host_of(&url)).collect(),
        })
    }
}

fn certificates(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let shown = file.display();
    let pem = std::fs::read(file).with_context(|| format!("--ca-bundle: read {shown}"))?;
    let certificates = Certificate::from_pem_bundle(&pem)
        .with_context(|| format!("--ca-bundle: {shown} is not PEM"))?;
    anyhow::ensure!(
        !certificates.is_empty(),
        "--ca-bundle: {shown} holds no certificate"
    );
    Ok(certificates)
}

/// The host of a proxy's URL, which may lack its scheme.
fn host_of(proxy: &str) -> Option<String> {
    let url = if proxy.contains("://") {
        Url::parse(proxy)
    } else {
        Url::parse(&format!("http://{proxy}"))
    };
    Some(url.ok()?.host_str()?.to_owned())
}

/// Whether an address is reachable from everywhere. 100.64.0.0/10 counts as public, because the
/// cloud serves its own endpoints from there to machines inside it.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.octets()[0] == 0)
        }
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_public(v4),
            None => {
                !(v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local())
            }
        },
    }
}

/// The IPv4 address that a mapped or a NAT64 address stands for.
fn embedded_v4(v6: Ipv6Addr) -> Option<IpAddr> {
    if let Some(v4) = v6.to_ipv4_mapped() {
        return Some(v4.into());
    }
    let [a, b, ..] = v6.segments();
    let [.., w, x, y, z] = v6.octets();
    ((a, b) == (0x64, 0xff9b)).then(|| IpAddr::from([w, x, y, z]))
}

impl PublicOnly {
    pub fn but(trust: &Trust) -> Self {
        Self {
            proxies: trust.proxies.clone(),
        }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let is_proxy = self.proxies.contains(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            // Only these addresses are connected to: nobody asks for the name a second time.
            let found = if is_proxy { found } else { only_public(found)? };
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// What a name leads to. One private address among several is enough to distrust the name.
fn only_public(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, PrivateAddress> {
    if found.iter().all(|address| is_public(address.ip())) {
        Ok(found)
    } else {
        Err(PrivateAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_link_local_and_embedded_addresses_are_not_public() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "100.125.1.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_proxy_is_known_by_its_host_however_it_is_written() {
        for url in [
            "http://proxy.corp:3128",
            "https://user:pw@proxy.corp/",
            "socks5://proxy.corp",
            "proxy.corp:3128",
            "proxy.corp",
        ] {
            assert_eq!(host_of(url).as_deref(), Some("proxy.corp"), "{url}");
        }
    }

    #[test]
    fn a_name_that_changes_its_mind_or_hides_a_private_address_among_others_is_refused() {
        let looked_up = |addresses: &[&str]| {
            let found = addresses.iter();
            only_public(
                found
                    .map(|it| SocketAddr::new(it.parse().unwrap(), 443))
                    .collect(),
            )
        };
        assert!(looked_up(&["8.8.8.8", "8.8.4.4"]).is_ok());
        assert!(looked_up(&["169.254.169.254"]).is_err());
        assert!(looked_up(&["8.8.8.8", "10.0.0.1"]).is_err());
        assert!(looked_up(&["2001:db8::1", "fd00::1"]).is_err());
        assert!(looked_up(&["8.8.8.8"]).is_ok());
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused() {
        let http = reqwest::Client::builder()
            .dns_resolver(PublicOnly::but(&Trust::default()))
            .no_proxy();
        let error = http
            .build()
            .unwrap()
            .get("http://localhost:1/")
            .send()
            .await
            .unwrap_err();
        let mut causes = std::iter::successors(std::error::Error::source(&error), |it| it.source());
        assert!(causes.any(|it| it.is::<PrivateAddress>()), "{error:?}");
    }
}
