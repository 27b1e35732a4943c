//! Street vending: what is like a stall stands still where no stall may be.
//!
//! ```text
//! nothing ──seen in zone──▶ standing ──dwell over, like a stall, attended to──▶ hit
//!    ▲                         │  ▲            (in every scene in which it is seen)
//!    └── not seen any more ────┘  └─ counted anew while permitted or out of hours
//! ```
//! *Like a stall* is a thing of a role that is one by itself (`stall`, and whatever else the
//! configuration names). An umbrella, a tricycle or goods stand everywhere: they are like a stall
//! only where two kinds of them stand together, and while somebody attends to them most of the
//! time. The same holds for a thing of no known class (`object`), which may also stand alone when,
//! beside whoever attended to it last, it has the shape of a stall: higher than he is, longer than any
//! bicycle, or spread out flat. What both the model and the background see is one
//! thing, not two kinds. So a courier's parked tricycle, a family under an umbrella, people waiting
//! for a bus with their luggage, and a dog are no stalls. Of a stall with all its parts one speaks.

use std::time::Duration;

use crate::config::{Config, ZoneKind};
use crate::types::{Area, Role, RoleSet, Violation};

use super::super::finding::{Finding, at_least, gate, percent};
use super::super::standing::{Spot, Standing};
use super::super::zone::Zone;
use super::super::{JudgeError, secs};
use super::attendance::Attendance;
use super::{Moment, Rule, Sees, only, standing};

/// Roles of things that stand everywhere.
const PARTS: [Role; 4] = [Role::Umbrella, Role::Tricycle, Role::Goods, Role::Object];
/// A thing must be like a stall in this share of the looks.
const LIKE_MIN: f64 = 0.5;
/// Parts whose boxes, grown by this share of their size, meet belong to one stall.
const BESIDE: f32 = 0.25;
/// What is higher than who attends to it, by so much, has a roof or a parasol. A bicycle of 1.1 m is not, nor
/// one that a camera sees lengthwise from 30 degrees above: then it reaches up the picture as he does.
const HIGH_MIN: f32 = 1.1;
/// A cargo tricycle of 2.4 m and a long table are longer than this share of his height; a bicycle of
/// 1.8 m, a motor scooter, a pram, a dog and a suitcase are not, from wherever they are seen.
const LONG_MIN: f32 = 1.35;
/// What is spread out on the ground is no higher than this share, and at least so long: 1.2 m. A dog is shorter.
const FLAT_MAX: f32 = 0.42;
const SPREAD_MIN: f32 = 0.7;

/// The rule.
pub(super) struct Vending {
    zones: Vec<(Zone, Standing, Attendance)>,
    dwell: Duration,
    attended_min: f64,
}

impl Vending {
    /// The rule, when it is enabled and has a zone.
    pub(super) fn new(config: &Config, known: RoleSet) -> Result<Option<Self>, JudgeError> {
        let rule = &config.judge.street_vending;
        let zones = Zone::of_kind(config, ZoneKind::NoVending, &rule.roles);
        if !rule.enabled || zones.is_empty() {
            return Ok(None);
        }
        for zone in &zones {
            let sees = Sees::of(config, Violation::StreetVending, zone, known);
            can_hit(&sees, rule.attended_min > 0.0)?;
        }
        let state = |zone| (zone, Standing::default(), Attendance::default());
        Ok(Some(Self {
            zones: zones.into_iter().map(state).collect(),
            dwell: secs(rule.dwell_secs),
            attended_min: rule.attended_min,
        }))
    }

    /// What is to be said of one thing among all that were seen lately.
    fn finding(&self, now: &Moment<'_>, zone: &Zone, spot: &mut Spot, all: &[Spot]) -> Finding {
        let (permit, mut gates) = standing(now, (Violation::StreetVending, zone), spot, self.dwell);
        let like = spot.share(spot.fitting);
        let told = format!("{} in {} of looks", told(spot, all), percent(like));
        let limit = format!("like a stall in >= {}", percent(LIKE_MIN));
        // A part whose other part has gone is a part again.
        let alone = is_part(spot) && !spot.now.has(Role::Object);
        let still = !alone || beside(spot, all).next().is_some();
        gates.push(gate("stall", told, limit, like >= LIKE_MIN && still));
        if is_part(spot) {
            let attended = spot.share(spot.attended);
            gates.push(at_least("attended", attended, self.attended_min));
        }
        let offends = spot.fits && now.judges(&zone.times);
        // The next stall is another one.
        let parts = near(spot, all).filter(|s| is_part(s)).map(|s| s.area);
        Finding {
            violation: Violation::StreetVending,
            zone: zone.name.clone(),
            thing: spot.id,
            area: spot.area,
            around: parts.fold(spot.area, Area::joined),
            roles: spot.roles,
            unnamed: spot.is_unnamed(),
            since: spot.stands_since(permit.is_some()),
            permit,
            gates,
            offends,
            told_with_another: false,
            became: None,
            came: None,
            shots: Vec::new(),
            looks: spot.looks_like.all(),
        }
    }
}

