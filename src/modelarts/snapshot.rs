//! A complete list of pools. It is built only here and only from answers that were all read to
//! their end, so that a failed or partial poll has no value that could delete or blank anything.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

use super::loose;
use super::wire::{self, Pool, PoolList};
use super::{Class, PollError};

/// All pools that one query showed.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pools: BTreeMap<String, Listed>,
    set_aside: Vec<SetAside>,
    key: QueryKey,
    taken_at: Timestamp,
}

/// A pool with the list it was found in.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The pool as sent.
    pub pool: Pool,
    /// Whether only the list of failed creations has it. Such an item need not say so in its own
    /// phase.
    pub creation_failed: bool,
}

/// An item that did not decode. It is not a pool that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The pool's name, where that much could be read.
    pub name: Option<String>,
    /// Why, in the decoder's words; for the log.
    pub why: String,
}

/// Everything that decides which pools a list shows. Absences are comparable only under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryKey {
    /// The region.
    pub region: String,
    /// The project.
    pub project_id: String,
    /// Workspaces, sorted.
    pub workspace_ids: Vec<String>,
    /// The selector as passed on.
    pub label_selector: String,
    /// The list parameters, sorted.
    pub statuses: Vec<&'static str>,
    /// Who asked, by access key or by who issues the keys: another identity may see other pools.
    pub identity: String,
}

/// One list call's items, pages joined.
pub(super) struct ListAnswer {
    pub items: Vec<Box<serde_json::value::RawValue>>,
    pub of_failed: bool,
}

/// Reads one page.
///
/// # Errors
/// Where the body is no pool list, for example an error or a login page that came with 200.
pub(super) fn read_page(
    operation: &'static str,
    body: &[u8],
) -> Result<(Vec<Box<serde_json::value::RawValue>>, Option<String>), PollError> {
    let decode = |detail: String| PollError::new(operation, Class::Decode, detail);
    let list: PoolList = serde_json::from_slice(body).map_err(|error| {
        decode(format!(
            "the answer of {} bytes is no pool list",
            body.len()
        ))
        .caused_by(error)
    })?;
    let items = list.items.map(|items| items.0);
    let items = match (list.kind.as_deref(), items) {
        (Some("PoolList"), items) => items.unwrap_or_default(),
        // Older documents show no kind; without it, only an array of items proves a list.
        (None, Some(items)) => items,
        _ => return Err(decode("the answer is JSON but no PoolList".to_owned())),
    };
    let next = list
        .metadata
        .and_then(|metadata| metadata.continue_token)
        .filter(|token| !token.is_empty());
    Ok((items, next))
}

impl Snapshot {
    /// Joins the answers of all list calls.
    pub(super) fn complete(key: QueryKey, answers: Vec<ListAnswer>, taken_at: Timestamp) -> Self {
        let mut pools: BTreeMap<String, Listed> = BTreeMap::new();
        let mut set_aside = Vec::new();
        let mut unreadable = BTreeSet::new();
        for ListAnswer { items, of_failed } in answers {
            for item in items {
                match serde_json::from_str::<Pool>(item.get()) {
                    Ok(pool) => {
                        let listed = Listed {
                            pool,
                            creation_failed: of_failed,
                        };
                        let name = listed.pool.metadata.name.clone();
                        match pools.get(&name) {
                            Some(known) if !listed.supersedes(known) => {}
                            _ => drop(pools.insert(name, listed)),
                        }
                    }
                    Err(error) => {
                        let name = wire::name_of(&item);
                        if !of_failed {
                            unreadable.extend(name.clone());
                        }
                        set_aside.push(SetAside {
                            name,
                            // The decoder quotes what it met, the cloud's untrusted text.
                            why: loose::clean(&error.to_string()).chars().take(200).collect(),
                        });
                    }
                }
            }
        }
        // A failed record must not stand in for a pool of its name that is there but unreadable.
        pools.retain(|name, listed| !(listed.creation_failed && unreadable.contains(name)));
        // A pool that one answer shows well is known, whatever another one says.
        set_aside.retain(|item| {
            item.name
                .as_ref()
                .is_none_or(|name| !pools.contains_key(name))
        });
        Self {
            pools,
            set_aside,
            key,
            taken_at,
        }
    }

    /// The pools by their own name.
    pub fn pools(&self) -> &BTreeMap<String, Listed> {
        &self.pools
    }

    /// Items that did not decode; their mirrors are kept.
    pub fn set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// What was asked, and by whom.
    pub fn key(&self) -> &QueryKey {
        &self.key
    }

    /// When the last answer had been read.
    pub fn taken_at(&self) -> Timestamp {
        self.taken_at
    }
}

impl Listed {
    /// Of two items with one name the younger pool counts; a failed record outlives its pool by
    /// three days, so at equal age the default list does; then the later item, as a rule.
    fn supersedes(&self, known: &Self) -> bool {
        let age = |listed: &Self| listed.pool.metadata.creation_timestamp.clone();
        (age(self), !self.creation_failed) >= (age(known), !known.creation_failed)
    }
}

#[cfg(test)]
impl Snapshot {
    /// What the client builds of a default list with these items and of a list of failed
    /// creations with those.
    pub(crate) fn of_json(
        key: QueryKey,
        default: &serde_json::Value,
        failed: &serde_json::Value,
    ) -> Self {
        let answer = |items: &serde_json::Value, of_failed| {
            let body = serde_json::json!({"kind": "PoolList", "items": items}).to_string();
            let (items, _) = read_page("list pools", body.as_bytes()).unwrap();
            ListAnswer { items, of_failed }
        };
        let answers = vec![answer(default, false), answer(failed, true)];
        Self::complete(key, answers, Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
impl QueryKey {
    /// The key of the default query.
    pub(crate) fn example() -> Self {
        Self {
            region: "cn-north-4".to_owned(),
            project_id: "0123456789abcdef0123456789abcdef".to_owned(),
            workspace_ids: vec!["0".to_owned()],
            label_selector: String::new(),
            statuses: vec!["created", "creating", "failed"],
            identity: "AKFAKE".to_owned(),
        }
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
