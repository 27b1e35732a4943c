//! What could not be kept since the start, counted for whoever looks from afar.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Store;
use crate::types::lock;

/// Evidence that is missing or incomplete, since the start. Whoever meets it counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// Pictures, clips and ends of cases that the store did not take, by what was wrong with it.
    pub refused: BTreeMap<&'static str, u64>,
    /// Cases that were decided and cannot be sealed.
    pub failed: u64,
    /// Clips left out because the store was nearly full.
    pub clips_left_out: u64,
}

impl Losses {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.failed + self.clips_left_out
    }
}

impl Store {
    /// What could not be kept since the start.
    pub fn losses(&self) -> Losses {
        lock(&self.shared.losses).clone()
    }

    /// Something could not be kept.
    pub fn lose(&self, count: impl FnOnce(&mut Losses)) {
        count(&mut lock(&self.shared.losses));
    }
}
