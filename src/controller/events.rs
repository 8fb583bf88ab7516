//! Publishes news as events on the object they are about, and logs each once. An event that
//! cannot be written is no reason to fail: the status says the same.

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::{debug, info};

use crate::api::{News, Weight};

/// One event, the client's own retries included.
const DEADLINE: Duration = Duration::from_secs(5);

/// More events than this from one pass help nobody; they are still logged.
const MOST: usize = 100;

/// The longest note that the events API takes, in bytes.
const NOTE: usize = 1024;

/// Tells people what happened to these objects.
pub(super) async fn publish(recorder: &Recorder, news: Vec<(ObjectReference, News)>) {
    for (about, news) in &news {
        info!(
            namespace = about.namespace,
            kind = about.kind,
            name = about.name,
            reason = news.reason,
            note = news.note,
            "transition"
        );
    }
    let events = news.into_iter().take(MOST).map(|(about, news)| async move {
        let event = event(news);
        let published = recorder.publish(&event, &about);
        match tokio::time::timeout(DEADLINE, published).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "publish event"),
            Err(_) => debug!("publish event: no answer from the API server"),
        }
    });
    futures::stream::iter(events)
        .buffer_unordered(4)
        .collect::<Vec<()>>()
        .await;
}

fn event(news: News) -> Event {
    let mut note = news.note;
    while note.len() > NOTE {
        note.pop();
    }
    Event {
        type_: match news.weight {
            Weight::Normal => EventType::Normal,
            Weight::Warning => EventType::Warning,
        },
        reason: news.reason,
        note: Some(note),
        action: "Mirror".to_owned(),
        secondary: None,
    }
}
