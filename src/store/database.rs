//! The database: opened, or made again from the files when it cannot be trusted.
//!
//! ```text
//! q.db.new: the tables, and what no file knows ─▶ q.db becomes q.db.broken-… ─▶ q.db.new becomes q.db
//!   ─▶ packages and journal are read ─▶ one transaction: all rows, and whose store it is
//! ```
//! What no file knows is the book, which files belong to open cases, and what the link has carried today:
//! at every moment the one database or the other has it. One that does not say whose store it is has no rows yet; the next start goes on.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::lines::{self, Said};
use super::package::{self, Package};
use super::queue::LINK_ACCOUNT;
use super::recover::{self, Database, Recovery};
use super::{Inner, StoreError, draft, migrate};
use crate::clock;
use crate::disk;
use crate::journal;
use crate::types::CaseId;
use crate::witness::FileEntry;

/// Name of the database.
const DATABASE: &str = "q.db";

/// Name of one that is to take its place.
const FRESH: &str = "q.db.new";

/// What SQLite adds to a name, and the name itself.
const PARTS: [&str; 3] = ["-wal", "-shm", ""];

/// Beginning of the names a broken database is moved to.
const ASIDE: &str = "q.db.broken-";

/// How many broken databases are kept for whoever wants to know why; they hold no evidence.
const ASIDE_MAX: usize = 3;

/// What SQLite needs to open a database: its shared memory grows by 32 KiB.
const OPEN_NEEDS: u64 = 64 * 1024;

/// Opens the database; puts a new one in its place when it cannot be trusted.
pub(super) fn open(dir: &Path) -> Result<(Connection, Database), StoreError> {
    let (path, fresh) = (dir.join(DATABASE), dir.join(FRESH));
    if fresh.exists() {
        if path.exists() {
            remove(dir, FRESH)?;
        } else {
            disk::rename(&fresh, &path)?;
            disk::sync_dir(dir)?;
        }
    }
    let empty = std::fs::metadata(&path).map_or(true, |meta| meta.len() == 0);
    let used = journal::is_begun(&dir.join(journal::SEGMENTS))?
        || !disk::list(&dir.join("packages"))?.is_empty();
    let opened = open_at(dir, &path).and_then(|conn| {
        let filled = super::meta(&conn, "device")?.is_some();
        Ok((conn, filled))
    });
    let why = match opened {
        Ok((conn, _)) if empty && !used => return Ok((conn, Database::New)),
        Ok((conn, false)) if used => {
            let why = if empty {
                "it was missing"
            } else {
                "the run before ended while it was made again"
            };
            let why = why.to_owned();
            return Ok((conn, Database::Rebuilt { why }));
        }
        Ok((conn, _)) => return Ok((conn, Database::Sound)),
        Err(StoreError::Corrupt(why)) => why,
        Err(other) => return Err(other),
    };
    Ok((replace(dir, &Saved::of(dir))?, Database::Rebuilt { why }))
}

fn open_at(dir: &Path, path: &Path) -> Result<Connection, StoreError> {
    migrate::open(path).map_err(|error| match (error, disk::free_bytes(dir)) {
        // SQLite calls it an input/output error when a full disk has no room for its shared memory.
        (StoreError::Io(_), Ok(free)) if free < OPEN_NEEDS => StoreError::Full {
            free,
            need: OPEN_NEEDS,
        },
        (error, _) => error,
    })
}

/// Puts a new database with what was `saved` in the place of the one that is there.
fn replace(dir: &Path, saved: &Saved) -> Result<Connection, StoreError> {
    let (path, fresh) = (dir.join(DATABASE), dir.join(FRESH));
    remove(dir, FRESH)?;
    let mut conn = open_at(dir, &fresh)?;
    saved.write(&mut conn)?;
    // All of it in the one file: the log would not be found by another name.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    drop(conn);
    move_aside(dir)?;
    disk::rename(&fresh, &path)?;
    disk::sync_dir(dir)?;
    open_at(dir, &path)
}

fn remove(dir: &Path, name: &str) -> Result<(), StoreError> {
    for part in PARTS {
        disk::remove_file(&dir.join(format!("{name}{part}")))?;
    }
    Ok(())
}

