//! The book across a restart: in the same boot by the boot clock, in another one by UTC where both
//! ends are trusted; otherwise the time starts anew, which can only favour the vendor.

use super::book::Book;
use super::case::{Case, Pages, Phase};
use crate::types::{CaseId, Stamp};

/// Where the pages of an earlier run come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resumed {
    /// This boot: the boot clock goes on.
    SameBoot,
    /// Another boot, whose boot clock means nothing here.
    OtherBoot,
}

impl Book {
    pub(super) fn save(&self) -> String {
        serde_json::to_string(&self.pages).expect("invariant: the book is plain data")
    }

    pub(super) fn resume(
        &mut self,
        saved: &str,
        ended: impl Fn(CaseId) -> bool,
    ) -> Result<(), serde_json::Error> {
        let mut pages: Pages = serde_json::from_str(saved)?;
        self.resumed = Some(if pages.boot_id == self.pages.boot_id {
            Resumed::SameBoot
        } else {
            Resumed::OtherBoot
        });
        pages.boot_id.clone_from(&self.pages.boot_id);
        let (over, open) = pages.open.into_iter().partition(|c| ended(c.id));
        pages.open = open;
        for case in &mut pages.open {
            if matches!(case.phase, Phase::Warning { .. }) {
                let why = "restarted while the warning was playing; nobody knows if it was heard";
                case.phase = Phase::Broken {
                    why: why.to_owned(),
                };
            }
        }
        self.pages = pages;
        self.over = over.iter().map(|c: &Case| c.id).collect();
        for case in &over {
            self.close(case, case.confirmed);
        }
        Ok(())
    }
}

impl Pages {
    /// Takes the pages of an earlier run into this one, whose first scene is of `now`.
    pub(super) fn go_on(&mut self, from: Resumed, now: Stamp) {
        if from == Resumed::OtherBoot {
            self.translate(now);
        }
        // The time nobody looked is no gap in a suspicion: a restart begins no episode.
        for case in &mut self.open {
            case.said = now;
        }
        let closed = self.closed.iter_mut().filter_map(|c| c.said.as_mut());
        let permitted = self.permitted.iter_mut().map(|p| &mut p.said);
        for said in closed.chain(permitted) {
            *said = now;
        }
    }

    /// Rewrites the times of another boot in this boot's clock.
    fn translate(&mut self, now: Stamp) {
        for case in &mut self.open {
            match &mut case.phase {
                Phase::Grace { since } | Phase::Unheard { since, .. } => {
                    *since = translated(*since, now);
                }
                looking @ Phase::Looking { .. } => *looking = Phase::looking(now),
                Phase::Warning { .. }
                | Phase::Heard
                | Phase::Recording
                | Phase::Hushed { .. }
                | Phase::Broken { .. } => {}
            }
            // The camera's ring did not outlive the boot.
            case.clip_cut = true;
        }
        for closed in &mut self.closed {
            closed.at = translated(closed.at, now);
        }
    }
}

/// A moment of another boot in this boot's clock: by UTC when both ends are trusted, else now.
fn translated(then: Stamp, now: Stamp) -> Stamp {
    let trusted = then.error_ns != Stamp::ERROR_UNKNOWN && now.error_ns != Stamp::ERROR_UNKNOWN;
    let passed = now.utc_ns.saturating_sub(then.utc_ns);
    if trusted && passed > 0 {
        now.shifted_ns(-passed)
    } else {
        now
    }
}
