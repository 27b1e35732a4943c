//! Spillage: a truck drives through the road zone, then new debris lies where it drove.
//!
//! ```text
//! mover in zone ──▶ passage (path, first and last moment, plate)
//! thing of role debris in zone ──▶ spot ──lies for settle_secs──▶ settled
//! settled ∧ new ∧ under one mover, a truck that moved, then free of it, within within_secs ──▶ hit,
//!     with the truck over it, at another place, and its plate
//! ```
//! Debris that is seen before the background only is told from the street long after the truck has gone, but
//! dated: what counts is when it *came to light*. Whoever was there from `within_secs` before that
//! until it was told may have lost it, and if that is more than one, nobody is to blame.
//! Blame is laid soon after the debris was seen, or never: later its trucks are forgotten one by
//! one, and the last that is remembered would be to blame for all. Until then every frame is looked
//! at: no blame rests on one look that was taken for many.
//! *New* is what did not lie there before, at a place that was seen empty before the truck came: a
//! truck in a jam, and one that stood there when the camera came up, hide old debris and give it back.
//! Debris beside a truck's path is nobody's, and so is debris over which anybody else drove or walked,
//! or that a person could throw there, or where somebody passed who was too fast to be followed, or
//! masked: who lost it is not seen. While it lies in the box of a person or a vehicle it
//! is that, and not seen.

use std::time::Duration;

use crate::config::{Config, ZoneKind};
use crate::types::{Area, Gate, Role, RoleSet, Scene, ShotKind, Stamp, Violation};

use super::super::finding::{Finding, at_least, gate, lasts};
use super::super::standing::{
    GAP_MAX, Pace, SAME_PLACE_IOU, SEEN_SHARE_MIN, Spot, Standing, Watch,
};
use super::super::zone::Zone;
use super::super::{JudgeError, nanos, secs};
use super::ground::Ground;
use super::passage::{Passage, RENAMED_WITHIN, Step, follow};
use super::{Moment, Rule, Sees, only};

/// A truck that moved less than this share of the picture stands, and does not spill on its way; one that
/// came back by more may be two.
const MOVED_MIN: f64 = 0.05;
/// Old debris is remembered for this long after it was last seen …
const LAIN_FOR: Duration = Duration::from_mins(30);
/// … and this much of it.
const LAIN_MAX: usize = 64;
/// The place must have been seen empty at most this long before what is to be blamed can have come.
const EMPTY_BEFORE: Duration = Duration::from_secs(10);

/// A truck's bonnet may lie before its box, and be taken for debris that came to light so long before
/// the truck was over it.
const AHEAD: i64 = 1_000_000_000;

/// The rule.
pub(super) struct Spillage {
    roads: Vec<Road>,
}

/// What is asked of debris.
#[derive(Clone, Copy)]
struct Limits {
    /// So long after the truck it comes to light …
    within: Duration,
    /// … so long after that it is told from the street …
    told: Duration,
    /// … and so long it lies then.
    settle: Duration,
}

impl Limits {
    /// Those of a camera.
    fn of(config: &Config, camera: usize) -> Self {
        let rule = &config.judge.spillage;
        let camera = config.camera.get(camera);
        let dated = camera.is_some_and(|camera| config.has_background(camera));
        let told = if dated {
            config.background.told_secs()
        } else {
            0.0
        };
        Self {
            within: secs(rule.within_secs),
            told: secs(told),
            settle: secs(rule.settle_secs),
        }
    }

    /// How far back a hit may reach.
    fn reach(self) -> Duration {
        self.within + self.told + laid_within(self.settle)
    }
}

/// One road zone.
struct Road {
    zone: Zone,
    limits: Limits,
    lying: Standing,
    passages: Vec<Passage>,
    pace: Pace,
    ground: Ground,
    lain: Vec<Lain>,
    /// For how long the zone has been watched.
    watched: Watch,
    /// When a mover was last forgotten before its time: who spilled may be one of those.
    crowded: Option<Stamp>,
}

/// Where debris lay.
struct Lain {
    area: Area,
    /// When it was first seen there, and last.
    seen: (Stamp, Stamp),
    /// Whether it had settled: what was seen for less may have been lost by who came last.
    settled: bool,
}

impl Spillage {
    /// The rule, when it is enabled and has a zone.
    pub(super) fn new(config: &Config, known: RoleSet) -> Result<Option<Self>, JudgeError> {
        let rule = &config.judge.spillage;
        let zones = Zone::of_kind(config, ZoneKind::Road, &[Role::Debris]);
        if !rule.enabled || zones.is_empty() {
            return Ok(None);
        }
        for zone in &zones {
            let sees = Sees::of(config, Violation::Spillage, zone, known);
            sees.demand(only(Role::Truck))?;
            sees.demand(zone.roles)?;
        }
        let road = |zone: Zone| Road {
            limits: Limits::of(config, zone.camera),
            zone,
            lying: Standing::default(),
            passages: Vec::new(),
            pace: Pace::default(),
            ground: Ground::default(),
            lain: Vec::new(),
            watched: Watch::default(),
            crowded: None,
        };
        Ok(Some(Self {
            roads: zones.into_iter().map(road).collect(),
        }))
    }
}

