//! JPEG straight from planes, by libjpeg-turbo: no RGB in between.

use turbojpeg::{Compressor, Subsamp, YuvPlanesImage};

use super::planes::Sheet;
use super::{DevelopError, exif};

/// Makes baseline 4:2:0 JPEGs; the same planes give the same bytes.
pub(super) struct Encoder {
    compressor: Compressor,
}

impl Encoder {
    /// An encoder for `quality` 1–100.
    pub(super) fn new(quality: u8) -> Result<Self, DevelopError> {
        let mut compressor = Compressor::new()?;
        compressor.set_quality(i32::from(quality.clamp(1, 100)))?;
        compressor.set_subsamp(Subsamp::Sub2x2)?;
        Ok(Self { compressor })
    }

    /// The top-left `width` × `height` pixels of the sheet as JPEG, with the Exif `segment`.
    pub(super) fn encode(
        &mut self,
        sheet: &Sheet,
        width: usize,
        height: usize,
        segment: &[u8],
    ) -> Result<Vec<u8>, DevelopError> {
        let image = YuvPlanesImage {
            y_plane: sheet.y.as_slice(),
            u_plane: sheet.u.as_slice(),
            v_plane: sheet.v.as_slice(),
            width: width.min(sheet.width),
            height: height.min(sheet.height),
            y_stride: sheet.width,
            u_stride: sheet.chroma_width(),
            v_stride: sheet.chroma_width(),
            subsamp: Subsamp::Sub2x2,
        };
        // Room for the worst JPEG of this size, ten times what comes: asked for zeroed, of which the
        // kernel gives only the pages that are written.
        let worst = self.compressor.buf_len(image.width, image.height)?;
        let mut jpeg = vec![0; segment.len() + worst];
        let len = self
            .compressor
            .compress_yuv_planes_to_slice(&image, &mut jpeg[segment.len()..])?;
        jpeg.truncate(segment.len() + len);
        jpeg.shrink_to_fit();
        exif::insert(&mut jpeg, segment);
        Ok(jpeg)
    }
}
