//! Evidence packages against independent tools: openssl, unzip, and every way to tamper.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use lingmou::pki::{TestPki, TestPkiPlan, enroll};
use lingmou::types::{CaseId, Outcome, Stamp, Violation};
use lingmou::witness::{
    ASIC_E, Camera, CheckId, Clock, Container, Device, FileEntry, Form, Identity, JournalPoint,
    KeyError, Language, Limits, MANIFEST, MIMETYPE, Manifest, RECEIPT, Receipt, ReceiptVerdict,
    Roots, SIGNATURE, STATEMENT, Sealed, SignatureError, Software, Statement, Status, Usage,
    Verdict, ViolationFacts, Warning, check_attached, check_detached, seal, sha256_hex, verify,
    verify_head, verify_path, verify_zip,
};
use proptest::prelude::*;
use tempfile::TempDir;

const DEVICE: &str = "LC-POLE-0007";

/// 2026-08-01T02:03:04Z. The kit's certificates are valid from 2001 to 2081, so that openssl's
/// own clock fits them too.
const AT: Stamp = Stamp {
    utc_ns: 1_785_549_784_000_000_000,
    boot_ns: 4_638_259_070_061,
    error_ns: 1_800_000,
};
const AT_SECS: u64 = 1_785_549_784;
const DAY: u64 = 24 * 3600;

/// A PKI and one sealed, receipted package, made once.
struct Kit {
    dir: TempDir,
    pki: TestPki,
    roots: Roots,
    evidence: Identity,
    sealed: Sealed,
    package: Container,
    zip: Vec<u8>,
}

static KIT: LazyLock<Kit> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    let plan = TestPkiPlan {
        not_before: AT_SECS - 9000 * DAY,
        not_after: AT_SECS + 20_000 * DAY,
    };
    let pki = TestPki::create_planned(dir.path(), DEVICE, plan).unwrap();
    let roots = Roots::load(&pki.root()).unwrap();
    let evidence = Identity::load(&pki.device, "evidence").unwrap();
    let sealed = seal(&statement(DEVICE, &files()), &evidence, AT).unwrap();
    let mut package = assemble(&sealed, &files());
    let receiver = Identity::load(&pki.receiver, "receiver").unwrap();
    let p7m = receipt(&sealed).sign(&receiver, AT).unwrap();
    package.insert(RECEIPT, p7m).unwrap();
    let zip = package.to_zip();
    Kit {
        dir,
        pki,
        roots,
        evidence,
        sealed,
        package,
        zip,
    }
});

fn files() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("frames/01-found.jpg", "image/jpeg", vec![0xd8; 300]),
        ("frames/01-found-marked.jpg", "image/jpeg", vec![0xd9; 301]),
        ("frames/02-warned.jpg", "image/jpeg", vec![0xda; 302]),
        ("clip.mp4", "video/mp4", (0..=255).collect()),
        ("detections.jsonl", "application/jsonl", b"{}\n".to_vec()),
    ]
}

fn case() -> CaseId {
    serde_json::from_str("\"0198f0a2-0000-7000-8000-000000000001\"").unwrap()
}

fn statement(device: &str, files: &[(&str, &str, Vec<u8>)]) -> Statement {
    Statement {
        v: Statement::HEAD.0,
        kind: Statement::HEAD.1.to_owned(),
        id: case(),
        device: Device {
            id: device.to_owned(),
            model: None,
            tz: "Asia/Shanghai".to_owned(),
            boot_id: None,
        },
        seq: 123,
        journal: JournalPoint {
            n: 3,
            prev: "3b".repeat(32),
        },
        after: None,
        site: None,
        violation: ViolationFacts {
            kind: Violation::StreetVending,
            rule: "warn-then-recheck".to_owned(),
            outcome: Outcome::Persisted,
            first_seen: "2026-08-01T02:01:00.100Z".to_owned(),
            confirmed: "2026-08-01T02:03:03.567Z".to_owned(),
            dwell_s: Some(124),
        },
        warning: vec![Warning {
            journal_n: Some(2),
            at: "2026-08-01T02:01:00.000Z".to_owned(),
            clip_sha256: "aa".repeat(32),
            played_ms: 4200,
            acknowledged_by_amp: None,
            failure: None,
        }],
        clock: Clock::at(AT),
        position: None,
        heading: None,
        altitude: None,
        mavlink: None,
        camera: Camera {
            id: "cam0".to_owned(),
            rtsp: Some("rtsp://10.0.0.21/stream1".to_owned()),
            onvif_serial: None,
            codec: Some("h264".to_owned()),
            clip: Some("remux".to_owned()),
        },
        software: Software {
            name: "lingmou".to_owned(),
            version: "0.1.0".to_owned(),
            binary_sha256: None,
            config_sha256: None,
            model: None,
        },
        omitted: Vec::new(),
        files: files
            .iter()
            .map(|(name, media_type, bytes)| FileEntry {
                name: (*name).to_owned(),
                media_type: (*media_type).to_owned(),
                size: bytes.len() as u64,
                sha256: sha256_hex(bytes),
                at: Some("2026-08-01T02:02:00Z".to_owned()),
                pts_ns: None,
            })
            .collect(),
    }
}

fn assemble(sealed: &Sealed, files: &[(&str, &str, Vec<u8>)]) -> Container {
    let mut container = Container::new();
    for (name, bytes) in sealed.parts() {
        container.insert(name, bytes.to_vec()).unwrap();
    }
    for (name, _, bytes) in files {
        container.insert(name, bytes.clone()).unwrap();
    }
    container
}

fn receipt(sealed: &Sealed) -> Receipt {
    Receipt {
        v: Receipt::HEAD.0,
        kind: Receipt::HEAD.1.to_owned(),
        id: case(),
        device: DEVICE.to_owned(),
        seq: 123,
        sig_sha256: sealed.sig_sha256(),
        verdict: ReceiptVerdict::Stored,
        why: None,
        copies: 2,
        head: None,
        at: "2026-08-01T02:05:31Z".to_owned(),
        receiver: "evidence-receiver-1".to_owned(),
    }
}

