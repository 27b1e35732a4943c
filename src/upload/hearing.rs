//! What comes in: acknowledgements, wants, receipts, time-stamps.

use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::desk::Inbound;
use super::session::Session;
use crate::clock;
use crate::journal::kind;
use crate::link::message::{Subject, Topic, Want};
use crate::link::{Acked, Incoming};
use crate::store::{ReceiptFacts, State, StoreError};
use crate::types::CaseId;
use crate::witness::{Receipt, ReceiptVerdict};

/// Journal lines about receipts not believed: one in this time, with a count.
const IGNORED_LINES: Duration = Duration::from_mins(1);

/// What an acknowledgement is for.
pub(super) enum Sent {
    /// The state message.
    State,
    /// A checkpoint of the journal.
    Checkpoint,
    /// The head of the package.
    Head(CaseId),
    /// The question what is missing, and whether all that was wanted went before it.
    Finished(CaseId, bool),
    /// A piece of so many bytes, handed over then.
    Piece(CaseId, u64, Instant),
    /// The query for a time-stamp.
    StampQuery,
    /// An answer to a command, and who is told.
    Answer(oneshot::Sender<Acked>),
}

impl Session<'_> {
    /// The broker's answer to something sent.
    pub(super) async fn acknowledged(&mut self, sent: Sent, acked: Acked) {
        self.up
            .state
            .change(|s| s.last_ack_ms = Some(clock::now().utc_ms()));
        let now = Instant::now();
        match (sent, acked) {
            (Sent::State, _) => {}
            (Sent::StampQuery, _) => self.stamp_taken(acked).await,
            (Sent::Answer(taken), _) => {
                if taken.send(acked).is_err() {
                    tracing::debug!("nobody waits for an answer's way any more");
                }
            }
            (Sent::Checkpoint, _) => self.told.answered(acked),
            (Sent::Piece(id, bytes, at), Acked::Taken) => {
                self.carry.rate.acknowledged(bytes, at, now);
                self.carry.busy.reset();
                self.up.state.moves();
                let Some(hand) = self.hand(id) else { return };
                hand.acknowledged += bytes;
                let shown = hand.shown();
                self.up.state.change(|s| s.in_hand = Some(shown));
            }
            (Sent::Head(id), Acked::Taken) => self.taken(id, now),
            (Sent::Finished(id, all), Acked::Taken) => {
                self.taken(id, now);
                if all {
                    self.all_taken(id).await;
                }
            }
            (Sent::Head(id), Acked::NobodyListens) => {
                self.put_back(id, "no receiver is listening").await;
            }
            // That receiver has gone; another may take the head.
            (Sent::Finished(id, _) | Sent::Piece(id, ..), Acked::NobodyListens) => {
                if let Some(hand) = self.hand(id) {
                    hand.refused = true;
                    hand.delivery.restart();
                }
            }
            (Sent::Head(id) | Sent::Finished(id, _) | Sent::Piece(id, ..), Acked::Busy) => {
                if let Some(hand) = self.hand(id) {
                    hand.refused = true;
                    hand.delivery.again();
                }
                self.slow_down();
            }
        }
    }

    /// The broker has the head, or the question.
    fn taken(&mut self, id: CaseId, now: Instant) {
        if let Some(hand) = self.hand(id) {
            hand.delivery.taken(now);
        }
    }

    /// The broker has the question that went behind all that was wanted. Its acknowledgements come in
    /// the order of sending, so it has all of that too, unless it said that it did not take a piece.
    async fn all_taken(&mut self, id: CaseId) {
        let Some(hand) = self.hand(id).filter(|hand| !hand.refused) else {
            return;
        };
        if std::mem::replace(&mut hand.sent, true) {
            return;
        }
        let noted = self
            .up
            .store
            .blocking(move |store| store.step(id, State::Sent));
        if let Err(error) = noted.await {
            self.complain(&error);
        }
    }

    pub(super) async fn hear(&mut self, message: &Incoming) {
        let Ok(topic) = message.topic().parse::<Topic>() else {
            return;
        };
        match topic.subject {
            Subject::Want => {
                if let Ok(want) = serde_json::from_slice::<Want>(message.payload()) {
                    self.wanted(&want);
                }
            }
            Subject::Receipt => self.receipt(message.payload()).await,
            Subject::Stamp => self.hear_stamp(message.payload()).await,
            Subject::Command => self.hand_on(Inbound::Command(message.payload().to_vec())),
            Subject::Verdict => self.hand_on(Inbound::Verdict(message.payload().to_vec())),
            _ => {}
        }
    }

    /// A receiver says what it lacks of a package, or asks for its video.
    fn wanted(&mut self, want: &Want) {
        let Ok(id) = uuid::Uuid::parse_str(&want.id).map(CaseId) else {
            return;
        };
        if want.video {
            self.ask_for(id, Some(&want.sink));
        }
        let now = Instant::now();
        if self
            .hand(id)
            .is_some_and(|hand| hand.delivery.want(want, now))
        {
            self.answered();
        }
    }

    /// A receiver has answered: no pause is due.
    fn answered(&mut self) {
        self.carry.unanswered.reset();
        self.rest_until = None;
        self.look = true;
        self.up.state.change(|s| s.cause = None);
    }

    /// What claims to be a receipt: believed only when everything fits.
    async fn receipt(&mut self, p7m: &[u8]) {
        let receipt = match Receipt::open(p7m, &self.up.trust.now()) {
            Ok((receipt, _)) => receipt,
            Err(error) => return self.ignore(error.to_string()).await,
        };
        let Ok(server_time) = receipt.at.parse::<jiff::Timestamp>() else {
            // It would stand in every later statement.
            return self.ignore("receipt: its time is not one".to_owned()).await;
        };
        let Some(hand) = self.hand(receipt.id) else {
            if receipt.device != self.up.device() {
                return self.ignore("receipt: for another device".to_owned()).await;
            }
            return self.later_receipt(receipt, server_time, p7m).await;
        };
        let package = &hand.package;
        let (id, seq, sig_sha256) = (package.id, package.seq, package.sig_sha256.clone());
        if let Err(error) = receipt.check_names(id, self.up.device(), seq, &sig_sha256) {
            return self.ignore(error.to_string()).await;
        }
        if let Some(head) = &receipt.head {
            self.compare_head(head, &receipt.receiver).await;
        }
        let p7m = p7m.to_vec();
        let stored = receipt.verdict == ReceiptVerdict::Stored;
        let kept = self.up.store.blocking(move |store| match receipt.verdict {
            ReceiptVerdict::Stored => store.receipted(id, &p7m, &facts(receipt, server_time)),
            ReceiptVerdict::Refused => {
                let why = receipt.why.unwrap_or_else(|| "no reason given".to_owned());
                store.refused(id, &p7m, &sig_sha256, &why)
            }
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, %id, "upload cannot keep a receipt");
            self.put_back(id, &error.to_string()).await;
            return;
        }
        tracing::info!(%id, seq, stored, "package answered");
        self.let_go(id);
        self.carry.asked.done(id);
        self.carry.stamping.due();
        self.answered();
        self.up.state.change(|s| {
            if stored {
                s.receipted += 1;
                s.last_receipt_ms = Some(clock::now().utc_ms());
            } else {
                s.refused += 1;
            }
        });
    }

    /// A receipt of ours about a package that is not in hand: a later one, which says more copies, or
    /// the first of one that another receiver has refused, or that was put back before the answer came.
    async fn later_receipt(&mut self, receipt: Receipt, at: jiff::Timestamp, p7m: &[u8]) {
        if receipt.verdict != ReceiptVerdict::Stored {
            return;
        }
        let (p7m, id, copies) = (p7m.to_vec(), receipt.id, receipt.copies);
        let kept = self.up.store.blocking(move |store| {
            store.receipted_later((id, receipt.seq), &p7m, &facts(receipt, at))
        });
        match kept.await {
            Ok(true) => {
                tracing::info!(%id, copies, "a receipt came later");
                self.telling.answered(id, Instant::now());
                self.carry.stamping.due();
            }
            Ok(false) => {}
            Err(error @ (StoreError::Unknown(_) | StoreError::OtherSignature(_))) => {
                self.ignore(error.to_string()).await;
            }
            Err(error) => self.complain(&error),
        }
    }

    /// A receipt that is not believed: counted, and now and then a line in the journal.
    async fn ignore(&mut self, why: String) {
        self.up.state.change(|s| s.receipts_ignored += 1);
        let (last, count) = &mut self.carry.ignored;
        *count += 1;
        if last.is_some_and(|last| last.elapsed() < IGNORED_LINES) {
            return;
        }
        *last = Some(Instant::now());
        tracing::warn!(why, "receipt not believed");
        let line = json!({ "why": why, "count": std::mem::take(count) });
        let noted = self
            .up
            .store
            .blocking(|store| store.note(clock::now(), kind::RECEIPT_IGNORED, line));
        if let Err(error) = noted.await {
            self.complain(&error);
        }
    }
}

/// What the store is told of a receipt; `at`: its time, read.
fn facts(receipt: Receipt, at: jiff::Timestamp) -> ReceiptFacts {
    ReceiptFacts {
        sig_sha256: receipt.sig_sha256,
        server_time: format!("{at:.3}"),
        copies: receipt.copies,
        head: receipt.head,
    }
}
