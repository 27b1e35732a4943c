//! Who is believed: receipts, packages and certificates, each wrong in one thing.

use lingmou::pki::TestPkiPlan;

use super::*;

/// What a forger would send: each differs from the right receipt in one thing.
fn forgeries(bench: &Bench, id: CaseId, other: &TestPki) -> Vec<Vec<u8>> {
    let (right, receiver) = bench.right_receipt(id);
    let sign =
        |receipt: Receipt, identity: &Identity| receipt.sign(identity, clock::now()).unwrap();
    let stranger = Identity::load(&other.receiver, "receiver").unwrap();
    let device = Identity::load(&bench.pki.device, "evidence").unwrap();
    let mut by_device = right.clone();
    by_device.receiver = device.common_name();
    let mut changed = sign(right.clone(), &receiver);
    let at = changed.windows(6).position(|w| w == b"stored").unwrap();
    changed[at] = b'S';
    vec![
        b"no CMS at all".to_vec(),
        sign(right.clone(), &stranger),
        sign(by_device, &device),
        changed,
        sign(
            Receipt {
                seq: 2,
                ..right.clone()
            },
            &receiver,
        ),
        sign(
            Receipt {
                sig_sha256: "0".repeat(64),
                ..right.clone()
            },
            &receiver,
        ),
        sign(
            Receipt {
                device: "LM-TEST-2".to_owned(),
                ..right
            },
            &receiver,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_receipts_are_not_believed() {
    let bench = Bench::new().await;
    let id = bench.seal(1000);
    let mut forger = bench.as_receiver().await;
    forger.subscribe("ev1/+/n").await.unwrap();
    let upload = bench.upload();
    let head = forger.recv().await.unwrap();
    assert_eq!(head.topic(), "ev1/LM-TEST-1/n");
    let other = TestPki::create(&bench.dir.path().join("other"), DEVICE).unwrap();
    let topic = Topic::new(DEVICE, Subject::Receipt).to_string();
    let forgeries = forgeries(&bench, id, &other);
    let count = forgeries.len() as u64;
    for forgery in forgeries {
        let ack = forger.publish(&topic, forgery, false).await.unwrap();
        assert_eq!(ack.await, Ok(Acked::Taken));
    }
    until("all looked at", || {
        bench.snapshot().receipts_ignored == count
    })
    .await;
    assert_eq!(bench.store.counts().unwrap().pending.packages, 1);
    assert_eq!(
        bench.journalled("receipt.ignored"),
        1,
        "one line, not a flood"
    );
    forger.close().await;
    let receiver = bench.receiver();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_the_receiver_cannot_trust_is_refused_and_kept() {
    let bench = Bench::new().await;
    let other = TestPki::create(&bench.dir.path().join("other"), DEVICE).unwrap();
    let bad = bench.seal_as(&other.device, 1000);
    let good = bench.seal(1000);
    let (upload, receiver) = (bench.upload(), bench.receiver());
    until("the refusal", || {
        bench.store.state(bad).unwrap() == Some(State::Refused)
    })
    .await;
    bench.receipted(&[good]).await;
    assert_eq!(bench.snapshot().refused, 1);
    assert_eq!(bench.journalled("package.refused"), 1);
    let counts = bench.store.counts().unwrap();
    assert_eq!(counts.pending.packages, 1, "kept");
    let status = serde_json::json!({ "store": counts, "clock": { "synced": true } });
    let alarms = lingmou::status::alarms(&status);
    assert!(
        alarms
            .iter()
            .any(|alarm| alarm.text.starts_with("1 packages were refused"))
    );
    let refused = |e: &Event| matches!(e, Event::Refused { why, .. } if why.contains("chain"));
    assert_eq!(bench.events(refused), 1);
    let packages = bench.dir.path().join("received").join("packages");
    assert_eq!(
        names(&packages.join(DEVICE)),
        [good.to_string()],
        "nothing of the bad one"
    );

    // The office adds the root that was missing, and somebody has it offered again.
    let refusal = packages.with_file_name("refused").join(DEVICE);
    assert_eq!(names(&refusal).len(), 1);
    let roots = bench.pki.receiver.join("roots.crt");
    let own = fs::read_to_string(&roots).unwrap();
    let both = own + &fs::read_to_string(other.root()).unwrap();
    fs::write(&roots, both).unwrap();
    assert_eq!(bench.store.requeue_all(clock::now(), None).unwrap(), 1);
    bench.receipted(&[bad]).await;
    upload.stop().await;
    receiver.stop().await;
    assert_eq!(names(&refusal), [""; 0], "it is no longer refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_certificates_is_told_apart() {
    let bench = Bench::new().await;
    let other = TestPki::create(&bench.dir.path().join("other"), DEVICE).unwrap();
    let mixed = |name: &str, roots: &Path, own: &Path| {
        let dir = bench.dir.path().join(name);
        fs::create_dir(&dir).unwrap();
        fs::copy(roots.join("roots.crt"), dir.join("roots.crt")).unwrap();
        for file in ["transport.key", "transport.crt"] {
            fs::copy(own.join(file), dir.join(file)).unwrap();
        }
        dir
    };
    let fails = async |keys: &Path, name: &str| {
        Pipe::connect(&bench.endpoint(keys, name), None)
            .await
            .err()
            .unwrap()
    };
    let unknown = fails(&mixed("a", &other.device, &bench.pki.device), DEVICE).await;
    assert!(
        matches!(unknown, LinkError::BrokerUnknown { .. }),
        "{unknown}"
    );
    let refused = fails(&mixed("b", &bench.pki.device, &other.device), DEVICE).await;
    assert!(
        matches!(refused, LinkError::OursRefused { .. }),
        "{refused}"
    );
    let wrong_id = fails(&bench.pki.device, "LM-TEST-2").await;
    assert!(
        wrong_id.to_string().contains("is for \"LM-TEST-1\""),
        "{wrong_id}"
    );
    let missing = fails(&bench.dir.path().join("nowhere"), DEVICE).await;
    assert!(matches!(missing, LinkError::Key { .. }), "{missing}");
    let foreign_key = mixed("c", &bench.pki.device, &bench.pki.device);
    fs::copy(
        other.device.join("transport.key"),
        foreign_key.join("transport.key"),
    )
    .unwrap();
    let foreign_key = fails(&foreign_key, DEVICE).await;
    assert!(
        foreign_key.to_string().contains("does not belong"),
        "{foreign_key}"
    );
    for error in [unknown, refused, wrong_id, missing, foreign_key] {
        assert!(error.needs_a_person(), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_named_and_its_successor_taken_without_a_restart() {
    let bench = Bench::new().await;
    let receiver = bench.receiver();
    let now = u64::try_from(clock::now().utc_ns / 1_000_000_000).unwrap();
    // The same authority cannot be made twice, so the device's files come from a short-lived one
    // whose root the broker does not know: the message must name the expiry all the same.
    let plan = TestPkiPlan {
        not_before: now - 7200,
        not_after: now - 3600,
    };
    let old = TestPki::create_planned(&bench.dir.path().join("old"), DEVICE, plan).unwrap();
    let keys = bench.dir.path().join("keys");
    fs::create_dir(&keys).unwrap();
    let install = |from: &Path| {
        for file in ["transport.key", "transport.crt"] {
            fs::copy(from.join(file), keys.join(file)).unwrap();
        }
    };
    install(&old.device);
    fs::copy(bench.pki.device.join("roots.crt"), keys.join("roots.crt")).unwrap();
    let id = bench.seal(1000);
    let upload = bench.uplink(&keys);
    until("the cause", || {
        bench.cause().contains("the certificate ended at")
    })
    .await;
    assert!(bench.snapshot().needs_a_person);
    install(&bench.pki.device);
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

/// Somebody copies the bureau's list onto a box, and the line breaks in the middle; later he copies it all.
#[tokio::test(flavor = "multi_thread")]
async fn a_box_with_half_a_list_uploads_and_takes_the_whole_one_while_connected() {
    let bench = Bench::new().await;
    let theirs = bench.pki.receiver.join("receiver.crt");
    // 2026-01-01.
    let list = bench.pki.revoke(&[(&theirs, 1_767_225_600)]).unwrap();
    let file = bench.pki.device.join("revoked.crl");
    fs::write(&file, &list.as_bytes()[..list.len() / 2]).unwrap();
    let (receiver, upload) = (bench.receiver(), bench.upload());
    let before = bench.seal(1000);
    bench.receipted(&[before]).await;
    fs::write(&file, list).unwrap();
    let after = bench.seal(1000);
    until("its receipt not believed", || {
        bench.snapshot().receipts_ignored > 0
    })
    .await;
    assert_eq!(bench.snapshot().connections, 1);
    upload.stop().await;
    receiver.stop().await;
    assert_ne!(bench.store.state(after).unwrap(), Some(State::Receipted));
    let lines = journal::tail(&bench.dir.path().join("store/journal"), usize::MAX).unwrap();
    let ignored = lines.iter().find(|line| line.kind == "receipt.ignored");
    let why = ignored.unwrap().body["why"].to_string();
    assert!(why.contains("revoked on 2026-01-01"), "{why}");
}
