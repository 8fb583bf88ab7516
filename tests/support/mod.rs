//! What the tests of this project share.

pub mod simulator;
