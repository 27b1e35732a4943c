//! Copies a package and the journal to the medium, and reads them back.

use std::collections::HashSet;
use std::path::Path;

use crate::disk::{self, DiskError};
use crate::journal;
use crate::store::StoreError;
use crate::store::package::PackageFile;
use crate::types::CaseId;
use crate::witness::sha256_hex;

/// Whose fault it is that a copy was not made.
#[derive(Debug)]
pub(super) enum CopyFault {
    /// The medium's.
    Medium(String),
    /// The store's.
    Store(StoreError),
}

impl From<StoreError> for CopyFault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DiskError> for CopyFault {
    /// What the door refuses here is always on the medium, the store is only read; but for want of
    /// memory or descriptors nothing is said of either.
    fn from(error: DiskError) -> Self {
        if disk::is_passing(&error.source) {
            return Self::Store(error.into());
        }
        Self::Medium(error.to_string())
    }
}

/// Copies the package at `source` to the medium, `files` as their rows have them and whatever
/// has come to `META-INF` since and can be read; what is there already is left. When the medium is
/// known to have the package, not for the `first` time, only its head is looked at. The inner error
/// says what is wrong with the package itself.
pub(super) fn copy(
    source: &Path,
    files: &[PackageFile],
    (medium, id, first): (&Path, CaseId, bool),
) -> Result<Result<(), String>, CopyFault> {
    let place = medium.join("packages").join(id.to_string());
    let staging = medium.join("staging").join(id.to_string());
    let fresh = !place.exists();
    if fresh {
        disk::remove_dir_all(&staging)?;
        has_room(medium, files)?;
        disk::create_dir(&staging)?;
    }
    let mut wanted: Vec<(String, Option<&str>)> = files
        .iter()
        .filter(|file| first || fresh || file.lane == 1)
        .map(|file| (file.name.clone(), Some(file.sha256.as_str())))
        .collect();
    wanted.extend(
        additions(source, files)?
            .into_iter()
            .map(|name| (name, None)),
    );
    let mut copied = Vec::new();
    for (name, expected) in wanted {
        let bytes = match disk::read(&source.join(&name)) {
            Ok(bytes) => bytes,
            // What cannot be read for a moment is neither damaged nor to be left out for good.
            Err(error) if disk::is_passing(&error.source) => return Err(error.into()),
            // The evidence is not to go without its copy for a time-stamp's sake.
            Err(error) if expected.is_none() => {
                tracing::warn!(%error, package = %id, name, "left out of the second copy");
                continue;
            }
            Err(e) => return Ok(Err(format!("{name} cannot be read: {}", e.source))),
        };
        let sha256 = sha256_hex(&bytes);
        if expected.is_some_and(|expected| expected != sha256) {
            return Ok(Err(format!("{name} was changed: its SHA-256 is {sha256}")));
        }
        if fresh {
            disk::write_under(&staging, &name, &bytes)?;
        } else if !is(&place.join(&name), &sha256)? {
            put(&place, &name, (&staging, &bytes))?;
        }
        copied.push((name, sha256));
    }
    if fresh {
        disk::publish(&staging, &place)?;
    }
    for (name, sha256) in copied {
        let path = place.join(&name);
        if !is(&path, &sha256)? {
            let what = format!("{} does not read back as it was written", path.display());
            return Err(CopyFault::Medium(what));
        }
    }
    Ok(Ok(()))
}

/// A medium that is full is the usual end of one: nothing is written there only to be found too much.
fn has_room(medium: &Path, files: &[PackageFile]) -> Result<(), CopyFault> {
    let need: u64 = files.iter().map(|file| file.size).sum();
    let free = disk::free_bytes(medium)?;
    if free >= need {
        return Ok(());
    }
    let place = medium.display();
    Err(CopyFault::Medium(format!(
        "{place} has no room for a package of {need} bytes: {free} bytes are free"
    )))
}

/// Names of files in `META-INF` that are not among `files`.
fn additions(source: &Path, files: &[PackageFile]) -> Result<Vec<String>, CopyFault> {
    let names = match disk::list(&source.join("META-INF")) {
        Err(error) if disk::is_passing(&error.source) => return Err(error.into()),
        names => names.unwrap_or_default(),
    };
    let names = names.iter().map(|name| format!("META-INF/{name}"));
    Ok(names
        .filter(|name| !files.iter().any(|file| file.name == *name))
        .filter(|name| std::fs::symlink_metadata(source.join(name)).is_ok_and(|it| it.is_file()))
        .collect())
}

