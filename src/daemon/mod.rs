//! Joins the stages; the only place with threads and channels.
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

mod caretaker;
mod clock_watch;
mod counters;
mod credentials;
mod darkroom;
mod dossier;
mod eye;
mod gauges;
mod hits;
mod keeper;
mod keys;
mod mouth;
mod notes;
mod past;
mod record;
mod refusals;
mod signals;
mod views;
mod visitors;

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::config::{Config, Loaded, Wording};
use crate::develop::Developer;
use crate::ingest::{self, Camera, Credentials, Slots};
use crate::judge::{self, Judge};
use crate::perceive::{Card, Detector, known_roles};
use crate::status::{self, Progress};
use crate::store::Store;
use crate::telemetry::{self, Poses, TelemetryState};
use crate::upload::{self, Uplink, UploadState};
use crate::warn::Speaker;
use crate::witness::{Identity, Roots};

use counters::{EyeCounters, KeeperState};
use dossier::Facts;
use eye::{Eye, Sight};
use gauges::{Gauges, recovering, tell_ready, tell_systemd, watchdog};
use hits::Hits;
use keeper::Keeper;
use mouth::Mouthpiece;
use past::Past;
use record::Recorder;
use refusals::Refusals;
use views::{ViewLines, Views};
use visitors::Visitors;

pub use keys::{evidence_identity, transport_days};
pub use signals::stop_on_signals;

/// Orders between eye and keeper; when full, the eye waits.
const WITNESS_ORDERS: usize = 16;
/// Warnings between keeper and mouth; every open case may have one.
const SHOUTS: usize = judge::OPEN_CASES_MAX;
/// Reports to the eye; every open case may have one, so that the keeper, which must not wait for
/// the eye, always finds room.
const REPORTS: usize = judge::OPEN_CASES_MAX;
/// What is still under way this long after a stop is left to the next start.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// A running daemon.
struct Running {
    cameras: Arc<Vec<Camera>>,
    slots: Arc<Slots>,
    eye: JoinHandle<()>,
    keeper: JoinHandle<()>,
    tasks: TaskTracker,
    store: Store,
    identity: Arc<Identity>,
    stop: CancellationToken,
    /// Upload goes on until the keeper has ended.
    stop_upload: CancellationToken,
}

/// Runs the daemon until `stop`, then ends it in order.
///
/// The error says why it could not start; everything that goes wrong later is a state.
pub async fn run(loaded: &Loaded, stop: CancellationToken) -> anyhow::Result<()> {
    let running = start(loaded, stop.clone())?;
    tracing::info!(device = %loaded.config.device.id, "running");
    tell_ready();
    stop.cancelled().await;
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping");
    finish(running).await;
    tracing::info!("stopped");
    Ok(())
}

/// Everything that is opened before the first thread starts; each needs the ones before.
struct Opened {
    store: Store,
    detector: Detector,
    speaker: Speaker,
    developer: Developer,
    judge: Judge,
    facts: Facts,
    telemetry: Arc<TelemetryState>,
    recorder: Recorder,
}

/// Opens everything, in a straight line; the first thing that cannot be opened is the error.
fn open(loaded: &Loaded) -> anyhow::Result<Opened> {
    let config = &loaded.config;
    ingest::init()?;
    let identity = Arc::new(evidence_identity(config)?);
    Roots::load(&config.keys.dir.join("roots.crt"))?;
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
    let speaker = Speaker::open(&config.warn)?;
    let developer = Developer::new(&config.evidence)?;
    let past = Past::read(&store)?;
    let judge = past.judge(config, known_roles(config, detector.card()), &store)?;
    let telemetry = Arc::new(TelemetryState::new());
    let mut facts = facts(loaded, &detector, identity, Arc::clone(&telemetry))?;
    if !developer.has_cjk() {
        facts.wording = Wording::ascii().clone();
        tracing::warn!(
            "no font with Chinese characters: captions are ASCII; install fonts-wqy-microhei"
        );
    }
    let recorder = record::begin(&store, loaded, &facts, past, |case| judge.is_open(case))?;
    Ok(Opened {
        store,
        detector,
        speaker,
        developer,
        judge,
        facts,
        telemetry,
        recorder,
    })
}

/// Opens everything and starts threads and tasks.
fn start(loaded: &Loaded, stop: CancellationToken) -> anyhow::Result<Running> {
    let config = &loaded.config;
    let opened = open(loaded)?;
    let mut progress = Progress::default();
    let slots = Arc::new(Slots::new(config.camera.len()));
    let cameras = Arc::new(cameras(config, &slots)?);
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
        upload: Arc::new(UploadState::new()),
    };
    let tasks = TaskTracker::new();
    let (store, identity) = (opened.store.clone(), Arc::clone(&opened.facts.identity));
    let (eye, keeper) = start_work(opened, &gauges, (&slots, &tasks), &mut progress, &stop)?;
    let stop_upload = CancellationToken::new();
    join_the_world(
        &tasks,
        gauges,
        (progress, Arc::clone(&identity)),
        &stop_upload,
    );
    Ok(Running {
        cameras,
        slots,
        eye,
        keeper,
        tasks,
        store,
        identity,
        stop,
        stop_upload,
    })
}

