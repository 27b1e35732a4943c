//! The receiver's signed word about a package.

use super::ReceiveError;
use super::head::Head;
use crate::clock;
use crate::link::message::{Subject, Topic};
use crate::types::Stamp;
use crate::witness::{Identity, JournalCopy, Receipt, ReceiptVerdict};

/// What a receipt says of a package.
#[derive(Clone, Copy)]
pub(super) enum Word<'a> {
    /// It is stored, in so many copies that were read back.
    Stored {
        /// The copies.
        copies: u32,
    },
    /// It is not taken.
    Refused {
        /// Why.
        why: &'a str,
    },
}

/// Signs `word` about the package, and that we have the device's journal up to `journal`.
pub(super) fn sign(
    identity: &Identity,
    head: &Head,
    word: Word<'_>,
    (journal, at): (Option<JournalCopy>, Stamp),
) -> Result<Vec<u8>, ReceiveError> {
    let statement = &head.statement;
    let (v, kind) = Receipt::HEAD;
    let (verdict, copies, why) = match word {
        Word::Stored { copies } => (ReceiptVerdict::Stored, copies, None),
        Word::Refused { why } => (ReceiptVerdict::Refused, 0, Some(why.to_owned())),
    };
    let receipt = Receipt {
        v,
        kind: kind.to_owned(),
        id: statement.id,
        device: statement.device.id.clone(),
        seq: statement.seq,
        sig_sha256: head.sig_sha256.clone(),
        verdict,
        why,
        copies,
        head: journal,
        at: clock::rfc3339_ms(at.utc_ns),
        receiver: identity.common_name(),
    };
    receipt
        .sign(identity, at)
        .map_err(|error| ReceiveError::Bug(error.to_string()))
}

/// Signs that the package of `first` is kept in so many copies by now. The journal is as `first`
/// says: its lines prove that package.
pub(super) fn sign_again(
    identity: &Identity,
    first: &Receipt,
    (copies, at): (u32, Stamp),
) -> Result<Vec<u8>, ReceiveError> {
    let receipt = Receipt {
        copies,
        at: clock::rfc3339_ms(at.utc_ns),
        receiver: identity.common_name(),
        ..first.clone()
    };
    receipt
        .sign(identity, at)
        .map_err(|error| ReceiveError::Bug(error.to_string()))
}

/// Topic and payload that bring a receipt to its device.
pub(super) fn to(device: &str, receipt: Vec<u8>) -> (String, Vec<u8>) {
    (Topic::new(device, Subject::Receipt).to_string(), receipt)
}
