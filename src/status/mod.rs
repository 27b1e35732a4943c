//! Shows how the box is, to the technician and to systemd.
//!
//! The daemon answers on a Unix socket: whoever connects gets one JSON document and the end.
//! `lingmou status` is such a caller. The watchdog is fed from the same numbers, so that "the
//! process lives" is never mistaken for "the work goes on".
//!
//! **Invariants.** Nothing here changes anything. The socket is for the daemon's own user and
//! group. No secret is in the document: stages hand in snapshots made for showing.
//!
//! **Not here.** No network port, no history, no page; the printing is `cli`'s.

mod alarms;
mod progress;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

pub use alarms::{Alarm, alarms};
pub use progress::{Beat, Progress};

/// Name of the socket in `store.run_dir`.
pub const SOCKET: &str = "status.sock";
/// Longest answer read.
const ANSWER_MAX: u64 = 4 << 20;
/// A daemon that does not answer in this time hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why the status cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Nobody listens.
    #[error("no daemon answers at {path}: {source}; is it running? (systemctl status lingmou)")]
    NoDaemon {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Somebody may listen, but not for this user.
    #[error(
        "the daemon may not be asked by this user ({path}: permission denied); as root or as the \
         daemon's user: sudo lingmou status"
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
    },
    /// It listens but does not answer.
    #[error("the daemon at {path} does not answer: {why}")]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// The socket cannot be made.
    #[error("cannot listen at {path}: {source}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Answers every caller with `answer` of the caller's user id, where the kernel says it
/// (`SO_PEERCRED`), until `stop`. The answer is made on a thread that may block: it asks the disk.
pub async fn serve(
    run_dir: &Path,
    answer: impl Fn(Option<u32>) -> Value + Send + Sync + 'static,
    stop: CancellationToken,
) -> Result<(), StatusError> {
    let path = run_dir.join(SOCKET);
    let fail = |source| StatusError::Listen {
        path: path.clone(),
        source,
    };
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        let taken = "another lingmou answers there; give this one a [store] run_dir of its own";
        return Err(fail(std::io::Error::new(
            std::io::ErrorKind::AddrInUse,
            taken,
        )));
    }
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(fail(e)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(fail)?;
    // Whoever may read the status is in the daemon's group.
    std::fs::set_permissions(&path, Permissions::from_mode(0o660)).map_err(fail)?;
    let answer = Arc::new(answer);
    loop {
        let caller = tokio::select! {
            () = stop.cancelled() => break,
            caller = listener.accept() => caller,
        };
        if let Ok((mut stream, _)) = caller {
            let uid = stream.peer_cred().ok().map(|peer| peer.uid());
            let answer = Arc::clone(&answer);
            let made = tokio::task::spawn_blocking(move || answer(uid).to_string());
            let Ok(text) = made.await else {
                continue;
            };
            let sent = tokio::time::timeout(ANSWER_WITHIN, async {
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await
            });
            if !matches!(sent.await, Ok(Ok(()))) {
                tracing::debug!("a status caller went away");
            }
        }
    }
    std::fs::remove_file(&path).map_err(fail)
}

/// Asks the daemon whose `store.run_dir` this is.
pub async fn ask(run_dir: &Path) -> Result<Value, StatusError> {
    let path = run_dir.join(SOCKET);
    let stream = UnixStream::connect(&path)
        .await
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::PermissionDenied => StatusError::Forbidden { path: path.clone() },
            _ => StatusError::NoDaemon {
                path: path.clone(),
                source,
            },
        })?;
    let silent = |why: String| StatusError::NoAnswer {
        path: path.clone(),
        why,
    };
    let mut text = Vec::new();
    let mut stream = stream.take(ANSWER_MAX);
    tokio::time::timeout(ANSWER_WITHIN, stream.read_to_end(&mut text))
        .await
        .map_err(|_elapsed| silent("no answer within 5 s".to_owned()))?
        .map_err(|e| silent(e.to_string()))?;
    serde_json::from_slice(&text).map_err(|e| silent(e.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_caller_gets_the_snapshot_of_now() {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let counter = std::sync::atomic::AtomicU64::new(0);
        let run_dir = dir.path().to_owned();
        let (came, visitors) = std::sync::mpsc::sync_channel(9);
        let answer = move |uid| {
            came.send(uid).unwrap();
            json!({ "asked": counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) })
        };
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { serve(&run_dir, answer, stop).await }
        });
        let mut first = ask(dir.path()).await;
        while matches!(first, Err(StatusError::NoDaemon { .. })) {
            tokio::task::yield_now().await;
            first = ask(dir.path()).await;
        }
        assert_eq!(first.unwrap(), json!({ "asked": 0 }));
        assert_eq!(ask(dir.path()).await.unwrap(), json!({ "asked": 1 }));
        stop.cancel();
        serving.await.unwrap().unwrap();
        let me = rustix::process::getuid().as_raw();
        assert_eq!(visitors.iter().collect::<Vec<_>>(), [Some(me); 2]);
        assert!(matches!(
            ask(dir.path()).await,
            Err(StatusError::NoDaemon { .. })
        ));
    }

    /// Two boxes' daemons on one machine, and the second one has the first one's folder.
    #[tokio::test]
    async fn a_second_daemon_does_not_take_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let serve_in = |stop| serve(dir.path(), |_| json!({ "pid": 1 }), stop);
        let first = serve_in(stop.clone());
        let second = async {
            while ask(dir.path()).await.is_err() {
                tokio::task::yield_now().await;
            }
            let refused = serve_in(CancellationToken::new()).await;
            let kept = ask(dir.path()).await;
            stop.cancel();
            (refused, kept)
        };
        let (served, (refused, kept)) = tokio::join!(first, second);
        served.unwrap();
        assert!(matches!(refused, Err(StatusError::Listen { .. })));
        assert_eq!(kept.unwrap()["pid"], 1);
    }

    /// On one thread: whoever held it up would never hear what it waits for.
    #[tokio::test]
    async fn an_answer_that_waits_for_the_disk_holds_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let (begin, begun) = std::sync::mpsc::sync_channel(1);
        let (disk, waits) = std::sync::mpsc::sync_channel(1);
        let waits = std::sync::Mutex::new(waits);
        let answer = move |_| {
            begin.send(()).unwrap();
            let came = waits.lock().unwrap().recv_timeout(Duration::from_secs(30));
            json!(came.is_ok())
        };
        let (run_dir, over) = (dir.path().to_owned(), stop.clone());
        let serving = tokio::spawn(async move { serve(&run_dir, answer, over).await });
        let path = dir.path().to_owned();
        let asking = tokio::spawn(async move {
            loop {
                match ask(&path).await {
                    Err(StatusError::NoDaemon { .. }) => tokio::task::yield_now().await,
                    told => break told,
                }
            }
        });
        while begun.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        disk.send(()).unwrap();
        assert_eq!(asking.await.unwrap().unwrap(), json!(true));
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
