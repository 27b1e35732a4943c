//! Spillage: a truck drives through the road zone, then new debris lies where it drove.
//!
//! ```text
//! truck in zone ──▶ passage (path, first and last moment)
//! new thing of role debris in zone ──▶ spot ──lies for settle_secs──▶ settled
//! settled ∧ appeared during the passage or within_secs after it ∧ on the truck's path
//!     ──▶ suspicion, with the truck's moment as what was before
//! ```
//! Debris that lay there before the truck came is nobody's; so is debris beside its path.

use std::time::Duration;

use crate::config::{Config, ZoneKind};
use crate::types::{Area, Role, RoleSet, Scene, Stamp, Violation};

use super::super::standing::{Spot, Standing};
use super::super::zone::Zone;
use super::super::{JudgeError, secs};
use super::{Rule, Suspicion, demand};

/// Passages remembered per zone.
const PASSAGES_MAX: usize = 16;
/// Moments of a passage remembered; a truck in a jam overwrites the oldest.
const PATH_MAX: usize = 256;

/// A truck's way through the zone.
struct Passage {
    track: u64,
    first: Stamp,
    last: Stamp,
    path: Vec<(Stamp, Area)>,
}

impl Passage {
    /// The moment at which the truck stood over `debris`, when it ever did.
    fn over(&self, debris: Area) -> Option<(Stamp, Area)> {
        let foot = debris.foot();
        let covers = |a: &Area| {
            let lane = Area {
                y1: a.y1 + a.height() * 0.25,
                ..*a
            };
            (lane.x0..=lane.x1).contains(&foot.x) && (lane.y0..=lane.y1).contains(&foot.y)
        };
        self.path.iter().rev().find(|(_, a)| covers(a)).copied()
    }

    /// The moment at which the truck was farthest in the picture from where it was at `moment`;
    /// `None` when it was seen but once.
    fn farthest_from(&self, moment: (Stamp, Area)) -> Option<(Stamp, Area)> {
        let from = moment.1.centre();
        let away = |area: Area| (area.centre().x - from.x).hypot(area.centre().y - from.y);
        self.path
            .iter()
            .filter(|(at, _)| *at != moment.0)
            .max_by(|a, b| away(a.1).total_cmp(&away(b.1)))
            .copied()
    }
}

/// The rule.
pub(super) struct Spillage {
    zones: Vec<(Zone, Standing, Vec<Passage>)>,
    truck: RoleSet,
    debris: RoleSet,
    within: Duration,
    settle: Duration,
}

impl Spillage {
    /// The rule, when it is enabled and has a zone.
    pub(super) fn new(config: &Config, known: RoleSet) -> Result<Option<Self>, JudgeError> {
        let rule = &config.judge.spillage;
        let zones = Zone::of_kind(config, ZoneKind::Road);
        if !rule.enabled || zones.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            zones: zones
                .into_iter()
                .map(|z| (z, Standing::default(), Vec::new()))
                .collect(),
            truck: demand(known, &[Role::Truck], Violation::Spillage.name())?,
            debris: demand(known, &[Role::Debris], Violation::Spillage.name())?,
            within: secs(rule.within_secs),
            settle: secs(rule.settle_secs),
        }))
    }
}

impl Rule for Spillage {
    fn look(&mut self, scene: &Scene) -> Vec<Suspicion> {
        let mut found = Vec::new();
        let (truck, debris, within, settle) = (self.truck, self.debris, self.within, self.settle);
        for (zone, lying, passages) in self.zones.iter_mut().filter(|z| z.0.camera == scene.camera)
        {
            follow(passages, scene, truck, zone);
            let keep = within + settle + settle;
            passages.retain(|p| scene.at.since(p.last) <= keep);
            lying.look(scene, debris, |area| zone.holds(area));
            for spot in lying.seen_at(scene.at).filter(|s| s.has_stood(settle)) {
                let Some((passage, before)) = passages
                    .iter()
                    .find_map(|p| Some((p, blame(p, spot, within)?)))
                else {
                    continue;
                };
                found.push(Suspicion {
                    violation: Violation::Spillage,
                    zone: zone.name.clone(),
                    area: spot.area,
                    roles: debris,
                    since: spot.since,
                    before: Some(before),
                    moved: passage.farthest_from(before),
                });
            }
        }
        found
    }
}

fn follow(passages: &mut Vec<Passage>, scene: &Scene, truck: RoleSet, zone: &Zone) {
    for track in &scene.tracks {
        let area = track.detection.area;
        if track.last_seen != scene.at || !track.detection.roles.meets(truck) || !zone.holds(area) {
            continue;
        }
        if let Some(p) = passages.iter_mut().find(|p| p.track == track.id) {
            p.last = scene.at;
            if p.path.len() == PATH_MAX {
                p.path.remove(0);
            }
            p.path.push((scene.at, area));
        } else {
            if passages.len() == PASSAGES_MAX {
                passages.remove(0);
            }
            let path = vec![(scene.at, area)];
            passages.push(Passage {
                track: track.id,
                first: scene.at,
                last: scene.at,
                path,
            });
        }
    }
}

/// Whether the passage explains the debris; gives the truck's moment.
fn blame(passage: &Passage, debris: &Spot, within: Duration) -> Option<(Stamp, Area)> {
    let appeared = debris.since;
    let after_it_came = appeared.boot_ns >= passage.first.boot_ns;
    let soon_enough = appeared.since(passage.last) <= within;
    if after_it_came && soon_enough {
        passage.over(debris.area)
    } else {
        None
    }
}
