//! The place a fixed camera was set up to look at, in up to eight lights.
//!
//! Pictures are compared by their slopes, each brought to about the same length, so that neither a
//! lamp nor the sun outweighs the rest. They are laid on each other at every shift of a small
//! window. The same place in another light fits badly at *every* shift but one: what counts is how
//! far the best fit stands out from all others, as in correlation filters (Bolme et al., "Visual
//! Object Tracking using Adaptive Correlation Filters", CVPR 2010: the peak-to-sidelobe ratio), and
//! where it is. What moves by itself is averaged away.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::perceive::luma::{Luma, WIDTH};
use crate::types::{Stamp, base64};

/// Cells per row of a look: half the luma plane's.
const COLUMNS: usize = WIDTH / 2;
/// Width of a cell, share of the picture's.
const CELL: f64 = 1.0 / 80.0;
/// Shifts tried each way, cells: 7.5 % of the width.
const REACH: i32 = 6;
/// Round the best fit so many cells belong to it and not to the rest.
const PEAK: i32 = 2;
/// A place is recognised when its best fit stands out from the others by this many standard
/// deviations.
const RECOGNISED: f32 = 6.0;
/// Below this it is recognised, but another look at it would be good to have.
const FAINT: f32 = 9.0;
/// A slope of this many grey levels is brought to half length.
const SLOPE_HALF: f32 = 8.0;
/// Looks kept; the first stays, of the others the oldest gives way.
const LOOKS_MAX: usize = 8;
/// Layout of the kept reference.
const VERSION: u32 = 1;
/// Passers-by are averaged away within a few times this.
const NOW_WITHIN: Duration = Duration::from_secs(2);
/// What was good is remembered this long.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// The reference of one camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    v: u32,
    looks: Vec<Look>,
}

/// The place in one light.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Look {
    /// When it was learned, UTC nanoseconds.
    at_utc_ns: i64,
    /// Rows of [`COLUMNS`] cells.
    height: usize,
    #[serde(with = "base64")]
    luma: Vec<u8>,
    /// How steep its edges were, thousandths.
    acutance_permille: Option<u16>,
}

impl Reference {
    pub(super) fn new(look: Look) -> Self {
        Self {
            v: VERSION,
            looks: vec![look],
        }
    }

    /// Reads a kept reference; `None` for what is none of this version.
    pub fn read(text: &str) -> Option<Self> {
        let reference: Self = serde_json::from_str(text).ok()?;
        let whole = |l: &Look| l.height > 2 && l.height.checked_mul(COLUMNS) == Some(l.luma.len());
        let sound = reference.v == VERSION
            && (1..=LOOKS_MAX).contains(&reference.looks.len())
            && reference.looks.iter().all(whole);
        sound.then_some(reference)
    }

    /// The text to keep.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("invariant: a reference is plain data")
    }

    /// When it was taken, UTC nanoseconds.
    pub fn taken_utc_ns(&self) -> i64 {
        self.looks.first().map_or(0, |look| look.at_utc_ns)
    }

    /// Lights in which the place is known.
    pub fn looks(&self) -> usize {
        self.looks.len()
    }

    pub(super) fn add(&mut self, look: Look) {
        if self.looks.len() == LOOKS_MAX {
            self.looks.remove(1);
        }
        self.looks.push(look);
    }

    /// How steep edges were when it was taken.
    pub(super) fn acutance(&self) -> Option<f32> {
        let first = self.looks.first()?;
        first.acutance_permille.map(|a| f32::from(a) / 1000.0)
    }
}

/// How a picture lies on another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fit {
    /// Recognised, `shift` (share of the width) away; `stands_out` in standard deviations.
    Found { shift: f64, stands_out: f32 },
    /// Not recognised.
    Lost { stands_out: f32 },
}

impl Fit {
    fn stands_out(self) -> f32 {
        match self {
            Self::Found { stands_out, .. } | Self::Lost { stands_out } => stands_out,
        }
    }

