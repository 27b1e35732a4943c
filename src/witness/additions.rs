//! What was added to a sealed package later: further manifests, each with the time-stamp or the
//! signature that covers it.
//!
//! A manifest says nothing about this package unless it lists the device's signature. What an
//! addition brings counts only when every file its manifest lists is there with its digest.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::chain::Roots;
use super::container::Container;
use super::finding::Finding;
use super::manifest::{Manifest, SealKind, numbered};
use super::opened::open;
use super::review;
use super::timestamp::{TimeStamp, check_stamp};
use super::verdict::{Check, CheckId};
use super::{CHAIN, MANIFEST, SIGNATURE};

/// One further manifest.
pub(super) struct Addition<'a> {
    /// Its name in the container.
    pub(super) name: &'a str,
    /// Its bytes, which its signature or time-stamp is over.
    pub(super) bytes: &'a [u8],
    /// What it lists.
    pub(super) manifest: Manifest,
}

impl Addition<'_> {
    /// What is wrong with the files it lists; nothing when all are there, unchanged, and the
    /// device's signature is among them.
    pub(super) fn faults(&self, container: &Container) -> Vec<Finding> {
        let mut faults = Vec::new();
        if self.manifest.entry(SIGNATURE).is_none() {
            faults.push(Finding::NotCovered {
                name: SIGNATURE.to_owned(),
            });
        }
        for entry in &self.manifest.entries {
            let name = entry.name.clone();
            match container.get(&entry.name) {
                None => faults.push(Finding::FileMissing { name }),
                Some(bytes) if <[u8; 32]>::from(Sha256::digest(bytes)) != entry.sha256 => {
                    faults.push(Finding::FileChanged { name });
                }
                Some(_) => {}
            }
        }
        faults
    }
}

/// Everything added later.
#[derive(Default)]
pub(super) struct Additions<'a> {
    /// Time-stamps that hold.
    stamps: Vec<TimeStamp>,
    /// What is wrong with the others.
    stamp_faults: Vec<Finding>,
    /// Whether a manifest waits for its time-stamp.
    stamp_awaited: bool,
    /// Manifests that a person's signature covers, by number; not judged here.
    pub(super) signed: Vec<Addition<'a>>,
    /// Manifests that cannot be read.
    pub(super) unreadable: Vec<Finding>,
    /// Files that an addition which holds vouches for.
    covered: BTreeSet<String>,
}

impl<'a> Additions<'a> {
    /// Reads every further manifest of `container` and judges the time-stamps.
    pub(super) fn read(container: &'a Container, roots: &Roots) -> Self {
        let mut additions = Self::default();
        let mut stamped = BTreeSet::new();
        for (name, bytes) in container.files() {
            let later = numbered(name, "META-INF/ASiCManifest", ".xml").is_some();
            if !later || name == MANIFEST {
                continue;
            }
            let manifest = match Manifest::parse(bytes) {
                Ok(manifest) => manifest,
                Err(error) => {
                    let why = format!("{name}: {error}");
                    let unreadable = Finding::ManifestUnreadable { why };
                    additions.unreadable.push(unreadable);
                    continue;
                }
            };
            let kind = manifest.signature.kind();
            let addition = Addition {
                name,
                bytes,
                manifest,
            };
            if matches!(kind, Some((SealKind::TimeStamp, _))) {
                stamped.insert(addition.manifest.signature.uri.clone());
                additions.stamp(&addition, container, roots);
            } else {
                additions.signed.push(addition);
            }
        }
        for (name, _) in container.files() {
            let token = numbered(name, "META-INF/timestamp", ".tst").is_some();
            if token && !stamped.contains(name) {
                let name = name.to_owned();
                additions.stamp_faults.push(Finding::StampOrphan { name });
            }
        }
        additions
    }

    fn stamp(&mut self, addition: &Addition<'_>, container: &Container, roots: &Roots) {
        let mut faults = addition.faults(container);
        let token = container.get(&addition.manifest.signature.uri);
        match token.map(|token| check_stamp(token, addition.bytes, roots)) {
            None => {
                self.stamp_awaited = true;
                self.covered.insert(addition.name.to_owned());
            }
            Some(Ok(stamp)) if faults.is_empty() => {
                self.stamps.push(stamp);
                self.vouch(addition);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => faults.push(Finding::from(&error)),
        }
        self.stamp_faults.append(&mut faults);
    }

    /// Takes a manifest, what covers it and what it lists for vouched for: all of it holds.
    pub(super) fn vouch(&mut self, addition: &Addition<'_>) {
        self.covered.insert(addition.name.to_owned());
        let manifest = &addition.manifest;
        self.covered.insert(manifest.signature.uri.clone());
        let names = manifest.entries.iter().map(|entry| entry.name.clone());
        self.covered.extend(names);
    }

    /// The check of the time-stamps.
    pub(super) fn check(&self) -> Check {
        if !self.stamp_faults.is_empty() {
            return Check::fail(CheckId::Stamp, self.stamp_faults.clone());
        }
        if !self.stamps.is_empty() {
            return Check::pass(CheckId::Stamp);
        }
        let finding = if self.stamp_awaited {
            Finding::StampAwaited
        } else {
            Finding::NoStamp
        };
        Check::unknown(CheckId::Stamp, vec![finding])
    }

    /// Whether an addition that holds vouches for file `name`.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.covered.contains(name)
    }

    /// The earliest time-stamp that holds.
    pub(super) fn earliest(&self) -> Option<&TimeStamp> {
        self.stamps.iter().min_by(|a, b| a.at.cmp(&b.at))
    }
}

/// The files of the reviews in `container` that are whole, whoever signed them, and what they cover: of a package
/// that is broken elsewhere these may be kept.
pub(crate) fn whole_reviews(container: &Container) -> BTreeSet<String> {
    let mut whole = BTreeSet::new();
    for (name, bytes) in container.files() {
        let manifest = Manifest::parse(bytes);
        let Ok(manifest) = manifest else {
            continue;
        };
        let Some((SealKind::Signature, number)) = manifest.signature.kind() else {
            continue;
        };
        let addition = Addition {
            name,
            bytes,
            manifest,
        };
        let parts = review::names(number);
        let [document, signature, manifest] = &parts;
        let signature = container.get(signature).unwrap_or_default();
        if manifest == name
            && addition.manifest.entry(document).is_some()
            && addition.faults(container).is_empty()
            && open(signature, Some(bytes)).is_ok()
        {
            let covered = addition.manifest.entries.into_iter();
            whole.extend(covered.map(|entry| entry.name).chain(parts));
        }
    }
    whole
}

/// Whether later steps may add a file of this name without touching what is signed.
pub(crate) fn is_addition(name: &str) -> bool {
    let families = [
        ("META-INF/ASiCManifest", ".xml"),
        ("META-INF/signature", ".p7s"),
        ("META-INF/timestamp", ".tst"),
        ("META-INF/receipt", ".p7m"),
        ("META-INF/review", ".json"),
    ];
    name == CHAIN
        || name == "META-INF/checkpoint.p7m"
        || families
            .iter()
            .any(|(prefix, suffix)| numbered(name, prefix, suffix).is_some())
}
