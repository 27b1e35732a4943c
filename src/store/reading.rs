//! What others ask about the journal.

use rusqlite::{OptionalExtension, params};

use super::package::sql_int;
use super::{Store, StoreError};
use crate::journal::Entry;
use crate::types::CaseId;

impl Store {
    /// Shows every line of the journal, oldest first. The store is held meanwhile.
    pub fn walk_journal(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), StoreError> {
        Ok(self.inner().journal.walk(visit)?)
    }

    /// Hash of line `n`; `None` when the journal has no such line.
    pub fn line_sha256(&self, n: u64) -> Result<Option<String>, StoreError> {
        let inner = self.inner();
        if let Some(line) = inner.unindexed.iter().find(|line| line.head.n == n) {
            return Ok(Some(line.head.sha256.clone()));
        }
        let sql = "SELECT sha256 FROM journal WHERE n = ?1";
        let mut query = inner.conn.prepare_cached(sql)?;
        Ok(query.query_row([sql_int(n)], |row| row.get(0)).optional()?)
    }

    /// The packages whose line is one of those after line `first` and up to line `last`.
    pub fn sealed_between(&self, first: u64, last: u64) -> Result<Vec<CaseId>, StoreError> {
        let inner = self.inner();
        let mut query = inner.conn.prepare_cached(
            "SELECT id FROM package WHERE journal_n > ?1 AND journal_n <= ?2 ORDER BY journal_n",
        )?;
        let names = query.query_map(params![sql_int(first), sql_int(last)], |row| {
            row.get::<_, String>(0)
        })?;
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        let ids = names.iter().filter_map(|name| super::case_id(name));
        Ok(ids.collect())
    }
}
