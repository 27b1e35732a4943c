//! Every step on the disk fails once, in every operation that writes.

use rustix::io::Errno;

use super::*;
use crate::disk::fault::{self, Mode};

const MODES: [Mode; 4] = [
    Mode::Once(Errno::NOSPC),
    // What the kernel tells of a lost write: it does so once.
    Mode::Once(Errno::IO),
    Mode::Forever(Errno::NOSPC),
    Mode::Forever(Errno::IO),
];

/// Lets `run` fail at its first step, then its second, … until it gets through. After each
/// failure `look` sees the store as it is, retried, and reopened. Returns the steps there were.
pub(super) fn each_step(
    set_up: impl Fn(&Store),
    run: impl Fn(&Store) -> Result<(), StoreError>,
    done: impl Fn(&Store) -> bool,
) -> u32 {
    each_step_of(&config, set_up, run, done)
}

/// The same with a configuration of its own.
fn each_step_of(
    config: &dyn Fn(&Path) -> config::Store,
    set_up: impl Fn(&Store),
    run: impl Fn(&Store) -> Result<(), StoreError>,
    done: impl Fn(&Store) -> bool,
) -> u32 {
    let reopen = |dir: &Path| Store::open(&config(dir), DEVICE).unwrap();
    let open = |dir: &Path| reopen(dir).0;
    let mut steps = 0;
    for mode in MODES {
        for retry in [true, false] {
            for n in 0.. {
                let dir = folder();
                let store = open(dir.path());
                keep_and_seal(&store, case(100));
                set_up(&store);
                fault::plan(n, mode);
                let result = run(&store);
                if fault::clear() {
                    result.unwrap();
                    steps = n;
                    break;
                }
                match result {
                    Err(StoreError::Full { .. } | StoreError::Io(_)) => {}
                    // Struck where it does not matter: the last broom in `staging/`.
                    Ok(()) => assert!(done(&store)),
                    Err(other) => panic!("{other}"),
                }
                if retry {
                    run(&store).unwrap();
                    assert!(done(&store), "{mode:?} {n}");
                    assert!(audit(&store).contains_key(&case(100)));
                }
                drop(store);
                let store = open(dir.path());
                assert!(audit(&store).contains_key(&case(100)));
                if !done(&store) {
                    assert!(!retry, "what was done is still done: {mode:?} {n}");
                    run(&store).unwrap();
                }
                assert!(done(&store));
                audit(&store);
                drop(store);
                let (_, recovery) = reopen(dir.path());
                assert_eq!(recovery.adopted.len() + recovery.damaged.len(), 0);
                assert_eq!((recovery.leftovers, recovery.drafts_lost), (0, 0));
            }
        }
    }
    steps
}

#[test]
fn each_way_a_disk_fails_has_its_own_error() {
    let dir = folder();
    let store = open(dir.path());
    let fail = |errno| {
        fault::plan(0, Mode::Forever(errno));
        let error = store.keep(case(1), &drafts(), None).unwrap_err();
        fault::clear();
        error
    };
    assert!(matches!(fail(Errno::NOSPC), StoreError::Full { .. }));
    assert!(matches!(fail(Errno::ROFS), StoreError::ReadOnly(_)));
    let error = fail(Errno::IO);
    assert!(matches!(error, StoreError::Io(_)));
    let text = error.to_string();
    assert!(text.contains("cannot create directory"), "{text}");
    assert!(text.contains(&case(1).to_string()), "{text}");
}

/// For want of descriptors or memory nothing is called damaged and nothing of an open case lost;
/// what the disk itself did not give is looked at again at the next start.
#[test]
fn what_cannot_be_read_for_a_moment_is_neither_damaged_nor_lost() {
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    store.keep(case(2), &drafts(), None).unwrap();
    fault::plan_reading(0, Errno::MFILE);
    let error = store.next_of(NOW, &Wish::default()).unwrap_err();
    assert!(matches!(error, StoreError::Io(_)), "{error}");
    fault::plan_reading(0, Errno::NOMEM);
    let error = seal(&store, case(2)).unwrap_err();
    assert!(matches!(error, StoreError::Io(_)), "{error}");
    assert_eq!(store.drafts(case(2)).unwrap().len(), NAMES.len());
    seal(&store, case(2)).unwrap();

    fault::plan_reading(0, Errno::IO);
    assert_eq!(
        store.next_of(NOW, &Wish::default()).unwrap().unwrap().id,
        case(1)
    );
    assert_eq!(audit(&store)[&case(2)], State::Damaged);
    drop(store);
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.whole_again, [case(2)]);
    assert_eq!(audit(&store)[&case(2)], State::Queued);
    assert_eq!(
        store.next_of(NOW, &Wish::default()).unwrap().unwrap().id,
        case(2)
    );
    assert_eq!(said(dir.path(), "package.restored").len(), 1);
}

