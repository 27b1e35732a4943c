//! The other end: sends a signed message to a box and waits for its signed reply.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::AHEAD_MAX_SECS;
use crate::link::message::{Presence, PresenceState, Subject, Topic};
use crate::link::{Acked, Endpoint, LinkError, Pipe};
use crate::witness::{Reply, Roots};

/// A message that nobody took is sent again after this.
const AGAIN: Duration = Duration::from_secs(3);
/// And one that the box took and has not replied to: it may have been restarted before it could write
/// it down. What is sent again is done once.
const AGAIN_TAKEN: Duration = Duration::from_secs(10);
/// A command that lay in a broker for longer is given to nobody. Its `not_after` says the same to the box.
const EXPIRY: Duration = Duration::from_secs(AHEAD_MAX_SECS.unsigned_abs());
/// How long after a connection broke the next is tried. Where two consoles use one certificate the broker
/// ends the connection of the one for that of the other: each needs time for its question.
const CONNECT_AGAIN: Duration = Duration::from_secs(3);
/// The broker gives out the box's last state at once.
const STATE_WITHIN: Duration = Duration::from_secs(2);

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The connection to the broker.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The box was never listening.
    #[error("{device} is not connected to the broker{last}")]
    Away {
        /// The box.
        device: String,
        /// What the broker last heard of it.
        last: String,
    },
    /// It was listening, and did not reply in time.
    #[error("{device} has not replied within {secs} s; it may still do what it was told")]
    Silent {
        /// The box.
        device: String,
        /// How long was waited.
        secs: u64,
    },
}

/// A reply that was believed.
#[derive(Debug)]
pub struct Asked {
    /// What it says.
    pub reply: Reply,
    /// Its signed bytes.
    pub signed: Vec<u8>,
}

/// A connection for commanding one box.
pub struct Client {
    endpoint: Endpoint,
    pipe: Pipe,
    roots: Roots,
    device: String,
    state: Option<Presence>,
}

impl Client {
    /// Connects to the broker and hears what the box last said of itself. `roots` must vouch for
    /// the box's replies.
    pub async fn connect(
        endpoint: &Endpoint,
        roots: Roots,
        device: &str,
    ) -> Result<Self, AskError> {
        let mut client = Self {
            endpoint: endpoint.clone(),
            pipe: open(endpoint, device).await?,
            roots,
            device: device.to_owned(),
            state: None,
        };
        let until = Instant::now() + STATE_WITHIN;
        while client.state.is_none() {
            match timeout_at(until, client.hear(None)).await {
                Ok(heard) => drop(heard?),
                Err(_elapsed) => break,
            }
        }
        Ok(client)
    }

    /// What the box last said of itself; `None` when the broker knows nothing of it.
    pub fn state(&self) -> Option<&Presence> {
        self.state.as_ref()
    }

    /// Publishes `signed` about `subject`, again until there is a reply, and waits for it. Over a
    /// connection that broke meanwhile it is not lost: what is asked again by the same bytes is done once.
    ///
    /// A reply that is not signed by the box, or answers something else, is passed over.
    pub async fn ask(
        &mut self,
        subject: Subject,
        signed: &[u8],
        within: Duration,
    ) -> Result<Asked, AskError> {
        // A verdict is as good tomorrow.
        let expires = subject == Subject::Command;
        let topic = Topic::new(&self.device, subject).to_string();
        let until = Instant::now() + within;
        let mut taken = false;
        while Instant::now() < until {
            match self
                .ask_once((&topic, expires), signed, (&mut taken, until))
                .await
            {
                Ok(Some(asked)) => return Ok(asked),
                Ok(None) => {}
                Err(error) if is_of_the_connection(&error) => {
                    self.connect_again(error, until).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let device = self.device.clone();
        if taken {
            let secs = within.as_secs();
            return Err(AskError::Silent { device, secs });
        }
        let last = match self.state.as_ref().map(|state| state.state) {
            None => "; the broker has never heard of it",
            Some(PresenceState::Lost) => "; its connection broke",
            Some(PresenceState::Stopping) => "; it was stopped in order",
            Some(PresenceState::Ready) => "; its last word was that it is ready",
        };
        Err(AskError::Away {
            device,
            last: last.to_owned(),
        })
    }

    /// Publishes once, and waits for the reply until it should be published again.
    async fn ask_once(
        &mut self,
        (topic, expires): (&str, bool),
        signed: &[u8],
        (taken, until): (&mut bool, Instant),
    ) -> Result<Option<Asked>, LinkError> {
        let message = signed.to_vec();
        let ack = if expires {
            self.pipe.publish_for(topic, message, EXPIRY).await?
        } else {
            self.pipe.publish(topic, message, false).await?
        };
        *taken |= ack.await? == Acked::Taken;
        let pause = if *taken { AGAIN_TAKEN } else { AGAIN };
        let look = until.min(Instant::now() + pause);
        loop {
            match timeout_at(look, self.hear(Some(signed))).await {
                Ok(Ok(None)) => {}
                Ok(heard) => return heard,
                Err(_elapsed) => return Ok(None),
            }
        }
    }

    /// Connects anew, as long as there is time; the `error` is the last that kept it from that.
    async fn connect_again(
        &mut self,
        mut error: LinkError,
        until: Instant,
    ) -> Result<(), LinkError> {
        loop {
            let at = Instant::now() + CONNECT_AGAIN;
            if at >= until {
                return Err(error);
            }
            tracing::warn!(%error, "connecting again");
            sleep_until(at).await;
            match timeout_at(until, open(&self.endpoint, &self.device)).await {
                Ok(Ok(pipe)) => {
                    self.pipe = pipe;
                    return Ok(());
                }
                Ok(Err(again)) => error = again,
                Err(_elapsed) => return Err(error),
            }
        }
    }

    /// Ends the connection in order.
    pub async fn close(self) {
        self.pipe.close().await;
    }

    /// Takes one message: the box's state, or the reply to `asked`.
    async fn hear(&mut self, asked: Option<&[u8]>) -> Result<Option<Asked>, LinkError> {
        let message = self.pipe.recv().await?;
        self.pipe.done(&message)?;
        let Ok(topic) = message.topic().parse::<Topic>() else {
            return Ok(None);
        };
        match topic.subject {
            Subject::State => {
                self.state = serde_json::from_slice(message.payload()).ok();
                Ok(None)
            }
            Subject::Result => {
                let signed = message.payload().to_vec();
                match Reply::open(&signed, &self.roots, &self.device) {
                    Ok(reply) if asked.is_some_and(|asked| reply.answers(asked)) => {
                        Ok(Some(Asked { reply, signed }))
                    }
                    Ok(_) => Ok(None),
                    Err(error) => {
                        tracing::warn!(%error, "a reply is not believed");
                        Ok(None)
                    }
                }
            }
            _ => Ok(None),
        }
    }
}

/// A connection that hears what the box replies, and says of itself.
async fn open(endpoint: &Endpoint, device: &str) -> Result<Pipe, LinkError> {
    let pipe = Pipe::connect(endpoint, None).await?;
    for subject in [Subject::Result, Subject::State] {
        pipe.subscribe(&Topic::new(device, subject).to_string())
            .await?;
    }
    Ok(pipe)
}

/// Whether another connection may go better; what the broker forbids or cannot take it will again.
fn is_of_the_connection(error: &LinkError) -> bool {
    matches!(error, LinkError::Lost { .. } | LinkError::Stalled { .. })
}
