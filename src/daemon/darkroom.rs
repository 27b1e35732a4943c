//! The keeper's pictures: which frame, what is measured on it, which files are made of it.

use std::time::Duration;

use crate::develop::{Choice, DevelopError, Patch, SAME_PLACE};
use crate::ingest::IngestError;
use crate::store::{Draft, StoreError};
use crate::types::{Area, CaseId, Frame, Order, Outcome, RoleSet, ShotKind, Stamp, Violation};
use crate::witness::{self, FileEntry, Omitted, check_code};

use super::credentials::{Credits, Made};
use super::dossier::View;
use super::keeper::Keeper;
use super::notes::{Notes, Shown};
use super::work::{Boxed, Work};

/// Frames looked at before one is taken: one each fifth of a second of the usual window.
const CHOICE_MAX: usize = 7;

/// Why a picture is not the main stream's.
const FROM_SUB: &str = "it had nothing of this moment; the picture is the substream's";

/// Which of a camera's streams a frame is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Main,
    Sub,
}

/// A picture to be made.
pub(super) struct Shot<'a> {
    pub(super) case: CaseId,
    /// What the case is about; `None` for a picture that a person asked for.
    pub(super) violation: Option<Violation>,
    pub(super) kind: ShotKind,
    /// Capture time of the frame.
    pub(super) at: Stamp,
    /// The subject in that frame; `None` when there is none.
    pub(super) subject: Option<Area>,
    /// Where to look.
    pub(super) place: Area,
    /// Name of the zone; empty for none.
    pub(super) zone: &'a str,
    /// How the case ended, where that is known by then.
    pub(super) outcome: Option<Outcome>,
}

impl Keeper {
    /// Makes the picture that was ordered, with the frame at hand.
    pub(super) fn snap(
        &mut self,
        order: &Order,
        (work, at_hand): (&Work, Option<Frame>),
        book: Option<&str>,
    ) -> Result<(), StoreError> {
        let Order::Snap {
            case,
            violation,
            kind,
            at,
            subject,
            place,
            zone,
            outcome,
        } = order
        else {
            return Ok(());
        };
        let shot = Shot {
            case: *case,
            violation: Some(*violation),
            kind: *kind,
            at: *at,
            subject: *subject,
            place: *place,
            zone,
            outcome: *outcome,
        };
        self.shoot(&shot, (work, at_hand), book)
    }

    /// Makes the files of one picture and keeps them with what was measured.
    pub(super) fn shoot(
        &mut self,
        shot: &Shot<'_>,
        (work, at_hand): (&Work, Option<Frame>),
        book: Option<&str>,
    ) -> Result<(), StoreError> {
        let Shot { case, place, .. } = *shot;
        let kind = shot.kind;
        let stem = format!("frames/{:02}-{}", self.pictures(case)? + 1, kind.name());
        if kind == ShotKind::Peak {
            let now = self.circumstances(work, shot.at, (shot.zone, shot.violation));
            self.note_peak(case, now)?;
        }
        let (frame, stream) = match self.frame(work.camera, (shot.at, place), at_hand) {
            Ok(found) => found,
            Err(error) => {
                self.omit(case, &format!("{stem}.jpg"), &error.to_string())?;
                return self.save(book);
            }
        };
        if stream == Stream::Sub {
            self.omit(case, &format!("{stem}.jpg (main stream)"), FROM_SUB)?;
        }
        let boxes = still_there(work, &frame);
        let view = View {
            frame: &frame,
            // The clip is of the main stream, and so is its time line.
            pts_ns: (stream == Stream::Main).then_some(frame.pts_ns),
            placed: self.facts.placed(work, shot.at, frame.at),
            case,
            violation: shot.violation,
            kind,
            subject: shot.subject,
            zone: shot.zone,
            outcome: shot.outcome,
            boxes: &boxes,
        };
        let made = self.develop(&view, &stem);
        self.developer.rest();
        match made {
            Ok((drafts, missing)) => {
                self.omit_all(case, &missing)?;
                let busy = boxes.iter().map(|(area, _)| *area).chain([place]).collect();
                let shown = Shown::of(&frame, place, busy);
                self.remember(case, &format!("{stem}.jpg"), kind, &shown)?;
                self.store.keep(case, &drafts, book)?;
                self.state().pictures += 1;
                Ok(())
            }
            Err(error) => {
                self.omit(case, &format!("{stem}.jpg"), &error.to_string())?;
                self.save(book)
            }
        }
    }

