//! When a frame was captured, and how sure that is.
//!
//! Two witnesses: the moment it reached this box (GStreamer's running time), and the camera's own
//! UTC from RTCP sender reports (RFC 3550 section 6.4.1). Cameras' clocks drift and reset unseen,
//! so the camera is believed only while at its quickest it agrees with the arrival; otherwise its
//! offset is reported and arrival is taken.
//!
//! Arrival is late by what waited on the way: over TCP a network that was away for seconds hands
//! over at once what the camera had queued, and nothing smooths that. How long a frame may have
//! waited is told by the camera's clock, right or wrong, for it goes on meanwhile; without one, by
//! the pause before. Both are stated as error; the pause also where the camera is believed, since
//! in what comes in a burst neither the arrival nor the time taken from the reports is sure.

use std::collections::VecDeque;

use crate::types::{Stamp, TimeSource};

use super::watch::PICTURE_WITHIN_NS;

/// From the light on the sensor to the first packet here: exposure, encoder, network. Nobody
/// measures it; cameras of this kind need 50–400 ms.
const CAPTURE_DELAY_NS: u64 = 500_000_000;

/// A camera whose quickest frame claims to be captured this long before its arrival is not believed.
const CAMERA_BEHIND_MAX_NS: i64 = 2_000_000_000;

/// Nor one that claims to have captured it this long after its arrival.
const CAMERA_AHEAD_MAX_NS: i64 = 100_000_000;

/// Being handled later than this is a jump of the timestamps, not a slow box.
const LATE_MAX_NS: i64 = 30_000_000_000;

/// A camera's time that runs back by more than this from one unit to the next is that of a clock
/// that was set: a queue keeps the order. Times taken from sender reports were seen to be off by
/// 1.9 s, and B frames go back by less.
const SET_BACK_NS: i64 = 2_000_000_000;

/// Two ordinary crystals part by no more, parts per million. What is later than the quickest frame by
/// more waited on the way, however long it has been so: a queue on a narrow link stands for hours.
const DRIFT_PPM: u64 = 100;

/// A camera that is only ever ahead for this long has a clock that is fast.
const AHEAD_FOR_NS: u64 = 600_000_000_000;

/// What a recorder or proxy may send first: the group of pictures it kept, and none is longer than
/// what a stream is given to show one.
const KEPT_NS: u64 = PICTURE_WITHIN_NS;

/// It comes at once, and has come after this long.
const KEPT_FOR_NS: u64 = 5_000_000_000;

/// In a burst a time that was joined from sender reports was seen to be off by 1.9 s; why is not known.
const JOINED_OFF_NS: u64 = 2_000_000_000;

/// A pause between two units that is longer than usual by more than this may have made a queue.
const PAUSE_NS: u64 = 200_000_000;

/// A queue is gone after so many times the pause that made it: a link with a third more than the
/// video needs.
const DRAINS_IN: u64 = 3;

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
    /// Arrival minus the camera's own time, as last seen, and at its least.
    camera_behind_ns: Option<i64>,
    usual_behind: Least,
    /// The camera's time of the unit before.
    camera_utc_ns: Option<i64>,
    queue: Queue,
    recent: VecDeque<Moment>,
    last_out_ns: u64,
}

