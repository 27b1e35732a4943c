//! The evidence key in a token, played by SoftHSM2: a PKCS#11 module that keeps its tokens in a
//! folder.

use std::os::unix::fs::PermissionsExt as _;

use lingmou::clock;
use lingmou::command::Settings;
use lingmou::config::KeyName;
use uuid::Uuid;

use super::*;

const PIN: &str = "271828";
const LABEL: &str = "evidence-box";
/// Where Debian's package puts the module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A token in a folder of its own.
struct SoftToken {
    dir: TempDir,
}

impl SoftToken {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token = Self { dir };
        fs::create_dir(token.tokens()).unwrap();
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            token.tokens().display()
        );
        fs::write(token.conf(), text).unwrap();
        token.write_pin(PIN);
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", LABEL])
            .args(["--pin", PIN, "--so-pin", "31415926"])
            .env("SOFTHSM2_CONF", token.conf())
            .output()
            .expect("softhsm2 must be installed (run: make setup)");
        assert!(made.status.success(), "{made:?}");
        token
    }

    fn tokens(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }

    fn conf(&self) -> PathBuf {
        self.dir.path().join("softhsm2.conf")
    }

    fn pin_file(&self) -> PathBuf {
        self.dir.path().join("token.pin")
    }

    fn write_pin(&self, pin: &str) {
        fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        fs::set_permissions(self.pin_file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// As pulling it out does.
    fn pull_out(&self) {
        fs::rename(self.tokens(), self.dir.path().join("pocket")).unwrap();
        fs::create_dir(self.tokens()).unwrap();
    }

    fn plug_in(&self) {
        fs::remove_dir(self.tokens()).unwrap();
        fs::rename(self.dir.path().join("pocket"), self.tokens()).unwrap();
    }

    /// Names it in the configuration.
    fn configure(&self, profile: &mut DocumentMut) {
        let text = |path: PathBuf| value(path.to_string_lossy().into_owned());
        let token = &mut profile["keys"]["token"];
        *token = toml_edit::table();
        token["module"] = value(MODULE);
        token["label"] = value(LABEL);
        token["key_label"] = value("evidence");
        token["pin_file"] = text(self.pin_file());
    }

    /// Runs the program beside this token; what it said and its exit code.
    fn lingmou(&self, args: &[&str], config: &Path) -> (String, Option<i32>) {
        let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .args(args)
            .arg("--config")
            .arg(config)
            .current_dir(root())
            .env("SOFTHSM2_CONF", self.conf())
            .env_remove("JOURNAL_STREAM")
            .output()
            .unwrap();
        let text = [out.stdout, out.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains(PIN), "the PIN is said: {text}");
        (text, out.status.code())
    }

    /// Makes the key in the token and has the test's CA answer its request.
    fn enrol(&self, pki: &TestPki, config: &Path) {
        for name in ["evidence.key", "evidence.crt"] {
            fs::remove_file(pki.device.join(name)).unwrap();
        }
        let (said, code) = self.lingmou(&["enroll", "--organisation", "Bureau"], config);
        assert_eq!(code, Some(0), "{said}");
        assert!(!pki.device.join("evidence.key").exists(), "{said}");
        answer(pki, &pki.device.join("evidence"), "30");
    }

    /// What `lingmou check` says of the evidence key.
    fn checked(&self, config: &Path) -> String {
        let (said, _) = self.lingmou(&["check"], config);
        let line = said.lines().find(|line| line.contains("evidence key"));
        line.unwrap_or(&said).to_owned()
    }
}

/// Has the test's CA answer `NAME.csr` with `NAME.crt`, for so many days.
fn answer(pki: &TestPki, name: &Path, days: &str) {
    let out = Command::new("openssl")
        .args(["x509", "-req", "-days", days, "-copy_extensions", "copyall"])
        .arg("-in")
        .arg(name.with_extension("csr"))
        .arg("-CA")
        .arg(pki.root())
        .arg("-CAkey")
        .arg(pki.ca.join("root.key"))
        .arg("-out")
        .arg(name.with_extension("crt"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
}

/// A configuration with the token, everything in `dir`.
fn box_with(token: &SoftToken, dir: &Path, edit: Edit<'_>) -> (TestPki, PathBuf) {
    let pki = TestPki::create(&dir.join("pki"), DEVICE).unwrap();
    let mut profile = profile(dir, &pki.device);
    token.configure(&mut profile);
    edit(&mut profile);
    let config = dir.join("lingmou.toml");
    fs::write(&config, profile.to_string()).unwrap();
    (pki, config)
}

#[test]
fn a_key_is_made_in_the_token_and_cannot_leave_it() {
    let token = SoftToken::new();
    let dir = tempfile::tempdir().unwrap();
    let (pki, config) = box_with(&token, dir.path(), &|_| ());
    token.enrol(&pki, &config);
    let said = token.checked(&config);
    assert!(said.starts_with("ok ") && said.contains(DEVICE), "{said}");

    let listed = Command::new("pkcs11-tool")
        .args(["--module", MODULE])
        .args([
            "--login",
            "--pin",
            PIN,
            "--list-objects",
            "--type",
            "privkey",
        ])
        .env("SOFTHSM2_CONF", token.conf())
        .output()
        .expect("opensc must be installed (run: make setup)");
    let listed = String::from_utf8(listed.stdout).unwrap();
    for word in ["EC", "evidence", "never extractable", "sensitive"] {
        assert!(listed.contains(word), "{word}: {listed}");
    }

    let request = fs::read(pki.device.join("evidence.csr")).unwrap();
    let (said, code) = token.lingmou(&["enroll", "--organisation", "Bureau"], &config);
    assert_eq!(code, Some(0), "{said}");
    let key = |request: &[u8]| {
        fs::write(dir.path().join("csr"), request).unwrap();
        let csr = dir.path().join("csr");
        tool(
            "openssl",
            &["req", "-in", csr.to_str().unwrap(), "-noout", "-pubkey"],
        )
    };
    let again = fs::read(pki.device.join("evidence.csr")).unwrap();
    assert_eq!(key(&again), key(&request), "the key that is there is kept");
}

#[test]
fn a_certificate_from_afar_is_for_the_key_in_the_token_too() {
    let token = SoftToken::new();
    let dir = tempfile::tempdir().unwrap();
    let (pki, config) = box_with(&token, dir.path(), &|_| ());
    token.enrol(&pki, &config);
    let next = dir.path().join("next");
    fs::copy(pki.device.join("evidence.csr"), next.with_extension("csr")).unwrap();
    answer(&pki, &next, "60");
    let pem = fs::read_to_string(next.with_extension("crt")).unwrap();

    let now = Settings::choose(&config).unwrap().loaded;
    let keys = &now.config.keys;
    let roots = Roots::load(&pki.root()).unwrap();
    let found = witness::successor(pem.as_bytes(), keys, &roots, (DEVICE, clock::now())).unwrap();
    assert_eq!(found.key, KeyName::Evidence);
    fs::create_dir_all(&now.config.store.dir).unwrap();
    let settings = Settings::new(&config, &now.config.store.dir);
    let command = (Uuid::from_u128(7), Vec::new());
    settings
        .try_certificate((&pem, found.key), &now, command)
        .unwrap();
    assert!(Settings::choose(&config).unwrap().trial.is_some());
    settings.keep().unwrap();
    let said = token.checked(&config);
    assert!(
        said.starts_with("ok ") && said.contains("sent by command"),
        "{said}"
    );
    // Sixty in the very second in which it was made.
    let days = ["valid for 59 more days", "valid for 60 more days"];
    assert!(days.iter().any(|days| said.contains(days)), "{said}");
}

#[test]
fn what_is_wrong_with_a_token_is_named() {
    type Spoil = fn(&SoftToken, &TestPki);
    let nothing: Spoil = |_, _| ();
    let edits: [(Edit<'_>, Spoil, &str); 8] = [
        (
            &|p| p["keys"]["token"]["label"] = value("other"),
            nothing,
            "no token with label \"other\" is plugged in; there is \"evidence-box\"",
        ),
        (
            &|p| p["keys"]["token"]["serial"] = value("0123456789abcdef"),
            nothing,
            "and serial \"0123456789abcdef\"",
        ),
        (
            &|p| p["keys"]["token"]["key_label"] = value("other"),
            nothing,
            "no private key with label \"other\"; `lingmou enroll` makes one",
        ),
        (
            &|p| p["keys"]["token"]["key_id"] = value("0a"),
            nothing,
            "no private key with label \"evidence\" and id \"0a\"",
        ),
        (
            &|p| p["keys"]["token"]["module"] = value("/bin/true"),
            nothing,
            "the PKCS#11 module /bin/true cannot be loaded",
        ),
        (
            &|_| (),
            |_, pki| {
                let other = pki.add_device("LM-OTHER-7").unwrap().join("evidence.crt");
                fs::copy(other, pki.device.join("evidence.crt")).unwrap();
            },
            "does not belong to the key in the token",
        ),
        (
            &|_| (),
            |token, _| {
                let mode = fs::Permissions::from_mode(0o644);
                fs::set_permissions(token.pin_file(), mode).unwrap();
            },
            "token.pin: mode 0644 lets others read",
        ),
        (&|_| (), |token, _| token.pull_out(), "no token with"),
    ];
    for (edit, spoil, wanted) in edits {
        let token = SoftToken::new();
        let dir = tempfile::tempdir().unwrap();
        let (pki, config) = box_with(&token, dir.path(), &|_| ());
        token.enrol(&pki, &config);
        let mut profile: DocumentMut = fs::read_to_string(&config).unwrap().parse().unwrap();
        edit(&mut profile);
        fs::write(&config, profile.to_string()).unwrap();
        spoil(&token, &pki);
        let said = token.checked(&config);
        assert!(
            said.starts_with("WRONG") && said.contains(wanted),
            "{wanted}: {said}"
        );
    }
}

#[test]
fn a_wrong_pin_is_given_once() {
    let token = SoftToken::new();
    let dir = tempfile::tempdir().unwrap();
    let (pki, config) = box_with(&token, dir.path(), &|_| ());
    token.enrol(&pki, &config);
    token.write_pin("1234");
    let said = token.checked(&config);
    assert!(said.contains("refuses the PIN in"), "{said}");
    // Even the right one is not given by itself now: one more wrong one might be the last.
    token.write_pin(PIN);
    for _ in 0..5 {
        let said = token.checked(&config);
        assert!(said.contains("is not tried again"), "{said}");
    }
    let (said, code) = token.lingmou(&["enroll", "--organisation", "Bureau"], &config);
    assert_eq!(code, Some(0), "{said}");
    let said = token.checked(&config);
    assert!(said.starts_with("ok "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_pulled_out_loses_no_case() {
    let token = SoftToken::new();
    let live = camera();
    let field = Field::start(&live.url(STREAM), &|profile| {
        profile["judge"]["street_vending"]["grace_secs"] = value(4.0);
        profile["evidence"]["c2pa"] = value(cfg!(feature = "c2pa"));
        token.configure(profile);
    })
    .await;
    token.enrol(&field.pki, &field.config());
    let mut daemon = field.daemon_with(&[("SOFTHSM2_CONF", token.conf())]);
    until(&field, "a case that is being warned", async || {
        field.open_case("warning").is_some()
    })
    .await;
    let case = field.open_case("warning").expect("still played")["id"].clone();
    token.pull_out();
    until(&field, "an end that waits for the token", async || {
        field.status().await["keeper"]["waiting"].as_u64() >= Some(1)
    })
    .await;
    let status = field.status().await;
    let trouble = status["keeper"]["trouble"].as_str().unwrap_or_default();
    assert!(trouble.contains("no token with label"), "{status:#}");
    assert!(!field.package(&case).exists());

    token.plug_in();
    let package = field.package(&case);
    until(
        &field,
        "the receipt, now that it can be signed",
        async || package.join("META-INF/receipt001.p7m").is_file(),
    )
    .await;
    daemon.signal(Signal::TERM);
    daemon.ended(DEADLINE).await.expect("it stops");
    field.audit(&package);
    #[cfg(feature = "c2pa")]
    assert_credited(&package, &field.pki);
    assert!(!field.log().contains(PIN), "{}", field.log());
    let part = |name: &str| package.join(name).to_string_lossy().into_owned();
    let verified = Command::new("openssl")
        .args([
            "cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any",
        ])
        .args(["-in", &part("META-INF/signature001.p7s")])
        .args(["-content", &part("META-INF/ASiCManifest001.xml")])
        .arg("-CAfile")
        .arg(field.pki.root())
        .args(["-out", "/dev/null"])
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

/// The picture taken while the token was in carries a manifest that it signed; whatever was made
/// without it says so.
#[cfg(feature = "c2pa")]
fn assert_credited(package: &Path, pki: &TestPki) {
    use lingmou::witness::{CredentialState, c2pa::examine};
    let roots = lingmou::witness::Roots::load(&pki.root()).unwrap();
    let read = |name: &str| fs::read(package.join(name)).unwrap();
    let found = examine(&read("frames/01-found.jpg"), "image/jpeg", &roots);
    assert_eq!(found.state, CredentialState::Trusted, "{found:?}");
    let statement: serde_json::Value = serde_json::from_slice(&read("evidence.json")).unwrap();
    let omitted = statement["omitted"].as_array().unwrap();
    for file in statement["files"].as_array().unwrap() {
        let name = file["name"].as_str().unwrap();
        if file["type"] != "image/jpeg" {
            continue;
        }
        let credential = examine(&read(name), "image/jpeg", &roots);
        let told = |o: &serde_json::Value| o["what"] == format!("C2PA manifest ({name})");
        match credential.state {
            CredentialState::Trusted => {}
            CredentialState::Absent => assert!(omitted.iter().any(told), "{name}: {omitted:?}"),
            state => panic!("{name}: {state:?}"),
        }
    }
}
