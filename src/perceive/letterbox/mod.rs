//! Planar YUV to a model's input tensor in one pass.
//!
//! The picture is scaled to fit the canvas with its proportions kept; scaling, conversion to RGB
//! and normalisation happen row by row, so that nothing larger than a few rows is ever written
//! besides the tensor itself.
//!
//! **Scaling.** Two taps per axis. Below a shrink of two they are neighbours, weighted by the
//! distance (bilinear). From two on they lie half an output pixel apart and weigh the same: a
//! two-tap box, whose response is zero at the new sampling frequency, where bilinear aliases
//! most, at the same price. Rows are blended first (contiguous, so it vectorises), then columns.
//! Chroma is sited as H.264 and H.265 have it by default: left, and half-way between two rows
//! (ITU-T H.264 (08/2021) Annex E, `chroma_sample_loc_type` 0).
//!
//! **Colour.** By the range and matrix the picture brings along.
//!
//! **Invariants.** Only `Fit`'s part of the tensor is written per frame; the bars around it are
//! filled when the picture's place on the canvas changes.
//!
//! **Not here.** No decoding, no cropping to regions, no rotation.

mod axis;
mod colour;

use crate::types::{Area, Colours, Image, PixelFormat};

use super::card::{Align, Colour, Input};
use super::error::ModelError;
use axis::{Axis, Plane, Siting, blend};
use colour::{Conversion, convert, normalisation};

/// Kinds of pictures remembered: as many as one box has kinds of cameras.
const PLANS_MAX: usize = 8;
/// Larger pictures than this on a side are refused: no camera makes them.
const SIDE_MAX: usize = 16_384;

/// Where the picture lies on the model's canvas, in canvas pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Left edge.
    pub x: usize,
    /// Top edge.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Fit {
    /// Fits a picture of `source` (width, height) onto the canvas of `input`.
    pub fn new(source: (usize, usize), input: &Input) -> Self {
        let (sw, sh) = (source.0.max(1), source.1.max(1));
        let (cw, ch) = (input.width, input.height);
        // Rounded to the nearest pixel; the proportions are off by less than half a pixel.
        let rounded = |a: usize, b: usize, c: usize| (2 * a * b + c) / (2 * c);
        let (width, height) = if sw * ch >= sh * cw {
            (cw, rounded(sh, cw, sw).clamp(1, ch))
        } else {
            (rounded(sw, ch, sh).clamp(1, cw), ch)
        };
        let (x, y) = match input.align {
            Align::TopLeft => (0, 0),
            Align::Centre => ((cw - width) / 2, (ch - height) / 2),
        };
        Self {
            x,
            y,
            width,
            height,
        }
    }

    /// Takes a box in canvas pixels (left, top, right, bottom) back to the picture, cut to it.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a canvas side is far below 2^24"
    )]
    pub fn to_picture(self, edges: [f32; 4]) -> Area {
        let (w, h) = (self.width as f32, self.height as f32);
        let (x, y) = (self.x as f32, self.y as f32);
        Area {
            x0: (edges[0] - x) / w,
            y0: (edges[1] - y) / h,
            x1: (edges[2] - x) / w,
            y1: (edges[3] - y) / h,
        }
        .clamped()
    }
}

/// Draws frames onto one model's input tensor.
///
/// The bars beside the picture are filled when the picture's place changes, not per frame: hand
/// in the same tensor every time and let nobody else write to it.
#[derive(Debug)]
pub struct Letterbox {
    input: Input,
    /// One plan per kind of picture, the latest last.
    plans: Vec<Plan>,
    /// What the bars are filled around.
    drawn: Option<Fit>,
}

impl Letterbox {
    /// A letterbox for the canvas `input`.
    pub fn new(input: Input) -> Self {
        Self {
            input,
            plans: Vec::new(),
            drawn: None,
        }
    }

    /// Draws `image` onto `tensor`: float32, channel planes of `height` rows of `width`.
    ///
    /// Returns where the picture came to lie. A frame without pixels, or whose planes lie
    /// outside its buffer, is refused; the tensor's contents are then undefined until the next
    /// good frame.
    ///
    /// # Panics
    /// When `tensor` is not `3 * width * height` long.
    pub fn draw(&mut self, image: &Image, tensor: &mut [f32]) -> Result<Fit, ModelError> {
        assert_eq!(
            tensor.len(),
            3 * self.input.width * self.input.height,
            "invariant: the tensor has the canvas' size"
        );
        check_size(image)?;
        let known = self.plans.iter().position(|plan| plan.suits(image));
        let at = known.unwrap_or_else(|| {
            if self.plans.len() == PLANS_MAX {
                self.plans.remove(0);
            }
            self.plans.push(Plan::new(image, &self.input));
            self.plans.len() - 1
        });
        let plan = &mut self.plans[at];
        if self.drawn != Some(plan.fit) {
            plan.fill_bars(&self.input, tensor);
            self.drawn = Some(plan.fit);
        }
        plan.draw(image, &self.input, tensor)
            .ok_or(ModelError::Frame {
                width: image.width,
                height: image.height,
                problem: "its planes lie outside its buffer",
            })?;
        Ok(plan.fit)
    }
}

