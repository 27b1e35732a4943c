//! `lingmou replay`: what the daemon would have ordered on a recording.
//!
//! Frames become scenes, and scenes orders, by the daemon's own [`Sight`] and [`Judge`]. What differs is
//! what a recording cannot have: every frame that is due is looked at, whatever `motion_gate` says
//! and however slow the machine; the view is held against no reference of an earlier run, but takes
//! one from the recording's first minute; there is no position, no moment at which the camera is
//! away, and nobody between an order to warn and the warning: it is heard out after [`WARNING`].

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock;
use crate::config::{Config, Loaded};
use crate::ingest::{self, Recording};
use crate::judge::Judge;
use crate::perceive::{Card, Detector, Sight, Watched};
use crate::types::{Detection, Frame, HitOutcome, Order, RoleSet, Scene, Stamp, WarnReport};

use super::reasons::Reasons;
use super::{Answer, log, out, what_if};

const EXAMPLES: &str = "\
Examples:
  lingmou replay street.mp4 --config lingmou.toml
  lingmou replay street.mp4 --config lingmou.toml --camera kerb --tracks
  lingmou replay street.mp4 --config lingmou.toml --explain
  lingmou replay street.mp4 --config lingmou.toml --what-if judge.street_vending.dwell_secs=30

Prints every order of judgement as a JSON line, and each change of what the camera's view is
worth. Each warning counts as heard out after three seconds. The recording is read as fast as the
machine can; times are those of the recording, counted from 2026-01-01T00:00:00Z, so that the same
recording gives the same lines.

--explain adds a line for each thing a rule looked at, hits and near misses: every condition with
its value, its limit and whether it was met, at the moment that came nearest to a hit.
--what-if judges the same detections a second time with that key changed, and prints only what
became of the hits as it is and as it would be. It may be given more than once. Keys: judge.…,
zone.NAME.…, guard.…, background.…, camera.NAME.mount, camera.NAME.clock_area, device.time_zone.

Exit code: 0 something would have been sealed (with --what-if: something would change), 1 nothing.";

/// When replays begin.
const EPOCH: Stamp = Stamp {
    utc_ns: 1_767_225_600_000_000_000,
    boot_ns: 3_600_000_000_000,
    error_ns: 0,
};
/// How long a warning is taken to play.
const WARNING: Duration = Duration::from_secs(3);

/// Judge a recording and print the orders
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The recording (H.264 or H.265)
    #[arg(value_name = "CLIP")]
    clip: PathBuf,
    /// The configuration file: zones, rules, model
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The camera whose zones apply; by default the first
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    /// Print the tracks of every frame as well
    #[arg(long)]
    tracks: bool,
    /// Say of each thing why it was a hit, or what it lacked
    #[arg(long)]
    explain: bool,
    /// Say what another value of a key of the configuration would have changed
    #[arg(long, value_name = "KEY=VALUE", conflicts_with_all = ["explain", "tracks"])]
    what_if: Vec<String>,
}

/// How far a replay is, for who waits for it at a terminal.
#[derive(Default)]
struct Progress {
    /// Tenths of the recording, or whole minutes where its length is not known.
    told: u64,
}

impl Progress {
    /// What is to be said when `done` of `whole` is judged.
    fn word(&mut self, done: Duration, whole: Option<Duration>) -> Option<String> {
        let (done, whole) = (done.as_secs(), whole.map_or(0, |whole| whole.as_secs()));
        let (step, of) = match (done * 10).checked_div(whole) {
            Some(tenths) => (tenths, format!(" of {whole}")),
            None => (done / 60, String::new()),
        };
        (step > self.told).then(|| {
            self.told = step;
            format!("{done}{of} s judged")
        })
    }
}

/// One way of taking the recording: what is seen in it, and what is made of that.
struct Side {
    sight: Sight,
    court: Court,
}

impl Side {
    fn new(loaded: &Loaded, camera: usize, card: &Card, explain: bool) -> anyhow::Result<Self> {
        Ok(Self {
            sight: Sight::new(&loaded.config, camera, None, card.score_threshold()),
            court: Court::new(loaded, card.roles(), explain)?,
        })
    }

    /// Takes in a frame in which a detector found `detections`; gives what its view is worth, the scene and
    /// the lines to print of it.
    fn take(
        &mut self,
        frame: &Frame,
        mut detections: Vec<Detection>,
    ) -> (Watched, Scene, Vec<Value>) {
        let watched = self.sight.look(frame);
        let scene = self.sight.see(frame, &mut detections);
        let lines = self.court.step(&scene);
        (watched, scene, lines)
    }
}

/// One judgement of the recording.
struct Court {
    judge: Judge,
    /// Warnings that are being played.
    playing: Vec<WarnReport>,
    reasons: Option<Reasons>,
    /// What became of its hits.
    hits: Vec<Value>,
    sealed: bool,
}

impl Court {
    fn new(loaded: &Loaded, known: RoleSet, explain: bool) -> anyhow::Result<Self> {
        Ok(Self {
            judge: Judge::new(&loaded.config, &loaded.calendar, known, "replay")?,
            playing: Vec::new(),
            reasons: explain.then(Reasons::default),
            hits: Vec::new(),
            sealed: false,
        })
    }

