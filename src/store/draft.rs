//! Open cases: files and notes that wait for the seal, and survive a reboot meanwhile.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::json;

use super::lines;
use super::package::{self, sql_int};
use super::{Inner, Store, StoreError, save_book};
use crate::clock;
use crate::disk::{self, DiskError};
use crate::types::{CaseId, Stamp};
use crate::witness::{FileEntry, check_name, sha256_hex};

/// A file to be kept with a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Name inside the package, like `frames/01-found.jpg`.
    pub name: String,
    /// Media type, like `image/jpeg`.
    pub media_type: String,
    /// When it was captured, for files that show a moment.
    pub at: Option<Stamp>,
    /// The same on the camera's own time line, nanoseconds.
    pub pts_ns: Option<u64>,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Draft {
    fn entry(&self) -> FileEntry {
        FileEntry {
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            size: self.bytes.len() as u64,
            sha256: sha256_hex(&self.bytes),
            at: self.at.map(|at| clock::rfc3339_ms(at.utc_ns)),
            pts_ns: self.pts_ns,
            capture_source: None,
            of: None,
            quality: None,
        }
    }
}

impl Store {
    /// Keeps files with an open case and saves the book that knows of them, both or neither.
    /// On return everything is durable. The same file given twice is kept once.
    ///
    /// [`StoreError::Full`] when less than `keep_free_mib` would stay free: that room is for
    /// sealing what is kept already. [`StoreError::Shut`] when the store is so full that no new
    /// case is begun. [`StoreError::AlreadySealed`] when the case has ended; then nothing is
    /// changed.
    pub fn keep(
        &self,
        case: CaseId,
        drafts: &[Draft],
        book: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?.not_sealed(case)?;
        let fresh = inner.fresh(case, drafts)?;
        if !fresh.is_empty() {
            inner.room_for(fresh.iter().map(|(_, entry)| entry.size).sum())?;
            inner.admits(case)?;
        }
        let kept = inner.write_drafts(case, &fresh).and_then(|()| {
            inner.transact(|tx| {
                for (_, entry) in &fresh {
                    insert(tx, case, entry)?;
                }
                save_book(tx, book)
            })
        });
        if kept.is_err() {
            inner.take_back(case, &fresh);
        }
        kept
    }

    /// The files kept for an open case, in the order of their names.
    pub fn drafts(&self, case: CaseId) -> Result<Vec<FileEntry>, StoreError> {
        files(&self.inner().conn, case)
    }

    /// What the keeper noted about an open case; the store does not look into it.
    pub fn draft_note(&self, case: CaseId) -> Result<Option<String>, StoreError> {
        note(&self.inner().conn, case)
    }

    /// Saves what the keeper notes about an open case, over what was noted before.
    pub fn save_draft_note(&self, case: CaseId, text: &str) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?.not_sealed(case)?;
        inner.transact(|tx| {
            open_case(tx, case)?;
            let id = case.to_string();
            tx.execute("UPDATE draft_case SET note = ?2 WHERE id = ?1", [&id, text])?;
            Ok(())
        })
    }

    /// Files of open cases that were found missing or changed since the start; the journal has a line
    /// for each time.
    pub fn files_lost(&self) -> u64 {
        self.inner().files_lost
    }

    /// The open cases something is kept for.
    pub fn open_cases(&self) -> Result<Vec<CaseId>, StoreError> {
        cases(&self.inner().conn)
    }

    /// Throws away what is kept for an open case; the journal says why.
    pub fn discard(&self, case: CaseId, why: &str, book: Option<&str>) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?.not_sealed(case)?;
        let line = lines::Discarded {
            id: case,
            why: why.to_owned(),
        };
        inner.say(clock::now(), lines::DISCARDED, lines::body(&line))?;
        inner.transact(|tx| {
            forget(tx, case)?;
            save_book(tx, book)
        })?;
        // Start-up removes what stays: no row knows it any more.
        let _later: Result<(), DiskError> = disk::remove_dir_all(&inner.staging(case));
        Ok(())
    }
}

impl Inner {
    fn not_sealed(&self, case: CaseId) -> Result<(), StoreError> {
        match package::state(&self.conn, case)? {
            Some(_) => Err(StoreError::AlreadySealed(case)),
            None => Ok(()),
        }
    }