impl Rule for Vending {
    fn look(&mut self, now: &Moment<'_>) -> Vec<Finding> {
        let at = now.scene.at;
        let mut found = Vec::new();
        let mut zones = std::mem::take(&mut self.zones);
        let here = zones.iter_mut().filter(|z| z.0.camera == now.scene.camera);
        for (zone, things, attendance) in here {
            things.look(now.scene, zone.roles, |area, stood| zone.holds(area, stood));
            let all: Vec<Spot> = things.seen_at(at).copied().collect();
            attendance.look(now.scene, &all);
            for spot in things.seen_at_mut(at) {
                let tallest = attendance.tallest(spot, at);
                spot.attended += u32::from(tallest.is_some());
                // Who steps aside is still the measure of what he left standing.
                spot.keeper = tallest.or(spot.keeper);
                let fitting = fits(spot, &all, now.scene.aspect);
                spot.fit(fitting);
            }
            // As they are after this look: what is new has been taken for something by now.
            let alive = things.alive().to_vec();
            let mut findings: Vec<(Spot, Finding)> = Vec::new();
            for spot in things.seen_at_mut(at) {
                let finding = self.finding(now, zone, spot, &alive);
                findings.push((*spot, finding));
            }
            found.extend(one_each(findings));
        }
        self.zones = zones;
        found
    }
}

/// Refuses a zone in which nothing can ever be like a stall.
fn can_hit(sees: &Sees<'_>, attended: bool) -> Result<(), JudgeError> {
    sees.demand(sees.zone.roles)?;
    let seen = sees.zone.roles.common(sees.roles);
    if !seen.iter().all(|role| PARTS.contains(&role)) {
        return Ok(());
    }
    let one = seen.iter().next().filter(|_| seen.len() == 1);
    if let Some(role) = one.filter(|role| *role != Role::Object) {
        return Err(JudgeError::OneKind {
            rule: sees.rule,
            zone: sees.zone.name.clone(),
            camera: sees.camera.to_owned(),
            role,
        });
    }
    // Parts are judged by who attends to them, and a thing alone is measured by him.
    if attended || one.is_some() {
        sees.demand(only(Role::Person))?;
    }
    Ok(())
}

/// Whether the thing is no stall by itself: a detector that once took it for one may have erred.
fn is_part(spot: &Spot) -> bool {
    spot.share(spot.whole) < LIKE_MIN
}

/// Whether the thing is like a stall at this moment, by what it is taken for at this moment, in a picture
/// of this `aspect`. How large it is nobody can tell to whom nobody ever attended.
fn fits(spot: &mut Spot, all: &[Spot], aspect: f32) -> bool {
    if spot.explained {
        return false;
    }
    if !spot.now.iter().all(|r| PARTS.contains(&r)) {
        spot.whole += 1;
        return true;
    }
    let kinds = beside(spot, all).fold(spot.now, |kinds, s| kinds.with(s.now));
    let together = kinds.len() >= 2 && beside(spot, all).next().is_some();
    if !spot.now.has(Role::Object) {
        return together;
    }
    let (long, high) = (spot.area.width() * aspect, spot.area.height());
    let shaped = |keeper: f32| is_stall_shaped(long / keeper, high / keeper);
    together || spot.keeper.is_some_and(shaped)
}

/// Whether a thing of no known class may be a stall by its length and height, shares of the height of who
/// attends to it. A short cart without a roof is as long and as high as a bicycle: in doubt it is one.
fn is_stall_shaped(long: f32, high: f32) -> bool {
    high >= HIGH_MIN || long >= LONG_MIN || high <= FLAT_MAX && long >= SPREAD_MIN
}

/// The other things that stand beside this one: not what is this one, or a passer-by, seen twice.
fn beside<'a>(spot: &'a Spot, all: &'a [Spot]) -> impl Iterator<Item = &'a Spot> {
    near(spot, all).filter(|s| !s.explained && !s.is_one_with(spot))
}

/// What else is seen at its place or beside it.
fn near<'a>(spot: &'a Spot, all: &'a [Spot]) -> impl Iterator<Item = &'a Spot> {
    all.iter()
        .filter(|s| s.id != spot.id && meet(s.area, spot.area))
}

fn meet(a: Area, b: Area) -> bool {
    a.grown(BESIDE).share_in(b.grown(BESIDE)) > 0.0
}

/// `tricycle beside goods`
fn told(spot: &Spot, all: &[Spot]) -> String {
    let names = |roles: RoleSet| roles.iter().map(Role::name).collect::<Vec<_>>().join("/");
    let others: Vec<String> = beside(spot, all).map(|s| names(s.roles)).collect();
    let own = names(spot.roles);
    if others.is_empty() {
        format!("{own} alone")
    } else {
        format!("{own} beside {}", others.join(", "))
    }
}

/// The findings, of which one speaks for each stall: of the parts that stand together, of those
/// that hit, the one that stood there first; a part beside a stall belongs to it.
fn one_each(mut findings: Vec<(Spot, Finding)>) -> Vec<Finding> {
    findings.sort_by_key(|(spot, _)| (is_part(spot), spot.since.boot_ns, spot.id));
    let mut taken: Vec<Area> = Vec::new();
    for (spot, finding) in findings.iter_mut().filter(|(_, f)| f.is_hit()) {
        finding.told_with_another =
            is_part(spot) && taken.iter().any(|area| meet(*area, spot.area));
        taken.push(spot.area);
    }
    findings.into_iter().map(|(_, finding)| finding).collect()
}
