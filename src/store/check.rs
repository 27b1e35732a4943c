//! Holds everything that is kept against what it should be.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::Serialize;

use super::compare::{Unlike, compare, lasting};
use super::lines::{self, Said};
use super::package::{self, PackageFile};
use super::{InUse, Listed, State, Store, StoreError, View, evict};
use crate::disk;
use crate::journal;
use crate::types::CaseId;
use crate::witness::{self, Manifest};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// A file of a package is missing or changed. Packages still to be sent are marked.
    Package {
        /// The package.
        id: CaseId,
        /// What is wrong.
        what: String,
    },
    /// The journal's chain does not hold.
    Journal {
        /// Where and why.
        what: String,
    },
    /// The database is not sound or not level with the files; a restart makes it again.
    Database {
        /// What is wrong.
        what: String,
    },
    /// Something in `packages/` that is no package of this store.
    Stranger {
        /// Its name.
        name: String,
    },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Package { id, what } => write!(f, "package {id}: {what}"),
            Self::Journal { what } => f.write_str(what),
            Self::Database { what } => write!(f, "database: {what}"),
            Self::Stranger { name } => write!(f, "packages/{name} is no package of this store"),
        }
    }
}

/// What the journal says of the packages.
#[derive(Default)]
struct Told {
    sealed: HashMap<CaseId, lines::Sealed>,
    pruned: HashSet<CaseId>,
    broken: Option<String>,
}

impl Store {
    /// Reads every package, the journal and the database, and marks packages still to be sent
    /// that are not whole. Takes as long as reading the disk; the store can be used meanwhile.
    pub fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.inner().settled()?;
        let findings = View::open(&self.shared.config)?.check(&mut |_, _| ())?;
        for finding in &findings {
            if let Finding::Package { id, what } = finding {
                let mut inner = self.inner();
                inner.present()?;
                if package::state(&inner.conn, *id)?.is_some() {
                    inner.damaged(*id, what)?;
                }
            }
        }
        Ok(findings)
    }
}

impl View {
    /// Reads every package against its signed manifest, the database against directories and
    /// journal, the chain of the journal. `tell` hears how many of how many packages are done.
    /// Signatures are `lingmou verify`'s.
    pub fn check(&self, tell: &mut dyn FnMut(usize, usize)) -> Result<Vec<Finding>, StoreError> {
        let mut findings = self.check_database()?;
        let told = self.told()?;
        findings.extend(
            told.broken
                .iter()
                .map(|what| Finding::Journal { what: what.clone() }),
        );
        let listed = self.packages()?;
        for (done, package) in listed.iter().enumerate() {
            tell(done, listed.len());
            if let Err(mut what) = self.check_package(package, &told)? {
                // What is lost here alone is another trouble than what is lost.
                if matches!(package.state, State::Receipted | State::Pruned) {
                    what.push_str("; a receiver has signed that it has it whole");
                }
                findings.push(Finding::Package {
                    id: package.id,
                    what,
                });
            }
        }
        tell(listed.len(), listed.len());
        findings.extend(self.check_folders(&listed, &told)?);
        Ok(findings)
    }

    /// Reads the database through.
    pub(super) fn check_database(&self) -> Result<Vec<Finding>, StoreError> {
        let sql = "PRAGMA quick_check(1)";
        let verdict: String = self.conn.query_row(sql, [], |row| row.get(0))?;
        let sound = verdict == "ok";
        Ok((!sound)
            .then_some(Finding::Database { what: verdict })
            .into_iter()
            .collect())
    }

    /// Reads the journal. A line that is being written just now looks torn; it is not the
    /// second time.
    fn told(&self) -> Result<Told, StoreError> {
        let dir = self.config.dir.join("journal");
        let mut told = Told::default();
        journal::walk(&dir, &mut |entry| match lines::read(&entry) {
            Some(Said::Sealed(line)) => {
                told.sealed.entry(line.id).or_insert(line);
            }
            Some(Said::Pruned(id)) => {
                told.pruned.insert(id);
            }
            _ => {}
        })?;
        let mut holds = journal::verify(&dir);
        if holds.is_err() && self.in_use() != InUse::No {
            holds = journal::verify(&dir);
        }
        match holds {
            Ok(_) => {}
            Err(journal::JournalError::Broken(broken)) => told.broken = Some(broken.to_string()),
            Err(other) => return Err(other.into()),
        }
        Ok(told)
    }

