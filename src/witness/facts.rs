//! The parts of a statement, and how they are told from the stages' words.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::wording::name_of;
use crate::config::{self, Config};
use crate::types::{FixKind, Heard, Nameplate, Outcome, Placed, Stamp, TimeSource, Violation};

/// `device`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Equals the subject serialNumber of the signing certificate.
    pub id: String,
    /// The hardware, free text.
    pub model: Option<String>,
    /// IANA time zone used in captions.
    pub tz: String,
    /// The kernel's identifier of the boot in which it was sealed.
    pub boot_id: Option<String>,
}

/// `journal`: the journal's last line when the package was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPoint {
    /// Number of the line that will record this package.
    pub n: u64,
    /// SHA-256 of the line before it, lower-case hex.
    pub prev: String,
}

/// `after`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// SHA-256 of the receipt's bytes, lower-case hex.
    pub receipt_sha256: String,
    /// The receiver's time in it, RFC 3339.
    pub server_time: String,
}

/// `site`: 行政处罚法 art. 41.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The announced number of the place.
    pub public_id: Option<String>,
    /// The announced name of the place.
    pub name: Option<String>,
    /// Reference of the legal and technical review.
    pub approval: Option<String>,
    /// Last day on which the review holds, `YYYY-MM-DD`; `null` when it has no end.
    #[serde(default)]
    pub approval_until: Option<String>,
}

impl Site {
    /// The announced place of the zone `zone` of `config`; `None` when nothing of it is announced.
    pub fn of(config: &Config, zone: &str) -> Option<Self> {
        let place = config.place(zone);
        let site = Self {
            public_id: known(&place.public_id),
            name: known(&place.name),
            approval: known(&place.approval),
            approval_until: known(&place.approval_until),
        };
        let announced = site.public_id.is_some() || site.name.is_some() || site.approval.is_some();
        announced.then_some(site)
    }
}

/// `violation`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViolationFacts {
    /// Which one.
    pub kind: Violation,
    /// The procedure followed, e.g. `warn-then-recheck`.
    pub rule: String,
    /// How the case ended.
    pub outcome: Outcome,
    /// Name of the zone in which it was seen; `null` in packages older than the field.
    #[serde(default)]
    pub zone: Option<String>,
    /// When it was first seen, RFC 3339 UTC.
    pub first_seen: String,
    /// When the outcome was established, RFC 3339 UTC.
    pub confirmed: String,
    /// Seconds from first seen to confirmed, by the boot clock.
    pub dwell_s: Option<u64>,
    /// Earlier cases of this violation at this place that the device remembered; `null` when it
    /// keeps none in mind, and in packages older than the field.
    #[serde(default)]
    pub prior: Option<u32>,
    /// The law the rule stands on; `null` when none is stated, and in packages older than the field.
    #[serde(default)]
    pub law: Option<Law>,
}

/// `asked`: the person who had a package made that no rule made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Subject of the certificate that signed the command.
    pub by: String,
    /// The command's id.
    pub command: Uuid,
    /// SHA-256 of the signed command's bytes, lower-case hex.
    pub command_sha256: String,
    /// When the device accepted it, RFC 3339 UTC.
    pub at: String,
}

/// `violation.law`: as the bureau configured it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Law {
    /// The provision that is broken, and the one that allows this way of recording it.
    pub basis: Option<String>,
    /// The announced band of discretion.
    pub discretion: Option<String>,
    /// The announcement of place, patrol area and rule.
    pub announcement: Option<String>,
}

impl Law {
    /// What the bureau states of a rule; `None` when it states nothing.
    pub fn of(law: &config::Law) -> Option<Self> {
        (*law != config::Law::default()).then(|| Self {
            basis: known(&law.basis),
            discretion: known(&law.discretion),
            announcement: known(&law.announcement),
        })
    }
}

/// A fact of the configuration or of a device; `None` when nothing is stated.
pub(crate) fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// One of `warning`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The journal line that records it.
    pub journal_n: Option<u64>,
    /// When playing began or was refused, RFC 3339 UTC.
    pub at: String,
    /// SHA-256 of the sound file, lower-case hex.
    pub clip_sha256: String,
    /// SHA-256 of the sound file that says who speaks, played before it in the same sound; `null`
    /// in packages older than the field, and when nothing was played.
    #[serde(default)]
    pub identity_sha256: Option<String>,
    /// How long the sound output really played, milliseconds.
    pub played_ms: u64,
    /// Whether the amplifier reported that it played; `null` when it cannot.
    pub acknowledged_by_amp: Option<bool>,
    /// Why it was not played to the end; `null` when it was.
    pub failure: Option<String>,
    /// What a microphone says of it; `null` when there is one and it said nothing, and in packages
    /// older than the field.
    #[serde(default)]
    pub heard: Option<Heard>,
}

