//! The rules: is a violation going on?
//!
//! A rule looks at scenes and tells findings: each thing that could be a violation, held against
//! every condition. What is done about those that meet them all is the book's business.
//!
//! **Invariants.** A rule is deterministic: the same scenes give the same findings. It keeps
//! bounded memory. It tells a finding in every scene in which its thing is seen.
//!
//! **Not here.** Warning, waiting, looking again, cool-downs (`judge::book`).

mod attendance;
mod ground;
mod out_of_store;
mod passage;
mod spillage;
mod vending;

use std::time::Duration;

use jiff::civil::DateTime;

use crate::config::{Calendar, Config, Times};
use crate::types::{Area, Gate, Role, RoleSet, Scene, Stamp, Violation};

pub use spillage::reach;

use super::JudgeError;
use super::case::Case;
use super::finding::{Finding, at_least, gate, lasts};
use super::sight::living;
use super::standing::{SEEN_SHARE_MIN, Spot};
use super::zone::Zone;

/// A scene, and what holds at its moment.
pub(super) struct Moment<'a> {
    pub(super) scene: &'a Scene,
    calendar: &'a Calendar,
    /// The zones that are judged.
    zones: &'a [Zone],
    /// Local time at both ends of what the clock may be off; `None` when nobody vouches for it.
    local: Option<[DateTime; 2]>,
}

impl<'a> Moment<'a> {
    pub(super) fn new(scene: &'a Scene, calendar: &'a Calendar, zones: &'a [Zone]) -> Self {
        Self {
            scene,
            calendar,
            zones,
            local: calendar.local(scene.at),
        }
    }

    /// Whether a zone of these times is judged now, wherever the true time lies. When it is not known,
    /// only one that always is.
    fn judges(&self, times: &Times) -> bool {
        let hold = |at| self.calendar.hold(times, at);
        let now = || self.local.is_some_and(|ends| ends.into_iter().all(hold));
        times.is_always() || now()
    }

    /// Why the subject of an open case may stand there by now; `found` is what its rule says of
    /// what stands there.
    pub(super) fn allows(&self, case: &Case, found: Option<&Finding>) -> Option<String> {
        let zone = self.zones.iter().find(|z| z.name == case.zone);
        if zone.is_some_and(|z| !self.judges(&z.times)) {
            return Some("the zone is not judged at this hour".to_owned());
        }
        let subject = |roles| (case.violation, roles, case.area);
        let permit = match found {
            Some(found) => found.permit.as_deref(),
            // What is not seen may be what a permit is for.
            None if case.roles.has(Role::Object) => {
                self.permit(&case.zone, subject(only(Role::Object)))
            }
            None => self.permit(&case.zone, subject(case.roles)),
        };
        permit.map(|permit| format!("permitted by now ({permit})"))
    }

    /// Whether the zone is judged now, as a condition.
    fn hours(&self, zone: &Zone) -> Gate {
        let told = self.local.map_or_else(
            || "local time not known".to_owned(),
            |[first, last]| {
                let [first, last] = [first, last].map(|at| at.strftime("%a %H:%M").to_string());
                if first == last {
                    first
                } else {
                    format!("{first} to {last}")
                }
            },
        );
        let limit = if zone.times.is_always() {
            "always"
        } else {
            "days and hours of the zone"
        };
        gate("hours", told, limit, self.judges(&zone.times))
    }

    /// The permit that covers a thing of `roles` at `area`, which is judged in `zone`: one for that
    /// zone, or for any other in which it stands and whose rule looks for such a thing. What is judged
    /// as vending is a part of a stall, if anything: a permit for a stall covers it.
    fn permit(
        &self,
        zone: &str,
        (judged, roles, area): (Violation, RoleSet, Area),
    ) -> Option<&str> {
        let here = |z: &&Zone| z.camera == self.scene.camera && z.holds(area, true);
        let (own, others): (Vec<&Zone>, Vec<&Zone>) =
            self.zones.iter().partition(|z| z.name == zone);
        let others = others.into_iter().filter(here);
        let mut zones = own.into_iter().chain(others);
        zones.find_map(|z| {
            let roles = Some(roles.common(z.roles)).filter(|roles| !roles.is_empty())?;
            let permit = |roles| self.calendar.permit(&z.name, roles, area, self.local);
            let vends = judged == Violation::StreetVending;
            permit(roles).or_else(|| permit(only(Role::Stall)).filter(|_| vends))
        })
    }
}

