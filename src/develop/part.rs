//! Parts of a picture: the pixels of an area, and the close-up that shows it.

use std::ops::Range;

use crate::types::{Area, Image, PixelFormat, Plane};

/// The margin of a close-up on every side, share of the subject's size: what stands beside the
/// subject tells where it stands.
const CLOSE_MARGIN: f32 = 0.3;
/// Smallest side of a close-up, pixels; a smaller picture is shown whole.
const CLOSE_SIDE_MIN: usize = 240;

/// A rectangle of pixels inside a picture, ends excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) x0: usize,
    pub(super) y0: usize,
    pub(super) x1: usize,
    pub(super) y1: usize,
}

impl Part {
    /// The pixels `area` touches.
    pub(super) fn of(image: &Image, area: Area) -> Self {
        let area = area.clamped();
        let (x0, x1) = span(area.x0, area.x1, image.width);
        let (y0, y1) = span(area.y0, area.y1, image.height);
        Self { x0, y0, x1, y1 }
    }

    pub(super) fn columns(self) -> Range<usize> {
        self.x0..self.x1
    }

    pub(super) fn width(self) -> usize {
        self.x1 - self.x0
    }

    pub(super) fn height(self) -> usize {
        self.y1 - self.y0
    }
}

/// From the pixel in which `from` lies to the one in which `to` lies; nothing for nonsense.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "shares of 0..=1 of a picture's side; casts saturate and NaN becomes 0"
)]
fn span(from: f32, to: f32, side: usize) -> (usize, usize) {
    let start = ((from * side as f32).floor() as usize).min(side);
    let end = ((to * side as f32).ceil() as usize).min(side);
    (start, end.max(start))
}

/// The part of `image` that shows `area` with a margin: the same planes, nothing copied and
/// nothing scaled. It lies wholly within the picture and begins at an even pixel, as 4:2:0 needs.
pub(super) fn close_up(image: &Image, area: Area) -> Image {
    let part = Part::of(image, area.grown(CLOSE_MARGIN));
    let (x, width) = widened(part.x0, part.x1, image.width);
    let (y, height) = widened(part.y0, part.y1, image.height);
    let moved = |plane: Plane, x: usize, y: usize| Plane {
        offset: plane.offset + y * plane.stride + x,
        ..plane
    };
    let [luma, second, third] = image.planes;
    let chroma_x = match image.format {
        PixelFormat::I420 => x / 2,
        PixelFormat::Nv12 => x,
    };
    Image {
        width,
        height,
        planes: [
            moved(luma, x, y),
            moved(second, chroma_x, y / 2),
            moved(third, chroma_x, y / 2),
        ],
        ..image.clone()
    }
}

/// Start and length of `from..to` made even and at least [`CLOSE_SIDE_MIN`] long, within `side`.
fn widened(from: usize, to: usize, side: usize) -> (usize, usize) {
    let length = (to - from).max(CLOSE_SIDE_MIN).next_multiple_of(2);
    if length >= side {
        return (0, side);
    }
    let middle = usize::midpoint(from, to);
    let start = middle.saturating_sub(length / 2).min(side - length);
    (start & !1, length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image(width: usize, height: usize, format: PixelFormat) -> Image {
        // Luma tells its column and row, modulo 251 each way.
        let mut data: Vec<u8> = (0..width * height)
            .map(|i| u8::try_from((i % width + 7 * (i / width)) % 251).expect("below 251"))
            .collect();
        data.resize(width * height * 3 / 2, 128);
        Image::packed(format, width, height, data)
    }

    fn area(x0: f32, y0: f32, x1: f32, y1: f32) -> Area {
        Area { x0, y0, x1, y1 }
    }

    #[test]
    fn a_close_up_shows_the_subject_with_a_margin() {
        let whole = image(1920, 1080, PixelFormat::I420);
        for (subject, wanted) in [
            // 192 × 216 pixels; a margin of 30 % makes 307 × 346.
            (area(0.5, 0.4, 0.6, 0.6), (308, 346)),
            // In the corner the margin ends at the picture.
            (area(0.9, 0.8, 1.0, 1.0), (250, 282)),
            // A small subject is shown with its surroundings.
            (area(0.2, 0.2, 0.21, 0.22), (240, 240)),
            // A large one is shown whole.
            (area(0.0, 0.0, 1.0, 1.0), (1920, 1080)),
        ] {
            let close = close_up(&whole, subject);
            assert_eq!((close.width, close.height), wanted, "{subject:?}");
        }
    }

    #[test]
    fn what_a_close_up_shows_is_in_the_picture() {
        let whole = image(640, 480, PixelFormat::Nv12);
        let close = close_up(&whole, area(0.5, 0.5, 0.6, 0.6));
        let first = close.planes[0].offset;
        let (x, y) = (first % 640, first / 640);
        for row in 0..close.height {
            let seen = close.row(0, row, close.width).expect("inside");
            let there = whole.row(0, y + row, 640).expect("inside");
            assert_eq!(seen, &there[x..x + close.width]);
        }
        assert!(x <= 320 && y <= 240 && x + close.width >= 384 && y + close.height >= 288);
    }

    proptest! {
        #[test]
        fn any_area_gives_a_close_up_within_the_picture(
            half in (1usize..400, 1usize..300),
            (x0, y0, x1, y1) in (-0.5f32..1.5, -0.5f32..1.5, -0.5f32..1.5, -0.5f32..1.5),
            nv12: bool,
        ) {
            let format = if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 };
            let (width, height) = (half.0 * 2, half.1 * 2);
            let close = close_up(&image(width, height, format), area(x0, y0, x1, y1));
            prop_assert!(close.width >= 2 && close.width <= width && close.width.is_multiple_of(2));
            prop_assert!(close.height >= 2 && close.height <= height && close.height.is_multiple_of(2));
            prop_assert!(close.row(0, close.height - 1, close.width).is_some());
            let chroma = if nv12 { close.width } else { close.width / 2 };
            prop_assert!(close.row(1, close.height / 2 - 1, chroma).is_some());
            if !nv12 {
                prop_assert!(close.row(2, close.height / 2 - 1, chroma).is_some());
            }
        }
    }
}
