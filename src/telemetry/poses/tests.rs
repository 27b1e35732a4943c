//! The ring of poses: order, age, and what lies between two of them.

use proptest::prelude::*;

use super::*;
use crate::types::FixKind;

const MS: u64 = 1_000_000;

fn at(ms: u64) -> Stamp {
    Stamp {
        utc_ns: 1_785_549_784_000_000_000 + i64::try_from(ms * MS).expect("small"),
        boot_ns: ms * MS,
        error_ns: 0,
    }
}

fn pose(ms: u64, lat_e7: i32, lon_e7: i32) -> Pose {
    Pose {
        at: at(ms),
        lat_e7,
        lon_e7,
        alt_mm: Some(30_000),
        h_acc_mm: Some(1_000),
        hdop_e2: Some(80),
        pdop_e2: Some(150),
        satellite_us: Some(1_785_000_000_000_000 + i64::try_from(ms).expect("small") * 1_000),
        fix: FixKind::Full,
        sats: Some(12),
        heading_deg: Some(350.0),
        speed_mps: Some(2.0),
        attitude: Some(Attitude {
            roll_deg: 170.0,
            pitch_deg: 0.0,
            yaw_deg: 350.0,
        }),
        camera: None,
        source: PoseSource::Mavlink,
        sysid: Some(1),
    }
}

fn ring(poses: impl IntoIterator<Item = Pose>) -> Poses {
    let ring = Poses::new();
    for pose in poses {
        ring.put(pose);
    }
    ring
}

#[test]
fn an_empty_ring_knows_nothing() {
    assert_eq!(Poses::new().at(at(5)), None);
}

#[test]
fn between_two_neighbours_the_line_is_taken() {
    let ring = ring([pose(1_000, 100, 1_000), pose(1_200, 300, -1_000)]);
    // asked ms, latitude, longitude, age ms, interpolated
    for (ms, lat, lon, age, interpolated) in [
        (900, 100, 1_000, 100, false),
        (1_000, 100, 1_000, 0, false),
        (1_050, 150, 500, 50, true),
        (1_100, 200, 0, 100, true),
        (1_190, 290, -900, 10, true),
        (1_200, 300, -1_000, 0, false),
        (3_200, 300, -1_000, 2_000, false),
    ] {
        let placed = ring.at(at(ms)).expect("within the minute");
        let got = (
            placed.pose.lat_e7,
            placed.pose.lon_e7,
            placed.age_ms,
            placed.interpolated,
        );
        assert_eq!(got, (lat, lon, age, interpolated), "at {ms} ms");
        if interpolated {
            assert_eq!(placed.pose.at, at(ms));
        }
    }
}

#[test]
fn neighbours_too_far_apart_are_not_joined() {
    let ring = ring([pose(1_000, 100, 0), pose(4_000, 400, 0)]);
    for (ms, lat, age) in [
        (2_000, 100, 1_000),
        (3_000, 400, 1_000),
        (2_499, 100, 1_499),
    ] {
        let placed = ring.at(at(ms)).expect("within the minute");
        assert_eq!(
            (placed.pose.lat_e7, placed.age_ms, placed.interpolated),
            (lat, age, false)
        );
    }
}

#[test]
fn the_satellites_time_goes_on_from_the_nearer_neighbour() {
    let told = |ms: i64| Some(1_785_000_000_000_000 + ms * 1_000);
    // The second neighbour's receiver is 20 ms late.
    let late = Pose {
        satellite_us: told(1_180),
        ..pose(1_200, 0, 0)
    };
    let both = ring([pose(1_000, 0, 0), late]);
    let at_ms = |ms| both.at(at(ms)).and_then(|placed| placed.pose.satellite_us);
    for (ms, wanted) in [
        (1_000, told(1_000)),
        (1_090, told(1_090)),
        (1_110, told(1_090)),
        (1_200, told(1_180)),
        (1_900, told(1_180)),
    ] {
        assert_eq!(at_ms(ms), wanted, "{ms}");
    }
    let silent = Pose {
        satellite_us: None,
        ..late
    };
    let one = ring([pose(1_000, 0, 0), silent])
        .at(at(1_010))
        .expect("joined");
    assert_eq!(one.pose.satellite_us, None, "one of the two did not know");
}

