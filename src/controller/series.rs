//! The series that `/metrics` has of each source, read from what the controller remembers of it:
//! a source that is gone has none. No label holds anything but the source's own name and words of
//! this program.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::context::Memories;
use super::memory::Memory;
use crate::progress::SourceKey;

/// Shows all sources to a registry.
pub struct SourceSeries(pub(super) Arc<Memories>);

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for SourceSeries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let memories = self.0.lock();
        let mut sources: Vec<(&SourceKey, &Memory)> = memories.iter().collect();
        sources.sort_by_key(|(key, _)| *key);
        encode(
            &mut encoder,
            &sources,
            &GAUGES,
            MetricType::Gauge,
            ConstGauge::new,
        )?;
        encode(
            &mut encoder,
            &sources,
            &COUNTERS,
            MetricType::Counter,
            ConstCounter::new,
        )
    }
}

fn encode<N, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    sources: &[(&SourceKey, &Memory)],
    all: &[Series<N>],
    kind: MetricType,
    metric: fn(N) -> M,
) -> Result<(), fmt::Error> {
    for series in all {
        let mut family = encoder.encode_descriptor(series.name, series.help, None, kind)?;
        for ((namespace, source), memory) in sources {
            for (more, value) in (series.values)(memory) {
                let own = [
                    ("namespace", namespace.as_str()),
                    ("source", source.as_str()),
                ];
                let labels: Labels<'_> = own.into_iter().chain(more).collect();
                metric(value).encode(family.encode_family(&labels.as_slice())?)?;
            }
        }
    }
    Ok(())
}

impl fmt::Debug for SourceSeries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SourceSeries")
    }
}

/// One series of a source, or several that differ in more labels.
struct Series<N> {
    name: &'static str,
    help: &'static str,
    values: fn(&Memory) -> Vec<(Labels<'static>, N)>,
}

const GAUGES: [Series<f64>; 13] = [
    Series {
        name: "modelarts_source_last_sync_timestamp_seconds",
        help: "When the last complete list of the source was read",
        values: |it| one(it.record.last_sync.map(seconds)),
    },
    Series {
        name: "modelarts_source_interval_seconds",
        help: "The interval in the source's spec",
        values: |it| one(it.record.interval.map(|it| it.as_secs_f64())),
    },
    Series {
        name: "modelarts_source_stale",
        help: "1 while the source's mirrors say that they are no longer known to be true",
        values: |it| one(Some(flag(it.stale))),
    },
    Series {
        name: "modelarts_source_suspended",
        help: "1 while the source is suspended",
        values: |it| one(Some(flag(it.record.suspended))),
    },
    Series {
        name: "modelarts_source_failing",
        help: "1 while polls of the source fail for this reason; absent while they do not",
        values: |it| {
            let failure = it.failure.iter();
            failure
                .map(|it| (vec![("reason", it.class.reason())], 1.0))
                .collect()
        },
    },
    Series {
        name: "modelarts_source_consecutive_failures",
        help: "Polls of the source that failed in a row",
        values: |it| one(Some(it.failures.into())),
    },
    Series {
        name: "modelarts_source_next_poll_timestamp_seconds",
        help: "When the source is polled next",
        values: |it| one(it.next_poll.filter(|_| !it.record.suspended).map(seconds)),
    },
    Series {
        name: "modelarts_source_prune_blocked",
        help: "1 while deletions wait for a person",
        values: |it| one(Some(flag(it.record.prune_blocked))),
    },
    Series {
        name: "modelarts_source_refused",
        help: "Mirrors that the API server did not want at the last poll",
        values: |it| one(it.snapshot_at.map(|_| it.record.refused as f64)),
    },
    Series {
        name: "modelarts_source_set_aside",
        help: "Items of the last complete list that could not be read",
        values: |it| one(it.snapshot_at.map(|_| it.record.set_aside as f64)),
    },
    Series {
        name: "modelarts_source_pools",
        help: "Pools of the last complete list by phase",
        values: |it| {
            let phases = it.record.tally.phases.iter();
            phases
                .map(|(phase, count)| (vec![("phase", *phase)], *count as f64))
                .collect()
        },
    },
    Series {
        name: "modelarts_source_pools_ready",
        help: "Pools of the last complete list that are ready",
        values: |it| one(it.snapshot_at.map(|_| it.record.tally.ready as f64)),
    },
    Series {
        name: "modelarts_source_nodes",
        help: "Nodes of the last complete list by state and by what is in them",
        values: nodes,
    },
];

const COUNTERS: [Series<u64>; 2] = [
    Series {
        name: "modelarts_polls",
        help: "Polls of the source by outcome: Succeeded, PartialSuccess or the reason of the failure",
        values: |it| {
            let polls = it.record.polls.iter();
            polls
                .map(|(outcome, count)| (vec![("outcome", *outcome)], *count))
                .collect()
        },
    },
    Series {
        name: "modelarts_decode_rejects",
        help: "Items of complete lists that could not be read",
        values: |it| one(Some(it.record.rejects)),
    },
];

fn nodes(memory: &Memory) -> Vec<(Labels<'static>, f64)> {
    let tallies = memory.record.tally.by_accelerator.iter();
    tallies
        .flat_map(|(accelerator, nodes)| {
            [
                ("desired", nodes.desired),
                ("available", nodes.available),
                ("abnormal", nodes.abnormal),
                ("creating", nodes.creating),
                ("deleting", nodes.deleting),
            ]
            .map(|(state, count)| {
                let labels = vec![("state", state), ("accelerator", accelerator.as_str())];
                (labels, count as f64)
            })
        })
        .collect()
}

fn one<N>(value: Option<N>) -> Vec<(Labels<'static>, N)> {
    value.into_iter().map(|value| (Vec::new(), value)).collect()
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}
