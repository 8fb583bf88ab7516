//! What the test binaries of this project share.

// Outside `#[test]` functions clippy does not see that this is test code, and each binary uses
// its own part of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

pub mod exposition;
pub mod generated;
pub mod helm;
pub mod markdown;
pub mod simulator;
pub mod tools;
