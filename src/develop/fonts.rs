//! A font that can write the captions, and how text is measured and broken with it.

use std::path::{Path, PathBuf};

use ab_glyph::{Font as _, FontRef, FontVec, PxScale, ScaleFont as _};
use fontdb::{Database, FaceInfo, Source, Style};

use super::DevelopError;

/// A font that has these can write a Chinese caption (simplified characters that Japanese and
/// traditional-only fonts lack among them).
const PROBE: &str = "综合行政执法局占道经营店外流动摊贩遗撒告诫复查北纬东经°，：";

/// Families made for simplified Chinese, best first; Debian ships the first three.
const PREFERRED: [&str; 5] = [
    "Noto Sans CJK SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Source Han Sans SC",
    "Droid Sans Fallback",
];

/// Faces looked for in one font file; collections hold about ten.
const FACES_MAX: u32 = 64;

/// Must not begin a line.
const CLOSING: &str = "，。、；：！？）》」』】〕”’…·%°";
/// Must not end a line.
const OPENING: &str = "（《「『【〔“‘";

/// The caption font, or none when the box has no font at all. Its data, some megabytes, are in
/// memory only while pictures are made.
pub(super) struct Fonts {
    /// The file, and which of its faces.
    file: Option<(PathBuf, u32)>,
    cjk: bool,
    face: Option<FontVec>,
}

impl Fonts {
    /// Finds the face in `path`, or, when it is empty, the best font fontconfig's folders hold.
    pub(super) fn open(path: &Path) -> Result<Self, DevelopError> {
        let file = if path.as_os_str().is_empty() {
            search()
        } else {
            let data = read(path)?;
            let index = (0..FACES_MAX)
                .map_while(|i| Some((i, FontRef::try_from_slice_and_index(&data, i).ok()?)))
                .find(|(_, face)| can_write(face, PROBE))
                .map_or(0, |(i, _)| i);
            Some((path.to_owned(), index))
        };
        let mut fonts = Self {
            file,
            cjk: false,
            face: None,
        };
        fonts.fetch()?;
        fonts.cjk = fonts.face().is_some_and(|f| can_write(f, PROBE));
        fonts.release();
        Ok(fonts)
    }

    /// Whether Chinese can be written.
    pub(super) fn has_cjk(&self) -> bool {
        self.cjk
    }

    /// Whether anything can be written.
    pub(super) fn has_any(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the font's data, unless they are at hand.
    pub(super) fn fetch(&mut self) -> Result<(), DevelopError> {
        if let (None, Some((path, index))) = (&self.face, &self.file) {
            let face = FontVec::try_from_vec_and_index(read(path)?, *index);
            self.face = Some(face.map_err(|_e| unusable(path, "not a TrueType or OpenType font"))?);
        }
        Ok(())
    }

    /// Gives the data back.
    pub(super) fn release(&mut self) {
        self.face = None;
    }

    /// The face, when there is one and it was fetched.
    pub(super) fn face(&self) -> Option<&FontVec> {
        self.face.as_ref()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, DevelopError> {
    std::fs::read(path).map_err(|e| unusable(path, &e.to_string()))
}

fn unusable(path: &Path, reason: &str) -> DevelopError {
    DevelopError::Font {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// File and index of the best face installed.
fn search() -> Option<(PathBuf, u32)> {
    let mut db = Database::new();
    db.load_system_fonts();
    let mut faces: Vec<&FaceInfo> = db.faces().collect();
    faces.sort_by_cached_key(|f| {
        let family = PREFERRED
            .iter()
            .position(|p| f.families.iter().any(|(name, _)| name == p));
        (
            family.unwrap_or(PREFERRED.len()),
            f.style != Style::Normal,
            f.weight.0.abs_diff(fontdb::Weight::NORMAL.0),
            f.monospaced,
            f.post_script_name.clone(),
        )
    });
    let writes = |face: &FaceInfo, text: &str| {
        let probe = |data: &[u8], index| {
            FontRef::try_from_slice_and_index(data, index).is_ok_and(|f| can_write(&f, text))
        };
        db.with_face_data(face.id, probe).unwrap_or(false)
    };
    let best = faces.iter().find(|f| writes(f, PROBE));
    let face = best.or_else(|| faces.iter().find(|f| writes(f, "Aa09")))?;
    match &face.source {
        Source::File(path) | Source::SharedFile(path, _) => Some((path.clone(), face.index)),
        Source::Binary(_) => None,
    }
}

fn can_write(face: &impl ab_glyph::Font, text: &str) -> bool {
    text.chars().all(|c| face.glyph_id(c).0 != 0)
}

/// `text` with what the face cannot draw replaced, so that no empty box stands for a word.
pub(super) fn writable(face: &FontVec, text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .map(|c| if face.glyph_id(c).0 == 0 { '?' } else { c })
        .collect()
}

fn advance(face: &FontVec, c: char, px: f32) -> f32 {
    let scaled = face.as_scaled(PxScale::from(px));
    scaled.h_advance(scaled.glyph_id(c))
}

/// Width of `text` in pixels.
pub(super) fn width(face: &FontVec, text: &str, px: f32) -> f32 {
    text.chars().map(|c| advance(face, c, px)).sum()
}

/// Breaks `text` into lines no wider than `room` pixels: between words and Chinese characters,
/// within a word only when it is longer than a line.
pub(super) fn wrap(face: &FontVec, text: &str, px: f32, room: f32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0.0;
    // Where the line may be broken: byte length and width of what stays.
    let mut may_break = (0, 0.0);
    for c in text.chars() {
        let step = advance(face, c, px);
        if line.chars().next_back().is_some_and(|last| breaks(last, c)) {
            may_break = (line.len(), used);
        }
        if used + step > room && !line.is_empty() {
            let (at, stays) = if may_break.0 == 0 {
                (line.len(), used)
            } else {
                may_break
            };
            let rest = line.split_off(at);
            lines.push(line.trim_end().to_owned());
            line = rest;
            used -= stays;
            may_break = (0, 0.0);
        }
        if line.is_empty() && c == ' ' {
            continue;
        }
        line.push(c);
        used += step;
    }
    lines.push(line);
    lines
}

/// Whether a line may end with `last` and the next begin with `next`.
fn breaks(last: char, next: char) -> bool {
    let wide = |c: char| c >= '\u{2e80}';
    !CLOSING.contains(next)
        && !OPENING.contains(last)
        && next != ' '
        && (last == ' ' || wide(last) || wide(next))
}
