//! What is remembered of a place: which cases ended there with a warning that was heard. The first
//! time is treated as such (Administrative Penalty Law, article 33), as the configuration says.
//!
//! Ages are told by UTC, because a history is longer than a boot. An age that cannot be told, and a
//! place that cannot be told to be the same, count for the vendor: as if nothing were remembered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Config, FirstTime};
use crate::types::{Area, CaseId, Stamp, Violation};

use super::case::Case;
use super::pages::Pages;
use super::whereabouts::{Place, Whereabouts, compare};

/// Cases remembered in all; the oldest gives way.
const PAST_MAX: usize = 1024;
const DAY: Duration = Duration::from_hours(24);

/// A case that ended with a warning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Past {
    case: CaseId,
    violation: Violation,
    camera: usize,
    zone: String,
    area: Area,
    place: Option<Whereabouts>,
    at: Stamp,
}

/// What the configuration says of histories.
pub(super) struct History {
    vending: (FirstTime, Duration),
    out_of_store: (FirstTime, Duration),
}

impl History {
    pub(super) fn new(config: &Config) -> Self {
        let judge = &config.judge;
        let (v, o) = (&judge.street_vending, &judge.out_of_store);
        Self {
            vending: (v.first_time, DAY * v.history_days),
            out_of_store: (o.first_time, DAY * o.history_days),
        }
    }

    /// What is done the first time, and how long one is remembered.
    fn of(&self, violation: Violation) -> (FirstTime, Duration) {
        match violation {
            Violation::StreetVending => self.vending,
            Violation::OutOfStore => self.out_of_store,
            Violation::Spillage => (FirstTime::Record, Duration::ZERO),
        }
    }

    /// Earlier cases at the place of this one; `None` when none are remembered.
    ///
    /// Where its camera is `moving`, a place of the picture that was remembered without a place of the
    /// street may be any: the box may have driven on while nobody looked.
    pub(super) fn prior(&self, pages: &Pages, case: &Case, moving: bool) -> Option<u32> {
        let (_, keep) = self.of(case.violation);
        let here = pages.past.iter().filter(|p| {
            let told = !moving || p.place.is_some() || case.place.is_none();
            let box_stood = told && compare(p.place, case.place) == Place::Same;
            let same = (p.violation, p.camera) == (case.violation, case.camera);
            let place = p.zone == case.zone && case.is_at(p.area) && box_stood;
            same && place && age(p.at, case.confirmed).is_some_and(|age| age <= keep)
        });
        let count = u32::try_from(here.count()).unwrap_or(u32::MAX);
        (!keep.is_zero()).then_some(count)
    }

    /// Whether the case is only reminded of the law: it is the first at its place.
    pub(super) fn reminds(&self, case: &Case) -> bool {
        self.of(case.violation).0 == FirstTime::Remind && case.prior == Some(0)
    }

    /// Remembers a case that was warned and has ended at `at`.
    pub(super) fn remember(&self, pages: &mut Pages, case: &Case, at: Stamp) {
        if self.of(case.violation).1.is_zero() {
            return;
        }
        if pages.past.len() == PAST_MAX {
            pages.past.remove(0);
        }
        pages.past.push(Past {
            case: case.id,
            violation: case.violation,
            camera: case.camera,
            zone: case.zone.clone(),
            area: case.area,
            place: case.place,
            at,
        });
    }
}

impl Past {
    /// Where it was, to be found again in another configuration.
    pub(super) fn where_mut(&mut self) -> (&mut usize, &str, Violation) {
        (&mut self.camera, &self.zone, self.violation)
    }

    /// Camera and place, to move with the picture of a moving camera.
    pub(super) fn place_mut(&mut self) -> (usize, &mut Area) {
        (self.camera, &mut self.area)
    }
}

/// Time from `then` to `now` by UTC; `None` when one of the clocks is not trusted.
pub(super) fn age(then: Stamp, now: Stamp) -> Option<Duration> {
    let trusted = |at: Stamp| at.error_ns != Stamp::ERROR_UNKNOWN;
    let ns = now.utc_ns.checked_sub(then.utc_ns)?;
    let ns = u64::try_from(ns).ok()?;
    (trusted(then) && trusted(now)).then(|| Duration::from_nanos(ns))
}
