//! The sheet a picture is developed on: full-range BT.601 planes, as JFIF wants them.
//!
//! A camera's samples are limited range (luma 16–235) or full range, and HD cameras mix colours
//! by BT.709; JFIF (ITU-T T.871 section 7) knows only full-range BT.601. Samples copied unchanged
//! look washed out or slightly wrong in every viewer, so each is mapped once, in integers, on its
//! way from the decoder's buffer to the sheet. Decision 0003 argues it.
//!
//! What works on a whole row is compiled twice for x86: for every such processor and for those with
//! AVX2, where it takes half the time (`multiversion` asks the processor once). The sums are the same.

use multiversion::multiversion;

use super::DevelopError;
use crate::types::{Colours, Image, PixelFormat, Range};

/// Largest side of a JPEG (libjpeg's `JPEG_MAX_DIMENSION`).
pub(super) const SIDE_MAX: usize = 65_500;

/// Luma of what no camera drew: margin and caption band.
pub(super) const PAPER: u8 = 24;

/// Chroma without colour.
const NEUTRAL: u8 = 128;

/// Bits after the point in a luma sum.
const LUMA_BITS: u32 = 7;
/// Keeps a luma sum positive while the chroma share is negative.
const LUMA_BIAS: i16 = 64 << LUMA_BITS;
/// Half a step, for rounding.
const LUMA_HALF: i16 = 1 << (LUMA_BITS - 1);
/// Bits after the point in a chroma sum.
const CHROMA_BITS: u32 = 5;

/// How a camera's samples become full-range BT.601 ones. A test computes every sample anew in
/// floating point.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    /// Luma of black.
    black: u8,
    /// Steps of the new luma per step of the old, with [`LUMA_BITS`] after the point.
    gain: u16,
    /// Share of Cb and Cr in luma, × 2¹⁶.
    luma: [i16; 2],
    /// Share of Cb and Cr in the new Cb, × 2¹⁴.
    cb: [i16; 2],
    /// Share of Cb and Cr in the new Cr, × 2¹⁴.
    cr: [i16; 2],
}

impl Mapping {
    /// Red and blue are the luma with Cr and Cb taken back, green is the rest (BT.709-6 section 3
    /// solved for R, G and B); these three are mixed again by BT.601-7 section 2.5.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "every share is below 2, every product below 2¹⁵"
    )]
    fn of(colours: Colours) -> Self {
        let (black, luma_gain, chroma_gain) = match colours.range {
            Range::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
            Range::Full => (0, 1.0, 1.0),
        };
        let (kr, kb) = colours.matrix.weights();
        let kg = 1.0 - kr - kb;
        let (to_r, to_g, to_b) = (0.299, 0.587, 0.114);
        let (cr_in_r, cb_in_b) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb));
        // What a unit of Cb and of Cr adds to the new luma; nothing when the matrix is the same.
        let by_cb = to_b * cb_in_b - to_g * cb_in_b * kb / kg;
        let by_cr = to_r * cr_in_r - to_g * cr_in_r * kr / kg;
        let (per_cb, per_cr) = (2.0 * (1.0 - to_b), 2.0 * (1.0 - to_r));
        let fixed =
            |share: f64, bits: i32| (share * chroma_gain * 2.0_f64.powi(bits)).round() as i16;
        Self {
            black,
            gain: (luma_gain * f64::from(1 << LUMA_BITS)).round() as u16,
            luma: [by_cb, by_cr].map(|share| fixed(share, 16)),
            cb: [(cb_in_b - by_cb) / per_cb, -by_cr / per_cb].map(|share| fixed(share, 14)),
            cr: [-by_cb / per_cr, (cr_in_r - by_cr) / per_cr].map(|share| fixed(share, 14)),
        }
    }
}

