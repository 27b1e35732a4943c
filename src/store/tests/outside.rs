//! Commands, verdicts and evictions: once, over every crash, and over a lost database.

use serde_json::json;
use uuid::Uuid;

use super::faults::each_step;
use super::*;
use crate::witness::{Fate, Rank};

const ADMIN: &str = "CN=admin-1,OU=admin";

pub(super) fn commanded(n: u128, seq: u64) -> Commanded {
    Commanded {
        id: Uuid::from_u128(n),
        sha256: sha256_hex(&n.to_be_bytes()),
        signer: ADMIN.to_owned(),
        certificate_sha256: sha256_hex(b"certificate"),
        role: Rank::Admin,
        seq,
        verb: "evict".to_owned(),
        args: json!({ "package": case(1) }),
    }
}

fn ended(outcome: Fate, why: Option<&str>) -> Ended {
    Ended {
        outcome,
        why: why.map(str::to_owned),
        result: Some(json!({ "bytes": 5 })),
    }
}

fn verdict(n: u8, reviewer: &str, rejected: bool, at_ms: i64) -> VerdictFacts {
    VerdictFacts {
        id: case(n),
        sig_sha256: String::new(),
        reviewer: reviewer.to_owned(),
        rejected,
        reason: "why".to_owned(),
        at_ms,
    }
}

fn lose_the_database(dir: &Path, store: Store) -> Store {
    drop(store);
    fs::remove_file(dir.join("q.db")).unwrap();
    open(dir)
}

#[test]
fn a_command_is_answered_once_and_its_reply_kept() {
    let dir = folder();
    let store = open(dir.path());
    let first = commanded(1, 10);
    assert_eq!(store.command(first.id, ADMIN).unwrap(), (None, None));
    store.command_received(NOW, &first, b"signed").unwrap();
    let known = |outcome| Known {
        sha256: first.sha256.clone(),
        outcome,
    };
    let under_way = (Some(known(None)), Some(10));
    assert_eq!(store.command(first.id, ADMIN).unwrap(), under_way);
    let open_ones = store.commands_open().unwrap();
    let under_way = UnderWay {
        id: first.id,
        signed: Some(b"signed".to_vec()),
        at: Some(clock::rfc3339_ms(NOW.utc_ns)),
    };
    assert_eq!(open_ones, [under_way]);
    assert!(store.replies_due(10).unwrap().is_empty());

    let end = ended(Fate::Done, None);
    store.command_done(NOW, first.id, &end).unwrap();
    store
        .command_done(NOW, first.id, &ended(Fate::Failed, Some("late")))
        .unwrap();
    assert_eq!(said(dir.path(), "command.done").len(), 1);
    assert_eq!(store.commands_open().unwrap(), []);
    assert_eq!(store.replies_due(10).unwrap(), [first.id]);
    let due = store.reply(first.id).unwrap().unwrap();
    assert_eq!((due.outcome, &due.result), (Fate::Done, &end.result));
    assert_eq!(due.reply, None);
    store.keep_reply(first.id, b"reply").unwrap();
    store.keep_reply(first.id, b"another").unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.replies_due(10).unwrap(), [first.id]);
    let due = store.reply(first.id).unwrap().unwrap();
    assert_eq!(due.reply.as_deref(), Some(&b"reply"[..]));
    store.reply_taken(first.id).unwrap();
    assert!(store.replies_due(10).unwrap().is_empty());
    let kept = store.reply(first.id).unwrap().unwrap();
    assert_eq!(kept.reply.as_deref(), Some(&b"reply"[..]));
}