/// `clock`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// UTC of the moment `confirmed`, RFC 3339.
    pub utc: String,
    /// The same moment as nanoseconds since boot (`CLOCK_BOOTTIME`).
    pub boottime_ns: u64,
    /// What disciplines the system clock, where known (`ntp`, `gnss+pps`, …).
    pub source: Option<String>,
    /// Whether the kernel says that something disciplines it.
    pub synced: bool,
    /// The kernel's bound of the error, microseconds; `null` when unsynced.
    pub max_error_us: Option<u64>,
    /// Satellite time minus system time, microseconds.
    pub gnss_minus_system_us: Option<i64>,
    /// When the clock was last set by a jump, RFC 3339.
    pub last_step: Option<String>,
    /// Where the pictures' capture time comes from; `null` where theirs differ.
    pub capture_source: Option<TimeSource>,
}

/// `sealed`: the clock that told signingTime. `clock` is of an earlier moment, perhaps of another
/// boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealingClock {
    /// The kernel's bound of its error, microseconds; `null` when unsynced.
    pub max_error_us: Option<u64>,
}

/// `position`: WGS-84 always, never GCJ-02.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Latitude, degrees × 10⁷.
    pub lat_e7: i32,
    /// Longitude, degrees × 10⁷.
    pub lon_e7: i32,
    /// `WGS-84`.
    pub datum: String,
    /// Horizontal accuracy (68 %), millimetres.
    pub h_acc_mm: Option<u32>,
    /// How it was found: `2d`, `3d`, `dgnss`, `rtk_float`, `rtk_fixed`, `surveyed`.
    pub fix: String,
    /// Satellites used.
    pub sats: Option<u8>,
    /// Which instrument spoke: `gpsd`, `mavlink`, `fixed`.
    pub source: String,
    /// Age of the nearest measurement, milliseconds.
    pub age_ms: u64,
}

/// `heading`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// Degrees clockwise from true north × 100.
    pub deg_e2: u32,
    /// Whose.
    pub of: HeadingOf,
}

/// Whose direction a [`Heading`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadingOf {
    /// The camera's optical axis.
    Camera,
    /// The vehicle's nose or course.
    Vehicle,
}

/// `altitude`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Altitude {
    /// Millimetres above mean sea level.
    pub msl_mm: i32,
}

/// `mavlink`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mavlink {
    /// The vehicle's system id.
    pub sysid: u8,
    /// Its flight mode, where known.
    pub mode: Option<String>,
}

/// `camera`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Camera {
    /// Its id in the configuration.
    pub id: String,
    /// Its address without user and password.
    pub rtsp: Option<String>,
    /// Its serial number: the one that it told, else the one configured.
    pub onvif_serial: Option<String>,
    /// What it told of itself over ONVIF; `None` when it told nothing, or before it was asked.
    #[serde(default)]
    pub told: Option<Nameplate>,
    /// The serial number that the configuration says; packages older than the field say nothing.
    #[serde(default)]
    pub configured_serial: Option<String>,
    /// `h264` or `h265`.
    pub codec: Option<String>,
    /// `remux`: the clip holds the camera's own access units.
    pub clip: Option<String>,
}

/// `software`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Software {
    /// `lingmou`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the running program, lower-case hex.
    pub binary_sha256: Option<String>,
    /// SHA-256 of the configuration (it holds no secrets), lower-case hex.
    pub config_sha256: Option<String>,
    /// SHA-256 of the calendar of holidays and permits, lower-case hex; `null` without one, and in
    /// packages older than the field.
    #[serde(default)]
    pub calendar_sha256: Option<String>,
    /// The detector.
    pub model: Option<Model>,
}

/// `software.model`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name on its card.
    pub name: String,
    /// SHA-256 of its file, lower-case hex.
    pub sha256: String,
    /// SHA-256 of its card with labels, roles and thresholds, lower-case hex; `null` in packages
    /// older than the field.
    #[serde(default)]
    pub card_sha256: Option<String>,
    /// Least score of a detection, as configured.
    pub threshold: f32,
}

/// One of `omitted`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omitted {
    /// What is missing, e.g. `clip.mp4`.
    pub what: String,
    /// Why.
    pub why: String,
}

/// The bound of the error of `at`, microseconds.
fn max_error_us(at: Stamp) -> Option<u64> {
    (at.error_ns != Stamp::ERROR_UNKNOWN).then(|| at.error_ns.div_ceil(1000))
}

impl SealingClock {
    /// The clock that told `at`.
    pub(super) fn at(at: Stamp) -> Self {
        Self {
            max_error_us: max_error_us(at),
        }
    }
}

