//! A whole small town on loopback: everything the daemon talks to, started for a demonstration.
//!
//! **Invariants.** Loopback and free ports only; every process and folder it makes it also ends
//! or names.
//!
//! **Not here.** Nothing the field build needs: the feature `demo` leaves this out.

pub mod broker;
