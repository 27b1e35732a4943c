//! A horn on the vehicle: what is known after it was asked to sound.

use std::time::Duration;

use super::Stamp;

/// What became of a tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tooted {
    /// When the vehicle said that the horn is on, or, where it says nothing, when it was asked.
    pub began: Option<Stamp>,
    /// For how long it was on.
    pub sounded: Duration,
    /// Why it did not sound, not to its end, or may still sound; `None` when all went well.
    pub failure: Option<String>,
}
