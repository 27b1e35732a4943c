//! How the picture of a moving camera moved from one frame to the next.
//!
//! First the whole picture, small, is laid on the one before at every shift of a window. Then each
//! block that shows something is looked for near where that shift puts it, and one turn, growth and
//! shift is fitted to what the blocks say; blocks that say otherwise, because they show something
//! that moves by itself, are left out. A second round searches near that fit, which finds turns that
//! the first could not.
//!
//! **Invariants.** The same frames give the same movement. Where too few blocks agree it is unknown:
//! a camera that was seen to stand and one of which nobody can tell are two things. Nothing of a frame's size is allocated in the steady state.
//!
//! **Not here.** What moves with it (`track`, `judge`).

use crate::types::{Motion, Moved};

use super::luma::{Luma, WIDTH};

/// The small picture has a cell for so many of the luma plane's, each way.
const SMALL: usize = 4;
/// Shifts tried each way in the small picture: a quarter of the width, a quarter of the height.
const REACH: [i32; 2] = [10, 6];
/// Cells of a block's side.
const BLOCK: i32 = 10;
/// Cells searched each way round where a block should be, in the first round and the second.
const SEARCH: [i32; 2] = [4, 2];
/// A block shows something when its cells differ by so much in the mean.
const TEXTURE: i32 = 4;
/// A block is found when its best place is this much better than the others in the mean.
const FOUND: f32 = 0.6;
/// Blocks that must agree, and their share of those found.
const AGREED_MIN: usize = 10;
const AGREED_SHARE: f32 = 0.5;
/// Blocks agree with a fit that is this near, cells.
const AGREES: f32 = 1.0;
/// Less movement than this is none, cells.
const LEAST: f32 = 0.3;
/// While there is none, the frame it is counted from stays, so that slow movement adds up: for so
/// many frames at most.
const KEPT_MAX: u32 = 25;

/// What is remembered of the frame before.
#[derive(Debug, Default)]
pub(super) struct Drift {
    begun: bool,
    height: usize,
    /// Frames since the one it is counted from.
    kept: u32,
    before: Vec<u8>,
    small_before: Vec<u8>,
    small: Vec<u8>,
    pairs: Vec<Pair>,
}

/// A block's middle before, and where it is now, cells.
#[derive(Clone, Copy, Debug)]
struct Pair {
    from: [f32; 2],
    to: [f32; 2],
}

/// A turn with a growth, and a shift: x' = a x − b y + x₀, y' = b x + a y + y₀, in cells.
#[derive(Clone, Copy, Debug)]
struct Fit {
    a: f32,
    b: f32,
    shift: [f32; 2],
}

impl Drift {
    /// Takes in a frame; how the picture moved since the one before. Before the first there is none:
    /// whether the box was moved since an earlier run its position tells.
    pub(super) fn look(&mut self, luma: &Luma) -> Moved {
        shrink(luma.cells(), luma.height(), &mut self.small);
        let comparable = self.height == luma.height() && self.height > 0;
        let fit = comparable.then(|| self.fit(luma.cells())).flatten();
        let corners = [[0.0, 0.0], [cells(WIDTH), cells(luma.height())]];
        let far = |fit: &Fit| corners.iter().any(|c| distance(fit.of(*c), *c) >= LEAST);
        let moved = fit.filter(far);
        if fit.is_some() && moved.is_none() && self.kept < KEPT_MAX {
            self.kept += 1;
            return Moved::Still;
        }
        self.kept = 0;
        let first = !std::mem::replace(&mut self.begun, true);
        self.height = luma.height();
        self.before.clear();
        self.before.extend_from_slice(luma.cells());
        std::mem::swap(&mut self.small, &mut self.small_before);
        match (fit, moved) {
            (_, Some(moved)) => Moved::By(moved.motion(self.height)),
            (None, None) if !first => Moved::Unknown,
            (_, None) => Moved::Still,
        }
    }

    fn fit(&mut self, now: &[u8]) -> Option<Fit> {
        let mut fit = Fit {
            a: 1.0,
            b: 0.0,
            shift: self.small_shift(),
        };
        for reach in SEARCH {
            self.pair(now, &fit, reach);
            fit = agreed(&mut self.pairs)?;
        }
        Some(fit)
    }

