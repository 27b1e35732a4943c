//! Listens to gpsd, the daemon that knows every satellite receiver (patrol car).
//!
//! Source: gpsd's client protocol (`gpsd_json(5)`), reports `TPV`, `SKY`, `ERROR`. Lines are
//! bounded; a field that is missing is unknown, and a line that is no JSON, or has a field of the
//! wrong kind, is counted and passed over.

mod sky;

use std::io::{self, ErrorKind};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use self::sky::{Sky, heard_sky};
use super::state::SatelliteTime;
use super::{Pauses, Poses, TelemetryState, narrowed, scaled};
use crate::clock;
use crate::types::{FixKind, Pose, PoseSource, Stamp};

/// A connection that is not made by then is tried again.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// gpsd that says nothing for this long is connected to again: it may have lost its receiver,
/// and says on connection which it has.
const SILENCE: Duration = Duration::from_secs(15);
/// Longest line kept. gpsd promises 10,240 bytes.
const LINE_MAX: usize = 65_536;
/// gpsd's own port.
const PORT: u16 = 2_947;
/// Asks for reports as JSON.
const WATCH: &[u8] = b"?WATCH={\"enable\":true,\"json\":true};\n";
/// A report is at most this old when it reaches us: a receiver computes, sends slowly, and gpsd
/// waits for the end of its cycle.
const LATE_MAX_NS: i64 = 2_000_000_000;
/// UTC of this box may be this much behind the satellites' and still be right.
const EARLY_MAX_NS: i64 = 50_000_000;

/// Of several receivers another is listened to only when ours has had no fix, or been silent, for
/// this long: so long a position counts.
const HOLD_NS: u64 = 5_000_000_000;
/// What drives more slowly, metres per second, has no direction: between two fixes of a receiver that
/// stands lies nothing but their error, and many repeat the last course or make one up.
const COURSE_FROM_MPS: f64 = 1.5;
/// A course that errs by more, degrees, tells nobody which way the street was seen.
const COURSE_ERROR_MAX: f64 = 20.0;

/// One report, as far as it is of interest. Other classes have none of these fields.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Report {
    class: String,
    /// The receiver that it is about; empty when it names none, and then there is but one.
    device: String,
    /// 0 unknown, 1 no fix, 2 two-dimensional, 3 three-dimensional.
    mode: Option<u8>,
    /// 2 differential, 3 RTK fixed, 4 RTK float, 5 and 6 dead reckoning, 7 surveyed in,
    /// 8 simulated.
    status: Option<u8>,
    time: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    #[serde(rename = "altMSL")]
    alt_msl: Option<f64>,
    /// Estimated horizontal error, metres.
    eph: Option<f64>,
    epx: Option<f64>,
    epy: Option<f64>,
    /// Course over ground.
    track: Option<f64>,
    /// Estimated error of it, degrees.
    epd: Option<f64>,
    speed: Option<f64>,
    hdop: Option<f64>,
    pdop: Option<f64>,
    /// Satellites used.
    #[serde(rename = "uSat")]
    used: Option<u8>,
    satellites: Vec<Satellite>,
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Satellite {
    used: bool,
}

/// The receiver that is listened to.
///
/// gpsd tells of all it has on one connection. There is no way between the fixes of two, one is not
/// seen by the satellites of another, and of two speeds one may be of a receiver that hangs.
#[derive(Debug, Default)]
struct Receiver {
    /// The first one heard, until one with a fix stands in for it.
    device: Option<String>,
    /// When it last had a fix, by the time since boot.
    fixed_ns: Option<u64>,
    sky: Sky,
}

impl Receiver {
    /// Whether a report is from it. From another it is after [`HOLD_NS`]: then that is ours, and what
    /// this one told is forgotten.
    fn is_heard(&mut self, at: Stamp, report: &Report, poses: &Poses) -> bool {
        let fixed = report.class == "TPV" && fix_kind(report) > FixKind::None;
        let named = !report.device.is_empty();
        if named && self.device.as_ref() != Some(&report.device) {
            let holds = |last| at.boot_ns.saturating_sub(last) <= HOLD_NS;
            if self.device.is_some() && (!fixed || self.fixed_ns.is_some_and(holds)) {
                return false;
            }
            tracing::info!(device = report.device, "satellite receiver is listened to");
            poses.forget();
            *self = Self {
                device: Some(report.device.clone()),
                ..Self::default()
            };
        }
        if fixed {
            self.fixed_ns = Some(at.boot_ns);
        }
        true
    }
}

