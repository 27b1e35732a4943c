//! `evidence.json`: what the device states about one case.
//!
//! I-JSON (RFC 7493) with every number a whole one below 2^53; the single exception is
//! `software.model.threshold`, a setting quoted as configured. A fact that is not known is
//! `null`. Readers ignore fields they do not know; `v` rises only when a known field changes
//! its meaning.

use serde::{Deserialize, Serialize};

use super::name::{NameError, check_name};
use super::{MANIFEST, SIGNATURE, STATEMENT};
use crate::types::{CaseId, FixKind, Outcome, Placed, PoseSource, Stamp, TimeSource, Violation};

/// Value of `v`.
const VERSION: u32 = 1;
/// Value of `type`.
const KIND: &str = "lingmou.evidence";
/// Largest whole number that every JSON reader keeps exactly (RFC 7493 section 2.2).
const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Largest statement read.
const BYTES_MAX: usize = 1 << 20;

/// Why a statement cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// It is not the JSON this version defines.
    #[error("evidence.json: {0}")]
    Json(#[from] serde_json::Error),
    /// It is of another type or version.
    #[error("evidence.json: type {kind:?} version {v} is not supported by this program")]
    Version {
        /// Its `type`.
        kind: String,
        /// Its `v`.
        v: u32,
    },
    /// A listed file has an illegal name.
    #[error("evidence.json: files: {0}")]
    Name(#[from] NameError),
    /// A fact has an impossible value.
    #[error("evidence.json: {field}: {why}")]
    Fact {
        /// The field.
        field: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// The statement. Field names are the format's; see `docs/EVIDENCE.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Format version, 1.
    pub v: u32,
    /// `lingmou.evidence`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The case and package.
    pub id: CaseId,
    /// Who states.
    pub device: Device,
    /// Counts this device's packages without gaps.
    pub seq: u64,
    /// Where in the device's journal it stands.
    pub journal: JournalPoint,
    /// The last receipt known when it was sealed: a lower bound of time.
    pub after: Option<After>,
    /// The announced place.
    pub site: Option<Site>,
    /// What was seen and how it ended.
    pub violation: ViolationFacts,
    /// Every warning that was tried, in order.
    pub warning: Vec<Warning>,
    /// The clock at `confirmed`.
    pub clock: Clock,
    /// Where the box was at `confirmed`.
    pub position: Option<Position>,
    /// Where it looked or moved to.
    pub heading: Option<Heading>,
    /// How high it was.
    pub altitude: Option<Altitude>,
    /// The autopilot, for a drone.
    pub mavlink: Option<Mavlink>,
    /// The camera.
    pub camera: Camera,
    /// The program, its configuration and its model.
    pub software: Software,
    /// What belongs in a package but is missing, and why.
    pub omitted: Vec<Omitted>,
    /// Every other signed file.
    pub files: Vec<FileEntry>,
}

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
    /// When it was first seen, RFC 3339 UTC.
    pub first_seen: String,
    /// When the outcome was established, RFC 3339 UTC.
    pub confirmed: String,
    /// Seconds from first seen to confirmed, by the boot clock.
    pub dwell_s: Option<u64>,
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
    /// How long the sound output really played, milliseconds.
    pub played_ms: u64,
    /// Whether the amplifier reported that it played; `null` when it cannot.
    pub acknowledged_by_amp: Option<bool>,
    /// Why it was not played to the end; `null` when it was.
    pub failure: Option<String>,
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
    /// Where the pictures' capture time comes from.
    pub capture_source: Option<TimeSource>,
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
    /// How it was found.
    pub fix: FixKind,
    /// Satellites used.
    pub sats: Option<u8>,
    /// Which instrument spoke.
    pub source: PoseSource,
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
    /// The serial number it tells over ONVIF.
    pub onvif_serial: Option<String>,
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

/// One of `files`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the package.
    pub name: String,
    /// Its media type.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Its size, bytes.
    pub size: u64,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
    /// When it was captured, RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The same on the camera's own time line, nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pts_ns: Option<u64>,
}

impl Statement {
    /// `v` and `type` of what this program writes.
    pub const HEAD: (u32, &str) = (VERSION, KIND);

    /// Reads and checks a statement.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        #[derive(Deserialize)]
        struct Head {
            v: u32,
            #[serde(rename = "type")]
            kind: String,
        }
        if bytes.len() > BYTES_MAX {
            return Err(fact("evidence.json", "larger than 1 MiB"));
        }
        // The version first: a later one may not fit the struct at all.
        let head: Head = serde_json::from_slice(bytes)?;
        if head.v != VERSION || head.kind != KIND {
            return Err(StatementError::Version {
                kind: head.kind,
                v: head.v,
            });
        }
        let statement: Self = serde_json::from_slice(bytes)?;
        statement.check()?;
        Ok(statement)
    }

    /// The bytes to sign: UTF-8, indented, one newline at the end. Written once.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StatementError> {
        self.check()?;
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Checks what the types cannot say.
    fn check(&self) -> Result<(), StatementError> {
        if (self.v, self.kind.as_str()) != Self::HEAD {
            return Err(StatementError::Version {
                kind: self.kind.clone(),
                v: self.v,
            });
        }
        for (field, value) in [
            ("seq", Some(self.seq)),
            ("journal.n", Some(self.journal.n)),
            ("violation.dwell_s", self.violation.dwell_s),
            ("clock.boottime_ns", Some(self.clock.boottime_ns)),
            ("clock.max_error_us", self.clock.max_error_us),
        ] {
            whole(field, value)?;
        }
        sha256("journal.prev", Some(&self.journal.prev))?;
        sha256(
            "after.receipt_sha256",
            self.after.as_ref().map(|after| &after.receipt_sha256),
        )?;
        sha256(
            "software.binary_sha256",
            self.software.binary_sha256.as_ref(),
        )?;
        sha256(
            "software.config_sha256",
            self.software.config_sha256.as_ref(),
        )?;
        if let Some(model) = &self.software.model {
            sha256("software.model.sha256", Some(&model.sha256))?;
        }
        for warning in &self.warning {
            sha256("warning.clip_sha256", Some(&warning.clip_sha256))?;
            whole("warning.played_ms", Some(warning.played_ms))?;
        }
        for time in self.times() {
            moment(time.0, time.1)?;
        }
        check_files(&self.files)
    }

    /// Every field that holds a moment.
    fn times(&self) -> Vec<(&'static str, &str)> {
        let mut times = vec![
            ("violation.first_seen", self.violation.first_seen.as_str()),
            ("violation.confirmed", self.violation.confirmed.as_str()),
            ("clock.utc", self.clock.utc.as_str()),
        ];
        times.extend(
            self.after
                .iter()
                .map(|a| ("after.server_time", a.server_time.as_str())),
        );
        times.extend(
            self.clock
                .last_step
                .iter()
                .map(|t| ("clock.last_step", t.as_str())),
        );
        times.extend(self.warning.iter().map(|w| ("warning.at", w.at.as_str())));
        times.extend(
            self.files
                .iter()
                .filter_map(|f| f.at.as_deref())
                .map(|t| ("files.at", t)),
        );
        times
    }
}

