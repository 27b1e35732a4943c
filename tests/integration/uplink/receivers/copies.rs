//! The second copy: when it counts, what the box is told, and media that fail.

use lingmou::witness::CheckId;
use rustix::fs::{Mode, OFlags};

use super::*;

/// Says that a folder is a medium for second copies.
const MARK: &str = "{\"v\":1,\"type\":\"lingmou.copies\"}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_copy_counts_when_it_was_read_back_and_is_caught_up_later() {
    let bench = Bench::new().await;
    let medium = bench.dir.path().join("medium");
    let config = config::Receive {
        copy_to: Some(medium.clone()),
        ..bench.receive_config()
    };
    let roots = Roots::load(&bench.pki.root()).unwrap();
    let copies = |id: CaseId| {
        let receipt = fs::read(bench.store.package_dir(id).join(witness::RECEIPT)).unwrap();
        Receipt::open(&receipt, &roots).unwrap().0.copies
    };
    let receiver = bench.start(config.clone()).await;
    let told = |e: &Event| matches!(e, Event::Trouble { why } if why.contains("no second copy"));
    until("the word that it is not there", || bench.events(told) == 1).await;
    let upload = bench.upload();
    let without = [bench.seal(100_000), bench.seal(1000)];
    bench.receipted(&without).await;
    assert_eq!(without.map(copies), [1, 1], "the medium is not there");
    assert_eq!(bench.events(told), 1, "told once, not for each package");
    assert!(
        !medium.exists(),
        "and nothing is written where it should be"
    );

    fs::create_dir(&medium).unwrap();
    let marker = medium.join("lingmou-copies.json");
    fs::write(&marker, MARK).unwrap();
    let with = bench.seal(100_000);
    bench.receipted(&[with]).await;
    assert_eq!(copies(with), 2);
    let of_device = copies_of(&bench);
    until("the copies that were owed", || names(&of_device).len() == 3).await;
    // The box is told by a later receipt, beside its first.
    let later = |id: CaseId| {
        let path = bench.store.package_dir(id).join(witness::LATER_RECEIPT);
        let read = fs::read(path).ok()?;
        Some(Receipt::open(&read, &roots).unwrap().0.copies)
    };
    let told = || without.map(later) == [Some(2); 2];
    until("the receipts that say so", told).await;
    assert_eq!(without.map(copies), [1, 1], "the first stays");
    assert_eq!(later(with), None);
    for id in [without[0], without[1], with] {
        let (one, two) = (bench.received(id), of_device.join(id.to_string()));
        assert!(files(&one) == files(&two), "{id}");
        let verdict = witness::verify_path(&two, &roots).unwrap();
        assert!(verdict.valid(), "{verdict:?}");
        let verdict = witness::verify_path(&bench.store.package_dir(id), &roots).unwrap();
        assert!(verdict.valid(), "{verdict:?}");
    }

    // A box that is away when the copy is made, so that what it is told then is lost, asks for it when
    // it is back; the receiver that answers is another process.
    fs::remove_file(&marker).unwrap();
    let missed = bench.seal(1000);
    bench.receipted(&[missed]).await;
    assert_eq!(copies(missed), 1);
    upload.stop().await;
    fs::write(&marker, MARK).unwrap();
    let of_missed = bench.received(missed).join(witness::LATER_RECEIPT);
    until("the copy", || of_missed.is_file()).await;
    receiver.stop().await;
    let receiver = bench.start(config.clone()).await;
    let upload = bench.upload();
    until("the receipt that says so", || later(missed) == Some(2)).await;
    upload.stop().await;
    receiver.stop().await;
    assert_eq!(bench.store.wanting_copies(8).unwrap(), []);
    bench.audit(&[without[0], without[1], with, missed]);

    a_foreign_later_receipt_is_found(&bench, with, missed);
    a_rotten_copy_is_made_anew(&bench, config, with).await;
}

