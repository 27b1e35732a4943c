//! What may be said when: tables, and budgets over random histories with restarts.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR_NS: u64 = 60 * MINUTE;
/// An error bound as NTP gives it.
const GOOD: u64 = 20_000_000;

/// A moment by its local time in Shanghai (UTC+8, no daylight saving).
fn at(local: &str, error_ns: u64) -> Stamp {
    let utc: jiff::Timestamp = format!("{local}+08:00").parse().expect("a moment");
    let utc_ns = i64::try_from(utc.as_nanosecond()).expect("this century");
    Stamp {
        utc_ns,
        boot_ns: u64::try_from(utc_ns - 1_700_000_000_000_000_000).expect("later"),
        error_ns,
    }
}

fn ledger() -> Ledger {
    Ledger::new("boot-1")
}

fn governor(config: &config::Warn) -> Governor {
    Governor::new(config, "Asia/Shanghai", ledger()).expect("the zone is known")
}

fn ask(at: Stamp, by: &By) -> Ask<'_> {
    Ask {
        at,
        lasts: Duration::ZERO,
        zone: "kerb",
        heard_in: &[],
        case: None,
        by,
        travel: Travel::Fixed,
    }
}

fn officer() -> By {
    By::Person("officer-7".to_owned())
}

#[test]
fn by_itself_it_is_silent_at_night_and_a_person_is_not() {
    let governor = governor(&config::Warn::default());
    for (local, error, by_rule) in [
        ("2026-11-25T21:59:59", 0, Ok(0.8)),
        ("2026-11-25T22:00:00", 0, Err(Hush::Quiet)),
        ("2026-11-26T06:59:59", 0, Err(Hush::Quiet)),
        ("2026-11-26T07:00:00", 0, Ok(0.8)),
        // A clock that may be five minutes off is quiet five minutes longer.
        ("2026-11-26T07:04:00", 5 * MINUTE, Err(Hush::Quiet)),
        ("2026-11-25T21:56:00", 5 * MINUTE, Err(Hush::Quiet)),
        ("2026-11-26T07:06:00", 5 * MINUTE, Ok(0.8)),
        ("2026-11-26T12:00:00", HOUR_NS / 2, Ok(0.8)),
        ("2026-11-26T12:00:00", HOUR_NS, Err(Hush::HourUnknown)),
        (
            "2026-11-26T12:00:00",
            Stamp::ERROR_UNKNOWN,
            Err(Hush::HourUnknown),
        ),
    ] {
        let now = at(local, error);
        assert_eq!(governor.rule(&ask(now, &By::Rule)), by_rule, "{local}");
        assert_eq!(governor.rule(&ask(now, &officer())), Ok(0.8), "{local}");
    }
}

#[test]
fn what_would_sound_into_quiet_hours_is_not_begun() {
    let quieter = |from: &str, to: &str, volume| config::Hours {
        from: from.to_owned(),
        to: to.to_owned(),
        volume,
        ..config::Hours::default()
    };
    let governor = governor(&config::Warn {
        hours: vec![
            quieter("12:00", "12:01", 0.0),
            quieter("13:00", "14:00", 0.3),
        ],
        ..config::Warn::default()
    });
    for (local, error, secs, by_rule, by_person) in [
        ("21:59:50", 0, 9, Ok(0.8), 0.8),
        ("21:59:50", 0, 10, Err(Hush::Quiet), 0.8),
        ("21:59:40", 15 * SECOND, 10, Err(Hush::Quiet), 0.8),
        ("06:59:50", 0, 30, Err(Hush::Quiet), 0.8),
        // A silence that is shorter than the clip, or than what the clock may be off.
        ("11:59:50", 0, 90, Err(Hush::Quiet), 0.8),
        ("11:50:00", 20 * MINUTE, 0, Err(Hush::Quiet), 0.8),
        ("12:59:50", 0, 9, Ok(0.8), 0.8),
        ("12:59:50", 0, 30, Ok(0.3), 0.3),
    ] {
        let now = at(&format!("2026-11-25T{local}"), error);
        let officer = officer();
        let of = |by| Ask {
            lasts: Duration::from_secs(secs),
            ..ask(now, by)
        };
        assert_eq!(governor.rule(&of(&By::Rule)), by_rule, "{local} {secs} s");
        assert_eq!(governor.hour(&of(&By::Rule)), by_rule, "{local} {secs} s");
        assert_eq!(governor.rule(&of(&officer)), Ok(by_person), "{local}");
    }
}

