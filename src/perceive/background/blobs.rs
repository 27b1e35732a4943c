//! Cells that belong together.

use crate::perceive::luma::WIDTH;
use crate::types::Area;

/// Blobs kept per frame; a picture that falls into more is no street with things in it.
const BLOBS_MAX: usize = 64;
/// A thing is at least so many cells wide and high; a lump on the road less. Slopes reach a cell
/// beyond what has them.
const THING_SIDE_MIN: usize = 8;
const LUMP_SIDE_MIN: usize = 3;
/// A blob of more than this share of the picture is no thing.
const AREA_MAX: f32 = 0.3;

/// A blob: the box of its cells, and which of [`Blobs`]' cells they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blob {
    x0: usize,
    y0: usize,
    x1: usize,
    y1: usize,
    first: usize,
    count: usize,
    /// Cells of the whole picture.
    all: usize,
}

impl Blob {
    /// Where it is in the picture.
    pub(super) fn area(&self, height: usize) -> Area {
        #[expect(clippy::cast_precision_loss, reason = "at most 320 cells")]
        let share = |cell: usize, cells: usize| cell as f32 / cells.max(1) as f32;
        Area {
            x0: share(self.x0, WIDTH),
            y0: share(self.y0, height),
            x1: share(self.x1 + 1, WIDTH),
            y1: share(self.y1 + 1, height),
        }
    }

    /// Whether it is large and full enough for a thing that stands. A shadow's edge is a line: thin, or
    /// slanting through a box that it hardly fills.
    pub(super) fn is_thing(&self) -> bool {
        self.is_body(THING_SIDE_MIN)
    }

    /// The same for what may lie on a road.
    pub(super) fn is_lump(&self) -> bool {
        self.is_body(LUMP_SIDE_MIN)
    }

    fn is_body(&self, side_min: usize) -> bool {
        let (w, h) = (self.x1 - self.x0 + 1, self.y1 - self.y0 + 1);
        let (short, long) = (w.min(h), w.max(h));
        let full = self.count >= (w * h / 2).min(2 * (w + h));
        #[expect(clippy::cast_precision_loss, reason = "cells of one picture")]
        let share = (w * h) as f32 / self.all.max(1) as f32;
        short >= side_min && long < 6 * short && full && share <= AREA_MAX
    }
}

/// Finds blobs, in buffers of its own.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    /// Which cells are to be joined and were not yet.
    open: Vec<bool>,
    /// Cells of all blobs, blob by blob.
    members: Vec<usize>,
    queue: Vec<usize>,
    found: Vec<Blob>,
}

impl Blobs {
    /// Finds the blobs among the cells that `stands` says. Cells with one cell between them belong
    /// together: slopes leave gaps.
    pub(super) fn find(&mut self, height: usize, stands: impl Fn(usize) -> bool) {
        self.open.clear();
        self.open.extend((0..WIDTH * height).map(stands));
        self.members.clear();
        self.found.clear();
        for start in 0..self.open.len() {
            if self.found.len() == BLOBS_MAX {
                return;
            }
            if self.open[start] {
                let blob = self.flood(start, height);
                self.found.push(blob);
            }
        }
    }

    /// Joins everything that belongs to the cell `start`.
    fn flood(&mut self, start: usize, height: usize) -> Blob {
        let mut blob = Blob {
            x0: WIDTH,
            y0: height,
            x1: 0,
            y1: 0,
            first: self.members.len(),
            count: 0,
            all: WIDTH * height,
        };
        self.open[start] = false;
        self.queue.push(start);
        while let Some(i) = self.queue.pop() {
            let (x, y) = (i % WIDTH, i / WIDTH);
            self.members.push(i);
            (blob.x0, blob.x1) = (blob.x0.min(x), blob.x1.max(x));
            (blob.y0, blob.y1) = (blob.y0.min(y), blob.y1.max(y));
            for near_y in y.saturating_sub(2)..(y + 3).min(height) {
                for near_x in x.saturating_sub(2)..(x + 3).min(WIDTH) {
                    let near = near_y * WIDTH + near_x;
                    if std::mem::take(&mut self.open[near]) {
                        self.queue.push(near);
                    }
                }
            }
        }
        blob.count = self.members.len() - blob.first;
        blob
    }

    /// The blobs of the last [`Blobs::find`].
    pub(super) fn found(&self) -> &[Blob] {
        &self.found
    }

    /// The cells of a blob.
    pub(super) fn cells(&self, blob: &Blob) -> &[usize] {
        self.members
            .get(blob.first..blob.first + blob.count)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blobs of a drawing, sixty rows high: cells, and whether it is a thing, and a lump.
    fn found(of: impl Fn(usize, usize) -> bool) -> Vec<(usize, bool, bool)> {
        let mut blobs = Blobs::default();
        blobs.find(60, |i| of(i % WIDTH, i / WIDTH));
        let told = |b: &Blob| (b.count, b.is_thing(), b.is_lump());
        blobs.found().iter().map(told).collect()
    }

    fn ring(x: usize, y: usize, side: usize) -> bool {
        let inner = (12..10 + side - 2).contains(&x) && (12..10 + side - 2).contains(&y);
        (10..10 + side).contains(&x) && (10..10 + side).contains(&y) && !inner
    }

    #[test]
    fn a_thing_is_more_than_a_line() {
        type Row<'a> = (&'a str, fn(usize, usize) -> bool, &'a [(usize, bool, bool)]);
        let table: [Row<'_>; 8] = [
            ("nothing", |_, _| false, &[]),
            ("a speck", |x, y| (x, y) == (5, 5), &[(1, false, false)]),
            ("an outline", |x, y| ring(x, y, 20), &[(144, true, true)]),
            (
                "a lump",
                |x, y| (10..14).contains(&x) && (10..13).contains(&y),
                &[(12, false, true)],
            ),
            (
                "a kerb's shadow",
                |x, y| (10..90).contains(&x) && (10..13).contains(&y),
                &[(240, false, false)],
            ),
            (
                "a slanting shadow",
                |x, y| (10..50).contains(&y) && (x == y || x == y + 1),
                &[(80, false, false)],
            ),
            (
                "two, one cell apart",
                |x, y| (10..16).contains(&y) && (10..22).contains(&x) && x != 16,
                &[(66, false, true)],
            ),
            (
                "two, far apart",
                |x, y| (10..16).contains(&y) && ((10..16).contains(&x) || (40..46).contains(&x)),
                &[(36, false, true), (36, false, true)],
            ),
        ];
        for (name, drawing, expected) in table {
            assert_eq!(found(drawing), expected, "{name}");
        }
    }

    #[test]
    fn half_a_picture_is_no_thing() {
        assert_eq!(found(|x, _| x < 80), [(80 * 60, false, false)]);
    }
}
