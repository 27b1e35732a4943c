//! The box itself: who it is, where it stands, what it keeps.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[device]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Device {
    /// The device id; equals the serialNumber of its certificates. `[A-Za-z0-9-]`, 1–64.
    pub id: String,
    /// Free text: the hardware.
    pub model: String,
    /// IANA time zone used in captions.
    pub time_zone: String,
    /// The bureau's name as officers and passers-by read it.
    pub bureau: String,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            id: "LM-0000".to_owned(),
            model: String::new(),
            time_zone: "Asia/Shanghai".to_owned(),
            bureau: String::new(),
        }
    }
}

/// `[site]`: the announced place (行政处罚法 art. 41). Empty means not announced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// The announced number of the place.
    pub public_id: String,
    /// The announced name of the place.
    pub name: String,
    /// Reference of the legal and technical review.
    pub approval: String,
    /// Last day on which the review holds, `YYYY-MM-DD`; empty when it has no end.
    pub approval_until: String,
}

/// `[telemetry]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Where the position comes from.
    pub source: TelemetrySource,
    /// `fixed`: surveyed latitude, degrees WGS-84.
    pub lat: f64,
    /// `fixed`: surveyed longitude, degrees WGS-84.
    pub lon: f64,
    /// `fixed`: height above mean sea level, metres, where it was surveyed.
    pub alt_m: Option<f64>,
    /// `fixed`: accuracy of the survey, metres.
    pub accuracy_m: f64,
    /// `fixed`: compass bearing the box's only camera looks to, degrees; negative when unknown.
    pub bearing_deg: f64,
    /// `gpsd`: host and port.
    pub gpsd: String,
    /// `mavlink`: the link.
    pub mavlink: MavlinkLink,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            source: TelemetrySource::None,
            lat: 0.0,
            lon: 0.0,
            alt_m: None,
            accuracy_m: 0.0,
            bearing_deg: -1.0,
            gpsd: String::new(),
            mavlink: MavlinkLink::default(),
        }
    }
}

/// Where the position comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TelemetrySource {
    /// Nowhere: packages say that the position is unknown.
    #[default]
    None,
    /// The surveyed position of a pole.
    Fixed,
    /// gpsd on this box (patrol car).
    Gpsd,
    /// An autopilot (drone).
    Mavlink,
}

/// `[telemetry.mavlink]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MavlinkLink {
    /// `udpin:HOST:PORT` (we listen), `udpout:HOST:PORT`, `tcpin:…`, `tcpout:…` or
    /// `serial:DEVICE:BAUD`.
    pub address: String,
    /// Our system id; the vehicle's own, so that we count as its onboard computer.
    pub system_id: u8,
    /// Our component id; 191 is `MAV_COMP_ID_ONBOARD_COMPUTER`.
    pub component_id: u8,
    /// Listen only to this vehicle; 0 means the first autopilot heard.
    pub target_system: u8,
    /// How often position and attitude are asked for, per second.
    pub rate_hz: f64,
}

impl Default for MavlinkLink {
    fn default() -> Self {
        Self {
            address: "udpin:127.0.0.1:14550".to_owned(),
            system_id: 1,
            component_id: 191,
            target_system: 0,
            rate_hz: 10.0,
        }
    }
}

/// `[evidence]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evidence {
    /// JPEG quality, 1–100.
    pub jpeg_quality: u8,
    /// Seconds of video kept before the trigger.
    pub clip_before_secs: f64,
    /// Seconds of video kept after the trigger.
    pub clip_after_secs: f64,
    /// A picture may be taken this many seconds before or after its moment, where the video of
    /// that time is better.
    pub best_of_secs: f64,
    /// Evidence: least time between the first and the last picture of what stands, seconds.
    pub spacing_min_secs: f64,
    /// Evidence: least way of what moves between two pictures, share of the picture's width.
    pub displacement_min: f64,
    /// Evidence: least sharpness (`types::Quality::focus`).
    pub focus_min: u32,
    /// Evidence: least mean luma round the subject, 0–255.
    pub exposure_min: u32,
    /// Evidence: largest mean luma round the subject, 0–255.
    pub exposure_max: u32,
    /// Evidence: largest share of pixels round the subject that are black or white.
    pub clipped_max: f64,
    /// Evidence: least shorter side of the subject's box, pixels.
    pub subject_min_px: u32,
    /// Evidence: largest horizontal error of the position (68 %), metres.
    pub position_accuracy_max_m: f64,
    /// Evidence: how far the nearest measurement of the position may be away, seconds.
    pub position_age_max_secs: f64,
    /// Evidence: how far the camera may turn between the first and the last picture, share of
    /// the picture's width.
    pub camera_shift_max: f64,
    /// Evidence: how alike the first and the last picture must be round the subject, 1 is the same.
    pub camera_similarity_min: f64,
    /// Font file for captions; empty means the best CJK font fontconfig knows.
    pub font: PathBuf,
    /// File with the words of the captions; empty means the built-in Chinese ones.
    pub wording: PathBuf,
    /// Whether pictures and clip carry a C2PA manifest; needs the Cargo feature `c2pa`.
    pub c2pa: bool,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            jpeg_quality: 90,
            clip_before_secs: 5.0,
            clip_after_secs: 5.0,
            best_of_secs: 0.6,
            spacing_min_secs: 10.0,
            displacement_min: 0.05,
            focus_min: 350,
            exposure_min: 40,
            exposure_max: 215,
            clipped_max: 0.25,
            subject_min_px: 32,
            position_accuracy_max_m: 20.0,
            position_age_max_secs: 2.0,
            camera_shift_max: 0.02,
            camera_similarity_min: 0.5,
            font: PathBuf::new(),
            wording: PathBuf::new(),
            c2pa: false,
        }
    }
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Everything that must survive: packages, journal, queue.
    pub dir: PathBuf,
    /// Socket and other things of one run.
    pub run_dir: PathBuf,
    /// New packages are refused when less than this is free on the disk, MiB.
    pub keep_free_mib: u64,
    /// The store takes at most this, MiB; 0: whatever the disk has beyond `keep_free_mib`.
    pub quota_mib: u64,
    /// Room held in reserve for journal and database on a full disk, MiB; 0: none.
    pub ballast_mib: u64,
    /// Pictures and video of receipted packages stay this many days, while there is room.
    pub keep_days: u64,
    /// What must be there before pictures and video of a package are removed.
    pub prune_needs: PruneNeeds,
    /// Folder on another medium for the second copy; empty: none.
    pub mirror: PathBuf,
}

/// What must be there before pictures and video of a package are removed here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PruneNeeds {
    /// The receiver's receipt that says two copies or more, and the second copy here.
    #[default]
    MirrorAndCopies,
    /// The receiver's receipt.
    Receipt,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            dir: "/var/lib/lingmou".into(),
            run_dir: "/run/lingmou".into(),
            keep_free_mib: 256,
            quota_mib: 0,
            ballast_mib: 64,
            keep_days: 30,
            prune_needs: PruneNeeds::default(),
            mirror: PathBuf::new(),
        }
    }
}
