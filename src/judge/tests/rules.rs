//! Scene tables of the three rules: the offence, and its nearest innocent neighbours.

use crate::types::Role::{
    Debris, Furniture, Goods, Object, Person, Plate, Stall, Tricycle, Truck, Umbrella, Vehicle,
};

use super::*;
use crate::config::Mount;
use crate::judge;

/// What is seen: track, role, left, top, right, bottom.
pub(super) type Seen = (u64, Role, [f32; 4]);
/// What is seen when.
type Play = fn(f64) -> Vec<Seen>;

pub(super) fn sight(t: f64, seen: &[Seen]) -> Scene {
    let mut scene = scene(t, &[]);
    for &(id, role, [x0, y0, x1, y1]) in seen {
        let mut track = super::scene(t, &[(id, role, x0, y1)]).tracks.remove(0);
        track.detection.area = Area { x0, y0, x1, y1 };
        scene.tracks.push(track);
    }
    scene
}

/// What is ordered when `play` is seen for three minutes, five times a second.
fn ordered(config: &Config, play: Play) -> Vec<Order> {
    ordered_by_looks(config, play, 0.2)
}

/// The same with looks `every` so many seconds.
fn ordered_by_looks(config: &Config, play: Play, every: f64) -> Vec<Order> {
    let mut judge = judging(config, all_roles(), "boot-a").unwrap();
    let mut orders = Vec::new();
    for step in 0..(180.0 / every) as u32 {
        let t = f64::from(step) * every;
        for order in judge.step(&sight(t, &play(t))) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
            orders.push(order);
        }
    }
    orders
}

/// Violations of the cases that were opened.
pub(super) fn opened(orders: &[Order]) -> Vec<Violation> {
    let hits = orders.iter().filter_map(Order::hit);
    let opened = hits.filter(|h| h.outcome == HitOutcome::Opened);
    opened.map(|h| h.violation).collect()
}

/// A road in front, a kerb and a shop behind it side by side.
pub(super) fn street() -> Config {
    let mut config = config();
    let shapes = [
        [(0.0, 0.5), (0.5, 0.5), (0.5, 0.75), (0.0, 0.75)],
        [(0.5, 0.5), (1.0, 0.5), (1.0, 0.75), (0.5, 0.75)],
        [(0.0, 0.76), (1.0, 0.76), (1.0, 1.0), (0.0, 1.0)],
    ];
    for (zone, shape) in config.zone.iter_mut().zip(shapes) {
        zone.polygon = shape.map(|(x, y)| Point { x, y }).to_vec();
    }
    config.zone[1].threshold = [(0.5, 0.6), (1.0, 0.6)].map(|(x, y)| Point { x, y }).into();
    config.judge.street_vending.roles.push(Object);
    config.judge.out_of_store.roles.push(Object);
    // One case a place is enough to see it.
    config.judge.street_vending.cool_down_secs = 3600.0;
    config
}

/// A person of usual size whose foot is at `x`, `y`.
fn person(id: u64, x: f32, y: f32) -> Seen {
    (id, Person, [x - 0.025, y - 0.3, x + 0.025, y])
}

/// People who walk through, one after the other, each within reach of a place for two seconds.
fn passers_by(t: f64) -> Vec<Seen> {
    let one = |n: u64| {
        let phase = (t + n as f64 * 2.5) % 10.0;
        let number = ((t + n as f64 * 2.5) / 10.0) as u64;
        person(100 + n * 1000 + number, (phase * 0.1) as f32, 0.7)
    };
    (0..4).map(one).collect()
}

pub(super) const TRICYCLE: Seen = (1, Tricycle, [0.20, 0.50, 0.32, 0.70]);
pub(super) const GOODS: Seen = (2, Goods, [0.30, 0.62, 0.38, 0.70]);
pub(super) const UMBRELLA: Seen = (3, Umbrella, [0.18, 0.30, 0.36, 0.52]);
/// A cart with its roof.
const CART: Seen = (4, Object, [0.20, 0.36, 0.36, 0.70]);

pub(super) fn vendor() -> Seen {
    person(9, 0.26, 0.69)
}

#[test]
fn what_is_like_a_stall_opens_one_case() {
    let plays: [(&str, Play); 10] = [
        (
            "a stall whose shadow in the background comes first, and later",
            |t| {
                let area = [0.20, 0.45, 0.32, 0.70];
                let shadow = (1, Object, area);
                let stall = [(5, Stall, area), vendor()];
                let seen = (t >= 0.2).then_some(shadow);
                seen.into_iter().chain(stall).collect()
            },
        ),
        (
            "a stall that is taken for its tricycle in every third look",
            |t| {
                let tricycle = ((t * 5.0).round() as u64).is_multiple_of(3);
                let role = if tricycle { Tricycle } else { Stall };
                vec![(1, role, TRICYCLE.2)]
            },
        ),
        ("a stall", |_| vec![(1, Stall, TRICYCLE.2)]),
        ("a stall with its umbrella and goods", |_| {
            vec![(1, Stall, TRICYCLE.2), GOODS, UMBRELLA, vendor()]
        }),
        ("a tricycle with goods, sold from", |_| {
            vec![TRICYCLE, GOODS, vendor()]
        }),
        ("wares under an umbrella, sold from", |_| {
            vec![UMBRELLA, (2, Goods, [0.2, 0.5, 0.36, 0.7]), vendor()]
        }),
        ("a cart of no known class, sold from", |_| {
            vec![CART, vendor()]
        }),
        ("a cargo tricycle of no known class, sold from", |_| {
            vec![(1, Object, [0.16, 0.50, 0.40, 0.70]), vendor()]
        }),
        ("wares spread on a cloth, sold from", |_| {
            vec![(1, Object, [0.19, 0.62, 0.35, 0.70]), vendor()]
        }),
        (
            "a tricycle whose parts come and go, its vendor renamed",
            |t| {
                let mut seen = vec![person(9 + (t / 20.0) as u64, 0.26, 0.69)];
                let look = (t * 5.0).round() as u64;
                seen.extend(Some(TRICYCLE).filter(|_| !look.is_multiple_of(4)));
                seen.extend(Some(GOODS).filter(|_| !look.is_multiple_of(3)));
                seen
            },
        ),
    ];
    for (name, play) in plays {
        let orders = ordered(&street(), play);
        assert_eq!(opened(&orders), [Violation::StreetVending], "{name}");
    }
}

