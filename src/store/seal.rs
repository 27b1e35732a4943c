//! From an open case to a sealed package, in the one order that survives a power cut.

use rusqlite::params;

use super::draft;
use super::lines;
use super::package::{self, Package, Statement};
use super::{Inner, Store, StoreError, save_book};
use crate::clock;
use crate::disk::{self, DiskError, DiskKind};
use crate::types::CaseId;
use crate::witness::{After, FileEntry, JournalPoint, SealError, Sealed};

/// What the statement must say and only the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealContext {
    /// Number of the package on this device, without gaps.
    pub seq: u64,
    /// The journal line that will say it is sealed, and the hash of the line before.
    pub journal: JournalPoint,
    /// The newest receipt that is kept; `None` before the first.
    pub last_receipt: Option<After>,
    /// The files kept for the case, read and hashed just now, in the order of their names. The
    /// statement must list these and no others.
    pub files: Vec<FileEntry>,
    /// What the keeper noted about the case.
    pub note: Option<String>,
}

/// A package that is a fact in `packages/` and must still come into journal and database.
#[derive(Debug)]
pub(super) struct Pending {
    package: Package,
    book: Option<String>,
    /// Whether its place there is known to be durable.
    published: bool,
    /// The journal line its statement names.
    named: JournalPoint,
    /// Number of its journal line, once that is written.
    line: Option<u64>,
}

