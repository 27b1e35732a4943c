//! What the journal proves about one package: its line, the lines after it, and the checkpoint
//! that signs them.

use std::path::Path;

use serde_json::Value;

use super::audit::{open_checkpoint, read_bounded};
use super::segment::{self, Entry, Place};
use super::{CHECKPOINTS, Head, JournalError, SEGMENTS, checkpoint_name, checkpoint_number, kind};
use crate::disk;
use crate::types::CaseId;
use crate::witness::{Checkpoint, Roots};

/// Lines held for one proof, bytes; between two checkpoints there are some hundreds.
const LINES_MAX: usize = 64 << 20;
/// Largest checkpoint read.
const CHECKPOINT_MAX: u64 = 256 << 10;

/// Why nothing can be proved about a package.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The journal cannot be read, or its chain is broken.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No line says that it was sealed.
    #[error("no line of the journal says that package {0} was sealed")]
    Unknown(CaseId),
    /// Its line names another signature than the package has.
    #[error(
        "line {n} names package {id} with the signature {said}, but the package at hand has {found}"
    )]
    OtherSignature {
        /// The line.
        n: u64,
        /// The package.
        id: CaseId,
        /// SHA-256 in the line.
        said: String,
        /// SHA-256 of the package's signature.
        found: String,
    },
    /// No checkpoint that holds signs its line yet.
    #[error("line {n} is not signed yet{}; the next checkpoint will do it", reason(.unfit))]
    Unsigned {
        /// The line.
        n: u64,
        /// Why checkpoints that might do not count.
        unfit: Vec<String>,
    },
    /// So many lines were never meant to be proved at one time.
    #[error("there are more than 64 MiB of lines before the next checkpoint")]
    TooLong,
}

fn reason(unfit: &[String]) -> String {
    if unfit.is_empty() {
        String::new()
    } else {
        format!(" by a checkpoint that holds ({})", unfit.join("; "))
    }
}

/// The proof.
#[derive(Debug)]
pub struct Proof {
    /// The package's line.
    pub n: u64,
    /// When it was written, RFC 3339.
    pub at: String,
    /// SHA-256 of the package's signature as the line has it.
    pub sig_sha256: String,
    /// Bodies of the lines that correct the package's clock.
    pub corrections: Vec<Value>,
    /// The lines from the package's to the one that is signed, as they stand in the journal.
    pub lines: Vec<u8>,
    /// How many they are.
    pub count: u64,
    /// Bytes of the checkpoint.
    pub p7m: Vec<u8>,
    /// What it says.
    pub signed: Checkpoint,
}

/// The package that something is to be proved of, as far as it is at hand.
#[derive(Clone, Debug)]
pub struct AtHand {
    /// Its id.
    pub id: CaseId,
    /// SHA-256 of its signature.
    pub sig_sha256: Option<String>,
    /// The device that its statement names.
    pub device: Option<String>,
}

/// Proves from the journal in the store at `dir` that package `id` was sealed when its line says:
/// the whole chain holds, and the checkpoint that signs the package's line (and any correction
/// of its clock) leads to `roots` and is by the device that the package, or else the journal's first
/// `boot` line, names.
pub fn prove(dir: &Path, roots: &Roots, package: &AtHand) -> Result<Proof, ProofError> {
    let (journal, id) = (dir.join(SEGMENTS), package.id);
    let mut found = find(&journal, id)?;
    if package.device.is_some() {
        found.device.clone_from(&package.device);
    }
    if let Some(at_hand) = &package.sig_sha256
        && *at_hand != found.sig_sha256
    {
        return Err(ProofError::OtherSignature {
            n: found.n,
            id,
            said: found.sig_sha256,
            found: at_hand.clone(),
        });
    }
    let (head, signed) = next_checkpoint(dir, roots, &found)?;
    let path = dir.join(CHECKPOINTS).join(checkpoint_name(signed.n));
    let p7m = read_bounded(&path, CHECKPOINT_MAX).map_err(JournalError::from)?;
    let lines = copy(&journal, found.n, head.n)?;
    Ok(Proof {
        n: found.n,
        at: found.at,
        sig_sha256: found.sig_sha256,
        corrections: found.corrections,
        count: head.n + 1 - found.n,
        lines,
        p7m: p7m.unwrap_or_default(),
        signed,
    })
}

