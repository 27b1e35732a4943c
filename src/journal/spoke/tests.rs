//! Which lines make a yes, which can vouch for a no, and which leave it unknown.

use serde_json::json;

use super::*;
use crate::journal::{Head, Place};

/// A moment of the day asked for, as a clock in China shows it.
pub(crate) fn at(local: &str) -> Timestamp {
    format!("2026-11-26T{local}+08:00").parse().unwrap()
}

/// The account for `06:00` to `07:00` of these lines.
pub(crate) fn told(lines: &[(&str, &str, Value)]) -> Account {
    let mut account = Account::new(at("06:00"), at("07:00"));
    for (n, (local, kind, body)) in (1..).zip(lines) {
        account.take(&Entry {
            head: Head {
                n,
                sha256: String::new(),
            },
            at: at(local).to_string(),
            kind: (*kind).to_owned(),
            body: body.clone(),
            place: Place {
                segment: 1,
                offset: 0,
                len: 0,
            },
        });
    }
    account.end();
    account
}

pub(crate) fn synced(local: &str) -> (&str, &str, Value) {
    (local, kind::CLOCK, json!({ "synced": true }))
}

#[test]
fn what_was_begun_and_never_told_counts_as_sounded() {
    let begun = json!({ "zone": "kerb", "by": { "person": "officer" } });
    for after in [
        ("06:12", kind::BOOT, json!({})),
        ("06:12", kind::WARNING_BEGUN, begun.clone()),
    ] {
        let account = told(&[
            synced("05:00"),
            ("06:10", kind::WARNING_BEGUN, begun.clone()),
            after,
            (
                "06:13",
                kind::WARNING_FAILED,
                json!({ "at": at("06:12").to_string(), "by": "rule" }),
            ),
            ("08:00", kind::CHECKPOINT, json!({})),
        ]);
        let first = &account.events[0];
        assert_eq!((first.at, first.what), (at("06:10"), What::CutOff));
        assert!(account.sounded());
    }
}

#[test]
fn what_still_sounds_at_the_beginning_counts_and_what_is_over_does_not() {
    let said = |local: &str| json!({ "at": at(local).to_string(), "by": "rule", "played_ms": 7_000, "failure": null });
    for (began, counts) in [("05:59:58", true), ("05:59:50", false), ("07:00:00", false)] {
        let account = told(&[
            synced("05:00"),
            ("05:59:49", kind::WARNING_BEGUN, json!({ "by": "rule" })),
            ("06:00:05", kind::WARNING_PLAYED, said(began)),
        ]);
        assert_eq!(account.sounded(), counts, "{began}");
    }
}

/// Of a clip of 7 s the power may have cut off the last.
#[test]
fn what_the_power_cut_off_may_have_sounded_to_its_end() {
    let length = |ms: Value| json!({ "by": "rule", "length_ms": ms });
    for (began, length, boot, counts) in [
        ("05:59:58", length(json!(7_000)), "06:20", true),
        ("05:59:42", length(json!(7_000)), "06:20", false),
        // Older lines tell no length: it was over when the box began anew.
        ("05:59:42", length(Value::Null), "06:20", true),
        ("05:59:42", length(Value::Null), "05:59:50", false),
    ] {
        let account = told(&[
            synced("05:00"),
            (began, kind::WARNING_BEGUN, length),
            (boot, kind::BOOT, json!({})),
            synced("06:21"),
            ("08:00", kind::CHECKPOINT, json!({})),
        ]);
        let wanted = if counts { Played::Yes } else { Played::No };
        assert_eq!(account.played(), wanted, "{began}, {boot}: {account:?}");
    }
}

#[test]
fn a_no_is_known_as_far_as_the_box_has_signed() {
    let lines = [
        synced("05:00"),
        ("07:00", kind::CHECKPOINT, json!({})),
        ("08:00", kind::CHECKPOINT, json!({})),
    ];
    for (signed, known) in [(0, false), (1, false), (2, true), (3, true)] {
        let mut account = told(&lines);
        account.signed = Signed::UpTo(signed);
        assert_eq!(account.is_signed(), Some(known));
        let wanted = if known { Played::No } else { Played::NotKnown };
        assert_eq!(account.played(), wanted, "{signed}");
    }
}

