//! One case as plain data, and the orders that follow from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{
    Appearance, Area, CaseId, CaseRecord, Gate, Hit, HitOutcome, Order, Outcome, RoleSet, ShotKind,
    Stamp, Violation, WarnReport, same_subject,
};

use super::history::age;
use super::standing::SAME_PLACE_IOU;
use super::whereabouts::Whereabouts;

/// What is more than twice as large or half as small is another thing.
const SIZE_RATIO_MAX: f32 = 2.0;

const PICTURE: Area = Area {
    x0: 0.0,
    y0: 0.0,
    x1: 1.0,
    y1: 1.0,
};

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
    Looking {
        since: Stamp,
        looks: u32,
        seen: u32,
        /// How like the subject the looks were that were most like it, thousandths, the best first.
        #[serde(default)]
        best: Vec<u16>,
    },
    /// Recorded at once; waits for the end of its clip.
    Recording,
    /// The warning was not to be said; ended at the next scene or idle moment.
    Hushed { why: String },
    /// Cannot be brought to an end; discarded at the next scene or idle moment.
    Broken { why: String },
}

impl Phase {
    /// The second look, begun at `since`.
    pub(super) fn looking(since: Stamp) -> Self {
        Self::Looking {
            since,
            looks: 0,
            seen: 0,
            best: Vec::new(),
        }
    }

    /// The name it has in the book.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Warning { .. } => "warning",
            Self::Unheard { .. } => "unheard",
            Self::Heard => "heard",
            Self::Grace { .. } => "grace",
            Self::Looking { .. } => "looking",
            Self::Recording => "recording",
            Self::Hushed { .. } => "hushed",
            Self::Broken { .. } => "broken",
        }
    }
}

/// One open case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) id: CaseId,
    pub(super) violation: Violation,
    pub(super) camera: usize,
    pub(super) zone: String,
    pub(super) roles: RoleSet,
    /// Whether it was of no known class in most looks.
    #[serde(default)]
    pub(super) unnamed: bool,
    /// Where its place is in the picture.
    pub(super) area: Area,
    /// Where in the picture the whole stall is, of which it is a part.
    #[serde(default)]
    pub(super) around: Option<Area>,
    /// Whether that is not known any more: it went far from the picture of a moving camera, or nobody
    /// could tell how that moved. Then it is a place of the street only.
    #[serde(default)]
    pub(super) gone: bool,
    /// Where the place was when the rule fired: the picture of a moving camera moves on.
    #[serde(default)]
    pub(super) fired_at: Option<Area>,
    pub(super) first_seen: Stamp,
    pub(super) confirmed: Stamp,
    /// When who is to blame came, where that was long before.
    #[serde(default)]
    pub(super) came: Option<Stamp>,
    pub(super) phase: Phase,
    /// How much time to correct was promised.
    #[serde(default)]
    pub(super) grace: Duration,
    pub(super) tries: u32,
    pub(super) clip_cut: bool,
    pub(super) warning: Option<WarnReport>,
    /// When a rule last said the suspicion.
    pub(super) said: Stamp,
    /// Where the box was when it began.
    #[serde(default)]
    pub(super) place: Option<Whereabouts>,
    /// Earlier cases remembered at the place.
    #[serde(default)]
    pub(super) prior: Option<u32>,
    /// What it looked like before its warning; nothing where nobody can tell.
    #[serde(default)]
    pub(super) looks: Vec<Appearance>,
    /// When this boot took it over from another; `None` for a case of this boot.
    #[serde(default)]
    pub(super) crossed: Option<Stamp>,
    /// Whether what stood at its place was taken for the street since.
    #[serde(default)]
    pub(super) absorbed: bool,
    /// Since when it is away while the second look waits for a picture that lives.
    #[serde(skip)]
    pub(super) away: Option<Stamp>,
    /// Whether it was away then for as long as a second look takes.
    #[serde(default)]
    pub(super) went: bool,
}

impl Case {
    /// How long ago its warning was, or the try to warn: by the clock that never jumps, or by UTC
    /// when that was in another boot; `None` when nobody knows.
    pub(super) fn told_ago(&self, now: Stamp) -> Option<Duration> {
        self.ago(self.warning.as_ref()?.at, now)
    }

    /// How long ago the rule fired; `None` when nobody knows.
    pub(super) fn since_confirmed(&self, now: Stamp) -> Option<Duration> {
        self.ago(self.confirmed, now)
    }

