//! Ends of cases that the store could not take yet: a token that was pulled out, a disk that is
//! full. Each is noted with its case, so that neither a restart nor a power cut loses what was
//! decided, and the book can be saved meanwhile.

use serde::{Deserialize, Serialize};

use crate::config::Camera;
use crate::store::{Store, StoreError};
use crate::types::{CaseId, CaseRecord, Placed, TimeSource};

use super::notes::Notes;

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
