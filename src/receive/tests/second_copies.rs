//! The second copies: made, mended from, told of, and added to.

use super::*;
use crate::link::message::{Presence, PresenceState};
use crate::receive::upkeep::Place;
use crate::witness::{Opinion, ReviewVerdict};

/// A review is written into the first copy, weeks after the receipt.
#[test]
fn a_review_comes_to_the_second_copy() {
    let bench = Bench::new();
    let (config, medium) = bench.with_medium();
    let (office, mut desk) = Bench::open(&config).unwrap();
    office.see_to_index(now()).unwrap();
    let package = sealed(&bench.pki, 1);
    announce(&mut desk, &package, now());
    let id = id_of(&package);
    let (ours, copy) = (bench.place(id), layout::place(&medium, DEVICE, id));
    let reviewer = Identity::load(&bench.pki.reviewers[0], "reviewer").unwrap();
    let opinion = Opinion {
        verdict: ReviewVerdict::Accept,
        reason: "clear",
    };
    let files = Container::from_dir(&ours).unwrap();
    for (name, bytes) in witness::review(&files, opinion, &reviewer, now()).unwrap() {
        disk::write_under(&ours, &name, &bytes).unwrap();
    }
    let mut place = Place::default();
    for _ in 0..2 {
        assert_eq!(office.catch_up(&mut place, now()), []);
    }
    let verdict = witness::verify_path(&copy, &bench.roots()).unwrap();
    assert!(verdict.valid(), "{verdict:?}");
    assert_eq!(verdict.reviews.len(), 1);
    assert_eq!(verdict.reviews[0].level, Some(1));
    let copied = Container::from_dir(&copy).unwrap();
    for (name, bytes) in files.files() {
        assert_eq!(copied.get(name), Some(bytes), "{name}");
    }
}

/// A disk that loses or spoils a file, on either medium.
#[test]
fn a_broken_package_is_mended_from_its_second_copy() {
    let bench = Bench::new();
    let (config, medium) = bench.with_medium();
    let (office, mut desk) = Bench::open(&config).unwrap();
    let picture: &[u8] = b"one picture";
    let package = with_pictures(&bench.pki, 1, &[picture]);
    let (id, roots) = (id_of(&package), bench.roots());
    let [place, copy] = both(&config, &medium, id);
    assert!(is_receipt(
        offer(&mut desk, &package, &[picture]).unwrap(),
        &roots
    ));
    let valid = |place: &Path| witness::verify_path(place, &roots).unwrap().valid();
    let reviewer = Identity::load(&bench.pki.reviewers[0], "reviewer").unwrap();
    let opinion = Opinion {
        verdict: ReviewVerdict::Accept,
        reason: "clear",
    };
    let files = Container::from_dir(&copy).unwrap();
    let review = witness::review(&files, opinion, &reviewer, now()).unwrap();
    for (name, bytes) in &review {
        disk::write_under(&copy, name, bytes).unwrap();
    }
    let spoil = |dir: &Path, name: &str| {
        disk::replace(&bench.dir.path().join("draft"), &dir.join(name), b"rot").unwrap();
    };
    for (n, name) in ["frames/00.jpg", witness::SIGNATURE, witness::STATEMENT]
        .into_iter()
        .enumerate()
    {
        spoil(&place, name);
        let said = announce(&mut desk, &package, now());
        let told = |e: &Event| matches!(e, Event::Mended { .. });
        assert!(said.events.iter().any(told), "{name}: {:?}", said.events);
        let answer = receipt(said, &roots);
        assert_eq!((answer.verdict, answer.copies), (ReceiptVerdict::Stored, 2));
        assert!(valid(&place), "{name}");
        let added = |(name, _): &(String, _)| place.join(name).is_file();
        assert!(review.iter().all(added), "what was added comes too");
        let aside = layout::broken(&config.dir).join(DEVICE);
        let aside = aside.join(format!("{id}.{}", n + 1));
        assert_eq!(fs::read(aside.join(name)).unwrap(), b"rot");
    }
    let page = office.figures.page();
    assert!(page.contains("lingmou_receive_mended_total 3\n"), "{page}");

    // What is broken too mends nothing: the device is asked, and both are whole again.
    for dir in [&place, &copy] {
        spoil(dir, "frames/00.jpg");
    }
    let said = announce(&mut desk, &package, now());
    let (topic, _) = said.answer.unwrap();
    assert!(topic.ends_with("want"), "{topic}");
    assert!(is_receipt(
        offer(&mut desk, &package, &[picture]).unwrap(),
        &roots
    ));
    assert!(valid(&place) && valid(&copy));
}

