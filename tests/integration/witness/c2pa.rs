//! Manifests inside pictures and clips, read back by the crate's reader and by exiftool, ffprobe
//! and ffmpeg, which must not notice them.

use std::collections::BTreeMap;
use std::path::Path;

use gstreamer as gst;
use gstreamer::prelude::*;
use jiff::tz::TimeZone;
use lingmou::config;
use lingmou::develop::{Developer, Exif, Mark};
use lingmou::pki::TestPki;
use lingmou::types::{Area, FixKind, Image, PixelFormat, Placed, Pose, PoseSource, Violation};
use lingmou::witness::c2pa::{Change, Claim, Origin, embed, examine};
use lingmou::witness::{
    CheckId, Container, Credential, CredentialState, Identity, Language, MANIFEST, Roots,
    SIGNATURE, credentials, seal, sha256_hex, tell_credentials, verify,
};
use serde_json::Value;
use uuid::Uuid;

use super::{AT, DEVICE, Kit, assemble_with, case, put, put_all, run, statement, succeed};

const JPEG: &str = "image/jpeg";
const MP4: &str = "video/mp4";

fn pose() -> Placed {
    let pose = Pose {
        at: AT,
        lat_e7: 361_600_123,
        lon_e7: -1_204_300_456,
        alt_mm: Some(-1250),
        h_acc_mm: Some(1800),
        hdop_e2: None,
        pdop_e2: None,
        satellite_us: Some(1_700_000_000_250_000),
        fix: FixKind::Full,
        sats: Some(14),
        heading_deg: None,
        speed_mps: None,
        attitude: None,
        camera: None,
        source: PoseSource::Gpsd,
        sysid: None,
    };
    Placed {
        pose,
        age_ms: 40,
        interpolated: true,
    }
}

/// A 1080p picture with something in it, and its marked copy.
fn shot() -> Shot {
    let (width, height) = (1920_usize, 1080_usize);
    let pixel = |i: usize| u8::try_from((i % width) * (i / width) / 7 % 256).unwrap();
    let mut bytes: Vec<u8> = (0..width * height).map(pixel).collect();
    bytes.resize(width * height * 3 / 2, 128);
    let image = Image::packed(PixelFormat::I420, width, height, bytes);
    let exif = Exif {
        at: AT,
        time_zone: TimeZone::fixed(jiff::tz::offset(8)),
        placed: Some(pose()),
        make: "Bureau".to_owned(),
        model: DEVICE.to_owned(),
        software: "lingmou 0.1.0".to_owned(),
        comment: String::new(),
        image_unique_id: Uuid::from_u128(7),
    };
    let area = Area {
        x0: 0.3,
        y0: 0.3,
        x1: 0.5,
        y1: 0.6,
    };
    let mark = Mark {
        subject: Some((area, "stall".to_owned())),
        others: Vec::new(),
        zones: Vec::new(),
        caption: vec!["2026-08-01 10:03:04".to_owned()],
    };
    let mut developer = Developer::new(&config::Evidence::default()).unwrap();
    Shot {
        original: developer.original(&image, &exif).unwrap(),
        marked: developer.marked(&image, &exif, &mark).unwrap(),
    }
}

struct Shot {
    original: Vec<u8>,
    marked: Vec<u8>,
}

fn claim<'a>(name: &'a str, media_type: &'a str, placed: Option<&'a Placed>) -> Claim<'a> {
    Claim {
        name,
        media_type,
        package: case(1),
        kind: Some(Violation::StreetVending),
        at: AT,
        placed,
        origin: Origin::Camera,
    }
}

/// Original and marked copy with their manifests.
fn credited(identity: &Identity, shot: &Shot) -> [Vec<u8>; 2] {
    let placed = pose();
    let name = "frames/01-found.jpg";
    let original = embed(identity, &shot.original, &claim(name, JPEG, Some(&placed))).unwrap();
    let marked = Claim {
        origin: Origin::Picture {
            name,
            bytes: &original,
            change: Change::Drawn,
        },
        ..claim("frames/01-found-marked.jpg", JPEG, Some(&placed))
    };
    let marked = embed(identity, &shot.marked, &marked).unwrap();
    [original, marked]
}

