//! Where each message is answered: heads, pieces, and "what is still missing?".

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use super::head::{Head, HeadError, check};
use super::journal::Heads;
use super::transfer::{Look, Transfer};
use super::{Event, ReceiveError, receipt};
use crate::link::message::{Finished, Subject, Topic, Want};
use crate::store::disk;
use crate::types::{CaseId, Stamp};
use crate::witness::{Identity, Limits, RECEIPT, Roots, SIGNATURE, sha256_hex};

/// Unfinished packages kept of one device; the one longest untouched goes first. The device
/// still has it.
const OPEN_PER_DEVICE: usize = 8;
/// Unfinished packages kept in all.
const OPEN_MAX: usize = 4096;
/// Largest package taken, bytes of all its files; its head must fit the verifier's limit too.
const PACKAGE_BYTES_MAX: u64 = Limits::PACKAGE.bytes_max - Limits::HEAD.bytes_max;
/// Bytes left free on the disk.
const KEEP_FREE: u64 = 256 * 1024 * 1024;
/// Largest piece asked for; fits a broker that takes packets of 256 KiB.
const CHUNK_MAX: u64 = 255 * 1024;

/// What came of a message.
#[derive(Default)]
pub(super) struct Said {
    /// Topic and payload of the answer.
    pub(super) answer: Option<(String, Vec<u8>)>,
    /// What to tell whoever watches.
    pub(super) events: Vec<Event>,
}

/// An unfinished package and when it was last touched, in messages.
pub(super) struct Open {
    pub(super) transfer: Transfer,
    pub(super) touched: u64,
}

/// The receiver's folder, keys and unfinished packages.
pub(super) struct Desk {
    pub(super) dir: PathBuf,
    pub(super) name: String,
    pub(super) identity: Identity,
    pub(super) roots: Roots,
    pub(super) heads: Heads,
    pub(super) open: BTreeMap<(String, CaseId), Open>,
    /// Counts messages.
    pub(super) heard: u64,
    /// Held, never used.
    pub(super) _lock: File,
}

impl Desk {
    /// Answers one message. `at` is now.
    pub(super) fn hear(
        &mut self,
        topic: &Topic,
        payload: &[u8],
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        self.heard += 1;
        let device = topic.device.as_str();
        match &topic.subject {
            Subject::Head => self.head(device, payload, at),
            Subject::Journal => self.checkpoint(device, payload),
            Subject::Chunk {
                sink,
                sha256,
                offset,
            } if *sink == self.name => self.piece(device, (sha256, *offset), payload),
            Subject::Finished { sink } if *sink == self.name => self.finished(device, payload, at),
            _ => Ok(ignored(topic, "not for this receiver")),
        }
    }

    fn head(&mut self, device: &str, zip: &[u8], at: Stamp) -> Result<Said, ReceiveError> {
        let head = match Head::open(zip, device, &self.roots) {
            Ok(head) => head,
            Err(HeadError::Unreadable(why)) => {
                return Ok(ignored(&Topic::new(device, Subject::Head), &why));
            }
            Err(HeadError::Refused { head, why }) => {
                return self.refuse(device, &head, why, at);
            }
        };
        let id = head.statement.id;
        let doubt = self.doubt(device, &head);
        if let Some(said) = self.stored_before(device, &head, at)? {
            return Ok(said);
        }
        let key = (device.to_owned(), id);
        let same = |open: &Open| open.transfer.head().sig_sha256 == head.sig_sha256;
        if !self.open.get(&key).is_some_and(same) {
            if let Some(why) = too_much(&head) {
                return self.refuse(device, &head, why, at);
            }
            self.make_room(device, &head)?;
            disk::create_dir(&self.dir.join("incoming").join(device))?;
            let dir = self.dir.join("incoming").join(device).join(id.to_string());
            let transfer = Transfer::begin(&dir, head, zip)?;
            let touched = self.heard;
            self.open.insert(key.clone(), Open { transfer, touched });
        }
        let mut said = self.look(&key, at)?;
        said.events.extend(doubt);
        if let Some(open) = self.open.get(&key) {
            said.events.insert(
                0,
                Event::Announced {
                    device: device.to_owned(),
                    id,
                    seq: open.transfer.head().statement.seq,
                    bytes: open.transfer.bytes(),
                },
            );
        }
        Ok(said)
    }

