//! The second look: whether what was warned still does what it was warned for.
//!
//! It asks what the rule asks, but for how long and how often: a look in which the thing stands
//! where it may, or is not any more what may not stand there, is a look in which it was not seen.
//! Who pulled his rack behind the line by a hand's breadth did what the warning told him. And it asks
//! whether the thing looks like the one that was warned: in several looks, and in the one that is
//! pictured. Among fifty looks one is alike by chance, or was of him as he left. It begins when the
//! grace time is over and then something has changed in the picture: one that hangs proves nothing,
//! however often it is looked at.

use std::time::Duration;

use crate::types::{
    Appearance, Area, Change, Gate, Order, Outcome, Scene, ShotKind, Stamp, Track, Violation,
};

use super::book::Book;
use super::case::{Case, Phase, discard, end_replaced, seal, snap, warn};
use super::finding::{FRESH, Finding, gate, percent};
use super::likeness::likeness;
use super::sight;

/// The second look ends when the subject was seen this often …
const SEEN_AGAIN_MIN: u32 = 3;
/// … in at least this share of the looks, …
const SEEN_AGAIN_SHARE: f64 = 0.5;
/// … and looked like the subject in this many of them, or, with the benefit of the doubt, after …
const ALIKE_LOOKS: usize = 3;
/// … this long …
const LOOK_FOR: Duration = Duration::from_secs(10);
/// … and so many looks: in fewer [`SEEN_AGAIN_MIN`] may yet be half.
const LOOKS_MIN: u32 = 2 * SEEN_AGAIN_MIN;

/// What is seen at the subject's place in this very scene, whether it may be there or not: its role,
/// its size.
pub(super) fn present<'a>(case: &Case, scene: &'a Scene) -> Option<&'a Track> {
    let overlap = |t: &Track| t.detection.area.iou(case.area);
    scene
        .tracks
        .iter()
        .filter(|t| t.last_seen == scene.at && t.detection.roles.meets(case.roles))
        .filter(|t| case.is_at(t.detection.area))
        .max_by(|a, b| overlap(a).total_cmp(&overlap(b)))
}

/// Where that is.
pub(super) fn place_of(case: &Case, scene: &Scene) -> Option<Area> {
    present(case, scene).map(|t| t.detection.area)
}

/// What the rule says of what stands at the subject's place: its role, its size.
pub(super) fn found<'a>(case: &Case, findings: &'a [Finding]) -> Option<&'a Finding> {
    let overlap = |f: &Finding| f.area.iou(case.area);
    let here = findings.iter().filter(|f| is_of(case, f));
    here.max_by(|a, b| overlap(a).total_cmp(&overlap(b)))
}

/// Warns again what still may not be there; nobody shouts after one who has gone, or has done by
/// himself what the warning would tell him.
pub(super) fn warn_again(
    case: &mut Case,
    why: &str,
    (scene, findings): (&Scene, &[Finding]),
    orders: &mut Vec<Order>,
) -> bool {
    if offender(case, scene, findings).is_none() {
        let seen = present(case, scene).is_some();
        let now = if seen { "as it should be" } else { "gone" };
        let why = format!("{now} before it could be warned ({why})");
        return discard(case, scene.at, why, orders);
    }
    case.phase = Phase::Warning { since: scene.at };
    orders.push(warn(case));
    false
}

/// What is seen at the subject's place in this very scene and may not be there: its role, its size.
fn offender<'a>(case: &Case, scene: &'a Scene, findings: &[Finding]) -> Option<&'a Track> {
    let seen = |f: &Finding| {
        let mut tracks = scene.tracks.iter();
        tracks.find(|t| {
            let d = &t.detection;
            t.last_seen == scene.at && d.area == f.area && d.roles.meets(case.roles)
        })
    };
    let overlap = |t: &Track| t.detection.area.iou(case.area);
    let here = findings.iter().filter(|f| is_of(case, f));
    let forbidden = here.filter(|f| f.is_forbidden()).filter_map(seen);
    forbidden.max_by(|a, b| overlap(a).total_cmp(&overlap(b)))
}

fn is_of(case: &Case, f: &Finding) -> bool {
    let rule = f.violation == case.violation && f.zone == case.zone;
    rule && f.roles.meets(case.roles) && case.is_at(f.area)
}

/// Whether other things of the shop than the case's have stood outside for long.
fn others_stand(case: &Case, findings: &[Finding]) -> bool {
    let of_shop = |f: &&Finding| f.violation == case.violation && f.zone == case.zone;
    case.violation == Violation::OutOfStore
        && findings
            .iter()
            .filter(of_shop)
            .any(|f| f.is_hit() && f.is_forbidden())
}

/// One look while the second look waits for a picture that lives. One that hangs may show somebody
/// who has gone; somebody who is not there has gone, or had before it hung. Before a lens that may be covered
/// nobody is seen to be away.
pub(super) fn wait(case: &mut Case, scene: &Scene) {
    let seen = present(case, scene).is_some();
    if scene.doubted || seen || sight::named_otherwise(case, scene) {
        case.away = None;
        return;
    }
    let since = *case.away.get_or_insert(scene.at);
    case.went |= scene.at.since(since) >= LOOK_FOR;
}

