//! What lately lay open of a road: which places nothing covered, and nothing lay at.
//!
//! Debris that comes to light when a bus has driven off need not have fallen from it. That something
//! was lost is known only of a place that was seen empty before: for so long that no detector that
//! missed a bus a few times can have seen through it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::types::{Area, RoleSet, Scene, Stamp};

use super::super::standing::MOVERS;

/// Looks remembered; of a camera that is looked at more often some are left out.
const LOOKS_MAX: u32 = 256;
/// A place is empty that was seen so in this many looks one after the other …
const EMPTY_LOOKS: u32 = 3;
/// … and for this long.
const EMPTY_FOR: Duration = Duration::from_secs(1);

/// What one look showed.
struct Look {
    at: Stamp,
    /// Where the picture of that look is in the picture of now.
    picture: Area,
    /// Who moves, and what lies.
    boxes: Vec<Area>,
}

/// The latest looks at a road.
#[derive(Default)]
pub(super) struct Ground(VecDeque<Look>);

impl Ground {
    /// Takes in one scene, where things of `lying` lie; forgets what is older than `keep`.
    pub(super) fn look(&mut self, scene: &Scene, lying: RoleSet, keep: Duration) {
        let at = scene.at;
        self.0.retain_mut(|look| {
            let mut boxes = look.boxes.iter_mut().chain([&mut look.picture]);
            at.since(look.at) <= keep && boxes.all(|area| scene.moved.carry(area))
        });
        let soon = keep / LOOKS_MAX;
        if self.0.back().is_some_and(|last| at.since(last.at) < soon) {
            return;
        }
        let movers: RoleSet = MOVERS.into_iter().collect();
        let roles = movers.with(lying);
        let hides = scene.tracks.iter().map(|t| (t, roles));
        let hides = hides.chain(scene.passing.iter().map(|t| (t, movers)));
        let seen = hides.filter(|(t, _)| t.last_seen == at);
        let hides = seen.filter(|(t, roles)| t.detection.roles.meets(*roles));
        self.0.push_back(Look {
            at,
            picture: Area {
                x0: 0.0,
                y0: 0.0,
                x1: 1.0,
                y1: 1.0,
            },
            boxes: hides.map(|(t, _)| t.detection.area).collect(),
        });
    }

    /// Whether the place was seen empty between `since` and `until`.
    pub(super) fn was_empty(&self, place: Area, since: Stamp, until: Stamp) -> bool {
        let within = |look: &&Look| (since.boot_ns..until.boot_ns).contains(&look.at.boot_ns);
        let mut run: Option<(Stamp, u32)> = None;
        self.0.iter().filter(within).any(|look| {
            let whole = place.share_in(look.picture) > 0.99;
            let open = whole && look.boxes.iter().all(|b| place.share_in(*b) == 0.0);
            run = open.then(|| run.map_or((look.at, 1), |(first, looks)| (first, looks + 1)));
            run.is_some_and(|(first, looks)| {
                looks >= EMPTY_LOOKS && look.at.since(first) >= EMPTY_FOR
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{at, scene};
    use super::*;
    use crate::types::{Motion, Moved};

    #[test]
    fn what_came_into_the_picture_was_not_seen_empty_nor_what_is_long_ago() {
        let keep = Duration::from_secs(30);
        let mut ground = Ground::default();
        let place = |x0: f32| Area {
            x0,
            y0: 0.5,
            x1: x0 + 0.1,
            y1: 0.6,
        };
        let empty = |ground: &Ground, x0| ground.was_empty(place(x0), at(0.0), at(3.5));
        for step in 0..20 {
            ground.look(&scene(f64::from(step) * 0.2, &[]), RoleSet::EMPTY, keep);
        }
        assert!(empty(&ground, 0.2) && empty(&ground, 0.7));
        let mut turned = scene(4.0, &[]);
        turned.moved = Moved::By(Motion {
            x: [1.0, 0.0, 0.5],
            ..Motion::NONE
        });
        ground.look(&turned, RoleSet::EMPTY, keep);
        assert!(!empty(&ground, 0.2) && empty(&ground, 0.7));
        ground.look(&scene(34.5, &[]), RoleSet::EMPTY, keep);
        assert!(!empty(&ground, 0.7));
    }
}
