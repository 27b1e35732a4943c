//! Frames that were held back because nothing moved: what stood goes on standing, no look is
//! counted for them, and a road on which a truck drove is looked at all the same.

use super::*;

/// When a case opens of `things` that are looked at five times a second for eight seconds, and then
/// every five, of which nothing moved for `held`; at the look after eight they are `missed`.
fn opened(things: &[Thing], held: Duration, missed: bool) -> Option<f64> {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let often = (0..40).map(|look| (f64::from(look) * 0.2, Duration::ZERO));
    let rarely = (1..=4).map(|look| (7.8 + f64::from(look) * 5.0, held));
    let mut opened = None;
    for (t, held) in often.chain(rarely) {
        let missed = missed && (8.0..13.0).contains(&t);
        let seen = if missed { &[] } else { things };
        let orders = judge.step(&Scene {
            held,
            ..scene(t, seen)
        });
        let opens = |o: &Order| o.hit().is_some_and(|h| h.outcome == HitOutcome::Opened);
        opened = opened.or(orders.iter().any(opens).then_some(t));
    }
    opened
}

#[test]
fn what_stood_before_nothing_moved_stands_afterwards() {
    let parts = [
        (1, Role::Tricycle, 0.4, 0.8),
        (2, Role::Goods, 0.5, 0.8),
        (3, Role::Person, 0.45, 0.8),
    ];
    let still = Duration::from_millis(4_800);
    let near = |opened: Option<f64>, t: f64| opened.is_some_and(|at| (at - t).abs() < 0.1);
    for things in [&[STALL][..], &parts] {
        let held = opened(things, still, false);
        assert!(near(held, 12.8), "{held:?}");
        // When the camera was away nobody knows what stood there.
        let away = opened(things, Duration::ZERO, false);
        assert!(away.is_none_or(|away| away > 18.0), "{away:?}");
    }
    let missed = opened(&[STALL], still, true);
    assert!(near(missed, 17.8), "missed once: {missed:?}");
}

#[test]
fn an_outage_after_a_still_time_is_no_standing() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let often = |from: f64, looks: u32| (0..looks).map(move |i| (from + f64::from(i) * 0.2, 0.0));
    let looks = often(0.0, 10).chain([(6.8, 4.8)]).chain(often(17.0, 60));
    let mut opened = None;
    for (t, held) in looks {
        let orders = judge.step(&Scene {
            held: Duration::from_secs_f64(held),
            ..scene(t, &[STALL])
        });
        let opens = |o: &Order| o.hit().is_some_and(|h| h.outcome == HitOutcome::Opened);
        opened = opened.or(orders.iter().any(opens).then_some(t));
    }
    assert!(
        opened.is_some_and(|at| (at - 27.0).abs() < 0.3),
        "{opened:?}"
    );
}

#[test]
fn no_look_is_spared_while_a_case_is_open_or_a_truck_may_be_blamed() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let wants = |judge: &Judge, camera, t| judge.wants_look(camera, at(t));
    assert!(!wants(&judge, 0, 0.0));
    for step in 0..50 {
        let t = f64::from(step) * 0.2;
        let lorry = (7, Role::Truck, (t * 0.1) as f32, 0.8);
        assert_eq!(judge.step(&scene(t, &[lorry])), []);
    }
    // It was last in the zone at 9.4 s: ten seconds in which it may have lost what is seen, and seven
    // to lay blame.
    let told = [10.0, 26.3, 26.5].map(|t| wants(&judge, 0, t));
    assert_eq!(told, [true, true, false]);
    assert!(!wants(&judge, 1, 10.0), "another camera's");

    let mut street = Street::new();
    street.run(0.0, 20.0, |_| vec![STALL]);
    assert!(wants(&street.judge, 0, 20.0) && wants(&street.judge, 1, 20.0));
}
