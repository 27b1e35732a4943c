//! The whole way: a person stands at the kerb, is warned, is looked at again, and becomes a
//! package that the receiver signs for and anyone can check.

use lingmou::config::Config;
use lingmou::types::{Outcome, PictureOf};
use lingmou::witness::{
    CONDITIONS, CheckId, Container, CredentialState, FileEntry, Grade, HeadingOf, Statement,
    Status, credentials, sha256_hex, verify,
};
use lingmou::{clock, daemon};

use super::*;
use crate::onvif::peer::{Manner, Peer};

#[tokio::test(flavor = "multi_thread")]
async fn a_case_goes_the_whole_way() {
    let camera = camera();
    let web = Peer::start(Manner::Open, "LC2-0042");
    let with_c2pa = |profile: &mut DocumentMut| {
        profile["camera"][0]["onvif_url"] = value(web.url());
        profile["judge"]["calendar"] = value(calendar().to_string_lossy().into_owned());
        if cfg!(feature = "c2pa") {
            profile["evidence"]["c2pa"] = value(true);
        }
    };
    let field = Field::start(&camera.url(STREAM), &with_c2pa).await;
    let loaded = Config::read(&field.config()).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { daemon::run(&loaded.into(), stop).await }
    });
    let read = |package: &PathBuf| {
        let statement = fs::read(package.join("evidence.json")).unwrap();
        Statement::parse(&statement).unwrap()
    };
    // On a busy machine a second case may be over before the first is stamped.
    let stamped =
        |package: &PathBuf| package.join(witness::TIMESTAMP).is_file() && read(package).seq == 1;
    until(
        &field,
        "a receipt and its time-stamp on the device",
        async || {
            assert!(!running.is_finished(), "the daemon ended");
            field.receipted().iter().any(stamped)
        },
    )
    .await;
    field.status().await;
    field.status().await;
    stop.cancel();
    running.await.unwrap().unwrap();
    the_journal_tells_it(&field);
    let package = field.receipted().into_iter().find(stamped).unwrap();
    field.audit(&package);
    journal_and_time_stamp_prove_it(&package, &field);

    let statement = read(&package);
    let names: Vec<&str> = statement.files.iter().map(|f| f.name.as_str()).collect();
    for name in [
        "frames/01-found.jpg",
        "frames/01-found-close.jpg",
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
    every_fact_is_filled_or_honestly_unknown(&statement, &field);
    pictures_are_described(&statement);
    the_grade_follows(&statement);
    a_picture_is_in_the_clip(&package, &statement);
    warned_once_and_wholly(&statement);
    pictures_say_the_same(&package, &statement);
    the_clip_plays(&package);
    detections_are_lines(&package);
    each_picture_proves_itself(&package, &field);
}

/// A calendar without holidays and permits.
fn calendar() -> PathBuf {
    root().join("config/calendar.toml")
}

/// With C2PA built in, each picture and the clip prove themselves without their package.
fn each_picture_proves_itself(package: &Path, field: &Field) {
    let roots = Roots::load(&field.pki.root()).unwrap();
    let container = Container::open(package).unwrap();
    let found = credentials(&container, &verify(&container, &roots), &roots);
    assert_eq!(found.is_some(), cfg!(feature = "c2pa"));
    for file in found.unwrap_or_default() {
        let credential = &file.credential;
        assert_eq!(
            credential.state,
            CredentialState::Trusted,
            "{}: {credential:?}",
            file.name
        );
    }
}

/// What came with and after the receipt holds, so that the sealing lies between two clocks.
fn journal_and_time_stamp_prove_it(package: &Path, field: &Field) {
    let roots = Roots::load(&field.pki.root()).unwrap();
    let verdict = verify_path(package, &roots).unwrap();
    for id in [CheckId::Journal, CheckId::Stamp] {
        let check = verdict.check(id).unwrap();
        assert_eq!(check.status, Status::Pass, "{check:?}");
    }
}

