//! What is added to a package once its receipt is there: journal lines, a manifest, a time-stamp.
//!
//! ```text
//! receipt kept, row in `stamp` ─▶ chain.jsonl ─▶ ASiCManifest002.xml ─▶ `added`
//!                                        (the stamp is asked for) ─▶ timestamp001.tst ─▶ line ─▶ `stamped_ms`
//! ```
//! Each file is written beside, synced and renamed. What a crash cuts short is done again, by
//! start-up or before the next try for a stamp; a manifest that is there is never written anew,
//! for a stamp may be over it already. Nothing here touches what the device has signed.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

use super::compare::kept;
use super::package::{self, Statement};
use super::{Inner, Store, StoreError, lines};
use crate::clock;
use crate::disk;
use crate::journal::{self, Place};
use crate::types::CaseId;
use crate::witness::{
    self, JournalCopy, JournalLines, JournalPoint, Manifest, ManifestEntry, SigReference,
    TimeStamp, sha256_hex,
};

/// Journal lines put into a package, bytes: some eight hundred lines. The verifier takes more, but
/// each package that waited out an outage gets all the lines since its sealing, most of them the
/// same: work and flash grow with the square of this. Those that waited longer have none, and
/// `lingmou journal prove` still cuts them out.
const LINES_MAX: u64 = 256 * 1024;

/// What the time-stamp covers, as far as it is there, with its media types.
const COVERED: [(&str, &str); 3] = [
    (witness::SIGNATURE, "application/pkcs7-signature"),
    (witness::RECEIPT, "application/pkcs7-mime"),
    (witness::CHAIN, "application/jsonl"),
];

/// The package whose stamp is due and was tried least, of those the newest: ids begin with the time.
/// With ten thousand that wait it must be found, not sorted for.
pub(super) const NEXT_STAMP: &str = "SELECT package_id FROM stamp INDEXED BY stamp_next \
     WHERE stamped_ms IS NULL ORDER BY attempts, package_id DESC LIMIT 1";

/// A package whose time-stamp is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampDue {
    /// The package.
    pub id: CaseId,
    /// The bytes the stamp must be over: its `META-INF/ASiCManifest002.xml`.
    pub manifest: Vec<u8>,
}

impl Store {
    /// The package whose time-stamp is due and was tried least; of those the newest, for which
    /// a stamp says most. Its manifest is written when it is missing.
    pub fn next_stamp(&self) -> Result<Option<StampDue>, StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        loop {
            let Some(id) = inner.stamp_due()? else {
                return Ok(None);
            };
            match inner.add(id) {
                Ok(Some(manifest)) => return Ok(Some(StampDue { id, manifest })),
                // Its receipt is gone from the disk: there is nothing to stamp.
                Ok(None) => inner.transact(|tx| forget(tx, id))?,
                Err(error) => {
                    inner.transact(|tx| put_off(tx, id))?;
                    return Err(error);
                }
            }
        }
    }

    /// No stamp came for this package: others go first the next time.
    pub fn defer_stamp(&self, id: CaseId) -> Result<(), StoreError> {
        self.inner().transact(|tx| put_off(tx, id))
    }

    /// Keeps a package's time-stamp. The caller has checked `token` over the bytes that
    /// [`Store::next_stamp`] gave and says what it says. A second one changes nothing.
    pub fn stamped(&self, id: CaseId, token: &[u8], says: &TimeStamp) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        if inner.is_stamped(id)?.ok_or(StoreError::Unknown(id))? {
            return Ok(());
        }
        let draft = inner.dir.join("staging").join(format!("{id}.stamp"));
        let place = inner.package_dir(id).join(witness::TIMESTAMP);
        disk::replace(&draft, &place, token)?;
        let line = lines::Stamped {
            id,
            token_sha256: sha256_hex(token),
            at: says.at.clone(),
            accuracy_us: says.accuracy_us,
            authority: says.authority.clone(),
        };
        let now = clock::now();
        inner.say(now, lines::STAMP, lines::body(&line))?;
        inner.transact(|tx| write_stamp(tx, id, now.utc_ms()))
    }
}

/// Makes the row of a package whose receipt is kept. `head`: the journal line it names.
pub(super) fn begin(
    conn: &Connection,
    id: CaseId,
    head: Option<&JournalCopy>,
) -> Result<(), StoreError> {
    let head = head.filter(|head| head.hash.len() == 64);
    conn.execute(
        "INSERT INTO stamp(package_id, head_n, head_sha256) VALUES(?1, ?2, ?3) \
         ON CONFLICT(package_id) DO NOTHING",
        params![
            id.to_string(),
            head.map(|head| package::sql_int(head.n)),
            head.map(|head| &head.hash),
        ],
    )?;
    Ok(())
}

