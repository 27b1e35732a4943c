//! One shop, one case; and what stands where two zones overlap is one thing.

use super::rules::{Seen, sight, street};
use super::*;
use crate::types::Role::{Furniture, Goods, Object, Person, Stall};

/// Five crates side by side before the shop.
fn crates() -> Vec<Seen> {
    let one = |n: u8| {
        let x = 0.55 + f32::from(n) * 0.08;
        (u64::from(n) + 1, Goods, [x, 0.58, x + 0.07, 0.70])
    };
    (0..5).map(one).collect()
}

/// What is ordered while `play` is seen for `secs`, five looks a second.
fn ordered(mut judge: Judge, secs: f64, play: impl Fn(f64) -> Vec<Seen>) -> Vec<Order> {
    let mut orders = Vec::new();
    for step in 0..(secs * 5.0) as u32 {
        let t = f64::from(step) * 0.2;
        for order in judge.step(&sight(t, &play(t))) {
            if let Order::Warn { case, .. } = &order {
                judge.hear(report(*case, t, true));
            }
            orders.push(order);
        }
    }
    orders
}

fn judge_of(config: &Config) -> Judge {
    judging(config, all_roles(), "boot-a").unwrap()
}

fn outcomes(orders: &[Order]) -> Vec<HitOutcome> {
    let hits = orders.iter().filter_map(Order::hit);
    hits.map(|h| h.outcome).collect()
}

fn warnings(orders: &[Order]) -> usize {
    let warns = |o: &&Order| matches!(o, Order::Warn { .. });
    orders.iter().filter(warns).count()
}

#[test]
fn one_shop_is_one_case_whatever_it_puts_outside() {
    use HitOutcome::{CoolingDown, Corrected, Discarded, Opened, Persisted};
    type Play = fn(f64) -> Vec<Seen>;
    let plays: [(&str, Play, &[HitOutcome]); 6] = [
        (
            "five crates, and they stay",
            |_| crates(),
            &[Opened, Persisted, CoolingDown],
        ),
        (
            "five crates, taken in after the warning",
            |t| if t < 30.0 { crates() } else { Vec::new() },
            &[Opened, Corrected],
        ),
        (
            "the first is taken in, and four stay",
            |t| crates().into_iter().skip(usize::from(t > 30.0)).collect(),
            &[Opened, Discarded, CoolingDown],
        ),
        (
            "another is put out while they are taken in",
            |t| {
                let other = (9, Goods, [0.88, 0.60, 0.96, 0.72]);
                match t {
                    _ if t < 25.0 => crates(),
                    _ if t < 49.0 => vec![other],
                    _ => Vec::new(),
                }
            },
            &[Opened, Corrected],
        ),
        (
            "another stands there for a moment at the second look",
            |t| {
                let other = (9, Goods, [0.88, 0.60, 0.96, 0.72]);
                match t {
                    _ if t < 25.0 => crates(),
                    _ if (50.0..66.0).contains(&t) => vec![other],
                    _ => Vec::new(),
                }
            },
            &[Opened, Corrected],
        ),
        (
            "another is put out while the place rests",
            |t| {
                let other = (9, Furniture, [0.88, 0.60, 0.96, 0.72]);
                match t {
                    _ if t < 30.0 => crates(),
                    _ if t < 200.0 => Vec::new(),
                    _ => vec![other],
                }
            },
            &[Opened, Corrected, CoolingDown],
        ),
    ];
    for (name, play, wanted) in plays {
        let orders = ordered(judge_of(&street()), 260.0, play);
        assert_eq!(outcomes(&orders), wanted, "{name}");
        assert_eq!(warnings(&orders), 1, "{name}");
    }
}

/// Goods under an umbrella, sold from before a shop: vending after ten seconds, out of store after twenty.
#[test]
fn what_two_rules_forbid_is_warned_once() {
    use super::rules::{UMBRELLA, vendor};
    let goods = (2, Goods, [0.2, 0.5, 0.36, 0.7]);
    let orders = ordered(judge_of(&config()), 120.0, |_| {
        vec![UMBRELLA, goods, vendor()]
    });
    assert_eq!(warnings(&orders), 1);
    let opened = orders.iter().filter_map(Order::hit);
    let opened: Vec<Violation> = opened
        .filter(|h| h.outcome == HitOutcome::Opened)
        .map(|h| h.violation)
        .collect();
    assert_eq!(opened, [Violation::StreetVending]);
}

#[test]
fn the_neighbour_has_a_zone_and_a_case_of_his_own() {
    let mut config = street();
    let mut next = config.zone[1].clone();
    next.name = "next-door".to_owned();
    for (zone, [x0, x1]) in [(&mut config.zone[1], [0.5, 0.74]), (&mut next, [0.74, 1.0])] {
        zone.polygon = [(x0, 0.5), (x1, 0.5), (x1, 0.75), (x0, 0.75)]
            .map(|(x, y)| Point { x, y })
            .to_vec();
    }
    config.zone.push(next);
    let orders = ordered(judge_of(&config), 50.0, |_| crates());
    assert_eq!(warnings(&orders), 2, "{orders:?}");
}

