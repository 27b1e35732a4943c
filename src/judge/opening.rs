//! How a hit comes to a case: it is permitted, belongs to one that is open, meets a place that
//! rests, or opens one.
//!
//! One subject, one case, however often a tracker loses it, a camera drops out or the box starts
//! again: a subject is known by violation and place, never by a track, nor by a zone: what stands
//! where two overlap is one, also where their rules are two and both warn. A part of a stall whose other part opened the case belongs to it, also when
//! that one was packed up since, and so does whatever stands before a shop whose zone has a case, and whatever
//! is warned at the place that two cameras announce. A box
//! that has been elsewhere knows it by the place of the street and by what it looks like, whichever
//! camera and zone it is in now; and so does a camera whose picture was elsewhere, or nobody knows where.

use sha2::{Digest, Sha256};
use uuid::Builder;

use super::OPEN_CASES_MAX;
use super::book::Book;
use super::case::{Case, Phase, snap, warn};
use super::episode::begins;
use super::finding::Finding;
use super::likeness::likeness;
use super::pages::{Closed, Permitted};
use super::standing::SAME_PLACE_IOU;
use super::whereabouts::{Place, Whereabouts, compare};
use crate::types::{
    Appearance, Area, CaseId, Hit, HitOutcome, Order, Scene, ShotKind, Stamp, Violation,
};

/// Closed cases remembered for their cool-down.
const CLOSED_MAX: usize = 256;
/// Permitted things remembered, so that each is told once.
const PERMITTED_MAX: usize = 256;

impl Book {
    /// Takes in one hit. Whatever becomes of it is told once per episode. What is no hit because nothing moves
    /// in the picture orders nothing, but lets its episode go on.
    pub(super) fn take(&mut self, scene: &Scene, hit: &Finding, orders: &mut Vec<Order>) {
        let at = scene.at;
        let here = Whereabouts::of(scene);
        let waits = |said: Option<Stamp>| begins(said, at) && !hit.is_hit();
        // Of what two rules forbid the first speaks, and the other is not shouted after it.
        let warned = hit.permit.is_none() && hit.violation.warns_first();
        let of =
            |violation: Violation| violation == hit.violation || warned && violation.warns_first();
        let same = |violation: Violation, camera: usize, at: (Area, Option<Area>)| {
            of(violation) && camera == scene.camera && is_one(at, hit)
        };
        // The shop is the subject, whichever of its things is outside; what a permit covers is not. And what
        // another camera sees of a place that both announce may be the same.
        let of_shop = hit.violation == Violation::OutOfStore && hit.permit.is_none();
        let shared = &self.shared;
        let zone = |violation: Violation, zone: &str, place: Option<Whereabouts>| {
            let shop = of_shop && violation == hit.violation && zone == hit.zone;
            let shared = || {
                shared
                    .iter()
                    .any(|(a, b)| (&**a, &**b) == (zone, &*hit.zone))
            };
            (shop || warned && of(violation) && shared()) && compare(place, here) != Place::Left
        };
        // Where the picture went nobody knows, or it may have come back: what may be he is he.
        let again = |violation: Violation, place: Option<Whereabouts>, looks: &[Appearance]| {
            of(violation) && compare(place, here) != Place::Left && may_be_the_same(looks, hit)
        };
        let open = &mut self.pages.open;
        let known = open.iter().position(|c| {
            !c.gone && same(c.violation, c.camera, (c.area, c.around))
                || zone(c.violation, &c.zone, c.place)
        });
        let lost = |c: &Case| c.gone && c.camera == scene.camera && hit.permit.is_none();
        let known = known.or_else(|| {
            let mut open = open.iter();
            open.position(|c| lost(c) && again(c.violation, c.place, &c.looks))
        });
        if let Some(case) = known.and_then(|i| open.get_mut(i)) {
            if waits(Some(case.said)) {
                return;
            }
            if begins(Some(case.said), at) {
                let told = told(hit, HitOutcome::Belongs, scene);
                orders.push(hit_order(case.id, told));
            }
            case.said = at;
            return;
        }
        if let Some(permit) = &hit.permit {
            return self.permit(scene, hit, permit, orders);
        }
        let closed = &mut self.pages.closed;
        let cooling = closed.iter_mut().find(|c| {
            let by_picture = !c.gone && same(c.violation, c.camera, (c.area, c.around));
            let lost = c.left || c.gone && c.camera == scene.camera;
            by_picture && compare(c.place, here) != Place::Left
                || zone(c.violation, &c.zone, c.place)
                || lost && again(c.violation, c.place, &c.looks)
        });
        if let Some(place) = cooling {
            if waits(place.said) {
                return;
            }
            if begins(place.said, at) {
                let told = told(hit, HitOutcome::CoolingDown, scene);
                orders.push(hit_order(place.case, told));
            }
            place.said = Some(at);
            return;
        }
        if hit.is_hit() {
            self.make_room(at, orders);
            self.open(scene, hit, orders);
        }
    }

    /// Ends the oldest case where no more can be open.
    fn make_room(&mut self, at: Stamp, orders: &mut Vec<Order>) {
        if self.pages.open.len() == OPEN_CASES_MAX {
            // What was recorded at once has its evidence and ends within minutes.
            let open = &self.pages.open;
            let oldest = open.iter().position(|c| c.violation.warns_first());
            let oldest = self.pages.open.remove(oldest.unwrap_or(0));
            orders.push(Order::Discard {
                case: oldest.id,
                why: format!("{OPEN_CASES_MAX} cases are open; the oldest gave way"),
                hit: Box::new(oldest.hit(HitOutcome::GaveWay, at)),
            });
            self.close(&oldest, at);
        }
    }

