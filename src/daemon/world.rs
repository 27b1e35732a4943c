//! What goes on beside the work of the threads: upload, care of the store, status and watchdog.

use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::link::Endpoint;
use crate::status::{self, Progress};
use crate::upload::{self, Desk, Uplink};
use crate::witness::Identity;

use super::caretaker;
use super::gauges::{Gauges, watchdog};
use super::nameplates;
use super::visitors::Visitors;

/// The upload of the box, whose commands go to the clerk over `desk`.
pub(super) fn uplink(gauges: &Gauges, identity: Arc<Identity>, desk: Desk) -> Uplink {
    let config = &gauges.config;
    Uplink {
        config: config.upload.clone(),
        endpoint: Endpoint::of(config),
        time_zone: TimeZone::get(&config.device.time_zone).unwrap_or(TimeZone::UTC),
        store: gauges.store.clone(),
        identity,
        trust: Arc::clone(&gauges.trust),
        state: Arc::clone(&gauges.upload),
        desk: Some(desk),
    }
}

/// Upload, care of the store, who the cameras are, status and watchdog: they go on until the keeper has ended.
pub(super) fn join(
    tasks: &TaskTracker,
    gauges: Arc<Gauges>,
    uplink: Uplink,
    progress: Progress,
    stop: &CancellationToken,
) {
    tasks.spawn(upload::run(uplink, stop.clone()));
    let (care, keeper) = (Arc::clone(&gauges.care), Arc::clone(&gauges.keeper));
    tasks.spawn(caretaker::care(
        gauges.store.clone(),
        care,
        keeper,
        stop.clone(),
    ));
    tasks.spawn(caretaker::mirror(gauges.store.clone(), stop.clone()));
    tasks.spawn(watchdog(
        progress,
        Arc::clone(&gauges.upload),
        gauges.store.clone(),
        stop.clone(),
    ));
    tasks.spawn(nameplates::ask(
        Arc::clone(&gauges.nameplates),
        Arc::clone(&gauges.cameras),
        gauges.store.clone(),
        stop.clone(),
    ));
    let (run_dir, stop) = (gauges.config.store.run_dir.clone(), stop.clone());
    tasks.spawn(async move {
        let visitors = Visitors::new(gauges.store.clone());
        let answer = move |uid| {
            visitors.came(uid);
            gauges.snapshot()
        };
        if let Err(error) = status::serve(&run_dir, answer, stop).await {
            tracing::error!(%error, "no status can be asked for");
        }
    });
    tasks.close();
}
