//! Holds everything that is kept against what it should be.

use serde::Serialize;

use super::{Store, StoreError, package};
use crate::journal;
use crate::types::CaseId;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// A file of a package is missing or changed. Packages still to be sent are marked.
    Package {
        /// The package.
        id: CaseId,
        /// What is wrong.
        what: String,
    },
    /// The journal's chain does not hold.
    Journal {
        /// Where and why.
        what: String,
    },
    /// The database is not sound; a restart makes it again.
    Database {
        /// What SQLite says.
        what: String,
    },
}

impl Store {
    /// Reads every package, the journal and the database. Takes as long as reading the disk;
    /// the store can be used meanwhile.
    pub fn check(&self) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        let names: Vec<String> = {
            let inner = self.inner();
            let verdict: String = inner
                .conn
                .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if verdict != "ok" {
                findings.push(Finding::Database { what: verdict });
            }
            let journal = self.shared.dir.join("journal");
            if let Err(error) = journal::verify(&journal) {
                let what = error.to_string();
                findings.push(Finding::Journal { what });
            }
            let mut query = inner.conn.prepare("SELECT id FROM package ORDER BY seq")?;
            let rows = query.query_map([], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        for id in names.iter().filter_map(|name| super::case_id(name)) {
            let files = package::files(&self.inner().conn, id)?;
            if let Err(what) = package::compare(&self.package_dir(id), &files) {
                self.inner().damaged(id, &what)?;
                findings.push(Finding::Package { id, what });
            }
        }
        Ok(findings)
    }
}
