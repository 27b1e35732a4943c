//! Pictures read back by other programs, bit by bit where that is the promise.

use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use turbojpeg::PixelFormat::RGB;
use uuid::Uuid;

use super::*;
use crate::types::{
    Attitude, Colours, FixKind, Matrix, PixelFormat, Placed, Plane, Point, Pose, PoseSource, Range,
    Stamp,
};

const AT: Stamp = Stamp {
    utc_ns: 1_785_549_784_567_000_000,
    boot_ns: 1,
    error_ns: 0,
};

/// A picture without colour, its luma told by column and row.
pub(super) fn grey(width: usize, height: usize, luma: impl Fn(usize, usize) -> f32) -> Image {
    picture(PixelFormat::I420, (width, height), 0, |plane, x, y| {
        let shade = if plane == 0 { luma(x, y) } else { 128.0 };
        u8::try_from(super::ink::pixel(shade.round())).expect("a shade")
    })
}

/// Luma without any order between one pixel and the next, 26 to 226; the same every time.
pub(super) fn texture(x: usize, y: usize) -> f32 {
    let mut n = (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    n = (n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
    26.0 + f32::from((n >> 56) as u8) * 200.0 / 255.0
}

/// The two whole pictures of one moment.
#[derive(Debug, PartialEq)]
struct Shot {
    original: Vec<u8>,
    marked: Vec<u8>,
}

fn develop(
    developer: &mut Developer,
    image: &Image,
    exif: &Exif,
    mark: &Mark,
) -> Result<Shot, DevelopError> {
    Ok(Shot {
        original: developer.original(image, exif)?,
        marked: developer.marked(image, exif, mark)?,
    })
}

fn developer() -> Developer {
    Developer::new(&config::Evidence::default()).expect("the default configuration works")
}

fn exif_without_place() -> Exif {
    Exif {
        at: AT,
        time_zone: TimeZone::fixed(jiff::tz::offset(8)),
        placed: None,
        make: "Bureau".to_owned(),
        model: "LM-0001".to_owned(),
        software: "lingmou 0.1.0".to_owned(),
        comment: String::new(),
        image_unique_id: Uuid::from_u128(0x0198_f0a2_0000_7000_8000_0000_0000_0001),
    }
}

/// A picture of which every sample is given by plane and place, with room round each row.
fn picture(
    format: PixelFormat,
    (width, height): (usize, usize),
    pad: usize,
    sample: impl Fn(usize, usize, usize) -> u8,
) -> Image {
    let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
    let shapes = match format {
        PixelFormat::I420 => vec![(width, height), (cw, ch), (cw, ch)],
        PixelFormat::Nv12 => vec![(width, height), (cw * 2, ch)],
    };
    let mut planes = [Plane::default(); 3];
    let mut bytes = vec![0xaa; pad];
    for (index, &(row, rows)) in shapes.iter().enumerate() {
        planes[index] = Plane {
            offset: bytes.len(),
            stride: row + pad,
        };
        for y in 0..rows {
            bytes.extend((0..row).map(|x| match (format, index) {
                (PixelFormat::Nv12, 1) => sample(1 + x % 2, x / 2, y),
                _ => sample(index, x, y),
            }));
            bytes.extend(vec![0xaa; pad]);
        }
    }
    Image {
        format,
        colours: Colours::usual(height),
        width,
        height,
        planes,
        data: Arc::new(bytes),
    }
}

/// The weights of red and blue in luma, BT.601-7 section 2.5, BT.709-6 section 3, BT.2020-2
/// section 4.
const BT601: [f64; 2] = [0.299, 0.114];
const BT709: [f64; 2] = [0.2126, 0.0722];
const BT2020: [f64; 2] = [0.2627, 0.0593];

/// Every kind of samples a camera can send, with the weights of its matrix.
fn every_kind() -> impl Iterator<Item = (Colours, [f64; 2])> {
    [
        (Matrix::Bt601, BT601),
        (Matrix::Bt709, BT709),
        (Matrix::Bt2020, BT2020),
    ]
    .into_iter()
    .flat_map(|(matrix, weights)| {
        [Range::Limited, Range::Full].map(|range| (Colours { range, matrix }, weights))
    })
}

/// Luma of black, and the steps that luma and chroma have.
fn steps(range: Range) -> [f64; 3] {
    match range {
        Range::Limited => [16.0, 219.0, 224.0],
        Range::Full => [0.0, 255.0, 255.0],
    }
}

/// Full-range Y, Cb, Cr (centred on 0) of an RGB colour, all 0..1.
fn ycc([r, g, b]: [f64; 3], [kr, kb]: [f64; 2]) -> [f64; 3] {
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    [y, (b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr)]
}

fn byte(value: f64) -> u8 {
    let bits = value.round().clamp(0.0, 255.0);
    (0..=255)
        .find(|&b| f64::from(b) >= bits)
        .expect("255 is the largest")
}

/// The samples a camera of this range and matrix sends for a colour.
fn sent(rgb: [f64; 3], range: Range, weights: [f64; 2]) -> [u8; 3] {
    let [y, cb, cr] = ycc(rgb, weights);
    let [black, luma, chroma] = steps(range);
    [
        byte(black + luma * y),
        byte(128.0 + chroma * cb),
        byte(128.0 + chroma * cr),
    ]
}

fn decode(jpeg: &[u8]) -> turbojpeg::Image<Vec<u8>> {
    turbojpeg::decompress(jpeg, RGB).expect("our own JPEG decodes")
}

const BARS: [[f64; 3]; 10] = [
    [1.0, 1.0, 1.0],
    [0.75, 0.75, 0.0],
    [0.0, 0.75, 0.75],
    [0.0, 0.75, 0.0],
    [0.75, 0.0, 0.75],
    [0.75, 0.0, 0.0],
    [0.0, 0.0, 0.75],
    [0.0, 0.0, 0.0],
    [0.5, 0.5, 0.5],
    [0.8, 0.6, 0.5],
];

#[test]
fn colours_are_those_the_camera_saw() {
    let size = (160, 120);
    let bar = size.0 / BARS.len();
    let mut developer = developer();
    for (colours, weights) in every_kind() {
        let image = Image {
            colours,
            ..picture(PixelFormat::I420, size, 0, |plane, x, _| {
                let x = if plane == 0 { x } else { x * 2 };
                let colour = BARS[(x / bar).min(BARS.len() - 1)];
                sent(colour, colours.range, weights)[plane]
            })
        };
        let jpeg = developer
            .original(&image, &exif_without_place())
            .expect("developed");
        let shown = decode(&jpeg);
        for (index, colour) in BARS.iter().enumerate() {
            let at = size.1 / 2 * shown.pitch + (index * bar + bar / 2) * 3;
            let seen = &shown.pixels[at..at + 3];
            let wanted = colour.map(|c| byte(c * 255.0));
            let off = seen.iter().zip(wanted).map(|(s, w)| s.abs_diff(w)).max();
            assert!(
                off <= Some(4),
                "{colours:?} bar {index}: {seen:?}, wanted {wanted:?}"
            );
        }
    }
}

#[test]
fn every_sample_is_mapped_as_the_standards_say() {
    for (colours, weights) in every_kind() {
        let (lumas, chromas) = match colours.range {
            Range::Limited => (16..=235_u8, (16..=240_u8).step_by(56)),
            Range::Full => (0..=255, (0..=255).step_by(51)),
        };
        for cb in chromas.clone() {
            for cr in chromas.clone() {
                let image = Image {
                    colours,
                    ..picture(PixelFormat::I420, (256, 2), 0, |plane, x, _| {
                        [u8::try_from(x).expect("below 256"), cb, cr][plane]
                    })
                };
                let mut sheet = Sheet::default();
                sheet.expose(&image, 256).expect("a sound picture");
                for y in lumas.clone() {
                    let wanted = converted([y, cb, cr], colours.range, weights);
                    let x = usize::from(y);
                    let seen = [sheet.y[x], sheet.u[x / 2], sheet.v[x / 2]];
                    let off = seen.iter().zip(wanted).map(|(s, w)| s.abs_diff(w)).max();
                    assert!(
                        off <= Some(1),
                        "{colours:?} {:?}: {seen:?}, wanted {wanted:?}",
                        [y, cb, cr]
                    );
                }
            }
        }
    }
}

/// What JPEG has already is not touched by a single step.
#[test]
fn full_range_bt601_passes_unchanged() {
    let image = Image {
        colours: Colours {
            range: Range::Full,
            matrix: Matrix::Bt601,
        },
        ..picture(PixelFormat::I420, (512, 512), 0, |plane, x, y| {
            let at = if plane == 2 { y } else { x };
            u8::try_from(at % 256).expect("below 256")
        })
    };
    let mut sheet = Sheet::default();
    sheet.expose(&image, 512).expect("a sound picture");
    for y in 0..512 {
        for x in 0..512 {
            let wanted = [0, 1, 2].map(|p| {
                let (x, y) = if p == 0 { (x, y) } else { (x / 2, y / 2) };
                image.row(p, y, 256).expect("inside")[x.min(255)]
            });
            let seen = [
                sheet.y[y * 512 + x.min(255)],
                sheet.u[y / 2 * 256 + x / 2],
                sheet.v[y / 2 * 256 + x / 2],
            ];
            assert_eq!(seen, wanted, "{x},{y}");
        }
    }
}

/// Samples of this range and these weights as full-range BT.601 ones, in floating point.
fn converted([y, cb, cr]: [u8; 3], range: Range, [kr, kb]: [f64; 2]) -> [u8; 3] {
    let [black, luma, chroma] = steps(range);
    let y = (f64::from(y) - black) / luma;
    let [cb, cr] = [cb, cr].map(|c| (f64::from(c) - 128.0) / chroma);
    let r = y + cr * 2.0 * (1.0 - kr);
    let b = y + cb * 2.0 * (1.0 - kb);
    let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
    let [y, cb, cr] = ycc([r, g, b], BT601);
    [
        byte(255.0 * y),
        byte(128.0 + 255.0 * cb),
        byte(128.0 + 255.0 * cr),
    ]
}

fn noise(plane: usize, x: usize, y: usize) -> u8 {
    u8::try_from((x * 7 + y * 13 + x * y / 5 + plane * 40) % 220 + 16).expect("below 236")
}

#[test]
fn layout_and_padding_make_no_difference() {
    let size = (322, 242);
    let exif = exif_without_place();
    let mut developer = developer();
    let mut original = |format, pad| {
        developer
            .original(&picture(format, size, pad, noise), &exif)
            .expect("developed")
    };
    let tight = original(PixelFormat::I420, 0);
    assert_eq!(tight, original(PixelFormat::I420, 62));
    assert_eq!(tight, original(PixelFormat::Nv12, 0));
    assert_eq!(tight, original(PixelFormat::Nv12, 14));
}

fn mark() -> Mark {
    let area = Area {
        x0: 0.4,
        y0: 0.3,
        x1: 0.6,
        y1: 0.9,
    };
    Mark {
        subject: Some((area, "person 0.87".to_owned())),
        others: vec![(
            Area {
                x0: 0.05,
                x1: 0.2,
                ..area
            },
            "person".to_owned(),
        )],
        zones: vec![vec![
            Point { x: 0.1, y: 0.1 },
            Point { x: 0.9, y: 0.1 },
            Point { x: 0.5, y: 0.95 },
        ]],
        caption: vec!["headline".to_owned(), "second line".to_owned()],
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_the_original_is_never_drawn_on() {
    let image = picture(PixelFormat::Nv12, (320, 240), 0, noise);
    let exif = exif_without_place();
    let mut first = developer();
    let shot = develop(&mut first, &image, &exif, &mark()).expect("developed");
    assert_eq!(
        shot,
        develop(&mut first, &image, &exif, &mark()).expect("developed")
    );
    assert_eq!(
        shot,
        develop(&mut developer(), &image, &exif, &mark()).expect("developed")
    );
    assert_eq!(
        shot.original,
        first.original(&image, &exif).expect("developed")
    );
    assert_ne!(shot.original, shot.marked);
}

#[test]
fn the_caption_is_added_below_and_hides_nothing() {
    let grey = picture(PixelFormat::I420, (640, 360), 0, |plane, _, _| {
        [126, 128, 128][plane]
    });
    let mark = Mark {
        caption: vec!["headline".to_owned(), "word ".repeat(60)],
        ..Mark::default()
    };
    let shot = develop(&mut developer(), &grey, &exif_without_place(), &mark).expect("developed");
    let (original, marked) = (decode(&shot.original), decode(&shot.marked));
    assert_eq!((original.width, original.height), (640, 360));
    assert_eq!(marked.width, 640);
    assert!(marked.height > 360 + 5 * 16, "the long line was broken");
    // The row of blocks at the seam shares its JPEG blocks with the band.
    for y in 0..352 {
        for x in 0..640 {
            let seen = marked.pixels[y * marked.pitch + x * 3];
            assert!(seen.abs_diff(128) <= 3, "{x},{y} is {seen}");
        }
    }
}

#[test]
fn a_bad_picture_is_refused_and_the_next_one_is_developed() {
    let good = picture(PixelFormat::I420, (64, 48), 0, noise);
    let exif = exif_without_place();
    let mut developer = developer();
    let short = Image {
        height: 50,
        ..good.clone()
    };
    let empty = Image {
        width: 0,
        ..good.clone()
    };
    let huge = Image {
        width: usize::MAX,
        height: usize::MAX,
        ..good.clone()
    };
    for (bad, words) in [
        (short, "outside"),
        (empty, "0 x 48 pixels"),
        (huge, "a JPEG holds"),
    ] {
        let error = develop(&mut developer, &bad, &exif, &mark()).expect_err("refused");
        assert!(error.to_string().contains(words), "{error}");
    }
    develop(&mut developer, &good, &exif, &mark()).expect("the next picture is fine");
}

fn any_coordinate() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -0.5f32..1.5,
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::MIN),
    ]
}

fn any_mark() -> impl Strategy<Value = Mark> {
    let coordinate = any_coordinate;
    let boxed = || {
        let sides = [(); 4].map(|()| coordinate());
        (sides, "\\PC{0,20}").prop_map(|([x0, y0, x1, y1], label)| (Area { x0, y0, x1, y1 }, label))
    };
    let point = (coordinate(), coordinate()).prop_map(|(x, y)| Point { x, y });
    (
        prop::option::of(boxed()),
        prop::collection::vec(boxed(), 0..3),
        prop::collection::vec(prop::collection::vec(point, 0..6), 0..3),
        prop::collection::vec("\\PC{0,60}", 0..4),
    )
        .prop_map(|(subject, others, zones, caption)| Mark {
            subject,
            others,
            zones,
            caption,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn any_size_and_any_mark_is_developed(
        width in 1usize..400,
        height in 1usize..300,
        pad in 0usize..40,
        nv12: bool,
        mark in any_mark(),
    ) {
        let format = if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 };
        let image = picture(format, (width, height), pad, noise);
        let shot = develop(&mut developer(), &image, &exif_without_place(), &mark).expect("developed");
        let original = decode(&shot.original);
        prop_assert_eq!((original.width, original.height), (width, height));
        let marked = decode(&shot.marked);
        prop_assert!(marked.width >= width && marked.height >= height);
    }

    #[test]
    fn any_claimed_layout_is_developed_or_refused(
        width in 0usize..1000,
        height in 0usize..1000,
        offset in 0usize..3000,
        stride in 0usize..5000,
        nv12: bool,
    ) {
        let image = Image {
            format: if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 },
            colours: Colours::usual(height),
            width,
            height,
            planes: [Plane { offset, stride }; 3],
            data: Arc::new(vec![90; 100_000]),
        };
        let mut sheet = Sheet::default();
        if sheet.expose(&image, width).is_ok() {
            prop_assert_eq!((sheet.width, sheet.height), (width.next_multiple_of(2), height.next_multiple_of(2)));
        }
    }
}

#[test]
fn the_widest_and_the_highest_frames_are_developed() {
    for size in [(4096, 128), (128, 4096)] {
        let image = picture(PixelFormat::Nv12, size, 0, noise);
        let shot =
            develop(&mut developer(), &image, &exif_without_place(), &mark()).expect("developed");
        assert!(decode(&shot.marked).height > size.1);
    }
}

fn pose() -> Pose {
    Pose {
        at: AT.shifted_ns(-180_000_000),
        lat_e7: 361_600_123,
        lon_e7: -1_204_300_456,
        alt_mm: Some(-1500),
        h_acc_mm: Some(2500),
        hdop_e2: Some(85),
        pdop_e2: Some(147),
        satellite_us: Some(1_700_000_000_387_000),
        fix: FixKind::Full,
        sats: Some(14),
        heading_deg: None,
        speed_mps: None,
        attitude: None,
        camera: Some(Attitude {
            roll_deg: 0.0,
            pitch_deg: -20.0,
            yaw_deg: 271.256,
        }),
        source: PoseSource::Mavlink,
        sysid: Some(1),
    }
}

fn read_exif(jpeg: &[u8]) -> Vec<(String, String)> {
    let parsed = ::exif::Reader::new()
        .read_from_container(&mut std::io::Cursor::new(jpeg))
        .expect("our own Exif parses");
    parsed
        .fields()
        .map(|f| (f.tag.to_string(), f.display_value().to_string()))
        .collect()
}

fn exif_of(placed: Option<Pose>) -> Vec<(String, String)> {
    let exif = Exif {
        placed: placed.map(|pose| Placed {
            pose,
            age_ms: 180,
            interpolated: false,
        }),
        ..exif_without_place()
    };
    let image = picture(PixelFormat::I420, (64, 48), 0, noise);
    read_exif(&developer().original(&image, &exif).expect("developed"))
}

fn value<'a>(fields: &'a [(String, String)], tag: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(name, _)| name == tag)
        .map(|(_, value)| value.as_str())
}

