//! `ModelArtsPoolSource`: where pools come from. What a person writes.
//!
//! It names a region and never a URL: a URL in a tenant's object would let the tenant choose to
//! whom the controller talks.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Go's duration syntax, bounded so that no rule below can fail to evaluate.
const DURATION: &str = "matches('^([0-9]{1,6}(\\\\.[0-9]{1,3})?(ms|s|m|h)){1,4}$')";

/// Which pools to mirror, how often, and with which credentials.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "modelarts.huaweicloud.com",
    version = "v1alpha1",
    kind = "ModelArtsPoolSource",
    plural = "modelartspoolsources",
    shortname = "mapsource",
    category = "modelarts",
    namespaced,
    status = "ModelArtsPoolSourceStatus",
    derive = "PartialEq",
    doc = "A region and project whose ModelArts pools are mirrored into ModelArtsPool objects in this namespace.",
    printcolumn(name = "Region", type_ = "string", json_path = ".spec.region"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Pools", type_ = "integer", json_path = ".status.pools"),
    printcolumn(name = "Not-ready", type_ = "integer", json_path = ".status.notReady"),
    printcolumn(name = "Last sync", type_ = "date", json_path = ".status.lastSyncTime"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Project",
        type_ = "string",
        json_path = ".status.projectId",
        priority = 1
    ),
    printcolumn(
        name = "Interval",
        type_ = "string",
        json_path = ".spec.interval",
        priority = 1
    ),
    printcolumn(
        name = "Suspended",
        type_ = "boolean",
        json_path = ".spec.suspend",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(format!(
        "!self.interval.{DURATION} || !self.staleAfter.{DURATION} || duration(self.staleAfter) >= duration(self.interval)"
    ))
    .message("staleAfter must be at least as long as interval, or every mirror would be stale between two polls"),
    validation = Rule::new("!has(self.projectId) || !has(self.projectName)")
        .message("give projectId or projectName, not both")
)]
pub struct ModelArtsPoolSourceSpec {
    /// The region's ID, such as cn-north-4. Never a URL: endpoints are the administrator's choice.
    #[x_kube(validation = Rule::new("self.matches('^[a-z]{2,4}(-[a-z0-9]+){1,3}$')")
        .message("region is the ID of a Huawei Cloud region such as cn-north-4; it is never a URL (the administrator sets endpoints with --endpoint)"))]
    #[schemars(length(max = 32))]
    pub region: String,
    /// The project's ID: 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{32}$')")
        .message("projectId is 32 lower-case hexadecimal digits, as My Credentials in the console shows it; use projectName for a name"))]
    #[schemars(length(max = 64))]
    pub project_id: Option<String>,
    /// The project's name, looked up once in IAM; by default the region's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub project_name: Option<String>,
    /// Whose keys sign the calls; omitted, the controller's own identity does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Which pools to list.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub query: Query,
    /// Time between two polls, such as 30s or 5m; at least 10s.
    #[serde(default = "one_minute")]
    #[x_kube(
        validation = Rule::new(format!("self.{DURATION}"))
            .message("interval is a duration such as 30s, 5m or 1h30m"),
        validation = Rule::new(format!("!self.{DURATION} || duration(self) >= duration('10s')"))
            .message("interval must be at least 10s")
    )]
    #[schemars(length(max = 32))]
    pub interval: String,
    /// Time one request to the cloud may take; between 1s and 5m.
    #[serde(default = "thirty_seconds")]
    #[x_kube(
        validation = Rule::new(format!("self.{DURATION}"))
            .message("timeout is a duration such as 30s"),
        validation = Rule::new(format!(
            "!self.{DURATION} || (duration(self) >= duration('1s') && duration(self) <= duration('5m'))"
        ))
        .message("timeout must be between 1s and 5m")
    )]
    #[schemars(length(max = 32))]
    pub timeout: String,
    /// Age at which mirrors stop claiming to be current; at least `interval`.
    #[serde(default = "five_minutes")]
    #[x_kube(validation = Rule::new(format!("self.{DURATION}"))
        .message("staleAfter is a duration such as 5m"))]
    #[schemars(length(max = 32))]
    pub stale_after: String,
    /// Stops polling; mirrors keep their data, and say that they are stale after `staleAfter`.
    #[serde(default)]
    pub suspend: bool,
    /// What happens to the mirror of a pool that the cloud no longer lists.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub prune: Prune,
}