/// A box may remove its pictures by a word that says two copies.
#[test]
fn a_second_copy_is_not_told_of_while_the_first_is_broken() {
    let bench = Bench::new();
    let (config, medium) = bench.with_medium();
    let (office, mut desk) = Bench::open(&config).unwrap();
    let picture: &[u8] = b"one picture";
    let package = with_pictures(&bench.pki, 1, &[picture]);
    let answer = offer(&mut desk, &package, &[picture]).unwrap();
    assert!(is_receipt(answer, &bench.roots()));
    let id = id_of(&package);
    let marker = medium.join("lingmou-copies.json");
    let aside = medium.join("aside");
    let mut told = office.later.told().unwrap();
    let presence = Presence {
        copies: vec![id.to_string()],
        ..Presence::bare(PresenceState::Ready, 1)
    };
    let presence = serde_json::to_vec(&presence).unwrap();
    let mut ask = || {
        hear(&mut desk, Subject::State, &presence, now());
        let asked = std::iter::from_fn(|| office.later.next_asked());
        let told = asked.filter_map(|(device, id)| office.tell_again(&device, id));
        told.collect::<Vec<_>>()
    };
    assert_eq!(ask(), []);
    assert!(told.try_recv().is_ok());
    fs::remove_file(bench.place(id).join("frames/00.jpg")).unwrap();
    disk::rename(&marker, &aside).unwrap();
    let events = ask();
    assert!(
        matches!(&events[..], [Event::Broken { id: it, .. }] if *it == id),
        "{events:?}"
    );
    assert_eq!(ask(), [], "told once");
    assert!(told.try_recv().is_err());
    // With the medium in place it is mended first.
    disk::rename(&aside, &marker).unwrap();
    let events = ask();
    assert!(
        matches!(&events[..], [Event::Mended { id: it, .. }] if *it == id),
        "{events:?}"
    );
    assert!(told.try_recv().is_ok());
    assert!(bench.place(id).join("frames/00.jpg").is_file());
}

/// The first copy rots before the second is made, or before it is told of.
#[test]
fn no_second_copy_is_made_or_told_of_while_the_first_is_broken() {
    let bench = Bench::new();
    let (config, medium) = bench.with_medium();
    let marker = medium.join("lingmou-copies.json");
    let aside = medium.join("aside");
    disk::rename(&marker, &aside).unwrap();
    let (office, mut desk) = Bench::open(&config).unwrap();
    office.see_to_index(now()).unwrap();
    let mut told = office.later.told().unwrap();
    let picture: &[u8] = b"one picture";
    let package = with_pictures(&bench.pki, 1, &[picture]);
    let (id, roots) = (id_of(&package), bench.roots());
    let [place, copy] = both(&config, &medium, id);
    let answer = offer(&mut desk, &package, &[picture]).unwrap();
    assert!(is_receipt(answer, &roots));
    disk::rename(&aside, &marker).unwrap();
    let lay = |bytes: &[u8]| {
        let draft = bench.dir.path().join("draft");
        disk::replace(&draft, &place.join("frames/00.jpg"), bytes).unwrap();
    };
    let mut rounds = (Place::default(), now());
    // Two, for one may only find the end of the order.
    let mut round = || {
        let mut events = Vec::new();
        for _ in 0..2 {
            rounds.1 = rounds.1.shifted_ns(600_000_000_000);
            events.extend(office.catch_up(&mut rounds.0, rounds.1));
        }
        events
    };
    lay(b"rot");
    let events = round();
    assert!(
        matches!(&events[..], [Event::Broken { id: it, .. }] if *it == id),
        "{events:?}"
    );
    assert_eq!(round(), [], "told once");
    assert!(!copy.exists() && told.try_recv().is_err());
    assert!(!place.join(LATER_RECEIPT).exists());

    // A copy that lies there whole, laid by hand and not yet told of, mends it: then there are two.
    for name in Container::from_dir(&place).unwrap().files().map(|it| it.0) {
        let bytes = match name {
            "frames/00.jpg" => picture.to_vec(),
            _ => fs::read(place.join(name)).unwrap(),
        };
        fs::create_dir_all(copy.join(name).parent().unwrap()).unwrap();
        disk::write_new(&copy.join(name), &bytes).unwrap();
    }
    assert!(!layout::incoming(&medium).exists());
    let events = round();
    assert!(
        matches!(&events[..], [Event::Mended { id: it, .. }] if *it == id),
        "{events:?}"
    );
    assert!(told.try_recv().is_ok());
    for dir in [&place, &copy] {
        assert!(dir.join(LATER_RECEIPT).is_file());
        assert!(witness::verify_path(dir, &roots).unwrap().valid());
    }
}

/// Each try writes on it, and it stays so for days.
#[test]
fn a_medium_that_takes_nothing_is_tried_ever_more_rarely() {
    let bench = Bench::new();
    let (config, medium) = bench.with_medium();
    let (office, mut desk) = Bench::open(&config).unwrap();
    office.see_to_index(now()).unwrap();
    let in_the_way = medium.join("packages");
    disk::write_new(&in_the_way, b"").unwrap();
    for seq in 1..=6 {
        let package = sealed(&bench.pki, seq);
        let answer = receipt(announce(&mut desk, &package, now()), &bench.roots());
        assert_eq!(answer.copies, 1);
    }
    let failed = || {
        let page = office.figures.page();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(r#"lingmou_receive_errors_total{kind="copy"} "#));
        line.unwrap().parse::<u64>().unwrap()
    };
    let (mut place, start) = (Place::default(), now());
    let mut round = |secs: i64| {
        let before = failed();
        office.catch_up(&mut place, start.shifted_ns(secs * 1_000_000_000));
        failed() - before
    };
    assert_eq!(round(0), 4);
    // Half an hour, a round each two seconds.
    let tries: u64 = (1..900).map(|n| round(2 * n)).sum();
    assert!((8..=16).contains(&tries), "{tries}");
    // Taken out and put in again it is tried at once.
    let marker = medium.join("lingmou-copies.json");
    let aside = medium.join("aside");
    disk::rename(&marker, &aside).unwrap();
    round(1800);
    disk::rename(&aside, &marker).unwrap();
    assert_eq!(round(1802), 4);
    // With room again everything comes.
    fs::remove_file(&in_the_way).unwrap();
    for n in 0..=4 {
        assert_eq!(round(1804 + 2 * n), 0);
    }
    assert_eq!(office.indexed(|index| index.counts()).unwrap()[2], 0);
}
