//! What the receivers keep, asked from outside: packages, devices, refusals, what was announced and
//! is not whole, and the numbers that are missing.
//!
//! A question goes to one folder or to several at once: receivers that do not share a folder may
//! both have the same package (its receipt was lost on the way), and together they have it once.
//! One package is told from another by device, id and signature.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::index::Index;
use super::numbers::Numbers;
use super::removed::{Removed, removed};
use super::unread::number;
use super::{ReceiveError, layout, whole};
use crate::types::{CaseId, Stamp};

pub use super::kept::{Announced, Broken, Kept, Refusal, Seen};

/// A device with what is kept of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceSum {
    /// What is known of it.
    #[serde(flatten)]
    pub seen: Seen,
    /// Packages that are there.
    pub packages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Numbers up to the largest that no package here has, and packages whose number cannot be read.
    pub missing: u64,
    /// Packages refused.
    pub refused: u64,
}

/// Why numbers of a device have no package, or a number has two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Gap {
    /// No package with these numbers ever came.
    NeverCame,
    /// Its head came, and it is not here whole.
    Announced {
        /// The package.
        id: CaseId,
        /// Whether everything but video is here.
        pictures: bool,
    },
    /// It was stored and is not there any more.
    Gone {
        /// The package.
        id: CaseId,
        /// SHA-256 of its signature.
        sig_sha256: String,
        /// When that was noticed, RFC 3339 UTC.
        since: String,
    },
    /// It was refused.
    Refused {
        /// The package.
        id: CaseId,
        /// Why.
        why: String,
    },
    /// It lies in its place and cannot be read.
    Unreadable {
        /// The package.
        id: CaseId,
        /// What cannot be read.
        why: String,
    },
    /// Different packages have the same number: the device's store was put back, or somebody else
    /// has its key.
    Doubled {
        /// The packages.
        ids: Vec<CaseId>,
    },
}

/// A number of a device, or several in a row, that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The device.
    pub device: String,
    /// The first number; 0: that of a package in its place which cannot be read, and its number neither.
    pub from: u64,
    /// The last number; 0 as `from`.
    pub to: u64,
    /// What is known about it.
    #[serde(flatten)]
    pub gap: Gap,
}

/// The archive of one group of receivers.
#[derive(Debug)]
pub struct Archive {
    dirs: Vec<PathBuf>,
    indexes: Vec<Index>,
}

impl Archive {
    /// Opens the index of each folder and brings it level with what is really there. Receivers
    /// may be at work.
    ///
    /// # Errors
    /// A folder is not one of a receiver's, or cannot be written.
    pub fn open(dirs: &[PathBuf], at: Stamp) -> Result<Self, ReceiveError> {
        let mut indexes = Vec::with_capacity(dirs.len());
        for dir in dirs {
            if !layout::packages(dir).is_dir() {
                let dir = dir.display();
                let why = format!("{dir} is not a receiver's folder: it has no packages/");
                return Err(ReceiveError::Disk(why));
            }
            let mut index = Index::open(dir)?;
            index.level(dir, at)?;
            indexes.push(index);
        }
        let dirs = dirs.to_vec();
        Ok(Self { dirs, indexes })
    }

    /// Every device that was heard or of which something is kept, sorted.
    ///
    /// # Errors
    /// An index cannot be read.
    pub fn devices(&self) -> Result<Vec<String>, ReceiveError> {
        let mut names = BTreeSet::new();
        for (dir, index) in self.dirs.iter().zip(&self.indexes) {
            names.extend(index.devices()?);
            // Of one whose packages cannot be read the index may know nothing.
            names.extend(layout::named(&layout::packages(dir))?);
        }
        Ok(names.into_iter().collect())
    }

    /// The packages of a device, by number; also those that are gone.
    ///
    /// # Errors
    /// An index cannot be read.
    pub fn packages(&self, device: &str) -> Result<Vec<Kept>, ReceiveError> {
        let mut merged: BTreeMap<(u64, CaseId, String), Kept> = BTreeMap::new();
        for index in &self.indexes {
            for package in index.packages(device)? {
                let key = (package.seq, package.id, package.sig_sha256.clone());
                match merged.get_mut(&key) {
                    None => drop(merged.insert(key, package)),
                    Some(known) => join(known, package),
                }
            }
        }
        for line in self.removed(device)? {
            let kept = merged.get_mut(&(line.seq, line.id, line.sig_sha256));
            if let Some(kept) = kept.filter(|kept| kept.gone.is_some()) {
                kept.removed = Some(line.why);
            }
        }
        Ok(merged.into_values().collect())
    }