/// Moves the database with its log out of the way, and removes the oldest of those before.
fn move_aside(dir: &Path) -> Result<(), StoreError> {
    let aside = format!("{ASIDE}{:020}", clock::now().utc_ms());
    for part in PARTS {
        let from = dir.join(format!("{DATABASE}{part}"));
        if from.exists() {
            disk::rename(&from, &dir.join(format!("{aside}{part}")))?;
        }
    }
    disk::sync_dir(dir)?;
    let names = disk::list(dir)?;
    let databases: Vec<_> = names
        .iter()
        .filter(|name| {
            name.starts_with(ASIDE) && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .collect();
    let old = databases.len().saturating_sub(ASIDE_MAX);
    for name in databases.iter().take(old) {
        remove(dir, name)?;
    }
    Ok(())
}

/// What only the database knows, as far as it can be read.
#[derive(Debug, Default)]
struct Saved {
    book: Option<String>,
    /// What the upload notes about its link.
    account: Option<String>,
    /// Open cases with their notes and files.
    cases: Vec<(CaseId, Option<String>, Vec<FileEntry>)>,
}

impl Saved {
    fn read(conn: &Connection) -> Self {
        let cases = draft::cases(conn).unwrap_or_default().into_iter();
        let cases = cases.filter_map(|case| {
            let note = draft::note(conn, case).ok()?;
            Some((case, note, draft::files(conn, case).ok()?))
        });
        Self {
            cases: cases.collect(),
            book: super::meta(conn, "book").ok().flatten(),
            account: super::meta(conn, LINK_ACCOUNT).ok().flatten(),
        }
    }

    /// What is in the database that is there, or in one that was to take its place.
    fn of(dir: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let read = |name| {
            let conn = Connection::open_with_flags(dir.join(name), flags);
            conn.map_or_else(|_| Self::default(), |conn| Self::read(&conn))
        };
        read(DATABASE).or(|| read(FRESH))
    }

    fn or(self, other: impl FnOnce() -> Self) -> Self {
        let nothing = self.book.is_none() && self.account.is_none() && self.cases.is_empty();
        if nothing { other() } else { self }
    }

    fn write(&self, conn: &mut Connection) -> Result<(), StoreError> {
        let (book, cases) = (self.book.is_some(), self.cases.len());
        tracing::info!(book, cases, "taken over from the broken database");
        let tx = conn.transaction()?;
        super::save_book(&tx, self.book.as_deref())?;
        if let Some(account) = &self.account {
            super::set_meta(&tx, LINK_ACCOUNT, account)?;
        }
        for (case, note, files) in &self.cases {
            match draft::take_over(&tx, *case, note.as_deref(), files) {
                // Rows that our own code never wrote.
                Err(StoreError::Corrupt(_)) => draft::forget(&tx, *case)?,
                done => done?,
            }
        }
        #[cfg(test)]
        disk::fault::commit(Path::new(tx.path().unwrap_or_default()))?;
        Ok(tx.commit()?)
    }
}

/// Packages that were found whole, each with whether its pictures and video were left out.
#[derive(Debug, Default)]
pub(super) struct Looked(HashMap<CaseId, (Package, bool)>);

impl Looked {
    /// Reads every package in `dir` as it is held against the journal when the database is lost. Needs
    /// no lock: what is sealed does not change, and what was not whole is looked at again.
    pub(super) fn at_all(dir: &Path) -> Result<Self, StoreError> {
        let (mut sealed, mut gone) = (HashMap::new(), HashSet::new());
        journal::walk_own(
            &dir.join(journal::SEGMENTS),
            &mut |entry| match lines::read(&entry) {
                Some(Said::Sealed(line)) => {
                    sealed.entry(line.id).or_insert(line);
                }
                Some(Said::Pruned(id)) => {
                    gone.insert(id);
                }
                Some(Said::Evicted(line)) => {
                    gone.insert(line.id);
                }
                _ => {}
            },
        )?;
        let mut looked = HashMap::new();
        for id in disk::list(&dir.join("packages"))?
            .iter()
            .filter_map(|name| super::case_id(name))
        {
            let (place, gone) = (super::package_dir(dir, id), gone.contains(&id));
            if let Ok(Some(package)) = package::examine(&place, id, sealed.get(&id), gone)
                && package.fault.is_none()
            {
                looked.insert(id, (package, gone));
            }
        }
        Ok(Self(looked))
    }

    /// A package that was found whole when held against what is `said` of it, as a `pruned` one or
    /// more than that.
    pub(super) fn whole(
        &self,
        id: CaseId,
        said: Option<&lines::Sealed>,
        pruned: bool,
    ) -> Option<Package> {
        let (package, left_out) = self.0.get(&id)?;
        let same = said.is_none_or(|said| package.line == *said);
        (same && (pruned || !left_out)).then(|| package.clone())
    }
}

impl Inner {
    /// Makes the database again from the files, as a start does. After an error none is open: an
    /// empty one would give numbers anew.
    pub(super) fn make_again(
        &mut self,
        device: &str,
        why: String,
        looked: &Looked,
        tell: &dyn Fn(usize, usize),
    ) -> Result<Recovery, StoreError> {
        // A line that a failed append left behind is none.
        self.journal.take_back()?;
        let saved = Saved::read(&self.conn).or(|| Saved::of(&self.dir));
        // Closed first: SQLite removes the log of what it closes, and that by its name.
        self.conn = Connection::open_in_memory()?;
        self.conn = replace(&self.dir, &saved)?;
        // Both are found again: the package in its place, the lines in the journal.
        self.pending = None;
        self.unindexed.clear();
        let made = recover::run(self, (device, Database::Rebuilt { why }), looked, tell);
        if made.is_err() {
            self.conn = Connection::open_in_memory()?;
        }
        made
    }
}
