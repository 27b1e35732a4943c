//! The other end: takes packages from many boxes, checks them, keeps them, and signs for them.
//!
//! One connection to the broker ([`crate::link`]) brings messages to the [`desks`]. Each of these
//! answers for some of the devices, one message after the other ([`desk`]), beside the others: a
//! head is verified before anything is written, its files' missing ranges are asked for, and a
//! package that is whole and valid appears under `packages/<device>/<id>/` in one step, with the
//! receipt inside, before the receipt is sent.
//! Queries for time-stamps are relayed to the bureau's authority beside all that ([`stamping`]).
//! Of each device's journal the newest signed head is kept ([`journal`]) and told in receipts.
//! [`copies`] makes the second copy, [`mend`] brings it back, [`later`] signs the receipt that says it when it was late, [`index`]
//! answers questions through [`archive`], and [`figures`] are served by [`metrics`]. Any number of
//! receivers may work on one broker, each in a folder of its own or several in one ([`layout`]).
//!
//! **Invariants.** A foreign or wrong head writes nothing but its refusal. No receipt says *stored*
//! before the package is durable in its place, nor again before it was looked whether it is whole there
//! still ([`whole`]), nor two copies before the second was read back, and none
//! is signed that nobody would believe, or by a clock that nobody vouches for ([`signing`]).
//! Repeating any message changes nothing and gives the same answer, whichever receiver of the
//! folder hears it: a package is there once. What a device can make us keep unfinished is bounded,
//! and only verified names and numbers become paths. Killed at any moment, a new start takes up
//! what was durable. The index may be deleted.
//!
//! **Not here.** No review of cases. No receiver deletes what was receipted: a person does, and says so
//! ([`remove`]). Receivers do not talk to each other.

mod announced;
pub mod archive;
mod copies;
mod desk;
mod desks;
mod error;
mod event;
mod figures;
mod head;
mod index;
mod journal;
mod keep;
mod kept;
mod later;
mod layout;
mod medium;
mod mend;
mod metrics;
mod numbers;
mod office;
mod opening;
mod ranges;
mod receipt;
mod removed;
mod rows;
mod signing;
mod stamping;
mod transfer;
mod unread;
mod upkeep;
mod whole;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config;
use crate::link::message::{Subject, Topic, is_name};
use crate::link::{Acks, Endpoint, Incoming, LinkError, Pause, Pipe};

pub use error::ReceiveError;
pub use event::Event;
pub use medium::prepare_copies;
pub use removed::{Removed, remove};

use desk::{Desk, Said};
use desks::{Desks, Owed};
use figures::{Count, Figures};
use office::Office;
use stamping::Stamper;

/// First and longest pause between two tries to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often an idle connection is tried.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Answers that may wait for the broker; the oldest goes first, its device will ask again.
const ANSWERS_MAX: usize = 1024;
/// Time for a predecessor in the same folder to let go of it.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How often that is tried.
const LOCK_TRY: Duration = Duration::from_millis(50);

