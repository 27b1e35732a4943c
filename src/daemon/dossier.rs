//! What the evidence says about the box: captions and EXIF, filled from the running system, and the
//! statement, from what was so at the moment it is about (`circumstances`). A fact that is not known
//! is left out or `null`, never invented.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::config::{CameraKind, Config, Mount, Wording};
use crate::develop::{Exif, Mark};
use crate::perceive::Card;
use crate::store::SealContext;
use crate::types::{
    Area, CaseId, CaseRecord, FixKind, Frame, Outcome, Placed, Pose, PoseSource, RoleSet, ShotKind,
    Stamp, UNKNOWN_BOOT, Violation, WarnReport, is_old,
};
use crate::witness::{
    Altitude, Device, Heading, Identity, Law, Model, Moments, Position, Seen, Statement,
    ViolationFacts, Warning, assess, known,
};

use super::capture::About;
use super::circumstances::Circumstances;
use super::clerk::Objections;
use super::clock_watch::ClockState;
use super::nameplates::Nameplates;
use super::notes::Notes;
use super::work::Work;

/// What does not change in one run.
pub(super) struct Facts {
    pub(super) config: Config,
    pub(super) config_sha256: String,
    pub(super) calendar_sha256: Option<String>,
    pub(super) binary_sha256: Option<String>,
    pub(super) model: Model,
    pub(super) wording: Wording,
    pub(super) time_zone: TimeZone,
    pub(super) identity: Arc<Identity>,
    pub(super) telemetry: Arc<crate::telemetry::TelemetryState>,
    pub(super) clock_state: Arc<ClockState>,
    pub(super) objections: Arc<Objections>,
    /// Who the cameras are.
    pub(super) nameplates: Arc<Nameplates>,
}

/// What a picture shows.
pub(super) struct View<'a> {
    pub(super) frame: &'a Frame,
    /// Its place on the clip's time line; `None` when it is of another stream.
    pub(super) pts_ns: Option<u64>,
    pub(super) placed: Option<Placed>,
    pub(super) case: CaseId,
    /// What the case is about; `None` when a person asked for the picture.
    pub(super) violation: Option<Violation>,
    pub(super) kind: ShotKind,
    /// The subject in the frame; `None` when it is no longer there.
    pub(super) subject: Option<Area>,
    /// Name of the zone.
    pub(super) zone: &'a str,
    /// How the case ended, where that is known by then.
    pub(super) outcome: Option<Outcome>,
    /// Whatever else was seen in the frame.
    pub(super) boxes: &'a [(Area, RoleSet)],
}

/// What is known of a package when it is sealed.
pub(super) struct Sealing<'a> {
    pub(super) case: CaseId,
    pub(super) about: About<'a>,
    /// What was so at the moment it is about.
    pub(super) then: &'a Circumstances,
}