/// Runs a tool in `dir`.
fn run(dir: &Path, program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|e| {
            panic!("{program} must be installed (apt-get install openssl unzip): {e}")
        })
}

/// Runs a tool that must succeed; gives stdout and stderr as text.
fn succeed(dir: &Path, program: &str, args: &[&str]) -> String {
    let output = run(dir, program, args);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    use std::io::Write as _;
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(&path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
    path
}

fn put_package(dir: &Path, container: &Container) {
    for (name, bytes) in container.files() {
        put(dir, name, bytes);
    }
}

const CMS_VERIFY: [&str; 13] = [
    "cms",
    "-verify",
    "-binary",
    "-inform",
    "DER",
    "-in",
    SIGNATURE,
    "-content",
    MANIFEST,
    "-CAfile",
    "roots.crt",
    "-purpose",
    "any",
];

fn cms_verify(dir: &Path, extra: &[&str]) -> Output {
    let mut args = CMS_VERIFY.to_vec();
    args.extend(["-out", "out.bin"]);
    args.extend(extra);
    run(dir, "openssl", &args)
}

#[test]
fn openssl_accepts_the_signature_and_refuses_a_changed_manifest() {
    let dir = TempDir::new().unwrap();
    put_package(dir.path(), &KIT.package);
    put(
        dir.path(),
        "roots.crt",
        &std::fs::read(KIT.pki.root()).unwrap(),
    );
    for extra in [&[][..], &["-cades"][..]] {
        let output = cms_verify(dir.path(), extra);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{extra:?}: {text}");
        assert!(text.contains("erification successful"), "{text}");
    }
    let signed = std::fs::read(dir.path().join("out.bin")).unwrap();
    assert_eq!(signed, KIT.sealed.manifest);

    let mut changed = KIT.sealed.manifest.clone();
    changed[400] ^= 1;
    put(dir.path(), MANIFEST, &changed);
    assert!(!cms_verify(dir.path(), &[]).status.success());
}

#[test]
fn openssl_sees_the_cades_attributes_in_der_order() {
    let dir = TempDir::new().unwrap();
    let p7s = put(dir.path(), "s.p7s", &KIT.sealed.signature);
    let text = succeed(
        dir.path(),
        "openssl",
        &[
            "cms",
            "-cmsout",
            "-print",
            "-inform",
            "DER",
            "-in",
            p7s.to_str().unwrap(),
        ],
    );
    let order: Vec<Option<usize>> = [
        "contentType",
        "signingTime",
        "messageDigest",
        "signingCertificateV2",
    ]
    .map(|name| {
        text.find(&format!("object: {name}"))
            .or_else(|| text.find(&format!("object: id-smime-aa-{name}")))
    })
    .into();
    assert!(order.iter().all(Option::is_some), "{text}");
    assert!(
        order.is_sorted(),
        "DER sorts a SET OF by its encodings: {order:?}\n{text}"
    );
    assert!(text.contains("UTCTIME:Aug  1 02:03:04 2026 GMT"), "{text}");
    assert!(text.contains("algorithm: ecdsa-with-SHA256"), "{text}");
}

#[test]
fn openssl_reads_the_receipt() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "r.p7m", KIT.package.get(RECEIPT).unwrap());
    let root = KIT.pki.root();
    let args = [
        "cms",
        "-verify",
        "-inform",
        "DER",
        "-in",
        "r.p7m",
        "-CAfile",
        root.to_str().unwrap(),
        "-purpose",
        "any",
        "-binary",
    ];
    let text = succeed(dir.path(), "openssl", &args);
    assert!(text.contains(&KIT.sealed.sig_sha256()), "{text}");
}

/// `openssl cms -sign` with these keys over the kit's manifest.
fn openssl_sign(dir: &Path, certificate: &Path, key: &Path, extra: &[&str]) -> Vec<u8> {
    put(dir, "m.xml", &KIT.sealed.manifest);
    let mut args = vec![
        "cms",
        "-sign",
        "-binary",
        "-outform",
        "DER",
        "-md",
        "sha256",
        "-in",
        "m.xml",
        "-out",
        "m.p7s",
        "-signer",
        certificate.to_str().unwrap(),
        "-inkey",
        key.to_str().unwrap(),
    ];
    args.extend(extra);
    succeed(dir, "openssl", &args);
    std::fs::read(dir.join("m.p7s")).unwrap()
}

#[test]
fn signatures_made_by_openssl_are_judged_alike() {
    let device = &KIT.pki.device;
    let sign = |name: &str, extra: &[&str]| {
        let dir = TempDir::new().unwrap();
        let key = device.join(format!("{name}.key"));
        openssl_sign(dir.path(), &device.join(format!("{name}.crt")), &key, extra)
    };
    let check = |p7s: &[u8]| check_detached(p7s, &KIT.sealed.manifest, &KIT.roots, Usage::Evidence);
    let cades = check(&sign("evidence", &["-cades"]));
    assert_eq!(cades.unwrap().serial_number.as_deref(), Some(DEVICE));
    let transport = check(&sign("transport", &["-cades"]));
    assert!(
        matches!(transport, Err(SignatureError::Purpose(_))),
        "{transport:?}"
    );
    let plain = check(&sign("evidence", &[]));
    assert!(
        matches!(plain, Err(SignatureError::Form(_))),
        "no CAdES: {plain:?}"
    );
    let attached = check(&sign("evidence", &["-cades", "-nodetach"]));
    assert!(
        matches!(attached, Err(SignatureError::Form(_))),
        "{attached:?}"
    );
    let bare = check(&sign("evidence", &["-cades", "-nocerts"]));
    assert!(matches!(bare, Err(SignatureError::Form(_))), "{bare:?}");
}

