//! Boxes that drive: what becomes of the places of a picture that moves on, and who is met again.

use super::*;
use crate::types::Appearance;

/// The picture of a box that drives on, five times a second.
const ONWARD: Motion = Motion {
    x: [1.01, 0.0, 0.0],
    y: [0.0, 1.01, -0.005],
};

/// An empty street that comes nearer.
fn driving(t: f64) -> Scene {
    let mut scene = scene(t, &[]);
    scene.moved = Moved::By(ONWARD);
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
        [1, 1, 0],
        "what has gone far is forgotten, and rests all the same"
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

/// What is seen the second time, what it looks like, where, how far the receiver may err then, and how
/// often somebody is warned in all.
type Second = (&'static str, Role, Option<Appearance>, (f64, u32), usize);

#[test]
fn who_was_warned_is_left_in_peace_when_the_car_comes_by_again() {
    let first = likeness::look(1);
    let another = Some(likeness::look(2));
    let (stall, goods) = (Role::Stall, Role::Goods);
    let others: [Second; 7] = [
        ("the same", stall, Some(first), (3.0, 2_000), 1),
        ("nobody can tell", stall, None, (3.0, 2_000), 1),
        ("clearly another", stall, another, (3.0, 2_000), 2),
        (
            "at another place of the street",
            stall,
            Some(first),
            (90.0, 2_000),
            2,
        ),
        (
            "the same, by a vague position",
            stall,
            Some(first),
            (3.0, 31_000),
            1,
        ),
        // Only the shop's rule finds them.
        (
            "the same, as goods before a shop",
            goods,
            Some(first),
            (3.0, 2_000),
            1,
        ),
        (
            "clearly another's goods before a shop",
            goods,
            another,
            (3.0, 2_000),
            2,
        ),
    ];
    for (name, role, second, (east_m, vague_mm), wanted) in others {
        let mut config = config();
        config.judge.street_vending.cool_down_secs = 1_800.0;
        let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
        let mut warnings = 0;
        for step in 0..2_000 {
            let t = f64::from(step) * 0.2;
            // It stops at a stall, drives round the block, and stops again a few metres off.
            let (stall, appearance, (east_m, error_mm)) = match t {
                _ if t < 15.0 => (Some(STALL), Some(first), (0.0, 2_000)),
                _ if t < 360.0 => (None, None, (300.0, 2_000)),
                _ => {
                    let place = (east_m, vague_mm);
                    (Some((2, role, 0.75, 0.9)), second, place)
                }
            };
            let things: Vec<Thing> = stall.into_iter().collect();
            let mut scene = places::seen_from(t, &things, Some(east_m));
            if let Some(placed) = &mut scene.place {
                placed.pose.h_acc_mm = Some(error_mm);
            }
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

/// What a street is like to a camera that moves.
struct Ride {
    judge: Judge,
    told: Vec<String>,
}

impl Ride {
    fn new() -> Self {
        let mut config = config();
        config.camera[0].mount = config::Mount::Moving;
        config.judge.street_vending.cool_down_secs = 1_800.0;
        Self {
            judge: judging(&config, all_roles(), "boot-a").unwrap(),
            told: Vec::new(),
        }
    }

    /// One look; every warning is heard. Hits are not told.
    fn look(&mut self, scene: &Scene) {
        for order in self.judge.step(scene) {
            if let Order::Warn { case, .. } = &order {
                let t = Duration::from_nanos(scene.at.boot_ns).as_secs_f64() - START_SECS;
                self.judge.hear(report(*case, t, true));
            }
            if !matches!(order, Order::Hit { .. }) {
                self.told.push(word(&order));
            }
        }
    }

    fn warnings(&self) -> usize {
        self.told.iter().filter(|word| *word == "warn").count()
    }
}

/// The stall in a picture that moved by `right` since it was warned; nothing beyond the picture.
fn passing(t: f64, right: f32, east_m: Option<f64>) -> Scene {
    let (track, role, x0, y1) = STALL;
    let there = Some((track, role, x0 + right, y1)).filter(|s| s.2 > -0.1 && s.2 < 1.0);
    let mut scene = places::seen_from(t, there.as_slice(), east_m);
    for track in &mut scene.tracks {
        track.appearance = Some(likeness::look(1));
    }
    scene
}

#[test]
fn who_was_warned_is_known_again_when_the_camera_pans_away_and_back() {
    let by = |role: Role| [Some(0.0), None].map(|east_m| (role, east_m));
    // Goods only the shop's rule finds, and no stall.
    for (role, east_m) in [Role::Stall, Role::Goods].into_iter().flat_map(by) {
        let mut ride = Ride::new();
        let mut right = 0.0;
        for step in 0..500_u16 {
            let pan = match step {
                60..76 => 0.1,
                80..96 => -0.1,
                _ => 0.0,
            };
            right += pan;
            let mut scene = passing(f64::from(step) * 0.2, right, east_m);
            if pan != 0.0 {
                scene.moved = Moved::By(Motion {
                    x: [1.0, 0.0, pan],
                    ..Motion::NONE
                });
            }
            for track in scene.tracks.iter_mut().filter(|_| step >= 96) {
                track.detection.roles = [role].into_iter().collect();
            }
            ride.look(&scene);
        }
        let told = &ride.told;
        assert_eq!(ride.warnings(), 1, "{role:?} {east_m:?}: {told:?}");
        let end = told.last().unwrap();
        let why = "discard its place has left the picture";
        assert_eq!(end, why, "{role:?} {east_m:?}");
    }
}

#[test]
fn of_a_picture_that_moved_nobody_knows_how_nothing_is_said() {
    // In the grace time the gimbal turns to another house front: nothing stands there, or another stall.
    for (name, stands) in [("nothing", false), ("a stall", true)] {
        let mut ride = Ride::new();
        for step in 0..400_u16 {
            let t = f64::from(step) * 0.2;
            let mut scene = passing(t, 0.0, Some(0.0));
            if step == 100 {
                scene.moved = Moved::Unknown;
            }
            if step >= 100 && !stands {
                scene.tracks.clear();
            }
            ride.look(&scene);
        }
        let told = &ride.told;
        assert_eq!(ride.warnings(), 1, "{name}: he still rests: {told:?}");
        let why = "discard nobody can tell where in the picture its place is by now";
        assert_eq!(told.last().unwrap(), why, "{name}");
    }
}

#[test]
fn clearly_another_at_a_place_that_was_lost_is_warned() {
    let mut ride = Ride::new();
    for step in 0..400_u16 {
        let mut scene = passing(f64::from(step) * 0.2, 0.0, Some(0.0));
        if step == 100 {
            scene.moved = Moved::Unknown;
        }
        for track in scene.tracks.iter_mut().filter(|_| step >= 100) {
            track.appearance = Some(likeness::look(2));
        }
        ride.look(&scene);
    }
    assert_eq!(ride.warnings(), 2, "{:?}", ride.told);
}

#[test]
fn nothing_stands_while_nobody_can_tell_how_the_picture_moves() {
    let mut ride = Ride::new();
    for step in 0..300_u16 {
        let mut scene = passing(f64::from(step) * 0.2, 0.0, Some(0.0));
        scene.moved = Moved::Unknown;
        ride.look(&scene);
    }
    assert_eq!(ride.told, Vec::<String>::new());
}

#[test]
fn a_place_is_remembered_only_where_it_can_be_told_to_be_the_same() {
    let mut config = config();
    config.camera[0].mount = config::Mount::Moving;
    for (name, moved, found_at, prior) in [
        ("followed", Moved::Still, 0.0, 1),
        ("lost", Moved::Unknown, 0.0, 0),
        (
            "its place of the street found later",
            Moved::Still,
            100.0,
            0,
        ),
        ("never found", Moved::Still, 1_000.0, 1),
    ] {
        let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
        let mut priors = Vec::new();
        for step in 0..1_200_u16 {
            let t = f64::from(step) * 0.2;
            let mut scene = passing(t, 0.0, Some(0.0).filter(|_| t >= found_at));
            if step == 500 {
                scene.moved = moved;
            }
            for order in judge.step(&scene) {
                match order {
                    Order::Warn { case, .. } => judge.hear(report(case, t, true)),
                    Order::Seal { record, .. } => priors.push(record.prior),
                    _ => {}
                }
            }
        }
        assert_eq!(priors, [Some(0), Some(prior)], "{name}");
    }
}