impl Book {
    /// One look of the second look; true when it decided the case. What stands there must not only
    /// be there but look like the subject: then it has persisted at once. When that is not clear
    /// after all, it has persisted as far as anybody can tell, and the package says so; when it
    /// is clearly another, it has not.
    pub(super) fn look_again(
        &self,
        case: &mut Case,
        (scene, findings): (&Scene, &[Finding]),
        orders: &mut Vec<Order>,
    ) -> bool {
        // Before a lens that somebody may just have covered nothing is seen, nor where the model has another
        // name for what stands there, and nobody has gone: that is no look, and what was seen before it is not
        // held against what is seen after it.
        let there = offender(case, scene, findings);
        if scene.doubted || there.is_none() && sight::named_otherwise(case, scene) {
            case.phase = Phase::looking(scene.at);
            return false;
        }
        let now = likeness(&case.looks, there.and_then(|t| t.appearance));
        let nothing_known = case.looks.is_empty();
        let Phase::Looking {
            since,
            looks,
            seen,
            best,
        } = &mut case.phase
        else {
            return false;
        };
        *looks += 1;
        *seen += u32::from(there.is_some());
        take_look(best, now);
        let alike = alike_in(best);
        let stands =
            *seen >= SEEN_AGAIN_MIN && f64::from(*seen) >= SEEN_AGAIN_SHARE * f64::from(*looks);
        let looked_for = scene.at.since(*since);
        let over = looked_for >= LOOK_FOR && *looks >= LOOKS_MIN;
        // What is pictured is no more like it than the picture shows.
        let pictured = alike.zip(now).map(|(alike, now)| alike.min(now));
        let same = pictured.is_some_and(|alike| alike >= Appearance::SAME_MIN);
        let decided = over || nothing_known || same;
        let gates = gates((*seen, *looks, stands), (looked_for, decided), scene);
        let subject = there.map(|t| t.detection.area);
        let (outcome, subject) = match (stands, subject) {
            (true, Some(_)) if decided && case.went => {
                let why =
                    "it had gone when the grace time was over, and what stands there came later";
                return discard(case, scene.at, why.to_owned(), orders);
            }
            // The picture must show it.
            (true, Some(area)) if decided => (Outcome::Persisted, Some(area)),
            (false, _) if over && others_stand(case, findings) => {
                let why = "what was warned has gone, and other things of the shop still stand out";
                return discard(case, scene.at, why.to_owned(), orders);
            }
            (false, _) if over => (Outcome::Corrected, None),
            _ => return false,
        };
        let least = alike.into_iter().chain(now).min();
        let other = least.filter(|alike| *alike < Appearance::OTHER_BELOW && subject.is_some());
        if let Some(alike) = other {
            return end_replaced(case, scene.at, (alike, gates), orders);
        }
        orders.push(snap_end(case, outcome, scene.at, subject));
        if !case.clip_cut {
            orders.push(self.clip(case, scene.at));
        }
        let pictured = pictured.filter(|_| subject.is_some());
        orders.push(seal(case, outcome, Some(scene.at), (pictured, gates)));
        true
    }
}

/// Takes down how like the subject a look was, if it is among the best.
fn take_look(best: &mut Vec<u16>, now: Option<u16>) {
    best.extend(now);
    best.sort_unstable_by(|a, b| b.cmp(a));
    best.truncate(ALIKE_LOOKS);
}

/// How like the subject so many looks were at least. Fewer can tell that it is another, and never that it
/// is the same: then nobody can tell.
fn alike_in(best: &[u16]) -> Option<u16> {
    let least = best.last().copied();
    least.filter(|least| best.len() == ALIKE_LOOKS || *least < Appearance::SAME_MIN)
}

/// A picture of the second look, which tells how the case ends.
fn snap_end(case: &Case, outcome: Outcome, at: Stamp, subject: Option<Area>) -> Order {
    let mut order = snap(case, ShotKind::Again, at, subject);
    if let Order::Snap { outcome: told, .. } = &mut order {
        *told = Some(outcome);
    }
    order
}

/// How the second look came to its end, as conditions of having persisted.
fn gates(
    (seen, looks, stands): (u32, u32, bool),
    (time, decided): (Duration, bool),
    scene: &Scene,
) -> Vec<Gate> {
    let told = format!("{seen} of {looks} looks");
    let limit = format!(
        ">= {SEEN_AGAIN_MIN} and {} of looks",
        percent(SEEN_AGAIN_SHARE)
    );
    let looked = format!("{:.1} s", time.as_secs_f64());
    let long = format!(">= {} s where it is not clear", LOOK_FOR.as_secs_f64());
    vec![
        gate("seen_again", told, limit, stands),
        gate("looked_for", looked, long, decided),
        lives(scene),
    ]
}

/// That the picture lives: the second look begins with the first change after the grace time.
fn lives(scene: &Scene) -> Gate {
    let limit = "something in the picture changed after the grace time";
    gate(
        FRESH,
        sight::told(scene),
        limit,
        scene.changed != Change::NotYet,
    )
}
