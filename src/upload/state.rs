//! How the upload stands, for the status page and the watchdog.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::profile::Why;
use crate::clock;
use crate::config::Profile;
use crate::store::StoreError;
use crate::types::{Stamp, lock};

/// How the upload stands at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UploadSnapshot {
    /// Whether a connection to the broker stands.
    pub connected: bool,
    /// For how long it has carried whatever waits, seconds, short breaks included: what waited through an
    /// outage goes only some time after a connection is made. `None` while there is none.
    pub open_secs: Option<u64>,
    /// For how long there have been connections again, broken or not, since the start or since there was
    /// none for a day, seconds. `None` before the first.
    pub back_secs: Option<u64>,
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
    inner: Mutex<Inner>,
    /// Boot clock, nanoseconds: before this the upload will have moved again.
    turn_due: Mutex<Option<u64>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// All but what depends on the moment.
    snapshot: UploadSnapshot,
    /// What the store did not do when it was last asked: a cause while there is no other.
    store_cause: Option<String>,
    /// Boot clock, nanoseconds: since when there is a cause, or when a package last moved all the same.
    stuck_since: Option<u64>,
    /// Boot clock, nanoseconds: from when on the connection carries whatever waits.
    open_from: Option<u64>,
    /// The same of the first connection after a day without one.
    back_from: Option<u64>,
    /// Boot clock, nanoseconds: when the last connection ended.
    left: Option<u64>,
}

/// After so long without a connection nothing that is old is its fault, nanoseconds.
const AWAY_NS: u64 = 24 * 60 * 60 * 1_000_000_000;

impl Inner {
    fn cause(&self) -> Option<&String> {
        self.snapshot.cause.as_ref().or(self.store_cause.as_ref())
    }

    fn has_changed(&mut self, now_ns: u64) {
        self.stuck_since = self.cause().and(self.stuck_since.or(Some(now_ns)));
    }
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
        let inner = self.lock();
        let secs = |since: u64| now_ns.saturating_sub(since) / 1_000_000_000;
        UploadSnapshot {
            cause: inner.cause().cloned(),
            cause_secs: inner.stuck_since.map(secs),
            open_secs: inner
                .open_from
                .filter(|_| inner.snapshot.connected)
                .map(secs),
            back_secs: inner.back_from.map(secs),
            ..inner.snapshot.clone()
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
        let mut inner = self.lock();
        let was_connected = inner.snapshot.connected;
        change(&mut inner.snapshot);
        if was_connected && !inner.snapshot.connected {
            inner.left = Some(now_ns);
        }
        inner.has_changed(now_ns);
    }

    /// The store did what it was asked, or why it did not: that is over with the next it does, and no answer
    /// of a receiver is needed for it.
    pub(super) fn store_did(&self, error: Option<&StoreError>) {
        self.store_did_at(clock::boot_ns(), error);
    }

    fn store_did_at(&self, now_ns: u64, error: Option<&StoreError>) {
        let mut inner = self.lock();
        inner.store_cause = error.map(ToString::to_string);
        inner.has_changed(now_ns);
    }

    /// A connection is made that carries whatever waits from then on.
    pub(super) fn opens(&self, from: Instant) {
        self.opens_at((Instant::now(), clock::boot_ns()), from);
    }

    fn opens_at(&self, (now, now_ns): (Instant, u64), from: Instant) {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let ahead = ns(from.saturating_duration_since(now));
        let ago = ns(now.saturating_duration_since(from));
        let from = now_ns.saturating_add(ahead).saturating_sub(ago);
        let mut inner = self.lock();
        inner.open_from = Some(from);
        let was_here = |left: u64| now_ns.saturating_sub(left) < AWAY_NS;
        if !inner.left.is_some_and(was_here) {
            inner.back_from = Some(from);
        }
    }

    /// A part of a package has gone, whatever keeps others from going.
    pub(super) fn moves(&self) {
        self.moves_at(clock::boot_ns());
    }

    fn moves_at(&self, now_ns: u64) {
        let since = &mut self.lock().stuck_since;
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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
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
    fn what_the_store_did_not_do_is_no_cause_any_more_when_it_does_again() {
        const SEC: u64 = 1_000_000_000;
        let state = UploadState::new();
        let told = |secs: u64| {
            let now = state.snapshot_at(secs * SEC);
            (now.cause, now.cause_secs)
        };
        let away = StoreError::Io("its disk was taken away".to_owned());
        state.store_did_at(100 * SEC, Some(&away));
        assert_eq!(told(105), (Some(away.to_string()), Some(5)));
        state.store_did_at(105 * SEC, None);
        assert_eq!(told(9_000), (None, None));
        // It ends no other cause, and begins none anew.
        state.change_at(9_000 * SEC, |s| s.cause = Some("no receiver".to_owned()));
        state.store_did_at(9_100 * SEC, Some(&away));
        state.store_did_at(9_105 * SEC, None);
        assert_eq!(told(9_600), (Some("no receiver".to_owned()), Some(600)));
    }

    #[test]
    fn a_connection_is_open_once_it_carries_what_waited() {
        const SEC: u64 = 1_000_000_000;
        let state = UploadState::new();
        let open = |secs: u64| state.snapshot_at(secs * SEC).open_secs;
        let (now, delay) = (Instant::now(), Duration::from_secs(30));
        state.opens_at((now, 100 * SEC), now + delay);
        assert_eq!(open(200), None, "not connected");
        state.change(|s| s.connected = true);
        assert_eq!([100, 130, 730].map(open), [Some(0), Some(0), Some(600)]);
        // The link alone was away, for a moment.
        state.opens_at((now + 2 * delay, 160 * SEC), now + delay);
        assert_eq!(open(730), Some(600));
    }

    #[test]
    fn connections_are_back_from_the_first_after_a_day_without() {
        const HOUR: u64 = 3_600;
        let state = UploadState::new();
        let back = |secs: u64| state.snapshot_at(secs * 1_000_000_000).back_secs;
        let connected = |secs: u64, is: bool| {
            if is {
                let now = Instant::now();
                state.opens_at((now, secs * 1_000_000_000), now);
            }
            state.change_at(secs * 1_000_000_000, |s| s.connected = is);
        };
        assert_eq!(back(HOUR), None, "none was made");
        connected(HOUR, true);
        connected(2 * HOUR, false);
        // Tried for so long, and in vain.
        connected(24 * HOUR, false);
        connected(26 * HOUR - 1, true);
        assert_eq!(back(26 * HOUR), Some(25 * HOUR), "not a day");
        connected(27 * HOUR, false);
        assert_eq!(back(50 * HOUR), Some(49 * HOUR));
        connected(51 * HOUR, true);
        assert_eq!(back(52 * HOUR), Some(HOUR), "a day");
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
