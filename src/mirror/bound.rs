//! Keeps what the cloud sends small enough for an object, deterministically, and remembers what
//! was cut. Also the list of what is never mirrored.
//!
//! Whatever the cloud sends, a status stays below 1 MiB; etcd refuses 1.5 MiB.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

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

/// Bytes of text in one status. With every bound above reached at once there would be many times
/// more; JSON may double what is left by escaping it.
const ROOM: usize = 256 << 10;

/// What was cut, by the path of the field.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    fields: BTreeSet<&'static str>,
    /// Bytes of text let through.
    text: usize,
}

impl Cuts {
    /// The fields cut, or `None` where nothing was.
    pub fn named(&self) -> Option<String> {
        let fields: Vec<&str> = self.fields.iter().copied().collect();
        (!fields.is_empty()).then(|| fields.join(", "))
    }

    /// Whether details have to go, because all of them together do not fit.
    pub fn is_crowded(&self) -> bool {
        self.text > ROOM
    }

    /// Remembers that a field was cut.
    pub fn note(&mut self, field: &'static str) {
        self.fields.insert(field);
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

    /// The list with every element mapped, sorted and cut, without those that say nothing. The
    /// cloud's order is not stable, so an order of our own keeps an unchanged pool unchanged: by
    /// `order` for people to read, then by everything else.
    pub fn list<T, U: Default + Ord, K: Ord>(
        &mut self,
        field: &'static str,
        items: &[T],
        mut each: impl FnMut(&mut Self, &T) -> U,
        order: impl Fn(&U) -> K,
    ) -> Vec<U> {
        let mut mapped: Vec<U> = items.iter().map(|item| each(self, item)).collect();
        mapped.retain(|it| *it != U::default());
        mapped.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.cmp(b)));
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
                self.note(field);
                continue;
            }
            self.text += key.len();
            let value = self.text_of(field, Some(value), TEXT).unwrap_or_default();
            kept.insert(key.clone(), value);
        }
        kept
    }

    fn keep<U>(&mut self, field: &'static str, list: &mut Vec<U>, most: usize) {
        if list.len() > most {
            list.truncate(most);
            self.note(field);
        }
    }

    /// Empty text says no more than none, so it takes no room.
    fn text_of(&mut self, field: &'static str, text: Option<&str>, most: usize) -> Option<String> {
        let text = text.filter(|text| !text.is_empty())?;
        if text.len() > most {
            self.note(field);
        }
        let mut end = most.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.text += end;
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
        || holds_private(value)
}

/// Whether text is JSON with such an entry anywhere in it: nested values arrive as JSON text.
fn holds_private(text: &str) -> bool {
    fn any(value: &Value) -> bool {
        match value {
            Value::Array(elements) => elements.iter().any(any),
            Value::Object(fields) => fields.iter().any(|(key, value)| {
                // Tags are written [{"key": …, "value": …}].
                let private = key != "key" && is_private(key, value.as_str().unwrap_or_default());
                private || any(value)
            }),
            _ => false,
        }
    }
    text.trim_start().starts_with(['{', '['])
        && serde_json::from_str(text).is_ok_and(|value: Value| any(&value))
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
