//! The life of a package, from its first draft to its receipt.

use std::time::Duration;

use super::*;

#[test]
fn a_case_becomes_a_package() {
    let dir = folder();
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.database, Database::New);
    let id = case(1);
    store.keep(id, &drafts()[..2], Some("one")).unwrap();
    store.save_draft_note(id, "noted").unwrap();
    store.keep(id, &drafts(), Some("two")).unwrap();
    assert_eq!(store.drafts(id).unwrap().len(), 3);
    assert_eq!(store.open_cases().unwrap(), [id]);
    store.note(NOW, "boot", serde_json::json!({})).unwrap();

    let mut seen = None;
    let make = |context: SealContext| {
        seen = Some(context.clone());
        Ok(make(id, &context))
    };
    store.seal(id, make, Some("three")).unwrap();
    let seen = seen.unwrap();
    assert_eq!((seen.seq, seen.journal.n, seen.last_receipt), (1, 2, None));
    assert_eq!(seen.note.as_deref(), Some("noted"));
    assert_eq!(seen.files[1].name, "frames/01-found.jpg");
    assert_eq!(
        seen.files[1].at.as_deref(),
        Some("2026-08-01T02:03:04.567Z")
    );
    let line = &said(dir.path(), "package.sealed")[0];
    assert_eq!(line["sig_sha256"], sig(&store, id));
    assert_eq!(
        store.head().n,
        seen.journal.n,
        "the line the statement names"
    );
    assert_eq!(store.book().unwrap().as_deref(), Some("three"));
    assert!(store.drafts(id).unwrap().is_empty());
    assert_eq!(audit(&store)[&id], State::Queued);
}

/// The journal tells leads from evidence, and why, when the packages are gone with their box.
#[test]
fn the_line_of_a_package_says_what_it_is_worth_and_why() {
    let dir = folder();
    let store = open(dir.path());
    let condition = |id: &str, pass: Value| serde_json::json!({ "id": id, "value": null, "limit": "any", "pass": pass });
    let conditions = [
        condition("clock", Value::Null),
        condition("focus", true.into()),
        condition("warning", false.into()),
    ];
    for (number, grade) in [
        (
            1,
            serde_json::json!({ "grade": "lead", "conditions": conditions }),
        ),
        (
            2,
            serde_json::json!({ "grade": "evidence", "conditions": [conditions[1]] }),
        ),
        (3, Value::Null),
    ] {
        let id = case(number);
        store.keep(id, &drafts(), None).unwrap();
        let make = |context: SealContext| {
            let statement = serde_json::json!({
                "v": 1, "id": id, "seq": context.seq, "journal": context.journal, "grade": grade,
                "after": context.last_receipt, "files": context.files,
                "violation": {"kind": "street_vending", "first_seen": "2026-08-01T02:01:00.100Z"},
            });
            Ok(made_of(&statement, &context))
        };
        store.seal(id, make, None).unwrap();
    }
    let lines = said(dir.path(), "package.sealed");
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.get("grade"), line.get("against")))
        .collect();
    let (lead, evidence) = ("lead".into(), "evidence".into());
    let against = serde_json::json!(["clock", "warning"]);
    assert_eq!(
        told,
        [
            (Some(&lead), Some(&against)),
            (Some(&evidence), None),
            (None, None)
        ]
    );
    // What was told so is taken for the same package when the database is made again.
    drop(store);
    for name in ["q.db", "q.db-wal", "q.db-shm"] {
        disk::remove_file(&dir.path().join(name)).unwrap();
    }
    let (store, recovery) = reopen(dir.path());
    assert_ne!(recovery.database, Database::New);
    assert_eq!(audit(&store).len(), 3);
    assert!(audit(&store).values().all(|state| *state == State::Queued));
}

