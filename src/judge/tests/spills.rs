//! Whose debris it is: nobody's, unless its place was seen empty and one alone, a truck, drove there.

use super::rules::{SPILT, Seen, lorry, opened, sight, street, with};
use super::*;
use crate::perceive::Tracker;
use crate::types::Role::{Person, Tricycle, Truck, Vehicle};

type Play = fn(f64) -> Vec<Seen>;

fn told(play: impl Fn(f64) -> Vec<Seen>) -> Vec<Violation> {
    let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
    let mut orders = Vec::new();
    for step in 0..300 {
        let t = f64::from(step) * 0.2;
        orders.extend(judge.step(&sight(t, &play(t))));
    }
    opened(&orders)
}

/// What drives like a lorry, and is none.
fn like(role: Role, lorry: Option<Seen>) -> Option<Seen> {
    lorry.map(|(id, _, area)| (id, role, area))
}

/// A truck that stands over the place until `until`, and drives on.
fn standing(t: f64, until: f64) -> Seen {
    let x = 0.35 + ((t - until).max(0.0) * 0.1) as f32;
    (6, Truck, [x, 0.5, x + 0.15, 0.85])
}

#[test]
fn what_a_truck_hid_is_not_what_it_lost() {
    let plays: [(&str, Play); 6] = [
        ("old debris under a lorry when the camera comes up", |t| {
            with(lorry(6, t, -3.0), Some(SPILT).filter(|_| t > 1.7))
        }),
        ("the same under a lorry that stands there first", |t| {
            with([standing(t, 8.0)], Some(SPILT).filter(|_| t > 9.3))
        }),
        (
            "the same, and the detector misses the lorry a few times",
            |t| {
                let missed = (3.9..4.5).contains(&t) || (6.0..6.1).contains(&t);
                let lorry = Some(standing(t, 8.0)).filter(|_| !missed);
                with(lorry, Some(SPILT).filter(|_| t > 9.3))
            },
        ),
        (
            "old debris under a bus, seen for a moment before a truck stops there",
            |t| {
                let bus = (5, Vehicle, [0.35, 0.5, 0.5, 0.85]);
                let truck = standing(t, 31.0);
                let seen = (10.0..11.0).contains(&t) || t > 32.3;
                let mover = match t {
                    _ if t < 10.0 => Some(bus),
                    _ => Some(truck).filter(|_| t >= 11.0 && truck.2[0] < 0.85),
                };
                with(mover, Some(SPILT).filter(|_| seen))
            },
        ),
        (
            "old debris under a queue, which the detector finds late",
            |t| {
                let bus = (5, Vehicle, [0.35, 0.5, 0.5, 0.85]);
                let truck = standing(t, 20.0);
                let truck = Some(truck).filter(|_| truck.2[0] < 0.85);
                let mover = if t < 10.0 { Some(bus) } else { truck };
                with(mover, Some(SPILT).filter(|_| t >= 23.0))
            },
        ),
        (
            "old debris under a parked car, which a lorry passes closely",
            |t| {
                let x = 0.36 + ((t - 25.0).max(0.0) * 0.2) as f32;
                let car = (5, Vehicle, [x, 0.7, x + 0.14, 0.88]);
                let truck = lorry(6, t, 16.0);
                let truck = truck.map(|(id, role, [x0, y0, x1, _])| (id, role, [x0, y0, x1, 0.8]));
                let seen = Some(SPILT).filter(|_| t > 25.6);
                with(
                    truck.into_iter().chain(Some(car).filter(|_| x < 0.85)),
                    seen,
                )
            },
        ),
    ];
    for (name, play) in plays {
        assert_eq!(told(play), [], "{name}");
    }
}

#[test]
fn what_was_seen_for_a_moment_before_the_truck_came_lay_there() {
    // The place is seen empty, then debris for a moment, then a truck stands over it.
    let orders = told(|t| {
        let truck = standing(t, 16.0);
        let there = t >= 12.0 && truck.2[0] < 0.85;
        let seen = (11.0..11.9).contains(&t) || t > 17.3;
        with(Some(truck).filter(|_| there), Some(SPILT).filter(|_| seen))
    });
    assert_eq!(orders, []);
}

