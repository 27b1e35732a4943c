//! A trial of something that was sent, and how it ended.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::settings::{Settings, SettingsError};
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

    /// Writes down how a trial ended of which the disk took no word at the start.
    pub fn end(&self, outcome: &Outcome) -> Result<(), SettingsError> {
        let trial = self.read()?.trial;
        if trial.is_some_and(|trial| trial.command == outcome.command) {
            self.roll_back(outcome.why.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}
