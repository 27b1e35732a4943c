//! The heads of the devices' journals: the newest checkpoint of each is kept, and goes into
//! every receipt.

use std::collections::BTreeMap;
use std::path::Path;

use super::desk::{Desk, Said, ignored};
use super::head::Head;
use super::{Event, ReceiveError};
use crate::link::message::{Subject, Topic, is_name};
use crate::store::disk;
use crate::witness::{Checkpoint, JournalCopy, Roots};

/// Folder with the newest checkpoint of each device.
const FOLDER: &str = "heads";
/// End of their names.
const END: &str = ".p7m";

/// The devices' journals, as far as they were signed for.
#[derive(Debug)]
pub(super) struct Heads {
    /// The newest line of each device.
    known: BTreeMap<String, JournalCopy>,
    /// Heads that were not taken since the start.
    refused: u64,
}

impl Heads {
    /// Reads what an earlier run kept.
    pub(super) fn open(dir: &Path, roots: &Roots) -> Result<Self, ReceiveError> {
        let folder = dir.join(FOLDER);
        disk::create_dir(&folder)?;
        let mut known = BTreeMap::new();
        for name in disk::list(&folder)? {
            let Some(device) = name.strip_suffix(END).filter(|device| is_name(device)) else {
                continue;
            };
            let p7m = disk::read(&folder.join(&name))?;
            match Checkpoint::open(&p7m, roots) {
                Ok((checkpoint, _)) if checkpoint.device == device => {
                    known.insert(device.to_owned(), copy(checkpoint));
                }
                Ok(_) => tracing::error!(name, "a kept checkpoint is another device's"),
                Err(error) => tracing::error!(name, %error, "a kept checkpoint does not hold"),
            }
        }
        Ok(Self { known, refused: 0 })
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

    fn refuse(&mut self, device: &str, why: String) -> Event {
        self.refused += 1;
        tracing::error!(
            device,
            why,
            refused = self.refused,
            "a journal head was refused"
        );
        Event::HeadRefused {
            device: device.to_owned(),
            why,
            refused: self.refused,
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
        let checkpoint = match Checkpoint::open(p7m, &self.roots) {
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
        let folder = self.dir.join(FOLDER);
        let draft = folder.join(format!("{device}.draft"));
        disk::replace(&draft, &folder.join(format!("{device}{END}")), p7m)?;
        let n = head.n;
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
    pub(super) fn doubt(&mut self, device: &str, head: &Head) -> Option<Event> {
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
