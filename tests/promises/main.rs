//! Every promise of the README on a real control plane, with the real binaries, over real HTTP,
//! as the ServiceAccount of the shipped RBAC. One file per promise.

// Outside `#[test]` functions clippy does not see that all of this is test code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod cluster;
mod front;
mod release;
mod world;

mod answers_probes;
mod crashes_lose_nothing;
mod failures_change_nothing;
mod fights_nobody;
mod fills_with_two_writes_a_pool;
mod follows_its_source;
mod keeps_identity;
mod keeps_sources_apart;
mod leaks_no_secret;
mod lists_without_a_cluster;
mod locks_no_key;
mod mirrors_field_for_field;
mod notices_a_stalled_watch;
mod parks_what_is_refused;
mod prunes_shyly;
mod reads_anything;
mod refuses_bad_specs;
mod relists;
mod repairs;
mod says_when_it_is_stale;
mod ships_by_helm;
mod ships_least_rights;
mod ships_what_the_server_accepts;
mod shows_only_metrics_it_has;
mod survives_outages;
mod tells_transitions;
mod trusts_only_what_it_is_told;
mod uses_its_own_identity;
mod waits_for_its_kinds;
mod writes_only_changes;
