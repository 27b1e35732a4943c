//! Which of several frames round a moment becomes the picture.

use super::glance::Patch;
use super::quality::measure;
use crate::config::Evidence;
use crate::types::{Area, Frame, Quality, Stamp};

/// A frame further from the moment than this is not the moment's own, nanoseconds.
const OWN_WITHIN_NS: u64 = 150_000_000;
/// A frame in which the subject's place correlates less than this with the moment's own frame
/// shows the subject somewhere else: a box round that place would lie.
pub const SAME_PLACE: f64 = 0.9;
/// Another frame must be better than the moment's own by this, hundredths: the measure's noise.
const BETTER_BY: u64 = 105;

/// Of the frames that are looked at, one after the other, the best-focused, best-exposed that still
/// shows at a place what the frame of the moment shows there.
///
/// A full frame is megabytes, and there may be many: of each only what is compared is kept, and a copy
/// of the pixels of one, the choice if no other came.
pub struct Choice<'a> {
    at: Stamp,
    place: Area,
    limits: &'a Evidence,
    looks: Vec<Look>,
    held: Option<(usize, Frame)>,
}

/// What is kept of a frame that was looked at.
struct Look {
    at: Stamp,
    worth: Worth,
    patch: Option<Patch>,
}

/// Whether the picture is within the limits of evidence; how sharp it is, less what is lost in black
/// and white. The first goes before: of two frames one must not be taken that makes a lead.
type Worth = (bool, u64);

impl<'a> Choice<'a> {
    /// Among the frames round the moment `at`, by what they show at `place` and by the `limits`.
    pub fn of(at: Stamp, place: Area, limits: &'a Evidence) -> Self {
        Self {
            at,
            place,
            limits,
            looks: Vec::new(),
            held: None,
        }
    }

    /// Looks at one frame.
    pub fn look(&mut self, frame: &Frame) {
        if let Some(newest) = self.leads(frame) {
            // First gone, then copied: never two at once.
            self.held = None;
            self.held = Some((newest, frame.copied()));
        }
    }

    /// Looks at one frame that is given away: should it be the choice, it is not copied, and else it
    /// is gone.
    pub fn take(&mut self, frame: Frame) {
        if let Some(newest) = self.leads(&frame) {
            self.held = Some((newest, frame));
        }
    }

    /// The number of this look, where its frame would be the choice if no other came.
    fn leads(&mut self, frame: &Frame) -> Option<usize> {
        let newest = self.looks.len();
        let worth =
            measure(&frame.image, self.place).map_or((false, 0), |it| worth(it, self.limits));
        self.looks.push(Look {
            at: frame.at,
            worth,
            patch: Patch::of(&frame.image, self.place),
        });
        let leads = match self.best() {
            Some(best) => best == newest,
            // The moment is still to come, and with it what the place looks like.
            None => self.looks.iter().all(|look| look.worth <= worth),
        };
        leads.then_some(newest)
    }

    /// When the chosen frame was captured, and that frame. Its pixels are gone, and must be decoded
    /// again, where it comes before the moment and a sharper one, of something else, was held instead.
    /// `None` when the frame of the moment is not among those looked at.
    pub fn chosen(self) -> Option<(Stamp, Option<Frame>)> {
        let best = self.best()?;
        let held = self.held.filter(|(held, _)| *held == best);
        Some((self.looks.get(best)?.at, held.map(|(_, frame)| frame)))
    }

    fn best(&self) -> Option<usize> {
        let away = |look: &Look| look.at.boot_ns.abs_diff(self.at.boot_ns);
        let own = (0..self.looks.len()).min_by_key(|&i| self.looks.get(i).map(away))?;
        let moment = self.looks.get(own)?;
        if away(moment) > OWN_WITHIN_NS {
            return None;
        }
        let there = |look: &Look| {
            let alike = moment.patch.as_ref()?.alike(look.patch.as_ref()?);
            alike.filter(|&alike| alike >= SAME_PLACE)
        };
        let (within, shown) = moment.worth;
        let mut best = (own, (within, shown * BETTER_BY / 100));
        for (i, look) in self.looks.iter().enumerate().filter(|(i, _)| *i != own) {
            if look.worth > best.1 && there(look).is_some() {
                best = (i, look.worth);
            }
        }
        Some(best.0)
    }
}

