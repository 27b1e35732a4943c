//! The desks of a receiver: each answers for its share of the devices, one message after the
//! other, beside the others.
//!
//! So messages of one device keep their order, nothing about a device is shared, and packages of
//! several devices are checked, written and synced at once: the syncs of all go to the disk
//! together. What is at the desks is bounded, and told in no order.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::desk::{Desk, Said};
use super::office::Office;
use super::{ReceiveError, blocking};
use crate::clock;
use crate::link::Incoming;
use crate::link::message::{LATE, Topic};
use crate::types::lock;

/// Desks, and so packages that are checked and stored at once.
pub(super) const DESKS: usize = 8;
/// Messages at all desks together; a broker sends no more ahead of their acknowledgement.
const AT_ONCE: usize = 32;

/// The desk that answers for a device.
pub(super) fn desk_of(device: &str) -> usize {
    let mut hash = DefaultHasher::new();
    device.hash(&mut hash);
    usize::try_from(hash.finish() % DESKS as u64).unwrap_or(0)
}

/// A message for a desk, under its number.
struct Job {
    n: u64,
    topic: Topic,
    message: Arc<Incoming>,
}

/// What a desk said about the message of this number.
pub(super) type Told = (u64, Result<Said, ReceiveError>);

/// The desks at work.
pub(super) struct Desks {
    office: Arc<Office>,
    all: Vec<Arc<Mutex<Desk>>>,
    inboxes: Vec<mpsc::Sender<Job>>,
    told: mpsc::Receiver<Told>,
    /// Messages whose answer was not taken yet.
    outstanding: usize,
    _workers: Vec<AbortOnDropHandle<()>>,
}

impl Desks {
    /// Lets the desks of `office` work.
    pub(super) fn start(office: Arc<Office>, desks: Vec<Desk>) -> Self {
        let (tell, told) = mpsc::channel(AT_ONCE);
        let (mut inboxes, mut workers) = (Vec::new(), Vec::new());
        let desks: Vec<_> = desks.into_iter().map(|d| Arc::new(Mutex::new(d))).collect();
        for desk in &desks {
            let (inbox, jobs) = mpsc::channel(AT_ONCE);
            inboxes.push(inbox);
            let work = work(Arc::clone(desk), jobs, tell.clone());
            workers.push(AbortOnDropHandle::new(tokio::spawn(work)));
        }
        Self {
            office,
            all: desks,
            inboxes,
            told,
            outstanding: 0,
            _workers: workers,
        }
    }

    /// Office and desks, for whoever tends them.
    pub(super) fn all(&self) -> (Arc<Office>, Vec<Arc<Mutex<Desk>>>) {
        (Arc::clone(&self.office), self.all.clone())
    }

    /// Whether there is room for one more message.
    pub(super) fn has_room(&self) -> bool {
        self.outstanding < AT_ONCE
    }

    /// Brings a message to the desk of its device, under a number.
    pub(super) fn put(&mut self, n: u64, topic: Topic, message: Arc<Incoming>) {
        let inbox = self.inboxes.get(desk_of(&topic.device));
        // A worker ends only with us, and its inbox has room for all there may be.
        if inbox.is_some_and(|inbox| inbox.try_send(Job { n, topic, message }).is_ok()) {
            self.outstanding += 1;
        }
    }

    /// What one of the desks said; never, while all of them rest. Cancel safe.
    pub(super) async fn next(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => {
                self.outstanding -= 1;
                told
            }
            None => std::future::pending().await,
        }
    }

    /// Whether nothing is at the desks.
    pub(super) fn rest(&self) -> bool {
        self.outstanding == 0
    }
}

/// One desk's work, until nobody brings it anything any more.
async fn work(desk: Arc<Mutex<Desk>>, mut jobs: mpsc::Receiver<Job>, tell: mpsc::Sender<Told>) {
    while let Some(Job { n, topic, message }) = jobs.recv().await {
        let desk = Arc::clone(&desk);
        let hear = move || {
            let late = message.property(LATE).and_then(|secs| secs.parse().ok());
            lock(&desk).hear(&topic, (message.payload(), late), clock::now())
        };
        let said = blocking(hear).await;
        let told = (n, said.and_then(|said| said));
        if tell.send(told).await.is_err() {
            return;
        }
    }
}

/// Messages whose acknowledgement is owed to the broker, in the order they came: MQTT wants them
/// acknowledged in that order, whichever desk is ready first.
pub(super) struct Owed<T> {
    /// Number of the next message.
    next: u64,
    /// Each with its number and whether it was dealt with.
    messages: VecDeque<(u64, T, bool)>,
}

impl<T> Default for Owed<T> {
    fn default() -> Self {
        Self {
            next: 0,
            messages: VecDeque::new(),
        }
    }
}

impl<T> Owed<T> {
    /// A message has come; its number, never given again.
    pub(super) fn push(&mut self, message: T) -> u64 {
        let n = self.next;
        self.next += 1;
        self.messages.push_back((n, message, false));
        n
    }

    /// The message of this number was dealt with: those that may be acknowledged now.
    pub(super) fn dealt_with(&mut self, n: u64) -> Vec<T> {
        if let Some((.., dealt)) = self.messages.iter_mut().find(|(it, ..)| *it == n) {
            *dealt = true;
        }
        let mut ready = Vec::new();
        while let Some((_, message, _)) = self.messages.pop_front_if(|(.., dealt)| *dealt) {
            ready.push(message);
        }
        ready
    }

    /// The connection they came by is over.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_ready_first_is_acknowledged_in_its_turn() {
        let mut owed = Owed::default();
        let [a, b, c] = ["a", "b", "c"].map(|message| owed.push(message));
        assert_eq!(owed.dealt_with(b), Vec::<&str>::new());
        assert_eq!(owed.dealt_with(c), Vec::<&str>::new());
        assert_eq!(owed.dealt_with(a), ["a", "b", "c"]);
        let late = owed.push("d");
        owed.clear();
        let e = owed.push("e");
        assert_eq!(
            owed.dealt_with(late),
            Vec::<&str>::new(),
            "it came by another connection"
        );
        assert_eq!(owed.dealt_with(e), ["e"]);
    }

    #[test]
    fn a_device_has_one_desk_and_a_fleet_has_them_all() {
        let desks: BTreeSet<usize> = (0..200).map(|n| desk_of(&format!("LM-{n:05}"))).collect();
        assert_eq!(desks, (0..DESKS).collect());
        assert_eq!(desk_of("LM-1"), desk_of("LM-1"));
    }
}
