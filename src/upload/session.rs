//! One connection's worth of uploading.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Uplink;
use super::delivery::{ANSWER, Delivery, Piece, Rate, Step};
use super::state::InHand;
use crate::clock;
use crate::link::message::{Finished, Presence, PresenceState, Subject, Topic, Want};
use crate::link::{
    Acked, Acks, Endpoint, Incoming, LinkError, Pause, Pipe, WINDOW, Will, certificate_days_left,
};
use crate::store::{Outgoing, State, Store, StoreError};
use crate::types::CaseId;
use crate::witness::{Container, Receipt, ReceiptError, ReceiptVerdict, Roots};

/// First and longest pause after a try that nobody answered.
const UNANSWERED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// The lane of the files that make up the head.
const HEAD_LANE: u8 = 1;
/// With nothing due and no news from the store, this is how often it is asked.
const LOOK: Duration = Duration::from_secs(5);
/// Time for the pieces under way when stopped.
const LAST_PIECES: Duration = Duration::from_secs(5);
/// Journal lines about receipts not believed: one in this time, with a count.
const IGNORED_LINES: Duration = Duration::from_secs(60);

/// What outlives a connection.
#[derive(Debug)]
pub(super) struct Carry {
    /// Whether the last connection was made.
    pub(super) connected: bool,
    /// Counts connections (`bd` of the state message).
    births: u64,
    /// The package that was in hand when a connection broke, and who was taking it.
    begun: Option<(CaseId, String)>,
    /// Pauses after unanswered tries.
    unanswered: Pause,
    /// How fast the link is.
    rate: Rate,
    /// When a receipt not believed was last journalled, and how many came since.
    ignored: (Option<Instant>, u64),
}

impl Default for Carry {
    fn default() -> Self {
        Self {
            connected: false,
            births: 0,
            begun: None,
            unanswered: Pause::new(UNANSWERED.0, UNANSWERED.1),
            rate: Rate::default(),
            ignored: (None, 0),
        }
    }
}

/// What an acknowledgement is for.
enum Sent {
    /// The state message.
    State,
    /// The head of the package.
    Head(CaseId),
    /// The question what is missing.
    Finished(CaseId),
    /// A piece of so many bytes, handed over then.
    Piece(CaseId, u64, Instant),
}

/// The package in hand.
struct Hand {
    package: Outgoing,
    paths: BTreeMap<String, PathBuf>,
    delivery: Delivery,
    /// Whether all that was asked for has gone out once.
    sent: bool,
}

