//! What is refused at start, with a message that names the file and the way out, and exit code 2; and a
//! start with an evidence certificate that does not hold.

use lingmou::clock;
use lingmou::config::KeyName;
use lingmou::journal;
use lingmou::pki::TestPkiPlan;
use lingmou::witness::Statement;
use serde_json::json;

use super::command::{ADMIN, certificates};
use super::stepped::Hands;
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

const EXPIRED: TestPkiPlan = TestPkiPlan {
    not_before: 1_600_000_000,
    not_after: 1_700_000_000,
};

/// Gives the box another certificate for its evidence key.
fn certify(pki: &TestPki, plan: TestPkiPlan) {
    let key = pki.device.join("evidence.key");
    let pem = pki.certify(&key, ("evidence", DEVICE), plan).unwrap();
    fs::write(pki.device.join("evidence.crt"), pem).unwrap();
}

/// A field whose camera shows people who stand at the kerb, and stay.
async fn street(film: &TempDir) -> (RtspServer, Field) {
    let camera = camera_of(&standing(film.path()), 0);
    let field = Field::start(&camera.url(STREAM), &|profile| {
        profile["judge"]["street_vending"]["grace_secs"] = value(2.0);
    })
    .await;
    (camera, field)
}

/// Nothing was judged and signed though the camera shows what would be: the alarm.
async fn held(field: &Field) -> String {
    let mut status = Value::Null;
    until(field, "pictures of the camera", async || {
        status = field.status().await;
        status["cameras"]["street"]["main"]["units_in"].as_u64() > Some(100)
    })
    .await;
    assert_eq!(status["eye"]["detected"], 0, "{status:#}");
    for kind in ["rule.hit", "warning.begun", "checkpoint"] {
        assert_eq!(field.journal(kind).len(), 0, "{kind}");
    }
    let alarms = status["alarms"].as_array().unwrap();
    let mut alarms = alarms
        .iter()
        .filter(|a| a["name"] == "evidence certificate");
    let text = alarms.next().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(text.contains("nobody is warned"), "{text}");
    assert_eq!(alarms.next(), None, "said once");
    text
}

