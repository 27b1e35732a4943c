//! What the keeper remembers of an open case beside its files: kept in the store with them, so
//! that a restart between two pictures forgets nothing.

use serde::{Deserialize, Serialize};

use crate::develop::{Glance, stillness};
use crate::types::{
    Area, Frame, PictureOf, Quality, ShotKind, Stamp, Stillness, TimeSource, Violation,
};
use crate::witness::{FileEntry, Omitted};

use super::circumstances::Circumstances;
use super::ends::End;

/// The notes of one case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Notes {
    /// What is missing, and why.
    pub(super) omitted: Vec<Omitted>,
    /// What was measured on each original.
    pictures: Vec<Picture>,
    /// When the clip begins; an older program did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) clip: Option<Stamp>,
    /// The first picture, for comparing with the last.
    first: Option<Glance>,
    /// How the latest picture lies on the first; `None` before there are two.
    pub(super) stillness: Option<Stillness>,
    /// What was so at the moment of a violation that is recorded at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) peak: Option<Circumstances>,
    /// How the case ended, while it waits for the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
}

/// One original.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Picture {
    name: String,
    kind: ShotKind,
    /// When it was taken; an older program did not note it.
    #[serde(default)]
    at: Option<Stamp>,
    /// Where that is from; an older program did not note it.
    #[serde(default)]
    capture_source: Option<TimeSource>,
    quality: Option<Quality>,
    /// The middle of what it shows, both in shares of the picture's width.
    centre: (f32, f32),
}

impl Notes {
    /// The notes as the store kept them; what cannot be read was written by another version, and
    /// its facts count as unknown.
    pub(super) fn read(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// The text for the store.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("invariant: the notes are plain data")
    }

    /// Notes a picture; one noted before under the same name was never kept, and is replaced.
    pub(super) fn add(&mut self, name: String, kind: ShotKind, shown: &Shown) {
        self.pictures.retain(|p| p.name != name);
        self.pictures.push(Picture {
            name,
            kind,
            at: Some(shown.at),
            capture_source: Some(shown.capture_source),
            quality: shown.quality,
            centre: shown.centre,
        });
        match (&self.first, &shown.glance) {
            (None, glance) => self.first.clone_from(glance),
            (Some(first), glance) => {
                self.stillness = glance.as_ref().and_then(|last| stillness(first, last));
            }
        }
    }

    /// When each of the pictures was taken, and when the clip begins if it is among `files`; `None`:
    /// nobody noted it.
    pub(super) fn moments(&self, files: &[FileEntry]) -> impl Iterator<Item = Option<Stamp>> {
        let clip = files.iter().any(|f| f.name == "clip.mp4");
        let pictures = self.pictures.iter().map(|p| p.at);
        pictures.chain(clip.then_some(self.clip))
    }

    /// Where the times of its pictures come from, `None` when they differ; of pictures of which nobody
    /// noted it, and of none, what is known `otherwise`.
    pub(super) fn capture_source(&self, otherwise: Option<TimeSource>) -> Option<TimeSource> {
        let mut sources: Vec<_> = self.pictures.iter().map(|p| p.capture_source).collect();
        sources.dedup();
        match sources[..] {
            [] | [None] => otherwise,
            [one] => one,
            _ => None,
        }
    }

    /// What the keeper noted, and what is not there though nobody noted it: a crash or a full disk
    /// came between. `ascii`: whether captions say only what needs no Chinese.
    pub(super) fn missing(
        &self,
        violation: Option<Violation>,
        files: &[FileEntry],
        ascii: bool,
    ) -> Vec<Omitted> {
        let mut list = self.omitted.clone();
        if ascii {
            list.push(Omitted {
                what: "captions in Chinese".to_owned(),
                why: "the box has no font with Chinese characters".to_owned(),
            });
        }
        let pictures: &[ShotKind] = match violation.map(Violation::warns_first) {
            Some(true) => &[ShotKind::Found, ShotKind::Warned, ShotKind::Again],
            Some(false) => &[ShotKind::Before, ShotKind::Peak, ShotKind::After],
            None => &[ShotKind::Asked],
        };
        let pictures = pictures.iter().map(|kind| format!("-{}.jpg", kind.name()));
        let others = ["clip.mp4", "detections.jsonl"].map(str::to_owned);
        for ending in pictures.chain(others) {
            let there = files.iter().any(|f| f.name.ends_with(&ending));
            if !there && !list.iter().any(|o| o.what.ends_with(&ending)) {
                let what = if ending.starts_with('-') {
                    format!("frames/*{ending}")
                } else {
                    ending
                };
                let why = "no picture came in time, the daemon was restarted, or the disk could \
                           not take it"
                    .to_owned();
                list.push(Omitted { what, why });
            }
        }
        list
    }

