//! What others may have the box do, and when reviewers' objections count.

use serde::{Deserialize, Serialize};

/// `[commands]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commands {
    /// Whether signed commands are carried out; verdicts count in any case.
    pub enabled: bool,
    /// A configuration that was sent is given up when cameras and upload are not back within
    /// this time, seconds.
    pub trial_secs: u64,
    /// Packages that persons may ask for in any 24 hours; 0: none.
    pub captures_per_day: u64,
    /// Program and arguments that have the whole box restarted in order; empty: nobody has.
    pub reboot: Vec<String>,
    /// A rule makes leads only when more than this share of its packages was rejected.
    pub objections_max: f64,
    /// It makes evidence again when no more than this share was.
    pub objections_back: f64,
    /// With fewer packages judged nothing changes.
    pub objections_least: u64,
    /// How many of the packages judged last are counted.
    pub objections_window: u64,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            enabled: true,
            trial_secs: 180,
            captures_per_day: 50,
            reboot: Vec::new(),
            objections_max: 0.3,
            objections_back: 0.1,
            objections_least: 20,
            objections_window: 100,
        }
    }
}
