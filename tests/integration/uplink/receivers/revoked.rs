//! A certificate that the bureau revokes while receivers work: a box's, and a receiver's own.

use super::*;
use crate::witness::list_of;

/// The bureau revokes its certificate while receivers work.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_revoked_box_sends_is_refused_and_what_was_stored_stays_so() {
    let bench = Bench::new().await;
    let (dir, ca) = (bench.dir.path(), &bench.pki.ca);
    let in_force = list_of((dir, "in-force"), ca, &[], "");
    let config = config::Receive {
        crl: Some(in_force.clone()),
        ..bench.receive_config()
    };
    let receiver = bench.start(config).await;
    let upload = bench.upload();
    let before = bench.seal(1000);
    bench.receipted(&[before]).await;
    let revoked = [(bench.pki.device.join("evidence.crt"), "260101000000Z")];
    fs::rename(list_of((dir, "next"), ca, &revoked, ""), &in_force).unwrap();
    let after = bench.seal(1000);
    until("the refusal", || {
        bench.store.state(after).unwrap() == Some(State::Refused)
    })
    .await;
    upload.stop().await;
    let dir = bench.dir.path().join("store").join("journal");
    let lines = journal::tail(&dir, usize::MAX).unwrap();
    let refused = lines.iter().find(|line| line.kind == "package.refused");
    let why = refused.unwrap().body["why"].to_string();
    assert!(
        why.contains("chain_revoked") && why.contains("2026-01-01"),
        "{why}"
    );
    assert!(bench.store.package_dir(after).join("clip.mp4").is_file());
    // Its receipt lost, a box asks once more.
    let mut device = ByHand::new(&bench, before).await;
    device.announce(&bench).await;
    let (topic, receipt) = device.answer().await;
    assert_eq!(topic, "ev1/LM-TEST-1/d/receipt");
    let roots = Roots::load(&bench.pki.root()).unwrap();
    let receipt = Receipt::open(&receipt, &roots).unwrap().0;
    assert_eq!(receipt.verdict, ReceiptVerdict::Stored);
    receiver.stop().await;
}

/// The key of a receiver is lost, and the bureau's list names it before somebody comes to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_on_its_own_list_signs_nothing() {
    let bench = Bench::new().await;
    let (dir, theirs) = (bench.dir.path(), bench.pki.receiver.join("receiver.crt"));
    let (in_force, next) = (dir.join("revoked.crl"), dir.join("next.crl"));
    fs::write(&in_force, bench.pki.revoke(&[]).unwrap()).unwrap();
    let (config, addr) = with_figures(&bench);
    let config = config::Receive {
        crl: Some(in_force.clone()),
        ..config
    };
    let receiver = bench.start(config.clone()).await;
    let upload = bench.upload();
    let before = bench.seal(1000);
    bench.receipted(&[before]).await;
    // 2026-01-01.
    let list = bench.pki.revoke(&[(&theirs, 1_767_225_600)]).unwrap();
    fs::write(&next, list).unwrap();
    fs::rename(&next, &in_force).unwrap();
    let after = bench.seal(1000);
    let says_so = |why: &str| why.contains("receiver.crt") && why.contains("on 2026-01-01");
    until("the word of it", || {
        bench.events(|e| matches!(e, Event::Trouble { why } if says_so(why))) == 1
    })
    .await;
    until("a package that waits", || {
        !told(addr, r#"lingmou_receive_errors_total{kind="sign"} 0"#)
    })
    .await;
    upload.stop().await;
    receiver.stop().await;
    assert_ne!(bench.store.state(after).unwrap(), Some(State::Receipted));
    assert!(!bench.received(after).join(witness::RECEIPT).exists());
    let again = receive::run(config, |_event| {}, CancellationToken::new()).await;
    let why = again.unwrap_err().to_string();
    assert!(says_so(&why), "{why}");
}