impl Rule for Spillage {
    fn look(&mut self, now: &Moment<'_>) -> Vec<Finding> {
        let here = self.roads.iter_mut();
        let here = here.filter(|r| r.zone.camera == now.scene.camera);
        here.flat_map(|road| {
            road.watch(now.scene);
            let hours = now.hours(&road.zone);
            let seen = road.lying.seen_at(now.scene.at);
            seen.map(|spot| road.finding(spot, &hours))
                .collect::<Vec<_>>()
        })
        .collect()
    }

    fn is_tense(&self, camera: usize, at: Stamp) -> bool {
        let mut here = self.roads.iter().filter(|r| r.zone.camera == camera);
        here.any(|road| {
            let keep = road.limits.reach();
            let mut movers = road.passages.iter();
            movers.any(|one| one.is_truck() && at.since(one.last) <= keep)
        })
    }
}

impl Road {
    fn watch(&mut self, scene: &Scene) {
        let at = scene.at;
        // After a gap in the camera's pictures all that lies there is as good as old.
        self.watched.take(scene);
        let keep = self.limits.reach();
        self.crowded = self.crowded.filter(|then| at.since(*then) <= keep);
        let gap = self.pace.take(scene, RENAMED_WITHIN) + scene.held;
        if follow(&mut self.passages, scene, &self.zone, (keep, gap)) {
            self.crowded = Some(at);
        }
        (self.ground).look(scene, self.zone.roles, keep + EMPTY_BEFORE);
        let zone = &self.zone;
        let gone = self
            .lying
            .look(scene, zone.roles, |area, stood| zone.holds(area, stood));
        for spot in self.lying.seen_at_mut(at) {
            spot.fitting += u32::from(!spot.explained);
        }
        (self.lain).retain_mut(|lain| {
            at.since(lain.seen.1) <= LAIN_FOR && scene.moved.carry(&mut lain.area)
        });
        for spot in gone {
            self.remember(&spot, at);
        }
    }

    /// Remembers that debris lay there, until `at`.
    fn remember(&mut self, spot: &Spot, at: Stamp) {
        let settled = spot.stood() >= self.limits.settle;
        let same = |lain: &&mut Lain| lain.area.iou(spot.area) >= SAME_PLACE_IOU;
        if let Some(lain) = self.lain.iter_mut().find(same) {
            (lain.area, lain.seen.1) = (spot.area, at);
            lain.settled |= settled;
            return;
        }
        if self.lain.len() == LAIN_MAX {
            // A leaf that blew away gives way first.
            let leaf = self.lain.iter().position(|lain| !lain.settled);
            self.lain.remove(leaf.unwrap_or(0));
        }
        self.lain.push(Lain {
            area: spot.area,
            seen: (spot.came, at),
            settled,
        });
    }

    fn finding(&self, spot: &Spot, hours: &Gate) -> Finding {
        let Limits { within, settle, .. } = self.limits;
        let mut gates = vec![
            hours.clone(),
            lasts("settled", spot.stood(), settle),
            prompt(spot, settle),
            at_least("seen", spot.fitting_share(), SEEN_SHARE_MIN),
        ];
        let movers = self.over(spot);
        let name = |(p, before): &(&Passage, Option<Step>)| match before {
            None if p.is_judged() => format!("{} after it came to light", p.name()),
            Some(_) if may_be_two(p) => format!("{}, or two, for it came back", p.name()),
            _ => p.name(),
        };
        let names: Vec<String> = movers.iter().map(name).collect();
        let told = if self.crowded.is_some() {
            "more than can be told apart".to_owned()
        } else if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        let limit = format!(
            "one alone over the place, at most {} s before it came to light",
            within.as_secs_f64()
        );
        let alone = match movers[..] {
            [(p, before)] if !may_be_two(p) => before.map(|step| (p, step)),
            _ => None,
        };
        gates.push(self.is_new(spot, alone));
        let truck = alone.filter(|(p, _): &(&Passage, _)| p.is_truck());
        let one = truck.is_some() && self.crowded.is_none();
        gates.push(gate("truck", told, limit, one));
        let mut shots = Vec::new();
        if let Some((truck, step)) = truck {
            gates.push(at_least("moved", truck.moved().into(), MOVED_MIN));
            shots = shots_of(truck, step);
        }
        let came = truck.and_then(|(truck, _)| self.shown_from(truck, spot));
        Finding {
            violation: Violation::Spillage,
            zone: self.zone.name.clone(),
            thing: spot.id,
            area: spot.area,
            around: spot.area,
            roles: spot.roles,
            unnamed: spot.is_unnamed(),
            since: spot.since,
            permit: None,
            gates,
            // Nobody looks again.
            offends: false,
            told_with_another: false,
            became: None,
            came,
            shots,
            looks: Vec::new(),
        }
    }

