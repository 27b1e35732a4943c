//! Commands from outside: each is answered once, over every crash.
//!
//! ```text
//! line command.received ─▶ row, signer's number ─▶ (it is done) ─▶ line command.done ─▶ outcome
//!   ─▶ reply signed ─▶ taken
//! ```
//! A row without an outcome is a command that a crash cut short. The outcome is durable before the
//! reply is signed, the reply before it is sent; a repeated command gets the same reply again.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::{Value, json};
use uuid::Uuid;

use super::lines::{self, CommandEnd, Commanded};
use super::package::sql_int;
use super::{Inner, Store, StoreError};
use crate::types::Stamp;
use crate::witness::Fate;

/// Answered commands whose replies are kept; of older ones only the signer's number is.
const ANSWERED_MAX: i64 = 1000;

/// What is known of a command that came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// SHA-256 of the signed command.
    pub sha256: String,
    /// What became of it; `None` while it is under way.
    pub outcome: Option<Fate>,
}

/// A reply that has to be signed or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyDue {
    /// The command.
    pub id: Uuid,
    /// SHA-256 of the signed command.
    pub sha256: String,
    /// What became of it.
    pub outcome: Fate,
    /// Why.
    pub why: Option<String>,
    /// What it gave.
    pub result: Option<Value>,
    /// The signed reply, once there is one.
    pub reply: Option<Vec<u8>>,
}

/// A command that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The command.
    pub id: Uuid,
    /// Its signed bytes; `None` where a lost database took them.
    pub signed: Option<Vec<u8>>,
    /// When it was accepted, as its journal line says, RFC 3339 UTC; `None` when that is not to be had.
    pub at: Option<String>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What became of it.
    pub outcome: Fate,
    /// Why, unless it was simply done.
    pub why: Option<String>,
    /// What it gave.
    pub result: Option<Value>,
}

impl Store {
    /// What is known of the command `id`, and the highest number its signer has used.
    pub fn command(
        &self,
        id: Uuid,
        signer: &str,
    ) -> Result<(Option<Known>, Option<u64>), StoreError> {
        let inner = self.inner();
        let known = inner
            .conn
            .prepare_cached("SELECT sha256, outcome FROM command WHERE id = ?1")?
            .query_row([id.to_string()], |row| {
                Ok((row.get(0)?, row.get::<_, Option<String>>(1)?))
            })
            .optional()?
            .map(|(sha256, outcome)| Known {
                sha256,
                outcome: outcome.as_deref().and_then(fate),
            });
        let seq: Option<i64> = inner
            .conn
            .prepare_cached("SELECT seq FROM signer WHERE subject = ?1")?
            .query_row([signer], |row| row.get(0))
            .optional()?;
        Ok((known, seq.map(i64::unsigned_abs)))
    }

