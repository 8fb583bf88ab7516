//! The mirror: what is there ([`Inventory`]), what should be there ([`project()`]), what to do
//! about the difference ([`plan()`]), and the one writer ([`apply`]).
//!
//! `plan` and `project` import no client, no clock and no environment.

pub mod apply;
mod bound;
mod health;
mod inventory;
mod name;
mod plan;
mod project;
mod prune;
mod refusal;
mod stamp;
mod tally;
mod transition;
mod watch;
mod writes;

pub use inventory::{Fingerprint, Intended, Inventory, Mirror, Mirrors};
pub use name::{is_dns1123, object_names};
pub use plan::{Action, Change, Pace, Plan, Policy, Version, Why, plan, plan_stale};
pub use project::project;
pub use prune::{Absences, Blocked};
pub use refusal::Refusal;
pub use stamp::{Owner, stamped};
pub use tally::{Accelerator, Tally};
pub use watch::watch;
pub(crate) use watch::{attend, config as watch_config};
pub use writes::{DEADLINE, Verb, Writes};
