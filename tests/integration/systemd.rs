//! The example units, as systemd itself judges them, offline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// 0 is a locked room, 100 an open field; `systemd-analyze security` counts a tenth of it.
const EXPOSURE_MAX: &str = "--threshold=20";

/// What each unit starts, by the name it is shipped and installed under.
const UNITS: [(&str, &str, &str); 2] = [
    (
        "lingmou.service",
        "lingmou.service",
        "=/usr/bin/lingmou run --config /etc/lingmou/lingmou.toml\n",
    ),
    (
        "lingmou-receive@.service",
        "lingmou-receive@receiver-1.service",
        "=/usr/bin/lingmou receive --name %i ",
    ),
];

/// A unit with this build in place of the installed program.
fn unit(dir: &Path, (shipped, installed, starts): (&str, &str, &str)) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let text = fs::read_to_string(folder.join(shipped)).unwrap();
    assert!(text.contains(starts), "{shipped}");
    let unit = dir.join(installed);
    let here = text.replace("/usr/bin/lingmou", env!("CARGO_BIN_EXE_lingmou"));
    let mut file = fs::File::create(&unit).unwrap();
    std::io::Write::write_all(&mut file, here.as_bytes()).unwrap();
    unit
}

/// What `systemd-analyze` says, when it has something against the unit.
fn analyze(args: &[&str], unit: &Path) -> Option<String> {
    let out = Command::new("systemd-analyze")
        .args(args)
        .arg(unit)
        .env("SYSTEMD_LOG_COLOR", "0")
        .output()
        .unwrap_or_else(|e| panic!("systemd-analyze: {e} (run: make setup)"));
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (!out.status.success()).then_some(text)
}

#[test]
fn the_units_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    for names in UNITS {
        let unit = unit(dir.path(), names);
        assert_eq!(analyze(&["verify", "--man=no"], &unit), None);
    }
}

/// Of two units that need each other: `systemd-analyze` finds the second beside the first.
#[test]
fn the_units_that_restart_the_box_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let path = folder.join("lingmou-reboot.path");
    assert_eq!(analyze(&["verify", "--man=no"], &path), None);
    let service = folder.join("lingmou-reboot.service");
    assert_eq!(analyze(&["verify", "--man=no"], &service), None);
}

#[test]
fn the_units_are_hardened() {
    let dir = tempfile::tempdir().unwrap();
    for names in UNITS {
        let unit = unit(dir.path(), names);
        let args = ["security", "--offline=true", EXPOSURE_MAX];
        assert_eq!(analyze(&args, &unit), None);
        let bare = fs::read_to_string(&unit).unwrap();
        let bare: String = bare
            .lines()
            .filter(|line| !line.starts_with("Protect") && !line.starts_with("SystemCall"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let mut file = fs::File::create(&unit).unwrap();
        std::io::Write::write_all(&mut file, bare.as_bytes()).unwrap();
        assert!(analyze(&args, &unit).is_some(), "the check does not bite");
    }
}
