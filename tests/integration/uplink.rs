//! The whole way from a sealed package to its receipt, over a real mosquitto with TLS and client
//! certificates, and everything that can happen to it on the way.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test's helpers fail by panicking, and its files need not be durable"
)]

mod hand;
mod heads;
mod lanes;
mod profiles;
mod receivers;
mod relay;
mod script;
mod traps;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use lingmou::clock;
use lingmou::config::{self, Profile};
use lingmou::demo::broker::{Broker, BrokerKeys};
use lingmou::demo::tsa;
use lingmou::journal;
use lingmou::link::message::{LATE, Presence, PresenceState, Range, Subject, Topic, Want};
use lingmou::link::{Acked, Endpoint, LinkError, Pipe};
use lingmou::pki::{TestPki, TestPkiPlan};
use lingmou::receive::{self, Event, ReceiveError};
use lingmou::store::{Draft, SealContext, State, Store};
use lingmou::types::CaseId;
use lingmou::upload::{self, Uplink, UploadSnapshot, UploadState, Why};
use lingmou::witness::{self, Container, Identity, Limits, Receipt, ReceiptVerdict, Roots};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::hands::blank;

const DEVICE: &str = "LM-TEST-1";
const RECEIVER: &str = "receiver-1";
/// Longer than anything here may take, back-off and stall detection included.
const DEADLINE: Duration = Duration::from_mins(2);
const MIB: usize = 1024 * 1024;

/// Waits until `holds`; says what was awaited when it never does.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Bytes no compression or default helps with.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let word = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(word)
        .take(len.div_ceil(8))
        .flatten()
        .collect();
    bytes.truncate(len);
    bytes
}

/// A device with its store, a broker and the place of a receiver.
struct Bench {
    dir: TempDir,
    pki: TestPki,
    broker: Broker,
    store: Store,
    state: Arc<UploadState>,
    events: Arc<Mutex<Vec<Event>>>,
    /// The receiver's way to a time-stamping authority; most tests need none.
    tsa: Vec<String>,
}

