//! One thing that is seen twice, by the model and by the background: one spot, or two that are known
//! to be one.

use super::super::standing::{Spot, Standing};
use super::rules::sight;
use super::*;
use crate::types::Role::{Goods, Object, Stall};

const BOX: [f32; 4] = [0.20, 0.40, 0.40, 0.60];
/// A little more than half of it lies in [`BOX`], and a quarter of [`BOX`] in it.
const HALF: [f32; 4] = [0.30, 0.49, 0.40, 0.70];
/// A fifth of it.
const FIFTH: [f32; 4] = [0.30, 0.56, 0.40, 0.76];

#[test]
fn an_unnamed_thing_in_the_box_of_a_named_one_is_that_thing() {
    for (one, other, same) in [
        ((Goods, BOX), (Object, HALF), true),
        ((Goods, HALF), (Object, BOX), true),
        ((Goods, BOX), (Object, FIFTH), false),
        ((Goods, BOX), (Goods, HALF), false),
        ((Object, BOX), (Object, HALF), false),
        ((Goods, BOX), (Object, [0.6, 0.4, 0.8, 0.6]), false),
    ] {
        let seen = |(role, area)| {
            let mut standing = Standing::default();
            standing.look(&sight(0.0, &[(1, role, area)]), all_roles(), |_, _| true);
            standing.alive()[0]
        };
        let (a, b): (Spot, Spot) = (seen(one), seen(other));
        let told = (a.is_one_with(&b), b.is_one_with(&a));
        assert_eq!(told, (same, same), "{one:?} {other:?}");
    }
}

#[test]
fn of_two_things_at_one_place_the_first_is_taken_unless_it_is_the_other_s_shadow() {
    let near = [0.21, 0.40, 0.41, 0.60];
    for (later, first, taken) in [
        // Two boxes of one stall: the first of them.
        ([(1, Stall, BOX), (2, Stall, near)], Stall, BOX),
        // A shadow in the background, and the stall it is of.
        ([(1, Object, BOX), (2, Stall, near)], Stall, near),
        ([(1, Stall, BOX), (2, Object, near)], Stall, BOX),
    ] {
        let mut standing = Standing::default();
        standing.look(&sight(0.0, &[(9, first, BOX)]), all_roles(), |_, _| true);
        standing.look(&sight(0.2, &later), all_roles(), |_, _| true);
        let spot = standing.alive()[0];
        let [x0, y0, x1, y1] = taken;
        assert_eq!(spot.area, Area { x0, y0, x1, y1 }, "{later:?}");
        assert!(spot.now.has(first) && !spot.explained, "{later:?}");
    }
}
