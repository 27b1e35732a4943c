//! The keeper: carries out what judgement ordered, never drops an order, and keeps the book in
//! step with the pictures it explains.
//!
//! The book is saved with the last order of a step, so that a crash between two orders repeats
//! some of them instead of losing any: a picture twice is harmless, a package twice is refused by
//! the store, and a warning is given to the loudspeaker only after the book that knows of it was
//! saved, so that nobody is shouted at twice. What is recorded at once is not seen again after a crash:
//! its pictures come last in a step, and the book with the first of them. When the store fails, warnings
//! go on all the same: teaching does not need evidence. The end of a case that the store cannot take is
//! noted with the case and tried again, after a restart too (`ends`); a book that could not be saved,
//! or had to wait for that, is saved as soon as it can be.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::develop::Developer;
use crate::ingest::{Camera, Hold};
use crate::journal::kind;
use crate::status::Beat;
use crate::store::{Draft, Level, Store, StoreError};
use crate::types::{
    CaseId, CaseRecord, Frame, HitOutcome, Order, ShotKind, Stamp, Violation, lock,
};
use crate::witness::{self, Omitted};

use super::capture::Capture;
use super::counters::KeeperState;
use super::credentials::{Credits, Made};
use super::dossier::{Facts, Sealing};
use super::ends::{End, Waiting};
use super::hits::Hits;
use super::mouth::{Mouthpiece, Shout};
use super::notes::Notes;
use super::refusals::Refusals;
use super::views::ViewLines;
use super::work::Work;

/// How long the keeper waits for work before it turns idle and tries what could not be done.
const WORK_WAIT: Duration = Duration::from_secs(1);

/// What the eye tells the keeper.
pub(super) enum Message {
    /// Orders, and the video they are carried out from.
    Work(Box<Work>, Hold),
    /// The book as the eye leaves it.
    Book(String),
    /// A package that a person asked for, and the video it is made from.
    Capture(Box<Capture>, Hold),
    /// A view that changed, for the journal.
    View {
        /// The line's kind.
        kind: &'static str,
        /// Its body.
        body: Value,
    },
    /// A camera's reference, to be kept.
    Reference {
        /// Index of the camera in the configuration.
        camera: usize,
        /// Lights in which the place is known.
        looks: usize,
        /// The reference.
        text: String,
    },
}

/// Everything the keeper works with.
pub(super) struct Keeper {
    pub(super) orders: Receiver<Message>,
    pub(super) store: Store,
    pub(super) developer: Developer,
    pub(super) cameras: Arc<Vec<Camera>>,
    pub(super) facts: Facts,
    pub(super) hits: Hits,
    pub(super) refusals: Refusals,
    pub(super) views: ViewLines,
    pub(super) mouth: Mouthpiece,
    /// Ends that the store could not take yet.
    pub(super) waiting: Vec<Waiting>,
    /// The newest book, while it is not saved.
    pub(super) unsaved: Option<String>,
    /// Captures that are not finished and could not be thrown away yet.
    pub(super) half_made: Vec<CaseId>,
    pub(super) state: Arc<Mutex<KeeperState>>,
    pub(super) beat: Beat,
}

