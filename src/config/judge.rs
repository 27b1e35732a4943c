//! The three rules' limits.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::types::{Role, Violation};

/// `[judge]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Judge {
    /// The calendar: holidays and permits; empty: none.
    pub calendar: PathBuf,
    /// `[judge.street_vending]`
    pub street_vending: StreetVending,
    /// `[judge.out_of_store]`
    pub out_of_store: OutOfStore,
    /// `[judge.spillage]`
    pub spillage: Spillage,
}

impl Judge {
    /// The law a rule stands on.
    pub fn law(&self, violation: Violation) -> &Law {
        match violation {
            Violation::StreetVending => &self.street_vending.law,
            Violation::OutOfStore => &self.out_of_store.law,
            Violation::Spillage => &self.spillage.law,
        }
    }
}

/// `[judge.street_vending.law]` and so on: what goes into the statement of each package.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Law {
    /// The provision that is broken and the one that allows the method; empty: none stated.
    pub basis: String,
    /// The announced band of discretion.
    pub discretion: String,
    /// The announcement of place, patrol area and rule.
    pub announcement: String,
}

/// What is done the first time at a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstTime {
    /// The same as every time: warn, look again, record.
    #[default]
    Record,
    /// Warn, and leave it at that.
    Remind,
}

/// `[judge.street_vending]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreetVending {
    /// Whether the rule runs.
    pub enabled: bool,
    /// What counts as a stall.
    pub roles: Vec<Role>,
    /// It must stand still in the zone this long, seconds.
    pub dwell_secs: f64,
    /// After the warning was heard out, wait this long before looking again, seconds.
    pub grace_secs: f64,
    /// Share of the time in which somebody must attend to what is not a stall by itself.
    pub attended_min: f64,
    /// No second case at the same place for this long after one ended, seconds.
    pub cool_down_secs: f64,
    /// What is done the first time at a place.
    pub first_time: FirstTime,
    /// So long a case at a place is remembered, days; 0: not at all.
    pub history_days: u32,
    /// The law it stands on.
    pub law: Law,
}

impl Default for StreetVending {
    fn default() -> Self {
        Self {
            enabled: true,
            roles: vec![Role::Stall, Role::Umbrella, Role::Tricycle, Role::Goods],
            dwell_secs: 60.0,
            grace_secs: 300.0,
            attended_min: 0.5,
            cool_down_secs: 1800.0,
            first_time: FirstTime::Record,
            history_days: 365,
            law: Law::default(),
        }
    }
}

/// `[judge.out_of_store]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutOfStore {
    /// Whether the rule runs.
    pub enabled: bool,
    /// What counts as business put outside.
    pub roles: Vec<Role>,
    /// It must stand in the zone this long, seconds.
    pub dwell_secs: f64,
    /// After the warning was heard out, wait this long before looking again, seconds.
    pub grace_secs: f64,
    /// No second case at the same place for this long after one ended, seconds.
    pub cool_down_secs: f64,
    /// What is done the first time at a place.
    pub first_time: FirstTime,
    /// So long a case at a place is remembered, days; 0: not at all.
    pub history_days: u32,
    /// The law it stands on.
    pub law: Law,
}

impl Default for OutOfStore {
    fn default() -> Self {
        Self {
            enabled: true,
            roles: vec![Role::Goods, Role::Furniture, Role::Umbrella],
            dwell_secs: 120.0,
            grace_secs: 600.0,
            cool_down_secs: 3600.0,
            first_time: FirstTime::Record,
            history_days: 365,
            law: Law::default(),
        }
    }
}

/// `[judge.spillage]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spillage {
    /// Whether the rule runs.
    pub enabled: bool,
    /// Debris must appear within this time behind the truck, seconds.
    pub within_secs: f64,
    /// Debris must lie this long before it counts, seconds.
    pub settle_secs: f64,
    /// No second case at the same place for this long after one ended, seconds.
    pub cool_down_secs: f64,
    /// The law it stands on.
    pub law: Law,
}

impl Default for Spillage {
    fn default() -> Self {
        Self {
            enabled: true,
            within_secs: 10.0,
            settle_secs: 2.0,
            cool_down_secs: 300.0,
            law: Law::default(),
        }
    }
}
