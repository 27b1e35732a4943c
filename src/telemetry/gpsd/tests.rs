//! gpsd as it speaks, and as no gpsd should.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn arrival() -> Stamp {
    Stamp {
        // 2026-08-01T02:03:04.500Z
        utc_ns: 1_785_549_784_500_000_000,
        boot_ns: 100_000_000_000,
        error_ns: 10_000_000,
    }
}

/// The ring and the state after these lines arrived together.
fn heard(lines: &[&str]) -> (Poses, TelemetryState) {
    let (poses, state, mut receiver) = (Poses::new(), TelemetryState::new(), Receiver::default());
    for line in lines {
        if let Ok(report) = serde_json::from_str::<Report>(line) {
            hear(arrival(), &report, &mut receiver, &poses, &state);
        }
    }
    (poses, state)
}

fn only_pose(lines: &[&str]) -> Option<Pose> {
    heard(lines).0.at(arrival()).map(|placed| placed.pose)
}

const SKY: &str = r#"{"class":"SKY","device":"/dev/ttyACM0","hdop":0.84,"pdop":1.62,"nSat":3,"uSat":2,
    "satellites":[{"PRN":5,"used":true},{"PRN":7,"used":true},{"PRN":9,"used":false}]}"#;
const TPV: &str = r#"{"class":"TPV","device":"/dev/ttyACM0","mode":3,"time":"2026-08-01T02:03:04.000Z",
    "lat":36.0662345,"lon":120.3821234,"altHAE":22.0,"altMSL":12.5,"eph":3.25,"track":271.5,
    "speed":5.2}"#;

#[test]
fn a_whole_report_becomes_a_pose_at_its_own_time() {
    let pose = only_pose(&[SKY, TPV]).expect("a fix");
    assert_eq!((pose.lat_e7, pose.lon_e7), (360_662_345, 1_203_821_234));
    assert_eq!((pose.alt_mm, pose.h_acc_mm), (Some(12_500), Some(3_250)));
    assert_eq!((pose.hdop_e2, pose.sats), (Some(84), Some(2)));
    assert_eq!(pose.pdop_e2, Some(162));
    assert_eq!(pose.satellite_us, Some(1_785_549_784_000_000));
    assert_eq!((pose.heading_deg, pose.speed_mps), (Some(271.5), Some(5.2)));
    assert_eq!((pose.fix, pose.source), (FixKind::Full, PoseSource::Gpsd));
    assert_eq!(pose.at, arrival().shifted_ns(-500_000_000));
    assert_eq!((pose.attitude, pose.camera, pose.sysid), (None, None, None));
}

#[test]
fn the_offset_of_satellite_time_is_told_with_a_fix_only() {
    let now = clock::Reading {
        boot_ns: arrival().boot_ns,
        offset_ns: arrival().utc_ns.saturating_sub_unsigned(arrival().boot_ns),
        trust: clock::trust(),
    };
    let told = |lines: &[&str]| heard(lines).1.vehicle_time_at(&now);
    assert_eq!(told(&[TPV]), Some(-500_000));
    let without = r#"{"class":"TPV","mode":1,"time":"2026-08-01T02:03:04.000Z"}"#;
    assert_eq!(told(&[TPV, without]), None);
}

#[test]
fn a_clock_that_is_wrong_does_not_change_what_satellites_told() {
    let report: Report = serde_json::from_str(TPV).expect("a report");
    let wrong = Stamp {
        utc_ns: arrival().utc_ns - 63_072_000_000_000_000,
        error_ns: Stamp::ERROR_UNKNOWN,
        ..arrival()
    };
    let (poses, state, mut receiver) = (Poses::new(), TelemetryState::new(), Receiver::default());
    hear(wrong, &report, &mut receiver, &poses, &state);
    let pose = poses.at(wrong).expect("a fix").pose;
    assert_eq!(pose.at, wrong);
    assert_eq!(pose.satellite_us, Some(1_785_549_784_000_000));
    // Unless they tell none.
    let timeless = TPV.replace("2026-08-01T02:03:04.000Z", "");
    assert_eq!(only_pose(&[&timeless]).expect("a fix").satellite_us, None);
}

