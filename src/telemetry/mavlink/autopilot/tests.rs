//! What an autopilot says becomes a pose; what others say does not.

use mavlink::MavHeader;
use mavlink::dialects::ardupilotmega::{
    GimbalDeviceErrorFlags, GimbalDeviceFlags, GpsFixType, MavMessage,
};
use proptest::prelude::*;

use super::super::decoder::Decoder;
use super::*;

const OWN: (u8, u8) = (1, 191);
const BOOT_UTC_NS: i64 = 1_785_549_784_000_000_000;

/// The frames of one sender, parsed as from the wire.
fn frame(sender: (u8, u8), message: &MavMessage) -> Frame {
    let header = MavHeader {
        system_id: u32::from(sender.0),
        component_id: sender.1,
        sequence: 0,
    };
    let mut bytes = Vec::new();
    mavlink::write_v2_msg(&mut bytes, header, message).expect("memory");
    let mut decoder = Decoder::new();
    decoder.push(&bytes);
    decoder.next_frame().expect("a whole frame")
}

fn at(ms: u64) -> Stamp {
    Stamp {
        utc_ns: BOOT_UTC_NS + i64::try_from(ms * 1_000_000).expect("small"),
        boot_ns: ms * 1_000_000,
        error_ns: 0,
    }
}

fn heartbeat(mavtype: MavType, autopilot: MavAutopilot) -> MavMessage {
    MavMessage::HEARTBEAT(HEARTBEAT_DATA {
        mavtype,
        autopilot,
        ..HEARTBEAT_DATA::DEFAULT
    })
}

fn copter() -> MavMessage {
    heartbeat(
        MavType::MAV_TYPE_QUADROTOR,
        MavAutopilot::MAV_AUTOPILOT_ARDUPILOTMEGA,
    )
}

fn position(boot_ms: u32) -> MavMessage {
    MavMessage::GLOBAL_POSITION_INT(GLOBAL_POSITION_INT_DATA {
        time_boot_ms: boot_ms,
        lat: 360_662_345,
        lon: 1_203_821_234,
        alt: 42_000,
        relative_alt: 30_000,
        vx: 300,
        vy: 400,
        vz: 0,
        hdg: 9_000,
    })
}

fn gps(fix_type: GpsFixType) -> MavMessage {
    MavMessage::GPS_RAW_INT(GPS_RAW_INT_DATA {
        fix_type,
        eph: 85,
        epv: 120,
        satellites_visible: 14,
        h_acc: 1_250,
        ..GPS_RAW_INT_DATA::DEFAULT
    })
}

fn attitude(boot_ms: u32, yaw_deg: f32) -> MavMessage {
    MavMessage::ATTITUDE(ATTITUDE_DATA {
        time_boot_ms: boot_ms,
        yaw: yaw_deg.to_radians(),
        ..ATTITUDE_DATA::DEFAULT
    })
}

fn aim(boot_ms: u32, device: u8, failure_flags: GimbalDeviceErrorFlags) -> MavMessage {
    MavMessage::GIMBAL_DEVICE_ATTITUDE_STATUS(GIMBAL_DEVICE_ATTITUDE_STATUS_DATA {
        time_boot_ms: boot_ms,
        q: [1.0, 0.0, 0.0, 0.0],
        flags: GimbalDeviceFlags::GIMBAL_DEVICE_FLAGS_YAW_IN_VEHICLE_FRAME,
        delta_yaw: f32::NAN,
        failure_flags,
        gimbal_device_id: device,
        ..GIMBAL_DEVICE_ATTITUDE_STATUS_DATA::DEFAULT
    })
}

fn hear(pilot: &mut Autopilot, ms: u64, sender: (u8, u8), message: &MavMessage) -> Heard {
    pilot
        .hear(at(ms), &frame(sender, message))
        .expect("known contents")
}

fn pose_of(heard: &Heard) -> Option<Pose> {
    match heard {
        Heard::Ours { pose, .. } => *pose,
        Heard::Foreign => None,
    }
}

/// A chosen vehicle (1, 1), heard at one second of our time and of its own.
fn chosen() -> Autopilot {
    let mut pilot = Autopilot::new(0, OWN);
    assert_eq!(
        hear(&mut pilot, 1_000, (1, 1), &copter()),
        Heard::ours(true)
    );
    pilot
}

