//! The object's name for each pool. Two pools never share one, and a pool never changes its own
//! while the others come and go.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

/// Names for all pools of one snapshot: pool name → object name. A pool whose own name is a
/// DNS-1123 subdomain keeps it; any other gets a readable slug with a hash of its name.
pub fn object_names<'a>(pools: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, String> {
    let pools: BTreeSet<&str> = pools.into_iter().collect();
    let taken: BTreeSet<&str> = pools
        .iter()
        .copied()
        .filter(|pool| is_dns1123(pool))
        .collect();
    pools
        .iter()
        .map(|&pool| {
            if taken.contains(pool) {
                return (pool, pool.to_owned());
            }
            // A pool may really be called what another one's slug is: a longer hash then tells
            // them apart, and the plan refuses an object that names a different pool anyway.
            let short = slug(pool, 10);
            let name = if taken.contains(short.as_str()) {
                slug(pool, 40)
            } else {
                short
            };
            (pool, name)
        })
        .collect()
}

fn slug(pool: &str, digits: usize) -> String {
    let hash: String = Sha256::digest(pool)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut slug = String::new();
    for c in pool.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(200);
    let slug = slug.trim_end_matches('-');
    let hash = &hash[..digits];
    if slug.is_empty() {
        format!("pool-{hash}")
    } else {
        format!("{slug}-{hash}")
    }
}

/// Whether Kubernetes takes this as the name of an object.
pub fn is_dns1123(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !label.is_empty()
                && label.chars().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_usable_name_is_kept_and_another_becomes_a_slug_with_a_hash() {
        let names = object_names(["auto-pool-os-86c1", "Pool_A", "资源池"]);
        assert_eq!(names["auto-pool-os-86c1"], "auto-pool-os-86c1");
        assert!(names["Pool_A"].starts_with("pool-a-"));
        assert!(names["资源池"].starts_with("pool-"));
    }

    #[test]
    fn a_pool_named_like_anothers_slug_does_not_share_its_object() {
        let slug = slug("Pool_A", 10);
        let names = object_names(["Pool_A", slug.as_str()]);
        assert_eq!(names[slug.as_str()], slug);
        assert_ne!(names["Pool_A"], slug);
    }

    proptest! {
        #[test]
        fn every_pool_gets_a_valid_name_of_its_own(pools in proptest::collection::btree_set(".{1,80}", 0..20)) {
            let names = object_names(pools.iter().map(String::as_str));
            let distinct: BTreeSet<&String> = names.values().collect();
            prop_assert_eq!(distinct.len(), pools.len());
            for name in names.values() {
                prop_assert!(is_dns1123(name), "{}", name);
            }
        }
    }
}
