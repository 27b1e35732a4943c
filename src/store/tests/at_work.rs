//! What breaks or stops while the store is at work, and what is not to be made again.

use rustix::io::Errno;
use serde_json::json;
use uuid::Uuid;

use super::outside::commanded;
use super::ruin::{expected, filled, overwrite};
use super::*;
use crate::journal::disk::fault::{self, Mode};
use crate::witness::Fate;

fn break_it(store: &Store) {
    let mut inner = store.inner();
    let path = inner.dir.join("q.db");
    // The last to close it writes its log back.
    inner.conn = Connection::open_in_memory().unwrap();
    overwrite(&path, |b| b[4096..].fill(0x5a));
    inner.conn = Connection::open(&path).unwrap();
}

/// No person is there to start the daemon again.
#[test]
fn a_database_that_breaks_at_work_is_made_again_at_work() {
    let dir = filled();
    let store = open(dir.path());
    break_it(&store);
    let error = store.next_of(NOW, &Wish::default()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    store.care(NOW, false).unwrap();
    assert_eq!(audit(&store), expected());
    let rebuilt = said(dir.path(), "store.rebuilt");
    assert!(
        rebuilt[0]["why"].to_string().contains("malformed"),
        "{rebuilt:?}"
    );
    assert_eq!(rebuilt.len(), 1);
    keep_and_seal(&store, case(7));
    assert_eq!(audit(&store).len(), 6);
    let locked = Store::open(&config(dir.path()), DEVICE).unwrap_err();
    assert!(matches!(locked, StoreError::Locked { .. }), "{locked}");

    // What breaks at once again is not a matter for the same medicine.
    break_it(&store);
    let error = store.care(NOW, true).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    store.care(NOW.shifted_ns(3_600_000_000_000), true).unwrap();
    assert_eq!(audit(&store).len(), 6);
}

/// A second medium that stops in the middle of a file holds up no seal.
#[test]
fn what_is_healed_is_read_without_holding_up_the_store() {
    use rustix::fs::{CWD, FileType, mknodat};

    let (dir, medium) = (folder(), medium());
    let config = mirrored(dir.path(), medium.path());
    let store = Store::open(&config, DEVICE).unwrap().0;
    keep_and_seal(&store, case(1));
    assert_eq!(mirror::catch_up(&store), [case(1)]);
    fs::remove_file(store.package_dir(case(1)).join("clip.mp4")).unwrap();
    assert_eq!(store.next_of(NOW, &Wish::default()).unwrap(), None);
    let copy = medium.path().join("packages").join(case(1).to_string());
    let clip = copy.join("clip.mp4");
    fs::remove_file(&clip).unwrap();
    mknodat(CWD, &clip, FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let healed = std::thread::scope(|scope| {
        let healing = scope.spawn(|| store.heal(case(1)).unwrap());
        // Opens when the other end is read from, which waits for us from then on.
        let end = fs::OpenOptions::new().write(true).open(&clip).unwrap();
        keep_and_seal(&store, case(2));
        drop(end);
        healing.join().unwrap()
    });
    assert!(matches!(healed, Healed::Not(_)), "{healed:?}");
    assert_eq!(store.state(case(2)).unwrap(), Some(State::Queued));
}

#[test]
fn making_the_database_again_fails_at_any_step_without_harm() {
    for n in 0.. {
        let dir = filled();
        let store = open(dir.path());
        break_it(&store);
        fault::plan(n, Mode::Once(Errno::NOSPC));
        let cared = store.care(NOW, false);
        let through = fault::clear();
        if cared.is_err() {
            store.note(NOW, "test", json!({})).unwrap();
            store.care(NOW, false).unwrap();
        }
        assert_eq!(audit(&store), expected(), "step {n}");
        if through {
            assert!(n > 10, "{n}");
            break;
        }
    }
}

/// What only the upload reads is broken: its own errors tell nobody, an hourly look does.
#[test]
fn a_database_that_is_broken_where_nobody_looks_is_found() {
    let dir = filled();
    let store = open(dir.path());
    store.care(NOW, false).unwrap();
    let root: i64 = {
        let inner = store.inner();
        inner
            .conn
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'package_fresh'";
        inner.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let start = (usize::try_from(root).unwrap() - 1) * 4096;
    overwrite(&dir.path().join("q.db"), |b| {
        b[start..start + 4096].fill(0x5a);
    });
    store.care(NOW, false).unwrap();
    assert_eq!(said(dir.path(), "store.rebuilt").len(), 0, "not yet");
    store
        .care(NOW.shifted_ns(3_600_000_000_000), false)
        .unwrap();
    assert_eq!(said(dir.path(), "store.rebuilt").len(), 1);
    assert_eq!(audit(&store), expected());
}

/// Whoever can write here must not be able to keep the box from starting.
#[test]
fn what_no_row_can_hold_does_not_keep_the_store_from_opening() {
    let dir = filled();
    let store = open(dir.path());
    let odd = json!({ "id": case(1), "sig_sha256": "", "verdict": "perhaps", "reason": "",
        "reviewer": "r", "at_ms": 1, "rule": "x", "model": "", "place": "" });
    store.note(NOW, lines::JUDGED, odd).unwrap();
    let odd = json!({ "id": Uuid::from_u128(1), "sha256": "short", "signer": "s",
        "certificate_sha256": "", "role": "admin", "seq": 0, "verb": "x", "args": {} });
    store.note(NOW, lines::COMMANDED, odd).unwrap();
    let odd = json!({ "id": case(9), "seq": 99, "kind": "spillage", "occurred_ms": 1,
        "manifest_sha256": "", "sig_sha256": "short" });
    store.note(NOW, lines::SEALED, odd).unwrap();
    drop(store);
    // A package whose manifest lists what it must not.
    let id = case(8);
    let package = package_dir(dir.path(), id);
    let context = SealContext {
        seq: 98,
        journal: crate::witness::JournalPoint {
            n: 1,
            prev: String::new(),
        },
        last_receipt: None,
        files: vec![crate::witness::FileEntry {
            name: witness::MIMETYPE.to_owned(),
            media_type: "text/plain".to_owned(),
            size: 1,
            sha256: sha256_hex(b"x"),
            at: None,
            pts_ns: None,
            of: None,
            quality: None,
        }],
        note: None,
    };
    fs::create_dir(&package).unwrap();
    disk::write_all_under(&package, &make(id, &context).parts()).unwrap();
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let (store, recovery) = reopen(dir.path());
    assert!(recovery.damaged.contains(&id), "{recovery:?}");
    assert_eq!(store.state(id).unwrap(), Some(State::Damaged));
    assert_eq!(store.state(case(4)).unwrap(), Some(State::Queued));
}

/// The journal has every command there ever was: they are not all to be answered once more.
#[test]
fn a_lost_database_brings_no_forgotten_commands_back() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=1005 {
        store
            .command_refused(NOW, &commanded(n, 7), (Fate::Unsupported, "never"))
            .unwrap();
    }
    drop(store);
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let store = open(dir.path());
    assert_eq!(store.replies_due().unwrap().len(), 1000);
    let signer = &commanded(1, 7).signer;
    assert_eq!(store.command(commanded(1, 7).id, signer).unwrap().0, None);
    let newest = store.command(commanded(1005, 7).id, signer).unwrap().0;
    assert!(newest.is_some());
}