#[test]
fn roots_and_signers_on_other_algorithms_are_understood() {
    for key in ["rsa:3072", "ec:P-384", "ec:P-256"] {
        let dir = TempDir::new().unwrap();
        let ca = openssl_key(dir.path(), key, "ca.key");
        succeed(
            dir.path(),
            "openssl",
            &[
                "req",
                "-x509",
                "-new",
                "-key",
                &ca,
                "-subj",
                "/CN=Other Root",
                "-days",
                "3650",
                "-addext",
                "basicConstraints=critical,CA:TRUE",
                "-addext",
                "keyUsage=critical,keyCertSign",
                "-out",
                "ca.crt",
            ],
        );
        let ee = openssl_key(dir.path(), key, "ee.key");
        succeed(
            dir.path(),
            "openssl",
            &[
                "req",
                "-new",
                "-key",
                &ee,
                "-subj",
                "/CN=x/serialNumber=LC-1",
                "-addext",
                "extendedKeyUsage=1.3.6.1.5.5.7.3.36",
                "-addext",
                "keyUsage=critical,digitalSignature",
                "-out",
                "ee.csr",
            ],
        );
        issue(dir.path(), "ca", "ee", "3650");
        let p7s = openssl_sign(
            dir.path(),
            &dir.path().join("ee.crt"),
            &dir.path().join("ee.key"),
            &["-cades"],
        );
        let roots = Roots::load(&dir.path().join("ca.crt")).unwrap();
        let signer = check_detached(&p7s, &KIT.sealed.manifest, &roots, Usage::Evidence);
        assert_eq!(
            signer.unwrap().serial_number.as_deref(),
            Some("LC-1"),
            "{key}"
        );
        let foreign = check_detached(&p7s, &KIT.sealed.manifest, &KIT.roots, Usage::Evidence);
        assert!(
            matches!(foreign, Err(SignatureError::Chain(_))),
            "{foreign:?}"
        );
    }
}

/// Makes a PKCS#8 key file, mode 0600; gives its name.
fn openssl_key(dir: &Path, kind: &str, name: &str) -> String {
    let (algorithm, option) = match kind.split_once(':') {
        Some(("rsa", bits)) => ("RSA", format!("rsa_keygen_bits:{bits}")),
        Some((_, curve)) => ("EC", format!("ec_paramgen_curve:{curve}")),
        None => panic!("kind of key"),
    };
    succeed(
        dir,
        "openssl",
        &[
            "genpkey",
            "-algorithm",
            algorithm,
            "-pkeyopt",
            &option,
            "-out",
            name,
        ],
    );
    set_mode(&dir.join(name), 0o600);
    name.to_owned()
}

/// Has `ca` issue what `request` asks for.
fn issue(dir: &Path, ca: &str, request: &str, days: &str) {
    let (ca_crt, ca_key) = (format!("{ca}.crt"), format!("{ca}.key"));
    let (csr, crt) = (format!("{request}.csr"), format!("{request}.crt"));
    succeed(
        dir,
        "openssl",
        &[
            "x509",
            "-req",
            "-in",
            &csr,
            "-CA",
            &ca_crt,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-copy_extensions",
            "copyall",
            "-days",
            days,
            "-out",
            &crt,
        ],
    );
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A root, an issuing CA below it and an evidence certificate below that.
fn three_levels(dir: &Path, root_ext: &str, ca_ext: &str) -> (Roots, Vec<u8>) {
    for name in ["root", "ca", "ee"] {
        openssl_key(dir, "ec:P-256", &format!("{name}.key"));
    }
    succeed(
        dir,
        "openssl",
        &[
            "req", "-x509", "-new", "-key", "root.key", "-subj", "/CN=Root", "-days", "3650",
            "-addext", root_ext, "-out", "root.crt",
        ],
    );
    let mut args = vec![
        "req",
        "-new",
        "-key",
        "ca.key",
        "-subj",
        "/CN=Issuing",
        "-out",
        "ca.csr",
    ];
    for extension in ca_ext.split(';') {
        args.extend(["-addext", extension]);
    }
    succeed(dir, "openssl", &args);
    issue(dir, "root", "ca", "3650");
    succeed(
        dir,
        "openssl",
        &[
            "req",
            "-new",
            "-key",
            "ee.key",
            "-subj",
            "/CN=x/serialNumber=LC-1",
            "-addext",
            "extendedKeyUsage=1.3.6.1.5.5.7.3.36",
            "-out",
            "ee.csr",
        ],
    );
    issue(dir, "ca", "ee", "3650");
    let p7s = openssl_sign(
        dir,
        &dir.join("ee.crt"),
        &dir.join("ee.key"),
        &["-cades", "-certfile", "ca.crt"],
    );
    (Roots::load(&dir.join("root.crt")).unwrap(), p7s)
}

#[test]
fn an_issuing_ca_must_be_one() {
    const ROOT: &str = "basicConstraints=critical,CA:TRUE";
    let table = [
        (ROOT, "basicConstraints=critical,CA:TRUE", true),
        (
            ROOT,
            "basicConstraints=critical,CA:TRUE;keyUsage=critical,keyCertSign",
            true,
        ),
        (
            ROOT,
            "basicConstraints=critical,CA:TRUE;extendedKeyUsage=1.3.6.1.5.5.7.3.36",
            true,
        ),
        (ROOT, "basicConstraints=critical,CA:FALSE", false),
        (
            ROOT,
            "basicConstraints=critical,CA:TRUE;keyUsage=critical,digitalSignature",
            false,
        ),
        (
            ROOT,
            "basicConstraints=critical,CA:TRUE;extendedKeyUsage=clientAuth",
            false,
        ),
        (
            ROOT,
            "basicConstraints=critical,CA:TRUE;1.2.3.4=critical,DER:0500",
            false,
        ),
        (
            "basicConstraints=critical,CA:TRUE,pathlen:0",
            "basicConstraints=critical,CA:TRUE",
            false,
        ),
    ];
    for (root, ca, trusted) in table {
        let dir = TempDir::new().unwrap();
        let (roots, p7s) = three_levels(dir.path(), root, ca);
        let signer = check_detached(&p7s, &KIT.sealed.manifest, &roots, Usage::Evidence);
        match signer {
            Ok(_) => assert!(trusted, "{root} / {ca}"),
            Err(SignatureError::Chain(why)) => assert!(!trusted, "{root} / {ca}: {why}"),
            Err(other) => panic!("{root} / {ca}: {other}"),
        }
    }
}

#[test]
fn the_chain_is_judged_at_the_time_of_signing() {
    let dir = TempDir::new().unwrap();
    let plan = TestPkiPlan {
        not_before: AT_SECS,
        not_after: AT_SECS + DAY,
    };
    let pki = TestPki::create_planned(dir.path(), DEVICE, plan).unwrap();
    let identity = Identity::load(&pki.device, "evidence").unwrap();
    let roots = Roots::load(&pki.root()).unwrap();
    let day_ns = 24 * 3600 * 1_000_000_000_i64;
    for (shift, valid) in [
        (-1_000_000_000, false),
        (0, true),
        (day_ns, true),
        (day_ns + 1_000_000_000, false),
    ] {
        let at = AT.shifted_ns(shift);
        let p7s = identity.sign(b"content", Form::Detached, at);
        let signer = check_detached(&p7s, b"content", &roots, Usage::Evidence);
        assert_eq!(signer.is_ok(), valid, "{shift}: {signer:?}");
        assert_eq!(identity.check_validity(at).is_ok(), valid, "{shift}");
    }
}

#[test]
fn a_role_cannot_be_played_by_another() {
    let at = AT;
    let receiver = Identity::load(&KIT.pki.receiver, "receiver").unwrap();
    let operator = Identity::load_from(
        &KIT.pki.operator.join("operator.key"),
        &KIT.pki.operator.join("operator.crt"),
        Usage::Receiver,
    );
    assert!(
        matches!(operator, Err(KeyError::Purpose { .. })),
        "{operator:?}"
    );
    let by_device = KIT.evidence.sign(b"{}", Form::Attached, at);
    let by_receiver = receiver.sign(b"{}", Form::Attached, at);
    let verdict =
        |p7m: &[u8], usage| check_attached(p7m, &KIT.roots, usage).map(|(_, s)| s.common_name);
    assert!(matches!(
        verdict(&by_device, Usage::Receiver),
        Err(SignatureError::Purpose(_))
    ));
    assert!(matches!(
        verdict(&by_receiver, Usage::Evidence),
        Err(SignatureError::Purpose(_))
    ));
    assert!(verdict(&by_device, Usage::Evidence).is_ok());
    assert!(verdict(&by_receiver, Usage::Receiver).is_ok());
}

#[test]
fn unzip_reads_the_container() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "e.asice", &KIT.zip);
    let text = succeed(dir.path(), "unzip", &["-t", "e.asice"]);
    assert!(text.contains("No errors detected"), "{text}");
    let names = succeed(dir.path(), "unzip", &["-Z1", "e.asice"]);
    assert_eq!(names.lines().next(), Some(MIMETYPE));
    assert_eq!(names.lines().count(), KIT.package.files().count());
    succeed(dir.path(), "unzip", &["-q", "e.asice", "-d", "out"]);
    let unpacked = Container::from_dir(&dir.path().join("out")).unwrap();
    assert_eq!(unpacked, KIT.package);
    // ETSI EN 319 162-1 section A.1: the media type can be read at byte 38.
    assert_eq!(&KIT.zip[30..38], MIMETYPE.as_bytes());
    assert_eq!(&KIT.zip[38..38 + ASIC_E.len()], ASIC_E.as_bytes());
}