#[test]
fn a_camera_that_is_looked_at_rarely_is_judged_all_the_same() {
    let offences: [(&str, Play, Violation); 3] = [
        (
            "a stall",
            |_| vec![(1, Stall, TRICYCLE.2)],
            Violation::StreetVending,
        ),
        (
            "a tricycle with goods, sold from",
            |_| vec![TRICYCLE, GOODS, vendor()],
            Violation::StreetVending,
        ),
        (
            "crates",
            |_| vec![(1, Goods, [0.7, 0.55, 0.8, 0.7])],
            Violation::OutOfStore,
        ),
    ];
    // Key frames, and the rarest look that can be set.
    for every in [1.02, 2.0, 4.0, 10.0] {
        for (name, play, violation) in offences {
            let orders = ordered_by_looks(&street(), play, every);
            assert_eq!(opened(&orders), [violation], "{name} each {every} s");
        }
        let passing = ordered_by_looks(&street(), passers_by, every);
        assert_eq!(opened(&passing), [], "passers-by each {every} s");
    }
    // Something falls between two key frames.
    let spills: Play = |t| {
        let there = (t > 6.0).then_some(SPILT);
        with(lorry(1, t, 0.0), there)
    };
    let orders = ordered_by_looks(&street(), spills, 1.02);
    assert_eq!(opened(&orders), [Violation::Spillage]);
}

#[test]
fn a_stall_before_a_larger_one_is_another() {
    let orders = ordered(&street(), |_| {
        let small = (1, Stall, [0.2, 0.6, 0.26, 0.72]);
        vec![small, (2, Stall, [0.12, 0.4, 0.4, 0.74])]
    });
    assert_eq!(opened(&orders).len(), 2);
}

#[test]
fn nobody_near_a_stall_is_one() {
    let plays: [(&str, Play); 17] = [
        ("an empty street", |_| vec![]),
        ("passers-by", passers_by),
        ("a queue that waits for its bus, with a suitcase", |_| {
            let queue = (0..6).map(|n| person(10 + n, 0.1 + n as f32 * 0.05, 0.7));
            queue
                .chain([(1, Object, [0.20, 0.64, 0.24, 0.70])])
                .collect()
        }),
        ("a parked bicycle whose owner talks beside it", |_| {
            let bicycle = [0.20, 0.55, 0.32, 0.70];
            vec![(1, Vehicle, bicycle), (2, Object, bicycle), vendor()]
        }),
        ("a bicycle that the model does not know", |_| {
            vec![(1, Object, [0.20, 0.52, 0.37, 0.70]), vendor()]
        }),
        ("the same, lengthwise from above", |_| {
            vec![(1, Object, [0.24, 0.38, 0.30, 0.70]), vendor()]
        }),
        ("a motor scooter that the model does not know", |_| {
            vec![(1, Object, [0.18, 0.46, 0.39, 0.70]), vendor()]
        }),
        ("a dog lying beside its owner", |_| {
            vec![(1, Object, [0.24, 0.62, 0.32, 0.70]), vendor()]
        }),
        ("a pram beside a parent", |_| {
            vec![(1, Object, [0.24, 0.55, 0.31, 0.70]), vendor()]
        }),
        ("a bag whose owner leaves it after a minute", |t| {
            let owner = Some(vendor()).filter(|_| t < 60.0);
            with(owner, Some((1, Object, [0.24, 0.62, 0.32, 0.70])))
        }),
        ("a courier's tricycle, parked and left", |_| {
            vec![TRICYCLE, GOODS]
        }),
        ("a courier beside his tricycle", |_| {
            vec![TRICYCLE, vendor()]
        }),
        ("a family under an umbrella", |_| {
            vec![UMBRELLA, person(9, 0.24, 0.69), person(10, 0.3, 0.69)]
        }),
        ("a barrier that everybody passes", |t| {
            let mut seen = passers_by(t);
            seen.push(CART);
            seen
        }),
        ("a person who waits where a new thing is seen", |_| {
            vec![(1, Object, [0.235, 0.39, 0.285, 0.69]), vendor()]
        }),
        ("a stall beyond the zone", |_| {
            vec![(1, Stall, [0.2, 0.2, 0.32, 0.45])]
        }),
        ("a cart pushed through", |t| {
            let x = (t * 0.01) as f32 % 0.9;
            vec![(1, Stall, [x, 0.5, x + 0.05, 0.7]), person(2, x, 0.7)]
        }),
    ];
    for (name, play) in plays {
        assert_eq!(opened(&ordered(&street(), play)), [], "{name}");
    }
}

