//! Which mirrors go. Pure, and shy: absence from a list is the most dangerous input there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::inventory::Mirror;
use super::plan::{Action, Change, Pace, Plan, Policy, Why};
use crate::api::PrunePolicy;
use crate::modelarts::{QueryKey, Snapshot};

/// How often in a row complete snapshots under one key have missed each mirror.
#[derive(Clone, Debug, PartialEq)]
pub struct Absences {
    pub(super) key: QueryKey,
    pub(super) missed: BTreeMap<String, i32>,
}

impl Absences {
    /// No mirror has been missed under this key yet.
    pub(super) fn none(key: &QueryKey) -> Self {
        Self {
            key: key.clone(),
            missed: BTreeMap::new(),
        }
    }
}

/// Deletions that wait for a person's agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The mirrors that would go, sorted.
    pub names: Vec<String>,
}

impl Blocked {
    /// The value that agrees to exactly this set.
    pub fn confirmation(&self) -> String {
        let hash = Sha256::digest(self.names.join("\n"));
        let digits: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{digits}", self.names.len())
    }
}

/// Counts absences and decides which mirrors go.
pub(super) fn prune(
    plan: &mut Plan,
    owned: &[(&String, &Arc<Mirror>)],
    listed: &BTreeSet<&String>,
    snapshot: &Snapshot,
    policy: Policy<'_>,
    previous: Option<&Absences>,
) {
    let previous = previous.filter(|it| it.key == *snapshot.key());
    let before = |name: &String| previous.and_then(|it| it.missed.get(name)).copied();
    // An item without a readable name may be any of the absent pools: this snapshot cannot tell.
    let nameless = snapshot.set_aside().iter().any(|it| it.name.is_none());
    let aside: BTreeSet<&String> = snapshot
        .set_aside()
        .iter()
        .filter_map(|it| it.name.as_ref())
        .collect();
    let mut due = Vec::new();
    for (name, mirror) in owned {
        if listed.contains(name) || aside.contains(&mirror.pool_name) {
            continue;
        }
        let missed = match before(name).unwrap_or_default() {
            missed if nameless || policy.pace == Pace::Hurried => missed,
            missed => missed.saturating_add(1),
        };
        plan.absences.missed.insert((*name).clone(), missed);
        if !nameless && previous.is_some() && missed >= policy.prune.confirmations {
            due.push((*name, *mirror));
        }
    }
    if due.is_empty() {
        return;
    }
    // A mirror last seen Deleting is expected to go: it counts neither as lost nor as part of
    // what there was.
    let expected = |mirror: &Mirror| mirror.phase.as_deref() == Some("Deleting");
    let whole = owned.iter().filter(|(_, it)| !expected(it)).count();
    let lost = Blocked {
        names: due
            .iter()
            .filter(|(_, it)| !expected(it))
            .map(|(name, _)| (*name).clone())
            .collect(),
    };
    let percent = usize::try_from(policy.prune.max_percent).unwrap_or_default();
    let allowed = (whole * percent / 100).max(1);
    let too_many = lost.names.len() > allowed || lost.names.len() == whole;
    let confirmed = policy.confirmed == Some(lost.confirmation().as_str());
    let blocked = !lost.names.is_empty() && too_many && !confirmed;
    for (name, mirror) in due {
        let keep = policy.prune.policy == PrunePolicy::Retain || (blocked && !expected(mirror));
        let said = mirror
            .mark("Ready")
            .is_some_and(|it| it.reason == "NotListed");
        let action = match keep {
            false => Action::Delete(mirror.version()),
            true if !said => Action::Unknown(mirror.version(), Why::NotListed(snapshot.taken_at())),
            true => continue,
        };
        plan.changes.push(Change {
            name: name.clone(),
            action,
            news: Vec::new(),
        });
    }
    if blocked && policy.prune.policy == PrunePolicy::Delete {
        plan.blocked = Some(lost);
    }
}
