//! The marked copy: zones, boxes with labels, and a caption band below the picture.
//!
//! The band is added below, so that it hides nothing of the picture; its text is broken into
//! as many lines as it needs, so that nothing of it is cut off.

use ab_glyph::FontVec;

use super::fonts::{Fonts, width, wrap, writable};
use super::ink::{Ink, Mask, Rect, pixel, real};
use super::planes::{SIDE_MAX, Sheet};
use crate::types::{Area, Point};

/// What is drawn on the marked copy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// The box round the subject with a short label; an empty label draws none.
    pub subject: Option<(Area, String)>,
    /// What else was seen, drawn thin and white so that nobody takes it for the subject.
    pub others: Vec<(Area, String)>,
    /// Zone outlines, corners relative to the picture.
    pub zones: Vec<Vec<Point>>,
    /// Lines below the picture, the first as a headline. Chinese only where
    /// [`super::Developer::has_cjk`]; what the font cannot write becomes `?`.
    pub caption: Vec<String>,
}

/// The band needs this width for text to be broken sensibly; smaller pictures get a margin.
const BAND_WIDTH_MIN: usize = 320;
/// Letters of the caption: this share of the width, never smaller than [`LETTER_MIN`].
const LETTERS_PER_WIDTH: f32 = 56.0;
/// Smallest legible Chinese letter, pixels.
const LETTER_MIN: f32 = 16.0;
/// Line pitch over letter height.
const PITCH: f32 = 1.3;
/// Label letters over caption letters.
const LABEL_SHARE: f32 = 0.85;
/// Lines are this share of the width thick, and at least two pixels.
const WIDTHS_PER_STROKE: f32 = 640.0;

/// The caption broken into lines, and the room it takes.
pub(super) struct Band {
    lines: Vec<(String, Ink)>,
    letter: f32,
    /// Rows to add below the picture.
    pub(super) height: usize,
}

/// Width of the sheet a picture `width` wide and its caption need.
pub(super) fn sheet_width(width: usize, mark: &Mark) -> usize {
    if mark.caption.is_empty() {
        width
    } else {
        width.max(BAND_WIDTH_MIN)
    }
}

fn letter(width: usize) -> f32 {
    (real(width) / LETTERS_PER_WIDTH).max(LETTER_MIN)
}

/// Lays the caption out for a sheet `width` wide under a picture `above` rows high.
pub(super) fn band(fonts: &Fonts, mark: &Mark, width: usize, above: usize) -> Band {
    let letter = letter(width);
    let Some(face) = fonts.face().filter(|_| !mark.caption.is_empty()) else {
        return Band {
            lines: Vec::new(),
            letter,
            height: 0,
        };
    };
    let room = real(width) - 2.0 * letter;
    let mut lines: Vec<(String, Ink)> = mark
        .caption
        .iter()
        .zip(std::iter::once(Ink::SUBJECT).chain(std::iter::repeat(Ink::WHITE)))
        .flat_map(|(text, ink)| {
            wrap(face, &writable(face, text), letter, room)
                .into_iter()
                .map(move |line| (line, ink))
        })
        .collect();
    // A JPEG ends at SIDE_MAX rows; that is hundreds of lines.
    lines.truncate(pixel(real(SIDE_MAX - above) / (letter * PITCH)).saturating_sub(2));
    let height = pixel((real(lines.len()) * PITCH + 1.0) * letter).next_multiple_of(2);
    Band {
        lines,
        letter,
        height,
    }
}

/// Draws `mark` on the top-left `size` pixels of the sheet and its caption below them.
pub(super) fn draw(
    sheet: &mut Sheet,
    mask: &mut Mask,
    fonts: &Fonts,
    mark: &Mark,
    size: (usize, usize),
) {
    let thick = (real(size.0) / WIDTHS_PER_STROKE).max(2.0);
    mask.reset(size.0, size.1);
    let thin = (thick / 2.0).max(1.5);
    for (colour, thick, shapes) in [
        (Ink::ZONE, thick, zones(mark, size, thick)),
        (Ink::WHITE, thin, boxes(&mark.others, size, thin)),
        (
            Ink::SUBJECT,
            thick,
            boxes(mark.subject.as_slice(), size, thick),
        ),
    ] {
        for (ink, thick) in [(Ink::BLACK, thick + 2.0), (colour, thick)] {
            for shape in &shapes {
                mask.outline(shape, thick);
            }
            sheet.ink(mask, ink);
        }
    }
    if let Some(face) = fonts.face() {
        labels(sheet, mask, face, mark, size);
    }
}

