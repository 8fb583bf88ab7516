//! Everything that `/metrics` shows, put into one registry. It measures nothing itself.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::controller::Context;
use crate::progress::Progress;

/// The registry of this process.
pub fn registry(context: &Context) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process(Arc::clone(&context.progress))));
    registry.register_collector(Box::new(context.series()));
    context.writes.register(&mut registry);
    context.cloud.requests().register(&mut registry);
    registry
}

/// What is true of the process as a whole.
struct Process(Arc<Progress>);

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let one = ConstGauge::new(1i64);
        let mut info = encoder.encode_descriptor(
            "modelarts_build_info",
            "The version that runs; always 1",
            None,
            MetricType::Gauge,
        )?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        one.encode(info.encode_family(&version)?)?;
        let leads = encoder.encode_descriptor(
            "modelarts_leader",
            "1 where this replica does the work, 0 where it stands by",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(i64::from(self.0.leads())).encode(leads)?;
        let kinds = self.0.kinds(Instant::now());
        let mut healthy = encoder.encode_descriptor(
            "modelarts_watch_healthy",
            "1 while the API server shows the objects of this kind: the CRD is there, and the rights are",
            None,
            MetricType::Gauge,
        )?;
        for (kind, (is_healthy, _)) in &kinds {
            let labels = [("kind", *kind)];
            ConstGauge::new(i64::from(*is_healthy)).encode(healthy.encode_family(&labels)?)?;
        }
        let mut failures = encoder.encode_descriptor(
            "modelarts_watch_errors",
            "Failures of the watch on this kind",
            None,
            MetricType::Counter,
        )?;
        for (kind, (_, count)) in &kinds {
            let labels = [("kind", *kind)];
            ConstCounter::new(*count).encode(failures.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Process")
    }
}
