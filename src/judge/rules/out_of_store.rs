//! Out-of-store business: goods or furniture stand beyond a shop's threshold.
//!
//! ```text
//! nothing ──foot in zone──▶ standing ──beyond the line, dwell over──▶ hit
//!    ▲                         │  ▲         (in every scene in which it is seen)
//!    └── not seen any more ────┘  └─ counted anew while inside the line, permitted, or out of hours
//! ```
//! The zone is the ground on which the shop's things could stand; the threshold line says where
//! the shop ends: beyond it, on its forbidden side, by more than the margin. What once was beyond
//! may tremble back by the zone's inertia. Without a line the zone itself begins at the threshold.
//! A thing of no known class in the box of a known one is that thing, and not counted meanwhile.
//! The zone is one shop's: of all that hits in it, the one that stood there first speaks for the shop.

use std::time::Duration;

use crate::config::{Config, ZoneKind};
use crate::types::{Gate, RoleSet, Violation};

use super::super::finding::{Finding, gate, percent};
use super::super::standing::{Spot, Standing};
use super::super::zone::{Threshold, Zone};
use super::super::{JudgeError, secs};
use super::{Moment, Rule, Sees, standing};

/// The rule.
pub(super) struct OutOfStore {
    zones: Vec<(Zone, Standing)>,
    dwell: Duration,
}

impl OutOfStore {
    /// The rule, when it is enabled and has a zone.
    pub(super) fn new(config: &Config, known: RoleSet) -> Result<Option<Self>, JudgeError> {
        let rule = &config.judge.out_of_store;
        let zones = Zone::of_kind(config, ZoneKind::ShopFront, &rule.roles);
        if !rule.enabled || zones.is_empty() {
            return Ok(None);
        }
        for zone in &zones {
            Sees::of(config, Violation::OutOfStore, zone, known).demand(zone.roles)?;
        }
        Ok(Some(Self {
            zones: zones
                .into_iter()
                .map(|z| (z, Standing::default()))
                .collect(),
            dwell: secs(rule.dwell_secs),
        }))
    }
}

impl Rule for OutOfStore {
    fn look(&mut self, now: &Moment<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        let here = self.zones.iter_mut();
        for (zone, things) in here.filter(|z| z.0.camera == now.scene.camera) {
            things.look(now.scene, zone.roles, |area, stood| zone.holds(area, stood));
            let mut of_shop = Vec::new();
            for spot in things.seen_at_mut(now.scene.at) {
                let line = zone.threshold.map(|t| beyond(&t, spot));
                let inside = line.as_ref().is_some_and(|gate| !gate.pass);
                if inside || spot.explained {
                    spot.counted = now.scene.at;
                }
                let (permit, mut gates) =
                    standing(now, (Violation::OutOfStore, zone), spot, self.dwell);
                gates.extend(line);
                of_shop.push(Finding {
                    violation: Violation::OutOfStore,
                    zone: zone.name.clone(),
                    thing: spot.id,
                    area: spot.area,
                    around: spot.area,
                    roles: spot.roles,
                    unnamed: spot.is_unnamed(),
                    since: spot.stands_since(permit.is_some()),
                    permit,
                    gates,
                    offends: !inside && !spot.explained && now.judges(&zone.times),
                    told_with_another: false,
                    became: None,
                    came: None,
                    shots: Vec::new(),
                    looks: spot.looks_like.all(),
                });
            }
            // What a permit covers is told of its own.
            of_shop.sort_by_key(|f| (f.since.boot_ns, f.thing));
            let unlicensed = |f: &&mut Finding| f.is_hit() && f.permit.is_none();
            for more in of_shop.iter_mut().filter(unlicensed).skip(1) {
                more.told_with_another = true;
            }
            found.append(&mut of_shop);
        }
        found
    }
}

/// Whether the thing is beyond the line; notes it in the spot.
fn beyond(threshold: &Threshold, spot: &mut Spot) -> Gate {
    let far = threshold.beyond(spot.area);
    let tremble = if spot.fitting > 0 {
        threshold.inertia
    } else {
        0.0
    };
    let pass = far >= threshold.margin - tremble;
    spot.fit(pass);
    let limit = format!(">= {} beyond the line", percent(threshold.margin.into()));
    gate("threshold", percent(far.into()), limit, pass)
}
