//! The chain of the journal over torn lines, failing disks and foreign hands.

use std::io::Write as _;

use rustix::io::Errno;

use super::segment::UNREADABLE;
use super::*;
use crate::disk::fault;

const AT: Stamp = Stamp {
    utc_ns: 1_785_549_784_567_000_000,
    boot_ns: 1,
    error_ns: 0,
};

fn filled(lines: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), 0).unwrap();
    for i in 0..lines {
        journal.append(AT, "test", json!({ "i": i })).unwrap();
    }
    dir
}

fn text(dir: &Path) -> String {
    String::from_utf8(disk::read(&dir.join(file_name(1))).unwrap()).unwrap()
}

fn overwrite(dir: &Path, segment: u32, text: &[u8]) {
    let path = dir.join(file_name(segment));
    disk::remove_file(&path).unwrap();
    disk::write_new(&path, text).unwrap();
}

#[test]
fn lines_chain_and_survive_reopening() {
    let dir = filled(3);
    let mut journal = Journal::open(dir.path(), 0).unwrap();
    assert_eq!(journal.head().n, 3);
    let head = journal.append(AT, "more", json!({})).unwrap();
    assert_eq!(verify(dir.path()).unwrap(), head);
    let text = text(dir.path());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(head.sha256, sha256_hex(lines[3].as_bytes()));
    let last = tail(dir.path(), 2).unwrap();
    assert_eq!(last.iter().map(|e| e.head.n).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(journal.place(), Some(&last[1].place));
}

#[test]
fn a_torn_end_is_set_aside_and_named() {
    let whole = text(filled(3).path());
    let third = whole.lines().nth(2).unwrap().len();
    let start = whole.len() - third - 1;
    for torn in [1, 7, third / 2, third] {
        let dir = filled(3);
        let (kept, _) = whole.split_at(start + torn);
        overwrite(dir.path(), 1, kept.as_bytes());
        let error = verify(dir.path()).unwrap_err().to_string();
        assert!(error.contains("00000001.jsonl line 3 (n = 3)"), "{error}");

        let journal = Journal::open(dir.path(), 0).unwrap();
        assert_eq!((journal.repairs(), journal.head().n), (1, 3));
        assert_eq!(verify(dir.path()).unwrap(), journal.head());
        let line = tail(dir.path(), 1).unwrap().remove(0);
        assert_eq!(line.kind, "journal.repaired");
        let copy = dir.path().join(line.body["kept"].as_str().unwrap());
        assert_eq!(disk::read(&copy).unwrap(), kept.as_bytes()[start..]);
        assert_eq!(
            Journal::open(dir.path(), 0).unwrap().repairs(),
            0,
            "said once"
        );
    }
}

#[test]
fn zeros_left_by_a_power_cut_are_a_torn_end() {
    let dir = filled(2);
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(dir.path().join(file_name(1)))
        .unwrap();
    file.write_all(&[0; 3000]).unwrap();
    file.write_all(b"\"tail\"}\n").unwrap();
    let journal = Journal::open(dir.path(), 0).unwrap();
    assert_eq!((journal.repairs(), journal.head().n), (1, 3));
    verify(dir.path()).unwrap();
}

#[test]
fn every_kind_of_tampering_is_named() {
    let whole = text(filled(5).path());
    let lines: Vec<_> = whole.split_inclusive('\n').collect();
    let changed = whole.replace("\"i\":2", "\"i\":9");
    let removed = [lines[0], lines[1], lines[3], lines[4]].concat();
    let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4]].concat();
    let junk = [lines[0], "nonsense\n", lines[2], lines[3], lines[4]].concat();
    let first_gone = lines[1..].concat();
    for (bad, line) in [
        (changed, 4),
        (removed, 3),
        (swapped, 2),
        (junk, 2),
        (first_gone, 1),
    ] {
        let dir = filled(0);
        overwrite(dir.path(), 1, bad.as_bytes());
        let Err(JournalError::Broken(broken)) = verify(dir.path()) else {
            panic!("accepted: {bad}");
        };
        assert_eq!(
            (broken.segment.as_str(), broken.line),
            ("00000001.jsonl", line)
        );
        let mut journal = Journal::open(dir.path(), 0).unwrap();
        assert_eq!(journal.broken(), Some(&broken), "opens all the same");
        journal.append(AT, "test", json!({})).unwrap();
        assert_eq!(journal.head().n, 6);
    }
}

