//! What is added to a receipted package: journal lines, their manifest, the time-stamp.

use rustix::io::Errno;

use super::*;
use crate::disk::fault::{self, Mode};
use crate::witness::{CHAIN, JournalCopy, JournalLines, STAMPED, TIMESTAMP, TimeStamp};

/// What the made-up token says.
fn says() -> TimeStamp {
    TimeStamp {
        at: "2026-08-01T03:01:00.000Z".to_owned(),
        accuracy_us: None,
        authority: "CN=time-stamper-1".to_owned(),
        policy: "1.2.3.4".to_owned(),
        serial: "01".to_owned(),
        certificate_sha256: "0".repeat(64),
    }
}

/// A receipt that names the journal's last line at this moment.
fn receipt_with_head(store: &Store, id: CaseId) -> Result<(), StoreError> {
    let head = store.head();
    let facts = ReceiptFacts {
        head: Some(JournalCopy {
            n: head.n,
            hash: head.sha256,
        }),
        ..facts(&sig(store, id))
    };
    store.receipted(id, b"signed receipt", &facts)
}

fn file(store: &Store, id: CaseId, name: &str) -> Option<Vec<u8>> {
    fs::read(store.package_dir(id).join(name)).ok()
}

/// Names the manifest over the additions lists, each held against its file.
fn listed(store: &Store, id: CaseId) -> Vec<String> {
    let manifest = Manifest::parse(&file(store, id, STAMPED).unwrap()).unwrap();
    assert_eq!(manifest.signature, SigReference::time_stamp(1));
    let held = |entry: ManifestEntry| {
        let bytes = file(store, id, &entry.name).unwrap();
        assert_eq!(entry.sha256_hex(), sha256_hex(&bytes));
        entry.name
    };
    manifest.entries.into_iter().map(held).collect()
}

#[test]
fn a_receipt_brings_journal_lines_and_the_manifest_for_a_stamp() {
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    let first = store.head();
    store.note(NOW, "boot", serde_json::json!({})).unwrap();
    keep_and_seal(&store, case(2));
    receipt_with_head(&store, case(1)).unwrap();
    assert_eq!(
        listed(&store, case(1)),
        [witness::SIGNATURE, witness::RECEIPT, CHAIN]
    );
    let chain = file(&store, case(1), CHAIN).unwrap();
    let lines = JournalLines::parse(&chain).unwrap();
    assert_eq!((lines.lines().len(), lines.lines()[0].n), (3, first.n));
    let journal = fs::read(dir.path().join("journal/00000001.jsonl")).unwrap();
    assert!(journal.starts_with(&chain), "byte for byte");
    assert_eq!(
        store.counts().unwrap().stamps,
        StampCount { kept: 0, due: 1 }
    );

    let due = store.next_stamp().unwrap().unwrap();
    assert_eq!(due.id, case(1));
    assert_eq!(Some(due.manifest), file(&store, case(1), STAMPED));
    store.stamped(case(1), b"token", &says()).unwrap();
    store.stamped(case(1), b"another", &says()).unwrap();
    assert_eq!(file(&store, case(1), TIMESTAMP).unwrap(), b"token");
    let said = said(dir.path(), "stamp");
    assert_eq!(said.len(), 1, "a second stamp changes nothing");
    assert_eq!(said[0]["token_sha256"], sha256_hex(b"token"));
    assert_eq!(store.next_stamp().unwrap(), None);
    assert_eq!(
        store.counts().unwrap().stamps,
        StampCount { kept: 1, due: 0 }
    );
    assert!(matches!(
        store.stamped(case(2), b"token", &says()),
        Err(StoreError::Unknown(_))
    ));
    assert!(store.check().unwrap().is_empty());
    audit(&store);
}

#[test]
fn lines_that_prove_nothing_are_not_added() {
    type Ruin = fn(&mut JournalCopy, &Path);
    let table: [(&str, Ruin); 5] = [
        ("an older head", |head, _| head.n = 1),
        ("a head to come", |head, _| head.n += 1),
        ("another history", |head, _| head.hash = "a".repeat(64)),
        ("no hash at all", |head, _| head.hash.clear()),
        ("rot in between", |_, dir| {
            let path = dir.join("journal/00000001.jsonl");
            let text = fs::read_to_string(&path).unwrap();
            fs::remove_file(&path).unwrap();
            let changed = text.replacen("\"boot\"", "\"boat\"", 1);
            disk::write_new(&path, changed.as_bytes()).unwrap();
        }),
    ];
    for (what, ruin) in table {
        let dir = folder();
        let store = open(dir.path());
        store
            .note(NOW, "config.loaded", serde_json::json!({}))
            .unwrap();
        keep_and_seal(&store, case(1));
        let head = store.note(NOW, "boot", serde_json::json!({})).unwrap();
        let mut copy = JournalCopy {
            n: head.n,
            hash: head.sha256,
        };
        ruin(&mut copy, dir.path());
        let facts = ReceiptFacts {
            head: Some(copy),
            ..facts(&sig(&store, case(1)))
        };
        store.receipted(case(1), b"signed receipt", &facts).unwrap();
        assert_eq!(
            listed(&store, case(1)),
            [witness::SIGNATURE, witness::RECEIPT],
            "{what}"
        );
        assert!(store.next_stamp().unwrap().is_some(), "{what}");
    }
}

