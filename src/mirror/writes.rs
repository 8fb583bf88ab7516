//! Bounds the writes to the API server in time and counts them. It decides none.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One call to the API server, the client's own retries included.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The writes of this process, by kind, verb and result.
#[derive(Clone, Debug, Default)]
pub struct Writes(Family<Labels, Counter>);

/// What was asked of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A new object.
    Create,
    /// Metadata.
    Update,
    /// The status.
    UpdateStatus,
    /// The end of an object.
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    verb: &'static str,
    result: &'static str,
}

impl Writes {
    /// Makes one write and counts it; `None` is no answer in time.
    pub async fn make<T>(
        &self,
        kind: &'static str,
        verb: Verb,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Option<Result<T, kube::Error>> {
        let answer = tokio::time::timeout(DEADLINE, call).await.ok();
        let result = match &answer {
            Some(Ok(_)) => "ok",
            Some(Err(kube::Error::Api(status)))
                if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
            {
                "conflict"
            }
            Some(Err(_)) | None => "error",
        };
        let labels = Labels {
            kind,
            verb: verb.as_str(),
            result,
        };
        self.0.get_or_create(&labels).inc();
        answer
    }

    /// Shows the counts in a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "modelarts_writes",
            "Writes to the API server by kind, verb and result; a conflict means that somebody else wrote first",
            self.0.clone(),
        );
    }
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::UpdateStatus => "update_status",
            Self::Delete => "delete",
        }
    }
}
