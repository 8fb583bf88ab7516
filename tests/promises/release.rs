//! A release of the chart on a control plane, by the real helm.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::Value;

use super::cluster::Cluster;
use super::support::helm::{chart, tool};

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
        let said = tool("helm", &[args, &kubeconfig, &namespace].concat());
        said.unwrap_or_else(|said| panic!("helm {args:?}: {said}"))
    }
}