impl Clock {
    /// The clock as `at` tells it; what a [`Stamp`] does not know is left `null`.
    pub fn at(at: Stamp) -> Self {
        let max_error_us = max_error_us(at);
        Self {
            utc: crate::clock::rfc3339_ms(at.utc_ns),
            boottime_ns: at.boot_ns,
            source: None,
            synced: max_error_us.is_some(),
            max_error_us,
            gnss_minus_system_us: None,
            last_step: None,
            capture_source: None,
        }
    }
}

impl Position {
    /// The position in `placed`; `None` when the receiver had no fix.
    pub fn of(placed: &Placed) -> Option<Self> {
        let pose = &placed.pose;
        (pose.fix != FixKind::None).then(|| Self {
            lat_e7: pose.lat_e7,
            lon_e7: pose.lon_e7,
            datum: "WGS-84".to_owned(),
            h_acc_mm: pose.h_acc_mm,
            fix: name_of(&pose.fix),
            sats: pose.sats,
            source: name_of(&pose.source),
            age_ms: placed.age_ms,
        })
    }
}

impl Heading {
    /// Where the camera looks, or else where the vehicle points or moves; `None` when unknown.
    pub fn of(placed: &Placed) -> Option<Self> {
        let pose = &placed.pose;
        let (degrees, of) = match (pose.axis_deg(), pose.heading_deg) {
            (Some(axis), _) => (axis, HeadingOf::Camera),
            (None, Some(heading)) => (heading, HeadingOf::Vehicle),
            (None, None) => return None,
        };
        if !degrees.is_finite() {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0.0 <= rem_euclid(360) * 100 <= 36000"
        )]
        let deg_e2 = (degrees.rem_euclid(360.0) * 100.0).round() as u32 % 36_000;
        Some(Self { deg_e2, of })
    }
}

impl Altitude {
    /// Height above mean sea level, when known.
    pub fn of(placed: &Placed) -> Option<Self> {
        placed.pose.alt_mm.map(|msl_mm| Self { msl_mm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Attitude, Pose, PoseSource};

    const AT: Stamp = Stamp {
        utc_ns: 0,
        boot_ns: 9,
        error_ns: 1_500_001,
    };

    fn placed(edit: impl FnOnce(&mut Pose)) -> Placed {
        let mut pose = Pose {
            sysid: Some(1),
            ..Pose::bare(
                AT,
                (361_600_000, 1_204_300_000),
                (FixKind::Full, PoseSource::Mavlink),
            )
        };
        edit(&mut pose);
        Placed {
            pose,
            age_ms: 180,
            interpolated: true,
        }
    }

    #[test]
    fn a_receiver_without_a_fix_gives_no_position() {
        assert_eq!(Position::of(&placed(|p| p.fix = FixKind::None)), None);
        let position = Position::of(&placed(|_| ())).expect("a 3D fix");
        assert_eq!(
            (position.fix.as_str(), position.source.as_str()),
            ("3d", "mavlink")
        );
        assert_eq!((position.age_ms, position.h_acc_mm), (180, None));
    }

    #[test]
    fn the_camera_s_own_direction_goes_before_the_vehicle_s() {
        let camera = Attitude {
            roll_deg: 0.0,
            pitch_deg: -30.0,
            yaw_deg: -0.004,
        };
        let both = placed(|p| (p.camera, p.heading_deg) = (Some(camera), Some(90.25)));
        let heading = Heading::of(&both).expect("known");
        assert_eq!(
            (heading.deg_e2, heading.of),
            (0, HeadingOf::Camera),
            "360.00 is 0.00"
        );
        let heading = Heading::of(&placed(|p| p.heading_deg = Some(90.25))).expect("known");
        assert_eq!((heading.deg_e2, heading.of), (9025, HeadingOf::Vehicle));
        // A pole has no nose: what was surveyed is where its camera looks.
        let pole = placed(|p| (p.heading_deg, p.source) = (Some(90.25), PoseSource::Fixed));
        let heading = Heading::of(&pole).expect("known");
        assert_eq!((heading.deg_e2, heading.of), (9025, HeadingOf::Camera));
        assert_eq!(
            Heading::of(&placed(|p| p.heading_deg = Some(f32::NAN))),
            None
        );
        assert_eq!(Heading::of(&placed(|_| ())), None);
    }

    #[test]
    fn the_clock_s_error_is_rounded_up_or_unknown() {
        let clock = Clock::at(AT);
        assert_eq!((clock.synced, clock.max_error_us), (true, Some(1501)));
        let unknown = Clock::at(Stamp {
            error_ns: Stamp::ERROR_UNKNOWN,
            ..AT
        });
        assert_eq!((unknown.synced, unknown.max_error_us), (false, None));
    }
}
