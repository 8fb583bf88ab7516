//! Asks kstatus, Flux and kube-state-metrics by their own code what they make of objects.

use serde_json::Value;

use super::support::tools::tool_with;

/// The program's answer to a question about objects.
pub fn verdict(question: &[&str], objects: &[Value]) -> Vec<String> {
    let objects = serde_json::to_string(objects).unwrap();
    let answer = tool_with("verdict", question, &objects);
    serde_json::from_str(&answer.unwrap()).unwrap()
}
