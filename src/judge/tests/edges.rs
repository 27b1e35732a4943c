//! Limits of the book and of what stands, each on both sides of its edge: what mutation tests
//! (`tests/mutants`) found untested.

use super::super::finding::percent;
use super::rules::{
    GOODS, SPILT, Seen, TRICYCLE, UMBRELLA, lorry, opened, sight, street, vendor, with,
};
use super::*;
use crate::types::Role::{Person, Truck, Vehicle};

#[test]
fn one_glimpse_is_no_persistence() {
    // Warned at 10 s; the second look begins at 40 s.
    for (until, end) in [
        (40.1, "seal corrected"),
        (40.3, "seal corrected"),
        (42.0, "seal persisted"),
    ] {
        let mut street = Street::new();
        street.run(0.0, 60.0, |t| {
            let there = !(20.0..39.9).contains(&t) && t < until;
            Some(STALL).filter(|_| there).into_iter().collect()
        });
        assert_eq!(street.told().last().unwrap(), end, "seen until {until}");
    }
}

#[test]
fn the_second_look_wants_half_of_its_looks_and_waits_for_a_bus_to_pass() {
    type Seen = fn(u64) -> bool;
    let look = |t: f64| (t * 5.0).round() as u64;
    let plays: [(&str, Seen, &str); 3] = [
        (
            "hidden for the first second",
            |look| look > 205,
            "seal persisted",
        ),
        (
            "in two looks of three",
            |look| !look.is_multiple_of(3),
            "seal persisted",
        ),
        (
            "in one look of three",
            |look| look.is_multiple_of(3),
            "seal corrected",
        ),
    ];
    for (name, seen, end) in plays {
        let mut street = Street::new();
        street.run(0.0, 60.0, |t| {
            let there = t < 20.0 || t > 39.9 && seen(look(t));
            Some(STALL).filter(|_| there).into_iter().collect()
        });
        let told = street.told();
        let told = told.iter().find(|word| word.starts_with("seal"));
        assert_eq!(told.unwrap(), end, "{name}");
    }
}

#[test]
fn the_clip_is_cut_when_its_last_pictures_have_come() {
    let mut street = Street::new();
    street.run(0.0, 60.0, |_| vec![STALL]);
    let mut clips = street.orders.iter().filter_map(|(t, order)| match order {
        Order::Clip { from, to, .. } => Some((*t, *from, *to)),
        _ => None,
    });
    let (cut, from, to) = clips.next().expect("a clip");
    assert_eq!(clips.next(), None);
    let opened = street.orders.iter().find_map(|(_, o)| o.hit()).unwrap().at;
    let evidence = config::Evidence::default();
    let secs = |stamp: Stamp| stamp.utc_ns as f64 / 1e9 - opened.utc_ns as f64 / 1e9;
    assert!((secs(from) + evidence.clip_before_secs).abs() < 1e-3);
    assert!((secs(to) - evidence.clip_after_secs).abs() < 1e-3);
    // Pictures arrive a little after they were taken.
    let late = secs(at(cut)) - evidence.clip_after_secs;
    assert!((0.49..0.8).contains(&late), "{late}");
}

#[test]
fn what_one_camera_sees_is_nothing_to_another() {
    let mut config = config();
    config.camera.push(config::Camera {
        name: "cam1".to_owned(),
        ..Default::default()
    });
    let mut zone = config.zone[0].clone();
    (zone.name, zone.camera) = ("kerb1".to_owned(), "cam1".to_owned());
    config.zone.push(zone);
    let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
    let mut told = Vec::new();
    let (mut waits, mut waited) = ([false; 2], [0; 2]);
    for step in 0..300 {
        let t = f64::from(step) * 0.2;
        // The second vendor leaves after the warning.
        for (camera, there) in [(0, true), (1, t < 20.0)] {
            let things: Vec<Thing> = Some(STALL).filter(|_| there).into_iter().collect();
            let mut scene = scene(t + f64::from(camera) * 0.1, &things);
            scene.camera = camera as usize;
            for order in judge.step(&scene) {
                if let Order::Warn { case, .. } = &order {
                    judge.hear(report(*case, t, true));
                }
                if let Order::Seal { record, .. } = &order {
                    told.push((record.camera, record.zone.clone(), record.outcome));
                }
                match &order {
                    Order::Hit { hit, .. } if hit.outcome == HitOutcome::Opened => {
                        waits[scene.camera] = true;
                    }
                    Order::Clip { .. } => waits[scene.camera] = false,
                    _ => {}
                }
            }
            assert_eq!([0, 1].map(|camera| judge.awaits_clip(camera)), waits);
            waited[scene.camera] += u32::from(waits[scene.camera]);
        }
    }
    let long = |looks: &u32| (27..30).contains(looks);
    assert!(
        waited.iter().all(long),
        "{waited:?}: five seconds and a half"
    );
    told.sort_by_key(|seal| seal.0);
    assert_eq!(
        told,
        [
            (0, "kerb".to_owned(), Outcome::Persisted),
            (1, "kerb1".to_owned(), Outcome::Corrected),
        ]
    );
}

