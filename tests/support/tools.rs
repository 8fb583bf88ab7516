//! Runs the programs that `make tools` builds.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A path in this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a program in the repository and returns what it prints; an error is what it says.
pub fn tool(name: &str, args: &[&str]) -> Result<String, String> {
    tool_with(name, args, "")
}

/// The same with an input.
pub fn tool_with(name: &str, args: &[&str], input: &str) -> Result<String, String> {
    run(Path::new(env!("CARGO_TARGET_TMPDIR")), name, args, input)
}

/// The same with a home directory, in which a tool that talks to a cluster keeps what it learns.
pub fn tool_at_home(home: &Path, name: &str, args: &[&str]) -> Result<String, String> {
    run(home, name, args, "")
}

fn run(home: &Path, name: &str, args: &[&str], input: &str) -> Result<String, String> {
    let path = repository("target/tools").join(name);
    let mut process = Command::new(&path)
        .args(args)
        .env("HOME", home)
        .current_dir(repository(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run make tools", path.display()));
    let mut stdin = process.stdin.take().unwrap();
    // A program that does not want all of it says so by how it ends.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = process.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    }
}
