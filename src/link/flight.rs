//! What is on its way to the broker and not yet acknowledged.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{PubAckReason, SubscribeReasonCode};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

use super::LinkError;
use crate::types::lock;

/// Nothing heard for this long while something waits to be acknowledged: the connection is dead,
/// whatever TCP says.
pub(super) const STALL: Duration = Duration::from_secs(30);
/// Nothing acknowledged for this long while something waits for it: a broker that still answers
/// pings has stopped working all the same. A window of the smallest pieces passes within it at
/// 8 kbit/s.
pub(super) const NO_PROGRESS: Duration = Duration::from_secs(90);

/// What the broker did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// Taken, and somebody is subscribed (or the broker does not tell).
    Taken,
    /// Taken, but nobody is subscribed (reason 0x10): it goes nowhere.
    NobodyListens,
    /// Not taken: too much at present (reason 0x97). Slow down.
    Busy,
}

/// The acknowledgement of one message; resolves when the broker answers or the connection ends.
pub struct Ack(oneshot::Receiver<Result<Acked, LinkError>>);

impl Future for Ack {
    type Output = Result<Acked, LinkError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or(Err(LinkError::Closed)))
    }
}

/// Acknowledgements still to come, in the order of sending, each with what it is for.
pub struct Acks<T>(VecDeque<(T, Ack)>);

impl<T> Default for Acks<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Acks<T> {
    /// Waits for one more.
    pub fn push(&mut self, what: T, ack: Ack) {
        self.0.push_back((what, ack));
    }

    /// How many are still to come.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is to come.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest one's answer, if it is there. What the broker acknowledged before it sent a message is
    /// there when the message is.
    pub fn ready(&mut self) -> Option<(T, Result<Acked, LinkError>)> {
        let (_, oldest) = self.0.front_mut()?;
        let answer = match oldest.0.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Closed) => Err(LinkError::Closed),
        };
        self.0.pop_front().map(|(what, _)| (what, answer))
    }

    /// The oldest one's answer; never, when none is to come. Cancel safe.
    pub async fn next(&mut self) -> (T, Result<Acked, LinkError>) {
        let answer = match self.0.front_mut() {
            Some((_, oldest)) => oldest.await,
            None => std::future::pending().await,
        };
        match self.0.pop_front() {
            Some((what, _)) => (what, answer),
            None => std::future::pending().await,
        }
    }
}

struct Waiter {
    /// Topic or filter, for the message of a refusal.
    name: String,
    answer: oneshot::Sender<Result<Acked, LinkError>>,
    /// A place in the window; given back when the waiter goes.
    _place: Option<OwnedSemaphorePermit>,
}

struct Inner {
    /// Handed to `rumqttc`, not yet given a packet id; in the order it was handed over.
    queued: VecDeque<Waiter>,
    published: HashMap<u16, Waiter>,
    subscribed: HashMap<u16, Waiter>,
    /// Since when nothing was heard while something waits.
    quiet_since: Instant,
    /// Since when nothing was acknowledged while something waits.
    waits_since: Instant,
    ended: Option<LinkError>,
}

impl Inner {
    fn waiting(&self) -> bool {
        !(self.queued.is_empty() && self.published.is_empty() && self.subscribed.is_empty())
    }
}

/// Matches acknowledgements to messages, and knows when the broker has been silent too long.
pub(super) struct Flight {
    window: Arc<Semaphore>,
    inner: Mutex<Inner>,
}