#[test]
fn a_finding_says_what_was_seen() {
    assert_eq!(percent(0.125), "12.5 %");
    let mut config = config();
    config.judge.street_vending.roles = vec![Role::Tricycle, Role::Goods];
    let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
    let told = |judge: &Judge, gate: &str| {
        let gates = judge.findings().iter().flat_map(|f| &f.gates);
        let mut told = gates.filter(|g| g.gate == gate).map(|g| g.value.clone());
        told.next().expect("told")
    };
    let tricycle = (1, Role::Tricycle, 0.4, 0.8);
    judge.step(&scene(0.0, &[tricycle]));
    assert_eq!(told(&judge, "stall"), "tricycle alone in 0.0 % of looks");
    judge.step(&scene(0.2, &[tricycle, (2, Role::Goods, 0.5, 0.8)]));
    assert_eq!(
        told(&judge, "stall"),
        "tricycle beside goods in 50.0 % of looks"
    );
}

#[test]
fn what_became_of_a_finding_is_noted_where_it_was_told() {
    let mut street = Street::new();
    let mut noted = Vec::new();
    for step in 0..300 {
        let t = f64::from(step) * 0.2;
        street.run(t, t + 0.1, |_| vec![STALL]);
        noted.extend(street.judge.findings().iter().filter_map(|f| f.became));
    }
    let told = street.orders.iter().filter_map(|(_, order)| match order {
        Order::Hit { case, hit } => Some((*case, hit.outcome)),
        _ => None,
    });
    assert_eq!(noted, told.collect::<Vec<_>>());
    let outcomes: Vec<_> = noted.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(outcomes, [HitOutcome::Opened, HitOutcome::CoolingDown]);
}

#[test]
fn what_a_mask_covers_is_hidden_and_nothing_else() {
    let mut config = config();
    config.zone.push(Zone {
        name: "window".to_owned(),
        camera: "cam0".to_owned(),
        kind: ZoneKind::Private,
        polygon: [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)]
            .map(|(x, y)| Point { x, y })
            .to_vec(),
        ..Zone::default()
    });
    let judge = judging(&config, all_roles(), "boot-a").unwrap();
    let area = |x0: f32| Area {
        x0,
        y0: 0.1,
        x1: x0 + 0.1,
        y1: 0.3,
    };
    let hidden = [(0, 0.2), (0, 0.7), (1, 0.2)].map(|(camera, x0)| judge.hides(camera, area(x0)));
    assert_eq!(hidden, [true, false, false]);
}

/// What is opened in a minute of the street on which `play` is seen, five looks a second.
fn blamed(config: &Config, play: impl Fn(f64) -> Vec<Seen>) -> Vec<Violation> {
    let mut judge = judging(config, all_roles(), "boot-a").unwrap();
    let looks = (0..300).map(|step| f64::from(step) * 0.2);
    let orders: Vec<Order> = looks
        .flat_map(|t| judge.step(&sight(t, &play(t))))
        .collect();
    opened(&orders)
}

