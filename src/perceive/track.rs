//! Detections to tracks: which box of this frame is which thing of the frames before.
//!
//! Association in two stages (the idea of Zhang et al., "`ByteTrack`", arXiv:2110.06864,
//! section 3): first the detections that reach the card's threshold, then, for tracks still without a
//! match, the weak ones down to its floor. A weak box never starts a track; it keeps one alive
//! through a half-hidden or badly lit moment. What is compared is intersection over union with
//! where the thing should be by now: its box, moved on by its smoothed speed.
//!
//! Pairs are taken greedily, best overlap first. An optimal assignment (Hungarian method) only
//! differs where two things overlap each other's boxes nearly alike; with a hundred boxes at most
//! it would bring a dependency, or two hundred lines, for cases in which both answers are guesses.
//!
//! Things that stand are this daemon's business, so they are held longer: what stood still and
//! is hidden keeps its id for [`HOLD_STANDING`], and only a box at the same place and of the same
//! size wakes it, not somebody who walks by in front of it.
//!
//! On a vehicle or drone the whole picture moves: tracks are carried along first
//! ([`Tracker::carry`]), so that what stands on the street stands still.
//!
//! **Invariants.** The same detections at the same times give the same tracks. An id is given
//! once. At most [`TRACKS_MAX`] tracks live; a detection has at most one track and a track at
//! most one detection per update.
//!
//! **Not here.** No appearance features; how the picture moved is told by the caller.

use std::time::Duration;

use crate::types::{Area, Detection, Motion, Stamp, Track};

/// Tracks alive at most, tentative ones included.
const TRACKS_MAX: usize = 256;
/// Matches until a track is reported: one false box is common, three in a row are not.
const CONFIRM_HITS: u32 = 3;
/// Updates in a row without a match that a track survives, whatever the time between them.
const MISSES_KEPT: u32 = 2;
/// How long a confirmed track outlives its last match.
const HOLD_MOVING: Duration = Duration::from_secs(2);
/// How long a track that stood still outlives its last match.
const HOLD_STANDING: Duration = Duration::from_secs(15);
/// Standing means: at the same place for this long.
const STANDING_AFTER: Duration = Duration::from_secs(3);
/// The same place: overlap with the box it came to rest in. Detectors' boxes breathe this much.
const SAME_PLACE_IOU: f32 = 0.6;
/// Least overlap with the expected box for a detection that reaches the threshold.
const STRONG_IOU: f32 = 0.2;
/// Least overlap for a weak detection: only where a thing is known to be.
const WEAK_IOU: f32 = 0.4;
/// Least overlap to wake a hidden standing thing.
const WAKE_IOU: f32 = 0.5;
/// Weight of the newest step in the smoothed speed.
const NEWEST_STEP: f32 = 0.4;
/// No speed is computed over a longer gap than this, and none is extrapolated further.
const SPEED_GAP_MAX: Duration = Duration::from_secs(1);

/// Follows the things in one camera's picture.
#[derive(Debug)]
pub struct Tracker {
    threshold: f32,
    next_id: u64,
    followed: Vec<Followed>,
}

/// A track and what is needed to recognise it again.
#[derive(Debug)]
struct Followed {
    track: Track,
    /// Smoothed speed of the centre, picture widths and heights per second.
    speed: (f32, f32),
    /// Where it came to rest, and when.
    rest: (Area, Stamp),
    /// Updates since the last match.
    misses: u32,
}

impl Tracker {
    /// A tracker for one camera; detections from `score_threshold` on start tracks
    /// ([`super::Card::score_threshold`]), weaker ones only continue them.
    pub fn new(score_threshold: f32) -> Self {
        Self {
            threshold: score_threshold,
            next_id: 1,
            followed: Vec::new(),
        }
    }

    /// Lets every track move with the picture, before the frame's detections are taken in.
    pub fn carry(&mut self, motion: &Motion) {
        for followed in &mut self.followed {
            let seen = &mut followed.track.detection.area;
            *seen = motion.of_area(*seen);
            followed.rest.0 = motion.of_area(followed.rest.0);
        }
    }

    /// Takes the detections of the frame taken at `at`; gives every confirmed track alive, those
    /// without a match in this frame included (their `last_seen` is before `at`), by id.
    pub fn update(&mut self, at: Stamp, detections: &[Detection]) -> Vec<Track> {
        let strong = |d: &Detection| d.score >= self.threshold;
        let mut free: Vec<bool> = vec![true; detections.len()];
        for f in &mut self.followed {
            f.misses = f.misses.saturating_add(1);
        }
        let stages: [(bool, f32); 2] = [(true, STRONG_IOU), (false, WEAK_IOU)];
        for (is_strong, least) in stages {
            let offered: Vec<usize> = (0..detections.len())
                .filter(|i| free[*i] && strong(&detections[*i]) == is_strong)
                .collect();
            for (f, d) in pair(&self.followed, detections, &offered, (at, least)) {
                free[d] = false;
                self.followed[f].take(detections[d], at);
            }
        }
        self.followed.retain(|f| f.lives(at));
        for (detection, free) in detections.iter().zip(free) {
            if free && strong(detection) && self.followed.len() < TRACKS_MAX {
                self.followed
                    .push(Followed::new(self.next_id, *detection, at));
                self.next_id += 1;
            }
        }
        self.followed
            .iter()
            .filter(|f| f.confirmed())
            .map(|f| f.track)
            .collect()
    }