/// Takes in a line of the journal that says a package was stamped, when the stamp is there.
pub(super) fn replay(
    conn: &Connection,
    packages: &Path,
    (line, at_ms): &(lines::Stamped, i64),
) -> Result<(), StoreError> {
    let place = packages.join(line.id.to_string()).join(witness::TIMESTAMP);
    match kept(&place, &line.token_sha256)? {
        Some(_) => write_stamp(conn, line.id, *at_ms),
        // Without it the stamp is due, and asked for again.
        None => Ok(()),
    }
}

/// How many packages have their time-stamp, and how many wait for it.
pub(super) fn counts(conn: &Connection) -> Result<(u64, u64), StoreError> {
    let sql = "SELECT count(stamped_ms), count(*) - count(stamped_ms) FROM stamp";
    let count = |row: &rusqlite::Row<'_>, column| row.get::<_, i64>(column).map(i64::unsigned_abs);
    Ok(conn.query_row(sql, [], |row| Ok((count(row, 0)?, count(row, 1)?)))?)
}

fn write_stamp(conn: &Connection, id: CaseId, at_ms: i64) -> Result<(), StoreError> {
    let sql = "UPDATE stamp SET stamped_ms = ?2, added = 1 WHERE package_id = ?1";
    conn.execute(sql, params![id.to_string(), at_ms])?;
    Ok(())
}

fn forget(tx: &Transaction<'_>, id: CaseId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM stamp WHERE package_id = ?1", [id.to_string()])?;
    Ok(())
}

fn put_off(tx: &Transaction<'_>, id: CaseId) -> Result<(), StoreError> {
    let sql = "UPDATE stamp SET attempts = attempts + 1 WHERE package_id = ?1";
    tx.execute(sql, [id.to_string()])?;
    Ok(())
}

fn set_added(tx: &Transaction<'_>, id: CaseId) -> Result<(), StoreError> {
    let sql = "UPDATE stamp SET added = 1 WHERE package_id = ?1";
    tx.execute(sql, [id.to_string()])?;
    Ok(())
}

impl Inner {
    /// Adds lines and manifest to a package; gives the manifest, `None` when there is no receipt
    /// to add to.
    pub(super) fn add(&mut self, id: CaseId) -> Result<Option<Vec<u8>>, StoreError> {
        let manifest = self.write_additions(id)?;
        if manifest.is_some() && !self.is_added(id)? {
            self.transact(|tx| set_added(tx, id))?;
        }
        Ok(manifest)
    }

    /// Adds now what can be added; the receipt does not depend on it.
    pub(super) fn add_or_later(&mut self, id: CaseId) {
        if let Err(error) = self.add(id) {
            tracing::warn!(%id, %error, "a package is completed later");
        }
    }

