//! Joins the stages: the only place with our threads and channels between stages.
//!
//! ```text
//! camera threads ─Slots─▶ eye ─WITNESS_ORDERS─▶ keeper ─▶ store ─▶ upload
//!                          ▲                      │
//!                          └─REPORTS── mouth ◀────┘ SHOUTS
//! ```
//! Pixels live on threads (cameras, eye, keeper), words on tasks (telemetry, mouth, record,
//! upload, status, watchdog).
//!
//! **Invariants.** Before judgement the oldest frame is dropped; after judgement nothing is: the
//! eye waits for the keeper. Who waits for whom has no circle: mouth → eye → keeper → disk. A
//! warning is played only after the book that knows of it was saved. A panic anywhere aborts
//! the process; systemd starts it again, and the store does not mind.
//!
//! **Not here.** What a stage does; every decision about evidence.

mod alarms;
mod asks;
mod capture;
mod caretaker;
mod circumstances;
mod clerk;
mod clock_watch;
mod counters;
mod credentials;
mod darkroom;
mod diskless;
mod dossier;
mod ending;
mod ends;
mod eye;
mod facts;
mod gauges;
mod hits;
#[cfg(test)]
mod joined;
mod keeper;
mod keys;
mod mouth;
mod nameplates;
mod notes;
mod past;
mod record;
mod refusals;
#[cfg(feature = "demo")]
pub mod rehearsal;
mod signals;
mod terms;
mod views;
mod visitors;
mod work;
mod world;

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::command::{Chosen, Settings};
use crate::config::{Config, Loaded};
use crate::develop::Developer;
use crate::ingest::{self, Camera, Credentials, Slots};
use crate::judge::{self, Judge};
use crate::perceive::{Card, Detector};
use crate::status::Progress;
use crate::store::Store;
use crate::telemetry::{self, Poses, TelemetryState};
use crate::upload::UploadState;
use crate::warn::{Governor, Speakers};
use crate::witness::Trust;

use alarms::Acknowledged;
use asks::Ways;
use clerk::{Means, Reboots};
use counters::{EyeCounters, KeeperState};
use dossier::Facts;
use ending::{Running, thread};
use ends::Waiting;
use eye::{Eye, Lookout};
use gauges::{Gauges, recovering, tell_again, tell_ready, tell_systemd};
use hits::Hits;
use keeper::Keeper;
use mouth::{Mouth, Mouthpiece};
use past::Past;
use record::Recorder;
use refusals::Refusals;
use views::{ViewLines, Views};

pub use keys::{evidence_identity, transport_days};
pub use signals::stop_on_signals;

/// Orders between eye and keeper; when full, the eye waits.
const WITNESS_ORDERS: usize = 16;
/// Warnings between keeper and mouth; every open case may have one.
const SHOUTS: usize = judge::OPEN_CASES_MAX;
/// Reports to the eye; every open case may have one, so that the keeper, which must not wait for
/// the eye, always finds room.
const REPORTS: usize = judge::OPEN_CASES_MAX;
/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// It shall be started again: another configuration is in force, or may be, after the disk with it
    /// was away.
    Again,
}

/// Runs the daemon until `stop`, or until another configuration is in force, then ends it in order.
///
/// The error says why it could not start; everything that goes wrong later is a state, and so is a
/// disk that does not give the store.
pub async fn run(chosen: &Chosen, stop: CancellationToken) -> anyhow::Result<End> {
    let again = CancellationToken::new();
    let loaded = &chosen.loaded;
    // What is on trial and does not start is given up at once.
    let waits = chosen.trial.is_none();
    let opened = diskless::open((&loaded.config, waits), &stop, || open(loaded)).await?;
    let opened = match opened {
        None => return Ok(End::Stopped),
        // Also which configuration and certificates were sent lies on that disk: all is chosen anew.
        Some((_, true)) => return Ok(End::Again),
        Some((opened, false)) => opened,
    };
    let running = start(chosen, opened, stop.child_token(), &again)?;
    tracing::info!(device = %chosen.loaded.config.device.id, "running");
    tell_ready();
    let end = tokio::select! {
        () = stop.cancelled() => End::Stopped,
        () = again.cancelled() => End::Again,
    };
    match end {
        End::Stopped => tell_systemd(&[sd_notify::NotifyState::Stopping]),
        End::Again => tell_again(),
    }
    tracing::info!(?end, "stopping");
    running.finish().await;
    tracing::info!("stopped");
    Ok(end)
}

