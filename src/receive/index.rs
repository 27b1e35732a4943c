//! The index: one SQLite file in the receivers' folder that answers questions about all packages.
//!
//! It is never the truth. What it says is read from the folders, at every start and at every
//! question ([`Index::level`]), so that it may be deleted, and so that a package somebody took
//! away shows. What only it knows is small: when a device was last heard, the largest number it
//! announced, which packages were there once, which were announced and forgotten unfinished, which
//! came late, and which media for second copies it has met.
//!
//! A rollback journal, not a write-ahead log: receivers of several machines may share the folder
//! over a network, where the shared memory of a log does not reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use uuid::Uuid;

use super::kept::{Announced, Kept, News, Refusal, Seen};
use super::rows::{
    ANNOUNCED, CAME, KEPT, LATE, MEDIA, case_id, found, kept, meet, number, put, put_announced,
    put_refused, put_unfinished, ruin, unsigned, whole,
};
use super::unread::read;
use super::{ReceiveError, layout};
use crate::clock;
use crate::disk;
use crate::types::{CaseId, Stamp};
use crate::witness::Receipt;

/// Its name in the folder.
const FILE: &str = "index.db";
/// Where one that cannot be read is put.
const BROKEN: &str = "index.broken";
/// `user_version` of [`SCHEMA`]; an index of another version is made again.
const VERSION: i64 = 1;
const SCHEMA: &str = include_str!("index.sql");
/// How long another receiver or a question may hold us up.
const BUSY: Duration = Duration::from_secs(10);
/// Rows written in one transaction: nobody waits long for the next.
pub(super) const ROWS: usize = 200;

/// Something the index is told of a package.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// Its verified head came.
    Announced(Announced),
    /// What is here of it was found, and no row.
    Found(Announced),
    /// It is stored.
    Stored(Kept),
    /// It was refused.
    Refused(Refusal),
    /// It was refused once and is not any more.
    Accepted(String, CaseId),
    /// Its second copy was read back.
    Copied(String, CaseId),
}

/// The index is not to be had; receiving goes on without it.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    /// SQLite says so.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    /// The folders cannot be read.
    #[error(transparent)]
    Folder(#[from] ReceiveError),
}

/// The open index.
#[derive(Debug)]
pub(super) struct Index {
    conn: Connection,
    path: PathBuf,
    /// The file that is open, to notice when it is not the one in the folder any more.
    file: File,
}

impl Index {
    /// Opens the index in `dir`; one that cannot be read is set aside and made anew, empty.
    pub(super) fn open(dir: &Path) -> Result<Self, IndexError> {
        let path = dir.join(FILE);
        match Self::open_as_it_is(&path) {
            Err(IndexError::Sql(error)) if is_ruin(&error) => {
                tracing::warn!(%error, "the index is set aside and made again");
                disk::rename(&path, &dir.join(BROKEN)).map_err(ReceiveError::from)?;
                Self::open_as_it_is(&path)
            }
            other => other,
        }
    }

