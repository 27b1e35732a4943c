//! Ends of cases that the store could not take yet: a token that was pulled out, a disk that is
//! full. Each is noted with its case, so that neither a restart nor a power cut loses what was
//! decided, and the book can be saved meanwhile. It is sealed as it was decided, whatever program
//! and configuration do that.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock;
use crate::journal::kind;
use crate::store::{Store, StoreError};
use crate::types::{CaseId, CaseRecord, Hit, HitOutcome};
use crate::witness::SealError;

use super::capture::About;
use super::circumstances::Circumstances;
use super::dossier::Sealing;
use super::keeper::Keeper;
use super::notes::Notes;

/// Case ends that wait for a store that cannot take them.
const WAITING_MAX: usize = 64;

/// How a case ended, with all that its statement needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct End {
    /// Its camera is an index of the configuration in which it was decided: the name that holds
    /// under any is in `then`.
    pub(super) record: CaseRecord,
    /// What was so when the outcome was established.
    #[serde(flatten)]
    pub(super) then: Circumstances,
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

/// The ends that an earlier run left, under whatever configuration.
pub(super) fn left(store: &Store) -> Result<Vec<Waiting>, StoreError> {
    let mut left = Vec::new();
    for case in store.open_cases()? {
        let notes = Notes::read(store.draft_note(case)?.as_deref());
        left.extend(notes.end.map(|end| Waiting {
            case,
            end,
            noted: true,
        }));
    }
    Ok(left)
}

/// Whether no later try can end otherwise. A token that was pulled out may come back: that is waited
/// for, like room on a disk.
fn hopeless(error: &StoreError) -> bool {
    let no_key = matches!(error, StoreError::Seal(SealError::Sign(_)));
    matches!(error, StoreError::Seal(_) | StoreError::Invariant(_)) && !no_key
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
        let mut waiting = Waiting {
            case,
            end,
            noted: false,
        };
        if let Err(error) = waiting.note(&self.store) {
            tracing::warn!(%case, %error, "an end that waits could not be noted");
        }
        if hopeless(&error) || self.waiting.len() >= WAITING_MAX {
            self.give_up(&waiting, &error);
            self.note_failed(case, &error)?;
            return self.save(book);
        }
        self.waiting.push(waiting);
        self.state().waiting = self.waiting.len();
        Err(error)
    }

    /// Says that the case cannot be sealed. Its files stay in the store for a person to look at, and
    /// where its end is noted with them the next start tries once more.
    fn give_up(&mut self, waiting: &Waiting, error: &StoreError) {
        let (case, why) = (waiting.case, error.to_string());
        tracing::error!(%case, why, "a case could not be sealed");
        let mut hit = self.hit(&waiting.end);
        hit.outcome = HitOutcome::Failed;
        self.tell(case, &hit, Some(&why));
    }

    fn note_failed(&self, case: CaseId, error: &StoreError) -> Result<(), StoreError> {
        let body = json!({ "id": case, "why": error.to_string() });
        self.store.note(clock::now(), kind::PACKAGE_FAILED, body)?;
        self.store.lose(|losses| losses.failed += 1);
        Ok(())
    }

    /// The end as the journal tells it.
    fn hit(&mut self, end: &End) -> Hit {
        Hit {
            camera: self.hits.camera(&end.then.camera),
            ..end.record.hit()
        }
    }

    /// Seals the case; one of which not a single file could be kept has nothing to seal, now or
    /// later, and is discarded.
    fn end(&mut self, case: CaseId, end: &End, book: Option<&str>) -> Result<(), StoreError> {
        match self.seal_now(case, end, book) {
            Err(StoreError::Unknown(case)) => {
                let why = "nothing of it could be kept";
                tracing::warn!(%case, why, "case discarded");
                self.store.discard(case, why, book)?;
                self.state().discarded += 1;
                let mut hit = self.hit(end);
                hit.outcome = HitOutcome::Discarded;
                self.tell(case, &hit, Some(why));
                Ok(())
            }
            sealed => {
                sealed?;
                let hit = self.hit(end);
                self.tell(case, &hit, None);
                Ok(())
            }
        }
    }

    fn seal_now(&self, case: CaseId, end: &End, book: Option<&str>) -> Result<(), StoreError> {
        let sealing = Sealing {
            case,
            about: About::Case(&end.record),
            then: &end.then,
        };
        self.seal_as(&sealing, book)?;
        let outcome = end.record.outcome.name();
        tracing::info!(%case, outcome, "package sealed");
        Ok(())
    }

    /// Notes the ends that could not be when they came to wait: until then no book is saved.
    pub(super) fn note_waiting(&mut self) {
        for waiting in self.waiting.iter_mut().filter(|waiting| !waiting.noted) {
            // Tried again with the next step, and with the end itself.
            drop(waiting.note(&self.store));
        }
    }

    /// Tries again what the store could not take.
    pub(super) fn retry(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain_mut(|waiting| {
            self.beat.turn();
            let Err(error) = self.end(waiting.case, &waiting.end, None) else {
                return false;
            };
            if !waiting.noted {
                // Tried again with the end itself.
                drop(waiting.note(&self.store));
            }
            // While the journal cannot take that either, it waits on.
            let waits = !hopeless(&error) || self.note_failed(waiting.case, &error).is_err();
            if !waits {
                self.give_up(waiting, &error);
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
