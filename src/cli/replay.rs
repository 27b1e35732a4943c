//! `lingmou replay`: what the daemon would have ordered on a recording.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::clock;
use crate::config::Config;
use crate::ingest::{self, Recording};
use crate::judge::Judge;
use crate::perceive::{Card, Detector, Outlook, Tracker, known_roles};
use crate::types::{Heard, Order, Scene, Stamp, WarnReport};

use super::{Answer, log, out};

const EXAMPLES: &str = "\
Examples:
  lingmou replay street.mp4 --config lingmou.toml
  lingmou replay street.mp4 --config lingmou.toml --camera kerb --tracks

Prints every order of judgement as a JSON line, and each change of what the camera's view is
worth. Each warning counts as heard out after three seconds. The recording is read as fast as the
machine can; times are those of the recording, counted from 2026-01-01T00:00:00Z, so that the same
recording gives the same lines.
Exit code: 0 something would have been sealed, 1 nothing.";

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
}

pub(super) fn run(args: &Args, verbose: u8) -> anyhow::Result<Answer> {
    log::start(verbose);
    ingest::init()?;
    let config = Config::read_elsewhere(&args.config)?.config;
    let camera = camera(&config, args.camera.as_deref())?;
    let mut detector = Detector::open(&config.model, Card::read(&config.model.card)?)?;
    let mut tracker = Tracker::new(detector.card().score_threshold());
    let mut outlook = Outlook::new(&config, &config.camera[camera], None);
    let known = known_roles(&config, detector.card());
    let mut judge = Judge::new(&config, known, "replay")?;
    let mut recording = Recording::open(&args.clip, EPOCH, config.camera[camera].detect_rate)?;
    let mut playing: Vec<WarnReport> = Vec::new();
    let mut sealed = false;
    while let Some(frame) = recording.next()? {
        let (over, still): (Vec<_>, Vec<_>) = playing
            .into_iter()
            .partition(|r: &WarnReport| frame.at.since(r.at) >= r.played);
        playing = still;
        for report in over {
            judge.hear(report);
        }
        let watched = outlook.look(frame.at, &frame.image);
        let mut detections = detector.detect(&frame.image)?;
        detections.extend(outlook.new_things(frame.at, &detections));
        let motion = outlook.take_motion();
        if let Some(motion) = &motion {
            tracker.carry(motion);
        }
        let tracks = tracker.update(frame.at, &detections);
        let scene = Scene {
            camera,
            at: frame.at,
            tracks,
            place: None,
            view: watched.view,
            motion,
        };
        let at = clock::rfc3339_ms(frame.at.utc_ns);
        if let Some(why) = &watched.changed {
            out::data(&json!({ "at": at, "view": watched.view, "why": why }).to_string());
        }
        if args.tracks {
            out::data(&json!({ "at": at, "tracks": scene.tracks }).to_string());
        }
        for order in judge.step(&scene) {
            out::data(&json!({ "at": at, "do": order }).to_string());
            sealed |= matches!(order, Order::Seal { .. });
            if let Order::Warn { case, .. } = order {
                playing.push(WarnReport {
                    case,
                    at: frame.at,
                    played: WARNING,
                    clip_sha256: String::new(),
                    failure: None,
                    journal_n: None,
                    hushed: None,
                    heard: Heard::default(),
                });
            }
        }
    }
    Ok(if sealed { Answer::Yes } else { Answer::No })
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
