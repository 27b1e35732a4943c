//! The YOLO family without suppression: raw grid cells (YOLOX) or decoded boxes (v5, v8).
//!
//! All boxes are centre and size in canvas pixels, scores have been through the sigmoid.
//!
//! * YOLOX, `[1, N, 5 + C]`, x, y, w, h, objectness, classes per cell; cells level by level,
//!   row-major: `cx = (x + gx) s`, `cy = (y + gy) s`, `w = e^w s`, `h = e^h s`, score =
//!   objectness · class. (Ge et al.: "YOLOX", arXiv:2107.08430, section 2.1; the authors'
//!   `demo_postprocess` says the same.)
//! * YOLO v5 and those like it, `[1, N, 5 + C]`: the same columns, boxes decoded inside.
//! * YOLO v8 and those like it, `[1, 4 + C, N]`: box rows, then class rows; no objectness.

use super::{Layout, Raw, Sink, any_reaches, best, check_classes};

/// Columns before the class scores where there is an objectness.
const BEFORE_CLASSES: usize = 5;
/// Rows before the class scores where there is none.
const BOX_ROWS: usize = 4;

/// One cell of YOLOX's grids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    x: f32,
    y: f32,
    stride: f32,
}

/// All cells of a canvas, in the tensor's order.
#[expect(
    clippy::cast_precision_loss,
    reason = "a canvas side is far below 2^24"
)]
pub(super) fn cells(strides: &[usize], width: usize, height: usize) -> Vec<Cell> {
    let level = |stride: &usize| {
        let s = *stride;
        let row = move |y: usize| {
            (0..width / s).map(move |x| Cell {
                x: x as f32,
                y: y as f32,
                stride: s as f32,
            })
        };
        (0..height / s).flat_map(row)
    };
    strides.iter().flat_map(level).collect()
}

/// Refuses a shape that is not `[1, cells, 5 + classes]`.
pub(super) fn check_grid(shape: &[i64], cells: usize, classes: usize) -> Result<(), String> {
    let [1, n, columns] = shape else {
        return Err(format!(
            "format yolox wants [1, {cells}, {}], the model gives {shape:?}",
            classes + BEFORE_CLASSES
        ));
    };
    if usize::try_from(*n) != Ok(cells) {
        return Err(format!(
            "the card's strides make {cells} cells of its input, the model gives {n}"
        ));
    }
    let model = usize::try_from(*columns).unwrap_or(0);
    check_classes(model.saturating_sub(BEFORE_CLASSES), classes)
}

/// Tells v5's rows from v8's columns by where the classes are.
pub(super) fn layout(shape: &[i64], classes: usize) -> Result<Layout, String> {
    let (rows, columns) = (classes + BEFORE_CLASSES, classes + BOX_ROWS);
    let size = |x: i64| usize::try_from(x).unwrap_or(0);
    match shape {
        [1, _, c] if size(*c) == rows => Ok(Layout::YoloRows),
        [1, c, n] if size(*c) == columns => Ok(Layout::YoloColumns { boxes: size(*n) }),
        _ => Err(format!(
            "format yolo with the card's {classes} labels wants [1, N, {rows}] or \
             [1, {columns}, N], the model gives {shape:?}"
        )),
    }
}

/// Decodes YOLOX's cells.
pub(super) fn decode_grid(raw: Raw<'_>, cells: &[Cell], sink: &mut Sink<'_>) {
    let columns = sink.roles.len() + BEFORE_CLASSES;
    for (row, cell) in raw.data.chunks_exact(columns).zip(cells) {
        let Some((class, score)) = passing(row, sink) else {
            continue;
        };
        let s = cell.stride;
        let centred = [
            (row[0] + cell.x) * s,
            (row[1] + cell.y) * s,
            row[2].exp() * s,
            row[3].exp() * s,
        ];
        sink.put_centred(class, score, centred);
    }
}

/// Decodes rows of finished boxes with an objectness.
pub(super) fn decode_rows(raw: Raw<'_>, sink: &mut Sink<'_>) {
    let columns = sink.roles.len() + BEFORE_CLASSES;
    for row in raw.data.chunks_exact(columns) {
        if let Some((class, score)) = passing(row, sink) {
            sink.put_centred(class, score, [row[0], row[1], row[2], row[3]]);
        }
    }
}

/// The best class of a row and its score, when objectness alone does not rule it out.
fn passing(row: &[f32], sink: &Sink<'_>) -> Option<(u16, f32)> {
    let objectness = row[BOX_ROWS];
    // A product of two fractions is no larger than either.
    if objectness.is_nan() || objectness < sink.floor {
        return None;
    }
    let (class, score) = best(&row[BEFORE_CLASSES..])?;
    Some((class, objectness.min(1.0) * score))
}

/// Decodes columns: `boxes` values of x, then y, w, h, then of each class.
pub(super) fn decode_columns(raw: Raw<'_>, boxes: usize, sink: &mut Sink<'_>) {
    let at = |row: usize, i: usize| raw.data.get(row * boxes + i).copied();
    for (class, _) in (0..).zip(sink.roles) {
        let start = (BOX_ROWS + usize::from(class)) * boxes;
        let Some(scores) = raw.data.get(start..start + boxes) else {
            return;
        };
        if !any_reaches(scores, sink.floor) {
            continue;
        }
        for (i, score) in scores.iter().enumerate() {
            if score.is_nan() || *score < sink.floor {
                continue;
            }
            // A box counts once, for the class it scores best in, the first of equals.
            let beaten = (0..).zip(sink.roles).any(|(other, _): (u16, _)| {
                at(BOX_ROWS + usize::from(other), i)
                    .is_some_and(|s| s > *score || (s >= *score && other < class))
            });
            if let (false, Some(x), Some(y), Some(w), Some(h)) =
                (beaten, at(0, i), at(1, i), at(2, i), at(3, i))
            {
                sink.put_centred(class, *score, [x, y, w, h]);
            }
        }
    }
}
