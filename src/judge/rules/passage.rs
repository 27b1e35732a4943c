//! The ways of whoever moves through a road zone: where each was when, and when its plate was best
//! seen. Whoever drove or walked over a place may have lost what lies there; a truck alone is blamed.
//! Who is too fast to be a track, or passes before a privacy mask, is not judged: but he passed.

use std::time::Duration;

use crate::types::{Area, Role, Scene, Stamp, Track};

use super::super::standing::{MOVERS, SAME_PLACE_IOU};
use super::super::zone::Zone;
use super::attendance::{REACH, reaches};

/// Passages remembered per zone: with the longest paths 4 MiB. Before a background they are remembered for
/// most of a minute, whoever walks by on the pavement and each box that was seen but once among them.
const PASSAGES_MAX: usize = 256;
/// What is a truck in this share of the looks is one.
const TRUCK_MIN: f64 = 0.5;
/// What moves and overlaps a truck's box by so much is that truck, seen twice.
const SAME_BOX_IOU: f32 = 0.7;
/// A plate is on who holds this share of it.
const ON_IT_MIN: f32 = 0.5;
/// Who is in the box of a vehicle by this share rides in it.
const RIDES_MIN: f32 = 0.5;
/// Moments of a passage remembered; of a truck in a jam those in which it hardly moved are forgotten.
const PATH_MAX: usize = 256;
/// A truck not seen for longer than this is another one when it comes again, whatever the tracker calls
/// it: of a queue that moved up while the camera was away each is taken for the one before it.
pub(super) const RENAMED_WITHIN: Duration = Duration::from_secs(2);
/// What it loses lies below its box by up to this share of its height: the bed overhangs.
const BELOW: f32 = 0.25;

/// Where a mover was at one moment.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) at: Stamp,
    /// In the picture of that moment: this is what its picture shows.
    seen: Area,
    /// The same place of the street in the picture of now.
    area: Area,
    /// Whether it was a track by then and behind no mask: only that is held against anybody.
    judged: bool,
    /// Whether it may have lost what lies beside it, too.
    reaches: bool,
}

impl Step {
    /// What a picture of it is to show.
    pub(super) fn shot(self) -> (Stamp, Area) {
        (self.at, self.seen)
    }

    /// Whether what was in its box may have lost what lies at `debris`.
    fn covers(&self, debris: Area) -> bool {
        covers(self.area, debris) || self.reaches && reaches(self.area, debris)
    }
}

/// A way through the zone.
pub(super) struct Passage {
    track: u64,
    /// What it was taken for when it was last seen.
    role: Role,
    /// Looks in which it was seen, and those in which it was a truck.
    looks: (u32, u32),
    pub(super) last: Stamp,
    path: Vec<Step>,
    /// The plate where it was largest.
    plate: Option<(Stamp, Area)>,
}

impl Passage {
    /// Whether it is what the tracker calls `track`, seen a moment ago.
    fn is(&self, track: u64, at: Stamp, gap: Duration) -> bool {
        self.track == track && at.since(self.last) <= gap
    }

    /// Whether its mover was lost where it was last seen here: what is seen elsewhere by now, or was
    /// seen elsewhere since, has driven on.
    fn is_lost(&self, scene: &Scene) -> bool {
        let mut all = scene.tracks.iter().chain(&scene.passing);
        let own = all.find(|t| t.id == self.track);
        self.last != scene.at && own.is_none_or(|t| t.last_seen == self.last)
    }

    /// Whether it is a truck.
    pub(super) fn is_truck(&self) -> bool {
        let (all, truck) = self.looks;
        f64::from(truck) >= TRUCK_MIN * f64::from(all)
    }

    /// When it came into the zone.
    pub(super) fn came(&self) -> Option<Stamp> {
        Some(self.path.first()?.at)
    }

    /// The first moment at which it was over `debris`.
    pub(super) fn first_over(&self, debris: Area) -> Option<Stamp> {
        let mut path = self.path.iter();
        path.find(|step| step.covers(debris)).map(|step| step.at)
    }

    /// The last moment up to `until` at which it was over `debris`.
    pub(super) fn over(&self, debris: Area, until: Stamp) -> Option<Step> {
        self.steps_over(debris, until).next()
    }

    /// The same of what may be held against it.
    pub(super) fn judged_over(&self, debris: Area, until: Stamp) -> Option<Step> {
        self.steps_over(debris, until).find(|step| step.judged)
    }