    /// The shift of the whole small picture, cells of the large one.
    fn small_shift(&self) -> [f32; 2] {
        let width = signed(WIDTH / SMALL);
        let height = signed(self.height / SMALL);
        let mut best = (f32::INFINITY, [0, 0]);
        for dy in -REACH[1].min(height / 2)..=REACH[1].min(height / 2) {
            for dx in -REACH[0]..=REACH[0] {
                let (mut sum, mut count) = (0_i32, 0_i32);
                for y in (-dy).max(0)..height - dy.max(0) {
                    for x in (-dx).max(0)..width - dx.max(0) {
                        let a = grey(&self.small_before, width, x, y);
                        let b = grey(&self.small, width, x + dx, y + dy);
                        sum += (a - b).abs();
                        count += 1;
                    }
                }
                let mean = real(sum) / real(count.max(1));
                if mean < best.0 {
                    best = (mean, [dx, dy]);
                }
            }
        }
        best.1.map(|d| real(d) * cells(SMALL))
    }

    /// Looks for each block near where `fit` puts it.
    fn pair(&mut self, now: &[u8], fit: &Fit, reach: i32) {
        self.pairs.clear();
        let (width, height) = (signed(WIDTH), signed(self.height));
        for y in (0..height - BLOCK).step_by(10) {
            for x in (0..width - BLOCK).step_by(10) {
                if !shows(&self.before, width, x, y) {
                    continue;
                }
                let from = [real(2 * x + BLOCK) / 2.0, real(2 * y + BLOCK) / 2.0];
                let expected = fit.of(from);
                let shift = [0, 1].map(|i| whole(expected[i] - from[i]));
                if let Some([dx, dy]) = self.search(now, [x, y], shift, reach) {
                    let to = [from[0] + dx, from[1] + dy];
                    self.pairs.push(Pair { from, to });
                }
            }
        }
    }

    /// The shift of the block at `at` that fits best, round `shift`; `None` when it is not found.
    fn search(&self, now: &[u8], at: [i32; 2], shift: [i32; 2], reach: i32) -> Option<[f32; 2]> {
        let (width, height) = (signed(WIDTH), signed(self.height));
        let [x, y] = [at[0] + shift[0], at[1] + shift[1]];
        let inside =
            x >= reach && y >= reach && x + BLOCK + reach <= width && y + BLOCK + reach <= height;
        if !inside {
            return None;
        }
        let difference = |dx: i32, dy: i32| {
            let mut sum = 0;
            for row in 0..BLOCK {
                for column in 0..BLOCK {
                    let a = grey(&self.before, width, at[0] + column, at[1] + row);
                    sum += (a - grey(now, width, x + dx + column, y + dy + row)).abs();
                }
            }
            sum
        };
        let (mut best, mut all, mut count) = ((i32::MAX, 0, 0), 0, 0);
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let sum = difference(dx, dy);
                (all, count) = (all + sum, count + 1);
                if sum < best.0 {
                    best = (sum, dx, dy);
                }
            }
        }
        let (least, dx, dy) = best;
        let edge = dx.abs() == reach || dy.abs() == reach;
        if edge || real(least) > FOUND * real(all) / real(count) {
            return None;
        }
        let along = vertex(difference(dx - 1, dy), least, difference(dx + 1, dy));
        let down = vertex(difference(dx, dy - 1), least, difference(dx, dy + 1));
        Some([real(shift[0] + dx) + along, real(shift[1] + dy) + down])
    }
}

impl Fit {
    fn of(&self, p: [f32; 2]) -> [f32; 2] {
        [
            self.a * p[0] - self.b * p[1] + self.shift[0],
            self.b * p[0] + self.a * p[1] + self.shift[1],
        ]
    }

    /// In relative coordinates of a picture of `height` cells.
    fn motion(&self, height: usize) -> Motion {
        let (width, height) = (cells(WIDTH), cells(height));
        Motion {
            x: [self.a, -self.b * height / width, self.shift[0] / width],
            y: [self.b * width / height, self.a, self.shift[1] / height],
        }
    }

    /// The least squares of the pairs.
    fn to(pairs: &[Pair]) -> Self {
        let count = cells(pairs.len().max(1));
        let mean = |of: fn(&Pair) -> f32| pairs.iter().map(of).sum::<f32>() / count;
        let from = [mean(|p| p.from[0]), mean(|p| p.from[1])];
        let to = [mean(|p| p.to[0]), mean(|p| p.to[1])];
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for pair in pairs {
            let [x, y] = [pair.from[0] - from[0], pair.from[1] - from[1]];
            let [u, v] = [pair.to[0] - to[0], pair.to[1] - to[1]];
            along += x * u + y * v;
            across += x * v - y * u;
            spread += x * x + y * y;
        }
        let spread = spread.max(f32::EPSILON);
        let (a, b) = (along / spread, across / spread);
        Self {
            a,
            b,
            shift: [
                to[0] - a * from[0] + b * from[1],
                to[1] - b * from[0] - a * from[1],
            ],
        }
    }
}

