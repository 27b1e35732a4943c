//! Turns a frame into detections, and detections into tracks.
//!
//! A frame is drawn onto the model's input tensor ([`Letterbox`]), ONNX Runtime computes, the raw
//! outputs become detections ([`Decoder`]), and those continue the tracks of the frames before
//! ([`Tracker`]). What a model is and means stands in its card ([`Card`]); [`Detector`] holds the
//! model to it. [`Sight`] joins all but the detector, and what a picture tells without one, to a
//! [`crate::types::Scene`].
//!
//! Detections come out down to the card's floor, half its threshold: the weak ones only keep
//! known tracks alive. What is judged is tracks, and only those seen three times.
//!
//! **Invariants.** A card that does not match its model is refused at start. A frame never brings
//! a panic: what is wrong with it is an error for that frame. In the steady state nothing of a
//! frame's size is allocated.
//!
//! **Not here.** No rule, no time but what the caller hands in, no thread besides the runtime's.

mod appearance;
mod background;
mod card;
mod decode;
mod detector;
mod drift;
mod error;
#[cfg(test)]
pub(crate) mod film;
mod guard;
mod letterbox;
mod luma;
mod motion;
mod providers;
mod runtime;
mod sight;
mod track;

pub use background::UNNAMED;
pub use card::{Align, Card, Colour, Format, Input, Label};
pub use decode::{Decoder, Raw};
pub use detector::Detector;
pub use error::ModelError;
pub use guard::{Reference, Watched};
pub use letterbox::{Fit, Letterbox};
pub use motion::MotionGate;
pub use runtime::NO_REPORTS;
pub use sight::Sight;
pub use track::Tracker;
