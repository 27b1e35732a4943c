//! The door to the disk: every create, write, link, sync, rename and removal of what must last.
//!
//! Each step's failure names what was being done and where, so that the layers above only say
//! what comes after what; the moves made of several steps (a whole package made visible, a file
//! put over another) are here as well. In this crate's unit tests the N-th step can be made to
//! fail ([`fault`]), half-way through when it is a write.

#[cfg(test)]
pub(crate) mod fault;

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use rustix::fs::{Advice, FallocateFlags, StatVfsMountFlags, statvfs};
use rustix::io::Errno;

use crate::types::hex;

/// Bytes of a file hashed at a time.
const PIECE: usize = 64 * 1024;

/// A step on the disk that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}", path.display())]
pub struct DiskError {
    /// What the caller can do about it.
    pub kind: DiskKind,
    /// The step, as in "cannot … PATH".
    pub doing: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Bytes that were being written, 0 for other steps.
    pub bytes: u64,
    /// What the kernel said.
    pub source: io::Error,
}

/// Which way the disk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// No space, or a quota reached: free some and go on.
    Full,
    /// Mounted read-only, often by the kernel after an error.
    ReadOnly,
    /// Anything else: the medium or the rights on it need a person.
    Failing,
}

impl DiskError {
    fn new(doing: &'static str, path: &Path, bytes: usize, source: io::Error) -> Self {
        let errno = source.raw_os_error().map(Errno::from_raw_os_error);
        let kind = match errno {
            Some(Errno::NOSPC | Errno::DQUOT) => DiskKind::Full,
            Some(Errno::ROFS) => DiskKind::ReadOnly,
            _ => DiskKind::Failing,
        };
        Self {
            kind,
            doing,
            path: path.to_owned(),
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            source,
        }
    }

    /// A file that cannot be read.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        Self::new("read", path, 0, source)
    }
}

/// Runs one step. In unit tests the step may be told to fail instead.
fn step<T>(
    doing: &'static str,
    path: &Path,
    run: impl FnOnce() -> io::Result<T>,
) -> Result<T, DiskError> {
    #[cfg(test)]
    fault::strike().map_err(|e| DiskError::new(doing, path, 0, e))?;
    run().map_err(|e| DiskError::new(doing, path, 0, e))
}

/// Creates a file that must not exist yet.
pub fn create_new(path: &Path) -> Result<File, DiskError> {
    step("create", path, || {
        OpenOptions::new().write(true).create_new(true).open(path)
    })
}

/// Opens a file for appending, creating it when it is missing.
pub fn open_append(path: &Path) -> Result<File, DiskError> {
    step("open", path, || {
        OpenOptions::new().append(true).create(true).open(path)
    })
}

/// Writes all of `bytes` at the file's position. After an error any part may be in the file.
pub fn write_all(mut file: &File, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    #[cfg(test)]
    if let Err(e) = fault::strike() {
        let half = bytes.split_at(bytes.len() / 2).0;
        file.write_all(half)
            .map_err(|e| DiskError::new("write", path, bytes.len(), e))?;
        return Err(DiskError::new("write", path, bytes.len(), e));
    }
    file.write_all(bytes)
        .map_err(|e| DiskError::new("write", path, bytes.len(), e))
}

/// Writes all of `bytes` at `offset` of a file, which is made when it is missing. After an error any part
/// may be in the file.
pub(crate) fn write_at(path: &Path, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
    let fail = |e| DiskError::new("write", path, bytes.len(), e);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false);
    let file = options.open(path).map_err(fail)?;
    #[cfg(test)]
    if let Err(e) = fault::strike() {
        let half = bytes.split_at(bytes.len() / 2).0;
        file.write_all_at(half, offset).map_err(fail)?;
        return Err(fail(e));
    }
    file.write_all_at(bytes, offset).map_err(fail)
}