/// Fits what most pairs say, and leaves the others out; `None` when too few agree.
fn agreed(pairs: &mut Vec<Pair>) -> Option<Fit> {
    let found = pairs.len();
    // The middle of all shifts is nobody's who moves by himself while most blocks are the street's.
    let middle = |i: usize, pairs: &[Pair]| {
        let mut shifts: Vec<f32> = pairs.iter().map(|p| p.to[i] - p.from[i]).collect();
        shifts.sort_by(f32::total_cmp);
        shifts.get(shifts.len() / 2).copied()
    };
    let mut fit = Fit {
        a: 1.0,
        b: 0.0,
        shift: [middle(0, pairs)?, middle(1, pairs)?],
    };
    // A turn takes the outer blocks far from the middle's shift: they are let in step by step.
    for near in [4.0, 2.5, 1.5, AGREES] {
        let agreeing: Vec<Pair> = pairs
            .iter()
            .filter(|p| distance(fit.of(p.from), p.to) <= near)
            .copied()
            .collect();
        if agreeing.len() < AGREED_MIN {
            return None;
        }
        fit = Fit::to(&agreeing);
    }
    pairs.retain(|p| distance(fit.of(p.from), p.to) <= AGREES);
    let enough = pairs.len() >= AGREED_MIN && cells(pairs.len()) >= AGREED_SHARE * cells(found);
    enough.then_some(fit)
}

/// The picture with a cell for `SMALL` by `SMALL` of it.
fn shrink(luma: &[u8], height: usize, small: &mut Vec<u8>) {
    small.clear();
    for rows in luma.chunks_exact(WIDTH * SMALL).take(height / SMALL) {
        small.extend((0..WIDTH / SMALL).map(|x| {
            let cells = (0..SMALL).flat_map(|y| &rows[y * WIDTH + x * SMALL..][..SMALL]);
            let sum: u16 = cells.map(|c| u16::from(*c)).sum();
            u8::try_from(sum / 16).unwrap_or(u8::MAX)
        }));
    }
}

/// Whether the block at (x, y) differs in itself both along and down: an edge alone does not say
/// where along it a block is.
fn shows(luma: &[u8], width: i32, x: i32, y: i32) -> bool {
    let (mut along, mut down) = (0, 0);
    for row in 0..BLOCK - 1 {
        for column in 0..BLOCK - 1 {
            let here = grey(luma, width, x + column, y + row);
            along += (here - grey(luma, width, x + column + 1, y + row)).abs();
            down += (here - grey(luma, width, x + column, y + row + 1)).abs();
        }
    }
    along.min(down) >= TEXTURE * (BLOCK - 1) * (BLOCK - 1) / 2
}

fn grey(luma: &[u8], width: i32, x: i32, y: i32) -> i32 {
    let at = usize::try_from(y * width + x).ok();
    at.and_then(|at| luma.get(at)).map_or(0, |c| i32::from(*c))
}

/// Where between −½ and ½ the parabola through three neighbouring values has its bottom.
fn vertex(before: i32, least: i32, after: i32) -> f32 {
    let bend = before - 2 * least + after;
    if bend > 0 {
        (real(before - after) / (2.0 * real(bend))).clamp(-0.5, 0.5)
    } else {
        0.0
    }
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

#[expect(clippy::cast_precision_loss, reason = "sums over one block or plane")]
fn real(n: i32) -> f32 {
    n as f32
}

#[expect(clippy::cast_precision_loss, reason = "cells of one plane")]
fn cells(n: usize) -> f32 {
    n as f32
}

fn signed(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, reason = "a shift within a picture")]
fn whole(shift: f32) -> i32 {
    shift.round() as i32
}

#[cfg(test)]
mod tests {
    use super::super::film::{Street, hash, picture};
    use super::*;
    use crate::types::Point;

    const WIDE: usize = 320;
    const HIGH: usize = 180;

