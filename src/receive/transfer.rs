//! One package on its way in: its verified head, and the pieces of its files as they come.
//!
//! On the disk, in `incoming/<device>/<id>/`: `head.zip` as it came, `<sha256>.part` for each
//! file, `ranges.json` with the byte ranges that were durable when it was written, and for a
//! moment `package/`, the whole put together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::ReceiveError;
use super::head::{Head, parts};
use super::ranges::Ranges;
use crate::disk::{self, DiskError};
use crate::link::message::Range;
use crate::witness::{
    FileEntry, MANIFEST, MIMETYPE, RECEIPT, SIGNATURE, STATEMENT, Statement, sha256_hex,
};

/// The head as it came.
pub(super) const HEAD: &str = "head.zip";
/// The ranges of each file that are durable.
const RANGES: &str = "ranges.json";
/// Bytes taken before the pieces are made durable and `ranges.json` is written again.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes asked for at once: bounds what piles up in the broker for this device.
const ASK_BYTES: u64 = 16 * 1024 * 1024;
/// Ranges asked for at once: bounds the message.
const ASK_RANGES: usize = 256;
/// Holes a file may have: pieces that would make more are not taken, and asked for again.
const HOLES_MAX: usize = 1024;
/// Times a file may arrive whole and yet not have its signed hash.
const WRONG_MAX: u8 = 3;

/// One file, by its hash.
struct Blob {
    size: u64,
    have: Ranges,
    /// Written to since the last sync.
    fresh: bool,
    /// Times it was whole but wrong.
    wrong: u8,
}

/// What a look at a transfer gave.
pub(super) enum Look {
    /// These ranges are asked for.
    Missing(Vec<Range>),
    /// Every file is here and has its signed hash.
    Whole,
    /// A file came whole several times and never had its signed hash.
    Wrong(String),
}

/// A package on its way in.
pub(super) struct Transfer {
    dir: PathBuf,
    head: Head,
    blobs: BTreeMap<String, Blob>,
    unsynced: u64,
    /// Whether the head and the way to it are durable.
    rooted: bool,
}

impl Transfer {
    /// Begins one. It becomes durable with its first pieces that do: what a power cut takes before
    /// that is announced again, and a package that is whole by then is worth no more syncs than its
    /// own.
    pub(super) fn begin(dir: &Path, head: Head, zip: &[u8]) -> Result<Self, ReceiveError> {
        disk::remove_dir_all(dir)?;
        disk::create_dirs(dir)?;
        disk::write_at(&dir.join(HEAD), 0, zip)?;
        Ok(Self::of(dir, head))
    }

    /// Takes one up again from the disk, believing only what was durable.
    pub(super) fn resume(dir: &Path, head: Head) -> Result<Self, ReceiveError> {
        let mut transfer = Self::of(dir, head);
        disk::remove_dir_all(&dir.join("package"))?;
        let said = durable(dir);
        for (sha256, blob) in &mut transfer.blobs {
            let there = std::fs::metadata(part(dir, sha256)).map_or(0, |m| m.len());
            if let Some(ranges) = said.get(sha256) {
                blob.have = ranges.cleaned(blob.size.min(there));
            }
        }
        Ok(transfer)
    }

    fn of(dir: &Path, head: Head) -> Self {
        let blobs = head
            .statement
            .files
            .iter()
            .map(|file| {
                let blob = Blob {
                    size: file.size,
                    have: Ranges::default(),
                    fresh: false,
                    wrong: 0,
                };
                (file.sha256.clone(), blob)
            })
            .collect();
        Self {
            dir: dir.to_owned(),
            head,
            blobs,
            unsynced: 0,
            rooted: false,
        }
    }

