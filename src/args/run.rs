//! Flags of the controller: where it works, and how replicas share the work.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use kube::core::Selector;

use super::name::{namespace, object_name};
use super::selector::selector;
use crate::modelarts::{Ambient, Client};

#[derive(Debug, Args)]
#[command(next_help_heading = "Where it works")]
pub(super) struct RunArgs {
    /// The controller's own namespace, whose sources may use the controller's own credentials
    /// [default: the kubeconfig context's]
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", value_parser = namespace, global = true)]
    namespace: Option<String>,
    /// A namespace to look for sources in; repeatable [default: all]
    #[arg(
        long = "watch-namespace",
        env = "WATCH_NAMESPACES",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        value_parser = namespace,
        global = true
    )]
    watch_namespaces: Vec<String>,
    /// Which sources to work on, by their labels, such as shard=a or 'shard notin (a,b)': several
    /// controllers, each with a lease of its own, can share them [default: all]
    #[arg(long, env = "SOURCE_SELECTOR", value_name = "SELECTOR", value_parser = selector, global = true)]
    source_selector: Option<Selector>,
    /// A namespace besides the controller's own whose sources may use the controller's own
    /// credentials, and so see all that these may see; repeatable
    #[arg(
        long = "ambient-namespace",
        env = "AMBIENT_NAMESPACES",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        value_parser = namespace,
        global = true
    )]
    ambient_namespaces: Vec<String>,
    /// Where probes (/livez, /readyz) and metrics (/metrics) are served
    #[arg(
        long,
        env = "ADMIN_ADDRESS",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8080",
        value_parser = address,
        global = true
    )]
    admin_address: SocketAddr,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Replicas")]
pub(super) struct ElectionArgs {
    /// Work only while holding a Lease in the controller's own namespace, so that of several
    /// replicas one works and the others stand by
    #[arg(long, env = "LEADER_ELECT", global = true)]
    leader_elect: bool,
    /// The Lease's name: the same for replicas that stand in for one another, and for no others
    #[arg(
        long,
        env = "LEASE_NAME",
        value_name = "NAME",
        default_value = "modelarts-pool-controller",
        value_parser = object_name,
        global = true
    )]
    lease_name: String,
    /// This replica's name, which the Lease shows while it leads, and the API server's audit log
    #[arg(long, env = "POD_NAME", value_name = "NAME", value_parser = object_name, global = true)]
    pod_name: Option<String>,
}

/// Checked configuration of the controller.
pub struct Run {
    /// The controller's own namespace, where one was given.
    pub namespace: Option<String>,
    /// Where to look for sources; everywhere, if empty.
    pub watch_namespaces: BTreeSet<String>,
    /// Which sources to work on.
    pub source_selector: Selector,
    /// The cloud, with its endpoints.
    pub cloud: Client,
    /// The controller's own identity.
    pub ambient: Ambient,
    /// The namespaces besides its own whose sources may use it.
    pub ambient_namespaces: BTreeSet<String>,
    /// Where to serve probes and metrics.
    pub admin_address: SocketAddr,
    /// The name of this replica, where one was given.
    pub pod_name: Option<String>,
    /// How to find out which replica works; without it this one does.
    pub election: Option<Election>,
}

/// What tells who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The name of the Lease.
    pub lease_name: String,
    /// The name of this replica.
    pub pod_name: String,
}

impl RunArgs {
    pub(super) fn checked(
        self,
        election: ElectionArgs,
        cloud: Client,
        ambient: Ambient,
    ) -> anyhow::Result<Run> {
        Ok(Run {
            namespace: self.namespace,
            watch_namespaces: self.watch_namespaces.into_iter().collect(),
            source_selector: self.source_selector.unwrap_or_default(),
            cloud,
            ambient,
            ambient_namespaces: self.ambient_namespaces.into_iter().collect(),
            admin_address: self.admin_address,
            pod_name: election.pod_name.clone(),
            election: election.checked()?,
        })
    }
}

impl ElectionArgs {
    fn checked(self) -> anyhow::Result<Option<Election>> {
        if !self.leader_elect {
            return Ok(None);
        }
        let pod_name = self.pod_name.context(
            "--leader-elect (LEADER_ELECT) needs --pod-name (POD_NAME): write what tells this replica from the others, such as its Pod's name",
        )?;
        Ok(Some(Election {
            lease_name: self.lease_name,
            pod_name,
        }))
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write ADDRESS:PORT, such as 0.0.0.0:8080 or [::1]:8080".to_owned())
}
