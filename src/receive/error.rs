//! What can go wrong at a receiver, one variant per thing a caller does about it.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::index::IndexError;
use crate::disk::DiskError;
use crate::witness::{ChainFault, KeyError};

/// Why the receiver cannot work, or could not deal with one message.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The name cannot stand in a topic.
    #[error("receiver name {0:?}: only A-Z a-z 0-9 and - are allowed, 1 to 64 of them")]
    Name(String),
    /// The broker's name is none.
    #[error("--host {0:?} is not a host: a name or an address alone, without scheme and port")]
    Host(String),
    /// The broker knows a receiver by its certificate, and lets it hear what is for that name.
    #[error(
        "--name is {name:?}, and {} is for {certificate:?}: make them equal", path.display()
    )]
    OtherName {
        /// The name.
        name: String,
        /// The certificate.
        path: PathBuf,
        /// The name it is for.
        certificate: String,
    },
    /// The time-stamping program cannot be run.
    #[error(
        "--tsa-command: there is no program {0:?} that could be run; install it, or correct its \
         name"
    )]
    NoProgram(String),
    /// A key or certificate is missing or unfit.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What it signs would be believed by nobody.
    #[error(
        "receiver.crt: {0}, so no box and no verifier would believe a receipt: it must lead to a root in \
         roots.crt, and its file hold no certificate that this does not take"
    )]
    Unbelievable(ChainFault),
    /// Nobody vouches for our clock. The device keeps its package and tries again.
    #[error(
        "no receipt is signed, for its time would stand in each package: {0}; set up a time daemon \
         (timedatectl), or say --any-clock where there can be none"
    )]
    Clock(String),
    /// Another receiver of this name works in the folder.
    #[error("a receiver {name:?} is at work in {} already; give each its own name", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// The name.
        name: String,
    },
    /// The figures cannot be served there.
    #[error("cannot serve figures on {addr}: {why}")]
    Metrics {
        /// The address.
        addr: SocketAddr,
        /// Why.
        why: String,
    },
    /// There is no such folder for second copies.
    #[error("there is no folder {}; mount the medium there first", .0.display())]
    NoFolder(PathBuf),
    /// The folder for second copies is no other medium.
    #[error(
        "{} is on the same disk as the first copies: a second copy there would be lost with \
         the first; mount the other medium first", .0.display()
    )]
    SameDisk(PathBuf),
    /// No package of this name is or was here.
    #[error(
        "{0:?} is no package that is or was here; name it DEVICE/ID, as `archive packages` has them"
    )]
    NoPackage(String),
    /// The package has a second copy, and where is not said.
    #[error("{0} has a second copy: say with --copy-to where, so that it is removed there too")]
    SecondCopy(String),
    /// The index cannot be read or written. It is no evidence: it may be deleted and is made again.
    #[error("the index: {0}; it may be deleted, and is made again from the packages")]
    Index(String),
    /// The disk does not do what it must. The device keeps its package and tries again.
    #[error("{0}; check the receiver's disk")]
    Disk(String),
    /// Less room than the package needs. The device keeps its package and tries again.
    #[error("a package of {need} bytes does not fit into the {free} bytes free; make room")]
    Full {
        /// Bytes the package needs.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// Our own mistake.
    #[error("bug: {0}")]
    Bug(String),
}

impl From<DiskError> for ReceiveError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<IndexError> for ReceiveError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Sql(error) => Self::Index(error.to_string()),
            IndexError::Folder(error) => error,
        }
    }
}