#[test]
fn the_first_autopilot_is_chosen_and_nobody_else() {
    use MavAutopilot as A;
    use MavType as T;
    let mut pilot = Autopilot::new(0, OWN);
    for (sender, mavtype, autopilot) in [
        ((255, 190), T::MAV_TYPE_GCS, A::MAV_AUTOPILOT_INVALID),
        ((254, 1), T::MAV_TYPE_GCS, A::MAV_AUTOPILOT_GENERIC),
        (
            (2, 1),
            T::MAV_TYPE_ANTENNA_TRACKER,
            A::MAV_AUTOPILOT_ARDUPILOTMEGA,
        ),
        ((1, 191), T::MAV_TYPE_QUADROTOR, A::MAV_AUTOPILOT_PX4),
        ((1, 154), T::MAV_TYPE_GIMBAL, A::MAV_AUTOPILOT_INVALID),
        ((1, 100), T::MAV_TYPE_CAMERA, A::MAV_AUTOPILOT_INVALID),
        ((0, 1), T::MAV_TYPE_QUADROTOR, A::MAV_AUTOPILOT_PX4),
    ] {
        let heard = hear(&mut pilot, 1, sender, &heartbeat(mavtype, autopilot));
        assert_eq!(heard, Heard::Foreign, "{sender:?}");
        assert_eq!(hear(&mut pilot, 1, sender, &position(1)), Heard::Foreign);
    }
    assert_eq!(hear(&mut pilot, 2, (3, 1), &copter()), Heard::ours(true));
    assert_eq!(hear(&mut pilot, 3, (4, 1), &copter()), Heard::Foreign);
    assert_eq!(hear(&mut pilot, 3, (4, 1), &position(3)), Heard::Foreign);
    assert_eq!(
        hear(&mut pilot, 3, (3, 191), &position(3)),
        Heard::Foreign,
        "another component"
    );
    let pose = pose_of(&hear(&mut pilot, 3, (3, 1), &position(3)));
    assert_eq!(pose.and_then(|p| p.sysid), Some(3));
    assert_eq!(pilot.id(), Some((3, 1)));
}

#[test]
fn a_configured_vehicle_is_waited_for() {
    let mut pilot = Autopilot::new(7, OWN);
    assert_eq!(hear(&mut pilot, 1, (3, 1), &copter()), Heard::Foreign);
    assert_eq!(hear(&mut pilot, 2, (7, 1), &copter()), Heard::ours(true));
}

#[test]
fn a_pose_holds_what_was_told_lately() {
    let mut pilot = chosen();
    hear(
        &mut pilot,
        1_010,
        (1, 1),
        &gps(GpsFixType::GPS_FIX_TYPE_3D_FIX),
    );
    hear(&mut pilot, 1_020, (1, 1), &attitude(1_020, 90.0));
    let told = MavMessage::SYSTEM_TIME(SYSTEM_TIME_DATA {
        time_unix_usec: 1_700_000_000_000_000,
        time_boot_ms: 1_020,
    });
    hear(&mut pilot, 1_020, (1, 1), &told);
    hear(
        &mut pilot,
        1_030,
        (1, 154),
        &aim(77, 0, GimbalDeviceErrorFlags::empty()),
    );
    let pose = pose_of(&hear(&mut pilot, 1_040, (1, 1), &position(1_040))).expect("a pose");
    assert_eq!(pose.at, at(1_040));
    assert_eq!((pose.lat_e7, pose.lon_e7), (360_662_345, 1_203_821_234));
    assert_eq!((pose.alt_mm, pose.h_acc_mm), (Some(42_000), Some(1_250)));
    assert_eq!(
        (pose.hdop_e2, pose.sats, pose.fix),
        (Some(85), Some(14), FixKind::Full)
    );
    assert_eq!(pose.pdop_e2, Some(147));
    // Its clock, not ours, and 20 ms later.
    assert_eq!(pose.satellite_us, Some(1_700_000_000_020_000));
    assert_eq!((pose.heading_deg, pose.speed_mps), (Some(90.0), Some(5.0)));
    assert!(
        pose.attitude
            .is_some_and(|a| (a.yaw_deg - 90.0).abs() < 0.01)
    );
    assert!(pose.camera.is_some_and(|c| (c.yaw_deg - 90.0).abs() < 0.01));
    assert_eq!((pose.source, pose.sysid), (PoseSource::Mavlink, Some(1)));
}

