//! One connection's worth of uploading.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Uplink;
use super::delivery::{ANSWER, Delivery, Rate, Step};
use super::desk::{Desk, news};
use super::hearing::Sent;
use super::journal::Told;
use super::stamping::{Asked, Stamping};
use super::state::InHand;
use crate::clock;
use crate::link::message::{Presence, PresenceState, Subject, Topic};
use crate::link::{Acks, Endpoint, LinkError, Pause, Pipe, WINDOW, Will};
use crate::store::{Outgoing, State, Store, StoreError};
use crate::types::CaseId;
use crate::witness::{JournalCopy, Roots};

/// First and longest pause after a try that nobody answered.
const UNANSWERED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
/// The lane of the files that make up the head.
const HEAD_LANE: u8 = 1;
/// With nothing due and no news from the store, this is how often it is asked.
const LOOK: Duration = Duration::from_secs(5);

/// What outlives a connection.
#[derive(Debug)]
pub(super) struct Carry {
    /// Whether the last connection was made.
    pub(super) connected: bool,
    /// Counts connections (`bd` of the state message).
    pub(super) births: u64,
    /// The package that was in hand when a connection broke, and who was taking it.
    begun: Option<(CaseId, String)>,
    /// Pauses after unanswered tries.
    pub(super) unanswered: Pause,
    /// How fast the link is.
    pub(super) rate: Rate,
    /// When a receipt not believed was last journalled, and how many came since.
    pub(super) ignored: (Option<Instant>, u64),
    /// The foreign head that was journalled last.
    pub(super) foreign_head: Option<JournalCopy>,
    /// Packages the store could not yet be told to queue again.
    owed: Vec<CaseId>,
    /// When time-stamps are asked for.
    pub(super) stamping: Stamping,
    /// Where commands and verdicts go.
    pub(super) desk: Option<Desk>,
}

impl Carry {
    /// Nothing begun.
    pub(super) fn new(desk: Option<Desk>) -> Self {
        Self {
            connected: false,
            births: 0,
            begun: None,
            unanswered: Pause::new(UNANSWERED.0, UNANSWERED.1),
            rate: Rate::default(),
            ignored: (None, 0),
            foreign_head: None,
            owed: Vec::new(),
            stamping: Stamping::default(),
            desk,
        }
    }
}

/// The package in hand.
pub(super) struct Hand {
    /// What the store gave out.
    pub(super) package: Outgoing,
    /// Where each file is, by hash.
    pub(super) paths: BTreeMap<String, PathBuf>,
    /// The dialogue about it.
    pub(super) delivery: Delivery,
    /// Whether all that was asked for has gone out once.
    pub(super) sent: bool,
}

/// One connection.
pub(super) struct Session<'a> {
    pub(super) up: &'a Uplink,
    pub(super) carry: &'a mut Carry,
    pub(super) pipe: Pipe,
    pub(super) roots: Roots,
    pub(super) hand: Option<Hand>,
    pub(super) acks: Acks<Sent>,
    /// The time-stamp asked for on this connection.
    pub(super) asked: Option<Asked>,
    /// What this connection has told of the journal.
    pub(super) told: Told,
    /// Nothing is begun before this moment.
    rest_until: Option<Instant>,
    /// Bytes of earlier connections, sent and received.
    before: (u64, u64),
}