/// The second copy leaves nothing out for that either, and calls neither package nor medium bad.
#[test]
fn what_cannot_be_read_for_a_moment_is_copied_the_next_time() {
    for n in 0.. {
        let (dir, medium) = (folder(), medium());
        let store = Store::open(&mirrored(dir.path(), medium.path()), DEVICE)
            .unwrap()
            .0;
        keep_and_seal(&store, case(1));
        keep_and_seal(&store, case(2));
        receipt(&store, case(1)).unwrap();
        fault::plan_reading(n, Errno::MFILE);
        let copied = copy_all(&store);
        let through = fault::clear_reading();
        assert_eq!(copied.is_ok(), through, "{n}: {copied:?}");
        copy_all(&store).unwrap();
        let [here, there] = [dir.path(), medium.path()].map(|d| mirror::tree(&d.join("packages")));
        assert_eq!(here, there, "{n}");
        assert!(there.keys().any(|name| name.ends_with(witness::RECEIPT)));
        for kind in [lines::DAMAGED, lines::MIRROR_MISSING] {
            assert_eq!(said(dir.path(), kind), [Value::Null; 0], "{n}");
        }
        if through {
            assert!(n > 20, "{n}");
            break;
        }
    }
}

/// A start without the database reads everything: what it cannot read for a moment it says nothing of.
#[test]
fn what_cannot_be_read_for_a_moment_is_not_left_out_of_a_new_database() {
    let dir = ruin::filled();
    for n in 0.. {
        fs::remove_file(dir.path().join("q.db")).unwrap();
        fault::plan_reading(n, Errno::MFILE);
        let opened = Store::open(&config(dir.path()), DEVICE).map(drop);
        let through = fault::clear_reading();
        assert_eq!(opened.is_ok(), through, "{n}: {opened:?}");
        let store = open(dir.path());
        assert_eq!(audit(&store), ruin::expected(), "{n}");
        if through {
            assert!(n > 30, "{n}");
            break;
        }
    }
    assert_eq!(said(dir.path(), lines::DAMAGED), [Value::Null; 0]);
}

#[test]
fn keeping_fails_at_any_step_without_harm() {
    let steps = each_step(
        |store| store.keep(case(1), &drafts()[..1], Some("before")).unwrap(),
        |store| store.keep(case(1), &drafts(), Some("after")),
        |store| {
            let files = store.drafts(case(1)).unwrap().len();
            let book = store.book().unwrap().unwrap();
            assert!(
                (files, book.as_str()) == (1, "before") || (files, book.as_str()) == (3, "after")
            );
            files == 3
        },
    );
    assert!(steps > 10, "{steps}");
}

/// A sync that failed and then succeeded says nothing of what was to be synced by the first.
#[test]
fn a_package_whose_place_was_not_synced_is_moved_again() {
    let mut moved = 0;
    for n in 0.. {
        let dir = folder();
        let store = open(dir.path());
        store.keep(case(1), &drafts(), Some("open")).unwrap();
        fault::plan(n, Mode::Once(Errno::IO));
        let sealed = seal(&store, case(1));
        if fault::clear() {
            sealed.unwrap();
            break;
        }
        if store.package_dir(case(1)).exists() {
            // Where it has to come through, if it is moved at all.
            let way = dir.path().join("staging").join(case(1).to_string());
            fs::create_dir_all(way.join("in the way")).unwrap();
            if store.save_book("next").is_err() {
                assert_eq!(said(dir.path(), lines::SEALED), [Value::Null; 0], "{n}");
                moved += 1;
            }
            fs::remove_dir_all(&way).unwrap();
        }
        seal(&store, case(1)).unwrap();
        assert_eq!(audit(&store)[&case(1)], State::Queued, "{n}");
    }
    assert_eq!(moved, 2, "the syncs of both folders");
}

#[test]
fn sealing_fails_at_any_step_without_harm() {
    let steps = each_step(
        |store| store.keep(case(1), &drafts(), Some("open")).unwrap(),
        |store| seal(store, case(1)),
        |store| {
            let sealed = store.state(case(1)).unwrap().is_some();
            assert_eq!(
                store.drafts(case(1)).unwrap().len(),
                if sealed { 0 } else { 3 }
            );
            sealed
        },
    );
    assert!(steps > 20, "{steps}");
}

#[test]
fn receipting_fails_at_any_step_without_harm() {
    let steps = each_step(
        |store| keep_and_seal(store, case(1)),
        |store| receipt(store, case(1)),
        |store| store.state(case(1)).unwrap() == Some(State::Receipted),
    );
    assert!(steps >= 8, "{steps}");
}

