//! The cloud: signs, asks, reads and classifies. The only way out of it is a complete
//! [`Snapshot`] or a [`PollError`].

mod ambient;
mod client;
mod credentials;
mod endpoint;
mod error;
mod guard;
mod items;
mod loose;
mod reach;
mod request;
mod requests;
pub mod sign;
mod snapshot;
mod wire;

pub use ambient::Ambient;
pub use client::{Client, Target};
pub use credentials::Credentials;
pub use endpoint::{Endpoint, Endpoints};
pub use error::{Class, PollError};
pub use reach::{Reach, Trust};
pub use requests::Requests;
pub use snapshot::{Listed, QueryKey, SetAside, Snapshot};
pub use wire::{Az, Counter, Driver, Drivers, Network, Os, Pool, Resource, Scope, Spec};
