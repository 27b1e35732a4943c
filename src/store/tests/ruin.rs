//! Files and databases ruined in named ways: what is left goes on.

use std::io::Write as _;

use super::*;

pub(super) fn append(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

pub(super) fn overwrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::remove_file(path).unwrap();
    disk::write_new(path, &bytes).unwrap();
}

/// Five packages: 1 receipted, 2 refused, 3 sending, 4 and 5 queued; one open case.
pub(super) fn filled() -> tempfile::TempDir {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=5 {
        keep_and_seal(&store, case(n));
    }
    receipt(&store, case(1)).unwrap();
    store
        .refused(case(2), b"no", &sig(&store, case(2)), "unknown device")
        .unwrap();
    store.step(case(3), State::Sending).unwrap();
    store.keep(case(6), &drafts(), Some("open")).unwrap();
    dir
}

pub(super) fn expected() -> BTreeMap<CaseId, State> {
    let queued = State::Queued;
    [State::Receipted, State::Refused, queued, queued, queued]
        .into_iter()
        .zip(1..)
        .map(|(state, n)| (case(n), state))
        .collect()
}

#[test]
fn a_ruined_database_is_made_again_from_the_files() {
    type Ruin = fn(&Path);
    let ruins: [(&str, Ruin, bool); 8] = [
        ("deleted", |db| fs::remove_file(db).unwrap(), true),
        ("emptied", |db| overwrite(db, Vec::clear), true),
        (
            "cut to half",
            |db| overwrite(db, |b| b.truncate(b.len() / 2)),
            true,
        ),
        (
            "cut to a few bytes",
            |db| overwrite(db, |b| b.truncate(77)),
            true,
        ),
        (
            "scrambled",
            |db| overwrite(db, |b| b[100..].fill(0x5a)),
            true,
        ),
        (
            "not a database",
            |db| overwrite(db, |b| *b = b"#!/bin/sh".to_vec()),
            true,
        ),
        (
            "of another shape",
            |db| {
                let conn = Connection::open(db).unwrap();
                conn.execute_batch("DROP TRIGGER package_keep").unwrap();
            },
            true,
        ),
        (
            "of a later version",
            |db| {
                let conn = Connection::open(db).unwrap();
                conn.execute_batch("PRAGMA user_version = 99").unwrap();
            },
            true,
        ),
    ];
    for (name, ruin, rebuilt) in ruins {
        let dir = filled();
        ruin(&dir.path().join("q.db"));
        let (store, recovery) = reopen(dir.path());
        let is = matches!(recovery.database, Database::Rebuilt { .. });
        assert_eq!(is, rebuilt, "{name}: {recovery:?}");
        assert_eq!(recovery.adopted.len(), 5, "{name}");
        assert_eq!(audit(&store), expected(), "{name}");
        assert_eq!(said(dir.path(), "store.rebuilt").len(), 1, "{name}");
        assert_eq!(said(dir.path(), "package.adopted").len(), 0, "{name}");
        let after = store.inner().meta("last_receipt").unwrap().unwrap();
        assert!(after.contains(&sha256_hex(b"signed receipt")), "{name}");
        keep_and_seal(&store, case(7));
        assert_eq!(audit(&store).len(), 6, "the next number is free: {name}");
        drop(store);
        assert_eq!(reopen(dir.path()).1.database, Database::Sound, "{name}");
    }
}

#[test]
fn a_rebuild_tells_how_far_it_is() {
    let dir = filled();
    let told = |dir: &Path| {
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |done, all| told.borrow_mut().push((done, all));
        drop(Store::open_telling(&config(dir), DEVICE, &tell).unwrap());
        told.into_inner()
    };
    assert_eq!(told(dir.path()), [], "a sound store has nothing to read");
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let steps = [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)];
    assert_eq!(told(dir.path()), steps);
}

#[test]
fn a_database_put_back_from_yesterday_catches_up() {
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    keep_and_seal(&store, case(2));
    drop(store);
    let db = dir.path().join("q.db");
    let yesterday = fs::read(&db).unwrap();
    let store = open(dir.path());
    keep_and_seal(&store, case(3));
    receipt(&store, case(2)).unwrap();
    drop(store);
    overwrite(&db, |bytes| *bytes = yesterday);
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.adopted, [case(3)]);
    assert_eq!(recovery.database, Database::Sound);
    let states = audit(&store);
    assert_eq!(states[&case(2)], State::Receipted);
    assert_eq!(states[&case(3)], State::Queued);
}