#[test]
fn segments_end_before_four_mebibytes_and_chain_on() {
    let dir = filled(0);
    let mut journal = Journal::open(dir.path(), 0).unwrap();
    let filler = "x".repeat(60_000);
    for _ in 0..150 {
        journal
            .append(AT, "test", json!({ "filler": filler }))
            .unwrap();
    }
    let head = journal.head();
    drop(journal);
    let numbers = segment::segments(dir.path()).unwrap();
    assert_eq!(numbers, [1, 2, 3]);
    for n in &numbers {
        let len = disk::read(&dir.path().join(file_name(*n))).unwrap().len() as u64;
        assert!(len <= SEGMENT_MAX, "{len}");
    }
    assert_eq!(verify(dir.path()).unwrap(), head);

    disk::remove_file(&dir.path().join(file_name(2))).unwrap();
    let error = verify(dir.path()).unwrap_err().to_string();
    assert!(error.contains("00000003.jsonl line 1"), "{error}");
}

/// A bad sector under one old segment: the box must start, warn, and keep what comes.
#[test]
fn a_segment_that_cannot_be_read_is_named_and_passed_over() {
    let dir = filled(0);
    let mut journal = Journal::open(dir.path(), 0).unwrap();
    let filler = "x".repeat(60_000);
    for _ in 0..150 {
        journal
            .append(AT, "test", json!({ "filler": filler }))
            .unwrap();
    }
    drop(journal);
    let unread = dir.path().join(file_name(2));
    disk::remove_file(&unread).unwrap();
    std::fs::create_dir(&unread).unwrap();
    let mut journal = Journal::open(dir.path(), 0).unwrap();
    let broken = journal.broken().unwrap();
    assert_eq!(broken.segment, file_name(2));
    assert!(broken.to_string().contains("cannot be read"), "{broken}");
    assert_eq!(journal.head().n, 150);
    journal.append(AT, "test", json!({})).unwrap();
    assert_eq!(tail(dir.path(), 1).unwrap()[0].head.n, 151);
}

/// A bad sector under the segment that was being written: nobody can count its lines.
#[test]
fn a_last_segment_that_is_lost_is_left_behind_and_no_known_number_given_twice() {
    let table = [(0, 4), (2, 4), (9, 10)].into_iter();
    let begun = |row| [None, Some(""), Some("{\"n\":")].map(|begun| (row, begun));
    for ((known, next), begun) in table.flat_map(begun) {
        let dir = filled(3);
        std::fs::create_dir(dir.path().join(file_name(2))).unwrap();
        // What an open before may have left whose first line failed.
        if let Some(begun) = begun {
            disk::write_new(&dir.path().join(file_name(3)), begun.as_bytes()).unwrap();
        }
        let mut journal = Journal::open(dir.path(), known).unwrap();
        let next = next + journal.repairs();
        assert_eq!(journal.broken().unwrap().segment, file_name(2));
        assert_eq!(journal.durable().0, 3);
        assert_eq!(journal.append(AT, "test", json!({})).unwrap().n, next);
        drop(journal);
        let journal = Journal::open(dir.path(), known).unwrap();
        assert_eq!((journal.head().n, journal.durable().0), (next, 3));
        let error = verify(dir.path()).unwrap_err();
        assert!(error.to_string().contains(UNREADABLE), "{error}");
    }
}

