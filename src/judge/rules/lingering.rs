//! Street vending and out-of-store business: something of the wanted roles stands still in a
//! zone where it must not.
//!
//! ```text
//! nothing ──seen in zone──▶ standing ──dwell over──▶ suspicion (in every scene it is seen)
//!    ▲                         │
//!    └── not seen for 3 s ─────┘
//! ```
//! The two differ in their zones, roles and dwell only. A shop's zone is drawn along its
//! threshold: what stands inside the shop has its foot outside the zone.

use std::time::Duration;

use crate::config::{Config, ZoneKind};
use crate::types::{RoleSet, Scene, Violation};

use super::super::standing::Standing;
use super::super::zone::Zone;
use super::super::{JudgeError, secs};
use super::{Rule, Suspicion, demand};

/// One of the two rules about things that stand.
pub(super) struct Lingering {
    violation: Violation,
    zones: Vec<(Zone, Standing)>,
    roles: RoleSet,
    dwell: Duration,
}

impl Lingering {
    /// Street vending, when it is enabled and has a zone.
    pub(super) fn vending(config: &Config, known: RoleSet) -> Result<Option<Self>, JudgeError> {
        let rule = &config.judge.street_vending;
        let zones = if rule.enabled {
            Zone::of_kind(config, ZoneKind::NoVending)
        } else {
            vec![]
        };
        Self::new(
            Violation::StreetVending,
            zones,
            secs(rule.dwell_secs),
            |rule_name| demand(known, &rule.roles, rule_name),
        )
    }

    /// Out-of-store business, when it is enabled and has a zone.
    pub(super) fn shopfront(config: &Config, known: RoleSet) -> Result<Option<Self>, JudgeError> {
        let rule = &config.judge.out_of_store;
        let zones = if rule.enabled {
            Zone::of_kind(config, ZoneKind::ShopFront)
        } else {
            vec![]
        };
        Self::new(
            Violation::OutOfStore,
            zones,
            secs(rule.dwell_secs),
            |rule_name| demand(known, &rule.roles, rule_name),
        )
    }

    fn new(
        violation: Violation,
        zones: Vec<Zone>,
        dwell: Duration,
        roles: impl FnOnce(&'static str) -> Result<RoleSet, JudgeError>,
    ) -> Result<Option<Self>, JudgeError> {
        if zones.is_empty() {
            return Ok(None);
        }
        let roles = roles(violation.name())?;
        let zones = zones
            .into_iter()
            .map(|z| (z, Standing::default()))
            .collect();
        Ok(Some(Self {
            violation,
            zones,
            roles,
            dwell,
        }))
    }
}

impl Rule for Lingering {
    fn look(&mut self, scene: &Scene) -> Vec<Suspicion> {
        let mut found = Vec::new();
        for (zone, standing) in self
            .zones
            .iter_mut()
            .filter(|(z, _)| z.camera == scene.camera)
        {
            standing.look(scene, self.roles, |area| zone.holds(area));
            for spot in standing
                .seen_at(scene.at)
                .filter(|s| s.has_stood(self.dwell))
            {
                found.push(Suspicion {
                    violation: self.violation,
                    zone: zone.name.clone(),
                    area: spot.area,
                    roles: self.roles,
                    since: spot.since,
                    before: None,
                    moved: None,
                });
            }
        }
        found
    }
}
