//! Who attends to what stands: a person who stays within reach of it.
//!
//! A passer-by is within reach for two or three seconds; a vendor, a customer or an owner stays.
//! So one attends who has been within reach for four. That is told by his track; one that is lost
//! begins anew, for the vendor.

use std::time::Duration;

use crate::types::{Area, Role, Scene, Stamp};

use super::super::standing::{Pace, Spot};

/// Within reach for so long, a person attends.
const STAYS: Duration = Duration::from_secs(4);
/// Within reach again after this long, he has come anew.
const GAP_MAX: Duration = Duration::from_secs(1);
/// A person reaches half his own size to every side.
pub(super) const REACH: f32 = 0.5;
/// Pairs of thing and person remembered per zone; in a denser crowd nobody is told apart.
const PAIRS_MAX: usize = 256;

/// A person within reach of a thing.
#[derive(Clone, Copy, Debug)]
struct Near {
    spot: u64,
    track: u64,
    since: Stamp,
    last: Stamp,
    /// For how long nothing has moved since.
    still: Duration,
    height: f32,
}

/// Who is within reach of what in one zone.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    near: Vec<Near>,
    pace: Pace,
}

impl Attendance {
    /// Takes in the persons of one scene and the spots seen in it.
    pub(super) fn look(&mut self, scene: &Scene, spots: &[Spot]) {
        let gap = self.pace.take(scene, GAP_MAX);
        for near in &mut self.near {
            near.still += scene.held;
        }
        self.near
            .retain(|n| scene.at.since(n.last) <= gap + n.still);
        let persons = scene
            .tracks
            .iter()
            .filter(|t| t.last_seen == scene.at && t.detection.roles.has(Role::Person));
        for person in persons {
            let area = person.detection.area;
            for spot in spots.iter().filter(|s| reaches(area, s.area)) {
                self.add(spot.id, person.id, scene.at, area.height());
            }
        }
    }

    fn add(&mut self, spot: u64, track: u64, at: Stamp, height: f32) {
        let known = self.near.iter_mut();
        let known = known
            .into_iter()
            .find(|n| (n.spot, n.track) == (spot, track));
        if let Some(near) = known {
            (near.last, near.still, near.height) = (at, Duration::ZERO, height);
        } else if self.near.len() < PAIRS_MAX {
            self.near.push(Near {
                spot,
                track,
                since: at,
                last: at,
                still: Duration::ZERO,
                height,
            });
        }
    }

    /// The height in the picture of the tallest person who attends to the spot; `None` when nobody
    /// does.
    pub(super) fn tallest(&self, spot: &Spot, at: Stamp) -> Option<f32> {
        let here = self
            .near
            .iter()
            .filter(|n| n.spot == spot.id && n.last == at);
        let attends = here.filter(|n| at.since(n.since) >= STAYS);
        attends.map(|n| n.height).max_by(f32::total_cmp)
    }
}

/// Whether a person reaches a thing.
pub(super) fn reaches(person: Area, thing: Area) -> bool {
    thing.share_in(person.grown(REACH)) > 0.0
}
