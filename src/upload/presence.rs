//! What the device says of itself, from the first word of a connection to the last.

use std::time::Duration;

use tokio::time::timeout;

use super::hearing::Sent;
use super::session::{Session, bytes};
use crate::clock;
use crate::link::message::{Presence, PresenceState, Subject, Topic};
use crate::link::{LinkError, certificate_days_left};
use crate::types::CaseId;

/// Packages that are asked after each time: few, for where a platform makes no second copies it is
/// asked in vain.
const COPIES_ASKED: u32 = 8;
/// Time for the pieces under way when stopped.
const LAST_PIECES: Duration = Duration::from_secs(5);

fn names(ids: &[CaseId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

impl Session<'_> {
    /// Publishes how this device is.
    pub(super) async fn present(&mut self, state: PresenceState) -> Result<(), LinkError> {
        let certificate = self.up.endpoint().certificate();
        let desk = self.carry.desk.as_ref();
        let bare = Presence {
            nonce: desk.map(|desk| desk.nonce.borrow().clone()),
            ..Presence::bare(state, self.carry.births)
        };
        let told = self.up.store.blocking(move |store| {
            let now = clock::now();
            let head = store.head();
            Ok(Presence {
                n: Some(head.n),
                head: Some(head.sha256),
                clock_synced: Some(clock::trust().synced),
                queued: Some(store.counts()?.pending.packages),
                cert_days: certificate_days_left(
                    &certificate,
                    now.utc_ns.div_euclid(1_000_000_000),
                ),
                sw: Some(env!("CARGO_PKG_VERSION").to_owned()),
                copies: match state {
                    PresenceState::Ready => names(&store.wanting_copies(COPIES_ASKED)?),
                    PresenceState::Lost | PresenceState::Stopping => Vec::new(),
                },
                ..bare
            })
        });
        let presence = match told.await {
            Ok(presence) => presence,
            Err(error) => {
                self.complain(&error);
                Presence::bare(state, self.carry.births)
            }
        };
        let topic = Topic::new(&self.up.device, Subject::State).to_string();
        let ack = self.pipe.publish(&topic, bytes(&presence), true).await?;
        self.acks.push(Sent::State, ack);
        Ok(())
    }

    /// Stopped: what is under way may arrive, then the device says that it goes.
    pub(super) async fn leave(&mut self) -> Result<(), LinkError> {
        let orderly = async {
            while !self.acks.is_empty() {
                self.acks.next().await.1?;
            }
            self.tell_checkpoint().await?;
            self.present(PresenceState::Stopping).await?;
            while !self.acks.is_empty() {
                self.acks.next().await.1?;
            }
            Ok(())
        };
        match timeout(LAST_PIECES, orderly).await {
            Ok(done) => done,
            Err(_elapsed) => {
                tracing::warn!("upload stopped with pieces under way");
                Ok(())
            }
        }
    }
}
