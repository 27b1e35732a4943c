//! What one frame tells by itself: an even surface, glare, sharpness of its edges, and whether it
//! or its clock is the same as before.

use std::time::Duration;

use crate::perceive::luma::{Luma, WIDTH};
use crate::types::{Area, Change, Image, Stamp, View};

/// A block of the luma plane has this many cells a side.
const BLOCK: usize = 10;
/// A block shows something when its cells differ by this standard deviation: the noise of a sensor
/// at night, averaged over a cell, stays below 1.
const TEXTURE: u32 = 3;
/// Fewer textured blocks than this share: nothing but an even surface.
const TEXTURED_MIN: f32 = 0.08;
/// From here on a cell is white to a camera.
const WHITE: u8 = 250;
/// More white cells than this share: blinded. A bright sky fills half a picture.
const WHITE_MAX: f32 = 0.6;
/// Rows of pixels that are read for edges and for the digest.
const ROWS_READ: usize = 96;
/// An edge is a change of at least this many grey levels …
const EDGE: u8 = 28;
/// … over this many pixels.
const EDGE_PIXELS: usize = 8;
/// Fewer edges than this tell nothing about sharpness.
const EDGES_MIN: u32 = 60;
/// Edges are blurred when they are less than this share as steep as the reference's.
const BLURRED: f32 = 0.6;

/// What was measured on one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Share of blocks that show something.
    textured: f32,
    /// Share of white cells.
    white: f32,
    /// How steep edges are: 1 is a change within one pixel, 1/8 an even slope. `None` where there
    /// are too few.
    pub(super) acutance: Option<f32>,
    /// A digest of the pixels read: the same pixels, the same digest.
    pub(super) digest: u64,
}

impl Measured {
    pub(super) fn of(image: &Image, luma: &Luma) -> Self {
        let (acutance, digest) = edges(image);
        Self {
            textured: textured(luma),
            white: share(
                luma.cells().iter().filter(|c| **c >= WHITE).count(),
                luma.cells().len(),
            ),
            acutance,
            digest,
        }
    }

    /// What is wrong with the frame whatever the reference.
    pub(super) fn fault(&self) -> Option<View> {
        if self.white > WHITE_MAX {
            return Some(View::Blinded);
        }
        (self.textured < TEXTURED_MIN).then_some(View::Covered)
    }

    /// Whether its edges are much less steep than `sharp`.
    pub(super) fn is_blurred(&self, sharp: Option<f32>) -> bool {
        let both = self.acutance.zip(sharp);
        both.is_some_and(|(now, sharp)| now < BLURRED * sharp)
    }

    /// For the journal.
    pub(super) fn words(&self) -> String {
        let acutance = self.acutance.map_or("-".to_owned(), |a| format!("{a:.2}"));
        format!(
            "textured {:.2}, white {:.2}, acutance {acutance}",
            self.textured, self.white
        )
    }
}

/// The share of blocks whose cells differ.
fn textured(luma: &Luma) -> f32 {
    let (across, down) = (WIDTH / BLOCK, luma.height() / BLOCK);
    let mut count = 0;
    for block in 0..across * down {
        let (x, y) = (block % across * BLOCK, block / across * BLOCK);
        let (mut sum, mut squares) = (0_u32, 0_u32);
        for row in y..y + BLOCK {
            let start = row * WIDTH + x;
            for cell in luma.cells().get(start..start + BLOCK).unwrap_or_default() {
                let cell = u32::from(*cell);
                sum += cell;
                squares += cell * cell;
            }
        }
        // n² times the variance, which needs no division.
        let n = u32::try_from(BLOCK * BLOCK).unwrap_or(u32::MAX);
        let spread = u64::from(n) * u64::from(squares) - u64::from(sum) * u64::from(sum);
        count += usize::from(spread > u64::from(n * TEXTURE) * u64::from(n * TEXTURE));
    }
    share(count, across * down)
}

/// The mean steepness of the edges, and the digest of the rows read.
fn edges(image: &Image) -> (Option<f32>, u64) {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let (mut steepness, mut count) = (0.0_f32, 0_u32);
    let step = (image.height / ROWS_READ).max(1);
    for y in (0..image.height).step_by(step) {
        let Some(row) = image.row(0, y, image.width) else {
            continue;
        };
        for eight in row.chunks(8) {
            let mut word = [0; 8];
            word[..eight.len()].copy_from_slice(eight);
            // FNV-1a (draft-eastlake-fnv) over words: only equality counts.
            digest = (digest ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3);
            digest ^= digest >> 31;
        }
        for window in row.windows(EDGE_PIXELS + 1).step_by(EDGE_PIXELS) {
            let rise = window[0].abs_diff(window[EDGE_PIXELS]);
            if rise < EDGE {
                continue;
            }
            let steps = window.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
            let steepest = steps.max().unwrap_or_default();
            steepness += (f32::from(steepest) / f32::from(rise)).min(1.0);
            count += 1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "edges of one picture")]
    let mean = (count >= EDGES_MIN).then(|| steepness / count as f32);
    (mean, digest)
}

/// Since when the picture is the same to the bit. The night's quietest street changes: a sensor's
/// noise, a key frame coded anew, a clock; a picture that is repeated does not.
#[derive(Clone, Debug, Default)]
pub(super) struct Still {
    last: Option<(u64, Stamp)>,
}

