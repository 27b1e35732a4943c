//! Ends and books when the store has trouble: what was decided and who is to be warned is known
//! after a restart.

use rustix::io::Errno;

use super::made::{draft, opens_with_a_picture, record, stated, told};
use super::*;
use crate::daemon::ends;
use crate::disk::{self, fault};
use crate::pki::TestPkiPlan;
use crate::types::{FixKind, Pose, PoseSource};
use crate::witness::Usage;

/// A step that ends the case and opens another; the store fails it at its first write.
#[test]
fn an_end_that_waits_is_known_after_a_restart_and_so_is_what_came_after_it() {
    let mut town = Town::new(Budget::default());
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let [case, next] = [1, 2].map(made::case);
    let opens = |case| Order::Hit {
        case,
        hit: Box::new(told(HitOutcome::Opened, scene.at)),
    };
    store
        .keep(
            case,
            &[draft("frames/01-peak.jpg", 100)],
            Some("the case is open"),
        )
        .unwrap();
    let open = work(&scene, vec![opens(case)], "the case is open".to_owned());
    town.keeper.carry(open);
    let seal = made::seal(case, record(scene.at));
    fault::plan(0, fault::Mode::Once(Errno::IO));
    town.keeper
        .carry(work(&scene, vec![seal], "the case has ended".to_owned()));
    assert!(!fault::clear(), "it failed");
    assert_eq!(store.sealed_between(1, 10).unwrap(), []);
    assert_eq!(town.keeper.state().waiting, 1);
    assert_eq!(store.book().unwrap().as_deref(), Some("the case has ended"));
    // Meanwhile another case begins.
    let book = "another is open";
    town.keeper
        .carry(work(&scene, vec![opens(next)], book.to_owned()));
    assert_eq!(store.book().unwrap().as_deref(), Some(book));

    // Killed, and started again.
    town.keeper.waiting = ends::left(&store).unwrap();
    let left: Vec<CaseId> = town.keeper.waiting.iter().map(|w| w.case).collect();
    assert_eq!(left, [case]);
    let past = crate::daemon::past::Past::read(&store).unwrap();
    past.hits
        .settle(&store, |id| id == next || left.contains(&id))
        .unwrap();
    town.keeper.retry();
    assert_eq!(store.sealed_between(1, 10).unwrap(), [case]);
    assert!(town.keeper.waiting.is_empty());
    let outcomes = town.journal(kind::RULE_HIT);
    let outcomes: Vec<_> = outcomes.iter().map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["opened", "opened", "recorded"]);
    assert!(ends::left(&store).unwrap().is_empty());
}

/// Where the box was 40 ms before `at`.
fn here(at: Stamp) -> Pose {
    Pose {
        h_acc_mm: Some(1_500),
        sysid: Some(1),
        ..Pose::bare(
            at.shifted_ns(-40_000_000),
            (361_600_000, 1_204_300_000),
            (FixKind::Full, PoseSource::Mavlink),
        )
    }
}