/// The same things and the same person, as cameras of other proportions see them.
#[test]
fn how_long_a_thing_is_does_not_hang_on_the_camera() {
    let opened = |aspect: f32, long: f32, high: f32| {
        // A person is 0.3 of the picture high.
        let width = long * 0.3 / aspect;
        let (x0, y0) = (0.25 - width / 2.0, 0.7 - high * 0.3);
        let thing = (1, Object, [x0, y0, x0 + width, 0.7]);
        let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
        let scenes = (0..150).map(|step| Scene {
            aspect,
            ..sight(f64::from(step) * 0.2, &[thing, person(9, 0.25, 0.69)])
        });
        opened(&scenes.flat_map(|s| judge.step(&s)).collect::<Vec<_>>())
    };
    for aspect in [16.0 / 9.0, 4.0 / 3.0, 1.0, 9.0 / 16.0] {
        for (name, long, high, wanted) in [
            ("a dog", 0.5, 0.3, vec![]),
            ("a bicycle", 1.05, 0.62, vec![]),
            ("wares on a cloth", 0.9, 0.3, vec![Violation::StreetVending]),
            ("a cargo tricycle", 1.5, 0.7, vec![Violation::StreetVending]),
        ] {
            assert_eq!(opened(aspect, long, high), wanted, "{name} at {aspect}");
        }
    }
}

#[test]
fn a_cart_stays_though_its_vendor_steps_aside_at_the_second_look() {
    let orders = ordered(&street(), |t| {
        with(Some(vendor()).filter(|_| t < 35.0), Some(CART))
    });
    let told: Vec<String> = orders.iter().map(word).collect();
    assert!(told.contains(&"seal persisted".to_owned()), "{told:?}");
}

#[test]
fn what_the_background_has_taken_for_the_street_is_not_said_to_have_gone() {
    let taken = "discard what stood there could not be told from the street any more";
    // What the model takes it for, in so many of its first looks.
    for (since, named, wanted) in [
        (1.0, (Goods, 0), "seal corrected"),
        (20.0, (Goods, 0), taken),
        (20.0, (Goods, 1), taken),
        (20.0, (Stall, 90), "seal corrected"),
    ] {
        let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
        let mut told = Vec::new();
        for step in 0..300_u16 {
            let t = f64::from(step) * 0.2;
            let role = if step < named.1 { named.0 } else { Object };
            let cart = (4, role, CART.2);
            let seen = with([vendor()], Some(cart).filter(|_| t < 20.0));
            let mut scene = sight(t, &seen);
            scene.background_since = Some(at(if t < 20.0 { 1.0 } else { since }));
            for order in judge.step(&scene) {
                if let Order::Warn { case, .. } = &order {
                    judge.hear(report(*case, t, true));
                }
                told.push(word(&order));
            }
        }
        assert_eq!(told.last().unwrap(), wanted);
    }
}

#[test]
fn beside_nobody_no_new_thing_is_large() {
    let mut config = street();
    config.judge.street_vending.attended_min = 0.0;
    assert_eq!(opened(&ordered(&config, |_| vec![CART])), []);
}

#[test]
fn what_model_and_background_both_see_is_no_stall() {
    let plays: [(&str, Play); 7] = [
        ("a family under an umbrella, a new thing too", |_| {
            let twin = (4, Object, UMBRELLA.2);
            let family = [person(9, 0.24, 0.69), person(10, 0.3, 0.69)];
            [UMBRELLA, twin].into_iter().chain(family).collect()
        }),
        ("the same, new as far as the ground", |_| {
            let twin = (4, Object, [0.18, 0.30, 0.36, 0.69]);
            let family = [person(9, 0.24, 0.69), person(10, 0.3, 0.69)];
            [UMBRELLA, twin].into_iter().chain(family).collect()
        }),
        ("the same, each of them a new thing too", |_| {
            let family = [person(9, 0.24, 0.69), person(10, 0.3, 0.69)];
            let twins = [(4, Object, family[0].2), (5, Object, family[1].2)];
            let all = [UMBRELLA].into_iter().chain(family);
            all.chain(twins).collect()
        }),
        ("a customer's bag, put down, a new thing too", |_| {
            let bag = [0.24, 0.64, 0.28, 0.70];
            vec![(2, Goods, bag), (1, Object, bag), vendor()]
        }),
        ("the same with its shadow", |_| {
            let bag = (2, Goods, [0.24, 0.64, 0.28, 0.70]);
            vec![bag, (1, Object, [0.22, 0.62, 0.30, 0.71]), vendor()]
        }),
        ("a courier beside his tricycle, a new thing too", |_| {
            vec![TRICYCLE, (4, Object, TRICYCLE.2), vendor()]
        }),
        ("a parked bicycle, for a moment taken for a tricycle", |t| {
            let bicycle = [0.20, 0.55, 0.32, 0.70];
            let tricycle = (20.0..20.9).contains(&t);
            let twin = if tricycle { Tricycle } else { Object };
            vec![(1, Vehicle, bicycle), (2, twin, bicycle), vendor()]
        }),
    ];
    for (name, play) in plays {
        assert_eq!(opened(&ordered(&street(), play)), [], "{name}");
    }
}