/// Everything that is opened before the first thread starts; each needs the ones before.
struct Opened {
    store: Store,
    trust: Arc<Trust>,
    detector: Detector,
    speakers: Speakers,
    governor: Governor,
    developer: Developer,
    judge: Judge,
    /// Ends that an earlier run left.
    ends: Vec<Waiting>,
    facts: Facts,
    telemetry: Arc<TelemetryState>,
    recorder: Recorder,
    reboots: Reboots,
}

/// Opens everything, in a straight line; the first thing that cannot be opened is the error.
fn open(loaded: &Loaded) -> anyhow::Result<Opened> {
    let config = &loaded.config;
    ingest::init()?;
    let identity = Arc::new(evidence_identity(config)?);
    let trust = Arc::new(Trust::of_box(&config.keys.dir.join("roots.crt"))?);
    if config.upload.enabled
        && let Err(error) = transport_days(config)
    {
        tracing::error!(%error, "nothing can be uploaded, packages wait");
    }
    std::fs::create_dir_all(&config.store.run_dir)
        .with_context(|| format!("cannot make {}", config.store.run_dir.display()))?;
    let (store, recovery) = Store::open_telling(&config.store, &config.device.id, &recovering())?;
    tracing::info!(?recovery, "store opened");
    let detector = Detector::open(&config.model, Card::read(&config.model.card)?)?;
    let speakers = Speakers::open(config)?;
    let developer = Developer::new(&config.evidence)?;
    let mut past = Past::read(&store)?;
    let governor = Governor::new(&config.warn, &config.device.time_zone, past.take_voice())?;
    let reboots = past.take_reboots();
    let ends = ends::left(&store)?;
    let decided = |case| ends.iter().any(|waiting| waiting.case == case);
    let known = detector.card().roles();
    let judge = past.judge((loaded, known), &store, decided)?;
    let telemetry = Arc::new(TelemetryState::new());
    let facts = facts::gather(
        loaded,
        &detector,
        &developer,
        (identity, &store),
        Arc::clone(&telemetry),
    )?;
    let is_open = |case| judge.is_open(case) || decided(case);
    let recorder = record::begin(&store, loaded, (&facts, &trust), past, is_open)?;
    Ok(Opened {
        store,
        trust,
        detector,
        speakers,
        governor,
        developer,
        judge,
        ends,
        facts,
        telemetry,
        recorder,
        reboots,
    })
}

/// Starts threads and tasks with what was opened.
fn start(
    chosen: &Chosen,
    mut opened: Opened,
    stop: CancellationToken,
    again: &CancellationToken,
) -> anyhow::Result<Running> {
    let config = &chosen.loaded.config;
    let mut shared = Shared {
        slots: Arc::new(Slots::new(config.camera.len())),
        tasks: TaskTracker::new(),
        progress: Progress::default(),
        stop,
    };
    let cameras = Arc::new(cameras(config, &shared.slots)?);
    let gauges = Gauges {
        config: config.clone(),
        since: clock::now(),
        cameras: Arc::clone(&cameras),
        eye: Arc::new(EyeCounters::default()),
        views: Arc::new(Views::new(config.camera.len())),
        keeper: Arc::new(Mutex::new(KeeperState::default())),
        care: Arc::default(),
        store: opened.store.clone(),
        telemetry: Arc::clone(&opened.telemetry),
        poses: Arc::new(Poses::new()),
        upload: Arc::new(UploadState::new()),
        objections: Arc::clone(&opened.facts.objections),
        nameplates: Arc::clone(&opened.facts.nameplates),
        origin: chosen.origin.clone(),
        settings: Settings::new(&chosen.loaded.path, &config.store.dir),
        voice: Arc::default(),
        acknowledged: Acknowledged::default(),
        terms: Arc::clone(&opened.recorder.terms),
        identity: Arc::clone(&opened.facts.identity),
        trust: Arc::clone(&opened.trust),
    };
    let (store, identity) = (opened.store.clone(), Arc::clone(&opened.facts.identity));
    let reboots = std::mem::take(&mut opened.reboots);
    let voices = opened.speakers.voices();
    let ([eye, keeper], writers, ways) = start_work(opened, &gauges, &mut shared)?;
    let Shared {
        slots,
        tasks,
        progress,
        stop,
    } = shared;
    let stop_upload = CancellationToken::new();
    let gauges = Arc::new(gauges);
    let means = Means {
        ways,
        voices,
        reboots,
    };
    let signer = Arc::clone(&identity);
    let (clerk, desk) = clerk::hire(&gauges, chosen, signer, again.clone(), means);
    tasks.spawn(clerk.run(stop_upload.clone()));
    let uplink = world::uplink(&gauges, Arc::clone(&identity), desk);
    world::join(&tasks, gauges, uplink, progress, &stop_upload);
    Ok(Running {
        cameras,
        slots,
        eye,
        keeper,
        writers,
        tasks,
        store,
        identity,
        stop,
        stop_upload,
    })
}

