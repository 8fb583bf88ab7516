//! Keeps what the cloud sends small enough for an object, deterministically, and remembers what
//! was cut. Also the list of what is never mirrored.
//!
//! With every bound reached at once a status stays below 1 MiB; etcd refuses 1.5 MiB.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a name, a word or a version.
const WORD: usize = 128;
/// Bytes of a pool's, parent's or map key's name: the longest name Kubernetes has.
const NAME: usize = 253;
/// Bytes of free text and of a map's value.
const TEXT: usize = 1024;
/// Entries of a list or a map.
const ENTRIES: usize = 64;
/// Availability zones of one counter.
const ZONES: usize = 8;

/// What was cut, by the path of the field.
#[derive(Debug, Default)]
pub(super) struct Cuts(BTreeSet<&'static str>);

impl Cuts {
    /// The fields cut, or `None` where nothing was.
    pub fn named(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.iter().copied().collect::<Vec<_>>().join(", "))
    }

    pub fn word(&mut self, field: &'static str, text: &Option<String>) -> Option<String> {
        self.text_of(field, text.as_deref(), WORD)
    }

    pub fn name(&mut self, field: &'static str, text: &Option<String>) -> Option<String> {
        self.text_of(field, text.as_deref(), NAME)
    }

    pub fn free_text(&mut self, field: &'static str, text: &Option<String>) -> Option<String> {
        self.text_of(field, text.as_deref(), TEXT)
    }

    /// The list with every element mapped, sorted and cut. The cloud's order is not stable, so an
    /// order of our own keeps an unchanged pool unchanged.
    pub fn list<T, U, K: Ord>(
        &mut self,
        field: &'static str,
        items: &[T],
        mut each: impl FnMut(&mut Self, &T) -> U,
        order: impl Fn(&U) -> K,
    ) -> Vec<U> {
        let mut mapped: Vec<U> = items.iter().map(|item| each(self, item)).collect();
        mapped.sort_by_key(order);
        self.keep(field, &mut mapped, ENTRIES);
        mapped
    }

    /// As [`Self::list`], for the availability zones of a counter.
    pub fn zones<U>(&mut self, field: &'static str, mut zones: Vec<U>) -> Vec<U> {
        self.keep(field, &mut zones, ZONES);
        zones
    }

    /// An open map without the entries that are never mirrored.
    pub fn map(
        &mut self,
        field: &'static str,
        map: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut kept = BTreeMap::new();
        for (key, value) in map.iter().filter(|(key, value)| !is_private(key, value)) {
            if kept.len() == ENTRIES || key.len() > NAME {
                self.0.insert(field);
                continue;
            }
            let value = self.text_of(field, Some(value), TEXT).unwrap_or_default();
            kept.insert(key.clone(), value);
        }
        kept
    }

    fn keep<U>(&mut self, field: &'static str, list: &mut Vec<U>, most: usize) {
        if list.len() > most {
            list.truncate(most);
            self.0.insert(field);
        }
    }

    /// Empty text says no more than none, so it takes no room.
    fn text_of(&mut self, field: &'static str, text: Option<&str>, most: usize) -> Option<String> {
        let text = text.filter(|text| !text.is_empty())?;
        if text.len() > most {
            self.0.insert(field);
        }
        let mut end = most.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Some(text[..end].to_owned())
    }
}

/// Whether a map's entry stays out of every object: start-up scripts, personal data, and whatever
/// looks like a credential by its key or by its value.
fn is_private(key: &str, value: &str) -> bool {
    const NEVER: [&str; 3] = ["postinstall", "userlogin", "tenantdomainname"];
    const CREDENTIAL: [&str; 11] = [
        "password",
        "passwd",
        "pwd",
        "secret",
        "token",
        "credential",
        "privatekey",
        "accesskey",
        "apikey",
        "keypair",
        "authorization",
    ];
    let plain: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let last = key.rsplit(['/', '.']).next().unwrap_or_default();
    NEVER.iter().any(|never| plain.ends_with(never))
        || CREDENTIAL.iter().any(|sign| plain.contains(sign))
        || ["ak", "sk"]
            .iter()
            .any(|short| last.eq_ignore_ascii_case(short))
        || last.to_ascii_lowercase().ends_with("key")
        || value.contains("PRIVATE KEY-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_personal_data_and_credentials_are_private() {
        for key in [
            "postInstall",
            "userLogin",
            "os.modelarts/tenant.domain.name",
            "adminPassword",
            "access_key",
            "x/SK",
            "sshKey",
            "os.modelarts/security-token",
        ] {
            assert!(is_private(key, "v"), "{key}");
        }
        for key in [
            "os.modelarts/name",
            "os.modelarts/tenant.domain.id",
            "dockerBaseSize",
            "os.modelarts.pool/biz",
            "os.modelarts/tms.tags",
        ] {
            assert!(!is_private(key, "v"), "{key}");
        }
        assert!(is_private("note", "-----BEGIN RSA PRIVATE KEY-----\nx"));
    }

    #[test]
    fn text_is_cut_at_a_character_and_the_cut_is_named() {
        let mut cuts = Cuts::default();
        let cut = cuts.word("phase", &Some("é".repeat(WORD))).unwrap();
        assert!(cut.len() <= WORD && cut.chars().all(|c| c == 'é'));
        assert_eq!(cuts.named().as_deref(), Some("phase"));
    }
}
