//! The journal after anything may have happened to its files.

#![no_main]

#[path = "common/mod.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod common;

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lingmou::clock;
use lingmou::journal::{self, Journal, file_name};

use common::{scratch, seed};

/// A second segment begins behind this line of the input.
const NEXT: &[u8] = b"\n---\n";

fn seeds() {
    let dir = scratch();
    let mut journal = Journal::open(dir.path(), 0).expect("a new journal");
    for i in 0..3 {
        let body = serde_json::json!({ "i": i, "why": "因为" });
        journal.append(clock::now(), "boot", body).expect("a line");
    }
    let lines = fs::read(dir.path().join(file_name(1))).expect("its file");
    seed("journal", "three", &lines);
    seed("journal", "torn", &lines[..lines.len() - 9]);
    let first = lines.iter().position(|b| *b == b'\n').expect("a line") + 1;
    seed("journal", "gap", &lines[first..]);
    seed(
        "journal",
        "two-segments",
        &[&lines[..first - 1], NEXT, &lines[first..]].concat(),
    );
}

fn put(dir: &Path, data: &[u8]) {
    let at = data.windows(NEXT.len()).position(|w| w == NEXT);
    let (one, two) = at.map_or((data, None), |at| {
        (&data[..=at], Some(&data[at + NEXT.len()..]))
    });
    fs::write(dir.join(file_name(1)), one).expect("a file in memory");
    if let Some(two) = two {
        fs::write(dir.join(file_name(2)), two).expect("a file in memory");
    }
}

fuzz_target!(init: seeds(), |data: &[u8]| {
    let dir = scratch();
    put(dir.path(), data);
    let before = journal::verify(dir.path());
    let lines = journal::tail(dir.path(), usize::MAX).expect("it can be read");
    let mut open = Journal::open(dir.path(), 0).expect("what is in it never keeps it from opening");
    assert!(before.is_err() || open.repairs() == 0, "a whole journal needs no repair");
    open.append(clock::now(), "boot", serde_json::json!({})).expect("a line can be added");
    let (head, repairs) = (open.head(), open.repairs());
    drop(open);
    // Nothing readable was lost, and what was mended stays mended.
    let after = journal::tail(dir.path(), usize::MAX).expect("it can be read");
    assert_eq!(after.get(..lines.len()), Some(lines.as_slice()));
    assert_eq!(after.len() as u64, lines.len() as u64 + repairs + 1);
    let again = Journal::open(dir.path(), 0).expect("it opens again");
    assert_eq!((again.head(), again.repairs()), (head, 0));
});
