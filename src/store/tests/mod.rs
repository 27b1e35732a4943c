//! Tests of the whole store. Packages here carry a real manifest and a made-up signature: the
//! store never looks into one. `tests/integration/crash.rs` seals with real keys.

mod additions;
mod at_work;
mod checkpoints;
mod disk_away;
mod faults;
mod life;
mod mirror;
mod model;
mod outside;
mod prune;
mod refusal;
mod ruin;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::clock;
use crate::journal;
use crate::witness::{self, Manifest, ManifestEntry, Sealed, SigReference, sha256_hex};

pub(super) const DEVICE: &str = "LM-TEST-1";

/// Late enough for everything deferred within a test.
pub(crate) const NOW: Stamp = Stamp {
    utc_ns: 1_785_549_784_567_000_000,
    boot_ns: 1_000_000,
    error_ns: 0,
};

/// The oldest package, whatever its severity.
pub(super) const OLDEST: Wish = Wish {
    open: 3,
    within: None,
    before: None,
    oldest: true,
};

/// A folder in memory where there is one: these tests sync thousands of times, and a process
/// cannot see whether a sync reached the platter.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

pub(super) fn config(dir: &Path) -> config::Store {
    config::Store {
        dir: dir.to_owned(),
        keep_free_mib: 0,
        ballast_mib: 0,
        ..config::Store::default()
    }
}

/// A store with its second copy in `medium`.
pub(super) fn mirrored(dir: &Path, medium: &Path) -> config::Store {
    config::Store {
        mirror: medium.to_owned(),
        ..config(dir)
    }
}

/// A medium for the second copies of [`DEVICE`].
pub(super) fn medium() -> tempfile::TempDir {
    let dir = folder();
    super::mirror::prepare(dir.path(), DEVICE).unwrap();
    dir
}

/// So long after `NOW`, and after any receipt of a test, that every age is reached.
pub(super) fn later() -> Stamp {
    const YEAR_NS: i64 = 366 * 24 * 3600 * 1_000_000_000;
    clock::now().shifted_ns(YEAR_NS)
}

/// A receipt that speaks of so many copies.
pub(super) fn receipt_of(store: &Store, id: CaseId, copies: u32) {
    let facts = ReceiptFacts {
        copies,
        ..facts(&sig(store, id))
    };
    store.receipted(id, b"signed receipt", &facts).unwrap();
}

/// The copies that a package's receipts speak of.
pub(super) fn copies(store: &Store, id: CaseId) -> Option<u32> {
    let sql = "SELECT copies FROM package WHERE id = ?1";
    let row = |row: &rusqlite::Row<'_>| row.get(0);
    store
        .inner()
        .conn
        .query_row(sql, [id.to_string()], row)
        .unwrap()
}

pub(super) fn reopen(dir: &Path) -> (Store, Recovery) {
    Store::open(&config(dir), DEVICE).unwrap()
}

pub(crate) fn open(dir: &Path) -> Store {
    reopen(dir).0
}

pub(crate) fn case(n: u8) -> CaseId {
    CaseId(uuid::Uuid::from_u128(
        0x0198_f0a2_0000_7000_8000_0000_0000_0000 + u128::from(n),
    ))
}

pub(super) fn draft(name: &str) -> Draft {
    let media_type = if name == "clip.mp4" {
        "video/mp4"
    } else {
        "image/jpeg"
    };
    Draft {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        at: Some(NOW),
        pts_ns: Some(7),
        bytes: name.as_bytes().repeat(50),
    }
}

pub(super) const NAMES: [&str; 3] = ["frames/01-found.jpg", "frames/02-again.jpg", "clip.mp4"];

pub(super) fn drafts() -> Vec<Draft> {
    NAMES.iter().map(|name| draft(name)).collect()
}

/// What the witness would make of a case.
pub(super) fn make(id: CaseId, context: &SealContext) -> Sealed {
    let statement = serde_json::json!({
        "v": 1, "id": id, "seq": context.seq, "journal": context.journal,
        "after": context.last_receipt, "files": context.files,
        "violation": {"kind": "street_vending", "first_seen": "2026-08-01T02:01:00.100Z"},
    });
    made_of(&statement, context)
}

/// The same with another statement.
pub(super) fn made_of(statement: &Value, context: &SealContext) -> Sealed {
    let statement = serde_json::to_vec(statement).unwrap();
    let mut entries = vec![ManifestEntry {
        name: witness::STATEMENT.to_owned(),
        media_type: "application/json".to_owned(),
        sha256: Sha256::digest(&statement).into(),
    }];
    for file in &context.files {
        entries.push(ManifestEntry {
            name: file.name.clone(),
            media_type: file.media_type.clone(),
            sha256: unhex(&file.sha256),
        });
    }
    let signature = SigReference::signature(1);
    let manifest = Manifest { signature, entries }.to_xml().unwrap();
    Sealed {
        signature: sha256_hex(&manifest).into_bytes(),
        statement,
        manifest,
    }
}

