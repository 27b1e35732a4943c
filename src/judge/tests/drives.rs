//! Boxes that drive: what becomes of the places of a picture that moves on, and who is met again.

use super::*;

/// The picture of a box that drives on, five times a second.
const ONWARD: Motion = Motion {
    x: [1.01, 0.0, 0.0],
    y: [0.0, 1.01, -0.005],
};

/// An empty street that comes nearer.
fn driving(t: f64) -> Scene {
    let mut scene = scene(t, &[]);
    scene.motion = Some(ONWARD);
    scene
}

/// One case that has ended, and is remembered; and the moment after it.
fn with_a_past() -> (Judge, f64) {
    let mut street = Street::new();
    street.run(0.0, 60.0, |_| vec![STALL]);
    assert_eq!(street.told().last().unwrap(), "seal persisted");
    (street.judge, 60.0)
}

#[test]
fn a_book_can_be_read_after_a_day_of_driving() {
    let mut config = config();
    (
        config.judge.street_vending.grace_secs,
        config.judge.street_vending.cool_down_secs,
    ) = (86_400.0, 86_400.0);
    let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
    let (kept, t) = with_a_past();
    judge.resume(&kept.book(), |_| None).unwrap();
    // One is open, one rests, and one is remembered when the box drives off.
    for step in 0..100 {
        let t = t + f64::from(step) * 0.2;
        for order in judge.step(&scene(t, &[(2, Role::Stall, 0.7, 0.8)])) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
        }
    }
    let before = judge.book();
    let lists = |book: &str| {
        let book: serde_json::Value = serde_json::from_str(book).unwrap();
        ["open", "closed", "past"].map(|list| book[list].as_array().unwrap().len())
    };
    assert_eq!(lists(&before), [1, 1, 1]);
    for step in 0..20_000 {
        judge.step(&driving(t + 20.0 + f64::from(step) * 0.2));
    }
    assert_eq!(
        lists(&judge.book()),
        [1, 0, 0],
        "what has gone far is forgotten"
    );
    let mut next = judging(&config, all_roles(), "boot-a").unwrap();
    assert_eq!(
        next.resume(&judge.book(), |_| None).unwrap(),
        0,
        "all of it is read"
    );
    assert_eq!(next.open_cases(), 1);
}

#[test]
fn an_entry_that_cannot_be_read_costs_itself_and_not_the_book() {
    let (judge, t) = with_a_past();
    let mut book: serde_json::Value = serde_json::from_str(&judge.book()).unwrap();
    book["past"][0]["area"]["x0"] = serde_json::Value::Null;
    let mut street = Street::new();
    let lost = street.judge.resume(&book.to_string(), |_| None).unwrap();
    assert_eq!(lost, 1);
    street.run(t, t + 20.0, |_| vec![STALL]);
    assert_eq!(street.told(), Vec::<String>::new(), "the place still rests");
}

#[test]
fn what_left_the_picture_was_not_corrected() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut end = None;
    for step in 0..400 {
        let t = f64::from(step) * 0.2;
        let scene = if t < 15.0 {
            scene(t, &[STALL])
        } else {
            driving(t)
        };
        for order in judge.step(&scene) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
            if order.hit().is_some_and(|h| h.outcome.ends()) {
                end = end.or_else(|| Some(word(&order)));
            }
        }
    }
    assert_eq!(
        end.as_deref(),
        Some("discard its place has left the picture")
    );
}

#[test]
fn who_was_warned_is_left_in_peace_when_the_car_comes_by_again() {
    use crate::types::Appearance;

    let first = likeness::look(1);
    let others: [(&str, Option<Appearance>, f64, usize); 4] = [
        ("the same", Some(first), 3.0, 1),
        ("nobody can tell", None, 3.0, 1),
        ("clearly another", Some(likeness::look(2)), 3.0, 2),
        ("at another place of the street", Some(first), 90.0, 2),
    ];
    for (name, second, east_m, wanted) in others {
        let mut config = config();
        config.judge.street_vending.cool_down_secs = 1_800.0;
        let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
        let mut warnings = 0;
        for step in 0..2_000 {
            let t = f64::from(step) * 0.2;
            // It stops at a stall, drives round the block, and stops again a few metres off.
            let (stall, appearance, east_m) = match t {
                _ if t < 15.0 => (Some(STALL), Some(first), 0.0),
                _ if t < 360.0 => (None, None, 300.0),
                _ => (Some((2, Role::Stall, 0.75, 0.9)), second, east_m),
            };
            let things: Vec<Thing> = stall.into_iter().collect();
            let mut scene = places::seen_from(t, &things, Some(east_m));
            for track in &mut scene.tracks {
                track.appearance = appearance;
            }
            for order in judge.step(&scene) {
                if let Order::Warn { case, .. } = &order {
                    warnings += 1;
                    judge.hear(report(*case, t, true));
                }
            }
        }
        assert_eq!(warnings, wanted, "{name}");
    }
}
