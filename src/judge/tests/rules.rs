//! Scene tables of the three rules: the offence, and its nearest innocent neighbours. Here is what they
//! share, and what concerns more rules than one.

mod out_of_store;
mod spillage;
mod vending;

use crate::types::Role::{
    Debris, Furniture, Goods, Object, Person, Plate, Stall, Tricycle, Truck, Umbrella, Vehicle,
};

use super::*;
use crate::config::Mount;

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
fn a_rule_that_lacks_what_it_judges_by_refuses_to_start() {
    let parts = [Umbrella, Goods, Truck, Debris].into_iter().collect();
    let error = judging(&street(), parts, "b")
        .map(|_| ())
        .expect_err("nobody attends");
    assert!(error.to_string().contains("roles person can"), "{error}");
    let mut config = street();
    config.judge.street_vending.attended_min = 0.0;
    judging(&config, parts, "b").expect("attendance is not asked for");
    config.zone[1].roles = vec![Furniture];
    let error = judging(&config, parts, "b")
        .map(|_| ())
        .expect_err("no furniture");
    assert!(error.to_string().contains("out_of_store"), "{error}");
    config.zone[1].roles = vec![Furniture, Stall];
    let error = judging(&config, parts, "b")
        .map(|_| ())
        .expect_err("neither");
    assert!(
        error.to_string().contains("roles stall, furniture can"),
        "{error}"
    );
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
        let one_kind = matches!(error, JudgeError::OneKind { .. });
        assert_eq!(told.contains("only umbrella of"), one_kind, "{told}");
        Some(one_kind)
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