/// Beside the case itself: what the run began with, who asked, and how it ended.
fn the_journal_tells_it(field: &Field) {
    for (kind, lines) in [
        ("boot", 1),
        ("config.loaded", 1),
        ("model.loaded", 1),
        ("cert.installed", 2),
        ("shutdown", 1),
        ("access", 1),
        ("head.foreign", 0),
        ("capture.refused", 0),
    ] {
        assert_eq!(field.journal(kind).len(), lines, "{kind}");
    }
    let visit = &field.journal("access")[0]["body"];
    assert_eq!(visit["uid"], rustix::process::getuid().as_raw());
    let clock = &field.journal("clock")[0]["body"];
    assert_eq!(clock["change"], "start");
    assert_eq!(clock["boot_id"], lingmou::clock::boot_id());
}

/// The daemon ran in this very process, so its facts can be asked for here.
#[expect(
    clippy::too_many_lines,
    reason = "one assertion for each field of the statement"
)]
fn every_fact_is_filled_or_honestly_unknown(s: &Statement, field: &Field) {
    let of_file = |path: &Path| Some(sha256_hex(&fs::read(path).unwrap()));
    let known = |text: &str| Some(text.to_owned());
    assert_eq!(s.device.id, DEVICE);
    assert_eq!(s.device.model, known("demonstration"));
    assert_eq!(s.device.tz, "Asia/Shanghai");
    assert_eq!(s.device.boot_id, known(clock::boot_id()));
    assert_eq!(
        (s.seq, s.after.is_some()),
        (1, false),
        "no receipt before the first"
    );
    let line = &field.journal("package.sealed")[0];
    assert_eq!(
        (&line["n"], &line["prev"]),
        (&s.journal.n.into(), &s.journal.prev.as_str().into())
    );

    let site = s.site.as_ref().unwrap();
    assert_eq!(site.public_id, known("DEMO-0001"));
    assert_eq!(site.name, known("演示路段"));
    assert!(site.approval.is_some() && site.approval_until.is_none());
    assert!(
        s.violation
            .as_ref()
            .and_then(|violation| violation.dwell_s)
            .is_some_and(|s| (3..60).contains(&s))
    );
    let played = &field.journal("warning.played")[0];
    assert_eq!(s.warning[0].journal_n, played["n"].as_u64());
    assert_eq!(
        s.warning[0].acknowledged_by_amp, None,
        "no amplifier reports here"
    );

    let trust = clock::trust();
    assert_eq!(s.clock.synced, trust.synced);
    assert_eq!(s.clock.max_error_us.is_some(), trust.synced);
    assert!(s.clock.boottime_ns < clock::boot_ns() && s.clock.boottime_ns > 0);
    let apart = s
        .clock
        .gnss_minus_system_us
        .expect("the vehicle knows the time");
    assert!(apart.abs() < 1_000_000, "{apart} µs");
    assert!(s.clock.capture_source.is_some());
    assert_eq!(s.clock.last_step, None, "nobody set the clock");

    let position = s.position.as_ref().unwrap();
    assert_eq!(
        (position.fix.as_str(), position.source.as_str()),
        ("3d", "mavlink")
    );
    assert_eq!(position.sats, Some(16));
    assert!(position.age_ms <= 1000, "{} ms", position.age_ms);
    // The receiver says 1.2 m, and the vehicle drives: 0.19 to 0.21 m in each second by which the moment
    // may be another, or the measurement is old. Where nobody knows the one, nobody knows the other.
    let driven_mm = |ms: u64, mm_s: u64| 1_200 + ms * mm_s / 1_000;
    let doubt_ms = s.clock.max_error_us.map(|us| us / 1_000);
    match position.h_acc_mm.map(u64::from).zip(doubt_ms) {
        Some((mm, ms)) => {
            let within = driven_mm(ms, 190)..=driven_mm(ms + position.age_ms, 210) + 2;
            assert!(within.contains(&mm), "{mm} mm of {within:?}");
        }
        None => assert_eq!((position.h_acc_mm, doubt_ms), (None, None)),
    }
    assert_eq!(s.heading.as_ref().unwrap().of, HeadingOf::Camera);
    assert!(s.altitude.is_some());
    let autopilot = s.mavlink.as_ref().unwrap();
    assert_eq!(
        (autopilot.sysid, autopilot.mode.as_deref()),
        (1, Some("CIRCLE"))
    );

    assert_eq!(s.camera.id, "street");
    assert!(
        s.camera
            .rtsp
            .as_ref()
            .unwrap()
            .starts_with("rtsp://127.0.0.1:")
    );
    let told = s.camera.told.as_ref().expect("the camera was asked");
    assert_eq!(told.manufacturer, known("Lichen"));
    assert_eq!(told.model, known("LC-2"));
    assert_eq!(told.firmware, known("V1.2 build 3"));
    assert_eq!(s.camera.onvif_serial, known("LC2-0042"));
    assert_eq!(told.serial, s.camera.onvif_serial);
    assert_eq!(s.camera.configured_serial, None, "nobody typed one");
    assert_eq!(s.camera.codec, known("h264"));
    assert_eq!(s.camera.clip, known("remux"));
    assert_eq!(
        s.software.binary_sha256,
        of_file(&std::env::current_exe().unwrap())
    );
    assert_eq!(s.software.config_sha256, of_file(&field.config()));
    assert_eq!(s.software.calendar_sha256, of_file(&calendar()));
    let model = s.software.model.as_ref().unwrap();
    let shipped = root().join("models/efficientdet-lite0.onnx");
    assert_eq!(Some(&model.sha256), of_file(&shipped).as_ref());
    assert_eq!(
        model.card_sha256,
        of_file(&shipped.with_extension("toml")),
        "its card too"
    );
    assert_eq!(model.name, "efficientdet-lite0");
}

