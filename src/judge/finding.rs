//! What a rule says about one thing in one scene: a hit when every gate is passed, a near miss
//! when one is not.

use std::time::Duration;

use crate::types::{
    Appearance, Area, CaseId, Gate, HitOutcome, RoleSet, ShotKind, Stamp, Violation,
};

/// The condition that something changed in the picture lately.
pub(super) const FRESH: &str = "fresh";

/// One thing a rule looked at, with every condition it was held against.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What is suspected.
    pub violation: Violation,
    /// Name of the zone.
    pub zone: String,
    /// Tells the subject from the others of its rule in the zone.
    pub thing: u64,
    /// The subject in this scene.
    pub area: Area,
    /// The subject with what belongs to it.
    pub around: Area,
    /// What the subject was taken for; by this it is known again.
    pub roles: RoleSet,
    /// Whether it was of no known class in most looks, whatever it was taken for in the others.
    pub(super) unnamed: bool,
    /// Since when it goes on, without the time in which it was allowed.
    pub since: Stamp,
    /// The permit that covers it.
    pub permit: Option<String>,
    /// Every condition of the rule.
    pub gates: Vec<Gate>,
    /// Whether it is, by what and where it is in this very scene, what its rule forbids at this hour:
    /// the conditions without those of how long and how often. The second look asks this.
    pub(super) offends: bool,
    /// Whether it is told with another hit of the scene: a part of its stall, or more of its shop.
    pub(super) told_with_another: bool,
    /// What became of it, when that was told in this scene.
    pub became: Option<(CaseId, HitOutcome)>,
    /// When who is to blame came, where that was before the subject was seen: the clip shows it too.
    pub(super) came: Option<Stamp>,
    /// Earlier moments that belong to it, with the area to show.
    pub(super) shots: Vec<(ShotKind, Stamp, Area)>,
    /// What the subject looked like lately.
    pub(super) looks: Vec<Appearance>,
}

impl Finding {
    /// Whether every condition is met.
    pub fn is_hit(&self) -> bool {
        self.gates.iter().all(|g| g.pass)
    }

    /// Whether it speaks for itself, and perhaps for others: a hit, or what goes on unchanged where nothing
    /// moves, which is told by no picture but has not ended.
    pub(super) fn speaks(&self) -> bool {
        let holds = |g: &Gate| g.pass || g.gate == FRESH;
        self.gates.iter().all(holds) && !self.told_with_another
    }

    /// Whether what is seen there may not be there, whatever time it has stood.
    pub(super) fn is_forbidden(&self) -> bool {
        self.offends && self.permit.is_none()
    }
}

pub(super) fn gate(
    name: &str,
    value: impl Into<String>,
    limit: impl Into<String>,
    pass: bool,
) -> Gate {
    Gate {
        gate: name.to_owned(),
        value: value.into(),
        limit: limit.into(),
        pass,
    }
}

/// A time of at least `limit`.
pub(super) fn lasts(name: &str, value: Duration, limit: Duration) -> Gate {
    let told = format!("{:.1} s", value.as_secs_f64());
    let limit_told = format!(">= {} s", limit.as_secs_f64());
    gate(name, told, limit_told, value >= limit)
}

/// A share of at least `limit`.
pub(super) fn at_least(name: &str, value: f64, limit: f64) -> Gate {
    let limit_told = format!(">= {}", percent(limit));
    gate(name, percent(value), limit_told, value >= limit)
}

/// A share in words.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
