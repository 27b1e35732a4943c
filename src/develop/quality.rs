//! How good a picture is, measured round the subject on the luma the camera sent.
//!
//! Sharpness is the mean squared second difference of the luma over its mean squared first
//! difference: the numerator is the energy of the Laplacian, the denominator the Tenengrad
//! (operators LAP1 and GRA6 in Pertuz, Puig, Garcia: *Analysis of focus measure operators for
//! shape-from-focus*, Pattern Recognition 46, 2013). Either alone grows with contrast and with
//! the subject; the quotient is a mean squared spatial frequency and tells only how fine the
//! finest detail is. It is taken along rows and along columns, and the lower one counts: a
//! picture blurred by motion is sharp in one direction. Decision 0013 has what was measured.

use super::part::Part;
use crate::types::{Area, Image, Quality};

/// The margin looked at round the subject, share of its size.
const MARGIN: f32 = 0.1;
/// Luma this near to black or white tells nothing any more.
const CLIPPED_WITHIN: u8 = 2;

/// Measures `image` round `subject`; `None` where that is less than three pixels either way.
pub fn measure(image: &Image, subject: Area) -> Option<Quality> {
    let part = Part::of(image, subject.clamped().grown(MARGIN));
    let mut sums = Sums {
        levels: image.colours.range.luma(),
        ..Sums::default()
    };
    let rows = |y| image.row(0, y, image.width)?.get(part.columns());
    for y in part.y0 + 1..part.y1.saturating_sub(1) {
        sums.row([rows(y - 1)?, rows(y)?, rows(y + 1)?]);
    }
    let subject = Part::of(image, subject.clamped());
    let side = subject.width().min(subject.height());
    sums.quality(u32::try_from(side).unwrap_or(u32::MAX))
}

/// Sums over the inner pixels of a part.
#[derive(Default)]
struct Sums {
    pixels: u64,
    luma: u64,
    clipped: u64,
    /// Squared first differences (over two pixels) along rows and along columns.
    first: [u64; 2],
    /// Squared second differences.
    second: [u64; 2],
    /// Luma of black and white.
    levels: (u8, u8),
}

impl Sums {
    fn row(&mut self, [above, here, below]: [&[u8]; 3]) {
        let (black, white) = self.levels;
        for ((three, &up), &down) in here
            .windows(3)
            .zip(above.iter().skip(1))
            .zip(below.iter().skip(1))
        {
            let &[left, middle, right] = three else {
                continue;
            };
            self.pixels += 1;
            self.luma += u64::from(middle);
            let dark = middle <= black + CLIPPED_WITHIN;
            let bright = middle >= white - CLIPPED_WITHIN;
            self.clipped += u64::from(dark || bright);
            for (i, (a, b)) in [(left, right), (up, down)].into_iter().enumerate() {
                let (a, b, c) = (i32::from(a), i32::from(b), i32::from(middle));
                let (first, second) = ((b - a).unsigned_abs(), (a + b - 2 * c).unsigned_abs());
                self.first[i] += u64::from(first * first);
                self.second[i] += u64::from(second * second);
            }
        }
    }

