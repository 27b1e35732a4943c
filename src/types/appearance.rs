//! What a thing looks like: as much as it takes to tell it from another at the same place, and
//! no more.
//!
//! A box is cut into 8 by 8 cells, and of each its mean luma and chroma are kept (the grid of the
//! colour layout descriptor, ISO/IEC 15938-3). Two are compared by *slopes*, what lies between
//! one cell and the next along rows and along columns: in luma the contrast of the two,
//! (b - a) / (b + a) (Michelson, *Studies in Optics*, 1927), which light that doubles leaves as it
//! is; in chroma their difference, which another white balance leaves as it is. No slope counts
//! more than [`SLOPE_MAX`], so that the edge of a shadow is one among many. How alike two are is
//! the cosine between their slopes, of the nine ways to lay one on the other, a cell to and fro,
//! the best: a detector's boxes breathe. All of it is integer arithmetic, the same everywhere.
//!
//! It is no portrait: of a standing person a face is less than a cell. Whoever wears the same coat
//! looks the same, and another coat is another look; nobody is recognised by it.

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};

use super::Gate;

const CELLS: usize = Appearance::CELLS;
/// Means kept: luma, blue and red chroma of each cell.
const MEANS: usize = 3 * CELLS * CELLS;
/// What a slope counts at most: a luma that differs by a third, or 12 levels of chroma.
const SLOPE_MAX: i32 = 12;
/// The scale of luma's contrasts: with it one of a third is [`SLOPE_MAX`].
const CONTRAST: i32 = 80;
/// Added to the luma of two cells: the noise of a dark sensor is no contrast.
const DARK: i32 = 32;
/// Less than this, summed over the squares of all slopes, is a wall or the night.
const SLOPES_MIN: u64 = 5000;
/// Directions in which a cell has a neighbour, times means of a cell.
const KINDS: usize = 6;

/// The means of a box's cells: luma, blue and red chroma, each row by row.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Appearance([u8; MEANS]);

/// What lies between a cell and its neighbour, by kind, row and column; `None` beyond the edge.
type Slopes = [[[Option<i8>; CELLS]; CELLS]; KINDS];

impl Appearance {
    /// Cells along each side.
    pub const CELLS: usize = 8;
    /// What is as alike as this, thousandths, is the same thing; `docs/RULES.md` has what was measured.
    pub const SAME_MIN: u16 = 650;
    /// What is less alike than this, thousandths, is another thing.
    pub const OTHER_BELOW: u16 = 400;

    /// The appearance of what has these means; `None` when they tell nothing: a wall, or the night.
    pub fn new(means: [[[u8; CELLS]; CELLS]; 3]) -> Option<Self> {
        let mut flat = [0; MEANS];
        let all = means.iter().flatten().flatten();
        for (kept, mean) in flat.iter_mut().zip(all) {
            *kept = *mean;
        }
        let this = Self(flat);
        let slopes = this.slopes();
        let squares = slopes.iter().flatten().flatten().flatten();
        let sum: u64 = squares.map(|s| i64::from(*s).pow(2).unsigned_abs()).sum();
        (sum >= SLOPES_MIN).then_some(this)
    }

    /// How alike this is to `other`, thousandths: 1000 is the same picture.
    pub fn likeness(&self, other: &Self) -> u16 {
        let (a, b) = (self.slopes(), other.slopes());
        let ways = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy)));
        ways.map(|way| cosine(&a, &b, way)).max().unwrap_or(0)
    }

    fn mean(&self, channel: usize, x: usize, y: usize) -> Option<i32> {
        let inside = x < CELLS && y < CELLS;
        let at = (channel * CELLS + y) * CELLS + x;
        inside.then(|| i32::from(self.0[at]))
    }

    fn slopes(&self) -> Slopes {
        let slope = |kind: usize, x: usize, y: usize| {
            let (channel, down) = (kind / 2, kind % 2);
            let a = self.mean(channel, x, y)?;
            let b = self.mean(channel, x + 1 - down, y + down)?;
            let steep = if channel == 0 {
                CONTRAST * (b - a) / (a + b + DARK)
            } else {
                b - a
            };
            i8::try_from(steep.clamp(-SLOPE_MAX, SLOPE_MAX)).ok()
        };
        std::array::from_fn(|kind| {
            std::array::from_fn(|y| std::array::from_fn(|x| slope(kind, x, y)))
        })
    }
}

