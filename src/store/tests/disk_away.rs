//! The disk of the store is taken away under a running daemon, and comes back.

use super::*;

fn gone(store: &Store) -> String {
    match store.care(NOW, false) {
        Err(StoreError::Io(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A copy of a folder, file by file: the same store on what is another disk.
fn clone(from: &Path, to: &Path) {
    for (name, bytes) in mirror::tree(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        disk::write_new(&path, &bytes).unwrap();
    }
}

#[test]
fn what_is_away_is_not_damaged_and_goes_on_when_it_is_back() {
    let dir = folder();
    let place = dir.path().join("store");
    let store = open(&place);
    keep_and_seal(&store, case(1));
    store.keep(case(2), &drafts(), Some("open")).unwrap();
    let shelf = dir.path().join("shelf");
    disk::rename(&place, &shelf).unwrap();
    // Away, and then with the empty mount point in its place.
    for mount_point in [false, true] {
        if mount_point {
            fs::create_dir(&place).unwrap();
        }
        assert!(gone(&store).contains("taken away"));
        assert!(matches!(
            store.next_of(NOW, &Wish::default()),
            Err(StoreError::Io(_))
        ));
        assert!(matches!(
            store.keep(case(3), &drafts(), None),
            Err(StoreError::Io(_))
        ));
        assert!(seal(&store, case(2)).is_err());
        assert!(store.check().is_err());
    }
    assert_eq!(
        disk::list(&place).unwrap(),
        [""; 0],
        "nothing is begun there"
    );
    fs::remove_dir(&place).unwrap();
    disk::rename(&shelf, &place).unwrap();
    store.care(NOW, true).unwrap();
    assert_eq!(store.state(case(1)).unwrap(), Some(State::Queued));
    assert_eq!(said(&place, "package.damaged").len(), 0);
    store.keep(case(3), &drafts(), None).unwrap();
    audit(&store);
}

#[test]
fn a_disk_that_was_mounted_anew_is_opened_anew() {
    let dir = folder();
    let place = dir.path().join("store");
    let store = open(&place);
    keep_and_seal(&store, case(1));
    store.keep(case(2), &drafts(), Some("open")).unwrap();
    let older = dir.path().join("older");
    clone(&place, &older);
    keep_and_seal(&store, case(3));
    let shelf = dir.path().join("shelf");
    disk::rename(&place, &shelf).unwrap();
    // Not ours: a store of its own, and ours of yesterday.
    drop(open(&place));
    assert!(gone(&store).contains("another store"));
    fs::remove_dir_all(&place).unwrap();
    disk::rename(&older, &place).unwrap();
    assert!(gone(&store).contains("older copy"));
    fs::remove_dir_all(&place).unwrap();

    clone(&shelf, &place);
    // Handles on the disk that went are of no use: everything goes to the one that came.
    fs::remove_dir_all(&shelf).unwrap();
    store.care(NOW, false).unwrap();
    let kept = store.drafts(case(2)).unwrap();
    assert_eq!(kept.len(), 3);
    seal(&store, case(2)).unwrap();
    store.note(NOW, "boot", Value::Null).unwrap();
    let states = audit(&store);
    assert_eq!(states.len(), 3);
    drop(store);
    assert_eq!(reopen(&place).1.adopted, []);
}

#[test]
fn a_suspect_disk_is_tried_with_a_small_write() {
    use crate::disk::fault::{self, Mode};
    use rustix::io::Errno;

    let dir = folder();
    let store = open(dir.path());
    for (errno, expected) in [(Errno::IO, "fails"), (Errno::ROFS, "read-only")] {
        fault::plan(0, Mode::Forever(errno));
        let error = store.care(NOW, true).unwrap_err();
        fault::clear();
        assert!(error.to_string().contains(expected), "{error}");
        store.care(NOW, true).unwrap();
    }
    assert_eq!(disk::list(&dir.path().join("staging")).unwrap(), [""; 0]);
}
