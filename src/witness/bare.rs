//! Statements in which little is known, for the demonstration and for tests, which set what they mean.
//! The daemon names every fact itself, so that none is forgotten.

use super::facts::{Camera, Clock, Device, JournalPoint, Software, ViolationFacts};
use super::statement::Statement;
use crate::clock;
use crate::types::{CaseId, Outcome, Stamp, Violation};

impl ViolationFacts {
    /// A violation of which little is known: it was seen, and ended so, at `at`.
    pub fn bare(kind: Violation, outcome: Outcome, at: Stamp) -> Self {
        let utc = clock::rfc3339_ms(at.utc_ns);
        Self {
            kind,
            rule: String::new(),
            outcome,
            zone: None,
            first_seen: utc.clone(),
            confirmed: utc,
            dwell_s: None,
            prior: None,
            law: None,
        }
    }
}

impl Statement {
    /// Of a device's first package, with nothing in it.
    pub fn bare(device: &str, id: CaseId, violation: ViolationFacts, at: Stamp) -> Self {
        let (v, kind) = Self::HEAD;
        Self {
            v,
            kind: kind.to_owned(),
            id,
            device: Device {
                id: device.to_owned(),
                model: None,
                tz: "Asia/Shanghai".to_owned(),
                boot_id: None,
            },
            seq: 1,
            journal: JournalPoint {
                n: 1,
                prev: "0".repeat(64),
            },
            after: None,
            site: None,
            violation: Some(violation),
            asked: None,
            warning: Vec::new(),
            clock: Clock::at(at),
            sealed: None,
            position: None,
            heading: None,
            altitude: None,
            mavlink: None,
            camera: Camera {
                id: "cam0".to_owned(),
                rtsp: None,
                onvif_serial: None,
                told: None,
                configured_serial: None,
                codec: None,
                clip: None,
            },
            software: Software {
                name: "lingmou".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                binary_sha256: None,
                config_sha256: None,
                calendar_sha256: None,
                model: None,
            },
            omitted: Vec::new(),
            grade: None,
            files: Vec::new(),
        }
    }
}
