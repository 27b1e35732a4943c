//! The same on a pavement: a cart that no model knows and its seller, and its nearest innocent
//! neighbours. One look a second, and a shorter grace time.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{HIGH, WIDE, config, frame};
use crate::config::{Calendar, Config, ZoneKind};
use crate::judge::Judge;
use crate::perceive::Sight;
use crate::perceive::film::{Street, hash};
use crate::types::{Area, Detection, HitOutcome, Order, Outcome, Role, RoleSet, Stamp, WarnReport};

/// What the model says of a thing.
#[derive(Clone, Copy)]
enum Known {
    /// Nothing.
    Not,
    /// Nothing either: it is a plain sheet.
    Plain,
    /// A label without a role.
    WithoutRole,
    As(Role),
}

/// Somebody or something, and where: left, top, right, bottom in pixels at a second.
type Actor = (Known, fn(usize) -> Option<[usize; 4]>);

/// People far behind, one after the other, so that the picture lives.
const PASSERS_BY: Actor = (Known::As(Role::Person), |t| {
    let left = t % 10 * 40;
    (left < 300).then_some([left, 20, left + 14, 58])
});
/// Who walks by in front.
const CUSTOMER: Actor = (Known::As(Role::Person), |t| {
    let left = (t % 40 * 40).checked_sub(20)?;
    (left < 300).then_some([left, 90, left + 20, 150])
});
/// He treads from one foot to the other.
const SELLER: Actor = (Known::As(Role::Person), |t| {
    let left = 104 + t % 2 * 2;
    (t >= 28).then_some([left, 86, left + 18, 140])
});
const COMES_LATE: Actor = (Known::As(Role::Person), |t| SELLER.1(t).filter(|_| t >= 60));
const SITS: Actor = (Known::As(Role::Person), |t| {
    let left = 104 + t % 2 * 2;
    (t >= 28).then_some([left, 110, left + 18, 140])
});
const WAITS: Actor = (Known::As(Role::Person), |t| {
    let left = 156 + t % 2 * 2;
    (t >= 28).then_some([left, 86, left + 18, 140])
});
const PARASOL: Actor = (Known::As(Role::Umbrella), |t| {
    (t >= 30).then_some([66, 64, 120, 140])
});

/// A cart with its roof.
fn cart(t: usize) -> Option<[usize; 4]> {
    (t >= 30).then_some([127, 72, 187, 140])
}

fn bicycle(t: usize) -> Option<[usize; 4]> {
    (t >= 30).then_some([127, 106, 187, 140])
}

fn packed_up(t: usize) -> Option<[usize; 4]> {
    cart(t).filter(|_| t < 120)
}

/// A plain sheet that is thrown over the cart.
fn sheet(t: usize) -> Option<[usize; 4]> {
    cart(t).filter(|_| t >= 120)
}

/// It lies.
fn dog(t: usize) -> Option<[usize; 4]> {
    (t >= 30).then_some([127, 116, 171, 140])
}

fn suitcase(t: usize) -> Option<[usize; 4]> {
    (t >= 30).then_some([132, 116, 152, 140])
}

#[expect(clippy::cast_precision_loss, reason = "pixels of a picture")]
fn detected((known, place): Actor, t: usize) -> Option<Detection> {
    let roles = match known {
        Known::Not | Known::Plain => return None,
        Known::WithoutRole => RoleSet::EMPTY,
        Known::As(role) => [role].into_iter().collect(),
    };
    let [x0, y0, x1, y1] = place(t)?;
    let share = |pixels: usize, of: usize| pixels as f32 / of as f32;
    Some(Detection {
        label: 0,
        roles,
        score: 0.8,
        area: Area {
            x0: share(x0, WIDE),
            y0: share(y0, HIGH),
            x1: share(x1, WIDE),
            y1: share(y1, HIGH),
        },
    })
}

fn heard(order: &Order, at: Stamp) -> Option<WarnReport> {
    let Order::Warn { case, .. } = order else {
        return None;
    };
    Some(WarnReport::in_full(*case, at, Duration::from_secs(5)))
}

/// A pavement on which vending is judged, things of no known class too.
fn pavement() -> Config {
    let mut config = config(ZoneKind::NoVending);
    config.judge.street_vending.roles.push(Role::Object);
    config.judge.street_vending.grace_secs = 60.0;
    config
}