fn unhex(text: &str) -> [u8; 32] {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    let pairs = text.as_bytes().chunks_exact(2);
    let bytes: Vec<u8> = pairs.map(|p| digit(p[0]) << 4 | digit(p[1])).collect();
    bytes.try_into().unwrap()
}

pub(super) fn seal(store: &Store, id: CaseId) -> Result<(), StoreError> {
    store.seal(id, |context| Ok(make(id, &context)), Some("sealed"))
}

pub(crate) fn keep_and_seal(store: &Store, id: CaseId) {
    store.keep(id, &drafts(), None).unwrap();
    seal(store, id).unwrap();
}

pub(crate) fn sig(store: &Store, id: CaseId) -> String {
    let path = store.package_dir(id).join(witness::SIGNATURE);
    sha256_hex(&fs::read(path).unwrap())
}

pub(super) fn receipt(store: &Store, id: CaseId) -> Result<(), StoreError> {
    let sig = sig(store, id);
    store.receipted(id, b"signed receipt", &facts(&sig))
}

/// What a receipt for the package with this signature says.
pub(super) fn facts(sig_sha256: &str) -> ReceiptFacts {
    ReceiptFacts {
        sig_sha256: sig_sha256.to_owned(),
        server_time: "2026-08-01T03:00:00Z".to_owned(),
        copies: 2,
        head: None,
    }
}

/// Journal lines of one kind.
pub(super) fn said(dir: &Path, kind: &str) -> Vec<Value> {
    journal::tail(&dir.join("journal"), usize::MAX)
        .unwrap()
        .into_iter()
        .filter(|entry| entry.kind == kind)
        .map(|entry| entry.body)
        .collect()
}

/// What must hold of a store at rest, whatever happened to it: the journal's chain, one row
/// and one whole directory per package, numbers without gaps, every package in the journal,
/// nothing in `staging/` that no row knows.
pub(super) fn audit(store: &Store) -> BTreeMap<CaseId, State> {
    let dir = &store.shared.dir;
    journal::verify(&dir.join("journal")).unwrap();
    let inner = store.inner();
    assert!(inner.pending.is_none());
    let mut query = inner
        .conn
        .prepare("SELECT id, seq, state FROM package ORDER BY seq")
        .unwrap();
    let rows: Vec<(String, i64, State)> = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut told: Vec<String> = said(dir, lines::SEALED)
        .into_iter()
        .chain(said(dir, lines::ADOPTED))
        .map(|body| body["id"].as_str().unwrap().to_owned())
        .collect();
    told.sort();
    let mut names: Vec<String> = rows.iter().map(|row| row.0.clone()).collect();
    names.sort();
    assert_eq!(told, names, "each package once in the journal");
    assert_eq!(disk::list(&dir.join("packages")).unwrap(), names);
    let mut states = BTreeMap::new();
    for (expected, (name, seq, state)) in (1..).zip(rows) {
        assert_eq!(seq, expected);
        let id = case_id(&name).unwrap();
        let files = package::files(&inner.conn, id).unwrap();
        // At least one draft beside the four sealed parts, unless it was pruned.
        let pruned = state == State::Pruned || evict::is_evicted(&inner.conn, id).unwrap();
        assert_eq!(files.len() == 4, pruned, "{files:?}");
        compare::compare(&package_dir(dir, id), &files).unwrap();
        let there = disk::list(&package_dir(dir, id)).unwrap();
        let tops = files.iter().filter_map(|file| file.name.split('/').next());
        let tops: BTreeSet<&str> = tops.collect();
        assert!(there.iter().eq(tops), "{there:?} holds more than {files:?}");
        states.insert(id, state);
    }
    let mut staged = Vec::new();
    for id in draft::cases(&inner.conn).unwrap() {
        assert!(!states.contains_key(&id), "open and sealed at once");
        let folder = inner.staging(id);
        for file in draft::files(&inner.conn, id).unwrap() {
            let (size, sha256) = disk::digest(&folder.join(&file.name)).unwrap();
            assert_eq!((size, sha256), (file.size, file.sha256));
            staged.push(id.to_string());
        }
    }
    staged.dedup();
    assert_eq!(disk::list(&dir.join("staging")).unwrap(), staged);
    states
}
