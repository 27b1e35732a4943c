//! Trucks' ways through a road zone: where each was when, and when its plate was best seen.

use std::time::Duration;

use crate::types::{Area, Motion, Role, RoleSet, Scene, Stamp};

use super::super::standing::SAME_PLACE_IOU;
use super::super::zone::Zone;

/// Passages remembered per zone.
const PASSAGES_MAX: usize = 16;
/// Moments of a passage remembered; of a truck in a jam those in which it hardly moved are forgotten.
const PATH_MAX: usize = 256;
/// A truck not seen for longer than this is another one when it comes again.
const RENAMED_WITHIN: Duration = Duration::from_secs(2);
/// What it loses lies below its box by up to this share of its height: the bed overhangs.
const BELOW: f32 = 0.25;

/// A truck's way through the zone.
pub(super) struct Passage {
    track: u64,
    pub(super) last: Stamp,
    path: Vec<(Stamp, Area)>,
    /// The plate where it was largest.
    plate: Option<(Stamp, Area)>,
}

impl Passage {
    /// The last moment up to `until` at which the truck stood over `debris`.
    pub(super) fn over(&self, debris: Area, until: Stamp) -> Option<(Stamp, Area)> {
        let foot = debris.foot();
        let covers = |a: &Area| {
            let low = a.y1 + a.height() * BELOW;
            (a.x0..=a.x1).contains(&foot.x) && (a.y0..=low).contains(&foot.y)
        };
        let before = |at: &Stamp| at.boot_ns <= until.boot_ns;
        let path = self.path.iter().rev();
        path.filter(|(at, a)| before(at) && covers(a))
            .copied()
            .next()
    }

    /// The moment at which the truck was farthest in the picture from where it was at `moment`;
    /// `None` when it was seen but once.
    pub(super) fn farthest_from(&self, moment: (Stamp, Area)) -> Option<(Stamp, Area)> {
        self.path
            .iter()
            .filter(|(at, _)| *at != moment.0)
            .max_by(|a, b| apart(a.1, moment.1).total_cmp(&apart(b.1, moment.1)))
            .copied()
    }

    /// How far it moved in the picture, share of the picture.
    pub(super) fn moved(&self) -> f32 {
        let first = self.path.first().map(|p| p.1);
        let ways = first.iter().flat_map(|first| {
            let way = |p: &(Stamp, Area)| apart(p.1, *first);
            self.path.iter().map(way)
        });
        ways.fold(0.0, f32::max)
    }

    /// Where to look for its plate: the plate with its surroundings where it was seen largest, or
    /// the lower half of the truck where that was largest.
    pub(super) fn plate(&self) -> Option<(Stamp, Area)> {
        let size = |a: Area| a.width() * a.height();
        let seen = self.plate.map(|(at, area)| (at, area.grown(1.0)));
        seen.or_else(|| {
            let largest = |a: &&(Stamp, Area), b: &&(Stamp, Area)| size(a.1).total_cmp(&size(b.1));
            let (at, area) = *self.path.iter().max_by(largest)?;
            let y0 = area.centre().y;
            Some((at, Area { y0, ..area }))
        })
    }

    /// What it is called in an explanation.
    pub(super) fn name(&self) -> String {
        format!("truck {}", self.track)
    }

    fn carry(&mut self, motion: &Motion) {
        for (_, area) in &mut self.path {
            *area = motion.of_area(*area);
        }
    }

    fn go_on(&mut self, at: Stamp, area: Area) {
        self.last = at;
        if self.path.len() == PATH_MAX {
            let way = |i: usize| apart(self.path[i - 1].1, self.path[i + 1].1);
            let middle = 1..self.path.len() - 1;
            let least = middle.min_by(|a, b| way(*a).total_cmp(&way(*b)));
            self.path.remove(least.unwrap_or(0));
        }
        self.path.push((at, area));
    }
}

fn apart(a: Area, b: Area) -> f32 {
    let (a, b) = (a.centre(), b.centre());
    (a.x - b.x).hypot(a.y - b.y)
}

/// Takes in one scene: goes on with the ways of the trucks in it, and forgets those that ended
/// more than `keep` ago. True when there are more than can be remembered, and one was forgotten
/// before its time.
pub(super) fn follow(
    passages: &mut Vec<Passage>,
    scene: &Scene,
    zone: &Zone,
    keep: Duration,
) -> bool {
    passages.retain(|p| scene.at.since(p.last) <= keep);
    if let Some(motion) = &scene.motion {
        for passage in passages.iter_mut() {
            passage.carry(motion);
        }
    }
    let seen = |role: Role| {
        let roles: RoleSet = [role].into_iter().collect();
        let tracks = scene.tracks.iter().filter(|t| t.last_seen == scene.at);
        tracks.filter(move |t| t.detection.roles.meets(roles))
    };
    let mut crowded = false;
    for truck in seen(Role::Truck) {
        let area = truck.detection.area;
        if !zone.holds(area, false) {
            continue;
        }
        let (passage, forgot) = place(passages, truck.id, scene.at, area);
        crowded |= forgot;
        let plates = seen(Role::Plate).map(|t| t.detection.area);
        let larger = |plate: &Area| passage.plate.is_none_or(|(_, p)| p.width() < plate.width());
        let on_it = |plate: &Area| plate.share_in(area) >= 0.5;
        if let Some(plate) = plates.filter(on_it).find(larger) {
            passage.plate = Some((scene.at, plate));
        }
    }
    crowded
}

/// The way of this truck, with this moment added. A tracker that lost a truck gives it another
/// number: where one was a moment ago and is not any more, it is the same. With it, whether another
/// had to be forgotten.
fn place(passages: &mut Vec<Passage>, track: u64, at: Stamp, area: Area) -> (&mut Passage, bool) {
    let renamed = |p: &Passage| {
        let there = p
            .path
            .last()
            .is_some_and(|l| l.1.iou(area) >= SAME_PLACE_IOU);
        p.last != at && at.since(p.last) <= RENAMED_WITHIN && there
    };
    let known = passages.iter().position(|p| p.track == track);
    let i = known.or_else(|| passages.iter().position(renamed));
    let full = i.is_none() && passages.len() == PASSAGES_MAX;
    let i = i.unwrap_or_else(|| {
        if full {
            passages.remove(0);
        }
        passages.push(Passage {
            track,
            last: at,
            path: Vec::new(),
            plate: None,
        });
        passages.len() - 1
    });
    let passage = &mut passages[i];
    passage.track = track;
    passage.go_on(at, area);
    (passage, full)
}