    fn open_as_it_is(path: &Path) -> Result<Self, IndexError> {
        let mut conn = Connection::open(path)?;
        conn.busy_timeout(BUSY)?;
        conn.pragma_update(None, "trusted_schema", false)?;
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let verdict: String = tx.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" || !matches!(version, 0 | VERSION) {
            return Err(ruin(&format!("version {version}, {verdict}")).into());
        }
        if version == 0 {
            tx.execute_batch(SCHEMA)?;
        }
        tx.execute_batch(MEDIA)?;
        tx.execute_batch(ANNOUNCED)?;
        tx.execute_batch(LATE)?;
        tx.commit()?;
        let file = File::open(path).map_err(|error| {
            IndexError::Folder(ReceiveError::Disk(format!("{}: {error}", path.display())))
        })?;
        Ok(Self {
            conn,
            path: path.to_owned(),
            file,
        })
    }

    /// Whether the file in the folder is still the one that is open.
    pub(super) fn is_there(&self) -> bool {
        disk::is_same_file(&self.file, &self.path)
    }

    /// The medium for second copies that is in place now. One that was never met may stand in for one that
    /// died: of it nothing is counted.
    pub(super) fn meets(&mut self, medium: Uuid) -> Result<(), IndexError> {
        let uncounted = meet(&mut self.conn, &medium.to_string())?;
        if uncounted > 0 {
            tracing::warn!(%medium, uncounted, "another medium: all second copies are made or read anew");
        }
        Ok(())
    }

    /// Brings the index level with the folders in `dir`. What gets a row by that has no second copy
    /// until it is read back: that it lies there, and that a receipt says two, proves nothing of the
    /// medium that is in place now.
    pub(super) fn level(&mut self, dir: &Path, at: Stamp) -> Result<(), IndexError> {
        let mut devices = BTreeSet::from_iter(layout::named(&layout::packages(dir))?);
        devices.extend(self.devices_of("package")?);
        for device in &devices {
            self.level_device(dir, device, at)?;
        }
        let mut devices = BTreeSet::from_iter(layout::named(&layout::refused(dir))?);
        devices.extend(self.devices_of("refused")?);
        for device in &devices {
            self.level_refused(dir, device)?;
        }
        self.level_announced(dir, at)
    }

    /// The folder it is of.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn devices_of(&self, table: &str) -> Result<Vec<String>, IndexError> {
        let sql = format!("SELECT DISTINCT device FROM {table}");
        self.all(&sql, [], |row| row.get(0))
    }

    fn level_device(&mut self, dir: &Path, device: &str, at: Stamp) -> Result<(), IndexError> {
        // The rows first: what has a row now was in its folder before, and is still to be found
        // there unless somebody took it away.
        let rows = self.rows(device)?;
        let there = BTreeSet::from_iter(layout::ids(&layout::packages(dir).join(device))?);
        let lacking: Vec<CaseId> = there
            .iter()
            .filter(|id| rows.get(id).is_none_or(|gone| *gone))
            .copied()
            .collect();
        for some in lacking.chunks(ROWS) {
            let read = some.iter().filter_map(|id| {
                let read = read(dir, device, *id);
                read.inspect_err(|error| {
                    tracing::error!(device, %id, error, "a stored package cannot be read");
                })
                .ok()
            });
            let read: Vec<Kept> = read.collect();
            let tx = self.conn.transaction()?;
            for package in &read {
                found(&tx, device, package.id)?;
                put(&tx, package)?;
            }
            tx.commit()?;
        }
        let gone = rows
            .iter()
            .filter(|(id, gone)| !**gone && !there.contains(id));
        let noticed = clock::rfc3339_ms(at.utc_ns);
        for (id, _) in gone {
            tracing::warn!(device, %id, "a stored package is not there any more");
            let sql = "UPDATE package SET gone = ?3 WHERE device = ?1 AND id = ?2";
            self.conn
                .execute(sql, params![device, id.to_string(), noticed])?;
        }
        Ok(())
    }

    /// The packages of a device that have a row, and whether it says that they are gone.
    pub(super) fn rows(&self, device: &str) -> Result<BTreeMap<CaseId, bool>, IndexError> {
        let sql = "SELECT id, gone IS NOT NULL FROM package WHERE device = ?1";
        let rows = self.all(sql, [device], |row| Ok((case_id(row, 0)?, row.get(1)?)))?;
        Ok(rows.into_iter().collect())
    }

    fn level_refused(&mut self, dir: &Path, device: &str) -> Result<(), IndexError> {
        let sql = "SELECT id FROM refused WHERE device = ?1";
        let rows = BTreeSet::from_iter(self.all(sql, [device], |row| case_id(row, 0))?);
        let folder = layout::refused(dir).join(device);
        let there = BTreeSet::from_iter(layout::refusals(&folder)?);
        let mut entries = Vec::new();
        for id in there.difference(&rows) {
            let path = folder.join(format!("{id}{}", layout::SIGNED));
            let read = match disk::read(&path) {
                // A receiver took the package meanwhile.
                Err(error) if error.source.kind() == ErrorKind::NotFound => continue,
                read => read.map_err(ReceiveError::from)?,
            };
            match Receipt::read(&read) {
                Ok(receipt) => entries.push(Entry::Refused(Refusal::of(&receipt))),
                Err(error) => tracing::error!(device, %id, %error, "a kept refusal cannot be read"),
            }
        }
        let accepted = rows.difference(&there);
        entries.extend(accepted.map(|id| Entry::Accepted(device.to_owned(), *id)));
        if entries.is_empty() {
            return Ok(());
        }
        self.enter(&entries)
    }

    /// Writes what it is told, in one transaction.
    pub(super) fn enter(&mut self, entries: &[Entry]) -> Result<(), IndexError> {
        let tx = self.conn.transaction()?;
        for entry in entries {
            match entry {
                Entry::Announced(announced) => put_announced(&tx, announced)?,
                Entry::Found(announced) => {
                    found(&tx, &announced.device, announced.id)?;
                    put_unfinished(&tx, announced)?;
                }
                Entry::Stored(package) => put(&tx, package)?,
                Entry::Refused(refusal) => put_refused(&tx, refusal)?,
                Entry::Accepted(device, id) => {
                    let sql = "DELETE FROM refused WHERE device = ?1 AND id = ?2";
                    tx.execute(sql, params![device, id.to_string()])?;
                }
                Entry::Copied(device, id) => {
                    let sql = "UPDATE package SET copied = 1 WHERE device = ?1 AND id = ?2";
                    tx.execute(sql, params![device, id.to_string()])?;
                }
            }
        }
        tx.commit()?;
        Ok(())
    }

    /// Devices were heard.
    pub(super) fn heard(&mut self, news: &BTreeMap<String, News>) -> Result<(), IndexError> {
        if news.is_empty() {
            return Ok(());
        }
        let tx = self.conn.transaction()?;
        for (device, news) in news {
            let seen = Some(&news.seen).filter(|seen| !seen.is_empty());
            let (n, sha256) = news.journal.clone().unzip();
            let sql = "INSERT INTO device VALUES(?1, ?2, ?3, ?4, ?5, ?6) \
                ON CONFLICT(id) DO UPDATE SET seen = max(coalesce(seen, ''), ?2), \
                state = coalesce(?3, state), seq_max = max(seq_max, ?4), \
                journal_n = coalesce(?5, journal_n), \
                journal_sha256 = coalesce(?6, journal_sha256)";
            let seen = seen.map_or("", String::as_str);
            let row = params![
                device,
                seen,
                news.state,
                whole(news.seq),
                n.map(whole),
                sha256
            ];
            tx.execute(sql, row)?;
        }
        tx.commit()?;
        Ok(())
    }

    /// A package that has no second copy yet, after `last` in the order of the index.
    pub(super) fn uncopied(
        &self,
        last: Option<&(String, CaseId)>,
    ) -> Result<Option<(String, CaseId)>, IndexError> {
        let (device, id) = last.map_or(("", String::new()), |(d, id)| (d, id.to_string()));
        let sql = "SELECT device, id FROM package WHERE copied = 0 AND gone IS NULL \
            AND (device, id) > (?1, ?2) ORDER BY device, id LIMIT 1";
        let one = |row: &Row<'_>| Ok((row.get(0)?, case_id(row, 1)?));
        Ok(self
            .conn
            .query_row(sql, params![device, id], one)
            .optional()?)
    }

    /// Some packages that have their second copy, after `last` in the order of the index.
    pub(super) fn copied(
        &self,
        last: Option<&(String, CaseId)>,
        most: u32,
    ) -> Result<Vec<(String, CaseId)>, IndexError> {
        let (device, id) = last.map_or(("", String::new()), |(d, id)| (d, id.to_string()));
        let sql = "SELECT device, id FROM package WHERE copied = 1 AND gone IS NULL \
            AND (device, id) > (?1, ?2) ORDER BY device, id LIMIT ?3";
        self.all(sql, params![device, id, most], |row| {
            Ok((row.get(0)?, case_id(row, 1)?))
        })
    }

    /// How many devices are known, packages are there, and of these have no second copy.
    pub(super) fn counts(&self) -> Result<[u64; 3], IndexError> {
        let count = |sql: &str| self.conn.query_row(sql, [], |row| number(row, 0));
        // Counted by way of small indexes: a large archive is counted often.
        let gone = count("SELECT count(*) FROM package WHERE gone IS NOT NULL")?;
        Ok([
            count("SELECT count(*) FROM device")?,
            count("SELECT count(*) FROM package")?.saturating_sub(gone),
            count("SELECT count(*) FROM package WHERE copied = 0 AND gone IS NULL")?,
        ])
    }

    /// The packages of a device, by number.
    pub(super) fn packages(&self, device: &str) -> Result<Vec<Kept>, IndexError> {
        let sql = format!("SELECT {KEPT}, {CAME} FROM package WHERE device = ?1 ORDER BY seq, id");
        self.all(&sql, [device], kept)
    }

    /// The refusals of a device.
    pub(super) fn refusals(&self, device: &str) -> Result<Vec<Refusal>, IndexError> {
        let sql = "SELECT device, id, seq, sig_sha256, why, at, receiver FROM refused \
            WHERE device = ?1 ORDER BY seq, id";
        self.all(sql, [device], |row| {
            Ok(Refusal {
                device: row.get(0)?,
                id: case_id(row, 1)?,
                seq: number(row, 2)?,
                sig_sha256: row.get(3)?,
                why: row.get(4)?,
                at: row.get(5)?,
                receiver: row.get(6)?,
            })
        })
    }

    /// Every device that was heard or of which something is kept.
    pub(super) fn devices(&self) -> Result<Vec<String>, IndexError> {
        self.all("SELECT id FROM device", [], |row| row.get(0))
    }

    /// What is known of a device.
    pub(super) fn device(&self, device: &str) -> Result<Option<Seen>, IndexError> {
        let sql = "SELECT id, seen, state, seq_max, journal_n FROM device WHERE id = ?1";
        let seen = self.conn.query_row(sql, [device], |row| {
            let seen: Option<String> = row.get(1)?;
            Ok(Seen {
                device: row.get(0)?,
                seen: seen.filter(|seen| !seen.is_empty()),
                state: row.get(2)?,
                seq_max: number(row, 3)?,
                journal_n: row.get::<_, Option<i64>>(4)?.map(unsigned),
            })
        });
        Ok(seen.optional()?)
    }

    /// Every row that an SQL question finds.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        args: impl rusqlite::Params,
        of: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, IndexError> {
        let mut query = self.conn.prepare(sql)?;
        let rows = query.query_map(args, of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn is_ruin(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A package with its second copy.
    pub(in crate::receive) fn package() -> Kept {
        Kept {
            device: "LM-1".to_owned(),
            id: CaseId(Uuid::from_u128(1)),
            seq: 1,
            sig_sha256: "0".repeat(64),
            kind: "street_vending".to_owned(),
            outcome: "persisted".to_owned(),
            grade: None,
            at: "2026-08-01T02:05:31Z".to_owned(),
            site: None,
            zone: None,
            lat_e7: None,
            lon_e7: None,
            bytes: 1,
            receiver: None,
            stored: None,
            copies: 2,
            gone: None,
            removed: None,
            late: None,
        }
    }

    #[test]
    fn a_medium_that_was_never_met_counts_for_nothing_until_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let medium = |n| Uuid::from_u128(n);
        let owed = |index: &Index| index.uncopied(None).unwrap().is_some();
        let mut index = Index::open(dir.path()).unwrap();
        index.meets(medium(1)).unwrap();
        let stored = Entry::Stored(package());
        index.enter(&[stored]).unwrap();
        index.meets(medium(1)).unwrap();
        assert!(!owed(&index), "it is the same");
        index.meets(medium(2)).unwrap();
        assert!(owed(&index), "it is another");
        let copied = Entry::Copied("LM-1".to_owned(), package().id);
        index.enter(&[copied]).unwrap();
        for known in [1, 2, 1] {
            index.meets(medium(known)).unwrap();
            assert!(!owed(&index), "media may be changed in turn");
        }
        // An index that was made before media had names knows of none.
        index.conn.execute("DROP TABLE medium", []).unwrap();
        drop(index);
        let mut index = Index::open(dir.path()).unwrap();
        assert!(!owed(&index));
        index.meets(medium(1)).unwrap();
        assert!(owed(&index));
    }
}
