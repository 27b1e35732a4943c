//! Mending: the second copy of a package, when it is whole, takes the place of a first that is not
//! (decision 0062).
//!
//! ```text
//! copy hashed from its medium ─▶ beside, in incoming/NAME.mended/, synced and hashed ─▶ what is broken goes
//!   to broken/ ─▶ the whole one appears in its place, in one step
//! ```
//! Killed before the last step, the next start takes it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::copies::{Copies, lay, wanted_and_added, words};
use super::figures::Count;
use super::keep::publish;
use super::office::Office;
use super::{ReceiveError, layout, whole};
use crate::disk;
use crate::types::{CaseId, lock};
use crate::witness::{STATEMENT, Statement};

/// A box that waits for an answer offers its package again after ten seconds.
const WITHIN: Duration = Duration::from_secs(5);

/// A package that is to come back from the medium.
pub(super) struct Whole {
    pub(super) device: String,
    pub(super) id: CaseId,
    /// SHA-256 of the signature that holds it together.
    pub(super) sig_sha256: String,
    /// Where it comes to lie.
    pub(super) draft: PathBuf,
}

impl Copies {
    /// Lays a package that is whole on the medium into a folder beside the first copies, durable and hashed
    /// once more: its files, its receipts and what was added to it.
    pub(super) fn bring(&self, wanted: &Whole) -> Result<(), String> {
        self.there()?;
        let copy = layout::place(self.dir(), &wanted.device, wanted.id);
        let whole = |place: &Path| {
            whole::check(place)
                .map_err(|e| words(&e))
                .and_then(|found| found)
        };
        whole(&copy)?;
        if whole::is_another(&copy, &wanted.sig_sha256).map_err(|e| words(&e))? {
            return Err(format!("{} is another package", copy.display()));
        }
        let draft = &wanted.draft;
        disk::remove_dir_all(draft).map_err(|e| words(&e))?;
        let statement = disk::read(&copy.join(STATEMENT)).map_err(|e| words(&e))?;
        let statement = Statement::parse(&statement).map_err(|e| e.to_string())?;
        let files = wanted_and_added(&copy, &statement).map_err(|e| words(&e))?;
        lay(&copy, draft, &files).map_err(|e| words(&e))?;
        whole(draft)
    }
}

impl Office {
    /// Puts the second copy of a package in the place of what is broken there; false when there is none
    /// that is whole, or its medium does not give it in time. The package is the one that this
    /// signature holds together.
    pub(super) fn mend(
        &self,
        device: &str,
        id: CaseId,
        sig_sha256: &str,
    ) -> Result<bool, ReceiveError> {
        let Some(copies) = &self.copies else {
            return Ok(false);
        };
        let _one_at_a_time = lock(&self.mending);
        let draft = layout::under(&self.mended(), device, id);
        for folder in [&self.mended(), &self.mended().join(device)] {
            disk::create_dir(folder)?;
        }
        let wanted = Whole {
            device: device.to_owned(),
            id,
            sig_sha256: sig_sha256.to_owned(),
            draft: draft.clone(),
        };
        let brought = copies.within(WITHIN, move |copies| copies.bring(&wanted));
        if let Err(why) = brought {
            tracing::warn!(device, %id, why, "a broken package is not mended from its copy");
            return Ok(false);
        }
        self.make_way(device, id, sig_sha256)?;
        let place = self.place(device, id);
        if let Err(error) = publish(&draft, &place) {
            // Another receiver may have been quicker.
            if !place.exists() || whole::check(&place)?.is_err() {
                return Err(error.into());
            }
            disk::remove_dir_all(&draft)?;
        }
        tracing::warn!(device, %id, "a broken package was mended from its second copy");
        self.figures.add(Count::Mended, 1);
        Ok(true)
    }

    /// Ends what a run before had begun to mend: what is whole takes its place when that is free.
    pub(super) fn end_mending(&self) -> Result<(), ReceiveError> {
        for device in layout::named(&self.mended())? {
            for id in layout::ids_of_any(&self.mended().join(&device))? {
                let draft = layout::under(&self.mended(), &device, id);
                let place = self.place(&device, id);
                if !place.exists() && whole::check(&draft)?.is_ok() {
                    publish(&draft, &place)?;
                } else {
                    disk::remove_dir_all(&draft)?;
                }
            }
        }
        Ok(())
    }

    /// Where what is brought from the second medium lies until it is whole; no name of a receiver.
    fn mended(&self) -> PathBuf {
        layout::incoming(&self.dir).join(format!("{}.mended", self.name))
    }
}
