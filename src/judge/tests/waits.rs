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
        let place = Some(0.0).filter(|_| !(10.3..2_700.0).contains(&t));
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
