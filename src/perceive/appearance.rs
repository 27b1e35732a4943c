//! Takes down what a thing in the picture looks like, from the frame's own planes.
//!
//! Means of cells are exact to a few rows: of a tall cell's rows [`ROWS_PER_CELL`] are read. Samples
//! count as they are coded; a stream does not change its range between two looks.

use crate::types::{Appearance, Area, Image, PixelFormat};

const CELLS: usize = Appearance::CELLS;

/// Less than this on a side, pixels: a cell would hold less than three.
const SIDE_MIN: usize = 24;
/// Rows read per cell at most.
const ROWS_PER_CELL: usize = 4;

/// The appearance of what is at `area`; `None` when it is too small or too flat to have one, or
/// lies outside the picture's buffer.
pub(super) fn describe(image: &Image, area: Area) -> Option<Appearance> {
    let area = area.clamped();
    let (x0, x1) = (pixel(area.x0, image.width), pixel(area.x1, image.width));
    let (y0, y1) = (pixel(area.y0, image.height), pixel(area.y1, image.height));
    if x1 < x0 + SIDE_MIN || y1 < y0 + SIDE_MIN {
        return None;
    }
    let mut means = [[[0; CELLS]; CELLS]; 3];
    for (channel, means) in means.iter_mut().enumerate() {
        let scale = if channel == 0 { 1 } else { 2 };
        let (columns, rows) = ((x0 / scale, x1 / scale), (y0 / scale, y1 / scale));
        for (n, means) in means.iter_mut().enumerate() {
            let (top, bottom) = (cut(rows, n), cut(rows, n + 1));
            *means = row_of_means(image, channel, columns, (top, bottom))?;
        }
    }
    Appearance::new(means)
}

/// The means of one row of cells.
fn row_of_means(
    image: &Image,
    channel: usize,
    columns: (usize, usize),
    (top, bottom): (usize, usize),
) -> Option<[u8; CELLS]> {
    let mut sums = [(0_u32, 0_u32); CELLS];
    for y in (top..bottom).step_by((bottom - top).div_ceil(ROWS_PER_CELL)) {
        let (samples, first, step) = match (channel, image.format) {
            (0, _) => (image.row(0, y, image.width)?, 0, 1),
            (_, PixelFormat::I420) => (image.row(channel, y, image.width / 2)?, 0, 1),
            (_, PixelFormat::Nv12) => (image.row(1, y, image.width)?, channel - 1, 2),
        };
        for (n, (sum, count)) in sums.iter_mut().enumerate() {
            let (left, right) = (cut(columns, n), cut(columns, n + 1));
            let cell = samples.get(first + left * step..)?;
            let cell = cell.iter().step_by(step).take(right - left);
            *sum += cell.map(|s| u32::from(*s)).sum::<u32>();
            *count += u32::try_from(right - left).ok()?;
        }
    }
    Some(sums.map(|(sum, count)| u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX)))
}

/// Where cell `n` of a side begins.
fn cut((from, to): (usize, usize), n: usize) -> usize {
    from + n * (to - from) / CELLS
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share from 0 to 1 of a picture's size; what is no number becomes 0"
)]
fn pixel(share: f32, size: usize) -> usize {
    ((share * size as f32) as usize).min(size)
}

#[cfg(test)]
mod tests;
