//! The end of a zip, read strictly: there is one directory in it, and no reader finds another.

use super::container::{ContainerError, Limits, too_many_files};

/// Length of the record that ends a zip, and of a directory's entry without its name, extra field
/// and comment (PKWARE APPNOTE 4.3.16 and 4.3.12).
const END_LEN: usize = 22;
const ENTRY_LEN: usize = 46;
/// Number of the extra field with another name of the file, as it is written.
const UNICODE_PATH: [u8; 2] = 0x7075_u16.to_le_bytes();
/// Length of what would say before that record that there is another one, for zip64 (4.3.15).
const LOCATOR_LEN: usize = 20;

/// Where the directory starts, when it is the one that every reader finds: it lies, entry upon entry
/// as many as are told, right before the record that ends it, and that ends the file. Readers look
/// for that record from the end on, some pass over one that does not fit: behind it, or in a
/// directory longer than its entries, could be another package for others to find.
pub(super) fn directory(zip: &[u8], limits: Limits) -> Result<u64, ContainerError> {
    let (before, end) = zip
        .split_last_chunk::<END_LEN>()
        .ok_or_else(another_directory)?;
    let u16_at = |at: usize| u16::from_le_bytes([end[at], end[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([end[at], end[at + 1], end[at + 2], end[at + 3]]);
    // Number of this disk, of the directory's, and length of a comment.
    let plain = [4, 6, 20].iter().all(|at| u16_at(*at) == 0) && u16_at(8) == u16_at(10);
    let locator = before.len().checked_sub(LOCATOR_LEN);
    let zip64 = locator.is_some_and(|at| before[at..].starts_with(b"PK\x06\x07"));
    if !end.starts_with(b"PK\x05\x06") || !plain || zip64 {
        return Err(another_directory());
    }
    let count = usize::from(u16_at(10));
    if count > limits.entries_max {
        return Err(too_many_files(limits));
    }
    let start = u32_at(16);
    let entries = usize::try_from(start).ok().and_then(|at| before.get(at..));
    let size = usize::try_from(u32_at(12)).ok();
    let mut rest = entries.filter(|all| Some(all.len()) == size);
    for _ in 0..count {
        rest = rest.and_then(after_entry);
    }
    match rest {
        Some([]) => Ok(start.into()),
        _ => Err(another_directory()),
    }
}

/// What lies behind the first entry of a directory; `None` when it begins with none, or with one
/// that says more than a file has: a comment, another disk, or a second name (Info-ZIP's Unicode Path,
/// 4.6.9).
fn after_entry(directory: &[u8]) -> Option<&[u8]> {
    let (head, rest) = directory.split_first_chunk::<ENTRY_LEN>()?;
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (name, extra, comment, disk) = (u16_at(28), u16_at(30), u16_at(32), u16_at(34));
    let plain = head.starts_with(b"PK\x01\x02") && comment == 0 && disk == 0;
    let mut fields = rest.get(name..name + extra).filter(|_| plain)?;
    while let Some(([id @ .., len_low, len_high], behind)) = fields.split_first_chunk::<4>() {
        if *id == UNICODE_PATH {
            return None;
        }
        let len = usize::from(u16::from_le_bytes([*len_low, *len_high]));
        fields = behind.get(len..)?;
    }
    rest.get(name + extra..)
}

/// Whether `bytes` begin as a zip does, or have what ends one: a package then, though it may be cut
/// off or have something round it.
pub(super) fn is_like_a_zip(bytes: &[u8]) -> bool {
    // Behind the record may be a comment, as long as its length can say.
    let tail = bytes.len().saturating_sub(END_LEN + usize::from(u16::MAX));
    let mut fours = bytes.get(tail..).unwrap_or_default().windows(4);
    bytes.starts_with(b"PK\x03\x04") || fours.any(|four| four == b"PK\x05\x06")
}

pub(super) fn another_directory() -> ContainerError {
    let why = "its directory is not plain and all that ends the file, so other readers may find another one";
    ContainerError::Form(why.to_owned())
}
