//! The way in and out for commands and verdicts: they share the connection, nothing else.
//!
//! What comes down is handed on as it came, unread; what goes up was signed elsewhere.

use tokio::sync::{mpsc, oneshot, watch};

use super::hearing::Sent;
use super::session::Session;
use crate::link::message::{PresenceState, Subject, Topic};
use crate::link::{Acked, LinkError};
use crate::types::CaseId;

/// What came down for the box itself.
#[derive(Debug)]
pub enum Inbound {
    /// What claims to be a command, CMS.
    Command(Vec<u8>),
    /// What claims to be a reviewer's verdict, CMS.
    Verdict(Vec<u8>),
}

/// A signed answer on its way up.
#[derive(Debug)]
pub struct Answer {
    /// CMS by the box.
    pub bytes: Vec<u8>,
    /// Told what the broker said; dropped when the connection broke before it did.
    pub taken: oneshot::Sender<Acked>,
}

/// The upload's end of the way.
#[derive(Debug)]
pub struct Desk {
    /// Takes what comes down. What finds no room is dropped: nobody is answered, so it comes again.
    pub inbound: mpsc::Sender<Inbound>,
    /// Answers to send, ahead of everything else.
    pub answers: mpsc::Receiver<Answer>,
    /// What a command must quote while the clock is not synchronised; part of the state message.
    pub nonce: watch::Receiver<String>,
    /// Packages that shall be sent with everything the link's profile holds back.
    pub wanted: mpsc::Receiver<CaseId>,
}

/// What the desk has for the connection.
pub(super) enum News {
    /// An answer to send.
    Answer(Answer),
    /// Another nonce to tell.
    Nonce,
    /// A package to send with its video.
    Wanted(CaseId),
}

/// The next news of the desk; never, without one. Cancel safe.
pub(super) async fn news(desk: &mut Option<Desk>) -> News {
    let Some(desk) = desk else {
        return std::future::pending().await;
    };
    tokio::select! {
        Some(answer) = desk.answers.recv() => News::Answer(answer),
        Ok(()) = desk.nonce.changed() => News::Nonce,
        Some(id) = desk.wanted.recv() => News::Wanted(id),
        else => std::future::pending().await,
    }
}

impl Session<'_> {
    /// Hands on what came down for the box.
    pub(super) fn hand_on(&self, what: Inbound) {
        let Some(desk) = &self.carry.desk else {
            return;
        };
        if desk.inbound.try_send(what).is_err() {
            tracing::warn!("a command or verdict finds no room and is dropped");
        }
    }

    /// Sends what the desk has.
    pub(super) async fn tell_desk_news(&mut self, news: News) -> Result<(), LinkError> {
        let Answer { bytes, taken } = match news {
            News::Nonce => return self.present(PresenceState::Ready).await,
            News::Wanted(id) => {
                self.ask_for(id, None);
                return Ok(());
            }
            News::Answer(answer) => answer,
        };
        let topic = Topic::new(self.up.device(), Subject::Result).to_string();
        match self.pipe.publish(&topic, bytes, false).await {
            Ok(ack) => self.acks.push(Sent::Answer(taken), ack),
            // Nobody will ever get it; the desk keeps answers far below what a broker takes.
            Err(error @ LinkError::TooLarge { .. }) => {
                tracing::error!(%error, "an answer is too large for this broker");
                // Whoever waits for it is told that nobody has it.
                if taken.send(Acked::NobodyListens).is_err() {
                    tracing::debug!("nobody waits for an answer's way any more");
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
