//! What breaks or stops while the store is at work, and what is not to be made again.

use rustix::io::Errno;
use serde_json::json;
use uuid::Uuid;

use super::outside::commanded;
use super::ruin::{append, expected, filled, overwrite};
use super::*;
use crate::disk::fault::{self, Mode};
use crate::witness::Fate;

fn break_it(store: &Store) {
    let mut inner = store.inner();
    let path = inner.dir.join("q.db");
    // The last to close it writes its log back.
    inner.conn = Connection::open_in_memory().unwrap();
    overwrite(&path, |b| b[4096..].fill(0x5a));
    inner.conn = Connection::open(&path).unwrap();
}

/// Breaks an index; everything else can be read and written.
fn break_what_the_upload_reads(store: &Store) {
    let inner = store.inner();
    let root: i64 = {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        inner.conn.execute_batch(checkpoint).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'package_fresh'";
        inner.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let start = (usize::try_from(root).unwrap() - 1) * 4096;
    overwrite(&inner.dir.join("q.db"), |b| {
        b[start..start + 4096].fill(0x5a);
    });
}

/// Reading a pipe that nobody writes to never ends, like reading from a server that is away.
pub(super) fn fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, mknodat};

    fs::remove_file(path).unwrap();
    mknodat(CWD, path, FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
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
    let (dir, medium) = (folder(), medium());
    let config = mirrored(dir.path(), medium.path());
    let store = Store::open(&config, DEVICE).unwrap().0;
    keep_and_seal(&store, case(1));
    assert_eq!(mirror::catch_up(&store), [case(1)]);
    fs::remove_file(store.package_dir(case(1)).join("clip.mp4")).unwrap();
    assert_eq!(store.next_of(NOW, &Wish::default()).unwrap(), None);
    let copy = medium.path().join("packages").join(case(1).to_string());
    let clip = copy.join("clip.mp4");
    fifo(&clip);
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

/// Neither who was warned nor what the link has carried is forgotten, whatever ends it, and the journal
/// says that it was made again.
#[test]
fn the_book_outlives_the_making_of_the_database_wherever_it_ends() {
    let hour_later = NOW.shifted_ns(3_600_000_000_000);
    for mode in [Mode::Once(Errno::NOSPC), Mode::Forever(Errno::IO)] {
        for n in 0.. {
            let dir = filled();
            let mut store = open(dir.path());
            store.care(NOW, false).unwrap();
            store.save_book("who was warned").unwrap();
            store.save_link_account("48 of 50 MiB").unwrap();
            break_what_the_upload_reads(&store);
            fault::plan(n, mode);
            let cared = store.care(hour_later, false);
            let through = fault::clear();
            if matches!(mode, Mode::Forever(_)) {
                drop(store);
                store = open(dir.path());
            }
            store.care(hour_later, false).unwrap();
            let book = store.book().unwrap();
            assert_eq!(book.as_deref(), Some("who was warned"), "{mode:?} {n}");
            let account = store.link_account().unwrap();
            assert_eq!(account.as_deref(), Some("48 of 50 MiB"), "{mode:?} {n}");
            assert_eq!(store.drafts(case(6)).unwrap().len(), NAMES.len());
            assert_eq!(audit(&store), expected(), "{mode:?} {n}");
            assert!(!said(dir.path(), "store.rebuilt").is_empty());
            assert_eq!(store.files_lost(), 0);
            if through {
                cared.unwrap();
                assert!(n > 12, "{n}");
                break;
            }
        }
    }
}

/// Reading thousands of packages takes minutes: a case is kept meanwhile. Where everybody has to wait
/// the watchdog knows of it.
#[test]
fn the_packages_are_read_without_holding_up_the_store() {
    let dir = filled();
    let store = open(dir.path());
    store.care(NOW, false).unwrap();
    break_what_the_upload_reads(&store);
    let clip = store.package_dir(case(5)).join("clip.mp4");
    fifo(&clip);
    let minute = std::time::Duration::from_mins(1);
    let is_put_right = || store.is_put_right(clock::now(), minute);
    let hour_later = NOW.shifted_ns(3_600_000_000_000);
    std::thread::scope(|scope| {
        let making = scope.spawn(|| store.care(hour_later, false).unwrap());
        let opened = || fs::OpenOptions::new().write(true).open(&clip).unwrap();
        // Opens when the other end is read from, which waits for us from then on.
        let end = opened();
        assert!(!is_put_right());
        store.keep(case(7), &drafts(), Some("newer")).unwrap();
        drop(end);
        while !is_put_right() {
            assert!(!making.is_finished());
            std::thread::yield_now();
        }
        // Not whole, so it is read once more, under the lock.
        let end = opened();
        assert!(is_put_right());
        drop(end);
        making.join().unwrap();
    });
    assert!(!is_put_right());
    assert_eq!(store.book().unwrap().as_deref(), Some("newer"));
    assert_eq!(store.drafts(case(7)).unwrap().len(), NAMES.len());
    assert_eq!(store.state(case(5)).unwrap(), Some(State::Damaged));
    assert_eq!(store.state(case(4)).unwrap(), Some(State::Queued));
    assert_eq!(said(dir.path(), "store.rebuilt").len(), 1);
}

/// A token that was pulled out for a weekend is no reason to read it through every ten seconds.
#[test]
fn what_stays_suspect_is_looked_at_ever_more_seldom() {
    let dir = filled();
    let store = open(dir.path());
    let after = |seconds: i64| NOW.shifted_ns(seconds * 1_000_000_000);
    let rebuilt = || said(dir.path(), "store.rebuilt").len();
    store.care(NOW, true).unwrap();
    store.care(after(60), true).unwrap();
    break_what_the_upload_reads(&store);
    for seconds in [70, 120, 179] {
        store.care(after(seconds), true).unwrap();
        assert_eq!(rebuilt(), 0, "{seconds}");
    }
    store.care(after(180), true).unwrap();
    assert_eq!(rebuilt(), 1);
}

/// What only the upload reads is broken: its own errors tell nobody, an hourly look does.
#[test]
fn a_database_that_is_broken_where_nobody_looks_is_found() {
    let dir = filled();
    let store = open(dir.path());
    store.care(NOW, false).unwrap();
    break_what_the_upload_reads(&store);
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
            capture_source: None,
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

/// The same with rows: those that do not take what the files say are made again.
#[test]
fn rows_that_were_bent_do_not_keep_the_store_from_opening() {
    let dir = filled();
    let conn = Connection::open(dir.path().join("q.db")).unwrap();
    let sql = "SELECT sql FROM sqlite_schema WHERE name = 'package_fixed'";
    let trigger: String = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    let bend = format!(
        "DROP TRIGGER package_fixed; UPDATE package SET state = 'damaged', \
         sig_sha256 = '{}' WHERE id = '{}'; {trigger}",
        "0".repeat(64),
        case(4)
    );
    conn.execute_batch(&bend).unwrap();
    drop(conn);
    let (store, recovery) = reopen(dir.path());
    assert!(
        matches!(recovery.database, Database::Rebuilt { .. }),
        "{recovery:?}"
    );
    assert_eq!(audit(&store), expected());
    assert_eq!(store.book().unwrap().as_deref(), Some("open"));
    assert_eq!(store.drafts(case(6)).unwrap().len(), NAMES.len());
}

/// A damaged package is looked for in the journal: one more way into it.
#[test]
fn an_old_segment_that_was_made_too_long_does_not_keep_the_store_from_opening() {
    let dir = filled();
    let store = open(dir.path());
    fault::plan_reading(0, Errno::IO);
    store.next_of(NOW, &OLDEST).unwrap();
    assert_eq!(store.state(case(3)).unwrap(), Some(State::Damaged));
    let second = dir.path().join("journal/00000002.jsonl");
    while !second.exists() {
        let body = json!({ "text": "x".repeat(60_000) });
        store.note(NOW, "test", body).unwrap();
    }
    drop(store);
    let first = dir.path().join("journal/00000001.jsonl");
    append(&first, &b"x".repeat(9 << 20));
    let (store, recovery) = reopen(dir.path());
    assert!(recovery.journal_broken.is_some());
    assert_eq!(recovery.whole_again, [case(3)]);
    assert_eq!(store.state(case(3)).unwrap(), Some(State::Queued));
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
    let due = store.replies_due(2000).unwrap();
    assert_eq!(due.len(), 1000);
    assert_eq!(store.replies_due(16).unwrap(), due[..16], "the oldest");
    let signer = &commanded(1, 7).signer;
    assert_eq!(store.command(commanded(1, 7).id, signer).unwrap().0, None);
    let newest = store.command(commanded(1005, 7).id, signer).unwrap().0;
    assert!(newest.is_some());
}