/// Makes content and length of the file durable.
pub fn sync_data(file: &File, path: &Path) -> Result<(), DiskError> {
    step("sync", path, || file.sync_data())
}

/// Makes content and all metadata of the file durable.
pub fn sync_all(file: &File, path: &Path) -> Result<(), DiskError> {
    step("sync", path, || file.sync_all())
}

/// Makes the entries of a directory durable. No name is the folder one is in: that is what the
/// standard library calls the parent of a name without a folder.
pub fn sync_dir(path: &Path) -> Result<(), DiskError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    step("sync directory", path, || File::open(path)?.sync_all())
}

/// Cuts the file to `len` bytes.
pub fn cut(file: &File, path: &Path, len: u64) -> Result<(), DiskError> {
    step("cut", path, || file.set_len(len))
}

/// Takes `len` bytes of room for the file, for real: no hole. Not durable before [`sync_all`].
pub fn reserve(mut file: &File, path: &Path, len: u64) -> Result<(), DiskError> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    step("reserve room in", path, || {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
            // Network and FAT file systems: the slow way does it as well.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let mut left = len;
                while left > 0 {
                    let part = ZEROS.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    file.write_all(&ZEROS[..part])?;
                    left -= part as u64;
                }
                Ok(())
            }
            other => Ok(other?),
        }
    })
}

/// Creates a directory and makes its entry durable; fine when it is there already.
pub fn create_dir(path: &Path) -> Result<(), DiskError> {
    step("create directory", path, || {
        match std::fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    })?;
    // Also when it was there: whoever made it may not have lived to sync it.
    path.parent().map_or(Ok(()), sync_dir)
}

/// Creates a directory and those on the way to it; nothing of it is durable.
pub(crate) fn create_dirs(path: &Path) -> Result<(), DiskError> {
    step("create directory", path, || std::fs::create_dir_all(path))
}

/// Gives a file a second name, or a durable copy of it where there are no hard links.
pub(crate) fn link(from: &Path, to: &Path) -> Result<(), DiskError> {
    step("link", to, || std::fs::hard_link(from, to)).or_else(|_no_link| {
        step("copy to", to, || std::fs::copy(from, to))?;
        sync_all(&File::open(to).map_err(|e| DiskError::reading(to, e))?, to)
    })
}

/// Renames within one file system. Not durable before both parents are synced.
pub fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the durable door's own step; its callers sync"
    )]
    step("rename", from, || std::fs::rename(from, to))
}

/// Removes a file; fine when it is gone already.
pub fn remove_file(path: &Path) -> Result<(), DiskError> {
    step("remove", path, || gone(std::fs::remove_file(path)))
}

/// Removes a directory with everything in it; fine when it is gone already.
pub fn remove_dir_all(path: &Path) -> Result<(), DiskError> {
    step("remove", path, || gone(std::fs::remove_dir_all(path)))
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Writes a file that must not exist yet and makes its content durable. Its directory entry is
/// durable only after [`sync_dir`] on the parent.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let file = create_new(path)?;
    write_all(&file, path, bytes)?;
    sync_all(&file, path)
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, DiskError> {
    #[cfg(test)]
    fault::strike_reading().map_err(|e| DiskError::reading(path, e))?;
    std::fs::read(path).map_err(|e| DiskError::reading(path, e))
}

/// Whether a file could not be read for want of something that has nothing to do with the file:
/// nothing can be said about it then.
pub fn is_passing(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    // An allocation that failed has no number of the kernel's.
    error.kind() == io::ErrorKind::OutOfMemory
        || matches!(
            errno,
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR | Errno::AGAIN)
        )
}