    /// From when on the truck is to be shown: since it came, but of one that stood for long no more than the
    /// rule looks back.
    fn shown_from(&self, truck: &Passage, spot: &Spot) -> Option<Stamp> {
        let Limits { within, told, .. } = self.limits;
        let earliest = spot.since.shifted_ns(-nanos(within + told));
        let moments = [truck.came()?, earliest];
        moments.into_iter().max_by_key(|at| at.boot_ns)
    }

    /// Who may have lost what lies there: whoever was over it from `within` before it came to light until it
    /// was told from the street; with where he was before it lay there, if he was there so early.
    fn over(&self, spot: &Spot) -> Vec<(&Passage, Option<Step>)> {
        let lay = spot.came.shifted_ns(AHEAD);
        let lay = if spot.since.boot_ns < lay.boot_ns {
            spot.since
        } else {
            lay
        };
        let soon = |step: &Step| spot.came.since(step.at) <= self.limits.within;
        let was_over = |p: &&Passage| {
            p.over(spot.area, spot.since)
                .is_some_and(|step| soon(&step))
        };
        let movers = self.passages.iter().filter(was_over);
        let judged = |p: &Passage| p.judged_over(spot.area, lay).filter(soon);
        movers.map(|p| (p, judged(p))).collect()
    }

    /// Whether the debris was not there before: before `who` came, and was over the place at that
    /// moment, or before it was seen.
    fn is_new(&self, spot: &Spot, who: Option<(&Passage, Step)>) -> Gate {
        let watched = self.watched.since();
        let watched = watched.filter(|since| spot.came.boot_ns > since.boot_ns);
        let dated = spot.since.since(spot.came) <= self.limits.told;
        let over = who.map_or(spot.since, |(_, over)| over.at);
        let came = who.and_then(|(p, _)| p.first_over(spot.area));
        let came = came.unwrap_or(spot.since);
        let lay = self.lain.iter().any(|lain| {
            let before = lain.settled || lain.seen.0.boot_ns < over.boot_ns;
            before && lain.area.iou(spot.area) >= SAME_PLACE_IOU
        });
        let empty = |since| self.ground.was_empty(spot.area, since, came);
        let told = match watched {
            None => "there when the zone began to be watched",
            Some(_) if lay => "lay there before",
            Some(_) if !dated => "it was told from the street too late to say whose it is",
            Some(since) if !empty(since) => "its place was not seen empty before",
            Some(_) => "new",
        };
        gate("new", told, "not there before", told == "new")
    }
}

/// Whether a mover may be two: one that drove out of sight, and one that came in there a moment later and is
/// taken for it by its place, which then has the plate.
fn may_be_two(mover: &Passage) -> bool {
    f64::from(mover.came_back()) > MOVED_MIN
}

/// So long after debris was first seen blame can be laid: time for it to settle, and to be seen
/// again after a gap.
fn laid_within(settle: Duration) -> Duration {
    settle + settle + GAP_MAX
}

/// How far before a hit the pictures lie that are ordered with it: of the truck over the place, at
/// most, and of its plate and of where else it was in as far as it did not stand for long.
pub fn reach(config: &Config, camera: usize) -> Duration {
    let zones = Zone::of_kind(config, ZoneKind::Road, &[]);
    if config.judge.spillage.enabled && zones.iter().any(|zone| zone.camera == camera) {
        Limits::of(config, camera).reach()
    } else {
        Duration::ZERO
    }
}

fn prompt(spot: &Spot, settle: Duration) -> Gate {
    let (lies, limit) = (spot.stood(), laid_within(settle));
    let told = format!("{:.1} s", lies.as_secs_f64());
    let limit_told = format!("<= {} s since it was seen", limit.as_secs_f64());
    gate("prompt", told, limit_told, lies <= limit)
}

/// The truck over the place, at another place, and its plate, each where the picture of its moment
/// shows it.
fn shots_of(truck: &Passage, over: Step) -> Vec<(ShotKind, Stamp, Area)> {
    let shot = |kind| move |(at, area): (Stamp, Area)| (kind, at, area);
    let mut shots = vec![shot(ShotKind::Before)(over.shot())];
    let elsewhere = truck.farthest_from(over).map(Step::shot);
    shots.extend(elsewhere.map(shot(ShotKind::Moved)));
    shots.extend(truck.plate().map(shot(ShotKind::Plate)));
    shots.sort_by_key(|(_, at, _)| at.boot_ns);
    shots
}