fn originals(statement: &Statement) -> impl Iterator<Item = &FileEntry> {
    let original = |f: &&FileEntry| f.of == Some(PictureOf::Original);
    statement.files.iter().filter(original)
}

fn pictures_are_described(statement: &Statement) {
    for file in &statement.files {
        let of = match file.name.as_str() {
            name if name.ends_with("-marked.jpg") => Some(PictureOf::Marked),
            name if name.ends_with("-close.jpg") => Some(PictureOf::Close),
            name if name.starts_with("frames/") => Some(PictureOf::Original),
            _ => None,
        };
        assert_eq!(file.of, of, "{}", file.name);
        let measured = of == Some(PictureOf::Original);
        assert_eq!(file.quality.is_some(), measured, "{}", file.name);
    }
    assert_eq!(originals(statement).count(), 3);
    for quality in originals(statement).filter_map(|f| f.quality) {
        // Of this footage, in daylight and in focus.
        assert!(
            quality.focus > 700 && quality.clipped_permille < 250,
            "{quality:?}"
        );
        assert!((40..=215).contains(&quality.exposure), "{quality:?}");
        assert!((15..=120).contains(&quality.subject_px), "{quality:?}");
    }
}

/// What stands against it is the clock of this machine, where nobody vouches for it, with it how far
/// the vehicle may have driven, and what the person did; nothing else.
fn the_grade_follows(statement: &Statement) {
    let grading = statement.grade.as_ref().expect("every package is graded");
    assert!(grading.follows());
    let stated = grading.conditions.iter().map(|c| c.id.as_str());
    let (own, always): (Vec<&str>, Vec<&str>) = stated.partition(|id| *id == "same_subject");
    assert_eq!(always, CONDITIONS);
    let persisted = statement.violation.as_ref().unwrap().outcome == Outcome::Persisted;
    assert_eq!(own.len(), usize::from(persisted), "{grading:#?}");
    let pass = |id: &str| grading.conditions.iter().find(|c| c.id == id).unwrap().pass;
    for id in ["clock", "position"] {
        assert_eq!(pass(id), clock::trust().synced.then_some(true), "{id}");
    }
    for id in [
        "site",
        "approval",
        "basis",
        "pictures",
        "close_up",
        "focus",
        "exposure",
        "warning",
        "camera_still",
        "clip",
        "complete",
    ] {
        assert_eq!(pass(id), Some(true), "{id} in {grading:#?}");
    }
}

