//! What happened to a pool between what its mirror shows and what the cloud says now. Pure, and
//! silent where nothing changed: a state is no news.

use super::health;
use super::inventory::Mirror;
use crate::api::{ModelArtsPoolStatus, News};

/// The news of a mirror that is about to show `after`.
pub(super) fn transitions(before: &Mirror, after: &ModelArtsPoolStatus) -> Vec<News> {
    let mut news = Vec::new();
    news.extend(phase(before, after));
    news.extend(capacity(before, after));
    news.extend(driver(before, after));
    news
}

fn phase(before: &Mirror, after: &ModelArtsPoolStatus) -> Option<News> {
    let (old, new) = (before.phase.as_deref()?, after.phase.as_deref()?);
    let note = format!("phase {old} → {new}");
    match new {
        _ if old == new => None,
        "Abnormal" | "Error" | "ScalingFailed" | health::CREATION_FAILED => {
            Some(News::warning(new, note))
        }
        _ if health::known_phase(new).is_some() => Some(News::normal(new, note)),
        _ => Some(News::warning("UnknownPhase", note)),
    }
}

fn capacity(before: &Mirror, after: &ModelArtsPoolStatus) -> Option<News> {
    const KIND: &str = "CapacityHealthy";
    let old = before.mark(KIND)?.status.as_str();
    let new = after.conditions.iter().find(|it| it.type_ == KIND)?;
    let nodes = after.summary.as_ref().map_or("?", |it| it.nodes.as_str());
    match (old, new.status.as_str()) {
        ("True", "False") => Some(News::warning(
            "CapacityLost",
            format!("{}: {nodes} nodes are available", new.message),
        )),
        ("False", "True") => Some(News::normal(
            "CapacityRecovered",
            format!("{nodes} nodes are available"),
        )),
        _ => None,
    }
}

fn driver(before: &Mirror, after: &ModelArtsPoolStatus) -> Option<News> {
    let old = before.drivers.as_deref()?;
    let new = after.summary.as_ref()?.drivers.as_str();
    if old == new || old.is_empty() || new.is_empty() {
        return None;
    }
    let note = format!("driver {old} → {new}");
    let drivers = after.driver.as_ref()?;
    let state = |state: &str| {
        let both = [&drivers.gpu, &drivers.npu].into_iter().flatten();
        both.filter_map(|it| it.state.as_deref())
            .any(|it| it == state)
    };
    Some(if state("Abnormal") {
        News::warning("DriverAbnormal", note)
    } else if state("Upgrading") {
        News::normal("DriverUpgrading", note)
    } else {
        News::normal("DriverChanged", note)
    })
}