#[test]
fn exif_says_what_is_known() {
    let fields = exif_of(Some(pose()));
    for (tag, wanted) in [
        ("Make", "\"Bureau\""),
        ("Model", "\"LM-0001\""),
        ("Software", "\"lingmou 0.1.0\""),
        ("DateTimeOriginal", "2026-08-01 10:03:04"),
        ("SubSecTimeOriginal", "\"567\""),
        ("OffsetTimeOriginal", "\"+08:00\""),
        ("ImageUniqueID", "\"0198f0a2000070008000000000000001\""),
        ("PixelXDimension", "64"),
        ("GPSLatitudeRef", "N"),
        ("GPSLatitude", "36 deg 9 min 36.04428 sec"),
        ("GPSLongitudeRef", "W"),
        ("GPSLongitude", "120 deg 25 min 48.16416 sec"),
        ("GPSAltitudeRef", "below sea level"),
        ("GPSAltitude", "1.5"),
        ("GPSHPositioningError", "2.5"),
        ("GPSSatellites", "\"14\""),
        ("GPSMeasureMode", "3-dimensional measurement"),
        ("GPSImgDirectionRef", "true direction"),
        ("GPSImgDirection", "271.26"),
        ("GPSMapDatum", "\"WGS-84\""),
        ("GPSDOP", "1.47"),
        // The satellites' word, whatever the box's own clock says.
        ("GPSDateStamp", "2023-11-14"),
        ("GPSTimeStamp", "22:13:20.387"),
    ] {
        assert_eq!(value(&fields, tag), Some(wanted), "{tag}");
    }
}

