//! Whether a stream lives, by what it counts.
//!
//! A stream lives while access units arrive. One that is looked at plays when pictures come of
//! them: units alone feed nobody, and a camera that sends no key frame sends them for ever.

use super::Fault;

/// A stream whose units arrive gives a picture within this, also by the slowest `detect_rate`: a
/// group of pictures is shorter, and a new connection begins with a key frame.
pub(super) const PICTURE_WITHIN_NS: u64 = 60_000_000_000;

/// A new connection may take this long before the first frame, however short the stall limit.
const FIRST_FRAME_WITHIN_NS: u64 = 10_000_000_000;

/// Looks for signs of life: of units, and of pictures where the stream is looked at. All moments
/// are on the boot clock, nanoseconds.
pub(super) struct Watch {
    units: Mark,
    pictures: Option<Mark>,
    stall_ns: u64,
}

/// A counter, and since when it stands.
struct Mark {
    count: u64,
    since_ns: u64,
    limit_ns: u64,
}

/// What a look at the counters says.
#[derive(Debug, PartialEq)]
pub(super) enum Sign {
    /// What the stream is for came.
    Plays,
    /// Nothing to be said.
    Waits,
    /// It did not come for too long.
    Over(Fault),
}

impl Watch {
    /// `counts`: units and pictures so far. `is_looked_at`: pictures are expected.
    pub(super) fn new(now_ns: u64, counts: (u64, u64), stall_ns: u64, is_looked_at: bool) -> Self {
        let mark = |count, limit_ns| Mark {
            count,
            since_ns: now_ns,
            limit_ns,
        };
        Self {
            units: mark(counts.0, stall_ns.max(FIRST_FRAME_WITHIN_NS)),
            pictures: is_looked_at.then(|| mark(counts.1, stall_ns.max(PICTURE_WITHIN_NS))),
            stall_ns,
        }
    }

    /// The same film is played again: its units are waited for as at first, a picture of it since
    /// it was.
    pub(super) fn again(&mut self, now_ns: u64, units: u64) {
        self.units = Mark {
            count: units,
            since_ns: now_ns,
            limit_ns: self.stall_ns.max(FIRST_FRAME_WITHIN_NS),
        };
    }

    pub(super) fn look(&mut self, now_ns: u64, (units, pictures): (u64, u64)) -> Sign {
        let arrives = self.units.moved(now_ns, units);
        if arrives {
            self.units.limit_ns = self.stall_ns;
        }
        let plays = match &mut self.pictures {
            Some(mark) => mark.moved(now_ns, pictures),
            None => arrives,
        };
        if plays {
            return Sign::Plays;
        }
        if let Some(secs) = self.units.stands_secs(now_ns) {
            return Sign::Over(Fault::Stalled(secs));
        }
        let without = self.pictures.as_ref().and_then(|m| m.stands_secs(now_ns));
        without.map_or(Sign::Waits, |secs| Sign::Over(Fault::NoPictures(secs)))
    }
}

impl Mark {
    fn moved(&mut self, now_ns: u64, count: u64) -> bool {
        let moved = count != self.count;
        if moved {
            self.count = count;
            self.since_ns = now_ns;
        }
        moved
    }

    /// For how long, when it is too long.
    fn stands_secs(&self, now_ns: u64) -> Option<u64> {
        let quiet_ns = now_ns.saturating_sub(self.since_ns);
        (quiet_ns > self.limit_ns).then_some(quiet_ns / 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_looked_at_plays_when_pictures_come() {
        const S: u64 = 1_000_000_000;
        let mut watch = Watch::new(0, (0, 0), 3 * S, true);
        // Units alone are no sign of playing, and after a minute they are a fault.
        for secs in 1..=60 {
            assert_eq!(watch.look(secs * S, (secs * 25, 0)), Sign::Waits);
        }
        let fault = Fault::NoPictures(61);
        assert_eq!(watch.look(61 * S, (61 * 25, 0)), Sign::Over(fault.clone()));
        assert!(fault.is_stall());
        assert_eq!(watch.look(62 * S, (62 * 25, 1)), Sign::Plays);
        // One picture in a minute is what the slowest rate and the longest group give.
        assert_eq!(watch.look(122 * S, (3000, 1)), Sign::Waits);
        assert_eq!(watch.look(122 * S, (3000, 2)), Sign::Plays);
        assert_eq!(watch.look(125 * S, (3000, 2)), Sign::Waits);
        let stalled = Sign::Over(Fault::Stalled(4));
        assert_eq!(watch.look(126 * S, (3000, 2)), stalled);
        // A film of twenty seconds without a key frame, again and again.
        let mut film = Watch::new(0, (0, 0), 3 * S, true);
        for secs in 1..=60 {
            if secs % 20 == 0 {
                film.again(secs * S, secs * 25);
            }
            assert_eq!(film.look(secs * S, (secs * 25, 0)), Sign::Waits);
        }
        film.again(61 * S, 61 * 25);
        let fault = Sign::Over(Fault::NoPictures(61));
        assert_eq!(film.look(61 * S, (61 * 25, 0)), fault);
        // What is only kept gives no pictures.
        let mut kept = Watch::new(0, (0, 0), 3 * S, false);
        assert_eq!(kept.look(9 * S, (0, 0)), Sign::Waits);
        assert_eq!(kept.look(10 * S, (1, 0)), Sign::Plays);
        assert_eq!(kept.look(100 * S, (2, 0)), Sign::Plays);
        let stalled = Sign::Over(Fault::Stalled(4));
        assert_eq!(kept.look(104 * S, (2, 0)), stalled);
    }
}
