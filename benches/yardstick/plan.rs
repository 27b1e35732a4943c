//! Which systems are measured, one after the other, and how.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{bail, ensure};
use lingmou::clock;
use rustix::time::{ClockId, clock_gettime};

use super::daemon::{self, Street};
use super::limit;
use super::process::{Process, lines};
use super::stage::Stage;
use super::table::{self, Limit, Row};

/// Looks per second that are asked for.
const RATE: f64 = 5.0;
/// Lines of a system that wait to be counted.
const LINES_MAX: usize = 4096;

/// How long, and with how many cameras
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds each system is measured
    #[arg(long, default_value_t = 20)]
    secs: u64,
    /// Seconds each system runs before
    #[arg(long, default_value_t = 6)]
    warm: u64,
    /// Numbers of cameras for the last rows
    #[arg(long, value_delimiter = ',', default_value = "2,4,8")]
    cameras: Vec<usize>,
    /// Measure everything so often and take the least CPU of each
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Only systems whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// What detection looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Main,
    KeyFrames,
    Substream,
    /// On the substream, with evidence pictures decoded from the main stream.
    SubstreamWithPictures,
}

impl Looks {
    fn on_substream(self) -> bool {
        matches!(self, Self::Substream | Self::SubstreamWithPictures)
    }
}

/// One system.
#[derive(Clone, Debug)]
enum System {
    /// Receiving and decoding alone.
    Decode,
    /// The stages up to the orders.
    Watch(PathBuf, Looks),
    /// The daemon itself.
    Daemon(PathBuf, Looks, Street),
}

impl System {
    /// The card of the model it looks with.
    fn card(&self) -> Option<&Path> {
        match self {
            Self::Decode => None,
            Self::Watch(card, _) | Self::Daemon(card, ..) => Some(card),
        }
    }

    fn command(&self, stage: &Stage, cameras: usize, dir: &Path) -> anyhow::Result<Command> {
        let urls = |sub| {
            (0..cameras)
                .map(|camera| stage.url(camera, sub))
                .collect::<Vec<_>>()
        };
        let own = || Ok::<_, std::io::Error>(Command::new(std::env::current_exe()?));
        Ok(match self {
            Self::Decode => {
                let mut command = own()?;
                command.arg("decode").args(urls(false));
                command
            }
            Self::Watch(card, looks) => {
                let mut command = own()?;
                command.arg("watch").arg("--card").arg(card);
                command.arg("--urls").arg(urls(false).join(","));
                if *looks == Looks::KeyFrames {
                    command.arg("--key-frames");
                }
                if looks.on_substream() {
                    command.arg("--subs").arg(urls(true).join(","));
                }
                if *looks != Looks::Substream {
                    command.arg("--pictures");
                }
                command
            }
            Self::Daemon(card, looks, street) => {
                let subs = if looks.on_substream() {
                    urls(true)
                } else {
                    Vec::new()
                };
                let mains = urls(false);
                let key_frames = *looks == Looks::KeyFrames;
                let streams = (mains.as_slice(), subs.as_slice(), key_frames);
                let config = daemon::configure(dir, card, streams, *street)?;
                let mut command = Command::new(env!("CARGO_BIN_EXE_lingmou"));
                command.arg("run").arg("--config").arg(config);
                command.stderr(std::process::Stdio::null());
                command
            }
        })
    }
}

/// What a system told.
enum Told {
    /// Camera, the frame's number where it could be read, when on the monotonic clock.
    Look(usize, Option<usize>, f64),
    /// An evidence picture was made.
    Picture,
}

/// Measures everything and prints the table.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = root.join(".setup/bench");
    ensure!(
        made.join("main.mp4").is_file(),
        "no clips: run benches/yardstick/prepare.sh (make bench does)"
    );
    let (systems, model) = systems(root, &made, args);
    let most = systems.iter().map(|(_, _, cameras)| *cameras).max();
    let bench = Bench {
        stage: Stage::open(&made, most.unwrap_or(1))?,
        warm: Duration::from_secs(args.warm),
        window: Duration::from_secs(args.secs),
    };
    let mut decodes = Vec::new();
    let mut inference = limit::inferences(&model, RATE)?;
    let mut rows: Vec<Option<Row>> = vec![None; systems.len()];
    for round in 0..args.rounds {
        decodes.push(bench.measure("decoding alone", &System::Decode, 1)?.cpu);
        for ((name, system, cameras), best) in systems.iter().zip(&mut rows) {
            let row = bench.measure(name, system, *cameras)?;
            eprintln!("yardstick: round {round}: {row:?}");
            // Other work on the machine only ever adds.
            if best.as_ref().is_none_or(|best| row.cpu < best.cpu) {
                *best = Some(row);
            }
        }
        decodes.push(bench.measure("decoding alone", &System::Decode, 1)?.cpu);
        inference = inference.min(limit::inferences(&model, RATE)?);
    }
    let limit = Limit {
        decode: decodes.iter().copied().fold(f64::INFINITY, f64::min),
        inference,
    };
    table::limit(limit, &decodes);
    table::head();
    for row in rows.iter().flatten() {
        table::row(row, limit);
    }
    Ok(())
}

