//! Holds a journal, its checkpoints and the receipts of the packages beside it together, wherever
//! they lie: in the store of a running daemon, of a stopped one, or in a copy. Only reads.

mod receipts;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::receipts::Receipts;
use super::segment::{self, Chain, Entry};
use super::{CHECKPOINTS, Head, JournalError, SEGMENTS, checkpoint_name, checkpoint_number, kind};
use crate::disk::{self, DiskError};
use crate::witness::{Checkpoint, Roots, read_at_most, sha256_hex};

/// Largest checkpoint read; ours are below 2 kB.
const CHECKPOINT_MAX: u64 = 256 << 10;
/// Faults that are named; the rest is counted.
const FAULTS_MAX: usize = 100;

/// What was found in a journal.
#[derive(Debug)]
pub struct Audit {
    /// How many segments there are.
    pub segments: usize,
    /// How many lines were read.
    pub lines: u64,
    /// The last readable line.
    pub head: Head,
    /// When that was written, RFC 3339.
    pub last_at: Option<String>,
    /// How many checkpoints hold.
    pub checkpoints: usize,
    /// The newest of them.
    pub signed: Option<Checkpoint>,
    /// How many of its lines receivers name as the newest they know, in receipts that hold.
    pub receipts: usize,
    /// Bytes behind the last whole line: one that is being written, or was by a power cut.
    pub torn: u64,
    /// What does not hold, and where.
    pub faults: Vec<String>,
    /// Faults beyond those named.
    pub more_faults: usize,
}

impl Audit {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }
}

/// Follows the chain in the store at `dir` and checks every checkpoint, and what every receipt that
/// holds says of the journal, against it and `roots`.
/// `device`: whose it must be; by default the device that the journal itself names first.
///
/// # Errors
/// Only what keeps it from looking; what does not hold is in the [`Audit`].
pub fn audit(dir: &Path, roots: &Roots, device: Option<&str>) -> Result<Audit, JournalError> {
    let journal = dir.join(SEGMENTS);
    // Before the lines: a running daemon adds to all, and checkpoints and receipts are the later.
    let mut stamps = Checkpoints::list(dir, roots, device)?;
    let mut receipts = Receipts::list(dir, roots)?;
    let mut chain = Chain::new();
    let mut audit = Audit {
        segments: 0,
        lines: 0,
        head: Head::none(),
        last_at: None,
        checkpoints: 0,
        signed: None,
        receipts: 0,
        torn: 0,
        faults: std::mem::take(&mut stamps.strange),
        more_faults: 0,
    };
    let numbers = segment::segments(&journal)?;
    for (expected, &number) in (1..).zip(&numbers) {
        if number != expected {
            chain.report(number, 1, "the segment before is missing");
        }
        let path = journal.join(segment::file_name(number));
        let bytes = match read_bounded(&path, segment::READ_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                chain.report(number, 1, segment::OVERSIZED);
                continue;
            }
            Err(error) if segment::is_lost(&error, Some(&number) == numbers.last()) => {
                chain.report(number, 1, segment::UNREADABLE);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let (len, lines) = chain.segment(number, &bytes, &mut |entry| {
            audit.lines += 1;
            stamps.line(&entry, &mut audit);
            receipts.line(&entry.head, stamps.device.as_deref(), &mut audit);
            audit.last_at = Some(entry.at);
        });
        audit.segments += 1;
        audit.torn = bytes.len().saturating_sub(len) as u64;
        if Some(&number) != numbers.last() && audit.torn > 0 {
            chain.report(number, lines + 1, "not a journal line");
            audit.torn = 0;
        }
    }
    audit.head = chain.head().clone();
    stamps.rest(&mut audit);
    receipts.rest(stamps.device.as_deref(), &mut audit);
    let mut faults: Vec<String> = chain.broken().iter().map(ToString::to_string).collect();
    faults.append(&mut audit.faults);
    audit.faults = faults;
    Ok(audit)
}

/// The checkpoints still to be met on the way along the chain.
struct Checkpoints<'a> {
    dir: PathBuf,
    roots: &'a Roots,
    device: Option<String>,
    ahead: VecDeque<u64>,
    strange: Vec<String>,
}

