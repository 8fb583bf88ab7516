//! Mirrors Huawei Cloud ModelArts resource pools into Kubernetes objects.
//!
//! ```text
//! ModelArtsPoolSource ──reconcile──▶ modelarts::Client ──GET /v2/{project}/pools──▶ cloud
//!         ▲                                 │ Snapshot (complete, or it does not exist)
//!         │ status, conditions              ▼
//!         │             mirror::plan(mirrors, snapshot, policy, now) → changes      (pure)
//!         └───────────── outcome ◀── mirror::apply ──create / status PUT / delete──▶ ModelArtsPools
//!                                                ▲                                        │ watch
//!                                                └── Inventory (a fingerprint per mirror) ◀┘
//! ```
//!
//! In reading order: [`api`] is what people see, [`modelarts`] asks the cloud, [`mirror`] decides
//! and writes, [`controller`] puts them in order. Imports point that way only.

pub mod api;
pub mod controller;
pub mod mirror;
pub mod modelarts;

pub mod admin;
pub mod args;
pub mod lease;
pub mod list;
pub mod metrics;
pub mod progress;
pub mod run;
pub mod telemetry;