#[test]
fn what_is_licensed_before_a_shop_is_told_of_its_own() {
    let shop = "[[zone]]\nname = \"shop\"\nkind = \"shop_front\"\n";
    let text = places::STREET.replace("[[zone]]\nname = \"kerb\"\n", shop);
    let text = format!("{text}[judge.out_of_store]\ndwell_secs = 10.0\n");
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"shop\"]\nroles = [\"furniture\"]\n";
    let loaded = places::read(&text, permit);
    let judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a").unwrap();
    let orders = ordered(judge, 20.0, |_| {
        let tables = (1, Furniture, [0.1, 0.5, 0.2, 0.7]);
        vec![tables, (2, Goods, [0.6, 0.5, 0.7, 0.7])]
    });
    let mut told = outcomes(&orders);
    told.sort_by_key(|outcome| *outcome == HitOutcome::Opened);
    assert_eq!(told, [HitOutcome::Permitted, HitOutcome::Opened]);
}

/// Zones `kerb` and `corner` of one camera, which share a strip.
const CORNER: &str = "[[zone]]\nname = \"corner\"\ncamera = \"cam0\"\n\
                      polygon = [[0.3, 0.4], [0.6, 0.4], [0.6, 1.0], [0.3, 1.0]]\n";

#[test]
fn what_stands_in_two_zones_is_warned_once_and_a_permit_for_either_covers_it() {
    use HitOutcome::{CoolingDown, Opened, Permitted, Persisted};
    let permit = |zone: &str| format!("[[permit]]\nid = \"P1\"\nzones = [\"{zone}\"]\n");
    let whole = [Opened, Persisted, CoolingDown].as_slice();
    for (permit, wanted) in [
        (String::new(), whole),
        (permit("kerb"), &[Permitted]),
        (permit("corner"), &[Permitted]),
    ] {
        let loaded = places::read(&format!("{}{CORNER}", places::STREET), &permit);
        let judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a").unwrap();
        let orders = ordered(judge, 60.0, |_| vec![(1, Stall, [0.4, 0.5, 0.5, 0.7])]);
        assert_eq!(outcomes(&orders), wanted, "{permit}");
        assert_eq!(warnings(&orders), usize::from(wanted == whole), "{permit}");
    }
}

#[test]
fn a_shop_s_permit_covers_what_the_shop_s_rule_looks_for_and_no_stall() {
    let shop = CORNER.replace("\"corner\"", "\"shop\"\nkind = \"shop_front\"");
    let roles = "[judge.out_of_store]\nroles = [\"goods\", \"furniture\", \"object\"]\n";
    let text = places::STREET.replace(
        "dwell_secs = 10.0",
        "dwell_secs = 10.0\nroles = [\"stall\", \"object\"]",
    );
    let loaded = places::read(
        &format!("{text}{shop}{roles}"),
        "[[permit]]\nid = \"P1\"\nzones = [\"shop\"]\n",
    );
    for (role, warned) in [(Object, 0), (Stall, 1)] {
        let judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a").unwrap();
        let orders = ordered(judge, 30.0, |_| {
            let guest = (9, Person, [0.46, 0.45, 0.51, 0.70]);
            vec![(1, role, [0.38, 0.5, 0.5, 0.7]), guest]
        });
        assert_eq!(warnings(&orders), warned, "{role:?}: {orders:?}");
    }
}

#[test]
fn what_has_no_known_class_in_most_looks_may_be_what_is_permitted() {
    let shop = "[[zone]]\nname = \"shop\"\nkind = \"shop_front\"\n";
    let text = places::STREET.replace("[[zone]]\nname = \"kerb\"\n", shop);
    let text =
        format!("{text}[judge.out_of_store]\nroles = [\"goods\", \"object\"]\ndwell_secs = 60.0\n");
    let permit = "[[permit]]\nid = \"P1\"\nzones = [\"shop\"]\nroles = [\"furniture\"]\n";
    let loaded = places::read(&text, permit);
    // How long the model takes the new heap for goods, before only the background sees it.
    for (goods_until, wanted) in [(5.0, HitOutcome::Permitted), (60.0, HitOutcome::Opened)] {
        let judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a").unwrap();
        let orders = ordered(judge, 70.0, |t| {
            let heap = [0.4, 0.5, 0.5, 0.7];
            match t {
                _ if t < goods_until => vec![(1, Goods, heap)],
                _ if t < goods_until + 1.5 => Vec::new(),
                _ => vec![(2, Object, heap)],
            }
        });
        assert_eq!(outcomes(&orders)[..1], [wanted], "{goods_until}");
    }
}
