//! Several receivers behind one broker: in one folder, in folders of their own, killed in turn.

use std::process::{Child, Stdio};

use lingmou::witness::Checkpoint;

use super::*;

/// Its receipt lost, a device repeats the head, and the other receiver hears it.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_repeated_to_the_other_receiver_brings_the_receipt_again() {
    let bench = Bench::new().await;
    let first = bench.start(bench.receive_config()).await;
    let upload = bench.upload();
    let id = bench.seal(100_000);
    bench.receipted(&[id]).await;
    upload.stop().await;
    first.stop().await;
    let second = bench.start(bench.second("received")).await;
    let mut device = ByHand::new(&bench, id).await;
    device.announce(&bench).await;
    let (topic, again) = device.answer().await;
    assert_eq!(topic, "ev1/LM-TEST-1/d/receipt");
    assert_eq!(
        again,
        fs::read(bench.received(id).join(witness::RECEIPT)).unwrap()
    );
    second.stop().await;
    bench.audit(&[id]);
}

/// Both have every byte of the same package; one is quicker.
#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_two_receivers_hold_whole_is_stored_once() {
    let bench = Bench::new().await;
    let id = bench.seal(1000);
    let first = bench.start(bench.receive_config()).await;
    let second = bench.start(bench.second("received")).await;
    let mut device = ByHand::new(&bench, id).await;
    let wants = [
        device.taken_by(&bench, RECEIVER).await,
        device.taken_by(&bench, SECOND).await,
    ];
    for want in &wants {
        device.give(want).await;
    }
    let one = device.finish(RECEIVER).await;
    let other = device.finish(SECOND).await;
    assert_eq!(one.0, "ev1/LM-TEST-1/d/receipt");
    assert_eq!(one, other, "one receipt, whoever is asked");
    assert_eq!(bench.stored(), 1);
    for name in [RECEIVER, SECOND] {
        let incoming = bench.dir.path().join("received/incoming").join(name);
        assert_eq!(names(&incoming.join(DEVICE)), [""; 0], "{name}");
    }
    device.pipe.close().await;
    first.stop().await;
    second.stop().await;
    let packages = bench.archive(&["received"]).packages(DEVICE).unwrap();
    assert_eq!(packages.len(), 1);
    let upload = bench.upload();
    let receiver = bench.receiver();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_with_folders_of_their_own_count_a_package_once() {
    let bench = Bench::new().await;
    let first = bench.start(bench.receive_config()).await;
    let upload = bench.upload();
    let ids = [bench.seal(1000), bench.seal(1000)];
    bench.receipted(&ids).await;
    upload.stop().await;
    first.stop().await;
    // The first one's receipt did not reach the device: it begins again with the other.
    let second = bench.start(bench.second("elsewhere")).await;
    let mut device = ByHand::new(&bench, ids[0]).await;
    let want = device.taken_by(&bench, SECOND).await;
    device.give(&want).await;
    let (topic, receipt) = device.finish(SECOND).await;
    assert_eq!(topic, "ev1/LM-TEST-1/d/receipt");
    let roots = Roots::load(&bench.pki.root()).unwrap();
    let receipt = Receipt::open(&receipt, &roots).unwrap().0;
    assert_eq!(
        (receipt.verdict, receipt.copies),
        (ReceiptVerdict::Stored, 1)
    );
    second.stop().await;

    let both = bench.archive(&["received", "elsewhere"]);
    let packages = both.packages(DEVICE).unwrap();
    let copies: Vec<_> = packages.iter().map(|p| (p.seq, p.copies)).collect();
    assert_eq!(
        copies,
        [(1, 2), (2, 1)],
        "together they have it once, twice over"
    );
    assert_eq!(both.missing(DEVICE).unwrap(), []);
    let alone = bench.archive(&["elsewhere"]);
    assert_eq!(alone.packages(DEVICE).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_knows_the_journal_heads_that_the_others_took() {
    let bench = Bench::new().await;
    let first = bench.start(bench.receive_config()).await;
    let own = Identity::load(&bench.pki.device, "evidence").unwrap();
    let device = Pipe::connect(&bench.endpoint(&bench.pki.device, DEVICE), None)
        .await
        .unwrap();
    let send = async |n: u64| {
        let p7m = Checkpoint::sign(&own, (n, &"a".repeat(64)), "boot", clock::now()).unwrap();
        let topic = Topic::new(DEVICE, Subject::Journal).to_string();
        let ack = device.publish(&topic, p7m, false).await.unwrap();
        assert_eq!(ack.await, Ok(Acked::Taken));
    };
    send(50).await;
    let taken = |e: &Event| matches!(e, Event::Checkpoint { n: 50, .. });
    until("the checkpoint", || bench.events(taken) == 1).await;
    first.stop().await;
    let second = bench.start(bench.second("received")).await;
    send(49).await;
    let refused = |e: &Event| matches!(e, Event::HeadRefused { .. });
    until("the refusal", || bench.events(refused) == 1).await;
    device.close().await;
    second.stop().await;
}

/// A receiver as a process of its own, so that it can be killed as the kernel kills.
struct Process(Child);

impl Process {
    fn start(config: &config::Receive) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .args(["receive", "--host", &config.host, "--name", &config.name])
            .args(["--any-clock", "--port", &config.port.to_string()])
            .args([
                Path::new("--keys"),
                &config.keys,
                Path::new("--dir"),
                &config.dir,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already dead is dead enough.
        drop(self.0.kill());
        self.0.wait().unwrap();
    }
}

/// Two receivers in one folder, one of them killed with SIGKILL at any moment, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn two_receivers_killed_in_turn_lose_nothing_and_double_nothing() {
    let bench = Bench::new().await;
    let configs = [bench.receive_config(), bench.second("received")];
    let mut receivers = configs.each_ref().map(Process::start);
    let upload = bench.upload();
    let mut ids = Vec::new();
    let mut dice = noise(clock::boot_ns(), 64).into_iter();
    for round in 0..12_usize {
        ids.push(bench.seal(3 * MIB));
        let bytes = usize::from(dice.next().unwrap()) * 13_000;
        let newest = ids[round];
        until("the moment", || {
            let done = bench.store.state(newest).unwrap() == Some(State::Receipted);
            let hand = bench.snapshot().in_hand;
            done || hand.is_some_and(|hand| hand.acknowledged >= bytes as u64)
        })
        .await;
        let turn = round % 2;
        receivers[turn] = {
            receivers[turn].0.kill().unwrap();
            Process::start(&configs[turn])
        };
    }
    bench.receipted(&ids).await;
    upload.stop().await;
    drop(receivers);
    let archive = bench.archive(&["received"]);
    assert_eq!(archive.missing(DEVICE).unwrap(), []);
    let kept: Vec<CaseId> = archive
        .packages(DEVICE)
        .unwrap()
        .iter()
        .map(|p| p.id)
        .collect();
    assert_eq!(kept, ids, "each once");
    let roots = Roots::load(&bench.pki.root()).unwrap();
    for id in ids {
        let (ours, theirs) = (bench.store.package_dir(id), bench.received(id));
        let mut ours = files(&ours);
        for later in [witness::CHAIN, witness::STAMPED, witness::TIMESTAMP] {
            ours.remove(Path::new(later));
        }
        assert!(
            ours == files(&theirs),
            "{id}: the same files, receipt included"
        );
        let verdict = witness::verify_path(&theirs, &roots).unwrap();
        assert!(verdict.valid(), "{verdict:?}");
    }
}