#[test]
fn a_package_is_sent_and_receipted() {
    let dir = folder();
    let store = open(dir.path());
    let id = case(1);
    keep_and_seal(&store, id);
    let due = store.next_of(NOW, &Wish::default()).unwrap().unwrap();
    assert_eq!((due.id, due.seq, due.attempts), (id, 1, 0));
    assert_eq!(due.sig_sha256, sig(&store, id));
    let lanes: Vec<_> = due
        .files
        .iter()
        .map(|f| (f.lane, f.name.as_str()))
        .collect();
    assert_eq!(
        lanes,
        [
            (1, "META-INF/ASiCManifest001.xml"),
            (1, "META-INF/signature001.p7s"),
            (1, "evidence.json"),
            (1, "mimetype"),
            (2, "frames/01-found.jpg"),
            (2, "frames/02-again.jpg"),
            (3, "clip.mp4"),
        ]
    );
    assert_eq!(due.head.len(), 4);
    assert_eq!(due.head[3].1, b"application/vnd.etsi.asic-e+zip");

    store.step(id, State::Sending).unwrap();
    assert_eq!(store.next_of(NOW, &Wish::default()).unwrap(), None);
    store.step(id, State::Sent).unwrap();
    store.step(id, State::Sent).unwrap();
    assert_eq!(said(dir.path(), "package.sent").len(), 1);
    receipt(&store, id).unwrap();
    receipt(&store, id).unwrap();
    assert_eq!(audit(&store)[&id], State::Receipted);
    assert_eq!(said(dir.path(), "package.receipted").len(), 1);
    let path = store.package_dir(id).join("META-INF/receipt001.p7m");
    assert_eq!(fs::read(path).unwrap(), b"signed receipt");

    let id = case(2);
    store.keep(id, &drafts(), None).unwrap();
    let context = store.inner().context(id).unwrap();
    assert_eq!(context.seq, 2);
    let after = context.last_receipt.unwrap();
    assert_eq!(after.receipt_sha256, sha256_hex(b"signed receipt"));
    assert_eq!(after.server_time, "2026-08-01T03:00:00Z");
    let counts = store.counts().unwrap();
    assert_eq!(counts.states[&State::Receipted].packages, 1);
    assert_eq!((counts.pending.packages, counts.open_cases), (0, 1));
    assert_eq!(counts.last_receipt, Some(after));
    assert!(store.check().unwrap().is_empty());
}

#[test]
fn what_has_ended_stays_ended() {
    let dir = folder();
    let store = open(dir.path());
    let id = case(1);
    assert!(matches!(seal(&store, id), Err(StoreError::Unknown(_))));
    keep_and_seal(&store, id);
    let head = store.head();
    let ended = |result| matches!(result, Err(StoreError::AlreadySealed(_)));
    assert!(ended(store.keep(id, &drafts(), Some("no"))));
    assert!(ended(store.discard(id, "no", Some("no"))));
    assert!(ended(store.save_draft_note(id, "no")));
    assert_eq!(store.book().unwrap().as_deref(), Some("sealed"));
    let unasked = |_: SealContext| -> Result<Sealed, witness::SealError> { panic!("made again") };
    store.seal(id, unasked, Some("again")).unwrap();
    assert_eq!(store.book().unwrap().as_deref(), Some("again"));
    assert_eq!(store.head(), head);

    receipt(&store, id).unwrap();
    for to in [State::Queued, State::Sending, State::Sent] {
        assert!(matches!(store.step(id, to), Err(StoreError::Step { .. })));
    }
    let sig = sig(&store, id);
    let late = store.refused(id, b"no", &sig, "late");
    assert!(matches!(late, Err(StoreError::Step { .. })));
    assert!(matches!(
        store.step(case(9), State::Sending),
        Err(StoreError::Unknown(_))
    ));
}

#[test]
fn an_answer_about_another_signature_moves_nothing() {
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    keep_and_seal(&store, case(2));
    let other = sig(&store, case(2));
    for result in [
        store.receipted(case(1), b"r", &facts(&other)),
        store.refused(case(1), b"r", &other, "no"),
    ] {
        assert!(matches!(result, Err(StoreError::OtherSignature(_))));
    }
    assert_eq!(audit(&store)[&case(1)], State::Queued);
    assert!(!store.package_dir(case(1)).join(witness::RECEIPT).exists());
}

