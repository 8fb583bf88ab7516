//! One question to the cloud on behalf of a source: its credentials, its project, its pools.

use k8s_openapi::jiff::Timestamp;

use super::call::ReconcileError;
use super::context::Context;
use super::schedule::Timing;
use super::secret;
use crate::api::ModelArtsPoolSource;
use crate::mirror::Owner;
use crate::modelarts::{Class, Credentials, PollError, Snapshot, Target};

/// Why a source has no snapshot.
pub(super) enum NoSnapshot {
    Cloud(PollError),
    Cluster(ReconcileError),
    /// The process ends, or no longer leads.
    Ended,
}

/// One poll of the cloud with the source's credentials. Keys that were issued may be withdrawn
/// before their time: others are asked for once.
pub(super) async fn ask(
    source: &ModelArtsPoolSource,
    context: &Context,
    owner: &Owner,
    timing: Timing,
) -> Result<(Snapshot, String), NoSnapshot> {
    let credentials = secret::credentials(source, context, owner).await?;
    let mut answer = ask_as(source, context, timing, &credentials).await;
    if let Err(error) = &answer
        && error.class == Class::Authentication
        && context.ambient.refused(&credentials, Timestamp::now())
    {
        let credentials = secret::credentials(source, context, owner).await?;
        answer = ask_as(source, context, timing, &credentials).await;
    }
    answer.map_err(NoSnapshot::Cloud)
}

async fn ask_as(
    source: &ModelArtsPoolSource,
    context: &Context,
    timing: Timing,
    credentials: &Credentials,
) -> Result<(Snapshot, String), PollError> {
    let (spec, cloud) = (&source.spec, &context.cloud);
    let project_id = match &spec.project_id {
        Some(id) => id.clone(),
        None => {
            let name = spec.project_name.as_deref().unwrap_or(&spec.region);
            let found = cloud.project_id(&spec.region, name, timing.timeout, credentials);
            found.await?
        }
    };
    let endpoint = cloud.endpoint(&spec.region)?.to_string();
    let target = Target {
        region: spec.region.clone(),
        project_id,
        query: spec.query.clone(),
        timeout: timing.timeout,
    };
    let snapshot = cloud.poll(&target, credentials).await?;
    Ok((snapshot, endpoint))
}
