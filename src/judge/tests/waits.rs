//! How long a case waits for its next step when its camera, its position or its boot is gone: never
//! so long that who comes next is taken for who was warned.

use super::*;

/// A judge whose stall was found and warned, the moment of the warning, and its case.
fn warned(config: &Config, works: bool) -> (Judge, f64, CaseId) {
    let mut judge = judging(config, all_roles(), "boot-a").unwrap();
    let mut t = 0.0;
    loop {
        let orders = judge.step(&scene(t, &[STALL]));
        let warn = orders.iter().find(|o| matches!(o, Order::Warn { .. }));
        if let Some(case) = warn.map(Order::case) {
            judge.hear(report(case, t, works));
            return (judge, t, case);
        }
        t += 0.2;
    }
}

/// What was ordered, without what is told of hits.
fn words(orders: &[Order]) -> Vec<String> {
    let orders = orders.iter().filter(|o| !matches!(o, Order::Hit { .. }));
    orders.map(word).collect()
}

#[test]
fn who_was_warned_is_not_held_to_it_when_the_camera_was_away_for_long() {
    for (works, away, first) in [
        (true, 29.0 * 60.0, "snap warned"),
        (
            true,
            30.0 * 60.0,
            "discard no picture within half an hour of the warning",
        ),
        (false, 29.0 * 60.0, "warn"),
        (
            false,
            30.0 * 60.0,
            "discard no picture within half an hour of the try to warn (no sound card)",
        ),
    ] {
        let (mut judge, t, _) = warned(&config(), works);
        let orders = judge.step(&scene(t + away, &[STALL]));
        let told = words(&orders);
        assert!(told.contains(&first.to_owned()), "{away}: {told:?}");
        let goes_on = !first.starts_with("discard");
        assert_eq!(judge.open_cases(), usize::from(goes_on), "{first}");
    }
}

#[test]
fn who_was_warned_is_not_held_to_it_when_the_position_was_lost_for_long() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut ends = Vec::new();
    for step in 0..20_000 {
        let t = f64::from(step) * 0.2;
        // Into a garage with the warning; out of it after three quarters of an hour.
        let place = Some(0.0).filter(|_| !(10.1..2_700.0).contains(&t));
        for order in judge.step(&places::seen_from(t, &[STALL], place)) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
            if order.hit().is_some_and(|h| h.outcome.ends()) {
                ends.push((t, word(&order)));
            }
        }
        if !ends.is_empty() {
            break;
        }
    }
    let [(t, end)] = ends.as_slice() else {
        panic!("one end: {ends:?}")
    };
    assert!(end.starts_with("discard no "), "{end}");
    assert!((1_800.0..2_200.0).contains(t), "{t}");
}

/// A lorry loses something before camera `camera`; what was ordered, and when the rule fired.
pub(super) fn spilled(judge: &mut Judge, camera: usize) -> (Vec<Order>, f64) {
    for step in 0..100 {
        let t = f64::from(step) * 0.2;
        let mut things = vec![(7, Role::Truck, (t * 0.1) as f32, 0.8)];
        things.extend((t > 4.0).then_some((8, Role::Debris, 0.3, 0.8)));
        let mut scene = scene(t, &things);
        scene.camera = camera;
        let orders = judge.step(&scene);
        if orders.iter().any(|o| matches!(o, Order::Snap { .. })) {
            return (orders, t);
        }
    }
    panic!("nothing was spilled")
}