    /// Tells a permitted hit, once per episode.
    fn permit(&mut self, scene: &Scene, hit: &Finding, permit: &str, orders: &mut Vec<Order>) {
        let same = |p: &&mut Permitted| {
            p.violation == hit.violation
                && p.camera == scene.camera
                && p.area.iou(hit.area) >= SAME_PLACE_IOU
        };
        let known = self.pages.permitted.iter_mut().find(same);
        let new = known
            .as_ref()
            .is_none_or(|p| begins(Some(p.said), scene.at));
        if new && !hit.is_hit() {
            return;
        }
        if let Some(known) = known {
            (known.said, known.area) = (scene.at, hit.area);
        } else {
            if self.pages.permitted.len() == PERMITTED_MAX {
                self.pages.permitted.remove(0);
            }
            self.pages.permitted.push(Permitted {
                violation: hit.violation,
                camera: scene.camera,
                zone: hit.zone.clone(),
                area: hit.area,
                said: scene.at,
            });
        }
        if new {
            self.pages.opened += 1;
            let told = Hit {
                permit: Some(permit.to_owned()),
                ..told(hit, HitOutcome::Permitted, scene)
            };
            orders.push(hit_order(self.new_id(scene), told));
        }
    }

    fn open(&mut self, scene: &Scene, hit: &Finding, orders: &mut Vec<Order>) {
        self.pages.opened += 1;
        let mut case = Case {
            id: self.new_id(scene),
            violation: hit.violation,
            camera: scene.camera,
            zone: hit.zone.clone(),
            roles: hit.roles,
            unnamed: hit.unnamed,
            area: hit.area,
            around: whole(hit),
            gone: false,
            fired_at: Some(hit.area),
            first_seen: hit.since,
            confirmed: scene.at,
            came: hit.came,
            phase: if hit.violation.warns_first() {
                Phase::Warning { since: scene.at }
            } else {
                Phase::Recording
            },
            grace: self.grace_of(hit.violation),
            tries: 0,
            clip_cut: false,
            warning: None,
            said: scene.at,
            place: Whereabouts::of(scene),
            prior: None,
            looks: hit.looks.clone(),
            crossed: None,
            absorbed: false,
            away: None,
            went: false,
        };
        case.prior = (self.history).prior(&self.pages, &case, self.is_moving(case.camera));
        let told = Hit {
            gates: hit.gates.clone(),
            ..case.hit(HitOutcome::Opened, scene.at)
        };
        orders.push(hit_order(case.id, told));
        for (kind, at, area) in &hit.shots {
            orders.push(snap(&case, *kind, *at, Some(*area)));
        }
        if case.violation.warns_first() {
            orders.push(snap(&case, ShotKind::Found, scene.at, Some(case.area)));
            orders.push(warn(&case));
        } else {
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
        let known_by_looks = case.place.is_some() || self.is_moving(case.camera);
        self.pages.closed.push(Closed {
            violation: case.violation,
            camera: case.camera,
            zone: case.zone.clone(),
            area: case.area,
            around: case.around,
            at,
            case: case.id,
            said: None,
            place: case.place,
            left: false,
            gone: case.gone,
            looks: if known_by_looks {
                case.looks.clone()
            } else {
                Vec::new()
            },
        });
    }

    /// Forgets the places that have rested long enough, and what a permit covered and is not there
    /// any more. A camera that is not looked at forgets nothing of that.
    pub(super) fn cool(&mut self, scene: &Scene) {
        let (now, cool_down) = (scene.at, self.cool_down);
        let rests = |c: &Closed| now.since(c.at) < cool_down.of(c.violation);
        self.pages.closed.retain(rests);
        let unseen = |p: &Permitted| p.camera != scene.camera || !scene.view.is_good();
        let permitted = &mut self.pages.permitted;
        permitted.retain(|p| unseen(p) || !begins(Some(p.said), now));
    }
}

/// Whether a hit may be whom a box met before it drove round the block, by what he looked like:
/// where that is not clear it is the same, and he is left in peace.
fn may_be_the_same(looks: &[Appearance], hit: &Finding) -> bool {
    let alike = |now: &Appearance| likeness(looks, Some(*now));
    let alike = hit.looks.iter().filter_map(alike).max();
    alike.is_none_or(|a| a >= Appearance::OTHER_BELOW)
}

/// Whether what stood at `area`, a part of the stall `around` it, stands where the hit does: there, or
/// as a part of its stall, or the hit as a part of that one. Who folds his umbrella is still there.
fn is_one((area, around): (Area, Option<Area>), hit: &Finding) -> bool {
    let holds = |stall: Option<Area>, part: Area| {
        let middle = part.centre();
        stall.is_some_and(|stall| {
            (stall.x0..=stall.x1).contains(&middle.x) && (stall.y0..=stall.y1).contains(&middle.y)
        })
    };
    area.iou(hit.area) >= SAME_PLACE_IOU || holds(whole(hit), area) || holds(around, hit.area)
}

/// The stall of which the hit is a part.
fn whole(hit: &Finding) -> Option<Area> {
    (hit.around != hit.area).then_some(hit.around)
}

fn hit_order(case: CaseId, hit: Hit) -> Order {
    Order::Hit {
        case,
        hit: Box::new(hit),
    }
}

/// What became of a hit at `scene`.
fn told(hit: &Finding, outcome: HitOutcome, scene: &Scene) -> Hit {
    Hit {
        outcome,
        violation: hit.violation,
        camera: scene.camera,
        zone: hit.zone.clone(),
        since: hit.since,
        at: scene.at,
        permit: None,
        gates: hit.gates.clone(),
    }
}
