//! Where each message is answered: heads, pieces, and "what is still missing?".

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::head::{Head, HeadError, check};
use super::transfer::{Look, Transfer};
use super::{Event, ReceiveError};
use crate::clock;
use crate::config;
use crate::link::message::{Finished, Subject, Topic, Want, is_name};
use crate::store::disk;
use crate::types::{CaseId, Stamp};
use crate::witness::{
    Identity, JournalCopy, Limits, RECEIPT, Receipt, ReceiptVerdict, Roots, SIGNATURE,
};

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
struct Open {
    transfer: Transfer,
    touched: u64,
}

/// The receiver's folder, keys and unfinished packages.
pub(super) struct Desk {
    dir: PathBuf,
    name: String,
    identity: Identity,
    roots: Roots,
    open: BTreeMap<(String, CaseId), Open>,
    heard: u64,
    _lock: File,
}

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
        let mut desk = Self {
            dir: config.dir.clone(),
            name: config.name.clone(),
            identity,
            roots,
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
        if crate::witness::sha256_hex(&signature) != head.sig_sha256 {
            let why = "another package with this id is already stored".to_owned();
            return self.refuse(device, head, why, at).map(Some);
        }
        let receipt = disk::read(&place.join(RECEIPT))?;
        Ok(Some(Said {
            answer: Some(receipt_to(device, receipt)),
            events: Vec::new(),
        }))
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
        let key = (device.to_owned(), id);
        if self.open.contains_key(&key) {
            return self.look(&key, at);
        }
        match disk::read(&self.place(device, id).join(RECEIPT)) {
            Ok(receipt) => Ok(Said {
                answer: Some(receipt_to(device, receipt)),
                events: Vec::new(),
            }),
            // Not known here: the device sends the head again when it hears nothing.
            Err(_) => Ok(ignored(&topic(), "this package is not known here")),
        }
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
        let receipt = self.receipt(device, head, None, at)?;
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
            answer: Some(receipt_to(device, receipt)),
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
        let receipt = self.receipt(device, head, Some(why.clone()), at)?;
        Ok(Said {
            answer: Some(receipt_to(device, receipt)),
            events: vec![Event::Refused {
                device: device.to_owned(),
                id: head.statement.id,
                why,
            }],
        })
    }

    /// The signed answer: stored, or refused for a reason.
    fn receipt(
        &self,
        device: &str,
        head: &Head,
        why: Option<String>,
        at: Stamp,
    ) -> Result<Vec<u8>, ReceiveError> {
        let statement = &head.statement;
        let stored = why.is_none();
        let (v, kind) = Receipt::HEAD;
        let receipt = Receipt {
            v,
            kind: kind.to_owned(),
            id: statement.id,
            device: device.to_owned(),
            seq: statement.seq,
            sig_sha256: head.sig_sha256.clone(),
            verdict: if stored {
                ReceiptVerdict::Stored
            } else {
                ReceiptVerdict::Refused
            },
            why,
            copies: u32::from(stored),
            head: journal_seen(head),
            at: clock::rfc3339_ms(at.utc_ns),
            receiver: self.identity.common_name(),
        };
        receipt
            .sign(&self.identity, at)
            .map_err(|error| ReceiveError::Bug(error.to_string()))
    }

    fn place(&self, device: &str, id: CaseId) -> PathBuf {
        self.dir.join("packages").join(device).join(id.to_string())
    }
}

/// The newest line of the device's journal that this package proves to us.
fn journal_seen(head: &Head) -> Option<JournalCopy> {
    let point = &head.statement.journal;
    Some(JournalCopy {
        n: point.n.checked_sub(1)?,
        hash: point.prev.clone(),
    })
}

fn too_much(head: &Head) -> Option<String> {
    let files = head.statement.files.iter();
    let bytes = files.fold(0_u64, |sum, file| sum.saturating_add(file.size));
    (bytes > PACKAGE_BYTES_MAX)
        .then(|| format!("{bytes} bytes are more than the {PACKAGE_BYTES_MAX} taken here"))
}

fn receipt_to(device: &str, receipt: Vec<u8>) -> (String, Vec<u8>) {
    (Topic::new(device, Subject::Receipt).to_string(), receipt)
}

fn ignored(topic: &Topic, why: &str) -> Said {
    Said {
        answer: None,
        events: vec![Event::Ignored {
            topic: topic.to_string(),
            why: why.to_owned(),
        }],
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
