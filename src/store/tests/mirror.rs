//! The second copy: made, read back, caught up, and what it gives back.

use super::*;

fn opened(dir: &Path, medium: &Path) -> Store {
    Store::open(&mirrored(dir, medium), DEVICE).unwrap().0
}

/// Steps until nothing is left to do; what was copied and restored on the way.
pub(super) fn catch_up(store: &Store) -> Vec<CaseId> {
    let mut done = Vec::new();
    loop {
        match store.mirror_step().unwrap() {
            MirrorStep::Copied(id) | MirrorStep::Restored(id) => done.push(id),
            MirrorStep::Idle => return done,
            other => panic!("{other:?}"),
        }
    }
}

/// Every file below `dir`, with its bytes.
pub(super) fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in disk::list(dir).unwrap() {
        let path = dir.join(&name);
        if disk::is_folder(&path) {
            files.extend(
                tree(&path)
                    .into_iter()
                    .map(|(inner, b)| (format!("{name}/{inner}"), b)),
            );
        } else {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

fn same(dir: &Path, medium: &Path) {
    for folder in ["packages", "journal", "checkpoints"] {
        assert_eq!(
            tree(&dir.join(folder)),
            tree(&medium.join(folder)),
            "{folder}"
        );
    }
    assert_eq!(disk::list(&medium.join("staging")).unwrap(), [""; 0]);
}

fn missing(store: &Store) -> String {
    match store.mirror_step().unwrap() {
        MirrorStep::Missing(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_package_and_the_journal_once_more() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    assert_eq!(catch_up(&store), []);
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
    }
    store
        .checkpoint_by(|head| Ok(head.sha256.clone().into_bytes()))
        .unwrap();
    let state = store.mirror_state().unwrap().unwrap();
    assert_eq!((state.mirroring.copied, state.mirroring.due), (0, 3));
    assert_eq!(
        catch_up(&store),
        [case(1), case(2), case(3)],
        "oldest first"
    );
    same(dir.path(), medium.path());
    assert_eq!(said(dir.path(), "mirror.copied").len(), 3);
    // What comes later is added; nothing is said twice.
    receipt(&store, case(2)).unwrap();
    assert_eq!(catch_up(&store), [case(2)]);
    same(dir.path(), medium.path());
    assert_eq!(said(dir.path(), "mirror.copied").len(), 3);
    assert_eq!(catch_up(&store), []);
    drop(store);
    // The database is lost: the copies are still known.
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let store = opened(dir.path(), medium.path());
    let state = store.mirror_state().unwrap().unwrap();
    assert_eq!((state.mirroring.copied, state.mirroring.due), (3, 0));
    catch_up(&store);
    same(dir.path(), medium.path());
}

#[test]
fn a_medium_that_is_missing_is_told_once_and_caught_up_later() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    keep_and_seal(&store, case(1));
    assert_eq!(catch_up(&store), [case(1)]);
    // Pulled: what is left is the empty folder it was mounted on.
    let away = folder();
    let shelf = away.path().join("medium");
    disk::rename(medium.path(), &shelf).unwrap();
    fs::create_dir(medium.path()).unwrap();
    keep_and_seal(&store, case(2));
    keep_and_seal(&store, case(3));
    for _ in 0..3 {
        assert!(missing(&store).contains("mirror-init"));
    }
    assert_eq!(disk::list(medium.path()).unwrap(), [""; 0], "never filled");
    assert_eq!(said(dir.path(), "mirror.missing").len(), 1);
    let state = store.mirror_state().unwrap().unwrap();
    assert!(state.trouble.is_some());
    assert_eq!(state.mirroring.due, 2);
    receipt_of(&store, case(2), 2);
    assert_eq!(
        store.prune(later()).unwrap().packages,
        0,
        "not before it is mirrored"
    );
    // Another box's medium is not ours either.
    super::super::mirror::prepare(medium.path(), "LM-OTHER").unwrap();
    assert!(missing(&store).contains("LM-OTHER"));
    fs::remove_dir_all(medium.path()).unwrap();

    disk::rename(&shelf, medium.path()).unwrap();
    assert_eq!(catch_up(&store), [case(2), case(3)]);
    same(dir.path(), medium.path());
    assert_eq!(store.mirror_state().unwrap().unwrap().trouble, None);
    assert_eq!(said(dir.path(), "mirror.missing").len(), 1);
    assert_eq!(store.prune(later()).unwrap().packages, 1);
    audit(&store);
}

/// What never ends is told of while it does not, and holds up neither a seal nor whoever asks.
#[test]
fn a_second_medium_that_hangs_is_told_of_and_caught_up_later() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    keep_and_seal(&store, case(1));
    let marker = medium.path().join("lingmou-mirror.json");
    let kept = fs::read(&marker).unwrap();
    at_work::fifo(&marker);
    let trouble = || store.mirror_state().unwrap().unwrap().trouble;
    let late = || clock::now().shifted_ns(120_000_000_000);
    assert!(!store.mirror_hangs(late()).unwrap(), "nobody looks at it");
    let step = std::thread::scope(|scope| {
        let step = scope.spawn(|| store.mirror_step().unwrap());
        // Opens when the step is at the other end, which waits for us from then on.
        let end = fs::OpenOptions::new().write(true).open(&marker).unwrap();
        assert!(!store.mirror_hangs(clock::now()).unwrap());
        assert_eq!(trouble(), None);
        for _ in 0..2 {
            assert!(store.mirror_hangs(late()).unwrap());
            assert!(trouble().unwrap().contains("does not answer"));
        }
        keep_and_seal(&store, case(2));
        drop(end);
        step.join().unwrap()
    });
    assert!(matches!(step, MirrorStep::Missing(_)), "{step:?}");
    assert!(!store.mirror_hangs(late()).unwrap());
    assert_eq!(said(dir.path(), "mirror.missing").len(), 1);
    fs::remove_file(&marker).unwrap();
    disk::write_new(&marker, &kept).unwrap();
    assert_eq!(catch_up(&store), [case(1), case(2)]);
    assert_eq!(trouble(), None);
    same(dir.path(), medium.path());
}

/// One that fails for days is not read from the beginning each time; one that was away is.
#[test]
fn the_journal_of_a_medium_that_fails_is_not_read_again_and_again() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    let packages = medium.path().join("packages");
    fs::remove_dir(&packages).unwrap();
    disk::write_new(&packages, b"in the way").unwrap();
    keep_and_seal(&store, case(1));
    let fails = || {
        let step = store.mirror_step().unwrap();
        assert!(matches!(step, MirrorStep::Failed(_)), "{step:?}");
    };
    // The line that it fails is still to come onto it.
    (0..2).for_each(|_| fails());
    let journal = medium.path().join("journal/00000001.jsonl");
    fs::remove_file(&journal).unwrap();
    fails();
    assert!(!journal.exists());
    assert_eq!(said(dir.path(), "mirror.missing").len(), 1);

    let away = folder();
    let shelf = away.path().join("medium");
    disk::rename(medium.path(), &shelf).unwrap();
    assert!(missing(&store).contains("mirror-init"));
    disk::rename(&shelf, medium.path()).unwrap();
    fails();
    assert!(journal.exists());
    fs::remove_file(&packages).unwrap();
    fs::create_dir(&packages).unwrap();
    assert_eq!(catch_up(&store), [case(1)]);
    assert_eq!(store.mirror_state().unwrap().unwrap().trouble, None);
}

