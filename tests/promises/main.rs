//! Every promise of the README on a real control plane, with the real binaries, over real HTTP,
//! as the ServiceAccount of the shipped RBAC. One file per promise.

// Outside `#[test]` functions clippy does not see that all of this is test code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)]

#[path = "../support/mod.rs"]
mod support;

mod argo;
mod audit;
mod cluster;
mod front;
mod release;
mod verdict;
mod walk;
mod world;

mod agrees_with_kstatus;
mod answers_probes;
mod catches_up;
mod crashes_lose_nothing;
mod documents_only_what_works;
mod failures_change_nothing;
mod fights_nobody;
mod fills_with_two_writes_a_pool;
mod fits_argo_cd;
mod fits_dashboards;
mod fits_flux;
mod follows_its_source;
mod keeps_identity;
mod keeps_sources_apart;
mod leaks_no_secret;
mod lists_without_a_cluster;
mod locks_no_key;
mod logs_for_its_reader;
mod makes_gitops_files;
mod mirrors_field_for_field;
mod names_what_is_wrong;
mod notices_a_stalled_watch;
mod parks_what_is_refused;
mod prunes_shyly;
mod reads_anything;
mod refuses_bad_specs;
mod relists;
mod repairs;
mod says_when_it_is_stale;
mod shares_sources_by_label;
mod ships_by_helm;
mod ships_least_rights;
mod ships_what_the_server_accepts;
mod shows_only_metrics_it_has;
mod stops_in_time;
mod survives_outages;
mod takes_turns;
mod tells_transitions;
mod trusts_only_what_it_is_told;
mod uses_its_own_identity;
mod waits_for_its_kinds;
mod writes_only_changes;
