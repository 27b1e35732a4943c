//! Later receipts: of a package whose first receipt says one copy, and which has its second by now.
//!
//! ```text
//! second copy, read back ─▶ receipt002 beside the copy ─▶ receipt002 beside the package ─▶ told, row
//! box is there: "these say one copy" ─▶ hashed, one after the other ─▶ told
//! ```
//! The first receipt stays: a time-stamp may be bound to it. The box is told at once. It may be away or
//! die in that very moment, and so may we: therefore it says each time it is there which packages it
//! has no second copy of, and is told again, by whichever receiver of the folder hears it. A repeated
//! head brings the later receipt too. Killed anywhere on the way, the whole is done again.
//!
//! When a fleet asks in the morning, hashing takes minutes: no desk waits for it, and boxes take turns.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::copies::Copies;
use super::office::Office;
use super::{Answer, Event, ReceiveError, blocking, layout, receipt, whole};
use crate::disk::{self, DiskError};
use crate::types::{CaseId, Stamp, lock};
use crate::witness::{LATER_RECEIPT, RECEIPT, Receipt, Statement};

/// Later receipts that may wait for the connection; what comes beyond is told when the box asks.
const WAITING_MAX: usize = 256;
/// Packages that a box may ask after at once: as many as one does, for each is hashed.
const ASKED_MAX: usize = 8;
/// Boxes whose packages may wait to be hashed; what one beyond asks after it names again in two minutes.
const ASKING_MAX: usize = 1024;

/// The later receipts on their way, and what boxes asked after.
pub(super) struct Later {
    tell: mpsc::Sender<Answer>,
    told: Mutex<Option<mpsc::Receiver<Answer>>>,
    /// Each box that asked, once, with those of its packages that were not looked at yet: never none.
    asking: Mutex<VecDeque<(String, VecDeque<CaseId>)>>,
    /// Rung when a box has asked.
    bell: Notify,
}

impl Later {
    pub(super) fn new() -> Self {
        let (tell, told) = mpsc::channel(WAITING_MAX);
        Self {
            tell,
            told: Mutex::new(Some(told)),
            asking: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// A box is there and names packages whose receipts say one copy. Its newest word counts: it names
    /// what it still wants.
    pub(super) fn ask(&self, device: &str, named: &[String]) {
        let named = named.iter().take(ASKED_MAX);
        let ids: VecDeque<CaseId> = named.filter_map(|name| layout::id(name)).collect();
        if ids.is_empty() {
            return;
        }
        let mut asking = lock(&self.asking);
        if let Some((_, before)) = asking.iter_mut().find(|(it, _)| it == device) {
            *before = ids;
        } else if asking.len() < ASKING_MAX {
            asking.push_back((device.to_owned(), ids));
        }
        self.bell.notify_one();
    }

    /// The package that is to be looked at next; one of each box in turn.
    pub(super) fn next_asked(&self) -> Option<(String, CaseId)> {
        let mut asking = lock(&self.asking);
        let (device, mut ids) = asking.pop_front()?;
        let id = ids.pop_front()?;
        if !ids.is_empty() {
            asking.push_back((device.clone(), ids));
        }
        Some((device, id))
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

    /// A box asked after a package whose receipt says one copy: it is told when there are two and the first
    /// is whole; what to tell of one that is not.
    pub(super) fn tell_again(&self, device: &str, id: CaseId) -> Option<Event> {
        let place = self.place(device, id);
        if !place.exists() {
            return None;
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
        told.unwrap_or_else(|error| {
            tracing::warn!(device, %id, %error, "a later receipt is not sent");
            None
        })
    }
}

/// Answers what boxes ask after, one package at a time, until `stop`.
pub(super) async fn keep_answering(
    office: Arc<Office>,
    on_event: Arc<impl Fn(Event)>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = office.later.bell.notified() => {}
        }
        while !stop.is_cancelled()
            && let Some((device, id)) = office.later.next_asked()
        {
            let at_work = Arc::clone(&office);
            match blocking(move || at_work.tell_again(&device, id)).await {
                Ok(event) => event.into_iter().for_each(&*on_event),
                Err(error) => tracing::error!(%error, "a later receipt is not sent"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn boxes_take_turns_and_the_newest_word_of_each_counts() {
        let later = Later::new();
        let id = |n: u128| CaseId(Uuid::from_u128(n));
        let ask = |device: &str, ids: &[u128]| {
            let named: Vec<String> = ids.iter().map(|n| id(*n).to_string()).collect();
            later.ask(device, &named);
        };
        ask("LM-1", &[1, 2, 3]);
        ask("LM-2", &[4]);
        ask("LM-3", &[]);
        let next = || {
            later
                .next_asked()
                .map(|(device, it)| (device, it.0.as_u128()))
        };
        let named = |device: &str, n: u128| Some((device.to_owned(), n));
        assert_eq!(next(), named("LM-1", 1));
        assert_eq!(next(), named("LM-2", 4));
        ask("LM-1", &[2, 5]);
        assert_eq!(
            [next(), next(), next()],
            [named("LM-1", 2), named("LM-1", 5), None]
        );
        // However many ask for however much, what waits is bounded.
        let many: Vec<u128> = (1..=20).collect();
        for n in 0..=ASKING_MAX {
            ask(&format!("LM-{n}"), &many);
        }
        let waiting = std::iter::from_fn(next).count();
        assert_eq!(waiting, ASKING_MAX * ASKED_MAX);
    }
}
