//! Episodes: what is said of a place again and again is told once.
//!
//! A suspicion not said for a minute and then said again is another episode. But a rule that was
//! not asked for a while (a restart, a camera that was away, a bad view) forgot what stood there,
//! and must see it stand for the whole dwell before it can say it again: that silence is none. Nor
//! is the time of a restart, until the cameras are back.

use std::time::Duration;

use super::history::age;
use super::pages::Pages;
use super::standing::Watch;
use super::{nanos, secs};
use crate::config::Config;
use crate::types::{Scene, Stamp, Violation};

/// A suspicion not said for this long and then said again is another episode.
const EPISODE_GAP: Duration = Duration::from_mins(1);
/// What was said longer ago by an earlier run, as far as anybody knows, was another episode.
const RESTART_MAX: Duration = Duration::from_mins(30);

/// What is known of the rules' looks.
pub(super) struct Episodes {
    /// Each camera's, by index.
    looked: Vec<Watch>,
    /// Dwells of street vending and out-of-store business.
    dwell: [Duration; 2],
}

impl Episodes {
    pub(super) fn new(config: &Config) -> Self {
        let judge = &config.judge;
        let dwell = [
            judge.street_vending.dwell_secs,
            judge.out_of_store.dwell_secs,
        ];
        Self {
            looked: vec![Watch::default(); config.camera.len()],
            dwell: dwell.map(secs),
        }
    }

    /// Takes in that the rules look at a scene, unless its view is bad. When they begin anew, what
    /// they said lately counts as said when they can say it again.
    pub(super) fn look(&mut self, pages: &mut Pages, scene: &Scene) {
        let [vending, out_of_store] = self.dwell;
        let dwell = |violation| match violation {
            Violation::StreetVending => vending,
            Violation::OutOfStore => out_of_store,
            // What lay there when a road began to be watched is not said again.
            Violation::Spillage => Duration::ZERO,
        };
        let looked = self.looked.get_mut(scene.camera);
        let Some(looked) = looked.filter(|_| scene.view.is_good()) else {
            return;
        };
        let (first, now) = (looked.since().is_none(), scene.at);
        if looked.take(scene) != now {
            return;
        }
        if first {
            pages.forget_said(scene.camera, now);
        }
        let here = pages.said().filter(|(camera, ..)| *camera == scene.camera);
        // What is left of an earlier run goes on; of another boot its moment means nothing here.
        for (_, violation, said) in here.filter(|(.., said)| first || !begins(Some(**said), now)) {
            *said = now.shifted_ns(nanos(dwell(violation)));
        }
    }
}

impl Pages {
    /// Forgets what an earlier run said before `camera` too long ago for it to go on.
    fn forget_said(&mut self, camera: usize, now: Stamp) {
        let old = |said: Stamp| age(said, now).is_some_and(|age| age >= RESTART_MAX);
        for closed in self.closed.iter_mut().filter(|c| c.camera == camera) {
            closed.said = closed.said.filter(|said| !old(*said));
        }
        self.permitted
            .retain(|p| p.camera != camera || !old(p.said));
    }

    /// What was said: of which camera and violation, and when last.
    fn said(&mut self) -> impl Iterator<Item = (usize, Violation, &mut Stamp)> {
        let open = self.open.iter_mut();
        let open = open.map(|c| (c.camera, c.violation, &mut c.said));
        let closed = self.closed.iter_mut();
        let closed = closed.filter_map(|c| Some((c.camera, c.violation, c.said.as_mut()?)));
        let permitted = self.permitted.iter_mut();
        let permitted = permitted.map(|p| (p.camera, p.violation, &mut p.said));
        open.chain(closed).chain(permitted)
    }
}

/// Whether a suspicion said at `now`, and before that at `said`, begins another episode.
pub(super) fn begins(said: Option<Stamp>, now: Stamp) -> bool {
    said.is_none_or(|said| now.since(said) >= EPISODE_GAP)
}
