//! Reading the segments of the journal in order, checking the chain on the way.

use std::path::Path;

use serde_json::Value;

use super::JournalError;
use super::line::{self, Head};
use crate::disk;
use crate::witness::sha256_hex;

/// Where a line lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the segment; its file is [`file_name`].
    pub segment: u32,
    /// First byte of the line in it.
    pub offset: u64,
    /// Bytes without the newline.
    pub len: u64,
}

/// One line as read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Number and hash.
    pub head: Head,
    /// UTC as written, RFC 3339.
    pub at: String,
    /// What happened.
    pub kind: String,
    /// The particulars.
    pub body: Value,
    /// Where it lies.
    pub place: Place,
}

/// The first place at which the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal is broken at {segment} line {line} (n = {n}): {why}")]
pub struct Broken {
    /// Name of the segment's file.
    pub segment: String,
    /// Line in that file, from 1.
    pub line: usize,
    /// The number that belongs there.
    pub n: u64,
    /// What is wrong.
    pub why: &'static str,
}

/// What a walk over all segments found.
#[derive(Debug)]
pub(super) struct Walk {
    /// The last readable line.
    pub(super) head: Head,
    /// The first broken place, the torn end excepted.
    pub(super) broken: Option<Broken>,
    /// The last segment, if there is any that can be read.
    pub(super) last: Option<Last>,
    /// Number of a segment that the disk does not give any more, when no line is behind it: those of it,
    /// which nobody can count, come after [`Walk::head`].
    pub(super) lost: Option<u32>,
}

/// The end of the last segment.
#[derive(Debug)]
pub(super) struct Last {
    /// Its number.
    pub(super) segment: u32,
    /// Bytes up to and with the newline of the last readable line.
    pub(super) len: u64,
    /// Lines in those bytes.
    pub(super) lines: usize,
    /// What lies behind: the part of a line that a power cut left.
    pub(super) torn: Vec<u8>,
}

/// Segments of ours end before 4 MiB; a longer file than this is not one.
pub(super) const READ_MAX: u64 = 8 << 20;
/// What is said of it.
pub(super) const OVERSIZED: &str = "longer than a segment may be; it was not read";
/// What is said of one that the disk does not give any more.
pub(super) const UNREADABLE: &str = "it cannot be read";

/// What a chain broken in many places says at most.
const BROKEN_MAX: usize = 16;

/// Name of the file of a segment.
pub fn file_name(segment: u32) -> String {
    format!("{segment:08}.jsonl")
}

/// Numbers of the segments in `dir`, ascending.
pub(super) fn segments(dir: &Path) -> Result<Vec<u32>, JournalError> {
    let names = disk::list(dir)?;
    let number = |name: &String| {
        let digits = name.strip_suffix(".jsonl")?;
        let n: u32 = digits.parse().ok()?;
        (file_name(n) == *name).then_some(n)
    };
    Ok(names.iter().filter_map(number).collect())
}

/// Bytes of a segment.
fn size(dir: &Path, segment: u32) -> Result<u64, JournalError> {
    let path = dir.join(file_name(segment));
    let meta = std::fs::metadata(&path).map_err(|e| disk::DiskError::reading(&path, e))?;
    Ok(meta.len())
}

/// Whether there is more than the empty file that opening makes.
pub(super) fn is_begun(dir: &Path) -> Result<bool, JournalError> {
    match segments(dir)?.as_slice() {
        [] => Ok(false),
        [only] => Ok(size(dir, *only)? > 0),
        _ => Ok(true),
    }
}

/// Refuses a journal with a segment that ours cannot be; the others are read as a whole.
pub(super) fn check_sizes(dir: &Path) -> Result<(), JournalError> {
    for segment in segments(dir)? {
        if size(dir, segment)? > READ_MAX {
            return Err(Broken {
                segment: file_name(segment),
                line: 1,
                n: 1,
                why: OVERSIZED,
            }
            .into());
        }
    }
    Ok(())
}