#[test]
fn what_was_told_long_ago_is_no_longer_said() {
    let mut pilot = chosen();
    hear(
        &mut pilot,
        1_000,
        (1, 1),
        &gps(GpsFixType::GPS_FIX_TYPE_RTK_FIXED),
    );
    hear(&mut pilot, 1_000, (1, 1), &attitude(1_000, 90.0));
    hear(
        &mut pilot,
        1_000,
        (1, 154),
        &aim(1_000, 0, GimbalDeviceErrorFlags::empty()),
    );
    let pose = pose_of(&hear(&mut pilot, 1_600, (1, 1), &position(1_600))).expect("a pose");
    assert_eq!((pose.attitude, pose.camera), (None, None));
    assert_eq!(pose.fix, FixKind::RtkFixed);
    let pose = pose_of(&hear(&mut pilot, 4_100, (1, 1), &position(4_100))).expect("a pose");
    assert_eq!(
        (pose.fix, pose.h_acc_mm, pose.sats),
        (FixKind::None, None, None)
    );
    assert_eq!((pose.pdop_e2, pose.satellite_us), (None, None));
}

#[test]
fn a_position_that_is_none_makes_no_pose() {
    let mut pilot = chosen();
    for (lat, lon) in [(0, 0), (i32::MAX, 0), (0, i32::MIN), (900_000_001, 5)] {
        let told = MavMessage::GLOBAL_POSITION_INT(GLOBAL_POSITION_INT_DATA {
            lat,
            lon,
            ..GLOBAL_POSITION_INT_DATA::DEFAULT
        });
        assert_eq!(pose_of(&hear(&mut pilot, 1_100, (1, 1), &told)), None);
    }
}

#[test]
fn unknown_values_of_the_wire_stay_unknown() {
    let mut pilot = chosen();
    let told = MavMessage::GPS_RAW_INT(GPS_RAW_INT_DATA {
        eph: u16::MAX,
        satellites_visible: u8::MAX,
        fix_type: GpsFixType::GPS_FIX_TYPE_DGPS,
        ..GPS_RAW_INT_DATA::DEFAULT
    });
    hear(&mut pilot, 1_000, (1, 1), &told);
    let mut nowhere = position(1_001);
    if let MavMessage::GLOBAL_POSITION_INT(told) = &mut nowhere {
        told.hdg = u16::MAX;
    }
    let pose = pose_of(&hear(&mut pilot, 1_001, (1, 1), &nowhere)).expect("a pose");
    assert_eq!((pose.h_acc_mm, pose.hdop_e2, pose.sats), (None, None, None));
    assert_eq!((pose.pdop_e2, pose.satellite_us), (None, None));
    assert_eq!((pose.heading_deg, pose.fix), (None, FixKind::Dgnss));
    assert_eq!(pilot.facts().fix, Some(FixKind::Dgnss));
}

#[test]
fn an_attitude_of_no_numbers_is_none() {
    let mut pilot = chosen();
    hear(&mut pilot, 1_000, (1, 1), &attitude(1_000, 90.0));
    hear(&mut pilot, 1_010, (1, 1), &attitude(1_010, f32::NAN));
    let pose = pose_of(&hear(&mut pilot, 1_020, (1, 1), &position(1_020))).expect("a pose");
    assert_eq!(pose.attitude, None);
}

#[test]
fn one_gimbal_is_kept_while_it_speaks_and_the_better_message_wins() {
    let none = GimbalDeviceErrorFlags::empty();
    let mut pilot = chosen();
    hear(&mut pilot, 1_000, (1, 1), &attitude(1_000, 10.0));
    let mount = MavMessage::MOUNT_ORIENTATION(MOUNT_ORIENTATION_DATA {
        pitch: -30.0,
        yaw: 5.0,
        ..MOUNT_ORIENTATION_DATA::DEFAULT
    });
    let pitch = |pilot: &Autopilot| pilot.gimbal.and_then(|g| g.attitude).map(|a| a.pitch_deg);
    hear(&mut pilot, 1_000, (1, 1), &mount);
    assert_eq!(pitch(&pilot), Some(-30.0));
    hear(&mut pilot, 1_100, (1, 154), &aim(5, 0, none));
    assert_eq!(pitch(&pilot), Some(0.0), "the device's own word is better");
    hear(&mut pilot, 1_200, (1, 1), &mount);
    assert_eq!(pitch(&pilot), Some(0.0));
    let lost = GimbalDeviceErrorFlags::GIMBAL_DEVICE_ERROR_FLAGS_ENCODER_ERROR;
    hear(&mut pilot, 1_300, (1, 171), &aim(5, 0, lost));
    assert_eq!(pitch(&pilot), Some(0.0), "a second gimbal is not looked at");
    hear(&mut pilot, 1_400, (1, 154), &aim(305, 0, lost));
    assert_eq!(pitch(&pilot), None, "it does not know where it looks");
    hear(&mut pilot, 2_600, (1, 1), &attitude(2_600, 10.0));
    hear(&mut pilot, 2_600, (1, 1), &mount);
    assert_eq!(pitch(&pilot), Some(-30.0), "the device fell silent");
}

