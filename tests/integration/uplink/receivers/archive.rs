//! What an archive answers and keeps: missing numbers, a lost index, packages that rotted or came late.

use lingmou::link::message::LATE;
use lingmou::receive::archive::Gap;

use super::*;

fn in_words(gap: &Gap) -> String {
    match gap {
        Gap::NeverCame => "never came".to_owned(),
        Gap::Announced { id, .. } => format!("announced {id}"),
        Gap::Gone { id, .. } => format!("gone {id}"),
        Gap::Refused { id, .. } => format!("refused {id}"),
        Gap::Unreadable { id, .. } => format!("unreadable {id}"),
        Gap::Doubled { .. } => "doubled".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn which_numbers_are_missing_is_answered_with_and_without_the_index() {
    let bench = Bench::new().await;
    let other = TestPki::create(&bench.dir.path().join("other"), DEVICE).unwrap();
    let mut ids: Vec<CaseId> = (0..3).map(|_| bench.seal(1000)).collect();
    let refused = bench.seal_as(&other.device, 1000);
    ids.push(bench.seal(1000));
    let receiver = bench.start(bench.receive_config()).await;
    let upload = bench.upload();
    bench.receipted(&ids).await;
    until("the refusal", || {
        bench.store.state(refused).unwrap() == Some(State::Refused)
    })
    .await;
    upload.stop().await;
    receiver.stop().await;

    let gaps = || {
        let missing = bench.archive(&["received"]).missing(DEVICE).unwrap();
        let told = missing.iter().map(|m| (m.from, m.to, in_words(&m.gap)));
        told.collect::<Vec<_>>()
    };
    let was_refused = (4, 4, format!("refused {refused}"));
    assert_eq!(gaps(), std::slice::from_ref(&was_refused));
    let (code, devices) = asked(&bench, "devices");
    let device = &devices[0];
    let told = ["device", "packages", "seq_max", "missing", "refused"].map(|key| &device[key]);
    assert_eq!(code, 0);
    assert_eq!(
        told,
        [&DEVICE.into(), &4.into(), &5.into(), &1.into(), &1.into()].map(|v: &serde_json::Value| v)
    );
    assert!(
        device["seen"].is_string() && device["journal_n"].is_u64(),
        "{device}"
    );

    // Somebody takes a package away, and of another what holds it together.
    fs::remove_dir_all(bench.received(ids[1])).unwrap();
    fs::remove_file(bench.received(ids[2]).join(witness::SIGNATURE)).unwrap();
    let gone = (2, 2, format!("gone {}", ids[1]));
    let unreadable = (3, 3, format!("unreadable {}", ids[2]));
    assert_eq!(gaps(), [gone, unreadable.clone(), was_refused.clone()]);
    let (code, missing) = asked(&bench, "missing");
    assert_eq!((code, missing.len()), (1, 3));
    assert_eq!(
        (&missing[0]["what"], &missing[0]["from"]),
        (&"gone".into(), &2.into())
    );

    // Without the index nobody knows what the first was; that they lack still shows.
    let index = bench.dir.path().join("received/index.db");
    let never = (2, 2, "never came".to_owned());
    let lacking = [never.clone(), unreadable, was_refused.clone()];
    fs::remove_file(&index).unwrap();
    assert_eq!(gaps(), lacking);
    // Nor does one help that is not one, or is of another version.
    fs::write(&index, noise(1, 9000)).unwrap();
    assert_eq!(gaps(), lacking);
    assert_eq!(asked(&bench, "check").0, 1);
    let (_, packages) = asked(&bench, "packages");
    let kept: Vec<_> = packages
        .iter()
        .map(|p| p["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(kept, [1, 5]);
    assert_eq!(packages[0]["kind"], "street_vending");
    assert_eq!(asked(&bench, "refused").1[0]["id"], refused.to_string());
    // Put back, it counts again.
    let files = files(&bench.store.package_dir(ids[2]));
    fs::write(
        bench.received(ids[2]).join(witness::SIGNATURE),
        &files[Path::new(witness::SIGNATURE)],
    )
    .unwrap();
    assert_eq!(gaps(), [never, was_refused]);
    assert_eq!(asked(&bench, "check"), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_taken_away_while_receiving_comes_back() {
    let bench = Bench::new().await;
    let receiver = bench.start(bench.receive_config()).await;
    let upload = bench.upload();
    let ids = [bench.seal(1000), bench.seal(1000)];
    bench.receipted(&ids[..1]).await;
    let index = bench.dir.path().join("received/index.db");
    until("the index", || index.exists()).await;
    fs::remove_file(&index).unwrap();
    bench.receipted(&ids).await;
    upload.stop().await;
    receiver.stop().await;
    let archive = bench.archive(&["received"]);
    assert_eq!(archive.packages(DEVICE).unwrap().len(), 2);
    assert_eq!(archive.missing(DEVICE).unwrap(), []);
}

/// Its receipt lost, a device offers a package again of which the receiver's disk has lost a file since.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_package_that_is_not_whole_is_taken_again() {
    let bench = Bench::new().await;
    let (config, addr) = with_figures(&bench);
    let receiver = bench.start(config).await;
    let upload = bench.upload();
    let id = bench.seal(100_000);
    bench.receipted(&[id]).await;
    upload.stop().await;
    let other = bench.seal(1000);
    let roots = Roots::load(&bench.pki.root()).unwrap();
    let place = bench.received(id);
    let mut whole = files(&place);
    whole.remove(Path::new(witness::RECEIPT));
    assert_eq!(asked(&bench, "check"), (0, Vec::new()));
    let mut device = ByHand::new(&bench, id).await;
    let broken = |e: &Event| matches!(e, Event::Broken { id: it, .. } if *it == id);
    let spoilt = [
        ("clip.mp4", false),
        ("frames/01-found.jpg", true),
        (witness::MANIFEST, false),
        (witness::SIGNATURE, true),
    ];
    for (n, (name, stays)) in spoilt.into_iter().enumerate() {
        if stays {
            fs::write(place.join(name), "rot").unwrap();
        } else {
            fs::remove_file(place.join(name)).unwrap();
        }
        let left = files(&place);
        let (code, found) = asked(&bench, "check");
        assert_eq!((code, found.len()), (1, 1), "{name}");
        assert_eq!(found[0]["id"], id.to_string());
        assert!(found[0]["why"].is_string(), "{found:?}");
        // Nor does a question bring a receipt: the next word is of the head.
        device.ask().await;
        let want = device.taken_by(&bench, RECEIVER).await;
        assert_eq!(bench.events(broken), n + 1, "{name}");
        assert_eq!(files(&place), left, "it stays until the whole one is here");
        // Another head of the same device does not drop it.
        device.id = other;
        device.announce(&bench).await;
        assert_eq!(device.answer().await.0, "ev1/LM-TEST-1/d/want");
        device.id = id;
        device.give(&want).await;
        let (topic, receipt) = device.finish(RECEIVER).await;
        assert_eq!(topic, "ev1/LM-TEST-1/d/receipt", "{name}");
        let receipt = Receipt::open(&receipt, &roots).unwrap().0;
        assert_eq!(receipt.verdict, ReceiptVerdict::Stored);
        let mut now = files(&place);
        now.remove(Path::new(witness::RECEIPT));
        assert!(now == whole, "{name}");
        let verdict = witness::verify_path(&place, &roots).unwrap();
        assert!(verdict.valid(), "{verdict:?}");
        assert_eq!(asked(&bench, "check"), (0, Vec::new()));
        // What was there is not lost.
        let aside = bench.dir.path().join("received/broken").join(DEVICE);
        assert_eq!(files(&aside.join(format!("{id}.{}", n + 1))), left);
    }
    assert!(told(addr, "lingmou_receive_broken_total 4"));
    receiver.stop().await;
}

/// What was sealed in an outage is history when it comes, and said to be.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_is_marked_as_history_for_good() {
    let bench = Bench::new().await;
    let (config, addr) = with_figures(&bench);
    let receiver = bench.start(config).await;
    let (late, fresh) = (bench.seal(1000), bench.seal(1000));
    let mut device = ByHand::new(&bench, late).await;
    let more = files(&bench.store.package_dir(fresh)).into_values();
    let more = more.map(|bytes| (witness::sha256_hex(&bytes), bytes));
    device.contents.extend(more);
    let hours = async |device: &mut ByHand, hours: u64| {
        let dir = bench.store.package_dir(device.id);
        let head = Container::from_dir(&dir).unwrap().head().to_zip();
        let topic = Topic::new(DEVICE, Subject::Head).to_string();
        let word = (LATE, (hours * 3600).to_string());
        let ack = device.pipe.publish_with(&topic, head, word).await.unwrap();
        assert_eq!(ack.await, Ok(Acked::Taken));
        let (_, want) = device.answer().await;
        serde_json::from_slice::<Want>(&want).unwrap()
    };
    let first = hours(&mut device, 2).await;
    device.id = fresh;
    device.taken_by(&bench, RECEIVER).await;
    // It was known in time; its pictures come a day later.
    let second = hours(&mut device, 24).await;
    let marks = |question: &str| {
        let (_, lines) = asked(&bench, question);
        let marks = lines.iter().map(|line| line["late"].as_u64());
        marks.collect::<Vec<_>>()
    };
    until("the rows", || marks("announced") == [Some(7200), None]).await;
    for (id, want) in [(late, &first), (fresh, &second)] {
        device.id = id;
        device.give(want).await;
        let (topic, _) = device.finish(RECEIVER).await;
        assert_eq!(topic, "ev1/LM-TEST-1/d/receipt");
    }
    let history = |e: &Event| match e {
        Event::Announced { id, late, .. } | Event::Stored { id, late, .. } => {
            (*id == fresh && late.is_some()) || (*id != fresh && *late != Some(7200))
        }
        _ => false,
    };
    assert_eq!(bench.events(history), 0, "told otherwise");
    assert_eq!(bench.stored(), 2);
    assert!(told(addr, "lingmou_receive_late_total 1"));
    receiver.stop().await;
    assert_eq!(marks("packages"), [Some(7200), None]);
}
