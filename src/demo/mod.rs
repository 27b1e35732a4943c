//! What `lingmou demo` needs around the daemon.
//!
//! The RTSP server plays the camera; the tests stream from it too.
//!
//! **Invariants.** Everything listens on loopback only and stops when dropped.
//!
//! **Not here.** Nothing a field installation runs: builds without the feature `demo` leave
//! this module out.

pub mod rtsp;