    fn steps_over(&self, debris: Area, until: Stamp) -> impl Iterator<Item = Step> {
        let path = self.path.iter().rev().copied();
        path.filter(move |s| s.at.boot_ns <= until.boot_ns && s.covers(debris))
    }

    /// The moment at which the truck was farthest in the picture from where it was at `moment`;
    /// `None` when it was seen but once.
    pub(super) fn farthest_from(&self, moment: Step) -> Option<Step> {
        let way = |step: &Step| apart(step.area, moment.area);
        self.path
            .iter()
            .filter(|step| step.judged && step.at != moment.at)
            .max_by(|a, b| way(a).total_cmp(&way(b)))
            .copied()
    }

    /// How far it moved in the picture, share of the picture.
    pub(super) fn moved(&self) -> f32 {
        self.ways().fold(0.0, f32::max)
    }

    /// How far it came back towards where it was first seen, share of the picture. So do two that are taken
    /// for one, of which the one drove out of sight where the other came in.
    pub(super) fn came_back(&self) -> f32 {
        let mut farthest = 0.0_f32;
        let back = |way: f32| {
            farthest = farthest.max(way);
            farthest - way
        };
        self.ways().map(back).fold(0.0, f32::max)
    }

    /// How far it was from where it was first seen, moment by moment.
    fn ways(&self) -> impl Iterator<Item = f32> {
        let first = self.path.first().map(|step| step.area);
        let path = self.path.iter();
        path.filter_map(move |step| Some(apart(step.area, first?)))
    }

    /// Where to look for its plate: the plate with its surroundings where it was seen largest, or
    /// the lower half of the truck where that was largest.
    pub(super) fn plate(&self) -> Option<(Stamp, Area)> {
        let size = |a: Area| a.width() * a.height();
        let seen = self.plate.map(|(at, area)| (at, area.grown(1.0)));
        seen.or_else(|| {
            let largest = |a: &&Step, b: &&Step| size(a.seen).total_cmp(&size(b.seen));
            let judged = self.path.iter().filter(|step| step.judged);
            let (at, seen) = judged.max_by(largest)?.shot();
            let y0 = seen.centre().y;
            Some((at, Area { y0, ..seen }))
        })
    }

    /// Whether it ever was a track, and behind no mask.
    pub(super) fn is_judged(&self) -> bool {
        self.path.iter().any(|step| step.judged)
    }

    /// What it is called in an explanation.
    pub(super) fn name(&self) -> String {
        let role = if self.is_truck() {
            Role::Truck
        } else {
            self.role
        };
        let name = format!("{} {}", role.name(), self.track);
        if self.is_judged() {
            name
        } else {
            format!("{name}, seen for a moment or before a mask")
        }
    }

    fn go_on(&mut self, step: Step) {
        self.last = step.at;
        if self.path.len() == PATH_MAX {
            let way = |i: usize| apart(self.path[i - 1].area, self.path[i + 1].area);
            let middle = 1..self.path.len() - 1;
            let least = middle.min_by(|a, b| way(*a).total_cmp(&way(*b)));
            self.path.remove(least.unwrap_or(0));
        }
        self.path.push(step);
    }
}

/// Whether what is in `mover` may lose what lies at `debris`.
fn covers(mover: Area, debris: Area) -> bool {
    let foot = debris.foot();
    let low = mover.y1 + mover.height() * BELOW;
    (mover.x0..=mover.x1).contains(&foot.x) && (mover.y0..=low).contains(&foot.y)
}

fn apart(a: Area, b: Area) -> f32 {
    let (a, b) = (a.centre(), b.centre());
    (a.x - b.x).hypot(a.y - b.y)
}

