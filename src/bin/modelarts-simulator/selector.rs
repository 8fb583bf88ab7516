//! The label selectors that pool lists are known to take: `k=v`, `k==v`, `k!=v` and a bare key,
//! joined by commas. It never guesses at the rest of the grammar; what it does not know is an
//! error.

use serde_json::{Map, Value};

/// Conditions that must all hold.
#[derive(Debug, PartialEq)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, PartialEq)]
enum Requirement {
    Equal(String, String),
    NotEqual(String, String),
    Present(String),
}

impl Selector {
    /// Parses a selector, or names the part that is not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        text.split(',')
            .map(|term| requirement(term.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let label = |key: &str| labels.and_then(|labels| labels.get(key));
        self.0.iter().all(|requirement| match requirement {
            Requirement::Equal(key, value) => label(key).is_some_and(|label| label == value),
            // As in Kubernetes, an absent label differs from every value.
            Requirement::NotEqual(key, value) => label(key).is_none_or(|label| label != value),
            Requirement::Present(key) => label(key).is_some(),
        })
    }
}

fn requirement(term: &str) -> Result<Requirement, String> {
    let (key, value, build): (_, _, fn(String, String) -> Requirement) =
        if let Some((key, value)) = term.split_once("!=") {
            (key, value, Requirement::NotEqual)
        } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            (key, value, Requirement::Equal)
        } else {
            (term, "", |key, _| Requirement::Present(key))
        };
    let (key, value) = (key.trim(), value.trim());
    let is_word = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
    };
    if key.is_empty() || !is_word(key) || !is_word(value) {
        return Err(format!("unable to parse label selector at {term:?}"));
    }
    Ok(build(key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: &str) -> bool {
        let labels = json!({"os.modelarts/name": "pool-a", "tier": "x"});
        Selector::parse(selector)
            .unwrap()
            .matches(labels.as_object())
    }

    #[test]
    fn equality_takes_one_sign_or_two() {
        assert!(selects("os.modelarts/name=pool-a"));
        assert!(selects("os.modelarts/name==pool-a"));
        assert!(!selects("os.modelarts/name=pool-b"));
    }

    #[test]
    fn an_absent_label_differs_from_every_value() {
        assert!(selects("missing!=x"));
        assert!(selects("tier!=y"));
        assert!(!selects("tier!=x"));
    }

    #[test]
    fn a_bare_key_asks_for_presence() {
        assert!(selects("tier"));
        assert!(!selects("missing"));
    }

    #[test]
    fn a_comma_means_and() {
        assert!(selects("tier=x, os.modelarts/name"));
        assert!(!selects("tier=x,missing"));
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        assert!(selects(""));
    }

    #[test]
    fn grammar_that_nobody_has_seen_work_is_refused() {
        for selector in ["tier in (x,y)", "!tier", "tier=x,", "=x", "tier>1"] {
            assert!(Selector::parse(selector).is_err(), "{selector}");
        }
    }
}
