//! The last seconds of a stream, as the camera sent them.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstreamer as gst;

use crate::types::{Stamp, TimeSource, lock};

use super::Codec;

/// A picture is of a moment when it is no further from it: two streams of one camera are dated by as
/// much apart, and in a second a car goes out of its place. What is further away shows another moment.
const OF_A_MOMENT: Duration = Duration::from_secs(1);

/// So many bytes of units are laid together. Above the unit file's `MALLOC_MMAP_THRESHOLD_`, so that the
/// kernel gets them back whole.
const PIECE_BYTES: usize = 512 * 1024;

/// One access unit, untouched, with its time.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Presentation time on the boot clock.
    pub(super) pts_ns: u64,
    pub(super) at: Stamp,
    pub(super) source: TimeSource,
    /// A decoder can start here.
    pub(super) key: bool,
    /// Counts the access units of the stream in this run.
    pub(super) number: u64,
    /// GStreamer's buffer, or with its bytes in a piece of memory with others'.
    pub(super) data: gst::Buffer,
}

/// What the access units of one stretch share; a change of size or a reconnection begins anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) codec: Codec,
    pub(super) caps: gst::Caps,
    /// Session of the stream; units of two sessions do not follow on each other.
    pub(super) session: u64,
}

/// A stretch of units that decode one after the other; the first is a key frame.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) run: Run,
    /// In decoding order.
    pub(super) units: Vec<Unit>,
}

/// Bounded by time and by bytes, whichever is less; whole groups of pictures go at once.
#[derive(Debug)]
pub(super) struct Ring {
    span_ns: u64,
    /// As much is kept while somebody waits to be served from it.
    held_span_ns: u64,
    /// How many wait.
    holds: usize,
    bytes_max: usize,
    bytes: usize,
    runs: VecDeque<(Run, VecDeque<Unit>)>,
    /// Newest units of the newest run that still lie in memory one by one.
    loose: usize,
}

impl Ring {
    /// Keeps the last `span_ns`, while it is [held](Hold) the last `held_span_ns`, and never more than
    /// `bytes_max`.
    pub(super) fn new((span_ns, held_span_ns): (u64, u64), bytes_max: usize) -> Self {
        Self {
            span_ns,
            held_span_ns,
            holds: 0,
            bytes_max,
            bytes: 0,
            runs: VecDeque::new(),
            loose: 0,
        }
    }

