//! The saved book under a configuration that has changed meanwhile.

use super::*;

/// Another camera before the one with the zones.
fn camera_added(config: &mut Config) {
    config.camera.insert(
        0,
        config::Camera {
            name: "new".to_owned(),
            ..Default::default()
        },
    );
}

/// The book of a street whose stall was warned and is in its grace time.
fn in_grace() -> String {
    let mut street = Street::new();
    street.run(0.0, 20.0, |_| vec![STALL]);
    street.judge.book()
}

/// What may happen to a configuration, and whether the stall is still judged.
type Edit = (&'static str, fn(&mut Config), bool);

fn edits() -> [Edit; 7] {
    [
        ("the same", |_| {}, true),
        ("a camera is added before it", camera_added, true),
        (
            "the camera is another",
            |config| {
                config.camera[0].name = "cam9".to_owned();
                for zone in &mut config.zone {
                    zone.camera = "cam9".to_owned();
                }
            },
            false,
        ),
        (
            "the zone is gone",
            |config| drop(config.zone.remove(0)),
            false,
        ),
        (
            "the zone is of another kind",
            |config| config.zone[0].kind = ZoneKind::ShopFront,
            false,
        ),
        (
            "the zone is drawn past it",
            |config| {
                for point in &mut config.zone[0].polygon {
                    point.y = f32::midpoint(point.y, 1.0) + 0.1;
                }
            },
            false,
        ),
        (
            "the rule is switched off",
            |config| config.judge.street_vending.enabled = false,
            false,
        ),
    ]
}

#[test]
fn a_case_is_decided_by_its_own_camera_under_any_configuration() {
    for (name, edit, judged) in edits() {
        let mut config = config();
        edit(&mut config);
        let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
        judge.resume(&in_grace(), |_| None).unwrap();
        let mut ends = Vec::new();
        for step in 0..200 {
            let t = 21.0 + f64::from(step) * 0.2;
            // On the last camera, where the zone is now, it still stands; on another there is none.
            for camera in 0..config.camera.len() {
                let here = camera + 1 == config.camera.len();
                let things: Vec<Thing> = Some(STALL).filter(|_| here).into_iter().collect();
                let mut scene = scene(t, &things);
                scene.camera = camera;
                let orders = judge.step(&scene);
                let over = |o: &&Order| o.hit().is_some_and(|h| h.outcome.ends());
                ends.extend(
                    orders
                        .iter()
                        .filter(over)
                        .map(|o| (word(o), o.hit().unwrap().camera)),
                );
            }
        }
        assert_eq!(ends.len(), 1, "{name}: {ends:?}");
        let wanted = if judged {
            "seal persisted"
        } else {
            "discard the configuration does not judge its place any more"
        };
        assert_eq!(ends[0].0, wanted, "{name}");
        if judged {
            assert_eq!(ends[0].1, config.camera.len() - 1, "{name}");
        }
    }
}

#[test]
fn a_place_rests_though_a_camera_was_added() {
    let mut street = Street::new();
    street.run(0.0, 60.0, |_| vec![STALL]);
    let saved = street.judge.book();
    let mut config = config();
    camera_added(&mut config);
    let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
    judge.resume(&saved, |_| None).unwrap();
    for step in 0..100 {
        let mut scene = scene(61.0 + f64::from(step) * 0.2, &[STALL]);
        scene.camera = 1;
        let orders = judge.step(&scene);
        assert!(!orders.iter().any(|o| matches!(o, Order::Warn { .. })));
    }
}

#[test]
fn what_was_recorded_at_once_is_kept_though_its_place_has_left_the_picture() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let (_, t) = waits::spilled(&mut judge, 0);
    // The box drives on: the place leaves the zone, and the picture.
    for step in 1..=12 {
        let mut scene = scene(t + f64::from(step) * 0.2, &[]);
        scene.moved = Moved::By(Motion {
            y: [0.0, 1.0, -0.05],
            ..Motion::NONE
        });
        judge.step(&scene);
    }
    let saved = judge.book();
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    judge.resume(&saved, |_| None).unwrap();
    assert_eq!(judge.idle(0, at(t + 3.0)), []);
    let orders = judge.idle(0, at(t + 121.0));
    let told: Vec<String> = orders.iter().map(word).collect();
    assert_eq!(told, ["clip", "seal recorded"]);
}

