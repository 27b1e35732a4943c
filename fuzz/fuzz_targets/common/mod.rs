//! Keys, one good package, and seeds made of it: made once (`openssl` makes the time-stamp), kept in `fuzz/pki` and
//! `fuzz/corpus`, neither of them in the repository.

use std::path::{Path, PathBuf};

use lingmou::clock;
use lingmou::pki::TestPki;
use lingmou::witness::{
    CHAIN, Container, Form, Identity, Limits, MANIFEST, Manifest, ManifestEntry, RECEIPT, Roots,
    SIGNATURE, STAMPED, STATEMENT, SigReference, StampQuery, Statement, TIMESTAMP, seal, sha256_hex,
};
use sha2::{Digest as _, Sha256};

/// Device of the keys; the example's too.
const DEVICE: &str = "LC-POLE-0007";

/// Of the query for its time-stamp.
pub const NONCE: u64 = 7;

/// What every target needs.
pub struct Kit {
    /// Trusts the keys below.
    pub roots: Roots,
    /// Signs as the device.
    pub device: Identity,
    /// Signs as the receiver.
    pub receiver: Identity,
    /// Signs commands of an administrator.
    pub admin: Identity,
    /// Signs as a reviewer.
    pub reviewer: Identity,
    /// A valid package with everything that may come later but a review.
    pub package: Container,
    /// The authority's answer to the query over its [`STAMPED`] with [`NONCE`].
    pub answer: Vec<u8>,
}

impl Kit {
    /// Loads keys and package, or makes them the first time: an input means the same in each run.
    pub fn new() -> Self {
        let dir = house().join("pki");
        let load = |party: &str, name: &str| {
            Identity::load(&dir.join(party), name).expect("the keys of an earlier run")
        };
        let kept = dir.join("package.asice");
        if !kept.exists() {
            let _none = std::fs::remove_dir_all(&dir);
            std::fs::create_dir_all(&dir).expect("fuzz/pki can be made");
            let pki = TestPki::create(&dir, DEVICE).expect("keys can be made");
            let device = load("device", "evidence");
            let (made, answer) = package(&pki, &device, &load("receiver", "receiver"));
            std::fs::write(dir.join("answer"), answer).expect("fuzz/pki can be written");
            std::fs::write(&kept, made.to_zip()).expect("fuzz/pki can be written");
        }
        let zip = std::fs::read(&kept).expect("the package of an earlier run");
        Self {
            roots: Roots::load(&dir.join("ca/root.crt")).expect("the root of an earlier run"),
            device: load("device", "evidence"),
            receiver: load("receiver", "receiver"),
            admin: load("admin-1", "operator"),
            reviewer: load("reviewer-1", "reviewer"),
            package: Container::from_zip(&zip, Limits::PACKAGE).expect("the package made here"),
            answer: std::fs::read(dir.join("answer")).expect("the answer of an earlier run"),
        }
    }
}

/// A CMS signature by `identity`, now.
pub fn signed(identity: &Identity, content: &[u8], form: Form) -> Vec<u8> {
    identity
        .sign(content, form, clock::now())
        .expect("a key in a file signs")
}

/// Puts a seed into the corpus of `target`.
pub fn seed(target: &str, name: &str, bytes: &[u8]) {
    let dir = house().join("corpus").join(target);
    std::fs::create_dir_all(&dir).expect("fuzz/corpus can be made");
    std::fs::write(dir.join(name), bytes).expect("fuzz/corpus can be written");
}

