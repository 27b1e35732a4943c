//! The whole way from a sealed package to its receipt, over a real mosquitto with TLS and client
//! certificates, and everything that can happen to it on the way.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test's helpers fail by panicking, and its files need not be durable"
)]

mod broker;
mod desk;
mod hand;
mod heads;
mod lanes;
mod outages;
mod profiles;
mod receivers;
mod relay;
mod script;
mod stamps;
mod traps;
mod trust;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use lingmou::clock;
use lingmou::config::{self, Config};
use lingmou::demo::broker::{Broker, BrokerKeys};
use lingmou::demo::tsa;
use lingmou::journal;
use lingmou::link::message::{Range, Subject, Topic, Want};
use lingmou::link::{Acked, Endpoint, LinkError, Pipe};
use lingmou::pki::TestPki;
use lingmou::receive::{self, Event, ReceiveError};
use lingmou::store::{Draft, SealContext, State, Store};
use lingmou::types::CaseId;
use lingmou::upload::{self, Uplink, UploadSnapshot, UploadState};
use lingmou::witness::{self, Container, Identity, Receipt, ReceiptVerdict, Roots, Trust};
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

    fn uplink_by(&self, keys: &Path, upload: config::Upload) -> Running {
        let mut config = Config {
            upload,
            ..Config::default()
        };
        keys.clone_into(&mut config.keys.dir);
        DEVICE.clone_into(&mut config.device.id);
        let uplink = Uplink {
            desk: None,
            endpoint: Endpoint::of(&config),
            config: config.upload,
            time_zone: TimeZone::UTC,
            store: self.store.clone(),
            identity: Arc::new(Identity::load(&self.pki.device, "evidence").unwrap()),
            trust: Arc::new(Trust::of_box(&keys.join("roots.crt")).unwrap()),
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
            any_clock: true,
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

    /// The receipt that the receiver would give for the first package, unsigned, and who signs it.
    fn right_receipt(&self, id: CaseId) -> (Receipt, Identity) {
        let signature = self.store.package_dir(id).join(witness::SIGNATURE);
        let receiver = Identity::load(&self.pki.receiver, "receiver").unwrap();
        let (v, kind) = Receipt::HEAD;
        let receipt = Receipt {
            v,
            kind: kind.to_owned(),
            id,
            device: DEVICE.to_owned(),
            seq: 1,
            sig_sha256: witness::sha256_hex(&fs::read(signature).unwrap()),
            verdict: ReceiptVerdict::Stored,
            why: None,
            copies: 1,
            head: None,
            at: clock::rfc3339_ms(clock::now().utc_ns),
            receiver: receiver.common_name(),
        };
        (receipt, receiver)
    }

    /// Where the receiver keeps what it has not whole yet of the device.
    fn incoming(&self) -> PathBuf {
        let received = self.dir.path().join("received");
        received.join("incoming").join(RECEIVER).join(DEVICE)
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
