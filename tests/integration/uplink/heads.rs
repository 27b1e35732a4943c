//! Both sides hold the other's signature over the same journal: checkpoints up, receipts down.

use lingmou::journal::{Head, kind};
use lingmou::witness::{Checkpoint, JournalCopy};

use super::*;

impl Bench {
    fn evidence(&self) -> Identity {
        Identity::load(&self.pki.device, "evidence").unwrap()
    }

    fn lines(&self, kind: &str) -> Vec<journal::Entry> {
        let dir = self.dir.path().join("store").join("journal");
        let lines = journal::tail(&dir, usize::MAX).unwrap();
        lines.into_iter().filter(|l| l.kind == kind).collect()
    }

    /// The journal lines that checkpoints were taken of, in order.
    fn taken(&self) -> Vec<u64> {
        let events = self.events.lock().unwrap();
        let taken = events.iter().filter_map(|event| match event {
            Event::Checkpoint { n, .. } => Some(*n),
            _ => None,
        });
        taken.collect()
    }

    fn refused(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let refused = events.iter().filter_map(|event| match event {
            Event::HeadRefused { why, .. } => Some(why.clone()),
            _ => None,
        });
        refused.collect()
    }
}

fn receipt(package: &Path, roots: &Roots) -> Receipt {
    let p7m = fs::read(package.join(witness::RECEIPT)).unwrap();
    Receipt::open(&p7m, roots).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_returns_a_head_that_covers_its_package() {
    let bench = Bench::new().await;
    let roots = Roots::load(&bench.pki.root()).unwrap();
    let receiver = bench.receiver();
    let connected = |e: &Event| matches!(e, Event::Connected { .. });
    until("the receiver", || bench.events(connected) == 1).await;
    let upload = bench.upload();
    let ids = [bench.seal(1000), bench.seal(1000)];
    bench.receipted(&ids).await;
    for (id, line) in ids.iter().zip(bench.lines(kind::PACKAGE_SEALED)) {
        assert_eq!(line.body["id"], id.to_string());
        let head = receipt(&bench.store.package_dir(*id), &roots).head.unwrap();
        assert!(
            head.n >= line.head.n,
            "{head:?} covers line {}",
            line.head.n
        );
        let ours = bench.store.line_sha256(head.n).unwrap();
        assert_eq!(ours, Some(head.hash));
    }
    assert_eq!(bench.snapshot().foreign_head, None);
    bench
        .store
        .note(clock::now(), "test", serde_json::json!({}))
        .unwrap();
    let last = bench.store.checkpoint(&bench.evidence()).unwrap();
    upload.stop().await;
    until("the last checkpoint", || bench.taken().contains(&last)).await;
    receiver.stop().await;
    assert_eq!(bench.refused(), [""; 0]);
    let store = bench.dir.path().join("store");
    let audit = journal::audit(&store, &roots, Some(DEVICE)).unwrap();
    assert!(audit.holds(), "{:?}", audit.faults);
    assert_eq!(audit.signed.unwrap().n, last);
    bench.audit(&ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_goes_back_or_forks_is_refused_aloud_and_the_known_one_stays() {
    let bench = Bench::new().await;
    let mut receiver = bench.receiver();
    let connected = |e: &Event| matches!(e, Event::Connected { .. });
    until("the receiver", || bench.events(connected) == 1).await;
    let device = Pipe::connect(&bench.endpoint(&bench.pki.device, DEVICE), None)
        .await
        .unwrap();
    let other = bench.pki.add_device("LM-TEST-2").unwrap();
    let other = Identity::load(&other, "evidence").unwrap();
    let own = bench.evidence();
    let send = async |identity: &Identity, n: u64, digit: &str| {
        let head = digit.repeat(64);
        let p7m = Checkpoint::sign(identity, (n, &head), "boot", clock::now()).unwrap();
        let topic = Topic::new(DEVICE, Subject::Journal).to_string();
        let ack = device.publish(&topic, p7m, false).await.unwrap();
        assert_eq!(ack.await, Ok(Acked::Taken));
    };
    send(&own, 50, "a").await;
    send(&own, 50, "a").await;
    send(&own, 50, "b").await;
    send(&own, 49, "a").await;
    send(&other, 99, "a").await;
    send(&own, 51, "c").await;
    until("all looked at", || bench.taken() == [50, 51]).await;
    let ignored = |e: &Event| matches!(e, Event::Ignored { why, .. } if why.contains("LM-TEST-2"));
    assert_eq!(bench.events(ignored), 1);
    let refused = [
        "line 50 is another one than we have",
        "line 49 is older than line 50, which we have",
    ];
    assert_eq!(bench.refused(), refused);

    // Another run of the receiver remembers.
    receiver.stop().await;
    receiver = bench.receiver();
    until("the receiver", || bench.events(connected) == 2).await;
    send(&own, 51, "d").await;
    until("the third refusal", || bench.refused().len() == 3).await;
    receiver.stop().await;
    device.close().await;
}

/// A receipt for package number `seq` that names `head`.
fn naming(bench: &Bench, (id, seq): (CaseId, u64), head: JournalCopy) -> Vec<u8> {
    let (right, receiver) = bench.right_receipt(id);
    let receipt = Receipt {
        head: Some(head),
        seq,
        ..right
    };
    receipt.sign(&receiver, clock::now()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_this_journal_never_had_is_an_alarm_until_its_receiver_signs_for_ours() {
    let ours = |bench: &Bench| {
        let head = bench.store.head();
        JournalCopy {
            n: head.n,
            hash: head.sha256,
        }
    };
    let none = Head::none();
    let table = [
        (None, false),
        (Some((none.n, none.sha256)), false),
        (Some((1, "b".repeat(64))), true),
        (Some((9_999, "b".repeat(64))), true),
    ];
    for (foreign, alarm) in table {
        let bench = Bench::new().await;
        let id = bench.seal(1000);
        let mut peer = bench.as_receiver().await;
        peer.subscribe("ev1/+/n").await.unwrap();
        let upload = bench.upload();
        peer.recv().await.unwrap();
        let head = foreign.map_or_else(|| ours(&bench), |(n, hash)| JournalCopy { n, hash });
        let n = head.n;
        let topic = Topic::new(DEVICE, Subject::Receipt).to_string();
        let give = async |peer: &Pipe, package, head| {
            let receipt = naming(&bench, package, head);
            let ack = peer.publish(&topic, receipt, false).await.unwrap();
            assert_eq!(ack.await, Ok(Acked::Taken));
        };
        give(&peer, (id, 1), head).await;
        // The package is safe with the receiver all the same.
        bench.receipted(&[id]).await;
        let lines = bench.lines(kind::HEAD_FOREIGN);
        assert_eq!(lines.len(), usize::from(alarm), "line {n}");
        let words = bench.snapshot().foreign_head;
        assert_eq!(words.is_some(), alarm, "{words:?}");
        if let Some(line) = lines.first() {
            assert_eq!(line.body["n"], n);
            assert_eq!(line.body["ours"].is_string(), n == 1);
            assert!(words.unwrap().contains("never had"));
            // Whoever it was is gone, or the journal is that which was.
            let next = bench.seal(1000);
            peer.recv().await.unwrap();
            give(&peer, (next, 2), ours(&bench)).await;
            bench.receipted(&[next]).await;
            assert_eq!(bench.snapshot().foreign_head, None);
            assert_eq!(bench.lines(kind::HEAD_OURS).len(), 1);
        }
        peer.close().await;
        upload.stop().await;
    }
}
