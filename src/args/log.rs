//! Flags about the log.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::cloud::environment;

#[derive(Debug, Args)]
#[command(next_help_heading = "The log")]
pub(super) struct LogArgs {
    /// What to log, such as info, debug or info,modelarts_pool_controller=trace
    #[arg(
        long,
        env = "LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info,kube_runtime=warn",
        value_parser = level,
        global = true
    )]
    pub log_level: String,
    /// How to log [default: json in a cluster or without a terminal, else text]
    #[arg(
        long,
        env = "LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        global = true
    )]
    log_format: Option<LogFormat>,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

impl LogArgs {
    /// What was asked for. Else a person on a terminal gets text; a Pod may have a terminal too, but
    /// its log is collected.
    pub(super) fn format(&self) -> LogFormat {
        let in_cluster = environment("KUBERNETES_SERVICE_HOST").is_some();
        let default = if std::io::stderr().is_terminal() && !in_cluster {
            LogFormat::Text
        } else {
            LogFormat::Json
        };
        self.log_format.unwrap_or(default)
    }
}

/// The filter takes a misspelt level for the name of a module, and logs nothing.
fn level(text: &str) -> Result<String, String> {
    let known = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    let valid = text.split(',').all(known) && EnvFilter::try_new(text).is_ok();
    valid.then(|| text.to_owned()).ok_or_else(|| {
        "write error, warn, info, debug, trace or off, and after commas MODULE=LEVEL".to_owned()
    })
}
