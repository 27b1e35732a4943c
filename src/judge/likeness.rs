//! What a case remembers of how its subject looked, and how like that is what stands there later.
//!
//! Place, role and size tell a stall from another beside it, not from one that came after it. So
//! the looks of a thing are remembered while it stands, and what is seen at the second look is held
//! against each of them. The best of all counts: now a customer hides one half, then another.

use std::time::Duration;

use crate::types::{Appearance, Stamp};

/// Looks remembered of one thing.
const KEPT: usize = 6;
/// Time between two of them: customers come and go meanwhile.
const EVERY: Duration = Duration::from_secs(4);

/// The latest looks of one thing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    kept: [Option<Appearance>; KEPT],
    taken: usize,
    last: Option<Stamp>,
}

impl Looks {
    /// Remembers how it looks at `at`, unless that was done a moment ago.
    pub(super) fn take(&mut self, at: Stamp, appearance: Option<Appearance>) {
        let due = self.last.is_none_or(|last| at.since(last) >= EVERY);
        if appearance.is_some() && due {
            self.kept[self.taken % KEPT] = appearance;
            self.taken += 1;
            self.last = Some(at);
        }
    }

    /// The looks remembered.
    pub(super) fn all(&self) -> Vec<Appearance> {
        self.kept.iter().flatten().copied().collect()
    }
}

/// How like `known` looks what looks like `now`, thousandths; `None` when nobody can tell.
pub(super) fn likeness(known: &[Appearance], now: Option<Appearance>) -> Option<u16> {
    let now = now?;
    known.iter().map(|one| one.likeness(&now)).max()
}
