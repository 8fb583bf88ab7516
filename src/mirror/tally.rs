//! Sums over the pools of one source, for its status and its metrics. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::health;
use crate::api::{ModelArtsPoolStatus, NodeCounts, ResourceCount};

/// Sums over the pools of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pools mirrored.
    pub pools: i64,
    /// Of those, with Ready=True.
    pub ready: i64,
    /// Nodes of all of them.
    pub nodes: NodeCounts,
    /// Pools by phase; one that this version does not know counts as `Other`.
    pub phases: BTreeMap<&'static str, i64>,
    /// Nodes by what is in them, so far as the flavor's name tells.
    pub by_accelerator: BTreeMap<Accelerator, NodeCounts>,
}

/// A phase that this version does not know. Untrusted words are no label of a metric.
const OTHER: &str = "Other";

/// What is in a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accelerator {
    /// Ascend NPUs.
    Npu,
    /// GPUs.
    Gpu,
    /// Neither.
    Cpu,
    /// The flavor's name does not tell.
    Unknown,
}

impl Tally {
    /// Counts one more pool.
    pub(super) fn add(&mut self, status: &ModelArtsPoolStatus) {
        self.pools += 1;
        let ready = |it: &&Condition| it.type_ == "Ready" && it.status == "True";
        self.ready += i64::from(status.conditions.iter().any(|it| ready(&it)));
        let phase = status.phase.as_deref().and_then(health::known_phase);
        *self.phases.entry(phase.unwrap_or(OTHER)).or_default() += 1;
        if let Some(summary) = &status.summary {
            plus(&mut self.nodes.desired, summary.desired);
            plus(&mut self.nodes.available, summary.available);
            plus(&mut self.nodes.abnormal, summary.abnormal);
            plus(&mut self.nodes.creating, summary.creating);
            plus(&mut self.nodes.deleting, summary.deleting);
        }
        for resource in status.desired.iter().flat_map(|it| &it.resources) {
            let nodes = self.nodes_of(resource.flavor.as_deref());
            plus(&mut nodes.desired, resource.count.unwrap_or_default());
        }
        if let Some(states) = &status.resources {
            self.count(&states.available, |nodes| &mut nodes.available);
            self.count(&states.abnormal, |nodes| &mut nodes.abnormal);
            self.count(&states.creating, |nodes| &mut nodes.creating);
            self.count(&states.deleting, |nodes| &mut nodes.deleting);
        }
    }

    fn count(&mut self, counts: &[ResourceCount], sum: impl Fn(&mut NodeCounts) -> &mut i64) {
        for count in counts {
            let nodes = self.nodes_of(count.flavor.as_deref());
            plus(sum(nodes), count.count.unwrap_or_default());
        }
    }

    fn nodes_of(&mut self, flavor: Option<&str>) -> &mut NodeCounts {
        let accelerator = Accelerator::of(flavor.unwrap_or_default());
        self.by_accelerator.entry(accelerator).or_default()
    }
}

impl Accelerator {
    /// By the parts of a flavor's name, such as `modelarts.bm.npu.arm.8snt9b3.d`.
    fn of(flavor: &str) -> Self {
        let has = |part: &str| flavor.split('.').any(|it| it.eq_ignore_ascii_case(part));
        match () {
            () if has("npu") => Self::Npu,
            () if has("gpu") => Self::Gpu,
            () if has("cpu") => Self::Cpu,
            () => Self::Unknown,
        }
    }

    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Npu => "npu",
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
            Self::Unknown => "unknown",
        }
    }
}

fn plus(sum: &mut i64, part: i64) {
    *sum = sum.saturating_add(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flavor_tells_what_is_in_a_node() {
        for (flavor, expected) in [
            ("modelarts.bm.npu.arm.8snt9b3.d", Accelerator::Npu),
            ("modelarts.vm.gpu.2v100nv16g.16u128g.d", Accelerator::Gpu),
            ("modelarts.vm.cpu.8ud", Accelerator::Cpu),
            ("modelarts.kat1.xlarge", Accelerator::Unknown),
            ("", Accelerator::Unknown),
        ] {
            assert_eq!(Accelerator::of(flavor), expected, "{flavor}");
        }
    }

    #[test]
    fn a_phase_that_is_not_known_is_counted_as_other() {
        let mut tally = Tally::default();
        for phase in [Some("Running"), Some("Hibernating\nx=1"), None] {
            tally.add(&ModelArtsPoolStatus {
                phase: phase.map(str::to_owned),
                ..ModelArtsPoolStatus::default()
            });
        }
        assert_eq!(tally.phases, BTreeMap::from([("Running", 1), ("Other", 2)]));
    }
}
