//! The second copy of each package, on another medium.
//!
//! A copy counts when it was written, synced, put in its place in one step, and every byte of it
//! was read back from the medium and had its hash. A medium is there when its marker file is:
//! an empty mount point is no medium. Receivers may share one.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::layout;
use super::{Event, ReceiveError};
use crate::store::disk::{self, DiskError};
use crate::types::CaseId;
use crate::witness::{MANIFEST, MIMETYPE, RECEIPT, SIGNATURE, STATEMENT, Statement, sha256_hex};

/// The file that marks a medium as one for second copies.
const MARKER: &str = "lingmou-copies.json";
/// What is in it.
const MARK: &str = "{\"v\":1,\"type\":\"lingmou.copies\"}\n";

/// The medium.
pub(super) struct Copies {
    dir: PathBuf,
    /// Name of this receiver: others stage their copies beside ours.
    name: String,
    /// What was complained about last: the same is not told again and again.
    told: Mutex<Option<String>>,
}

impl Copies {
    /// Second copies go to `dir`.
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            name: name.to_owned(),
            told: Mutex::default(),
        }
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the medium is in place, or what is wrong.
    pub(super) fn there(&self) -> Result<(), String> {
        let marker = self.dir.join(MARKER);
        match std::fs::read(&marker) {
            Ok(mark) if mark == MARK.as_bytes() => Ok(()),
            Ok(_) => Err(format!("{} is not a marker of ours", marker.display())),
            Err(error) => Err(format!(
                "no medium for second copies at {}: it is not in place, or was never prepared \
                 (lingmou archive prepare-copies): {error}",
                self.dir.display()
            )),
        }
    }

    /// Makes the copy of the package in the folder `package`, with `receipt` instead of the one
    /// that may lie there, and reads it back.
    pub(super) fn take(
        &self,
        package: &Path,
        statement: &Statement,
        receipt: Option<&[u8]>,
    ) -> Result<(), String> {
        self.there()?;
        let (device, id) = (statement.device.id.as_str(), statement.id);
        let files = wanted(package, statement, receipt).map_err(|e| words(&e))?;
        let place = layout::place(&self.dir, device, id);
        if place.exists() && !is_same(&place, package)? {
            return Err(format!("{} is another package", place.display()));
        }
        if place.exists() && !holds(&place, &files) {
            // One of the receivers' that rotted, or that has an older receipt: written anew.
            disk::remove_dir_all(&place).map_err(|e| words(&e))?;
        }
        if !place.exists() {
            self.write(package, (device, id), &files)
                .map_err(|e| words(&e))?;
        }
        if !holds(&place, &files) {
            return Err(format!("{} does not read back as written", place.display()));
        }
        *self.told() = None;
        Ok(())
    }

    fn write(
        &self,
        package: &Path,
        (device, id): (&str, CaseId),
        files: &[Wanted],
    ) -> Result<(), DiskError> {
        let staging = layout::incoming(&self.dir).join(&self.name);
        // An id is one device's only as long as all devices are honest.
        let draft = staging.join(format!("{device}-{id}"));
        for folder in [layout::incoming(&self.dir), staging] {
            disk::create_dir(&folder)?;
        }
        disk::remove_dir_all(&draft)?;
        disk::create_dir(&draft)?;
        let head = files.iter();
        let head = head.filter_map(|file| Some((&*file.name, file.bytes.as_deref()?)));
        disk::write_all_under(&draft, &head.collect::<Vec<_>>())?;
        for file in files.iter().filter(|file| file.bytes.is_none()) {
            // A package is held to 256 MiB, a file in memory to less.
            let bytes = disk::read(&package.join(&file.name))?;
            disk::write_under(&draft, &file.name, &bytes)?;
        }
        for folder in [
            layout::packages(&self.dir),
            layout::packages(&self.dir).join(device),
        ] {
            disk::create_dir(&folder)?;
        }
        disk::publish(&draft, &layout::place(&self.dir, device, id))
    }

    /// What to tell about a copy that could not be made: nothing when it was told before.
    pub(super) fn complain(&self, why: &str) -> Option<Event> {
        let mut told = self.told();
        if told.as_deref() == Some(why) {
            return None;
        }
        tracing::warn!(why, "no second copy");
        *told = Some(why.to_owned());
        let why = format!("no second copy, receipts say one: {why}");
        Some(Event::Trouble { why })
    }

    fn told(&self) -> MutexGuard<'_, Option<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that a copy must have.
struct Wanted {
    name: String,
    sha256: String,
    /// Its bytes, when they are not those in the package's folder.
    bytes: Option<Vec<u8>>,
}

fn wanted(
    package: &Path,
    statement: &Statement,
    receipt: Option<&[u8]>,
) -> Result<Vec<Wanted>, DiskError> {
    let mut files = Vec::new();
    for name in [MIMETYPE, STATEMENT, MANIFEST, SIGNATURE, RECEIPT] {
        let bytes = match receipt.filter(|_| name == RECEIPT) {
            Some(receipt) => receipt.to_vec(),
            None => disk::read(&package.join(name))?,
        };
        files.push(Wanted {
            name: name.to_owned(),
            sha256: sha256_hex(&bytes),
            bytes: Some(bytes),
        });
    }
    files.extend(statement.files.iter().map(|file| Wanted {
        name: file.name.clone(),
        sha256: file.sha256.clone(),
        bytes: None,
    }));
    Ok(files)
}

/// Whether what lies at `place` is the package in the folder `package`.
fn is_same(place: &Path, package: &Path) -> Result<bool, String> {
    let signature = |dir: &Path| disk::read(&dir.join(SIGNATURE)).map_err(|e| words(&e));
    Ok(signature(place)? == signature(package)?)
}

/// Whether the medium itself has every file as it must be.
fn holds(place: &Path, files: &[Wanted]) -> bool {
    files.iter().all(|file| {
        let read = disk::digest_from_medium(&place.join(&file.name));
        read.is_ok_and(|(_, sha256)| sha256 == file.sha256)
    })
}

fn words(error: &DiskError) -> String {
    error.to_string()
}

/// Prepares the medium mounted at `medium` for the second copies of the receivers' folder `dir`.
///
/// # Errors
/// It is not there, cannot be written, or lies on the disk of `dir`.
pub fn prepare_copies(medium: &Path, dir: &Path) -> Result<(), ReceiveError> {
    use std::os::unix::fs::MetadataExt as _;

    let device = |path: &Path| {
        let meta = std::fs::metadata(path);
        meta.map(|meta| meta.dev())
            .map_err(|error| ReceiveError::Disk(format!("{}: {error}", path.display())))
    };
    if device(medium)? == device(dir)? {
        return Err(ReceiveError::SameDisk(medium.to_owned()));
    }
    if medium.join(MARKER).exists() {
        return Ok(());
    }
    let draft = medium.join("lingmou-copies.draft");
    Ok(disk::replace(
        &draft,
        &medium.join(MARKER),
        MARK.as_bytes(),
    )?)
}
