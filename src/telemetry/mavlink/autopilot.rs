//! The one vehicle listened to: from its messages to poses. No input or output, no clock.

use mavlink::dialects::ardupilotmega::{
    ATTITUDE_DATA, COMMAND_ACK_DATA, GIMBAL_DEVICE_ATTITUDE_STATUS_DATA, GLOBAL_POSITION_INT_DATA,
    GPS_RAW_INT_DATA, HEARTBEAT_DATA, MOUNT_ORIENTATION_DATA, MOUNT_STATUS_DATA, MavAutopilot,
    MavCmd, MavResult, MavType, SYSTEM_TIME_DATA,
};
use mavlink::error::ParserError;
use mavlink::{MavlinkVersion, MessageData};

use super::boot_clock::BootClock;
use super::decoder::Frame;
use super::gimbal;
use super::gps::Gps;
use super::mode::mode;
use super::narrowed;
use crate::telemetry::state::SatelliteTime;
use crate::types::{Attitude, FixKind, Pose, PoseSource, Stamp};

/// An attitude older than this when the position was taken is not that of the position.
const ATTITUDE_FRESH_NS: u64 = 500_000_000;
/// Receiver state older than this vouches for nothing.
const GPS_FRESH_NS: u64 = 3_000_000_000;
/// A gimbal silent for this long may be replaced by another, or by a poorer message.
const GIMBAL_HOLD_NS: u64 = 1_000_000_000;
/// Satellite time outside 2020-01-01 … 2100-01-01 is a receiver that does not know the time.
const UNIX_US: std::ops::Range<u64> = 1_577_836_800_000_000..4_102_444_800_000_000;

/// What became of a message.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// From someone else, or of no interest from here.
    Foreign,
    /// From the chosen vehicle; the first one ever when `chosen`.
    Ours {
        /// Whether this heartbeat made the choice.
        chosen: bool,
        /// The pose it completed.
        pose: Option<Pose>,
        /// Its answer to one of our commands.
        answer: Option<(MavCmd, MavResult)>,
    },
}

/// Facts for the status page.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) fix: Option<FixKind>,
    pub(super) sats: Option<u8>,
    pub(super) time: Option<SatelliteTime>,
    /// The flight mode of its last heartbeat.
    pub(super) mode: Option<&'static str>,
}

/// The chosen vehicle and its latest words.
///
/// Its number is chosen once per run: the configured one, or the first heard. Silence does not change
/// it, or a neighbour would be evidence of where we were. Of two see [`super::peers::Voice`].
#[derive(Debug)]
pub(super) struct Autopilot {
    /// Listen only to this system; 0 means the first heard.
    target: u8,
    own: (u8, u8),
    /// System and component of the choice.
    id: Option<(u8, u8)>,
    version: MavlinkVersion,
    clock: BootClock,
    gimbal_clock: BootClock,
    attitude: Option<(Stamp, Attitude)>,
    gps: Option<(Stamp, Gps)>,
    gimbal: Option<Aim>,
    facts: Facts,
}

/// Where a gimbal says it looks.
#[derive(Clone, Copy, Debug)]
struct Aim {
    /// 0 device status, 1 mount orientation, 2 mount status: the poorer the higher.
    rank: u8,
    /// Component and device number.
    who: (u8, u8),
    at: Stamp,
    /// `None` when the device says that it does not know.
    attitude: Option<Attitude>,
}

impl Autopilot {
    /// Nobody chosen yet; `own` is our system and component id.
    pub(super) fn new(target: u8, own: (u8, u8)) -> Self {
        Self {
            target,
            own,
            id: None,
            version: MavlinkVersion::V2,
            clock: BootClock::default(),
            gimbal_clock: BootClock::default(),
            attitude: None,
            gps: None,
            gimbal: None,
            facts: Facts::default(),
        }
    }