/// The box is moved, its program and its configuration are others when the token comes back.
#[test]
fn an_end_that_waited_states_what_was_so_when_it_was_established() {
    let mut town = Town::build(|config| {
        config.camera[0].url = "rtsp://127.0.0.1:9/first".to_owned();
        config.camera[0].serial = "DS-1".to_owned();
        config.site.public_id = "LC-1".to_owned();
        config.judge.spillage.law.basis = "第四十一条".to_owned();
    });
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let case = made::case(1);
    let camera = town.keeper.facts.config.camera[0].name.clone();
    let poses = Poses::new();
    poses.put(here(scene.at));
    town.keeper.carry(Work {
        time_source: Some(TimeSource::RtcpSenderReport),
        places: vec![(scene.at, poses)],
        ..work(
            &scene,
            opens_with_a_picture(case, scene.at),
            "open".to_owned(),
        )
    });
    // Two minutes later no camera has come, and nobody remembers where the box was.
    let seal = made::seal(case, record(scene.at));
    fault::plan(0, fault::Mode::Once(Errno::IO));
    town.keeper.carry(Work {
        time_source: None,
        frame: None,
        ..work(&scene, vec![seal], "ended".to_owned())
    });
    assert!(!fault::clear(), "it failed");
    assert_eq!(town.keeper.state().waiting, 1);

    let facts = &mut town.keeper.facts;
    facts.model.name = "another".to_owned();
    facts.config_sha256 = "c1".repeat(32);
    facts.calendar_sha256 = None;
    facts.config.camera[0].name = "renamed".to_owned();
    facts.config.camera[0].serial = "DS-2".to_owned();
    facts.config.site.public_id = "LC-2".to_owned();
    facts.config.judge.spillage.law.basis = "第四十二条".to_owned();
    town.keeper.hits = Hits::new(store.clone(), &town.keeper.facts.config.camera);
    town.keeper.waiting = ends::left(&store).unwrap();
    let left: Vec<CaseId> = town.keeper.waiting.iter().map(|w| w.case).collect();
    let past = crate::daemon::past::Past::read(&store).unwrap();
    past.hits.settle(&store, |id| left.contains(&id)).unwrap();
    town.keeper.retry();

    let statement = stated(&town, case);
    let software = &statement.software;
    let model = software.model.as_ref().map(|model| model.name.as_str());
    assert_eq!(model, Some("none"));
    assert_eq!(software.config_sha256, Some("c0".repeat(32)));
    assert_eq!(software.calendar_sha256, Some("ca".repeat(32)));
    assert_eq!(statement.camera.id, camera);
    assert_eq!(statement.camera.onvif_serial.as_deref(), Some("DS-1"));
    let site = statement.site.unwrap();
    assert_eq!(site.public_id.as_deref(), Some("LC-1"));
    let law = statement.violation.unwrap().law.unwrap();
    assert_eq!(law.basis.as_deref(), Some("第四十一条"));
    let position = statement.position.expect("where the picture was taken");
    assert_eq!((position.lat_e7, position.age_ms), (361_600_000, 40));
    assert_eq!(statement.mavlink.map(|m| m.sysid), Some(1));
    // The picture's own, whatever the stream has that detection looks at.
    let source = statement.clock.capture_source;
    assert_eq!(source, Some(TimeSource::Arrival));
    let lines = town.journal(kind::RULE_HIT);
    let end = lines.last().unwrap();
    assert_eq!(
        (&end["outcome"], &end["camera"]),
        (&json!("recorded"), &json!(camera))
    );
}

/// As a program before the circumstances wrote it: without them, and without when a picture was taken.
#[test]
fn an_end_that_an_older_program_noted_is_sealed_with_what_it_says() {
    let mut town = Town::new(Budget::default());
    let store = town.keeper.store.clone();
    let at = day::scenes().next().unwrap().1.at;
    let case = made::case(1);
    let picture = draft("frames/01-peak.jpg", 100);
    store.keep(case, &[picture], None).unwrap();
    let placed = Placed {
        pose: here(at),
        age_ms: 40,
        interpolated: false,
    };
    let note = json!({
        "omitted": [{ "what": "clip.mp4", "why": "no room" }],
        "pictures": [{
            "name": "frames/01-peak.jpg", "kind": "peak", "centre": [0.5, 0.5],
            "quality": { "focus": 512, "exposure": 100, "clipped_permille": 0, "subject_px": 90 },
        }],
        "first": null,
        "stillness": null,
        "end": {
            "record": record(at), "camera": "west", "placed": placed, "time_source": "arrival",
        },
    });
    store.save_draft_note(case, &note.to_string()).unwrap();
    town.keeper.waiting = ends::left(&store).unwrap();
    town.keeper.retry();

    let statement = stated(&town, case);
    assert_eq!(statement.camera.id, "west");
    assert_eq!(statement.position.unwrap().h_acc_mm, Some(1_500));
    let source = statement.clock.capture_source;
    assert_eq!(source, Some(TimeSource::Arrival));
    assert_eq!((statement.software.model, statement.site), (None, None));
    assert!(statement.omitted.iter().any(|o| o.why == "no room"));
    let file = statement
        .files
        .iter()
        .find(|f| f.name.ends_with("-peak.jpg"));
    assert_eq!(file.unwrap().quality.map(|q| q.focus), Some(512));
    let conditions = statement.grade.unwrap().conditions;
    let clock = conditions.iter().find(|c| c.id == "clock").unwrap();
    assert_eq!(clock.pass, None, "when its picture was taken nobody noted");
}