/// Receives until `stop`. Each [`Event`] is told to `on_event`, from a task: it must not block.
///
/// # Errors
/// Only what stops it from beginning, and no try would mend: names, keys, folder, the time-stamping
/// program. A broker that is away is waited for, and so is a medium for second copies.
pub async fn run(
    config: config::Receive,
    on_event: impl Fn(Event) + Send + Sync + 'static,
    stop: CancellationToken,
) -> Result<(), ReceiveError> {
    if !is_name(&config.name) {
        return Err(ReceiveError::Name(config.name));
    }
    let figures = Arc::new(Figures::new(&config.dir));
    if let Some(addr) = config.metrics {
        let listener = listen(addr).await?;
        tokio::spawn(metrics::serve(listener, Arc::clone(&figures), stop.clone()));
    }
    let Some((office, desks)) = open_desks(&config, &figures, &stop).await? else {
        return Ok(());
    };
    let on_event = {
        let figures = Arc::clone(&figures);
        Arc::new(move |event: Event| {
            figures.note(&event);
            on_event(event);
        })
    };
    let later = office.later.told();
    let desks = Desks::start(office, desks);
    let upkeep = upkeep::keep(desks.all(), Arc::clone(&on_event), stop.clone());
    let (office, _) = desks.all();
    let copying = upkeep::keep_copies(Arc::clone(&office), Arc::clone(&on_event), stop.clone());
    let answering = later::keep_answering(office, Arc::clone(&on_event), stop.clone());
    let upkeep = [
        tokio::spawn(upkeep),
        tokio::spawn(copying),
        tokio::spawn(answering),
    ];
    let mut receiver = Receiver {
        endpoint: Endpoint {
            host: config.host,
            port: config.port,
            keys: config.keys,
            client_id: config.name.clone(),
            keep_alive: KEEP_ALIVE,
            interface: String::new(),
            sent: None,
        },
        name: config.name,
        desks,
        owed: Owed::default(),
        later,
        stamper: Stamper::start(config.tsa_command),
        on_event,
        figures,
        pause: Pause::new(RETRY.0, RETRY.1),
        _upkeep: upkeep.map(AbortOnDropHandle::new),
    };
    while !stop.is_cancelled() {
        if let Err(why) = receiver.session(&stop).await {
            (receiver.on_event)(Event::Disconnected { why });
            let pause = receiver.pause.step();
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
    }
    receiver.end().await;
    Ok(())
}

/// On loopback only: the figures have no login.
async fn listen(addr: SocketAddr) -> Result<TcpListener, ReceiveError> {
    let trouble = |why: String| ReceiveError::Metrics { addr, why };
    if !addr.ip().is_loopback() {
        let why = "only loopback addresses (127.0.0.1, ::1): there is no login";
        return Err(trouble(why.to_owned()));
    }
    let bound = TcpListener::bind(addr).await;
    bound.map_err(|error| trouble(error.to_string()))
}

/// Opens the folder, waiting a little for a predecessor; `None` when stopped meanwhile.
async fn open_desks(
    config: &config::Receive,
    figures: &Arc<Figures>,
    stop: &CancellationToken,
) -> Result<Option<(Arc<Office>, Vec<Desk>)>, ReceiveError> {
    let mut waited = Duration::ZERO;
    loop {
        let (config, figures) = (config.clone(), Arc::clone(figures));
        let opened = blocking(move || Desk::open_all(&config, figures)).await?;
        match opened {
            Err(ReceiveError::Locked { .. }) if waited < LOCK_WAIT => {}
            other => return other.map(Some),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = sleep(LOCK_TRY) => waited += LOCK_TRY,
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReceiveError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ReceiveError::Bug(error.to_string()))
}

async fn next(later: &mut Option<mpsc::Receiver<Answer>>) -> Option<Answer> {
    later.as_mut()?.recv().await
}

/// What became of a message.
enum Dealt {
    /// It is at its desk.
    AtItsDesk,
    /// It was dealt with, and perhaps this is to be answered.
    Here(Option<Answer>),
}

/// Topic and payload of an answer.
type Answer = (String, Vec<u8>);

struct Receiver<F> {
    endpoint: Endpoint,
    name: String,
    desks: Desks,
    /// Messages of this connection that are at the desks, or behind such.
    owed: Owed<Arc<Incoming>>,
    /// Later receipts to be sent.
    later: Option<mpsc::Receiver<Answer>>,
    stamper: Stamper,
    on_event: Arc<F>,
    figures: Arc<Figures>,
    pause: Pause,
    _upkeep: [AbortOnDropHandle<()>; 3],
}

impl<F: Fn(Event)> Receiver<F> {
    /// The desks finish what they have, and the index has its last words.
    async fn end(&mut self) {
        while !self.desks.rest() {
            let (_, said) = self.desks.next().await;
            drop(self.heard(said));
        }
        let (office, desks) = self.desks.all();
        if let Err(error) = blocking(move || upkeep::tell_news(&office, &desks)).await {
            self.trouble(&error);
        }
    }

    /// One connection, from connect to end; `Ok` only when stopped.
    async fn session(&mut self, stop: &CancellationToken) -> Result<(), LinkError> {
        let mut pipe = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            pipe = Pipe::connect(&self.endpoint, None) => pipe?,
        };
        for filter in Topic::for_receiver(&self.name) {
            pipe.subscribe(&filter).await?;
        }
        self.pause.reset();
        (self.on_event)(Event::Connected {
            peer: self.endpoint.peer(),
        });
        self.owed.clear();
        let mut acks = Acks::default();
        let mut answers = VecDeque::new();
        loop {
            while acks.len() < pipe.window()
                && let Some((topic, payload)) = answers.pop_front()
            {
                self.answer(&pipe, &mut acks, (topic, payload)).await?;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    pipe.close().await;
                    return Ok(());
                }
                ((), ack) = acks.next() => self.answered(ack)?,
                (answer, event) = self.stamper.next() => {
                    (self.on_event)(event);
                    answers.extend(answer);
                }
                (n, said) = self.desks.next() => {
                    answers.extend(self.heard(said));
                    self.dealt_with(&pipe, n)?;
                }
                Some(receipt) = next(&mut self.later), if answers.is_empty() => {
                    answers.push_back(receipt);
                }
                // Never waits for the window: acknowledgements come the same way as this.
                message = pipe.recv(), if self.desks.has_room() => {
                    let message = Arc::new(message?);
                    let n = self.owed.push(Arc::clone(&message));
                    if let Dealt::Here(answer) = self.deal(n, message) {
                        answers.extend(answer);
                        self.dealt_with(&pipe, n)?;
                    }
                }
            }
            while answers.len() > ANSWERS_MAX {
                answers.pop_front();
            }
        }
    }

    async fn answer(
        &self,
        pipe: &Pipe,
        acks: &mut Acks<()>,
        (topic, payload): (String, Vec<u8>),
    ) -> Result<(), LinkError> {
        match pipe.publish(&topic, payload, false).await {
            Ok(ack) => {
                acks.push((), ack);
                Ok(())
            }
            Err(why) => self.answered(Err(why)),
        }
    }

    /// Whether the broker took an answer of ours. A device that is away asks again.
    fn answered(&self, ack: Result<crate::link::Acked, LinkError>) -> Result<(), LinkError> {
        match ack {
            Ok(_) => {
                self.figures.add(Count::Answers, 1);
                Ok(())
            }
            Err(
                why @ (LinkError::NotAuthorised { .. }
                | LinkError::Rejected { .. }
                | LinkError::TooLarge { .. }),
            ) => {
                self.figures.add(Count::LinkErrors, 1);
                self.tell_trouble(why.to_string());
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    fn trouble(&self, error: &ReceiveError) {
        self.figures.failed(error);
        self.tell_trouble(error.to_string());
    }

    fn tell_trouble(&self, why: String) {
        (self.on_event)(Event::Trouble { why });
    }

    /// Acknowledges what may be, now that the message of this number was dealt with.
    fn dealt_with(&mut self, pipe: &Pipe, n: u64) -> Result<(), LinkError> {
        let ready = self.owed.dealt_with(n);
        ready.iter().try_for_each(|message| pipe.done(message))
    }

    /// Brings a message to its desk, or deals with one that is none for a desk.
    fn deal(&mut self, n: u64, message: Arc<Incoming>) -> Dealt {
        let Ok(topic) = message.topic().parse::<Topic>() else {
            (self.on_event)(Event::Ignored {
                topic: message.topic().to_owned(),
                why: "not a topic of the upload protocol".to_owned(),
            });
            return Dealt::Here(None);
        };
        if topic.subject != Subject::StampQuery {
            self.desks.put(n, topic, message);
            return Dealt::AtItsDesk;
        }
        let heard = self.stamper.hear(&topic.device, message.payload());
        Dealt::Here(heard.and_then(|(answer, event)| {
            (self.on_event)(event);
            answer
        }))
    }

    /// Tells what a desk said; what is to be answered.
    fn heard(&self, said: Result<Said, ReceiveError>) -> Option<Answer> {
        match said {
            Ok(Said { answer, events }) => {
                events.into_iter().for_each(&*self.on_event);
                answer
            }
            Err(error) => {
                self.trouble(&error);
                None
            }
        }
    }
}
