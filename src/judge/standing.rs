//! What stands still where: dwell by place, not by track.
//!
//! A tracker loses and renames a stall when a bus passes before it; the stall does not start
//! standing anew because of that. So dwell is counted for a *spot*: the area where a thing of the
//! wanted roles was first seen. Whoever walks leaves his first area within a second and never
//! collects dwell. Two things of different roles at one place, seen at one moment, are two spots;
//! but a new thing in the box of a known one is that thing, seen twice, and its spot says so.
//!
//! Where the picture of a moving camera went nobody can tell, nothing goes on standing.
//!
//! A frame that was held back because nothing moved is no look: it counts in no share. What stood
//! there before goes on standing meanwhile.

use std::time::Duration;

use super::likeness::Looks;
use crate::types::{Area, Detection, Moved, Role, RoleSet, Scene, Stamp, Track};

/// A thing and a spot are the same when their boxes overlap at least this much.
pub(super) const SAME_PLACE_IOU: f32 = 0.3;
/// A spot not seen for this long is given up.
pub(super) const GAP_MAX: Duration = Duration::from_secs(3);
/// The same where a camera is looked at so rarely that longer would pass between its looks: two and
/// a half times the latest interval between two, up to this.
const GAP_SLOW_MAX: Duration = Duration::from_secs(15);
/// Share of the looks in which the thing must have been seen.
pub(super) const SEEN_SHARE_MIN: f64 = 0.5;
/// Spots followed per zone; a fuller scene is a crowd, not a market to be judged.
const SPOTS_MAX: usize = 64;
/// What is of no known class in this share of the looks in which it was seen has none.
const UNNAMED_MIN: f64 = 0.5;
/// What lies in the box of another thing by this share is that thing.
pub(super) const WITHIN_MIN: f32 = 0.5;
/// Who comes to a road and goes.
pub(super) const MOVERS: [Role; 4] = [Role::Person, Role::Vehicle, Role::Truck, Role::Tricycle];

/// How far apart the looks of a camera are: five a second, or one each key frame. What was not
/// seen for a while must not be given up between two of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    last: Option<Stamp>,
    every: Duration,
}

impl Pace {
    /// Takes in a look, and gives how long a thing may have gone unseen at it, besides the time in
    /// which nothing moved: `gap`, or as long as two looks and a half. What counts is the pace before
    /// this look, without what was held back: a camera that was away has not been looked at slowly.
    pub(super) fn take(&mut self, scene: &Scene, gap: Duration) -> Duration {
        let slow = (self.every * 5 / 2).min(GAP_SLOW_MAX);
        let last = self.last;
        let since = last.map_or(Duration::ZERO, |last| scene.at.since(last));
        self.every = since.saturating_sub(scene.held);
        self.last = Some(scene.at);
        gap.max(slow)
    }
}

/// Looks without a gap between two of them, at one picture: when nobody can tell how that moved, they
/// begin anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    pace: Pace,
    /// The first of them, and the last.
    looks: Option<(Stamp, Stamp)>,
}

impl Watch {
    /// Takes in a look; gives the first one since when there was no gap.
    pub(super) fn take(&mut self, scene: &Scene) -> Stamp {
        let gap = self.pace.take(scene, GAP_MAX) + scene.held;
        let before = self.looks;
        let before = before.filter(|_| scene.moved != Moved::Unknown);
        let before = before.filter(|(_, last)| scene.at.since(*last) <= gap);
        let first = before.map_or(scene.at, |(first, _)| first);
        self.looks = Some((first, scene.at));
        first
    }

    /// The first of them.
    pub(super) fn since(&self) -> Option<Stamp> {
        self.looks.map(|(first, _)| first)
    }
}

/// A place where something stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Tells it from the others of its zone.
    pub(super) id: u64,
    /// Where it was first seen.
    anchor: Area,
    /// Where it was last seen.
    pub(super) area: Area,
    /// What it was taken for, all looks together.
    pub(super) roles: RoleSet,
    /// What it was taken for when it was last seen.
    pub(super) now: RoleSet,
    /// Whether it was another thing, seen twice, when it was last seen.
    pub(super) explained: bool,
    /// Since when it is there.
    pub(super) since: Stamp,
    /// When it came to light there: seen, though perhaps not yet for what it is.
    pub(super) came: Stamp,
    /// Since when its standing counts against it: not while it was allowed.
    pub(super) counted: Stamp,
    /// Last time it was seen.
    last_seen: Stamp,
    /// For how long nothing has moved since.
    still: Duration,
    looks: u32,
    seen: u32,
    /// Looks in which it was what its rule asks for.
    pub(super) fitting: u32,
    /// Whether it was when it was last seen.
    pub(super) fits: bool,
    /// Looks in which it was of no known class.
    unnamed: u32,
    /// Looks in which it was what its rule asks for by itself, without anything beside it.
    pub(super) whole: u32,
    /// Looks in which somebody attended to it.
    pub(super) attended: u32,
    /// How tall in the picture the tallest was who attended to it last; `None` when nobody ever did.
    pub(super) keeper: Option<f32>,
    /// What it looked like.
    pub(super) looks_like: Looks,
}