/// SHA-256 of this program, read piece by piece: one buffer of its size, once freed, would have
/// the allocator keep every later picture's memory for good.
pub(super) fn program_sha256() -> std::io::Result<String> {
    let mut program = std::fs::File::open("/proc/self/exe")?;
    let mut hash = Sha256::new();
    std::io::copy(&mut program, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// The model as the statement names it.
pub(super) fn model(card: &Card) -> Model {
    Model {
        name: card.name().to_owned(),
        sha256: card.sha256().to_owned(),
        card_sha256: Some(card.own_sha256().to_owned()),
        threshold: card.score_threshold(),
    }
}

impl Facts {
    /// Whether the camera's detections come from another stream than its pictures.
    pub(super) fn detects_on_substream(&self, camera: usize) -> bool {
        let c = &self.config.camera[camera];
        c.kind == CameraKind::Rtsp && !c.substream_url.is_empty()
    }

    /// Where the box was at `at`, the time of a frame that was taken for `moment` of `work`, with the
    /// height and the directions of its camera that are known to be of then.
    pub(super) fn placed(&self, work: &Work, moment: Stamp, at: Stamp) -> Option<Placed> {
        let mut placed = work.placed_at(moment, at)?;
        let pose = of_the_moment(&placed, at);
        placed.pose = facing(pose, &self.config, work.camera);
        Some(placed)
    }

    /// The EXIF facts of a picture.
    pub(super) fn exif(&self, view: &View<'_>) -> Exif {
        Exif {
            at: view.frame.at,
            time_zone: self.time_zone.clone(),
            placed: view.placed,
            make: self.config.device.bureau.clone(),
            model: format!("{} {}", self.config.device.model, self.config.device.id),
            software: format!("lingmou {}", env!("CARGO_PKG_VERSION")),
            comment: match clock_error(view.frame.at) {
                None => self.wording.clock_unknown().to_owned(),
                Some(_) => String::new(),
            },
            image_unique_id: view.case.0,
        }
    }

    /// What is drawn on the marked copy: the subject, and thinner whatever else was seen.
    /// `check` is the check code of the original.
    pub(super) fn mark(&self, view: &View<'_>, check: &str) -> Mark {
        let subject = view
            .subject
            .zip(view.violation)
            .map(|(area, violation)| (area, self.wording.violation(violation).to_owned()));
        let others = view
            .boxes
            .iter()
            .filter(|(area, _)| Some(*area) != view.subject)
            .filter_map(|(area, roles)| {
                Some((*area, self.wording.role(roles.iter().next()?).to_owned()))
            });
        let zone = self.config.zone.iter().find(|z| z.name == view.zone);
        Mark {
            others: others.collect(),
            subject,
            zones: zone.map(|z| z.polygon.clone()).into_iter().collect(),
            caption: self.caption(view, check),
        }
    }

    fn caption(&self, view: &View<'_>, check: &str) -> Vec<String> {
        let config = &self.config;
        let (position, accuracy) = shown(view.placed.as_ref());
        let site = self.config.place(view.zone);
        let clock_error = clock_error(view.frame.at);
        let clock_unknown = if clock_error.is_none() {
            self.wording.clock_unknown()
        } else {
            ""
        };
        self.wording.caption(&[
            ("time", &self.local_time(view.frame.at)),
            ("clock_error", clock_error.as_deref().unwrap_or_default()),
            ("clock_unknown", clock_unknown),
            ("bureau", &config.device.bureau),
            ("device", &config.device.id),
            ("place", &site.name),
            ("place_id", &site.public_id),
            ("camera", &config.camera[view.frame.camera].name),
            ("zone", view.zone),
            ("position", &position),
            ("accuracy", &accuracy),
            (
                "violation",
                view.violation.map_or("", |v| self.wording.violation(v)),
            ),
            ("moment", self.wording.moment(view.kind)),
            (
                "outcome",
                view.outcome.map_or("", |o| self.wording.outcome(o)),
            ),
            ("case", &view.case.to_string()),
            ("check", check),
        ])
    }

    /// `evidence.json` of a package.
    pub(super) fn statement(&self, context: SealContext, sealing: &Sealing<'_>) -> Statement {
        let (about, then) = (sealing.about, sealing.then);
        let (v, kind, record, asked) = match about {
            About::Case(record) => (Statement::HEAD.0, Statement::HEAD.1, Some(record), None),
            About::Asked { asked, .. } => {
                let (v, kind) = Statement::CAPTURE;
                (v, kind, None, Some(asked.clone()))
            }
        };
        let device = &self.config.device;
        let placed = then.placed.as_ref();
        let notes = Notes::read(context.note.as_deref());
        let mut statement = Statement {
            v,
            kind: kind.to_owned(),
            id: sealing.case,
            device: Device {
                id: device.id.clone(),
                model: known(&device.model),
                tz: device.time_zone.clone(),
                boot_id: known(clock::boot_id()).filter(|id| id != UNKNOWN_BOOT),
            },
            seq: context.seq,
            journal: context.journal,
            after: context.last_receipt,
            site: then.site.clone(),
            violation: record.map(|r| violation(r, then.law.clone())),
            asked,
            warning: record
                .and_then(|r| r.warning.as_ref())
                .map(warning)
                .into_iter()
                .collect(),
            clock: then.clock(about.at(), &notes),
            sealed: None,
            position: placed.and_then(Position::of),
            heading: placed.and_then(Heading::of),
            altitude: placed.and_then(Altitude::of),
            mavlink: then.mavlink(),
            camera: then.camera(&context.files),
            software: then.software(),
            omitted: notes.missing(about.violation(), &context.files, self.wording.is_ascii()),
            grade: None,
            files: notes.described(context.files),
        };
        let undated = Stamp {
            error_ns: Stamp::ERROR_UNKNOWN,
            ..about.at()
        };
        let files = notes.moments(&statement.files);
        let files = files.map(|at| at.unwrap_or(undated));
        let moments: Vec<Stamp> = stated(about).into_iter().chain(files).collect();
        let seen = Seen {
            moments: Moments::of(&moments),
            moved_permille: notes.moved_permille(),
            stillness: notes.stillness,
            likeness: record.and_then(|r| r.likeness),
            today: self.local(about.at()).date(),
            objected: about
                .violation()
                .and_then(|violation| self.objections.against(violation))
                .map(|tally| (tally.rejected, tally.judged)),
        };
        statement.grade = Some(assess(&statement, &seen, &self.config.evidence));
        statement
    }

    /// Local time with its offset, e.g. `2026-08-01 10:03:04.567 +08:00`.
    fn local_time(&self, at: Stamp) -> String {
        let local = self.local(at);
        local.strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
    }

    fn local(&self, at: Stamp) -> Zoned {
        // Saturates at the ends of the calendar, which no clock of a box reaches.
        Timestamp::from_nanosecond(i128::from(at.utc_ns))
            .unwrap_or_default()
            .to_zoned(self.time_zone.clone())
    }
}

/// The pose as far as it is of the moment asked for: with the error that the place has then, without how
/// high the box was and where it looked at another, and the height of a receiver that found latitude and
/// longitude at most.
fn of_the_moment(placed: &Placed, at: Stamp) -> Pose {
    let pose = placed.pose;
    let fresh = !is_old(placed.age_ms);
    Pose {
        h_acc_mm: placed.accuracy_mm(at),
        alt_mm: pose.alt_mm.filter(|_| fresh && pose.fix >= FixKind::Full),
        heading_deg: pose.heading_deg.filter(|_| fresh),
        attitude: pose.attitude.filter(|_| fresh),
        camera: pose.camera.filter(|_| fresh),
        ..pose
    }
}

/// Position and error for the caption, which has no room for an age: empty unless it is a receiver's
/// word and of that moment.
fn shown(placed: Option<&Placed>) -> (String, String) {
    let Some(Placed { pose, .. }) = placed.filter(|placed| placed.is_current()) else {
        return Default::default();
    };
    let degrees = |e7| f64::from(e7) / 1e7;
    let position = format!("{:.6}, {:.6}", degrees(pose.lat_e7), degrees(pose.lon_e7));
    let accuracy = pose
        .h_acc_mm
        .map(|mm| format!("{:.1} m", f64::from(mm) / 1000.0));
    (position, accuracy.unwrap_or_default())
}

/// The pose with those directions of a camera that are known to be this one's: which of several hangs
/// on the gimbal, or looks to where the survey says, nobody knows unless the configuration says it. One
/// that is fastened elsewhere looks where no gimbal does, and one that pans where no survey says.
fn facing(mut pose: Pose, config: &Config, index: usize) -> Pose {
    let (camera, alone) = (&config.camera[index], config.camera.len() == 1);
    if pose.source == PoseSource::Fixed {
        let own = (camera.bearing_deg >= 0.0).then_some(camera.bearing_deg);
        let surveyed = own.or(pose.heading_deg.filter(|_| alone));
        pose.heading_deg = surveyed.filter(|_| config.is_fixed(camera));
    }
    let on_gimbal = camera.mount == Mount::Gimbal || (camera.mount == Mount::Auto && alone);
    pose.camera = pose.camera.filter(|_| on_gimbal);
    pose
}

/// Every moment that a statement about this tells, but for the files'.
fn stated(about: About<'_>) -> Vec<Stamp> {
    match about {
        About::Case(record) => {
            let warned = record.warning.as_ref().map(|warning| warning.at);
            let seen = [record.first_seen, record.confirmed].map(Some);
            let later = [warned, record.looked_again];
            seen.into_iter().chain(later).flatten().collect()
        }
        About::Asked { at, .. } => vec![at],
    }
}

/// When the outcome was established.
pub(super) fn established(record: &CaseRecord) -> Stamp {
    record.looked_again.unwrap_or(record.confirmed)
}

fn violation(record: &CaseRecord, law: Option<Law>) -> ViolationFacts {
    let confirmed = established(record);
    let rule = if record.violation.warns_first() {
        "warn-then-recheck"
    } else {
        "record-at-once"
    };
    ViolationFacts {
        kind: record.violation,
        rule: rule.to_owned(),
        outcome: record.outcome,
        zone: known(&record.zone),
        first_seen: clock::rfc3339_ms(record.first_seen.utc_ns),
        confirmed: clock::rfc3339_ms(confirmed.utc_ns),
        dwell_s: (!record.crossed).then(|| confirmed.since(record.first_seen).as_secs()),
        prior: record.prior,
        law,
    }
}

fn warning(report: &WarnReport) -> Warning {
    Warning {
        journal_n: report.journal_n,
        at: clock::rfc3339_ms(report.at.utc_ns),
        clip_sha256: report.clip_sha256.clone(),
        identity_sha256: report.identity_sha256.clone(),
        played_ms: u64::try_from(report.played.as_millis()).unwrap_or(u64::MAX),
        acknowledged_by_amp: None,
        failure: report.failure.clone(),
        heard: report.heard,
    }
}

/// The bound of the clock's error in words; `None` when nobody vouches for the clock.
fn clock_error(at: Stamp) -> Option<String> {
    (at.error_ns != Stamp::ERROR_UNKNOWN).then(|| format!("{} ms", at.error_ns.div_ceil(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, TelemetrySource};
    use crate::types::Attitude;

    fn camera(mount: Mount, bearing_deg: f32) -> config::Camera {
        config::Camera {
            mount,
            bearing_deg,
            ..config::Camera::default()
        }
    }

    const AXIS: Attitude = Attitude {
        roll_deg: 0.0,
        pitch_deg: -20.0,
        yaw_deg: 270.0,
    };

    /// Where each of these cameras looks on a box whose nose, or survey, points to `heading`.
    fn looks(
        (source, heading): (TelemetrySource, f32),
        gimbal: Option<Attitude>,
        cameras: &[&config::Camera],
    ) -> Vec<Option<f32>> {
        let told_by = match source {
            TelemetrySource::Fixed => PoseSource::Fixed,
            _ => PoseSource::Mavlink,
        };
        let pose = Pose {
            heading_deg: Some(heading),
            camera: gimbal,
            ..Pose::bare(clock::now(), (1, 1), (FixKind::Full, told_by))
        };
        let mut config = Config {
            camera: cameras.iter().map(|camera| (*camera).clone()).collect(),
            ..Config::default()
        };
        config.telemetry.source = source;
        let faces = |index| facing(pose, &config, index);
        let all = (0..cameras.len()).map(faces);
        all.map(|faces| {
            // A vehicle's nose points where it points; a pole's survey is of its camera.
            let nose = faces.heading_deg.filter(|_| told_by != PoseSource::Fixed);
            assert_eq!(nose, (told_by != PoseSource::Fixed).then_some(heading));
            faces.axis_deg()
        })
        .collect()
    }

    #[test]
    fn a_gimbals_direction_is_of_the_camera_on_it() {
        let (plain, gimbal) = (&camera(Mount::Auto, -1.0), &camera(Mount::Gimbal, -1.0));
        let (moving, fixed) = (&camera(Mount::Moving, -1.0), &camera(Mount::Fixed, -1.0));
        for (cameras, wanted) in [
            (&[plain][..], &[Some(270.0)][..]),
            (&[gimbal], &[Some(270.0)]),
            (&[plain, gimbal], &[None, Some(270.0)]),
            (&[plain, plain], &[None, None]),
            // Beside a gimbal on which a camera of somebody else's hangs.
            (&[moving], &[None]),
            (&[fixed], &[None]),
        ] {
            let found = looks((TelemetrySource::Mavlink, 90.0), Some(AXIS), cameras);
            assert_eq!(found, wanted, "{cameras:?}");
        }
    }

    #[test]
    fn a_surveyed_bearing_is_of_a_camera_that_is_fixed() {
        let (plain, fixed) = (&camera(Mount::Auto, -1.0), &camera(Mount::Fixed, -1.0));
        let west = &camera(Mount::Auto, 265.0);
        for (cameras, wanted) in [
            (&[plain][..], &[Some(85.0)][..]),
            (&[fixed], &[Some(85.0)]),
            (&[plain, plain], &[None, None]),
            (&[west, plain], &[Some(265.0), None]),
            (&[west], &[Some(265.0)]),
            // It pans: the survey tells where it looked once.
            (&[&camera(Mount::Moving, -1.0)], &[None]),
            (&[&camera(Mount::Gimbal, -1.0)], &[None]),
            (&[&camera(Mount::Moving, 265.0)], &[None]),
        ] {
            let found = looks((TelemetrySource::Fixed, 85.0), None, cameras);
            assert_eq!(found, wanted, "{cameras:?}");
        }
    }

    /// A link that was lost, a receiver that sees too little of the sky.
    #[test]
    fn what_was_so_at_another_moment_is_not_stated_of_this_one() {
        let axis = AXIS;
        let now = Stamp {
            error_ns: 500_000_000,
            ..clock::now()
        };
        let told = |fix, age_ms, camera: Option<Attitude>| {
            let pose = Pose {
                alt_mm: Some(31_000),
                h_acc_mm: Some(2_000),
                speed_mps: Some(3.0),
                heading_deg: Some(90.0),
                attitude: Some(axis),
                camera,
                ..Pose::bare(
                    now,
                    (361_600_000, 1_204_300_000),
                    (fix, PoseSource::Mavlink),
                )
            };
            let mut placed = Placed {
                pose,
                age_ms,
                interpolated: false,
            };
            placed.pose = of_the_moment(&placed, now);
            let height = Altitude::of(&placed).map(|a| a.msl_mm);
            let looks = Heading::of(&placed).map(|h| h.deg_e2);
            let (place, error) = shown(Some(&placed));
            (looks, height, format!("{place} {error}"))
        };
        // The time by which the moment may be another, and that of what is only repeated.
        let here = |error: &str| format!("36.160000, 120.430000 {error}");
        let nowhere = " ".to_owned();
        for (fix, age_ms, camera, wanted) in [
            (
                FixKind::Full,
                5_000,
                Some(axis),
                (Some(27_000), Some(31_000), here("18.5 m")),
            ),
            (
                FixKind::Full,
                5_000,
                None,
                (Some(9_000), Some(31_000), here("18.5 m")),
            ),
            // What it found is two-dimensional, a height that it carries on is none.
            (
                FixKind::Flat,
                100,
                Some(axis),
                (Some(27_000), None, here("3.8 m")),
            ),
            // A compass needs no satellites.
            (
                FixKind::None,
                100,
                Some(axis),
                (Some(27_000), None, nowhere.clone()),
            ),
            (
                FixKind::Full,
                5_001,
                Some(axis),
                (None, None, nowhere.clone()),
            ),
            (FixKind::Full, 55_000, None, (None, None, nowhere)),
        ] {
            assert_eq!(told(fix, age_ms, camera), wanted, "{fix:?} {age_ms}");
        }
        assert_eq!(shown(None), Default::default());
    }

    /// By the boot clock twenty minutes in a car would be two and a half.
    #[test]
    fn how_long_it_stood_is_not_told_across_boots() {
        let at = |boot_secs: u64, utc_secs: i64| Stamp {
            utc_ns: (1_785_549_784 + utc_secs) * 1_000_000_000,
            boot_ns: boot_secs * 1_000_000_000,
            error_ns: 0,
        };
        let stood = |crossed| {
            let record = CaseRecord {
                violation: Violation::StreetVending,
                camera: 0,
                zone: "kerb".to_owned(),
                first_seen: at(200, 0),
                confirmed: at(210, 10),
                warning: None,
                looked_again: Some(if crossed {
                    at(350, 1_200)
                } else {
                    at(1_400, 1_200)
                }),
                outcome: Outcome::Persisted,
                prior: None,
                likeness: None,
                gates: Vec::new(),
                crossed,
            };
            violation(&record, None).dwell_s
        };
        assert_eq!(stood(false), Some(1_200));
        assert_eq!(stood(true), None);
    }
}
