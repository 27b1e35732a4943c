//! Which access units are decoded, and which decoded frames are handed out.

/// A live stream this far behind is no longer decoded until its next key frame.
const BEHIND_NS: u64 = 1_500_000_000;

/// Decides before the decoder.
///
/// A decoder is only ever started at a key frame, so that it never invents a picture. When the
/// box cannot keep up, whole groups of pictures are skipped instead of falling behind for ever;
/// the ring still gets everything.
#[derive(Debug)]
pub(super) struct Gate {
    key_frames_only: bool,
    needs_key: bool,
}

impl Gate {
    pub(super) fn new(key_frames_only: bool) -> Self {
        Self {
            key_frames_only,
            needs_key: true,
        }
    }

    /// Whether to decode an access unit that is `late_ns` behind its time.
    pub(super) fn admits(&mut self, key: bool, late_ns: u64) -> bool {
        if key {
            self.needs_key = false;
            return true;
        }
        if self.key_frames_only {
            return false;
        }
        self.needs_key |= late_ns > BEHIND_NS;
        !self.needs_key
    }
}

/// Decides behind the decoder: hands out so many frames per second, evenly spaced.
#[derive(Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "units last, also when all are the same"
)]
pub(super) struct Pace {
    period_ns: u64,
    /// How far behind the first frame's grid the others lie.
    behind_ns: u64,
    due_ns: Option<u64>,
}

impl Pace {
    /// The first frame, and from it one each period.
    pub(super) fn new(per_second: f64) -> Self {
        let period = std::time::Duration::try_from_secs_f64(per_second.recip()).unwrap_or_default();
        Self {
            period_ns: u64::try_from(period.as_nanos()).unwrap_or(0),
            behind_ns: 0,
            due_ns: None,
        }
    }

    /// The same for a live stream: the first frame, after one and a half periods the next, and so
    /// on.
    ///
    /// The first frame of a stream is a key frame, and cameras send one each whole second or two:
    /// on the grid of the first, every tenth look or so would be at a key frame, the one that
    /// takes longest to come and to decode. Half a period beside them no look waits for one.
    pub(super) fn beside_key_frames(per_second: f64) -> Self {
        let pace = Self::new(per_second);
        Self {
            behind_ns: pace.period_ns / 2,
            ..pace
        }
    }

    /// Whether the frame at `pts_ns` is due.
    ///
    /// The grid stays fixed, so that 25 frames per second at 5 detections give every fifth
    /// frame although arrival times jitter; an eighth of a period early still counts as due.
    pub(super) fn is_due(&mut self, pts_ns: u64) -> bool {
        let period = self.period_ns;
        let early = period / 8;
        let next = match self.due_ns {
            Some(due) if pts_ns + early < due && pts_ns + 2 * period >= due => return false,
            Some(due) if pts_ns + early >= due && pts_ns < due + period => due + period,
            // A camera slower than the looks.
            Some(due) if pts_ns >= due && pts_ns < due + 4 * period => pts_ns + period,
            // The first frame, one after an interruption, or a recording that starts again.
            _ => pts_ns + period + self.behind_ns,
        };
        self.due_ns = Some(next);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn decoding_starts_and_restarts_at_key_frames() {
        let mut gate = Gate::new(false);
        for (key, late_ms, admitted) in [
            (false, 0, false),
            (true, 0, true),
            (false, 0, true),
            (false, 2000, false),
            (false, 0, false),
            (true, 3000, true),
            (false, 100, true),
        ] {
            assert_eq!(gate.admits(key, late_ms * MS), admitted);
        }
    }

    #[test]
    fn key_frame_mode_decodes_nothing_else() {
        let mut gate = Gate::new(true);
        let admitted = [true, false, false, true, false].map(|key| gate.admits(key, 0));
        assert_eq!(admitted, [true, false, false, true, false]);
    }

    /// Frames handed out of `n` frames `step_ms` apart whose times jitter by `jitter_ms`.
    fn handed_out(rate: f64, n: u64, step_ms: u64, jitter_ms: u64) -> Vec<u64> {
        let mut pace = Pace::new(rate);
        (0..n)
            .filter(|i| pace.is_due((1000 + i * step_ms + (i * 7 % 3) * jitter_ms) * MS))
            .collect()
    }

    #[test]
    fn the_rate_is_kept_evenly() {
        assert_eq!(handed_out(5.0, 16, 40, 0), [0, 5, 10, 15]);
        assert_eq!(handed_out(5.0, 16, 40, 5), [0, 5, 10, 15]);
        assert_eq!(handed_out(5.0, 4, 1000, 0), [0, 1, 2, 3]);
        assert_eq!(handed_out(100.0, 5, 40, 0), [0, 1, 2, 3, 4]);
        let slow = handed_out(7.0, 250, 40, 3).len();
        assert!((69..=71).contains(&slow), "{slow}");
    }

    #[test]
    fn a_live_stream_is_looked_at_beside_its_key_frames() {
        // Frames each second, key frame each so many frames: usual cameras.
        for (per_second, every) in [(25, 50), (25, 25), (30, 60), (20, 40), (15, 30), (12, 12)] {
            let mut pace = Pace::beside_key_frames(5.0);
            let looks: Vec<u64> = (0..per_second * 20)
                .filter(|i| pace.is_due(i * 1000 / per_second * MS))
                .collect();
            assert_eq!(looks[0], 0);
            assert!((98..=100).contains(&looks.len()), "{}", looks.len());
            let at_key = looks.iter().filter(|i| *i % every == 0).count();
            assert_eq!(at_key, 1, "{per_second}/s, a key frame each {every}");
        }
    }

    #[test]
    fn a_camera_no_faster_than_the_looks_is_looked_at_whole() {
        for per_second in [1, 2, 3, 4, 5] {
            let mut pace = Pace::beside_key_frames(5.0);
            let frames = per_second * 20;
            let looks = (0..frames).filter(|i| pace.is_due(i * 1000 / per_second * MS));
            assert!(looks.count() as u64 >= frames - 1, "{per_second}/s");
        }
    }

    #[test]
    fn a_jump_backwards_does_not_silence() {
        for mut pace in [Pace::new(5.0), Pace::beside_key_frames(5.0)] {
            assert!(pace.is_due(10_000 * MS));
            assert!(pace.is_due(40 * MS));
            assert!(!pace.is_due(80 * MS));
        }
    }
}
