//! Reviewers' verdicts, and how often a rule was objected to.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lines::{self, Judged, LeadsOnly};
use super::package::sql_int;
use super::{Inner, Store, StoreError};
use crate::disk;
use crate::types::{CaseId, Stamp};
use crate::witness;

/// A verdict that was checked, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictFacts {
    /// The package.
    pub id: CaseId,
    /// SHA-256 of the device's signature it names.
    pub sig_sha256: String,
    /// Subject of the reviewer's certificate.
    pub reviewer: String,
    /// Whether the package was rejected.
    pub rejected: bool,
    /// The reviewer's words.
    pub reason: String,
    /// The reviewer's time, UTC milliseconds.
    pub at_ms: i64,
}

/// What became of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It counts; the rule and the model it speaks of.
    New {
        /// `violation.kind` of the statement.
        rule: String,
        /// SHA-256 of the model; empty when not stated.
        model: String,
    },
    /// This reviewer's word on this package is known, whatever time it bears now; the rule and the
    /// model it speaks of.
    Known {
        /// `violation.kind` of the statement.
        rule: String,
        /// SHA-256 of the model; empty when not stated.
        model: String,
    },
    /// Another word of this reviewer on this package bears a later time, UTC milliseconds, and counts.
    Overtaken(i64),
}

/// Verdicts counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Packages with a verdict.
    pub judged: u64,
    /// Packages whose newest verdict is a rejection.
    pub rejected: u64,
}

/// The verdicts on one rule, with one model, at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Objections {
    /// `violation.kind`.
    pub rule: String,
    /// SHA-256 of the model; empty when not stated.
    pub model: String,
    /// Announced number of the place, where it has none its name, else the zone.
    pub place: String,
    /// How many.
    #[serde(flatten)]
    pub tally: Tally,
}

impl Store {
    /// Keeps a verdict that was checked; durable on return. The word that counts of this reviewer, told
    /// again, is no newer one: it would overrule who spoke meanwhile. [`StoreError::Unknown`] and
    /// [`StoreError::OtherSignature`] when it is not about a package of this store.
    pub fn verdict(&self, at: Stamp, facts: &VerdictFacts) -> Result<Taken, StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        let kept: Option<Option<String>> = inner
            .conn
            .prepare_cached("SELECT sig_sha256 FROM package WHERE id = ?1")?
            .query_row([facts.id.to_string()], |row| row.get(0))
            .optional()?;
        let kept = kept.ok_or(StoreError::Unknown(facts.id))?;
        if kept.as_ref() != Some(&facts.sig_sha256) {
            return Err(StoreError::OtherSignature(facts.id));
        }
        let newest: Option<(i64, String, String, String)> = inner
            .conn
            .prepare_cached(
                "SELECT at_ms, verdict, rule, model FROM verdict \
                 WHERE package_id = ?1 AND reviewer = ?2",
            )?
            .query_row([&facts.id.to_string(), &facts.reviewer], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        match newest {
            Some((_, said, rule, model)) if said == word(facts) => {
                return Ok(Taken::Known { rule, model });
            }
            Some((at_ms, ..)) if at_ms >= facts.at_ms => return Ok(Taken::Overtaken(at_ms)),
            _ => {}
        }
        let line = inner.judged(facts)?;
        let head = inner.say(at, lines::JUDGED, lines::body(&line))?;
        inner.transact(|tx| write_verdict(tx, &line, head.n))?;
        Ok(Taken::New {
            rule: line.rule,
            model: line.model,
        })
    }

