//! Whether anything moved: a cheap look before the dear one.
//!
//! Luma is averaged into a coarse grid and compared with a running mean of the grids before. The
//! change that most cells share is the light's and is taken out first, so that a cloud or the
//! camera's exposure is not motion. There is no phase of calibration that a busy street could
//! keep it in: the first frame counts as motion, and each later one is judged by itself.
//!
//! A frame it holds back is one in which nothing changed: what stood there goes on standing. It is
//! no look all the same: one false box must not count as many because nothing moved after it.

use std::time::Duration;

use crate::types::{Image, Stamp};

/// Cells across and down.
const COLUMNS: usize = 96;
const ROWS: usize = 54;
/// Luma bytes averaged per cell: neighbours in each of two rows.
const SAMPLES_ACROSS: usize = 8;
/// A cell has changed when it differs from its mean by more than this many grey levels, the
/// light's change taken out. Sensor noise averaged over sixteen bytes stays below 4.
const CHANGE: f32 = 10.0;
/// This many changed cells are motion: a person of 50 rows at 1080p touches three.
const CELLS_MIN: usize = 2;
/// Weight of the newest frame in the mean. At five frames a second a thing that stopped becomes
/// background after about three seconds, long after the detector has seen it stand.
const NEWEST: f32 = 1.0 / 8.0;
/// Frames let through after the last motion, so that what just stopped is seen standing.
const AFTER: u32 = 5;
/// Frames are held back for this long at most, for what moves too little to be noticed.
const HELD_MAX: Duration = Duration::from_secs(5);

/// The motion gate of one camera.
#[derive(Debug, Default)]
pub struct MotionGate {
    size: (usize, usize),
    mean: Vec<f32>,
    now: Vec<f32>,
    /// Frames since the last motion.
    still: u32,
    /// When the last frame was let through.
    looked: Option<Stamp>,
}

impl MotionGate {
    /// A gate that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For how long nothing has moved and nobody has looked, when `image` of moment `at` is to be
    /// held back; `None` when it is worth a look, or one is `wanted` whatever moves.
    ///
    /// A frame that cannot be read is let through: the detector says what is wrong with it.
    pub fn hold_back(&mut self, at: Stamp, image: &Image, wanted: bool) -> Option<Duration> {
        let size = (image.width, image.height);
        let mut now = std::mem::take(&mut self.now);
        let readable = shrink(image, &mut now).is_some();
        self.now = now;
        if !readable {
            return None;
        }
        let known = self.size == size && self.mean.len() == self.now.len();
        let changed = !known || changed_cells(&self.now, &self.mean) >= CELLS_MIN;
        if known {
            for (mean, now) in self.mean.iter_mut().zip(&self.now) {
                *mean += (now - *mean) * NEWEST;
            }
        } else {
            self.size = size;
            self.mean.clone_from(&self.now);
        }
        self.still = if changed {
            0
        } else {
            self.still.saturating_add(1)
        };
        let rests = self.still > AFTER && !wanted;
        let held = self.looked.filter(|_| rests).map(|then| at.since(then));
        let held = held.filter(|held| *held < HELD_MAX);
        if held.is_none() {
            self.looked = Some(at);
        }
        held
    }
}

/// Averages the luma of `image` into the grid; `None` when it lies outside its buffer or is
/// smaller than the grid.
fn shrink(image: &Image, cells: &mut Vec<f32>) -> Option<()> {
    let (step_x, step_y) = (image.width / COLUMNS, image.height / ROWS);
    if step_x == 0 || step_y == 0 {
        return None;
    }
    let across = SAMPLES_ACROSS.min(step_x);
    let scale = 1.0 / f32::from(u16::try_from(2 * across).ok()?);
    cells.clear();
    for row in 0..ROWS {
        let y = row * step_y + step_y / 4;
        let upper = image.row(0, y, image.width)?;
        let lower = image.row(0, (y + step_y / 2).min(image.height - 1), image.width)?;
        let pairs = upper.chunks_exact(step_x).zip(lower.chunks_exact(step_x));
        cells.extend(pairs.take(COLUMNS).map(|(a, b)| {
            let start = (step_x - across) / 2;
            let sum: u16 = (a[start..start + across].iter())
                .chain(&b[start..start + across])
                .map(|v| u16::from(*v))
                .sum();
            f32::from(sum) * scale
        }));
    }
    Some(())
}

/// How many cells changed by more than the light did.
fn changed_cells(now: &[f32], mean: &[f32]) -> usize {
    let light = median_change(now, mean);
    now.iter()
        .zip(mean)
        .filter(|(now, mean)| (*now - *mean - light).abs() > CHANGE)
        .count()
}

/// The change that half of the cells stay below: the light's, however much of the picture moves.
fn median_change(now: &[f32], mean: &[f32]) -> f32 {
    // A histogram of whole grey levels is exact enough and cheaper than sorting.
    let mut count = [0_u16; 511];
    for (now, mean) in now.iter().zip(mean) {
        if let Some(bin) = level(now - mean).and_then(|l| count.get_mut(l)) {
            *bin += 1;
        }
    }
    let half = now.len() / 2;
    let mut seen = 0;
    for (change, n) in (-255_i16..).zip(count) {
        seen += usize::from(n);
        if seen > half {
            return f32::from(change);
        }
    }
    0.0
}

