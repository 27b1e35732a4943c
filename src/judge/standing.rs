//! What stands still where: dwell by place, not by track.
//!
//! A tracker loses and renames a stall when a bus passes before it; the stall does not start
//! standing anew because of that. So dwell is counted for a *spot*: the area where a thing of the
//! wanted roles was first seen. Whoever walks leaves his first area within a second and never
//! collects dwell.

use std::time::Duration;

use crate::types::{Area, RoleSet, Scene, Stamp};

/// A thing and a spot are the same when their boxes overlap at least this much.
pub(super) const SAME_PLACE_IOU: f32 = 0.3;
/// A spot not seen for this long is given up.
const GAP_MAX: Duration = Duration::from_secs(3);
/// Share of the looks in which the thing must have been seen.
const SEEN_SHARE_MIN: f32 = 0.5;
/// Spots followed per zone; a fuller scene is a crowd, not a market to be judged.
const SPOTS_MAX: usize = 64;

/// A place where something stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Where it was first seen.
    anchor: Area,
    /// Where it was last seen.
    pub(super) area: Area,
    /// Since when.
    pub(super) since: Stamp,
    /// Last time it was seen.
    last_seen: Stamp,
    looks: u32,
    seen: u32,
}

impl Spot {
    /// Whether it has stood there for `dwell` and was really seen most of that time.
    pub(super) fn has_stood(&self, dwell: Duration) -> bool {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share of at most a few thousand looks"
        )]
        let share = self.seen as f32 / self.looks.max(1) as f32;
        self.last_seen.since(self.since) >= dwell && share >= SEEN_SHARE_MIN
    }
}

/// Every spot of one zone.
#[derive(Debug, Default)]
pub(super) struct Standing {
    spots: Vec<Spot>,
}

impl Standing {
    /// Takes in one scene: `wanted` says which areas belong to the zone.
    pub(super) fn look(&mut self, scene: &Scene, roles: RoleSet, wanted: impl Fn(Area) -> bool) {
        self.spots
            .retain(|s| scene.at.since(s.last_seen) <= GAP_MAX);
        for spot in &mut self.spots {
            spot.looks += 1;
            // On a vehicle the street moves through the picture; its places go with it.
            if let Some(motion) = &scene.motion {
                spot.anchor = motion.of_area(spot.anchor);
                spot.area = motion.of_area(spot.area);
            }
        }
        for track in &scene.tracks {
            let d = &track.detection;
            if track.last_seen != scene.at || !d.roles.meets(roles) || !wanted(d.area) {
                continue;
            }
            match self.nearest(d.area) {
                Some(spot) if spot.last_seen == scene.at => {}
                Some(spot) => {
                    spot.area = d.area;
                    spot.last_seen = scene.at;
                    spot.seen += 1;
                }
                None => self.begin(scene.at, d.area),
            }
        }
    }

    fn begin(&mut self, at: Stamp, area: Area) {
        if self.spots.len() < SPOTS_MAX {
            self.spots.push(Spot {
                anchor: area,
                area,
                since: at,
                last_seen: at,
                looks: 1,
                seen: 1,
            });
        }
    }

    /// The spot the area belongs to.
    fn nearest(&mut self, area: Area) -> Option<&mut Spot> {
        self.spots
            .iter_mut()
            .filter(|s| s.anchor.iou(area) >= SAME_PLACE_IOU)
            .max_by(|a, b| a.anchor.iou(area).total_cmp(&b.anchor.iou(area)))
    }

    /// The spots seen in the scene of moment `at`.
    pub(super) fn seen_at(&self, at: Stamp) -> impl Iterator<Item = &Spot> {
        self.spots.iter().filter(move |s| s.last_seen == at)
    }
}
