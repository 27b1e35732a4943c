//! Looks after the store: room, pruning, a disk that comes back, the second copy. Two tasks, so
//! that a slow second medium never keeps the first from being looked after.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::link::Pause;
use crate::store::{Care, MirrorStep, Store, StoreError};
use crate::types::lock;

use super::counters::KeeperState;

/// How often the store is looked after.
const CARE_EVERY: Duration = Duration::from_secs(10);
/// How often the second medium is looked at when it has everything, or is missing.
const MIRROR_EVERY: Duration = Duration::from_secs(5);
/// Longest pause before one that is full or fails is tried again: a try costs reading and writing.
const MIRROR_FAILS: Duration = Duration::from_mins(5);

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
    let mut pause = Pause::new(MIRROR_EVERY, MIRROR_FAILS);
    while !stop.is_cancelled() {
        let step = watched(&store).await;
        let trouble = step.as_ref().err().map(ToString::to_string);
        if let Some(why) = trouble.as_ref().filter(|_| said != trouble) {
            tracing::error!(why, "the second copy cannot go on");
        }
        said = trouble;
        let Some(wait) = rest(&step, &mut pause) else {
            return;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// One step; of a medium that hangs under it is told while it does.
async fn watched(store: &Store) -> Result<MirrorStep, StoreError> {
    let step = store.blocking(Store::mirror_step);
    tokio::pin!(step);
    loop {
        tokio::select! {
            step = &mut step => return step,
            () = tokio::time::sleep(MIRROR_EVERY) => {}
        }
        let hangs = store.blocking(|store| store.mirror_hangs(clock::now()));
        if let Err(error) = hangs.await {
            tracing::error!(%error, "cannot journal that the second medium hangs");
        }
    }
}

/// How long after a step the next one is due; `None`: never.
fn rest(step: &Result<MirrorStep, StoreError>, pause: &mut Pause) -> Option<Duration> {
    if !matches!(step, Ok(MirrorStep::Failed(_))) {
        pause.reset();
    }
    match step {
        Ok(MirrorStep::Off) => None,
        Ok(MirrorStep::Copied(_) | MirrorStep::Restored(_)) => Some(Duration::ZERO),
        Ok(MirrorStep::Missing(_) | MirrorStep::Idle) => Some(MIRROR_EVERY),
        Ok(MirrorStep::Failed(_)) => Some(pause.step()),
        Err(_) => Some(CARE_EVERY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::CaseId;

    #[test]
    fn a_medium_that_fails_is_tried_more_and_more_seldom() {
        let mut pause = Pause::new(MIRROR_EVERY, MIRROR_FAILS);
        let failed = Ok(MirrorStep::Failed("full".to_owned()));
        let mut day = Duration::ZERO;
        let mut tries = 0;
        while day < Duration::from_hours(24) {
            day += rest(&failed, &mut pause).unwrap();
            tries += 1;
        }
        assert!(tries < 600, "{tries} tries in a day");
        // One that is not there costs nothing to look for, and one that works is not kept waiting.
        for (step, wait) in [
            (MirrorStep::Missing(String::new()), Some(MIRROR_EVERY)),
            (MirrorStep::Idle, Some(MIRROR_EVERY)),
            (
                MirrorStep::Copied(CaseId(uuid::Uuid::nil())),
                Some(Duration::ZERO),
            ),
            (MirrorStep::Off, None),
        ] {
            assert_eq!(rest(&Ok(step), &mut pause), wait);
        }
        assert!(
            rest(&failed, &mut pause).unwrap() <= MIRROR_EVERY,
            "from the first pause again"
        );
    }
}
