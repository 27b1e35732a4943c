//! Commands from people with the right to give them, and what reviewers make of our packages:
//! what is decided about both, apart from the doing.
//!
//! [`decide`] says what becomes of a command that was signed by somebody we know: is it for this
//! box, in time, new, and allowed. [`Verb`] is what can be asked for. [`Limits::leads_only`] says
//! when a rule that reviewers object to makes leads only. [`Settings`] keeps the configurations and
//! certificates an administrator has sent, and which are in force. [`Client`] is the other end: it sends, and
//! believes only a signed reply.
//!
//! **Invariants.** What was sent before is not done again, by number and by id. While the clock is
//! not synchronised only a command that quotes the present nonce is in time. A configuration is
//! tried before it is kept, and a start during its trial ends the trial.
//!
//! **Not here.** Signatures (`witness`), the rows (`store`), the connection (`upload`, `link`), and
//! the doing (`daemon`).

mod certificates;
mod client;
mod decide;
mod objection;
mod settings;
mod trial;
mod verb;

pub use client::{AskError, Asked, Client};
pub use decide::{Decision, Standing, decide, line};
pub use objection::Limits;
pub use settings::{Chosen, Origin, Settings, SettingsError};
pub use trial::{Outcome, Trial};
pub use verb::{Misunderstood, Verb};

/// How far ahead `not_after` may lie, seconds; also how long a nonce holds.
pub const AHEAD_MAX_SECS: i64 = 300;
