//! Lines, boxes and letters on a sheet.
//!
//! A shape is first laid into a mask as coverage, then inked once: overlapping parts of one
//! shape do not add up, and chroma gets the mean coverage of its four pixels.

use std::ops::Range;

use ab_glyph::{Font as _, FontVec, PxScale, ScaleFont as _, point};

use super::planes::Sheet;

/// A colour in full-range BT.601.
#[derive(Clone, Copy)]
pub(super) struct Ink {
    y: u8,
    u: u8,
    v: u8,
}

impl Ink {
    /// For the box round a subject: amber, told from red and green by everyone.
    pub(super) const SUBJECT: Self = Self {
        y: 190,
        u: 21,
        v: 174,
    };
    /// For the outline of a zone: sky blue.
    pub(super) const ZONE: Self = Self {
        y: 162,
        u: 181,
        v: 42,
    };
    /// Under coloured lines and for letters on colour.
    pub(super) const BLACK: Self = Self {
        y: 8,
        u: 128,
        v: 128,
    };
    /// For letters on the caption band, and for what was seen beside the subject.
    pub(super) const WHITE: Self = Self {
        y: 240,
        u: 128,
        v: 128,
    };
}

/// A rectangle of the sheet in pixels, lower and right edge excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x0: f32,
    pub(super) y0: f32,
    pub(super) x1: f32,
    pub(super) y1: f32,
}

impl Rect {
    /// Whether the two share a pixel.
    pub(super) fn meets(self, other: Self) -> bool {
        self.x0 < other.x1 && other.x0 < self.x1 && self.y0 < other.y1 && other.y0 < self.y1
    }
}

/// Coverage of one shape, one byte per pixel of the area that may be drawn on.
#[derive(Default)]
pub(super) struct Mask {
    width: usize,
    height: usize,
    cover: Vec<u8>,
    /// Columns and rows touched since the last inking; ends excluded.
    dirty: [usize; 4],
}

impl Mask {
    /// An empty mask over the top-left `width` × `height` pixels of a sheet; what lies outside
    /// is not drawn.
    pub(super) fn reset(&mut self, width: usize, height: usize) {
        self.width = width;
        self.height = height;
        // Taken anew, so that pages nothing is drawn on stay the kernel's.
        self.cover = vec![0; width * height];
        self.dirty = [width, height, 0, 0];
    }

    fn touch(&mut self, x: usize, y: usize, coverage: f32) {
        if x >= self.width || y >= self.height || coverage <= 0.0 {
            return;
        }
        let cover = &mut self.cover[y * self.width + x];
        *cover = (*cover).max(byte(coverage * 255.0));
        let [x0, y0, x1, y1] = self.dirty;
        self.dirty = [x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1)];
    }

    /// A filled rectangle.
    pub(super) fn fill(&mut self, rect: Rect) {
        for y in pixel(rect.y0)..pixel(rect.y1).min(self.height) {
            for x in pixel(rect.x0)..pixel(rect.x1).min(self.width) {
                self.touch(x, y, 1.0);
            }
        }
    }

    /// The closed outline of a polygon, `thick` pixels.
    pub(super) fn outline(&mut self, corners: &[(f32, f32)], thick: f32) {
        let next = corners.iter().cycle().skip(1);
        for (&a, &b) in corners.iter().zip(next) {
            self.segment(a, b, thick / 2.0);
        }
    }

    /// Every pixel nearer than `radius` to the line from `a` to `b`.
    fn segment(&mut self, a: (f32, f32), b: (f32, f32), radius: f32) {
        let reach = radius + 1.0;
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length2 = (dx * dx + dy * dy).max(f32::EPSILON);
        let rows = pixel(a.1.min(b.1) - reach)..pixel(a.1.max(b.1) + reach + 1.0);
        for row in rows.start..rows.end.min(self.height) {
            let middle = real(row) + 0.5;
            let (left, right) = span(a, b, middle, reach);
            for column in pixel(left)..pixel(right + 1.0).min(self.width) {
                let (px, py) = (real(column) + 0.5 - a.0, middle - a.1);
                let along = ((px * dx + py * dy) / length2).clamp(0.0, 1.0);
                let off = (px - along * dx).hypot(py - along * dy);
                self.touch(column, row, (radius + 0.5 - off).clamp(0.0, 1.0));
            }
        }
    }

    /// One line of text, `top` and `left` in pixels; returns where it ends.
    pub(super) fn text(&mut self, face: &FontVec, text: &str, at: (f32, f32), px: f32) -> f32 {
        let scale = PxScale::from(px);
        let scaled = face.as_scaled(scale);
        let (mut x, baseline) = (at.0, at.1 + scaled.ascent());
        for c in text.chars() {
            let id = scaled.glyph_id(c);
            let glyph = id.with_scale_and_position(scale, point(x, baseline));
            if let Some(outline) = face.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                let (left, top) = (bounds.min.x, bounds.min.y);
                outline.draw(|gx, gy, coverage| {
                    if let (Some(x), Some(y)) = (shifted(left, gx), shifted(top, gy)) {
                        self.touch(x, y, coverage);
                    }
                });
            }
            x += scaled.h_advance(id);
        }
        x
    }
}

