//! The packages in hand: which are taken up, set aside, put back, held.
//!
//! At most [`HANDS`], far below what a receiver keeps unfinished of one device; [`places`] says whose
//! place is taken when none is free. One is always the oldest package's. Only what is fresh is begun
//! while nobody answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::delivery::Delivery;
use super::lanes::Lane;
use super::places::{self, HANDS, Place};
use super::profile;
use super::session::{LOOK, Session};
use super::state::InHand;
use crate::clock;
use crate::config::Profile;
use crate::link::message::is_name;
use crate::store::{Outgoing, State, Store, StoreError, Wish};
use crate::types::CaseId;

/// Sealed longer ago than this, a package is no longer news: it goes at the drain's rate, and its
/// head says so.
pub(super) const LATE: Duration = Duration::from_mins(5);
/// Receivers remembered for packages that were set aside.
const BEGUN_MAX: usize = 64;

/// A package in hand.
pub(super) struct Hand {
    /// What the store gave out.
    pub(super) package: Outgoing,
    /// Where each file is, by hash.
    pub(super) paths: BTreeMap<String, PathBuf>,
    /// The dialogue about it.
    pub(super) delivery: Delivery,
    /// Whether the broker had all that was asked for once.
    pub(super) sent: bool,
    /// Whether it did not take a message since all that was asked for had gone out.
    pub(super) refused: bool,
    /// Bytes of pieces the broker has taken.
    pub(super) acknowledged: u64,
    /// Whether it was sealed a while ago.
    pub(super) late: bool,
    /// Whether somebody asked for its video.
    pub(super) asked: bool,
    /// Whether it has the place of the oldest.
    pub(super) oldest: bool,
}

impl Hand {
    /// As the status shows it.
    pub(super) fn shown(&self) -> InHand {
        InHand {
            id: self.package.id.to_string(),
            seq: self.package.seq,
            bytes: self.package.files.iter().map(|file| file.size).sum(),
            acknowledged: self.acknowledged,
            sink: self.delivery.sink().map(ToOwned::to_owned),
        }
    }
}