#[test]
fn the_same_package_is_the_same_bytes_and_reads_back() {
    let again = Container::from_zip(&KIT.zip, Limits::PACKAGE).unwrap();
    assert_eq!(again, KIT.package);
    assert_eq!(again.to_zip(), KIT.zip);
    let text = String::from_utf8_lossy(&KIT.zip);
    assert!(text.contains("ASiCManifest001"));
}

#[test]
fn the_untouched_package_is_valid_in_every_form() {
    let whole = verify(&KIT.package, &KIT.roots);
    assert!(whole.valid(), "{}", whole.page(Language::English));
    assert!(
        whole.checks.iter().all(|c| c.status == Status::Pass),
        "{}",
        whole.page(Language::English)
    );
    assert_eq!(verify_zip(&KIT.zip, &KIT.roots), whole);
    let dir = TempDir::new().unwrap();
    put_package(dir.path(), &KIT.package);
    assert_eq!(verify_path(dir.path(), &KIT.roots).unwrap(), whole);
    let signer = whole.signer.unwrap();
    assert_eq!(signer.serial_number.as_deref(), Some(DEVICE));
    assert_eq!(signer.signing_time, 1_785_549_784);

    let before = assemble(&KIT.sealed, &files());
    let verdict = verify(&before, &KIT.roots);
    assert!(verdict.valid(), "without its receipt");
    assert_eq!(
        verdict.check(CheckId::Receipt).unwrap().status,
        Status::Unknown
    );

    let head = before.head();
    assert!(
        !verify(&head, &KIT.roots).valid(),
        "a head is not a package"
    );
    let verdict = verify_head(&head, &KIT.roots);
    assert!(verdict.valid(), "{}", verdict.page(Language::English));
    assert_eq!(
        verdict.check(CheckId::Files).unwrap().status,
        Status::Unknown
    );
}

/// The package with one file replaced, or removed when `bytes` is `None`.
fn with(name: &str, bytes: Option<&[u8]>) -> Container {
    let mut changed = Container::new();
    for (other, content) in KIT.package.files() {
        if other != name {
            changed.insert(other, content.to_vec()).unwrap();
        }
    }
    if let Some(bytes) = bytes {
        changed.insert(name, bytes.to_vec()).unwrap();
    }
    changed
}

/// `bytes` with one bit of the middle one flipped.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

fn refused(what: &str, container: &Container, roots: &Roots, expected: CheckId) {
    let verdict = verify(container, roots);
    assert!(!verdict.valid(), "{what} was accepted");
    let failed: Vec<_> = verdict.failed().collect();
    assert!(
        failed.contains(&expected),
        "{what}: {failed:?} lacks {expected:?}\n{}",
        verdict.page(Language::English)
    );
}