/// What a box has missed it gets on the connection it has, few at a time. It was missed because the
/// medium hung: nobody waits for that but the copies.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_of_later_receipts_comes_on_one_connection() {
    let bench = Bench::new().await;
    let medium = bench.dir.path().join("medium");
    let config = config::Receive {
        copy_to: Some(medium.clone()),
        ..bench.receive_config()
    };
    fs::create_dir(&medium).unwrap();
    let (marker, ready) = (medium.join("lingmou-copies.json"), medium.join("ready"));
    let made = Command::new("mkfifo").arg(&marker).status().unwrap();
    assert!(made.success());
    let receiver = bench.start(config.clone()).await;
    let upload = bench.upload();
    let ids: Vec<CaseId> = (0..12).map(|_| bench.seal(100)).collect();
    bench.receipted(&ids).await;
    upload.stop().await;
    let silent = |e: &Event| matches!(e, Event::Trouble { why } if why.contains("not answer"));
    assert_eq!(bench.events(silent), 1, "told once");
    // It answers again: what waits for the pipe's other end finds it, and then the marker.
    let pipe = fs::File::options().read(true).write(true).open(&marker);
    fs::write(&ready, MARK).unwrap();
    fs::rename(&ready, &marker).unwrap();
    drop(pipe.unwrap());
    let later = |place: &Path| place.join(witness::LATER_RECEIPT).is_file();
    until("the copies", || {
        ids.iter().all(|id| later(&bench.received(*id)))
    })
    .await;
    receiver.stop().await;
    let receiver = bench.start(config).await;
    let before = bench.snapshot().connections;
    let upload = bench.upload();
    until("the receipts that say so", || {
        ids.iter().all(|id| later(&bench.store.package_dir(*id)))
    })
    .await;
    assert_eq!(bench.snapshot().connections, before + 1);
    upload.stop().await;
    receiver.stop().await;
}

/// Before a later receipt is sent its package is hashed, here from a disk that does not answer for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_answered_while_a_later_receipt_is_being_made() {
    let bench = Bench::new().await;
    let medium = bench.dir.path().join("medium");
    fs::create_dir(&medium).unwrap();
    let config = config::Receive {
        copy_to: Some(medium.clone()),
        ..bench.receive_config()
    };
    let receiver = bench.start(config).await;
    let upload = bench.upload();
    let old = bench.seal(1000);
    bench.receipted(&[old]).await;
    upload.stop().await;
    fs::write(medium.join("lingmou-copies.json"), MARK).unwrap();
    let place = bench.received(old);
    until("the copy", || place.join(witness::LATER_RECEIPT).is_file()).await;

    // A pipe: whoever reads the file waits until somebody writes it.
    let slow = place.join(witness::MIMETYPE);
    let bytes = fs::read(&slow).unwrap();
    fs::remove_file(&slow).unwrap();
    let made = Command::new("mkfifo").arg(&slow).status().unwrap();
    assert!(made.success());
    let upload = bench.upload();
    let mut pipe = None;
    until("that the package is read", || {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        pipe = rustix::fs::open(&slow, flags, Mode::empty()).ok();
        pipe.is_some()
    })
    .await;
    let fresh = bench.seal(1000);
    bench.receipted(&[fresh]).await;
    let later = bench.store.package_dir(old).join(witness::LATER_RECEIPT);
    assert!(!later.exists());

    let mut pipe = fs::File::from(pipe.unwrap());
    pipe.write_all(&bytes).unwrap();
    drop(pipe);
    until("the later receipt", || later.is_file()).await;
    upload.stop().await;
    receiver.stop().await;
    fs::remove_file(&slow).unwrap();
    fs::write(&slow, &bytes).unwrap();
    bench.audit(&[old, fresh]);
}

