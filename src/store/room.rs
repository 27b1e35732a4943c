//! How much room there is, and who may still have some.

use std::path::Path;

use rusqlite::Connection;

use super::draft;
use super::{Inner, Level, MIB, Room, Store, StoreError};
use crate::config;
use crate::disk;
use crate::types::CaseId;

/// Bytes of everything the store keeps, as far as its rows know: files of packages, those
/// removed excepted, and drafts.
const KEPT: &str = "SELECT \
     (SELECT coalesce(sum(bytes), 0) FROM package WHERE state <> 'pruned' \
        AND id NOT IN (SELECT package_id FROM evicted)) \
     + (SELECT coalesce(sum(size), 0) FROM package JOIN blob ON package_id = id \
        WHERE state = 'pruned' OR id IN (SELECT package_id FROM evicted)) \
     + (SELECT coalesce(sum(size), 0) FROM draft)";

/// Measures the store of `config`: its rows through `conn`, the rest on the disk. `owed`: bytes
/// of ballast that are not there.
pub(super) fn measure(
    conn: &Connection,
    config: &config::Store,
    owed: u64,
) -> Result<Room, StoreError> {
    let kept: i64 = conn.prepare_cached(KEPT)?.query_row([], |row| row.get(0))?;
    let used = kept
        .unsigned_abs()
        .saturating_add(folder_bytes(&config.dir.join("journal"))?)
        .saturating_add(database_bytes(&config.dir));
    let reserved = config
        .keep_free_mib
        .saturating_mul(MIB)
        .saturating_add(owed);
    let free = disk::free_bytes(&config.dir)?.saturating_sub(reserved);
    let on_disk = used.saturating_add(free);
    let quota = match config.quota_mib {
        0 => on_disk,
        mib => on_disk.min(mib.saturating_mul(MIB)),
    };
    Ok(Room { used, quota })
}

fn folder_bytes(dir: &Path) -> Result<u64, StoreError> {
    let names = disk::list(dir)?;
    Ok(names.iter().map(|name| file_bytes(&dir.join(name))).sum())
}

fn database_bytes(dir: &Path) -> u64 {
    let parts = ["q.db", "q.db-wal", "q.db-shm"];
    parts.iter().map(|name| file_bytes(&dir.join(name))).sum()
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

impl Store {
    /// How full the store is.
    pub fn room(&self) -> Result<Room, StoreError> {
        self.inner().room()
    }
}

impl Inner {
    pub(super) fn room(&self) -> Result<Room, StoreError> {
        measure(&self.conn, &self.config, self.ballast.owed())
    }

    /// A full store begins no new case; one of which something is kept already is finished.
    pub(super) fn admits(&self, case: CaseId) -> Result<(), StoreError> {
        if !draft::files(&self.conn, case)?.is_empty() {
            return Ok(());
        }
        let room = self.room()?;
        match room.level() {
            Level::Shut => Err(StoreError::Shut {
                percent: room.percent(),
            }),
            Level::Ample | Level::Filling | Level::Tight => Ok(()),
        }
    }

    /// New evidence leaves the room that sealing, and the ballast, need.
    pub(super) fn room_for(&self, bytes: u64) -> Result<(), StoreError> {
        let free = disk::free_bytes(&self.dir)?;
        let reserved = self.config.keep_free_mib.saturating_mul(MIB);
        let need = reserved
            .saturating_add(self.ballast.owed())
            .saturating_add(bytes);
        if free < need {
            return Err(StoreError::Full { free, need });
        }
        Ok(())
    }
}
