//! How a stream is, for people and for the watchdog.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use serde::Serialize;

use crate::clock;
use crate::types::{Stamp, TimeSource, lock};

use super::{Codec, Fault};

/// A stream's thread comes round several times a second; making a connection and taking one down
/// may take this long.
const HANGS_AFTER_NS: u64 = 60_000_000_000;

/// Times that may be more wrong than this make leads: packages ask for no more than a second.
const UNSURE_NS: u64 = 1_000_000_000;

/// Times that are unsure again within this have been so all the while: a link that is too narrow has its
/// better moments.
const AGAIN_WITHIN_NS: u64 = 30_000_000_000;

/// How unsure a stream's times are, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Unsure {
    /// For so long, seconds.
    pub secs: u64,
    /// By so much when last they were, seconds, rounded up.
    pub error_secs: u64,
}

/// The first and the last moment of a time in which a stream's times were unsure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubt(Option<(Stamp, Stamp)>);

impl Doubt {
    /// Takes in a unit's time. Of an error that nobody knows the clock has to speak.
    pub(super) fn take(&mut self, at: Stamp) {
        if at.error_ns > UNSURE_NS && at.error_ns != Stamp::ERROR_UNKNOWN {
            let before = self.0.filter(|(_, last)| is_again(*last, at.boot_ns));
            self.0 = Some((before.map_or(at, |(first, _)| first), at));
        }
    }

    fn told(self, now_ns: u64) -> Option<Unsure> {
        let (first, last) = self.0.filter(|(_, last)| is_again(*last, now_ns))?;
        Some(Unsure {
            secs: last.since(first).as_secs(),
            error_secs: last.error_ns.div_ceil(1_000_000_000),
        })
    }
}

fn is_again(last: Stamp, now_ns: u64) -> bool {
    now_ns.saturating_sub(last.boot_ns) <= AGAIN_WITHIN_NS
}

/// What a stream is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Pictures come of it; of a stream that is only kept: access units arrive.
    Playing,
    /// A file was played to its end and is not to be repeated.
    Ended,
    /// Connected or connecting for the first time; nothing arrived yet.
    #[default]
    Connecting,
    /// The connection lived but frames stopped, or no picture came of them; it is being made anew.
    Stalled,
    /// Could not be connected, or was lost; tried again after a pause.
    Failed,
}

/// Snapshot of one stream.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StreamState {
    /// What it is doing.
    pub phase: Phase,
    /// Why it is not playing; kept until it plays.
    pub fault: Option<Fault>,
    /// The fault in words, with what to do about it.
    pub cause: Option<String>,
    /// How the video is coded.
    pub codec: Option<Codec>,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The decoder in use, as GStreamer names it; `None` while nothing is decoded.
    pub decoder: Option<String>,
    /// Access units received.
    pub units_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Frames decoded.
    pub decoded: u64,
    /// Frames handed to the slots.
    pub offered: u64,
    /// Access units not decoded because the box was behind, or before the first key frame, or
    /// because only key frames are wanted.
    pub skipped: u64,
    /// Frames decoded with errors and not handed out.
    pub damaged: u64,
    /// Connections tried after the first.
    pub reconnects: u64,
    /// Capture time of the newest frame or access unit.
    pub last: Option<Stamp>,
    /// Where that time came from.
    pub time_source: Option<TimeSource>,
    /// How unsure its times are, while they are too unsure for evidence.
    pub unsure: Option<Unsure>,
    /// Arrival minus the camera's own clock, milliseconds, as its sender reports tell. About
    /// 50–500 is a camera set right; anything else means its clock is wrong.
    pub camera_behind_ms: Option<i64>,
}

/// Snapshot of a camera.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CameraState {
    /// The worse of its streams' phases.
    pub phase: Phase,
    /// Why it is not playing, in words; `None` while it plays.
    pub cause: Option<String>,
    /// The stream evidence comes from.
    pub main: StreamState,
    /// The stream detection runs on, when it is another one.
    pub sub: Option<StreamState>,
    /// Frames replaced in the slot before detection took them.
    pub dropped: u64,
    /// Seconds of untouched video kept.
    pub ring_secs: f64,
    /// Their bytes.
    pub ring_bytes: usize,
    /// Why there can be no clip, when the camera gives no H.264 or H.265.
    pub no_clip: Option<String>,
}

/// The living state of one stream, written by its threads.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) units_in: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) decoded: AtomicU64,
    pub(super) offered: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) reconnects: AtomicU64,
    /// When its thread last came round, on the boot clock; 0 while it waits of itself.
    turned_ns: AtomicU64,
    facts: Mutex<Facts>,
}