#[test]
fn whose_debris_it_is_nobody_knows_when_anybody_else_was_there() {
    let spilt = |t: f64, from: f64| Some(SPILT).filter(|_| t >= from);
    for (name, role, wanted) in [
        ("a lorry alone", None, vec![Violation::Spillage]),
        ("a car behind it", Some(Vehicle), vec![]),
        ("a tricycle behind it", Some(Tricycle), vec![]),
        ("another lorry behind it", Some(Truck), vec![]),
        ("somebody walks there after it", Some(Person), vec![]),
    ] {
        let play = |t: f64| {
            let second = role.and_then(|role| like(role, lorry(7, t, 22.0)));
            with(lorry(6, t, 20.0).into_iter().chain(second), spilt(t, 28.0))
        };
        assert_eq!(told(play), wanted, "{name}");
    }
}

#[test]
fn a_truck_that_only_stood_there_lost_nothing() {
    for (until, wanted) in [(19.0, vec![Violation::Spillage]), (f64::INFINITY, vec![])] {
        let orders = told(|t| {
            // What lies close before its wheels is not hidden by it.
            let (id, role, [x0, y0, x1, _]) = standing(t, until);
            let truck = (t >= 10.0 && x0 < 0.85).then_some((id, role, [x0, y0, x1, 0.80]));
            with(truck, Some(SPILT).filter(|_| t >= 20.0))
        });
        assert_eq!(orders, wanted, "it stands until {until}");
    }
}

#[test]
fn a_car_that_is_taken_for_a_truck_now_and_then_is_none() {
    for (every, wanted) in [(1, vec![Violation::Spillage]), (5, vec![])] {
        let orders = told(|t| {
            let look = (t * 5.0).round() as u32;
            let role = if look.is_multiple_of(every) {
                Truck
            } else {
                Vehicle
            };
            with(
                like(role, lorry(6, t, 20.0)),
                Some(SPILT).filter(|_| t >= 28.0),
            )
        });
        assert_eq!(orders, wanted, "a truck in one of {every} looks");
    }
}

#[test]
fn one_truck_is_one_though_it_is_not_alone_in_the_picture() {
    let plays: [(&str, Play); 5] = [
        ("a car drove there long before", |t| {
            let car = like(Vehicle, lorry(5, t, 6.0));
            with(
                car.into_iter().chain(lorry(6, t, 20.0)),
                Some(SPILT).filter(|_| t >= 26.0),
            )
        }),
        ("a car comes when the debris lies there", |t| {
            let car = like(Vehicle, lorry(7, t, 26.4));
            with(
                lorry(6, t, 20.0).into_iter().chain(car),
                Some(SPILT).filter(|_| t >= 26.0),
            )
        }),
        ("the lorry is taken for a car as well", |t| {
            let twin = lorry(6, t, 20.0).map(|(_, _, area)| (7, Vehicle, area));
            with(
                lorry(6, t, 20.0).into_iter().chain(twin),
                Some(SPILT).filter(|_| t >= 26.0),
            )
        }),
        ("its driver is seen", |t| {
            let driver = lorry(6, t, 20.0).map(|(_, _, [_, _, x1, _])| {
                let cab = [x1 - 0.04, 0.55, x1 - 0.01, 0.65];
                (7, Person, cab)
            });
            with(
                lorry(6, t, 20.0).into_iter().chain(driver),
                Some(SPILT).filter(|_| t >= 26.0),
            )
        }),
        ("it is taken for a car in every third look", |t| {
            let car = ((t * 5.0).round() as u64).is_multiple_of(3);
            let truck = lorry(6, t, 20.0);
            let truck = if car { like(Vehicle, truck) } else { truck };
            with(truck, Some(SPILT).filter(|_| t >= 26.0))
        }),
    ];
    for (name, play) in plays {
        assert_eq!(told(play), [Violation::Spillage], "{name}");
    }
}