/// What is ordered of a film of so many seconds.
fn judged(config: &Config, actors: &[Actor], seconds: usize) -> Vec<Order> {
    let street = Street::new();
    let mut sight = Sight::new(config, 0, None, 0.4);
    let calendar = Calendar::plain(TimeZone::UTC);
    let known = Role::ALL.into_iter().collect();
    let mut judge = Judge::new(config, &calendar, known, "boot-a").unwrap();
    let mut orders = Vec::new();
    for (number, t) in (0..).zip(0..seconds) {
        // Who is in front comes last.
        let drawn: Vec<(usize, [usize; 4])> = (actors.iter().enumerate().rev())
            .filter_map(|(n, (_, place))| Some((n, place(t)?)))
            .collect();
        let pixel = |x: usize, y: usize| {
            let mut here = drawn.iter();
            let here = here
                .find(|(_, [x0, y0, x1, y1])| (*x0..*x1).contains(&x) && (*y0..*y1).contains(&y));
            let albedo = here.map_or_else(
                || street.albedo(x + 90, y + 60),
                |(n, [x0, y0, ..])| match actors[*n].0 {
                    Known::Plain => 118.0,
                    _ => f32::from(hash((x - x0) / 6, (y - y0) / 6, 20 + n)),
                },
            );
            street.lit(albedo, (1.0, 0.0), 4.0, (x, y, t))
        };
        let frame = frame(number, number * 1000, pixel);
        sight.look(&frame);
        let mut found = actors.iter().filter_map(|a| detected(*a, t)).collect();
        for order in judge.step(&sight.see(&frame, &mut found)) {
            if let Some(report) = heard(&order, frame.at) {
                judge.hear(report);
            }
            orders.push(order);
        }
    }
    orders
}

/// How many cases were opened, and how each ended.
fn cases(orders: &[Order]) -> (usize, Vec<HitOutcome>) {
    let told = orders.iter().filter_map(Order::hit);
    let opened = told.filter(|hit| hit.outcome == HitOutcome::Opened);
    let ends = orders.iter().filter_map(|order| match order {
        Order::Seal { record, .. } => Some(record.outcome.into()),
        Order::Discard { hit, .. } => Some(hit.outcome),
        _ => None,
    });
    (opened.count(), ends.collect())
}

#[test]
fn a_cart_that_no_model_knows_is_found_and_looked_at_again() {
    let cart = (Known::Not, cart as fn(usize) -> _);
    let actors = [PASSERS_BY, SELLER, cart, CUSTOMER];
    let orders = judged(&pavement(), &actors, 210);
    assert_eq!(cases(&orders), (1, vec![HitOutcome::Persisted]));
    let record = orders.iter().find_map(|order| match order {
        Order::Seal { record, .. } => Some(record),
        _ => None,
    });
    let record = record.expect("sealed");
    assert_eq!(record.outcome, Outcome::Persisted);
    let waited = record.looked_again.map(|at| at.since(record.confirmed));
    assert!(waited >= Some(Duration::from_mins(1)), "{waited:?}");
}

#[test]
fn what_stands_beside_its_owner_or_alone_is_no_stall() {
    let film = |actors: &[Actor]| cases(&judged(&pavement(), actors, 125)).0;
    let bicycle = (Known::Not, bicycle as fn(usize) -> _);
    assert_eq!(film(&[PASSERS_BY, bicycle, CUSTOMER]), 0, "a bicycle alone");
    // What the model recognises is a stall to nobody, though its label has no role.
    for (known, wanted) in [(Known::WithoutRole, 0), (Known::Not, 1)] {
        let dog = (known, dog as fn(usize) -> _);
        assert_eq!(film(&[PASSERS_BY, SITS, dog]), wanted, "a dog");
        let suitcase = (known, suitcase as fn(usize) -> _);
        let actors = [PASSERS_BY, PARASOL, WAITS, suitcase];
        assert_eq!(film(&actors), wanted, "a suitcase");
    }
}

/// Warned when it had stood there for long, it is taken for the street in the grace time.
#[test]
fn what_the_background_takes_in_during_its_case_is_not_said_to_have_gone() {
    let mut config = pavement();
    config.background.absorb_secs = 100.0;
    config.judge.street_vending.dwell_secs = 20.0;
    for (place, wanted) in [
        (cart as fn(usize) -> _, HitOutcome::Discarded),
        // Before that.
        (packed_up, HitOutcome::Corrected),
    ] {
        let actors = [PASSERS_BY, COMES_LATE, (Known::Not, place)];
        let orders = judged(&config, &actors, 180);
        assert_eq!(cases(&orders), (1, vec![wanted]));
        let taken = orders.iter().any(|order| {
            matches!(order, Order::Discard { why, .. } if why.contains("told from the street"))
        });
        assert_eq!(taken, wanted == HitOutcome::Discarded);
    }
}

/// Before the background it looks as if something had left.
#[test]
fn what_is_covered_by_a_plain_sheet_is_not_said_to_have_gone() {
    let mut config = pavement();
    config.judge.street_vending.dwell_secs = 20.0;
    let cart = (Known::Not, cart as fn(usize) -> _);
    let actors = [PASSERS_BY, COMES_LATE, cart, (Known::Plain, sheet)];
    let orders = judged(&config, &actors, 180);
    assert_eq!(cases(&orders), (1, vec![HitOutcome::Discarded]));
}