#[test]
fn a_copy_that_rots_is_made_again_and_a_strange_journal_is_kept_beside() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    keep_and_seal(&store, case(1));
    catch_up(&store);
    let copy = medium.path().join("packages").join(case(1).to_string());
    fs::remove_file(copy.join(witness::SIGNATURE)).unwrap();
    let journal = medium.path().join("journal/00000001.jsonl");
    let mut lines = fs::read(&journal).unwrap();
    lines[7] ^= 1;
    fs::remove_file(&journal).unwrap();
    disk::write_new(&journal, &lines).unwrap();
    receipt(&store, case(1)).unwrap();
    drop(store);
    let store = opened(dir.path(), medium.path());
    assert_eq!(catch_up(&store), [case(1)]);
    let names = disk::list(&medium.path().join("journal")).unwrap();
    let other = names
        .iter()
        .find(|name| name.starts_with("other-"))
        .unwrap();
    let other = medium.path().join("journal").join(other);
    assert_eq!(fs::read(&other).unwrap(), lines, "evidence of something");
    fs::remove_file(other).unwrap();
    same(dir.path(), medium.path());
}

#[test]
fn a_damaged_package_comes_back_from_its_copy() {
    for name in [
        "clip.mp4",
        "evidence.json",
        "META-INF/ASiCManifest001.xml",
        "",
    ] {
        for reboot in [None, Some(false), Some(true)] {
            let (dir, medium) = (folder(), medium());
            let store = opened(dir.path(), medium.path());
            keep_and_seal(&store, case(1));
            keep_and_seal(&store, case(2));
            catch_up(&store);
            let package = store.package_dir(case(1));
            let before = tree(&package);
            match name {
                "" => fs::remove_dir_all(&package).unwrap(),
                name => {
                    fs::remove_file(package.join(name)).unwrap();
                    disk::write_new(&package.join(name), b"rot").unwrap();
                }
            }
            let store = match reboot {
                None => {
                    let due = store.next_of(NOW, &OLDEST).unwrap().unwrap();
                    assert_eq!(due.id, case(2));
                    store
                }
                Some(lost) => {
                    drop(store);
                    if lost {
                        fs::remove_file(dir.path().join("q.db")).unwrap();
                    }
                    let store = opened(dir.path(), medium.path());
                    store.check().unwrap();
                    store
                }
            };
            assert_eq!(
                store.state(case(1)).unwrap(),
                Some(State::Damaged),
                "{name}"
            );
            assert_eq!(catch_up(&store)[0], case(1));
            assert_eq!(tree(&package), before, "{name}");
            let states = audit(&store);
            assert_eq!(states[&case(1)], State::Queued);
            let line = said(dir.path(), "package.restored").remove(0);
            assert_eq!(line["id"], case(1).to_string());
            assert_eq!(store.check().unwrap(), []);
        }
    }
}