#[test]
fn every_changed_or_missing_file_is_named() {
    for (name, content) in KIT.package.files() {
        let (changed, missing) = match name {
            MIMETYPE => (CheckId::Container, CheckId::Container),
            MANIFEST => (CheckId::Signature, CheckId::Manifest),
            SIGNATURE => (CheckId::Signature, CheckId::Signature),
            RECEIPT => (CheckId::Receipt, CheckId::Receipt),
            _ => (CheckId::Files, CheckId::Files),
        };
        refused(
            name,
            &with(name, Some(&flipped(content))),
            &KIT.roots,
            changed,
        );
        refused(name, &with(name, Some(b"")), &KIT.roots, changed);
        if name != RECEIPT {
            refused(name, &with(name, None), &KIT.roots, missing);
        }
    }
}

#[test]
fn every_change_of_the_manifest_breaks_the_signature() {
    let manifest = String::from_utf8(KIT.sealed.manifest.clone()).unwrap();
    for (name, media_type, _) in files() {
        let entry_at = manifest.find(&format!("URI=\"{name}\"")).unwrap();
        let digest_at = entry_at + manifest[entry_at..].find("DigestValue>").unwrap() + 12;
        let mut other = manifest.clone().into_bytes();
        other[digest_at] = if other[digest_at] == b'A' { b'B' } else { b'A' };
        refused(
            name,
            &with(MANIFEST, Some(&other)),
            &KIT.roots,
            CheckId::Signature,
        );
        let renamed = manifest.replace(name, "frames/09-other.jpg");
        refused(
            name,
            &with(MANIFEST, Some(renamed.as_bytes())),
            &KIT.roots,
            CheckId::Signature,
        );
        let retyped = manifest.replacen(media_type, "text/plain", 1);
        refused(
            name,
            &with(MANIFEST, Some(retyped.as_bytes())),
            &KIT.roots,
            CheckId::Signature,
        );
    }
}

#[test]
fn additions_renames_and_swaps_are_refused() {
    let mut added = KIT.package.clone();
    added.insert("frames/04-extra.jpg", vec![1]).unwrap();
    refused("added", &added, &KIT.roots, CheckId::Nothing);
    let mut added = KIT.package.clone();
    added.insert("META-INF/anything.txt", vec![1]).unwrap();
    refused("added to META-INF", &added, &KIT.roots, CheckId::Nothing);

    let clip = KIT.package.get("clip.mp4").unwrap();
    let mut renamed = with("clip.mp4", None);
    renamed.insert("clip2.mp4", clip.to_vec()).unwrap();
    refused("renamed", &renamed, &KIT.roots, CheckId::Files);
    refused("renamed", &renamed, &KIT.roots, CheckId::Nothing);

    let found = KIT.package.get("frames/01-found.jpg").unwrap();
    let swapped = with("frames/02-warned.jpg", Some(found));
    refused("swapped", &swapped, &KIT.roots, CheckId::Files);

    let mut later = KIT.package.clone();
    for name in [
        "META-INF/chain.jsonl",
        "META-INF/timestamp001.tst",
        "META-INF/signature002.p7s",
    ] {
        later.insert(name, b"later".to_vec()).unwrap();
    }
    let verdict = verify(&later, &KIT.roots);
    assert!(verdict.valid(), "later additions are allowed");
    assert_eq!(
        verdict.check(CheckId::Nothing).unwrap().findings.len(),
        3,
        "but named"
    );
}

/// The package's files signed anew by `p7s` over its own manifest.
fn signed_by(p7s: &[u8]) -> Container {
    let mut other = with(SIGNATURE, Some(p7s));
    if other.get(RECEIPT).is_some() {
        let mut bare = Container::new();
        for (name, bytes) in other.files().filter(|(name, _)| *name != RECEIPT) {
            bare.insert(name, bytes.to_vec()).unwrap();
        }
        other = bare;
    }
    other
}

#[test]
fn another_signer_is_refused_for_the_right_reason() {
    let dir = TempDir::new().unwrap();
    let foreign = TestPki::create(dir.path(), DEVICE).unwrap();
    let foreign_roots = Roots::load(&foreign.root()).unwrap();
    refused("foreign root", &KIT.package, &foreign_roots, CheckId::Chain);
    let thief = Identity::load(&foreign.device, "evidence").unwrap();
    let p7s = thief.sign(&KIT.sealed.manifest, Form::Detached, AT);
    refused(
        "foreign signer",
        &signed_by(&p7s),
        &KIT.roots,
        CheckId::Chain,
    );

    let device = &KIT.pki.device;
    let (crt, key) = (device.join("transport.crt"), device.join("transport.key"));
    let p7s = openssl_sign(dir.path(), &crt, &key, &["-cades"]);
    refused(
        "TLS certificate",
        &signed_by(&p7s),
        &KIT.roots,
        CheckId::Purpose,
    );

    let other = KIT.pki.add_device("LC-POLE-0008").unwrap();
    let other = Identity::load(&other, "evidence").unwrap();
    let p7s = other.sign(&KIT.sealed.manifest, Form::Detached, AT);
    refused(
        "other device",
        &signed_by(&p7s),
        &KIT.roots,
        CheckId::Device,
    );
    let wrong = seal(&statement(DEVICE, &files()), &other, AT);
    assert!(wrong.is_err(), "a device does not seal in another's name");

    let elsewhere = KIT.evidence.sign(b"another manifest", Form::Detached, AT);
    refused(
        "another package's signature",
        &signed_by(&elsewhere),
        &KIT.roots,
        CheckId::Signature,
    );
    let attached = KIT.evidence.sign(&KIT.sealed.manifest, Form::Attached, AT);
    refused(
        "attached",
        &signed_by(&attached),
        &KIT.roots,
        CheckId::Signature,
    );
}