    /// Those of `drafts` that are not kept yet, checked, with their entries.
    fn fresh<'a>(
        &self,
        case: CaseId,
        drafts: &'a [Draft],
    ) -> Result<Vec<(&'a Draft, FileEntry)>, StoreError> {
        let mut known: HashMap<String, String> = files(&self.conn, case)?
            .into_iter()
            .map(|entry| (entry.name, entry.sha256))
            .collect();
        let mut fresh = Vec::new();
        for draft in drafts {
            let entry = draft.entry();
            check_name(&entry.name).map_err(|e| StoreError::Invariant(e.to_string()))?;
            if package::is_head(&entry.name) {
                let what = format!("{} belongs to the seal, it cannot be kept", entry.name);
                return Err(StoreError::Invariant(what));
            }
            match known.insert(entry.name.clone(), entry.sha256.clone()) {
                None => fresh.push((draft, entry)),
                Some(sha256) if sha256 == entry.sha256 => {}
                Some(_) => {
                    let what = format!("{} is kept for {case} already", entry.name);
                    return Err(StoreError::Invariant(what));
                }
            }
        }
        Ok(fresh)
    }

    /// Compares the drafts of a case with their rows: a file that is missing or changed loses
    /// its row, the journal says so, and `staging/` keeps nothing that has no row. One that the
    /// disk does not give any more is lost too: its case must end. Returns how many were lost.
    pub(super) fn sift(&mut self, case: CaseId) -> Result<usize, StoreError> {
        let staging = self.staging(case);
        let mut good = HashSet::new();
        let mut bad = Vec::new();
        for entry in files(&self.conn, case)? {
            match disk::digest(&staging.join(&entry.name)) {
                Ok((_, sha256)) if sha256 == entry.sha256 => {
                    good.insert(entry.name);
                }
                Err(error) if disk::is_passing(&error) => {
                    let what = format!("cannot read {}: {error}", entry.name);
                    return Err(StoreError::Io(what));
                }
                _ => bad.push(entry.name),
            }
        }
        if !bad.is_empty() {
            // Of a disk that was taken away nothing can be read, and nothing is lost.
            self.present()?;
            let body = json!({ "id": case, "files": bad, "why": "missing or changed on disk" });
            self.say(clock::now(), lines::DROPPED, body)?;
            self.transact(|tx| bad.iter().try_for_each(|name| forget_file(tx, case, name)))?;
            self.files_lost += bad.len() as u64;
        }
        disk::sweep(&staging, &good)?;
        Ok(bad.len())
    }

    fn write_drafts(&self, case: CaseId, fresh: &[(&Draft, FileEntry)]) -> Result<(), StoreError> {
        if fresh.is_empty() {
            return Ok(());
        }
        let staging = self.staging(case);
        disk::create_dir(&staging)?;
        for (_, entry) in fresh {
            // No row knows this name: what lies there is the rest of an earlier try.
            disk::remove_file(&staging.join(&entry.name))?;
        }
        let files = fresh
            .iter()
            .map(|(draft, entry)| (entry.name.as_str(), draft.bytes.as_slice()));
        Ok(disk::write_all_under(&staging, &files.collect::<Vec<_>>())?)
    }

    /// Makes room again after a failed keep. Should the failed commit come back after a power
    /// cut (its pages were in the log), start-up drops the rows whose files are gone.
    fn take_back(&self, case: CaseId, fresh: &[(&Draft, FileEntry)]) {
        let staging = self.staging(case);
        for (_, entry) in fresh {
            // Start-up removes what stays.
            let _later: Result<(), DiskError> = disk::remove_file(&staging.join(&entry.name));
        }
    }
}

fn open_case(tx: &Transaction<'_>, case: CaseId) -> Result<(), StoreError> {
    let mut open = tx.prepare_cached("INSERT OR IGNORE INTO draft_case(id) VALUES(?1)")?;
    open.execute([case.to_string()])?;
    Ok(())
}

fn insert(tx: &Transaction<'_>, case: CaseId, entry: &FileEntry) -> Result<(), StoreError> {
    open_case(tx, case)?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO draft(case_id, name, type, size, sha256, at, pts_ns) \
         VALUES(?1,?2,?3,?4,?5,?6,?7)",
    )?;
    insert.execute(params![
        case.to_string(),
        entry.name,
        entry.media_type,
        sql_int(entry.size),
        entry.sha256,
        entry.at,
        entry.pts_ns.map(sql_int),
    ])?;
    Ok(())
}

/// Writes what another database had of an open case.
pub(super) fn take_over(
    tx: &Transaction<'_>,
    case: CaseId,
    note: Option<&str>,
    files: &[FileEntry],
) -> Result<(), StoreError> {
    open_case(tx, case)?;
    let sql = "UPDATE draft_case SET note = ?2 WHERE id = ?1";
    tx.execute(sql, params![case.to_string(), note])?;
    files.iter().try_for_each(|entry| insert(tx, case, entry))
}

/// Removes the rows of an open case.
pub(super) fn forget(tx: &Transaction<'_>, case: CaseId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM draft_case WHERE id = ?1", [case.to_string()])?;
    Ok(())
}

/// Removes the row of one file.
fn forget_file(tx: &Transaction<'_>, case: CaseId, name: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM draft WHERE case_id = ?1 AND name = ?2";
    tx.execute(sql, [&case.to_string(), name])?;
    Ok(())
}

pub(super) fn files(conn: &Connection, case: CaseId) -> Result<Vec<FileEntry>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT name, type, size, sha256, at, pts_ns FROM draft WHERE case_id = ?1 ORDER BY name",
    )?;
    let rows = query.query_map([case.to_string()], |row| {
        Ok(FileEntry {
            name: row.get(0)?,
            media_type: row.get(1)?,
            size: row.get::<_, i64>(2)?.unsigned_abs(),
            sha256: row.get(3)?,
            at: row.get(4)?,
            pts_ns: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
            capture_source: None,
            of: None,
            quality: None,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn note(conn: &Connection, case: CaseId) -> Result<Option<String>, StoreError> {
    let mut query = conn.prepare_cached("SELECT note FROM draft_case WHERE id = ?1")?;
    let note = query.query_row([case.to_string()], |row| row.get(0));
    Ok(note.optional()?.flatten())
}

/// Every case with rows; names that are no ids cannot be ours and are left out.
pub(super) fn cases(conn: &Connection) -> Result<Vec<CaseId>, StoreError> {
    let mut query = conn.prepare_cached("SELECT id FROM draft_case ORDER BY id")?;
    let rows = query.query_map([], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok(names
        .iter()
        .filter_map(|name| super::case_id(name))
        .collect())
}