    /// Adds the next unit in decoding order. Before the first key frame of a run it is not kept.
    pub(super) fn push(&mut self, run: &Run, unit: Unit) {
        let same = self.runs.back().is_some_and(|(last, _)| last == run);
        if !same {
            if !unit.key {
                return;
            }
            self.runs.push_back((run.clone(), VecDeque::new()));
            self.loose = 0;
        }
        let newest_ns = unit.pts_ns;
        self.bytes += unit.data.size();
        if let Some((_, units)) = self.runs.back_mut() {
            units.push_back(unit);
            self.loose += 1;
            let loose = units.len().saturating_sub(self.loose);
            if units.range(loose..).map(|u| u.data.size()).sum::<usize>() >= PIECE_BYTES {
                lay_together(units, loose);
                self.loose = 0;
            }
        }
        self.shrink(newest_ns);
        let kept = self.runs.back().map_or(0, |(_, units)| units.len());
        self.loose = self.loose.min(kept);
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Time from the oldest to the newest unit, nanoseconds.
    pub(super) fn span_ns(&self) -> u64 {
        let oldest = self.runs.front().and_then(|(_, units)| units.front());
        let newest = self.runs.back().and_then(|(_, units)| units.back());
        match (oldest, newest) {
            (Some(a), Some(b)) => b.pts_ns.saturating_sub(a.pts_ns),
            _ => 0,
        }
    }

    /// The longest stretch within `from..=to` that decodes as one, begun at the key frame at or
    /// before `from`. `None` when nothing of that time is held.
    pub(super) fn between(&self, from: Stamp, to: Stamp) -> Option<Stretch> {
        self.runs
            .iter()
            .filter_map(|(run, units)| {
                let first = units
                    .iter()
                    .rposition(|u| u.key && u.at.boot_ns <= from.boot_ns)
                    .unwrap_or(0);
                let last = units.iter().rposition(|u| u.at.boot_ns <= to.boot_ns)?;
                let begun_in_time = units.get(last)?.at.boot_ns >= from.boot_ns;
                (first <= last && begun_in_time).then(|| stretch(run, units, first..=last))
            })
            .max_by_key(|stretch| stretch.units.len())
    }

    /// What it takes to decode the frame nearest to `at`: the key frame before it up to itself,
    /// which is the last. `None` when none within [`OF_A_MOMENT`] is held.
    pub(super) fn upto(&self, at: Stamp) -> Option<Stretch> {
        let away = |unit: &Unit| unit.at.boot_ns.abs_diff(at.boot_ns);
        let (run, units) = self
            .runs
            .iter()
            .min_by_key(|(_, units)| units.iter().map(away).min())?;
        let last = (0..units.len()).min_by_key(|&i| units.get(i).map(away))?;
        if u128::from(away(units.get(last)?)) > OF_A_MOMENT.as_nanos() {
            return None;
        }
        let first = (0..=last)
            .rev()
            .find(|&i| units.get(i).is_some_and(|u| u.key))?;
        Some(stretch(run, units, first..=last))
    }

    /// Drops whole groups of pictures from the front until the bounds hold.
    fn shrink(&mut self, newest_ns: u64) {
        let span_ns = match self.holds {
            0 => self.span_ns,
            _ => self.held_span_ns,
        };
        let keep_from = newest_ns.saturating_sub(span_ns);
        while self.bytes > self.bytes_max || self.second_group_starts_by(keep_from) {
            let Some((_, units)) = self.runs.front_mut() else {
                break;
            };
            let mut freed = units.pop_front().map_or(0, |u| u.data.size());
            while let Some(unit) = units.pop_front_if(|u| !u.key) {
                freed += unit.data.size();
            }
            self.bytes -= freed;
            if units.is_empty() {
                self.runs.pop_front();
            }
        }
    }

    /// Whether the time that must be covered is covered without the oldest group.
    fn second_group_starts_by(&self, ns: u64) -> bool {
        let mut groups = self
            .runs
            .iter()
            .flat_map(|(_, units)| units.iter().filter(|u| u.key));
        groups.nth(1).is_some_and(|unit| unit.pts_ns <= ns)
    }
}

/// Somebody waits to be served from a camera's ring, which keeps more until this is dropped.
#[derive(Debug)]
pub struct Hold(Arc<Mutex<Ring>>);

impl Hold {
    pub(super) fn on(ring: &Arc<Mutex<Ring>>) -> Self {
        lock(ring).holds += 1;
        Self(Arc::clone(ring))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.0).holds -= 1;
    }
}

/// Lays the bytes of the units from index `first` on into one piece of memory. Units that cannot be read
/// stay as they are.
///
/// Each by itself is small enough for the heap, where other things come between; when their group is
/// dropped they leave holes there, in the long run half as much again as the ring holds.
fn lay_together(units: &mut VecDeque<Unit>, first: usize) {
    let mut parts = Vec::new();
    let mut bytes = Vec::with_capacity(2 * PIECE_BYTES);
    for unit in units.range_mut(first..) {
        let Ok(map) = unit.data.map_readable() else {
            continue;
        };
        if map.is_empty() {
            continue;
        }
        let from = bytes.len();
        bytes.extend_from_slice(&map);
        drop(map);
        parts.push((unit, from));
    }
    bytes.shrink_to_fit();
    let piece = gst::Memory::from_slice(bytes);
    for (unit, from) in parts {
        let part = piece.share(from..from + unit.data.size());
        unit.data.make_mut().replace_all_memory(part);
    }
}

