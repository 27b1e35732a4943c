//! Spillage: a truck drives through the road zone, then new debris lies where it drove.
//!
//! ```text
//! truck in zone ──▶ passage (path, first and last moment, plate)
//! thing of role debris in zone ──▶ spot ──lies for settle_secs──▶ settled
//! settled ∧ new ∧ under one truck that moved, then free of it, within within_secs ──▶ hit,
//!     with the truck over it, at another place, and its plate
//! ```
//! Blame is laid soon after the debris was seen, or never: later its trucks are forgotten one by
//! one, and the last that is remembered would be to blame for all. Until then every frame is looked
//! at: no blame rests on one look that was taken for many.
//! *New* is what was not there when the zone began to be watched, nor lay there before: a truck in
//! a jam hides old debris, and gives it back. Debris beside a truck's path is nobody's, and so is
//! debris over which two trucks drove. While it lies in the box of a person or a vehicle it
//! is that, and not seen.

use std::time::Duration;

use crate::config::{Config, ZoneKind};
use crate::types::{Area, Gate, Role, RoleSet, Scene, ShotKind, Stamp, Violation};

use super::super::finding::{Finding, at_least, gate, lasts};
use super::super::standing::{GAP_MAX, SAME_PLACE_IOU, SEEN_SHARE_MIN, Spot, Standing, Watch};
use super::super::zone::Zone;
use super::super::{JudgeError, secs};
use super::passage::{Passage, follow};
use super::{Moment, Rule, demand, only};

/// A truck that moved less than this share of the picture stands, and does not spill on its way.
const MOVED_MIN: f64 = 0.05;
/// Old debris is remembered for this long after it was last seen …
const LAIN_FOR: Duration = Duration::from_mins(30);
/// … and this much of it.
const LAIN_MAX: usize = 64;

/// The rule.
pub(super) struct Spillage {
    roads: Vec<Road>,
    within: Duration,
    settle: Duration,
}

/// One road zone.
struct Road {
    zone: Zone,
    lying: Standing,
    passages: Vec<Passage>,
    /// Where debris lay, and when it was last seen there.
    lain: Vec<(Area, Stamp)>,
    /// For how long the zone has been watched.
    watched: Watch,
    /// When a truck was last forgotten before its time: who spilled may be one of those.
    crowded: Option<Stamp>,
}

impl Spillage {
    /// The rule, when it is enabled and has a zone.
    pub(super) fn new(config: &Config, known: RoleSet) -> Result<Option<Self>, JudgeError> {
        let rule = &config.judge.spillage;
        let zones = Zone::of_kind(config, ZoneKind::Road, &[Role::Debris]);
        if !rule.enabled || zones.is_empty() {
            return Ok(None);
        }
        let name = Violation::Spillage.name();
        demand(known, only(Role::Truck), name)?;
        for zone in &zones {
            demand(known, zone.roles, name)?;
        }
        let road = |zone| Road {
            zone,
            lying: Standing::default(),
            passages: Vec::new(),
            lain: Vec::new(),
            watched: Watch::default(),
            crowded: None,
        };
        Ok(Some(Self {
            roads: zones.into_iter().map(road).collect(),
            within: secs(rule.within_secs),
            settle: secs(rule.settle_secs),
        }))
    }
}

impl Rule for Spillage {
    fn look(&mut self, now: &Moment<'_>) -> Vec<Finding> {
        let (within, settle) = (self.within, self.settle);
        let here = self.roads.iter_mut();
        let here = here.filter(|r| r.zone.camera == now.scene.camera);
        here.flat_map(|road| {
            road.watch(now.scene, within, settle);
            let hours = now.hours(&road.zone);
            let seen = road.lying.seen_at(now.scene.at);
            seen.map(|spot| road.finding(spot, &hours, (within, settle)))
                .collect::<Vec<_>>()
        })
        .collect()
    }

    fn is_tense(&self, camera: usize, at: Stamp) -> bool {
        let keep = self.within + laid_within(self.settle);
        let here = self.roads.iter().filter(|r| r.zone.camera == camera);
        let mut trucks = here.flat_map(|road| &road.passages);
        trucks.any(|truck| at.since(truck.last) <= keep)
    }
}

