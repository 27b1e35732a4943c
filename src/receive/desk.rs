//! Where each message is answered: heads, pieces, and "what is still missing?".

use std::collections::BTreeMap;
use std::sync::Arc;

use super::desks::DESKS;
use super::figures::Count;
use super::head::{Head, HeadError};
use super::index::Entry;
use super::journal::Heads;
use super::keep::Before;
use super::kept::{Announced, News};
use super::office::Office;
use super::transfer::{Look, Transfer};
use super::{Event, ReceiveError, whole};
use crate::clock;
use crate::disk;
use crate::link::message::{Finished, Presence, PresenceState, Subject, Topic, Want};
use crate::types::{CaseId, Stamp};
use crate::witness::Limits;

/// Unfinished packages kept of one device; the one longest untouched goes first. The device
/// still has it.
const OPEN_PER_DEVICE: usize = 64;
/// Unfinished packages kept at one desk; 4,096 in all.
const OPEN_MAX: usize = 4096 / DESKS;
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

/// An unfinished package.
pub(super) struct Open {
    pub(super) transfer: Transfer,
    /// When this run took it up, nanoseconds since boot.
    pub(super) since: u64,
    /// When it was last touched, nanoseconds since boot.
    pub(super) touched: u64,
    /// How old it was when its head came late, seconds; a new start does not know it.
    pub(super) late: Option<u64>,
    /// What lies in its place is not whole, so that it is taken again.
    pub(super) again: bool,
}

/// The unfinished packages and the journal heads of some of the devices.
pub(super) struct Desk {
    pub(super) office: Arc<Office>,
    pub(super) heads: Heads,
    pub(super) open: BTreeMap<(String, CaseId), Open>,
    /// What the index is still to be told of devices.
    pub(super) news: BTreeMap<String, News>,
    /// The last word of each device, and of which of its connections.
    pub(super) words: BTreeMap<String, (PresenceState, u64)>,
}

impl Desk {
    /// Answers one message, of which the head of a package may be `late`, seconds. `at` is now.
    pub(super) fn hear(
        &mut self,
        topic: &Topic,
        (payload, late): (&[u8], Option<u64>),
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        let device = topic.device.as_str();
        match &topic.subject {
            Subject::Head => self.head(device, (payload, late), at),
            Subject::Journal => self.checkpoint(device, payload),
            Subject::State => Ok(self.presence(topic, payload, at)),
            Subject::Chunk {
                sink,
                sha256,
                offset,
            } if *sink == self.office.name => self.piece(device, (sha256, *offset, payload), at),
            Subject::Finished { sink } if *sink == self.office.name => {
                self.finished(device, payload, at)
            }
            _ => Ok(ignored(topic, "not for this receiver")),
        }
    }

    /// What the index is to be told of `device`.
    pub(super) fn news(&mut self, device: &str) -> &mut News {
        self.news.entry(device.to_owned()).or_default()
    }

    fn presence(&mut self, topic: &Topic, payload: &[u8], at: Stamp) -> Said {
        let presence: Presence = match serde_json::from_slice(payload) {
            Ok(presence) => presence,
            Err(error) => return ignored(topic, &error.to_string()),
        };
        if presence.state == PresenceState::Ready {
            self.office.later.ask(&topic.device, &presence.copies);
        }
        let news = self.news(&topic.device);
        news.seen = clock::rfc3339_ms(at.utc_ns);
        news.state = serde_json::to_value(presence.state)
            .ok()
            .and_then(|state| state.as_str().map(ToOwned::to_owned));
        let device = topic.device.clone();
        let word = (presence.state, presence.bd);
        let before = self.words.insert(device.clone(), word);
        // The same is said every few minutes.
        let news = (before != Some(word)).then_some(Event::Presence { device, presence });
        Said {
            answer: None,
            events: news.into_iter().collect(),
        }
    }