/// What threads and tasks share.
struct Shared {
    slots: Arc<Slots>,
    tasks: TaskTracker,
    progress: Progress,
    stop: CancellationToken,
}

/// Eye, keeper, the tasks that write lines as long as these work, and the ways in.
type Work = ([JoinHandle<()>; 2], Vec<task::JoinHandle<()>>, Ways);

/// Eye, keeper, mouth, record and telemetry, with the channels between them; and the ways in.
fn start_work(opened: Opened, gauges: &Gauges, shared: &mut Shared) -> anyhow::Result<Work> {
    let config = &gauges.config;
    let (tasks, stop) = (&shared.tasks, &shared.stop);
    let (orders, orders_in) = sync_channel(WITNESS_ORDERS);
    let (shouts, shouts_in) = mpsc::channel(SHOUTS);
    let (reports, reports_in) = mpsc::channel(REPORTS);
    let (ways, requests_in, asks_in) = Ways::open();
    let eye = Eye {
        cameras: Arc::clone(&gauges.cameras),
        slots: Arc::clone(&shared.slots),
        poses: Arc::clone(&gauges.poses),
        lookouts: Lookout::all(config, opened.detector.card()),
        detector: opened.detector,
        judge: opened.judge,
        identity: Arc::clone(&opened.facts.identity),
        held: None,
        reports: reports_in,
        asks: asks_in,
        asked: Vec::new(),
        keeper: orders,
        counters: Arc::clone(&gauges.eye),
        views: Arc::clone(&gauges.views),
        beat: shared.progress.watch("eye"),
        stop: stop.clone(),
        idled: None,
    };
    let keeper = Keeper {
        orders: orders_in,
        hits: Hits::new(opened.store.clone(), &config.camera),
        refusals: Refusals::default(),
        views: ViewLines::default(),
        store: opened.store.clone(),
        developer: opened.developer,
        cameras: Arc::clone(&gauges.cameras),
        facts: opened.facts,
        mouth: Mouthpiece::new(shouts, reports.clone(), opened.store.clone()),
        waiting: opened.ends,
        unsaved: None,
        half_made: Vec::new(),
        state: Arc::clone(&gauges.keeper),
        beat: shared.progress.watch("keeper"),
    };
    let eye = thread("eye", move || eye.run())?;
    let keeper = thread("keeper", move || keeper.run())?;
    let (speakers, horn) = mouth::joined(opened.speakers, config, &gauges.cameras);
    let mouth = Mouth {
        speakers,
        governor: opened.governor,
        reports,
        requests: requests_in,
        store: opened.store,
        poses: Arc::clone(&gauges.poses),
        telemetry: Arc::clone(&opened.telemetry),
        moves: (config.telemetry.source, config.is_moving()),
        state: Arc::clone(&gauges.voice),
        stop: stop.clone(),
    };
    tasks.spawn(telemetry::run(
        config.telemetry.clone(),
        horn,
        Arc::clone(&gauges.poses),
        opened.telemetry,
        stop.clone(),
    ));
    let recording = tasks.spawn(record::run(opened.recorder, stop.clone()));
    let speaking = tasks.spawn(mouth.run(shouts_in));
    tasks.spawn(signals::stop_speaking(ways.mouth.clone(), stop.clone())?);
    Ok(([eye, keeper], vec![recording, speaking], ways))
}

/// How far back clips and pictures of a camera are ordered: a clip that begins with the truck lasts as
/// long as the rule looks back, and its own times.
fn looked_back(config: &Config, camera: usize) -> Duration {
    let clip = config.evidence.clip_before_secs + config.evidence.clip_after_secs;
    let clip = Duration::try_from_secs_f64(clip).unwrap_or_default();
    clip + judge::reach(config, camera)
}

fn cameras(config: &Config, slots: &Arc<Slots>) -> anyhow::Result<Vec<Camera>> {
    let start = |(index, camera)| {
        let secrets = Credentials::read(camera)?;
        Ok(Camera::start(
            index,
            camera,
            secrets,
            looked_back(config, index),
            Arc::clone(slots),
        )?)
    };
    config.camera.iter().enumerate().map(start).collect()
}
