//! Keeping: a whole package gets its place, its second copy, its receipt and its row.
//!
//! ```text
//! verify ─▶ second copy, read back ─▶ receipt ─▶ the package in its place, in one step ─▶ row ─▶ answer
//!            └─ the medium is away or hangs: the receipt says one copy, and the copy is made later
//! ```
//! Receivers that share the folder may have the same package whole at the same moment: the one
//! that comes second finds the place taken, and sends on the receipt that lies there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::copies::Order;
use super::desk::{Desk, Said};
use super::figures::Count;
use super::head::{Head, check};
use super::index::Entry;
use super::kept::{Kept, Refusal};
use super::{Event, ReceiveError, layout, receipt, whole};
use crate::disk::{self, DiskError};
use crate::types::{CaseId, Stamp};
use crate::witness::Receipt;

/// A package waits so long for its second copy, and with it everything else at its desk. Below the ten
/// seconds after which a box offers it again.
const COPY_WITHIN: Duration = Duration::from_secs(5);
/// Refusals kept of one device: what it claims in refused heads must not fill the disk.
const REFUSALS_PER_DEVICE: usize = 256;

/// What is known of a package whose head came.
pub(super) enum Before {
    /// Nothing lies in its place.
    New,
    /// What lies there is not whole any more, nor is a second copy: why.
    Broken(String),
    /// It lies there, or another one, and this is answered.
    Said(Said),
}

impl Desk {
    /// A package stored already, and whole still, gets the receipt it got; another one under its id is
    /// refused.
    pub(super) fn stored_before(
        &mut self,
        device: &str,
        head: &Head,
        at: Stamp,
    ) -> Result<Before, ReceiveError> {
        let id = head.statement.id;
        let place = self.office.place(device, id);
        if !place.exists() {
            return Ok(Before::New);
        }
        if whole::is_another(&place, &head.sig_sha256)? {
            let why = "another package with this id is already stored".to_owned();
            return self.refuse(device, head, why, at).map(Before::Said);
        }
        let broken = whole::check(&place)?.err();
        if let Some(why) = &broken
            && !self.office.mend(device, id, &head.sig_sha256)?
        {
            return Ok(Before::Broken(why.clone()));
        }
        let mut said = match self.receipt_again(device, id)? {
            Some(said) => said,
            None => self.receipt_anew(device, head, at)?,
        };
        let device = device.to_owned();
        said.events
            .extend(broken.map(|why| Event::Mended { device, id, why }));
        Ok(Before::Said(said))
    }

    /// Refuses a package, unless it was stored when its head still held, before its certificate was revoked
    /// say, and lies whole in its place, or does so again by its second copy: then it has its receipt.
    pub(super) fn refuse_new(
        &mut self,
        device: &str,
        head: &Head,
        why: String,
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        let id = head.statement.id;
        let place = self.office.place(device, id);
        let mut told = None;
        if place.exists() && !whole::is_another(&place, &head.sig_sha256)? {
            let (whole, event) = self.office.is_whole(device, id)?;
            told = event;
            if whole && let Some(mut said) = self.receipt_again(device, id)? {
                said.events.extend(told);
                return Ok(said);
            }
        }
        let mut said = self.refuse(device, head, why, at)?;
        said.events.extend(told);
        Ok(said)
    }

    /// The receipt of a package that is whole in its place, whoever of the receivers signed it; `None` when
    /// it does not hold.
    pub(super) fn receipt_again(
        &mut self,
        device: &str,
        id: CaseId,
    ) -> Result<Option<Said>, ReceiveError> {
        let receipt = self
            .office
            .believed_receipt(&self.office.place(device, id))?;
        let said = receipt.map(|receipt| self.receipted(device, id, receipt));
        said.transpose()
    }

    /// A package in its place has this receipt. The last try may have failed at the very end.
    pub(super) fn receipted(
        &mut self,
        device: &str,
        id: CaseId,
        receipt: Vec<u8>,
    ) -> Result<Said, ReceiveError> {
        if let Some(folder) = self.office.place(device, id).parent() {
            disk::sync_dir(folder)?;
        }
        self.forget(&(device.to_owned(), id))?;
        self.office.figures.add(Count::Repeated, 1);
        Ok(Said {
            answer: Some(receipt::to(device, receipt)),
            events: Vec::new(),
        })
    }

