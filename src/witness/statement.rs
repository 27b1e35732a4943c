//! `evidence.json`: what the device states about one case.
//!
//! I-JSON (RFC 7493), numbers whole and below 2^53, but for `software.model.threshold`, a setting
//! quoted as configured, and nanoseconds since boot (`clock.boottime_ns`, `files.pts_ns`). A fact that is
//! not known is `null`. Readers ignore other fields; `v` rises only when a known one changes its meaning.

use serde::{Deserialize, Serialize};

use super::facts::{
    After, Altitude, Asked, Camera, Clock, Device, Heading, JournalPoint, Mavlink, Omitted,
    Position, SealingClock, Site, Software, ViolationFacts, Warning,
};
use super::grade::{Grade, Grading};
use super::name::{NameError, check_name};
use super::{MANIFEST, SIGNATURE, STATEMENT};
use crate::types::{CaseId, PictureOf, Quality, TimeSource};

/// Value of `v`.
const VERSION: u32 = 1;
/// Value of `type` of what a rule found.
const KIND: &str = "lingmou.evidence";
/// Value of `type` of what a person asked for.
const CAPTURE: &str = "lingmou.capture";
/// What an index says a package is about that a person asked for.
pub const ABOUT_CAPTURE: &str = "capture";
/// Largest whole number that every JSON reader keeps exactly (RFC 7493 section 2.2).
const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Largest count of nanoseconds since boot: [`INTEGER_MAX`] of them are 104 days, and boxes run longer.
const SINCE_BOOT_MAX: u64 = i64::MAX.unsigned_abs();
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
    /// `lingmou.evidence`, or `lingmou.capture` for what a person asked for.
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
    /// What was seen and how it ended; `null` in a capture, which claims no violation.
    pub violation: Option<ViolationFacts>,
    /// Who asked for it; only in a capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The warning as it was last tried; of tries before it the journal tells.
    pub warning: Vec<Warning>,
    /// The clock at `confirmed`, or when the capture was taken.
    pub clock: Clock,
    /// The clock at the sealing, which fills this in; packages older than the field say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealingClock>,
    /// Where the box was then.
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
    #[serde(default)]
    pub omitted: Vec<Omitted>,
    /// Whether it is evidence or a lead, and on what conditions; packages made before there were
    /// grades say nothing.
    #[serde(default)]
    pub grade: Option<Grading>,
    /// Every other signed file.
    pub files: Vec<FileEntry>,
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
    /// Where its capture time comes from, for a picture; packages older than the field say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_source: Option<TimeSource>,
    /// What it shows, for a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<PictureOf>,
    /// How good it is, for an original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

impl Statement {
    /// `v` and `type` of what a rule found.
    pub const HEAD: (u32, &str) = (VERSION, KIND);
    /// `v` and `type` of what a person asked for.
    pub const CAPTURE: (u32, &str) = (VERSION, CAPTURE);

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
        if ![Self::HEAD, Self::CAPTURE].contains(&(head.v, &head.kind)) {
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
        match (self.v, self.kind.as_str()) {
            Self::HEAD => self.check_found()?,
            Self::CAPTURE => self.check_asked()?,
            (v, kind) => {
                let kind = kind.to_owned();
                return Err(StatementError::Version { kind, v });
            }
        }
        for (field, value) in [
            ("seq", Some(self.seq)),
            ("journal.n", Some(self.journal.n)),
            (
                "violation.dwell_s",
                self.violation.as_ref().and_then(|v| v.dwell_s),
            ),
            ("clock.max_error_us", self.clock.max_error_us),
            (
                "sealed.max_error_us",
                self.sealed.as_ref().and_then(|s| s.max_error_us),
            ),
        ] {
            whole(field, value)?;
        }
        since_boot("clock.boottime_ns", Some(self.clock.boottime_ns))?;
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
        sha256(
            "software.calendar_sha256",
            self.software.calendar_sha256.as_ref(),
        )?;
        if let Some(model) = &self.software.model {
            sha256("software.model.sha256", Some(&model.sha256))?;
            sha256("software.model.card_sha256", model.card_sha256.as_ref())?;
        }
        for warning in &self.warning {
            sha256("warning.clip_sha256", Some(&warning.clip_sha256))?;
            sha256("warning.identity_sha256", warning.identity_sha256.as_ref())?;
            whole("warning.played_ms", Some(warning.played_ms))?;
        }
        for time in self.times() {
            moment(time.0, time.1)?;
        }
        check_files(&self.files)
    }