#[test]
fn a_later_receipt_fails_at_any_step_without_harm() {
    let steps = each_step(
        |store| {
            keep_and_seal(store, case(1));
            receipt_of(store, case(1), 1);
        },
        |store| {
            let facts = facts(&sig(store, case(1)));
            let seq = (case(1), 2);
            store.receipted_later(seq, b"two copies", &facts).map(drop)
        },
        |store| {
            let first = store.package_dir(case(1)).join(witness::RECEIPT);
            assert_eq!(fs::read(first).unwrap(), b"signed receipt");
            copies(store, case(1)) == Some(2)
        },
    );
    assert!(steps >= 6, "{steps}");
}

#[test]
fn discarding_fails_at_any_step_without_harm() {
    each_step(
        |store| store.keep(case(1), &drafts(), Some("open")).unwrap(),
        |store| store.discard(case(1), "why", Some("gone")),
        |store| store.open_cases().unwrap().is_empty(),
    );
}

/// A package holds what its signature covers, and not so much as a folder more.
#[test]
fn what_discarding_left_does_not_come_into_the_next_package() {
    let mut left = 0;
    for n in 0.. {
        let dir = folder();
        let store = open(dir.path());
        store.keep(case(1), &drafts(), None).unwrap();
        fault::plan(n, Mode::Once(Errno::IO));
        let discarded = store.discard(case(1), "why", None);
        let through = fault::clear();
        if discarded.is_ok() {
            let staging = dir.path().join("staging").join(case(1).to_string());
            left += usize::from(staging.exists());
            store.keep(case(1), &[draft(NAMES[2])], None).unwrap();
        }
        seal(&store, case(1)).unwrap();
        audit(&store);
        if through {
            break;
        }
    }
    assert_eq!(left, 1, "the folder's removal failed once");
}

/// What a run was killed in the middle of is not said again by the next.
#[test]
fn a_case_is_thrown_away_once_wherever_the_run_before_ended() {
    for n in 0.. {
        let dir = folder();
        let store = open(dir.path());
        store.keep(case(1), &drafts(), Some("open")).unwrap();
        let discard = |store: &Store| store.discard(case(1), "why", None);
        fault::plan(n, Mode::Forever(Errno::IO));
        let result = discard(&store);
        let through = fault::clear();
        drop(store);
        let store = open(dir.path());
        if store.open_cases().unwrap() == [case(1)] {
            discard(&store).unwrap();
        }
        assert_eq!(store.open_cases().unwrap(), []);
        assert_eq!(said(dir.path(), lines::DISCARDED).len(), 1, "{n}");
        if through {
            result.unwrap();
            assert!(n > 2, "{n}");
            break;
        }
    }
}

#[test]
fn pruning_fails_at_any_step_without_harm() {
    let by_receipt = |dir: &Path| config::Store {
        prune_needs: config::PruneNeeds::Receipt,
        ..config(dir)
    };
    let steps = each_step_of(
        &by_receipt,
        |store| {
            keep_and_seal(store, case(1));
            receipt(store, case(1)).unwrap();
        },
        |store| store.prune(later()).map(drop),
        |store| {
            // Struck after the row, the rest is unlinked by the next call or start.
            let names = package::files(&store.inner().conn, case(1)).unwrap();
            let unlinked = names.iter().all(|file| file.lane == 1);
            assert!(store.package_dir(case(1)).join(witness::RECEIPT).exists());
            assert!(store.package_dir(case(1)).join(witness::STATEMENT).exists());
            store.state(case(1)).unwrap() == Some(State::Pruned) && unlinked
        },
    );
    assert!(steps > 8, "{steps}");
}

/// Copies until the second medium has everything.
fn copy_all(store: &Store) -> Result<(), StoreError> {
    loop {
        match store.mirror_step()? {
            MirrorStep::Copied(_) | MirrorStep::Restored(_) => {}
            MirrorStep::Idle => return Ok(()),
            MirrorStep::Missing(why) | MirrorStep::Failed(why) => return Err(StoreError::Io(why)),
            MirrorStep::Off => panic!("a medium is configured"),
        }
    }
}

fn with_medium(dir: &Path) -> config::Store {
    let medium = dir.join("medium");
    fs::create_dir_all(&medium).unwrap();
    super::super::mirror::prepare(&medium, DEVICE).unwrap();
    mirrored(dir, &medium)
}

#[test]
fn mirroring_fails_at_any_step_without_harm() {
    let steps = each_step_of(
        &with_medium,
        |store| keep_and_seal(store, case(1)),
        // The line after it takes back what a struck one left in the journal.
        |store| copy_all(store).and_then(|()| store.note(NOW, "boot", Value::Null).map(drop)),
        |store| {
            let dir = &store.shared.dir;
            let done = store.mirror_state().unwrap().unwrap().mirroring.due == 0;
            if done {
                let [here, there] =
                    [dir, &dir.join("medium")].map(|d| mirror::tree(&d.join("packages")));
                assert_eq!(here, there, "what counts as copied is there");
            }
            done
        },
    );
    assert!(steps > 40, "{steps}");
}

