//! The journal's checkpoints on their way, and what a receiver says it has of the journal.
//!
//! The receiver keeps the newest checkpoint and signs for it in every receipt: so each side holds
//! the other's signature over the same history.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::hearing::Sent;
use super::session::Session;
use crate::clock;
use crate::journal::{Head, kind};
use crate::link::message::{Subject, Topic};
use crate::link::{Acked, LinkError};
use crate::store::{Store, StoreError};
use crate::witness::JournalCopy;

/// How often it is looked whether there is a new checkpoint.
const LOOK: Duration = Duration::from_secs(5);

/// What one connection has told of the journal.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The newest line whose checkpoint went out.
    line: u64,
    /// Nobody was listening.
    to_nobody: bool,
    /// When it was last looked for a new one.
    looked: Option<Instant>,
}

impl Told {
    /// The broker's answer to a checkpoint.
    pub(super) fn answered(&mut self, acked: Acked) {
        if acked != Acked::Taken {
            self.to_nobody = true;
        }
    }
}

impl Session<'_> {
    /// The link is up: whatever is not signed yet is signed, and the newest checkpoint told.
    pub(super) async fn open_journal(&mut self) -> Result<(), LinkError> {
        if self.ask(|store| Ok(store.has_unsigned())).await == Some(true) {
            self.sign_head().await;
        }
        self.tell_checkpoint().await
    }

    /// Tells the newest checkpoint when it is another than before; looks now and then only.
    pub(super) async fn tell_news(&mut self) -> Result<(), LinkError> {
        let now = Instant::now();
        if self.told.looked.is_some_and(|at| now < at + LOOK) {
            return Ok(());
        }
        self.told.looked = Some(now);
        self.tell_checkpoint().await
    }

    /// Sees to it that a checkpoint signing `line` was told. When none can be made the package
    /// goes all the same: it is signed itself.
    pub(super) async fn cover(&mut self, line: Option<u64>) -> Result<(), LinkError> {
        let Some(line) = line else { return Ok(()) };
        let signed = self.ask(|store| Ok(store.signed_up_to())).await;
        if signed.is_some_and(|signed| signed < line) {
            self.sign_head().await;
        }
        if self.told.to_nobody {
            self.told.line = 0;
        }
        if self.told.line < line {
            self.tell_checkpoint().await?;
        }
        Ok(())
    }

    /// Publishes the newest checkpoint, unless this connection did.
    pub(super) async fn tell_checkpoint(&mut self) -> Result<(), LinkError> {
        let told = self.told.line;
        let newest = self.ask(move |store| {
            let n = store.signed_up_to();
            let new = n > told;
            new.then(|| Ok((n, store.read_checkpoint(n)?))).transpose()
        });
        let Some(Some((n, p7m))) = newest.await else {
            return Ok(());
        };
        let topic = Topic::new(self.up.device(), Subject::Journal).to_string();
        let ack = self.pipe.publish(&topic, p7m, false).await?;
        self.acks.push(Sent::Checkpoint, ack);
        self.told.line = n;
        self.told.to_nobody = false;
        Ok(())
    }

    /// Not while nobody would believe it: the next signature is over these lines too.
    async fn sign_head(&self) {
        if self.up.identity.check_signing(clock::now()).is_err() {
            return;
        }
        let identity = Arc::clone(&self.up.identity);
        self.ask(move |store| store.checkpoint_news(&identity))
            .await;
    }

    /// Asks the store; what it cannot answer is complained about.
    async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<T> {
        let answer = self.up.store.blocking(call).await;
        answer.map_err(|error| self.complain(&error)).ok()
    }

    /// Holds what a receiver has signed for as our journal against the journal. A head that it
    /// never had means that somebody rewrote it, or speaks with our key elsewhere; one of ours, by the
    /// same receiver and later, that this is over.
    pub(super) async fn compare_head(&mut self, head: &JournalCopy, receiver: &str) {
        let n = head.n;
        let none = Head::none();
        let ours = if n == none.n {
            Some(Some(none.sha256))
        } else {
            self.ask(move |store| store.line_sha256(n)).await
        };
        let Some(ours) = ours else { return };
        let told = self.carry.foreign_heads.get(receiver);
        if ours.as_ref() == Some(&head.hash) {
            // One that knows no line yet has signed for none of ours.
            if told.is_some() && n > none.n {
                self.head_is_ours(n, receiver).await;
            }
            return;
        }
        if told == Some(head) {
            return;
        }
        let words = format!(
            "receiver {receiver} has signed for line {n} with hash {}, which this journal never \
             had: it was rewritten, or somebody else uses this box's key",
            head.hash
        );
        tracing::error!(
            receiver,
            n,
            hash = head.hash,
            "a foreign journal head was signed for"
        );
        self.up.state.change(|s| s.foreign_head = Some(words));
        let body = json!({ "receiver": receiver, "n": n, "hash": head.hash, "ours": ours });
        let noted = self.ask(move |store| store.note(clock::now(), kind::HEAD_FOREIGN, body));
        if noted.await.is_some() {
            let heads = &mut self.carry.foreign_heads;
            heads.insert(receiver.to_owned(), head.clone());
        }
    }

    /// A receiver whose head was foreign has signed for line `n` of ours: the alarm ends with the last.
    async fn head_is_ours(&mut self, n: u64, receiver: &str) {
        tracing::info!(
            receiver,
            n,
            "the journal head that is signed for is ours again"
        );
        let body = json!({ "receiver": receiver, "n": n });
        let noted = self.ask(move |store| store.note(clock::now(), kind::HEAD_OURS, body));
        if noted.await.is_none() {
            return;
        }
        self.carry.foreign_heads.remove(receiver);
        if self.carry.foreign_heads.is_empty() {
            self.up.state.change(|s| s.foreign_head = None);
        }
    }
}