#[test]
fn an_end_that_can_never_be_sealed_is_told_once_and_tried_again_after_a_start() {
    let mut town = Town::new(Budget::default());
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let case = made::case(1);
    let picture = draft("frames/01-peak.jpg", 100);
    store.keep(case, &[picture], None).unwrap();
    let seal = made::seal(case, record(scene.at));
    fault::plan(0, fault::Mode::Once(Errno::IO));
    town.keeper
        .carry(work(&scene, vec![seal], "ended".to_owned()));
    assert!(!fault::clear(), "it failed");
    assert_eq!(town.keeper.state().waiting, 1);

    // Meanwhile the box's certificate is another's.
    town.keeper.facts.config.device.id = "LM-OTHER-1".to_owned();
    for _ in 0..2 {
        town.keeper.retry();
        assert_eq!(town.keeper.state().waiting, 0);
        let failed = town.journal(kind::PACKAGE_FAILED);
        assert_eq!(failed.len(), 1, "{failed:?}");
    }
    let hits = town.journal(kind::RULE_HIT);
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0]["outcome"], "failed");

    // Somebody mends it and starts the daemon again.
    town.keeper.facts.config.device.id = DEVICE.to_owned();
    town.keeper.waiting = ends::left(&store).unwrap();
    town.keeper.retry();
    assert_eq!(store.sealed_between(1, 10).unwrap(), [case]);
}

/// The evidence certificate has ended, and is renewed.
#[test]
fn an_end_waits_for_a_certificate_that_holds() {
    let mut town = Town::new(Budget::default());
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let case = made::case(1);
    let picture = draft("frames/01-peak.jpg", 100);
    store.keep(case, &[picture], None).unwrap();
    let ended = TestPkiPlan {
        not_before: 1_600_000_000,
        not_after: 1_700_000_000,
    };
    let key = town.pki.device.join("evidence.key");
    let pem = town.pki.certify(&key, ("evidence", DEVICE), ended).unwrap();
    let certificate = town.dir.path().join("ended.crt");
    disk::write_new(&certificate, pem.as_bytes()).unwrap();
    let ended = Identity::load_from(&key, &certificate, Usage::Evidence).unwrap();
    let renewed = std::mem::replace(&mut town.keeper.facts.identity, Arc::new(ended));

    let seal = made::seal(case, record(scene.at));
    town.keeper
        .carry(work(&scene, vec![seal], "ended".to_owned()));
    town.keeper.retry();
    assert_eq!(town.keeper.state().waiting, 1);
    let trouble = town.keeper.state().trouble.clone().unwrap();
    assert!(trouble.contains("expired on 2023-11-14"), "{trouble}");
    assert_eq!(store.sealed_between(0, 10).unwrap(), []);
    assert!(town.journal(kind::PACKAGE_FAILED).is_empty());

    town.keeper.facts.identity = renewed;
    town.keeper.retry();
    assert_eq!(town.keeper.state().waiting, 0);
    assert_eq!(store.sealed_between(0, 10).unwrap(), [case]);
}