    /// The verified head.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Takes a piece; false when it is not of this package or not within the file.
    pub(super) fn take(
        &mut self,
        sha256: &str,
        offset: u64,
        bytes: &[u8],
    ) -> Result<bool, ReceiveError> {
        let Some(blob) = self.blobs.get_mut(sha256) else {
            return Ok(false);
        };
        let len = bytes.len() as u64;
        let end = match offset.checked_add(len) {
            Some(end) if end <= blob.size && len > 0 => end,
            _ => return Ok(false),
        };
        if blob.have.covers(offset, end) {
            return Ok(true);
        }
        if blob.have.count() >= HOLES_MAX && !blob.have.covers(offset.saturating_sub(1), offset) {
            return Ok(true);
        }
        disk::write_at(&part(&self.dir, sha256), offset, bytes)?;
        blob.have.add(offset, end);
        blob.fresh = true;
        self.unsynced += len;
        if self.unsynced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok(true)
    }

    /// Makes the pieces durable. A file of which the disk has lost a write is asked for anew: the
    /// kernel tells it once, and goes on showing from memory what is on no disk.
    fn sync_parts(&mut self) -> Result<(), ReceiveError> {
        for (sha256, blob) in self.blobs.iter_mut().filter(|(_, blob)| blob.fresh) {
            let path = part(&self.dir, sha256);
            let synced = sync_file(&path);
            blob.fresh = false;
            if synced.is_err() {
                blob.have = Ranges::default();
                // What stays of it is written over.
                for stale in [self.dir.join(RANGES), path] {
                    let _over: Result<(), DiskError> = disk::remove_file(&stale);
                }
                return synced;
            }
        }
        Ok(())
    }

    /// Makes head and pieces durable, then says so in `ranges.json`; never the other way round.
    fn sync(&mut self) -> Result<(), ReceiveError> {
        self.sync_parts()?;
        if !self.rooted {
            sync_file(&self.dir.join(HEAD))?;
            // The folders of the device and of this receiver.
            let mut above = self.dir.ancestors().skip(1).take(2);
            above.try_for_each(disk::sync_dir)?;
            self.rooted = true;
        }
        let said: BTreeMap<&String, &Ranges> =
            self.blobs.iter().map(|(s, b)| (s, &b.have)).collect();
        let text = serde_json::to_vec(&said)
            .map_err(|error| ReceiveError::Bug(format!("ranges.json: {error}")))?;
        let place = self.dir.join(RANGES);
        disk::replace(&self.dir.join("ranges.new"), &place, &text)?;
        self.unsynced = 0;
        Ok(())
    }

    /// What is still to come. Files that are here are hashed.
    pub(super) fn look(&mut self) -> Result<Look, ReceiveError> {
        let mut missing = self.missing();
        if missing.is_empty() {
            for (sha256, blob) in &mut self.blobs {
                let path = part(&self.dir, sha256);
                if blob.size == 0 {
                    disk::write_at(&path, 0, &[])?;
                }
                if disk::digest(&path).map_err(|error| trouble(&path, &error))?
                    == (blob.size, sha256.clone())
                {
                    continue;
                }
                blob.wrong += 1;
                if blob.wrong >= WRONG_MAX {
                    return Ok(Look::Wrong(sha256.clone()));
                }
                disk::remove_file(&path)?;
                blob.have = Ranges::default();
                blob.fresh = false;
            }
            missing = self.missing();
        }
        let Some(Range(next, ..)) = missing.first() else {
            self.sync_parts()?;
            return Ok(Look::Whole);
        };
        // Nothing but video: with a metered link that is all there is for days, and the box does not repeat it.
        let files = &self.head.statement.files;
        let only_video = !files.iter().any(|f| f.sha256 == *next && !is_video(f));
        if only_video && self.unsynced > 0 {
            self.sync()?;
        }
        Ok(Look::Missing(missing))
    }

