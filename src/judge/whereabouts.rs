//! Where the box was: what is seen at a place of the picture is at a place of the street only as
//! long as a car or a drone stands where it stood.

use serde::{Deserialize, Serialize};

use crate::types::{Scene, is_vague};

/// A box that moved farther than this, and than its receiver errs, has left.
const LEFT_M: f64 = 10.0;
/// An error told is exceeded in a third of the cases; three times of it in one of a thousand.
const ERRORS: f64 = 3.0;
/// Metres to a degree of latitude, mean of the WGS-84 ellipsoid.
const DEGREE_M: f64 = 111_195.0;

/// A position with its error, as far as it is needed to tell places apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Whereabouts {
    lat_e7: i32,
    lon_e7: i32,
    error_mm: u32,
}

/// How two moments of a box compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It stands where it stood, or has no position at all and is taken to stand.
    Same,
    /// It has left.
    Left,
    /// It had a position, and has none now, or one of the two says little.
    Unknown,
}

impl Whereabouts {
    /// Where the box was in the scene; `None` when it does not know or did not lately.
    pub(super) fn of(scene: &Scene) -> Option<Self> {
        let placed = scene.place.as_ref()?;
        let pose = placed.pose;
        placed.is_current().then(|| Self {
            lat_e7: pose.lat_e7,
            lon_e7: pose.lon_e7,
            error_mm: placed.error_mm(),
        })
    }

    /// Distance to another place on the ground, metres; good for the distances of a street.
    fn metres_to(self, other: Self) -> f64 {
        let degrees = |a: i32, b: i32| (f64::from(a) - f64::from(b)) / 1e7;
        let lat = (f64::from(self.lat_e7) / 1e7).to_radians();
        let north = degrees(self.lat_e7, other.lat_e7) * DEGREE_M;
        let east = degrees(self.lon_e7, other.lon_e7) * DEGREE_M * lat.cos();
        north.hypot(east)
    }

    fn is_left(self, now: Self) -> bool {
        let errors = (f64::from(self.error_mm) + f64::from(now.error_mm)) / 1000.0;
        self.metres_to(now) > LEFT_M + ERRORS * errors
    }
}

/// Compares where the box was with where it is.
pub(super) fn compare(then: Option<Whereabouts>, now: Option<Whereabouts>) -> Place {
    match (then, now) {
        (Some(_), None) => Place::Unknown,
        (Some(then), Some(now)) if then.is_left(now) => Place::Left,
        (Some(then), Some(now)) if is_vague(then.error_mm.max(now.error_mm)) => Place::Unknown,
        (None, _) | (Some(_), Some(_)) => Place::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_has_left_when_it_is_farther_than_it_errs() {
        let at = |north_m: f64, east_m: f64, error_mm| {
            #[expect(clippy::cast_possible_truncation, reason = "a street in Qingdao")]
            let e7 = |degrees: f64| (degrees * 1e7).round() as i32;
            Some(Whereabouts {
                lat_e7: e7(36.16 + north_m / DEGREE_M),
                lon_e7: e7(120.43 + east_m / DEGREE_M / 36.16_f64.to_radians().cos()),
                error_mm,
            })
        };
        let home = at(0.0, 0.0, 2_000);
        for (then, now, wanted) in [
            (None, None, Place::Same),
            (None, home, Place::Same),
            (home, None, Place::Unknown),
            (home, home, Place::Same),
            (home, at(15.0, 0.0, 2_000), Place::Same),
            (home, at(23.0, 0.0, 2_000), Place::Left),
            (home, at(0.0, 23.0, 2_000), Place::Left),
            (home, at(0.0, 21.0, 2_000), Place::Same),
            (home, at(60.0, 0.0, 30_000), Place::Same),
            (home, at(60.0, 0.0, 31_000), Place::Unknown),
            (at(0.0, 0.0, 31_000), home, Place::Unknown),
            (home, at(200.0, 0.0, 31_000), Place::Left),
        ] {
            assert_eq!(compare(then, now), wanted, "{then:?} {now:?}");
        }
    }
}
