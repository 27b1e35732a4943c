//! One sealed package: what its directory says, and its rows.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;

use super::compare::{Unlike, compare, lasting};
use super::{State, StoreError, lines, outbox};
use crate::disk;
use crate::types::{CaseId, Violation};
use crate::witness::{self, Manifest, sha256_hex};

/// Files of a package that its manifest does not list: one is the same in every package, the
/// others are the manifest and what signs it.
const UNSIGNED: [&str; 3] = [witness::MIMETYPE, witness::MANIFEST, witness::SIGNATURE];

/// Which messages carry a file: 1 the head, sent first and at once; 2 pictures and all else;
/// 3 video.
pub(super) fn lane(name: &str, media_type: &str) -> u8 {
    if is_head(name) {
        1
    } else if media_type.starts_with("video/") {
        3
    } else {
        2
    }
}

/// Whether the file is part of the head of a package.
pub(super) fn is_head(name: &str) -> bool {
    name == witness::MIMETYPE || name == witness::STATEMENT || name.starts_with("META-INF/")
}

/// How grave a violation is, 0–9: what goes first when the link is narrow. A load on the
/// carriageway endangers people now; the two others are a nuisance.
fn severity(kind: &str) -> u8 {
    if kind == Violation::Spillage.name() {
        7
    } else {
        4
    }
}

/// A file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// Name inside the package.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
    /// 1 head, 2 pictures and all else, 3 video.
    pub lane: u8,
}

/// What the store reads in a statement.
#[derive(Debug, Deserialize)]
pub(super) struct Statement {
    pub(super) id: CaseId,
    pub(super) seq: i64,
    pub(super) journal: StatementJournal,
    violation: Option<StatementViolation>,
    asked: Option<StatementAsked>,
    grade: Option<witness::Grading>,
}

/// The line the statement names as its own, and the one before.
#[derive(Debug, Deserialize)]
pub(super) struct StatementJournal {
    pub(super) n: u64,
    pub(super) prev: String,
}

#[derive(Debug, Deserialize)]
struct StatementViolation {
    kind: String,
    first_seen: Option<String>,
    confirmed: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StatementAsked {
    at: Option<String>,
}

impl Statement {
    /// Reads the bytes of `evidence.json`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|e| format!("evidence.json cannot be read: {e}"))
    }

    /// What it is about: its violation, or that a person asked for it.
    fn about(&self) -> String {
        let violation = self.violation.as_ref();
        violation.map_or_else(|| witness::ABOUT_CAPTURE.to_owned(), |v| v.kind.clone())
    }

    /// When it happened, or was asked for, UTC milliseconds; 0 when the statement does not say.
    fn occurred_ms(&self) -> i64 {
        let seen = self.violation.as_ref().map(|v| &v.first_seen);
        let text = seen.or(self.asked.as_ref().map(|asked| &asked.at));
        let text = text.and_then(Option::as_deref).unwrap_or_default();
        text.parse().map_or(0, jiff::Timestamp::as_millisecond)
    }

    /// What the journal says of the package with this statement.
    fn line(&self, manifest_sha256: String, sig_sha256: String) -> lines::Sealed {
        let grading = self.grade.as_ref();
        let against = grading.into_iter().flat_map(witness::Grading::against);
        lines::Sealed {
            id: self.id,
            seq: self.seq,
            kind: self.about(),
            occurred_ms: self.occurred_ms(),
            confirmed: None,
            manifest_sha256,
            sig_sha256,
            grade: grading.map(|grading| grading.grade),
            against: against.map(|condition| condition.id.clone()).collect(),
        }
    }
}

/// A package on its way into the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// What its journal line says or will say.
    pub(super) line: lines::Sealed,
    /// Its files; what can be known of them when it is damaged.
    pub(super) files: Vec<PackageFile>,
    /// What is wrong with it.
    pub(super) fault: Option<String>,
}