#[test]
fn a_lost_database_forgets_no_command_and_repeats_none() {
    let dir = folder();
    let store = open(dir.path());
    store
        .command_received(NOW, &commanded(1, 10), b"signed")
        .unwrap();
    store
        .command_done(NOW, commanded(1, 10).id, &ended(Fate::Done, None))
        .unwrap();
    store
        .command_refused(NOW, &commanded(2, 99), (Fate::Refused, "no"))
        .unwrap();
    store
        .command_received(NOW, &commanded(3, 11), b"signed")
        .unwrap();
    let store = lose_the_database(dir.path(), store);
    let known = |n| store.command(commanded(n, 0).id, ADMIN).unwrap();
    let outcome = |n| known(n).0.unwrap().outcome;
    assert_eq!(outcome(1), Some(Fate::Done));
    assert_eq!(outcome(2), Some(Fate::Refused));
    assert_eq!(outcome(3), None, "cut short");
    let (_, seq) = known(1);
    assert_eq!(seq, Some(11), "what was refused does not count");
    let under_way = UnderWay {
        id: commanded(3, 0).id,
        signed: None,
        at: Some(clock::rfc3339_ms(NOW.utc_ns)),
    };
    assert_eq!(store.commands_open().unwrap(), [under_way]);
    let due = store.replies_due(10).unwrap();
    assert_eq!(due, [commanded(1, 0).id, commanded(2, 0).id]);
    let reply = |n| store.reply(commanded(n, 0).id).unwrap().unwrap();
    assert_eq!((reply(1).outcome, reply(1).why), (Fate::Done, None));
    let why = Some("no".to_owned());
    assert_eq!((reply(2).outcome, reply(2).why), (Fate::Refused, why));
}

#[test]
fn old_replies_go_and_numbers_stay() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=1005 {
        store
            .command_refused(NOW, &commanded(n, 7), (Fate::Unsupported, "never"))
            .unwrap();
    }
    store
        .command_received(NOW, &commanded(2000, 8), b"signed")
        .unwrap();
    let known = |n| store.command(commanded(n, 0).id, ADMIN).unwrap();
    assert_eq!(known(1), (None, Some(8)));
    assert!(known(1005).0.is_some());
}

#[test]
fn commanding_fails_at_any_step_without_harm() {
    let command = commanded(1, 10);
    let steps = each_step(
        |_| (),
        |store| {
            store.command_received(NOW, &commanded(1, 10), b"signed")?;
            store.command_done(NOW, commanded(1, 10).id, &ended(Fate::Done, None))?;
            store.keep_reply(commanded(1, 10).id, b"reply")
        },
        |store| {
            let (known, seq) = store.command(command.id, ADMIN).unwrap();
            assert_eq!(known.is_some(), seq.is_some(), "both or neither");
            let reply = store.reply(command.id).unwrap();
            reply.is_some_and(|due| due.reply.is_some())
        },
    );
    assert!(steps >= 5, "{steps}");
}

#[test]
fn an_evicted_package_keeps_its_proof_and_is_never_sent() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
    }
    receipt(&store, case(2)).unwrap();
    store.step(case(3), State::Sending).unwrap();
    let by = (Uuid::from_u128(9), ADMIN);
    let bytes: usize = drafts().iter().map(|d| d.bytes.len()).sum();
    assert_eq!(store.evict(NOW, case(1), by).unwrap(), bytes as u64);
    assert_eq!(store.evict(NOW, case(1), by).unwrap(), 0, "once");
    for n in [2, 3] {
        let refused = store.evict(NOW, case(n), by);
        assert!(
            matches!(refused, Err(StoreError::Step { .. })),
            "{refused:?}"
        );
    }
    let unknown = store.evict(NOW, case(9), by);
    assert!(
        matches!(unknown, Err(StoreError::Unknown(_))),
        "{unknown:?}"
    );
    let line = said(dir.path(), "package.evicted").remove(0);
    assert_eq!(
        (&line["by"], &line["bytes"]),
        (&json!(ADMIN), &json!(bytes))
    );

    is_evicted(&store);
    let store = lose_the_database(dir.path(), store);
    is_evicted(&store);
}

#[test]
fn what_is_evicted_makes_room() {
    const BYTES: usize = 8 << 20;
    let dir = folder();
    let store = open(dir.path());
    let clip = Draft {
        bytes: vec![7; BYTES],
        ..draft("clip.mp4")
    };
    store.keep(case(1), &[clip], None).unwrap();
    seal(&store, case(1)).unwrap();
    let full = store.room().unwrap().used;
    store
        .evict(NOW, case(1), (Uuid::from_u128(9), ADMIN))
        .unwrap();
    // The database may have grown a little meanwhile.
    assert!(store.room().unwrap().used + BYTES as u64 / 2 < full);
}

