//! A small grey picture that is kept while a case is open, and what two of them tell: whether
//! the camera looks where it looked.
//!
//! Slopes are compared, not brightness: a cloud changes the light and not the kerbs. The two are
//! laid on each other at every shift of a small window; the best fit is the camera's movement,
//! and how well it fits says whether it is the same place at all. What moves by itself, the
//! subjects and everything else that was detected, is left out.

use serde::{Deserialize, Serialize};

use super::part::Part;
use crate::types::{Area, Image, Stillness, base64};

/// Pixels per row of a glance; less where the picture itself has less.
const WIDTH: usize = 160;
/// Shifts tried each way: 6 % of the width, more than any limit allows.
const REACH: i32 = 10;
/// Room left out round what moves by itself, share of its size.
const MARGIN: f32 = 0.1;
/// At least this share of the picture must be comparable, …
const COMPARED_MIN: f64 = 0.25;
/// … with slopes of at least this many steps a pixel in the mean: fog and night show nothing.
const SLOPE_MIN: f64 = 1.0;

/// A picture brought down to [`WIDTH`] grey pixels a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Glance {
    width: usize,
    height: usize,
    #[serde(with = "base64")]
    luma: Vec<u8>,
    /// What moves by itself.
    busy: Vec<Area>,
}

impl Glance {
    /// A glance at `image`, in which `busy` is not background; `None` where the picture's rows
    /// lie outside its buffer or it is too small for slopes.
    pub fn at(image: &Image, busy: Vec<Area>) -> Option<Self> {
        let width = WIDTH.min(image.width);
        let height = image.height.checked_mul(width)?.checked_div(image.width)?;
        if width < 3 || height < 3 {
            return None;
        }
        Some(Self {
            width,
            height,
            luma: reduced(image, whole(image), (width, height))?,
            busy,
        })
    }

    /// Slopes along rows and columns of the inner pixels; none where something moves by itself
    /// in either glance.
    fn slopes(&self, busy: &[Area]) -> Vec<Option<[i32; 2]>> {
        let at = |x: usize, y: usize| {
            let luma = self.luma.get(y * self.width + x);
            i32::from(luma.copied().unwrap_or_default())
        };
        let masked: Vec<Area> = busy.iter().map(|area| area.grown(MARGIN)).collect();
        let mut slopes = vec![None; self.width * self.height];
        for y in 1..self.height - 1 {
            for x in 1..self.width - 1 {
                let (px, py) = (share(x, self.width), share(y, self.height));
                let hidden = |a: &Area| (a.x0..=a.x1).contains(&px) && (a.y0..=a.y1).contains(&py);
                if !masked.iter().any(hidden) {
                    let slope = [at(x + 1, y) - at(x - 1, y), at(x, y + 1) - at(x, y - 1)];
                    slopes[y * self.width + x] = Some(slope);
                }
            }
        }
        slopes
    }
}

/// Whether a kept glance is one: it comes from the disk.
fn sound(glance: &Glance) -> bool {
    let size = glance.width.checked_mul(glance.height);
    glance.width.min(glance.height) >= 3 && size == Some(glance.luma.len())
}

