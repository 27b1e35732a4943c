//! How far the moments that a package states can be trusted, all of them together.

use super::assess::condition;
use super::facts::Clock;
use super::grade::Condition;
use crate::types::Stamp;

/// Largest clock error of evidence, milliseconds (GA/T 832-2014 section 3.2: 1.0 s).
const CLOCK_ERROR_MAX_MS: u64 = 1000;

/// What is known of all moments that a package states: of what was seen, of the warning, and of
/// each picture. One clock told them, but it may have been set between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moments {
    /// The largest bound of their errors, milliseconds; `None` when one of them has none.
    pub error_ms: Option<u64>,
    /// How far UTC moved against the boot clock from one to another, milliseconds. That is how far
    /// the clock was set meanwhile; over a restart of the box it is more, and says nothing.
    pub moved_ms: u64,
}

impl Moments {
    /// Of these moments.
    pub fn of(stamps: &[Stamp]) -> Self {
        let error_ns = stamps.iter().map(|at| at.error_ns).max().unwrap_or(0);
        let offsets = stamps
            .iter()
            .map(|at| at.utc_ns.saturating_sub_unsigned(at.boot_ns));
        let (least, most) = (offsets.clone().min(), offsets.max());
        let moved_ns = least.zip(most).map_or(0, |(a, b)| b.abs_diff(a));
        Self {
            error_ms: (error_ns != Stamp::ERROR_UNKNOWN).then(|| error_ns.div_ceil(1_000_000)),
            moved_ms: moved_ns.div_ceil(1_000_000),
        }
    }
}

/// The bound of every moment's error; where satellites tell the time too, they must agree within
/// the limit; and the clock must not have been set by more than that between two moments, for then
/// those before it are wrong, however good it was at the last.
pub(super) fn clock(clock: &Clock, moments: Moments) -> Condition {
    let limit = format!("<= {CLOCK_ERROR_MAX_MS} ms");
    let last_ms = clock.max_error_us.map(|us| us.div_ceil(1000));
    let worst_ms = last_ms.zip(moments.error_ms).map(|(a, b)| a.max(b));
    let apart_ms = clock.gnss_minus_system_us;
    let apart_ms = apart_ms.map(|us| us.unsigned_abs().div_ceil(1000));
    let too_far = |ms: u64| ms > CLOCK_ERROR_MAX_MS;
    let moved_ms = Some(moments.moved_ms).filter(|ms| too_far(*ms));

    let error = match (worst_ms, last_ms) {
        (Some(ms), _) => format!("{ms} ms"),
        (None, Some(ms)) => format!("{ms} ms, not synchronised all the time"),
        (None, None) => "not synchronised".to_owned(),
    };
    let apart = apart_ms.map(|ms| format!("{ms} ms from satellite time"));
    let moved = moved_ms.map(|ms| format!("set or restarted meanwhile {ms} ms"));
    let known = last_ms.is_some() || apart.is_some() || moved.is_some();
    let parts: Vec<String> = [Some(error), apart, moved].into_iter().flatten().collect();

    let pass = if apart_ms.is_some_and(too_far) || moved_ms.is_some() {
        Some(false)
    } else {
        worst_ms.map(|ms| !too_far(ms))
    };
    condition("clock", known.then(|| parts.join(", ")), limit, pass)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot_s: u64, offset_ms: i64, error_ns: u64) -> Stamp {
        let boot_ns = boot_s * 1_000_000_000;
        Stamp {
            utc_ns: 1_785_542_400_000_000_000
                + (offset_ms * 1_000_000).saturating_add_unsigned(boot_ns),
            boot_ns,
            error_ns,
        }
    }

    #[test]
    fn every_moment_counts_not_only_the_last() {
        const UNKNOWN: u64 = Stamp::ERROR_UNKNOWN;
        const MS: u64 = 1_000_000;
        const HOURS_3_MS: i64 = 3 * 3_600_000;
        // The moments, and what of `max_error_us` the statement has: that of the last.
        let table: [(&[Stamp], Option<bool>, &str); 7] = [
            (
                &[stamp(10, 0, 3 * MS), stamp(130, 0, 2 * MS)],
                Some(true),
                "3 ms",
            ),
            // A box without a battery whose clock was set between the first look and the warning.
            (
                &[stamp(10, -HOURS_3_MS, UNKNOWN), stamp(130, 0, 2 * MS)],
                Some(false),
                "2 ms, not synchronised all the time, set or restarted meanwhile 10800000 ms",
            ),
            (
                &[stamp(10, HOURS_3_MS, 4 * MS), stamp(130, 0, 2 * MS)],
                Some(false),
                "4 ms, set or restarted meanwhile 10800000 ms",
            ),
            // It was right before anybody vouched for it, but who knows that?
            (
                &[stamp(10, 0, UNKNOWN), stamp(130, 1, 2 * MS)],
                None,
                "2 ms, not synchronised all the time",
            ),
            (
                &[stamp(10, -1000, 2 * MS), stamp(130, 0, 2 * MS)],
                Some(true),
                "2 ms",
            ),
            (
                &[
                    stamp(10, 0, 2 * MS),
                    stamp(20, 0, 1001 * MS),
                    stamp(130, 0, 2 * MS),
                ],
                Some(false),
                "1001 ms",
            ),
            (&[stamp(130, 0, 2 * MS)], Some(true), "2 ms"),
        ];
        for (stamps, pass, value) in table {
            let last = stamps.last().expect("one at least");
            let found = clock(&Clock::at(*last), Moments::of(stamps));
            assert_eq!((found.pass, found.value.as_deref()), (pass, Some(value)));
        }
    }

    #[test]
    fn of_a_clock_of_which_nothing_is_known_nothing_is_said() {
        let at = stamp(10, 0, Stamp::ERROR_UNKNOWN);
        let found = clock(&Clock::at(at), Moments::of(&[at]));
        assert_eq!((found.value, found.pass), (None, None));
    }
}