    /// The files with what their pictures show, how good they are, and who dated them.
    pub(super) fn described(&self, mut files: Vec<FileEntry>) -> Vec<FileEntry> {
        for file in files.iter_mut().filter(|f| f.media_type == "image/jpeg") {
            let name = file.name.strip_suffix(".jpg").unwrap_or(&file.name);
            let (of, original) = if let Some(original) = name.strip_suffix("-marked") {
                (PictureOf::Marked, original)
            } else if let Some(original) = name.strip_suffix("-close") {
                (PictureOf::Close, original)
            } else {
                (PictureOf::Original, name)
            };
            let is_it = |p: &&Picture| p.name.strip_suffix(".jpg") == Some(original);
            let noted = self.pictures.iter().find(is_it);
            file.capture_source = noted.and_then(|p| p.capture_source);
            let measured = noted.filter(|_| of == PictureOf::Original);
            file.quality = measured.and_then(|p| p.quality);
            file.of = Some(of);
        }
        files
    }

    /// How far what moves moved between its two pictures, thousandths of the width.
    pub(super) fn moved_permille(&self) -> Option<u32> {
        let centre = |kind| {
            self.pictures
                .iter()
                .find(|p| p.kind == kind)
                .map(|p| p.centre)
        };
        let (before, moved) = (centre(ShotKind::Before)?, centre(ShotKind::Moved)?);
        let share = (moved.0 - before.0).hypot(moved.1 - before.1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a picture's width, rounded down for the vendor; casts saturate"
        )]
        let permille = (share * 1000.0) as u32;
        share.is_finite().then_some(permille)
    }
}

/// What is remembered of one picture.
pub(super) struct Shown {
    pub(super) at: Stamp,
    pub(super) capture_source: TimeSource,
    pub(super) quality: Option<Quality>,
    pub(super) centre: (f32, f32),
    pub(super) glance: Option<Glance>,
}