impl Times {
    pub(super) fn new(clockwork: Clockwork) -> Self {
        Self {
            clockwork,
            base_boot_ns: None,
            camera_behind_ns: None,
            usual_behind: Least::default(),
            camera_utc_ns: None,
            queue: Queue::default(),
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
        let jumped = late_ns > LATE_MAX_NS;
        let late_ns = if jumped { 0 } else { late_ns.max(0) };
        let base = *self
            .base_boot_ns
            .get_or_insert_with(|| signed(now.boot_ns) - signed(timing.running_now_ns));
        let mut arrival = now.shifted_ns(-late_ns);
        if jumped && self.clockwork == Clockwork::Live {
            // Or the box stood still: nobody knows when this came.
            arrival.error_ns = Stamp::ERROR_UNKNOWN;
        }
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

    /// Believes the camera while at its quickest it agrees with the arrival.
    fn judge(&mut self, arrival: Stamp, camera_utc_ns: Option<i64>) -> (Stamp, TimeSource) {
        let queued_ns = self.queue.arrived(arrival.boot_ns);
        let by_arrival = |waited_ns: u64| Stamp {
            error_ns: (arrival.error_ns)
                .saturating_add(CAPTURE_DELAY_NS)
                .saturating_add(waited_ns),
            ..arrival
        };
        let Some(camera) = camera_utc_ns else {
            return (by_arrival(queued_ns), TimeSource::Arrival);
        };
        let behind = arrival.utc_ns.saturating_sub(camera);
        self.camera_behind_ns = Some(behind);
        let before = self.camera_utc_ns.replace(camera);
        if before.is_some_and(|before| before.saturating_sub(camera) > SET_BACK_NS) {
            self.usual_behind = Least::default();
        }
        let usual = self.usual_behind.of(arrival, behind);
        let waited_ns = u64::try_from(behind.saturating_sub(usual)).unwrap_or(0);
        if !agrees(usual) {
            return (by_arrival(waited_ns.max(queued_ns)), TimeSource::Arrival);
        }
        // Without a queue the light fell between `CAPTURE_DELAY_NS` before the arrival and the
        // arrival: the camera's claim is off by no more than its distance to the farther end. Either
        // the frame waited longer than the quickest did, or the clock was set by as much.
        let off =
            |behind: i64| (behind.unsigned_abs()).max(behind.abs_diff(signed(CAPTURE_DELAY_NS)));
        let claimed = arrival.shifted_ns(-behind);
        let at = Stamp {
            error_ns: (arrival.error_ns).saturating_add(
                off(behind)
                    .max(off(usual))
                    .max(queued_ns.min(JOINED_OFF_NS)),
            ),
            ..claimed
        };
        (at, TimeSource::RtcpSenderReport)
    }
}

/// Whether a camera's clock that is so far behind arrival agrees with it.
fn agrees(behind_ns: i64) -> bool {
    (-CAMERA_AHEAD_MAX_NS..=CAMERA_BEHIND_MAX_NS).contains(&behind_ns)
}

/// How far the camera's clock is behind at its quickest.
#[derive(Debug, Default)]
struct Least {
    /// The least, and when it was seen. Kept by the boot clock, which nobody sets: when this box's
    /// UTC is set, a queue that stands is still the same queue.
    least: Option<(u64, i64)>,
    /// When one was last seen that is not somewhat ahead.
    counted_ns: u64,
}

impl Least {
    /// The least so far by this box's UTC, with what is `seen` at this arrival; an old one as far as
    /// the two clocks may have parted since.
    ///
    /// One that is somewhat ahead, of a clock that agreed, does not count: after a burst the jitter
    /// buffer's times, which arrival is read from, may be early by up to a second. Unless nothing
    /// else comes for [`AHEAD_FOR_NS`].
    fn of(&mut self, arrival: Stamp, seen: i64) -> i64 {
        let at_ns = arrival.boot_ns;
        let offset_ns = arrival.utc_ns.saturating_sub_unsigned(at_ns);
        let drifted = |(then_ns, least): (u64, i64)| {
            let drift_ns = at_ns.saturating_sub(then_ns) / 1_000_000 * DRIFT_PPM;
            let by_utc = least.saturating_add(offset_ns);
            by_utc.saturating_add_unsigned(drift_ns)
        };
        let known = self.least.map(drifted);
        let early = (-CAMERA_BEHIND_MAX_NS..-CAMERA_AHEAD_MAX_NS).contains(&seen);
        if let Some(known) = known.filter(|&known| early && agrees(known))
            && at_ns.saturating_sub(self.counted_ns) <= AHEAD_FOR_NS
        {
            return known;
        }
        self.counted_ns = at_ns;
        match known {
            Some(known) if known < seen => known,
            _ => {
                self.least = Some((at_ns, seen.saturating_sub(offset_ns)));
                seen
            }
        }
    }
}

/// What may have waited on the way, judged by arrivals alone.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_field_names,
    reason = "units last, also when all are the same"
)]
struct Queue {
    last_ns: Option<u64>,
    /// Time between two units, smoothed; quick to grow, so that a slow camera makes no pauses.
    spacing_ns: u64,
    /// So old may a unit be by waiting, until then.
    age_ns: u64,
    until_ns: u64,
    /// Until then it may be of a group that somebody kept.
    kept_until_ns: u64,
}

