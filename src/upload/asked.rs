//! The packages that somebody asked for with their video: a receiver, or a person by a command.

use std::collections::VecDeque;

use super::places::HANDS_ASKED;
use crate::types::CaseId;

/// So many are known at once. Beyond it a receiver asks again, and what a command asked for stands in
/// the store.
const ASKED_MAX: usize = 256;

/// What was asked for and is not answered yet, in the order of asking.
#[derive(Debug)]
pub(super) struct AskedFor {
    ids: VecDeque<CaseId>,
    /// Whether the store may have some that are not among them.
    unread: bool,
}

impl AskedFor {
    /// Nothing known yet: what was asked for before the last stop or crash is in the store.
    pub(super) fn new() -> Self {
        Self {
            ids: VecDeque::new(),
            unread: true,
        }
    }

    /// One more; false when it is known already or finds no room.
    pub(super) fn push(&mut self, id: CaseId) -> bool {
        if self.contains(id) {
            return false;
        }
        if self.ids.len() >= ASKED_MAX {
            self.unread = true;
            return false;
        }
        self.ids.push_back(id);
        true
    }

    /// Whether it is time to [`Self::read`] what the store has.
    pub(super) fn runs_low(&self) -> bool {
        self.unread && self.ids.len() < HANDS_ASKED
    }

    /// Takes over what the store has, as far as there is room.
    pub(super) fn read(&mut self, wanted: Vec<CaseId>) {
        self.unread = false;
        for id in wanted {
            self.push(id);
        }
    }

    /// The first that is not in hand.
    pub(super) fn next(&self, in_hand: impl Fn(CaseId) -> bool) -> Option<CaseId> {
        self.ids.iter().copied().find(|id| !in_hand(*id))
    }

    /// Whether it was asked for.
    pub(super) fn contains(&self, id: CaseId) -> bool {
        self.ids.contains(&id)
    }

    /// It was answered, or is nothing to send.
    pub(super) fn done(&mut self, id: CaseId) {
        self.ids.retain(|other| *other != id);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_asked_for_beyond_the_room_is_read_again_and_sent() {
        let case = |n| CaseId(Uuid::from_u128(n));
        for (before, by_command) in [(0, 260), (260, 0), (600, 300)] {
            let all: Vec<CaseId> = (0..before + by_command).map(case).collect();
            let mut asked = AskedFor::new();
            let mut rows: Vec<CaseId> = (0..before).map(case).collect();
            if asked.runs_low() {
                asked.read(rows.clone());
            }
            for n in before..before + by_command {
                rows.push(case(n));
                asked.push(case(n));
                assert!(asked.ids.len() <= ASKED_MAX);
            }
            let mut sent = Vec::new();
            loop {
                if asked.runs_low() {
                    asked.read(rows.clone());
                }
                let Some(id) = asked.next(|_| false) else {
                    break;
                };
                rows.retain(|other| *other != id);
                asked.done(id);
                sent.push(id);
            }
            sent.sort_unstable();
            assert_eq!(sent, all, "{before} and {by_command}");
            assert!(!asked.runs_low(), "nothing more to read");
        }
    }
}
