//! Parses, runs, and turns the outcome into an exit status.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use modelarts_pool_controller::args::{Cli, Task};
use modelarts_pool_controller::{api, list, run, telemetry};

fn main() -> ExitCode {
    match start(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    let (level, format) = cli.log();
    telemetry::start(level, format)?;
    let runtime = tokio::runtime::Runtime::new().context("start the async runtime")?;
    let ended = match cli.task()? {
        Task::Run(config) => runtime
            .block_on(run::run(config))
            .map(|()| ExitCode::SUCCESS),
        Task::List(config) => runtime.block_on(list::list(config)),
        Task::Crd(dir) => print_crds(dir.as_deref()).map(|()| ExitCode::SUCCESS),
    };
    // Dropping it would wait for a name server that does not answer.
    runtime.shutdown_background();
    ended
}

fn print_crds(dir: Option<&Path>) -> anyhow::Result<()> {
    for (file, crd) in api::crds() {
        let yaml = serde_saphyr::to_string(&crd).context("write CRD as YAML")?;
        match dir {
            Some(dir) => {
                let path = dir.join(file);
                std::fs::write(&path, yaml).with_context(|| format!("write {}", path.display()))?;
            }
            None => println!("---\n{}", yaml.trim_end()),
        }
    }
    Ok(())
}
