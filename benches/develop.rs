//! Evidence pictures: our way against libjpeg-turbo alone, a plain copy, and the `image` crate.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod common;

use std::hint::black_box;
use std::process::Command;

use image::codecs::jpeg::JpegEncoder;
use jiff::tz::TimeZone;
use lingmou::config::Evidence;
use lingmou::develop::{Developer, Exif, Mark};
use lingmou::types::{Area, FixKind, Image, PixelFormat, Placed, Point, Pose, PoseSource, Stamp};
use turbojpeg::{Compressor, PixelFormat as Pixels, Subsamp, YuvPlanesImage};
use uuid::Uuid;

use common::{least, table};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
const LUMA: usize = WIDTH * HEIGHT;
const QUALITY: u8 = 85;
const RUNS: u32 = 60;
/// What the `image` crate needs ten times as long for is measured fewer times.
const SLOW_RUNS: u32 = 8;
const STREET: &str = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";

/// A street scene where opencv-doc and ffmpeg are installed, else a computed texture.
fn frame() -> Vec<u8> {
    let scene = Command::new("ffmpeg")
        .args(["-v", "error", "-ss", "8", "-i", STREET, "-frames:v", "1"])
        .args(["-vf", "scale=1920:1080:flags=lanczos"])
        .args(["-pix_fmt", "yuv420p", "-f", "rawvideo", "-"])
        .output();
    match scene {
        Ok(output) if output.stdout.len() == LUMA * 3 / 2 => output.stdout,
        _ => {
            println!("(no {STREET} or no ffmpeg: a computed texture instead of a street)");
            let sample = |i: usize| u8::try_from(i % WIDTH / 12 + i / WIDTH % 61).unwrap_or(128);
            (0..LUMA * 3 / 2).map(sample).collect()
        }
    }
}

fn nv12(i420: &[u8]) -> Image {
    let (luma, chroma) = i420.split_at(LUMA);
    let (u, v) = chroma.split_at(LUMA / 4);
    let pairs = u.iter().zip(v).flat_map(|(&u, &v)| [u, v]);
    let bytes = luma.iter().copied().chain(pairs).collect();
    Image::packed(PixelFormat::Nv12, WIDTH, HEIGHT, bytes)
}

fn exif() -> Exif {
    let at = Stamp {
        utc_ns: 1_785_549_784_567_000_000,
        boot_ns: 0,
        error_ns: 0,
    };
    let pose = Pose {
        at,
        lat_e7: 361_600_000,
        lon_e7: 1_204_300_000,
        alt_mm: Some(40_000),
        h_acc_mm: Some(1800),
        hdop_e2: None,
        pdop_e2: None,
        satellite_us: None,
        fix: FixKind::Full,
        sats: Some(14),
        heading_deg: None,
        speed_mps: None,
        attitude: None,
        camera: None,
        source: PoseSource::Gpsd,
        sysid: None,
    };
    Exif {
        at,
        time_zone: TimeZone::fixed(jiff::tz::offset(8)),
        placed: Some(Placed {
            pose,
            age_ms: 40,
            interpolated: true,
        }),
        make: "bureau".to_owned(),
        model: "LM-0000".to_owned(),
        software: "lingmou".to_owned(),
        comment: String::new(),
        image_unique_id: Uuid::from_u128(1),
    }
}

fn mark() -> Mark {
    let area = Area {
        x0: 0.3,
        y0: 0.3,
        x1: 0.4,
        y1: 0.6,
    };
    let corners = [(0.05, 0.1), (0.9, 0.15), (0.95, 0.95), (0.1, 0.9)];
    Mark {
        subject: Some((area, "行人 0.87".to_owned())),
        others: Vec::new(),
        zones: vec![corners.iter().map(|&(x, y)| Point { x, y }).collect()],
        caption: vec![
            "占道经营（流动摊贩） · 首次发现".to_owned(),
            "2026-08-01 10:03:04.567 +08:00 · 金水路-京口路口 · 北纬 36.1600000° 东经 120.4300000°"
                .to_owned(),
            "设备 LC-POLE-0007 · 案件 0198f0a2-0000-7000-8000-000000000001".to_owned(),
        ],
    }
}

/// libjpeg-turbo on planes that are already right, into a buffer that is already there: the
/// samples of our own picture, because stretched contrast takes it longer to code.
fn turbo_alone(jpeg: &[u8]) -> f64 {
    let planes = turbojpeg::decompress_to_yuv(jpeg).expect("decoded");
    let bytes = planes.pixels.as_slice();

    let mut compressor = Compressor::new().expect("libjpeg-turbo starts");
    compressor.set_quality(i32::from(QUALITY)).expect("quality");
    let planes = YuvPlanesImage {
        y_plane: &bytes[..LUMA],
        u_plane: &bytes[LUMA..LUMA * 5 / 4],
        v_plane: &bytes[LUMA * 5 / 4..LUMA * 3 / 2],
        width: WIDTH,
        height: HEIGHT,
        y_stride: WIDTH,
        u_stride: WIDTH / 2,
        v_stride: WIDTH / 2,
        subsamp: Subsamp::Sub2x2,
    };
    let mut room = vec![0; LUMA * 4];
    least(RUNS, || {
        compressor
            .compress_yuv_planes_to_slice(&planes, &mut room)
            .expect("encoded")
    })
}

fn main() {
    println!("\n## Pictures");
    let bytes = frame();
    let image = Image::packed(PixelFormat::I420, WIDTH, HEIGHT, bytes.clone());
    let interleaved = nv12(&bytes);
    let tiny = Image::packed(PixelFormat::I420, 16, 16, vec![128; 16 * 16 * 3 / 2]);
    let (exif, mark) = (exif(), mark());
    let mut developer = Developer::new(&Evidence {
        jpeg_quality: QUALITY,
        ..Evidence::default()
    })
    .expect("the default configuration works");
    let original = developer.original(&image, &exif).expect("developed");
    let rgb = turbojpeg::decompress(&original, Pixels::RGB).expect("decoded");
    let mut copy = vec![0; bytes.len()];

    let rows = [
        (
            "memcpy of the I420 frame",
            least(RUNS, || {
                copy.copy_from_slice(black_box(&bytes));
                black_box(copy.last().copied())
            }),
        ),
        ("libjpeg-turbo alone", turbo_alone(&original)),
        (
            "original from I420: colours, JPEG, Exif",
            least(RUNS, || developer.original(&image, &exif)),
        ),
        (
            "original from NV12: colours, JPEG, Exif",
            least(RUNS, || developer.original(&interleaved, &exif)),
        ),
        (
            "original and marked copy",
            least(RUNS, || {
                let original = developer.original(&image, &exif);
                (original, developer.marked(&image, &exif, &mark))
            }),
        ),
        (
            "Exif (a 16 × 16 picture, whole)",
            least(RUNS, || developer.original(&tiny, &exif)),
        ),
        (
            "SHA-256 of the original",
            least(RUNS, || {
                ring::digest::digest(&ring::digest::SHA256, &original)
            }),
        ),
        (
            "JPEG from RGB by the image crate",
            least(SLOW_RUNS, || {
                let mut out = Vec::new();
                JpegEncoder::new_with_quality(&mut out, QUALITY)
                    .encode(&rgb.pixels, 1920, 1080, image::ExtendedColorType::Rgb8)
                    .map(|()| out.len())
            }),
        ),
    ];
    table(
        &format!(
            "1080p evidence picture, quality {QUALITY}, {} KiB",
            original.len() / 1024
        ),
        "libjpeg-turbo alone",
        &rows,
    );
}