impl Flight {
    pub(super) fn new(window: usize) -> Self {
        Self {
            window: Arc::new(Semaphore::new(window)),
            inner: Mutex::new(Inner {
                queued: VecDeque::new(),
                published: HashMap::new(),
                subscribed: HashMap::new(),
                quiet_since: Instant::now(),
                waits_since: Instant::now(),
                ended: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Waits for a place in the window.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, LinkError> {
        Arc::clone(&self.window)
            .acquire_owned()
            .await
            .map_err(|_closed| self.ended())
    }

    /// Registers a publish that `hand_over` gives to `rumqttc`; the lock keeps both in one order.
    pub(super) fn publishing(
        &self,
        topic: &str,
        place: OwnedSemaphorePermit,
        hand_over: impl FnOnce() -> bool,
    ) -> Result<Ack, LinkError> {
        self.enqueue(topic, Some(place), hand_over)
    }

    /// Registers a subscription likewise.
    pub(super) fn subscribing(
        &self,
        filter: &str,
        hand_over: impl FnOnce() -> bool,
    ) -> Result<Ack, LinkError> {
        self.enqueue(filter, None, hand_over)
    }

    fn enqueue(
        &self,
        name: &str,
        place: Option<OwnedSemaphorePermit>,
        hand_over: impl FnOnce() -> bool,
    ) -> Result<Ack, LinkError> {
        let mut inner = self.lock();
        if let Some(why) = &inner.ended {
            return Err(why.clone());
        }
        if !hand_over() {
            return Err(LinkError::Closed);
        }
        if !inner.waiting() {
            inner.quiet_since = Instant::now();
            inner.waits_since = inner.quiet_since;
        }
        let (answer, ack) = oneshot::channel();
        inner.queued.push_back(Waiter {
            name: name.to_owned(),
            answer,
            _place: place,
        });
        Ok(Ack(ack))
    }

    /// `rumqttc` sent the oldest queued request as publish `id`.
    pub(super) fn published(&self, id: u16) {
        let mut inner = self.lock();
        if let Some(waiter) = inner.queued.pop_front() {
            inner.published.insert(id, waiter);
        }
    }

    /// `rumqttc` sent the oldest queued request as subscription `id`.
    pub(super) fn subscribed(&self, id: u16) {
        let mut inner = self.lock();
        if let Some(waiter) = inner.queued.pop_front() {
            inner.subscribed.insert(id, waiter);
        }
    }

    /// The broker takes fewer at once than we meant to send.
    pub(super) fn narrow(&self, window: usize) {
        let surplus = self.window.available_permits().saturating_sub(window);
        self.window.forget_permits(surplus);
    }

    /// Something came from the broker.
    pub(super) fn heard(&self) {
        self.lock().quiet_since = Instant::now();
    }

    /// Whoever waited for what came now; the others wait anew.
    fn answered(&self, whom: impl FnOnce(&mut Inner) -> Option<Waiter>) -> Option<Waiter> {
        let mut inner = self.lock();
        let waiter = whom(&mut inner);
        if waiter.is_some() {
            inner.waits_since = Instant::now();
        }
        waiter
    }

    /// PUBACK (MQTT 5 section 3.4.2.1).
    pub(super) fn acknowledged(&self, id: u16, reason: PubAckReason) {
        if let Some(waiter) = self.answered(|inner| inner.published.remove(&id)) {
            let answer = match reason {
                PubAckReason::Success => Ok(Acked::Taken),
                PubAckReason::NoMatchingSubscribers => Ok(Acked::NobodyListens),
                PubAckReason::QuotaExceeded => Ok(Acked::Busy),
                PubAckReason::NotAuthorized => Err(LinkError::NotAuthorised {
                    what: waiter.name.clone(),
                }),
                other => Err(LinkError::Rejected {
                    what: waiter.name.clone(),
                    reason: format!("{other:?}"),
                }),
            };
            // Whoever asked may have lost interest.
            drop(waiter.answer.send(answer));
        }
    }

    /// SUBACK (MQTT 5 section 3.9.3); one filter per subscription, so one code.
    pub(super) fn consented(&self, id: u16, codes: &[SubscribeReasonCode]) {
        if let Some(waiter) = self.answered(|inner| inner.subscribed.remove(&id)) {
            let answer = match codes.first() {
                Some(SubscribeReasonCode::Success(_)) => Ok(Acked::Taken),
                Some(SubscribeReasonCode::NotAuthorized) => Err(LinkError::NotAuthorised {
                    what: waiter.name.clone(),
                }),
                other => Err(LinkError::Rejected {
                    what: waiter.name.clone(),
                    reason: format!("{other:?}"),
                }),
            };
            drop(waiter.answer.send(answer));
        }
    }

    /// Resolves when something waits, and for [`STALL`] nothing was heard or for [`NO_PROGRESS`]
    /// nothing acknowledged.
    pub(super) async fn stalled(&self) {
        loop {
            let until = {
                let inner = self.lock();
                if inner.waiting() {
                    (inner.quiet_since + STALL).min(inner.waits_since + NO_PROGRESS)
                } else {
                    Instant::now() + STALL
                }
            };
            sleep_until(until).await;
            let inner = self.lock();
            let silent = inner.quiet_since.elapsed() >= STALL;
            if inner.waiting() && (silent || inner.waits_since.elapsed() >= NO_PROGRESS) {
                return;
            }
        }
    }

    /// Ends everything that waits, for one reason.
    pub(super) fn end(&self, why: &LinkError) {
        let mut inner = self.lock();
        let waiters: Vec<Waiter> = inner.queued.drain(..).collect();
        let sent: Vec<Waiter> = inner.published.drain().map(|(_, w)| w).collect();
        let asked: Vec<Waiter> = inner.subscribed.drain().map(|(_, w)| w).collect();
        inner.ended = Some(why.clone());
        drop(inner);
        self.window.close();
        for waiter in waiters.into_iter().chain(sent).chain(asked) {
            drop(waiter.answer.send(Err(why.clone())));
        }
    }

    /// Why the connection ended.
    pub(super) fn ended(&self) -> LinkError {
        self.lock().ended.clone().unwrap_or(LinkError::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(flight: &Flight, id: u16) -> Ack {
        let place = flight.place().await.expect("open");
        let ack = flight
            .publishing("ev1/a/n", place, || true)
            .expect("not ended");
        flight.published(id);
        ack
    }

    #[tokio::test]
    async fn answers_find_their_message_in_any_order() {
        let flight = Flight::new(4);
        let (a, b) = (sent(&flight, 1).await, sent(&flight, 2).await);
        flight.acknowledged(2, PubAckReason::NoMatchingSubscribers);
        flight.acknowledged(1, PubAckReason::Success);
        assert_eq!(a.await, Ok(Acked::Taken));
        assert_eq!(b.await, Ok(Acked::NobodyListens));
    }

    #[tokio::test]
    async fn a_refusal_names_the_topic() {
        let flight = Flight::new(4);
        let ack = sent(&flight, 1).await;
        flight.acknowledged(1, PubAckReason::NotAuthorized);
        let what = "ev1/a/n".to_owned();
        assert_eq!(ack.await, Err(LinkError::NotAuthorised { what }));
    }

    #[tokio::test]
    async fn what_is_acknowledged_is_there_at_once_and_in_its_order() {
        let flight = Flight::new(4);
        let mut acks = Acks::default();
        for id in [1, 2] {
            acks.push(id, sent(&flight, id).await);
        }
        flight.acknowledged(2, PubAckReason::Success);
        assert_eq!(acks.ready(), None, "the first is still to come");
        flight.acknowledged(1, PubAckReason::QuotaExceeded);
        assert_eq!(acks.ready(), Some((1, Ok(Acked::Busy))));
        assert_eq!(acks.ready(), Some((2, Ok(Acked::Taken))));
        assert_eq!(acks.ready(), None);
        acks.push(3, sent(&flight, 3).await);
        flight.end(&LinkError::Closed);
        assert_eq!(acks.ready(), Some((3, Err(LinkError::Closed))));
    }

    #[tokio::test]
    async fn the_window_is_a_bound_and_is_given_back() {
        let flight = Flight::new(1);
        let first = sent(&flight, 1).await;
        assert!(
            tokio::time::timeout(Duration::ZERO, flight.place())
                .await
                .is_err()
        );
        flight.acknowledged(1, PubAckReason::Success);
        assert_eq!(first.await, Ok(Acked::Taken));
        assert!(flight.place().await.is_ok());
    }

    #[tokio::test]
    async fn the_end_reaches_all_that_wait_and_all_that_come() {
        let flight = Flight::new(4);
        let ack = sent(&flight, 1).await;
        flight.end(&LinkError::NotAuthorised { what: "x".into() });
        assert!(matches!(ack.await, Err(LinkError::NotAuthorised { .. })));
        assert!(matches!(
            flight.place().await,
            Err(LinkError::NotAuthorised { .. })
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_only_while_something_waits() {
        let flight = Flight::new(4);
        let idle = tokio::time::timeout(STALL * 4, flight.stalled()).await;
        assert!(idle.is_err(), "an idle connection is not a stalled one");
        let begun = Instant::now();
        let ack = sent(&flight, 1).await;
        flight.stalled().await;
        assert_eq!(begun.elapsed().as_secs(), STALL.as_secs());
        drop(ack);
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_from_the_broker_puts_the_stall_off() {
        let flight = Flight::new(4);
        let _ack = sent(&flight, 1).await;
        let begun = Instant::now();
        tokio::time::sleep(STALL / 2).await;
        flight.heard();
        flight.stalled().await;
        assert_eq!(begun.elapsed().as_secs(), (STALL + STALL / 2).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_answers_pings_and_acknowledges_nothing_is_stalled() {
        let flight = Flight::new(4);
        let _ack = sent(&flight, 1).await;
        let begun = Instant::now();
        let pings = async {
            loop {
                tokio::time::sleep(STALL / 3).await;
                flight.heard();
            }
        };
        tokio::select! {
            () = flight.stalled() => {}
            () = pings => {}
        }
        assert_eq!(begun.elapsed().as_secs(), NO_PROGRESS.as_secs());
    }

    #[tokio::test]
    async fn a_broker_that_takes_less_narrows_the_window() {
        let flight = Flight::new(4);
        flight.narrow(20);
        flight.narrow(1);
        let first = sent(&flight, 1).await;
        let second = tokio::time::timeout(Duration::ZERO, flight.place()).await;
        assert!(second.is_err(), "one place");
        flight.acknowledged(1, PubAckReason::Success);
        assert_eq!(first.await, Ok(Acked::Taken));
        assert!(flight.place().await.is_ok());
    }
}
