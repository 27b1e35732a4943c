//! What the status page shows of the telemetry.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use crate::clock::{self, Reading};
use crate::config::{self, TelemetrySource};
use crate::types::{FixKind, Stamp, lock};

/// A source that said nothing for this long counts as not connected.
const SILENCE_NS: u64 = 5_000_000_000;

/// A clock that was set by this much since satellites spoke of it is another clock.
const SET_NS: u64 = 100_000_000;

/// Satellites that say a time further from this box's than this contradict it, microseconds: more than
/// what a receiver and its link delay.
const APART_US: u64 = 1_000_000;

/// What satellites said of this box's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SatelliteTime {
    /// Their time minus this box's UTC, microseconds.
    pub(super) minus_system_us: i64,
    /// When that was, by this box's clocks.
    pub(super) at: Stamp,
}

impl SatelliteTime {
    /// Satellites say that it is `unix_us` (microseconds since 1970) when this box's clocks say `at`.
    pub(super) fn of(unix_us: i64, at: Stamp) -> Self {
        Self {
            minus_system_us: unix_us - at.utc_ns.div_euclid(1_000),
            at,
        }
    }

    /// Satellites' UTC of a moment, microseconds since 1970, by the clock that nobody sets; `None` of a
    /// moment further away than a silence.
    pub(super) fn of_moment(self, at: Stamp) -> Option<i64> {
        let told_us = self.at.utc_ns.div_euclid(1_000) + self.minus_system_us;
        let apart_ns = at.boot_ns.abs_diff(self.at.boot_ns);
        let apart_us = i64::try_from(apart_ns / 1_000).ok();
        let apart_us = apart_us.filter(|_| apart_ns <= SILENCE_NS)?;
        if at.boot_ns < self.at.boot_ns {
            told_us.checked_sub(apart_us)
        } else {
            told_us.checked_add(apart_us)
        }
    }

    /// What that says of the clock of `now`: nothing when the source has fallen silent, and nothing
    /// when the clock has been set since.
    fn still(self, now: &Reading) -> Option<i64> {
        let age_ns = now.boot_ns.saturating_sub(self.at.boot_ns);
        let offset_ns = self.at.utc_ns.saturating_sub_unsigned(self.at.boot_ns);
        let same = offset_ns.abs_diff(now.offset_ns) < SET_NS;
        (same && age_ns <= SILENCE_NS).then_some(self.minus_system_us)
    }
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Bytes received.
    pub bytes: u64,
    /// Received bytes that are not (yet) part of a valid message: noise, torn or foreign ones.
    pub unframed_bytes: u64,
    /// Valid messages, whoever sent them.
    pub messages: u64,
    /// Messages with a right checksum or a whole line, and contents that make no sense.
    pub parse_errors: u64,
    /// Valid messages from other vehicles, other components, ground stations.
    pub ignored: u64,
    /// Poses put into the ring.
    pub poses: u64,
    /// Times the link was opened again.
    pub reconnects: u64,
}

/// The telemetry at one moment, for the status page and the evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TelemetrySnapshot {
    /// Where the position comes from.
    pub source: TelemetrySource,
    /// The link or peer, as configured.
    pub link: String,
    /// The address really listened on, where we listen.
    pub listening: Option<SocketAddr>,
    /// Whether the chosen source spoke within the last five seconds (a surveyed place: always).
    pub connected: bool,
    /// Why not, when not: what failed last and what to look at.
    pub cause: Option<String>,
    /// Age of the last message of the chosen source, milliseconds.
    pub last_message_age_ms: Option<u64>,
    /// MAVLink system id of the vehicle listened to.
    pub sysid: Option<u8>,
    /// MAVLink component id of its autopilot.
    pub compid: Option<u8>,
    /// The receiver's fix, as last told.
    pub fix: Option<FixKind>,
    /// Satellites used, as last told.
    pub sats: Option<u8>,
    /// Satellite time minus this box's UTC, microseconds; see [`TelemetryState::vehicle_time`].
    pub gnss_minus_system_us: Option<i64>,
    /// For how long they have said without a break that it is wrong by more than a second, seconds;
    /// `None` while they do not.
    #[serde(default)]
    pub gnss_apart_secs: Option<u64>,
    /// The vehicle's flight mode, as it last told.
    #[serde(default)]
    pub mode: Option<String>,
    /// Counts since the start.
    pub counters: Counters,
}

/// The live state behind [`TelemetrySnapshot`], shared with the status page.
#[derive(Debug)]
pub struct TelemetryState {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    snapshot: TelemetrySnapshot,
    /// Time since boot of the last message of the chosen source.
    heard_ns: Option<u64>,
    /// The latest word of satellites on the clock.
    time: Option<SatelliteTime>,
    /// Since when, on the boot clock, satellites have contradicted the clock; `None`: they do not.
    apart_ns: Option<u64>,
}

