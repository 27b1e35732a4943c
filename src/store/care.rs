//! What is done for the store every few seconds, whether or not there is a case.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::database::Looked;
use super::{Inner, Level, MIB, Pruned, Room, Store, StoreError, View};
use crate::clock;
use crate::disk;
use crate::journal;
use crate::types::{Stamp, lock};

/// How often the database is read through, and how often it is made again at most.
const DATABASE_EVERY_NS: u64 = 3600 * 1_000_000_000;

/// How soon it is read through again while something is suspect; then twice as long each time, for what
/// lasts may have nothing to do with it.
const SUSPECT_EVERY_NS: u64 = 60 * 1_000_000_000;

/// When the database was seen to in this run, boot clock, nanoseconds.
#[derive(Debug, Default)]
pub(super) struct SeenTo {
    /// Read through.
    read_ns: Option<u64>,
    /// How long the next look waits at least, nanoseconds, while something is suspect.
    patience_ns: u64,
    /// Made again.
    rebuilt_ns: Option<u64>,
    /// What is known to be wrong with it, until it is made again.
    broken: Option<String>,
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
        journal::walk_own(&dir, &mut |entry| ours |= entry.head == head)?;
        if !ours {
            let place = self.shared.dir.display();
            let what = format!("another store, or an older copy, is at {place}; restart to use it");
            return Err(StoreError::Io(what));
        }
        let (config, device) = (&self.shared.config, &self.shared.device);
        let (mut fresh, recovery) =
            self.while_all_wait(|tell| Inner::open(config, device, tell))?;
        fresh.files_lost += inner.files_lost;
        *inner = fresh;
        self.seen_to().broken = None;
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
            if seen.broken.is_some() {
                return seen.broken.clone();
            }
            let read_ns = *seen.read_ns.get_or_insert(now.boot_ns);
            let every = if suspect {
                seen.patience_ns
            } else {
                DATABASE_EVERY_NS
            };
            if now.boot_ns.saturating_sub(read_ns) < every {
                return None;
            }
            seen.read_ns = Some(now.boot_ns);
            seen.patience_ns = if suspect {
                (2 * every).clamp(SUSPECT_EVERY_NS, DATABASE_EVERY_NS)
            } else {
                0
            };
        }
        let looked = View::open(&self.shared.config).and_then(|view| view.check_database());
        match looked {
            Ok(findings) => findings.first().map(ToString::to_string),
            Err(StoreError::Corrupt(why)) => Some(why),
            // Nothing is known of it then; whoever needs it says what is the matter.
            Err(_) => None,
        }
    }

    /// Makes the database again from the files, as a start does. The packages are read before the lock
    /// is taken: minutes, in which nobody may have to wait. More than once in a while does not help:
    /// then `why` is an error.
    fn rebuild(&self, now: Stamp, why: String) -> Result<(), StoreError> {
        let rebuilt_ns = {
            let mut seen = self.seen_to();
            seen.broken = Some(why.clone());
            seen.rebuilt_ns
        };
        if rebuilt_ns.is_some_and(|at| now.boot_ns.saturating_sub(at) < DATABASE_EVERY_NS) {
            return Err(StoreError::Corrupt(why));
        }
        tracing::error!(why, "the database is broken: it is made again");
        self.inner().present()?;
        let looked = Looked::at_all(&self.shared.dir)?;
        let mut inner = self.inner();
        inner.present()?;
        let device = &self.shared.device;
        let recovery = self.while_all_wait(|tell| inner.make_again(device, why, &looked, tell))?;
        {
            let mut seen = self.seen_to();
            seen.rebuilt_ns = Some(now.boot_ns);
            seen.broken = None;
        }
        drop(inner);
        tracing::info!(?recovery, "the database was made again");
        self.shared.queued.notify_one();
        Ok(())
    }

    /// Runs what keeps everybody waiting, and leaves a sign of life before it and whenever it tells how
    /// far it is.
    fn while_all_wait<T>(&self, run: impl FnOnce(&dyn Fn(usize, usize)) -> T) -> T {
        let heard_ns = &self.shared.put_right_ns;
        let tell = |_, _| heard_ns.store(clock::boot_ns(), Ordering::Relaxed);
        tell(0, 0);
        let done = run(&tell);
        heard_ns.store(0, Ordering::Relaxed);
        done
    }

    /// Whether everybody waits for the store because it is put right, and something was heard of that
    /// no longer than `within` before `now`.
    pub fn is_put_right(&self, now: Stamp, within: Duration) -> bool {
        let heard_ns = self.shared.put_right_ns.load(Ordering::Relaxed);
        let within_ns = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        heard_ns > 0 && now.boot_ns.saturating_sub(heard_ns) < within_ns
    }

    fn seen_to(&self) -> std::sync::MutexGuard<'_, SeenTo> {
        lock(&self.shared.seen_to)
    }

    /// Writes and removes a small file.
    fn probe(&self) -> Result<(), StoreError> {
        let path = self.shared.dir.join("staging/probe");
        disk::remove_file(&path)?;
        disk::write_new(&path, b"probe")?;
        Ok(disk::remove_file(&path)?)
    }
}