/// One connection.
pub(super) struct Session<'a> {
    up: &'a Uplink,
    carry: &'a mut Carry,
    pipe: Pipe,
    roots: Roots,
    hand: Option<Hand>,
    acks: Acks<Sent>,
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
        while !stop.is_cancelled() {
            self.pick().await;
            let look_again = self.advance().await?;
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
                (sent, answer) = self.acks.next() => self.acknowledged(&sent, answer?).await,
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
        let due = blocking(&self.up.store, |store| {
            let due = store.next_due(clock::now())?;
            if let Some(package) = &due {
                store.step(package.id, State::Sending)?;
            }
            Ok(due)
        });
        match due.await {
            Ok(Some(package)) => self.hand = Some(self.take(package)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "upload cannot read the store");
                self.rest(error.to_string(), LOOK);
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
            Step::Head => self.send_head().await.map(|()| now),
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
        (u64::from(self.up.config.chunk_kib) * 1024).min(broker)
    }

    async fn send_head(&mut self) -> Result<(), LinkError> {
        let Some(hand) = &self.hand else {
            return Ok(());
        };
        let mut container = Container::new();
        for (name, bytes) in &hand.package.head {
            if let Err(error) = container.insert(name, bytes.clone()) {
                self.put_back(&error.to_string()).await;
                return Ok(());
            }
        }
        let id = hand.package.id;
        let topic = Topic::new(&self.up.device, Subject::Head).to_string();
        match self.pipe.publish(&topic, container.to_zip(), false).await {
            Ok(ack) => self.acks.push(Sent::Head(id), ack),
            // This one package does not fit; the others may.
            Err(error @ LinkError::TooLarge { .. }) => self.put_back(&error.to_string()).await,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn send_piece(&mut self, piece: &Piece) -> Result<(), LinkError> {
        let Some(hand) = &self.hand else {
            return Ok(());
        };
        let id = hand.package.id;
        let Some(path) = hand.paths.get(&piece.sha256).cloned() else {
            return Ok(());
        };
        let (from, to) = (piece.from, piece.to);
        let read = tokio::task::spawn_blocking(move || read_range(&path, from, to)).await;
        let payload = match read {
            Ok(Ok(payload)) => payload,
            Ok(Err(why)) => {
                // The store compares all hashes before it hands the package out again.
                self.put_back(&why).await;
                return Ok(());
            }
            Err(error) => {
                self.put_back(&error.to_string()).await;
                return Ok(());
            }
        };
        let chunk = Subject::Chunk {
            sink: piece.sink.clone(),
            sha256: piece.sha256.clone(),
            offset: from,
        };
        let topic = Topic::new(&self.up.device, chunk).to_string();
        let ack = self.pipe.publish(&topic, payload, false).await?;
        self.acks
            .push(Sent::Piece(id, to - from, Instant::now()), ack);
        Ok(())
    }

    async fn send_finished(&mut self, sink: &str) -> Result<(), LinkError> {
        let Some(hand) = &mut self.hand else {
            return Ok(());
        };
        let id = hand.package.id;
        let first = !std::mem::replace(&mut hand.sent, true);
        let subject = Subject::Finished {
            sink: sink.to_owned(),
        };
        let topic = Topic::new(&self.up.device, subject).to_string();
        let finished = Finished { id: id.to_string() };
        let ack = self.pipe.publish(&topic, bytes(&finished), false).await?;
        self.acks.push(Sent::Finished(id), ack);
        if first {
            let line = json!({ "id": id, "sink": sink });
            let noted = blocking(&self.up.store, move |store| {
                store.step(id, State::Sent)?;
                store.note(clock::now(), "package.sent", line)
            });
            self.complain(noted.await.map(drop));
        }
        Ok(())
    }

    /// The broker's answer to something sent.
    async fn acknowledged(&mut self, sent: &Sent, acked: Acked) {
        self.up
            .state
            .change(|s| s.last_ack_ms = Some(clock::now().utc_ms()));
        let now = Instant::now();
        let in_hand = self
            .hand
            .as_mut()
            .filter(|hand| sent.is_of(hand.package.id));
        let Some(hand) = in_hand else {
            return;
        };
        match (acked, sent) {
            (Acked::Taken, Sent::Piece(_, bytes, at)) => {
                self.carry.rate.acknowledged(*bytes, *at, now);
                let sink = hand.delivery.sink().map(ToOwned::to_owned);
                self.up.state.change(|s| {
                    if let Some(in_hand) = &mut s.in_hand {
                        in_hand.acknowledged += bytes;
                        in_hand.sink = sink;
                    }
                });
            }
            (Acked::Taken, _) => hand.delivery.taken(now),
            (Acked::NobodyListens, Sent::Head(_)) => {
                self.put_back("no receiver is listening").await;
            }
            // That receiver has gone; another may take the head.
            (Acked::NobodyListens, _) => hand.delivery.restart(),
            (Acked::Busy, _) => self.put_back("the broker takes no more at present").await,
        }
    }

    async fn hear(&mut self, message: &Incoming) {
        let Ok(topic) = message.topic().parse::<Topic>() else {
            return;
        };
        match topic.subject {
            Subject::Want => {
                let want = serde_json::from_slice::<Want>(message.payload());
                if let (Ok(want), Some(hand)) = (want, &mut self.hand)
                    && hand.delivery.want(&want, Instant::now())
                {
                    self.answered();
                }
            }
            Subject::Receipt => self.receipt(message.payload()).await,
            _ => {}
        }
    }

    /// A receiver has answered: no pause is due.
    fn answered(&mut self) {
        self.carry.unanswered.reset();
        self.up.state.change(|s| s.cause = None);
    }

    /// What claims to be a receipt: believed only when everything fits.
    async fn receipt(&mut self, p7m: &[u8]) {
        let receipt = match Receipt::open(p7m, &self.roots) {
            Ok((receipt, _)) => receipt,
            Err(error) => return self.ignore(&error).await,
        };
        let Some(hand) = &self.hand else {
            return;
        };
        let package = &hand.package;
        if receipt.id != package.id && receipt.device == self.up.device {
            // Late, for one that was put back: its head will bring the receipt again.
            return;
        }
        let (id, seq, sig_sha256) = (package.id, package.seq, package.sig_sha256.clone());
        if let Err(error) = receipt.check_names(id, &self.up.device, seq, &sig_sha256) {
            return self.ignore(&error).await;
        }
        let p7m = p7m.to_vec();
        let stored = receipt.verdict == ReceiptVerdict::Stored;
        let kept = blocking(&self.up.store, move |store| match receipt.verdict {
            ReceiptVerdict::Stored => store.receipted(id, &p7m, &sig_sha256, &receipt.at),
            ReceiptVerdict::Refused => {
                let why = receipt.why.unwrap_or_else(|| "no reason given".to_owned());
                store.refused(id, &p7m, &sig_sha256, &why)
            }
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, %id, "upload cannot keep a receipt");
            self.put_back(&error.to_string()).await;
            return;
        }
        tracing::info!(%id, seq, stored, "package answered");
        self.hand = None;
        self.answered();
        self.up.state.change(|s| {
            s.in_hand = None;
            if stored {
                s.receipted += 1;
                s.last_receipt_ms = Some(clock::now().utc_ms());
            } else {
                s.refused += 1;
            }
        });
    }

    /// A receipt that is not believed: counted, and now and then a line in the journal.
    async fn ignore(&mut self, why: &ReceiptError) {
        self.up.state.change(|s| s.receipts_ignored += 1);
        let (last, count) = &mut self.carry.ignored;
        *count += 1;
        if last.is_some_and(|last| last.elapsed() < IGNORED_LINES) {
            return;
        }
        *last = Some(Instant::now());
        let line = json!({ "why": why.to_string(), "count": std::mem::take(count) });
        tracing::warn!(error = %why, "receipt not believed");
        let noted = blocking(&self.up.store, |store| {
            store.note(clock::now(), "receipt.ignored", line)
        });
        self.complain(noted.await.map(drop));
    }

    /// Ends the try with the package in hand; it and the next wait a growing while.
    async fn put_back(&mut self, why: &str) {
        let Some(hand) = self.hand.take() else {
            return;
        };
        let pause = self.carry.unanswered.step();
        let ns = i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX);
        let (id, reason) = (hand.package.id, why.to_owned());
        let deferred = blocking(&self.up.store, move |store| {
            store.defer(id, clock::now().shifted_ns(ns), &reason)
        });
        self.complain(deferred.await);
        self.up.state.change(|s| s.in_hand = None);
        self.rest(why.to_owned(), pause);
    }

    fn rest(&mut self, why: String, pause: Duration) {
        self.rest_until = Some(Instant::now() + pause);
        let mut news = false;
        self.up.state.change(|s| {
            news = s.cause.as_ref() != Some(&why);
            s.cause = Some(why.clone());
        });
        if news {
            tracing::warn!(why, "upload waits");
        }
    }

    fn complain(&self, done: Result<(), StoreError>) {
        if let Err(error) = done {
            tracing::warn!(%error, "upload cannot write to the store");
            self.up.state.change(|s| s.cause = Some(error.to_string()));
        }
    }

    /// Publishes how this device is.
    async fn present(&mut self, state: PresenceState) -> Result<(), LinkError> {
        let keys = self.up.keys.clone();
        let bare = Presence::bare(state, self.carry.births);
        let told = blocking(&self.up.store, move |store| {
            let now = clock::now();
            let head = store.head();
            Ok(Presence {
                n: Some(head.n),
                head: Some(head.sha256),
                clock_synced: Some(clock::trust().synced),
                queued: Some(store.counts()?.pending.packages),
                cert_days: certificate_days_left(&keys, now.utc_ns.div_euclid(1_000_000_000)),
                sw: Some(env!("CARGO_PKG_VERSION").to_owned()),
                ..bare
            })
        });
        let presence = match told.await {
            Ok(presence) => presence,
            Err(error) => {
                self.complain(Err(error));
                Presence::bare(state, self.carry.births)
            }
        };
        let topic = Topic::new(&self.up.device, Subject::State).to_string();
        let ack = self.pipe.publish(&topic, bytes(&presence), true).await?;
        self.acks.push(Sent::State, ack);
        Ok(())
    }

    /// Stopped: what is under way may arrive, then the device says that it goes.
    async fn leave(&mut self) -> Result<(), LinkError> {
        let orderly = async {
            while !self.acks.is_empty() {
                self.acks.next().await.1?;
            }
            self.present(PresenceState::Stopping).await?;
            self.acks.next().await.1.map(drop)
        };
        match timeout(LAST_PIECES, orderly).await {
            Ok(done) => done,
            Err(_elapsed) => {
                tracing::warn!("upload stopped with pieces under way");
                Ok(())
            }
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
        self.complain(queued.await);
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

impl Sent {
    fn is_of(&self, package: CaseId) -> bool {
        match self {
            Self::State => false,
            Self::Head(id) | Self::Finished(id) | Self::Piece(id, ..) => *id == package,
        }
    }
}

/// Runs one call of the store where it may block.
async fn blocking<T: Send + 'static>(
    store: &Store,
    call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || call(&store))
        .await
        .unwrap_or_else(|error| Err(StoreError::Invariant(error.to_string())))
}

fn read_range(path: &Path, from: u64, to: u64) -> Result<Vec<u8>, String> {
    let trouble = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let len = usize::try_from(to - from).map_err(|error| trouble(&error))?;
    let mut bytes = vec![0; len];
    File::open(path)
        .and_then(|file| file.read_exact_at(&mut bytes, from))
        .map_err(|error| trouble(&error))?;
    Ok(bytes)
}

/// The bytes of a message of ours.
fn bytes(message: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("invariant: strings and integers serialise")
}