    fn head(
        &mut self,
        device: &str,
        (zip, late): (&[u8], Option<u64>),
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        let mut opened = Head::open(zip, device, &self.office.roots());
        if matches!(opened, Err(HeadError::Refused { .. })) {
            // A refusal is for good: not by roots of yesterday.
            opened = Head::open(zip, device, &self.office.read_roots_anew());
        }
        let head = match opened {
            Ok(head) => head,
            Err(HeadError::Unreadable(why)) => {
                return Ok(ignored(&Topic::new(device, Subject::Head), &why));
            }
            Err(HeadError::Refused { head, why }) => {
                return self.refuse_new(device, &head, why, at);
            }
        };
        let id = head.statement.id;
        let news = self.news(device);
        news.seen = clock::rfc3339_ms(at.utc_ns);
        news.seq = news.seq.max(head.statement.seq);
        let mut told: Vec<Event> = self.doubt(device, &head).into_iter().collect();
        let broken = match self.stored_before(device, &head, at)? {
            Before::New => None,
            Before::Broken(why) => Some(why),
            Before::Said(mut said) => {
                said.events.extend(told);
                return Ok(said);
            }
        };
        let key = (device.to_owned(), id);
        let same = |open: &Open| open.transfer.head().sig_sha256 == head.sig_sha256;
        if !self.open.get(&key).is_some_and(same) {
            if let Some(why) = too_much(&head) {
                return self.refuse(device, &head, why, at);
            }
            told.extend(self.begin(&key, (head, zip), late, at)?);
        }
        if let Some(open) = self.open.get_mut(&key) {
            open.again = broken.is_some();
        }
        let device = device.to_owned();
        told.extend(broken.map(|why| Event::Broken { device, id, why }));
        let mut said = self.look(&key, at)?;
        said.events.extend(told);
        if let Some(open) = self.open.get(&key) {
            said.events.insert(
                0,
                Event::Announced {
                    device: key.0,
                    id,
                    seq: open.transfer.head().statement.seq,
                    bytes: open.transfer.bytes(),
                    late: open.late,
                },
            );
        }
        Ok(said)
    }

    /// Begins to take a package; what to tell of its clock.
    fn begin(
        &mut self,
        key: &(String, CaseId),
        (head, zip): (Head, &[u8]),
        late: Option<u64>,
        at: Stamp,
    ) -> Result<Option<Event>, ReceiveError> {
        let (device, id) = (key.0.as_str(), key.1);
        let late = self.office.first_late((device, id), late);
        let announced = Announced::of(&head, late, at);
        self.office.enter(Entry::Announced(announced));
        self.make_room(device, &head)?;
        let told = self.clocks_differ(device, &head, at);
        let transfer = Transfer::begin(&self.office.incoming(device, id), head, zip)?;
        self.office
            .figures
            .add(Count::Late, u64::from(late.is_some()));
        let open = Open {
            transfer,
            since: at.boot_ns,
            touched: at.boot_ns,
            late,
            again: false,
        };
        self.open.insert(key.clone(), open);
        Ok(told)
    }

    /// Keeps within the bounds before one more package is taken.
    fn make_room(&mut self, device: &str, head: &Head) -> Result<(), ReceiveError> {
        let of_device = |key: &(String, CaseId)| key.0 == device;
        self.drop_overtaken(of_device)?;
        while self.open.keys().filter(|key| of_device(key)).count() >= OPEN_PER_DEVICE {
            self.drop_oldest(of_device)?;
        }
        while self.open.len() >= OPEN_MAX {
            self.drop_oldest(|_| true)?;
        }
        let files = head.statement.files.iter();
        let need = files.fold(KEEP_FREE, |sum, file| sum.saturating_add(file.size));
        let free = disk::free_bytes(&self.office.dir)?;
        if free < need {
            return Err(ReceiveError::Full { need, free });
        }
        Ok(())
    }