#[test]
fn nothing_is_said_beyond_the_minute() {
    let ring = ring([pose(100_000, 1, 1)]);
    assert!(ring.at(at(160_000)).is_some());
    assert_eq!(ring.at(at(160_001)), None);
    assert!(ring.at(at(40_000)).is_some());
    assert_eq!(ring.at(at(39_999)), None);
}

#[test]
fn the_worse_neighbour_tells_how_good_it_is() {
    let good = Pose {
        fix: FixKind::RtkFixed,
        h_acc_mm: Some(20),
        hdop_e2: Some(60),
        pdop_e2: Some(110),
        sats: Some(20),
        ..pose(0, 0, 0)
    };
    let bad = Pose {
        fix: FixKind::Flat,
        h_acc_mm: Some(9_000),
        hdop_e2: Some(300),
        pdop_e2: Some(500),
        sats: Some(4),
        ..pose(100, 0, 0)
    };
    let got = ring([good, bad]).at(at(1)).expect("joined").pose;
    assert_eq!(
        (got.fix, got.h_acc_mm, got.hdop_e2, got.sats),
        (FixKind::Flat, Some(9_000), Some(300), Some(4))
    );
    assert_eq!(got.pdop_e2, Some(500));

    let silent = Pose {
        alt_mm: None,
        h_acc_mm: None,
        heading_deg: None,
        attitude: None,
        ..bad
    };
    let got = ring([good, silent]).at(at(1)).expect("joined").pose;
    assert_eq!((got.alt_mm, got.h_acc_mm), (None, None));
    assert_eq!((got.heading_deg, got.attitude), (None, None));
}

#[test]
fn angles_go_the_shorter_way_round() {
    let turned = Pose {
        heading_deg: Some(20.0),
        attitude: Some(Attitude {
            roll_deg: -170.0,
            pitch_deg: -10.0,
            yaw_deg: 10.0,
        }),
        ..pose(100, 0, 0)
    };
    let got = ring([pose(0, 0, 0), turned])
        .at(at(50))
        .expect("joined")
        .pose;
    assert_eq!(got.heading_deg, Some(5.0));
    let attitude = got.attitude.expect("both know it");
    assert_eq!((attitude.pitch_deg, attitude.yaw_deg), (-5.0, 0.0));
    assert!((attitude.roll_deg.abs() - 180.0).abs() < 1e-3);
}

#[test]
fn the_date_line_is_crossed_the_shorter_way() {
    let ring = ring([pose(0, 0, 1_799_999_900), pose(100, 0, -1_799_999_900)]);
    let lons: Vec<i32> = [25, 50, 75]
        .map(|ms| ring.at(at(ms)).expect("joined").pose.lon_e7)
        .into();
    assert_eq!(lons, [1_799_999_950, -1_800_000_000, -1_799_999_950]);
}

#[test]
fn order_of_arrival_does_not_matter_and_the_last_word_on_a_moment_counts() {
    let mixed = ring([
        pose(300, 3, 0),
        pose(100, 9, 0),
        pose(200, 2, 0),
        pose(100, 1, 0),
    ]);
    for (ms, lat) in [(100, 1), (200, 2), (300, 3)] {
        let placed = mixed.at(at(ms)).expect("kept");
        assert_eq!((placed.pose.lat_e7, placed.age_ms), (lat, 0));
    }
}

#[test]
fn the_ring_is_a_minute_long_and_bounded() {
    let ring = Poses::new();
    for ms in 0..120_000 {
        ring.put(pose(ms, 0, 0));
    }
    assert_eq!(ring.lock().measured.len(), POSES_MAX);
    let ring = Poses::new();
    for second in 0..600 {
        ring.put(pose(second * 1_000, 0, 0));
    }
    assert_eq!(ring.lock().measured.len(), 61);
    ring.put(pose(1_000, 7, 7));
    assert_eq!(ring.lock().measured.len(), 61, "too old to keep");
}

