//! Whether a camera sees what it was set up to see.
//!
//! ```text
//! frame ──measure──▶ what it looks like now ──▶ bad for bad_secs  ──▶ view is bad
//!                         │                     good for good_secs ──▶ view is good
//!                         └ held against the reference (fixed cameras)
//! ```
//! What is measured is in [`measure`], how a picture is held against the reference in
//! [`reference`]. A fixed camera has a reference: its own picture, averaged over the first good
//! minute. As the light of the day changes, further looks of the same place are learned, each only
//! while what was seen a moment before still fits: who turns the camera breaks that chain, the
//! evening does not. What is bad becomes good only when the reference is recognised again.
//!
//! **Invariants.** A view begins bad when the reference is there and is not recognised in the first
//! frame: a camera may have been turned while the box was off. Memory is bounded: eight looks. The
//! same frames give the same views.
//!
//! **Not here.** Keeping the reference, telling people (`daemon`); what a bad view does to cases
//! (`judge`).

#[cfg(test)]
mod coded;
mod measure;
mod reference;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::config;
use crate::types::{Area, Change, Image, Stamp, View};

use super::luma::Luma;
use measure::{Changes, Clock, Measured, Still};
use reference::{Averages, Fit, Match};

pub use reference::Reference;

/// How often a view is looked at: nothing here happens faster, and it need not cost more.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Nobody knows what a view was between two looks that are further apart, nor than two looks and a half of
/// a camera that is looked at more slowly, but …
const AWAY: Duration = Duration::from_secs(3);
/// … none is looked at more slowly than this.
const AWAY_SLOW: Duration = Duration::from_secs(30);
/// A reference or a further look is averaged over this long.
const LEARN_FOR: Duration = Duration::from_mins(1);

/// What the guard has to say after a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// What the view is worth.
    pub view: View,
    /// What was measured, where the view has just changed.
    pub changed: Option<String>,
    /// Whether the reference has just been taken, or has learned another look of the place.
    pub learned: bool,
}

/// The guard of one camera.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    limits: Limits,
    clock: Option<Clock>,
    still: Still,
    changes: Changes,
    /// The reference of a fixed camera, once there is one.
    reference: Option<Reference>,
    averages: Option<Averages>,
    view: View,
    /// Since when it looks otherwise than `view` says, and like what.
    against: Option<(View, Stamp)>,
    looked: Option<Stamp>,
    /// How far apart the last two looks were.
    every: Duration,
    /// Since when everything has been good and there was something to learn.
    learning: Option<Stamp>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    bad: Duration,
    good: Duration,
    shift_max: f64,
    frozen: Duration,
}

impl Guard {
    /// The guard of `camera`. `fixed`: it looks at the same place for good, and has `reference`
    /// from an earlier run or takes one.
    pub(super) fn new(
        config: &config::Guard,
        camera: &config::Camera,
        fixed: bool,
        reference: Option<Reference>,
    ) -> Self {
        let secs = |value| Duration::try_from_secs_f64(value).unwrap_or_default();
        let area = match camera.clock_area[..] {
            [x0, y0, x1, y1] => Some(Area { x0, y0, x1, y1 }),
            _ => None,
        };
        Self {
            limits: Limits {
                bad: secs(config.bad_secs),
                good: secs(config.good_secs),
                shift_max: config.shift_max,
                frozen: secs(config.frozen_secs),
            },
            clock: area.map(Clock::new),
            still: Still::default(),
            changes: Changes::new(area),
            reference: reference.filter(|_| fixed),
            averages: fixed.then(Averages::default),
            view: View::Good,
            against: None,
            looked: None,
            every: LOOK_EVERY,
            learning: None,
        }
    }

