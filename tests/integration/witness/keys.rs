//! Enrolment, and keys and certificates that cannot be used.

use std::path::Path;

use lingmou::config::Keys;
use lingmou::pki::enroll;
use lingmou::witness::{Identity, KeyError, Language, Roots, Usage, seal, verify};

use super::{DEVICE, Kit, assemble, issue, make_key, put, set_mode, statement, succeed};

fn keys_in(dir: &Path) -> Keys {
    let dir = dir.to_owned();
    Keys {
        dir,
        ..Keys::default()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

#[test]
fn enrolment_makes_requests_that_openssl_accepts_and_a_ca_can_answer() {
    let kit = Kit::new();
    let keys = kit.dir.path().join("keys");
    let bureau = "\u{674e}\u{6ca7}\u{533a}\u{57ce}\u{7ba1}";
    let made = enroll(&keys_in(&keys), "LC-CAR-0003", bureau).unwrap();
    assert_eq!(made.new_keys.len(), 2);
    let request = |name: &str, expected: &[&str]| {
        let text = succeed(
            &keys,
            &format!("openssl req -verify -noout -text -in {name}.csr"),
        );
        // Later releases print names without blanks.
        let text = text.replace(" = ", "=");
        for part in expected {
            assert!(text.contains(part), "{part}: {text}");
        }
        text
    };
    let evidence = [
        "erify OK",
        "serialNumber=LC-CAR-0003",
        "Digital Signature, Non Repudiation",
        "1.3.6.1.5.5.7.3.36, 1.3.6.1.4.1.62558.2.1",
    ];
    request("evidence", &evidence);
    let transport = [
        "erify OK",
        "CN=LC-CAR-0003",
        "TLS Web Client Authentication",
    ];
    let text = request("transport", &transport);
    assert!(!text.contains("1.3.6.1.5.5.7.3.36"), "{text}");

    let before = std::fs::read(keys.join("evidence.key")).unwrap();
    let again = enroll(&keys_in(&keys), "LC-CAR-0003", bureau).unwrap();
    assert!(again.new_keys.is_empty());
    let after = std::fs::read(keys.join("evidence.key")).unwrap();
    assert_eq!(after, before, "a key is never replaced");

    for part in ["root.crt", "root.key"] {
        copy(&kit.pki.ca.join(part), &keys.join(part));
    }
    issue(&keys, "root", "evidence");
    let identity = Identity::open(&keys_in(&keys)).unwrap();
    assert_eq!(identity.device_id(), "LC-CAR-0003");
    let now = lingmou::clock::now();
    let sealed = seal(&statement("LC-CAR-0003"), &identity, now).unwrap();
    let verdict = verify(&assemble(&sealed), &kit.roots);
    assert!(verdict.valid(), "{}", verdict.page(Language::English));
}

#[test]
fn ids_that_fit_no_topic_or_file_name_are_refused() {
    let kit = Kit::new();
    let keys = kit.dir.path().join("keys");
    for id in ["", "a b", "\u{674e}", "a/b", "a#", &"a".repeat(65)] {
        assert!(enroll(&keys_in(&keys), id, "Bureau").is_err(), "{id:?}");
    }
    assert!(enroll(&keys_in(&keys), "LC-1", "").is_err());
    assert!(!keys.exists(), "nothing is made of a mistake");
}

/// Puts `changed` in place of what `Identity::load` reads, and says what must be in its error.
fn fails(kit: &Kit, expected: &str, change: impl FnOnce(&Path)) {
    let name: String = expected
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let dir = kit.folder(&name);
    for file in ["evidence.key", "evidence.crt"] {
        copy(&kit.pki.device.join(file), &dir.join(file));
    }
    change(&dir);
    let error = Identity::load(&dir, "evidence").unwrap_err().to_string();
    assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let kit = Kit::new();
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
        fails(&kit, "chmod 600", |dir| {
            set_mode(&dir.join("evidence.key"), mode);
        });
    }
}

#[test]
fn a_key_that_is_not_there_says_who_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    for (name, words) in [
        ("evidence", "lingmou enroll"),
        ("receiver", "RECEIVER.md"),
        ("operator", "RECEIVER.md"),
        ("reviewer", "RECEIVER.md"),
    ] {
        let error = Identity::load(dir.path(), name).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(error.contains("enroll"), name == "evidence", "{error}");
    }
}

#[test]
fn keys_of_another_form_say_how_to_convert_them() {
    let kit = Kit::new();
    fails(&kit, "BEGIN PRIVATE KEY", |dir| {
        put(dir, "evidence.key", b"hello");
    });
    fails(&kit, "P-256 is needed", |dir| {
        make_key(dir, "EC P-384", "evidence.key");
    });
    fails(&kit, "EC key on P-256", |dir| {
        make_key(dir, "RSA 2048", "evidence.key");
    });
    fails(&kit, "openssl pkcs8 -topk8", |dir| {
        succeed(dir, "openssl ec -in evidence.key -out sec1.key");
        copy(&dir.join("sec1.key"), &dir.join("evidence.key"));
    });
    fails(&kit, "passphrase", |dir| {
        succeed(
            dir,
            "openssl pkcs8 -topk8 -in evidence.key -passout pass:x -out enc.key",
        );
        copy(&dir.join("enc.key"), &dir.join("evidence.key"));
    });
}

#[test]
fn certificates_of_another_kind_say_what_is_wrong() {
    let kit = Kit::new();
    let other = kit.pki.add_device("LC-POLE-0009").unwrap();
    let install = |dir: &Path, from: &Path, name: &str| {
        for kind in ["key", "crt"] {
            let to = dir.join(format!("evidence.{kind}"));
            copy(&from.join(format!("{name}.{kind}")), &to);
        }
    };
    fails(&kit, "does not belong to", |dir| {
        copy(&other.join("evidence.crt"), &dir.join("evidence.crt"));
    });
    fails(&kit, "no PEM certificate", |dir| {
        put(dir, "evidence.crt", b"hello");
    });
    fails(&kit, "documentSigning", |dir| {
        install(dir, &kit.pki.device, "transport");
    });
    fails(&kit, "serialNumber", |dir| {
        install(dir, &kit.pki.receiver, "receiver");
    });
    fails(&kit, "No such file", |dir| {
        std::fs::remove_file(dir.join("evidence.crt")).unwrap();
    });

    let operator = Identity::load_from(
        &kit.pki.operators[1].join("operator.key"),
        &kit.pki.operators[1].join("operator.crt"),
        Usage::Receiver,
    );
    assert!(
        matches!(operator, Err(KeyError::Purpose { .. })),
        "{operator:?}"
    );
    let root = Roots::load(&kit.pki.device.join("evidence.crt")).unwrap_err();
    assert!(root.to_string().contains("not a CA"), "{root}");
    let folder = Roots::load(&kit.pki.ca).unwrap();
    assert_eq!(folder.count(), 1, "root.key beside it is not read");
}

#[test]
fn a_key_is_never_printed() {
    let kit = Kit::new();
    assert_eq!(format!("{:?}", kit.evidence), format!("Identity({DEVICE})"));
    assert!(!format!("{:?}", kit.pki).contains("PRIVATE"));
}
