//! The table of values in the chart's README is the defaults.

use std::collections::BTreeMap;

use serde_json::Value;

use super::support::tools::repository;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// Every value that is not an object with keys of its own, by its path.
fn leaves(value: &Value, at: &str, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let key = if at.is_empty() {
                    key.clone()
                } else {
                    format!("{at}.{key}")
                };
                leaves(value, &key, into);
            }
        }
        _ => {
            into.insert(at.to_owned(), value.to_string());
        }
    }
}

/// Objects that Kubernetes describes: the table has one row for each.
const WHOLE: [&str; 6] = [
    "resources",
    "podSecurityContext",
    "securityContext",
    "nodeSelector",
    "topologySpreadConstraints",
    "monitoring.dashboard.labels",
];

#[test]
fn the_readmes_table_has_every_value_with_its_default() {
    let values: Value = serde_saphyr::from_str(&read("deploy/chart/values.yaml")).unwrap();
    let mut expected = BTreeMap::new();
    leaves(&values, "", &mut expected);
    expected.retain(|key, _| {
        !WHOLE
            .iter()
            .any(|it| key == it || key.starts_with(&format!("{it}.")))
    });

    let readme = read("deploy/chart/README.md");
    let (_, table) = readme.split_once("## Values").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut listed: BTreeMap<String, String> = rows
        .map(|row| {
            let mut cells = row.split(" | ");
            let key = cells.next().unwrap().trim_end_matches('`');
            let default = cells.next().unwrap().trim_matches('`');
            (key.to_owned(), default.to_owned())
        })
        .collect();
    for key in WHOLE {
        assert!(listed.remove(key).is_some(), "{key}");
    }
    assert_eq!(listed, expected);
}