/// Listens until `stop`; connects again for ever.
pub(super) async fn run(
    peer: &str,
    poses: &Poses,
    state: &TelemetryState,
    stop: &CancellationToken,
) {
    let peer = with_port(peer);
    let mut pauses = Pauses::new();
    let mut receiver = Receiver::default();
    let mut told = None;
    loop {
        let before = state.snapshot().counters.messages;
        let lost = tokio::select! {
            () = stop.cancelled() => return,
            lost = listen(&peer, &mut receiver, poses, state) => lost,
        };
        if state.snapshot().counters.messages > before {
            pauses.succeeded();
            told = None;
        }
        let cause = format!("gpsd at {peer}: {lost}");
        if told.as_ref() != Some(&cause) {
            tracing::warn!(peer, error = %lost, "gpsd is not heard");
            told = Some(cause.clone());
        }
        state.down(cause);
        state.update(|s| s.counters.reconnects += 1);
        if !pauses.wait(stop).await {
            return;
        }
    }
}

/// `HOST:PORT`; gpsd's port where none is given, this box where nothing is.
fn with_port(peer: &str) -> String {
    let has_port = peer
        .rsplit_once(':')
        .is_some_and(|(host, port)| port.parse::<u16>().is_ok() && !host.ends_with(':'));
    match peer {
        "" => format!("127.0.0.1:{PORT}"),
        _ if has_port => peer.to_owned(),
        _ => format!("{peer}:{PORT}"),
    }
}

/// Reads reports until the connection is gone; says why.
async fn listen(
    peer: &str,
    receiver: &mut Receiver,
    poses: &Poses,
    state: &TelemetryState,
) -> io::Error {
    let mut stream = match open(peer).await {
        Ok(stream) => stream,
        Err(e) => return e,
    };
    let mut lines = Lines::default();
    receiver.sky = Sky::default();
    let mut buf = vec![0; LINE_MAX];
    loop {
        let n = match tokio::time::timeout(SILENCE, stream.read(&mut buf)).await {
            Ok(Ok(0)) => return ErrorKind::UnexpectedEof.into(),
            Ok(Ok(n)) => n,
            Ok(Err(e)) => return e,
            Err(_elapsed) => {
                return io::Error::new(
                    ErrorKind::TimedOut,
                    "no report for 15 seconds; has gpsd a receiver? (`gpspipe -w`)",
                );
            }
        };
        let at = clock::now();
        lines.push(buf.get(..n).unwrap_or_default());
        let mut torn = 0;
        while let Some(line) = lines.next_line() {
            match serde_json::from_slice::<Report>(&line) {
                Ok(report) => hear(at, &report, receiver, poses, state),
                Err(_no_json) => torn += 1,
            }
        }
        state.update(|s| {
            s.counters.bytes += n as u64;
            s.counters.parse_errors += torn + std::mem::take(&mut lines.overlong);
        });
    }
}

