//! Writes the status of a source, and nothing else of it.

use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tracing::debug;

use super::call::{ReconcileError, answered, in_time};
use super::pass::Pass;
use super::report;
use crate::api::{ModelArtsPoolSource, ModelArtsPoolSourceStatus, SOURCE_KIND, write_params};
use crate::mirror::Verb;

const OPERATION: &str = "write source status";

const NO_STATUS: &str = "write source status: the installed CRD of ModelArtsPoolSources has no status subresource; apply the one of this version";

impl Pass<'_> {
    async fn replace(
        &self,
        sources: &Api<ModelArtsPoolSource>,
        params: &PostParams,
        source: &ModelArtsPoolSource,
    ) -> Result<ModelArtsPoolSource, ReconcileError> {
        let answer = sources.replace_status(&self.owner.name, params, source);
        let writes = &self.context.writes;
        let answer = writes.make(SOURCE_KIND, Verb::UpdateStatus, answer);
        answered(OPERATION, answer.await)
    }

    /// Writes the source's status unless it is already so. A conflict means that somebody changed
    /// the source meanwhile: the status is put onto their version, once.
    pub(super) async fn write(
        &mut self,
        status: ModelArtsPoolSourceStatus,
    ) -> Result<(), ReconcileError> {
        let status = whole_seconds(status);
        self.memory.owed = None;
        if self.status() == status {
            return Ok(());
        }
        let written = self.put(status.clone()).await;
        // What the API server does not want is not repeated before the next poll.
        if written.as_ref().is_err_and(ReconcileError::may_pass) {
            self.memory.owed = Some(status);
        }
        written
    }

    async fn put(&mut self, status: ModelArtsPoolSourceStatus) -> Result<(), ReconcileError> {
        let sources: Api<ModelArtsPoolSource> =
            Api::namespaced(self.context.client.clone(), &self.owner.namespace);
        let params = write_params();
        let mut source = self.source.clone();
        source.metadata.managed_fields = None;
        source.status = Some(status.clone());
        let name = &self.owner.name;
        let mut written = self.replace(&sources, &params, &source).await;
        if written
            .as_ref()
            .is_err_and(|error| error.is(kube::core::Status::is_conflict))
        {
            let current = in_time(OPERATION, sources.get(name)).await?;
            source.metadata.resource_version = current.metadata.resource_version;
            written = self.replace(&sources, &params, &source).await;
        }
        match written {
            Ok(_) => {
                self.tell(report::news(&self.status(), &status)).await;
                self.memory.status = Some(status);
            }
            // The source was deleted, or deleted and created anew, while it was polled. One that is
            // still there has no status to be found.
            Err(error)
                if error.is(kube::core::Status::is_not_found)
                    || error.is(kube::core::Status::is_conflict) =>
            {
                let there = in_time(OPERATION, sources.get_opt(name)).await?;
                let same = there.is_some_and(|it| it.metadata.uid == self.source.metadata.uid);
                if same && error.is(kube::core::Status::is_not_found) {
                    return Err(error.during(NO_STATUS));
                }
                debug!(source = %name, "the source is gone");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The API server keeps whole seconds; anything finer would never compare equal.
fn whole_seconds(mut status: ModelArtsPoolSourceStatus) -> ModelArtsPoolSourceStatus {
    if let Some(time) = &mut status.last_sync_time {
        time.0 = Timestamp::from_second(time.0.as_second()).unwrap_or(time.0);
    }
    status
}
