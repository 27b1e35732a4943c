//! The case book: what is done about a suspicion.
//!
//! ```text
//! warn first:
//!   suspicion ─▶ Warning ──heard out──▶ Heard ─▶ Grace ──over──▶ Looking ──still there──▶ persisted
//!      Snap(Found) │  ▲                Snap(Warned)                  │
//!      Warn        │  │ again                                       └──gone──▶ corrected
//!                  ▼  │                                          Snap(Again), Clip, Seal
//!               Unheard ──third time──▶ discarded     not to be said now ──▶ hushed
//! record at once:
//!   suspicion ─▶ Recording ──after the clip's end──▶ recorded
//!      Snap(Before, Moved, Peak)  Snap(After), Clip, Seal
//! ```
//!
//! **Invariants.** One subject (violation, zone, place), one case: a second suspicion at the place
//! of an open case belongs to it, and within the cool-down of a closed one nothing is done. What
//! becomes of a suspicion is told once per episode: a case has one opening and one end, and what
//! is not said for a minute and then said again is another episode. The book is plain data: saved
//! with each order and resumed after a restart (`resumed`).

use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Builder;

use crate::config::Config;
use crate::types::{
    Area, CaseId, HitOutcome, Order, Outcome, Scene, ShotKind, Stamp, Violation, WarnReport,
};

use super::case::{
    Case, Closed, Pages, Phase, begins, discard, end_hushed, present, seal, snap, suppressed, warn,
    warn_again,
};
use super::resumed::Resumed;
use super::rules::Suspicion;
use super::sight::spoilt;
use super::standing::SAME_PLACE_IOU;
use super::{OPEN_CASES_MAX, secs};

/// A loudspeaker that says nothing for this long will not.
const REPORT_WITHIN: Duration = Duration::from_mins(10);
/// A warning that could not be played is tried this often in all.
const WARN_TRIES_MAX: u32 = 3;
/// Pause before a warning is tried again.
pub(super) const WARN_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// The second look ends when the subject was seen this often …
const SEEN_AGAIN_MIN: u32 = 3;
/// … in at least this share of the looks, …
const SEEN_AGAIN_SHARE: f64 = 0.5;
/// … or, with the benefit of the doubt, after this long.
const LOOK_FOR: Duration = Duration::from_secs(10);
/// A second look later than this after the grace time proves nothing about persistence.
const LOOK_LATE_MAX: Duration = Duration::from_mins(30);
/// Access units arrive a little after their capture time.
const CLIP_MARGIN: Duration = Duration::from_millis(500);
/// Closed cases remembered for their cool-down.
const CLOSED_MAX: usize = 256;
/// Layout of the saved book.
const VERSION: u32 = 1;

/// The case book.
pub(super) struct Book {
    pub(super) pages: Pages,
    /// Pages of an earlier run that has not seen a scene yet.
    pub(super) resumed: Option<Resumed>,
    device: String,
    /// Grace times of street vending and out-of-store business.
    grace: [Duration; 2],
    /// Cool-downs of street vending, out-of-store business and spillage.
    cool_down: [Duration; 3],
    clip_before: Duration,
    clip_after: Duration,
}

impl Book {
    pub(super) fn new(config: &Config, boot_id: &str) -> Self {
        let judge = &config.judge;
        let (v, o) = (&judge.street_vending, &judge.out_of_store);
        Self {
            pages: Pages {
                v: VERSION,
                boot_id: boot_id.to_owned(),
                opened: 0,
                open: Vec::new(),
                closed: Vec::new(),
            },
            resumed: None,
            device: config.device.id.clone(),
            grace: [secs(v.grace_secs), secs(o.grace_secs)],
            cool_down: [
                v.cool_down_secs,
                o.cool_down_secs,
                judge.spillage.cool_down_secs,
            ]
            .map(secs),
            clip_before: secs(config.evidence.clip_before_secs),
            clip_after: secs(config.evidence.clip_after_secs),
        }
    }

    pub(super) fn open_cases(&self) -> usize {
        self.pages.open.len()
    }

    pub(super) fn is_open(&self, id: CaseId) -> bool {
        self.pages.open.iter().any(|case| case.id == id)
    }

    pub(super) fn hear(&mut self, report: WarnReport) {
        let Some(case) = self.pages.open.iter_mut().find(|c| c.id == report.case) else {
            return;
        };
        if !matches!(case.phase, Phase::Warning { .. }) {
            return;
        }
        case.tries += 1;
        case.phase = match report.hushed.as_ref().or(report.failure.as_ref()) {
            None => Phase::Heard,
            Some(why) if report.hushed.is_some() => Phase::Hushed { why: why.clone() },
            Some(why) if case.tries < WARN_TRIES_MAX => Phase::Unheard {
                since: report.at,
                why: why.clone(),
            },
            Some(why) => Phase::Broken {
                why: format!("the warning could not be played: {why}"),
            },
        };
        case.warning = Some(report);
    }

