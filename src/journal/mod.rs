//! What happened on this box, in order, so that nothing can be taken out unseen.
//!
//! Segments `journal/00000001.jsonl …` of at most 4 MiB hold one compact JSON object a line:
//! `{"n":3,"at":"…","kind":"package.sealed","prev":"<sha256 of the line before>","body":{…}}`.
//! The hash of a line is the SHA-256 of its exact bytes without the newline; `sha256sum` and a
//! pair of eyes can follow the chain. A line is durable before [`Journal::append`] returns.
//!
//! **Invariants.** Lines are only ever added. A failed append leaves the file as it was before
//! the next one. The part of a line that a power cut left at the end is moved to a file
//! `torn-…` beside the segments and a line `journal.repaired` says so. A break further up is
//! never mended: [`verify`] names it, and the chain goes on behind it; so it is when the disk has
//! lost a whole segment, even the one that was being written.
//!
//! Checkpoints, files beside the segments, sign the line they are named by; [`audit`] holds the
//! two together, [`prove`] cuts out what concerns one package. `spoke` alone reads what lines mean:
//! whether those of a time can vouch that the loudspeaker was silent.
//!
//! **Not here.** What else a line means, and who is told of it: `store`, `upload`, `daemon`. The making
//! of checkpoints (`store`) and their form (`witness`).

mod audit;
pub mod kind;
mod line;
mod proof;
mod segment;
pub(crate) mod spoke;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::clock;
use crate::disk::{self, DiskError};
use crate::types::Stamp;
use crate::witness::sha256_hex;
pub use audit::{Audit, audit};
pub use line::Head;
pub use proof::{AtHand, Proof, ProofError, prove};
pub use segment::{Broken, Chain, Entry, Place, file_name};

/// A segment ends before the line that would make it longer than this, bytes.
const SEGMENT_MAX: u64 = 4 * 1024 * 1024;

/// Folder of the store with the segments.
pub const SEGMENTS: &str = "journal";

/// Folder of the store with the checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";

/// Beginning of the names of files with torn ends.
const TORN: &str = "torn-";

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk failed; what was durable before still is.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The chain does not hold.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The line would be longer than 64 KiB; nothing was written.
    #[error("a journal line of kind {kind} is too long; shorten what it says")]
    TooLong {
        /// Its kind.
        kind: String,
    },
}

/// The journal, open for adding.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    file: File,
    path: PathBuf,
    segment: u32,
    /// Durable bytes of the segment.
    len: u64,
    head: Head,
    last: Option<Place>,
    /// Whether a failed append may have left something behind `len`.
    dirty: bool,
    repairs: u64,
    broken: Option<Broken>,
}

impl Journal {
    /// Opens the journal in `dir` (made when missing), sets a torn end aside, and reads the
    /// whole chain once; a break does not keep it from opening ([`Journal::broken`]).
    ///
    /// When the disk does not give the last segment any more, the next line begins a new one, with a
    /// number above `known`: that of the newest line known from elsewhere, a signature or an index, so
    /// that no number that was signed for is given twice.
    pub fn open(dir: &Path, known: u64) -> Result<Self, JournalError> {
        disk::create_dir(dir)?;
        let mut named = HashSet::new();
        let walk = segment::walk(dir, &mut |entry| {
            if entry.kind == kind::JOURNAL_REPAIRED {
                let kept = entry.body.get("kept").and_then(Value::as_str);
                named.extend(kept.map(str::to_owned));
            }
        })?;
        let mut head = walk.head;
        if walk.lost.is_some() {
            head.n = head.n.max(known);
        }
        let behind = walk.lost.map_or(1, |lost| lost + 1);
        let last = walk.last.filter(|last| last.segment >= behind);
        let (segment, len, torn) = last.map_or((behind, 0, Vec::new()), |last| {
            (last.segment, last.len, last.torn)
        });
        let path = dir.join(file_name(segment));
        let file = disk::open_append(&path)?;
        disk::sync_dir(dir)?;
        let mut journal = Self {
            dir: dir.to_owned(),
            file,
            path,
            segment,
            len,
            head,
            last: None,
            dirty: false,
            repairs: 0,
            broken: walk.broken,
        };
        if !torn.is_empty() {
            journal.set_aside(&torn)?;
        }
        journal.name_torn_ends(&named)?;
        Ok(journal)
    }

    /// The last line.
    pub fn head(&self) -> Head {
        self.head.clone()
    }

    /// Where the line appended last lies; `None` before the first append of this run.
    pub fn place(&self) -> Option<&Place> {
        self.last.as_ref()
    }

    /// Number of the last segment, and how many of its bytes are durable lines. Every segment
    /// before is whole.
    pub fn durable(&self) -> (u32, u64) {
        (self.segment, self.len)
    }

    /// How many torn ends were named when the journal was opened.
    pub fn repairs(&self) -> u64 {
        self.repairs
    }

    /// The first broken place found when the journal was opened.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// Adds a line and makes it durable. After an error the line is taken back, at the latest
    /// by the next call, which may be made as if this one had not been. (Should the disk refuse
    /// that too and the process die, start-up finds the line, or a torn end.)
    pub fn append(&mut self, at: Stamp, kind: &str, body: Value) -> Result<Head, JournalError> {
        let Some((bytes, head)) = line::build(&self.head, at, kind, body) else {
            return Err(JournalError::TooLong {
                kind: kind.to_owned(),
            });
        };
        let len = bytes.len() as u64;
        if self.dirty {
            self.cut()?;
        }
        if self.len > 0 && self.len + len > SEGMENT_MAX {
            self.next_segment()?;
        }
        self.dirty = true;
        let written = disk::write_all(&self.file, &self.path, &bytes)
            .and_then(|()| disk::sync_data(&self.file, &self.path));
        if let Err(error) = written {
            // When this fails as well, the next append does it first.
            let _cut_later: Result<(), DiskError> = self.cut();
            return Err(error.into());
        }
        self.dirty = false;
        self.last = Some(Place {
            segment: self.segment,
            offset: self.len,
            len: len - 1,
        });
        self.len += len;
        self.head = head;
        Ok(self.head.clone())
    }

