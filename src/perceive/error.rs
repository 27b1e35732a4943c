//! What can go wrong with a model, its card, its runtime or a frame.

use std::path::PathBuf;

use thiserror::Error;

use super::runtime::NO_REPORTS;
use crate::types::Role;

/// Why a model cannot be used, or why one frame could not be looked at.
///
/// Only [`ModelError::Frame`] and [`ModelError::Inference`] can come from a running detector: the
/// first concerns one frame and the next may be good; the second means that the runtime failed.
/// All others come at start and mean that the card, the model or the runtime must be changed.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The card itself cannot be read.
    #[error("model card {}: {source}; set [model] card to a readable card (models/*.toml)", path.display())]
    CardUnreadable {
        /// The card.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The card is not the TOML it should be.
    #[error("model card {}: {message}", path.display())]
    CardSyntax {
        /// The card.
        path: PathBuf,
        /// Line, column and cause.
        message: String,
    },
    /// The card was written for another version of the daemon.
    #[error("model card {}: version = {found} is not known here, only version = 1; take the card that belongs to this release", path.display())]
    CardVersion {
        /// The card.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// The output layout is none of the known ones.
    #[error("model card {}: format = {found:?} is not known; known are \"efficientdet\", \"yolox\", \"yolo\" and \"end_to_end\"", path.display())]
    UnknownFormat {
        /// The card.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A label has a role that no rule knows.
    #[error("model card {}: label {index} has the unknown role {found:?}; known roles are {}", path.display(), role_names())]
    UnknownRole {
        /// The card.
        path: PathBuf,
        /// The label's index.
        index: u16,
        /// What it says.
        found: String,
    },
    /// Two labels claim one index.
    #[error("model card {}: label index {index} is given twice; each class of the model has one [[label]]", path.display())]
    DuplicateLabel {
        /// The card.
        path: PathBuf,
        /// The index.
        index: u16,
    },
    /// An index below the highest has no label.
    #[error("model card {}: label index {index} is missing; list every class from 0 on, with roles = [] where it means nothing to the rules", path.display())]
    MissingLabel {
        /// The card.
        path: PathBuf,
        /// The index.
        index: u16,
    },
    /// No label of the card means anything to a rule.
    #[error("model card {}: no label has a role, so nothing could ever be judged; give roles to the labels that matter", path.display())]
    NoRoles {
        /// The card.
        path: PathBuf,
    },
    /// One value of the card is out of its range.
    #[error("model card {}: {key}: {problem}", path.display())]
    CardValue {
        /// The card.
        path: PathBuf,
        /// The key, dotted.
        key: &'static str,
        /// What is expected and what was found.
        problem: String,
    },
    /// The file the card names cannot be read.
    #[error("model card {}: its model {}: {source}; put the model beside its card", card.display(), path.display())]
    ModelUnreadable {
        /// The card.
        card: PathBuf,
        /// The model.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The model is not the one the card was written for.
    #[error("model card {}: {} has SHA-256 {actual}, the card says {expected}; put the right model back, or write a card for the new one", card.display(), path.display())]
    WrongHash {
        /// The card.
        card: PathBuf,
        /// The model.
        path: PathBuf,
        /// What the card says, lower-case hex.
        expected: String,
        /// What the file has, lower-case hex.
        actual: String,
    },
    /// ONNX Runtime's shared library was not found, or could not be loaded.
    #[error(
        "ONNX Runtime cannot be loaded; run `make setup`, or set [model] runtime to libonnxruntime.so (1.17 or newer). Looked at: {looked}"
    )]
    Runtime {
        /// Every place looked at, with what was wrong there.
        looked: String,
    },
    /// ONNX Runtime was not loaded, because nothing told it to report to nobody.
    #[error(
        "ONNX Runtime is not loaded: from 1.29 on it reports to its maker unless {}={} is in the environment before it starts",
        NO_REPORTS.0, NO_REPORTS.1
    )]
    Reports,
    /// The file is not an ONNX model.
    #[error("{} is not an ONNX model ({reason}); a text file of a few lines means that only a Git LFS pointer or an error page was downloaded", path.display())]
    NotOnnx {
        /// The model.
        path: PathBuf,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// ONNX Runtime refuses the model.
    #[error("ONNX Runtime refuses {}: {reason}; export it again with operators that the runtime knows, in one file", path.display())]
    Refused {
        /// The model.
        path: PathBuf,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// The model's input is not what the card says.
    #[error("{}: {problem}; correct [input] in its card, or export the model with a fixed float input [1, 3, height, width]", path.display())]
    Input {
        /// The model.
        path: PathBuf,
        /// What is expected and what was found.
        problem: String,
    },
    /// The model's outputs are not what the card's format demands.
    #[error("{}: {problem}; correct format, [output] or [[label]] in its card", path.display())]
    Output {
        /// The model.
        path: PathBuf,
        /// What is expected and what was found.
        problem: String,
    },
    /// A frame cannot be looked at.
    #[error("frame of {width}x{height} pixels cannot be looked at: {problem}")]
    Frame {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The runtime failed while it computed.
    #[error("inference with {model} failed: {reason}")]
    Inference {
        /// Name of the model.
        model: String,
        /// ONNX Runtime's words.
        reason: String,
    },
}

/// The roles a card may name, as they are written there.
fn role_names() -> String {
    let names: Vec<String> = Role::ALL.into_iter().map(role_name).collect();
    names.join(", ")
}

/// How a card writes `role`.
pub(super) fn role_name(role: Role) -> String {
    role.name().to_owned()
}
