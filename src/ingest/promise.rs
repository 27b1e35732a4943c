//! Whether all of a recording is there: containers say how many bytes they hold.
//!
//! GStreamer's demuxers take a file that breaks off for one that ends. MP4 (ISO/IEC 14496-12, 4.2), AVI
//! (RIFF) and Matroska (RFC 8794, 6) tell the size of what is in them before it comes. MPEG-TS does not, and a
//! Matroska file that was never finished does not either.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A file of more boxes than this is no recording of days.
const BOXES_MAX: u32 = 1 << 20;
/// Identifiers of Matroska.
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];
const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];

/// Whether the container at `path` promises more bytes than the file has. A file that cannot be read,
/// or makes no promise, does not.
pub(super) fn is_cut_off(path: &Path) -> bool {
    let look = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok::<_, io::Error>(promised(&mut file, length)?.is_some_and(|end| end > length))
    };
    look().unwrap_or_else(|error| {
        tracing::debug!(%error, "whether all of the recording is there is not known");
        false
    })
}

/// Where the file ends by its container's word.
fn promised(file: &mut (impl Read + Seek), length: u64) -> io::Result<Option<u64>> {
    let (mut mark, mut next) = ([0; 4], [0; 4]);
    file.read_exact(&mut mark)?;
    file.read_exact(&mut next)?;
    match (&mark, &next) {
        (&EBML, _) => matroska(file),
        (b"RIFF", size) => Ok(Some(8 + u64::from(u32::from_le_bytes(*size)))),
        (_, b"ftyp") => boxes(file, length),
        _ => Ok(None),
    }
}

/// The end of the last box of an MP4 file.
fn boxes(file: &mut (impl Read + Seek), length: u64) -> io::Result<Option<u64>> {
    let mut at = 0_u64;
    for _ in 0..BOXES_MAX {
        if at >= length {
            return Ok(Some(at));
        }
        file.seek(SeekFrom::Start(at))?;
        let (mut size, mut kind) = ([0; 4], [0; 4]);
        if length - at < 8 {
            return Ok(Some(at + 8));
        }
        file.read_exact(&mut size)?;
        file.read_exact(&mut kind)?;
        let size = match u32::from_be_bytes(size) {
            // To the end of the file.
            0 => return Ok(None),
            1 => {
                let mut large = [0; 8];
                file.read_exact(&mut large)?;
                u64::from_be_bytes(large)
            }
            size => u64::from(size),
        };
        if size < 8 {
            return Ok(None);
        }
        at = at.saturating_add(size);
    }
    Ok(None)
}

/// The end of the segment, which is the rest of a Matroska file.
fn matroska(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(4))?;
    let Some(header) = size(file)? else {
        return Ok(None);
    };
    let at = file.stream_position()?.saturating_add(header);
    file.seek(SeekFrom::Start(at))?;
    let mut id = [0; 4];
    file.read_exact(&mut id)?;
    if id != SEGMENT {
        return Ok(None);
    }
    let Some(segment) = size(file)? else {
        return Ok(None);
    };
    Ok(Some(file.stream_position()?.saturating_add(segment)))
}

/// The size of an element, one to eight bytes long; `None`: not known.
fn size(file: &mut impl Read) -> io::Result<Option<u64>> {
    let mut first = [0];
    file.read_exact(&mut first)?;
    let [first] = first;
    let more = first.leading_zeros();
    if more > 7 {
        return Ok(None);
    }
    let mut value = u64::from(first) & (0x7f >> more);
    for _ in 0..more {
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        value = (value << 8) | u64::from(byte[0]);
    }
    let unknown = (1 << (7 * (more + 1))) - 1;
    Ok((value != unknown).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(bytes: &[u8]) -> Option<u64> {
        let length = u64::try_from(bytes.len()).unwrap();
        promised(&mut io::Cursor::new(bytes), length).unwrap_or_default()
    }

    #[test]
    fn a_container_says_where_it_ends() {
        let ftyp = b"\0\0\0\x0cftypisom";
        let matroska = |segment: &[u8]| [&EBML[..], &[0x82, 7, 7], &SEGMENT[..], segment].concat();
        for (bytes, wanted) in [
            ([&ftyp[..], b"\0\0\0\x10mdat12345678"].concat(), Some(28)),
            ([&ftyp[..], b"\0\0\0\x10mdat123"].concat(), Some(28)),
            ([&ftyp[..], b"\0\0\0"].concat(), Some(20)),
            (
                [&ftyp[..], b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0"].concat(),
                Some(12 + (1 << 32)),
            ),
            (
                [&ftyp[..], b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff"].concat(),
                Some(u64::MAX),
            ),
            ([&ftyp[..], b"\0\0\0\0mdat123"].concat(), None),
            ([&ftyp[..], b"\0\0\0\x07mdat123"].concat(), None),
            (b"RIFF\x64\0\0\0AVI LIST".to_vec(), Some(108)),
            (matroska(&[0x84, 1, 2, 3]), Some(16)),
            (matroska(&[0x40, 0x02, 1, 2]), Some(15)),
            // Never finished.
            (matroska(&[0xff, 1, 2]), None),
            (
                matroska(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
                None,
            ),
            (matroska(&[0, 1, 2]), None),
            (b"G\x40\0\x10 a transport stream".to_vec(), None),
            (b"short".to_vec(), None),
        ] {
            assert_eq!(end(&bytes), wanted, "{bytes:?}");
        }
    }
}
