//! The case book: what is done about a suspicion.
//!
//! ```text
//! warn first:
//!   suspicion ─▶ Warning ──heard out──▶ Heard ─▶ Grace ──over──▶ Looking ──still there──▶ persisted
//!      Snap(Found) │  ▲                Snap(Warned)                  ├──gone──▶ corrected
//!      Warn        │  │ again      └──first time──▶ reminded        │   Snap(Again), Clip, Seal
//!                  ▼  │                                             └──another there──▶ replaced
//!    no sound ─▶ Unheard ──third time──▶ discarded     not to be said now ──▶ hushed
//!   at each of these steps: allowed by now, or the box has left the place ──▶ discarded
//! record at once:
//!   suspicion ─▶ Recording ──after the clip's end──▶ recorded
//!      Snap(Before, Moved, Plate, Peak)  Snap(After), Clip, Seal
//! ```
//! A step that does not come in time ends the case too (`expire`): discarded, or recorded without
//! its last picture. That needs no camera ([`Book::idle`]).
//!
//! **Invariants.** One subject, one case: a second suspicion at the place of an open case belongs to it,
//! and within the cool-down of a closed one nothing is done; of the two violations that warn first the
//! place alone tells the subject, whichever zone it is in. What
//! becomes of a suspicion is told once per episode: a case has one opening and one end, and what
//! is not said for a minute and then said again is another episode. Who came to the place of one
//! that was warned is another subject, and the place does not rest. The book is plain data: saved
//! with each order and resumed after a restart (`resumed`).

use std::time::Duration;

use crate::config::Config;
use crate::types::{
    CaseId, HitOutcome, Order, Outcome, Scene, ShotKind, Stamp, Violation, WarnReport,
};

use super::case::{Case, Phase, discard, end_hushed, remind, seal, snap};
use super::episode::Episodes;
use super::finding::Finding;
use super::history::History;
use super::pages::Pages;
use super::resumed::{Earlier, Judged};
use super::second_look::{found, place_of, wait, warn_again};
use super::sight::{absorbed, is_due, lives, note_absorbed, spoilt};
use super::whereabouts::{Place, Whereabouts, compare};
use super::{nanos, secs};

/// A loudspeaker that says nothing for this long will not.
const REPORT_WITHIN: Duration = Duration::from_mins(10);
/// A warning that could not be played is tried this often in all …
const WARN_TRIES_MAX: u32 = 3;
/// … unless so much of it sounded: what somebody heard is not said again.
const SOUNDED_MIN: Duration = Duration::from_secs(1);
/// Pause before a warning is tried again.
pub(super) const WARN_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// A step that comes later than this proves nothing: the picture after the warning, the next try to
/// warn, and the second look after the grace time.
const LATE_MAX: Duration = Duration::from_mins(30);
/// What was recorded at once waits no longer than this for its last picture.
const RECORD_LATE_MAX: Duration = Duration::from_mins(2);
/// Access units arrive a little after their capture time.
const CLIP_MARGIN: Duration = Duration::from_millis(500);
/// Layout of the saved book.
const VERSION: u32 = 1;

/// How long the place of an ended case rests.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoolDown {
    vending: Duration,
    out_of_store: Duration,
    spillage: Duration,
}

impl CoolDown {
    pub(super) fn of(self, violation: Violation) -> Duration {
        match violation {
            Violation::StreetVending => self.vending,
            Violation::OutOfStore => self.out_of_store,
            Violation::Spillage => self.spillage,
        }
    }
}

/// Pairs of zones of two cameras that announce one place.
fn shared(config: &Config) -> Vec<(String, String)> {
    let zones = || config.zone.iter();
    let pairs = zones().flat_map(|a| zones().map(move |b| (a, b)));
    let pairs = pairs.filter(|(a, b)| a.shares_place(b));
    let names = pairs.map(|(a, b)| (a.name.clone(), b.name.clone()));
    names.collect()
}