fn worth(quality: Quality, limits: &Evidence) -> Worth {
    // As the conditions `focus` and `exposure` have it.
    let within = quality.focus >= limits.focus_min
        && (limits.exposure_min..=limits.exposure_max).contains(&quality.exposure)
        && f64::from(quality.clipped_permille) <= limits.clipped_max * 1000.0;
    let shown = 1000_u32.saturating_sub(quality.clipped_permille);
    (within, u64::from(quality.focus) * u64::from(shown))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{grey, texture};
    use super::*;
    use crate::types::{Image, TimeSource};

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

    /// The frames are looked at in turn; the time of the chosen one, milliseconds. None of them is
    /// held beyond its look.
    fn chosen(frames: Vec<Frame>) -> Option<u64> {
        let all: Vec<_> = frames
            .iter()
            .map(|f| Arc::downgrade(&f.image.data))
            .collect();
        let limits = Evidence::default();
        let mut choice = Choice::of(stamp(1000), PLACE, &limits);
        for (n, frame) in frames.into_iter().enumerate() {
            choice.look(&frame);
            drop(frame);
            assert_eq!(all[n].strong_count(), 0, "the frame is held");
        }
        let (at, frame) = choice.chosen()?;
        assert!(frame.is_none_or(|frame| frame.at == at), "its own pixels");
        Some(at.boot_ns / 1_000_000)
    }

    /// The same when the moment's own frame is at hand, and given away, before the others come.
    fn chosen_with(own: &Frame, frames: &[Frame]) -> Option<u64> {
        let limits = Evidence::default();
        let mut choice = Choice::of(stamp(1000), PLACE, &limits);
        let at_hand = own.copied();
        let held = Arc::downgrade(&at_hand.image.data);
        choice.take(at_hand);
        for frame in frames {
            choice.look(frame);
        }
        let (at, frame) = choice.chosen()?;
        let frame = frame.expect("nothing must be decoded again");
        assert_eq!(frame.at, at, "its own pixels");
        let own_chosen = at == own.at;
        assert_eq!(held.strong_count(), usize::from(own_chosen), "one is held");
        Some(at.boot_ns / 1_000_000)
    }

    /// The same by what it says: of all frames at once, each compared in full.
    fn of_all(frames: &[Frame]) -> Option<u64> {
        let away = |frame: &Frame| frame.at.boot_ns.abs_diff(stamp(1000).boot_ns);
        let own = frames.iter().min_by_key(|frame| away(frame))?;
        let limits = Evidence::default();
        let worth = |frame: &Frame| worth(measure(&frame.image, PLACE).expect("measured"), &limits);
        let (within, shown) = worth(own);
        let mut best = (own.number, (within, shown * BETTER_BY / 100));
        for frame in frames.iter().filter(|frame| frame.number != own.number) {
            let patch = |frame: &Frame| Patch::of(&frame.image, PLACE).expect("within");
            let there = (patch(own).alike(&patch(frame))).is_some_and(|a| a >= SAME_PLACE);
            if there && worth(frame) > best.1 {
                best = (frame.number, worth(frame));
            }
        }
        (away(own) <= OWN_WITHIN_NS).then_some(best.0)
    }

    #[test]
    fn one_after_the_other_the_choice_is_that_among_all() {
        let sharper = |x, y| (stall(x, y) - 126.0) * 1.1 + 126.0;
        let shown: [Image; 4] = [
            grey(80, 60, stall),
            grey(80, 60, sharper),
            grey(80, 60, shaken),
            grey(80, 60, |x, y| stall(x + 900, y)),
        ];
        let own_copy = |image: &Image| Image {
            data: Arc::new(image.bytes().to_vec()),
            ..image.clone()
        };
        let blank = frame(0, |_, _| 0.0);
        let mut seen = std::collections::BTreeSet::new();
        // In order; the moment's own between two that are as near; a stream's times may step back;
        // and none of the moment itself.
        for times in [
            [600, 800, 1010, 1200],
            [700, 900, 1000, 1100],
            [900, 1200, 1010, 700],
            [500, 600, 1200, 1300],
        ] {
            for n in 0..shown.len().pow(4) {
                let of = |i: u32| &shown[n / shown.len().pow(i) % shown.len()];
                let frames = (0..).zip(times).map(|(i, ms)| Frame {
                    number: ms,
                    at: stamp(ms),
                    image: own_copy(of(i)),
                    ..blank.clone()
                });
                let frames: Vec<Frame> = frames.collect();
                let wanted = of_all(&frames);
                seen.insert(wanted);
                if let Some(own) = frames.iter().find(|frame| frame.at == stamp(1000)) {
                    assert_eq!(chosen_with(own, &frames), wanted, "pictures {n}");
                }
                assert_eq!(chosen(frames), wanted, "{times:?}, pictures {n}");
            }
        }
        assert!(seen.len() > 8, "{seen:?}");
    }

    #[test]
    fn a_frame_within_the_limits_goes_before_one_that_makes_a_lead() {
        let night = |luma: f32| luma * 0.1 + 20.0;
        let dark = |x, y| night(stall(x, y));
        let check = |frames: Vec<Frame>, wanted: u64, what: &str| {
            assert_eq!(chosen(frames), Some(wanted), "{what}");
        };
        for at in [600, 1400] {
            let frames = vec![frame(at, stall), frame(1000, dark)];
            check(frames, at, "as sharp, and not too dark");
            let frames = vec![frame(at, dark), frame(1000, shaken)];
            check(frames, 1000, "sharper, but too dark");
            let own = frame(1000, |x, y| night(shaken(x, y)));
            let frames = vec![frame(at, dark), own];
            check(frames, at, "both too dark, one sharper");
        }
    }

    #[test]
    fn the_sharpest_frame_that_shows_the_subject_is_taken() {
        let washed_out = |x, y| (stall(x, y) * 3.0).min(235.0);
        let another = |x, y| stall(x + 900, y);
        let check = |frames: Vec<Frame>, wanted: Option<u64>, what: &str| {
            assert_eq!(chosen(frames), wanted, "{what}");
        };
        let own = || frame(1000, shaken);
        check(vec![frame(600, stall), own()], Some(600), "sharper before");
        check(vec![own(), frame(1400, stall)], Some(1400), "sharper after");
        check(
            vec![frame(600, shaken), own()],
            Some(1000),
            "no better: the moment itself",
        );
        check(
            vec![frame(600, another), own()],
            Some(1000),
            "sharper, but of something else",
        );
        check(
            vec![frame(600, washed_out), frame(1000, stall)],
            Some(1000),
            "washed out",
        );
        check(vec![frame(600, stall)], None, "the moment itself is gone");
        check(vec![], None, "nothing is kept");
    }
}