    /// Start-up: adds to every package what a crash left out. Packages that never will have
    /// journal lines wait until their stamp is asked for.
    pub(super) fn add_missing(&mut self) -> Result<(), StoreError> {
        let ids = {
            let sql =
                "SELECT package_id FROM stamp WHERE added = 0 AND head_n IS NOT NULL ORDER BY 1";
            let mut query = self.conn.prepare(sql)?;
            let rows = query.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        let mut added = Vec::new();
        for id in ids.iter().filter_map(|name| super::case_id(name)) {
            if self.write_additions(id)?.is_some() {
                added.push(id);
            }
        }
        if added.is_empty() {
            return Ok(());
        }
        self.transact(|tx| added.iter().try_for_each(|&id| set_added(tx, id)))
    }

    fn write_additions(&self, id: CaseId) -> Result<Option<Vec<u8>>, StoreError> {
        let dir = self.package_dir(id);
        if !dir.join(witness::RECEIPT).is_file() {
            return Ok(None);
        }
        let place = dir.join(witness::STAMPED);
        if let Ok(there) = disk::read(&place)
            && Manifest::parse(&there).is_ok_and(|m| m.signature == SigReference::time_stamp(1))
        {
            return Ok(Some(there));
        }
        let draft = self.dir.join("staging").join(format!("{id}.added"));
        if let Some(lines) = self.chain(id)? {
            disk::replace(&draft, &dir.join(witness::CHAIN), &lines)?;
        }
        let manifest = manifest(&dir)?;
        disk::replace(&draft, &place, &manifest)?;
        Ok(Some(manifest))
    }

    /// The journal lines from the one the package's statement names to the one its receipt
    /// names; `None` when the receipt names none or an older one, and when they prove nothing.
    fn chain(&self, id: CaseId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((head, sig_sha256)) = self.receipt_head(id)? else {
            return Ok(None);
        };
        let statement = disk::read(&self.package_dir(id).join(witness::STATEMENT))
            .map_err(|error| error.to_string())
            .and_then(|bytes| Statement::read(&bytes));
        let point = match statement {
            Ok(statement) => JournalPoint {
                n: statement.journal.n,
                prev: statement.journal.prev,
            },
            Err(why) => {
                tracing::warn!(%id, why, "package gets no journal lines");
                return Ok(None);
            }
        };
        if head.n < point.n {
            return Ok(None);
        }
        let Some(bytes) = self.journal_lines(point.n, head.n)? else {
            tracing::warn!(%id, "package gets no journal lines, they are not all there");
            return Ok(None);
        };
        if let Err(error) = JournalLines::prove(&bytes, &point, &sig_sha256, &head) {
            tracing::warn!(%id, %error, "package gets no journal lines, they prove nothing");
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    fn receipt_head(&self, id: CaseId) -> Result<Option<(JournalCopy, String)>, StoreError> {
        let sql = "SELECT head_n, head_sha256, sig_sha256 FROM stamp \
                   JOIN package ON id = package_id \
                   WHERE package_id = ?1 AND head_n IS NOT NULL AND sig_sha256 IS NOT NULL";
        let mut query = self.conn.prepare_cached(sql)?;
        let row = query.query_row([id.to_string()], |row| {
            let head = JournalCopy {
                n: row.get::<_, i64>(0)?.unsigned_abs(),
                hash: row.get(1)?,
            };
            Ok((head, row.get(2)?))
        });
        Ok(row.optional()?)
    }

    /// Journal lines `from` to `to` with their newlines; `None` when one of these two is not
    /// known, or there are more than [`LINES_MAX`] bytes. They are read in one go: of a backlog
    /// each package has thousands.
    fn journal_lines(&self, from: u64, to: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let (Some(first), Some(last)) = (self.line_place(from)?, self.line_place(to)?) else {
            return Ok(None);
        };
        let dir = self.dir.join(journal::SEGMENTS);
        // What cannot be read is as good as missing: the package goes without.
        let read = journal::read_lines(&dir, (&first, &last), LINES_MAX);
        Ok(read.ok().flatten())
    }

    /// Where line `n` of the journal lies.
    fn line_place(&self, n: u64) -> Result<Option<Place>, StoreError> {
        let sql = "SELECT segment, off, len FROM journal WHERE n = ?1";
        let mut query = self.conn.prepare_cached(sql)?;
        let row = query.query_row([package::sql_int(n)], |row| {
            let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
            Ok(Place {
                segment: row.get(0)?,
                offset: number(1)?,
                len: number(2)?,
            })
        });
        Ok(row.optional()?)
    }

    fn stamp_due(&self) -> Result<Option<CaseId>, StoreError> {
        let mut query = self.conn.prepare_cached(NEXT_STAMP)?;
        let name: Option<String> = query.query_row([], |row| row.get(0)).optional()?;
        Ok(name.and_then(|name| super::case_id(&name)))
    }

    fn is_added(&self, id: CaseId) -> Result<bool, StoreError> {
        let sql = "SELECT added FROM stamp WHERE package_id = ?1";
        let mut query = self.conn.prepare_cached(sql)?;
        let added = query.query_row([id.to_string()], |row| row.get(0));
        Ok(added.optional()?.unwrap_or(false))
    }

    /// Whether a package has its stamp; `None` when it cannot have one yet.
    fn is_stamped(&self, id: CaseId) -> Result<Option<bool>, StoreError> {
        let sql = "SELECT stamped_ms IS NOT NULL FROM stamp WHERE package_id = ?1";
        let mut query = self.conn.prepare_cached(sql)?;
        Ok(query
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?)
    }
}

/// The manifest over what there is to cover in the package at `dir`.
fn manifest(dir: &Path) -> Result<Vec<u8>, StoreError> {
    let mut entries = Vec::new();
    for (name, media_type) in COVERED {
        if !dir.join(name).is_file() {
            continue;
        }
        entries.push(ManifestEntry {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            sha256: Sha256::digest(disk::read(&dir.join(name))?).into(),
        });
    }
    let manifest = Manifest {
        signature: SigReference::time_stamp(1),
        entries,
    };
    manifest
        .to_xml()
        .map_err(|error| StoreError::Invariant(error.to_string()))
}