/// What changes rarely or belongs together.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) phase: Phase,
    pub(super) fault: Option<Fault>,
    pub(super) codec: Option<Codec>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) decoder: Option<String>,
    pub(super) last: Option<(Stamp, TimeSource)>,
    pub(super) doubt: Doubt,
    pub(super) camera_behind_ns: Option<i64>,
    pub(super) no_clip: Option<String>,
}

impl Status {
    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    /// Rises with every sign of life.
    pub(super) fn progress(&self) -> u64 {
        read(&self.units_in) + read(&self.decoded)
    }

    /// Rises with every picture handed out.
    pub(super) fn pictures(&self) -> u64 {
        read(&self.offered)
    }

    /// The thread comes round.
    pub(super) fn turn(&self) {
        self.turned_ns.store(clock::boot_ns(), Ordering::Relaxed);
    }

    /// The thread waits of itself, or has ended.
    pub(super) fn rest(&self) {
        self.turned_ns.store(0, Ordering::Relaxed);
    }

    /// Whether the thread has not come round for too long: nobody else can say so.
    fn hangs(&self, now_ns: u64) -> bool {
        let turned_ns = read(&self.turned_ns);
        turned_ns != 0 && now_ns.saturating_sub(turned_ns) > HANGS_AFTER_NS
    }

    pub(super) fn snapshot(&self) -> StreamState {
        self.snapshot_at(clock::boot_ns())
    }

    fn snapshot_at(&self, now_ns: u64) -> StreamState {
        let facts = self.facts();
        let (phase, fault) = if self.hangs(now_ns) {
            (Phase::Stalled, Some(Fault::Hangs))
        } else {
            (facts.phase, facts.fault.clone())
        };
        StreamState {
            phase,
            cause: fault.as_ref().map(ToString::to_string),
            fault,
            codec: facts.codec,
            width: facts.width,
            height: facts.height,
            decoder: facts.decoder.clone(),
            units_in: read(&self.units_in),
            bytes_in: read(&self.bytes_in),
            decoded: read(&self.decoded),
            offered: read(&self.offered),
            skipped: read(&self.skipped),
            damaged: read(&self.damaged),
            reconnects: read(&self.reconnects),
            last: facts.last.map(|(at, _)| at),
            time_source: facts.last.map(|(_, source)| source),
            unsure: facts.doubt.told(now_ns),
            camera_behind_ms: facts.camera_behind_ns.map(|ns| ns / 1_000_000),
        }
    }
}

/// Adds to a counter that only tells a number: no other memory hangs on it.
pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_does_not_come_back_is_said_whatever_was_said_before() {
        const S: u64 = 1_000_000_000;
        let status = Status::default();
        status.facts().phase = Phase::Playing;
        let told = |now_ns| {
            let state = status.snapshot_at(now_ns);
            (state.phase, state.fault, state.cause.is_some())
        };
        let plays = (Phase::Playing, None, false);
        assert_eq!(told(1_000 * S), plays, "it has not begun");
        status.turned_ns.store(1_000 * S, Ordering::Relaxed);
        assert_eq!(told(1_060 * S), plays);
        let hangs = (Phase::Stalled, Some(Fault::Hangs), true);
        assert_eq!(told(1_061 * S), hangs);
        status.rest();
        assert_eq!(told(2_000 * S), plays, "it waits of itself");
        status.turn();
        assert_eq!(told(clock::boot_ns()), plays);
    }

    #[test]
    fn times_that_are_unsure_now_and_then_are_so_all_the_while() {
        let moment = |secs: u64, error_ms: u64| Stamp {
            utc_ns: 0,
            boot_ns: secs * 1_000_000_000,
            error_ns: error_ms * 1_000_000,
        };
        let mut doubt = Doubt::default();
        let mut told = |secs: u64, error_ms: u64| {
            doubt.take(moment(secs, error_ms));
            let told = doubt.told(secs * 1_000_000_000);
            told.map(|unsure| (unsure.secs, unsure.error_secs))
        };
        assert_eq!(told(100, 1000), None);
        assert_eq!(told(101, 1001), Some((0, 2)));
        // A pause of three seconds in each half minute.
        for n in 0..10 {
            assert_eq!(
                told(110 + n * 30, 503),
                Some((n * 30, if n == 0 { 2 } else { 3 }))
            );
            assert_eq!(told(131 + n * 30, 2_503), Some(((n + 1) * 30, 3)));
        }
        assert_eq!(told(431, 503), Some((300, 3)));
        assert_eq!(told(432, 503), None, "half a minute is over");
        assert_eq!(told(433, 4_103), Some((0, 5)), "another time begins");
        doubt = Doubt::default();
        doubt.take(Stamp {
            error_ns: Stamp::ERROR_UNKNOWN,
            ..moment(1, 0)
        });
        assert!(doubt.told(1_000_000_000).is_none());
    }
}
