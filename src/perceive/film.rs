//! Pictures made for tests: a street, noise that changes with the frame, and whoever is in it.

use crate::types::{Image, PixelFormat, Stamp};

/// A picture whose luma is `luma(x, y)`.
pub(crate) fn picture(width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Image {
    let mut data: Vec<u8> = (0..width * height)
        .map(|i| luma(i % width, i / width))
        .collect();
    data.resize(width * height * 3 / 2, 128);
    Image::packed(PixelFormat::Nv12, width, height, data)
}

/// A moment `ms` milliseconds after the film's beginning.
pub(crate) fn at_ms(ms: u64) -> Stamp {
    Stamp {
        utc_ns: i64::try_from(ms).expect("a film's length") * 1_000_000,
        boot_ns: 1_000_000_000_000 + ms * 1_000_000,
        error_ns: 0,
    }
}

/// A number from 0 to 255 without any order between one argument and the next.
pub(crate) fn hash(x: usize, y: usize, z: usize) -> u8 {
    let mut n = (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        ^ (z as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
    n = (n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n.to_be_bytes()[0]
}

/// A street larger than any picture of it, lit and noisy as asked.
pub(crate) struct Street {
    albedo: Vec<f32>,
    noise: Vec<f32>,
}

impl Street {
    /// Its size in pixels.
    pub(crate) const SIZE: (usize, usize) = (1280, 480);

    /// Houses of some 40 pixels with windows of 10: albedo 50 to 190.
    pub(crate) fn new() -> Self {
        let (width, height) = Self::SIZE;
        let albedo = |i: usize| {
            let (x, y) = (i % width, i / width);
            let house = f32::from(hash(x / 41, y / 57, 1)) * 0.3;
            let window = f32::from(hash(x / 13, y / 17, 2)) * 0.2;
            50.0 + house + window + f32::from(hash(x / 3, y / 3, 3)) * 0.04
        };
        Self {
            albedo: (0..width * height).map(albedo).collect(),
            noise: (0..1 << 16)
                .map(|i| f32::from(hash(i, 7, 7)) / 127.5 - 1.0)
                .collect(),
        }
    }

    /// What it is like at (x, y).
    pub(crate) fn albedo(&self, x: usize, y: usize) -> f32 {
        self.albedo[y * Self::SIZE.0 + x]
    }

    /// A pixel in light (gain and offset) with `noise` grey levels of noise, which are others in
    /// every frame.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts saturate at black and white"
    )]
    pub(crate) fn lit(
        &self,
        albedo: f32,
        (gain, offset): (f32, f32),
        noise: f32,
        (x, y, frame): (usize, usize, usize),
    ) -> u8 {
        let grain = self.noise[(x * 263 + y * 4099 + frame * 7919) & 0xffff];
        (albedo * gain + offset + grain * noise + 0.5) as u8
    }
}
