//! Where the box is and where it looks.

use serde::{Deserialize, Serialize};

use std::time::Duration;

use super::Stamp;

/// How a position was found. Order is by trust, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixKind {
    /// The receiver has no position.
    None,
    /// Latitude and longitude only.
    #[serde(rename = "2d")]
    Flat,
    /// Latitude, longitude and height.
    #[serde(rename = "3d")]
    Full,
    /// Differential corrections (DGNSS, SBAS).
    Dgnss,
    /// Real-time kinematic, ambiguities not fixed.
    RtkFloat,
    /// Real-time kinematic, ambiguities fixed.
    RtkFixed,
    /// A surveyed position from the configuration (pole).
    Surveyed,
}

/// Which instrument spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoseSource {
    /// The configuration (`[telemetry] source = "fixed"`).
    Fixed,
    /// A gpsd daemon.
    Gpsd,
    /// A MAVLink autopilot.
    Mavlink,
}

/// An orientation in degrees.
///
/// For the vehicle: body frame against north-east-down (MAVLink `ATTITUDE`).
/// For the camera: the optical axis against north-east-down; yaw is then the compass
/// bearing of the axis, pitch is negative when it looks down.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attitude {
    /// Degrees, −180..180, right side down positive.
    pub roll_deg: f32,
    /// Degrees, −90..90, nose up positive.
    pub pitch_deg: f32,
    /// Degrees, 0..360, clockwise from true north.
    pub yaw_deg: f32,
}

/// Position and orientation of the box at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pose {
    /// When it was true (receipt of the message unless the source carries a time).
    pub at: Stamp,
    /// WGS-84 latitude in degrees × 10⁷.
    pub lat_e7: i32,
    /// WGS-84 longitude in degrees × 10⁷.
    pub lon_e7: i32,
    /// Height above mean sea level in millimetres.
    pub alt_mm: Option<i32>,
    /// Horizontal accuracy in millimetres (68 %), as the receiver estimates it; in what is stated also
    /// what [`Placed::accuracy_mm`] adds.
    pub h_acc_mm: Option<u32>,
    /// Horizontal dilution of precision × 100.
    pub hdop_e2: Option<u16>,
    /// Dilution of precision in three dimensions × 100.
    #[serde(default)]
    pub pdop_e2: Option<u16>,
    /// The satellites' own UTC of this moment, microseconds since 1970, where they told it: `at` is by
    /// this box's clock, which may be wrong.
    #[serde(default)]
    pub satellite_us: Option<i64>,
    /// How the position was found.
    pub fix: FixKind,
    /// Satellites used.
    pub sats: Option<u8>,
    /// Course or heading over ground, of a surveyed pole the bearing of its camera; degrees
    /// clockwise from true north.
    pub heading_deg: Option<f32>,
    /// Ground speed in metres per second.
    pub speed_mps: Option<f32>,
    /// The vehicle's attitude.
    pub attitude: Option<Attitude>,
    /// The camera's optical axis, when a gimbal or the configuration tells it.
    pub camera: Option<Attitude>,
    /// Which instrument spoke.
    pub source: PoseSource,
    /// MAVLink system id, when the source is MAVLink.
    pub sysid: Option<u8>,
}

impl Pose {
    /// A place (WGS-84 latitude and longitude in degrees × 10⁷) of which nothing else is known.
    pub fn bare(
        at: Stamp,
        (lat_e7, lon_e7): (i32, i32),
        (fix, source): (FixKind, PoseSource),
    ) -> Self {
        Self {
            at,
            lat_e7,
            lon_e7,
            alt_mm: None,
            h_acc_mm: None,
            hdop_e2: None,
            pdop_e2: None,
            satellite_us: None,
            fix,
            sats: None,
            heading_deg: None,
            speed_mps: None,
            attitude: None,
            camera: None,
            source,
            sysid: None,
        }
    }

    /// Compass bearing of the camera's optical axis, degrees: a gimbal's, or what was surveyed of a
    /// pole's camera, which has no heading besides.
    pub fn axis_deg(&self) -> Option<f32> {
        let surveyed = self
            .heading_deg
            .filter(|_| self.source == PoseSource::Fixed);
        self.camera.map(|axis| axis.yaw_deg).or(surveyed)
    }
}

/// A pose asked for at a moment, and how stale the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// The pose, interpolated to the moment asked for where both neighbours are known.
    pub pose: Pose,
    /// Distance in time from the moment asked for to the nearest measurement, milliseconds.
    pub age_ms: u64,
    /// Whether the pose lies between two measurements (true) or repeats the last one.
    pub interpolated: bool,
}

