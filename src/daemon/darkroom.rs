//! The keeper's pictures: which frame, what is measured on it, which files are made of it.

use std::time::Duration;

use crate::develop::{Choice, DevelopError, SAME_PLACE, alike};
use crate::ingest::IngestError;
use crate::store::{Draft, StoreError};
use crate::types::{Area, CaseId, Frame, Order, Outcome, RoleSet, ShotKind, Stamp, Violation};
use crate::witness::{self, FileEntry, Omitted, check_code};

use super::credentials::{Credits, Made};
use super::dossier::View;
use super::keeper::{Keeper, Work};
use super::notes::{Notes, Shown};

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
    /// Makes the picture that was ordered.
    pub(super) fn snap(
        &mut self,
        order: &Order,
        work: &Work,
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
        self.shoot(&shot, work, book)
    }

    /// Makes the files of one picture and keeps them with what was measured.
    pub(super) fn shoot(
        &mut self,
        shot: &Shot<'_>,
        work: &Work,
        book: Option<&str>,
    ) -> Result<(), StoreError> {
        let Shot { case, place, .. } = *shot;
        let kind = shot.kind;
        let stem = format!("frames/{:02}-{}", self.pictures(case)? + 1, kind.name());
        if kind == ShotKind::Peak {
            let now = self.circumstances(work, shot.at, (shot.zone, shot.violation));
            self.note_peak(case, now)?;
        }
        let (frame, stream) = match self.frame(work, shot.at, place) {
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
    /// is at that moment, as far as the ring holds them.
    fn frame(&self, work: &Work, at: Stamp, place: Area) -> Result<(Frame, Stream), IngestError> {
        let limits = &self.facts.config.evidence;
        let around = Duration::try_from_secs_f64(limits.best_of_secs).unwrap_or_default();
        let camera = &self.cameras[work.camera];
        if !around.is_zero() {
            let mut choice = Choice::of(at, place, limits);
            let looked = camera.frames_round(at, around, CHOICE_MAX, |frame| choice.look(&frame));
            if let Err(error) = looked {
                tracing::debug!(%error, "no frames to choose from");
            }
            let chosen = choice.chosen();
            let again =
                |(at, held): (Stamp, Option<Frame>)| held.or_else(|| camera.full_frame(at).ok());
            if let Some(frame) = chosen.and_then(again) {
                return Ok((frame, Stream::Main));
            }
        }
        self.own_frame(work, at)
    }

    /// The frame of moment `at` itself: the one at hand when it is that, else decoded from the
    /// ring; the substream's, at hand, when the ring does not have it.
    fn own_frame(&self, work: &Work, at: Stamp) -> Result<(Frame, Stream), IngestError> {
        let at_hand = work.frame.as_ref().filter(|frame| frame.at == at);
        if let Some(frame) = at_hand
            && !self.facts.detects_on_substream(work.camera)
        {
            return Ok((frame.clone(), Stream::Main));
        }
        match (self.cameras[work.camera].full_frame(at), at_hand) {
            (Err(error), Some(frame)) => {
                tracing::warn!(%error, "picture made from the substream");
                Ok((frame.clone(), Stream::Sub))
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

/// Those of the boxes seen in the frame at hand that show the same in `frame`.
fn still_there(work: &Work, frame: &Frame) -> Vec<(Area, RoleSet)> {
    if frame.at == work.at {
        return work.boxes.clone();
    }
    let Some(at_hand) = &work.frame else {
        return Vec::new();
    };
    let shows = |area: Area| {
        let alike = alike(&at_hand.image, &frame.image, area);
        alike.is_some_and(|alike| alike >= SAME_PLACE)
    };
    let boxes = work.boxes.iter().filter(|(area, _)| shows(*area));
    boxes.copied().collect()
}
