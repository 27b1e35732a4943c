//! Trusted time from outside: the query goes to a receiver, which relays it to the bureau's
//! time-stamping authority, and what comes back is checked before it is kept.
//!
//! One query is under way at a time. A receiver without an authority says so, or says nothing:
//! then the queries rest, longer and longer, and cost nothing meanwhile.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use super::hearing::Sent;
use super::session::Session;
use crate::link::message::{Subject, Topic};
use crate::link::{Acked, LinkError, Pause};
use crate::store::{StampDue, Store, StoreError};
use crate::witness::{StampError, StampQuery};

/// An authority answers within seconds, and the receiver gives it no longer than this.
const ANSWER: Duration = Duration::from_mins(1);
/// First and longest pause after a query without a stamp.
const REST: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));

/// What outlives a connection.
#[derive(Debug)]
pub(super) struct Stamping {
    /// Pauses after queries without a stamp.
    pause: Pause,
    /// No query before this moment.
    rest_until: Option<Instant>,
    /// Whether the store may have a package whose stamp is due.
    look: bool,
}

impl Default for Stamping {
    fn default() -> Self {
        Self {
            pause: Pause::new(REST.0, REST.1),
            rest_until: None,
            look: true,
        }
    }
}

impl Stamping {
    /// A receipt was kept: its package's stamp is due.
    pub(super) fn due(&mut self) {
        self.look = true;
    }
}

/// The query under way.
pub(super) struct Asked {
    due: StampDue,
    query: StampQuery,
    /// Known once the broker has it: a slow link is not a silent authority.
    until: Option<Instant>,
}

impl Session<'_> {
    /// Asks for the next time-stamp, when one is due and none is under way.
    pub(super) async fn ask_stamp(&mut self) -> Result<(), LinkError> {
        self.give_up_stamp().await;
        let now = Instant::now();
        let resting = self
            .carry
            .stamping
            .rest_until
            .is_some_and(|until| until > now);
        let idle = self.asked.is_none() && self.carry.stamping.look && !resting;
        if !idle || !self.has_room() {
            return Ok(());
        }
        let due = match self.up.store.blocking(Store::next_stamp).await {
            Ok(Some(due)) => due,
            Ok(None) => {
                self.carry.stamping.look = false;
                self.up.state.change(|s| s.stamp_cause = None);
                return Ok(());
            }
            Err(error) => {
                self.rest_stamps(&error.to_string());
                return Ok(());
            }
        };
        let query = StampQuery::new(&due.manifest, random());
        let topic = Topic::new(self.up.device(), Subject::StampQuery).to_string();
        let ack = self.pipe.publish(&topic, query.to_der(), false).await?;
        self.acks.push(Sent::StampQuery, ack);
        self.asked = Some(Asked {
            due,
            query,
            until: None,
        });
        Ok(())
    }

    /// The moment to look at time-stamps again, without any event.
    pub(super) fn stamp_look(&self) -> Option<Instant> {
        match &self.asked {
            Some(asked) => asked.until,
            // An acknowledgement comes first.
            None if !self.has_room() => None,
            None if self.carry.stamping.look => self.carry.stamping.rest_until,
            None => None,
        }
    }

    /// The broker's answer to the query.
    pub(super) async fn stamp_taken(&mut self, acked: Acked) {
        let Some(asked) = &mut self.asked else {
            return;
        };
        match acked {
            Acked::Taken => asked.until = Some(Instant::now() + ANSWER),
            Acked::NobodyListens => self.no_stamp("no receiver takes time-stamp queries").await,
            Acked::Busy => self.no_stamp("the broker takes no more at present").await,
        }
    }

    async fn give_up_stamp(&mut self) {
        let until = self.asked.as_ref().and_then(|asked| asked.until);
        if until.is_some_and(|until| until <= Instant::now()) {
            self.no_stamp("no time-stamp came").await;
        }
    }

    /// What claims to be the answer to the query: kept only when everything fits.
    pub(super) async fn hear_stamp(&mut self, answer: &[u8]) {
        let Some(asked) = &self.asked else {
            return;
        };
        let (token, says) = match asked.query.accept(answer, &self.up.trust.now()) {
            Ok(accepted) => accepted,
            // Late, to a query that was given up.
            Err(StampError::OtherNonce) => return,
            Err(error) => return self.no_stamp(&error.to_string()).await,
        };
        let id = asked.due.id;
        let at = says.at.clone();
        let kept = self
            .up
            .store
            .blocking(move |store| store.stamped(id, &token, &says));
        if let Err(error) = kept.await {
            return self.no_stamp(&error.to_string()).await;
        }
        tracing::info!(%id, at, "package time-stamped");
        self.asked = None;
        self.carry.stamping.pause.reset();
        self.up.state.change(|s| {
            s.stamped += 1;
            s.stamp_cause = None;
        });
    }

    /// This query brought no stamp: its package stands back, and the queries rest.
    async fn no_stamp(&mut self, why: &str) {
        let Some(asked) = self.asked.take() else {
            return;
        };
        let id = asked.due.id;
        let deferred: Result<(), StoreError> = self
            .up
            .store
            .blocking(move |store| store.defer_stamp(id))
            .await;
        if let Err(error) = deferred {
            self.complain(&error);
        }
        self.rest_stamps(why);
    }

    fn rest_stamps(&mut self, why: &str) {
        let stamping = &mut self.carry.stamping;
        stamping.rest_until = Some(Instant::now() + stamping.pause.step());
        let mut news = false;
        self.up.state.change(|s| {
            news = s.stamp_cause.as_deref() != Some(why);
            s.stamp_cause = Some(why.to_owned());
        });
        if news {
            tracing::warn!(why, "time-stamps wait");
        }
    }
}

/// Tells the answer to one query from those to others. Without randomness a late answer over the
/// same bytes could be taken, which is as good.
fn random() -> u64 {
    let mut bytes = [0; 8];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_or(0, |()| u64::from_be_bytes(bytes))
}
