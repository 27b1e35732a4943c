//! Capture devices: what is none, and one that is there.

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
fn devices() -> Vec<PathBuf> {
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
            assert!(frame.image.width > 1 && frame.image.height > 1);
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
