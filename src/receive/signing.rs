//! Whether this receiver may sign now, and what becomes of receipts that do not hold any more.
//!
//! A receipt lies in its package for good, and its time goes into the next statements of its box. One
//! that nobody believes, signed after the end of a certificate say, makes the package not valid; one with
//! a wrong time says of a true package that it was made when it was not. Both cannot be mended later, and
//! waiting costs nothing: the box has the package. So nothing is signed then, and the box tries again
//! (decision 0051).

use std::path::Path;

use super::desk::{Desk, Said};
use super::figures::Count;
use super::head::Head;
use super::index::Entry;
use super::kept::Kept;
use super::office::Office;
use super::{Event, ReceiveError, layout, receipt, unread};
use crate::clock;
use crate::disk::{self, DiskError};
use crate::types::{CaseId, Stamp, lock};
use crate::witness::{Identity, LATER_RECEIPT, RECEIPT, Receipt, Roots};

/// What a box signed and what it heard of us may be apart by so many seconds before its package
/// contradicts itself (`check_time` of the verifier).
const APART_SECS: i64 = 2;

/// Checks that a verifier with `roots` would believe what is signed at `at`.
pub(super) fn certified(identity: &Identity, roots: &Roots, at: Stamp) -> Result<(), ReceiveError> {
    identity.check_validity(at)?;
    let chain = identity.check_chain(roots, at);
    chain.map_err(ReceiveError::Unbelievable)
}

impl Office {
    /// Whether something may be signed at `at`.
    pub(super) fn may_sign(&self, at: Stamp) -> Result<(), ReceiveError> {
        certified(&self.identity, &self.roots(), at)?;
        if at.error_ns != Stamp::ERROR_UNKNOWN || self.any_clock {
            return Ok(());
        }
        let why = clock::trust().errno.map(clock::unreadable);
        let unsynced = || "nothing synchronises the clock of this machine".to_owned();
        Err(ReceiveError::Clock(why.unwrap_or_else(unsynced)))
    }

    /// The same for a desk: what it says, when it may not.
    pub(super) fn waits(&self, at: Stamp) -> Option<Said> {
        self.may_sign(at).err()?;
        self.figures.add(Count::SignErrors, 1);
        Some(Said::default())
    }

    /// Tells once why nothing is signed, and how long the certificate and how good the clock is.
    pub(super) fn tell_signing(&self, at: Stamp) -> Option<Event> {
        let left = self.identity.not_after() - at.utc_ns.div_euclid(1_000_000_000);
        self.figures.change(|gauges| {
            gauges.certificate_secs = u64::try_from(left).unwrap_or(0);
            gauges.clock_synced = at.error_ns != Stamp::ERROR_UNKNOWN;
        });
        let why = self.may_sign(at).err().map(|error| error.to_string());
        let before = std::mem::replace(&mut *lock(&self.unsigned), why.clone());
        if why == before {
            return None;
        }
        Some(Event::Trouble { why: why? })
    }

    /// The newest receipt of the package at `place`; `None` when one of its receipts does not hold, or
    /// is not to be read: no box would believe it, and no verifier the package.
    pub(super) fn believed_receipt(&self, place: &Path) -> Result<Option<Vec<u8>>, DiskError> {
        let mut newest = None;
        for name in [RECEIPT, LATER_RECEIPT] {
            let path = place.join(name);
            if name == LATER_RECEIPT && !path.is_file() {
                continue;
            }
            match disk::read(&path) {
                Ok(receipt) if self.holds(&receipt) => newest = Some(receipt),
                Err(error) if disk::is_passing(&error.source) => return Err(error),
                _ => return Ok(None),
            }
        }
        Ok(newest)
    }

    /// Whether a receipt holds; not by roots of yesterday, for another receiver may have signed it.
    pub(super) fn holds(&self, receipt: &[u8]) -> bool {
        Receipt::open(receipt, &self.roots()).is_ok()
            || Receipt::open(receipt, &self.read_roots_anew()).is_ok()
    }

    /// Takes back a later receipt that does not hold. The copy it speaks of is read once more, and there is
    /// another then.
    pub(super) fn take_back(&self, device: &str, id: CaseId) -> Result<(), DiskError> {
        disk::remove_file(&self.place(device, id).join(LATER_RECEIPT))?;
        match unread::read(&self.dir, device, id) {
            Ok(row) => self.enter(Entry::Stored(row)),
            Err(error) => tracing::error!(device, %id, error, "a stored package cannot be read"),
        }
        Ok(())
    }
}

impl Desk {
    /// Signs another receipt for a package in its place, whose own does not hold. It says one copy,
    /// whatever that said: the second is read back, and a later receipt says so.
    pub(super) fn receipt_anew(
        &mut self,
        device: &str,
        head: &Head,
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        if let Some(said) = self.office.waits(at) {
            return Ok(said);
        }
        let (id, office) = (head.statement.id, &self.office);
        let word = receipt::Word::Stored { copies: 1 };
        let signed = receipt::sign(&office.identity, head, word, (self.heads.newest(head), at))?;
        let place = office.place(device, id);
        disk::remove_file(&place.join(LATER_RECEIPT))?;
        let draft = layout::incoming(&office.dir).join(format!("{}-{id}.receipt", office.name));
        disk::replace(&draft, &place.join(RECEIPT), &signed)?;
        tracing::warn!(device, %id, "a receipt that does not hold was signed anew");
        let receipt = Receipt::read(&signed).map_err(|e| ReceiveError::Bug(e.to_string()))?;
        let row = Kept::of(&head.statement, head.sig_sha256.clone(), &receipt, false);
        office.enter(Entry::Stored(row));
        self.receipted(device, id, signed)
    }

    /// What to tell of a box with a synchronised clock that sealed a package later than it is here.
    pub(super) fn clocks_differ(&self, device: &str, head: &Head, at: Stamp) -> Option<Event> {
        let (signed, error_us) = head.signed?;
        let slack = i64::try_from(error_us / 1_000_000).unwrap_or(i64::MAX / 4) + APART_SECS;
        let now = at.utc_ns.div_euclid(1_000_000_000);
        if signed.saturating_sub(slack) <= now {
            return None;
        }
        self.office.figures.add(Count::ClocksDiffer, 1);
        let (id, ahead) = (head.statement.id, signed - now);
        let why = format!(
            "{device}: package {id} was sealed {ahead} s from now by a clock that is synchronised: \
             the clock there or here is wrong"
        );
        Some(Event::Trouble { why })
    }
}