#[test]
fn the_gravest_then_newest_whose_time_has_come_is_due() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
    }
    let grave = |context: SealContext| {
        let mut sealed = make(case(4), &context);
        let text = String::from_utf8(sealed.statement).unwrap();
        sealed.statement = text.replace("street_vending", "spillage").into_bytes();
        let mut manifest = Manifest::parse(&sealed.manifest).unwrap();
        manifest.entries[0].sha256 = Sha256::digest(&sealed.statement).into();
        sealed.manifest = manifest.to_xml().unwrap();
        Ok(sealed)
    };
    store.keep(case(4), &drafts(), None).unwrap();
    store.seal(case(4), grave, None).unwrap();

    let next = |now| {
        store
            .next_of(now, &Wish::default())
            .unwrap()
            .map(|due| due.id)
    };
    assert_eq!(next(NOW), Some(case(4)));
    store.step(case(4), State::Sending).unwrap();
    assert_eq!(next(NOW), Some(case(3)));
    let later = NOW.shifted_ns(5);
    store.step(case(3), State::Sending).unwrap();
    store.defer(case(3), later, "nobody answers").unwrap();
    assert_eq!(next(NOW), Some(case(2)));
    assert_eq!(next(later), Some(case(3)));
    assert_eq!(
        store
            .next_of(later, &Wish::default())
            .unwrap()
            .unwrap()
            .attempts,
        1
    );
    let sig = sig(&store, case(2));
    store
        .refused(case(2), b"signed no", &sig, "unknown device")
        .unwrap();
    store
        .refused(case(2), b"signed no", &sig, "unknown device")
        .unwrap();
    assert_eq!(said(dir.path(), "package.refused").len(), 1);
    assert_eq!(next(NOW), Some(case(1)));

    drop(store);
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery.requeued, 1);
    assert_eq!(
        store.next_of(NOW, &Wish::default()).unwrap().unwrap().id,
        case(4)
    );
    let now = Stamp { boot_ns: 0, ..NOW };
    store.step(case(4), State::Sending).unwrap();
    assert_eq!(
        store.next_of(now, &Wish::default()).unwrap().unwrap().id,
        case(3),
        "a retry time does not outlive the run"
    );
}

#[test]
fn a_package_that_is_held_waits_for_a_wider_link() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
    }
    let wish = |open| Wish {
        open,
        ..Wish::default()
    };
    let next = |wish: Wish| store.next_of(NOW, &wish).unwrap().map(|due| due.id);
    for (n, told) in [(3, 1), (2, 2)] {
        store.step(case(n), State::Sending).unwrap();
        store.hold(NOW, case(n), told).unwrap();
    }
    assert_eq!(next(wish(1)), Some(case(1)), "only heads");
    assert_eq!(next(wish(2)), Some(case(3)), "pictures too");
    assert_eq!(next(wish(3)), Some(case(3)), "everything, newest first");
    let held = |open| store.held(open).unwrap();
    assert_eq!([held(1), held(2), held(3)], [2, 1, 0]);
    assert_eq!(next(OLDEST), Some(case(1)));
    let first = store.next_of(NOW, &OLDEST).unwrap().unwrap();
    let before = Wish {
        before: Some((first.severity, 2)),
        ..Wish::default()
    };
    assert_eq!(
        next(before),
        Some(case(3)),
        "only what goes before the second"
    );
    assert_eq!(store.queued(case(2)).unwrap().unwrap().id, case(2));
    store.step(case(2), State::Sending).unwrap();
    assert_eq!(store.queued(case(2)).unwrap(), None, "it is in hand");

    drop(store);
    let (store, _) = reopen(dir.path());
    assert_eq!(store.held(1).unwrap(), 2, "a restart repeats nothing");
}

