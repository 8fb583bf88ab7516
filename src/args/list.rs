//! Flags of `list`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::api::{ListStatus, Query};
use crate::modelarts::{Ambient, Client};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The region's ID, such as cn-north-4
    #[arg(long, env = "HW_REGION_NAME")]
    region: String,
    /// The project's ID (32 hexadecimal digits)
    #[arg(long, env = "HUAWEICLOUD_SDK_PROJECT_ID", value_name = "ID", value_parser = project_id)]
    project_id: Option<String>,
    /// The project's name, looked up in IAM [default: the region's]
    #[arg(
        long,
        env = "LIST_PROJECT_NAME",
        value_name = "NAME",
        conflicts_with = "project_id"
    )]
    project_name: Option<String>,
    /// A workspace to list; repeatable
    #[arg(
        long = "workspace-id",
        env = "LIST_WORKSPACE_IDS",
        value_name = "ID",
        value_delimiter = ',',
        default_value = "0"
    )]
    workspace_ids: Vec<String>,
    /// Passed to the cloud as it is
    #[arg(
        long,
        env = "LIST_LABEL_SELECTOR",
        value_name = "SELECTOR",
        default_value = ""
    )]
    label_selector: String,
    /// Which pools to list; repeatable
    #[arg(
        long = "status",
        env = "LIST_STATUSES",
        value_delimiter = ',',
        value_enum,
        default_values = ["created", "creating", "failed"]
    )]
    statuses: Vec<Status>,
    /// The time one request may take, in seconds
    #[arg(
        long,
        env = "LIST_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=300)
    )]
    timeout: u64,
    /// How to print
    #[arg(
        short,
        long,
        env = "LIST_OUTPUT",
        value_name = "FORMAT",
        value_enum,
        default_value = "table"
    )]
    output: Output,
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Created,
    Creating,
    Failed,
}

impl ListArgs {
    pub(super) fn checked(self, cloud: Client, ambient: Ambient) -> List {
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

fn project_id(text: &str) -> Result<String, String> {
    let valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| text.to_owned()).ok_or_else(|| {
        "a project ID is 32 hexadecimal digits; use --project-name for a name".to_owned()
    })
}