/// Three planes, 4:2:0, full range; reused from picture to picture.
#[derive(Default)]
pub(super) struct Sheet {
    /// Pixels per row, margin included; even.
    pub(super) width: usize,
    /// Rows, caption band included; even.
    pub(super) height: usize,
    /// Luma, `width` bytes a row.
    pub(super) y: Vec<u8>,
    /// Cb, [`Sheet::chroma_width`] bytes a row.
    pub(super) u: Vec<u8>,
    /// Cr, likewise.
    pub(super) v: Vec<u8>,
    /// One chroma row at work.
    row: ChromaRow,
    /// What chroma adds to luma, once for each of the two columns it covers.
    shares: Vec<u16>,
}

/// Cb and Cr of one row, centred on 0 with seven bits after the point, and what is made of them.
#[derive(Default)]
struct ChromaRow {
    cb: Vec<i16>,
    cr: Vec<i16>,
    mixed: Vec<i16>,
}

impl Sheet {
    /// Bytes in a chroma row.
    pub(super) fn chroma_width(&self) -> usize {
        self.width / 2
    }

    /// Lays `image` at the top left of a sheet `width` pixels wide (at least the image's own
    /// width) and as high as the image.
    ///
    /// An odd last column or row is doubled: libjpeg reads whole pairs.
    pub(super) fn expose(&mut self, image: &Image, width: usize) -> Result<(), DevelopError> {
        check(image)?;
        self.width = width.max(image.width).next_multiple_of(2);
        self.height = 0;
        let rows = image.height.next_multiple_of(2);
        let chroma = self.chroma_width() * rows / 2;
        self.y.truncate(self.width * rows);
        self.u.truncate(chroma);
        self.v.truncate(chroma);
        self.extend(rows);
        let mapping = Mapping::of(image.colours);
        for row in 0..rows / 2 {
            self.chroma_row(image, row, &mapping)?;
            for y in [row * 2, row * 2 + 1] {
                let from = line(image, 0, y.min(image.height - 1), image.width)?;
                let (to, margin) = self.y[y * self.width..][..self.width].split_at_mut(image.width);
                luma_row(from, &self.shares, to, &mapping);
                margin.fill(PAPER);
                if let Some(odd) = margin.first_mut().filter(|_| image.width % 2 == 1) {
                    *odd = to[image.width - 1];
                }
            }
        }
        Ok(())
    }

    /// Adds empty rows at the bottom until the sheet is `height` high.
    pub(super) fn extend(&mut self, height: usize) {
        self.height = height.next_multiple_of(2).max(self.height);
        let chroma = self.chroma_width() * self.height / 2;
        self.y.resize(self.width * self.height, PAPER);
        self.u.resize(chroma, NEUTRAL);
        self.v.resize(chroma, NEUTRAL);
    }

    /// Maps chroma row `row` and works out its share in luma.
    fn chroma_row(
        &mut self,
        image: &Image,
        row: usize,
        mapping: &Mapping,
    ) -> Result<(), DevelopError> {
        let width = image.width.div_ceil(2);
        let row_of_sheet = row * self.chroma_width()..(row + 1) * self.chroma_width();
        let (u, u_margin) = self.u[row_of_sheet.clone()].split_at_mut(width);
        let (v, v_margin) = self.v[row_of_sheet].split_at_mut(width);
        u_margin.fill(NEUTRAL);
        v_margin.fill(NEUTRAL);
        let ChromaRow { cb, cr, mixed } = &mut self.row;
        for samples in [&mut *cb, &mut *cr, &mut *mixed] {
            samples.resize(width, 0);
        }
        match image.format {
            PixelFormat::I420 => {
                widen(line(image, 1, row, width)?, cb);
                widen(line(image, 2, row, width)?, cr);
            }
            PixelFormat::Nv12 => {
                let (pairs, _) = line(image, 1, row, width * 2)?.as_chunks::<2>();
                widen_pairs(pairs, cb, cr);
            }
        }
        mix(cb, cr, mapping.luma, mixed);
        self.shares.resize(width * 2, 0);
        double(mixed, &mut self.shares);
        mix(cb, cr, mapping.cb, mixed);
        narrow(mixed, u);
        mix(cb, cr, mapping.cr, mixed);
        narrow(mixed, v);
        Ok(())
    }
}