#[test]
fn quiet_hours_may_begin_at_24_00() {
    let warn = config::Warn {
        quiet_from: "24:00".to_owned(),
        quiet_to: "06:00".to_owned(),
        ..config::Warn::default()
    };
    assert!(warn.needs_the_hour());
    let governor = governor(&warn);
    for (local, allowed) in [
        ("03:00", false),
        ("05:59", false),
        ("06:00", true),
        ("23:59", true),
    ] {
        let now = at(&format!("2026-11-26T{local}:00"), 0);
        let ruled = governor.rule(&ask(now, &By::Rule));
        assert_eq!(ruled.is_ok(), allowed, "{local}: {ruled:?}");
    }
}

#[test]
fn without_quiet_hours_the_hour_does_not_matter() {
    let governor = governor(&config::Warn {
        quiet_to: "22:00".to_owned(),
        ..config::Warn::default()
    });
    let unknown = at("2026-11-26T03:00:00", Stamp::ERROR_UNKNOWN);
    assert_eq!(governor.rule(&ask(unknown, &By::Rule)), Ok(0.8));
}

#[test]
fn hours_lower_the_volume_by_zone_and_day() {
    let hours = |zones: &[&str], days: &[&str], span: [&str; 2], volume| config::Hours {
        zones: zones.iter().map(ToString::to_string).collect(),
        days: days.iter().map(ToString::to_string).collect(),
        from: span[0].to_owned(),
        to: span[1].to_owned(),
        volume,
    };
    let governor = governor(&config::Warn {
        hours: vec![
            hours(&["kerb"], &[], ["12:00", "14:00"], 0.3),
            hours(&[], &["sun"], ["00:00", "24:00"], 0.5),
            hours(&[], &["2027-06-07"], ["08:00", "17:30"], 0.0),
            hours(&["gate"], &["fri"], ["20:00", "09:00"], 0.0),
        ],
        ..config::Warn::default()
    });
    for (zone, local, by_rule, by_person) in [
        ("kerb", "2026-11-25T11:59:00", Ok(0.8), 0.8),
        ("kerb", "2026-11-25T12:00:00", Ok(0.3), 0.3),
        ("gate", "2026-11-25T12:00:00", Ok(0.8), 0.8),
        ("gate", "2026-11-29T12:00:00", Ok(0.5), 0.5),
        ("kerb", "2026-11-29T12:00:00", Ok(0.3), 0.3),
        ("kerb", "2027-06-07T09:00:00", Err(Hush::Quiet), 0.8),
        ("kerb", "2027-06-08T09:00:00", Ok(0.8), 0.8),
        // From Friday evening to Saturday morning, and not the night before.
        ("gate", "2026-11-27T21:00:00", Err(Hush::Quiet), 0.8),
        ("gate", "2026-11-28T08:00:00", Err(Hush::Quiet), 0.8),
        ("gate", "2026-11-27T08:00:00", Ok(0.8), 0.8),
    ] {
        let (now, officer) = (at(local, GOOD), officer());
        let of = |by| Ask {
            zone,
            ..ask(now, by)
        };
        assert_eq!(governor.rule(&of(&By::Rule)), by_rule, "{zone} {local}");
        assert_eq!(
            governor.rule(&of(&officer)),
            Ok(by_person),
            "{zone} {local}"
        );
    }
    let heard_in = ["gate".to_owned(), "kerb".to_owned()];
    for (local, quietest) in [("2026-11-25T11:59:00", 0.8), ("2026-11-25T12:00:00", 0.3)] {
        let (now, officer) = (at(local, GOOD), officer());
        let at_both = Ask {
            zone: "",
            heard_in: &heard_in,
            ..ask(now, &officer)
        };
        assert_eq!(governor.rule(&at_both), Ok(quietest), "{local}");
    }
    let unknown = at("2026-11-25T12:00:00", Stamp::ERROR_UNKNOWN);
    let lowest = governor.rule(&ask(unknown, &officer()));
    assert_eq!(
        lowest,
        Ok(0.3),
        "the hour is not known, so the lowest sound"
    );
}

