//! Where the camera looks, from what gimbals say.
//!
//! Sources: MAVLink common message set, `GIMBAL_DEVICE_ATTITUDE_STATUS` (285) and
//! `GIMBAL_DEVICE_FLAGS` (Gimbal Protocol v2, "Gimbal Device Attitude Status"), and the messages
//! it replaced, `MOUNT_ORIENTATION` (265) and `MOUNT_STATUS` (158).

use mavlink::dialects::ardupilotmega::{
    GIMBAL_DEVICE_ATTITUDE_STATUS_DATA, GimbalDeviceErrorFlags, GimbalDeviceFlags,
    MOUNT_ORIENTATION_DATA, MOUNT_STATUS_DATA, MavComponent,
};

use super::narrowed;
use crate::types::Attitude;

/// A gimbal that reports one of these does not know where it looks.
const LOST: GimbalDeviceErrorFlags =
    GimbalDeviceErrorFlags::GIMBAL_DEVICE_ERROR_FLAGS_ENCODER_ERROR
        .union(GimbalDeviceErrorFlags::GIMBAL_DEVICE_ERROR_FLAGS_SOFTWARE_ERROR)
        .union(GimbalDeviceErrorFlags::GIMBAL_DEVICE_ERROR_FLAGS_COMMS_ERROR)
        .union(GimbalDeviceErrorFlags::GIMBAL_DEVICE_ERROR_FLAGS_CALIBRATION_RUNNING);

/// A rotation quaternion is of length 1; one further off than this was never filled in.
const NORM_SLACK: f64 = 0.05;

/// Below this horizontal part (sine of one degree) the optical axis has no bearing of its own.
const NADIR: f64 = 0.0175;

/// The camera's attitude from `GIMBAL_DEVICE_ATTITUDE_STATUS`.
///
/// The flags tell the frame of the yaw: `YAW_IN_EARTH_FRAME` north, `YAW_IN_VEHICLE_FRAME` the
/// vehicle's heading, neither (older devices) north when `YAW_LOCK` is set, else the heading.
/// Roll and pitch are against the horizon in either. The heading added is the device's own
/// `delta_yaw` where it gives one (it is to be ignored when neither frame flag is set), else
/// `heading_deg`, the autopilot's; `None` when it is needed and unknown.
pub(super) fn from_device(
    status: &GIMBAL_DEVICE_ATTITUDE_STATUS_DATA,
    heading_deg: Option<f32>,
) -> Option<Attitude> {
    if status.failure_flags.intersects(LOST) {
        return None;
    }
    let flags = status.flags;
    let earth = flags.contains(GimbalDeviceFlags::GIMBAL_DEVICE_FLAGS_YAW_IN_EARTH_FRAME);
    let vehicle = flags.contains(GimbalDeviceFlags::GIMBAL_DEVICE_FLAGS_YAW_IN_VEHICLE_FRAME);
    let locked = flags.contains(GimbalDeviceFlags::GIMBAL_DEVICE_FLAGS_YAW_LOCK);
    if earth && vehicle {
        return None;
    }
    // A device without the extension sends zero, which cannot be told from a true zero; then
    // both sources agree anyway.
    let own_heading = status.delta_yaw.is_finite() && status.delta_yaw != 0.0;
    let turn_deg = if earth || (locked && !vehicle) {
        0.0
    } else if vehicle && own_heading {
        f64::from(status.delta_yaw).to_degrees()
    } else {
        f64::from(heading_deg?)
    };
    from_quaternion(status.q, turn_deg)
}

/// The camera's attitude from `MOUNT_ORIENTATION`: degrees, yaw against north where the
/// `yaw_absolute` extension tells it, else against the vehicle's heading.
pub(super) fn from_orientation(
    mount: &MOUNT_ORIENTATION_DATA,
    heading_deg: Option<f32>,
) -> Option<Attitude> {
    let yaw_deg = if mount.yaw_absolute.is_finite() && mount.yaw_absolute != 0.0 {
        mount.yaw_absolute
    } else {
        mount.yaw + heading_deg?
    };
    attitude(
        f64::from(mount.roll),
        f64::from(mount.pitch),
        f64::from(yaw_deg),
    )
}

/// The camera's attitude from `MOUNT_STATUS`: hundredths of a degree, a pitch, b roll, c yaw
/// against the vehicle's heading.
pub(super) fn from_status(mount: &MOUNT_STATUS_DATA, heading_deg: Option<f32>) -> Option<Attitude> {
    attitude(
        f64::from(mount.pointing_b) / 100.0,
        f64::from(mount.pointing_a) / 100.0,
        f64::from(mount.pointing_c) / 100.0 + f64::from(heading_deg?),
    )
}

