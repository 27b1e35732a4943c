//! The horn of a MAVLink vehicle.

use serde::{Deserialize, Serialize};

/// `[warn.horn]`: what `[warn.speaker] kind = "mavlink"` sounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Horn {
    /// What the vehicle drives it by.
    pub drive: Drive,
    /// Number of the relay (from 0) or of the servo output (from 9: the first eight drive motors
    /// on most vehicles).
    pub number: u8,
    /// `drive = "servo"`: pulse with which it sounds, microseconds.
    pub on_us: u16,
    /// `drive = "servo"`: pulse with which it is silent, microseconds.
    pub off_us: u16,
    /// How long it sounds, seconds; a tune that takes longer is cut short.
    pub secs: f64,
    /// `drive = "tune"`: the tune, as the `PLAY` of `QBasic` 1.1 takes it.
    pub tune: String,
}

impl Default for Horn {
    fn default() -> Self {
        Self {
            drive: Drive::Relay,
            number: 0,
            on_us: 1900,
            off_us: 1100,
            secs: 2.0,
            tune: "MFT120L4O3CGL2C".to_owned(),
        }
    }
}

/// What a vehicle drives its horn by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drive {
    /// A relay (`MAV_CMD_DO_SET_RELAY`).
    Relay,
    /// A servo output (`MAV_CMD_DO_SET_SERVO`).
    Servo,
    /// Its own sounder, with a tune (`PLAY_TUNE_V2`).
    Tune,
}
