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

/// A plan of certificates, a change of the profile, a change of the files, and what is said.
type Row<'a> = (TestPkiPlan, Edit<'a>, fn(&Path), &'a [&'a str]);

fn all_say(table: &[Row<'_>]) {
    for (plan, edit, spoil, words) in table {
        says(&refused(*plan, DEVICE, edit, spoil), words);
    }
}

#[test]
fn evidence_keys_that_will_not_do() {
    let now = TestPkiPlan::from_now();
    all_say(&[
        (
            now,
            &|_| (),
            |dir| fs::remove_file(dir.join("pki/device/evidence.key")).unwrap(),
            &[
                "DIR/pki/device/evidence.key",
                "no such file",
                "lingmou enroll",
            ],
        ),
        (
            now,
            &|_| (),
            |dir| open_to_all(&dir.join("pki/device/evidence.key")),
            &["DIR/pki/device/evidence.key: mode 0644", "chmod 600"],
        ),
        (
            now,
            &|profile| profile["keys"]["suite"] = value("sm2"),
            |_| (),
            &[
                "evidence.crt: is for suite es256, keys.suite says sm2",
                "correct it",
            ],
        ),
    ]);
}

#[test]
fn evidence_certificates_that_will_not_do() {
    let now = TestPkiPlan::from_now();
    let to_come = TestPkiPlan {
        not_before: 4_000_000_000,
        not_after: 4_050_000_000,
    };
    all_say(&[
        (
            to_come,
            &|_| (),
            |_| (),
            &[
                "evidence.crt: valid only from 2096-10-02",
                "check the clock",
            ],
        ),
        (
            now,
            &|_| (),
            |dir| {
                let new = TestPki::create(&dir.join("new"), DEVICE).unwrap();
                let certificate = new.device.join("evidence.crt");
                fs::copy(certificate, dir.join("pki/device/evidence.crt")).unwrap();
            },
            &[
                "evidence.crt does not belong to",
                "evidence.key",
                "install the certificate",
            ],
        ),
        (
            now,
            &|_| (),
            |dir| {
                for kind in ["key", "crt"] {
                    let keys = dir.join("pki/device");
                    let transport = keys.join(format!("transport.{kind}"));
                    fs::copy(transport, keys.join(format!("evidence.{kind}"))).unwrap();
                }
            },
            &[
                "evidence.crt: extendedKeyUsage lacks documentSigning",
                "ask the CA",
            ],
        ),
        (
            now,
            &|_| (),
            |dir| fs::write(dir.join("pki/device/evidence.crt"), "text").unwrap(),
            &["evidence.crt: no PEM certificate found"],
        ),
    ]);
}

fn open_to_all(path: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(path, mode).unwrap();
}

/// What `lingmou check` says of the line `what`, for a box of which `spoil` spoilt something.
fn checked(what: &str, credentials: Option<&str>, spoil: impl FnOnce(&TestPki, &Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
    let config = dir.path().join("lingmou.toml");
    fs::write(&config, profile(dir.path(), &pki.device).to_string()).unwrap();
    spoil(&pki, dir.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_lingmou"));
    command
        .args(["check", "--config"])
        .arg(&config)
        .current_dir(root());
    command.env_remove("CREDENTIALS_DIRECTORY");
    if let Some(name) = credentials {
        command.env("CREDENTIALS_DIRECTORY", dir.path().join(name));
    }
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let line = said
        .lines()
        .find(|line| line.contains(what))
        .unwrap_or(&said);
    line.replace(&*dir.path().to_string_lossy(), "DIR")
}

#[test]
fn what_is_wrong_with_the_transport_key_is_named_by_check() {
    type Spoil = fn(&TestPki, &Path);
    let table: [(Spoil, &[&str]); 5] = [
        (|_, _| (), &["ok ", "more days"]),
        (
            |pki, _| open_to_all(&pki.device.join("transport.key")),
            &["WRONG", "transport.key: mode 0644", "chmod 600"],
        ),
        (
            |pki, _| fs::remove_file(pki.device.join("transport.key")).unwrap(),
            &["WRONG", "transport.key", "no such file", "lingmou enroll"],
        ),
        (
            |pki, dir| {
                let new = TestPki::create(&dir.join("new"), DEVICE).unwrap();
                let certificate = new.device.join("transport.crt");
                fs::copy(certificate, pki.device.join("transport.crt")).unwrap();
            },
            &["WRONG", "transport.key", "does not belong to transport.crt"],
        ),
        (
            |pki, _| {
                let other = pki.add_device("LM-OTHER-7").unwrap();
                for kind in ["key", "crt"] {
                    let name = format!("transport.{kind}");
                    fs::copy(other.join(&name), pki.device.join(&name)).unwrap();
                }
            },
            &["WRONG", "transport.crt: is for \"LM-OTHER-7\"", DEVICE],
        ),
    ];
    for (spoil, words) in table {
        let said = checked("transport key", None, spoil);
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said:?}");
        }
        let placed = said.contains("DIR/lingmou.toml:") && said.contains(": keys.dir: ");
        assert_eq!(placed, words.contains(&"WRONG"), "{said}");
    }
}

#[test]
fn keys_may_come_as_systemd_credentials() {
    let hand_over = |pki: &TestPki, dir: &Path| {
        fs::create_dir(dir.join("credentials")).unwrap();
        for name in ["evidence.key", "transport.key"] {
            fs::rename(pki.device.join(name), dir.join("credentials").join(name)).unwrap();
        }
    };
    for what in ["evidence key", "transport key"] {
        let said = checked(what, Some("credentials"), hand_over);
        assert!(said.starts_with("ok "), "{said}");
        let said = checked(what, None, hand_over);
        assert!(said.contains("no such file"), "{said}");
    }
    // A credential that others may read is refused like a file.
    let said = checked("evidence key", Some("credentials"), |pki, dir| {
        hand_over(pki, dir);
        open_to_all(&dir.join("credentials/evidence.key"));
    });
    assert!(
        said.contains("DIR/credentials/evidence.key: mode 0644"),
        "{said}"
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
