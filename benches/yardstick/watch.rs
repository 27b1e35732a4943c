//! The daemon's stages up to the orders, joined by the same [`Sight`] as its eye's, telling what they
//! saw. As by default the view is watched (`[guard]`) and no motion gate saves a look.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use jiff::tz::TimeZone;
use lingmou::clock;
use lingmou::config::{self, Calendar, Config, DetectOn, Zone, ZoneKind};
use lingmou::develop::{Developer, Exif};
use lingmou::ingest::{self, Camera, Credentials, Slots};
use lingmou::judge::Judge;
use lingmou::perceive::{Card, Detector, Sight};
use lingmou::types::{Frame, Order, Point, Role, Stamp};
use lingmou::witness::sha256_hex;
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

use super::barcode;

/// No frame for this long, and the cameras are gone.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Where the clip's people stop to talk, as in the demonstration.
pub(crate) const KERB: [(f32, f32); 4] = [(0.45, 0.36), (0.61, 0.36), (0.64, 0.53), (0.43, 0.53)];
/// A person who stands there this long counts as a stall.
const DWELL_SECS: f64 = 3.0;

/// What to watch
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model's card
    #[arg(long)]
    card: PathBuf,
    /// Main streams
    #[arg(long, value_delimiter = ',')]
    urls: Vec<String>,
    /// Substreams to detect on, one per main stream
    #[arg(long, value_delimiter = ',')]
    subs: Vec<String>,
    /// Decode key frames only
    #[arg(long)]
    key_frames: bool,
    /// Judge, and make the pictures that judgement orders
    #[arg(long)]
    pictures: bool,
}

/// Watches until nobody reads what it tells.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        args.subs.is_empty() || args.subs.len() == args.urls.len(),
        "as many substreams as main streams"
    );
    ingest::init()?;
    let config = configuration(args);
    let detector = Detector::open(&config.model, Card::read(&config.model.card)?)?;
    let judge = Judge::new(
        &config,
        &Calendar::plain(TimeZone::UTC),
        detector.card().roles(),
        clock::boot_id(),
    )?;
    let slots = Arc::new(Slots::new(config.camera.len()));
    let clip = config.evidence.clip_before_secs + config.evidence.clip_after_secs;
    let back = Duration::try_from_secs_f64(clip)?;
    let cameras = config
        .camera
        .iter()
        .enumerate()
        .map(|(index, camera)| {
            let login = Credentials::default();
            Camera::start(index, camera, login, back, Arc::clone(&slots))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let threshold = detector.card().score_threshold();
    let sight = |camera| Sight::new(&config, camera, None, threshold);
    let mut watcher = Watcher {
        sights: (0..cameras.len()).map(sight).collect(),
        developer: Developer::new(&config.evidence)?,
        on_substream: !args.subs.is_empty(),
        cameras,
        detector,
        judge,
    };
    while let Some(frame) = slots.take(SILENCE_MAX) {
        watcher.look(&frame)?;
    }
    anyhow::bail!("no frame for {} s", SILENCE_MAX.as_secs())
}

struct Watcher {
    cameras: Vec<Camera>,
    detector: Detector,
    sights: Vec<Sight>,
    judge: Judge,
    developer: Developer,
    on_substream: bool,
}

impl Watcher {
    fn look(&mut self, frame: &Frame) -> anyhow::Result<()> {
        let sight = &mut self.sights[frame.camera];
        sight.look(frame);
        let mut found = self.detector.detect(&frame.image)?;
        let orders = self.judge.step(&sight.see(frame, &mut found));
        let (camera, seconds) = (frame.camera, monotonic_secs());
        let mut out = std::io::stdout().lock();
        match barcode::read(&frame.image) {
            Some(number) => writeln!(out, "D {camera} {number} {seconds:.6} {}", found.len())?,
            None => writeln!(out, "D {camera} -1 {seconds:.6} {}", found.len())?,
        }
        for order in orders {
            if let Order::Snap { at, .. } = order {
                let picture = self.picture(frame, at)?;
                let (bytes, hash) = (picture.len(), sha256_hex(&picture));
                writeln!(out, "E {camera} 0 {:.6} {bytes} {hash}", monotonic_secs())?;
            }
        }
        Ok(())
    }

    /// The evidence picture of the frame at hand or of another one, at full size.
    fn picture(&mut self, frame: &Frame, at: Stamp) -> anyhow::Result<Vec<u8>> {
        let exif = Exif {
            at,
            time_zone: TimeZone::UTC,
            placed: None,
            make: String::new(),
            model: String::new(),
            software: String::new(),
            comment: String::new(),
            image_unique_id: Uuid::nil(),
        };
        if frame.at == at && !self.on_substream {
            return Ok(self.developer.original(&frame.image, &exif)?);
        }
        let full = self.cameras[frame.camera].full_frame(at)?;
        Ok(self.developer.original(&full.image, &exif)?)
    }
}

/// With pictures: one zone per camera in which a person who stands counts as a stall, as in the
/// demonstration. Without, judgement has nothing to judge.
fn configuration(args: &Args) -> Config {
    let mut config = Config::default();
    config.model.card.clone_from(&args.card);
    config.judge.street_vending.roles = vec![Role::Person];
    config.judge.street_vending.dwell_secs = DWELL_SECS;
    for (index, url) in args.urls.iter().enumerate() {
        config.camera.push(config::Camera {
            name: format!("camera-{index}"),
            url: url.clone(),
            substream_url: args.subs.get(index).cloned().unwrap_or_default(),
            detect_on: if args.key_frames {
                DetectOn::KeyFrames
            } else {
                DetectOn::All
            },
            ..config::Camera::default()
        });
        if !args.pictures {
            continue;
        }
        config.zone.push(Zone {
            name: format!("zone-{index}"),
            camera: format!("camera-{index}"),
            kind: ZoneKind::NoVending,
            polygon: KERB.map(|(x, y)| Point { x, y }).into(),
            ..Zone::default()
        });
    }
    config
}

/// Seconds on the monotonic clock.
#[expect(clippy::cast_precision_loss, reason = "microseconds matter, not more")]
fn monotonic_secs() -> f64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}