/// Name, system and number of cameras of every row, and the card of the limit's model.
fn systems(root: &Path, made: &Path, args: &Args) -> (Vec<(String, System, usize)>, PathBuf) {
    let shipped = root.join("models/efficientdet-lite0.toml");
    let square = made.join("yolox-nano-416.toml");
    let shaped = made.join("yolox-nano-256x416.toml");
    let mut systems = Vec::new();
    let mut add = |name: &str, system: System, cameras| {
        if system.card().is_none_or(Path::is_file) {
            systems.push((name.to_owned(), system, cameras));
        } else {
            println!("left out, no model for it (see prepare.sh): {name}");
        }
    };
    for (name, card, looks) in [
        ("main stream, YOLOX-Nano 416x416", &square, Looks::Main),
        ("main stream, YOLOX-Nano 256x416", &shaped, Looks::Main),
        ("substream, YOLOX-Nano 256x416", &shaped, Looks::Substream),
        (
            "substream and full-size pictures, YOLOX-Nano 256x416",
            &shaped,
            Looks::SubstreamWithPictures,
        ),
        ("key frames, YOLOX-Nano 256x416", &shaped, Looks::KeyFrames),
        ("main stream, shipped model", &shipped, Looks::Main),
        ("substream, shipped model", &shipped, Looks::Substream),
    ] {
        add(name, System::Watch(card.clone(), looks), 1);
    }
    for (name, looks) in [
        ("main stream, YOLOX-Nano 256x416", Looks::Main),
        ("substream, YOLOX-Nano 256x416", Looks::Substream),
    ] {
        for cameras in &args.cameras {
            add(name, System::Watch(shaped.clone(), looks), *cameras);
        }
    }
    for (streams, card, looks, street) in [
        ("", &shaped, Looks::Main, Street::SomebodyStays),
        ("", &shaped, Looks::Main, Street::NobodyStays),
        (
            "substream, ",
            &shaped,
            Looks::Substream,
            Street::NobodyStays,
        ),
        (
            "key frames, ",
            &shaped,
            Looks::KeyFrames,
            Street::NobodyStays,
        ),
        ("", &shipped, Looks::Main, Street::SomebodyStays),
        ("", &shipped, Looks::Main, Street::NobodyStays),
    ] {
        let stays = match street {
            Street::SomebodyStays => "",
            Street::NobodyStays => "nobody stays, ",
        };
        let model = if card == &shipped {
            "shipped model"
        } else {
            "YOLOX-Nano 256x416"
        };
        let name = format!("lingmou run, {streams}{stays}{model}");
        add(&name, System::Daemon(card.clone(), looks, street), 1);
    }
    systems.retain(|(name, _, _)| name.contains(&args.only));
    (systems, if square.is_file() { square } else { shipped })
}

struct Bench {
    stage: Stage,
    warm: Duration,
    window: Duration,
}

impl Bench {
    fn measure(&self, name: &str, system: &System, cameras: usize) -> anyhow::Result<Row> {
        let dir = tempfile::tempdir()?;
        let mut command = system.command(&self.stage, cameras, dir.path())?;
        let (mut process, out) = Process::start(&mut command)?;
        let (say, heard) = sync_channel(LINES_MAX);
        let reader = std::thread::spawn(move || {
            lines(out, |line| {
                // Whoever no longer listens has measured enough.
                drop(say.send(told(line)));
            });
        });
        listen(&heard, self.warm);
        let detected = |system: &System| match system {
            System::Daemon(..) => daemon::number(&daemon::ask(dir.path())?, "/eye/detected"),
            _ => Ok(0.0),
        };
        let before = (process.cpu_secs()?, clock::boot_ns(), detected(system)?);
        let looks = listen(&heard, self.window);
        let after = (process.cpu_secs()?, clock::boot_ns(), detected(system)?);
        let memory = process.memory()?;
        ensure!(process.runs(), "{name}: ended by itself");
        let minutes = secs(after.1 - before.1) / 60.0;
        let mut row = Row {
            system: name.to_owned(),
            cameras,
            cpu: (after.0 - before.0) / minutes / f64::from(u32::try_from(cameras)?),
            rate: None,
            latency: None,
            memory,
            note: String::new(),
        };
        match system {
            System::Decode => {}
            System::Watch(_, looks_at) => self.told(&mut row, *looks_at, &looks),
            System::Daemon(..) => {
                let rate = (after.2 - before.2) / minutes / 60.0;
                row.rate = Some((rate, rate));
                said(&mut row, dir.path())?;
            }
        }
        drop(process);
        drop(heard);
        if reader.join().is_err() {
            bail!("{name}: its lines could not be read");
        }
        Ok(row)
    }