    /// What was seen in the frame taken at `at` and is no confirmed track, or not yet: who is so fast that
    /// none of his boxes meets the one before never is one.
    pub fn unconfirmed(&self, at: Stamp) -> impl Iterator<Item = Track> {
        let followed = self.followed.iter();
        let seen = followed.filter(move |f| f.track.last_seen == at && !f.confirmed());
        seen.map(|f| f.track)
    }
}

/// Pairs tracks without a match with the `offered` detections, best overlap first; gives
/// positions in `followed` and `detections`.
fn pair(
    followed: &[Followed],
    detections: &[Detection],
    offered: &[usize],
    (at, least): (Stamp, f32),
) -> Vec<(usize, usize)> {
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for (f, track) in followed.iter().enumerate().filter(|(_, f)| f.misses > 0) {
        for d in offered {
            let overlap = track.overlap(&detections[*d], at);
            if overlap >= least.max(track.least_overlap(at)) {
                pairs.push((overlap, f, *d));
            }
        }
    }
    // Equal overlaps: the older track, then the better detection, which come first.
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut taken = (vec![false; followed.len()], vec![false; detections.len()]);
    pairs.retain(|(_, f, d)| {
        let new = !taken.0[*f] && !taken.1[*d];
        if new {
            (taken.0[*f], taken.1[*d]) = (true, true);
        }
        new
    });
    pairs.into_iter().map(|(_, f, d)| (f, d)).collect()
}

impl Followed {
    fn new(id: u64, detection: Detection, at: Stamp) -> Self {
        Self {
            track: Track {
                id,
                detection,
                first_seen: at,
                came: None,
                last_seen: at,
                hits: 1,
                appearance: None,
            },
            speed: (0.0, 0.0),
            rest: (detection.area, at),
            misses: 0,
        }
    }

    /// Takes the detection matched to it.
    fn take(&mut self, detection: Detection, at: Stamp) {
        let before = self.track.detection.area.centre();
        let now = detection.area.centre();
        let gap = at.since(self.track.last_seen);
        self.speed = if gap.is_zero() || gap > SPEED_GAP_MAX {
            (0.0, 0.0)
        } else {
            let seconds = gap.as_secs_f32();
            let step = ((now.x - before.x) / seconds, (now.y - before.y) / seconds);
            (
                self.speed.0 + (step.0 - self.speed.0) * NEWEST_STEP,
                self.speed.1 + (step.1 - self.speed.1) * NEWEST_STEP,
            )
        };
        if self.rest.0.iou(detection.area) < SAME_PLACE_IOU {
            self.rest = (detection.area, at);
        }
        self.track.detection = detection;
        self.track.last_seen = at;
        self.track.hits = self.track.hits.saturating_add(1);
        self.misses = 0;
    }

    /// Overlap of `detection` with where this thing is or should be by `at`; zero when it is
    /// something else to the rules.
    fn overlap(&self, detection: &Detection, at: Stamp) -> f32 {
        let roles = self.track.detection.roles;
        if roles != detection.roles && !roles.meets(detection.roles) {
            return 0.0;
        }
        let last = self.track.detection.area;
        let unmoved = last.iou(detection.area);
        if self.stands() {
            return unmoved.max(self.rest.0.iou(detection.area));
        }
        let ahead = at.since(self.track.last_seen).min(SPEED_GAP_MAX);
        let (dx, dy) = (
            self.speed.0 * ahead.as_secs_f32(),
            self.speed.1 * ahead.as_secs_f32(),
        );
        let expected = Area {
            x0: last.x0 + dx,
            y0: last.y0 + dy,
            x1: last.x1 + dx,
            y1: last.y1 + dy,
        };
        unmoved.max(expected.iou(detection.area))
    }

    /// What its own state demands of an overlap besides the stage.
    fn least_overlap(&self, at: Stamp) -> f32 {
        let hidden = at.since(self.track.last_seen) > HOLD_MOVING;
        if hidden && self.stands() {
            WAKE_IOU
        } else {
            0.0
        }
    }

    /// Whether it was at rest when it was last seen.
    fn stands(&self) -> bool {
        self.track.last_seen.since(self.rest.1) >= STANDING_AFTER
    }

    fn confirmed(&self) -> bool {
        self.track.hits >= CONFIRM_HITS
    }

    /// Whether it is still followed at `at`.
    fn lives(&self, at: Stamp) -> bool {
        if !self.confirmed() {
            return self.misses <= 1;
        }
        let hold = if self.stands() {
            HOLD_STANDING
        } else {
            HOLD_MOVING
        };
        // Key frames come seconds apart: two misses are no loss, however long they take.
        self.misses <= MISSES_KEPT || at.since(self.track.last_seen) <= hold
    }
}

#[cfg(test)]
mod tests;