    /// Forgets what was told: it speaks from elsewhere now, and may be another.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            id: self.id,
            ..Self::new(self.target, self.own)
        };
    }

    /// System and component of the chosen autopilot.
    pub(super) fn id(&self) -> Option<(u8, u8)> {
        self.id
    }

    /// The MAVLink version it last spoke.
    pub(super) fn version(&self) -> MavlinkVersion {
        self.version
    }

    /// Facts for the status page.
    pub(super) fn facts(&self) -> Facts {
        self.facts
    }

    /// Takes one message that arrived at `at`.
    ///
    /// # Errors
    /// The checksum was right and the contents are not: an enumeration value nobody knows.
    pub(super) fn hear(&mut self, at: Stamp, frame: &Frame) -> Result<Heard, ParserError> {
        let Some(system) = frame.system() else {
            return Ok(Heard::Foreign);
        };
        let sender = (system, frame.component());
        if self.id.is_none() && frame.message_id() == HEARTBEAT_DATA::ID {
            let heartbeat = HEARTBEAT_DATA::deser(frame.version(), frame.payload())?;
            if self.is_wanted(sender, &heartbeat) {
                self.id = Some(sender);
                self.version = frame.version();
                self.facts.mode = mode(&heartbeat);
                return Ok(Heard::ours(true));
            }
        }
        let Some(id) = self.id.filter(|id| id.0 == system) else {
            return Ok(Heard::Foreign);
        };
        if sender == id {
            self.version = frame.version();
            self.hear_autopilot(at, frame)
        } else if gimbal::is_one(sender.1) {
            self.hear_gimbal(at, frame)
        } else {
            Ok(Heard::Foreign)
        }
    }

    /// An autopilot of the right system; not a ground station, a camera or a tracker that runs
    /// autopilot software on the ground.
    fn is_wanted(&self, sender: (u8, u8), heartbeat: &HEARTBEAT_DATA) -> bool {
        let flies = !matches!(
            heartbeat.mavtype,
            MavType::MAV_TYPE_GCS
                | MavType::MAV_TYPE_ANTENNA_TRACKER
                | MavType::MAV_TYPE_ONBOARD_CONTROLLER
                | MavType::MAV_TYPE_GIMBAL
                | MavType::MAV_TYPE_CAMERA
                | MavType::MAV_TYPE_ADSB
        );
        sender != self.own
            && sender.0 != 0
            && (self.target == 0 || self.target == sender.0)
            && heartbeat.autopilot != MavAutopilot::MAV_AUTOPILOT_INVALID
            && flies
    }

    fn hear_autopilot(&mut self, at: Stamp, frame: &Frame) -> Result<Heard, ParserError> {
        let (version, payload) = (frame.version(), frame.payload());
        match frame.message_id() {
            GLOBAL_POSITION_INT_DATA::ID => {
                let position = GLOBAL_POSITION_INT_DATA::deser(version, payload)?;
                let at = self.clock.stamp(at, position.time_boot_ms);
                return Ok(Heard::Ours {
                    chosen: false,
                    pose: self.pose(at, &position),
                    answer: None,
                });
            }
            ATTITUDE_DATA::ID => {
                let told = ATTITUDE_DATA::deser(version, payload)?;
                let at = self.clock.stamp(at, told.time_boot_ms);
                let degrees = |radians: f32| f64::from(radians).to_degrees();
                self.attitude =
                    gimbal::attitude(degrees(told.roll), degrees(told.pitch), degrees(told.yaw))
                        .map(|attitude| (at, attitude));
            }
            HEARTBEAT_DATA::ID => {
                let told = HEARTBEAT_DATA::deser(version, payload).ok();
                self.facts.mode = told.as_ref().and_then(mode);
            }
            GPS_RAW_INT_DATA::ID => {
                self.hear_gps(at, &GPS_RAW_INT_DATA::deser(version, payload)?);
            }
            SYSTEM_TIME_DATA::ID => {
                self.hear_time(at, &SYSTEM_TIME_DATA::deser(version, payload)?);
            }
            _ => return self.hear_gimbal(at, frame).map(Heard::at_least_ours),
        }
        Ok(Heard::ours(false))
    }

    /// Gimbal messages and acknowledgements, from a gimbal or from the autopilot for it.
    fn hear_gimbal(&mut self, at: Stamp, frame: &Frame) -> Result<Heard, ParserError> {
        let (version, payload) = (frame.version(), frame.payload());
        let component = frame.component();
        let heading = self
            .attitude
            .filter(|(told, _)| fresh(at, *told, ATTITUDE_FRESH_NS))
            .map(|(_, a)| a.yaw_deg);
        let aim = match frame.message_id() {
            GIMBAL_DEVICE_ATTITUDE_STATUS_DATA::ID => {
                let told = GIMBAL_DEVICE_ATTITUDE_STATUS_DATA::deser(version, payload)?;
                let clock = if Some(component) == self.id.map(|id| id.1) {
                    &mut self.clock
                } else {
                    &mut self.gimbal_clock
                };
                Aim {
                    rank: 0,
                    who: (component, told.gimbal_device_id),
                    at: clock.stamp(at, told.time_boot_ms),
                    attitude: gimbal::from_device(&told, heading),
                }
            }
            MOUNT_ORIENTATION_DATA::ID => {
                let told = MOUNT_ORIENTATION_DATA::deser(version, payload)?;
                Aim {
                    rank: 1,
                    who: (component, 0),
                    at,
                    attitude: gimbal::from_orientation(&told, heading),
                }
            }
            MOUNT_STATUS_DATA::ID => {
                let told = MOUNT_STATUS_DATA::deser(version, payload)?;
                Aim {
                    rank: 2,
                    who: (component, 0),
                    at,
                    attitude: gimbal::from_status(&told, heading),
                }
            }
            COMMAND_ACK_DATA::ID => {
                let told = COMMAND_ACK_DATA::deser(version, payload)?;
                return Ok(self.hear_answer(&told));
            }
            _ => return Ok(Heard::Foreign),
        };
        self.take(aim);
        Ok(Heard::ours(false))
    }

    /// The better message wins, and the first gimbal is kept while it speaks.
    fn take(&mut self, aim: Aim) {
        let replaces = self.gimbal.is_none_or(|kept| {
            aim.rank < kept.rank
                || (aim.rank == kept.rank && aim.who == kept.who)
                || aim.at.since(kept.at).as_nanos() > u128::from(GIMBAL_HOLD_NS)
        });
        if replaces {
            self.gimbal = Some(aim);
        }
    }

    fn hear_answer(&self, told: &COMMAND_ACK_DATA) -> Heard {
        // Zero: an autopilot without these extension fields answers whoever asked.
        let for_us = matches!(told.target_system, 0 | 255) || told.target_system == self.own.0;
        let for_component = told.target_component == 0 || told.target_component == self.own.1;
        let commanded = matches!(
            told.command,
            MavCmd::MAV_CMD_SET_MESSAGE_INTERVAL
                | MavCmd::MAV_CMD_DO_SET_RELAY
                | MavCmd::MAV_CMD_DO_SET_SERVO
        );
        let ours = commanded && for_us && for_component;
        Heard::Ours {
            chosen: false,
            pose: None,
            answer: ours.then_some((told.command, told.result)),
        }
    }

    fn hear_gps(&mut self, at: Stamp, told: &GPS_RAW_INT_DATA) {
        let gps = Gps::of(told);
        self.gps = Some((at, gps));
        self.facts.fix = Some(gps.fix);
        self.facts.sats = gps.sats;
    }

    fn hear_time(&mut self, at: Stamp, told: &SYSTEM_TIME_DATA) {
        let at = self.clock.stamp(at, told.time_boot_ms);
        let fixed = self.gps_at(at).is_some_and(|gps| gps.fix > FixKind::None);
        self.facts.time = i64::try_from(told.time_unix_usec)
            .ok()
            .filter(|_| fixed && UNIX_US.contains(&told.time_unix_usec))
            .map(|unix_us| SatelliteTime::of(unix_us, at));
    }

    fn gps_at(&self, at: Stamp) -> Option<Gps> {
        self.gps
            .filter(|(told, _)| fresh(at, *told, GPS_FRESH_NS))
            .map(|(_, gps)| gps)
    }

    /// The pose of `GLOBAL_POSITION_INT`, with what else was told lately. Without a word of the
    /// receiver its fix is [`FixKind::None`]: the position may be dead reckoning. `None` for the
    /// zeros an autopilot sends before it knows a position, and for what is off the globe.
    fn pose(&self, at: Stamp, told: &GLOBAL_POSITION_INT_DATA) -> Option<Pose> {
        let on_globe =
            told.lat.unsigned_abs() <= 900_000_000 && told.lon.unsigned_abs() <= 1_800_000_000;
        if !on_globe || (told.lat == 0 && told.lon == 0) {
            return None;
        }
        let gps = self.gps_at(at);
        let ground_cm_s = f32::from(told.vx).hypot(f32::from(told.vy));
        Some(Pose {
            at,
            lat_e7: told.lat,
            lon_e7: told.lon,
            alt_mm: Some(told.alt),
            h_acc_mm: gps.and_then(|g| g.h_acc_mm),
            hdop_e2: gps.and_then(|g| g.hdop_e2),
            pdop_e2: gps.and_then(|g| g.pdop_e2),
            satellite_us: gps
                .filter(|g| g.fix > FixKind::None)
                .and_then(|_| self.facts.time?.of_moment(at)),
            fix: gps.map_or(FixKind::None, |g| g.fix),
            sats: gps.and_then(|g| g.sats),
            heading_deg: (told.hdg < 36_000).then(|| narrowed(f64::from(told.hdg) / 100.0)),
            speed_mps: Some(ground_cm_s / 100.0),
            attitude: self
                .attitude
                .filter(|(told, _)| fresh(at, *told, ATTITUDE_FRESH_NS))
                .map(|(_, attitude)| attitude),
            camera: self
                .gimbal
                .filter(|aim| fresh(at, aim.at, ATTITUDE_FRESH_NS))
                .and_then(|aim| aim.attitude),
            source: PoseSource::Mavlink,
            sysid: self.id.map(|id| id.0),
        })
    }
}

impl Heard {
    fn ours(chosen: bool) -> Self {
        Self::Ours {
            chosen,
            pose: None,
            answer: None,
        }
    }

    /// Whatever the chosen autopilot says is from the vehicle, of interest or not.
    fn at_least_ours(self) -> Self {
        match self {
            Self::Foreign => Self::ours(false),
            ours @ Self::Ours { .. } => ours,
        }
    }
}

/// Whether two moments are at most `limit_ns` apart, either way round.
fn fresh(a: Stamp, b: Stamp, limit_ns: u64) -> bool {
    a.boot_ns.abs_diff(b.boot_ns) <= limit_ns
}

#[cfg(test)]
mod tests;
