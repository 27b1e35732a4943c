//! How the upload stands, for the status page and the watchdog.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;

use super::profile::Why;
use crate::clock;
use crate::config::Profile;
use crate::types::{Stamp, lock};

/// How the upload stands at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UploadSnapshot {
    /// Whether a connection to the broker stands.
    pub connected: bool,
    /// What keeps packages from being sent, in words for a technician; `None` when nothing does.
    pub cause: Option<String>,
    /// For how long there has been a cause without anything of a package gone since, seconds.
    pub cause_secs: Option<u64>,
    /// Whether a person must change something before it can go on.
    pub needs_a_person: bool,
    /// Connections made since the start.
    pub connections: u64,
    /// When the broker last acknowledged something, UTC milliseconds.
    pub last_ack_ms: Option<i64>,
    /// When a receiver's receipt was last kept, UTC milliseconds.
    pub last_receipt_ms: Option<i64>,
    /// Packages receipted since the start.
    pub receipted: u64,
    /// Packages refused by a receiver since the start.
    pub refused: u64,
    /// Receipts that were not believed since the start.
    pub receipts_ignored: u64,
    /// Time-stamps kept since the start.
    pub stamped: u64,
    /// What keeps time-stamps from coming; `None` when nothing does. Nothing else waits for it.
    pub stamp_cause: Option<String>,
    /// What a receiver has signed for as our journal and is not; `None` while there is nothing.
    pub foreign_head: Option<String>,
    /// Bytes sent since the start, TLS included.
    pub sent_bytes: u64,
    /// Bytes received since the start, TLS included.
    pub received_bytes: u64,
    /// What the link may carry, once it was connected.
    pub link: Option<LinkState>,
    /// Packages on their way.
    pub hands: usize,
    /// The one of them of which something went last.
    pub in_hand: Option<InHand>,
}

/// What the link may carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkState {
    /// The profile in force.
    pub profile: Profile,
    /// Why it is this one.
    pub why: Why,
    /// Bytes carried today, both ways, TLS included; counted where there is a budget.
    pub today_bytes: Option<u64>,
    /// Bytes it may carry in a day; `None` without end.
    pub budget_bytes: Option<u64>,
    /// Queued packages that wait for a wider profile.
    pub held: u64,
}

/// A package on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InHand {
    /// Its id.
    pub id: String,
    /// Its number.
    pub seq: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of pieces the broker has taken in this try; more than `bytes` when some are sent
    /// again.
    pub acknowledged: u64,
    /// The receiver that takes it.
    pub sink: Option<String>,
}

/// The upload's state, shared with whoever shows or watches it.
#[derive(Debug, Default)]
pub struct UploadState {
    snapshot: Mutex<UploadSnapshot>,
    /// Boot clock, nanoseconds: since when there is a cause, or when a package last moved all the same.
    stuck_since: Mutex<Option<u64>>,
    /// Boot clock, nanoseconds: before this the upload will have moved again.
    turn_due: Mutex<Option<u64>>,
}

/// A turn of the loop may take this much longer than planned: disk and name resolution.
const LATE: Duration = Duration::from_mins(1);

impl UploadState {
    /// Nothing sent, not connected.
    pub fn new() -> Self {
        Self::default()
    }

    /// How it stands now.
    pub fn snapshot(&self) -> UploadSnapshot {
        self.snapshot_at(clock::boot_ns())
    }

    fn snapshot_at(&self, now_ns: u64) -> UploadSnapshot {
        let since = *lock(&self.stuck_since);
        UploadSnapshot {
            cause_secs: since.map(|since| now_ns.saturating_sub(since) / 1_000_000_000),
            ..self.lock().clone()
        }
    }

    /// Whether the upload's own loop has not turned for longer than it meant to: it hangs. A
    /// broker that is away does not count.
    pub fn hangs(&self, now: Stamp) -> bool {
        let due = lock(&self.turn_due);
        due.is_some_and(|due| now.boot_ns > due)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut UploadSnapshot)) {
        self.change_at(clock::boot_ns(), change);
    }

    fn change_at(&self, now_ns: u64, change: impl FnOnce(&mut UploadSnapshot)) {
        let mut snapshot = self.lock();
        change(&mut snapshot);
        let mut since = lock(&self.stuck_since);
        *since = snapshot.cause.as_ref().and(since.or(Some(now_ns)));
    }

    /// A part of a package has gone, whatever keeps others from going.
    pub(super) fn moves(&self) {
        self.moves_at(clock::boot_ns());
    }

    fn moves_at(&self, now_ns: u64) {
        let mut since = lock(&self.stuck_since);
        *since = since.and(Some(now_ns));
    }

    /// The loop turns now and will again within `wait`.
    pub(super) fn turns(&self, now: Stamp, wait: Duration) {
        let ns = u64::try_from((wait + LATE).as_nanos()).unwrap_or(u64::MAX);
        let mut due = lock(&self.turn_due);
        *due = Some(now.boot_ns.saturating_add(ns));
    }

    /// The loop has ended in order.
    pub(super) fn rests(&self) {
        let mut due = lock(&self.turn_due);
        *due = None;
    }

    fn lock(&self) -> MutexGuard<'_, UploadSnapshot> {
        lock(&self.snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_lasts_until_it_is_over_or_something_goes_all_the_same() {
        const SEC: u64 = 1_000_000_000;
        let state = UploadState::new();
        let lasts = |secs: u64| state.snapshot_at(secs * SEC).cause_secs;
        let cause = |secs: u64, why: Option<&str>| {
            state.change_at(secs * SEC, |s| s.cause = why.map(str::to_owned));
        };
        assert_eq!(lasts(100), None);
        state.moves_at(100 * SEC);
        assert_eq!(lasts(100), None, "nothing keeps it");
        cause(100, Some("no receiver is listening"));
        cause(130, Some("the receiver does not answer"));
        assert_eq!(lasts(700), Some(600), "in other words it is still one");
        state.moves_at(700 * SEC);
        assert_eq!(lasts(701), Some(1));
        cause(702, None);
        assert_eq!(lasts(800), None);
    }

    #[test]
    fn a_loop_that_does_not_turn_hangs_but_a_long_pause_does_not() {
        let at = |secs: u64| Stamp {
            utc_ns: 0,
            boot_ns: secs * 1_000_000_000,
            error_ns: 0,
        };
        let state = UploadState::new();
        assert!(!state.hangs(at(1_000_000)), "never started");
        state.turns(at(100), Duration::from_mins(5));
        assert!(!state.hangs(at(100 + 300)));
        assert!(state.hangs(at(100 + 300 + 61)));
        state.rests();
        assert!(!state.hangs(at(1_000_000)));
    }
}
