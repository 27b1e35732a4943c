//! A package that a person asked for: what a camera shows now, and who wanted to see it.
//!
//! It goes the way of every package (pictures, clip, seal, queue, receipt) and claims no violation:
//! its statement is of another type, names the person and the command, and is a lead for ever.
//!
//! **Invariants.** All of it is done within one message, so that none waits half-made; what cannot
//! be finished is thrown away, as soon as the disk permits or at the next start. The package's id follows from the command's: a command that is done
//! again after a crash finds its package made, or makes it. So many in a day and no more
//! (`captures_per_day`): a person with a script must not take the room of what the rules find.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::clock;
use crate::store::{Ended, Store, StoreError};
use crate::types::{Area, CaseId, CaseRecord, Frame, ShotKind, Stamp, View, Violation};
use crate::witness::{ABOUT_CAPTURE, Asked, Fate, FileEntry};

use super::asks::Answer;
use super::darkroom::Shot;
use super::dossier::{Sealing, established};
use super::keeper::Keeper;
use super::notes::Notes;
use super::work::Work;

/// Milliseconds in which `captures_per_day` counts.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Captures that could not be thrown away and are remembered.
const HALF_MADE_MAX: usize = 16;
/// The whole picture.
const EVERYTHING: Area = Area {
    x0: 0.0,
    y0: 0.0,
    x1: 1.0,
    y1: 1.0,
};

/// What is to be captured, with all it needs.
pub(super) struct Capture {
    pub(super) id: CaseId,
    pub(super) asked: Asked,
    /// What the view was worth.
    pub(super) view: View,
    /// Start of the clip; its end is the frame.
    pub(super) from: Stamp,
    /// The frame with what was seen in it; no orders, and no book.
    pub(super) work: Work,
    pub(super) answer: Answer,
}

/// What a package is about.
#[derive(Clone, Copy)]
pub(super) enum About<'a> {
    /// A case at its end.
    Case(&'a CaseRecord),
    /// What a person asked for.
    Asked {
        asked: &'a Asked,
        /// When the picture was taken.
        at: Stamp,
    },
}

impl About<'_> {
    pub(super) fn violation(self) -> Option<Violation> {
        match self {
            Self::Case(record) => Some(record.violation),
            Self::Asked { .. } => None,
        }
    }

    /// When the outcome was established, or the picture taken.
    pub(super) fn at(self) -> Stamp {
        match self {
            Self::Case(record) => established(record),
            Self::Asked { at, .. } => at,
        }
    }
}

/// Throws away what a run that was cut short had begun: the command, when it is done again, begins
/// anew. `open`: whether the book has a case open.
pub(super) fn clear(store: &Store, open: impl Fn(CaseId) -> bool) -> Result<(), StoreError> {
    for case in store.open_cases()? {
        if !open(case) && has_asked(&store.drafts(case)?) {
            store.discard(case, "the daemon ended before it was sealed", None)?;
        }
    }
    Ok(())
}

/// Whether the picture that a person asked for is among these files.
fn has_asked(files: &[FileEntry]) -> bool {
    files.iter().any(|file| file.name.ends_with("-asked.jpg"))
}