#[test]
fn only_the_newest_broken_databases_are_kept() {
    let dir = filled();
    let db = dir.path().join("q.db");
    for _ in 0..5 {
        overwrite(&db, |b| b[100..].fill(0x5a));
        drop(open(dir.path()));
    }
    let names = disk::list(dir.path()).unwrap();
    let aside = names.iter().filter(|name| name.starts_with("q.db.broken-"));
    let bare = aside.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    assert_eq!(bare.count(), 3);
}

#[test]
fn one_changed_byte_damages_one_package() {
    let dir = filled();
    let store = open(dir.path());
    let names: Vec<String> = package::files(&store.inner().conn, case(4))
        .unwrap()
        .into_iter()
        .map(|file| file.name)
        .collect();
    drop(store);
    assert_eq!(names.len(), 7);
    for name in names {
        for rebuild in [true, false] {
            let dir = filled();
            let path = package_dir(dir.path(), case(4)).join(&name);
            overwrite(&path, |bytes| bytes[5] ^= 1);
            if rebuild {
                fs::remove_file(dir.path().join("q.db")).unwrap();
            }
            let (store, recovery) = reopen(dir.path());
            if rebuild {
                assert_eq!(recovery.damaged, [case(4)], "{name}");
            } else {
                let next = || store.next_of(NOW, &OLDEST).unwrap().unwrap();
                assert_eq!(next().id, case(3));
                store.step(case(3), State::Sending).unwrap();
                let due = next();
                assert_eq!(due.id, case(5), "passed over: {name}");
            }
            assert_eq!(store.state(case(4)).unwrap(), Some(State::Damaged));
            assert_eq!(store.state(case(5)).unwrap(), Some(State::Queued));
            let line = said(dir.path(), "package.damaged").remove(0);
            assert_eq!(line["id"], case(4).to_string());
            assert!(line["why"].as_str().unwrap().contains(&name), "{line}");
            assert!(path.exists(), "what is left is kept");
            drop(store);
            assert_eq!(reopen(dir.path()).1.damaged, [], "said once");
            let again = said(dir.path(), "package.damaged").len();
            assert_eq!(again, 1);
        }
    }
}

#[test]
fn a_missing_package_is_damaged_and_its_number_not_given_again() {
    for rebuild in [true, false] {
        let dir = filled();
        let gone = package_dir(dir.path(), case(5));
        let sig5 = sha256_hex(&fs::read(gone.join(witness::SIGNATURE)).unwrap());
        fs::remove_dir_all(gone).unwrap();
        if rebuild {
            fs::remove_file(dir.path().join("q.db")).unwrap();
        }
        let (store, recovery) = reopen(dir.path());
        assert_eq!(recovery.damaged, [case(5)]);
        assert_eq!(store.state(case(5)).unwrap(), Some(State::Damaged));
        store.keep(case(7), &drafts(), None).unwrap();
        assert_eq!(store.inner().context(case(7)).unwrap().seq, 6);
        store.receipted(case(5), b"late", &facts(&sig5)).unwrap();
        assert_eq!(store.state(case(5)).unwrap(), Some(State::Receipted));
        assert!(store.package_dir(case(5)).join(witness::RECEIPT).exists());
    }
}

#[test]
fn check_finds_and_marks_what_rotted() {
    let dir = filled();
    let store = open(dir.path());
    for n in [1, 5] {
        let path = store.package_dir(case(n)).join("clip.mp4");
        overwrite(&path, |bytes| bytes.truncate(3));
    }
    let found = store.check().unwrap();
    let ids: Vec<_> = found
        .iter()
        .map(|finding| match finding {
            Finding::Package { id, what } if what.contains("clip.mp4 has 3 bytes") => *id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [case(1), case(5)]);
    assert_eq!(store.state(case(1)).unwrap(), Some(State::Receipted));
    assert_eq!(store.state(case(5)).unwrap(), Some(State::Damaged));
    let sig = sig(&store, case(5));
    store.receipted(case(5), b"r", &facts(&sig)).unwrap();
    assert_eq!(store.state(case(5)).unwrap(), Some(State::Receipted));
}

#[test]
fn a_half_sealed_package_is_adopted() {
    let dir = folder();
    open(dir.path())
        .keep(case(1), &drafts(), Some("open"))
        .unwrap();
    faults::half_seal(dir.path(), case(1));
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.adopted, [case(1)]);
    assert_eq!(said(dir.path(), "package.adopted").len(), 1);
    assert_eq!(audit(&store)[&case(1)], State::Queued);
    assert!(store.open_cases().unwrap().is_empty());
    assert_eq!(store.book().unwrap().as_deref(), Some("open"));
    assert!(matches!(
        store.keep(case(1), &drafts(), None),
        Err(StoreError::AlreadySealed(_))
    ));
}

