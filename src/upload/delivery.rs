//! One package in hand: what to send next, as a pure machine that time and messages move.
//!
//! ```text
//! Announce ─head─▶ Announced ─want─▶ Sending ─last piece─▶ Ask ─f─▶ Asked ─want─▶ Sending …
//!     ▲ without a known receiver                            ▲ with one from the last connection
//! ```
//! Pictures go before video. What is wanted in a lane that is closed stays: when everything else
//! is with the receiver, the package is held. A receipt takes it out of hand from any place; no
//! answer in time ends the try.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::lanes::Lane;
use super::rate::PIECE_MIN;
use crate::link::message::{Range, Want, is_name};

/// The receiver answers a head, and a finished package after hashing it, well within this.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// Ranges of one `want` that are looked at; a receiver asks again for more.
const RANGES_MAX: usize = 4096;

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A message of this lane: [`Delivery::go`] gives it.
    Ready(Lane),
    /// Nothing before this moment, unless a message comes; `None`: only a message helps.
    Wait(Option<Instant>),
    /// Nobody answered: this try is over.
    GiveUp,
    /// The receiver asks nothing more up to this lane, and the others are closed.
    Held(Lane),
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The head.
    Head,
    /// A piece of a file.
    Piece(Piece),
    /// Tell the receiver that all was sent, and ask what it misses.
    Finish {
        /// The receiver.
        sink: String,
        /// Whether really all that it wanted was sent.
        all: bool,
    },
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

/// What a receiver wants and has not been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    sink: String,
    pictures: VecDeque<Range>,
    video: VecDeque<Range>,
    piece_max: u64,
    /// Whether any of it was sent.
    begun: bool,
}

