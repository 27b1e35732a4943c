//! When a frame was captured, and how sure that is.
//!
//! Two witnesses: the moment its first packet reached this box (GStreamer's running time, which
//! the jitter buffer has smoothed), and the camera's own UTC from RTCP sender reports (RFC 3550
//! section 6.4.1). Cameras' clocks drift and reset unseen, so the camera is believed only while
//! it agrees with the arrival; otherwise its offset is reported and arrival is taken.

use std::collections::VecDeque;

use crate::types::{Stamp, TimeSource};

/// From the light on the sensor to the first packet here: exposure, encoder, network. Nobody
/// measures it; cameras of this kind need 50–400 ms.
const CAPTURE_DELAY_NS: u64 = 500_000_000;

/// A camera whose frame claims to be captured this long before its arrival is not believed.
const CAMERA_BEHIND_MAX_NS: i64 = 2_000_000_000;

/// Nor one that claims to have captured it this long after its arrival.
const CAMERA_AHEAD_MAX_NS: i64 = 100_000_000;

/// Being later than this is a jump of the timestamps, not a slow box.
const LATE_MAX_NS: i64 = 30_000_000_000;

/// Frames between decoder and hand-out at most; a decoder holds back at most 16 (H.264 A.3.1).
const RECENT_MAX: usize = 64;

/// Smallest step between two frames handed out.
const STEP_NS: u64 = 1_000_000;

/// Where the times of a stream come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clockwork {
    /// A live source: arrival, or the camera's clock.
    Live,
    /// A file played in real time: its own position.
    File,
}

/// One access unit's or frame's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// GStreamer's own presentation time.
    pub(super) raw_pts_ns: u64,
    /// The same on the boot clock, so that it goes on across reconnections.
    pub(super) pts_ns: u64,
    /// How long after its time the unit was seen here.
    pub(super) late_ns: u64,
    pub(super) at: Stamp,
    pub(super) source: TimeSource,
}

/// What GStreamer knows of a buffer's time.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "units last, also when all are the same"
)]
pub(super) struct Timing {
    /// Presentation time as the buffer carries it.
    pub(super) raw_pts_ns: u64,
    /// Its running time.
    pub(super) running_ns: u64,
    /// The pipeline's running time now.
    pub(super) running_now_ns: u64,
    /// The camera's UTC for this buffer, when sender reports gave one.
    pub(super) camera_utc_ns: Option<i64>,
}

impl Timing {
    pub(super) fn with_camera(self, camera_utc_ns: Option<i64>) -> Self {
        Self {
            camera_utc_ns,
            ..self
        }
    }
}

/// Keeps the times of one session.
#[derive(Debug)]
pub(super) struct Times {
    clockwork: Clockwork,
    /// Boot time of the session's running time zero.
    base_boot_ns: Option<i64>,
    /// Arrival minus the camera's own time, as last seen.
    camera_behind_ns: Option<i64>,
    recent: VecDeque<Moment>,
    last_out_ns: u64,
}

impl Times {
    pub(super) fn new(clockwork: Clockwork) -> Self {
        Self {
            clockwork,
            base_boot_ns: None,
            camera_behind_ns: None,
            recent: VecDeque::with_capacity(RECENT_MAX),
            last_out_ns: 0,
        }
    }

    /// How far the camera's clock says it is behind (negative: ahead of) arrival.
    pub(super) fn camera_behind_ns(&self) -> Option<i64> {
        self.camera_behind_ns
    }

    /// The time of an access unit seen at `now`; remembered for [`Times::recall`].
    pub(super) fn note(&mut self, now: Stamp, timing: Timing) -> Moment {
        let late_ns = signed(timing.running_now_ns) - signed(timing.running_ns);
        let late_ns = if late_ns > LATE_MAX_NS {
            0
        } else {
            late_ns.max(0)
        };
        let base = *self
            .base_boot_ns
            .get_or_insert_with(|| signed(now.boot_ns) - signed(timing.running_now_ns));
        let arrival = now.shifted_ns(-late_ns);
        let (at, source) = match self.clockwork {
            Clockwork::File => (arrival, TimeSource::Recording),
            Clockwork::Live => self.judge(arrival, timing.camera_utc_ns),
        };
        let moment = Moment {
            raw_pts_ns: timing.raw_pts_ns,
            pts_ns: u64::try_from(base.saturating_add(signed(timing.running_ns))).unwrap_or(0),
            late_ns: late_ns.unsigned_abs(),
            at,
            source,
        };
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(moment);
        moment
    }

    /// The moment noted for the access unit with this presentation time.
    pub(super) fn recall(&self, raw_pts_ns: u64) -> Option<Moment> {
        self.recent
            .iter()
            .rev()
            .find(|m| m.raw_pts_ns == raw_pts_ns)
            .copied()
    }

    /// The moment of a frame that is handed out: strictly after the one before.
    pub(super) fn hand_out(&mut self, mut moment: Moment) -> Moment {
        let floor = self.last_out_ns.saturating_add(STEP_NS);
        if moment.at.boot_ns < floor {
            let lift = signed(floor - moment.at.boot_ns);
            moment.at = moment.at.shifted_ns(lift);
            moment.at.error_ns = moment.at.error_ns.saturating_add(lift.unsigned_abs());
        }
        self.last_out_ns = moment.at.boot_ns;
        moment
    }

    /// Carries the order of times over into the next session of the same stream.
    pub(super) fn follow(&mut self, last_out_ns: u64) {
        self.last_out_ns = last_out_ns;
    }

    /// Boot time of the last frame handed out.
    pub(super) fn last_out_ns(&self) -> u64 {
        self.last_out_ns
    }

