//! Time-stamps of receipted packages: an authority, none, and another bureau's.

use super::*;

/// The receiver's authority is `openssl ts`; the checker of what came back is ours and its own.
#[tokio::test(flavor = "multi_thread")]
async fn receipted_packages_are_time_stamped() {
    let mut bench = Bench::new().await;
    bench.tsa = tsa::command(&bench.dir.path().join("tsa"), &bench.pki).unwrap();
    let (receiver, upload) = (bench.receiver(), bench.upload());
    let ids: Vec<CaseId> = (0..3).map(|_| bench.seal(1000)).collect();
    bench.receipted(&ids).await;
    until("the time-stamps", || bench.snapshot().stamped == 3).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&ids);
    let stamps = bench.store.counts().unwrap().stamps;
    assert_eq!((stamps.kept, stamps.due), (3, 0));
    assert_eq!(bench.snapshot().stamp_cause, None);
    assert_eq!(bench.journalled("stamp"), 3);
    assert_eq!(bench.events(|e| matches!(e, Event::Stamped { .. })), 3);
    let roots = Roots::load(&bench.pki.root()).unwrap();
    for id in ids {
        let dir = bench.store.package_dir(id);
        let verdict = witness::verify(&Container::from_dir(&dir).unwrap(), &roots);
        assert!(verdict.valid(), "{verdict:?}");
        let stamp = verdict.stamp.unwrap();
        assert_eq!(stamp.accuracy_us, Some(1_000_000));
        let checked = Command::new("openssl")
            .args(["ts", "-verify", "-token_in", "-data", witness::STAMPED])
            .args(["-in", witness::TIMESTAMP, "-CAfile"])
            .arg(bench.pki.root())
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_authority_everything_else_goes_on_and_it_is_told() {
    let mut bench = Bench::new().await;
    let (receiver, upload) = (bench.receiver(), bench.upload());
    let first = bench.seal(1000);
    bench.receipted(&[first]).await;
    let told = |why: &str| {
        let cause = bench.snapshot().stamp_cause;
        cause.is_some_and(|cause| cause.contains(why))
    };
    until("the reason", || told("has no time-stamping authority")).await;
    let second = bench.seal(1000);
    bench.receipted(&[second]).await;
    upload.stop().await;
    receiver.stop().await;
    let stamps = bench.store.counts().unwrap().stamps;
    assert_eq!((stamps.kept, stamps.due), (0, 2));
    let asked = |e: &Event| matches!(e, Event::Unstamped { .. });
    assert_eq!(bench.events(asked), 1, "and not again at once");
    bench.audit(&[first, second]);

    // A later run, with an authority: what is due is stamped, the newest first.
    bench.tsa = tsa::command(&bench.dir.path().join("tsa"), &bench.pki).unwrap();
    let (receiver, upload) = (bench.receiver(), bench.upload());
    until("the time-stamps", || bench.snapshot().stamped == 2).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[first, second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_of_another_bureau_is_not_kept() {
    let mut bench = Bench::new().await;
    let other = TestPki::create(&bench.dir.path().join("other"), DEVICE).unwrap();
    bench.tsa = tsa::command(&bench.dir.path().join("tsa"), &other).unwrap();
    let (receiver, upload) = (bench.receiver(), bench.upload());
    let id = bench.seal(1000);
    bench.receipted(&[id]).await;
    until("the reason", || {
        let cause = bench.snapshot().stamp_cause;
        cause.is_some_and(|cause| cause.contains("the signer is not trusted"))
    })
    .await;
    upload.stop().await;
    receiver.stop().await;
    let stamps = bench.store.counts().unwrap().stamps;
    assert_eq!((stamps.kept, stamps.due), (0, 1));
    assert!(
        !bench
            .store
            .package_dir(id)
            .join(witness::TIMESTAMP)
            .exists()
    );
    assert_eq!(bench.journalled("stamp"), 0);
}
