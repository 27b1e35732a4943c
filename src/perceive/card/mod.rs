//! The model card: what a model eats, what it says, and what its words mean to the rules.
//!
//! A card is a TOML file beside its model. It is read strictly: an unknown key, a hole in the
//! labels or one changed byte in the model is refused at start, because everything judged later
//! rests on it.
//!
//! **Invariants.** A [`Card`] is true: its model's hash was compared, its labels are without hole
//! or double, at least one has a role. The model is read once; the bytes that were hashed are the
//! bytes that are run.
//!
//! **Not here.** Whether the model's tensors are what the card says: only the runtime can tell,
//! [`super::Detector::open`] asks it.

mod file;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::types::RoleSet;

use super::error::ModelError;

/// Detections down to this fraction of the card's threshold are handed to the tracker.
///
/// They never start a track, they only keep one alive through a weak moment (the second stage of
/// association, see [`super::Tracker`]). Half the threshold is what two-stage tracking was
/// measured with: .35 and .15 to .2.
const LOW_SCORE_FRACTION: f32 = 0.5;

/// The geometry and number range of a model's input.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Name of the input tensor, float32 `[1, 3, height, width]`.
    pub name: String,
    /// Columns, pixels.
    pub width: usize,
    /// Rows, pixels.
    pub height: usize,
    /// Order of the channel planes.
    pub colour: Colour,
    /// Subtracted from every pixel (0..255), in the order of the planes.
    pub mean: [f32; 3],
    /// Divides what is left, in the order of the planes.
    pub std: [f32; 3],
    /// Grey value of the bars beside the picture, before normalisation.
    pub pad: u8,
    /// Where the picture lies between the bars.
    pub align: Align,
}

/// Order of the channel planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// Where the picture lies on the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// In the top left corner; bars right or below.
    TopLeft,
    /// In the middle; bars on both sides.
    Centre,
}

/// The output layout, with the names of the tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Two tensors: decoded boxes and class scores.
    EfficientDet {
        /// `[1, N, 4]`: left, top, right, bottom, 0..1 of the canvas.
        boxes: String,
        /// `[1, N, C]`: scores 0..1.
        scores: String,
    },
    /// One tensor of raw grid cells, `[1, N, 5 + C]`.
    Yolox {
        /// Its name.
        output: String,
        /// Pixels per grid cell of each level, in the tensor's order.
        strides: Vec<usize>,
    },
    /// One tensor of decoded boxes, `[1, N, 5 + C]` or `[1, 4 + C, N]`.
    Yolo {
        /// Its name.
        output: String,
    },
    /// One tensor of finished detections, `[N, 6]` or `[1, N, 6]`.
    EndToEnd {
        /// Its name.
        output: String,
    },
}

impl Format {
    /// The names of the output tensors, in the order they are decoded in.
    pub fn outputs(&self) -> Vec<&str> {
        match self {
            Self::EfficientDet { boxes, scores } => vec![boxes, scores],
            Self::Yolox { output, .. } | Self::Yolo { output } | Self::EndToEnd { output } => {
                vec![output]
            }
        }
    }
}

/// One class of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What the model's makers call it.
    pub name: String,
    /// What it is to the rules.
    pub roles: RoleSet,
}

/// A model card that was found true, with its model's bytes.
#[derive(Clone)]
pub struct Card {
    path: PathBuf,
    model: PathBuf,
    bytes: Vec<u8>,
    name: String,
    sha256: String,
    own_sha256: String,
    source: String,
    licence: String,
    format: Format,
    score_threshold: f32,
    nms_iou: f32,
    input: Input,
    labels: Vec<Label>,
}

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Card({} {})", self.name, self.path.display())
    }
}

impl Card {
    /// Reads the card at `path` and the model it names, and checks the one against the other.
    ///
    /// # Errors
    /// Everything in [`ModelError`] that concerns a card; the message names the card and says
    /// what to do.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        file::read(path)
    }

    /// The card's own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's path.
    pub fn model(&self) -> &Path {
        &self.model
    }

    /// What the model is called in logs and evidence.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the model file, lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// SHA-256 of the card's own file, lower-case hex: labels, roles and thresholds decide as much
    /// as the model.
    pub fn own_sha256(&self) -> &str {
        &self.own_sha256
    }

    /// Where the model came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The model's licence, SPDX.
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// The output layout.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// The input.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// From this score on a detection counts by itself: it may start a track.
    pub fn score_threshold(&self) -> f32 {
        self.score_threshold
    }

    /// From this score on a detection is handed on at all, to keep a known track alive: half of
    /// [`Card::score_threshold`].
    pub fn score_floor(&self) -> f32 {
        self.score_threshold * LOW_SCORE_FRACTION
    }

    /// Boxes of one meaning that overlap more than this are one thing.
    pub fn nms_iou(&self) -> f32 {
        self.nms_iou
    }

    /// Every class of the model, by index.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The name of class `index`; empty when the model has no such class.
    pub fn label(&self, index: u16) -> &str {
        self.labels
            .get(usize::from(index))
            .map_or("", |label| &label.name)
    }

    /// Everything this model can recognise that means something to a rule.
    pub fn roles(&self) -> RoleSet {
        self.labels.iter().flat_map(|l| l.roles.iter()).collect()
    }

    /// Hands out the model's bytes; the card keeps none.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests;
