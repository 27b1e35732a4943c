//! What stands in for the world in `lingmou demo` and in the tests.
//!
//! **Invariants.** Everything listens and speaks on loopback only unless told another address,
//! and stops when dropped.
//!
//! **Not here.** Nothing the daemon needs in the field: small builds leave this module out.

pub mod vehicle;
