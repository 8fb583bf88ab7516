//! What the pages name exists: flags, variables, metrics, paths, make targets and programs.

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory as _;
use modelarts_pool_controller::args::Cli;

use super::support::markdown::{Page, page, pages};

/// Where the controller's own identity looks variables up.
const AMBIENT: [&str; 4] = [
    include_str!("../../src/modelarts/ambient/environment.rs"),
    include_str!("../../src/modelarts/ambient/oidc.rs"),
    include_str!("../../src/modelarts/ambient/pod_identity.rs"),
    include_str!("../../src/modelarts/ambient/profile.rs"),
];

/// Variables that a library or a script reads, and not this program by their name.
const ELSEWHERE: [&str; 6] = [
    "HTTPS_PROXY",
    "NO_PROXY",
    "KUBECONFIG",
    "WRITE_GENERATED",
    "CARGO_TARGET_DIR",
    "HUAWEICLOUD_SDK_IAM_ENDPOINT",
];

/// Programs whose commands the pages show.
const PROGRAMS: [&str; 9] = [
    "cargo",
    "curl",
    "export",
    "helm",
    "kubectl",
    "make",
    "modelarts-pool-controller",
    "promtool",
    "skopeo",
];

/// Long flags and variables of the program, all its commands together.
fn own() -> (BTreeSet<String>, BTreeSet<String>) {
    let cli = Cli::command();
    let commands = std::iter::once(&cli).chain(cli.get_subcommands());
    let (mut flags, mut variables) = (BTreeSet::new(), BTreeSet::new());
    flags.extend(["--help".to_owned(), "--version".to_owned()]);
    for argument in commands.flat_map(clap::Command::get_arguments) {
        flags.extend(argument.get_long().map(|long| format!("--{long}")));
        let variable = argument.get_env();
        variables.extend(variable.map(|name| name.to_str().unwrap().to_owned()));
    }
    variables.extend(ambient());
    (flags, variables)
}

fn ambient() -> BTreeSet<String> {
    let quoted = AMBIENT
        .iter()
        .flat_map(|text| text.split('"').skip(1).step_by(2));
    quoted
        .filter(|it| is_variable(it))
        .map(str::to_owned)
        .collect()
}

