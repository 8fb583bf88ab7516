//! The items of one answer, raw. It knows nothing of what is in them, and holds no more of them than
//! it takes to tell that they are too many.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// More pools than this in one source are refused: a project's quota is some dozens, and the
/// documented limit of custom resources in one cluster is as high as this.
pub(super) const MAX_POOLS: usize = 10_000;

/// Up to one more item than a source may have pools.
pub(super) struct Items(pub Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Items;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list of items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items, A::Error> {
                let mut kept = Vec::new();
                while kept.len() <= MAX_POOLS
                    && let Some(item) = items.next_element()?
                {
                    kept.push(item);
                }
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Items(kept))
            }
        }
        deserializer.deserialize_seq(Bounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_items_one_more_than_allowed_is_held() {
        for (sent, held) in [
            (0, 0),
            (MAX_POOLS, MAX_POOLS),
            (3 * MAX_POOLS, MAX_POOLS + 1),
        ] {
            let list = serde_json::to_vec(&vec![7; sent]).unwrap();
            let items: Items = serde_json::from_slice(&list).unwrap();
            assert_eq!(items.0.len(), held);
        }
    }

    #[test]
    fn a_list_that_is_broken_behind_its_limit_is_no_list() {
        let broken = format!("[{}]", "7,".repeat(2 * MAX_POOLS));
        assert!(serde_json::from_str::<Items>(&broken).is_err());
    }
}