impl Spot {
    /// How long it has stood.
    pub(super) fn stood(&self) -> Duration {
        self.last_seen.since(self.since)
    }

    /// How long its standing counts against it.
    pub(super) fn counts(&self) -> Duration {
        self.last_seen.since(self.counted)
    }

    /// Since when it stands there against the rule, or, where it is `permitted`, at all.
    pub(super) fn stands_since(&self, permitted: bool) -> Stamp {
        if permitted { self.since } else { self.counted }
    }

    /// Share of the looks in which it was really seen.
    pub(super) fn seen_share(&self) -> f64 {
        f64::from(self.seen) / f64::from(self.looks.max(1))
    }

    /// Share of the looks in which it was really seen as what its rule asks for.
    pub(super) fn fitting_share(&self) -> f64 {
        f64::from(self.fitting) / f64::from(self.looks.max(1))
    }

    /// Takes in whether it is what its rule asks for in the look at hand.
    pub(super) fn fit(&mut self, fits: bool) {
        self.fitting += u32::from(fits);
        self.fits = fits;
    }

    /// Whether it was of no known class in half of the looks: then it is no more than that, whatever it
    /// was taken for in the others.
    pub(super) fn is_unnamed(&self) -> bool {
        self.share(self.unnamed) >= UNNAMED_MIN
    }

    /// What it may be licensed as.
    pub(super) fn licensed_as(&self) -> RoleSet {
        let object: RoleSet = [Role::Object].into_iter().collect();
        if self.is_unnamed() {
            object
        } else {
            self.roles
        }
    }

    /// Share of the looks in which it was seen that `count` is.
    pub(super) fn share(&self, count: u32) -> f64 {
        f64::from(count) / f64::from(self.seen.max(1))
    }

    /// Whether this and `other` are one thing that was seen twice: one of them is of no known class,
    /// and the other lies in its box.
    pub(super) fn is_one_with(&self, other: &Self) -> bool {
        let unnamed = |s: &Self| s.now.is_only(Role::Object);
        let within = |a: Area, b: Area| a.share_in(b) >= WITHIN_MIN;
        let meet = within(self.area, other.area) || within(other.area, self.area);
        meet && unnamed(self) != unnamed(other)
    }

    /// Whether a thing at `area` stands at its place.
    pub(super) fn is_at(&self, area: Area) -> bool {
        self.anchor.iou(area) >= SAME_PLACE_IOU
    }
}

/// Every spot of one zone.
#[derive(Debug, Default)]
pub(super) struct Standing {
    spots: Vec<Spot>,
    begun: u64,
    pace: Pace,
}

