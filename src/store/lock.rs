//! The lock that keeps a second daemon out of the store.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// Takes the lock that keeps a second daemon out, and writes our process id into it. The lock
/// ends with the file, however the process ends.
pub(super) fn take(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let fail = |e: io::Error| StoreError::Io(format!("cannot lock {}: {e}", path.display()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(fail)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let pid = file
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(StoreError::Locked {
                dir: dir.to_owned(),
                pid,
            });
        }
        Err(e) => return Err(fail(e.into())),
    }
    // Only a courtesy to whoever is locked out: on a full disk the lock holds without it.
    let said = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    match said {
        Err(e) if e.kind() != io::ErrorKind::StorageFull => Err(fail(e)),
        _ => Ok(file),
    }
}
