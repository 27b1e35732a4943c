//! Sealed packages on their way to the receiver.
//!
//! The broker's acknowledgements move a package from `queued` to `sending` to `sent` and back;
//! only the receiver's signed answer takes it out of the queue. Which one is next: `queue.rs`.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde_json::json;

use super::lines;
use super::package;
use super::{Inner, State, Store, StoreError, additions, clocks, evict, set_meta};
use crate::clock;
use crate::disk;
use crate::types::{CaseId, Stamp, UNKNOWN_BOOT};
use crate::witness::{self, After, JournalCopy, sha256_hex};

/// Key of the newest receipt in `meta`, an [`After`] as JSON.
pub(super) const LAST_RECEIPT: &str = "last_receipt";

/// What the caller has read in a receipt that it has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptFacts {
    /// SHA-256 of the signature it names, lower-case hex.
    pub sig_sha256: String,
    /// The receiver's time, RFC 3339 UTC.
    pub server_time: String,
    /// How many copies the receiver keeps.
    pub copies: u32,
    /// The last line of our journal that the receiver has, if it says so.
    pub head: Option<JournalCopy>,
}

/// How many receipted packages have a time-stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StampCount {
    /// Packages with their time-stamp.
    pub kept: u64,
    /// Packages that wait for it.
    pub due: u64,
}

/// How many packages are in a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateCount {
    /// Packages.
    pub packages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What the store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Per state; states without packages are left out.
    pub states: BTreeMap<State, StateCount>,
    /// What only this box has: everything without a receipt.
    pub pending: StateCount,
    /// When the oldest of these was sealed, UTC milliseconds.
    pub oldest_pending_ms: Option<i64>,
    /// When the oldest of those that no receiver has answered about was sealed, UTC milliseconds.
    pub oldest_due_ms: Option<i64>,
    /// The newest receipt.
    pub last_receipt: Option<After>,
    /// When it was kept, UTC milliseconds.
    pub last_receipt_ms: Option<i64>,
    /// Time-stamps over receipted packages.
    pub stamps: StampCount,
    /// Packages without a receipt whose pictures and video an administrator had removed; in no
    /// other count.
    pub evicted: u64,
    /// Open cases with files.
    pub open_cases: u64,
    /// Bytes free on the disk.
    pub free_bytes: u64,
}

impl Store {
    /// Moves a package one step along `queued`, `sending`, `sent`, or back to `queued`. Answers of
    /// the receiver have their own functions, and so has the way back from `refused`
    /// ([`Store::requeue`]) and `damaged` ([`Store::heal`]).
    pub fn step(&self, id: CaseId, to: State) -> Result<(), StoreError> {
        if !matches!(to, State::Queued | State::Sending | State::Sent) {
            let what = format!("{to} is not a step of sending");
            return Err(StoreError::Invariant(what));
        }
        let mut inner = self.inner();
        inner.settled()?;
        let from = package::state(&inner.conn, id)?;
        if to == State::Sent && from == Some(State::Sending) {
            inner.say(clock::now(), lines::SENT, json!({ "id": id }))?;
        }
        if to != State::Queued {
            return inner.transact(|tx| package::step(tx, id, to));
        }
        inner.transact(|tx| package::put_back(tx, id))?;
        drop(inner);
        self.shared.queued.notify_one();
        Ok(())
    }

