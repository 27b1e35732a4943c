//! What became of a rule's hit: nothing a rule said may vanish without a word.

use serde::{Deserialize, Serialize};

use super::{Outcome, Stamp, Violation};

/// What became of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HitOutcome {
    /// It opened a case.
    Opened,
    /// It belongs to a case that is open.
    Belongs,
    /// Nothing is done: the place rests after the end of a case.
    CoolingDown,
    /// The case gave way, because too many were open.
    GaveWay,
    /// The case was thrown away.
    Discarded,
    /// The case ends without evidence: the warning was not to be said at this time and place.
    Hushed,
    /// The case was decided, and could not be sealed.
    Failed,
    /// The case was sealed: warned, looked again, gone.
    Corrected,
    /// The case was sealed: warned, looked again, still there.
    Persisted,
    /// The case was sealed: recorded at once.
    Recorded,
}

impl HitOutcome {
    /// Whether it ends the case; every case that was opened is ended once.
    pub fn ends(self) -> bool {
        !matches!(self, Self::Opened | Self::Belongs | Self::CoolingDown)
    }
}

impl From<Outcome> for HitOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Corrected => Self::Corrected,
            Outcome::Persisted => Self::Persisted,
            Outcome::Recorded => Self::Recorded,
        }
    }
}

/// One episode of a rule's suspicion at one place, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// What became of it.
    pub outcome: HitOutcome,
    /// The violation suspected.
    pub violation: Violation,
    /// Index of the camera in the configuration.
    pub camera: usize,
    /// Name of the zone.
    pub zone: String,
    /// Since when it goes on.
    pub since: Stamp,
    /// When it was decided what becomes of it.
    pub at: Stamp,
}