#[test]
fn nothing_is_said_from_a_driving_vehicle() {
    let governor = governor(&config::Warn::default());
    let noon = at("2026-11-26T12:00:00", GOOD);
    let moves = |speed, lost| Travel::Moves { speed, lost };
    for (travel, by_rule, by_person) in [
        (Travel::Fixed, Ok(0.8), Ok(0.8)),
        (moves(Some(5.5), false), Ok(0.8), Ok(0.8)),
        (
            moves(Some(8.4), false),
            Err(Hush::Drives(30)),
            Err(Hush::Drives(30)),
        ),
        (
            moves(Some(8.4), true),
            Err(Hush::Drives(30)),
            Err(Hush::Drives(30)),
        ),
        (moves(None, false), Err(Hush::SpeedUnknown), Ok(0.8)),
        (moves(None, true), Err(Hush::SpeedUnknown), Ok(0.8)),
        // Who is warned there could not be looked at again.
        (moves(Some(0.0), true), Err(Hush::PlaceUnknown), Ok(0.8)),
        (
            moves(Some(f32::NAN), false),
            Err(Hush::Drives(0)),
            Err(Hush::Drives(0)),
        ),
    ] {
        let officer = officer();
        let of = |by| Ask {
            travel,
            ..ask(noon, by)
        };
        assert_eq!(governor.rule(&of(&By::Rule)), by_rule, "{travel:?}");
        assert_eq!(governor.rule(&of(&officer)), by_person, "{travel:?}");
    }
    let flying = super::Governor::new(
        &config::Warn {
            speed_max_kmh: 0.0,
            ..config::Warn::default()
        },
        "Asia/Shanghai",
        ledger(),
    );
    let flying = flying.expect("known");
    for (travel, ruled) in [
        (moves(Some(30.0), false), Ok(0.8)),
        (moves(None, false), Ok(0.8)),
        (moves(None, true), Err(Hush::PlaceUnknown)),
    ] {
        let ask = Ask {
            travel,
            ..ask(noon, &By::Rule)
        };
        assert_eq!(flying.rule(&ask), ruled, "{travel:?}");
    }
}

#[test]
fn what_sounds_ends_only_when_the_vehicle_drives() {
    let governor = governor(&config::Warn::default());
    let moves = |speed, lost| Travel::Moves { speed, lost };
    for (travel, goes_on) in [
        (Travel::Fixed, Ok(())),
        (moves(Some(5.5), false), Ok(())),
        (moves(Some(8.4), false), Err(Hush::Drives(30))),
        // Lost meanwhile: what was begun is said to its end.
        (moves(None, false), Ok(())),
        (moves(Some(0.0), true), Ok(())),
    ] {
        for by in [By::Rule, officer()] {
            assert_eq!(governor.goes_on(&by, travel), goes_on, "{by} {travel:?}");
        }
    }
}

#[test]
fn a_clock_tells_the_hour_to_half_an_hour() {
    for (error_ns, tells) in [
        (0, true),
        (30 * MINUTE, true),
        (30 * MINUTE + 1, false),
        (Stamp::ERROR_UNKNOWN, false),
    ] {
        let now = at("2026-11-26T12:00:00", error_ns);
        assert_eq!(tells_the_hour(now), tells, "{error_ns}");
    }
}

