//! Rows of the index, written and read.

use rusqlite::{Connection, Row, ToSql, TransactionBehavior, params};

use super::kept::{Announced, Kept, Refusal};
use crate::types::CaseId;

/// Columns of `package` in the order of [`kept`], before the last.
pub(super) const KEPT: &str = "device, id, seq, sig_sha256, kind, outcome, grade, at, site, zone, lat_e7, \
    lon_e7, bytes, receiver, stored, copied, gone";

/// How late a package came, if it did: the column after [`KEPT`].
pub(super) const CAME: &str = "(SELECT secs FROM late WHERE late.device = package.device AND late.id = package.id AND secs >= 0)";

/// The media for second copies that were met. Added to an index of the same version: an older receiver
/// does not miss it.
pub(super) const MEDIA: &str =
    "CREATE TABLE IF NOT EXISTS medium(id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID";

/// What was announced and is not here whole. Added like [`MEDIA`].
pub(super) const ANNOUNCED: &str = "CREATE TABLE IF NOT EXISTS announced(
  device TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, sig_sha256 TEXT NOT NULL,
  kind TEXT NOT NULL, outcome TEXT NOT NULL, at TEXT NOT NULL, heard TEXT NOT NULL,
  PRIMARY KEY(device, seq, id)) STRICT, WITHOUT ROWID";
/// How late the heads of packages came that came late, seconds; below 0: their rows were made from the folders,
/// and nobody knows. Added like [`MEDIA`].
pub(super) const LATE: &str = "CREATE TABLE IF NOT EXISTS late(device TEXT NOT NULL, id TEXT NOT NULL, \
    secs INTEGER NOT NULL, PRIMARY KEY(device, id)) STRICT, WITHOUT ROWID";
/// Announced packages that are remembered of a device, the newest: a box could announce for ever.
pub(super) const ANNOUNCED_MAX: u32 = 1024;

