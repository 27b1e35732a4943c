//! Keys, one good package, and seeds made of it: made once, kept in `fuzz/pki` and
//! `fuzz/corpus`, neither of them in the repository.

use std::path::{Path, PathBuf};

use lingmou::clock;
use lingmou::pki::TestPki;
use lingmou::types::Stamp;
use lingmou::witness::{
    CHAIN, Container, Form, Identity, MANIFEST, RECEIPT, Roots, SIGNATURE, STAMPED, STATEMENT,
    Statement, TIMESTAMP, seal, sha256_hex,
};

/// Device of the keys; the example's too.
const DEVICE: &str = "LC-POLE-0007";

/// What every target needs.
pub struct Kit {
    /// Trusts the keys below.
    pub roots: Roots,
    /// Signs as the device.
    pub device: Identity,
    /// Signs as the receiver.
    pub receiver: Identity,
    /// A valid package.
    pub package: Container,
}

impl Kit {
    /// Loads the keys, or makes them the first time.
    pub fn new() -> Self {
        let dir = house().join("pki");
        if !dir.join("ca/root.crt").exists() {
            std::fs::create_dir_all(&dir).expect("fuzz/pki can be made");
            TestPki::create(&dir, DEVICE).expect("keys can be made");
        }
        let load = |party: &str, name: &str| {
            Identity::load(&dir.join(party), name).expect("the keys of an earlier run")
        };
        let device = load("device", "evidence");
        let at = clock::now();
        Self {
            roots: Roots::load(&dir.join("ca/root.crt")).expect("the root of an earlier run"),
            receiver: load("receiver", "receiver"),
            package: package(&device, at),
            device,
        }
    }

    /// A CMS signature of the device.
    pub fn signed(&self, content: &[u8], form: Form) -> Vec<u8> {
        self.device
            .sign(content, form, clock::now())
            .expect("a key in a file signs")
    }
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

/// The example of docs/EVIDENCE.md with files of a few bytes, sealed.
fn package(device: &Identity, at: Stamp) -> Container {
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
    let sealed = seal(&statement, device, at).expect("it can be sealed");
    let mut package = Container::new();
    for (name, bytes) in sealed.parts() {
        package.insert(name, bytes.to_vec()).expect("a legal name");
    }
    for (name, _, bytes) in files {
        package.insert(name, bytes.to_vec()).expect("a legal name");
    }
    package
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