    /// Believes the camera while it agrees with the arrival.
    fn judge(&mut self, arrival: Stamp, camera_utc_ns: Option<i64>) -> (Stamp, TimeSource) {
        let by_arrival = Stamp {
            error_ns: arrival.error_ns.saturating_add(CAPTURE_DELAY_NS),
            ..arrival
        };
        let Some(camera) = camera_utc_ns else {
            return (by_arrival, TimeSource::Arrival);
        };
        let behind = arrival.utc_ns.saturating_sub(camera);
        self.camera_behind_ns = Some(behind);
        if !(-CAMERA_AHEAD_MAX_NS..=CAMERA_BEHIND_MAX_NS).contains(&behind) {
            return (by_arrival, TimeSource::Arrival);
        }
        // The light fell between `CAPTURE_DELAY_NS` before the arrival and the arrival: the
        // camera's claim is off by no more than its distance to the farther end.
        let off = behind
            .unsigned_abs()
            .max(behind.abs_diff(signed(CAPTURE_DELAY_NS)));
        let claimed = arrival.shifted_ns(-behind);
        let at = Stamp {
            error_ns: arrival.error_ns.saturating_add(off),
            ..claimed
        };
        (at, TimeSource::RtcpSenderReport)
    }
}

fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    const NOW: Stamp = Stamp {
        utc_ns: 1_785_549_784_000_000_000,
        boot_ns: 50_000_000_000,
        error_ns: 3_000_000,
    };

    fn timing(running_ms: u64, now_ms: u64, camera_utc_ns: Option<i64>) -> Timing {
        Timing {
            raw_pts_ns: running_ms * 1_000_000,
            running_ns: running_ms * 1_000_000,
            running_now_ns: now_ms * 1_000_000,
            camera_utc_ns,
        }
    }

    #[test]
    fn arrival_is_the_smoothed_one_and_says_how_unsure_it_is() {
        let mut times = Times::new(Clockwork::Live);
        let m = times.note(NOW, timing(960, 1000, None));
        assert_eq!(m.source, TimeSource::Arrival);
        assert_eq!(m.at.utc_ns, NOW.utc_ns - 40 * MS);
        assert_eq!(m.at.boot_ns, NOW.boot_ns - 40_000_000);
        assert_eq!(m.at.error_ns, 503_000_000);
        assert_eq!(m.pts_ns, 49_960_000_000);
        assert_eq!(m.late_ns, 40_000_000);
    }

    #[test]
    fn the_camera_is_believed_only_while_it_agrees() {
        for (behind_ms, source, error_ms) in [
            (150, TimeSource::RtcpSenderReport, 353),
            (450, TimeSource::RtcpSenderReport, 453),
            (1900, TimeSource::RtcpSenderReport, 1903),
            (-50, TimeSource::RtcpSenderReport, 553),
            (-3000, TimeSource::Arrival, 503),
            (2001, TimeSource::Arrival, 503),
            (3_600_000, TimeSource::Arrival, 503),
        ] {
            let mut times = Times::new(Clockwork::Live);
            let m = times.note(NOW, timing(1000, 1000, Some(NOW.utc_ns - behind_ms * MS)));
            assert_eq!(m.source, source, "{behind_ms}");
            assert_eq!(m.at.error_ns, error_ms * 1_000_000, "{behind_ms}");
            assert_eq!(times.camera_behind_ns(), Some(behind_ms * MS));
            let moved = if source == TimeSource::Arrival {
                0
            } else {
                behind_ms
            };
            assert_eq!(m.at.utc_ns, NOW.utc_ns - moved * MS, "{behind_ms}");
        }
    }

    #[test]
    fn an_unknown_error_stays_unknown() {
        let now = Stamp {
            error_ns: Stamp::ERROR_UNKNOWN,
            ..NOW
        };
        let m = Times::new(Clockwork::Live).note(now, timing(0, 0, None));
        assert_eq!(m.at.error_ns, Stamp::ERROR_UNKNOWN);
    }

    #[test]
    fn a_file_is_a_recording() {
        let m = Times::new(Clockwork::File).note(NOW, timing(0, 0, None));
        assert_eq!((m.source, m.at), (TimeSource::Recording, NOW));
    }

    #[test]
    fn times_handed_out_rise_even_when_the_source_changes() {
        let mut times = Times::new(Clockwork::Live);
        let first = times.note(NOW, timing(1000, 1000, None));
        let first = times.hand_out(first);
        // 40 ms later the first sender report says that frames are captured 300 ms before.
        let later = NOW.shifted_ns(40 * MS);
        let second = times.note(later, timing(1040, 1040, Some(later.utc_ns - 300 * MS)));
        let second = times.hand_out(second);
        assert!(second.at.boot_ns > first.at.boot_ns);
        assert!(second.at.error_ns > 300_000_000);
    }

    #[test]
    fn a_jump_of_timestamps_is_not_lateness() {
        let m = Times::new(Clockwork::Live).note(NOW, timing(0, 3_600_000, None));
        assert_eq!((m.late_ns, m.at.utc_ns), (0, NOW.utc_ns));
    }

    #[test]
    fn recall_finds_the_unit_of_a_frame() {
        let mut times = Times::new(Clockwork::Live);
        for i in 0..200 {
            times.note(NOW, timing(i * 40, i * 40, None));
        }
        assert_eq!(
            times.recall(199 * 40_000_000).map(|m| m.raw_pts_ns),
            Some(7_960_000_000)
        );
        assert_eq!(times.recall(0), None);
    }
}