fn check(image: &Image) -> Result<(), DevelopError> {
    let fits = |n: usize| (1..=SIDE_MAX).contains(&n);
    if fits(image.width) && fits(image.height) {
        Ok(())
    } else {
        Err(DevelopError::Picture(format!(
            "{} x {} pixels; a JPEG holds 1 to {SIDE_MAX} each way",
            image.width, image.height
        )))
    }
}

fn line(image: &Image, plane: usize, row: usize, len: usize) -> Result<&[u8], DevelopError> {
    image.row(plane, row, len).ok_or_else(|| {
        DevelopError::Picture(format!(
            "row {row} of plane {plane} lies outside the decoder's buffer"
        ))
    })
}

/// Stretches luma to 0–255 and adds the share of chroma.
///
/// Unsigned 16-bit sums without branches: the compiler makes vector code of it.
#[multiversion(targets("x86_64+avx2"))]
fn luma_row(from: &[u8], shares: &[u16], to: &mut [u8], mapping: &Mapping) {
    const BIAS: u16 = LUMA_BIAS.unsigned_abs() >> LUMA_BITS;
    let (black, gain) = (mapping.black, mapping.gain);
    for ((to, &y), &share) in to.iter_mut().zip(from).zip(shares) {
        let sum = u16::from(y.saturating_sub(black)) * gain + share;
        *to = (sum >> LUMA_BITS).saturating_sub(BIAS).min(255) as u8;
    }
}

/// Centres samples on 0, with seven bits after the point.
///
/// This, [`mix`] and [`narrow`] each do one thing to a whole row: the compiler makes vector code
/// of each, and of one loop that did it all it makes none.
#[multiversion(targets("x86_64+avx2"))]
fn widen(samples: &[u8], to: &mut [i16]) {
    for (to, &sample) in to.iter_mut().zip(samples) {
        *to = (i16::from(sample) - 128) << 7;
    }
}

/// [`widen`] of Cb and Cr in turn: both as the upper byte of a 16-bit lane, which needs no shuffle.
#[multiversion(targets("x86_64+avx2"))]
fn widen_pairs(pairs: &[[u8; 2]], cb: &mut [i16], cr: &mut [i16]) {
    let upper = |lane: u16| (lane & 0xff00 ^ 0x8000).cast_signed() >> 1;
    for ((pair, cb), cr) in pairs.iter().zip(cb).zip(cr) {
        let lane = u16::from_le_bytes(*pair);
        (*cb, *cr) = (upper(lane << 8), upper(lane));
    }
}

/// The weighted sum of Cb and Cr. Products keep their upper 16 bits only: one multiplication per
/// 16-bit lane; inlined, the weights become 32-bit constants and the multiplications too.
#[inline(never)]
#[multiversion(targets("x86_64+avx2"))]
fn mix(cb: &[i16], cr: &[i16], weights: [i16; 2], to: &mut [i16]) {
    let upper = |a: i16, b: i16| ((i32::from(a) * i32::from(b)) >> 16) as i16;
    for ((to, &cb), &cr) in to.iter_mut().zip(cb).zip(cr) {
        *to = upper(cb, weights[0]) + upper(cr, weights[1]);
    }
}

/// The share of chroma in luma, once for each of the two columns it covers, biased and rounded.
#[multiversion(targets("x86_64+avx2"))]
fn double(mixed: &[i16], shares: &mut [u16]) {
    let (twos, _) = shares.as_chunks_mut::<2>();
    for (two, &share) in twos.iter_mut().zip(mixed) {
        // Within ±5600, so positive with the bias.
        *two = [(share + LUMA_BIAS + LUMA_HALF).unsigned_abs(); 2];
    }
}

/// From [`CHROMA_BITS`] after the point, centred on 0, to samples.
#[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255")]
#[multiversion(targets("x86_64+avx2"))]
fn narrow(mixed: &[i16], to: &mut [u8]) {
    // Truncation took up to two thirty-seconds away; one more than half gives the mean back.
    const HALF: i16 = (1 << (CHROMA_BITS - 1)) + 1;
    for (to, &sum) in to.iter_mut().zip(mixed) {
        *to = (((sum + HALF) >> CHROMA_BITS) + 128).clamp(0, 255) as u8;
    }
}
