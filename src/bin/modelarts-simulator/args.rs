//! What a person types, parsed and checked. It reads the accounts file and nothing else.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Parser;
use k8s_openapi::jiff::SignedDuration;

use crate::{accounts::Account, control};

/// Serves the documented API of ModelArts resource pools on this machine: no account, no cloud, no
/// cost.
///
/// On start one JSON line on standard output says where: {"api":"http://…","control":"http://…"}.
/// Logs go to standard error. Without any flag: a dozen pools to which nothing happens, behind one
/// well-known fake key pair.
#[derive(Debug, Parser)]
#[command(name = "modelarts-simulator", version, after_long_help = control::MANUAL)]
pub struct Args {
    /// Where the simulated cloud listens (port 0 = any free one).
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Where tests and people change the simulated cloud; unauthenticated, so keep it on loopback.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub control: SocketAddr,

    /// A fake key pair and the project it opens; repeat for more, and repeat the pair for more
    /// projects.
    #[arg(long = "account", value_name = "AK:SK:PROJECT_ID[:PROJECT_NAME]", default_value = DEFAULT_ACCOUNT)]
    accounts: Vec<Account>,

    /// JSON instead of --account:
    /// [{"accessKey","secretKey","securityToken"?,"projects":[{"id","name"}]}].
    #[arg(long, value_name = "FILE")]
    accounts_file: Option<PathBuf>,

    /// How many pools each project starts with; the first pool of the first project is the vendor's
    /// own sample.
    #[arg(long, default_value_t = 12)]
    pub pools: usize,

    /// What the fleet and its life are drawn from: the same seed gives the same story.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// How often something happens to the fleet, such as 2s; 0 is a still fleet.
    #[arg(long, value_name = "STEP", default_value = "0", value_parser = step)]
    life: Duration,

    /// How long more than five failures in a row lock an access key.
    #[arg(long, default_value_t = 300)]
    lock_seconds: u64,

    /// End when standard input closes, so that a simulator never outlives the test that started it.
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// The project is the one the vendor's sample pool lives in.
const DEFAULT_ACCOUNT: &str = "SIMULATORACCESSKEY01:simulatorSecretKeyThatOpensNothing000000:86c13962597848eeb29c5861153a391f:cn-north-4";

impl Args {
    pub fn accounts(&self) -> anyhow::Result<Vec<Account>> {
        let Some(file) = &self.accounts_file else {
            return Ok(self.accounts.clone());
        };
        let text = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("parse {}", file.display()))
    }

    /// The time between two events, or none for a still fleet.
    pub fn life(&self) -> Option<Duration> {
        Some(self.life).filter(|step| !step.is_zero())
    }

    pub fn lock_for(&self) -> Duration {
        Duration::from_secs(self.lock_seconds)
    }
}

fn step(text: &str) -> anyhow::Result<Duration> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    Ok(text.parse::<SignedDuration>()?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_still_fleet_is_the_default() {
        assert_eq!(Args::parse_from(["modelarts-simulator"]).life(), None);
    }

    #[test]
    fn the_step_of_life_is_a_duration() {
        let args = Args::parse_from(["modelarts-simulator", "--life", "250ms"]);
        assert_eq!(args.life(), Some(Duration::from_millis(250)));
    }

    #[test]
    fn an_account_names_its_keys_and_its_project() {
        let args = Args::parse_from(["modelarts-simulator", "--account", "ak:sk:p1:cn-east-3"]);
        let accounts = args.accounts().unwrap();
        assert_eq!(accounts[0].access_key, "ak");
        assert_eq!(accounts[0].projects[0].name, "cn-east-3");
    }
}
