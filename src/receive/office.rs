//! What the desks of a receiver share: folder, keys, second medium, the ledger of index rows, and
//! the later receipts that are on their way.
//!
//! Rows are written some hundred at a time or every two seconds, in one transaction: the index is
//! made level with the folders at every start and every question, so nothing waits for a row, and
//! one that a kill takes is made again.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use super::copies::Copies;
use super::figures::{Count, Figures};
use super::index::{Entry, Index, IndexError, ROWS};
use super::later::Later;
use super::{Event, ReceiveError, layout};
use crate::types::{CaseId, Stamp, lock};
use crate::witness::{Identity, Roots, Trust};

/// The receiver's folder and keys, and what keeps account of it all.
pub(super) struct Office {
    /// The folder; other receivers may work in it.
    pub(super) dir: PathBuf,
    pub(super) name: String,
    pub(super) identity: Identity,
    /// Who may seal evidence.
    pub(super) trust: Trust,
    /// What was told of the lists of revoked certificates.
    pub(super) doubts: Mutex<Vec<String>>,
    /// The second copies, where there are to be some.
    pub(super) copies: Option<Arc<Copies>>,
    pub(super) figures: Arc<Figures>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) later: Later,
    /// Stored packages that were told to be broken, and are so still.
    pub(super) broken: Mutex<BTreeSet<(String, CaseId)>>,
    /// Held while a package is mended: a desk and whoever makes second copies may find the same one broken.
    pub(super) mending: Mutex<()>,
    /// Whether it signs though nothing synchronises the clock.
    pub(super) any_clock: bool,
    /// Why nothing is signed, as it was told last.
    pub(super) unsigned: Mutex<Option<String>>,
    /// Held, never used.
    pub(super) _lock: File,
}

/// The index, and what it is still to be told.
#[derive(Default)]
pub(super) struct Ledger {
    /// `None` while it is not to be had: then packages go without a row, and get one later.
    index: Option<Index>,
    entries: Vec<Entry>,
}

impl Office {
    /// Where a stored package lies.
    pub(super) fn place(&self, device: &str, id: CaseId) -> PathBuf {
        layout::place(&self.dir, device, id)
    }

    /// Where a package lies that this receiver is taking.
    pub(super) fn incoming(&self, device: &str, id: CaseId) -> PathBuf {
        let incoming = layout::incoming(&self.dir);
        layout::under(&incoming.join(&self.name), device, id)
    }

    /// Who may seal evidence, by the lists of revoked certificates as they are at this moment.
    pub(super) fn roots(&self) -> Arc<Roots> {
        self.trust.now()
    }

    /// Reads anew who may seal evidence: a bureau adds a root while receivers work. What cannot be
    /// read changes nothing.
    pub(super) fn read_roots_anew(&self) -> Arc<Roots> {
        self.trust.anew()
    }

    /// What a person should know of the lists of revoked certificates, told once.
    pub(super) fn doubts_of_lists(&self, at: Stamp) -> Vec<Event> {
        let mut doubts = self.roots().doubts_of_lists(at);
        doubts.extend(self.trust.trouble());
        let before = std::mem::replace(&mut *lock(&self.doubts), doubts.clone());
        doubts.retain(|doubt| !before.contains(doubt));
        let told = doubts.into_iter();
        told.map(|why| Event::Trouble { why }).collect()
    }

    /// Something the index is to be told, soon.
    pub(super) fn enter(&self, entry: Entry) {
        let mut ledger = self.ledger();
        if ledger.index.is_none() {
            // Whoever opens it reads the folders, where this is to be seen.
            return;
        }
        ledger.entries.push(entry);
        if ledger.entries.len() >= ROWS {
            self.write(&mut ledger);
        }
    }

    /// How late a package came whose head comes `late`. It is the first head that counts, as far as the index
    /// knows: a receiver forgets what it had of a package, and its box tells it again when it is old.
    pub(super) fn first_late(
        &self,
        (device, id): (&str, CaseId),
        late: Option<u64>,
    ) -> Option<u64> {
        let late = late?;
        let mut ledger = self.ledger();
        let untold = ledger.entries.iter().find_map(|entry| match entry {
            Entry::Announced(a) if (a.device.as_str(), a.id) == (device, id) => Some(a.late),
            _ => None,
        });
        if let Some(first) = untold {
            return first;
        }
        let asked = ledger.index.as_ref();
        let asked = asked.map(|index| index.first_late((device, id), late));
        let first = asked.and_then(|asked| self.noted(&mut ledger, asked));
        first.unwrap_or(Some(late))
    }

    /// Tells the index what it was not told yet, then asks it or tells it more. When that fails
    /// the index is let go and made level again later: receiving goes on.
    pub(super) fn indexed<T>(
        &self,
        ask: impl FnOnce(&mut Index) -> Result<T, IndexError>,
    ) -> Option<T> {
        let mut ledger = self.ledger();
        self.write(&mut ledger);
        let asked = ledger.index.as_mut().map(ask)?;
        self.noted(&mut ledger, asked)
    }

    fn write(&self, ledger: &mut Ledger) {
        let entries = std::mem::take(&mut ledger.entries);
        if let Some(index) = &mut ledger.index
            && !entries.is_empty()
        {
            let written = index.enter(&entries);
            self.noted(ledger, written);
        }
    }

    fn noted<T>(&self, ledger: &mut Ledger, done: Result<T, IndexError>) -> Option<T> {
        match done {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(%error, "the index cannot be written");
                self.figures.add(Count::IndexErrors, 1);
                ledger.index = None;
                None
            }
        }
    }

    /// Sees that there is an index, in its place; whether it is another one than before.
    pub(super) fn see_to_index(&self, at: Stamp) -> Result<bool, ReceiveError> {
        {
            let mut ledger = self.ledger();
            match ledger.index.as_ref().map(Index::is_there) {
                Some(true) => return Ok(false),
                Some(false) => {
                    tracing::warn!("the index was taken away and is made again");
                    ledger.index = None;
                    ledger.entries.clear();
                }
                None => {}
            }
        }
        let mut index = Index::open(&self.dir)?;
        // Reading a large archive anew takes minutes: not while desks wait to enter something.
        // What came meanwhile is found by the second look, which has little to read.
        index.level(&self.dir, at)?;
        let mut ledger = self.ledger();
        index.level(&self.dir, at)?;
        ledger.index = Some(index);
        Ok(true)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}
