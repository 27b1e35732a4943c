//! When a package that waits for a wider link is announced once more.
//!
//! A receiver forgets what stays unfinished: after three days, when a box has more of it than it keeps,
//! with its disk. Then a head says again that there is a case, and the receiver asks for what it lacks;
//! of one that it has after all that is nothing that may be sent. How often, of one package, is the
//! store's to say; here it is seen that all together stay little beside what is new.

use std::time::Duration;

use tokio::time::Instant;

use super::profile::{self, Why};
use super::session::Session;
use crate::clock;
use crate::store::StoreError;

/// One package in this time, and one at the start.
const EVERY: Duration = Duration::from_hours(2);
/// Only before this part of the day's budget is used.
const BUDGET_PART: u64 = 4;

/// What outlives a connection.
#[derive(Debug, Default)]
pub(super) struct Retelling {
    permitted: bool,
    /// When it was last seen whether one is due.
    looked: Option<Instant>,
}

impl Retelling {
    /// The profile is what it is because of `why`, and of `budget` so much is used.
    pub(super) fn weigh(&mut self, why: Why, (used, budget): (u64, Option<u64>)) {
        self.permitted =
            why == Why::Configured && budget.is_none_or(|budget| used < budget / BUDGET_PART);
    }

    /// Whether it is to be seen now; then not again for a while.
    fn is_due(&mut self, now: Instant) -> bool {
        let waited = |at: Instant| now.duration_since(at) >= EVERY;
        let due = self.permitted && self.looked.is_none_or(waited);
        if due {
            self.looked = Some(now);
        }
        due
    }
}

impl Session<'_> {
    /// Nothing else is to be sent: whether a package is that was told long ago.
    pub(super) async fn tell_again(&mut self) -> Result<bool, StoreError> {
        if !self.carry.retelling.is_due(Instant::now()) {
            return Ok(false);
        }
        let open = profile::open(self.profile, false).number();
        let found = self
            .up
            .store
            .blocking(move |store| store.tell_again(clock::now(), open))
            .await?;
        if let Some(id) = &found {
            // Whoever took it then has forgotten it; any receiver may hear of it.
            self.carry.begun.remove(id);
            tracing::info!(%id, "announced once more");
        }
        Ok(found.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_repeated_stays_little_beside_what_is_new() {
        let mut retelling = Retelling::default();
        let start = Instant::now();
        assert!(!retelling.is_due(start), "nothing was weighed");
        for (why, used, budget, permitted) in [
            (Why::Configured, u64::MAX, None, true),
            (Why::Configured, 24, Some(100), true),
            (Why::Configured, 25, Some(100), false),
            (Why::BudgetSpent, 100, Some(100), false),
            (Why::QuietHours, 0, None, false),
        ] {
            retelling = Retelling::default();
            retelling.weigh(why, (used, budget));
            assert_eq!(retelling.is_due(start), permitted, "{why:?} {used}");
        }
        retelling.weigh(Why::Configured, (0, None));
        // Every five seconds of a day.
        let looks = (0..24 * 720).map(|n| start + Duration::from_secs(n * 5));
        let due = looks.filter(|at| retelling.is_due(*at)).count();
        assert_eq!(due, 12);
    }
}