#[test]
fn an_old_speed_says_nothing_of_now() {
    use crate::types::{FixKind, Pose, PoseSource};
    let measured = |fix, age_ms, speed_mps, h_acc_mm| Placed {
        pose: Pose {
            h_acc_mm,
            speed_mps,
            ..Pose::bare(
                at("2026-11-26T12:00:00", GOOD),
                (0, 0),
                (fix, PoseSource::Gpsd),
            )
        },
        age_ms,
        interpolated: false,
    };
    let placed = |age_ms, speed_mps| measured(FixKind::Full, age_ms, speed_mps, None);
    let vague = measured(FixKind::Full, 0, Some(2.0), Some(35_000));
    // Carried on by sensors, without satellites.
    let carried = measured(FixKind::None, 0, Some(0.0), None);
    for (placed, speed, lost) in [
        (Some(placed(5_000, Some(2.0))), Some(2.0), false),
        (Some(placed(5_001, Some(2.0))), None, true),
        (Some(placed(0, None)), None, false),
        (Some(vague), Some(2.0), true),
        (Some(carried), None, true),
        (None, None, true),
    ] {
        for source in [TelemetrySource::Gpsd, TelemetrySource::Mavlink] {
            let travel = Travel::of(source, true, placed.as_ref());
            assert_eq!(travel, Travel::Moves { speed, lost }, "{placed:?}");
        }
    }
}

#[test]
fn what_moves_and_tells_no_speed_may_drive() {
    let unknown = Travel::Moves {
        speed: None,
        lost: false,
    };
    for (source, moving, travel) in [
        (TelemetrySource::None, false, Travel::Fixed),
        (TelemetrySource::None, true, unknown),
        // A pole whose camera pans.
        (TelemetrySource::Fixed, true, Travel::Fixed),
        (TelemetrySource::Fixed, false, Travel::Fixed),
    ] {
        assert_eq!(
            Travel::of(source, moving, None),
            travel,
            "{source:?} {moving}"
        );
    }
}

#[test]
fn each_budget_counts_what_it_is_for() {
    let case = |n| Some(CaseId(Uuid::from_u128(n)));
    let mut governor = governor(&config::Warn {
        budget: Budget {
            per_case: 1,
            per_place_hour: 2,
            per_place_day: 3,
            per_hour: 3,
            per_day: 5,
            per_night: 1,
        },
        ..config::Warn::default()
    });
    let officer = officer();
    let none = |what| Some(format!("said {what} already"));
    for (local, zone, by, case, why) in [
        ("08:00", "kerb", &By::Rule, case(1), None),
        (
            "08:30",
            "kerb",
            &By::Rule,
            case(1),
            none("1 times for this case"),
        ),
        ("08:30", "kerb", &By::Rule, case(2), None),
        (
            "08:50",
            "kerb",
            &By::Rule,
            case(3),
            none("2 times at this place in an hour"),
        ),
        ("08:50", "gate", &By::Rule, case(3), None),
        ("08:55", "gate", &officer, None, none("3 times in an hour")),
        // The first is an hour old.
        ("09:00", "kerb", &officer, None, None),
        (
            "10:00",
            "kerb",
            &By::Rule,
            case(4),
            none("3 times at this place in a day"),
        ),
        ("22:30", "", &officer, None, None),
        ("23:45", "", &officer, None, none("5 times in a day")),
    ] {
        let now = at(&format!("2026-11-26T{local}:00"), GOOD);
        let ask = Ask {
            at: now,
            lasts: Duration::ZERO,
            zone,
            heard_in: &[],
            case,
            by,
            travel: Travel::Fixed,
        };
        let ruled = governor.rule(&ask);
        assert_eq!(
            ruled.as_ref().err().map(ToString::to_string),
            why,
            "{local}"
        );
        if ruled.is_ok() {
            governor.charge(&ask, "");
        }
    }
    let night = at("2026-11-27T22:00:00", GOOD);
    assert!(
        governor
            .rule(&ask(night, &officer))
            .is_err_and(|why| { why.to_string().contains("in a night") })
    );
}

