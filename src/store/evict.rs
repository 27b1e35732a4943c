//! Removes pictures and video of a package that nobody has signed for, because an administrator
//! said so. Its statement and signatures stay, and so does the line that says who did it.
//!
//! ```text
//! journal line, durable ─▶ row: damaged, evicted ─▶ unlink ─▶ rows of the files gone
//! ```
//! What a crash leaves of it is finished with the pruning.

use rusqlite::Connection;

use super::lines::{self, Evicted};
use super::package;
use super::{State, Store, StoreError};
use crate::types::{CaseId, Stamp};
use uuid::Uuid;

impl Store {
    /// Evicts the package `id` by command `command` of `by`; gives the bytes that became free.
    /// Doing it again changes nothing. [`StoreError::Step`] for one that is receipted or on its
    /// way at this moment.
    pub fn evict(
        &self,
        at: Stamp,
        id: CaseId,
        (command, by): (Uuid, &str),
    ) -> Result<u64, StoreError> {
        let mut inner = self.inner();
        inner.settled()?.present()?;
        let from = package::state(&inner.conn, id)?.ok_or(StoreError::Unknown(id))?;
        let to = State::Damaged;
        if !matches!(
            from,
            State::Sealed | State::Queued | State::Damaged | State::Refused
        ) {
            return Err(StoreError::Step { id, from, to });
        }
        let mut files = package::files(&inner.conn, id)?;
        files.retain(|file| file.lane > 1);
        let bytes = files.iter().map(|file| file.size).sum();
        if files.is_empty() {
            return Ok(0);
        }
        let line = Evicted {
            id,
            files: files.iter().map(|file| file.name.clone()).collect(),
            bytes,
            command,
            by: by.to_owned(),
        };
        if !is_evicted(&inner.conn, id)? {
            inner.say(at, lines::EVICTED, lines::body(&line))?;
            inner.transact(|tx| write_evicted(tx, &line))?;
        }
        inner.unlink(id, &files)?;
        Ok(bytes)
    }
}

/// Marks a package evicted: it is not whole any more, and never sent again.
pub(super) fn write_evicted(tx: &Connection, line: &Evicted) -> Result<(), StoreError> {
    let id = line.id.to_string();
    if let Some(from) = package::state(tx, line.id)? {
        // The way back from a refusal leads through the queue.
        if from == State::Refused {
            package::step(tx, line.id, State::Queued)?;
        }
        if matches!(from, State::Receipted | State::Pruned) {
            return Ok(());
        }
        package::step(tx, line.id, State::Damaged)?;
        let why = format!("evicted by {}", line.by);
        tx.execute(
            "UPDATE package SET last_error = ?2 WHERE id = ?1",
            [&id, &why],
        )?;
    }
    tx.execute(
        "INSERT OR IGNORE INTO evicted(package_id) VALUES(?1)",
        [&id],
    )?;
    Ok(())
}

/// How many packages were evicted.
pub(super) fn count(conn: &Connection) -> Result<u64, StoreError> {
    let mut query = conn.prepare_cached("SELECT count(*) FROM evicted")?;
    let count: i64 = query.query_row([], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Whether pictures and video of the package were removed by an administrator.
pub(super) fn is_evicted(conn: &Connection, id: CaseId) -> Result<bool, StoreError> {
    let mut query = conn.prepare_cached("SELECT count(*) FROM evicted WHERE package_id = ?1")?;
    Ok(query.query_row([id.to_string()], |row| row.get::<_, i64>(0))? > 0)
}