#[test]
fn a_failed_append_leaves_no_trace_wherever_it_fails() {
    for mode in [
        fault::Mode::Once(Errno::NOSPC),
        fault::Mode::Forever(Errno::IO),
    ] {
        for n in 0.. {
            let dir = filled(2);
            let mut journal = Journal::open(dir.path(), 0).unwrap();
            fault::plan(n, mode);
            let result = journal.append(AT, "test", json!({"i": "failed"}));
            if fault::clear() {
                result.unwrap();
                assert!(n >= 2, "write and sync were both struck");
                break;
            }
            result.unwrap_err();
            assert_eq!(journal.head().n, 2);
            let head = journal.append(AT, "test", json!({"i": "next"})).unwrap();
            assert_eq!((head.n, verify(dir.path()).unwrap()), (3, head));
            assert!(!text(dir.path()).contains("failed"));
        }
    }
}

#[test]
fn opening_survives_a_failure_at_any_step() {
    for n in 0.. {
        let dir = filled(2);
        let whole = text(dir.path());
        overwrite(dir.path(), 1, &whole.as_bytes()[..whole.len() - 5]);
        fault::plan(n, fault::Mode::Forever(Errno::IO));
        let opened = Journal::open(dir.path(), 0).map(|_| ());
        let done = fault::clear();
        let journal = Journal::open(dir.path(), 0).unwrap();
        let lines = tail(dir.path(), 9).unwrap();
        let (kept, repairs) = lines.split_at(1);
        assert_eq!(kept[0].body["i"], 0);
        // Two when the line that names the first torn end was torn itself.
        assert!((1..=2).contains(&repairs.len()), "{n}: {repairs:?}");
        assert!(
            repairs
                .iter()
                .all(|line| line.kind == kind::JOURNAL_REPAIRED)
        );
        assert_eq!(journal.head(), lines.last().unwrap().head);
        verify(dir.path()).unwrap();
        if done {
            opened.unwrap();
            break;
        }
        opened.unwrap_err();
    }
}

#[test]
fn a_line_too_long_changes_nothing() {
    let dir = filled(1);
    let mut journal = Journal::open(dir.path(), 0).unwrap();
    let error = journal.append(AT, "test", json!({"x": "x".repeat(70_000)}));
    assert!(matches!(error, Err(JournalError::TooLong { .. })));
    assert_eq!(verify(dir.path()).unwrap().n, 1);
}

#[test]
fn lines_are_read_in_one_go_also_across_segments() {
    let dir = filled(0);
    let mut journal = Journal::open(dir.path(), 0).unwrap();
    let long = json!({ "x": "y".repeat(60_000) });
    let mut places = Vec::new();
    while journal.durable().0 < 3 {
        journal.append(AT, "long", long.clone()).unwrap();
        places.push(journal.place().unwrap().clone());
    }
    let last = places.last().unwrap();
    let whole: Vec<u8> = (1..=3)
        .flat_map(|segment| disk::read(&dir.path().join(file_name(segment))).unwrap())
        .collect();
    let len = whole.len() as u64;
    let first = &places[0];
    let read = |from, to, most| read_lines(dir.path(), (from, to), most).unwrap();
    assert_eq!(read(first, last, len).as_ref(), Some(&whole));
    assert_eq!(read(first, last, len - 1), None, "more than that");
    let one = read(&places[1], &places[1], len).unwrap();
    assert_eq!(
        one.strip_suffix(b"\n"),
        Some(read_line(dir.path(), &places[1]).unwrap().as_slice())
    );
    assert_eq!(read(last, first, len), None, "backwards");
    let beyond = Place {
        len: last.len + 1,
        ..last.clone()
    };
    assert_eq!(
        read(first, &beyond, len + 1),
        None,
        "the journal ends before"
    );
    let missing = Place {
        segment: 4,
        ..last.clone()
    };
    read_lines(dir.path(), (last, &missing), len).unwrap_err();
}