impl Queue {
    /// How long the unit that arrives now may have waited.
    fn arrived(&mut self, at_ns: u64) -> u64 {
        match self.last_ns {
            None => self.kept_until_ns = at_ns.saturating_add(KEPT_FOR_NS),
            Some(last_ns) => self.after(at_ns.saturating_sub(last_ns), at_ns),
        }
        // An arrival that is read too early is not back in a time that is over.
        let latest_ns = self.last_ns.map_or(at_ns, |last_ns| last_ns.max(at_ns));
        self.last_ns = Some(latest_ns);
        let kept = latest_ns < self.kept_until_ns;
        self.age_at(latest_ns).max(if kept { KEPT_NS } else { 0 })
    }

    fn after(&mut self, gap_ns: u64, at_ns: u64) {
        let pause_ns = gap_ns.saturating_sub(self.spacing_ns);
        if pause_ns > PAUSE_NS {
            self.age_ns = self.age_at(at_ns).saturating_add(pause_ns);
            let lasts_ns = self.age_ns.saturating_mul(DRAINS_IN);
            self.until_ns = at_ns.saturating_add(lasts_ns);
            if at_ns < self.kept_until_ns {
                // What was kept waits behind the pause too.
                self.kept_until_ns = self.kept_until_ns.max(self.until_ns);
            }
        }
        self.spacing_ns = if gap_ns > self.spacing_ns {
            self.spacing_ns.midpoint(gap_ns)
        } else {
            self.spacing_ns - (self.spacing_ns - gap_ns) / 8
        };
    }

