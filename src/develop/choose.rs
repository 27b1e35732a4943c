//! Which of several frames round a moment becomes the picture.

use super::glance::alike;
use super::quality::measure;
use crate::types::{Area, Frame, Quality, Stamp};

/// A frame further from the moment than this is not the moment's own, nanoseconds.
const OWN_WITHIN_NS: u64 = 150_000_000;
/// A frame in which the subject's place correlates less than this with the moment's own frame
/// shows the subject somewhere else: a box round that place would lie.
pub const SAME_PLACE: f64 = 0.9;
/// Another frame must be better than the moment's own by this, hundredths: the measure's noise.
const BETTER_BY: u64 = 105;

/// The index of the best-focused, best-exposed of `frames` that still shows at `place` what the
/// frame of the moment `at` shows there; `None` when that frame is not among them.
pub fn choose(frames: &[Frame], at: Stamp, place: Area) -> Option<usize> {
    let away = |frame: &Frame| frame.at.boot_ns.abs_diff(at.boot_ns);
    let own = (0..frames.len()).min_by_key(|&i| frames.get(i).map(away))?;
    let moment = frames
        .get(own)
        .filter(|frame| away(frame) <= OWN_WITHIN_NS)?;
    let worth = |frame: &Frame| measure(&frame.image, place).map_or(0, worth);
    let mut best = (own, worth(moment) * BETTER_BY / 100);
    for (i, frame) in frames.iter().enumerate().filter(|(i, _)| *i != own) {
        let there = alike(&moment.image, &frame.image, place).is_some_and(|a| a >= SAME_PLACE);
        let worth = worth(frame);
        if there && worth > best.1 {
            best = (i, worth);
        }
    }
    Some(best.0)
}

/// Sharpness, less what is lost in black and white.
fn worth(quality: Quality) -> u64 {
    let shown = 1000_u32.saturating_sub(quality.clipped_permille);
    u64::from(quality.focus) * u64::from(shown)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{grey, texture};
    use super::*;
    use crate::types::TimeSource;

    const PLACE: Area = Area {
        x0: 0.3,
        y0: 0.3,
        x1: 0.7,
        y1: 0.7,
    };

    fn stamp(ms: u64) -> Stamp {
        Stamp {
            utc_ns: 0,
            boot_ns: ms * 1_000_000,
            error_ns: 0,
        }
    }

    fn frame(ms: u64, luma: impl Fn(usize, usize) -> f32) -> Frame {
        Frame {
            camera: 0,
            number: ms,
            at: stamp(ms),
            time_source: TimeSource::Arrival,
            pts_ns: ms,
            image: grey(160, 120, luma),
        }
    }

    /// Coarse enough that a shake does not make it another place.
    fn stall(x: usize, y: usize) -> f32 {
        texture((x + 90) / 9, y / 9)
    }

    fn shaken(x: usize, y: usize) -> f32 {
        (88..93).map(|i| texture((x + i) / 9, y / 9)).sum::<f32>() / 5.0
    }

    #[test]
    fn the_sharpest_frame_that_shows_the_subject_is_taken() {
        let washed_out = |x, y| (stall(x, y) * 3.0).min(235.0);
        let another = |x, y| stall(x + 900, y);
        let check = |frames: &[Frame], wanted: Option<usize>, what: &str| {
            assert_eq!(choose(frames, stamp(1000), PLACE), wanted, "{what}");
        };
        let own = || frame(1000, shaken);
        check(&[frame(600, stall), own()], Some(0), "sharper before");
        check(&[own(), frame(1400, stall)], Some(1), "sharper after");
        check(
            &[frame(600, shaken), own()],
            Some(1),
            "no better: the moment itself",
        );
        check(
            &[frame(600, another), own()],
            Some(1),
            "sharper, but of something else",
        );
        check(
            &[frame(600, washed_out), frame(1000, stall)],
            Some(1),
            "washed out",
        );
        check(&[frame(600, stall)], None, "the moment itself is gone");
        check(&[], None, "nothing is kept");
    }
}
