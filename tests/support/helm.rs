//! Runs the real helm, which `make tools` builds, on the shipped chart.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A path in this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The chart's directory.
pub fn chart() -> String {
    repository("deploy/chart").to_str().unwrap().to_owned()
}

/// Runs one of the tools of `make tools` and returns what it prints; an error is what it says.
pub fn tool(name: &str, args: &[&str]) -> Result<String, String> {
    tool_at_home(Path::new(env!("CARGO_TARGET_TMPDIR")), name, args)
}

/// The same with a home directory, in which a tool that talks to a cluster keeps what it learns.
pub fn tool_at_home(home: &Path, name: &str, args: &[&str]) -> Result<String, String> {
    let path = repository("target/tools").join(name);
    let output = Command::new(&path)
        .args(args)
        .env("HOME", home)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run make tools", path.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    }
}

/// What `helm template` makes of a release in its contractual namespace.
pub fn template(release: &str, args: &[&str]) -> Result<String, String> {
    let chart = chart();
    let release = ["template", release, &chart, "-n", "modelarts-system"];
    tool("helm", &[&release, args].concat())
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