fn house() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The example of docs/EVIDENCE.md with files of a few bytes: sealed, receipted, with its journal
/// lines and a time-stamp that `openssl ts` made; and that authority's whole answer.
fn package(pki: &TestPki, device: &Identity, receiver: &Identity) -> (Container, Vec<u8>) {
    let files = [
        (
            "frames/01-found.jpg",
            "image/jpeg",
            &b"\xff\xd8\xff\xd9"[..],
        ),
        ("detections.jsonl", "application/jsonl", &b"{}\n"[..]),
    ];
    let page = include_str!("../../../docs/EVIDENCE.md");
    let example = page
        .split("```")
        .find_map(|block| block.strip_prefix("json"));
    let mut statement: serde_json::Value =
        serde_json::from_str(example.expect("an example")).expect("the example is JSON");
    statement["device"]["id"] = DEVICE.into();
    statement["files"] = files
        .iter()
        .map(|(name, kind, bytes)| {
            serde_json::json!({
                "name": name, "type": kind, "size": bytes.len(), "sha256": sha256_hex(bytes),
            })
        })
        .collect();
    let statement = Statement::parse(statement.to_string().as_bytes()).expect("a statement");
    let at = clock::now();
    let sealed = seal(&statement, device, at).expect("it can be sealed");
    let sig_sha256 = sealed.sig_sha256();
    let line = format!(
        "{{\"n\":{},\"at\":\"2026-08-01T02:03:05.000Z\",\"kind\":\"package.sealed\",\"prev\":\"{}\",\
         \"body\":{{\"sig_sha256\":\"{sig_sha256}\"}}}}",
        statement.journal.n, statement.journal.prev
    );
    let receipt = serde_json::json!({
        "v": 1, "type": "lingmou.receipt", "id": statement.id, "device": DEVICE,
        "seq": statement.seq, "sig_sha256": sig_sha256, "verdict": "stored", "copies": 1,
        "head": { "n": statement.journal.n, "hash": sha256_hex(line.as_bytes()) },
        "at": "2026-08-01T02:05:31Z", "receiver": "evidence-receiver-1",
    });
    let receipt = signed(receiver, receipt.to_string().as_bytes(), Form::Attached);
    let mut package = Container::new();
    let mut add = |name: &str, bytes: Vec<u8>| package.insert(name, bytes).expect("a legal name");
    for (name, bytes) in sealed.parts() {
        add(name, bytes.to_vec());
    }
    for (name, _, bytes) in files {
        add(name, bytes.to_vec());
    }
    add(RECEIPT, receipt);
    add(CHAIN, format!("{line}\n").into_bytes());
    let listed = [SIGNATURE, RECEIPT, CHAIN].map(|name| ManifestEntry {
        name: name.to_owned(),
        media_type: "application/octet-stream".to_owned(),
        sha256: Sha256::digest(package.get(name).expect("it was added")).into(),
    });
    let stamped = Manifest {
        signature: SigReference::time_stamp(1),
        entries: listed.to_vec(),
    };
    let stamped = stamped.to_xml().expect("a manifest");
    let answer = answer(pki, &stamped);
    let roots = Roots::load(&pki.root()).expect("the root");
    let (token, _) = StampQuery::new(&stamped, NONCE)
        .accept(&answer, &roots)
        .expect("openssl's answer is right");
    package.insert(TIMESTAMP, token).expect("a legal name");
    package.insert(STAMPED, stamped).expect("a legal name");
    (package, answer)
}

/// The answer of an authority, `openssl ts` with the keys of `pki`, to our query over `content`.
fn answer(pki: &TestPki, content: &[u8]) -> Vec<u8> {
    let dir = scratch();
    let query = StampQuery::new(content, NONCE).to_der();
    std::fs::write(dir.path().join("query"), query).expect("a file in memory");
    let run = std::process::Command::new("openssl")
        .args(["ts", "-reply", "-queryfile", "query", "-out", "answer", "-config"])
        .arg(pki.tsa.join("tsa.cnf"))
        .current_dir(dir.path())
        .output();
    assert!(run.is_ok_and(|done| done.status.success()), "openssl ts makes the stamp");
    std::fs::read(dir.path().join("answer")).expect("openssl's answer")
}

/// Names whose bytes decide how a package is read, each to be replaced by strangers' bytes.
pub const PARTS: [&str; 7] = [
    STATEMENT, MANIFEST, SIGNATURE, RECEIPT, CHAIN, STAMPED, TIMESTAMP,
];

/// The package with `name` replaced.
pub fn with(package: &Container, name: &str, bytes: &[u8]) -> Container {
    let mut changed = Container::new();
    for (other, content) in package.files().filter(|(other, _)| *other != name) {
        changed
            .insert(other, content.to_vec())
            .expect("names of a package");
    }
    changed.insert(name, bytes.to_vec()).expect("a legal name");
    changed
}

/// A folder in memory where there is one: what is tested here is reading, not the disk.
pub fn scratch() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let made = if shm.is_dir() {
        tempfile::tempdir_in(shm)
    } else {
        tempfile::tempdir()
    };
    made.expect("a scratch folder")
}
