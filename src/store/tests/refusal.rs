//! What a receiver refuses, and how it comes back from that.

use serde_json::json;
use uuid::Uuid;

use super::faults::each_step;
use super::*;

const ADMIN: &str = "CN=admin-1,OU=admin";

/// A store in which case 1 is refused.
fn refused() -> (tempfile::TempDir, Store) {
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    refuse(&store, case(1)).unwrap();
    assert_eq!(audit(&store)[&case(1)], State::Refused);
    (dir, store)
}

fn refuse(store: &Store, id: CaseId) -> Result<(), StoreError> {
    store.refused(id, b"signed no", &sig(store, id), "chain")
}

fn lose_the_database(dir: &Path, store: Store) -> Store {
    drop(store);
    fs::remove_file(dir.join("q.db")).unwrap();
    open(dir)
}

#[test]
fn what_was_refused_is_queued_when_a_person_says_so() {
    let (dir, mut store) = refused();
    for n in 2..=4 {
        keep_and_seal(&store, case(n));
    }
    refuse(&store, case(2)).unwrap();
    receipt(&store, case(4)).unwrap();
    for to in [State::Queued, State::Sending] {
        let by_itself = store.step(case(1), to);
        assert!(matches!(by_itself, Err(StoreError::Step { .. })));
    }
    let command = Uuid::from_u128(7);
    assert!(store.requeue(NOW, case(1), Some((command, ADMIN))).unwrap());
    assert!(!store.requeue(NOW, case(1), None).unwrap(), "it was done");
    assert!(!store.requeue(NOW, case(3), None).unwrap(), "never refused");
    let receipted = store.requeue(NOW, case(4), None);
    assert!(matches!(receipted, Err(StoreError::Step { .. })));
    let unknown = store.requeue(NOW, case(9), None);
    assert!(matches!(unknown, Err(StoreError::Unknown(_))));
    assert_eq!(store.requeue_all(NOW, None).unwrap(), 1);
    let lines = [
        json!({ "id": case(1), "command": command, "by": ADMIN }),
        json!({ "id": case(2), "command": null, "by": null }),
    ];
    assert_eq!(said(dir.path(), "package.requeued"), lines);
    // Refused once more, and once more offered: the last word counts.
    refuse(&store, case(2)).unwrap();
    for _ in 0..2 {
        let states = audit(&store);
        let expected = [
            State::Queued,
            State::Refused,
            State::Queued,
            State::Receipted,
        ];
        assert_eq!(states.into_values().collect::<Vec<_>>(), expected);
        store = lose_the_database(dir.path(), store);
    }
    receipt(&store, case(1)).unwrap();
    assert_eq!(audit(&store)[&case(1)], State::Receipted);
}

#[test]
fn requeuing_fails_at_any_step_without_harm() {
    let steps = each_step(
        |store| {
            keep_and_seal(store, case(1));
            refuse(store, case(1)).unwrap();
        },
        |store| store.requeue(NOW, case(1), None).map(drop),
        |store| store.state(case(1)).unwrap() == Some(State::Queued),
    );
    assert!(steps >= 2, "{steps}");
}

/// The file rotted after it was compared and before its pieces were read.
#[test]
fn what_is_refused_because_it_rotted_is_damaged_and_comes_back_from_its_copy() {
    let (dir, medium) = (folder(), medium());
    let (store, _) = Store::open(&mirrored(dir.path(), medium.path()), DEVICE).unwrap();
    keep_and_seal(&store, case(1));
    while matches!(store.mirror_step().unwrap(), MirrorStep::Copied(_)) {}
    let clip = store.package_dir(case(1)).join("clip.mp4");
    let mut bytes = fs::read(&clip).unwrap();
    bytes[3] ^= 1;
    fs::remove_file(&clip).unwrap();
    disk::write_new(&clip, &bytes).unwrap();
    store.step(case(1), State::Sending).unwrap();
    refuse(&store, case(1)).unwrap();
    assert_eq!(store.state(case(1)).unwrap(), Some(State::Damaged));
    assert!(said(dir.path(), "package.refused").is_empty());
    assert!(matches!(store.heal(case(1)).unwrap(), Healed::Whole(_)));
    assert_eq!(audit(&store)[&case(1)], State::Queued);
}

/// Two receivers had it; the one that could not judge it was quicker.
#[test]
fn a_receipt_after_a_refusal_is_kept() {
    let (dir, store) = refused();
    let facts = facts(&sig(&store, case(1)));
    let late = |seq| store.receipted_later((case(1), seq), b"signed receipt", &facts);
    assert!(!late(2).unwrap(), "the number is another's");
    assert!(late(1).unwrap());
    assert!(!late(1).unwrap(), "the same again changes nothing");
    assert_eq!(audit(&store)[&case(1)], State::Receipted);
    let store = lose_the_database(dir.path(), store);
    assert_eq!(audit(&store)[&case(1)], State::Receipted);
}

/// The receiver took longer to hash it than the box waits for an answer, and would each time.
#[test]
fn a_receipt_that_comes_when_its_package_is_back_in_the_queue_is_kept() {
    let dir = folder();
    let store = open(dir.path());
    let ways: [&[State]; 3] = [
        &[State::Sending, State::Queued],
        &[State::Sending],
        &[State::Sending, State::Sent],
    ];
    for (n, way) in (1..).zip(ways) {
        keep_and_seal(&store, case(n));
        for step in way {
            store.step(case(n), *step).unwrap();
        }
        let facts = facts(&sig(&store, case(n)));
        let late = |seq| store.receipted_later((case(n), seq), b"signed receipt", &facts);
        assert!(!late(9).unwrap(), "the number is another's");
        assert!(late(u64::from(n)).unwrap(), "{way:?}");
        assert!(
            !late(u64::from(n)).unwrap(),
            "the same again changes nothing"
        );
        assert_eq!(audit(&store)[&case(n)], State::Receipted, "{way:?}");
    }
    assert_eq!(store.next_of(NOW, &Wish::default()).unwrap(), None);
    let store = lose_the_database(dir.path(), store);
    let states = audit(&store);
    assert!(states.values().all(|state| *state == State::Receipted));
}