    /// Forgets what another receiver has stored in the folder meanwhile.
    fn drop_overtaken(
        &mut self,
        which: impl Fn(&(String, CaseId)) -> bool,
    ) -> Result<(), ReceiveError> {
        let stored = |(key, open): &(&(String, CaseId), &Open)| {
            which(key) && !open.again && self.office.place(&key.0, key.1).exists()
        };
        let overtaken: Vec<_> = self
            .open
            .iter()
            .filter(stored)
            .map(|(k, _)| k.clone())
            .collect();
        for key in overtaken {
            self.forget(&key)?;
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
        oldest.map_or(Ok(()), |key| self.forget(&key))
    }

    /// Forgets unfinished packages that nobody touched since `oldest`, nanoseconds since boot:
    /// another receiver took them, or their device is gone. Whoever still has one begins anew.
    pub(super) fn drop_stale(&mut self, oldest: u64) -> Result<(), ReceiveError> {
        let stale = |(_, open): &(&(String, CaseId), &Open)| open.touched < oldest;
        let stale: Vec<_> = self
            .open
            .iter()
            .filter(stale)
            .map(|(k, _)| k.clone())
            .collect();
        for key in stale {
            self.forget(&key)?;
        }
        Ok(())
    }

    /// Forgets an unfinished package, and what a try before could not remove of it.
    pub(super) fn forget(&mut self, key: &(String, CaseId)) -> Result<(), ReceiveError> {
        self.open.remove(key);
        Ok(disk::remove_dir_all(&self.office.incoming(&key.0, key.1))?)
    }

    fn piece(
        &mut self,
        device: &str,
        (sha256, offset, bytes): (&str, u64, &[u8]),
        at: Stamp,
    ) -> Result<Said, ReceiveError> {
        self.office.figures.add(Count::Pieces, 1);
        self.office
            .figures
            .add(Count::PieceBytes, bytes.len() as u64);
        let mut known = false;
        let first = (device.to_owned(), CaseId(uuid::Uuid::nil()));
        for (key, open) in self.open.range_mut(first..) {
            if key.0 != device {
                break;
            }
            if open.transfer.take(sha256, offset, bytes)? {
                open.touched = at.boot_ns;
                known = true;
            }
        }
        if known {
            return Ok(Said::default());
        }
        let subject = Subject::Chunk {
            sink: self.office.name.clone(),
            sha256: sha256.to_owned(),
            offset,
        };
        Ok(ignored(
            &Topic::new(device, subject),
            "nobody waits for this piece",
        ))
    }

    fn finished(&mut self, device: &str, payload: &[u8], at: Stamp) -> Result<Said, ReceiveError> {
        let sink = self.office.name.clone();
        let topic = Topic::new(device, Subject::Finished { sink });
        let asked = serde_json::from_slice::<Finished>(payload)
            .ok()
            .and_then(|finished| uuid::Uuid::parse_str(&finished.id).ok());
        let Some(id) = asked.map(CaseId) else {
            return Ok(ignored(&topic, "its payload names no package"));
        };
        let key = (device.to_owned(), id);
        let place = self.office.place(device, id);
        let again = self.open.get(&key).is_some_and(|open| open.again);
        if !again && place.exists() {
            if let Err(why) = whole::check(&place)? {
                let why = format!("what is here of it is broken, its head comes again: {why}");
                return Ok(ignored(&topic, &why));
            }
            let again = self.receipt_again(device, id)?;
            let awaited = || ignored(&topic, "its receipt does not hold: its head comes again");
            return Ok(again.unwrap_or_else(awaited));
        }
        if self.open.contains_key(&key) {
            return self.look(&key, at);
        }
        // Not known here: the device sends the head again when it hears nothing.
        Ok(ignored(&topic, "this package is not known here"))
    }

    /// Asks for what is missing, or finishes the package.
    fn look(&mut self, key: &(String, CaseId), at: Stamp) -> Result<Said, ReceiveError> {
        let Some(open) = self.open.get_mut(key) else {
            return Ok(Said::default());
        };
        open.touched = at.boot_ns;
        match open.transfer.look()? {
            Look::Missing(missing) => {
                let want = Want {
                    id: key.1.to_string(),
                    sink: self.office.name.clone(),
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