    /// Puts a package back into the queue until `until` (boot clock), because of `why`.
    pub fn defer(&self, id: CaseId, until: Stamp, why: &str) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?.transact(|tx| {
            package::put_back(tx, id)?;
            tx.execute(
                "UPDATE package SET attempts = attempts + 1, next_try_ns = ?2, last_error = ?3 \
                 WHERE id = ?1",
                params![id.to_string(), boot_ns(until), why],
            )?;
            Ok(())
        })
    }

    /// Keeps the receiver's signed receipt: our duty to keep the package ends here.
    ///
    /// The caller has checked `receipt` (signature, role, device, verdict) and read `facts` in
    /// it. A second receipt for the same package changes nothing, unless it says more copies
    /// ([`Store::receipted_later`]). The journal lines and the manifest that a time-stamp will be over
    /// are written too; when the disk refuses that, the receipt is kept all the same, and they are
    /// written with the next try. [`StoreError::OtherSignature`]: it is about another signature.
    pub fn receipted(
        &self,
        id: CaseId,
        receipt: &[u8],
        facts: &ReceiptFacts,
    ) -> Result<(), StoreError> {
        let mut inner = self.inner();
        let from = inner.settled()?.answered(id, &facts.sig_sha256)?;
        if from == State::Receipted {
            inner.more_copies(id, receipt, facts)?;
        }
        if matches!(from, State::Receipted | State::Pruned) {
            inner.add_or_later(id);
            return Ok(());
        }
        inner.first_receipt(id, receipt, facts)
    }

    /// Keeps a receipt of package `id` with number `seq` that nobody waits for any more; whether it
    /// tells something new. Checked by the caller like any other.
    ///
    /// A later receipt of one that has its first is kept beside it when it says more copies than
    /// those before. More copies may permit pruning; the first receipt stays, for the time-stamp is
    /// bound to it. The first of a package that has none is kept as in [`Store::receipted`]: where another
    /// receiver has refused it, or it was damaged meanwhile, its head is not sent again, and of one that is
    /// back in the queue the next answer may come too late as well.
    pub fn receipted_later(
        &self,
        (id, seq): (CaseId, u64),
        receipt: &[u8],
        facts: &ReceiptFacts,
    ) -> Result<bool, StoreError> {
        let mut inner = self.inner();
        let from = inner.settled()?.answered(id, &facts.sig_sha256)?;
        let sql = "SELECT seq FROM package WHERE id = ?1";
        let number: i64 = inner.conn.query_row(sql, [id.to_string()], |r| r.get(0))?;
        if number.unsigned_abs() != seq {
            return Ok(false);
        }
        match from {
            State::Receipted => inner.more_copies(id, receipt, facts),
            State::Sealed | State::Pruned => Ok(false),
            _ if evict::is_evicted(&inner.conn, id)? => Ok(false),
            _ => {
                inner.first_receipt(id, receipt, facts)?;
                Ok(true)
            }
        }
    }

    /// What the store holds, for status and alarms.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let free_bytes = disk::free_bytes(&self.shared.dir)?;
        counts(&self.inner().conn, free_bytes)
    }
}

/// This boot, as rows name it; `None` where the kernel does not tell.
pub(super) fn this_boot() -> Option<&'static str> {
    Some(clock::boot_id()).filter(|id| *id != UNKNOWN_BOOT)
}

pub(super) fn boot_ns(at: Stamp) -> i64 {
    package::sql_int(at.boot_ns)
}

fn line_of(id: CaseId, receipt: &[u8], facts: &ReceiptFacts) -> lines::Receipted {
    lines::Receipted {
        id,
        receipt_sha256: sha256_hex(receipt),
        server_time: facts.server_time.clone(),
        copies: Some(facts.copies),
        head: facts.head.clone(),
    }
}

/// Takes in that a receipted package's later receipt says more copies.
pub(super) fn write_more_copies(
    tx: &rusqlite::Connection,
    line: &lines::Receipted,
) -> Result<(), StoreError> {
    let sql = "UPDATE package SET copies = ?2 WHERE id = ?1";
    tx.execute(sql, params![line.id.to_string(), line.copies])?;
    set_last_receipt(tx, line)
}

/// Turns a package `receipted`.
pub(super) fn write_receipt(
    tx: &rusqlite::Connection,
    line: &lines::Receipted,
    receipt: &[u8],
    at_ms: i64,
) -> Result<(), StoreError> {
    let id = line.id.to_string();
    tx.execute(
        "UPDATE package SET receipt = ?2, receipted_ms = ?3, copies = ?4, received_ms = ?5 \
         WHERE id = ?1",
        params![
            id,
            receipt,
            at_ms,
            line.copies,
            clocks::utc_ms(&line.server_time)
        ],
    )?;
    package::step(tx, line.id, State::Receipted)?;
    additions::begin(tx, line.id, line.head.as_ref())?;
    set_last_receipt(tx, line)
}

fn set_last_receipt(tx: &rusqlite::Connection, line: &lines::Receipted) -> Result<(), StoreError> {
    let after = After {
        receipt_sha256: line.receipt_sha256.clone(),
        server_time: line.server_time.clone(),
    };
    let text = serde_json::to_string(&after).expect("invariant: two strings serialise");
    set_meta(tx, LAST_RECEIPT, &text)
}

