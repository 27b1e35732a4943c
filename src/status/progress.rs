//! Whether the work goes on: each stage leaves the time of its last turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;

/// One stage's last turn. A stage that has nothing to do still turns, idle.
#[derive(Clone, Debug)]
pub struct Beat {
    name: &'static str,
    last_ns: Arc<AtomicU64>,
}

impl Beat {
    /// Marks a turn.
    pub fn turn(&self) {
        self.last_ns.store(clock::boot_ns(), Ordering::Relaxed);
    }
}

/// The stages that must turn for the daemon to count as working.
#[derive(Debug, Default)]
pub struct Progress {
    beats: Vec<Beat>,
}

impl Progress {
    /// Adds a stage; its first turn is now.
    pub fn watch(&mut self, name: &'static str) -> Beat {
        let beat = Beat {
            name,
            last_ns: Arc::new(AtomicU64::new(clock::boot_ns())),
        };
        self.beats.push(beat.clone());
        beat
    }

    /// The first stage that has not turned for longer than `limit` at `now_ns` on the boot clock.
    pub fn stuck(&self, now_ns: u64, limit: Duration) -> Option<&'static str> {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        self.beats
            .iter()
            .find(|b| now_ns.saturating_sub(b.last_ns.load(Ordering::Relaxed)) > limit)
            .map(|b| b.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_that_stopped_turning_is_named() {
        let mut progress = Progress::default();
        let (eye, keeper) = (progress.watch("eye"), progress.watch("keeper"));
        let later = clock::boot_ns() + 20_000_000_000;
        eye.last_ns.store(later, Ordering::Relaxed);
        let limit = Duration::from_secs(10);
        assert_eq!(progress.stuck(later, limit), Some("keeper"));
        keeper.last_ns.store(later, Ordering::Relaxed);
        assert_eq!(progress.stuck(later, limit), None);
    }
}