/// The id of the package that `command` has `device` make: a `UUIDv7` of the command's time whose
/// random bits are a hash, so that nobody can choose it to be another package's.
pub(super) fn package_id(device: &str, command: Uuid) -> CaseId {
    let mut hash = Sha256::new();
    hash.update(device.as_bytes());
    hash.update(command.as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&hash.finalize()[..10]);
    let millis = command.get_timestamp().map_or(0, |at| {
        let (secs, nanos) = at.to_unix();
        secs.saturating_mul(1000) + u64::from(nanos / 1_000_000)
    });
    CaseId(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

impl Keeper {
    /// Makes the package and says so to whoever asked.
    pub(super) fn capture(&mut self, mut capture: Capture) {
        let at_hand = capture.work.frame.take();
        let id = capture.id;
        let made = self.make(&capture, at_hand);
        if let Err(ended) = &made {
            let why = ended.why.as_deref().unwrap_or_default();
            tracing::warn!(%id, why, "no capture");
            self.clear_away(id, why);
        }
        // Who asked may have gone meanwhile; the journal has the package.
        drop(capture.answer.send(made));
    }

    fn make(&mut self, capture: &Capture, at_hand: Option<Frame>) -> Result<Value, Ended> {
        let Capture { id, work, .. } = capture;
        let new = self.store.state(*id).map_err(|e| ended(&e))?.is_none();
        if new {
            self.admit()?;
            // A run that was cut short may have begun it.
            self.throw_away(*id, "begun anew after a restart")
                .map_err(|e| ended(&e))?;
            self.shoot(&shot(capture), (work, at_hand), None)
                .map_err(|e| ended(&e))?;
            self.has_picture(*id)?;
            let span = (capture.from, work.at);
            self.cut((*id, None), span, work, None)
                .map_err(|e| ended(&e))?;
            self.seal_capture(capture).map_err(|e| ended(&e))?;
        }
        let camera = &self.facts.config.camera[work.camera].name;
        Ok(json!({ "package": id, "camera": camera, "view": new.then_some(capture.view) }))
    }

    /// Whether one more is allowed today.
    fn admit(&self) -> Result<(), Ended> {
        let most = self.facts.config.commands.captures_per_day;
        let since = clock::now().utc_ms().saturating_sub(DAY_MS);
        let made = self.store.sealed_since(ABOUT_CAPTURE, since);
        if made.map_err(|e| ended(&e))? < most {
            return Ok(());
        }
        let why = format!("{most} were asked for within a day already (captures_per_day)");
        Err(refused(why))
    }

    /// A capture without its picture is none; what was noted instead says why.
    fn has_picture(&self, id: CaseId) -> Result<(), Ended> {
        if has_asked(&self.store.drafts(id).map_err(|e| ended(&e))?) {
            return Ok(());
        }
        let note = self.store.draft_note(id).map_err(|e| ended(&e))?;
        let omitted = Notes::read(note.as_deref()).omitted.into_iter().next();
        let why = omitted.map_or_else(|| "no picture".to_owned(), |omitted| omitted.why);
        Err(failed(why))
    }

    fn seal_capture(&self, capture: &Capture) -> Result<(), StoreError> {
        let work = &capture.work;
        self.seal_as(
            &Sealing {
                case: capture.id,
                about: About::Asked {
                    asked: &capture.asked,
                    at: work.at,
                },
                // Of no zone, and no violation.
                then: &self.circumstances(work, work.at, ("", None)),
            },
            None,
        )?;
        let by = &capture.asked.by;
        tracing::info!(id = %capture.id, by, "capture sealed");
        Ok(())
    }

    /// [`Keeper::throw_away`], now or later.
    pub(super) fn clear_away(&mut self, id: CaseId, why: &str) {
        let left = self.throw_away(id, why);
        // What finds no place here is thrown away at the next start.
        if left.is_err() && self.half_made.len() < HALF_MADE_MAX {
            self.half_made.push(id);
        }
        self.note(left, "what is left of a capture could not be thrown away");
    }

    /// Tries again to throw away what could not be.
    pub(super) fn clear_away_again(&mut self) {
        for id in std::mem::take(&mut self.half_made) {
            self.clear_away(id, "it could not be finished");
        }
    }

    /// Throws away what is kept of a capture that is not sealed, if anything.
    fn throw_away(&self, id: CaseId, why: &str) -> Result<(), StoreError> {
        if !self.store.open_cases()?.contains(&id) {
            return Ok(());
        }
        match self.store.discard(id, why, None) {
            // The error came after it had become a fact.
            Err(StoreError::AlreadySealed(_)) => Ok(()),
            other => other,
        }
    }
}

/// The picture of a capture: all that is seen, of no subject.
fn shot(capture: &Capture) -> Shot<'_> {
    Shot {
        case: capture.id,
        violation: None,
        kind: ShotKind::Asked,
        at: capture.work.at,
        subject: None,
        place: EVERYTHING,
        zone: "",
        outcome: None,
    }
}

/// What the store says of it: a store that is full refuses, everything else is a failure.
fn ended(error: &StoreError) -> Ended {
    let why = error.to_string();
    match error {
        StoreError::Shut { .. } | StoreError::Full { .. } => refused(why),
        _ => failed(why),
    }
}

pub(super) fn refused(why: String) -> Ended {
    Ended {
        outcome: Fate::Refused,
        why: Some(why),
        result: None,
    }
}

fn failed(why: String) -> Ended {
    Ended {
        outcome: Fate::Failed,
        ..refused(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_command_makes_the_same_package_and_no_other_does() {
        let command = Uuid::from_u128(0x0198_f0a2_1234_7000_8000_0000_0000_0001);
        let id = package_id("LM-1", command);
        assert_eq!(id, package_id("LM-1", command));
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.as_bytes()[..6], command.as_bytes()[..6], "its time");
        let others = [
            package_id("LM-2", command),
            package_id("LM-1", Uuid::from_u128(command.as_u128() + 1)),
            package_id("LM-1", Uuid::nil()),
        ];
        assert!(!others.contains(&id) && id.0 != command);
    }
}
