//! What is kept and told of devices: the heads of their journals, and news.

use super::*;
use crate::witness::{Checkpoint, JournalPoint};

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
