//! Times the requests to the cloud. It knows nothing of what they ask for.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::PollError;

/// Seconds; the longest time-out of a request is five minutes.
const BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 300.0];

/// How long the requests of this process took, by operation and result.
#[derive(Clone, Debug)]
pub struct Requests(Family<Labels, Histogram, fn() -> Histogram>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    operation: String,
    result: &'static str,
}

impl Requests {
    /// Takes in one request.
    pub(super) fn observe(
        &self,
        operation: &'static str,
        took: Duration,
        failure: Option<&PollError>,
    ) {
        let labels = Labels {
            operation: operation.replace(' ', "_"),
            result: failure.map_or("Succeeded", |error| error.class.reason()),
        };
        self.0.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Shows the times in a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "modelarts_upstream_request_duration_seconds",
            "Requests to the cloud by operation and result: Succeeded, or the reason of the failure",
            self.0.clone(),
        );
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(BUCKETS)))
    }
}
