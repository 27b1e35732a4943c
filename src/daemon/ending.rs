//! The end of a run, in order.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ingest::{Camera, Slots};
use crate::store::Store;
use crate::witness::Identity;

use super::record;

/// What is still under way this long after a stop is left to the next start.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// A line and a signature have this long at least.
const LINES_WITHIN: Duration = Duration::from_secs(2);

/// A running daemon.
pub(super) struct Running {
    pub(super) cameras: Arc<Vec<Camera>>,
    pub(super) slots: Arc<Slots>,
    pub(super) eye: JoinHandle<()>,
    pub(super) keeper: JoinHandle<()>,
    /// The tasks that write lines until eye and keeper have ended.
    pub(super) writers: Vec<task::JoinHandle<()>>,
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
        self.finish_within(STOP_WITHIN).await;
    }

    /// Without the lines a run ends with when eye, keeper or one of the writers still works: the journal
    /// does not say that a run ended in order which is then cut off, or goes on writing. A disk or token that hangs under these lines holds
    /// up nothing else.
    async fn finish_within(self, patience: Duration) {
        let Running {
            store,
            identity,
            cameras,
            slots,
            eye,
            keeper,
            writers,
            tasks,
            stop,
            stop_upload,
        } = self;
        stop.cancel();
        slots.close();
        let ended = move || eye.join().is_ok() & keeper.join().is_ok();
        let ended = task::spawn_blocking(ended);
        let ended = async {
            let mut all = ended.await.is_ok_and(|both| both);
            for writer in writers {
                all &= writer.await.is_ok();
            }
            all
        };
        let until = Instant::now() + patience;
        if timeout_at(until, ended).await == Ok(true) {
            let lines = task::spawn_blocking(move || record::end(&store, &identity));
            let until = until.max(Instant::now() + LINES_WITHIN);
            if timeout_at(until, lines).await.is_err() {
                tracing::warn!("the stop was not journalled and signed in time");
            }
        } else {
            tracing::warn!(
                "eye, keeper or loudspeaker did not end in time; the next start goes on from the disk"
            );
        }
        stop_upload.cancel();
        // A camera that hangs is no reason to say that something was not kept.
        let cameras = task::spawn_blocking(move || drop(cameras));
        let rest = async { (tasks.wait().await, cameras.await) };
        if tokio::time::timeout(patience, rest).await.is_err() {
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use serde_json::json;

    use super::*;
    use crate::clock;
    use crate::config;
    use crate::journal::{self, kind};
    use crate::pki::TestPki;

    const DEVICE: &str = "LM-ENDING-1";

    /// A run whose keeper does this last.
    fn running(dir: &Path, keeper: impl FnOnce() + Send + 'static) -> Running {
        let pki = TestPki::create(&dir.join("pki"), DEVICE).unwrap();
        let config = config::Store {
            dir: dir.join("store"),
            ..config::Store::default()
        };
        let tasks = TaskTracker::new();
        tasks.close();
        Running {
            cameras: Arc::default(),
            slots: Arc::new(Slots::new(0)),
            eye: thread::spawn(|| ()),
            keeper: thread::spawn(keeper),
            writers: Vec::new(),
            tasks,
            store: Store::open(&config, DEVICE).unwrap().0,
            identity: Arc::new(Identity::load(&pki.device, "evidence").unwrap()),
            stop: CancellationToken::new(),
            stop_upload: CancellationToken::new(),
        }
    }

    /// How many runs the journal calls ended after one whose keeper ended or hangs.
    async fn ended(keeper_hangs: bool) -> usize {
        let dir = tempfile::tempdir().unwrap();
        let (never, hangs) = sync_channel::<()>(1);
        let running = running(dir.path(), move || {
            if keeper_hangs {
                hangs.recv().unwrap_err();
            }
        });
        let patience = if keeper_hangs {
            Duration::from_millis(50)
        } else {
            Duration::from_mins(1)
        };
        running.finish_within(patience).await;
        drop(never);
        let lines = journal::tail(&dir.path().join("store/journal"), 99).unwrap();
        lines.iter().filter(|l| l.kind == kind::SHUTDOWN).count()
    }

    #[tokio::test]
    async fn a_run_is_called_ended_only_when_its_keeper_ended() {
        assert_eq!(ended(false).await, 1);
        assert_eq!(ended(true).await, 0);
    }

    /// The loudspeaker says what became of a warning when it was stopped.
    #[tokio::test]
    async fn what_the_mouth_says_last_comes_before_the_shutdown_and_is_signed() {
        let dir = tempfile::tempdir().unwrap();
        let mut running = running(dir.path(), || ());
        let (store, stop) = (running.store.clone(), running.stop.clone());
        running.writers.push(tokio::spawn(async move {
            stop.cancelled().await;
            for _ in 0..100 {
                // Eye and keeper have long ended.
                task::yield_now().await;
            }
            let at = clock::now();
            store.note(at, kind::WARNING_FAILED, json!({})).unwrap();
        }));
        running.finish_within(Duration::from_mins(1)).await;
        let lines = journal::tail(&dir.path().join("store/journal"), 99).unwrap();
        let kinds: Vec<&str> = lines.iter().map(|line| &*line.kind).collect();
        let last = [kind::WARNING_FAILED, kind::SHUTDOWN, kind::CHECKPOINT];
        assert_eq!(kinds, last);
    }

    /// It would go on writing after the last word.
    #[tokio::test]
    async fn a_run_whose_mouth_hangs_is_not_called_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut running = running(dir.path(), || ());
        running.writers.push(tokio::spawn(std::future::pending()));
        running.finish_within(Duration::from_millis(50)).await;
        assert!(
            journal::tail(&dir.path().join("store/journal"), 99)
                .unwrap()
                .is_empty()
        );
    }

    /// The upload works on meanwhile, and its receipts are lines too.
    #[test]
    fn no_line_comes_between_the_last_word_and_its_signature() {
        let dir = tempfile::tempdir().unwrap();
        let running = running(dir.path(), || ());
        let (store, stop) = (&running.store, &running.stop_upload);
        let receipted = || {
            while !stop.is_cancelled() {
                store
                    .note(clock::now(), kind::PACKAGE_RECEIPTED, json!({}))
                    .unwrap();
            }
        };
        let signed: Vec<u64> = thread::scope(|uploads| {
            for _ in 0..3 {
                uploads.spawn(receipted);
            }
            let ends = (0..200).map(|_| {
                record::end(store, &running.identity);
                store.signed_up_to()
            });
            let signed = ends.collect();
            stop.cancel();
            signed
        });
        let lines = journal::tail(&dir.path().join("store/journal"), usize::MAX).unwrap();
        let ended = lines.iter().filter(|line| line.kind == kind::SHUTDOWN);
        assert_eq!(ended.map(|line| line.head.n).collect::<Vec<_>>(), signed);
    }

    /// Whoever hangs with the disk or the token has the store's lock.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_disk_that_hangs_under_the_last_lines_holds_up_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let running = running(dir.path(), || ());
        let (store, stop_upload) = (running.store.clone(), running.stop_upload.clone());
        store.note(clock::now(), kind::BOOT, json!({})).unwrap();
        let (holds, held) = sync_channel::<()>(9);
        let (never, hangs) = sync_channel::<()>(1);
        let hung = thread::spawn(move || {
            let hang = &mut |_line: journal::Entry| {
                holds.send(()).unwrap();
                hangs.recv().unwrap_err();
            };
            store.walk_journal(hang).unwrap();
        });
        held.recv().unwrap();
        let end = tokio::spawn(running.finish_within(Duration::from_millis(50)));
        let ended = tokio::time::timeout(Duration::from_mins(1), end).await;
        drop(never);
        hung.join().unwrap();
        ended.expect("it ends all the same").unwrap();
        assert!(stop_upload.is_cancelled());
    }
}