#[test]
fn where_more_passed_than_can_be_remembered_nobody_is_blamed() {
    for (name, people, when, wanted) in [
        (
            "a crowd that can be remembered",
            250,
            20.5,
            vec![Violation::Spillage],
        ),
        ("a crowd that cannot", 258, 20.5, vec![]),
        ("one of long before", 258, 1.0, vec![Violation::Spillage]),
    ] {
        let told = blamed(&street(), |t| {
            let crowd = 0..if (t - when).abs() < 0.11 { people } else { 0 };
            let crowd = crowd.map(|n: u16| {
                let x = 0.62 + f32::from(n) * 0.001;
                (100 + u64::from(n), Person, [x, 0.7, x + 0.02, 0.9])
            });
            let spilt = Some(SPILT).filter(|_| t >= 26.0);
            with(lorry(6, t, 20.0).into_iter().chain(crowd), spilt)
        });
        assert_eq!(told, wanted, "{name}");
    }
}

/// A piece of debris of its own at a place of its own.
fn piece(n: u8) -> Seen {
    let (column, row) = (f32::from(n % 16), f32::from(n / 16));
    let (x, y) = (0.5 + column * 0.03, 0.8 + row * 0.04);
    (200 + u64::from(n), Role::Debris, [x, y - 0.02, x + 0.02, y])
}

#[test]
fn what_lay_there_is_remembered_whatever_lay_elsewhere_since() {
    // It lies there first, and is covered or swept aside for a while; then a lorry comes.
    let spilt = |t: f64| Some(SPILT).filter(|_| !(4.0..26.0).contains(&t));
    let second = |t: f64| Some(piece(0)).filter(|_| (9.0..12.0).contains(&t));
    let told = blamed(&street(), |t| {
        let seen = lorry(6, t, 20.0).into_iter().chain(spilt(t));
        with(seen, second(t))
    });
    assert_eq!(told, [], "one piece elsewhere");
    // As many pieces as can be remembered, and a leaf; then one more: the leaf gives way.
    let told = blamed(&street(), |t| {
        let many = (1..63_u8).filter(|_| t < 4.0).map(piece);
        let leaf = Some(piece(63)).filter(|_| (3.9..5.0).contains(&t));
        let seen = spilt(t).into_iter().chain(many).chain(leaf);
        with(seen.chain(lorry(6, t, 20.0)), second(t))
    });
    assert_eq!(told, [], "more than can be remembered");
}

#[test]
fn what_settled_lay_there_and_what_did_not_may_be_new() {
    let mut config = street();
    config.judge.spillage.within_secs = 60.0;
    // Behind a lorry; each time it is seen for so long, and then unseen for four seconds.
    for (name, seen_for, wanted) in [
        ("for a moment", &[1.0, 1.0][..], "new"),
        ("until it settled", &[3.0, 1.0], "lay there before"),
        (
            "first until it settled",
            &[3.0, 1.0, 1.0],
            "lay there before",
        ),
        (
            "then until it settled",
            &[1.0, 3.0, 1.0],
            "lay there before",
        ),
    ] {
        let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
        let (mut from, mut times) = (26.0, Vec::new());
        for secs in seen_for {
            times.push(from..from + secs);
            from += secs + 4.0;
        }
        let mut last = None;
        for step in 0..300 {
            let t = f64::from(step) * 0.2 + 0.1;
            let there = times.iter().any(|time| time.contains(&t));
            let seen = with(lorry(6, t, 20.0), Some(SPILT).filter(|_| there));
            judge.step(&sight(t, &seen));
            let mut gates = judge.findings().iter().flat_map(|f| &f.gates);
            let new = gates.find(|g| g.gate == "new").map(|g| g.value.clone());
            last = new.or(last);
        }
        assert_eq!(last.as_deref(), Some(wanted), "{name}");
    }
}

#[test]
fn who_stands_beside_may_have_thrown_it_and_who_rides_is_no_other() {
    let kerb = (7, Person, [0.38, 0.44, 0.43, 0.74]);
    let rider = |[_, _, x1, y1]: [f32; 4]| (7, Person, [x1 - 0.08, y1 - 0.2, x1 - 0.02, y1]);
    let spilt = |t: f64| Some(SPILT).filter(|_| t >= 26.0);
    let beside = blamed(&street(), |t| {
        let person = Some(kerb).filter(|_| (20.0..25.6).contains(&t));
        with(lorry(6, t, 20.0).into_iter().chain(person), spilt(t))
    });
    assert_eq!(beside, []);
    let riding = blamed(&street(), |t| {
        let truck = lorry(6, t, 20.0);
        let rider = truck.map(|(_, _, area)| rider(area));
        with(truck.into_iter().chain(rider), spilt(t))
    });
    assert_eq!(riding, [Violation::Spillage]);
}

