//! `lingmou demo` as somebody runs it who has just built it: what it tells is true, what it advises
//! works, and it leaves nothing behind that runs.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;

use super::*;

/// The demonstration in a process group of its own, so that what it starts can be told from what
/// other tests started.
fn demo(dir: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["demo", "--lang", "en", "--dir"])
        .arg(dir)
        .current_dir(root())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The processes of this group that still run; those that have ended and wait for their parent do
/// not.
fn running(group: u32) -> Vec<String> {
    let stats = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        // "pid (name) state ppid pgrp ..."; a name may hold anything.
        let rest = stat.rsplit_once(") ")?.1;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        let of: u32 = fields.nth(1)?.parse().ok()?;
        (of == group && state != "Z").then_some(stat)
    });
    stats.collect()
}

#[test]
fn the_demonstration_shows_a_valid_package_and_says_what_to_try_next() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("demo");
    // The street is coded before, so that every run here tells the same.
    footage();
    let child = demo(&dir);
    let group = child.id();
    let out = child.wait_with_output().unwrap();
    let told = String::from_utf8(out.stdout).unwrap();
    let progress = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(0), "{told}\n{progress}");
    assert_eq!(running(group), [""; 0]);

    let of = |what: &str| -> Vec<PathBuf> {
        let lines = told.lines().filter_map(|l| l.trim().strip_prefix(what));
        lines.map(|path| PathBuf::from(path.trim())).collect()
    };
    let (packages, received) = (of("package "), of("receiver "));
    assert!(!packages.is_empty(), "{told}");
    assert_eq!(packages.len(), received.len(), "{told}");
    assert_eq!(packages.len(), told.matches("\nCase ").count(), "{told}");
    let roots = Roots::load(&dir.join("pki/device/roots.crt")).unwrap();
    for path in packages.iter().chain(&received) {
        assert!(verify_path(path, &roots).unwrap().valid(), "{path:?}");
    }
    let pictures = of("picture ");
    assert!(pictures.len() >= 3 * packages.len(), "{told}");
    assert!(pictures.iter().all(|p| p.is_file()), "{pictures:?}");
    for word in [
        "first seen: street_vending",
        "warned: played to its end",
        "looked again: ",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    advice_works(&told);
}

/// The commands that are printed under "Try next:" end well when they are pasted into a shell; the
/// player, which needs a screen, is only named.
fn advice_works(told: &str) {
    let next = told.split_once("Try next:\n").unwrap().1;
    let joined = next.replace("\\\n", " ");
    for (tool, answer) in [
        ("verify", "VALID"),
        ("openssl", "CMS Verification successful"),
        ("exiftool", "Date/Time Original"),
    ] {
        let line = joined.lines().find(|l| l.contains(tool)).unwrap();
        let out = Command::new("sh").args(["-c", line]).output().unwrap();
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(out.status.success(), "{line}: {said}");
        assert!(said.contains(answer), "{line}: {said}");
    }
    assert!(joined.contains("ffplay "), "{joined}");
}

#[test]
fn a_demonstration_that_is_interrupted_ends_in_order_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("demo");
    footage();
    let mut child = demo(&dir);
    let progress = BufReader::new(child.stderr.take().unwrap());
    let mut lines = progress.lines();
    let mut before = Vec::new();
    for line in lines.by_ref() {
        before.push(line.unwrap());
        if before.last().is_some_and(|l| l.contains("daemon")) {
            break;
        }
    }
    let group = child.id();
    let pid = Pid::from_raw(i32::try_from(group).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let after: Vec<String> = lines.map(Result::unwrap).collect();
    let out = child.wait_with_output().unwrap();
    let told = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{before:?} {after:?} {told}");
    assert!(told.contains("It was stopped."), "{told}");
    assert_eq!(running(group), [""; 0]);
}
