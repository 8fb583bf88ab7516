//! What to do about the difference between the mirrors and a complete snapshot. Pure: a failed or
//! partial poll has no [`Snapshot`], so it has no plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::inventory::{Fingerprint, Intended, Mirror, Mirrors};
use super::name::object_names;
use super::project::{incarnation, project};
use super::prune::{Absences, Blocked, prune};
use super::stamp::{Owner, ours, stamped};
use super::tally::Tally;
use super::transition::transitions;
use crate::api::{ModelArtsPoolStatus, News, Prune};
use crate::modelarts::Snapshot;

/// One thing to do to one mirror.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The mirror's name.
    pub name: String,
    /// What to do.
    pub action: Action,
    /// What people should be told once it is done.
    pub news: Vec<News>,
}

/// What to do to a mirror.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A pool (named first) without a mirror: create it, then write its status.
    Create(String, Box<ModelArtsPoolStatus>),
    /// A status that differs.
    Status(Version, Box<ModelArtsPoolStatus>),
    /// Labels, annotations or owner that differ; then the status, if it differs too.
    Restamp(Version, Option<Box<ModelArtsPoolStatus>>),
    /// A mirror about which nothing certain can be said: its data stays, its claims go.
    Unknown(Version, Why),
    /// The mirror of a pool that is gone.
    Delete(Version),
}

/// The version of a mirror that a change was planned for; any other refuses the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The object's uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
}

/// Why nothing certain can be said about a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The cloud no longer lists it; this was seen then.
    NotListed(Timestamp),
    /// There has been no complete snapshot since then (or never).
    Stale(Option<Timestamp>),
}

/// What to do, and what to remember and report.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The changes, each for another mirror, by name.
    pub changes: Vec<Change>,
    /// What every mirror should be once all changes are made.
    pub intended: BTreeMap<String, Intended>,
    /// Absences to hand to the next plan.
    pub absences: Absences,
    /// Sums over the pools mirrored.
    pub tally: Tally,
    /// Pools whose object's name is held by another source or pool.
    pub contested: Vec<String>,
    /// Names of items that did not decode, `?` where not even that much could be read.
    pub set_aside: Vec<String>,
    /// Deletions that wait for a person.
    pub blocked: Option<Blocked>,
}

/// The source's side of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// When a mirror may be deleted.
    pub prune: &'a Prune,
    /// The confirm-prune annotation.
    pub confirmed: Option<&'a str>,
    /// Whether this snapshot can confirm what the last one missed.
    pub pace: Pace,
}

/// How a snapshot follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At its time, or because a person asked.
    Regular,
    /// So soon, to repair or to try again, that both may have met the same gap.
    Hurried,
}

/// The changes that make the mirrors of `owner` show `snapshot`.
///
/// `previous` are the absences of the last plan of this process, or `None` for its first; a plan
/// without them, or with those of another query, project or identity, deletes nothing.
pub fn plan(
    mirrors: &Mirrors,
    snapshot: &Snapshot,
    owner: &Owner,
    policy: Policy<'_>,
    previous: Option<&Absences>,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan {
        changes: Vec::new(),
        intended: BTreeMap::new(),
        absences: Absences::none(snapshot.key()),
        tally: Tally::default(),
        contested: Vec::new(),
        set_aside: set_aside(snapshot),
        blocked: None,
    };
    let names = object_names(snapshot.pools().keys().map(String::as_str));
    for (pool_name, name) in &names {
        let listed = &snapshot.pools()[*pool_name];
        let mirror = mirrors.get(name);
        if mirror.is_some_and(|it| it.source != owner.name || it.pool_name != *pool_name) {
            plan.contested.push((*pool_name).to_owned());
            continue;
        }
        if mirror.is_some_and(|it| it.terminating || belongs_to_another(it, owner)) {
            // Somebody, or the garbage collector, is deleting it. Once it is gone it is created
            // anew; until then nothing written to it would last.
            continue;
        }
        let stored = mirror
            .filter(|it| (it.pool_created.clone(), it.resource_id.clone()) == incarnation(listed))
            .map_or(&[][..], |it| &it.marks);
        let status = project(listed, stored, now);
        plan.tally.add(&status);
        let intended = Intended {
            source: owner.name.clone(),
            identity: Fingerprint::of(&ours(&stamped(owner, name, pool_name))),
            status: Fingerprint::of(&status),
        };
        plan.changes
            .extend(change(mirror, name, pool_name, status, &intended));
        plan.intended.insert(name.clone(), intended);
    }
    let listed: BTreeSet<&String> = names.values().collect();
    let owned = mirrors
        .iter()
        .filter(|(_, it)| it.source == owner.name && !it.terminating)
        .filter(|(_, it)| !belongs_to_another(it, owner))
        .collect::<Vec<_>>();
    prune(&mut plan, &owned, &listed, snapshot, policy, previous);
    plan
}

/// The changes that take back every claim of a source's mirrors, once it has had no complete
/// snapshot for too long. Mirrors that already claim nothing are left alone.
pub fn plan_stale(mirrors: &Mirrors, owner: &Owner, since: Option<Timestamp>) -> Vec<Change> {
    mirrors
        .iter()
        .filter(|(_, it)| it.source == owner.name && !it.terminating)
        .filter(|(_, it)| !belongs_to_another(it, owner))
        .filter(|(_, it)| !claims_nothing(it))
        .map(|(name, it)| Change {
            name: name.clone(),
            action: Action::Unknown(it.version(), Why::Stale(since)),
            news: Vec::new(),
        })
        .collect()
}

impl Why {
    /// The reason on the mirror's conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotListed(_) => "NotListed",
            Self::Stale(_) => "Stale",
        }
    }
}

impl Mirror {
    pub(super) fn version(&self) -> Version {
        Version {
            uid: self.uid.clone(),
            resource_version: self.resource_version.clone(),
        }
    }
}

fn change(
    mirror: Option<&Arc<Mirror>>,
    name: &str,
    pool_name: &str,
    status: ModelArtsPoolStatus,
    intended: &Intended,
) -> Option<Change> {
    let news = mirror.map_or_else(Vec::new, |mirror| transitions(mirror, &status));
    let action = match mirror {
        None => Action::Create(pool_name.to_owned(), Box::new(status)),
        Some(mirror) => {
            let version = mirror.version();
            let status = (!mirror.shows(intended.status)).then(|| Box::new(status));
            match status {
                status if mirror.identity != intended.identity => Action::Restamp(version, status),
                Some(status) => Action::Status(version, status),
                None => return None,
            }
        }
    };
    Some(Change {
        name: name.to_owned(),
        action,
        news,
    })
}

/// A mirror of an earlier source of the same name: the garbage collector is about to take it.
/// One without an owner was orphaned on purpose, and is adopted.
fn belongs_to_another(mirror: &Mirror, owner: &Owner) -> bool {
    mirror
        .owner_uid
        .as_ref()
        .is_some_and(|uid| *uid != owner.uid)
}

fn claims_nothing(mirror: &Mirror) -> bool {
    mirror.mark("Ready").is_some_and(|mark| {
        mark.status == "Unknown" && matches!(mark.reason.as_str(), "Stale" | "NotListed")
    })
}

fn set_aside(snapshot: &Snapshot) -> Vec<String> {
    let names = snapshot.set_aside().iter().map(|it| it.name.as_deref());
    let distinct: BTreeSet<&str> = names.map(|name| name.unwrap_or("?")).collect();
    distinct.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