    /// The whole package: verified once more as any verifier would, then put in its place.
    pub(super) fn store(
        &mut self,
        key: &(String, CaseId),
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        let Some(open) = self.open.get(key) else {
            return Ok(Said::default());
        };
        if let Some(said) = self.office.waits(at) {
            return Ok(said);
        }
        let (device, id) = (key.0.as_str(), key.1);
        let package = open.transfer.assemble()?;
        if let Err(why) = check(&package, &self.office.roots())? {
            return self.give_up(key, why, at);
        }
        let (head, late) = (open.transfer.head().clone(), open.late);
        let (signed, copied, trouble) = self.copy_and_sign(&package, &head, at)?;
        open.transfer.settle(&signed)?;
        disk::create_dir(&layout::packages(&self.office.dir).join(device))?;
        let place = self.office.place(device, id);
        self.office.make_way(device, id, &head.sig_sha256)?;
        if let Err(error) = publish(&package, &place) {
            if !package.exists() {
                return Err(error.into());
            }
            // Another receiver may have been quicker.
            return match self.stored_before(device, &head, at)? {
                Before::Said(said) => Ok(said),
                Before::New | Before::Broken(_) => Err(error.into()),
            };
        }
        let receipt = Receipt::read(&signed).map_err(|e| ReceiveError::Bug(e.to_string()))?;
        let row = Kept::of(&head.statement, head.sig_sha256, &receipt, copied);
        let stored = Event::Stored {
            device: device.to_owned(),
            id,
            seq: row.seq,
            path: place,
            copies: row.copies,
            late,
        };
        self.accepted(row)?;
        // Only leftovers now; a new start would remove them too.
        self.forget(key)?;
        Ok(Said {
            answer: Some(receipt::to(device, signed)),
            events: trouble.into_iter().chain([stored]).collect(),
        })
    }

    /// Makes the second copy, where there is to be one, and the receipt that says how many copies
    /// there are; whether the second was read back, and what to tell when it could not be made.
    fn copy_and_sign(
        &self,
        package: &Path,
        head: &Head,
        at: Stamp,
    ) -> Result<(Vec<u8>, bool, Option<Event>), ReceiveError> {
        let journal = self.heads.newest(head);
        let sign = |copies| {
            let verdict = receipt::Word::Stored { copies };
            receipt::sign(&self.office.identity, head, verdict, (journal.clone(), at))
        };
        let Some(copies) = &self.office.copies else {
            return Ok((sign(1)?, false, None));
        };
        let both = sign(2)?;
        let order = Order {
            package: package.to_owned(),
            statement: head.statement.clone(),
            receipt: both.clone(),
        };
        match copies.take_within(COPY_WITHIN, order) {
            Ok(()) => Ok((both, true, None)),
            Err(why) => {
                self.office.figures.add(Count::CopyErrors, 1);
                Ok((sign(1)?, false, copies.complain(&why)))
            }
        }
    }

    /// A package is in its place: it has a row, and no refusal.
    fn accepted(&self, row: Kept) -> Result<(), ReceiveError> {
        let (device, id) = (row.device.clone(), row.id);
        let refusal = self.refusal(&device, id);
        self.office.enter(Entry::Stored(row));
        if refusal.exists() {
            disk::remove_file(&refusal)?;
            self.office.enter(Entry::Accepted(device, id));
        }
        Ok(())
    }

    /// Refuses an unfinished package and forgets it.
    pub(super) fn give_up(
        &mut self,
        key: &(String, CaseId),
        why: String,
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        let Some(open) = self.open.get(key) else {
            return Ok(Said::default());
        };
        let head = open.transfer.head().clone();
        self.forget(key)?;
        self.refuse(&key.0, &head, why, at)
    }

    /// Refuses a package, signed; the refusal is kept.
    pub(super) fn refuse(
        &self,
        device: &str,
        head: &Head,
        why: String,
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        if let Some(said) = self.office.waits(at) {
            return Ok(said);
        }
        // What a refused head names as the line before its own proves nothing.
        let journal = self.heads.of(device).cloned();
        let word = receipt::Word::Refused { why: &why };
        let refusal = receipt::sign(&self.office.identity, head, word, (journal, at))?;
        let id = head.statement.id;
        self.keep_refusal(device, id, &refusal)?;
        Ok(Said {
            answer: Some(receipt::to(device, refusal)),
            events: vec![Event::Refused {
                device: device.to_owned(),
                id,
                why,
            }],
        })
    }