impl Session<'_> {
    /// The last open lane for a package.
    pub(super) fn open(&self, asked: bool) -> Lane {
        profile::open(self.profile, asked)
    }

    /// The package `id`, if it is in hand.
    pub(super) fn hand(&mut self, id: CaseId) -> Option<&mut Hand> {
        self.hands.iter_mut().find(|hand| hand.package.id == id)
    }

    /// Takes packages in hand while there are such as are due, and places.
    pub(super) async fn take_in(&mut self) {
        let now = Instant::now();
        if self.rest_until.is_some_and(|until| until <= now) {
            self.rest_until = None;
            self.look = true;
        }
        self.look |= now.duration_since(self.looked) >= LOOK;
        if !self.look {
            return;
        }
        self.looked = now;
        let taken = self.take_all().await;
        self.up.state.store_did(taken.as_ref().err());
        if let Err(error) = taken {
            tracing::warn!(%error, "upload cannot read the store");
            self.rest_until = Some(Instant::now() + LOOK);
        }
        self.look = false;
    }

    async fn take_all(&mut self) -> Result<(), StoreError> {
        self.read_asked().await?;
        while self.take_one().await? {}
        Ok(())
    }

    /// Whether one more was taken in hand.
    async fn take_one(&mut self) -> Result<bool, StoreError> {
        self.requeue_owed().await?;
        if let Some(taken) = self.take_asked().await? {
            return Ok(taken);
        }
        let open = self.open(false).number();
        let may_begin = places::is_free(&self.hands) && !self.rests();
        let any = Wish {
            open,
            ..Wish::default()
        };
        let has_oldest = self.hands.iter().any(|hand| hand.oldest);
        if may_begin && !has_oldest && !self.hands.is_empty() {
            let oldest = Wish {
                oldest: true,
                ..any
            };
            if self.take(oldest).await? {
                return Ok(true);
            }
        }
        let fresh = Wish {
            within: Some(LATE),
            ..any
        };
        let taken = if self.hands.len() < HANDS {
            self.take(fresh).await?
        } else {
            self.take_in_place_of_last(fresh).await?
        };
        if taken || !may_begin {
            // A place that is free again, or the end of the rest, is a reason to look again.
            return Ok(taken);
        }
        if self.take(any).await? || self.tell_again().await? {
            return Ok(true);
        }
        self.count_held().await;
        Ok(false)
    }

    /// A fresh package takes the place of one that makes room, if it goes before it.
    async fn take_in_place_of_last(&mut self, fresh: Wish) -> Result<bool, StoreError> {
        let Some(last) = places::for_fresh(&self.hands, Instant::now()) else {
            return Ok(false);
        };
        let id = last.package.id;
        let before = (!last.late).then_some((last.package.severity, last.package.seq));
        let taken = self.take(Wish { before, ..fresh }).await?;
        if taken {
            self.set_aside(id).await;
        }
        Ok(taken)
    }

    /// Takes the first package that is meant; false when there is none.
    async fn take(&mut self, wish: Wish) -> Result<bool, StoreError> {
        let due = self
            .up
            .store
            .blocking(move |store| begin(store, store.next_of(clock::now(), &wish)?));
        let Some(package) = due.await? else {
            return Ok(false);
        };
        self.hold_out(package, wish.oldest, false);
        Ok(true)
    }

    /// The next package whose video was asked for; `None` when none is, or not now. One that makes
    /// room, or that nobody takes, stays asked for.
    async fn take_asked(&mut self) -> Result<Option<bool>, StoreError> {
        if self.profile == Profile::Quiet || self.rests() {
            return Ok(None);
        }
        let in_hand = |id| self.hands.iter().any(|hand| hand.package.id == id);
        let next = self.carry.asked.next(in_hand);
        let Some((place, id)) = places::for_asked(&self.hands).zip(next) else {
            return Ok(None);
        };
        let due = self
            .up
            .store
            .blocking(move |store| begin(store, store.queued(id)?))
            .await?;
        match due {
            Some(package) => {
                self.hold_out(package, false, true);
                if let Place::Of(last) = place {
                    self.set_aside(last).await;
                }
            }
            // Answered long ago, or never ours.
            None => self.carry.asked.done(id),
        }
        Ok(Some(true))
    }

    /// Reads what was asked for by commands, when there may be more of it than is known here.
    async fn read_asked(&mut self) -> Result<(), StoreError> {
        if !self.carry.asked.runs_low() {
            return Ok(());
        }
        let wanted = self.up.store.blocking(Store::wanted).await?;
        self.carry.asked.read(wanted);
        for hand in &mut self.hands {
            hand.asked |= self.carry.asked.contains(hand.package.id);
        }
        Ok(())
    }

    /// A package comes in hand, unless it is: a store that was opened anew has queued all again.
    fn hold_out(&mut self, package: Outgoing, oldest: bool, asked: bool) {
        if self.hand(package.id).is_some() {
            return;
        }
        let blobs = package.files.iter();
        let blobs = blobs.filter(|file| Lane::of(file.lane) != Lane::Head);
        let (mut files, mut paths) = (BTreeMap::new(), BTreeMap::new());
        for file in blobs {
            let lane = Lane::of(file.lane);
            // Two files of the same content are one blob, in the more urgent lane.
            let (_, known) = files
                .entry(file.sha256.clone())
                .or_insert((file.size, lane));
            *known = lane.min(*known);
            paths.insert(file.sha256.clone(), package.dir.join(&file.name));
        }
        let sink = self.carry.begun.remove(&package.id);
        let hand = Hand {
            delivery: Delivery::new(&package.id.to_string(), files, sink),
            late: package.age(clock::now()) > LATE,
            package,
            paths,
            sent: false,
            refused: false,
            acknowledged: 0,
            asked,
            oldest,
        };
        self.up.state.change(|s| {
            s.in_hand = Some(hand.shown());
            s.hands = self.hands.len() + 1;
        });
        self.hands.push(hand);
    }

    /// Packages that the store could not be told about.
    async fn requeue_owed(&mut self) -> Result<(), StoreError> {
        if self.carry.owed.is_empty() {
            return Ok(());
        }
        let owed = self.carry.owed.clone();
        self.up
            .store
            .blocking(move |store| {
                for id in owed {
                    match store.step(id, State::Queued) {
                        // Answered after all.
                        Ok(()) | Err(StoreError::Step { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })
            .await?;
        self.carry.owed.clear();
        Ok(())
    }

    /// Somebody asks for the video of a package: the receiver `sink`, or a command.
    pub(super) fn ask_for(&mut self, id: CaseId, sink: Option<&str>) {
        if !self.carry.asked.push(id) {
            return;
        }
        if let Some(hand) = self.hand(id) {
            hand.asked = true;
        } else if let Some(sink) = sink.filter(|sink| is_name(sink)) {
            self.remember(id, sink.to_owned());
        }
        self.look = true;
    }

    /// Takes a package out of hand.
    pub(super) fn let_go(&mut self, id: CaseId) -> Option<Hand> {
        let index = self.hands.iter().position(|h| h.package.id == id)?;
        let hand = self.hands.remove(index);
        self.look = true;
        let shown = self.hands.last().map(Hand::shown);
        self.up.state.change(|s| {
            s.in_hand = shown;
            s.hands = self.hands.len();
        });
        Some(hand)
    }

    /// Ends the try with a package; it and whatever is not fresh wait a growing while.
    pub(super) async fn put_back(&mut self, id: CaseId, why: &str) {
        if self.let_go(id).is_none() {
            return;
        }
        let left = self.rest_until.map(|until| until - Instant::now());
        let pause = match left {
            Some(left) if !left.is_zero() => left,
            _ => self.carry.unanswered.step(),
        };
        let ns = i64::try_from(pause.as_nanos()).unwrap_or(i64::MAX);
        let reason = why.to_owned();
        let deferred = self
            .up
            .store
            .blocking(move |store| store.defer(id, clock::now().shifted_ns(ns), &reason));
        self.owe(id, deferred.await);
        self.rest(why, pause);
    }

    /// A package waits for lanes beyond `told`.
    pub(super) async fn hold(&mut self, id: CaseId, told: Lane) {
        let Some(hand) = self.let_go(id) else { return };
        if let Some(sink) = hand.delivery.sink() {
            self.remember(id, sink.to_owned());
        }
        let told = told.number();
        let held = self
            .up
            .store
            .blocking(move |store| store.hold(clock::now(), id, told));
        self.owe(id, held.await);
    }

    /// A package makes room for one that goes before it; its receiver is remembered.
    async fn set_aside(&mut self, id: CaseId) {
        let Some(hand) = self.let_go(id) else { return };
        if let Some(sink) = hand.delivery.sink() {
            self.remember(id, sink.to_owned());
        }
        let queued = self
            .up
            .store
            .blocking(move |store| store.step(id, State::Queued));
        self.owe(id, queued.await);
    }

    /// The connection is over: all packages go back into the queue.
    pub(super) async fn set_all_aside(&mut self) {
        while let Some(hand) = self.hands.last() {
            self.set_aside(hand.package.id).await;
        }
    }

    /// A package the store could not put back into the queue must not be forgotten there.
    fn owe(&mut self, id: CaseId, done: Result<(), StoreError>) {
        if let Err(error) = done {
            self.carry.owed.push(id);
            self.complain(&error);
        }
    }

    fn remember(&mut self, id: CaseId, sink: String) {
        let begun = &mut self.carry.begun;
        while begun.len() >= BEGUN_MAX {
            begun.pop_first();
        }
        begun.insert(id, sink);
    }
}

/// A package that was found is in hand from now on.
fn begin(store: &Store, found: Option<Outgoing>) -> Result<Option<Outgoing>, StoreError> {
    if let Some(package) = &found {
        store.step(package.id, State::Sending)?;
    }
    Ok(found)
}