/// Lines stand in true order; what each says of its time is only as good as its clock.
#[test]
fn a_clock_that_was_wrong_makes_no_false_no() {
    let line = |words: &'static str| {
        let (what, local) = words.split_once(' ').unwrap();
        let body = json!({ "at": at(local).to_string(), "by": "rule", "played_ms": 7_000 });
        match what {
            "good" => synced(local),
            "bad" => (local, kind::CLOCK, json!({ "synced": false })),
            "ahead" | "back" => {
                let us = 1_200_000_000_i64 * if what == "back" { -1 } else { 1 };
                let body = json!({ "change": "step", "synced": true, "step_us": us });
                (local, kind::CLOCK, body)
            }
            "boot" => (local, kind::BOOT, json!({})),
            "repaired" => (local, kind::JOURNAL_REPAIRED, json!({})),
            "said" => (local, kind::WARNING_PLAYED, body),
            _ => (local, kind::CHECKPOINT, json!({})),
        }
    };
    for (lines, answer) in [
        // Ahead by three hours: what it says of 09:10 was said at 06:15. And behind.
        (
            "good 05:00, boot 09:00, bad 09:00, said 09:10, good 06:25, then 08:00",
            Played::NotKnown,
        ),
        (
            "good 05:00, boot 01:00, bad 01:00, said 01:10, good 06:25, then 08:00",
            Played::NotKnown,
        ),
        // What opening the store told before is of the same clock.
        (
            "good 05:00, repaired 09:00, boot 09:00, bad 09:00, said 09:10, good 06:25, then 08:00",
            Played::NotKnown,
        ),
        ("good 05:00, repaired 08:00", Played::NotKnown),
        // Over before the time asked for, as the trusted lines round it prove.
        (
            "good 05:00, boot 09:00, bad 09:00, said 09:10, good 05:30, then 08:00",
            Played::No,
        ),
        // The last that a synchronised clock told is of 05:30, whatever came before it says.
        (
            "good 05:00, boot 09:00, bad 09:00, said 09:10, good 05:30",
            Played::NotKnown,
        ),
        (
            "good 05:00, boot 07:00, bad 07:30, then 08:00",
            Played::NotKnown,
        ),
        ("good 05:00, boot 08:00", Played::NotKnown),
        // Trusted and twenty minutes behind: what it says of 05:55 was said at 06:15. And ahead.
        (
            "good 05:00, said 05:55, ahead 06:30, then 08:00",
            Played::NotKnown,
        ),
        (
            "good 05:00, said 07:15, back 07:30, then 08:00",
            Played::NotKnown,
        ),
        (
            "good 05:00, said 05:20, ahead 06:30, then 08:00",
            Played::No,
        ),
        // That it was trusted does not say since when it was wrong.
        (
            "good 05:00, said 05:55, bad 05:56, good 05:57, ahead 06:30, then 08:00",
            Played::NotKnown,
        ),
        // It reaches no further than the right clock says.
        ("good 05:00, then 07:10, back 06:55", Played::NotKnown),
        ("good 05:00, boot 06:30, good 06:31, then 08:00", Played::No),
    ] {
        let lined: Vec<_> = lines.split(", ").map(line).collect();
        assert_eq!(told(&lined).played(), answer, "{lines}");
    }
}

#[test]
fn of_a_broken_journal_no_no_is_certain() {
    let mut account = told(&[synced("05:00"), ("08:00", kind::CHECKPOINT, json!({}))]);
    assert_eq!(account.played(), Played::No);
    account.broken = Some("00000001.jsonl line 2".to_owned());
    assert_eq!(account.played(), Played::NotKnown);
}