    /// The reference, to be kept.
    pub(super) fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }

    /// Whether the view looks otherwise than it counts, and it is not known yet for how long.
    pub(super) fn doubts(&self) -> bool {
        self.against.is_some()
    }

    /// When something last changed in the picture for certain.
    pub(super) fn changed(&self) -> Change {
        self.changes.last()
    }

    /// Takes in the frame of moment `at`; `luma` is drawn from `image`.
    pub(super) fn look(&mut self, at: Stamp, image: &Image, luma: &Luma) -> Watched {
        let soon = self.looked.is_some_and(|then| at.since(then) < LOOK_EVERY);
        if soon || luma.height() == 0 {
            return Watched {
                view: self.view,
                ..Watched::default()
            };
        }
        let first = self.looked.is_none();
        let since = self.looked.map_or(LOOK_EVERY, |then| at.since(then));
        self.looked = Some(at);
        let since = self.seen_for(since);
        self.changes.look(at, luma);
        let now = Measured::of(image, luma);
        let standing = self.standing(at, image, &now);
        let matched = self.averages.as_mut().map(|averages| {
            averages.take(luma, since);
            averages.held_against(self.reference.as_ref())
        });
        let (looks_like, why) = self.judge(&now, standing, matched.as_ref());
        if looks_like.is_good()
            && let Some(averages) = &mut self.averages
        {
            averages.settle(since);
        }
        let changed = self.turn(looks_like, at, first);
        let learned = self.learn(at, looks_like, &now, matched.as_ref());
        Watched {
            view: self.view,
            changed: changed.then_some(why),
            learned,
        }
    }

    /// For how long a view is known by a look `since` after the one before: when the camera was away in
    /// between, for no longer than by any look, and what was to last began anew.
    fn seen_for(&mut self, since: Duration) -> Duration {
        let slow = (self.every * 5 / 2).min(AWAY_SLOW);
        self.every = since;
        if since <= AWAY.max(slow) {
            return since;
        }
        (self.learning, self.against) = (None, None);
        LOOK_EVERY
    }

    /// What in the picture stands that should not.
    fn standing(&mut self, at: Stamp, image: &Image, now: &Measured) -> Option<View> {
        let limit = self.limits.frozen;
        let clock = self.clock.as_mut().map(|clock| clock.stands(at, image));
        if self.still.stands(at, now.digest) >= limit {
            return Some(View::Frozen);
        }
        (clock? >= limit).then_some(View::ClockStuck)
    }

    /// What this frame looks like, and by what.
    fn judge(
        &self,
        now: &Measured,
        standing: Option<View>,
        matched: Option<&Match>,
    ) -> (View, String) {
        if let Some(view) = now.fault() {
            return (view, now.words());
        }
        if let Some(view) = standing {
            let secs = self.limits.frozen.as_secs();
            return (view, format!("unchanged for {secs} s"));
        }
        let Some(matched) = matched.filter(|_| self.reference.is_some()) else {
            return (View::Good, now.words());
        };
        let words = format!("{}, {}", now.words(), matched.words());
        let sharp = self.reference.as_ref().and_then(Reference::acutance);
        match matched.best {
            Fit::Found { shift, .. } if shift > self.limits.shift_max => (View::Moved, words),
            // Nothing of the reference is recognised. While the view was good until now and still
            // fits what was there a moment ago, it is the light that changed.
            Fit::Lost { .. } if !(self.view.is_good() && matched.chained) => (View::Moved, words),
            _ if now.is_blurred(sharp) => (View::Unfocused, words),
            _ => (View::Good, words),
        }
    }

    /// Lets the view follow what it looks like, in its own time; true when it changed.
    fn turn(&mut self, looks_like: View, at: Stamp, first: bool) -> bool {
        if looks_like == self.view {
            self.against = None;
            return false;
        }
        let since = match self.against {
            // One fault after another is one time of trouble; what is good must be so throughout.
            Some((before, since)) if before.is_good() == looks_like.is_good() => since,
            _ => at,
        };
        self.against = Some((looks_like, since));
        let limit = if looks_like.is_good() {
            self.limits.good
        } else {
            self.limits.bad
        };
        let over = first || at.since(since) >= limit;
        if over {
            (self.view, self.against) = (looks_like, None);
        }
        over
    }

    /// Takes the reference, or learns another look of the place; true when it did.
    fn learn(
        &mut self,
        at: Stamp,
        looks_like: View,
        now: &Measured,
        matched: Option<&Match>,
    ) -> bool {
        let (Some(averages), Some(matched)) = (&self.averages, matched) else {
            return false;
        };
        let due = self.view.is_good()
            && looks_like.is_good()
            && matched.chained
            && (self.reference.is_none() || matched.best.is_faint());
        if !due {
            self.learning = None;
            return false;
        }
        let since = *self.learning.get_or_insert(at);
        if at.since(since) < LEARN_FOR {
            return false;
        }
        self.learning = None;
        let look = averages.look(at, now.acutance);
        match &mut self.reference {
            Some(reference) => reference.add(look),
            None => self.reference = Some(Reference::new(look)),
        }
        true
    }
}
