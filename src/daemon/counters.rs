//! What the daemon's own threads count, for the status.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use serde::Serialize;
use serde_json::{Value, json};

use crate::types::{Stamp, lock};

/// Latencies remembered for the percentiles.
const LATENCIES_MAX: usize = 512;

/// The eye's counts.
#[derive(Debug, Default)]
pub(super) struct EyeCounters {
    detected: AtomicU64,
    gated: AtomicU64,
    blind: AtomicU64,
    /// Why the latest frame of a camera could not be looked at, by its place.
    blinded: Mutex<BTreeMap<usize, String>>,
    waited: AtomicU64,
    open_cases: AtomicU64,
    latencies_us: Mutex<Latencies>,
}

#[derive(Debug, Default)]
struct Latencies {
    next: usize,
    values: Vec<u64>,
}

impl EyeCounters {
    /// Counts a frame of this camera that the model looked at.
    pub(super) fn detected(&self, camera: usize) {
        self.detected.fetch_add(1, Ordering::Relaxed);
        self.blinded().remove(&camera);
    }

    pub(super) fn gated(&self) {
        self.gated.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a frame of this camera that the model could not look at; true for the first since
    /// one that it could.
    pub(super) fn blind(&self, camera: usize, why: String) -> bool {
        self.blind.fetch_add(1, Ordering::Relaxed);
        self.blinded().insert(camera, why).is_none()
    }

    /// Why the frames of this camera cannot be looked at; `None` while they can.
    pub(super) fn blind_at(&self, camera: usize) -> Option<String> {
        self.blinded().get(&camera).cloned()
    }

    fn blinded(&self) -> MutexGuard<'_, BTreeMap<usize, String>> {
        lock(&self.blinded)
    }

    pub(super) fn waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    /// So many cases are open.
    pub(super) fn judged(&self, open_cases: usize) {
        self.open_cases.store(open_cases as u64, Ordering::Relaxed);
    }

    /// A frame captured at `at` was judged at `now_ns` on the boot clock.
    pub(super) fn looked(&self, at: Stamp, now_ns: u64) {
        let mut l = lock(&self.latencies_us);
        let value = now_ns.saturating_sub(at.boot_ns) / 1000;
        if l.values.len() < LATENCIES_MAX {
            l.values.push(value);
        } else {
            let next = l.next;
            l.values[next] = value;
            l.next = (next + 1) % LATENCIES_MAX;
        }
    }

    pub(super) fn snapshot(&self) -> Value {
        let mut sorted = lock(&self.latencies_us).values.clone();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get(sorted.len() * percent / 100).map(|us| us / 1000);
        json!({
            "detected": self.detected.load(Ordering::Relaxed),
            "gated": self.gated.load(Ordering::Relaxed),
            "blind": self.blind.load(Ordering::Relaxed),
            "waited_for_keeper": self.waited.load(Ordering::Relaxed),
            "open_cases": self.open_cases.load(Ordering::Relaxed),
            "latency_ms_p50": at(50),
            "latency_ms_p95": at(95),
        })
    }
}

/// The keeper's counts and what it cannot do at the moment.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct KeeperState {
    /// Pictures kept.
    pub(super) pictures: u64,
    /// Packages sealed.
    pub(super) sealed: u64,
    /// Cases discarded.
    pub(super) discarded: u64,
    /// Cases whose end waits because the store cannot take it.
    pub(super) waiting: usize,
    /// What the store says; `None` while it works.
    pub(super) trouble: Option<String>,
}

impl KeeperState {
    /// Grows with whatever is kept.
    pub(super) fn kept(&self) -> u64 {
        self.pictures + self.sealed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_blind_until_one_of_its_frames_was_looked_at() {
        let counters = EyeCounters::default();
        assert!(counters.blind(1, "no memory".to_owned()));
        assert!(!counters.blind(1, "no device".to_owned()), "said once");
        counters.detected(0);
        assert_eq!(counters.blind_at(0), None);
        assert_eq!(counters.blind_at(1).as_deref(), Some("no device"));
        counters.detected(1);
        assert_eq!(counters.blind_at(1), None);
        assert!(counters.blind(1, "no memory".to_owned()), "said again");
        assert_eq!(counters.snapshot()["blind"], 3);
    }
}
