//! A desk and its office without a broker: what is signed, when, and what becomes of it.

mod answers;
mod devices;
mod second_copies;
mod signing;
mod steps;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use uuid::Uuid;

use super::desks::desk_of;
use super::*;
use crate::clock;
use crate::disk;
use crate::link::message::Finished;
use crate::pki::TestPki;
use crate::types::{CaseId, Outcome, Stamp, Violation};
use crate::witness::{
    self, Container, FileEntry, Identity, LATER_RECEIPT, RECEIPT, Receipt, ReceiptVerdict, Roots,
    Statement, ViolationFacts,
};

const DEVICE: &str = "LM-1";

/// A package without pictures, sealed with the device's key.
pub(super) fn sealed(pki: &TestPki, seq: u64) -> Container {
    sealed_at(pki, (seq, clock::now()), |_| {})
}

/// A package with pictures.
pub(super) fn with_pictures(pki: &TestPki, seq: u64, pictures: &[&[u8]]) -> Container {
    let name = |n: usize| format!("frames/{n:02}.jpg");
    let entry = |(n, bytes): (usize, &&[u8])| FileEntry {
        name: name(n),
        media_type: "image/jpeg".to_owned(),
        size: bytes.len() as u64,
        sha256: witness::sha256_hex(bytes),
        at: None,
        pts_ns: None,
        capture_source: None,
        of: None,
        quality: None,
    };
    let mut package = sealed_at(pki, (seq, clock::now()), |statement| {
        statement.files = pictures.iter().enumerate().map(entry).collect();
    });
    for (n, bytes) in pictures.iter().enumerate() {
        package.insert(&name(n), bytes.to_vec()).unwrap();
    }
    package
}

fn sealed_at(
    pki: &TestPki,
    (seq, at): (u64, Stamp),
    state: impl FnOnce(&mut Statement),
) -> Container {
    let violation = ViolationFacts::bare(Violation::StreetVending, Outcome::Persisted, at);
    let id = CaseId(Uuid::from_u128(
        0x0198_f0a2_0000_7000_8000_0000_0000_0000 + u128::from(seq),
    ));
    let mut statement = Statement::bare(DEVICE, id, violation, at);
    statement.seq = seq;
    state(&mut statement);
    let identity = Identity::load(&pki.device, "evidence").unwrap();
    let sealed = witness::seal(&statement, &identity, at).unwrap();
    let mut package = Container::new();
    for (name, bytes) in sealed.parts() {
        package.insert(name, bytes.to_vec()).unwrap();
    }
    package
}

/// A receiver's folder and keys.
struct Bench {
    dir: TempDir,
    pki: TestPki,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
        Self { dir, pki }
    }

    fn config(&self) -> config::Receive {
        config::Receive {
            name: "receiver-1".to_owned(),
            host: "127.0.0.1".to_owned(),
            keys: self.pki.receiver.clone(),
            dir: self.dir.path().join("received"),
            ..config::Receive::default()
        }
    }

    /// The same with a second medium that is in place, and where that is.
    fn with_medium(&self) -> (config::Receive, PathBuf) {
        let medium = self.dir.path().join("medium");
        fs::create_dir(&medium).unwrap();
        let marker = medium.join("lingmou-copies.json");
        disk::write_new(&marker, b"{\"v\":1,\"type\":\"lingmou.copies\"}").unwrap();
        let copy_to = Some(medium.clone());
        let config = config::Receive {
            copy_to,
            ..self.config()
        };
        (config, medium)
    }

    /// The desk of the device, in the office.
    fn open(config: &config::Receive) -> Result<(Arc<Office>, Desk), ReceiveError> {
        let figures = Arc::new(Figures::new(&config.dir));
        let (office, mut desks) = Desk::open_all(config, figures)?;
        Ok((office, desks.swap_remove(desk_of(DEVICE))))
    }

    fn place(&self, id: CaseId) -> PathBuf {
        layout::place(&self.config().dir, DEVICE, id)
    }

    fn roots(&self) -> Roots {
        Roots::load(&self.pki.root()).unwrap()
    }
}

/// Now, by a clock that is synchronised.
fn now() -> Stamp {
    Stamp {
        error_ns: 1_000_000,
        ..clock::now()
    }
}

fn id_of(package: &Container) -> CaseId {
    Statement::parse(package.get(witness::STATEMENT).unwrap())
        .unwrap()
        .id
}

fn hear(desk: &mut Desk, subject: Subject, payload: &[u8], at: Stamp) -> Said {
    desk.hear(&Topic::new(DEVICE, subject), (payload, None), at)
        .unwrap()
}

fn announce(desk: &mut Desk, package: &Container, at: Stamp) -> Said {
    hear(desk, Subject::Head, &package.head().to_zip(), at)
}

/// The receipt that is answered, as the box believes it.
fn receipt(said: Said, roots: &Roots) -> Receipt {
    let (topic, p7m) = said.answer.expect("an answer");
    assert_eq!(topic, "ev1/LM-1/d/receipt");
    Receipt::open(&p7m, roots).unwrap().0
}

fn why(event: Option<Event>) -> String {
    match event {
        Some(Event::Trouble { why }) => why,
        other => panic!("{other:?}"),
    }
}

/// Offers a package as a box does, once; the answer, when it came to one.
fn offer(
    desk: &mut Desk,
    package: &Container,
    pictures: &[&[u8]],
) -> Result<Option<(String, Vec<u8>)>, ReceiveError> {
    let sink = || "receiver-1".to_owned();
    let mut say = |subject, payload: &[u8]| {
        let said = desk.hear(&Topic::new(DEVICE, subject), (payload, None), now());
        said.map(|said| said.answer)
    };
    let answer = say(Subject::Head, &package.head().to_zip())?;
    if answer.is_some_and(|(topic, _)| topic.ends_with("receipt")) {
        return say(Subject::Head, &package.head().to_zip());
    }
    for picture in pictures {
        let sha256 = witness::sha256_hex(picture);
        let (sink, offset) = (sink(), 0);
        let chunk = Subject::Chunk {
            sink,
            sha256,
            offset,
        };
        say(chunk, picture)?;
    }
    let id = id_of(package).to_string();
    let finished = serde_json::to_vec(&Finished { id }).unwrap();
    say(Subject::Finished { sink: sink() }, &finished)
}

fn is_receipt(answer: Option<(String, Vec<u8>)>, roots: &Roots) -> bool {
    let receipt = answer.filter(|(topic, _)| topic.ends_with("receipt"));
    receipt.is_some_and(|(_, p7m)| {
        let receipt = Receipt::open(&p7m, roots).unwrap().0;
        receipt.verdict == ReceiptVerdict::Stored
    })
}

/// What is here of the package, and of its second copy.
fn both(config: &config::Receive, medium: &Path, id: CaseId) -> [PathBuf; 2] {
    [&config.dir, medium].map(|dir| layout::place(dir, DEVICE, id))
}