    /// Writes down that a command was accepted, with its signed bytes; durable on return.
    pub fn command_received(
        &self,
        at: Stamp,
        command: &Commanded,
        signed: &[u8],
    ) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        let head = inner.say(at, lines::COMMANDED, lines::body(command))?;
        inner.transact(|tx| {
            write_received(tx, command, head.n, Some(signed))?;
            forget_oldest(tx)
        })
    }

    /// Writes down that a permitted person's command is not carried out, and why; durable on
    /// return.
    pub fn command_refused(
        &self,
        at: Stamp,
        command: &Commanded,
        (outcome, why): (Fate, &str),
    ) -> Result<(), StoreError> {
        let mut body = lines::body(command);
        body["outcome"] = json!(outcome);
        body["why"] = json!(why);
        let mut inner = self.inner();
        inner.settled()?;
        let head = inner.say(at, lines::COMMAND_REFUSED, body)?;
        inner.transact(|tx| {
            let end = CommandEnd {
                id: command.id,
                outcome,
                why: Some(why.to_owned()),
            };
            write_row(tx, command, head.n, None)?;
            write_end(tx, &end, None)?;
            forget_oldest(tx)
        })
    }

    /// Writes down what became of a command; durable on return. A second end changes nothing.
    pub fn command_done(&self, at: Stamp, id: Uuid, ended: &Ended) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        let open: Option<bool> = inner
            .conn
            .prepare_cached("SELECT outcome IS NULL FROM command WHERE id = ?1")?
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?;
        if open != Some(true) {
            return Ok(());
        }
        let end = CommandEnd {
            id,
            outcome: ended.outcome,
            why: ended.why.clone(),
        };
        inner.say(at, lines::COMMAND_DONE, lines::body(&end))?;
        inner.transact(|tx| write_end(tx, &end, ended.result.as_ref()))
    }

    /// The commands that are under way; at the start: that a crash cut short.
    pub fn commands_open(&self) -> Result<Vec<UnderWay>, StoreError> {
        let inner = self.inner();
        let sql = "SELECT id, body, at FROM command LEFT JOIN journal USING(n) \
                   WHERE outcome IS NULL ORDER BY n";
        let mut query = inner.conn.prepare_cached(sql)?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
        })?;
        let rows: Vec<(String, _, _)> = rows.collect::<Result<_, _>>()?;
        let read = |(id, signed, at): (String, _, _)| {
            let id = Uuid::parse_str(&id).ok()?;
            Some(UnderWay { id, signed, at })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// The commands whose replies no broker has taken yet, the `max` oldest. There can be a thousand,
    /// of many kilobytes each, so they are read one by one ([`Store::reply`]).
    pub fn replies_due(&self, max: usize) -> Result<Vec<Uuid>, StoreError> {
        let inner = self.inner();
        let sql = "SELECT id FROM command WHERE outcome IS NOT NULL AND taken = 0 \
                   ORDER BY n LIMIT ?1";
        let mut query = inner.conn.prepare_cached(sql)?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let ids = query.query_map([max], |row| row.get::<_, String>(0))?;
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        Ok(ids
            .iter()
            .filter_map(|id| Uuid::parse_str(id).ok())
            .collect())
    }

    /// The reply to a command, whether or not it was taken before.
    pub fn reply(&self, id: Uuid) -> Result<Option<ReplyDue>, StoreError> {
        self.inner().reply(id)
    }

    /// Keeps the signed reply; from now on these bytes are the answer.
    pub fn keep_reply(&self, id: Uuid, reply: &[u8]) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?.transact(|tx| {
            let sql =
                "UPDATE command SET reply = ?2, result = NULL WHERE id = ?1 AND reply IS NULL";
            tx.execute(sql, params![id.to_string(), reply])?;
            Ok(())
        })
    }

    /// A broker has taken the reply, whether or not somebody was listening: by itself it is not sent
    /// again.
    pub fn reply_taken(&self, id: Uuid) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?.transact(|tx| {
            tx.execute(
                "UPDATE command SET taken = 1 WHERE id = ?1",
                [id.to_string()],
            )?;
            Ok(())
        })
    }
}

impl Inner {
    fn reply(&self, id: Uuid) -> Result<Option<ReplyDue>, StoreError> {
        let sql = "SELECT sha256, outcome, why, result, reply FROM command
                   WHERE outcome IS NOT NULL AND id = ?1";
        let mut query = self.conn.prepare_cached(sql)?;
        let mut rows = query.query([id.to_string()])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let Some(outcome) = fate(&row.get::<_, String>(1)?) else {
            return Ok(None);
        };
        let result: Option<String> = row.get(3)?;
        Ok(Some(ReplyDue {
            id,
            sha256: row.get(0)?,
            outcome,
            why: row.get(2)?,
            result: result.and_then(|text| serde_json::from_str(&text).ok()),
            reply: row.get(4)?,
        }))
    }
}

fn fate(name: &str) -> Option<Fate> {
    Fate::ALL.into_iter().find(|fate| fate.name() == name)
}

/// The row of an accepted command, and its signer's number.
pub(super) fn write_received(
    tx: &Connection,
    command: &Commanded,
    n: u64,
    signed: Option<&[u8]>,
) -> Result<(), StoreError> {
    write_row(tx, command, n, signed)?;
    tx.execute(
        "INSERT INTO signer(subject, seq) VALUES(?1, ?2) \
         ON CONFLICT(subject) DO UPDATE SET seq = max(seq, excluded.seq)",
        params![command.signer, sql_int(command.seq)],
    )?;
    Ok(())
}

/// The row of a command; one that is there already stays as it is.
pub(super) fn write_row(
    tx: &Connection,
    command: &Commanded,
    n: u64,
    signed: Option<&[u8]>,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR IGNORE INTO command(id, n, sha256, body) VALUES(?1, ?2, ?3, ?4)",
        params![command.id.to_string(), sql_int(n), command.sha256, signed],
    )?;
    Ok(())
}

/// The outcome of a command under way.
pub(super) fn write_end(
    tx: &Connection,
    end: &CommandEnd,
    result: Option<&Value>,
) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE command SET outcome = ?2, why = ?3, result = ?4, body = NULL \
         WHERE id = ?1 AND outcome IS NULL",
        params![
            end.id.to_string(),
            end.outcome.name(),
            end.why,
            result.map(Value::to_string)
        ],
    )?;
    Ok(())
}

/// Of very old commands only the signers' numbers stay.
pub(super) fn forget_oldest(tx: &Transaction<'_>) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM command WHERE outcome IS NOT NULL AND n <= \
         (SELECT n FROM command ORDER BY n DESC LIMIT 1 OFFSET ?1)",
        [ANSWERED_MAX],
    )?;
    Ok(())
}