impl Still {
    pub(super) fn stands(&mut self, at: Stamp, digest: u64) -> Duration {
        match self.last {
            Some((before, since)) if before == digest => at.since(since),
            _ => {
                self.last = Some((digest, at));
                Duration::ZERO
            }
        }
    }
}

/// A cell has changed for certain when it differs by more than so many grey levels …
const CHANGED: u8 = 8;
/// … and a block when so many of its cells have: of a picture that is repeated a coder changes
/// one by so much (`docs/decisions/0059-*`), a person who moves changes dozens.
const CHANGED_CELLS: usize = 8;

/// When something last changed in the picture for certain. A sensor that hangs behind a coder
/// that does not gives the same picture, coded anew each time.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    /// The camera's own clock goes on whatever the sensor does.
    clock: Option<Area>,
    /// The cells when it last changed.
    then: Vec<u8>,
    last: Change,
}

impl Changes {
    pub(super) fn new(clock: Option<Area>) -> Self {
        Self {
            clock,
            then: Vec::new(),
            last: Change::NotYet,
        }
    }

    pub(super) fn last(&self) -> Change {
        self.last
    }

    /// Takes in a look.
    pub(super) fn look(&mut self, at: Stamp, luma: &Luma) {
        let first = self.then.len() != luma.cells().len();
        if first || self.differs(luma) {
            self.then.clear();
            self.then.extend_from_slice(luma.cells());
            if !first {
                self.last = Change::At(at);
            }
        }
    }

    /// Whether a block has changed. In the first and the last row of blocks cameras write their names
    /// and clocks.
    fn differs(&self, luma: &Luma) -> bool {
        let (across, down) = (WIDTH / BLOCK, luma.height() / BLOCK);
        let rows = if down > 2 { 1..down - 1 } else { 0..down };
        let mut blocks = rows.flat_map(|row| (0..across).map(move |column| (column, row)));
        blocks.any(|(column, row)| {
            let (x, y) = (column * BLOCK, row * BLOCK);
            let changed = |y: usize| {
                let cells = y * WIDTH + x..y * WIDTH + x + BLOCK;
                let then = self.then.get(cells.clone()).unwrap_or_default();
                let now = luma.cells().get(cells).unwrap_or_default();
                let pairs = then.iter().zip(now);
                pairs.filter(|(a, b)| a.abs_diff(**b) > CHANGED).count()
            };
            let count: usize = (y..y + BLOCK).map(changed).sum();
            count >= CHANGED_CELLS && !self.is_clock((x, y), luma.height())
        })
    }

    /// Whether the clock reaches into the block at these cells.
    fn is_clock(&self, (x, y): (usize, usize), height: usize) -> bool {
        let block = Area {
            x0: share(x, WIDTH),
            y0: share(y, height),
            x1: share(x + BLOCK, WIDTH),
            y1: share(y + BLOCK, height),
        };
        self.clock.is_some_and(|clock| block.share_in(clock) > 0.0)
    }
}

/// Cells of the clock's picture across and down.
const CLOCK_CELLS: (usize, usize) = (48, 8);
/// A digit that changes changes a cell by more than this; coding noise does not.
const CLOCK_CHANGE: u8 = 24;

/// The clock that the camera writes into its picture.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    area: Area,
    /// How it looked when it last changed, and when that was.
    last: Option<(Vec<u8>, Stamp)>,
}

impl Clock {
    pub(super) fn new(area: Area) -> Self {
        Self { area, last: None }
    }

    /// How long it has not changed; nothing is known of a clock that cannot be read.
    pub(super) fn stands(&mut self, at: Stamp, image: &Image) -> Duration {
        let Some(now) = self.cells(image) else {
            self.last = None;
            return Duration::ZERO;
        };
        if let Some((before, since)) = &self.last {
            let changed = before.iter().zip(&now);
            if !changed
                .into_iter()
                .any(|(a, b)| a.abs_diff(*b) > CLOCK_CHANGE)
            {
                return at.since(*since);
            }
        }
        self.last = Some((now, at));
        Duration::ZERO
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "pixels of a picture; casts saturate"
    )]
    fn cells(&self, image: &Image) -> Option<Vec<u8>> {
        let (width, height) = (image.width as f32, image.height as f32);
        let (x0, x1) = (
            (self.area.x0 * width) as usize,
            (self.area.x1 * width) as usize,
        );
        let (y0, y1) = (
            (self.area.y0 * height) as usize,
            (self.area.y1 * height) as usize,
        );
        let part = |from: usize, to: usize, i: usize, n: usize| {
            let start = from + (to - from) * i / n;
            start..(from + (to - from) * (i + 1) / n).max(start + 1)
        };
        let (columns, rows) = CLOCK_CELLS;
        let mut cells = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let (mut sum, mut count) = (0_u32, 0_u32);
                for y in part(y0, y1, row, rows) {
                    let line = image.row(0, y, image.width)?;
                    for pixel in line.get(part(x0, x1, column, columns))? {
                        sum += u32::from(*pixel);
                        count += 1;
                    }
                }
                cells.push(u8::try_from(sum.checked_div(count)?).ok()?);
            }
        }
        Some(cells)
    }
}

#[expect(clippy::cast_precision_loss, reason = "cells of one plane")]
fn share(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
}