#[test]
fn a_receipt_for_anything_else_is_refused() {
    let receiver = Identity::load(&KIT.pki.receiver, "receiver").unwrap();
    let good = receipt(&KIT.sealed);
    let table: [(&str, Receipt); 6] = [
        (
            "seq",
            Receipt {
                seq: 124,
                ..good.clone()
            },
        ),
        (
            "device",
            Receipt {
                device: "LC-POLE-0008".to_owned(),
                ..good.clone()
            },
        ),
        (
            "signature",
            Receipt {
                sig_sha256: "00".repeat(32),
                ..good.clone()
            },
        ),
        (
            "id",
            Receipt {
                id: serde_json::from_str("\"0198f0a2-0000-7000-8000-000000000002\"").unwrap(),
                ..good.clone()
            },
        ),
        (
            "receiver",
            Receipt {
                receiver: "evidence-receiver-2".to_owned(),
                ..good.clone()
            },
        ),
        (
            "version",
            Receipt {
                v: 2,
                ..good.clone()
            },
        ),
    ];
    for (what, receipt) in table {
        let p7m = receipt.sign(&receiver, AT).unwrap();
        refused(
            what,
            &with(RECEIPT, Some(&p7m)),
            &KIT.roots,
            CheckId::Receipt,
        );
    }
    let by_device = good.sign(&KIT.evidence, AT).unwrap();
    refused(
        "signed by the device",
        &with(RECEIPT, Some(&by_device)),
        &KIT.roots,
        CheckId::Receipt,
    );
    let refusal = Receipt {
        verdict: ReceiptVerdict::Refused,
        why: Some("full".to_owned()),
        ..good
    };
    let p7m = refusal.sign(&receiver, AT).unwrap();
    let verdict = verify(&with(RECEIPT, Some(&p7m)), &KIT.roots);
    assert!(
        verdict.valid(),
        "a refusal does not make the evidence false"
    );
    assert_eq!(
        verdict.check(CheckId::Receipt).unwrap().status,
        Status::Unknown
    );
}

#[test]
fn statement_and_manifest_must_list_the_same() {
    let mut short = statement(DEVICE, &files());
    short.files.pop();
    let part = seal(&short, &KIT.evidence, AT).unwrap();
    let full = Manifest::parse(&KIT.sealed.manifest).unwrap();
    let mut mixed = Manifest::parse(&part.manifest).unwrap();
    mixed
        .entries
        .push(full.entry("detections.jsonl").unwrap().clone());
    let manifest = mixed.to_xml().unwrap();
    let lying = Sealed {
        signature: KIT.evidence.sign(&manifest, Form::Detached, AT),
        manifest,
        statement: part.statement,
    };
    refused(
        "unlisted",
        &assemble(&lying, &files()),
        &KIT.roots,
        CheckId::Statement,
    );
}

#[test]
fn contradicting_times_are_told_but_do_not_unmake_the_signature() {
    let mut late = statement(DEVICE, &files());
    late.after = Some(lingmou::witness::After {
        receipt_sha256: "5e".repeat(32),
        server_time: "2026-08-02T00:00:00Z".to_owned(),
    });
    let sealed = seal(&late, &KIT.evidence, AT).unwrap();
    let verdict = verify(&assemble(&sealed, &files()), &KIT.roots);
    assert_eq!(verdict.check(CheckId::Time).unwrap().status, Status::Fail);
    assert!(verdict.valid());

    let mut unsynced = statement(DEVICE, &files());
    unsynced.clock = Clock::at(Stamp {
        error_ns: Stamp::ERROR_UNKNOWN,
        ..AT
    });
    let sealed = seal(&unsynced, &KIT.evidence, AT).unwrap();
    let verdict = verify(&assemble(&sealed, &files()), &KIT.roots);
    assert_eq!(
        verdict.check(CheckId::Time).unwrap().status,
        Status::Unknown
    );
}