#[test]
fn what_stands_apart_or_alone_is_no_stall() {
    let plays: [(&str, Play); 6] = [
        ("a parked tricycle, for a moment taken for a stall", |t| {
            let stall = (20.0..20.9).contains(&t);
            vec![(1, if stall { Stall } else { Tricycle }, TRICYCLE.2)]
        }),
        (
            "two tricycles, one for a moment taken for goods, and their drivers",
            |t| {
                let goods = (20.0..20.9).contains(&t);
                let role = if goods { Goods } else { Tricycle };
                let second = (2, role, [0.30, 0.50, 0.42, 0.70]);
                vec![TRICYCLE, second, vendor(), person(10, 0.34, 0.69)]
            },
        ),
        (
            "wares left alone, somebody under an umbrella farther on",
            |_| {
                let umbrella = (3, Umbrella, [0.44, 0.38, 0.5, 0.52]);
                vec![TRICYCLE, GOODS, umbrella, person(9, 0.47, 0.69)]
            },
        ),
        ("two tricycles side by side, and their drivers", |_| {
            let second = (2, Tricycle, [0.30, 0.50, 0.42, 0.70]);
            vec![TRICYCLE, second, vendor(), person(10, 0.34, 0.69)]
        }),
        ("a tricycle that is now and then taken for goods", |t| {
            let goods = ((t * 5.0).round() as u64).is_multiple_of(3);
            let role = if goods { Goods } else { Tricycle };
            vec![(1, role, TRICYCLE.2), vendor()]
        }),
        ("a tricycle here, goods there, people at both", |_| {
            let goods = (2, Goods, [0.38, 0.62, 0.46, 0.70]);
            let tricycle = (1, Tricycle, [0.02, 0.50, 0.14, 0.70]);
            vec![
                tricycle,
                goods,
                person(8, 0.08, 0.69),
                person(9, 0.42, 0.69),
            ]
        }),
    ];
    for (name, play) in plays {
        assert_eq!(opened(&ordered(&street(), play)), [], "{name}");
    }
}

#[test]
fn goods_beyond_the_threshold_open_a_case() {
    let plays: [(&str, Play); 5] = [
        ("crates of which the detector changes its mind", |t| {
            let look = (t * 5.0).round() as usize;
            let role = [Goods, Furniture, Object][look % 3];
            vec![(1, role, [0.7, 0.55, 0.8, 0.7])]
        }),
        ("a heap of no known class", |_| {
            vec![(1, Object, [0.7, 0.55, 0.8, 0.7])]
        }),
        ("crates", |_| vec![(1, Goods, [0.7, 0.55, 0.8, 0.7])]),
        ("a table, people before it", |t| {
            let mut seen = passers_by(t);
            seen.push((1, Furniture, [0.7, 0.55, 0.8, 0.68]));
            seen
        }),
        ("crates that tremble on the margin", |t| {
            let up = if ((t * 5.0).round() as u64).is_multiple_of(2) {
                0.0
            } else {
                0.008
            };
            vec![(1, Goods, [0.7, 0.5, 0.8, 0.622 - up])]
        }),
    ];
    for (name, play) in plays {
        let orders = ordered(&street(), play);
        assert_eq!(opened(&orders), [Violation::OutOfStore], "{name}");
    }
}

#[test]
fn what_a_shop_may_do_opens_none() {
    let plays: [(&str, Play); 16] = [
        ("a parked bicycle, for a moment taken for goods", |t| {
            let bicycle = [0.7, 0.55, 0.8, 0.7];
            let goods = (20.0..20.9).contains(&t);
            let twin = if goods { Goods } else { Object };
            vec![(1, Vehicle, bicycle), (2, twin, bicycle)]
        }),
        ("goods inside the line, a new thing with its shadow", |_| {
            let crates = (1, Goods, [0.7, 0.45, 0.8, 0.58]);
            vec![crates, (2, Object, [0.7, 0.45, 0.8, 0.66])]
        }),
        ("a courier's tricycle, a new thing too", |_| {
            let tricycle = [0.7, 0.5, 0.85, 0.7];
            vec![(1, Tricycle, tricycle), (2, Object, tricycle)]
        }),
        ("goods that never were beyond the margin", |_| {
            vec![(1, Goods, [0.7, 0.5, 0.8, 0.615])]
        }),
        ("a flicker of two boxes at a time", |t| {
            let look = (t * 5.0).round() as u64;
            let crates = |id| (id, Goods, [0.7, 0.55, 0.8, 0.7]);
            let two = [crates(1), crates(2)];
            two.into_iter().filter(|_| look.is_multiple_of(3)).collect()
        }),
        ("a parked bicycle, which is a new thing too", |_| {
            let bicycle = [0.7, 0.55, 0.8, 0.7];
            vec![(1, Vehicle, bicycle), (2, Object, bicycle)]
        }),
        ("goods inside the line", |_| {
            vec![(1, Goods, [0.7, 0.45, 0.8, 0.58])]
        }),
        ("goods on the line", |_| {
            vec![(1, Goods, [0.7, 0.5, 0.8, 0.61])]
        }),
        ("goods across the street", |_| {
            vec![(1, Goods, [0.7, 0.7, 0.8, 0.9])]
        }),
        ("goods before the neighbour, who has no zone", |_| {
            vec![(1, Furniture, [0.1, 0.3, 0.2, 0.45])]
        }),
        ("a customer's bag, put down and taken", |t| {
            let there = t % 60.0 < 15.0;
            let bag = (1, Goods, [0.7, 0.6, 0.75, 0.7]);
            Some(bag).filter(|_| there).into_iter().collect()
        }),
        ("crates carried in", |t| {
            let y = 0.7 - (t * 0.02 % 0.2) as f32;
            vec![(1, Goods, [0.7, y - 0.1, 0.8, y])]
        }),
        ("a delivery, unloaded within the dwell", |t| {
            let crates = (1, Goods, [0.7, 0.55, 0.8, 0.7]);
            Some(crates).filter(|_| t < 18.0).into_iter().collect()
        }),
        ("people talking at the door", |_| {
            vec![person(1, 0.7, 0.7), person(2, 0.75, 0.7)]
        }),
        ("a parked car", |_| vec![(1, Vehicle, [0.6, 0.5, 0.8, 0.7])]),
        ("a flicker", |t| {
            let look = (t * 5.0).round() as u64;
            let crates = (1, Goods, [0.7, 0.55, 0.8, 0.7]);
            Some(crates)
                .filter(|_| look.is_multiple_of(3))
                .into_iter()
                .collect()
        }),
    ];
    for (name, play) in plays {
        assert_eq!(opened(&ordered(&street(), play)), [], "{name}");
    }
}