impl Road {
    fn watch(&mut self, scene: &Scene, within: Duration, settle: Duration) {
        let at = scene.at;
        // After a gap in the camera's pictures all that lies there is as good as old.
        self.watched.take(scene);
        let keep = within + laid_within(settle);
        self.crowded = self.crowded.filter(|then| at.since(*then) <= keep);
        if follow(&mut self.passages, scene, &self.zone, keep) {
            self.crowded = Some(at);
        }
        let zone = &self.zone;
        let gone = self
            .lying
            .look(scene, zone.roles, |area, stood| zone.holds(area, stood));
        for spot in self.lying.seen_at_mut(at) {
            spot.fitting += u32::from(!spot.explained);
        }
        self.lain.retain(|(_, last)| at.since(*last) <= LAIN_FOR);
        if let Some(motion) = &scene.motion {
            for (area, _) in &mut self.lain {
                *area = motion.of_area(*area);
            }
        }
        for spot in gone.into_iter().filter(|s| s.stood() >= settle) {
            if self.lain.len() == LAIN_MAX {
                self.lain.remove(0);
            }
            self.lain.push((spot.area, at));
        }
    }

    fn finding(
        &self,
        spot: &Spot,
        hours: &Gate,
        (within, settle): (Duration, Duration),
    ) -> Finding {
        let mut gates = vec![
            hours.clone(),
            lasts("settled", spot.stood(), settle),
            prompt(spot, settle),
            at_least("seen", spot.fitting_share(), SEEN_SHARE_MIN),
            self.is_new(spot),
        ];
        let over = |p: &Passage| {
            let moment = p.over(spot.area, spot.since)?;
            let soon = spot.since.since(moment.0) <= within;
            soon.then_some(moment)
        };
        let trucks = self.passages.iter().filter_map(|p| Some((p, over(p)?)));
        let trucks: Vec<(&Passage, (Stamp, Area))> = trucks.collect();
        let names: Vec<String> = trucks.iter().map(|(p, _)| p.name()).collect();
        let told = if self.crowded.is_some() {
            "more than can be told apart".to_owned()
        } else if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        let limit = format!(
            "one over the place, at most {} s before",
            within.as_secs_f64()
        );
        let one = trucks.len() == 1 && self.crowded.is_none();
        gates.push(gate("truck", told, limit, one));
        let mut shots = Vec::new();
        if let [(truck, moment)] = trucks.as_slice() {
            gates.push(at_least("moved", truck.moved().into(), MOVED_MIN));
            shots = shots_of(truck, *moment);
        }
        Finding {
            violation: Violation::Spillage,
            zone: self.zone.name.clone(),
            thing: spot.id,
            area: spot.area,
            around: spot.area,
            roles: spot.roles,
            since: spot.since,
            permit: None,
            gates,
            shots,
            looks: Vec::new(),
        }
    }

    /// Whether the debris was not there before.
    fn is_new(&self, spot: &Spot) -> Gate {
        let watched = self.watched.since();
        let watched = watched.is_some_and(|since| spot.since.boot_ns > since.boot_ns);
        let lay = self
            .lain
            .iter()
            .any(|(area, _)| area.iou(spot.area) >= SAME_PLACE_IOU);
        let told = match (watched, lay) {
            (false, _) => "there when the zone began to be watched",
            (true, true) => "lay there before",
            (true, false) => "new",
        };
        gate("new", told, "not there before", watched && !lay)
    }
}

/// So long after debris was first seen blame can be laid: time for it to settle, and to be seen
/// again after a gap.
fn laid_within(settle: Duration) -> Duration {
    settle + settle + GAP_MAX
}

/// How far before a hit the pictures lie that are ordered with it: of the truck over the place, at
/// most, and of its plate and of where else it was in as far as it did not stand for long.
pub fn reach(config: &Config, camera: usize) -> Duration {
    let rule = &config.judge.spillage;
    let zones = Zone::of_kind(config, ZoneKind::Road, &[]);
    if rule.enabled && zones.iter().any(|zone| zone.camera == camera) {
        secs(rule.within_secs) + laid_within(secs(rule.settle_secs))
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

/// The truck over the place, at another place, and its plate.
fn shots_of(truck: &Passage, moment: (Stamp, Area)) -> Vec<(ShotKind, Stamp, Area)> {
    let shot = |kind| move |(at, area): (Stamp, Area)| (kind, at, area);
    let mut shots = vec![shot(ShotKind::Before)(moment)];
    shots.extend(truck.farthest_from(moment).map(shot(ShotKind::Moved)));
    shots.extend(truck.plate().map(shot(ShotKind::Plate)));
    shots.sort_by_key(|(_, at, _)| at.boot_ns);
    shots
}