    /// Whether another look would be good to have: not when it is a little turned, or many small
    /// turns would make a large one.
    pub(super) fn is_faint(self) -> bool {
        let turned = matches!(self, Self::Found { shift, .. } if shift >= CELL);
        self.stands_out() < FAINT && !turned
    }
}

/// How the present picture lies on what is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    /// On the look of the reference that fits best; without a reference nothing fits.
    pub(super) best: Fit,
    /// Whether it lies, unshifted, on what was good until a moment ago.
    pub(super) chained: bool,
}

impl Match {
    /// For the journal.
    pub(super) fn words(&self) -> String {
        match self.best {
            Fit::Found { shift, stands_out } => {
                format!("reference {stands_out:.1}, shift {shift:.3}")
            }
            Fit::Lost { stands_out } => format!("reference {stands_out:.1}, not recognised"),
        }
    }
}

/// Running means of one camera's picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Averages {
    height: usize,
    /// Over the last seconds.
    now: Vec<f32>,
    /// Over the last good half minute.
    settled: Vec<f32>,
}

impl Averages {
    /// Takes in a frame, `since` after the one before.
    pub(super) fn take(&mut self, luma: &Luma, since: Duration) {
        let height = luma.height() / 2;
        let fresh = height != self.height;
        if fresh {
            self.height = height;
            self.now.clear();
            self.settled.clear();
        }
        let weight = weight(since, NOW_WITHIN);
        let rows = luma.cells().chunks_exact(2 * WIDTH);
        let cells = rows.flat_map(|rows| {
            let (upper, lower) = rows.split_at(WIDTH);
            upper
                .chunks_exact(2)
                .zip(lower.chunks_exact(2))
                .map(|(a, b)| {
                    let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
                    f32::from(sum) / 4.0
                })
        });
        if fresh {
            self.now.extend(cells);
        } else {
            for (mean, cell) in self.now.iter_mut().zip(cells) {
                *mean += (cell - *mean) * weight;
            }
        }
    }

    /// What was seen now is good: it is remembered.
    pub(super) fn settle(&mut self, since: Duration) {
        let weight = weight(since, SETTLED_WITHIN);
        if self.settled.is_empty() {
            self.settled.clone_from(&self.now);
        }
        for (mean, now) in self.settled.iter_mut().zip(&self.now) {
            *mean += (now - *mean) * weight;
        }
    }

    /// How the present picture lies on `reference`, and on what was good before.
    pub(super) fn held_against(&self, reference: Option<&Reference>) -> Match {
        let now = slopes(self.now.iter().copied());
        let mut best = Fit::Lost { stands_out: 0.0 };
        // The newest first: it is most often the light of this hour.
        for look in reference.iter().flat_map(|r| r.looks.iter().rev()) {
            if look.height != self.height {
                continue;
            }
            let known = slopes(look.luma.iter().map(|c| f32::from(*c)));
            let fit = lay(&known, &now, self.height);
            if fit.stands_out() > best.stands_out() {
                best = fit;
            }
            if best.stands_out() >= FAINT {
                break;
            }
        }
        let before = slopes(self.settled.iter().copied());
        let needed = reference.is_none() || best.stands_out() < FAINT;
        let unmoved = |fit| matches!(fit, Fit::Found { shift, .. } if shift < CELL);
        let chained = needed && !before.is_empty() && unmoved(lay(&before, &now, self.height));
        Match { best, chained }
    }

    /// What has been good, as a look.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "means of bytes, and a share"
    )]
    pub(super) fn look(&self, at: Stamp, acutance: Option<f32>) -> Look {
        Look {
            at_utc_ns: at.utc_ns,
            height: self.height,
            luma: self.settled.iter().map(|m| m.round() as u8).collect(),
            acutance_permille: acutance.map(|a| (a * 1000.0).round() as u16),
        }
    }
}

/// The weight of the newest frame in a mean over about `within`.
fn weight(since: Duration, within: Duration) -> f32 {
    (since.as_secs_f32() / within.as_secs_f32()).min(1.0)
}

