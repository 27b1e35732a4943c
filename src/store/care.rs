//! What is done for the store every few seconds, whether or not there is a case.

use std::sync::PoisonError;

use serde::Serialize;

use super::{Inner, Level, MIB, Pruned, Room, Store, StoreError, View, disk, set_meta};
use crate::journal::{self, Journal};
use crate::types::Stamp;

/// How often the database is read through, and how often it is made again at most.
const DATABASE_EVERY_NS: u64 = 3600 * 1_000_000_000;

/// When the database was seen to in this run, boot clock, nanoseconds.
#[derive(Debug, Default)]
pub(super) struct SeenTo {
    /// Read through.
    read_ns: Option<u64>,
    /// Made again.
    rebuilt_ns: Option<u64>,
}

/// How the store is after it was looked after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Care {
    /// How much it holds and may hold.
    pub room: Room,
    /// What that means.
    pub level: Level,
    /// What was removed just now.
    pub pruned: Pruned,
    /// Bytes of ballast that are not there: the disk was full, or is too full for it.
    pub ballast_owed: u64,
}

impl Store {
    /// Looks after the store: goes on with a disk that came back, makes a database again that broke
    /// at work, finishes what was left half-way, prunes, restores the ballast. `suspect`: something
    /// failed before, so that a small write shall say whether the disk works again, and a look
    /// whether the database does.
    ///
    /// An error is the alarm: capture cannot go on, warnings do. To be called again in a while.
    pub fn care(&self, now: Stamp, suspect: bool) -> Result<Care, StoreError> {
        self.revive()?;
        if disk::is_read_only(&self.shared.dir) {
            let what = format!("{} is mounted read-only", self.shared.dir.display());
            return Err(StoreError::ReadOnly(what));
        }
        if suspect {
            self.probe()?;
        }
        if let Some(why) = self.unsound(now, suspect) {
            self.rebuild(now, why)?;
        }
        let pruned = match self.prune(now) {
            Err(StoreError::Corrupt(why)) => {
                self.rebuild(now, why)?;
                self.prune(now)?
            }
            pruned => pruned?,
        };
        let inner = self.inner();
        let reserved = inner.config.keep_free_mib.saturating_mul(MIB);
        let spare = disk::free_bytes(&inner.dir)?.saturating_sub(reserved);
        inner.ballast.restore(spare)?;
        let room = inner.room()?;
        Ok(Care {
            room,
            level: room.level(),
            pruned,
            ballast_owed: inner.ballast.owed(),
        })
    }

    /// Opens the store anew when its disk was taken away and is back: what is open of it
    /// belongs to the disk that went. Only a store that has our last journal line is ours; the
    /// empty folder under a mount point is not.
    fn revive(&self) -> Result<(), StoreError> {
        let mut inner = self.inner();
        let Err(gone) = inner.present() else {
            return Ok(());
        };
        let dir = self.shared.dir.join("journal");
        if !dir.is_dir() {
            return Err(gone);
        }
        let head = inner.journal.head();
        let mut ours = head.n == 0;
        journal::walk(&dir, &mut |entry| ours |= entry.head == head)?;
        if !ours {
            let place = self.shared.dir.display();
            let what = format!("another store, or an older copy, is at {place}; restart to use it");
            return Err(StoreError::Io(what));
        }
        let (fresh, recovery) = Inner::open(&self.shared.config, &self.shared.device, &|_, _| ())?;
        *inner = fresh;
        drop(inner);
        tracing::info!(?recovery, "the evidence disk is back");
        self.shared.queued.notify_one();
        Ok(())
    }

    /// What is wrong with the database, when it is time to read it through. It is read beside the
    /// store's own connection: a large one must not hold up a seal.
    fn unsound(&self, now: Stamp, suspect: bool) -> Option<String> {
        {
            let mut seen = self.seen_to();
            let read_ns = *seen.read_ns.get_or_insert(now.boot_ns);
            if !suspect && now.boot_ns.saturating_sub(read_ns) < DATABASE_EVERY_NS {
                return None;
            }
            seen.read_ns = Some(now.boot_ns);
        }
        let looked = View::open(&self.shared.config).and_then(|view| view.check_database());
        match looked {
            Ok(findings) => findings.first().map(ToString::to_string),
            Err(StoreError::Corrupt(why)) => Some(why),
            // Nothing is known of it then; whoever needs it says what is the matter.
            Err(_) => None,
        }
    }

    /// Makes the database again from the files, as a start does, under our lock. What was kept of
    /// open cases is lost with it. More than once in a while does not help: then `why` is an error.
    fn rebuild(&self, now: Stamp, why: String) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.present()?;
        let rebuilt_ns = self.seen_to().rebuilt_ns;
        if rebuilt_ns.is_some_and(|at| now.boot_ns.saturating_sub(at) < DATABASE_EVERY_NS) {
            return Err(StoreError::Corrupt(why));
        }
        tracing::error!(why, "the database is broken: it is made again");
        let book = inner.meta("book").ok().flatten();
        // Closed first: SQLite removes the log of what it closes, and that by its name.
        drop(std::mem::replace(
            &mut inner.conn,
            rusqlite::Connection::open_in_memory()?,
        ));
        let lock = inner.lock.try_clone();
        let lock = lock.map_err(|error| StoreError::Io(format!("the store's lock: {error}")))?;
        let (config, device) = (&self.shared.config, &self.shared.device);
        let opened = Inner::open_locked(config, device, (lock, Some(why)), &|_, _| ());
        if opened.is_err() {
            // It may have written lines before it failed: ours must follow those.
            let known = inner.journal.head().n;
            inner.journal = Journal::open(&self.shared.dir.join(journal::SEGMENTS), known)?;
        }
        let (fresh, recovery) = opened?;
        *inner = fresh;
        self.seen_to().rebuilt_ns = Some(now.boot_ns);
        if let Some(book) = book {
            inner.transact(|tx| set_meta(tx, "book", &book))?;
        }
        drop(inner);
        tracing::info!(?recovery, "the database was made again");
        self.shared.queued.notify_one();
        Ok(())
    }

    fn seen_to(&self) -> std::sync::MutexGuard<'_, SeenTo> {
        let lock = self.shared.seen_to.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes and removes a small file.
    fn probe(&self) -> Result<(), StoreError> {
        let path = self.shared.dir.join("staging/probe");
        disk::remove_file(&path)?;
        disk::write_new(&path, b"probe")?;
        Ok(disk::remove_file(&path)?)
    }
}
