//! A whole small town on loopback: everything the daemon talks to, started for a demonstration.
//!
//! The RTSP server plays the camera, the vehicle flies, the broker carries; the tests use them
//! too, as real peers.
//!
//! **Invariants.** Loopback and free ports only; every process, thread and folder it makes it
//! also ends or names.
//!
//! **Not here.** Nothing a field installation runs: builds without the feature `demo` leave this
//! module out.

pub mod broker;
pub mod rtsp;
pub mod vehicle;