/// Refuses pictures that nothing can be computed from.
fn check_size(image: &Image) -> Result<(), ModelError> {
    let problem = if image.width < 2 || image.height < 2 {
        "it has no pixels"
    } else if image.width > SIDE_MAX || image.height > SIDE_MAX {
        "no camera makes pictures of this size"
    } else {
        return Ok(());
    };
    Err(ModelError::Frame {
        width: image.width,
        height: image.height,
        problem,
    })
}

/// Everything that depends on sizes and colours only, and the rows in work.
#[derive(Debug)]
struct Plan {
    source: (usize, usize),
    colours: Colours,
    fit: Fit,
    luma: Plane,
    blue: Plane,
    red: Plane,
    /// One blended row of interleaved chroma, its last sample repeated like in [`Plane::row`].
    both: Vec<[u8; 2]>,
    colour: Conversion,
}

impl Plan {
    fn new(image: &Image, input: &Input) -> Self {
        let source = (image.width, image.height);
        let fit = Fit::new(source, input);
        let chroma = (source.0.div_ceil(2), source.1.div_ceil(2));
        let across = Axis::new(source.0, fit.width, Siting::Luma);
        let down = Axis::new(source.1, fit.height, Siting::Luma);
        let across_chroma = Axis::new(source.0, fit.width, Siting::ChromaAcross);
        let down_chroma = Axis::new(source.1, fit.height, Siting::ChromaDown);
        Self {
            source,
            colours: image.colours,
            fit,
            both: vec![[0; 2]; chroma.0 + across_chroma.apart],
            luma: Plane::new(source.0, across, down),
            blue: Plane::new(chroma.0, across_chroma.clone(), down_chroma.clone()),
            red: Plane::new(chroma.0, across_chroma, down_chroma),
            colour: Conversion::new(image.colours, input),
        }
    }

    /// Whether it was made for pictures like this one.
    fn suits(&self, image: &Image) -> bool {
        (self.source, self.colours) == ((image.width, image.height), image.colours)
    }

    /// Fills the whole canvas with the padding; the picture is drawn over it.
    fn fill_bars(&self, input: &Input, tensor: &mut [f32]) {
        let canvas = input.width * input.height;
        if self.fit.width * self.fit.height == canvas {
            return;
        }
        for (plane, (scale, offset)) in tensor.chunks_exact_mut(canvas).zip(normalisation(input)) {
            plane.fill(f32::from(input.pad) * scale + offset);
        }
    }

    /// Draws all rows; `None` when a row of the picture lies outside its buffer.
    fn draw(&mut self, image: &Image, input: &Input, tensor: &mut [f32]) -> Option<()> {
        let canvas = input.width * input.height;
        let (first, rest) = tensor.split_at_mut(canvas);
        let (green, last) = rest.split_at_mut(canvas);
        let (red, blue) = match input.colour {
            Colour::Rgb => (first, last),
            Colour::Bgr => (last, first),
        };
        for y in 0..self.fit.height {
            self.luma.blend(image, 0, y)?;
            self.luma.pick();
            match image.format {
                PixelFormat::I420 => {
                    self.blue.blend(image, 1, y)?;
                    self.red.blend(image, 2, y)?;
                    self.blue.pick();
                    self.red.pick();
                }
                PixelFormat::Nv12 => self.pick_interleaved(image, y)?,
            }
            let start = (self.fit.y + y) * input.width + self.fit.x;
            let row = start..start + self.fit.width;
            let planes = [&self.luma, &self.blue, &self.red];
            convert(
                planes.map(|plane| (&*plane.picked, &*plane.across.weight)),
                &self.colour,
                red.get_mut(row.clone())?,
                green.get_mut(row.clone())?,
                blue.get_mut(row)?,
            );
        }
        Some(())
    }

    /// Blends the two rows of interleaved chroma for output row `y` and fetches what is wanted.
    fn pick_interleaved(&mut self, image: &Image, y: usize) -> Option<()> {
        let Axis {
            size, apart, first, ..
        } = &self.blue.across;
        let (upper, lower, weight) = self.blue.down.taps(y)?;
        let (a, b) = (
            image.row(1, upper, 2 * size)?,
            image.row(1, lower, 2 * size)?,
        );
        let (row, tail) = self.both.split_at_mut(*size);
        blend(a, b, weight, row.as_flattened_mut());
        if let Some(last) = row.last() {
            tail.fill(*last);
        }
        // Parting the whole row first would cost more: there is no byte shuffle in SSE2.
        let picked = self.blue.picked.iter_mut().zip(&mut self.red.picked);
        for ((u, v), first) in picked.zip(first) {
            let first = *first as usize;
            let (a, b) = (self.both[first], self.both[first + apart]);
            *u = u16::from_le_bytes([a[0], b[0]]);
            *v = u16::from_le_bytes([a[1], b[1]]);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