impl Standing {
    /// Takes in one scene: `wanted` says which areas belong to the zone, given whether something
    /// stands there already. Gives the spots that were given up.
    pub(super) fn look(
        &mut self,
        scene: &Scene,
        roles: RoleSet,
        wanted: impl Fn(Area, bool) -> bool,
    ) -> Vec<Spot> {
        let gap = self.pace.take(scene, GAP_MAX);
        for spot in &mut self.spots {
            spot.still += scene.held;
        }
        // On a vehicle the street moves through the picture; its places go with it.
        let carry = |area: &mut Area| scene.moved.carry(area);
        (self.spots).retain_mut(|s| carry(&mut s.anchor) && carry(&mut s.area));
        let gone = |s: &mut Spot| scene.at.since(s.last_seen) > gap + s.still;
        let gone: Vec<Spot> = self.spots.extract_if(.., gone).collect();
        for spot in &mut self.spots {
            spot.looks += 1;
        }
        for track in &scene.tracks {
            let d = &track.detection;
            if track.last_seen != scene.at || !d.roles.meets(roles) {
                continue;
            }
            let explained = is_explained(d, scene);
            let roles = d.roles.common(roles);
            let known = self.place_of(d.area, roles, scene.at);
            if !wanted(d.area, known.is_some()) {
                continue;
            }
            match known.and_then(|i| self.spots.get_mut(i)) {
                // What is named is what the spot is, also when its own shadow in the background came first.
                Some(spot) if spot.last_seen == scene.at => {
                    if spot.explained && !explained {
                        spot.area = d.area;
                        spot.roles = spot.roles.with(roles);
                        spot.now = roles;
                        spot.explained = false;
                    }
                }
                Some(spot) => {
                    spot.looks_like.take(scene.at, track.appearance);
                    spot.area = d.area;
                    spot.roles = spot.roles.with(roles);
                    spot.now = roles;
                    spot.explained = explained;
                    spot.last_seen = scene.at;
                    spot.still = Duration::ZERO;
                    spot.seen += 1;
                }
                None => self.begin(track, roles, explained),
            }
        }
        for spot in self.seen_at_mut(scene.at) {
            spot.unnamed += u32::from(spot.now.is_only(Role::Object));
        }
        gone
    }

    fn begin(&mut self, track: &Track, roles: RoleSet, explained: bool) {
        if self.spots.len() < SPOTS_MAX {
            let (at, area) = (track.last_seen, track.detection.area);
            let mut looks_like = Looks::default();
            looks_like.take(at, track.appearance);
            self.begun += 1;
            self.spots.push(Spot {
                id: self.begun,
                anchor: area,
                area,
                roles,
                now: roles,
                explained,
                since: at,
                came: track.came.unwrap_or(at),
                counted: at,
                last_seen: at,
                still: Duration::ZERO,
                looks: 1,
                seen: 1,
                fitting: 0,
                fits: false,
                unnamed: 0,
                whole: 0,
                attended: 0,
                keeper: None,
                looks_like,
            });
        }
    }

    /// The spot a thing belongs to. One that is not taken at this moment may also be of another
    /// role: a detector changes its mind about one thing more often than it sees two in one.
    fn place_of(&self, area: Area, roles: RoleSet, at: Stamp) -> Option<usize> {
        let here = self.spots.iter().enumerate();
        let here = here.filter(|(_, s)| s.is_at(area));
        let (same, other): (Vec<_>, Vec<_>) = here.partition(|(_, s)| s.roles.meets(roles));
        let other = other.into_iter().filter(|(_, s)| s.last_seen != at);
        let nearest = |list: Vec<(usize, &Spot)>| {
            let by_overlap = |a: &(usize, &Spot), b: &(usize, &Spot)| {
                a.1.anchor.iou(area).total_cmp(&b.1.anchor.iou(area))
            };
            list.into_iter().max_by(by_overlap).map(|(i, _)| i)
        };
        nearest(same).or_else(|| nearest(other.collect()))
    }

    /// The spots that have not been given up.
    pub(super) fn alive(&self) -> &[Spot] {
        &self.spots
    }

    /// The spots seen in the scene of moment `at`.
    pub(super) fn seen_at(&self, at: Stamp) -> impl Iterator<Item = &Spot> {
        self.spots.iter().filter(move |s| s.last_seen == at)
    }

    /// The same, to be changed.
    pub(super) fn seen_at_mut(&mut self, at: Stamp) -> impl Iterator<Item = &mut Spot> {
        self.spots.iter_mut().filter(move |s| s.last_seen == at)
    }
}

/// Whether what looks like a new thing is a thing that is known, seen twice: it lies in the box of
/// one. An object may be a dog, which no rule asks for. Debris may be goods that fell, but nobody who came
/// to the road.
fn is_explained(thing: &Detection, scene: &Scene) -> bool {
    let unnamed = |role: Role| matches!(role, Role::Object | Role::Debris);
    let object = thing.roles.is_only(Role::Object);
    let debris = thing.roles.is_only(Role::Debris);
    let explains = |role: Role| object && !unnamed(role) || debris && MOVERS.contains(&role);
    let seen = scene.tracks.iter().filter(|t| t.last_seen == scene.at);
    let known = seen.filter(|t| t.detection.roles.iter().any(explains));
    let known = known.map(|t| t.detection.area);
    let roleless = scene.roleless.iter().copied().filter(|_| object);
    (known.chain(roleless)).any(|area| thing.area.share_in(area) >= WITHIN_MIN)
}
