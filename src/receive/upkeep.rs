//! What a receiver does by itself, every few seconds: news to the index, second copies that are
//! owed, unfinished packages that nobody wants any more, and the figures of the moment.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::figures::Count;
use super::index::Index;
use super::{Event, ReceiveError, blocking, layout};
use crate::clock;
use crate::store::disk;
use crate::types::{CaseId, Stamp};
use crate::witness::{STATEMENT, Statement};

/// How often.
const EVERY: Duration = Duration::from_secs(2);
/// Index and unfinished packages are looked through so often.
const LOOK_THROUGH: Duration = Duration::from_secs(10);
/// Unfinished packages that nobody touched for so long are forgotten.
const STALE: Duration = Duration::from_hours(72);
/// Second copies caught up on before messages are answered again.
const COPIES_AT_ONCE: usize = 4;

/// What is carried from one round to the next.
#[derive(Default)]
struct Rounds {
    /// When the desk was last looked through, nanoseconds since boot.
    looked: Option<u64>,
    /// The package that a second copy was last tried of.
    copied_to: Option<(String, CaseId)>,
}

/// Tends the desk until `stop`.
pub(super) async fn keep(
    desk: Arc<Mutex<Desk>>,
    on_event: Arc<impl Fn(Event)>,
    stop: CancellationToken,
) {
    let mut rounds = Rounds::default();
    loop {
        let desk = Arc::clone(&desk);
        let tended = blocking(move || {
            let events = round(&desk, &mut rounds, clock::now());
            (rounds, events)
        });
        match tended.await {
            Ok((after, events)) => {
                rounds = after;
                for event in events {
                    on_event(event);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the receiver's upkeep ended");
                return;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(EVERY) => {}
        }
    }
}

/// One round; what to tell.
fn round(desk: &Mutex<Desk>, rounds: &mut Rounds, at: Stamp) -> Vec<Event> {
    let mut events = Vec::new();
    let due = |looked| at.boot_ns.saturating_sub(looked) >= nanos(LOOK_THROUGH);
    if rounds.looked.is_none_or(due) {
        rounds.looked = Some(at.boot_ns);
        if let Err(error) = look_through(desk, at) {
            hold(desk).figures.failed(&error);
            let why = error.to_string();
            tracing::warn!(error = why, "receiver trouble");
            events.push(Event::Trouble { why });
        }
    }
    let mut desk = hold(desk);
    desk.tell_news();
    events.extend(desk.catch_up(&mut rounds.copied_to));
    desk.tell_gauges(at);
    events
}

/// Forgets what is stale, and sees that there is an index that is level with the folder.
fn look_through(desk: &Mutex<Desk>, at: Stamp) -> Result<(), ReceiveError> {
    let lacks = {
        let mut desk = hold(desk);
        desk.drop_stale(at.boot_ns.saturating_sub(nanos(STALE)))?;
        desk.lacks_index()
    };
    if let Some((dir, copies)) = lacks {
        let mut index = Index::open(&dir)?;
        // Reading a large archive anew takes minutes: not while messages wait. What came
        // meanwhile is found by the second look, which has little to read.
        index.level(&dir, copies.as_deref(), at)?;
        let mut desk = hold(desk);
        index.level(&dir, copies.as_deref(), at)?;
        desk.take_index(index);
    }
    hold(desk).tell_counts();
    Ok(())
}

fn hold(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// The folders of packages and of their copies, when there is no index or not in its place.
    fn lacks_index(&mut self) -> Option<(PathBuf, Option<PathBuf>)> {
        if self.index.as_ref().is_some_and(|index| !index.is_there()) {
            tracing::warn!("the index was taken away and is made again");
            self.index = None;
        }
        let copies = self.copies.as_ref().map(|copies| copies.dir().to_owned());
        self.index.is_none().then(|| (self.dir.clone(), copies))
    }

    fn take_index(&mut self, index: Index) {
        self.index = Some(index);
        let known = self.heads.known().map(|(d, h)| (d.clone(), h.clone()));
        for (device, head) in known.collect::<Vec<_>>() {
            self.news(&device).journal = Some((head.n, head.hash));
        }
    }

    fn tell_counts(&mut self) {
        if let Some([devices, packages, uncopied]) = self.indexed(|index| index.counts()) {
            let uncopied = self.copies.as_ref().map_or(0, |_| uncopied);
            self.figures.change(|gauges| {
                (gauges.devices, gauges.packages, gauges.uncopied) = (devices, packages, uncopied);
            });
        }
    }

    fn tell_gauges(&self, at: Stamp) {
        let oldest = self.open.values().map(|open| open.since).min();
        let age = oldest.map_or(0, |since| at.boot_ns.saturating_sub(since));
        self.figures.change(|gauges| {
            gauges.open = self.open.len() as u64;
            gauges.oldest_secs = Duration::from_nanos(age).as_secs();
        });
    }

    /// Tells the index what is new of devices.
    pub(super) fn tell_news(&mut self) {
        if self.news.is_empty() || self.index.is_none() {
            return;
        }
        let news = std::mem::take(&mut self.news);
        if self.indexed(|index| index.heard(&news)).is_none() {
            self.news = news;
        }
    }

    /// Makes some of the second copies that are owed, beginning after `last`. One that cannot be
    /// made does not hold up the others.
    fn catch_up(&mut self, last: &mut Option<(String, CaseId)>) -> Vec<Event> {
        let there = self
            .copies
            .as_ref()
            .is_some_and(|copies| copies.there().is_ok());
        let mut events = Vec::new();
        for _ in 0..COPIES_AT_ONCE {
            if !there {
                break;
            }
            let Some(Some((device, id))) = self.indexed(|index| index.uncopied(last.as_ref()))
            else {
                *last = None;
                break;
            };
            let made = self.copy_later(&device, id);
            match (made, &mut self.copies) {
                (Ok(()), _) => {
                    self.indexed(|index| index.copied(&device, id));
                }
                (Err(why), Some(copies)) => {
                    events.extend(copies.complain(&why));
                    self.figures.add(Count::CopyErrors, 1);
                }
                (Err(_), None) => {}
            }
            *last = Some((device, id));
        }
        events
    }

    fn copy_later(&mut self, device: &str, id: CaseId) -> Result<(), String> {
        let place = layout::place(&self.dir, device, id);
        let statement = disk::read(&place.join(STATEMENT)).map_err(|e| e.to_string())?;
        let statement = Statement::parse(&statement).map_err(|e| e.to_string())?;
        match &mut self.copies {
            Some(copies) => copies.take(&place, &statement, None),
            None => Ok(()),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
