//! A multicopter that circles a point and tells of it by MAVLink.
//!
//! It sends what an autopilot sends to an onboard computer, and acknowledges
//! `MAV_CMD_SET_MESSAGE_INTERVAL` without minding it: everything comes ten times a second. On its
//! relays hangs nothing; it switches them as it is told.

use std::f64::consts::TAU;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mavlink::MavHeader;
use mavlink::dialects::ardupilotmega::{
    ATTITUDE_DATA, COMMAND_ACK_DATA, GIMBAL_DEVICE_ATTITUDE_STATUS_DATA, GLOBAL_POSITION_INT_DATA,
    GPS_RAW_INT_DATA, GimbalDeviceErrorFlags, GimbalDeviceFlags, GpsFixType, HEARTBEAT_DATA,
    MavAutopilot, MavCmd, MavMessage, MavModeFlag, MavResult, MavState, MavType, SYSTEM_TIME_DATA,
};

use crate::clock;
use crate::types::Stamp;

/// One report of everything in this time.
const PERIOD_NS: u64 = 100_000_000;
/// A heartbeat every so many reports: once a second.
const HEARTBEAT_EVERY: u64 = 10;
/// Radius of the circle, metres: a hover that is not quite still. Judgement takes a vehicle that went
/// farther for one that has left the place.
const RADIUS_M: f64 = 4.0;
/// One round takes so many seconds.
const ROUND_S: f64 = 120.0;
/// Height above the ground, and of the ground above the sea, millimetres.
const HEIGHT_MM: i32 = 30_000;
const GROUND_MM: i32 = 10_000;
/// Metres in a degree of latitude (mean, WGS-84).
const DEGREE_M: f64 = 111_195.0;
/// The camera looks down by this much, degrees.
const CAMERA_PITCH: f64 = -45.0;
/// System and component of the vehicle.
const SYSTEM: u32 = 1;
const COMPONENT: u8 = 1;

/// A flying vehicle; lands when dropped.
#[derive(Debug)]
pub struct Vehicle {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Vehicle {
    /// Circles `centre` (latitude, longitude, degrees WGS-84) at 4 m and 30 m above ground,
    /// nose forward, camera on the centre, and tells `target` of it by UDP.
    ///
    /// # Errors
    /// No socket or no thread.
    pub fn start(target: SocketAddr, centre: (f64, f64)) -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let local = if target.ip().is_loopback() {
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
        } else {
            any
        };
        let socket = UdpSocket::bind(local)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut flight = Flight {
            socket,
            target,
            centre,
            begun: clock::now(),
            sequence: 0,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("demo-vehicle".to_owned())
            .spawn(move || flight.fly())?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Vehicle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A vehicle that panicked has said so already.
            drop(thread.join());
        }
    }
}

struct Flight {
    socket: UdpSocket,
    target: SocketAddr,
    centre: (f64, f64),
    begun: Stamp,
    sequence: u8,
    stop: Arc<AtomicBool>,
}

impl Flight {
    fn fly(&mut self) {
        let mut report = 0_u64;
        while !self.stop.load(Ordering::Acquire) {
            let now = clock::now();
            let flown_ns = u64::try_from(now.since(self.begun).as_nanos()).unwrap_or(u64::MAX);
            let due_ns = report.saturating_mul(PERIOD_NS);
            if flown_ns < due_ns {
                self.listen(Duration::from_nanos(due_ns - flown_ns));
                continue;
            }
            if report.is_multiple_of(HEARTBEAT_EVERY) {
                self.send(&heartbeat());
            }
            for message in messages(now, flown_ns, self.centre) {
                self.send(&message);
            }
            report += 1;
        }
    }