#[test]
fn healing_fails_at_any_step_without_harm() {
    for mode in MODES {
        for n in 0.. {
            let dir = folder();
            let store = Store::open(&with_medium(dir.path()), DEVICE).unwrap().0;
            keep_and_seal(&store, case(1));
            copy_all(&store).unwrap();
            let clip = store.package_dir(case(1)).join("clip.mp4");
            fs::remove_file(&clip).unwrap();
            fs::remove_file(store.package_dir(case(1)).join(NAMES[0])).unwrap();
            assert_eq!(store.next_of(NOW, &Wish::default()).unwrap(), None);
            fault::plan(n, mode);
            let healed = store.heal(case(1));
            let untouched = fault::clear();
            drop(store);
            let store = Store::open(&with_medium(dir.path()), DEVICE).unwrap().0;
            copy_all(&store).unwrap();
            assert_eq!(audit(&store)[&case(1)], State::Queued, "{mode:?} {n}");
            assert_eq!(store.check().unwrap(), []);
            if untouched {
                assert!(matches!(healed.unwrap(), Healed::Whole(files) if files.len() == 2));
                assert!(n > 10, "{n}");
                break;
            }
            healed.unwrap_err();
        }
    }
}

#[test]
fn exporting_fails_at_any_step_and_leaves_no_half_file() {
    let (dir, into) = (folder(), folder());
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    let view = View::open(&config(dir.path())).unwrap();
    let package = &view.packages().unwrap()[0];
    let name = format!("{}.asice", case(1));
    for n in 0.. {
        fault::plan(n, Mode::Once(Errno::NOSPC));
        let exported = view.export(package, into.path());
        let untouched = fault::clear();
        let there = into.path().join(&name);
        if untouched {
            assert!(matches!(
                exported.unwrap().1,
                Export::Written(_) | Export::There
            ));
            assert!(n >= 4, "{n}");
            break;
        }
        exported.unwrap_err();
        if let Ok(zip) = fs::read(&there) {
            let whole = witness::Container::from_dir(&store.package_dir(case(1))).unwrap();
            assert_eq!(zip, whole.to_zip(), "under its name it is whole");
            fs::remove_file(&there).unwrap();
        }
    }
}

#[test]
fn opening_fails_at_any_step_without_harm() {
    for mode in MODES {
        for n in 0.. {
            let dir = folder();
            let store = open(dir.path());
            keep_and_seal(&store, case(1));
            keep_and_seal(&store, case(2));
            receipt(&store, case(2)).unwrap();
            store.keep(case(3), &drafts(), None).unwrap();
            // Case 4 is half sealed, something strays in staging/, the journal is torn.
            store.keep(case(4), &drafts(), None).unwrap();
            drop(store);
            half_seal(dir.path(), case(4));
            fs::create_dir(dir.path().join("staging/stray")).unwrap();
            ruin::append(&dir.path().join("journal/00000001.jsonl"), b"{\"n\":");

            fault::plan(n, mode);
            let result = Store::open(&config(dir.path()), DEVICE).map(|_| ());
            let untouched = fault::clear();
            let store = open(dir.path());
            let states = audit(&store);
            assert_eq!(states[&case(1)], State::Queued);
            assert_eq!(states[&case(2)], State::Receipted);
            assert_eq!(states[&case(4)], State::Queued);
            assert_eq!(store.drafts(case(3)).unwrap().len(), 3);
            let repairs = said(dir.path(), "journal.repaired").len();
            assert!(
                (1..=2).contains(&repairs),
                "two when the first was torn itself"
            );
            if untouched {
                result.unwrap();
                assert!(n > 10, "{n}");
                break;
            }
            result.unwrap_err();
        }
    }
}

/// Leaves a case as a power cut between rename and journal line does.
pub(super) fn half_seal(dir: &Path, id: CaseId) {
    half_seal_by(dir, id, |store| seal(store, id));
}

/// The same, sealed in another way.
pub(super) fn half_seal_by(
    dir: &Path,
    id: CaseId,
    seal: impl Fn(&Store) -> Result<(), StoreError>,
) {
    let store = open(dir);
    for n in 0.. {
        fault::plan(n, Mode::Forever(Errno::IO));
        let result = seal(&store);
        assert!(!fault::clear(), "sealed before the search met the place");
        result.unwrap_err();
        if store.package_dir(id).exists() {
            break;
        }
    }
    assert_eq!(store.state(id).unwrap(), None);
    assert!(
        said(dir, lines::SEALED)
            .iter()
            .all(|body| body["id"] != id.to_string())
    );
}
