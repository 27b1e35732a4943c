//! What can go wrong in the store, one variant per thing a caller does about it.

use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::State;
use crate::disk::{DiskError, DiskKind};
use crate::journal::JournalError;
use crate::types::CaseId;
use crate::witness::SealError;

/// Why the store could not do what it was asked. Whatever was sealed before still is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room. Capture stops, warnings go on; try again when there is room.
    #[error(
        "the evidence disk is full: {free} bytes free, {need} needed; free space on it or \
         attach a larger one"
    )]
    Full {
        /// Bytes free, 0 when the kernel refused a write.
        free: u64,
        /// Bytes that must be free for what was asked.
        need: u64,
    },
    /// The quota is used up: no new case is begun, warnings go on. Upload or pruning makes room,
    /// or a person.
    #[error(
        "the evidence store is {percent} % full: no new packages; see that the upload works, or \
         give it a larger disk or quota"
    )]
    Shut {
        /// Its fill.
        percent: u64,
    },
    /// The medium is read-only. Capture stops, warnings go on, a person is needed.
    #[error("the evidence disk is read-only: {0}; check it and mount it again")]
    ReadOnly(String),
    /// The medium fails or forbids. Capture stops, warnings go on, a person is needed.
    #[error("the evidence disk fails: {0}; check the medium and the rights on it")]
    Io(String),
    /// Nothing is there that could be a store.
    #[error("there is no store at {}", .0.display())]
    Absent(PathBuf),
    /// Another process has this store. Do not start.
    #[error("the store {} is in use by another lingmou{}; stop it first", dir.display(),
        pid.map_or_else(String::new, |pid| format!(" (process {pid})")))]
    Locked {
        /// The store.
        dir: PathBuf,
        /// The other process, where it said so.
        pid: Option<u32>,
    },
    /// The store holds evidence of another device. Do not start.
    #[error(
        "the store belongs to device {stored}, not {configured}; correct [device] id or use \
         another [store] dir"
    )]
    OtherDevice {
        /// The device that made it.
        stored: String,
        /// The device that wants it.
        configured: String,
    },
    /// The database broke while in use: [`crate::store::Store::care`] and start-up make it again
    /// from the files.
    #[error("the database is corrupt: {0}; a restart of the daemon rebuilds it from the files")]
    Corrupt(String),
    /// The case is a sealed package already: nothing can be added or taken away.
    #[error("case {0} is sealed already")]
    AlreadySealed(CaseId),
    /// Nothing is kept under this id.
    #[error("nothing is kept for {0}")]
    Unknown(CaseId),
    /// The package cannot take this step from where it stands.
    #[error("package {id} is {from} and cannot become {to}")]
    Step {
        /// The package.
        id: CaseId,
        /// Where it stands.
        from: State,
        /// Where it was to go.
        to: State,
    },
    /// The answer is about another signature than the one that is kept.
    #[error("the answer for package {0} names another signature than the one kept here")]
    OtherSignature(CaseId),
    /// The witness would not seal; the case is as it was.
    #[error("cannot seal: {0}")]
    Seal(#[from] SealError),
    /// The caller broke a promise; nothing was changed.
    #[error("bug: {0}")]
    Invariant(String),
}

impl StoreError {
    /// What is wrong with the rows, when they are not as our own code writes them.
    pub(super) fn of_rows(&self) -> Option<String> {
        match self {
            Self::Corrupt(why) => Some(why.clone()),
            Self::Step { .. } => Some(self.to_string()),
            _ => None,
        }
    }
}

impl From<DiskError> for StoreError {
    fn from(error: DiskError) -> Self {
        match error.kind {
            DiskKind::Full => Self::Full {
                free: 0,
                need: error.bytes.max(1),
            },
            DiskKind::ReadOnly => Self::ReadOnly(error.to_string()),
            DiskKind::Failing => Self::Io(error.to_string()),
        }
    }
}

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Disk(error) => error.into(),
            JournalError::TooLong { .. } => Self::Invariant(error.to_string()),
            // Only `journal::verify` says so; the store appends behind a break.
            JournalError::Broken(broken) => Self::Corrupt(broken.to_string()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { free: 0, need: 1 },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(error.to_string()),
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory,
            ) => Self::Io(error.to_string()),
            // A constraint can only fail on rows that our own code should not have written,
            // a conversion on rows that it never writes: either way the rows are not ours.
            _ => Self::Corrupt(error.to_string()),
        }
    }
}
