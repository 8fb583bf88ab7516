//! Who may ask: fake key pairs, the projects they open, and the lock that guards a key against
//! guessing. It never checks a signature; the gateway does.

use std::{
    collections::BTreeMap,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::bail;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// One key pair. Several accounts may open the same project, as the keys of a rotation do.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    pub access_key: String,
    #[serde(deserialize_with = "secret")]
    pub secret_key: SecretString,
    /// Set for a temporary key pair, which is worth nothing without it.
    pub security_token: Option<String>,
    pub projects: Vec<Project>,
}

/// A project, named after its region unless it is a sub-project.
#[derive(Clone, Debug, Deserialize)]
pub struct Project {
    pub id: String,
    pub name: String,
}

impl Account {
    pub fn opens(&self, project: &str) -> bool {
        self.projects.iter().any(|own| own.id == project)
    }
}

impl FromStr for Account {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut parts = text.split(':').map(str::to_owned);
        let (Some(access_key), Some(secret_key), Some(id)) =
            (parts.next(), parts.next(), parts.next())
        else {
            bail!("expected AK:SK:PROJECT_ID[:PROJECT_NAME]")
        };
        let name = parts.next().unwrap_or_else(|| "cn-north-4".into());
        let projects = vec![Project { id, name }];
        Ok(Self {
            access_key,
            secret_key: secret_key.into(),
            security_token: None,
            projects,
        })
    }
}

/// The accounts and how each access key has fared lately.
#[derive(Debug)]
pub struct Accounts {
    accounts: Vec<Account>,
    failures: BTreeMap<String, Failures>,
    lock_for: Duration,
}

#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    locked_until: Option<Instant>,
}

/// The gateway forgives this many failures in a row.
const FORGIVEN: u32 = 5;

impl Accounts {
    /// The same access key given twice is one account with the projects of both.
    pub fn new(given: Vec<Account>, lock_for: Duration) -> Self {
        let mut accounts: Vec<Account> = Vec::new();
        for account in given {
            match accounts
                .iter_mut()
                .find(|known| known.access_key == account.access_key)
            {
                Some(known) => known.projects.extend(account.projects),
                None => accounts.push(account),
            }
        }
        Self {
            accounts,
            failures: BTreeMap::new(),
            lock_for,
        }
    }

    /// Replaces every key pair and opens every lock.
    pub fn replace(&mut self, accounts: Vec<Account>) {
        *self = Self::new(accounts, self.lock_for);
    }

    pub fn find(&self, access_key: &str) -> Option<&Account> {
        self.accounts
            .iter()
            .find(|account| account.access_key == access_key)
    }

    /// Every project once, in the order given.
    pub fn projects(&self) -> Vec<Project> {
        let mut projects: Vec<Project> = Vec::new();
        for project in self.accounts.iter().flat_map(|account| &account.projects) {
            if !projects.iter().any(|known| known.id == project.id) {
                projects.push(project.clone());
            }
        }
        projects
    }

    pub fn is_locked(&self, access_key: &str, now: Instant) -> bool {
        self.failures
            .get(access_key)
            .is_some_and(|record| record.locked_until.is_some_and(|until| now < until))
    }

    pub fn record_success(&mut self, access_key: &str) {
        self.failures.remove(access_key);
    }

    pub fn record_failure(&mut self, access_key: &str, now: Instant) {
        let record = self.failures.entry(access_key.to_owned()).or_default();
        record.in_a_row += 1;
        if record.in_a_row > FORGIVEN {
            *record = Failures {
                in_a_row: 0,
                locked_until: Some(now + self.lock_for),
            };
        }
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::new(vec!["ak:sk:p".parse().unwrap()], Duration::from_secs(300))
    }

    #[test]
    fn a_sixth_failure_in_a_row_locks_the_key_for_the_time_set() {
        let (mut accounts, now) = (accounts(), Instant::now());
        (0..5).for_each(|_| accounts.record_failure("ak", now));
        assert!(!accounts.is_locked("ak", now));
        accounts.record_failure("ak", now);
        assert!(accounts.is_locked("ak", now + Duration::from_secs(299)));
        assert!(!accounts.is_locked("ak", now + Duration::from_secs(300)));
    }

    #[test]
    fn a_success_starts_the_count_again() {
        let (mut accounts, now) = (accounts(), Instant::now());
        (0..5).for_each(|_| accounts.record_failure("ak", now));
        accounts.record_success("ak");
        (0..5).for_each(|_| accounts.record_failure("ak", now));
        assert!(!accounts.is_locked("ak", now));
    }

    #[test]
    fn one_key_pair_given_twice_opens_both_projects() {
        let accounts = Accounts::new(
            vec!["ak:sk:p".parse().unwrap(), "ak:sk:q".parse().unwrap()],
            Duration::ZERO,
        );
        assert!(accounts.find("ak").unwrap().opens("q"));
        assert_eq!(accounts.projects().len(), 2);
    }
}
