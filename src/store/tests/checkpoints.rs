//! Signatures over the journal's head, over failing disks and restarts. They are made up here:
//! the store never looks into one.

use rustix::io::Errno;

use super::*;
use crate::disk::fault;
use crate::journal::{checkpoint_name, kind};
use crate::witness::SealError;

#[expect(
    clippy::unnecessary_wraps,
    reason = "the store is given a signer that may fail"
)]
fn sign(head: &Head) -> Result<Vec<u8>, SealError> {
    Ok(format!("signed {} {}", head.n, head.sha256).into_bytes())
}

fn note(store: &Store) {
    store.note(NOW, "test", serde_json::json!({})).unwrap();
}

/// Every line about a checkpoint has its file, and that file signs the line it is named by.
fn sound(store: &Store) -> u64 {
    journal::verify(&store.shared.dir.join("journal")).unwrap();
    signed(store)
}

/// The same of a journal whose end a failing disk may have torn.
fn signed(store: &Store) -> u64 {
    let dir = &store.shared.dir;
    let mut newest = 0;
    for body in said(dir, kind::CHECKPOINT) {
        let n = body["n"].as_u64().unwrap();
        let p7m = store.read_checkpoint(n).unwrap();
        assert_eq!(body["sha256"], sha256_hex(&p7m));
        let head = Head {
            n,
            sha256: store.line_sha256(n).unwrap().unwrap(),
        };
        assert_eq!(body["head"], head.sha256);
        assert_eq!(p7m, sign(&head).unwrap());
        newest = n;
    }
    newest
}

#[test]
fn a_checkpoint_signs_the_last_line_and_is_remembered() {
    let dir = folder();
    let store = open(dir.path());
    assert_eq!(store.checkpoint_by(sign).unwrap(), 0, "nothing to sign");
    assert!(!store.has_unsigned());
    assert_eq!(
        (store.signed_up_to(), store.inner().journal.head().n),
        (0, 0)
    );
    note(&store);
    note(&store);
    assert!(store.has_unsigned());
    assert_eq!(store.checkpoint_by(sign).unwrap(), 2);
    assert!(!store.has_unsigned(), "but for the line about it");
    note(&store);
    assert!(store.has_unsigned());
    assert_eq!(store.checkpoint_by(sign).unwrap(), 4);
    assert_eq!((store.signed_up_to(), sound(&store)), (4, 4));
    // Who asked while the end of a run was signed has nothing to add.
    assert_eq!(store.news_by(sign).unwrap(), 4);
    assert_eq!((store.signed_up_to(), sound(&store)), (4, 4));
    // The hour's is made though nothing happened: its line says that the box was at work.
    assert_eq!(store.checkpoint_by(sign).unwrap(), 5);
    assert_eq!((store.signed_up_to(), sound(&store)), (5, 5));
    drop(store);
    let store = open(dir.path());
    assert_eq!((store.signed_up_to(), sound(&store)), (5, 5));
    store.read_checkpoint(3).unwrap_err();
}

#[test]
fn a_package_half_way_in_is_finished_before_the_head_is_signed() {
    let dir = folder();
    let store = open(dir.path());
    store.keep(case(1), &drafts(), None).unwrap();
    // Far enough for the package to be a fact, not for its line.
    let mut n = 0;
    while said(dir.path(), kind::PACKAGE_SEALED).is_empty() {
        fault::plan(n, fault::Mode::Once(Errno::IO));
        let sealed = seal(&store, case(1));
        let unharmed = fault::clear();
        if unharmed {
            sealed.unwrap();
        }
        if store.package_dir(case(1)).is_dir() {
            break;
        }
        n += 1;
    }
    let signed = store.checkpoint_by(sign).unwrap();
    assert_eq!(said(dir.path(), kind::PACKAGE_SEALED).len(), 1);
    let line = store.inner().journal.head().n - 1;
    assert_eq!(signed, line, "the package's line is covered");
    audit(&store);
}

#[test]
fn a_failure_at_any_step_leaves_no_line_without_its_signature() {
    for mode in [
        fault::Mode::Once(Errno::NOSPC),
        fault::Mode::Forever(Errno::IO),
    ] {
        for n in 0.. {
            let dir = folder();
            let store = open(dir.path());
            note(&store);
            store.checkpoint_by(sign).unwrap();
            note(&store);
            fault::plan(n, mode);
            let made = store.checkpoint_by(sign);
            if fault::clear() {
                assert_eq!(made.unwrap(), 3);
                assert!(n >= 5, "file and line were both struck");
                break;
            }
            made.unwrap_err();
            // The whole line may be there: the disk refused to take it back.
            assert!(matches!(signed(&store), 1 | 3), "{mode:?} {n}");
            // Killed here, or going on: either way the next one holds.
            let killed = n % 2 == 0;
            let store = if killed {
                drop(store);
                open(dir.path())
            } else {
                store
            };
            let next = store.checkpoint_by(sign).unwrap();
            assert_eq!((sound(&store), store.signed_up_to()), (next, next));
            let file = dir.path().join("checkpoints").join(checkpoint_name(next));
            assert!(file.is_file());
            audit(&store);
        }
    }
}

#[test]
fn a_key_that_cannot_sign_changes_nothing() {
    let dir = folder();
    let store = open(dir.path());
    note(&store);
    let refuse = |_: &Head| {
        Err(SealError::Device {
            configured: String::new(),
            certified: String::new(),
        })
    };
    assert!(matches!(
        store.checkpoint_by(refuse),
        Err(StoreError::Seal(_))
    ));
    assert_eq!(
        (store.signed_up_to(), store.inner().journal.head().n),
        (0, 1)
    );
}

#[test]
fn the_packages_between_two_lines_are_found_by_their_lines() {
    let dir = folder();
    let store = open(dir.path());
    let mut lines = vec![store.inner().journal.head().n];
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
        lines.push(store.inner().journal.head().n);
    }
    let between = |first: u64, last: u64| store.sealed_between(first, last).unwrap();
    assert_eq!(between(0, u64::MAX), [case(1), case(2), case(3)]);
    assert_eq!(between(lines[1], lines[2]), [case(2)]);
    assert_eq!(between(lines[3], u64::MAX), []);
    assert_eq!(store.line_sha256(99).unwrap(), None);
    let last = store.head();
    assert_eq!(store.line_sha256(last.n).unwrap(), Some(last.sha256));
}
