//! The log is text for a person at a terminal, and JSON for whatever collects it elsewhere.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A kubeconfig of a cluster that nobody runs.
pub const NOBODY: &str = r#"
apiVersion: v1
kind: Config
clusters: [{name: nobody, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: nobody, context: {cluster: nobody}}]
current-context: nobody
"#;

/// A program that is killed with the value.
struct Running(Child, PathBuf);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_file(&self.1);
    }
}

/// The first line that the controller logs when it is run by this command, `{}` being itself.
fn first_line(name: &str, command: &str, variables: &[(&str, &str)]) -> String {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let kubeconfig = dir.join(format!("{name}-{}.kubeconfig", std::process::id()));
    std::fs::write(&kubeconfig, NOBODY).unwrap();
    let program = env!("CARGO_BIN_EXE_modelarts-pool-controller");
    let process = Command::new("sh")
        .args(["-c", &command.replace("{}", program)])
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("ADMIN_ADDRESS", "127.0.0.1:0")
        .env("KUBECONFIG", &kubeconfig)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(process, kubeconfig);
    let mut line = String::new();
    let stdout = running.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    line
}

fn is_json(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|it| it["level"] == "INFO")
}

#[test]
fn without_a_terminal_the_log_is_json() {
    let line = first_line("piped", "exec {} 2>&1", &[]);
    assert!(is_json(&line), "{line}");
}

#[test]
fn on_a_terminal_the_log_is_text_but_in_a_cluster_it_is_json() {
    // It runs its command on a terminal, which it copies to its own output.
    let terminal = "exec script -qefc {} /dev/null";
    let line = first_line("typed", terminal, &[]);
    assert!(line.contains("starting") && !is_json(&line), "{line}");
    let in_cluster = [("KUBERNETES_SERVICE_HOST", "127.0.0.1")];
    let line = first_line("in-cluster", terminal, &in_cluster);
    assert!(is_json(&line), "{line}");
}

#[test]
fn whoever_asks_for_a_format_gets_it() {
    let line = first_line("asked", "exec {} --log-format text 2>&1", &[]);
    assert!(line.contains("starting") && !is_json(&line), "{line}");
}
