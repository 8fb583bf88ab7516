//! The pages say what is so: generated ones are what the code says, links lead somewhere, and
//! every flag, variable, metric, reason, path and make target that they name exists. What needs a
//! cluster is a promise: see `tests/promises/documents_only_what_works.rs`.

// Outside `#[test]` functions clippy does not see that all of this is test code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod links;
mod names;
mod policy;
mod reasons;
mod reference;
