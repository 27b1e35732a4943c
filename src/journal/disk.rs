//! The door to the disk: every create, write, sync, rename and removal of `journal` and `store`.
//!
//! Each function is one step whose failure names what was being done and where, so that the
//! layers above only say what comes after what. In this crate's unit tests the N-th step can be
//! made to fail ([`fault`]), half-way through when it is a write.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

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
}

impl DiskError {
    /// A file that cannot be read.
    pub(super) fn reading(path: &Path, source: io::Error) -> Self {
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

/// Makes the N-th step on this thread fail, in unit tests.
#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;
    use std::io;

    use rustix::io::Errno;

    /// How a struck step fails.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Mode {
        /// This step only; the next works again.
        Once(Errno),
        /// This step and every later one: the medium, or the process, is gone.
        Forever(Errno),
    }

    thread_local! {
        /// Steps still allowed, how the next one fails, whether one has failed.
        static PLAN: Cell<Option<(u32, Mode, bool)>> = const { Cell::new(None) };
        /// Readings still allowed, and how the next one fails.
        static READING: Cell<Option<(u32, Errno)>> = const { Cell::new(None) };
    }

    /// The `n`-th reading of a file or folder from now (0 is the next) fails, once.
    pub(crate) fn plan_reading(n: u32, errno: Errno) {
        READING.set(Some((n, errno)));
    }

    /// Ends that plan; tells whether no reading was made to fail.
    pub(crate) fn clear_reading() -> bool {
        READING.take().is_some()
    }

    /// Counts one reading, and fails as it was planned.
    pub(crate) fn strike_reading() -> io::Result<()> {
        match READING.take() {
            None => Ok(()),
            Some((0, errno)) => Err(errno.into()),
            Some((n, errno)) => {
                READING.set(Some((n - 1, errno)));
                Ok(())
            }
        }
    }

    /// The `n`-th step from now (0 is the next) fails as `mode` says.
    pub(crate) fn plan(n: u32, mode: Mode) {
        PLAN.set(Some((n, mode, false)));
    }

    /// Ends the plan; tells whether no step was made to fail.
    pub(crate) fn clear() -> bool {
        PLAN.take().is_some_and(|(_, _, struck)| !struck)
    }

    /// Counts one step that another library takes.
    pub(crate) fn commit(path: &std::path::Path) -> Result<(), super::DiskError> {
        strike().map_err(|e| super::DiskError::new("commit to", path, 0, e))
    }

    /// Counts one step.
    pub(crate) fn strike() -> io::Result<()> {
        match PLAN.get() {
            None | Some((_, Mode::Once(_), true)) => Ok(()),
            Some((n, mode, _)) if n > 0 => {
                PLAN.set(Some((n - 1, mode, false)));
                Ok(())
            }
            Some((n, mode @ (Mode::Once(errno) | Mode::Forever(errno)), _)) => {
                PLAN.set(Some((n, mode, true)));
                Err(errno.into())
            }
        }
    }
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
    fn a_file_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        write_new(&path, b"first").unwrap();
        let error = write_new(&path, b"second").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap(), b"first");
    }
}
