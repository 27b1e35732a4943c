//! Spillage: what a truck loses, and what lies there without one.

use super::*;
use crate::judge;

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
