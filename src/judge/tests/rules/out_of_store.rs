//! Out-of-store business: what stands beyond the line, and what a shop may do.

use super::*;

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