#[test]
fn what_persons_order_counts_as_a_place_of_its_own() {
    let mut governor = governor(&config::Warn {
        budget: Budget {
            per_place_hour: 2,
            per_hour: 5,
            ..Budget::default()
        },
        ..config::Warn::default()
    });
    let noon = at("2026-11-26T12:00:00", GOOD);
    let (officer, heard_in) = (officer(), ["kerb".to_owned()]);
    let by_person = Ask {
        zone: "",
        heard_in: &heard_in,
        ..ask(noon, &officer)
    };
    for (ask, allowed) in [
        (ask(noon, &By::Rule), 2),
        (by_person, 2),
        // The fifth and last of the whole box.
        (
            Ask {
                zone: "gate",
                ..ask(noon, &By::Rule)
            },
            1,
        ),
    ] {
        let said = (0..4).filter(|_| {
            let ruled = governor.rule(&ask).is_ok();
            if ruled {
                governor.charge(&ask, "");
            }
            ruled
        });
        assert_eq!(said.count(), allowed, "{ask:?}");
    }
}

#[test]
fn after_a_stop_nothing_is_said_until_its_time_is_over() {
    let mut before = governor(&config::Warn::default());
    let noon = at("2026-11-26T12:00:00", GOOD);
    let line = before.stop(noon, &officer());
    let mut ledger = Ledger::new("boot-2");
    ledger.recall_stopped(&line);
    let after = Governor::new(&config::Warn::default(), "Asia/Shanghai", ledger).expect("known");
    // The other boot began with the stop.
    for (governor, booted_ns) in [(&before, 0), (&after, noon.boot_ns)] {
        for (minutes, spoken) in [(2, false), (59, false), (61, true)] {
            let mut now = noon.shifted_ns(minutes * 60_000_000_000);
            now.boot_ns -= booted_ns;
            for by in [By::Rule, By::Person("another".to_owned())] {
                let ruled = governor.rule(&ask(now, &by));
                assert_eq!(ruled.is_ok(), spoken, "{minutes} {by}");
                assert_eq!(
                    ruled.err(),
                    (!spoken).then(|| Hush::Stopped("officer-7".to_owned()))
                );
            }
        }
    }
}

#[test]
fn how_old_an_announcement_of_an_earlier_run_is() {
    let config = config::Warn {
        budget: Budget {
            per_hour: 1,
            ..Budget::default()
        },
        ..config::Warn::default()
    };
    let said = at("2026-11-26T12:00:00", GOOD);
    let line = governor(&config).charge(&ask(said, &By::Rule), "");
    // The boot it is asked in and for how long that has run, minutes; when, minutes after it was said.
    for ((boot, up), minutes, error_ns, spoken) in [
        // The boot clock tells, whatever the time is.
        (("boot-1", None), 59, GOOD, false),
        (("boot-1", None), 61, GOOD, true),
        (("boot-1", None), 61, Stamp::ERROR_UNKNOWN, true),
        // Another boot's clock means nothing; UTC tells, if it is vouched for.
        (("boot-2", Some(5)), 59, GOOD, false),
        (("boot-2", Some(5)), 61, GOOD, true),
        (("boot-2", Some(5)), 61, Stamp::ERROR_UNKNOWN, false),
        // It was before this boot began.
        (("boot-2", Some(59)), 1_000, Stamp::ERROR_UNKNOWN, false),
        (("boot-2", Some(61)), 1_000, Stamp::ERROR_UNKNOWN, true),
        // Where the kernel hides which boot it is, it may have been in this one.
        (("unknown", Some(59)), 61, Stamp::ERROR_UNKNOWN, false),
        (("unknown", Some(5)), 61, GOOD, true),
    ] {
        let mut ledger = Ledger::new(boot);
        let mut said = said;
        if boot == "unknown" {
            said.boot_ns = 0;
        }
        let mut line = line.clone();
        line["boottime_us"] = (said.boot_ns / 1_000).into();
        ledger.recall_said(&line);
        let mut now = said.shifted_ns(minutes * 60_000_000_000);
        now.error_ns = error_ns;
        if let Some(up) = up {
            now.boot_ns = up * MINUTE;
        }
        let governor = Governor::new(&config, "Asia/Shanghai", ledger).expect("known");
        let ruled = governor.rule(&ask(now, &officer()));
        assert_eq!(ruled.is_ok(), spoken, "{boot} {up:?} {minutes} {error_ns}");
    }
}