/// Takes in one scene: goes on with the ways of who moves in it, and forgets those that ended
/// more than `keep` ago. Who was not seen for longer than `gap` is another one. True when there are more than can be remembered, and one was forgotten
/// before its time.
pub(super) fn follow(
    passages: &mut Vec<Passage>,
    scene: &Scene,
    zone: &Zone,
    (keep, gap): (Duration, Duration),
) -> bool {
    passages.retain_mut(|p| {
        let mut path = p.path.iter_mut().map(|step| &mut step.area);
        scene.at.since(p.last) <= keep && path.all(|area| scene.moved.carry(area))
    });
    let mut movers = movers(scene);
    let plates = plates(scene, &movers);
    movers.retain(|mover| mover.is_on(zone));
    // Of who is new nobody knows whether he is one that was lost, until the others are known.
    let known = |track: u64| passages.iter().any(|p| p.is(track, scene.at, gap));
    movers.sort_by_key(|mover| !known(mover.track.id));
    let mut crowded = false;
    for mover in movers {
        let (passage, forgot) = place(passages, &mover, (scene, gap));
        crowded |= forgot;
        let own = plates.iter().filter(|(owner, _)| *owner == mover.track.id);
        let larger = |plate: &Area| passage.plate.is_none_or(|(_, p)| p.width() < plate.width());
        if let Some(plate) = own.map(|(_, plate)| *plate).find(larger) {
            passage.plate = Some((scene.at, plate));
        }
    }
    crowded
}

/// The plates of the scene, each with the track of who wears it: the smallest that holds it. Along the road
/// the car before a truck is seen in the truck's box.
fn plates(scene: &Scene, movers: &[Mover<'_>]) -> Vec<(u64, Area)> {
    let size = |m: &Mover<'_>| m.area().width() * m.area().height();
    let seen = scene.tracks.iter().filter(|t| t.last_seen == scene.at);
    let plates = seen.filter(|t| t.detection.roles.has(Role::Plate));
    let owned = plates.filter_map(|plate| {
        let plate = plate.detection.area;
        let wear = movers.iter().filter(|m| m.role != Role::Person);
        let on = wear.filter(|m| plate.share_in(m.area()) >= ON_IT_MIN);
        let owner = on.min_by(|a, b| size(a).total_cmp(&size(b)))?;
        Some((owner.track.id, plate))
    });
    owned.collect()
}

/// Who moves in a scene.
#[derive(Clone, Copy)]
struct Mover<'a> {
    track: &'a Track,
    role: Role,
    /// Whether it is a track, and behind no mask.
    judged: bool,
}

impl Mover<'_> {
    fn area(&self) -> Area {
        self.track.detection.area
    }

    /// Whether what lies beside its box may be its, too: a person throws, and of what is no track nobody
    /// knows where it was between two looks.
    fn reaches(&self) -> bool {
        self.role == Role::Person || !self.judged
    }

    /// Whether it may lose anything in the zone: a person also from beside it.
    fn is_on(&self, zone: &Zone) -> bool {
        let beside = || zone.meets(self.area().grown(REACH));
        zone.holds(self.area(), false) || self.role == Role::Person && beside()
    }
}

/// Who moves in the scene and may lose something, each once: a truck that is also taken for another
/// vehicle is a truck, and who sits in a vehicle goes with it.
fn movers(scene: &Scene) -> Vec<Mover<'_>> {
    let named = |t: &Track| {
        let mut roles = [Role::Truck].into_iter().chain(MOVERS);
        roles.find(|role| t.detection.roles.has(*role))
    };
    let tracks = scene.tracks.iter().map(|track| (track, true));
    let seen = tracks.chain(scene.passing.iter().map(|track| (track, false)));
    let seen = seen.filter(|(track, _)| track.last_seen == scene.at);
    let mover = |(track, judged)| {
        let role = named(track)?;
        Some(Mover {
            track,
            role,
            judged,
        })
    };
    let all: Vec<Mover<'_>> = seen.filter_map(mover).collect();
    let is_of_another = |one: &Mover<'_>| {
        all.iter().any(|other| {
            let twin = other.role == Role::Truck && one.area().iou(other.area()) >= SAME_BOX_IOU;
            let rider =
                other.role != Role::Person && one.area().share_in(other.area()) >= RIDES_MIN;
            match one.role {
                Role::Truck => false,
                Role::Person => rider,
                _ => twin,
            }
        })
    };
    let alone = all.iter().filter(|one| !is_of_another(one));
    alone.copied().collect()
}

