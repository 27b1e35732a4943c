//! The receiver's start: keys, folder, and what a run before left unfinished.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;

use super::ReceiveError;
use super::desk::{Desk, Open};
use super::head::Head;
use super::journal::Heads;
use super::transfer::Transfer;
use crate::config;
use crate::link::message::is_name;
use crate::store::disk;
use crate::witness::{Identity, Roots};

impl Desk {
    /// Loads the keys, takes the folder, takes up what lies in `incoming/`.
    pub(super) fn open(config: &config::Receive) -> Result<Self, ReceiveError> {
        let identity = Identity::load(&config.keys, "receiver")?;
        let roots = Roots::load(&config.keys.join("roots.crt"))?;
        std::fs::create_dir_all(&config.dir)
            .map_err(|error| ReceiveError::Disk(format!("{}: {error}", config.dir.display())))?;
        let lock = lock(&config.dir)?;
        for folder in ["incoming", "packages"] {
            disk::create_dir(&config.dir.join(folder))?;
        }
        let heads = Heads::open(&config.dir, &roots)?;
        let mut desk = Self {
            dir: config.dir.clone(),
            name: config.name.clone(),
            identity,
            roots,
            heads,
            open: BTreeMap::new(),
            heard: 0,
            _lock: lock,
        };
        desk.resume()?;
        Ok(desk)
    }

    /// Takes up unfinished packages; what cannot be is removed, the device still has it.
    fn resume(&mut self) -> Result<(), ReceiveError> {
        let incoming = self.dir.join("incoming");
        for device in disk::list(&incoming)? {
            let of_device = incoming.join(&device);
            if !is_name(&device) || !of_device.is_dir() {
                continue;
            }
            for name in disk::list(&of_device)? {
                let dir = of_device.join(&name);
                match self.resume_one(&device, &dir) {
                    Ok(Some(transfer)) => {
                        let key = (device.clone(), transfer.head().statement.id);
                        let touched = self.heard;
                        self.open.insert(key, Open { transfer, touched });
                    }
                    Ok(None) => disk::remove_dir_all(&dir)?,
                    Err(error) => {
                        tracing::warn!(%error, dir = %dir.display(), "unfinished package dropped");
                        disk::remove_dir_all(&dir)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// `None` when it was finished already or its head does not hold any more.
    fn resume_one(&self, device: &str, dir: &Path) -> Result<Option<Transfer>, ReceiveError> {
        let zip = disk::read(&dir.join("head.zip"))?;
        let Ok(head) = Head::open(&zip, device, &self.roots) else {
            return Ok(None);
        };
        let id = head.statement.id;
        if dir.file_name() != Some(id.to_string().as_ref()) || self.place(device, id).exists() {
            return Ok(None);
        }
        Transfer::resume(dir, head).map(Some)
    }
}

/// Keeps a second receiver out of the folder; the lock ends with the file.
fn lock(dir: &Path) -> Result<File, ReceiveError> {
    let path = dir.join("lock");
    let trouble =
        |error: std::io::Error| ReceiveError::Disk(format!("{}: {error}", path.display()));
    let file = File::create(&path).map_err(trouble)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ReceiveError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(trouble(error)),
    }
}