#[test]
fn exif_leaves_out_what_is_not_known() {
    let nowhere = exif_of(None);
    assert!(!nowhere.iter().any(|(tag, _)| tag.starts_with("GPS")));

    let no_fix = exif_of(Some(Pose {
        fix: FixKind::None,
        ..pose()
    }));
    assert_eq!(value(&no_fix, "GPSLatitude"), None);
    assert_eq!(value(&no_fix, "GPSStatus"), Some("measurement interrupted"));
    let off_earth = exif_of(Some(Pose {
        lat_e7: 900_000_001,
        ..pose()
    }));
    assert_eq!(value(&off_earth, "GPSLatitude"), None);

    let bare = exif_of(Some(Pose {
        alt_mm: None,
        h_acc_mm: None,
        sats: None,
        camera: None,
        pdop_e2: None,
        satellite_us: None,
        ..pose()
    }));
    for tag in [
        "GPSAltitude",
        "GPSHPositioningError",
        "GPSSatellites",
        "GPSImgDirection",
        // Three dimensions would make of HDOP a PDOP.
        "GPSDOP",
        // And a time that no satellite told would be taken for theirs.
        "GPSDateStamp",
        "GPSTimeStamp",
        "UserComment",
    ] {
        assert_eq!(value(&bare, tag), None, "{tag}");
    }
    let flat = exif_of(Some(Pose {
        fix: FixKind::Flat,
        ..pose()
    }));
    assert_eq!(value(&flat, "GPSDOP"), Some("0.85"));

    let surveyed = exif_of(Some(Pose {
        fix: FixKind::Surveyed,
        ..pose()
    }));
    assert_eq!(value(&surveyed, "GPSMeasureMode"), None);
    assert_eq!(value(&surveyed, "GPSTimeStamp"), None);
    assert!(value(&surveyed, "GPSLatitude").is_some());
}