/// A measurement older than this, milliseconds, says where the box was.
const AGE_MAX_MS: u64 = 5_000;

/// The error of a position whose receiver does not say how far it errs.
const ERROR_UNTOLD_MM: u32 = 10_000;

/// A position that errs by more does not tell one end of a street from the other.
const VAGUE_MM: u32 = 30_000;

impl Placed {
    /// Whether it is a receiver's word, and of now. Without a fix a position is carried on by
    /// sensors, and so is the speed.
    pub fn is_current(&self) -> bool {
        self.pose.fix != FixKind::None && !is_old(self.age_ms)
    }

    /// How far the position may be off, as the receiver estimates it, millimetres.
    pub fn error_mm(&self) -> u32 {
        self.pose.h_acc_mm.unwrap_or(ERROR_UNTOLD_MM)
    }

    /// How far off the place may be of the moment asked for, millimetres: the receiver's estimate, and
    /// how far the box goes in the time by which that moment may be another, and in the age of a
    /// measurement that is only repeated. `None` where one of them is not known. What was surveyed stands.
    pub fn accuracy_mm(&self, moment: Stamp) -> Option<u32> {
        let told_mm = self.pose.h_acc_mm?;
        if self.pose.source == PoseSource::Fixed {
            return Some(told_mm);
        }
        let known = moment.error_ns != Stamp::ERROR_UNKNOWN;
        let off_by = known.then(|| Duration::from_nanos(moment.error_ns))?;
        let old_by = if self.interpolated { 0 } else { self.age_ms };
        let secs = (off_by + Duration::from_millis(old_by)).as_secs_f64();
        let goes_mm = (f64::from(self.speed_mps()?) * secs * 1000.0).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates, and NaN is left out"
        )]
        (goes_mm >= 0.0).then(|| told_mm.saturating_add(goes_mm as u32))
    }

    /// Whether it says where in the street the box is.
    pub fn tells_place(&self) -> bool {
        self.is_current() && !is_vague(self.error_mm())
    }

    /// Ground speed now, metres per second; `None` when it is not known.
    pub fn speed_mps(&self) -> Option<f32> {
        self.pose.speed_mps.filter(|_| self.is_current())
    }
}

/// Whether what was measured so many milliseconds before or after a moment says nothing of it.
pub fn is_old(age_ms: u64) -> bool {
    age_ms > AGE_MAX_MS
}

/// Whether a position with this error does not tell one place of a street from another.
pub fn is_vague(error_mm: u32) -> bool {
    error_mm > VAGUE_MM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_no_surer_than_its_moment() {
        const NEVER_MS: u64 = u64::MAX;
        let told = |speed_mps, age_ms, interpolated, error_ms: u64| {
            let at = Stamp {
                utc_ns: 1,
                boot_ns: 90_000_000_000,
                error_ns: error_ms.saturating_mul(1_000_000),
            };
            let pose = Pose {
                h_acc_mm: Some(1_500),
                speed_mps,
                ..Pose::bare(at, (1, 1), (FixKind::Full, PoseSource::Mavlink))
            };
            let placed = |pose| Placed {
                pose,
                age_ms,
                interpolated,
            };
            let surveyed = Pose {
                source: PoseSource::Fixed,
                ..pose
            };
            let untold = Pose {
                h_acc_mm: None,
                ..pose
            };
            assert_eq!(placed(surveyed).accuracy_mm(at), Some(1_500));
            assert_eq!(placed(untold).accuracy_mm(at), None);
            placed(pose).accuracy_mm(at)
        };
        for (speed_mps, age_ms, interpolated, error_ms, wanted) in [
            (Some(0.0), 0, true, 1_000, Some(1_500)),
            (Some(10.0), 40, true, 1_000, Some(11_500)),
            (Some(10.0), 40, true, 0, Some(1_500)),
            // Between two measurements it is known where the box went, after the last it is not.
            (Some(10.0), 400, false, 503, Some(10_531)),
            (Some(10.0), 5_001, false, 503, None),
            (Some(10.0), 40, true, NEVER_MS, None),
            (None, 40, true, 3, None),
            (Some(f32::NAN), 40, true, 3, None),
            (Some(f32::MAX), 40, true, 1_000, Some(u32::MAX)),
        ] {
            let got = told(speed_mps, age_ms, interpolated, error_ms);
            assert_eq!(got, wanted, "{speed_mps:?} {age_ms} {error_ms}");
        }
    }
}
