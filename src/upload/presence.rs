//! What the device says of itself, from the first word of a connection to the last.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::hearing::Sent;
use super::session::{Session, bytes};
use crate::clock;
use crate::link::message::{Presence, PresenceState, Subject, Topic};
use crate::link::{LinkError, certificate_days_left};
use crate::types::CaseId;

/// How often a device that is connected says how it is.
const EVERY: Duration = Duration::from_mins(2);
/// How soon again once a receiver has answered what was asked with it: there may be more.
const MORE: Duration = Duration::from_secs(2);
/// Packages that are asked after each time: few, for where a platform makes no second copies it is
/// asked in vain.
const COPIES_ASKED: u32 = 8;
/// Time for the pieces under way when stopped.
const LAST_PIECES: Duration = Duration::from_secs(5);

/// When the device says how it is again.
#[derive(Debug)]
pub(super) struct Telling {
    due: Instant,
    /// The packages that were asked after last.
    asked: Vec<CaseId>,
}

impl Telling {
    /// A connection begins: at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            due: now,
            asked: Vec::new(),
        }
    }

    /// When it is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    fn told(&mut self, asked: Vec<CaseId>, now: Instant) {
        *self = Self {
            due: now + EVERY,
            asked,
        };
    }

    /// A later receipt says more copies of `id`.
    pub(super) fn answered(&mut self, id: CaseId, now: Instant) {
        if self.asked.contains(&id) {
            self.due = self.due.min(now + MORE);
        }
    }
}

impl Session<'_> {
    /// Publishes how this device is when that is due and there is room.
    pub(super) async fn present_in_time(&mut self) -> Result<(), LinkError> {
        if self.telling.due() > Instant::now() || !self.has_room() {
            return Ok(());
        }
        self.present(PresenceState::Ready).await
    }

    /// Publishes how this device is.
    pub(super) async fn present(&mut self, state: PresenceState) -> Result<(), LinkError> {
        let certificate = self.up.endpoint.certificate();
        let desk = self.carry.desk.as_ref();
        let held = self.up.identity.check_validity(clock::now()).err();
        let bare = Presence {
            held: held.map(|error| error.to_string()),
            nonce: desk.map(|desk| desk.nonce.borrow().clone()),
            ..Presence::bare(state, self.carry.births)
        };
        let told = self.up.store.blocking(move |store| {
            let now = clock::now();
            let (head, counts) = (store.head(), store.counts()?);
            let asked = match state {
                PresenceState::Ready => store.wanting_copies(COPIES_ASKED)?,
                PresenceState::Lost | PresenceState::Stopping => Vec::new(),
            };
            let presence = Presence {
                n: Some(head.n),
                head: Some(head.sha256),
                clock_synced: Some(clock::trust().synced),
                queued: Some(counts.pending.packages),
                queued_bytes: Some(counts.pending.bytes),
                free_bytes: Some(counts.free_bytes),
                fill_percent: Some(store.room()?.percent()),
                not_kept: Some(store.losses().total() + store.files_lost()),
                cert_days: certificate_days_left(
                    &certificate,
                    now.utc_ns.div_euclid(1_000_000_000),
                ),
                sw: Some(env!("CARGO_PKG_VERSION").to_owned()),
                copies: asked.iter().map(ToString::to_string).collect(),
                ..bare
            };
            Ok((presence, asked))
        });
        let (presence, asked) = match told.await {
            Ok(told) => told,
            Err(error) => {
                self.complain(&error);
                (Presence::bare(state, self.carry.births), Vec::new())
            }
        };
        self.telling.told(asked, Instant::now());
        let topic = Topic::new(self.up.device(), Subject::State).to_string();
        let ack = self.pipe.publish(&topic, bytes(&presence), true).await?;
        self.acks.push(Sent::State, ack);
        Ok(())
    }

    /// Waits for every acknowledgement that is to come.
    async fn hear_out(&mut self) -> Result<(), LinkError> {
        while !self.acks.is_empty() {
            let (sent, answer) = self.acks.next().await;
            self.acknowledged(sent, answer?).await;
        }
        Ok(())
    }

    /// Stopped: what is under way may arrive, then the device says that it goes.
    pub(super) async fn leave(&mut self) -> Result<(), LinkError> {
        let orderly = async {
            self.hear_out().await?;
            self.tell_checkpoint().await?;
            self.present(PresenceState::Stopping).await?;
            self.hear_out().await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_state_is_told_again_in_time_and_soon_when_it_was_answered() {
        let case = |n| CaseId(uuid::Uuid::from_u128(n));
        let begun = Instant::now();
        let mut telling = Telling::new(begun);
        assert_eq!(telling.due(), begun);
        telling.told(vec![case(1), case(2)], begun);
        assert_eq!(telling.due(), begun + EVERY, "whatever the clock says");
        let later = begun + EVERY / 2;
        telling.answered(case(3), later);
        assert_eq!(telling.due(), begun + EVERY, "nobody asked after that one");
        telling.answered(case(1), later);
        telling.answered(case(2), later + MORE / 2);
        assert_eq!(
            telling.due(),
            later + MORE,
            "once for all that was answered"
        );
        telling.told(Vec::new(), later + MORE);
        telling.answered(case(1), later + MORE);
        assert_eq!(telling.due(), later + MORE + EVERY);
        telling.told(vec![case(4)], begun);
        telling.answered(case(4), begun + EVERY);
        assert_eq!(telling.due(), begun + EVERY, "never put off");
    }
}
