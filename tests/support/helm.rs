//! The shipped chart, as helm renders it.

use std::path::PathBuf;

use serde_json::Value;

use super::tools::{repository, tool, tool_with};

/// The chart's directory.
pub fn chart() -> String {
    repository("deploy/chart").to_str().unwrap().to_owned()
}

/// What `helm template` makes of a release in its contractual namespace.
pub fn template(release: &str, args: &[&str]) -> Result<String, String> {
    let chart = chart();
    let release = ["template", release, &chart, "-n", "modelarts-system"];
    tool("helm", &[&release, args].concat())
}

/// The same of a release with its contractual name and values that are given as text.
pub fn template_with(values: &str) -> Result<String, String> {
    let chart = chart();
    let release = ["template", "modelarts-pool-controller", &chart];
    let args = [&release[..], &["-n", "modelarts-system", "--values", "-"]];
    tool_with("helm", &args.concat(), values)
}

/// The objects of a release with its contractual name.
pub fn objects(args: &[&str]) -> Vec<Value> {
    documents(&template("modelarts-pool-controller", args).unwrap())
}

/// The documents of a YAML text.
pub fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    documents.into_iter().filter(|it| !it.is_null()).collect()
}

/// The only object of a kind.
pub fn only(objects: &[Value], kind: &str) -> Value {
    let found: Vec<_> = objects.iter().filter(|it| it["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0].clone()
}

/// The files of `deploy/chart/examples`.
pub fn examples() -> Vec<PathBuf> {
    let files = std::fs::read_dir(repository("deploy/chart/examples")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|it| it.unwrap().path()).collect();
    files.sort();
    files
}

/// The flags for the defaults and for each example, by name.
pub fn variants() -> Vec<(String, Vec<String>)> {
    let mut variants = vec![("defaults".to_owned(), Vec::new())];
    for file in examples() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let path = file.to_str().unwrap().to_owned();
        variants.push((name, vec!["--values".to_owned(), path]));
    }
    variants
}
