//! Whether the files of a package are what they must be.

use std::path::Path;

use super::disk;
use super::package::PackageFile;

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

impl From<Unlike> for String {
    fn from(unlike: Unlike) -> Self {
        unlike.why
    }
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