#[test]
fn a_bad_font_is_named() {
    let open = |path: &str| {
        Developer::new(&config::Evidence {
            font: path.into(),
            ..config::Evidence::default()
        })
        .err()
        .map(|e| e.to_string())
    };
    let missing = open("/nowhere/font.ttf").expect("refused");
    assert!(missing.contains("/nowhere/font.ttf"), "{missing}");
    let text = open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("refused");
    assert!(text.contains("not a TrueType or OpenType font"), "{text}");
}

/// The first font that writes Latin, whatever this machine has.
fn face() -> ab_glyph::FontVec {
    let mut db = fontdb::Database::new();
    db.load_system_fonts();
    db.faces()
        .find_map(|f| {
            db.with_face_data(f.id, |data, index| {
                ab_glyph::FontVec::try_from_vec_and_index(data.to_vec(), index).ok()
            })?
        })
        .expect("the machine has a font")
}

#[test]
fn text_is_broken_into_lines_that_fit() {
    let face = face();
    let check = |text: &str, letters: f32, wanted: &[&str]| {
        let room = fonts::width(&face, "m", 20.0) * letters + 1.0;
        assert_eq!(fonts::wrap(&face, text, 20.0, room), wanted, "{text}");
    };
    check("", 4.0, &[""]);
    check("mm", 4.0, &["mm"]);
    check("mmm mmm", 4.0, &["mmm", "mmm"]);
    check("mmmmmm", 4.0, &["mmmm", "mm"]);
    check("m mmmmmm", 4.0, &["m", "mmmm", "mm"]);
    check("mmm", 0.5, &["m", "m", "m"]);
}
