//! What a view that is not good does to an open case: nobody is warned by it, and no second look
//! rests on it.
//!
//! A case of a warn-first rule whose next step is due in a bad view is thrown away, for the vendor:
//! nobody knows what he did meanwhile. Until then it waits, so that a moment's glare during the
//! grace time ends nothing. What is recorded at once goes on: its pictures were taken when the view
//! was good, and the last of them is measured against the first like any other.

use std::time::Duration;

use crate::types::Scene;

use super::book::WARN_AGAIN_AFTER;
use super::case::{Case, Phase};

/// Why the view of `scene`, which is of the case's own camera, ends the case; `None` while it does
/// not.
pub(super) fn spoilt(case: &Case, scene: &Scene, grace: Duration) -> Option<String> {
    let waited = |since| scene.at.since(since);
    let due = match &case.phase {
        Phase::Heard | Phase::Looking { .. } => true,
        Phase::Grace { since } => waited(*since) >= grace,
        Phase::Unheard { since, .. } => waited(*since) >= WARN_AGAIN_AFTER,
        Phase::Warning { .. } | Phase::Recording | Phase::Hushed { .. } | Phase::Broken { .. } => {
            false
        }
    };
    let bad = due && !scene.view.is_good();
    bad.then(|| {
        let view = scene.view.name();
        format!("the camera's view was bad ({view}) when the next look was due")
    })
}
