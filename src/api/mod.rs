//! The two kinds that people meet in Kubernetes: what a person writes
//! ([`ModelArtsPoolSource`]) and what people and dashboards read ([`ModelArtsPool`]).
//!
//! Group, kinds and plurals are frozen: renaming one is a migration. Nothing here talks to a
//! network or reads a clock.

mod condition;
mod news;
mod pool;
mod source;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use kube::api::PostParams;

pub use condition::{Fact, Mark, conditions, marks, truth};
pub use news::{News, Weight};
pub use pool::{
    AzCount, Billing, Desired, DesiredDriver, DesiredResource, DriverState, DriverStatus,
    ModelArtsPool, ModelArtsPoolSpec, ModelArtsPoolStatus, Network, Os, PoolMetadata,
    ResourceCount, ResourceStates, ScopeState, SourceRef, Summary,
};
pub use source::{
    Credentials, ListStatus, ModelArtsPoolSource, ModelArtsPoolSourceSpec,
    ModelArtsPoolSourceStatus, NodeCounts, Prune, PrunePolicy, Query, SecretRef,
};

/// The API group of both kinds; also the prefix of the annotations below.
pub const GROUP: &str = "modelarts.huaweicloud.com";

/// Set by a person to any new value to have the source polled at once; acknowledged in
/// `status.lastHandledReconcileAt`.
pub const REQUESTED_AT: &str = "modelarts.huaweicloud.com/requestedAt";

/// Set by a person on a source to the value that its `PruneBlocked` condition names, to agree to
/// the deletion of exactly that set of mirrors.
pub const CONFIRM_PRUNE: &str = "modelarts.huaweicloud.com/confirm-prune";

/// The kind of a mirror, as people write it.
pub const POOL_KIND: &str = "ModelArtsPool";

/// The kind of a source, as people write it.
pub const SOURCE_KIND: &str = "ModelArtsPoolSource";

/// The field manager of every write this program makes.
pub const FIELD_MANAGER: &str = "modelarts-pool-controller";

/// What goes with every write that creates or replaces.
pub fn write_params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// Both CustomResourceDefinitions with the file names under which `crds/` keeps them.
pub fn crds() -> [(&'static str, CustomResourceDefinition); 2] {
    [
        ("modelartspoolsources.yaml", ModelArtsPoolSource::crd()),
        ("modelartspools.yaml", ModelArtsPool::crd()),
    ]
}
