//! The example units, as systemd itself judges them, offline.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// 0 is a locked room, 100 an open field; `systemd-analyze security` counts a tenth of it. Two units
/// of it are for `ProtectClock=`, which would forbid to read how good the clock is.
const EXPOSURE_MAX: &str = "--threshold=22";

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
    // Its own folder may have a space in its name, which a unit would have to quote.
    let program = dir.join("lingmou");
    if !program.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_lingmou"), &program).unwrap();
    }
    let here = text.replace("/usr/bin/lingmou", program.to_str().unwrap());
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

/// The names of the system calls that `entry` of a filter stands for: itself, or a set of systemd's,
/// which may hold sets.
fn expanded(entry: &str) -> BTreeSet<String> {
    if !entry.starts_with('@') {
        return BTreeSet::from([entry.to_owned()]);
    }
    let out = Command::new("systemd-analyze")
        .args(["syscall-filter", entry])
        .output()
        .unwrap_or_else(|e| panic!("systemd-analyze: {e} (run: make setup)"));
    assert!(out.status.success(), "{entry}");
    let text = String::from_utf8(out.stdout).unwrap();
    let members = text.lines().skip(1).map(str::trim);
    let members = members.filter(|line| !line.is_empty() && !line.starts_with('#'));
    members.flat_map(expanded).collect()
}

/// What the lines `SystemCallFilter=` of a unit permit together (systemd.exec(5): the first names
/// what is permitted, later ones add to it or, with `~`, take away).
fn permitted(unit: &str) -> BTreeSet<String> {
    let mut permitted = BTreeSet::new();
    for line in unit.lines() {
        let Some(filter) = line.strip_prefix("SystemCallFilter=") else {
            continue;
        };
        let away = filter.strip_prefix('~');
        for entry in away.unwrap_or(filter).split_whitespace() {
            let calls = expanded(entry);
            match away {
                Some(_) => permitted.retain(|call| !calls.contains(call)),
                None => permitted.extend(calls),
            }
        }
    }
    permitted
}

/// `clock::trust` asks the kernel by `adjtimex`, which C libraries call as either of the two.
#[test]
fn the_units_let_the_clock_be_read_and_not_set() {
    for (shipped, ..) in UNITS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        let unit = fs::read_to_string(folder.join(shipped)).unwrap();
        let permitted = permitted(&unit);
        for call in ["read", "adjtimex", "clock_adjtime", "clock_adjtime64"] {
            assert!(permitted.contains(call), "{shipped}: {call}");
        }
        for call in ["clock_settime", "settimeofday", "reboot", "init_module"] {
            assert!(!permitted.contains(call), "{shipped}: {call}");
        }
        let says = |line: &str| unit.lines().any(|l| l == line);
        // It forbids the calls above by a filter of its own, whatever the other one says.
        assert!(!unit.lines().any(|l| l.starts_with("ProtectClock=")));
        // adjtimex with a mode needs CAP_SYS_TIME, and the battery's clock its device.
        assert!(says("CapabilityBoundingSet="), "{shipped}");
        assert!(says("DevicePolicy=closed") && !unit.contains("rtc"));
    }
}

/// What `lingmou run` tolerates must not end the start before it is reached.
#[test]
fn a_finding_of_the_check_does_not_keep_the_box_from_starting() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let unit = fs::read_to_string(folder.join("lingmou.service")).unwrap();
    let before = unit.lines().filter_map(|l| l.strip_prefix("ExecStartPre="));
    let before: Vec<&str> = before.collect();
    assert_eq!(before.len(), 1);
    assert!(before[0].starts_with("-/usr/bin/lingmou check "));
}

/// A path that is no mount point when the unit starts is bound on itself, and what is mounted there later
/// stays hidden beneath.
#[test]
fn a_second_medium_mounted_after_the_start_is_seen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let unit = fs::read_to_string(folder.join("lingmou-receive@.service")).unwrap();
    let (_, options) = unit.split_once("OPTIONS=").unwrap();
    let mut words = options.lines().next().unwrap().split_whitespace();
    let medium = words.find(|word| *word == "--copy-to").and(words.next());
    let medium = Path::new(medium.unwrap());
    let writable = unit
        .lines()
        .filter_map(|l| l.strip_prefix("ReadWritePaths="));
    let writable = writable.flat_map(str::split_whitespace);
    let writable: Vec<&Path> = writable
        .map(|path| Path::new(path.trim_start_matches('-')))
        .collect();
    assert!(!writable.contains(&medium), "{writable:?}");
    let above = |path: &&Path| medium.starts_with(path);
    assert!(writable.iter().any(above), "{writable:?}");
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
