//! One axis of one plane: which two source samples make each output sample, and rows of them.

use multiversion::multiversion;

use crate::types::Image;

/// From this shrink on the two taps of an axis form a box; below it they interpolate.
const BOX_FROM: f64 = 2.0;
/// Weights of the two taps add up to this.
pub(super) const WEIGHT_ONE: u16 = 256;

/// Where the samples of a plane lie against the luma grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Siting {
    /// On it.
    Luma,
    /// Chroma, columns: on every second one.
    ChromaAcross,
    /// Chroma, rows: between every two.
    ChromaDown,
}

/// The two source samples of every output sample along one axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// The first tap of every output sample.
    pub(super) first: Vec<u32>,
    /// Weight of the second tap, out of [`WEIGHT_ONE`].
    pub(super) weight: Vec<u16>,
    /// How far the second tap lies behind the first.
    pub(super) apart: usize,
    /// Samples in the source.
    pub(super) size: usize,
}

impl Axis {
    /// Maps `luma` source samples onto `target` output samples.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "sides are at most SIDE_MAX, and positions are clamped to the plane before"
    )]
    pub(super) fn new(luma: usize, target: usize, siting: Siting) -> Self {
        let (size, shrink, offset) = match siting {
            Siting::Luma => (luma, luma as f64 / target as f64, -0.5),
            Siting::ChromaAcross => (luma.div_ceil(2), luma as f64 / (2 * target) as f64, -0.25),
            Siting::ChromaDown => (luma.div_ceil(2), luma as f64 / (2 * target) as f64, -0.5),
        };
        let boxed = shrink >= BOX_FROM;
        let apart = if boxed {
            ((shrink / 2.0).round() as usize).min(size - 1)
        } else {
            1
        };
        let last = (size - 1) as f64;
        let tap = |i: usize| {
            let at = (i as f64 + 0.5) * shrink + offset;
            if boxed {
                let first = (at - apart as f64 / 2.0).round().clamp(0.0, last);
                (first as u32, WEIGHT_ONE / 2)
            } else {
                let at = at.clamp(0.0, last);
                let weight = (at.fract() * f64::from(WEIGHT_ONE)).round();
                (at as u32, weight as u16)
            }
        };
        let (first, weight) = (0..target).map(tap).unzip();
        Self {
            first,
            weight,
            apart,
            size,
        }
    }

    /// Both source samples of output sample `i` and the weight of the second.
    pub(super) fn taps(&self, i: usize) -> Option<(usize, usize, u16)> {
        let first = *self.first.get(i)? as usize;
        let second = (first + self.apart).min(self.size - 1);
        Some((first, second, *self.weight.get(i)?))
    }
}

/// One plane of the source and the rows in work on it.
#[derive(Debug)]
pub(super) struct Plane {
    pub(super) across: Axis,
    pub(super) down: Axis,
    /// The blended row, its last sample repeated to where the second taps reach.
    row: Vec<u8>,
    /// Both taps of every source column, the second in the high byte.
    pairs: Vec<u16>,
    /// The pairs the output columns want.
    pub(super) picked: Vec<u16>,
}

impl Plane {
    pub(super) fn new(width: usize, across: Axis, down: Axis) -> Self {
        Self {
            row: vec![0; width + across.apart],
            pairs: vec![0; width],
            picked: vec![0; across.first.len()],
            across,
            down,
        }
    }

    /// Blends the two source rows of output row `y` into `row`.
    pub(super) fn blend(&mut self, image: &Image, plane: usize, y: usize) -> Option<()> {
        let (upper, lower, weight) = self.down.taps(y)?;
        let width = self.across.size;
        let (a, b) = (
            image.row(plane, upper, width)?,
            image.row(plane, lower, width)?,
        );
        let (row, tail) = self.row.split_at_mut(width);
        blend(a, b, weight, row);
        if let Some(last) = row.last() {
            tail.fill(*last);
        }
        Some(())
    }

    /// Puts both taps side by side, so that one load fetches them, then fetches what is wanted.
    pub(super) fn pick(&mut self) {
        let second = &self.row[self.across.apart..];
        pair_up(&self.row, second, &mut self.pairs);
        for (picked, first) in self.picked.iter_mut().zip(&self.across.first) {
            *picked = self.pairs[*first as usize];
        }
    }
}

/// Both bytes in one sample, the second above.
#[multiversion(targets("x86_64+avx2"))]
fn pair_up(first: &[u8], second: &[u8], pairs: &mut [u16]) {
    for ((pair, a), b) in pairs.iter_mut().zip(first).zip(second) {
        *pair = u16::from(*a) | u16::from(*b) << 8;
    }
}

/// `out = a + (b - a) * weight / 256`, rounded.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn blend(a: &[u8], b: &[u8], weight: u16, out: &mut [u8]) {
    if weight == WEIGHT_ONE / 2 {
        for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
            *o = low_byte((u16::from(*a) + u16::from(*b) + 1) >> 1);
        }
    } else {
        let rest = WEIGHT_ONE - weight;
        for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
            let sum = u16::from(*a) * rest + u16::from(*b) * weight;
            *o = low_byte((sum + WEIGHT_ONE / 2) >> 8);
        }
    }
}

/// The byte that a blended sample is; 255 * 256 + 128 still fits the sixteen bits before.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a blend of two bytes is a byte"
)]
fn low_byte(sample: u16) -> u8 {
    sample as u8
}
