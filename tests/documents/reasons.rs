//! Every reason that a condition can have is explained, and no other.

use std::collections::BTreeSet;

use super::support::markdown::page;

/// Where conditions get their reasons.
const SOURCES: [&str; 5] = [
    include_str!("../../src/controller/report.rs"),
    include_str!("../../src/mirror/health.rs"),
    include_str!("../../src/mirror/plan.rs"),
    include_str!("../../src/mirror/project.rs"),
    include_str!("../../src/modelarts/error.rs"),
];

/// Words in these files that are no reasons: types and statuses of conditions, reasons of events,
/// and the cloud's words that are only read.
const OTHERS: [&str; 30] = [
    "Ready",
    "Reconciling",
    "FetchFailed",
    "PruneBlocked",
    "PartiallyDecoded",
    "Stalled",
    "Truncated",
    "CapacityHealthy",
    "TrainReady",
    "InferReady",
    "NotebookReady",
    "True",
    "False",
    "Unknown",
    "Recovered",
    "BillingChangeRestricted",
    "SpecChangeRestricted",
    "ServiceLimited",
    "FrozenByPolice",
    "Train",
    "Infer",
    "Notebook",
    "Logical",
    "Upgrading",
    "Dedicate",
    "PayPerUse",
    "Subscription",
    "Hour",
    "Month",
    "Year",
];

/// The CamelCase words among the string literals.
fn literals() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for source in SOURCES {
        let code = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            words.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let capital = |word: &String| word.starts_with(|c: char| c.is_ascii_uppercase());
    words.retain(|word| capital(word) && word.len() > 1);
    words.retain(|word| word.chars().all(|c| c.is_ascii_alphabetic()));
    words
}

/// The sections of the page that are about a reason.
fn explained() -> BTreeSet<String> {
    let text = page("docs/troubleshooting.md").prose();
    let headings = text.lines().filter_map(|line| line.strip_prefix("### "));
    headings
        .flat_map(|heading| heading.split(", ").map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_reason_of_a_condition_has_a_section() {
    let others: BTreeSet<String> = OTHERS.map(str::to_owned).into();
    let reasons: BTreeSet<String> = literals().difference(&others).cloned().collect();
    let missing: Vec<_> = reasons.difference(&explained()).cloned().collect();
    assert!(
        missing.is_empty(),
        "docs/troubleshooting.md lacks {missing:?}"
    );
    assert!(reasons.contains("Succeeded") && reasons.contains("NodesMissing"));
}

#[test]
fn no_section_explains_a_reason_that_does_not_exist() {
    let unknown: Vec<_> = explained().difference(&literals()).cloned().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
