//! Makes damaged packages whole again: by themselves when they are, else from the second copy.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::params;
use serde::Serialize;

use super::compare::compare;
use super::package::{self, Package, sql_int};
use super::{Inner, State, Store, StoreError, evict, lines, mirror};
use crate::clock;
use crate::disk;
use crate::journal;
use crate::types::CaseId;

/// What became of a damaged package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Healed {
    /// It is whole; these files came from the second copy.
    Whole(Vec<String>),
    /// It is not; this is what is wrong, here and with the copy.
    Not(String),
}

impl Store {
    /// Tries to make a package whole again whose files are not what they should be, with the
    /// second copy where there is one. The journal and `packages/` say what it should be.
    pub fn heal(&self, id: CaseId) -> Result<Healed, StoreError> {
        let medium = Some(self.shared.config.mirror.clone()).filter(|dir| dir.is_dir());
        let healed = self.heal_from(id, medium.as_deref())?;
        self.shared.queued.notify_one();
        Ok(healed)
    }

    /// As [`Store::heal`]; `medium` has been recognised as ours or is looked into all the same:
    /// nothing in it counts that has not the hashes the journal names. It may be slow, or stop
    /// altogether: everything is read without the store's lock.
    pub(super) fn heal_from(
        &self,
        id: CaseId,
        medium: Option<&Path>,
    ) -> Result<Healed, StoreError> {
        let before = {
            let mut inner = self.inner();
            inner.settled()?;
            if evict::is_evicted(&inner.conn, id)? {
                let why = "an administrator had its pictures and video removed";
                return Ok(Healed::Not(why.to_owned()));
            }
            package::state(&inner.conn, id)?
        };
        let pruned = before == Some(State::Pruned);
        let line = sealed_lines(&self.shared.dir, &HashSet::from([id]))?.remove(&id);
        let (package, brought) =
            match package::examine(&self.package_dir(id), id, line.as_ref(), pruned)? {
                Some(package) if package.fault.is_none() => (package, Vec::new()),
                here => {
                    let fault = here.map_or_else(
                        || "nothing says what it was".to_owned(),
                        |package| package.fault.unwrap_or_default(),
                    );
                    let (Some(medium), Some(line)) = (medium, line) else {
                        return Ok(Healed::Not(fault));
                    };
                    let copy = medium.join("packages").join(id.to_string());
                    let mut package = match package::examine(&copy, id, Some(&line), pruned)? {
                        Some(package) if package.fault.is_none() => package,
                        other => {
                            let why = other.and_then(|package| package.fault).unwrap_or_default();
                            let why = format!("{fault}; and the second copy: {why}");
                            return Ok(Healed::Not(why));
                        }
                    };
                    package.files.retain(|file| !pruned || file.lane == 1);
                    let brought = self.bring(&package, &copy)?;
                    (package, brought)
                }
            };
        let mut inner = self.inner();
        let now = package::state(&inner.conn, id)?;
        if now != before || evict::is_evicted(&inner.conn, id)? {
            brought
                .iter()
                .try_for_each(|(_, draft)| disk::remove_file(draft))?;
            return Ok(Healed::Not("it changed while it was looked at".to_owned()));
        }
        let restored = inner.put_in_place(&package, brought)?;
        inner.whole(&package, restored)
    }

    /// Brings into `staging/` what differs here from the copy, which has just been examined: names in
    /// the package, and where they lie now.
    fn bring(&self, package: &Package, copy: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let id = package.line.id;
        let (here, staging) = (self.package_dir(id), self.shared.dir.join("staging"));
        let mut brought = Vec::new();
        for file in &package.files {
            let digest = disk::digest(&here.join(&file.name));
            if digest.is_ok_and(|(_, sha256)| sha256 == file.sha256) {
                continue;
            }
            let draft = staging.join(format!("{id}.healed{}", brought.len()));
            let bytes = disk::read(&copy.join(&file.name))?;
            disk::remove_file(&draft)?;
            disk::write_new(&draft, &bytes)?;
            brought.push((file.name.clone(), draft));
        }
        Ok(brought)
    }
}

impl Inner {
    /// Moves what was brought to its place; the package is what it must be then.
    fn put_in_place(
        &self,
        package: &Package,
        brought: Vec<(String, PathBuf)>,
    ) -> Result<Vec<String>, StoreError> {
        if brought.is_empty() {
            return Ok(Vec::new());
        }
        let here = self.package_dir(package.line.id);
        disk::create_dir(&here)?;
        for (name, draft) in &brought {
            mirror::move_in(&here, name, draft)?;
        }
        compare(&here, &package.files).map_err(|unlike| StoreError::Io(unlike.why))?;
        Ok(brought.into_iter().map(|(name, _)| name).collect())
    }

    /// The package is whole: says so, and queues it when it waited for that.
    pub(super) fn whole(
        &mut self,
        package: &Package,
        files: Vec<String>,
    ) -> Result<Healed, StoreError> {
        let id = package.line.id;
        let damaged = package::state(&self.conn, id)? == Some(State::Damaged);
        if damaged || !files.is_empty() {
            let line = lines::Restored {
                id,
                files: files.clone(),
            };
            self.say(clock::now(), lines::RESTORED, lines::body(&line))?;
        }
        if !damaged {
            return Ok(Healed::Whole(files));
        }
        self.transact(|tx| {
            tx.execute("DELETE FROM blob WHERE package_id = ?1", [id.to_string()])?;
            package::insert_files(tx, id, &package.files)?;
            tx.execute(
                "UPDATE package SET sig_sha256 = ?2, bytes = ?3, last_error = NULL, \
                 next_try_ns = 0 WHERE id = ?1",
                params![
                    id.to_string(),
                    package.line.sig_sha256,
                    sql_int(package.files.iter().map(|file| file.size).sum()),
                ],
            )?;
            package::step(tx, id, State::Queued)
        })?;
        Ok(Healed::Whole(files))
    }
}

/// What the journal of the store at `dir` says of the sealing of these packages.
pub(super) fn sealed_lines(
    dir: &Path,
    ids: &HashSet<CaseId>,
) -> Result<BTreeMap<CaseId, lines::Sealed>, StoreError> {
    let mut found = BTreeMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    journal::walk_own(
        &dir.join(journal::SEGMENTS),
        &mut |entry| match lines::read(&entry) {
            Some(lines::Said::Sealed(line)) if ids.contains(&line.id) => {
                found.entry(line.id).or_insert(line);
            }
            _ => {}
        },
    )?;
    Ok(found)
}