    /// Rate and latency from the lines of `watch`.
    fn told(&self, row: &mut Row, looks_at: Looks, told: &[Told]) {
        let window = self.window.as_secs_f64();
        let look = |told: &Told| match told {
            Told::Look(camera, frame, secs) => Some((*camera, *frame, *secs)),
            Told::Picture => None,
        };
        let looks: Vec<_> = told.iter().filter_map(look).collect();
        let per_camera = |camera| {
            let count = looks.iter().filter(|look| look.0 == camera).count();
            f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / window
        };
        let rates = (0..row.cameras).map(per_camera);
        let (least, most) = rates.fold((f64::INFINITY, 0.0_f64), |(least, most), rate| {
            (least.min(rate), most.max(rate))
        });
        row.rate = Some((least, most));
        let mut delays: Vec<f64> = looks
            .iter()
            .filter_map(|(camera, frame, at)| {
                let source = (*camera, looks_at.on_substream());
                let sent = self.stage.sent_ns(source, (*frame)?)?;
                Some((at + boot_ahead_secs() - secs(sent)) * 1e3)
            })
            // A frame that was sent again since: the next round of the clip.
            .filter(|delay| *delay >= 0.0)
            .collect();
        delays.sort_by(f64::total_cmp);
        let at = |percent: usize| delays.get(delays.len() * percent / 100).copied();
        row.latency = at(50).zip(at(95));
        let pictures = told.len() - looks.len();
        row.note = match looks.iter().filter(|look| look.1.is_none()).count() {
            0 => format!("{pictures} pictures"),
            unread => format!("{pictures} pictures, {unread} numbers not read"),
        };
    }
}

/// Latency and cases from the daemon's own status.
fn said(row: &mut Row, dir: &Path) -> anyhow::Result<()> {
    let status = daemon::ask(dir)?;
    let number = |pointer| daemon::number(&status, pointer);
    row.latency = Some((
        number("/eye/latency_ms_p50")?,
        number("/eye/latency_ms_p95")?,
    ));
    row.note = format!(
        "{} pictures kept, {} packages sealed since its start",
        number("/keeper/pictures")?,
        number("/keeper/sealed")?
    );
    Ok(())
}

/// Collects looks for so long.
fn listen(heard: &Receiver<Option<Told>>, time: Duration) -> Vec<Told> {
    let end_ns = clock::boot_ns() + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut looks = Vec::new();
    loop {
        let left = Duration::from_nanos(end_ns.saturating_sub(clock::boot_ns()));
        if left.is_zero() {
            return looks;
        }
        match heard.recv_timeout(left) {
            Ok(look) => looks.extend(look),
            Err(RecvTimeoutError::Timeout) => return looks,
            Err(RecvTimeoutError::Disconnected) => {
                // It says nothing more, but may well run on.
                return looks;
            }
        }
    }
}

/// A `D` or `E` line.
fn told(line: &str) -> Option<Told> {
    let mut words = line.split(' ');
    match words.next()? {
        "D" => Some(Told::Look(
            words.next()?.parse().ok()?,
            words.next()?.parse().ok(),
            words.next()?.parse().ok()?,
        )),
        "E" => Some(Told::Picture),
        _ => None,
    }
}

/// How far the boot clock, which also counts suspended time, is ahead of the monotonic one.
#[expect(clippy::cast_precision_loss, reason = "microseconds matter, not more")]
fn boot_ahead_secs() -> f64 {
    let t = clock_gettime(ClockId::Monotonic);
    secs(clock::boot_ns()) - (t.tv_sec as f64 + t.tv_nsec as f64 / 1e9)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds matter, not more")]
fn secs(ns: u64) -> f64 {
    ns as f64 / 1e9
}