    fn age_at(&self, at_ns: u64) -> u64 {
        if at_ns < self.until_ns {
            self.age_ns
        } else {
            0
        }
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

    /// A stream that has played for six seconds, 25 units each, without a word of the camera's clock.
    fn settled() -> Times {
        let mut times = Times::new(Clockwork::Live);
        for i in 0..150 {
            let before_ms = 6000 - i * 40;
            times.note(NOW.shifted_ns(-before_ms * MS), timing(0, 0, None));
        }
        times.base_boot_ns = None;
        times
    }

    #[test]
    fn arrival_is_taken_and_says_how_unsure_it_is() {
        let mut times = settled();
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
            let mut times = settled();
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

    /// What a camera's clock says of itself.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Says {
        Nothing,
        /// Its UTC is wrong by so many milliseconds.
        Utc(i64),
    }

    /// Notes units that were captured 40 ms apart and arrive 100 ms later, but for a network that is
    /// away from `away.0` to `away.1` (milliseconds) and then carries `speed` per cent of what the
    /// camera makes. Gives capture time and what was made of it.
    fn through_a_pause(says: Says, away: (i64, i64), speed: i64) -> Vec<(Stamp, Moment)> {
        let mut times = Times::new(Clockwork::Live);
        let mut free_ns = 0;
        let unit = |i: i64| {
            let captured_ms = i * 40;
            let mut arrives_ns = (captured_ms + 100) * MS;
            if captured_ms + 100 >= away.0 {
                arrives_ns = arrives_ns.max(away.1 * MS).max(free_ns);
                free_ns = arrives_ns + 40 * MS * 100 / speed;
            }
            let captured = NOW.shifted_ns(captured_ms * MS);
            let arrival = NOW.shifted_ns(arrives_ns);
            let camera = match says {
                Says::Utc(wrong_ms) => Some(captured.utc_ns + wrong_ms * MS),
                Says::Nothing => None,
            };
            (captured, times.note(arrival, timing(0, 0, camera)))
        };
        (0..1500).map(unit).collect()
    }

    #[test]
    fn what_waited_on_the_way_says_so() {
        let clocks = [
            Says::Nothing,
            Says::Utc(0),
            Says::Utc(3_600_000),
            Says::Utc(-9000),
        ];
        for (says, pause_ms, speed) in clocks.into_iter().flat_map(|says| {
            [300, 600, 2000, 4000, 9000]
                .into_iter()
                .flat_map(move |pause| [140, 300, 5000].map(|speed| (says, pause, speed)))
        }) {
            let row = format!("{says:?}, {pause_ms} ms, {speed}");
            let told = through_a_pause(says, (20_000, 20_000 + pause_ms), speed);
            for (captured, moment) in &told {
                let off = captured.boot_ns.abs_diff(moment.at.boot_ns);
                let error = moment.at.error_ns;
                assert!(off <= error, "{row}: {captured:?} {moment:?}");
                // A camera whose clock is right gives the moment itself.
                if says == Says::Utc(0) {
                    assert!(off < 1000, "{row}: {off}");
                    assert_eq!(moment.source, TimeSource::RtcpSenderReport);
                }
            }
            // Half a minute after the pause all of it is over; so it was before.
            let (_, calm) = told.last().unwrap();
            assert!(calm.at.error_ns < 600_000_000, "{row}: {calm:?}");
            let (_, before) = &told[475];
            assert!(before.at.error_ns < 600_000_000, "{row}: {before:?}");
        }
    }

    #[test]
    fn a_camera_that_is_believed_is_less_sure_after_a_pause() {
        let error_ms = |captured_ms: usize| {
            let told = through_a_pause(Says::Utc(0), (20_000, 23_000), 5000);
            told[captured_ms / 40].1.at.error_ns / 1_000_000
        };
        assert!(error_ms(19_000) < 600);
        // On time again, and not sure before three times the pause is over.
        assert!(error_ms(24_000) >= 2000 && error_ms(31_000) >= 2000);
        assert!(error_ms(33_000) < 600);
    }

    #[test]
    fn a_group_of_pictures_that_somebody_kept_says_so() {
        // Sent at once on connecting, so many milliseconds of it, then as it comes.
        for (says, kept_ms) in [Says::Nothing, Says::Utc(0), Says::Utc(3_600_000)]
            .into_iter()
            .flat_map(|says| [4000, 12_000, 55_000].map(|kept_ms| (says, kept_ms)))
        {
            for (captured, moment) in through_a_pause(says, (0, kept_ms), 5000) {
                let off = captured.boot_ns.abs_diff(moment.at.boot_ns);
                let error = moment.at.error_ns;
                assert!(off <= error, "{says:?} {kept_ms}: {captured:?} {moment:?}");
            }
        }
    }

    /// A unit a second, so much late in that second, and the camera's clock wrong by so much then;
    /// milliseconds. Gives error and source stated of the last; what is off is covered throughout.
    fn late(
        secs: i64,
        wrong_ms: impl Fn(i64) -> i64,
        late_ms: impl Fn(i64) -> i64,
    ) -> (u64, TimeSource) {
        late_by(|_| 0, secs, wrong_ms, late_ms)
    }

    /// The same on a box whose own clock is wrong by so much.
    fn late_by(
        ours_ms: impl Fn(i64) -> i64,
        secs: i64,
        wrong_ms: impl Fn(i64) -> i64,
        late_ms: impl Fn(i64) -> i64,
    ) -> (u64, TimeSource) {
        let mut times = Times::new(Clockwork::Live);
        let mut last = None;
        for i in 0..secs {
            let captured = NOW.shifted_ns(i * 1000 * MS);
            let arrival = captured.shifted_ns(late_ms(i) * MS);
            let camera = captured.utc_ns + wrong_ms(i) * MS;
            let arrival = Stamp {
                utc_ns: arrival.utc_ns + ours_ms(i) * MS,
                ..arrival
            };
            let m = times.note(arrival, timing(0, 0, Some(camera)));
            let off = captured.boot_ns.abs_diff(m.at.boot_ns);
            assert!(off <= m.at.error_ns, "{i} s: {m:?}");
            last = Some((m.at.error_ns / 1_000_000, m.source));
        }
        last.expect("units")
    }

    #[test]
    fn a_queue_that_stands_stays_one() {
        // A link that has filled the camera's buffer after a minute and never empties it.
        let stands = |i: i64| if i < 60 { 150 } else { 4100 };
        let (error, source) = late(3600, |_| 0, stands);
        assert_eq!((error, source), (4103, TimeSource::RtcpSenderReport));
        // A wrong clock goes on all the same and tells as much, less what it may have drifted.
        for wrong_ms in [-9000, 3000, 3_600_000] {
            let (error, source) = late(1800, |_| wrong_ms, stands);
            assert_eq!(source, TimeSource::Arrival, "{wrong_ms}");
            assert!((4100..4453).contains(&error), "{wrong_ms}: {error}");
        }
        // One that grows beyond any number is no clock that was set either.
        let (error, _) = late(3600, |_| 0, |i| 150 + i * 100);
        assert!(error > 350_000, "{error}");
    }

    #[test]
    fn a_queue_that_stands_stays_one_when_this_box_s_clock_is_set() {
        let stands = |i: i64| if i < 60 { 150 } else { 4100 };
        // Found slow or fast by a little, as a time daemon sets it, or by an hour after a start.
        for off_ms in [200, -200, 3_600_000, -3_600_000] {
            let ours = |i: i64| if i < 300 { off_ms } else { 0 };
            let told = late_by(ours, 600, |_| 0, stands);
            assert_eq!(told, (4103, TimeSource::RtcpSenderReport), "{off_ms}");
            // The camera's clock is wrong as well: the queue is told all the same.
            let (error, source) = late_by(ours, 600, |_| -9000, stands);
            assert_eq!(source, TimeSource::Arrival, "{off_ms}");
            assert!((4380..4453).contains(&error), "{off_ms}: {error}");
        }
        // Set to and fro every minute.
        let told = late_by(|i| i / 60 % 2 * 900, 600, |_| 0, stands);
        assert_eq!(told.1, TimeSource::RtcpSenderReport);
        assert!(told.0 >= 4103, "{told:?}");
    }

    #[test]
    fn a_clock_that_drifts_is_no_queue() {
        // Seventy parts per million: six seconds a day, and after eight hours not believed any more.
        let (error, source) = late(86_400, |i| -i * 7 / 100, |_| 150);
        assert_eq!((error, source), (503, TimeSource::Arrival));
        // The other way round: ahead, and not for a moment.
        let (error, source) = late(86_400, |i| i * 7 / 100, |_| 150);
        assert_eq!((error, source), (503, TimeSource::Arrival));
    }

    #[test]
    fn a_camera_clock_that_is_set_back_leaves_no_error_behind() {
        // Fast by four seconds and found right; right and set six seconds back.
        for (from_ms, to_ms) in [(4000, 0), (0, -6000)] {
            let set = |i| if i < 60 { from_ms } else { to_ms };
            let (error, source) = late(120, set, |_| 150);
            let believed = (353, TimeSource::RtcpSenderReport);
            let wrong = (503, TimeSource::Arrival);
            let told = if to_ms == 0 { believed } else { wrong };
            assert_eq!((error, source), told, "{from_ms} to {to_ms}");
        }
    }

    #[test]
    fn a_slow_camera_makes_no_pauses() {
        let mut times = Times::new(Clockwork::Live);
        let error = |i: i64| {
            let m = times.note(NOW.shifted_ns(i * 2000 * MS), timing(0, 0, None));
            m.at.error_ns
        };
        let errors: Vec<u64> = (0..40).map(error).collect();
        assert!(
            errors[20..].iter().all(|&ns| ns == 503_000_000),
            "{errors:?}"
        );
    }

    #[test]
    fn a_clock_that_is_set_is_judged_anew() {
        // UTC of this box and of the camera, off by milliseconds, from one unit to the next.
        for (before, after) in [
            // This box's clock is found slow, by an hour and by two seconds.
            ((-3_600_000, 0), (0, 0)),
            ((-2000, 0), (0, 0)),
            // The camera's is found fast by eight hours, or slow by years.
            ((0, 28_800_000), (0, 0)),
            ((0, -200_000_000_000), (0, 0)),
        ] {
            let mut times = settled();
            let mut told = |i: i64, (ours, theirs): (i64, i64)| {
                let true_utc = NOW.utc_ns + i * 40 * MS;
                let now = Stamp {
                    utc_ns: true_utc + ours * MS,
                    ..NOW.shifted_ns(i * 40 * MS)
                };
                let camera = true_utc + (theirs - 100) * MS;
                times.note(now, timing(0, 0, Some(camera)))
            };
            for i in 0..50 {
                assert_eq!(told(i, before).source, TimeSource::Arrival, "{before:?}");
            }
            let m = told(50, after);
            assert_eq!(m.source, TimeSource::RtcpSenderReport, "{before:?}");
            assert_eq!(m.at.error_ns, 403_000_000, "{before:?}");
        }
    }

    #[test]
    fn an_arrival_that_is_read_too_early_does_not_spoil_a_right_clock() {
        let mut times = settled();
        // A second early in the middle; the last one waited for four seconds.
        for (i, behind_ms) in (0..).zip([100, 90, -900, 110, -1900, 4100]) {
            let camera = NOW.shifted_ns(i * 40 * MS);
            let now = camera.shifted_ns(behind_ms * MS);
            let m = times.note(now, timing(0, 0, Some(camera.utc_ns)));
            assert_eq!(m.source, TimeSource::RtcpSenderReport, "{behind_ms}");
            assert_eq!(m.at.utc_ns, camera.utc_ns);
            let off = (behind_ms.abs()).max((behind_ms - 500).abs()).max(410);
            assert!(
                m.at.error_ns <= 3_000_000 + off.unsigned_abs() * 1_000_000,
                "{m:?}"
            );
            assert!(
                m.at.error_ns >= behind_ms.unsigned_abs() * 1_000_000,
                "{m:?}"
            );
        }
    }

    #[test]
    fn a_camera_clock_that_is_set_back_is_covered_and_then_left() {
        let mut times = settled();
        let mut source = None;
        for secs in 0..1400 {
            let now = NOW.shifted_ns(secs * 1000 * MS);
            // Right at first, then six seconds behind for good.
            let behind_ms = if secs < 10 { 200 } else { 6200 };
            let m = times.note(now, timing(0, 0, Some(now.utc_ns - behind_ms * MS)));
            let captured = now.shifted_ns(-200 * MS);
            assert!(
                captured.boot_ns.abs_diff(m.at.boot_ns) <= m.at.error_ns,
                "{secs}"
            );
            source = Some(m.source);
        }
        assert_eq!(source, Some(TimeSource::Arrival));
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
        assert_eq!(m.at.error_ns, Stamp::ERROR_UNKNOWN);
        let m = Times::new(Clockwork::File).note(NOW, timing(0, 3_600_000, None));
        assert_eq!(m.at.error_ns, NOW.error_ns);
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
