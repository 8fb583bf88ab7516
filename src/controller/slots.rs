//! Whose turn it is to be worked on: so many sources at a time, and never more than half of them
//! of one namespace, so that a namespace with a thousand sources takes no other one's time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sources worked on at the same time.
const ALL: usize = 16;

/// Of these, sources of one namespace.
const OF_ONE_NAMESPACE: usize = ALL / 2;

/// All turns.
pub(super) struct Slots {
    all: Arc<Semaphore>,
    namespaces: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A turn; it ends with the value.
pub(super) struct Slot {
    _of_namespace: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Slots {
    /// Waits for the turn of a source of this namespace, in the order of asking; `None` never
    /// comes, because nobody closes a semaphore.
    pub async fn take(&self, namespace: &str) -> Option<Slot> {
        // The namespace's own comes first: whoever waits for it must not hold one of all.
        let of_namespace = self.namespace(namespace).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Slot {
            _of_namespace: of_namespace,
            _of_all: of_all,
        })
    }

    /// The turns of a namespace. Those that nobody has or wants are forgotten.
    fn namespace(&self, name: &str) -> Arc<Semaphore> {
        let mut namespaces = self
            .namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        namespaces.retain(|_, it| Arc::strong_count(it) > 1);
        let of_namespace = namespaces
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(OF_ONE_NAMESPACE)));
        Arc::clone(of_namespace)
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            namespaces: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_namespace_that_wants_every_turn_leaves_half_of_them_to_others() {
        let slots = Slots::default();
        let mut taken = Vec::new();
        for _ in 0..OF_ONE_NAMESPACE {
            taken.push(slots.take("greedy").await);
        }
        let mut waiting = Box::pin(slots.take("greedy"));
        assert!(poll!(&mut waiting).is_pending());
        let _modest = slots.take("modest").await;
        taken.pop();
        assert!(waiting.await.is_some());
    }

    #[tokio::test]
    async fn no_more_turns_are_given_than_there_are_and_each_one_comes_back() {
        let slots = Slots::default();
        let mut taken = Vec::new();
        for n in 0..ALL {
            taken.push(slots.take(&format!("ns-{n}")).await);
        }
        let mut waiting = Box::pin(slots.take("late"));
        assert!(poll!(&mut waiting).is_pending());
        taken.pop();
        assert!(waiting.await.is_some());
    }
}
