//! What every request to a device on the network needs: `curl` with orders that no other user sees,
//! and digest authentication.
//!
//! **Invariants.** No password is on a command line, and none is sent in clear: it is proved.
//!
//! **Not here.** What is asked and said, and the connection to the bureau (`link`).

mod curl;
mod digest;

pub use curl::{CURL, Login, Orders, password, quoted};
pub use digest::Challenge;
