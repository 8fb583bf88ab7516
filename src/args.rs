//! Flags and environment → checked configuration. Nothing behind this file reads either.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::api::{ListStatus, Query};
use crate::modelarts::{Ambient, Client, Endpoint, Endpoints, ca_bundle};

/// Mirrors Huawei Cloud ModelArts resource pools into Kubernetes objects.
///
/// Without a command it runs the controller.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    cloud: CloudArgs,
    #[command(flatten)]
    reach: ReachArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller (the default).
    Run,
    /// Print the CustomResourceDefinitions as YAML.
    Crd {
        /// Write one file per kind into this directory instead.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Poll the cloud once and print what would be mirrored; needs no cluster.
    ///
    /// Credentials come from the first of these that is configured:
    ///   HUAWEICLOUD_SDK_AK, _SK and, for temporary keys, _SECURITY_TOKEN
    ///     (or HW_ACCESS_KEY, HW_SECRET_KEY, HW_SECURITY_TOKEN)
    ///   CCE Pod Identity (HC_CONTAINER_CREDENTIALS_FULL_URI, HC_CONTAINER_AUTHORIZATION_TOKEN_FILE)
    ///   OIDC (HUAWEICLOUD_OIDC_PROVIDER_URN, _AGENCY_URN, _TOKEN_FILE;
    ///     or HUAWEICLOUD_SDK_IDP_ID, HUAWEICLOUD_SDK_ID_TOKEN_FILE)
    ///   the file HUAWEICLOUD_SDK_CREDENTIALS_FILE or ~/.huaweicloud/credentials
    ///   the agency of the ECS this runs on
    /// The controller's own identity is found in the same way.
    ///
    /// Exit status: 0 all pools are shown, 1 something else failed, 2 wrong usage, 3 some items of
    /// the list could not be read, 4 the cloud refused the request and a person must act,
    /// 5 the cloud did not give a complete list and trying again may help.
    #[command(verbatim_doc_comment)]
    List(ListArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The controller's own namespace, whose sources may use the controller's own credentials
    /// [default: the kubeconfig context's]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", global = true)]
    namespace: Option<String>,
    /// A namespace to look for sources in; repeatable [default: all]
    #[arg(
        long = "watch-namespace",
        env = "WATCH_NAMESPACES",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        global = true
    )]
    watch_namespaces: Vec<String>,
    /// A namespace besides the controller's own whose sources may use the controller's own
    /// credentials, and so see all that these may see; repeatable
    #[arg(
        long = "ambient-namespace",
        env = "AMBIENT_NAMESPACES",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        global = true
    )]
    ambient_namespaces: Vec<String>,
    /// Where probes (/livez, /readyz) and metrics (/metrics) are served
    #[arg(
        long,
        env = "ADMIN_ADDRESS",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8080",
        global = true
    )]
    admin_address: SocketAddr,
}

#[derive(Debug, Args)]
struct CloudArgs {
    /// ModelArts endpoint of each region; {region} is replaced
    #[arg(
        long,
        env = "MODELARTS_ENDPOINT_TEMPLATE",
        value_name = "URL",
        default_value = "https://modelarts.{region}.myhuaweicloud.com",
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
        global = true
    )]
    iam_endpoint_template: String,
    /// Where the ECS metadata service is; for tests
    #[arg(
        long,
        value_name = "URL",
        value_parser = endpoint,
        default_value = "http://169.254.169.254",
        hide = true,
        global = true
    )]
    metadata_endpoint: Endpoint,
}

#[derive(Debug, Args)]
struct ReachArgs {
    /// A file of PEM certificates to believe besides the system's, for private clouds
    #[arg(long, env = "CA_BUNDLE", value_name = "FILE", global = true)]
    ca_bundle: Option<PathBuf>,
    /// Let endpoints made from a template lead to private addresses, for clouds inside a network;
    /// endpoints set with --endpoint always may
    #[arg(long, env = "ALLOW_PRIVATE_ENDPOINTS", global = true)]
    allow_private_endpoints: bool,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// What to log, such as info, debug or info,modelarts_pool_controller=trace
    #[arg(
        long,
        env = "LOG_LEVEL",
        default_value = "info,kube_runtime=warn",
        global = true
    )]
    log_level: String,
    /// How to log [default: text on a terminal, json elsewhere]
    #[arg(long, env = "LOG_FORMAT", value_enum, global = true)]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// The region's ID, such as cn-north-4
    #[arg(long, env = "HW_REGION_NAME")]
    region: String,
    /// The project's ID (32 hexadecimal digits)
    #[arg(long, env = "HUAWEICLOUD_SDK_PROJECT_ID", value_parser = project_id)]
    project_id: Option<String>,
    /// The project's name, looked up in IAM [default: the region's]
    #[arg(long, conflicts_with = "project_id")]
    project_name: Option<String>,
    /// A workspace to list; repeatable
    #[arg(long = "workspace-id", value_name = "ID", default_value = "0")]
    workspace_ids: Vec<String>,
    /// Passed to the cloud as it is
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    label_selector: String,
    /// Which pools to list; repeatable
    #[arg(long = "status", value_enum, default_values = ["created", "creating", "failed"])]
    statuses: Vec<Status>,
    /// The time one request may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

