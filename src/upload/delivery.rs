//! One package in hand: what to send next, as a pure machine that time and messages move.
//!
//! ```text
//! Announce ─head─▶ Announced ─want─▶ Sending ─last piece─▶ Ask ─f─▶ Asked ─want─▶ Sending …
//!     ▲ without a known receiver                            ▲ with one from the last connection
//! ```
//! A receipt takes the package out of hand from any place; no answer in time ends the try.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::link::message::{Range, Want, is_name};

/// The receiver answers a head, and a finished package after hashing it, well within this.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// Ranges of one `want` that are looked at; a receiver asks again for more.
const RANGES_MAX: usize = 4096;
/// Smallest piece: below it the overhead of messages wins.
pub(super) const PIECE_MIN: u64 = 16 * 1024;
/// A piece should take about this long, so that on a slow link nothing waits long behind it.
const PIECE_TIME: Duration = Duration::from_secs(1);

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Publish the head.
    Head,
    /// Publish a piece of a file.
    Piece(Piece),
    /// Tell the receiver that all was sent, and ask what it misses.
    Finish {
        /// The receiver.
        sink: String,
    },
    /// Nothing before this moment, unless a message comes; `None`: only a message helps.
    Wait(Option<Instant>),
    /// Nobody answered: this try is over.
    GiveUp,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The receiver it is for.
    pub(super) sink: String,
    /// The file, by its hash.
    pub(super) sha256: String,
    /// First byte.
    pub(super) from: u64,
    /// The byte after the last.
    pub(super) to: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Announce,
    /// `until` is known once the broker has the message: a slow link is not a silent receiver.
    Announced {
        until: Option<Instant>,
    },
    Sending {
        sink: String,
        ranges: VecDeque<Range>,
        piece_max: u64,
    },
    Ask {
        sink: String,
    },
    Asked {
        sink: String,
        until: Option<Instant>,
    },
}

/// A package on its way.
#[derive(Debug)]
pub(super) struct Delivery {
    id: String,
    /// Sizes of its files, by hash; those of the head are not among them.
    files: BTreeMap<String, u64>,
    stage: Stage,
}

impl Delivery {
    /// Begins with the head, or, when a receiver had begun to take it on a connection now lost,
    /// by asking that one what it misses.
    pub(super) fn new(id: &str, files: BTreeMap<String, u64>, sink: Option<String>) -> Self {
        let stage = match sink {
            Some(sink) => Stage::Ask { sink },
            None => Stage::Announce,
        };
        Self {
            id: id.to_owned(),
            files,
            stage,
        }
    }

    /// The receiver that takes it, once one has answered.
    pub(super) fn sink(&self) -> Option<&str> {
        match &self.stage {
            Stage::Announce | Stage::Announced { .. } => None,
            Stage::Sending { sink, .. } | Stage::Ask { sink } | Stage::Asked { sink, .. } => {
                Some(sink)
            }
        }
    }

    /// What to do now; what it says is taken as done. `piece` is the size of a piece, bytes.
    pub(super) fn next(&mut self, now: Instant, piece: u64) -> Step {
        match &mut self.stage {
            Stage::Announce => {
                self.stage = Stage::Announced { until: None };
                Step::Head
            }
            Stage::Ask { sink } => {
                let sink = std::mem::take(sink);
                self.stage = Stage::Asked {
                    sink: sink.clone(),
                    until: None,
                };
                Step::Finish { sink }
            }
            Stage::Announced { until } | Stage::Asked { until, .. } => match *until {
                Some(until) if until <= now => Step::GiveUp,
                until => Step::Wait(until),
            },
            Stage::Sending {
                sink,
                ranges,
                piece_max,
            } => {
                if let Some(piece) = cut(sink, ranges, piece.min(*piece_max)) {
                    return Step::Piece(piece);
                }
                self.stage = Stage::Ask {
                    sink: std::mem::take(sink),
                };
                self.next(now, piece)
            }
        }
    }

    /// The broker has the head or the question: from now on an answer is waited for.
    pub(super) fn taken(&mut self, now: Instant) {
        if let Stage::Announced { until } | Stage::Asked { until, .. } = &mut self.stage
            && until.is_none()
        {
            *until = Some(now + ANSWER);
        }
    }