impl Package {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// Writes its rows: damaged when there is a fault, else queued. It was sealed at `sealed_ms`, UTC, and
    /// in this boot at `boot_ns`, where that is known.
    pub(super) fn insert(
        &self,
        conn: &Connection,
        (sealed_ms, boot_ns): (i64, Option<u64>),
        journal_n: Option<u64>,
    ) -> Result<(), StoreError> {
        let line = &self.line;
        let first = match self.fault {
            Some(_) => State::Damaged,
            None => State::Sealed,
        };
        conn.execute(
            "INSERT INTO package(id, seq, state, kind, severity, occurred_ms, sealed_ms, bytes, \
             sig_sha256, journal_n, last_error, sealed_boot, sealed_ns) \
             VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)",
            params![
                line.id.to_string(),
                line.seq,
                first,
                line.kind,
                severity(&line.kind),
                line.occurred_ms,
                sealed_ms,
                sql_int(self.bytes()),
                Some(&line.sig_sha256).filter(|hash| !hash.is_empty()),
                journal_n.map(sql_int),
                self.fault,
                boot_ns.and(outbox::this_boot()),
                boot_ns.map(sql_int),
            ],
        )?;
        insert_files(conn, line.id, &self.files)?;
        if self.fault.is_none() {
            step(conn, line.id, State::Queued)?;
        }
        Ok(())
    }
}

/// Writes the rows of a package's files.
pub(super) fn insert_files(
    conn: &Connection,
    id: CaseId,
    files: &[PackageFile],
) -> Result<(), StoreError> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO blob(package_id, name, size, sha256, lane) VALUES(?1,?2,?3,?4,?5)",
    )?;
    for file in files {
        insert.execute(params![
            id.to_string(),
            file.name,
            sql_int(file.size),
            file.sha256,
            file.lane
        ])?;
    }
    Ok(())
}

/// SQLite's integers are signed; nothing counted here comes near their end.
pub(super) fn sql_int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The state of a package; `None` when there is no such package.
pub(super) fn state(conn: &Connection, id: CaseId) -> Result<Option<State>, StoreError> {
    let mut query = conn.prepare_cached("SELECT state FROM package WHERE id = ?1")?;
    Ok(query
        .query_row([id.to_string()], |row| row.get(0))
        .optional()?)
}

/// Moves a package to another state; the schema decides whether it may.
pub(super) fn step(conn: &Connection, id: CaseId, to: State) -> Result<(), StoreError> {
    let from = state(conn, id)?.ok_or(StoreError::Unknown(id))?;
    let moved = conn.execute(
        "UPDATE package SET state = ?2 WHERE id = ?1",
        params![id.to_string(), to],
    );
    match moved {
        Ok(_) => Ok(()),
        Err(rusqlite::Error::SqliteFailure(code, _))
            if code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER =>
        {
            Err(StoreError::Step { id, from, to })
        }
        Err(other) => Err(other.into()),
    }
}

/// Puts a package that is on its way back into the queue. From `refused` and `damaged` other ways
/// lead there, each with its line in the journal.
pub(super) fn put_back(conn: &Connection, id: CaseId) -> Result<(), StoreError> {
    let (from, to) = (state(conn, id)?, State::Queued);
    match from {
        Some(from @ (State::Refused | State::Damaged)) => Err(StoreError::Step { id, from, to }),
        _ => step(conn, id, to),
    }
}