/// Of three packages the first is evicted, the second receipted, the third to be sent.
fn is_evicted(store: &Store) {
    let counts = store.counts().unwrap();
    assert_eq!((counts.evicted, counts.pending.packages), (1, 1));
    assert_eq!(audit(store)[&case(1)], State::Damaged);
    assert_eq!(store.check().unwrap(), []);
    let left = disk::list(&store.package_dir(case(1))).unwrap();
    assert_eq!(left, ["META-INF", "evidence.json", "mimetype"]);
    let due = store
        .next_of(NOW, &Wish::default())
        .unwrap()
        .map(|due| due.id);
    assert_ne!(due, Some(case(1)));
}

#[test]
fn evicting_fails_at_any_step_without_harm() {
    let steps = each_step(
        |store| keep_and_seal(store, case(1)),
        |store| {
            let by = (Uuid::from_u128(9), ADMIN);
            store.evict(NOW, case(1), by).map(|_| ())
        },
        |store| {
            let evicted = store.counts().unwrap().evicted == 1;
            let left = disk::list(&store.package_dir(case(1))).unwrap();
            evicted && left.len() == 3
        },
    );
    assert!(steps >= 5, "{steps}");
}

#[test]
fn verdicts_are_counted_by_their_newest_word() {
    let dir = folder();
    let store = open(dir.path());
    let send = |facts: VerdictFacts| {
        let facts = VerdictFacts {
            sig_sha256: sig(&store, facts.id),
            ..facts
        };
        store.verdict(NOW, &facts)
    };
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
    }
    let rule = "street_vending".to_owned();
    let new = || Taken::New {
        rule: rule.clone(),
        model: String::new(),
    };
    let known = || Taken::Known {
        rule: rule.clone(),
        model: String::new(),
    };
    assert_eq!(send(verdict(1, "A", true, 10)).unwrap(), new());
    assert_eq!(send(verdict(1, "A", true, 10)).unwrap(), known());
    assert_eq!(send(verdict(1, "A", true, 9)).unwrap(), known());
    for at_ms in [9, 10] {
        let corrected = send(verdict(1, "A", false, at_ms)).unwrap();
        assert_eq!(corrected, Taken::Overtaken(10), "by a clock that went back");
    }
    assert_eq!(send(verdict(2, "A", true, 10)).unwrap(), new());
    assert_eq!(send(verdict(3, "A", false, 10)).unwrap(), new());
    let tally = |store: &Store, window| {
        let tally = store.tally("street_vending", "", window).unwrap();
        (tally.rejected, tally.judged)
    };
    assert_eq!(tally(&store, 50), (2, 3));
    assert_eq!(tally(&store, 1), (0, 1), "the newest");
    assert_eq!(
        send(verdict(2, "B", false, 20)).unwrap(),
        new(),
        "overruled"
    );
    assert_eq!(tally(&store, 50), (1, 3));
    // What was given first comes last.
    assert_eq!(send(verdict(3, "B", false, 30)).unwrap(), new());
    assert_eq!(send(verdict(3, "C", true, 20)).unwrap(), new());
    assert_eq!(tally(&store, 50), (1, 3));
    assert_eq!(tally(&store, 1), (0, 1));
    let all = store.objections().unwrap();
    assert_eq!((all[0].tally.rejected, all[0].tally.judged), (1, 3));
    let unknown = store.verdict(NOW, &verdict(9, "A", true, 10));
    assert!(
        matches!(unknown, Err(StoreError::Unknown(_))),
        "{unknown:?}"
    );
    let foreign = store.verdict(NOW, &verdict(1, "A", true, 99));
    assert!(
        matches!(foreign, Err(StoreError::OtherSignature(_))),
        "{foreign:?}"
    );
}

