//! One connection's worth of uploading.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Uplink;
use super::account::Account;
use super::asked::AskedFor;
use super::delivery::{ANSWER, Step, Turn};
use super::desk::{Desk, news};
use super::drain::{Drain, Lot};
use super::hands::Hand;
use super::hearing::Sent;
use super::journal::Told;
use super::lanes::{Claim, Lane, Turns};
use super::presence::Telling;
use super::profile::Plan;
use super::rate::Rate;
use super::retelling::Retelling;
use super::stamping::{Asked, Stamping};
use crate::clock;
use crate::config::Profile;
use crate::link::message::{Presence, PresenceState, Subject, Topic};
use crate::link::{Acks, Carried, LinkError, Pause, Pipe, Will};
use crate::store::StoreError;
use crate::types::CaseId;
use crate::witness::JournalCopy;

/// First and longest pause after a try that nobody answered.
const UNANSWERED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
/// First and longest pause after the broker said that it takes no more at present.
const BUSY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// With nothing due and no news from the store, this is how often it is asked.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// What outlives a connection.
#[derive(Debug)]
pub(super) struct Carry {
    /// Whether the last connection was made.
    pub(super) connected: bool,
    /// Counts connections (`bd` of the state message).
    pub(super) births: u64,
    /// Packages that were set aside, and who was taking them.
    pub(super) begun: BTreeMap<CaseId, String>,
    /// Packages whose video was asked for.
    pub(super) asked: AskedFor,
    /// Pauses after unanswered tries.
    pub(super) unanswered: Pause,
    /// Pauses while the broker takes no more.
    pub(super) busy: Pause,
    /// How fast the link is.
    pub(super) rate: Rate,
    /// When a receipt not believed was last journalled, and how many came since.
    pub(super) ignored: (Option<Instant>, u64),
    /// The foreign heads that were journalled, by the receivers that have signed for them.
    pub(super) foreign_heads: BTreeMap<String, JournalCopy>,
    /// Packages the store could not yet be told to queue again.
    pub(super) owed: Vec<CaseId>,
    /// Bytes carried by all connections, and how many of them are in the account.
    pub(super) carried: (Arc<Carried>, u64),
    /// What the link has carried today; read when it is first needed.
    pub(super) account: Option<Account>,
    /// When what waits for a wider link is told again.
    pub(super) retelling: Retelling,
    /// When time-stamps are asked for.
    pub(super) stamping: Stamping,
    /// When what waited may go.
    pub(super) lot: Lot,
    /// Where commands and verdicts go.
    pub(super) desk: Option<Desk>,
}

impl Carry {
    /// Nothing begun.
    pub(super) fn new(desk: Option<Desk>) -> Self {
        Self {
            connected: false,
            births: 0,
            begun: BTreeMap::new(),
            asked: AskedFor::new(),
            unanswered: Pause::new(UNANSWERED.0, UNANSWERED.1),
            busy: Pause::new(BUSY.0, BUSY.1),
            rate: Rate::default(),
            ignored: (None, 0),
            foreign_heads: BTreeMap::new(),
            owed: Vec::new(),
            carried: (Arc::default(), 0),
            account: None,
            retelling: Retelling::default(),
            stamping: Stamping::default(),
            lot: Lot::default(),
            desk,
        }
    }
}

/// One connection.
pub(super) struct Session<'a> {
    pub(super) up: &'a Uplink,
    pub(super) carry: &'a mut Carry,
    pub(super) pipe: Pipe,
    /// The packages in hand.
    pub(super) hands: Vec<Hand>,
    /// Which of them sends next.
    turns: Turns,
    pub(super) acks: Acks<Sent>,
    /// The time-stamp asked for on this connection.
    pub(super) asked: Option<Asked>,
    /// What this connection has told of the journal.
    pub(super) told: Told,
    /// When it is told how the device is.
    pub(super) telling: Telling,
    /// What may be sent when.
    pub(super) plan: Plan,
    /// The profile in force.
    pub(super) profile: Profile,
    /// How fast what is late may go.
    drain: Drain,
    /// Whether the store may have a package that is due.
    pub(super) look: bool,
    /// When it was looked for one.
    pub(super) looked: Instant,
    /// Only what is fresh is begun before this moment.
    pub(super) rest_until: Option<Instant>,
    /// Nothing of a package is sent before this moment: the broker is busy.
    slow_until: Option<Instant>,
}

