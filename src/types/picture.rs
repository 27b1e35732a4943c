//! What is measured on the pictures of a case.

use serde::{Deserialize, Serialize};

/// What a picture file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureOf {
    /// The whole picture, nothing drawn on it.
    Original,
    /// The same with box, zone and caption.
    Marked,
    /// The subject with a margin, cut out of the original, nothing drawn on it.
    Close,
}

/// How good a picture is, measured on its untouched luma in the subject's box and its margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Sharpness: the mean squared luma gradient over the luma's variance, × 1000
    /// (`develop::quality` tells how and whose formula).
    pub focus: u32,
    /// Mean luma, 0 black to 255 white.
    pub exposure: u32,
    /// Pixels that are black or white beyond what a sensor tells apart, thousandths.
    pub clipped_permille: u32,
    /// Shorter side of the subject's box, pixels.
    pub subject_px: u32,
}

/// How the first and the last wide picture of a case lie on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stillness {
    /// How far the background moved, thousandths of the picture's width.
    pub shift_permille: u32,
    /// How alike the two are after that shift, thousandths; 1000 is the same picture.
    pub similarity_permille: u32,
}
