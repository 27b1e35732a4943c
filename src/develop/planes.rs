//! The sheet a picture is developed on: full-range BT.601 planes, as JFIF wants them.
//!
//! A camera's samples are limited range (luma 16–235), and HD cameras mix colours by BT.709;
//! JFIF (ITU-T T.871 section 7) knows only full-range BT.601. Samples copied unchanged look
//! washed out and slightly wrong in every viewer, so each is mapped once, in integers, on its
//! way from the decoder's buffer to the sheet. Decision 0003 argues it.

use super::DevelopError;
use crate::types::{Image, PixelFormat};

/// Largest side of a JPEG (libjpeg's `JPEG_MAX_DIMENSION`).
pub(super) const SIDE_MAX: usize = 65_500;

/// Luma of what no camera drew: margin and caption band.
pub(super) const PAPER: u8 = 24;

/// Chroma without colour.
const NEUTRAL: u8 = 128;

/// Bits after the point in a luma sum.
const LUMA_BITS: u32 = 7;
/// 255/219 with [`LUMA_BITS`] after the point.
const LUMA_GAIN: u16 = 149;
/// Keeps a luma sum positive while the chroma share is negative.
const LUMA_BIAS: i16 = 64 << LUMA_BITS;
/// Half a step, for rounding.
const LUMA_HALF: i16 = 1 << (LUMA_BITS - 1);
/// Bits after the point in a chroma sum.
const CHROMA_BITS: u32 = 5;

/// How limited-range samples become full-range BT.601 ones.
///
/// Derived from the primaries' weights (`KR`, `KB`) of ITU-R BT.709-6 section 3 and BT.601-7
/// section 2.5; a test computes every sample anew in floating point.
struct Mapping {
    /// Share of Cb and Cr in luma, × 2¹⁶.
    luma: [i16; 2],
    /// Share of Cb and Cr in the new Cb, × 2¹⁴.
    cb: [i16; 2],
    /// Share of Cb and Cr in the new Cr, × 2¹⁴.
    cr: [i16; 2],
}

const FROM_BT601: Mapping = Mapping {
    luma: [0, 0],
    cb: [18_651, 0],
    cr: [0, 18_651],
};

const FROM_BT709: Mapping = Mapping {
    luma: [7578, 14_628],
    cb: [18_462, -2064],
    cr: [-1351, 18_342],
};

/// More rows than this are HD, and HD is BT.709: what decoders assume of a stream that does
/// not say (PAL has 576).
const SD_ROWS_MAX: usize = 576;

fn mapping(image: &Image) -> &'static Mapping {
    if image.height > SD_ROWS_MAX {
        &FROM_BT709
    } else {
        &FROM_BT601
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
    /// What each chroma sample of one row adds to luma.
    share: Vec<u16>,
    /// The same, once for each of the two columns it covers.
    shares: Vec<u16>,
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
        let mapping = mapping(image);
        for row in 0..rows / 2 {
            self.chroma_row(image, row, mapping)?;
            for y in [row * 2, row * 2 + 1] {
                let from = line(image, 0, y.min(image.height - 1), image.width)?;
                let (to, margin) = self.y[y * self.width..][..self.width].split_at_mut(image.width);
                luma_row(from, &self.shares, to);
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
        match image.format {
            PixelFormat::I420 => {
                u.copy_from_slice(line(image, 1, row, width)?);
                v.copy_from_slice(line(image, 2, row, width)?);
            }
            PixelFormat::Nv12 => {
                let (pairs, _) = line(image, 1, row, width * 2)?.as_chunks::<2>();
                for ((u, v), &[cb, cr]) in u.iter_mut().zip(v.iter_mut()).zip(pairs) {
                    (*u, *v) = (cb, cr);
                }
            }
        }
        self.share.resize(width, 0);
        self.shares.resize(width * 2, 0);
        map_chroma(u, v, &mut self.share, mapping);
        let (twos, _) = self.shares.as_chunks_mut::<2>();
        for (two, &one) in twos.iter_mut().zip(&self.share) {
            *two = [one; 2];
        }
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

/// Stretches luma 16–235 to 0–255 and adds the share of chroma.
///
/// Unsigned 16-bit sums without branches: the compiler makes vector code of it.
fn luma_row(from: &[u8], shares: &[u16], to: &mut [u8]) {
    const BIAS: u16 = LUMA_BIAS.unsigned_abs() >> LUMA_BITS;
    for ((to, &y), &share) in to.iter_mut().zip(from).zip(shares) {
        let sum = u16::from(y.saturating_sub(16)) * LUMA_GAIN + share;
        *to = (sum >> LUMA_BITS).saturating_sub(BIAS).min(255) as u8;
    }
}

/// Maps chroma in place, and tells what each pair adds to luma.
///
/// Products keep their upper 16 bits only: one multiplication per 16-bit lane.
fn map_chroma(us: &mut [u8], vs: &mut [u8], shares: &mut [u16], mapping: &Mapping) {
    for ((u, v), share) in us.iter_mut().zip(vs).zip(shares) {
        // −128..=127 with seven bits after the point.
        let cb = (i16::from(*u) - 128) << 7;
        let cr = (i16::from(*v) - 128) << 7;
        let sum = |k: [i16; 2]| upper(cb, k[0]) + upper(cr, k[1]);
        // Within ±5600, so positive with the bias.
        *share = (sum(mapping.luma) + LUMA_BIAS + LUMA_HALF).unsigned_abs();
        *u = chroma(sum(mapping.cb));
        *v = chroma(sum(mapping.cr));
    }
}

/// The upper half of the product.
fn upper(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// From [`CHROMA_BITS`] after the point, centred on 0, to a sample.
#[expect(clippy::cast_sign_loss, reason = "clamped to 0..=255")]
fn chroma(sum: i16) -> u8 {
    // Truncation took up to two thirty-seconds away; one more than half gives the mean back.
    const HALF: i16 = (1 << (CHROMA_BITS - 1)) + 1;
    (((sum + HALF) >> CHROMA_BITS) + 128).clamp(0, 255) as u8
}