    pub(super) fn step(&mut self, scene: &Scene, suspicions: Vec<Suspicion>) -> Vec<Order> {
        if let Some(resumed) = self.resumed.take() {
            self.pages.go_on(resumed, scene.at);
        }
        self.pages.carry(scene);
        self.cool(scene.at);
        let mut orders = Vec::new();
        for mut case in std::mem::take(&mut self.pages.open) {
            if self.advance(&mut case, scene, &mut orders) {
                self.close(&case, scene.at);
            } else {
                self.pages.open.push(case);
            }
        }
        for suspicion in suspicions {
            self.suspect(scene, suspicion, &mut orders);
        }
        orders
    }

    /// Brings one case forward by one scene; true when it has ended.
    fn advance(&self, case: &mut Case, scene: &Scene, orders: &mut Vec<Order>) -> bool {
        let now = scene.at;
        let here = case.camera == scene.camera;
        if here && let Some(why) = spoilt(case, scene, self.grace(case.violation)) {
            return discard(case, now, why, orders);
        }
        if here && !case.clip_cut && now.since(case.confirmed) >= self.clip_after + CLIP_MARGIN {
            orders.push(self.clip(case, now));
        }
        match case.phase.clone() {
            Phase::Warning { since } => {
                let silent = now.since(since) >= REPORT_WITHIN;
                let why = "the loudspeaker never reported back";
                silent && discard(case, now, why.to_owned(), orders)
            }
            Phase::Broken { why } => discard(case, now, why, orders),
            Phase::Hushed { why } => end_hushed(case, now, why, orders),
            Phase::Unheard { since, why } => {
                here && now.since(since) >= WARN_AGAIN_AFTER
                    && warn_again(case, &why, scene, orders)
            }
            Phase::Heard => {
                if here {
                    orders.push(snap(case, ShotKind::Warned, now, present(case, scene)));
                    case.phase = Phase::Grace { since: now };
                }
                false
            }
            Phase::Grace { since } => {
                let waited = now.since(since);
                let grace = self.grace(case.violation);
                if waited >= grace + LOOK_LATE_MAX {
                    let why = "no picture for the second look within half an hour";
                    return discard(case, now, why.to_owned(), orders);
                }
                if here && waited >= grace {
                    case.phase = Phase::Looking {
                        since: now,
                        looks: 0,
                        seen: 0,
                    };
                    return self.look_again(case, scene, orders);
                }
                false
            }
            Phase::Looking { since, .. } => {
                if now.since(since) >= LOOK_LATE_MAX {
                    let why = "the camera went away during the second look";
                    return discard(case, now, why.to_owned(), orders);
                }
                here && self.look_again(case, scene, orders)
            }
            Phase::Recording => {
                if !case.clip_cut || !here {
                    return false;
                }
                orders.push(snap(case, ShotKind::After, now, present(case, scene)));
                orders.push(seal(case, Outcome::Recorded, None));
                true
            }
        }
    }

    /// One look of the second look; true when it decided the case.
    fn look_again(&self, case: &mut Case, scene: &Scene, orders: &mut Vec<Order>) -> bool {
        let subject = present(case, scene);
        let Phase::Looking { since, looks, seen } = &mut case.phase else {
            return false;
        };
        *looks += 1;
        *seen += u32::from(subject.is_some());
        let enough = *seen >= SEEN_AGAIN_MIN
            && f64::from(*seen) >= SEEN_AGAIN_SHARE * f64::from(*looks)
            && subject.is_some();
        let over = scene.at.since(*since) >= LOOK_FOR && *looks >= SEEN_AGAIN_MIN;
        let (outcome, subject) = match (enough, over) {
            (true, _) => (Outcome::Persisted, subject),
            (false, true) => (Outcome::Corrected, None),
            (false, false) => return false,
        };
        orders.push(snap(case, ShotKind::Again, scene.at, subject));
        if !case.clip_cut {
            orders.push(self.clip(case, scene.at));
        }
        orders.push(seal(case, outcome, Some(scene.at)));
        true
    }

    /// The clip round the moment the rule fired, as far as it has been seen by `now`.
    fn clip(&self, case: &mut Case, now: Stamp) -> Order {
        case.clip_cut = true;
        let end = now.since(case.confirmed).min(self.clip_after);
        Order::Clip {
            case: case.id,
            violation: case.violation,
            from: case.confirmed.shifted_ns(-nanos(self.clip_before)),
            to: case.confirmed.shifted_ns(nanos(end)),
        }
    }