    fn quality(&self, subject_px: u32) -> Option<Quality> {
        if self.pixels == 0 {
            return None;
        }
        // A first difference over two pixels is twice the slope: four times when squared.
        let focus = |i: usize| {
            (self.second[i] * 4000)
                .checked_div(self.first[i])
                .unwrap_or(0)
        };
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let (black, white) = self.levels;
        let mean = (self.luma / self.pixels).saturating_sub(u64::from(black));
        Some(Quality {
            focus: small(focus(0).min(focus(1))),
            exposure: small((mean * 255 / u64::from(white - black)).min(255)),
            clipped_permille: small(self.clipped * 1000 / self.pixels),
            subject_px,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{grey, texture};
    use super::*;
    use crate::types::{Colours, Matrix, Range};

    const MIDDLE: Area = Area {
        x0: 0.25,
        y0: 0.25,
        x1: 0.75,
        y1: 0.75,
    };

    fn focus(luma: impl Fn(usize, usize) -> f32) -> u32 {
        measure(&grey(320, 240, luma), MIDDLE)
            .expect("measured")
            .focus
    }

    /// Blurred along rows, or also along columns, with weights that fall evenly to nothing at
    /// `reach` pixels.
    fn blurred(reach: usize, columns: bool) -> impl Fn(usize, usize) -> f32 {
        let weights = move |wide: bool| {
            let reach = if wide { reach } else { 1 };
            (1..2 * reach).map(move |i| (i.wrapping_sub(reach), reach - i.abs_diff(reach)))
        };
        move |x, y| {
            let (mut sum, mut total) = (0.0, 0.0);
            for (dx, a) in weights(true) {
                for (dy, b) in weights(columns) {
                    let weight = u16::try_from(a * b).map_or(0.0, f32::from);
                    sum += weight * texture(x.wrapping_add(dx), y.wrapping_add(dy));
                    total += weight;
                }
            }
            sum / total
        }
    }

    #[test]
    fn what_is_blurred_in_one_direction_is_not_sharp() {
        let sharp = focus(texture);
        let (slightly, out_of_focus, moving) = (
            focus(blurred(2, true)),
            focus(blurred(6, true)),
            focus(blurred(6, false)),
        );
        assert!(sharp > 2 * slightly, "{sharp} {slightly}");
        assert!(slightly > 2 * out_of_focus, "{slightly} {out_of_focus}");
        assert!(moving * 4 < sharp, "{moving} {sharp}");
    }

    #[test]
    fn sharpness_does_not_depend_on_light_and_contrast() {
        let base = focus(texture);
        for (gain, offset) in [(0.5, 60.0), (0.7, 16.0), (0.8, 40.0)] {
            let seen = focus(|x, y| texture(x, y) * gain + offset);
            assert!(
                seen.abs_diff(base) * 20 < base,
                "{gain} {offset}: {seen} {base}"
            );
        }
    }

    #[test]
    fn exposure_is_told_of_the_subject_and_its_margin() {
        for (inside, exposure, clipped) in [(16.0, 0, 1000), (126.0, 128, 0), (235.0, 255, 1000)] {
            let image = grey(320, 240, |x, y| {
                let subject = (60..260).contains(&x) && (44..196).contains(&y);
                if subject { inside } else { 77.0 }
            });
            let seen = measure(&image, MIDDLE).expect("measured");
            assert_eq!((seen.exposure, seen.clipped_permille), (exposure, clipped));
            assert_eq!((seen.focus, seen.subject_px), (0, 120), "no detail at all");
        }
    }

    #[test]
    fn the_range_of_the_samples_is_taken_into_account() {
        let image = |range| Image {
            colours: Colours {
                range,
                matrix: Matrix::Bt709,
            },
            ..grey(320, 240, |_, _| 235.0)
        };
        for (range, exposure, clipped) in [(Range::Limited, 255, 1000), (Range::Full, 235, 0)] {
            let seen = measure(&image(range), MIDDLE).expect("measured");
            let seen = (seen.exposure, seen.clipped_permille);
            assert_eq!(seen, (exposure, clipped), "{range:?}");
        }
    }

    #[test]
    fn a_subject_of_no_size_has_no_quality() {
        let image = grey(320, 240, texture);
        let nowhere = |x, y| Area {
            x0: x,
            y0: y,
            x1: x,
            y1: y,
        };
        for area in [nowhere(0.5, 0.5), nowhere(1.0, 1.0), nowhere(f32::NAN, 0.1)] {
            assert_eq!(measure(&image, area), None, "{area:?}");
        }
        let short = Image {
            height: 1000,
            ..image
        };
        assert_eq!(measure(&short, MIDDLE), None, "rows outside the buffer");
    }
}
