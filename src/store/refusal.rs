//! A receiver will not have a package; and a person says that it is offered once more.
//!
//! ```text
//! refusal ─▶ unlike its hashes: damaged, and mended as such
//!         └▶ journal line, durable ─▶ row: refused ─▶ a person: line, durable ─▶ row: queued
//! ```
//! A refusal says what one receiver found with the roots it had. Who put that right has the packages
//! offered again: nothing does so by itself, for what is refused for a good reason would be for ever.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::compare::compare;
use super::lines::{self, Refused, Requeued};
use super::package::{self, PackageFile};
use super::{Inner, State, Store, StoreError};
use crate::clock;
use crate::types::{CaseId, Stamp};
use crate::witness::sha256_hex;

impl Store {
    /// Keeps the receiver's signed refusal: the package stays here until a person decides. One whose
    /// files are not what they must be was refused for that, and is damaged instead.
    /// Checked by the caller like a receipt. A second refusal changes nothing.
    pub fn refused(
        &self,
        id: CaseId,
        refusal: &[u8],
        sig_sha256: &str,
        why: &str,
    ) -> Result<(), StoreError> {
        let Some(files) = self.inner().settled()?.refusable(id, sig_sha256)? else {
            return Ok(());
        };
        // Without the lock: reading megabytes must not hold up a seal.
        let same = compare(&self.package_dir(id), &files);
        let mut inner = self.inner();
        if inner.settled()?.refusable(id, sig_sha256)?.is_none() {
            return Ok(());
        }
        match same {
            Ok(()) => {}
            Err(unlike) if unlike.passing => return Err(StoreError::Io(unlike.why)),
            Err(unlike) => {
                inner.present()?;
                return inner.damaged(id, &unlike.why);
            }
        }
        let line = Refused {
            id,
            refusal_sha256: sha256_hex(refusal),
            why: why.to_owned(),
        };
        inner.say(clock::now(), lines::REFUSED, lines::body(&line))?;
        inner.transact(|tx| write_refusal(tx, &line, Some(refusal)))
    }

    /// Puts a package that a receiver has refused back into the queue, durable on return; whether it
    /// was refused. One that is to be sent anyway stays as it is. `by`: the command that says so and
    /// whose it is; `None` for somebody on the spot.
    ///
    /// [`StoreError::Step`] for one that is receipted or damaged.
    pub fn requeue(
        &self,
        at: Stamp,
        id: CaseId,
        by: Option<(Uuid, &str)>,
    ) -> Result<bool, StoreError> {
        let mut inner = self.inner();
        let from = package::state(&inner.settled()?.conn, id)?.ok_or(StoreError::Unknown(id))?;
        if from.is_open() {
            return Ok(false);
        }
        if from != State::Refused {
            let to = State::Queued;
            return Err(StoreError::Step { id, from, to });
        }
        let line = Requeued {
            id,
            command: by.map(|(command, _)| command),
            by: by.map(|(_, whose)| whose.to_owned()),
        };
        inner.say(at, lines::REQUEUED, lines::body(&line))?;
        inner.transact(|tx| write_requeued(tx, id))?;
        drop(inner);
        self.shared.queued.notify_one();
        Ok(true)
    }

    /// The same with all that are refused; how many there were.
    pub fn requeue_all(&self, at: Stamp, by: Option<(Uuid, &str)>) -> Result<u64, StoreError> {
        let refused = self.inner().settled()?.refused_ones()?;
        let mut requeued = 0;
        for id in refused {
            match self.requeue(at, id, by) {
                Ok(was_refused) => requeued += u64::from(was_refused),
                // Its receipt has come after all.
                Err(StoreError::Step { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(requeued)
    }
}

impl Inner {
    /// The files of a package that may be refused; `None` when it is refused already.
    fn refusable(
        &self,
        id: CaseId,
        sig_sha256: &str,
    ) -> Result<Option<Vec<PackageFile>>, StoreError> {
        let from = self.answered(id, sig_sha256)?;
        if from == State::Refused {
            return Ok(None);
        }
        if !from.is_open() {
            let to = State::Refused;
            return Err(StoreError::Step { id, from, to });
        }
        package::files(&self.conn, id).map(Some)
    }

    /// The packages that are refused, oldest first.
    fn refused_ones(&self) -> Result<Vec<CaseId>, StoreError> {
        let sql = "SELECT id FROM package WHERE state = 'refused' ORDER BY seq";
        let mut query = self.conn.prepare_cached(sql)?;
        let names = query.query_map([], |row| row.get::<_, String>(0))?;
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        Ok(names.iter().filter_map(|n| super::case_id(n)).collect())
    }
}

/// Turns a package `refused`; a rebuilt database has no longer the refusal itself.
pub(super) fn write_refusal(
    tx: &Connection,
    line: &Refused,
    refusal: Option<&[u8]>,
) -> Result<(), StoreError> {
    package::step(tx, line.id, State::Refused)?;
    tx.execute(
        "UPDATE package SET receipt = ?2, last_error = ?3 WHERE id = ?1",
        params![line.id.to_string(), refusal, line.why],
    )?;
    Ok(())
}

/// Turns a refused package `queued`, as if no receiver had ever seen it.
pub(super) fn write_requeued(tx: &Connection, id: CaseId) -> Result<(), StoreError> {
    package::step(tx, id, State::Queued)?;
    tx.execute(
        "UPDATE package SET receipt = NULL, last_error = NULL, next_try_ns = 0, told = 0 \
         WHERE id = ?1",
        [id.to_string()],
    )?;
    Ok(())
}