impl Default for TelemetryState {
    fn default() -> Self {
        Self::new()
    }
}

impl TelemetryState {
    /// Nothing heard, nothing configured.
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                snapshot: TelemetrySnapshot {
                    source: TelemetrySource::None,
                    link: String::new(),
                    listening: None,
                    connected: false,
                    cause: None,
                    last_message_age_ms: None,
                    sysid: None,
                    compid: None,
                    fix: None,
                    sats: None,
                    gnss_minus_system_us: None,
                    gnss_apart_secs: None,
                    mode: None,
                    counters: Counters::default(),
                },
                heard_ns: None,
                time: None,
                apart_ns: None,
            }),
        }
    }

    /// The state at this moment.
    pub fn snapshot(&self) -> TelemetrySnapshot {
        let inner = self.lock();
        let mut snapshot = inner.snapshot.clone();
        let (heard_ns, time, apart_ns) = (inner.heard_ns, inner.time, inner.apart_ns);
        drop(inner);
        let now = clock::reading();
        snapshot.gnss_minus_system_us = time.and_then(|time| time.still(&now));
        let apart_ns = apart_ns.filter(|_| snapshot.gnss_minus_system_us.is_some());
        let secs = |since: u64| now.boot_ns.saturating_sub(since) / 1_000_000_000;
        snapshot.gnss_apart_secs = apart_ns.map(secs);
        if snapshot.source == TelemetrySource::Fixed {
            snapshot.connected = true;
            return snapshot;
        }
        let age_ns = heard_ns.map(|at| clock::boot_ns().saturating_sub(at));
        snapshot.last_message_age_ms = age_ns.map(|ns| ns / 1_000_000);
        snapshot.connected = age_ns.is_some_and(|ns| ns <= SILENCE_NS);
        snapshot
    }

    /// Satellite time minus this box's UTC, microseconds, as the vehicle or gpsd told it within the
    /// last five seconds; `None` when neither did, or when the clock was set since.
    ///
    /// From MAVLink the delay of the link is taken out as far as it varies (its shortest seen
    /// value stays in); from gpsd the receiver's own delay, up to most of a second, stays in and
    /// makes the offset look too small. `None` while the receiver has no fix.
    pub fn vehicle_time(&self) -> Option<i64> {
        self.vehicle_time_at(&clock::reading())
    }

    /// The same at the moment `now`.
    pub(super) fn vehicle_time_at(&self, now: &Reading) -> Option<i64> {
        let time = self.lock().time;
        time?.still(now)
    }

    /// `at` with an error that holds also what satellites say against its clock.
    pub fn doubt(&self, at: Stamp) -> Stamp {
        let apart_us = self.vehicle_time().map_or(0, i64::unsigned_abs);
        Stamp {
            error_ns: at.error_ns.saturating_add(apart_us.saturating_mul(1_000)),
            ..at
        }
    }

    /// Satellites said this of the clock, or nothing.
    pub(super) fn tell_time(&self, time: Option<SatelliteTime>) {
        let apart = time.filter(|time| time.minus_system_us.unsigned_abs() > APART_US);
        let mut inner = self.lock();
        inner.apart_ns = apart.map(|time| inner.apart_ns.unwrap_or(time.at.boot_ns));
        inner.time = time;
    }

    pub(super) fn begin(&self, config: &config::Telemetry) {
        let mut inner = self.lock();
        inner.snapshot.source = config.source;
        inner.snapshot.link = match config.source {
            TelemetrySource::None | TelemetrySource::Fixed => String::new(),
            TelemetrySource::Gpsd => config.gpsd.clone(),
            TelemetrySource::Mavlink => config.mavlink.address.clone(),
        };
    }

    /// The chosen source spoke.
    pub(super) fn heard(&self, boot_ns: u64) {
        let mut inner = self.lock();
        inner.heard_ns = Some(boot_ns);
        inner.snapshot.cause = None;
    }

    /// The link is down or the source is silent.
    pub(super) fn down(&self, cause: String) {
        self.lock().snapshot.cause = Some(cause);
    }

    /// Changes the counters or the told facts; nothing else is called under the lock.
    pub(super) fn update(&self, change: impl FnOnce(&mut TelemetrySnapshot)) {
        change(&mut self.lock().snapshot);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_not_connected_and_keeps_its_cause() {
        let state = TelemetryState::new();
        state.begin(&config::Telemetry {
            source: TelemetrySource::Mavlink,
            ..config::Telemetry::default()
        });
        state.down("no heartbeat".to_owned());
        assert_eq!(state.snapshot().cause.as_deref(), Some("no heartbeat"));
        assert_eq!(state.snapshot().last_message_age_ms, None);

        state.heard(clock::boot_ns());
        let snapshot = state.snapshot();
        assert!(snapshot.connected && snapshot.cause.is_none());

        state.heard(clock::boot_ns().saturating_sub(SILENCE_NS + 1_000_000));
        state.down("vehicle 1 is silent".to_owned());
        let snapshot = state.snapshot();
        assert!(!snapshot.connected);
        assert!(snapshot.last_message_age_ms >= Some(5_000));
        assert_eq!(snapshot.cause.as_deref(), Some("vehicle 1 is silent"));
    }

    #[test]
    fn what_satellites_said_holds_while_they_speak_and_the_clock_is_the_same() {
        const BOOT_NS: u64 = 900_000_000_000;
        const OFFSET_NS: i64 = 1_785_542_400_000_000_000;
        let told = SatelliteTime {
            minus_system_us: 7,
            at: Stamp {
                utc_ns: OFFSET_NS.saturating_add_unsigned(BOOT_NS),
                boot_ns: BOOT_NS,
                error_ns: 0,
            },
        };
        let later = |age_ns: u64, set_ms: i64| Reading {
            boot_ns: BOOT_NS + age_ns,
            offset_ns: OFFSET_NS + set_ms * 1_000_000,
            trust: clock::trust(),
        };
        for (age_ns, set_ms, expected) in [
            (0, 0, Some(7)),
            (SILENCE_NS, 99, Some(7)),
            (SILENCE_NS + 1, 0, None),
            (1_000_000_000, 100, None),
            (1_000_000_000, -3_600_000, None),
        ] {
            let still = told.still(&later(age_ns, set_ms));
            assert_eq!(still, expected, "{age_ns} ns later, set by {set_ms} ms");
        }
        // And so the state says it, to statements and to the status page.
        let state = TelemetryState::new();
        let silent = Stamp {
            boot_ns: clock::boot_ns().saturating_sub(SILENCE_NS + 1_000_000_000),
            ..clock::now()
        };
        state.tell_time(Some(SatelliteTime { at: silent, ..told }));
        assert_eq!(state.vehicle_time(), None);
        assert_eq!(state.snapshot().gnss_minus_system_us, None);
        let at = clock::now();
        state.tell_time(Some(SatelliteTime { at, ..told }));
        assert_eq!(state.snapshot().gnss_minus_system_us, Some(7));
    }

    #[test]
    fn the_time_of_satellites_goes_on_by_the_clock_that_nobody_sets() {
        let at = Stamp {
            utc_ns: 5_000_000_000,
            boot_ns: 900_000_000_000,
            error_ns: 0,
        };
        let told = SatelliteTime::of(1_785_549_784_000_000, at);
        let moment = |ms: i64| Stamp {
            utc_ns: 77,
            boot_ns: at.boot_ns.saturating_add_signed(ms * 1_000_000),
            ..at
        };
        for (ms, wanted) in [
            (0, Some(1_785_549_784_000_000)),
            (250, Some(1_785_549_784_250_000)),
            (-250, Some(1_785_549_783_750_000)),
            (5_000, Some(1_785_549_789_000_000)),
            (5_001, None),
            (-5_001, None),
        ] {
            assert_eq!(told.of_moment(moment(ms)), wanted, "{ms} ms");
        }
    }

    #[test]
    fn a_clock_that_satellites_contradict_may_be_wrong_by_as_much() {
        let state = TelemetryState::new();
        let now = clock::now();
        let sure = Stamp {
            error_ns: 3_000_000,
            ..now
        };
        assert_eq!(state.doubt(sure), sure, "nobody says anything");
        let tell = |ago_ns: u64, minus_system_us: i64| {
            let at = Stamp {
                utc_ns: now.utc_ns.saturating_sub_unsigned(ago_ns),
                boot_ns: now.boot_ns.saturating_sub(ago_ns),
                ..now
            };
            state.tell_time(Some(SatelliteTime {
                minus_system_us,
                at,
            }));
            state.snapshot().gnss_apart_secs
        };
        assert_eq!(
            tell(4_000_000_000, 1_000_000),
            None,
            "as a receiver delays it"
        );
        let first = tell(3_000_000_000, -3_600_000_000);
        assert!(first >= Some(3), "{first:?}");
        let still = tell(0, -3_600_000_000);
        assert!(still >= Some(3), "since the first: {still:?}");
        assert_eq!(state.doubt(sure).error_ns, 3_600_003_000_000);
        let unknown = Stamp {
            error_ns: Stamp::ERROR_UNKNOWN,
            ..now
        };
        assert_eq!(state.doubt(unknown), unknown);
        assert_eq!(tell(0, 20), None);
        tell(0, -3_600_000_000);
        state.tell_time(None);
        assert_eq!(
            (state.snapshot().gnss_apart_secs, state.doubt(sure)),
            (None, sure)
        );
    }

    #[test]
    fn a_snapshot_is_json() {
        let json = serde_json::to_value(TelemetryState::new().snapshot()).expect("plain data");
        assert_eq!(json["source"], "none");
        assert_eq!(json["counters"]["bytes"], 0);
    }
}