    /// A vehicle flies on whether it is heard or not.
    fn send(&mut self, message: &MavMessage) {
        let header = MavHeader {
            system_id: SYSTEM,
            component_id: COMPONENT,
            sequence: self.sequence,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(mavlink::consts::MAX_FRAME_SIZE);
        if mavlink::write_v2_msg(&mut bytes, header, message).is_ok() {
            drop(self.socket.send_to(&bytes, self.target));
        }
    }

    /// Waits at most this long for a command, and acknowledges it.
    fn listen(&mut self, wait: Duration) {
        let mut bytes = [0; 1_024];
        let wait = wait.max(Duration::from_millis(1));
        if self.socket.set_read_timeout(Some(wait)).is_err() {
            return;
        }
        let Ok(received) = self.socket.recv(&mut bytes) else {
            return;
        };
        let mut reader = mavlink::MavlinkReader::new(bytes.get(..received).unwrap_or_default());
        while let Ok((sender, message)) = reader.read_any_message::<MavMessage>() {
            if let MavMessage::COMMAND_LONG(command) = message {
                self.send(&MavMessage::COMMAND_ACK(COMMAND_ACK_DATA {
                    command: command.command,
                    result: match command.command {
                        MavCmd::MAV_CMD_SET_MESSAGE_INTERVAL | MavCmd::MAV_CMD_DO_SET_RELAY => {
                            MavResult::MAV_RESULT_ACCEPTED
                        }
                        _ => MavResult::MAV_RESULT_UNSUPPORTED,
                    },
                    target_system: u8::try_from(sender.system_id).unwrap_or_default(),
                    target_component: sender.component_id,
                    ..COMMAND_ACK_DATA::DEFAULT
                }));
            }
        }
    }
}

fn heartbeat() -> MavMessage {
    MavMessage::HEARTBEAT(HEARTBEAT_DATA {
        // COPTER_MODE_CIRCLE.
        custom_mode: 7,
        mavtype: MavType::MAV_TYPE_QUADROTOR,
        autopilot: MavAutopilot::MAV_AUTOPILOT_ARDUPILOTMEGA,
        base_mode: MavModeFlag::MAV_MODE_FLAG_SAFETY_ARMED
            | MavModeFlag::MAV_MODE_FLAG_CUSTOM_MODE_ENABLED,
        system_status: MavState::MAV_STATE_ACTIVE,
        mavlink_version: 3,
    })
}

/// What the vehicle tells at `now`, `flown_ns` after its start.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a made-up flight: every value is far inside its field"
)]
fn messages(now: Stamp, flown_ns: u64, centre: (f64, f64)) -> [MavMessage; 5] {
    let boot_ms = (flown_ns / 1_000_000) as u32;
    let angle = flown_ns as f64 / 1e9 / ROUND_S * TAU;
    let (north_m, east_m) = (RADIUS_M * angle.cos(), RADIUS_M * angle.sin());
    let lat = centre.0 + north_m / DEGREE_M;
    let lon = centre.1 + east_m / (DEGREE_M * centre.0.to_radians().cos());
    let (lat, lon) = ((lat * 1e7) as i32, (lon * 1e7) as i32);
    // Clockwise seen from above: the nose is a quarter turn ahead, the centre half a turn.
    let course = angle + TAU / 4.0;
    let speed_cm = RADIUS_M * TAU / ROUND_S * 100.0;
    let time_us = u64::try_from(now.utc_ns / 1_000).unwrap_or_default();
    [
        MavMessage::SYSTEM_TIME(SYSTEM_TIME_DATA {
            time_unix_usec: time_us,
            time_boot_ms: boot_ms,
        }),
        MavMessage::GPS_RAW_INT(GPS_RAW_INT_DATA {
            time_usec: time_us,
            lat,
            lon,
            alt: GROUND_MM + HEIGHT_MM,
            eph: 80,
            epv: 120,
            fix_type: GpsFixType::GPS_FIX_TYPE_3D_FIX,
            satellites_visible: 16,
            h_acc: 1_200,
            v_acc: 2_000,
            ..GPS_RAW_INT_DATA::DEFAULT
        }),
        MavMessage::ATTITUDE(ATTITUDE_DATA {
            time_boot_ms: boot_ms,
            roll: 0.0,
            pitch: -0.05,
            yaw: course as f32,
            ..ATTITUDE_DATA::DEFAULT
        }),
        MavMessage::GIMBAL_DEVICE_ATTITUDE_STATUS(GIMBAL_DEVICE_ATTITUDE_STATUS_DATA {
            time_boot_ms: boot_ms,
            q: rotation(CAMERA_PITCH.to_radians(), angle + TAU / 2.0),
            flags: GimbalDeviceFlags::GIMBAL_DEVICE_FLAGS_YAW_IN_EARTH_FRAME,
            failure_flags: GimbalDeviceErrorFlags::empty(),
            delta_yaw: f32::NAN,
            delta_yaw_velocity: f32::NAN,
            gimbal_device_id: 1,
            ..GIMBAL_DEVICE_ATTITUDE_STATUS_DATA::DEFAULT
        }),
        MavMessage::GLOBAL_POSITION_INT(GLOBAL_POSITION_INT_DATA {
            time_boot_ms: boot_ms,
            lat,
            lon,
            alt: GROUND_MM + HEIGHT_MM,
            relative_alt: HEIGHT_MM,
            vx: (speed_cm * course.cos()) as i16,
            vy: (speed_cm * course.sin()) as i16,
            vz: 0,
            hdg: (course.to_degrees().rem_euclid(360.0) * 100.0) as u16,
        }),
    ]
}

/// Quaternion (w, x, y, z) of a level camera turned by `yaw` and tilted by `pitch`, radians.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the wire carries single precision"
)]
fn rotation(pitch: f64, yaw: f64) -> [f32; 4] {
    let ((sp, cp), (sy, cy)) = ((pitch / 2.0).sin_cos(), (yaw / 2.0).sin_cos());
    [cp * cy, -sp * sy, sp * cy, cp * sy].map(|v| v as f32)
}
