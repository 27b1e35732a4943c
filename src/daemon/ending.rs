//! The end of a run, in order.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ingest::{Camera, Slots};
use crate::store::Store;
use crate::witness::Identity;

use super::record;

/// What is still under way this long after a stop is left to the next start.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// A running daemon.
pub(super) struct Running {
    pub(super) cameras: Arc<Vec<Camera>>,
    pub(super) slots: Arc<Slots>,
    pub(super) eye: JoinHandle<()>,
    pub(super) keeper: JoinHandle<()>,
    pub(super) tasks: TaskTracker,
    pub(super) store: Store,
    pub(super) identity: Arc<Identity>,
    pub(super) stop: CancellationToken,
    /// Upload goes on until the keeper has ended.
    pub(super) stop_upload: CancellationToken,
}

impl Running {
    /// Ends in order: no new frames, no new orders, everything kept, the piece in hand sent.
    pub(super) async fn finish(self) {
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
        } = self;
        stop.cancel();
        slots.close();
        let ended = tokio::task::spawn_blocking(move || {
            let ended = eye.join().is_ok() & keeper.join().is_ok();
            drop(cameras);
            ended
        });
        if !matches!(tokio::time::timeout(STOP_WITHIN, ended).await, Ok(Ok(true))) {
            tracing::warn!(
                "eye or keeper did not end in time; the next start goes on from the disk"
            );
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
}

/// Starts a thread that is waited for at the end.
pub(super) fn thread(
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder
        .spawn(run)
        .with_context(|| format!("cannot start the thread {name}"))
}
