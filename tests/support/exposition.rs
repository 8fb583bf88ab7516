//! The text of `/metrics`, read as far as tests need.

use std::collections::BTreeMap;

/// The names of the labels of each series, in order; the parts of a histogram have their own names.
pub fn labels(metrics: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (series, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let labels = rest.strip_prefix('{').and_then(|it| it.split_once('}'));
        let labels = labels.map_or("", |it| it.0).split(',');
        let known = found.entry(series).or_default();
        for label in labels.filter_map(|it| Some(it.split_once('=')?.0)) {
            if !known.contains(&label) {
                known.push(label);
            }
        }
    }
    found
}
