//! A release of the chart on a control plane, by the real helm, and the process that a node would
//! start for its Deployment.

use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::Value;

use super::cluster::Cluster;
use super::support::helm::chart;
use super::support::tools::tool_at_home;
use super::world::{Controller, World};

pub struct Release {
    cluster: &'static Cluster,
    pub namespace: String,
    pub name: String,
}

impl Release {
    /// Installs the chart with these values, and creates the namespace if need be.
    pub fn install(cluster: &'static Cluster, name: &str, namespace: &str, values: &Value) -> Self {
        let release = Self {
            cluster,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let chart = chart();
        let install = ["install", &release.name, &chart, "--create-namespace"];
        release.helm_with(&install, values);
        release
    }

    /// Makes it what these values say.
    pub fn upgrade(&self, values: &Value) {
        self.helm_with(&["upgrade", &self.name, &chart()], values);
    }

    /// Takes it away, and returns what helm says.
    pub fn uninstall(self) -> String {
        self.helm(&["uninstall", &self.name])
    }

    /// Its Deployment as the API server holds it.
    pub async fn deployment(&self) -> Deployment {
        let client = self.cluster.admin().await;
        let deployments: Api<Deployment> = Api::namespaced(client, &self.namespace);
        deployments.get(&self.name).await.unwrap()
    }

    fn helm_with(&self, args: &[&str], values: &Value) {
        let file = self.cluster.dir().join(format!("{}.json", self.name));
        std::fs::write(&file, values.to_string()).unwrap();
        let values = ["--values", file.to_str().unwrap()];
        self.helm(&[args, &values].concat());
    }

    fn helm(&self, args: &[&str]) -> String {
        let kubeconfig = self.cluster.kubeconfig();
        let kubeconfig = ["--kubeconfig", kubeconfig.to_str().unwrap()];
        let namespace = ["--namespace", &self.namespace];
        let args = [args, &kubeconfig, &namespace].concat();
        let said = tool_at_home(self.cluster.dir(), "helm", &args);
        said.unwrap_or_else(|said| panic!("helm {args:?}: {said}"))
    }
}

/// Starts the controller as a node would: with exactly the arguments and the environment of the
/// Deployment's container and its ServiceAccount's token.
pub async fn run(deployment: &Deployment, world: &World) -> Controller {
    let spec = deployment.spec.as_ref().unwrap();
    let pod = spec.template.spec.as_ref().unwrap();
    let container = &pod.containers[0];
    let namespace = deployment.metadata.namespace.as_deref().unwrap();
    let account = pod.service_account_name.as_deref().unwrap();
    let cluster = world.cluster;
    let kubeconfig = cluster
        .dir()
        .join(format!("{namespace}-{account}.kubeconfig"));
    cluster
        .service_account_kubeconfig(&world.client, (namespace, account), &kubeconfig)
        .await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelarts-pool-controller"));
    command
        .args(container.args.as_deref().unwrap_or_default())
        .env_clear()
        .env("KUBECONFIG", kubeconfig);
    for variable in container.env.as_deref().unwrap_or_default() {
        let source = variable.value_from.as_ref();
        let field = source.and_then(|it| it.field_ref.as_ref());
        let value = match field.map(|it| it.field_path.as_str()) {
            None => variable.value.clone().unwrap(),
            Some("metadata.name") => format!("{account}-of-a-test"),
            Some("metadata.namespace") => namespace.to_owned(),
            Some(other) => panic!("{other}: not resolved"),
        };
        command.env(&variable.name, value);
    }
    world.start("controller", command)
}
