//! Moments and how far they can be trusted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One moment, told by two clocks.
///
/// `boot_ns` orders events within one boot and drives every timer: it never jumps.
/// `utc_ns` is what a human reads, and is right only within `error_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// UTC, nanoseconds since 1970-01-01T00:00:00Z (leap seconds as the kernel counts them).
    pub utc_ns: i64,
    /// `CLOCK_BOOTTIME`, nanoseconds since the machine booted (counts suspend).
    pub boot_ns: u64,
    /// Upper bound of |`utc_ns` − true UTC| in nanoseconds; [`Stamp::ERROR_UNKNOWN`] when
    /// nobody vouches for the clock.
    pub error_ns: u64,
}

impl Stamp {
    /// `error_ns` of a clock nobody vouches for.
    pub const ERROR_UNKNOWN: u64 = u64::MAX;

    /// UTC in whole milliseconds since 1970.
    pub fn utc_ms(self) -> i64 {
        self.utc_ns.div_euclid(1_000_000)
    }

    /// Time from `earlier` to `self` by the boot clock; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.boot_ns.saturating_sub(earlier.boot_ns))
    }

    /// The same moment moved by `delta_ns` on both clocks.
    #[must_use]
    pub fn shifted_ns(self, delta_ns: i64) -> Self {
        Self {
            utc_ns: self.utc_ns.saturating_add(delta_ns),
            boot_ns: self.boot_ns.saturating_add_signed(delta_ns),
            error_ns: self.error_ns,
        }
    }
}

/// What stands for the identifier of a boot where the kernel does not tell it.
pub const UNKNOWN_BOOT: &str = "unknown";

/// Whether two identifiers are of one boot; `None` where the kernel did not tell one of them: two that
/// are not known need not be one.
pub fn is_same_boot(one: &str, other: &str) -> Option<bool> {
    let told = one != UNKNOWN_BOOT && other != UNKNOWN_BOOT;
    told.then(|| one == other)
}

/// Where a frame's capture time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// The camera's own UTC from RTCP sender reports (RFC 3550 section 6.4.1).
    RtcpSenderReport,
    /// The moment the access unit reached this box.
    Arrival,
    /// The position in a recording, added to the moment the replay started.
    Recording,
}