#[test]
fn a_place_is_empty_that_was_seen_so_for_a_second() {
    // A bus, then nothing for a while, then a truck that stands there before it drives on.
    for (empty, wanted) in [(0.7, vec![]), (1.9, vec![Violation::Spillage])] {
        let told = blamed(&street(), |t| {
            let x = 0.35 + ((t - 25.0).max(0.0) * 0.1) as f32;
            let area = [x, 0.5, x + 0.15, 0.85];
            let mover = match t {
                _ if t < 9.9 => Some((5, Vehicle, area)),
                _ => Some((6, Truck, area)).filter(|_| t >= 9.9 + empty && x < 0.85),
            };
            with(mover, Some(SPILT).filter(|_| t > 26.5))
        });
        assert_eq!(told, wanted, "seen empty for {empty} s");
    }
}

#[test]
fn what_was_told_from_the_street_too_late_is_nobodys() {
    for (came, wanted) in [(30.0, vec![Violation::Spillage]), (28.0, vec![])] {
        let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
        let mut orders = Vec::new();
        for step in 0..300 {
            let t = f64::from(step) * 0.2;
            let spilt = Some(SPILT).filter(|_| t > 29.9);
            let mut scene = sight(t, &with(lorry(6, t, 20.0), spilt));
            for track in scene.tracks.iter_mut().filter(|track| track.id == SPILT.0) {
                track.came = Some(at(came));
            }
            orders.extend(judge.step(&scene));
        }
        assert_eq!(opened(&orders), wanted, "it came to light at {came}");
    }
}

#[test]
fn debris_at_the_place_of_a_vendor_is_not_his_case() {
    let mut street = Street::new();
    street.run(0.0, 40.0, |t| {
        let lorry = (7, Role::Truck, ((t - 20.0) * 0.1) as f32, 0.8);
        let mut seen = vec![STALL];
        seen.extend((20.0..29.0).contains(&t).then_some(lorry));
        seen.extend((t > 25.5).then_some((8, Role::Debris, 0.42, 0.8)));
        seen
    });
    let orders: Vec<Order> = street.orders.into_iter().map(|(_, order)| order).collect();
    let both = [Violation::StreetVending, Violation::Spillage];
    assert_eq!(opened(&orders), both);
}

#[test]
fn the_next_stall_in_a_row_has_a_case_of_its_own() {
    let mut config = config();
    config.zone.truncate(1);
    let aside = |(id, role, [x0, y0, x1, y1]): Seen| (id + 20, role, [x0 + 0.5, y0, x1 + 0.5, y1]);
    let stall = [TRICYCLE, GOODS, vendor()];
    let told = blamed(&config, |t| {
        let next = stall.map(aside).into_iter().filter(|_| t > 15.0);
        stall.into_iter().chain(next).collect()
    });
    assert_eq!(told, [Violation::StreetVending; 2]);
}

#[test]
fn a_camera_that_is_looked_at_rarely_forgets_what_it_does_not_see() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let opened = (0..40).map(f64::from).find(|t| {
        let there = !(5.0..10.0).contains(t);
        let things: Vec<Thing> = Some(STALL).filter(|_| there).into_iter().collect();
        !judge.step(&scene(*t, &things)).is_empty()
    });
    assert_eq!(opened, Some(20.0), "it came back at ten");
}

#[test]
fn a_second_look_does_not_end_by_a_picture_that_hangs() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut told = Vec::new();
    // Warned at 10 s; from 40 s on it is too dark to tell whether it is the same. The picture hangs from
    // 43 s on, in which the camera is away for a while, and lives again at 70 s.
    for step in (0..215).chain(300..400) {
        let t = f64::from(step) * 0.2;
        let mut scene = scene(t, &[STALL]);
        scene.tracks[0].appearance = Some(likeness::look(1)).filter(|_| t < 38.0);
        let hangs = (42.9..69.9).contains(&t);
        scene.changed = Change::At(if hangs { at(42.8) } else { scene.at });
        for order in judge.step(&scene) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
            told.extend(matches!(order, Order::Seal { .. }).then_some(t));
        }
    }
    let [sealed] = told[..] else {
        panic!("sealed once: {told:?}")
    };
    assert!((69.9..70.5).contains(&sealed), "{sealed}");
}

