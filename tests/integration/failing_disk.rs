//! The store on disks that fail for real: a file system that the kernel turns read-only, and one
//! whose medium gives input/output errors.
//!
//! The disk is a loop device over a file in memory. While the device is told that it has no room at all,
//! nothing can be read from it nor written: a medium that fails, which needs no device-mapper. Root only.
//! What the whole program makes of such disks is in `field/failing.rs`.

use std::cell::Cell;
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

/// What a file system does about errors.
#[derive(Clone, Copy)]
pub(crate) enum Nature {
    /// As a box's should: it turns read-only at the first error that touches its own order.
    TurnsReadOnly,
    /// It has no journal that could be given up, and goes on: each write fails or not for itself.
    GoesOn,
}

impl Nature {
    /// How it is made, and how it is mounted.
    fn words(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::TurnsReadOnly => (&[], "loop,errors=remount-ro"),
            Self::GoesOn => (&["-O", "^has_journal"], "loop,errors=continue"),
        }
    }
}

/// A disk of 128 MiB.
pub(crate) struct Disk {
    below: PathBuf,
    pub(crate) place: PathBuf,
    nature: Nature,
    /// How often it was put in anew.
    times: Cell<u32>,
}

impl Disk {
    /// Mounts one at `name` in `dir`; `None` without the right to.
    pub(crate) fn mount(dir: &Path, name: &str, nature: Nature) -> Option<Self> {
        let disk = Self {
            below: dir.join("below"),
            place: dir.join(name),
            nature,
            times: Cell::new(0),
        };
        for folder in [&disk.below, &disk.place] {
            std::fs::create_dir(folder).unwrap();
        }
        let size = ["-t", "tmpfs", "-o", "size=400m", "lingmou-test"];
        if !done("mount", &size, &[&disk.below]) {
            return None;
        }
        let image = disk.image();
        let file = std::fs::File::create(&image).unwrap();
        file.set_len(128 << 20).unwrap();
        let words = [&["-q", "-F"], nature.words().0].concat();
        let made = done("mkfs.ext4", &words, &[&image]);
        (made && disk.put_in()).then_some(disk)
    }

    fn image(&self) -> PathBuf {
        self.below.join(format!("disk{}.img", self.times.get()))
    }

    pub(crate) fn put_in(&self) -> bool {
        let options = ["-o", self.nature.words().1];
        done("mount", &options, &[&self.image(), &self.place])
    }

    pub(crate) fn take_out(&self) {
        assert!(done("umount", &[], &[&self.place]));
    }

    /// Takes it out under whoever uses it and puts it in again: another device to the kernel, with what
    /// the medium has.
    pub(crate) fn put_in_anew(&self) {
        assert!(done("umount", &["--lazy"], &[&self.place]));
        let before = self.image();
        self.times.update(|times| times + 1);
        copy(&before, &self.image());
        assert!(self.put_in());
    }

    /// From now on the medium answers whatever is read or written with an error.
    pub(crate) fn fail(&self) {
        let here = [&*self.place];
        assert!(done("fsfreeze", &["-f"], &here));
        copy(&self.image(), &self.kept());
        let image = std::fs::File::options().write(true).open(self.image());
        image.unwrap().set_len(0).unwrap();
        assert!(self.measure());
        // A frozen file system would hold up whoever writes.
        assert!(done("fsfreeze", &["-u"], &here));
    }

    /// It works again, with what it had.
    pub(crate) fn work_again(&self) {
        copy(&self.kept(), &self.image());
        // Taken out meanwhile, it is measured when it is put in.
        self.measure();
    }

    fn kept(&self) -> PathBuf {
        self.below.join("kept.img")
    }

    /// Tells the device how large its file is now; false when it is not in its place.
    fn measure(&self) -> bool {
        let mut find = Command::new("findmnt");
        let found = find.args(["-n", "-o", "SOURCE"]).arg(&self.place).output();
        let found = String::from_utf8(found.unwrap().stdout).unwrap();
        done("losetup", &["-c", found.trim()], &[])
    }

    /// What the kernel does with a file system in which it found an error.
    pub(crate) fn abort(&self) -> bool {
        done("mount", &["-o", "remount,abort"], &[&self.place])
    }
}

/// Without room for what was never written.
fn copy(from: &Path, to: &Path) {
    assert!(done("cp", &["--sparse=always"], &[from, to]));
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
    let Some(disk) = Disk::mount(dir.path(), "store", Nature::TurnsReadOnly) else {
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
    let Some(disk) = Disk::mount(dir.path(), "store", Nature::TurnsReadOnly) else {
        skipped("a disk that fails needs root and a loop device");
        return;
    };
    let hands = hands_on(dir.path());
    let (sealed, error) = seal_until_it_fails(&hands, 5);
    assert!(error.is_none(), "{error:?}");
    disk.fail();
    let (none, error) = seal_until_it_fails(&hands, 1);
    assert_eq!(none, []);
    assert!(
        matches!(error, Some(StoreError::Io(_) | StoreError::ReadOnly(_))),
        "{error:?}"
    );
    assert!(hands.store.care(clock::now(), true).is_err());
    drop(hands);
    disk.take_out();
    disk.work_again();
    assert!(disk.put_in());
    all_there(dir.path(), &sealed);
}