/// Whether the medium holds exactly this at `path`.
fn is(path: &Path, sha256: &str) -> Result<bool, StoreError> {
    match disk::digest_from_medium(path) {
        Err(error) if disk::is_passing(&error) => {
            let what = format!("cannot read {}: {error}", path.display());
            Err(StoreError::Io(what))
        }
        read => Ok(read.is_ok_and(|(_, found)| found == sha256)),
    }
}

/// Puts one file into a package that is there, making the folders on its way.
fn put(package: &Path, name: &str, (draft, bytes): (&Path, &[u8])) -> Result<(), DiskError> {
    let draft = draft.with_extension("part");
    disk::remove_file(&draft)?;
    disk::write_new(&draft, bytes)?;
    move_in(package, name, &draft)
}

/// Moves a file whose content is durable into a package, as [`put`] does.
pub(in crate::store) fn move_in(package: &Path, name: &str, draft: &Path) -> Result<(), DiskError> {
    let path = package.join(name);
    let folders: Vec<_> = path
        .ancestors()
        .skip(1)
        .take_while(|folder| *folder != package)
        .collect();
    for folder in folders.iter().rev() {
        disk::create_dir(folder)?;
    }
    disk::rename(draft, &path)?;
    path.parent().map_or(Ok(()), disk::sync_dir)
}

/// Brings the medium's journal level with the segments from `first` on; of the last, `durable`,
/// only what is durable here. A journal there that says something else is kept beside it, and of a
/// segment that cannot be read here what the medium has of it stays.
pub(super) fn copy_journal(
    source: &Path,
    first: u32,
    durable: (u32, u64),
    medium: &Path,
) -> Result<(), CopyFault> {
    let (last, len) = durable;
    for segment in first..=last {
        let name = journal::file_name(segment);
        let mut bytes = match disk::read(&source.join(&name)) {
            Err(error) if segment != last && !disk::is_passing(&error.source) => {
                tracing::warn!(%error, "left as it is in the second copy");
                continue;
            }
            read => read.map_err(StoreError::from)?,
        };
        if segment == last {
            bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        }
        copy_segment(&bytes, &medium.join("journal"), &name)?;
    }
    Ok(())
}

/// Copies the signatures over the journal's head that the medium lacks.
pub(super) fn copy_checkpoints(store: &Path, medium: &Path) -> Result<(), CopyFault> {
    let [here, there] = [store, medium].map(|dir| dir.join(journal::CHECKPOINTS));
    let known: HashSet<String> = disk::list(&there)?.into_iter().collect();
    for name in disk::list(&here).map_err(StoreError::from)? {
        if !known.contains(&name) {
            let bytes = match disk::read(&here.join(&name)) {
                Err(error) if !disk::is_passing(&error.source) => {
                    tracing::warn!(%error, "left out of the second copy");
                    continue;
                }
                read => read.map_err(StoreError::from)?,
            };
            disk::replace(
                &medium.join("staging/checkpoint"),
                &there.join(&name),
                &bytes,
            )?;
        }
    }
    Ok(())
}

fn copy_segment(bytes: &[u8], folder: &Path, name: &str) -> Result<(), CopyFault> {
    let place = folder.join(name);
    let there = match disk::read(&place) {
        Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let rest = if let Some(rest) = bytes.strip_prefix(there.as_slice()) {
        rest
    } else {
        let hash = sha256_hex(&there);
        let (short, _) = hash.split_at(16);
        disk::rename(&place, &folder.join(format!("other-{name}-{short}")))?;
        bytes
    };
    if !rest.is_empty() {
        let file = disk::open_append(&place)?;
        disk::write_all(&file, &place, rest)?;
        disk::sync_data(&file, &place)?;
        disk::sync_dir(folder)?;
    }
    if bytes.is_empty() || is(&place, &sha256_hex(bytes))? {
        return Ok(());
    }
    let what = format!("{} does not read back as it was written", place.display());
    Err(CopyFault::Medium(what))
}
