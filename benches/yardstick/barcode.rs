//! The number that `prepare.sh` draws on every frame.

use lingmou::types::Image;

/// Squares along the top edge: white, black, twelve bits, parity, white.
const SQUARES: usize = 16;
/// Squares that would fill the width.
const ACROSS: usize = 60;
/// Luma between black and white.
const MIDDLE: u32 = 125;

/// The number of the frame; `None` when it cannot be read.
pub(crate) fn read(image: &Image) -> Option<usize> {
    // A small picture's squares are no whole number of pixels wide.
    let left = |square| square * image.width / ACROSS;
    let bits: Vec<bool> = (0..SQUARES)
        .map(|square| white(image, left(square), left(1)))
        .collect::<Option<_>>()?;
    let [true, false, number @ .., parity, true] = bits.as_slice() else {
        return None;
    };
    let ones = number.iter().filter(|bit| **bit).count();
    let value = |n, bit: &bool| n * 2 + usize::from(*bit);
    (*parity == (ones % 2 == 1)).then(|| number.iter().fold(0, value))
}

/// Whether the middle half of the square at `x` is white.
fn white(image: &Image, x: usize, side: usize) -> Option<bool> {
    let (from, to) = (side / 4, side - side / 4);
    let mut sum = 0;
    for y in from..to {
        let row = image.row(0, y, image.width)?.get(x + from..x + to)?;
        sum += row.iter().map(|luma| u32::from(*luma)).sum::<u32>();
    }
    let pixels = u32::try_from((to - from) * (to - from)).ok()?;
    Some(sum > MIDDLE * pixels)
}
