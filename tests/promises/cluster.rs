//! One real control plane for all tests of this binary: etcd, kube-apiserver and
//! kube-controller-manager, with our CRDs and the shipped RBAC.
//!
//! It ends with this process, however this process ends, because it watches its standard input.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

pub use super::support::tools::repository;

/// The namespace and name of the ServiceAccount in `deploy/manifests`.
pub const SERVICE_ACCOUNT: (&str, &str) = ("modelarts-system", "modelarts-pool-controller");

pub struct Cluster {
    dir: PathBuf,
    /// Holds the pipe whose end ends the control plane.
    _process: Child,
}

/// The shared control plane, started by the first test that asks.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start("shared", &[]))
}

impl Cluster {
    /// Starts a control plane in a directory of its own, with our kinds and rights.
    pub fn start(name: &str, flags: &[&str]) -> Self {
        let crds = repository("crds");
        let flags = [&["--crds", crds.to_str().unwrap()], flags].concat();
        let cluster = Self::without_kinds(name, &flags);
        cluster.apply_manifests();
        cluster
    }

    /// Starts a control plane that knows nothing of us.
    pub fn without_kinds(name: &str, flags: &[&str]) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("controlplane-{name}-{}", std::process::id()));
        let mut process = Command::new(binary())
            .args(["up", "--ephemeral", "--until-stdin-closes", "--quiet"])
            .arg("--dir")
            .arg(&dir)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the control plane; `make controlplane` builds it");
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert!(
            ready.starts_with("ready "),
            "the control plane did not start"
        );
        Self {
            dir,
            _process: process,
        }
    }

    /// Applies what `deploy/manifests` holds besides our kinds: the ServiceAccount and its rights.
    /// No node runs the pod.
    pub fn apply_manifests(&self) {
        for file in ["namespace", "controller"] {
            let path = repository(&format!("deploy/manifests/{file}.yaml"));
            self.kubectl(&["apply", "-f", path.to_str().unwrap()]);
        }
    }

    /// Where the control plane keeps its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kills one component, as a crash would; with `--restart` it comes back by itself.
    pub fn kill(&self, component: &str) {
        self.signal(component, "-KILL");
    }

    /// Sends a signal to one component, such as `-STOP`.
    pub fn signal(&self, component: &str, signal: &str) {
        let pid = self.pid(component);
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success(), "{component} has pid {pid}");
    }

    /// Where etcd serves its clients.
    pub fn etcd(&self) -> String {
        let command = std::fs::read(format!("/proc/{}/cmdline", self.pid("etcd"))).unwrap();
        let command = String::from_utf8(command).unwrap();
        let mut arguments = command.split('\0');
        let url = arguments.find_map(|it| it.strip_prefix("--client-url="));
        url.unwrap().to_owned()
    }

    fn pid(&self, component: &str) -> String {
        let pids = std::fs::read_to_string(self.dir.join("pids.json")).unwrap();
        let pids: serde_json::Value = serde_json::from_str(&pids).unwrap();
        pids[component].to_string()
    }

    /// A client with every right. Each test has its own, because a client lives on the runtime
    /// that made it.
    pub async fn admin(&self) -> Client {
        client_of(&self.kubeconfig()).await
    }

    /// Runs kubectl and returns what it prints.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let output = self.try_kubectl(args);
        output.unwrap_or_else(|error| panic!("kubectl {args:?}: {error}"))
    }

    /// Runs kubectl; an error is what it says.
    pub fn try_kubectl(&self, args: &[&str]) -> Result<String, String> {
        self.try_kubectl_with(args, "")
    }

    /// Runs kubectl with something on its standard input, which `-f -` reads.
    pub fn try_kubectl_with(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut kubectl = Command::new(binary())
            .arg("kubectl")
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .args(args)
            // Its cache would be left behind in the home directory.
            .env("HOME", &self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = kubectl.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = kubectl.wait_with_output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Where the kubeconfig of the control plane's administrator is.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Writes a kubeconfig with which the controller is its own ServiceAccount and nothing more.
    pub async fn service_account_kubeconfig(
        &self,
        admin: &Client,
        (namespace, name): (&str, &str),
        path: &Path,
    ) {
        let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec::default(),
            ..TokenRequest::default()
        };
        let request = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .unwrap();
        let mut kubeconfig = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        for user in &mut kubeconfig.auth_infos {
            let user = user.auth_info.get_or_insert_default();
            *user = Default::default();
            user.token = Some(request.status.as_ref().unwrap().token.clone().into());
        }
        std::fs::write(path, serde_saphyr::to_string(&kubeconfig).unwrap()).unwrap();
    }
}

/// A client of a kubeconfig.
pub async fn client_of(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn binary() -> PathBuf {
    repository("target/controlplane/controlplane")
}
