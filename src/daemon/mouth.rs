//! The mouth: plays warnings one after the other and reports what became of each, of those too
//! that it could not take.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::journal::{Head, kind};
use crate::store::{Store, StoreError};
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

/// Where the keeper hands warnings over; it never waits here.
pub(super) struct Mouthpiece {
    pub(super) shouts: Sender<Shout>,
    pub(super) reports: Sender<WarnReport>,
    pub(super) store: Store,
}

impl Mouthpiece {
    /// Hands a warning over. One for which there is no room is reported as not played at once, so
    /// that its case does not wait for a report that cannot come.
    pub(super) fn give(&self, shout: Shout) {
        let case = shout.case;
        match self.shouts.try_send(shout) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => {
                tracing::info!(%case, "stopping: a warning is not played any more");
            }
            Err(TrySendError::Full(shout)) => {
                let why = "the loudspeaker's queue is full";
                tracing::error!(%case, why, "a warning is not played");
                let mut report = unplayed(&shout, why);
                let (kind, body) = line(&report);
                report.journal_n = noted(self.store.note(clock::now(), kind, body));
                if self.reports.try_send(report).is_err() {
                    tracing::error!(%case, "nobody hears that a warning was not played");
                }
            }
        }
    }
}

/// The report of a warning that was not even begun.
fn unplayed(shout: &Shout, why: &str) -> WarnReport {
    WarnReport {
        case: shout.case,
        at: clock::now(),
        played: Duration::ZERO,
        clip_sha256: String::new(),
        failure: Some(why.to_owned()),
        journal_n: None,
    }
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
    if clock::now().since(shout.at) > STALE_AFTER {
        return WarnReport {
            clip_sha256: speaker.clip_sha256(shout.violation),
            ..unplayed(&shout, "it waited too long behind other warnings")
        };
    }
    speaker.say(shout.violation, shout.case, stop).await
}

/// The journal line that records a warning.
fn line(report: &WarnReport) -> (&'static str, Value) {
    let kind = if report.failure.is_none() {
        kind::WARNING_PLAYED
    } else {
        kind::WARNING_FAILED
    };
    let body = json!({
        "case": report.case,
        "at": clock::rfc3339_ms(report.at.utc_ns),
        "clip_sha256": report.clip_sha256,
        "played_ms": u64::try_from(report.played.as_millis()).unwrap_or(u64::MAX),
        "failure": report.failure,
    });
    (kind, body)
}

/// Number of the journal line that records the warning; `None` when the journal cannot take it.
async fn journal(store: &Store, report: &WarnReport) -> Option<u64> {
    let (kind, body) = line(report);
    let store = store.clone();
    let noted_line = tokio::task::spawn_blocking(move || store.note(clock::now(), kind, body));
    noted_line.await.ok().and_then(noted)
}

fn noted(line: Result<Head, StoreError>) -> Option<u64> {
    line.inspect_err(|error| tracing::error!(%error, "a warning could not be journalled"))
        .ok()
        .map(|head| head.n)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use uuid::Uuid;

    use super::*;
    use crate::config;

    #[test]
    fn a_warning_without_room_is_reported_as_not_played_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = config::Store {
            dir: dir.path().join("store"),
            ..config::Store::default()
        };
        let (store, _) = Store::open(&config, "LM-TEST-1").unwrap();
        let (shouts, mut shouts_in) = mpsc::channel(1);
        let (reports, mut reports_in) = mpsc::channel(1);
        let mouthpiece = Mouthpiece {
            shouts,
            reports,
            store,
        };
        let shout = |n| Shout {
            case: CaseId(Uuid::from_u128(n)),
            violation: Violation::StreetVending,
            at: clock::now(),
        };
        mouthpiece.give(shout(1));
        mouthpiece.give(shout(2));
        let report = reports_in.try_recv().unwrap();
        assert_eq!(report.case, shout(2).case);
        assert_eq!(report.played, Duration::ZERO);
        assert!(report.failure.unwrap().contains("full"));
        assert!(report.journal_n.is_some());
        assert_eq!(shouts_in.try_recv().unwrap().case, shout(1).case);
        // While stopping nobody is told, and nothing breaks.
        drop(shouts_in);
        mouthpiece.give(shout(3));
        assert!(reports_in.try_recv().is_err());
    }
}