    /// What a rule found names a violation, and nobody who asked for it.
    fn check_found(&self) -> Result<(), StatementError> {
        match (&self.violation, &self.asked) {
            (Some(_), None) => Ok(()),
            (None, _) => Err(fact("violation", "missing")),
            (_, Some(_)) => Err(fact("asked", "nobody asks for what a rule finds")),
        }
    }

    /// What a person asked for names that person, claims nothing, and is never evidence.
    fn check_asked(&self) -> Result<(), StatementError> {
        let Some(asked) = &self.asked else {
            return Err(fact("asked", "missing"));
        };
        if self.violation.is_some() || !self.warning.is_empty() {
            return Err(fact("violation", "a capture claims none"));
        }
        let evidence = |grading: &Grading| grading.grade == Grade::Evidence;
        if self.grade.as_ref().is_some_and(evidence) {
            return Err(fact("grade", "a capture is never evidence"));
        }
        sha256("asked.command_sha256", Some(&asked.command_sha256))
    }

    /// What it is about, as indexes name it: its violation, or [`ABOUT_CAPTURE`].
    pub fn about(&self) -> &'static str {
        let violation = self.violation.as_ref();
        violation.map_or(ABOUT_CAPTURE, |v| v.kind.name())
    }

    /// The moment it is about, RFC 3339 UTC: when the outcome was established, or the capture taken.
    pub fn at(&self) -> &str {
        let violation = self.violation.as_ref();
        violation.map_or(&self.clock.utc, |v| &v.confirmed)
    }

    /// Every field that holds a moment.
    fn times(&self) -> Vec<(&'static str, &str)> {
        let mut times = vec![("clock.utc", self.clock.utc.as_str())];
        times.extend(self.violation.iter().flat_map(|v| {
            [
                ("violation.first_seen", v.first_seen.as_str()),
                ("violation.confirmed", v.confirmed.as_str()),
            ]
        }));
        times.extend(self.asked.iter().map(|a| ("asked.at", a.at.as_str())));
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

fn since_boot(field: &str, value: Option<u64>) -> Result<(), StatementError> {
    match value {
        Some(value) if value > SINCE_BOOT_MAX => Err(fact(field, "2^63 or more")),
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
    if is_utc(text) {
        return Ok(());
    }
    Err(fact(field, "not an RFC 3339 time in UTC"))
}

/// Whether `text` is a moment as the format writes them, `2026-08-01T02:03:04.567Z`: one form, which
/// every reader can tell from another. (`jiff` also reads times of other zones, and without minutes.)
pub(super) fn is_utc(text: &str) -> bool {
    let shaped = |(place, byte): (usize, u8)| match place {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'.',
        _ => byte.is_ascii_digit(),
    };
    let whole = |time: &str| time.len() == 19 || (21..=29).contains(&time.len());
    let time = text.strip_suffix('Z').filter(|time| whole(time));
    time.is_some_and(|time| time.bytes().enumerate().all(shaped))
        && text.parse::<jiff::Timestamp>().is_ok()
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
        since_boot("files.pts_ns", file.pts_ns)?;
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::types::{Outcome, Stamp, Violation};
    use crate::witness::Model;

    /// A statement in which little is known.
    pub(in crate::witness) fn sparse() -> Statement {
        let at = Stamp {
            utc_ns: 1_785_549_784_567_000_000,
            boot_ns: 7,
            error_ns: Stamp::ERROR_UNKNOWN,
        };
        let id = CaseId(uuid::Uuid::from_u128(
            0x0198_f0a2_0000_7000_8000_0000_0000_0001,
        ));
        let violation = ViolationFacts {
            rule: "record-at-once".to_owned(),
            first_seen: "2026-08-01T02:01:00.100Z".to_owned(),
            ..ViolationFacts::bare(Violation::Spillage, Outcome::Recorded, at)
        };
        let file = FileEntry {
            name: "frames/01-peak.jpg".to_owned(),
            media_type: "image/jpeg".to_owned(),
            size: 3,
            sha256: "ab".repeat(32),
            at: None,
            pts_ns: Some(1),
            capture_source: None,
            of: None,
            quality: None,
        };
        let mut statement = Statement::bare("LC-1", id, violation, at);
        "0.1.0".clone_into(&mut statement.software.version);
        statement.files = vec![file];
        statement
    }

    #[test]
    fn what_is_not_known_is_null() {
        let bytes = sparse().to_bytes().expect("a sparse statement is one");
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("it is JSON");
        for key in [
            "after", "site", "position", "heading", "altitude", "mavlink", "grade",
        ] {
            assert!(json[key].is_null() && json.get(key).is_some(), "{key}");
        }
        assert_eq!(json["clock"]["synced"], false);
        assert!(json["clock"]["max_error_us"].is_null());
        assert_eq!(json["files"][0].get("at"), None);
        assert_eq!(Statement::parse(&bytes).expect("it reads back"), sparse());
    }

    #[test]
    fn the_public_example_is_a_statement() {
        let page = include_str!("../../docs/EVIDENCE.md");
        let example = page
            .split_once("```json")
            .and_then(|(_, rest)| rest.split_once("```"))
            .expect("docs/EVIDENCE.md holds one example")
            .0;
        let parsed = Statement::parse(example.as_bytes()).expect("it follows the format");
        let again = serde_json::to_value(&parsed).expect("it serialises");
        let given: serde_json::Value = serde_json::from_str(example).expect("it is JSON");
        let keys = |value: &serde_json::Value| -> Vec<String> {
            value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(k, _)| k.clone())
                .collect()
        };
        for part in [
            "",
            "device",
            "violation",
            "clock",
            "position",
            "camera",
            "software",
        ] {
            let pointer = if part.is_empty() {
                String::new()
            } else {
                format!("/{part}")
            };
            let told = given.pointer(&pointer).expect("part of the example");
            let written = again.pointer(&pointer).expect("part of the format");
            assert_eq!(keys(told), keys(written), "{part}");
        }
    }

    #[test]
    fn only_the_threshold_is_not_a_whole_number() {
        fn fractions(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
            match value {
                serde_json::Value::Number(n) if n.is_f64() => found.push(path.to_owned()),
                serde_json::Value::Object(map) => map
                    .iter()
                    .for_each(|(k, v)| fractions(v, &format!("{path}/{k}"), found)),
                serde_json::Value::Array(list) => {
                    for value in list {
                        fractions(value, path, found);
                    }
                }
                _ => {}
            }
        }
        let page = include_str!("../../docs/EVIDENCE.md");
        let example = page
            .split("```")
            .find_map(|block| block.strip_prefix("json"));
        let json = serde_json::from_str(example.expect("an example")).expect("JSON");
        let mut found = Vec::new();
        fractions(&json, "", &mut found);
        assert_eq!(found, ["/software/model/threshold"]);
    }

    #[test]
    fn a_box_that_was_not_restarted_for_years_states_when() {
        const YEARS_NS: u64 = 10 * 365 * 86_400 * 1_000_000_000;
        let mut statement = sparse();
        statement.clock.boottime_ns = YEARS_NS;
        statement.files[0].pts_ns = Some(YEARS_NS);
        let bytes = statement.to_bytes().expect("the statement of such a box");
        assert_eq!(Statement::parse(&bytes).expect("read again"), statement);
    }

    #[test]
    fn impossible_facts_are_refused() {
        type Edit = fn(&mut Statement);
        let table: [(&str, Edit); 18] = [
            ("version 2", |s| s.v = 2),
            ("type", |s| s.kind = "lingmou.receipt".to_owned()),
            ("seq", |s| s.seq = 1 << 53),
            ("journal.prev", |s| s.journal.prev = "AB".repeat(32)),
            ("clock.boottime_ns", |s| s.clock.boottime_ns = 1 << 63),
            ("clock.utc", |s| s.clock.utc = "yesterday".to_owned()),
            ("clock.last_step", |s| {
                s.clock.last_step = Some("2026".to_owned());
            }),
            ("violation.first_seen", |s| {
                s.violation.as_mut().unwrap().first_seen.clear();
            }),
            ("software.config_sha256", |s| {
                s.software.config_sha256 = Some("c0".to_owned());
            }),
            ("software.calendar_sha256", |s| {
                s.software.calendar_sha256 = Some("today".to_owned());
            }),
            ("software.model.card_sha256", |s| {
                s.software.model = Some(Model {
                    name: "nano".to_owned(),
                    sha256: "d0".repeat(32),
                    card_sha256: Some("D1".repeat(32)),
                    threshold: 0.5,
                });
            }),
            ("files.sha256", |s| s.files[0].sha256.clear()),
            ("files.pts_ns", |s| s.files[0].pts_ns = Some(u64::MAX)),
            ("media type", |s| s.files[0].media_type = "image".to_owned()),
            ("may not stand", |s| s.files[0].name = "../x".to_owned()),
            ("reserved", |s| s.files[0].name = STATEMENT.to_owned()),
            ("reserved", |s| {
                s.files[0].name = "META-INF/x.xml".to_owned();
            }),
            ("listed twice", |s| s.files.push(s.files[0].clone())),
        ];
        for (expected, edit) in table {
            let mut statement = sparse();
            edit(&mut statement);
            let error = statement.to_bytes().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
            // What a foreign device writes is checked the same way.
            let json = serde_json::to_vec(&statement).expect("it serialises");
            let error = Statement::parse(&json).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }

    /// What a person asked for, as the box states it.
    pub(in crate::witness) fn capture() -> Statement {
        Statement {
            kind: CAPTURE.to_owned(),
            violation: None,
            asked: Some(Asked {
                by: "CN=operator-1,OU=operate".to_owned(),
                command: uuid::Uuid::from_u128(7),
                command_sha256: "cd".repeat(32),
                at: "2026-08-01T02:03:03.000Z".to_owned(),
            }),
            ..sparse()
        }
    }

    /// What makes a capture untrue.
    type Change = fn(&mut Statement);

    #[test]
    fn a_capture_names_a_person_and_claims_nothing() {
        let bytes = capture().to_bytes().expect("a capture is a statement");
        let json: serde_json::Value = serde_json::from_slice(&bytes).expect("it is JSON");
        assert_eq!(json["type"], "lingmou.capture");
        assert!(json["violation"].is_null() && json.get("violation").is_some());
        assert_eq!(Statement::parse(&bytes).expect("it reads back"), capture());
        assert_eq!(
            (capture().about(), sparse().about()),
            ("capture", "spillage")
        );
        assert_eq!(capture().at(), capture().clock.utc);

        let table: [(&str, Change); 9] = [
            ("asked: missing", |s| s.asked = None),
            ("claims none", |s| s.violation = sparse().violation),
            ("violation: missing", |s| s.kind = KIND.to_owned()),
            ("nobody asks", |s| {
                (s.kind, s.violation) = (KIND.to_owned(), sparse().violation);
            }),
            ("never evidence", |s| {
                s.grade = Some(Grading {
                    grade: Grade::Evidence,
                    conditions: Vec::new(),
                });
            }),
            ("asked.at", |s| s.asked.as_mut().unwrap().at.clear()),
            ("asked.command_sha256", |s| {
                s.asked.as_mut().unwrap().command_sha256.clear();
            }),
            ("version 2", |s| s.v = 2),
            ("lingmou.other", |s| "lingmou.other".clone_into(&mut s.kind)),
        ];
        for (expected, edit) in table {
            let mut statement = capture();
            edit(&mut statement);
            let json = serde_json::to_vec(&statement).expect("it serialises");
            for error in [
                statement.to_bytes().expect_err(expected),
                Statement::parse(&json).expect_err(expected),
            ] {
                let error = error.to_string();
                assert!(error.contains(expected), "{error:?} lacks {expected:?}");
            }
        }
    }

    #[test]
    fn a_later_version_is_named_even_when_it_does_not_fit() {
        let later = br#"{"v":2,"type":"lingmou.evidence","id":17}"#;
        let error = Statement::parse(later).expect_err("not ours").to_string();
        assert!(error.contains("version 2 is not supported"), "{error}");
        let mut unknown = serde_json::to_value(sparse()).expect("it serialises");
        unknown["weather"] = "rain".into();
        assert!(
            Statement::parse(unknown.to_string().as_bytes()).is_ok(),
            "additions are fine"
        );
        let twice = br#"{"v":1,"v":1,"type":"lingmou.evidence"}"#;
        assert!(Statement::parse(twice).is_err(), "a key given twice");
    }
}