#[test]
fn goods_put_out_late_are_judged_from_then_on() {
    let orders = ordered(&street(), |t| {
        let out = if t < 100.0 { 0.6 } else { 0.64 };
        vec![(1, Goods, [0.7, 0.5, 0.8, out])]
    });
    let opened = orders.iter().find_map(Order::hit).expect("a hit");
    let after = opened.at.since(at(0.0)).as_secs_f64();
    assert!((119.7..121.0).contains(&after), "{after}");
}

/// A lorry that drives from left to right at a tenth of the picture a second, from `start`.
pub(super) fn lorry(id: u64, t: f64, start: f64) -> Option<Seen> {
    let x = ((t - start) * 0.1) as f32;
    let there = (0.0..0.85).contains(&x);
    there.then_some((id, Truck, [x, 0.5, x + 0.15, 0.85]))
}

pub(super) const SPILT: Seen = (8, Debris, [0.40, 0.82, 0.46, 0.87]);

pub(super) fn with(seen: impl IntoIterator<Item = Seen>, more: Option<Seen>) -> Vec<Seen> {
    seen.into_iter().chain(more).collect()
}

#[test]
fn what_a_truck_loses_is_recorded_with_its_plate() {
    let orders = ordered(&street(), |t| {
        let plate = |(_, _, [x, ..]): Seen| (7, Plate, [x + 0.05, 0.78, x + 0.09, 0.80]);
        let truck = lorry(6, t, 20.0);
        let spilt = Some(SPILT).filter(|_| t >= 26.0);
        with(truck, truck.map(plate))
            .into_iter()
            .chain(spilt)
            .collect()
    });
    assert_eq!(opened(&orders), [Violation::Spillage]);
    let hit = orders.iter().find_map(Order::hit).expect("told");
    let truck = hit.gates.iter().find(|g| g.gate == "truck").expect("told");
    assert_eq!(truck.value, "truck 6");
    let snaps = orders.iter().filter_map(|o| match o {
        Order::Snap {
            kind, at, place, ..
        } => Some((*kind, at.boot_ns, *place)),
        _ => None,
    });
    let snaps: Vec<_> = snaps.collect();
    assert!(snaps.is_sorted_by_key(|s| s.1), "{snaps:?}");
    let plate = snaps.iter().find(|s| s.0 == ShotKind::Plate).expect("one");
    assert!((plate.2.width() - 0.12).abs() < 1e-4, "{:?}", plate.2);
    assert!(plate.2.height() < 0.1, "the plate, not the truck");
}

#[test]
fn a_car_that_follows_hides_nothing_for_good() {
    // Hidden before it has settled, and seen again four seconds after it fell.
    let orders = ordered(&street(), |t| {
        let seen = (26.0..27.9).contains(&t) || t > 29.9;
        with(lorry(6, t, 20.0), Some(SPILT).filter(|_| seen))
    });
    assert_eq!(opened(&orders), [Violation::Spillage]);
}

#[test]
fn the_plate_is_shown_where_it_was_seen_largest() {
    // It turns towards the camera until 24 s, and away again.
    let orders = ordered(&street(), |t| {
        let truck = lorry(6, t, 20.0);
        let width = 0.05 - (t - 24.0).abs() as f32 * 0.005;
        let plate = |(_, _, [x, ..]): Seen| (7, Plate, [x + 0.05, 0.78, x + 0.05 + width, 0.80]);
        let spilt = Some(SPILT).filter(|_| t >= 26.0);
        let seen = truck.into_iter().chain(truck.map(plate));
        seen.chain(spilt).collect()
    });
    let shown = orders.iter().find_map(|o| match o {
        Order::Snap { kind, at, .. } if *kind == ShotKind::Plate => Some(*at),
        _ => None,
    });
    let after = shown.expect("one").since(at(24.0)).as_secs_f64();
    assert!(after < 0.1 && at(24.1).since(shown.unwrap()) < Duration::from_millis(200));
}

/// A car is seen in the truck's tall box, with a larger plate.
#[test]
fn the_plate_of_a_car_before_the_truck_is_not_the_truck_s() {
    let orders = ordered(&street(), |t| {
        let truck = lorry(6, t, 20.0);
        let own = truck.map(|(_, _, [x, ..])| (7, Plate, [x + 0.02, 0.78, x + 0.06, 0.80]));
        let beside = truck.filter(|_| t >= 25.0);
        let car = beside.map(|(_, _, [x, ..])| (9, Vehicle, [x + 0.09, 0.7, x + 0.16, 0.84]));
        let its = car.map(|(_, _, [x, ..])| (10, Plate, [x + 0.01, 0.78, x + 0.06, 0.80]));
        let spilt = Some(SPILT).filter(|_| t >= 26.0);
        [truck, own, car, its, spilt]
            .into_iter()
            .flatten()
            .collect()
    });
    let place = orders.iter().find_map(|o| match o {
        Order::Snap { kind, place, .. } if *kind == ShotKind::Plate => Some(*place),
        _ => None,
    });
    let width = place.expect("one").width();
    assert!((width - 0.12).abs() < 1e-4, "{width}");
}