#[test]
fn the_package_tried_least_is_due_and_of_those_the_newest() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
        receipt(&store, case(n)).unwrap();
    }
    let next = || store.next_stamp().unwrap().map(|due| due.id);
    assert_eq!(next(), Some(case(3)));
    store.defer_stamp(case(3)).unwrap();
    assert_eq!(next(), Some(case(2)));
    store.defer_stamp(case(2)).unwrap();
    assert_eq!(next(), Some(case(1)));
    store.stamped(case(1), b"token", &says()).unwrap();
    assert_eq!(next(), Some(case(3)));
    // A receipt that is gone has nothing to be stamped.
    fs::remove_file(store.package_dir(case(3)).join(witness::RECEIPT)).unwrap();
    assert_eq!(next(), Some(case(2)));
    assert_eq!(
        store.counts().unwrap().stamps,
        StampCount { kept: 1, due: 1 }
    );
}

#[test]
fn each_step_of_adding_may_fail_and_is_done_again() {
    for mode in [Mode::Once(Errno::NOSPC), Mode::Forever(Errno::IO)] {
        for restart in [true, false] {
            for n in 0.. {
                let dir = folder();
                let mut store = open(dir.path());
                keep_and_seal(&store, case(1));
                fault::plan(n, mode);
                let result = receipt_with_head(&store, case(1));
                let untouched = fault::clear();
                if restart {
                    drop(store);
                    store = open(dir.path());
                }
                if store.state(case(1)).unwrap() != Some(State::Receipted) {
                    result.unwrap_err();
                    receipt_with_head(&store, case(1)).unwrap();
                }
                if !restart {
                    assert_eq!(store.next_stamp().unwrap().unwrap().id, case(1));
                }
                let names = listed(&store, case(1));
                assert!(names.contains(&CHAIN.to_owned()), "{mode:?} {n}: {names:?}");
                audit(&store);
                if untouched {
                    assert!(n > 14, "{n} steps");
                    break;
                }
            }
        }
    }
}

#[test]
fn each_step_of_stamping_may_fail_and_is_done_again() {
    for mode in [Mode::Once(Errno::NOSPC), Mode::Forever(Errno::IO)] {
        for restart in [true, false] {
            for n in 0.. {
                let dir = folder();
                let mut store = open(dir.path());
                keep_and_seal(&store, case(1));
                receipt_with_head(&store, case(1)).unwrap();
                let manifest = file(&store, case(1), STAMPED);
                fault::plan(n, mode);
                let result = store.stamped(case(1), b"token", &says());
                let untouched = fault::clear();
                if restart {
                    drop(store);
                    store = open(dir.path());
                }
                if let Some(due) = store.next_stamp().unwrap() {
                    result.unwrap_err();
                    assert_eq!(
                        Some(&due.manifest),
                        manifest.as_ref(),
                        "what is stamped stays"
                    );
                    store.stamped(due.id, b"token", &says()).unwrap();
                }
                assert_eq!(file(&store, case(1), TIMESTAMP).unwrap(), b"token");
                assert_eq!(
                    store.counts().unwrap().stamps,
                    StampCount { kept: 1, due: 0 }
                );
                audit(&store);
                if untouched {
                    assert!(n > 5, "{n} steps");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_lost_database_knows_its_stamps_again() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=4 {
        keep_and_seal(&store, case(n));
        receipt_with_head(&store, case(n)).unwrap();
    }
    for n in 1..=3 {
        store.stamped(case(n), &[n], &says()).unwrap();
    }
    let before = file(&store, case(4), STAMPED);
    drop(store);
    let place = |n| package_dir(dir.path(), case(n)).join(TIMESTAMP);
    fs::remove_file(place(2)).unwrap();
    fs::remove_file(place(3)).unwrap();
    disk::write_new(&place(3), b"not the one the journal names").unwrap();
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let store = open(dir.path());
    assert_eq!(
        store.counts().unwrap().stamps,
        StampCount { kept: 1, due: 3 }
    );
    assert_eq!(file(&store, case(4), STAMPED), before);
    let mut due = Vec::new();
    while let Some(next) = store.next_stamp().unwrap() {
        assert_eq!(file(&store, next.id, STAMPED), Some(next.manifest));
        store.stamped(next.id, b"token", &says()).unwrap();
        due.push(next.id);
    }
    assert_eq!(due, [case(4), case(3), case(2)]);
}

#[test]
fn packages_receipted_by_an_older_version_get_their_stamp() {
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    keep_and_seal(&store, case(2));
    receipt(&store, case(1)).unwrap();
    {
        let inner = store.inner();
        inner
            .conn
            .execute_batch(
                "DROP TRIGGER package_receipt_added; DROP TRIGGER package_stamp_added;
                 DROP INDEX package_state; DROP INDEX package_gravest;
                 DROP INDEX package_oldest; DROP INDEX package_fresh;
                 DROP INDEX package_fresh_here;
                 CREATE INDEX package_due ON package(state, severity DESC, seq);
                 ALTER TABLE package DROP COLUMN told;
                 ALTER TABLE package DROP COLUMN told_ms;
                 ALTER TABLE package DROP COLUMN copies;
                 ALTER TABLE package DROP COLUMN additions;
                 ALTER TABLE package DROP COLUMN mirror;
                 ALTER TABLE package DROP COLUMN received_ms;
                 ALTER TABLE package DROP COLUMN wanted;
                 ALTER TABLE package DROP COLUMN sealed_boot;
                 ALTER TABLE package DROP COLUMN sealed_ns;
                 DROP TABLE command; DROP TABLE signer; DROP TABLE verdict; DROP TABLE rule;
                 DROP TABLE evicted; DROP TABLE stamp; PRAGMA user_version = 1",
            )
            .unwrap();
    }
    fs::remove_file(store.package_dir(case(1)).join(STAMPED)).unwrap();
    drop(store);
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.database, Database::Sound);
    let due = store.next_stamp().unwrap().unwrap();
    assert_eq!(due.id, case(1));
    assert_eq!(
        listed(&store, case(1)),
        [witness::SIGNATURE, witness::RECEIPT]
    );
}