/// Says whether a violation is going on.
pub(super) trait Rule: Send {
    /// Takes in one scene and tells what it found in it.
    fn look(&mut self, now: &Moment<'_>) -> Vec<Finding>;

    /// Whether what it finds before `camera` at `at` may be recorded at once: then no frame is done
    /// without.
    fn is_tense(&self, _camera: usize, _at: Stamp) -> bool {
        false
    }
}

/// The rules that are enabled and have a zone. `known` are the roles that the model sees.
pub(super) fn all(config: &Config, known: RoleSet) -> Result<Vec<Box<dyn Rule>>, JudgeError> {
    let mut rules: Vec<Box<dyn Rule>> = Vec::new();
    if let Some(rule) = vending::Vending::new(config, known)? {
        rules.push(Box::new(rule));
    }
    if let Some(rule) = out_of_store::OutOfStore::new(config, known)? {
        rules.push(Box::new(rule));
    }
    if let Some(rule) = spillage::Spillage::new(config, known)? {
        rules.push(Box::new(rule));
    }
    Ok(rules)
}

/// What can be seen in one zone, to refuse a rule that could never see its subject there.
struct Sees<'a> {
    rule: &'static str,
    zone: &'a Zone,
    camera: &'a str,
    /// The roles that can be seen before the zone's camera.
    roles: RoleSet,
}

impl<'a> Sees<'a> {
    /// What a model that knows `known` sees in `zone`, and the background, where it is watched.
    fn of(config: &'a Config, rule: Violation, zone: &'a Zone, known: RoleSet) -> Self {
        let camera = config.camera.get(zone.camera);
        let background = camera.is_some_and(|camera| config.has_background(camera));
        let new = [Role::Object, Role::Debris].into_iter();
        Self {
            rule: rule.name(),
            zone,
            camera: camera.map_or("", |camera| &camera.name),
            roles: new.filter(|_| background).chain(known.iter()).collect(),
        }
    }

    /// One of these must be seen.
    fn demand(&self, any_of: RoleSet) -> Result<(), JudgeError> {
        if self.roles.meets(any_of) {
            return Ok(());
        }
        Err(JudgeError::NoRole {
            rule: self.rule,
            zone: self.zone.name.clone(),
            camera: self.camera.to_owned(),
            wanted: any_of,
        })
    }
}

/// One role as a set.
fn only(role: Role) -> RoleSet {
    [role].into_iter().collect()
}

/// The conditions of what must stand, in a zone that is judged. What a permit covers is held
/// against the dwell it would have had without; the time under a permit, or outside the zone's
/// hours, does not count against what stands there longer. What is another thing, seen twice, is
/// told of as that.
fn standing(
    now: &Moment<'_>,
    (judged, zone): (Violation, &Zone),
    spot: &mut Spot,
    dwell: Duration,
) -> (Option<String>, Vec<Gate>) {
    let hours = now.hours(zone);
    let permit = now.permit(&zone.name, (judged, spot.licensed_as(), spot.area));
    let permit = permit.map(str::to_owned);
    let stood = if permit.is_some() && !spot.explained {
        spot.stood()
    } else {
        spot.counts()
    };
    let mut gates = vec![
        hours,
        lasts("dwell", stood, dwell),
        at_least("seen", spot.seen_share(), SEEN_SHARE_MIN),
    ];
    gates.extend(living(now.scene));
    if permit.is_some() || !now.judges(&zone.times) {
        spot.counted = now.scene.at;
    }
    (permit, gates)
}