    fn ago(&self, then: Stamp, now: Stamp) -> Option<Duration> {
        match self.crossed {
            None => Some(now.since(then)),
            Some(_) => age(then, now),
        }
    }

    /// What became of a hit at its place, decided at `at`.
    pub(super) fn hit(&self, outcome: HitOutcome, at: Stamp) -> Hit {
        Hit {
            outcome,
            violation: self.violation,
            camera: self.camera,
            zone: self.zone.clone(),
            since: self.first_seen,
            at,
            permit: None,
            gates: Vec::new(),
        }
    }

    /// Whether its place is in the picture, so far that a thing there could be known again.
    pub(super) fn is_in_picture(&self) -> bool {
        self.out_of_picture().is_none()
    }

    /// Why a thing at its place could not be known again in the picture; `None` when it could.
    pub(super) fn out_of_picture(&self) -> Option<&'static str> {
        if self.area.share_in(PICTURE) < SAME_PLACE_IOU {
            return Some("its place has left the picture");
        }
        (self.gone).then_some("nobody can tell where in the picture its place is by now")
    }

    /// Whether a thing at `area` is as large as the subject, and at its place.
    pub(super) fn is_at(&self, area: Area) -> bool {
        let size = |a: Area| a.width() * a.height();
        let ratio = size(area) / size(self.area);
        !self.gone
            && (1.0 / SIZE_RATIO_MAX..=SIZE_RATIO_MAX).contains(&ratio)
            && area.iou(self.area) >= SAME_PLACE_IOU
    }
}

/// Ends a case at `at` without a record; always true: it has ended.
pub(super) fn discard(case: &Case, at: Stamp, why: String, orders: &mut Vec<Order>) -> bool {
    orders.push(Order::Discard {
        case: case.id,
        why,
        hit: Box::new(case.hit(HitOutcome::Discarded, at)),
    });
    true
}

/// Ends a first time with the warning that was heard; always true: it has ended.
pub(super) fn remind(case: &Case, at: Stamp, orders: &mut Vec<Order>) -> bool {
    orders.push(Order::Discard {
        case: case.id,
        why: "reminded: the first time that is remembered at this place".to_owned(),
        hit: Box::new(case.hit(HitOutcome::Reminded, at)),
    });
    true
}

/// Ends a case at whose place another thing stands at the second look; always true. Nothing is
/// kept of it, and the place does not rest: who came has not been warned.
pub(super) fn end_replaced(
    case: &Case,
    at: Stamp,
    (alike, mut gates): (u16, Vec<Gate>),
    orders: &mut Vec<Order>,
) -> bool {
    gates.push(same_subject(Some(alike)));
    orders.push(Order::Discard {
        case: case.id,
        why: "what was warned has gone; another thing stands at its place".to_owned(),
        hit: Box::new(Hit {
            gates,
            ..case.hit(HitOutcome::Replaced, at)
        }),
    });
    true
}

/// Ends a case whose warning was not to be said; always true.
pub(super) fn end_hushed(case: &Case, at: Stamp, why: String, orders: &mut Vec<Order>) -> bool {
    orders.push(Order::Discard {
        case: case.id,
        why,
        hit: Box::new(case.hit(HitOutcome::Hushed, at)),
    });
    true
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
        outcome: (!case.violation.warns_first()).then_some(Outcome::Recorded),
    }
}

/// Seals a case whose second look, where it had one, found something alike by `likeness`, under
/// these conditions.
pub(super) fn seal(
    case: &Case,
    outcome: Outcome,
    looked_again: Option<Stamp>,
    (likeness, gates): (Option<u16>, Vec<Gate>),
) -> Order {
    let record = CaseRecord {
        violation: case.violation,
        camera: case.camera,
        zone: case.zone.clone(),
        first_seen: case.first_seen,
        confirmed: case.confirmed,
        warning: case.warning.clone(),
        looked_again,
        outcome,
        prior: case.prior,
        likeness,
        gates,
        crossed: case.crossed.is_some(),
    };
    Order::Seal {
        case: case.id,
        record: Box::new(record),
    }
}

pub(super) fn warn(case: &Case) -> Order {
    Order::Warn {
        case: case.id,
        violation: case.violation,
        zone: case.zone.clone(),
    }
}