    /// A package stored already gets the receipt it got; another one under its id is refused.
    fn stored_before(
        &self,
        device: &str,
        head: &Head,
        at: Stamp,
    ) -> Result<Option<Said>, ReceiveError> {
        let place = self.place(device, head.statement.id);
        if !place.exists() {
            return Ok(None);
        }
        let signature = disk::read(&place.join(SIGNATURE))?;
        if sha256_hex(&signature) != head.sig_sha256 {
            let why = "another package with this id is already stored".to_owned();
            return self.refuse(device, head, why, at).map(Some);
        }
        self.receipt_again(device, head.statement.id).map(Some)
    }

    /// The receipt of a package in its place. The last try may have failed at the very end.
    fn receipt_again(&self, device: &str, id: CaseId) -> Result<Said, ReceiveError> {
        let place = self.place(device, id);
        let receipt = disk::read(&place.join(RECEIPT))?;
        if let Some(folder) = place.parent() {
            disk::sync_dir(folder)?;
        }
        Ok(Said {
            answer: Some(receipt::to(device, receipt)),
            events: Vec::new(),
        })
    }

    /// Keeps within the bounds before one more package is taken.
    fn make_room(&mut self, device: &str, head: &Head) -> Result<(), ReceiveError> {
        let of_device = |key: &(String, CaseId)| key.0 == device;
        while self.open.keys().filter(|key| of_device(key)).count() >= OPEN_PER_DEVICE {
            self.drop_oldest(of_device)?;
        }
        while self.open.len() >= OPEN_MAX {
            self.drop_oldest(|_| true)?;
        }
        let files = head.statement.files.iter();
        let need = files.fold(KEEP_FREE, |sum, file| sum.saturating_add(file.size));
        let free =
            disk::free_bytes(&self.dir).map_err(|error| ReceiveError::Disk(error.to_string()))?;
        if free < need {
            return Err(ReceiveError::Full { need, free });
        }
        Ok(())
    }

    fn drop_oldest(
        &mut self,
        which: impl Fn(&(String, CaseId)) -> bool,
    ) -> Result<(), ReceiveError> {
        let oldest = self
            .open
            .iter()
            .filter(|(key, _)| which(key))
            .min_by_key(|(_, open)| open.touched)
            .map(|(key, _)| key.clone());
        if let Some(open) = oldest.and_then(|key| self.open.remove(&key)) {
            disk::remove_dir_all(open.transfer.dir())?;
        }
        Ok(())
    }

    fn piece(
        &mut self,
        device: &str,
        (sha256, offset): (&str, u64),
        bytes: &[u8],
    ) -> Result<Said, ReceiveError> {
        let mut known = false;
        let heard = self.heard;
        let first = (device.to_owned(), CaseId(uuid::Uuid::nil()));
        for (key, open) in self.open.range_mut(first..) {
            if key.0 != device {
                break;
            }
            if open.transfer.take(sha256, offset, bytes)? {
                open.touched = heard;
                known = true;
            }
        }
        if known {
            return Ok(Said::default());
        }
        let subject = Subject::Chunk {
            sink: self.name.clone(),
            sha256: sha256.to_owned(),
            offset,
        };
        Ok(ignored(
            &Topic::new(device, subject),
            "nobody waits for this piece",
        ))
    }

    fn finished(&mut self, device: &str, payload: &[u8], at: Stamp) -> Result<Said, ReceiveError> {
        let topic = || {
            let sink = self.name.clone();
            Topic::new(device, Subject::Finished { sink })
        };
        let asked = serde_json::from_slice::<Finished>(payload)
            .ok()
            .and_then(|finished| uuid::Uuid::parse_str(&finished.id).ok());
        let Some(id) = asked.map(CaseId) else {
            return Ok(ignored(&topic(), "its payload names no package"));
        };
        if self.place(device, id).exists() {
            return self.receipt_again(device, id);
        }
        let key = (device.to_owned(), id);
        if self.open.contains_key(&key) {
            return self.look(&key, at);
        }
        // Not known here: the device sends the head again when it hears nothing.
        Ok(ignored(&topic(), "this package is not known here"))
    }

