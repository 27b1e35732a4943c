//! What a camera's picture is worth at a moment, and how it moved since the moment before.

use serde::{Deserialize, Serialize};

use super::{Area, Point, Stamp};

/// Whether the camera sees what it was set up to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// As far as anybody knows.
    #[default]
    Good,
    /// It looks somewhere else than where its zones were drawn.
    Moved,
    /// Nothing but an even surface: a bag, paint, a wall, thick fog, darkness.
    Covered,
    /// Most of the picture is pure white: the sun, headlights, a lamp held to the lens.
    Blinded,
    /// Edges that were sharp are not.
    Unfocused,
    /// The same picture again and again, to the bit.
    Frozen,
    /// The clock the camera writes into its picture stands still.
    ClockStuck,
}

impl View {
    /// Whether what is seen may be judged.
    pub fn is_good(self) -> bool {
        self == Self::Good
    }

    /// The name as it is in files, in the journal and in the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Moved => "moved",
            Self::Covered => "covered",
            Self::Blinded => "blinded",
            Self::Unfocused => "unfocused",
            Self::Frozen => "frozen",
            Self::ClockStuck => "clock_stuck",
        }
    }
}

/// When something last changed in a camera's picture for certain: more than a coder changes in one that is
/// repeated. Evidence of what stands there *now* does not rest on a picture in which nothing does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Nobody watches for it.
    #[default]
    NotWatched,
    /// Nothing since it has been watched.
    NotYet,
    /// At this moment.
    At(Stamp),
}

impl Change {
    /// Whether something changed at `then` or after; true where nobody watches.
    pub fn is_since(self, then: Stamp) -> bool {
        match self {
            Self::NotWatched => true,
            Self::NotYet => false,
            Self::At(at) => at.boot_ns >= then.boot_ns,
        }
    }
}

/// How the picture of things at rest moved from one moment to another: an affine map of relative
/// coordinates.
///
/// Each row gives one new coordinate of a point (x, y): `row[0] * x + row[1] * y + row[2]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Motion {
    /// The row of x.
    pub x: [f32; 3],
    /// The row of y.
    pub y: [f32; 3],
}

impl Motion {
    /// No movement.
    pub const NONE: Self = Self {
        x: [1.0, 0.0, 0.0],
        y: [0.0, 1.0, 0.0],
    };

    /// Where what was at `point` is now.
    #[must_use]
    pub fn of(&self, point: Point) -> Point {
        let along = |row: [f32; 3]| row[0] * point.x + row[1] * point.y + row[2];
        Point {
            x: along(self.x),
            y: along(self.y),
        }
    }

    /// Where what filled `area` is now: its middle is moved, its sides grow as the picture does;
    /// the box stays upright.
    #[must_use]
    pub fn of_area(&self, area: Area) -> Area {
        let middle = self.of(area.centre());
        let half_width = area.width() * self.x[0].hypot(self.x[1]) / 2.0;
        let half_height = area.height() * self.y[0].hypot(self.y[1]) / 2.0;
        Area {
            x0: middle.x - half_width,
            y0: middle.y - half_height,
            x1: middle.x + half_width,
            y1: middle.y + half_height,
        }
    }

    /// This movement and then `next`.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let row = |row: [f32; 3]| {
            let column = |i: usize| row[0] * self.x[i] + row[1] * self.y[i];
            [column(0), column(1), column(2) + row[2]]
        };
        Self {
            x: row(next.x),
            y: row(next.y),
        }
    }
}

/// What is known of how the picture of a camera moved from one moment to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// Not at all: a fixed camera's, and a moving one's that was seen to stand.
    #[default]
    Still,
    /// So.
    By(Motion),
    /// Nobody can tell: what was at a place of the picture may be anywhere by now.
    Unknown,
}

impl Moved {
    /// This and then `next`.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Still, moved) | (moved, Self::Still) => moved,
            (Self::By(first), Self::By(next)) => Self::By(first.then(&next)),
        }
    }

    /// Brings `area` to where what filled it is now; false when nobody knows.
    pub fn carry(&self, area: &mut Area) -> bool {
        if let Self::By(motion) = self {
            *area = motion.of_area(*area);
        }
        *self != Self::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turned a little, grown by a tenth, and moved.
    const TURN: Motion = Motion {
        x: [1.1, -0.05, 0.02],
        y: [0.05, 1.1, -0.1],
    };

    #[test]
    fn what_nobody_watches_counts_as_changed_and_what_never_changed_does_not() {
        let at = |boot_ns| Stamp {
            utc_ns: 0,
            boot_ns,
            error_ns: 0,
        };
        for (change, wanted) in [
            (Change::NotWatched, true),
            (Change::NotYet, false),
            (Change::At(at(6)), false),
            (Change::At(at(7)), true),
            (Change::At(at(8)), true),
        ] {
            assert_eq!(change.is_since(at(7)), wanted, "{change:?}");
        }
    }

    #[test]
    fn movements_follow_each_other() {
        let p = Point { x: 0.3, y: 0.7 };
        let shift = Motion {
            x: [1.0, 0.0, 0.25],
            y: [0.0, 1.0, -0.5],
        };
        let one_by_one = shift.of(TURN.of(p));
        let at_once = TURN.then(&shift).of(p);
        assert!((one_by_one.x - at_once.x).abs() < 1e-6 && (one_by_one.y - at_once.y).abs() < 1e-6);
        assert_eq!(Motion::NONE.then(&TURN), TURN);
        assert_eq!(TURN.then(&Motion::NONE), TURN);
    }

    #[test]
    fn what_nobody_can_tell_stays_so_whatever_follows() {
        let by = Moved::By(TURN);
        assert_eq!(Moved::Still.then(by), by);
        assert_eq!(by.then(Moved::Still), by);
        assert_eq!(by.then(by), Moved::By(TURN.then(&TURN)));
        for other in [Moved::Still, by, Moved::Unknown] {
            assert_eq!(Moved::Unknown.then(other), Moved::Unknown);
            assert_eq!(other.then(Moved::Unknown), Moved::Unknown);
        }
    }

    #[test]
    fn a_box_is_carried_along_and_grows_with_the_picture() {
        let area = Area {
            x0: 0.2,
            y0: 0.4,
            x1: 0.4,
            y1: 0.6,
        };
        let unmoved = Motion::NONE.of_area(area);
        assert!(unmoved.iou(area) > 0.999, "{unmoved:?}");
        let now = TURN.of_area(area);
        let middle = TURN.of(area.centre());
        assert!((now.centre().x - middle.x).abs() < 1e-6);
        assert!((now.width() - 0.22).abs() < 1e-3 && (now.height() - 0.22).abs() < 1e-3);
    }
}
