//! Decides without touching the world: scenes and loudspeaker reports in, orders out.
//!
//! Two halves. A *rule* looks at scenes and says whether something is going on (`rules`): it holds
//! each thing against its conditions, and what meets them all is a hit. The *book* decides what is
//! done about a hit (`book`): warn first and look again, or record at once; nothing where a permit
//! covers it. What a rule found can be asked for, hits and near misses ([`Judge::findings`]).
//!
//! **Invariants.** Judgement reads no clock and does no I/O: the same scenes, reports and idle
//! moments ([`Judge::idle`]) give the same orders, bit for bit. A case ends once, and nothing follows its end. A warn-first case is
//! sealed only after its warning was heard out. At most [`OPEN_CASES_MAX`] cases are open.
//!
//! **Not here.** Detection and tracking (`perceive`), pictures (`develop`), sound (`warn`).

mod book;
mod case;
mod episode;
mod finding;
mod history;
mod likeness;
mod opening;
mod pages;
mod recheck;
mod resumed;
mod rules;
mod second_look;
mod sight;
mod standing;
#[cfg(test)]
pub(crate) mod tests;
mod whereabouts;
mod zone;

use std::time::Duration;

use thiserror::Error;

use crate::config::{Calendar, Config};
use crate::types::{Area, CaseId, Order, Role, RoleSet, Scene, Stamp, WarnReport};

pub use finding::Finding;
pub use recheck::Recheck;
pub use rules::reach;

use book::Book;
use case::Case;
use resumed::Judged;
use rules::{Moment, Rule};
use zone::{Masks, Zone};

/// Cases open at one time; the oldest that was not recorded at once gives way.
pub const OPEN_CASES_MAX: usize = 64;

/// Why judgement cannot start.
#[derive(Debug, Error)]
pub enum JudgeError {
    /// What a rule judges cannot be seen before a camera.
    #[error(
        "rule {rule}, zone {zone}: before camera {camera} nothing of the roles {wanted} can be seen; \
         bring a model that sees one of them (docs/MODELS.md), change the roles, or set enabled = false; \
         object and debris can also be seen with [background] enabled = true, before a camera that \
         stands (mount = \"fixed\")"
    )]
    NoRole {
        /// The rule.
        rule: &'static str,
        /// The zone.
        zone: String,
        /// Its camera.
        camera: String,
        /// The roles it would need one of.
        wanted: RoleSet,
    },
    /// A rule that asks for two kinds of things together can see but one.
    #[error(
        "rule {rule}, zone {zone}: before camera {camera} only {} of its roles can be seen, which is \
         like a stall only beside a thing of another kind; add a second role that can be seen (umbrella, \
         tricycle, goods, object), or one that is a stall by itself, or set enabled = false",
        role.name()
    )]
    OneKind {
        /// The rule.
        rule: &'static str,
        /// The zone.
        zone: String,
        /// Its camera.
        camera: String,
        /// The role.
        role: Role,
    },
    /// The saved book cannot be read.
    #[error("the saved case book cannot be read ({why}); it was set aside")]
    Book {
        /// What the parser said.
        why: String,
    },
}

/// How a case ended that the saved book still has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was sealed, or its seal waits for the store.
    Sealed,
    /// With a warning that was heard, and no more.
    Reminded,
    /// Otherwise.
    Discarded,
}

/// The whole of judgement.
pub struct Judge {
    rules: Vec<Box<dyn Rule>>,
    masks: Masks,
    calendar: Calendar,
    zones: Vec<Zone>,
    book: Book,
    findings: Vec<Finding>,
}

impl Judge {
    /// Judgement with an empty book.
    ///
    /// `known` are the roles that the model sees (before the background more can be), `boot_id` names this boot of the machine. `calendar`
    /// says what time it is on the street at a moment, and what is permitted then.
    pub fn new(
        config: &Config,
        calendar: &Calendar,
        known: RoleSet,
        boot_id: &str,
    ) -> Result<Self, JudgeError> {
        Ok(Self {
            rules: rules::all(config, known)?,
            masks: Masks::of(config),
            calendar: calendar.clone(),
            zones: Judged::all(config).into_iter().map(|j| j.zone).collect(),
            book: Book::new(config, boot_id),
            findings: Vec::new(),
        })
    }