#[test]
fn a_picture_says_how_its_case_ends_as_soon_as_that_is_known() {
    let mut street = Street::new();
    street.run(0.0, 60.0, |_| vec![STALL]);
    let (spilt, _) = waits::spilled(&mut Street::new().judge, 0);
    let told = |orders: Vec<Order>| -> Vec<Option<Outcome>> {
        let told = orders.into_iter().filter_map(|order| match order {
            Order::Snap { outcome, .. } => Some(outcome),
            _ => None,
        });
        told.collect()
    };
    let orders = street.orders.into_iter().map(|(_, order)| order).collect();
    assert_eq!(told(orders), [None, None, Some(Outcome::Persisted)]);
    let recorded = told(spilt);
    assert!(!recorded.is_empty());
    assert!(recorded.iter().all(|o| *o == Some(Outcome::Recorded)));
}

#[test]
fn a_book_that_does_not_name_its_cameras_goes_on() {
    let mut street = Street::new();
    street.run(0.0, 20.0, |_| vec![STALL]);
    let mut book: serde_json::Value = serde_json::from_str(&street.judge.book()).unwrap();
    book.as_object_mut().unwrap().remove("cameras").unwrap();
    let mut street = Street::new();
    street.judge.resume(&book.to_string(), |_| None).unwrap();
    street.run(21.0, 60.0, |_| vec![STALL]);
    assert_eq!(street.told().last().unwrap(), "seal persisted");
}

/// A judge of the street that a technician and a bureau wrote, with `more` of zones and `permits`.
fn written(more: &str, permits: &str, moving: bool) -> Judge {
    let text = format!("{}{more}", places::STREET);
    let mut loaded = places::read(&text, permits);
    if moving {
        loaded.config.camera[0].mount = config::Mount::Moving;
    }
    Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a").unwrap()
}

#[test]
fn a_permit_for_another_zone_covers_nothing_here() {
    let other = "[[zone]]\nname = \"other\"\ncamera = \"cam0\"\n\
                 polygon = [[0.0, 0.0], [0.2, 0.0], [0.2, 0.2], [0.0, 0.2]]\n";
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"other\"]\n";
    let mut street = Street::new();
    street.judge = written(other, permit, false);
    street.run(0.0, 15.0, |_| vec![STALL]);
    assert_eq!(street.hits(), [(HitOutcome::Opened, 1)]);
    let findings = street.judge.findings();
    let hours = findings[0].gates.iter().find(|g| g.gate == "hours");
    assert_eq!(hours.unwrap().value, "Fri 07:13");
}

#[test]
fn a_permit_is_told_once_over_a_restart_whichever_camera_is_back_first() {
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\n";
    let camera = "[[camera]]\nname = \"cam1\"\nurl = \"rtsp://h/\"\n";
    for (camera_back, view) in [(1, View::Good), (0, View::Covered)] {
        let mut street = Street::new();
        street.judge = written(camera, permit, false);
        street.run(0.0, 20.0, |_| vec![STALL]);
        assert_eq!(street.hits(), [(HitOutcome::Permitted, 1)]);
        let saved = street.judge.book();
        street.judge = written(camera, permit, false);
        assert_eq!(street.judge.resume(&saved, |_| None).unwrap(), 0);
        for step in 0..10 {
            let mut scene = scene(90.0 + f64::from(step) * 0.2, &[]);
            (scene.camera, scene.view) = (camera_back, view);
            street.judge.step(&scene);
        }
        street.run(92.0, 120.0, |_| vec![STALL]);
        let told = street.hits();
        assert_eq!(told, [(HitOutcome::Permitted, 1)], "{camera_back}");
    }
}

