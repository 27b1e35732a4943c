//! Turns the vehicle's own time since boot into our time.

use crate::types::Stamp;

/// Clocks of two boxes drift apart by less than this; nanoseconds a second (200 ppm).
const DRIFT_NS_PER_S: u64 = 200_000;

/// Time going backwards by more than this is a restart of the vehicle, not a late datagram.
const RESTART_MS: u32 = 500;

/// A message later than this is not late: the vehicle's clock was set anew.
const LATE_MAX_NS: i64 = 30_000_000_000;

/// Follows one component's `time_boot_ms`.
///
/// A message that waited in a radio or a TCP queue arrives late but says when it was true. The
/// least delay seen so far is taken as the delay of the link (one-way minimum filter, as time
/// synchronisation over queueing links does it), and is let go at [`DRIFT_NS_PER_S`] so that
/// the two clocks may drift. So a burst after a pause keeps its spacing; what remains wrong is
/// the shortest delay of the link itself.
#[derive(Debug, Default)]
pub(super) struct BootClock {
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Our time since boot minus theirs, at the quickest message.
    offset_ns: i64,
    /// Our time since boot of the last message.
    at_ns: u64,
    /// Their time of the last message.
    boot_ms: u32,
}

impl BootClock {
    /// When the message that says `boot_ms` and arrived at `at` was true; never after `at`.
    pub(super) fn stamp(&mut self, at: Stamp, boot_ms: u32) -> Stamp {
        let theirs = i64::from(boot_ms) * 1_000_000;
        let arrival = i64::try_from(at.boot_ns).unwrap_or(i64::MAX);
        let fresh = arrival.saturating_sub(theirs);
        let offset_ns = match &self.seen {
            Some(seen) if boot_ms.saturating_add(RESTART_MS) >= seen.boot_ms => {
                let elapsed = at.boot_ns.saturating_sub(seen.at_ns) / 1_000;
                let drift = elapsed.saturating_mul(DRIFT_NS_PER_S) / 1_000_000;
                let kept = seen.offset_ns.saturating_add_unsigned(drift);
                if fresh.saturating_sub(kept) > LATE_MAX_NS {
                    fresh
                } else {
                    kept.min(fresh)
                }
            }
            _ => fresh,
        };
        self.seen = Some(Seen {
            offset_ns,
            at_ns: at.boot_ns,
            boot_ms,
        });
        at.shifted_ns(offset_ns.saturating_sub(fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Stamp {
        Stamp {
            utc_ns: 1_785_549_784_000_000_000 + i64::try_from(ms).expect("small") * 1_000_000,
            boot_ns: ms * 1_000_000,
            error_ns: 0,
        }
    }

    /// Each row: arrival ms, `time_boot_ms`, expected moment in ms of our time since boot.
    fn check(rows: &[(u64, u32, u64)]) {
        let mut clock = BootClock::default();
        for &(arrival, theirs, expected) in rows {
            let stamp = clock.stamp(at(arrival), theirs);
            let off = stamp.boot_ns.abs_diff(expected * 1_000_000);
            assert!(
                off < 1_000_000,
                "{arrival} {theirs}: {} is not {expected} ms",
                stamp.boot_ns
            );
            assert!(stamp.boot_ns <= at(arrival).boot_ns, "never in the future");
            let utc_ms = at(0).utc_ms() + i64::try_from(stamp.boot_ns / 1_000_000).expect("small");
            assert!((stamp.utc_ms() - utc_ms).abs() <= 1, "both clocks move");
        }
    }

    #[test]
    fn a_burst_after_a_pause_keeps_its_spacing() {
        check(&[
            (10_000, 1_000, 10_000),
            (10_100, 1_100, 10_100),
            (12_000, 1_200, 10_200),
            (12_001, 1_300, 10_300),
            (12_002, 1_400, 10_400),
            (12_003, 3_003, 12_003),
        ]);
    }

    #[test]
    fn the_quickest_message_sets_the_delay() {
        check(&[
            (10_080, 1_000, 10_080),
            (10_120, 1_100, 10_120),
            (10_300, 1_200, 10_220),
        ]);
    }

    #[test]
    fn out_of_order_datagrams_keep_their_own_time() {
        check(&[
            (10_000, 1_000, 10_000),
            (10_101, 1_100, 10_100),
            (10_102, 1_050, 10_050),
        ]);
    }

    #[test]
    fn a_restarted_vehicle_starts_anew() {
        check(&[
            (500_000, 400_000, 500_000),
            (510_000, 3_000, 510_000),
            (510_100, 3_100, 510_100),
        ]);
        check(&[(500_000, u32::MAX, 500_000), (500_100, 100, 500_100)]);
    }

    #[test]
    fn a_clock_that_jumped_is_believed_again() {
        check(&[(100_000, 50_000, 100_000), (200_000, 50_100, 200_000)]);
    }

    #[test]
    fn slow_drift_is_followed() {
        let mut clock = BootClock::default();
        // Their clock runs 100 ppm slow: after an hour 360 ms are missing.
        for s in 0..3_600_u64 {
            let theirs = u32::try_from(s * 1_000 - s / 10).expect("small");
            let arrival = at(1_000_000 + s * 1_000);
            let stamp = clock.stamp(arrival, theirs);
            assert!(
                arrival.boot_ns - stamp.boot_ns < 2_000_000,
                "no delay builds up"
            );
        }
    }
}