/// The columns in which a line from `a` to `b` can come within `reach` of a row's `middle`.
fn span(a: (f32, f32), b: (f32, f32), middle: f32, reach: f32) -> (f32, f32) {
    let (low, high) = if a.1 <= b.1 { (a, b) } else { (b, a) };
    let height = high.1 - low.1;
    let along = |y: f32| {
        if height < 1.0 {
            return None;
        }
        Some(low.0 + (high.0 - low.0) * ((y - low.1) / height).clamp(0.0, 1.0))
    };
    let (from, to) = along(middle - reach)
        .zip(along(middle + reach))
        .unwrap_or((low.0, high.0));
    (from.min(to) - reach, from.max(to) + reach)
}

/// Pixels looked at together: where none is covered, nothing is done.
const STRIP: usize = 32;

impl Sheet {
    /// Lays `ink` where `mask` is covered, and empties the mask.
    pub(super) fn ink(&mut self, mask: &mut Mask, ink: Ink) {
        let [x0, y0, x1, y1] = mask.dirty;
        for row in (y0 / 2 * 2..y1).step_by(2) {
            for left in (x0 / STRIP * STRIP..x1).step_by(STRIP) {
                let right = (left + STRIP).min(mask.width);
                let rows = row..(row + 2).min(mask.height);
                if rows.clone().any(|y| mask.is_covered(y, left, right)) {
                    self.ink_chroma(mask, ink, row, left..right);
                    rows.for_each(|y| self.ink_luma(mask, ink, y, left..right));
                }
            }
        }
        mask.dirty = [mask.width, mask.height, 0, 0];
    }

    fn ink_luma(&mut self, mask: &mut Mask, ink: Ink, y: usize, columns: Range<usize>) {
        let covers = &mut mask.cover[y * mask.width..][columns.clone()];
        let lumas = &mut self.y[y * self.width..][columns];
        for (luma, cover) in lumas.iter_mut().zip(covers) {
            *luma = blend(*luma, ink.y, u32::from(*cover) * 4);
            *cover = 0;
        }
    }

    fn ink_chroma(&mut self, mask: &Mask, ink: Ink, y: usize, columns: Range<usize>) {
        let row = y / 2 * self.chroma_width();
        for x in columns.start / 2..columns.end.div_ceil(2) {
            let cover = mask.four(x * 2, y);
            self.u[row + x] = blend(self.u[row + x], ink.u, cover);
            self.v[row + x] = blend(self.v[row + x], ink.v, cover);
        }
    }
}

impl Mask {
    fn is_covered(&self, y: usize, left: usize, right: usize) -> bool {
        let covers = &self.cover[y * self.width..][left..right];
        covers.iter().fold(0, |any, c| any | c) != 0
    }

    /// Sum of the coverage of the four pixels that share a chroma sample.
    fn four(&self, x: usize, y: usize) -> u32 {
        let at = |x: usize, y: usize| {
            // At an odd edge the last column or row counts twice.
            let (x, y) = (x.min(self.width - 1), y.min(self.height - 1));
            u32::from(self.cover[y * self.width + x])
        };
        at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)
    }
}

/// `from` moved towards `to` by `cover` of 4 × 255.
fn blend(from: u8, to: u8, cover: u32) -> u8 {
    const FULL: u32 = 4 * 255;
    let cover = cover.min(FULL);
    ((u32::from(from) * (FULL - cover) + u32::from(to) * cover + FULL / 2) / FULL).min(255) as u8
}

/// A pixel count as a coordinate; exact, for sides are below 65 500.
pub(super) fn real(n: usize) -> f32 {
    f32::from(u16::try_from(n).unwrap_or(u16::MAX))
}

/// The pixel a coordinate lies in; what is left of or above the sheet falls on its edge.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to integer casts saturate and NaN becomes 0; a pixel of the edge is meant"
)]
pub(super) fn pixel(coordinate: f32) -> usize {
    coordinate.min(65_535.0) as usize
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to integer casts saturate"
)]
fn byte(value: f32) -> u8 {
    value.round() as u8
}

/// A glyph's pixel on the sheet; `None` left of or above it.
fn shifted(origin: f32, offset: u32) -> Option<usize> {
    let at = origin + real(usize::try_from(offset).ok()?);
    (at >= 0.0).then(|| pixel(at))
}
