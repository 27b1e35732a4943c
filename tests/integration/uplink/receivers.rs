//! Several receivers behind one broker: in one folder, in folders of their own, killed in turn;
//! the second copy, the index, and the figures.

use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};

use lingmou::link::message::LATE;
use lingmou::receive::archive::{Archive, Gap};
use lingmou::witness::{CheckId, Checkpoint};
use rustix::fs::{Mode, OFlags};

use super::hand::ByHand;
use super::*;
use crate::witness::list_of;

const SECOND: &str = "receiver-2";
/// Says that a folder is a medium for second copies.
const MARK: &str = "{\"v\":1,\"type\":\"lingmou.copies\"}\n";

impl Bench {
    /// Its second receiver's configuration; it works in `folder`.
    fn second(&self, folder: &str) -> config::Receive {
        let keys = self.dir.path().join("pki").join(SECOND);
        if !keys.exists() {
            self.pki.add_receiver(SECOND).unwrap();
        }
        config::Receive {
            name: SECOND.to_owned(),
            keys,
            dir: self.dir.path().join(folder),
            ..self.receive_config()
        }
    }

    /// Starts a receiver and waits until it is connected.
    async fn start(&self, config: config::Receive) -> Running {
        let connected = |e: &Event| matches!(e, Event::Connected { .. });
        let before = self.events(connected);
        let stop = CancellationToken::new();
        let events = Arc::clone(&self.events);
        let on_event = move |event| events.lock().unwrap().push(event);
        let run = receive::run(config, on_event, stop.clone());
        let task = tokio::spawn(async { run.await.unwrap() });
        until("the receiver", || self.events(connected) > before).await;
        Running { task, stop }
    }

    fn archive(&self, folders: &[&str]) -> Archive {
        let dirs: Vec<PathBuf> = folders.iter().map(|f| self.dir.path().join(f)).collect();
        Archive::open(&dirs, clock::now()).unwrap()
    }

    fn received(&self, id: CaseId) -> PathBuf {
        let packages = self.dir.path().join("received").join("packages");
        packages.join(DEVICE).join(id.to_string())
    }
}

impl ByHand {
    /// The next answer that is not read yet.
    async fn answer(&mut self) -> (String, Vec<u8>) {
        let message = self.pipe.recv().await.unwrap();
        self.pipe.done(&message).unwrap();
        (message.topic().to_owned(), message.payload().to_vec())
    }

    /// Announces until `sink` takes the package; what it wants.
    async fn taken_by(&mut self, bench: &Bench, sink: &str) -> Want {
        loop {
            self.announce(bench).await;
            let (topic, payload) = self.answer().await;
            assert_eq!(topic, "ev1/LM-TEST-1/d/want");
            let want: Want = serde_json::from_slice(&payload).unwrap();
            if want.sink == sink {
                return want;
            }
        }
    }

    /// Sends what is wanted, to whom it wants it.
    async fn give(&self, want: &Want) {
        for Range(sha256, from, to) in &want.missing {
            let at = usize::try_from(*from).unwrap()..usize::try_from(*to).unwrap();
            let subject = Subject::Chunk {
                sink: want.sink.clone(),
                sha256: sha256.clone(),
                offset: *from,
            };
            self.say(subject, self.contents[sha256][at].to_vec()).await;
        }
    }

    async fn finish(&mut self, sink: &str) -> (String, Vec<u8>) {
        let body = format!(r#"{{"id":"{}"}}"#, self.id).into_bytes();
        let sink = sink.to_owned();
        self.say(Subject::Finished { sink }, body).await;
        self.answer().await
    }
}

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

/// Trying again for ever would not help.
#[tokio::test]
async fn what_only_a_person_can_mend_is_said_at_a_receivers_start() {
    let dir = TempDir::new().unwrap();
    let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
    let right = || config::Receive {
        name: RECEIVER.to_owned(),
        host: "127.0.0.1".to_owned(),
        keys: pki.receiver.clone(),
        dir: dir.path().join("received"),
        ..config::Receive::default()
    };
    let program = |name: &str| config::Receive {
        tsa_command: vec![name.to_owned()],
        ..right()
    };
    let no_program = pki.receiver.join("receiver.crt");
    let host = config::Receive {
        host: "http://broker.bureau.lan".to_owned(),
        ..right()
    };
    let name = config::Receive {
        name: "other".to_owned(),
        ..right()
    };
    for (config, words) in [
        (host, "--host \"http://broker.bureau.lan\" is not a host"),
        (name, "transport.crt is for \"receiver-1\""),
        (program("no-such-program"), "no program \"no-such-program\""),
        (program(no_program.to_str().unwrap()), "that could be run"),
    ] {
        let refused = receive::run(config, |_| {}, CancellationToken::new()).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let stop = CancellationToken::new();
    stop.cancel();
    receive::run(program("sh"), |_| {}, stop).await.unwrap();
}

/// `lingmou archive …` on the bench's folder: exit code and JSON lines.
fn asked(bench: &Bench, question: &str) -> (i32, Vec<serde_json::Value>) {
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["archive", question, "--json", "--dir"])
        .arg(bench.dir.path().join("received"))
        .output()
        .unwrap();
    let lines = String::from_utf8(out.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let code = out.status.code().unwrap();
    assert!(code < 2, "{}", String::from_utf8_lossy(&out.stderr));
    (code, lines.collect())
}

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

/// One request, as an HTTP client makes it.
fn request(addr: std::net::SocketAddr, line: &str) -> String {
    let mut stream = std::net::TcpStream::connect(addr).unwrap();
    write!(stream, "{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// A receiver that serves figures, and where.
fn with_figures(bench: &Bench) -> (config::Receive, std::net::SocketAddr) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    let config = config::Receive {
        metrics: Some(addr),
        ..bench.receive_config()
    };
    (config, addr)
}

/// Whether the figures have this line.
fn told(addr: std::net::SocketAddr, line: &str) -> bool {
    let page = request(addr, "GET /metrics");
    page.lines().any(|l| l == line)
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

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_served_on_loopback_only() {
    let bench = Bench::new().await;
    let outside = config::Receive {
        metrics: Some("0.0.0.0:0".parse().unwrap()),
        ..bench.receive_config()
    };
    let refused = receive::run(outside, |_| {}, CancellationToken::new()).await;
    assert!(matches!(refused, Err(ReceiveError::Metrics { .. })));

    let (config, addr) = with_figures(&bench);
    let receiver = bench.start(config).await;
    let upload = bench.upload();
    let id = bench.seal(100_000);
    bench.receipted(&[id]).await;
    let has = |line: &str| told(addr, line);
    for line in [
        r#"lingmou_receive_packages_total{result="stored"} 1"#,
        "lingmou_receive_connected 1",
        "lingmou_receive_packages 1",
        "lingmou_receive_devices 1",
    ] {
        // The gauges follow within seconds.
        until(line, || has(line)).await;
    }
    let page = request(addr, "GET /metrics");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(
        page.contains("lingmou_receive_piece_bytes_total 260001"),
        "{page}"
    );
    assert!(request(addr, "GET /").starts_with("HTTP/1.1 404 "));
    assert!(request(addr, "POST /metrics").starts_with("HTTP/1.1 405 "));
    upload.stop().await;
    receiver.stop().await;
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