    fn check_package(
        &self,
        listed: &Listed,
        told: &Told,
    ) -> Result<Result<(), String>, StoreError> {
        let dir = self.package_dir(listed.id);
        let line = told.sealed.get(&listed.id);
        if listed.state == State::Damaged {
            let evicted = evict::is_evicted(&self.conn, listed.id)?;
            let looked = package::examine(&dir, listed.id, line, evicted)?;
            if evicted
                && looked
                    .as_ref()
                    .is_some_and(|package| package.fault.is_none())
            {
                return Ok(Ok(()));
            }
            let why = match looked.map(|package| package.fault) {
                Some(None) => "whole again; `lingmou store repair` queues it".to_owned(),
                Some(Some(why)) => why,
                None => listed.last_error.clone().unwrap_or_default(),
            };
            return Ok(Err(why));
        }
        let files = self.files(listed.id)?;
        let whole = lasting(package(&dir, listed, &files))?.and_then(|()| match line {
            Some(line) => as_told(&files, line),
            None => Err("the journal has no line for it".to_owned()),
        });
        // What was pruned or answered just now reads differently from the row of a moment ago.
        let moved = whole.is_err() && self.files(listed.id)? != files;
        Ok(if moved { Ok(()) } else { whole })
    }

    /// Directories without rows, and what is no package at all.
    fn check_folders(&self, listed: &[Listed], told: &Told) -> Result<Vec<Finding>, StoreError> {
        let known: HashSet<CaseId> = listed.iter().map(|package| package.id).collect();
        let mut findings = Vec::new();
        for name in disk::list(&self.config.dir.join("packages"))? {
            let Some(id) = super::case_id(&name) else {
                findings.push(Finding::Stranger { name });
                continue;
            };
            if known.contains(&id) {
                continue;
            }
            let pruned = told.pruned.contains(&id);
            let line = told.sealed.get(&id);
            findings.push(
                match package::examine(&self.package_dir(id), id, line, pruned)? {
                    Some(package) => {
                        let fault = package
                            .fault
                            .map_or_else(String::new, |why| format!("; {why}"));
                        let what = format!("it has no row: start-up takes it in{fault}");
                        Finding::Package { id, what }
                    }
                    None => Finding::Stranger { name },
                },
            );
        }
        let lost = told.sealed.keys().filter(|id| !known.contains(*id));
        let lost = lost.filter(|id| !self.package_dir(**id).exists());
        findings.extend(lost.map(|id| Finding::Package {
            id: *id,
            what: "the journal says it was sealed; there is no directory and no row".to_owned(),
        }));
        let numbers = listed.iter().map(|package| package.seq);
        if let Some((expected, found)) = (1..).zip(numbers).find(|(n, seq)| n != seq) {
            let what = format!("number {expected} is missing before {found}");
            findings.push(Finding::Database { what });
        }
        Ok(findings)
    }
}

/// Holds a package against its rows and its manifest; a pruned one against what must be left.
pub(super) fn package(dir: &Path, listed: &Listed, files: &[PackageFile]) -> Result<(), Unlike> {
    if !disk::is_folder(dir) {
        return Err("its directory is missing".to_owned().into());
    }
    compare(dir, files)?;
    let manifest = disk::read(&dir.join(witness::MANIFEST))?;
    let manifest = Manifest::parse(&manifest).map_err(|e| e.to_string())?;
    let mut rows: BTreeMap<&str, &str> = files
        .iter()
        .map(|file| (file.name.as_str(), file.sha256.as_str()))
        .collect();
    for entry in &manifest.entries {
        match rows.remove(entry.name.as_str()) {
            Some(sha256) if sha256 == entry.sha256_hex() => {}
            Some(_) => {
                return Err(format!("the manifest has another hash for {}", entry.name).into());
            }
            None if listed.state == State::Pruned && !package::is_head(&entry.name) => {}
            None => {
                return Err(format!("{} is in the manifest and has no row", entry.name).into());
            }
        }
    }
    strangers(dir, "", &manifest)
}

/// Files that the signature does not cover; `META-INF` has rules of its own.
fn strangers(dir: &Path, prefix: &str, manifest: &Manifest) -> Result<(), Unlike> {
    for name in disk::list(dir)? {
        let path = dir.join(&name);
        let inside = format!("{prefix}{name}");
        if disk::is_folder(&path) {
            strangers(&path, &format!("{inside}/"), manifest)?;
        } else if !package::is_head(&inside) && !manifest.entries.iter().any(|e| e.name == inside) {
            return Err(format!("{inside} lies outside the signature").into());
        }
    }
    Ok(())
}

/// The journal names manifest and signature: they must be the ones that are kept.
fn as_told(files: &[PackageFile], line: &lines::Sealed) -> Result<(), String> {
    for (name, told) in [
        (witness::MANIFEST, &line.manifest_sha256),
        (witness::SIGNATURE, &line.sig_sha256),
    ] {
        let kept = files.iter().find(|file| file.name == name);
        if kept.is_none_or(|file| file.sha256 != *told) {
            return Err(format!("{name} is not the one the journal names"));
        }
    }
    Ok(())
}
