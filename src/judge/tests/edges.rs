//! Limits of the book and of what stands, each on both sides of its edge: what mutation tests
//! (`tests/mutants`) found untested.

use super::super::finding::percent;
use super::*;

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
            }
        }
    }
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
