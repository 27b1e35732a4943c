//! Files of keys and certificates.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::PkiError;

/// Makes a folder that only its owner may enter; one that exists is left as it is.
pub(super) fn make_dir(dir: &Path) -> Result<(), PkiError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| error(dir, source))
}

/// Writes a private key, mode 0600 from its first byte on; never over an existing file.
pub(super) fn write_key(path: &Path, pem: &str) -> Result<(), PkiError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    write(path, &options, pem)
}

/// Writes a request or certificate. One that was there is replaced: it can be made again.
pub(super) fn write_public(path: &Path, pem: &str) -> Result<(), PkiError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o644);
    write(path, &options, pem)
}

/// On the disk before it is promised: file, then folder.
fn write(path: &Path, options: &OpenOptions, text: &str) -> Result<(), PkiError> {
    let write = || -> io::Result<()> {
        let mut file = options.open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        path.parent()
            .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(|source| error(path, source))
}

pub(super) fn error(path: &Path, source: io::Error) -> PkiError {
    PkiError::File {
        path: path.to_owned(),
        source,
    }
}
