//! Makes evidence pictures: an untouched original, a close-up cut out of it, and a marked copy,
//! all as JPEG with Exif; and measures them.
//!
//! The decoder's planes are mapped once to what JPEG expects (`planes`), encoded by
//! libjpeg-turbo (`jpeg`); for the marked copy they are laid out anew and drawn on (`marked`, `ink`,
//! `fonts`): no RGB, no second decoding, no new planes from file to file of one moment. `exif` says who,
//! when, where. `choose` picks the best of several frames by `quality`; `glance` tells whether
//! the camera was moved.
//!
//! **Invariants.** Nothing is ever drawn on what an original or a close-up is made of. The same
//! input gives the same bytes. What is unknown is left out of the Exif. A bad picture is an error, never a
//! panic, and leaves the developer as it was.
//!
//! **Not here.** No hashing, no files, no captions' wording: the caller brings the lines.

mod choose;
mod exif;
mod fonts;
mod glance;
mod ink;
mod jpeg;
mod marked;
mod part;
mod planes;
mod quality;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use self::choose::{Choice, SAME_PLACE};
pub use self::exif::Exif;
pub use self::glance::{Glance, Patch, stillness};
pub use self::marked::Mark;
pub use self::quality::measure;

use self::fonts::Fonts;
use self::ink::Mask;
use self::jpeg::Encoder;
use self::planes::Sheet;
use crate::config;
use crate::types::{Area, Image};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DevelopError {
    /// The decoded picture makes no sense; the next one may.
    #[error("the decoded picture cannot be used: {0}")]
    Picture(String),
    /// The font file of the configuration cannot be used.
    #[error("font {}: {reason}; set evidence.font to a font file or leave it empty", path.display())]
    Font {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// libjpeg-turbo failed.
    #[error("JPEG encoder")]
    Encoder(#[from] turbojpeg::Error),
    /// The Exif writer failed.
    #[error("Exif writer")]
    Exif(#[from] ::exif::Error),
    /// The texts in the Exif exceed the 64 KiB of a JPEG segment.
    #[error("Exif texts are longer than 64 KiB; shorten device.model in the configuration")]
    ExifTooLong,
}

/// Everything needed to make pictures, kept from one to the next.
pub struct Developer {
    encoder: Encoder,
    fonts: Fonts,
    sheet: Sheet,
    mask: Mask,
}

impl Developer {
    /// Finds the caption font and sets the quality.
    pub fn new(config: &config::Evidence) -> Result<Self, DevelopError> {
        Ok(Self {
            encoder: Encoder::new(config.jpeg_quality)?,
            fonts: Fonts::open(&config.font)?,
            sheet: Sheet::default(),
            mask: Mask::default(),
        })
    }

    /// Whether captions and labels can be Chinese; if not, give ASCII ones.
    pub fn has_cjk(&self) -> bool {
        self.fonts.has_cjk()
    }

    /// What cannot be written on marked pictures, and what to do; `None` when Chinese can.
    pub fn lacks(&self) -> Option<&'static str> {
        match (self.has_cjk(), self.fonts.has_any()) {
            (true, _) => None,
            (false, true) => Some(
                "no font with Chinese characters, captions are ASCII; install fonts-wqy-microhei \
                 or set evidence.font",
            ),
            (false, false) => Some(
                "no font at all, marked pictures have neither caption nor labels; install \
                 fonts-wqy-microhei or set evidence.font",
            ),
        }
    }

    /// `image` as the camera saw it, nothing drawn on it. JPEG.
    pub fn original(&mut self, image: &Image, exif: &Exif) -> Result<Vec<u8>, DevelopError> {
        self.sheet.expose(image, image.width)?;
        self.print(exif, image.width, image.height)
    }

    /// The part of `image` that shows `area` with a margin, nothing drawn on it, nothing scaled.
    /// JPEG.
    pub fn close_up(
        &mut self,
        image: &Image,
        exif: &Exif,
        area: Area,
    ) -> Result<Vec<u8>, DevelopError> {
        self.original(&part::close_up(image, area), exif)
    }

    /// `image` with zones, boxes and caption. JPEG, higher than the original by the caption band.
    pub fn marked(
        &mut self,
        image: &Image,
        exif: &Exif,
        mark: &Mark,
    ) -> Result<Vec<u8>, DevelopError> {
        let size = (image.width, image.height);
        self.fonts.fetch()?;
        self.sheet
            .expose(image, marked::sheet_width(image.width, mark))?;
        let band = marked::band(&self.fonts, mark, self.sheet.width, image.height);
        self.sheet.extend(image.height + band.height);
        marked::draw(&mut self.sheet, &mut self.mask, &self.fonts, mark, size);
        marked::caption(&mut self.sheet, &mut self.mask, &self.fonts, &band);
        self.print(exif, self.sheet.width, self.sheet.height)
    }

    /// Gives back the memory that pictures are made in; the next one takes it again. For when
    /// the pictures of one moment are done and the next are minutes away.
    pub fn rest(&mut self) {
        self.sheet = Sheet::default();
        self.mask = Mask::default();
        self.fonts.release();
    }

    /// The top-left part of the sheet as JPEG with Exif.
    fn print(&mut self, exif: &Exif, width: usize, height: usize) -> Result<Vec<u8>, DevelopError> {
        let segment = exif::segment(exif, width, height)?;
        self.encoder.encode(&self.sheet, width, height, &segment)
    }
}
