//! The journal by hand: what the page says, with `sh`, `sha256sum` and `openssl`; and our own
//! command on stores that were spoilt.

#![expect(
    clippy::disallowed_methods,
    reason = "a test's files need not be durable"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lingmou::clock;
use lingmou::config;
use lingmou::journal::kind;
use lingmou::pki::TestPki;
use lingmou::store::Store;
use lingmou::types::Stamp;
use lingmou::witness::{Checkpoint, Identity, sha256_hex};
use serde_json::{Value, json};
use tempfile::TempDir;

const DEVICE: &str = "LM-TEST-1";
const ID: &str = "0198f0a2-0000-7000-8000-000000000001";
/// 2026-08-01T02:03:04.567Z
const AT: Stamp = Stamp {
    utc_ns: 1_785_549_784_567_000_000,
    boot_ns: 1,
    error_ns: 0,
};

/// A store whose journal tells of one package, with two checkpoints after it.
struct Kit {
    dir: TempDir,
    pki: TestPki,
    store: Store,
}

impl Kit {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
        let config = config::Store {
            dir: dir.path().join("store"),
            keep_free_mib: 0,
            ..config::Store::default()
        };
        let (store, _) = Store::open(&config, DEVICE).unwrap();
        let kit = Self { dir, pki, store };
        kit.note(kind::BOOT, json!({ "device": DEVICE, "boot_id": "b" }));
        let sealed = json!({ "id": ID, "seq": 1, "sig_sha256": "ab".repeat(32) });
        kit.note(kind::PACKAGE_SEALED, sealed);
        kit.note("clock", json!({ "synced": false }));
        kit.checkpoint();
        kit.note("test", json!({ "why": "\u{1b}[31m红\u{9b}" }));
        kit.checkpoint();
        kit
    }

    fn note(&self, kind: &str, body: Value) {
        self.store.note(AT, kind, body).unwrap();
    }

    fn checkpoint(&self) {
        let identity = Identity::load(&self.pki.device, "evidence").unwrap();
        self.store.checkpoint(&identity).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `lingmou journal …` on this store: exit code, standard output, standard error.
    fn journal(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lingmou"));
        command.args(["journal", args[0], "--store"]);
        command.arg(self.path("store"));
        if args[0] != "show" {
            command.arg("--roots").arg(self.pki.root());
        }
        let out = command.args(&args[1..]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = out.status.code().unwrap();
        (code, text(out.stdout), text(out.stderr))
    }

    fn segment(&self) -> PathBuf {
        self.path("store/journal/00000001.jsonl")
    }

    /// Takes the proof of the package out into a folder with the root beside it.
    fn proof(&self) -> PathBuf {
        let out = self.path("proof");
        let (code, _, words) = self.journal(&["prove", ID, "--out", out.to_str().unwrap()]);
        assert_eq!(code, 0, "{words}");
        fs::copy(self.pki.root(), out.join("root.crt")).unwrap();
        out
    }
}

/// The commands that the page tells for a proof.
fn commands() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/EVIDENCE.md");
    let page = fs::read_to_string(page).unwrap();
    let after = page
        .split_once("<!-- journal by hand -->\n```sh\n")
        .expect("the page has the commands")
        .1;
    after.split_once("\n```").unwrap().0.to_owned()
}

/// Runs them in `dir`: whether the last one succeeded, and everything said.
fn by_hand(dir: &Path) -> (bool, String) {
    let out = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{}", commands())])
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    (out.status.success(), said)
}

