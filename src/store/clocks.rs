//! Two clocks by which a package grows old: this box's, and the receiver's as its receipts tell it.
//!
//! Between two receipts the boot clock carries the receiver's time on. Nobody knows how long a box
//! was off: after a start the receiver's clock goes on from its last receipt, as if no time had
//! passed. So it runs behind, never ahead, and what it says is old is old.

use rusqlite::Connection;

use super::quota::Now;
use super::{Inner, StoreError, outbox};
use crate::clock;
use crate::types::Stamp;
use crate::witness::After;

/// The receiver's clock, as it was heard last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// What it said, UTC milliseconds.
    utc_ms: i64,
    /// When that was, by the boot clock.
    boot_ns: u64,
}

impl Heard {
    /// A receipt's time, heard at `boot_ns`; `None` when it cannot be read.
    pub(super) fn new(server_time: &str, boot_ns: u64) -> Option<Self> {
        let utc_ms = utc_ms(server_time)?;
        Some(Self { utc_ms, boot_ns })
    }

    /// What the last receipt of earlier runs said, as if it had been heard now.
    pub(super) fn before(conn: &Connection) -> Result<Option<Self>, StoreError> {
        let text = super::meta(conn, outbox::LAST_RECEIPT)?;
        let after: Option<After> = text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(after.and_then(|after| Self::new(&after.server_time, clock::boot_ns())))
    }
}

impl Inner {
    /// The moment by both clocks.
    pub(super) fn by_both_clocks(&self, now: Stamp) -> Now {
        let receiver_ms = self.heard.map(|heard| {
            let since_ms = now.boot_ns.saturating_sub(heard.boot_ns) / 1_000_000;
            heard.utc_ms.saturating_add_unsigned(since_ms)
        });
        Now {
            here_ms: now.utc_ms(),
            receiver_ms,
        }
    }
}

/// RFC 3339 as UTC milliseconds; `None` when it is something else.
pub(super) fn utc_ms(rfc3339: &str) -> Option<i64> {
    let at: jiff::Timestamp = rfc3339.parse().ok()?;
    Some(at.as_millisecond())
}
