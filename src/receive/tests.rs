//! A desk and its office without a broker: what is signed, when, and what becomes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::slice;

use rustix::io::Errno;
use tempfile::TempDir;
use uuid::Uuid;

use super::desks::desk_of;
use super::head::Head;
use super::mend::Whole;
use super::upkeep::Place;
use super::*;
use crate::clock;
use crate::disk;
use crate::disk::fault::{self, Mode};
use crate::link::message::{Finished, Presence, PresenceState};
use crate::pki::{TestPki, TestPkiPlan};
use crate::types::{CaseId, Outcome, Stamp, Violation};
use crate::witness::{
    self, Checkpoint, Container, FileEntry, Identity, JournalPoint, KeyError, LATER_RECEIPT,
    Opinion, RECEIPT, Receipt, ReceiptVerdict, ReviewVerdict, Roots, Statement, ViolationFacts,
};

const DEVICE: &str = "LM-1";

/// A package without pictures, sealed with the device's key.
pub(super) fn sealed(pki: &TestPki, seq: u64) -> Container {
    sealed_at(pki, (seq, clock::now()), |_| {})
}

/// A package with pictures.
pub(super) fn with_pictures(pki: &TestPki, seq: u64, pictures: &[&[u8]]) -> Container {
    let name = |n: usize| format!("frames/{n:02}.jpg");
    let entry = |(n, bytes): (usize, &&[u8])| FileEntry {
        name: name(n),
        media_type: "image/jpeg".to_owned(),
        size: bytes.len() as u64,
        sha256: witness::sha256_hex(bytes),
        at: None,
        pts_ns: None,
        capture_source: None,
        of: None,
        quality: None,
    };
    let mut package = sealed_at(pki, (seq, clock::now()), |statement| {
        statement.files = pictures.iter().enumerate().map(entry).collect();
    });
    for (n, bytes) in pictures.iter().enumerate() {
        package.insert(&name(n), bytes.to_vec()).unwrap();
    }
    package
}

fn sealed_at(
    pki: &TestPki,
    (seq, at): (u64, Stamp),
    state: impl FnOnce(&mut Statement),
) -> Container {
    let violation = ViolationFacts::bare(Violation::StreetVending, Outcome::Persisted, at);
    let id = CaseId(Uuid::from_u128(
        0x0198_f0a2_0000_7000_8000_0000_0000_0000 + u128::from(seq),
    ));
    let mut statement = Statement::bare(DEVICE, id, violation, at);
    statement.seq = seq;
    state(&mut statement);
    let identity = Identity::load(&pki.device, "evidence").unwrap();
    let sealed = witness::seal(&statement, &identity, at).unwrap();
    let mut package = Container::new();
    for (name, bytes) in sealed.parts() {
        package.insert(name, bytes.to_vec()).unwrap();
    }
    package
}

/// A receiver's folder and keys.
struct Bench {
    dir: TempDir,
    pki: TestPki,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
        Self { dir, pki }
    }

    fn config(&self) -> config::Receive {
        config::Receive {
            name: "receiver-1".to_owned(),
            host: "127.0.0.1".to_owned(),
            keys: self.pki.receiver.clone(),
            dir: self.dir.path().join("received"),
            ..config::Receive::default()
        }
    }

    /// The same with a second medium that is in place, and where that is.
    fn with_medium(&self) -> (config::Receive, PathBuf) {
        let medium = self.dir.path().join("medium");
        fs::create_dir(&medium).unwrap();
        let marker = medium.join("lingmou-copies.json");
        disk::write_new(&marker, b"{\"v\":1,\"type\":\"lingmou.copies\"}").unwrap();
        let copy_to = Some(medium.clone());
        let config = config::Receive {
            copy_to,
            ..self.config()
        };
        (config, medium)
    }

    /// The desk of the device, in the office.
    fn open(config: &config::Receive) -> Result<(Arc<Office>, Desk), ReceiveError> {
        let figures = Arc::new(Figures::new(&config.dir));
        let (office, mut desks) = Desk::open_all(config, figures)?;
        Ok((office, desks.swap_remove(desk_of(DEVICE))))
    }

    fn place(&self, id: CaseId) -> PathBuf {
        layout::place(&self.config().dir, DEVICE, id)
    }

    fn roots(&self) -> Roots {
        Roots::load(&self.pki.root()).unwrap()
    }
}

