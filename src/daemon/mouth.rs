//! The mouth: plays warnings one after the other and reports what became of each.

use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::journal::kind;
use crate::store::Store;
use crate::types::{CaseId, Stamp, Violation, WarnReport};
use crate::warn::Speaker;

/// A warning that waited longer than this behind others is not played: whoever it was meant for
/// may have gone.
const STALE_AFTER: Duration = Duration::from_secs(30);

/// A warning to be played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shout {
    pub(super) case: CaseId,
    pub(super) violation: Violation,
    /// Capture time of the frame that led to it.
    pub(super) at: Stamp,
}

/// Plays until `stop` or until the keeper has ended.
pub(super) async fn run(
    mut shouts: Receiver<Shout>,
    reports: Sender<WarnReport>,
    mut speaker: Speaker,
    store: Store,
    stop: CancellationToken,
) {
    loop {
        let shout = tokio::select! {
            () = stop.cancelled() => return,
            shout = shouts.recv() => shout,
        };
        let Some(shout) = shout else { return };
        let mut report = play(&mut speaker, shout, &stop).await;
        report.journal_n = journal(&store, &report).await;
        if reports.send(report).await.is_err() {
            return;
        }
    }
}

async fn play(speaker: &mut Speaker, shout: Shout, stop: &CancellationToken) -> WarnReport {
    let now = clock::now();
    if now.since(shout.at) > STALE_AFTER {
        return WarnReport {
            case: shout.case,
            at: now,
            played: Duration::ZERO,
            clip_sha256: speaker.clip_sha256(shout.violation),
            failure: Some("it waited too long behind other warnings".to_owned()),
            journal_n: None,
        };
    }
    speaker.say(shout.violation, shout.case, stop).await
}

/// Number of the journal line that records the warning; `None` when the journal cannot take it.
async fn journal(store: &Store, report: &WarnReport) -> Option<u64> {
    let body = json!({
        "case": report.case,
        "at": clock::rfc3339_ms(report.at.utc_ns),
        "clip_sha256": report.clip_sha256,
        "played_ms": u64::try_from(report.played.as_millis()).unwrap_or(u64::MAX),
        "failure": report.failure,
    });
    let kind = if report.failure.is_none() {
        kind::WARNING_PLAYED
    } else {
        kind::WARNING_FAILED
    };
    let store = store.clone();
    let noted = tokio::task::spawn_blocking(move || store.note(clock::now(), kind, body)).await;
    match noted {
        Ok(Ok(head)) => Some(head.n),
        Ok(Err(error)) => {
            tracing::error!(%error, "a warning could not be journalled");
            None
        }
        Err(_stopped) => None,
    }
}
