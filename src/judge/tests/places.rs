//! Permits and hours, histories, and boxes that drive: what makes of one scene now a case, now
//! none. The configurations are read from text, as a technician and a bureau write them.

use super::super::whereabouts::Whereabouts;
use super::*;
use crate::types::{FixKind, Placed, Pose, PoseSource};

/// At 0 seconds it is Friday the 29th of May 2026, 07:13:20 in Qingdao.
pub(super) const STREET: &str = r#"
[device]
time_zone = "Asia/Shanghai"
[[camera]]
name = "cam0"
url = "rtsp://h/"
[model]
card = "card.toml"
[judge]
calendar = "calendar.toml"
[judge.street_vending]
dwell_secs = 10.0
grace_secs = 30.0
cool_down_secs = 100.0
[[zone]]
name = "kerb"
camera = "cam0"
polygon = [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]]
"#;

/// Configuration and calendar as they are read from the box's files.
pub(super) fn read(street: &str, calendar: &str) -> Loaded {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("lingmou.toml", street), ("calendar.toml", calendar)] {
        let mut file = std::fs::File::create(folder.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
    Config::read_elsewhere(&folder.path().join("lingmou.toml")).unwrap()
}

/// A street with a stall on it, under these files.
fn under(street: &str, calendar: &str) -> Street {
    let loaded = read(street, calendar);
    let mut street = Street::new();
    street.judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a").unwrap();
    street
}

fn outcomes(street: &Street) -> Vec<HitOutcome> {
    street
        .hits()
        .into_iter()
        .map(|(outcome, _)| outcome)
        .collect()
}

#[test]
fn what_is_permitted_is_told_and_nothing_else_is_done() {
    use HitOutcome::{CoolingDown, Opened, Permitted, Persisted};
    let whole = [Opened, Persisted, CoolingDown].as_slice();
    for (name, permit, wanted) in [
        ("no permit", "", whole),
        (
            "a licensed stall",
            "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\n",
            &[Permitted][..],
        ),
        (
            "in its hours",
            "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nhours = [\"06:00-08:00\"]\ndays = [\"fri\"]\n",
            &[Permitted],
        ),
        (
            "at night only",
            "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nhours = [\"18:00-02:00\"]\n",
            whole,
        ),
        (
            "on holidays only",
            "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\ndays = [\"holiday\"]\n",
            whole,
        ),
        (
            "on holidays, of which this is one",
            "holidays = [\"2026-05-29\"]\n[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\ndays = [\"holiday\"]\n",
            &[Permitted],
        ),
        (
            "until yesterday",
            "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nuntil = \"2026-05-28\"\n",
            whole,
        ),
        (
            "for other things",
            "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nroles = [\"furniture\"]\n",
            whole,
        ),
        (
            "at another place of the zone",
            "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nplace = [[0.6, 0.5], [1.0, 0.5], [1.0, 1.0], [0.6, 1.0]]\n",
            whole,
        ),
    ] {
        let mut street = under(STREET, permit);
        street.run(0.0, 50.0, |_| vec![STALL]);
        assert_eq!(outcomes(&street), wanted, "{name}");
        let warned = street.told().iter().any(|w| w == "warn");
        assert_eq!(warned, wanted == whole, "{name}");
        let permits = street.orders.iter().filter_map(|(_, o)| o.hit()?.permit);
        let named = if wanted == whole {
            vec![]
        } else {
            vec!["P1".to_owned()]
        };
        assert_eq!(permits.collect::<Vec<_>>(), named, "{name}");
    }
}

#[test]
fn what_nobody_can_name_may_be_what_is_permitted() {
    let shop = STREET.replace("\"kerb\"", "\"shop\"\nkind = \"shop_front\"");
    let shop =
        format!("{shop}[judge.out_of_store]\nroles = [\"goods\", \"object\"]\ndwell_secs = 10.0\n");
    let tables = "[[permit]]\nid = \"P1\"\nzones = [\"shop\"]\nroles = [\"furniture\"]\n";
    let others = tables.replace("P1", "P2").replace("furniture", "object");
    let both = format!("{tables}{others}");
    for (role, permits, permit) in [
        (Role::Object, tables, Some("P1")),
        (Role::Object, &both, Some("P2")),
        (Role::Goods, tables, None),
        (Role::Object, "", None),
    ] {
        let mut street = under(&shop, permits);
        street.run(0.0, 12.0, |_| vec![(1, role, 0.4, 0.8)]);
        let hits = street.orders.iter().filter_map(|(_, o)| o.hit());
        let hits: Vec<_> = hits.map(|hit| (hit.outcome, hit.permit)).collect();
        let wanted = permit.map_or(HitOutcome::Opened, |_| HitOutcome::Permitted);
        let permit = permit.map(str::to_owned);
        assert_eq!(hits, [(wanted, permit)], "{role:?} under {permits:?}");
    }
}

/// What the rule takes for a stall is one to a permit, too: no model need know what a stall is.
#[test]
fn a_permit_for_a_stall_covers_what_is_judged_as_one() {
    use super::rules::{GOODS, TRICYCLE, UMBRELLA, sight, vendor};
    let of = |roles: &str| {
        format!("[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nroles = [\"{roles}\"]\n")
    };
    let parts = STREET.replace(
        "polygon",
        "roles = [\"umbrella\", \"tricycle\", \"goods\"]\npolygon",
    );
    for (street, permit, wanted) in [
        (STREET, of("stall"), HitOutcome::Permitted),
        (&parts, of("stall"), HitOutcome::Permitted),
        (STREET, of("furniture"), HitOutcome::Opened),
    ] {
        let loaded = read(street, &permit);
        let judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a");
        let mut judge = judge.unwrap();
        let looks = (0..100_u8).map(|n| f64::from(n) * 0.2);
        let orders =
            looks.flat_map(|t| judge.step(&sight(t, &[UMBRELLA, TRICYCLE, GOODS, vendor()])));
        let orders: Vec<Order> = orders.collect();
        let first = orders.iter().find_map(Order::hit).map(|hit| hit.outcome);
        assert_eq!(first, Some(wanted), "{permit}");
    }
}

#[test]
fn two_permitted_stalls_are_two_episodes() {
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\n";
    let mut street = under(STREET, permit);
    street.run(0.0, 30.0, |_| vec![STALL, (2, Role::Stall, 0.7, 0.8)]);
    // What is not seen for a minute and then again is another.
    street.run(100.0, 130.0, |_| vec![STALL]);
    let wanted = [1, 2, 3].map(|n| (HitOutcome::Permitted, n));
    assert_eq!(street.hits(), wanted);
    let mut hits = street.orders.iter().filter_map(|(_, o)| o.hit());
    assert!(hits.all(|h| h.gates.len() == 4), "with what was seen");
}

#[test]
fn when_a_permit_ends_the_vendor_has_the_dwell_to_leave() {
    // 07:13:20 and 100 s.
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nhours = [\"06:00-07:15\"]\n";
    let mut street = under(STREET, permit);
    street.run(0.0, 109.0, |_| vec![STALL]);
    assert_eq!(outcomes(&street), [HitOutcome::Permitted]);
    street.run(109.0, 112.0, |_| vec![STALL]);
    assert_eq!(outcomes(&street)[1..], [HitOutcome::Opened]);
    // What is stated of it begins when it was not permitted any more.
    let hits = street.orders.iter().filter_map(|(_, o)| o.hit());
    let stood: Vec<Duration> = hits.map(|hit| hit.at.since(hit.since)).collect();
    let [permitted, opened] = [stood[0], stood[1]].map(|stood| stood.as_secs());
    assert_eq!((permitted, opened), (10, 10), "{stood:?}");
}

#[test]
fn what_is_stated_of_a_shop_begins_when_it_stood_beyond_the_line() {
    use super::rules::{sight, street};
    let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
    let mut opened = None;
    for step in 0..400 {
        let t = f64::from(step) * 0.2;
        // A rack, behind the line for most of a minute.
        let foot = if t < 50.0 { 0.59 } else { 0.64 };
        let rack = (1, Role::Goods, [0.70, 0.45, 0.80, foot]);
        for order in judge.step(&sight(t, &[rack])) {
            opened = opened.or(order.hit());
        }
    }
    let opened = opened.expect("a case");
    assert_eq!(opened.at.since(opened.since).as_secs(), 20, "{opened:?}");
}

#[test]
fn when_a_permit_begins_in_the_grace_time_nobody_has_persisted() {
    // 07:14 is at 40 s: warned at 10 s, looked again at 40 s.
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nhours = [\"07:14-08:00\"]\n";
    let mut street = under(STREET, permit);
    street.run(0.0, 60.0, |_| vec![STALL]);
    let told = street.told();
    assert_eq!(told.last().unwrap(), "discard permitted by now (P1)");
}

#[test]
fn a_zone_is_judged_in_its_hours_and_only_when_the_time_is_known() {
    let hours =
        |hours: &str| STREET.replace("[[zone]]", &format!("[[zone]]\nhours = [\"{hours}\"]"));
    for (name, street, known, opens) in [
        ("always", STREET.to_owned(), true, true),
        ("always, time unknown", STREET.to_owned(), false, true),
        ("in hours", hours("07:00-09:00"), true, true),
        ("out of hours", hours("09:00-22:00"), true, false),
        ("time unknown", hours("07:00-09:00"), false, false),
    ] {
        let mut judge = under(&street, "").judge;
        let mut opened = false;
        for step in 0..100 {
            let mut scene = scene(f64::from(step) * 0.2, &[STALL]);
            if !known {
                scene.at.error_ns = Stamp::ERROR_UNKNOWN;
                scene.tracks[0].last_seen = scene.at;
            }
            opened |= !judge.step(&scene).is_empty();
        }
        assert_eq!(opened, opens, "{name}");
    }
}

#[test]
fn the_hours_of_one_zone_are_not_those_of_another() {
    let other = "[[zone]]\nname = \"other\"\ncamera = \"cam0\"\nhours = [\"09:00-22:00\"]\n\
                 polygon = [[0.0, 0.0], [0.2, 0.0], [0.2, 0.2], [0.0, 0.2]]\n";
    for text in [
        format!("{STREET}{other}"),
        STREET.replace("[[zone]]", &format!("{other}[[zone]]")),
    ] {
        let mut street = under(&text, "");
        street.run(0.0, 50.0, |_| vec![STALL]);
        assert_eq!(street.told().last().unwrap(), "seal persisted", "{text}");
    }
}

/// At 100 s it is 07:15:00, give or take what the clock may be off.
#[test]
fn what_a_clock_that_may_be_off_leaves_open_is_permitted_and_not_judged() {
    use HitOutcome::{Opened, Permitted};
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nhours = [\"06:00-07:15\"]\n";
    let late = STREET.replace("[[zone]]", "[[zone]]\nhours = [\"07:15-09:00\"]");
    for (street, permits, off, told) in [
        (STREET, permit, 1.0, &[Permitted, Opened][..]),
        (STREET, permit, 60.0, &[Permitted]),
        (&late, "", 1.0, &[Opened]),
        (&late, "", 60.0, &[]),
    ] {
        let mut judge = under(street, permits).judge;
        let mut outcomes = Vec::new();
        for step in 0..650 {
            let t = f64::from(step) * 0.2;
            let mut scene = scene(t, &[STALL]);
            scene.at.error_ns = (off * 1e9) as u64;
            scene.tracks[0].last_seen = scene.at;
            let orders = judge.step(&scene);
            outcomes.extend(orders.iter().filter_map(Order::hit).map(|hit| hit.outcome));
        }
        assert_eq!(outcomes, told, "{permits} off by {off} s");
    }
}

#[test]
fn an_unknown_time_is_taken_for_a_permitted_one() {
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nhours = [\"18:00-19:00\"]\n";
    let mut judge = under(STREET, permit).judge;
    for step in 0..100 {
        let mut scene = scene(f64::from(step) * 0.2, &[STALL]);
        scene.at.error_ns = Stamp::ERROR_UNKNOWN;
        scene.tracks[0].last_seen = scene.at;
        let orders = judge.step(&scene);
        let hits = orders.iter().filter_map(Order::hit).map(|h| h.outcome);
        assert!(
            hits.into_iter().all(|o| o == HitOutcome::Permitted),
            "{orders:?}"
        );
        assert!(!orders.iter().any(|o| matches!(o, Order::Warn { .. })));
    }
}

#[test]
fn the_first_time_is_reminded_and_the_second_recorded() {
    use HitOutcome::{Opened, Persisted, Reminded};
    let remind = STREET.replace(
        "dwell_secs",
        "first_time = \"remind\"\nhistory_days = 1\ndwell_secs",
    );
    for boot in ["boot-a", "boot-b"] {
        let mut street = under(&remind, "");
        street.run(0.0, 60.0, |_| vec![STALL]);
        assert_eq!(outcomes(&street)[..2], [Opened, Reminded]);
        assert!(!street.told().iter().any(|w| w.starts_with("seal")));
        let saved = street.judge.book();
        street.orders.clear();
        let loaded = read(&remind, "");
        street.judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), boot).unwrap();
        street.judge.resume(&saved, |_| None).unwrap();
        street.run(300.0, 360.0, |_| vec![STALL]);
        assert_eq!(outcomes(&street)[..2], [Opened, Persisted], "{boot}");
        let prior = street.orders.iter().find_map(|(_, o)| match o {
            Order::Seal { record, .. } => Some(record.prior),
            _ => None,
        });
        assert_eq!(prior, Some(Some(1)));
        // Two days later nothing is remembered.
        street.orders.clear();
        street.run(172_800.0, 172_860.0, |_| vec![STALL]);
        assert_eq!(outcomes(&street)[..2], [Opened, Reminded], "{boot}");
    }
}

#[test]
fn a_history_is_of_one_place_and_of_ages_that_can_be_told() {
    type Later = fn(f64) -> Scene;
    let remind = STREET.replace(
        "dwell_secs",
        "first_time = \"remind\"\nhistory_days = 1\ndwell_secs",
    );
    let plays: [(&str, Later, HitOutcome); 5] = [
        (
            "at the same place",
            |t| seen_from(t, &[STALL], Some(0.0)),
            HitOutcome::Persisted,
        ),
        (
            "at another place of the zone",
            |t| seen_from(t, &[(1, Role::Stall, 0.7, 0.8)], Some(0.0)),
            HitOutcome::Reminded,
        ),
        (
            "at the same place of the picture, in another street",
            |t| seen_from(t, &[STALL], Some(500.0)),
            HitOutcome::Reminded,
        ),
        (
            "much larger",
            |t| {
                let mut scene = seen_from(t, &[STALL], Some(0.0));
                let area = &mut scene.tracks[0].detection.area;
                (area.x1, area.y0) = (0.55, 0.5);
                scene
            },
            HitOutcome::Reminded,
        ),
        (
            "at a time that nobody vouches for",
            |t| {
                let mut scene = seen_from(t, &[STALL], Some(0.0));
                scene.at.error_ns = Stamp::ERROR_UNKNOWN;
                scene.tracks[0].last_seen = scene.at;
                scene
            },
            HitOutcome::Reminded,
        ),
    ];
    for (name, later, wanted) in plays {
        let mut judge = under(&remind, "").judge;
        let mut ends = Vec::new();
        for step in 0..600 {
            let t = f64::from(step) * 0.2;
            // The first is reminded; the cool-down is over at 112 s.
            let now = if t < 15.0 {
                seen_from(t, &[STALL], Some(0.0))
            } else {
                later(t + 200.0)
            };
            for order in judge.step(&now) {
                if let Order::Warn { case, .. } = &order {
                    judge.hear(report(*case, t, true));
                }
                let outcome = order.hit().map(|h| h.outcome).filter(|o| o.ends());
                ends.extend(outcome);
            }
        }
        assert_eq!(ends[..2], [HitOutcome::Reminded, wanted], "{name}");
    }
}

/// The scene as seen from `east_m` metres beside the place where the car first stood.
pub(super) fn seen_from(t: f64, things: &[Thing], east_m: Option<f64>) -> Scene {
    let mut scene = scene(t, things);
    scene.place = east_m.map(|east_m| Placed {
        pose: Pose {
            h_acc_mm: Some(2_000),
            ..Pose::bare(
                scene.at,
                (0, (east_m / 111_195.0 * 1e7) as i32),
                (FixKind::Full, PoseSource::Gpsd),
            )
        },
        age_ms: 100,
        interpolated: true,
    });
    scene
}

#[test]
fn a_position_counts_while_it_is_fresh() {
    let seen = |fix, age_ms| {
        let mut scene = seen_from(0.0, &[], Some(0.0));
        let placed = scene.place.as_mut().expect("placed");
        (placed.pose.fix, placed.age_ms) = (fix, age_ms);
        Whereabouts::of(&scene).is_some()
    };
    assert!(seen(FixKind::Full, 5_000));
    assert!(!seen(FixKind::Full, 5_001), "old");
    assert!(!seen(FixKind::None, 0), "none");
    assert!(Whereabouts::of(&scene(0.0, &[])).is_none());
}

#[test]
fn a_car_that_left_proves_nothing_and_one_that_is_lost_waits() {
    type Way = fn(f64) -> Option<f64>;
    let ways: [(&str, Way, &str); 5] = [
        ("it stands", |_| Some(0.0), "seal persisted"),
        (
            "its receiver trembles",
            |t| Some((t * 7.0).sin() * 4.0),
            "seal persisted",
        ),
        (
            "it drives on in the grace time, to another stall",
            |t| Some(if t < 20.0 { 0.0 } else { 300.0 }),
            "discard left the place",
        ),
        (
            "no position for a while, and then the same",
            |t| Some(0.0).filter(|_| !(15.0..45.0).contains(&t)),
            "seal persisted",
        ),
        (
            "no position for a while, and then another",
            |t| {
                if t < 15.0 {
                    Some(0.0)
                } else {
                    Some(90.0).filter(|_| t > 45.0)
                }
            },
            "discard left the place",
        ),
    ];
    for (name, way, wanted) in ways {
        let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
        let mut end = None;
        let mut warnings = 0;
        for step in 0..300 {
            let t = f64::from(step) * 0.2;
            for order in judge.step(&seen_from(t, &[STALL], way(t))) {
                if let Order::Warn { case, .. } = &order {
                    warnings += 1;
                    judge.hear(report(*case, t, true));
                }
                if order.hit().is_some_and(|h| h.outcome.ends()) {
                    end = end.or_else(|| Some(word(&order)));
                }
            }
        }
        assert_eq!(end.as_deref(), Some(wanted), "{name}");
        // At another place of the street another stall may be warned.
        assert_eq!(
            warnings,
            if wanted.starts_with("seal") { 1 } else { 2 },
            "{name}"
        );
    }
}

#[test]
fn a_car_that_was_switched_off_in_the_grace_time_goes_on_or_has_left() {
    for (east_m, wanted) in [(0.0, "seal persisted"), (500.0, "discard left the place")] {
        let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
        for step in 0..100 {
            let t = f64::from(step) * 0.2;
            for order in judge.step(&seen_from(t, &[STALL], Some(0.0))) {
                if let Order::Warn { case, .. } = &order {
                    judge.hear(report(*case, t, true));
                }
            }
        }
        let saved = judge.book();
        let mut judge = judging(&config(), all_roles(), "boot-b").unwrap();
        judge.resume(&saved, |_| None).unwrap();
        let mut ends = Vec::new();
        for step in 0..150 {
            let t = 60.0 + f64::from(step) * 0.2;
            // Satellites are found after ten seconds.
            let place = Some(east_m).filter(|_| step > 50);
            let orders = judge.step(&seen_from(t, &[STALL], place));
            let over = orders
                .iter()
                .filter(|o| o.hit().is_some_and(|h| h.outcome.ends()));
            ends.extend(over.map(word));
        }
        assert_eq!(ends, [wanted], "{east_m}");
    }
}

#[test]
fn another_thing_at_the_place_is_not_the_one_that_was_warned() {
    let others: [(&str, Thing); 2] = [
        ("of another role", (5, Role::Umbrella, 0.4, 0.8)),
        ("at another place", (5, Role::Stall, 0.46, 0.8)),
    ];
    for (name, other) in others {
        let mut street = Street::new();
        street.run(0.0, 20.0, |_| vec![STALL]);
        street.run(20.0, 70.0, |_| vec![other]);
        let told = street.told();
        let end = told.iter().find(|word| word.starts_with("seal"));
        assert_eq!(end.unwrap(), "seal corrected", "{name}");
    }
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut end = None;
    for step in 0..350 {
        let t = f64::from(step) * 0.2;
        let mut scene = scene(t, &[STALL]);
        if t > 20.0 {
            // Its box is two thirds as wide and as high: less than half its size.
            let area = &mut scene.tracks[0].detection.area;
            (area.x1, area.y0) = (0.4 + 0.067, 0.8 - 0.133);
        }
        for order in judge.step(&scene) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
            if order.hit().is_some_and(|h| h.outcome.ends()) {
                end = end.or_else(|| Some(word(&order)));
            }
        }
    }
    assert_eq!(end.as_deref(), Some("seal corrected"), "much smaller");
}

/// Two cameras that look at one stall, with a zone each that announces this number.
fn two_cameras(numbers: [&str; 2], mut config: Config) -> Config {
    config.camera.push(config::Camera {
        name: "cam1".to_owned(),
        ..Default::default()
    });
    let mut second = config.zone[0].clone();
    (second.name, second.camera) = ("kerb1".to_owned(), "cam1".to_owned());
    config.zone.push(second);
    let [first, second] = numbers.map(ToOwned::to_owned);
    let last = config.zone.len() - 1;
    (config.zone[0].public_id, config.zone[last].public_id) = (first, second);
    config
}

#[test]
fn what_two_cameras_see_of_one_announced_place_is_warned_once() {
    for (numbers, warned) in [
        (["P-7", "P-7"], [(0, 10), (1, 140)]),
        (["P-7", "P-8"], [(0, 10), (1, 10)]),
        (["", ""], [(0, 10), (1, 10)]),
    ] {
        let config = two_cameras(numbers, config());
        let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
        let mut shouts = Vec::new();
        for step in 0..1_000 {
            let t = f64::from(step) * 0.2;
            for camera in 0..2 {
                // The first camera does not see it any more when its case has ended.
                let there = camera == 1 || t < 60.0;
                let things: Vec<Thing> = Some(STALL).filter(|_| there).into_iter().collect();
                let mut scene = scene(t + camera as f64 * 0.1, &things);
                scene.camera = camera;
                for order in judge.step(&scene) {
                    if let Order::Warn { case, .. } = &order {
                        judge.hear(report(*case, t, true));
                        shouts.push((camera, t as u32));
                    }
                }
            }
        }
        assert_eq!(shouts[..2], warned, "{numbers:?}");
    }
}

#[test]
fn a_place_that_two_cameras_announce_is_not_that_of_a_third() {
    let mut config = two_cameras(["P-7", "P-7"], config());
    config.camera.push(config::Camera {
        name: "cam2".to_owned(),
        ..Default::default()
    });
    let mut third = config.zone[0].clone();
    (third.name, third.camera) = ("kerb2".to_owned(), "cam2".to_owned());
    third.public_id = "P-8".to_owned();
    config.zone.push(third);
    let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
    let mut shouts = Vec::new();
    for step in 0..100 {
        let t = f64::from(step) * 0.2;
        for camera in 0..3 {
            let mut scene = scene(t + camera as f64 * 0.05, &[STALL]);
            scene.camera = camera;
            let orders = judge.step(&scene);
            let warned = orders.iter().any(|o| matches!(o, Order::Warn { .. }));
            shouts.extend(warned.then_some(camera));
        }
    }
    assert_eq!(shouts, [0, 2]);
}

#[test]
fn what_is_recorded_at_once_is_recorded_by_both_cameras_of_an_announced_place() {
    let mut config = config();
    config.zone.drain(..2);
    let config = two_cameras(["P-7", "P-7"], config);
    let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
    for camera in 0..2 {
        let (orders, _) = waits::spilled(&mut judge, camera);
        assert!(orders.iter().any(|o| {
            o.hit()
                .is_some_and(|h| h.outcome == HitOutcome::Opened && h.camera == camera)
        }));
    }
}