/// The way of this track, with this moment added. A tracker that lost a truck gives it another
/// number: where one of its kind was lost a moment ago, it is the same; one that is seen beyond the
/// zone was not lost, and who comes behind it is another. With it, whether another had to be forgotten.
fn place<'a>(
    passages: &'a mut Vec<Passage>,
    mover: &Mover<'_>,
    (scene, gap): (&Scene, Duration),
) -> (&'a mut Passage, bool) {
    let (at, track, role, area) = (scene.at, mover.track.id, mover.role, mover.area());
    let renamed = |p: &Passage| {
        let same_kind = p.is_truck() == (role == Role::Truck);
        let there = p
            .path
            .last()
            .is_some_and(|l| l.area.iou(area) >= SAME_PLACE_IOU);
        same_kind && p.is_lost(scene) && at.since(p.last) <= RENAMED_WITHIN && there
    };
    let known = passages.iter().position(|p| p.is(track, at, gap));
    let i = known.or_else(|| passages.iter().position(renamed));
    let full = i.is_none() && passages.len() == PASSAGES_MAX;
    let i = i.unwrap_or_else(|| {
        if full {
            passages.remove(0);
        }
        passages.push(Passage {
            track,
            role,
            looks: (0, 0),
            last: at,
            path: Vec::new(),
            plate: None,
        });
        passages.len() - 1
    });
    let passage = &mut passages[i];
    (passage.track, passage.role) = (track, role);
    passage.looks.0 += 1;
    passage.looks.1 += u32::from(role == Role::Truck);
    passage.go_on(Step {
        at,
        seen: area,
        area,
        judged: mover.judged,
        reaches: mover.reaches(),
    });
    (passage, full)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{at, scene};
    use super::*;

    /// A truck of a tenth of the picture whose left edge is there.
    fn step(secs: f64, left: f32, judged: bool) -> Step {
        let area = Area {
            x0: left,
            y0: 0.5,
            x1: left + 0.125,
            y1: 0.75,
        };
        Step {
            at: at(secs),
            seen: area,
            area,
            judged,
            reaches: false,
        }
    }

    fn passage(path: Vec<Step>) -> Passage {
        Passage {
            track: 1,
            role: Role::Truck,
            looks: (1, 1),
            last: at(0.0),
            path,
            plate: None,
        }
    }

    #[test]
    fn of_a_truck_in_a_jam_the_moment_is_forgotten_round_which_it_hardly_moved() {
        // It moves on by a step each look; twice it is seen at one place between two leaps; round look 100 it
        // moves by half a step.
        let leaps = |look: u16| match look {
            50 | 52 => 8.0,
            51 => 0.0,
            100 | 101 => 0.5,
            _ => 1.0,
        };
        let mut truck = passage(Vec::new());
        let mut left = 0.0;
        let looks = 0..=u16::try_from(PATH_MAX).unwrap();
        for look in looks.clone() {
            left += leaps(look) / 1024.0;
            truck.go_on(step(f64::from(look), left, true));
        }
        assert_eq!(truck.path.len(), PATH_MAX);
        let kept = |look: &u16| truck.path.iter().any(|s| s.at == at(f64::from(*look)));
        let forgotten: Vec<u16> = looks.filter(|look| !kept(look)).collect();
        assert_eq!(forgotten, [100]);
    }

    #[test]
    fn a_truck_that_was_seen_once_is_shown_once() {
        let (one, other) = (step(1.0, 0.1, true), step(2.0, 0.5, true));
        let shown = |path: Vec<Step>| passage(path).farthest_from(one).map(|s| s.at);
        assert_eq!(shown(vec![one, other]), Some(at(2.0)));
        assert_eq!(shown(vec![one]), None);
        let masked = step(2.0, 0.5, false);
        assert_eq!(shown(vec![one, masked]), None, "before a mask");
    }

    #[test]
    fn a_plate_belongs_to_the_smaller_of_two_boxes_not_to_the_shorter() {
        let mut scene = scene(0.0, &[]);
        for (id, role, [x0, y0, x1, y1]) in [
            // Its sides are longer together.
            (1, Role::Truck, [0.1, 0.6, 0.6, 0.7]),
            (2, Role::Vehicle, [0.3, 0.45, 0.54, 0.7]),
            (3, Role::Plate, [0.4, 0.66, 0.45, 0.68]),
        ] {
            let mut track = super::super::super::tests::scene(0.0, &[(id, role, x0, y1)]).tracks;
            track[0].detection.area = Area { x0, y0, x1, y1 };
            scene.tracks.append(&mut track);
        }
        let owners: Vec<u64> = plates(&scene, &movers(&scene))
            .into_iter()
            .map(|(owner, _)| owner)
            .collect();
        assert_eq!(owners, [1]);
    }
}