/// Slopes of the inner cells, each brought to nearly the same length; the border has none.
fn slopes(luma: impl Iterator<Item = f32>) -> Vec<[f32; 2]> {
    let luma: Vec<f32> = luma.collect();
    let height = luma.len() / COLUMNS;
    let mut slopes = vec![[0.0; 2]; luma.len()];
    for y in 1..height.saturating_sub(1) {
        for x in 1..COLUMNS - 1 {
            let i = y * COLUMNS + x;
            let (dx, dy) = (
                luma[i + 1] - luma[i - 1],
                luma[i + COLUMNS] - luma[i - COLUMNS],
            );
            let length = dx.hypot(dy);
            let scale = 1.0 / (length + SLOPE_HALF);
            slopes[i] = [dx * scale, dy * scale];
        }
    }
    slopes
}

/// Lays `now` on `known` at every shift.
fn lay(known: &[[f32; 2]], now: &[[f32; 2]], height: usize) -> Fit {
    let side = 2 * REACH + 1;
    let shifts = (0..side * side).map(|i| (i % side - REACH, i / side - REACH));
    let fits: Vec<((i32, i32), f32)> = shifts.map(|s| (s, fit(known, now, height, s))).collect();
    let at = |x: i32, y: i32| {
        let tried = fits.iter().find(|((dx, dy), _)| (*dx, *dy) == (x, y));
        tried.map_or_else(|| fit(known, now, height, (x, y)), |(_, fit)| *fit)
    };
    let Some(&((x, y), top)) = fits.iter().max_by(|one, two| one.1.total_cmp(&two.1)) else {
        return Fit::Lost { stands_out: 0.0 };
    };
    let rest = fits
        .iter()
        .filter(|((dx, dy), _)| (dx - x).abs() > PEAK || (dy - y).abs() > PEAK);
    let (mut count, mut sum, mut squares) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (_, fit) in rest {
        (count, sum, squares) = (count + 1.0, sum + fit, squares + fit * fit);
    }
    let mean = sum / count;
    let deviation = (squares / count - mean * mean).max(0.0).sqrt();
    let stands_out = if deviation > f32::EPSILON {
        (top - mean) / deviation
    } else {
        0.0
    };
    if stands_out < RECOGNISED {
        return Fit::Lost { stands_out };
    }
    let along = f64::from(x) + vertex(at(x - 1, y), top, at(x + 1, y));
    let down = f64::from(y) + vertex(at(x, y - 1), top, at(x, y + 1));
    Fit::Found {
        shift: along.hypot(down) * CELL,
        stands_out,
    }
}

/// How well `b` moved by the shift fits `a`: their mean product.
fn fit(a: &[[f32; 2]], b: &[[f32; 2]], height: usize, (dx, dy): (i32, i32)) -> f32 {
    let (Ok(width), Ok(rows)) = (i32::try_from(COLUMNS), i32::try_from(height)) else {
        return 0.0;
    };
    let (left, right) = ((-dx).max(0), width - dx.max(0));
    let mut sum = 0.0;
    for y in (-dy).max(0)..rows - dy.max(0) {
        let part = |y: i32, from: i32, to: i32| {
            let start = usize::try_from(y * width + from).ok()?;
            Some(start..usize::try_from(y * width + to).ok()?)
        };
        let here = part(y, left, right).and_then(|p| a.get(p));
        let there = part(y + dy, left + dx, right + dx).and_then(|p| b.get(p));
        if let (Some(here), Some(there)) = (here, there) {
            let products = here
                .iter()
                .zip(there)
                .map(|(a, b)| a[0] * b[0] + a[1] * b[1]);
            sum += products.sum::<f32>();
        }
    }
    // Over the cells compared: a large shift compares fewer.
    let compared = (right - left) * (rows - dy.abs());
    #[expect(clippy::cast_precision_loss, reason = "cells of one look")]
    let mean = sum / compared.max(1) as f32;
    mean
}

/// Where between −½ and ½ the parabola through three neighbouring values has its top.
fn vertex(before: f32, top: f32, after: f32) -> f64 {
    let bend = before - 2.0 * top + after;
    if bend < 0.0 {
        f64::from((before - after) / (2.0 * bend)).clamp(-0.5, 0.5)
    } else {
        0.0
    }
}
