//! Whether the files of a package are what they must be.

use std::path::Path;

use super::StoreError;
use super::package::PackageFile;
use crate::disk;
use crate::witness::sha256_hex;

/// Why files could not be compared with what they must be.
#[derive(Debug)]
pub(super) struct Unlike {
    /// What is wrong.
    pub(super) why: String,
    /// It says nothing about the files: another time they may be read.
    pub(super) passing: bool,
}

impl From<String> for Unlike {
    fn from(why: String) -> Self {
        Self {
            why,
            passing: false,
        }
    }
}

impl From<disk::DiskError> for Unlike {
    fn from(error: disk::DiskError) -> Self {
        Self {
            passing: disk::is_passing(&error.source),
            why: error.to_string(),
        }
    }
}

/// What was read, or what is wrong with it; an error when nothing can be said of it at present.
pub(super) fn lasting<T>(read: Result<T, Unlike>) -> Result<Result<T, String>, StoreError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(unlike) if unlike.passing => Err(StoreError::Io(unlike.why)),
        Err(unlike) => Ok(Err(unlike.why)),
    }
}

/// The file at `path` when it has this hash; an error when that cannot be said at present.
pub(super) fn kept(path: &Path, sha256: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let read = lasting(disk::read(path).map_err(Unlike::from))?;
    Ok(read.ok().filter(|bytes| sha256_hex(bytes) == sha256))
}

/// Compares the files in `dir` with what they must be; says what is wrong first.
pub(super) fn compare(dir: &Path, files: &[PackageFile]) -> Result<(), Unlike> {
    for file in files {
        let name = &file.name;
        let (size, sha256) = disk::digest(&dir.join(name)).map_err(|e| Unlike {
            why: format!("{name} cannot be read: {e}"),
            passing: disk::is_passing(&e),
        })?;
        // Only the hash is signed; the size of a file that was damaged may never have been known.
        if sha256 == file.sha256 {
            continue;
        }
        if size != file.size {
            return Err(format!("{name} has {size} bytes instead of {}", file.size).into());
        }
        return Err(format!("{name} was changed: its SHA-256 is {sha256}").into());
    }
    Ok(())
}
