//! What a statement says of the moment it is about, taken at that moment and kept as plain data: the
//! case may be sealed days later, by another program under another configuration, and nothing that
//! holds only then may be told of before (`docs/decisions/0035`).

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::ingest::CameraState;
use crate::store::StoreError;
use crate::types::{CaseId, CaseRecord, Nameplate, Placed, Stamp, TimeSource, Violation};
use crate::witness::{self, Clock, FileEntry, Law, Mavlink, Site, Software, known};

use super::dossier::{Facts, established};
use super::keeper::Keeper;
use super::notes::Notes;
use super::work::Work;

/// Name of this program in statements.
const PROGRAM: &str = "lingmou";

/// What was so at one moment. What is `None` was not known then, or was not noted by the older
/// program that wrote the note.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Circumstances {
    /// Name of the camera: its index may change with the configuration, and the name too.
    pub(super) camera: String,
    /// Where the box was.
    pub(super) placed: Option<Placed>,
    /// Where the times of what detection looks at come from.
    time_source: Option<TimeSource>,
    pub(super) site: Option<Site>,
    pub(super) law: Option<Law>,
    /// What disciplined the clock.
    clock_source: Option<String>,
    /// When it was last set by a jump, RFC 3339.
    last_step: Option<String>,
    gnss_minus_system_us: Option<i64>,
    /// The autopilot's flight mode.
    mode: Option<String>,
    /// The camera's address without user and password.
    rtsp: Option<String>,
    /// What the camera told of itself.
    told: Option<Nameplate>,
    /// Its serial number as configured.
    #[serde(alias = "onvif_serial")]
    configured_serial: Option<String>,
    codec: Option<String>,
    software: Option<Software>,
}

impl Circumstances {
    /// The clock as it told the moment `at`, of a case with these notes.
    pub(super) fn clock(&self, at: Stamp, notes: &Notes) -> Clock {
        let clock = Clock::at(at);
        Clock {
            source: self.clock_source.clone().filter(|_| clock.synced),
            last_step: self.last_step.clone(),
            gnss_minus_system_us: self.gnss_minus_system_us,
            capture_source: notes.capture_source(self.time_source),
            ..clock
        }
    }

    /// The autopilot, where one told the position.
    pub(super) fn mavlink(&self) -> Option<Mavlink> {
        let sysid = self.placed?.pose.sysid?;
        let mode = self.mode.clone();
        Some(Mavlink { sysid, mode })
    }

    /// The camera, of which the package holds `files`.
    pub(super) fn camera(&self, files: &[FileEntry]) -> witness::Camera {
        let clip = files.iter().any(|f| f.name == "clip.mp4");
        let told = self.told.as_ref().and_then(|told| told.serial.clone());
        witness::Camera {
            id: self.camera.clone(),
            rtsp: self.rtsp.clone(),
            onvif_serial: told.or_else(|| self.configured_serial.clone()),
            told: self.told.clone(),
            configured_serial: self.configured_serial.clone(),
            codec: self.codec.clone(),
            clip: clip.then(|| "remux".to_owned()),
        }
    }

    /// What ran. That it was this program is known of every note.
    pub(super) fn software(&self) -> Software {
        let unknown = || Software {
            name: PROGRAM.to_owned(),
            version: "unknown".to_owned(),
            binary_sha256: None,
            config_sha256: None,
            calendar_sha256: None,
            model: None,
        };
        self.software.clone().unwrap_or_else(unknown)
    }
}

impl Facts {
    /// What is so now, for a statement about this camera and zone.
    fn circumstances(
        &self,
        (index, state): (usize, &CameraState),
        (zone, violation): (&str, Option<Violation>),
        placed: Option<Placed>,
        time_source: Option<TimeSource>,
    ) -> Circumstances {
        let camera = &self.config.camera[index];
        let told = self.telemetry.snapshot();
        let sysid = placed.and_then(|placed| placed.pose.sysid);
        // The mode holds as long as the autopilot speaks that told the position.
        let speaks = told.connected && sysid.is_some() && told.sysid == sysid;
        Circumstances {
            camera: camera.name.clone(),
            placed,
            time_source,
            site: Site::of(&self.config, zone),
            law: violation.and_then(|violation| Law::of(self.config.judge.law(violation))),
            clock_source: clock::trust().source.map(|source| source.name().to_owned()),
            last_step: self.clock_state.last_step(),
            gnss_minus_system_us: self.telemetry.vehicle_time(),
            mode: told.mode.filter(|_| speaks),
            rtsp: known(camera.told_url()),
            told: self.nameplates.told(index, state),
            configured_serial: known(camera.serial.trim()),
            codec: state.main.codec.map(|codec| codec.name().to_owned()),
            software: Some(Software {
                name: PROGRAM.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                binary_sha256: self.binary_sha256.clone(),
                config_sha256: Some(self.config_sha256.clone()),
                calendar_sha256: self.calendar_sha256.clone(),
                model: Some(self.model.clone()),
            }),
        }
    }
}

impl Keeper {
    /// What is so now, of what the camera of `work` showed at `at`.
    pub(super) fn circumstances(
        &self,
        work: &Work,
        at: Stamp,
        about: (&str, Option<Violation>),
    ) -> Circumstances {
        let state = self.cameras[work.camera].state();
        let placed = self.facts.placed(work, at, at);
        (self.facts).circumstances((work.camera, &state), about, placed, work.time_source)
    }

    /// What was so when the outcome of the case was established. What is recorded at once was
    /// established by its picture ([`Keeper::note_peak`]), which may be minutes or a restart ago;
    /// everything else is now.
    pub(super) fn when_established(
        &self,
        case: CaseId,
        record: &CaseRecord,
        work: &Work,
    ) -> Circumstances {
        let note = self.store.draft_note(case).ok().flatten();
        let noted = Notes::read(note.as_deref()).peak;
        let noted = noted.filter(|_| record.looked_again.is_none());
        let about = (record.zone.as_str(), Some(record.violation));
        noted.unwrap_or_else(|| self.circumstances(work, established(record), about))
    }

    /// Notes what is so at the moment of a violation that is recorded at once.
    pub(super) fn note_peak(&self, case: CaseId, now: Circumstances) -> Result<(), StoreError> {
        let mut notes = Notes::read(self.store.draft_note(case)?.as_deref());
        notes.peak = Some(now);
        self.store.save_draft_note(case, &notes.text())
    }
}