/// What the program was asked to do.
pub enum Task {
    /// Run the controller.
    Run(Run),
    /// Print the CRDs, or write them into a directory.
    Crd(Option<PathBuf>),
    /// Poll once and print.
    List(List),
}

/// Checked configuration of the controller.
pub struct Run {
    /// The controller's own namespace, where one was given.
    pub namespace: Option<String>,
    /// Where to look for sources; everywhere, if empty.
    pub watch_namespaces: BTreeSet<String>,
    /// The cloud, with its endpoints.
    pub cloud: Client,
    /// The controller's own identity.
    pub ambient: Ambient,
    /// The namespaces besides its own whose sources may use it.
    pub ambient_namespaces: BTreeSet<String>,
    /// Where to serve probes and metrics.
    pub admin_address: SocketAddr,
}

/// Checked configuration of `list`.
pub struct List {
    /// The cloud, with its endpoints.
    pub cloud: Client,
    /// Where credentials come from.
    pub ambient: Ambient,
    /// The region's ID.
    pub region: String,
    /// The project's ID, where one was given.
    pub project_id: Option<String>,
    /// The project's name otherwise.
    pub project_name: String,
    /// The list call's parameters.
    pub query: Query,
    /// The time one request may take.
    pub timeout: Duration,
    /// How to print.
    pub output: Output,
}

/// How `list` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The columns of `kubectl get`.
    Table,
    /// The columns of `kubectl get -o wide`.
    Wide,
    /// A list of objects.
    Json,
    /// A list of objects.
    Yaml,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Created,
    Creating,
    Failed,
}

impl Cli {
    /// What and how to log.
    pub fn log(&self) -> (&str, LogFormat) {
        let default = if std::io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        };
        (&self.log.log_level, self.log.log_format.unwrap_or(default))
    }

    /// Checks everything that was typed.
    ///
    /// # Errors
    /// Names the flag or variable that is wrong and what to write.
    pub fn task(self) -> anyhow::Result<Task> {
        let endpoints = Endpoints::new(
            &self.cloud.endpoint_template,
            &self.cloud.iam_endpoint_template,
            self.cloud.endpoints.into_iter().collect::<BTreeMap<_, _>>(),
        )
        .context("--endpoint-template or --iam-endpoint-template")?;
        let endpoints = if self.reach.allow_private_endpoints {
            endpoints.allowing_private()
        } else {
            endpoints
        };
        let certificates = self.reach.ca_bundle.as_deref().map(ca_bundle).transpose()?;
        let certificates = certificates.unwrap_or_default();
        let cloud = Client::new(endpoints.clone(), &certificates)?;
        // CRDs are printed whatever the environment says of credentials.
        let ambient = || {
            Ambient::configured(
                environment,
                endpoints,
                &certificates,
                self.cloud.metadata_endpoint,
            )
            .context("credentials")
        };
        match self.command {
            None | Some(Command::Run) => Ok(Task::Run(Run {
                namespace: self.run.namespace,
                watch_namespaces: self.run.watch_namespaces.into_iter().collect(),
                cloud,
                ambient: ambient()?,
                ambient_namespaces: self.run.ambient_namespaces.into_iter().collect(),
                admin_address: self.run.admin_address,
            })),
            Some(Command::Crd { dir }) => Ok(Task::Crd(dir)),
            Some(Command::List(list)) => Ok(Task::List(list.checked(cloud, ambient()?))),
        }
    }
}

impl ListArgs {
    fn checked(self, cloud: Client, ambient: Ambient) -> List {
        let status = |status: &Status| match status {
            Status::Created => ListStatus::Created,
            Status::Creating => ListStatus::Creating,
            Status::Failed => ListStatus::Failed,
        };
        List {
            cloud,
            ambient,
            project_name: self.project_name.unwrap_or_else(|| self.region.clone()),
            project_id: self.project_id,
            region: self.region,
            query: Query {
                workspace_ids: self.workspace_ids,
                label_selector: self.label_selector,
                statuses: self.statuses.iter().map(status).collect(),
            },
            timeout: Duration::from_secs(self.timeout),
            output: self.output,
        }
    }
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

/// The only reader of variables that no flag has.
#[allow(clippy::disallowed_methods)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn project_id(text: &str) -> Result<String, String> {
    let valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| text.to_owned()).ok_or_else(|| {
        "a project ID is 32 hexadecimal digits; use --project-name for a name".to_owned()
    })
}