/// Somebody may have set the clock since; of another boot only that tells.
#[test]
fn a_package_is_as_old_as_its_boot_says_and_by_utc_only_in_another() {
    const SECOND: u64 = 1_000_000_000;
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    let sealed = store.queued(case(1)).unwrap().unwrap();
    let at = |secs: u64, utc_secs: i64| Stamp {
        utc_ns: (sealed.sealed_ms / 1000 + utc_secs) * 1_000_000_000,
        boot_ns: sealed.sealed_ns.unwrap() + secs * SECOND,
        error_ns: 0,
    };
    let young = Wish {
        within: Some(Duration::from_mins(5)),
        ..Wish::default()
    };
    let is_young = |at| store.next_of(at, &young).unwrap().is_some();
    let age = |at| {
        let due = store.queued(case(1)).unwrap().unwrap();
        due.age(at).as_secs()
    };
    for utc_secs in [60, -86_400, 86_400] {
        let (soon, later) = (at(60, utc_secs), at(360, utc_secs));
        assert!(is_young(soon) && !is_young(later), "{utc_secs}");
        assert_eq!((age(soon), age(later)), (60, 360), "{utc_secs}");
    }
    let sql = "UPDATE package SET sealed_boot = 'another'";
    store.inner().conn.execute(sql, []).unwrap();
    for (secs, utc_secs, young) in [(60, 60, true), (60, 86_400, false), (360, -60, true)] {
        let at = at(secs, utc_secs);
        assert_eq!(is_young(at), young, "{utc_secs}");
        let old = u64::try_from(utc_secs).unwrap_or(0);
        assert!(old.abs_diff(age(at)) <= 1, "{utc_secs}");
    }
}

#[test]
fn what_was_told_long_ago_is_told_again_and_ever_more_rarely() {
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    keep_and_seal(&store, case(2));
    let sealed_ms = store.queued(case(1)).unwrap().unwrap().sealed_ms;
    let at = |hours: i64| Stamp {
        utc_ns: (sealed_ms + hours * 3_600_000) * 1_000_000,
        ..NOW
    };
    let hold = |hours| {
        store.step(case(1), State::Sending).unwrap();
        store.hold(at(hours), case(1), 2).unwrap();
    };
    let again = |hours, open| store.tell_again(at(hours), open).unwrap();
    let waits = || {
        let wish = Wish {
            open: 2,
            oldest: true,
            ..Wish::default()
        };
        let next = store.next_of(NOW, &wish).unwrap().unwrap();
        next.id != case(1)
    };
    hold(1);
    assert!(waits());
    assert_eq!(again(96, 2), None, "a receiver may have it");
    assert_eq!(again(97, 3), None, "a wide link holds nothing");
    assert_eq!(again(97, 2), Some(case(1)));
    assert!(!waits(), "it is as if nobody had heard of it");
    assert_eq!(again(10_000, 2), None, "it is on its way, and once");
    assert_eq!(again(-1, 2), None);

    hold(1);
    let mut days = Vec::new();
    for hours in 1..365 * 24 {
        if again(hours, 2).is_some() {
            days.push(hours / 24);
            hold(hours);
        }
    }
    let months = (1..=11).map(|n| n * 32);
    let expected: Vec<i64> = [4, 8, 16].into_iter().chain(months).collect();
    assert_eq!(days, expected);
    assert_eq!(
        again(100, 2),
        None,
        "a clock that was set back repeats nothing"
    );
}

#[test]
fn open_cases_survive_a_reboot() {
    let dir = folder();
    let store = open(dir.path());
    store.keep(case(1), &drafts(), Some("open")).unwrap();
    store.save_draft_note(case(1), "noted").unwrap();
    store.keep(case(2), &drafts(), Some("open")).unwrap();
    let before = store.drafts(case(1)).unwrap();
    drop(store);
    let (store, recovery) = reopen(dir.path());
    assert_eq!(recovery, Recovery::default());
    assert_eq!(store.drafts(case(1)).unwrap(), before);
    assert_eq!(store.draft_note(case(1)).unwrap().as_deref(), Some("noted"));
    assert_eq!(store.book().unwrap().as_deref(), Some("open"));
    store.discard(case(2), "not heard", Some("less")).unwrap();
    assert_eq!(said(dir.path(), "case.discarded")[0]["why"], "not heard");
    seal(&store, case(1)).unwrap();
    audit(&store);
}

