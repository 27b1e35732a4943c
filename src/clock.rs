//! The one door through which time enters.
//!
//! Everything deeper takes a [`Stamp`] as an argument, so that a recording replays with its own
//! time and a test needs no sleep. Only this file may read the operating system's clocks
//! (`clippy.toml` bans the rest).
//!
//! **Invariants.** [`now`] reads both clocks together. The error bound is the kernel's own
//! (`adjtimex` maxerror): it grows while nobody disciplines the clock and is unknown when the
//! kernel says the clock is not synchronised.
//!
//! **Not here.** No timers, no sleeping, no setting of the clock.

use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

use crate::types::Stamp;

/// How far the kernel trusts its UTC clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Trust {
    /// Whether something (NTP, PTP, GNSS) disciplines the clock.
    pub synced: bool,
    /// Bound of the error in microseconds; `None` when not synchronised.
    pub max_error_us: Option<u64>,
    /// What disciplines it, where the kernel knows; it cannot tell one time daemon from another.
    pub source: Option<ClockSource>,
}

/// What disciplines the clock, as far as the kernel itself can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockSource {
    /// The kernel follows a pulse-per-second signal and has one (`adjtimex` status bits
    /// `STA_PPSTIME` or `STA_PPSFREQ`, and `STA_PPSSIGNAL`).
    Pps,
}

impl ClockSource {
    /// The name used in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pps => "pps",
        }
    }
}

/// Both clocks read as one, and how far UTC is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Nanoseconds since boot.
    pub boot_ns: u64,
    /// UTC minus time since boot, nanoseconds: changes only when the clock is set, for slewing
    /// moves both clocks alike.
    pub offset_ns: i64,
    /// How far UTC is trusted.
    pub trust: Trust,
}

/// Reads UTC between two readings of the boot clock, and of several tries takes the one with the
/// least between: a process that was put to sleep in the middle must not look like a set clock.
pub fn reading() -> Reading {
    const TRIES: usize = 8;
    let look = || {
        let before = boot_ns();
        let utc_ns = utc_ns();
        let after = boot_ns();
        let width = after.saturating_sub(before);
        let boot_ns = before + width / 2;
        let offset_ns = utc_ns.saturating_sub_unsigned(boot_ns);
        (width, boot_ns, offset_ns)
    };
    let best = std::iter::repeat_with(look)
        .take(TRIES)
        .min_by_key(|(width, ..)| *width);
    let (_, boot_ns, offset_ns) = best.expect("invariant: there is at least one try");
    Reading {
        boot_ns,
        offset_ns,
        trust: trust(),
    }
}

/// The present moment with its error bound.
pub fn now() -> Stamp {
    let trust = trust();
    Stamp {
        utc_ns: utc_ns(),
        boot_ns: boot_ns(),
        error_ns: trust
            .max_error_us
            .map_or(Stamp::ERROR_UNKNOWN, |us| us.saturating_mul(1000)),
    }
}

/// Nanoseconds since 1970, `CLOCK_REALTIME`.
fn utc_ns() -> i64 {
    let t = clock_gettime(ClockId::Realtime);
    t.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(t.tv_nsec)
}

/// Nanoseconds since boot, `CLOCK_BOOTTIME`.
pub fn boot_ns() -> u64 {
    let t = clock_gettime(ClockId::Boottime);
    u64::try_from(t.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// Asks the kernel how good its clock is (`adjtimex` with no mode bit: needs no privilege).
pub fn trust() -> Trust {
    let (state, timex) = read_timex();
    let synced = state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    let max_error_us = synced.then(|| u64::try_from(timex.maxerror).unwrap_or(0));
    Trust {
        synced,
        max_error_us,
        source: source(timex.status).filter(|_| synced),
    }
}

/// What the status bits say of the source.
fn source(status: libc::c_int) -> Option<ClockSource> {
    let follows = status & (libc::STA_PPSTIME | libc::STA_PPSFREQ) != 0;
    let has_signal = status & libc::STA_PPSSIGNAL != 0;
    (follows && has_signal).then_some(ClockSource::Pps)
}

#[expect(
    unsafe_code,
    reason = "no maintained crate reads adjtimex; decision 0002"
)]
fn read_timex() -> (libc::c_int, libc::timex) {
    // SAFETY: a zeroed `timex` is valid: it holds plain integers only.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: modes 0 only reads, and the pointer is to a live local.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state, timex)
}

/// The kernel's identifier of this boot (`/proc/sys/kernel/random/boot_id`), or
/// `"unknown"` where the file is hidden.
pub fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_or_else(|_| "unknown".to_owned(), |s| s.trim().to_owned())
    })
}

/// RFC 3339 UTC with milliseconds, e.g. `2026-08-01T02:03:04.567Z`.
pub fn rfc3339_ms(utc_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(utc_ns))
        .map_or_else(|_| "unknown".to_owned(), |t| format!("{t:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_moves_forward_on_the_boot_clock() {
        let a = now();
        let b = now();
        assert!(b.boot_ns >= a.boot_ns);
        assert!(
            a.utc_ns > 1_600_000_000_000_000_000,
            "the year is after 2020"
        );
    }

    #[test]
    fn an_unsynchronised_clock_has_no_error_bound() {
        let t = trust();
        assert_eq!(t.synced, t.max_error_us.is_some());
    }

    #[test]
    fn both_clocks_are_read_as_one() {
        let (a, now, b) = (reading(), now(), reading());
        assert!((a.boot_ns..=b.boot_ns).contains(&now.boot_ns));
        let offset = now.utc_ns.saturating_sub_unsigned(now.boot_ns);
        // Between the two readings of `now` the process may have slept.
        assert!(offset.abs_diff(a.offset_ns) < 60_000_000_000);
        assert!(
            a.offset_ns.abs_diff(b.offset_ns) < 10_000_000,
            "{a:?} {b:?}"
        );
    }

    #[test]
    fn a_pulse_counts_only_while_it_is_followed_and_there() {
        let pll = libc::STA_PLL;
        for (status, expected) in [
            (0, None),
            (pll, None),
            (pll | libc::STA_PPSSIGNAL, None),
            (pll | libc::STA_PPSTIME, None),
            (
                libc::STA_PPSTIME | libc::STA_PPSSIGNAL,
                Some(ClockSource::Pps),
            ),
            (
                libc::STA_PPSFREQ | libc::STA_PPSSIGNAL,
                Some(ClockSource::Pps),
            ),
        ] {
            assert_eq!(source(status), expected, "{status:#x}");
        }
    }

    #[test]
    fn utc_is_printed_with_milliseconds() {
        assert_eq!(
            rfc3339_ms(1_785_549_784_567_000_000),
            "2026-08-01T02:03:04.567Z"
        );
        assert_eq!(rfc3339_ms(0), "1970-01-01T00:00:00.000Z");
    }
}
