//! Makes damaged packages whole again: by themselves when they are, else from the second copy.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use rusqlite::params;
use serde::Serialize;

use super::compare::compare;
use super::package::{self, Package, sql_int};
use super::{Inner, State, Store, StoreError, disk, evict, lines, mirror};
use crate::clock;
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
        let mut inner = self.inner();
        inner.settled()?;
        let healed = inner.heal(id, medium.as_deref())?;
        drop(inner);
        self.shared.queued.notify_one();
        Ok(healed)
    }
}

impl Inner {
    /// As [`Store::heal`]; `medium` has been recognised as ours or is looked into all the same:
    /// nothing in it counts that has not the hashes the journal names.
    pub(super) fn heal(&mut self, id: CaseId, medium: Option<&Path>) -> Result<Healed, StoreError> {
        if evict::is_evicted(&self.conn, id)? {
            let why = "an administrator had its pictures and video removed";
            return Ok(Healed::Not(why.to_owned()));
        }
        let line = self.sealed_lines(&HashSet::from([id]))?.remove(&id);
        let here = self.package_dir(id);
        let pruned = package::state(&self.conn, id)? == Some(State::Pruned);
        let fault = match package::examine(&here, id, line.as_ref(), pruned) {
            Some(package) if package.fault.is_none() => {
                return self.whole(&package, Vec::new());
            }
            Some(package) => package.fault.unwrap_or_default(),
            None => "nothing says what it was".to_owned(),
        };
        let (Some(medium), Some(line)) = (medium, line) else {
            return Ok(Healed::Not(fault));
        };
        let copy = medium.join("packages").join(id.to_string());
        let mut package = match package::examine(&copy, id, Some(&line), pruned) {
            Some(package) if package.fault.is_none() => package,
            other => {
                let why = other.and_then(|package| package.fault).unwrap_or_default();
                return Ok(Healed::Not(format!("{fault}; and the second copy: {why}")));
            }
        };
        package.files.retain(|file| !pruned || file.lane == 1);
        let restored = self.bring_back(&package, &copy)?;
        compare(&here, &package.files).map_err(|unlike| StoreError::Io(unlike.why))?;
        self.whole(&package, restored)
    }

    /// Copies what differs here from the copy, which has just been examined.
    fn bring_back(&self, package: &Package, copy: &Path) -> Result<Vec<String>, StoreError> {
        let here = self.package_dir(package.line.id);
        disk::create_dir(&here)?;
        let draft = self.dir.join("staging").join(package.line.id.to_string());
        let mut restored = Vec::new();
        for file in &package.files {
            let digest = disk::digest(&here.join(&file.name));
            if digest.is_ok_and(|(_, sha256)| sha256 == file.sha256) {
                continue;
            }
            let bytes = disk::read(&copy.join(&file.name))?;
            mirror::put(&here, &file.name, (&draft, &bytes))?;
            restored.push(file.name.clone());
        }
        Ok(restored)
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

    /// What the journal says of the sealing of these packages.
    pub(super) fn sealed_lines(
        &self,
        ids: &HashSet<CaseId>,
    ) -> Result<BTreeMap<CaseId, lines::Sealed>, StoreError> {
        let mut found = BTreeMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        self.journal.walk(&mut |entry| match lines::read(&entry) {
            Some(lines::Said::Sealed(line)) if ids.contains(&line.id) => {
                found.entry(line.id).or_insert(line);
            }
            _ => {}
        })?;
        Ok(found)
    }
}