impl Order {
    /// The lane of its next message when `open` is the last open one: a piece, or, when all that
    /// may be sent was, the question. `None`: what is left is closed.
    fn lane(&self, open: Lane) -> Option<Lane> {
        let left = match (self.pictures.is_empty(), self.video.is_empty()) {
            (false, _) => Lane::Picture,
            (true, false) => Lane::Video,
            (true, true) => Lane::Head,
        };
        if left <= open {
            Some(left)
        } else {
            self.begun.then_some(Lane::Head)
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Announce,
    /// `until` is known once the broker has the message: a slow link is not a silent receiver.
    Announced {
        until: Option<Instant>,
    },
    Sending(Order),
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
    /// Size and lane of its files, by hash; those of the head are not among them.
    files: BTreeMap<String, (u64, Lane)>,
    stage: Stage,
}

impl Delivery {
    /// Begins with the head, or, when a receiver had begun to take it on a connection now lost,
    /// by asking that one what it misses.
    pub(super) fn new(
        id: &str,
        files: BTreeMap<String, (u64, Lane)>,
        sink: Option<String>,
    ) -> Self {
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
            Stage::Sending(Order { sink, .. })
            | Stage::Ask { sink }
            | Stage::Asked { sink, .. } => Some(sink),
        }
    }

    /// What there is to do, when `open` is the last open lane.
    pub(super) fn turn(&self, now: Instant, open: Lane) -> Turn {
        match &self.stage {
            Stage::Announce | Stage::Ask { .. } => Turn::Ready(Lane::Head),
            Stage::Announced { until } | Stage::Asked { until, .. } => match *until {
                Some(until) if until <= now => Turn::GiveUp,
                until => Turn::Wait(until),
            },
            Stage::Sending(order) => match order.lane(open) {
                Some(lane) => Turn::Ready(lane),
                None if order.pictures.is_empty() => Turn::Held(Lane::Picture),
                None => Turn::Held(Lane::Head),
            },
        }
    }

    /// The message that [`Turn::Ready`] promised, taken as sent; `None` without that promise.
    /// `piece` is the size of a piece, bytes.
    pub(super) fn go(&mut self, open: Lane, piece: u64) -> Option<Step> {
        match &mut self.stage {
            Stage::Announce => {
                self.stage = Stage::Announced { until: None };
                Some(Step::Head)
            }
            Stage::Ask { sink } => {
                let sink = std::mem::take(sink);
                Some(self.ask(sink, false))
            }
            Stage::Announced { .. } | Stage::Asked { .. } => None,
            Stage::Sending(order) => {
                let ranges = match order.lane(open)? {
                    Lane::Picture => &mut order.pictures,
                    Lane::Video => &mut order.video,
                    Lane::Head => {
                        let sink = std::mem::take(&mut order.sink);
                        let all = order.pictures.is_empty() && order.video.is_empty();
                        return Some(self.ask(sink, all));
                    }
                };
                order.begun = true;
                cut(&order.sink, ranges, piece.min(order.piece_max)).map(Step::Piece)
            }
        }
    }

    fn ask(&mut self, sink: String, all: bool) -> Step {
        self.stage = Stage::Asked {
            sink: sink.clone(),
            until: None,
        };
        Step::Finish { sink, all }
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

    /// The broker did not take a message: the head goes again, or the receiver is asked.
    pub(super) fn again(&mut self) {
        self.stage = match self.sink() {
            Some(sink) => Stage::Ask {
                sink: sink.to_owned(),
            },
            None => Stage::Announce,
        };
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
        let (mut pictures, mut video) = (VecDeque::new(), VecDeque::new());
        for range in want.missing.iter().take(RANGES_MAX) {
            match self.files.get(&range.0) {
                Some(&(size, lane)) if range.1 < range.2 && range.2 <= size => match lane {
                    Lane::Video => video.push_back(range.clone()),
                    Lane::Head | Lane::Picture => pictures.push_back(range.clone()),
                },
                _ => {}
            }
        }
        if pictures.is_empty() && video.is_empty() {
            return false;
        }
        self.stage = Stage::Sending(Order {
            sink: want.sink.clone(),
            pictures,
            video,
            piece_max: want.max_chunk.unwrap_or(u64::MAX).max(PIECE_MIN),
            begun: false,
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = 100;

    fn sha(n: u8) -> String {
        format!("{n:02x}").repeat(32)
    }

    fn delivery(sink: Option<&str>) -> Delivery {
        let files = [
            (sha(1), (250, Lane::Picture)),
            (sha(2), (10, Lane::Picture)),
            (sha(3), (150, Lane::Video)),
        ];
        let files = files.into_iter().collect();
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
            video: false,
        }
    }

    /// Every step until it waits, with everything open.
    fn run(delivery: &mut Delivery, now: Instant) -> Vec<String> {
        run_open(delivery, now, Lane::Video)
    }

    fn run_open(delivery: &mut Delivery, now: Instant, open: Lane) -> Vec<String> {
        let mut steps = Vec::new();
        loop {
            let lane = match delivery.turn(now, open) {
                Turn::Ready(lane) => lane,
                Turn::Wait(_) => return steps,
                Turn::GiveUp => {
                    steps.push("give up".to_owned());
                    return steps;
                }
                Turn::Held(lane) => {
                    steps.push(format!("held {lane:?}"));
                    return steps;
                }
            };
            match delivery.go(open, PIECE).unwrap() {
                Step::Head => steps.push("head".to_owned()),
                Step::Piece(p) => {
                    assert!(lane > Lane::Head && lane <= open);
                    let file = p.sha256.get(..2).unwrap_or_default();
                    steps.push(format!("{file} {}..{} {}", p.from, p.to, p.sink));
                }
                Step::Finish { sink, .. } => steps.push(format!("f {sink}")),
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
        let turn = |d: &Delivery, now| d.turn(now, Lane::Video);
        assert_eq!(
            turn(&d, late),
            Turn::Wait(None),
            "a slow link is not silence"
        );
        d.taken(late);
        assert_eq!(turn(&d, late), Turn::Wait(Some(late + ANSWER)));
        assert_eq!(turn(&d, late + ANSWER), Turn::GiveUp);
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
        assert!(matches!(d.go(Lane::Video, PIECE), Some(Step::Piece(_))));
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
    async fn pictures_go_before_video_whatever_the_receiver_names_first() {
        let now = Instant::now();
        let mut d = delivery(None);
        run(&mut d, now);
        assert!(d.want(&want(&[(3, 0, 150), (2, 0, 10)]), now));
        assert_eq!(
            run(&mut d, now),
            ["02 0..10 rx1", "03 0..100 rx1", "03 100..150 rx1", "f rx1"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_closed_is_held_once_the_receiver_has_the_rest() {
        let now = Instant::now();
        let all: &[(u8, u64, u64)] = &[(2, 0, 10), (3, 0, 150)];
        let mut d = delivery(None);
        assert_eq!(run_open(&mut d, now, Lane::Head), ["head"]);
        assert!(d.want(&want(all), now));
        assert_eq!(run_open(&mut d, now, Lane::Head), ["held Head"]);
        // A wider link: the pictures go, and the receiver says that it has them.
        let sent = run_open(&mut d, now, Lane::Picture);
        assert_eq!(sent, ["02 0..10 rx1", "f rx1"]);
        assert!(d.want(&want(&[(3, 0, 150)]), now));
        assert_eq!(run_open(&mut d, now, Lane::Picture), ["held Picture"]);
        // The link narrows in the middle of the pictures: what was sent is asked about.
        let mut d = delivery(Some("rx1"));
        run(&mut d, now);
        assert!(d.want(&want(&[(1, 0, 250)]), now));
        assert!(matches!(d.go(Lane::Picture, PIECE), Some(Step::Piece(_))));
        assert_eq!(run_open(&mut d, now, Lane::Head), ["f rx1"]);
        assert!(d.want(&want(&[(1, 100, 250)]), now));
        assert_eq!(run_open(&mut d, now, Lane::Head), ["held Head"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_broker_did_not_take_goes_again() {
        let now = Instant::now();
        let mut d = delivery(None);
        assert_eq!(run(&mut d, now), ["head"]);
        d.again();
        assert_eq!(run(&mut d, now), ["head"]);
        assert!(d.want(&want(&[(1, 0, 250)]), now));
        assert!(matches!(d.go(Lane::Video, PIECE), Some(Step::Piece(_))));
        d.again();
        assert_eq!(
            run(&mut d, now),
            ["f rx1"],
            "the receiver knows what it has"
        );
    }
}