/// Writes the caption on the last rows of the sheet.
pub(super) fn caption(sheet: &mut Sheet, mask: &mut Mask, fonts: &Fonts, band: &Band) {
    let Some(face) = fonts.face() else {
        return;
    };
    mask.reset(sheet.width, sheet.height);
    let mut top = real(sheet.height - band.height) + band.letter / 2.0;
    for (line, ink) in &band.lines {
        mask.text(face, line, (band.letter, top), band.letter);
        sheet.ink(mask, *ink);
        top += band.letter * PITCH;
    }
}

/// A point in pixels, kept far enough inside for a line of `thick` to be seen whole.
fn place(point: Point, size: (usize, usize), thick: f32) -> (f32, f32) {
    let inside = |at: f32, side: usize| {
        let margin = thick / 2.0;
        (at * real(side)).min(real(side) - margin).max(margin)
    };
    (inside(point.x, size.0), inside(point.y, size.1))
}

type Outline = Vec<(f32, f32)>;

fn zones(mark: &Mark, size: (usize, usize), thick: f32) -> Vec<Outline> {
    let outline = |zone: &Vec<Point>| zone.iter().map(|&p| place(p, size, thick)).collect();
    mark.zones.iter().map(outline).collect()
}

fn boxes(boxes: &[(Area, String)], size: (usize, usize), thick: f32) -> Vec<Outline> {
    let corners = |a: Area| [(a.x0, a.y0), (a.x1, a.y0), (a.x1, a.y1), (a.x0, a.y1)];
    let outline = |(area, _): &(Area, String)| {
        corners(*area)
            .map(|(x, y)| place(Point { x, y }, size, thick))
            .to_vec()
    };
    boxes.iter().map(outline).collect()
}

/// Writes each label on its own plate: above its box, else below, else inside, where it covers
/// no other label.
fn labels(sheet: &mut Sheet, mask: &mut Mask, face: &FontVec, mark: &Mark, size: (usize, usize)) {
    let picture = (real(size.0), real(size.1));
    let mut taken: Vec<Rect> = Vec::new();
    let subject = mark.subject.iter().zip(std::iter::repeat(Ink::SUBJECT));
    let others = mark.others.iter().zip(std::iter::repeat(Ink::WHITE));
    let labels = subject.chain(others);
    for ((area, text), plate_ink) in labels.filter(|((_, text), _)| !text.is_empty()) {
        let text = writable(face, text);
        let wanted = letter(size.0) * LABEL_SHARE;
        let pad = wanted / 4.0;
        let wide = width(face, &text, wanted) + 2.0 * pad;
        // A label longer than the picture is written smaller rather than cut.
        let px = wanted * (picture.0 / wide).min(1.0);
        let (wide, high) = (wide.min(picture.0), px * 1.1);
        let left = (area.x0 * picture.0).min(picture.0 - wide).max(0.0);
        let (above, below) = (area.y0 * picture.1 - high, area.y1 * picture.1);
        let plate = [above, below, area.y0 * picture.1, below - high]
            .map(|top| Rect {
                x0: left,
                y0: top,
                x1: left + wide,
                y1: top + high,
            })
            .into_iter()
            .filter(|r| r.y0 >= 0.0 && r.y1 <= picture.1)
            .find(|r| !taken.iter().any(|t| t.meets(*r)))
            .unwrap_or(Rect {
                x0: left,
                y0: above.min(picture.1 - high).max(0.0),
                x1: left + wide,
                y1: above.min(picture.1 - high).max(0.0) + high,
            });
        mask.fill(plate);
        sheet.ink(mask, plate_ink);
        let inside = (plate.x0 + pad.min(wide / 8.0), plate.y0 + (high - px) / 2.0);
        mask.text(face, &text, inside, px);
        sheet.ink(mask, Ink::BLACK);
        taken.push(plate);
    }
}