#[test]
fn without_a_plate_the_truck_is_shown_where_it_was_largest() {
    // Wide and low from the side, then turned: less wide, and larger all the same.
    let orders = ordered(&street(), |t| {
        let truck = lorry(6, t, 20.0).map(|(id, role, [x, ..])| {
            let [y, width] = if t < 24.0 { [0.75, 0.3] } else { [0.66, 0.19] };
            (id, role, [x, y, x + width, 0.85])
        });
        with(truck, Some(SPILT).filter(|_| t >= 26.0))
    });
    let place = orders.iter().find_map(|o| match o {
        Order::Snap { kind, place, .. } if *kind == ShotKind::Plate => Some(*place),
        _ => None,
    });
    let height = place.expect("one").height();
    assert!((height - 0.095).abs() < 1e-4, "{height}");
}

#[test]
fn a_truck_s_way_moves_with_the_picture_of_a_moving_camera() {
    let mut judge = judging(&config(), all_roles(), "boot-a").unwrap();
    let mut found = Vec::new();
    for step in 90..200 {
        let t = f64::from(step) * 0.2;
        // The picture of the street rises by a twentieth a second.
        let up = (t - 20.0) as f32 * 0.05;
        let x = (t - 20.0) as f32 * 0.1;
        let lorry = (6, Truck, [x, 0.75 - up, x + 0.15, 0.85 - up]);
        let spilt = (8, Debris, [0.2, 0.82 - up, 0.26, 0.87 - up]);
        let seen = [
            Some(lorry).filter(|_| x < 0.85),
            Some(spilt).filter(|_| t >= 24.0),
        ];
        let mut scene = sight(t, &seen.into_iter().flatten().collect::<Vec<_>>());
        scene.moved = Moved::By(Motion {
            y: [0.0, 1.0, -0.01],
            ..Motion::NONE
        });
        found.extend(judge.step(&scene));
    }
    assert_eq!(opened(&found), [Violation::Spillage]);
    // Each picture shows the lorry where it was at that moment.
    let mut shown = Vec::new();
    for order in &found {
        let Order::Snap {
            kind: kind @ (ShotKind::Before | ShotKind::Moved | ShotKind::Plate),
            at: moment,
            subject: Some(area),
            ..
        } = order
        else {
            continue;
        };
        let since = moment.since(at(20.0)).as_secs_f64() as f32;
        let (left, up) = (since * 0.1, since * 0.05);
        let bottom = (area.y1 - (0.85 - up)).abs();
        assert!(
            (area.x0 - left).abs() < 1e-3 && bottom < 1e-3,
            "{kind:?} {area:?}"
        );
        shown.push(*kind);
    }
    shown.sort_by_key(|kind| kind.name());
    assert_eq!(shown, [ShotKind::Before, ShotKind::Moved, ShotKind::Plate]);
}

#[test]
fn a_truck_is_not_blamed_across_a_picture_that_moved_nobody_knows_how() {
    for (name, lost_at, wanted) in [
        ("never", 1_000.0, vec![Violation::Spillage]),
        ("after the truck", 25.0, vec![]),
        ("while it settles", 27.0, vec![]),
    ] {
        let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
        let mut found = Vec::new();
        for step in 0..300_u16 {
            let t = f64::from(step) * 0.2;
            let seen = with(lorry(6, t, 20.0), Some(SPILT).filter(|_| t >= 26.0));
            let mut scene = sight(t, &seen);
            if (t - lost_at).abs() < 0.1 {
                scene.moved = Moved::Unknown;
            }
            found.extend(judge.step(&scene));
        }
        assert_eq!(opened(&found), wanted, "{name}");
    }
}

#[test]
fn a_truck_that_the_tracker_lost_is_one_truck() {
    // Renamed while it is over the place.
    let orders = ordered(&street(), |t| {
        let track = if t < 23.5 { 6 } else { 7 };
        with(lorry(track, t, 20.0), Some(SPILT).filter(|_| t >= 26.0))
    });
    assert_eq!(opened(&orders), [Violation::Spillage]);
}

#[test]
fn without_a_plate_the_lower_half_of_the_truck_is_shown() {
    let orders = ordered(&street(), |t| {
        with(lorry(6, t, 20.0), Some(SPILT).filter(|_| t >= 26.0))
    });
    let place = orders.iter().find_map(|o| match o {
        Order::Snap { kind, place, .. } if *kind == ShotKind::Plate => Some(*place),
        _ => None,
    });
    let place = place.expect("one");
    assert!((place.y0 - 0.675).abs() < 1e-4 && (place.y1 - 0.85).abs() < 1e-4);
}

