//! Packages that lie in their places and cannot be read. The index can have no row for them, so each question
//! looks for them in the folders: of what a disk has spoilt nobody shall hear that all is well.

use std::path::Path;

use super::index::{Index, IndexError};
use super::kept::Kept;
use super::layout;
use crate::disk;
use crate::types::CaseId;
use crate::witness::{
    LATER_RECEIPT, RECEIPT, Receipt, SIGNATURE, STATEMENT, Statement, sha256_hex,
};

/// A package in its place of which there is no row.
pub(super) struct Unread {
    pub(super) id: CaseId,
    /// Its number; 0 when that cannot be read either.
    pub(super) seq: u64,
    /// What cannot be read.
    pub(super) why: String,
}

impl Index {
    /// What lies in the folder of a device, has no row or one that calls it gone, and cannot be read.
    pub(super) fn unread(&self, device: &str) -> Result<Vec<Unread>, IndexError> {
        let rows = self.rows(device)?;
        let mut found = Vec::new();
        for id in layout::ids_of_any(&layout::packages(self.dir()).join(device))? {
            if rows.get(&id) == Some(&false) {
                continue;
            }
            let place = layout::place(self.dir(), device, id);
            if let Err(why) = read(self.dir(), device, id)
                // Somebody may have removed it meanwhile.
                && place.exists()
            {
                let seq = number(&place);
                found.push(Unread { id, seq, why });
            }
        }
        Ok(found)
    }
}

/// Reads a whole package for its row.
pub(super) fn read(dir: &Path, device: &str, id: CaseId) -> Result<Kept, String> {
    let place = layout::place(dir, device, id);
    let file = |name| disk::read(&place.join(name)).map_err(|error| error.to_string());
    let statement = Statement::parse(&file(STATEMENT)?);
    let statement = statement.map_err(|error| format!("{STATEMENT}: {error}"))?;
    let sig_sha256 = sha256_hex(&file(SIGNATURE)?);
    let receipt = Receipt::read(&file(RECEIPT)?);
    let receipt = receipt.map_err(|error| format!("{RECEIPT}: {error}"))?;
    Ok(Kept::of(&statement, sig_sha256, &receipt, false))
}

/// The number of the package at `place` by its statement, or else by its receipt; 0 when neither can be read.
pub(super) fn number(place: &Path) -> u64 {
    let file = |name| disk::read(&place.join(name)).ok();
    let stated = || Some(Statement::parse(&file(STATEMENT)?).ok()?.seq);
    let receipted = || Some(Receipt::read(&file(RECEIPT)?).ok()?.seq);
    stated().or_else(receipted).unwrap_or(0)
}

/// The hash of the signature of the package at `place`, as its receipt names it, or else of what lies there.
pub(super) fn signature(place: &Path) -> Option<String> {
    let file = |name| disk::read(&place.join(name)).ok();
    let receipted = || Some(Receipt::read(&file(RECEIPT)?).ok()?.sig_sha256);
    receipted().or_else(|| file(SIGNATURE).map(|bytes| sha256_hex(&bytes)))
}

/// Whether a receipt of the package at `place` tells of a second copy. Where none can be read nobody knows.
pub(super) fn has_copy(place: &Path) -> bool {
    let first = || Receipt::read(&disk::read(&place.join(RECEIPT)).ok()?).ok();
    place.join(LATER_RECEIPT).is_file() || first().is_some_and(|first| first.copies > 1)
}