/// The files of a package as its rows have them.
pub(super) fn files(conn: &Connection, id: CaseId) -> Result<Vec<PackageFile>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT name, size, sha256, lane FROM blob WHERE package_id = ?1 ORDER BY lane, name",
    )?;
    let rows = query.query_map([id.to_string()], |row| {
        Ok(PackageFile {
            name: row.get(0)?,
            size: row.get::<_, i64>(1)?.unsigned_abs(),
            sha256: row.get(2)?,
            lane: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Looks at the directory of a package without believing any row. `said` is what the journal
/// says of it; of a `pruned` package only the head is looked for. `None` when neither tells its
/// number: then it is nothing of ours. An error: nothing can be said of it at present.
pub(super) fn examine(
    dir: &Path,
    id: CaseId,
    said: Option<&lines::Sealed>,
    pruned: bool,
) -> Result<Option<Package>, StoreError> {
    let read = |name| lasting(disk::read(&dir.join(name)).map_err(Unlike::from));
    let statement = read(witness::STATEMENT)?.and_then(|bytes| Statement::read(&bytes));
    let manifest = read(witness::MANIFEST)?;
    let sig_sha256 = read(witness::SIGNATURE)?.map(|bytes| sha256_hex(&bytes));
    let line = match (said, &statement) {
        (Some(said), _) => said.clone(),
        (None, Ok(statement)) => lines::Sealed {
            id,
            confirmed: statement
                .violation
                .as_ref()
                .and_then(|v| v.confirmed.clone()),
            ..statement.line(
                manifest.as_deref().map(sha256_hex).unwrap_or_default(),
                sig_sha256.unwrap_or_default(),
            )
        },
        (None, Err(_)) => return Ok(None),
    };
    let mut files = Vec::new();
    let mut fault = examine_files(dir, &line, statement, manifest, &mut files).err();
    if fault.is_none() {
        let wanted = files.iter().filter(|file| !pruned || file.lane == 1);
        fault = lasting(compare(dir, &wanted.cloned().collect::<Vec<_>>()))?.err();
    }
    Ok(Some(Package { line, files, fault }))
}

/// Fills `files` from the manifest, which must be the one the line names.
fn examine_files(
    dir: &Path,
    line: &lines::Sealed,
    statement: Result<Statement, String>,
    manifest: Result<Vec<u8>, String>,
    files: &mut Vec<PackageFile>,
) -> Result<(), String> {
    let manifest = manifest?;
    if sha256_hex(&manifest) != line.manifest_sha256 {
        return Err(format!("{} was changed", witness::MANIFEST));
    }
    let parsed = Manifest::parse_sealed(&manifest)
        .map_err(|e| format!("{} cannot be read: {e}", witness::MANIFEST))?;
    for entry in parsed.entries {
        if UNSIGNED.contains(&entry.name.as_str()) {
            return Err(format!("its manifest lists {}", entry.name));
        }
        let size = std::fs::metadata(dir.join(&entry.name)).map_or(0, |meta| meta.len());
        files.push(PackageFile {
            lane: lane(&entry.name, &entry.media_type),
            sha256: entry.sha256_hex(),
            name: entry.name,
            size,
        });
    }
    for (name, sha256) in [
        (witness::MIMETYPE, &sha256_hex(witness::ASIC_E.as_bytes())),
        (witness::MANIFEST, &line.manifest_sha256),
        (witness::SIGNATURE, &line.sig_sha256),
    ] {
        let size = std::fs::metadata(dir.join(name)).map_or(0, |meta| meta.len());
        if sha256.is_empty() {
            return Err(format!("{name} cannot be read"));
        }
        files.push(PackageFile {
            name: name.to_owned(),
            size,
            sha256: sha256.clone(),
            lane: 1,
        });
    }
    let statement = statement?;
    if statement.id != line.id || statement.seq != line.seq {
        let (id, seq) = (statement.id, statement.seq);
        return Err(format!(
            "evidence.json is that of package {id}, number {seq}"
        ));
    }
    Ok(())
}

/// The rows for a package that was just written, from the bytes themselves.
pub(super) fn describe(
    statement: &Statement,
    sealed: &witness::Sealed,
    drafts: &[witness::FileEntry],
) -> Result<Package, String> {
    let manifest = Manifest::parse_sealed(&sealed.manifest).map_err(|e| e.to_string())?;
    let mut known: HashMap<&str, (u64, String)> = drafts
        .iter()
        .map(|d| (d.name.as_str(), (d.size, d.sha256.clone())))
        .collect();
    for (name, bytes) in sealed.parts() {
        known.insert(name, (bytes.len() as u64, sha256_hex(bytes)));
    }
    let mut types: HashMap<&str, &str> = HashMap::new();
    for entry in &manifest.entries {
        match known.get(entry.name.as_str()) {
            Some((_, sha256)) if *sha256 == entry.sha256_hex() => {
                types.insert(&entry.name, &entry.media_type);
            }
            Some(_) => return Err(format!("the manifest has another hash for {}", entry.name)),
            None => {
                return Err(format!(
                    "the manifest names {}, which is not kept",
                    entry.name
                ));
            }
        }
    }
    let files = known.into_iter().map(|(name, (size, sha256))| {
        let signed = types.get(name).copied();
        if signed.is_none() && !UNSIGNED.contains(&name) {
            return Err(format!("the manifest leaves out {name}"));
        }
        Ok(PackageFile {
            name: name.to_owned(),
            size,
            sha256,
            lane: lane(name, signed.unwrap_or_default()),
        })
    });
    Ok(Package {
        files: files.collect::<Result<_, _>>()?,
        line: statement.line(sha256_hex(&sealed.manifest), sha256_hex(&sealed.signature)),
        fault: None,
    })
}
