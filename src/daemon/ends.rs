//! Ends of cases that the store could not take yet: a token that was pulled out, a disk that is
//! full. Each is noted with its case, so that neither a restart nor a power cut loses what was
//! decided, and the book can be saved meanwhile.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock;
use crate::config::Camera;
use crate::journal::kind;
use crate::store::{Store, StoreError};
use crate::types::{CaseId, CaseRecord, HitOutcome, Placed, TimeSource};
use crate::witness::SealError;

use super::capture::About;
use super::dossier::Sealing;
use super::keeper::Keeper;
use super::notes::Notes;

/// Case ends that wait for a store that cannot take them.
const WAITING_MAX: usize = 64;

/// How a case ended, with all that its statement needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) record: CaseRecord,
    /// Name of the record's camera: its index may change with the configuration.
    camera: String,
    /// Where the box was.
    pub(super) placed: Option<Placed>,
    /// Where the camera's times come from.
    pub(super) time_source: TimeSource,
}

impl End {
    pub(super) fn new(
        record: CaseRecord,
        cameras: &[Camera],
        placed: Option<Placed>,
        time_source: TimeSource,
    ) -> Self {
        let camera = cameras.get(record.camera);
        Self {
            camera: camera.map(|c| c.name.clone()).unwrap_or_default(),
            record,
            placed,
            time_source,
        }
    }
}

/// An end that waits for the store.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) case: CaseId,
    pub(super) end: End,
    /// Whether it is noted: then a restart does not lose it.
    pub(super) noted: bool,
}

impl Waiting {
    /// Notes the end with its case.
    pub(super) fn note(&mut self, store: &Store) -> Result<(), StoreError> {
        let mut notes = Notes::read(store.draft_note(self.case)?.as_deref());
        notes.end = Some(self.end.clone());
        store.save_draft_note(self.case, &notes.text())?;
        self.noted = true;
        Ok(())
    }
}

/// The ends that an earlier run left. One whose camera is not configured any more has nothing to
/// state and is left out.
pub(super) fn left(store: &Store, cameras: &[Camera]) -> Result<Vec<Waiting>, StoreError> {
    let mut left = Vec::new();
    for case in store.open_cases()? {
        let notes = Notes::read(store.draft_note(case)?.as_deref());
        let Some(mut end) = notes.end else { continue };
        let Some(index) = cameras.iter().position(|c| c.name == end.camera) else {
            continue;
        };
        end.record.camera = index;
        left.push(Waiting {
            case,
            end,
            noted: true,
        });
    }
    Ok(left)
}

impl Keeper {
    /// Seals the case, or keeps its end until the store can.
    pub(super) fn seal(
        &mut self,
        case: CaseId,
        end: End,
        book: Option<&str>,
    ) -> Result<(), StoreError> {
        let Err(error) = self.end(case, &end, book) else {
            return Ok(());
        };
        // A token that was pulled out may come back: that is waited for, like room on a disk.
        let no_key = matches!(error, StoreError::Seal(SealError::Sign(_)));
        let hopeless = matches!(error, StoreError::Seal(_) | StoreError::Invariant(_)) && !no_key;
        if hopeless || self.waiting.len() == WAITING_MAX {
            // Said and journalled; its files stay in the store for a person to look at.
            let why = error.to_string();
            tracing::error!(%case, why, "a case could not be sealed");
            self.tell_failed(case, &end.record, &why);
            let body = json!({ "id": case, "why": why });
            self.store.note(clock::now(), kind::PACKAGE_FAILED, body)?;
            return self.save(book);
        }
        let mut waiting = Waiting {
            case,
            end,
            noted: false,
        };
        if let Err(error) = waiting.note(&self.store) {
            tracing::warn!(%case, %error, "an end that waits could not be noted");
        }
        self.waiting.push(waiting);
        self.state().waiting = self.waiting.len();
        Err(error)
    }

    /// Seals the case; one of which not a single file could be kept has nothing to seal, now or
    /// later, and is discarded.
    fn end(&mut self, case: CaseId, end: &End, book: Option<&str>) -> Result<(), StoreError> {
        let mut hit = end.record.hit();
        match self.seal_now(case, end, book) {
            Err(StoreError::Unknown(case)) => {
                let why = "nothing of it could be kept";
                tracing::warn!(%case, why, "case discarded");
                self.store.discard(case, why, book)?;
                self.state().discarded += 1;
                hit.outcome = HitOutcome::Discarded;
                self.tell(case, &hit, Some(why));
                Ok(())
            }
            sealed => {
                sealed?;
                self.tell(case, &hit, None);
                Ok(())
            }
        }
    }

    fn seal_now(&self, case: CaseId, end: &End, book: Option<&str>) -> Result<(), StoreError> {
        let state = self.cameras[end.record.camera].state();
        let sealing = Sealing {
            case,
            about: About::Case(&end.record),
            placed: end.placed,
            camera: &state,
            time_source: end.time_source,
        };
        self.seal_as(&sealing, book)?;
        let outcome = end.record.outcome.name();
        tracing::info!(%case, outcome, "package sealed");
        Ok(())
    }

    /// Tries again what the store could not take.
    pub(super) fn retry(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain_mut(|waiting| {
            self.beat.turn();
            let waits = self.end(waiting.case, &waiting.end, None).is_err();
            if waits && !waiting.noted {
                // Tried again with the end itself.
                drop(waiting.note(&self.store));
            }
            waits
        });
        self.waiting = waiting;
        let mut state = self.state();
        state.waiting = self.waiting.len();
        if self.waiting.is_empty() {
            state.trouble = None;
        }
    }

    /// Whether every end that waits is noted with its case. While one is not, the saved book stays
    /// the one that has its case open: a crash then repeats its end.
    pub(super) fn all_noted(&self) -> bool {
        self.waiting.iter().all(|waiting| waiting.noted)
    }
}
