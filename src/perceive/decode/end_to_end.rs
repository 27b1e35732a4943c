//! Models that suppress inside and give finished detections, `[N, 6]` or `[1, N, 6]`.
//!
//! Columns: left, top, right, bottom in canvas pixels, score, class. ("YOLO v10", Wang et
//! al., arXiv:2405.14458, section 3.1, and RT-DETR exports give it so.) Unused rows have score 0.

use super::{Raw, Sink};

/// Columns of a row.
const COLUMNS: usize = 6;

/// Refuses shapes that do not end in six columns.
pub(super) fn check(shape: &[i64]) -> Result<(), String> {
    match shape {
        [_, 6] | [1, _, 6] => Ok(()),
        _ => Err(format!(
            "format end_to_end wants [N, 6] or [1, N, 6], the model gives {shape:?}"
        )),
    }
}

/// Decodes one frame.
pub(super) fn decode(raw: Raw<'_>, sink: &mut Sink<'_>) {
    let (rows, _) = raw.data.as_chunks::<COLUMNS>();
    for [x0, y0, x1, y1, score, class] in rows {
        if let Some(class) = class_index(*class) {
            sink.put(class, *score, [*x0, *y0, *x1, *y1]);
        }
    }
}

/// The class a float stands for.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to lie in the range of u16 before"
)]
fn class_index(class: f32) -> Option<u16> {
    let class = class.round();
    (class >= 0.0 && class <= f32::from(u16::MAX)).then_some(class as u16)
}