/// Whether a component is a gimbal: `MAV_COMP_ID_GIMBAL` and `MAV_COMP_ID_GIMBAL2` … `6`.
pub(super) fn is_one(component: u8) -> bool {
    component == MavComponent::MAV_COMP_ID_GIMBAL as u8
        || (MavComponent::MAV_COMP_ID_GIMBAL2 as u8..=MavComponent::MAV_COMP_ID_GIMBAL6 as u8)
            .contains(&component)
}

/// Degrees of any turn, brought to the ranges of [`Attitude`]; `None` unless all are finite and
/// the pitch is one.
pub(super) fn attitude(roll: f64, pitch: f64, yaw: f64) -> Option<Attitude> {
    const PITCH_MAX: f64 = 90.5;
    let sane = roll.is_finite() && yaw.is_finite() && pitch.abs() <= PITCH_MAX;
    let yaw_deg = narrowed(yaw.rem_euclid(360.0));
    sane.then(|| Attitude {
        roll_deg: narrowed((roll + 180.0).rem_euclid(360.0) - 180.0),
        pitch_deg: narrowed(pitch.clamp(-90.0, 90.0)),
        yaw_deg: if yaw_deg >= 360.0 { 0.0 } else { yaw_deg },
    })
}

/// Attitude of the optical axis (body x) from a rotation w, x, y, z (body to north-east-down),
/// turned by `turn_deg` about the vertical.
///
/// Roll, pitch and yaw are the Z-Y-X angles. Within a degree of straight down or up the axis has
/// no bearing; then yaw is where the picture's upper edge points, and roll is zero.
#[expect(
    clippy::many_single_char_names,
    reason = "the letters of the quaternion are its names"
)]
fn from_quaternion(q: [f32; 4], turn_deg: f64) -> Option<Attitude> {
    let [w, x, y, z] = q.map(f64::from);
    let norm = (w * w + x * x + y * y + z * z).sqrt();
    if !norm.is_finite() || (norm - 1.0).abs() > NORM_SLACK {
        return None;
    }
    let [w, x, y, z] = [w / norm, x / norm, y / norm, z / norm];
    let axis = [
        1.0 - 2.0 * (y * y + z * z),
        2.0 * (x * y + w * z),
        2.0 * (x * z - w * y),
    ];
    let pitch = (-axis[2]).clamp(-1.0, 1.0).asin();
    let (roll, yaw) = if axis[0].hypot(axis[1]) < NADIR {
        let down = [2.0 * (x * z + w * y), 2.0 * (y * z - w * x)];
        let side = pitch.signum();
        (0.0, (side * down[1]).atan2(side * down[0]))
    } else {
        let roll = (2.0 * (w * x + y * z)).atan2(1.0 - 2.0 * (x * x + y * y));
        (roll, axis[1].atan2(axis[0]))
    };
    attitude(
        roll.to_degrees(),
        pitch.to_degrees(),
        yaw.to_degrees() + turn_deg,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The Z-Y-X rotation of these degrees.
    fn quaternion(roll: f64, pitch: f64, yaw: f64) -> [f32; 4] {
        let half = |d: f64| (d.to_radians() / 2.0).sin_cos();
        let ((sr, cr), (sp, cp), (sy, cy)) = (half(roll), half(pitch), half(yaw));
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ]
        .map(narrowed)
    }

    fn status(q: [f32; 4], flags: GimbalDeviceFlags) -> GIMBAL_DEVICE_ATTITUDE_STATUS_DATA {
        GIMBAL_DEVICE_ATTITUDE_STATUS_DATA {
            q,
            flags,
            failure_flags: GimbalDeviceErrorFlags::empty(),
            delta_yaw: f32::NAN,
            ..GIMBAL_DEVICE_ATTITUDE_STATUS_DATA::DEFAULT
        }
    }

    fn near(got: Option<Attitude>, expected: (f32, f32, f32)) {
        let got = got.expect("an attitude");
        let off = |a: f32, b: f32| ((a - b + 540.0).rem_euclid(360.0) - 180.0).abs();
        assert!(
            off(got.roll_deg, expected.0) < 0.1
                && off(got.pitch_deg, expected.1) < 0.1
                && off(got.yaw_deg, expected.2) < 0.1,
            "{got:?} is not {expected:?}"
        );
    }

    const NONE: GimbalDeviceFlags = GimbalDeviceFlags::empty();
    const LOCK: GimbalDeviceFlags = GimbalDeviceFlags::GIMBAL_DEVICE_FLAGS_YAW_LOCK;
    const EARTH: GimbalDeviceFlags = GimbalDeviceFlags::GIMBAL_DEVICE_FLAGS_YAW_IN_EARTH_FRAME;
    const VEHICLE: GimbalDeviceFlags = GimbalDeviceFlags::GIMBAL_DEVICE_FLAGS_YAW_IN_VEHICLE_FRAME;

    #[test]
    fn the_flags_tell_the_frame_of_the_yaw() {
        let q = quaternion(0.0, -30.0, 20.0);
        near(from_device(&status(q, EARTH), None), (0.0, -30.0, 20.0));
        near(
            from_device(&status(q, EARTH), Some(90.0)),
            (0.0, -30.0, 20.0),
        );
        near(
            from_device(&status(q, VEHICLE), Some(90.0)),
            (0.0, -30.0, 110.0),
        );
        near(
            from_device(&status(q, LOCK), Some(90.0)),
            (0.0, -30.0, 20.0),
        );
        near(
            from_device(&status(q, NONE), Some(350.0)),
            (0.0, -30.0, 10.0),
        );
        assert_eq!(from_device(&status(q, VEHICLE), None), None);
        assert_eq!(from_device(&status(q, EARTH | VEHICLE), Some(1.0)), None);
    }

    #[test]
    fn the_devices_own_heading_is_preferred_where_it_counts() {
        let mut s = status(quaternion(0.0, 0.0, 20.0), VEHICLE | LOCK);
        s.delta_yaw = 1.0_f32.to_radians();
        near(from_device(&s, Some(90.0)), (0.0, 0.0, 21.0));
        s.delta_yaw = 0.0;
        near(from_device(&s, Some(90.0)), (0.0, 0.0, 110.0));
        s.flags = NONE;
        s.delta_yaw = 1.0;
        near(from_device(&s, Some(90.0)), (0.0, 0.0, 110.0));
    }

    #[test]
    fn a_gimbal_that_is_lost_or_says_nonsense_has_no_direction() {
        let mut s = status(quaternion(0.0, 0.0, 0.0), EARTH);
        s.failure_flags = GimbalDeviceErrorFlags::GIMBAL_DEVICE_ERROR_FLAGS_ENCODER_ERROR;
        assert_eq!(from_device(&s, None), None);
        s.failure_flags = GimbalDeviceErrorFlags::GIMBAL_DEVICE_ERROR_FLAGS_AT_PITCH_LIMIT;
        near(from_device(&s, None), (0.0, 0.0, 0.0));
        for q in [
            [0.0; 4],
            [f32::NAN, 0.0, 0.0, 0.0],
            [f32::INFINITY; 4],
            [2.0, 0.0, 0.0, 0.0],
        ] {
            assert_eq!(from_device(&status(q, EARTH), None), None);
        }
    }

    #[test]
    fn straight_down_the_upper_edge_gives_the_bearing() {
        for yaw in [0.0_f32, 45.0, 135.0, 270.0] {
            let q = quaternion(0.0, -90.0, f64::from(yaw));
            near(from_device(&status(q, EARTH), None), (0.0, -90.0, yaw));
        }
    }

    #[test]
    fn legacy_mounts_speak_degrees_and_hundredths() {
        let mut mount = MOUNT_ORIENTATION_DATA {
            roll: 1.0,
            pitch: -45.0,
            yaw: 30.0,
            ..MOUNT_ORIENTATION_DATA::DEFAULT
        };
        near(from_orientation(&mount, Some(350.0)), (1.0, -45.0, 20.0));
        assert_eq!(from_orientation(&mount, None), None);
        mount.yaw_absolute = 200.0;
        near(from_orientation(&mount, None), (1.0, -45.0, 200.0));
        mount.pitch = f32::NAN;
        assert_eq!(from_orientation(&mount, Some(0.0)), None);

        let mount = MOUNT_STATUS_DATA {
            pointing_a: -4_500,
            pointing_b: 100,
            pointing_c: 3_000,
            ..MOUNT_STATUS_DATA::DEFAULT
        };
        near(from_status(&mount, Some(350.0)), (1.0, -45.0, 20.0));
        let broken = MOUNT_STATUS_DATA {
            pointing_a: i32::MIN,
            ..mount
        };
        assert_eq!(from_status(&broken, Some(0.0)), None);
    }

    proptest! {
        #[test]
        fn any_rotation_reads_back(
            roll in -179.0..179.0_f64,
            pitch in -88.0..88.0_f64,
            yaw in 0.0..360.0_f64,
        ) {
            let got = from_device(&status(quaternion(roll, pitch, yaw), EARTH), None);
            near(got, (narrowed(roll), narrowed(pitch), narrowed(yaw)));
        }

        #[test]
        fn any_bits_are_an_attitude_in_range_or_none(bits in any::<[u32; 4]>(), turn in any::<f32>()) {
            let s = status(bits.map(f32::from_bits), VEHICLE);
            if let Some(a) = from_device(&s, Some(turn)) {
                prop_assert!((-180.0..=180.0).contains(&a.roll_deg));
                prop_assert!((-90.0..=90.0).contains(&a.pitch_deg));
                prop_assert!((0.0..360.0).contains(&a.yaw_deg));
            }
        }
    }
}
