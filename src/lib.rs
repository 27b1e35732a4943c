//! Lingmou: an edge capture daemon that sees, warns first, and seals evidence anyone can verify.
//!
//! Evidence goes one way: frames come **in** ([`ingest`]), are **seen** ([`perceive`]),
//! **judged** ([`judge`]), made into pictures ([`develop`]), **witnessed** ([`witness`]),
//! **kept** ([`store`]), **sent** ([`upload`]). [`warn`] hangs off judgement and reports back.
//! Stages do not know each other: they speak in [`types`], and only [`daemon`] joins them.
//! `docs/ARCHITECTURE.md` draws it.

pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod daemon;
#[cfg(feature = "demo")]
pub mod demo;
pub mod develop;
pub mod disk;
pub mod http;
pub mod ingest;
pub mod journal;
pub mod judge;
pub mod link;
pub mod perceive;
pub mod pki;
pub mod receive;
pub mod status;
pub mod store;
pub mod telemetry;
pub mod types;
pub mod upload;
pub mod warn;
pub mod witness;
