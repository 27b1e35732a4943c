//! What is refused at start: with a message that names the file and the way out, and exit code 2.

use lingmou::pki::TestPkiPlan;

use super::*;

/// Folder with a configuration that would start, but for `spoil`; what `lingmou run` says.
fn refused(
    plan: TestPkiPlan,
    keys_of: &str,
    edit: Edit<'_>,
    spoil: impl FnOnce(&Path),
) -> [String; 2] {
    let dir = tempfile::tempdir().unwrap();
    let pki = TestPki::create_planned(&dir.path().join("pki"), keys_of, plan).unwrap();
    let mut profile = profile(dir.path(), &pki.device);
    profile["model"]["card"] = value("models/efficientdet-lite0.toml");
    edit(&mut profile);
    let models = dir.path().join("models");
    fs::create_dir_all(&models).unwrap();
    for name in ["efficientdet-lite0.toml", "efficientdet-lite0.onnx"] {
        fs::copy(root().join("models").join(name), models.join(name)).unwrap();
    }
    let config = dir.path().join("lingmou.toml");
    fs::write(&config, profile.to_string()).unwrap();
    spoil(dir.path());
    let command = |name: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .args([name, "--config"])
            .arg(&config)
            .current_dir(root())
            .env_remove("JOURNAL_STREAM")
            .output()
            .unwrap();
        let text = [out.stdout, out.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        let text = text.replace(&*dir.path().to_string_lossy(), "DIR");
        (text, out.status.code())
    };
    let (said, code) = command("run");
    assert_eq!(code, Some(2), "{said}");
    assert!(!dir.path().join("run/status.sock").exists());
    let (checked, code) = command("check");
    assert_eq!(code, Some(1), "{checked}");
    let mut errors = said.lines().skip_while(|line| !line.starts_with("error: "));
    let mut wrong = checked.lines().filter(|line| line.starts_with("WRONG"));
    [errors.next(), wrong.next()].map(|line| line.unwrap_or(&said).to_owned())
}

fn says(said: &[String; 2], words: &[&str]) {
    for line in said {
        for word in words {
            assert!(line.contains(word), "{word:?} is not in {line:?}");
        }
    }
}

#[test]
fn an_expired_evidence_certificate() {
    let plan = TestPkiPlan {
        not_before: 1_600_000_000,
        not_after: 1_700_000_000,
    };
    let said = refused(plan, DEVICE, &|_| (), |_| ());
    says(
        &said,
        &[
            "DIR/pki/device/evidence.crt",
            "expired on 2023-11-14",
            "renew",
        ],
    );
}

#[test]
fn a_certificate_of_another_device() {
    let said = refused(TestPkiPlan::from_now(), "LM-OTHER-7", &|_| (), |_| ());
    says(
        &said,
        &["evidence.crt", "LM-OTHER-7", DEVICE, "make them equal"],
    );
}

#[test]
fn a_model_that_is_a_text_file() {
    let text = "this is not a model";
    let said = refused(TestPkiPlan::from_now(), DEVICE, &|_| (), |dir| {
        fs::write(dir.join("models/efficientdet-lite0.onnx"), text).unwrap();
    });
    says(&said, &["DIR/models/efficientdet-lite0.onnx", "SHA-256"]);
    // And when the card vouches for it.
    let said = refused(TestPkiPlan::from_now(), DEVICE, &|_| (), |dir| {
        fs::write(dir.join("models/efficientdet-lite0.onnx"), text).unwrap();
        let card = dir.join("models/efficientdet-lite0.toml");
        let mut doc: DocumentMut = fs::read_to_string(&card).unwrap().parse().unwrap();
        doc["sha256"] = value(lingmou::witness::sha256_hex(text.as_bytes()));
        fs::write(&card, doc.to_string()).unwrap();
    });
    says(&said, &["DIR/models/efficientdet-lite0.onnx", "ONNX"]);
}

#[test]
fn a_store_that_another_process_holds() {
    let store = |dir: &Path| {
        let config = config::Store {
            dir: dir.join("device"),
            ..config::Store::default()
        };
        lingmou::store::Store::open(&config, DEVICE).unwrap().0
    };
    let dir = tempfile::tempdir().unwrap();
    let _held = store(dir.path());
    let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
    let path = dir.path().join("lingmou.toml");
    fs::write(&path, profile(dir.path(), &pki.device).to_string()).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["run", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{said}");
    let words = format!("in use by another lingmou (process {})", std::process::id());
    assert!(said.contains(&words), "{said}");
}
