//! Asks kstatus, Flux and kube-state-metrics by their own code what they make of objects.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::cluster::repository;

/// The program's answer to a question about objects.
pub fn verdict(question: &[&str], objects: &[Value]) -> Vec<String> {
    let mut program = Command::new(repository("target/tools/verdict"))
        .args(question)
        .current_dir(repository(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start verdict; `make tools` builds it");
    let mut stdin = program.stdin.take().unwrap();
    stdin
        .write_all(&serde_json::to_vec(objects).unwrap())
        .unwrap();
    drop(stdin);
    let output = program.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{question:?}: {complaint}");
    serde_json::from_slice(&output.stdout).unwrap()
}