impl Keeper {
    /// Works until the eye has ended and every order is carried out.
    pub(super) fn run(mut self) {
        self.state().waiting = self.waiting.len();
        loop {
            self.beat.turn();
            match self.orders.recv_timeout(WORK_WAIT) {
                Ok(Message::Work(work, _held)) => self.carry(*work),
                Ok(Message::Book(book)) => self.unsaved = Some(book),
                Ok(Message::Capture(capture, _held)) => self.capture(*capture),
                Ok(Message::View { kind, body }) => self.tell_view(kind, body),
                Ok(Message::Reference {
                    camera,
                    looks,
                    text,
                }) => self.keep_reference(camera, looks, &text),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.retry();
            if self.unsaved.is_some() {
                let saved = self.save_unsaved();
                self.note(saved, "the book could not be saved");
            }
            self.clear_away_again();
            self.tell_waiting();
            self.tell_views();
        }
    }

    /// Carries out one step's orders; the book goes with the last that touches the store, and with the
    /// pictures of what is recorded at once, which come last; the warnings come after it. What could not
    /// be kept is no reason to save no book: that who is warned is known must be on the disk before he is.
    pub(super) fn carry(&mut self, mut work: Work) {
        let mut at_hand = work.frame.take();
        let work = &work;
        self.note_waiting();
        self.unsaved = Some(work.book.clone());
        let at_once = recorded_at_once(&work.orders);
        let of_them = |o: &&Order| matches!(o, Order::Snap { case, .. } if at_once.contains(case));
        let (warnings, orders): (Vec<_>, Vec<_>) = work
            .orders
            .iter()
            .partition(|o| matches!(o, Order::Warn { .. }));
        let (pictures, mut orders): (Vec<_>, Vec<_>) = orders.into_iter().partition(of_them);
        let begun = orders.len();
        orders.extend(pictures);
        let mut from = orders.len().saturating_sub(1);
        let last_picture = orders.iter().rposition(|o| matches!(o, Order::Snap { .. }));
        for (i, order) in orders.iter().enumerate() {
            // A picture may wait for a decoder as long as the watchdog does.
            self.beat.turn();
            if i == begun && self.note_peaks(&orders[i..], work).is_ok() {
                from = i;
            }
            let book = (i >= from && self.all_noted()).then_some(work.book.as_str());
            let before = self.state().kept();
            let at_hand = match last_picture {
                Some(last) if last == i => at_hand.take(),
                _ => at_hand.clone(),
            };
            let done = self.obey(order, (work, at_hand), book);
            let kept = matches!(order, Order::Clip { .. }) || self.state().kept() > before;
            self.count_refused(order, done.as_ref().copied(), kept);
            if book.is_some() && done.is_ok() {
                self.unsaved = None;
            }
            self.note(done, "an order could not be carried out");
        }
        // The trouble that is told is the order's, when this goes well.
        let saved = self.save_unsaved();
        if saved.is_err() {
            self.note(saved, "the book could not be saved");
        }
        for order in warnings {
            if let Order::Warn {
                case,
                violation,
                zone,
            } = order
            {
                self.mouth.give(Shout {
                    case: *case,
                    violation: *violation,
                    zone: zone.clone(),
                    at: work.at,
                });
            }
        }
    }

    /// Notes what is so at the violations whose pictures are ordered: with the book on the disk they may
    /// be sealed by another run.
    fn note_peaks(&self, orders: &[&Order], work: &Work) -> Result<(), StoreError> {
        for order in orders {
            if let Order::Snap {
                case,
                violation,
                kind: ShotKind::Peak,
                at,
                zone,
                ..
            } = order
            {
                let now = self.circumstances(work, *at, (zone.as_str(), Some(*violation)));
                self.note_peak(*case, now)?;
            }
        }
        Ok(())
    }

    /// Saves the newest book where it is not, once every end that waits is noted.
    fn save_unsaved(&mut self) -> Result<(), StoreError> {
        if self.all_noted()
            && let Some(book) = &self.unsaved
        {
            self.store.save_book(book)?;
            self.unsaved = None;
        }
        Ok(())
    }

    fn obey(
        &mut self,
        order: &Order,
        (work, at_hand): (&Work, Option<Frame>),
        book: Option<&str>,
    ) -> Result<(), StoreError> {
        match order {
            Order::Snap { .. } => self.snap(order, (work, at_hand), book),
            Order::Clip {
                case,
                violation,
                from,
                to,
            } => self.cut((*case, Some(*violation)), (*from, *to), work, book),
            Order::Seal { case, record } => {
                let record = CaseRecord::clone(record);
                let then = self.when_established(*case, &record, work);
                self.seal(*case, End { record, then }, book)
            }
            Order::Discard { case, why, hit } => {
                tracing::info!(%case, why, "case discarded");
                self.state().discarded += 1;
                self.tell(*case, hit, Some(why));
                self.store.discard(*case, why, book)
            }
            Order::Hit { case, hit } => {
                self.tell(*case, hit, None);
                self.save(book)
            }
            Order::Warn { .. } => Ok(()),
        }
    }

    /// Cuts the clip and keeps it with what the detector saw meanwhile.
    pub(super) fn cut(
        &mut self,
        (case, violation): (CaseId, Option<Violation>),
        (from, to): (Stamp, Stamp),
        work: &Work,
        book: Option<&str>,
    ) -> Result<(), StoreError> {
        let seen = work.seen.iter().find(|(of, _)| *of == case);
        let seen = seen.map(|(_, lines)| lines.clone()).unwrap_or_default();
        let mut drafts = vec![Draft {
            name: "detections.jsonl".to_owned(),
            media_type: "application/jsonl".to_owned(),
            at: Some(from),
            pts_ns: None,
            bytes: seen.into_bytes(),
        }];
        let room = self.store.room()?;
        if room.level() >= Level::Tight {
            let why = format!("the evidence store is {} % full", room.percent());
            self.omit(case, "clip.mp4", &why)?;
            // What the detector saw is kept, whether or not the journal takes a line.
            let line = json!({ "id": case, "why": why });
            let told = self.store.note(clock::now(), kind::CLIP_LEFT_OUT, line);
            self.store.keep(case, &drafts, book)?;
            self.store.lose(|losses| losses.clips_left_out += 1);
            return told.map(drop);
        }
        match self.cameras[work.camera].clip(from, to) {
            Ok(clip) => {
                if let Some(why) = &clip.interrupted {
                    self.omit(case, "clip.mp4 (part)", why)?;
                }
                self.note_clip(case, clip.first)?;
                let mut file = Draft {
                    name: "clip.mp4".to_owned(),
                    media_type: "video/mp4".to_owned(),
                    at: Some(clip.first),
                    pts_ns: Some(clip.first_pts_ns),
                    bytes: clip.mp4,
                };
                // A box that moves has no one place for ten seconds.
                let mut credits = Credits::new(&self.facts, (case, violation), None);
                credits.add(&mut file, Made::Captured);
                self.omit_all(case, &credits.missing)?;
                drafts.push(file);
            }
            Err(error) => self.omit(case, "clip.mp4", &error.to_string())?,
        }
        self.store.keep(case, &drafts, book)
    }

    pub(super) fn seal_as(
        &self,
        sealing: &Sealing<'_>,
        book: Option<&str>,
    ) -> Result<(), StoreError> {
        let at = clock::now();
        let make = |context| {
            let statement = self.facts.statement(context, sealing);
            // What no verifier would take waits for another certificate, or for the clock.
            self.facts.identity.check_signing(at)?;
            witness::seal(&statement, &self.facts.identity, at)
        };
        self.store.seal(sealing.case, make, book)?;
        self.state().sealed += 1;
        Ok(())
    }

    /// Notes when the case's clip begins.
    fn note_clip(&self, case: CaseId, first: Stamp) -> Result<(), StoreError> {
        let mut notes = Notes::read(self.store.draft_note(case)?.as_deref());
        notes.clip = Some(first);
        self.store.save_draft_note(case, &notes.text())
    }

    /// Notes that something of the case is missing, and why.
    pub(super) fn omit(&self, case: CaseId, what: &str, why: &str) -> Result<(), StoreError> {
        tracing::warn!(%case, what, why, "evidence is incomplete");
        let mut notes = Notes::read(self.store.draft_note(case)?.as_deref());
        notes.omitted.push(Omitted {
            what: what.to_owned(),
            why: why.to_owned(),
        });
        self.store.save_draft_note(case, &notes.text())
    }

    pub(super) fn omit_all(&self, case: CaseId, list: &[Omitted]) -> Result<(), StoreError> {
        list.iter()
            .try_for_each(|missing| self.omit(case, &missing.what, &missing.why))
    }

    pub(super) fn save(&self, book: Option<&str>) -> Result<(), StoreError> {
        book.map_or(Ok(()), |book| self.store.save_book(book))
    }

    /// Keeps what the store says for the status; a change is a log line.
    pub(super) fn note(&self, done: Result<(), StoreError>, what: &'static str) {
        let trouble = done.err().map(|e| e.to_string());
        let mut state = self.state();
        if state.waiting == 0 || trouble.is_some() {
            if trouble != state.trouble
                && let Some(why) = &trouble
            {
                tracing::error!(why, what, "the store has trouble");
            }
            state.trouble = trouble;
        }
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, KeeperState> {
        lock(&self.state)
    }
}

/// The cases that these orders open and that are recorded at once.
fn recorded_at_once(orders: &[Order]) -> Vec<CaseId> {
    let opened = orders.iter().filter_map(|order| match order {
        Order::Hit { case, hit } if hit.outcome == HitOutcome::Opened => {
            (!hit.violation.warns_first()).then_some(*case)
        }
        _ => None,
    });
    opened.collect()
}

#[cfg(test)]
mod tests;
