//! kstatus, Flux and Argo CD each say of both kinds, in every state, what a person would.

use std::collections::BTreeSet;

use super::argo;
use super::verdict::verdict;
use super::walk::{POOL, SOURCE, walked};

/// Kind, state, and what kstatus, Flux with our healthCheckExprs, and Argo CD with our Lua say.
///
/// kstatus has no word for "suspended" and waits while Ready is False; Flux' expressions and Lua
/// know better, and are alike otherwise. Flux does not look at a deletion itself, but that is a new
/// generation, which is not observed.
const TABLE: [(&str, &str, &str, &str, &str); 22] = [
    (SOURCE, "new", "InProgress", "InProgress", "Progressing"),
    (SOURCE, "working", "InProgress", "InProgress", "Progressing"),
    (SOURCE, "ready", "Current", "Current", "Healthy"),
    (SOURCE, "hiccup", "Current", "Current", "Healthy"),
    (SOURCE, "blocked", "Current", "Current", "Healthy"),
    (SOURCE, "stale", "InProgress", "Failed", "Degraded"),
    (SOURCE, "failed", "Failed", "Failed", "Degraded"),
    (SOURCE, "suspended", "InProgress", "Current", "Suspended"),
    (SOURCE, "changed", "InProgress", "InProgress", "Progressing"),
    (
        SOURCE,
        "deleted",
        "Terminating",
        "InProgress",
        "Progressing",
    ),
    (POOL, "new", "InProgress", "InProgress", "Progressing"),
    (POOL, "working", "InProgress", "InProgress", "Progressing"),
    (POOL, "ready", "Current", "Current", "Healthy"),
    (POOL, "upgrading", "InProgress", "InProgress", "Progressing"),
    (POOL, "short", "Current", "Current", "Healthy"),
    (POOL, "abnormal", "InProgress", "Failed", "Degraded"),
    (POOL, "failed", "Failed", "Failed", "Degraded"),
    (POOL, "unheard-of", "InProgress", "InProgress", "Unknown"),
    (POOL, "stale", "InProgress", "InProgress", "Unknown"),
    (POOL, "suspended", "InProgress", "InProgress", "Unknown"),
    (POOL, "not-listed", "InProgress", "InProgress", "Unknown"),
    (POOL, "deleted", "Terminating", "InProgress", "Progressing"),
];

#[tokio::test]
async fn kstatus_flux_and_argo_cd_agree_in_every_state_of_both_kinds() {
    let walk = walked().await;
    let objects: Vec<_> = walk.iter().map(|it| it.object.clone()).collect();
    let kstatus = verdict(&["kstatus"], &objects);
    let flux = verdict(&["flux", "deploy/gitops/flux/pools.yaml"], &objects);
    let argo: Vec<_> = objects.iter().map(argo::health).collect();
    let said: BTreeSet<_> = walk
        .iter()
        .enumerate()
        .map(|(at, it)| {
            (
                it.kind,
                it.state,
                kstatus[at].as_str(),
                flux[at].as_str(),
                argo[at]["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(said, TABLE.into());
    assert_eq!(said.len(), walk.len());
}

#[tokio::test]
async fn nothing_is_in_progress_and_stalled_at_once_nor_stalled_and_ready() {
    for seen in walked().await {
        let conditions = seen.object["status"]["conditions"].as_array();
        let holds = |kind: &str| {
            let mut conditions = conditions.into_iter().flatten();
            conditions.any(|it| it["type"] == kind && it["status"] == "True")
        };
        let stalled = holds("Stalled");
        assert!(!(stalled && holds("Reconciling")), "{seen:?}");
        assert!(!(stalled && holds("Ready")), "{seen:?}");
    }
}
