//! Signatures over the head of the journal, each in a file named by the line it signs.
//!
//! The file is durable before the line that names it is written, so every such line has its
//! file; a file without a line is what a crash left between the two, and as good a signature.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Inner, Store, StoreError};
use crate::clock;
use crate::disk;
use crate::journal::{Head, checkpoint_name, checkpoint_number, kind};
use crate::witness::{Checkpoint, Identity, SealError, sha256_hex};

pub(super) use crate::journal::CHECKPOINTS as FOLDER;

/// The newest checkpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Newest {
    /// Number of the line it signs; 0 when there is none.
    n: u64,
    /// Number of the line that says so, when it was made by this run.
    said: Option<u64>,
}

impl Newest {
    /// Number of the line it signs; 0 when there is none.
    pub(super) fn n(self) -> u64 {
        self.n
    }
}

/// Looks for the newest file.
pub(super) fn newest(dir: &Path) -> Result<Newest, StoreError> {
    let names = disk::list(&dir.join(FOLDER))?;
    let numbers = names.iter().filter_map(|name| checkpoint_number(name));
    Ok(Newest {
        n: numbers.max().unwrap_or(0),
        said: None,
    })
}

impl Store {
    /// Signs the last line of the journal, whose number is returned; durable on return.
    pub fn checkpoint(&self, identity: &Identity) -> Result<u64, StoreError> {
        self.checkpoint_by(|head| sign(identity, head))
    }

    /// The same, unless nothing happened since but that all was signed: who asks may have waited for
    /// whoever signed it.
    pub fn checkpoint_news(&self, identity: &Identity) -> Result<u64, StoreError> {
        self.news_by(|head| sign(identity, head))
    }

    /// Writes the line that a run ended in order, and signs it: no other line comes between, though
    /// the upload still works on. Gives its number.
    pub fn end(&self, identity: &Identity) -> Result<u64, StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        inner.say(clock::now(), kind::SHUTDOWN, json!({}))?;
        inner.sign_head(|head| sign(identity, head))
    }

    /// [`Store::checkpoint`] with another signer. The journal is held meanwhile.
    pub(super) fn checkpoint_by(
        &self,
        make: impl FnOnce(&Head) -> Result<Vec<u8>, SealError>,
    ) -> Result<u64, StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        inner.sign_head(make)
    }

    /// [`Store::checkpoint_news`] with another signer.
    pub(super) fn news_by(
        &self,
        make: impl FnOnce(&Head) -> Result<Vec<u8>, SealError>,
    ) -> Result<u64, StoreError> {
        let mut inner = self.inner();
        inner.settled()?;
        if inner.has_unsigned() {
            inner.sign_head(make)
        } else {
            Ok(inner.checkpoint.n)
        }
    }

    /// Number of the newest line that is signed; 0 when none is.
    pub fn signed_up_to(&self) -> u64 {
        self.inner().checkpoint.n
    }

    /// Whether anything happened that no checkpoint of this run signs, beside that one was made.
    pub fn has_unsigned(&self) -> bool {
        self.inner().has_unsigned()
    }

    /// The checkpoint that signs line `n`.
    pub fn read_checkpoint(&self, n: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.inner().checkpoint_file(n);
        Ok(disk::read(&path)?)
    }
}

fn sign(identity: &Identity, head: &Head) -> Result<Vec<u8>, SealError> {
    let now = clock::now();
    identity.check_signing(now)?;
    let line = (head.n, head.sha256.as_str());
    Checkpoint::sign(identity, line, clock::boot_id(), now)
}

impl Inner {
    fn has_unsigned(&self) -> bool {
        let head = self.journal.head().n;
        head > 0 && self.checkpoint.said != Some(head)
    }

    fn sign_head(
        &mut self,
        make: impl FnOnce(&Head) -> Result<Vec<u8>, SealError>,
    ) -> Result<u64, StoreError> {
        let head = self.journal.head();
        if head.n == 0 {
            // Nothing has happened yet.
            return Ok(0);
        }
        let p7m = make(&head)?;
        // Here start-up removes what a crash leaves.
        let draft = self.dir.join("staging").join("checkpoint.p7m");
        disk::replace(&draft, &self.checkpoint_file(head.n), &p7m)?;
        self.checkpoint.n = head.n;
        let body = json!({ "n": head.n, "head": head.sha256, "sha256": sha256_hex(&p7m) });
        let line = self.say(clock::now(), kind::CHECKPOINT, body)?;
        self.checkpoint.said = Some(line.n);
        Ok(head.n)
    }

    fn checkpoint_file(&self, n: u64) -> PathBuf {
        self.dir.join(FOLDER).join(checkpoint_name(n))
    }
}