impl<'a> Session<'a> {
    /// Connects and uploads; `Ok` when stopped, else why the connection is over.
    pub(super) async fn run(
        up: &'a Uplink,
        endpoint: &Endpoint,
        carry: &'a mut Carry,
        stop: &CancellationToken,
    ) -> Result<(), LinkError> {
        carry.connected = false;
        carry.births += 1;
        let file = up.keys.join("roots.crt");
        let roots = Roots::load(&file).map_err(|error| LinkError::Key {
            file: file.display().to_string(),
            why: error.to_string(),
        })?;
        let lost = Presence::bare(PresenceState::Lost, carry.births);
        let will = Will {
            topic: Topic::new(&up.device, Subject::State).to_string(),
            payload: bytes(&lost),
        };
        let pipe = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            pipe = Pipe::connect(endpoint, Some(will)) => pipe?,
        };
        pipe.subscribe(&Topic::all_down(&up.device)).await?;
        carry.connected = true;
        let mut before = (0, 0);
        up.state.change(|s| {
            s.connected = true;
            s.cause = None;
            s.needs_a_person = false;
            s.connections += 1;
            before = (s.sent_bytes, s.received_bytes);
        });
        tracing::info!(peer = endpoint.peer(), "upload connected");
        let mut session = Self {
            up,
            carry,
            pipe,
            roots,
            hand: None,
            acks: Acks::default(),
            asked: None,
            told: Told::default(),
            rest_until: None,
            before,
        };
        let ended = session.serve(stop).await;
        session.keep_begun().await;
        session.count();
        if ended.is_ok() {
            session.pipe.close().await;
        }
        ended
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Result<(), LinkError> {
        self.present(PresenceState::Ready).await?;
        self.open_journal().await?;
        while !stop.is_cancelled() {
            self.pick().await;
            self.tell_news().await?;
            let look_again = self.advance().await?;
            self.ask_stamp().await?;
            let look_again = self
                .stamp_look()
                .map_or(look_again, |at| at.min(look_again));
            self.count();
            self.up.state.turns(clock::now(), ANSWER.max(LOOK));
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                message = self.pipe.recv() => {
                    let message = message?;
                    self.hear(&message).await;
                    self.pipe.done(&message)?;
                }
                (sent, answer) = self.acks.next() => self.acknowledged(sent, answer?).await,
                news = news(&mut self.carry.desk), if self.acks.len() < WINDOW => {
                    self.tell_desk_news(news).await?;
                }
                () = self.up.store.changed(), if self.hand.is_none() => {}
                () = sleep_until(look_again) => {}
            }
        }
        self.leave().await
    }

    /// Takes the next package in hand, when there is none and one is due.
    async fn pick(&mut self) {
        let resting = self.rest_until.is_some_and(|until| until > Instant::now());
        if self.hand.is_some() || resting {
            return;
        }
        let owed = self.carry.owed.clone();
        let due = blocking(&self.up.store, move |store| {
            for id in owed {
                match store.step(id, State::Queued) {
                    // Answered after all.
                    Ok(()) | Err(StoreError::Step { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let due = store.next_due(clock::now())?;
            if let Some(package) = &due {
                store.step(package.id, State::Sending)?;
            }
            Ok(due)
        });
        match due.await {
            Ok(package) => {
                self.carry.owed.clear();
                self.hand = package.map(|package| self.take(package));
            }
            Err(error) => {
                tracing::warn!(%error, "upload cannot read the store");
                self.rest(&error.to_string(), LOOK);
            }
        }
    }

    fn take(&mut self, package: Outgoing) -> Hand {
        let blobs = package.files.iter().filter(|file| file.lane != HEAD_LANE);
        let sizes = blobs.clone().map(|file| (file.sha256.clone(), file.size));
        let paths = blobs.map(|file| (file.sha256.clone(), package.dir.join(&file.name)));
        let id = package.id.to_string();
        let sink = match self.carry.begun.take() {
            Some((begun, sink)) if begun == package.id => Some(sink),
            _ => None,
        };
        let delivery = Delivery::new(&id, sizes.collect(), sink);
        let in_hand = InHand {
            id,
            seq: package.seq,
            bytes: package.files.iter().map(|file| file.size).sum(),
            acknowledged: 0,
            sink: None,
        };
        self.up.state.change(|s| s.in_hand = Some(in_hand));
        Hand {
            paths: paths.collect(),
            package,
            delivery,
            sent: false,
        }
    }

    /// Sends what is next, if there is room; gives the moment to look again without any event.
    async fn advance(&mut self) -> Result<Instant, LinkError> {
        let now = Instant::now();
        let later = now + LOOK;
        let piece = self.carry.rate.piece(self.piece_max());
        let Some(hand) = &mut self.hand else {
            return Ok(self
                .rest_until
                .map_or(later, |until| until.clamp(now, later)));
        };
        if self.acks.len() >= WINDOW {
            return Ok(later);
        }
        match hand.delivery.next(now, piece) {
            Step::Wait(until) => Ok(until.unwrap_or(later)),
            Step::GiveUp => {
                self.put_back("the receiver does not answer").await;
                Ok(now)
            }
            Step::Head => {
                let line = hand.package.journal_n;
                self.cover(line).await?;
                self.send_head().await.map(|()| now)
            }
            Step::Piece(piece) => self.send_piece(&piece).await.map(|()| now),
            Step::Finish { sink } => self.send_finished(&sink).await.map(|()| now),
        }
    }

    /// Bytes a piece may have, by configuration and broker, whatever its topic.
    fn piece_max(&self) -> u64 {
        let longest = Subject::Chunk {
            sink: "x".repeat(64),
            sha256: "0".repeat(64),
            offset: u64::MAX,
        };
        let topic = Topic::new(&self.up.device, longest).to_string();
        let broker = self.pipe.payload_max(&topic) as u64;
        (u64::from(self.up.config.chunk_kib.max(1)) * 1024).min(broker)
    }

    /// Ends the try with the package in hand; it and the next wait a growing while.
    pub(super) async fn put_back(&mut self, why: &str) {
        let Some(hand) = self.hand.take() else {
            return;
        };
        let pause = self.carry.unanswered.step();
        let ns = i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX);
        let (id, reason) = (hand.package.id, why.to_owned());
        let deferred = blocking(&self.up.store, move |store| {
            store.defer(id, clock::now().shifted_ns(ns), &reason)
        });
        self.owe(id, deferred.await);
        self.up.state.change(|s| s.in_hand = None);
        self.rest(why, pause);
    }

    pub(super) fn rest(&mut self, why: &str, pause: Duration) {
        self.rest_until = Some(Instant::now() + pause);
        let mut news = false;
        self.up.state.change(|s| {
            news = s.cause.as_deref() != Some(why);
            s.cause = Some(why.to_owned());
        });
        if news {
            tracing::warn!(why, "upload waits");
        }
    }

    pub(super) fn complain(&self, error: &StoreError) {
        tracing::warn!(%error, "upload cannot write to the store");
        self.up.state.change(|s| s.cause = Some(error.to_string()));
    }

    /// A package the store could not put back into the queue must not be forgotten there.
    fn owe(&mut self, id: CaseId, done: Result<(), StoreError>) {
        if let Err(error) = done {
            self.carry.owed.push(id);
            self.complain(&error);
        }
    }

    /// The connection is over: the package goes back into the queue, its receiver is remembered.
    async fn keep_begun(&mut self) {
        let Some(hand) = self.hand.take() else {
            return;
        };
        let id = hand.package.id;
        self.carry.begun = hand.delivery.sink().map(|sink| (id, sink.to_owned()));
        let queued = blocking(&self.up.store, move |store| store.step(id, State::Queued));
        self.owe(id, queued.await);
    }

    fn count(&self) {
        let carried = self.pipe.carried();
        let (sent, received) = self.before;
        self.up.state.change(|s| {
            s.sent_bytes = sent + carried.sent();
            s.received_bytes = received + carried.received();
        });
    }
}

/// Runs one call of the store where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    store: &Store,
    call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || call(&store))
        .await
        .unwrap_or_else(|error| Err(StoreError::Invariant(error.to_string())))
}

/// The bytes of a message of ours.
pub(super) fn bytes(message: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("invariant: strings and integers serialise")
}