#[test]
fn what_a_moving_camera_remembers_moves_with_its_picture() {
    use HitOutcome::{CoolingDown, Opened, Permitted, Persisted};
    let step = 0.0004;
    let ride = |permits: &str, until: u16, other_from: u16| {
        let mut judge = written("", permits, true);
        let (mut hits, mut priors) = (Vec::new(), Vec::new());
        for n in 0..until {
            let t = f64::from(n) * 0.2;
            let right = step * f32::from(n);
            let other = (2, Role::Stall, 0.7 + right, 0.8);
            let mut things = vec![(1, Role::Stall, 0.1 + right, 0.8)];
            things.extend((n >= other_from).then_some(other));
            let mut scene = scene(t, &things);
            scene.moved = Moved::By(Motion {
                x: [1.0, 0.0, step],
                ..Motion::NONE
            });
            for order in judge.step(&scene) {
                match &order {
                    Order::Warn { case, .. } => judge.hear(report(*case, t, true)),
                    Order::Seal { record, .. } => priors.push(record.prior),
                    _ => {}
                }
                hits.extend(order.hit().map(|hit| hit.outcome));
            }
        }
        (hits, priors)
    };
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\n";
    let never = u16::MAX;
    assert_eq!(ride(permit, 200, never).0, [Permitted], "told once");
    // While the place of the one rests, another comes.
    let (hits, _) = ride("", 350, 230);
    assert_eq!(hits, [Opened, Persisted, CoolingDown, Opened]);
    let (_, priors) = ride("", 1_000, never);
    assert_eq!(priors, [Some(0), Some(1)]);
}

#[test]
fn an_explanation_says_why_nobody_is_blamed_for_what_passed() {
    let area = |x0: f32| [x0, 0.5, x0 + 0.14, 0.85];
    for (followed, wanted) in [
        (false, "vehicle 7, seen for a moment or before a mask"),
        (true, "vehicle 7 after it came to light"),
    ] {
        let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
        for step in 0..140 {
            let t = f64::from(step) * 0.2;
            let later = Some((7, Vehicle, area(0.7))).filter(|_| followed && t > 26.1);
            let seen = with(later, Some(SPILT).filter(|_| t > 25.9));
            let mut scene = sight(t, &seen);
            if (24.5..25.1).contains(&t) {
                scene.passing = sight(t, &[(7, Vehicle, area(0.36))]).tracks;
            }
            judge.step(&scene);
        }
        let gates = judge.findings().iter().flat_map(|f| &f.gates);
        let told: Vec<_> = gates.filter(|g| g.gate == "truck").collect();
        assert_eq!(told[0].value, wanted);
        assert!(!told[0].pass);
    }
}

#[test]
fn whoever_came_when_it_had_come_to_light_did_not_lose_it() {
    let mut config = street();
    config.background.enabled = true;
    config.camera[0].mount = config::Mount::Fixed;
    // It came to light at 26 s, and was told from the street at 31 s.
    for (start, wanted) in [(20.0, vec![Violation::Spillage]), (25.0, vec![])] {
        let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
        let (mut orders, mut came) = (Vec::new(), None);
        for step in 0..300 {
            let t = f64::from(step) * 0.2;
            let spilt = Some(SPILT).filter(|_| t > 30.9);
            let mut scene = sight(t, &with(lorry(6, t, start), spilt));
            for track in scene.tracks.iter_mut().filter(|track| track.id == SPILT.0) {
                track.came = Some(at(26.0));
            }
            orders.extend(judge.step(&scene));
            came = judge.findings().iter().find_map(|f| f.came).or(came);
        }
        assert_eq!(opened(&orders), wanted, "a lorry from {start} on");
        // It is shown since it came.
        let shown = (!wanted.is_empty()).then_some(at(start));
        assert_eq!(came, shown, "a lorry from {start} on");
    }
}

#[test]
fn a_truck_is_shown_over_the_place_before_something_lay_there() {
    // It drives on a second after that came to light beside its wheels.
    let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
    let mut shown = None;
    for step in 0..200 {
        let t = f64::from(step) * 0.2;
        let x = 0.35 + ((t - 27.0).max(0.0) * 0.1) as f32;
        let truck = (6, Truck, [x, 0.5, x + 0.15, 0.80]);
        let truck = Some(truck).filter(|_| t > 19.9 && x < 0.85);
        let spilt = Some(SPILT).filter(|_| t > 25.9);
        for order in judge.step(&sight(t, &with(truck, spilt))) {
            if let Order::Snap { kind, at, .. } = order
                && kind == ShotKind::Before
            {
                shown = Some(at);
            }
        }
    }
    let before = shown.expect("a truck to blame").boot_ns;
    let [from, to] = [25.5, 26.1].map(|t| at(t).boot_ns);
    assert!((from..to).contains(&before));
}

