//! What the store writes for each byte it keeps, and what box and receiver hold in memory while
//! ten thousand packages wait and are sent.
//!
//! Written bytes are the kernel's own count for this process (`write_bytes` in `/proc/self/io`):
//! data, journal and database, without what the file system writes for itself; `make powercut`
//! counts that as well. Memory is `VmRSS` of processes of their own: the store with the upload, as
//! the daemon has them, and `lingmou receive`.
//!
//! `--packages N` takes another number. The packages are sealed one by one with real keys, which
//! takes minutes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its table, and fails where it cannot measure"
)]

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
use lingmou::config;
use lingmou::demo::broker::{Broker, BrokerKeys};
use lingmou::pki::TestPki;
use lingmou::types::CaseId;
use lingmou::upload::{self, Uplink, UploadState};
use lingmou::witness::Identity;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use hands::{DEVICE, Hands};

const RECEIVER: &str = "receiver-1";
/// Packages that wait, unless told otherwise.
const BACKLOG: u64 = 10_000;
/// Bytes of each of a waiting package's four files: their number is what is asked about.
const SMALL: usize = 2_000;
/// How long the backlog is watched while it is sent.
const WATCHED_SECS: u64 = 60;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match words.as_slice() {
        ["box", dir, port] => runtime.block_on(be_a_box(Path::new(dir), port.parse().unwrap())),
        ["--packages", number, ..] => runtime.block_on(run(number.parse().unwrap())),
        _ => runtime.block_on(run(BACKLOG)),
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
    let keys = dir.join("keys/device");
    let uplink = Uplink {
        desk: None,
        config: config::Upload {
            port,
            retry_max_secs: 1,
            drain_delay_secs: 0,
            drain_kib_s: 0,
            ..config::Upload::default()
        },
        identity: Arc::new(Identity::load(&keys, "evidence").unwrap()),
        keys,
        device: DEVICE.to_owned(),
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

async fn run(packages: u64) {
    // Not /tmp, which may be memory: the build folder is on the disk.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = dir.path();
    let pki = TestPki::create(&dir.join("keys"), DEVICE).unwrap();
    println!("\n### Written for each byte of a package\n\n| files of | × |\n|---|---|");
    for bytes in [SMALL, 50_000, 2_000_000] {
        println!("| 4 × {bytes} bytes | {:.2} |", written(dir, bytes));
    }
    println!("\n### Memory, MiB\n\n| | box | receiver | open s |\n|---|---|---|---|");
    let keys = BrokerKeys::of(&pki);
    let broker = Broker::start(&dir.join("broker"), &keys, &[RECEIVER])
        .await
        .unwrap();
    let mut sealed = 0;
    for level in [100, packages / 10, packages] {
        let hands = Hands::open(&dir.join("keys"), &store_config(dir)).unwrap();
        while sealed < level {
            keep_and_seal(&hands, SMALL);
            sealed += 1;
        }
        drop(hands);
        let (child, open_ms) = start_box(dir, broker.port());
        let seconds = open_ms / 1000;
        println!(
            "| {level} wait, no receiver | {:.1} | | {seconds} |",
            resident(&child.0)
        );
    }
    drain(dir, broker.port()).await;
}

/// Sends for a while and prints the most that either side held.
async fn drain(dir: &Path, port: u16) {
    let receiver = Running(
        Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .args(["receive", "--name", RECEIVER, "--host", "127.0.0.1"])
            .args(["--port", &port.to_string(), "--keys"])
            .arg(dir.join("keys/receiver"))
            .arg("--dir")
            .arg(dir.join("received"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let (sender, _) = start_box(dir, port);
    let mut most = [0.0_f64; 2];
    for _ in 0..WATCHED_SECS {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (most, process) in most.iter_mut().zip([&sender, &receiver]) {
            *most = most.max(resident(&process.0));
        }
    }
    let there = dir.join("received/packages").join(DEVICE);
    let stored = fs::read_dir(there).map_or(0, Iterator::count);
    println!(
        "| most while {stored} were sent in {WATCHED_SECS} s | {:.1} | {:.1} | |",
        most[0], most[1]
    );
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

/// A box whose store is open, and how many milliseconds that took.
fn start_box(dir: &Path, port: u16) -> (Running, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("box")
        .arg(dir)
        .arg(port.to_string())
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

/// Bytes written to the disk for each byte of some packages.
#[expect(clippy::cast_precision_loss, reason = "a ratio of a benchmark")]
fn written(dir: &Path, bytes: usize) -> f64 {
    const TIMES: usize = 20;
    let place = dir.join(format!("written-{bytes}"));
    let hands = Hands::open(&dir.join("keys"), &store_config(&place)).unwrap();
    let count = || field("/proc/self/io", "write_bytes:");
    let before = count();
    for _ in 0..TIMES {
        keep_and_seal(&hands, bytes);
    }
    (count() - before) as f64 / (TIMES * 4 * bytes) as f64
}

/// Memory that a process holds, MiB.
#[expect(clippy::cast_precision_loss, reason = "memory of a benchmark")]
fn resident(process: &Child) -> f64 {
    let path = format!("/proc/{}/status", process.id());
    field(&path, "VmRSS:") as f64 / 1024.0
}

/// A number from a file of the kernel's.
fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    let number = rest.and_then(|rest| rest.split_whitespace().next());
    number.unwrap().parse().unwrap()
}