#[test]
fn debris_that_no_truck_lost_is_nobodys() {
    let plays: [(&str, Play); 12] = [
        ("an empty road", |_| vec![]),
        ("trucks and nothing lost", |t| {
            with(lorry((t / 10.0) as u64, t % 10.0, 0.0), None)
        }),
        ("debris without a truck", |t| {
            with(None, Some(SPILT).filter(|_| t > 5.0))
        }),
        ("it lay there before the truck came", |t| {
            with([SPILT], lorry(6, t, 20.0))
        }),
        ("beside the truck's way", |t| {
            let spilt = (8, Debris, [0.40, 0.94, 0.46, 0.99]);
            with(lorry(6, t, 20.0), Some(spilt).filter(|_| t >= 26.0))
        }),
        ("long after the truck", |t| {
            with(lorry(6, t, 20.0), Some(SPILT).filter(|_| t >= 45.0))
        }),
        ("behind a car", |t| {
            let car = lorry(6, t, 20.0).map(|(id, _, area)| (id, Vehicle, area));
            with(car, Some(SPILT).filter(|_| t >= 26.0))
        }),
        ("under a truck that stands and is unloaded", |t| {
            let truck = (6, Truck, [0.35, 0.5, 0.5, 0.85]);
            with([truck], Some(SPILT).filter(|_| t >= 26.0))
        }),
        ("a leaf that blows away", |t| {
            with(
                lorry(6, t, 20.0),
                Some(SPILT).filter(|_| (26.0..27.0).contains(&t)),
            )
        }),
        ("old debris that a truck in a jam hid for a while", |t| {
            let hidden = (20.0..60.0).contains(&t);
            let x = if t < 50.0 {
                0.35
            } else {
                0.35 + (t as f32 - 50.0) * 0.05
            };
            let truck = (6, Truck, [x, 0.5, x + 0.15, 0.85]);
            with(
                Some(truck).filter(|_| t >= 18.0 && x < 0.85),
                Some(SPILT).filter(|_| t >= 5.0 && !hidden),
            )
        }),
        ("two trucks drove there; nobody knows whose it is", |t| {
            with(lorry(6, t, 20.0), lorry(7, t, 22.0))
                .into_iter()
                .chain(Some(SPILT).filter(|_| t >= 28.0))
                .collect()
        }),
        ("the camera was away when it fell", |t| {
            with(lorry(6, t, -2.0), Some(SPILT))
        }),
    ];
    for (name, play) in plays {
        assert_eq!(opened(&ordered(&street(), play)), [], "{name}");
    }
}

#[test]
fn debris_of_which_nobody_knows_who_lost_it_is_nobodys() {
    let plays: [(&str, Play); 5] = [
        (
            "a scooter stops where a lorry drove, new debris too, and is lost now and then",
            |t| {
                let known = !((t * 5.0).round() as u64).is_multiple_of(5);
                let scooter = (3, Vehicle, [0.39, 0.75, 0.47, 0.87]);
                with(
                    lorry(6, t, 20.0),
                    Some(scooter).filter(|_| t >= 26.0 && known),
                )
                .into_iter()
                .chain(Some(SPILT).filter(|_| t >= 26.0))
                .collect()
            },
        ),
        (
            "a truck appears where another was lost three seconds ago",
            |t| {
                let first = lorry(6, t, 20.0).filter(|_| t < 23.4);
                let second = lorry(7, t, 23.1).filter(|_| t > 26.4);
                with(
                    first.into_iter().chain(second),
                    Some(SPILT).filter(|_| t >= 30.0),
                )
            },
        ),
        ("two trucks drove there one after the other", |t| {
            let first = lorry(6, t, 17.0);
            let second = lorry(7, t, 25.6);
            with(
                first.into_iter().chain(second),
                Some(SPILT).filter(|_| t >= 30.2),
            )
        }),
        ("it was seen through a lorry when the camera came up", |t| {
            with([SPILT], lorry(6, t, -3.0))
        }),
        ("it is seen so seldom that nobody knows since when", |t| {
            let seen = t >= 26.0 && ((t * 5.0).round() as u64).is_multiple_of(12);
            with(lorry(6, t, 20.0), Some(SPILT).filter(|_| seen))
        }),
    ];
    for (name, play) in plays {
        assert_eq!(opened(&ordered(&street(), play)), [], "{name}");
    }
}

#[test]
fn a_rule_that_lacks_what_it_judges_by_refuses_to_start() {
    let parts = [Umbrella, Goods, Truck, Debris].into_iter().collect();
    let error = judging(&street(), parts, "b")
        .map(|_| ())
        .expect_err("nobody attends");
    assert!(error.to_string().contains("[Person]"), "{error}");
    let mut config = street();
    config.judge.street_vending.attended_min = 0.0;
    judging(&config, parts, "b").expect("attendance is not asked for");
    config.zone[1].roles = vec![Furniture];
    let error = judging(&config, parts, "b")
        .map(|_| ())
        .expect_err("no furniture");
    assert!(error.to_string().contains("out_of_store"), "{error}");
}

/// Why a zone before a second camera of this `mount` is refused, under a model that knows persons and trucks,
/// and under one that knows umbrellas alone: for lack of a role (false), or because one kind is none (true).
fn refused(kind: ZoneKind, roles: &[Role], mount: Mount, attended: f64) -> [Option<bool>; 2] {
    let mut config = config();
    config.camera.clear();
    for (name, mount) in [("pole", Mount::Fixed), ("ptz", mount)] {
        config.camera.push(config::Camera {
            name: name.to_owned(),
            mount,
            ..config::Camera::default()
        });
    }
    config.background.enabled = true;
    config.judge.street_vending.attended_min = attended;
    config.zone.truncate(1);
    let zone = &mut config.zone[0];
    (zone.camera, zone.kind) = ("ptz".to_owned(), kind);
    zone.roles = roles.to_vec();
    [&[Person, Vehicle, Truck, Umbrella][..], &[Umbrella]].map(|model| {
        let error = judging(&config, model.iter().copied().collect(), "b").err()?;
        let told = error.to_string();
        assert!(told.contains("zone kerb: before camera ptz"), "{told}");
        Some(matches!(error, JudgeError::OneKind { .. }))
    })
}

