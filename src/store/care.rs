//! What is done for the store every few seconds, whether or not there is a case.

use serde::Serialize;

use super::{Inner, Level, MIB, Pruned, Room, Store, StoreError, disk};
use crate::journal;
use crate::types::Stamp;

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
    /// Looks after the store: goes on with a disk that came back, finishes what was left
    /// half-way, prunes, restores the ballast. `suspect`: something failed before, so that a
    /// small write shall say whether the disk works again.
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
        let pruned = self.prune(now)?;
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

    /// Writes and removes a small file.
    fn probe(&self) -> Result<(), StoreError> {
        let path = self.shared.dir.join("staging/probe");
        disk::remove_file(&path)?;
        disk::write_new(&path, b"probe")?;
        Ok(disk::remove_file(&path)?)
    }
}
