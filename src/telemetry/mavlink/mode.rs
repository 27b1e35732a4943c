//! The flight mode an autopilot tells in its heartbeat.
//!
//! MAVLink leaves `custom_mode` to each autopilot: ArduPilot counts the modes of its multicopters
//! (`COPTER_MODE` in MAVLink's `ardupilotmega.xml`), PX4 packs a main mode into the third byte and
//! a sub mode of AUTO into the fourth (`px4_custom_mode.h`). Of everything else the mode is
//! unknown here.

use mavlink::dialects::ardupilotmega::{HEARTBEAT_DATA, MavAutopilot, MavModeFlag, MavType};

/// `COPTER_MODE`.
const COPTER: [(u32, &str); 26] = [
    (0, "STABILIZE"),
    (1, "ACRO"),
    (2, "ALT_HOLD"),
    (3, "AUTO"),
    (4, "GUIDED"),
    (5, "LOITER"),
    (6, "RTL"),
    (7, "CIRCLE"),
    (9, "LAND"),
    (11, "DRIFT"),
    (13, "SPORT"),
    (14, "FLIP"),
    (15, "AUTOTUNE"),
    (16, "POSHOLD"),
    (17, "BRAKE"),
    (18, "THROW"),
    (19, "AVOID_ADSB"),
    (20, "GUIDED_NOGPS"),
    (21, "SMART_RTL"),
    (22, "FLOWHOLD"),
    (23, "FOLLOW"),
    (24, "ZIGZAG"),
    (25, "SYSTEMID"),
    (26, "AUTOROTATE"),
    (27, "AUTO_RTL"),
    (28, "TURTLE"),
];
/// `PX4_CUSTOM_MAIN_MODE`.
const PX4: [(u32, &str); 8] = [
    (1, "MANUAL"),
    (2, "ALTCTL"),
    (3, "POSCTL"),
    (4, PX4_AUTO),
    (5, "ACRO"),
    (6, "OFFBOARD"),
    (7, "STABILIZED"),
    (8, "RATTITUDE"),
];
const PX4_AUTO: &str = "AUTO";
/// `PX4_CUSTOM_SUB_MODE_AUTO`.
const PX4_SUB: [(u32, &str); 8] = [
    (1, "AUTO.READY"),
    (2, "AUTO.TAKEOFF"),
    (3, "AUTO.LOITER"),
    (4, "AUTO.MISSION"),
    (5, "AUTO.RTL"),
    (6, "AUTO.LAND"),
    (8, "AUTO.FOLLOW_TARGET"),
    (9, "AUTO.PRECLAND"),
];

/// The mode's name as its autopilot's documents write it; `None` when it is not known.
pub(super) fn mode(heartbeat: &HEARTBEAT_DATA) -> Option<&'static str> {
    let custom = heartbeat.custom_mode;
    let own = MavModeFlag::MAV_MODE_FLAG_CUSTOM_MODE_ENABLED;
    if !heartbeat.base_mode.contains(own) {
        return None;
    }
    match heartbeat.autopilot {
        MavAutopilot::MAV_AUTOPILOT_ARDUPILOTMEGA if is_copter(heartbeat.mavtype) => {
            named(&COPTER, custom)
        }
        MavAutopilot::MAV_AUTOPILOT_PX4 => {
            let main = named(&PX4, custom >> 16 & 0xff)?;
            let sub = named(&PX4_SUB, custom >> 24).filter(|_| main == PX4_AUTO);
            Some(sub.unwrap_or(main))
        }
        _ => None,
    }
}

fn is_copter(kind: MavType) -> bool {
    matches!(
        kind,
        MavType::MAV_TYPE_QUADROTOR
            | MavType::MAV_TYPE_HEXAROTOR
            | MavType::MAV_TYPE_OCTOROTOR
            | MavType::MAV_TYPE_TRICOPTER
            | MavType::MAV_TYPE_DODECAROTOR
            | MavType::MAV_TYPE_DECAROTOR
            | MavType::MAV_TYPE_COAXIAL
            | MavType::MAV_TYPE_HELICOPTER
    )
}

fn named(table: &[(u32, &'static str)], number: u32) -> Option<&'static str> {
    let row = table.iter().find(|(n, _)| *n == number)?;
    Some(row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_named_or_unknown() {
        use MavAutopilot::{
            MAV_AUTOPILOT_ARDUPILOTMEGA as ARDU, MAV_AUTOPILOT_GENERIC as GENERIC,
            MAV_AUTOPILOT_PX4 as PX4,
        };
        use MavType::{MAV_TYPE_FIXED_WING as PLANE, MAV_TYPE_QUADROTOR as QUAD};
        for (autopilot, mavtype, custom_mode, wanted) in [
            (ARDU, QUAD, 0, Some("STABILIZE")),
            (ARDU, QUAD, 5, Some("LOITER")),
            (ARDU, QUAD, 8, None),
            (ARDU, QUAD, u32::MAX, None),
            (ARDU, PLANE, 5, None),
            (PX4, QUAD, 3 << 16, Some("POSCTL")),
            (PX4, QUAD, 4 << 16 | 3 << 24, Some("AUTO.LOITER")),
            (PX4, QUAD, 4 << 16 | 77 << 24, Some("AUTO")),
            (PX4, PLANE, 2 << 16 | 3 << 24, Some("ALTCTL")),
            (PX4, QUAD, 0, None),
            (GENERIC, QUAD, 5, None),
        ] {
            let mut heartbeat = HEARTBEAT_DATA {
                custom_mode,
                mavtype,
                autopilot,
                base_mode: MavModeFlag::MAV_MODE_FLAG_CUSTOM_MODE_ENABLED,
                ..HEARTBEAT_DATA::DEFAULT
            };
            assert_eq!(mode(&heartbeat), wanted, "{autopilot:?} {custom_mode:#x}");
            heartbeat.base_mode = MavModeFlag::MAV_MODE_FLAG_SAFETY_ARMED;
            assert_eq!(mode(&heartbeat), None, "it does not use its own modes");
        }
    }
}
