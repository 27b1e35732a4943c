//! Ends and books when the store has trouble: what was decided and who is to be warned is known
//! after a restart.

use rustix::io::Errno;

use super::*;
use crate::daemon::ends;
use crate::journal::disk::fault;
use crate::types::{Hit, HitOutcome};

fn record(at: Stamp) -> CaseRecord {
    CaseRecord {
        violation: Violation::Spillage,
        camera: 0,
        zone: "lane".to_owned(),
        first_seen: at,
        confirmed: at,
        warning: None,
        looked_again: None,
        outcome: Outcome::Recorded,
        prior: None,
        likeness: None,
        crossed: false,
    }
}

fn draft(name: &str, size: usize) -> Draft {
    Draft {
        name: name.to_owned(),
        media_type: "image/jpeg".to_owned(),
        at: None,
        pts_ns: None,
        bytes: vec![1; size],
    }
}

fn told(outcome: HitOutcome, at: Stamp) -> Hit {
    Hit {
        outcome,
        ..record(at).hit()
    }
}

/// A step that ends the case and opens another; the store fails it at its first write.
#[test]
fn an_end_that_waits_is_known_after_a_restart_and_so_is_what_came_after_it() {
    let mut town = Town::new(Budget::default());
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let [case, next] = [1, 2].map(|n| CaseId(uuid::Uuid::from_u128(n)));
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
    town.keeper.carry(&open);
    let seal = Order::Seal {
        case,
        record: Box::new(record(scene.at)),
    };
    fault::plan(0, fault::Mode::Once(Errno::IO));
    town.keeper
        .carry(&work(&scene, vec![seal], "the case has ended".to_owned()));
    assert!(!fault::clear(), "it failed");
    assert_eq!(store.sealed_between(1, 10).unwrap(), []);
    assert_eq!(town.keeper.state().waiting, 1);
    assert_eq!(store.book().unwrap().as_deref(), Some("the case has ended"));
    // Meanwhile another case begins.
    let book = "another is open";
    town.keeper
        .carry(&work(&scene, vec![opens(next)], book.to_owned()));
    assert_eq!(store.book().unwrap().as_deref(), Some(book));

    // Killed, and started again.
    let config = town.keeper.facts.config.clone();
    town.keeper.waiting = ends::left(&store, &config.camera).unwrap();
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
    assert!(ends::left(&store, &config.camera).unwrap().is_empty());

    // Under a configuration without its camera there is nothing to state.
    store
        .keep(next, &[draft("frames/01-peak.jpg", 100)], None)
        .unwrap();
    let mut waiting = Waiting {
        case: next,
        end: End::new(record(scene.at), &config.camera, None, TimeSource::Arrival),
        noted: false,
    };
    waiting.note(&store).unwrap();
    assert_eq!(ends::left(&store, &config.camera).unwrap().len(), 1);
    assert!(ends::left(&store, &[]).unwrap().is_empty());
}

#[test]
fn nobody_is_warned_whom_no_saved_book_knows() {
    let mut town = Town::build(|config| {
        config.camera[0].url = "rtsp://127.0.0.1:9/".to_owned();
        config.store.quota_mib = 1;
    });
    let store = town.keeper.store.clone();
    let scene = day::scenes().next().unwrap().1;
    let [other, case] = [1, 2].map(|n| CaseId(uuid::Uuid::from_u128(n)));
    store
        .keep(other, &[draft("frames/01-found.jpg", 1_000_000)], None)
        .unwrap();
    assert_eq!(store.room().unwrap().level(), Level::Shut);
    let place = Area {
        x0: 0.2,
        y0: 0.5,
        x1: 0.4,
        y1: 0.7,
    };
    let snap = Order::Snap {
        case,
        violation: Violation::StreetVending,
        kind: crate::types::ShotKind::Found,
        at: scene.at,
        subject: Some(place),
        place,
        zone: "kerb".to_owned(),
    };
    let warn = Order::Warn {
        case,
        violation: Violation::StreetVending,
        zone: "kerb".to_owned(),
    };
    let step = work(&scene, vec![snap, warn], "who is warned".to_owned());
    town.keeper.carry(&step);
    assert!(town.keeper.state().trouble.is_some(), "no picture was kept");
    assert_eq!(store.drafts(case).unwrap(), []);
    assert_eq!(town.shouts.try_recv().unwrap().case, case);
    assert_eq!(store.book().unwrap().as_deref(), Some("who is warned"));
}