    /// Shows every line, oldest first.
    pub fn walk(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), JournalError> {
        segment::walk(&self.dir, visit).map(|_| ())
    }

    /// Takes back what a failed append may have left behind the last line, as the next append would:
    /// then [`Journal::walk`] shows what this journal holds and no more.
    pub fn take_back(&mut self) -> Result<(), JournalError> {
        if self.dirty {
            self.cut()?;
        }
        Ok(())
    }

    /// Takes back what a failed append may have written.
    fn cut(&mut self) -> Result<(), DiskError> {
        disk::cut(&self.file, &self.path, self.len)?;
        disk::sync_data(&self.file, &self.path)?;
        self.dirty = false;
        Ok(())
    }

    fn next_segment(&mut self) -> Result<(), JournalError> {
        let segment = self.segment + 1;
        let path = self.dir.join(file_name(segment));
        let file = disk::open_append(&path)?;
        disk::sync_dir(&self.dir)?;
        self.segment = segment;
        self.path = path;
        self.file = file;
        self.len = 0;
        Ok(())
    }

    /// Moves the torn end into a file of its own. The order (copy, then cut) means that a
    /// second power cut finds the end again, and makes the same copy.
    fn set_aside(&mut self, torn: &[u8]) -> Result<(), JournalError> {
        let hash = sha256_hex(torn);
        let (short, _) = hash.split_at(16);
        let copy = self
            .dir
            .join(format!("{TORN}{:08}-{}-{short}", self.segment, self.len));
        disk::remove_file(&copy)?;
        disk::write_new(&copy, torn)?;
        disk::sync_dir(&self.dir)?;
        Ok(self.cut()?)
    }

    /// Adds a line for each torn end that no line names yet.
    fn name_torn_ends(&mut self, named: &HashSet<String>) -> Result<(), JournalError> {
        for kept in disk::list(&self.dir)? {
            if !kept.starts_with(TORN) || named.contains(&kept) {
                continue;
            }
            let torn = disk::read(&self.dir.join(&kept))?;
            let body = json!({
                "kept": kept, "bytes": torn.len(), "sha256": sha256_hex(&torn),
            });
            self.append(clock::now(), kind::JOURNAL_REPAIRED, body)?;
            self.repairs += 1;
        }
        Ok(())
    }
}

/// Name of the checkpoint that signs line `n`.
pub fn checkpoint_name(n: u64) -> String {
    format!("{n:012}.p7m")
}

/// The line a checkpoint's file name says it signs.
pub fn checkpoint_number(name: &str) -> Option<u64> {
    let n = name.strip_suffix(".p7m")?.parse().ok()?;
    (checkpoint_name(n) == name).then_some(n)
}

/// Checks the whole chain in `dir` and returns its head; [`JournalError::Broken`] names the
/// first place that does not hold. A torn end counts as broken: [`Journal::open`] mends it.
pub fn verify(dir: &Path) -> Result<Head, JournalError> {
    let walk = segment::walk(dir, &mut |_| ())?;
    if let Some(broken) = walk.broken {
        return Err(broken.into());
    }
    match walk.last {
        Some(last) if !last.torn.is_empty() => Err(Broken {
            segment: file_name(last.segment),
            line: last.lines + 1,
            n: walk.head.n + 1,
            why: "the last line is torn; the daemon sets it aside when it starts",
        }
        .into()),
        _ => Ok(walk.head),
    }
}

/// Shows every readable line in `dir`, oldest first, with the first place that does not hold.
pub fn walk(dir: &Path, visit: &mut dyn FnMut(Entry)) -> Result<Option<Broken>, JournalError> {
    segment::check_sizes(dir)?;
    Ok(segment::walk(dir, visit)?.broken)
}

/// [`walk`] through a journal of our own: like [`Journal::open`] it goes on over a segment that is
/// longer than ours can be.
pub fn walk_own(dir: &Path, visit: &mut dyn FnMut(Entry)) -> Result<(), JournalError> {
    segment::walk(dir, visit).map(|_| ())
}

/// The bytes of the line at `place` in `dir`, without its newline, as they were hashed.
pub fn read_line(dir: &Path, place: &Place) -> Result<Vec<u8>, JournalError> {
    segment::read_line(dir, place)
}

/// The bytes from the line at the first of `places` to the one at the second in `dir`, newlines and
/// all; `None` when there are more than `most`, or the journal ends before. Whether they are lines
/// that follow one another is for the caller to see.
pub fn read_lines(
    dir: &Path,
    places: (&Place, &Place),
    most: u64,
) -> Result<Option<Vec<u8>>, JournalError> {
    segment::read_lines(dir, places, most)
}

/// Whether any line was ever written in `dir`, which must be there.
pub fn is_begun(dir: &Path) -> Result<bool, JournalError> {
    segment::is_begun(dir)
}

/// The last `n` lines in `dir`, oldest first.
pub fn tail(dir: &Path, n: usize) -> Result<Vec<Entry>, JournalError> {
    let mut lines = std::collections::VecDeque::new();
    segment::walk(dir, &mut |entry| {
        lines.push_back(entry);
        if lines.len() > n {
            lines.pop_front();
        }
    })?;
    Ok(lines.into())
}