/// A zip made by the `zip` crate, duplicates and all, as `build` says.
fn raw_zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    // Two archives glued by hand would not do: the directory must list both entries. Names of
    // equal length are patched after writing instead.
    use std::io::Write as _;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn patched(zip: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut zip = zip.to_vec();
    let places: Vec<_> = zip
        .windows(from.len())
        .enumerate()
        .filter(|(_, w)| *w == from.as_bytes())
        .map(|(i, _)| i)
        .collect();
    assert_eq!(places.len(), 2, "local header and directory");
    for place in places {
        zip[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    zip
}

#[test]
fn hostile_zips_are_refused() {
    let plain = raw_zip(&[
        ("mimetype", b"x"),
        ("aaaaaaaa.jpg", b"1"),
        ("bbbbbbbb.jpg", b"2"),
    ]);
    assert!(Container::from_zip(&plain, Limits::PACKAGE).is_ok());
    let link = {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer
            .add_symlink(
                "link",
                "/etc/passwd",
                zip::write::SimpleFileOptions::default(),
            )
            .unwrap();
        writer.finish().unwrap().into_inner()
    };
    let folder = {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer
            .add_directory("frames", zip::write::SimpleFileOptions::default())
            .unwrap();
        writer.finish().unwrap().into_inner()
    };
    let mut local_only = plain.clone();
    let at = local_only
        .windows(12)
        .position(|w| w == b"aaaaaaaa.jpg")
        .unwrap();
    local_only[at..at + 12].copy_from_slice(b"cccccccc.jpg");
    let deflated = {
        let dir = TempDir::new().unwrap();
        put(dir.path(), "a.txt", &[b'a'; 5000]);
        succeed(dir.path(), "zip", &["-q", "d.zip", "a.txt"]);
        std::fs::read(dir.path().join("d.zip")).unwrap()
    };
    let table: [(&str, Vec<u8>); 12] = [
        ("empty file", Vec::new()),
        ("text", b"this is not a zip".to_vec()),
        ("cut off", plain[..plain.len() - 30].to_vec()),
        ("start cut off", plain[20..].to_vec()),
        (
            "duplicate name",
            patched(&plain, "bbbbbbbb.jpg", "aaaaaaaa.jpg"),
        ),
        ("two stories", local_only),
        (
            "parent folder",
            patched(&plain, "bbbbbbbb.jpg", "../../x/y.jp"),
        ),
        ("absolute", patched(&plain, "bbbbbbbb.jpg", "/bbbbbbb.jpg")),
        (
            "backslash",
            patched(&plain, "bbbbbbbb.jpg", "..\\b\\bbb.jpg"),
        ),
        ("link", link),
        ("folder", folder),
        ("compressed", deflated),
    ];
    for (what, zip) in table {
        let read = Container::from_zip(&zip, Limits::PACKAGE);
        assert!(read.is_err(), "{what} was read: {read:?}");
        let verdict = verify_zip(&zip, &KIT.roots);
        assert_eq!(
            verdict.failed().collect::<Vec<_>>(),
            [CheckId::Container],
            "{what}"
        );
    }
    let small = Limits {
        bytes_max: 1 << 20,
        entries_max: 2,
    };
    assert!(
        Container::from_zip(&plain, small).is_err(),
        "three files where two are allowed"
    );
    let small = Limits {
        bytes_max: 100,
        entries_max: 9,
    };
    assert!(Container::from_zip(&plain, small).is_err(), "bytes");
}

#[test]
fn folders_with_links_are_refused() {
    let dir = TempDir::new().unwrap();
    put_package(dir.path(), &KIT.package);
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("frames/04.jpg")).unwrap();
    assert!(Container::from_dir(dir.path()).is_err());
    let missing = verify_path(&dir.path().join("nowhere"), &KIT.roots);
    assert!(missing.is_err(), "not there is not the same as not valid");
}

#[test]
fn enrolment_makes_requests_that_openssl_accepts_and_a_ca_can_answer() {
    let dir = TempDir::new().unwrap();
    let keys = dir.path().join("keys");
    let made = enroll(
        &keys,
        "LC-CAR-0003",
        "\u{674e}\u{6ca7}\u{533a}\u{57ce}\u{7ba1}",
    )
    .unwrap();
    assert_eq!(made.new_keys.len(), 2);
    let evidence = succeed(
        &keys,
        "openssl",
        &["req", "-verify", "-noout", "-text", "-in", "evidence.csr"],
    );
    for expected in [
        "erify OK",
        "serialNumber = LC-CAR-0003",
        "Digital Signature, Non Repudiation",
        "1.3.6.1.5.5.7.3.36",
        "1.3.6.1.4.1.62558.2.1",
    ] {
        assert!(evidence.contains(expected), "{expected}: {evidence}");
    }
    let transport = succeed(
        &keys,
        "openssl",
        &["req", "-verify", "-noout", "-text", "-in", "transport.csr"],
    );
    for expected in [
        "erify OK",
        "CN = LC-CAR-0003",
        "TLS Web Client Authentication",
    ] {
        assert!(transport.contains(expected), "{expected}: {transport}");
    }
    assert!(!transport.contains("1.3.6.1.5.5.7.3.36"));

    let before = std::fs::read(keys.join("evidence.key")).unwrap();
    let again = enroll(&keys, "LC-CAR-0003", "Bureau").unwrap();
    assert!(again.new_keys.is_empty());
    assert_eq!(
        std::fs::read(keys.join("evidence.key")).unwrap(),
        before,
        "a key is never replaced"
    );

    for part in ["root.crt", "root.key"] {
        std::fs::copy(KIT.pki.ca.join(part), keys.join(part)).unwrap();
    }
    issue(&keys, "root", "evidence", "3650");
    let identity = Identity::load(&keys, "evidence").unwrap();
    assert_eq!(identity.device_id(), "LC-CAR-0003");
    let sealed = seal(
        &statement("LC-CAR-0003", &files()),
        &identity,
        lingmou::clock::now(),
    )
    .unwrap();
    let verdict = verify(&assemble(&sealed, &files()), &KIT.roots);
    assert!(verdict.valid(), "{}", verdict.page(Language::English));

    for id in ["", "a b", "\u{674e}", "a/b", &"a".repeat(65)] {
        assert!(enroll(&keys, id, "Bureau").is_err(), "{id:?}");
    }
}

#[test]
fn unusable_keys_and_certificates_say_why() {
    let dir = TempDir::new().unwrap();
    let fresh = |name: &str| {
        let to = dir.path().join(name);
        std::fs::create_dir(&to).unwrap();
        for file in ["evidence.key", "evidence.crt"] {
            std::fs::copy(KIT.pki.device.join(file), to.join(file)).unwrap();
        }
        to
    };
    let fails = |dir: &Path, expected: &str| {
        let error = Identity::load(dir, "evidence").unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    };
    for mode in [0o644, 0o640, 0o604, 0o660] {
        let keys = fresh(&format!("mode-{mode:o}"));
        set_mode(&keys.join("evidence.key"), mode);
        fails(&keys, "chmod 600");
    }
    let keys = fresh("foreign");
    let other = KIT.pki.add_device("LC-POLE-0009").unwrap();
    std::fs::copy(other.join("evidence.crt"), keys.join("evidence.crt")).unwrap();
    fails(&keys, "does not belong to");
    let keys = fresh("text");
    put(&keys, "evidence.key", b"hello");
    fails(&keys, "BEGIN PRIVATE KEY");
    let keys = fresh("empty-certificate");
    put(&keys, "evidence.crt", b"hello");
    fails(&keys, "no PEM certificate");
    let keys = fresh("p384");
    openssl_key(&keys, "ec:P-384", "evidence.key");
    fails(&keys, "P-256 is needed");
    let keys = fresh("rsa");
    openssl_key(&keys, "rsa:2048", "evidence.key");
    fails(&keys, "P-256 is needed");
    let keys = fresh("sec1");
    succeed(
        &keys,
        "openssl",
        &["ec", "-in", "evidence.key", "-out", "sec1.key"],
    );
    std::fs::copy(keys.join("sec1.key"), keys.join("evidence.key")).unwrap();
    fails(&keys, "openssl pkcs8 -topk8");
    let keys = fresh("encrypted");
    succeed(
        &keys,
        "openssl",
        &[
            "pkcs8",
            "-topk8",
            "-in",
            "evidence.key",
            "-passout",
            "pass:x",
            "-out",
            "enc.key",
        ],
    );
    std::fs::copy(keys.join("enc.key"), keys.join("evidence.key")).unwrap();
    fails(&keys, "passphrase");
    let keys = fresh("tls");
    for kind in ["key", "crt"] {
        let to = keys.join(format!("evidence.{kind}"));
        std::fs::copy(KIT.pki.device.join(format!("transport.{kind}")), to).unwrap();
    }
    fails(&keys, "documentSigning");
    let keys = fresh("no-serial");
    for kind in ["key", "crt"] {
        let to = keys.join(format!("evidence.{kind}"));
        std::fs::copy(KIT.pki.receiver.join(format!("receiver.{kind}")), to).unwrap();
    }
    fails(&keys, "serialNumber");
    fails(&dir.path().join("nowhere"), "No such file");

    let roots = Roots::load(&KIT.pki.device.join("evidence.crt"))
        .unwrap_err()
        .to_string();
    assert!(roots.contains("not a CA"), "{roots}");
    let debug = format!("{:?}", KIT.evidence);
    assert_eq!(debug, format!("Identity({DEVICE})"));
}

#[test]
fn the_brokers_and_time_stampers_certificates_work() {
    let dir = TempDir::new().unwrap();
    let root = KIT.pki.root();
    let root = root.to_str().unwrap();
    let server = KIT.pki.broker.join("server.crt");
    for extra in [
        ["-verify_ip", "127.0.0.1"],
        ["-verify_hostname", "localhost"],
    ] {
        let mut args = vec![
            "verify",
            "-CAfile",
            root,
            "-purpose",
            "sslserver",
            "-x509_strict",
        ];
        args.extend(extra);
        args.push(server.to_str().unwrap());
        succeed(dir.path(), "openssl", &args);
    }
    put(dir.path(), "data", b"stamp me");
    put(dir.path(), "serial", b"01");
    let config = format!(
        "[tsa]\ndefault_tsa=t\n[t]\nserial={0}/serial\nsigner_cert={1}/tsa.crt\nsigner_key={1}/tsa.key\n\
         signer_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256\ness_cert_id_alg=sha256\n",
        dir.path().display(),
        KIT.pki.tsa.display(),
    );
    put(dir.path(), "tsa.cnf", config.as_bytes());
    succeed(
        dir.path(),
        "openssl",
        &[
            "ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "q",
        ],
    );
    succeed(
        dir.path(),
        "openssl",
        &[
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-queryfile",
            "q",
            "-out",
            "r",
        ],
    );
    let text = succeed(
        dir.path(),
        "openssl",
        &[
            "ts", "-verify", "-data", "data", "-in", "r", "-CAfile", root,
        ],
    );
    assert!(text.contains("Verification: OK"), "{text}");
}

#[test]
fn the_page_speaks_both_languages() {
    let verdict = verify(&KIT.package, &KIT.roots);
    let (chinese, english) = (
        verdict.page(Language::Chinese),
        verdict.page(Language::English),
    );
    assert_eq!(chinese.lines().count(), english.lines().count());
    for page in [&chinese, &english] {
        assert!(!page.contains(['{', '}']), "a placeholder was left: {page}");
        assert!(page.contains(DEVICE) && page.contains("0198f0a2"), "{page}");
    }
    assert!(english.starts_with("Evidence package check\nVALID"));
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["valid"], true);
    assert_eq!(json["checks"][0]["id"], "container");
    assert_eq!(json["statement"]["seq"], 123);
}

