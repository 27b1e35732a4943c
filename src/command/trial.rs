//! A trial of something that was sent, and how it ended.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::settings::{Active, Settings, SettingsError};
use crate::config::KeyName;

/// A configuration or certificate on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The key whose certificate it is; `None`: it is a configuration.
    #[serde(default)]
    pub certificate: Option<KeyName>,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The command that brought it.
    pub command: Uuid,
    /// How long it may take until everything is back, seconds.
    pub limit_secs: u64,
    /// The cameras that were playing before.
    pub cameras: Vec<String>,
    /// SHA-256 of the file on the box that it stands in for, when it came.
    pub(super) base_sha256: String,
    /// Whether the daemon has started with it.
    pub(super) begun: bool,
}

/// What became of a configuration or certificate that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The key whose certificate it is; `None`: it is a configuration.
    #[serde(default)]
    pub certificate: Option<KeyName>,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The command that brought it.
    pub command: Uuid,
    /// Why it is not in force; `None`: it is kept.
    pub why: Option<String>,
}

impl Settings {
    /// What is on trial, as far as that can be read.
    pub fn on_trial(&self) -> Option<Trial> {
        self.read().ok()?.trial
    }

    /// Whether `command` is on trial, or may be: while that cannot be read nobody is told how it ended.
    pub fn is_on_trial(&self, command: Uuid) -> bool {
        let tried = self.read().map(|state| state.trial);
        tried.map_or(true, |trial| trial.is_some_and(|t| t.command == command))
    }

    /// The trial went well: from now on this is in force.
    pub fn keep(&self) -> Result<(), SettingsError> {
        let mut state = self.read()?;
        if let Some(trial) = &state.trial {
            let active = Active {
                sha256: trial.sha256.clone(),
                command: trial.command,
                base_sha256: trial.base_sha256.clone(),
            };
            match trial.certificate {
                None => state.active = Some(active),
                Some(key) => drop(state.certificates.insert(key, active)),
            }
        }
        state.end_trial(None);
        self.write(&state)
    }

    /// Takes back what `command` put on trial, as if it had never come; whether it stays on trial all
    /// the same, because the disk does not take that.
    pub fn take_back(&self, command: Uuid) -> bool {
        let on_trial = || {
            let tried = self.on_trial();
            tried.is_some_and(|trial| trial.command == command)
        };
        let withdraw = || {
            let mut state = self.read()?;
            state.trial = None;
            self.write(&state)
        };
        on_trial() && withdraw().is_err() && on_trial()
    }

    /// The trial did not go well: the next start is with what was in force before.
    pub fn roll_back(&self, why: &str) -> Result<(), SettingsError> {
        let mut state = self.read()?;
        state.end_trial(Some(why));
        self.write(&state)
    }

    /// What became of trials, and nobody has been told yet; nothing while that cannot be read.
    pub fn ended(&self) -> Vec<Outcome> {
        self.read().map_or_else(|_| Vec::new(), |state| state.ended)
    }

    /// All that [`Settings::ended`] gave is told.
    pub fn told(&self) -> Result<(), SettingsError> {
        let mut state = self.read()?;
        state.ended.clear();
        self.write(&state)
    }

    /// Writes down how a trial ended of which the disk took no word at the start.
    pub fn end(&self, outcome: &Outcome) -> Result<(), SettingsError> {
        let trial = self.read()?.trial;
        if trial.is_some_and(|trial| trial.command == outcome.command) {
            self.roll_back(outcome.why.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}
