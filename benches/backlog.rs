//! What the store writes for each byte it keeps, and what box and receiver hold in memory while
//! ten thousand packages wait and are sent.
//!
//! Written bytes are counted twice. `write_bytes` in `/proc/self/io` is the kernel's count for this
//! process: data, journal and database. The block device's own counter has what the file system
//! writes for itself as well, and whatever else runs on that disk meanwhile.
//!
//! Memory is `VmRSS` of processes of their own: the store with the upload, as the daemon has them,
//! and `lingmou receive`. For that the folders are in memory where there is a `/dev/shm` with room:
//! ten thousand packages are sealed one by one with real keys, and what a process holds does not
//! depend on the disk. Box and receiver are started with the allocator's settings of the unit
//! (`systemd/lingmou.service`). `--packages N` takes another number; `--to-the-end` sends all of them,
//! however long that takes; `--only daemon` does nothing but what `daemon` does.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its table, and fails where it cannot measure"
)]

#[path = "backlog/daemon.rs"]
mod daemon;
#[path = "../tests/integration/hands.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod hands;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use lingmou::clock;
use lingmou::config::{self, Config};
use lingmou::demo::broker::{Broker, BrokerKeys};
use lingmou::disk;
use lingmou::link::Endpoint;
use lingmou::pki::TestPki;
use lingmou::types::CaseId;
use lingmou::upload::{self, Uplink, UploadState};
use lingmou::witness::{Identity, Trust};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use hands::{DEVICE, Hands};

const RECEIVER: &str = "receiver-1";
/// Packages that wait, unless told otherwise.
const BACKLOG: u64 = 10_000;
/// Bytes of each of a waiting package's four files: their number is what is asked about.
const SMALL: usize = 500;
/// Room that so many need in memory, bytes: of each package some twenty blocks, at both ends.
const ROOM: u64 = 2 * 1024 * 1024 * 1024;
/// How long the backlog is watched while it is sent, at most, unless to the end.
const WATCHED: Duration = Duration::from_secs(100);
/// What a process needs to come to rest after its start.
const REST: Duration = Duration::from_secs(2);
/// How often it is looked how many are stored.
const LOOK: Duration = Duration::from_millis(500);
/// The allocator as `systemd/lingmou.service` sets it.
const ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];
/// Bytes of a sector, as the kernel counts them.
const SECTOR: u64 = 512;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match words.as_slice() {
        ["box", dir, port] => runtime.block_on(be_a_box(Path::new(dir), port.parse().unwrap())),
        words => {
            let number = words
                .iter()
                .skip_while(|word| **word != "--packages")
                .nth(1);
            let packages = number.map_or(BACKLOG, |number| number.parse().unwrap());
            let to_the_end = words.contains(&"--to-the-end");
            let watched = if to_the_end { Duration::MAX } else { WATCHED };
            if !words.contains(&"daemon") {
                runtime.block_on(run(packages, watched));
            }
            runtime.block_on(daemon::table(packages, WATCHED));
        }
    }
}

fn store_config(dir: &Path) -> config::Store {
    config::Store {
        dir: dir.join("store"),
        keep_free_mib: 0,
        ballast_mib: 0,
        ..config::Store::default()
    }
}

/// Store and upload of a box, until standard input ends.
async fn be_a_box(dir: &Path, port: u16) {
    let began = clock::boot_ns();
    let hands = Hands::open(&dir.join("keys"), &store_config(dir)).unwrap();
    let mut config = Config {
        upload: config::Upload {
            port,
            retry_max_secs: 1,
            drain_delay_secs: 0,
            drain_kib_s: 0,
            ..config::Upload::default()
        },
        ..Config::default()
    };
    config.keys.dir = dir.join("keys/device");
    DEVICE.clone_into(&mut config.device.id);
    let uplink = Uplink {
        desk: None,
        endpoint: Endpoint::of(&config),
        identity: Arc::new(Identity::load(&config.keys.dir, "evidence").unwrap()),
        trust: Arc::new(Trust::of_box(&config.keys.dir.join("roots.crt")).unwrap()),
        config: config.upload,
        time_zone: TimeZone::UTC,
        store: hands.store.clone(),
        state: Arc::new(UploadState::new()),
    };
    println!("{}", (clock::boot_ns() - began) / 1_000_000);
    std::io::stdout().flush().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(upload::run(uplink, stop.clone()));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
    stop.cancel();
}