/// Now, by a clock that is synchronised.
fn now() -> Stamp {
    Stamp {
        error_ns: 1_000_000,
        ..clock::now()
    }
}

fn id_of(package: &Container) -> CaseId {
    Statement::parse(package.get(witness::STATEMENT).unwrap())
        .unwrap()
        .id
}

fn hear(desk: &mut Desk, subject: Subject, payload: &[u8], at: Stamp) -> Said {
    desk.hear(&Topic::new(DEVICE, subject), (payload, None), at)
        .unwrap()
}

fn announce(desk: &mut Desk, package: &Container, at: Stamp) -> Said {
    hear(desk, Subject::Head, &package.head().to_zip(), at)
}

/// The receipt that is answered, as the box believes it.
fn receipt(said: Said, roots: &Roots) -> Receipt {
    let (topic, p7m) = said.answer.expect("an answer");
    assert_eq!(topic, "ev1/LM-1/d/receipt");
    Receipt::open(&p7m, roots).unwrap().0
}

fn why(event: Option<Event>) -> String {
    match event {
        Some(Event::Trouble { why }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_receipt_is_signed_that_nobody_would_believe() {
    let bench = Bench::new();
    let (office, mut desk) = Bench::open(&bench.config()).unwrap();
    let package = sealed(&bench.pki, 1);
    let place = bench.place(id_of(&package));
    let ended = Stamp {
        utc_ns: (office.identity.not_after() + 3600) * 1_000_000_000,
        ..now()
    };
    let unsynced = Stamp {
        error_ns: Stamp::ERROR_UNKNOWN,
        ..now()
    };
    for (at, told) in [(ended, "expired on"), (unsynced, "no receipt is signed")] {
        assert!(announce(&mut desk, &package, at).answer.is_none(), "{told}");
        assert!(!place.exists(), "{told}");
        let event = why(office.tell_signing(at));
        assert!(event.contains(told), "{event}");
        assert_eq!(office.tell_signing(at), None, "told once");
    }
    let page = office.figures.page();
    for line in [
        r#"lingmou_receive_errors_total{kind="sign"} 2"#,
        "lingmou_receive_clock_synchronised 0",
    ] {
        assert!(page.lines().any(|l| l == line), "{line}\n{page}");
    }
    // What was refused would not be believed either.
    let foreign = TestPki::create(&bench.dir.path().join("foreign"), DEVICE).unwrap();
    let forged = sealed(&foreign, 2);
    assert!(announce(&mut desk, &forged, ended).answer.is_none());

    // The box comes again.
    let answer = receipt(announce(&mut desk, &package, now()), &bench.roots());
    assert_eq!(answer.verdict, ReceiptVerdict::Stored);
    assert!(office.tell_signing(now()).is_none());
    assert!(place.is_dir());
    // A network without a time server.
    let mut config = bench.config();
    (config.name, config.any_clock) = ("receiver-2".to_owned(), true);
    config.keys = bench.pki.add_receiver("receiver-2").unwrap();
    let (_, mut desk) = Bench::open(&config).unwrap();
    let another = sealed(&bench.pki, 3);
    let answer = receipt(announce(&mut desk, &another, unsynced), &bench.roots());
    assert_eq!(answer.seq, 3);
}

#[test]
fn a_receiver_that_nobody_would_believe_does_not_start() {
    let bench = Bench::new();
    let at = u64::try_from(clock::now().utc_ns / 1_000_000_000).unwrap();
    let plan = TestPkiPlan {
        not_before: at - 7200,
        not_after: at - 3600,
    };
    let over = bench.dir.path().join("over");
    let over = TestPki::create_planned(&over, DEVICE, plan).unwrap();
    let mut config = bench.config();
    config.keys = over.receiver;
    let opened = Bench::open(&config).map(drop);
    assert!(
        matches!(opened, Err(ReceiveError::Key(KeyError::Expired { .. }))),
        "{opened:?}"
    );
    let foreign = TestPki::create(&bench.dir.path().join("foreign"), DEVICE).unwrap();
    fs::copy(foreign.root(), bench.pki.receiver.join("roots.crt")).unwrap();
    let opened = Bench::open(&bench.config()).map(drop);
    assert!(
        matches!(opened, Err(ReceiveError::Unbelievable(_))),
        "{opened:?}"
    );
}

/// Its certificate had ended when the receiver signed, before it asked; or its root is gone.
#[test]
fn a_receipt_that_nobody_believes_is_replaced_by_a_right_one() {
    let bench = Bench::new();
    let (office, mut desk) = Bench::open(&bench.config()).unwrap();
    let package = sealed(&bench.pki, 1);
    let (id, roots) = (id_of(&package), bench.roots());
    let place = bench.place(id);
    announce(&mut desk, &package, now());
    let head = package.head().to_zip();
    let Ok(head) = Head::open(&head, DEVICE, &roots) else {
        panic!("a head that does not hold");
    };
    let ended = Stamp {
        utc_ns: (office.identity.not_after() + 3600) * 1_000_000_000,
        ..now()
    };
    let bad = |copies| {
        let word = super::receipt::Word::Stored { copies };
        super::receipt::sign(&office.identity, &head, word, (None, ended)).unwrap()
    };
    let lay = |name: &str, p7m: &[u8]| {
        let draft = bench.dir.path().join("draft");
        disk::replace(&draft, &place.join(name), p7m).unwrap();
    };
    let finished = Finished { id: id.to_string() };
    let finished = serde_json::to_vec(&finished).unwrap();
    let sink = "receiver-1".to_owned();
    for later in [None, Some(bad(2))] {
        lay(RECEIPT, &bad(1));
        if let Some(later) = &later {
            lay(LATER_RECEIPT, later);
        }
        let subject = Subject::Finished { sink: sink.clone() };
        let said = hear(&mut desk, subject, &finished, now());
        assert!(said.answer.is_none(), "it is not sent");
        assert!(announce(&mut desk, &package, ended).answer.is_none());
        assert!(place.join(RECEIPT).is_file(), "nor is it lost");

        let answer = receipt(announce(&mut desk, &package, now()), &roots);
        assert_eq!(answer.copies, 1, "the second is read back before it counts");
        assert!(!place.join(LATER_RECEIPT).exists());
        let verdict = witness::verify_path(&place, &roots).unwrap();
        assert!(verdict.valid(), "{verdict:?}");
        let again = receipt(announce(&mut desk, &package, now()), &roots);
        assert_eq!(again, answer, "and stays");
    }
    // One that is not there any more does not hold either.
    fs::remove_file(place.join(RECEIPT)).unwrap();
    let answer = receipt(announce(&mut desk, &package, now()), &roots);
    assert_eq!(answer.verdict, ReceiptVerdict::Stored);
    assert!(place.join(RECEIPT).is_file());
    // A box that waits for its second copy does not get a word that it would not believe.
    lay(LATER_RECEIPT, &bad(2));
    let mut told = office.later.told().unwrap();
    assert_eq!(office.tell_again(DEVICE, id), None);
    assert!(told.try_recv().is_err());
    assert!(!place.join(LATER_RECEIPT).exists());
}

#[test]
fn a_clock_that_is_behind_the_boxes_is_told_and_counted() {
    let bench = Bench::new();
    let (office, mut desk) = Bench::open(&bench.config()).unwrap();
    let behind = now().shifted_ns(-60_000_000_000);
    for (seq, error_ns, tells) in [
        (1, 500_000_000, 1),
        (2, 61_000_000_000, 0),
        (3, Stamp::ERROR_UNKNOWN, 0),
    ] {
        let at = Stamp { error_ns, ..now() };
        let package = sealed_at(&bench.pki, (seq, at), |_| {});
        let said = announce(&mut desk, &package, behind);
        let told = |e: &&Event| matches!(e, Event::Trouble { why } if why.contains("clock"));
        assert_eq!(said.events.iter().filter(told).count(), tells, "{seq}");
    }
    let page = office.figures.page();
    assert!(
        page.contains("lingmou_receive_clocks_differ_total 1\n"),
        "{page}"
    );
}

#[test]
fn a_checkpoint_is_not_judged_by_roots_of_yesterday_and_a_known_line_is_not_forgotten() {
    let bench = Bench::new();
    let other = TestPki::create(&bench.dir.path().join("other"), DEVICE).unwrap();
    let (_, mut desk) = Bench::open(&bench.config()).unwrap();
    let checkpoint = |pki: &TestPki, n: u64| {
        let identity = Identity::load(&pki.device, "evidence").unwrap();
        Checkpoint::sign(&identity, (n, &"a".repeat(64)), "boot", now()).unwrap()
    };
    let ours = bench.pki.receiver.join("roots.crt");
    let old = fs::read(&ours).unwrap();
    let said = hear(&mut desk, Subject::Journal, &checkpoint(&other, 50), now());
    assert!(matches!(said.events[..], [Event::Ignored { .. }]));
    // The bureau adds a root while the receiver works.
    let draft = bench.dir.path().join("draft");
    let new = fs::read(other.root()).unwrap();
    disk::replace(&draft, &ours, &[old.clone(), new].concat()).unwrap();
    let said = hear(&mut desk, Subject::Journal, &checkpoint(&other, 50), now());
    assert!(
        matches!(said.events[..], [Event::Checkpoint { n: 50, .. }]),
        "{:?}",
        said.events
    );
    drop(desk);
    // And takes it away again: the box comes back with a journal that was cut.
    disk::replace(&draft, &ours, &old).unwrap();
    let (_, mut desk) = Bench::open(&bench.config()).unwrap();
    let said = hear(
        &mut desk,
        Subject::Journal,
        &checkpoint(&bench.pki, 49),
        now(),
    );
    assert!(matches!(said.events[..], [Event::HeadRefused { .. }]));
}

#[test]
fn what_a_refused_head_claims_of_a_journal_is_not_attested_and_doubts_are_told_each_time() {
    let bench = Bench::new();
    let (_, mut desk) = Bench::open(&bench.config()).unwrap();
    let roots = bench.roots();
    let foreign = TestPki::create(&bench.dir.path().join("foreign"), DEVICE).unwrap();
    let forged = sealed_at(&foreign, (1, now()), |statement| {
        statement.journal = JournalPoint {
            n: 1000,
            prev: "f".repeat(64),
        };
    });
    let answer = receipt(announce(&mut desk, &forged, now()), &roots);
    assert_eq!(
        (answer.verdict, answer.head),
        (ReceiptVerdict::Refused, None)
    );
    let identity = Identity::load(&bench.pki.device, "evidence").unwrap();
    let p7m = Checkpoint::sign(&identity, (5, &"a".repeat(64)), "boot", now()).unwrap();
    hear(&mut desk, Subject::Journal, &p7m, now());
    let package = sealed_at(&bench.pki, (2, now()), |statement| {
        statement.journal = JournalPoint {
            n: 6,
            prev: "b".repeat(64),
        };
    });
    for time in ["first", "again"] {
        let said = announce(&mut desk, &package, now());
        let doubt = |e: &Event| matches!(e, Event::HeadRefused { .. });
        assert!(said.events.iter().any(doubt), "{time}");
        assert_eq!(receipt(said, &roots).verdict, ReceiptVerdict::Stored);
    }
    // A refusal that another receiver takes away while the folder is read is no trouble.
    let refused = layout::refused(&bench.config().dir).join(DEVICE);
    let gone = CaseId(Uuid::from_u128(7));
    let name = format!("{gone}{}", layout::SIGNED);
    std::os::unix::fs::symlink("nowhere", refused.join(name)).unwrap();
    let archive = archive::Archive::open(&[bench.config().dir], now()).unwrap();
    assert_eq!(archive.refusals(DEVICE).unwrap().len(), 1);
}

#[test]
fn news_that_were_not_told_are_joined_with_what_came_meanwhile() {
    let news = |seen: &str, state: Option<&str>, seq, journal: Option<u64>| kept::News {
        seen: seen.to_owned(),
        state: state.map(ToOwned::to_owned),
        seq,
        journal: journal.map(|n| (n, n.to_string())),
    };
    for (mut later, untold) in [
        (
            news("2026-02", None, 0, None),
            news("2026-01", Some("ready"), 7, Some(9)),
        ),
        (
            news("2026-02", Some("ready"), 7, Some(9)),
            news("", Some("lost"), 3, Some(8)),
        ),
    ] {
        later.join(untold);
        let kept::News {
            seen,
            state,
            seq,
            journal,
        } = later;
        assert_eq!(
            (&*seen, state.as_deref(), seq),
            ("2026-02", Some("ready"), 7)
        );
        assert_eq!(journal, Some((9, "9".to_owned())));
    }
}

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

/// Offers a package as a box does, once; the answer, when it came to one.
fn offer(
    desk: &mut Desk,
    package: &Container,
    pictures: &[&[u8]],
) -> Result<Option<(String, Vec<u8>)>, ReceiveError> {
    let sink = || "receiver-1".to_owned();
    let mut say = |subject, payload: &[u8]| {
        let said = desk.hear(&Topic::new(DEVICE, subject), (payload, None), now());
        said.map(|said| said.answer)
    };
    let answer = say(Subject::Head, &package.head().to_zip())?;
    if answer.is_some_and(|(topic, _)| topic.ends_with("receipt")) {
        return say(Subject::Head, &package.head().to_zip());
    }
    for picture in pictures {
        let sha256 = witness::sha256_hex(picture);
        let (sink, offset) = (sink(), 0);
        let chunk = Subject::Chunk {
            sink,
            sha256,
            offset,
        };
        say(chunk, picture)?;
    }
    let id = id_of(package).to_string();
    let finished = serde_json::to_vec(&Finished { id }).unwrap();
    say(Subject::Finished { sink: sink() }, &finished)
}

fn is_receipt(answer: Option<(String, Vec<u8>)>, roots: &Roots) -> bool {
    let receipt = answer.filter(|(topic, _)| topic.ends_with("receipt"));
    receipt.is_some_and(|(_, p7m)| {
        let receipt = Receipt::open(&p7m, roots).unwrap().0;
        receipt.verdict == ReceiptVerdict::Stored
    })
}

/// The N-th write, sync, rename or removal fails, N = 1, 2, 3 …, from a package's head to its receipt; also of
/// one that is taken again because what was there is broken.
#[test]
fn storing_fails_at_any_step_without_harm() {
    let bench = Bench::new();
    let (roots, pictures) = (bench.roots(), [&b"one picture"[..], b"another"]);
    let package = with_pictures(&bench.pki, 1, &pictures);
    let id = id_of(&package);
    for (again, mode) in [
        (false, Mode::Once(Errno::IO)),
        (false, Mode::Forever(Errno::NOSPC)),
        (true, Mode::Once(Errno::IO)),
        (true, Mode::Forever(Errno::NOSPC)),
    ] {
        for n in 0.. {
            let config = config::Receive {
                dir: bench.dir.path().join(format!("{again}-{mode:?}-{n}")),
                ..bench.config()
            };
            let place = layout::place(&config.dir, DEVICE, id);
            let (_, mut desk) = Bench::open(&config).unwrap();
            if again {
                assert!(is_receipt(
                    offer(&mut desk, &package, &pictures).unwrap(),
                    &roots
                ));
                fs::remove_file(place.join("frames/00.jpg")).unwrap();
            }
            fault::plan(n, mode);
            let answer = offer(&mut desk, &package, &pictures);
            let through = fault::clear();
            let valid = || witness::verify_path(&place, &roots).unwrap().valid();
            let receipted = answer.is_ok_and(|answer| is_receipt(answer, &roots));
            assert!(
                !receipted || valid(),
                "{again} {mode:?} step {n}: a receipt for less"
            );
            // Sometimes the receiver dies of it.
            if n % 2 == 1 {
                drop(desk);
                (_, desk) = Bench::open(&config).unwrap();
            }
            let answer = offer(&mut desk, &package, &pictures).unwrap();
            assert!(is_receipt(answer, &roots), "{again} {mode:?} step {n}");
            assert!(valid(), "{again} {mode:?} step {n}");
            let incoming = layout::incoming(&config.dir).join("receiver-1");
            let left = disk::list(&incoming.join(DEVICE)).unwrap();
            assert_eq!(left, [""; 0], "{again} {mode:?} step {n}");
            if again {
                let aside = layout::broken(&config.dir).join(DEVICE);
                let other = aside.join(format!("{id}.1")).join("frames/01.jpg");
                assert_eq!(fs::read(other).unwrap(), pictures[1], "{mode:?} step {n}");
            }
            if through {
                assert!(receipted);
                break;
            }
        }
    }
}

#[test]
fn a_piece_that_could_not_be_written_is_asked_for_again() {
    let bench = Bench::new();
    let (_, mut desk) = Bench::open(&bench.config()).unwrap();
    let picture: &[u8] = b"one picture";
    let package = with_pictures(&bench.pki, 1, &[picture]);
    announce(&mut desk, &package, now());
    let (sink, sha256, offset) = ("receiver-1".to_owned(), witness::sha256_hex(picture), 0);
    let chunk = Topic::new(
        DEVICE,
        Subject::Chunk {
            sink,
            sha256,
            offset,
        },
    );
    fault::plan(0, Mode::Once(Errno::NOSPC));
    let failed = desk.hear(&chunk, (picture, None), now());
    assert!(!fault::clear() && failed.is_err());
    let (topic, want) = announce(&mut desk, &package, now()).answer.unwrap();
    assert!(topic.ends_with("want"), "{topic}");
    let want: crate::link::message::Want = serde_json::from_slice(&want).unwrap();
    assert_eq!(want.missing.len(), 1);
}

/// What is here of the package, and of its second copy.
fn both(config: &config::Receive, medium: &Path, id: CaseId) -> [PathBuf; 2] {
    [&config.dir, medium].map(|dir| layout::place(dir, DEVICE, id))
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

/// The N-th step fails, and the receiver dies of it.
#[test]
fn mending_fails_at_any_step_without_harm() {
    let bench = Bench::new();
    let picture: &[u8] = b"one picture";
    let package = with_pictures(&bench.pki, 1, &[picture]);
    let (id, roots) = (id_of(&package), bench.roots());
    let (first, medium) = bench.with_medium();
    for n in 0.. {
        let config = config::Receive {
            dir: bench.dir.path().join(n.to_string()),
            ..first.clone()
        };
        let (_, mut desk) = Bench::open(&config).unwrap();
        let answer = offer(&mut desk, &package, &[picture]).unwrap();
        assert!(is_receipt(answer, &roots), "step {n}");
        let [place, _] = both(&config, &medium, id);
        fs::remove_file(place.join("frames/00.jpg")).unwrap();
        fault::plan(n, Mode::Forever(Errno::IO));
        let head = (&*package.head().to_zip(), None);
        let heard = desk.hear(&Topic::new(DEVICE, Subject::Head), head, now());
        let through = fault::clear();
        assert_eq!(heard.is_ok(), through, "step {n}");
        drop(desk);
        let (office, mut desk) = Bench::open(&config).unwrap();
        assert!(place.exists(), "step {n}: gone without a box that asks");
        receipt(announce(&mut desk, &package, now()), &roots);
        let verdict = witness::verify_path(&place, &roots).unwrap();
        assert!(verdict.valid(), "step {n}: {verdict:?}");
        let left = layout::incoming(&config.dir).join("receiver-1.mended");
        assert_eq!(disk::list(&left.join(DEVICE)).unwrap(), [""; 0]);
        // What comes from the medium is written by another thread.
        let copies = office.copies.as_ref().unwrap();
        let wanted = Whole {
            device: DEVICE.to_owned(),
            id,
            sig_sha256: witness::sha256_hex(package.get(witness::SIGNATURE).unwrap()),
            place: place.clone(),
            draft: bench.dir.path().join("brought"),
        };
        fault::plan(n, Mode::Forever(Errno::IO));
        let brought = copies.bring(&wanted);
        let all = fault::clear();
        assert_eq!(brought.is_ok(), all, "step {n}");
        copies.bring(&wanted).unwrap();
        if through && all {
            break;
        }
    }
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
