//! Cuts the power of a virtual machine's disk at random moments while the real store works on it.
//!
//! ```text
//! machine (QEMU)                              here
//! ext4 ◀─ keep, seal, receipt, prune          for each of the cut points, in order:
//!   │     └─ acknowledged: a promise,           disk = all writes up to the last flush before it
//!   ▼        written to the same disk                + some of the writes after that, or parts
//! disk with a write-back cache                  mount it (ext4 replays its journal)
//!   └─ log of every write and flush ─────▶      open the store, hold it against the promises
//! ```
//! A promise is a sector written past the page cache after the call has returned, so that it comes
//! into the log behind every flush the call made. What the log has before the cut was promised.
//!
//! The same is done with a machine in which fsync does nothing (`nosync.c`): there packages must
//! be lost, or the whole proves nothing.
//!
//! `make powercut` gets what this needs and runs it; `--help` tells the settings.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells its figures on standard output"
)]

mod cut;
mod guest;
#[path = "../integration/hands.rs"]
mod hands;
mod inspect;
mod log;
mod machine;
mod promise;

use std::path::Path;

use lingmou::clock;
use lingmou::pki::{TestPki, TestPkiPlan};

use cut::Replay;
use hands::{DEVICE, Dice};
use inspect::Inspector;
use log::Log;
use machine::{Machine, Sync};

const HELP: &str = "\
Cuts the power at random moments and counts what the store lost: nothing, or it fails.

usage: powercut [--points N] [--rounds N] [--seed N] [--keep]

  --points N  moments at which the power is cut (60)
  --rounds N  cases the machine goes through (120)
  --seed N    makes the same choice of moments and surviving writes for the same log
  --keep      leave the disk, its log and the machine's words in the folder that is printed

Needs root (loop mounts), x86-64 Linux, and what tests/powercut/prepare.sh gets.";

/// What may be chosen.
struct Settings {
    points: usize,
    rounds: u64,
    seed: u64,
    keep: bool,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["guest", keys, store, promises, rounds] => {
            guest::live(
                (Path::new(keys), Path::new(store)),
                Path::new(promises),
                rounds.parse().unwrap(),
            );
        }
        ["--help"] => println!("{HELP}"),
        _ => run(&settings(&words)),
    }
}

fn settings(words: &[&str]) -> Settings {
    let mut settings = Settings {
        points: 60,
        rounds: 120,
        seed: clock::now().utc_ns.unsigned_abs(),
        keep: false,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || -> u64 {
            let next = words.next().and_then(|word| word.parse().ok());
            next.unwrap_or_else(|| panic!("{word} needs a number\n\n{HELP}"))
        };
        match *word {
            "--points" => settings.points = usize::try_from(number()).unwrap(),
            "--rounds" => settings.rounds = number(),
            "--seed" => settings.seed = number(),
            "--keep" => settings.keep = true,
            // What cargo itself gives a test or a benchmark.
            "--bench" | "--test" | "--nocapture" => {}
            other => panic!("{other} is unknown\n\n{HELP}"),
        }
    }
    settings
}

fn run(settings: &Settings) {
    println!("seed {}, {} cut points", settings.seed, settings.points);
    let honest = cut_power(settings, Sync::Real);
    for fault in &honest.faults {
        println!("  {fault}");
    }
    let careless = cut_power(settings, Sync::Nothing);
    if let Some(fault) = careless.faults.first() {
        println!("  for example: {fault}");
    }
    assert_eq!(honest.spoilt, 0, "the store broke its promises");
    assert!(
        careless.spoilt * 2 > settings.points,
        "without fsync only {} of {} cuts did harm: this test does not bite",
        careless.spoilt,
        settings.points
    );
}

/// What became of the promises.
#[derive(Default)]
struct Outcome {
    /// Cut points at which anything was not as promised.
    spoilt: usize,
    /// What, with its cut point.
    faults: Vec<String>,
}

fn cut_power(settings: &Settings, sync: Sync) -> Outcome {
    // Beside the build: on a disk, not in memory.
    let work = tempfile::Builder::new()
        .prefix("powercut-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let dir = work.path().to_owned();
    if settings.keep {
        println!("kept: {}", work.keep().display());
    }
    let keys = dir.join("keys");
    // Whatever the machine's clock is set to, the certificates are valid.
    let plan = TestPkiPlan {
        not_before: 1_600_000_000,
        ..TestPkiPlan::from_now()
    };
    TestPki::create_planned(&keys, DEVICE, plan).unwrap();
    let machine = Machine::new(&dir, sync);
    machine.live(settings.rounds);

    let log = Log::read(&machine.log()).unwrap();
    let promises = promise::in_log(&log);
    let mut dice = Dice(settings.seed);
    let points = cut::points(&log, settings.points, &mut dice);
    let mut replay = Replay::new(&log, &machine.pristine(), &dir.join("rolling.img")).unwrap();
    let inspector = Inspector::new(&dir, &keys);
    let mut outcome = Outcome::default();
    let (mut promised, mut adopted, mut packages) = (0, 0, 0);
    for (cut, fate) in points {
        let image = dir.join("cut.img");
        let survived = replay.cut(cut, fate, &mut dice, &image).unwrap();
        let made = promise::before(&promises, cut);
        let report = inspector.inspect(&image, &made);
        promised += made.sealed.len();
        adopted += report.adopted;
        packages += report.packages;
        if !report.faults.is_empty() {
            outcome.spoilt += 1;
        }
        let place = format!("cut after entry {cut}, {fate:?}, {survived}");
        outcome
            .faults
            .extend(report.faults.iter().map(|what| format!("{place}: {what}")));
    }
    println!(
        "{sync:?} fsync: {} log entries ({} flushes, {} MiB written), {} packages sealed in all; \
         at {} cut points {promised} packages were promised, {packages} found, {adopted} adopted; \
         {} points with anything lost or broken",
        log.entries.len(),
        log.flushes(),
        log.written() / (1024 * 1024),
        promise::before(&promises, usize::MAX).sealed.len(),
        settings.points,
        outcome.spoilt,
    );
    outcome
}