fn same_package(a: &Verdict, b: &Verdict) -> bool {
    a.signer == b.signer && a.statement == b.statement && a.receipt == b.receipt
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A flipped bit is found, or the files that come out are byte for byte the same: then it
    /// hit zip housekeeping (a date, a version) that carries nothing.
    #[test]
    fn one_flipped_bit_is_found_or_changes_nothing(place in 0..KIT.zip.len(), bit in 0_u32..8) {
        let mut zip = KIT.zip.clone();
        zip[place] ^= 1_u8 << bit;
        let verdict = verify_zip(&zip, &KIT.roots);
        if verdict.valid() {
            let read = Container::from_zip(&zip, Limits::PACKAGE).unwrap();
            prop_assert!(read == KIT.package, "byte {place} bit {bit}");
            prop_assert!(same_package(&verdict, &verify(&KIT.package, &KIT.roots)));
        }
    }

    #[test]
    fn a_flipped_bit_in_the_signature_is_always_found(place in 0..KIT.sealed.signature.len(), bit in 0_u32..8) {
        let mut p7s = KIT.sealed.signature.clone();
        p7s[place] ^= 1_u8 << bit;
        prop_assert!(check_detached(&p7s, &KIT.sealed.manifest, &KIT.roots, Usage::Evidence).is_err());
    }

    #[test]
    fn cut_or_garbled_packages_do_not_panic(cut in 0..KIT.zip.len(), garbage in proptest::collection::vec((0..KIT.zip.len(), any::<u8>()), 0..20)) {
        let mut zip = KIT.zip.clone();
        for (place, byte) in garbage {
            zip[place] = byte;
        }
        let verdict = verify_zip(&zip, &KIT.roots);
        let _pages = (verdict.page(Language::Chinese), verdict.page(Language::English));
        prop_assert!(!verify_zip(&zip[..cut], &KIT.roots).valid());
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(!verify_zip(&bytes, &KIT.roots).valid());
        prop_assert!(check_detached(&bytes, b"", &KIT.roots, Usage::Evidence).is_err());
        prop_assert!(Manifest::parse(&bytes).is_err());
        prop_assert!(Statement::parse(&bytes).is_err());
    }

    #[test]
    fn garbled_statements_do_not_panic(place in 0..KIT.sealed.statement.len(), byte in any::<u8>()) {
        let mut bytes = KIT.sealed.statement.clone();
        bytes[place] = byte;
        let mut package = with(STATEMENT, Some(&bytes));
        package = Container::from_zip(&package.to_zip(), Limits::PACKAGE).unwrap();
        let verdict = verify(&package, &KIT.roots);
        prop_assert_eq!(verdict.valid(), bytes == KIT.sealed.statement);
        let _page = verdict.page(Language::Chinese);
    }
}
