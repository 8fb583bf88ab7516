//! A namespace of the shared control plane, a simulated cloud, and the real controller binary
//! running as its own ServiceAccount with the shipped RBAC.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use modelarts_pool_controller::api::{ModelArtsPool, ModelArtsPoolSource, REQUESTED_AT};
use reqwest::Method;
use serde_json::{Value, json};

use super::audit::Audit;
use super::cluster::{self, Cluster, SERVICE_ACCOUNT};
use super::support::simulator::{ACCESS_KEY, PROJECT, SECRET_KEY, Simulator};

/// The longest that anything here may take on a busy machine with two cores.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub cluster: &'static Cluster,
    pub namespace: String,
    pub client: Client,
    pub pools: Api<ModelArtsPool>,
    pub sources: Api<ModelArtsPoolSource>,
    pub simulator: Simulator,
    pub audit: Audit,
    dir: PathBuf,
}

/// A running controller; it is killed with the value.
pub struct Controller {
    process: Child,
    log: PathBuf,
}

impl World {
    /// A world whose cloud has no pools yet.
    pub async fn new(name: &str) -> Self {
        Self::with_simulator(name, Simulator::start(&["--pools", "0"])).await
    }

    pub async fn with_simulator(name: &str, simulator: Simulator) -> Self {
        Self::on(cluster::shared(), name, simulator).await
    }

    /// A world on a control plane of its own.
    pub async fn on(cluster: &'static Cluster, name: &str, simulator: Simulator) -> Self {
        let world = Self::without_rights(cluster, name, simulator).await;
        world.allow_credentials(&world.namespace).await;
        let kubeconfig = world.dir.join("kubeconfig");
        cluster
            .service_account_kubeconfig(&world.client, SERVICE_ACCOUNT, &kubeconfig)
            .await;
        world
    }

    /// A world in which the controller may do what a release of the chart lets it, and no more.
    pub async fn without_rights(
        cluster: &'static Cluster,
        name: &str,
        simulator: Simulator,
    ) -> Self {
        let client = cluster.admin().await;
        let namespace = name.to_owned();
        let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("world-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let world = Self {
            pools: Api::namespaced(client.clone(), &namespace),
            sources: Api::namespaced(client.clone(), &namespace),
            audit: Audit::of(cluster, &namespace),
            cluster,
            namespace,
            client,
            simulator,
            dir,
        };
        world.create_account(&world.namespace).await;
        world
    }

    /// Has the controller reach the API server through what `proxy` makes of its URL.
    pub async fn reroute<F: Future<Output = String>>(&self, proxy: impl FnOnce(String) -> F) {
        let path = self.dir.join("kubeconfig");
        let text = std::fs::read_to_string(&path).unwrap();
        let start = text.find("https://").unwrap();
        let length = text[start..].find(['\n', '"']).unwrap();
        let server = text[start..start + length].trim().to_owned();
        let door = proxy(server.clone()).await;
        std::fs::write(&path, text.replace(&server, &door)).unwrap();
    }

    /// A namespace with the credentials of the simulator's account and the right to read them.
    pub async fn create_namespace(&self, name: &str) {
        self.create_account(name).await;
        self.allow_credentials(name).await;
    }

    /// A namespace with the credentials of the simulator's account.
    async fn create_account(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let params = PostParams::default();
        namespaces.create(&params, &namespace).await.unwrap();
        self.put_secret(name, ACCESS_KEY, SECRET_KEY).await;
    }

