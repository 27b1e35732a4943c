//! From the first sight to the end of a case, and what a restart, a bad view or a camera that moves does to it.

use super::*;

#[test]
fn what_was_not_to_be_said_ends_the_case_without_evidence() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut orders = Vec::new();
    let mut t = 0.0;
    while t < 60.0 {
        for order in judge.step(&scene(t, &[STALL])) {
            if let Order::Warn { case, zone, .. } = &order {
                assert_eq!(zone, "kerb");
                judge.hear(WarnReport {
                    hushed: Some("quiet hours".to_owned()),
                    ..report(*case, t, false)
                });
            }
            orders.push(order);
        }
        t += 0.2;
    }
    let told: Vec<String> = orders.iter().map(word).collect();
    assert_eq!(
        told[..4],
        ["hit Opened", "snap found", "warn", "discard quiet hours"]
    );
    assert!(
        told[4..].iter().all(|word| word == "hit CoolingDown"),
        "it rests, and nobody is shouted at: {told:?}"
    );
    let end = orders.iter().find_map(|order| match order {
        Order::Discard { hit, .. } => Some(hit.outcome),
        _ => None,
    });
    assert_eq!(end, Some(HitOutcome::Hushed));
    assert!(HitOutcome::Hushed.ends());
}

#[test]
fn what_stays_after_the_warning_is_sealed_as_persisted() {
    let mut street = Street::new();
    street.run(0.0, 60.0, |_| vec![STALL]);
    let told = street.told();
    assert_eq!(
        told,
        [
            "snap found",
            "warn",
            "snap warned",
            "clip",
            "snap again",
            "seal persisted"
        ],
        "one case, in order"
    );
    let seal = street.orders.iter().rev();
    let seal = seal.filter(|(_, o)| !matches!(o, Order::Hit { .. }));
    let Some((_, Order::Seal { record, .. })) = seal.take(1).next() else {
        panic!("the last order seals")
    };
    assert_eq!(record.outcome, Outcome::Persisted);
    assert_eq!(record.zone, "kerb");
    assert!(record.confirmed.since(record.first_seen) >= Duration::from_secs(10));
    let looked = record.looked_again.unwrap();
    assert!(looked.since(record.warning.as_ref().unwrap().at) >= Duration::from_secs(30));
}

#[test]
fn who_leaves_in_the_grace_time_is_sealed_as_corrected() {
    let mut street = Street::new();
    street.run(0.0, 20.0, |_| vec![STALL]);
    street.run(20.0, 90.0, |_| vec![]);
    assert_eq!(
        street.told(),
        [
            "snap found",
            "warn",
            "snap warned",
            "clip",
            "snap again empty",
            "seal corrected"
        ]
    );
}

#[test]
fn another_thing_elsewhere_is_not_the_vendor_coming_back() {
    let mut street = Street::new();
    street.run(0.0, 20.0, |_| vec![STALL]);
    street.run(20.0, 60.0, |t| {
        vec![(9, Role::Stall, 0.6 + (t as f32 % 3.0) * 0.1, 0.8)]
    });
    assert_eq!(street.told().last().unwrap(), "seal corrected");
}