/// Whoever asks what is still only on this box must hear how long it has been there, not when the
/// box was started last.
#[test]
fn an_adopted_package_is_as_old_as_what_it_is_about() {
    let dir = folder();
    open(dir.path())
        .keep(case(1), &drafts(), Some("open"))
        .unwrap();
    faults::half_seal(dir.path(), case(1));
    let seen: jiff::Timestamp = "2026-08-01T02:01:00.100Z".parse().unwrap();
    let oldest = |store: &Store| store.counts().unwrap().oldest_pending_ms;
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.adopted, [case(1)]);
    assert_eq!(oldest(&store), Some(seen.as_millisecond()));
    drop(store);
    // By the line that says it was adopted, too.
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.adopted, [case(1)]);
    assert_eq!(said(dir.path(), "package.adopted").len(), 1);
    assert_eq!(oldest(&store), Some(seen.as_millisecond()));
}

/// A stall that stayed through dwell and grace was seen first long before its case was decided.
#[test]
fn what_is_adopted_soon_after_its_case_was_decided_is_no_history() {
    let dir = folder();
    open(dir.path())
        .keep(case(1), &drafts(), Some("open"))
        .unwrap();
    let confirmed: jiff::Timestamp = "2026-08-01T02:08:00.100Z".parse().unwrap();
    let stated = |context: &SealContext| {
        let statement = make(case(1), context).statement;
        let mut statement: Value = serde_json::from_slice(&statement).unwrap();
        statement["violation"]["confirmed"] = confirmed.to_string().into();
        made_of(&statement, context)
    };
    faults::half_seal_by(dir.path(), case(1), |store| {
        store.seal(case(1), |context| Ok(stated(&context)), Some("sealed"))
    });
    let is_known = |store: &Store, line: &str| {
        let oldest = store.counts().unwrap().oldest_pending_ms;
        assert_eq!(oldest, Some(confirmed.as_millisecond()), "{line}");
    };
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.adopted, [case(1)]);
    is_known(&store, "by its statement");
    let line = said(dir.path(), "package.adopted");
    assert_eq!(line[0]["confirmed"], confirmed.to_string());
    assert_eq!(line[0]["occurred_ms"], 1_785_549_660_100_i64);
    drop(store);
    fs::remove_file(dir.path().join("q.db")).unwrap();
    is_known(
        &reopen(dir.path()).0,
        "by the line that says it was adopted",
    );
}

#[test]
fn strangers_in_packages_are_left_alone() {
    let dir = filled();
    let packages = dir.path().join("packages");
    fs::create_dir(packages.join("lost+found")).unwrap();
    fs::create_dir(packages.join(case(50).to_string())).unwrap();
    // A copy under another id claims a number that is taken.
    let copy = packages.join(case(51).to_string());
    fs::create_dir_all(copy.join("META-INF")).unwrap();
    for name in ["evidence.json", "META-INF/signature001.p7s"] {
        let from = package_dir(dir.path(), case(5)).join(name);
        fs::copy(from, copy.join(name)).unwrap();
    }
    for _ in 0..2 {
        let (store, mut recovery) = reopen(dir.path());
        recovery.foreign.sort();
        let names = [
            case(50).to_string(),
            case(51).to_string(),
            "lost+found".to_owned(),
        ];
        assert_eq!(recovery.foreign, names);
        assert_eq!(store.state(case(51)).unwrap(), None);
        assert!(copy.join("evidence.json").exists());
    }
}

fn folder_with_a_file() -> tempfile::TempDir {
    let dir = super::folder();
    disk::write_new(&dir.path().join("file"), b"x").unwrap();
    dir
}