#[test]
fn a_copy_that_does_not_verify_restores_nothing() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    keep_and_seal(&store, case(1));
    catch_up(&store);
    for package in [
        store.package_dir(case(1)),
        medium.path().join("packages").join(case(1).to_string()),
    ] {
        fs::remove_file(package.join("clip.mp4")).unwrap();
        disk::write_new(&package.join("clip.mp4"), b"rot").unwrap();
    }
    assert_eq!(store.next_of(NOW, &Wish::default()).unwrap(), None);
    for _ in 0..2 {
        assert_eq!(catch_up(&store), []);
    }
    assert_eq!(store.state(case(1)).unwrap(), Some(State::Damaged));
    assert_eq!(said(dir.path(), "package.restored").len(), 0);
    let healed = store.heal(case(1)).unwrap();
    let Healed::Not(why) = healed else {
        panic!("{healed:?}");
    };
    assert!(why.contains("second copy"), "{why}");
    assert_eq!(said(dir.path(), "package.damaged").len(), 1);
}

/// Anything may be left in `META-INF`: it is no reason for the evidence to go without its copy.
#[test]
fn what_is_no_file_beside_the_signature_holds_up_no_copy() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    keep_and_seal(&store, case(1));
    keep_and_seal(&store, case(2));
    let beside = store.package_dir(case(1)).join("META-INF");
    fs::create_dir(beside.join("folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", beside.join("link")).unwrap();
    assert_eq!(catch_up(&store), [case(1), case(2)]);
    receipt(&store, case(1)).unwrap();
    assert_eq!(catch_up(&store), [case(1)]);
    let copy = medium.path().join("packages").join(case(1).to_string());
    assert!(copy.join(witness::RECEIPT).is_file());
    assert!(!copy.join("META-INF/folder").exists());
}

/// Nor is a checkpoint that the disk does not give any more.
#[test]
fn a_checkpoint_that_cannot_be_read_holds_up_no_copy() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    keep_and_seal(&store, case(1));
    let n = store
        .checkpoint_by(|head| Ok(head.sha256.clone().into_bytes()))
        .unwrap();
    let unread = dir
        .path()
        .join(journal::CHECKPOINTS)
        .join(journal::checkpoint_name(n));
    fs::remove_file(&unread).unwrap();
    fs::create_dir(&unread).unwrap();
    assert_eq!(catch_up(&store), [case(1)]);
}

/// A receipted package is never called damaged: when it cannot be copied and nothing is found
/// that could be mended, the others go on.
#[test]
fn a_package_that_cannot_be_copied_nor_mended_does_not_hold_up_the_others() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    keep_and_seal(&store, case(1));
    receipt(&store, case(1)).unwrap();
    keep_and_seal(&store, case(2));
    {
        let inner = store.inner();
        let sql = "DROP TRIGGER blob_fixed; \
             UPDATE blob SET sha256 = lower(hex(zeroblob(32))) WHERE lane = 3 \
             AND package_id = (SELECT id FROM package WHERE seq = 1)";
        inner.conn.execute_batch(sql).unwrap();
    }
    assert_eq!(store.mirror_step().unwrap(), MirrorStep::Idle);
    assert_eq!(catch_up(&store), [case(2)]);
}

