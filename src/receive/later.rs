//! Later receipts: of a package whose first receipt says one copy, and which has its second by now.
//!
//! ```text
//! second copy, read back ─▶ noted in `later/` ─▶ receipt002 beside the copy ─▶ receipt002 beside the package ─▶ told, row
//! ```
//! The first receipt stays: a time-stamp may be bound to it. The box is told at once and, as it may
//! be away, once more when it says next that it is there: what is noted in `later/` is still to be
//! told so, and whichever receiver of the folder hears the box does it. A repeated head brings the
//! later receipt too. Killed anywhere on the way, the whole is done again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::copies::Copies;
use super::office::Office;
use super::{Answer, ReceiveError, layout, receipt};
use crate::store::disk::{self, DiskError};
use crate::types::{CaseId, Stamp};
use crate::witness::{LATER_RECEIPT, RECEIPT, Receipt, Statement};

/// Later receipts that may wait for the connection; what comes beyond is told to the box when it
/// says that it is there.
const WAITING_MAX: usize = 256;

/// The later receipts on their way.
pub(super) struct Later {
    tell: mpsc::Sender<Answer>,
    told: Mutex<Option<mpsc::Receiver<Answer>>>,
}

impl Later {
    pub(super) fn new() -> Self {
        let (tell, told) = mpsc::channel(WAITING_MAX);
        Self {
            tell,
            told: Mutex::new(Some(told)),
        }
    }

    /// What is to be sent; given once.
    pub(super) fn told(&self) -> Option<mpsc::Receiver<Answer>> {
        hold(&self.told).take()
    }

    /// Whether there was room for it.
    fn tell(&self, device: &str, receipt: Vec<u8>) -> bool {
        let room = self.tell.try_send(receipt::to(device, receipt)).is_ok();
        if !room {
            tracing::debug!(device, "a later receipt waits for its box");
        }
        room
    }
}

/// The newest receipt of the package at `place`.
pub(super) fn newest_receipt(place: &Path) -> Result<Vec<u8>, DiskError> {
    let later = place.join(LATER_RECEIPT);
    disk::read(&if later.is_file() {
        later
    } else {
        place.join(RECEIPT)
    })
}

/// Whether the receipts of the package at `place` say its second copy.
pub(super) fn says_copies(place: &Path, first: &Receipt) -> bool {
    first.copies > 1 || place.join(LATER_RECEIPT).is_file()
}

impl Office {
    /// The second copy of a package in its place was read back: receipts say so from now on.
    pub(super) fn receipt_later(
        &self,
        copies: &Copies,
        statement: &Statement,
        at: Stamp,
    ) -> Result<(), ReceiveError> {
        let (device, id) = (statement.device.id.as_str(), statement.id);
        let place = self.place(device, id);
        let first = Receipt::read(&disk::read(&place.join(RECEIPT))?)
            .map_err(|error| ReceiveError::Disk(format!("{}: {error}", place.display())))?;
        if says_copies(&place, &first) {
            return Ok(());
        }
        let signed = receipt::sign_again(&self.identity, &first, (2, at))?;
        self.owe(device, id)?;
        for dir in [copies.dir(), &self.dir] {
            let draft = layout::incoming(dir).join(format!("{}.later", self.name));
            let place = layout::place(dir, device, id).join(LATER_RECEIPT);
            disk::replace(&draft, &place, &signed)?;
        }
        self.later.tell(device, signed);
        Ok(())
    }

    /// Notes that `device` is to be told once more of its package `id`, durable on return.
    fn owe(&self, device: &str, id: CaseId) -> Result<(), DiskError> {
        let folder = self.owed(device);
        disk::create_dir(&layout::later(&self.dir))?;
        disk::create_dir(&folder)?;
        let note = folder.join(id.to_string());
        if !note.exists() {
            disk::write_new(&note, b"")?;
        }
        disk::sync_dir(&folder)
    }

    /// A box says that it is there: it may have missed what it was told while it was away. What
    /// finds no room is told the next time.
    pub(super) fn tell_again(&self, device: &str) {
        if let Err(error) = self.tell_owed(device) {
            tracing::warn!(device, %error, "not all later receipts are sent");
        }
    }

    fn tell_owed(&self, device: &str) -> Result<(), ReceiveError> {
        let folder = self.owed(device);
        for id in layout::ids_named(&folder)? {
            let place = self.place(device, id);
            if place.exists() && !self.later.tell(device, newest_receipt(&place)?) {
                return Ok(());
            }
            disk::remove_file(&folder.join(id.to_string()))?;
        }
        Ok(())
    }

    fn owed(&self, device: &str) -> PathBuf {
        layout::later(&self.dir).join(device)
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
