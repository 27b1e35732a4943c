//! Later receipts: of a package whose first receipt says one copy, and which has its second by now.
//!
//! ```text
//! second copy, read back ─▶ receipt002 beside the copy ─▶ receipt002 beside the package ─▶ told, row
//! box is there: "these say one copy" ─▶ told
//! ```
//! The first receipt stays: a time-stamp may be bound to it. The box is told at once. It may be away or
//! die in that very moment, and so may we: therefore it says each time it is there which packages it
//! has no second copy of, and is told again, by whichever receiver of the folder hears it. A repeated
//! head brings the later receipt too. Killed anywhere on the way, the whole is done again.

use std::path::Path;
use std::sync::Mutex;

use tokio::sync::mpsc;

use super::copies::Copies;
use super::office::Office;
use super::{Answer, Event, ReceiveError, layout, receipt, whole};
use crate::disk::{self, DiskError};
use crate::types::{CaseId, Stamp, lock};
use crate::witness::{LATER_RECEIPT, RECEIPT, Receipt, Statement};

/// Later receipts that may wait for the connection; what comes beyond is told when the box asks.
const WAITING_MAX: usize = 256;
/// Packages that a box may ask after at once: as many as one does, for each is hashed.
const ASKED_MAX: usize = 8;

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
        lock(&self.told).take()
    }

    fn tell(&self, device: &str, receipt: Vec<u8>) {
        if self.tell.try_send(receipt::to(device, receipt)).is_err() {
            tracing::debug!(device, "a later receipt waits for its box");
        }
    }
}

/// The newest receipt of the package at `place`.
fn newest_receipt(place: &Path) -> Result<Vec<u8>, DiskError> {
    let later = place.join(LATER_RECEIPT);
    disk::read(&if later.is_file() {
        later
    } else {
        place.join(RECEIPT)
    })
}

/// Whether the receipts of the package at `place` say its second copy.
fn says_copies(place: &Path, first: &Receipt) -> bool {
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
            let incoming = layout::incoming(dir);
            // A medium that was filled by hand has none yet.
            disk::create_dir(&incoming)?;
            let draft = incoming.join(format!("{}.later", self.name));
            let place = layout::place(dir, device, id).join(LATER_RECEIPT);
            disk::replace(&draft, &place, &signed)?;
        }
        self.later.tell(device, signed);
        Ok(())
    }

    /// Whether the package in its place is whole, or is so again by its second copy; and what to tell of it.
    /// One that stays broken is looked at again and again, and told once.
    pub(super) fn is_whole(
        &self,
        device: &str,
        id: CaseId,
    ) -> Result<(bool, Option<Event>), ReceiveError> {
        let place = self.place(device, id);
        let found = whole::check(&place)?;
        let name = (device.to_owned(), id);
        let Err(why) = found else {
            lock(&self.broken).remove(&name);
            return Ok((true, None));
        };
        let receipt = newest_receipt(&place).ok();
        let receipt = receipt.filter(|receipt| self.holds(receipt));
        let receipt = receipt.and_then(|receipt| Receipt::read(&receipt).ok());
        let mended = match receipt {
            Some(receipt) => self.mend(device, id, &receipt.sig_sha256)?,
            None => false,
        };
        if mended {
            let device = name.0;
            return Ok((true, Some(Event::Mended { device, id, why })));
        }
        let told = lock(&self.broken).insert(name.clone()).then(|| {
            let device = name.0;
            Event::Broken { device, id, why }
        });
        Ok((false, told))
    }

    /// A box is there and names packages whose receipts say one copy: it is told of those that have
    /// their second, when the first is whole; what to tell of those that are not.
    pub(super) fn tell_again(&self, device: &str, asked: &[String]) -> Vec<Event> {
        let mut events = Vec::new();
        for id in asked
            .iter()
            .take(ASKED_MAX)
            .filter_map(|name| layout::id(name))
        {
            let place = self.place(device, id);
            if !place.exists() {
                continue;
            }
            let told = match newest_receipt(&place) {
                Ok(receipt) if !Receipt::read(&receipt).is_ok_and(|it| it.copies > 1) => Ok(None),
                Ok(receipt) if self.holds(&receipt) => {
                    self.is_whole(device, id).map(|(whole, event)| {
                        if whole {
                            self.later.tell(device, receipt);
                        }
                        event
                    })
                }
                Ok(_) => self
                    .take_back(device, id)
                    .map(|()| None)
                    .map_err(ReceiveError::from),
                Err(error) => Err(error.into()),
            };
            match told {
                Ok(event) => events.extend(event),
                Err(error) => {
                    tracing::warn!(device, %id, %error, "a later receipt is not sent");
                }
            }
        }
        events
    }
}