async fn open(peer: &str) -> io::Result<TcpStream> {
    let opened = async {
        let mut stream = TcpStream::connect(peer).await?;
        stream.write_all(WATCH).await?;
        Ok(stream)
    };
    tokio::time::timeout(OPEN_TIMEOUT, opened)
        .await
        .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// Takes one report.
fn hear(
    at: Stamp,
    report: &Report,
    receiver: &mut Receiver,
    poses: &Poses,
    state: &TelemetryState,
) {
    state.update(|s| s.counters.messages += 1);
    match report.class.as_str() {
        "TPV" | "SKY" if !receiver.is_heard(at, report, poses) => {
            state.update(|s| s.counters.ignored += 1);
        }
        "TPV" => {
            let fix = fix_kind(report);
            let time = report.time.as_deref().and_then(|t| t.parse().ok());
            let at_us = time.map(jiff::Timestamp::as_microsecond);
            let pose = pose((measured_at(at, time), at_us), report, receiver.sky);
            if let Some(pose) = pose {
                poses.put(pose);
            }
            state.heard(at.boot_ns);
            state.update(|s| {
                s.fix = Some(fix);
                s.sats = receiver.sky.sats;
                s.counters.poses += u64::from(pose.is_some());
            });
            let time = time.filter(|_| fix > FixKind::None);
            state.tell_time(time.map(|t| SatelliteTime::of(t.as_microsecond(), at)));
        }
        "SKY" => receiver.sky = heard_sky(report, receiver.sky),
        "ERROR" => {
            let message = report.message.as_deref().unwrap_or_default();
            tracing::warn!(message, "gpsd reports an error");
        }
        _ => state.update(|s| s.counters.ignored += 1),
    }
}

/// When the fix of a report was true.
///
/// It arrives up to most of a second late and carries satellite time. Where our clock agrees
/// with that within what such a delay explains, it is believed; else the moment of arrival
/// stands.
fn measured_at(at: Stamp, time: Option<jiff::Timestamp>) -> Stamp {
    let trusted = at.error_ns < LATE_MAX_NS.unsigned_abs();
    time.filter(|_| trusted)
        .and_then(|time| i64::try_from(offset_ns(at, time)).ok())
        .filter(|offset| (-LATE_MAX_NS..=EARLY_MAX_NS).contains(offset))
        .map_or(at, |offset| at.shifted_ns(offset.min(0)))
}

/// Satellite time minus ours.
fn offset_ns(at: Stamp, time: jiff::Timestamp) -> i128 {
    time.as_nanosecond() - i128::from(at.utc_ns)
}

fn fix_kind(report: &Report) -> FixKind {
    match (report.mode, report.status) {
        // Dead reckoning alone: carried on by wheels and gyroscopes without satellites. Simulated: it
        // was never measured.
        (_, Some(5 | 8)) => FixKind::None,
        (Some(2..=3), Some(3)) => FixKind::RtkFixed,
        (Some(2..=3), Some(4)) => FixKind::RtkFloat,
        (Some(2..=3), Some(2)) => FixKind::Dgnss,
        // Satellites and dead reckoning together.
        (Some(2..=3), Some(6)) | (Some(2), _) => FixKind::Flat,
        (Some(3), _) => FixKind::Full,
        _ => FixKind::None,
    }
}

/// The pose of a `TPV`, with when it was true by our clock and by the satellites' (microseconds since
/// 1970); `None` without a fix.
///
/// gpsd does not state how certain its errors are; they are kept as they come.
fn pose((at, satellite_us): (Stamp, Option<i64>), report: &Report, sky: Sky) -> Option<Pose> {
    let fix = fix_kind(report);
    let (lat, lon) = report.lat.zip(report.lon)?;
    if fix == FixKind::None || !(lat.abs() <= 90.0 && lon.abs() <= 180.0) {
        return None;
    }
    let error_m = report
        .eph
        .or_else(|| report.epx.zip(report.epy).map(|(x, y)| x.hypot(y)));
    let finite = |value: &f64| value.is_finite();
    let drives = report.speed.is_some_and(|v| v >= COURSE_FROM_MPS);
    let points = drives && report.epd.is_none_or(|d| d <= COURSE_ERROR_MAX);
    Some(Pose {
        at,
        lat_e7: scaled(lat, 1e7),
        lon_e7: scaled(lon, 1e7),
        alt_mm: report
            .alt_msl
            .filter(|m| m.is_finite() && fix >= FixKind::Full)
            .map(|m| scaled(m, 1e3)),
        h_acc_mm: error_m
            .filter(|m| *m > 0.0)
            .map(|m| scaled(m, 1e3).unsigned_abs()),
        hdop_e2: sky.hdop_e2,
        pdop_e2: sky.pdop_e2,
        satellite_us,
        fix,
        sats: sky.sats,
        heading_deg: report
            .track
            .filter(|d| points && (0.0..360.0).contains(d))
            .map(narrowed),
        speed_mps: report.speed.filter(finite).map(narrowed),
        attitude: None,
        camera: None,
        source: PoseSource::Gpsd,
        sysid: None,
    })
}

/// Cuts bytes into lines of at most [`LINE_MAX`]; longer ones are dropped whole.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Inside a line that was too long.
    dropping: bool,
    /// How many were dropped since this was last taken.
    overlong: u64,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line without its end; `None` when more bytes are needed.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(end) = self.bytes.iter().position(|b| *b == b'\n') else {
                if self.bytes.len() > LINE_MAX {
                    self.bytes.clear();
                    self.overlong += u64::from(!self.dropping);
                    self.dropping = true;
                }
                return None;
            };
            let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
            line.truncate(end);
            if std::mem::take(&mut self.dropping) {
                continue;
            }
            if line.len() > LINE_MAX {
                self.overlong += 1;
                continue;
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests;