    /// Takes in one scene; gives the lines to print of it.
    fn step(&mut self, scene: &Scene) -> Vec<Value> {
        let over = |r: &mut WarnReport| scene.at.since(r.at) >= r.played;
        let over: Vec<_> = self.playing.extract_if(.., over).collect();
        for report in over {
            self.judge.hear(report);
        }
        let orders = self.judge.step(scene);
        let at = clock::rfc3339_ms(scene.at.utc_ns);
        let mut lines = Vec::new();
        for order in &orders {
            lines.push(json!({ "at": at, "do": order }));
            self.sealed |= matches!(order, Order::Seal { .. });
            self.hits.extend(told(order));
            if let Order::Warn { case, .. } = order {
                let report = WarnReport::in_full(*case, scene.at, WARNING);
                self.playing.push(report);
            }
        }
        if let Some(reasons) = &mut self.reasons {
            lines.extend(reasons.take(scene.at, self.judge.findings()));
        }
        lines
    }
}

/// What became of a hit, without the id of its case: that differs where the case does not.
fn told(order: &Order) -> Option<Value> {
    let hit = order.hit()?;
    let time = |at: Stamp| clock::rfc3339_ms(at.utc_ns);
    (hit.outcome != HitOutcome::Belongs).then(|| {
        json!({
            "violation": hit.violation, "zone": hit.zone, "since": time(hit.since),
            "outcome": hit.outcome, "at": time(hit.at),
        })
    })
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start(verbose);
    ingest::init()?;
    let loaded = Config::read_elsewhere(&args.config)?;
    let config = &loaded.config;
    let camera = camera(config, args.camera.as_deref())?;
    let mut detector = Detector::open(&config.model, Card::read(&config.model.card)?)?;
    let mut as_is = Side::new(&loaded, camera, detector.card(), args.explain)?;
    let mut would_be = if args.what_if.is_empty() {
        None
    } else {
        let other = what_if::changed(&args.config, &args.what_if)?;
        Some(Side::new(&other, camera, detector.card(), false)?)
    };
    let mut recording = Recording::open(&args.clip, EPOCH, config.camera[camera].detect_rate)?;
    let mut progress = std::io::stderr().is_terminal().then(Progress::default);
    while let Some(frame) = recording.next()? {
        let word = progress
            .as_mut()
            .and_then(|progress| progress.word(frame.at.since(EPOCH), recording.duration()));
        if let Some(word) = word {
            out::word(&word);
        }
        let found = detector.detect(&frame.image)?;
        if let Some(other) = &mut would_be {
            // The orders are not the question.
            drop(other.take(&frame, found.clone()));
            drop(as_is.take(&frame, found));
            continue;
        }
        let (watched, scene, lines) = as_is.take(&frame, found);
        let at = clock::rfc3339_ms(frame.at.utc_ns);
        if let Some(why) = &watched.changed {
            print(json!({ "at": at, "view": watched.view, "why": why }));
        }
        if args.tracks {
            print(json!({ "at": at, "tracks": scene.tracks }));
        }
        lines.into_iter().for_each(print);
    }
    if recording.is_cut_off() {
        let clip = args.clip.display();
        out::word(&format!(
            "warning: {clip} is cut off or damaged: judged up to there, and nothing is known of the rest"
        ));
    }
    let as_is = as_is.court;
    let reasons = as_is.reasons.unwrap_or_default();
    reasons.end().into_iter().for_each(print);
    let yes = match would_be {
        None => as_is.sealed,
        Some(Side { court: other, .. }) => {
            let changes = as_is.hits != other.hits;
            print(json!({
                "what_if": args.what_if, "changes": changes,
                "as_is": as_is.hits, "would_be": other.hits,
            }));
            changes
        }
    };
    Ok(if yes { Answer::Yes } else { Answer::No })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what is printed is done with"
)]
fn print(line: Value) {
    out::data(&line.to_string());
}
fn camera(config: &Config, name: Option<&str>) -> anyhow::Result<usize> {
    let Some(name) = name else {
        let none = || out::Hint::error("the configuration has no camera", "add a [[camera]]");
        return if config.camera.is_empty() {
            Err(none())
        } else {
            Ok(0)
        };
    };
    config
        .camera
        .iter()
        .position(|c| c.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = config.camera.iter().map(|c| c.name.as_str()).collect();
            out::Hint::error(
                format!("the configuration has no camera {name:?}"),
                format!("it has: {}", names.join(", ")),
            )
        })
}

#[cfg(test)]
mod tests {
    mod golden;

    use super::*;

    #[test]
    fn each_tenth_is_told_once_or_each_minute() {
        let secs = Duration::from_secs;
        let told = |whole: Option<Duration>, at: &[u64]| {
            let mut progress = Progress::default();
            let words = at.iter().filter_map(|at| progress.word(secs(*at), whole));
            words.collect::<Vec<_>>()
        };
        let tenths = told(Some(secs(79)), &[0, 7, 8, 9, 17, 40]);
        let expected = ["8 of 79 s judged", "17 of 79 s judged", "40 of 79 s judged"];
        assert_eq!(tenths, expected);
        for whole in [None, Some(Duration::ZERO)] {
            let minutes = told(whole, &[0, 59, 60, 61, 125]);
            assert_eq!(minutes, ["60 s judged", "125 s judged"]);
        }
    }
}