    /// Asks for what is missing, or finishes the package.
    fn look(&mut self, key: &(String, CaseId), at: Stamp) -> Result<Said, ReceiveError> {
        let Some(open) = self.open.get_mut(key) else {
            return Ok(Said::default());
        };
        open.touched = self.heard;
        match open.transfer.look()? {
            Look::Missing(missing) => {
                let want = Want {
                    id: key.1.to_string(),
                    sink: self.name.clone(),
                    missing,
                    max_chunk: Some(CHUNK_MAX),
                    video: false,
                };
                let payload = serde_json::to_vec(&want)
                    .map_err(|error| ReceiveError::Bug(format!("want: {error}")))?;
                let topic = Topic::new(&key.0, Subject::Want).to_string();
                Ok(Said {
                    answer: Some((topic, payload)),
                    events: Vec::new(),
                })
            }
            Look::Wrong(sha256) => {
                let why = format!("a file never came with its signed SHA-256 {sha256}");
                self.give_up(key, why, at)
            }
            Look::Whole => self.store(key, at),
        }
    }

    /// The whole package: verified once more as any verifier would, then put in its place.
    fn store(&mut self, key: &(String, CaseId), at: Stamp) -> Result<Said, ReceiveError> {
        let Some(open) = self.open.get(key) else {
            return Ok(Said::default());
        };
        let (device, id) = (key.0.as_str(), key.1);
        let package = open.transfer.assemble()?;
        if let Err(why) = check(&package, &self.roots)? {
            return self.give_up(key, why, at);
        }
        let head = open.transfer.head();
        let receipt = receipt::sign(&self.identity, head, None, (self.heads.newest(head), at))?;
        disk::write_under(&package, RECEIPT, &receipt)?;
        disk::create_dir(&self.dir.join("packages").join(device))?;
        let place = self.place(device, id);
        disk::publish(&package, &place)?;
        let seq = head.statement.seq;
        let dir = open.transfer.dir().to_owned();
        self.open.remove(key);
        // Only leftovers now; a new start would remove them too.
        disk::remove_dir_all(&dir)?;
        Ok(Said {
            answer: Some(receipt::to(device, receipt)),
            events: vec![Event::Stored {
                device: device.to_owned(),
                id,
                seq,
                path: place,
            }],
        })
    }

    /// Refuses an unfinished package and forgets it.
    fn give_up(
        &mut self,
        key: &(String, CaseId),
        why: String,
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        let Some(open) = self.open.remove(key) else {
            return Ok(Said::default());
        };
        disk::remove_dir_all(open.transfer.dir())?;
        self.refuse(&key.0, open.transfer.head(), why, at)
    }

    fn refuse(
        &self,
        device: &str,
        head: &Head,
        why: String,
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        let receipt = receipt::sign(
            &self.identity,
            head,
            Some(&why),
            (self.heads.newest(head), at),
        )?;
        Ok(Said {
            answer: Some(receipt::to(device, receipt)),
            events: vec![Event::Refused {
                device: device.to_owned(),
                id: head.statement.id,
                why,
            }],
        })
    }

    /// Where a stored package lies.
    pub(super) fn place(&self, device: &str, id: CaseId) -> PathBuf {
        self.dir.join("packages").join(device).join(id.to_string())
    }
}

fn too_much(head: &Head) -> Option<String> {
    let files = head.statement.files.iter();
    let bytes = files.fold(0_u64, |sum, file| sum.saturating_add(file.size));
    (bytes > PACKAGE_BYTES_MAX)
        .then(|| format!("{bytes} bytes are more than the {PACKAGE_BYTES_MAX} taken here"))
}

pub(super) fn ignored(topic: &Topic, why: &str) -> Said {
    Said {
        answer: None,
        events: vec![Event::Ignored {
            topic: topic.to_string(),
            why: why.to_owned(),
        }],
    }
}