    /// The next ranges to ask for, within the bounds of a message: in the order of the statement,
    /// but video last, so that a device whose link is narrow knows what comes before it.
    pub(super) fn missing(&self) -> Vec<Range> {
        let mut asked = Vec::new();
        let mut left = ASK_BYTES;
        let mut seen = BTreeSet::new();
        let files = &self.head.statement.files;
        let video = files.iter().filter(|file| is_video(file));
        for file in files.iter().filter(|file| !is_video(file)).chain(video) {
            let Some(blob) = self.blobs.get(&file.sha256) else {
                continue;
            };
            if !seen.insert(&file.sha256) {
                continue;
            }
            for (from, to) in blob.have.missing(blob.size) {
                if left == 0 || asked.len() == ASK_RANGES {
                    return asked;
                }
                let to = to.min(from.saturating_add(left));
                left -= to - from;
                asked.push(Range(file.sha256.clone(), from, to));
            }
        }
        asked
    }

    /// Bytes of all files together.
    pub(super) fn bytes(&self) -> u64 {
        self.blobs.values().map(|b| b.size).sum()
    }

    /// Puts the package together in `package/`; only after [`Look::Whole`]. Not durable before
    /// [`Self::settle`].
    pub(super) fn assemble(&self) -> Result<PathBuf, ReceiveError> {
        let package = self.package();
        disk::remove_dir_all(&package)?;
        for folder in self.folders() {
            disk::create_dirs(&folder)?;
        }
        let head = parts(&disk::read(&self.dir.join(HEAD))?)?;
        for (name, bytes) in head.files() {
            disk::write_at(&package.join(name), 0, bytes)?;
        }
        for file in &self.head.statement.files {
            let from = part(&self.dir, &file.sha256);
            disk::link(&from, &package.join(&file.name))?;
        }
        Ok(package)
    }

    /// Puts the receipt into the assembled package and makes all of it durable, each file and
    /// folder once: what receiving costs is its syncs. Publishing syncs the package's own folder.
    pub(super) fn settle(&self, receipt: &[u8]) -> Result<(), ReceiveError> {
        let package = self.package();
        disk::write_new(&package.join(RECEIPT), receipt)?;
        for name in [MIMETYPE, STATEMENT, MANIFEST, SIGNATURE] {
            sync_file(&package.join(name))?;
        }
        for folder in self.folders().iter().filter(|folder| **folder != package) {
            disk::sync_dir(folder)?;
        }
        Ok(())
    }

    fn package(&self) -> PathBuf {
        self.dir.join("package")
    }

    /// The package's folders, outermost first.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let package = self.package();
        let named = self.head.statement.files.iter().map(|file| &*file.name);
        let ways = named.chain([RECEIPT]).flat_map(|name| {
            let inside = Path::new(name).ancestors().skip(1);
            inside.map(|folder| package.join(folder))
        });
        ways.collect()
    }
}

/// An unfinished package as anybody finds it on the disk.
pub(super) struct Found {
    /// Its head; it was verified when it came.
    pub(super) head: Head,
    /// Whether everything but video is here, and durable.
    pub(super) pictures: bool,
}

impl Found {
    /// Looks into `dir`; `None` when there is no head that can be read.
    pub(super) fn at(dir: &Path) -> Option<Self> {
        let parts = parts(&disk::read(&dir.join(HEAD)).ok()?).ok()?;
        let head = Head {
            statement: Statement::parse(parts.get(STATEMENT)?).ok()?,
            sig_sha256: sha256_hex(parts.get(SIGNATURE)?),
            signed: None,
        };
        let have = durable(dir);
        let files = &head.statement.files;
        let pictures = files.iter().filter(|file| !is_video(file)).all(|file| {
            let ranges = have.get(&file.sha256);
            file.size == 0 || ranges.is_some_and(|ranges| ranges.covers(0, file.size))
        });
        Some(Self { head, pictures })
    }
}