#[test]
fn a_clock_that_is_set_after_the_start_tells_how_old_everything_is() {
    let config = config::Warn::default();
    let weeks_ago = at("2026-11-02T12:00:00", GOOD);
    let mut before = governor(&config);
    // Four an hour at most, so over a day.
    let lines: Vec<Value> = (0..12)
        .map(|n| {
            before.charge(
                &ask(weeks_ago.shifted_ns(n * 3_600_000_000_000), &By::Rule),
                "",
            )
        })
        .collect();
    let mut ledger = Ledger::new("boot-2");
    for line in &lines {
        ledger.recall_said(line);
    }
    let governor = Governor::new(&config, "Asia/Shanghai", ledger).expect("known");
    let noon = Stamp {
        boot_ns: 15 * SECOND,
        ..at("2026-11-26T12:00:00", GOOD)
    };
    let unset = Stamp {
        error_ns: Stamp::ERROR_UNKNOWN,
        ..noon
    };
    let ruled = |now| governor.rule(&ask(now, &officer()));
    assert!(matches!(ruled(unset), Err(Hush::Budget { .. })));
    assert_eq!(ruled(noon.shifted_ns(40_000_000_000)), Ok(0.8));
}

#[test]
fn what_nobody_could_date_is_no_younger_than_what_was_written_next() {
    let config = config::Warn::default();
    let unset = Stamp {
        utc_ns: 20_000_000_000,
        boot_ns: 20 * SECOND,
        error_ns: Stamp::ERROR_UNKNOWN,
    };
    let stop = governor(&config).stop(unset, &officer());
    let next_day = |ledger: Ledger, error_ns| {
        let governor = Governor::new(&config, "Asia/Shanghai", ledger).expect("known");
        let now = Stamp {
            boot_ns: 60 * SECOND,
            ..at("2026-11-26T12:00:00", error_ns)
        };
        governor.rule(&ask(now, &officer()))
    };
    let stopped = Err(Hush::Stopped("officer-7".to_owned()));
    let yesterday = at("2026-11-25T12:00:00", GOOD);
    for dated in [false, true] {
        let ledger = || {
            let mut ledger = Ledger::new("boot-2");
            ledger.recall_stopped(&stop);
            if dated {
                ledger.no_later_than(yesterday.utc_ns);
            }
            ledger
        };
        let wanted = if dated { Ok(0.8) } else { stopped.clone() };
        assert_eq!(next_day(ledger(), GOOD), wanted);
        assert_eq!(
            next_day(ledger(), Stamp::ERROR_UNKNOWN),
            stopped,
            "not set yet"
        );
    }
    // Any later line of a clock that was vouched for dates it, not only the clock's own.
    let mut ledger = Ledger::new("boot-2");
    ledger.recall_stopped(&stop);
    ledger.recall_said(&governor(&config).charge(&ask(yesterday, &By::Rule), ""));
    assert_eq!(next_day(ledger, GOOD), Ok(0.8));
}

