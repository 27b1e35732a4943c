//! The store seen from outside: read only, beside a running daemon or without one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde_json::Value;

use super::package::{self, PackageFile};
use super::{Counts, Mirroring, Room, State, StoreError, ballast, mirror, outbox, room};
use crate::config;
use crate::disk;
use crate::journal::{self, kind};
use crate::types::CaseId;
use crate::witness;

/// How long a writer may hold us up.
const BUSY: Duration = Duration::from_secs(5);

/// A store, opened for reading only. Takes no lock and changes nothing.
#[derive(Debug)]
pub struct View {
    pub(super) config: config::Store,
    pub(super) conn: Connection,
}

/// Whether a process has the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InUse {
    /// None has.
    No,
    /// One has; its id, where it said so.
    By(Option<u32>),
}

/// A package as its row has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The package.
    pub id: CaseId,
    /// Its number on the device.
    pub seq: u64,
    /// Where it stands.
    pub state: State,
    /// `violation.kind` of its statement.
    pub kind: String,
    /// When it was sealed, UTC milliseconds.
    pub sealed_ms: i64,
    /// Bytes of its files when it was sealed.
    pub bytes: u64,
    /// Whether the second medium has it.
    pub mirrored: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl View {
    /// Opens the store in `config.dir`. [`StoreError::Absent`] when there is none,
    /// [`StoreError::Corrupt`] when its database cannot be read, and a start of the daemon or a
    /// repair makes it again.
    pub fn open(config: &config::Store) -> Result<Self, StoreError> {
        let dir = &config.dir;
        if !dir.join("packages").is_dir() {
            return Err(StoreError::Absent(dir.clone()));
        }
        let path = dir.join("q.db");
        if !path.is_file() {
            return Err(StoreError::Corrupt(format!(
                "{} is missing",
                path.display()
            )));
        }
        let conn = match connect(&path, "") {
            // No place for its shared memory: the disk is read-only, or not ours to write.
            Err(StoreError::Io(_) | StoreError::ReadOnly(_)) if !has_log(&path) => {
                connect(&path, "?immutable=1")?
            }
            done => done?,
        };
        Ok(Self {
            config: config.clone(),
            conn,
        })
    }

    /// The `[store]` it was opened by.
    pub fn config(&self) -> &config::Store {
        &self.config
    }

    /// The device that made the store; `None` in one that was never used.
    pub fn device(&self) -> Result<Option<String>, StoreError> {
        super::meta(&self.conn, "device")
    }

    /// Whether a process has the store.
    pub fn in_use(&self) -> InUse {
        in_use(&self.config.dir)
    }

    /// What the store holds.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        outbox::counts(&self.conn, disk::free_bytes(&self.config.dir)?)
    }

    /// How full it is.
    pub fn room(&self) -> Result<Room, StoreError> {
        room::measure(&self.conn, &self.config, self.ballast_owed())
    }

    /// Bytes of ballast that should be there and are not.
    pub fn ballast_owed(&self) -> u64 {
        let wanted = self.config.ballast_mib.saturating_mul(super::MIB);
        ballast::Ballast::new(&self.config.dir, wanted).owed()
    }

    /// How far the second copy is, by the rows.
    pub fn mirroring(&self) -> Result<Mirroring, StoreError> {
        mirror::mirroring(&self.conn)
    }

    /// Why the second medium is not there; `None` when it is, or when none is configured.
    pub fn mirror_trouble(&self) -> Result<Option<String>, StoreError> {
        let dir = &self.config.mirror;
        if dir.as_os_str().is_empty() {
            return Ok(None);
        }
        let device = self.device()?.unwrap_or_default();
        Ok(mirror::recognise_in_time(dir, &device)
            .err()
            .map(|error| error.to_string()))
    }

    /// Bytes sealed since `since_ms`, UTC milliseconds, and when the first of all was sealed.
    pub fn sealed_since(&self, since_ms: i64) -> Result<(u64, Option<i64>), StoreError> {
        let sql = "SELECT coalesce(sum(bytes) FILTER (WHERE sealed_ms >= ?1), 0), min(sealed_ms) \
                   FROM package";
        Ok(self.conn.query_row(sql, [since_ms], |row| {
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
        })?)
    }

    /// Every package, by number.
    pub fn packages(&self) -> Result<Vec<Listed>, StoreError> {
        let mut query = self.conn.prepare(
            "SELECT id, seq, state, kind, sealed_ms, bytes, mirror IS NOT NULL, last_error \
             FROM package ORDER BY seq",
        )?;
        let rows = query.query_map([], |row| {
            let name: String = row.get(0)?;
            let Some(id) = super::case_id(&name) else {
                return Ok(None);
            };
            Ok(Some(Listed {
                id,
                seq: row.get::<_, i64>(1)?.unsigned_abs(),
                state: row.get(2)?,
                kind: row.get(3)?,
                sealed_ms: row.get(4)?,
                bytes: row.get::<_, i64>(5)?.unsigned_abs(),
                mirrored: row.get(6)?,
                last_error: row.get(7)?,
            }))
        })?;
        Ok(rows
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?)
    }

    pub(super) fn files(&self, id: CaseId) -> Result<Vec<PackageFile>, StoreError> {
        package::files(&self.conn, id)
    }

    /// Where a package lies.
    pub fn package_dir(&self, id: CaseId) -> PathBuf {
        super::package_dir(&self.config.dir, id)
    }
}

