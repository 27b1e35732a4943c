//! The log of a disk's writes and flushes, as QEMU's `blklogwrites` makes it.
//!
//! Format: `Documentation/admin-guide/device-mapper/log-writes.rst` of Linux and
//! `drivers/md/dm-log-writes.c`; all numbers little-endian. QEMU writes an entry when the write has
//! been done, so the order of entries is the order in which the disk's cache got them; and as
//! flushes of the file below are switched off, a flush is an entry at the moment it was asked for.
//! A flush therefore covers exactly what stands before it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Bytes of a sector.
pub(crate) const SECTOR: u64 = 512;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
/// Every flag there is.
const FLAGS: u64 = 0b1111;
/// More sectors than any one write has; beyond it is no entry.
const SECTORS_MAX: u64 = 1 << 20;

/// One write or flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// First sector written.
    pub(crate) sector: u64,
    /// How many.
    pub(crate) sectors: u64,
    /// Where their bytes are in the log; `None` for a discard.
    data: Option<u64>,
    /// Everything before it is durable.
    pub(crate) flush: bool,
}

/// The log of a whole run.
pub(crate) struct Log {
    file: File,
    pub(crate) entries: Vec<Entry>,
}

impl Log {
    /// Reads the entries, to the end of the file: its head counts only those up to the last
    /// flush.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let end = file.metadata()?.len();
        let head = numbers(&file, 0)?;
        if head[0] != MAGIC || head[1] != 1 || head[3] & 0xffff_ffff != SECTOR {
            let what = format!("{} is no log of writes: {head:x?}", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut entries = Vec::new();
        let mut at = SECTOR;
        while at + SECTOR <= end {
            let [sector, sectors, flags, _] = numbers(&file, at)?;
            if flags & !FLAGS != 0 || sectors > SECTORS_MAX {
                break;
            }
            at += SECTOR;
            let discard = flags & DISCARD != 0;
            let bytes = if discard { 0 } else { sectors * SECTOR };
            if at + bytes > end {
                break;
            }
            entries.push(Entry {
                sector,
                sectors,
                data: (!discard).then_some(at),
                flush: flags & FLUSH != 0,
            });
            at += bytes;
        }
        let counted = usize::try_from(head[2]).unwrap_or(usize::MAX);
        if entries.len() < counted {
            let what = format!("{} of {counted} entries can be read", entries.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Self { file, entries })
    }

    /// The bytes an entry wrote; zeros for a discard.
    pub(crate) fn bytes(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let len = usize::try_from(entry.sectors * SECTOR).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        if let Some(at) = entry.data {
            self.file.read_exact_at(&mut bytes, at)?;
        }
        Ok(bytes)
    }

    /// How often the disk was told to flush.
    pub(crate) fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| entry.flush).count()
    }

    /// Bytes written in all.
    pub(crate) fn written(&self) -> u64 {
        self.entries.iter().map(|e| e.sectors * SECTOR).sum()
    }
}

/// Four numbers at a place of the file.
fn numbers(file: &File, at: u64) -> io::Result<[u64; 4]> {
    let mut bytes = [0; 32];
    file.read_exact_at(&mut bytes, at)?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok(std::array::from_fn(|n| u64::from_le_bytes(words[n])))
}