/// Eye, keeper, mouth and telemetry, with the channels between them.
fn start_work(
    opened: Opened,
    gauges: &Gauges,
    (slots, tasks): (&Arc<Slots>, &TaskTracker),
    progress: &mut Progress,
    stop: &CancellationToken,
) -> anyhow::Result<(JoinHandle<()>, JoinHandle<()>)> {
    let config = &gauges.config;
    let poses = Arc::new(Poses::new());
    let (orders, orders_in) = sync_channel(WITNESS_ORDERS);
    let (shouts, shouts_in) = mpsc::channel(SHOUTS);
    let (reports, reports_in) = mpsc::channel(REPORTS);
    let card = opened.detector.card();
    let cameras = config.camera.iter().enumerate();
    let sights = cameras
        .zip(views::outlooks(config))
        .map(|(camera, outlook)| Sight::new(card, camera, outlook))
        .collect();
    let eye = Eye {
        slots: Arc::clone(slots),
        poses: Arc::clone(&poses),
        detector: opened.detector,
        sights,
        judge: opened.judge,
        reports: reports_in,
        keeper: orders,
        counters: Arc::clone(&gauges.eye),
        views: Arc::clone(&gauges.views),
        beat: progress.watch("eye"),
        stop: stop.clone(),
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
        mouth: Mouthpiece {
            shouts,
            reports: reports.clone(),
            store: opened.store.clone(),
        },
        state: Arc::clone(&gauges.keeper),
        beat: progress.watch("keeper"),
    };
    let threads = (
        thread("eye", move || eye.run())?,
        thread("keeper", move || keeper.run())?,
    );
    let listen = telemetry::run(
        config.telemetry.clone(),
        poses,
        opened.telemetry,
        stop.clone(),
    );
    tasks.spawn(listen);
    tasks.spawn(record::run(opened.recorder, stop.clone()));
    tasks.spawn(mouth::run(
        shouts_in,
        reports,
        opened.speaker,
        opened.store,
        stop.clone(),
    ));
    Ok(threads)
}

/// Upload, care of the store, status and watchdog: they go on until the keeper has ended.
fn join_the_world(
    tasks: &TaskTracker,
    gauges: Gauges,
    (progress, identity): (Progress, Arc<Identity>),
    stop: &CancellationToken,
) {
    let config = &gauges.config;
    let uplink = Uplink {
        config: config.upload.clone(),
        keys: config.keys.dir.clone(),
        device: config.device.id.clone(),
        store: gauges.store.clone(),
        identity,
        state: Arc::clone(&gauges.upload),
        desk: None,
    };
    tasks.spawn(upload::run(uplink, stop.clone()));
    let (care, keeper) = (Arc::clone(&gauges.care), Arc::clone(&gauges.keeper));
    tasks.spawn(caretaker::care(
        gauges.store.clone(),
        care,
        keeper,
        stop.clone(),
    ));
    tasks.spawn(caretaker::mirror(gauges.store.clone(), stop.clone()));
    tasks.spawn(watchdog(progress, Arc::clone(&gauges.upload), stop.clone()));
    let (run_dir, stop) = (config.store.run_dir.clone(), stop.clone());
    tasks.spawn(async move {
        let visitors = Visitors::new(gauges.store.clone());
        let came = |uid| visitors.came(uid);
        if let Err(error) = status::serve(&run_dir, || gauges.snapshot(), came, stop).await {
            tracing::error!(%error, "no status can be asked for");
        }
    });
    tasks.close();
}

/// Ends in order: no new frames, no new orders, everything kept, the piece in hand sent.
async fn finish(running: Running) {
    let Running {
        store,
        identity,
        cameras,
        slots,
        eye,
        keeper,
        tasks,
        stop,
        stop_upload,
    } = running;
    stop.cancel();
    slots.close();
    let ended = tokio::task::spawn_blocking(move || {
        let ended = eye.join().is_ok() & keeper.join().is_ok();
        drop(cameras);
        ended
    });
    if !matches!(tokio::time::timeout(STOP_WITHIN, ended).await, Ok(Ok(true))) {
        tracing::warn!("eye or keeper did not end in time; the next start goes on from the disk");
    }
    record::end(&store, &identity);
    stop_upload.cancel();
    if tokio::time::timeout(STOP_WITHIN, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!("some tasks did not end in time");
    }
}

fn facts(
    loaded: &Loaded,
    detector: &Detector,
    identity: Arc<Identity>,
    telemetry: Arc<TelemetryState>,
) -> anyhow::Result<Facts> {
    let zone = &loaded.config.device.time_zone;
    Ok(Facts {
        config: loaded.config.clone(),
        config_sha256: loaded.sha256.clone(),
        binary_sha256: dossier::program_sha256().ok(),
        model: dossier::model(detector.card()),
        wording: loaded.wording.clone(),
        time_zone: jiff::tz::TimeZone::get(zone)
            .with_context(|| format!("device.time_zone: {zone:?} is not known here"))?,
        identity,
        telemetry,
        clock_state: Arc::default(),
    })
}

fn cameras(config: &Config, slots: &Arc<Slots>) -> anyhow::Result<Vec<Camera>> {
    let start = |(index, camera)| {
        let secrets = Credentials::read(camera)?;
        Ok(Camera::start(
            index,
            camera,
            secrets,
            &config.evidence,
            Arc::clone(slots),
        )?)
    };
    config.camera.iter().enumerate().map(start).collect()
}

fn thread(
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder
        .spawn(run)
        .with_context(|| format!("cannot start the thread {name}"))
}