#[test]
fn a_case_ends_though_its_camera_never_comes_back() {
    let (mut judge, t, _) = warned(&config(), true);
    assert_eq!(words(&judge.idle(0, at(t + 1_799.0))), Vec::<String>::new());
    let told = words(&judge.idle(0, at(t + 1_800.0)));
    let end = "discard no picture within half an hour of the warning";
    assert_eq!(told, [end]);
    assert_eq!(judge.open_cases(), 0);

    // A reminder needs neither a picture nor a good view.
    let mut remind = config();
    let vending = &mut remind.judge.street_vending;
    (vending.first_time, vending.history_days) = (config::FirstTime::Remind, 1);
    let reminded = "discard reminded: the first time that is remembered at this place";
    let (mut judge, t, _) = warned(&remind, true);
    assert_eq!(words(&judge.idle(0, at(t + 1.0))), [reminded]);
    let (mut judge, t, _) = warned(&remind, true);
    let covered = Scene {
        view: View::Covered,
        ..scene(t + 1.0, &[])
    };
    assert_eq!(words(&judge.step(&covered)), [reminded]);

    // What was recorded at once is evidence without its last picture, and has its clip.
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let (_, t) = spilled(&mut judge, 0);
    assert_eq!(words(&judge.idle(0, at(t + 119.0))), Vec::<String>::new());
    assert_eq!(words(&judge.idle(1, at(t + 121.0))), Vec::<String>::new());
    let told = words(&judge.idle(0, at(t + 121.0)));
    assert_eq!(told, ["clip", "seal recorded"]);
    assert_eq!(judge.open_cases(), 0);
}

#[test]
fn a_case_ends_though_its_loudspeaker_never_reports_back() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let warns = |orders: &[Order]| orders.iter().any(|o| matches!(o, Order::Warn { .. }));
    let mut looks = (0..100).map(|step| f64::from(step) * 0.2);
    let warned = looks.find(|t| warns(&judge.step(&scene(*t, &[STALL]))));
    let warned = warned.expect("a warning");
    let quiet = judge.idle(0, at(warned + 599.0));
    assert_eq!((words(&quiet), judge.open_cases()), (Vec::new(), 1));
    let told = words(&judge.idle(0, at(warned + 600.0)));
    assert_eq!(told, ["discard the loudspeaker never reported back"]);
    assert_eq!(judge.open_cases(), 0);
}

#[test]
fn what_was_recorded_at_once_gives_way_to_nobody() {
    let mut config = config();
    config.judge.street_vending.grace_secs = 900.0;
    config.camera.push(config::Camera {
        name: "cam1".to_owned(),
        ..Default::default()
    });
    let mut lane = config.zone[2].clone();
    (lane.name, lane.camera) = ("lane1".to_owned(), "cam1".to_owned());
    config.zone.push(lane);
    let mut street = Street::new();
    street.judge = judging(&config, all_roles(), "boot-a").unwrap();
    // Camera 1 is gone after it; on camera 0 there are more vendors than the book has room for.
    let (_, t) = spilled(&mut street.judge, 1);
    street.run(t, t + 54.9, |now| rows_of_stalls(now - t));
    let gone = street.orders.iter().filter_map(|(_, o)| o.hit());
    let gone: Vec<_> = gone
        .filter(|hit| hit.outcome == HitOutcome::GaveWay)
        .map(|hit| hit.violation)
        .collect();
    assert!(!gone.is_empty());
    assert!(!gone.contains(&Violation::Spillage), "{gone:?}");
}

/// A box that was switched off with a case open, and on again.
struct Off {
    /// Judgement as it was when the power went.
    saved: String,
    /// When that was.
    at: f64,
    /// For how long, seconds.
    secs: f64,
    /// From which second of its next boot the clock is trusted.
    trusted: f64,
}

impl Off {
    /// What is ordered in the first `secs` seconds of the next boot, with the stall standing there.
    fn then(&self, secs: f64) -> Vec<String> {
        let mut judge = judging(&config(), all_roles(), "boot-b").unwrap();
        judge.resume(&self.saved, |_| None).unwrap();
        let begun = self.at + self.secs;
        let mut told = Vec::new();
        // The first pictures come when a box has been up for a while.
        let mut up = 40.0;
        while up < secs {
            let mut scene = scene(begun + up, &[STALL]);
            if up < self.trusted {
                scene.at.error_ns = Stamp::ERROR_UNKNOWN;
            }
            told.extend(words(&judge.step(&seen_in_boot(scene, begun))));
            up += 0.5;
        }
        told
    }
}

