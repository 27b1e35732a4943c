//! The store from outside, beside the process that has it.

use serde_json::json;

use super::*;
use crate::journal::kind;
use crate::witness::Container;

fn view(dir: &Path) -> View {
    View::open(&config(dir)).unwrap()
}

fn texts(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_store_is_seen_while_it_is_used_and_afterwards() {
    let dir = folder();
    let missing = View::open(&config(dir.path())).unwrap_err();
    assert!(
        missing.to_string().contains("there is no store at"),
        "{missing}"
    );
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    keep_and_seal(&store, case(2));
    receipt(&store, case(1)).unwrap();
    let look = |used: InUse| {
        let view = view(dir.path());
        assert_eq!(view.in_use(), used);
        assert_eq!(view.device().unwrap().as_deref(), Some(DEVICE));
        let counts = view.counts().unwrap();
        assert_eq!((counts.pending.packages, counts.states.len()), (1, 2));
        let packages = view.packages().unwrap();
        let states: Vec<_> = packages.iter().map(|p| (p.id, p.seq, p.state)).collect();
        assert_eq!(
            states,
            [(case(1), 1, State::Receipted), (case(2), 2, State::Queued)]
        );
        assert_eq!(view.check(&mut |_, _| ()).unwrap(), []);
        let (bytes, first) = view.sealed_since(0).unwrap();
        assert_eq!(bytes, packages.iter().map(|p| p.bytes).sum::<u64>());
        assert_eq!(first, Some(packages[0].sealed_ms));
        assert!(view.room().unwrap().used > bytes);
    };
    look(InUse::By(Some(std::process::id())));
    // Others write to this disk too: its free bytes are no fact of the store's.
    let counted = |counts: Counts| Counts {
        free_bytes: 0,
        ..counts
    };
    assert_eq!(
        counted(view(dir.path()).counts().unwrap()),
        counted(store.counts().unwrap())
    );
    drop(store);
    look(InUse::No);
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let error = View::open(&config(dir.path())).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
}

/// What is left of a box is perhaps its disk, and the database on it broken.
#[test]
fn a_store_says_whose_it_is_without_its_database() {
    let dir = folder();
    assert!(device_of(dir.path()).is_err(), "no store");
    let store = open(dir.path());
    assert_eq!(
        device_of(dir.path()).unwrap(),
        None,
        "nothing was ever done"
    );
    let boot = |device: &str| store.note(NOW, kind::BOOT, json!({ "device": device }));
    boot("LM-BEFORE").unwrap();
    boot(DEVICE).unwrap();
    let device = || device_of(dir.path()).unwrap();
    assert_eq!(device().as_deref(), Some(DEVICE), "its last word");
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let state = |n: u8, device: &str| {
        let folder = dir.path().join("packages").join(case(n).to_string());
        disk::create_dir(&folder).unwrap();
        let said = json!({ "device": { "id": device } }).to_string();
        disk::write_new(&folder.join("evidence.json"), said.as_bytes()).unwrap();
    };
    state(1, DEVICE);
    disk::create_dir(&dir.path().join("packages/lost+found")).unwrap();
    assert_eq!(device().as_deref(), Some(DEVICE), "its packages");
    state(2, "LM-OTHER");
    assert_eq!(device(), None, "two boxes' packages");
}

#[test]
fn check_names_whatever_is_not_as_it_should_be() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=4 {
        keep_and_seal(&store, case(n));
    }
    drop(store);
    let packages = dir.path().join("packages");
    let of = |n: u8| packages.join(case(n).to_string());
    fs::remove_file(of(1).join("clip.mp4")).unwrap();
    disk::write_new(&of(2).join("extra.jpg"), b"x").unwrap();
    fs::remove_dir_all(of(3)).unwrap();
    fs::create_dir(packages.join("lost+found")).unwrap();
    let copied = fs::read(of(4).join("evidence.json")).unwrap();
    let stray = packages.join(case(9).to_string());
    disk::create_dir(&stray).unwrap();
    disk::write_new(&stray.join("evidence.json"), &copied).unwrap();
    let found = texts(&view(dir.path()).check(&mut |_, _| ()).unwrap());
    for (n, part) in [
        (case(1).to_string(), "clip.mp4 cannot be read"),
        (case(2).to_string(), "extra.jpg lies outside the signature"),
        (case(3).to_string(), "its directory is missing"),
        (case(9).to_string(), "it has no row"),
        ("lost+found".to_owned(), "no package of this store"),
    ] {
        let hit = found
            .iter()
            .any(|text| text.contains(&n) && text.contains(part));
        assert!(hit, "{n} {part}: {found:?}");
    }
    assert_eq!(found.len(), 5, "{found:?}");
}

#[test]
fn a_row_that_was_bent_to_a_changed_package_does_not_pass() {
    let dir = folder();
    let store = open(dir.path());
    keep_and_seal(&store, case(1));
    // Someone with root changes a picture, manifest, signature and the rows to match.
    let package = store.package_dir(case(1));
    let name = "META-INF/signature001.p7s";
    fs::remove_file(package.join(name)).unwrap();
    disk::write_new(&package.join(name), b"another").unwrap();
    {
        let conn = &store.inner().conn;
        conn.execute_batch("DROP TRIGGER blob_fixed").unwrap();
        conn.execute(
            "UPDATE blob SET size = 7, sha256 = ?1 WHERE name = ?2",
            [&sha256_hex(b"another"), name],
        )
        .unwrap();
    }
    let found = texts(&view(dir.path()).check(&mut |_, _| ()).unwrap());
    assert!(
        found[0].contains("not the one the journal names"),
        "{found:?}"
    );
}

#[test]
fn an_export_is_the_same_every_time_and_goes_on_where_it_was_cut_off() {
    let (dir, into) = (folder(), folder());
    let store = open(dir.path());
    for n in 1..=3 {
        keep_and_seal(&store, case(n));
    }
    let head = store.head();
    let view = view(dir.path());
    let packages = view.packages().unwrap();
    let export = |n: usize| view.export(&packages[n], into.path()).unwrap().1;
    let Export::Written(bytes) = export(0) else {
        panic!("not written");
    };
    let name = format!("{}.asice", case(1));
    let zip = fs::read(into.path().join(&name)).unwrap();
    assert_eq!(zip.len() as u64, bytes);
    let whole = Container::open(&into.path().join(&name)).unwrap();
    assert_eq!(
        whole,
        Container::from_dir(&store.package_dir(case(1))).unwrap()
    );
    assert_eq!(export(0), Export::There);
    // Cut off in the middle of the second, under the name it has meanwhile.
    let part = into.path().join(format!(".{}.asice.part", case(2)));
    disk::write_new(&part, &zip[..99]).unwrap();
    assert!(matches!(export(1), Export::Written(_)));
    assert!(!part.exists());
    // What came later is in the next export.
    receipt(&store, case(1)).unwrap();
    assert!(matches!(export(0), Export::Written(more) if more > bytes));
    // What is not whole is left, with its reason.
    fs::remove_file(store.package_dir(case(3)).join("clip.mp4")).unwrap();
    assert!(matches!(export(2), Export::Left(why) if why.contains("clip.mp4")));
    assert_eq!(disk::list(into.path()).unwrap().len(), 2);
    assert_eq!(store.state(case(2)).unwrap(), Some(State::Queued));
    assert_eq!(store.head().n, head.n + 1, "only the receipt's own line");
    let nowhere = view.export(&packages[1], &into.path().join("no/such"));
    assert!(nowhere.is_err());
}
