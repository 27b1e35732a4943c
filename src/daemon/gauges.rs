//! What the daemon shows of itself: the status document, and the word to systemd.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::command::{Origin, Settings};
use crate::config::Config;
use crate::ingest::Camera;
use crate::status::{Progress, alarms};
use crate::store::Store;
use crate::telemetry::{Poses, TelemetryState};
use crate::types::{Placed, Stamp, lock};
use crate::upload::UploadState;
use crate::warn::{Travel, tells_the_hour};
use crate::witness::{Identity, Trust};

use super::alarms::Acknowledged;
use super::caretaker::StoreState;
use super::clerk::Objections;
use super::counters::{EyeCounters, KeeperState};
use super::mouth::VoiceState;
use super::nameplates::Nameplates;
use super::terms::Terms;
use super::views::Views;

/// A stage that has not turned for this long is stuck; systemd is told no more.
const STUCK_AFTER: Duration = Duration::from_secs(20);

/// Reading a long journal and writing its rows takes no longer on the slowest box.
const PUT_RIGHT_WITHIN: Duration = Duration::from_mins(2);

/// How often the start says how far it is.
const TELL_EVERY_NS: u64 = 1_000_000_000;

/// Ending and starting again takes no longer, microseconds: as long as systemd gives a start.
const AGAIN_USEC: u32 = 150_000_000;

/// The slowest disk reads the largest package within this, microseconds.
const PER_PACKAGE_USEC: u32 = 60_000_000;

/// Tells systemd that the work goes on, as long as it does.
pub(super) async fn watchdog(
    progress: Progress,
    upload: Arc<UploadState>,
    store: Store,
    stop: CancellationToken,
) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let stuck = move || {
        let now = clock::now();
        let stuck = progress.stuck(now.boot_ns, STUCK_AFTER);
        let stuck = stuck.or_else(|| upload.hangs(now).then_some("upload"));
        // Whoever waits for the store while it is put right does not hang.
        stuck.filter(|_| !store.is_put_right(now, PUT_RIGHT_WITHIN))
    };
    let feed = || tell_systemd(&[sd_notify::NotifyState::Watchdog]);
    feed_while_at_work(limit / 3, stuck, feed, stop).await;
}

/// Does `feed` at this pace, but not while a stage is `stuck`.
async fn feed_while_at_work(
    pace: Duration,
    stuck: impl Fn() -> Option<&'static str>,
    feed: impl Fn(),
    stop: CancellationToken,
) {
    let mut silent = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pace) => {}
        }
        match stuck() {
            None => {
                silent = false;
                feed();
            }
            Some(stage) if !silent => {
                silent = true;
                tracing::error!(stage, "a stage is stuck; the watchdog is told no more");
            }
            Some(_) => {}
        }
    }
}

/// Tells systemd how far the store is put right at start: a lost database over thousands of
/// packages takes longer than a start may. More time is asked for only as packages are read, so
/// that a disk that hangs still ends the start.
pub(super) fn recovering() -> impl Fn(usize, usize) {
    let told_ns: Cell<Option<u64>> = Cell::new(None);
    move |done, all| {
        let now = clock::boot_ns();
        let soon = |told: u64| now.saturating_sub(told) < TELL_EVERY_NS;
        if told_ns.get().is_some_and(soon) {
            return;
        }
        told_ns.set(Some(now));
        tracing::info!(
            done,
            all,
            "reading packages that the database does not know"
        );
        let status = format!("reading packages that the database does not know: {done} of {all}");
        tell_systemd(&[
            sd_notify::NotifyState::ExtendTimeoutUsec(PER_PACKAGE_USEC),
            // After a wait for the disk systemd counts by the watchdog.
            sd_notify::NotifyState::Watchdog,
            sd_notify::NotifyState::Status(&status),
        ]);
    }
}

/// Tells systemd that everything is opened and at work.
pub(super) fn tell_ready() {
    if let Some(limit) = sd_notify::watchdog_enabled() {
        // The run before may have asked for more time.
        let usec = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
        tell_systemd(&[sd_notify::NotifyState::WatchdogUsec(usec)]);
    }
    tell_systemd(&[
        sd_notify::NotifyState::Ready,
        sd_notify::NotifyState::Status("running"),
    ]);
}

/// Tells systemd that the program starts again in its own place.
pub(super) fn tell_again() {
    tell_long_start("starting again with something on trial");
}

/// Tells systemd that the program is up and waits, and for what.
pub(super) fn tell_waiting(trouble: &str) {
    tell_systemd(&[
        sd_notify::NotifyState::Ready,
        sd_notify::NotifyState::Watchdog,
        sd_notify::NotifyState::Status(trouble),
    ]);
}

/// Tells systemd that everything is opened again after it waited.
pub(super) fn tell_opening() {
    tell_long_start("trying the evidence disk again");
}

/// Until it is ready nobody feeds the watchdog, and a model may take its time.
fn tell_long_start(status: &str) {
    tell_systemd(&[
        sd_notify::NotifyState::WatchdogUsec(AGAIN_USEC),
        sd_notify::NotifyState::Watchdog,
        sd_notify::NotifyState::Status(status),
    ]);
}