/// Whose store lies in `dir`, told by its files alone, for one whose database is lost: the box's
/// own last word in the journal, else what the statements of its packages agree in.
pub fn device_of(dir: &Path) -> Result<Option<String>, StoreError> {
    let (journal, packages) = (dir.join(journal::SEGMENTS), dir.join("packages"));
    let mut last = None;
    if journal.is_dir() {
        journal::walk_own(&journal, &mut |entry| {
            if entry.kind == kind::BOOT
                && let Some(device) = entry.body["device"].as_str()
            {
                last = Some(device.to_owned());
            }
        })?;
    }
    if last.is_some() {
        return Ok(last);
    }
    let mut told = BTreeSet::new();
    for name in disk::list(&packages)? {
        let statement = disk::read(&packages.join(name).join(witness::STATEMENT)).ok();
        let statement = statement.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let device = statement.and_then(|said| said["device"]["id"].as_str().map(str::to_owned));
        told.extend(device);
    }
    let one = told.len() == 1;
    Ok(told.pop_first().filter(|_| one))
}

/// Whether a process has the store in `dir`; none has one that is not there.
pub fn in_use(dir: &Path) -> InUse {
    let Ok(mut lock) = File::open(dir.join("lock")) else {
        return InUse::No;
    };
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
        return InUse::No;
    }
    let mut text = String::new();
    let read = lock.read_to_string(&mut text).ok();
    InUse::By(read.and_then(|_| text.trim().parse().ok()))
}

fn connect(path: &Path, options: &str) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let name: String = path
        .to_string_lossy()
        .chars()
        .flat_map(|c| match c {
            '%' => "%25".chars().collect::<Vec<_>>(),
            '?' => "%3f".chars().collect(),
            '#' => "%23".chars().collect(),
            c => vec![c],
        })
        .collect();
    let conn = Connection::open_with_flags(format!("file:{name}{options}"), flags)?;
    conn.busy_timeout(BUSY)?;
    // Opening alone reads nothing.
    conn.query_row("SELECT count(*) FROM package WHERE mirror > 0", [], |_| {
        Ok(())
    })?;
    Ok(conn)
}

/// Whether the database has a log whose pages would be missed without it.
fn has_log(path: &Path) -> bool {
    let log = path.with_extension("db-wal");
    std::fs::metadata(log).is_ok_and(|meta| meta.len() > 0)
}
