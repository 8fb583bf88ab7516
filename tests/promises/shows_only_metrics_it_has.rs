//! The dashboard and the alerts ask for no metric and no label that the controller does not show.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::exposition;
use super::support::tools::{repository, tool_with};
use super::world::{World, pool};

/// What scraping adds to each series.
const OF_THE_SCRAPE: [&str; 2] = ["job", "pod"];

/// The metrics of a controller with one source that works and one that fails.
async fn metrics(name: &str) -> String {
    let world = World::new(name).await;
    world.put_fleet(json!([pool("a", 1)])).await;
    let controller = world.controller();
    world.create_source("works", json!({})).await;
    world.until_ready("works").await;
    world.put_faults(json!([{"status": 403}])).await;
    world.poll("works").await;
    controller
        .until("/metrics", |_, text| {
            text.contains("modelarts_source_failing{")
        })
        .await
}

fn expressions() -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(repository(path)).unwrap();
    let alerts: Value = serde_saphyr::from_str(&read("deploy/chart/files/alerts.yaml")).unwrap();
    let dashboard: Value =
        serde_json::from_str(&read("deploy/chart/files/dashboard.json")).unwrap();
    let mut found = Vec::new();
    collect(&alerts, &mut found);
    collect(&dashboard, &mut found);
    found
}

/// Every text that is an expression: `expr`, and the `query` of a variable.
fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|it| collect(it, found)),
        Value::Object(map) => {
            for (key, it) in map {
                match it.as_str() {
                    Some(text) if key == "expr" || key == "query" => found.push(text.to_owned()),
                    _ => collect(it, found),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_metric_and_label_of_the_dashboard_and_the_alerts_is_shown_by_the_controller() {
    let metrics = metrics("charted").await;
    let shown = exposition::labels(&metrics);
    let labels: BTreeSet<&str> = shown
        .values()
        .flatten()
        .copied()
        .chain(OF_THE_SCRAPE)
        .collect();
    let expressions = expressions();
    assert!(expressions.len() > 30, "{expressions:?}");
    for expression in &expressions {
        let mut words = expression.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
        if let Some(missing) =
            words.find(|it| it.starts_with("modelarts_") && !shown.contains_key(it))
        {
            panic!("{missing} of {expression} is not among\n{metrics}");
        }
        let matched = expression.split('{').skip(1).flat_map(|it| {
            let matchers = it.split_once('}').unwrap().0.split(',');
            matchers.map(|it| it.trim().split(['=', '!']).next().unwrap())
        });
        let grouped = ["by (", "on ("].into_iter().flat_map(|opening| {
            let lists = expression.split(opening).skip(1);
            lists.flat_map(|it| it.split_once(')').unwrap().0.split(',').map(str::trim))
        });
        for label in matched.chain(grouped) {
            assert!(labels.contains(label), "{label} of {expression}");
        }
    }
}

#[tokio::test]
async fn the_metrics_keep_to_the_conventions_of_prometheus() {
    let metrics = metrics("linted").await;
    assert_eq!(
        tool_with("promtool", &["check", "metrics"], &metrics),
        Ok(String::new())
    );
}
