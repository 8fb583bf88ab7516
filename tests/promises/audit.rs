//! The API server's own record of who did what. Counts of writes come from here and not from the
//! controller, because an end state alone hides flapping.

use std::path::Path;

use serde_json::Value;

use super::cluster::{Cluster, SERVICE_ACCOUNT};

/// One request that the API server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub verb: String,
    /// With the subresource, as in `modelartspools/status`.
    pub resource: String,
    pub name: String,
    pub code: i64,
    /// The User-Agent, which has the name of the replica.
    pub agent: String,
}

/// How much of the record has been read.
pub struct Audit {
    namespace: String,
    path: std::path::PathBuf,
    from: usize,
}

impl Audit {
    /// The record of a namespace from now on.
    pub fn of(cluster: &Cluster, namespace: &str) -> Self {
        let path = cluster.dir().join("audit.log");
        Self {
            namespace: namespace.to_owned(),
            from: read(&path).len(),
            path,
        }
    }

    /// Forgets what was recorded until now.
    pub fn restart(&mut self) {
        self.from = read(&self.path).len();
    }

    /// The controller's requests in the namespace.
    pub fn requests(&self) -> Vec<Request> {
        let (account_namespace, account) = SERVICE_ACCOUNT;
        let user = format!("system:serviceaccount:{account_namespace}:{account}");
        read(&self.path)[self.from..]
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|event| event["user"]["username"] == user.as_str())
            .filter(|event| event["objectRef"]["namespace"] == self.namespace.as_str())
            .map(|event| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let object = &event["objectRef"];
                let resource = match text(&object["subresource"]) {
                    sub if sub.is_empty() => text(&object["resource"]),
                    sub => format!("{}/{sub}", text(&object["resource"])),
                };
                Request {
                    verb: text(&event["verb"]),
                    resource,
                    name: text(&object["name"]),
                    code: event["responseStatus"]["code"].as_i64().unwrap_or_default(),
                    agent: text(&event["userAgent"]),
                }
            })
            .collect()
    }

    /// The controller's writes to mirrors.
    pub fn mirror_writes(&self) -> Vec<Request> {
        self.writes("modelartspools")
    }

    /// The writes of one replica, Leases aside.
    pub fn writes_of(&self, replica: &str) -> Vec<Request> {
        let name = format!("({replica})");
        let mut writes = self.mirror_writes();
        writes.extend(self.source_writes());
        writes.retain(|request| request.agent.ends_with(&name));
        writes
    }

    /// The controller's writes to sources.
    pub fn source_writes(&self) -> Vec<Request> {
        self.writes("modelartspoolsources")
    }

    fn writes(&self, resource: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| {
            let reads = ["get", "list", "watch"].contains(&request.verb.as_str());
            !reads && request.resource.split('/').next() == Some(resource)
        });
        requests
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}
