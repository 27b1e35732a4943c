//! What a command must quote while the clock is not synchronised.

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;

use crate::clock;
use crate::command::AHEAD_MAX_SECS;
use crate::types::Stamp;
use crate::witness::sha256_hex;

/// The present nonce and the one before, so that a command under way is not too late by a moment.
pub(super) struct Nonces {
    told: watch::Sender<String>,
    before: String,
    /// Boot clock, nanoseconds.
    since_ns: u64,
    /// Whether none was needed when it was looked last.
    slept: bool,
}

impl Nonces {
    /// A fresh one, and where it is told.
    pub(super) fn new() -> (Self, watch::Receiver<String>) {
        let first = fresh();
        let (told, tell) = watch::channel(first.clone());
        let nonces = Self {
            told,
            before: first,
            since_ns: clock::boot_ns(),
            slept: false,
        };
        (nonces, tell)
    }

    /// Those that hold.
    pub(super) fn present(&self) -> [String; 2] {
        [self.told.borrow().clone(), self.before.clone()]
    }

    /// Makes a new one when the present one is old and is needed. While the clock can be trusted
    /// none is, and what was told then holds no more afterwards: a command may have been held back
    /// for as long.
    pub(super) fn turn(&mut self, now: Stamp, synced: bool) {
        const HOLDS_NS: u64 = AHEAD_MAX_SECS.unsigned_abs() * 1_000_000_000;
        if synced {
            self.slept = true;
            return;
        }
        if std::mem::take(&mut self.slept) {
            self.since_ns = now.boot_ns;
            self.before = fresh();
            self.told.send_replace(self.before.clone());
            return;
        }
        if now.boot_ns.saturating_sub(self.since_ns) < HOLDS_NS {
            return;
        }
        self.since_ns = now.boot_ns;
        self.before = self.told.send_replace(fresh());
    }
}

/// Nothing anybody can guess. Without randomness from the system it is at least never the same
/// twice.
fn fresh() -> String {
    let mut bytes = [0; 16];
    let seed = match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => bytes.to_vec(),
        Err(_unspecified) => format!("{} {}", clock::boot_id(), clock::boot_ns()).into_bytes(),
    };
    sha256_hex(&seed).chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_holds_for_a_while_and_one_more() {
        let (mut nonces, told) = Nonces::new();
        let first = told.borrow().clone();
        assert_eq!(nonces.present(), [first.clone(), first.clone()]);
        let at = |secs: u64| Stamp {
            utc_ns: 0,
            boot_ns: nonces.since_ns + secs * 1_000_000_000,
            error_ns: 0,
        };
        let (soon, late, later) = (at(299), at(300), at(600));
        nonces.turn(soon, false);
        assert_eq!(nonces.present()[0], first, "young");
        nonces.turn(late, false);
        let [second, before] = nonces.present();
        assert_eq!(before, first);
        assert_ne!(second, first);
        assert_eq!(*told.borrow(), second);
        nonces.turn(later, false);
        assert!(!nonces.present().contains(&first), "its time is over");
    }
    #[test]
    fn what_was_told_while_the_clock_was_right_holds_no_more_when_it_is_not() {
        let (mut nonces, told) = Nonces::new();
        let first = told.borrow().clone();
        let at = |secs: u64| Stamp {
            utc_ns: 0,
            boot_ns: nonces.since_ns + secs * 1_000_000_000,
            error_ns: 0,
        };
        let (soon, days, after) = (at(1), at(400_000), at(400_299));
        nonces.turn(soon, true);
        nonces.turn(days, false);
        let present = nonces.present();
        assert!(!present.contains(&first));
        assert_eq!(*told.borrow(), present[0]);
        nonces.turn(after, false);
        assert_eq!(nonces.present(), present, "young");
    }
}