#[test]
fn a_bad_name_or_a_changed_file_is_refused_and_changes_nothing() {
    let dir = folder();
    let store = open(dir.path());
    store.keep(case(1), &drafts()[..1], Some("book")).unwrap();
    let mut changed = draft(NAMES[0]);
    changed.bytes.push(0);
    for bad in [
        draft("../evil"),
        draft("/etc/passwd"),
        draft("a/../../b"),
        draft(""),
        draft("evidence.json"),
        draft("mimetype"),
        draft("META-INF/signature001.p7s"),
        changed,
    ] {
        let result = store.keep(case(1), &[draft(NAMES[1]), bad], Some("no"));
        assert!(
            matches!(result, Err(StoreError::Invariant(_))),
            "{result:?}"
        );
        assert_eq!(store.drafts(case(1)).unwrap().len(), 1);
        assert_eq!(store.book().unwrap().as_deref(), Some("book"));
    }
    audit(&store);
}

#[test]
fn a_statement_that_contradicts_the_store_is_not_sealed() {
    let dir = folder();
    let store = open(dir.path());
    store.keep(case(1), &drafts(), None).unwrap();
    let wrong: [fn(&mut SealContext); 5] = [
        |context| context.seq += 1,
        |context| context.journal.n += 1,
        |context| context.journal.prev = "f".repeat(64),
        |context| context.files.truncate(1),
        |context| context.files[0].sha256 = "f".repeat(64),
    ];
    for change in wrong {
        let make = |mut context: SealContext| {
            change(&mut context);
            Ok(make(case(1), &context))
        };
        let result = store.seal(case(1), make, Some("no"));
        assert!(
            matches!(result, Err(StoreError::Invariant(_))),
            "{result:?}"
        );
    }
    assert!(audit(&store).is_empty());
    seal(&store, case(1)).unwrap();
    audit(&store);
}

#[test]
fn new_drafts_leave_the_room_that_sealing_needs() {
    let dir = folder();
    let store = open(dir.path());
    store.keep(case(1), &drafts(), None).unwrap();
    drop(store);
    let config = config::Store {
        keep_free_mib: u64::MAX / MIB,
        ..config(dir.path())
    };
    let (store, _) = Store::open(&config, DEVICE).unwrap();
    let result = store.keep(case(2), &drafts(), Some("no"));
    let Err(StoreError::Full { free, need }) = result else {
        panic!("{result:?}");
    };
    assert!(free > 0 && free < need);
    store.keep(case(2), &[], Some("yes")).unwrap();
    seal(&store, case(1)).unwrap();
    audit(&store);
}

#[test]
fn one_store_one_process_one_device() {
    let dir = folder();
    let store = open(dir.path());
    let error = Store::open(&config(dir.path()), DEVICE).unwrap_err();
    let StoreError::Locked { pid, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*pid, Some(std::process::id()));
    assert!(
        error
            .to_string()
            .contains("in use by another lingmou (process")
    );
    drop(store);
    let error = Store::open(&config(dir.path()), "LM-TEST-2").unwrap_err();
    assert!(
        error.to_string().contains("belongs to device LM-TEST-1"),
        "{error}"
    );
    open(dir.path());
}

#[tokio::test]
async fn whoever_waits_hears_of_a_new_package() {
    let dir = folder();
    let store = open(dir.path());
    store.changed().await;
    let waiter = tokio::spawn({
        let store = store.clone();
        async move { store.changed().await }
    });
    tokio::task::spawn_blocking(move || keep_and_seal(&store, case(1)))
        .await
        .unwrap();
    waiter.await.unwrap();
}