/// The tracker gives the number of the one that stood there to the next in the queue.
#[test]
fn who_moved_up_unseen_is_another_truck() {
    // Nothing is seen, or no truck, from 24.5 s on; whoever is seen then has moved up.
    for (name, dark, unseen_until, wanted) in [
        ("always seen", false, 0.0, vec![Violation::Spillage]),
        ("lost for a moment", false, 25.7, vec![Violation::Spillage]),
        ("lost for longer", false, 27.0, vec![]),
        ("the camera was away", true, 28.7, vec![]),
    ] {
        let mut judge = judging(&street(), all_roles(), "boot-a").unwrap();
        let mut orders = Vec::new();
        for step in 0..300 {
            let t = f64::from(step) * 0.2;
            let unseen = (24.5..unseen_until).contains(&t);
            if dark && unseen {
                continue;
            }
            // It drives up to the place, stops there, and whoever stands there then drives on.
            let x = (((t - 20.0).min(3.5) + (t - 31.0).max(0.0)) * 0.1) as f32;
            let truck = (6, Truck, [x, 0.5, x + 0.15, 0.85]);
            let truck = Some(truck).filter(|_| t >= 20.0 && x < 0.85 && !unseen);
            let seen = with(truck, Some(SPILT).filter(|_| t >= 32.5));
            orders.extend(judge.step(&sight(t, &seen)));
        }
        assert_eq!(opened(&orders), wanted, "{name}");
    }
}

#[test]
fn a_car_that_comes_where_a_truck_was_lost_is_not_that_truck() {
    // The tracker loses the truck over the place as the car comes up to it.
    let orders = told(|t| {
        let truck = lorry(6, t, 20.0).filter(|_| t < 23.5);
        let car = like(Vehicle, lorry(7, t, 20.2)).filter(|_| t >= 23.7);
        with(
            truck.into_iter().chain(car),
            Some(SPILT).filter(|_| t >= 26.4),
        )
    });
    assert_eq!(orders, []);
}

/// A road zone that is shallower than a truck is long: the first of two has left it when the second comes in.
#[test]
fn two_trucks_in_convoy_are_two() {
    let mut config = street();
    let narrow = [(0.39, 0.76), (0.47, 0.76), (0.47, 1.0), (0.39, 1.0)];
    config.zone[2].polygon = narrow.map(|(x, y)| Point { x, y }).to_vec();
    for (name, second, lost_at, wanted) in [
        ("one alone", None, 99.0, vec![Violation::Spillage]),
        ("a second behind it", Some(22.0), 99.0, vec![]),
        (
            "the first is lost beyond the zone",
            Some(22.0),
            24.3,
            vec![],
        ),
    ] {
        let mut judge = judging(&config, all_roles(), "boot-a").unwrap();
        let mut orders = Vec::new();
        let mut first = None;
        for step in 0..300 {
            let t = f64::from(step) * 0.2;
            let behind = second.and_then(|start| lorry(7, t, start));
            let ahead = lorry(6, t, 20.0).filter(|_| t < lost_at);
            let mut scene = sight(
                t,
                &with(
                    ahead.into_iter().chain(behind),
                    Some(SPILT).filter(|_| t > 26.3),
                ),
            );
            let seen = scene.tracks.iter().find(|track| track.id == 6).copied();
            // The tracker holds who is lost for two seconds.
            let held = |track: &Track| scene.at.since(track.last_seen) <= Duration::from_secs(2);
            let lost = first.filter(|_| seen.is_none()).filter(held);
            scene.tracks.extend(lost);
            first = seen.or(first);
            orders.extend(judge.step(&scene));
        }
        assert_eq!(opened(&orders), wanted, "{name}");
    }
}

/// Who else is seen when.
type Other<'a> = &'a dyn Fn(f64) -> Option<Seen>;

