//! Flags and environment → checked configuration. Nothing behind this module reads either, and
//! every flag has a variable.

mod cloud;
mod list;
mod log;
mod name;
mod run;
mod selector;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use self::cloud::CloudArgs;
use self::list::ListArgs;
pub use self::list::{List, Output};
use self::log::LogArgs;
pub use self::log::LogFormat;
pub use self::run::{Election, Run};
use self::run::{ElectionArgs, RunArgs};

/// Mirrors Huawei Cloud ModelArts resource pools into Kubernetes objects.
///
/// Without a command it runs the controller. Every flag has an environment variable, which may hold
/// several values of a repeatable one with commas between them.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    election: ElectionArgs,
    #[command(flatten)]
    cloud: CloudArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller (the default).
    Run,
    /// Print the CustomResourceDefinitions as YAML.
    Crd {
        /// Write one file per kind into this directory instead.
        #[arg(long, env = "CRD_DIR", value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Poll the cloud once and print what would be mirrored; needs no cluster.
    ///
    /// Credentials come from the first of these that is configured:
    ///   HUAWEICLOUD_SDK_AK, _SK and, for temporary keys, _SECURITY_TOKEN
    ///     (or HW_ACCESS_KEY, HW_SECRET_KEY, HW_SECURITY_TOKEN)
    ///   CCE Pod Identity (HC_CONTAINER_CREDENTIALS_FULL_URI, HC_CONTAINER_AUTHORIZATION_TOKEN_FILE)
    ///   OIDC (HUAWEICLOUD_OIDC_PROVIDER_URN, _AGENCY_URN, _TOKEN_FILE;
    ///     or HUAWEICLOUD_SDK_IDP_ID, HUAWEICLOUD_SDK_ID_TOKEN_FILE)
    ///   the file HUAWEICLOUD_SDK_CREDENTIALS_FILE or ~/.huaweicloud/credentials
    ///   the agency of the ECS this runs on
    /// The controller's own identity is found in the same way.
    ///
    /// Exit status: 0 all pools are shown, 1 something else failed, 2 wrong usage, 3 some items of
    /// the list could not be read, 4 the cloud refused the request and a person must act,
    /// 5 the cloud did not give a complete list and trying again may help.
    #[command(verbatim_doc_comment)]
    List(ListArgs),
}

/// What the program was asked to do.
pub enum Task {
    /// Run the controller.
    Run(Run),
    /// Print the CRDs, or write them into a directory.
    Crd(Option<PathBuf>),
    /// Poll once and print.
    List(List),
}

impl Cli {
    /// What and how to log.
    pub fn log(&self) -> (&str, LogFormat) {
        (&self.log.log_level, self.log.format())
    }

    /// Checks everything that was typed.
    ///
    /// # Errors
    /// Names the flag or variable that is wrong and what to write.
    pub fn task(self) -> anyhow::Result<Task> {
        match self.command {
            None | Some(Command::Run) => {
                let (cloud, ambient) = self.cloud.checked()?;
                let run = self.run.checked(self.election, cloud, ambient);
                run.map(Task::Run)
            }
            // CRDs are printed whatever the environment says of the cloud.
            Some(Command::Crd { dir }) => Ok(Task::Crd(dir)),
            Some(Command::List(list)) => {
                let (cloud, ambient) = self.cloud.checked()?;
                Ok(Task::List(list.checked(cloud, ambient)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::CommandFactory as _;

    use super::*;

    /// Every flag of a command and of those below it with its variable.
    fn variables(command: &clap::Command, found: &mut BTreeMap<String, String>) {
        for flag in command.get_arguments() {
            let id = flag.get_id().to_string();
            if ["help", "version"].contains(&id.as_str()) {
                continue;
            }
            let variable = flag.get_env().and_then(std::ffi::OsStr::to_str);
            found.insert(id, variable.unwrap_or_default().to_owned());
        }
        for command in command.get_subcommands() {
            if command.get_name() != "help" {
                variables(command, found);
            }
        }
    }

    #[test]
    fn every_flag_of_every_command_has_a_variable_of_its_own() {
        let mut command = Cli::command();
        command.build();
        let mut found = BTreeMap::new();
        variables(&command, &mut found);
        assert_eq!(found["watch_namespaces"], "WATCH_NAMESPACES");
        assert_eq!(found["output"], "LIST_OUTPUT");
        assert!(found.values().all(|it| !it.is_empty()), "{found:?}");
        let mut names: Vec<&String> = found.values().collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "two flags have one variable: {found:?}");
    }

    #[test]
    fn the_help_says_of_every_flag_what_it_is() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        let subcommands = command.get_subcommands();
        let commands = std::iter::once(&command).chain(subcommands);
        for flag in commands.flat_map(clap::Command::get_arguments) {
            assert!(flag.get_help().is_some(), "{}", flag.get_id());
        }
    }
}
