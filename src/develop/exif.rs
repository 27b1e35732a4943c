//! What a picture says about itself (Exif 2.32, CIPA DC-008): who took it, when, where.
//!
//! What is not known is left out; nothing is filled in to please a viewer.

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Field, In, Rational, Tag, Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::DevelopError;
use crate::types::{FixKind, Placed, Pose, Stamp};

/// What is written into both pictures of a shot.
#[derive(Clone, Debug)]
pub struct Exif {
    /// Capture time; written in `time_zone`, with its offset.
    pub at: Stamp,
    /// The box's time zone.
    pub time_zone: TimeZone,
    /// Where the box was; `None` leaves every GPS tag out.
    pub placed: Option<Placed>,
    /// Who made the box; empty leaves the tag out.
    pub make: String,
    /// Hardware model or device id; empty leaves the tag out.
    pub model: String,
    /// Name and version of the program; empty leaves the tag out.
    pub software: String,
    /// What whoever has the picture alone should know of it; empty leaves the tag out.
    pub comment: String,
    /// Identity of the case the picture belongs to; nil leaves the tag out.
    pub image_unique_id: Uuid,
}

/// `Exif\0\0` before the TIFF structure, and the segment's own length field.
const HEAD: usize = 2 + 6;
/// `SOI`.
const START: usize = 2;
/// Second and first byte of an `APP0` marker.
const APP0: [u8; 2] = [0xff, 0xe0];

/// The APP1 segment for a picture of `width` × `height` pixels.
pub(super) fn segment(exif: &Exif, width: usize, height: usize) -> Result<Vec<u8>, DevelopError> {
    let mut fields = structure(width, height);
    fields.extend(origin(exif));
    fields.extend(time(exif));
    if let Some(placed) = &exif.placed {
        fields.extend(place(&placed.pose));
    }
    let mut tiff = Cursor::new(Vec::new());
    let mut writer = Writer::new();
    for field in &fields {
        writer.push_field(field);
    }
    writer.write(&mut tiff, false)?;
    let tiff = tiff.into_inner();
    let len = u16::try_from(tiff.len() + HEAD).map_err(|_e| DevelopError::ExifTooLong)?;
    let mut segment = vec![0xff, 0xe1];
    segment.extend(len.to_be_bytes());
    segment.extend(b"Exif\0\0");
    segment.extend(tiff);
    Ok(segment)
}

/// Moves `segment` behind the JFIF header of a JPEG that has as many bytes of room before it: what
/// follows, nearly all of the picture, stays where it is.
pub(super) fn insert(room_and_jpeg: &mut [u8], segment: &[u8]) {
    let room = segment.len();
    let at = match room_and_jpeg.get(room + START..room + START + 4) {
        Some(&[a, b, high, low]) if [a, b] == APP0 => {
            START + 2 + usize::from(u16::from_be_bytes([high, low]))
        }
        _ => START,
    };
    let at = at.min(room_and_jpeg.len() - room);
    room_and_jpeg.copy_within(room..room + at, 0);
    room_and_jpeg[at..at + room].copy_from_slice(segment);
}

fn field(tag: Tag, value: Value) -> Field {
    Field {
        tag,
        ifd_num: In::PRIMARY,
        value,
    }
}

fn text(tag: Tag, text: impl AsRef<str>) -> Field {
    // A NUL would end the text early and leave a hidden rest.
    let bytes = text.as_ref().bytes().filter(|&b| b != 0).collect();
    field(tag, Value::Ascii(vec![bytes]))
}

fn ratio(tag: Tag, parts: &[(u32, u32)]) -> Field {
    let parts = parts.iter().map(|&(num, denom)| Rational { num, denom });
    field(tag, Value::Rational(parts.collect()))
}

/// The tags Exif 2.32 section 4.6.8 demands of every compressed picture.
fn structure(width: usize, height: usize) -> Vec<Field> {
    let side = |n: usize| Value::Long(vec![u32::try_from(n).unwrap_or(u32::MAX)]);
    vec![
        ratio(Tag::XResolution, &[(72, 1)]),
        ratio(Tag::YResolution, &[(72, 1)]),
        field(Tag::ResolutionUnit, Value::Short(vec![2])),
        field(Tag::YCbCrPositioning, Value::Short(vec![1])),
        field(Tag::ExifVersion, Value::Undefined(b"0232".to_vec(), 0)),
        field(
            Tag::ComponentsConfiguration,
            Value::Undefined(vec![1, 2, 3, 0], 0),
        ),
        field(Tag::FlashpixVersion, Value::Undefined(b"0100".to_vec(), 0)),
        field(Tag::ColorSpace, Value::Short(vec![1])),
        field(Tag::PixelXDimension, side(width)),
        field(Tag::PixelYDimension, side(height)),
    ]
}

fn origin(exif: &Exif) -> Vec<Field> {
    let mut fields: Vec<Field> = [
        (Tag::Make, &exif.make),
        (Tag::Model, &exif.model),
        (Tag::Software, &exif.software),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(tag, value)| text(tag, value))
    .collect();
    if !exif.comment.is_empty() {
        fields.push(field(Tag::UserComment, comment(&exif.comment)));
    }
    if !exif.image_unique_id.is_nil() {
        let id = exif.image_unique_id.simple().to_string();
        fields.push(text(Tag::ImageUniqueID, id));
    }
    fields
}

/// Any characters, as Exif has them in `UserComment`: UTF-16 in the byte order of the file, which is
/// big-endian, with a mark that says so, since some programs write another and readers guess.
fn comment(words: &str) -> Value {
    let marked = std::iter::once(0xfeff).chain(words.encode_utf16());
    let units = marked.flat_map(u16::to_be_bytes);
    Value::Undefined(b"UNICODE\0".iter().copied().chain(units).collect(), 0)
}

