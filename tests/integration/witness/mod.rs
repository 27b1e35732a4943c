//! Evidence packages against independent tools (openssl, unzip), and every way to tamper.

mod both;
#[cfg(feature = "c2pa")]
mod c2pa;
mod command;
mod container;
mod fuzz;
mod keys;
mod openssl;
mod report;
mod review;
mod revoked;
mod sm2;
mod stamp;
mod tamper;
mod verdict;

pub(crate) use revoked::list_of;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lingmou::pki::{TestPki, TestPkiPlan};
use lingmou::types::{CaseId, Outcome, Stamp, Violation};
use lingmou::witness::{
    CHAIN, Container, FileEntry, Identity, JournalCopy, Manifest, ManifestEntry, Opinion, RECEIPT,
    Receipt, ReceiptVerdict, ReviewVerdict, Roots, SIGNATURE, Sealed, SigReference, Statement,
    ViolationFacts, Warning, review, seal, sha256_hex,
};
use tempfile::TempDir;

const DEVICE: &str = "LC-POLE-0007";
const DAY_SECS: u64 = 24 * 3600;
/// 2026-08-01T02:03:04Z, Unix seconds.
const AT_SECS: u64 = 1_785_549_784;
/// The same moment, known within 1.8 ms.
const AT: Stamp = Stamp {
    utc_ns: 1_785_549_784_000_000_000,
    boot_ns: 4_638_259_070_061,
    error_ns: 1_800_000,
};

/// A PKI and one sealed, receipted package.
struct Kit {
    pki: TestPki,
    /// The file of `roots`.
    root: PathBuf,
    roots: Roots,
    evidence: Identity,
    receiver: Identity,
    sealed: Sealed,
    package: Container,
    zip: Vec<u8>,
    dir: TempDir,
}

impl Kit {
    /// Its certificates are valid from 2001 to 2081, so that openssl's own clock fits them too.
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let plan = TestPkiPlan {
            not_before: AT_SECS - 9_000 * DAY_SECS,
            not_after: AT_SECS + 20_000 * DAY_SECS,
        };
        let pki = TestPki::create_planned(dir.path(), DEVICE, plan).unwrap();
        let evidence = Identity::load(&pki.device, "evidence").unwrap();
        let receiver = Identity::load(&pki.receiver, "receiver").unwrap();
        let sealed = seal(&statement(DEVICE), &evidence, AT).unwrap();
        let mut package = assemble(&sealed);
        let p7m = receipt(&sealed).sign(&receiver, AT).unwrap();
        package.insert(RECEIPT, p7m).unwrap();
        Self {
            roots: Roots::load(&pki.root()).unwrap(),
            root: pki.root(),
            zip: package.to_zip(),
            pki,
            evidence,
            receiver,
            sealed,
            package,
            dir,
        }
    }

    /// The package with one file replaced, or removed when `bytes` is `None`.
    fn with(&self, name: &str, bytes: Option<&[u8]>) -> Container {
        both::with(&self.package, name, bytes)
    }

    /// The package with everything that may come later: a receipt with the journal's head, the
    /// journal to there, a time-stamp by openssl, a first and a second review.
    fn full(&self) -> Container {
        let lines = journal_lines(&self.sealed.sig_sha256());
        let mut receipt = receipt(&self.sealed);
        receipt.head = Some(JournalCopy {
            n: 4,
            hash: sha256_hex(lines.lines().last().unwrap().as_bytes()),
        });
        let p7m = receipt.sign(&self.receiver, AT).unwrap();
        let mut package = self.with(RECEIPT, Some(&p7m));
        package.insert(CHAIN, lines.into_bytes()).unwrap();
        let manifest = Manifest {
            signature: SigReference::time_stamp(1),
            entries: [SIGNATURE, RECEIPT, CHAIN]
                .map(|name| covered(&package, name))
                .to_vec(),
        };
        let manifest = manifest.to_xml().unwrap();
        let token = self.stamp(&manifest);
        package.insert(MANIFEST_2, manifest).unwrap();
        package.insert(STAMP, token).unwrap();
        for reviewer in &self.pki.reviewers {
            add_review(&mut package, reviewer, ReviewVerdict::Accept);
        }
        package
    }

    /// A time-stamp token over `bytes` by the PKI's authority.
    fn stamp(&self, bytes: &[u8]) -> Vec<u8> {
        let dir = self.dir.path();
        put(dir, "stamped", bytes);
        succeed(
            dir,
            "openssl ts -query -data stamped -sha256 -cert -out query.tsq",
        );
        succeed(
            dir,
            "openssl ts -reply -config tsa/tsa.cnf -queryfile query.tsq -token_out -out token.tst",
        );
        std::fs::read(dir.join("token.tst")).unwrap()
    }

    /// What `docs/verify.sh` says of the package, and its exit code.
    fn script(&self, package: &Container) -> (Option<i32>, String) {
        let dir = TempDir::new().unwrap();
        put_all(dir.path(), package);
        verify_sh(dir.path(), &self.root)
    }

    /// An empty folder beside the keys.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    }
}

