//! Raw output tensors to detections.
//!
//! One file per layout turns numbers into boxes on the canvas; what is common to all, thresholds,
//! the way back to the picture and non-maximum suppression, is here. Scores are looked at first
//! and boxes computed only for the few that pass: most of the work is to say no quickly.
//!
//! **Invariants.** Any floats may come in, NaN and infinities among them: a value that is no
//! number is no detection. What goes out lies inside the picture, has an area, a score in
//! 0..=1 that reaches the floor, and a label of the card; what has a role comes first, then the best
//! score; there are at most [`DETECTIONS_MAX`].
//!
//! **Not here.** No runtime: this works on slices. No tracking.

mod efficientdet;
mod end_to_end;
mod yolo;

use crate::types::{Area, Detection, RoleSet};

use super::card::{Card, Format};
use super::letterbox::Fit;

/// More boxes above the floor than this mean noise: the best of them are kept before they are
/// compared pair by pair.
const CANDIDATES_MAX: usize = 1024;
/// Detections in one frame at most; a street shows fewer.
const DETECTIONS_MAX: usize = 128;
/// Floats compared at a time when scores are scanned.
const LANES: usize = 8;

/// One output tensor.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// Its dimensions.
    pub shape: &'a [i64],
    /// Its values, row-major.
    pub data: &'a [f32],
}

/// How the tensors are to be read, found out once from their shapes.
#[derive(Debug)]
enum Layout {
    EfficientDet,
    Yolox(Vec<yolo::Cell>),
    YoloRows,
    YoloColumns { boxes: usize },
    EndToEnd,
}

/// Decodes the outputs of one model.
#[derive(Debug)]
pub struct Decoder {
    layout: Layout,
    canvas: (f32, f32),
    floor: f32,
    nms_iou: f32,
    /// What the classes mean, by index.
    roles: Vec<RoleSet>,
}

impl Decoder {
    /// A decoder for tensors of `shapes`, in the order of [`Format::outputs`].
    ///
    /// # Errors
    /// What the shapes should have been, when they do not fit the card's format and labels.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a canvas side is far below 2^24"
    )]
    pub fn new(card: &Card, shapes: &[Vec<i64>]) -> Result<Self, String> {
        let roles: Vec<RoleSet> = card.labels().iter().map(|label| label.roles).collect();
        let shape = |i: usize| shapes.get(i).map_or(&[][..], Vec::as_slice);
        let count = roles.len();
        let (width, height) = (card.input().width, card.input().height);
        let layout = match card.format() {
            Format::EfficientDet { .. } => {
                efficientdet::check(shape(0), shape(1), count)?;
                Layout::EfficientDet
            }
            Format::Yolox { strides, .. } => {
                let cells = yolo::cells(strides, width, height);
                yolo::check_grid(shape(0), cells.len(), count)?;
                Layout::Yolox(cells)
            }
            Format::Yolo { .. } => yolo::layout(shape(0), count)?,
            Format::EndToEnd { .. } => {
                end_to_end::check(shape(0))?;
                Layout::EndToEnd
            }
        };
        Ok(Self {
            layout,
            canvas: (width as f32, height as f32),
            floor: card.score_floor(),
            nms_iou: card.nms_iou(),
            roles,
        })
    }

    /// The detections of one frame, best first, those of a label without a role behind the others;
    /// `outputs` in the order of [`Format::outputs`], `fit` from the letterbox that drew the frame.
    pub fn decode(&self, outputs: &[Raw<'_>], fit: Fit) -> Vec<Detection> {
        let mut found = Vec::new();
        let mut sink = Sink {
            fit,
            floor: self.floor,
            roles: &self.roles,
            found: &mut found,
        };
        match (&self.layout, outputs) {
            (Layout::EfficientDet, [boxes, scores, ..]) => {
                efficientdet::decode(*boxes, *scores, self.canvas, &mut sink);
            }
            (Layout::Yolox(cells), [raw, ..]) => yolo::decode_grid(*raw, cells, &mut sink),
            (Layout::YoloRows, [raw, ..]) => yolo::decode_rows(*raw, &mut sink),
            (Layout::YoloColumns { boxes }, [raw, ..]) => {
                yolo::decode_columns(*raw, *boxes, &mut sink);
            }
            (Layout::EndToEnd, [raw, ..]) => end_to_end::decode(*raw, &mut sink),
            _ => {}
        }
        suppress(&mut found, self.nms_iou);
        found
    }
}

