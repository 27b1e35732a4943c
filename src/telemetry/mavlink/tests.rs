//! Two vehicles of one number on one network, heard as from the wire.

use mavlink::dialects::ardupilotmega::{
    ATTITUDE_DATA, GIMBAL_DEVICE_ATTITUDE_STATUS_DATA, GLOBAL_POSITION_INT_DATA, GPS_RAW_INT_DATA,
    GimbalDeviceFlags, GpsFixType, HEARTBEAT_DATA, MOUNT_STATUS_DATA, MavAutopilot, MavType,
};

use super::decoder::Decoder;
use super::*;
use crate::types::FixKind;

const S: u64 = 1_000_000_000;
const OURS: &str = "127.0.0.1:14550";
const THEIRS: &str = "127.0.0.2:14550";
/// `MAV_COMP_ID_GIMBAL`.
const GIMBAL: u8 = 154;

fn heartbeat() -> MavMessage {
    MavMessage::HEARTBEAT(HEARTBEAT_DATA {
        mavtype: MavType::MAV_TYPE_QUADROTOR,
        autopilot: MavAutopilot::MAV_AUTOPILOT_ARDUPILOTMEGA,
        ..HEARTBEAT_DATA::DEFAULT
    })
}

/// Messages at a second of the vehicle's own time, which is ours.
fn boot_ms(secs: u64) -> u32 {
    u32::try_from(secs * 1000).expect("small")
}

fn position(secs: u64, lat: i32) -> MavMessage {
    MavMessage::GLOBAL_POSITION_INT(GLOBAL_POSITION_INT_DATA {
        time_boot_ms: boot_ms(secs),
        lat,
        lon: 1_203_821_234,
        ..GLOBAL_POSITION_INT_DATA::DEFAULT
    })
}

fn gps() -> MavMessage {
    MavMessage::GPS_RAW_INT(GPS_RAW_INT_DATA {
        fix_type: GpsFixType::GPS_FIX_TYPE_3D_FIX,
        ..GPS_RAW_INT_DATA::DEFAULT
    })
}

fn attitude(secs: u64) -> MavMessage {
    MavMessage::ATTITUDE(ATTITUDE_DATA {
        time_boot_ms: boot_ms(secs),
        ..ATTITUDE_DATA::DEFAULT
    })
}

/// The poorest word on where a camera looks: down by 45 degrees.
fn mount() -> MavMessage {
    MavMessage::MOUNT_STATUS(MOUNT_STATUS_DATA {
        pointing_a: -4_500,
        ..MOUNT_STATUS_DATA::DEFAULT
    })
}

/// The best word: level.
fn device(secs: u64) -> MavMessage {
    MavMessage::GIMBAL_DEVICE_ATTITUDE_STATUS(GIMBAL_DEVICE_ATTITUDE_STATUS_DATA {
        time_boot_ms: boot_ms(secs),
        q: [1.0, 0.0, 0.0, 0.0],
        flags: GimbalDeviceFlags::GIMBAL_DEVICE_FLAGS_YAW_IN_EARTH_FRAME,
        ..GIMBAL_DEVICE_ATTITUDE_STATUS_DATA::DEFAULT
    })
}

/// What a listener tells.
struct Told {
    poses: Poses,
    state: TelemetryState,
}

impl Told {
    fn new() -> Self {
        Self {
            poses: Poses::new(),
            state: TelemetryState::new(),
        }
    }

    fn listener(&self) -> Listener<'_> {
        Listener::new(
            &config::MavlinkLink::default(),
            None,
            &self.poses,
            &self.state,
        )
    }
}

fn at(secs: u64) -> Stamp {
    Stamp {
        utc_ns: 1_785_549_784_000_000_000 + i64::try_from(secs * S).expect("small"),
        boot_ns: secs * S,
        error_ns: 0,
    }
}

/// Component `component` of system 1 at `from` says `message`.
fn hear(
    listener: &mut Listener<'_>,
    secs: u64,
    (from, component): (&str, u8),
    message: &MavMessage,
) {
    let header = MavHeader {
        system_id: 1,
        component_id: component,
        sequence: 0,
    };
    let mut bytes = Vec::new();
    mavlink::write_v2_msg(&mut bytes, header, message).expect("memory");
    let mut decoder = Decoder::new();
    decoder.push(&bytes);
    let frame = decoder.next_frame().expect("a whole frame");
    listener.hear(at(secs), &frame, Some(from.parse().expect("an address")));
}