#[test]
fn who_was_warned_before_a_crash_is_remembered() {
    for (ended, prior) in [
        (Ended::Sealed, 1),
        (Ended::Reminded, 1),
        (Ended::Discarded, 0),
    ] {
        let mut config = config();
        config.judge.street_vending.history_days = 1;
        let mut street = Street::new();
        street.judge = judging(&config, all_roles(), "boot-a").unwrap();
        street.judge.resume(&in_grace(), |_| Some(ended)).unwrap();
        street.run(21.0, 220.0, |_| vec![STALL]);
        let priors = street.orders.iter().filter_map(|(_, o)| match o {
            Order::Seal { record, .. } => Some(record.prior),
            _ => None,
        });
        assert_eq!(priors.collect::<Vec<_>>(), [Some(prior)], "{ended:?}");
    }
}

/// Between two restarts of one boot there may be no moment at all, as with `systemctl restart` right
/// after the box came up: the book is still the one of the boot before.
#[test]
fn a_run_without_a_moment_hands_on_the_book_it_was_given() {
    let begun = 2_000.0;
    let again = |saved: &str| {
        let mut judge = judging(&config(), all_roles(), "boot-b").unwrap();
        judge.resume(saved, |_| None).unwrap();
        judge
    };
    // That the warning was long ago only UTC says.
    let saved = in_grace();
    let book = again(&saved).book();
    assert_eq!(book, saved);
    let mut judge = again(&book);
    let mut told = Vec::new();
    for step in 0..100 {
        let scene = scene(begun + 40.0 + f64::from(step) * 0.2, &[STALL]);
        let orders = judge.step(&seen_in_boot(scene, begun));
        told.extend(
            orders
                .iter()
                .filter(|o| o.hit().is_some_and(|h| h.outcome.ends()))
                .map(word),
        );
    }
    let why = "discard no second look within half an hour of the end of the grace time: \
                no picture, none in which anything changed, or none that tells what stands there";
    assert_eq!(told, [why]);
    let moved_on = judge.book();
    assert_ne!(moved_on, saved);
    assert!(moved_on.contains("boot-b"), "{moved_on}");
}

/// The tracker needs three looks until it says again who stands there, and the second look had begun.
#[test]
fn a_restart_in_the_second_look_begins_it_anew() {
    // How far apart the looks are, and in how many of two it was seen before the restart.
    for (every, seen) in [(0.5, 0), (1.0, 0), (1.0, 1), (1.0, 2), (5.0, 2)] {
        let mut street = Street::new();
        street.run(0.0, 40.1, |_| vec![STALL]);
        let mut told = Vec::new();
        for look in 0..20_u8 {
            if look == 2 {
                let saved = street.judge.book();
                assert!(saved.contains("looking"), "{saved}");
                street.judge = judging(&config(), all_roles(), "boot-a").unwrap();
                street.judge.resume(&saved, |_| None).unwrap();
            }
            let there = look < seen || look >= 4;
            let away = if look < 2 { 0.0 } else { 9.0 };
            let t = 40.6 + f64::from(look) * every + away;
            let things = Some(STALL).filter(|_| there);
            told.extend(street.judge.step(&scene(t, things.as_slice())));
        }
        let ends = told
            .iter()
            .filter(|o| o.hit().is_some_and(|h| h.outcome.ends()));
        let ends: Vec<String> = ends.map(word).collect();
        assert_eq!(ends, ["seal persisted"], "every {every} s, seen in {seen}");
    }
}
