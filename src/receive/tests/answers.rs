//! What the archive answers: of what cannot be read, was forgotten, or was removed on purpose.

use std::slice;

use super::*;

/// The index was made anew, and of what a failing disk has spoilt it has no row.
#[test]
fn what_the_index_cannot_read_is_not_called_whole() {
    let bench = Bench::new();
    let config = bench.config();
    let (_, mut desk) = Bench::open(&config).unwrap();
    let packages: Vec<Container> = (1..=4).map(|seq| sealed(&bench.pki, seq)).collect();
    for package in &packages {
        announce(&mut desk, package, now());
    }
    let ids: Vec<CaseId> = packages.iter().map(id_of).collect();
    let archive = || archive::Archive::open(slice::from_ref(&config.dir), now()).unwrap();
    let missing = || {
        let missing = archive().missing(DEVICE).unwrap().into_iter();
        let told = missing.map(|m| match m.gap {
            archive::Gap::Unreadable { id, .. } => (m.from, m.to, Some(id)),
            _ => (m.from, m.to, None),
        });
        told.collect::<Vec<_>>()
    };
    let broken = || {
        let broken = archive().broken(DEVICE).unwrap().into_iter();
        broken.map(|one| (one.seq, one.id)).collect::<Vec<_>>()
    };
    let spoil = |n: usize, names: &[&str]| {
        for name in names {
            let draft = bench.dir.path().join("draft");
            disk::replace(&draft, &bench.place(ids[n]).join(name), b"").unwrap();
        }
    };
    assert_eq!((missing(), broken()), (vec![], vec![]));

    // Each part that names the number helps; without both it is not known.
    spoil(1, &[witness::STATEMENT, RECEIPT]);
    spoil(2, &[RECEIPT]);
    spoil(3, &[witness::STATEMENT]);
    assert_eq!(broken(), [(2, ids[1]), (3, ids[2]), (4, ids[3])]);
    fs::remove_file(config.dir.join("index.db")).unwrap();
    assert_eq!(broken(), [(0, ids[1]), (3, ids[2]), (4, ids[3])]);
    let told = [
        (0, 0, Some(ids[1])),
        (2, 2, None),
        (3, 3, Some(ids[2])),
        (4, 4, Some(ids[3])),
    ];
    assert_eq!(missing(), told);
    assert_eq!(archive().device(DEVICE).unwrap().missing, 4);

    // With nothing else of it the device is asked about all the same.
    for id in [ids[0], ids[2], ids[3]] {
        fs::remove_dir_all(bench.place(id)).unwrap();
    }
    fs::remove_file(config.dir.join("index.db")).unwrap();
    assert_eq!(archive().devices().unwrap(), [DEVICE]);
    assert_eq!(missing(), [(0, 0, Some(ids[1]))]);
    assert_eq!(broken(), [(0, ids[1])]);
    // Whole in another folder it is not missing.
    let other = config::Receive {
        dir: bench.dir.path().join("other"),
        ..bench.config()
    };
    let (_, mut desk) = Bench::open(&other).unwrap();
    announce(&mut desk, &packages[0], now());
    announce(&mut desk, &packages[1], now());
    let both = [config.dir.clone(), other.dir];
    let both = archive::Archive::open(&both, now()).unwrap();
    assert_eq!(both.missing(DEVICE).unwrap(), []);
    assert_eq!(both.broken(DEVICE).unwrap().len(), 1);
}

