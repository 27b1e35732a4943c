//! Who sends next: several packages are in hand, and each has its next message in some lane.
//!
//! Lanes are strict: a head before pictures, pictures before video, whichever package they are
//! of; within a lane the grave before the mild, the new before the old. Strictness alone would
//! starve the oldest package while new ones come: so it gets at least one message in
//! [`OLDEST_EVERY`]. What serves the connection itself (state, journal, answers, queries for
//! time-stamps) is sent before any of these and asks for no turn.

/// Of so many messages in a row at least one is the oldest package's, when it has any.
pub(super) const OLDEST_EVERY: u8 = 10;

/// What a message of a package is part of, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Its head, or a question about it.
    Head,
    /// Pictures and all else that is not video.
    Picture,
    /// Video.
    Video,
}

impl Lane {
    /// The lane of a file that the store numbers so, 1 to 3.
    pub(super) fn of(number: u8) -> Self {
        match number {
            1 => Self::Head,
            2 => Self::Picture,
            _ => Self::Video,
        }
    }

    /// The number by which the store knows it.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Picture => 2,
            Self::Video => 3,
        }
    }
}

/// A package that has something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// In this lane.
    pub(super) lane: Lane,
    /// How grave the package is.
    pub(super) severity: u8,
    /// Its number: the higher the newer.
    pub(super) seq: u64,
}

/// Gives turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Turns in a row in which the oldest package was passed over.
    passed_over: u8,
}

impl Turns {
    /// The index of the claim whose turn it is; `None` when there is none.
    pub(super) fn next(&mut self, claims: &[Claim]) -> Option<usize> {
        let indexed = || claims.iter().enumerate();
        let (oldest, _) = indexed().min_by_key(|(_, claim)| claim.seq)?;
        let urgency = |claim: &Claim| (std::cmp::Reverse(claim.lane), claim.severity, claim.seq);
        let (first, _) = indexed().max_by_key(|(_, claim)| urgency(claim))?;
        let due = self.passed_over + 1 >= OLDEST_EVERY;
        let chosen = if due { oldest } else { first };
        self.passed_over = if chosen == oldest {
            0
        } else {
            self.passed_over + 1
        };
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(lane: Lane, severity: u8, seq: u64) -> Claim {
        Claim {
            lane,
            severity,
            seq,
        }
    }

    #[test]
    fn the_urgent_first() {
        use Lane::{Head, Picture, Video};
        let check = |claims: &[Claim], expected: Option<usize>| {
            assert_eq!(Turns::default().next(claims), expected, "{claims:?}");
        };
        check(&[], None);
        check(&[claim(Video, 7, 1)], Some(0));
        // A fresh head before an old package's video, pictures before video.
        check(&[claim(Video, 7, 1), claim(Head, 4, 2)], Some(1));
        check(&[claim(Video, 7, 1), claim(Picture, 4, 2)], Some(1));
        check(&[claim(Picture, 4, 9), claim(Head, 4, 1)], Some(1));
        // The grave before the mild, then the new before the old.
        check(&[claim(Head, 4, 9), claim(Head, 7, 1)], Some(1));
        check(&[claim(Head, 4, 1), claim(Head, 4, 9)], Some(1));
    }

    #[test]
    fn every_lane_is_as_the_store_numbers_it() {
        for number in 1..=3 {
            assert_eq!(Lane::of(number).number(), number);
        }
    }

    /// A package in hand, as the property needs it: messages left in each lane.
    #[derive(Clone, Debug)]
    struct Load {
        severity: u8,
        left: [u8; 3],
    }

    impl Load {
        fn lane(&self) -> Option<usize> {
            self.left.iter().position(|&left| left > 0)
        }
    }

    fn load() -> impl Strategy<Value = Load> {
        (prop_oneof![Just(4_u8), Just(7)], [0..3_u8, 0..6, 0..40])
            .prop_map(|(severity, left)| Load { severity, left })
    }

    proptest! {
        /// With packages coming all the time: strict but for the oldest one's share, that share is
        /// kept, and everything is sent in the end.
        #[test]
        fn strict_but_nothing_starves(
            loads in prop::collection::vec((load(), 0_u32..30), 1..24),
            bound in 1_usize..8,
        ) {
            let mut turns = Turns::default();
            let mut coming = loads.into_iter().enumerate().peekable();
            let mut hands: Vec<(u64, Load)> = Vec::new();
            let (mut sent, mut wait, mut since_oldest) = (0_u32, 0_u32, 0_u8);
            loop {
                while hands.len() < bound
                    && let Some((n, (load, gap))) = coming.next_if(|_| wait == 0)
                {
                    hands.push((n as u64, load));
                    wait = gap;
                }
                wait = wait.saturating_sub(1);
                hands.retain(|(_, load)| load.lane().is_some());
                let lanes = [Lane::Head, Lane::Picture, Lane::Video];
                let claims: Vec<Claim> = hands
                    .iter()
                    .filter_map(|(n, load)| Some(claim(lanes[load.lane()?], load.severity, *n)))
                    .collect();
                let Some(turn) = turns.next(&claims) else {
                    prop_assert!(claims.is_empty());
                    if coming.peek().is_none() { break }
                    continue;
                };
                let oldest = claims.iter().map(|c| c.seq).min();
                let is_oldest = Some(claims[turn].seq) == oldest;
                let more_urgent = claims.iter().any(|c| c.lane < claims[turn].lane);
                prop_assert!(is_oldest || !more_urgent, "{turn} of {claims:?}");
                if more_urgent {
                    prop_assert_eq!(since_oldest, OLDEST_EVERY - 1, "only in its turn");
                }
                since_oldest = if is_oldest { 0 } else { since_oldest + 1 };
                prop_assert!(since_oldest < OLDEST_EVERY, "one in {OLDEST_EVERY}");
                let lane = hands[turn].1.lane().expect("it claimed");
                hands[turn].1.left[lane] -= 1;
                sent += 1;
                prop_assert!(sent < 24 * 50, "everything ends");
            }
        }
    }
}
