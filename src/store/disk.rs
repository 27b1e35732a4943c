//! The store's moves on the disk: making a package visible at once, and the room that is left.
//!
//! The single steps, and the seam that makes them fail in tests, are in
//! [`crate::journal::disk`].

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use rustix::fs::{Advice, FlockOperation, StatVfsMountFlags, flock, statvfs};

use super::StoreError;
#[cfg(test)]
pub(crate) use crate::journal::disk::fault;
pub use crate::journal::disk::{
    DiskError, DiskKind, create_dir, create_new, cut, is_passing, list, open_append, read,
    remove_dir_all, remove_file, rename, reserve, sync_all, sync_data, sync_dir, write_all,
    write_new,
};
use crate::types::hex;

/// Bytes of a file hashed at a time.
const PIECE: usize = 64 * 1024;

/// Writes `name` (which may have folders in it) under `dir`, durable with its way down from
/// `dir`. It must not exist yet.
pub fn write_under(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    write_all_under(dir, &[(name, bytes)])
}

/// Writes files as [`write_under`] does, each durable on return. They are written in their order
/// and synced in their order, and every folder is synced once: so the disk may write the next
/// while it is asked for the first, and a flush is not paid for each name in a folder.
pub fn write_all_under(dir: &Path, files: &[(&str, &[u8])]) -> Result<(), DiskError> {
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| dir.join(name)).collect();
    let ways = paths.iter().flat_map(|path| way(dir, path));
    // A folder sorts before what lies in it.
    for folder in ways.collect::<BTreeSet<_>>() {
        create_dir(folder)?;
    }
    let mut written = Vec::with_capacity(files.len());
    for (path, (_, bytes)) in paths.iter().zip(files) {
        let file = create_new(path)?;
        write_all(&file, path, bytes)?;
        written.push(file);
    }
    for (file, path) in written.iter().zip(&paths) {
        sync_all(file, path)?;
    }
    let folders = paths.iter().filter_map(|path| path.parent());
    folders
        .collect::<BTreeSet<_>>()
        .into_iter()
        .try_for_each(sync_dir)
}

/// The folders between `dir` and the file `path` below it.
fn way<'a>(dir: &Path, path: &'a Path) -> impl Iterator<Item = &'a Path> {
    path.ancestors()
        .skip(1)
        .take_while(move |folder| *folder != dir)
}

/// Makes the finished directory `staging` appear as `place`, as a whole or not at all. Both
/// must be on one file system, every file and folder inside `staging` already durable.
pub fn publish(staging: &Path, place: &Path) -> Result<(), DiskError> {
    sync_dir(staging)?;
    rename(staging, place)?;
    place.parent().map_or(Ok(()), sync_dir)?;
    staging.parent().map_or(Ok(()), sync_dir)
}

/// Puts `bytes` at `place`, over what is there, as a whole or not at all. `draft` is a path on
/// the same file system that nobody else uses.
pub fn replace(draft: &Path, place: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    remove_file(draft)?;
    write_new(draft, bytes)?;
    rename(draft, place)?;
    place.parent().map_or(Ok(()), sync_dir)
}

/// Removes every file under `dir` whose name there is not in `keep`; folders stay. Fine when
/// there is no `dir`.
pub(super) fn sweep(dir: &Path, keep: &HashSet<String>) -> Result<(), DiskError> {
    sweep_inner(dir, "", keep)
}

fn sweep_inner(dir: &Path, prefix: &str, keep: &HashSet<String>) -> Result<(), DiskError> {
    if !is_folder(dir) {
        return Ok(());
    }
    for name in list(dir)? {
        let path = dir.join(&name);
        let inside = format!("{prefix}{name}");
        if is_folder(&path) {
            sweep_inner(&path, &format!("{inside}/"), keep)?;
        } else if !keep.contains(&inside) {
            remove_file(&path)?;
        }
    }
    Ok(())
}

/// Whether `path` is a directory itself: what a link points to is not ours to tidy.
pub(super) fn is_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Bytes an unprivileged process may still write on the file system of `path`.
pub fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let stat = statvfs(path)
        .map_err(|e| StoreError::Io(format!("cannot measure {}: {e}", path.display())))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Size and SHA-256 (lower-case hex) of a file, read in pieces.
pub(super) fn digest(path: &Path) -> io::Result<(u64, String)> {
    #[cfg(test)]
    fault::strike_reading()?;
    let (mut file, mut piece) = (File::open(path)?, vec![0; PIECE]);
    let (mut hash, mut size) = (Context::new(&SHA256), 0);
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok((size, hex(hash.finish().as_ref())));
        }
        hash.update(piece.get(..n).unwrap_or_default());
        size += n as u64;
    }
}

/// Size and SHA-256 of a file as the medium has it: what the kernel still holds of it in memory
/// is dropped first. The file must have been synced.
pub fn digest_from_medium(path: &Path) -> io::Result<(u64, String)> {
    rustix::fs::fadvise(File::open(path)?, 0, None, Advice::DontNeed)?;
    digest(path)
}

/// Whether the file that is open and the one at `path` are the same.
pub fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let ids = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(there)) => ids(open) == ids(there),
        _ => false,
    }
}

/// Whether the file system of `path` is mounted read-only.
pub(super) fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Takes the lock that keeps a second daemon out, and writes our process id into it. The lock
/// ends with the file, however the process ends.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    use std::io::{Read as _, Seek as _, Write as _};

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