fn minus_system_us(pilot: &Autopilot) -> Option<i64> {
    pilot.facts().time.map(|time| time.minus_system_us)
}

#[test]
fn satellite_time_counts_with_a_fix_and_a_sane_value() {
    let time = |unix_us: u64, boot_ms: u32| {
        MavMessage::SYSTEM_TIME(SYSTEM_TIME_DATA {
            time_unix_usec: unix_us,
            time_boot_ms: boot_ms,
        })
    };
    let true_us = u64::try_from(BOOT_UTC_NS / 1_000).expect("positive") + 1_100_000 + 2_500;
    let mut pilot = chosen();
    hear(&mut pilot, 1_100, (1, 1), &time(true_us, 1_100));
    assert_eq!(minus_system_us(&pilot), None, "no fix");
    hear(
        &mut pilot,
        1_100,
        (1, 1),
        &gps(GpsFixType::GPS_FIX_TYPE_3D_FIX),
    );
    hear(&mut pilot, 1_100, (1, 1), &time(true_us, 1_100));
    assert_eq!(minus_system_us(&pilot), Some(2_500));
    // A message that waited 300 ms in a queue says the same.
    hear(&mut pilot, 1_500, (1, 1), &time(true_us + 100_000, 1_200));
    let told = minus_system_us(&pilot).expect("told");
    assert!((2_400..=2_500).contains(&told), "{told}");
    for wrong in [0, 1_000_000, u64::MAX] {
        hear(&mut pilot, 1_600, (1, 1), &time(wrong, 1_600));
        assert_eq!(minus_system_us(&pilot), None, "{wrong}");
    }
}

#[test]
fn only_the_answer_to_our_command_counts() {
    let ack = |command, target_system, target_component| {
        MavMessage::COMMAND_ACK(COMMAND_ACK_DATA {
            command,
            result: MavResult::MAV_RESULT_UNSUPPORTED,
            target_system,
            target_component,
            ..COMMAND_ACK_DATA::DEFAULT
        })
    };
    let ours = MavCmd::MAV_CMD_SET_MESSAGE_INTERVAL;
    let mut pilot = chosen();
    for (message, counts) in [
        (ack(ours, 1, 191), true),
        (ack(ours, 0, 0), true),
        (ack(ours, 255, 190), false),
        (ack(MavCmd::MAV_CMD_NAV_LAND, 1, 191), false),
    ] {
        let Heard::Ours { answer, .. } = hear(&mut pilot, 1_000, (1, 1), &message) else {
            panic!("it is the vehicle's");
        };
        assert_eq!(answer.is_some(), counts);
    }
}

proptest! {
    #[test]
    fn any_payload_with_a_right_checksum_is_survived(
        id in prop_oneof![Just(0_u32), Just(2), Just(24), Just(30), Just(33), Just(77), Just(158), Just(265), Just(285), 0..400_u32],
        payload in proptest::collection::vec(any::<u8>(), 0..255),
        sender in prop_oneof![Just((1_u8, 1_u8)), Just((1, 154)), any::<(u8, u8)>()],
    ) {
        use mavlink::Message;
        let mut bytes = vec![0xFD, u8::try_from(payload.len()).expect("short"), 0, 0, 0, sender.0, sender.1];
        bytes.extend_from_slice(&id.to_le_bytes()[..3]);
        bytes.extend_from_slice(&payload);
        let crc = mavlink::calculate_crc(&bytes[1..], MavMessage::extra_crc(id));
        bytes.extend_from_slice(&crc.to_le_bytes());
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        let mut pilot = chosen();
        while let Some(frame) = decoder.next_frame() {
            if let Ok(Heard::Ours { pose: Some(pose), .. }) = pilot.hear(at(5_000), &frame) {
                prop_assert!(pose.lat_e7.unsigned_abs() <= 900_000_000);
                prop_assert!(pose.heading_deg.is_none_or(|d| (0.0..360.0).contains(&d)));
            }
        }
    }
}