/// The units of a range that begins at a key frame.
///
/// Pictures shown before that key frame refer to the group before it (H.265 section 3.123,
/// leading pictures of a CRA): without it they cannot be decoded, and are left out.
fn stretch(run: &Run, units: &VecDeque<Unit>, range: RangeInclusive<usize>) -> Stretch {
    let shown_from = units.get(*range.start()).map_or(0, |key| key.pts_ns);
    Stretch {
        run: run.clone(),
        units: units
            .range(range)
            .filter(|unit| unit.pts_ns >= shown_from)
            .cloned()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use gstreamer as gst;
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn run(session: u64) -> Run {
        gst::init().unwrap();
        Run {
            codec: Codec::H264,
            caps: Codec::H264.unit_caps(),
            session,
        }
    }

    fn stamp(ms: u64) -> Stamp {
        Stamp {
            utc_ns: 0,
            boot_ns: ms * MS,
            error_ns: 0,
        }
    }

    fn unit(ms: u64, key: bool, size: usize) -> Unit {
        Unit {
            pts_ns: ms * MS,
            at: stamp(ms),
            source: TimeSource::Arrival,
            key,
            number: ms,
            data: gst::Buffer::with_size(size).unwrap(),
        }
    }

    /// 25 frames per second, a key frame each second, 100 bytes each.
    fn filled(span_secs: u64, bytes_max: usize, secs: u64) -> Ring {
        let run = run(0);
        let mut ring = Ring::new((span_secs * 1000 * MS, u64::MAX), bytes_max);
        for i in 0..secs * 25 {
            ring.push(&run, unit(i * 40, i % 25 == 0, 100));
        }
        ring
    }

    fn times(stretch: Option<Stretch>) -> Option<(u64, u64)> {
        let units = stretch?.units;
        Some((units.first()?.pts_ns / MS, units.last()?.pts_ns / MS))
    }

    #[test]
    fn it_covers_its_span_and_starts_at_a_key_frame() {
        let ring = filled(5, usize::MAX, 60);
        assert!(ring.span_ns() >= 5_000 * MS && ring.span_ns() < 6_000 * MS);
        let units = usize::try_from(ring.span_ns() / (40 * MS)).unwrap() + 1;
        assert_eq!(ring.bytes(), 100 * units);
        assert_eq!(
            times(ring.between(stamp(0), stamp(60_000))),
            Some((54_000, 59_960))
        );
    }

    #[test]
    fn while_somebody_waits_it_keeps_more() {
        let ring = Arc::new(Mutex::new(Ring::new((5_000 * MS, 9_000 * MS), usize::MAX)));
        let push = |from: u64, to: u64| {
            let mut ring = lock(&ring);
            for i in from * 25..to * 25 {
                ring.push(&run(0), unit(i * 40, i % 25 == 0, 100));
            }
            ring.span_ns() / MS
        };
        assert_eq!(push(0, 20), 5_960);
        let (first, second) = (Hold::on(&ring), Hold::on(&ring));
        // What was there when they began to wait stays until it is too long ago.
        assert_eq!(push(20, 22), 7_960);
        assert!(lock(&ring).between(stamp(14_000), stamp(14_000)).is_some());
        drop(first);
        assert_eq!(push(22, 60), 9_960);
        drop(second);
        assert_eq!(push(60, 61), 5_960);
    }

    #[test]
    fn bytes_bound_it_too() {
        let ring = filled(1000, 10_000, 60);
        assert!(ring.bytes() <= 10_000 && ring.bytes() >= 7_500);
    }

    #[test]
    fn a_group_larger_than_the_bound_is_not_kept() {
        let run = run(0);
        let mut ring = Ring::new((1000 * MS, u64::MAX), 1000);
        for i in 0..50 {
            ring.push(&run, unit(i * 40, i == 0, 100));
            assert!(ring.bytes() <= 1000);
        }
        assert_eq!(ring.bytes(), 0);
        ring.push(&run, unit(9000, true, 100));
        assert_eq!(times(ring.upto(stamp(9000))), Some((9000, 9000)));
    }

    #[test]
    fn a_clip_begins_at_the_key_frame_before() {
        let ring = filled(30, usize::MAX, 30);
        for (from, to, expected) in [
            (10_400, 12_000, Some((10_000, 12_000))),
            (10_000, 10_039, Some((10_000, 10_000))),
            (10_999, 11_100, Some((10_000, 11_080))),
            (0, 100, Some((0, 80))),
            (29_000, 99_000, Some((29_000, 29_960))),
            (31_000, 99_000, None),
        ] {
            assert_eq!(
                times(ring.between(stamp(from), stamp(to))),
                expected,
                "{from}..{to}"
            );
        }
    }

    #[test]
    fn a_picture_is_decoded_from_the_key_frame_before_it() {
        let ring = filled(30, usize::MAX, 30);
        for (at, expected) in [
            (10_000, (10_000, 10_000)),
            (10_419, (10_000, 10_400)),
            (10_421, (10_000, 10_440)),
            (30_960, (29_000, 29_960)),
        ] {
            assert_eq!(times(ring.upto(stamp(at))), Some(expected), "{at}");
        }
        assert!(Ring::new((1, 1), 1).upto(stamp(0)).is_none());
    }

    #[test]
    fn a_picture_of_another_moment_is_none() {
        // From 29 s on is held; the stream ended at 60 s.
        let mut ring = filled(30, usize::MAX, 60);
        for (at, held) in [
            (27_999, false),
            (28_000, true),
            (60_960, true),
            (60_961, false),
            (99_000, false),
        ] {
            assert_eq!(ring.upto(stamp(at)).is_some(), held, "{at}");
        }
        // And began again ten seconds later: in between there is nothing.
        ring.push(&run(1), unit(70_000, true, 100));
        for (at, expected) in [
            (60_500, Some((59_000, 59_960))),
            (65_000, None),
            (69_000, Some((70_000, 70_000))),
        ] {
            assert_eq!(times(ring.upto(stamp(at))), expected, "{at}");
        }
    }

    #[test]
    fn a_clip_never_joins_two_sessions() {
        let mut ring = Ring::new((60_000 * MS, u64::MAX), usize::MAX);
        for i in 0..50 {
            ring.push(&run(0), unit(i * 40, i % 25 == 0, 100));
        }
        ring.push(&run(1), unit(3960, false, 100));
        for i in 0..100 {
            ring.push(&run(1), unit(4000 + i * 40, i % 25 == 0, 100));
        }
        assert_eq!(
            times(ring.between(stamp(0), stamp(9000))),
            Some((4000, 7960))
        );
        assert_eq!(times(ring.upto(stamp(2900))), Some((1000, 1960)));
    }

    #[test]
    fn units_that_lie_together_are_as_they_came() {
        let (run, mut ring) = (run(0), Ring::new((60_000 * MS, u64::MAX), usize::MAX));
        let bytes = |i: u64| vec![u8::try_from(i).unwrap(); 20_000 + usize::try_from(i).unwrap()];
        let whole = |buffer: &gst::Buffer| buffer.peek_memory(0).maxsize();
        for i in 0..60 {
            let mut unit = unit(i * 40, i % 25 == 0, 1);
            unit.data = gst::Buffer::from_slice(bytes(i));
            let data = unit.data.make_mut();
            data.set_pts(gst::ClockTime::from_mseconds(i * 40));
            if i == 7 {
                data.set_flags(gst::BufferFlags::DISCONT);
            }
            ring.push(&run, unit);
        }
        let stretch = ring.between(stamp(0), stamp(9000)).unwrap();
        let apart = stretch
            .units
            .iter()
            .filter(|u| whole(&u.data) == u.data.size());
        let apart: Vec<_> = apart.map(|unit| unit.number / 40).collect();
        // Two pieces of half a mebibyte, and what came since.
        assert_eq!(apart, (54..60).collect::<Vec<_>>());
        for (unit, i) in stretch.units.iter().zip(0..) {
            assert_eq!(unit.data.map_readable().unwrap().as_slice(), bytes(i));
            assert_eq!(unit.data.pts(), Some(gst::ClockTime::from_mseconds(i * 40)));
            let lost = unit.data.flags().contains(gst::BufferFlags::DISCONT);
            assert_eq!(lost, i == 7, "unit {i}");
        }
        assert_eq!(stretch.units.len(), 60);
    }

    proptest! {
        #[test]
        fn bounds_and_the_leading_key_frame_hold_always(
            units in prop::collection::vec((any::<bool>(), 1usize..400, 0u64..3), 1..200)
        ) {
            let mut ring = Ring::new((2_000 * MS, u64::MAX), 4_000);
            for (i, (key, size, session)) in units.into_iter().enumerate() {
                ring.push(&run(session), unit(i as u64 * 40, key, size));
                prop_assert!(ring.bytes <= 4_000);
                let held: usize =
                    ring.runs.iter().flat_map(|(_, u)| u.iter().map(|u| u.data.size())).sum();
                prop_assert_eq!(held, ring.bytes);
                prop_assert!(ring.runs.iter().all(|(_, u)| u.front().is_some_and(|u| u.key)));
            }
        }
    }
}
