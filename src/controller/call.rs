//! One call to the API server about a source or a Secret, and how it may fail.

use crate::mirror::DEADLINE;

/// The API server failed, not the cloud: the reconcile is tried again, and no status says so
/// because none could be written.
#[derive(Debug, thiserror::Error)]
#[error("{operation}")]
pub struct ReconcileError {
    operation: &'static str,
    source: KubeFailure,
}

#[derive(Debug, thiserror::Error)]
enum KubeFailure {
    #[error("no answer from the API server within {} s", DEADLINE.as_secs())]
    Late,
    #[error(transparent)]
    Refused(#[from] kube::Error),
}

impl ReconcileError {
    /// The same failure by another name.
    pub(super) fn during(self, operation: &'static str) -> Self {
        Self { operation, ..self }
    }

    /// Whether the same call may succeed soon, without anybody's doing.
    pub(super) fn may_pass(&self) -> bool {
        match &self.source {
            KubeFailure::Refused(kube::Error::Api(status)) => {
                status.code >= 500 || status.code == 429
            }
            KubeFailure::Refused(_) | KubeFailure::Late => true,
        }
    }

    pub(super) fn is(&self, kind: impl Fn(&kube::core::Status) -> bool) -> bool {
        matches!(&self.source, KubeFailure::Refused(kube::Error::Api(status)) if kind(status))
    }
}

/// The answer, if it comes in time.
pub(super) async fn in_time<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ReconcileError> {
    answered(operation, tokio::time::timeout(DEADLINE, call).await.ok())
}

/// No answer in time is a failure as well.
pub(super) fn answered<T>(
    operation: &'static str,
    answer: Option<Result<T, kube::Error>>,
) -> Result<T, ReconcileError> {
    let answer = match answer {
        Some(answer) => answer.map_err(KubeFailure::from),
        None => Err(KubeFailure::Late),
    };
    answer.map_err(|source| ReconcileError { operation, source })
}

/// An error with its causes, for one line of the log.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