    /// The receiver that was taking it has gone: back to the head, for another.
    pub(super) fn restart(&mut self) {
        if self.sink().is_some() {
            self.stage = Stage::Announce;
        }
    }

    /// A receiver wants something; false when that is not for now or not ours to give.
    pub(super) fn want(&mut self, want: &Want, now: Instant) -> bool {
        let waiting = matches!(self.stage, Stage::Announced { .. } | Stage::Asked { .. });
        if want.id != self.id || !is_name(&want.sink) || !waiting {
            return false;
        }
        if want.missing.is_empty() {
            // It has all and is still at work on it.
            self.stage = Stage::Asked {
                sink: want.sink.clone(),
                until: Some(now + ANSWER),
            };
            return true;
        }
        let ours = |range: &&Range| {
            let size = self.files.get(&range.0);
            size.is_some_and(|&size| range.1 < range.2 && range.2 <= size)
        };
        let ranges: VecDeque<Range> = want
            .missing
            .iter()
            .take(RANGES_MAX)
            .filter(ours)
            .cloned()
            .collect();
        if ranges.is_empty() {
            return false;
        }
        self.stage = Stage::Sending {
            sink: want.sink.clone(),
            ranges,
            piece_max: want.max_chunk.unwrap_or(u64::MAX).max(PIECE_MIN),
        };
        true
    }
}

/// Cuts the next piece off the first range.
fn cut(sink: &str, ranges: &mut VecDeque<Range>, size: u64) -> Option<Piece> {
    let Range(sha256, from, end) = ranges.front_mut()?;
    let to = end.min(&mut from.saturating_add(size.max(1))).to_owned();
    let piece = Piece {
        sink: sink.to_owned(),
        sha256: sha256.clone(),
        from: *from,
        to,
    };
    *from = to;
    if to >= *end {
        ranges.pop_front();
    }
    Some(piece)
}

/// How fast the link takes pieces, and so how large they should be.
#[derive(Debug, Default)]
pub(super) struct Rate {
    bytes_per_sec: Option<f64>,
    last: Option<Instant>,
}

