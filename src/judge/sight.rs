//! What a view that is not good does to an open case: nobody is warned by it, and no second look
//! rests on it.
//!
//! A case of a warn-first rule whose next step is due in a bad view is thrown away, for the vendor:
//! nobody knows what he did meanwhile. Until then it waits, so that a moment's glare during the
//! grace time ends nothing. What is recorded at once goes on: its pictures were taken when the view
//! was good, and the last of them is measured against the first like any other.
//!
//! So it is with what only the background sees, when the background is learned anew (after a start, a
//! bad view, a change of light), or it has stood there for so long that it belongs to it: what stands there
//! then is taken for the street, and would seem gone.
//!
//! And a picture in which nothing changes may hang: it opens no case, and nobody is warned by it.

use std::time::Duration;

use crate::types::{Area, Change, Gate, Role, Scene, Stamp};

use super::book::WARN_AGAIN_AFTER;
use super::case::{Case, Phase};
use super::finding::{FRESH, gate};
use super::nanos;
use super::standing::WITHIN_MIN;

/// The longest that nothing changed in living pictures was 6.5 s (decision 0059). Longer, and a picture may
/// hang; where it does not, the next change comes soon enough.
const LIVES: Duration = Duration::from_secs(10);

/// Whether the next step of a warn-first case is to be taken at `now`.
pub(super) fn is_due(case: &Case, now: Stamp, grace: Duration) -> bool {
    let waited = |since| now.since(since);
    match &case.phase {
        Phase::Heard | Phase::Looking { .. } => true,
        Phase::Grace { since } => waited(*since) >= grace,
        Phase::Unheard { since, .. } => waited(*since) >= WARN_AGAIN_AFTER,
        Phase::Warning { .. } | Phase::Recording | Phase::Hushed { .. } | Phase::Broken { .. } => {
            false
        }
    }
}

/// Why the view of `scene` ends a case of its camera whose next step is due; `None` when it does
/// not.
pub(super) fn spoilt(scene: &Scene) -> Option<String> {
    let view = scene.view.name();
    let told = || format!("the camera's view was bad ({view}) when the next look was due");
    (!scene.view.is_good()).then(told)
}

/// What covers less of a case's place than this is a speck, of which a street has many, and no part of what stands there.
const PART_MIN: f32 = 0.1;

/// Notes of a case whether what stands at its place, or a part of what was taken for it, is taken for the
/// street from this scene on.
pub(super) fn note_absorbed(case: &mut Case, scene: &Scene) {
    let within = |a: Area, b: Area| a.share_in(b) >= WITHIN_MIN;
    case.absorbed |= case.camera == scene.camera
        && scene.absorbed.iter().any(|&area| {
            (within(area, case.area) || within(case.area, area))
                && case.area.share_in(area) >= PART_MIN
        });
}

/// Whether the model gives what stands at the place of a case another name, of which no rule asks: it may be
/// what was warned, by that name, or something put before it. Then nobody can tell whether that has gone. A
/// bag or a dog in front of it is neither: as of what the background finds (decision 0070), the box has to
/// hold half of it.
pub(super) fn named_otherwise(case: &Case, scene: &Scene) -> bool {
    let hides = |area: &Area| case.area.share_in(*area) >= WITHIN_MIN;
    is_unnamed(case) && case.camera == scene.camera && scene.roleless.iter().any(hides)
}

/// Only the background saw it. One look as `goods` in a hundred does not make it goods.
fn is_unnamed(case: &Case) -> bool {
    case.unnamed || case.roles.is_only(Role::Object)
}

/// Why what `scene` does not show of a case proves nothing, though its view is good: only before the
/// background could it be seen, and that has been learned since, or has taken it in. `None` when it proves
/// something.
pub(super) fn absorbed(case: &Case, scene: &Scene) -> Option<String> {
    let older = scene
        .background_since
        .is_some_and(|since| case.crossed.is_some() || case.confirmed.boot_ns < since.boot_ns);
    let older = older || case.absorbed;
    let told = || "what stood there could not be told from the street any more".to_owned();
    (older && is_unnamed(case)).then(told)
}

/// Whether something changed in the picture just now, so that it is no sensor that hangs behind a coder
/// that does not: of its picture nobody is warned.
pub(super) fn lives(scene: &Scene) -> bool {
    scene.changed.is_since(scene.at.shifted_ns(-nanos(LIVES)))
}

/// Through `scene` something was seen to change lately, or not; nothing where nobody watches for it.
pub(super) fn living(scene: &Scene) -> Option<Gate> {
    let limit = format!("something changed within {} s", LIVES.as_secs_f64());
    (scene.changed != Change::NotWatched).then(|| gate(FRESH, told(scene), limit, lives(scene)))
}

/// When something last changed in the picture, in words.
pub(super) fn told(scene: &Scene) -> String {
    match scene.changed {
        Change::NotWatched => "not watched".to_owned(),
        Change::NotYet => "nothing changed".to_owned(),
        Change::At(at) => format!("changed {:.1} s before", scene.at.since(at).as_secs_f64()),
    }
}
