//! EfficientDet with its anchors decoded inside the model: boxes and class scores side by side.
//!
//! `boxes` `[1, N, 4]` are left, top, right, bottom as fractions of the canvas, `scores`
//! `[1, N, C]` have been through the sigmoid. (Tan, Pang, Le: "EfficientDet: Scalable and
//! Efficient Object Detection", arXiv:1911.09070, section 4.3; the order of the edges is that of
//! our converter in `models/convert`, the original's is top, left, bottom, right.)

use super::{Raw, Sink, any_reaches, best};

/// Refuses shapes that are not `[1, N, 4]` and `[1, N, classes]`.
pub(super) fn check(boxes: &[i64], scores: &[i64], classes: usize) -> Result<(), String> {
    let ([1, n, 4], [1, m, c]) = (boxes, scores) else {
        return Err(format!(
            "format efficientdet wants boxes [1, N, 4] and scores [1, N, {classes}], \
             the model gives {boxes:?} and {scores:?}"
        ));
    };
    if n != m {
        return Err(format!(
            "the model gives {n} boxes, but scores for {m}: they do not belong together"
        ));
    }
    super::check_classes(usize::try_from(*c).unwrap_or(0), classes)
}

/// Decodes one frame; `canvas` is (width, height) in pixels.
pub(super) fn decode(boxes: Raw<'_>, scores: Raw<'_>, canvas: (f32, f32), sink: &mut Sink<'_>) {
    let (boxes, _) = boxes.data.as_chunks::<4>();
    let classes = sink.roles.len();
    for ([x0, y0, x1, y1], scores) in boxes.iter().zip(scores.data.chunks_exact(classes)) {
        if !any_reaches(scores, sink.floor) {
            continue;
        }
        if let Some((class, score)) = best(scores) {
            let (w, h) = canvas;
            sink.put(class, score, [x0 * w, y0 * h, x1 * w, y1 * h]);
        }
    }
}