/// How `last` lies on `first`; `None` when they cannot be compared: other proportions, too
/// little background, or nothing to hold on to.
pub fn stillness(first: &Glance, last: &Glance) -> Option<Stillness> {
    let same_size = (first.width, first.height) == (last.width, last.height);
    if !same_size || !sound(first) || !sound(last) {
        return None;
    }
    let busy: Vec<Area> = first.busy.iter().chain(&last.busy).copied().collect();
    let (a, b) = (first.slopes(&busy), last.slopes(&busy));
    let size = (to_i32(first.width)?, to_i32(first.height)?);
    let compared = a.iter().zip(&b).filter_map(|(a, b)| a.zip(*b)).count();
    let energy: i64 = a
        .iter()
        .flatten()
        .map(|[x, y]| i64::from(x * x + y * y))
        .sum();
    let pixels = real(first.width * first.height);
    // A slope over two pixels is twice that of one: four times when squared.
    if real(compared) < COMPARED_MIN * pixels
        || real_i64(energy) < 4.0 * SLOPE_MIN * SLOPE_MIN * real(compared)
    {
        return None;
    }
    let fit = |dx: i32, dy: i32| fit(&a, &b, size, (dx, dy));
    let shifts = (-REACH..=REACH).flat_map(|dy| (-REACH..=REACH).map(move |dx| (dx, dy)));
    let ((dx, dy), best) = shifts
        .map(|(dx, dy)| ((dx, dy), fit(dx, dy)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let x = f64::from(dx) + vertex(fit(dx - 1, dy), best, fit(dx + 1, dy));
    let y = f64::from(dy) + vertex(fit(dx, dy - 1), best, fit(dx, dy + 1));
    Some(Stillness {
        shift_permille: permille(x.hypot(y) / real(first.width)),
        similarity_permille: permille(best.max(0.0)),
    })
}

/// How well the slopes fit when the second picture is moved by `shift`: −1 to 1, their
/// correlation.
fn fit(
    a: &[Option<[i32; 2]>],
    b: &[Option<[i32; 2]>],
    (width, height): (i32, i32),
    (dx, dy): (i32, i32),
) -> f64 {
    let (mut both, mut one, mut other) = (0_i64, 0_i64, 0_i64);
    for y in (-dy).max(0)..height - dy.max(0) {
        let row = |y: i32| usize::try_from(y * width).unwrap_or_default();
        let (from, to) = ((-dx).max(0), width - dx.max(0));
        let columns = |shift: i32| {
            usize::try_from(from + shift).unwrap_or_default()
                ..usize::try_from(to + shift).unwrap_or_default()
        };
        let (Some(here), Some(there)) = (
            a.get(row(y)..).and_then(|r| r.get(columns(0))),
            b.get(row(y + dy)..).and_then(|r| r.get(columns(dx))),
        ) else {
            continue;
        };
        for (a, b) in here.iter().zip(there) {
            if let (Some(a), Some(b)) = (a, b) {
                both += i64::from(a[0] * b[0] + a[1] * b[1]);
                one += i64::from(a[0] * a[0] + a[1] * a[1]);
                other += i64::from(b[0] * b[0] + b[1] * b[1]);
            }
        }
    }
    let scale = (real_i64(one) * real_i64(other)).sqrt();
    if scale > 0.0 {
        real_i64(both) / scale
    } else {
        0.0
    }
}

/// Where between −½ and ½ the parabola through three neighbouring values has its top.
fn vertex(before: f64, top: f64, after: f64) -> f64 {
    let bend = before - 2.0 * top + after;
    if bend < 0.0 {
        ((before - after) / (2.0 * bend)).clamp(-0.5, 0.5)
    } else {
        0.0
    }
}

/// Grey values of a patch in each of its cells, along rows.
const PATCH: usize = 16;

/// What a picture shows within an area, as little as comparing it takes: its mean grey values on a
/// grid, less their mean.
#[derive(Clone, Debug)]
pub struct Patch(Vec<f64>);

impl Patch {
    /// What `image` shows within `area`; `None` where the picture's rows lie outside its buffer.
    pub fn of(image: &Image, area: Area) -> Option<Self> {
        let grey = reduced(image, Part::of(image, area), (PATCH, PATCH))?;
        let mean = grey.iter().map(|&v| f64::from(v)).sum::<f64>() / real(grey.len());
        let less = grey.into_iter().map(|v| f64::from(v) - mean);
        Some(Self(less.collect()))
    }

    /// How alike two pictures of one camera are in one place: their correlation, −1 to 1. `None` where
    /// one of them shows nothing but one grey.
    pub fn alike(&self, other: &Self) -> Option<f64> {
        let product = |a: &Self, b: &Self| a.0.iter().zip(&b.0).map(|(a, b)| a * b).sum::<f64>();
        let scale = (product(self, self) * product(other, other)).sqrt();
        (scale > 0.0).then(|| product(self, other) / scale)
    }
}

fn whole(image: &Image) -> Part {
    Part {
        x0: 0,
        y0: 0,
        x1: image.width,
        y1: image.height,
    }
}

/// The mean luma of each of `width` × `height` equal cells of a part; a cell is at least a pixel.
fn reduced(image: &Image, part: Part, (width, height): (usize, usize)) -> Option<Vec<u8>> {
    let cell = |i: usize, from: usize, length: usize, count: usize| {
        let start = from + i * length / count;
        start..(from + (i + 1) * length / count).max(start + 1)
    };
    let mut grey = Vec::with_capacity(width * height);
    for row in 0..height {
        let rows = cell(row, part.y0, part.height(), height);
        let mut sums = vec![(0_u64, 0_u64); width];
        for y in rows {
            let line = image.row(0, y, image.width)?;
            for (column, sum) in sums.iter_mut().enumerate() {
                let pixels = line.get(cell(column, part.x0, part.width(), width))?;
                sum.0 += pixels.iter().map(|&p| u64::from(p)).sum::<u64>();
                sum.1 += pixels.len() as u64;
            }
        }
        let mean = |(sum, count): (u64, u64)| u8::try_from(sum.checked_div(count)?).ok();
        grey.extend(sums.into_iter().map(|sum| mean(sum).unwrap_or_default()));
    }
    Some(grey)
}

fn to_i32(n: usize) -> Option<i32> {
    i32::try_from(n).ok()
}

#[expect(clippy::cast_precision_loss, reason = "pixel counts, far below 2^52")]
fn real(n: usize) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sums of squared bytes, far below 2^52"
)]
fn real_i64(n: i64) -> f64 {
    n as f64
}