impl<'a> Session<'a> {
    /// Connects and uploads; `Ok` when stopped, else why the connection is over.
    pub(super) async fn run(
        up: &'a Uplink,
        carry: &'a mut Carry,
        stop: &CancellationToken,
    ) -> Result<(), LinkError> {
        carry.connected = false;
        carry.births += 1;
        let endpoint = &up.endpoint;
        up.trust.anew();
        let lost = Presence::bare(PresenceState::Lost, carry.births);
        let will = Will {
            topic: Topic::new(up.device(), Subject::State).to_string(),
            payload: bytes(&lost),
        };
        let carried = Arc::clone(&carry.carried.0);
        let pipe = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            pipe = Pipe::connect_counting(endpoint, Some(will), carried) => pipe?,
        };
        pipe.subscribe(&Topic::all_down(up.device())).await?;
        carry.connected = true;
        let drain = Drain::new(&up.config, &mut carry.lot, Instant::now());
        up.state.opens(drain.from());
        up.state.change(|s| {
            s.connected = true;
            s.cause = None;
            s.needs_a_person = false;
            s.connections += 1;
        });
        tracing::info!(peer = endpoint.peer(), "upload connected");
        let mut session = Self {
            up,
            carry,
            pipe,
            hands: Vec::new(),
            turns: Turns::default(),
            acks: Acks::default(),
            asked: None,
            told: Told::default(),
            telling: Telling::new(Instant::now()),
            plan: Plan::new(&up.config),
            profile: up.config.profile,
            drain,
            look: true,
            looked: Instant::now(),
            rest_until: None,
            slow_until: None,
        };
        let ended = session.serve(stop).await;
        session.carry.lot.left(Instant::now());
        session.set_all_aside().await;
        session.weigh(true).await;
        if ended.is_ok() {
            session.pipe.close().await;
        }
        ended
    }

    async fn serve(&mut self, stop: &CancellationToken) -> Result<(), LinkError> {
        self.present(PresenceState::Ready).await?;
        self.open_journal().await?;
        while !stop.is_cancelled() {
            self.weigh(false).await;
            self.take_in().await;
            if self.has_room() {
                self.tell_news().await?;
            }
            self.present_in_time().await?;
            self.ask_stamp().await?;
            let look_again = self.advance().await?;
            let look_again = self
                .stamp_look()
                .map_or(look_again, |at| at.min(look_again));
            let look_again = if self.has_room() {
                look_again.min(self.telling.due())
            } else {
                look_again
            };
            self.up.state.turns(clock::now(), ANSWER.max(LOOK));
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                message = self.pipe.recv() => {
                    let message = message?;
                    while let Some((sent, answer)) = self.acks.ready() {
                        self.acknowledged(sent, answer?).await;
                    }
                    self.hear(&message).await;
                    self.pipe.done(&message)?;
                }
                (sent, answer) = self.acks.next() => self.acknowledged(sent, answer?).await,
                news = news(&mut self.carry.desk), if self.acks.len() < self.pipe.window() => {
                    self.tell_desk_news(news).await?;
                }
                () = self.up.store.changed() => self.look = true,
                () = sleep_until(look_again) => {}
            }
        }
        self.leave().await
    }

    /// Whether the broker is owed fewer acknowledgements than it allows.
    pub(super) fn has_room(&self) -> bool {
        self.acks.len() < self.pipe.window()
    }

    /// Sends what is next, if there is room; gives the moment to look again without any event.
    async fn advance(&mut self) -> Result<Instant, LinkError> {
        let now = Instant::now();
        let later = now + LOOK;
        if let Some(until) = self.slow_until.filter(|until| *until > now) {
            return Ok(until.min(later));
        }
        let (claims, mut look_again) = self.claims(now, later).await;
        if !self.has_room() {
            return Ok(later);
        }
        if let Some(until) = self.rest_until.filter(|until| *until > now) {
            look_again = look_again.min(until);
        }
        let asking: Vec<Claim> = claims.iter().map(|(_, claim)| *claim).collect();
        let Some(turn) = self.turns.next(&asking) else {
            return Ok(look_again);
        };
        let Some(&(id, _)) = claims.get(turn) else {
            return Ok(look_again);
        };
        self.send(id).await.map(|()| now)
    }

    /// The packages that have something to send now, and when to look again. Those nobody answers
    /// about are put back, those whose lanes are closed held.
    async fn claims(&mut self, now: Instant, later: Instant) -> (Vec<(CaseId, Claim)>, Instant) {
        let mut look_again = later;
        let (mut claims, mut over) = (Vec::new(), Vec::new());
        // Video leaves a place for what is more urgent.
        let window = self.pipe.window();
        let room_for_video = window == 1 || self.acks.len() + 1 < window;
        for hand in &self.hands {
            let id = hand.package.id;
            match hand.delivery.turn(now, self.open(hand.asked)) {
                Turn::Ready(Lane::Video) if !room_for_video => {}
                Turn::Ready(lane) => {
                    let at = self.drain.ready_at(now);
                    if hand.late && !hand.asked && at > now {
                        look_again = look_again.min(at);
                        continue;
                    }
                    let claim = Claim {
                        lane,
                        severity: hand.package.severity,
                        seq: hand.package.seq,
                    };
                    claims.push((id, claim));
                }
                Turn::Wait(until) => look_again = until.map_or(look_again, |at| at.min(look_again)),
                Turn::GiveUp => over.push((id, None)),
                Turn::Held(lane) => over.push((id, Some(lane))),
            }
        }
        for (id, held) in over {
            match held {
                Some(lane) => self.hold(id, lane).await,
                None => self.put_back(id, "the receiver does not answer").await,
            }
            look_again = now;
        }
        (claims, look_again)
    }

    /// Sends the next message of a package.
    async fn send(&mut self, id: CaseId) -> Result<(), LinkError> {
        let piece = self.carry.rate.piece(self.piece_max());
        let profile = self.profile;
        let Some(hand) = self.hand(id) else {
            return Ok(());
        };
        let open = super::profile::open(profile, hand.asked);
        let drained = hand.late && !hand.asked;
        let line = hand.package.journal_n;
        let Some(step) = hand.delivery.go(open, piece) else {
            return Ok(());
        };
        let bytes = match step {
            Step::Head => {
                self.cover(line).await?;
                self.send_head(id).await?
            }
            Step::Piece(piece) => self.send_piece(id, &piece).await?,
            Step::Finish { sink, all } => self.send_finished(id, (&sink, all)).await?,
        };
        if drained {
            self.drain.take(bytes, Instant::now());
        }
        Ok(())
    }

    /// Bytes a piece may have, by configuration and broker, whatever its topic.
    fn piece_max(&self) -> u64 {
        let longest = Subject::Chunk {
            sink: "x".repeat(64),
            sha256: "0".repeat(64),
            offset: u64::MAX,
        };
        let topic = Topic::new(self.up.device(), longest).to_string();
        let broker = self.pipe.payload_max(&topic) as u64;
        (u64::from(self.up.config.chunk_kib.max(1)) * 1024).min(broker)
    }

    /// Whether only what is fresh may be begun.
    pub(super) fn rests(&self) -> bool {
        self.rest_until.is_some_and(|until| until > Instant::now())
    }

    pub(super) fn rest(&mut self, why: &str, pause: Duration) {
        self.rest_until = Some(Instant::now() + pause);
        self.waits(why);
    }

    /// The broker takes no more at present: nothing of a package is sent for a growing while.
    pub(super) fn slow_down(&mut self) {
        self.slow_until = Some(Instant::now() + self.carry.busy.step());
        self.waits("the broker takes no more at present");
    }

    fn waits(&self, why: &str) {
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
        self.up.state.store_did(Some(error));
    }
}

/// The bytes of a message of ours.
pub(super) fn bytes(message: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("invariant: strings and integers serialise")
}