#[test]
fn after_a_reboot_a_case_goes_on_only_when_the_box_was_off_for_a_short_while() {
    let (minutes, night) = (300.0, 13.0 * 3600.0);
    let late = "discard no second look within half an hour of the end of the grace time: \
                no picture, none in which anything changed, or none that tells what stands there";
    let (always, soon, never) = (0.0, 60.0, f64::INFINITY);
    for (secs, trusted, in_grace, heard) in [
        (minutes, always, "seal persisted", "seal persisted"),
        (minutes, soon, "seal persisted", "seal persisted"),
        (
            night,
            always,
            late,
            "discard no picture within half an hour of the warning",
        ),
        (
            night,
            soon,
            late,
            "discard no picture within half an hour of the warning",
        ),
        (
            minutes,
            never,
            late,
            "discard no picture within half an hour of the warning",
        ),
    ] {
        let (just_heard, t, _) = warned(&config(), true);
        let off = Off {
            saved: just_heard.book(),
            at: t + 1.0,
            secs,
            trusted,
        };
        let until = if trusted.is_infinite() {
            2_000.0
        } else {
            200.0
        };
        let told = off.then(until);
        let ends = |told: &[String]| {
            let ends = |w: &&String| w.starts_with("seal") || w.starts_with("discard");
            told.iter().find(ends).cloned()
        };
        let case = format!("off for {secs} s, clock trusted from {trusted} s");
        assert_eq!(ends(&told).as_deref(), Some(heard), "{case}: {told:?}");

        let mut street = Street::new();
        street.run(0.0, 20.0, |_| vec![STALL]);
        let off = Off {
            saved: street.judge.book(),
            at: 20.0,
            ..off
        };
        let told = off.then(until);
        assert_eq!(ends(&told).as_deref(), Some(in_grace), "{case}: {told:?}");
    }
}

#[test]
fn a_record_says_when_its_moments_are_of_two_boots() {
    let boots = [
        ("boot-a", "boot-a", false),
        ("boot-a", "boot-b", true),
        // The kernel does not say: they need not be the same.
        ("unknown", "unknown", true),
    ];
    for (first, boot, crossed) in boots {
        let mut street = Street::new();
        street.judge = judging(&config(), all_roles(), first).unwrap();
        street.run(0.0, 20.0, |_| vec![STALL]);
        let saved = street.judge.book();
        street.judge = judging(&config(), all_roles(), boot).unwrap();
        street.judge.resume(&saved, |_| None).unwrap();
        street.run(21.0, 60.0, |_| vec![STALL]);
        let record = street.orders.iter().find_map(|(_, o)| match o {
            Order::Seal { record, .. } => Some(record.crossed),
            _ => None,
        });
        assert_eq!(record, Some(crossed), "{boot}");
    }
}

#[test]
fn after_a_reboot_nobody_is_shouted_at_for_one_of_yesterday() {
    for (secs, trusted, again) in [
        (60.0, 0.0, true),
        (13.0 * 3600.0, 0.0, false),
        (60.0, f64::INFINITY, false),
    ] {
        let (unheard, at, _) = warned(&config(), false);
        let off = Off {
            saved: unheard.book(),
            at,
            secs,
            trusted,
        };
        let told = off.then(80.0);
        let warns = told.iter().any(|w| w == "warn");
        assert_eq!(warns, again, "{secs} {trusted}: {told:?}");
    }
}

#[test]
fn a_place_rests_no_longer_because_the_box_was_off() {
    let mut street = Street::new();
    street.run(0.0, 60.0, |_| vec![STALL]);
    assert_eq!(street.told().last().unwrap(), "seal persisted");
    let off = Off {
        saved: street.judge.book(),
        at: 60.0,
        secs: 20.0,
        trusted: 0.0,
    };
    assert!(!off.then(55.0).contains(&"warn".to_owned()), "it rests");
    let off = Off { secs: 300.0, ..off };
    assert!(off.then(55.0).contains(&"warn".to_owned()), "it has rested");
}