/// What is said of one model says nothing of another, and each place is told of by itself, whether it
/// was announced with a number, with a name, or not at all.
#[test]
fn verdicts_are_counted_by_model_and_by_place() {
    let dir = folder();
    let store = open(dir.path());
    let announced = |number, name| serde_json::json!({ "public_id": number, "name": name });
    for (n, model, site, zone, rejected) in [
        (1, "m1", announced(Some("LC-1"), Some("gate")), "kerb", true),
        (2, "m1", announced(Some("LC-1"), None), "yard", false),
        (3, "m2", announced(Some("LC-1"), None), "kerb", true),
        (4, "m1", announced(None, Some("school")), "kerb", true),
        (5, "m1", Value::Null, "kerb", false),
        (6, "m1", Value::Null, "yard", true),
    ] {
        store.keep(case(n), &drafts(), None).unwrap();
        let make = |context: SealContext| {
            let statement = serde_json::json!({
                "v": 1, "id": case(n), "seq": context.seq, "journal": context.journal,
                "after": context.last_receipt, "files": context.files,
                "software": { "model": { "sha256": model } }, "site": site,
                "violation": { "kind": "spillage", "zone": zone,
                               "first_seen": "2026-08-01T02:01:00.100Z" },
            });
            Ok(made_of(&statement, &context))
        };
        store.seal(case(n), make, None).unwrap();
        let facts = VerdictFacts {
            sig_sha256: sig(&store, case(n)),
            ..verdict(n, "A", rejected, 10)
        };
        store.verdict(NOW, &facts).unwrap();
    }
    let tally = |rule, model| {
        let tally = store.tally(rule, model, 50).unwrap();
        (tally.rejected, tally.judged)
    };
    assert_eq!(tally("spillage", "m1"), (3, 5));
    assert_eq!(tally("spillage", "m2"), (1, 1));
    assert_eq!(tally("spillage", "m3"), (0, 0));
    assert_eq!(tally("street_vending", "m1"), (0, 0));
    let told = store.objections().unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|o| (&*o.model, &*o.place, o.tally.rejected, o.tally.judged))
        .collect();
    let expected = [
        ("m1", "LC-1", 1, 2),
        ("m1", "kerb", 0, 1),
        ("m1", "school", 1, 1),
        ("m1", "yard", 1, 1),
        ("m2", "LC-1", 1, 1),
    ];
    assert_eq!(told, expected);
}

/// A script that tells all verdicts once more in the night, with the time of the night.
#[test]
fn a_verdict_told_again_overrules_nobody_and_undoes_no_restoration() {
    let dir = folder();
    let mut store = open(dir.path());
    let send = |store: &Store, reviewer, rejected, at_ms| {
        let facts = VerdictFacts {
            sig_sha256: sig(store, case(1)),
            ..verdict(1, reviewer, rejected, at_ms)
        };
        store.verdict(NOW, &facts).unwrap()
    };
    let tally = |store: &Store| {
        let tally = store.tally("street_vending", "", 50).unwrap();
        (tally.rejected, tally.judged)
    };
    keep_and_seal(&store, case(1));
    send(&store, "A", true, 9);
    send(&store, "B", false, 10);
    let again = send(&store, "A", true, 11);
    assert!(matches!(again, Taken::Known { .. }), "{again:?}");
    assert_eq!(tally(&store), (0, 1), "the second level holds");
    // Another word is another matter.
    assert!(matches!(send(&store, "B", true, 12), Taken::New { .. }));
    assert_eq!(tally(&store), (1, 1));
    let restored = LeadsOnly {
        rule: "street_vending".to_owned(),
        leads_only: false,
        judged: 1,
        rejected: 1,
        by: Some(ADMIN.to_owned()),
        counted_anew: true,
    };
    store.set_leads_only(NOW, &restored).unwrap();
    for (reviewer, at_ms) in [("A", 20), ("B", 21)] {
        send(&store, reviewer, true, at_ms);
    }
    assert_eq!(tally(&store), (0, 0));
    store = lose_the_database(dir.path(), store);
    assert_eq!(tally(&store), (0, 0));
}