#[test]
fn what_is_no_line_is_passed_over() {
    let mut ledger = ledger();
    for body in [
        serde_json::json!({}),
        serde_json::json!([1]),
        serde_json::json!({ "by": "rule", "utc_us": 1, "boottime_us": 2 }),
        serde_json::json!({ "by": 5, "utc_us": "x" }),
    ] {
        ledger.recall_said(&body);
        ledger.recall_stopped(&body);
    }
    assert_eq!(
        ledger.within(at("2026-11-26T12:00:00", GOOD), DAY).count(),
        0
    );
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Ask {
        zone: u8,
        case: u8,
        person: bool,
        speed: f32,
    },
    Stop,
    /// Another process; the same boot or another, whose clock is vouched for or wrong by this.
    Restart {
        boot: bool,
        wrong_by: Option<i64>,
    },
    /// The clock is set right, and the journal says so.
    ClockSet,
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let ask =
        (0_u8..3, 0_u8..4, any::<bool>(), 0.0_f32..9.0).prop_map(|(zone, case, person, speed)| {
            Step::Ask {
                zone,
                case,
                person,
                speed,
            }
        });
    let wrong_by = prop_oneof![Just(None), (-DAY_NS..DAY_NS).prop_map(Some)];
    let restart =
        (any::<bool>(), wrong_by).prop_map(|(boot, wrong_by)| Step::Restart { boot, wrong_by });
    (
        0_u64..40,
        prop_oneof![12 => ask, 1 => Just(Step::Stop), 3 => restart, 1 => Just(Step::ClockSet)],
    )
}

const DAY_NS: i64 = 86_400_000_000_000;

/// Something said: when, in which zone, for which case, whether at night.
type Said = (u64, u8, Option<u8>, bool);

/// A line of the journal.
enum Told {
    Said(Value),
    Stopped(Value),
    /// By a synchronised clock, UTC nanoseconds at the latest.
    Clock(i64),
}

/// The world round the governor: true time, the boot, and the journal's lines.
struct World {
    true_ns: u64,
    boot: u64,
    booted_ns: u64,
    wrong_by: Option<i64>,
    lines: Vec<Told>,
}

impl World {
    fn now(&self) -> Stamp {
        let utc = i64::try_from(self.true_ns).expect("small") + 1_790_000_000_000_000_000;
        Stamp {
            utc_ns: utc + self.wrong_by.unwrap_or(0),
            boot_ns: self.true_ns - self.booted_ns,
            error_ns: self.wrong_by.map_or(GOOD, |_| Stamp::ERROR_UNKNOWN),
        }
    }

    fn governor(&self, config: &config::Warn) -> Governor {
        let mut ledger = Ledger::new(&self.boot.to_string());
        for line in &self.lines {
            match line {
                Told::Said(line) => ledger.recall_said(line),
                Told::Stopped(line) => ledger.recall_stopped(line),
                Told::Clock(utc_by) => ledger.no_later_than(*utc_by),
            }
        }
        Governor::new(config, "Asia/Shanghai", ledger).expect("known")
    }

    fn set_clock(&mut self) {
        self.wrong_by = None;
        let now = self.now();
        let utc_by = now.utc_ns.saturating_add_unsigned(now.error_ns);
        self.lines.push(Told::Clock(utc_by));
    }

    fn reboot(&mut self, wrong_by: Option<i64>) {
        self.boot += 1;
        self.booted_ns = self.true_ns;
        self.wrong_by = wrong_by;
    }

    /// The first noon in Shanghai that two days have gone before.
    fn wait_for_a_noon(&mut self) {
        const DAY: u64 = 24 * HOUR_NS;
        // Noon there is four o'clock UTC.
        let since_noon = (self.true_ns + 1_790_000_000 * SECOND - 4 * HOUR_NS) % DAY;
        self.true_ns += 3 * DAY - since_noon;
    }
}