async fn run(packages: u64, watched: Duration) {
    // Not /tmp, which may be memory: the build folder is on the disk.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!("\n## A backlog: bytes written, memory held");
    written_table(disk.path());
    let dir = roomy();
    let dir = dir.path();
    let pki = TestPki::create(&dir.join("keys"), DEVICE).unwrap();
    println!("\n### Memory with a backlog, MiB\n\n| | box | open s |\n|---|---|---|");
    let keys = BrokerKeys::of(&pki);
    let broker = Broker::start(&dir.join("broker"), &keys, &[RECEIVER])
        .await
        .unwrap();
    let levels = [packages / 10, packages / 2, packages];
    let mut sealed = 0;
    for level in levels {
        let hands = Hands::open(&dir.join("keys"), &store_config(dir)).unwrap();
        while sealed < level {
            keep_and_seal(&hands, SMALL);
            sealed += 1;
        }
        drop(hands);
        let (child, open_ms) = start_box(dir, broker.port());
        tokio::time::sleep(REST).await;
        let (mib, seconds) = (held(&child.0, "VmRSS:"), open_ms / 1000);
        println!("| {level} wait, no receiver | {mib:.1} | {seconds} |");
    }
    an_outage_ago(&dir.join("store/q.db"));
    drain(dir, broker.port(), packages, watched).await;
}

/// What waits was sealed an hour ago, in another boot: a backlog is late, and what is fresh is few.
fn an_outage_ago(queue: &Path) {
    let sql = "UPDATE package SET sealed_boot = NULL, sealed_ms = sealed_ms - 3600000";
    rusqlite::Connection::open(queue)
        .unwrap()
        .execute(sql, [])
        .unwrap();
}

/// A folder in memory where there is room for it.
fn roomy() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let free = disk::free_bytes(shm).unwrap_or_default();
    let place = if free > ROOM {
        shm
    } else {
        Path::new(env!("CARGO_TARGET_TMPDIR"))
    };
    tempfile::tempdir_in(place).unwrap()
}

/// Sends the backlog and prints what either side holds after each tenth of it.
#[expect(clippy::cast_precision_loss, reason = "a rate of a benchmark")]
async fn drain(dir: &Path, port: u16, packages: u64, watched: Duration) {
    println!(
        "\n| sent and stored | box, MiB | receiver, MiB | packages/s since the row above | \
         CPU ms each, box | receiver |\n|---|---|---|---|---|---|"
    );
    let receiver = start_receiver(dir, port);
    let (sender, _) = start_box(dir, port);
    let begun = Instant::now();
    let cpu = || [&sender, &receiver].map(|process| cpu_ms(&process.0));
    let (mut stored, mut before) = (0, (begun, 0, cpu()));
    while stored < packages && begun.elapsed() < watched {
        tokio::time::sleep(LOOK).await;
        stored = self::stored(dir);
        let ended = stored == packages || begun.elapsed() >= watched;
        let sent = (stored - before.1) as f64;
        if stored - before.1 < packages / 10 && !ended {
            continue;
        }
        let mib = [&sender, &receiver].map(|process| held(&process.0, "VmRSS:"));
        let (now, rate) = (cpu(), sent / before.0.elapsed().as_secs_f64());
        let each = [0, 1].map(|i| (now[i] - before.2[i]) / sent);
        println!(
            "| {stored} | {:.1} | {:.1} | {rate:.0} | {:.1} | {:.1} |",
            mib[0], mib[1], each[0], each[1]
        );
        before = (Instant::now(), stored, now);
    }
    let seconds = begun.elapsed().as_secs();
    let most = [&sender, &receiver].map(|process| held(&process.0, "VmHWM:"));
    println!(
        "| all the time, {seconds} s: the most | {:.1} | {:.1} | | | |",
        most[0], most[1]
    );
}

