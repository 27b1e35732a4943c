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
use super::unread::{has_copy, number, signature};
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
    /// Its number on the device; 0 when that could not be read any more.
    pub seq: u64,
    /// SHA-256 of its signature, lower-case hex; empty when that could not be read any more.
    pub sig_sha256: String,
    /// Whether a second copy was to go with it.
    #[serde(default)]
    pub second_copy: bool,
    /// When it was removed, RFC 3339 UTC.
    pub at: String,
    /// Why, in the words of whoever removed it.
    pub why: String,
}

/// Removes packages, each named `DEVICE/ID`, from the receivers' folder `dir` and from the medium for second
/// copies at `copies`. One that is gone already is said to have been removed.
///
/// # Errors
/// A package that nobody knows, a medium that is not there, or was not named though index, receipts or an earlier
/// line tell of a second copy: nothing is removed then. A disk that fails: the same question does the rest.
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
    let mut told = BTreeMap::new();
    for (device, ids) in asked {
        let known = archive.packages(device)?;
        let before = removed(dir, device)?;
        let mut lines = Vec::new();
        for id in ids {
            let name = || format!("{device}/{id}");
            let row = known.iter().find(|kept| kept.id == id);
            // Of a question before, which was killed after it had said so.
            let line = before.iter().rfind(|line| line.id == id);
            let (seq, sig_sha256) = match (row, line) {
                (Some(kept), _) => (kept.seq, kept.sig_sha256.clone()),
                (None, Some(line)) => (line.seq, line.sig_sha256.clone()),
                (None, None) => without_row((dir, copies), (device, id))
                    .ok_or_else(|| ReceiveError::NoPackage(name()))?,
            };
            let told_of = row.is_some_and(|kept| kept.copies > 1)
                || line.is_some_and(|line| line.second_copy)
                || has_copy(&layout::place(dir, device, id));
            if told_of && copies.is_none() {
                return Err(ReceiveError::SecondCopy(name()));
            }
            let lies = |copies| layout::place(copies, device, id).exists();
            lines.push(Removed {
                v: VERSION,
                kind: KIND.to_owned(),
                device: device.to_owned(),
                id,
                seq,
                sig_sha256,
                second_copy: told_of || copies.is_some_and(lies),
                at: clock::rfc3339_ms(at.utc_ns),
                why: why.to_owned(),
            });
        }
        told.insert(device.to_owned(), lines);
    }
    Ok(told)
}

/// Number and signature of a package of which the index has no row and that lies in its place: it cannot be
/// read. What cannot be read here its second copy may tell.
fn without_row(
    (dir, copies): (&Path, Option<&Path>),
    (device, id): (&str, CaseId),
) -> Option<(u64, String)> {
    if !layout::place(dir, device, id).exists() {
        return None;
    }
    let places = [Some(dir), copies].into_iter().flatten();
    let places: Vec<_> = places.map(|dir| layout::place(dir, device, id)).collect();
    let seq = places.iter().map(|place| number(place)).find(|n| *n > 0);
    let sig_sha256 = places.iter().rev().find_map(|place| signature(place));
    Some((seq.unwrap_or(0), sig_sha256.unwrap_or_default()))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::mend::tests::{DEVICE, Pair, now, spoil};
    use super::*;
    use crate::witness::{RECEIPT, SIGNATURE, STATEMENT};

    /// The index was made anew, so that it has no row of what a disk has spoilt.
    #[test]
    fn what_cannot_be_read_can_be_removed_and_is_not_missing_then() {
        let pair = Pair::new();
        let (office, _desk) = pair.open();
        let heads: Vec<_> = (1..=4).map(|seq| pair.lay(&office, seq)).collect();
        let of = |n: usize| pair.places(heads[n].statement.id);
        let name = |n: usize| format!("{DEVICE}/{}", heads[n].statement.id);
        let gaps = || {
            let archive = Archive::open(std::slice::from_ref(&pair.config.dir), now()).unwrap();
            let missing = archive.missing(DEVICE).unwrap().into_iter();
            missing.map(|it| (it.from, it.to)).collect::<Vec<_>>()
        };
        let removed = |n: usize, copies: Option<&Path>| {
            let told = remove(&pair.config.dir, copies, &[name(n)], ("90 days", now()));
            told.map(|lines| (lines[0].seq, lines[0].sig_sha256.clone()))
        };
        // Its number stands in the statement, in the receipt, in the second copy, or nowhere.
        let parts: [&[&str]; 4] = [
            &[RECEIPT],
            &[STATEMENT],
            &[STATEMENT, RECEIPT],
            &[STATEMENT, RECEIPT, SIGNATURE],
        ];
        for (n, parts) in parts.into_iter().enumerate() {
            for part in parts {
                spoil(&of(n)[0].join(part));
            }
        }
        spoil(&of(3)[1].join(STATEMENT));
        spoil(&of(3)[1].join(RECEIPT));
        assert_eq!(gaps(), [(0, 0), (0, 0), (1, 1), (2, 2)]);
        // Its receipt tells of the second copy.
        let refused = removed(1, None).unwrap_err();
        assert!(matches!(refused, ReceiveError::SecondCopy(_)), "{refused}");
        assert!(of(1)[0].exists());
        let medium = Some(pair.medium());
        for (n, copies) in [(0, None), (1, medium), (2, medium)] {
            let told = (heads[n].statement.seq, heads[n].sig_sha256.clone());
            assert_eq!(removed(n, copies).unwrap(), told);
            assert!(!of(n)[0].exists());
            // Asked once more, for what a kill has left.
            assert_eq!(removed(n, copies).unwrap(), told);
            assert_eq!(of(n)[1].exists(), n < 1, "the medium was named");
        }
        assert_eq!(gaps(), [(0, 0)]);
        let told = removed(3, Some(pair.medium())).unwrap();
        assert_eq!(told, (0, heads[3].sig_sha256.clone()));
        assert_eq!(gaps(), []);
        // Of one that a person took away before, and nobody knows, nothing can be said.
        fs::remove_file(layout::removed(&pair.config.dir, DEVICE)).unwrap();
        let unknown = removed(3, None).unwrap_err();
        assert!(matches!(unknown, ReceiveError::NoPackage(_)), "{unknown}");
    }

    /// Whoever asks again does not think of the medium any more. What the index has of a second copy is what was
    /// read back.
    #[test]
    fn what_a_kill_has_left_on_the_medium_is_not_forgotten() {
        let pair = Pair::new();
        let (office, _desk) = pair.open();
        let dir = &pair.config.dir;
        for (seq, spoilt) in [(1, false), (2, true)] {
            let id = pair.lay(&office, seq).statement.id;
            let [first, second] = pair.places(id);
            let names = [format!("{DEVICE}/{id}")];
            let remove = |copies| remove(dir, copies, &names, ("90 days", now()));
            let refused = || {
                let told = remove(None).unwrap_err();
                assert!(matches!(told, ReceiveError::SecondCopy(_)), "{told}");
            };
            if spoilt {
                spoil(&first.join(STATEMENT));
            }
            // Killed after the line, and then between the two folders.
            let medium = Some(pair.medium());
            let lines = told(dir, medium, &names, ("90 days", now())).unwrap();
            tell(dir, DEVICE, &lines[DEVICE]).unwrap();
            refused();
            assert!(first.exists());
            clear(dir, DEVICE, id).unwrap();
            refused();
            assert!(second.exists());
            assert_eq!(remove(medium).unwrap()[0].seq, seq);
            assert!(!second.exists());
        }
    }
}
