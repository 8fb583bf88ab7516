//! Flags about the cloud: where it is, whom to believe, and how far its names may lead.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::modelarts::{Ambient, Client, Endpoint, Endpoints, Trust};

#[derive(Debug, Args)]
#[command(next_help_heading = "The cloud")]
pub(super) struct CloudArgs {
    /// ModelArts endpoint of each region; {region} is replaced
    #[arg(
        long,
        env = "MODELARTS_ENDPOINT_TEMPLATE",
        value_name = "URL",
        default_value = "https://modelarts.{region}.myhuaweicloud.com",
        value_parser = template,
        global = true
    )]
    endpoint_template: String,
    /// ModelArts endpoint of one region, such as eu-de=https://modelarts.eu-de.otc.t-systems.com;
    /// repeatable
    #[arg(
        long = "endpoint",
        env = "MODELARTS_ENDPOINTS",
        value_name = "REGION=URL",
        value_delimiter = ',',
        value_parser = region_endpoint,
        global = true
    )]
    endpoints: Vec<(String, Endpoint)>,
    /// IAM endpoint of each region; {region} is replaced
    #[arg(
        long,
        env = "MODELARTS_IAM_ENDPOINT_TEMPLATE",
        value_name = "URL",
        default_value = "https://iam.{region}.myhuaweicloud.com",
        value_parser = template,
        global = true
    )]
    iam_endpoint_template: String,
    /// Where the ECS metadata service is; for tests
    #[arg(
        long,
        env = "MODELARTS_METADATA_ENDPOINT",
        value_name = "URL",
        value_parser = endpoint,
        default_value = "http://169.254.169.254",
        hide = true,
        global = true
    )]
    metadata_endpoint: Endpoint,
    /// A file of PEM certificates to believe besides the system's, for private clouds
    #[arg(long, env = "CA_BUNDLE", value_name = "FILE", global = true)]
    ca_bundle: Option<PathBuf>,
    /// Let endpoints made from a template lead to private addresses, for clouds inside a network;
    /// endpoints set with --endpoint always may
    #[arg(long, env = "ALLOW_PRIVATE_ENDPOINTS", global = true)]
    allow_private_endpoints: bool,
}

impl CloudArgs {
    /// The cloud, and the controller's own identity there.
    pub(super) fn checked(self) -> anyhow::Result<(Client, Ambient)> {
        let endpoints = Endpoints::new(
            &self.endpoint_template,
            &self.iam_endpoint_template,
            self.endpoints.into_iter().collect::<BTreeMap<_, _>>(),
        )?;
        let endpoints = if self.allow_private_endpoints {
            endpoints.allowing_private()
        } else {
            endpoints
        };
        let trust = Trust::read(self.ca_bundle.as_deref(), environment)?;
        let cloud = Client::new(endpoints.clone(), &trust)?;
        let ambient = Ambient::configured(environment, endpoints, &trust, self.metadata_endpoint)
            .context("credentials")?;
        Ok((cloud, ambient))
    }
}

/// The only reader of variables that no flag has.
#[allow(clippy::disallowed_methods)]
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn template(text: &str) -> Result<String, String> {
    // Any region shows whether the rest is a URL.
    endpoint(&text.replace("{region}", "cn-north-4"))
        .map(|_| text.to_owned())
        .map_err(|why| {
            format!("{why}; write a URL such as https://modelarts.{{region}}.example.com")
        })
}

fn region_endpoint(text: &str) -> Result<(String, Endpoint), String> {
    let (region, url) = text
        .split_once('=')
        .ok_or("write REGION=URL, such as eu-de=https://modelarts.eu-de.otc.t-systems.com")?;
    Ok((region.to_owned(), endpoint(url)?))
}

fn endpoint(url: &str) -> Result<Endpoint, String> {
    Endpoint::parse(url).map_err(|error| format!("{error:#}"))
}
