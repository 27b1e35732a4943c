//! The heads of the devices' journals: the newest checkpoint of each is kept, and goes into
//! every receipt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::desk::{Desk, Said, ignored};
use super::head::Head;
use super::layout::{self, SIGNED};
use super::{Event, ReceiveError};
use crate::disk;
use crate::link::message::{Subject, Topic, is_name};
use crate::witness::{Checkpoint, JournalCopy, Roots};

/// The devices' journals, as far as they were signed for.
#[derive(Debug)]
pub(super) struct Heads {
    /// The newest line of each device.
    known: BTreeMap<String, JournalCopy>,
    /// Heads that were not taken since the start, at all desks.
    refused: Arc<AtomicU64>,
    /// Where this receiver keeps them.
    folder: PathBuf,
}

impl Heads {
    /// Reads what an earlier run of receiver `name` kept, and what others in the folder keep: each
    /// hears every checkpoint, but one that was down goes by what the others heard.
    pub(super) fn open(dir: &Path, name: &str, roots: &Roots) -> Result<Self, ReceiveError> {
        let all = layout::heads(dir);
        let folder = all.join(name);
        for folder in [&all, &folder] {
            disk::create_dir(folder)?;
        }
        let mut heads = Self {
            known: BTreeMap::new(),
            refused: Arc::default(),
            folder,
        };
        for receiver in layout::named(&all)? {
            let folder = all.join(receiver);
            for file in disk::list(&folder)? {
                heads.read(&folder.join(&file), &file, roots)?;
            }
        }
        Ok(heads)
    }

    /// Divides them among so many desks, by the one that answers for each device.
    pub(super) fn split(self, desks: usize, desk_of: impl Fn(&str) -> usize) -> Vec<Self> {
        let empty = |_| Self {
            known: BTreeMap::new(),
            refused: Arc::clone(&self.refused),
            folder: self.folder.clone(),
        };
        let mut parts: Vec<Self> = (0..desks).map(empty).collect();
        for (device, head) in self.known {
            if let Some(part) = parts.get_mut(desk_of(&device)) {
                part.known.insert(device, head);
            }
        }
        parts
    }

    fn read(&mut self, path: &Path, file: &str, roots: &Roots) -> Result<(), ReceiveError> {
        let device = file.strip_suffix(SIGNED).filter(|device| is_name(device));
        let Some(device) = device else {
            return Ok(());
        };
        let p7m = disk::read(path)?;
        let head = match Checkpoint::open(&p7m, roots) {
            Ok((checkpoint, _)) if checkpoint.device == device => copy(checkpoint),
            Ok(_) => {
                tracing::error!(file, "a kept checkpoint is another device's");
                return Ok(());
            }
            // It was verified when it was kept, and its root may have gone since: that is no reason to
            // believe a journal that was cut back.
            Err(error) => match Checkpoint::read(&p7m) {
                Ok(checkpoint) if checkpoint.device == device => {
                    tracing::warn!(file, %error, "a kept checkpoint is of a root that is gone");
                    copy(checkpoint)
                }
                _ => {
                    tracing::error!(file, %error, "a kept checkpoint does not hold");
                    return Ok(());
                }
            },
        };
        match self.known.get(device) {
            Some(known) if known.n == head.n && known.hash != head.hash => {
                let n = head.n;
                tracing::error!(device, n, "two receivers keep different lines of a journal");
            }
            Some(known) if known.n >= head.n => {}
            _ => drop(self.known.insert(device.to_owned(), head)),
        }
        Ok(())
    }

    /// Every device with the newest line that it signed for.
    pub(super) fn known(&self) -> impl Iterator<Item = (&String, &JournalCopy)> {
        self.known.iter()
    }

    /// The newest line of a device's journal that it signed for by itself.
    pub(super) fn of(&self, device: &str) -> Option<&JournalCopy> {
        self.known.get(device)
    }

    /// The newest line of the device's journal that its signatures prove to us: its checkpoint,
    /// or the line that this package names as the one before its own.
    pub(super) fn newest(&self, head: &Head) -> Option<JournalCopy> {
        let known = self.known.get(&head.statement.device.id).cloned();
        let named = named(head);
        match (known, named) {
            (Some(known), Some(named)) if named.n > known.n => Some(named),
            (Some(known), _) => Some(known),
            (None, named) => named,
        }
    }

    /// Why a head of `device`'s journal cannot be the same journal's as the one we know.
    fn contradiction(&self, device: &str, head: &JournalCopy) -> Option<String> {
        let known = self.known.get(device)?;
        let (n, ours) = (head.n, known.n);
        if n < ours {
            Some(format!("line {n} is older than line {ours}, which we have"))
        } else if n == ours && head.hash != known.hash {
            Some(format!("line {n} is another one than we have"))
        } else {
            None
        }
    }

    fn refuse(&self, device: &str, why: String) -> Event {
        let refused = self.refused.fetch_add(1, Relaxed) + 1;
        Event::HeadRefused {
            device: device.to_owned(),
            why,
            refused,
        }
    }
}

/// The line before its own that a package names.
fn named(head: &Head) -> Option<JournalCopy> {
    let point = &head.statement.journal;
    Some(JournalCopy {
        n: point.n.checked_sub(1)?,
        hash: point.prev.clone(),
    })
}

fn copy(checkpoint: Checkpoint) -> JournalCopy {
    JournalCopy {
        n: checkpoint.n,
        hash: checkpoint.head,
    }
}

impl Desk {
    /// A checkpoint of `device`: kept when it is newer than what we have.
    pub(super) fn checkpoint(&mut self, device: &str, p7m: &[u8]) -> Result<Said, ReceiveError> {
        let topic = || Topic::new(device, Subject::Journal);
        let mut opened = Checkpoint::open(p7m, &self.office.roots());
        if opened.is_err() {
            // Not by roots of yesterday.
            opened = Checkpoint::open(p7m, &self.office.read_roots_anew());
        }
        let checkpoint = match opened {
            Ok((checkpoint, _)) if checkpoint.device == device => checkpoint,
            Ok((other, _)) => {
                let why = format!("the checkpoint is of device {:?}", other.device);
                return Ok(ignored(&topic(), &why));
            }
            Err(error) => return Ok(ignored(&topic(), &error.to_string())),
        };
        let head = copy(checkpoint);
        if let Some(why) = self.heads.contradiction(device, &head) {
            return Ok(Said {
                answer: None,
                events: vec![self.heads.refuse(device, why)],
            });
        }
        if self.heads.known.get(device) == Some(&head) {
            return Ok(Said::default());
        }
        let folder = &self.heads.folder;
        let draft = folder.join(format!("{device}.draft"));
        disk::replace(&draft, &folder.join(format!("{device}{SIGNED}")), p7m)?;
        let n = head.n;
        self.news(device).journal = Some((n, head.hash.clone()));
        self.heads.known.insert(device.to_owned(), head);
        Ok(Said {
            answer: None,
            events: vec![Event::Checkpoint {
                device: device.to_owned(),
                n,
            }],
        })
    }

    /// Whether a package names another line than the one we have under that number. The package
    /// is taken all the same: that it exists is evidence, of this too.
    pub(super) fn doubt(&self, device: &str, head: &Head) -> Option<Event> {
        let named = named(head)?;
        let known = self.heads.known.get(device)?;
        if named.n != known.n || named.hash == known.hash {
            return None;
        }
        let (id, n) = (head.statement.id, named.n);
        let why = format!("package {id} names another line {n} than we have");
        Some(self.heads.refuse(device, why))
    }
}
