//! Pictures and video go after the receipt, in an order that no crash spoils.

use super::*;
use crate::config::PruneNeeds;

fn open_with(config: &config::Store) -> Store {
    Store::open(config, DEVICE).unwrap().0
}

fn by_receipt(dir: &Path) -> config::Store {
    config::Store {
        prune_needs: PruneNeeds::Receipt,
        ..config(dir)
    }
}

#[test]
fn what_is_receipted_and_old_goes_and_its_proof_stays() {
    let dir = folder();
    let store = open_with(&by_receipt(dir.path()));
    keep_and_seal(&store, case(1));
    keep_and_seal(&store, case(2));
    keep_and_seal(&store, case(3));
    receipt(&store, case(1)).unwrap();
    let refusal = sig(&store, case(3));
    store.refused(case(3), b"no", &refusal, "why").unwrap();
    let now = clock::now();
    assert_eq!(store.prune(now).unwrap(), Pruned::default(), "too young");
    let pruned = store.prune(later()).unwrap();
    let bytes: usize = drafts().iter().map(|d| d.bytes.len()).sum();
    assert_eq!((pruned.packages, pruned.bytes), (1, bytes as u64));
    assert_eq!(store.prune(later()).unwrap(), Pruned::default(), "once");
    let states = audit(&store);
    assert_eq!(states[&case(1)], State::Pruned);
    assert_eq!(
        states[&case(2)],
        State::Queued,
        "without a receipt it stays"
    );
    assert_eq!(states[&case(3)], State::Refused);
    let line = said(dir.path(), "package.pruned").remove(0);
    assert_eq!(line["id"], case(1).to_string());
    assert_eq!(line["files"].as_array().unwrap().len(), 3);
    let kept = store.package_dir(case(1)).join(witness::RECEIPT);
    assert_eq!(fs::read(kept).unwrap(), b"signed receipt");
    let counts = store.counts().unwrap();
    assert_eq!(counts.pending.packages, 2);
    assert!(counts.states[&State::Pruned].bytes < bytes as u64);
    assert_eq!(store.check().unwrap(), []);
    receipt(&store, case(1)).unwrap();
    drop(store);

    // The database is lost: nothing of this is forgotten.
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let (store, recovery) = Store::open(&by_receipt(dir.path()), DEVICE).unwrap();
    assert_eq!(recovery.damaged, []);
    assert_eq!(audit(&store)[&case(1)], State::Pruned);
    assert_eq!(store.check().unwrap(), []);
}

#[test]
fn a_clock_set_a_year_ahead_prunes_nothing_and_time_that_passed_does() {
    const YEAR_NS: i64 = 366 * 24 * 3600 * 1_000_000_000;
    let dir = folder();
    let mut store = open_with(&by_receipt(dir.path()));
    keep_and_seal(&store, case(1));
    receipt(&store, case(1)).unwrap();
    let jumped = || {
        let now = clock::now();
        let utc_ns = now.utc_ns + YEAR_NS;
        Stamp { utc_ns, ..now }
    };
    assert_eq!(store.prune(jumped()).unwrap(), Pruned::default());
    drop(store);
    // Neither a restart nor a lost database makes the receiver's clock forget.
    for lost in [false, true] {
        if lost {
            fs::remove_file(dir.path().join("q.db")).unwrap();
        }
        store = open_with(&by_receipt(dir.path()));
        assert_eq!(store.prune(jumped()).unwrap(), Pruned::default());
        drop(store);
    }
    store = open_with(&by_receipt(dir.path()));
    // The other way round: time passed on the boot clock, and ours was set back meanwhile.
    let back = Stamp {
        utc_ns: NOW.utc_ns,
        ..later()
    };
    assert_eq!(store.prune(back).unwrap(), Pruned::default());
    // The receiver says that a year has passed, and so does our clock.
    keep_and_seal(&store, case(2));
    let facts = ReceiptFacts {
        server_time: "2027-08-02T03:00:00Z".to_owned(),
        ..facts(&sig(&store, case(2)))
    };
    store.receipted(case(2), b"a year later", &facts).unwrap();
    assert_eq!(store.prune(clock::now()).unwrap(), Pruned::default());
    assert_eq!(store.prune(jumped()).unwrap().packages, 1);
    let states = audit(&store);
    assert_eq!(states[&case(1)], State::Pruned);
    assert_eq!(states[&case(2)], State::Receipted);
}

