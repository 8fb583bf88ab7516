//! Every reason that a condition or an event can have is explained, and no other.

use std::collections::BTreeSet;
use std::path::Path;

use super::support::markdown::page;

/// Where reasons come from.
const PLACES: [&str; 3] = ["src/controller", "src/mirror", "src/modelarts/error.rs"];

/// Words there that are no reasons: types and statuses of conditions, and words of the cloud or for
/// metrics.
const OTHERS: [&str; 32] = [
    "BillingChangeRestricted",
    "CapacityHealthy",
    "False",
    "FetchFailed",
    "FrozenByPolice",
    "Hour",
    "Infer",
    "InferReady",
    "Logical",
    "Mirror",
    "Month",
    "Notebook",
    "NotebookReady",
    "Other",
    "PartiallyDecoded",
    "PayPerUse",
    "PruneBlocked",
    "Ready",
    "Reconciling",
    "ServiceLimited",
    "SourceSeries",
    "SpecChangeRestricted",
    "Stalled",
    "Subscription",
    "Train",
    "TrainReady",
    "True",
    "Truncated",
    "Unknown",
    "Upgrading",
    "WriteFailed",
    "Year",
];

/// The code in a place, without its tests.
fn code(path: &Path) -> String {
    if path.ends_with("tests") || path.ends_with("tests.rs") {
        return String::new();
    }
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.map(|it| code(&it.unwrap().path())).collect();
    }
    let text = std::fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// The CamelCase words among the string literals.
fn literals() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code: String = PLACES.iter().map(|place| code(&root.join(place))).collect();
    let lines = code.lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    let literals = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    let is_camel = |word: &&str| {
        word.len() > 1
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_alphabetic())
    };
    literals.filter(is_camel).map(str::to_owned).collect()
}

/// The reasons that have a section, or a row of the table of events.
fn explained() -> BTreeSet<String> {
    let text = page("docs/troubleshooting.md").prose();
    let sections = text.lines().filter_map(|line| line.strip_prefix("### "));
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| event "));
    let events = rows.filter_map(|row| row.split('`').nth(1));
    let sections = sections.flat_map(|heading| heading.split(", "));
    sections.chain(events).map(str::to_owned).collect()
}

#[test]
fn every_reason_of_a_condition_or_an_event_is_explained() {
    let others: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    let reasons: BTreeSet<String> = literals().difference(&others).cloned().collect();
    let missing: Vec<_> = reasons.difference(&explained()).cloned().collect();
    assert!(
        missing.is_empty(),
        "docs/troubleshooting.md lacks {missing:?}"
    );
}

#[test]
fn nothing_is_explained_that_does_not_exist() {
    let unknown: Vec<_> = explained().difference(&literals()).cloned().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn no_word_is_kept_out_that_does_not_exist() {
    let others: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    let unknown: Vec<_> = others.difference(&literals()).cloned().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