/// Names in a directory, sorted. Names that are not UTF-8 are not ours and are left out.
pub fn list(path: &Path) -> Result<Vec<String>, DiskError> {
    let fail = |e| DiskError::new("list", path, 0, e);
    #[cfg(test)]
    fault::strike_reading().map_err(fail)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        if let Ok(name) = entry.map_err(fail)?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

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

/// Removes every file under `dir` whose name there is not in `keep`, then every folder in which
/// nothing is left, `dir` among them. Fine when there is no `dir`.
pub(crate) fn sweep(dir: &Path, keep: &HashSet<String>) -> Result<(), DiskError> {
    if is_folder(dir) {
        sweep_inner(dir, "", keep)?;
    }
    Ok(())
}

fn sweep_inner(dir: &Path, prefix: &str, keep: &HashSet<String>) -> Result<(), DiskError> {
    for name in list(dir)? {
        let path = dir.join(&name);
        let inside = format!("{prefix}{name}");
        if is_folder(&path) {
            sweep_inner(&path, &format!("{inside}/"), keep)?;
        } else if !keep.contains(&inside) {
            remove_file(&path)?;
        }
    }
    if list(dir)?.is_empty() {
        remove_dir_all(dir)?;
    }
    Ok(())
}

/// Whether `path` is a directory itself: what a link points to is not ours to tidy.
pub(crate) fn is_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Bytes an unprivileged process may still write on the file system of `path`.
pub fn free_bytes(path: &Path) -> Result<u64, DiskError> {
    let stat = statvfs(path).map_err(|e| DiskError::new("measure", path, 0, e.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Size and SHA-256 (lower-case hex) of a file, read in pieces.
pub(crate) fn digest(path: &Path) -> io::Result<(u64, String)> {
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
pub(crate) fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_of_failure_are_told_apart() {
        for (errno, kind) in [
            (Errno::NOSPC, DiskKind::Full),
            (Errno::DQUOT, DiskKind::Full),
            (Errno::ROFS, DiskKind::ReadOnly),
            (Errno::IO, DiskKind::Failing),
            (Errno::ACCESS, DiskKind::Failing),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fault::plan(1, fault::Mode::Once(errno));
            let error = write_new(&dir.path().join("x"), b"0123456789").unwrap_err();
            assert_eq!((error.kind, error.bytes), (kind, 10));
            assert!(error.to_string().contains("cannot write"), "{error}");
            assert_eq!(std::fs::read(dir.path().join("x")).unwrap(), b"01234");
        }
    }

    #[test]
    fn want_of_memory_passes_with_and_without_a_number_of_the_kernels() {
        for passing in [
            Errno::NOMEM.into(),
            Errno::MFILE.into(),
            io::ErrorKind::OutOfMemory.into(),
        ] {
            assert!(is_passing(&passing), "{passing}");
        }
        assert!(!is_passing(&Errno::IO.into()));
        assert!(!is_passing(&io::ErrorKind::UnexpectedEof.into()));
    }

    #[test]
    fn a_name_without_a_folder_is_in_the_folder_one_is_in() {
        let parent = Path::new("proof").parent().unwrap();
        sync_dir(parent).unwrap();
    }

    #[test]
    fn sweeping_leaves_what_is_to_be_kept_and_no_folder_without_it() {
        let dir = tempfile::tempdir().unwrap();
        let case = dir.path().join("case");
        let files = ["clip", "a/kept", "a/b/rest", "c/rest", "c/d/rest"];
        let files = files.map(|name| (name, &b"x"[..]));
        create_dir(&case).unwrap();
        write_all_under(&case, &files).unwrap();
        sweep(&case, &["a/kept".to_owned()].into()).unwrap();
        assert_eq!(list(&case).unwrap(), ["a"]);
        assert_eq!(list(&case.join("a")).unwrap(), ["kept"]);
        sweep(&case, &HashSet::new()).unwrap();
        assert_eq!(list(dir.path()).unwrap(), [""; 0]);
        sweep(&case, &HashSet::new()).unwrap();
    }

    #[test]
    fn a_file_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        write_new(&path, b"first").unwrap();
        let error = write_new(&path, b"second").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap(), b"first");
    }
}
