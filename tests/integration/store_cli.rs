//! `lingmou store` as a person meets it, beside whoever uses the store and afterwards.

use std::path::Path;
use std::process::Command;

use lingmou::config::{self, PruneNeeds};
use lingmou::types::CaseId;
use serde_json::Value;
use uuid::Uuid;

use crate::crash::{hands_on, keys, store_config, with_keys};
use crate::hands::{Hands, in_a_year};
use crate::witness::verify_sh;

/// Standard output, standard error and exit code of `lingmou store WHAT… --dir …`.
fn store(dir: &Path, what: &[&str]) -> (String, String, i32) {
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .arg("store")
        .args(what)
        .arg("--dir")
        .arg(store_config(dir).dir)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(out.stdout),
        text(out.stderr),
        out.status.code().unwrap(),
    )
}

fn json(dir: &Path, what: &str) -> Value {
    let (out, _, _) = store(dir, &[what, "--json"]);
    serde_json::from_str(&out).unwrap()
}

fn sealed(hands: &Hands) -> CaseId {
    let id = CaseId(Uuid::now_v7());
    hands
        .keep(id, 20_000)
        .and_then(|()| hands.seal(id))
        .unwrap();
    id
}

#[test]
fn pending_and_status_beside_the_daemon_and_without_it() {
    let dir = with_keys();
    let (_, err, code) = store(dir.path(), &["pending"]);
    assert_eq!(code, 2);
    assert!(
        err.starts_with("error: there is no store at") && err.contains("hint: "),
        "{err}"
    );
    let hands = hands_on(dir.path());
    let (out, _, code) = store(dir.path(), &["pending"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("none yet"), "{out}");
    sealed(&hands);
    sealed(&hands);
    hands.receipt().unwrap();
    let look = |running: bool| {
        let (out, _, code) = store(dir.path(), &["pending"]);
        assert_eq!(code, 1, "{out}");
        for words in [
            "only on this box",
            "1 packages",
            "oldest",
            "% full",
            "last receipt",
        ] {
            assert!(out.contains(words), "{words}: {out}");
        }
        assert!(out.lines().count() < 24, "one screen");
        let pending = json(dir.path(), "pending");
        assert_eq!(pending["pending"]["packages"], 1);
        assert!(pending["pending"]["bytes"].as_u64().unwrap() > 80_000);
        assert!(pending["oldest_ms"].is_i64() && pending["last_receipt_ms"].is_i64());
        assert!(
            pending["days_left"].is_null(),
            "minutes say nothing of days"
        );
        let (out, _, code) = store(dir.path(), &["status"]);
        assert_eq!(code, 0, "{out}");
        assert_eq!(out.contains("running, process"), running, "{out}");
        let status = json(dir.path(), "status");
        assert_eq!(status["running"], running);
        assert_eq!(status["counts"]["states"]["receipted"]["packages"], 1);
        assert_eq!(status["level"], "ample");
        let (out, _, code) = store(dir.path(), &["check"]);
        assert_eq!(code, 0, "{out}");
    };
    look(true);
    let (_, err, code) = store(dir.path(), &["repair"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("in use by another lingmou") && err.contains("hint: "),
        "{err}"
    );
    let (_, err, code) = store(dir.path(), &["requeue", "--refused"]);
    assert_eq!(code, 2);
    assert!(err.contains("resend"), "{err}");
    drop(hands);
    look(false);
    let (out, _, code) = store(dir.path(), &["repair"]);
    assert_eq!((out.trim(), code), ("there was nothing to repair", 0));
    let (out, _, code) = store(dir.path(), &["requeue", "--refused"]);
    assert_eq!((out.starts_with("0 packages"), code), (true, 0), "{out}");
}

#[test]
fn pending_says_how_long_the_room_lasts() {
    let dir = with_keys();
    let hands = hands_on(dir.path());
    sealed(&hands);
    let database = store_config(dir.path()).dir.join("q.db");
    let database = rusqlite::Connection::open(database).unwrap();
    let age = |days: i64| {
        let sql = "UPDATE package SET sealed_ms = sealed_ms - ?1";
        let rows = database.execute(sql, [days * 24 * 60 * 60 * 1000]).unwrap();
        assert_eq!(rows, 1);
    };
    let lasts = || {
        let (out, _, _) = store(dir.path(), &["pending"]);
        let line = out.lines().find_map(|line| line.strip_prefix("lasts "));
        line.unwrap().trim().to_owned()
    };
    assert_eq!(lasts(), "the present rate is not known yet");
    age(2);
    let pending = json(dir.path(), "pending");
    let [bytes, rate] = [&pending["pending"]["bytes"], &pending["bytes_a_day"]];
    let (bytes, rate) = (bytes.as_u64().unwrap(), rate.as_u64().unwrap());
    assert!(
        (bytes / 2 - 100..=bytes / 2).contains(&rate),
        "{rate} of {bytes}"
    );
    assert!(pending["days_left"].as_u64() > Some(0));
    let said = lasts();
    let (days, words) = said.split_once(" days at the present rate (").unwrap();
    assert!(days.parse::<u64>().unwrap() > 0, "{said}");
    assert!(
        words.ends_with(" a day), if nothing is received meanwhile"),
        "{said}"
    );
    age(8);
    assert_eq!(lasts(), "nothing was sealed in the last days");
}

#[test]
fn check_names_what_is_wrong_and_repair_what_it_did() {
    let dir = with_keys();
    let hands = hands_on(dir.path());
    let (good, bad) = (sealed(&hands), sealed(&hands));
    let clip = hands.store.package_dir(bad).join("clip.mp4");
    let database = store_config(dir.path()).dir.join("q.db");
    drop(hands);
    std::fs::remove_file(&clip).unwrap();
    let (out, _, code) = store(dir.path(), &["check"]);
    assert_eq!(code, 1);
    assert!(
        out.contains(&format!("package {bad}: clip.mp4 cannot be read")),
        "{out}"
    );
    let (out, _, _) = store(dir.path(), &["check", "--json"]);
    let finding: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(finding["finding"]["package"]["id"], bad.to_string());

    std::fs::remove_file(&database).unwrap();
    let (_, err, code) = store(dir.path(), &["check"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("is missing") && err.contains("store repair"),
        "{err}"
    );
    let (out, _, code) = store(dir.path(), &["repair"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("the database was made again"), "{out}");
    assert!(out.contains(&format!("{bad} cannot be mended")), "{out}");
    let (out, _, code) = store(dir.path(), &["status"]);
    assert_eq!(code, 1);
    assert!(out.contains("! 1 packages are damaged"), "{out}");
    // Found again, say on the disk of a colleague: repair takes it back.
    let copy = store_config(dir.path())
        .dir
        .join("packages")
        .join(good.to_string());
    std::fs::copy(copy.join("clip.mp4"), &clip).unwrap();
    let (out, _, code) = store(dir.path(), &["repair"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains(&format!("{bad} is whole again")), "{out}");
}

#[test]
fn what_is_exported_verifies_and_a_second_call_writes_nothing() {
    let dir = with_keys();
    let hands = hands_on(dir.path());
    let ids = [sealed(&hands), sealed(&hands), sealed(&hands)];
    let into = dir.path().join("usb/evidence");
    let export = |more: &[&str]| {
        store(
            dir.path(),
            &[&["export", into.to_str().unwrap()], more].concat(),
        )
    };
    let (out, progress, code) = export(&["--id", &ids[1].to_string()]);
    assert_eq!(code, 0, "{out}");
    assert!(progress.contains("1/1"), "{progress}");
    let (out, _, code) = export(&[]);
    assert_eq!(code, 0);
    assert!(
        out.contains("2 written") && out.contains("1 there already"),
        "{out}"
    );
    let (out, _, _) = export(&[]);
    assert!(
        out.contains("0 written") && out.contains("3 there already"),
        "{out}"
    );
    let files = ids.map(|id| into.join(format!("{id}.asice")));
    let verdict = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .arg("verify")
        .args(&files)
        .arg("--roots")
        .arg(keys(dir.path()).join("ca/root.crt"))
        .output()
        .unwrap();
    assert_eq!(verdict.status.code(), Some(0), "{verdict:?}");
    let (_, err, code) = export(&["--id", &Uuid::now_v7().to_string()]);
    assert_eq!(code, 2);
    assert!(err.contains("there is no package"), "{err}");
    std::fs::remove_file(hands.store.package_dir(ids[2]).join("clip.mp4")).unwrap();
    let (out, progress, code) = export(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(progress.contains("LEFT OUT"), "{progress}");
}

/// The example of its own help, `packages/*/`, on a box whose receipts have come.
#[test]
fn a_package_that_the_store_pruned_is_not_checked_and_not_accused() {
    let dir = with_keys();
    let config = config::Store {
        prune_needs: PruneNeeds::Receipt,
        ..store_config(dir.path())
    };
    let hands = Hands::open(&keys(dir.path()), &config).unwrap();
    let first = sealed(&hands);
    assert_eq!(hands.receipt(), Some(first));
    let ids = [first, sealed(&hands)];
    assert_eq!(hands.store.prune(in_a_year()).unwrap().packages, 1);
    let [pruned, whole] = ids.map(|id| hands.store.package_dir(id));
    let root = keys(dir.path()).join("ca/root.crt");
    let verify = |packages: &[&Path], more: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .arg("verify")
            .args(packages)
            .args(more)
            .arg("--roots")
            .arg(&root)
            .output()
            .unwrap();
        let page = String::from_utf8(out.stdout).unwrap();
        (out.status.code(), page)
    };
    let (code, page) = verify(&[&pruned, &whole], &["--lang", "en"]);
    assert_eq!(code, Some(2), "{page}");
    assert!(
        page.contains("NOT CHECKED") && page.contains("\nVALID"),
        "{page}"
    );
    assert!(!page.contains("[fail]"), "{page}");
    let (code, line) = verify(&[&pruned], &["--json"]);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(code, Some(2));
    assert_eq!(
        (&line["valid"], &line["undecided"]),
        (&false.into(), &true.into())
    );
    assert_eq!(verify_sh(&pruned, &root).0, Some(2));
    // Beside one that is not valid the worse is told: it could not all be checked.
    std::fs::remove_file(whole.join("clip.mp4")).unwrap();
    assert_eq!(verify(&[&whole], &[]).0, Some(1));
    assert_eq!(verify(&[&whole, &pruned], &[]).0, Some(2));
}
