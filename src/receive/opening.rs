//! The receiver's start: keys, folder, and what a run before left unfinished.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::fs::{Access, access};

use super::copies::Copies;
use super::desk::{Desk, Open};
use super::desks::{DESKS, desk_of};
use super::figures::Figures;
use super::head::Head;
use super::journal::Heads;
use super::later::Later;
use super::office::Office;
use super::signing::certified;
use super::transfer::{HEAD, Transfer};
use super::{ReceiveError, layout};
use crate::disk;
use crate::witness::{Identity, Installed, Trust};
use crate::{clock, config};

impl Desk {
    /// Loads the keys, takes the name in the folder, takes up what this receiver left in
    /// `incoming/`. The index comes later: nothing waits for it.
    pub(super) fn open_all(
        config: &config::Receive,
        figures: Arc<Figures>,
    ) -> Result<(Arc<Office>, Vec<Self>), ReceiveError> {
        check(config)?;
        let identity = Identity::load(&config.keys, "receiver")?;
        let trust = Trust::of_receiver(config.keys.join("roots.crt"), config.crl.clone())?;
        let roots = trust.now();
        certified(&identity, &roots, clock::now())?;
        let dir = &config.dir;
        disk::create_dirs(dir)?;
        let incoming = layout::incoming(dir);
        for folder in [
            incoming.clone(),
            incoming.join(&config.name),
            layout::packages(dir),
            layout::refused(dir),
        ] {
            disk::create_dir(&folder)?;
        }
        let lock = lock(dir, &config.name)?;
        let heads = Heads::open(dir, &config.name, &roots)?;
        let copies = config.copy_to.as_ref();
        let office = Arc::new(Office {
            dir: dir.clone(),
            name: config.name.clone(),
            identity,
            trust,
            doubts: Mutex::default(),
            copies: copies.map(|copies| Arc::new(Copies::new(copies, &config.name))),
            figures,
            ledger: Mutex::default(),
            later: Later::new(),
            broken: Mutex::default(),
            mending: Mutex::default(),
            any_clock: config.any_clock,
            unsigned: Mutex::default(),
            _lock: lock,
        });
        office.end_mending()?;
        let desks = heads.split(DESKS, desk_of).into_iter().map(|heads| Self {
            office: Arc::clone(&office),
            heads,
            open: BTreeMap::new(),
            news: BTreeMap::new(),
            words: BTreeMap::new(),
        });
        let mut desks: Vec<Self> = desks.collect();
        for device in layout::named(&incoming.join(&office.name))? {
            if let Some(desk) = desks.get_mut(desk_of(&device)) {
                desk.resume(&device)?;
            }
        }
        Ok((office, desks))
    }

    /// Takes up unfinished packages of a device; what cannot be is removed, the device still has
    /// it.
    fn resume(&mut self, device: &str) -> Result<(), ReceiveError> {
        let incoming = layout::incoming(&self.office.dir).join(&self.office.name);
        let (now, of_device) = (clock::boot_ns(), incoming.join(device));
        for name in disk::list(&of_device)? {
            let dir = of_device.join(&name);
            match self.resume_one(device, &dir) {
                Ok(Some(transfer)) => {
                    let key = (device.to_owned(), transfer.head().statement.id);
                    let open = Open {
                        transfer,
                        since: now,
                        touched: now,
                        late: None,
                        again: false,
                    };
                    self.open.insert(key, open);
                }
                Ok(None) => disk::remove_dir_all(&dir)?,
                Err(error) => {
                    tracing::warn!(%error, dir = %dir.display(), "unfinished package dropped");
                    disk::remove_dir_all(&dir)?;
                }
            }
        }
        Ok(())
    }

    /// `None` when it was finished already or its head does not hold any more.
    fn resume_one(&self, device: &str, dir: &Path) -> Result<Option<Transfer>, ReceiveError> {
        let zip = disk::read(&dir.join(HEAD))?;
        let Ok(head) = Head::open(&zip, device, &self.office.roots()) else {
            return Ok(None);
        };
        let id = head.statement.id;
        if dir.file_name() != Some(id.to_string().as_ref())
            || self.office.place(device, id).exists()
        {
            return Ok(None);
        }
        Transfer::resume(dir, head).map(Some)
    }
}

/// What only a person can mend, and no number of tries.
fn check(config: &config::Receive) -> Result<(), ReceiveError> {
    if !config::is_host(&config.host) {
        return Err(ReceiveError::Host(config.host.clone()));
    }
    let path = config.keys.join("transport.crt");
    let certificate = Installed::read(&path)?.common_name.unwrap_or_default();
    if certificate != config.name {
        let name = config.name.clone();
        return Err(ReceiveError::OtherName {
            name,
            path,
            certificate,
        });
    }
    match config.tsa_command.first() {
        Some(program) if !can_run(program) => Err(ReceiveError::NoProgram(program.clone())),
        _ => Ok(()),
    }
}

/// Whether `program` can be run: by its path, or found by its name.
fn can_run(program: &str) -> bool {
    let runs = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    if program.contains('/') {
        return runs(Path::new(program));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| runs(&folder.join(program)))
}

/// Keeps a second receiver of the same name out of the folder; the lock ends with the file.
fn lock(dir: &Path, name: &str) -> Result<File, ReceiveError> {
    let path = layout::lock(dir, name);
    let trouble =
        |error: std::io::Error| ReceiveError::Disk(format!("{}: {error}", path.display()));
    let file = File::create(&path).map_err(trouble)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ReceiveError::Locked {
            dir: dir.to_owned(),
            name: name.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(trouble(error)),
    }
}