/// The most of `moments` within any `window`.
fn most(moments: &[u64], window: u64) -> usize {
    let from = |start: u64| {
        moments
            .iter()
            .filter(|&&m| m >= start && m < start + window)
            .count()
    };
    moments.iter().map(|&start| from(start)).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever happens, restarts and wrong clocks among it: no budget is ever passed, by itself
    /// nothing is said in quiet hours, nothing at all after a stop; and after two quiet days it speaks
    /// again, as soon as its clock is right.
    #[test]
    fn no_history_passes_a_budget(
        steps in proptest::collection::vec(step(), 1..120),
        wakes_late in any::<bool>(),
    ) {
        let config = config::Warn {
            budget: Budget {
                per_case: 2, per_place_hour: 3, per_place_day: 6,
                per_hour: 5, per_day: 12, per_night: 2,
            },
            ..config::Warn::default()
        };
        let mut world = World {
            true_ns: 40 * HOUR_NS, boot: 0, booted_ns: 0, wrong_by: None, lines: Vec::new(),
        };
        let mut governor = world.governor(&config);
        let mut said: Vec<Said> = Vec::new();
        let mut stopped: Option<u64> = None;
        for (minutes, step) in steps {
            world.true_ns += minutes * MINUTE + 1;
            let now = world.now();
            match step {
                Step::Ask { zone, case, person, speed } => {
                    let by = if person { officer() } else { By::Rule };
                    let zone_name = format!("zone{zone}");
                    let ask = Ask {
                        at: now,
                        lasts: Duration::ZERO,
                        zone: &zone_name,
                        heard_in: &[],
                        case: (!person).then(|| CaseId(Uuid::from_u128(case.into()))),
                        by: &by,
                        travel: Travel::Moves { speed: Some(speed), lost: false },
                    };
                    if governor.rule(&ask).is_err() {
                        continue;
                    }
                    world.lines.push(Told::Said(governor.charge(&ask, "")));
                    prop_assert!(stopped.is_none_or(|at| world.true_ns >= at + HOUR_NS));
                    prop_assert!(f64::from(speed) <= 20.0 / 3.6);
                    let true_utc = now.utc_ns - world.wrong_by.unwrap_or(0);
                    let local = jiff::Timestamp::from_nanosecond(true_utc.into()).expect("near")
                        .to_zoned(jiff::tz::TimeZone::get("Asia/Shanghai").expect("known"));
                    let night = !(7..22).contains(&local.hour());
                    prop_assert!(person || !night, "by itself at {}", local);
                    said.push((world.true_ns, zone, (!person).then_some(case), night));
                }
                Step::Stop => {
                    world.lines.push(Told::Stopped(governor.stop(now, &officer())));
                    stopped = Some(world.true_ns);
                }
                Step::Restart { boot, wrong_by } => {
                    if boot {
                        world.reboot(wrong_by);
                    }
                    governor = world.governor(&config);
                }
                Step::ClockSet => world.set_clock(),
            }
        }
        // Some time the clock was right: what was never dated nobody can tell from yesterday's.
        world.set_clock();
        world.wait_for_a_noon();
        if wakes_late {
            world.reboot(Some(-DAY_NS));
            governor = world.governor(&config);
        }
        world.set_clock();
        world.true_ns += 40 * SECOND;
        prop_assert_eq!(governor.rule(&ask(world.now(), &By::Rule)), Ok(0.8));
        let of = |keep: &dyn Fn(&Said) -> bool| -> Vec<u64> {
            said.iter().filter(|s| keep(s)).map(|s| s.0).collect()
        };
        prop_assert!(most(&of(&|_| true), HOUR_NS) <= 5);
        prop_assert!(most(&of(&|_| true), 24 * HOUR_NS) <= 12);
        prop_assert!(most(&of(&|s| s.3), 24 * HOUR_NS) <= 2);
        for n in 0..4 {
            prop_assert!(most(&of(&|s| s.1 == n), HOUR_NS) <= 3);
            prop_assert!(most(&of(&|s| s.1 == n), 24 * HOUR_NS) <= 6);
            prop_assert!(of(&|s| s.2 == Some(n)).len() <= 2);
        }
    }
}
