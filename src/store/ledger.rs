//! Reading the journal back: what it says that the database may not know.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::json;
use uuid::Uuid;

use super::compare::kept;
use super::lines::{self, Said};
use super::{
    Indexed, Inner, State, StoreError, additions, commands, draft, evict, mirror, outbox, package,
    queue, refusal, verdicts,
};
use crate::clock;
use crate::journal::Entry;
use crate::types::CaseId;
use crate::witness;

/// What the journal says that the database may not know.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Lines for the index.
    pub(super) unindexed: Vec<Indexed>,
    /// The index is about another journal and must be made again.
    pub(super) reindex: bool,
    /// What was said about packages that have no row, with number of the line and when it was sealed.
    pub(super) sealed: HashMap<CaseId, (lines::Sealed, u64, i64)>,
    /// Receipts, in order.
    receipted: Vec<(lines::Receipted, i64)>,
    /// Packages that were refused; without their line when a person has overruled the last refusal.
    refused: HashMap<CaseId, Option<lines::Refused>>,
    /// Packages whose pictures and video were removed.
    pub(super) pruned: HashSet<CaseId>,
    /// Packages the second medium has.
    copied: HashSet<CaseId>,
    /// The second media that were in place.
    media: BTreeSet<Uuid>,
    /// Time-stamps, in order.
    stamped: Vec<(lines::Stamped, i64)>,
    /// Packages whose pictures and video an administrator had removed.
    evicted: Vec<lines::Evicted>,
    /// Packages that persons asked for.
    wanted: HashSet<CaseId>,
    /// Open cases that were thrown away.
    discarded: Vec<CaseId>,
    /// Commands, verdicts and what became of rules, in order, with the number of the line.
    outside: Vec<(Said, u64)>,
}

impl Ledger {
    /// Whether pictures and video of the package were removed by an administrator.
    pub(super) fn is_evicted(&self, id: CaseId) -> bool {
        self.evicted.iter().any(|line| line.id == id)
    }

    /// A package was copied; to a medium never seen before nothing had been that nobody signed for.
    fn copied_to(&mut self, line: &lines::Copied) {
        if self.media.insert(line.medium) && self.media.len() > 1 {
            let answered = self.receipted.iter().map(|(line, _)| line.id);
            let answered: HashSet<CaseId> = answered.collect();
            self.copied.retain(|id| answered.contains(id));
        }
        self.copied.insert(line.id);
    }
}

impl Inner {
    /// Reads the journal behind the last indexed line; all of it when the index is not about
    /// this journal.
    pub(super) fn read_journal(&mut self) -> Result<Ledger, StoreError> {
        let sql = "SELECT n, sha256 FROM journal ORDER BY n DESC LIMIT 1";
        let last: Option<(i64, String)> = self
            .conn
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((n, sha256)) = last else {
            return self.read_behind(0).map(|(ledger, _)| ledger);
        };
        let n = n.unsigned_abs();
        let (ledger, seen) = self.read_behind(n)?;
        if seen.as_ref() == Some(&sha256) {
            return Ok(ledger);
        }
        let body = json!({ "n": n, "sha256": sha256 });
        self.say(clock::now(), lines::LINES_LOST, body)?;
        let (mut ledger, _) = self.read_behind(0)?;
        ledger.reindex = true;
        Ok(ledger)
    }

    /// Reads the journal; of the lines up to `indexed` only what concerns packages without a
    /// row. Also returns the hash of line `indexed`.
    fn read_behind(&self, indexed: u64) -> Result<(Ledger, Option<String>), StoreError> {
        let known = self.packages_with_rows()?;
        let mut ledger = Ledger::default();
        let mut seen = None;
        self.journal.walk(&mut |entry| {
            if entry.head.n == indexed {
                seen = Some(entry.head.sha256.clone());
            }
            let fresh = entry.head.n > indexed;
            let at_ms = entry.at.parse().map_or(0, jiff::Timestamp::as_millisecond);
            match lines::read(&entry) {
                Some(Said::Sealed(line)) if !known.contains(&line.id) => {
                    let n = entry.head.n;
                    let adopted = entry.kind == lines::ADOPTED;
                    let at_ms = if adopted { line.known_ms(at_ms) } else { at_ms };
                    ledger.sealed.entry(line.id).or_insert((line, n, at_ms));
                }
                Some(Said::Receipted(line)) if fresh || !known.contains(&line.id) => {
                    ledger.receipted.push((line, at_ms));
                }
                Some(Said::Refused(line)) if fresh || !known.contains(&line.id) => {
                    ledger.refused.insert(line.id, Some(line));
                }
                Some(Said::Requeued(id)) if fresh || !known.contains(&id) => {
                    ledger.refused.insert(id, None);
                }
                Some(Said::Pruned(id)) if fresh || !known.contains(&id) => {
                    ledger.pruned.insert(id);
                }
                Some(Said::Copied(line)) if fresh || !known.contains(&line.id) => {
                    ledger.copied_to(&line);
                }
                Some(Said::Evicted(line)) if fresh || !known.contains(&line.id) => {
                    ledger.evicted.push(line);
                }
                // Not since what is evicted is left alone: only earlier builds said so.
                Some(Said::Restored(id)) => ledger.evicted.retain(|line| line.id != id),
                Some(Said::Wanted(id)) if fresh || !known.contains(&id) => {
                    ledger.wanted.insert(id);
                }
                Some(Said::Discarded(id)) if fresh => ledger.discarded.push(id),
                Some(
                    said @ (Said::Commanded(..)
                    | Said::CommandEnd(_)
                    | Said::Judged(_)
                    | Said::LeadsOnly(_)),
                ) if fresh => {
                    ledger.outside.push((said, entry.head.n));
                }
                Some(Said::Stamped(line)) if fresh || !known.contains(&line.id) => {
                    ledger.stamped.push((line, at_ms));
                }
                _ => {}
            }
            if fresh {
                ledger.unindexed.push(indexed_line(entry));
            }
        })?;
        Ok((ledger, seen))
    }