#[test]
fn a_time_our_clock_cannot_confirm_is_not_believed() {
    // A clock that is wrong, or nobody vouches for, or a replayed log: arrival stands.
    let seconds = |s: i64| {
        jiff::Timestamp::from_nanosecond(i128::from(arrival().utc_ns + s * 1_000_000_000)).ok()
    };
    assert_eq!(
        measured_at(arrival(), seconds(-1)),
        arrival().shifted_ns(-1_000_000_000)
    );
    assert_eq!(measured_at(arrival(), seconds(-3)), arrival());
    assert_eq!(measured_at(arrival(), seconds(1)), arrival());
    assert_eq!(measured_at(arrival(), None), arrival());
    let untrusted = Stamp {
        error_ns: Stamp::ERROR_UNKNOWN,
        ..arrival()
    };
    assert_eq!(measured_at(untrusted, seconds(-1)), untrusted);
}

#[test]
fn mode_and_status_tell_the_fix() {
    for (mode, status, expected) in [
        (0, None, FixKind::None),
        (1, Some(1), FixKind::None),
        (2, None, FixKind::Flat),
        (3, None, FixKind::Full),
        (3, Some(1), FixKind::Full),
        (3, Some(2), FixKind::Dgnss),
        (3, Some(3), FixKind::RtkFixed),
        (3, Some(4), FixKind::RtkFloat),
        // Without satellites, whatever the mode: u-blox's dead reckoning is 2, others say 3.
        (2, Some(5), FixKind::None),
        (3, Some(5), FixKind::None),
        (3, Some(6), FixKind::Flat),
        (3, Some(8), FixKind::None),
        (9, None, FixKind::None),
    ] {
        let report = Report {
            mode: Some(mode),
            status,
            ..Report::default()
        };
        assert_eq!(fix_kind(&report), expected, "{mode} {status:?}");
    }
}

#[test]
fn what_makes_no_position_makes_no_pose() {
    for line in [
        r#"{"class":"TPV","mode":1,"lat":36.0,"lon":120.0}"#,
        r#"{"class":"TPV","mode":3}"#,
        r#"{"class":"TPV","mode":3,"lat":91.0,"lon":120.0}"#,
        r#"{"class":"TPV","mode":3,"status":5,"lat":36.0,"lon":120.0,"eph":8.0,"speed":12.0}"#,
        r#"{"class":"TPV","mode":3,"lat":36.0,"lon":"east"}"#,
        r#"{"class":"SKY","hdop":1.0}"#,
        r#"{"class":"VERSION","release":"3.22"}"#,
        r#"{"class":"ERROR","message":"Unrecognized request"}"#,
        "not json",
    ] {
        assert_eq!(only_pose(&[line]), None, "{line}");
    }
}

#[test]
fn the_two_axes_stand_in_for_a_missing_horizontal_error() {
    // The height of a flat fix is one that the receiver carries on.
    let line = r#"{"class":"TPV","mode":2,"lat":36.0,"lon":120.0,"altMSL":12.5,"epx":3.0,"epy":4.0,
        "track":361.0,"speed":5.2}"#;
    let pose = only_pose(&[line]).expect("a flat fix");
    assert_eq!(
        (pose.h_acc_mm, pose.alt_mm, pose.heading_deg),
        (Some(5_000), None, None)
    );
}

#[test]
fn what_stands_has_no_direction() {
    for (speed, epd, known) in [
        (Some(0.05), None, false),
        (Some(1.4), Some(5.0), false),
        (None, None, false),
        (Some(1.5), None, true),
        (Some(1.5), Some(20.0), true),
        (Some(5.2), Some(20.5), false),
    ] {
        let report = Report {
            mode: Some(3),
            lat: Some(36.0),
            lon: Some(120.0),
            track: Some(213.5),
            speed,
            epd,
            ..Report::default()
        };
        let pose = pose((arrival(), None), &report, Sky::default()).expect("a fix");
        let wanted = known.then_some(213.5);
        assert_eq!(pose.heading_deg, wanted, "{speed:?} {epd:?}");
    }
}

