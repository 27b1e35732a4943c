//! YUV to a model's normalised channels.

use multiversion::multiversion;

use super::super::card::{Colour, Input};
use super::axis::WEIGHT_ONE;
use crate::types::{Colours, Range};

/// YUV to normalised RGB, with the scales of blending and normalisation folded in.
#[derive(Debug)]
pub(super) struct Conversion {
    /// Luma of black.
    black: f32,
    /// Factor of (Y - black) for all three.
    luma: f32,
    /// Factor of (V - 128) for red.
    red_v: f32,
    /// Factors of (U - 128) and (V - 128) for green.
    green_u: f32,
    green_v: f32,
    /// Factor of (U - 128) for blue.
    blue_u: f32,
    /// Scale and offset of red, green and blue after clamping to 0..255.
    red: (f32, f32),
    green: (f32, f32),
    blue: (f32, f32),
}

impl Conversion {
    /// The conversion for samples of these colours: BT.709-6 section 3 solved for R, G and B with
    /// the matrix' own weights, scaled from its range to 0..255.
    #[expect(clippy::cast_possible_truncation, reason = "weights below 1")]
    pub(super) fn new(colours: Colours, input: &Input) -> Self {
        let (kr, kb) = colours.matrix.weights();
        let (kr, kb) = (kr as f32, kb as f32);
        let kg = 1.0 - kr - kb;
        let (black, luma, chroma) = match colours.range {
            Range::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
            Range::Full => (0.0, 1.0, 1.0),
        };
        let [first, green, last] = normalisation(input);
        let (red, blue) = match input.colour {
            Colour::Rgb => (first, last),
            Colour::Bgr => (last, first),
        };
        Self {
            black,
            luma,
            red_v: 2.0 * (1.0 - kr) * chroma,
            green_u: 2.0 * (1.0 - kb) * kb / kg * chroma,
            green_v: 2.0 * (1.0 - kr) * kr / kg * chroma,
            blue_u: 2.0 * (1.0 - kb) * chroma,
            red,
            green,
            blue,
        }
    }
}

/// Scale and offset per tensor plane: `x = pixel * scale + offset = (pixel - mean) / std`.
pub(super) fn normalisation(input: &Input) -> [(f32, f32); 3] {
    std::array::from_fn(|c| (1.0 / input.std[c], -input.mean[c] / input.std[c]))
}

/// Blends the columns of one row and writes its three channels.
///
/// `from`: of luma, Cb and Cr both samples of every output pixel, and the weights of the second. The three
/// outputs are separate parameters so that the compiler knows that they do not overlap.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn convert(
    from: [(&[u16], &[u16]); 3],
    by: &Conversion,
    red: &mut [f32],
    green: &mut [f32],
    blue: &mut [f32],
) {
    let n = red.len();
    let (green, blue) = (&mut green[..n], &mut blue[..n]);
    let [(ys, wy), (us, wc), (vs, _)] =
        from.map(|(samples, weights)| (&samples[..n], &weights[..n]));
    for i in 0..n {
        let y = (column(ys[i], wy[i]) - by.black) * by.luma;
        let u = column(us[i], wc[i]) - 128.0;
        let v = column(vs[i], wc[i]) - 128.0;
        red[i] = limited(y + by.red_v * v) * by.red.0 + by.red.1;
        green[i] = limited(y - by.green_u * u - by.green_v * v) * by.green.0 + by.green.1;
        blue[i] = limited(y + by.blue_u * u) * by.blue.0 + by.blue.1;
    }
}

/// Blends a pair of neighbouring samples, 0..255.
fn column(pair: u16, weight: u16) -> f32 {
    let sum = (pair & 0xff) * (WEIGHT_ONE - weight) + (pair >> 8) * weight;
    f32::from(sum) * (1.0 / 256.0)
}

/// Cuts to 0..255; written so that each line is one vector instruction.
fn limited(x: f32) -> f32 {
    let x = if x > 0.0 { x } else { 0.0 };
    if x < 255.0 { x } else { 255.0 }
}