/// The bytes of one line, without its newline.
pub(super) fn read_line(dir: &Path, place: &Place) -> Result<Vec<u8>, JournalError> {
    use std::io::{Read as _, Seek as _, SeekFrom};

    let path = dir.join(file_name(place.segment));
    let fail = |e| disk::DiskError::reading(&path, e);
    let mut file = std::fs::File::open(&path).map_err(fail)?;
    file.seek(SeekFrom::Start(place.offset)).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(place.len).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// The bytes from the line at `from` to the line at `to`, newlines and all, as they stand in the
/// segments; `None` when there are more than `most`, or the segments end before. Whether they are
/// lines that follow one another is for the caller to see.
pub(super) fn read_lines(
    dir: &Path,
    (from, to): (&Place, &Place),
    most: u64,
) -> Result<Option<Vec<u8>>, JournalError> {
    use std::io::{Read as _, Seek as _, SeekFrom};

    let mut bytes = Vec::new();
    for segment in from.segment..=to.segment {
        let path = dir.join(file_name(segment));
        let fail = |e| disk::DiskError::reading(&path, e);
        let mut file = std::fs::File::open(&path).map_err(fail)?;
        let start = if segment == from.segment {
            from.offset
        } else {
            0
        };
        let end = if segment == to.segment {
            to.offset.saturating_add(to.len).saturating_add(1)
        } else {
            file.metadata().map_err(fail)?.len()
        };
        let part = end.saturating_sub(start);
        let sum = part.saturating_add(bytes.len() as u64);
        if part == 0 || sum > most {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(start)).map_err(fail)?;
        file.take(part).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() as u64 != sum {
            return Ok(None);
        }
    }
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// Reads every line of every segment in order, checks numbers and chain, and shows each
/// readable line to `visit`. Nothing is changed. At most one segment is in memory. A segment that the
/// disk does not give any more is a broken place like any other.
pub(super) fn walk(dir: &Path, visit: &mut dyn FnMut(Entry)) -> Result<Walk, JournalError> {
    let mut chain = Chain::new();
    let (mut last, mut lost) = (None, None);
    let numbers = segments(dir)?;
    for (expected, &segment) in (1..).zip(&numbers) {
        if segment != expected {
            chain.report(segment, 1, "the segment before is missing");
        }
        let bytes = match disk::read(&dir.join(file_name(segment))) {
            Err(error) if is_lost(&error, Some(&segment) == numbers.last()) => {
                tracing::error!(%error, "a part of the journal cannot be read");
                chain.report(segment, 1, UNREADABLE);
                lost = Some(segment);
                continue;
            }
            read => read?,
        };
        let (len, lines) = chain.segment(segment, &bytes, visit);
        if lines > 0 {
            lost = None;
        }
        let torn = bytes.get(len..).unwrap_or_default().to_vec();
        if Some(&segment) != numbers.last() && !torn.is_empty() {
            chain.report(segment, lines + 1, "not a journal line");
        }
        last = Some(Last {
            segment,
            len: len as u64,
            lines,
            torn,
        });
    }
    Ok(Walk {
        head: chain.head,
        broken: chain.broken.into_iter().next(),
        last,
        lost,
    })
}

/// Whether a segment is given up that gave this error. The one that is being written only when the
/// medium has lost it: rights on it can be put right, and then the chain holds.
pub(super) fn is_lost(error: &disk::DiskError, last: bool) -> bool {
    let barred = error.source.kind() == std::io::ErrorKind::PermissionDenied;
    !(disk::is_passing(&error.source) || last && barred)
}

/// The chain as far as it has been followed.
#[derive(Debug)]
pub struct Chain {
    head: Head,
    /// The first broken places.
    broken: Vec<Broken>,
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// Before the first line.
    pub fn new() -> Self {
        Self {
            head: Head::none(),
            broken: Vec::new(),
        }
    }

    /// The last readable line.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The first places that do not hold, at most 16.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// Follows the chain through one segment; returns how many bytes and lines there are up to
    /// the end of its last readable line. Unreadable lines before that are reported and passed
    /// over.
    pub fn segment(
        &mut self,
        segment: u32,
        bytes: &[u8],
        visit: &mut dyn FnMut(Entry),
    ) -> (usize, usize) {
        let mut offset = 0;
        let mut good = (0, 0);
        let mut skipped = None;
        for (index, whole) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
            let start = offset;
            offset += whole.len();
            let parsed = whole
                .strip_suffix(b"\n")
                .and_then(|text| Some((text, line::parse(text)?)));
            let Some((text, parsed)) = parsed else {
                skipped.get_or_insert(index + 1);
                continue;
            };
            if let Some(line) = skipped.take() {
                self.report(segment, line, "not a journal line");
            }
            self.follow(segment, index + 1, &parsed);
            self.head = Head {
                n: parsed.n,
                sha256: sha256_hex(text),
            };
            good = (offset, index + 1);
            visit(Entry {
                head: self.head.clone(),
                at: parsed.at,
                kind: parsed.kind,
                body: parsed.body,
                place: Place {
                    segment,
                    offset: start as u64,
                    len: text.len() as u64,
                },
            });
        }
        good
    }

    /// Compares a line with what the line before demands.
    fn follow(&mut self, segment: u32, line: usize, parsed: &line::Line) {
        if parsed.n != self.head.n + 1 {
            self.report(segment, line, "the number does not follow the line before");
        } else if parsed.prev != self.head.sha256 {
            self.report(segment, line, "`prev` is not the hash of the line before");
        }
    }

    pub(super) fn report(&mut self, segment: u32, line: usize, why: &'static str) {
        if self.broken.len() < BROKEN_MAX {
            self.broken.push(Broken {
                segment: file_name(segment),
                line,
                n: self.head.n + 1,
                why,
            });
        }
    }
}