impl Inner {
    /// The state of a package an answer is about, when it is about the signature kept here.
    pub(super) fn answered(&self, id: CaseId, sig_sha256: &str) -> Result<State, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT state, sig_sha256 FROM package WHERE id = ?1")?;
        let row: Option<(State, Option<String>)> = query
            .query_row([id.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (state, kept) = row.ok_or(StoreError::Unknown(id))?;
        if kept.is_none_or(|kept| kept != sig_sha256) {
            return Err(StoreError::OtherSignature(id));
        }
        Ok(state)
    }

    /// Keeps the receipt of a package that has none: file, lines, row.
    fn first_receipt(
        &mut self,
        id: CaseId,
        receipt: &[u8],
        facts: &ReceiptFacts,
    ) -> Result<(), StoreError> {
        let draft = self.dir.join("staging").join(format!("{id}.receipt"));
        let package = self.package_dir(id);
        let place = package.join(witness::RECEIPT);
        if let Some(folder) = place.parent().filter(|folder| !folder.is_dir()) {
            // The package was lost here after it had reached the receiver: keep the proof.
            disk::create_dir(&package)?;
            disk::create_dir(folder)?;
        }
        disk::replace(&draft, &place, receipt)?;
        let line = line_of(id, receipt, facts);
        let at = clock::now();
        self.say(at, lines::RECEIPTED, lines::body(&line))?;
        self.transact(|tx| write_receipt(tx, &line, receipt, at.utc_ms()))?;
        self.heard = clocks::Heard::new(&line.server_time, at.boot_ns).or(self.heard);
        self.add_or_later(id);
        Ok(())
    }

    /// Keeps a later receipt when it says more copies than the row does; whether it does.
    ///
    /// File, line, row: what a crash leaves of that is taken in at the start, or changes nothing.
    fn more_copies(
        &mut self,
        id: CaseId,
        receipt: &[u8],
        facts: &ReceiptFacts,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT copies FROM package WHERE id = ?1";
        let known: Option<u32> = self.conn.query_row(sql, [id.to_string()], |r| r.get(0))?;
        let place = self.package_dir(id).join(witness::LATER_RECEIPT);
        let there = place.parent().is_some_and(disk::is_folder);
        if !there || known.is_some_and(|known| known >= facts.copies) {
            return Ok(false);
        }
        let draft = self.dir.join("staging").join(format!("{id}.receipt"));
        disk::replace(&draft, &place, receipt)?;
        let line = line_of(id, receipt, facts);
        let at = clock::now();
        self.say(at, lines::RECEIPTED, lines::body(&line))?;
        self.transact(|tx| write_more_copies(tx, &line))?;
        self.heard = clocks::Heard::new(&line.server_time, at.boot_ns).or(self.heard);
        Ok(true)
    }

    /// Marks a package damaged, unless an answer of the receiver came first.
    pub(super) fn damaged(&mut self, id: CaseId, why: &str) -> Result<(), StoreError> {
        let state = package::state(&self.conn, id)?.ok_or(StoreError::Unknown(id))?;
        if !state.is_open() {
            return Ok(());
        }
        self.say(
            clock::now(),
            lines::DAMAGED,
            json!({ "id": id, "why": why }),
        )?;
        self.transact(|tx| {
            package::step(tx, id, State::Damaged)?;
            let id = id.to_string();
            tx.execute(
                "UPDATE package SET last_error = ?2 WHERE id = ?1",
                [&id, why],
            )?;
            Ok(())
        })
    }
}

/// What the rows behind `conn` say; `free_bytes` is told.
pub(super) fn counts(conn: &Connection, free_bytes: u64) -> Result<Counts, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT state, count(*), sum(CASE state WHEN 'pruned' THEN \
         (SELECT coalesce(sum(size), 0) FROM blob WHERE package_id = id) ELSE bytes END), \
         min(sealed_ms), max(receipted_ms) FROM package \
         WHERE id NOT IN (SELECT package_id FROM evicted) GROUP BY state",
    )?;
    let (kept, due) = additions::counts(conn)?;
    let mut counts = Counts {
        states: BTreeMap::new(),
        pending: StateCount::default(),
        oldest_pending_ms: None,
        oldest_due_ms: None,
        last_receipt: super::meta(conn, LAST_RECEIPT)?
            .and_then(|text| serde_json::from_str(&text).ok()),
        last_receipt_ms: None,
        stamps: StampCount { kept, due },
        evicted: evict::count(conn)?,
        open_cases: super::draft::cases(conn)?.len() as u64,
        free_bytes,
    };
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let state: State = row.get(0)?;
        let count = StateCount {
            packages: row.get::<_, i64>(1)?.unsigned_abs(),
            bytes: row.get::<_, i64>(2)?.unsigned_abs(),
        };
        counts.states.insert(state, count);
        if matches!(state, State::Receipted | State::Pruned) {
            counts.last_receipt_ms = counts.last_receipt_ms.max(row.get(4)?);
        } else {
            let oldest: i64 = row.get(3)?;
            counts.pending.packages += count.packages;
            counts.pending.bytes += count.bytes;
            let earlier = |known: Option<i64>| Some(known.unwrap_or(oldest).min(oldest));
            counts.oldest_pending_ms = earlier(counts.oldest_pending_ms);
            if state.is_open() {
                counts.oldest_due_ms = earlier(counts.oldest_due_ms);
            }
        }
    }
    Ok(counts)
}
