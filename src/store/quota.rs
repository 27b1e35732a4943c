//! When space runs out: how full the store is, what may go, and what is made no more. Pure.
//!
//! ```text
//!  fill    pictures and video of receipted packages go …      new packages
//!  < 70 %  once they are older than `keep_days`               whole
//!  ≥ 70 %  oldest first until below 70 %, never the last day  whole
//!  ≥ 85 %  the same                                           without video
//!  ≥ 95 %  the same                                           none; warnings go on
//! ```
//! What the receiver has not signed for is never chosen, whatever the fill.
//!
//! A package is as old as *both* clocks say: this box's, and the receiver's, which its receipts
//! tell and the boot clock carries on. Either may be set wrong; nothing goes before its time unless
//! both are, by as much and in the same direction.

use serde::Serialize;

use crate::config::PruneNeeds;
use crate::types::CaseId;

/// From here on receipted packages go early, percent of the quota.
const FILLING: u64 = 70;
/// From here on packages come without video.
const TIGHT: u64 = 85;
/// From here on there are no new packages.
const SHUT: u64 = 95;
/// What is younger than this stays, milliseconds: someone may just be looking at it.
const YOUNG_MS: i64 = 24 * 60 * 60 * 1000;
/// Milliseconds in a day.
const DAY_MS: i64 = YOUNG_MS;
/// Copies the receiver must have signed for, where the configuration asks for copies.
pub(super) const COPIES: u32 = 2;

/// What the store holds and what it may hold, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Bytes of packages, open cases, journal and database.
    pub used: u64,
    /// Most bytes they may have: the configured quota, or what the disk has beyond
    /// `keep_free_mib` when that is less.
    pub quota: u64,
}

/// How full the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below 70 %.
    #[default]
    Ample,
    /// From 70 %: receipted packages are pruned early.
    Filling,
    /// From 85 %: new packages come without video.
    Tight,
    /// From 95 %: no new packages.
    Shut,
}

impl Room {
    /// The fill in whole percent, 100 at most.
    pub fn percent(self) -> u64 {
        let percent = u128::from(self.used) * 100 / u128::from(self.quota.max(1));
        u64::try_from(percent.min(100)).unwrap_or(100)
    }

    /// What the fill means.
    pub fn level(self) -> Level {
        match self.percent() {
            ..FILLING => Level::Ample,
            FILLING..TIGHT => Level::Filling,
            TIGHT..SHUT => Level::Tight,
            SHUT.. => Level::Shut,
        }
    }

    /// Bytes until no new packages are made.
    pub fn left(self) -> u64 {
        let shut = u128::from(self.quota) * u128::from(SHUT) / 100;
        u64::try_from(shut)
            .unwrap_or(u64::MAX)
            .saturating_sub(self.used)
    }
}

/// A package that may perhaps be pruned, and what speaks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The package.
    pub(super) id: CaseId,
    /// When it was sealed, UTC milliseconds.
    pub(super) sealed_ms: i64,
    /// When its receipt was kept; `None` without one, and then it stays.
    pub(super) receipted_ms: Option<i64>,
    /// When the receiver signed it, by the receiver's clock; the same as `receipted_ms` where the
    /// receipt's time was not kept.
    pub(super) received_ms: Option<i64>,
    /// Copies the receipt speaks of; `None` when it does not say.
    pub(super) copies: Option<u32>,
    /// Whether the second medium has it, read back.
    pub(super) mirrored: bool,
    /// Bytes that would become free.
    pub(super) bytes: u64,
}

/// The present moment by both clocks, UTC milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// By this box's.
    pub(super) here_ms: i64,
    /// By the receiver's; `None` before the first receipt.
    pub(super) receiver_ms: Option<i64>,
}

impl Candidate {
    /// For how long both were true: it was sealed, and the receiver had it. The least that a
    /// clock says.
    fn age_ms(&self, now: Now) -> Option<i64> {
        let since = self.receipted_ms?.max(self.sealed_ms);
        let here = now.here_ms.saturating_sub(since);
        let there = now.receiver_ms?.saturating_sub(self.received_ms?);
        Some(here.min(there))
    }

    fn may_go(&self, needs: PruneNeeds) -> bool {
        match needs {
            PruneNeeds::Receipt => true,
            PruneNeeds::MirrorAndCopies => {
                self.mirrored && self.copies.is_some_and(|copies| copies >= COPIES)
            }
        }
    }
}

