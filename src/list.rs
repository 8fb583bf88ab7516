//! `list`: polls once and prints what would be mirrored. Needs and touches no cluster.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use k8s_openapi::jiff::Timestamp;
use kube::CustomResourceExt as _;
use serde_json::{Value, json};
use tracing::warn;

use crate::api::{ModelArtsPool, ModelArtsPoolSpec, SourceRef};
use crate::args::{List, Output};
use crate::mirror::{object_names, project};
use crate::modelarts::{PollError, Snapshot, Target};

/// Some items of the list could not be read.
const PARTIAL: u8 = 3;
/// A person must act.
const REFUSED: u8 = 4;
/// Trying again may help.
const INCOMPLETE: u8 = 5;

/// Polls once and prints.
///
/// # Errors
/// Where the output cannot be written. A failed poll is an exit status with its reason on stderr.
pub async fn list(config: List) -> anyhow::Result<ExitCode> {
    let snapshot = match poll(&config).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            let code = if error.class.needs_a_person() {
                REFUSED
            } else {
                INCOMPLETE
            };
            let reason = error.class.reason();
            let message = error.message();
            eprintln!("{reason}: {message}\n{:#}", anyhow::Error::from(error));
            return Ok(ExitCode::from(code));
        }
    };
    let pools = mirrors(&snapshot);
    let mut out = std::io::stdout().lock();
    let text = match config.output {
        Output::Table => table(&pools, 0)?,
        Output::Wide => table(&pools, 1)?,
        Output::Json => serde_json::to_string_pretty(&objects(&pools))?,
        Output::Yaml => serde_saphyr::to_string(&objects(&pools))?,
    };
    writeln!(out, "{}", text.trim_end()).context("print")?;
    if snapshot.set_aside().is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for item in snapshot.set_aside() {
        warn!(pool = item.name.as_deref().unwrap_or("?"), why = %item.why, "set aside");
    }
    Ok(ExitCode::from(PARTIAL))
}

async fn poll(config: &List) -> Result<Snapshot, PollError> {
    let client = &config.cloud;
    let (region, now) = (&config.region, Timestamp::now());
    let credentials = &config.ambient.credentials(region, now).await?;
    let project_id = match &config.project_id {
        Some(id) => id.clone(),
        None => {
            let name = &config.project_name;
            let found = client.project_id(&config.region, name, config.timeout, credentials);
            found.await?
        }
    };
    let target = Target {
        region: config.region.clone(),
        project_id,
        query: config.query.clone(),
        timeout: config.timeout,
    };
    client.poll(&target, credentials).await
}

/// The mirrors as objects, without what only a cluster can give them.
fn mirrors(snapshot: &Snapshot) -> Vec<ModelArtsPool> {
    let names = object_names(snapshot.pools().keys().map(String::as_str));
    let mirror = |(pool_name, name): (&str, String)| {
        let spec = ModelArtsPoolSpec {
            source: SourceRef {
                name: "dry-run".to_owned(),
            },
            pool_name: pool_name.to_owned(),
        };
        let mut mirror = ModelArtsPool::new(&name, spec);
        mirror.status = Some(project(&snapshot.pools()[pool_name], &[], Timestamp::now()));
        mirror
    };
    let by_name: BTreeMap<String, ModelArtsPool> = names
        .into_iter()
        .map(mirror)
        .map(|it| (it.metadata.name.clone().unwrap_or_default(), it))
        .collect();
    by_name.into_values().collect()
}

fn objects(pools: &[ModelArtsPool]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": pools})
}

/// The printed columns of the CRD, those of `-o wide` with priority 1.
fn table(pools: &[ModelArtsPool], priority: i32) -> anyhow::Result<String> {
    let crd = ModelArtsPool::crd();
    let versions = crd.spec.versions.iter();
    let columns: Vec<_> = versions
        .flat_map(|version| version.additional_printer_columns.iter().flatten())
        .filter(|column| column.priority.unwrap_or_default() <= priority)
        .collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let header = columns.iter().map(|column| column.name.to_uppercase());
    table.set_header(std::iter::once("NAME".to_owned()).chain(header));
    for pool in pools {
        let object = serde_json::to_value(pool).context("show pool")?;
        let cells = columns.iter().map(|column| match column.type_.as_str() {
            // An object that is in no cluster has no age.
            "date" => "<unknown>".to_owned(),
            _ => cell(&object, &column.json_path),
        });
        let name = pool.metadata.name.clone().unwrap_or_default();
        table.add_row(std::iter::once(name).chain(cells));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// The value at a column's path. The CRD uses only plain steps and one kind of filter,
/// `[?(@.type=='X')]`.
fn cell(object: &Value, path: &str) -> String {
    let mut value = object;
    for step in path.trim_start_matches('.').split('.') {
        // A dot inside a filter splits it into `conditions[?(@` and `type=='Ready')]`.
        if let Some((list, _)) = step.split_once("[?(@") {
            value = &value[list];
        } else if let Some(wanted) = step.strip_prefix("type=='") {
            let wanted = wanted.trim_end_matches("')]");
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            let found = items.iter().find(|item| item["type"] == wanted);
            value = found.unwrap_or(&Value::Null);
        } else {
            value = &value[step];
        }
    }
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace(['\n', '\t'], " "),
        other => other.to_string(),
    }
}
