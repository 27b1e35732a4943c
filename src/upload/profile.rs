//! What the link may carry now: the configured profile, narrowed by the hour and by the day's
//! budget.

use serde::Serialize;

use super::lanes::Lane;
use crate::config::{self, Profile, Span};

/// Bytes in the unit of `daily_budget_mib`.
const MIB: u64 = 1024 * 1024;

/// `[upload]`, as far as it says what may be sent when.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    profile: Profile,
    quiet: Vec<Span>,
    /// Bytes in a day; `None` without end.
    budget: Option<u64>,
}

/// Why the profile in force is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is the configured one.
    Configured,
    /// The hour is one of `quiet_hours`.
    QuietHours,
    /// The day's budget is used up.
    BudgetSpent,
    /// There is a budget, and what was used of it cannot be read at this moment.
    BudgetUnknown,
}

impl Plan {
    /// The plan of a configuration; hours that cannot be read were refused with it.
    pub(super) fn new(config: &config::Upload) -> Self {
        let metered = config.profile == Profile::Metered && config.daily_budget_mib > 0;
        Self {
            profile: config.profile,
            quiet: config
                .quiet_hours
                .iter()
                .filter_map(|hours| Span::parse(hours))
                .collect(),
            budget: metered.then(|| u64::from(config.daily_budget_mib) * MIB),
        }
    }

    /// Bytes the link may carry in a day, if there is an end.
    pub(super) fn budget(&self) -> Option<u64> {
        self.budget
    }

    /// The profile in force at `minute` of the local day, when `used` bytes went today.
    pub(super) fn standing(&self, minute: u16, used: u64) -> (Profile, Why) {
        if self.profile == Profile::Quiet {
            (Profile::Quiet, Why::Configured)
        } else if self.quiet.iter().any(|hours| hours.contains(minute)) {
            (Profile::Quiet, Why::QuietHours)
        } else if self.budget.is_some_and(|budget| used >= budget) {
            (Profile::Quiet, Why::BudgetSpent)
        } else {
            (self.profile, Why::Configured)
        }
    }

    /// The same while it is not known how much went today.
    pub(super) fn unweighed(&self, minute: u16) -> (Profile, Why) {
        match self.standing(minute, u64::MAX) {
            (profile, Why::BudgetSpent) => (profile, Why::BudgetUnknown),
            known => known,
        }
    }
}

/// The last lane that is open under `profile`; `asked`: somebody asked for the package's video.
pub(super) fn open(profile: Profile, asked: bool) -> Lane {
    match profile {
        Profile::Full => Lane::Video,
        Profile::Metered if asked => Lane::Video,
        Profile::Metered => Lane::Picture,
        Profile::Quiet => Lane::Head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(profile: Profile, mib: u32, hours: &[&str]) -> Plan {
        Plan::new(&config::Upload {
            profile,
            daily_budget_mib: mib,
            quiet_hours: hours.iter().map(|&h| h.to_owned()).collect(),
            ..config::Upload::default()
        })
    }

    #[test]
    fn hours_and_budget_narrow_the_profile() {
        use Profile::{Full, Metered, Quiet};
        use Why::{BudgetSpent, BudgetUnknown, Configured, QuietHours};
        let night: &[&str] = &["22:00-06:00"];
        let (noon, midnight) = (720, 0);
        for (profile, mib, hours, minute, used, expected) in [
            (Full, 0, night, noon, u64::MAX, (Full, Configured)),
            (Full, 0, night, midnight, 0, (Quiet, QuietHours)),
            (Full, 1, &[], noon, u64::MAX, (Full, Configured)),
            (Metered, 0, &[], noon, u64::MAX, (Metered, Configured)),
            (Metered, 1, &[], noon, MIB - 1, (Metered, Configured)),
            (Metered, 1, &[], noon, MIB, (Quiet, BudgetSpent)),
            (Metered, 1, night, midnight, MIB, (Quiet, QuietHours)),
            (Quiet, 1, night, midnight, MIB, (Quiet, Configured)),
        ] {
            let plan = plan(profile, mib, hours);
            assert_eq!(
                plan.standing(minute, used),
                expected,
                "{plan:?} {minute} {used}"
            );
        }
        // What was used is not known.
        for (profile, mib, hours, expected) in [
            (Metered, 1, &[][..], (Quiet, BudgetUnknown)),
            (Metered, 1, night, (Quiet, QuietHours)),
            (Metered, 0, &[], (Metered, Configured)),
            (Full, 0, &[], (Full, Configured)),
        ] {
            let plan = plan(profile, mib, hours);
            assert_eq!(plan.unweighed(midnight), expected, "{plan:?}");
        }
    }

    #[test]
    fn what_is_open() {
        for (profile, asked, expected) in [
            (Profile::Full, false, Lane::Video),
            (Profile::Metered, false, Lane::Picture),
            (Profile::Metered, true, Lane::Video),
            (Profile::Quiet, true, Lane::Head),
        ] {
            assert_eq!(open(profile, asked), expected, "{profile:?} {asked}");
        }
    }
}
