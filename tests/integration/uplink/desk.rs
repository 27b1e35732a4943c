//! The receiver's desk, told everything a device can say: repeated, wrong, in any order, too much.

use super::hand::ByHand;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_foreign_messages_change_nothing_at_the_receiver() {
    let bench = Bench::new().await;
    let id = bench.seal(1000);
    let (upload, receiver) = (bench.upload(), bench.receiver());
    bench.receipted(&[id]).await;
    upload.stop().await;

    let mut device = Pipe::connect(&bench.endpoint(&bench.pki.device, DEVICE), None)
        .await
        .unwrap();
    device.subscribe("ev1/LM-TEST-1/d/#").await.unwrap();
    let head = Container::from_dir(&bench.store.package_dir(id))
        .unwrap()
        .head();
    let other = TestPki::create(&bench.dir.path().join("other"), DEVICE).unwrap();
    let foreign = bench.seal_as(&other.device, 10);
    let foreign = Container::from_dir(&bench.store.package_dir(foreign))
        .unwrap()
        .head();
    let n = "ev1/LM-TEST-1/n";
    let chunk = format!("ev1/LM-TEST-1/c/{RECEIVER}/{}/0", "0".repeat(64));
    let question = format!("ev1/LM-TEST-1/f/{RECEIVER}");
    for (topic, payload) in [
        (n, b"not a zip".to_vec()),
        (&chunk, vec![7; 100]),
        (&question, b"{}".to_vec()),
        (&question, br#"{"id":"../../etc"}"#.to_vec()),
        (n, foreign.to_zip()),
        (n, head.to_zip()),
        (n, head.to_zip()),
    ] {
        let ack = device.publish(topic, payload, false).await.unwrap();
        assert_eq!(ack.await, Ok(Acked::Taken), "{topic}");
    }
    let roots = Roots::load(&bench.pki.root()).unwrap();
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        let message = device.recv().await.unwrap();
        assert_eq!(message.topic(), "ev1/LM-TEST-1/d/receipt");
        let (receipt, _) = Receipt::open(message.payload(), &roots).unwrap();
        verdicts.push((receipt.verdict, receipt.id == id));
    }
    let stored = (ReceiptVerdict::Stored, true);
    assert_eq!(verdicts, [(ReceiptVerdict::Refused, false), stored, stored]);
    device.close().await;
    receiver.stop().await;
    let ignored = |e: &Event| matches!(e, Event::Ignored { .. });
    assert_eq!(bench.events(ignored), 4);
    let received = bench.dir.path().join("received");
    assert_eq!(
        names(&received.join("packages").join(DEVICE)),
        [id.to_string()]
    );
    assert_eq!(names(&bench.incoming()), Vec::<String>::new());
}