/// Takes boxes on the canvas, keeps those worth keeping, relative to the picture.
struct Sink<'a> {
    fit: Fit,
    floor: f32,
    roles: &'a [RoleSet],
    found: &'a mut Vec<Detection>,
}

impl Sink<'_> {
    /// Takes one box, edges in canvas pixels: left, top, right, bottom.
    fn put(&mut self, class: u16, score: f32, edges: [f32; 4]) {
        let Some(&roles) = self.roles.get(usize::from(class)) else {
            return;
        };
        if !(score >= self.floor && edges.iter().all(|e| e.is_finite())) {
            return;
        }
        let area = self.fit.to_picture(edges);
        if area.width() > 0.0 && area.height() > 0.0 {
            self.found.push(Detection {
                label: class,
                roles,
                score: score.min(1.0),
                area,
            });
        }
    }

    /// Takes one box by its centre and size, canvas pixels.
    fn put_centred(&mut self, class: u16, score: f32, [x, y, w, h]: [f32; 4]) {
        let (dx, dy) = (w / 2.0, h / 2.0);
        self.put(class, score, [x - dx, y - dy, x + dx, y + dy]);
    }
}

/// Refuses a model whose number of classes is not the card's number of labels.
fn check_classes(model: usize, card: usize) -> Result<(), String> {
    if model == card {
        return Ok(());
    }
    Err(format!(
        "the model knows {model} classes, its card has {card} labels"
    ))
}

/// The class with the highest of `scores`, the first of equals; NaN is nobody's score.
///
/// All classes compete, those without a role too: what the model would rather call a bench is
/// not reported as a chair, only because no rule cares for benches.
fn best(scores: &[f32]) -> Option<(u16, f32)> {
    let mut best = None;
    for (class, score) in (0..).zip(scores) {
        if best.is_none_or(|(_, b)| *score > b) && !score.is_nan() {
            best = Some((class, *score));
        }
    }
    best
}

/// Whether any of `scores` reaches `floor`; NaN does not.
fn any_reaches(scores: &[f32], floor: f32) -> bool {
    let (blocks, rest) = scores.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for (most, score) in most.iter_mut().zip(block) {
            // One vector instruction; `f32::max` would need three to treat NaN its own way.
            *most = if *score > *most { *score } else { *most };
        }
    }
    most.iter().chain(rest).any(|score| *score >= floor)
}

/// Greedy non-maximum suppression: of boxes that mean the same to the rules and overlap more
/// than `iou`, the best stays.
///
/// "The same" is the set of roles, not the label: where a model says both "bus" and "truck" of
/// one vehicle, and the card calls both a truck, there is one truck.
pub(super) fn suppress(found: &mut Vec<Detection>, iou: f32) {
    // Where there are too many, what a rule may ask for goes before what none asks for.
    let better = |a: &Detection, b: &Detection| {
        let roles = a.roles.is_empty().cmp(&b.roles.is_empty());
        roles.then(b.score.total_cmp(&a.score))
    };
    if found.len() > CANDIDATES_MAX {
        // Ties at the cut fall as the input's order has it; equal input, equal output.
        found.select_nth_unstable_by(CANDIDATES_MAX, better);
        found.truncate(CANDIDATES_MAX);
    }
    found.sort_by(|a, b| better(a, b).then_with(|| order(a.area, b.area)));
    let mut kept = 0;
    for i in 0..found.len() {
        let candidate = found[i];
        let (before, _) = found.split_at(kept);
        let hidden = before
            .iter()
            .any(|k| k.roles == candidate.roles && k.area.iou(candidate.area) > iou);
        if !hidden {
            found[kept] = candidate;
            kept += 1;
        }
    }
    found.truncate(kept.min(DETECTIONS_MAX));
}

/// Any fixed order of areas, so that equal scores come out the same whatever came in first.
fn order(a: Area, b: Area) -> std::cmp::Ordering {
    (a.x0.total_cmp(&b.x0))
        .then(a.y0.total_cmp(&b.y0))
        .then(a.x1.total_cmp(&b.x1))
        .then(a.y1.total_cmp(&b.y1))
}

#[cfg(test)]
mod tests;
