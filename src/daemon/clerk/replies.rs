//! Replies on their way up: each by itself once, and again when its command comes again.
//!
//! A reply is offered until a broker has taken it, over broken connections, a broker that takes no more
//! at present, and starts. Whether somebody was listening then changes nothing: who missed it sends the
//! command again. So what a box sends by itself is bounded by what it was told, however often it starts.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::office::Office;
use crate::link::{Acked, Pause};
use crate::store::{StoreError, blocking};
use crate::upload::Answer;

/// Replies on their way to the upload at once.
const OFFERS_MAX: usize = 16;
/// First and longest pause after the broker said that it takes no more at present.
const BUSY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// What became of a reply on its way: the command's id, where the reply is kept, and what the broker
/// said; nothing when the connection broke before it did.
pub(super) type Told = (Option<Uuid>, Option<Acked>);

/// The replies on their way.
pub(super) struct Replies {
    office: Office,
    answers: mpsc::Sender<Answer>,
    offers: JoinSet<Told>,
    /// The kept ones among `offers`.
    offered: HashSet<Uuid>,
    /// Those of them that were asked for again meanwhile.
    again: HashSet<Uuid>,
    /// Taken by a broker, which the store could not be told yet.
    owed: HashSet<Uuid>,
    busy: Pause,
    /// Nothing is offered by itself before this moment.
    rest_until: Option<Instant>,
}

impl Replies {
    /// None yet; `answers`: the way to the upload.
    pub(super) fn new(office: Office, answers: mpsc::Sender<Answer>) -> Self {
        Self {
            office,
            answers,
            offers: JoinSet::new(),
            offered: HashSet::new(),
            again: HashSet::new(),
            owed: HashSet::new(),
            busy: Pause::new(BUSY.0, BUSY.1),
            rest_until: None,
        }
    }

    /// Waits until something became of one, for [`Self::told`]; `None` when none is on its way. Cancel
    /// safe.
    pub(super) async fn next(&mut self) -> Option<Told> {
        self.offers.join_next().await?.ok()
    }

    /// Takes in what became of one.
    pub(super) async fn told(&mut self, (id, acked): Told) {
        match acked {
            Some(Acked::Busy) => self.slow_down(),
            Some(Acked::Taken | Acked::NobodyListens) => self.busy.reset(),
            None => {}
        }
        let Some(id) = id else { return };
        self.offered.remove(&id);
        if matches!(acked, Some(Acked::Taken | Acked::NobodyListens)) {
            self.owed.insert(id);
            if let Err(error) = self.write_down().await {
                tracing::warn!(%error, %id, "a reply may be sent twice");
            }
        }
        if self.again.remove(&id) {
            self.again(id).await;
        }
    }

    /// The broker takes no more at present: one pause for all that it did not take meanwhile.
    fn slow_down(&mut self) {
        if !self.rests() {
            self.rest_until = Some(Instant::now() + self.busy.step());
        }
    }

    fn rests(&self) -> bool {
        self.rest_until.is_some_and(|until| until > Instant::now())
    }

    /// Tells the store which replies were taken.
    async fn write_down(&mut self) -> Result<(), StoreError> {
        if self.owed.is_empty() {
            return Ok(());
        }
        let (store, owed) = (self.office.store.clone(), self.owed.clone());
        blocking(move || owed.into_iter().try_for_each(|id| store.reply_taken(id))).await?;
        self.owed.clear();
        Ok(())
    }