/// Whose keys sign the calls.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// A Secret in this namespace with the keys accessKey, secretKey and, for temporary
    /// credentials, securityToken.
    pub secret_ref: SecretRef,
}

/// A Secret in the source's own namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The list call's own parameters.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// Workspaces to list, one call each; `0` is the default workspace.
    #[serde(default = "default_workspace")]
    #[schemars(length(min = 1, max = 50), inner(length(min = 1, max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub workspace_ids: Vec<String>,
    /// Passed to the cloud as it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub label_selector: String,
    /// Which pools to list. `created` with `creating` is the cloud's default list; `failed` is a
    /// second list, without which a failed creation would look like a deletion.
    #[serde(default = "every_status")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub statuses: Vec<ListStatus>,
}

/// A value of the list call's `status` parameter.
#[derive(
    JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum ListStatus {
    /// Created successfully.
    Created,
    /// Being created.
    Creating,
    /// Failed to be created; the cloud keeps the record for three days.
    Failed,
}

/// When a mirror may be deleted.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Prune {
    /// Delete the mirror, or Retain it as not listed.
    pub policy: PrunePolicy,
    /// Complete lists in a row that must miss a pool before its mirror goes.
    #[schemars(range(min = 1, max = 100))]
    pub confirmations: i32,
    /// Part of a source's mirrors, in percent, that may go at once without a person's agreement;
    /// one always may, unless it is the last.
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: i32,
}

/// What happens to the mirror of a pool that is gone.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrunePolicy {
    /// It is deleted, after `confirmations` lists without it and within `maxPercent`.
    #[default]
    Delete,
    /// It stays and says since when the cloud no longer lists it.
    Retain,
}

/// What the controller knows of the source.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct ModelArtsPoolSourceStatus {
    /// The generation of `spec` that this status belongs to; -1 before the first poll.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready always; Reconciling, Stalled, FetchFailed, WriteFailed, Throttled, PruneBlocked and
    /// PartiallyDecoded only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// When the mirrors last agreed with a complete list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync_time: Option<Time>,
    /// The last value of the requestedAt annotation that was acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The project listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The endpoint asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Pools mirrored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pools: Option<i64>,
    /// Mirrors whose Ready is True.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<i64>,
    /// Mirrors whose Ready is not True.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<i64>,
    /// Nodes of all pools together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCounts>,
}

/// Nodes of all pools together.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCounts {
    /// Ordered.
    pub desired: i64,
    /// Usable.
    pub available: i64,
    /// Broken.
    pub abnormal: i64,
    /// Being created.
    pub creating: i64,
    /// Being deleted.
    pub deleting: i64,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            workspace_ids: default_workspace(),
            label_selector: String::new(),
            statuses: every_status(),
        }
    }
}

impl Default for Prune {
    fn default() -> Self {
        Self {
            policy: PrunePolicy::Delete,
            confirmations: 2,
            max_percent: 30,
        }
    }
}

impl ListStatus {
    /// The parameter's value on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Creating => "creating",
            Self::Failed => "failed",
        }
    }
}

fn default_workspace() -> Vec<String> {
    vec!["0".to_owned()]
}

fn every_status() -> Vec<ListStatus> {
    vec![
        ListStatus::Created,
        ListStatus::Creating,
        ListStatus::Failed,
    ]
}

fn one_minute() -> String {
    "1m".to_owned()
}

fn thirty_seconds() -> String {
    "30s".to_owned()
}

fn five_minutes() -> String {
    "5m".to_owned()
}