/// The bin of a difference of grey levels.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "differences of bytes lie in -255..=255"
)]
fn level(difference: f32) -> Option<usize> {
    let bin = difference.round() + 255.0;
    (bin >= 0.0).then_some(bin as usize)
}

#[cfg(test)]
mod tests {
    use super::super::film;
    use super::*;

    const WIDTH: usize = 640;
    const HEIGHT: usize = 360;

    /// A picture whose luma is `luma(x, y)`.
    fn picture(luma: impl Fn(usize, usize) -> u8) -> Image {
        film::picture(WIDTH, HEIGHT, luma)
    }

    /// A street: a slope of grey with fixed noise of a few levels that changes with `frame`.
    fn street(x: usize, y: usize, frame: usize) -> u8 {
        let noise = (x * 31 + y * 17 + frame * 101).wrapping_mul(2_654_435_761) >> 7 & 7;
        u8::try_from(60 + x / 8 + noise).expect("invariant: at most 147")
    }

    /// A person of 20 by 50 pixels at `at`.
    fn person(x: usize, y: usize, at: usize) -> bool {
        (at..at + 20).contains(&x) && (200..250).contains(&y)
    }

    /// The moment of a frame, five a second.
    fn moment(frame: usize) -> Stamp {
        film::at_ms(frame as u64 * 200)
    }

    /// Whether the gate lets a frame through that nobody wants for itself.
    fn lets(gate: &mut MotionGate, frame: usize, image: &Image) -> bool {
        gate.hold_back(moment(frame), image, false).is_none()
    }

    /// A gate that has watched an empty street until it holds frames back.
    fn settled() -> MotionGate {
        let mut gate = MotionGate::new();
        for frame in 0..10 {
            lets(&mut gate, frame, &picture(|x, y| street(x, y, frame)));
        }
        gate
    }

    #[test]
    fn an_empty_street_is_held_back_but_for_the_forced_look() {
        let mut gate = settled();
        let through: Vec<usize> = (10..110)
            .filter(|&frame| lets(&mut gate, frame, &picture(|x, y| street(x, y, frame))))
            .collect();
        assert!((3..=5).contains(&through.len()), "{through:?}");
    }

    #[test]
    fn a_held_frame_says_for_how_long_nobody_looked_and_none_is_held_that_is_wanted() {
        let mut gate = settled();
        let mut last = None;
        for frame in 10..60 {
            let wanted = (30..33).contains(&frame);
            let image = picture(|x, y| street(x, y, frame));
            match gate.hold_back(moment(frame), &image, wanted) {
                None => last = Some(moment(frame)),
                Some(held) => {
                    assert!(!wanted, "frame {frame}");
                    assert!(held < HELD_MAX, "frame {frame}");
                    let looked = last.map(|last| moment(frame).since(last));
                    assert_eq!(held, looked.unwrap_or(held), "frame {frame}");
                }
            }
        }
        assert!(last.is_some());
    }

    #[test]
    fn a_walker_is_let_through_in_every_frame() {
        let mut gate = settled();
        for frame in 10..60 {
            let at = frame * 6;
            let image = picture(|x, y| {
                if person(x, y, at) {
                    20
                } else {
                    street(x, y, frame)
                }
            });
            assert!(lets(&mut gate, frame, &image), "frame {frame}");
        }
    }

    #[test]
    fn a_street_that_never_rests_is_never_held_back() {
        let mut gate = MotionGate::new();
        for frame in 0..60_usize {
            let image = picture(|x, y| {
                if (x / 40 + y / 40 + frame).is_multiple_of(3) {
                    200
                } else {
                    street(x, y, frame)
                }
            });
            assert!(lets(&mut gate, frame, &image), "frame {frame}");
        }
    }

    #[test]
    fn light_that_changes_is_no_motion() {
        let mut gate = settled();
        // Slowly, one level a frame, then at once by thirty.
        let mut through = 0;
        for frame in 10..60 {
            let light = if frame < 40 { frame - 10 } else { 60 };
            let image = picture(|x, y| {
                street(x, y, frame).saturating_add(u8::try_from(light).expect("invariant: small"))
            });
            through += u32::from(lets(&mut gate, frame, &image));
        }
        assert!(through <= 3, "{through} of 50 let through");
    }

    #[test]
    fn a_new_picture_size_starts_anew_and_bad_frames_pass() {
        let mut gate = settled();
        let mut small = picture(|x, y| street(x, y, 0));
        (small.width, small.height) = (320, 180);
        assert!(lets(&mut gate, 10, &small));
        let mut empty = small.clone();
        (empty.width, empty.height) = (0, 0);
        assert!(lets(&mut gate, 11, &empty));
        let mut cut = small;
        cut.planes[0].offset = usize::MAX;
        assert!(lets(&mut gate, 12, &cut));
    }
}
