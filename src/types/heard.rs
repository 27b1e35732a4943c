//! Whether somebody listened when a warning was played, and what was heard.

use serde::{Deserialize, Serialize};

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
