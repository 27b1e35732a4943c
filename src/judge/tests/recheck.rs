//! A person who asks sees what is there, and changes nothing.

use super::*;

#[test]
fn a_recheck_says_where_a_case_stands_and_whether_its_subject_is_there() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut told = Vec::new();
    // A stall stands from the start, is warned at 10 s and has gone at 20 s, when somebody stands in
    // its place; a bag hides it at 15 s.
    let (_, _, x, bottom) = STALL;
    let somebody = (2, Role::Person, x, bottom);
    for step in 0..=110 {
        let t = f64::from(step) * 0.2;
        let things: &[Thing] = if t < 20.0 { &[STALL] } else { &[somebody] };
        let mut scene = scene(t, things);
        if (15.0..16.0).contains(&t) {
            scene.view = View::Covered;
        }
        let orders = judge.step(&scene);
        let elsewhere = Scene {
            camera: 1,
            ..scene.clone()
        };
        assert_eq!(judge.recheck(&elsewhere), [], "another camera's");
        told.extend(judge.recheck(&scene).into_iter().map(|case| (t, case)));
        for order in orders {
            if let Order::Warn { case, .. } = order {
                judge.hear(report(case, t, true));
            }
        }
    }
    let at = |t: f64| {
        let near = |(then, _): &&(f64, _)| (*then - t).abs() < 0.1;
        &told.iter().find(near).expect("an open case").1
    };
    assert!(told[0].0 >= 10.0, "no case before");
    let warned = &told[0].1;
    assert_eq!((warned.phase, warned.seen), ("warning", Some(true)));
    assert_eq!((warned.warned, warned.grace_left), (None, None));
    assert!(warned.gates.iter().any(|g| g.gate == "dwell" && g.pass));
    let grace = at(12.0);
    assert_eq!((grace.phase, grace.seen), ("grace", Some(true)));
    assert!(grace.warned.is_some());
    let left = grace.grace_left.unwrap().as_secs_f64();
    assert!((27.0..30.0).contains(&left), "{left}");
    let hidden = at(15.4);
    assert_eq!((hidden.phase, hidden.seen), ("grace", None), "nobody knows");
    let gone = at(21.0);
    assert_eq!((gone.phase, gone.seen), ("grace", Some(false)));
    assert_eq!(gone.gates, []);
}

/// What may happen on a street: things at places, what became of the warnings.
#[derive(Clone, Debug)]
enum Event {
    Look { things: Vec<(u8, u8)>, secs: f64 },
    Heard(bool),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let things = proptest::collection::vec((0_u8..4, 0_u8..5), 0..4);
    let look = (things, 0.2_f64..8.0).prop_map(|(things, secs)| Event::Look { things, secs });
    let event = prop_oneof![4 => look, 1 => any::<bool>().prop_map(Event::Heard)];
    proptest::collection::vec(event, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whoever asks, and however often: the same orders and the same book, so no persisted outcome
    /// that would not have come; and no case ends by a second look while a grace time that was told
    /// is left.
    #[test]
    fn no_recheck_changes_what_becomes_of_a_case(events in events(), asked in any::<u64>()) {
        let roles = [Role::Stall, Role::Furniture, Role::Truck, Role::Debris];
        let new = || judging(&config(), all_roles(), "boot-0").unwrap();
        let (mut judge, mut alone, mut t) = (new(), new(), 0.0);
        let mut waiting: Vec<CaseId> = Vec::new();
        let mut promised: HashMap<CaseId, Stamp> = HashMap::new();
        for (n, event) in events.into_iter().enumerate() {
            match event {
                Event::Look { things, secs } => {
                    t += secs;
                    let things: Vec<Thing> = things
                        .iter()
                        .map(|&(r, x)| (u64::from(x), roles[r as usize], f32::from(x) * 0.18, 0.8))
                        .collect();
                    let scene = scene(t, &things);
                    let orders = judge.step(&scene);
                    prop_assert_eq!(&orders, &alone.step(&scene));
                    for order in &orders {
                        match order {
                            Order::Warn { case, .. } => waiting.push(*case),
                            Order::Seal { case, .. } => if let Some(until) = promised.get(case) {
                                prop_assert!(scene.at.boot_ns >= until.boot_ns, "{:?}", order);
                            },
                            _ => {}
                        }
                    }
                    if asked >> (n % 64) & 1 == 1 {
                        for told in judge.recheck(&scene) {
                            prop_assert!(judge.is_open(told.case));
                            let left = told.grace_left.map(|left| left.as_nanos() as i64);
                            if let Some(left) = left {
                                let until = scene.at.shifted_ns(left);
                                let before = *promised.entry(told.case).or_insert(until);
                                prop_assert_eq!(before.boot_ns, until.boot_ns, "moved");
                            }
                        }
                    }
                }
                Event::Heard(works) => {
                    for case in waiting.drain(..) {
                        judge.hear(report(case, t, works));
                        alone.hear(report(case, t, works));
                    }
                }
            }
            prop_assert_eq!(judge.book(), alone.book());
        }
    }
}

#[test]
fn of_a_place_that_is_not_in_the_picture_a_recheck_knows_nothing() {
    let away = Moved::By(Motion {
        x: [1.0, 0.0, 0.8],
        ..Motion::NONE
    });
    for (name, moved) in [("panned away", away), ("nobody knows", Moved::Unknown)] {
        let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
        let mut last = None;
        for step in 0..=100 {
            let t = f64::from(step) * 0.2;
            let things: &[Thing] = if step < 80 { &[STALL] } else { &[] };
            let mut scene = scene(t, things);
            if step == 80 {
                scene.moved = moved;
            }
            for order in judge.step(&scene) {
                if let Order::Warn { case, .. } = order {
                    judge.hear(report(case, t, true));
                }
            }
            last = judge.recheck(&scene).pop();
        }
        let last = last.expect("an open case");
        assert_eq!((last.phase, last.seen), ("grace", None), "{name}");
    }
}