#[test]
fn what_is_not_seen_any_more_may_be_what_a_permit_is_for_if_nobody_could_name_it() {
    // 07:14 is at 40 s, when the second look begins; they left at 20 s.
    let street = places::STREET.replace(
        "polygon",
        "roles = [\"stall\", \"tricycle\", \"object\"]\npolygon",
    );
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\nroles = [\"furniture\"]\n\
                  hours = [\"07:14-08:00\"]\n";
    let area = [0.20, 0.36, 0.36, 0.70];
    for (role, wanted) in [
        (Role::Object, "discard permitted by now (P1)"),
        (Role::Stall, "seal corrected"),
    ] {
        let loaded = places::read(&street, permit);
        let judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a");
        let mut judge = judge.unwrap();
        let mut end = None;
        for step in 0..300 {
            let t = f64::from(step) * 0.2;
            // In its first looks it is taken for a tricycle.
            let thing = (1, if t < 0.5 { Role::Tricycle } else { role }, area);
            let seen = [thing, vendor()];
            let seen = if t < 20.0 { &seen[..] } else { &[] };
            for order in judge.step(&sight(t, seen)) {
                if let Order::Warn { case, .. } = &order {
                    judge.hear(report(*case, t, true));
                }
                if order.hit().is_some_and(|h| h.outcome.ends()) {
                    end = Some(word(&order));
                }
            }
        }
        assert_eq!(end.as_deref(), Some(wanted), "{role:?}");
    }
}

#[test]
fn what_is_left_of_a_stall_is_that_stall_when_the_picture_has_moved() {
    let mut config = config();
    config.zone.truncate(1);
    config.camera[0].mount = config::Mount::Moving;
    let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
    let (mut right, mut hits) = (0.0, Vec::new());
    for step in 0..190 {
        let t = f64::from(step) * 0.2;
        // Its umbrella stands first, and is folded as the camera begins to pan.
        let pan = if (75..100).contains(&step) {
            0.008
        } else {
            0.0
        };
        right += pan;
        let umbrella = Some(UMBRELLA).filter(|_| t < 14.9);
        let others = [TRICYCLE, GOODS, vendor()];
        let others = others.into_iter().filter(|_| t > 1.9);
        let shifted = |(id, role, [x0, y0, x1, y1]): Seen| {
            let area = [x0 + right, y0, x1 + right, y1];
            (id, role, area)
        };
        let seen: Vec<Seen> = others.chain(umbrella).map(shifted).collect();
        let mut scene = sight(t, &seen);
        scene.moved = Moved::By(Motion {
            x: [1.0, 0.0, pan],
            ..Motion::NONE
        });
        for order in judge.step(&scene) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
            hits.extend(order.hit().map(|hit| hit.outcome));
        }
    }
    assert_eq!(hits, [HitOutcome::Opened], "one stall, warned once");
    let hit = judge.findings().iter().any(Finding::is_hit);
    assert!(hit, "what is left is one by itself");
}

#[test]
fn an_earlier_time_before_a_fixed_camera_counts_when_its_position_is_told_later() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut priors = Vec::new();
    for step in 0..1_000 {
        let t = f64::from(step) * 0.2;
        let place = Some(0.0).filter(|_| t > 100.0);
        for order in judge.step(&places::seen_from(t, &[STALL], place)) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
            if let Order::Seal { record, .. } = order {
                priors.push(record.prior);
            }
        }
    }
    assert_eq!(priors, [Some(0), Some(1)]);
}

#[test]
fn what_lay_there_more_than_half_an_hour_ago_may_be_new_again() {
    // It lies there for four seconds; the street is looked at once a second until shortly before a lorry comes.
    for (start, wanted) in [(1_700.0, vec![]), (1_900.0, vec![Violation::Spillage])] {
        let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
        let quiet = (0..).map(f64::from).take_while(|t| *t < start - 15.0);
        let busy = (0..300).map(|step| start - 15.0 + f64::from(step) * 0.2);
        let orders: Vec<Order> = (quiet.chain(busy))
            .flat_map(|t| {
                let spilt = Some(SPILT).filter(|_| t < 4.5 || t >= start + 6.0);
                judge.step(&sight(t, &with(lorry(6, t, start), spilt)))
            })
            .collect();
        assert_eq!(opened(&orders), wanted, "a lorry at {start} s");
    }
}
