//! What helm makes of the chart, without a cluster. What the API server makes of it is among the
//! promises (`ships_*`).

// Outside `#[test]` functions clippy does not see that all of this is test code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod is_documented;
mod keeps_to_schemas;
mod refuses_wrong_values;
mod renders;
