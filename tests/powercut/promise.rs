//! What the store has promised: told on the same disk, so that the log has it in its place.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use lingmou::types::CaseId;
use rustix::fs::OFlags;
use uuid::Uuid;

use crate::log::{Log, SECTOR};
use crate::machine;

const MAGIC: [u8; 8] = *b"LMPROMIS";

/// What a call that returned stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The files of a case are kept.
    Kept = 1,
    /// The case is about to be discarded: it may be there or not.
    Leaving = 2,
    /// The package is sealed.
    Sealed = 3,
    /// Its receipt is kept.
    Receipted = 4,
}

/// One promise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    word: Word,
    id: CaseId,
    /// The last journal line that was durable then.
    line: u64,
}

/// A sector that the page cache need not touch.
#[repr(align(4096))]
struct Sector([u8; 512]);

/// Where promises are written: a part of the disk without a file system.
pub(crate) struct Book {
    file: File,
    next: u64,
}

impl Book {
    pub(crate) fn open(path: &Path) -> Self {
        // Past the page cache, and without a flush of its own: that would make durable what the
        // store had not.
        let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap();
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(path)
            .unwrap();
        Self { file, next: 0 }
    }

    /// Writes one down.
    pub(crate) fn promise(&mut self, word: Word, id: CaseId, line: u64) {
        let mut sector = Sector([0; 512]);
        let parts: [&[u8]; 4] = [&MAGIC, &[word as u8], id.0.as_bytes(), &line.to_le_bytes()];
        let bytes = parts.concat();
        sector.0[..bytes.len()].copy_from_slice(&bytes);
        let at = self.next * SECTOR;
        self.file.write_all_at(&sector.0, at).unwrap();
        self.next += 1;
    }
}

fn read(bytes: &[u8]) -> Option<Promise> {
    let bytes = bytes.strip_prefix(&MAGIC)?;
    let (word, bytes) = bytes.split_first()?;
    let (id, bytes) = bytes.split_first_chunk::<16>()?;
    let (line, _) = bytes.split_first_chunk::<8>()?;
    let words = [Word::Kept, Word::Leaving, Word::Sealed, Word::Receipted];
    Some(Promise {
        word: words.into_iter().find(|w| *w as u8 == *word)?,
        id: CaseId(Uuid::from_bytes(*id)),
        line: u64::from_le_bytes(*line),
    })
}

/// Every promise with the entry of the log that has it.
pub(crate) fn in_log(log: &Log) -> Vec<(usize, Promise)> {
    let entries = log.entries.iter().enumerate();
    entries
        .filter(|(_, entry)| entry.sectors > 0 && entry.sector >= machine::PROMISES)
        .map(|(at, entry)| {
            let promise = read(&log.bytes(entry).unwrap());
            (at, promise.expect("nobody else writes there"))
        })
        .collect()
}

/// What stands promised at a moment.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Packages; `true` when receipted.
    pub(crate) sealed: BTreeMap<CaseId, bool>,
    /// The case that is open, with all its files.
    pub(crate) open: Option<CaseId>,
    /// The journal reaches at least to this line.
    pub(crate) line: u64,
}

/// What the entries up to and including `cut` have promised.
pub(crate) fn before(promises: &[(usize, Promise)], cut: usize) -> Made {
    let mut made = Made::default();
    for (_, promise) in promises.iter().take_while(|(at, _)| *at <= cut) {
        made.line = made.line.max(promise.line);
        match promise.word {
            Word::Kept => made.open = Some(promise.id),
            Word::Leaving => made.open = None,
            Word::Sealed => {
                made.open = None;
                made.sealed.entry(promise.id).or_insert(false);
            }
            Word::Receipted => {
                made.sealed.insert(promise.id, true);
            }
        }
    }
    made
}
