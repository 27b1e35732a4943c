//! A frame's luma brought down to [`WIDTH`] grey cells a row: what guard, background and motion
//! estimate look at. Drawn once per frame, into the same buffers.

use multiversion::multiversion;

use crate::types::Image;

/// Cells per row.
pub(super) const WIDTH: usize = 160;
/// Cells per column at most: taller pictures than this are no camera's.
const HEIGHT_MAX: usize = 320;
/// Rows of pixels averaged per cell at most; more would not show more.
const ROWS_PER_CELL: usize = 4;

/// The grey cells of one frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Luma {
    height: usize,
    cells: Vec<u8>,
    /// The rows of one row of cells, added up pixel by pixel: at most [`ROWS_PER_CELL`] bytes each.
    sums: Vec<u16>,
}

impl Luma {
    /// A plane of nothing.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Draws `image`; false when it is smaller than the grid, lies outside its buffer or has no
    /// camera's shape. The plane is then empty.
    pub(super) fn draw(&mut self, image: &Image) -> bool {
        let drawn = self.try_draw(image).is_some();
        if !drawn {
            self.height = 0;
            self.cells.clear();
        }
        drawn
    }

    fn try_draw(&mut self, image: &Image) -> Option<()> {
        let (width, height) = (image.width, image.height);
        let rows = height.checked_mul(WIDTH)?.checked_div(width)?;
        // Even, so that halves of it are whole.
        let rows = rows / 2 * 2;
        if width < WIDTH || height < rows || !(2..=HEIGHT_MAX).contains(&rows) {
            return None;
        }
        self.height = rows;
        self.cells.clear();
        for row in 0..rows {
            let (top, bottom) = (row * height / rows, (row + 1) * height / rows);
            let step = (bottom - top).div_ceil(ROWS_PER_CELL);
            self.sums.clear();
            let mut taken = 0;
            for y in (top..bottom).step_by(step) {
                let row = image.row(0, y, width)?;
                self.sums.resize(row.len(), 0);
                add(row, &mut self.sums);
                taken += 1;
            }
            let mean = |column| {
                let across = column * width / WIDTH..(column + 1) * width / WIDTH;
                let pixels = u32::try_from(across.len() * taken).unwrap_or(u32::MAX);
                let sums = self.sums.get(across).unwrap_or_default();
                let sum = sums.iter().map(|sum| u32::from(*sum)).sum::<u32>();
                u8::try_from(sum / pixels.max(1)).unwrap_or(u8::MAX)
            };
            self.cells.extend((0..WIDTH).map(mean));
        }
        Some(())
    }

    /// Rows of cells; 0 when nothing is drawn.
    pub(super) fn height(&self) -> usize {
        self.height
    }

    /// The cells, row by row from the top left.
    pub(super) fn cells(&self) -> &[u8] {
        &self.cells
    }
}

/// Adds the pixels of a row to the sums of their columns.
#[multiversion(targets("x86_64+avx2"))]
fn add(row: &[u8], sums: &mut [u16]) {
    for (sum, &pixel) in sums.iter_mut().zip(row) {
        *sum += u16::from(pixel);
    }
}

#[cfg(test)]
mod tests {
    use super::super::film::picture;
    use super::*;

    #[test]
    fn cells_are_means_whatever_the_size() {
        for (width, height, rows) in [
            (1920, 1080, 90),
            (640, 360, 90),
            (768, 576, 120),
            (162, 100, 98),
            (1080, 1920, 284),
        ] {
            let image = picture(width, height, |x, _| if x < width / 2 { 40 } else { 200 });
            let mut luma = Luma::new();
            assert!(luma.draw(&image), "{width}x{height}");
            assert_eq!((luma.height(), luma.cells().len()), (rows, rows * WIDTH));
            for row in luma.cells().chunks(WIDTH) {
                assert_eq!((row[10], row[150]), (40, 200), "{width}x{height}");
            }
        }
    }

    #[test]
    fn what_is_no_camera_picture_leaves_it_empty() {
        let mut luma = Luma::new();
        assert!(luma.draw(&picture(320, 180, |_, _| 9)));
        let mut cut = picture(320, 180, |_, _| 9);
        cut.planes[0].offset = usize::MAX - 10;
        let mut long = picture(320, 180, |_, _| 9);
        long.height = usize::MAX;
        let mut none = picture(320, 180, |_, _| 9);
        (none.width, none.height) = (0, 0);
        for image in [cut, long, none, picture(159, 90, |_, _| 9)] {
            assert!(!luma.draw(&image));
            assert_eq!((luma.height(), luma.cells().len()), (0, 0));
        }
    }
}