impl Shown {
    /// Measures `frame` at `place`; `busy` is everything in it that may move by itself.
    pub(super) fn of(frame: &Frame, place: Area, busy: Vec<Area>) -> Self {
        let image = &frame.image;
        #[expect(clippy::cast_precision_loss, reason = "sides of a picture")]
        let aspect = image.height as f32 / image.width.max(1) as f32;
        let centre = place.centre();
        Self {
            at: frame.at,
            capture_source: frame.time_source,
            quality: crate::develop::measure(image, place),
            centre: (centre.x, centre.y * aspect),
            glance: Glance::at(image, busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::Moments;

    fn shown(x: f32, focus: u32) -> Shown {
        Shown {
            at: Stamp {
                utc_ns: i64::from(focus),
                boot_ns: 1,
                error_ns: 2,
            },
            capture_source: TimeSource::Arrival,
            quality: Some(Quality {
                focus,
                exposure: 100,
                clipped_permille: 0,
                subject_px: 60,
            }),
            centre: (x, 0.25),
            glance: None,
        }
    }

    #[test]
    fn what_is_noted_survives_the_store() {
        let mut notes = Notes::default();
        notes.add(
            "frames/01-before.jpg".to_owned(),
            ShotKind::Before,
            &shown(0.4, 500),
        );
        notes.add(
            "frames/02-moved.jpg".to_owned(),
            ShotKind::Moved,
            &shown(0.1, 400),
        );
        let again = Notes::read(Some(&notes.text()));
        assert_eq!(again, notes);
        assert_eq!(again.moved_permille(), Some(300));
        assert_eq!(focus(&again, "frames/02-moved.jpg"), Some(400));
        assert_eq!(focus(&again, "frames/03-peak.jpg"), None);
        let taken = again.moments(&[]).map(|at| at.map(|at| at.utc_ns));
        assert_eq!(taken.collect::<Vec<_>>(), [Some(500), Some(400)]);
    }

    /// What a package says of the sharpness of the picture `name`.
    fn focus(notes: &Notes, name: &str) -> Option<u32> {
        let files = notes.described(vec![jpeg(name)]);
        files[0].quality.map(|q| q.focus)
    }

    fn jpeg(name: &str) -> FileEntry {
        FileEntry {
            name: name.to_owned(),
            media_type: "image/jpeg".to_owned(),
            ..clip()
        }
    }

    /// A camera whose clock is believed from its second picture on.
    #[test]
    fn each_picture_says_who_dated_it_and_the_clock_what_all_have() {
        let (arrival, camera) = (TimeSource::Arrival, TimeSource::RtcpSenderReport);
        let mut notes = Notes::default();
        assert_eq!(notes.capture_source(Some(camera)), Some(camera));
        for (name, kind, capture_source, common) in [
            ("frames/01-found", ShotKind::Found, arrival, Some(arrival)),
            ("frames/02-warned", ShotKind::Warned, arrival, Some(arrival)),
            ("frames/03-again", ShotKind::Again, camera, None),
        ] {
            let shown = Shown {
                capture_source,
                ..shown(0.5, 500)
            };
            notes.add(format!("{name}.jpg"), kind, &shown);
            // Whatever detection looks at.
            assert_eq!(notes.capture_source(Some(camera)), common, "{name}");
            let names = ["", "-close", "-marked"].map(|of| jpeg(&format!("{name}{of}.jpg")));
            for file in notes.described(names.to_vec()) {
                assert_eq!(file.capture_source, Some(capture_source), "{}", file.name);
            }
        }
        assert_eq!(notes.described(vec![clip()])[0].capture_source, None);
    }

    /// The clock of a box that has just booted is set between the clip's first frame and the first
    /// picture.
    #[test]
    fn the_clip_begins_at_a_moment_that_counts() {
        const STEP_NS: i64 = 9_000_000_000;
        let mut notes = Notes::default();
        let first = shown(0.4, 500);
        notes.clip = Some(Stamp {
            utc_ns: first.at.utc_ns - STEP_NS,
            ..first.at
        });
        notes.add("frames/01-peak.jpg".to_owned(), ShotKind::Peak, &first);
        let notes = Notes::read(Some(&notes.text()));
        let moved_ms = |files: &[FileEntry]| {
            let moments: Vec<Stamp> = notes.moments(files).flatten().collect();
            Moments::of(&moments).moved_ms
        };
        assert_eq!((moved_ms(&[clip()]), moved_ms(&[])), (9_000, 0));
        assert_eq!(
            Notes::default().moments(&[clip()]).collect::<Vec<_>>(),
            [None],
            "one that nobody noted"
        );
    }

    fn clip() -> FileEntry {
        FileEntry {
            name: "clip.mp4".to_owned(),
            media_type: "video/mp4".to_owned(),
            size: 1,
            sha256: "ab".repeat(32),
            at: None,
            pts_ns: None,
            capture_source: None,
            of: None,
            quality: None,
        }
    }

    #[test]
    fn a_picture_taken_again_replaces_its_note() {
        let mut notes = Notes::default();
        for focus in [300, 700] {
            notes.add(
                "frames/01-found.jpg".to_owned(),
                ShotKind::Found,
                &shown(0.5, focus),
            );
        }
        assert_eq!(notes.pictures.len(), 1);
        assert_eq!(focus(&notes, "frames/01-found.jpg"), Some(700));
        assert_eq!(notes.moved_permille(), None, "nothing moved");
    }

    #[test]
    fn what_older_notes_do_not_say_is_unknown_and_nothing_else_is_lost() {
        let text = r#"{"omitted":[{"what":"clip.mp4","why":"no room"}],"pictures":[{"name":
            "frames/01-before.jpg","kind":"before","quality":null,"centre":[0.25,0.5]}],
            "first":null,"stillness":null}"#;
        let notes = Notes::read(Some(text));
        assert_eq!(notes.omitted.len(), 1);
        assert_eq!(notes.moments(&[]).collect::<Vec<_>>(), [None]);
        let known = Some(TimeSource::Arrival);
        assert_eq!(notes.capture_source(known), known);
        assert_eq!((notes.peak, notes.end), (None, None));
    }

    #[test]
    fn the_notes_of_another_version_are_unknown_facts() {
        for text in [
            None,
            Some(""),
            Some("[{\"what\":\"clip.mp4\"}]"),
            Some("17"),
        ] {
            assert_eq!(Notes::read(text), Notes::default(), "{text:?}");
        }
    }
}