/// What was durable of each file when that was last written down.
fn durable(dir: &Path) -> BTreeMap<String, Ranges> {
    let said = disk::read(&dir.join(RANGES)).ok();
    said.and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

fn is_video(file: &FileEntry) -> bool {
    file.media_type.starts_with("video/")
}

fn part(dir: &Path, sha256: &str) -> PathBuf {
    dir.join(format!("{sha256}.part"))
}

fn trouble(path: &Path, error: &io::Error) -> ReceiveError {
    ReceiveError::Disk(format!("{}: {error}", path.display()))
}

fn sync_file(path: &Path) -> Result<(), ReceiveError> {
    let file = File::open(path).map_err(|error| trouble(path, &error))?;
    Ok(disk::sync_all(&file, path)?)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::super::head::tests::{head, head_of, zip_of};
    use super::*;
    use crate::disk::fault::{self, Mode};

    /// After a sync that failed Linux shows what was written, says of the next sync that all is
    /// well, and the disk may have nothing of it.
    #[test]
    fn what_a_failed_sync_was_for_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("id");
        let files: [&[u8]; 2] = [b"one picture", b"another"];
        let mut transfer = Transfer::begin(&dir, head(&files), b"zip").unwrap();
        let all = |transfer: &mut Transfer| {
            for bytes in files {
                assert!(transfer.take(&sha256_hex(bytes), 0, bytes).unwrap());
            }
        };
        all(&mut transfer);
        fault::plan(0, Mode::Once(Errno::IO));
        let failed = transfer.look();
        assert!(!fault::clear(), "it was to fail");
        assert!(failed.is_err());
        let Look::Missing(missing) = transfer.look().unwrap() else {
            panic!("it is believed");
        };
        let [Range(sha256, from, to)] = missing.as_slice() else {
            panic!("{missing:?}");
        };
        let lost = files.iter().find(|bytes| sha256_hex(bytes) == *sha256);
        assert_eq!((*from, *to), (0, lost.unwrap().len() as u64));
        all(&mut transfer);
        assert!(matches!(transfer.look().unwrap(), Look::Whole));
    }

    /// A box with a metered link sends them once, and then nothing for days.
    #[test]
    fn pictures_that_wait_for_their_video_outlive_the_receiver() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("rx-1/LM-1/id");
        let (picture, video): (&[u8], &[u8]) = (b"one picture", b"a video");
        let files = [("video/mp4", video), ("image/jpeg", picture)];
        let (head, zip) = (head_of(&files), zip_of(&files));
        let video = vec![Range(sha256_hex(video), 0, video.len() as u64)];
        let mut transfer = Transfer::begin(&dir, head.clone(), &zip).unwrap();
        assert!(transfer.take(&sha256_hex(picture), 0, picture).unwrap());
        // What it was before it is asked is not written down: a package costs few syncs.
        let again = Transfer::resume(&dir, head.clone()).unwrap();
        assert_eq!(again.missing().len(), 2);
        let look = transfer.look().unwrap();
        assert!(matches!(look, Look::Missing(missing) if missing == video));
        let again = Transfer::resume(&dir, head).unwrap();
        assert_eq!(again.missing(), video);
    }

    /// What is left of a file that came wrong is no file that could be synced.
    #[test]
    fn a_video_that_came_wrong_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("rx-1/LM-1/id");
        let (picture, video): (&[u8], &[u8]) = (b"one picture", b"a video");
        let files = [("video/mp4", video), ("image/jpeg", picture)];
        let mut transfer = Transfer::begin(&dir, head_of(&files), &zip_of(&files)).unwrap();
        assert!(transfer.take(&sha256_hex(picture), 0, picture).unwrap());
        assert!(transfer.take(&sha256_hex(video), 0, b"a vodeo").unwrap());
        let wanted = vec![Range(sha256_hex(video), 0, video.len() as u64)];
        let look = transfer.look().unwrap();
        assert!(matches!(look, Look::Missing(missing) if missing == wanted));
        assert!(transfer.take(&sha256_hex(video), 0, video).unwrap());
        assert!(matches!(transfer.look().unwrap(), Look::Whole));
    }
}