    /// What was removed of a device on purpose.
    fn removed(&self, device: &str) -> Result<Vec<Removed>, ReceiveError> {
        let told = self.dirs.iter().map(|dir| removed(dir, device));
        Ok(told.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// The packages of a device that are there and not whole any more, by number: every file is hashed,
    /// read from the disk. It is the folders that are gone through: what the index could not read is not
    /// whole either. Second copies are not looked at.
    ///
    /// # Errors
    /// An index cannot be read, or a package at the moment.
    pub fn broken(&self, device: &str) -> Result<Vec<Broken>, ReceiveError> {
        let mut found = Vec::new();
        for (dir, index) in self.dirs.iter().zip(&self.indexes) {
            let rows = index.packages(device)?.into_iter();
            let rows: BTreeMap<CaseId, u64> = rows.map(|kept| (kept.id, kept.seq)).collect();
            for id in layout::ids_of_any(&layout::packages(dir).join(device))? {
                let place = layout::place(dir, device, id);
                if let Err(why) = whole::check(&place)?.and_then(|()| whole::check_receipt(&place))
                    // What was removed meanwhile is not broken.
                    && place.exists()
                {
                    let seq = rows.get(&id).copied();
                    found.push(Broken {
                        device: device.to_owned(),
                        id,
                        seq: seq.unwrap_or_else(|| number(&place)),
                        place,
                        why,
                    });
                }
            }
        }
        found.sort_by_key(|broken| (broken.seq, broken.id));
        Ok(found)
    }

    /// The refused packages of a device, without those that were taken later.
    ///
    /// # Errors
    /// An index cannot be read.
    pub fn refusals(&self, device: &str) -> Result<Vec<Refusal>, ReceiveError> {
        let mut merged = BTreeMap::new();
        for index in &self.indexes {
            for refusal in index.refusals(device)? {
                merged.insert((refusal.id, refusal.sig_sha256.clone()), refusal);
            }
        }
        for kept in self.packages(device)? {
            merged.remove(&(kept.id, kept.sig_sha256));
        }
        Ok(merged.into_values().collect())
    }

    /// The packages of a device of which a head came and that are nowhere whole, by number.
    ///
    /// # Errors
    /// An index or a folder cannot be read.
    pub fn announced(&self, device: &str) -> Result<Vec<Announced>, ReceiveError> {
        let mut merged: BTreeMap<(u64, CaseId, String), Announced> = BTreeMap::new();
        for index in &self.indexes {
            for one in index.announced(device)? {
                let more = |one: &Announced| (one.pictures, one.receiver.is_some());
                let key = (one.seq, one.id, one.sig_sha256.clone());
                if merged
                    .get(&key)
                    .is_none_or(|known| more(known) < more(&one))
                {
                    merged.insert(key, one);
                }
            }
        }
        for kept in self.packages(device)? {
            merged.remove(&(kept.seq, kept.id, kept.sig_sha256));
        }
        Ok(merged.into_values().collect())
    }

    /// What is known of a device and kept of it.
    ///
    /// # Errors
    /// An index cannot be read.
    pub fn device(&self, device: &str) -> Result<DeviceSum, ReceiveError> {
        let mut sum = DeviceSum {
            seen: self.seen(device)?,
            refused: self.refusals(device)?.len() as u64,
            ..DeviceSum::default()
        };
        for kept in self.packages(device)?.iter().filter(|k| k.gone.is_none()) {
            sum.packages += 1;
            sum.bytes = sum.bytes.saturating_add(kept.bytes);
        }
        for missing in self.missing(device)? {
            if !matches!(missing.gap, Gap::Doubled { .. }) {
                sum.missing += 1 + missing.to - missing.from;
            }
        }
        Ok(sum)
    }

    fn seen(&self, device: &str) -> Result<Seen, ReceiveError> {
        let mut sum = Seen {
            device: device.to_owned(),
            ..Seen::default()
        };
        for index in &self.indexes {
            let Some(seen) = index.device(device)? else {
                continue;
            };
            // The one that heard it last knows its state.
            if seen.seen >= sum.seen {
                sum.state = seen.state.or(sum.state.take());
                sum.seen = seen.seen;
            }
            sum.seq_max = sum.seq_max.max(seen.seq_max);
            sum.journal_n = sum.journal_n.max(seen.journal_n);
        }
        Ok(sum)
    }

    /// The numbers of a device from 1 to the largest that no package here has, with what is known
    /// about them, the numbers that several have, and what lies here and cannot be read. Of what was removed
    /// on purpose nothing is missing.
    ///
    /// # Errors
    /// An index cannot be read.
    pub fn missing(&self, device: &str) -> Result<Vec<Missing>, ReceiveError> {
        let mut numbers = Numbers {
            max: self.seen(device)?.seq_max,
            ..Numbers::default()
        };
        for refusal in self.refusals(device)? {
            let (id, why) = (refusal.id, refusal.why);
            numbers.known.insert(refusal.seq, Gap::Refused { id, why });
        }
        // What was refused and is taken now is announced after that.
        for announced in self.announced(device)? {
            let (id, pictures) = (announced.id, announced.pictures);
            let gap = Gap::Announced { id, pictures };
            numbers.known.insert(announced.seq, gap);
        }
        // Also when a new index knows nothing of it.
        for line in self.removed(device)? {
            numbers.max = numbers.max.max(line.seq);
            numbers.known.remove(&line.seq);
            numbers.removed.insert(line.seq);
        }
        let kept = self.packages(device)?.into_iter();
        for kept in kept.filter(|kept| kept.removed.is_none()) {
            let (id, sig_sha256) = (kept.id, kept.sig_sha256);
            if let Some(since) = kept.gone {
                let gone = Gap::Gone {
                    id,
                    sig_sha256,
                    since,
                };
                numbers.known.insert(kept.seq, gone);
            } else {
                let there = numbers.there.entry(kept.seq).or_default();
                there.insert((id, sig_sha256));
            }
        }
        for index in &self.indexes {
            numbers.unread(index.unread(device)?);
        }
        Ok(numbers.missing(device))
    }
}

/// The same package in another folder.
fn join(known: &mut Kept, other: Kept) {
    match (&known.gone, &other.gone) {
        (Some(_), None) => *known = other,
        (None, None) => {
            known.copies += other.copies;
            // Whoever heard it in time told of it as news.
            known.late = known.late.zip(other.late).map(|(one, two)| one.min(two));
        }
        (_, Some(_)) => {}
    }
}
