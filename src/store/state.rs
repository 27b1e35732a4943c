//! The states of a sealed package.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

/// Where a sealed package stands. Which step may follow which is in `schema.sql`, the one
/// place that enforces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In `packages/` and in the journal.
    Sealed,
    /// Waiting for the link.
    Queued,
    /// On its way.
    Sending,
    /// Every byte acknowledged by the broker, which proves nothing yet.
    Sent,
    /// The receiver signed that it has it: our duty to keep has ended.
    Receipted,
    /// The receiver signed that it will not have it. Kept, a person is needed.
    Refused,
    /// A file is missing or changed. What is left is kept, a person is needed.
    Damaged,
    /// Pictures and video were removed after the receipt; statement and signatures remain.
    Pruned,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Sealed,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Receipted,
        Self::Refused,
        Self::Damaged,
        Self::Pruned,
    ];

    /// Whether the package is still to be sent: neither answered nor damaged.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::Sealed | Self::Queued | Self::Sending | Self::Sent
        )
    }

    /// The name in the database, in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Receipted => "receipted",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
            Self::Pruned => "pruned",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl ToSql for State {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        let found = Self::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or(FromSqlError::InvalidType)
    }
}
