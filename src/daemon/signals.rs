//! SIGTERM, SIGINT, SIGHUP: the first stops in order, the second at once. SIGUSR1 stops the loudspeaker.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::mouth::Request;

/// Exit code of a process that was told twice.
const TOLD_TWICE: i32 = 130;

/// A token that the first SIGTERM or SIGINT cancels, or the SIGHUP of a line that broke. The second
/// ends the process on the spot: whatever it was doing, the store is made for that.
pub fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let listen = |kind| signal(kind).context("cannot listen to signals");
    let mut term = listen(SignalKind::terminate())?;
    let mut int = listen(SignalKind::interrupt())?;
    let mut hup = listen(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        any([&mut term, &mut int, &mut hup]).await;
        tracing::info!("told to stop; once more stops at once");
        told.cancel();
        any([&mut term, &mut int, &mut hup]).await;
        exit_now();
    });
    Ok(stop)
}

/// Stops the loudspeaker at each SIGUSR1, until `stop`. Who may send it is the system's rule for
/// signals: the daemon's own user, and root.
pub(super) fn stop_speaking(
    requests: Sender<Request>,
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()>> {
    let mut told = signal(SignalKind::user_defined1()).context("cannot listen to signals")?;
    Ok(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = told.recv() => {}
            }
            let (answer, done) = oneshot::channel();
            let by = "a signal on the box".to_owned();
            if requests.send(Request::Stop { by, answer }).await.is_err() {
                return;
            }
            // The mouth says and journals what it did.
            drop(done.await);
        }
    })
}

async fn any([term, int, hup]: [&mut Signal; 3]) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        _ = hup.recv() => {}
    }
}

#[expect(
    clippy::exit,
    reason = "a second signal means: now, without the orderly way"
)]
fn exit_now() -> ! {
    std::process::exit(TOLD_TWICE)
}