/// Chooses the packages whose pictures and video go now, oldest first.
///
/// A clock that was set back makes packages look young, and then they stay. One that was set
/// forward is not believed alone.
pub(super) fn choose(
    room: Room,
    candidates: &[Candidate],
    (needs, keep_days): (PruneNeeds, u64),
    now: Now,
) -> Vec<CaseId> {
    let mut old: Vec<(i64, &Candidate)> = candidates
        .iter()
        .filter(|c| c.may_go(needs))
        .filter_map(|c| c.age_ms(now).map(|age| (age, c)))
        .filter(|(age, _)| *age >= YOUNG_MS)
        .collect();
    old.sort_by_key(|(age, c)| (std::cmp::Reverse(*age), c.id));
    let keep_ms = i64::try_from(keep_days)
        .unwrap_or(i64::MAX)
        .saturating_mul(DAY_MS);
    let mut room = room;
    let mut chosen = Vec::new();
    for (age, candidate) in old {
        // In order of age: once neither reason holds, it holds for none of the rest.
        if age <= keep_ms && room.level() == Level::Ample {
            break;
        }
        room.used = room.used.saturating_sub(candidate.bytes);
        chosen.push(candidate.id);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const NEEDS: [PruneNeeds; 2] = [PruneNeeds::MirrorAndCopies, PruneNeeds::Receipt];

    fn room(used: u64) -> Room {
        Room { used, quota: 100 }
    }

    /// By both clocks.
    fn at(ms: i64) -> Now {
        Now {
            here_ms: ms,
            receiver_ms: Some(ms),
        }
    }

    /// Number, age in hours, and the rest as it must be to go.
    fn candidate(n: u128, hours: i64) -> Candidate {
        Candidate {
            id: CaseId(Uuid::from_u128(n)),
            sealed_ms: -hours * 3_600_000,
            receipted_ms: Some(-hours * 3_600_000),
            received_ms: Some(-hours * 3_600_000),
            copies: Some(2),
            mirrored: true,
            bytes: 10,
        }
    }

    #[test]
    fn the_fill_has_its_levels() {
        for (used, quota, percent, level) in [
            (0, 100, 0, Level::Ample),
            (69, 100, 69, Level::Ample),
            (70, 100, 70, Level::Filling),
            (849, 1000, 84, Level::Filling),
            (85, 100, 85, Level::Tight),
            (94, 100, 94, Level::Tight),
            (95, 100, 95, Level::Shut),
            (300, 100, 100, Level::Shut),
            (0, 0, 0, Level::Ample),
            (1, 0, 100, Level::Shut),
            (u64::MAX, u64::MAX, 100, Level::Shut),
        ] {
            let room = Room { used, quota };
            assert_eq!(
                (room.percent(), room.level()),
                (percent, level),
                "{used}/{quota}"
            );
        }
        assert_eq!(room(20).left(), 75);
        assert_eq!(room(99).left(), 0);
    }

    #[test]
    fn what_goes() {
        type Row<'a> = (&'a str, u64, [Candidate; 4], PruneNeeds, &'a [u128]);

        let [day, week, month] = [25, 7 * 24 + 1, 31 * 24];
        let four = [
            candidate(1, month),
            candidate(2, week),
            candidate(3, day),
            candidate(4, 23),
        ];
        let with = |change: fn(&mut Candidate)| {
            let mut four = four;
            change(&mut four[0]);
            four
        };
        let unreceipted = with(|c| c.receipted_ms = None);
        let one_copy = with(|c| c.copies = Some(1));
        let unsaid = with(|c| c.copies = None);
        let unmirrored = with(|c| c.mirrored = false);
        let fresh_receipt = with(|c| c.receipted_ms = Some(-1));
        let table: [Row<'_>; 13] = [
            ("ample: by age only", 10, four, NEEDS[0], &[1]),
            ("just below", 69, four, NEEDS[0], &[1]),
            ("age is enough", 79, four, NEEDS[0], &[1]),
            ("oldest first", 80, four, NEEDS[0], &[1, 2]),
            ("never the last day", 99, four, NEEDS[0], &[1, 2, 3]),
            ("no receipt", 99, unreceipted, NEEDS[0], &[2, 3]),
            (
                "no receipt, whatever is asked",
                99,
                unreceipted,
                NEEDS[1],
                &[2, 3],
            ),
            ("one copy", 10, one_copy, NEEDS[0], &[]),
            ("one copy is enough", 10, one_copy, NEEDS[1], &[1]),
            ("copies not said", 10, unsaid, NEEDS[0], &[]),
            ("not mirrored", 75, unmirrored, NEEDS[0], &[2]),
            ("mirror not asked for", 10, unmirrored, NEEDS[1], &[1]),
            ("received just now", 99, fresh_receipt, NEEDS[1], &[2, 3]),
        ];
        for (name, used, candidates, needs, expected) in table {
            let chosen = choose(room(used), &candidates, (needs, 30), at(0));
            let expected: Vec<_> = expected
                .iter()
                .map(|n| CaseId(Uuid::from_u128(*n)))
                .collect();
            assert_eq!(chosen, expected, "{name}");
        }
        let year = 365 * DAY_MS;
        let jumps = [
            ("both set back", Some(-year), -year),
            ("ours set back", Some(0), -year),
            ("the receiver's set back", Some(-year), 0),
            ("nothing was ever received", None, year),
        ];
        for (name, receiver_ms, here_ms) in jumps {
            let now = Now {
                here_ms,
                receiver_ms,
            };
            let chosen = choose(room(99), &four, (NEEDS[0], 1), now);
            assert_eq!(chosen, [], "{name}");
        }
    }

    #[test]
    fn a_clock_that_jumps_a_year_ahead_makes_nothing_old() {
        let year = 365 * DAY_MS;
        let young = [candidate(1, 20), candidate(2, 23)];
        let old = [candidate(3, 48), candidate(4, 40 * 24)];
        let all = [young, old].concat();
        let ids = |of: &[Candidate]| of.iter().rev().map(|c| c.id).collect::<Vec<_>>();
        for (here_ms, receiver_ms) in [(0, 0), (year, 0), (0, year)] {
            let now = Now {
                here_ms,
                receiver_ms: Some(receiver_ms),
            };
            let chosen = choose(room(99), &all, (NEEDS[0], 30), now);
            assert_eq!(chosen, ids(&old), "{now:?}");
            let chosen = choose(room(10), &all, (NEEDS[0], 30), now);
            assert_eq!(chosen, ids(&old[1..]), "{now:?}");
        }
        // Sealed and received while our clock was a year behind, and then it was put right.
        let behind = Candidate {
            sealed_ms: -year,
            receipted_ms: Some(-year),
            received_ms: Some(-1),
            ..candidate(5, 0)
        };
        assert_eq!(choose(room(99), &[behind], (NEEDS[0], 30), at(0)), []);
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        (
            any::<u128>(),
            -400 * DAY_MS..DAY_MS,
            prop::option::weighted(0.7, (-400 * DAY_MS..DAY_MS, -400 * DAY_MS..DAY_MS)),
            prop::option::of(0u32..4),
            any::<bool>(),
            0u64..2000,
        )
            .prop_map(
                |(n, sealed_ms, receipt, copies, mirrored, bytes)| Candidate {
                    id: CaseId(Uuid::from_u128(n)),
                    sealed_ms,
                    receipted_ms: receipt.map(|(here, _)| here),
                    received_ms: receipt.map(|(_, there)| there),
                    copies,
                    mirrored,
                    bytes,
                },
            )
    }

    proptest! {
        #[test]
        fn an_unreceipted_package_is_never_chosen_and_never_more_than_needed(
            candidates in prop::collection::vec(any_candidate(), 0..40),
            used in 0u64..12_000,
            strict in any::<bool>(),
            keep_days in 1u64..400,
        ) {
            let room = Room { used, quota: 10_000 };
            let needs = NEEDS[usize::from(!strict)];
            let chosen = choose(room, &candidates, (needs, keep_days), at(0));
            let mut left = used;
            let mut last_age = i64::MAX;
            for id in &chosen {
                let c = candidates.iter().find(|c| c.id == *id).expect("one of ours");
                let since = c.receipted_ms.expect("never without a receipt").max(c.sealed_ms);
                let age = (-since).min(-c.received_ms.expect("with its time"));
                prop_assert!(age >= DAY_MS, "never the last day");
                prop_assert!(age <= last_age, "oldest first");
                if strict {
                    prop_assert!(c.mirrored && c.copies >= Some(2));
                }
                // Never more than needed: it was old enough, or there was still no room.
                let old = age > i64::try_from(keep_days).unwrap() * DAY_MS;
                prop_assert!(old || left * 100 / 10_000 >= FILLING);
                left = left.saturating_sub(c.bytes);
                last_age = age;
            }
            // Never less than needed either: whoever stays had no reason to go.
            for c in candidates.iter().filter(|c| !chosen.contains(&c.id)) {
                let Some(age) = c.age_ms(at(0)) else { continue };
                let may = !strict || (c.mirrored && c.copies >= Some(2));
                let wanted = age > i64::try_from(keep_days).unwrap() * DAY_MS
                    || left * 100 / 10_000 >= FILLING;
                prop_assert!(age < DAY_MS || !may || !wanted, "{c:?} should have gone");
            }
        }
    }
}
