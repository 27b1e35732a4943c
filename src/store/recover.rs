//! What start-up puts right: a broken database, packages without rows, drafts without files.
//!
//! Everything here may be cut short and done again: lines are written before the rows they
//! explain, rows before files are removed, and what is right already is left alone.

use std::collections::HashSet;

use rusqlite::Transaction;
use serde::Serialize;
use serde_json::json;

use super::database::{self, Looked};
use super::ledger::{Ledger, index, replay_answers};
use super::package::{self, Package};
use super::{
    Inner, MIB, StoreError, ballast, checkpoints, clocks, draft, heal, ledger, lines, lock,
    set_meta,
};
use crate::disk;
use crate::journal::{self, Journal};
use crate::types::CaseId;
use crate::{clock, config};

/// What opening the store found and did. Every part of it is also in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// What became of the database.
    pub database: Database,
    /// Packages a crash had left without rows; they are queued now. The cases among them that
    /// the book still has open have ended.
    pub adopted: Vec<CaseId>,
    /// Packages found damaged just now; kept as they are, and not sent.
    pub damaged: Vec<CaseId>,
    /// Names in `packages/` that are no packages of ours; left alone.
    pub foreign: Vec<String>,
    /// Packages called damaged in an earlier run that are whole: a disk may fail for a while.
    pub whole_again: Vec<CaseId>,
    /// Packages that were on their way when the last run ended; queued again.
    pub requeued: usize,
    /// Files of open cases that were missing or changed; their rows are gone.
    pub drafts_lost: usize,
    /// Leftovers removed from `staging/`.
    pub leftovers: usize,
    /// Torn ends of the journal set aside.
    pub journal_repairs: u64,
    /// Where the journal is broken, if it is.
    pub journal_broken: Option<String>,
}

/// What became of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    /// It was there and sound.
    #[default]
    Sound,
    /// The store is new.
    New,
    /// It was missing or broken and was made again from the files.
    Rebuilt {
        /// What was wrong with it.
        why: String,
    },
}

/// Brings the database level with the files, then the drafts level with the database. Packages that
/// were `looked` at just now are not read again.
pub(super) fn run(
    inner: &mut Inner,
    (device, database): (&str, Database),
    looked: &Looked,
    tell: &dyn Fn(usize, usize),
) -> Result<Recovery, StoreError> {
    inner.belongs_to(device)?;
    let mut recovery = Recovery {
        database,
        journal_repairs: inner.journal.repairs(),
        journal_broken: inner.journal.broken().map(ToString::to_string),
        ..Recovery::default()
    };
    let ledger = inner.read_journal()?;
    let mut found = inner.find_packages((&ledger, looked), &mut recovery, tell)?;
    inner.write_lines(&mut found, &recovery)?;
    let packages = inner.dir.join("packages");
    recovery.requeued = inner.transact(|tx| {
        write_rows(tx, device, &ledger, &found)?;
        replay_answers(tx, &packages, &ledger)?;
        requeue(tx)
    })?;
    inner.finish_pruning()?;
    inner.add_missing()?;
    inner.find_missing(&mut recovery)?;
    inner.look_again(&mut recovery, tell)?;
    inner.tidy_staging(&mut recovery)?;
    Ok(recovery)
}

/// A package without rows.
#[derive(Debug)]
struct Found {
    package: Package,
    /// Number of the line that says it is sealed, and when it was (UTC milliseconds).
    line: Option<(u64, i64)>,
}

impl Inner {
    /// Opens what is in `config.dir`, which must be there.
    pub(super) fn open(
        config: &config::Store,
        device_id: &str,
        tell: &dyn Fn(usize, usize),
    ) -> Result<(Self, Recovery), StoreError> {
        for inner in [
            "staging",
            "packages",
            checkpoints::FOLDER,
            journal::SEGMENTS,
        ] {
            disk::create_dir(&config.dir.join(inner))?;
        }
        let dir = &config.dir;
        let lock = lock::take(dir)?;
        let ballast = ballast::Ballast::new(dir, config.ballast_mib.saturating_mul(MIB));
        let (conn, database) = database::open(dir)?;
        let checkpoint = checkpoints::newest(dir)?;
        let known = checkpoint.n().max(ledger::newest_line(&conn)?);
        let journal = Journal::open(&dir.join(journal::SEGMENTS), known)?;
        let mut inner = Self {
            dir: dir.clone(),
            config: config.clone(),
            ballast,
            conn,
            journal,
            pending: None,
            heard: None,
            checkpoint,
            unindexed: Vec::new(),
            files_lost: 0,
            lock,
        };
        let sound = database == Database::Sound;
        let looked = Looked::default();
        let recovery = run(&mut inner, (device_id, database), &looked, tell);
        let recovery = match recovery.as_ref().err().and_then(StoreError::of_rows) {
            // Nothing that somebody wrote into the rows is a reason not to open.
            Some(why) if sound => inner.make_again(device_id, why, &looked, tell)?,
            _ => recovery?,
        };
        inner.heard = clocks::Heard::before(&inner.conn)?;
        Ok((inner, recovery))
    }