pub(super) fn tell_systemd(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// What every status begins with: which box and which run, and how good its clock is.
pub(super) fn about(config: &Config, since: Stamp, now: Stamp) -> Value {
    json!({
        "v": 1,
        "program": concat!("lingmou ", env!("CARGO_PKG_VERSION")),
        "device": config.device.id,
        "pid": std::process::id(),
        "at": clock::rfc3339_ms(now.utc_ns),
        "up_secs": now.since(since).as_secs(),
        "clock": clock::trust(),
    })
}

/// Everything the status is made of.
pub(super) struct Gauges {
    pub(super) config: Config,
    pub(super) since: Stamp,
    pub(super) cameras: Arc<Vec<Camera>>,
    pub(super) eye: Arc<EyeCounters>,
    pub(super) views: Arc<Views>,
    pub(super) keeper: Arc<Mutex<KeeperState>>,
    pub(super) care: Arc<Mutex<StoreState>>,
    pub(super) store: Store,
    pub(super) telemetry: Arc<TelemetryState>,
    pub(super) poses: Arc<Poses>,
    pub(super) upload: Arc<UploadState>,
    pub(super) objections: Arc<Objections>,
    /// Who the cameras are.
    pub(super) nameplates: Arc<Nameplates>,
    /// Where the configuration comes from.
    pub(super) origin: Origin,
    /// What was sent, and what of it is on trial.
    pub(super) settings: Settings,
    pub(super) voice: Arc<Mutex<VoiceState>>,
    /// Alarms that somebody took note of.
    pub(super) acknowledged: Acknowledged,
    /// How long the certificates hold.
    pub(super) terms: Arc<Terms>,
    /// While its certificate does not hold nothing is judged.
    pub(super) identity: Arc<Identity>,
    /// Who commands, and who signs receipts.
    pub(super) trust: Arc<Trust>,
}

impl Gauges {
    fn voice(&self, now: Stamp) -> Value {
        let voice = lock(&self.voice);
        let mut shown = voice.snapshot(now);
        let known = tells_the_hour(self.telemetry.doubt(now));
        shown["hour_unknown"] = (!known && self.config.warn.needs_the_hour()).into();
        shown
    }

    /// What is heard of the position, and whether judgement and loudspeaker can work by it: what
    /// is last told of a fix says neither.
    fn telemetry(&self, now: Stamp) -> Value {
        let mut shown = json!(self.telemetry.snapshot());
        let placed = self.poses.at(now);
        let matters = self.config.warn.speed_max_kmh > 0.0;
        let (source, moving) = (self.config.telemetry.source, self.config.is_moving());
        shown["place_known"] = placed.as_ref().is_some_and(Placed::tells_place).into();
        shown["speed_known"] = json!(match Travel::of(source, moving, placed.as_ref()) {
            Travel::Moves { speed, .. } if matters => Some(speed.is_some()),
            Travel::Moves { .. } | Travel::Fixed => None,
        });
        shown
    }

    /// The status document.
    pub(super) fn snapshot(&self) -> Value {
        let now = clock::now();
        let cameras: serde_json::Map<String, Value> = self
            .config
            .camera
            .iter()
            .zip(self.cameras.iter())
            .enumerate()
            .map(|(index, (config, camera))| {
                let mut state = json!(camera.state());
                state["view"] = self.views.of(index);
                state["onvif"] = self.nameplates.snapshot(index);
                state["blind"] = json!(self.eye.blind_at(index));
                (config.name.clone(), state)
            })
            .collect();
        let (counts, mirror) = (self.store.counts(), self.store.mirror_state());
        let mut status = about(&self.config, self.since, now);
        let work = json!({
            "certificates": self.terms.snapshot(now),
            "roots_trouble": self.trust.trouble(),
            "held": self.identity.check_validity(now).err().map(|error| error.to_string()),
            "cameras": cameras,
            "eye": self.eye.snapshot(),
            "keeper": *lock(&self.keeper),
            "store": counts.as_ref().ok(),
            "store_trouble": counts.as_ref().err().map(ToString::to_string),
            "files_lost": self.store.files_lost(),
            "losses": self.store.losses(),
            "disk": *lock(&self.care),
            "mirror": mirror.ok().flatten(),
            "journal": self.store.head(),
            "voice": self.voice(now),
            "telemetry": self.telemetry(now),
            "upload": self.upload.snapshot(),
            "upload_enabled": self.config.upload.enabled,
            "objections": self.objections.snapshot(&self.store),
            "configuration": self.origin,
            "trial": self.settings.on_trial(),
        });
        if let (Value::Object(status), Value::Object(work)) = (&mut status, work) {
            status.extend(work);
        }
        status["alarms"] = self.acknowledged.level(alarms(&status));
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keeper hangs for a while.
    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_not_fed_while_a_stage_hangs() {
        const PACE: Duration = Duration::from_secs(9);
        let start_ns = clock::boot_ns();
        let mut progress = Progress::default();
        let keeper = progress.watch("keeper");
        let began = tokio::time::Instant::now();
        // As many nanoseconds after the keeper's last turn as have passed in the test.
        let stuck = || {
            let passed = u64::try_from(began.elapsed().as_nanos()).unwrap();
            if began.elapsed() > PACE * 6 + PACE / 2 {
                keeper.turn();
                return progress.stuck(clock::boot_ns(), STUCK_AFTER);
            }
            progress.stuck(start_ns + passed, STUCK_AFTER)
        };
        let fed = std::cell::RefCell::new(Vec::new());
        let feed = || fed.borrow_mut().push(began.elapsed().as_secs());
        let stop = CancellationToken::new();
        let ends = {
            let stop = stop.clone();
            async move {
                tokio::time::sleep(PACE * 8 + PACE / 2).await;
                stop.cancel();
            }
        };
        tokio::join!(feed_while_at_work(PACE, stuck, feed, stop), ends);
        assert_eq!(*fed.borrow(), [9, 18, 63, 72]);
    }
}