#[test]
fn mirror_and_copies_are_asked_for_unless_told_otherwise() {
    let dir = folder();
    let medium = medium();
    let store = open_with(&mirrored(dir.path(), medium.path()));
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
    }
    receipt_of(&store, case(1), 2);
    receipt_of(&store, case(2), 1);
    assert_eq!(store.prune(later()).unwrap().packages, 0, "no mirror yet");
    while matches!(store.mirror_step().unwrap(), MirrorStep::Copied(_)) {}
    assert_eq!(store.prune(later()).unwrap().packages, 1);
    let states = audit(&store);
    assert_eq!(states[&case(1)], State::Pruned);
    assert_eq!(states[&case(2)], State::Receipted, "one copy is not enough");
    assert_eq!(states[&case(3)], State::Queued);

    // Another receiver, or the same after a late copy, says two.
    let later = |n| facts(&sig(&store, case(n)));
    let take =
        |n, seq, facts: &ReceiptFacts| store.receipted_later((case(n), seq), b"two copies", facts);
    assert!(!take(1, 1, &later(1)).unwrap(), "pruned already");
    assert!(!take(2, 1, &later(2)).unwrap(), "the number is another's");
    let foreign = take(2, 2, &later(1));
    assert!(
        matches!(foreign, Err(StoreError::OtherSignature(_))),
        "{foreign:?}"
    );
    assert!(take(2, 2, &later(2)).unwrap());
    assert!(
        !take(2, 2, &later(2)).unwrap(),
        "the same again changes nothing"
    );
    let package = store.package_dir(case(2));
    assert_eq!(
        fs::read(package.join(witness::RECEIPT)).unwrap(),
        b"signed receipt"
    );
    assert_eq!(
        fs::read(package.join(witness::LATER_RECEIPT)).unwrap(),
        b"two copies"
    );
    assert_eq!(said(dir.path(), "package.receipted").len(), 3);
    drop(store);
    // From the journal and the files alone.
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let store = open_with(&mirrored(dir.path(), medium.path()));
    assert_eq!(copies(&store, case(2)), Some(2));
    assert_eq!(store.prune(super::later()).unwrap().packages, 1);
    assert_eq!(audit(&store)[&case(2)], State::Pruned);
}

#[test]
fn a_pruned_package_whose_head_rotted_or_is_gone_is_told() {
    for rot in ["evidence.json", "META-INF/signature001.p7s"] {
        let dir = folder();
        let store = open_with(&by_receipt(dir.path()));
        keep_and_seal(&store, case(1));
        receipt(&store, case(1)).unwrap();
        let path = store.package_dir(case(1)).join(rot);
        let before = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let pruned = store.prune(later()).unwrap();
        assert_eq!(pruned.packages, 0, "what would stay proves nothing: {rot}");
        disk::write_new(&path, &before).unwrap();
        assert_eq!(store.prune(later()).unwrap().packages, 1);
        fs::remove_file(&path).unwrap();
        let found = store.check().unwrap();
        let Finding::Package { id, what } = &found[0] else {
            panic!("{found:?}");
        };
        assert_eq!(*id, case(1));
        assert!(what.contains(rot), "{what}");
    }
}