/// A running task that can be stopped in order or killed.
struct Running {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|e| e.is_cancelled()));
    }
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
        let keys = BrokerKeys::of(&pki);
        let broker = Broker::start(&dir.path().join("broker"), &keys, &[RECEIVER, "receiver-2"])
            .await
            .unwrap();
        let (store, _) = Store::open(&Self::store_config(dir.path()), DEVICE).unwrap();
        Self {
            dir,
            pki,
            broker,
            store,
            state: Arc::new(UploadState::new()),
            events: Arc::default(),
            tsa: Vec::new(),
        }
    }

    fn store_config(dir: &Path) -> config::Store {
        config::Store {
            dir: dir.join("store"),
            keep_free_mib: 0,
            ..config::Store::default()
        }
    }

    /// What a new start of the process finds, after a killed one.
    async fn reopen(&mut self) {
        let config = Self::store_config(self.dir.path());
        let elsewhere = Self::store_config(&self.dir.path().join("nowhere"));
        self.store = Store::open(&elsewhere, DEVICE).unwrap().0;
        let mut opened = None;
        // A call of the killed task may still be at work on its thread.
        until("the store let go", || {
            opened = Store::open(&config, DEVICE).ok();
            opened.is_some()
        })
        .await;
        self.store = opened.unwrap().0;
    }

    fn seal_as(&self, keys: &Path, clip: usize) -> CaseId {
        let id = CaseId(Uuid::now_v7());
        let at = clock::now();
        let seed = self.store.counts().unwrap().pending.packages;
        let draft = |name: &str, media_type: &str, bytes: Vec<u8>| Draft {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            at: Some(at),
            pts_ns: None,
            bytes,
        };
        let drafts = [
            draft("frames/01-found.jpg", "image/jpeg", noise(seed + 1, 90_000)),
            draft("frames/02-again.jpg", "image/jpeg", noise(seed + 2, 70_001)),
            draft("detections.jsonl", "application/jsonl", Vec::new()),
            draft("clip.mp4", "video/mp4", noise(seed + 3, clip)),
        ];
        self.store.keep(id, &drafts, None).unwrap();
        let identity = Identity::load(keys, "evidence").unwrap();
        let make = |context: SealContext| {
            witness::seal(&blank(DEVICE, id, at, &context), &identity, clock::now())
        };
        self.store.seal(id, make, None).unwrap();
        id
    }

    fn seal(&self, clip: usize) -> CaseId {
        self.seal_as(&self.pki.device, clip)
    }

    /// `[upload]` for a test: quick to try again.
    fn upload_config(&self) -> config::Upload {
        config::Upload {
            port: self.broker.port(),
            keep_alive_secs: 5,
            retry_max_secs: 1,
            ..config::Upload::default()
        }
    }

    fn uplink(&self, keys: &Path) -> Running {
        self.uplink_by(keys, self.upload_config())
    }

    fn uplink_by(&self, keys: &Path, config: config::Upload) -> Running {
        let uplink = Uplink {
            sent: None,
            desk: None,
            config,
            keys: keys.to_owned(),
            device: DEVICE.to_owned(),
            time_zone: TimeZone::UTC,
            store: self.store.clone(),
            identity: Arc::new(Identity::load(&self.pki.device, "evidence").unwrap()),
            state: Arc::clone(&self.state),
        };
        let stop = CancellationToken::new();
        Running {
            task: tokio::spawn(upload::run(uplink, stop.clone())),
            stop,
        }
    }

    fn upload(&self) -> Running {
        self.uplink(&self.pki.device)
    }

    fn upload_by(&self, config: config::Upload) -> Running {
        self.uplink_by(&self.pki.device, config)
    }

    fn receive_config(&self) -> config::Receive {
        config::Receive {
            name: RECEIVER.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: self.broker.port(),
            keys: self.pki.receiver.clone(),
            dir: self.dir.path().join("received"),
            tsa_command: self.tsa.clone(),
            ..config::Receive::default()
        }
    }

    fn receiver(&self) -> Running {
        let stop = CancellationToken::new();
        let events = Arc::clone(&self.events);
        let on_event = move |event| events.lock().unwrap().push(event);
        let run = receive::run(self.receive_config(), on_event, stop.clone());
        Running {
            task: tokio::spawn(async { run.await.unwrap() }),
            stop,
        }
    }

    fn endpoint(&self, keys: &Path, name: &str) -> Endpoint {
        Endpoint {
            host: "127.0.0.1".to_owned(),
            port: self.broker.port(),
            keys: keys.to_owned(),
            client_id: name.to_owned(),
            keep_alive: Duration::from_secs(5),
            interface: String::new(),
            sent: None,
        }
    }

    /// Somebody with a receiver's transport certificate.
    async fn as_receiver(&self) -> Pipe {
        Pipe::connect(&self.endpoint(&self.pki.receiver, RECEIVER), None)
            .await
            .unwrap()
    }

    fn snapshot(&self) -> UploadSnapshot {
        self.state.snapshot()
    }

    fn cause(&self) -> String {
        self.snapshot().cause.unwrap_or_default()
    }

    fn events(&self, which: impl Fn(&Event) -> bool) -> usize {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| which(event)).count()
    }

    fn stored(&self) -> usize {
        self.events(|event| matches!(event, Event::Stored { .. }))
    }

    async fn receipted(&self, ids: &[CaseId]) {
        for &id in ids {
            let what = format!("receipt of {id}");
            until(&what, || {
                self.store.state(id).unwrap() == Some(State::Receipted)
            })
            .await;
        }
    }

    /// Waits until so many bytes of the package in hand are with the broker.
    async fn mid_transfer(&self, bytes: usize) {
        until("a piece with the broker", || {
            let hand = self.snapshot().in_hand;
            hand.is_some_and(|hand| hand.acknowledged >= bytes as u64)
        })
        .await;
    }

    /// Nothing lost, nothing twice, every byte equal, VALID on both sides.
    fn audit(&self, ids: &[CaseId]) {
        let roots = Roots::load(&self.pki.root()).unwrap();
        let received = self.dir.path().join("received");
        let of_device = received.join("packages").join(DEVICE);
        let mut there = names(&of_device);
        let mut expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
        there.sort();
        expected.sort();
        assert_eq!(there, expected, "each package once at the receiver");
        assert_eq!(
            names(&received.join("incoming").join(RECEIVER).join(DEVICE)),
            Vec::<String>::new(),
            "nothing left over"
        );
        // A killed receiver may have stored and not lived to tell.
        assert!(self.stored() <= ids.len(), "none stored twice");
        for &id in ids {
            let (ours, theirs) = (self.store.package_dir(id), of_device.join(id.to_string()));
            let mut of_device = files(&ours);
            for later in [witness::CHAIN, witness::STAMPED, witness::TIMESTAMP] {
                of_device.remove(Path::new(later));
            }
            assert_eq!(
                of_device,
                files(&theirs),
                "the same files, receipt included"
            );
            for dir in [ours, theirs] {
                let verdict = witness::verify(&Container::from_dir(&dir).unwrap(), &roots);
                assert!(verdict.valid(), "{verdict:?}");
                assert!(verdict.receipt.is_some());
            }
        }
        journal::verify(&self.dir.path().join("store").join("journal")).unwrap();
        let counts = self.store.counts().unwrap();
        assert_eq!(counts.pending.packages, 0);
    }

    fn journalled(&self, kind: &str) -> usize {
        let dir = self.dir.path().join("store").join("journal");
        let lines = journal::tail(&dir, usize::MAX).unwrap();
        lines.iter().filter(|line| line.kind == kind).count()
    }
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect()
        },
    )
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_packages_come_whole_and_are_receipted() {
    let bench = Bench::new().await;
    let receiver = bench.receiver();
    let upload = bench.upload();
    let mut ids: Vec<CaseId> = (0..3).map(|_| bench.seal(2 * MIB + 17)).collect();
    bench.receipted(&ids).await;
    ids.push(bench.seal(1));
    bench.receipted(&ids).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&ids);
    let snapshot = bench.snapshot();
    assert_eq!((snapshot.receipted, snapshot.refused), (4, 0));
    assert_eq!(bench.journalled("package.receipted"), 4);
    assert_eq!(bench.journalled("package.sent"), 4);
    let payload = 3 * (2 * MIB + 17 + 160_001) as u64;
    let overhead = snapshot.sent_bytes.saturating_sub(payload);
    assert!(
        snapshot.sent_bytes > payload && overhead < 300_000,
        "{overhead} bytes too many"
    );
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_at_start_is_waited_for() {
    let mut bench = Bench::new().await;
    bench.broker.kill().unwrap();
    let id = bench.seal(100_000);
    let (upload, receiver) = (bench.upload(), bench.receiver());
    until("the cause", || bench.cause().contains("refused")).await;
    let down = |e: &Event| {
        matches!(
            e,
            Event::Disconnected {
                why: LinkError::Refused { .. }
            }
        )
    };
    until("the receiver's cause", || bench.events(down) > 0).await;
    bench.broker.restart().await.unwrap();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_in_the_middle_costs_nothing_but_time() {
    let mut bench = Bench::new().await;
    let (upload, receiver) = (bench.upload(), bench.receiver());
    let id = bench.seal(48 * MIB);
    for share in [4, 2] {
        bench.mid_transfer(MIB * share).await;
        bench.broker.kill().unwrap();
        assert_ne!(bench.store.state(id).unwrap(), Some(State::Receipted));
        until("the end noticed", || !bench.snapshot().connected).await;
        bench.broker.restart().await.unwrap();
        until("the connection back", || bench.snapshot().connected).await;
    }
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
    let sent = bench.snapshot().sent_bytes;
    assert!(
        sent < (54 * MIB) as u64,
        "resumed, not begun again: {sent} bytes sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_killed_in_the_middle_goes_on_where_it_was() {
    let bench = Bench::new().await;
    let (upload, receiver) = (bench.upload(), bench.receiver());
    let id = bench.seal(48 * MIB);
    bench.mid_transfer(20 * MIB).await;
    receiver.kill().await;
    assert_ne!(bench.store.state(id).unwrap(), Some(State::Receipted));
    let receiver = bench.receiver();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stands_still_is_noticed_and_left() {
    let bench = Bench::new().await;
    let (upload, receiver) = (bench.upload(), bench.receiver());
    let id = bench.seal(48 * MIB);
    bench.mid_transfer(4 * MIB).await;
    signal(bench.broker.pid(), Signal::STOP);
    let stopped = Instant::now();
    until("the stall noticed", || !bench.snapshot().connected).await;
    let noticed = stopped.elapsed().as_secs();
    assert!(noticed <= 45, "only after {noticed} s");
    signal(bench.broker.pid(), Signal::CONT);
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_packages_wait() {
    let bench = Bench::new().await;
    let ids = [bench.seal(1000), bench.seal(1000)];
    let upload = bench.upload();
    until("the cause", || bench.cause() == "no receiver is listening").await;
    assert!(!bench.snapshot().needs_a_person);
    assert_eq!(bench.store.counts().unwrap().pending.packages, 2);
    let receiver = bench.receiver();
    bench.receipted(&ids).await;
    assert_eq!(bench.cause(), "");
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&ids);
}

/// What a forger would send: each differs from the right receipt in one thing.
fn forgeries(bench: &Bench, id: CaseId, other: &TestPki) -> Vec<Vec<u8>> {
    let signature = fs::read(bench.store.package_dir(id).join(witness::SIGNATURE)).unwrap();
    let receiver = Identity::load(&bench.pki.receiver, "receiver").unwrap();
    let (v, kind) = Receipt::HEAD;
    let right = Receipt {
        v,
        kind: kind.to_owned(),
        id,
        device: DEVICE.to_owned(),
        seq: 1,
        sig_sha256: witness::sha256_hex(&signature),
        verdict: ReceiptVerdict::Stored,
        why: None,
        copies: 1,
        head: None,
        at: clock::rfc3339_ms(clock::now().utc_ns),
        receiver: receiver.common_name(),
    };
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
    upload.stop().await;
    receiver.stop().await;
    assert_eq!(bench.snapshot().refused, 1);
    assert_eq!(bench.journalled("package.refused"), 1);
    assert_eq!(bench.store.counts().unwrap().pending.packages, 1, "kept");
    let refused = |e: &Event| matches!(e, Event::Refused { why, .. } if why.contains("chain"));
    assert_eq!(bench.events(refused), 1);
    let packages = bench.dir.path().join("received").join("packages");
    assert_eq!(
        names(&packages.join(DEVICE)),
        [good.to_string()],
        "nothing of the bad one"
    );
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
async fn what_is_wrong_with_the_way_is_told_apart() {
    let mut bench = Bench::new().await;
    let fails = async |endpoint: &Endpoint| Pipe::connect(endpoint, None).await.err().unwrap();
    let right = bench.endpoint(&bench.pki.device, DEVICE);
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let not_tls = Endpoint {
        port: plain.local_addr().unwrap().port(),
        ..right.clone()
    };
    let shut = tokio::spawn(async move {
        let (stream, _) = plain.accept().await.unwrap();
        drop(stream);
    });
    let error = fails(&not_tls).await;
    assert!(matches!(error, LinkError::Tls { .. }), "{error}");
    shut.await.unwrap();
    let no_name = Endpoint {
        host: "no host".to_owned(),
        ..right.clone()
    };
    let error = fails(&no_name).await;
    assert!(matches!(error, LinkError::NotResolved { .. }), "{error}");
    bench.broker.kill().unwrap();
    let error = fails(&right).await;
    assert!(matches!(error, LinkError::Refused { .. }), "{error}");
    assert!(!error.needs_a_person());
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

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_limits_are_obeyed_and_its_refusals_heard() {
    let mut bench = Bench::new().await;
    let config = bench.dir.path().join("broker").join("mosquitto.conf");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("max_packet_size 262144", "max_packet_size 20000"),
    )
    .unwrap();
    bench.broker.kill().unwrap();
    bench.broker.restart().await.unwrap();

    let device = Pipe::connect(&bench.endpoint(&bench.pki.device, DEVICE), None)
        .await
        .unwrap();
    let foreign = device
        .publish("ev1/LM-TEST-2/n", vec![1], false)
        .await
        .unwrap();
    let what = "ev1/LM-TEST-2/n".to_owned();
    assert_eq!(foreign.await, Err(LinkError::NotAuthorised { what }));
    let own_receipt = device.publish("ev1/LM-TEST-1/d/receipt", vec![1], false);
    let refused = own_receipt.await.unwrap().await;
    assert!(matches!(refused, Err(LinkError::NotAuthorised { .. })));
    let topic = "ev1/LM-TEST-1/n";
    let large = device.publish(topic, vec![0; 20_000], false).await;
    assert!(matches!(
        large,
        Err(LinkError::TooLarge { bytes: 20_000, .. })
    ));
    let fits = vec![0; device.payload_max(topic)];
    let ack = device.publish(topic, fits, false).await.unwrap();
    assert_eq!(ack.await, Ok(Acked::NobodyListens));
    device.close().await;

    let (upload, receiver) = (bench.upload(), bench.receiver());
    let id = bench.seal(300_000);
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

/// The state retained for the device.
async fn presence(observer: &mut Pipe) -> Presence {
    let message = observer.recv().await.unwrap();
    assert_eq!(message.topic(), "ev1/LM-TEST-1/state");
    serde_json::from_slice(message.payload()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_says_whether_a_device_left_or_was_cut_off() {
    let bench = Bench::new().await;
    let mut observer = bench.as_receiver().await;
    observer.subscribe("ev1/+/state").await.unwrap();
    bench.seal(1000);
    let upload = bench.upload();
    let ready = presence(&mut observer).await;
    assert_eq!((ready.state, ready.bd), (PresenceState::Ready, 1));
    assert_eq!(ready.queued, Some(1));
    assert!(ready.cert_days.is_some_and(|days| days > 4000));
    assert!(ready.head.is_some_and(|head| head.len() == 64));
    upload.stop().await;
    let gone = presence(&mut observer).await;
    assert_eq!(gone.state, PresenceState::Stopping);

    let upload = bench.upload();
    assert_eq!(presence(&mut observer).await.state, PresenceState::Ready);
    upload.kill().await;
    let lost = presence(&mut observer).await;
    assert_eq!(lost, Presence::bare(PresenceState::Lost, 1));
    observer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_in_the_middle_is_quick_and_loses_nothing() {
    let bench = Bench::new().await;
    let receiver = bench.receiver();
    let upload = bench.upload();
    let id = bench.seal(48 * MIB);
    bench.mid_transfer(4 * MIB).await;
    let asked = Instant::now();
    upload.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(7));
    assert_eq!(bench.store.state(id).unwrap(), Some(State::Queued));
    let upload = bench.upload();
    bench.receipted(&[id]).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

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
    assert_eq!(
        names(&received.join("incoming").join(RECEIVER).join(DEVICE)),
        Vec::<String>::new()
    );
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

/// A device's side of the dialogue, by hand.
struct ByHand {
    pipe: Pipe,
    contents: BTreeMap<String, Vec<u8>>,
    id: CaseId,
}

impl ByHand {
    async fn new(bench: &Bench, id: CaseId) -> Self {
        let pipe = Pipe::connect(&bench.endpoint(&bench.pki.device, DEVICE), None)
            .await
            .unwrap();
        pipe.subscribe("ev1/LM-TEST-1/d/#").await.unwrap();
        let contents = files(&bench.store.package_dir(id))
            .into_values()
            .map(|bytes| (witness::sha256_hex(&bytes), bytes))
            .collect();
        Self { pipe, contents, id }
    }

    async fn say(&self, subject: Subject, payload: Vec<u8>) {
        let topic = Topic::new(DEVICE, subject).to_string();
        let ack = self.pipe.publish(&topic, payload, false).await.unwrap();
        assert_eq!(ack.await, Ok(Acked::Taken));
    }

    async fn announce(&self, bench: &Bench) {
        let dir = bench.store.package_dir(self.id);
        let head = Container::from_dir(&dir).unwrap().head().to_zip();
        self.say(Subject::Head, head).await;
    }

    async fn ask(&self) {
        let sink = RECEIVER.to_owned();
        let body = format!(r#"{{"id":"{}"}}"#, self.id).into_bytes();
        self.say(Subject::Finished { sink }, body).await;
    }

    /// Sends a range of a file in pieces.
    async fn send(&self, Range(sha256, from, to): &Range) {
        let bytes = &self.contents[sha256];
        let (mut at, to) = (
            usize::try_from(*from).unwrap(),
            usize::try_from(*to).unwrap(),
        );
        while at < to {
            let end = to.min(at + 200_000);
            let subject = Subject::Chunk {
                sink: RECEIVER.to_owned(),
                sha256: sha256.clone(),
                offset: at as u64,
            };
            self.say(subject, bytes[at..end].to_vec()).await;
            at = end;
        }
    }

    async fn wanted(&mut self) -> Vec<Range> {
        let message = self.pipe.recv().await.unwrap();
        assert_eq!(message.topic(), "ev1/LM-TEST-1/d/want");
        let want: Want = serde_json::from_slice(message.payload()).unwrap();
        self.pipe.done(&message).unwrap();
        want.missing
    }
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

    let incoming = bench
        .dir
        .path()
        .join("received")
        .join("incoming")
        .join(RECEIVER)
        .join(DEVICE);
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
    let incoming = bench
        .dir
        .path()
        .join("received")
        .join("incoming")
        .join(RECEIVER)
        .join(DEVICE);
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

/// Kills broker, receiver and device in turn at arbitrary moments while packages flow.
#[tokio::test(flavor = "multi_thread")]
async fn eighteen_kills_lose_nothing_and_double_nothing() {
    let mut bench = Bench::new().await;
    let (mut upload, mut receiver) = (bench.upload(), bench.receiver());
    let mut ids = Vec::new();
    let mut dice = noise(20_260_801, 64).into_iter();
    for round in 0..18_u8 {
        ids.push(bench.seal(6 * MIB));
        // Anywhere from "nothing sent yet" to "all sent, receipt on its way".
        let bytes = usize::from(dice.next().unwrap()) * 25_000;
        let newest = *ids.last().unwrap();
        until("the moment", || {
            let done = bench.store.state(newest).unwrap() == Some(State::Receipted);
            let hand = bench.snapshot().in_hand;
            done || hand.is_some_and(|hand| hand.acknowledged >= bytes as u64)
        })
        .await;
        match round % 3 {
            0 => {
                bench.broker.kill().unwrap();
                bench.broker.restart().await.unwrap();
            }
            1 => {
                receiver.kill().await;
                receiver = bench.receiver();
            }
            _ => {
                upload.kill().await;
                bench.reopen().await;
                upload = bench.upload();
            }
        }
    }
    bench.receipted(&ids).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&ids);
}