fn is_variable(word: &str) -> bool {
    word.contains('_')
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn is_flag(word: &str) -> bool {
    word.strip_prefix("--")
        .is_some_and(|it| it.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// The name in `--flag=value` and in `--flag`.
fn flag(word: &str) -> &str {
    word.split_once('=').map_or(word, |it| it.0)
}

/// The words of the blocks in this language.
fn words_of(page: &Page, language: &str) -> Vec<String> {
    let blocks = page.blocks().into_iter();
    let blocks = blocks.filter(|it| it.info.split(' ').next() == Some(language));
    let text: String = blocks.map(|it| it.text).collect();
    let separators = |c: char| c.is_whitespace() || "[]{}\"',".contains(c);
    let words = text.split(separators).filter(|it| !it.is_empty());
    words.map(str::to_owned).collect()
}

#[test]
fn every_flag_of_this_program_that_a_page_names_exists() {
    let (flags, _) = own();
    let mut unknown = Vec::new();
    for page in pages() {
        // A flag that stands alone in prose or in YAML is ours; others stand behind their program,
        // except on the pages about other programs.
        let about_others = page.path.starts_with("deploy/");
        let alone = page.spans().into_iter();
        let alone = alone.filter(|it| it.starts_with("--") && !about_others);
        let mut named: Vec<String> = alone
            .flat_map(|it| it.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .chain(words_of(&page, "yaml"))
            .collect();
        for command in page.commands() {
            let words: Vec<&str> = command.split_whitespace().collect();
            let program = words
                .iter()
                .position(|it| it.ends_with("modelarts-pool-controller"));
            if program.is_some_and(|at| words[..at].iter().all(|it| it.contains('='))) {
                named.extend(words.iter().map(|it| (*it).to_owned()));
            }
        }
        let named = named.into_iter().filter(|it| is_flag(it));
        unknown.extend(
            named
                .filter(|it| !flags.contains(flag(it)))
                .map(|it| format!("{}: {it}", page.path)),
        );
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_variable_that_a_page_names_is_read() {
    let (_, variables) = own();
    let mut unknown = Vec::new();
    for page in pages() {
        let spans = page.spans();
        let spans = spans.iter().flat_map(|it| it.split([' ', '=']));
        let named = spans.map(str::to_owned).chain(words_of(&page, "yaml"));
        let named = named.filter(|it| is_variable(it));
        let known = |it: &String| variables.contains(it) || ELSEWHERE.contains(&it.as_str());
        unknown.extend(
            named
                .filter(|it| !known(it))
                .map(|it| format!("{}: {it}", page.path)),
        );
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_flag_and_variable_of_this_program_is_on_a_page() {
    let text: String = pages().iter().map(|it| it.text.clone()).collect();
    let cli = Cli::command();
    // Those of `list` and `crd` are in their --help, and a hidden one is for tests.
    let mut names = Vec::new();
    for argument in cli.get_arguments().filter(|it| !it.is_hide_set()) {
        names.extend(argument.get_long().map(|long| format!("`--{long}`")));
        let variable = argument.get_env();
        names.extend(variable.map(|name| format!("`{}`", name.to_str().unwrap())));
    }
    names.extend(ambient().into_iter().map(|name| format!("`{name}`")));
    let missing: Vec<&String> = names
        .iter()
        .filter(|it| !text.contains(it.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_metric_that_a_page_names_is_one_of_the_controllers() {
    let reference: BTreeSet<String> = page("docs/metrics.md").spans().into_iter().collect();
    let mut unknown = Vec::new();
    for page in pages() {
        let separators = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let words = page.text.split(separators);
        for word in
            words.filter(|it| it.starts_with("modelarts_") && *it != "modelarts_pool_controller")
        {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| word.strip_suffix(end));
            let known = [Some(word), base].into_iter().flatten();
            if !known.into_iter().any(|it| reference.contains(it)) {
                unknown.push(format!("{}: {word}", page.path));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_path_of_this_repository_that_a_page_names_exists() {
    const PLACES: [&str; 6] = ["src/", "tests/", "deploy/", "docs/", "crds/", ".ci/"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for page in pages() {
        let commands = page.commands();
        let words = commands
            .iter()
            .flat_map(|it| it.split(' ').map(str::to_owned));
        for word in page.spans().into_iter().chain(words) {
            let path = word.trim_start_matches("./").trim_end_matches('/');
            let ours = PLACES
                .iter()
                .any(|place| word.trim_start_matches("./").starts_with(place));
            if ours && !path.contains(['*', '{', '<']) && !root.join(path).exists() {
                missing.push(format!("{}: {path}", page.path));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_command_is_of_a_program_that_the_pages_may_use_and_every_make_target_exists() {
    let makefile = include_str!("../../Makefile");
    let target = |name: &str| {
        makefile
            .lines()
            .any(|it| it.starts_with(&format!("{name}:")))
    };
    let mut wrong = Vec::new();
    for page in pages() {
        let commands = page.commands();
        for command in &commands {
            let words = command.split(' ').skip_while(|it| it.contains('='));
            let program = words.clone().next().unwrap_or_default();
            let is_known = PROGRAMS.contains(&program);
            let names = words.skip(1).filter(|it| !it.contains('='));
            let mut targets = names.filter(|_| program == "make");
            if !is_known || targets.any(|it| !target(it)) {
                wrong.push(format!("{}: {command}", page.path));
            }
        }
        for span in page.spans() {
            let name = span
                .strip_prefix("make ")
                .and_then(|it| it.split(' ').next());
            if name.is_some_and(|it| !target(it)) {
                wrong.push(format!("{}: {span}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_test_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for dir in ["src", "tests"] {
        read_all(&root.join(dir), &mut code);
    }
    let mut missing = Vec::new();
    for page in pages() {
        let is_sentence = |it: &String| {
            let lower = |c: char| c.is_ascii_lowercase() || c == '_';
            it.chars().all(lower) && it.matches('_').count() > 3
        };
        for name in page.spans().into_iter().filter(is_sentence) {
            let is_metric = name.starts_with("modelarts_");
            if !is_metric && !code.contains(&format!("fn {name}(")) {
                missing.push(format!("{}: {name}", page.path));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

fn read_all(dir: &Path, code: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, code);
        } else if path.extension().is_some_and(|it| it == "rs") {
            code.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
