//! Later receipts: of a package whose first receipt says one copy, and which has its second by now.
//!
//! ```text
//! second copy, read back ─▶ receipt002 beside the copy ─▶ receipt002 beside the package ─▶ told, row
//! ```
//! The first receipt stays: a time-stamp may be bound to it. The box is told at once and, as it may
//! be away, once more when it says next that it is there; a repeated head brings the later receipt
//! too. Killed anywhere on the way, the whole is done again.

use std::collections::BTreeMap;
use std::path::Path;
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
/// Packages of one box that are told once more.
const AGAIN_PER_DEVICE: usize = 256;
/// The same of all boxes.
const AGAIN_MAX: usize = 65_536;

/// The later receipts on their way.
pub(super) struct Later {
    tell: mpsc::Sender<Answer>,
    told: Mutex<Option<mpsc::Receiver<Answer>>>,
    /// Whom to tell once more, of which packages.
    again: Mutex<BTreeMap<String, Vec<CaseId>>>,
}

impl Later {
    pub(super) fn new() -> Self {
        let (tell, told) = mpsc::channel(WAITING_MAX);
        Self {
            tell,
            told: Mutex::new(Some(told)),
            again: Mutex::default(),
        }
    }

    /// What is to be sent; given once.
    pub(super) fn told(&self) -> Option<mpsc::Receiver<Answer>> {
        hold(&self.told).take()
    }

    fn tell(&self, device: &str, receipt: Vec<u8>) {
        if self.tell.try_send(receipt::to(device, receipt)).is_err() {
            tracing::debug!(device, "a later receipt waits for its box");
        }
    }

    fn remember(&self, device: &str, id: CaseId) {
        let mut again = hold(&self.again);
        if again.values().map(Vec::len).sum::<usize>() >= AGAIN_MAX {
            return;
        }
        let of_device = again.entry(device.to_owned()).or_default();
        if of_device.len() < AGAIN_PER_DEVICE {
            of_device.push(id);
        }
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
        for dir in [copies.dir(), &self.dir] {
            let draft = layout::incoming(dir).join(format!("{}.later", self.name));
            let place = layout::place(dir, device, id).join(LATER_RECEIPT);
            disk::replace(&draft, &place, &signed)?;
        }
        self.later.remember(device, id);
        self.later.tell(device, signed);
        Ok(())
    }

    /// A box says that it is there: it may have missed what it was told while it was away.
    pub(super) fn tell_again(&self, device: &str) {
        let missed = hold(&self.later.again).remove(device).unwrap_or_default();
        for id in missed {
            match newest_receipt(&self.place(device, id)) {
                Ok(receipt) => self.later.tell(device, receipt),
                Err(error) => tracing::warn!(device, %id, %error, "no later receipt is sent"),
            }
        }
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
