//! The one door through which time enters.
//!
//! Everything deeper takes a [`Stamp`] as an argument, so that a recording replays with its own
//! time and a test needs no sleep. Only this file may read the operating system's clocks
//! (`clippy.toml` bans the rest).
//!
//! **Invariants.** [`now`] reads both clocks together. The error bound is the kernel's own
//! (`adjtimex` maxerror), with what it has still to correct: it grows while nobody disciplines the
//! clock and is unknown when the kernel says the clock is not synchronised, or says nothing.
//!
//! **Not here.** No timers, no sleeping, no setting of the clock.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::types::{Stamp, UNKNOWN_BOOT};

/// What is stated of a clock whose time daemon keeps no bound of its error, microseconds: half of
/// a round trip of half a second, which is how far a server may be off behind a mobile network.
const NO_BOUND_KEPT_US: u64 = 250_000;

/// A clock that the kernel runs off its rate by more than this is being corrected, parts per million:
/// no crystal is off by as much, and the kernel itself takes no more for one (`MAXFREQ` of its NTP
/// code).
const OFF_RATE_PPM: u64 = 500;

/// Of what such a correction takes away in a second, microseconds, so much must be in the daemon's
/// estimate of its error for its bound to hold: one part in two, for the crystal's own rate is in it
/// too. No correction of chrony's takes less than a second (`MIN_SLEW_TIMEOUT` in its
/// `sys_generic.c`).
const TOLD_OF_SLEW: u64 = 2;

/// How far the kernel trusts its UTC clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Trust {
    /// Whether something (NTP, PTP, GNSS) disciplines the clock.
    pub synced: bool,
    /// Bound of the error in microseconds; `None` when not synchronised.
    pub max_error_us: Option<u64>,
    /// What disciplines it, where the kernel knows; it cannot tell one time daemon from another.
    pub source: Option<ClockSource>,
    /// Why the kernel did not answer at all, as its error number; `None` when it did. Nothing is
    /// known of the clock then, which is not the same as a clock that nobody disciplines.
    pub errno: Option<i32>,
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
    let now = reading();
    Stamp {
        utc_ns: now.offset_ns.saturating_add_unsigned(now.boot_ns),
        boot_ns: now.boot_ns,
        error_ns: now
            .trust
            .max_error_us
            .map_or(Stamp::ERROR_UNKNOWN, |us| us.saturating_mul(1000)),
    }
}

/// Nanoseconds since 1970, `CLOCK_REALTIME`, by way of the C library as TLS asks for it: so a test
/// that steps the clock of one program steps it for all of it.
fn utc_ns() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    let now = SystemTime::now();
    let ns = |distance: Duration| i64::try_from(distance.as_nanos()).unwrap_or(i64::MAX);
    match now.duration_since(UNIX_EPOCH) {
        Ok(since) => ns(since),
        Err(before) => -ns(before.duration()),
    }
}