fn time(exif: &Exif) -> Vec<Field> {
    let Ok(utc) = Timestamp::from_nanosecond(i128::from(exif.at.utc_ns)) else {
        return Vec::new();
    };
    let local = utc.to_zoned(exif.time_zone.clone());
    vec![
        text(
            Tag::DateTimeOriginal,
            local.strftime("%Y:%m:%d %H:%M:%S").to_string(),
        ),
        text(
            Tag::SubSecTimeOriginal,
            format!("{:03}", local.millisecond()),
        ),
        text(Tag::OffsetTimeOriginal, local.strftime("%:z").to_string()),
    ]
}

/// Position, its quality, and where the camera looks.
fn place(pose: &Pose) -> Vec<Field> {
    let mut fields = vec![
        field(Tag::GPSVersionID, Value::Byte(vec![2, 3, 0, 0])),
        text(Tag::GPSMapDatum, "WGS-84"),
    ];
    if let Some(axis) = pose.axis_deg().and_then(bearing) {
        fields.push(text(Tag::GPSImgDirectionRef, "T"));
        fields.push(ratio(Tag::GPSImgDirection, &[(axis, 100)]));
    }
    let on_earth =
        pose.lat_e7.unsigned_abs() <= 900_000_000 && pose.lon_e7.unsigned_abs() <= 1_800_000_000;
    if pose.fix == FixKind::None || !on_earth {
        fields.push(text(Tag::GPSStatus, "V"));
        return fields;
    }
    fields.extend(position(pose));
    fields.extend(quality(pose));
    fields
}

fn position(pose: &Pose) -> Vec<Field> {
    let half = |negative: bool, refs: [&'static str; 2]| refs[usize::from(negative)];
    let mut fields = vec![
        text(Tag::GPSStatus, "A"),
        text(Tag::GPSLatitudeRef, half(pose.lat_e7 < 0, ["N", "S"])),
        ratio(Tag::GPSLatitude, &degrees(pose.lat_e7)),
        text(Tag::GPSLongitudeRef, half(pose.lon_e7 < 0, ["E", "W"])),
        ratio(Tag::GPSLongitude, &degrees(pose.lon_e7)),
    ];
    if let Some(alt_mm) = pose.alt_mm {
        let below = u8::from(alt_mm < 0);
        fields.push(field(Tag::GPSAltitudeRef, Value::Byte(vec![below])));
        fields.push(ratio(Tag::GPSAltitude, &[(alt_mm.unsigned_abs(), 1000)]));
    }
    fields
}

/// How good the position is. A surveyed one was not measured by satellites, and says so.
fn quality(pose: &Pose) -> Vec<Field> {
    let mut fields = Vec::new();
    if let Some(h_acc_mm) = pose.h_acc_mm {
        fields.push(ratio(Tag::GPSHPositioningError, &[(h_acc_mm, 1000)]));
    }
    let surveyed = pose.fix == FixKind::Surveyed;
    let method: &[u8] = if surveyed { b"MANUAL" } else { b"GPS" };
    fields.push(field(
        Tag::GPSProcessingMethod,
        Value::Undefined([b"ASCII\0\0\0", method].concat(), 0),
    ));
    if surveyed {
        return fields;
    }
    let flat = pose.fix == FixKind::Flat;
    fields.push(text(Tag::GPSMeasureMode, if flat { "2" } else { "3" }));
    // The tag means HDOP with two dimensions and PDOP with three.
    let dop_e2 = if flat { pose.hdop_e2 } else { pose.pdop_e2 };
    if let Some(dop_e2) = dop_e2 {
        fields.push(ratio(Tag::GPSDOP, &[(u32::from(dop_e2), 100)]));
    }
    if let Some(sats) = pose.sats {
        fields.push(text(Tag::GPSSatellites, sats.to_string()));
    }
    let corrected = u16::from(pose.fix >= FixKind::Dgnss);
    fields.push(field(Tag::GPSDifferential, Value::Short(vec![corrected])));
    // Whoever reads these takes them for atomic time (Exif 2.32 section 4.6.6), which the box's own
    // clock is not.
    let told = pose.satellite_us.map(Timestamp::from_microsecond);
    if let Some(Ok(utc)) = told {
        let utc = utc.to_zoned(TimeZone::UTC);
        let [hour, minute] = [utc.hour(), utc.minute()].map(|n| u32::from(n.unsigned_abs()));
        let ms = u32::from(utc.second().unsigned_abs()) * 1000
            + u32::from(utc.millisecond().unsigned_abs());
        fields.push(ratio(
            Tag::GPSTimeStamp,
            &[(hour, 1), (minute, 1), (ms, 1000)],
        ));
        fields.push(text(
            Tag::GPSDateStamp,
            utc.strftime("%Y:%m:%d").to_string(),
        ));
    }
    fields
}

/// Degrees × 10⁷ as whole degrees, whole minutes and exact seconds.
fn degrees(e7: i32) -> [(u32, u32); 3] {
    const ONE: u32 = 10_000_000;
    let e7 = e7.unsigned_abs();
    // Below 60 × 60 × 10⁷ only after the whole part is taken off; the minutes fit 32 bits.
    let minutes_e7 = e7 % ONE * 60;
    [
        (e7 / ONE, 1),
        (minutes_e7 / ONE, 1),
        (minutes_e7 % ONE * 60, ONE),
    ]
}

/// A compass bearing in hundredths of a degree, 0..36000.
fn bearing(deg: f32) -> Option<u32> {
    let hundredths = (deg.rem_euclid(360.0) * 100.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 36000 after rem_euclid, NaN is filtered"
    )]
    deg.is_finite().then_some(hundredths as u32 % 36_000)
}
