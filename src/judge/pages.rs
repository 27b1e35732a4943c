//! What the book saves: open cases, places that rest, what permits cover, and what is remembered.

use serde::{Deserialize, Serialize};

use crate::types::{Appearance, Area, CaseId, Moved, Scene, Stamp, Violation};

use super::case::Case;
use super::history::Past;
use super::resumed::each;
use super::whereabouts::{Place, Whereabouts, compare};

/// The picture, and one picture's size round it: what is there may come back.
const NEAR: Area = Area {
    x0: -1.0,
    y0: -1.0,
    x1: 2.0,
    y1: 2.0,
};
/// With less of it there a place has gone.
const NEAR_MIN: f32 = 0.1;

/// A place whose case has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Closed {
    pub(super) violation: Violation,
    pub(super) camera: usize,
    pub(super) zone: String,
    pub(super) area: Area,
    /// Where the whole stall was, of which that was a part.
    #[serde(default)]
    pub(super) around: Option<Area>,
    pub(super) at: Stamp,
    pub(super) case: CaseId,
    /// When a rule last said a suspicion that came to nothing here; `None` before the first.
    pub(super) said: Option<Stamp>,
    /// Where the box was.
    #[serde(default)]
    pub(super) place: Option<Whereabouts>,
    /// Whether it has been elsewhere since: then the place is not where it was in the picture.
    #[serde(default)]
    pub(super) left: bool,
    /// Whether nobody knows any more where the place is in the picture, as of a case.
    #[serde(default)]
    pub(super) gone: bool,
    /// What the subject looked like, where it may have to be known by that.
    #[serde(default)]
    pub(super) looks: Vec<Appearance>,
}

/// A thing that a permit covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Permitted {
    pub(super) violation: Violation,
    pub(super) camera: usize,
    pub(super) zone: String,
    pub(super) area: Area,
    /// When a rule last said it.
    pub(super) said: Stamp,
}

/// What is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pages {
    pub(super) v: u32,
    pub(super) boot_id: String,
    /// Names of the cameras, by index.
    #[serde(default)]
    pub(super) cameras: Vec<String>,
    /// Cases opened so far; part of a case's id.
    pub(super) opened: u64,
    #[serde(deserialize_with = "each")]
    pub(super) open: Vec<Case>,
    #[serde(deserialize_with = "each")]
    pub(super) closed: Vec<Closed>,
    #[serde(default, deserialize_with = "each")]
    pub(super) permitted: Vec<Permitted>,
    #[serde(default, deserialize_with = "each")]
    pub(super) past: Vec<Past>,
}

impl Pages {
    /// Lets the places of a box that moves move with its picture. What has gone far from it, or
    /// nobody knows whither, is not met there again, though the picture may come back: of a case, and
    /// of a place that rests, the place of the street and the looks are left; the others are forgotten.
    pub(super) fn carry(&mut self, scene: &Scene) {
        let here = Whereabouts::of(scene);
        for closed in &mut self.closed {
            closed.left |= compare(closed.place, here) == Place::Left;
        }
        if scene.moved == Moved::Still {
            return;
        }
        let elsewhere = |camera: usize| camera != scene.camera;
        for case in self.open.iter_mut().filter(|c| !elsewhere(c.camera)) {
            case.gone = case.gone || !carried(&mut case.area, &scene.moved);
            carry_around(&mut case.around, &scene.moved);
        }
        for closed in self.closed.iter_mut().filter(|c| !elsewhere(c.camera)) {
            closed.gone = closed.gone || !carried(&mut closed.area, &scene.moved);
            carry_around(&mut closed.around, &scene.moved);
        }
        self.permitted
            .retain_mut(|p| elsewhere(p.camera) || carried(&mut p.area, &scene.moved));
        self.past.retain_mut(|past| {
            let (camera, area) = past.place_mut();
            elsewhere(camera) || carried(area, &scene.moved)
        });
    }

    /// Entries of all lists.
    pub(super) fn entries(&self) -> usize {
        self.open.len() + self.closed.len() + self.permitted.len() + self.past.len()
    }
}

/// Moves a place with the picture; false when it is not in it or near it any more, or nobody knows. A
/// place that was carried on for ever would grow beyond all numbers, as the picture of a box that
/// drives does.
fn carried(area: &mut Area, moved: &Moved) -> bool {
    moved.carry(area) && area.share_in(NEAR) >= NEAR_MIN
}

/// The same of what stands round a place; where nobody knows it, the place alone is left.
fn carry_around(around: &mut Option<Area>, moved: &Moved) {
    *around = around.and_then(|mut area| carried(&mut area, moved).then_some(area));
}
