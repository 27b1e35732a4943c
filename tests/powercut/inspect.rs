//! Mounts a disk after its cut, lets the store recover, and holds it against the promises.

use std::path::{Path, PathBuf};
use std::process::Command;

use lingmou::journal;
use lingmou::store::{Database, State, Store, StoreError};
use lingmou::types::CaseId;
use lingmou::witness::{Roots, verify_path};
use uuid::Uuid;

use crate::guest::config;
use crate::hands::{DEVICE, Hands};
use crate::log::SECTOR;
use crate::machine;
use crate::promise::Made;

/// What was found on a disk.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Everything that is not as promised; empty is good.
    pub(crate) faults: Vec<String>,
    /// Packages that start-up took in.
    pub(crate) adopted: usize,
    /// Packages there.
    pub(crate) packages: usize,
}

/// Looks at disks, one after the other.
pub(crate) struct Inspector {
    mount: PathBuf,
    keys: PathBuf,
    roots: Roots,
}

impl Inspector {
    pub(crate) fn new(work: &Path, keys: &Path) -> Self {
        let mount = work.join("mount");
        std::fs::create_dir(&mount).unwrap();
        Self {
            mount,
            keys: keys.to_owned(),
            roots: Roots::load(&keys.join("ca/root.crt")).unwrap(),
        }
    }

    /// Mounts and looks. What the file system cannot mend is a fault as well.
    pub(crate) fn inspect(&self, image: &Path, made: &Made) -> Report {
        let mut report = Report::default();
        match Mounted::new(image, &self.mount) {
            Ok(mounted) => {
                if let Err(error) = self.look(made, &mut report) {
                    report.faults.push(format!("the store: {error}"));
                }
                drop(mounted);
            }
            Err(words) => report.faults.push(format!("not to be mounted: {words}")),
        }
        report
    }

    fn look(&self, made: &Made, report: &mut Report) -> Result<(), StoreError> {
        let dir = self.mount.join("store");
        let (store, recovery) = Store::open(&config(&dir), DEVICE)?;
        report.adopted = recovery.adopted.len();
        let faults = &mut report.faults;
        if recovery.database != Database::Sound {
            faults.push(format!("the database: {:?}", recovery.database));
        }
        if !recovery.damaged.is_empty() || recovery.drafts_lost > 0 {
            faults.push(format!("broken: {recovery:?}"));
        }
        if let Err(error) = journal::verify(&dir.join("journal")) {
            faults.push(format!("the journal: {error}"));
        }
        if store.head().n < made.line {
            let head = store.head().n;
            faults.push(format!("the journal ends at {head}, not {}", made.line));
        }
        for (id, receipted) in &made.sealed {
            let state = store.state(*id)?;
            let kept = match state {
                Some(State::Receipted | State::Pruned) => true,
                Some(State::Queued) => !receipted,
                _ => false,
            };
            if !kept {
                faults.push(format!("{id} lost: {state:?}, receipted: {receipted}"));
            }
        }
        if let Some(id) = made.open
            && !store.open_cases()?.contains(&id)
            && store.state(id)?.is_none()
        {
            faults.push(format!("the open case {id} is lost"));
        }
        let found = store.check()?;
        if !found.is_empty() {
            faults.push(format!("check: {found:?}"));
        }
        for entry in std::fs::read_dir(dir.join("packages")).unwrap() {
            let path = entry.unwrap().path();
            report.packages += 1;
            let id = path.file_name().and_then(|name| name.to_str()).unwrap();
            let pruned = store.state(CaseId(Uuid::parse_str(id).unwrap()))? == Some(State::Pruned);
            let verdict = verify_path(&path, &self.roots);
            // Without its pictures a package proves only its head, which `check` has looked at.
            if !pruned && !verdict.as_ref().is_ok_and(lingmou::witness::Verdict::valid) {
                faults.push(format!("{id}: {verdict:?}"));
            }
        }
        drop(store);
        self.go_on(&dir, faults)
    }

    /// The box goes on: seals one more, and the next start finds nothing to put right.
    fn go_on(&self, dir: &Path, faults: &mut Vec<String>) -> Result<(), StoreError> {
        let hands = Hands::open(&self.keys, &config(dir))?;
        let id = CaseId(Uuid::now_v7());
        hands.keep(id, 10_000)?;
        hands.seal(id)?;
        drop(hands);
        let (store, recovery) = Store::open(&config(dir), DEVICE)?;
        let quiet = recovery.database == Database::Sound
            && recovery.adopted.is_empty()
            && recovery.damaged.is_empty();
        if !quiet || store.state(id)? != Some(State::Queued) {
            faults.push(format!("not at rest afterwards: {recovery:?}"));
        }
        Ok(())
    }
}

/// The disk's file system; unmounted when dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn new(image: &Path, at: &'a Path) -> Result<Self, String> {
        let offset = machine::STORE.start * SECTOR;
        let size = (machine::STORE.end - machine::STORE.start) * SECTOR;
        let options = format!("loop,offset={offset},sizelimit={size}");
        let out = Command::new("mount")
            .args(["-t", "ext4", "-o", &options])
            .args([image, at])
            .output()
            .unwrap();
        if out.status.success() {
            return Ok(Self(at));
        }
        Err(String::from_utf8_lossy(&out.stderr).trim().to_owned())
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(self.0).status();
        assert!(gone.is_ok_and(|status| status.success()), "umount failed");
    }
}
