//! What happens inside the machine: the store's life, a promise for each thing it acknowledged.

use std::path::Path;

use lingmou::clock;
use lingmou::config::{self, PruneNeeds};
use lingmou::types::CaseId;
use rustix::time::{ClockId, clock_gettime, clock_settime};
use uuid::Uuid;

use crate::hands::{Hands, in_a_year};
use crate::promise::{Book, Word};

/// The word that the machine came to its end.
pub(crate) const LIVED: &str = "powercut: lived to the end";

/// The store's configuration, in the machine and when it is looked at afterwards.
pub(crate) fn config(dir: &Path) -> config::Store {
    config::Store {
        dir: dir.to_owned(),
        keep_free_mib: 0,
        ballast_mib: 2,
        // There is no second medium in the machine.
        prune_needs: PruneNeeds::Receipt,
        ..config::Store::default()
    }
}

/// Days by which the machine's clock is set forth and back, over and over; in sum none.
const STEPS: [i64; 6] = [300, -500, 200, -1, 367, -366];

/// Keeps, discards, seals, receipts and prunes, `rounds` times; the sizes differ so that files
/// end within a block, and at one. The clock is set meanwhile, which alone must make nothing old.
pub(crate) fn live((keys, store): (&Path, &Path), promises: &Path, rounds: u64) {
    let hands = Hands::open(keys, &config(store)).unwrap();
    let mut book = Book::open(promises);
    let mut promise = |word, id| book.promise(word, id, hands.store.head().n);
    for round in 0..rounds {
        let id = CaseId(Uuid::now_v7());
        let bytes = usize::try_from(4096 * (1 + round % 12) + (round % 3) * 700).unwrap();
        hands.keep(id, bytes).unwrap();
        promise(Word::Kept, id);
        if round % 9 == 4 {
            promise(Word::Leaving, id);
            hands.store.discard(id, "for a change", None).unwrap();
            continue;
        }
        hands.seal(id).unwrap();
        promise(Word::Sealed, id);
        if round % 3 != 0
            && let Some(id) = hands.receipt()
        {
            promise(Word::Receipted, id);
        }
        if round % 7 == 6 {
            let step = (round / 7) % STEPS.len() as u64;
            set_clock(STEPS[usize::try_from(step).unwrap()]);
            let care = hands.store.care(clock::now(), false).unwrap();
            assert_eq!(care.pruned.packages, 0, "pruned because a clock was set");
        }
        if round % 10 == 9 {
            hands.store.care(in_a_year(), true).unwrap();
        }
    }
    println!("{LIVED}");
}

/// Sets the machine's clock so many days ahead, or back.
fn set_clock(days: i64) {
    let mut at = clock_gettime(ClockId::Realtime);
    at.tv_sec += days * 24 * 3600;
    clock_settime(ClockId::Realtime, at).unwrap();
}