    /// Takes over the book saved by an earlier run.
    ///
    /// Cases for which `ended` says how had their end carried out just before that run died; they
    /// are closed. Cases whose warning was playing are closed too: nobody knows whether it was
    /// heard, and nobody is shouted at twice.
    ///
    /// Gives how many entries of the book could not be read; the others are taken over.
    pub fn resume(
        &mut self,
        saved: &str,
        ended: impl Fn(CaseId) -> Option<Ended>,
    ) -> Result<usize, JudgeError> {
        self.book
            .resume(saved, ended)
            .map_err(|e| JudgeError::Book { why: e.to_string() })
    }

    /// Takes in one scene and says what should be done.
    pub fn step(&mut self, scene: &Scene) -> Vec<Order> {
        let masked = self.masks.applied(scene);
        let scene = masked.as_ref().unwrap_or(scene);
        let now = Moment::new(scene, &self.calendar, &self.zones);
        // A rule that is not asked forgets what it saw: after a bad view each dwell begins anew.
        let rules = self.rules.iter_mut().filter(|_| scene.view.is_good());
        self.findings = rules.flat_map(|r| r.look(&now)).collect();
        let allowed = |case: &Case, found: Option<&Finding>| now.allows(case, found);
        self.book.step(scene, &mut self.findings, allowed)
    }

    /// Takes in that it is `now` while `camera` may give no pictures, and says what should be done:
    /// a case that waits for one that does not come ends. To be asked about once a second; in a
    /// recording no camera fails, and a replay does not ask.
    pub fn idle(&mut self, camera: usize, now: Stamp) -> Vec<Order> {
        self.book.idle(camera, now)
    }

    /// Whether a look at the frame that `camera` took at `at` cannot be done without, though nothing
    /// moves in it: a case is open, or a rule may record at once what it sees.
    pub fn wants_look(&self, camera: usize, at: Stamp) -> bool {
        self.open_cases() > 0 || self.rules.iter().any(|rule| rule.is_tense(camera, at))
    }

    /// Whether a case of this camera is open whose clip is still to be ordered.
    pub fn awaits_clip(&self, camera: usize) -> bool {
        let waits = |case: &Case| case.camera == camera && !case.clip_cut;
        self.book.open_cases().iter().any(waits)
    }

    /// What the rules found in the last scene, hits and near misses.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What the scene that was taken in last shows of the open cases of its camera. Changes nothing.
    pub fn recheck(&self, scene: &Scene) -> Vec<Recheck> {
        let masked = self.masks.applied(scene);
        let scene = masked.as_ref().unwrap_or(scene);
        self.book.recheck(scene, &self.findings)
    }

    /// Whether a privacy mask of the camera covers `area`: what is there is neither judged nor
    /// told of.
    pub fn hides(&self, camera: usize, area: Area) -> bool {
        self.masks.hide(camera, area)
    }

    /// Takes in what became of a warning. What follows is ordered with the next scene.
    pub fn hear(&mut self, report: WarnReport) {
        self.book.hear(report);
    }

    /// The book as JSON, to be saved with the pictures it explains.
    pub fn book(&self) -> String {
        self.book.save()
    }

    /// Open cases.
    pub fn open_cases(&self) -> usize {
        self.book.open_cases().len()
    }

    /// Whether this case is open.
    pub fn is_open(&self, id: CaseId) -> bool {
        self.book.open_cases().iter().any(|case| case.id == id)
    }
}

/// Seconds from the configuration; what is not a length of time counts as none.
fn secs(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

/// A length of time as a shift of a moment.
fn nanos(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}
