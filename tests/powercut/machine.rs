//! The virtual machine and its disk.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guest::LIVED;
use crate::log::SECTOR;

/// Sectors of the disk that have the file system.
pub(crate) const STORE: Range<u64> = 2048..2048 + 160 * 2048;
/// First sector of the part that has the promises; it reaches to the end of the disk.
pub(crate) const PROMISES: u64 = STORE.end;
/// Sectors of the disk.
const DISK: u64 = PROMISES + 2 * 2048;

/// Whether the machine's program may sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// As everywhere.
    Real,
    /// `fsync` and its kin do nothing and say they did.
    Nothing,
}

/// A machine that has not run yet, or has run.
pub(crate) struct Machine {
    dir: PathBuf,
    sync: Sync,
}

impl Machine {
    /// Makes its disk: two partitions, on the first an empty file system.
    pub(crate) fn new(dir: &Path, sync: Sync) -> Self {
        let machine = Self {
            dir: dir.to_owned(),
            sync,
        };
        let disk = machine.pristine();
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&disk)
            .unwrap();
        file.set_len(DISK * SECTOR).unwrap();
        partition(&file);
        let size = format!("{}k", (STORE.end - STORE.start) * SECTOR / 1024);
        let offset = format!("offset={},lazy_itable_init=0", STORE.start * SECTOR);
        let out = Command::new("mkfs.ext4")
            .args(["-q", "-F", "-E", &offset])
            .arg(&disk)
            .arg(size)
            .output()
            .expect("mkfs.ext4 (Debian package e2fsprogs)");
        let words = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "mkfs.ext4: {words}");
        machine
    }

    /// The disk as it is before the machine starts.
    pub(crate) fn pristine(&self) -> PathBuf {
        self.dir.join("pristine.img")
    }

    /// The log of all writes.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("writes.log")
    }

    /// Starts the machine and waits until it has lived through its rounds.
    pub(crate) fn live(&self, rounds: u64) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sync = match self.sync {
            Sync::Real => "sync",
            Sync::Nothing => "nosync",
        };
        let out = Command::new(root.join("tests/powercut/boot.sh"))
            .arg(std::env::current_exe().unwrap())
            .arg(&self.dir)
            .args([sync, &rounds.to_string()])
            .output()
            .unwrap();
        let words = [out.stdout, out.stderr].concat();
        let words = String::from_utf8_lossy(&words);
        let lived = words.lines().any(|line| line.trim_end() == LIVED);
        assert!(out.status.success() && lived, "the machine:\n{words}");
    }
}

/// Writes the table of two partitions, as every kernel reads it without modules.
fn partition(disk: &File) {
    let mut table = Vec::new();
    for part in [STORE, PROMISES..DISK] {
        // Not bootable, no cylinders, type Linux, no cylinders; then where and how long.
        table.extend([0, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff]);
        table.extend(u32::try_from(part.start).unwrap().to_le_bytes());
        table.extend(u32::try_from(part.end - part.start).unwrap().to_le_bytes());
    }
    disk.write_all_at(&table, 446).unwrap();
    disk.write_all_at(&[0x55, 0xaa], 510).unwrap();
}