/// The case book.
pub(super) struct Book {
    pub(super) pages: Pages,
    /// The book this run goes on from, before its first moment.
    pub(super) earlier: Option<Earlier>,
    /// Cases of an earlier run whose end was carried out just before that run died.
    pub(super) over: Vec<CaseId>,
    pub(super) history: History,
    /// The zones that are configured.
    pub(super) zones: Vec<Judged>,
    /// Pairs of zones of two cameras that announce one place, each way round.
    pub(super) shared: Vec<(String, String)>,
    pub(super) device: String,
    /// Of each camera, by index, whether its picture may move.
    moving: Vec<bool>,
    episodes: Episodes,
    /// Grace times of street vending and out-of-store business.
    grace: [Duration; 2],
    pub(super) cool_down: CoolDown,
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
                cameras: config.camera.iter().map(|c| c.name.clone()).collect(),
                opened: 0,
                open: Vec::new(),
                closed: Vec::new(),
                permitted: Vec::new(),
                past: Vec::new(),
            },
            earlier: None,
            over: Vec::new(),
            history: History::new(config),
            zones: Judged::all(config),
            shared: shared(config),
            device: config.device.id.clone(),
            moving: config.camera.iter().map(|c| !config.is_fixed(c)).collect(),
            episodes: Episodes::new(config),
            grace: [secs(v.grace_secs), secs(o.grace_secs)],
            cool_down: CoolDown {
                vending: secs(v.cool_down_secs),
                out_of_store: secs(o.cool_down_secs),
                spillage: secs(judge.spillage.cool_down_secs),
            },
            clip_before: secs(config.evidence.clip_before_secs),
            clip_after: secs(config.evidence.clip_after_secs),
        }
    }

    /// Whether the picture of this camera may move.
    pub(super) fn is_moving(&self, camera: usize) -> bool {
        self.moving.get(camera).is_some_and(|moving| *moving)
    }

    pub(super) fn open_cases(&self) -> &[Case] {
        &self.pages.open
    }

    pub(super) fn hear(&mut self, report: WarnReport) {
        let Some(case) = self.pages.open.iter_mut().find(|c| c.id == report.case) else {
            return;
        };
        if !matches!(case.phase, Phase::Warning { .. }) {
            return;
        }
        case.tries += 1;
        let since = report.at;
        case.phase = match (report.hushed.clone(), report.failure.clone()) {
            (Some(why), _) => Phase::Hushed { why },
            (None, None) => Phase::Heard,
            (None, Some(why)) if report.played >= SOUNDED_MIN => Phase::Broken {
                why: format!("the warning was not for certain heard out: {why}"),
            },
            (None, Some(why)) if case.tries < WARN_TRIES_MAX => Phase::Unheard { since, why },
            (None, Some(why)) => Phase::Broken {
                why: format!("the warning could not be played: {why}"),
            },
        };
        case.warning = Some(report);
    }

    /// Takes in one scene with what the rules found in it, and notes there what became of it;
    /// `allowed` says why a case's subject, of which the rule found this, may stand there by now.
    pub(super) fn step(
        &mut self,
        scene: &Scene,
        findings: &mut [Finding],
        allowed: impl Fn(&Case, Option<&Finding>) -> Option<String>,
    ) -> Vec<Order> {
        self.go_on(scene.at);
        self.pages.carry(scene);
        self.episodes.look(&mut self.pages, scene);
        self.cool(scene);
        let mut orders = Vec::new();
        for mut case in std::mem::take(&mut self.pages.open) {
            let allowed = |case: &Case| allowed(case, found(case, findings));
            note_absorbed(&mut case, scene);
            let over = self.expire(&mut case, (scene.camera, scene.at), &mut orders)
                || self.spoils(&case, scene, allowed, &mut orders)
                || self.advance(&mut case, (scene, findings), &mut orders);
            self.put_back(case, over, (scene.at, &orders));
        }
        for hit in findings.iter_mut().filter(|f| f.speaks()) {
            let before = orders.len();
            self.take(scene, hit, &mut orders);
            hit.became = orders[before..].iter().find_map(|order| match order {
                Order::Hit { case, hit } => Some((*case, hit.outcome)),
                _ => None,
            });
        }
        orders
    }

    /// Takes in that it is `now`, whether `camera` gives pictures or not: what waits for one that
    /// does not come ends.
    pub(super) fn idle(&mut self, camera: usize, now: Stamp) -> Vec<Order> {
        self.go_on(now);
        let mut orders = Vec::new();
        for mut case in std::mem::take(&mut self.pages.open) {
            let over = self.expire(&mut case, (camera, now), &mut orders);
            self.put_back(case, over, (now, &orders));
        }
        orders
    }

    /// Keeps a case open, or closes it when it is `over` by the last of the orders.
    fn put_back(&mut self, case: Case, over: bool, (at, orders): (Stamp, &[Order])) {
        if !over {
            return self.pages.open.push(case);
        }
        let outcome = orders.last().and_then(Order::hit).map(|h| h.outcome);
        if outcome.is_some_and(HitOutcome::was_warned) {
            self.history.remember(&mut self.pages, &case, at);
        }
        if outcome != Some(HitOutcome::Replaced) {
            self.close(&case, at);
        }
    }

    /// Ends a case whose next step is due and can prove nothing any more; true when it has ended.
    fn spoils(
        &self,
        case: &Case,
        scene: &Scene,
        allowed: impl Fn(&Case) -> Option<String>,
        orders: &mut Vec<Order>,
    ) -> bool {
        if case.camera != scene.camera || !is_due(case, scene.at, self.grace(case)) {
            return false;
        }
        let left = compare(case.place, Whereabouts::of(scene)) == Place::Left;
        let left = left.then(|| "left the place".to_owned());
        let unseen = || case.out_of_picture().map(str::to_owned);
        let blind = || spoilt(scene).or_else(|| absorbed(case, scene));
        let why = (left.or_else(unseen).or_else(blind)).or_else(|| allowed(case));
        why.is_some_and(|why| discard(case, scene.at, why, orders))
    }

    /// Ends a case that has waited too long for its next step, whatever any camera shows; true
    /// when it has ended. Who was warned is not held to it for hours; what was recorded at once is
    /// evidence without the picture that did not come.
    fn expire(
        &self,
        case: &mut Case,
        (camera, now): (usize, Stamp),
        orders: &mut Vec<Order>,
    ) -> bool {
        // A reminder is complete when it was heard.
        if case.phase == Phase::Heard && self.history.reminds(case) {
            return remind(case, now, orders);
        }
        // Of another boot, as long as nobody knows how long ago it was, by the time since then.
        let told = case.told_ago(now);
        let told = told.or_else(|| Some(now.since(case.crossed?)));
        let late = |limit: Duration| told.is_some_and(|told| told >= limit);
        let why = match &case.phase {
            Phase::Warning { since } if now.since(*since) >= REPORT_WITHIN => {
                "the loudspeaker never reported back".to_owned()
            }
            Phase::Broken { why } => why.clone(),
            Phase::Hushed { why } => return end_hushed(case, now, why.clone(), orders),
            Phase::Unheard { why, .. } if late(LATE_MAX) => {
                format!("no picture within half an hour of the try to warn ({why})")
            }
            Phase::Heard if late(LATE_MAX) => {
                "no picture within half an hour of the warning".to_owned()
            }
            Phase::Grace { .. } | Phase::Looking { .. }
                if late(self.grace(case) + LATE_MAX) =>
            {
                "no second look within half an hour of the end of the grace time: no picture, none in \
                 which anything changed, or none that tells what stands there"
                    .to_owned()
            }
            Phase::Recording if case.camera == camera => {
                let confirmed = case.since_confirmed(now);
                if confirmed.is_some_and(|since| since < RECORD_LATE_MAX) {
                    return false;
                }
                if !case.clip_cut {
                    orders.push(self.clip(case, now));
                }
                orders.push(seal(case, Outcome::Recorded, None, (None, Vec::new())));
                return true;
            }
            _ => return false,
        };
        discard(case, now, why, orders)
    }

    /// Brings one case forward by one scene; true when it has ended.
    fn advance(
        &self,
        case: &mut Case,
        (scene, findings): (&Scene, &[Finding]),
        orders: &mut Vec<Order>,
    ) -> bool {
        let now = scene.at;
        let here = case.camera == scene.camera;
        if here && !case.clip_cut && now.since(case.confirmed) >= self.clip_after + CLIP_MARGIN {
            orders.push(self.clip(case, now));
        }
        // A car that does not know where it is may be somewhere else: nothing is seen of the case.
        let placed = compare(case.place, Whereabouts::of(scene)) != Place::Unknown;
        // And a case of another boot waits until the clock says how long the box was off.
        let dated = case.crossed.is_none() || case.told_ago(now).is_some();
        let here = here && (placed && dated || !case.violation.warns_first());
        match case.phase.clone() {
            Phase::Unheard { since, why } => {
                here && lives(scene)
                    && now.since(since) >= WARN_AGAIN_AFTER
                    && warn_again(case, &why, (scene, findings), orders)
            }
            Phase::Heard => {
                if here {
                    orders.push(snap(case, ShotKind::Warned, now, place_of(case, scene)));
                    case.phase = Phase::Grace { since: now };
                }
                false
            }
            Phase::Grace { since } => {
                let grace = self.grace(case);
                if !here || now.since(since) < grace {
                    return false;
                }
                // A picture that hangs shows what stood there, and not what does.
                let over = since.shifted_ns(nanos(grace));
                if !lives(scene) || !scene.changed.is_since(over) {
                    wait(case, scene);
                    return false;
                }
                case.phase = Phase::looking(now);
                self.look_again(case, (scene, findings), orders)
            }
            Phase::Looking { .. } if !lives(scene) => false,
            Phase::Looking { .. } => here && self.look_again(case, (scene, findings), orders),
            Phase::Recording => {
                if !case.clip_cut || !here {
                    return false;
                }
                orders.push(snap(case, ShotKind::After, now, place_of(case, scene)));
                orders.push(seal(case, Outcome::Recorded, None, (None, Vec::new())));
                true
            }
            Phase::Warning { .. } | Phase::Hushed { .. } | Phase::Broken { .. } => false,
        }
    }

    /// The clip round the moment the rule fired, as far as it has been seen by `now`; it begins before
    /// who is to blame came.
    pub(super) fn clip(&self, case: &mut Case, now: Stamp) -> Order {
        case.clip_cut = true;
        let begun = case.came.unwrap_or(case.confirmed);
        let end = now.since(case.confirmed).min(self.clip_after);
        Order::Clip {
            case: case.id,
            violation: case.violation,
            from: begun.shifted_ns(-nanos(self.clip_before)),
            to: case.confirmed.shifted_ns(nanos(end)),
        }
    }

    /// The grace time of a case: as it was when it was warned, or as it is by now, whichever is longer.
    pub(super) fn grace(&self, case: &Case) -> Duration {
        case.grace.max(self.grace_of(case.violation))
    }

    /// The grace time of a warn-first violation; nothing else has one.
    pub(super) fn grace_of(&self, violation: Violation) -> Duration {
        match violation {
            Violation::StreetVending => self.grace[0],
            Violation::OutOfStore => self.grace[1],
            Violation::Spillage => Duration::ZERO,
        }
    }
}