/// The cosine between slopes where both have one, `b` laid `(dx, dy)` cells off, thousandths; what
/// points the other way is as unlike as can be.
fn cosine(a: &Slopes, b: &Slopes, (dx, dy): (isize, isize)) -> u16 {
    let (mut dot, mut aa, mut bb) = (0_i64, 0_i64, 0_i64);
    for (a, b) in a.iter().zip(b) {
        for (y, row) in a.iter().enumerate() {
            let other = y.checked_add_signed(dy).and_then(|y| b.get(y));
            for (x, p) in row.iter().enumerate() {
                let q = x.checked_add_signed(dx).and_then(|x| other?.get(x));
                if let (Some(p), Some(Some(q))) = (p, q) {
                    let (p, q) = (i64::from(*p), i64::from(*q));
                    (dot, aa, bb) = (dot + p * q, aa + p * p, bb + q * q);
                }
            }
        }
    }
    let length = (aa * bb).isqrt();
    let share = (1000 * dot).checked_div(length).unwrap_or(0);
    u16::try_from(share.clamp(0, 1000)).unwrap_or(0)
}

/// Whether what stands there at the second look is what was warned, as a condition; `likeness` in
/// thousandths, `None` when nobody can tell.
pub fn same_subject(likeness: Option<u16>) -> Gate {
    let told = likeness.map(|l| format!("alike {}.{} %", l / 10, l % 10));
    Gate {
        gate: "same_subject".to_owned(),
        value: told.unwrap_or_else(|| "not known".to_owned()),
        limit: format!("alike >= {} %", Appearance::SAME_MIN / 10),
        pass: likeness.is_some_and(|l| l >= Appearance::SAME_MIN),
    }
}

impl std::fmt::Debug for Appearance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Appearance")
    }
}

impl From<Appearance> for String {
    fn from(appearance: Appearance) -> Self {
        Base64::encode_string(&appearance.0)
    }
}

impl TryFrom<String> for Appearance {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut means = [0; MEANS];
        match Base64::decode(text, &mut means) {
            Ok(read) if read.len() == MEANS => Ok(Self(means)),
            _ => Err("not the base64 of an appearance"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn means() -> impl Strategy<Value = [[[u8; CELLS]; CELLS]; 3]> {
        let channel = || proptest::array::uniform8(proptest::array::uniform8(20_u8..120));
        [channel(), channel(), channel()]
    }

    proptest! {
        #[test]
        fn it_is_as_alike_to_another_as_the_other_to_it(a in means(), b in means()) {
            let (a, b) = (Appearance::new(a).unwrap(), Appearance::new(b).unwrap());
            prop_assert_eq!(a.likeness(&a), 1000);
            prop_assert_eq!(a.likeness(&b), b.likeness(&a));
            prop_assert!(a.likeness(&b) < Appearance::SAME_MIN, "two that have nothing in common");
            let text = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<Appearance>(&text).unwrap(), a);
        }

        /// Twice the light and another white balance: the same thing.
        #[test]
        fn light_changes_little(a in means(), blue in -20_i16..20, red in -20_i16..20) {
            let mut lit = a;
            let all = |channel: &mut [[u8; CELLS]; CELLS], change: &dyn Fn(u8) -> u8| {
                channel.iter_mut().flatten().for_each(|mean| *mean = change(*mean));
            };
            let shifted = |by: i16| move |m: u8| u8::try_from(i16::from(m) + by).unwrap();
            all(&mut lit[0], &|mean| mean * 2);
            all(&mut lit[1], &shifted(blue));
            all(&mut lit[2], &shifted(red));
            let (a, lit) = (Appearance::new(a).unwrap(), Appearance::new(lit).unwrap());
            prop_assert!(a.likeness(&lit) >= 950, "{}", a.likeness(&lit));
        }

        /// A box that is a cell off.
        #[test]
        fn a_box_may_tremble(a in means()) {
            let mut off = a;
            for row in off.iter_mut().flatten() {
                row.rotate_left(1);
            }
            let (a, off) = (Appearance::new(a).unwrap(), Appearance::new(off).unwrap());
            prop_assert_eq!(a.likeness(&off), 1000);
        }
    }

    #[test]
    fn a_wall_and_the_night_have_no_appearance() {
        assert_eq!(Appearance::new([[[90; CELLS]; CELLS]; 3]), None);
        let mut night = [
            [[18; CELLS]; CELLS],
            [[128; CELLS]; CELLS],
            [[128; CELLS]; CELLS],
        ];
        night[0][3][3] = 22;
        assert_eq!(Appearance::new(night), None);
    }

    #[test]
    fn what_is_no_appearance_is_refused() {
        for text in ["\"\"", "\"AAAA\"", "\"not base64!\"", "7"] {
            assert!(serde_json::from_str::<Appearance>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_condition_says_what_was_measured() {
        for (likeness, value, pass) in [
            (None, "not known", false),
            (Some(649), "alike 64.9 %", false),
            (Some(650), "alike 65.0 %", true),
        ] {
            let gate = same_subject(likeness);
            assert_eq!((gate.value.as_str(), gate.pass), (value, pass));
            assert_eq!(gate.limit, "alike >= 65 %");
        }
    }
}