impl Clock {
    /// The clock as `at` tells it; what a [`Stamp`] does not know is left `null`.
    pub fn at(at: Stamp) -> Self {
        let known = at.error_ns != Stamp::ERROR_UNKNOWN;
        Self {
            utc: crate::clock::rfc3339_ms(at.utc_ns),
            boottime_ns: at.boot_ns,
            source: None,
            synced: known,
            max_error_us: known.then(|| at.error_ns.div_ceil(1000)),
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
            fix: pose.fix,
            sats: pose.sats,
            source: pose.source,
            age_ms: placed.age_ms,
        })
    }
}

impl Heading {
    /// Where the camera looks, or else where the vehicle points or moves; `None` when unknown.
    pub fn of(placed: &Placed) -> Option<Self> {
        let pose = &placed.pose;
        let (degrees, of) = match (pose.camera, pose.heading_deg) {
            (Some(camera), _) => (camera.yaw_deg, HeadingOf::Camera),
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

fn fact(field: &str, why: &'static str) -> StatementError {
    StatementError::Fact {
        field: field.to_owned(),
        why,
    }
}

fn whole(field: &str, value: Option<u64>) -> Result<(), StatementError> {
    match value {
        Some(value) if value > INTEGER_MAX => Err(fact(field, "2^53 or more (RFC 7493)")),
        _ => Ok(()),
    }
}

fn sha256(field: &str, value: Option<&String>) -> Result<(), StatementError> {
    let is_hex =
        |s: &String| s.len() == 64 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match value {
        Some(value) if !is_hex(value) => Err(fact(field, "not 64 lower-case hex digits")),
        _ => Ok(()),
    }
}

fn moment(field: &str, text: &str) -> Result<(), StatementError> {
    match text.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(()),
        Err(_) => Err(fact(field, "not an RFC 3339 time")),
    }
}

fn check_files(files: &[FileEntry]) -> Result<(), StatementError> {
    let mut seen = std::collections::BTreeSet::new();
    for file in files {
        check_name(&file.name)?;
        if file.name.starts_with("META-INF/")
            || [super::MIMETYPE, STATEMENT, MANIFEST, SIGNATURE].contains(&file.name.as_str())
        {
            return Err(fact(
                &format!("files: {}", file.name),
                "the name is reserved",
            ));
        }
        if !seen.insert(&file.name) {
            return Err(fact(&format!("files: {}", file.name), "listed twice"));
        }
        whole("files.size", Some(file.size))?;
        whole("files.pts_ns", file.pts_ns)?;
        sha256("files.sha256", Some(&file.sha256))?;
        if !is_media_type(&file.media_type) {
            return Err(fact(
                &format!("files: {}", file.name),
                "type is not a media type",
            ));
        }
    }
    Ok(())
}

/// Whether `text` is a media type without parameters (RFC 6838 section 4.2).
pub(super) fn is_media_type(text: &str) -> bool {
    let token = |s: &str| {
        !s.is_empty()
            && s.len() <= 127
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-' | b'_'))
    };
    text.split_once('/')
        .is_some_and(|(kind, sub)| token(kind) && token(sub))
}
