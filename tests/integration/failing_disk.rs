//! The store on disks that fail for real: a file system that the kernel turns read-only, and one
//! whose medium gives input/output errors.
//!
//! A loop device over a file in memory is the disk. What it has no room for it cannot write: so a
//! full memory below is a medium that fails, which needs no device-mapper. Root only.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::skip::skipped;
use lingmou::clock;
use lingmou::store::{State, Store, StoreError};
use lingmou::types::CaseId;
use uuid::Uuid;

use crate::crash::{hands_on, store_config, with_keys};
use crate::hands::{DEVICE, Hands};

/// Runs a command quietly; whether it did what it was told.
fn done(program: &str, args: &[&str], paths: &[&Path]) -> bool {
    let status = Command::new(program)
        .args(args)
        .args(paths)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// A disk of 64 MiB that claims its room only when it is written, on memory that may be less.
struct Disk {
    below: PathBuf,
    place: PathBuf,
}

impl Disk {
    /// Mounts one as the place of the store in `dir`; `None` without the right to.
    fn mount(dir: &Path) -> Option<Self> {
        let disk = Self {
            below: dir.join("below"),
            place: dir.join("store"),
        };
        for folder in [&disk.below, &disk.place] {
            std::fs::create_dir(folder).unwrap();
        }
        let size = ["-t", "tmpfs", "-o", "size=80m", "lingmou-test"];
        if !done("mount", &size, &[&disk.below]) {
            return None;
        }
        let image = disk.image();
        let file = std::fs::File::create(&image).unwrap();
        file.set_len(64 << 20).unwrap();
        let made = done("mkfs.ext4", &["-q", "-F"], &[&image]);
        (made && disk.put_in()).then_some(disk)
    }

    fn image(&self) -> PathBuf {
        self.below.join("disk.img")
    }

    fn put_in(&self) -> bool {
        let options = ["-o", "loop,errors=remount-ro"];
        done("mount", &options, &[&self.image(), &self.place])
    }

    fn take_out(&self) {
        assert!(done("umount", &[], &[&self.place]));
    }

    /// From now on the medium cannot take a block it has not had before; or can again.
    fn fail(&self, fails: bool) {
        let filler = self.below.join("filler");
        if !fails {
            std::fs::remove_file(filler).unwrap();
            return;
        }
        let mut file = std::fs::File::create(filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// What the kernel does with a file system in which it found an error.
    fn abort(&self) -> bool {
        done("mount", &["-o", "remount,abort"], &[&self.place])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for place in [&self.place, &self.below] {
            done("umount", &["--lazy"], &[place]);
        }
    }
}

/// Seals until the store refuses; what was sealed, and why no more.
fn seal_until_it_fails(hands: &Hands, most: usize) -> (Vec<CaseId>, Option<StoreError>) {
    let mut sealed = Vec::new();
    for _ in 0..most {
        let id = CaseId(Uuid::now_v7());
        match hands.keep(id, 100_000).and_then(|()| hands.seal(id)) {
            Ok(()) => sealed.push(id),
            Err(error) => return (sealed, Some(error)),
        }
    }
    (sealed, None)
}

/// The disk works again: nothing that was sealed is lost, and the store goes on.
fn all_there(dir: &Path, sealed: &[CaseId]) {
    let (store, recovery) = Store::open(&store_config(dir), DEVICE).unwrap();
    assert_eq!(recovery.damaged, [], "{recovery:?}");
    for id in sealed {
        assert_eq!(store.state(*id).unwrap(), Some(State::Queued), "{id}");
    }
    for case in store.open_cases().unwrap() {
        store.discard(case, "its disk failed", None).unwrap();
    }
    assert_eq!(store.check().unwrap(), []);
    drop(store);
    let hands = hands_on(dir);
    let (more, error) = seal_until_it_fails(&hands, 2);
    assert_eq!((more.len(), error.is_none()), (2, true), "{error:?}");
}

#[test]
fn a_disk_that_turns_read_only_loses_nothing_that_is_sealed() {
    let dir = with_keys();
    let Some(disk) = Disk::mount(dir.path()) else {
        skipped("a disk that fails needs root and a loop device");
        return;
    };
    let hands = hands_on(dir.path());
    let (sealed, error) = seal_until_it_fails(&hands, 5);
    assert!(error.is_none(), "{error:?}");
    if !disk.abort() {
        skipped("this kernel does not abort a file system when it is told to");
        return;
    }
    let (none, error) = seal_until_it_fails(&hands, 1);
    assert_eq!(none, []);
    assert!(
        matches!(error, Some(StoreError::ReadOnly(_) | StoreError::Io(_))),
        "{error:?}"
    );
    let care = hands.store.care(clock::now(), true);
    assert!(
        matches!(care, Err(StoreError::ReadOnly(_) | StoreError::Io(_))),
        "{care:?}"
    );
    // What is sealed can be read and sent meanwhile.
    for id in &sealed {
        assert_eq!(hands.store.state(*id).unwrap(), Some(State::Queued));
        let clip = hands.store.package_dir(*id).join("clip.mp4");
        assert_eq!(std::fs::read(clip).unwrap().len(), 100_000);
    }
    drop(hands);
    disk.take_out();
    assert!(disk.put_in());
    all_there(dir.path(), &sealed);
}

#[test]
fn a_medium_with_input_output_errors_loses_nothing_that_is_sealed() {
    let dir = with_keys();
    let Some(disk) = Disk::mount(dir.path()) else {
        skipped("a disk that fails needs root and a loop device");
        return;
    };
    let hands = hands_on(dir.path());
    let (mut sealed, error) = seal_until_it_fails(&hands, 5);
    assert!(error.is_none(), "{error:?}");
    disk.fail(true);
    // 200 packages of 400 kB do not fit in any case; the medium fails long before it is full.
    let (more, error) = seal_until_it_fails(&hands, 200);
    assert!(
        matches!(
            error,
            Some(StoreError::Io(_) | StoreError::ReadOnly(_) | StoreError::Corrupt(_))
        ),
        "{} more, then {error:?}",
        more.len()
    );
    sealed.extend(more);
    assert!(hands.store.care(clock::now(), true).is_err());
    drop(hands);
    disk.take_out();
    disk.fail(false);
    assert!(disk.put_in());
    all_there(dir.path(), &sealed);
    println!("{} packages, none lost; then {error:?}", sealed.len());
}