    /// Takes in one suspicion: belongs to an open case, is cooling down, or opens a case. Whatever
    /// becomes of it is told once per episode.
    fn suspect(&mut self, scene: &Scene, suspicion: Suspicion, orders: &mut Vec<Order>) {
        let same = |violation: Violation, camera: usize, zone: &str, area: Area| {
            violation == suspicion.violation
                && camera == scene.camera
                && zone == suspicion.zone
                && area.iou(suspicion.area) >= SAME_PLACE_IOU
        };
        let open = &mut self.pages.open;
        let known = open
            .iter_mut()
            .find(|c| same(c.violation, c.camera, &c.zone, c.area));
        if let Some(case) = known {
            if begins(Some(case.said), scene.at) {
                orders.push(suppressed(case.id, HitOutcome::Belongs, scene, &suspicion));
            }
            case.said = scene.at;
            return;
        }
        let closed = &mut self.pages.closed;
        let cooling = closed
            .iter_mut()
            .find(|c| same(c.violation, c.camera, &c.zone, c.area));
        if let Some(place) = cooling {
            if begins(place.said, scene.at) {
                orders.push(suppressed(
                    place.case,
                    HitOutcome::CoolingDown,
                    scene,
                    &suspicion,
                ));
            }
            place.said = Some(scene.at);
            return;
        }
        if self.pages.open.len() == OPEN_CASES_MAX {
            let oldest = self.pages.open.remove(0);
            orders.push(Order::Discard {
                case: oldest.id,
                why: format!("{OPEN_CASES_MAX} cases are open; the oldest gave way"),
                hit: Box::new(oldest.hit(HitOutcome::GaveWay, scene.at)),
            });
            self.close(&oldest, scene.at);
        }
        self.open(scene, suspicion, orders);
    }

    fn open(&mut self, scene: &Scene, suspicion: Suspicion, orders: &mut Vec<Order>) {
        self.pages.opened += 1;
        let case = Case {
            id: self.new_id(scene),
            violation: suspicion.violation,
            camera: scene.camera,
            zone: suspicion.zone,
            roles: suspicion.roles,
            area: suspicion.area,
            first_seen: suspicion.since,
            confirmed: scene.at,
            phase: if suspicion.violation.warns_first() {
                Phase::Warning { since: scene.at }
            } else {
                Phase::Recording
            },
            tries: 0,
            clip_cut: false,
            warning: None,
            said: scene.at,
        };
        orders.push(Order::Hit {
            case: case.id,
            hit: Box::new(case.hit(HitOutcome::Opened, scene.at)),
        });
        if case.violation.warns_first() {
            orders.push(snap(&case, ShotKind::Found, scene.at, Some(case.area)));
            orders.push(warn(&case));
        } else {
            let before = suspicion.before.map(|shot| (ShotKind::Before, shot));
            let moved = suspicion.moved.map(|shot| (ShotKind::Moved, shot));
            let mut shots: Vec<_> = before.into_iter().chain(moved).collect();
            shots.sort_by_key(|(_, (at, _))| at.boot_ns);
            for (kind, (at, area)) in shots {
                orders.push(snap(&case, kind, at, Some(area)));
            }
            orders.push(snap(&case, ShotKind::Peak, scene.at, Some(case.area)));
        }
        self.pages.open.push(case);
    }

    /// A `UUIDv7` (RFC 9562 section 5.7) whose random bits are a hash of device, camera, moment
    /// and count: unique, and the same again when the same recording is replayed.
    fn new_id(&self, scene: &Scene) -> CaseId {
        let mut hash = Sha256::new();
        hash.update(self.device.as_bytes());
        hash.update(scene.camera.to_be_bytes());
        hash.update(scene.at.utc_ns.to_be_bytes());
        hash.update(scene.at.boot_ns.to_be_bytes());
        hash.update(self.pages.opened.to_be_bytes());
        let mut random = [0; 10];
        random.copy_from_slice(&hash.finalize()[..10]);
        let millis = u64::try_from(scene.at.utc_ms()).unwrap_or(0);
        CaseId(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    pub(super) fn close(&mut self, case: &Case, at: Stamp) {
        if self.pages.closed.len() == CLOSED_MAX {
            self.pages.closed.remove(0);
        }
        self.pages.closed.push(Closed {
            violation: case.violation,
            camera: case.camera,
            zone: case.zone.clone(),
            area: case.area,
            at,
            case: case.id,
            said: None,
        });
    }

    fn cool(&mut self, now: Stamp) {
        let [vending, shopfront, spillage] = self.cool_down;
        self.pages.closed.retain(|c| {
            let cool_down = match c.violation {
                Violation::StreetVending => vending,
                Violation::OutOfStore => shopfront,
                Violation::Spillage => spillage,
            };
            now.since(c.at) < cool_down
        });
    }

    /// The grace time of a warn-first violation; nothing else has one.
    fn grace(&self, violation: Violation) -> Duration {
        match violation {
            Violation::StreetVending => self.grace[0],
            Violation::OutOfStore => self.grace[1],
            Violation::Spillage => Duration::ZERO,
        }
    }
}

fn nanos(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}
