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
    /// Nothing is done: a permit covers it. No case is opened; its id names this episode.
    Permitted,
    /// The case ends with the warning that was heard: the first time at this place.
    Reminded,
    /// The case gave way, because too many were open.
    GaveWay,
    /// The case was thrown away.
    Discarded,
    /// The case ends without evidence: at its place another thing stands than the one warned.
    Replaced,
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
        !matches!(
            self,
            Self::Opened | Self::Belongs | Self::CoolingDown | Self::Permitted
        )
    }

    /// Whether the case ended with a warning that was heard.
    pub fn was_warned(self) -> bool {
        matches!(self, Self::Corrected | Self::Persisted | Self::Reminded)
    }

    /// Whether what was kept for the case is thrown away.
    pub fn keeps_nothing(self) -> bool {
        matches!(
            self,
            Self::Discarded | Self::GaveWay | Self::Reminded | Self::Replaced | Self::Hushed
        )
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
    /// The permit that covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<String>,
    /// What the rule held against what it saw, when the hit is told for the first time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
}

/// One condition of a rule, held against what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Which one; `docs/RULES.md` lists them.
    pub gate: String,
    /// What was seen.
    pub value: String,
    /// What is demanded.
    pub limit: String,
    /// Whether it is met.
    pub pass: bool,
}