#[test]
fn a_measurement_goes_before_the_survey() {
    let ring = Poses::new();
    ring.put(Pose {
        source: PoseSource::Fixed,
        ..pose(0, 42, 42)
    });
    assert_eq!(ring.at(at(999_999)).map(|p| p.pose.lat_e7), Some(42));
    ring.put(pose(999_000, 1, 1));
    assert_eq!(ring.at(at(999_999)).map(|p| p.pose.lat_e7), Some(1));
}

proptest! {
    #[test]
    fn whatever_is_put_every_answer_is_honest(
        moments in proptest::collection::vec((0..70_000_u64, -900_000_000..=900_000_000_i32, any::<i32>()), 1..60),
        asked in 0..80_000_u64,
    ) {
        let ring = ring(moments.iter().map(|&(ms, lat, lon)| pose(ms, lat, lon % 1_800_000_001)));
        let newest = moments.iter().map(|m| m.0).max().unwrap_or(0);
        let kept: Vec<_> = moments.iter().filter(|m| m.0 + 60_000 >= newest).collect();
        let nearest = kept.iter().map(|m| m.0.abs_diff(asked)).min();
        match ring.at(at(asked)) {
            None => prop_assert!(nearest > Some(60_000)),
            Some(placed) => {
                prop_assert_eq!(Some(placed.age_ms), nearest);
                let (lo, hi) = kept.iter().fold((i32::MAX, i32::MIN), |(lo, hi), m| (lo.min(m.1), hi.max(m.1)));
                prop_assert!((lo..=hi).contains(&placed.pose.lat_e7), "no extrapolation");
                prop_assert!(placed.pose.lon_e7.unsigned_abs() <= 1_800_000_000);
                prop_assert_eq!(placed.interpolated, placed.interpolated && placed.pose.at == at(asked));
            }
        }
    }

    #[test]
    fn what_is_kept_of_the_ring_answers_as_the_ring_does(
        moments in proptest::collection::vec(0..8_000_u64, 0..40),
        kept in 0..9_000_u64,
        reach in 0..2_500_u64,
        asked in -1.0..=1.0_f64,
    ) {
        let ring = ring(moments.iter().map(|&ms| pose(ms, i32::try_from(ms).expect("small"), 0)));
        let part = ring.round(at(kept), Duration::from_millis(reach));
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small")]
        let moment = at(kept.saturating_add_signed((asked * reach as f64) as i64));
        prop_assert_eq!(part.at(moment), ring.at(moment));
        let within = |p: &Pose| p.at.boot_ns.abs_diff(at(kept).boot_ns) <= reach * MS;
        let there = ring.lock().measured.iter().filter(|p| within(p)).count();
        prop_assert!(part.lock().measured.len() <= there + 2, "and no more than it takes");
    }

    #[test]
    fn an_angle_between_two_lies_on_the_shorter_arc(a in 0.0..360.0_f32, b in 0.0..360.0_f32, t in 0.0..=1.0_f64) {
        let got = compass(a, b, t);
        prop_assert!((0.0..360.0).contains(&got));
        let arc = way(a, b).abs();
        prop_assert!(way(a, got).abs() <= arc + 1e-3 && way(got, b).abs() <= arc + 1e-3);
        prop_assert!((way(a, got).abs() + way(got, b).abs() - arc).abs() < 1e-3);
    }

    #[test]
    fn a_longitude_between_two_lies_on_the_shorter_arc(
        a in -1_800_000_000..=1_800_000_000_i32,
        b in -1_800_000_000..=1_800_000_000_i32,
        t in 0.0..=1.0_f64,
    ) {
        let got = longitude(a, b, t);
        let arc = |x: i32, y: i32| {
            let d = i64::from(x).abs_diff(i64::from(y));
            d.min(3_600_000_000 - d)
        };
        prop_assert!(got.unsigned_abs() <= 1_800_000_000);
        prop_assert!(arc(a, got) + arc(got, b) <= arc(a, b) + 2);
    }
}