/// The whole way from boxes to blame. Who goes too fast for the tracker, who is masked and who stands beside the
/// road may have lost it as well.
#[test]
fn who_is_no_track_or_stands_beside_may_have_lost_it() {
    // Two of its lengths between two looks.
    let scooter = |t: f64| {
        let x = ((t - 24.6) * 0.5) as f32 + 0.03;
        (0.0..0.9)
            .contains(&x)
            .then_some((0, Vehicle, [x, 0.7, x + 0.05, 0.85]))
    };
    let stands = |area| move |t: f64| Some((0, Person, area)).filter(|_| (24.6..27.0).contains(&t));
    let (kerb, afar) = (
        stands([0.38, 0.44, 0.43, 0.74]),
        stands([0.70, 0.44, 0.75, 0.74]),
    );
    // His feet are on the road, his middle before masked windows.
    let masked = stands([0.40, 0.35, 0.44, 0.85]);
    let blamed = [Violation::Spillage];
    let nobody = |_: f64| None::<Seen>;
    let rows: [(&str, Other<'_>, &[Violation]); 5] = [
        ("a lorry alone", &nobody, &blamed),
        ("a scooter behind it", &scooter, &[]),
        ("somebody on the kerb", &kerb, &[]),
        ("somebody farther along the kerb", &afar, &blamed),
        ("somebody before a mask", &masked, &[]),
    ];
    let config = masked_street();
    for (name, other, wanted) in rows {
        let orders = tracked(&config, |t| {
            let spilt = Some(SPILT).filter(|_| t >= 28.0);
            with(lorry(6, t, 20.0).into_iter().chain(other(t)), spilt)
        });
        assert_eq!(opened(&orders), wanted, "{name}");
    }
}

/// People walk along the road all the time, and are not near the place.
#[test]
fn a_busy_pavement_does_not_let_a_truck_go() {
    // So many come in ten seconds, and are seen for ten.
    for (crowd, wanted) in [(40, vec![Violation::Spillage]), (150, vec![])] {
        let orders = told(|t| {
            let walks = |n: u32| {
                let phase = t + f64::from(n) * 10.0 / f64::from(crowd);
                let id = 100 + u64::from(n) + 1_000 * (phase / 10.0) as u64;
                let x = 0.6 + (phase % 10.0 * 0.03) as f32;
                (id, Person, [x, 0.6, x + 0.04, 0.8])
            };
            let people = (0..crowd).map(walks);
            let truck = lorry(6, t, 20.0).filter(|truck| truck.2[0] < 0.42);
            let spilt = Some(SPILT).filter(|_| t >= 28.0);
            with(people.chain(truck), spilt)
        });
        assert_eq!(orders, wanted, "{crowd} people");
    }
}

/// The tracker holds who stood there for a quarter of a minute: he is not seen before the place any more.
#[test]
fn who_has_gone_from_before_a_mask_hides_nothing() {
    let orders = tracked(&masked_street(), |t| {
        let masked = (0, Person, [0.40, 0.35, 0.44, 0.85]);
        let masked = Some(masked).filter(|_| t < 12.0);
        let spilt = Some(SPILT).filter(|_| t >= 28.0);
        with(lorry(6, t, 20.0).into_iter().chain(masked), spilt)
    });
    assert_eq!(opened(&orders), [Violation::Spillage]);
}

/// The street with masked windows above the middle of the road.
fn masked_street() -> Config {
    let mut config = street();
    config.zone.push(Zone {
        name: "windows".to_owned(),
        camera: "cam0".to_owned(),
        kind: ZoneKind::Private,
        polygon: [(0.3, 0.55), (0.5, 0.55), (0.5, 0.65), (0.3, 0.65)]
            .map(|(x, y)| Point { x, y })
            .to_vec(),
        ..Zone::default()
    });
    config
}

/// What is ordered when the tracker follows the boxes of `play` for a minute, five looks a second.
fn tracked(config: &Config, play: impl Fn(f64) -> Vec<Seen>) -> Vec<Order> {
    let mut judge = judging(config, all_roles(), "boot-a").unwrap();
    let mut tracker = Tracker::new(0.5);
    let mut orders = Vec::new();
    for step in 0..300 {
        let t = f64::from(step) * 0.2;
        let mut scene = sight(t, &play(t));
        let boxes: Vec<Detection> = scene.tracks.iter().map(|track| track.detection).collect();
        scene.tracks = tracker.update(scene.at, &boxes);
        scene.passing = tracker.unconfirmed(scene.at).collect();
        orders.extend(judge.step(&scene));
    }
    orders
}

/// The tracker takes who comes in at the edge for who drove out there a moment before, and its plate would be
/// shown as that of who lost the load.
#[test]
fn who_comes_in_where_a_truck_drove_out_is_not_blamed_for_it() {
    // It is seen at the right edge until 26.4 s.
    let out = |t: f64| {
        let x = ((t - 20.0) * 0.15) as f32;
        let seen = (0.0..0.97).contains(&x);
        seen.then_some((0, Truck, [x, 0.5, (x + 0.15).min(1.0), 0.85]))
    };
    // The other lane is nearer to the camera.
    let oncoming = |t: f64, from: f64| {
        let x = 1.0 - ((t - from) * 0.15) as f32;
        let seen = (0.0..0.98).contains(&x);
        seen.then_some((0, Truck, [x, 0.55, (x + 0.2).min(1.0), 0.95]))
    };
    // A lorry that trembles where it stands, or comes back by 3 % of the picture, is one.
    let stops = |t: f64, way: fn(f64) -> f64| {
        let x = (way(t - 20.0) * 0.1) as f32;
        let seen = (0.0..0.85).contains(&x);
        seen.then_some((0, Truck, [x, 0.5, x + 0.15, 0.85]))
    };
    let trembles = |t: f64| {
        let look = (t * 5.0).round() as i64;
        let aside = if look % 2 == 0 { 0.0 } else { 0.2 };
        t.min(3.5).max(t - 1.0) - aside
    };
    let reverses = |t: f64| match t {
        _ if t < 3.5 => t,
        _ if t < 3.8 => 7.0 - t,
        _ => t - 0.6,
    };
    let blamed = [Violation::Spillage];
    let rows: [(&str, Other<'_>, &[Violation]); 6] = [
        ("one alone", &out, &blamed),
        (
            "another after 0.6 s",
            &|t| out(t).or(oncoming(t, 26.8)),
            &[],
        ),
        (
            "another after a second",
            &|t| out(t).or(oncoming(t, 27.2)),
            &[],
        ),
        (
            "another after 1.4 s",
            &|t| out(t).or(oncoming(t, 27.6)),
            &[],
        ),
        ("one that trembles", &|t| stops(t, trembles), &blamed),
        (
            "one that reverses a little",
            &|t| stops(t, reverses),
            &blamed,
        ),
    ];
    for (name, lorries, wanted) in rows {
        let orders = tracked(&street(), |t| {
            with(lorries(t), Some(SPILT).filter(|_| t >= 28.4))
        });
        assert_eq!(opened(&orders), wanted, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// What lay on the road from the start is laid at nobody's door, whoever drives over it, stops on
    /// it and hides it, and whenever it is seen for the first time.
    #[test]
    fn what_lay_there_from_the_start_is_nobodys(
        movers in proptest::collection::vec((0_usize..4, -6.0_f64..40.0, 0.0_f64..12.0), 1..6),
    ) {
        let roles = [Truck, Truck, Vehicle, Person];
        let play = |t: f64| {
            let mut seen: Vec<Seen> = Vec::new();
            for (id, (role, start, stops)) in movers.iter().enumerate() {
                // It stops over the place, and drives on.
                let way = (t - start).max(0.0);
                let way = if way < 3.5 { way } else { (way - stops).max(3.5) };
                let x = (way * 0.1) as f32;
                if t >= *start && x < 0.85 {
                    seen.push((id as u64 + 1, roles[*role], [x, 0.5, x + 0.15, 0.85]));
                }
            }
            let spilt = Area { x0: SPILT.2[0], y0: SPILT.2[1], x1: SPILT.2[2], y1: SPILT.2[3] };
            let hidden = seen.iter().any(|(_, _, [x0, y0, x1, y1])| {
                spilt.share_in(Area { x0: *x0, y0: *y0, x1: *x1, y1: *y1 }) > 0.0
            });
            with(seen, Some(SPILT).filter(|_| !hidden))
        };
        prop_assert_eq!(told(play), []);
    }
}
