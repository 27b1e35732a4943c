//! What a receiver does by itself, every few seconds: news to the index, second copies that are
//! owed, unfinished packages that nobody wants any more, and the figures of the moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::copies::Copies;
use super::desk::Desk;
use super::desks::desk_of;
use super::figures::Count;
use super::index::Entry;
use super::office::Office;
use super::{Event, ReceiveError, blocking};
use crate::clock;
use crate::disk;
use crate::types::{CaseId, Stamp, lock};
use crate::witness::{STATEMENT, Statement};

/// How often.
const EVERY: Duration = Duration::from_secs(2);
/// Index and unfinished packages are looked through so often.
const LOOK_THROUGH: Duration = Duration::from_secs(10);
/// Unfinished packages that nobody touched for so long are forgotten.
const STALE: Duration = Duration::from_hours(72);
/// Second copies made in one round.
const COPIES_AT_ONCE: usize = 4;
/// Longest rest after rounds in which the medium took nothing: one that is full stays so for days, and each
/// try writes on it.
const REST_MAX: Duration = Duration::from_mins(5);
/// Packages looked at in one round for what was added to them, reviews: a million in nine hours.
const ADDED_AT_ONCE: u32 = 64;

/// Tends office and desks until `stop`.
pub(super) async fn keep(
    (office, desks): (Arc<Office>, Vec<Arc<Mutex<Desk>>>),
    on_event: Arc<impl Fn(Event)>,
    stop: CancellationToken,
) {
    // When the desks were last looked through, nanoseconds since boot.
    let mut looked = None;
    loop {
        let (office, desks) = (Arc::clone(&office), desks.clone());
        let tended = blocking(move || {
            let events = round((&office, &desks), &mut looked, clock::now());
            (looked, events)
        });
        match tended.await {
            Ok((after, events)) => {
                looked = after;
                events.into_iter().for_each(&*on_event);
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

/// Makes the second copies that are owed, until `stop`. Each round has a thread of its own: a medium
/// that hangs holds up this alone, and the end of the program does not wait for it.
pub(super) async fn keep_copies(
    office: Arc<Office>,
    on_event: Arc<impl Fn(Event)>,
    stop: CancellationToken,
) {
    let mut place = Place::default();
    while office.copies.is_some() {
        let (done, told) = oneshot::channel();
        let at_work = Arc::clone(&office);
        let round = move || {
            let events = at_work.catch_up(&mut place, clock::now());
            if done.send((place, events)).is_err() {
                tracing::debug!("the receiver has stopped meanwhile");
            }
        };
        let thread = std::thread::Builder::new().name("copies".to_owned());
        if let Err(error) = thread.spawn(round) {
            tracing::warn!(%error, "second copies wait");
        }
        let told = tokio::select! {
            () = stop.cancelled() => return,
            told = told => told,
        };
        // Without a thread it begins at the first again.
        let (after, events) = told.unwrap_or_default();
        place = after;
        events.into_iter().for_each(&*on_event);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(EVERY) => {}
        }
    }
}

/// Where second copies are in the order of the index.
#[derive(Default)]
pub(super) struct Place {
    /// The package that one was last tried of.
    made: Option<(String, CaseId)>,
    /// The package that was last looked at for what was added to it.
    added: Option<(String, CaseId)>,
    /// How long to rest, since the medium took nothing, and until when, nanoseconds since boot.
    rest: (Duration, u64),
}

impl Place {
    /// What came of a round: whether something was copied, and whether something could not be.
    fn rest_after(&mut self, made: bool, failed: bool, at: Stamp) {
        let rest = match (made, failed) {
            (true, _) => Duration::ZERO,
            (false, true) => (self.rest.0 * 2).clamp(EVERY, REST_MAX),
            // The end of the order: it begins at the first again.
            (false, false) => return,
        };
        self.rest = (rest, at.boot_ns.saturating_add(nanos(rest)));
    }
}

/// One round; what to tell.
fn round(
    (office, desks): (&Office, &[Arc<Mutex<Desk>>]),
    looked: &mut Option<u64>,
    at: Stamp,
) -> Vec<Event> {
    let mut events = Vec::new();
    let due = |looked| at.boot_ns.saturating_sub(looked) >= nanos(LOOK_THROUGH);
    if looked.is_none_or(due) {
        *looked = Some(at.boot_ns);
        events.extend(office.tell_signing(at));
        events.extend(office.doubts_of_lists(at));
        if let Err(error) = look_through(office, desks, at) {
            office.figures.failed(&error);
            events.push(Event::Trouble {
                why: error.to_string(),
            });
        }
    }
    tell_news(office, desks);
    tell_gauges(office, desks, at);
    events
}

/// Forgets what is stale, and sees that there is an index that is level with the folder.
fn look_through(
    office: &Office,
    desks: &[Arc<Mutex<Desk>>],
    at: Stamp,
) -> Result<(), ReceiveError> {
    for desk in desks {
        lock(desk).drop_stale(at.boot_ns.saturating_sub(nanos(STALE)))?;
    }
    if office.see_to_index(at)? {
        for desk in desks {
            lock(desk).all_heads_are_news();
        }
    }
    office.tell_counts();
    Ok(())
}

/// Tells the index what is new, of packages and of devices.
pub(super) fn tell_news(office: &Office, desks: &[Arc<Mutex<Desk>>]) {
    let mut news = BTreeMap::new();
    for desk in desks {
        news.append(&mut lock(desk).news);
    }
    // Also without news of devices: packages may have a row to come.
    if office.indexed(|index| index.heard(&news)).is_some() {
        return;
    }
    for (device, untold) in news {
        if let Some(desk) = desks.get(desk_of(&device)) {
            lock(desk).news(&device).join(untold);
        }
    }
}

fn tell_gauges(office: &Office, desks: &[Arc<Mutex<Desk>>], at: Stamp) {
    let (mut open, mut oldest) = (0, None);
    for desk in desks {
        let desk = lock(desk);
        open += desk.open.len() as u64;
        let since = desk.open.values().map(|open| open.since);
        oldest = since.chain(oldest).min();
    }
    let age = oldest.map_or(0, |since| at.boot_ns.saturating_sub(since));
    office.figures.change(|gauges| {
        gauges.open = open;
        gauges.oldest_secs = Duration::from_nanos(age).as_secs();
    });
}

impl Desk {
    /// A new index knows no heads.
    fn all_heads_are_news(&mut self) {
        let known = self.heads.known().map(|(d, h)| (d.clone(), h.clone()));
        for (device, head) in known.collect::<Vec<_>>() {
            self.news(&device).journal = Some((head.n, head.hash));
        }
    }
}

impl Office {
    fn tell_counts(&self) {
        if let Some([devices, packages, uncopied]) = self.indexed(|index| index.counts()) {
            let uncopied = self.copies.as_ref().map_or(0, |_| uncopied);
            self.figures.change(|gauges| {
                (gauges.devices, gauges.packages, gauges.uncopied) = (devices, packages, uncopied);
            });
        }
    }

    /// Makes some of the second copies that are owed, beginning after the last, and brings to others what
    /// was added since. One that cannot be made does not hold up the others; when none can, it rests.
    pub(super) fn catch_up(&self, place: &mut Place, at: Stamp) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(copies) = self.copies.as_ref().filter(|copies| !copies.hangs()) else {
            return events;
        };
        let there = copies.there();
        let room = there.is_ok().then(|| disk::free_bytes(copies.dir()).ok());
        self.figures
            .change(|gauges| gauges.copies_free = room.flatten());
        let medium = match there {
            Ok(medium) => medium,
            Err(why) => {
                // Also at the start, before any package: its folder may be mistyped. What comes next
                // may be another.
                (place.made, place.rest) = (None, (Duration::ZERO, 0));
                events.extend(copies.complain(&why));
                return events;
            }
        };
        if let Some(medium) = medium {
            self.indexed(|index| index.meets(medium));
        }
        // A copy that cannot be told of in a receipt would be made again and again.
        if at.boot_ns < place.rest.1 || self.may_sign(at).is_err() {
            return events;
        }
        let (mut made, mut failed) = (false, false);
        let tries = if place.rest.0.is_zero() {
            COPIES_AT_ONCE
        } else {
            1
        };
        for _ in 0..tries {
            let last = place.made.as_ref();
            let Some(Some((device, id))) = self.indexed(|index| index.uncopied(last)) else {
                place.made = None;
                break;
            };
            match self.copy_later((copies, &mut events), (&device, id), at) {
                Ok(true) => {
                    made = true;
                    self.enter(Entry::Copied(device.clone(), id));
                }
                Ok(false) => failed = true,
                Err(why) => {
                    failed = true;
                    events.extend(self.no_copy(copies, &why));
                }
            }
            place.made = Some((device, id));
        }
        let last = place.added.as_ref();
        let looked_at = self.indexed(|index| index.copied(last, ADDED_AT_ONCE));
        let looked_at = looked_at.unwrap_or_default();
        for (device, id) in &looked_at {
            if let Err(why) = copies.add(&self.place(device, *id), (device, *id)) {
                failed = true;
                events.extend(self.no_copy(copies, &why));
            }
        }
        place.added = looked_at.into_iter().last();
        place.rest_after(made, failed, at);
        events
    }

    fn no_copy(&self, copies: &Copies, why: &str) -> Option<Event> {
        self.figures.add(Count::CopyErrors, 1);
        copies.complain(why)
    }

    /// Makes the second copy of a package and says so, if the first is whole; whether it is.
    fn copy_later(
        &self,
        (copies, events): (&Copies, &mut Vec<Event>),
        (device, id): (&str, CaseId),
        at: Stamp,
    ) -> Result<bool, String> {
        let place = self.place(device, id);
        if !place.exists() {
            return Err(format!("{} is not there", place.display()));
        }
        // A receipt that says two copies permits a box to remove its own.
        let (whole, told) = self.is_whole(device, id).map_err(|e| e.to_string())?;
        events.extend(told);
        if !whole {
            return Ok(false);
        }
        let statement = disk::read(&place.join(STATEMENT)).map_err(|e| e.to_string())?;
        let statement = Statement::parse(&statement).map_err(|e| e.to_string())?;
        copies.take(&place, &statement, None)?;
        let receipted = self.receipt_later(copies, &statement, at);
        receipted.map(|()| true).map_err(|error| error.to_string())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
