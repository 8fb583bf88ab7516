//! Which credentials a source may use: the Secret it names in its own namespace, or the
//! controller's own identity where the administrator allows that.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::Api;

use super::ask::NoSnapshot;
use super::call::in_time;
use super::context::Context;
use crate::api::ModelArtsPoolSource;
use crate::mirror::Owner;
use crate::modelarts::{Class, Credentials, PollError};

/// Reads the credentials of a source, anew for each poll: a rotated key is used by the next one,
/// and no Secret is cached or watched.
pub(super) async fn credentials(
    source: &ModelArtsPoolSource,
    context: &Context,
    owner: &Owner,
) -> Result<Credentials, NoSnapshot> {
    let Some(credentials) = &source.spec.credentials else {
        let own = ambient(source, context, owner).await;
        return own.map_err(NoSnapshot::Cloud);
    };
    let name = &credentials.secret_ref.name;
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &owner.namespace);
    match in_time("read Secret", secrets.get(name)).await {
        Ok(secret) => Credentials::from_secret(name, &secret).map_err(NoSnapshot::Cloud),
        Err(error) if error.is(kube::core::Status::is_not_found) => Err(missing(format!(
            "there is no Secret {name} in this namespace"
        ))),
        Err(error) if error.is(kube::core::Status::is_forbidden) => Err(missing(format!(
            "the controller may not read Secret {name}; let its ServiceAccount get it"
        ))),
        Err(error) => Err(NoSnapshot::Cluster(error)),
    }
}

/// A tenant that could use the controller's own identity by leaving a field out would see what
/// only the administrator may, so it serves only the namespaces that the administrator chose.
async fn ambient(
    source: &ModelArtsPoolSource,
    context: &Context,
    owner: &Owner,
) -> Result<Credentials, PollError> {
    if !context.ambient_namespaces.contains(&owner.namespace) {
        return Err(PollError::new(
            "choose credentials",
            Class::CredentialsMissing,
            "set spec.credentials.secretRef; the controller's own identity serves only sources in its own namespace and in those of --ambient-namespace",
        ));
    }
    let (region, now) = (&source.spec.region, Timestamp::now());
    context.ambient.credentials(region, now).await
}

fn missing(detail: String) -> NoSnapshot {
    NoSnapshot::Cloud(PollError::new(
        "read credentials",
        Class::CredentialsMissing,
        detail,
    ))
}