/// A box with a metered link tells again after days what its receiver has forgotten.
#[test]
fn the_first_head_says_whether_a_package_is_history_also_after_it_was_forgotten() {
    const DAYS: u64 = 4 * 86_400;
    let bench = Bench::new();
    let config = bench.config();
    let (office, mut desk) = Bench::open(&config).unwrap();
    office.see_to_index(now()).unwrap();
    let picture: &[u8] = b"one picture";
    let packages = [1, 2, 3].map(|seq| with_pictures(&bench.pki, seq, &[picture]));
    let mut hear = |package: &Container, late| {
        let head = package.head().to_zip();
        let topic = Topic::new(DEVICE, Subject::Head);
        let said = desk.hear(&topic, (&head, late), now()).unwrap();
        desk.drop_stale(u64::MAX).unwrap();
        match said.events[..] {
            [Event::Announced { late, .. }] => late,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(hear(&packages[0], None), None);
    assert_eq!(hear(&packages[1], Some(600)), Some(600));
    // Before and after the index was told of the first.
    for _ in 0..2 {
        assert_eq!(hear(&packages[0], Some(DAYS)), None);
        assert_eq!(hear(&packages[1], Some(DAYS)), Some(600));
        office.indexed(|_| Ok(())).unwrap();
    }
    let archive = archive::Archive::open(slice::from_ref(&config.dir), now()).unwrap();
    let told = archive.announced(DEVICE).unwrap().into_iter();
    let told: Vec<_> = told.map(|a| (a.seq, a.late)).collect();
    assert_eq!(told, [(1, None), (2, Some(600))]);
    // What nobody remembers is what its box says.
    fs::remove_file(config.dir.join("index.db")).unwrap();
    office.see_to_index(now()).unwrap();
    assert_eq!(hear(&packages[0], Some(DAYS)), Some(DAYS));
    assert_eq!(hear(&packages[2], Some(DAYS)), Some(DAYS));
}

/// Removed on purpose it is not missing, and not there either, on neither medium.
#[test]
fn what_was_removed_on_purpose_is_not_missing() {
    let bench = Bench::new();
    let (config, medium) = bench.with_medium();
    let (office, mut desk) = Bench::open(&config).unwrap();
    office.see_to_index(now()).unwrap();
    let packages: Vec<Container> = (1..=5).map(|seq| sealed(&bench.pki, seq)).collect();
    for package in &packages {
        let answer = receipt(announce(&mut desk, package, now()), &bench.roots());
        assert_eq!(answer.copies, 2);
    }
    office.indexed(|_| Ok(())).unwrap();
    let ids: Vec<CaseId> = packages.iter().map(id_of).collect();
    let name = |n: usize| format!("{DEVICE}/{}", ids[n]);
    let gaps = || {
        let archive = archive::Archive::open(slice::from_ref(&config.dir), now()).unwrap();
        let missing = archive.missing(DEVICE).unwrap().into_iter();
        let told = missing.map(|m| (m.from, m.to, m.gap));
        told.collect::<Vec<_>>()
    };
    let removed = |names: &[String], copies: Option<&Path>| {
        remove(&config.dir, copies, names, ("90 days", now()))
    };
    // Nothing is removed when one of them is not known, or its copy would stay.
    let unknown = format!("{DEVICE}/{}", CaseId(Uuid::from_u128(1)));
    let wrong = ["..", "../x", &unknown].map(ToOwned::to_owned);
    for wrong in wrong {
        let failed = removed(&[name(0), wrong], Some(&medium));
        assert!(
            matches!(failed, Err(ReceiveError::NoPackage(_))),
            "{failed:?}"
        );
    }
    let failed = removed(&[name(0)], None);
    assert!(
        matches!(failed, Err(ReceiveError::SecondCopy(_))),
        "{failed:?}"
    );
    assert!(removed(&[name(0)], Some(&config.dir)).is_err(), "no medium");
    assert!(bench.place(ids[0]).exists() && gaps().is_empty());

    // What was set aside of one has its pictures too; another's stays.
    let aside = |name: &str| layout::broken(&config.dir).join(DEVICE).join(name);
    let of = |n: usize, end: &str| aside(&format!("{}.{end}", ids[n]));
    for left in [of(0, "1"), of(0, "by-hand"), of(1, "1")] {
        fs::create_dir_all(&left).unwrap();
        disk::write_new(&left.join("picture"), b"a picture").unwrap();
    }
    let told = removed(&[name(0), name(4)], Some(&medium)).unwrap();
    assert_eq!(told.iter().map(|one| one.seq).collect::<Vec<_>>(), [1, 5]);
    for id in [ids[0], ids[4]] {
        assert!(!bench.place(id).exists());
        assert!(!layout::place(&medium, DEVICE, id).exists());
    }
    assert_eq!(disk::list(&aside("")).unwrap(), [format!("{}.1", ids[1])]);
    assert_eq!(gaps(), []);
    // One is taken away without a word: that shows, and a torn line hides nothing of the others.
    fs::remove_dir_all(bench.place(ids[1])).unwrap();
    let path = layout::removed(&config.dir, DEVICE);
    let file = disk::open_append(&path).unwrap();
    disk::write_all(&file, &path, b"{\"v\":1,\"type\":\"lingmou.rem").unwrap();
    assert!(matches!(gaps()[..], [(2, 2, archive::Gap::Gone { .. })]));
    // It is said afterwards.
    removed(&[name(1)], Some(&medium)).unwrap();
    assert_eq!(gaps(), []);
    assert!(!layout::place(&medium, DEVICE, ids[1]).exists());
    let archive = archive::Archive::open(slice::from_ref(&config.dir), now()).unwrap();
    let kept = archive.packages(DEVICE).unwrap();
    let whys: Vec<_> = kept.iter().map(|kept| kept.removed.as_deref()).collect();
    let went = Some("90 days");
    assert_eq!(whys, [went, went, None, None, went]);
    drop(archive);
    // A new index knows nothing of them, and nothing is missing all the same.
    fs::remove_file(config.dir.join("index.db")).unwrap();
    assert_eq!(gaps(), []);
    fs::remove_dir_all(bench.place(ids[3])).unwrap();
    assert!(matches!(gaps()[..], [(4, 4, _)]));
}
