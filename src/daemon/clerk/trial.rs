//! A configuration or certificate on trial: kept when everything is back, given up when it is not in time.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::command::{Outcome, Settings, SettingsError, Trial};
use crate::journal::kind;
use crate::store::{Ended, Store, StoreError};
use crate::witness::Fate;

use super::{Errands, blocking, ended};

/// Everything must have been back for this long.
const STEADY: Duration = Duration::from_secs(5);

/// Watches over the trial, when there is one.
pub(super) struct Watch {
    pub(super) trial: Option<Trial>,
    /// How one ended of which the disk took no word at the start.
    pub(super) owed: Option<Outcome>,
    pub(super) settings: Settings,
    /// Told when the daemon shall start again, with what was before.
    pub(super) again: CancellationToken,
    /// Boot clock, nanoseconds: when the trial began, and since when everything is back.
    pub(super) began_ns: u64,
    pub(super) well_since_ns: Option<u64>,
    /// Everything was back for long enough; the disk has not taken that yet.
    pub(super) passed: bool,
}

impl Watch {
    /// Looks whether everything is back, or the time is over, and tells how the trial ended.
    pub(super) async fn look(&mut self, errands: &Errands) {
        if let Some(owed) = &self.owed
            && self.settings.end(owed).is_ok()
        {
            self.owed = None;
            self.tell(errands).await;
        }
        let Some(trial) = &self.trial else { return };
        let missing = errands.missing(&trial.cameras);
        if self.is_over(missing, clock::boot_ns()) {
            self.tell(errands).await;
        }
    }

    /// Ends the trial when it has passed, or what is `missing` was not back in time.
    pub(super) fn is_over(&mut self, missing: Option<String>, now_ns: u64) -> bool {
        let Some(trial) = &self.trial else {
            return false;
        };
        match missing.filter(|_| !self.passed) {
            None => {
                let since = *self.well_since_ns.get_or_insert(now_ns);
                if Duration::from_nanos(now_ns.saturating_sub(since)) < STEADY {
                    return false;
                }
                if let Err(error) = self.settings.keep() {
                    // Left as begun, any later start would throw it away: it is tried until it is written.
                    if !std::mem::replace(&mut self.passed, true) {
                        tracing::error!(%error, "that the trial went well cannot be written down yet");
                    }
                    return false;
                }
                tracing::info!("what was tried is kept");
            }
            Some(missing) => {
                self.well_since_ns = None;
                let tried = Duration::from_nanos(now_ns.saturating_sub(self.began_ns));
                if tried < Duration::from_secs(trial.limit_secs) {
                    return false;
                }
                let why = format!("{missing} within {} s", trial.limit_secs);
                tracing::error!(why, "what was tried is given up");
                if let Err(error) = self.settings.roll_back(&why) {
                    // The next start finds the trial begun, and ends it.
                    tracing::error!(%error, "how the trial ended cannot be written down");
                }
                self.again.cancel();
            }
        }
        self.trial = None;
        true
    }

    /// Says in journal and replies what became of trials.
    pub(super) async fn tell(&self, errands: &Errands) {
        let (settings, store) = (self.settings.clone(), errands.store());
        let told = blocking(move || {
            let ended = settings.ended();
            if ended.is_empty() {
                return Ok(Ok(()));
            }
            ended.iter().try_for_each(|outcome| say(&store, outcome))?;
            Ok(settings.told())
        });
        let told: Result<Result<(), SettingsError>, StoreError> = told.await;
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a trial will be told twice"),
            Err(error) => tracing::error!(%error, "a trial cannot be told"),
        }
    }
}

fn say(store: &Store, outcome: &Outcome) -> Result<(), StoreError> {
    let now = clock::now();
    let mut body = json!({ "sha256": outcome.sha256, "command": outcome.command });
    let (what, kept, rolled_back) = match outcome.certificate {
        None => ("configuration", kind::CONFIG_KEPT, kind::CONFIG_ROLLED_BACK),
        Some(key) => {
            body["name"] = json!(key.name());
            ("certificate", kind::CERT_KEPT, kind::CERT_ROLLED_BACK)
        }
    };
    let (kind, end) = match &outcome.why {
        None => {
            let end = Ended {
                outcome: Fate::Done,
                why: None,
                result: Some(json!({ "sha256": outcome.sha256 })),
            };
            (kept, end)
        }
        Some(why) => {
            body["why"] = json!(why);
            let why = format!("the {what} before is in force again: {why}");
            (rolled_back, ended(Fate::Failed, why))
        }
    };
    store.note(now, kind, body)?;
    store.command_done(now, outcome.command, &end)
}