const MANIFEST_2: &str = "META-INF/ASiCManifest002.xml";
const STAMP: &str = "META-INF/timestamp001.tst";

/// Adds the review of the person whose keys lie in `reviewer`.
fn add_review(package: &mut Container, reviewer: &Path, verdict: ReviewVerdict) {
    let identity = Identity::load(reviewer, "reviewer").unwrap();
    let opinion = Opinion {
        verdict,
        reason: "the stall is outside, \"warned\" twice",
    };
    for (name, bytes) in review(package, opinion, &identity, AT).unwrap() {
        package.insert(&name, bytes).unwrap();
    }
}

/// All that `docs/verify.sh` needs beside bash: unzip, openssl, and these of coreutils.
const PROGRAMS: &str = "unzip openssl base64 cat cp csplit cut date head ln mkdir mktemp od realpath \
                        rm sha256sum sort tail tr wc";

/// Runs `docs/verify.sh`; gives its exit code and what it printed.
pub(crate) fn verify_sh(package: &Path, root: &Path) -> (Option<i32>, String) {
    let programs = TempDir::new().unwrap();
    said_by(&mut verifying(programs.path(), package, root))
}

/// `docs/verify.sh` on a machine that has nothing but [`PROGRAMS`], which are put into `programs`.
fn verifying(programs: &Path, package: &Path, root: &Path) -> Command {
    let path = std::env::var_os("PATH").unwrap();
    for program in PROGRAMS.split_whitespace() {
        let mut places = std::env::split_paths(&path).map(|dir| dir.join(program));
        let found = places
            .find(|file| file.is_file())
            .unwrap_or_else(|| panic!("{program} must be installed"));
        std::os::unix::fs::symlink(found, programs.join(program)).unwrap();
    }
    let mut bash = Command::new("/bin/bash");
    bash.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify.sh"));
    bash.args([package, root]).env("PATH", programs);
    bash
}

/// Runs a command; gives its exit code and what it printed.
fn said_by(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&printed).into_owned();
    (output.status.code(), text)
}

/// The device's journal from the line of [`statement`] on.
fn journal_lines(sig_sha256: &str) -> String {
    let sealed = format!(
        "{{\"n\":3,\"at\":\"2026-08-01T02:03:04.567Z\",\"kind\":\"package.sealed\",\
         \"prev\":\"{}\",\"body\":{{\"sig_sha256\":\"{sig_sha256}\",\"grade\":\"lead\",\
         \"against\":[\"clock\",\"same_subject\"]}}}}",
        "3b".repeat(32)
    );
    let next = format!(
        "{{\"n\":4,\"at\":\"2026-08-01T02:04:00.000Z\",\"kind\":\"rule.hit\",\"prev\":\"{}\",\
         \"body\":{{\"gates\":[{{\"gate\":\"dwell\",\"pass\":true,\"value\":\"3.2 s\"}}],\
         \"why\":null,\"zone\":\"路边 \\\"a\\\" \\\\ \\u0007 {{[\",\"off\":[-1.5e-7,[],{{}}]}}}}",
        sha256_hex(sealed.as_bytes())
    );
    format!("{sealed}\n{next}\n")
}

/// The entry of a manifest for a file of `package`.
fn covered(package: &Container, name: &str) -> ManifestEntry {
    let hex = sha256_hex(package.get(name).unwrap());
    let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap();
    ManifestEntry {
        name: name.to_owned(),
        media_type: "application/octet-stream".to_owned(),
        sha256: std::array::from_fn(|i| digit(2 * i)),
    }
}

/// Name, media type and content of what the camera and the detector gave.
fn files() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("frames/01-found.jpg", "image/jpeg", vec![0xd8; 300]),
        ("frames/01-found-marked.jpg", "image/jpeg", vec![0xd9; 301]),
        ("frames/02-warned.jpg", "image/jpeg", vec![0xda; 302]),
        ("clip.mp4", "video/mp4", (0..=255).collect()),
        ("detections.jsonl", "application/jsonl", b"{}\n".to_vec()),
    ]
}

fn case(number: u8) -> CaseId {
    serde_json::from_str(&format!(
        "\"0198f0a2-0000-7000-8000-0000000000{number:02x}\""
    ))
    .unwrap()
}