/// Notes that the medium `id` is there. When it was never met, no second copy counts any more until it was
/// read back; how many that are.
pub(super) fn meet(conn: &mut Connection, id: &str) -> rusqlite::Result<usize> {
    let sql = "SELECT EXISTS(SELECT 1 FROM medium WHERE id = ?1)";
    if conn.query_row(sql, [id], |row| row.get(0))? {
        return Ok(0);
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if tx.execute("INSERT OR IGNORE INTO medium(id) VALUES(?1)", [id])? == 0 {
        return Ok(0);
    }
    let uncounted = tx.execute("UPDATE package SET copied = 0 WHERE copied = 1", [])?;
    tx.commit()?;
    Ok(uncounted)
}

/// Writes the row of a package, over the one that is there.
pub(super) fn put(conn: &Connection, package: &Kept) -> rusqlite::Result<()> {
    let marks = "?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17";
    let sql = format!("INSERT OR REPLACE INTO package({KEPT}) VALUES({marks})");
    let (p, id) = (package, package.id.to_string());
    let (seq, bytes) = (whole(p.seq), whole(p.bytes));
    let copied = p.copies > 1;
    let row: [&dyn ToSql; 17] = [
        &p.device,
        &id,
        &seq,
        &p.sig_sha256,
        &p.kind,
        &p.outcome,
        &p.grade,
        &p.at,
        &p.site,
        &p.zone,
        &p.lat_e7,
        &p.lon_e7,
        &bytes,
        &p.receiver,
        &p.stored,
        &copied,
        &p.gone,
    ];
    conn.execute(&sql, row)?;
    let sql = "DELETE FROM announced WHERE device = ?1 AND seq = ?2 AND id = ?3";
    conn.execute(sql, params![p.device, seq, id])?;
    has_number(conn, &p.device, seq)
}

/// A verified head of the device had this number.
fn has_number(conn: &Connection, device: &str, seq: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO device(id, seq_max) VALUES(?1, ?2) \
        ON CONFLICT(id) DO UPDATE SET seq_max = max(seq_max, ?2)";
    conn.execute(sql, params![device, seq])?;
    Ok(())
}

/// Writes the row of a package whose head came, over the one that is there.
pub(super) fn put_announced(conn: &Connection, announced: &Announced) -> rusqlite::Result<()> {
    put_late(conn, announced)?;
    put_unfinished(conn, announced)
}

/// Writes the row of a package that is not here whole, over the one that is there.
pub(super) fn put_unfinished(conn: &Connection, a: &Announced) -> rusqlite::Result<()> {
    let seq = whole(a.seq);
    let sql = "INSERT OR REPLACE INTO announced VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let id = a.id.to_string();
    let row = params![
        a.device,
        seq,
        id,
        a.sig_sha256,
        a.kind,
        a.outcome,
        a.at,
        a.heard
    ];
    conn.execute(sql, row)?;
    let sql = "DELETE FROM announced WHERE device = ?1 AND (seq, id) < (SELECT seq, id \
        FROM announced WHERE device = ?1 ORDER BY seq DESC, id DESC LIMIT 1 OFFSET ?2)";
    if conn.execute(sql, params![a.device, ANNOUNCED_MAX - 1])? > 0 {
        let sql = format!("DELETE FROM late WHERE device = ?1 AND NOT {HEARD}");
        conn.execute(&sql, [&a.device])?;
    }
    has_number(conn, &a.device, seq)
}

/// Whether a package of `late` has a row.
const HEARD: &str = "(EXISTS(SELECT 1 FROM announced WHERE announced.device = late.device \
    AND announced.id = late.id) OR EXISTS(SELECT 1 FROM package \
    WHERE package.device = late.device AND package.id = late.id))";

/// Notes how late the first head of a package came: one that was known before stays news, however old it is
/// when its head comes once more. What a question found in the folders meanwhile was not known before.
fn put_late(conn: &Connection, a: &Announced) -> rusqlite::Result<()> {
    let id = a.id.to_string();
    let sql = "DELETE FROM late WHERE device = ?1 AND id = ?2 AND secs < 0";
    let unknown = conn.execute(sql, params![a.device, id])? > 0;
    let Some(secs) = a.late else {
        return Ok(());
    };
    let sql = "INSERT OR IGNORE INTO late SELECT ?1, ?2, ?3 WHERE ?5 OR NOT (\
        EXISTS(SELECT 1 FROM announced WHERE device = ?1 AND id = ?2 AND heard < ?4) OR \
        EXISTS(SELECT 1 FROM package WHERE device = ?1 AND id = ?2 AND stored < ?4))";
    let row = params![a.device, id, whole(secs), a.heard, unknown];
    conn.execute(sql, row)?;
    Ok(())
}

/// Notes that a package which has no row gets one from the folders: how late its head came nobody knows.
pub(super) fn found(conn: &Connection, device: &str, id: CaseId) -> rusqlite::Result<()> {
    let sql = "INSERT OR IGNORE INTO late SELECT ?1, ?2, -1 WHERE NOT (\
        EXISTS(SELECT 1 FROM announced WHERE device = ?1 AND id = ?2) OR \
        EXISTS(SELECT 1 FROM package WHERE device = ?1 AND id = ?2))";
    conn.execute(sql, params![device, id.to_string()])?;
    Ok(())
}

/// Reads the row of an announced package of `device`, columns as in the table, and how late it came.
pub(super) fn announced(device: &str, row: &Row<'_>) -> rusqlite::Result<Announced> {
    Ok(Announced {
        device: device.to_owned(),
        seq: number(row, 0)?,
        id: case_id(row, 1)?,
        sig_sha256: row.get(2)?,
        kind: row.get(3)?,
        outcome: row.get(4)?,
        at: row.get(5)?,
        heard: row.get(6)?,
        receiver: None,
        pictures: false,
        late: row.get::<_, Option<i64>>(7)?.map(unsigned),
    })
}

/// Writes the row of a refusal, over the one that is there.
pub(super) fn put_refused(conn: &Connection, refusal: &Refusal) -> rusqlite::Result<()> {
    let Refusal {
        device,
        id,
        seq,
        sig_sha256,
        why,
        at,
        receiver,
    } = refusal;
    let sql = "INSERT OR REPLACE INTO refused VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let seq = whole(*seq);
    let row = params![device, id.to_string(), seq, sig_sha256, why, at, receiver];
    conn.execute(sql, row)?;
    let sql =
        "DELETE FROM announced WHERE device = ?1 AND seq = ?2 AND id = ?3 AND sig_sha256 = ?4";
    conn.execute(sql, params![device, seq, id.to_string(), sig_sha256])?;
    // What a refused head claims raises no number.
    let sql = "INSERT OR IGNORE INTO device(id) VALUES(?1)";
    conn.execute(sql, [device])?;
    Ok(())
}

/// Reads the row of a package, columns as in [`KEPT`], and how late it came.
pub(super) fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let copied: bool = row.get(15)?;
    Ok(Kept {
        device: row.get(0)?,
        id: case_id(row, 1)?,
        seq: number(row, 2)?,
        sig_sha256: row.get(3)?,
        kind: row.get(4)?,
        outcome: row.get(5)?,
        grade: row.get(6)?,
        at: row.get(7)?,
        site: row.get(8)?,
        zone: row.get(9)?,
        lat_e7: row.get(10)?,
        lon_e7: row.get(11)?,
        bytes: number(row, 12)?,
        receiver: row.get(13)?,
        stored: row.get(14)?,
        copies: 1 + u32::from(copied),
        gone: row.get(16)?,
        removed: None,
        late: row.get::<_, Option<i64>>(17)?.map(unsigned),
    })
}

/// Reads a package's id.
pub(super) fn case_id(row: &Row<'_>, column: usize) -> rusqlite::Result<CaseId> {
    let text: String = row.get(column)?;
    let id = uuid::Uuid::parse_str(&text);
    id.map(CaseId).map_err(|_no_id| ruin("an id is not one"))
}

/// Reads a whole number that cannot be below zero.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(unsigned)
}

/// The number that [`whole`] wrote.
pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// SQLite's whole numbers end at 2^63; most of the statement's at 2^53.
pub(super) fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The file cannot be trusted.
pub(super) fn ruin(why: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some(why.to_owned()))
}