/// A medium that died is replaced by an empty one: what no receiver has signed for is copied once
/// more. A medium that comes back is no new one.
#[test]
fn on_a_new_medium_comes_once_more_what_nobody_signed_for() {
    let (dir, medium) = (folder(), medium());
    let mut store = opened(dir.path(), medium.path());
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
    }
    receipt(&store, case(1)).unwrap();
    assert_eq!(catch_up(&store), [case(1), case(2), case(3)]);
    let away = folder();
    let shelf = away.path().join("medium");
    disk::rename(medium.path(), &shelf).unwrap();
    fs::create_dir(medium.path()).unwrap();
    super::super::mirror::prepare(medium.path(), DEVICE).unwrap();
    // Found at work, and once more when the database is lost before all is copied.
    assert_eq!(
        store.mirror_step().unwrap(),
        MirrorStep::Copied(case(2)),
        "the oldest without a receipt"
    );
    assert_eq!(store.mirror_state().unwrap().unwrap().mirroring.due, 1);
    drop(store);
    fs::remove_file(dir.path().join("q.db")).unwrap();
    store = opened(dir.path(), medium.path());
    // What has its receipt is looked through once more, as ever after such a loss.
    assert_eq!(catch_up(&store), [case(1), case(3)]);
    assert_eq!(catch_up(&store), []);
    assert!(medium.path().join("journal/00000001.jsonl").is_file());

    fs::remove_dir_all(medium.path()).unwrap();
    disk::rename(&shelf, medium.path()).unwrap();
    assert_eq!(catch_up(&store), []);
    keep_and_seal(&store, case(4));
    assert_eq!(catch_up(&store), [case(4)]);
}

#[test]
fn what_was_evicted_does_not_come_back_from_its_copy() {
    let (dir, medium) = (folder(), medium());
    let mut store = opened(dir.path(), medium.path());
    keep_and_seal(&store, case(1));
    assert_eq!(catch_up(&store), [case(1)]);
    let by = (uuid::Uuid::from_u128(9), "CN=admin-1,OU=admin");
    store.evict(NOW, case(1), by).unwrap();
    for _ in 0..2 {
        assert_eq!(catch_up(&store), []);
        assert!(matches!(store.heal(case(1)).unwrap(), Healed::Not(_)));
        assert_eq!(audit(&store)[&case(1)], State::Damaged);
        assert_eq!(store.counts().unwrap().evicted, 1);
        drop(store);
        fs::remove_file(dir.path().join("q.db")).unwrap();
        store = opened(dir.path(), medium.path());
    }
    assert_eq!(said(dir.path(), "package.restored").len(), 0);
    let copy = medium.path().join("packages").join(case(1).to_string());
    assert!(copy.join("clip.mp4").is_file(), "the medium keeps it");
}

/// Earlier builds did bring such a package back and queued it: it must not be removed again
/// because its database is lost.
#[test]
fn what_was_evicted_and_restored_long_ago_stays() {
    let (dir, medium) = (folder(), medium());
    let store = opened(dir.path(), medium.path());
    keep_and_seal(&store, case(1));
    catch_up(&store);
    let by = (uuid::Uuid::from_u128(9), "CN=admin-1,OU=admin");
    store.evict(NOW, case(1), by).unwrap();
    store
        .inner()
        .conn
        .execute("DELETE FROM evicted", [])
        .unwrap();
    assert_eq!(catch_up(&store), [case(1)]);
    drop(store);
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let store = opened(dir.path(), medium.path());
    assert_eq!(audit(&store)[&case(1)], State::Queued);
    assert_eq!(store.counts().unwrap().evicted, 0);
}

#[test]
fn a_package_that_is_whole_again_needs_no_copy() {
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    let clip = store.package_dir(case(1)).join("clip.mp4");
    let bytes = fs::read(&clip).unwrap();
    fs::remove_file(&clip).unwrap();
    assert_eq!(store.next_of(NOW, &Wish::default()).unwrap(), None);
    disk::write_new(&clip, &bytes).unwrap();
    assert_eq!(store.heal(case(1)).unwrap(), Healed::Whole(Vec::new()));
    assert_eq!(audit(&store)[&case(1)], State::Queued);
    assert_eq!(
        store.next_of(NOW, &Wish::default()).unwrap().unwrap().id,
        case(1)
    );
}
