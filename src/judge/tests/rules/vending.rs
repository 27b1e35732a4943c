//! Street vending: what is like a stall, and what stands everywhere.

use super::*;

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
