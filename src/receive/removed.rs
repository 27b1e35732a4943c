//! What somebody removed on purpose, and said so: of it nothing is missing.
//!
//! ```text
//! a line in removed/DEVICE.jsonl ─▶ the package's folder, what else lies of it here ─▶ its second copy
//! ```
//! The line says what it was and why it went, and is all that stays: number, id, and the hash of its
//! signature, by which a receipt, or a copy somewhere else, names the same package. Killed on the way, the same
//! question does the rest. No receiver removes anything.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::archive::Archive;
use super::medium::recognise;
use super::{ReceiveError, layout};
use crate::clock;
use crate::disk;
use crate::link::message::is_name;
use crate::types::{CaseId, Stamp};

/// Value of `type`.
const KIND: &str = "lingmou.removed";
/// Value of `v`.
const VERSION: u32 = 1;

/// A package that was removed on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Format version, 1.
    v: u32,
    /// `lingmou.removed`.
    #[serde(rename = "type")]
    kind: String,
    /// The device.
    pub device: String,
    /// The package.
    pub id: CaseId,
    /// Its number on the device.
    pub seq: u64,
    /// SHA-256 of its signature, lower-case hex.
    pub sig_sha256: String,
    /// When it was removed, RFC 3339 UTC.
    pub at: String,
    /// Why, in the words of whoever removed it.
    pub why: String,
}

/// Removes packages, each named `DEVICE/ID`, from the receivers' folder `dir` and from the medium for second
/// copies at `copies`. One that is gone already is said to have been removed.
///
/// # Errors
/// A package that nobody knows, a medium that is not there or was not named: nothing is removed then. A disk
/// that fails: the same question does the rest.
pub fn remove(
    dir: &Path,
    copies: Option<&Path>,
    names: &[String],
    (why, at): (&str, Stamp),
) -> Result<Vec<Removed>, ReceiveError> {
    if let Some(copies) = copies {
        recognise(copies).map_err(ReceiveError::Disk)?;
    }
    let removed = told(dir, copies, names, (why, at))?;
    for (device, lines) in &removed {
        tell(dir, device, lines)?;
        for line in lines {
            for place in [Some(dir), copies].into_iter().flatten() {
                clear(place, device, line.id)?;
            }
        }
    }
    // So that the index knows it before the next question.
    Archive::open(&[dir.to_owned()], at)?;
    Ok(removed.into_values().flatten().collect())
}

/// What is to be said of each package.
fn told(
    dir: &Path,
    copies: Option<&Path>,
    names: &[String],
    (why, at): (&str, Stamp),
) -> Result<BTreeMap<String, Vec<Removed>>, ReceiveError> {
    let archive = Archive::open(&[dir.to_owned()], at)?;
    let mut asked: BTreeMap<&str, Vec<CaseId>> = BTreeMap::new();
    for name in names {
        let (device, id) = name.split_once('/').unwrap_or_default();
        let id = layout::id(id).filter(|_| is_name(device));
        let id = id.ok_or_else(|| ReceiveError::NoPackage(name.clone()))?;
        asked.entry(device).or_default().push(id);
    }
    let mut removed = BTreeMap::new();
    for (device, ids) in asked {
        let known = archive.packages(device)?;
        let mut lines = Vec::new();
        for id in ids {
            let kept = known.iter().find(|kept| kept.id == id);
            let kept = kept.ok_or_else(|| ReceiveError::NoPackage(format!("{device}/{id}")))?;
            if kept.copies > 1 && copies.is_none() {
                return Err(ReceiveError::SecondCopy(format!("{device}/{id}")));
            }
            lines.push(Removed {
                v: VERSION,
                kind: KIND.to_owned(),
                device: device.to_owned(),
                id,
                seq: kept.seq,
                sig_sha256: kept.sig_sha256.clone(),
                at: clock::rfc3339_ms(at.utc_ns),
                why: why.to_owned(),
            });
        }
        removed.insert(device.to_owned(), lines);
    }
    Ok(removed)
}

/// Adds lines to the file of a device.
fn tell(dir: &Path, device: &str, lines: &[Removed]) -> Result<(), ReceiveError> {
    let path = layout::removed(dir, device);
    let folder = layout::all_removed(dir);
    disk::create_dir(&folder)?;
    // Whatever a kill left of the line before ends here.
    let mut text = String::from("\n");
    for line in lines {
        let line = serde_json::to_string(line).expect("invariant: strings and a number serialise");
        text.push_str(&line);
        text.push('\n');
    }
    let file = disk::open_append(&path)?;
    disk::write_all(&file, &path, text.as_bytes())?;
    disk::sync_all(&file, &path)?;
    Ok(disk::sync_dir(&folder)?)
}

/// What was removed of a device.
pub(super) fn removed(dir: &Path, device: &str) -> Result<Vec<Removed>, ReceiveError> {
    let path = layout::removed(dir, device);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = disk::read(&path)?;
    let lines = text.split(|byte| *byte == b'\n');
    let read = |line: &[u8]| {
        let line: Removed = serde_json::from_slice(line).ok()?;
        let ours = (line.v, line.kind.as_str()) == (VERSION, KIND) && line.device == device;
        ours.then_some(line)
    };
    Ok(lines.filter_map(read).collect())
}

/// Takes a package away in one step, so that nobody finds half of one, and then removes it, what was set
/// aside of it and what was being brought back: those have the same pictures.
fn clear(dir: &Path, device: &str, id: CaseId) -> Result<(), ReceiveError> {
    let incoming = layout::incoming(dir);
    let aside = incoming.join(format!("{device}-{id}.removed"));
    disk::remove_dir_all(&aside)?;
    let place = layout::place(dir, device, id);
    if place.exists() {
        disk::create_dir(&incoming)?;
        disk::rename(&place, &aside)?;
        place.parent().map_or(Ok(()), disk::sync_dir)?;
        disk::remove_dir_all(&aside)?;
    }
    let broken = layout::set_aside(dir, device, id)?;
    for left in layout::half_mended(dir, device, id)?.iter().chain(&broken) {
        disk::remove_dir_all(left)?;
    }
    Ok(())
}