impl Rate {
    /// A piece of `bytes`, handed over at `sent`, was acknowledged at `now`. The window overlaps:
    /// what counts is the time since the piece before it, if that was still under way.
    pub(super) fn acknowledged(&mut self, bytes: u64, sent: Instant, now: Instant) {
        /// Weight of the newest measurement.
        const NEWEST: f64 = 0.3;
        let since = self.last.map_or(sent, |last| last.max(sent));
        self.last = Some(now);
        let secs = now.duration_since(since).as_secs_f64().max(1e-4);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a piece is far below 2^52 bytes"
        )]
        let measured = bytes as f64 / secs;
        let before = self.bytes_per_sec.unwrap_or(measured);
        self.bytes_per_sec = Some(before + NEWEST * (measured - before));
    }

    /// Size of the next piece: about a second's worth, from [`PIECE_MIN`] to `max`.
    pub(super) fn piece(&self, max: u64) -> u64 {
        let Some(rate) = self.bytes_per_sec else {
            return PIECE_MIN.min(max);
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float to integer cast saturates, and the rate is positive"
        )]
        let worth = (rate * PIECE_TIME.as_secs_f64()) as u64;
        worth.max(PIECE_MIN).min(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = 100;

    fn sha(n: u8) -> String {
        format!("{n:02x}").repeat(32)
    }

    fn delivery(sink: Option<&str>) -> Delivery {
        let files = [(sha(1), 250), (sha(2), 10)].into_iter().collect();
        Delivery::new("id", files, sink.map(ToOwned::to_owned))
    }

    fn want(missing: &[(u8, u64, u64)]) -> Want {
        Want {
            id: "id".to_owned(),
            sink: "rx1".to_owned(),
            missing: missing
                .iter()
                .map(|&(n, from, to)| Range(sha(n), from, to))
                .collect(),
            max_chunk: None,
        }
    }

    /// Every step until it waits.
    fn run(delivery: &mut Delivery, now: Instant) -> Vec<String> {
        let mut steps = Vec::new();
        loop {
            match delivery.next(now, PIECE) {
                Step::Head => steps.push("head".to_owned()),
                Step::Piece(p) => {
                    let file = p.sha256.get(..2).unwrap_or_default();
                    steps.push(format!("{file} {}..{} {}", p.from, p.to, p.sink));
                }
                Step::Finish { sink } => steps.push(format!("f {sink}")),
                Step::GiveUp => steps.push("give up".to_owned()),
                Step::Wait(_) => return steps,
            }
            if steps.last().is_some_and(|s| s == "give up") {
                return steps;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn head_then_what_is_wanted_then_the_question() {
        let now = Instant::now();
        let mut d = delivery(None);
        assert_eq!(run(&mut d, now), ["head"]);
        assert_eq!(d.sink(), None);
        assert!(d.want(&want(&[(1, 0, 250), (2, 0, 10)]), now));
        assert_eq!(
            run(&mut d, now),
            [
                "01 0..100 rx1",
                "01 100..200 rx1",
                "01 200..250 rx1",
                "02 0..10 rx1",
                "f rx1"
            ]
        );
        assert!(d.want(&want(&[(1, 120, 130)]), now));
        assert_eq!(run(&mut d, now), ["01 120..130 rx1", "f rx1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_asks_the_same_receiver_first() {
        let mut d = delivery(Some("rx1"));
        assert_eq!(run(&mut d, Instant::now()), ["f rx1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_moment_the_broker_has_it() {
        let now = Instant::now();
        let mut d = delivery(None);
        assert_eq!(run(&mut d, now), ["head"]);
        let late = now + ANSWER * 100;
        assert_eq!(
            d.next(late, PIECE),
            Step::Wait(None),
            "a slow link is not silence"
        );
        d.taken(late);
        assert_eq!(d.next(late, PIECE), Step::Wait(Some(late + ANSWER)));
        assert_eq!(d.next(late + ANSWER, PIECE), Step::GiveUp);
    }

    #[tokio::test(start_paused = true)]
    async fn a_want_only_counts_when_it_is_ours_and_in_its_turn() {
        let now = Instant::now();
        let mut early = delivery(None);
        assert!(
            !early.want(&want(&[(1, 0, 9)]), now),
            "nothing was announced yet"
        );

        let refused: &[&[(u8, u64, u64)]] = &[
            &[(9, 0, 9)],
            &[(1, 0, 251)],
            &[(1, 9, 9)],
            &[(1, 9, 3)],
            &[(1, 0, u64::MAX)],
        ];
        for missing in refused {
            let mut d = delivery(None);
            run(&mut d, now);
            assert!(!d.want(&want(missing), now), "{missing:?}");
        }

        let mut d = delivery(None);
        run(&mut d, now);
        let mut other = want(&[(1, 0, 9)]);
        other.id = "other".to_owned();
        assert!(!d.want(&other, now), "another package's");
        let mut escape = want(&[(1, 0, 9)]);
        escape.sink = "rx1/#".to_owned();
        assert!(!d.want(&escape, now), "no name for a topic");
        assert!(
            d.want(&want(&[(9, 0, 9), (1, 0, 9)]), now),
            "the good range counts"
        );
        assert_eq!(run(&mut d, now), ["01 0..9 rx1", "f rx1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_want_does_not_send_twice() {
        let now = Instant::now();
        let mut d = delivery(None);
        run(&mut d, now);
        assert!(d.want(&want(&[(1, 0, 250)]), now));
        assert!(matches!(d.next(now, PIECE), Step::Piece(_)));
        assert!(
            !d.want(&want(&[(1, 0, 250)]), now),
            "an answer to a repeated head"
        );
        assert_eq!(
            run(&mut d, now),
            ["01 100..200 rx1", "01 200..250 rx1", "f rx1"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_grow_and_shrink_with_the_link() {
        let mut rate = Rate::default();
        let mut now = Instant::now();
        assert_eq!(rate.piece(200_000), PIECE_MIN);
        for _ in 0..20 {
            let sent = now;
            now += Duration::from_millis(100);
            rate.acknowledged(10_000, sent, now);
        }
        let piece = rate.piece(200_000);
        assert!(
            (99_000..=101_000).contains(&piece),
            "100 kB/s gives {piece}"
        );
        for _ in 0..40 {
            let sent = now;
            now += Duration::from_secs(2);
            rate.acknowledged(16_000, sent, now);
        }
        assert_eq!(rate.piece(200_000), PIECE_MIN, "64 kbit/s");
        assert_eq!(rate.piece(1000), 1000, "the broker's limit wins");
    }
}
