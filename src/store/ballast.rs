//! A file that only takes room, so that a full disk still has some for journal and database.
//!
//! It is let go when one of them meets a full disk, and made again when there is room for it
//! beyond what must stay free. As long as it is owed, new evidence leaves room for it too:
//! else pictures would eat what was freed for the words about them.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::disk::{self, DiskError};

/// Name of the file in the store.
pub(super) const NAME: &str = "ballast";

/// The ballast is this part of its disk at most.
const PART_OF_DISK: u64 = 8;

/// The reserve of one store.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    /// Bytes; 0 when there is none.
    size: u64,
}

impl Ballast {
    /// The reserve of the store at `dir`: `wanted` bytes, or an eighth of the disk when that is
    /// less.
    pub(super) fn new(dir: &Path, wanted: u64) -> Self {
        let disk =
            statvfs(dir).map_or(u64::MAX, |stat| stat.f_blocks.saturating_mul(stat.f_frsize));
        Self {
            path: dir.join(NAME),
            size: wanted.min(disk / PART_OF_DISK),
        }
    }

    /// Bytes of reserve that are not there, and should be.
    pub(super) fn owed(&self) -> u64 {
        let len = std::fs::metadata(&self.path).map_or(0, |meta| meta.len());
        if len == self.size { 0 } else { self.size }
    }

    /// Makes room; false when there was nothing to let go.
    pub(super) fn let_go(&self) -> Result<bool, DiskError> {
        let there = self.path.exists();
        if there {
            disk::remove_file(&self.path)?;
            self.path.parent().map_or(Ok(()), disk::sync_dir)?;
            tracing::warn!(
                "the evidence disk is full; its reserve was freed for journal and queue"
            );
        }
        Ok(there)
    }

    /// Makes it again when it is owed and `spare` bytes, those beyond what must stay free, hold
    /// it.
    pub(super) fn restore(&self, spare: u64) -> Result<(), DiskError> {
        if self.owed() == 0 || spare < self.size {
            return Ok(());
        }
        disk::remove_file(&self.path)?;
        let file: File = disk::create_new(&self.path)?;
        let made = disk::reserve(&file, &self.path, self.size)
            .and_then(|()| disk::sync_all(&file, &self.path));
        if made.is_err() {
            // A part of it is no reserve, only lost room.
            disk::remove_file(&self.path)?;
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn it_takes_its_room_for_real_and_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path(), 1 << 20);
        assert_eq!(ballast.owed(), 1 << 20);
        ballast.restore((1 << 20) - 1).unwrap();
        assert_eq!(ballast.owed(), 1 << 20, "no room for it");
        ballast.restore(1 << 20).unwrap();
        let meta = std::fs::metadata(dir.path().join(NAME)).unwrap();
        assert_eq!(meta.len(), 1 << 20);
        assert!(meta.blocks() * 512 >= 1 << 20, "a hole is no reserve");
        assert_eq!(ballast.owed(), 0);
        assert!(ballast.let_go().unwrap());
        assert!(!ballast.let_go().unwrap());
        assert_eq!(ballast.owed(), 1 << 20);
        // One of another size, from another configuration, does not count.
        Ballast::new(dir.path(), 1 << 19).restore(1 << 20).unwrap();
        ballast.restore(1 << 20).unwrap();
        assert_eq!(ballast.owed(), 0);
    }

    #[test]
    fn none_is_none_and_a_small_disk_gets_a_small_one() {
        let dir = tempfile::tempdir().unwrap();
        let none = Ballast::new(dir.path(), 0);
        none.restore(u64::MAX).unwrap();
        assert_eq!(none.owed(), 0);
        let huge = Ballast::new(dir.path(), u64::MAX);
        let stat = statvfs(dir.path()).unwrap();
        assert_eq!(huge.owed(), stat.f_blocks * stat.f_frsize / PART_OF_DISK);
    }
}
