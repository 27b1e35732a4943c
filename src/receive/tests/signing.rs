//! What is signed, when, and what becomes of a receipt that does not hold any more.

use super::*;
use crate::pki::TestPkiPlan;
use crate::receive::head::Head;
use crate::witness::KeyError;

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
