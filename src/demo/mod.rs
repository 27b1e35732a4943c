//! A whole small town on loopback: everything the daemon talks to, started for a demonstration.
//!
//! **Invariants.** Loopback and free ports only; every process and folder it makes it also ends
//! or names.
//!
//! **Not here.** Nothing the field build needs: the feature `demo` leaves this out.

pub mod broker;
//! What `lingmou demo` needs around the daemon.
//!
//! The RTSP server plays the camera; the tests stream from it too.
//!
//! **Invariants.** Everything listens on loopback only and stops when dropped.
//!
//! **Not here.** Nothing a field installation runs: builds without the feature `demo` leave
//! this module out.

pub mod rtsp;
