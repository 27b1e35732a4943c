//! A lorry loses its load on a film: judgement and keeper make of the camera's own video what an
//! officer needs, before, at and after, and the plate in full. The detector alone is played: by
//! somebody who finds a dark lorry and something white in the pixels.

use std::path::Path;

use super::*;
use crate::config::CameraKind;
use crate::daemon::eye::places;
use crate::daemon::work::Boxed;
use crate::demo::rtsp::{Mount, RtspServer, Show};
use crate::ingest::Codec;
use crate::types::{Change, Detection, FixKind, Moved, PictureOf, Pose, PoseSource, Track, View};
use crate::witness::FileEntry;

const WIDTH: usize = 1280;
/// A row of pixels through the lorry, above its plate.
const LORRY_ROW: usize = 432;
/// A row through what it lost, and the middle of that.
const SPILT: (usize, usize) = (608, 550);

/// Fourteen seconds of a grey road. From the second to the eighth a dark lorry with a white plate
/// drives through; from the sixth on something white lies where it drove.
fn film(path: &Path) {
    let filter = "[0]noise=c0s=12:c0_seed=7[road];[1][2]overlay=64:202[lorry];\
                  [road][lorry]overlay=x='192*(t-2)':y=360:enable='between(t,2,7.7)'[driven];\
                  [driven][3]overlay=512:590:enable='gte(t,6)'";
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    ffmpeg.args(["-v", "error"]);
    for [colour, size] in [
        ["0x808080", "1280x720"],
        ["0x202040", "192x252"],
        ["white", "52x14"],
        ["white", "76x36"],
    ] {
        let source = format!("color={colour}:s={size}:r=25");
        ffmpeg.args(["-f", "lavfi", "-i", &source]);
    }
    ffmpeg.args(["-filter_complex", filter, "-t", "14", "-c:v", "libx264"]);
    ffmpeg.args(["-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]);
    assert!(ffmpeg.arg(path).status().unwrap().success());
}

fn is_dark(luma: u8) -> bool {
    luma < 75
}

fn is_white(luma: u8) -> bool {
    luma > 190
}

fn area([x0, y0, x1, y1]: [f32; 4]) -> Area {
    Area { x0, y0, x1, y1 }
}

/// What is in the frame: lorry, its plate, and what it lost.
fn seen(frame: &Frame) -> Scene {
    let row = |y: usize| frame.image.row(0, y, WIDTH).unwrap();
    let share = |x: usize| f32::from(u16::try_from(x).unwrap()) / 1280.0;
    let mut things = Vec::new();
    let dark = |luma: &u8| is_dark(*luma);
    let (first, last) = (
        row(LORRY_ROW).iter().position(dark),
        row(LORRY_ROW).iter().rposition(dark),
    );
    if let (Some(first), Some(last)) = (first, last) {
        let (x0, x1) = (share(first), share(last + 1));
        things.push((6, Role::Truck, area([x0, 0.5, x1, 0.85])));
        let plate = area([x0 + 0.05, 0.78, x0 + 0.09, 0.8]);
        things.push((7, Role::Plate, plate));
    }
    if is_white(row(SPILT.0)[SPILT.1]) {
        things.push((8, Role::Debris, area([0.4, 0.82, 0.46, 0.87])));
    }
    let track = |(id, role, area)| Track {
        id,
        detection: Detection {
            label: 0,
            roles: [role].into_iter().collect(),
            score: 0.9,
            area,
        },
        first_seen: frame.at,
        came: None,
        last_seen: frame.at,
        hits: 5,
        appearance: None,
    };
    Scene {
        camera: 0,
        at: frame.at,
        tracks: things.into_iter().map(track).collect(),
        passing: Vec::new(),
        roleless: Vec::new(),
        place: None,
        view: View::Good,
        doubted: false,
        changed: Change::NotWatched,
        aspect: 16.0 / 9.0,
        moved: Moved::Still,
        background_since: None,
        absorbed: Vec::new(),
        held: Duration::ZERO,
    }
}

/// A box that drives north, at 11 m/s, by ten measurements a second round `at`; where it was says when.
fn driven(at: Stamp) -> Poses {
    let poses = Poses::new();
    for tenth in -200..=50 {
        let at = at.shifted_ns(tenth * 100_000_000);
        let place = (north_e7(at.utc_ms()), 1_204_300_000);
        poses.put(Pose::bare(at, place, (FixKind::Full, PoseSource::Gpsd)));
    }
    poses
}

/// How far north the box is at a moment, degrees × 10⁷: one more each millisecond.
fn north_e7(utc_ms: i64) -> i32 {
    i32::try_from(utc_ms.rem_euclid(800_000_000)).unwrap()
}

/// Lets the town watch its camera until a package is sealed; gives its statement and its folder.
fn watch(town: &mut Town) -> (Statement, std::path::PathBuf) {
    while town.keeper.state().sealed == 0 {
        let frame = town.slots.take(Duration::from_mins(1));
        let frame = frame.expect("the film goes on until the case is sealed");
        let scene = seen(&frame);
        let orders = town.judge.step(&scene);
        if orders.is_empty() {
            continue;
        }
        let boxed = |t: &Track| Boxed::on(&frame, (t.detection.area, t.detection.roles));
        let boxes = scene.tracks.iter().map(boxed).collect();
        let work = Work {
            // As of another stream, which detection looks at.
            time_source: Some(TimeSource::Arrival),
            places: places(&driven(frame.at), frame.at, &orders),
            frame: Some(frame),
            boxes,
            ..work(&scene, orders, town.judge.book())
        };
        town.keeper.carry(work);
    }
    let sealed = town.keeper.store.sealed_between(1, 10).unwrap();
    let folder = town.keeper.store.package_dir(sealed[0]);
    let verdict = verify_path(&folder, &Roots::load(&town.pki.root()).unwrap()).unwrap();
    assert!(
        verdict.valid(),
        "{:?}",
        verdict.failed().collect::<Vec<_>>()
    );
    let statement = std::fs::read(folder.join(STATEMENT)).unwrap();
    (Statement::parse(&statement).unwrap(), folder)
}

/// How far north a picture says that it was taken, degrees × 10⁷.
fn north_of(picture: &Path) -> i32 {
    let mut jpeg = std::io::Cursor::new(std::fs::read(picture).unwrap());
    let exif = exif::Reader::new().read_from_container(&mut jpeg).unwrap();
    let field = exif.get_field(exif::Tag::GPSLatitude, exif::In::PRIMARY);
    let exif::Value::Rational(parts) = &field.unwrap().value else {
        panic!("degrees, minutes and seconds");
    };
    let [degrees, minutes, seconds] = [0, 1, 2].map(|i| parts[i].to_f64());
    let degrees = degrees + minutes / 60.0 + seconds / 3600.0;
    #[expect(clippy::cast_possible_truncation, reason = "below 90 × 10⁷")]
    let e7 = (degrees * 1e7).round() as i32;
    e7
}

/// The luma of a picture.
struct Grey(turbojpeg::Image<Vec<u8>>);

impl Grey {
    fn read(folder: &Path, name: &str) -> Self {
        let jpeg = std::fs::read(folder.join(name)).unwrap();
        Self(turbojpeg::decompress(&jpeg, turbojpeg::PixelFormat::GRAY).unwrap())
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.0.pixels[y * self.0.pitch..][..self.0.width]
    }

    fn lorry(&self) -> bool {
        self.row(LORRY_ROW).iter().any(|luma| is_dark(*luma))
    }

    fn spilt(&self) -> bool {
        is_white(self.row(SPILT.0)[SPILT.1])
    }

    /// White pixels side by side, at most.
    fn white(&self) -> usize {
        let rows = (0..self.0.height).map(|y| self.row(y));
        let runs = rows.flat_map(|row| row.split(|luma| !is_white(*luma)));
        runs.map(<[u8]>::len).max().unwrap_or_default()
    }
}

fn each_picture_has_its_close_up_and_marked_copy(
    statement: &Statement,
    moments: &[(&str, &FileEntry)],
) {
    for (kind, file) in moments {
        let stem = file.name.strip_suffix(".jpg").unwrap();
        for (suffix, of) in [("close", PictureOf::Close), ("marked", PictureOf::Marked)] {
            let name = format!("{stem}-{suffix}.jpg");
            let other = statement.files.iter().find(|f| f.name == name);
            assert_eq!(other.and_then(|f| f.of), Some(of), "{kind}");
        }
    }
}

#[test]
fn what_a_truck_loses_is_shown_before_at_and_after_with_its_plate_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("road.mp4");
    film(&path);
    let mut town = Town::build(|config| {
        let camera = &mut config.camera[0];
        (camera.kind, camera.path, camera.url) = (CameraKind::File, path, String::new());
        camera.detect_rate = 10.0;
        (
            config.evidence.clip_before_secs,
            config.evidence.clip_after_secs,
        ) = (1.0, 2.0);
        config.evidence.c2pa = cfg!(feature = "c2pa");
    });
    let (statement, folder) = watch(&mut town);
    let violation = statement.violation.as_ref().unwrap();
    assert_eq!(
        (violation.kind, violation.outcome),
        (Violation::Spillage, Outcome::Recorded)
    );
    assert_eq!(statement.omitted, [], "nothing is missing");

    let originals = statement.files.iter();
    let originals = originals.filter(|f| f.of == Some(PictureOf::Original));
    let mut moments: Vec<(&str, &FileEntry)> = originals
        .map(|f| (f.name.rsplit(['-', '.']).nth(1).unwrap(), f))
        .collect();
    moments.sort_by_key(|(_, f)| f.pts_ns);
    let shown = |wanted: &str| {
        let mut found = moments.iter().filter(|(kind, _)| *kind == wanted);
        let (Some((_, file)), None) = (found.next(), found.next()) else {
            panic!("one picture {wanted}: {moments:?}");
        };
        (file.pts_ns.unwrap(), Grey::read(&folder, &file.name))
    };
    assert_eq!(moments.len(), 5, "{moments:?}");
    // The lorry elsewhere, and its plate, may be of before the loss or after.
    for (kind, lorry, spilt) in [
        ("before", true, Some(false)),
        ("moved", true, None),
        ("plate", true, None),
        ("peak", false, Some(true)),
        ("after", false, Some(true)),
    ] {
        let (_, picture) = shown(kind);
        assert_eq!((picture.0.width, picture.0.height), (WIDTH, 720), "{kind}");
        assert_eq!(picture.lorry(), lorry, "{kind}: the lorry");
        let lies = picture.spilt();
        assert!(spilt.is_none_or(|spilt| spilt == lies), "{kind}: {lies}");
    }
    let order = ["before", "peak", "after"].map(|kind| shown(kind).0);
    assert!(order.is_sorted(), "{order:?}");
    each_picture_has_its_close_up_and_marked_copy(&statement, &moments);
    // Cut out, not scaled: the plate is as wide as in the film, 52 pixels.
    let (_, plate) = moments.iter().find(|(kind, _)| *kind == "plate").unwrap();
    let close = Grey::read(&folder, &plate.name.replace(".jpg", "-close.jpg"));
    assert!((50..=54).contains(&close.white()), "{}", close.white());
    assert!(close.0.width < WIDTH / 2, "{}", close.0.width);

    let grading = statement.grade.as_ref().unwrap();
    for id in [
        "pictures", "spacing", "close_up", "warning", "clip", "complete",
    ] {
        let condition = grading.conditions.iter().find(|c| c.id == id);
        assert_eq!(condition.unwrap().pass, Some(true), "{condition:?}");
    }
    each_picture_is_of_its_own_time_and_place(&statement, &folder);
    the_clip_says_when_it_begins(&statement, &folder);
    no_picture_is_made_of_what_is_long_gone(&mut town);
}

/// Each was taken where the box was at that very frame, which the pictures' own stream dates.
fn each_picture_is_of_its_own_time_and_place(statement: &Statement, folder: &Path) {
    let recording = Some(TimeSource::Recording);
    assert_eq!(statement.clock.capture_source, recording);
    for file in statement.files.iter().filter(|file| file.of.is_some()) {
        assert_eq!(file.capture_source, recording, "{}", file.name);
        let at: jiff::Timestamp = file.at.as_ref().unwrap().parse().unwrap();
        let there = north_e7(at.as_millisecond());
        let off = north_of(&folder.join(&file.name)).abs_diff(there);
        assert!(off <= 2, "{}: {off} ms apart from its place", file.name);
    }
}

/// The camera plays, but what was ordered is older than what is kept of it: that is said, and no
/// other moment shown instead.
fn no_picture_is_made_of_what_is_long_gone(town: &mut Town) {
    let mut scene = day::scenes().next().unwrap().1;
    scene.at.boot_ns = 1_000_000_000;
    let case = made::case(1);
    let plate = area([0.4, 0.78, 0.44, 0.8]);
    let snap = Order::Snap {
        case,
        violation: Violation::Spillage,
        kind: crate::types::ShotKind::Plate,
        at: scene.at,
        subject: Some(plate),
        place: plate,
        zone: "lane".to_owned(),
        outcome: None,
    };
    town.keeper.carry(Work {
        frame: None,
        ..work(&scene, vec![snap], "open".to_owned())
    });
    assert!(town.keeper.store.drafts(case).unwrap().is_empty());
    let note = town.keeper.store.draft_note(case).unwrap().unwrap();
    assert!(
        note.contains("-plate.jpg") && note.contains("no video kept"),
        "{note}"
    );
}

/// The pictures of the moment lie within the clip, and whoever has the clip alone is told when its
/// first frame was taken.
fn the_clip_says_when_it_begins(statement: &Statement, folder: &Path) {
    let clip = statement.files.iter().find(|f| f.name == "clip.mp4");
    let clip = clip.unwrap();
    let peak = statement
        .files
        .iter()
        .find(|f| f.name.ends_with("-peak.jpg"));
    // It begins a second before the lorry comes, which is six before what it lost has lain for two.
    let into = peak.unwrap().pts_ns.unwrap() - clip.pts_ns.unwrap();
    assert!((6_800_000_000..9_400_000_000).contains(&into), "{into}");
    #[cfg(feature = "c2pa")]
    {
        let bytes = std::fs::read(folder.join(&clip.name)).unwrap();
        let reader = c2pa::Reader::from_context(c2pa::Context::new());
        let reader = reader.with_stream("video/mp4", std::io::Cursor::new(bytes));
        let store: Value = serde_json::from_str(&reader.unwrap().json()).unwrap();
        let manifest = &store["manifests"][store["active_manifest"].as_str().unwrap()];
        let told = |label: &str| {
            let list = manifest["assertions"].as_array().unwrap();
            &list.iter().find(|a| a["label"] == label).unwrap()["data"]
        };
        let at = json!(clip.at);
        assert_eq!(told("lingmou.package")["at"], at);
        assert_eq!(told("c2pa.actions.v2")["actions"][0]["when"], at);
        assert_eq!(told("c2pa.metadata")["exif:DateTimeOriginal"], at);
    }
    #[cfg(not(feature = "c2pa"))]
    assert!(folder.join(&clip.name).is_file());
}

/// The camera hangs for a while within the clip, and the connection holds: the package says so.
#[test]
fn what_a_clip_lacks_inside_is_among_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("road.mp4");
    film(&path);
    let street = Mount {
        path: "/main".to_owned(),
        show: Show::Clip(path, Codec::H264),
    };
    let server = RtspServer::start(&[street]).unwrap();
    let mut town = Town::build(|config| {
        config.camera[0].url = server.url("/main");
        config.camera[0].stall_secs = 30.0;
    });
    let slots = Arc::clone(&town.slots);
    let frame = || slots.take(Duration::from_mins(1)).expect("it plays");
    let from = frame().at;
    while frame().at.since(from) < Duration::from_secs(1) {}
    server.stall("/main", true);
    while slots.take(Duration::from_millis(1500)).is_some() {}
    server.stall("/main", false);
    let again = frame().at;
    while frame().at.since(again) < Duration::from_secs(1) {}
    let to = frame().at;

    let mut scene = day::scenes().next().unwrap().1;
    scene.at = to;
    let work = work(&scene, Vec::new(), "open".to_owned());
    let case = made::case(1);
    let about = (case, Some(Violation::StreetVending));
    town.keeper.cut(about, (from, to), &work, None).unwrap();
    let drafts = town.keeper.store.drafts(case).unwrap();
    assert!(drafts.iter().any(|f| f.name == "clip.mp4"), "{drafts:?}");
    let notes = town.keeper.store.draft_note(case).unwrap();
    let missing = Notes::read(notes.as_deref()).omitted;
    let [part] = &missing[..] else {
        panic!("{missing:?}");
    };
    assert_eq!(part.what, "clip.mp4 (part)");
    assert!(part.why.starts_with("no picture came for "), "{}", part.why);
}
