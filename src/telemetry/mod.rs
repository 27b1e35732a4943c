//! Says where the box is, and keeps asking.
//!
//! One task listens to the configured source (a MAVLink autopilot, gpsd, or the surveyed place
//! of a pole) and puts what it hears into [`Poses`], a ring of one minute that the eye asks by
//! the time of a frame. [`TelemetryState`] holds what the status page shows of it.
//!
//! **Invariants.** [`run`] ends only when told to: a source that is away is waited for, with
//! pauses of at most ten seconds. A pose is never carried on beyond the last measurement, and
//! what a source did not say stays unknown. No byte from outside can make it panic or grow.
//!
//! **Not here.** No target position on the ground, no coordinates but WGS-84, no camera, and
//! no clock is set: the offset of the satellite time is only reported.

mod gpsd;
#[expect(
    deprecated,
    reason = "vehicles older than message intervals and Gimbal Protocol v2 speak only the \
              superseded messages"
)]
mod mavlink;
mod poses;
mod state;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use mavlink::{Address, AddressError, Call};
pub use poses::Poses;
pub use state::{Counters, TelemetrySnapshot, TelemetryState};

use crate::clock;
use crate::config::{self, TelemetrySource};
use crate::types::{FixKind, Pose, PoseSource};

/// First pause before a source is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause before a source is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Listens to the configured source until `stop`; never returns before.
///
/// What it hears goes to `poses`; how it goes, to `state`. The `horn` of a MAVLink vehicle is
/// sounded when it is called, and off when this ends.
pub async fn run(
    config: config::Telemetry,
    horn: Option<(config::Horn, mpsc::Receiver<Call>)>,
    poses: Arc<Poses>,
    state: Arc<TelemetryState>,
    stop: CancellationToken,
) {
    state.begin(&config);
    match config.source {
        TelemetrySource::None => {}
        TelemetrySource::Fixed => {
            poses.put(surveyed(&config));
            state.heard(clock::boot_ns());
        }
        TelemetrySource::Gpsd => gpsd::run(&config.gpsd, &poses, &state, &stop).await,
        TelemetrySource::Mavlink => {
            mavlink::run(&config.mavlink, horn, &poses, &state, &stop).await;
        }
    }
    stop.cancelled().await;
}

/// The pose of a pole, as its survey wrote it down.
///
/// The bearing of its camera is given as the heading, which of a pole is nothing else: roll and
/// pitch were not surveyed, so there is no [`Pose::camera`].
fn surveyed(config: &config::Telemetry) -> Pose {
    let place = (scaled(config.lat, 1e7), scaled(config.lon, 1e7));
    Pose {
        alt_mm: config.alt_m.map(|metres| scaled(metres, 1e3)),
        h_acc_mm: (config.accuracy_m > 0.0).then(|| scaled(config.accuracy_m, 1e3).unsigned_abs()),
        heading_deg: (config.bearing_deg >= 0.0).then(|| narrowed(config.bearing_deg)),
        ..Pose::bare(clock::now(), place, (FixKind::Surveyed, PoseSource::Fixed))
    }
}

/// `value × factor`, rounded; saturates, and NaN is 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates; configuration and receivers are checked for range elsewhere"
)]
fn scaled(value: f64, factor: f64) -> i32 {
    (value * factor).round() as i32
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a direction or a speed needs no more digits than f32 has"
)]
fn narrowed(value: f64) -> f32 {
    value as f32
}

/// The pauses between tries: doubled from [`PAUSE_MIN`] to [`PAUSE_MAX`], from the start again
/// after a success.
struct Pauses {
    next: Duration,
}

impl Pauses {
    fn new() -> Self {
        Self { next: PAUSE_MIN }
    }

    fn succeeded(&mut self) {
        self.next = PAUSE_MIN;
    }

    /// Waits; `false` when it is time to stop.
    async fn wait(&mut self, stop: &CancellationToken) -> bool {
        let pause = self.next;
        self.next = (pause * 2).min(PAUSE_MAX);
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pole() -> config::Telemetry {
        config::Telemetry {
            source: TelemetrySource::Fixed,
            lat: 36.066_234_5,
            lon: 120.382_123_4,
            alt_m: Some(12.5),
            accuracy_m: 0.3,
            bearing_deg: 271.5,
            ..config::Telemetry::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_surveyed_place_is_true_at_any_time() {
        let (poses, state) = (Arc::new(Poses::new()), Arc::new(TelemetryState::new()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(
            pole(),
            None,
            Arc::clone(&poses),
            Arc::clone(&state),
            stop.clone(),
        ));
        tokio::time::sleep(Duration::from_millis(1)).await;
        for seconds in [-3_600, 0, 1, 86_400] {
            let stamp = clock::now().shifted_ns(seconds * 1_000_000_000);
            let placed = poses.at(stamp).expect("a pole knows its place");
            assert_eq!((placed.age_ms, placed.interpolated), (0, false));
            assert_eq!(placed.pose.at, stamp);
            assert_eq!(
                (placed.pose.lat_e7, placed.pose.lon_e7),
                (360_662_345, 1_203_821_234)
            );
            assert_eq!(
                (placed.pose.alt_mm, placed.pose.h_acc_mm),
                (Some(12_500), Some(300))
            );
            assert_eq!(placed.pose.heading_deg, Some(271.5));
            assert_eq!(placed.pose.fix, FixKind::Surveyed);
        }
        assert!(state.snapshot().connected);
        assert!(!task.is_finished(), "it runs until it is stopped");
        stop.cancel();
        task.await.expect("the task ends in order");
    }

    #[test]
    fn what_the_survey_left_out_stays_unknown() {
        let pose = surveyed(&config::Telemetry {
            lat: 36.0,
            lon: 120.0,
            ..config::Telemetry::default()
        });
        assert_eq!((pose.h_acc_mm, pose.heading_deg), (None, None));
        assert_eq!(pose.alt_mm, None);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_their_cap_and_start_again_after_a_success() {
        let (mut pauses, stop) = (Pauses::new(), CancellationToken::new());
        let mut waited = Vec::new();
        for _ in 0..8 {
            let before = tokio::time::Instant::now();
            assert!(pauses.wait(&stop).await);
            waited.push(before.elapsed().as_millis());
        }
        assert_eq!(
            waited,
            [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]
        );
        pauses.succeeded();
        assert_eq!(pauses.next, PAUSE_MIN);
        stop.cancel();
        assert!(!pauses.wait(&stop).await, "a stop ends the pause");
    }
}