/// How many packages the receiver has.
fn stored(dir: &Path) -> u64 {
    let there = dir.join("received/packages").join(DEVICE);
    fs::read_dir(there).map_or(0, Iterator::count) as u64
}

/// CPU time of a process so far, user and system, all threads, milliseconds.
#[expect(clippy::cast_precision_loss, reason = "a time of a benchmark")]
fn cpu_ms(process: &Child) -> f64 {
    /// `man 5 proc`: in these ticks, on every Linux there is.
    const TICK_MS: u64 = 10;
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    (ticks * TICK_MS) as f64
}

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start_receiver(dir: &Path, port: u16) -> Running {
    Running(
        Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .args(["receive", "--any-clock", "--name", RECEIVER])
            .args(["--host", "127.0.0.1"])
            .args(["--port", &port.to_string(), "--keys"])
            .arg(dir.join("keys/receiver"))
            .arg("--dir")
            .arg(dir.join("received"))
            .envs(ALLOCATOR)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    )
}

/// A box whose store is open, and how many milliseconds that took.
fn start_box(dir: &Path, port: u16) -> (Running, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("box")
        .arg(dir)
        .arg(port.to_string())
        .envs(ALLOCATOR)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    (Running(child), line.trim().parse().unwrap())
}

fn keep_and_seal(hands: &Hands, bytes: usize) {
    let id = CaseId(Uuid::now_v7());
    hands.keep(id, bytes).unwrap();
    hands.seal(id).unwrap();
}

fn written_table(dir: &Path) {
    TestPki::create(&dir.join("keys"), DEVICE).unwrap();
    println!("\n### Written for each byte of a package\n");
    println!(
        "| files of | × by this process | × by the block device, all that runs on it |\n|---|---|---|"
    );
    for bytes in [2_000, 50_000, 2_000_000] {
        let [own, device] = written(dir, bytes);
        println!("| 4 × {bytes} bytes | {own:.2} | {device:.2} |");
    }
}

/// Bytes written for each byte of some packages: by this process, and by the block device; the
/// latter is not a number where the file system has none of its own.
#[expect(clippy::cast_precision_loss, reason = "a ratio of a benchmark")]
fn written(dir: &Path, bytes: usize) -> [f64; 2] {
    const TIMES: usize = 20;
    let place = dir.join(format!("written-{bytes}"));
    let hands = Hands::open(&dir.join("keys"), &store_config(&place)).unwrap();
    let count = || {
        [
            Some(field("/proc/self/io", "write_bytes:")),
            device_bytes(dir),
        ]
    };
    let before = count();
    for _ in 0..TIMES {
        keep_and_seal(&hands, bytes);
    }
    let [own, device] = count().map(|after| after.map(|bytes| bytes as f64));
    let [own_before, device_before] = before.map(|before| before.map(|bytes| bytes as f64));
    let kept = (TIMES * 4 * bytes) as f64;
    let ratio = |after: Option<f64>, before: Option<f64>| match (after, before) {
        (Some(after), Some(before)) => (after - before) / kept,
        _ => f64::NAN,
    };
    [ratio(own, own_before), ratio(device, device_before)]
}

/// Bytes written so far to the block device that `path` is on.
fn device_bytes(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let device = fs::metadata(path).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    let sectors: u64 = stat.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * SECTOR)
}

/// What the kernel says under this name of a process's memory, MiB.
#[expect(clippy::cast_precision_loss, reason = "memory of a benchmark")]
fn held(process: &Child, name: &str) -> f64 {
    let path = format!("/proc/{}/status", process.id());
    field(&path, name) as f64 / 1024.0
}

/// A number from a file of the kernel's.
fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    let number = rest.and_then(|rest| rest.split_whitespace().next());
    number.unwrap().parse().unwrap()
}
