//! One case as plain data, and the orders that follow from it.

use serde::{Deserialize, Serialize};

use crate::types::{
    Area, CaseId, CaseRecord, Order, Outcome, RoleSet, Scene, ShotKind, Stamp, Violation,
    WarnReport,
};

use super::standing::SAME_PLACE_IOU;

/// Where a case stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub(super) enum Phase {
    /// The warning was ordered; nobody has reported yet.
    Warning { since: Stamp },
    /// It was not played; it is tried again after `since` + pause.
    Unheard { since: Stamp, why: String },
    /// It was heard out; the picture of that moment is due.
    Heard,
    /// Time to correct, from `since`.
    Grace { since: Stamp },
    /// The second look.
    Looking { since: Stamp, looks: u32, seen: u32 },
    /// Recorded at once; waits for the end of its clip.
    Recording,
    /// Cannot be brought to an end; discarded at the next scene.
    Broken { why: String },
}

/// One open case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) id: CaseId,
    pub(super) violation: Violation,
    pub(super) camera: usize,
    pub(super) zone: String,
    pub(super) roles: RoleSet,
    pub(super) area: Area,
    pub(super) first_seen: Stamp,
    pub(super) confirmed: Stamp,
    pub(super) phase: Phase,
    pub(super) tries: u32,
    pub(super) clip_cut: bool,
    pub(super) warning: Option<WarnReport>,
}

/// A place whose case has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Closed {
    pub(super) violation: Violation,
    pub(super) camera: usize,
    pub(super) zone: String,
    pub(super) area: Area,
    pub(super) at: Stamp,
}

/// What is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pages {
    pub(super) v: u32,
    pub(super) boot_id: String,
    /// Cases opened so far; part of a case's id.
    pub(super) opened: u64,
    pub(super) open: Vec<Case>,
    pub(super) closed: Vec<Closed>,
}

impl Pages {
    /// Rewrites the times of another boot in this boot's clock.
    pub(super) fn translate(&mut self, now: Stamp) {
        for case in &mut self.open {
            match &mut case.phase {
                Phase::Grace { since } | Phase::Unheard { since, .. } => {
                    *since = translated(*since, now);
                }
                Phase::Looking { since, looks, seen } => (*since, *looks, *seen) = (now, 0, 0),
                Phase::Warning { .. } | Phase::Heard | Phase::Recording | Phase::Broken { .. } => {}
            }
            // The camera's ring did not outlive the boot.
            case.clip_cut = true;
        }
        for closed in &mut self.closed {
            closed.at = translated(closed.at, now);
        }
    }
}

/// A moment of another boot in this boot's clock: by UTC when both ends are trusted, else now.
fn translated(then: Stamp, now: Stamp) -> Stamp {
    let trusted = then.error_ns != Stamp::ERROR_UNKNOWN && now.error_ns != Stamp::ERROR_UNKNOWN;
    let passed = now.utc_ns.saturating_sub(then.utc_ns);
    if trusted && passed > 0 {
        now.shifted_ns(-passed)
    } else {
        now
    }
}

/// Ends a case without a record; always true: it has ended.
pub(super) fn discard(case: &Case, why: String, orders: &mut Vec<Order>) -> bool {
    orders.push(Order::Discard { case: case.id, why });
    true
}

/// The subject, when it is seen at its place in this very scene.
pub(super) fn present(case: &Case, scene: &Scene) -> Option<Area> {
    scene
        .tracks
        .iter()
        .filter(|t| t.last_seen == scene.at && t.detection.roles.meets(case.roles))
        .map(|t| t.detection.area)
        .filter(|a| a.iou(case.area) >= SAME_PLACE_IOU)
        .max_by(|a, b| a.iou(case.area).total_cmp(&b.iou(case.area)))
}

pub(super) fn snap(case: &Case, kind: ShotKind, at: Stamp, subject: Option<Area>) -> Order {
    Order::Snap {
        case: case.id,
        violation: case.violation,
        kind,
        at,
        subject,
        place: subject.unwrap_or(case.area),
        zone: case.zone.clone(),
    }
}

pub(super) fn seal(case: &Case, outcome: Outcome, looked_again: Option<Stamp>) -> Order {
    let record = CaseRecord {
        violation: case.violation,
        camera: case.camera,
        zone: case.zone.clone(),
        first_seen: case.first_seen,
        confirmed: case.confirmed,
        warning: case.warning.clone(),
        looked_again,
        outcome,
    };
    Order::Seal {
        case: case.id,
        record: Box::new(record),
    }
}

/// Warns again what is still there; nobody shouts after one who has gone.
pub(super) fn warn_again(
    case: &mut Case,
    why: &str,
    scene: &Scene,
    orders: &mut Vec<Order>,
) -> bool {
    if present(case, scene).is_none() {
        return discard(
            case,
            format!("gone before it could be warned ({why})"),
            orders,
        );
    }
    case.phase = Phase::Warning { since: scene.at };
    orders.push(Order::Warn {
        case: case.id,
        violation: case.violation,
    });
    false
}