/// The medium dies, and an empty one takes its place.
#[tokio::test(flavor = "multi_thread")]
async fn another_medium_counts_for_nothing_until_it_has_everything() {
    let bench = Bench::new().await;
    let medium = bench.dir.path().join("medium");
    let prepare = || {
        fs::create_dir(&medium).unwrap();
        let id = Uuid::now_v7();
        let mark = format!(r#"{{"v":1,"type":"lingmou.copies","id":"{id}"}}"#);
        fs::write(medium.join("lingmou-copies.json"), mark).unwrap();
    };
    prepare();
    let config = config::Receive {
        copy_to: Some(medium.clone()),
        ..bench.receive_config()
    };
    let copies = || {
        let packages = bench.archive(&["received"]).packages(DEVICE).unwrap();
        packages.iter().map(|p| p.copies).collect::<Vec<_>>()
    };
    let receiver = bench.start(config.clone()).await;
    let upload = bench.upload();
    let ids = [bench.seal(1000), bench.seal(1000)];
    bench.receipted(&ids).await;
    upload.stop().await;
    receiver.stop().await;
    assert_eq!(copies(), [2, 2]);

    fs::remove_dir_all(&medium).unwrap();
    prepare();
    let in_the_way = medium.join("packages");
    fs::write(&in_the_way, "").unwrap();
    let receiver = bench.start(config.clone()).await;
    until("the other medium to be known", || copies() == [1, 1]).await;
    fs::remove_file(&in_the_way).unwrap();
    until("the copies", || copies() == [2, 2]).await;
    receiver.stop().await;
    let copy = |id: CaseId| copies_of(&bench).join(id.to_string());
    for id in ids {
        assert!(files(&bench.received(id)) == files(&copy(id)), "{id}");
    }

    // A new index has met no medium: what lies there, half of it, is read before it counts.
    fs::remove_file(bench.dir.path().join("received/index.db")).unwrap();
    let [half, whole] = [copy(ids[0]), bench.received(ids[0])].map(|dir| dir.join("clip.mp4"));
    fs::write(&half, b"half").unwrap();
    let receiver = bench.start(config).await;
    let whole = fs::read(whole).unwrap();
    until("the copy to be read", || {
        fs::read(&half).is_ok_and(|read| read == whole)
    })
    .await;
    receiver.stop().await;
}

/// Where the second copies of these tests lie.
fn copies_of(bench: &Bench) -> PathBuf {
    bench.dir.path().join("medium/packages").join(DEVICE)
}

/// What is wrong with a later receipt is wrong with the package.
fn a_foreign_later_receipt_is_found(bench: &Bench, other: CaseId, id: CaseId) {
    let spoilt = copies_of(bench).join(id.to_string());
    let foreign = bench.received(other).join(witness::RECEIPT);
    fs::copy(foreign, spoilt.join(witness::LATER_RECEIPT)).unwrap();
    let roots = Roots::load(&bench.pki.root()).unwrap();
    let verdict = witness::verify_path(&spoilt, &roots).unwrap();
    let failed: Vec<_> = verdict.failed().collect();
    assert_eq!(failed, [CheckId::Receipt]);
}

/// A copy that rotted is not counted: the package comes once more and the copy is made anew.
async fn a_rotten_copy_is_made_anew(bench: &Bench, config: config::Receive, id: CaseId) {
    let rotten = copies_of(bench).join(id.to_string()).join("clip.mp4");
    fs::write(&rotten, noise(9, 100_000)).unwrap();
    fs::remove_dir_all(bench.received(id)).unwrap();
    let receiver = bench.start(config).await;
    let mut device = ByHand::new(bench, id).await;
    let want = device.taken_by(bench, RECEIVER).await;
    device.give(&want).await;
    let (_, receipt) = device.finish(RECEIVER).await;
    let roots = Roots::load(&bench.pki.root()).unwrap();
    assert_eq!(Receipt::open(&receipt, &roots).unwrap().0.copies, 2);
    assert_eq!(
        fs::read(&rotten).unwrap(),
        fs::read(bench.received(id).join("clip.mp4")).unwrap()
    );
    receiver.stop().await;
}
