//! What a camera's picture itself tells: whether it may be judged, and what is new in it.

use serde::{Deserialize, Serialize};

use super::{Camera, Config, Mount, TelemetrySource, Zone};

/// `[guard]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// Whether the views are watched.
    pub enabled: bool,
    /// A view must be bad for this long before it counts as bad, seconds.
    pub bad_secs: f64,
    /// It must be good again for this long before it counts as good, seconds.
    pub good_secs: f64,
    /// How far a fixed camera may be turned from its reference, share of the picture's width.
    pub shift_max: f64,
    /// The same picture, or the same clock in it, for this long means that it stands, seconds.
    pub frozen_secs: f64,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            enabled: true,
            bad_secs: 10.0,
            good_secs: 10.0,
            shift_max: 0.03,
            frozen_secs: 75.0,
        }
    }
}

/// `[background]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Background {
    /// Whether new things of no known class are looked for, in the zones of fixed cameras.
    pub enabled: bool,
    /// A thing must stand this long before it is one, seconds.
    pub still_secs: f64,
    /// After this long it belongs to the street, seconds.
    pub absorb_secs: f64,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            // Shown on rendered films only so far: whoever switches it on looks at what it finds.
            enabled: false,
            still_secs: 6.0,
            absorb_secs: 3600.0,
        }
    }
}

impl Background {
    /// Nothing new begins where a person or a vehicle was within this time, seconds.
    pub const KNOWN_SECS: f64 = 10.0;

    /// For [`Self::told_secs`] two looks may lie so far apart, seconds: a longer pause counts as one
    /// second, because nobody knows what was there meanwhile.
    pub const APART_SECS: f64 = 2.0;

    /// What came to light where somebody was is told within this time after, seconds, or somebody was
    /// there again: [`Self::KNOWN_SECS`] and `still_secs`, as often as looks may be
    /// [`Self::APART_SECS`] apart, and the looks that make a track of it.
    pub fn told_secs(&self) -> f64 {
        Self::APART_SECS * (Self::KNOWN_SECS + self.still_secs) + 5.0
    }
}

impl Config {
    /// Whether new things of no known class are looked for before `camera`.
    pub fn has_background(&self, camera: &Camera) -> bool {
        self.background.enabled && self.is_fixed(camera)
    }

    /// Whether `camera` looks at the same place for good.
    pub fn is_fixed(&self, camera: &Camera) -> bool {
        match camera.mount {
            Mount::Fixed => true,
            Mount::Moving | Mount::Gimbal => false,
            Mount::Auto => matches!(
                self.telemetry.source,
                TelemetrySource::None | TelemetrySource::Fixed
            ),
        }
    }

    /// Whether a camera of this box moves, and the box perhaps with it.
    pub fn is_moving(&self) -> bool {
        self.camera.iter().any(|camera| !self.is_fixed(camera))
    }

    /// Whether `zone` is a place of the street, and not one of a picture that moves.
    pub fn is_in_place(&self, zone: &Zone) -> bool {
        let camera = self.camera.iter().find(|c| c.name == zone.camera);
        camera.is_none_or(|camera| self.is_fixed(camera))
    }
}