    /// Lets the controller read a namespace's Secrets.
    async fn allow_credentials(&self, namespace: &str) {
        let (account_namespace, account) = SERVICE_ACCOUNT;
        let binding = RoleBinding {
            metadata: ObjectMeta {
                name: Some("credentials".to_owned()),
                ..ObjectMeta::default()
            },
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".to_owned(),
                kind: "ClusterRole".to_owned(),
                name: "modelarts-pool-controller-credentials".to_owned(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: account.to_owned(),
                namespace: Some(account_namespace.to_owned()),
                ..Subject::default()
            }]),
        };
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams::default();
        bindings.create(&params, &binding).await.unwrap();
    }

    /// Gives the controller in this world's namespace the rights that the shipped Role gives it in
    /// its own, so that every world has a Lease of its own.
    pub async fn allow_election(&self) {
        let (account_namespace, account) = SERVICE_ACCOUNT;
        let name = format!("{account}-lease");
        for kind in ["role", "rolebinding"] {
            let shipped = ["get", kind, &name, "-n", account_namespace, "-o", "json"];
            let shipped = self.cluster.kubectl(&shipped);
            let mut object: Value = serde_json::from_str(&shipped).unwrap();
            object["metadata"] = json!({"name": name, "namespace": self.namespace});
            let apply = self
                .cluster
                .try_kubectl_with(&["apply", "-f", "-"], &object.to_string());
            apply.unwrap();
        }
    }

    /// Writes the Secret `huawei` of a namespace.
    pub async fn put_secret(&self, namespace: &str, access_key: &str, secret_key: &str) {
        let data = json!({"accessKey": access_key, "secretKey": secret_key});
        self.put_secret_data(namespace, "huawei", data).await;
    }

    /// Writes a Secret of the world's namespace.
    pub async fn put_named_secret(&self, name: &str, data: Value) {
        self.put_secret_data(&self.namespace, name, data).await;
    }

    async fn put_secret_data(&self, namespace: &str, name: &str, data: Value) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": data,
        });
        secrets
            .patch(
                name,
                &PatchParams::apply("test").force(),
                &Patch::Apply(&secret),
            )
            .await
            .unwrap();
    }

    /// Starts the controller on this world's namespace and cloud.
    pub fn controller(&self) -> Controller {
        self.controller_with(&[])
    }

    pub fn controller_with(&self, flags: &[&str]) -> Controller {
        self.controller_logging("warn,modelarts_pool_controller=debug", flags)
    }

    pub fn controller_logging(&self, level: &str, flags: &[&str]) -> Controller {
        self.start("controller", self.command(level, flags))
    }

    /// Starts one of several controllers, with a log of its own and a name in the audit log. This
    /// world's namespace is its own, in which it may use Leases as the shipped RBAC says.
    pub fn replica(&self, name: &str, flags: &[&str]) -> Controller {
        let own = ["--pod-name", name, "--namespace", &self.namespace];
        let level = "warn,modelarts_pool_controller=debug";
        self.start(name, self.command(level, &[&own, flags].concat()))
    }

    fn command(&self, level: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelarts-pool-controller"));
        command
            .args(["--watch-namespace", &self.namespace])
            .args(["--endpoint-template", &self.simulator.api])
            .args(["--iam-endpoint-template", &self.simulator.api])
            .args(["--log-level", level])
            .args(["--admin-address", "127.0.0.1:0"])
            .args(flags)
            .env("KUBECONFIG", self.dir.join("kubeconfig"))
            .env("LOG_FORMAT", "text")
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy");
        command
    }

    /// Starts a controller that logs under this name with those of this world.
    pub fn start(&self, name: &str, mut command: Command) -> Controller {
        let log = self.dir.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        command.stdin(Stdio::null()).stderr(Stdio::from(file));
        let process = command.spawn().unwrap();
        Controller { process, log }
    }

    /// Creates a source. Its interval is so long that only a test's own requests poll again.
    pub async fn create_source(&self, name: &str, changes: Value) -> ModelArtsPoolSource {
        let mut source = json!({
            "apiVersion": "modelarts.huaweicloud.com/v1alpha1",
            "kind": "ModelArtsPoolSource",
            "metadata": {"name": name},
            "spec": {
                "region": "cn-north-4", "projectId": PROJECT,
                "credentials": {"secretRef": {"name": "huawei"}},
                "interval": "30m", "staleAfter": "1h",
            },
        });
        merge(&mut source, &changes);
        let source = serde_json::from_value(source).unwrap();
        self.sources
            .create(&PostParams::default(), &source)
            .await
            .unwrap()
    }

    /// Merges changes into a source.
    pub async fn patch_source(&self, name: &str, changes: Value) {
        let patch = Patch::Merge(&changes);
        self.sources
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Has the source polled once and waits until that is acknowledged.
    pub async fn poll(&self, name: &str) -> ModelArtsPoolSource {
        let token = format!("{:?}", Instant::now());
        let annotation = json!({"metadata": {"annotations": {REQUESTED_AT: token}}});
        self.patch_source(name, annotation).await;
        self.until_source(name, |source| {
            let status = source.status.as_ref();
            status.and_then(|it| it.last_handled_reconcile_at.as_deref()) == Some(&token)
        })
        .await
    }

    /// Waits until a source is as wanted.
    pub async fn until_source(
        &self,
        name: &str,
        wanted: impl Fn(&ModelArtsPoolSource) -> bool,
    ) -> ModelArtsPoolSource {
        until(name, &self.sources, |it| it.as_ref().is_some_and(&wanted))
            .await
            .unwrap()
    }

    /// Waits until a source is ready.
    pub async fn until_ready(&self, name: &str) -> ModelArtsPoolSource {
        self.until_source(name, |source| condition(source, "Ready").0 == "True")
            .await
    }

    /// Waits until a mirror is as wanted.
    pub async fn until_pool(
        &self,
        name: &str,
        wanted: impl Fn(&ModelArtsPool) -> bool,
    ) -> ModelArtsPool {
        until(name, &self.pools, |it| it.as_ref().is_some_and(&wanted))
            .await
            .unwrap()
    }

    /// Waits until a mirror is gone.
    pub async fn until_gone(&self, name: &str) {
        until(name, &self.pools, Option::is_none).await;
    }

    /// All mirrors as the API server holds them, for comparing byte for byte.
    pub async fn mirrors(&self) -> Vec<Value> {
        let list = self.pools.list(&Default::default()).await.unwrap();
        let values = list
            .items
            .iter()
            .map(|pool| serde_json::to_value(pool).unwrap());
        values.collect()
    }

    /// The events about an object of this name: reason and note, in the order of their times.
    pub fn events(&self, name: &str) -> Vec<(String, String)> {
        let list = self.cluster.kubectl(&[
            "get",
            "events.events.k8s.io",
            "-o",
            "json",
            "-n",
            &self.namespace,
        ]);
        let list: Value = serde_json::from_str(&list).unwrap();
        let mut events = list["items"].as_array().cloned().unwrap();
        events.retain(|it| it["regarding"]["name"] == name);
        events.sort_by_key(|it| it["eventTime"].to_string());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = events.iter();
        events
            .map(|it| (text(&it["reason"]), text(&it["note"])))
            .collect()
    }

    /// Waits until there is an event about an object, and returns its note.
    pub async fn until_event(&self, name: &str, reason: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let events = self.events(name);
            if let Some((_, note)) = events.iter().find(|it| it.0 == reason) {
                return note.clone();
            }
            assert!(Instant::now() < deadline, "no {reason} in {events:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Replaces the cloud's pools.
    pub async fn put_fleet(&self, pools: Value) {
        self.simulator.control(Method::PUT, "/fleet", pools).await;
    }

    /// Merges changes into one of the cloud's pools.
    pub async fn patch_pool(&self, name: &str, changes: Value) {
        let path = format!("/fleet/{name}");
        self.simulator.control(Method::PATCH, &path, changes).await;
    }

    /// Removes one of the cloud's pools.
    pub async fn remove_pool(&self, name: &str) {
        let path = format!("/fleet/{name}");
        self.simulator
            .control(Method::DELETE, &path, Value::Null)
            .await;
    }

    /// Sets the faults of the cloud.
    pub async fn put_faults(&self, faults: Value) {
        self.simulator.control(Method::PUT, "/faults", faults).await;
    }

    /// The requests that the cloud got since they were last cleared.
    pub async fn cloud_requests(&self) -> Vec<Value> {
        self.simulator.requests().await
    }

    pub async fn clear_cloud_requests(&self) {
        self.simulator
            .control(Method::DELETE, "/requests", Value::Null)
            .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let files = std::fs::read_dir(&self.dir).into_iter().flatten();
            for file in files.flatten().map(|it| it.path()) {
                if file.extension().is_some_and(|it| it == "log") {
                    let log = std::fs::read_to_string(&file).unwrap_or_default();
                    let lines: Vec<&str> = log.lines().collect();
                    let last = lines[lines.len().saturating_sub(60)..].join("\n");
                    eprintln!("last lines of {}:\n{last}", file.display());
                }
            }
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Controller {
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What the controller has logged, and any controller before it in this world.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Where it logs.
    pub fn log_file(&self) -> PathBuf {
        self.log.clone()
    }

    /// Asks its admin server, once that listens.
    pub async fn ask(&self, path: &str) -> (u16, String) {
        const SIGN: &str = "probes and metrics are served";
        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            let log = self.log();
            // The last one is of this process, and not of one before it in this world.
            if let Some((_, rest)) = log.rsplit_once(SIGN) {
                let start = rest.find("127.0.0.1:").unwrap();
                let length = rest[start..].find(|c| !matches!(c, '0'..='9' | '.' | ':'));
                break rest[start..start + length.unwrap()].to_owned();
            }
            assert!(Instant::now() < deadline, "no admin server in {log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let answer = reqwest::get(format!("http://{address}{path}"))
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Whether the controller still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Asks until an answer is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.ask(path).await;
            if wanted(status, &body) {
                return body;
            }
            assert!(Instant::now() < deadline, "{path}: {status} {body}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the controller has ended.
    pub fn end(mut self) -> std::process::ExitStatus {
        self.process.wait().unwrap()
    }

    /// Asks the controller to end, and waits until it has.
    pub fn stop(self) -> std::process::ExitStatus {
        self.signal("-TERM");
        self.end()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The most memory that a process has held, in bytes.
pub fn peak_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|it| it.starts_with("VmHWM:")).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

/// Status and reason of a condition, empty where it is absent.
pub fn condition(object: &impl serde::Serialize, kind: &str) -> (String, String) {
    let object = serde_json::to_value(object).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let conditions = object["status"]["conditions"].as_array().cloned();
    let found = conditions
        .unwrap_or_default()
        .into_iter()
        .find(|condition| condition["type"] == kind);
    found.map_or_else(Default::default, |it| {
        (text(&it["status"]), text(&it["reason"]))
    })
}

/// The message of a condition, empty where it is absent.
pub fn message(object: &impl serde::Serialize, kind: &str) -> String {
    let object = serde_json::to_value(object).unwrap();
    let mut conditions = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    let found = conditions.find(|condition| condition["type"] == kind);
    found.map_or_else(String::new, |it| {
        it["message"].as_str().unwrap_or_default().to_owned()
    })
}

/// A plain running pool.
pub fn pool(name: &str, nodes: i64) -> Value {
    json!({
        "kind": "Pool", "apiVersion": "v2",
        "metadata": {
            "name": name, "creationTimestamp": "2026-05-01T08:00:00Z",
            "labels": {"os.modelarts/name": name, "os.modelarts/workspace.id": "0",
                       "os.modelarts/resource.id": format!("maos-{name}")},
        },
        "spec": {"type": "Dedicate", "scope": ["Train"],
                 "resources": [{"flavor": "modelarts.vm.cpu.8ud", "count": nodes}]},
        "status": {
            "phase": "Running", "root": name,
            "scope": [{"scopeType": "Train", "state": "Enabled"}],
            "resources": {"available": [{"flavor": "modelarts.vm.cpu.8ud", "count": nodes}]},
        },
    })
}

/// Waits for something that no object shows.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until<K>(name: &str, api: &Api<K>, wanted: impl Fn(&Option<K>) -> bool) -> Option<K>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + kube::Resource,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let object = api.get_opt(name).await.unwrap();
        if wanted(&object) {
            return object;
        }
        assert!(
            Instant::now() < deadline,
            "{name} did not become as wanted in {PATIENCE:?}; it is {:?}",
            object.map(|object| object.meta().resource_version.clone())
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Merges `changes` into `value`, objects key by key.
fn merge(value: &mut Value, changes: &Value) {
    match (value, changes) {
        (Value::Object(value), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(value.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change.clone(),
    }
}

/// The name of a mirror, for assertions.
pub fn names(pools: &[ModelArtsPool]) -> Vec<String> {
    pools.iter().map(kube::ResourceExt::name_any).collect()
}