#[test]
fn a_draft_that_rots_is_not_sealed() {
    for reboot in [true, false] {
        let dir = folder();
        let mut store = open(dir.path());
        store.keep(case(1), &drafts(), None).unwrap();
        let folder = dir.path().join("staging").join(case(1).to_string());
        overwrite(&folder.join("clip.mp4"), |bytes| bytes[0] ^= 1);
        fs::remove_file(folder.join(NAMES[0])).unwrap();
        disk::write_new(&folder.join("frames/stray.jpg"), b"x").unwrap();
        let elsewhere = folder_with_a_file();
        std::os::unix::fs::symlink(elsewhere.path(), folder.join("link")).unwrap();
        if reboot {
            drop(store);
            let (again, recovery) = reopen(dir.path());
            assert_eq!(recovery.drafts_lost, 2);
            store = again;
        }
        seal(&store, case(1)).unwrap();
        assert_eq!(store.files_lost(), 2, "{reboot}");
        let line = said(dir.path(), "case.dropped").remove(0);
        assert_eq!(line["files"], serde_json::json!(["clip.mp4", NAMES[0]]));
        let due = store.next_of(NOW, &Wish::default()).unwrap().unwrap();
        let files: Vec<_> = due.files.iter().filter(|file| file.lane > 1).collect();
        assert_eq!(files.len(), 1);
        assert!(!due.dir.join("frames/stray.jpg").exists());
        assert!(!due.dir.join("link").exists());
        assert!(
            elsewhere.path().join("file").exists(),
            "links are not followed"
        );
    }
}

#[test]
fn a_receipt_cut_short_is_asked_for_again() {
    let dir = filled();
    let receipt = package_dir(dir.path(), case(1)).join(witness::RECEIPT);
    overwrite(&receipt, |bytes| bytes.truncate(4));
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let (store, _) = reopen(dir.path());
    assert_eq!(store.state(case(1)).unwrap(), Some(State::Queued));
    super::receipt(&store, case(1)).unwrap();
    assert_eq!(fs::read(&receipt).unwrap(), b"signed receipt");
    assert_eq!(audit(&store)[&case(1)], State::Receipted);
}

#[test]
fn a_lost_journal_is_noticed_and_begun_again() {
    let dir = filled();
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.database, Database::Sound);
    assert_eq!(said(dir.path(), "journal.lost").len(), 1);
    assert_eq!(store.state(case(1)).unwrap(), Some(State::Receipted));
    keep_and_seal(&store, case(7));
    drop(store);
    reopen(dir.path());
    assert_eq!(said(dir.path(), "journal.lost").len(), 1);
}

/// A bad sector under the part of the journal that was being written.
#[test]
fn a_lost_end_of_the_journal_is_told_and_no_signed_number_given_twice() {
    for lost_index in [false, true] {
        let dir = filled();
        let store = open(dir.path());
        let sign = |head: &Head| Ok(head.sha256.clone().into_bytes());
        let signed = store.checkpoint_by(sign).unwrap();
        drop(store);
        let segment = dir.path().join("journal/00000001.jsonl");
        fs::remove_file(&segment).unwrap();
        fs::create_dir(&segment).unwrap();
        if lost_index {
            fs::remove_file(dir.path().join("q.db")).unwrap();
        }
        let (store, recovery) = reopen(dir.path());
        let broken = recovery.journal_broken.unwrap();
        assert!(broken.contains("cannot be read"), "{broken}");
        let first = journal::tail(&dir.path().join("journal"), 99).unwrap();
        assert!(first[0].head.n > signed, "{first:?}");
        assert_eq!(first[0].place.segment, 2);
        if !lost_index {
            assert_eq!(first[0].kind, "journal.lost");
            for (id, state) in expected() {
                assert_eq!(store.state(id).unwrap(), Some(state));
            }
        }
        keep_and_seal(&store, case(7));
        drop(store);
        let (store, _) = reopen(dir.path());
        let lost = usize::from(!lost_index);
        assert_eq!(said(dir.path(), "journal.lost").len(), lost, "said once");
        assert_eq!(store.state(case(7)).unwrap(), Some(State::Queued));
        assert_eq!(store.state(case(4)).unwrap(), Some(State::Queued));
    }
}

#[test]
fn a_break_in_the_journal_is_told_and_survived() {
    let dir = filled();
    let path = dir.path().join("journal/00000001.jsonl");
    overwrite(&path, |bytes| {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        *bytes = [&lines[..2], &lines[3..]].concat().concat().into_bytes();
    });
    for ruin in [false, true] {
        if ruin {
            fs::remove_file(dir.path().join("q.db")).unwrap();
        }
        let (store, recovery) = reopen(dir.path());
        let broken = recovery.journal_broken.unwrap();
        assert!(broken.contains("00000001.jsonl line 3"), "{broken}");
        for (id, state) in expected() {
            assert_eq!(store.state(id).unwrap(), Some(state));
        }
    }
}