/// A gateway with a receiver built in, and one on the roof: gpsd tells of both.
#[test]
fn of_two_receivers_one_is_listened_to() {
    let (poses, state, mut receiver) = (Poses::new(), TelemetryState::new(), Receiver::default());
    let (roof, inside) = (("roof", 36.1), ("inside", 36.2));
    // At which second which receiver speaks, with which fix and satellites; whose pose counts then,
    // with how many satellites, and how old it is.
    for (second, (device, lat), mode, sats, wanted) in [
        (0, inside, 1, 0, None),
        (0, roof, 3, 9, Some((36.1, None, 0))),
        (1, roof, 3, 9, Some((36.1, Some(9), 0))),
        (1, inside, 3, 4, Some((36.1, Some(9), 0))),
        (2, inside, 3, 4, Some((36.1, Some(9), 1))),
        (5, roof, 1, 0, Some((36.1, Some(9), 4))),
        (6, inside, 3, 4, Some((36.1, Some(9), 5))),
        (7, inside, 3, 4, Some((36.2, None, 0))),
        (8, inside, 3, 4, Some((36.2, Some(4), 0))),
        (9, roof, 3, 9, Some((36.2, Some(4), 1))),
    ] {
        let at = arrival().shifted_ns(second * 1_000_000_000);
        for line in [
            json!({"class": "SKY", "device": device, "uSat": sats}),
            json!({"class": "TPV", "device": device, "mode": mode, "lat": lat, "lon": 120.0}),
        ] {
            let report = serde_json::from_value(line).expect("a report");
            hear(at, &report, &mut receiver, &poses, &state);
        }
        let told = poses.at(at).map(|placed| {
            let degrees = f64::from(placed.pose.lat_e7) / 1e7;
            (degrees, placed.pose.sats, placed.age_ms / 1_000)
        });
        assert_eq!(told, wanted, "{second} s, {device}");
    }
}

#[test]
fn a_sky_without_satellites_keeps_those_counted() {
    let before = Sky {
        hdop_e2: Some(84),
        pdop_e2: Some(160),
        sats: Some(2),
    };
    let partial = Report {
        hdop: Some(0.9),
        ..Report::default()
    };
    assert_eq!(
        heard_sky(&partial, before),
        Sky {
            hdop_e2: Some(90),
            pdop_e2: Some(160),
            sats: Some(2)
        }
    );
    let listed = Report {
        satellites: vec![Satellite { used: true }, Satellite { used: false }],
        ..Report::default()
    };
    assert_eq!(
        heard_sky(&listed, before),
        Sky {
            hdop_e2: Some(84),
            pdop_e2: Some(160),
            sats: Some(1)
        }
    );
}

#[test]
fn the_port_may_be_left_out() {
    for (given, full) in [
        ("", "127.0.0.1:2947"),
        ("gpsd.local", "gpsd.local:2947"),
        ("10.0.0.1:2948", "10.0.0.1:2948"),
        ("[::1]:2948", "[::1]:2948"),
        ("[::1]", "[::1]:2947"),
    ] {
        assert_eq!(with_port(given), full);
    }
}

#[test]
fn lines_are_cut_anywhere_and_bounded() {
    let mut lines = Lines::default();
    lines.push(b"one\r\ntw");
    assert_eq!(lines.next_line().as_deref(), Some(&b"one\r"[..]));
    assert_eq!(lines.next_line(), None);
    lines.push(b"o\n\n \nthree\n");
    assert_eq!(lines.next_line().as_deref(), Some(&b"two"[..]));
    assert_eq!(lines.next_line().as_deref(), Some(&b"three"[..]));
    for _ in 0..100 {
        lines.push(&[b'x'; 4_096]);
        assert_eq!(lines.next_line(), None);
        assert!(lines.bytes.len() <= LINE_MAX + 4_096);
    }
    lines.push(b"rest\nafter\n");
    assert_eq!(lines.next_line().as_deref(), Some(&b"after"[..]));
    assert_eq!(lines.overlong, 1);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), piece in 1..50_usize) {
        let mut lines = Lines::default();
        let (poses, state, mut receiver) = (Poses::new(), TelemetryState::new(), Receiver::default());
        for piece in bytes.chunks(piece) {
            lines.push(piece);
            while let Some(line) = lines.next_line() {
                if let Ok(report) = serde_json::from_slice::<Report>(&line) {
                    hear(arrival(), &report, &mut receiver, &poses, &state);
                }
            }
        }
    }

    #[test]
    fn any_numbers_are_survived(lat in any::<f64>(), lon in any::<f64>(), eph in any::<f64>(), track in any::<f64>()) {
        let report = Report {
            mode: Some(3), lat: Some(lat), lon: Some(lon), eph: Some(eph), track: Some(track), speed: Some(track),
            alt_msl: Some(eph), hdop: Some(eph), ..Report::default()
        };
        let sky = heard_sky(&report, Sky::default());
        if let Some(pose) = pose((arrival(), None), &report, sky) {
            prop_assert!(pose.lat_e7.unsigned_abs() <= 900_000_000);
            prop_assert!(pose.lon_e7.unsigned_abs() <= 1_800_000_000);
        }
    }
}