    pub(super) fn packages_with_rows(&self) -> Result<HashSet<CaseId>, StoreError> {
        let mut query = self.conn.prepare("SELECT id FROM package")?;
        let names = query.query_map([], |row| row.get::<_, String>(0))?;
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        Ok(names
            .iter()
            .filter_map(|name| super::case_id(name))
            .collect())
    }
}

/// Number of the newest line in the index, 0 when it is empty.
pub(super) fn newest_line(conn: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT coalesce(max(n), 0) FROM journal";
    let n: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    Ok(n.unsigned_abs())
}

/// Writes where a journal line lies.
pub(super) fn index(tx: &Transaction<'_>, line: &Indexed) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO journal(n, at, kind, sha256, segment, off, len) \
         VALUES(?1,?2,?3,?4,?5,?6,?7)",
    )?;
    insert.execute(params![
        package::sql_int(line.head.n),
        line.at,
        line.kind,
        line.head.sha256,
        line.place.segment,
        package::sql_int(line.place.offset),
        package::sql_int(line.place.len),
    ])?;
    Ok(())
}

fn indexed_line(entry: Entry) -> Indexed {
    Indexed {
        head: entry.head,
        at: entry.at,
        kind: entry.kind,
        place: entry.place,
    }
}

/// Takes in the receiver's answers, time-stamps and ends that the journal has and the rows have not. A
/// receipt or a stamp counts only when the file in the package is the one the journal names.
pub(super) fn replay_answers(
    tx: &Transaction<'_>,
    packages: &Path,
    ledger: &Ledger,
) -> Result<(), StoreError> {
    for (id, refused) in &ledger.refused {
        match (package::state(tx, *id)?, refused) {
            (Some(state), Some(line)) if state.is_open() => {
                refusal::write_refusal(tx, line, None)?;
            }
            (Some(State::Refused), None) => refusal::write_requeued(tx, *id)?,
            _ => {}
        }
    }
    for (line, at_ms) in &ledger.receipted {
        let state = package::state(tx, line.id)?;
        let kept = |name| {
            let place = packages.join(line.id.to_string()).join(name);
            kept(&place, &line.receipt_sha256)
        };
        match state {
            None | Some(State::Pruned) => {}
            // Its first receipt again, or a later one.
            Some(State::Receipted) => {
                if kept(witness::LATER_RECEIPT)?.is_some() {
                    outbox::write_more_copies(tx, line)?;
                }
            }
            // Without it the package stays in the queue, and the receiver answers again.
            Some(_) => {
                if let Some(receipt) = kept(witness::RECEIPT)? {
                    outbox::write_receipt(tx, line, &receipt, *at_ms)?;
                }
            }
        }
    }
    ledger
        .stamped
        .iter()
        .try_for_each(|line| additions::replay(tx, packages, line))?;
    for id in &ledger.pruned {
        if package::state(tx, *id)? == Some(State::Receipted) {
            package::step(tx, *id, State::Pruned)?;
        }
    }
    for line in &ledger.evicted {
        evict::write_evicted(tx, line)?;
    }
    (ledger.wanted.iter()).try_for_each(|id| queue::write_wanted(tx, *id))?;
    (ledger.discarded.iter()).try_for_each(|id| draft::forget(tx, *id))?;
    replay_outside(tx, ledger)?;
    let mut copied = tx.prepare(
        "UPDATE package SET mirror = 0 WHERE id = ?1 AND mirror IS NULL AND state <> 'damaged'",
    )?;
    for id in &ledger.copied {
        copied.execute([id.to_string()])?;
    }
    (ledger.media.iter()).try_for_each(|medium| mirror::know(tx, *medium))
}

/// Takes in commands, verdicts and what became of rules. The replies themselves are not in the
/// journal; what became of a command is.
fn replay_outside(tx: &Transaction<'_>, ledger: &Ledger) -> Result<(), StoreError> {
    for (said, n) in &ledger.outside {
        match said {
            Said::Commanded(line, None) => commands::write_received(tx, line, *n, None)?,
            Said::Commanded(line, Some(refusal)) => {
                commands::write_row(tx, line, *n, None)?;
                let end = lines::CommandEnd {
                    id: line.id,
                    outcome: refusal.outcome,
                    why: Some(refusal.why.clone()),
                };
                commands::write_end(tx, &end, None)?;
            }
            Said::CommandEnd(end) => commands::write_end(tx, end, None)?,
            Said::Judged(line) => verdicts::write_verdict(tx, line, *n)?,
            Said::LeadsOnly(line) => verdicts::write_leads_only(tx, line, *n)?,
            _ => {}
        }
    }
    commands::forget_oldest(tx)
}
