//! What a scene shows of the open cases of its camera, for a person who asks.
//!
//! The book is read and not written: whoever asks, and however often, every case takes the course
//! it would have taken. A grace time that was promised is neither shortened nor begun anew, and a
//! second look is made when it is due and not when somebody wishes.

use std::time::Duration;

use crate::types::{CaseId, Gate, Scene, Stamp, Violation, same_subject};

use super::book::Book;
use super::case::{Case, Phase};
use super::finding::Finding;
use super::likeness::likeness;
use super::second_look::{found, present};
use super::sight;
use super::whereabouts::{Place, Whereabouts, compare};

/// An open case, and what one scene shows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recheck {
    /// The case.
    pub case: CaseId,
    /// What is suspected.
    pub violation: Violation,
    /// Name of the zone.
    pub zone: String,
    /// When the subject was first seen at the place.
    pub first_seen: Stamp,
    /// Where the case stands: `warning`, `unheard`, `heard`, `grace`, `looking`, `recording`,
    /// `hushed` or `broken`.
    pub phase: &'static str,
    /// What is left of the grace time; `None` outside it.
    pub grace_left: Option<Duration>,
    /// When the warning was played to its end; `None` when it was not, or not yet.
    pub warned: Option<Stamp>,
    /// Whether the subject is seen at its place in this scene; `None` when nobody knows, because
    /// the view is bad, the place is not in the picture, or the box may be somewhere else.
    pub seen: Option<bool>,
    /// What its rule holds against what stands there now, and whether that looks like the subject;
    /// empty when nothing does, or nobody can tell.
    pub gates: Vec<Gate>,
}

impl Book {
    /// The open cases of the scene's camera. `findings` are those of the same scene.
    pub(super) fn recheck(&self, scene: &Scene, findings: &[Finding]) -> Vec<Recheck> {
        let here = self.pages.open.iter().filter(|c| c.camera == scene.camera);
        here.map(|case| self.recheck_one(case, scene, findings))
            .collect()
    }

    fn recheck_one(&self, case: &Case, scene: &Scene, findings: &[Finding]) -> Recheck {
        let known = scene.view.is_good()
            && case.is_in_picture()
            && compare(case.place, Whereabouts::of(scene)) == Place::Same;
        let found = found(case, findings);
        let hidden = scene.doubted || sight::named_otherwise(case, scene);
        let there = present(case, scene).filter(|_| known);
        let alike = likeness(&case.looks, there.and_then(|t| t.appearance));
        let mut gates = found.map(|f| f.gates.clone()).unwrap_or_default();
        gates.extend(alike.map(|alike| same_subject(Some(alike))));
        let played = case.warning.as_ref().filter(|w| w.failure.is_none());
        Recheck {
            case: case.id,
            violation: case.violation,
            zone: case.zone.clone(),
            first_seen: case.first_seen,
            phase: case.phase.name(),
            grace_left: match case.phase {
                Phase::Grace { since } => {
                    let waited = scene.at.since(since);
                    Some(self.grace(case).saturating_sub(waited))
                }
                _ => None,
            },
            warned: played.filter(|w| w.hushed.is_none()).map(|w| w.at),
            seen: (known && (there.is_some() || !hidden)).then_some(there.is_some()),
            gates,
        }
    }
}