#[test]
fn a_proof_is_checked_by_hand_as_the_page_says() {
    let kit = Kit::new();
    let proof = kit.proof();
    let chain = fs::read_to_string(proof.join("chain.jsonl")).unwrap();
    let lines: Vec<&str> = chain.lines().collect();
    assert_eq!(lines.len(), 2, "to the next checkpoint, not to the last");
    let journal = fs::read_to_string(kit.segment()).unwrap();
    assert!(journal.contains(&chain), "as they stand in the journal");
    let head = sha256_hex(lines[1].as_bytes());
    let (good, said) = by_hand(&proof);
    assert!(good, "{said}");
    assert!(said.contains(&format!("last line {head}")), "{said}");
    let signed = format!("\"device\":\"{DEVICE}\",\"n\":3,\"head\":\"{head}\"");
    assert!(said.contains(&signed), "{said}");
    assert!(!said.contains("BROKEN"), "{said}");

    // A line changed, and one taken out of a longer chain.
    let changed = chain.replace("\"seq\":1", "\"seq\":2");
    fs::write(proof.join("chain.jsonl"), changed).unwrap();
    assert!(by_hand(&proof).1.contains("BROKEN"));
    let whole: Vec<&str> = journal.lines().collect();
    let cut = format!("{}\n{}\n", whole[1], whole[3]);
    fs::write(proof.join("chain.jsonl"), cut).unwrap();
    assert!(by_hand(&proof).1.contains("BROKEN"));
    // The signature changed.
    let mut p7m = fs::read(proof.join("checkpoint.p7m")).unwrap();
    let at = p7m.windows(6).position(|w| w == b"\"n\":3,").unwrap();
    p7m[at + 4] = b'4';
    fs::write(proof.join("checkpoint.p7m"), p7m).unwrap();
    let (good, said) = by_hand(&proof);
    assert!(!good, "{said}");
}

#[test]
fn a_proof_covers_the_correction_of_the_packages_clock() {
    let kit = Kit::new();
    let correction = json!({ "packages": [ID], "offset_us": 5_000_000, "error_us": 7,
        "from": "2026-08-01T02:00:00.000Z", "to": "2026-08-01T02:10:00.000Z" });
    kit.note(kind::CLOCK_CORRECTED, correction);
    let (code, _, words) = kit.journal(&["prove", ID]);
    assert_eq!(code, 1, "the correction is not signed yet: {words}");
    assert!(
        words.contains("not proved: line 7 is not signed yet"),
        "{words}"
    );
    kit.checkpoint();
    let (code, lines, words) = kit.journal(&["prove", ID]);
    assert_eq!(code, 0, "{words}");
    assert!(words.contains("add 5000000 microseconds"), "{words}");
    let span = "signed from 2026-08-01T02:00:00.000Z to 2026-08-01T02:10:00.000Z";
    assert!(words.contains(span), "{words}");
    assert!(lines.contains(kind::CLOCK_CORRECTED), "{lines}");
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "lingmou.checkpoint");
}

#[test]
fn what_cannot_be_proved_says_why() {
    let kit = Kit::new();
    let other = ID.replace("001", "002");
    let (code, _, words) = kit.journal(&["prove", &other]);
    assert_eq!(code, 1);
    assert!(words.contains("no line of the journal says"), "{words}");
    let (code, _, words) = kit.journal(&["prove", ID]);
    assert_eq!(code, 0, "{words}");
    assert!(words.contains("no package is here"), "{words}");
    let signature = kit.path("store/packages").join(ID).join("META-INF");
    fs::create_dir_all(&signature).unwrap();
    let signature = signature.join("signature001.p7s");
    // Gone, and not to be read: nothing is said of a package that nobody looked at.
    let gone = kit.journal(&["prove", ID]);
    fs::create_dir(&signature).unwrap();
    let unreadable = kit.journal(&["prove", ID]);
    fs::remove_dir(&signature).unwrap();
    for (code, proof, words) in [gone, unreadable] {
        assert_eq!((code, proof.as_str()), (2, ""), "{words}");
        assert!(words.contains("signature001.p7s: "), "{words}");
    }
    fs::write(&signature, "another").unwrap();
    let (code, _, words) = kit.journal(&["prove", ID]);
    assert_eq!(code, 1);
    assert!(words.contains("the package at hand has"), "{words}");
    let (code, _, words) = kit.journal(&["prove", "no-such-package"]);
    assert_eq!(code, 2, "{words}");
    let text = fs::read_to_string(kit.segment()).unwrap();
    fs::write(kit.segment(), text.replace("\"seq\":1", "\"seq\":3")).unwrap();
    let (code, _, words) = kit.journal(&["prove", ID]);
    assert_eq!(code, 1);
    assert!(words.contains("00000001.jsonl line 3"), "{words}");
}