/// The middle of pixel `n` as a share of the side.
#[expect(clippy::cast_precision_loss, reason = "sides of at most 160 pixels")]
fn share(n: usize, side: usize) -> f32 {
    (n as f32 + 0.5) / side as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares between 0 and 1; casts saturate"
)]
fn permille(share: f64) -> u32 {
    (share * 1000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::super::tests::{grey, texture};
    use super::*;

    fn at(luma: impl Fn(usize, usize) -> f32) -> Glance {
        Glance::at(&grey(640, 360, luma), Vec::new()).expect("a picture")
    }

    /// A coarse street: details of some ten pixels.
    fn street(x: usize, y: usize) -> f32 {
        texture(x / 12, y / 12) * 0.5 + texture(x / 31 + 500, y / 31) * 0.5
    }

    #[test]
    fn a_turned_camera_is_seen() {
        let first = at(|x, y| street(x + 100, y + 100));
        for (dx, dy, permille) in [(0, 0, 0), (4, 0, 6), (16, 0, 25), (0, 24, 38), (12, 16, 31)] {
            let last = at(|x, y| street(x + 100 - dx, y + 100 - dy));
            let seen = stillness(&first, &last).expect("compared");
            let off = seen.shift_permille.abs_diff(permille);
            assert!(off <= 2, "{dx},{dy}: {seen:?}");
            assert!(seen.similarity_permille > 800, "{dx},{dy}: {seen:?}");
        }
    }

    #[test]
    fn light_and_noise_do_not_turn_it() {
        let first = at(street);
        for (gain, offset, noise) in [(0.6, 20.0, 0.0), (0.9, 10.0, 0.15), (0.5, 90.0, 0.2)] {
            let last = at(|x, y| {
                let noisy = texture(x * 7 + 3, y * 5 + 1) - 126.0;
                street(x, y) * gain + offset + noisy * noise
            });
            let seen = stillness(&first, &last).expect("compared");
            assert!(
                seen.shift_permille <= 2 && seen.similarity_permille > 800,
                "{seen:?}"
            );
        }
    }

    #[test]
    fn another_place_is_not_the_same() {
        let seen = stillness(&at(street), &at(|x, y| street(x + 3000, y + 2000)));
        assert!(
            seen.is_some_and(|s| s.similarity_permille < 300),
            "{seen:?}"
        );
    }

    #[test]
    fn what_moves_by_itself_is_left_out() {
        let lorry = Area {
            x0: 0.0,
            y0: 0.0,
            x1: 0.55,
            y1: 1.0,
        };
        let passing = grey(640, 360, |x, y| {
            if x < 352 {
                street(x + 900, y)
            } else {
                street(x, y)
            }
        });
        let seen = |busy| {
            let last = Glance::at(&passing, busy).expect("a picture");
            stillness(&at(street), &last).map(|s| s.similarity_permille)
        };
        assert!(seen(vec![lorry]) > Some(990) && seen(vec![]) < Some(700));
        // Behind the lorry nothing is left to compare.
        let all = Area { x1: 1.0, ..lorry };
        assert_eq!(seen(vec![all]), None);
    }

    #[test]
    fn fog_and_foreign_proportions_tell_nothing() {
        let fog = at(|_, _| 120.0);
        assert_eq!(stillness(&fog, &fog), None);
        let tall = Glance::at(&grey(360, 640, street), Vec::new()).expect("a picture");
        assert_eq!(stillness(&at(street), &tall), None);
        let broken = Glance {
            luma: vec![1; 7],
            ..at(street)
        };
        assert_eq!(stillness(&broken, &broken), None);
        assert_eq!(Glance::at(&grey(2, 2, street), Vec::new()), None);
    }

    #[test]
    fn a_glance_survives_the_store() {
        let glance = at(street);
        let text = serde_json::to_string(&glance).expect("plain data");
        assert!(text.len() < 25_000, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Glance>(&text).expect("read"), glance);
    }

    #[test]
    fn a_subject_that_went_on_is_told_from_one_that_stands() {
        let place = Area {
            x0: 0.4,
            y0: 0.4,
            x1: 0.6,
            y1: 0.7,
        };
        let image = |dx: usize| {
            grey(640, 360, move |x, y| {
                let subject = (256 + dx..384 + dx).contains(&x) && (144..252).contains(&y);
                if subject {
                    street(x + 4000 - dx, y)
                } else {
                    90.0
                }
            })
        };
        let patch = |image: &Image| Patch::of(image, place).expect("within");
        let seen = |dx| {
            patch(&image(0))
                .alike(&patch(&image(dx)))
                .expect("not grey")
        };
        assert!(
            seen(0) > 0.999 && seen(1) > 0.9 && seen(64) < 0.7,
            "{} {}",
            seen(1),
            seen(64)
        );
        let blank = grey(640, 360, |_, _| 50.0);
        assert_eq!(patch(&image(0)).alike(&patch(&blank)), None);
    }
}
