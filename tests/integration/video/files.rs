//! Recordings as cameras and for replay: whole, cut off, damaged, and none at all.

use lingmou::ingest::{IngestError, Recording};

use super::*;

#[test]
fn a_file_plays_in_real_time_to_its_end_or_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = h264(dir.path());
    let start = clock::now();
    let once = Rig::new(&file(path.clone()));
    let first = once.frame();
    assert_eq!(first.time_source, TimeSource::Recording);
    let state = once.until("ended", |s| s.phase == Phase::Ended);
    let took = clock::now().since(start).as_secs_f64();
    assert!(took > 1.8, "two seconds of video in {took} s");
    assert_eq!((state.main.units_in, state.main.decoded), (50, 50));
    assert_eq!(state.main.fault, Some(Fault::EndOfFile));
    let clip = once.camera.clip(start, clock::now()).unwrap();
    assert_eq!(clip.frames, 50);

    let looped = Rig::new(&config::Camera {
        repeat: true,
        ..file(path)
    });
    looped.until("played twice", |s| s.main.units_in > 110);
}

#[test]
fn broken_files_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(h264(dir.path())).unwrap();
    let make = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::File::create(&path)
            .unwrap()
            .write_all(bytes)
            .unwrap();
        path
    };
    let text = make(
        "text.mp4",
        b"this is a letter, not a film\n".repeat(50).as_slice(),
    );
    let empty = make("empty.mp4", b"");
    let headless = make("headless.mp4", &whole[whole.len() / 2..]);
    let xvid = dir.path().join("xvid.avi");
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=160x120:rate=25:duration=1",
        ])
        .args(["-c:v", "mpeg4"])
        .arg(&xvid)
        .status()
        .unwrap();
    assert!(made.success());
    for (path, fault) in [
        (
            dir.path().join("nothing"),
            Fault::Unreadable("no such file".to_owned()),
        ),
        (text, Fault::NotARecording),
        (empty, Fault::NotARecording),
        (headless, Fault::NotARecording),
        (xvid, Fault::Codec("MPEG-4".to_owned())),
    ] {
        Rig::new(&file(path.clone())).fails_with(&fault);
        let error = Recording::open(&path, clock::now(), 5.0)
            .and_then(|mut recording| recording.next())
            .unwrap_err();
        let IngestError::Recording { fault: found, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(found, fault);
    }
}

/// A copy of this film in another container, whole, and its first two thirds.
fn whole_and_cut(source: &Path, name: &str) -> [PathBuf; 2] {
    let whole = source.with_file_name(format!("whole.{name}"));
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(source)
        .args(["-c", "copy", "-movflags", "+faststart"])
        .arg(&whole)
        .status()
        .unwrap();
    assert!(made.success());
    let bytes = std::fs::read(&whole).unwrap();
    let cut = source.with_file_name(format!("cut.{name}"));
    std::fs::File::create(&cut)
        .unwrap()
        .write_all(&bytes[..bytes.len() * 2 / 3])
        .unwrap();
    [whole, cut]
}

#[test]
fn a_truncated_file_plays_up_to_the_cut_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let source = h264(dir.path());
    for name in ["mp4", "mkv", "avi"] {
        let [whole, cut] = whole_and_cut(&source, name);
        for (path, fault, frames) in [
            (whole, Fault::EndOfFile, 50..51),
            (cut, Fault::CutOff, 10..50),
        ] {
            let shown = path.display();
            let rig = Rig::new(&file(path.clone()));
            drop(rig.frame());
            let state = rig.until("over", |s| matches!(s.phase, Phase::Ended | Phase::Failed));
            assert_eq!(state.phase, Phase::Ended, "{shown}: {state:#?}");
            assert_eq!(state.main.fault.as_ref(), Some(&fault), "{shown}");
            assert_eq!(state.cause, Some(fault.to_string()), "{shown}");
            assert!(frames.contains(&state.main.units_in), "{shown}: {state:#?}");
            let mut recording = Recording::open(&path, clock::now(), 25.0).unwrap();
            let mut replayed = 0;
            while recording.next().unwrap().is_some() {
                replayed += 1;
            }
            assert!(frames.contains(&replayed), "{shown}: {replayed}");
            assert_eq!(recording.is_cut_off(), fault == Fault::CutOff, "{shown}");
        }
    }
}

