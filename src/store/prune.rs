//! Removes pictures and video of packages that the receiver has signed for.
//!
//! ```text
//! journal line, durable ─▶ row: pruned ─▶ unlink, sync the folders ─▶ rows of the files gone
//! ```
//! Rows of files that a pruned package still has mean that the unlinking is not finished:
//! start-up and the next call go on with it. Statement, signatures, receipt and everything else
//! of the head stay for good.

use std::collections::BTreeSet;

use serde::Serialize;

use super::compare::compare;
use super::package::{self, PackageFile};
use super::quota::{self, Candidate};
use super::{Inner, State, Store, StoreError, lines};
use crate::config::PruneNeeds;
use crate::disk;
use crate::types::{CaseId, Stamp};
use crate::witness;

/// Packages pruned in one call at most: the keeper waits for the store meanwhile.
const BATCH: usize = 32;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Packages.
    pub packages: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Store {
    /// Removes what may go by the quota and the age, a few packages at a time. `now` is the
    /// moment of the decision.
    pub fn prune(&self, now: Stamp) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        let chosen = {
            let mut inner = self.inner();
            inner.settled()?.finish_pruning()?;
            let rules = (inner.config.prune_needs, inner.config.keep_days);
            let by_both = inner.by_both_clocks(now);
            quota::choose(inner.room()?, &inner.candidates()?, rules, by_both)
        };
        for id in chosen.into_iter().take(BATCH) {
            let removed = self.inner().prune(id, now)?;
            if let Some(bytes) = removed {
                pruned.packages += 1;
                pruned.bytes += bytes;
            }
        }
        Ok(pruned)
    }

    /// Some of the packages that wait for a receipt that says a second copy before their pictures and
    /// video may go; none where the configuration does not ask for one. Of many, half of `limit` are
    /// those receipted last, which may well get theirs, and the rest are taken by chance: none waits
    /// behind others that never do.
    pub fn wanting_copies(&self, limit: u32) -> Result<Vec<CaseId>, StoreError> {
        const SQL: &str = "WITH waiting AS (SELECT id, receipted_ms, seq FROM package \
             WHERE state = 'receipted' AND coalesce(copies, 1) < ?1), \
             newest AS (SELECT id FROM waiting ORDER BY receipted_ms DESC, seq DESC LIMIT ?2) \
             SELECT id FROM newest UNION ALL SELECT id FROM (SELECT id FROM waiting \
             WHERE id NOT IN (SELECT id FROM newest) ORDER BY random() LIMIT ?3)";
        let inner = self.inner();
        if inner.config.prune_needs != PruneNeeds::MirrorAndCopies {
            return Ok(Vec::new());
        }
        let newest = limit / 2;
        let mut query = inner.conn.prepare_cached(SQL)?;
        let names = query.query_map([quota::COPIES, newest, limit - newest], |row| {
            row.get::<_, String>(0)
        })?;
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        Ok(names.iter().filter_map(|n| super::case_id(n)).collect())
    }
}

impl Inner {
    /// The receipted packages, with what the decision needs.
    fn candidates(&self) -> Result<Vec<Candidate>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT id, sealed_ms, receipted_ms, copies, mirror IS NOT NULL, \
             coalesce(received_ms, receipted_ms), (SELECT coalesce(sum(size), 0) FROM blob WHERE package_id = id AND lane > 1) \
             FROM package WHERE state = 'receipted' ORDER BY seq",
        )?;
        let rows = query.query_map([], |row| {
            let name: String = row.get(0)?;
            let Some(id) = super::case_id(&name) else {
                return Ok(None);
            };
            Ok(Some(Candidate {
                id,
                sealed_ms: row.get(1)?,
                receipted_ms: row.get(2)?,
                copies: row.get(3)?,
                mirrored: row.get(4)?,
                received_ms: row.get(5)?,
                bytes: row.get::<_, i64>(6)?.unsigned_abs(),
            }))
        })?;
        Ok(rows
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?)
    }

    /// Prunes one package; gives the bytes, `None` when it does not stand where it did, or when
    /// what would stay does not prove itself.
    fn prune(&mut self, id: CaseId, now: Stamp) -> Result<Option<u64>, StoreError> {
        self.settled()?.present()?;
        if package::state(&self.conn, id)? != Some(State::Receipted) {
            return Ok(None);
        }
        let dir = self.package_dir(id);
        let files = package::files(&self.conn, id)?;
        let (head, going): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.lane == 1);
        if !dir.join(witness::RECEIPT).is_file() || compare(&dir, &head).is_err() {
            return Ok(None);
        }
        let bytes = going.iter().map(|file| file.size).sum();
        let line = lines::Pruned {
            id,
            files: going.iter().map(|file| file.name.clone()).collect(),
            bytes,
        };
        self.say(now, lines::PRUNED, lines::body(&line))?;
        self.transact(|tx| package::step(tx, id, State::Pruned))?;
        self.unlink(id, &going)?;
        Ok(Some(bytes))
    }

    /// Unlinks what an error or a crash left of pruned and evicted packages.
    pub(super) fn finish_pruning(&mut self) -> Result<(), StoreError> {
        let names: Vec<String> = {
            let mut query = self.conn.prepare_cached(
                "SELECT DISTINCT id FROM package JOIN blob ON package_id = id \
                 WHERE lane > 1 AND (state = 'pruned' \
                 OR id IN (SELECT package_id FROM evicted))",
            )?;
            let rows = query.query_map([], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for id in names.iter().filter_map(|name| super::case_id(name)) {
            let mut files = package::files(&self.conn, id)?;
            files.retain(|file| file.lane > 1);
            self.unlink(id, &files)?;
        }
        Ok(())
    }

    pub(super) fn unlink(&mut self, id: CaseId, files: &[PackageFile]) -> Result<(), StoreError> {
        let dir = self.package_dir(id);
        let mut folders = BTreeSet::new();
        for file in files {
            let path = dir.join(&file.name);
            disk::remove_file(&path)?;
            let inside = path.ancestors().skip(1).take_while(|folder| *folder != dir);
            folders.extend(inside.map(std::path::Path::to_owned));
        }
        // The deepest first; a folder in which something else lies stays.
        for folder in folders
            .iter()
            .rev()
            .filter(|folder| disk::is_folder(folder))
        {
            if disk::list(folder)?.is_empty() {
                disk::remove_dir_all(folder)?;
            } else {
                disk::sync_dir(folder)?;
            }
        }
        if disk::is_folder(&dir) {
            disk::sync_dir(&dir)?;
        }
        self.transact(|tx| {
            let sql = "DELETE FROM blob WHERE package_id = ?1 AND lane > 1";
            tx.execute(sql, [id.to_string()])?;
            Ok(())
        })
    }
}
