//! How much the link has carried today, kept so that neither a restart nor a wrong clock gives a
//! second budget.
//!
//! What is written down runs ahead of what is used: after a crash rather too much is counted than
//! too little. The day turns at local midnight of the configured time zone, and only forward, and
//! only by a synchronised clock; a day that was begun is not begun again by a clock that was set back
//! over its midnight.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::config::Profile;

/// Bytes by which what is written down runs ahead of what is used, at most.
const AHEAD_MAX: u64 = 1024 * 1024;
/// And at least.
const AHEAD_MIN: u64 = 64 * 1024;
/// As a part of the budget.
const AHEAD_PART: u64 = 200;

/// As it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    day: Option<String>,
    /// The day that got its budget last.
    #[serde(default)]
    given: Option<String>,
    used: u64,
    profile: Option<Profile>,
}

/// The day's count.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    noted: Noted,
    day: Option<Date>,
    given: Option<Date>,
    used: u64,
    /// What was noted is not what is to be noted.
    stale: bool,
}

impl Account {
    /// As it was written down; what cannot be read counts as nothing.
    pub(super) fn read(text: Option<&str>) -> Self {
        let noted: Noted = text
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        Self {
            used: noted.used,
            day: noted.day.as_deref().and_then(|day| day.parse().ok()),
            given: noted.given.as_deref().and_then(|day| day.parse().ok()),
            noted,
            stale: false,
        }
    }

    /// Bytes used today.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// The profile that was in force last.
    pub(super) fn profile(&self) -> Option<Profile> {
        self.noted.profile
    }

    /// Another profile is in force.
    pub(super) fn set_profile(&mut self, profile: Profile) {
        self.stale |= self.noted.profile != Some(profile);
        self.noted.profile = Some(profile);
    }

    /// It is `today`, and `bytes` more went.
    pub(super) fn count(&mut self, bytes: u64, today: Date, synced: bool) {
        match self.day {
            // The first day is what the clock says; there is nothing to win by it.
            None => self.begin(today, synced),
            Some(day) if today > day && synced => {
                if self.given != Some(today) {
                    self.used = 0;
                }
                self.begin(today, true);
            }
            // The day noted was wrong. Its use stays, and what it was given.
            Some(day) if today < day && synced => self.begin(today, false),
            Some(_) => {}
        }
        self.used = self.used.saturating_add(bytes);
    }

    /// It is `today`, which has its budget by that when `given`.
    fn begin(&mut self, today: Date, given: bool) {
        self.day = Some(today);
        self.noted.day = Some(today.to_string());
        if given {
            self.given = Some(today);
            self.noted.given.clone_from(&self.noted.day);
        }
        self.stale = true;
    }

    /// What to write down now, when it is time; `last`: nothing more will be used for a while.
    pub(super) fn note(&mut self, budget: Option<u64>, last: bool) -> Option<String> {
        let ahead = match budget {
            Some(budget) if !last => (budget / AHEAD_PART).clamp(AHEAD_MIN, AHEAD_MAX),
            _ => 0,
        };
        let outrun = budget.is_some() && self.used > self.noted.used;
        let differs = last && budget.is_some() && self.used != self.noted.used;
        if !self.stale && !outrun && !differs {
            return None;
        }
        self.noted.used = self.used.saturating_add(ahead);
        self.stale = false;
        Some(serde_json::to_string(&self.noted).expect("invariant: a date and a number serialise"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const BUDGET: Option<u64> = Some(50 * 1024 * 1024);

    #[test]
    fn a_new_day_comes_only_forward_only_by_a_synchronised_clock_and_once() {
        let (monday, tuesday) = (date(2026, 8, 3), date(2026, 8, 4));
        let mut account = Account::default();
        account.count(10, monday, false);
        account.count(10, tuesday, false);
        assert_eq!(account.used(), 20, "not synchronised: the day goes on");
        account.count(0, tuesday, true);
        assert_eq!(account.used(), 0, "a new day");
        account.count(5, monday, true);
        assert_eq!(account.used(), 5, "back: what was used stays");
        let text = account.note(BUDGET, true).expect("another day");
        account = Account::read(Some(&text));
        account.count(2, tuesday, true);
        assert_eq!(
            account.used(),
            7,
            "that day had its budget, before a restart too"
        );
        account.count(0, date(2026, 8, 5), true);
        assert_eq!(account.used(), 0, "the next midnight counts again");
    }

    #[test]
    fn a_clock_that_was_far_ahead_does_not_end_all_budgets() {
        let mut account = Account::default();
        account.count(7, date(2099, 1, 1), true);
        account.count(0, date(2026, 8, 3), true);
        assert_eq!(account.used(), 7);
        account.count(0, date(2026, 8, 4), true);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn a_profile_is_remembered() {
        let mut account = Account::read(Some("no JSON"));
        assert_eq!(account.profile(), None);
        account.set_profile(Profile::Metered);
        let text = account.note(None, false).expect("news");
        assert_eq!(account.note(None, false), None);
        assert_eq!(Account::read(Some(&text)).profile(), Some(Profile::Metered));
    }

    proptest! {
        /// Whenever it crashes: what is read again is never less than what was used, and not
        /// much more.
        #[test]
        fn a_crash_gives_nothing_back(
            steps in prop::collection::vec((0_u64..300_000, prop::bool::weighted(0.2)), 1..80)
        ) {
            let day = date(2026, 8, 3);
            let (mut account, mut disk) = (Account::default(), None);
            let (mut used, mut crashes) = (0, 0);
            for (bytes, crash) in steps {
                account.count(bytes, day, true);
                used += bytes;
                if let Some(text) = account.note(BUDGET, false) {
                    disk = Some(text);
                }
                if crash {
                    crashes += 1;
                    account = Account::read(disk.as_deref());
                }
                prop_assert!(account.used() >= used);
                prop_assert!(account.used() <= used + crashes * AHEAD_MAX);
            }
            let text = account.note(BUDGET, true).or(disk);
            prop_assert_eq!(Account::read(text.as_deref()).used(), account.used());
        }
    }
}