    /// Gives a reply again; one on its way just now, which may be gone already, once more after it.
    pub(super) async fn again(&mut self, id: Uuid) {
        if self.offered.contains(&id) {
            self.again.insert(id);
            return;
        }
        let office = self.office.clone();
        match blocking(move || office.reply(id)).await {
            Ok(Some(bytes)) => self.offer(Some(id), bytes),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "a reply cannot be given again"),
        }
    }

    /// Signs and offers what is due.
    pub(super) async fn offer_due(&mut self) {
        let room = OFFERS_MAX.saturating_sub(self.offers.len());
        if room == 0 || self.rests() {
            return;
        }
        if let Err(error) = self.write_down().await {
            tracing::debug!(%error, "it is not written down yet that replies were taken");
        }
        let skip: HashSet<Uuid> = self.offered.union(&self.owed).copied().collect();
        let office = self.office.clone();
        match blocking(move || office.due(&skip, room)).await {
            Ok(due) => due
                .into_iter()
                .for_each(|(id, bytes)| self.offer(Some(id), bytes)),
            Err(error) => tracing::warn!(%error, "replies wait"),
        }
    }

    /// Offers a reply; `id`: the command's, where the reply is kept.
    pub(super) fn offer(&mut self, id: Option<Uuid>, bytes: Vec<u8>) {
        if id.is_some_and(|id| !self.offered.insert(id)) {
            return;
        }
        let answers = self.answers.clone();
        self.offers.spawn(async move {
            let (taken, told) = oneshot::channel();
            match answers.send(Answer { bytes, taken }).await {
                Ok(()) => (id, told.await.ok()),
                // The upload has ended: the next start offers it.
                Err(_upload_ended) => (id, None),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::office::tests::{office, refused};
    use super::*;
    use crate::pki::{TestPki, TestPkiPlan};
    use crate::witness::{Fate, Identity, Reply, Roots};

    /// Plays the upload: what comes up next, of which the broker says `acked`, or the connection breaks.
    async fn carried(
        replies: &mut Replies,
        upload: &mut mpsc::Receiver<Answer>,
        acked: Option<Acked>,
    ) -> Vec<u8> {
        replies.offer_due().await;
        let Answer { bytes, taken } = upload.recv().await.unwrap();
        match acked {
            Some(acked) => taken.send(acked).unwrap(),
            None => drop(taken),
        }
        let told = replies.next().await.unwrap();
        replies.told(told).await;
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_offered_until_a_broker_takes_it_and_again_with_its_command() {
        let dir = tempfile::tempdir().unwrap();
        let (office, _pki) = office(dir.path());
        let id = refused(&office.store, 1);
        let (answers, mut upload) = mpsc::channel(OFFERS_MAX);
        let mut replies = Replies::new(office.clone(), answers.clone());
        let first = carried(&mut replies, &mut upload, None).await;
        let begun = Instant::now();
        let next = carried(&mut replies, &mut upload, Some(Acked::Busy)).await;
        assert_eq!(next, first, "on the next connection");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for longest in [BUSY.0, BUSY.0 * 2] {
            replies.offer_due().await;
            assert!(replies.offers.is_empty(), "not at once");
            tokio::time::advance(longest).await;
            let next = carried(&mut replies, &mut upload, Some(Acked::Busy)).await;
            assert_eq!(next, first, "on the same connection, after a while");
        }
        tokio::time::advance(BUSY.1).await;
        let next = carried(&mut replies, &mut upload, Some(Acked::NobodyListens)).await;
        assert_eq!(next, first);
        for mut replies in [replies, Replies::new(office, answers)] {
            replies.offer_due().await;
            assert!(replies.offers.is_empty(), "nor after a start");
            replies.again(id).await;
            assert_eq!(upload.recv().await.unwrap().bytes, first);
        }
    }

    #[test]
    fn a_reply_that_nobody_would_believe_waits_for_a_certificate_that_holds() {
        let dir = tempfile::tempdir().unwrap();
        let (office, pki) = office(dir.path());
        let id = refused(&office.store, 1);
        let ended = TestPkiPlan {
            not_before: 1_600_000_000,
            not_after: 1_700_000_000,
        };
        let device = office.device.clone();
        let other = TestPki::create_planned(&dir.path().join("ended"), &device, ended).unwrap();
        let identity = Identity::load(&other.device, "evidence").unwrap();
        let then = Office {
            identity: Arc::new(identity),
            ..office.clone()
        };
        assert_eq!(then.due(&HashSet::new(), 5).unwrap(), []);
        let [(due, bytes)] = &office.due(&HashSet::new(), 5).unwrap()[..] else {
            panic!("it waited")
        };
        assert_eq!(*due, id);
        let roots = Roots::load(&pki.root()).unwrap();
        Reply::open(bytes, &roots, &device).unwrap();
        // What was signed by one that held then is given again.
        assert_eq!(then.reply(id).unwrap().as_ref(), Some(bytes));
    }

    #[tokio::test]
    async fn no_more_replies_are_read_than_may_be_on_their_way() {
        let dir = tempfile::tempdir().unwrap();
        let (office, _pki) = office(dir.path());
        let ids: Vec<Uuid> = (1..=20).map(|n| refused(&office.store, n)).collect();
        let skip = ids.iter().take(3).copied().collect();
        let due = office.due(&skip, 5).unwrap();
        let due: Vec<Uuid> = due.into_iter().map(|(id, _)| id).collect();
        assert_eq!(due, ids[3..8]);

        let (answers, mut upload) = mpsc::channel(OFFERS_MAX);
        let mut replies = Replies::new(office, answers);
        replies.offer_due().await;
        assert_eq!(replies.offers.len(), OFFERS_MAX);
        replies.offer_due().await;
        assert_eq!(replies.offers.len(), OFFERS_MAX);
        for _ in &ids {
            carried(&mut replies, &mut upload, Some(Acked::Taken)).await;
        }
        replies.offer_due().await;
        assert!(replies.offers.is_empty(), "each once");
        let told = replies.office.store.reply(ids[19]).unwrap().unwrap();
        assert_eq!(told.outcome, Fate::Refused);
    }
}
