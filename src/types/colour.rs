//! What a picture's samples mean as colours.

/// Range and matrix of YUV samples: what it takes to make light of them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// Where black and white lie.
    pub range: Range,
    /// How red, green and blue were mixed.
    pub matrix: Matrix,
}

/// Which sample values black and white have (ITU-R BT.709-6 item 4.6, ITU-T H.264 Annex E
/// `video_full_range_flag`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// Luma 16 to 235, chroma 16 to 240: what a camera sends unless it says otherwise.
    Limited,
    /// 0 to 255.
    Full,
}

/// How red, green and blue were mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// Standard definition, ITU-R BT.601-7 section 2.5.
    Bt601,
    /// High definition, ITU-R BT.709-6 section 3.
    Bt709,
    /// Ultra-high definition, ITU-R BT.2020-2 section 4, non-constant luminance.
    Bt2020,
}

impl Colours {
    /// What a decoder assumes of a stream of `rows` that says nothing: limited range; BT.709 for
    /// more rows than PAL's 576, BT.601 below.
    pub fn usual(rows: usize) -> Self {
        Self {
            range: Range::Limited,
            matrix: Matrix::usual(rows),
        }
    }
}

impl Range {
    /// Luma of black and of white.
    pub fn luma(self) -> (u8, u8) {
        match self {
            Self::Limited => (16, 235),
            Self::Full => (0, 255),
        }
    }
}

impl Matrix {
    /// The matrix of [`Colours::usual`].
    pub fn usual(rows: usize) -> Self {
        if rows > 576 { Self::Bt709 } else { Self::Bt601 }
    }

    /// The weights of red and blue in luma; green has the rest.
    pub const fn weights(self) -> (f64, f64) {
        match self {
            Self::Bt601 => (0.299, 0.114),
            Self::Bt709 => (0.2126, 0.0722),
            Self::Bt2020 => (0.2627, 0.0593),
        }
    }
}
