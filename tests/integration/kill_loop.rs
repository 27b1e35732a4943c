//! kill −9 of box, broker and receiver, each a process of its own, at random moments in a loop.
//!
//! The box is this test program itself, told by its environment to keep, seal with a real key and
//! upload as fast as it can; the receiver is `lingmou receive`, the broker is mosquitto. The whole
//! daemon is killed in `field/kill_loop.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use lingmou::config::{self, Config};
use lingmou::demo::broker::{Broker, BrokerKeys};
use lingmou::journal;
use lingmou::link::Endpoint;
use lingmou::pki::TestPki;
use lingmou::store::Store;
use lingmou::types::CaseId;
use lingmou::upload::{self, Uplink, UploadState};
use lingmou::witness::{Identity, Roots, Trust, verify_path};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::crash::{keys, kills, seeded, store_config};
use crate::hands::{DEVICE, Hands};

/// Tells a copy of this program that it is the box, and where its folder is.
const BOX: &str = "LINGMOU_TEST_KILL_LOOP_BOX";
/// Tells it where the broker listens.
const PORT: &str = "LINGMOU_TEST_KILL_LOOP_PORT";
const RECEIVER: &str = "receiver-1";
/// Packages on the box before it waits for the receiver.
const BACKLOG: u64 = 6;
/// Longer than anything here takes on a machine that is busy with other things.
const DEADLINE: Duration = Duration::from_mins(4);
/// The last word of a box whose packages are all receipted.
const DRAINED: &str = "drained";

/// Waits until `holds`; says what was awaited when it never does.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Not a test by itself: the life of a box, until it is killed or its standard input ends, and
/// then until everything is receipted.
#[tokio::test(flavor = "multi_thread")]
async fn box_entry() {
    let (Some(dir), Some(port)) = (std::env::var_os(BOX), std::env::var_os(PORT)) else {
        return;
    };
    let dir = PathBuf::from(dir);
    let port = port.to_str().unwrap().parse().unwrap();
    let hands = Hands::open(&keys(&dir), &store_config(&dir)).unwrap();
    for case in hands.store.open_cases().unwrap() {
        let why = "its process was killed";
        hands.store.discard(case, why, None).unwrap();
    }
    tokio::spawn(upload::run(
        uplink(&dir, port, &hands.store),
        CancellationToken::new(),
    ));
    let last = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&last);
    std::thread::spawn(move || {
        let mut nothing = Vec::new();
        drop(std::io::stdin().read_to_end(&mut nothing));
        told.store(true, Ordering::Relaxed);
    });
    let pending = || hands.store.counts().unwrap().pending.packages;
    for round in 0.. {
        until("room in the backlog", || {
            pending() < BACKLOG || last.load(Ordering::Relaxed)
        })
        .await;
        if last.load(Ordering::Relaxed) {
            break;
        }
        let id = CaseId(Uuid::now_v7());
        hands.keep(id, 20_000 + 90_000 * (round % 3)).unwrap();
        hands.seal(id).unwrap();
        say(&format!("sealed {id}"));
    }
    until("every receipt", || pending() == 0).await;
    say(DRAINED);
}

fn say(words: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{words}").unwrap();
    out.flush().unwrap();
}

fn uplink(dir: &Path, port: u16, store: &Store) -> Uplink {
    let mut config = Config {
        upload: config::Upload {
            port,
            keep_alive_secs: 5,
            retry_max_secs: 1,
            ..config::Upload::default()
        },
        ..Config::default()
    };
    config.keys.dir = keys(dir).join("device");
    DEVICE.clone_into(&mut config.device.id);
    Uplink {
        desk: None,
        endpoint: Endpoint::of(&config),
        identity: Arc::new(Identity::load(&config.keys.dir, "evidence").unwrap()),
        trust: Arc::new(Trust::of_box(&config.keys.dir.join("roots.crt")).unwrap()),
        config: config.upload,
        time_zone: TimeZone::UTC,
        store: store.clone(),
        state: Arc::new(UploadState::new()),
    }
}

/// A process that is killed when dropped.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// As a power cut ends it.
    pub(super) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The box, and every word that any of its lives has said.
struct Device {
    process: Process,
    stdin: Option<ChildStdin>,
    words: Arc<Mutex<Vec<String>>>,
}

impl Device {
    fn start(dir: &Path, port: u16, words: &Arc<Mutex<Vec<String>>>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill_loop::box_entry", "--nocapture"])
            .env(BOX, dir)
            .env(PORT, port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let heard = Arc::clone(words);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                heard.lock().unwrap().push(line);
            }
        });
        Self {
            process: Process(child),
            stdin,
            words: Arc::clone(words),
        }
    }

    fn said(&self, what: &str) -> usize {
        let words = self.words.lock().unwrap();
        words.iter().filter(|line| line.starts_with(what)).count()
    }

    fn sealed(&self) -> BTreeSet<String> {
        let words = self.words.lock().unwrap();
        let ids = words.iter().filter_map(|line| line.strip_prefix("sealed "));
        // A kill may cut a word short.
        ids.filter(|id| Uuid::parse_str(id).is_ok())
            .map(str::to_owned)
            .collect()
    }
}