    fn keep_refusal(&self, device: &str, id: CaseId, p7m: &[u8]) -> Result<(), ReceiveError> {
        let place = self.refusal(device, id);
        let folder = layout::refused(&self.office.dir).join(device);
        disk::create_dir(&folder)?;
        if !place.exists() && layout::refusals(&folder)?.len() >= REFUSALS_PER_DEVICE {
            tracing::warn!(
                device,
                "too many refusals of this device: this one is not kept"
            );
            return Ok(());
        }
        let draft = folder.join(format!("{}.draft", self.office.name));
        disk::replace(&draft, &place, p7m)?;
        let receipt = Receipt::read(p7m).map_err(|e| ReceiveError::Bug(e.to_string()))?;
        self.office.enter(Entry::Refused(Refusal::of(&receipt)));
        Ok(())
    }

    /// Where the refusal of a package lies.
    fn refusal(&self, device: &str, id: CaseId) -> PathBuf {
        let folder = layout::refused(&self.office.dir).join(device);
        folder.join(format!("{id}{}", layout::SIGNED))
    }
}

/// Puts a package in its place. When it got there and only a sync failed after that, it is moved once
/// more: the kernel tells of a lost write once, and of the next sync that all is well.
pub(super) fn publish(package: &Path, place: &Path) -> Result<(), DiskError> {
    let published = disk::publish(package, place);
    if published.is_ok() || package.exists() {
        return published;
    }
    disk::rename(place, package)?;
    disk::publish(package, place)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::super::mend::tests::{DEVICE, Pair, now, spoil};
    use super::*;
    use crate::disk::fault::{self, Mode};
    use crate::witness::ReceiptVerdict;

    /// The box's certificate was revoked since, say.
    #[test]
    fn what_was_stored_is_not_refused_while_its_second_copy_is_whole() {
        let pair = Pair::new();
        let (office, mut desk) = pair.open();
        let mut answer = |head: &Head| {
            let why = "chain_revoked".to_owned();
            let said = desk.refuse_new(DEVICE, head, why, now()).unwrap();
            let (_, p7m) = said.answer.unwrap();
            (Receipt::read(&p7m).unwrap().verdict, said.events)
        };
        let head = pair.lay(&office, 1);
        let [place, copy] = pair.places(head.statement.id);
        assert_eq!(answer(&head), (ReceiptVerdict::Stored, vec![]));
        spoil(&place.join("frames/00.jpg"));
        let (verdict, events) = answer(&head);
        assert_eq!(verdict, ReceiptVerdict::Stored);
        assert!(matches!(events[..], [Event::Mended { .. }]), "{events:?}");
        assert_eq!(whole::check(&place).unwrap(), Ok(()));
        // Without a whole copy there is nothing that could be promised.
        for place in [&place, &copy] {
            spoil(&place.join("frames/00.jpg"));
        }
        let (verdict, events) = answer(&head);
        assert_eq!(verdict, ReceiptVerdict::Refused);
        let told = |event: &Event| matches!(event, Event::Broken { .. });
        assert!(events.iter().any(told), "{events:?}");
    }

    /// Moves a package whose `n`-th step fails; whether it is taken for stored, and how many steps of
    /// the disk that took.
    fn moved(n: u32, mode: Mode) -> (bool, PathBuf, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (package, place) = (dir.path().join("in/package"), dir.path().join("out/id"));
        for folder in ["in", "in/package", "out"] {
            disk::create_dir(&dir.path().join(folder)).unwrap();
        }
        fault::plan(n, mode);
        let done = publish(&package, &place).is_ok();
        fault::clear();
        (done, place, dir)
    }

    #[test]
    fn a_package_whose_move_was_not_synced_is_moved_once_more() {
        // Sync of the folder itself, move, sync of the folder that it is in now and of the one it was in.
        for n in 0..2 {
            let (done, place, _dir) = moved(n, Mode::Once(Errno::IO));
            assert!(!done && !place.exists(), "step {n}: not moved");
        }
        for n in 2..4 {
            let (done, place, _dir) = moved(n, Mode::Once(Errno::IO));
            assert!(done && place.is_dir(), "step {n}");
            let (done, place, _dir) = moved(n, Mode::Forever(Errno::IO));
            assert!(!done && place.is_dir(), "step {n}: never taken for stored");
        }
        let (done, place, _dir) = moved(4, Mode::Forever(Errno::IO));
        assert!(done && place.is_dir(), "it has no more steps");
    }
}