fn statement(device: &str) -> Statement {
    let violation = ViolationFacts {
        rule: "warn-then-recheck".to_owned(),
        first_seen: "2026-08-01T02:01:00.100Z".to_owned(),
        confirmed: "2026-08-01T02:03:03.567Z".to_owned(),
        dwell_s: Some(124),
        ..ViolationFacts::bare(Violation::StreetVending, Outcome::Persisted, AT)
    };
    let mut statement = Statement::bare(device, case(1), violation, AT);
    (statement.seq, statement.journal.n) = (123, 3);
    statement.journal.prev = "3b".repeat(32);
    statement.warning = vec![Warning {
        journal_n: Some(2),
        at: "2026-08-01T02:01:00.000Z".to_owned(),
        clip_sha256: "aa".repeat(32),
        identity_sha256: Some("bb".repeat(32)),
        played_ms: 4200,
        acknowledged_by_amp: None,
        failure: None,
        heard: None,
    }];
    statement.camera.rtsp = Some("rtsp://10.0.0.21/stream1".to_owned());
    statement.camera.codec = Some("h264".to_owned());
    statement.camera.clip = Some("remux".to_owned());
    statement.files = files().iter().map(entry).collect();
    statement
}

fn entry((name, media_type, bytes): &(&str, &str, Vec<u8>)) -> FileEntry {
    FileEntry {
        name: (*name).to_owned(),
        media_type: (*media_type).to_owned(),
        size: bytes.len() as u64,
        sha256: sha256_hex(bytes),
        at: Some("2026-08-01T02:02:00Z".to_owned()),
        pts_ns: None,
        capture_source: None,
        of: None,
        quality: None,
    }
}

/// The sealed parts with the files of [`files`], not yet receipted.
fn assemble(sealed: &Sealed) -> Container {
    assemble_with(sealed, files())
}

/// The sealed parts with these files.
fn assemble_with(sealed: &Sealed, files: Vec<(&'static str, &'static str, Vec<u8>)>) -> Container {
    let mut container = Container::new();
    for (name, bytes) in sealed.parts() {
        container.insert(name, bytes.to_vec()).unwrap();
    }
    for (name, _, bytes) in files {
        container.insert(name, bytes).unwrap();
    }
    container
}

fn receipt(sealed: &Sealed) -> Receipt {
    Receipt {
        v: Receipt::HEAD.0,
        kind: Receipt::HEAD.1.to_owned(),
        id: case(1),
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

/// The script of the public page behind `<!-- NAME by hand -->`.
fn script(name: &str) -> &'static str {
    let page = include_str!("../../../docs/EVIDENCE.md");
    let mark = format!("<!-- {name} by hand -->\n```sh\n");
    let (_, behind) = page.split_once(&mark).unwrap();
    behind.split_once("```").unwrap().0
}

/// Runs a command line (no quoting: words are split at spaces) in `dir`.
fn run(dir: &Path, line: &str) -> Output {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap();
    Command::new(program)
        .args(words)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|e| panic!("{program} must be installed (openssl, unzip, zip): {e}"))
}

/// Runs a command line that must succeed; gives what it printed.
fn succeed(dir: &Path, line: &str) -> String {
    let output = run(dir, line);
    let printed = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{line}: {text}");
    text
}

/// Writes a file, folders included.
fn put(dir: &Path, name: &str, bytes: &[u8]) {
    use std::io::Write as _;
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(bytes).unwrap();
}

/// Writes every file of a container below `dir`.
fn put_all(dir: &Path, container: &Container) {
    for (name, bytes) in container.files() {
        put(dir, name, bytes);
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes a PKCS#8 key file, mode 0600. `kind` is `RSA BITS` or `EC CURVE`.
fn make_key(dir: &Path, kind: &str, name: &str) {
    let option = match kind.split_once(' ') {
        Some(("RSA", bits)) => format!("RSA -pkeyopt rsa_keygen_bits:{bits}"),
        Some(("EC", curve)) => format!("EC -pkeyopt ec_paramgen_curve:{curve}"),
        _ => panic!("unknown kind of key {kind}"),
    };
    succeed(
        dir,
        &format!("openssl genpkey -algorithm {option} -out {name}"),
    );
    set_mode(&dir.join(name), 0o600);
}

/// Has `ca` answer `name.csr` with `name.crt`, all extensions as asked for.
fn issue(dir: &Path, ca: &str, name: &str) {
    succeed(
        dir,
        &format!(
            "openssl x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial \
             -copy_extensions copyall -days 3650 -out {name}.crt"
        ),
    );
}

/// `openssl cms -sign` over `content`, with `name.crt` and `name.key` of `dir`.
fn openssl_sign(dir: &Path, name: &str, content: &[u8], options: &str) -> Vec<u8> {
    put(dir, "content", content);
    succeed(
        dir,
        &format!(
            "openssl cms -sign -binary -outform DER -md sha256 -in content -out content.p7s \
             -signer {name}.crt -inkey {name}.key {options}"
        ),
    );
    std::fs::read(dir.join("content.p7s")).unwrap()
}