/// What was asked for, in pieces of 7000 bytes; of the file `spoilt` one byte is wrong.
fn pieces(
    want: &Want,
    contents: &BTreeMap<String, Vec<u8>>,
    spoilt: Option<&Vec<u8>>,
) -> Vec<(String, u64, Vec<u8>)> {
    let mut pieces = Vec::new();
    for range in &want.missing {
        let bytes = &contents[&range.0];
        for from in (range.1..range.2).step_by(7000) {
            let to = range.2.min(from + 7000);
            let place = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
            let mut piece = bytes[place].to_vec();
            if Some(bytes) == spoilt && from == 7000 {
                piece[0] ^= 1;
            }
            pieces.push((range.0.clone(), from, piece));
        }
        // Beyond the end: not taken.
        pieces.push((range.0.clone(), range.2 - 1, vec![0; 2]));
    }
    pieces
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_out_of_order_twice_and_wrong_still_make_the_package() {
    let bench = Bench::new().await;
    let id = bench.seal(300_000);
    let package = bench.store.package_dir(id);
    let receiver = bench.receiver();
    let mut device = Pipe::connect(&bench.endpoint(&bench.pki.device, DEVICE), None)
        .await
        .unwrap();
    device.subscribe("ev1/LM-TEST-1/d/#").await.unwrap();
    let connected = |e: &Event| matches!(e, Event::Connected { .. });
    until("the receiver", || bench.events(connected) == 1).await;
    let head = Container::from_dir(&package).unwrap().head().to_zip();
    device
        .publish("ev1/LM-TEST-1/n", head, false)
        .await
        .unwrap()
        .await
        .unwrap();
    let clip = fs::read(package.join("clip.mp4")).unwrap();
    let contents: BTreeMap<String, Vec<u8>> = files(&package)
        .into_values()
        .map(|bytes| (witness::sha256_hex(&bytes), bytes))
        .collect();
    let mut rounds = 0;
    loop {
        let message = device.recv().await.unwrap();
        if message.topic().ends_with("/receipt") {
            break;
        }
        rounds += 1;
        let want: Want = serde_json::from_slice(message.payload()).unwrap();
        assert_eq!((&want.id, want.sink.as_str()), (&id.to_string(), RECEIVER));
        let mut pieces = pieces(&want, &contents, (rounds == 1).then_some(&clip));
        pieces.reverse();
        let again = pieces.first().cloned();
        for (sha256, offset, piece) in pieces.into_iter().chain(again) {
            let sink = want.sink.clone();
            let subject = Subject::Chunk {
                sink,
                sha256,
                offset,
            };
            let topic = Topic::new(DEVICE, subject).to_string();
            device
                .publish(&topic, piece, false)
                .await
                .unwrap()
                .await
                .unwrap();
        }
        let question = format!("ev1/LM-TEST-1/f/{RECEIVER}");
        let body = format!(r#"{{"id":"{id}"}}"#).into_bytes();
        device
            .publish(&question, body, false)
            .await
            .unwrap()
            .await
            .unwrap();
    }
    assert_eq!(rounds, 2, "the wrong file was asked for once more");
    device.close().await;
    // The real device is answered at once: nothing is sent again.
    let upload = bench.upload();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
    assert!(bench.snapshot().sent_bytes < 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_receivers_do_not_share_a_name() {
    let bench = Bench::new().await;
    let receiver = bench.receiver();
    let connected = |e: &Event| matches!(e, Event::Connected { .. });
    until("the receiver", || bench.events(connected) == 1).await;
    let second = receive::run(bench.receive_config(), |_| {}, CancellationToken::new()).await;
    assert!(matches!(second, Err(ReceiveError::Locked { .. })));
    receiver.stop().await;
}

/// Kills the receiver and spoils what it had not made durable, as a power cut may.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_the_receiver_claims_only_what_was_durable() {
    let bench = Bench::new().await;
    let id = bench.seal(15 * MIB);
    let receiver = bench.receiver();
    let connected = |e: &Event| matches!(e, Event::Connected { .. });
    until("the receiver", || bench.events(connected) == 1).await;
    let mut device = ByHand::new(&bench, id).await;
    device.announce(&bench).await;
    let wanted = device.wanted().await;
    let clip = wanted
        .iter()
        .find(|r| r.2 == 15 * MIB as u64)
        .unwrap()
        .clone();
    let some = Range(clip.0.clone(), 0, 10 * MIB as u64);
    device.send(&some).await;
    // Its answer says that it has dealt with all pieces before.
    device.ask().await;
    let missing = device.wanted().await;
    let rest = Range(clip.0.clone(), 10 * MIB as u64, 15 * MIB as u64);
    assert!(missing.contains(&rest), "{missing:?}");
    receiver.kill().await;

    let incoming = bench.incoming();
    let part = incoming
        .join(id.to_string())
        .join(format!("{}.part", clip.0));
    let mut bytes = fs::read(&part).unwrap();
    let durable = 8 * MIB;
    for byte in bytes.iter_mut().skip(durable + MIB) {
        *byte = 0;
    }
    fs::write(&part, bytes).unwrap();

    let receiver = bench.receiver();
    until("the receiver", || bench.events(connected) == 2).await;
    device.ask().await;
    let missing = device.wanted().await;
    let again = missing.iter().find(|r| r.0 == clip.0).unwrap();
    let from = usize::try_from(again.1).unwrap();
    assert!((durable..durable + MIB).contains(&from), "from {from}");
    assert_eq!(again.2, clip.2);
    for range in &missing {
        device.send(range).await;
    }
    device.pipe.close().await;
    let upload = bench.upload();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

/// A device may announce what it likes; the receiver keeps 64 unfinished packages of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_leaves_unfinished_is_bounded_and_never_lost() {
    let bench = Bench::new().await;
    let receiver = bench.receiver();
    let connected = |e: &Event| matches!(e, Event::Connected { .. });
    until("the receiver", || bench.events(connected) == 1).await;
    let ids: Vec<CaseId> = (0..67).map(|_| bench.seal(1000)).collect();
    for &id in &ids {
        let mut device = ByHand::new(&bench, id).await;
        device.announce(&bench).await;
        assert!(!device.wanted().await.is_empty());
        device.pipe.close().await;
    }
    let incoming = bench.incoming();
    let mut kept = names(&incoming);
    kept.sort();
    let newest: Vec<String> = ids.iter().skip(3).map(ToString::to_string).collect();
    assert_eq!(kept, newest);
    let upload = bench.upload();
    bench.receipted(&ids).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&ids);
}