/// Nanoseconds since boot, `CLOCK_BOOTTIME`.
pub fn boot_ns() -> u64 {
    let t = clock_gettime(ClockId::Boottime);
    u64::try_from(t.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// Asks the kernel how good its clock is (`adjtimex` with no mode bit: needs no privilege, but a
/// filter of system calls may forbid it).
pub fn trust() -> Trust {
    match read_timex() {
        Ok(told) => weigh(&told),
        Err(errno) => Trust {
            synced: false,
            max_error_us: None,
            source: None,
            errno: Some(errno),
        },
    }
}

/// What it means that the kernel did not answer [`trust`], and what to do about it.
pub fn unreadable(errno: i32) -> String {
    let error = std::io::Error::from_raw_os_error(errno);
    format!(
        "the kernel may not be asked how good its clock is ({error}), so nothing is known of it: \
         the service's unit must permit adjtimex and clock_adjtime, and must not say ProtectClock"
    )
}

/// What the kernel told (`adjtimex(2)`), as far as it is of interest here.
#[derive(Clone, Copy, Debug)]
struct Told {
    state: libc::c_int,
    status: libc::c_int,
    /// Bound and estimate of the error as the time daemon set them, microseconds; the bound has
    /// grown since by 500 parts per million.
    maxerror: libc::c_long,
    esterror: libc::c_long,
    /// How far the clock has still to be slewed: microseconds, or nanoseconds with `STA_NANO`.
    offset: libc::c_long,
    /// How fast it is run: microseconds for each hundredth of a second (`USER_HZ`), and what is to be
    /// added to that in parts per million with 16 binary places.
    tick: libc::c_long,
    freq: libc::c_long,
}

impl Told {
    /// By how much the clock is run off its rate, parts per million, when that is more than a
    /// crystal needs: so a time daemon corrects it without setting it (chrony beyond its first
    /// measurements).
    fn off_rate_ppm(&self) -> Option<u64> {
        let tick = self.tick.saturating_sub(10_000).saturating_mul(100 << 16);
        let rate = tick.saturating_add(self.freq).unsigned_abs();
        (rate > OFF_RATE_PPM << 16).then_some(rate >> 16)
    }
}

/// What the kernel's word is worth.
///
/// The bound does not hold what is still to be slewed. And a daemon that says that it estimates no
/// error at all keeps no bound either: systemd-timesyncd sets both to 0 with every correction,
/// whatever the way to its server was like (`manager_adjust_clock` in its `timesyncd-manager.c`).
///
/// A clock that is run off its rate says synchronised. chrony has what it is about to slew in bound
/// and estimate from the moment it begins (`set_sync_status` in its `sys_generic.c`); of whoever does
/// not, how much is left nobody knows.
fn weigh(told: &Told) -> Trust {
    let us = |value: libc::c_long| value.unsigned_abs();
    let said = told.state != libc::TIME_ERROR && told.status & libc::STA_UNSYNC == 0;
    let slew_ppm = told.off_rate_ppm();
    let is_told = |ppm: u64| us(told.esterror).saturating_mul(TOLD_OF_SLEW) >= ppm;
    let synced = said && slew_ppm.is_none_or(is_told);
    let source = source(told.status).filter(|_| synced);
    let to_slew_us = if told.status & libc::STA_NANO == 0 {
        us(told.offset)
    } else {
        us(told.offset).div_ceil(1000)
    };
    let unsaid_us = if told.esterror == 0 && source.is_none() {
        NO_BOUND_KEPT_US
    } else {
        0
    };
    let told_us = match slew_ppm {
        None => us(told.maxerror),
        Some(_) => us(told.maxerror).max(us(told.esterror)),
    };
    let bound_us = told_us.saturating_add(to_slew_us).saturating_add(unsaid_us);
    Trust {
        synced,
        max_error_us: synced.then_some(bound_us),
        source,
        errno: None,
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
fn read_timex() -> Result<Told, i32> {
    // SAFETY: a zeroed `timex` is valid: it holds plain integers only.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: modes 0 only reads, and the pointer is to a live local.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        let error = std::io::Error::last_os_error();
        return Err(error.raw_os_error().unwrap_or(libc::EPERM));
    }
    Ok(Told {
        state,
        status: timex.status,
        maxerror: timex.maxerror,
        esterror: timex.esterror,
        offset: timex.offset,
        tick: timex.tick,
        freq: timex.freq,
    })
}

/// The kernel's identifier of this boot (`/proc/sys/kernel/random/boot_id`), or
/// [`UNKNOWN_BOOT`] where the file is hidden.
pub fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_or_else(|_| UNKNOWN_BOOT.to_owned(), |s| s.trim().to_owned())
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
    fn the_bound_holds_what_is_still_to_be_corrected_and_what_nobody_kept() {
        use libc::{
            STA_NANO, STA_PLL, STA_PPSSIGNAL, STA_PPSTIME, STA_UNSYNC, TIME_ERROR, TIME_OK,
        };
        let told = |state, status, (maxerror, esterror, offset)| Told {
            state,
            status,
            maxerror,
            esterror,
            offset,
            tick: 10_000,
            freq: 0,
        };
        let pulse = STA_PPSTIME | STA_PPSSIGNAL;
        for (told, bound_us) in [
            // chrony: a bound and an estimate of its own, and it slews by the frequency.
            (told(TIME_OK, STA_NANO, (1_800, 90, 0)), Some(1_800)),
            // A daemon that slews by the kernel's loop: what is to go counts, in either unit.
            (told(TIME_OK, STA_PLL, (2_000, 90, -300_000)), Some(302_000)),
            (
                told(TIME_OK, STA_PLL | STA_NANO, (2_000, 90, 300_000_001)),
                Some(302_001),
            ),
            // systemd-timesyncd just after a correction, and half an hour later.
            (
                told(TIME_OK, STA_PLL | STA_NANO, (0, 0, 380_000_000)),
                Some(630_000),
            ),
            (
                told(TIME_OK, STA_PLL | STA_NANO, (900_000, 0, 0)),
                Some(1_150_000),
            ),
            (told(TIME_OK, pulse | STA_NANO, (3, 0, 0)), Some(3)),
            (told(TIME_OK, STA_UNSYNC, (1_800, 90, 0)), None),
            (told(TIME_ERROR, STA_NANO, (1_800, 90, 0)), None),
        ] {
            let trust = weigh(&told);
            assert_eq!(trust.max_error_us, bound_us, "{told:?}");
            assert_eq!(trust.synced, bound_us.is_some(), "{told:?}");
            assert_eq!(trust.errno, None);
        }
    }

    #[test]
    fn a_clock_that_is_run_off_its_rate_is_being_corrected() {
        const PPM: libc::c_long = 1 << 16;
        for (tick, freq, synced) in [
            (10_000, 0, true),
            (10_000, 500 * PPM, true),
            (10_000, 500 * PPM + 1, false),
            (10_000, -500 * PPM - 1, false),
            (10_005, 0, true),
            (10_006, 0, false),
            (9_994, 0, false),
            // A quick crystal, held back by both together.
            (9_994, 120 * PPM, true),
            // chrony at the fastest it slews, 83,333 ppm.
            (10_833, 33 * PPM, false),
            (libc::c_long::MAX, 0, false),
        ] {
            let told = Told {
                state: libc::TIME_OK,
                status: libc::STA_NANO,
                maxerror: 1_800,
                esterror: 90,
                offset: 0,
                tick,
                freq,
            };
            let expected = synced.then_some(1_800);
            assert_eq!(weigh(&told).max_error_us, expected, "{tick} {freq}");
        }
    }

    #[test]
    fn a_correction_that_the_daemon_counts_keeps_its_bound() {
        const PPM: libc::c_long = 1 << 16;
        for (tick, freq, (maxerror, esterror), bound_us) in [
            // chrony takes away 7 ms in 14 s, 20 ms in 10 s, 20 ms in a second.
            (10_005, 60 * PPM, (9_000, 7_000), Some(9_000)),
            (10_020, -12 * PPM, (22_000, 20_000), Some(22_000)),
            (10_200, 30 * PPM, (22_000, 20_000), Some(22_000)),
            // Five seconds, as fast as it can: known, and far more than evidence may be off.
            (10_833, 33 * PPM, (5_100_000, 5_000_000), Some(5_100_000)),
            // Who says nothing of it, or not enough, does not count it.
            (10_005, 60 * PPM, (9_000, 0), None),
            (10_833, 33 * PPM, (60_000, 41_000), None),
            // The kernel's own first word, which a daemon without a bound leaves as it is.
            (10_020, 0, (40, 16_000_000), Some(16_000_000)),
        ] {
            let told = Told {
                state: libc::TIME_OK,
                status: libc::STA_NANO,
                maxerror,
                esterror,
                offset: 0,
                tick,
                freq,
            };
            let trust = weigh(&told);
            assert_eq!(trust.max_error_us, bound_us, "{told:?}");
            assert_eq!(trust.synced, bound_us.is_some(), "{told:?}");
        }
    }

    #[test]
    fn both_clocks_are_read_as_one() {
        let (a, now, b) = (reading(), now(), reading());
        assert!((a.boot_ns..=b.boot_ns).contains(&now.boot_ns));
        let offset = now.utc_ns.saturating_sub_unsigned(now.boot_ns);
        assert!(offset.abs_diff(a.offset_ns) < 10_000_000, "{a:?} {now:?}");
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