    /// The picture of a camera that looks at `middle` of the street, turned by `turn` (radians) and
    /// nearer by `zoom`; `front` stands before it.
    fn shoot(
        street: &Street,
        (middle, turn, zoom): ([f32; 2], f32, f32),
        frame: usize,
        front: impl Fn(usize, usize) -> bool,
    ) -> Luma {
        let (sin, cos) = turn.sin_cos();
        let image = picture(WIDE, HIGH, |x, y| {
            let [u, v] = [(signed(x), signed(WIDE) / 2), (signed(y), signed(HIGH) / 2)]
                .map(|(at, half)| real(at - half) / zoom);
            let place = [middle[0] + cos * u - sin * v, middle[1] + sin * u + cos * v];
            let [px, py] = place.map(|p| usize::try_from(whole(p)).unwrap_or(0));
            let albedo = if front(x, y) {
                f32::from(hash(x / 9, y / 9, frame))
            } else {
                street.albedo(px.min(Street::SIZE.0 - 1), py.min(Street::SIZE.1 - 1))
            };
            street.lit(albedo, (1.0, 0.0), 3.0, (x, y, frame))
        });
        let mut luma = Luma::new();
        assert!(luma.draw(&image));
        luma
    }

    const START: [f32; 2] = [600.0, 240.0];

    #[test]
    fn a_moving_camera_is_followed_and_who_moves_by_himself_is_not() {
        let street = Street::new();
        let lorry = |x: usize, y: usize| (30..150).contains(&x) && (50..150).contains(&y);
        let nobody = |_: usize, _: usize| false;
        // Shift of the camera in pixels, turn, zoom, whether a lorry fills a fifth of the picture.
        for (dx, dy, turn, zoom, passing) in [
            (7.0, 0.0, 0.0, 1.0, false),
            (-40.0, 12.0, 0.0, 1.0, false),
            (60.0, -10.0, 0.0, 1.0, true),
            (4.0, 2.0, 0.03, 1.0, false),
            (0.0, 0.0, -0.04, 1.0, true),
            (3.0, 0.0, 0.0, 1.04, false),
        ] {
            let middle = [START[0] + dx, START[1] + dy];
            let mut drift = Drift::default();
            let before = shoot(&street, (START, 0.0, 1.0), 1, nobody);
            assert_eq!(drift.look(&before), Moved::Still, "there is none before it");
            let now = if passing {
                shoot(&street, (middle, turn, zoom), 2, lorry)
            } else {
                shoot(&street, (middle, turn, zoom), 2, nobody)
            };
            let Moved::By(motion) = drift.look(&now) else {
                panic!("it moved")
            };
            let (sin, cos) = turn.sin_cos();
            for p in [[80.0, 60.0], [250.0, 140.0], [160.0, 90.0]] {
                let [u, v] = [p[0] - 160.0 - dx, p[1] - 90.0 - dy];
                let wanted = [
                    160.0 + zoom * (cos * u + sin * v),
                    90.0 + zoom * (cos * v - sin * u),
                ];
                let told = motion.of(Point {
                    x: p[0] / 320.0,
                    y: p[1] / 180.0,
                });
                let off = distance([told.x * 320.0, told.y * 180.0], wanted);
                assert!(
                    off < 3.0,
                    "{dx},{dy} turn {turn} zoom {zoom}: {off} at {p:?}"
                );
            }
        }
    }

    #[test]
    fn a_camera_at_rest_is_told_from_one_of_which_nobody_can_tell() {
        let street = Street::new();
        let lorry = |x: usize, _: usize| x < 120;
        let mut drift = Drift::default();
        for frame in 0..4 {
            let luma = shoot(&street, (START, 0.0, 1.0), frame, |x, y| {
                frame % 2 == 1 && lorry(x, y)
            });
            assert_eq!(drift.look(&luma), Moved::Still, "frame {frame}");
        }
        let elsewhere = shoot(&street, ([250.0, 150.0], 0.0, 1.0), 9, |_, _| false);
        assert_eq!(drift.look(&elsewhere), Moved::Unknown, "a cut");
        let mut fog = Luma::new();
        assert!(fog.draw(&picture(WIDE, HIGH, |_, _| 120)));
        for _ in 0..2 {
            assert_eq!(drift.look(&fog), Moved::Unknown, "fog");
        }
        let empty = Luma::new();
        for luma in [&empty, &elsewhere] {
            assert_eq!(drift.look(luma), Moved::Unknown, "a picture that is none");
        }
    }
}
