//! Places among the packages in hand: how many there are, and whose is taken when none is free.
//!
//! What is fresh finds a place whatever else is in hand: what was sealed a while ago never fills all of
//! them, asked for or not, and gives its place away at any moment, for its receiver is remembered.

use tokio::time::Instant;

use super::delivery::Turn;
use super::hands::Hand;
use super::lanes::Lane;
use crate::types::CaseId;

/// Packages in hand at once.
pub(super) const HANDS: usize = 8;
/// Of these, such as were sealed a while ago.
const HANDS_LATE: usize = 6;
/// Of these, such as were taken because somebody asked for them.
pub(super) const HANDS_ASKED: usize = 4;

/// Where a package finds room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nobody has to go.
    Free,
    /// This one makes room.
    Of(CaseId),
}

/// Whether there is a place for a package of any age.
pub(super) fn is_free(hands: &[Hand]) -> bool {
    let late = hands.iter().filter(|hand| hand.late).count();
    hands.len() < HANDS && late < HANDS_LATE
}

/// Whose place a fresh package may take when all are taken: the last in rank of those that are late,
/// for they may be waiting for the drain, and of those that send video.
pub(super) fn for_fresh(hands: &[Hand], now: Instant) -> Option<&Hand> {
    let yields = |hand: &&Hand| {
        let turn = hand.delivery.turn(now, Lane::Video);
        !hand.oldest && (hand.late || turn == Turn::Ready(Lane::Video))
    };
    hands.iter().filter(yields).min_by_key(|hand| rank(hand))
}

/// The place of a package that was asked for; `None` when it has to wait. Most are late, so each counts
/// as late: a person waits for it, and so it goes before what is late and nobody asked for.
pub(super) fn for_asked(hands: &[Hand]) -> Option<Place> {
    let asked = hands.iter().filter(|hand| hand.asked).count();
    if asked >= HANDS_ASKED {
        return None;
    }
    if is_free(hands) {
        return Some(Place::Free);
    }
    let yields = |hand: &&Hand| hand.late && !hand.asked && !hand.oldest;
    let last = hands.iter().filter(yields).min_by_key(|hand| rank(hand));
    last.map(|hand| Place::Of(hand.package.id))
}

/// What goes first among packages; of what is late, what a person waits for.
fn rank(hand: &Hand) -> (bool, bool, u8, u64) {
    let package = &hand.package;
    let waited_for = hand.late && hand.asked;
    (!hand.late, waited_for, package.severity, package.seq)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use uuid::Uuid;

    use super::*;
    use crate::link::message::{Range, Want};
    use crate::store::Outgoing;
    use crate::upload::delivery::Delivery;

    fn id(seq: u64) -> CaseId {
        CaseId(Uuid::from_u128(seq.into()))
    }

    /// A package whose head is to be sent.
    fn fresh(seq: u64) -> Hand {
        let video = BTreeMap::from([("clip".to_owned(), (10, Lane::Video))]);
        Hand {
            package: Outgoing {
                id: id(seq),
                seq,
                dir: PathBuf::new(),
                files: Vec::new(),
                sig_sha256: String::new(),
                head: Vec::new(),
                attempts: 0,
                journal_n: None,
                severity: 5,
                sealed_ms: 0,
                sealed_ns: None,
            },
            paths: BTreeMap::new(),
            delivery: Delivery::new(&id(seq).to_string(), video, None),
            sent: false,
            refused: false,
            acknowledged: 0,
            late: false,
            asked: false,
            oldest: false,
        }
    }

    fn late(seq: u64) -> Hand {
        Hand {
            late: true,
            ..fresh(seq)
        }
    }

    fn asked(seq: u64) -> Hand {
        Hand {
            asked: true,
            ..late(seq)
        }
    }

    /// A fresh one of which only video is left.
    fn at_video(seq: u64, now: Instant) -> Hand {
        let mut hand = fresh(seq);
        hand.delivery.go(Lane::Video, 10);
        let want = Want {
            id: id(seq).to_string(),
            sink: "rx1".to_owned(),
            missing: vec![Range("clip".to_owned(), 0, 10)],
            max_chunk: None,
            video: false,
        };
        assert!(hand.delivery.want(&want, now));
        hand
    }

    /// Six sealed a while ago, as after an outage; the first has the oldest's place.
    fn backlog() -> Vec<Hand> {
        let mut hands: Vec<Hand> = (1..=6).map(late).collect();
        hands[0].oldest = true;
        hands
    }

    #[test]
    fn a_fresh_package_takes_the_place_of_what_is_late_whatever_that_is_at() {
        let now = Instant::now();
        let with = |more: Vec<Hand>| -> Vec<Hand> { backlog().into_iter().chain(more).collect() };
        let check = |hands: Vec<Hand>, expected: Option<u64>| {
            let given = for_fresh(&hands, now).map(|hand| hand.package.seq);
            assert_eq!(given, expected);
        };
        // Both that are fresh have their heads and pictures to send yet.
        check(with(vec![fresh(7), fresh(8)]), Some(2));
        check(with(vec![at_video(7, now), fresh(8)]), Some(2));
        // A person waits for these: last of what is late, before video that is fresh.
        let mut hands = with(vec![at_video(7, now)]);
        hands[1] = asked(2);
        check(hands, Some(3));
        check(vec![asked(2), at_video(7, now), fresh(8)], Some(2));
        let nothing_late = [at_video(8, now), at_video(7, now), fresh(1)];
        check(nothing_late.into(), Some(7));
        // Pictures of what is fresh are not held up, nor the oldest package for ever.
        check((1..=8).map(fresh).collect(), None);
        let oldest = backlog().into_iter().take(1);
        check(oldest.chain((2..=8).map(fresh)).collect(), None);
    }

    #[test]
    fn what_is_asked_for_counts_with_what_is_late() {
        let take = |hands: &mut Vec<Hand>, seq: u64| match for_asked(hands) {
            Some(place) => {
                hands.retain(|hand| place != Place::Of(hand.package.id));
                hands.push(asked(seq));
                true
            }
            None => false,
        };
        let mut hands = backlog();
        let taken: Vec<bool> = (11..=16).map(|seq| take(&mut hands, seq)).collect();
        assert_eq!(taken, [true, true, true, true, false, false]);
        let left: Vec<u64> = hands.iter().map(|hand| hand.package.seq).collect();
        assert_eq!(left, [1, 6, 11, 12, 13, 14], "two are free");
        hands.extend([fresh(21), fresh(22)]);
        let next = for_fresh(&hands, Instant::now()).map(|hand| hand.package.seq);
        assert_eq!(next, Some(6));

        assert_eq!(for_asked(&[]), Some(Place::Free));
        let five: Vec<Hand> = backlog().into_iter().take(5).collect();
        assert_eq!(for_asked(&five), Some(Place::Free));
        let full: Vec<Hand> = (1..=8).map(fresh).collect();
        assert_eq!(for_asked(&full), None, "what is fresh does not make room");
    }
}