    /// The `window` packages of whose verdicts on `rule`, as `model` saw it, one came last, since the
    /// rule was last restored.
    pub fn tally(&self, rule: &str, model: &str, window: u64) -> Result<Tally, StoreError> {
        let sql = "SELECT count(*), coalesce(sum(verdict = 'rejected'), 0) FROM \
             (SELECT verdict FROM (SELECT verdict, max(n) OVER (PARTITION BY package_id) AS came, \
              row_number() OVER (PARTITION BY package_id ORDER BY at_ms DESC, n DESC) AS newest \
              FROM verdict WHERE rule = ?1 AND model = ?2 AND n > \
              coalesce((SELECT since_n FROM rule WHERE rule = ?1), 0)) \
              WHERE newest = 1 ORDER BY came DESC LIMIT ?3)";
        let inner = self.inner();
        let mut query = inner.conn.prepare_cached(sql)?;
        Ok(
            query.query_row(params![rule, model, sql_int(window)], |row| {
                Ok(Tally {
                    judged: row.get::<_, i64>(0)?.unsigned_abs(),
                    rejected: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            })?,
        )
    }

    /// All verdicts, per rule, model and place.
    pub fn objections(&self) -> Result<Vec<Objections>, StoreError> {
        let sql = "SELECT rule, model, place, count(*), sum(verdict = 'rejected') FROM \
             (SELECT rule, model, place, verdict, row_number() OVER \
              (PARTITION BY package_id ORDER BY at_ms DESC, n DESC) AS newest FROM verdict) \
             WHERE newest = 1 GROUP BY rule, model, place ORDER BY rule, model, place";
        let inner = self.inner();
        let mut query = inner.conn.prepare_cached(sql)?;
        let rows = query.query_map([], |row| {
            Ok(Objections {
                rule: row.get(0)?,
                model: row.get(1)?,
                place: row.get(2)?,
                tally: Tally {
                    judged: row.get::<_, i64>(3)?.unsigned_abs(),
                    rejected: row.get::<_, i64>(4)?.unsigned_abs(),
                },
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Which rules make leads only.
    pub fn leads_only(&self) -> Result<BTreeMap<String, bool>, StoreError> {
        let inner = self.inner();
        let mut query = inner
            .conn
            .prepare_cached("SELECT rule, leads_only FROM rule")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes down that a rule makes leads only, or evidence again; durable on return. One that
    /// makes evidence again is counted anew.
    pub fn set_leads_only(&self, at: Stamp, line: &LeadsOnly) -> Result<(), StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        let head = inner.say(at, lines::LEADS_ONLY, lines::body(line))?;
        inner.transact(|tx| write_leads_only(tx, line, head.n))
    }
}

impl Inner {
    /// The journal line of a verdict, with what the statement says of rule, model and place.
    fn judged(&self, facts: &VerdictFacts) -> Result<Judged, StoreError> {
        let path = self.package_dir(facts.id).join(witness::STATEMENT);
        // The statement stays for good; one that rotted away leaves the verdict without a rule.
        let statement: Value = serde_json::from_slice(&disk::read(&path)?).unwrap_or(Value::Null);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Judged {
            id: facts.id,
            sig_sha256: facts.sig_sha256.clone(),
            verdict: word(facts).to_owned(),
            reason: facts.reason.clone(),
            reviewer: facts.reviewer.clone(),
            at_ms: facts.at_ms,
            rule: match &statement["violation"] {
                Value::Null if statement["asked"].is_object() => witness::ABOUT_CAPTURE.to_owned(),
                violation => text(&violation["kind"]),
            },
            model: text(&statement["software"]["model"]["sha256"]),
            place: place(&statement),
        })
    }
}

/// The place a statement speaks of: as it was announced, else the zone.
fn place(statement: &Value) -> String {
    let site = &statement["site"];
    let named = [
        &site["public_id"],
        &site["name"],
        &statement["violation"]["zone"],
    ];
    let mut named = named.into_iter().filter_map(Value::as_str);
    named
        .find(|name| !name.is_empty())
        .unwrap_or_default()
        .to_owned()
}

fn word(facts: &VerdictFacts) -> &'static str {
    if facts.rejected {
        "rejected"
    } else {
        "accepted"
    }
}

pub(super) fn write_verdict(tx: &Connection, line: &Judged, n: u64) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO verdict(package_id, reviewer, verdict, at_ms, n, rule, model, place) \
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(package_id, reviewer) DO UPDATE SET \
         verdict = excluded.verdict, at_ms = excluded.at_ms, n = excluded.n \
         WHERE excluded.at_ms > at_ms AND excluded.verdict <> verdict",
        params![
            line.id.to_string(),
            line.reviewer,
            line.verdict,
            line.at_ms,
            sql_int(n),
            line.rule,
            line.model,
            line.place
        ],
    )?;
    Ok(())
}

pub(super) fn write_leads_only(
    tx: &Connection,
    line: &LeadsOnly,
    n: u64,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO rule(rule, leads_only, since_n) VALUES(?1, ?2, ?3) \
         ON CONFLICT(rule) DO UPDATE SET leads_only = excluded.leads_only, \
         since_n = max(since_n, excluded.since_n)",
        params![
            line.rule,
            line.leads_only,
            if line.counted_anew { sql_int(n) } else { 0 }
        ],
    )?;
    Ok(())
}