/// The first picture is the frame that the clip shows at the picture's place.
fn a_picture_is_in_the_clip(package: &Path, statement: &Statement) {
    let entry = |name: &str| statement.files.iter().find(|f| f.name == name).unwrap();
    let pts = |name: &str| entry(name).pts_ns.unwrap();
    let place = Duration::from_nanos(pts("frames/01-found.jpg") - pts("clip.mp4"));
    let place = place.as_secs_f64();
    let clip = package.join("clip.mp4");
    let times = tool(
        "ffprobe",
        &[
            "-v",
            "error",
            "-show_entries",
            "frame=pts_time",
            "-of",
            "csv=p=0",
            clip.to_str().unwrap(),
        ],
    );
    // Frames with side data have lines of their own for that.
    let times = times
        .lines()
        .filter_map(|t| t.trim_matches(',').parse::<f64>().ok());
    let number = times
        .enumerate()
        .find(|(_, time)| (time - place).abs() < 0.002)
        .unwrap_or_else(|| panic!("no frame at {place} s"))
        .0;
    let rgb = |path: &Path, filter: &str| {
        let out = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(path)
            .args([
                "-vf",
                filter,
                "-frames:v",
                "1",
                "-pix_fmt",
                "rgb24",
                "-f",
                "rawvideo",
                "-",
            ])
            .output()
            .unwrap();
        assert!(
            out.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        out.stdout
    };
    let shown = rgb(&clip, &format!("select=eq(n\\,{number})"));
    let kept = rgb(&package.join("frames/01-found.jpg"), "null");
    assert_eq!(shown.len(), kept.len());
    let squares = shown.iter().zip(&kept);
    let squares: u64 = squares.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    // A mean squared error of 65 is a PSNR of 30 dB; the frames beside it have 110 and more.
    let error = squares / shown.len() as u64;
    assert!(error < 65, "{error}: another frame");
}

fn warned_once_and_wholly(statement: &Statement) {
    assert_eq!(statement.warning.len(), 1);
    let warning = &statement.warning[0];
    assert_eq!(warning.failure, None);
    assert!(warning.played_ms >= 6_800, "{} ms", warning.played_ms);
    let clip = fs::read(root().join("config/clips/test.wav")).unwrap();
    assert_eq!(warning.clip_sha256, sha256_hex(&clip));
    let identity = fs::read(root().join("config/clips/identity.wav")).unwrap();
    assert_eq!(warning.identity_sha256, Some(sha256_hex(&identity)));
}

/// What exiftool reads in each picture is what the statement says of its frame.
fn pictures_say_the_same(package: &Path, statement: &Statement) {
    let pictures = statement.files.iter().filter(|file| file.of.is_some());
    let pictures: Vec<&FileEntry> = pictures.collect();
    let paths = pictures.iter().map(|file| package.join(&file.name));
    let paths: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    let tags = [
        "-q",
        "-j",
        "-n",
        "-GPS*",
        "-*Original",
        "-ImageUniqueID",
        "-UserComment",
    ];
    let paths = paths.iter().map(String::as_str);
    let args: Vec<&str> = tags.into_iter().chain(paths).collect();
    let read: Vec<Value> = serde_json::from_str(&tool("exiftool", &args)).unwrap();
    assert_eq!(read.len(), pictures.len());
    assert!(
        read.len() >= 6,
        "a picture and its copy of each moment: {pictures:?}"
    );
    let of_last = of_frame(&read[read.len() - 1], pictures[pictures.len() - 1]);
    for (exif, file) in read.iter().zip(&pictures) {
        let name = &file.name;
        assert!(
            exif["SourceFile"]
                .as_str()
                .unwrap()
                .ends_with(name.as_str())
        );
        says_what_all_say(exif, statement);
        let (at, looks) = of_frame(exif, file);
        // Once round in two minutes, always looking at the middle: what is told of a frame is of its
        // own time, give or take the age of a measurement.
        let turned = at.duration_since(of_last.0).as_secs_f64() * 3.0;
        let off = turn(looks - of_last.1 - turned);
        assert!(off.abs() < 4.0, "{name}: {off} degrees");
    }
    // The last is of the moment that the statement is about, but for the frame that was chosen.
    let position = statement.position.as_ref().expect("the vehicle has a fix");
    let confirmed: jiff::Timestamp = statement.clock.utc.parse().unwrap();
    let again = package.join("frames/03-again.jpg");
    let again = read
        .iter()
        .find(|exif| exif["SourceFile"] == again.display().to_string());
    let again = again.unwrap();
    let entry = statement
        .files
        .iter()
        .find(|f| f.name == "frames/03-again.jpg");
    let apart_ms = at_of(entry.unwrap())
        .duration_since(confirmed)
        .as_millis()
        .unsigned_abs();
    assert!(apart_ms <= 700, "{apart_ms} ms");
    // On a parallel of 36 degrees, where a degree is shortest.
    let driven = f64::from(u32::try_from(apart_ms).unwrap()) * 0.21e-3 / (111_195.0 * 0.8);
    for (tag, stated) in [
        ("GPSLatitude", position.lat_e7),
        ("GPSLongitude", position.lon_e7),
    ] {
        let read = again[tag].as_f64().unwrap();
        let stated = f64::from(stated) / 1e7;
        assert!(
            (read - stated).abs() < 2e-7 + driven,
            "{tag}: {read} and {stated}"
        );
    }
    let heading = statement.heading.as_ref().unwrap();
    let off = turn(f64::from(heading.deg_e2) / 100.0 - again["GPSImgDirection"].as_f64().unwrap());
    assert!(off.abs() < 4.0, "{off} degrees from what is stated");
}

/// What is the same in every picture of the package.
fn says_what_all_say(exif: &Value, statement: &Statement) {
    assert_eq!(exif["GPSMapDatum"], "WGS-84");
    assert_eq!(exif["GPSImgDirectionRef"], "T");
    assert_eq!(exif["GPSMeasureMode"], 3);
    assert_eq!(exif["GPSSatellites"], 16);
    let altitude = statement.altitude.as_ref().unwrap();
    assert_eq!(exif["GPSAltitude"], f64::from(altitude.msl_mm) / 1e3);
    assert_eq!(exif["OffsetTimeOriginal"], "+08:00");
    let id = statement.id.0.simple().to_string();
    let unique = exif["ImageUniqueID"].to_string().replace('"', "");
    assert_eq!(unique.to_lowercase(), id);
    // Said in the picture itself, where nobody vouches for the clock that dated it; then nobody knows
    // either how far the vehicle drove.
    let synced = clock::trust().synced;
    let doubt = (!synced).then_some("时钟未同步，误差未知");
    assert_eq!(exif["UserComment"].as_str(), doubt);
    let error = exif["GPSHPositioningError"].as_f64();
    assert_eq!(error.is_some_and(|m| m >= 1.2), synced, "{error:?}");
}

/// When the frame was taken and where it looks, as far as its Exif agrees with itself and with the
/// statement.
fn of_frame(exif: &Value, file: &FileEntry) -> (jiff::Timestamp, f64) {
    let at = at_of(file);
    let local = at.to_zoned(jiff::tz::TimeZone::get("Asia/Shanghai").unwrap());
    let text = local.strftime("%Y:%m:%d %H:%M:%S").to_string();
    assert_eq!(exif["DateTimeOriginal"], text.as_str(), "{}", file.name);
    // The time of the fix, which is as old as a fix may be.
    let fix = exif["GPSDateTime"].as_str().unwrap();
    let fix = jiff::civil::DateTime::strptime("%Y:%m:%d %H:%M:%S%.fZ", fix).unwrap();
    let fix = fix.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    let age_ms = at.duration_since(fix).as_millis();
    assert!((-2_000..=2_000).contains(&age_ms), "{age_ms} ms");
    let degrees = |tag: &str| exif[tag].as_f64().unwrap();
    // It circles within 4 m round the middle, which its camera looks at.
    let north = (CENTRE.0 - degrees("GPSLatitude")) * 111_195.0;
    let east = (CENTRE.1 - degrees("GPSLongitude")) * 111_195.0 * CENTRE.0.to_radians().cos();
    let away = north.hypot(east);
    assert!((3.9..4.1).contains(&away), "{}: {away} m", file.name);
    let looks = degrees("GPSImgDirection");
    let off = turn(looks - east.atan2(north).to_degrees());
    assert!(off.abs() < 3.0, "{}: {off} degrees", file.name);
    (at, looks)
}

fn at_of(file: &FileEntry) -> jiff::Timestamp {
    file.at.as_ref().unwrap().parse().unwrap()
}

/// An angle as the shorter way round, degrees.
fn turn(degrees: f64) -> f64 {
    (degrees + 180.0).rem_euclid(360.0) - 180.0
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

/// What the kernel says of a clock that a time daemon keeps: the machine of the tests may have none.
const SURE_CLOCK: &str = "#include <string.h>\n\
    #include <sys/timex.h>\n\
    int adjtimex(struct timex *told) {\n\
        memset(told, 0, sizeof *told);\n\
        told->maxerror = 2000;\n\
        told->esterror = 500;\n\
        told->tick = 10000;\n\
        return TIME_OK;\n\
    }\n";

/// The kernel's word on the clock is all that is put in its mouth. From a file the footage comes without
/// delay: of a network camera's first five seconds nobody knows how old they are (docs/TIME.md).
#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_meets_every_condition_is_evidence_and_the_verifier_says_so() {
    let film = footage();
    let from_a_file = |profile: &mut DocumentMut| {
        profile["camera"][0]["kind"] = value("file");
        profile["camera"][0]["path"] = value(film.path().display().to_string());
        // Pictures of what stands are ten seconds apart at least.
        profile["judge"]["street_vending"]["grace_secs"] = value(12.0);
    };
    let field = Field::start("", &from_a_file).await;
    let (source, library) = (
        field.dir.path().join("sure.c"),
        field.dir.path().join("libsure.so"),
    );
    fs::write(&source, SURE_CLOCK).unwrap();
    let [from, to] = [&source, &library].map(|path| path.to_str().unwrap());
    tool("gcc", &["-shared", "-fPIC", "-o", to, from]);
    let mut daemon = field.daemon_with(&[("LD_PRELOAD", library)]);
    let grade = |package: &PathBuf| {
        let statement = fs::read(package.join("evidence.json")).unwrap();
        let statement = Statement::parse(&statement).unwrap();
        assert!(statement.clock.synced);
        statement.grade.unwrap().grade
    };
    // Who comes back another time may be another one: then it is a lead.
    let good = |package: &PathBuf| grade(package) == Grade::Evidence;
    until(&field, "evidence with its receipt", async || {
        field.receipted().iter().any(good)
    })
    .await;
    daemon.signal(Signal::TERM);
    assert!(daemon.ended(Duration::from_secs(10)).await.is_some());
    let package = field.receipted().into_iter().find(good).unwrap();
    field.audit(&package);
    let verify = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["verify", "--lang", "en", "--roots"])
        .args([field.receiver_keys.join("roots.crt"), package])
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&verify.stdout);
    assert_eq!(verify.status.code(), Some(0), "{page}");
    assert!(!page.contains("LEAD"), "{page}");
    let met = page.lines().find(|line| line.contains("conditions met"));
    assert!(
        met.is_some_and(|line| line.to_lowercase().contains("evidence")),
        "{page}"
    );
}