/// The last bytes of a file are its pixels or access units.
fn with_a_flipped_byte(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let at = changed.len() - 100;
    changed[at] ^= 1;
    changed
}

fn foreign() -> (tempfile::TempDir, Roots) {
    let dir = tempfile::tempdir().unwrap();
    let pki = TestPki::create(dir.path(), DEVICE).unwrap();
    let roots = Roots::load(&pki.root()).unwrap();
    (dir, roots)
}

fn assert_judged(bytes: &[u8], media_type: &str, kit: &Kit, mismatch: &str) {
    let sound = examine(bytes, media_type, &kit.roots);
    assert_eq!(sound.state, CredentialState::Trusted, "{sound:?}");
    assert_eq!(sound.faults, [""; 0]);
    let changed = examine(&with_a_flipped_byte(bytes), media_type, &kit.roots);
    assert_eq!(changed.state, CredentialState::Broken, "{changed:?}");
    assert_eq!(changed.faults, [mismatch]);
    let (_dir, strangers) = foreign();
    let unknown = examine(bytes, media_type, &strangers);
    assert_eq!(unknown.state, CredentialState::Untrusted, "{unknown:?}");
    assert_eq!(unknown.faults, ["signingCredential.untrusted"]);
}

/// Everything exiftool finds, without what it says of the file itself and of the manifest.
fn tags(dir: &Path, name: &str) -> BTreeMap<String, Value> {
    let text = succeed(dir, &format!("exiftool -json -G -n {name}"));
    let list: Vec<BTreeMap<String, Value>> = serde_json::from_str(&text).unwrap();
    let mut tags = list.into_iter().next().unwrap();
    tags.retain(|tag, _| {
        tag.contains(':')
            && !["File:", "JUMBF:", "ExifTool:"]
                .iter()
                .any(|g| tag.starts_with(g))
    });
    tags
}