#[test]
fn a_rule_falls_and_is_restored_over_a_lost_database() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
        let facts = VerdictFacts {
            sig_sha256: sig(&store, case(n)),
            ..verdict(n, "A", n == 1, 10)
        };
        store.verdict(NOW, &facts).unwrap();
    }
    let tally = |store: &Store, window| {
        let tally = store.tally("street_vending", "", window).unwrap();
        (tally.rejected, tally.judged)
    };
    let change = |leads_only, by: Option<&str>| LeadsOnly {
        rule: "street_vending".to_owned(),
        leads_only,
        judged: 3,
        rejected: 1,
        by: by.map(str::to_owned),
        counted_anew: by.is_some(),
    };
    store.set_leads_only(NOW, &change(true, None)).unwrap();
    assert_eq!(tally(&store, 50), (1, 3));
    let store = lose_the_database(dir.path(), store);
    assert!(store.leads_only().unwrap()["street_vending"]);
    assert_eq!(tally(&store, 50), (1, 3), "all in the journal");
    store
        .set_leads_only(NOW, &change(false, Some(ADMIN)))
        .unwrap();
    assert_eq!(tally(&store, 50), (0, 0), "counted anew");
    assert_eq!(
        store.objections().unwrap()[0].tally.judged,
        3,
        "all of them"
    );
    let store = lose_the_database(dir.path(), store);
    assert!(!store.leads_only().unwrap()["street_vending"]);
    assert_eq!(tally(&store, 50), (0, 0));
}

#[test]
fn what_a_person_asked_for_is_counted_and_known_again_without_the_database() {
    let dir = folder();
    let mut store = open(dir.path());
    keep_and_seal(&store, case(1));
    store.keep(case(2), &drafts(), None).unwrap();
    let asked = |context: SealContext| {
        let statement = make(case(2), &context).statement;
        let mut statement: Value = serde_json::from_slice(&statement).unwrap();
        statement["violation"] = Value::Null;
        statement["asked"] = json!({ "at": "2026-08-01T02:03:03Z" });
        Ok(made_of(&statement, &context))
    };
    store.seal(case(2), asked, None).unwrap();
    for _ in 0..2 {
        let since = |kind: &str, ms| store.sealed_since(kind, ms).unwrap();
        assert_eq!((since("capture", 0), since("street_vending", 0)), (1, 1));
        assert_eq!(since("capture", i64::MAX), 0);
        let line = &said(dir.path(), lines::SEALED)[1];
        assert_eq!(line["kind"], "capture");
        assert_eq!(line["occurred_ms"], 1_785_549_783_000_i64);
        // A reviewer's word on it is kept and is about no rule.
        let facts = VerdictFacts {
            sig_sha256: sig(&store, case(2)),
            ..verdict(2, "r", true, 5)
        };
        match store.verdict(NOW, &facts).unwrap() {
            Taken::New { rule, .. } => assert_eq!(rule, "capture"),
            Taken::Known { .. } | Taken::Overtaken(_) => {}
        }
        store = lose_the_database(dir.path(), store);
    }
}

#[test]
fn what_is_asked_for_is_known_after_a_restart_and_a_lost_database() {
    let dir = folder();
    let mut store = open(dir.path());
    for n in [1, 2] {
        keep_and_seal(&store, case(n));
    }
    assert_eq!(store.wanted().unwrap(), []);
    let by = (Uuid::from_u128(7), ADMIN);
    for id in [case(2), case(1), case(2)] {
        store.want(NOW, id, by).unwrap();
    }
    let unknown = store.want(NOW, case(9), by);
    assert!(matches!(unknown, Err(StoreError::Unknown(_))));
    assert_eq!(store.wanted().unwrap(), [case(1), case(2)], "oldest first");
    drop(store);
    store = open(dir.path());
    assert_eq!(store.wanted().unwrap(), [case(1), case(2)]);
    store = lose_the_database(dir.path(), store);
    assert_eq!(store.wanted().unwrap(), [case(1), case(2)]);
    receipt(&store, case(1)).unwrap();
    assert_eq!(store.wanted().unwrap(), [case(2)], "a receiver has it");
    assert_eq!(said(dir.path(), lines::WANTED).len(), 2);
}
