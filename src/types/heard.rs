//! What became of a warning: whether it was played, and whether it was heard.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CaseId, Stamp};

/// What a microphone says of a warning that was played. Where there is one and it gave nothing, gave
/// out, or was not waited for, that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "heard")]
pub enum Heard {
    /// The clip was found again in what a microphone took up.
    PlayedHeard {
        /// Loudness of the clip at the microphone, decibels below its full scale (negative).
        level_db: i32,
        /// From the beginning of playing to its arrival, milliseconds; includes the delays of
        /// loudspeaker and microphone.
        delay_ms: u32,
        /// How alike clip and recording are, thousandths; 1000 is the same.
        correlation_permille: u32,
    },
    /// A microphone listened and the clip is not in what it took up.
    PlayedNotHeard,
    /// There is no microphone.
    NoMicrophone,
    /// There was nothing to be heard.
    NotPlayed,
}

/// What became of a warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarnReport {
    /// The case it was played for.
    pub case: CaseId,
    /// When playing began (or was refused).
    pub at: Stamp,
    /// How long the sink really played.
    pub played: Duration,
    /// SHA-256 of the clip's bytes, lower-case hex.
    pub clip_sha256: String,
    /// SHA-256 of the identity's that is before it in the same sound; `None` when there is none.
    #[serde(default)]
    pub identity_sha256: Option<String>,
    /// `None` when the clip was played to its end; otherwise why not.
    pub failure: Option<String>,
    /// Number of the journal line that records it, once there is one.
    pub journal_n: Option<u64>,
    /// Why it was not to be said at this time and place, or could not be: a horn's tone is no
    /// warning. `None` when it was to be said.
    #[serde(default)]
    pub hushed: Option<String>,
    /// What a microphone says of it; `None` when there is one and nobody knows.
    #[serde(default)]
    pub heard: Option<Heard>,
}

impl WarnReport {
    /// Of a warning that was played to its end for so long, of no particular clip, where no microphone listens.
    pub fn in_full(case: CaseId, at: Stamp, played: Duration) -> Self {
        Self {
            case,
            at,
            played,
            clip_sha256: String::new(),
            identity_sha256: None,
            failure: None,
            journal_n: None,
            hushed: None,
            heard: Some(Heard::NoMicrophone),
        }
    }
}