#[test]
fn nobody_is_warned_whom_no_saved_book_knows() {
    let mut town = Town::build(|config| {
        config.camera[0].url = "rtsp://127.0.0.1:9/".to_owned();
        config.store.quota_mib = 1;
    });
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let [other, case] = [1, 2].map(made::case);
    store
        .keep(other, &[draft("frames/01-found.jpg", 1_000_000)], None)
        .unwrap();
    assert_eq!(store.room().unwrap().level(), Level::Shut);
    let found = (Violation::StreetVending, ShotKind::Found);
    let snap = made::snap((case, "kerb"), found.0, found.1, scene.at);
    let warn = Order::Warn {
        case,
        violation: Violation::StreetVending,
        zone: "kerb".to_owned(),
    };
    let step = work(&scene, vec![snap, warn], "who is warned".to_owned());
    town.keeper.carry(step);
    assert!(town.keeper.state().trouble.is_some(), "no picture was kept");
    assert_eq!(store.drafts(case).unwrap(), []);
    assert_eq!(town.shouts.try_recv().unwrap().case, case);
    assert_eq!(store.book().unwrap().as_deref(), Some("who is warned"));
}

/// The end of one case could not even be noted, so no book was saved; then the disk works again.
#[test]
fn nobody_is_warned_whom_no_saved_book_knows_when_the_disk_works_again() {
    let mut town = Town::new(Budget::default());
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let [over, case] = [1, 2].map(made::case);
    let picture = draft("frames/01-peak.jpg", 100);
    store.keep(over, &[picture], Some("open")).unwrap();
    let step = |orders, book: &str| work(&scene, orders, book.to_owned());
    let seal = made::seal(over, record(scene.at));
    let warn = Order::Warn {
        case,
        violation: Violation::StreetVending,
        zone: "kerb".to_owned(),
    };
    fault::plan(0, fault::Mode::Forever(Errno::NOSPC));
    town.keeper.carry(step(vec![seal], "over"));
    town.keeper.carry(step(Vec::new(), "nothing new"));
    assert!(!fault::clear(), "it failed");
    assert!(!town.keeper.all_noted());
    assert_eq!(store.book().unwrap().as_deref(), Some("open"));

    // Before the keeper comes to try the end again.
    town.keeper.carry(step(vec![warn], "who is warned"));
    assert_eq!(town.shouts.try_recv().unwrap().case, case);
    assert_eq!(store.book().unwrap().as_deref(), Some("who is warned"));

    // On a disk that fails he is warned all the same, and the book follows.
    fault::plan(0, fault::Mode::Forever(Errno::NOSPC));
    town.keeper.carry(step(Vec::new(), "newer"));
    fault::clear();
    assert_eq!(town.keeper.unsaved.as_deref(), Some("newer"));
    town.keeper.save_unsaved().unwrap();
    assert_eq!(store.book().unwrap().as_deref(), Some("newer"));
    assert_eq!(town.keeper.unsaved, None);
}

/// A box whose store holds eight MiB.
fn tight() -> Town {
    Town::build(|config| {
        config.camera[0].url = "rtsp://127.0.0.1:9/".to_owned();
        config.store.quota_mib = 8;
        config.store.ballast_mib = 0;
    })
}