impl Store {
    /// How many packages of this `kind` were sealed at `since_ms`, UTC milliseconds, or later.
    pub fn sealed_since(&self, kind: &str, since_ms: i64) -> Result<u64, StoreError> {
        let inner = self.inner();
        let sql = "SELECT count(*) FROM package WHERE kind = ?1 AND sealed_ms >= ?2";
        let count: i64 = inner
            .conn
            .prepare_cached(sql)?
            .query_row(params![kind, since_ms], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Seals a case: `make` is given what only the store knows and returns the signed parts.
    /// On return the package is durable in `packages/`, journalled and queued, and `book` saved.
    ///
    /// The journal is held meanwhile: `make` must not call the store. A case that is sealed
    /// already is left alone and only `book` is saved. After an error the case is either still
    /// open or, when the package had come into being, is finished by the next call of any kind
    /// or the next start; calling again is right in both cases.
    pub fn seal(
        &self,
        case: CaseId,
        make: impl FnOnce(SealContext) -> Result<Sealed, SealError>,
        book: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        if package::state(&inner.conn, case)?.is_some() {
            return inner.transact(|tx| save_book(tx, book));
        }
        inner.sift(case)?;
        let context = inner.context(case)?;
        let sealed = make(context.clone())?;
        let package = check(case, &context, &sealed).map_err(StoreError::Invariant)?;
        inner.write_sealed(case, &sealed)?;
        inner.pending = Some(Pending {
            package,
            published: false,
            book: book.map(str::to_owned),
            named: context.journal,
            line: None,
        });
        inner.publish(case)?;
        inner.settle()?;
        drop(inner);
        self.shared.queued.notify_one();
        Ok(())
    }
}

impl Inner {
    /// Finishes a package that an error left half-way between rename and commit; then all of
    /// the store can be used.
    pub(super) fn settled(&mut self) -> Result<&mut Self, StoreError> {
        let Some(pending) = &self.pending else {
            return Ok(self);
        };
        let (id, published) = (pending.package.line.id, pending.published);
        let place = self.package_dir(id);
        match place.try_exists() {
            // The rename itself had failed: the case is still open.
            Ok(false) => self.pending = None,
            Ok(true) if published => self.settle()?,
            // Moved, and a sync after that failed. The kernel tells of a lost write once, and of the
            // next sync that all is well: it is moved once more.
            Ok(true) => {
                disk::rename(&place, &self.staging(id))?;
                self.publish(id)?;
                self.settle()?;
            }
            Err(e) => {
                return Err(StoreError::Io(format!(
                    "cannot read {}: {e}",
                    place.display()
                )));
            }
        }
        Ok(self)
    }

    /// Puts the pending package in its place, durable on return.
    fn publish(&mut self, id: CaseId) -> Result<(), StoreError> {
        disk::publish(&self.staging(id), &self.package_dir(id))?;
        if let Some(pending) = &mut self.pending {
            pending.published = true;
        }
        Ok(())
    }

    /// Journal line, then transaction, of the pending package. What is done stays done when a
    /// later part fails and this is called again.
    fn settle(&mut self) -> Result<(), StoreError> {
        let Some(mut pending) = self.pending.take() else {
            return Ok(());
        };
        let done = self.settle_one(&mut pending);
        if done.is_err() {
            self.pending = Some(pending);
        }
        done
    }

    fn settle_one(&mut self, pending: &mut Pending) -> Result<(), StoreError> {
        let at = clock::now();
        let package = &pending.package;
        let n = if let Some(n) = pending.line {
            n
        } else {
            // Lines of others may have come between when this is not the first try.
            let head = self.journal.head();
            let as_named = head.n + 1 == pending.named.n && head.sha256 == pending.named.prev;
            let kind = if as_named {
                lines::SEALED
            } else {
                lines::ADOPTED
            };
            self.say(at, kind, lines::body(&package.line))?.n
        };
        pending.line = Some(n);
        let id = package.line.id;
        self.transact(|tx| {
            package.insert(tx, (at.utc_ms(), Some(at.boot_ns)), Some(n))?;
            draft::forget(tx, id)?;
            save_book(tx, pending.book.as_deref())
        })
    }

    pub(super) fn context(&self, case: CaseId) -> Result<SealContext, StoreError> {
        let files = draft::files(&self.conn, case)?;
        if files.is_empty() {
            return Err(StoreError::Unknown(case));
        }
        let sql = "SELECT coalesce(max(seq), 0) + 1 FROM package";
        let seq: i64 = self.conn.query_row(sql, params![], |row| row.get(0))?;
        let head = self.journal.head();
        let last_receipt = self.meta(super::outbox::LAST_RECEIPT)?;
        Ok(SealContext {
            seq: seq.unsigned_abs(),
            journal: JournalPoint {
                n: head.n + 1,
                prev: head.sha256,
            },
            last_receipt: last_receipt.and_then(|text| serde_json::from_str(&text).ok()),
            files,
            note: draft::note(&self.conn, case)?,
        })
    }

    /// As [`Inner::write`]; on a full disk the ballast makes room: a case that was seen to its
    /// end is sealed all the same.
    fn write_sealed(&mut self, case: CaseId, sealed: &Sealed) -> Result<(), StoreError> {
        match self.write(case, sealed) {
            Err(error) if error.kind == DiskKind::Full && self.ballast.let_go()? => {
                // What the first try left would be in the way of the second.
                self.sift(case)?;
                Ok(self.write(case, sealed)?)
            }
            done => Ok(done?),
        }
    }

    /// Writes the sealed parts beside the drafts, the signature last.
    fn write(&self, case: CaseId, sealed: &Sealed) -> Result<(), DiskError> {
        disk::write_all_under(&self.staging(case), &sealed.parts())
    }
}

/// Holds what was made against what is kept: a package that could not prove itself must not
/// come into being.
fn check(case: CaseId, context: &SealContext, sealed: &Sealed) -> Result<Package, String> {
    let statement = Statement::read(&sealed.statement)?;
    if statement.id != case || statement.seq.unsigned_abs() != context.seq {
        return Err(format!(
            "the statement of {case} names another case or number"
        ));
    }
    let journal = &statement.journal;
    if journal.n != context.journal.n || journal.prev != context.journal.prev {
        return Err(format!(
            "the statement of {case} names another journal line"
        ));
    }
    package::describe(&statement, sealed, &context.files)
}
