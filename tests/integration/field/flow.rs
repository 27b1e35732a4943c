//! The whole way: a person stands at the kerb, is warned, is looked at again, and becomes a
//! package that the receiver signs for and anyone can check.

use lingmou::config::Config;
use lingmou::daemon;
use lingmou::witness::{Statement, sha256_hex};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_case_goes_the_whole_way() {
    let camera = camera();
    let field = Field::start(&camera.url(STREAM), &|_| ()).await;
    let loaded = Config::read(&field.config()).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { daemon::run(&loaded, stop).await }
    });
    until(&field, "a receipt filed on the device", async || {
        assert!(!running.is_finished(), "the daemon ended");
        !field.receipted().is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap().unwrap();
    let package = field.receipted().remove(0);
    field.audit(&package);

    let statement = fs::read(package.join("evidence.json")).unwrap();
    let statement = Statement::parse(&statement).unwrap();
    let names: Vec<&str> = statement.files.iter().map(|f| f.name.as_str()).collect();
    for name in [
        "frames/01-found.jpg",
        "frames/01-found-marked.jpg",
        "frames/02-warned.jpg",
        "frames/02-warned-marked.jpg",
        "frames/03-again.jpg",
        "frames/03-again-marked.jpg",
        "clip.mp4",
        "detections.jsonl",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert_eq!(statement.omitted, []);
    warned_once_and_wholly(&statement);
    pictures_say_the_same(&package, &statement);
    the_clip_plays(&package);
    detections_are_lines(&package);
}

fn warned_once_and_wholly(statement: &Statement) {
    assert_eq!(statement.warning.len(), 1);
    let warning = &statement.warning[0];
    assert_eq!(warning.failure, None);
    assert!(warning.played_ms >= 6_800, "{} ms", warning.played_ms);
    let clip = fs::read(root().join("config/clips/test.wav")).unwrap();
    assert_eq!(warning.clip_sha256, sha256_hex(&clip));
}

/// What exiftool reads in the last picture is what the statement says.
fn pictures_say_the_same(package: &Path, statement: &Statement) {
    let again = package.join("frames/03-again.jpg");
    let args = [
        "-j",
        "-n",
        "-GPSLatitude",
        "-GPSLongitude",
        "-GPSDateTime",
        "-GPSMapDatum",
        "-DateTimeOriginal",
        "-OffsetTimeOriginal",
        "-SubSecTimeOriginal",
        "-ImageUniqueID",
        again.to_str().unwrap(),
    ];
    let read: Value = serde_json::from_str(&tool("exiftool", &args)).unwrap();
    let exif = &read[0];
    let position = statement.position.as_ref().expect("the vehicle has a fix");
    for (tag, stated) in [
        ("GPSLatitude", position.lat_e7),
        ("GPSLongitude", position.lon_e7),
    ] {
        let read = exif[tag].as_f64().unwrap();
        let stated = f64::from(stated) / 1e7;
        assert!((read - stated).abs() < 2e-7, "{tag}: {read} and {stated}");
    }
    let circle_m = (f64::from(position.lat_e7) / 1e7 - CENTRE.0).abs() * 111_195.0;
    assert!(circle_m <= 16.0, "{circle_m} m off the circle's centre");
    assert_eq!(exif["GPSMapDatum"], "WGS-84");

    let entry = statement
        .files
        .iter()
        .find(|f| f.name == "frames/03-again.jpg");
    let at: jiff::Timestamp = entry.unwrap().at.as_ref().unwrap().parse().unwrap();
    let local = at.to_zoned(jiff::tz::TimeZone::get("Asia/Shanghai").unwrap());
    let text = local.strftime("%Y:%m:%d %H:%M:%S").to_string();
    assert_eq!(exif["DateTimeOriginal"], text.as_str());
    assert_eq!(exif["OffsetTimeOriginal"], "+08:00");
    let utc = at.strftime("%Y:%m:%d %H:%M:%S").to_string();
    assert!(exif["GPSDateTime"].as_str().unwrap().starts_with(&utc));
    let id = statement.id.0.simple().to_string();
    let unique = exif["ImageUniqueID"].to_string().replace('"', "");
    assert_eq!(unique.to_lowercase(), id);
}

/// ffmpeg decodes every frame without a word.
fn the_clip_plays(package: &Path) {
    let clip = package.join("clip.mp4");
    let clip = clip.to_str().unwrap();
    let args = [
        "-v", "error", "-xerror", "-i", clip, "-map", "0:v", "-f", "framemd5", "-",
    ];
    let frames = tool("ffmpeg", &args);
    let frames = frames.lines().filter(|l| !l.starts_with('#')).count();
    assert!(frames >= 50, "{frames} frames at 10 a second");
}

fn detections_are_lines(package: &Path) {
    let text = fs::read_to_string(package.join("detections.jsonl")).unwrap();
    let looks: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let people = looks
        .iter()
        .flat_map(|look| look["detections"].as_array().unwrap())
        .filter(|seen| seen["label"] == "person")
        .count();
    assert!(looks.len() >= 10, "{} looks", looks.len());
    assert!(people > looks.len(), "{people} people");
}