/// A full store finishes what has begun, and gives up what has not: neither says that it takes new
/// evidence again.
#[test]
fn a_refusal_is_over_when_a_new_case_would_be_kept() {
    let mut town = tight();
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let [begun, refused, again] = [1, 2, 3].map(made::case);
    let step = |orders| work(&scene, orders, "book".to_owned());
    let seal = |case| made::seal(case, record(scene.at));
    let over = |town: &Town| -> Vec<bool> {
        let lines = town.journal(kind::CAPTURE_REFUSED);
        lines.iter().map(|line| line["over"] == true).collect()
    };
    town.keeper
        .carry(step(opens_with_a_picture(begun, scene.at)));
    store
        .keep(begun, &[draft("frames/09-large.jpg", 8_000_000)], None)
        .unwrap();
    // Nothing of it is kept, and it ends; what had begun is kept and sealed.
    town.keeper
        .carry(step(opens_with_a_picture(refused, scene.at)));
    town.keeper.carry(step(vec![seal(refused)]));
    town.keeper
        .carry(step(opens_with_a_picture(begun, scene.at)));
    town.keeper.carry(step(vec![seal(begun)]));
    assert_eq!(over(&town), [false]);
    let losses = store.losses();
    assert_eq!(losses.refused.keys().collect::<Vec<_>>(), [&"quota"]);
    assert_eq!(losses.total(), losses.refused["quota"]);

    let by = (uuid::Uuid::from_u128(9), "CN=admin-1,OU=admin");
    store.evict(scene.at, begun, by).unwrap();
    town.keeper
        .carry(step(opens_with_a_picture(again, scene.at)));
    assert_eq!(over(&town), [false, true]);
    let lines = town.journal(kind::CAPTURE_REFUSED);
    assert_eq!(lines[1]["refused"], losses.total(), "{lines:?}");
}

/// The package says it too, but only to whom it reaches.
#[test]
fn a_clip_left_out_for_want_of_room_is_a_line_of_the_journal() {
    let mut town = tight();
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let cases @ [roomy, tight] = [1, 2].map(made::case);
    let clip = |case| Order::Clip {
        case,
        violation: Violation::Spillage,
        from: scene.at,
        to: scene.at,
    };
    let step = |orders| work(&scene, orders, "book".to_owned());
    for case in cases {
        town.keeper
            .carry(step(opens_with_a_picture(case, scene.at)));
    }
    // Nobody answers there: this one has no clip for another reason.
    town.keeper.carry(step(vec![clip(roomy)]));
    store
        .keep(roomy, &[draft("frames/09-large.jpg", 7_300_000)], None)
        .unwrap();
    assert_eq!(store.room().unwrap().level(), Level::Tight);
    town.keeper.carry(step(vec![clip(tight)]));
    let lines = town.journal(kind::CLIP_LEFT_OUT);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["id"], tight.to_string());
    let why = lines[0]["why"].as_str().unwrap();
    assert!(why.starts_with("the evidence store is "), "{why}");
    assert_eq!(store.losses().clips_left_out, 1);
}

/// Debris is not seen again after a crash: all of it was there when the zone began to be watched.
#[test]
fn of_what_is_recorded_at_once_the_book_knows_from_the_first_picture_on() {
    let mut town = Town::new(Budget::default());
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let mut cut_short = 0;
    for n in 0.. {
        let case = CaseId(uuid::Uuid::from_u128(1_000 + u128::from(n)));
        let mut orders = opens_with_a_picture(case, scene.at);
        let mut before = orders[1].clone();
        if let Order::Snap { kind, .. } = &mut before {
            *kind = ShotKind::Before;
        }
        orders.insert(1, before);
        let book = format!("{n} is open");
        fault::plan(n, fault::Mode::Forever(Errno::IO));
        town.keeper.carry(work(&scene, orders, book.clone()));
        let through = fault::clear();
        // As killed at that step, and started again.
        town.keeper.unsaved = None;
        town.keeper.hits = Hits::new(store.clone(), &town.keeper.facts.config.camera);
        let known = store.book().unwrap() == Some(book);
        let files = store.drafts(case).unwrap().len();
        assert_eq!(known, files > 0, "step {n}: {files} files");
        if known {
            let notes = Notes::read(store.draft_note(case).unwrap().as_deref());
            assert!(
                notes.peak.is_some(),
                "step {n}: when it is sealed it is not known"
            );
            cut_short += u32::from(files < 6);
        }
        if through {
            assert_eq!(files, 6, "two pictures, each with close-up and marked copy");
            break;
        }
    }
    assert!(cut_short > 0);
}