/// What ffmpeg decodes, as a hash; it must have nothing to say about the file.
fn decoded(dir: &Path, name: &str) -> String {
    let output = run(dir, &format!("ffmpeg -v warning -i {name} -f md5 -"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_picture_proves_itself_and_keeps_its_exif_and_pixels() {
    let kit = Kit::new();
    let shot = shot();
    let [original, marked] = credited(&kit.evidence, &shot);
    println!(
        "a manifest adds {} bytes to an original, {} to a marked copy",
        original.len() - shot.original.len(),
        marked.len() - shot.marked.len()
    );
    for bytes in [&original, &marked] {
        assert_judged(bytes, JPEG, &kit, "assertion.dataHash.mismatch");
    }
    assert_eq!(
        examine(&shot.original, JPEG, &kit.roots).state,
        CredentialState::Absent
    );

    let dir = kit.folder("pictures");
    put(&dir, "before.jpg", &shot.original);
    put(&dir, "after.jpg", &original);
    let before = tags(&dir, "before.jpg");
    assert!(before.contains_key("EXIF:GPSLatitude"), "{before:?}");
    assert_eq!(before, tags(&dir, "after.jpg"));
    assert_eq!(decoded(&dir, "before.jpg"), decoded(&dir, "after.jpg"));
    put(&dir, "marked.jpg", &marked);
    decoded(&dir, "marked.jpg");
}

#[test]
fn the_manifest_tells_package_time_place_and_what_was_drawn() {
    let kit = Kit::new();
    let [original, marked] = credited(&kit.evidence, &shot());
    let told = |bytes: &[u8]| -> Value {
        let reader = c2pa::Reader::from_context(c2pa::Context::new());
        let reader = reader
            .with_stream(JPEG, std::io::Cursor::new(bytes))
            .unwrap();
        let store: Value = serde_json::from_str(&reader.json()).unwrap();
        store["manifests"][store["active_manifest"].as_str().unwrap()].clone()
    };
    let assertion = |manifest: &Value, label: &str| {
        let list = manifest["assertions"].as_array().unwrap();
        let found = list.iter().find(|a| a["label"] == label);
        found.unwrap_or_else(|| panic!("{label} in {list:#?}"))["data"].clone()
    };
    let manifest = told(&original);
    assert_eq!(manifest["title"], "frames/01-found.jpg");
    assert_eq!(manifest["claim_generator_info"][0]["name"], "lingmou");
    assert_eq!(manifest["signature_info"]["alg"], "Es256");
    assert_eq!(
        assertion(&manifest, "lingmou.package"),
        serde_json::json!({
            "v": 1, "package": case(1), "kind": "street_vending", "device": DEVICE,
            "at": "2026-08-01T02:03:04.000Z", "clock_error_us": 1800,
        })
    );
    let action = &assertion(&manifest, "c2pa.actions.v2")["actions"][0];
    assert_eq!(action["action"], "c2pa.created");
    assert!(
        action["digitalSourceType"]
            .as_str()
            .unwrap()
            .ends_with("/digitalCapture")
    );
    let place = assertion(&manifest, "c2pa.metadata");
    for (tag, wanted) in [
        ("exif:GPSLatitude", "36,9.6007380N"),
        ("exif:GPSLongitude", "120,25.8027360W"),
        ("exif:GPSAltitude", "1250/1000"),
        ("exif:GPSAltitudeRef", "1"),
        ("exif:GPSHPositioningError", "1800/1000"),
        ("exif:DateTimeOriginal", "2026-08-01T02:03:04.000Z"),
        ("exif:GPSTimeStamp", "2023-11-14T22:13:20.250Z"),
    ] {
        assert_eq!(place[tag], wanted, "{tag}");
    }

    let manifest = told(&marked);
    let parent = &manifest["ingredients"][0];
    assert_eq!(parent["relationship"], "parentOf");
    assert_eq!(parent["title"], "frames/01-found.jpg");
    let actions = assertion(&manifest, "c2pa.actions.v2")["actions"].clone();
    let names: Vec<_> = actions
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["action"])
        .collect();
    assert_eq!(names, ["c2pa.opened", "c2pa.drawing"]);
}

/// Two seconds of video coded by ffmpeg and muxed as the daemon muxes.
fn clip(dir: &Path, codec: &str, parser: &str) -> Vec<u8> {
    let coded = "coded.mp4";
    let coder = if codec == "h264" {
        "libx264"
    } else {
        "libx265 -x265-params log-level=none"
    };
    succeed(
        dir,
        &format!(
            "ffmpeg -v error -f lavfi -i testsrc2=size=640x360:rate=25 -t 2 -c:v {coder} \
             -pix_fmt yuv420p {coded}"
        ),
    );
    gst::init().unwrap();
    let line = format!(
        "filesrc location={} ! qtdemux ! {parser} ! mp4mux faststart=true ! filesink location={}",
        dir.join(coded).display(),
        dir.join("clip.mp4").display()
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let ended = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(60),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert_eq!(ended.unwrap().type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    std::fs::read(dir.join("clip.mp4")).unwrap()
}

#[test]
fn a_clip_proves_itself_and_keeps_its_access_units() {
    for (codec, parser) in [("h264", "h264parse"), ("h265", "h265parse")] {
        let kit = Kit::new();
        let dir = kit.folder("clip");
        let clip = clip(&dir, codec, parser);
        let credited = embed(&kit.evidence, &clip, &claim("clip.mp4", MP4, None)).unwrap();
        println!(
            "a manifest adds {} bytes to a clip",
            credited.len() - clip.len()
        );
        assert_judged(&credited, MP4, &kit, "assertion.bmffHash.mismatch");

        put(&dir, "credited.mp4", &credited);
        // The packets as they are stored, with their times.
        let units = |name: &str| {
            succeed(
                &dir,
                &format!("ffmpeg -v warning -i {name} -c copy -f framemd5 -"),
            )
        };
        assert_eq!(units("clip.mp4"), units("credited.mp4"), "{codec}");
        assert_eq!(decoded(&dir, "clip.mp4"), decoded(&dir, "credited.mp4"));
        let probe = run(
            &dir,
            "ffprobe -v warning -show_format -show_streams credited.mp4",
        );
        assert_eq!(String::from_utf8_lossy(&probe.stderr), "");
    }
}

#[test]
fn a_package_of_such_files_is_valid_with_and_without_c2pa_at_hand() {
    let kit = Kit::new();
    let [original, marked] = credited(&kit.evidence, &shot());
    let mut files = super::files();
    for (name, _, bytes) in &mut files {
        match *name {
            "frames/01-found.jpg" => *bytes = original.clone(),
            "frames/01-found-marked.jpg" => *bytes = marked.clone(),
            _ => {}
        }
    }
    let mut statement = statement(DEVICE);
    for (entry, (_, _, bytes)) in statement.files.iter_mut().zip(&files) {
        (entry.size, entry.sha256) = (bytes.len() as u64, sha256_hex(bytes));
    }
    let sealed = seal(&statement, &kit.evidence, AT).unwrap();
    let package = assemble_with(&sealed, files);
    let verdict = verify(&package, &kit.roots);
    assert!(verdict.valid(), "{verdict:?}");
    let found = credentials(&package, &verdict, &kit.roots).unwrap();
    let told = tell_credentials(Some(&found), Language::English);
    for (name, state) in [
        (
            "frames/01-found.jpg",
            "fits the file, signed under a trusted root\n",
        ),
        (
            "frames/01-found-marked.jpg",
            "fits the file, signed under a trusted root\n",
        ),
        // Not a picture at all, and the package is valid nevertheless.
        ("frames/02-warned.jpg", "does not hold ("),
    ] {
        assert!(told.contains(&format!("{name}: {state}")), "{told}");
    }

    let dir = kit.folder("package");
    put_all(&dir, &package);
    succeed(
        &dir,
        &format!(
            "openssl cms -verify -binary -inform DER -in {SIGNATURE} -content {MANIFEST} \
             -CAfile {} -purpose any -out out.bin",
            kit.pki.root().display()
        ),
    );
    // A picture changed in the package is caught by its digest, whatever its manifest says.
    let changed = kit_with(
        &package,
        "frames/01-found.jpg",
        with_a_flipped_byte(&original),
    );
    let failed: Vec<_> = verify(&changed, &kit.roots).failed().collect();
    assert_eq!(failed, [CheckId::Files]);
    // What a stranger wrote is not shown to the reader of pictures.
    let verdict = verify(&changed, &kit.roots);
    assert_eq!(credentials(&changed, &verdict, &kit.roots), None);
}

fn kit_with(package: &Container, name: &str, bytes: Vec<u8>) -> Container {
    let mut changed = Container::new();
    for (other, content) in package.files().filter(|(other, _)| *other != name) {
        changed.insert(other, content.to_vec()).unwrap();
    }
    changed.insert(name, bytes).unwrap();
    changed
}

#[test]
fn what_is_no_picture_is_an_error_and_never_a_manifest() {
    let kit = Kit::new();
    for (bytes, media_type) in [
        (&b""[..], JPEG),
        (b"\xff\xd8", JPEG),
        (b"not a picture", JPEG),
        (b"not a film", MP4),
        (b"\0\0\0\x08ftyp", MP4),
    ] {
        let made = embed(&kit.evidence, bytes, &claim("x", media_type, None));
        assert!(made.is_err(), "{bytes:?}");
        let found: Credential = examine(bytes, media_type, &kit.roots);
        assert_ne!(found.state, CredentialState::Trusted, "{bytes:?}");
    }
}
