//! `ModelArtsPool`: one object per pool, its `status` at the cloud API's own paths.
//!
//! Every string that comes from the cloud is an open string: no enum and no pattern here may ever
//! refuse what the cloud says.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which pool this object mirrors. Everything else is in `status`.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "modelarts.huaweicloud.com",
    version = "v1alpha1",
    kind = "ModelArtsPool",
    plural = "modelartspools",
    shortname = "mapool",
    category = "modelarts",
    namespaced,
    status = "ModelArtsPoolStatus",
    derive = "PartialEq",
    doc = "A ModelArts resource pool as the cloud reported it last. Written by modelarts-pool-controller; edits are undone.",
    validation = Rule::new("self.spec == oldSelf.spec").message(
        "the spec of a ModelArtsPool says which pool it mirrors and cannot be changed; edit the ModelArtsPoolSource instead"
    ),
    printcolumn(name = "Pool", type_ = "string", json_path = ".status.metadata.displayName"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Nodes", type_ = "string", json_path = ".status.summary.nodes"),
    printcolumn(name = "Flavor", type_ = "string", json_path = ".status.summary.flavors"),
    printcolumn(name = "Driver", type_ = "string", json_path = ".status.summary.drivers"),
    printcolumn(name = "Scopes", type_ = "string", json_path = ".status.summary.scopes"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    printcolumn(name = "Abnormal", type_ = "integer", json_path = ".status.summary.abnormal", priority = 1),
    printcolumn(name = "Workspace", type_ = "string", json_path = ".status.metadata.workspaceId", priority = 1),
    printcolumn(name = "Source", type_ = "string", json_path = ".spec.source.name", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct ModelArtsPoolSpec {
    /// The source that found this pool.
    pub source: SourceRef,
    /// The cloud's own name (ID) of the pool.
    pub pool_name: String,
}

/// A ModelArtsPoolSource in the same namespace.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRef {
    /// The source's name.
    pub name: String,
}

/// The pool as the last complete list showed it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct ModelArtsPoolStatus {
    /// The generation of `spec` that this status belongs to; -1 before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The cloud's word for the pool's state, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The cloud's explanation of the phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether each job type is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<ScopeState>,
    /// The drivers on the pool's nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverStatus>,
    /// The parent of a logical pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The root pool; a physical pool names itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Nodes by state, flavor and node pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceStates>,
    /// What was ordered: the `spec` of the cloud's object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<Desired>,
    /// The `metadata` of the cloud's object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PoolMetadata>,
    /// What the printed columns show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// Ready, CapacityHealthy, TrainReady, InferReady, NotebookReady; Reconciling, Stalled and
    /// Truncated only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// One job type's service state.
#[derive(
    JsonSchema, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct ScopeState {
    /// Train, Infer, Notebook or a newer word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_type: Option<String>,
    /// Enabling, Enabled, Disabling, Disabled or a newer word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// Driver per accelerator kind.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverStatus {
    /// GPU driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<DriverState>,
    /// Ascend NPU driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npu: Option<DriverState>,
}

/// A driver's version and state.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverState {
    /// The version on the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Creating, Upgrading, Running, Abnormal or a newer word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// Node counters by state.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStates {
    /// Being created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub creating: Vec<ResourceCount>,
    /// Usable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub available: Vec<ResourceCount>,
    /// Broken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abnormal: Vec<ResourceCount>,
    /// Being deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleting: Vec<ResourceCount>,
    /// Could not be created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub creation_failed: Vec<ResourceCount>,
}

/// One counter of nodes.
#[derive(
    JsonSchema, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct ResourceCount {
    /// Node flavor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
    /// Guaranteed nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Elastic maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_count: Option<i64>,
    /// Spread over availability zones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub azs: Vec<AzCount>,
    /// Node pool; absent for the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_pool: Option<String>,
}

/// Nodes in one availability zone.
#[derive(
    JsonSchema, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct AzCount {
    /// Zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub az: Option<String>,
    /// Nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
}

/// What was ordered from the cloud.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// Dedicate (physical) or Logical.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Job types ordered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Nodes ordered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<DesiredResource>,
    /// Network of the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Job flavors offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub job_flavors: Vec<String>,
    /// Drivers ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<DesiredDriver>,
    /// Restrictions as the API's bit mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_mode: Option<i64>,
    /// The same restrictions in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<String>,
}

/// Nodes ordered of one flavor in one node pool.
#[derive(
    JsonSchema, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct DesiredResource {
    /// Node flavor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
    /// Nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Elastic maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_count: Option<i64>,
    /// Node pool; absent for the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_pool: Option<String>,
    /// Spread asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub azs: Vec<AzCount>,
    /// Node settings; start-up scripts and keys are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extend_params: BTreeMap<String, String>,
    /// Operating system image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<Os>,
}

/// Operating system image of nodes.
#[derive(
    JsonSchema, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct Os {
    /// Image name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Image ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// `private` for a private image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_type: Option<String>,
}

/// Network of a pool.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// ModelArts network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// VPC of a Lite pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// Subnet of a Lite pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet_id: Option<String>,
}

/// Drivers ordered.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredDriver {
    /// GPU driver version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_version: Option<String>,
    /// NPU driver version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npu_version: Option<String>,
    /// `force` or `idle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<String>,
}

/// The cloud object's metadata.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolMetadata {
    /// The pool's ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the cloud created the pool, as it wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<String>,
    /// The cloud's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The cloud's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The name a person gave the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The description a person gave the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Workspace; `0` is the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    /// The billed resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// The account's ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_domain_id: Option<String>,
    /// How the pool is paid for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing: Option<Billing>,
}

/// How a pool is paid for.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Billing {
    /// PayPerUse, Subscription, or the API's own value where it is neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Length of the subscription in periods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_num: Option<i64>,
    /// Month, Year, Hour, or the API's own value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_type: Option<String>,
    /// Whether the subscription renews itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_renew: Option<bool>,
}

/// Sums and joined words for tables.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Available over desired nodes.
    pub nodes: String,
    /// Usable nodes.
    pub available: i64,
    /// Broken nodes.
    pub abnormal: i64,
    /// Nodes being created.
    pub creating: i64,
    /// Nodes being deleted.
    pub deleting: i64,
    /// Nodes ordered.
    pub desired: i64,
    /// Node flavors.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub flavors: String,
    /// Drivers and their versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub drivers: String,
    /// Job types; one that is not enabled carries its state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scopes: String,
}