#[test]
fn a_neighbour_of_the_same_number_moves_neither_position_nor_camera_nor_answers() {
    let told = Told::new();
    let mut listener = told.listener();
    let ours: SocketAddr = OURS.parse().expect("an address");
    hear(&mut listener, 10, (OURS, 1), &heartbeat());
    hear(&mut listener, 11, (OURS, 1), &attitude(11));
    hear(&mut listener, 11, (OURS, 1), &mount());
    for message in [heartbeat(), gps(), position(11, 370_000_000)] {
        hear(&mut listener, 12, (THEIRS, 1), &message);
    }
    hear(&mut listener, 12, (THEIRS, GIMBAL), &device(11));
    assert_eq!(listener.through, Some(ours), "orders go to ours");
    assert_eq!(listener.vehicle_ns, 11 * S);
    let snapshot = told.state.snapshot();
    assert_eq!((snapshot.counters.ignored, snapshot.fix), (4, None));
    assert_eq!(told.poses.at(at(12)), None);
    hear(&mut listener, 12, (OURS, 1), &attitude(12));
    hear(&mut listener, 12, (OURS, 1), &mount());
    hear(&mut listener, 12, (THEIRS, GIMBAL), &device(12));
    hear(&mut listener, 12, (OURS, 1), &position(12, 360_000_000));
    let pose = told.poses.at(at(12)).expect("ours").pose;
    let pitch = pose.camera.map(|camera| camera.pitch_deg);
    assert_eq!((pose.lat_e7, pitch), (360_000_000, Some(-45.0)));
    // By its own gimbal's better word it looks elsewhere.
    hear(&mut listener, 13, (OURS, 1), &attitude(13));
    hear(&mut listener, 13, (OURS, GIMBAL), &device(13));
    hear(&mut listener, 13, (OURS, 1), &position(13, 360_000_000));
    let pose = told.poses.at(at(13)).expect("ours").pose;
    let pitch = pose.camera.map(|camera| camera.pitch_deg);
    assert_eq!(pitch, Some(0.0));
    assert_eq!(listener.through, Some(ours));

    // Ours is away, and the other stands in; back again, ours is ours.
    let lat = |secs| told.poses.at(at(secs)).expect("a pose").pose.lat_e7;
    hear(&mut listener, 20, (THEIRS, 1), &position(20, 370_000_000));
    hear(&mut listener, 22, (THEIRS, 1), &position(22, 370_000_000));
    assert_eq!(lat(20), 370_000_000);
    hear(&mut listener, 23, (THEIRS, 1), &attitude(23));
    hear(&mut listener, 23, (OURS, 1), &position(23, 360_000_001));
    let pose = told.poses.at(at(23)).expect("ours").pose;
    assert_eq!(pose.attitude, None, "what the other told last is not ours");
    assert_eq!(lat(22), 360_000_001, "nor a line between the two");
    hear(&mut listener, 24, (THEIRS, 1), &position(24, 370_000_000));
    assert_eq!((lat(24), listener.through), (360_000_001, Some(ours)));
}

#[test]
fn a_gimbal_is_no_sign_of_life_of_its_vehicle() {
    let told = Told::new();
    let mut listener = told.listener();
    hear(&mut listener, 10, (OURS, 1), &heartbeat());
    told.state.down("vehicle 1 is silent".to_owned());
    listener.lost = true;
    hear(&mut listener, 14, (OURS, GIMBAL), &device(14));
    assert_eq!((listener.vehicle_ns, listener.lost), (10 * S, true));
    let cause = told.state.snapshot().cause;
    assert_eq!(cause.as_deref(), Some("vehicle 1 is silent"));
    hear(&mut listener, 15, (OURS, 1), &heartbeat());
    assert_eq!((listener.vehicle_ns, listener.lost), (15 * S, false));
}

#[test]
fn a_receiver_with_a_fix_is_no_position() {
    let told = Told::new();
    let mut listener = told.listener();
    // The rate request for the position was refused: nothing but the receiver's state comes.
    hear(&mut listener, 10, (OURS, 1), &heartbeat());
    hear(&mut listener, 10, (OURS, 1), &gps());
    assert_eq!(told.state.snapshot().fix, Some(FixKind::Full));
    assert_eq!(told.poses.at(at(10)), None);
    // The receiver fell silent: a position by dead reckoning is none that counts.
    hear(&mut listener, 14, (OURS, 1), &position(14, 360_000_000));
    let placed = told.poses.at(at(14)).expect("a pose");
    assert_eq!(told.state.snapshot().fix, Some(FixKind::Full));
    assert!(!placed.tells_place() && placed.speed_mps().is_none());
    hear(&mut listener, 15, (OURS, 1), &gps());
    hear(&mut listener, 15, (OURS, 1), &position(15, 360_000_000));
    let placed = told.poses.at(at(15)).expect("a pose");
    assert!(placed.tells_place() && placed.speed_mps().is_some());
}