/// Damaged throughout, and damaged up to its second key frame, from which on it is whole.
#[test]
fn damaged_video_does_not_stop_the_stream_and_a_picture_comes_after_it() {
    for heals in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let source = h264(dir.path());
        let shown = pictures(&source);
        let mut bytes = std::fs::read(&source).unwrap();
        let video = bytes.windows(4).position(|w| w == b"mdat").unwrap() + 4;
        let keys = key_frames(&bytes[video..]);
        assert_eq!((shown.len(), keys.len()), (50, 2), "{keys:?}");
        let damaged = &shown[..25];
        let end = if heals {
            keys[1]
        } else {
            bytes.len() - 8 - video
        };
        for i in (video + 200..video + end).step_by(97) {
            bytes[i] ^= 0x55;
        }
        std::fs::File::create(&source)
            .unwrap()
            .write_all(&bytes)
            .unwrap();
        let rig = Rig::new(&config::Camera {
            repeat: true,
            ..file(source)
        });
        rig.until("still receiving", |s| s.main.units_in > 20);
        if heals {
            let is_of =
                |shown: &[Vec<u8>], picture: &[u8]| shown.iter().any(|it| alike(it, picture));
            let mut later = (0..30).map(|_| luma(&rig.frame()));
            let good = later.find(|it| is_of(&shown, it));
            let good = good.expect("a picture as it was filmed");
            assert!(!is_of(damaged, &good), "of what was damaged");
        }
    }
}

/// The luma of each picture of a recording.
fn pictures(path: &Path) -> Vec<Vec<u8>> {
    let mut recording = Recording::open(path, clock::now(), 25.0).unwrap();
    let frames = std::iter::from_fn(|| recording.next().unwrap());
    frames.map(|frame| luma(&frame)).collect()
}

/// Whether both show the same, but for what a decoder may round otherwise.
fn alike(one: &[u8], other: &[u8]) -> bool {
    let mut samples = one.iter().zip(other);
    samples.all(|(a, b)| a.abs_diff(*b) <= 4)
}

/// Where the access units of H.264 key frames begin, with their delimiters, in the bytes of an `mdat` box, whose
/// units have their length before them.
fn key_frames(video: &[u8]) -> Vec<usize> {
    let (mut at, mut begun, mut found) = (0, 0, Vec::new());
    while let Some((length, unit)) = video[at..].split_first_chunk() {
        match unit.first().map(|kind| kind & 31) {
            Some(9) => begun = at,
            Some(5) => found.push(begun),
            _ => {}
        }
        at += 4 + usize::try_from(u32::from_be_bytes(*length)).unwrap();
    }
    found
}

/// As from a camera whose one key frame was before we came (intra refresh, "smart" coding).
#[test]
fn video_without_a_key_frame_is_not_called_playing() {
    let dir = tempfile::tempdir().unwrap();
    let whole = clip(dir.path(), "whole.mp4", Codec::H264, (320, 240), 25);
    let plain = dir.path().join("plain.h264");
    let source = dir.path().join("headless.mp4");
    let ffmpeg = |args: &[&str], from: &Path, to: &Path| {
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(args)
            .arg("-i")
            .arg(from)
            .args(["-an", "-c", "copy", "-copyinkf"])
            .arg(to)
            .status()
            .unwrap();
        assert!(status.success());
    };
    ffmpeg(&[], &whole, &plain);
    let stream = std::fs::read(&plain).unwrap();
    let kept = super::clips::nals(&stream)
        .into_iter()
        .filter(|nal| nal[0] & 31 != 5);
    let headless: Vec<u8> = kept.flat_map(|nal| [&[0, 0, 0, 1], nal].concat()).collect();
    std::fs::File::create(&plain)
        .unwrap()
        .write_all(&headless)
        .unwrap();
    ffmpeg(&["-f", "h264", "-framerate", "25"], &plain, &source);
    let rig = Rig::new(&config::Camera {
        repeat: true,
        ..file(source)
    });
    let state = rig.until("two rounds received", |s| s.main.units_in > 40);
    assert_eq!((state.phase, state.main.offered), (Phase::Connecting, 0));
}

#[test]
fn a_recording_replays_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = h264(dir.path());
    let start = Stamp {
        utc_ns: 1_785_549_784_000_000_000,
        boot_ns: 7_000_000_000,
        error_ns: 0,
    };
    let replay = || {
        let mut recording = Recording::open(&path, start, 5.0).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = recording.next().unwrap() {
            frames.push((frame.number, frame.at, luma(&frame)));
        }
        frames
    };
    let frames = replay();
    let numbers: Vec<u64> = frames.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (0..50).step_by(5).collect::<Vec<_>>());
    for (number, at, _) in &frames {
        let since = i64::try_from(number * 40_000_000).unwrap();
        assert_eq!(*at, start.shifted_ns(since));
    }
    assert!(frames == replay());
}