#[test]
fn innocent_scenes_order_nothing() {
    type Things = Box<dyn Fn(f64) -> Vec<Thing>>;
    let scenes: [(&str, Things); 6] = [
        ("an empty street", Box::new(|_| vec![])),
        (
            "a passer-by",
            Box::new(|_| vec![(1, Role::Person, 0.4, 0.8)]),
        ),
        (
            "a stall outside the zone",
            Box::new(|_| vec![(1, Role::Stall, 0.4, 0.45)]),
        ),
        (
            "a cart pushed through",
            Box::new(|t| vec![(1, Role::Stall, (t * 0.05) as f32 % 0.9, 0.8)]),
        ),
        (
            "a stall that leaves before the dwell is over",
            Box::new(|t| if t % 20.0 < 9.0 { vec![STALL] } else { vec![] }),
        ),
        (
            "a flicker: seen in one look of four",
            Box::new(|t| {
                if (t * 5.0).round() as i64 % 4 == 0 {
                    vec![STALL]
                } else {
                    vec![]
                }
            }),
        ),
    ];
    for (name, things) in scenes {
        let mut street = Street::new();
        street.run(0.0, 120.0, things);
        assert_eq!(street.told(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_new_track_number_does_not_restart_the_dwell() {
    let mut street = Street::new();
    street.run(0.0, 15.0, |t| {
        if (5.0..7.0).contains(&t) {
            vec![]
        } else {
            vec![(t as u64, Role::Stall, 0.4, 0.8)]
        }
    });
    assert_eq!(street.told()[..2], ["snap found", "warn"]);
}

#[test]
fn the_same_place_cools_down_after_its_case() {
    let mut street = Street::new();
    street.run(0.0, 140.0, |_| vec![STALL]);
    assert_eq!(street.told().iter().filter(|w| *w == "warn").count(), 1);
    street.run(140.0, 160.0, |_| vec![STALL]);
    assert_eq!(street.told().iter().filter(|w| *w == "warn").count(), 2);
}

#[test]
fn an_unheard_warning_never_becomes_evidence() {
    let mut street = Street::new();
    street.speaker_works = false;
    street.run(0.0, 150.0, |_| vec![STALL]);
    let told = street.told();
    assert_eq!(
        told.iter().filter(|w| *w == "warn").count(),
        3,
        "tried three times"
    );
    assert!(
        told.iter()
            .any(|w| w.starts_with("discard the warning could not be played"))
    );
    assert!(!told.iter().any(|w| w.starts_with("seal")));
}

/// A device that plays the whole clip and then refuses to end the session, a program that plays it
/// and ends badly, a microphone that did not hear it: who was meant heard it, as far as anybody knows.
#[test]
fn what_sounded_is_not_said_again() {
    for (played_ms, warns, end) in [
        (0, 3, "discard the warning could not be played: no end"),
        (999, 3, "discard the warning could not be played: no end"),
        (
            1_000,
            1,
            "discard the warning was not for certain heard out: no end",
        ),
        (
            8_000,
            1,
            "discard the warning was not for certain heard out: no end",
        ),
    ] {
        let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
        let mut told = Vec::new();
        for step in 0..500 {
            let t = f64::from(step) * 0.2;
            for order in judge.step(&scene(t, &[STALL])) {
                if let Order::Warn { case, .. } = &order {
                    judge.hear(WarnReport {
                        played: Duration::from_millis(played_ms),
                        failure: Some("no end".to_owned()),
                        ..report(*case, t, false)
                    });
                }
                told.push(word(&order));
            }
        }
        let warned = told.iter().filter(|w| *w == "warn").count();
        assert_eq!(warned, warns, "{played_ms} ms: {told:?}");
        let ends: Vec<_> = told.iter().filter(|w| w.starts_with("discard")).collect();
        assert_eq!(ends, [end], "{played_ms} ms");
        assert!(!told.iter().any(|w| w.starts_with("seal")), "{told:?}");
    }
}

#[test]
fn who_is_gone_is_not_shouted_at_again() {
    let mut street = Street::new();
    street.speaker_works = false;
    street.run(0.0, 12.0, |_| vec![STALL]);
    street.run(12.0, 100.0, |_| vec![]);
    let told = street.told();
    assert_eq!(told.iter().filter(|w| *w == "warn").count(), 1);
    assert!(
        told.last()
            .unwrap()
            .starts_with("discard gone before it could be warned"),
        "{told:?}"
    );
}

#[test]
fn spilled_debris_behind_a_truck_is_recorded_at_once() {
    let truck = |t: f64| (7, Role::Truck, (t * 0.1) as f32, 0.8);
    let debris = (8, Role::Debris, 0.3, 0.8);
    let mut street = Street::new();
    street.run(0.0, 9.0, |t| {
        if t < 4.0 {
            vec![truck(t)]
        } else {
            vec![truck(t), debris]
        }
    });
    street.run(9.0, 20.0, |_| vec![debris]);
    assert_eq!(
        street.told(),
        [
            "snap moved",
            "snap before",
            "snap plate",
            "snap peak",
            "clip",
            "snap after",
            "seal recorded"
        ]
    );
    let snaps: Vec<_> = street
        .orders
        .iter()
        .filter_map(|(_, order)| match order {
            Order::Snap { at, place, .. } => Some((at.utc_ns, place.centre().x)),
            _ => None,
        })
        .collect();
    assert!(
        snaps.is_sorted_by_key(|snap| snap.0),
        "in the order of their times"
    );
    let moved = (snaps[0].1 - snaps[1].1).abs();
    assert!(
        moved > 0.2,
        "the truck is shown at two places, {moved} apart"
    );
}

#[test]
fn debris_that_is_nobodys_is_left_alone() {
    let debris = (8, Role::Debris, 0.3, 0.8);
    let old = |t: f64| {
        if t < 5.0 {
            vec![debris]
        } else {
            vec![debris, (7, Role::Truck, (t * 0.1) as f32, 0.8)]
        }
    };
    let alone = |t: f64| if t > 3.0 { vec![debris] } else { vec![] };
    let beside = |t: f64| {
        vec![
            (7, Role::Truck, 0.7, 0.8),
            (8, Role::Debris, 0.1, 0.9),
            STALL,
        ]
        .into_iter()
        .filter(|x| t > 4.0 || x.1 == Role::Truck)
        .filter(|x| x.1 != Role::Stall)
        .collect::<Vec<_>>()
    };
    for (name, things) in [
        (
            "it lay there before",
            Box::new(old) as Box<dyn Fn(f64) -> Vec<Thing>>,
        ),
        ("no truck came", Box::new(alone)),
        ("beside the truck's path", Box::new(beside)),
    ] {
        let mut street = Street::new();
        street.run(0.0, 15.0, things);
        assert_eq!(street.told(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_restart_in_the_grace_time_finishes_the_case() {
    for (boot, why) in [
        ("boot-a", "same boot"),
        ("boot-b", "another boot, clock trusted"),
    ] {
        let mut street = Street::new();
        street.run(0.0, 20.0, |_| vec![STALL]);
        let saved = street.judge.book();
        street.judge = judging(&config(), all_roles(), boot).unwrap();
        street.judge.resume(&saved, |_| None).unwrap();
        street.run(21.0, 60.0, |_| vec![STALL]);
        let told = street.told();
        assert_eq!(told.last().unwrap(), "seal persisted", "{why}: {told:?}");
        assert_eq!(
            told.iter().filter(|w| *w == "warn").count(),
            1,
            "{why}: no second shout"
        );
    }
}

#[test]
fn a_restart_while_the_warning_plays_shouts_at_nobody_again() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut t = 0.0;
    while !judge
        .step(&scene(t, &[STALL]))
        .iter()
        .any(|o| matches!(o, Order::Warn { .. }))
    {
        t += 0.2;
    }
    let saved = judge.book();
    let mut street = Street::new();
    street.judge.resume(&saved, |_| None).unwrap();
    street.run(t + 1.0, t + 60.0, |_| vec![STALL]);
    let told = street.told();
    assert!(
        told[0].starts_with("discard restarted before it was known whether the warning was heard"),
        "{told:?}"
    );
    assert!(!told.iter().any(|w| w == "warn"));
}

#[test]
fn a_case_that_was_sealed_as_the_daemon_died_is_not_sealed_again() {
    let mut street = Street::new();
    street.run(0.0, 20.0, |_| vec![STALL]);
    let before_the_end = street.judge.book();
    street.run(20.0, 60.0, |_| vec![STALL]);
    assert_eq!(street.told().last().unwrap(), "seal persisted");
    let seals = |o: &&(f64, Order)| matches!(o.1, Order::Seal { .. });
    let sealed = street.orders.iter().find(seals).unwrap().1.case();
    let mut after = Street::new();
    after
        .judge
        .resume(&before_the_end, |case| {
            (case == sealed).then_some(Ended::Sealed)
        })
        .unwrap();
    after.run(61.0, 90.0, |_| vec![STALL]);
    assert_eq!(
        after.told(),
        Vec::<String>::new(),
        "closed, and its place cools down"
    );
}

#[test]
fn a_damaged_book_is_an_error_not_a_panic() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    for bad in ["", "{", "null", "{\"v\":1}", "[]"] {
        assert!(judge.resume(bad, |_| None).is_err(), "{bad}");
    }
    assert_eq!(judge.open_cases(), 0);
}

#[test]
fn a_rule_that_cannot_see_its_subject_refuses_to_start() {
    let persons = [Role::Person].into_iter().collect();
    let Err(error) = judging(&config(), persons, "b") else {
        panic!("must refuse")
    };
    assert!(error.to_string().contains("street_vending"), "{error}");
}

#[test]
fn the_same_scenes_give_the_same_orders() {
    let run = || {
        let mut street = Street::new();
        street.run(0.0, 60.0, |_| vec![STALL]);
        street.orders
    };
    assert_eq!(run(), run(), "ids included");
}

#[test]
fn every_hit_is_told_once_with_what_became_of_it() {
    use HitOutcome::{Belongs, CoolingDown, Corrected, Opened, Persisted};
    let mut street = Street::new();
    street.run(0.0, 90.0, |_| vec![STALL]);
    let first = [(Opened, 1), (Persisted, 1), (CoolingDown, 1)];
    assert_eq!(street.hits(), first, "it stays on through the cool-down");
    // Away and back within the minute: the same episode; and for more than one: another.
    street.run(90.0, 105.0, |_| vec![]);
    street.run(105.0, 130.0, |_| vec![STALL]);
    assert_eq!(street.hits(), first);
    street.run(130.0, 190.0, |_| vec![STALL]);
    let mut told = first.to_vec();
    told.extend([(Opened, 2), (Persisted, 2), (CoolingDown, 2)]);
    assert_eq!(street.hits(), told, "the cool-down is over");

    let mut street = Street::new();
    street.judge = {
        let mut config = config();
        config.judge.street_vending.grace_secs = 200.0;
        judging(&config, all_roles(), "boot-a").unwrap()
    };
    street.run(0.0, 20.0, |_| vec![STALL]);
    street.run(20.0, 100.0, |_| vec![]);
    street.run(100.0, 150.0, |_| vec![STALL]);
    street.run(150.0, 300.0, |_| vec![]);
    assert_eq!(
        street.hits(),
        [(Opened, 1), (Belongs, 1), (Corrected, 1)],
        "back while the case is open"
    );
    // What the rule measured is told of those too that open nothing.
    let gates = street.orders.iter().filter_map(|(_, order)| match order {
        Order::Hit { hit, .. } if hit.outcome == Belongs => Some(hit.gates.len()),
        _ => None,
    });
    assert!(gates.sum::<usize>() > 1);
}

#[test]
fn a_restart_begins_no_episode() {
    for boot in ["boot-a", "boot-b"] {
        let mut street = Street::new();
        street.run(0.0, 60.0, |_| vec![STALL]);
        let before = street.hits();
        let saved = street.judge.book();
        street.judge = judging(&config(), all_roles(), boot).unwrap();
        street.judge.resume(&saved, |_| None).unwrap();
        street.run(75.0, 100.0, |_| vec![STALL]);
        assert_eq!(street.hits(), before, "{boot}");
    }
}

#[test]
fn the_oldest_case_gives_way_and_says_so() {
    let mut street = Street::new();
    let mut config = config();
    config.judge.street_vending.grace_secs = 900.0;
    street.judge = judging(&config, all_roles(), "boot-a").unwrap();
    street.run(0.0, 54.9, rows_of_stalls);
    let gave_way = |h: &&(HitOutcome, usize)| h.0 == HitOutcome::GaveWay;
    let hits = street.hits();
    let opened = hits.iter().filter(|h| h.0 == HitOutcome::Opened).count();
    assert!(opened > super::super::OPEN_CASES_MAX, "{opened} cases");
    let gone = hits.iter().filter(gave_way).count();
    assert_eq!(gone, opened - super::super::OPEN_CASES_MAX);
    assert_eq!(hits.iter().find(gave_way).unwrap().1, 1, "the oldest first");
}

/// What is ordered when the view is `bad` between `from` and `to` and a stall stands from the start.
fn told_with_a_bad_view(bad: View, from: f64, to: f64, speaker_works: bool) -> Vec<String> {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut told = Vec::new();
    for step in 0..400 {
        let t = f64::from(step) * 0.2;
        let mut scene = scene(t, &[STALL]);
        if (from..to).contains(&t) {
            scene.view = bad;
        }
        for order in judge.step(&scene) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, speaker_works));
            }
            if !matches!(order, Order::Hit { .. }) {
                told.push(word(&order));
            }
        }
    }
    told
}

#[test]
fn nothing_is_judged_and_no_case_goes_on_by_a_bad_view() {
    let whole = [
        "snap found",
        "warn",
        "snap warned",
        "clip",
        "snap again",
        "seal persisted",
    ];
    // Found and warned at 10 s, grace until 40 s.
    for (bad, from, to, speaker_works, expected, end) in [
        (View::Good, 0.0, 90.0, true, &whole[..], "seal persisted"),
        (View::Moved, 0.0, 90.0, true, &[][..], ""),
        // A moment's glare in the grace time ends nothing.
        (
            View::Blinded,
            15.0,
            25.0,
            true,
            &whole[..],
            "seal persisted",
        ),
        (
            View::Moved,
            20.0,
            60.0,
            true,
            &whole[..4],
            "discard the camera's view was bad (moved) when the next look was due",
        ),
        (
            View::Covered,
            10.1,
            60.0,
            true,
            &whole[..2],
            "discard the camera's view was bad (covered) when the next look was due",
        ),
        // Nor before the next warning is due.
        (
            View::Blinded,
            15.0,
            25.0,
            false,
            &["snap found", "warn", "clip", "warn", "warn"][..],
            "discard the warning could not be played: no sound card",
        ),
        // Nobody is warned a second time by a view that is bad.
        (
            View::Frozen,
            20.0,
            60.0,
            false,
            &["snap found", "warn", "clip"][..],
            "discard the camera's view was bad (frozen) when the next look was due",
        ),
    ] {
        let told = told_with_a_bad_view(bad, from, to, speaker_works);
        assert!(
            told.starts_with(&expected.iter().map(|&w| w.to_owned()).collect::<Vec<_>>()),
            "{bad:?}: {told:?}"
        );
        let last = told.last().map(String::as_str).unwrap_or_default();
        assert_eq!(last, end, "{bad:?}: {told:?}");
    }
}

#[test]
fn a_place_moves_with_the_picture_of_a_moving_camera() {
    let step = 0.002;
    let motion = Motion {
        x: [1.0, 0.0, step],
        ..Motion::NONE
    };
    let told = |moved: Moved| {
        let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
        let mut told = Vec::new();
        for n in 0..250_u16 {
            let t = f64::from(n) * 0.2;
            let mut scene = scene(t, &[(1, Role::Stall, 0.1 + step * f32::from(n), 0.8)]);
            scene.moved = moved;
            for order in judge.step(&scene) {
                if let Order::Warn { case, .. } = &order {
                    judge.hear(report(*case, t, true));
                }
                told.push(order);
            }
        }
        let told = told.iter().filter(|o| !matches!(o, Order::Hit { .. }));
        told.map(word).collect::<Vec<_>>()
    };
    assert_eq!(told(Moved::Still), Vec::<String>::new(), "it walks");
    assert_eq!(
        told(Moved::By(motion)).last().unwrap(),
        "seal persisted",
        "it stands"
    );
}

#[test]
fn a_dwell_begins_anew_after_a_bad_view() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut warned = None;
    for step in 0..200 {
        let t = f64::from(step) * 0.2;
        let mut scene = scene(t, &[STALL]);
        if (5.0..15.0).contains(&t) {
            scene.view = View::Unfocused;
        }
        let orders = judge.step(&scene);
        let warns = orders.iter().any(|o| matches!(o, Order::Warn { .. }));
        warned = warned.or(warns.then_some(t));
    }
    let warned = warned.expect("warned");
    assert!((24.9..26.0).contains(&warned), "{warned}");
}
