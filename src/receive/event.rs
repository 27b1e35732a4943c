//! What a receiver tells of its work.

use std::path::PathBuf;

use crate::link::LinkError;
use crate::link::message::Presence;
use crate::types::CaseId;

/// What happened, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Connected and subscribed.
    Connected {
        /// The broker.
        peer: String,
    },
    /// The connection could not be made or ended; it is tried again.
    Disconnected {
        /// Why.
        why: LinkError,
    },
    /// A device said how it is; told when its word is another than before, or its connection.
    Presence {
        /// The device.
        device: String,
        /// Its words.
        presence: Presence,
    },
    /// A verified head came: the case is known from now on.
    Announced {
        /// The device.
        device: String,
        /// The package.
        id: CaseId,
        /// Its number on the device.
        seq: u64,
        /// Bytes of all its files.
        bytes: u64,
        /// How old it was when its head came, seconds, if it came late by its box's clock: it is
        /// history, not news.
        late: Option<u64>,
    },
    /// What lies here of a stored package is not whole any more: when the device, which may have it
    /// still, offers it, all of it is asked for.
    Broken {
        /// The device.
        device: String,
        /// The package.
        id: CaseId,
        /// What is wrong with it.
        why: String,
    },
    /// What lay here of a stored package was not whole any more: its second copy has taken its place.
    Mended {
        /// The device.
        device: String,
        /// The package.
        id: CaseId,
        /// What was wrong with it.
        why: String,
    },
    /// A package is stored and its receipt signed.
    Stored {
        /// The device.
        device: String,
        /// The package.
        id: CaseId,
        /// Its number on the device.
        seq: u64,
        /// Where it lies.
        path: PathBuf,
        /// Copies its receipt says.
        copies: u32,
        /// How late its head came, as in [`Event::Announced`]; not known when the receiver was started
        /// anew in between.
        late: Option<u64>,
    },
    /// A package will not be taken; the device was told so, signed.
    Refused {
        /// The device.
        device: String,
        /// The package.
        id: CaseId,
        /// Why.
        why: String,
    },
    /// The authority answered a device's query for a time-stamp; the device judges the answer.
    Stamped {
        /// The device.
        device: String,
    },
    /// A query for a time-stamp could not be answered; the device was told why.
    Unstamped {
        /// The device.
        device: String,
        /// Why.
        why: String,
    },
    /// A newer head of a device's journal is kept.
    Checkpoint {
        /// The device.
        device: String,
        /// Number of the line it signs.
        n: u64,
    },
    /// A device's journal is not the one it was: somebody rewrote it, or uses its key elsewhere.
    HeadRefused {
        /// The device.
        device: String,
        /// What does not fit.
        why: String,
        /// How many heads were refused since the start, of all devices.
        refused: u64,
    },
    /// A message that means nothing here.
    Ignored {
        /// Its topic.
        topic: String,
        /// Why.
        why: String,
    },
    /// Something of ours failed; the device will try again.
    Trouble {
        /// What.
        why: String,
    },
}