#[test]
fn a_full_store_begins_no_case_and_ends_those_it_has() {
    let dir = folder();
    let store = open(dir.path());
    store.keep(case(1), &drafts()[..1], Some("open")).unwrap();
    drop(store);
    let full = config::Store {
        quota_mib: 1,
        ..config(dir.path())
    };
    let store = open_with(&full);
    // A megabyte of something that counts.
    let mut large = draft("frames/03-large.jpg");
    large.bytes = vec![7; 1_000_000];
    store.keep(case(1), &[large], None).unwrap();
    assert_eq!(store.room().unwrap().level(), Level::Shut);
    let refused = store.keep(case(2), &drafts(), Some("no"));
    let Err(StoreError::Shut { percent }) = refused else {
        panic!("{refused:?}");
    };
    assert!(percent >= 95);
    assert_eq!(store.book().unwrap().as_deref(), Some("open"));
    assert_eq!(store.open_cases().unwrap(), [case(1)]);
    store.keep(case(1), &drafts()[1..2], None).unwrap();
    seal(&store, case(1)).unwrap();
    // Nobody has received it: full as it is, it stays.
    assert_eq!(store.prune(later()).unwrap().packages, 0);
    receipt(&store, case(1)).unwrap();
    drop(store);
    let roomy = config::Store {
        prune_needs: PruneNeeds::Receipt,
        ..full
    };
    let store = open_with(&roomy);
    assert_eq!(store.prune(later()).unwrap().packages, 1);
    assert_eq!(store.room().unwrap().level(), Level::Ample);
    store.keep(case(2), &drafts(), Some("yes")).unwrap();
    audit(&store);
}

#[test]
fn the_ballast_is_owed_until_there_is_room_and_new_evidence_leaves_it() {
    let dir = folder();
    let with = config::Store {
        ballast_mib: 1,
        ..config(dir.path())
    };
    let store = open_with(&with);
    let care = store.care(NOW, false).unwrap();
    assert_eq!(care.ballast_owed, 0, "made when the store is looked after");
    let ballast = dir.path().join("ballast");
    assert_eq!(fs::metadata(&ballast).unwrap().len(), MIB);
    // The journal meets a full disk: the ballast goes, the line is written.
    let strike = crate::disk::fault::Mode::Once(rustix::io::Errno::NOSPC);
    for write in [
        (|store| store.note(NOW, "boot", Value::Null).map(drop))
            as fn(&Store) -> Result<(), StoreError>,
        |store| store.save_book("book"),
    ] {
        crate::disk::fault::plan(0, strike);
        write(&store).unwrap();
        assert!(!crate::disk::fault::clear());
        assert!(!ballast.exists());
        let room = store.inner().room_for(0);
        assert!(room.is_ok(), "{room:?}");
        let free = disk::free_bytes(dir.path()).unwrap();
        let short = store.inner().room_for(free - MIB / 2);
        assert!(matches!(short, Err(StoreError::Full { .. })), "{short:?}");
        store.care(NOW, true).unwrap();
        assert!(ballast.exists(), "made again");
    }
    assert_eq!(store.book().unwrap().as_deref(), Some("book"));
    audit(&store);
}

/// Of many that wait for a second copy some are old and never get one: what is asked after are the
/// newest, and of the others each in its turn.
#[test]
fn of_those_that_want_copies_the_newest_are_always_asked_after() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=20 {
        keep_and_seal(&store, case(n));
        receipt_of(&store, case(n), 1);
    }
    let newest = [17, 18, 19, 20].map(case);
    let mut all = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let asked = store.wanting_copies(8).unwrap();
        assert!(newest.iter().all(|id| asked.contains(id)), "{asked:?}");
        let asked = std::collections::BTreeSet::from_iter(asked);
        assert_eq!(asked.len(), 8, "each once");
        all.extend(asked);
    }
    assert_eq!(all.len(), 20);
    receipt_of(&store, case(20), 2);
    let asked = store.wanting_copies(100).unwrap();
    assert_eq!(asked.len(), 19, "fewer than may be");
}
