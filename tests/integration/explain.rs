//! `lingmou explain`: what the journal says of one case, on one page, beside a running store.

use std::path::Path;
use std::process::Command;

use lingmou::config;
use lingmou::journal::kind;
use lingmou::store::Store;
use lingmou::types::Stamp;
use serde_json::{Value, json};

const CASE: &str = "0198f0a2-0000-7000-8000-000000000001";
const OTHER: &str = "0198f0a2-0000-7000-8000-000000000002";
const AT: Stamp = Stamp {
    utc_ns: 1_785_549_784_567_000_000,
    boot_ns: 1,
    error_ns: 0,
};

/// A store whose journal tells of two cases.
fn store(dir: &Path) -> Store {
    let config = config::Store {
        dir: dir.to_owned(),
        keep_free_mib: 0,
        ..config::Store::default()
    };
    let (store, _) = Store::open(&config, "LM-TEST-1").unwrap();
    let hit = |case: &str, outcome: &str| {
        json!({
            "outcome": outcome, "case": case, "violation": "street_vending", "camera": "east",
            "zone": "kerb\u{1b}[31m", "since": "2026-08-01T02:00:00.000Z",
            "at": "2026-08-01T02:01:00.000Z", "why": null,
        })
    };
    let mut opened = hit(CASE, "opened");
    opened["gates"] = json!([
        { "gate": "dwell", "value": "61.2 s", "limit": ">= 60 s", "pass": true },
        { "gate": "attended", "value": "40.0 %", "limit": ">= 50.0 %", "pass": false },
    ]);
    let played = json!({ "case": CASE, "played_ms": 6200, "failure": null });
    for (kind, body) in [
        (kind::RULE_HIT, opened),
        (kind::RULE_HIT, hit(OTHER, "opened")),
        (kind::WARNING_PLAYED, played),
        (kind::RULE_HIT, hit(CASE, "persisted")),
    ] {
        store.note(AT, kind, body).unwrap();
    }
    store
}

fn explain(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lingmou"));
    command.args(["explain", args[0], "--store"]).arg(dir);
    let out = command.args(&args[1..]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code(), text(out.stdout), text(out.stderr))
}

#[test]
fn a_case_is_explained_from_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    let _running = store(dir.path());
    let (code, page, words) = explain(dir.path(), &[CASE]);
    assert_eq!(code, Some(0), "{words}");
    let lines: Vec<&str> = page.lines().collect();
    assert_eq!(lines.len(), 6, "{page}");
    for (line, wanted) in lines.iter().zip([
        CASE,
        "outcome=opened",
        "dwell      61.2 s (>= 60 s): met",
        "attended   40.0 % (>= 50.0 %): NOT MET",
        "played_ms=6200",
        "outcome=persisted",
    ]) {
        assert!(line.contains(wanted), "{wanted}: {page}");
    }
    assert!(!page.contains('\u{1b}'), "nothing steers the terminal");
    assert!(!page.contains(OTHER));

    let (code, text, _) = explain(dir.path(), &[CASE, "--json"]);
    let facts: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, facts["lines"].as_array().unwrap().len()),
        (Some(0), 3)
    );
    assert_eq!(facts["grade"], Value::Null, "there is no package");
}

#[test]
fn a_case_nobody_knows_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let _running = store(dir.path());
    let unknown = "0198f0a2-0000-7000-8000-00000000ffff";
    let (code, page, words) = explain(dir.path(), &[unknown]);
    assert_eq!((code, page.as_str()), (Some(1), ""));
    assert!(words.contains("knows no case"), "{words}");
    let (code, _, words) = explain(dir.path(), &["../../etc/passwd"]);
    assert_eq!(code, Some(2));
    assert!(words.contains("not a case id"), "{words}");
    let (code, _, words) = explain(&dir.path().join("empty"), &[CASE]);
    assert_eq!(code, Some(2));
    assert!(words.contains("holds no journal"), "{words}");
}