    /// The files of one picture: the original, the close-up of a subject that is there, and the
    /// marked copy, whose caption names the finished original by its check code. With what could
    /// not be put into them.
    fn develop(
        &mut self,
        view: &View<'_>,
        stem: &str,
    ) -> Result<(Vec<Draft>, Vec<Omitted>), DevelopError> {
        let (image, exif) = (&view.frame.image, self.facts.exif(view));
        let draft = |suffix: &str, bytes: Vec<u8>| Draft {
            name: format!("{stem}{suffix}.jpg"),
            media_type: "image/jpeg".to_owned(),
            at: Some(view.frame.at),
            pts_ns: view.pts_ns,
            bytes,
        };
        let case = (view.case, view.violation);
        let mut credits = Credits::new(&self.facts, case, view.placed.as_ref());
        let mut original = draft("", self.developer.original(image, &exif)?);
        credits.add(&mut original, Made::Captured);
        let code = check_code(&witness::sha256_hex(&original.bytes));
        let mut drafts = Vec::new();
        if let Some(area) = view.subject {
            let mut close = draft("-close", self.developer.close_up(image, &exif, area)?);
            credits.add(&mut close, Made::Cropped(&original));
            drafts.push(close);
        }
        let mark = self.facts.mark(view, &code);
        let mut marked = draft("-marked", self.developer.marked(image, &exif, &mark)?);
        credits.add(&mut marked, Made::Drawn(&original));
        drafts.extend([original, marked]);
        Ok((drafts, credits.missing))
    }

    /// The frame of moment `at` at full size: the best of those round it that show `place` as it
    /// is at that moment, as far as the ring holds them, the one at hand when it is of that moment
    /// among them; the substream's, at hand, when the ring has none.
    fn frame(
        &self,
        camera: usize,
        (at, place): (Stamp, Area),
        at_hand: Option<Frame>,
    ) -> Result<(Frame, Stream), IngestError> {
        let at_hand = at_hand.filter(|frame| frame.at == at);
        let (main, sub) = if self.facts.detects_on_substream(camera) {
            (None, at_hand)
        } else {
            (at_hand, None)
        };
        let limits = &self.facts.config.evidence;
        let around = Duration::try_from_secs_f64(limits.best_of_secs).unwrap_or_default();
        let camera = &self.cameras[camera];
        let mut choice = Choice::of(at, place, limits);
        if let Some(frame) = main {
            choice.take(frame);
        }
        if !around.is_zero() {
            let looked = camera.frames_round(at, around, CHOICE_MAX, |frame| choice.look(&frame));
            if let Err(error) = looked {
                tracing::debug!(%error, "no frames to choose from");
            }
        }
        let again =
            |(at, held): (Stamp, Option<Frame>)| held.or_else(|| camera.full_frame(at).ok());
        if let Some(frame) = choice.chosen().and_then(again) {
            return Ok((frame, Stream::Main));
        }
        match (camera.full_frame(at), sub) {
            (Err(error), Some(frame)) => {
                tracing::warn!(%error, "picture made from the substream");
                Ok((frame, Stream::Sub))
            }
            (decoded, _) => decoded.map(|frame| (frame, Stream::Main)),
        }
    }

    /// Notes what was measured, before the files are kept: a file without its note would have
    /// no quality, a note without its file is replaced when the picture is taken again.
    fn remember(
        &self,
        case: CaseId,
        name: &str,
        kind: ShotKind,
        shown: &Shown,
    ) -> Result<(), StoreError> {
        let mut notes = Notes::read(self.store.draft_note(case)?.as_deref());
        notes.add(name.to_owned(), kind, shown);
        self.store.save_draft_note(case, &notes.text())
    }

    fn pictures(&self, case: CaseId) -> Result<usize, StoreError> {
        let marked = |f: &&FileEntry| f.name.ends_with("-marked.jpg");
        Ok(self.store.drafts(case)?.iter().filter(marked).count())
    }
}

/// Those of the boxes seen in the frame that was looked at that show the same in `frame`.
fn still_there(work: &Work, frame: &Frame) -> Vec<(Area, RoleSet)> {
    let shows = |seen: &&Boxed| {
        let now = Patch::of(&frame.image, seen.area);
        let alike = seen.patch.as_ref().zip(now.as_ref());
        let alike = alike.and_then(|(then, now)| then.alike(now));
        frame.at == work.at || alike.is_some_and(|alike| alike >= SAME_PLACE)
    };
    let boxes = work.boxes.iter().filter(shows);
    boxes.map(|seen| (seen.area, seen.roles)).collect()
}
