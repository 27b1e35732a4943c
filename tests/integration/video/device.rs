//! Capture devices: what is none, and one that is there (`make device` has one).

use super::*;
use crate::skip::skipped;

fn device(path: &Path) -> config::Camera {
    config::Camera {
        name: "plugged".to_owned(),
        kind: CameraKind::V4l2,
        path: path.to_owned(),
        ..config::Camera::default()
    }
}

/// Why a device does not play.
fn cause(path: &Path) -> String {
    let rig = Rig::new(&device(path));
    let state = rig.until("failed", |s| s.phase == Phase::Failed);
    assert!(
        matches!(state.main.fault, Some(Fault::Unreadable(_))),
        "{state:#?}"
    );
    assert_eq!(state.main.units_in + state.main.decoded, 0);
    state.cause.unwrap()
}

#[test]
fn what_is_no_capture_device_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("video0");
    std::fs::File::create(&file).unwrap();
    for (path, part) in [
        (Path::new("/dev/no-such-video"), "plugged in"),
        (&file, "a file, not a capture device"),
        (dir.path(), "a folder"),
        (Path::new("/dev/null"), "not a capture device"),
    ] {
        let cause = cause(path);
        assert!(cause.contains(part), "{}: {cause}", path.display());
    }
}

#[test]
fn a_device_this_user_may_not_open_is_said() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("video0");
    std::fs::File::create(&file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&file).is_ok() {
        skipped("root may open everything; the message itself has a unit test");
        return;
    }
    let cause = cause(&file);
    assert!(cause.contains("group video"), "{cause}");
}

/// Capture devices of this machine, in the order of their numbers.
pub(crate) fn devices() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/dev")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().starts_with("/dev/video"))
        .collect();
    found.sort();
    found
}

/// With a camera plugged in: it gives frames, or says in words why not, and is let go again.
#[test]
fn a_device_that_is_there_plays_or_says_why_not() {
    let found = devices();
    if found.is_empty() {
        skipped("no /dev/video* on this machine; plug a camera in to run this");
        return;
    }
    for path in found {
        let rig = Rig::new(&device(&path));
        let state = rig.until("settled", |s| s.main.offered > 2 || s.cause.is_some());
        let Some(cause) = state.cause else {
            let frame = rig.frame();
            let size = [state.main.width, state.main.height].map(|side| side as usize & !1);
            assert_eq!([frame.image.width, frame.image.height], size);
            assert!(size.iter().all(|side| *side > 1));
            assert_eq!(state.phase, Phase::Playing);
            // Untouched video, or a word on why there is none.
            assert!(state.ring_bytes > 0 || state.no_clip.is_some());
            rig.camera.stop();
            // Let go: it can be opened again at once.
            drop(Rig::new(&device(&path)).frame());
            continue;
        };
        assert!(cause.starts_with("cannot be opened: "), "{cause}");
        println!("{}: {cause}", path.display());
    }
}

/// Where the driver of the kernel's own test device is told to take it, or to let it go.
const TEST_DRIVER: &str = "/sys/bus/platform/drivers/vivid";

#[test]
fn a_device_that_is_pulled_says_so_and_plays_again_when_it_is_back() {
    let (driver, path) = (Path::new(TEST_DRIVER), Path::new("/dev/video0"));
    if !driver.join("vivid.0").exists() || !path.exists() {
        skipped("no capture device of the kernel's own here; make device has one");
        return;
    }
    let plug = |order: &str| {
        let mut file = std::fs::File::create(driver.join(order)).unwrap();
        file.write_all(b"vivid.0").unwrap();
    };
    let rig = Rig::new(&device(path));
    rig.until("playing", |s| s.phase == Phase::Playing);
    plug("unbind");
    let says = |words: &'static str| {
        rig.until(words, |s| {
            s.cause.as_ref().is_some_and(|cause| cause.contains(words))
        })
    };
    says("is gone");
    // Let go meanwhile, so that it gets its own name back.
    let away = says("is it plugged in?");
    assert_eq!(away.phase, Phase::Failed);
    plug("bind");
    let back = rig.until("playing again", |s| s.phase == Phase::Playing);
    assert!(back.main.reconnects > 0 && back.main.offered > away.main.offered);
    assert_eq!(back.main.width, away.main.width);
}