    fn belongs_to(&self, device: &str) -> Result<(), StoreError> {
        match self.meta("device")? {
            Some(stored) if stored != device => Err(StoreError::OtherDevice {
                stored,
                configured: device.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Looks for packages without rows: in `packages/`, and in the journal.
    fn find_packages(
        &self,
        (ledger, looked): (&Ledger, &Looked),
        recovery: &mut Recovery,
        tell: &dyn Fn(usize, usize),
    ) -> Result<Vec<Found>, StoreError> {
        let known = self.packages_with_rows()?;
        let mut numbers = self.numbers_taken()?;
        let mut found = Vec::new();
        let mut ids: HashSet<CaseId> = ledger.sealed.keys().copied().collect();
        for name in disk::list(&self.dir.join("packages"))? {
            match super::case_id(&name) {
                Some(id) if known.contains(&id) => {}
                Some(id) => {
                    ids.insert(id);
                }
                None => recovery.foreign.push(name),
            }
        }
        let mut ids: Vec<CaseId> = ids.into_iter().collect();
        // What the journal names comes first: its number is proved, the others' is claimed.
        ids.sort_by_key(|id| (!ledger.sealed.contains_key(id), *id));
        let all = ids.len();
        for (done, id) in ids.into_iter().enumerate() {
            tell(done, all);
            let said = ledger.sealed.get(&id);
            let line = said.map(|(line, ..)| line);
            let pruned = ledger.pruned.contains(&id) || ledger.is_evicted(id);
            let package = match looked.whole(id, line, pruned) {
                None => package::examine(&self.package_dir(id), id, line, pruned)?,
                whole => whole,
            };
            match package {
                Some(package) if package.line.seq > 0 && numbers.insert(package.line.seq) => {
                    if package.fault.is_some() {
                        recovery.damaged.push(id);
                    } else {
                        recovery.adopted.push(id);
                    }
                    let line = said.map(|&(_, n, at_ms)| (n, at_ms));
                    found.push(Found { package, line });
                }
                _ => recovery.foreign.push(id.to_string()),
            }
        }
        if all > 0 {
            tell(all, all);
        }
        Ok(found)
    }

    fn numbers_taken(&self) -> Result<HashSet<i64>, StoreError> {
        let mut query = self.conn.prepare("SELECT seq FROM package")?;
        let rows = query.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The journal lines for what was found. The entry in `packages/` is made durable first:
    /// nobody knows whether whoever wrote it lived to do so.
    fn write_lines(&mut self, found: &mut [Found], recovery: &Recovery) -> Result<(), StoreError> {
        let at = clock::now();
        if let Database::Rebuilt { why } = &recovery.database {
            let body = json!({ "why": why, "packages": found.len() });
            self.say(at, lines::REBUILT, body)?;
        }
        if !found.is_empty() {
            disk::sync_dir(&self.dir.join("packages"))?;
        }
        for Found { package, line } in found {
            if let Some(why) = &package.fault {
                let body = json!({ "id": package.line.id, "why": why });
                self.say(at, lines::DAMAGED, body)?;
            } else if line.is_none() {
                let head = self.say(at, lines::ADOPTED, lines::body(&package.line))?;
                *line = Some((head.n, package.line.known_ms(at.utc_ms())));
            }
        }
        Ok(())
    }

    /// Marks packages damaged whose directory is gone and that nobody else has.
    fn find_missing(&mut self, recovery: &mut Recovery) -> Result<(), StoreError> {
        let there: HashSet<String> = disk::list(&self.dir.join("packages"))?
            .into_iter()
            .collect();
        let names: Vec<String> = {
            let sql = "SELECT id FROM package WHERE state = 'queued' ORDER BY seq";
            let mut query = self.conn.prepare(sql)?;
            let rows = query.query_map([], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        let missing = names.iter().filter(|name| !there.contains(*name));
        for id in missing.filter_map(|name| super::case_id(name)) {
            self.damaged(id, "its directory is missing")?;
            recovery.damaged.push(id);
        }
        Ok(())
    }

    /// Looks once more at the packages that were called damaged before, and queues those that are
    /// whole. One that cannot be looked at waits for the next start; rows that do not take what is
    /// there are not ours.
    fn look_again(
        &mut self,
        recovery: &mut Recovery,
        tell: &dyn Fn(usize, usize),
    ) -> Result<(), StoreError> {
        let names: Vec<String> = {
            let sql = "SELECT id FROM package WHERE state = 'damaged' \
                 AND id NOT IN (SELECT package_id FROM evicted) ORDER BY seq";
            let mut query = self.conn.prepare(sql)?;
            let rows = query.query_map([], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        let ids = names.iter().filter_map(|name| super::case_id(name));
        let mut ids: HashSet<CaseId> = ids.collect();
        ids.retain(|id| !recovery.damaged.contains(id));
        let lines = heal::sealed_lines(&self.dir, &ids)?;
        let all = lines.len();
        for (done, (id, line)) in lines.into_iter().enumerate() {
            tell(done, all);
            match self.look_once_more(id, &line) {
                Ok(true) => recovery.whole_again.push(id),
                Ok(false) => {}
                Err(error) if error.of_rows().is_some() => return Err(error),
                Err(error) => {
                    tracing::error!(%error, package = %id, "a damaged package was not looked at");
                }
            }
        }
        Ok(())
    }

    /// Queues a damaged package when it is whole; whether it is.
    fn look_once_more(&mut self, id: CaseId, line: &lines::Sealed) -> Result<bool, StoreError> {
        let package = package::examine(&self.package_dir(id), id, Some(line), false)?;
        let whole = package.filter(|package| package.fault.is_none());
        if let Some(package) = &whole {
            self.whole(package, Vec::new())?;
        }
        Ok(whole.is_some())
    }

    /// Removes what no row knows, drops the rows whose file is not what it should be.
    fn tidy_staging(&mut self, recovery: &mut Recovery) -> Result<(), StoreError> {
        let open: HashSet<CaseId> = draft::cases(&self.conn)?.into_iter().collect();
        let staging = self.dir.join("staging");
        for name in disk::list(&staging)? {
            if super::case_id(&name).is_some_and(|id| open.contains(&id)) {
                continue;
            }
            let path = staging.join(&name);
            if disk::is_folder(&path) {
                disk::remove_dir_all(&path)?;
            } else {
                disk::remove_file(&path)?;
            }
            recovery.leftovers += 1;
        }
        for case in open {
            recovery.drafts_lost += self.sift(case)?;
        }
        Ok(())
    }
}

/// Writes the rows of all that was found.
fn write_rows(
    tx: &Transaction<'_>,
    device: &str,
    ledger: &Ledger,
    found: &[Found],
) -> Result<(), StoreError> {
    set_meta(tx, "device", device)?;
    if ledger.reindex {
        tx.execute("DELETE FROM journal", [])?;
    }
    for line in &ledger.unindexed {
        index(tx, line)?;
    }
    let now = clock::now().utc_ms();
    for Found { package, line } in found {
        let without = || (None, package.line.known_ms(now));
        let (n, sealed_ms) = line.map_or_else(without, |(n, at_ms)| (Some(n), at_ms));
        package.insert(tx, (sealed_ms, None), n)?;
    }
    // A case that is a package now is not open any more.
    tx.execute(
        "DELETE FROM draft_case WHERE id IN (SELECT id FROM package)",
        [],
    )?;
    Ok(())
}

/// Queues what was on its way; retry times were those of the last run.
fn requeue(tx: &Transaction<'_>) -> Result<usize, StoreError> {
    tx.execute(
        "UPDATE package SET next_try_ns = 0 WHERE next_try_ns <> 0",
        [],
    )?;
    let sql = "UPDATE package SET state = 'queued' WHERE state IN ('sealed', 'sending', 'sent')";
    Ok(tx.execute(sql, [])?)
}