/// A receiver with these keys, which keeps in `received/` of `dir`; `more`: further arguments.
pub(super) fn receiver(places: (&Path, &Path), port: u16, more: &[String]) -> Process {
    let any_clock = "--any-clock";
    Process::start(receiving(places, port).arg(any_clock).args(more))
}

/// The same, to be started.
pub(super) fn receiving((keys, dir): (&Path, &Path), port: u16) -> Command {
    let log = |name: &str| {
        let path = dir.join(name);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_lingmou"));
    command
        .args(["receive", "--json", "--name", RECEIVER])
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--keys"])
        .arg(keys)
        .arg("--dir")
        .arg(dir.join("received"))
        .stdout(log("receiver.jsonl"))
        .stderr(log("receiver.log"));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn random_kills_lose_nothing_double_nothing_and_half_sign_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let pki = TestPki::create(&keys(dir), DEVICE).unwrap();
    let broker_keys = BrokerKeys::of(&pki);
    let mut broker = Broker::start(&dir.join("broker"), &broker_keys, &[RECEIVER])
        .await
        .unwrap();
    let port = broker.port();
    let take = || receiver((&pki.receiver, dir), port, &[]);
    let mut receiver_process = take();
    let words = Arc::default();
    let mut device = Device::start(dir, port, &words);
    let mut dice = seeded();
    let kills = kills(9);
    let mut killed = BTreeMap::new();
    for _ in 0..kills {
        let before = device.said("sealed ");
        until("another package", || device.said("sealed ") > before).await;
        sleep(Duration::from_micros(dice.below(400_000))).await;
        let victim = ["box", "broker", "receiver"][usize::try_from(dice.below(3)).unwrap()];
        *killed.entry(victim).or_insert(0) += 1;
        match victim {
            "box" => {
                device.process.kill();
                device = Device::start(dir, port, &words);
            }
            "broker" => {
                broker.kill().unwrap();
                broker.restart().await.unwrap();
            }
            _ => {
                receiver_process.kill();
                receiver_process = take();
            }
        }
    }
    drop(device.stdin.take());
    until("every receipt", || device.said(DRAINED) == 1).await;
    drop(receiver_process);
    let ends = Ends {
        device: DEVICE,
        store: &dir.join("store"),
        receiver: dir,
        roots: &pki.root(),
    };
    let count = audit(&ends, &device.sealed()).1.len();
    println!("kills: {killed:?}; {count} packages, none lost, none twice, none half signed");
}

/// Where a box and a receiver keep what was sent from one to the other.
pub(super) struct Ends<'a> {
    /// The box.
    pub(super) device: &'a str,
    /// Its store.
    pub(super) store: &'a Path,
    /// The folder that the receiver was started with.
    pub(super) receiver: &'a Path,
    /// Whose signatures are believed.
    pub(super) roots: &'a Path,
}

/// Every package that any life of the box promised is whole and VALID here and there, was stored
/// once, and there is no other. Gives the store, opened again, and which they are.
pub(super) fn audit(ends: &Ends<'_>, promised: &BTreeSet<String>) -> (Store, BTreeSet<String>) {
    let roots = Roots::load(ends.roots).unwrap();
    let here = ends.store.join("packages");
    let received = ends.receiver.join("received");
    let there = received.join("packages").join(ends.device);
    let names = |dir: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(dir).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let all = names(&here);
    let lost: Vec<_> = promised.difference(&all).collect();
    assert!(lost.is_empty(), "sealed and lost: {lost:?}");
    assert_eq!(all, names(&there), "each of the box's at the receiver");
    let incoming = received.join("incoming").join(RECEIVER).join(ends.device);
    assert_eq!(names(&incoming), BTreeSet::new(), "nothing left over");
    for path in all.iter().flat_map(|id| [here.join(id), there.join(id)]) {
        let verdict = verify_path(&path, &roots).unwrap();
        assert!(verdict.valid(), "{}: {verdict:?}", path.display());
        assert!(verdict.receipt.is_some(), "{}", path.display());
    }
    let mut stored = BTreeMap::new();
    let told = fs::read_to_string(ends.receiver.join("receiver.jsonl")).unwrap();
    let events = told
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for event in events.filter(|event| event["event"] == "stored") {
        *stored.entry(event["id"].to_string()).or_insert(0) += 1;
    }
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
    assert!(!stored.is_empty());
    let config = config::Store {
        dir: ends.store.to_owned(),
        keep_free_mib: 0,
        ballast_mib: 0,
        ..config::Store::default()
    };
    let (store, recovery) = Store::open(&config, ends.device).unwrap();
    assert_eq!(recovery.damaged, []);
    assert_eq!(store.check().unwrap(), []);
    journal::verify(&ends.store.join("journal")).unwrap();
    (store, all)
}