/// Whoever has another box's key could rewrite this journal and sign it with that.
#[test]
fn a_checkpoint_of_another_device_proves_nothing() {
    let kit = Kit::new();
    let checkpoints = kit.path("store/checkpoints");
    fs::remove_dir_all(&checkpoints).unwrap();
    fs::create_dir(&checkpoints).unwrap();
    let text = fs::read_to_string(kit.segment()).unwrap();
    let lines: Vec<&str> = text.lines().take(3).collect();
    fs::write(kit.segment(), format!("{}\n", lines.join("\n"))).unwrap();
    let (code, page, _) = kit.journal(&["verify"]);
    assert_eq!(code, 1, "a chain alone anybody can make: {page}");
    assert!(page.contains("HOLDS, BUT NOBODY SIGNED IT"), "{page}");
    let other = kit.pki.add_device("LM-TEST-2").unwrap();
    let other = Identity::load(&other, "evidence").unwrap();
    let head = sha256_hex(lines[2].as_bytes());
    let p7m = Checkpoint::sign(&other, (3, &head), "b", clock::now()).unwrap();
    fs::write(checkpoints.join("000000000003.p7m"), p7m).unwrap();
    let (code, _, words) = kit.journal(&["prove", ID]);
    assert_eq!(code, 1, "{words}");
    let why = "it is of device LM-TEST-2, not of LM-TEST-1";
    assert!(words.contains(why), "{words}");
}

#[test]
fn verify_says_what_is_signed_and_what_is_broken() {
    let kit = Kit::new();
    // While the daemon has the store.
    let (code, page, _) = kit.journal(&["verify"]);
    assert_eq!(code, 0, "{page}");
    for words in [
        "6 lines, 1 segments",
        "up to line 5, at ",
        "by LM-TEST-1 (2 checkpoints)",
        "1 lines after it: whoever had this copy can have written them",
        "it holds up to line 5",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let (_, facts, _) = kit.journal(&["verify", "--json"]);
    let facts: Value = serde_json::from_str(&facts).unwrap();
    assert_eq!(
        (&facts["holds"], &facts["signed_up_to"]),
        (&json!(true), &json!(5))
    );
    let (code, page, _) = kit.journal(&["verify", "--device", "LM-OTHER"]);
    assert_eq!(code, 1, "{page}");
    assert!(
        page.contains("it is of device LM-TEST-1, the journal of LM-OTHER"),
        "{page}"
    );

    let text = fs::read_to_string(kit.segment()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(kit.segment(), format!("{}\n", lines[..3].join("\n"))).unwrap();
    let (code, page, _) = kit.journal(&["verify"]);
    assert_eq!(code, 1, "{page}");
    assert!(page.contains("its last lines were cut off"), "{page}");
    assert!(page.contains("IT DOES NOT HOLD"), "{page}");
    fs::remove_dir_all(kit.path("store/journal")).unwrap();
    let (code, _, words) = kit.journal(&["verify"]);
    assert_eq!(code, 2);
    assert!(words.contains("holds no journal"), "{words}");
}

#[test]
fn show_filters_and_never_steers_the_terminal() {
    let kit = Kit::new();
    let numbers = |args: &[&str]| -> Vec<u64> {
        let mut all = vec!["show", "--json"];
        all.extend(args);
        let (_, lines, words) = kit.journal(&all);
        assert_eq!(words, "");
        let n = |line: &str| serde_json::from_str::<Value>(line).unwrap()["n"].as_u64();
        lines.lines().map(|line| n(line).unwrap()).collect()
    };
    assert_eq!(numbers(&[]), [1, 2, 3, 4, 5, 6]);
    assert_eq!(numbers(&["--kind", "package"]), [2]);
    assert_eq!(numbers(&["--kind", "package.sealed"]), [2]);
    assert_eq!(numbers(&["--kind", "pack"]), [0; 0]);
    assert_eq!(numbers(&["--case", ID]), [2]);
    assert_eq!(numbers(&["--to", "2026-08-01"]), [0; 0]);
    let until = ["--from", "2026-08-01", "--to", "2026-08-01T10:03:05+08:00"];
    assert_eq!(numbers(&until), [1, 2, 3, 5]);
    let (code, page, _) = kit.journal(&["show", "--kind", "test"]);
    assert_eq!(code, 0);
    assert!(page.contains("why=\\u{1b}[31m红\\u{9b}"), "{page:?}");
    assert!(!page.contains('\u{1b}') && !page.contains('\u{9b}'));
    assert_eq!(kit.journal(&["show", "--kind", "none"]).0, 1);
    assert_eq!(kit.journal(&["show", "--from", "yesterday"]).0, 2);
}
