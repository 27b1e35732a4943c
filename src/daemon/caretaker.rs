//! Looks after the store: room, pruning, a disk that comes back, the second copy. Two tasks, so
//! that a slow second medium never keeps the first from being looked after.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::store::{Care, MirrorStep, Store};
use crate::types::lock;

use super::counters::KeeperState;

/// How often the store is looked after.
const CARE_EVERY: Duration = Duration::from_secs(10);
/// How often the second medium is looked at when it has everything, or is missing.
const MIRROR_EVERY: Duration = Duration::from_secs(5);

/// How the store was when it was last looked after.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct StoreState {
    /// Room and level; `None` before the first look, and while there is trouble.
    pub(super) care: Option<Care>,
    /// Why no evidence can be kept; `None` while all is well.
    pub(super) trouble: Option<String>,
}

/// Looks after the store until `stop`. What the keeper could not do makes it suspect; when the
/// disk works again the keeper's trouble is over, unless the end of a case still waits.
pub(super) async fn care(
    store: Store,
    state: Arc<Mutex<StoreState>>,
    keeper: Arc<Mutex<KeeperState>>,
    stop: CancellationToken,
) {
    loop {
        let suspect = lock(&state).trouble.is_some() || lock(&keeper).trouble.is_some();
        let cared = store
            .blocking(move |store| store.care(clock::now(), suspect))
            .await;
        let trouble = cared.as_ref().err().map(ToString::to_string);
        let before = lock(&state).trouble.take();
        match (&before, &trouble) {
            (_, Some(why)) if before != trouble => tracing::error!(why, "the store has trouble"),
            (Some(_), None) => tracing::info!("the store works again"),
            _ => {}
        }
        if suspect && trouble.is_none() {
            let mut keeper = lock(&keeper);
            if keeper.waiting == 0 {
                keeper.trouble = None;
            }
        }
        *lock(&state) = StoreState {
            care: cared.ok(),
            trouble,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CARE_EVERY) => {}
        }
    }
}

/// Copies what the second medium lacks, until `stop`, one package after the other.
pub(super) async fn mirror(store: Store, stop: CancellationToken) {
    let mut said = None;
    while !stop.is_cancelled() {
        let step = store.blocking(Store::mirror_step).await;
        let trouble = step.as_ref().err().map(ToString::to_string);
        if let Some(why) = trouble.as_ref().filter(|_| said != trouble) {
            tracing::error!(why, "the second copy cannot go on");
        }
        said = trouble;
        let wait = match step {
            Ok(MirrorStep::Off) => return,
            Ok(MirrorStep::Copied(_) | MirrorStep::Restored(_)) => continue,
            Ok(MirrorStep::Missing(_) | MirrorStep::Idle) => MIRROR_EVERY,
            Err(_) => CARE_EVERY,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