/// A case that began after that is a package which everybody takes, and the journal is signed.
async fn judges_again(field: &Field, receipts: usize) {
    until(field, "a package of the street", async || {
        field.receipted().len() > receipts
    })
    .await;
    let sealed = field.journal("package.sealed").pop().unwrap()["body"]["id"].clone();
    field.audit(&field.package(&sealed));
    let roots = Roots::load(&field.receiver_keys.join("roots.crt")).unwrap();
    let audit = journal::audit(&field.dir.path().join("device"), &roots, Some(DEVICE)).unwrap();
    assert!(audit.holds(), "{:?}", audit.faults);
    assert!(audit.checkpoints > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_expired_evidence_certificate_a_box_sends_what_it_has_and_waits_for_another() {
    let film = tempfile::tempdir().unwrap();
    let (_camera, field) = street(&film).await;
    let sealed = {
        let store = command::store(&field);
        store
            .note(
                clock::now(),
                journal::kind::BOOT,
                json!({ "device": DEVICE }),
            )
            .unwrap();
        command::seal(&field, &store)
    };
    certify(&field.pki, EXPIRED);
    let _daemon = field.daemon();
    let text = held(&field).await;
    assert!(
        text.contains("evidence.crt: expired on 2023-11-14"),
        "{text}"
    );
    let package = field.package(&json!(sealed));
    until(
        &field,
        "the receipt of what was sealed before",
        async || field.receipted().contains(&package),
    )
    .await;
    field.audit(&package);
    let console = command::client(&field, ADMIN, "admin-1").await;
    let told = console.state().unwrap().held.clone().unwrap();
    assert!(told.contains("expired on 2023-11-14"), "{told}");
    console.close().await;
    let (outcome, why) = certificates::install(&field, &field.pki, KeyName::Evidence).await;
    assert_eq!((&*outcome, &*why), ("done", ""));
    judges_again(&field, 1).await;
    assert_eq!(field.status().await["held"], Value::Null);
}

/// The bureau's list comes onto the box while it works.
#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_comes_onto_its_own_list_alarms_and_goes_on() {
    let live = camera();
    let field = Field::start(&live.url(STREAM), &|_| ()).await;
    let _daemon = field.daemon();
    until(&field, "an answer of the daemon", async || {
        !field.status().await.is_null()
    })
    .await;
    assert_eq!(field.journal("cert.untrusted").len(), 0);
    let ours = field.pki.device.join("evidence.crt");
    // 2026-01-01.
    let list = field.pki.revoke(&[(&ours, 1_767_225_600)]).unwrap();
    fs::write(field.pki.device.join("revoked.crl"), list).unwrap();
    let words = "a certificate was revoked on 2026-01-01 (by roots.crt and revoked.crl";
    until(&field, "the alarm", async || {
        field.status().await["alarms"].to_string().contains(words)
    })
    .await;
    let lines = field.journal("cert.untrusted");
    assert_eq!(lines.len(), 1);
    let told = lines[0]["n"].as_u64();
    assert!(told.is_some(), "{lines:?}");
    // This receiver has no list: what is sealed after that is a package like any other.
    let mut after = Value::Null;
    until(&field, "a package sealed after that", async || {
        let mut sealed = field.journal("package.sealed").into_iter();
        let sealed = sealed.rfind(|line| line["n"].as_u64() > told);
        after = sealed.map_or(Value::Null, |line| line["body"]["id"].clone());
        !after.is_null() && field.receipted().contains(&field.package(&after))
    })
    .await;
    field.audit(&field.package(&after));
}

/// As on a board without a battery, whose clock stands before the certificate's beginning until it
/// is set.
#[tokio::test(flavor = "multi_thread")]
async fn a_box_whose_clock_stands_before_its_certificate_goes_on_by_itself() {
    let film = tempfile::tempdir().unwrap();
    let (_camera, field) = street(&film).await;
    let now = u64::try_from(clock::now().utc_ns).unwrap() / 1_000_000_000;
    // The others begin before the clock: it is this one that does not hold yet.
    certify(
        &field.pki,
        TestPkiPlan {
            not_before: now,
            ..TestPkiPlan::from_now()
        },
    );
    let hands = Hands::new(field.dir.path(), "box");
    hands.set(-10 * 60, false);
    let _daemon = field.daemon_with(&hands.variables);
    let text = held(&field).await;
    assert!(text.contains("evidence.crt: valid only from "), "{text}");
    hands.set(0, true);
    judges_again(&field, 0).await;
    assert_eq!(field.journal("boot").len(), 1, "without a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_counts_the_cases_of_a_box_that_does_not_look() {
    let film = tempfile::tempdir().unwrap();
    let camera = camera_of(&standing(film.path()), 0);
    let field = Field::start(&camera.url(STREAM), &|profile| {
        profile["judge"]["street_vending"]["grace_secs"] = value(600.0);
    })
    .await;
    let daemon = field.daemon();
    until(&field, "a case in its grace time", async || {
        field.open_case("grace").is_some()
    })
    .await;
    daemon.kill();
    certify(&field.pki, EXPIRED);
    let _daemon = field.daemon();
    let mut eye = Value::Null;
    until(&field, "its case in the status", async || {
        eye = field.status().await["eye"].clone();
        eye["open_cases"] == 1
    })
    .await;
    assert_eq!(eye["detected"], 0, "{eye}");
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
    all_say(&[
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

/// It goes on, for packages can wait; but whoever reads its log learns at once that they will.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_transport_key_is_named_at_start() {
    type Spoil = fn(&TestPki);
    let table: [(Spoil, &[&str]); 4] = [
        (
            |pki| open_to_all(&pki.device.join("transport.key")),
            &["transport.key: mode 0644", "chmod 600"],
        ),
        (
            |pki| fs::remove_file(pki.device.join("transport.key")).unwrap(),
            &["transport.key", "no such file", "lingmou enroll"],
        ),
        (
            |pki| {
                let evidence = pki.device.join("evidence.crt");
                fs::copy(evidence, pki.device.join("transport.crt")).unwrap();
            },
            &["transport.key", "does not belong to transport.crt"],
        ),
        (
            |pki| {
                let key = pki.device.join("transport.key");
                let pem = pki.certify(&key, ("transport", DEVICE), EXPIRED).unwrap();
                fs::write(pki.device.join("transport.crt"), pem).unwrap();
            },
            &["transport.crt", "2023-11-14"],
        ),
    ];
    for (spoil, words) in table {
        let own = |pki: &TestPki| [pki.device.clone(), pki.receiver.clone()];
        let field = Field::without_receiver("rtsp://127.0.0.1:9/", &|_| (), own).await;
        spoil(&field.pki);
        let _daemon = field.daemon();
        until(&field, "an answer of the daemon", async || {
            !field.status().await.is_null()
        })
        .await;
        let log = field.log();
        let said = log
            .lines()
            .find(|line| line.contains("nothing can be uploaded, packages wait"));
        let said = said.unwrap_or(&log);
        for word in ["ERROR"].iter().chain(words) {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    }
}

#[test]
fn a_certificate_out_of_its_time_is_named_by_check() {
    let to_come = TestPkiPlan {
        not_before: 4_000_000_000,
        not_after: 4_050_000_000,
    };
    for (plan, words) in [
        (EXPIRED, ["expired on 2023-11-14", "renew"]),
        (to_come, ["valid only from 2096-10-02", "check the clock"]),
    ] {
        let said = checked("evidence key", None, |pki, _| certify(pki, plan));
        for word in ["WRONG", "DIR/pki/device/evidence.crt: "]
            .iter()
            .chain(&words)
        {
            assert!(said.contains(word), "{word:?} is not in {said:?}");
        }
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

/// It works all the same; the statement has in Chinese what its pictures cannot say.
#[tokio::test(flavor = "multi_thread")]
async fn a_box_without_a_font_says_in_its_packages_that_captions_are_not_in_chinese() {
    let live = camera();
    let field = Field::start(&live.url(STREAM), &|_| ()).await;
    let (fonts, folder) = (
        field.dir.path().join("fonts.conf"),
        field.dir.path().join("fonts"),
    );
    fs::create_dir(&folder).unwrap();
    let listed = format!("<fontconfig><dir>{}</dir></fontconfig>", folder.display());
    fs::write(&fonts, listed).unwrap();
    let mut daemon = field.daemon_with(&[("FONTCONFIG_FILE", fonts)]);
    until(&field, "a receipt on the device", async || {
        !field.receipted().is_empty()
    })
    .await;
    daemon.signal(Signal::TERM);
    assert!(daemon.ended(Duration::from_secs(10)).await.is_some());
    assert!(field.log().contains("no font at all"), "{}", field.log());
    let package = field.receipted().remove(0);
    field.audit(&package);
    let statement = fs::read(package.join("evidence.json")).unwrap();
    let statement = Statement::parse(&statement).unwrap();
    let omitted = statement.omitted.iter().map(|o| o.what.as_str());
    assert_eq!(omitted.collect::<Vec<_>>(), ["captions in Chinese"]);
    let conditions = statement.grade.unwrap().conditions;
    let complete = conditions.iter().find(|c| c.id == "complete").unwrap();
    assert_eq!(complete.pass, Some(true), "{complete:?}");
}