/// What can be seen is asked of each zone's own camera, and of what its rule needs.
#[test]
fn a_zone_in_which_nothing_can_ever_hit_is_refused() {
    use ZoneKind::{NoVending, Road, ShopFront};
    let (lacks, one_kind) = (Some(false), Some(true));
    for (kind, roles, mount, attended, wanted) in [
        (Road, &[][..], Mount::Fixed, 0.5, [None, lacks]),
        (Road, &[], Mount::Moving, 0.5, [lacks, lacks]),
        (ShopFront, &[Object], Mount::Fixed, 0.5, [None, None]),
        (ShopFront, &[Object], Mount::Moving, 0.5, [lacks, lacks]),
        (ShopFront, &[Umbrella], Mount::Moving, 0.5, [None, None]),
        (
            NoVending,
            &[Umbrella],
            Mount::Fixed,
            0.5,
            [one_kind, one_kind],
        ),
        (
            NoVending,
            &[Umbrella, Goods],
            Mount::Fixed,
            0.5,
            [one_kind, one_kind],
        ),
        (
            NoVending,
            &[Umbrella, Object],
            Mount::Fixed,
            0.5,
            [None, lacks],
        ),
        (
            NoVending,
            &[Umbrella, Object],
            Mount::Fixed,
            0.0,
            [None, None],
        ),
        (
            NoVending,
            &[Umbrella, Object],
            Mount::Moving,
            0.5,
            [one_kind, one_kind],
        ),
        (NoVending, &[Object], Mount::Fixed, 0.0, [None, lacks]),
        (NoVending, &[Person], Mount::Moving, 0.5, [None, lacks]),
    ] {
        let found = refused(kind, roles, mount, attended);
        assert_eq!(found, wanted, "{kind:?} {roles:?} {mount:?} {attended}");
    }
}

#[test]
fn of_two_trucks_none_is_forgotten_before_the_other_is_blamed() {
    let mut config = street();
    let within = &mut config.judge.spillage.within_secs;
    *within = 120.0;
    // Over the place, then a minute in a jam just beyond it; the second waits over the place.
    let jam: Play = |t| {
        let first = match t {
            _ if t < 25.0 => lorry(1, t, 20.0),
            _ if t < 86.0 => lorry(1, 25.0, 20.0),
            _ => lorry(1, t, 81.0),
        };
        let second = match t {
            _ if t < 30.0 => None,
            _ if t < 88.0 => lorry(2, 33.0, 30.0),
            _ => lorry(2, t, 85.0),
        };
        let spilt = Some(SPILT).filter(|_| t >= 89.6);
        first.into_iter().chain(second).chain(spilt).collect()
    };
    assert_eq!(opened(&ordered(&config, jam)), [], "a jam");
    // The first and the last drive over the place, fifteen others beside it.
    let many: Play = |t| {
        let beside = |n: u32| {
            let beside = lorry(u64::from(n) + 10, t, 21.0 + f64::from(n) * 0.5);
            beside.map(|(id, role, [x0, y0, x1, _])| (id, role, [x0, y0, x1, 0.78]))
        };
        let spilt = Some(SPILT).filter(|_| t >= 29.4);
        let over = lorry(1, t, 20.0).into_iter().chain(lorry(2, t, 25.0));
        over.chain((0..15).filter_map(beside))
            .chain(spilt)
            .collect()
    };
    assert_eq!(opened(&ordered(&street(), many)), [], "a crowd");
}

#[test]
fn the_clip_begins_before_the_truck_but_no_further_back_than_the_rule_looks() {
    let through: Play = |t| with(lorry(6, t, 20.0), Some(SPILT).filter(|_| t >= 29.4));
    let waits: Play = |t| {
        let truck = lorry(6, 20.0, 20.0).filter(|_| (20.0..60.0).contains(&t));
        let truck = truck.or_else(|| lorry(6, t, 60.0));
        with(truck, Some(SPILT).filter(|_| t >= 69.4))
    };
    let config = street();
    let evidence = &config.evidence;
    for (name, play, shown_from) in [
        ("drives through", through, 20.0),
        ("stood for forty seconds", waits, 69.4 - 10.0),
    ] {
        let orders = ordered(&config, play);
        let (from, to) = orders
            .iter()
            .find_map(|order| match order {
                Order::Clip { from, to, .. } => Some((*from, *to)),
                _ => None,
            })
            .expect(name);
        let wanted = at(shown_from - evidence.clip_before_secs);
        let off = from.boot_ns.abs_diff(wanted.boot_ns);
        assert!(off < 300_000_000, "{name}: {from:?}, and not {wanted:?}");
        let own = evidence.clip_before_secs + evidence.clip_after_secs;
        let most = judge::reach(&config, 0) + Duration::from_secs_f64(own);
        assert!(to.since(from) <= most, "{name}: {:?}", to.since(from));
    }
}

#[test]
fn pictures_are_ordered_no_further_back_than_is_said() {
    let mut config = street();
    let orders = ordered(&config, |t| {
        with(lorry(6, t, 20.0), Some(SPILT).filter(|_| t >= 29.4))
    });
    let moment = |wanted: ShotKind| {
        let snap = |order: &Order| match order {
            Order::Snap { kind, at, .. } if *kind == wanted => Some(*at),
            _ => None,
        };
        orders.iter().find_map(snap).expect("ordered")
    };
    let back = moment(ShotKind::Peak).since(moment(ShotKind::Before));
    assert!(back > Duration::from_secs(5), "{back:?}");
    // Ten seconds behind the truck, and twice two to settle with a gap of three.
    assert_eq!(judge::reach(&config, 0), Duration::from_secs(17));
    assert!(back <= judge::reach(&config, 0));
    config.judge.spillage.within_secs = 60.0;
    assert_eq!(judge::reach(&config, 0), Duration::from_secs(67));
    assert_eq!(judge::reach(&config, 1), Duration::ZERO, "another camera");
    // What is found before the background is told up to twice sixteen seconds and five later.
    config.background.enabled = true;
    assert_eq!(judge::reach(&config, 0), Duration::from_secs(104));
    config.judge.spillage.enabled = false;
    assert_eq!(judge::reach(&config, 0), Duration::ZERO);
}