/// Where the journal speaks of a package.
struct Found {
    n: u64,
    at: String,
    sig_sha256: String,
    corrections: Vec<Value>,
    /// Whose journal it is.
    device: Option<String>,
    /// The last line about it that a checkpoint should sign.
    last: u64,
}

/// Finds what the journal says of the package; its chain must hold.
fn find(journal: &Path, id: CaseId) -> Result<Found, ProofError> {
    verify_whole(journal)?;
    let name = id.to_string();
    let mut found: Option<Found> = None;
    let mut device: Option<String> = None;
    segment::walk(journal, &mut |entry| match entry.kind.as_str() {
        kind::PACKAGE_SEALED | kind::PACKAGE_ADOPTED if entry.body["id"] == name => {
            let sig = entry.body["sig_sha256"].as_str().unwrap_or_default();
            found.get_or_insert_with(|| Found {
                n: entry.head.n,
                sig_sha256: sig.to_owned(),
                corrections: Vec::new(),
                device: None,
                last: entry.head.n,
                at: entry.at,
            });
        }
        kind::BOOT if device.is_none() => {
            device = entry.body["device"].as_str().map(str::to_owned);
        }
        kind::CLOCK_CORRECTED => {
            let named = entry.body["packages"].as_array();
            let named = named.is_some_and(|ids| ids.iter().any(|other| *other == name));
            if let Some(found) = found.as_mut().filter(|_| named) {
                found.last = entry.head.n;
                found.corrections.push(entry.body);
            }
        }
        _ => {}
    })?;
    let found = found.ok_or(ProofError::Unknown(id))?;
    Ok(Found { device, ..found })
}

/// The chain must hold; a line that is only half there may be just being written.
fn verify_whole(journal: &Path) -> Result<(), JournalError> {
    segment::check_sizes(journal)?;
    let walk = segment::walk(journal, &mut |_| ())?;
    walk.broken.map_or(Ok(()), |broken| Err(broken.into()))
}

/// The first checkpoint from the package's last line on that holds, and the line it signs.
fn next_checkpoint(
    dir: &Path,
    roots: &Roots,
    found: &Found,
) -> Result<(Head, Checkpoint), ProofError> {
    let folder = dir.join(CHECKPOINTS);
    let names = if folder.is_dir() {
        disk::list(&folder).map_err(JournalError::from)?
    } else {
        Vec::new()
    };
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| checkpoint_number(name))
        .filter(|n| *n >= found.last)
        .collect();
    numbers.sort_unstable();
    let mut heads: Vec<Head> = Vec::new();
    segment::walk(&dir.join(SEGMENTS), &mut |entry| {
        if numbers.binary_search(&entry.head.n).is_ok() {
            heads.push(entry.head);
        }
    })?;
    let mut unfit = Vec::new();
    for n in numbers {
        let line = heads.iter().find(|head| head.n == n);
        match (open_checkpoint(&folder, n, roots), line) {
            (Ok(signed), Some(line)) if signed.head == line.sha256 => {
                // Any device of the bureau can sign a checkpoint: only this one's counts.
                let device = found.device.as_ref().unwrap_or(&signed.device);
                if signed.device == *device {
                    return Ok((line.clone(), signed));
                }
                let (name, whose) = (checkpoint_name(n), &signed.device);
                unfit.push(format!("{name}: it is of device {whose}, not of {device}"));
            }
            (Ok(_), _) => unfit.push(format!("{}: another line", checkpoint_name(n))),
            (Err(why), _) => unfit.push(format!("{}: {why}", checkpoint_name(n))),
        }
        // One reason shows what is wrong; a thousand do not show more.
        unfit.truncate(3);
    }
    Err(ProofError::Unsigned {
        n: found.last,
        unfit,
    })
}

/// The lines `from` to `to` as they stand in the segments.
fn copy(journal: &Path, from: u64, to: u64) -> Result<Vec<u8>, ProofError> {
    let mut places: Vec<Place> = Vec::new();
    let mut bytes = 0_u64;
    segment::walk(journal, &mut |Entry { head, place, .. }| {
        if (from..=to).contains(&head.n) {
            bytes += place.len + 1;
            if bytes <= LINES_MAX as u64 {
                places.push(place);
            }
        }
    })?;
    if bytes > LINES_MAX as u64 {
        return Err(ProofError::TooLong);
    }
    let mut lines = Vec::new();
    for place in &places {
        lines.extend(segment::read_line(journal, place)?);
        lines.push(b'\n');
    }
    Ok(lines)
}
