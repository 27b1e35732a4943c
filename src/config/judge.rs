//! The three rules' limits.

use serde::{Deserialize, Serialize};

use crate::types::Role;

/// `[judge]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Judge {
    /// `[judge.street_vending]`
    pub street_vending: StreetVending,
    /// `[judge.out_of_store]`
    pub out_of_store: OutOfStore,
    /// `[judge.spillage]`
    pub spillage: Spillage,
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
    /// No second case at the same place for this long after one ended, seconds.
    pub cool_down_secs: f64,
}

impl Default for StreetVending {
    fn default() -> Self {
        Self {
            enabled: true,
            roles: vec![Role::Stall, Role::Umbrella, Role::Tricycle, Role::Goods],
            dwell_secs: 60.0,
            grace_secs: 300.0,
            cool_down_secs: 1800.0,
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
}

impl Default for OutOfStore {
    fn default() -> Self {
        Self {
            enabled: true,
            roles: vec![Role::Goods, Role::Furniture, Role::Umbrella],
            dwell_secs: 120.0,
            grace_secs: 600.0,
            cool_down_secs: 3600.0,
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
}

impl Default for Spillage {
    fn default() -> Self {
        Self {
            enabled: true,
            within_secs: 10.0,
            settle_secs: 2.0,
            cool_down_secs: 300.0,
        }
    }
}