impl<'a> Checkpoints<'a> {
    fn list(dir: &Path, roots: &'a Roots, device: Option<&str>) -> Result<Self, DiskError> {
        let dir = dir.join(CHECKPOINTS);
        let names = if dir.is_dir() {
            disk::list(&dir)?
        } else {
            Vec::new()
        };
        let mut ahead: Vec<u64> = Vec::new();
        let mut strange = Vec::new();
        for name in names {
            match checkpoint_number(&name) {
                Some(n) => ahead.push(n),
                None => strange.push(format!("{CHECKPOINTS}/{name} is no checkpoint's name")),
            }
        }
        ahead.sort_unstable();
        strange.truncate(FAULTS_MAX);
        Ok(Self {
            dir,
            roots,
            device: device.map(ToOwned::to_owned),
            ahead: ahead.into(),
            strange,
        })
    }

    /// Takes in a line of the chain.
    fn line(&mut self, entry: &Entry, audit: &mut Audit) {
        if entry.kind == kind::BOOT && self.device.is_none() {
            let named = entry.body.get("device").and_then(Value::as_str);
            self.device = named.map(ToOwned::to_owned);
        }
        if entry.kind == kind::CHECKPOINT {
            self.named(entry, audit);
        }
        while let Some(n) = self.ahead.front().copied().filter(|n| *n <= entry.head.n) {
            self.ahead.pop_front();
            let holds = self.open(n).and_then(|signed| {
                if n < entry.head.n {
                    Err(format!(
                        "it signs line {n}, which the journal does not have"
                    ))
                } else if signed.head == entry.head.sha256 {
                    Ok(signed)
                } else {
                    let why = "than the journal has: the journal was rewritten";
                    Err(format!("it signs another line {n} {why}"))
                }
            });
            match holds {
                Ok(signed) => {
                    audit.checkpoints += 1;
                    audit.signed = Some(signed);
                }
                Err(why) => audit.fault(fault(n, &why)),
            }
        }
    }

    /// A line says that a checkpoint was made: the file must be that very one.
    fn named(&self, entry: &Entry, audit: &mut Audit) {
        let n = entry.body.get("n").and_then(Value::as_u64).unwrap_or(0);
        let name = checkpoint_name(n);
        let there = read_bounded(&self.dir.join(&name), CHECKPOINT_MAX);
        let at = entry.head.n;
        match there {
            Ok(Some(bytes)) if entry.body["sha256"] == sha256_hex(&bytes) => {}
            Ok(_) => audit.fault(format!(
                "{CHECKPOINTS}/{name} is another one than line {at} names"
            )),
            Err(error) => audit.fault(format!("line {at} names a checkpoint, but {error}")),
        }
    }

    /// Opens the checkpoint of line `n`, which must be this device's.
    fn open(&mut self, n: u64) -> Result<Checkpoint, String> {
        let signed = open_checkpoint(&self.dir, n, self.roots)?;
        let device = self.device.get_or_insert_with(|| signed.device.clone());
        if signed.device == *device {
            return Ok(signed);
        }
        let whose = &signed.device;
        Err(format!("it is of device {whose}, the journal of {device}"))
    }

    /// The chain has ended; what is still ahead signs lines that are not there.
    fn rest(&mut self, audit: &mut Audit) {
        let head = audit.head.n;
        while let Some(n) = self.ahead.pop_front() {
            let why = self.open(n).err().unwrap_or_else(|| {
                format!(
                    "it signs line {n}, but the journal ends with line {head}: its last lines \
                     were cut off"
                )
            });
            audit.fault(fault(n, &why));
        }
    }
}

fn fault(n: u64, why: &str) -> String {
    format!("{CHECKPOINTS}/{}: {why}", checkpoint_name(n))
}

/// Reads and verifies the checkpoint of line `n` in the folder `dir`.
pub(super) fn open_checkpoint(dir: &Path, n: u64, roots: &Roots) -> Result<Checkpoint, String> {
    let path = dir.join(checkpoint_name(n));
    let bytes = read_bounded(&path, CHECKPOINT_MAX).map_err(|e| e.to_string())?;
    let bytes = bytes.ok_or("too large for a checkpoint")?;
    let (checkpoint, _) = Checkpoint::open(&bytes, roots).map_err(|e| e.to_string())?;
    if checkpoint.n != n {
        return Err(format!("it is the checkpoint of line {}", checkpoint.n));
    }
    Ok(checkpoint)
}

/// Reads a file of at most `max` bytes; `None` when it is longer.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<Option<Vec<u8>>, DiskError> {
    read_at_most(path, max).map_err(|error| DiskError::reading(path, error))
}

#[cfg(test)]
mod tests;
